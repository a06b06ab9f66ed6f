//! The same with AVX2, and with F16C, which converts eight f16 in one instruction.

use super::super::Isa;
use super::{each, narrowed_bf16, narrowed_f16, widened_bf16, widened_f16};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Numbers in a register of f32.
const LANES: usize = 8;

/// Whether the instructions are there, and not forgone. Every processor with AVX2 that was made has F16C, but none has to.
pub(super) fn are_there(isa: Isa) -> bool {
    isa != Isa::baseline() && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn widen_f16(from: &[u16], to: &mut [MaybeUninit<f32>]) {
    assert!(from.len() == to.len());
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<LANES>(), to.as_chunks_mut::<LANES>());
    for at in 0..from.len() {
        // SAFETY: each array has eight.
        unsafe {
            let halves = _mm_loadu_si128(from[at].as_ptr().cast());
            _mm256_storeu_ps(to[at].as_mut_ptr().cast(), _mm256_cvtph_ps(halves));
        }
    }
    each(rest, to_rest, widened_f16);
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn narrow_f16(from: &[f32], to: &mut [MaybeUninit<u16>]) {
    assert!(from.len() == to.len());
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<LANES>(), to.as_chunks_mut::<LANES>());
    for at in 0..from.len() {
        // SAFETY: as above.
        unsafe {
            let numbers = _mm256_loadu_ps(from[at].as_ptr());
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(numbers);
            _mm_storeu_si128(to[at].as_mut_ptr().cast(), halves);
        }
    }
    each(rest, to_rest, narrowed_f16);
}

#[target_feature(enable = "avx2")]
pub(super) fn widen_bf16(from: &[u16], to: &mut [MaybeUninit<f32>]) {
    each(from, to, widened_bf16);
}

#[target_feature(enable = "avx2")]
pub(super) fn narrow_bf16(from: &[f32], to: &mut [MaybeUninit<u16>]) {
    each(from, to, narrowed_bf16);
}
