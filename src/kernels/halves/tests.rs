use super::*;
use crate::kernels::{Isa, stream};

fn widened(half: Half, isa: Isa, from: &[u16]) -> Vec<u32> {
    let mut to = vec![MaybeUninit::new(7.0f32); from.len()];
    half.widen_on(isa, from, &mut to);
    // SAFETY: all were initialised.
    to.into_iter().map(|number| unsafe { number.assume_init() }.to_bits()).collect()
}

/// Narrowed into the cache and past it, to halves that are aligned for that and that are not.
fn narrowed(half: Half, isa: Isa, from: &[f32]) -> Vec<u16> {
    let mut all = [(false, 0), (true, 0), (true, 1)].map(|(past_cache, offset)| {
        let mut to = vec![MaybeUninit::new(7u16); from.len() + 9];
        let start = to.as_ptr().align_offset(16) + offset;
        half.narrow_on(isa, from, &mut to[start..][..from.len()], past_cache);
        stream::fence();
        // SAFETY: as above.
        let to: Vec<u16> = to.into_iter().map(|number| unsafe { number.assume_init() }).collect();
        assert!(to[..start].iter().chain(&to[start + from.len()..]).all(|half| *half == 7));
        to[start..][..from.len()].to_vec()
    });
    assert!(all[1] == all[0] && all[2] == all[0], "{half:?} {isa:?}");
    std::mem::take(&mut all[0])
}

/// The same by another's hand, which for want of `std` does not ask for instructions.
fn oracle_of_widening(half: Half, bits: u16) -> u32 {
    match half {
        Half::F16 => ::half::f16::from_bits(bits).to_f32().to_bits(),
        // There a NaN becomes quiet.
        Half::Bf16 => u32::from(bits) << 16,
    }
}

fn oracle_of_narrowing(half: Half, number: f32) -> u16 {
    match half {
        Half::F16 => ::half::f16::from_f32(number).to_bits(),
        Half::Bf16 => ::half::bf16::from_f32(number).to_bits(),
    }
}

const FORMATS: [Half; 2] = [Half::F16, Half::Bf16];

#[test]
fn every_half_is_widened_to_its_number_and_back_on_every_instruction_set() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for half in FORMATS {
        let expected: Vec<u32> = all.iter().map(|bits| oracle_of_widening(half, *bits)).collect();
        let numbers: Vec<f32> = expected.iter().copied().map(f32::from_bits).collect();
        let back: Vec<u16> = numbers.iter().map(|number| oracle_of_narrowing(half, *number)).collect();
        for (number, (bits, back)) in numbers.iter().zip(all.iter().zip(&back)) {
            assert!(number.is_nan() || bits == back, "{half:?} {bits:#x}");
        }
        for isa in Isa::available() {
            assert!(widened(half, isa, &all) == expected, "{half:?} {isa:?}");
            assert!(narrowed(half, isa, &numbers) == back, "{half:?} {isa:?}");
        }
        for (bits, expected) in all.iter().zip(&expected) {
            assert_eq!(half.widened(*bits).to_bits(), *expected, "{half:?} {bits:#x}");
        }
    }
}

/// Halfway between neighbours, and the floats next to that; what is next to no half; and whatever.
#[test]
fn floats_are_rounded_to_nearest_and_halves_to_even_on_every_instruction_set() {
    for half in FORMATS {
        let mut numbers = vec![f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 65519.996, 65520.0, 65536.0, 1e-8];
        for bits in 0..0x7fff {
            let [low, high] = [bits, bits + 1].map(|bits| half.widened(bits));
            let middle = (0.5 * (f64::from(low) + f64::from(high))) as f32;
            if middle.is_finite() && middle > low && middle < high {
                numbers.extend([middle.next_down(), middle, middle.next_up()]);
            }
        }
        let nans = (0..23).map(|bit| f32::from_bits(f32::INFINITY.to_bits() | 1 << bit));
        numbers.extend(nans.chain([f32::NAN, f32::from_bits(0x7fff_ffff)]));
        numbers.extend((0..1 << 20).map(|at: u32| f32::from_bits(at.wrapping_mul(0x9e37_79b9))));
        numbers.extend(numbers.clone().iter().map(|number| -number));
        let expected: Vec<u16> = numbers.iter().map(|number| oracle_of_narrowing(half, *number)).collect();
        for isa in Isa::available() {
            let found = narrowed(half, isa, &numbers);
            let differs = (0..numbers.len()).find(|at| found[*at] != expected[*at]);
            let case = differs.map(|at| (numbers[at].to_bits(), found[at], expected[at]));
            assert_eq!(case, None, "{half:?} {isa:?}");
        }
    }
}

#[test]
fn lengths_that_fill_no_register_are_converted_to_the_end() {
    let halves: Vec<u16> = (0..70).map(|at| 0x3c01 + 7 * at).collect();
    for half in FORMATS {
        let numbers: Vec<f32> = halves.iter().map(|bits| half.widened(*bits)).collect();
        for isa in Isa::available() {
            for len in 0..halves.len() {
                let expected: Vec<u32> = numbers[..len].iter().map(|number| number.to_bits()).collect();
                assert_eq!(widened(half, isa, &halves[..len]), expected, "{half:?} {isa:?} {len}");
                assert_eq!(narrowed(half, isa, &numbers[..len]), halves[..len], "{half:?} {isa:?} {len}");
            }
        }
    }
}
