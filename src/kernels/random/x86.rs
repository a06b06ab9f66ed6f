//! Several counters at a time. A counter's four words lie in the low halves of the same 64-bit lane of four registers, which is
//! what the multiplication of x86 reads; what is in the high halves is not looked at, until the last round puts words there.

use super::{BLOCK, COUNTERS, GROUP, MULTIPLIERS, ROUNDS, Start};
use std::arch::x86_64::*;

/// The draws of `groups` groups, the counter of the first with the lower half `low`, by the names of an instruction
/// set's intrinsics. `$lanes` are the places of the lanes; `$exchanged` exchanges the halves of each number.
macro_rules! draw {
    ($name:ident, $features:literal, $integers:ty, $counters:literal, $lanes:expr, $exchanged:expr,
     $splat:ident $splat_32:ident $add:ident $multiply:ident $shuffle:ident $left:ident $xor:ident
     $to_floats:ident $splat_float:ident $times:ident $store:ident) => {
        /// # Safety
        /// `draws` is valid for writes of them.
        #[target_feature(enable = $features)]
        pub(in crate::kernels) unsafe fn $name(start: &Start<'_>, low: u64, groups: usize, draws: *mut f32) {
            /// Registers for the counters of a group.
            const REGISTERS: usize = COUNTERS as usize / $counters;
            let splat = |number: u64| $splat(number as i64);
            let [first, second] = MULTIPLIERS.map(splat);
            let (round_1, round_2) = (splat(start.round_1), splat(start.round_2));
            let (round_3, last) = (start.round_3.map(splat), splat(start.last));
            let unit = $splat_float(start.unit);
            // Not a shift, as it is of every lane of 64 bits: then the compiler (rustc 1.95) knows upper halves to be 0, moves the
            // masks of multiplications out of the loop, and then takes three multiplications for one.
            let high = |numbers: $integers| $shuffle::<0b11_11_01_01>(numbers);
            let to_floats = |words| $times($to_floats(words), unit);
            for group in 0..groups {
                let (mut a, mut b, mut c, mut d) =
                    ([first; REGISTERS], [first; REGISTERS], [first; REGISTERS], [first; REGISTERS]);
                for register in 0..REGISTERS {
                    let counter = low as u32 + group as u32 * COUNTERS as u32 + register as u32 * $counters;
                    let counters = $add($splat_32(counter as i32), $lanes);
                    let by_first = $multiply(first, $xor(counters, round_1));
                    b[register] = $multiply(second, $xor(high(by_first), round_2));
                    a[register] = $xor(high(b[register]), round_3[0]);
                    c[register] = $xor(by_first, round_3[1]);
                    d[register] = last;
                }
                for key in &start.keys[3..ROUNDS - 1] {
                    let key = key.map(splat);
                    for register in 0..REGISTERS {
                        let (by_first, by_second) = ($multiply(first, a[register]), $multiply(second, c[register]));
                        a[register] = $xor(high(by_second), $xor(b[register], key[0]));
                        c[register] = $xor(high(by_first), $xor(d[register], key[1]));
                        (b[register], d[register]) = (by_second, by_first);
                    }
                }
                let key = start.keys[ROUNDS - 1].map(splat);
                for register in 0..REGISTERS {
                    let (by_first, by_second) = ($multiply(first, a[register]), $multiply(second, c[register]));
                    let words = [
                        $xor(by_second, $left::<32>($xor(b[register], key[0]))),
                        $xor(by_first, $left::<32>($xor(d[register], key[1]))),
                    ];
                    for (half, words) in words.into_iter().enumerate() {
                        let at = group * GROUP + half * BLOCK / 2 + register * 2 * $counters;
                        // SAFETY: the caller's promise; the registers of a group have a block of words.
                        unsafe {
                            $store(draws.add(at), to_floats(words));
                            $store(draws.add(at + BLOCK), to_floats($exchanged(words)));
                        }
                    }
                }
            }
        }
    };
}

draw! {
    draw_sse2, "sse2", __m128i, 2, _mm_set_epi64x(1, 0),
    |words| _mm_shufflehi_epi16::<0b10_11_00_01>(_mm_shufflelo_epi16::<0b10_11_00_01>(words)),
    _mm_set1_epi64x _mm_set1_epi32 _mm_add_epi32 _mm_mul_epu32 _mm_shuffle_epi32 _mm_slli_epi64
    _mm_xor_si128 _mm_cvtepi32_ps _mm_set1_ps _mm_mul_ps _mm_storeu_ps
}

/// Which bytes of four words make them with their halves exchanged, as two numbers.
const EXCHANGED: [i64; 2] = [0x0504_0706_0100_0302, 0x0d0c_0f0e_0908_0b0a];

draw! {
    draw_avx2, "avx2,fma", __m256i, 4, _mm256_setr_epi64x(0, 1, 2, 3),
    |words| {
        _mm256_shuffle_epi8(words, _mm256_setr_epi64x(EXCHANGED[0], EXCHANGED[1], EXCHANGED[0], EXCHANGED[1]))
    },
    _mm256_set1_epi64x _mm256_set1_epi32 _mm256_add_epi32 _mm256_mul_epu32 _mm256_shuffle_epi32 _mm256_slli_epi64
    _mm256_xor_si256
    _mm256_cvtepi32_ps _mm256_set1_ps _mm256_mul_ps _mm256_storeu_ps
}

draw! {
    draw_avx512, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", __m512i, 8, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
    |words| _mm512_rol_epi32::<16>(words),
    _mm512_set1_epi64 _mm512_set1_epi32 _mm512_add_epi32 _mm512_mul_epu32 _mm512_shuffle_epi32 _mm512_slli_epi64
    _mm512_xor_si512
    _mm512_cvtepi32_ps _mm512_set1_ps _mm512_mul_ps _mm512_storeu_ps
}
