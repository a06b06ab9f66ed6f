//! Several counters at a time. A counter's four numbers lie in the low halves of the same 64-bit lane of four registers, which is
//! what the multiplication of x86 reads; what it leaves in the high halves is never looked at.

use super::{BLOCK, Draws, Keys, MULTIPLIERS};
use std::arch::x86_64::*;

/// The draws of the group whose first counter is `counter`, by the names of an instruction set's intrinsics.
///
/// `$lanes` adds to a counter the places of the lanes: evens first, then odds, which is how the shuffles at the end put them.
/// `$exchanged` rotates each number by 16 bits.
macro_rules! draw {
    ($name:ident, $features:literal, $integers:ty, $counters:literal, $lanes:expr,
     $splat:ident $add:ident $multiply:ident $shift:ident $xor:ident
     $as_floats:ident $as_integers:ident $shuffle:ident $exchanged:expr, $to_floats:ident $store:ident) => {
        #[target_feature(enable = $features)]
        pub(in crate::kernels) fn $name(keys: &Keys, counter: u64, draws: &mut Draws) {
            /// Registers for the 8 counters of a group.
            const REGISTERS: usize = 8 / $counters;
            let [first, second] = MULTIPLIERS.map(|multiplier| $splat(multiplier as i64));
            let zero = $splat(0);
            let (mut a, mut b, mut c, mut d) =
                ([zero; REGISTERS], [zero; REGISTERS], [zero; REGISTERS], [zero; REGISTERS]);
            for register in 0..REGISTERS {
                let counter = counter.wrapping_add((register * $counters) as u64);
                a[register] = $add($splat(counter as i64), $lanes);
                b[register] = $shift::<32>(a[register]);
            }
            for key in keys {
                let key = [$splat(key[0] as i64), $splat(key[1] as i64)];
                for register in 0..REGISTERS {
                    let (by_first, by_second) = ($multiply(first, a[register]), $multiply(second, c[register]));
                    a[register] = $xor($shift::<32>(by_second), $xor(b[register], key[0]));
                    c[register] = $xor($shift::<32>(by_first), $xor(d[register], key[1]));
                    (b[register], d[register]) = (by_second, by_first);
                }
            }
            for register in 0..REGISTERS {
                // The numbers of two counters in each 128 bits: a a b b and c c d d, then those of one and of the other.
                let pair = |x, y| $shuffle::<0b10_00_10_00>($as_floats(x), $as_floats(y));
                let (ab, cd) = (pair(a[register], b[register]), pair(c[register], d[register]));
                let even = $as_integers($shuffle::<0b10_00_10_00>(ab, cd));
                let odd = $as_integers($shuffle::<0b11_01_11_01>(ab, cd));
                for (half, numbers) in [even, odd].into_iter().enumerate() {
                    let at = (2 * register + half) * 2 * $counters;
                    // SAFETY: all registers have a block of numbers, and the draws are two blocks.
                    unsafe {
                        $store(draws.as_mut_ptr().add(at), $to_floats(numbers));
                        $store(draws.as_mut_ptr().add(BLOCK + at), $to_floats($exchanged(numbers)));
                    }
                }
            }
        }
    };
}

draw! {
    draw_sse2, "sse2", __m128i, 2, _mm_set_epi64x(1, 0),
    _mm_set1_epi64x _mm_add_epi64 _mm_mul_epu32 _mm_srli_epi64 _mm_xor_si128
    _mm_castsi128_ps _mm_castps_si128 _mm_shuffle_ps
    |numbers| _mm_shufflehi_epi16::<0b10_11_00_01>(_mm_shufflelo_epi16::<0b10_11_00_01>(numbers)),
    _mm_cvtepi32_ps _mm_storeu_ps
}

draw! {
    draw_avx2, "avx2,fma", __m256i, 4, _mm256_setr_epi64x(0, 2, 1, 3),
    _mm256_set1_epi64x _mm256_add_epi64 _mm256_mul_epu32 _mm256_srli_epi64 _mm256_xor_si256
    _mm256_castsi256_ps _mm256_castps_si256 _mm256_shuffle_ps
    |numbers| _mm256_shuffle_epi8(numbers, _mm256_set_epi64x(0x0d0c_0f0e_0908_0b0a, 0x0504_0706_0100_0302, 0x0d0c_0f0e_0908_0b0a, 0x0504_0706_0100_0302)),
    _mm256_cvtepi32_ps _mm256_storeu_ps
}

draw! {
    draw_avx512, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512i, 8, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7),
    _mm512_set1_epi64 _mm512_add_epi64 _mm512_mul_epu32 _mm512_srli_epi64 _mm512_xor_si512
    _mm512_castsi512_ps _mm512_castps_si512 _mm512_shuffle_ps
    |numbers| _mm512_rol_epi32::<16>(numbers),
    _mm512_cvtepi32_ps _mm512_storeu_ps
}
