//! Free zero points: where they are looked for, and which one goes with a step.

use super::{FEW, SMALL, Search, Trial};

/// Weights at each end that decide on a free zero point.
pub(super) const TAIL: usize = 8;

/// From the smallest code to the largest, where each zero point has a search of its own: so few cost no more than to look for one.
pub(super) const TRIED_ALL: f32 = 3.0;

/// Those codes, counted from the smallest, the likely ones first.
const MIDDLE_FIRST: [f32; 4] = [1.0, 2.0, 0.0, 3.0];

/// A zero point is left where its zoom finds no error below so many times the best.
const HOPELESS: f32 = 1.5;

/// The smallest weights that are not positive and the largest that are not negative, in order, or zeros.
pub(super) fn tails(weights: &[f32]) -> [[f32; 2]; TAIL] {
    let mut tails = [[0.0f32; 2]; TAIL];
    for w in weights {
        let end = usize::from(*w > 0.0);
        if w.abs() > tails[TAIL - 1][end].abs() {
            let mut place = TAIL - 1;
            while place > 0 && tails[place - 1][end].abs() < w.abs() {
                tails[place][end] = tails[place - 1][end];
                place -= 1;
            }
            tails[place][end] = *w;
        }
    }
    tails
}

impl Search<'_> {
    /// Searches for the best step of every zero point, for weights from `min` to `max`.
    pub(super) fn try_all_zero_points(&mut self, min: f64, max: f64) {
        let (bounds, mut best) = (self.target.bounds, self.best);
        self.target.symmetric = true;
        for code in MIDDLE_FIRST {
            let zero_point = (bounds.min + code).min(bounds.max);
            self.target.zero_point = zero_point;
            let (step, _) = self.target.covering(min, max);
            // Else there is no weight on the side that has levels.
            if step > 0.0 {
                self.best = Trial { by_step: 1.0 / step, zero_point, error: f32::INFINITY, part: 0.0 };
                (self.tried, self.hopeless) = (0, best.error * HOPELESS);
                self.run();
                if self.best.error < best.error {
                    best = self.best;
                }
            }
        }
        self.best = best;
    }

    /// Finds the best ends for a free zero point.
    pub(super) fn zoom_ends(&mut self) -> (f64, f64) {
        let mut ends = self.ends;
        // Far from the ends, one after the other; then near them.
        for (from, factor, count, which) in
            [(1.1, 0.76, FEW, &[1][..]), (1.1, 0.76, FEW, &[0]), (1.3, 0.92, FEW / 2, &[0, 1])]
        {
            self.clear();
            for &end in which {
                let mut moved = ends;
                moved[end] *= from;
                for _ in 0..count {
                    let (step, zero_point) = self.target.covering(moved[0], moved[1]);
                    self.push(if step > 0.0 { 1.0 / step } else { self.best.by_step }, zero_point);
                    moved[end] *= factor;
                }
            }
            if let Some(at) = self.try_all() {
                ends[which[at / count]] *= from * f64::powi(factor, (at % count) as i32);
            }
        }
        self.middle = 0.5 * (ends[0] + ends[1]);
        if self.target.bounds.max - self.target.bounds.min > 32.0 && self.weights.len() > SMALL {
            self.tails = tails(self.weights);
        }
        (self.best.by_step / 2.0, self.best.by_step * 1.7)
    }

    /// The zero points that are tried with each step of a scan, counted from that for the step. Where codes are many, or weights are,
    /// the one beside is as good.
    pub(super) fn beside(&self) -> &'static [f32] {
        let codes = self.target.bounds.max - self.target.bounds.min;
        if self.target.symmetric || codes > 32.0 || self.alike > 4096.0 && codes > 8.0 {
            &[0.0]
        } else {
            &[0.0, 1.0, -1.0]
        }
    }

    /// Tries the zero points beside the best one, at its step.
    pub(super) fn try_zero_points(&mut self) {
        let best = self.best;
        self.clear();
        for distance in 1..=8 {
            self.push(best.by_step, best.zero_point + distance as f32);
            self.push(best.by_step, best.zero_point - distance as f32);
        }
        self.try_all();
        let bounds = self.target.bounds;
        self.middle = (0.5 * f64::from(bounds.min + bounds.max) - f64::from(self.best.zero_point)) / self.best.by_step;
    }

    /// The zero point for a step.
    pub(super) fn zero_point(&self, by_step: f64) -> f32 {
        if self.target.symmetric {
            return self.best.zero_point;
        }
        let bounds = self.target.bounds;
        // Where the range is wider than it has to be at one end, the other may have what is too much.
        let half = 0.5 * f64::from(bounds.max - bounds.min) / by_step;
        let mut middle = self.middle;
        if middle + half > self.ends[1] {
            middle = self.ends[1] - half;
        }
        if middle - half < self.ends[0] {
            middle = self.ends[0] + half;
        }
        let zero_point = 0.5 * f64::from(bounds.min + bounds.max) - middle * by_step;
        let zero_point = zero_point.round_ties_even().clamp(bounds.min.into(), bounds.max.into()) as f32;
        if self.tails[0] == [0.0; 2] { zero_point } else { self.balanced(by_step as f32, zero_point) }
    }

    /// The zero point near one with the smallest error of what is clamped, where codes are so many that this is a few
    /// weights.
    fn balanced(&self, by_step: f32, mut zero_point: f32) -> f32 {
        let bounds = self.target.bounds;
        let error = |zero_point: f32| {
            let [lowest, highest] = [bounds.min - zero_point, bounds.max - zero_point];
            let beyond = |[least, largest]: [f32; 2]| {
                let [below, above] = [(lowest - least * by_step).max(0.0), (largest * by_step - highest).max(0.0)];
                below * below + above * above
            };
            self.tails.iter().map(|pair| beyond(*pair)).sum::<f32>()
        };
        let mut least = error(zero_point);
        for direction in [1.0, -1.0] {
            while (bounds.min..=bounds.max).contains(&(zero_point + direction)) {
                let next = error(zero_point + direction);
                if next >= least {
                    break;
                }
                (zero_point, least) = (zero_point + direction, next);
            }
        }
        zero_point
    }
}
