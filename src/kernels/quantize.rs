//! Weights to codes and values.
//!
//! `code = clamp(round(w / step), min, max)` and `value = code * step`, with NaN sent to code 0. Three choices make it
//! both exact and fast:
//!
//! - The quotient is the IEEE one wherever it decides, see [`super::quotient`]. Multiplying by `1 / step` gives wrong codes
//!   near ties.
//! - Clamping comes before rounding, which changes nothing because the bounds are whole numbers, and leaves a number small
//!   enough for the next step.
//! - Rounding is the conversion to i32, half to even. Half away from zero is the same after the last bit of the operand is
//!   set: a tie k + 0.5 ends in a zero bit and so moves one ulp outward, while its inner neighbour already ends in one and
//!   stays. A value is made of the i32: it is never -0.0, and a NaN needs no test of its own ([`Floats::to_whole`]).
//!
//! With a zero point z and an offset the same holds of `w - offset` and of codes counted from z: the range becomes
//! `[min - z, max - z]`, the code gains z and the value the offset. The kernels call a code counted from the zero point a
//! *level*; where z is 0 they are the same.

use super::Vectors;
use super::buffer::{Block, Input, Output};
use super::groups::Everything;
use super::quotient::Divisor;
use super::sources::Lanes;
use super::stage::Stage;
use super::vector::Floats;
use super::walk::{Sum, Work};

/// The codes that a quantizer may give, as floats: whole numbers in [-128, 127].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CodeBounds {
    pub(crate) min: f32,
    pub(crate) max: f32,
}

impl CodeBounds {
    /// The divisor of one register of elements, with the range of their levels.
    #[inline(always)]
    pub(super) fn divisor<V: Vectors, L: Lanes<V>>(self, lanes: &L, register: usize) -> Divisor<V::Floats> {
        let (mut min, mut max) = (V::Floats::splat(self.min), V::Floats::splat(self.max));
        if L::AFFINE {
            min = min.minus(lanes.zero_point(register));
            max = max.minus(lanes.zero_point(register));
        }
        Divisor::new::<V, L>(lanes, register, min, max)
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
    /// `quotient`, of a clamped weight, as a whole number in an i32; 0 where it is NaN.
    #[inline(always)]
    pub(super) fn whole<F: Floats>(self, quotient: F) -> F {
        self.outward(quotient).to_whole()
    }

    /// The same as a float, which may be -0.0; means nothing where `quotient` is NaN.
    #[inline(always)]
    pub(super) fn round<F: Floats>(self, quotient: F) -> F {
        self.outward(quotient).rounded()
    }

    /// `quotient` with its last bit set where ties are to go away from zero.
    #[inline(always)]
    fn outward<F: Floats>(self, quotient: F) -> F {
        let last_bit = (self == Rounding::HalfAway) as u32;
        quotient.or(F::splat(f32::from_bits(last_bit)))
    }
}

/// One register of weights less the offset.
#[inline(always)]
pub(super) fn without_offset<V: Vectors, L: Lanes<V>>(w: V::Floats, lanes: &L, register: usize) -> V::Floats {
    if L::AFFINE { w.minus(lanes.offset(register)) } else { w }
}

/// The levels of a block of weights, as i32s.
#[inline(always)]
pub(super) fn whole_levels<V: Vectors, L: Lanes<V>>(
    w: V::Block,
    lanes: &L,
    bounds: CodeBounds,
    rounding: Rounding,
) -> V::Block {
    let mut whole = w;
    for register in 0..V::REGISTERS {
        let divisor = bounds.divisor::<V, L>(lanes, register);
        let quotient = divisor.clamped::<V>(without_offset::<V, L>(w[register], lanes, register));
        whole[register] = rounding.whole(quotient);
    }
    whole
}

#[inline(always)]
pub(super) fn floats_of<V: Vectors>(mut whole: V::Block) -> V::Block {
    for register in 0..V::REGISTERS {
        whole[register] = whole[register].whole_to_float();
    }
    whole
}

/// The codes of a block of levels, all i32s.
#[inline(always)]
pub(super) fn whole_codes<V: Vectors, L: Lanes<V>>(mut whole: V::Block, lanes: &L) -> V::Block {
    if L::AFFINE {
        for register in 0..V::REGISTERS {
            whole[register] = whole[register].whole_plus(lanes.zero_point(register).to_whole());
        }
    }
    whole
}

/// The values of a block of levels.
#[inline(always)]
pub(super) fn values_of<V: Vectors, L: Lanes<V>>(levels: V::Block, lanes: &L) -> V::Block {
    let mut values = levels;
    for register in 0..V::REGISTERS {
        values[register] = levels[register].times(lanes.step(register));
        if L::AFFINE {
            values[register] = values[register].plus(lanes.offset(register));
        }
    }
    values
}

/// Quantizes `w`.
pub(crate) struct Quantize<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) codes: Option<Output<'a, i8>>,
    pub(crate) values: Option<Output<'a, f32>>,
    pub(crate) bounds: CodeBounds,
    pub(crate) rounding: Rounding,
}

impl<'a> Quantize<'a> {
    #[inline(always)]
    pub(crate) fn new(
        w: Input<'a, f32>,
        codes: Option<Output<'a, i8>>,
        values: Option<Output<'a, f32>>,
        bounds: CodeBounds,
        rounding: Rounding,
    ) -> Self {
        let codes = codes.map(|codes| codes.stream_if_it_pays(&[w]));
        let values = values.map(|values| values.stream_if_it_pays(&[w]));
        Quantize { w, codes, values, bounds, rounding }
    }
}

impl Work<0> for Quantize<'_> {
    type Join = Sum;
    type Reads = Everything;

    #[inline(always)]
    fn is_of_halves(&self) -> bool {
        self.w.is_of_halves() || self.values.as_ref().is_some_and(|values| values.is_of_halves())
    }

    fn stage(&mut self, stage: &mut Stage) {
        stage.input(Some(&mut self.w));
        stage.output(self.values.as_mut());
    }

    #[inline(always)]
    fn reaches(&self, end: usize) -> bool {
        self.w.reaches(end)
            && self.codes.as_ref().is_none_or(|codes| codes.reaches(end))
            && self.values.as_ref().is_none_or(|values| values.reaches(end))
    }

    #[inline(always)]
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; 0] {
        let levels = whole_levels::<V, L>(self.w.load::<V>(block), lanes, self.bounds, self.rounding);
        if let Some(codes) = &mut self.codes {
            codes.store_bytes::<V>(block, V::to_bytes(whole_codes::<V, L>(levels, lanes)));
        }
        if let Some(values) = &mut self.values {
            values.store::<V>(block, values_of::<V, L>(floats_of::<V>(levels), lanes));
        }
        []
    }

    #[inline(always)]
    unsafe fn share(&self) -> Self {
        // SAFETY: the caller's promise.
        let (codes, values) = unsafe {
            (self.codes.as_ref().map(|codes| codes.share()), self.values.as_ref().map(|values| values.share()))
        };
        Quantize { codes, values, ..*self }
    }
}
