//! Gradients through the rounding: of the weights alone, or of weights, scales and offsets in one pass over memory.
//!
//! The formula of each estimator is in [`crate::ste`]; here it meets the blocks. The gradient of a scale is a sum of
//! `grad_out * slope`, that of an offset a sum of `grad_out` outside the range, times a factor, see [`Factor`].

use super::buffer::{Block, Input, Output};
use super::groups::{Lanes, Source};
use super::quantize::{CodeBounds, Rounding, levels, values_of, without_offset};
use super::quotient;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};
use crate::ste::{Element, Estimator};

/// What the gradients of a block are computed from.
struct Examined {
    w: [f32; BLOCK],
    grad_out: [f32; BLOCK],
    levels: [f32; BLOCK],
    values: [f32; BLOCK],
    /// `w / step`, or beyond the range; only for estimators that look at the range.
    quotients: [f32; BLOCK],
    residuals: [f32; BLOCK],
    min: [f32; BLOCK],
    max: [f32; BLOCK],
    rounding: Rounding,
}

impl Examined {
    /// Quantizes a block as far as `E` needs it.
    #[inline(always)]
    fn new<V: Vectors, S: Source, E: Estimator>(
        w: [f32; BLOCK],
        grad_out: [f32; BLOCK],
        lanes: &Lanes,
        range: CodeBounds,
        rounding: Rounding,
    ) -> Examined {
        let (min, max) = range.levels::<S>(lanes);
        let mut examined = Examined {
            w,
            grad_out,
            levels: [0.0; BLOCK],
            values: [0.0; BLOCK],
            quotients: [0.0; BLOCK],
            residuals: [0.0; BLOCK],
            min,
            max,
            rounding,
        };
        if E::READS_RANGE {
            let from_offset = without_offset::<S>(w, lanes);
            examined.quotients = quotient::near::<V>(&from_offset, lanes, &min, &max);
            for lane in 0..BLOCK {
                let quotient = examined.quotients[lane];
                let clamped = quotient::smaller(quotient::larger(quotient, min[lane]), max[lane]);
                examined.levels[lane] = if quotient.is_nan() { 0.0 } else { rounding.round(clamped) };
            }
            examined.residuals = quotient::residuals::<V>(&from_offset, &examined.levels, lanes);
        } else {
            examined.levels = levels::<V, S>(w, lanes, range, rounding);
        }
        examined.values = values_of::<S>(&examined.levels, lanes);
        examined
    }

    /// What an estimator sees of one element.
    #[inline(always)]
    fn element(&self, lane: usize) -> Element {
        let quotient = self.quotients[lane];
        Element {
            w: self.w[lane],
            grad_out: self.grad_out[lane],
            value: self.values[lane],
            level: self.levels[lane],
            residual: self.residuals[lane],
            rounds_into_range: self.rounding.round(quotient) == self.levels[lane],
            is_inside: (quotient > self.min[lane]) & (quotient < self.max[lane]),
        }
    }
}

/// Gradient of the weights.
pub(crate) struct WeightGradient<'a, E> {
    w: Input<'a, f32>,
    /// What forward gave for `w`; computed again when absent and needed.
    values: Option<Input<'a, f32>>,
    grad_out: Input<'a, f32>,
    grad_w: Output<'a, f32>,
    range: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

impl<'a, E: Estimator> WeightGradient<'a, E> {
    pub(crate) fn new(
        w: Input<'a, f32>,
        values: Option<Input<'a, f32>>,
        grad_out: Input<'a, f32>,
        grad_w: Output<'a, f32>,
        range: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = grad_w.stream_if_it_pays(&[grad_out]);
        WeightGradient { w, values, grad_out, grad_w, range, rounding, estimator }
    }

    /// Whether groups do not matter: the tensor may then be walked as one run.
    pub(crate) fn ignores_groups(&self) -> bool {
        !E::READS_RANGE && (self.values.is_some() || !E::READS_VALUE)
    }
}

impl<E: Estimator> Work<0> for WeightGradient<'_, E> {
    type Join = Sum;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes) -> [[f32; BLOCK]; 0] {
        let (w, grad_out) = (self.w.load(block), self.grad_out.load(block));
        let mut gradients = [0.0; BLOCK];
        match &self.values {
            Some(values) if E::READS_VALUE => {
                let values = values.load(block);
                for lane in 0..BLOCK {
                    let element = Element::of_value(w[lane], values[lane], grad_out[lane]);
                    gradients[lane] = self.estimator.weight_gradient(&element);
                }
            }
            _ => {
                let examined = Examined::new::<V, S, E>(w, grad_out, lanes, self.range, self.rounding);
                for lane in 0..BLOCK {
                    gradients[lane] = self.estimator.weight_gradient(&examined.element(lane));
                }
            }
        }
        self.grad_w.store(block, &gradients);
        []
    }

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

impl Factor {
    #[inline(always)]
    fn times(&self, sum: f64, count: usize) -> f32 {
        (sum * (self.numerator / (count as f64 * self.levels).sqrt())) as f32
    }
}

/// Gradient of the weights, when asked for, and of each scale; with two `TOTALS` of each offset too.
pub(crate) struct ScaleGradient<'a, E, const TOTALS: usize> {
    w: Input<'a, f32>,
    grad_out: Input<'a, f32>,
    grad_w: Option<Output<'a, f32>>,
    grad_scale: Output<'a, f32>,
    grad_offset: Option<Output<'a, f32>>,
    factor: Factor,
    range: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

/// The outputs of a [`ScaleGradient`].
pub(crate) struct Gradients<'a> {
    pub(crate) weights: Option<Output<'a, f32>>,
    pub(crate) scales: Output<'a, f32>,
    pub(crate) offsets: Option<Output<'a, f32>>,
}

impl<'a, E: Estimator, const TOTALS: usize> ScaleGradient<'a, E, TOTALS> {
    pub(crate) fn new(
        w: Input<'a, f32>,
        grad_out: Input<'a, f32>,
        gradients: Gradients<'a>,
        factor: Factor,
        range: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = gradients.weights.map(|grad_w| grad_w.stream_if_it_pays(&[grad_out]));
        let (grad_scale, grad_offset) = (gradients.scales, gradients.offsets);
        ScaleGradient { w, grad_out, grad_w, grad_scale, grad_offset, factor, range, rounding, estimator }
    }
}

impl<E: Estimator, const TOTALS: usize> Work<TOTALS> for ScaleGradient<'_, E, TOTALS> {
    type Join = Sum;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes) -> [[f32; BLOCK]; TOTALS] {
        let (w, grad_out) = (self.w.load(block), self.grad_out.load(block));
        let examined = Examined::new::<V, S, E>(w, grad_out, lanes, self.range, self.rounding);
        if let Some(grad_w) = &mut self.grad_w {
            let mut gradients = [0.0; BLOCK];
            for lane in 0..BLOCK {
                gradients[lane] = self.estimator.weight_gradient(&examined.element(lane));
            }
            grad_w.store(block, &gradients);
        }
        let mut terms = [[0.0; BLOCK]; TOTALS];
        for lane in 0..BLOCK {
            let element = examined.element(lane);
            terms[0][lane] = grad_out[lane] * self.estimator.slope_of_scale(&element);
            if TOTALS > 1 {
                terms[1][lane] = self.estimator.offset_gradient(&element);
            }
        }
        terms
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, totals: [f64; TOTALS]) {
        self.grad_scale.set(group, self.factor.times(totals[0], count));
        if let (Some(grad_offset), Some(total)) = (&mut self.grad_offset, totals.get(1)) {
            grad_offset.set(group, *total as f32);
        }
    }

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
