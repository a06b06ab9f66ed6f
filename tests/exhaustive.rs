//! Rounding and clamping, for every one of the 2^32 floats, on every instruction set, in both modes.
//!
//! Not part of the default run, for it takes a minute or so: `cargo test --release --test exhaustive`.

use diffquant::capi::isa::*;
use diffquant::capi::status::DIFFQUANT_STATUS_OK;
use diffquant::{DifferentiableQuantizer, SteVariant, UniformQuantizer};

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
