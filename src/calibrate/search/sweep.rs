//! The sweep: every assignment of weights to levels in a range of steps, one move of a weight after another.
//!
//! With t one over the step, A the sum of magnitudes times levels and B that of squared levels, the best step for an assignment is
//! A / B, and its error is the sum of squares less A^2 / B. A move raises A^2 / B as long as t is below B / A, then it lowers it: between
//! moves that raise it and moves that lower it is a peak, and the highest peak is the smallest error of the range: [`HighestPeak`] finds
//! it. [`Moves`] adds them up in bins so narrow that it hardly matters in which order the moves of one come: at twice the width, a group of
//! 1024 in a hundred was more than a thousandth above its smallest error.
//!
//! Where weights are clamped depends on the zero point, where the others move does not. So zero points beside each other are swept
//! together, for little more than one.

use super::zero_point::FEW_CODES;
use super::{LANES, Search, Trial};
use crate::kernels::{HighestPeak, MOST_BINS, Moves, Start, Sums, UNITS};

/// A range that is narrower, as a part of itself, has nothing to find, and its bins would be narrower than what is rounded.
const NARROWEST: f64 = 1.0 / 4096.0;

/// A weight of typical size moves by this part of a level in a bin, or by twice as much where codes are few.
const WIDTH: f64 = 0.009;
const WIDER: f64 = 2.0;

/// Of fewer weights, what order the moves of a bin come in does matter: steps near the peak are tried as well. So bins may be wider,
/// the more so the fewer moves there are in one, up to a factor.
const POLISHED: usize = 600;
const WIDER_BELOW: f64 = 256.0;
const WIDEST: f64 = 4.0;

impl Search<'_> {
    /// Finds the best step of a range, for a zero point and for so many after it.
    pub(super) fn sweep(&mut self, (from, to): (f64, f64), zero_point: f32, more: usize) {
        let range = [from as f32, to as f32];
        let [from, to] = range.map(f64::from);
        if to - from < from * NARROWEST {
            return;
        }
        let is_polished = self.weights.len() < POLISHED;
        let wider = if is_polished {
            (WIDER_BELOW / self.weights.len() as f64).clamp(WIDER, WIDEST)
        } else if self.target.codes() <= FEW_CODES {
            WIDER
        } else {
            1.0
        };
        let width = WIDTH * wider;
        let count = (((to - from) * self.size / width) as usize).clamp(1, MOST_BINS);
        let bounds = self.target.bounds;
        let mut start = Start::default();
        self.isa.run(Moves {
            w: self.weights,
            range,
            lowest: bounds.min - zero_point,
            highest: bounds.max - zero_point,
            more,
            count,
            bins: self.memory.bins(),
            start: &mut start,
        });
        let Start { residuals, by_levels, levels } = start;
        let first = Sums { magnitudes: ((levels + by_levels) / from * UNITS).round() as u64, squares: levels as u64 };
        let (mut highest, mut which) = (first, 0);
        self.isa.run(HighestPeak { bins: self.memory.bins(), count, more, sums: &mut highest, which: &mut which });
        if highest.squares > 0 {
            let part = if levels > 0.0 { by_levels / levels } else { 0.0 };
            let gain = (highest.height() - first.height()) / (UNITS * UNITS);
            let error = (residuals - by_levels * part) / (from * from) - gain;
            let error = error.max(0.0) as f32;
            let by_step = highest.squares as f64 / highest.magnitudes as f64 * UNITS;
            let zero_point = zero_point + which as f32;
            if error < self.best.error {
                self.best = Trial { by_step, zero_point, error, part: 0.0 };
            }
            if is_polished {
                // Two bins on either side.
                let stride = 4.0 * (to - from) / (count * LANES) as f64;
                self.clear();
                for at in 0..LANES {
                    self.push(by_step + stride * (at as f64 - 0.5 * (LANES - 1) as f64), zero_point);
                }
                self.try_all();
            }
        }
    }
}
