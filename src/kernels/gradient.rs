//! Gradients through the rounding: of the weights alone, or of weights, scales and offsets in one pass over memory.
//!
//! The formula of each estimator is in [`super::estimator`]; here it meets the blocks. The gradient of a scale is a sum of
//! `grad_out * slope`, that of an offset a sum of `grad_out` outside the range, times a factor, see [`Factor`].

use super::buffer::{Block, Input, Output};
use super::cut::Span;
use super::estimator::{Elements, Estimator};
use super::groups::Everything;
use super::quantize::{CodeBounds, Rounding, without_offset};
use super::sink::Sink;
use super::sources::{Lanes, Source};
use super::stage::Stage;
use super::vector::Floats;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};

/// Quantizes one register of weights as far as `E` needs it, with slopes or without. Levels mean nothing where a weight is NaN.
#[inline(always)]
fn examine<V: Vectors, L: Lanes<V>, E: Estimator, const SLOPES: bool>(
    w: V::Floats,
    lanes: &L,
    register: usize,
    bounds: CodeBounds,
    rounding: Rounding,
) -> Elements<V::Floats> {
    let divisor = bounds.divisor::<V, L>(lanes, register);
    let from_offset = without_offset::<V, L>(w, lanes, register);
    let mut elements = Elements::of_value(w, w);
    if E::READS_RANGE {
        let quotient = if SLOPES { divisor.divided(from_offset) } else { divisor.decisive::<V>(from_offset) };
        let (first, last) = E::range(divisor.min, divisor.max, rounding);
        // What is outside comes to lie on the last quotient inside, which rounds to the same level.
        let inside = quotient.at_least(first).at_most(last);
        elements.is_inside = quotient.equals(inside);
        let level = rounding.round(inside);
        elements.slope = divisor.residual(from_offset, level).or_else(elements.is_inside, level);
    } else {
        let level = rounding.round(divisor.clamped::<V>(from_offset));
        elements.slope = level;
        elements.value = level.times(divisor.step);
        if L::AFFINE {
            elements.value = elements.value.plus(lanes.offset(register));
        }
    }
    elements
}

/// Gradient of the weights.
pub(crate) struct WeightGradient<'a, E> {
    w: Input<'a, f32>,
    /// What forward gave for `w`; computed again when absent and needed.
    values: Option<Input<'a, f32>>,
    grad_out: Input<'a, f32>,
    grad_w: Output<'a, f32>,
    bounds: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

impl<'a, E: Estimator> WeightGradient<'a, E> {
    #[inline(always)]
    pub(crate) fn new(
        w: Input<'a, f32>,
        values: Option<Input<'a, f32>>,
        grad_out: Input<'a, f32>,
        grad_w: Output<'a, f32>,
        bounds: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = grad_w.stream_if_it_pays(&[grad_out]);
        WeightGradient { w, values, grad_out, grad_w, bounds, rounding, estimator }
    }

    /// Whether groups do not matter: the tensor may then be walked as one run.
    pub(crate) fn ignores_groups(&self) -> bool {
        !E::READS_RANGE && (self.values.is_some() || !E::READS_VALUE)
    }
}

impl<E: Estimator> Work<0> for WeightGradient<'_, E> {
    type Join = Sum;
    type Reads = Everything;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves()
            || self.values.is_some_and(|values| values.is_of_halves())
            || self.grad_out.is_of_halves()
            || self.grad_w.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
        stage.input(self.values.as_mut());
        stage.input(Some(&mut self.grad_out));
        stage.output(Some(&mut self.grad_w));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
            && self.values.is_none_or(|values| values.reaches(end))
            && self.grad_out.reaches(end)
            && self.grad_w.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; 0] {
        let (w, grad_out) = (self.w.load::<V>(block), self.grad_out.load::<V>(block));
        let mut gradients = grad_out;
        match &self.values {
            Some(values) if E::READS_VALUE => {
                let values = values.load::<V>(block);
                for register in 0..V::REGISTERS {
                    let elements = Elements::of_value(w[register], values[register]);
                    gradients[register] = self.estimator.weight_gradient(&elements, grad_out[register]);
                }
            }
            _ => {
                for register in 0..V::REGISTERS {
                    let (bounds, rounding) = (self.bounds, self.rounding);
                    let elements = if E::READS_SLOPE {
                        examine::<V, L, E, true>(w[register], lanes, register, bounds, rounding)
                    } else {
                        examine::<V, L, E, false>(w[register], lanes, register, bounds, rounding)
                    };
                    gradients[register] = self.estimator.weight_gradient(&elements, grad_out[register]);
                }
            }
        }
        self.grad_w.store::<V>(block, gradients);
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
pub(super) struct LastFactor {
    factor: Factor,
    count: usize,
    value: f64,
}

impl From<Factor> for LastFactor {
    #[inline(always)]
    fn from(factor: Factor) -> Self {
        LastFactor { factor, count: 0, value: 0.0 }
    }
}

impl LastFactor {
    #[inline(always)]
    pub(super) fn of(&mut self, count: usize) -> f64 {
        if count != self.count {
            let Factor { numerator, levels } = self.factor;
            (self.count, self.value) = (count, numerator / (count as f64 * levels).sqrt());
        }
        self.value
    }
}

/// Gradient of the weights, when asked for, and of each scale; with two `TOTALS` of each offset too.
pub(crate) struct ScaleGradient<'a, E, const TOTALS: usize> {
    terms: Terms<'a, E>,
    grad_w: Option<Output<'a, f32>>,
    grad_scale: Output<'a, f32>,
    grad_offset: Option<Output<'a, f32>>,
    factor: LastFactor,
}

/// What the gradients are made of.
#[derive(Clone, Copy)]
struct Terms<'a, E> {
    w: Input<'a, f32>,
    grad_out: Input<'a, f32>,
    bounds: CodeBounds,
    rounding: Rounding,
    estimator: E,
}

impl<E: Estimator> Terms<'_, E> {
    /// The terms of a block; the gradients of its weights are written. Unless it `KNOWS_NAN`, those of NaN weights are NaN, not 0.
    #[inline(always)]
    fn of<V: Vectors, L: Lanes<V>, const TOTALS: usize, const KNOWS_NAN: bool>(
        self,
        block: Block,
        lanes: &L,
        grad_w: &mut Option<Output<'_, f32>>,
    ) -> [V::Block; TOTALS] {
        let (w, grad_out) = (self.w.load::<V>(block), self.grad_out.load::<V>(block));
        let mut gradients = grad_out;
        let mut terms = [grad_out; TOTALS];
        for register in 0..V::REGISTERS {
            let mut elements = examine::<V, L, E, true>(w[register], lanes, register, self.bounds, self.rounding);
            if KNOWS_NAN {
                elements.slope = elements.slope.only(elements.slope.is_number());
            }
            gradients[register] = self.estimator.weight_gradient(&elements, grad_out[register]);
            terms[0][register] = grad_out[register].times(elements.slope);
            if TOTALS > 1 {
                terms[1][register] = self.estimator.offset_gradient(&elements, grad_out[register]);
            }
        }
        if let Some(grad_w) = grad_w {
            grad_w.store::<V>(block, gradients);
        }
        terms
    }

    /// Those of whole blocks, given to `sink`.
    ///
    /// # Safety
    /// Every buffer has them, `source` parameters for them and `sink` room.
    #[inline(always)]
    unsafe fn of_whole_blocks<V, S, T, const TOTALS: usize, const KNOWS_NAN: bool>(
        self,
        span: Span,
        source: &mut S,
        grad_w: &mut Option<Output<'_, f32>>,
        sink: &mut T,
    ) where
        V: Vectors,
        S: Source<V>,
        T: Sink<V, Sum, TOTALS>,
    {
        for elements in span.rows() {
            let mut at = elements.start;
            while at < elements.end {
                // SAFETY: the caller's promise.
                unsafe {
                    let lanes = source.lanes(at - elements.start);
                    let terms = self.of::<V, S::Lanes, TOTALS, KNOWS_NAN>(Block::inside(at), &lanes, grad_w);
                    sink.join(at - elements.start, &terms);
                }
                at += BLOCK;
            }
        }
    }
}

/// The outputs of a [`ScaleGradient`].
pub(crate) struct Gradients<'a> {
    pub(crate) weights: Option<Output<'a, f32>>,
    pub(crate) scales: Output<'a, f32>,
    pub(crate) offsets: Option<Output<'a, f32>>,
}

impl<'a, E: Estimator, const TOTALS: usize> ScaleGradient<'a, E, TOTALS> {
    #[inline(always)]
    pub(crate) fn new(
        w: Input<'a, f32>,
        grad_out: Input<'a, f32>,
        gradients: Gradients<'a>,
        factor: Factor,
        bounds: CodeBounds,
        rounding: Rounding,
        estimator: E,
    ) -> Self {
        let grad_w = gradients.weights.map(|grad_w| grad_w.stream_if_it_pays(&[grad_out]));
        let (grad_scale, grad_offset) = (gradients.scales, gradients.offsets);
        let mut factor = LastFactor::from(factor);
        // Per tensor this is all that is needed; at the end a short call would wait for the root.
        factor.of(w.len());
        let terms = Terms { w, grad_out, bounds, rounding, estimator };
        ScaleGradient { terms, grad_w, grad_scale, grad_offset, factor }
    }
}

impl<E: Estimator, const TOTALS: usize> Work<TOTALS> for ScaleGradient<'_, E, TOTALS> {
    type Join = Sum;
    type Reads = Everything;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.terms.w.is_of_halves()
            || self.terms.grad_out.is_of_halves()
            || self.grad_w.as_ref().is_some_and(|grad_w| grad_w.is_of_halves())
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.terms.w));
        stage.input(Some(&mut self.terms.grad_out));
        stage.output(self.grad_w.as_mut());
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.terms.w.reaches(end)
            && self.terms.grad_out.reaches(end)
            && self.grad_w.as_ref().is_none_or(|grad_w| grad_w.reaches(end))
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; TOTALS] {
        self.terms.of::<V, L, TOTALS, true>(block, lanes, &mut self.grad_w)
    }

    #[inline(always)]
    fn whole_blocks<V: Vectors, S: Source<V>, T: Sink<V, Sum, TOTALS>>(
        &mut self,
        span: Span,
        source: &mut S,
        sink: &mut T,
    ) {
        assert!(self.reaches(span.end()) && span.width <= source.len().min(sink.len()));
        let (terms, before) = (self.terms, sink.before());
        // A branch in the middle of a loop makes the compiler spill half of its registers; so there is a loop for each common case.
        let is_common = V::SPECIALISES
            && match &self.grad_w {
                Some(grad_w) => !(grad_w.is_streamed() || T::REMEMBERS && grad_w.is_at(&terms.grad_out)),
                None => T::REMEMBERS,
            };
        // SAFETY: by the assertion.
        unsafe {
            match &mut self.grad_w {
                Some(grad_w) if is_common => {
                    let grad_w = &mut Some(grad_w.cached());
                    if T::REMEMBERS {
                        terms.of_whole_blocks::<V, S, T, TOTALS, false>(span, source, grad_w, sink);
                    } else {
                        terms.of_whole_blocks::<V, S, T, TOTALS, true>(span, source, grad_w, sink);
                    }
                }
                None if is_common => {
                    terms.of_whole_blocks::<V, S, T, TOTALS, false>(span, source, &mut None, sink);
                }
                grad_w => return terms.of_whole_blocks::<V, S, T, TOTALS, true>(span, source, grad_w, sink),
            }
            // To look for NaN weights takes two instructions of twelve; it is enough to do so where a total is NaN.
            if T::REMEMBERS && sink.takes_back_nan(before) {
                source.begin_again();
                terms.of_whole_blocks::<V, S, T, TOTALS, true>(span, source, &mut None, sink);
            }
        }
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
        ScaleGradient { terms: self.terms, grad_w, grad_scale, grad_offset, factor: self.factor }
    }
}
