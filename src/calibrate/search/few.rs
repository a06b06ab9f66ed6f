//! Groups of so few weights that every assignment of them to levels is tried.

use super::zero_point::MANY_CODES;
use super::{MOST, Search};

/// By which part a step is smaller than the one at which a weight moves, to be beyond it for all rounding.
const AFTER: f64 = 1.0 / (1 << 20) as f64;

impl Search<'_> {
    /// Tries each assignment of the weights to levels that a step of a range has: the one after each move of a weight to its next
    /// level.
    pub(super) fn try_every_assignment(&mut self, (from, to): (f64, f64)) {
        let bounds = self.target.bounds;
        let (symmetric, codes) = (self.target.symmetric, self.target.codes());
        let beside: &[f32] = if symmetric || codes > MANY_CODES { &[0.0] } else { &[0.0, 1.0, -1.0] };
        let weights = self.weights;
        self.clear();
        for w in weights {
            let magnitude = f64::from(w.abs());
            let last = if !symmetric {
                codes
            } else if *w < 0.0 {
                self.best.zero_point - bounds.min
            } else {
                bounds.max - self.best.zero_point
            };
            let by_level = (1.0 + AFTER) / magnitude;
            let mut level = (magnitude * from).round_ties_even();
            let end = f64::from(last).min(magnitude * to - 0.5);
            while level < end {
                let by_step = (level + 0.5) * by_level;
                let zero_point = self.zero_point(by_step);
                for beside in beside {
                    self.push(by_step, zero_point + beside);
                }
                if self.count + beside.len() > MOST {
                    self.try_all();
                    self.clear();
                }
                level += 1.0;
            }
        }
        self.try_all();
    }
}
