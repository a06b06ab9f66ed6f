//! The loops over weights, and the one place that decides which instruction set runs them.
//!
//! A kernel is a struct that holds its arguments and a `run` method written once, in plain Rust, over blocks of
//! [`BLOCK`] elements that the compiler vectorises. [`Isa::run`] calls it from a function compiled for the instruction set
//! of this machine; because every step down to the block is inlined, that is all it takes to have the same body as SSE2
//! or as AVX2 code. Adding an instruction set is adding a variant and a three-line function.
//!
//! Results are the same bits whichever is chosen: each kernel performs the same IEEE operations in the same order, none is
//! fused, and sums are laid out in stripes that fit every vector width (see [`reduce`]).
//!
//! Kernels know slices, numbers and *runs* (consecutive elements with one step). They know nothing of configurations,
//! handles or granularities, and they trust their caller to have checked lengths; a wrong length panics, it does not
//! corrupt memory.

#![allow(unsafe_code)]
// Lanes of several arrays are walked together; an index says so, and vectorises.
#![allow(clippy::needless_range_loop)]

mod buffer;
mod dequantize;
mod gradient;
mod quantize;
mod reduce;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(crate) use buffer::{Input, Output};
pub(crate) use dequantize::Dequantize;
pub(crate) use gradient::{ScaleGradient, WeightGradient};
pub(crate) use quantize::{CodeRange, Quantize, Rounding};
pub(crate) use reduce::MaxMagnitude;

/// Elements that a kernel handles at a time: four 256-bit vectors of f32.
const BLOCK: usize = 32;

/// A loop over weights, ready to run.
pub(crate) trait Kernel {
    /// What it computes, beside the buffers that it writes.
    type Result;

    /// Runs the loop. Implementations are `#[inline(always)]`, as is everything that they call per block.
    fn run(self) -> Self::Result;
}

/// An instruction set that this machine has: only detection makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// What every machine of this architecture has (SSE2 on x86-64).
    Baseline,
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// The fastest instruction set of this machine. The standard library caches the answer.
    #[inline]
    pub(crate) fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Isa(Level::Avx2);
        }
        Isa(Level::Baseline)
    }

    /// Every instruction set that this machine can run, slowest first.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Isa> {
        let mut all = vec![Isa(Level::Baseline)];
        if Isa::detect() != all[0] {
            all.push(Isa::detect());
        }
        all
    }

    /// Runs `kernel` compiled for this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Result {
        match self.0 {
            Level::Baseline => kernel.run(),
            // SAFETY: this level exists only after `detect` saw AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Result {
    kernel.run()
}
