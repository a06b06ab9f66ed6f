//! The same with AVX2, and with F16C, which converts eight f16 in one instruction; four registers a turn, for a turn of a loop
//! takes as many instructions as a conversion.

use super::super::Isa;
use super::{each, may_bypass, narrowed_bf16, narrowed_f16, widened_bf16, widened_f16};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Numbers in a register of f32.
const LANES: usize = 8;

/// Numbers of a turn.
const TURN: usize = 4 * LANES;

/// Whether the instructions are there, and not forgone. Every processor with AVX2 that was made has F16C, but none has to.
pub(super) fn are_there(isa: Isa) -> bool {
    isa != Isa::baseline() && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c")
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn widen_f16(from: &[u16], to: &mut [MaybeUninit<f32>]) {
    assert!(from.len() == to.len());
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<TURN>(), to.as_chunks_mut::<TURN>());
    for (from, to) in from.iter().zip(to) {
        for at in (0..TURN).step_by(LANES) {
            // SAFETY: both arrays have eight from there on.
            unsafe {
                let halves = _mm_loadu_si128(from.as_ptr().add(at).cast());
                _mm256_storeu_ps(to.as_mut_ptr().add(at).cast(), _mm256_cvtph_ps(halves));
            }
        }
    }
    each(rest, to_rest, widened_f16);
}

/// Past the cache, if so; that takes a start that [may](super::may_bypass).
#[target_feature(enable = "avx2,f16c")]
pub(super) fn narrow_f16<const PAST_CACHE: bool>(from: &[f32], to: &mut [MaybeUninit<u16>]) {
    assert!(from.len() == to.len() && (!PAST_CACHE || may_bypass(to)));
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<TURN>(), to.as_chunks_mut::<TURN>());
    for (from, to) in from.iter().zip(to) {
        for at in (0..TURN).step_by(LANES) {
            // SAFETY: as above; what may bypass the cache is aligned to a register of halves.
            unsafe {
                let numbers = _mm256_loadu_ps(from.as_ptr().add(at));
                let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(numbers);
                store::<PAST_CACHE>(to.as_mut_ptr().add(at).cast(), halves);
            }
        }
    }
    each(rest, to_rest, narrowed_f16);
}

#[target_feature(enable = "avx2")]
pub(super) fn widen_bf16(from: &[u16], to: &mut [MaybeUninit<f32>]) {
    assert!(from.len() == to.len());
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<TURN>(), to.as_chunks_mut::<TURN>());
    for (from, to) in from.iter().zip(to) {
        for at in (0..TURN).step_by(LANES) {
            // SAFETY: as above.
            unsafe {
                let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().add(at).cast()));
                _mm256_storeu_si256(to.as_mut_ptr().add(at).cast(), _mm256_slli_epi32::<16>(halves));
            }
        }
    }
    each(rest, to_rest, widened_bf16);
}

#[target_feature(enable = "avx2")]
pub(super) fn narrow_bf16<const PAST_CACHE: bool>(from: &[f32], to: &mut [MaybeUninit<u16>]) {
    assert!(from.len() == to.len() && (!PAST_CACHE || may_bypass(to)));
    let ((from, rest), (to, to_rest)) = (from.as_chunks::<TURN>(), to.as_chunks_mut::<TURN>());
    for (from, to) in from.iter().zip(to) {
        let mut nan = _mm256_setzero_ps();
        for at in (0..TURN).step_by(2 * LANES) {
            // SAFETY: both arrays have sixteen from there on; the rest as above.
            unsafe {
                let low = _mm256_loadu_ps(from.as_ptr().add(at));
                let high = _mm256_loadu_ps(from.as_ptr().add(at + LANES));
                nan = _mm256_or_ps(nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(low, high));
                // Within each half of a register, so that the quarters are then in the order 0, 2, 1, 3.
                let packed = _mm256_packus_epi32(rounded_off(low), rounded_off(high));
                let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
                let to: *mut __m128i = to.as_mut_ptr().add(at).cast();
                store::<PAST_CACHE>(to, _mm256_castsi256_si128(halves));
                store::<PAST_CACHE>(to.add(1), _mm256_extracti128_si256::<1>(halves));
            }
        }
        // Rare, and no branch per number.
        if _mm256_movemask_ps(nan) != 0 {
            each(from, to, narrowed_bf16);
        }
    }
    each(rest, to_rest, narrowed_bf16);
}

/// # Safety
/// There is room for a register, aligned if it goes past the cache.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store<const PAST_CACHE: bool>(to: *mut __m128i, halves: __m128i) {
    // SAFETY: the caller's promise.
    unsafe { if PAST_CACHE { _mm_stream_si128(to, halves) } else { _mm_storeu_si128(to, halves) } }
}

/// [`super::rounded_off`] by 16 bits, of numbers that are no NaN.
#[target_feature(enable = "avx2")]
#[inline]
fn rounded_off(numbers: __m256) -> __m256i {
    let bits = _mm256_castps_si256(numbers);
    let last = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let below_half = _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff));
    _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, below_half))
}
