//! The uniform quantizer: its scale is its step.

use super::{DifferentiableQuantizer, Grid};
use crate::error::Error;
use crate::ste::SteVariant;

/// Quantizes to multiples of a scale.
#[derive(Debug, Clone)]
pub struct UniformQuantizer {
    grid: Grid,
}

impl UniformQuantizer {
    /// A per-tensor quantizer of scale `1 / 2^(bits-1)`, `bits` from 2 to 8.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for other `bits` or an estimator's parameter outside its range.
    pub fn new(bits: u32, ste: SteVariant) -> Result<Self, Error> {
        Ok(Self::from_grid(Grid::uniform(bits, ste)?))
    }

    pub(super) fn from_grid(grid: Grid) -> Self {
        UniformQuantizer { grid }
    }
}

impl DifferentiableQuantizer for UniformQuantizer {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn grid_mut(&mut self) -> &mut Grid {
        &mut self.grid
    }
}
