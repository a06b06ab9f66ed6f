//! The sweep: every assignment of weights to levels in a range of steps, one move of a weight after another.
//!
//! With t one over the step, A the sum of magnitudes times levels and B that of squared levels, the best step for an assignment is
//! A / B, and its error is the sum of squares less A^2 / B. A move raises A^2 / B as long as t is below B / A, then it lowers it: between
//! moves that raise it and moves that lower it is a peak, and the highest peak is the smallest error of the range: [`HighestPeak`] finds
//! it. [`Moves`] adds them up in bins so narrow that it hardly matters in which order the moves of one come: at twice the width, a group of
//! 1024 in a hundred was more than a thousandth above its smallest error.

use super::{LANES, Search, Trial};
use crate::kernels::{HighestPeak, MOST_BINS, Moves, Start, Sums, UNITS};

/// A weight of typical size moves by this part of a level in a bin.
const WIDTH: f64 = 0.009;

/// Of fewer weights, what order the moves of a bin come in does matter: steps near the peak are tried as well, and bins are twice as
/// wide.
const POLISHED: usize = 600;

impl Search<'_> {
    /// Finds the best step of a range, for the zero point of the best so far.
    pub(super) fn sweep(&mut self, (from, to): (f64, f64)) {
        let range = [from as f32, to as f32];
        let [from, to] = range.map(f64::from);
        if from >= to {
            return;
        }
        let is_polished = self.weights.len() < POLISHED;
        let width = if is_polished { 2.0 * WIDTH } else { WIDTH };
        let count = (((to - from) * self.size / width) as usize).clamp(1, MOST_BINS);
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
        let first = Sums { magnitudes: ((levels + by_levels) / from * UNITS).round() as u64, squares: levels as u64 };
        let mut highest = first;
        self.isa.run(HighestPeak { bins: self.memory.bins(), count, sums: &mut highest });
        if highest.squares > 0 {
            let part = if levels > 0.0 { by_levels / levels } else { 0.0 };
            let gain = (highest.height() - first.height()) / (UNITS * UNITS);
            let error = (residuals - by_levels * part) / (from * from) - gain;
            let error = error.max(0.0) as f32;
            let by_step = highest.squares as f64 / highest.magnitudes as f64 * UNITS;
            if error < self.best.error {
                self.best = Trial { by_step, zero_point, error, part: 0.0 };
            }
            if is_polished {
                let stride = (to - from) / count as f64;
                self.clear();
                self.linear((by_step - 2.0 * stride, by_step + 2.0 * stride), LANES, 0.0);
                self.try_all();
            }
        }
    }
}
