//! Every operation, as each instruction set of this machine has it, against plain Rust.

use super::plain::Plain;
use super::{BLOCK, Baseline, Floats, SEVERAL, Vectors};

/// Zeros, ties, bounds, subnormals, infinities and NaN.
const NUMBERS: [f32; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.75,
    1.5,
    -2.5,
    3.25,
    127.0,
    -128.5,
    1e-45,
    -1e-40,
    1e-30,
    1e30,
    -3e38,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    12_582_912.0,
];

type Operation<V> = fn(<V as Vectors>::Floats, <V as Vectors>::Floats) -> <V as Vectors>::Floats;

/// Results of everything on two blocks: bits, with every NaN alike.
#[inline(always)]
fn everything<V: Vectors>(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
    let (first, second) = (V::from_array(a), V::from_array(b));
    let mut results = Vec::new();
    let operations: [Operation<V>; 19] = [
        |a, b| a.plus(b),
        |a, b| a.minus(b),
        |a, b| a.times(b),
        |a, b| a.over(b),
        |a, b| a.at_least(b),
        |a, b| a.at_most(b),
        |a, b| a.larger_bits(b),
        |a, b| a.whole_plus(b),
        |a, b| a.and(b),
        |a, b| a.or(b),
        |a, b| a.xor(b),
        |a, _| a.abs(),
        |a, b| a.only(a.is_below(b)),
        |a, b| a.except(a.is_below(b)),
        |a, b| a.or_else(a.equals(b), b),
        |a, b| b.only(a.is_number()),
        |a, b| a.only(a.is_number()).only(b.is_number()),
        |a, _| a.swapped::<1>(),
        |a, _| a.swapped::<2>(),
    ];
    for operation in operations {
        let mut block = first;
        for register in 0..V::REGISTERS {
            block[register] = operation(first[register], second[register]);
        }
        results.push(V::to_array(block).to_vec());
    }
    for count in 0..BLOCK {
        let mut room = [7.0f32; BLOCK + 1];
        // SAFETY: the room has a block and one, the block one.
        unsafe {
            results.push(V::to_array(V::load_few(a.as_ptr(), count)).to_vec());
            V::store_few(first, room.as_mut_ptr(), count);
        }
        results.push(room.to_vec());
    }
    let bytes: [i8; BLOCK] = std::array::from_fn(|lane| (lane * 37 + 5) as u8 as i8);
    results.push(V::to_array(V::from_bytes(&bytes)).to_vec());
    // Rounding is for small numbers; the sign of a zero is not promised.
    let small = V::from_array(&a.map(|number| if number.is_nan() { number } else { number.clamp(-128.0, 127.0) }));
    let numbers = V::from_array(&a.map(|number| if number.is_nan() || number.abs() <= 128.0 { number } else { 0.5 }));
    let (mut whole, mut floats, mut rounded) = (small, small, small);
    for register in 0..V::REGISTERS {
        whole[register] = small[register].to_whole();
        floats[register] = whole[register].whole_to_float();
        rounded[register] = numbers[register].rounded().plus(V::Floats::splat(0.0));
    }
    results.extend([V::to_array(whole).to_vec(), V::to_array(floats).to_vec(), V::to_array(rounded).to_vec()]);
    for count in 0..BLOCK {
        let mut room = [7i8; BLOCK];
        // SAFETY: the room has a block.
        unsafe { V::store_few_bytes(V::to_bytes(whole), room.as_mut_ptr(), count) };
        results.push(room.map(f32::from).to_vec());
    }
    results.push(vec![f32::from(u8::from(V::has_nan(first))), f32::from(u8::from(V::has_nan(numbers)))]);
    for lane in 0..BLOCK {
        let mut one = [1.0; BLOCK];
        one[lane] = f32::NAN;
        results.push(vec![f32::from(u8::from(V::has_nan(V::from_array(&one))))]);
    }
    for streamed in [false, true] {
        for offset in [0, 1, 16] {
            let mut room = [3i8; 3 * BLOCK];
            let start = room.as_ptr().align_offset(32) + offset;
            // SAFETY: the room has three blocks, of which the alignment and the offset take less than two.
            unsafe { V::store_bytes(V::to_bytes(whole), room.as_mut_ptr().add(start), streamed) };
            results.push(room[start..start + BLOCK].iter().map(|byte| f32::from(*byte)).collect());
        }
    }
    let magnitudes = a.map(|number| if number.abs() < 1e9 { number.abs() } else { 1.0 });
    let registers = V::from_array(&magnitudes);
    results
        .push((0..V::REGISTERS).map(|register| registers[register].largest()).reduce(f32::max).into_iter().collect());
    // The order of a sum shows in its bits, and several registers at a time give those of one.
    let uneven = V::from_array(&std::array::from_fn(|lane| 0.1 * (lane * 37 % BLOCK) as f32));
    let mut several = [registers[0]; SEVERAL];
    for at in 0..SEVERAL {
        several[at] = uneven[at % V::REGISTERS].times(V::Floats::splat(1.0 + at as f32));
    }
    let (sums, largest) = (V::Floats::sums(&several), V::Floats::largest_of_each(&several));
    for at in 0..SEVERAL {
        let mut block = V::splat(0.0);
        block[0] = several[at];
        let mut lanes = V::to_array(block)[..V::Floats::LANES].to_vec();
        while lanes.len() > 1 {
            let half = lanes.len() / 2;
            lanes = (0..half).map(|lane| lanes[lane] + lanes[lane + half]).collect();
        }
        assert_eq!(several[at].sum().to_bits(), lanes[0].to_bits());
        assert_eq!(sums[at].to_bits(), several[at].sum().to_bits());
        assert_eq!(largest[at].to_bits(), several[at].largest().to_bits());
    }
    let bits = |number: f32| if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
    results.into_iter().map(|result| result.into_iter().map(bits).collect()).collect()
}

/// Products that are rounded once, with what is added to them or taken from them: levels near weights, in steps.
#[inline(always)]
fn check_products<V: Vectors>() {
    for step in [0.1f32, 1.0, 0.017, 1e-30, 3e30] {
        for first in (-256..=256).step_by(BLOCK) {
            let levels: [f32; BLOCK] = std::array::from_fn(|lane| (first + lane as i32) as f32);
            let w: [f32; BLOCK] = std::array::from_fn(|lane| levels[lane] * step + step * (lane as f32 / 31.0 - 0.5));
            let (steps, numbers) = (V::Floats::splat(step), V::from_array(&w));
            let (mut less, mut more) = (V::from_array(&levels), V::from_array(&levels));
            for register in 0..V::REGISTERS {
                less[register] = less[register].times_minus(steps, numbers[register]);
                if V::FUSES {
                    more[register] = more[register].times_plus(steps, numbers[register]);
                }
            }
            for lane in 0..BLOCK {
                let (level, w) = (levels[lane], w[lane]);
                let (less, more) = (V::to_array(less)[lane], V::to_array(more)[lane]);
                assert_eq!(less.to_bits(), level.mul_add(step, -w).to_bits(), "{level} times {step} minus {w}");
                assert!(
                    !V::FUSES || more.to_bits() == level.mul_add(step, w).to_bits(),
                    "{level} times {step} plus {w}"
                );
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn everything_avx2(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
    check_products::<super::Avx2>();
    everything::<super::Avx2>(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn everything_avx512(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
    check_products::<super::Avx512>();
    everything::<super::Avx512>(a, b)
}

#[test]
fn every_operation_is_that_of_plain_rust() {
    check_products::<Plain>();
    check_products::<Baseline>();
    for shift in 0..NUMBERS.len() {
        let a: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[lane % NUMBERS.len()]);
        let b: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[(lane * 5 + shift) % NUMBERS.len()]);
        let expected = everything::<Plain>(&a, &b);
        assert_eq!(everything::<Baseline>(&a, &b), expected, "the baseline, shift {shift}");
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: detected.
                assert_eq!(unsafe { everything_avx2(&a, &b) }, expected, "AVX2, shift {shift}");
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                // SAFETY: detected.
                assert_eq!(unsafe { everything_avx512(&a, &b) }, expected, "AVX-512, shift {shift}");
            }
        }
    }
}
