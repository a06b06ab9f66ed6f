//! A quantizer with incoherence: every row is rotated before it is quantized, and back afterwards.
//!
//! With R the rotation of [`crate::kernels::Rotation`], the codes are those of `R w`, and the values are R transposed times those of the
//! codes. The gradient takes the same way: `R g` goes through the estimator at `R w`, and back. Everything that belongs to a
//! weight by its place (its scale, its group) belongs to a place of `R w`.
//!
//! A row is the last dimension of the shape, else a channel, else the whole tensor, so that no rotation mixes rows. These
//! calls allocate, as no other forward or backward does: the signs of a row, and a rotated copy where no output can hold it.

use super::Grid;
use super::rounding::NonFinite;
use crate::calibrate;
use crate::error::Error;
use crate::kernels::{Cut, Gradients, Groups, Input, Output, Rotation, STATISTICS, Statistics};
use crate::ste::SteVariant;

impl Grid {
    pub(crate) fn is_incoherent(&self) -> bool {
        self.incoherent
    }

    /// Starts or stops the rotation of rows.
    pub(crate) fn set_incoherent(&mut self, incoherent: bool) {
        self.incoherent = incoherent;
    }

    pub(crate) fn rotation_seed(&self) -> u64 {
        self.rotation_seed
    }

    /// Chooses another rotation.
    pub(crate) fn set_rotation_seed(&mut self, seed: u64) {
        self.rotation_seed = seed;
    }

    /// Whether rows of a tensor of `n` are to be rotated.
    #[inline]
    pub(super) fn rotates(&self, n: usize) -> bool {
        self.incoherent && n > 0
    }

    /// The rotation of the rows of a tensor of `n`, which can be cut.
    pub(super) fn rotation(&self, n: usize) -> Result<Rotation, Error> {
        Rotation::new(self.layout.row(n), self.rotation_seed)
    }

    /// Weights as a calibration is to see them.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the first NaN or infinity, which would be everywhere in its row after a rotation;
    /// [`Error::OutOfMemory`].
    pub(super) fn rotated(&self, w: Input<'_, f32>) -> Result<Vec<f32>, Error> {
        calibrate::max_abs(w, Cut::runs(1, w.len()), 1, self.threads)?;
        self.rotation(w.len())?.rotated(w, self.threads)
    }

    #[cold]
    pub(super) fn forward_rotated(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        let rotation = self.rotation(w.len())?;
        match values {
            Some(values) => rotation.around(w, values, self.threads, |w, values| {
                self.quantize_apart(cut, self.parameters.groups(), w, codes, Some(values));
            })?,
            None if codes.is_none() => {}
            None => {
                let rotated = rotation.rotated(w, self.threads)?;
                self.quantize_apart(cut, self.parameters.groups(), rotated[..].into(), codes, None);
            }
        }
        Ok(())
    }

    /// Forward, and what it does to the rotated weights of each group.
    pub(super) fn forward_statistics_rotated(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
        statistics: Output<'_, Statistics>,
    ) -> Result<(), Error> {
        let (rotation, groups) = (self.rotation(w.len())?, self.parameters.groups());
        match values {
            Some(values) => rotation.around(w, values, self.threads, |w, values| {
                self.quantize_any::<STATISTICS>(cut, groups, w, (codes, Some(values)), Some(statistics));
            })?,
            None => {
                let rotated = rotation.rotated(w, self.threads)?;
                self.quantize_any::<STATISTICS>(cut, groups, rotated[..].into(), (codes, None), Some(statistics));
            }
        }
        Ok(())
    }

    #[cold]
    pub(super) fn backward_rotated(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
    ) -> Result<(), Error> {
        if self.passes_all() {
            self.weight_gradient_apart(cut, w, grad_out, grad_w);
            return Ok(());
        }
        let rotation = self.rotation(w.len())?;
        let rotated = rotation.rotated(w, self.threads)?;
        rotation.around(grad_out, grad_w, self.threads, |grad_out, grad_w| {
            self.weight_gradient_apart(cut, rotated[..].into(), grad_out, grad_w);
        })
    }

    #[cold]
    pub(super) fn backward_scale_rotated(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
    ) -> Result<(), Error> {
        let rotation = self.rotation(w.len())?;
        let rotated = rotation.rotated(w, self.threads)?;
        let Gradients { weights, scales, offsets } = gradients;
        match weights {
            Some(grad_w) if !self.passes_all() => {
                rotation.around(grad_out, grad_w, self.threads, |grad_out, grad_w| {
                    let gradients = Gradients { weights: Some(grad_w), scales, offsets };
                    self.scale_gradient_apart(cut, rotated[..].into(), grad_out, gradients);
                })?;
            }
            weights => {
                let rotated_grad = rotation.rotated(grad_out, self.threads)?;
                let gradients = Gradients { weights: None, scales, offsets };
                self.scale_gradient_apart(cut, rotated[..].into(), rotated_grad[..].into(), gradients);
                if let Some(grad_w) = weights {
                    self.weight_gradient_apart(cut, w, grad_out, grad_w);
                }
            }
        }
        Ok(())
    }

    // What a plain call has inlined into it, once more for all that rotate.

    #[inline(never)]
    pub(super) fn quantize_apart(
        &self,
        cut: Cut,
        groups: Groups<'_>,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) {
        if self.is_stochastic() || self.non_finite == NonFinite::Propagate {
            self.quantize_any::<0>(cut, groups, w, (codes, values), None);
        } else {
            self.quantize::<false>(cut, groups, w, codes, values);
        }
    }

    #[inline(never)]
    fn weight_gradient_apart(&self, cut: Cut, w: Input<'_, f32>, grad_out: Input<'_, f32>, grad_w: Output<'_, f32>) {
        self.weight_gradient::<false>(cut, w, None, grad_out, grad_w);
    }

    #[inline(never)]
    fn scale_gradient_apart(&self, cut: Cut, w: Input<'_, f32>, grad_out: Input<'_, f32>, gradients: Gradients<'_>) {
        self.scale_gradient::<false>(cut, w, grad_out, gradients);
    }

    /// Whether the gradient of a weight is that of its value, to which no rotation matters.
    fn passes_all(&self) -> bool {
        matches!(self.ste, SteVariant::Standard | SteVariant::LearnedStepSize)
    }
}
