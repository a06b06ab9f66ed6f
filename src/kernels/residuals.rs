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
const TILE: usize = 256;

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
    let lanes = [one_over_step, lowest, highest].map(V::from_array);
    let (mut squares, mut by_levels) = ([0.0; BLOCK], [0.0; BLOCK]);
    let registers = count.div_ceil(V::Floats::LANES).min(V::REGISTERS);
    for first in (0..registers).step_by(2) {
        let sums = [&mut squares[first * V::Floats::LANES..], &mut by_levels[first * V::Floats::LANES..]];
        // Two registers at a time fetch a weight half as often, four have no room for their bounds.
        if first + 1 < registers {
            add_residuals::<V, 2>(w, &lanes, first, sums);
        } else {
            add_residuals::<V, 1>(w, &lanes, first, sums);
        }
    }
    for lane in 0..registers * V::Floats::LANES {
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

/// Adds to the sums of squared residuals and of residuals times their levels, for `MANY` registers of candidates.
#[inline(always)]
fn add_residuals<V: Vectors, const MANY: usize>(
    w: &[f32],
    [by_step, lowest, highest]: &[V::Block; 3],
    first: usize,
    [squares, by_levels]: [&mut [f64]; 2],
) {
    let mut candidates = [[V::Floats::splat(0.0); 3]; MANY];
    for register in 0..MANY {
        candidates[register] = [by_step[first + register], lowest[first + register], highest[first + register]];
    }
    for tile in w.chunks(TILE) {
        let mut sums = [[V::Floats::splat(0.0); 2]; MANY];
        // Four to a turn of the loop: counting takes a tenth of the instructions of one.
        let (fours, rest) = tile.as_chunks::<4>();
        for four in fours {
            for w in four {
                add_residual(V::Floats::splat(*w), &candidates, &mut sums);
            }
        }
        for w in rest {
            add_residual(V::Floats::splat(*w), &candidates, &mut sums);
        }
        for register in 0..MANY {
            let lanes = register * V::Floats::LANES;
            add_lanes(&mut squares[lanes..], sums[register][0]);
            add_lanes(&mut by_levels[lanes..], sums[register][1]);
        }
    }
}

/// The terms of one weight.
#[inline(always)]
fn add_residual<F: Floats, const MANY: usize>(w: F, candidates: &[[F; 3]; MANY], sums: &mut [[F; 2]; MANY]) {
    for register in 0..MANY {
        let [by_step, lowest, highest] = candidates[register];
        let [square, by_level] = &mut sums[register];
        let v = w.times(by_step);
        let level = Rounding::HalfEven.round(v.at_least(lowest).at_most(highest));
        let residual = v.minus(level);
        *square = square.plus(residual.times(residual));
        *by_level = by_level.plus(residual.times(level));
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
