//! AVX-512.

use super::super::{BLOCK, Floats, SEVERAL, Vectors};
use super::{larger_bits, store_few_bytes};
use crate::kernels::random::{Start, draw_avx512};
use std::arch::x86_64::*;

floats! {
    __m512, 16, __mmask16,
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_stream_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_max_ps _mm512_min_ps,

    methods! {
        times_minus(self: Self, factor: Self, subtrahend: Self) -> Self = _mm512_fmsub_ps(self, factor, subtrahend);
        rounded(self: Self) -> Self = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self);
        to_whole(self: Self) -> Self = _mm512_castsi512_ps(_mm512_madd_epi16(_mm512_cvtps_epi32(self), _mm512_set1_epi32(1)));
        whole_to_float(self: Self) -> Self = _mm512_cvtepi32_ps(_mm512_castps_si512(self));
        whole_plus(self: Self, other: Self) -> Self = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self), _mm512_castps_si512(other)));
        larger_bits(self: Self, other: Self) -> Self = _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(self), _mm512_castps_si512(other)));
        and(self: Self, other: Self) -> Self = _mm512_and_ps(self, other);
        or(self: Self, other: Self) -> Self = _mm512_or_ps(self, other);
        xor(self: Self, other: Self) -> Self = _mm512_xor_ps(self, other);
        times_plus(self: Self, factor: Self, summand: Self) -> Self = _mm512_fmadd_ps(self, factor, summand);
        is_below(self: Self, other: Self) -> Self::Mask = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, other);
        equals(self: Self, other: Self) -> Self::Mask = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, other);
        is_number(self: Self) -> Self::Mask = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(self, self);
        only(self: Self, mask: Self::Mask) -> Self = _mm512_maskz_mov_ps(mask, self);
        or_else(self: Self, mask: Self::Mask, other: Self) -> Self = _mm512_mask_blend_ps(mask, other, self);
        sum(self: Self) -> f32 = Floats::sum(_mm256_add_ps(_mm512_castps512_ps256(self), _mm512_extractf32x8_ps::<1>(self)));
        largest(self: Self) -> f32 = Floats::largest(_mm512_castps512_ps256(self).larger_bits(_mm512_extractf32x8_ps::<1>(self)));
    }

    folds! {
        sums: 16 by _mm256_add_ps;
        largest_of_each: 16 by larger_bits;
    }

    #[inline(always)]
    fn swapped<const STRIDE: usize>(self) -> Self {
        // SAFETY: the module's promise.
        unsafe {
            match STRIDE {
                1 => _mm512_permute_ps::<0b10_11_00_01>(self),
                2 => _mm512_permute_ps::<0b01_00_11_10>(self),
                4 => _mm512_shuffle_f32x4::<0b10_11_00_01>(self, self),
                8 => _mm512_shuffle_f32x4::<0b01_00_11_10>(self, self),
                _ => unreachable!("there are 16 lanes"),
            }
        }
    }
}

/// AVX-512 with F, BW, DQ and VL.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Avx512;

/// The first `count` lanes of a block.
#[inline(always)]
fn masks_of_few(count: usize) -> [__mmask16; 2] {
    let all = ((1u64 << count.min(BLOCK)) - 1) as u32;
    [all as __mmask16, (all >> 16) as __mmask16]
}

impl Vectors for Avx512 {
    type Floats = __m512;
    type Block = [__m512; 2];
    type Bytes = [__m128i; 2];

    const FUSES: bool = true;
    const SPECIALISES: bool = true;

    #[inline(always)]
    unsafe fn draw(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
        // SAFETY: the module's promise; the caller's promise.
        unsafe { draw_avx512(start, low, groups, draws) }
    }

    #[inline(always)]
    fn splat(number: f32) -> Self::Block {
        [__m512::splat(number); 2]
    }

    #[inline(always)]
    unsafe fn load_few(from: *const f32, count: usize) -> Self::Block {
        let [low, high] = masks_of_few(count);
        // SAFETY: the caller's promise; lanes without a mask are not read. The pointer may be past the end, where no lane
        // has one.
        unsafe { [_mm512_maskz_loadu_ps(low, from), _mm512_maskz_loadu_ps(high, from.wrapping_add(16))] }
    }

    #[inline(always)]
    unsafe fn store_few(block: Self::Block, to: *mut f32, count: usize) {
        let [low, high] = masks_of_few(count);
        // SAFETY: as above.
        unsafe {
            _mm512_mask_storeu_ps(to, low, block[0]);
            _mm512_mask_storeu_ps(to.wrapping_add(16), high, block[1]);
        }
    }

    #[inline(always)]
    fn has_nan(block: Self::Block) -> bool {
        // SAFETY: the module's promise.
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(block[0], block[1]) != 0 }
    }

    #[inline(always)]
    fn to_bytes(whole: Self::Block) -> Self::Bytes {
        // SAFETY: the module's promise.
        unsafe {
            let [low, high] = whole;
            [_mm512_cvtepi32_epi8(_mm512_castps_si512(low)), _mm512_cvtepi32_epi8(_mm512_castps_si512(high))]
        }
    }

    halves_of_bytes!();

    #[inline(always)]
    fn from_bytes(bytes: &[i8; BLOCK]) -> Self::Block {
        let mut block = Self::splat(0.0);
        for register in 0..2 {
            // SAFETY: the module's promise; the array has two times sixteen bytes.
            block[register] = unsafe {
                let sixteen = _mm_loadu_si128(bytes.as_ptr().add(16 * register).cast());
                _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen))
            };
        }
        block
    }
}
