//! The few things that a memory stream does with a vector, for each vector width.

/// A vector of bits. Every method is `#[inline(always)]`: it becomes part of a function compiled for its instruction set.
///
/// # Safety
/// The methods must only run on a machine that has the vector's instructions.
pub trait Vector: Copy {
    /// Something to XOR with.
    unsafe fn ones() -> Self;

    /// `self ^ other`.
    unsafe fn xor(self, other: Self) -> Self;

    /// Reads a vector, at any address.
    unsafe fn load(from: *const Self) -> Self;

    /// Writes a vector, with non-temporal stores to an aligned address.
    unsafe fn write<const NON_TEMPORAL: bool>(to: *mut Self, vector: Self);

    /// Orders the non-temporal stores before what follows.
    unsafe fn fence();
}

/// What the compiler makes of 32 bytes without being told more.
#[derive(Clone, Copy)]
pub struct Plain([u64; 4]);

impl Vector for Plain {
    #[inline(always)]
    unsafe fn ones() -> Self {
        Plain([1; 4])
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        Plain(std::array::from_fn(|lane| self.0[lane] ^ other.0[lane]))
    }

    #[inline(always)]
    unsafe fn load(from: *const Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.read_unaligned() }
    }

    #[inline(always)]
    unsafe fn write<const NON_TEMPORAL: bool>(to: *mut Self, vector: Self) {
        // SAFETY: the caller's promise.
        unsafe { to.write_unaligned(vector) }
    }

    #[inline(always)]
    unsafe fn fence() {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// [`Vector`] for a register, by the names of its intrinsics.
    macro_rules! vector {
        ($register:ident, $ones:ident, $xor:ident, $load:ident, $store:ident, $stream:ident) => {
            impl Vector for $register {
                #[inline(always)]
                unsafe fn ones() -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $ones(1) }
                }

                #[inline(always)]
                unsafe fn xor(self, other: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $xor(self, other) }
                }

                #[inline(always)]
                unsafe fn load(from: *const Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                unsafe fn write<const NON_TEMPORAL: bool>(to: *mut Self, vector: Self) {
                    // SAFETY: the caller's promise.
                    unsafe { if NON_TEMPORAL { $stream(to, vector) } else { $store(to, vector) } }
                }

                #[inline(always)]
                unsafe fn fence() {
                    // SAFETY: every x86-64 has it.
                    unsafe { _mm_sfence() }
                }
            }
        };
    }

    vector!(__m256i, _mm256_set1_epi32, _mm256_xor_si256, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_stream_si256);
    vector!(__m512i, _mm512_set1_epi32, _mm512_xor_si512, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_stream_si512);
}
