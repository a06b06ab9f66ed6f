//! What calibration asks of the weights of each group: extremes, magnitudes, and the error of a candidate scale.

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::groups::{Everything, Lanes, Nothing, Source};
use super::quantize::{CodeBounds, Rounding, levels, values_of, without_offset};
use super::vector::Floats;
use super::walk::{Largest, Sum, Work};

/// The largest magnitude of each group of `w`, infinite for a group with an element that is not finite.
pub(crate) struct MaxMagnitude<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) maxima: Output<'a, f32>,
}

impl Work<1> for MaxMagnitude<'_> {
    type Join = Largest;
    type Reads = Nothing;

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        end <= self.w.len()
    }

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, _lanes: &Lanes<V>) -> [V::Block; 1] {
        let mut magnitudes = self.w.load::<V>(block);
        for register in 0..V::REGISTERS {
            magnitudes[register] = magnitudes[register].abs();
        }
        [magnitudes]
    }

    #[inline(always)]
    fn total(&mut self, group: usize, _count: usize, [maximum]: [f64; 1]) {
        self.maxima.set(group, nan_to_infinity(maximum));
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        MaxMagnitude { w: self.w, maxima: unsafe { self.maxima.share() } }
    }
}

/// The smallest and the largest element of each group of `w` and 0; infinite where one is not finite.
pub(crate) struct Extremes<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) minima: Output<'a, f32>,
    pub(crate) maxima: Output<'a, f32>,
}

impl Work<2> for Extremes<'_> {
    type Join = Largest;
    type Reads = Nothing;

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        end <= self.w.len()
    }

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, _lanes: &Lanes<V>) -> [V::Block; 2] {
        let w = self.w.load::<V>(block);
        let mut extremes = [w; 2];
        for register in 0..V::REGISTERS {
            // Bits of a number with a sign are below those of 0; a NaN is above it on one side.
            let (zero, sign) = (V::Floats::splat(0.0), V::Floats::splat(-0.0));
            extremes[0][register] = w[register].xor(sign).larger_bits(zero);
            extremes[1][register] = w[register].larger_bits(zero);
        }
        extremes
    }

    #[inline(always)]
    fn total(&mut self, group: usize, _count: usize, [below, above]: [f64; 2]) {
        self.minima.set(group, -nan_to_infinity(below));
        self.maxima.set(group, nan_to_infinity(above));
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (minima, maxima) = unsafe { (self.minima.share(), self.maxima.share()) };
        Extremes { w: self.w, minima, maxima }
    }
}

#[inline(always)]
fn nan_to_infinity(number: f64) -> f32 {
    if number.is_nan() { f32::INFINITY } else { number as f32 }
}

/// The mean magnitude of each group of `w`.
pub(crate) struct MeanMagnitude<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) means: Output<'a, f64>,
}

impl Work<1> for MeanMagnitude<'_> {
    type Join = Sum;
    type Reads = Nothing;

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        end <= self.w.len()
    }

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, _lanes: &Lanes<V>) -> [V::Block; 1] {
        let mut magnitudes = self.w.load::<V>(block);
        for register in 0..V::REGISTERS {
            magnitudes[register] = magnitudes[register].abs();
        }
        [magnitudes]
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, [sum]: [f64; 1]) {
        self.means.set(group, sum / count as f64);
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        MeanMagnitude { w: self.w, means: unsafe { self.means.share() } }
    }
}

/// How well a group's parameters fit its weights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fit {
    /// `sum (w - value)^2`.
    pub(crate) error: f64,
    /// `sum (w - offset) * level` and `sum level^2`: their quotient is the best step for these codes.
    pub(crate) weight_by_level: f64,
    pub(crate) level_squared: f64,
}

/// The fit of every group.
pub(crate) struct Fits<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) fits: Output<'a, Fit>,
    pub(crate) bounds: CodeBounds,
    pub(crate) rounding: Rounding,
}

impl Work<3> for Fits<'_> {
    type Join = Sum;
    type Reads = Everything;

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        end <= self.w.len()
    }

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes<V>) -> [V::Block; 3] {
        let w = self.w.load::<V>(block);
        let levels = levels::<V, S>(w, lanes, self.bounds, self.rounding);
        let values = values_of::<V, S>(levels, lanes);
        let mut terms = [w; 3];
        for register in 0..V::REGISTERS {
            let (error, level) = (w[register].minus(values[register]), levels[register]);
            terms[0][register] = error.times(error);
            terms[1][register] = without_offset::<V, S>(w[register], lanes, register).times(level);
            terms[2][register] = level.times(level);
        }
        terms
    }

    #[inline(always)]
    fn total(&mut self, group: usize, _count: usize, [error, weight_by_level, level_squared]: [f64; 3]) {
        self.fits.set(group, Fit { error, weight_by_level, level_squared });
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        Fits { fits: unsafe { self.fits.share() }, ..*self }
    }
}
