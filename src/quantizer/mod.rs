//! Quantizers that training can see through: forward to codes and values, backward to weights and scales.
//!
//! [`DifferentiableQuantizer`] is the interface; [`UniformQuantizer`] and [`PiQuantDifferentiable`] are the two ways of
//! turning a learned scale into the step of a [`Grid`], the engine that both share.
//!
//! Tensors are contiguous slices of f32; [`TypedQuantizer`] takes others. Which weights share a scale is the quantizer's granularity: all, a channel along any
//! axis, a token, a block along any axis. [`DifferentiableQuantizer::set_shape`] says what the tensors look like; without
//! it, channels are equal, contiguous slices: a weight matrix stored as `[out][in]` has its rows as channels. A tensor that
//! cannot be cut so is refused.

mod grid;
mod parameter;
mod pi;
mod range;
mod rotated;
mod rounding;
mod state;
mod tensors;
mod typed;
mod uniform;

pub use crate::calibrate::ScaleInit;
pub use crate::kernels::{Element, Statistics};
pub use grid::Grid;
pub use pi::{PiQuantDifferentiable, init_pi_scale};
pub use range::CodeRange;
pub use rounding::{NonFinite, RoundingMode};
pub use state::quantizer_from_json;
pub(crate) use state::{MAX_STATE_LENGTH, too_long};
pub use typed::TypedQuantizer;
pub use uniform::UniformQuantizer;

use crate::calibrate::observer::Observer;
use crate::config::{QatConfig, QuantGranularity};
use crate::error::Error;
use crate::kernels::{Gradients, Input, Output};
use crate::ste::SteVariant;

/// A quantizer whose rounding has a gradient.
///
/// `forward`, `backward` and `dequantize` return fresh vectors; the `*_into` and `*_in_place` forms write to the caller's
/// memory and allocate nothing, except with incoherence and where they say so. A function that returns an error has changed nothing.
///
/// # Errors
/// Every function that takes a tensor returns [`Error::NotDivisible`] or [`Error::ShapeMismatch`] when the tensor cannot be cut
/// into the quantizer's groups, [`Error::NoShape`] when the granularity needs a shape that was not declared, and [`Error::LengthMismatch`] when two buffers of one call differ in length. The vector-returning forms can
/// return [`Error::OutOfMemory`].
pub trait DifferentiableQuantizer: Send + Sync {
    /// The engine behind this quantizer.
    fn grid(&self) -> &Grid;

    /// The engine behind this quantizer, to be changed.
    fn grid_mut(&mut self) -> &mut Grid;

    /// The codes of `w` and the values that they stand for.
    ///
    /// `code = clamp(round(w / step), -2^(bits-1), 2^(bits-1) - 1)` and `value = code * step`. NaN gives code 0, an infinity
    /// the code at its end of the range, unless [`set_non_finite`](Self::set_non_finite) says otherwise.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the first NaN or infinity under [`NonFinite::Reject`].
    fn forward(&self, w: &[f32]) -> Result<(Vec<i8>, Vec<f32>), Error> {
        let mut codes = zeros(w.len())?;
        let mut values = zeros(w.len())?;
        self.forward_into(w, Some(&mut codes), Some(&mut values))?;
        Ok((codes, values))
    }

    /// [`forward`](Self::forward) into the caller's slices, of which either may be left out.
    fn forward_into(&self, w: &[f32], codes: Option<&mut [i8]>, values: Option<&mut [f32]>) -> Result<(), Error> {
        self.grid().forward(w.into(), codes.map(Output::from), values.map(Output::from))
    }

    /// [`forward_into`](Self::forward_into), and what it does to each group: one of `statistics` for each scale. Sums are
    /// within 1e-6 of themselves, and their bits do not depend on the machine. An empty tensor leaves them as they are.
    fn forward_statistics_into(
        &self,
        w: &[f32],
        codes: Option<&mut [i8]>,
        values: Option<&mut [f32]>,
        statistics: &mut [Statistics],
    ) -> Result<(), Error> {
        let (codes, values) = (codes.map(Output::from), values.map(Output::from));
        self.grid().forward_statistics(w.into(), codes, values, statistics.into())
    }

    /// [`forward`](Self::forward) with the values in place of the weights.
    fn forward_in_place(&self, w: &mut [f32], codes: Option<&mut [i8]>) -> Result<(), Error> {
        let (w, values) = Output::in_place(w);
        self.grid().forward(w, codes.map(Output::from), Some(values))
    }

    /// The gradient of the loss by each weight.
    ///
    /// `values` is what forward gave for `w`, `grad_out` the gradient by each value. The formula is the estimator's, see
    /// [`crate::ste`].
    fn backward(&self, w: &[f32], values: &[f32], grad_out: &[f32]) -> Result<Vec<f32>, Error> {
        let mut grad_w = zeros(w.len())?;
        self.backward_into(w, Some(values), grad_out, &mut grad_w)?;
        Ok(grad_w)
    }

    /// [`backward`](Self::backward) into the caller's slice; `values` are computed again when they are left out.
    fn backward_into(
        &self,
        w: &[f32],
        values: Option<&[f32]>,
        grad_out: &[f32],
        grad_w: &mut [f32],
    ) -> Result<(), Error> {
        self.grid().backward(w.into(), values.map(Input::from), grad_out.into(), grad_w.into())
    }

    /// [`backward`](Self::backward) with the gradient of the weights in place of `grad_out`.
    fn backward_in_place(&self, w: &[f32], values: Option<&[f32]>, grad: &mut [f32]) -> Result<(), Error> {
        let (grad_out, grad_w) = Output::in_place(grad);
        self.grid().backward(w.into(), values.map(Input::from), grad_out, grad_w)
    }

    /// [`forward_into`](Self::forward_into) with scales of this call's own, which are returned: those that
    /// [`init_scale`](Self::init_scale) would set, from the largest magnitude of each group of `w`.
    ///
    /// The quantizer's own scales, zero points and offsets are neither used nor changed. Per token, the number of tokens
    /// may change from call to call: any multiple of the last dimension is a tensor, and there is a scale for each
    /// token.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the first NaN or infinity in `w`.
    fn forward_dynamic_into(
        &self,
        w: &[f32],
        codes: Option<&mut [i8]>,
        values: Option<&mut [f32]>,
        scales: &mut [f32],
    ) -> Result<(), Error> {
        self.grid().forward_dynamic(w.into(), codes.map(Output::from), values.map(Output::from), scales.into())
    }

    /// The gradient of the weights, when asked for, and of each scale, in one pass over memory.
    ///
    /// The formulas are those of the estimator, see [`crate::ste`]. Sums do not depend on the machine and are within 1e-6 of the
    /// sum of magnitudes. An empty tensor leaves both outputs as they are.
    fn backward_scale_into(
        &self,
        w: &[f32],
        grad_out: &[f32],
        grad_w: Option<&mut [f32]>,
        grad_scale: &mut [f32],
    ) -> Result<(), Error> {
        let (weights, scales) = (grad_w.map(Output::from), grad_scale.into());
        self.grid().backward_scale(w.into(), grad_out.into(), Gradients { weights, scales, offsets: None })
    }

    /// [`backward_scale_into`](Self::backward_scale_into), and the gradient of each offset.
    ///
    /// The gradient of a zero point, taken as a real number, is that of the offset times minus the step.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] for an estimator that ignores the range, see [`SteVariant::reads_range`].
    fn backward_scale_offset_into(
        &self,
        w: &[f32],
        grad_out: &[f32],
        grad_w: Option<&mut [f32]>,
        grad_scale: &mut [f32],
        grad_offset: &mut [f32],
    ) -> Result<(), Error> {
        let (weights, scales, offsets) = (grad_w.map(Output::from), grad_scale.into(), Some(grad_offset.into()));
        self.grid().backward_scale(w.into(), grad_out.into(), Gradients { weights, scales, offsets })
    }

    /// The values of `codes`: `code * step`. Codes outside the range are not clamped.
    fn dequantize(&self, codes: &[i8]) -> Result<Vec<f32>, Error> {
        let mut values = zeros(codes.len())?;
        self.dequantize_into(codes, &mut values)?;
        Ok(values)
    }

    /// [`dequantize`](Self::dequantize) into the caller's slice.
    fn dequantize_into(&self, codes: &[i8], values: &mut [f32]) -> Result<(), Error> {
        self.grid().dequantize(codes.into(), values.into())
    }

    /// Makes the quantizer per channel, every scale 1.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0 channels.
    fn init_per_channel(&mut self, channels: usize) -> Result<(), Error> {
        self.grid_mut().init_per_channel(channels)
    }

    /// Changes which weights share a scale. The shape is forgotten; every scale is 1, every zero point and offset as
    /// at the start.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a block of 0.
    fn set_granularity(&mut self, granularity: QuantGranularity) -> Result<(), Error> {
        self.grid_mut().set_granularity(granularity)
    }

    /// Declares the shape of the tensors, row-major, and the axis of the channels or blocks. Every scale is 1, every zero point
    /// and offset as at the start.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no or more than 16 dimensions or a dimension of 0, [`Error::IndexOutOfRange`] for the
    /// axis, [`Error::SizeOverflow`].
    fn set_shape(&mut self, shape: &[usize], axis: usize) -> Result<(), Error> {
        self.grid_mut().set_shape(shape, axis)
    }

    /// Which weights share a scale.
    fn granularity(&self) -> QuantGranularity {
        self.grid().granularity()
    }

    /// The index of the scale of an element of a tensor of `n`.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`].
    fn group_of(&self, element: usize, n: usize) -> Result<usize, Error> {
        self.grid().group_of(element, n)
    }

    /// Sets each scale from the largest magnitude of its weights, which then lies half a step beyond the largest code.
    ///
    /// A group of zeros gets scale 1. Zero points and offsets go back to the start. An empty `w` changes nothing.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the first NaN or infinity in `w`.
    fn init_scale(&mut self, w: &[f32]) -> Result<(), Error> {
        self.init_scale_with(ScaleInit::MaxAbs, w)
    }

    /// Sets each scale, and each zero point where it is free, from its weights.
    ///
    /// # Errors
    /// As [`init_scale`](Self::init_scale), and [`Error::InvalidArgument`] for a percentage outside (0, 100].
    fn init_scale_with(&mut self, method: ScaleInit, w: &[f32]) -> Result<(), Error> {
        self.grid_mut().init_scale(w.into(), method)
    }

    /// Sets each scale, and each zero point where it is free, from what an observer remembers of its group.
    ///
    /// A histogram knows every method; ranges know [`ScaleInit::MaxAbs`] and [`ScaleInit::MinMax`].
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] unless there are as many groups as scales, [`Error::NoData`] for a group without a finite
    /// element, [`Error::NotApplicable`] for a method that the observer cannot serve, and [`Error::InvalidArgument`] as
    /// [`init_scale_with`](Self::init_scale_with).
    fn init_scale_from(&mut self, observer: &Observer, method: ScaleInit) -> Result<(), Error> {
        self.grid_mut().init_scale_from(observer, method)
    }

    /// One step of gradient descent on every scale: `scale - learning_rate * grad_scale`, or `min_scale` where that is smaller.
    /// A step that would leave the range of finite scales at the other end is not taken. Says how many scales were so
    /// projected.
    ///
    /// # Errors
    /// [`Error::InvalidElement`] naming the first NaN; [`Error::InvalidArgument`] unless `learning_rate` and `min_scale` are
    /// positive and finite.
    fn apply_scale_step(&mut self, grad_scale: &[f32], learning_rate: f32, min_scale: f32) -> Result<usize, Error> {
        self.grid_mut().apply_scale_step(grad_scale.into(), learning_rate, min_scale)
    }

    /// Which codes are used.
    fn code_range(&self) -> CodeRange {
        self.grid().code_range()
    }

    /// Changes which codes are used. Zero points go back to the range's.
    fn set_code_range(&mut self, range: CodeRange) {
        self.grid_mut().set_code_range(range);
    }

    /// Whether the zero points are fixed.
    fn is_symmetric(&self) -> bool {
        self.grid().is_symmetric()
    }

    /// Fixes the zero points to the range's, or frees them to be set and calibrated.
    fn set_symmetric(&mut self, symmetric: bool) {
        self.grid_mut().set_symmetric(symmetric);
    }

    /// The code of the value 0 in a group.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`].
    fn zero_point(&self, group: usize) -> Result<i32, Error> {
        self.grid().step_size(group)?;
        Ok(self.grid().zero_point(group))
    }

    /// Replaces every zero point.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] for a symmetric quantizer, [`Error::ZeroPoint`] for one that is no code,
    /// [`Error::LengthMismatch`].
    fn set_zero_points(&mut self, zero_points: &[i32]) -> Result<(), Error> {
        self.grid_mut().set_zero_points(zero_points.into())
    }

    /// What is added to every value of a group: LSQ+'s beta, 0 unless set.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`].
    fn offset(&self, group: usize) -> Result<f32, Error> {
        self.grid().step_size(group)?;
        Ok(self.grid().offset(group))
    }

    /// Replaces every offset.
    ///
    /// # Errors
    /// [`Error::InvalidElement`] for one that is not finite, [`Error::LengthMismatch`].
    fn set_offsets(&mut self, offsets: &[f32]) -> Result<(), Error> {
        self.grid_mut().set_offsets(offsets.into())
    }

    /// Whether rows are rotated before they are quantized.
    fn incoherence(&self) -> bool {
        self.grid().is_incoherent()
    }

    /// Starts or stops rotating every row before it is quantized, and back afterwards: the codes are those of the rotated weights, the
    /// values are near the weights again, and gradients take the same way, see [`crate::Rotation`].
    ///
    /// A row is the last dimension of the shape, else a channel, else the whole tensor. Scales stay what they are; calibrate
    /// them anew, as they belong to places of the rotated tensor. Calls on tensors then allocate.
    fn set_incoherence(&mut self, incoherence: bool) {
        self.grid_mut().set_incoherent(incoherence);
    }

    /// The seed of the rotation's signs; 0 unless set.
    fn rotation_seed(&self) -> u64 {
        self.grid().rotation_seed()
    }

    /// Chooses the rotation's signs.
    fn set_rotation_seed(&mut self, seed: u64) {
        self.grid_mut().set_rotation_seed(seed);
    }

    /// Everything that [`quantizer_from_json`] needs to make this quantizer again, bit for bit, as JSON on one line: all that can be
    /// set, and every scale, zero point and offset. Threads and a host's pool are the process's, and left out.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn to_json(&self) -> Result<String, Error> {
        let mut json = Vec::new();
        json.try_reserve_exact(self.grid().json_length()?)?;
        self.grid().write_json(&mut json)?;
        String::from_utf8(json).map_err(|_| Error::Internal("JSON is not UTF-8"))
    }

    /// Lets calls of 4 Mi elements or more use `threads` threads, the caller's among them; 0 for as many as this process may
    /// use. The threads end with the call, and results are the same bits for any number. The default is 1.
    fn set_threads(&mut self, threads: usize) {
        self.grid_mut().set_threads(threads);
    }

    /// The scale of the first group, the only one of a per-tensor quantizer; 1 while there is none.
    fn scale(&self) -> f32 {
        self.grid().scales().first().copied().unwrap_or(1.0)
    }

    /// Every scale, in group order; for pi the alphas.
    fn scales(&self) -> &[f32] {
        self.grid().scales()
    }

    /// Gives every group the same scale.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for one that is not positive and finite.
    fn set_scale(&mut self, scale: f32) -> Result<(), Error> {
        self.grid_mut().set_all_scales(scale)
    }

    /// Replaces every scale.
    ///
    /// # Errors
    /// As [`set_scale`](Self::set_scale), and [`Error::LengthMismatch`] unless there is one scale per group.
    fn set_scales(&mut self, scales: &[f32]) -> Result<(), Error> {
        self.grid_mut().set_scales(scales.into())
    }

    /// The distance between neighbouring values of a group.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`].
    fn step_size(&self, group: usize) -> Result<f32, Error> {
        self.grid().step_size(group)
    }

    /// Bits of a code.
    fn bits(&self) -> u32 {
        self.grid().bits()
    }

    /// Number of codes, `2^bits`.
    fn num_levels(&self) -> u32 {
        self.grid().num_levels()
    }

    /// The estimator.
    fn ste_variant(&self) -> SteVariant {
        self.grid().ste()
    }

    /// Changes the estimator.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a parameter outside its range.
    fn set_ste_variant(&mut self, ste: SteVariant) -> Result<(), Error> {
        self.grid_mut().set_ste(ste)
    }

    /// What happens between two codes.
    fn rounding(&self) -> RoundingMode {
        self.grid().rounding()
    }

    /// Changes what happens between two codes. Calibration rounds half to even where the mode is stochastic.
    fn set_rounding(&mut self, rounding: RoundingMode) {
        self.grid_mut().set_rounding(rounding);
    }

    /// Whether halves round to the even code instead of away from zero.
    fn rounds_half_even(&self) -> bool {
        self.rounding() == RoundingMode::HalfEven
    }

    /// Chooses between rounding half to even and half away from zero, the default.
    fn set_rounds_half_even(&mut self, half_even: bool) {
        self.set_rounding(if half_even { RoundingMode::HalfEven } else { RoundingMode::HalfAway });
    }

    /// The seed of stochastic rounding, and the index of each call's first element; both 0 unless set.
    fn seed(&self) -> (u64, u64) {
        self.grid().seed()
    }

    /// Changes what stochastic rounding draws: a function of the seed and of an element's index, counted from `first_element` on.
    ///
    /// The same two numbers give the same codes, in backward the ones of forward; a training step wants a seed of its own.
    /// A tensor that is split over calls gives the codes of one call when each is told where it begins.
    fn set_seed(&mut self, seed: u64, first_element: u64) {
        self.grid_mut().set_seed(seed, first_element);
    }

    /// What forward does with NaNs and infinities.
    fn non_finite(&self) -> NonFinite {
        self.grid().non_finite()
    }

    /// Changes what forward does with NaNs and infinities. Gradients are not affected.
    fn set_non_finite(&mut self, non_finite: NonFinite) {
        self.grid_mut().set_non_finite(non_finite);
    }
}

/// The quantizer that `config` describes: pi when it has a `pi_k`, uniform otherwise, every scale 1 until calibrated.
///
/// A per-channel configuration starts with one channel, a per-token or per-block one with no scale at all, until
/// [`set_shape`](DifferentiableQuantizer::set_shape) (or [`init_per_channel`](DifferentiableQuantizer::init_per_channel)).
///
/// # Errors
/// [`Error::InvalidConfig`] when the configuration does not validate.
pub fn create_quantizer(config: &QatConfig) -> Result<Box<dyn DifferentiableQuantizer>, Error> {
    let grid = Grid::from_config(config)?;
    Ok(if config.is_pi() {
        Box::new(PiQuantDifferentiable::from_grid(grid))
    } else {
        Box::new(UniformQuantizer::from_grid(grid))
    })
}

fn zeros<T: Clone + Default>(n: usize) -> Result<Vec<T>, Error> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(n)?;
    vector.resize(n, T::default());
    Ok(vector)
}
