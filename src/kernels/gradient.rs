//! Gradients through the rounding: of the weights alone, or of weights, scales and offsets in one pass over memory.
//!
//! The formula of each estimator is in [`super::estimator`]; here it meets the blocks. The gradient of a scale is a sum of
//! `grad_out * slope`, that of an offset a sum of `grad_out` outside the range, times a factor, see [`Factor`].

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::estimator::{Elements, Estimator};
use super::format::Format;
use super::groups::{Everything, Lanes, Source};
use super::quantize::{CodeBounds, Rounding, without_offset};
use super::vector::Floats;
use super::walk::{Sum, Work};

/// Quantizes one register of weights as far as `E` needs it.
#[inline(always)]
fn examine<V: Vectors, S: Source, E: Estimator>(
    w: V::Floats,
    grad_out: V::Floats,
    lanes: &Lanes<V>,
    register: usize,
    bounds: CodeBounds,
    rounding: Rounding,
) -> Elements<V::Floats> {
    let divisor = bounds.divisor::<V, S>(lanes, register);
    let from_offset = without_offset::<V, S>(w, lanes, register);
    let mut elements = Elements::of_value(w, w, grad_out);
    if E::READS_RANGE {
        let quotient = divisor.near::<V>(from_offset);
        let level = rounding.round(quotient);
        elements.level = level.at_least(divisor.min).at_most(divisor.max).only(quotient.is_number());
        elements.residual = divisor.residual(from_offset, elements.level);
        elements.rounds_into_range = level.equals(elements.level);
        elements.is_inside = V::Floats::both(divisor.min.is_below(quotient), quotient.is_below(divisor.max));
    } else {
        elements.level = rounding.round(divisor.clamped::<V>(from_offset));
    }
    elements.value = elements.level.times(divisor.step);
    if S::AFFINE {
        elements.value = elements.value.plus(lanes.offset[register]);
    }
    elements
}

/// Gradient of the weights.
pub(crate) struct WeightGradient<'a, F: Format, E> {
    format: F,
    w: Input<'a, F::Element>,
    /// What forward gave for `w`; computed again when absent and needed.
    values: Option<Input<'a, F::Element>>,
    grad_out: Input<'a, F::Element>,
    grad_w: Output<'a, F::Element>,
    bounds: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

impl<'a, F: Format, E: Estimator> WeightGradient<'a, F, E> {
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        format: F,
        w: Input<'a, F::Element>,
        values: Option<Input<'a, F::Element>>,
        grad_out: Input<'a, F::Element>,
        grad_w: Output<'a, F::Element>,
        bounds: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = grad_w.stream_if_it_pays(&[grad_out]);
        WeightGradient { format, w, values, grad_out, grad_w, bounds, rounding, estimator }
    }

    /// Whether groups do not matter: the tensor may then be walked as one run.
    pub(crate) fn ignores_groups(&self) -> bool {
        !E::READS_RANGE && (self.values.is_some() || !E::READS_VALUE)
    }
}

impl<F: Format, E: Estimator> Work<0> for WeightGradient<'_, F, E> {
    type Join = Sum;
    type Reads = Everything;

    const IS_ALWAYS_AFFINE: bool = F::GRADIENTS_ARE_AFFINE;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes<V>) -> [V::Block; 0] {
        let (w, grad_out) =
            (self.w.load_as::<V, F>(self.format, block), self.grad_out.load_as::<V, F>(self.format, block));
        let mut gradients = grad_out;
        match &self.values {
            Some(values) if E::READS_VALUE => {
                let values = values.load_as::<V, F>(self.format, block);
                for register in 0..V::REGISTERS {
                    let elements = Elements::of_value(w[register], values[register], grad_out[register]);
                    gradients[register] = self.estimator.weight_gradient(&elements);
                }
            }
            _ => {
                for register in 0..V::REGISTERS {
                    let (bounds, rounding) = (self.bounds, self.rounding);
                    let elements =
                        examine::<V, S, E>(w[register], grad_out[register], lanes, register, bounds, rounding);
                    gradients[register] = self.estimator.weight_gradient(&elements);
                }
            }
        }
        self.grad_w.store_as::<V, F>(self.format, block, gradients);
        []
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        WeightGradient { grad_w: unsafe { self.grad_w.share() }, ..*self }
    }
}

/// What a sum is multiplied by to become the gradient of a scale: `numerator / sqrt(count * levels)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor {
    pub(crate) numerator: f64,
    pub(crate) levels: f64,
}

/// A [`Factor`] for the count that it was last asked for: runs of equal length need one root.
#[derive(Clone, Copy)]
struct LastFactor {
    factor: Factor,
    count: usize,
    value: f64,
}

impl LastFactor {
    #[inline(always)]
    fn of(&mut self, count: usize) -> f64 {
        if count != self.count {
            let Factor { numerator, levels } = self.factor;
            (self.count, self.value) = (count, numerator / (count as f64 * levels).sqrt());
        }
        self.value
    }
}

/// Gradient of the weights, when asked for, and of each scale; with two `TOTALS` of each offset too.
pub(crate) struct ScaleGradient<'a, F: Format, E, const TOTALS: usize> {
    format: F,
    w: Input<'a, F::Element>,
    grad_out: Input<'a, F::Element>,
    grad_w: Option<Output<'a, F::Element>>,
    grad_scale: Output<'a, f32>,
    grad_offset: Option<Output<'a, f32>>,
    factor: LastFactor,
    bounds: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

/// The outputs of a [`ScaleGradient`].
pub(crate) struct Gradients<'a, F: Format> {
    pub(crate) weights: Option<Output<'a, F::Element>>,
    pub(crate) scales: Output<'a, f32>,
    pub(crate) offsets: Option<Output<'a, f32>>,
}

impl<'a, F: Format, E: Estimator, const TOTALS: usize> ScaleGradient<'a, F, E, TOTALS> {
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        format: F,
        w: Input<'a, F::Element>,
        grad_out: Input<'a, F::Element>,
        gradients: Gradients<'a, F>,
        factor: Factor,
        bounds: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = gradients.weights.map(|grad_w| grad_w.stream_if_it_pays(&[grad_out]));
        let (grad_scale, grad_offset) = (gradients.scales, gradients.offsets);
        let mut factor = LastFactor { factor, count: 0, value: 0.0 };
        // Per tensor this is all that is needed; at the end a short call would wait for the root.
        factor.of(w.len());
        ScaleGradient { format, w, grad_out, grad_w, grad_scale, grad_offset, factor, bounds, rounding, estimator }
    }
}

impl<F: Format, E: Estimator, const TOTALS: usize> Work<TOTALS> for ScaleGradient<'_, F, E, TOTALS> {
    type Join = Sum;
    type Reads = Everything;

    const IS_ALWAYS_AFFINE: bool = F::GRADIENTS_ARE_AFFINE;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes<V>) -> [V::Block; TOTALS] {
        let (w, grad_out) =
            (self.w.load_as::<V, F>(self.format, block), self.grad_out.load_as::<V, F>(self.format, block));
        let mut gradients = grad_out;
        let mut terms = [grad_out; TOTALS];
        for register in 0..V::REGISTERS {
            let (bounds, rounding) = (self.bounds, self.rounding);
            let elements = examine::<V, S, E>(w[register], grad_out[register], lanes, register, bounds, rounding);
            gradients[register] = self.estimator.weight_gradient(&elements);
            terms[0][register] = grad_out[register].times(self.estimator.slope_of_scale(&elements));
            if TOTALS > 1 {
                terms[1][register] = self.estimator.offset_gradient(&elements);
            }
        }
        if let Some(grad_w) = &mut self.grad_w {
            grad_w.store_as::<V, F>(self.format, block, gradients);
        }
        terms
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, totals: [f64; TOTALS]) {
        self.grad_scale.set(group, (totals[0] * self.factor.of(count)) as f32);
        if let (Some(grad_offset), Some(total)) = (&mut self.grad_offset, totals.get(1)) {
            grad_offset.set(group, *total as f32);
        }
    }

    #[inline(always)]
    fn total_each(&mut self, first: usize, count: usize, totals: [&[f64]; TOTALS]) {
        let factor = self.factor.of(count);
        for (gradient, total) in self.grad_scale.room(first, totals[0].len()).iter_mut().zip(totals[0]) {
            gradient.write((total * factor) as f32);
        }
        if let (Some(grad_offset), Some(totals)) = (&mut self.grad_offset, totals.get(1)) {
            for (gradient, total) in grad_offset.room(first, totals.len()).iter_mut().zip(*totals) {
                gradient.write(*total as f32);
            }
        }
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (grad_w, grad_scale, grad_offset) = unsafe {
            (
                self.grad_w.as_ref().map(|grad_w| grad_w.share()),
                self.grad_scale.share(),
                self.grad_offset.as_ref().map(|grad_offset| grad_offset.share()),
            )
        };
        ScaleGradient { grad_w, grad_scale, grad_offset, ..*self }
    }
}
