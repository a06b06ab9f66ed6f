//! Weights to codes and values.
//!
//! `code = clamp(round(w / step), min, max)` and `value = code * step`, with NaN sent to code 0. Three choices make it
//! both exact and fast:
//!
//! - The quotient is the IEEE one wherever it decides, see [`super::quotient`]. Multiplying by `1 / step` gives wrong codes
//!   near ties.
//! - Clamping comes before rounding, which changes nothing because the bounds are whole numbers, and leaves a number small
//!   enough for the next step.
//! - Rounding adds and subtracts 1.5 * 2^23: the sum has no fraction bits left, so the addition itself rounds half to even,
//!   on every instruction set, and the low byte of the sum's bits is the code in two's complement. Half away from zero
//!   is the same after the last bit of the operand is set: a tie k + 0.5 ends in a zero bit and so moves one ulp outward,
//!   while its inner neighbour already ends in one and stays. The subtraction gives a zero code as +0.0, so a value is
//!   never -0.0.
//!
//! With a zero point z and an offset the same holds of `w - offset` and of codes counted from z: the range becomes
//! `[min - z, max - z]`, the code gains z and the value the offset. The kernels call a code counted from the zero point a
//! *level*; where z is 0 they are the same.

use super::buffer::{Block, Input, Output};
use super::groups::{Lanes, Source};
use super::quotient;
use super::walk::{Sum, Work};
use super::{BLOCK, Vectors};

/// 1.5 * 2^23: adding it leaves no bits for a fraction.
const ROUNDS_TO_INTEGER: f32 = 12_582_912.0;

/// The codes that a quantizer may give, as floats: whole numbers in [-128, 127].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CodeBounds {
    pub(crate) min: f32,
    pub(crate) max: f32,
}

impl CodeBounds {
    /// The smallest and the largest level of each element.
    #[inline(always)]
    pub(super) fn levels<S: Source>(self, lanes: &Lanes) -> ([f32; BLOCK], [f32; BLOCK]) {
        let (mut min, mut max) = ([self.min; BLOCK], [self.max; BLOCK]);
        if S::AFFINE {
            for lane in 0..BLOCK {
                min[lane] -= lanes.zero_point[lane];
                max[lane] -= lanes.zero_point[lane];
            }
        }
        (min, max)
    }
}

/// What happens to a quotient halfway between two codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the code farther from zero.
    HalfAway,
    /// To the even code.
    HalfEven,
}

impl Rounding {
    /// `quotient` rounded, plus [`ROUNDS_TO_INTEGER`].
    #[inline(always)]
    fn shifted(self, quotient: f32) -> f32 {
        let last_bit = (self == Rounding::HalfAway) as u32;
        f32::from_bits(quotient.to_bits() | last_bit) + ROUNDS_TO_INTEGER
    }

    /// `quotient`, which is no larger than 2^21, rounded to a whole number.
    #[inline(always)]
    pub(super) fn round(self, quotient: f32) -> f32 {
        self.shifted(quotient) - ROUNDS_TO_INTEGER
    }
}

/// The weights less the offset.
#[inline(always)]
pub(super) fn without_offset<S: Source>(mut w: [f32; BLOCK], lanes: &Lanes) -> [f32; BLOCK] {
    if S::AFFINE {
        for lane in 0..BLOCK {
            w[lane] -= lanes.offset[lane];
        }
    }
    w
}

/// The levels of a block of weights, each plus [`ROUNDS_TO_INTEGER`].
#[inline(always)]
fn shifted_levels<V: Vectors, S: Source>(
    w: [f32; BLOCK],
    lanes: &Lanes,
    range: CodeBounds,
    rounding: Rounding,
) -> [f32; BLOCK] {
    let (min, max) = range.levels::<S>(lanes);
    let mut shifted = quotient::clamped::<V>(&without_offset::<S>(w, lanes), lanes, &min, &max);
    for lane in 0..BLOCK {
        shifted[lane] = rounding.shifted(shifted[lane]);
    }
    shifted
}

/// The levels of a block of weights.
#[inline(always)]
pub(super) fn levels<V: Vectors, S: Source>(
    w: [f32; BLOCK],
    lanes: &Lanes,
    range: CodeBounds,
    rounding: Rounding,
) -> [f32; BLOCK] {
    let mut levels = shifted_levels::<V, S>(w, lanes, range, rounding);
    for lane in 0..BLOCK {
        levels[lane] -= ROUNDS_TO_INTEGER;
    }
    levels
}

/// The values of a block of levels.
#[inline(always)]
pub(super) fn values_of<S: Source>(levels: &[f32; BLOCK], lanes: &Lanes) -> [f32; BLOCK] {
    let mut values = [0.0; BLOCK];
    for lane in 0..BLOCK {
        values[lane] = levels[lane] * lanes.step[lane];
        if S::AFFINE {
            values[lane] += lanes.offset[lane];
        }
    }
    values
}

/// Quantizes `w`.
pub(crate) struct Quantize<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) codes: Option<Output<'a, i8>>,
    pub(crate) values: Option<Output<'a, f32>>,
    pub(crate) range: CodeBounds,
    pub(crate) rounding: Rounding,
}

impl<'a> Quantize<'a> {
    pub(crate) fn new(
        w: Input<'a, f32>,
        codes: Option<Output<'a, i8>>,
        values: Option<Output<'a, f32>>,
        range: CodeBounds,
        rounding: Rounding,
    ) -> Self {
        let codes = codes.map(|codes| codes.stream_if_it_pays(&[w]));
        let values = values.map(|values| values.stream_if_it_pays(&[w]));
        Quantize { w, codes, values, range, rounding }
    }
}

impl Work<0> for Quantize<'_> {
    type Join = Sum;

    #[inline(always)]
    fn block<V: Vectors, S: Source>(&mut self, block: Block, lanes: &Lanes) -> [[f32; BLOCK]; 0] {
        let shifted = shifted_levels::<V, S>(self.w.load(block), lanes, self.range, self.rounding);
        if let Some(codes) = &mut self.codes {
            let mut shifted = shifted;
            if S::AFFINE {
                for lane in 0..BLOCK {
                    shifted[lane] += lanes.zero_point[lane];
                }
            }
            codes.store(block, &V::low_bytes(&shifted));
        }
        if let Some(values) = &mut self.values {
            let mut levels = shifted;
            for lane in 0..BLOCK {
                levels[lane] -= ROUNDS_TO_INTEGER;
            }
            values.store(block, &values_of::<S>(&levels, lanes));
        }
        []
    }

    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (codes, values) = unsafe {
            (self.codes.as_ref().map(|codes| codes.share()), self.values.as_ref().map(|values| values.share()))
        };
        Quantize { codes, values, ..*self }
    }
}
