//! Rounding by chance, forward and back.
//!
//! A quotient goes up with a probability that is its distance from the neighbour below, so that on average over draws
//! a weight keeps its value. With u drawn evenly between -1/2 and 1/2, see [`super::random`],
//!
//! ```text
//! level = half_even(v + u)
//! ```
//!
//! in f32. The largest draw is 1/2 - 2^(bits-24): f32 adds it to a whole v below 2^bits without rounding it to the tie, so that
//! a whole v stays whatever the draw. Probabilities are off by less than 2^(bits-23), twice the distance of floats just below 2^bits:
//! the fraction of such a v is not known better. (`half_even((v - half_even(v)) + u)` has them to 2^-24, and was tried: a chain of instructions that is half
//! as long again.)
//!
//! Any v can decide here, not only halves and whole numbers, so the quotient is a division on every instruction set (see
//! [`super::quotient`] for where it need not be).

use super::buffer::{Block, Input, Output};
use super::cut::Span;
use super::estimator::{AnyEstimator, Elements, Estimator, EstimatorKind, Lsq, with_one};
use super::gradient::{Factor, Gradients, LastFactor};
use super::groups::Everything;
use super::quantize::{CodeBounds, Rounding, without_offset};
use super::random::{MANY, Random, RoomForMany};
use super::sink::Sink;
use super::sources::{Lanes, Source};
use super::stage::Stage;
use super::vector::Floats;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};

/// The levels of a block of weights, as i32s, by their draws.
#[inline(always)]
pub(super) fn whole_levels_by_chance<V: Vectors, L: Lanes<V>>(
    w: V::Block,
    lanes: &L,
    bounds: CodeBounds,
    draws: V::Block,
) -> V::Block {
    let mut whole = w;
    for register in 0..V::REGISTERS {
        let divisor = bounds.divisor::<V, L>(lanes, register);
        let quotient = divisor.divided(without_offset::<V, L>(w[register], lanes, register));
        let clamped = quotient.at_least(divisor.min).at_most(divisor.max);
        whole[register] = clamped.plus(draws[register]).to_whole();
    }
    whole
}

/// Gradients by the levels that chance gave forward: of the weights, of each scale and of each offset, those of them that are asked
/// for. One for all estimators, as it is too rare to be compiled for each.
pub(crate) struct GradientsByChance<'a> {
    w: Input<'a, f32>,
    grad_out: Input<'a, f32>,
    grad_w: Option<Output<'a, f32>>,
    grad_scale: Option<Output<'a, f32>>,
    grad_offset: Option<Output<'a, f32>>,
    factor: LastFactor,
    bounds: CodeBounds,
    random: Random,
    estimator: AnyEstimator,
}

impl<'a> GradientsByChance<'a> {
    pub(crate) fn new(
        w: Input<'a, f32>,
        grad_out: Input<'a, f32>,
        gradients: Gradients<'a>,
        factor: Factor,
        bounds: CodeBounds,
        random: Random,
        estimator: AnyEstimator,
    ) -> Self {
        let Gradients { weights, scales, offsets } = gradients;
        let of_weights = Self::of_weights(w, grad_out, None, bounds, random, estimator);
        let grad_w = weights.map(|grad_w| grad_w.stream_if_it_pays(&[grad_out]));
        GradientsByChance {
            grad_w,
            grad_scale: Some(scales),
            grad_offset: offsets,
            factor: factor.into(),
            ..of_weights
        }
    }

    /// Of the weights alone.
    pub(crate) fn of_weights(
        w: Input<'a, f32>,
        grad_out: Input<'a, f32>,
        grad_w: Option<Output<'a, f32>>,
        bounds: CodeBounds,
        random: Random,
        estimator: AnyEstimator,
    ) -> Self {
        let grad_w = grad_w.map(|grad_w| grad_w.stream_if_it_pays(&[grad_out]));
        let factor = Factor { numerator: 0.0, levels: 1.0 }.into();
        GradientsByChance {
            w,
            grad_out,
            grad_w,
            grad_scale: None,
            grad_offset: None,
            factor,
            bounds,
            random,
            estimator,
        }
    }

    /// Where a weight lies.
    #[inline(always)]
    fn examine<V: Vectors, L: Lanes<V>>(
        &self,
        w: V::Floats,
        draw: V::Floats,
        lanes: &L,
        register: usize,
    ) -> Elements<V::Floats> {
        let (divisor, one) = (self.bounds.divisor::<V, L>(lanes, register), V::Floats::splat(1.0));
        let from_offset = without_offset::<V, L>(w, lanes, register);
        let quotient = divisor.divided(from_offset);
        // A level beyond the bounds, so that one can tell what chance has moved across them.
        let near = quotient.at_least(divisor.min.minus(one)).at_most(divisor.max.plus(one));
        let rounded = near.plus(draw).rounded();
        let level = rounded.at_least(divisor.min).at_most(divisor.max).only(rounded.is_number());
        let mut elements = Elements::of_value(w, level.times(divisor.step));
        if L::AFFINE {
            elements.value = elements.value.plus(lanes.offset(register));
        }
        elements.slope = level;
        if self.estimator.reads_range() {
            elements.is_inside = if self.estimator.0 == EstimatorKind::RangeClipped {
                rounded.equals(level)
            } else {
                let (first, last) = Lsq::range(divisor.min, divisor.max, Rounding::HalfEven);
                quotient.equals(quotient.at_least(first).at_most(last))
            };
            elements.slope = divisor.residual(from_offset, level).or_else(elements.is_inside, level);
        }
        elements
    }

    /// The terms of a block; the gradients of its weights are written.
    #[inline(always)]
    fn of_block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L, draws: V::Block) -> [V::Block; 2] {
        let (w, grad_out) = (self.w.load::<V>(block), self.grad_out.load::<V>(block));
        let mut gradients = grad_out;
        let mut terms = [grad_out; 2];
        for register in 0..V::REGISTERS {
            let elements = self.examine::<V, L>(w[register], draws[register], lanes, register);
            let grad_out = grad_out[register];
            gradients[register] = with_one!(self.estimator, |one| one.weight_gradient(&elements, grad_out));
            terms[0][register] = grad_out.times(elements.slope);
            terms[1][register] = grad_out.except(elements.is_inside);
        }
        if let Some(grad_w) = &mut self.grad_w {
            grad_w.store::<V>(block, gradients);
        }
        terms
    }
}

impl Work<2> for GradientsByChance<'_> {
    type Join = Sum;
    type Reads = Everything;

    const SPECIALISES: bool = false;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves()
            || self.grad_out.is_of_halves()
            || self.grad_w.as_ref().is_some_and(|grad_w| grad_w.is_of_halves())
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
        stage.input(Some(&mut self.grad_out));
        stage.output(self.grad_w.as_mut());
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
            && self.grad_out.reaches(end)
            && self.grad_w.as_ref().is_none_or(|grad_w| grad_w.reaches(end))
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; 2] {
        let draws = self.random.draws::<V>(block.start());
        self.of_block::<V, L>(block, lanes, draws)
    }

    #[inline(always)]
    fn whole_blocks<V: Vectors, S: Source<V>, T: Sink<V, Sum, 2>>(&mut self, span: Span, source: &mut S, sink: &mut T) {
        assert!(self.reaches(span.end()) && span.width <= source.len().min(sink.len()));
        let (stream, mut room) = (self.random.stream, RoomForMany::uninit());
        for elements in span.rows() {
            for first in elements.clone().step_by(MANY) {
                let draws = stream.many::<V>(first, MANY.min(elements.end - first), &mut room);
                for (index, draws) in draws.chunks_exact(BLOCK).enumerate() {
                    let (at, place) = (first + index * BLOCK, first + index * BLOCK - elements.start);
                    // SAFETY: by the assertion; the draws are a block of floats.
                    let (block, lanes, draws) =
                        unsafe { (Block::inside(at), source.lanes(place), V::load(draws.as_ptr())) };
                    let terms = self.of_block::<V, S::Lanes>(block, &lanes, draws);
                    // SAFETY: by the assertion.
                    unsafe { sink.join(place, &terms) };
                }
            }
        }
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, [scale, offset]: [f64; 2]) {
        if let Some(grad_scale) = &mut self.grad_scale {
            grad_scale.set(group, (scale * self.factor.of(count)) as f32);
        }
        if let Some(grad_offset) = &mut self.grad_offset {
            grad_offset.set(group, offset as f32);
        }
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (grad_w, grad_scale, grad_offset) = unsafe {
            (
                self.grad_w.as_ref().map(|grad_w| grad_w.share()),
                self.grad_scale.as_ref().map(|grad_scale| grad_scale.share()),
                self.grad_offset.as_ref().map(|grad_offset| grad_offset.share()),
            )
        };
        GradientsByChance { grad_w, grad_scale, grad_offset, ..*self }
    }
}
