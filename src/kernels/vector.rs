//! What the compiler does not find by itself, once per instruction set.
//!
//! Everything else in the kernels is plain Rust that vectorises. Two things are not: whether a multiplication and an addition
//! may be fused (see [`super::quotient`]), and narrowing 32-bit lanes to bytes, where the compiler extracts them one by one
//! (0.39 ns per element, against 0.14 for the whole of forward without it).

use super::BLOCK;

/// The operations that have a form of their own per instruction set.
pub(crate) trait Vectors {
    /// Whether `mul_add` is one instruction. Where it is not, it is a call of the C library's.
    const FUSES: bool;

    /// The lowest byte of each lane's bits.
    fn low_bytes(lanes: &[f32; BLOCK]) -> [i8; BLOCK];
}

/// Plain Rust, which every instruction set may fall back on.
pub(super) struct Portable;

impl Vectors for Portable {
    const FUSES: bool = cfg!(target_arch = "aarch64");

    #[inline(always)]
    fn low_bytes(lanes: &[f32; BLOCK]) -> [i8; BLOCK] {
        let mut bytes = [0; BLOCK];
        for lane in 0..BLOCK {
            bytes[lane] = lanes[lane].to_bits() as i8;
        }
        bytes
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, Vectors};
    use std::arch::x86_64::*;

    /// Forms for AVX2. To be named only in a function that enables it.
    pub(in crate::kernels) struct Avx2;

    impl Vectors for Avx2 {
        const FUSES: bool = true;

        #[inline(always)]
        fn low_bytes(lanes: &[f32; BLOCK]) -> [i8; BLOCK] {
            // SAFETY: `Isa` names this type only inside `run_avx2`; the array has 32 lanes to load and 32 bytes to store.
            unsafe {
                let from = lanes.as_ptr().cast::<__m256i>();
                let lowest = _mm256_set1_epi32(0xff);
                let load = |at: usize| _mm256_and_si256(_mm256_loadu_si256(from.add(at)), lowest);
                // Both steps pack each 128-bit half by itself; one permutation of the eight groups of four undoes it.
                let words = [_mm256_packus_epi32(load(0), load(1)), _mm256_packus_epi32(load(2), load(3))];
                let bytes = _mm256_packus_epi16(words[0], words[1]);
                let ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
                std::mem::transmute::<__m256i, [i8; BLOCK]>(ordered)
            }
        }
    }

    /// Forms for AVX-512. To be named only in a function that enables it.
    pub(in crate::kernels) struct Avx512;

    impl Vectors for Avx512 {
        const FUSES: bool = true;

        #[inline(always)]
        fn low_bytes(lanes: &[f32; BLOCK]) -> [i8; BLOCK] {
            // SAFETY: `Isa` names this type only inside `run_avx512`; the array has 32 lanes to load and 32 bytes to store.
            unsafe {
                let from = lanes.as_ptr().cast::<__m512i>();
                let bytes = [0, 1].map(|at| _mm512_cvtepi32_epi8(_mm512_loadu_si512(from.add(at))));
                std::mem::transmute::<[__m128i; 2], [i8; BLOCK]>(bytes)
            }
        }
    }
}
