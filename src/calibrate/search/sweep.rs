//! The sweep: every assignment of weights to levels in a range of steps, one move of a weight after another.
//!
//! With t one over the step, A the sum of magnitudes times levels and B that of squared levels, the best step for an assignment is
//! A / B, and its error is the sum of squares less A^2 / B. A move raises A^2 / B as long as t is below B / A, then it lowers it: between
//! moves that raise it and moves that lower it is a peak, and the highest peak is the smallest error of the range. [`Moves`] adds them
//! up in bins so narrow that it hardly matters in which order the moves of one come: at twice the width, a group of 1024 in a hundred was
//! more than a thousandth above its smallest error.

use super::{LANES, Search, Trial};
use crate::kernels::{MOST_BINS, MoveBins, Moves, Start, UNITS};

/// A weight of typical size moves by this part of a level in a bin.
const WIDTH: f64 = 0.009;

/// Of fewer weights, what order the moves of a bin come in does matter: steps near the peak are tried as well.
const POLISHED: usize = 600;

impl Search<'_> {
    /// Finds the best step of a range, for the zero point of the best so far.
    pub(super) fn sweep(&mut self, (from, to): (f64, f64)) {
        let range = [from as f32, to as f32];
        let [from, to] = range.map(f64::from);
        if from >= to {
            return;
        }
        let count = (((to - from) * self.size / WIDTH) as usize).clamp(1, MOST_BINS);
        let (bounds, zero_point) = (self.target.bounds, self.best.zero_point);
        let mut start = Start::default();
        self.isa.run(Moves {
            w: self.weights,
            range,
            lowest: bounds.min - zero_point,
            highest: bounds.max - zero_point,
            count,
            bins: self.memory.bins(),
            start: &mut start,
        });
        let Start { residuals, by_levels, levels } = start;
        let first = Sums { by_levels: ((levels + by_levels) / from * UNITS).round(), levels };
        let stride = (to - from) / count as f64;
        let highest = highest_peak(first, from, stride, count, self.memory.bins());
        if highest.levels > 0.0 {
            let part = if levels > 0.0 { by_levels / levels } else { 0.0 };
            let error = (residuals - by_levels * part) / (from * from) - (highest.height() - first.height());
            let error = error.max(0.0) as f32;
            let by_step = highest.levels / highest.by_levels * UNITS;
            if error < self.best.error {
                self.best = Trial { by_step, zero_point, error, part: 0.0 };
            }
            if self.weights.len() < POLISHED {
                self.clear();
                self.linear((by_step - 2.0 * stride, by_step + 2.0 * stride), LANES, 0.0);
                self.try_all();
            }
        }
    }
}

/// A in units of [`Moves`], and B: whole numbers.
#[derive(Debug, Clone, Copy)]
struct Sums {
    by_levels: f64,
    levels: f64,
}

impl Sums {
    /// A^2 / B.
    fn height(self) -> f64 {
        let by_levels = self.by_levels / UNITS;
        if self.levels > 0.0 { by_levels * by_levels / self.levels } else { 0.0 }
    }
}

/// The sums of the highest peak, from the first assignment over all bins, which it empties. One over the step is `from` at the first, and
/// `stride` more at each.
fn highest_peak(first: Sums, from: f64, stride: f64, count: usize, bins: MoveBins<'_>) -> Sums {
    let (mut highest, mut height) = (first, first.height());
    let (mut sums, mut is_rising) = (first, true);
    let [mut middle, stride] = [(from + 0.5 * stride) / UNITS, stride / UNITS];
    // What is rounded beyond the last bin is in one more.
    let (magnitudes, squares) = (&mut bins.magnitudes[..=count], &mut bins.squares[..=count]);
    for bin in 0..=count {
        if squares[bin] != 0 {
            let (was_rising, before) = (is_rising, sums);
            sums.by_levels += std::mem::take(&mut magnitudes[bin]) as f64;
            sums.levels += std::mem::take(&mut squares[bin]) as f64;
            // Halfway between before and after, as a move raises B / A itself.
            is_rising = (before.by_levels + sums.by_levels) * middle < before.levels + sums.levels;
            if was_rising && !is_rising && before.height() > height {
                (highest, height) = (before, before.height());
            }
        }
        middle += stride;
    }
    if sums.height() > height { sums } else { highest }
}
