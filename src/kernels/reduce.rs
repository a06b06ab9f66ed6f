//! What calibration asks of the weights of each group: extremes and magnitudes.

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::groups::Nothing;
use super::sources::Lanes;
use super::stage::Stage;
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
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, _lanes: &L) -> [V::Block; 1] {
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
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, _lanes: &L) -> [V::Block; 2] {
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

/// From here on magnitudes are added by a part of theirs: 512 of them may be more than f32 holds.
const LARGE: f32 = 1.267_650_6e30; // 2^100
const PART_OF_LARGE: f32 = 1.0 / 1_048_576.0;

/// The mean magnitude of each group of `w`.
pub(crate) struct MeanMagnitude<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) means: Output<'a, f64>,
}

impl Work<2> for MeanMagnitude<'_> {
    type Join = Sum;
    type Reads = Nothing;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves()
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, _lanes: &L) -> [V::Block; 2] {
        let w = self.w.load::<V>(block);
        let mut magnitudes = [w; 2];
        for register in 0..V::REGISTERS {
            let magnitude = w[register].abs();
            let is_small = magnitude.is_below(V::Floats::splat(LARGE));
            magnitudes[0][register] = magnitude.only(is_small);
            magnitudes[1][register] = magnitude.except(is_small).times(V::Floats::splat(PART_OF_LARGE));
        }
        magnitudes
    }

    #[inline(always)]
    fn total(&mut self, group: usize, count: usize, [small, large]: [f64; 2]) {
        self.means.set(group, (small + large / f64::from(PART_OF_LARGE)) / count as f64);
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        MeanMagnitude { w: self.w, means: unsafe { self.means.share() } }
    }
}
