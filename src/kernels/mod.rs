//! The loops over weights, each compiled for every instruction set.
//!
//! A kernel is a struct that holds its arguments and a `run` method written once, in plain Rust, over blocks of
//! [`BLOCK`] elements that the compiler vectorises. [`Isa::run`] calls it from a function compiled for the instruction set
//! in use; because every step down to the block is inlined, that is all it takes to have the same body as SSE2
//! or as AVX-512 code. Adding an instruction set is adding a level and a three-line function in [`isa`].
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
mod isa;
mod quantize;
mod reduce;
#[cfg(test)]
mod reference;
mod sink;
#[cfg(test)]
mod tests;
mod threads;
mod vector;

pub(crate) use buffer::{Input, Output};
pub(crate) use dequantize::Dequantize;
pub(crate) use gradient::{ScaleGradient, Sums, WeightGradient};
pub(crate) use isa::Isa;
pub(crate) use quantize::{CodeRange, Quantize, Rounding};
pub(crate) use reduce::MaxMagnitude;
pub(crate) use threads::{HostPool, Threads};

use vector::Vectors;

/// Elements that a kernel handles at a time: four 256-bit vectors of f32.
const BLOCK: usize = 32;

/// A loop over weights, ready to run.
pub(crate) trait Kernel {
    /// What it computes, beside the buffers that it writes.
    type Result;

    /// Runs the loop with the forms of the instruction set. Implementations are `#[inline(always)]`, as is everything that they call per block.
    fn run<V: Vectors>(self) -> Self::Result;
}
