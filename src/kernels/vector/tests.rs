//! Every operation, as each instruction set of this machine has it, against plain Rust.

use super::plain::Plain;
use super::{Avx2, Avx512, BLOCK, Floats, Sse2, Vectors};

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
    let operations: [Operation<V>; 18] = [
        |a, b| a.plus(b),
        |a, b| a.minus(b),
        |a, b| a.times(b),
        |a, b| a.over(b),
        |a, b| a.at_least(b),
        |a, b| a.at_most(b),
        |a, b| a.and(b),
        |a, b| a.or(b),
        |a, b| a.xor(b),
        |a, b| a.bits_plus(b),
        |a, _| a.bits_left::<13>(),
        |a, _| a.bits_right::<16>(),
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
    let words: [u16; BLOCK] = std::array::from_fn(|lane| (lane * 2609 + 5) as u16);
    // SAFETY: the arrays have a block.
    let lanes = unsafe { V::load_words(words.as_ptr()) };
    results.push(V::to_array(lanes).map(|lane| lane.to_bits() as f32).to_vec());
    results.push(V::words_to_array(V::low_words(lanes)).map(f32::from).to_vec());
    for streamed in [false, true] {
        for offset in [0, 1, 8] {
            let mut room = [3u16; 3 * BLOCK];
            let start = room.as_ptr().align_offset(64) + offset;
            // SAFETY: the room has three blocks, of which the alignment and the offset take less than two.
            unsafe { V::store_words(V::low_words(lanes), room.as_mut_ptr().add(start), streamed) };
            results.push(room[start..start + BLOCK].iter().map(|word| f32::from(*word)).collect());
        }
    }
    let finite = a.map(|number| if number.abs() < 1e9 { number } else { 1.0 });
    let registers = V::from_array(&finite);
    results
        .push((0..V::REGISTERS).map(|register| registers[register].largest()).reduce(f32::max).into_iter().collect());
    let bits = |number: f32| if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
    results.into_iter().map(|result| result.into_iter().map(bits).collect()).collect()
}

#[target_feature(enable = "avx2,fma,f16c")]
fn everything_avx2(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
    everything::<Avx2>(a, b)
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn everything_avx512(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> Vec<Vec<u32>> {
    everything::<Avx512>(a, b)
}

#[test]
fn every_operation_is_that_of_plain_rust() {
    for shift in 0..NUMBERS.len() {
        let a: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[lane % NUMBERS.len()]);
        let b: [f32; BLOCK] = std::array::from_fn(|lane| NUMBERS[(lane * 5 + shift) % NUMBERS.len()]);
        let expected = everything::<Plain>(&a, &b);
        assert_eq!(everything::<Sse2>(&a, &b), expected, "SSE2, shift {shift}");
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
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
