//! How far one group's weights are from the levels of candidate steps: what a search for the best step asks, over and over.
//!
//! A candidate is tried in units of its step: with `v = w / step` and `level = round(clamp(v))`, the sums of `(v - level)^2` and
//! `(v - level) * level` tell its squared error, and the best step for these levels. `w / step` is a product, not the quotient
//! that quantizing rounds: a weight within a rounding error of a boundary is as far from both levels.
//!
//! Lanes are candidates, and weights come one after another. So nothing has to be added up across lanes, which for a group of 32
//! weights would cost as much as the rest; and a group is read once for all candidates.

use super::quantize::Rounding;
use super::vector::Floats;
use super::{BLOCK, Kernel, Vectors};

/// Weights whose terms are added in f32, one after the other, before they join an f64.
const TILE: usize = 64;

/// Candidates, and what is found out about them, in one lane each. All have the same length, whole blocks.
pub(crate) struct Candidates<'a> {
    /// One over the step.
    pub(crate) by_step: &'a [f32],
    /// The lowest level, not positive, and the highest, not negative.
    pub(crate) lowest: &'a [f32],
    pub(crate) highest: &'a [f32],
    /// The squared error of the best step for the candidate's levels.
    pub(crate) errors: &'a mut [f32],
    /// By which part of itself the candidate's step is smaller than that one.
    pub(crate) parts: &'a mut [f32],
}

/// Tries the first `count` candidates on some weights; halves are rounded to even. What the lanes past them become does not matter.
pub(crate) struct Residuals<'a> {
    pub(crate) w: &'a [f32],
    /// The sum of their squares.
    pub(crate) squares: f64,
    pub(crate) candidates: Candidates<'a>,
    pub(crate) count: usize,
}

impl Kernel for Residuals<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        let Residuals { w, squares, candidates, count } = self;
        let blocks = count.div_ceil(BLOCK);
        let [by_step, lowest, highest] = [candidates.by_step, candidates.lowest, candidates.highest]
            .map(|lanes| &lanes.as_chunks::<BLOCK>().0[..blocks]);
        let [errors, parts] =
            [candidates.errors, candidates.parts].map(|lanes| &mut lanes.as_chunks_mut::<BLOCK>().0[..blocks]);
        for block in 0..blocks {
            let levels = [&lowest[block], &highest[block]];
            let found = [&mut errors[block], &mut parts[block]];
            try_block::<V>(w, squares, &by_step[block], levels, found, count - block * BLOCK);
        }
    }
}

/// Tries a block of candidates, of which `count` or all matter.
#[inline(always)]
fn try_block<V: Vectors>(
    w: &[f32],
    sum_of_squares: f64,
    one_over_step: &[f32; BLOCK],
    [lowest, highest]: [&[f32; BLOCK]; 2],
    [errors, parts]: [&mut [f32; BLOCK]; 2],
    count: usize,
) {
    let [by_step, lowest, highest] = [one_over_step, lowest, highest].map(V::from_array);
    let (mut squares, mut by_levels) = ([0.0; BLOCK], [0.0; BLOCK]);
    for tile in w.chunks(TILE) {
        // Two registers at a time: one would wait for its additions, four have no room for their bounds.
        for first in (0..V::REGISTERS).step_by(2) {
            if first * V::Floats::LANES >= count {
                break;
            }
            let [mut square, mut by_level] = [[V::Floats::splat(0.0); 2]; 2];
            for w in tile {
                let w = V::Floats::splat(*w);
                for register in 0..2 {
                    let at = first + register;
                    let v = w.times(by_step[at]);
                    let level = Rounding::HalfEven.round(v.at_least(lowest[at]).at_most(highest[at]));
                    let residual = v.minus(level);
                    square[register] = square[register].plus(residual.times(residual));
                    by_level[register] = by_level[register].plus(residual.times(level));
                }
            }
            for register in 0..2 {
                let lanes = (first + register) * V::Floats::LANES;
                add_lanes(&mut squares[lanes..], square[register]);
                add_lanes(&mut by_levels[lanes..], by_level[register]);
            }
        }
    }
    for lane in 0..BLOCK {
        let by_square = f64::from(one_over_step[lane]) * f64::from(one_over_step[lane]);
        // w = step * (level + residual), squared and added up.
        let levels_squared = sum_of_squares * by_square - squares[lane] - 2.0 * by_levels[lane];
        // Without a level but 0, no step is better than another.
        let by_levels = if levels_squared > 0.5 { by_levels[lane] } else { 0.0 };
        let part = by_levels as f32 / levels_squared.max(0.5) as f32;
        let error = squares[lane] - by_levels * f64::from(part);
        errors[lane] = error.max(0.0) as f32 / by_square as f32;
        parts[lane] = part;
    }
}

#[inline(always)]
fn add_lanes<F: Floats>(sums: &mut [f64], terms: F) {
    let mut lanes = [0.0f32; BLOCK];
    // SAFETY: a register has no more lanes than a block.
    unsafe { terms.store(lanes.as_mut_ptr()) };
    for lane in 0..F::LANES {
        sums[lane] += f64::from(lanes[lane]);
    }
}
