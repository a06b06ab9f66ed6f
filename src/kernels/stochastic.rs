//! How a quotient becomes a whole number: the nearest one, or one of its two neighbours by chance.
//!
//! Stochastic rounding goes up with a probability that is the distance from the neighbour below, so that on average over draws
//! a weight keeps its value. With u drawn evenly from [-1/2, 1/2], see [`super::random`],
//!
//! ```text
//! whole = half_even(v)        level = whole + half_even((v - whole) + u)
//! ```
//!
//! `v - whole` is exact, so that the draw is compared with what is between the codes and not with what the size of v leaves of
//! it: a whole v stays whatever the draw, for u alone is at most a half, which goes to 0. `half_even(v + u)` would not do that
//! at 8 bits.
//!
//! Any v can decide here, not only halves and whole numbers, so the quotient is a division on every instruction set (see
//! [`super::quotient`] for where it need not be).

use super::Vectors;
use super::buffer::Block;
use super::quantize::{ROUNDS_TO_INTEGER, Rounding};
use super::quotient::Divisor;
use super::random::Random;
use super::vector::Floats;

/// A way to round the quotients of a block.
pub(crate) trait Rounds: Copy + Sync {
    /// What chance has to say about a block.
    type Draws<V: Vectors>: Copy;

    fn draws<V: Vectors>(&mut self, block: Block) -> Self::Draws<V>;

    /// The level of `w`, plus [`ROUNDS_TO_INTEGER`]; that of a NaN is 0.
    fn shifted_level<V: Vectors>(
        &self,
        w: V::Floats,
        divisor: Divisor<V::Floats>,
        draws: &Self::Draws<V>,
        register: usize,
    ) -> V::Floats;

    /// `w / step` rounded and not clamped, or a number beyond the same bound; means nothing for a NaN. `near` is
    /// [`Divisor::near`].
    fn rounded_near<V: Vectors>(
        &self,
        w: V::Floats,
        near: V::Floats,
        divisor: Divisor<V::Floats>,
        draws: &Self::Draws<V>,
        register: usize,
    ) -> V::Floats;
}

impl Rounds for Rounding {
    type Draws<V: Vectors> = ();

    #[inline(always)]
    fn draws<V: Vectors>(&mut self, _block: Block) {}

    #[inline(always)]
    fn shifted_level<V: Vectors>(
        &self,
        w: V::Floats,
        divisor: Divisor<V::Floats>,
        _draws: &(),
        _register: usize,
    ) -> V::Floats {
        self.shifted(divisor.clamped::<V>(w))
    }

    #[inline(always)]
    fn rounded_near<V: Vectors>(
        &self,
        _w: V::Floats,
        near: V::Floats,
        _divisor: Divisor<V::Floats>,
        _draws: &(),
        _register: usize,
    ) -> V::Floats {
        self.round(near)
    }
}

/// Stochastic rounding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stochastic(pub(crate) Random);

impl Rounds for Stochastic {
    type Draws<V: Vectors> = V::Block;

    #[inline(always)]
    fn draws<V: Vectors>(&mut self, block: Block) -> V::Block {
        self.0.draws::<V>(block.start())
    }

    #[inline(always)]
    fn shifted_level<V: Vectors>(
        &self,
        w: V::Floats,
        divisor: Divisor<V::Floats>,
        draws: &V::Block,
        register: usize,
    ) -> V::Floats {
        let quotient = w.over(divisor.step).at_least(divisor.min).only(w.is_number()).at_most(divisor.max);
        shifted(quotient, draws[register])
    }

    #[inline(always)]
    fn rounded_near<V: Vectors>(
        &self,
        w: V::Floats,
        _near: V::Floats,
        divisor: Divisor<V::Floats>,
        draws: &V::Block,
        register: usize,
    ) -> V::Floats {
        let one = V::Floats::splat(1.0);
        let (min, max) = (divisor.min.minus(one), divisor.max.plus(one));
        let quotient = w.over(divisor.step).at_least(min).at_most(max);
        shifted(quotient, draws[register]).minus(V::Floats::splat(ROUNDS_TO_INTEGER))
    }
}

/// `quotient` rounded by a draw, plus [`ROUNDS_TO_INTEGER`].
#[inline(always)]
fn shifted<F: Floats>(quotient: F, draw: F) -> F {
    let shift = F::splat(ROUNDS_TO_INTEGER);
    let whole = Rounding::HalfEven.shifted(quotient);
    let rest = quotient.minus(whole.minus(shift));
    whole.plus(Rounding::HalfEven.round(rest.plus(draw)))
}
