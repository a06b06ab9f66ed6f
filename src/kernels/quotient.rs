//! The exact quotient of a weight and its step, without a division.
//!
//! A code is decided by the IEEE quotient `w / step`, and a core has one divider: dividing takes 0.10 (Zen 4) to 0.17 ns
//! (Golden Cove) per element, more than everything else that forward does. Multiplying by `1 / step` is fast and wrong near
//! ties. What is fast and right is the reciprocal in two floats, `inverse + rest = 1 / step` to 48 bits, and
//!
//! ```text
//! quotient = fma(w, inverse, w * rest)
//! ```
//!
//! Before its one rounding it is within 2^-47 of the true quotient, so it differs from the IEEE quotient only where that
//! lies within 2^-23 of a unit in its last place from a rounding boundary. What the kernels decide on are whole and half
//! numbers up to 256, and there it never differs: `tests/exhaustive.rs` compares both for every mantissa of a step,
//! every such number and every weight near it.
//!
//! It holds for steps from 2^-100 to 2^100, where nothing underflows that matters; tensors with others run on the baseline,
//! which divides ([`Groups::are_ordinary`](super::Groups::are_ordinary)). Weights are clamped before they are multiplied, so
//! that infinities meet no zero.

use super::Vectors;
use super::groups::Lanes;
use super::vector::Floats;

/// The parameters of one register of elements, and the range of their levels.
#[derive(Clone, Copy)]
pub(crate) struct Divisor<F> {
    pub(super) step: F,
    inverse: F,
    rest: F,
    pub(super) min: F,
    pub(super) max: F,
}

impl<F: Floats> Divisor<F> {
    #[inline(always)]
    pub(super) fn new<V: Vectors<Floats = F>>(lanes: &Lanes<V>, register: usize, min: F, max: F) -> Self {
        let (step, inverse, rest) = (lanes.step[register], lanes.inverse[register], lanes.rest[register]);
        Divisor { step, inverse, rest, min, max }
    }

    #[inline(always)]
    fn multiplied(self, w: F) -> F {
        w.times_plus(self.inverse, w.times(self.rest))
    }

    /// `w / step` clamped to the range; 0 where `w` is NaN. A quotient that was clamped may lie an ulp beyond the bound, which
    /// rounds to the same level.
    #[inline(always)]
    pub(super) fn clamped<V: Vectors<Floats = F>>(self, w: F) -> F {
        if V::FUSES {
            let (low, high) = (self.min.times(self.step), self.max.times(self.step));
            self.multiplied(w.at_least(low).only(w.is_number()).at_most(high))
        } else {
            let quotient = w.over(self.step);
            quotient.at_least(self.min).only(w.is_number()).at_most(self.max)
        }
    }

    /// `w / step`, or a number between `max` and `max + 1` for one that is beyond `max`, and the same below `min`; NaN where `w`
    /// is.
    #[inline(always)]
    pub(super) fn near<V: Vectors<Floats = F>>(self, w: F) -> F {
        let one = F::splat(1.0);
        let (min, max) = (self.min.minus(one), self.max.plus(one));
        if V::FUSES {
            self.multiplied(w.at_least(min.times(self.step)).at_most(max.times(self.step)))
        } else {
            w.over(self.step).at_least(min).at_most(max)
        }
    }

    /// `(w - level * step) / step`: how far a weight lies from its level, in steps.
    ///
    /// The difference is exact before its one rounding, which makes this more accurate than `w / step - level`; its bits do
    /// not depend on whether the instruction set fuses.
    #[inline(always)]
    pub(super) fn residual(self, w: F, level: F) -> F {
        w.minus_product(level, self.step).times(self.inverse)
    }
}
