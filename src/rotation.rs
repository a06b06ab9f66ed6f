//! The incoherence rotation by itself.
//!
//! A few weights far larger than the others stretch the grid of all that share their scale. A rotation by an orthonormal
//! matrix with random signs spreads each of them over its row, so that no weight of the rotated row stands out (Chee et al. 2023,
//! arXiv 2307.13304; with the Hadamard transform, Tseng et al. 2024, arXiv 2402.04396). A quantizer does so by itself
//! when it is asked to, see [`crate::DifferentiableQuantizer::set_incoherence`]; [`Rotation`] is for those who rotate on their own, such
//! as the activations that meet rotated weights.

use crate::error::Error;
use crate::kernels::{self, Input, Output, Threads, Way};

/// An orthonormal rotation of rows of one length: random signs, then a Hadamard transform.
///
/// A length that is no power of two is cut into blocks that are, largest first: 100 is 64 + 32 + 4. A block x of m elements
/// becomes `H (s * x) / sqrt(m)`: s are signs from the seed, H is Sylvester's matrix, whose element `(i, j)` is -1 where i and j
/// have an odd number of bits in common, else 1. The same seed gives the same rotation, and the same bits, on every machine and in every version.
#[derive(Debug)]
pub struct Rotation {
    rotation: kernels::Rotation,
}

impl Rotation {
    /// The rotation of rows of `length` that belongs to `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a length of 0; [`Error::OutOfMemory`].
    pub fn new(length: usize, seed: u64) -> Result<Self, Error> {
        if length == 0 {
            return Err(Error::InvalidArgument { argument: "length", value: length.into(), allowed: "at least 1" });
        }
        Ok(Rotation { rotation: kernels::Rotation::new(length, seed)? })
    }

    /// Elements of a row.
    pub fn length(&self) -> usize {
        self.rotation.length()
    }

    /// Rotates every row of `x`. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::CutRow`] unless `x` is whole rows.
    pub fn apply(&self, x: &mut [f32]) -> Result<(), Error> {
        self.run(Way::There, Output::in_place(x))
    }

    /// Rotates every row of `x` back: by the transpose, which is the inverse. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::CutRow`] unless `x` is whole rows.
    pub fn apply_transpose(&self, x: &mut [f32]) -> Result<(), Error> {
        self.run(Way::Back, Output::in_place(x))
    }

    /// Rotates the rows of a buffer in place.
    pub(crate) fn run(&self, way: Way, (from, to): (Input<'_, f32>, Output<'_, f32>)) -> Result<(), Error> {
        let (n, length) = (from.len(), self.length());
        if !n.is_multiple_of(length) {
            return Err(Error::CutRow { n, length });
        }
        self.rotation.run_on(way, from, to, Threads::Own(1));
        Ok(())
    }
}
