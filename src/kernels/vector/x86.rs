//! Vectors of x86-64. The types of an instruction set are to be named only in a function that enables it: that is the promise
//! on which every SAFETY comment here rests.

use super::{BLOCK, Floats, NO_FRACTION, SEVERAL, Vectors, ones};
use crate::kernels::buffer::copy_few;
use crate::kernels::random::{Start, draw_avx2, draw_avx512, draw_sse2};
use std::arch::x86_64::*;

/// [`Floats`] for a register, by the names of its intrinsics; what differs in more than names is in `$rest`.
macro_rules! floats {
    ($register:ident, $lanes:literal, $mask:ty,
     $splat:ident $load:ident $store:ident $stream:ident
     $add:ident $sub:ident $mul:ident $div:ident $max:ident $min:ident,
     $($rest:tt)*) => {
        impl Floats for $register {
            type Mask = $mask;

            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(number: f32) -> Self {
                // SAFETY: the module's promise.
                unsafe { $splat(number) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn stream(self, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { $stream(to, self) }
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            fn times(self, other: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $mul(self, other) }
            }

            #[inline(always)]
            fn over(self, other: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $div(self, other) }
            }

            // The instructions give their second operand where one is NaN.

            #[inline(always)]
            fn at_least(self, bound: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $max(bound, self) }
            }

            #[inline(always)]
            fn at_most(self, bound: Self) -> Self {
                // SAFETY: the module's promise.
                unsafe { $min(bound, self) }
            }

            $($rest)*
        }
    };
}

// `to_whole`: what is no number becomes i32::MIN, whose low 16 bits are 0. Multiplying those by 1 and the high ones by 0 leaves it 0,
// and any whole number of 16 bits as it is.

/// Methods that are one expression over registers.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty = $body:expr;)*) => {
        $(
            #[inline(always)]
            fn $name($($argument: $kind),*) -> $result {
                // SAFETY: the module's promise.
                unsafe { $body }
            }
        )*
    };
}

#[inline(always)]
fn larger_bits<F: Floats>(a: F, b: F) -> F {
    a.larger_bits(b)
}

/// [`Floats::sums`] and [`Floats::largest_of_each`] for registers of four or eight lanes. Lanes that belong together come to lie
/// in two registers, in the place that their result will have.
macro_rules! folds {
    ($($name:ident: $lanes:tt by $join:ident;)*) => {
        $(
            #[inline(always)]
            fn $name(registers: &[Self; SEVERAL]) -> [f32; SEVERAL] {
                let mut folded = [0.0; SEVERAL];
                // SAFETY: the module's promise; the array has room for eight.
                unsafe { folds!(@ $lanes $join registers folded) };
                folded
            }
        )*
    };
    (@ 4 $join:ident $registers:ident $folded:ident) => {{
        for at in [0, 4] {
            let [a, b, c, d] = [$registers[at], $registers[at + 1], $registers[at + 2], $registers[at + 3]];
            let ab = $join(_mm_shuffle_ps::<0x44>(a, b), _mm_shuffle_ps::<0xee>(a, b));
            let cd = $join(_mm_shuffle_ps::<0x44>(c, d), _mm_shuffle_ps::<0xee>(c, d));
            let all = $join(_mm_shuffle_ps::<0x88>(ab, cd), _mm_shuffle_ps::<0xdd>(ab, cd));
            _mm_storeu_ps($folded.as_mut_ptr().add(at), all);
        }
    }};
    (@ 8 $join:ident $registers:ident $folded:ident) => {{
        let mut four = [$registers[0]; 4];
        for at in 0..4 {
            let (a, b) = ($registers[at], $registers[at + 4]);
            let low = _mm256_insertf128_ps::<1>(a, _mm256_castps256_ps128(b));
            four[at] = $join(low, _mm256_permute2f128_ps::<0x31>(a, b));
        }
        let [a, b, c, d] = four;
        let ab = $join(_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b));
        let cd = $join(_mm256_shuffle_ps::<0x44>(c, d), _mm256_shuffle_ps::<0xee>(c, d));
        let all = $join(_mm256_shuffle_ps::<0x88>(ab, cd), _mm256_shuffle_ps::<0xdd>(ab, cd));
        _mm256_storeu_ps($folded.as_mut_ptr(), all);
    }};
    (@ 16 $join:ident $registers:ident $folded:ident) => {{
        let mut halves = [__m256::splat(0.0); SEVERAL];
        for at in 0..SEVERAL {
            let high = _mm512_extractf32x8_ps::<1>($registers[at]);
            halves[at] = $join(_mm512_castps512_ps256($registers[at]), high);
        }
        folds!(@ 8 $join halves $folded);
    }};
}

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

/// Methods for bytes that are two registers.
macro_rules! halves_of_bytes {
    () => {
        #[inline(always)]
        unsafe fn store_bytes(bytes: Self::Bytes, to: *mut i8, streamed: bool) {
            let to = to.cast::<__m128i>();
            // SAFETY: the caller's promise; SSE2 is part of x86-64.
            unsafe {
                if streamed && to.is_aligned() {
                    _mm_stream_si128(to, bytes[0]);
                    _mm_stream_si128(to.add(1), bytes[1]);
                } else {
                    _mm_storeu_si128(to, bytes[0]);
                    _mm_storeu_si128(to.add(1), bytes[1]);
                }
            }
        }

        #[inline(always)]
        unsafe fn store_few_bytes(bytes: Self::Bytes, to: *mut i8, count: usize) {
            // SAFETY: the caller's promise.
            unsafe { store_few_bytes(bytes[0], bytes[1], to, count) };
        }
    };
}

/// Writes the first `count` bytes, fewer than 32, of two registers: in powers of two, from registers, as what was stored to an
/// array would have to be waited for.
///
/// # Safety
/// `to` is valid for writes of them.
#[inline(always)]
unsafe fn store_few_bytes(low: __m128i, high: __m128i, mut to: *mut i8, count: usize) {
    let mut few = low;
    // SAFETY: the caller's promise; the powers of two in `count` add up to it. SSE2 is part of x86-64.
    unsafe {
        if count & 16 != 0 {
            _mm_storeu_si128(to.cast(), few);
            (to, few) = (to.add(16), high);
        }
        if count & 8 != 0 {
            _mm_storel_epi64(to.cast(), few);
            (to, few) = (to.add(8), _mm_unpackhi_epi64(few, few));
        }
        let mut few = _mm_cvtsi128_si64(few);
        if count & 4 != 0 {
            to.cast::<u32>().write_unaligned(few as u32);
            (to, few) = (to.add(4), few >> 32);
        }
        if count & 2 != 0 {
            to.cast::<u16>().write_unaligned(few as u16);
            (to, few) = (to.add(2), few >> 16);
        }
        if count & 1 != 0 {
            to.write(few as i8);
        }
    }
}

/// Writes the first `count` floats, fewer than eight, of two registers of four. As above.
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
