//! Every assignment of a group's weights to levels, between two steps, in one go.
//!
//! For an assignment the best step is `a / b`, and its squared error `sum w^2 - a^2 / b`, with `a = sum w * level` and
//! `b = sum level^2`. As the step shrinks, a weight w moves from level k to k + 1 where `1 / step = (k + 1/2) / abs(w)`: at
//! places that are evenly spaced for each weight. So the range of `1 / step` is cut into cells; each weight leaves in the
//! cells what its moves add to a and b, and one walk over the cells knows both sums at the end of each.
//!
//! A move in a neighbouring cell, for a rounding error in its place, does no harm: whatever the assignment, its error is one
//! that its step has or betters.

use super::filled;
use crate::error::Error;

/// Most cells of a sweep, which fit the first-level cache; fewest.
const CELLS: usize = 1024;
const FEWEST_CELLS: usize = 32;

/// From here on f64 has whole numbers only: adding it rounds, and leaves the number in the low bits.
const WHOLE: f64 = 1.5 * (1u64 << 52) as f64;

/// The memory of a sweep.
pub(super) struct Sweep {
    /// What the moves of a cell add to `a` and `b`.
    cells: Vec<[f64; 2]>,
}

/// What to sweep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// The lowest level, not positive, and the highest, not negative.
    pub(super) levels: (f64, f64),
    /// Steps, from the largest down.
    pub(super) largest: f64,
    pub(super) smallest: f64,
}

/// An assignment: the larger its `gain`, the smaller its error, `sum w^2 - gain`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Assignment {
    pub(super) gain: f64,
    pub(super) step: f64,
}

impl Assignment {
    /// That of nothing.
    pub(super) const NONE: Assignment = Assignment { gain: 0.0, step: 0.0 };
}

impl Sweep {
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new() -> Result<Sweep, Error> {
        Ok(Sweep { cells: filled([0.0; 2], CELLS + 1)? })
    }

    /// The best assignment of weights that have a sum of magnitudes.
    pub(super) fn best(&mut self, weights: &[f32], sum_of_magnitudes: f64, range: &Range) -> Assignment {
        let (from, to) = (1.0 / range.largest, 1.0 / range.smallest);
        // One for each move, if there is room; the last is for those a rounding error beyond the end.
        let moves = sum_of_magnitudes * (to - from);
        let count = (moves as usize).min(CELLS).next_power_of_two().max(FEWEST_CELLS);
        let cells = &mut self.cells[..=count];
        cells.fill([0.0; 2]);
        let cells_per_unit = count as f64 / (to - from);
        let first_cell = from * cells_per_unit;
        let (mut a, mut b) = (0.0, 0.0);
        for &w in weights {
            let magnitude = f64::from(w.abs());
            let last = if w < 0.0 { -range.levels.0 } else { range.levels.1 };
            let level = smaller((magnitude * from + WHOLE) - WHOLE, last);
            a += magnitude * level;
            b += level * level;
            let mut moves = (smaller((magnitude * to + WHOLE) - WHOLE, last) - level) as i32;
            if moves > 0 {
                let cells_per_level = cells_per_unit / magnitude;
                let mut place = (level + 0.5) * cells_per_level - first_cell;
                let mut squares = 2.0 * level + 1.0;
                while moves > 0 {
                    let index = ((place - 0.5) + WHOLE).to_bits() as u32 as usize;
                    let cell = &mut cells[index.min(count)];
                    cell[0] += magnitude;
                    cell[1] += squares;
                    place += cells_per_level;
                    squares += 2.0;
                    moves -= 1;
                }
            }
        }
        let mut best = Assignment::NONE;
        let mut learn = |a: f64, b: f64| {
            if a * a > best.gain * b {
                best = Assignment { gain: a * a / b, step: a / b };
            }
        };
        learn(a, b);
        for cell in cells {
            a += cell[0];
            b += cell[1];
            learn(a, b);
        }
        best
    }
}

/// The squared error of the weights that are clamped at a step.
pub(super) fn clamped_error(weights: &[f32], levels: (f64, f64), step: f64) -> f64 {
    let (low, high) = ((levels.0 * step) as f32, (levels.1 * step) as f32);
    let half = (0.5 * step) as f32;
    in_lanes(weights, |w| {
        let beyond = (w - high).max(low - w);
        if beyond > half { beyond * beyond } else { 0.0 }
    })
}

/// The sum of magnitudes, to some digits.
pub(super) fn sum_of_magnitudes(weights: &[f32]) -> f64 {
    in_lanes(weights, f32::abs)
}

/// The sum of squares, to the digits of f32.
pub(super) fn sum_of_squares(weights: &[f32]) -> f64 {
    in_lanes(weights, |w| w * w)
}

/// A sum that the compiler can vectorise.
#[inline(always)]
fn in_lanes(weights: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    const LANES: usize = 8;
    let mut total = 0.0;
    for tile in weights.chunks(512) {
        let mut sums = [0.0f32; LANES];
        let (chunks, rest) = tile.as_chunks::<LANES>();
        for chunk in chunks {
            for (sum, w) in sums.iter_mut().zip(chunk) {
                *sum += term(*w);
            }
        }
        for (sum, w) in sums.iter_mut().zip(rest) {
            *sum += term(*w);
        }
        total += sums.into_iter().map(f64::from).sum::<f64>();
    }
    total
}

/// The smaller one.
#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against every step of a fine grid, with the error added up weight by weight.
    #[test]
    fn a_sweep_finds_what_a_dense_grid_of_steps_finds() {
        let weights: Vec<f32> = (1..40).map(|at| (at as f32 * 0.7).sin() * (at as f32 * 0.13).cos()).collect();
        let squares: f64 = weights.iter().map(|w| f64::from(*w).powi(2)).sum();
        let error = |step: f64, (lowest, highest): (f64, f64)| -> f64 {
            let value = |w: f64| (w / step).round().clamp(lowest, highest) * step;
            weights.iter().map(|w| f64::from(*w)).map(|w| (w - value(w)).powi(2)).sum()
        };
        let mut sweep = Sweep::new().unwrap();
        for levels in [(-2.0, 1.0), (-8.0, 7.0), (0.0, 15.0), (-100.0, 27.0)] {
            let (largest, smallest) = (1.5 / levels.1, 0.5 / levels.1);
            let found = sweep.best(&weights, sum_of_magnitudes(&weights), &Range { levels, largest, smallest });
            let steps = (0..=100_000).map(|at| smallest + (largest - smallest) * f64::from(at) / 100_000.0);
            let best = steps.map(|step| error(step, levels)).fold(f64::INFINITY, f64::min);
            assert!(error(found.step, levels) <= best * 1.0001, "{levels:?}: {found:?}, not {best}");
            assert!(error(found.step, levels) <= (squares - found.gain) * (1.0 + 1e-9), "{levels:?}: {found:?}");
        }
    }

    #[test]
    fn only_weights_beyond_half_a_step_are_clamped() {
        assert_eq!(clamped_error(&[2.0, 1.25, 0.1, -1.0, -3.0], (-2.0, 1.0), 1.0), 2.0);
    }
}
