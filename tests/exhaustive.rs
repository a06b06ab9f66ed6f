//! Rounding and clamping, for every one of the 2^32 floats, on every instruction set, in both modes; the rounding of every float
//! to f16 and bf16; and the quotient that is rounded, for every mantissa of a step.
//!
//! Not part of the default run, for it takes a few minutes: `cargo test --release --test exhaustive`.

#![allow(unsafe_code)]

use diffquant::capi::isa::*;
use diffquant::capi::status::DIFFQUANT_STATUS_OK;
use diffquant::{DifferentiableQuantizer, Element, QuantGranularity, SteVariant, TypedQuantizer, UniformQuantizer};
use half::{bf16, f16};

const CHUNK: usize = 1 << 20;

/// The codes of `w` by the standard library's rounding, at step 1 and 8 bits.
fn oracle(w: f32, half_even: bool) -> i8 {
    let rounded = if half_even { w.round_ties_even() } else { w.round() };
    // `as` saturates, and sends NaN to 0.
    rounded as i8
}

#[test]
fn every_float_rounds_as_the_standard_library_rounds_it() {
    let mut quantizer = UniformQuantizer::new(8, SteVariant::Standard).expect("8 bits are valid");
    quantizer.set_scale(1.0).expect("1 is a scale");
    let (mut w, mut codes, mut values) = (vec![0.0f32; CHUNK], vec![0i8; CHUNK], vec![0.0f32; CHUNK]);
    let mut expected = vec![0i8; CHUNK];
    let mut checked = 0u64;
    for half_even in [false, true] {
        quantizer.set_rounds_half_even(half_even);
        for chunk in 0..(1u64 << 32) / CHUNK as u64 {
            for (at, w) in w.iter_mut().enumerate() {
                *w = f32::from_bits((chunk * CHUNK as u64 + at as u64) as u32);
            }
            for (code, &w) in expected.iter_mut().zip(&w) {
                *code = oracle(w, half_even);
            }
            for isa in [DIFFQUANT_ISA_BASELINE, DIFFQUANT_ISA_AVX2, DIFFQUANT_ISA_AVX512] {
                if diffquant_set_isa(isa) != DIFFQUANT_STATUS_OK {
                    continue;
                }
                quantizer.forward_into(&w, Some(&mut codes), Some(&mut values)).expect("lengths match");
                for at in 0..CHUNK {
                    let same = codes[at] == expected[at] && values[at].to_bits() == f32::from(codes[at]).to_bits();
                    assert!(same, "isa {isa}, half even {half_even}: {:x} gives {}", w[at].to_bits(), codes[at]);
                }
                checked += CHUNK as u64;
            }
        }
    }
    println!("{checked} roundings agree");
    assert!(checked >= 2 << 32);
}

/// A code of 0 stands for its offset, which may be any finite float.
#[test]
fn every_finite_float_is_rounded_to_16_bits_as_the_crate_half_rounds_it() {
    let mut quantizer = UniformQuantizer::new(8, SteVariant::Standard).expect("8 bits are valid");
    quantizer.set_granularity(QuantGranularity::PerChannel).expect("there are channels");
    quantizer.set_shape(&[1, CHUNK], 1).expect("a row of channels");
    let codes = vec![0i8; CHUNK];
    let mut checked = 0u64;
    for chunk in 0..(1u64 << 32) / CHUNK as u64 {
        let number = |at: usize| f32::from_bits((chunk * CHUNK as u64 + at as u64) as u32);
        let offsets: Vec<f32> =
            (0..CHUNK).map(number).map(|number| if number.is_finite() { number } else { 1.0 }).collect();
        quantizer.set_offsets(&offsets).expect("there is one for each channel, and all are finite");
        checked += check_rounding(&quantizer, &codes, &offsets, f16::from_f32);
        checked += check_rounding(&quantizer, &codes, &offsets, bf16::from_f32);
    }
    println!("{checked} roundings to 16 bits agree");
    assert!(checked >= 2 << 32);
}

/// How many values were compared with the rounded offsets.
fn check_rounding<T: Element + Default + PartialEq + std::fmt::Debug>(
    quantizer: &UniformQuantizer,
    codes: &[i8],
    offsets: &[f32],
    round: fn(f32) -> T,
) -> u64 {
    // A sum with 0 is never -0.0.
    let expected: Vec<T> = offsets.iter().map(|offset| round(offset + 0.0)).collect();
    let mut values = vec![T::default(); codes.len()];
    let mut checked = 0;
    for isa in [DIFFQUANT_ISA_BASELINE, DIFFQUANT_ISA_AVX2, DIFFQUANT_ISA_AVX512] {
        if diffquant_set_isa(isa) != DIFFQUANT_STATUS_OK {
            continue;
        }
        quantizer.dequantize_typed(codes, &mut values).expect("lengths match");
        let differs = values.iter().zip(&expected).position(|(found, expected)| found != expected);
        let case = differs.map(|at| (offsets[at], values[at], expected[at]));
        assert_eq!(case, None, "isa {isa}");
        checked += codes.len() as u64;
    }
    checked
}

/// `src/kernels/quotient.rs` decides on `fma(w, inverse, w * rest)` instead of `w / step`. Both lie on the same side of every
/// whole and half number that a level can be decided at, for every mantissa of a step and every weight near it.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_quotient_by_multiplication_decides_as_the_division_does() {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        println!("NOT CHECKED: this processor does not fuse");
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong: u64 = std::thread::scope(|scope| {
        let run = |thread: usize| move || (1..=511).skip(thread).step_by(threads).map(wrong_decisions_at).sum::<u64>();
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no thread panics")).sum()
    });
    println!("{} quotients compared", 511u64 * NEIGHBOURS.len() as u64 * (1 << 23));
    assert_eq!(wrong, 0);
}

/// Weights this many floats away from `step * half_number` are tried; farther ones differ by more than both errors.
#[cfg(target_arch = "x86_64")]
const NEIGHBOURS: std::ops::Range<i32> = -3..4;

#[cfg(target_arch = "x86_64")]
fn wrong_decisions_at(halves: u32) -> u64 {
    const STEPS: usize = 4096;
    #[target_feature(enable = "avx2,fma")]
    fn wrong(first: u32, number: f32, neighbour: i32) -> u32 {
        let mut wrong = 0;
        for index in 0..STEPS as u32 {
            let step = f32::from_bits(0x3f80_0000 + first + index);
            let exact = 1.0 / f64::from(step);
            let inverse = exact as f32;
            let rest = (exact - f64::from(inverse)) as f32;
            let w = f32::from_bits((step * number).to_bits().wrapping_add_signed(neighbour));
            let (divided, multiplied) = (w / step, w.mul_add(inverse, w * rest));
            wrong += u32::from((divided < number) != (multiplied < number));
            wrong += u32::from((divided > number) != (multiplied > number));
        }
        wrong
    }
    let number = halves as f32 * 0.5;
    let mut total = 0;
    for first in (0..1u32 << 23).step_by(STEPS) {
        for neighbour in NEIGHBOURS {
            // SAFETY: the caller detected both.
            total += u64::from(unsafe { wrong(first, number, neighbour) });
        }
    }
    total
}
