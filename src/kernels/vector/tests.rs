//! Every operation, as each instruction set of this machine has it, against plain Rust.

use super::plain::Plain;
use super::{BLOCK, Baseline, Floats, SEVERAL, Vectors};

/// Zeros, ties, bounds, subnormals, infinities and NaN.
const NUMBERS: [f32; 18] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
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
    let operations: [Operation<V>; 15] = [
        |a, b| a.plus(b),
        |a, b| a.minus(b),
        |a, b| a.times(b),
        |a, b| a.over(b),
        |a, b| a.at_least(b),
        |a, b| a.at_most(b),
        |a, b| a.and(b),
        |a, b| a.or(b),
        |a, b| a.xor(b),
        |a, _| a.abs(),
        |a, b| a.only(a.is_below(b)),
        |a, b| a.except(a.is_below(b)),
        |a, b| a.or_else(a.equals(b), b),
        |a, b| b.only(a.is_number()),
        |a, b| a.only(V::Floats::both(a.is_number(), b.is_number())),
    ];
    for operation in operations {
        let mut block = first;
        for register in 0..V::REGISTERS {
            block[register] = operation(first[register], second[register]);
        }
        results.push(V::to_array(block).to_vec());
    }
    for count in [0, 1, 7, 8, 15, 16, 17, 31, 32] {
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
    results.push(V::bytes_to_array(V::low_bytes(first)).map(f32::from).to_vec());
    for streamed in [false, true] {
        for offset in [0, 1, 16] {
            let mut room = [3i8; 3 * BLOCK];
            let start = room.as_ptr().align_offset(32) + offset;
            // SAFETY: the room has three blocks, of which the alignment and the offset take less than two.
            unsafe { V::store_bytes(V::low_bytes(first), room.as_mut_ptr().add(start), streamed) };
            results.push(room[start..start + BLOCK].iter().map(|byte| f32::from(*byte)).collect());
        }
    }
    let finite = a.map(|number| if number.abs() < 1e9 { number } else { 1.0 });
    let registers = V::from_array(&finite);
    results
        .push((0..V::REGISTERS).map(|register| registers[register].largest()).reduce(f32::max).into_iter().collect());
    let bits = |number: f32| if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
    results.into_iter().map(|result| result.into_iter().map(bits).collect()).collect()
}

/// `a - level * step` near multiples of the step, `a * b + c` where it fuses, sums and largest of registers: each beside what
/// it is to be.
#[inline(always)]
fn results<V: Vectors>() -> Vec<[f32; 2]> {
    let mut results = Vec::new();
    for step in [0.1f32, 1.0, 0.017, 1e-30, 3e30] {
        for first in (-256..=256).step_by(BLOCK) {
            let levels: [f32; BLOCK] = std::array::from_fn(|lane| (first + lane as i32) as f32);
            let w: [f32; BLOCK] = std::array::from_fn(|lane| levels[lane] * step + step * (lane as f32 / 31.0 - 0.5));
            let (mut differences, mut sums) = (V::from_array(&w), V::from_array(&w));
            for register in 0..V::REGISTERS {
                let (level, step) = (V::from_array(&levels)[register], V::Floats::splat(step));
                differences[register] = differences[register].minus_product(level, step);
                if V::FUSES {
                    sums[register] = sums[register].times_plus(step, level);
                }
            }
            let (differences, sums) = (V::to_array(differences), V::to_array(sums));
            for lane in 0..BLOCK {
                results.push([differences[lane], levels[lane].mul_add(-step, w[lane])]);
                if V::FUSES {
                    results.push([sums[lane], w[lane].mul_add(step, levels[lane])]);
                }
            }
        }
    }
    // Sums and largest of eight registers, which start anywhere in an array.
    let numbers: [f32; 2 * BLOCK] = std::array::from_fn(|at| ((at * 37) % 64) as f32 * 0.1);
    let registers: [V::Floats; SEVERAL] = std::array::from_fn(|at| {
        // SAFETY: the array has two blocks, and a register at most one.
        unsafe { V::Floats::load(numbers[3 * at..].as_ptr()) }
    });
    let (sums, largest) = (V::Floats::sums(&registers), V::Floats::largest_of_each(&registers));
    for at in 0..SEVERAL {
        let mut lanes = numbers[3 * at..3 * at + V::Floats::LANES].to_vec();
        let maximum = lanes.iter().copied().fold(0.0, f32::max);
        while lanes.len() > 1 {
            let half = lanes.len() / 2;
            lanes = (0..half).map(|lane| lanes[lane] + lanes[lane + half]).collect();
        }
        results.extend([[sums[at], lanes[0]], [registers[at].sum(), lanes[0]]]);
        results.extend([[largest[at], maximum], [registers[at].largest(), maximum]]);
    }
    results
}

/// Compares an instruction set with plain Rust, by two functions that enable it.
fn check(
    name: &str,
    everything_of: fn(&[f32; BLOCK], &[f32; BLOCK]) -> Vec<Vec<u32>>,
    results_of: fn() -> Vec<[f32; 2]>,
) {
    for shift in 0..NUMBERS.len() {
        let a: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[lane % NUMBERS.len()]);
        let b: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[(lane * 5 + shift) % NUMBERS.len()]);
        assert_eq!(everything_of(&a, &b), everything::<Plain>(&a, &b), "{name}, shift {shift}");
    }
    for [result, expected] in results_of() {
        assert_eq!(result.to_bits(), expected.to_bits(), "{name}: {result} for {expected}");
    }
}

#[test]
fn every_operation_is_that_of_plain_rust() {
    check("plain", everything::<Plain>, results::<Plain>);
    check("the baseline", everything::<Baseline>, results::<Baseline>);
}

#[cfg(target_arch = "aarch64")]
#[test]
fn every_operation_of_neon_is_that_of_plain_rust() {
    check("NEON", everything::<super::Neon<true>>, results::<super::Neon<true>>);
}

/// The functions that enable an instruction set, and the check of them; where it is not, nothing can be checked.
#[cfg(target_arch = "x86_64")]
macro_rules! check_x86 {
    ($test:ident, $vectors:ident, $features:literal, $($feature:tt)*) => {
        #[test]
        fn $test() {
            #[target_feature(enable = $features)]
            fn everything_enabled(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
                everything::<super::$vectors>(a, b)
            }
            #[target_feature(enable = $features)]
            fn results_enabled() -> Vec<[f32; 2]> {
                results::<super::$vectors>()
            }
            if $(is_x86_feature_detected!($feature))&&* {
                // SAFETY: detected.
                check($features, |a, b| unsafe { everything_enabled(a, b) }, || unsafe { results_enabled() });
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
check_x86!(every_operation_of_avx2_is_that_of_plain_rust, Avx2, "avx2,fma", "avx2" "fma");
#[cfg(target_arch = "x86_64")]
check_x86!(
    every_operation_of_avx512_is_that_of_plain_rust,
    Avx512,
    "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl",
    "avx2" "fma" "avx512f" "avx512bw" "avx512dq" "avx512vl"
);
