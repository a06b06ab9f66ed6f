//! The pi quantizer: its scale is alpha, its step `alpha * PI / k`.
//!
//! With a free alpha this grid is a uniform one under another name; both reach the same error. See the README.

use super::grid::{check_argument, check_pi};
use super::{DifferentiableQuantizer, Grid};
use crate::config::QatConfig;
use crate::error::Error;
use crate::ste::SteVariant;
use std::f32::consts::PI;

/// Quantizes to multiples of `alpha * PI / k`.
#[derive(Debug, Clone)]
pub struct PiQuantDifferentiable {
    grid: Grid,
}

impl PiQuantDifferentiable {
    /// A per-tensor quantizer with alpha 1 and the estimator [`SteVariant::LearnedStepSize`]; `bits` and `k` from 2 to 5.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for other `bits` or `k`.
    pub fn new(bits: u32, k: u32) -> Result<Self, Error> {
        Ok(Self::from_grid(Grid::pi(bits, k, SteVariant::LearnedStepSize)?))
    }

    /// 3 bits, k = 4; one channel until [`init_per_channel`](DifferentiableQuantizer::init_per_channel).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn piq3() -> Result<Self, Error> {
        Ok(Self::from_grid(Grid::from_config(&QatConfig::piq3())?))
    }

    /// 2 bits, k = 3, rows rotated ([`set_incoherence`](DifferentiableQuantizer::set_incoherence)); one channel until
    /// [`init_per_channel`](DifferentiableQuantizer::init_per_channel).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn piq2() -> Result<Self, Error> {
        Ok(Self::from_grid(Grid::from_config(&QatConfig::piq2())?))
    }

    /// The alpha of every channel.
    pub fn alphas(&self) -> &[f32] {
        self.grid.scales()
    }

    /// Changes the alpha of one channel.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] for a channel that does not exist, [`Error::InvalidArgument`] for an alpha that is not
    /// positive and finite.
    pub fn set_alpha(&mut self, channel: usize, alpha: f32) -> Result<(), Error> {
        self.grid.set_scale(channel, alpha)
    }

    /// The divisor of the step.
    pub fn k(&self) -> u32 {
        self.grid.k().expect("a pi grid has a divisor")
    }

    /// The gradient of the loss by each alpha, as
    /// [`backward_scale_into`](DifferentiableQuantizer::backward_scale_into) gives it; zeros for an empty tensor.
    ///
    /// # Errors
    /// [`Error::NotDivisible`], [`Error::LengthMismatch`] or [`Error::OutOfMemory`].
    pub fn compute_alpha_grad(&self, w: &[f32], grad_out: &[f32]) -> Result<Vec<f32>, Error> {
        let mut grad_alpha = super::zeros(self.grid.scales().len())?;
        self.backward_scale_into(w, grad_out, None, &mut grad_alpha)?;
        Ok(grad_alpha)
    }

    pub(super) fn from_grid(grid: Grid) -> Self {
        PiQuantDifferentiable { grid }
    }
}

/// The alpha at which the `2^bits` codes of a pi quantizer span `range`: `alpha = range / (2^bits - 1) * k / PI`.
///
/// A calibration for weights whose spread, largest minus smallest, is known without the weights themselves.
///
/// # Errors
/// [`Error::InvalidArgument`] for `bits` or `k` outside 2..=5, and for a `range` that is not positive and finite or whose
/// alpha would not be.
pub fn init_pi_scale(range: f32, bits: u32, k: u32) -> Result<f32, Error> {
    check_pi(bits, k)?;
    let intervals = (1u32 << bits) - 1;
    let alpha = range / intervals as f32 * k as f32 / PI;
    check_argument("range", alpha > 0.0 && alpha.is_finite(), range, "positive and finite, and so must be its alpha")?;
    Ok(alpha)
}

impl DifferentiableQuantizer for PiQuantDifferentiable {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn grid_mut(&mut self) -> &mut Grid {
        &mut self.grid
    }
}
