//! Weights to codes and values.
//!
//! `code = clamp(round(w / step), min, max)` and `value = code * step`, with NaN sent to code 0. Three choices make it
//! both exact and fast:
//!
//! - The quotient is an IEEE division. Multiplying by `1 / step` gives wrong codes near ties.
//! - Clamping comes before rounding, which changes nothing because the bounds are whole numbers, and leaves a number small
//!   enough for the next step.
//! - Rounding adds and subtracts 1.5 * 2^23: the sum has no fraction bits left, so the addition itself rounds half to even,
//!   on every instruction set, and the low byte of the sum's bits is the code in two's complement. Half away from zero
//!   is the same after the last bit of the operand is set: a tie k + 0.5 ends in a zero bit and so moves one ulp outward,
//!   while its inner neighbour already ends in one and stays. The subtraction gives a zero code as +0.0, so a value is
//!   never -0.0.

use super::buffer::{Block, Input, Output, PerBlock, for_each_block};
use super::sink::{Discard, Sink, Streamed};
use super::threads::{Divisible, Part};
use super::{BLOCK, Kernel, Vectors};
use std::marker::PhantomData;

/// 1.5 * 2^23: adding it leaves no bits for a fraction.
const ROUNDS_TO_INTEGER: f32 = 12_582_912.0;

/// The codes that a quantizer may give, as floats: whole numbers in [-128, 127].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CodeRange {
    pub(crate) min: f32,
    pub(crate) max: f32,
}

/// What happens to a quotient halfway between two codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the code farther from zero.
    HalfAway,
    /// To the even code.
    HalfEven,
}

/// [`Rounding`] as a type, so that the choice is made once per call.
pub(super) trait RoundingMode {
    /// Prepares a clamped quotient for rounding half to even.
    fn steer(quotient: f32) -> f32;
}

/// [`Rounding::HalfAway`].
pub(super) struct HalfAway;

impl RoundingMode for HalfAway {
    #[inline(always)]
    fn steer(quotient: f32) -> f32 {
        f32::from_bits(quotient.to_bits() | 1)
    }
}

/// [`Rounding::HalfEven`].
pub(super) struct HalfEven;

impl RoundingMode for HalfEven {
    #[inline(always)]
    fn steer(quotient: f32) -> f32 {
        quotient
    }
}

/// The code of `w`, shifted by [`ROUNDS_TO_INTEGER`].
#[inline(always)]
fn shifted_code<R: RoundingMode>(w: f32, step: f32, range: CodeRange) -> f32 {
    let quotient = w / step;
    let quotient = if quotient.is_nan() { 0.0 } else { quotient };
    // Comparisons, not `f32::clamp`: that one has to preserve NaN and costs an instruction more.
    let quotient = if quotient > range.min { quotient } else { range.min };
    let quotient = if quotient < range.max { quotient } else { range.max };
    R::steer(quotient) + ROUNDS_TO_INTEGER
}

/// The codes of a block of weights, as floats.
#[inline(always)]
pub(super) fn codes_as_floats<R: RoundingMode>(w: &[f32; BLOCK], step: f32, range: CodeRange) -> [f32; BLOCK] {
    let mut codes = [0.0; BLOCK];
    for lane in 0..BLOCK {
        codes[lane] = shifted_code::<R>(w[lane], step, range) - ROUNDS_TO_INTEGER;
    }
    codes
}

/// Quantizes `w`: run `r`, the elements `r * run .. (r + 1) * run`, with `steps[r]`.
pub(crate) struct Quantize<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) codes: Option<Output<'a, i8>>,
    pub(crate) values: Option<Output<'a, f32>>,
    /// One finite, positive step per run.
    pub(crate) steps: &'a [f32],
    pub(crate) run: usize,
    pub(crate) range: CodeRange,
    pub(crate) rounding: Rounding,
}

impl Kernel for Quantize<'_> {
    type Result = ();

    #[inline(always)]
    fn run<V: Vectors>(self) {
        match self.rounding {
            Rounding::HalfAway => self.rounded::<V, HalfAway>(),
            Rounding::HalfEven => self.rounded::<V, HalfEven>(),
        }
    }
}

impl Divisible for Quantize<'_> {
    fn runs(&self) -> (usize, usize) {
        (self.steps.len(), self.run)
    }

    unsafe fn part(&self, part: &Part) -> Self {
        let elements = part.elements(self.run);
        // SAFETY: the caller's promise.
        unsafe {
            Quantize {
                w: self.w.part(elements.clone()),
                codes: self.codes.as_ref().map(|codes| codes.part(elements.clone())),
                values: self.values.as_ref().map(|values| values.part(elements.clone())),
                steps: &self.steps[part.runs.clone()],
                run: part.within.len(),
                ..*self
            }
        }
    }
}

impl Quantize<'_> {
    #[inline(always)]
    fn rounded<V: Vectors, R: RoundingMode>(mut self) {
        let (run, w) = (self.run, self.w);
        let codes = self.codes.take().map(|codes| Streamed::if_it_pays(codes, run, &[w]));
        let values = self.values.take().map(|values| Streamed::if_it_pays(values, run, &[w]));
        match (codes, values) {
            (Some(Ok(codes)), Some(Ok(values))) => self.into_sinks::<V, R>(codes, values),
            (Some(Ok(codes)), Some(Err(values))) => self.into_sinks::<V, R>(codes, values),
            (Some(Err(codes)), Some(Ok(values))) => self.into_sinks::<V, R>(codes, values),
            (Some(Err(codes)), Some(Err(values))) => self.into_sinks::<V, R>(codes, values),
            (Some(Ok(codes)), None) => self.into_sinks::<V, R>(codes, Discard),
            (Some(Err(codes)), None) => self.into_sinks::<V, R>(codes, Discard),
            (None, Some(Ok(values))) => self.into_sinks::<V, R>(Discard, values),
            (None, Some(Err(values))) => self.into_sinks::<V, R>(Discard, values),
            (None, None) => {}
        }
    }

    #[inline(always)]
    fn into_sinks<V: Vectors, R: RoundingMode>(self, codes: impl Sink<i8>, values: impl Sink<f32>) {
        let mut work =
            QuantizeBlocks { w: self.w, step: 0.0, range: self.range, codes, values, forms: PhantomData::<(V, R)> };
        for (run, &step) in self.steps.iter().enumerate() {
            work.step = step;
            for_each_block(run * self.run, (run + 1) * self.run, &mut work);
        }
    }
}

struct QuantizeBlocks<'a, F, C, V> {
    w: Input<'a, f32>,
    step: f32,
    range: CodeRange,
    codes: C,
    values: V,
    forms: PhantomData<F>,
}

impl<F: Vectors, R: RoundingMode, C: Sink<i8>, V: Sink<f32>> PerBlock for QuantizeBlocks<'_, (F, R), C, V> {
    #[inline(always)]
    fn block(&mut self, block: Block) {
        let w = self.w.load(block);
        let mut shifted = [0.0f32; BLOCK];
        for lane in 0..BLOCK {
            shifted[lane] = shifted_code::<R>(w[lane], self.step, self.range);
        }
        if !C::DISCARDS {
            self.codes.store(block, &F::low_bytes(&shifted));
        }
        if !V::DISCARDS {
            let mut values = [0.0f32; BLOCK];
            for lane in 0..BLOCK {
                values[lane] = (shifted[lane] - ROUNDS_TO_INTEGER) * self.step;
            }
            self.values.store(block, &values);
        }
    }
}
