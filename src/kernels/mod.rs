//! The loops over weights, each compiled for every instruction set.
//!
//! A kernel says once what to do with a block of [`BLOCK`] elements, in terms of [`Vectors`]; a [`Walk`] takes it over a tensor.
//! [`Isa::run`] calls that loop from a function compiled for the instruction set in use; because every step down to the
//! block is inlined, that is all it takes to have the same body as SSE2 or as AVX-512 code. Adding an instruction set is
//! implementing [`Vectors`] for it, and a level and a three-line function in [`isa`].
//!
//! Results are the same bits whichever is chosen: each kernel decides on the same IEEE quotients (see [`quotient`]), performs the
//! same operations in the same order, and sums are laid out in stripes that fit every vector width (see [`walk`]).
//!
//! Kernels know slices, numbers and *cuts* (which consecutive elements share a scale, see [`cut`]). They know nothing of
//! configurations, handles or granularities, and they trust their caller to have checked lengths; a wrong length panics, it
//! does not corrupt memory.

#![allow(unsafe_code)]
// Lanes of several arrays are walked together; an index says so, and vectorises.
#![allow(clippy::needless_range_loop)]

mod buffer;
mod cut;
mod dequantize;
mod estimator;
mod gradient;
mod groups;
mod hadamard;
mod halves;
mod isa;
mod moves;
mod observe;
mod peak;
mod quantize;
mod quantize_any;
mod quotient;
mod random;
mod reduce;
#[cfg(test)]
mod reference;
mod residuals;
mod room;
mod rows;
mod runs;
mod scaled;
mod short;
mod sink;
mod sources;
mod stage;
mod statistics;
mod stochastic;
mod stream;
#[cfg(test)]
mod tests;
mod threads;
mod vector;
mod walk;

pub(crate) use buffer::{Input, Output};
pub(crate) use cut::{Cut, Rows, Runs};
pub(crate) use dequantize::Dequantize;
pub(crate) use estimator::{AnyEstimator, Clipped, EstimatorKind, Ewgs, EwgsSigned, Lsq, PassThrough, RangeClipped};
pub(crate) use gradient::{Factor, Gradients, ScaleGradient, WeightGradient};
pub(crate) use groups::{Group, Groups, Parameters};
pub(crate) use hadamard::{Rotation, Way};
pub use halves::Element;
pub(crate) use halves::Half;
pub(crate) use isa::Isa;
pub(crate) use moves::{ALL_BINS, Bins as MoveBins, MOST_BINS, MOST_MORE, Moves, Start, Sums, UNITS, sets};
pub(crate) use observe::{BINS_OF_EXPONENT, BITS_WITHIN_BIN, Bins, EXPONENTS, NOT_FINITE, Ranges};
pub(crate) use peak::HighestPeak;
pub(crate) use quantize::{CodeBounds, Quantize, Rounding};
pub(crate) use quantize_any::{AnyRounding, QuantizeAny};
pub(crate) use random::Random;
pub(crate) use reduce::{Extremes, MaxMagnitude, MeanMagnitude};
pub(crate) use residuals::{Candidates, Residuals};
pub(crate) use runs::SHORT;
pub(crate) use scaled::Scaled;
pub(crate) use short::run_short;
pub(crate) use statistics::STATISTICS;
pub use statistics::Statistics;
pub(crate) use stochastic::GradientsByChance;
pub(crate) use threads::{HostPool, Threads};
pub(crate) use walk::{Walk, Work};

use vector::Vectors;
#[cfg(target_arch = "x86_64")]
use vector::{Avx2, Avx512};

/// Elements that a kernel handles at a time: four 256-bit vectors of f32.
const BLOCK: usize = 32;

/// A loop, ready to run.
///
/// What is compiled for an instruction set are methods of the loop, not functions that are given one: the compiler makes one unit
/// of all instances of a function, and so would compile every kernel in a row, on one processor. They are not inlined, so that
/// a loop is compiled once, not once per caller.
pub(crate) trait Kernel: Sized {
    /// Runs the loop with the forms of the instruction set. Implementations are `#[inline(always)]`, as is everything that they call per block.
    fn run<V: Vectors>(self);

    /// Runs it with what every machine has.
    #[inline(never)]
    fn run_baseline<V: Vectors>(self) {
        self.run::<V>();
    }

    /// Runs it with AVX2.
    ///
    /// # Safety
    /// The machine has what the function enables.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(self) {
        self.run::<Avx2>();
    }

    /// Runs it with AVX-512.
    ///
    /// # Safety
    /// As above.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn run_avx512(self) {
        self.run::<Avx512>();
    }
}
