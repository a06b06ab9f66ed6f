//! How far one group's weights are from the levels of candidate steps: what a search for the best step asks, over and over.
//!
//! A candidate is looked at in units of its step: with `v = w / step` and `level = round(clamp(v))`, the sums of
//! `(v - level)^2` and `(v - level) * level` tell its squared error, the slope of the error by the step, and the best step for
//! these levels. `w / step` is a product, not the quotient that quantizing rounds: a weight within a rounding error of a
//! boundary is as far from both levels. A tile of weights stays in the cache while every candidate is tried on it.

use super::quantize::Rounding;
use super::vector::Floats;
use super::walk::{Join, Sum};
use super::{BLOCK, Kernel, Vectors};

/// Weights in a tile: 16 additions per stripe, as in a tile of [`super::walk`].
const TILE: usize = 16 * BLOCK;

/// A step and the levels of its codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// One over the step.
    pub(crate) by_step: f32,
    /// The lowest level, not positive, and the highest, not negative.
    pub(crate) lowest: f32,
    pub(crate) highest: f32,
}

/// Two sums over a group's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Residual {
    /// `sum (w / step - level)^2`.
    pub(crate) squares: f64,
    /// `sum (w / step - level) * level`.
    pub(crate) by_level: f64,
}

/// The residuals of some weights, for each candidate; halves are rounded to even.
pub(crate) struct Residuals<'a> {
    pub(crate) w: &'a [f32],
    pub(crate) candidates: &'a [Candidate],
    /// One for each candidate.
    pub(crate) residuals: &'a mut [Residual],
}

impl Kernel for Residuals<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        self.residuals.fill(Residual::default());
        for tile in self.w.chunks(TILE) {
            for (candidate, residual) in self.candidates.iter().zip(self.residuals.iter_mut()) {
                let [squares, by_level] = of_tile::<V>(tile, *candidate);
                residual.squares += f64::from(squares);
                residual.by_level += f64::from(by_level);
            }
        }
    }
}

/// The sums of a tile, in stripes.
#[inline(always)]
fn of_tile<V: Vectors>(tile: &[f32], candidate: Candidate) -> [f32; 2] {
    let mut sums = [V::splat(0.0); 2];
    let (blocks, rest) = tile.as_chunks::<BLOCK>();
    for block in blocks {
        add_block::<V>(&mut sums, V::from_array(block), candidate);
    }
    if !rest.is_empty() {
        // SAFETY: there are so many floats. The lanes past them are 0, which is a level.
        add_block::<V>(&mut sums, unsafe { V::load_few(rest.as_ptr(), rest.len()) }, candidate);
    }
    sums.map(Sum::fold::<V>)
}

#[inline(always)]
fn add_block<V: Vectors>(sums: &mut [V::Block; 2], w: V::Block, candidate: Candidate) {
    let by_step = V::Floats::splat(candidate.by_step);
    let (lowest, highest) = (V::Floats::splat(candidate.lowest), V::Floats::splat(candidate.highest));
    for register in 0..V::REGISTERS {
        let v = w[register].times(by_step);
        let level = Rounding::HalfEven.round(v.at_least(lowest).at_most(highest));
        let residual = v.minus(level);
        sums[0][register] = sums[0][register].plus(residual.times(residual));
        sums[1][register] = sums[1][register].plus(residual.times(level));
    }
}
