//! SSE2, the baseline of x86-64.

use super::super::{BLOCK, Floats, NO_FRACTION, SEVERAL, Vectors};
use super::{larger_bits, store_few_bytes};
use crate::kernels::buffer::copy_few;
use crate::kernels::random::{Start, draw_sse2};
use std::arch::x86_64::*;

floats! {
    __m128, 4, __m128,
    _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_stream_ps
    _mm_add_ps _mm_sub_ps _mm_mul_ps _mm_div_ps _mm_max_ps _mm_min_ps,

    methods! {
        rounded(self: Self) -> Self = _mm_sub_ps(_mm_add_ps(self, _mm_set1_ps(NO_FRACTION)), _mm_set1_ps(NO_FRACTION));
        to_whole(self: Self) -> Self = _mm_castsi128_ps(_mm_madd_epi16(_mm_cvtps_epi32(self), _mm_set1_epi32(1)));
        whole_to_float(self: Self) -> Self = _mm_cvtepi32_ps(_mm_castps_si128(self));
        whole_plus(self: Self, other: Self) -> Self = _mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(self), _mm_castps_si128(other)));
        larger_bits(self: Self, other: Self) -> Self = {
            let is_larger = _mm_cmpgt_epi32(_mm_castps_si128(self), _mm_castps_si128(other));
            self.or_else(_mm_castsi128_ps(is_larger), other)
        };
        and(self: Self, other: Self) -> Self = _mm_and_ps(self, other);
        or(self: Self, other: Self) -> Self = _mm_or_ps(self, other);
        xor(self: Self, other: Self) -> Self = _mm_xor_ps(self, other);
        is_below(self: Self, other: Self) -> Self::Mask = _mm_cmplt_ps(self, other);
        equals(self: Self, other: Self) -> Self::Mask = _mm_cmpeq_ps(self, other);
        is_number(self: Self) -> Self::Mask = _mm_cmpord_ps(self, self);
        only(self: Self, mask: Self::Mask) -> Self = _mm_and_ps(self, mask);
        or_else(self: Self, mask: Self::Mask, other: Self) -> Self = _mm_or_ps(_mm_and_ps(mask, self), _mm_andnot_ps(mask, other));
    }

    #[inline(always)]
    fn times_plus(self, _factor: Self, _summand: Self) -> Self {
        unreachable!("SSE2 does not fuse")
    }

    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        // SAFETY: the module's promise.
        unsafe {
            let difference = |number, factor, subtrahend| {
                let product = _mm_mul_pd(_mm_cvtps_pd(number), _mm_cvtps_pd(factor));
                _mm_cvtpd_ps(_mm_sub_pd(product, _mm_cvtps_pd(subtrahend)))
            };
            let high = |register| _mm_movehl_ps(register, register);
            _mm_movelh_ps(difference(self, factor, subtrahend), difference(high(self), high(factor), high(subtrahend)))
        }
    }

    #[inline(always)]
    fn swapped<const STRIDE: usize>(self) -> Self {
        // SAFETY: the module's promise.
        unsafe {
            match STRIDE {
                1 => _mm_shuffle_ps::<0b10_11_00_01>(self, self),
                2 => _mm_shuffle_ps::<0b01_00_11_10>(self, self),
                _ => unreachable!("there are 4 lanes"),
            }
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: the module's promise.
        unsafe {
            let two = _mm_add_ps(self, _mm_movehl_ps(self, self));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: the module's promise.
        unsafe {
            let two = self.larger_bits(_mm_movehl_ps(self, self));
            _mm_cvtss_f32(two.larger_bits(_mm_shuffle_ps::<1>(two, two)))
        }
    }

    folds! {
        sums: 4 by _mm_add_ps;
        largest_of_each: 4 by larger_bits;
    }
}

/// The baseline of x86-64.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Sse2;

impl Vectors for Sse2 {
    type Floats = __m128;
    type Block = [__m128; 8];
    type Bytes = [__m128i; 2];

    const FUSES: bool = false;
    const SPECIALISES: bool = false;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: SSE2 is part of x86-64; the caller's promise.
        unsafe { draw_sse2(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [__m128::splat(number); 8]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        let mut array = [0.0; BLOCK];
        // SAFETY: the caller's promise.
        unsafe { copy_few(from, array.as_mut_ptr(), count) };
        Self::from_array(&array)
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize) {
        let array = Self::to_array(block);
        // SAFETY: the caller's promise.
        unsafe { copy_few(array.as_ptr(), to, count) };
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            let pair = |register: usize| _mm_cmpunord_ps(block[register], block[register + 1]);
            _mm_movemask_ps(_mm_or_ps(_mm_or_ps(pair(0), pair(2)), _mm_or_ps(pair(4), pair(6)))) != 0
        }
    }

    #[inline(always)]
    fn to_bytes(whole: Self::Block) -> Self::Bytes {
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            let lanes = |register: usize| _mm_castps_si128(whole[register]);
            let words = |register: usize| _mm_packs_epi32(lanes(register), lanes(register + 1));
            [_mm_packs_epi16(words(0), words(2)), _mm_packs_epi16(words(4), words(6))]
        }
    }

    halves_of_bytes!();

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        let mut block = Self::splat(0.0);
        // SAFETY: SSE2 is part of x86-64; the array has two registers of bytes.
        unsafe {
            for half in 0..2 {
                let bytes = _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>().add(half));
                // A number beside itself, shifted right, is widened with its sign.
                let words = [_mm_unpacklo_epi8(bytes, bytes), _mm_unpackhi_epi8(bytes, bytes)];
                for (index, words) in words.into_iter().enumerate() {
                    let (low, high) = (_mm_unpacklo_epi16(words, words), _mm_unpackhi_epi16(words, words));
                    block[half * 4 + index * 2] = _mm_cvtepi32_ps(_mm_srai_epi32::<24>(low));
                    block[half * 4 + index * 2 + 1] = _mm_cvtepi32_ps(_mm_srai_epi32::<24>(high));
                }
            }
        }
        block
    }
}
