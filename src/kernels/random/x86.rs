//! Several counters at a time. A counter's four numbers lie in the low halves of the same 64-bit lane of four registers, which is
//! what the multiplication of x86 reads; what it leaves in the high halves is never looked at.

use super::{BLOCK, Keys, MULTIPLIERS, UNIT};
use std::arch::x86_64::*;

/// The draws of 32 elements, those of `counter` and the next, by the names of an instruction set's intrinsics.
///
/// `$lanes` adds to a counter the places of the lanes: evens first, then odds, which is how the shuffles at the end put them.
macro_rules! draw {
    ($name:ident, $features:literal, $integers:ty, $counters:literal, $lanes:expr,
     $splat:ident $add:ident $multiply:ident $shift:ident $xor:ident
     $as_floats:ident $as_integers:ident $shuffle:ident $to_floats:ident $splat_float:ident $times:ident $store:ident) => {
        #[target_feature(enable = $features)]
        #[inline(never)]
        pub(in crate::kernels) fn $name(keys: &Keys, counter: u64, draws: &mut [f32; BLOCK]) {
            /// Registers for the 8 counters of a block.
            const GROUPS: usize = 8 / $counters;
            let [first, second] = MULTIPLIERS.map(|multiplier| $splat(multiplier as i64));
            let zero = $splat(0);
            let (mut a, mut b, mut c, mut d) = ([zero; GROUPS], [zero; GROUPS], [zero; GROUPS], [zero; GROUPS]);
            for group in 0..GROUPS {
                let counter = counter.wrapping_add((group * $counters) as u64);
                a[group] = $add($splat(counter as i64), $lanes);
                b[group] = $shift::<32>(a[group]);
            }
            for key in keys {
                let key = [$splat(key[0] as i64), $splat(key[1] as i64)];
                for group in 0..GROUPS {
                    let (by_first, by_second) = ($multiply(first, a[group]), $multiply(second, c[group]));
                    a[group] = $xor($shift::<32>(by_second), $xor(b[group], key[0]));
                    c[group] = $xor($shift::<32>(by_first), $xor(d[group], key[1]));
                    (b[group], d[group]) = (by_second, by_first);
                }
            }
            let to_floats = |numbers: $integers| $times($to_floats(numbers), $splat_float(UNIT));
            for group in 0..GROUPS {
                // The numbers of two counters in each 128 bits: a a b b and c c d d, then those of one and of the other.
                let pair = |x, y| $shuffle::<0b10_00_10_00>($as_floats(x), $as_floats(y));
                let (ab, cd) = (pair(a[group], b[group]), pair(c[group], d[group]));
                let even = $as_integers($shuffle::<0b10_00_10_00>(ab, cd));
                let odd = $as_integers($shuffle::<0b11_01_11_01>(ab, cd));
                let to = draws[group * 4 * $counters..][..4 * $counters].as_mut_ptr();
                // SAFETY: the slice has four numbers for each counter, two registers of them.
                unsafe {
                    $store(to, to_floats(even));
                    $store(to.add(2 * $counters), to_floats(odd));
                }
            }
        }
    };
}

draw! {
    draw_sse2, "sse2", __m128i, 2, _mm_set_epi64x(1, 0),
    _mm_set1_epi64x _mm_add_epi64 _mm_mul_epu32 _mm_srli_epi64 _mm_xor_si128
    _mm_castsi128_ps _mm_castps_si128 _mm_shuffle_ps _mm_cvtepi32_ps _mm_set1_ps _mm_mul_ps _mm_storeu_ps
}

draw! {
    draw_avx2, "avx2,fma", __m256i, 4, _mm256_setr_epi64x(0, 2, 1, 3),
    _mm256_set1_epi64x _mm256_add_epi64 _mm256_mul_epu32 _mm256_srli_epi64 _mm256_xor_si256
    _mm256_castsi256_ps _mm256_castps_si256 _mm256_shuffle_ps _mm256_cvtepi32_ps _mm256_set1_ps _mm256_mul_ps _mm256_storeu_ps
}

draw! {
    draw_avx512, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512i, 8, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7),
    _mm512_set1_epi64 _mm512_add_epi64 _mm512_mul_epu32 _mm512_srli_epi64 _mm512_xor_si512
    _mm512_castsi512_ps _mm512_castps_si512 _mm512_shuffle_ps _mm512_cvtepi32_ps _mm512_set1_ps _mm512_mul_ps _mm512_storeu_ps
}
