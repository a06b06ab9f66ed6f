//! Vectors of x86-64. The types of an instruction set are to be named only in a function that enables it: that is the promise
//! on which every SAFETY comment here rests.

pub(in crate::kernels) use avx2::Avx2;
pub(in crate::kernels) use avx512::Avx512;
pub(in crate::kernels) use sse2::Sse2;

use super::Floats;
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

// After the macros, which they use.
mod avx2;
mod avx512;
mod sse2;
