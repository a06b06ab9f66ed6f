//! AVX2 with FMA.

use super::super::{BLOCK, Floats, SEVERAL, Vectors, ones};
use super::{larger_bits, store_few_bytes};
use crate::kernels::random::{Start, draw_avx2};
use std::arch::x86_64::*;

floats! {
    __m256, 8, __m256,
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_stream_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_max_ps _mm256_min_ps,

    methods! {
        times_minus(self: Self, factor: Self, subtrahend: Self) -> Self = _mm256_fmsub_ps(self, factor, subtrahend);
        rounded(self: Self) -> Self = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self);
        to_whole(self: Self) -> Self = _mm256_castsi256_ps(_mm256_madd_epi16(_mm256_cvtps_epi32(self), _mm256_set1_epi32(1)));
        whole_to_float(self: Self) -> Self = _mm256_cvtepi32_ps(_mm256_castps_si256(self));
        whole_plus(self: Self, other: Self) -> Self = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self), _mm256_castps_si256(other)));
        larger_bits(self: Self, other: Self) -> Self = _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(self), _mm256_castps_si256(other)));
        and(self: Self, other: Self) -> Self = _mm256_and_ps(self, other);
        or(self: Self, other: Self) -> Self = _mm256_or_ps(self, other);
        xor(self: Self, other: Self) -> Self = _mm256_xor_ps(self, other);
        times_plus(self: Self, factor: Self, summand: Self) -> Self = _mm256_fmadd_ps(self, factor, summand);
        is_below(self: Self, other: Self) -> Self::Mask = _mm256_cmp_ps::<_CMP_LT_OQ>(self, other);
        equals(self: Self, other: Self) -> Self::Mask = _mm256_cmp_ps::<_CMP_EQ_OQ>(self, other);
        is_number(self: Self) -> Self::Mask = _mm256_cmp_ps::<_CMP_ORD_Q>(self, self);
        only(self: Self, mask: Self::Mask) -> Self = _mm256_and_ps(self, mask);
        or_else(self: Self, mask: Self::Mask, other: Self) -> Self = _mm256_blendv_ps(other, self, mask);
        sum(self: Self) -> f32 = Floats::sum(_mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self)));
        largest(self: Self) -> f32 = Floats::largest(_mm256_castps256_ps128(self).larger_bits(_mm256_extractf128_ps::<1>(self)));
    }

    folds! {
        sums: 8 by _mm256_add_ps;
        largest_of_each: 8 by larger_bits;
    }

    #[inline(always)]
    fn swapped<const STRIDE: usize>(self) -> Self {
        // SAFETY: the module's promise.
        unsafe {
            match STRIDE {
                1 => _mm256_permute_ps::<0b10_11_00_01>(self),
                2 => _mm256_permute_ps::<0b01_00_11_10>(self),
                4 => _mm256_permute2f128_ps::<1>(self, self),
                _ => unreachable!("there are 8 lanes"),
            }
        }
    }
}

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Avx2;

impl Vectors for Avx2 {
    type Floats = __m256;
    type Block = [__m256; 4];
    type Bytes = __m256i;

    const FUSES: bool = true;
    const SPECIALISES: bool = true;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: the module's promise; the caller's promise.
        unsafe { draw_avx2(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [__m256::splat(number); 4]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        let mut block = ones::<Self>(count);
        for register in 0..4 {
            // SAFETY: the caller's promise; lanes without a mask are not read. The pointer may be past the end, where no
            // lane has one.
            block[register] =
                unsafe { _mm256_maskload_ps(from.wrapping_add(8 * register), _mm256_castps_si256(block[register])) };
        }
        block
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, mut to: *mut f32, count: usize) {
        // In powers of two: a masked store takes dozens of cycles on some processors (AMD's before Zen 4).
        let [mut few, next, third, fourth] = block;
        let mut last = next;
        // SAFETY: the caller's promise, and the module's; the powers of two in `count` add up to it.
        unsafe {
            if count & 16 != 0 {
                few.store(to);
                next.store(to.add(8));
                (to, few, last) = (to.add(16), third, fourth);
            }
            if count & 8 != 0 {
                few.store(to);
                (to, few) = (to.add(8), last);
            }
            store_few_floats(_mm256_castps256_ps128(few), _mm256_extractf128_ps::<1>(few), to, count);
        }
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        // SAFETY: the module's promise.
        unsafe {
            let pair = |register: usize| _mm256_cmp_ps::<_CMP_UNORD_Q>(block[register], block[register + 1]);
            _mm256_movemask_ps(_mm256_or_ps(pair(0), pair(2))) != 0
        }
    }

    #[inline(always)]
    fn to_bytes(whole: Self::Block) -> Self::Bytes {
        // SAFETY: the module's promise.
        unsafe {
            let lanes = |register: usize| _mm256_castps_si256(whole[register]);
            // Both steps pack each 128-bit half by itself; one permutation of the eight groups of four undoes it.
            let words = [_mm256_packs_epi32(lanes(0), lanes(1)), _mm256_packs_epi32(lanes(2), lanes(3))];
            let bytes = _mm256_packs_epi16(words[0], words[1]);
            _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, streamed: bool) {
        // SAFETY: the caller's promise, and the module's.
        unsafe {
            if streamed && to.cast::<__m128i>().is_aligned() {
                _mm_stream_si128(to.cast(), _mm256_castsi256_si128(bytes));
                _mm_stream_si128(to.add(16).cast(), _mm256_extracti128_si256::<1>(bytes));
            } else {
                _mm256_storeu_si256(to.cast(), bytes);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize) {
        // SAFETY: the module's promise, and the caller's.
        unsafe { store_few_bytes(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes), to, count) };
    }

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        let mut block = Self::splat(0.0);
        for register in 0..4 {
            // SAFETY: the module's promise; the array has four times eight bytes.
            block[register] = unsafe {
                let eight = _mm_loadl_epi64(bytes.as_ptr().add(8 * register).cast());
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight))
            };
        }
        block
    }
}

/// Writes the first `count` floats, fewer than eight, of two registers of four, as [`store_few_bytes`] does.
///
/// # Safety
/// `to` is valid for writes of them.
#[inline(always)]
unsafe fn store_few_floats(low: __m128, high: __m128, mut to: *mut f32, count: usize) {
    let mut few = low;
    // SAFETY: as above.
    unsafe {
        if count & 4 != 0 {
            _mm_storeu_ps(to, few);
            (to, few) = (to.add(4), high);
        }
        if count & 2 != 0 {
            _mm_storel_epi64(to.cast(), _mm_castps_si128(few));
            (to, few) = (to.add(2), _mm_movehl_ps(few, few));
        }
        if count & 1 != 0 {
            _mm_store_ss(to, few);
        }
    }
}
