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
//! which divides ([`Groups::isa`](super::Groups::isa)).

use super::Vectors;
use super::sources::Lanes;
use super::vector::Floats;

/// The parameters of one register of elements, and the range of their levels.
#[derive(Clone, Copy)]
pub(super) struct Divisor<F> {
    pub(super) step: F,
    inverse: F,
    rest: F,
    pub(super) min: F,
    pub(super) max: F,
    /// Whether the bounds in units of weights are computed once.
    same: bool,
}

impl<F: Floats> Divisor<F> {
    #[inline(always)]
    pub(super) fn new<V: Vectors<Floats = F>, L: Lanes<V>>(lanes: &L, register: usize, min: F, max: F) -> Self {
        let (step, inverse, rest) = (lanes.step(register), lanes.inverse(register), lanes.rest(register));
        Divisor { step, inverse, rest, min, max, same: L::SAME }
    }

    /// `w / step` clamped to the range; NaN where `w` is. A quotient that was clamped may lie an ulp beyond the bound, which
    /// rounds to the same level.
    #[inline(always)]
    pub(super) fn clamped<V: Vectors<Floats = F>>(self, w: F) -> F {
        if V::FUSES && !self.same {
            self.decisive::<V>(w).at_least(self.min).at_most(self.max)
        } else if V::FUSES {
            let (low, high) = (self.min.times(self.step), self.max.times(self.step));
            let w = w.at_least(low).at_most(high);
            w.times_plus(self.inverse, w.times(self.rest))
        } else {
            w.over(self.step).at_least(self.min).at_most(self.max)
        }
    }

    /// `w / step` for decisions; some number beyond 2^24 of the same sign where that is one, NaN where `w` is.
    #[inline(always)]
    pub(super) fn decisive<V: Vectors<Floats = F>>(self, w: F) -> F {
        if V::FUSES {
            // The correction is below 2 unless the quotient is beyond 2^24. There it may be infinite, even of the other sign, or
            // infinity times 0; without its highest exponent bit it is below 2 again.
            let below_2 = F::splat(f32::from_bits(!(1 << 30)));
            w.times_plus(self.inverse, w.times(self.rest).and(below_2))
        } else {
            w.over(self.step)
        }
    }

    /// `w / step` by a division. For decisions as good as the other, and as fast where the rest of a kernel takes as long as
    /// the divider.
    #[inline(always)]
    pub(super) fn divided(self, w: F) -> F {
        w.over(self.step)
    }

    /// `(level * step - w) / step`: how far a level lies from its weight, in steps.
    ///
    /// The difference is exact before its one rounding, which makes this more accurate than `level - w / step`; its bits do
    /// not depend on whether the instruction set fuses.
    #[inline(always)]
    pub(super) fn residual(self, w: F, level: F) -> F {
        level.times_minus(self.step, w).times(self.inverse)
    }
}
