//! Free zero points: which of them are swept, and between which steps.
//!
//! For a step, the likely zero points are those whose range lies where the weights are; as the step shrinks they change, along a *path*.
//! Its middle is found by moving one end of the range that is not clamped, then the other. The zero points of the path are swept in bands
//! of neighbours, each between the steps that have the path nearby. Of few codes there is one band, of all of them.

use super::{FEW, FEWEST, HANDFUL, LANES, LARGEST_OF_MANY, OUTWEIGHING, Search, Target, Trial};

/// From the smallest code to the largest, where all zero points are one band.
pub(super) const FEW_CODES: f32 = 3.0;

/// Those codes, counted from the smallest, the likely ones first.
const MIDDLE_FIRST: [f32; 4] = [1.0, 2.0, 0.0, 3.0];

/// A zero point is left where its zoom finds no error below so many times the best.
const HOPELESS: f32 = 1.5;

/// Steps that are likely where codes are few, in sizes of a weight: they tell how small a step may be.
const LIKELY: [f64; 2] = [1.3, 2.2];

/// One over the step, in sizes of a weight, of a range that is swept without a zoom.
const SHORT: f64 = 6.0;

/// Codes that are many: a zero point is about as good as the ones beside.
pub(super) const MANY_CODES: f32 = 32.0;

/// Weights without an outlier are in a range of less than so many times their size.
const COMPACT: f64 = 12.0;

/// By which the ends of such a range are multiplied at first.
const FACTORS: [[f64; 2]; LANES] =
    [[1.0, 1.0], [0.8, 0.8], [0.64, 0.64], [0.51, 0.51], [0.41, 0.41], [0.65, 1.0], [1.0, 0.65], [0.7, 0.5]];

/// By which one end is, from the first factor on, each time by the second: far from an outlier, and ever nearer.
const FAR: (f64, f64) = (1.1, 0.66);
const NEAR: (f64, f64) = (1.25, 0.87);
const NEARER: (f64, f64) = (1.05, 0.967);

/// Steps at which the path is followed.
const PLACES: usize = 16;

/// Zero points beside those of the path that are swept, in all: of weights of which a step may fit many by chance, and of others.
const BESIDE: f32 = 3.0;
const BESIDE_OF_MANY: f32 = 1.0;

/// How far the path may be from a band.
const NEARBY: f32 = 1.0;

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
                self.hopeless = best.error * HOPELESS;
                self.run();
                if self.best.error < best.error {
                    best = self.best;
                }
            }
        }
        self.best = best;
    }

    /// Searches for the best zero point, and its step.
    pub(super) fn search_free(&mut self) {
        if self.weights.len() <= FEWEST {
            let range = self.zoom_ends();
            let narrower = self.tried_range(range, FEW);
            let range = if self.weights.len() <= HANDFUL { range } else { narrower };
            self.try_zero_points();
            self.try_every_assignment(range);
            self.try_zero_points();
        } else if self.target.codes() <= FEW_CODES {
            self.sweep_every_zero_point();
        } else {
            let range = self.zoom_ends();
            let range = self.tried_range(range, LANES);
            let range = self.zoom(range);
            self.sweep_path(range);
        }
    }

    /// Sweeps all steps that may be the best, for every zero point.
    fn sweep_every_zero_point(&mut self) {
        let (bounds, more) = (self.target.bounds, self.target.more());
        let zero_points = || (0..=more).map(|code| bounds.min + code as f32);
        self.clear();
        for sizes in LIKELY {
            for zero_point in zero_points() {
                self.push(1.0 / (sizes * self.size), zero_point);
            }
        }
        self.try_all();
        let coverings = zero_points().map(|zero_point| {
            let target = Target { symmetric: true, zero_point, ..self.target };
            target.covering(self.ends[0], self.ends[1]).0
        });
        let largest = coverings.fold(0.0, f64::max);
        // The root of the sum of squares is no more than that of the error and that of as many squares of the largest level.
        let levels = more as f64 * (self.weights.len() as f64).sqrt();
        let smallest = (self.squares.sqrt() - f64::from(self.best.error).sqrt()) / levels;
        let mut range = (1.0 / (largest * LARGEST_OF_MANY), 1.0 / smallest.max(largest * self.smallest()));
        if (range.1 - range.0) * self.size > SHORT {
            self.geometric(range, LANES, zero_points());
            range = self.narrowed(range, more + 1);
        }
        self.sweep(range, bounds.min, more);
    }

    /// Sweeps a range for the zero points of its path, and for some beside.
    fn sweep_path(&mut self, (from, to): (f64, f64)) {
        let (bounds, more) = (self.target.bounds, self.target.more());
        let stride = (to - from) / PLACES as f64;
        let by_step = |place: usize| from + stride * place as f64;
        let path: [f32; PLACES + 1] = std::array::from_fn(|place| self.zero_point(by_step(place)));
        let (mut least, mut largest) = (self.best.zero_point, self.best.zero_point);
        for zero_point in path {
            (least, largest) = (least.min(zero_point), largest.max(zero_point));
        }
        let beside = if self.is_lucky() { BESIDE } else { BESIDE_OF_MANY };
        let band = (more + 1) as f32;
        let bands = ((largest - least + 1.0 + beside) / band).ceil();
        let first = (0.5 * (least + largest + 1.0 - bands * band)).floor();
        for at in 0..bands as usize {
            let lowest = (first + at as f32 * band).clamp(bounds.min, bounds.max - more as f32);
            let nearby = lowest - NEARBY..=lowest + more as f32 + NEARBY;
            let is_nearby = |zero_point: &f32| nearby.contains(zero_point);
            if let (Some(from), Some(to)) = (path.iter().position(is_nearby), path.iter().rposition(is_nearby)) {
                self.sweep((by_step(from.saturating_sub(1)), by_step((to + 1).min(PLACES))), lowest, more);
            }
        }
        // The band beside may not have been swept here.
        let Trial { by_step, zero_point, .. } = self.best;
        let place = (zero_point - first).rem_euclid(band);
        if place == 0.0 || place == more as f32 {
            let direction = if place == 0.0 { -1.0 } else { 1.0 };
            self.clear();
            for distance in 1..=LANES {
                self.push(by_step, zero_point + direction * distance as f32);
            }
            self.try_all();
        }
    }

    /// Finds the best ends of the range that is not clamped, and with them the path; the range in which the best step may be.
    fn zoom_ends(&mut self) -> (f64, f64) {
        let mut ends = self.ends;
        if ends[1] - ends[0] < COMPACT * self.size {
            self.clear();
            for factors in FACTORS {
                self.push_ends([ends[0] * factors[0], ends[1] * factors[1]]);
            }
            if let Some(at) = self.try_all() {
                ends = [ends[0] * FACTORS[at][0], ends[1] * FACTORS[at][1]];
            }
        } else {
            let count = if self.weights.len() > OUTWEIGHING { FEW } else { LANES };
            self.move_ends(&mut ends, FAR, count, &[1]);
            self.move_ends(&mut ends, FAR, count, &[0]);
        }
        self.move_ends(&mut ends, NEAR, LANES / 2, &[0, 1]);
        let has_many_codes = self.target.codes() > MANY_CODES;
        if has_many_codes {
            self.move_ends(&mut ends, NEARER, LANES / 2, &[0, 1]);
        }
        self.middle = 0.5 * (ends[0] + ends[1]);
        let by_step = self.best.by_step;
        if has_many_codes && !self.is_lucky() { (by_step / 1.3, by_step * 1.3) } else { (by_step / 2.5, by_step * 1.7) }
    }

    /// Moves one of some ends to where the error is smallest, if it is smaller than before, trying so many places of each.
    fn move_ends(&mut self, ends: &mut [f64; 2], (from, factor): (f64, f64), count: usize, which: &[usize]) {
        self.clear();
        for &end in which {
            let mut moved = *ends;
            moved[end] *= from;
            for _ in 0..count {
                self.push_ends(moved);
                moved[end] *= factor;
            }
        }
        if let Some(at) = self.try_all() {
            ends[which[at / count]] *= from * f64::powi(factor, (at % count) as i32);
        }
    }

    /// Adds the step and zero point at which nothing between two ends is clamped.
    fn push_ends(&mut self, [min, max]: [f64; 2]) {
        let (step, zero_point) = self.target.covering(min, max);
        self.push(if step > 0.0 { 1.0 / step } else { self.best.by_step }, zero_point);
    }

    /// Tries so many steps of a range, and leaves the part of it in which the best may be.
    fn tried_range(&mut self, range: (f64, f64), count: usize) -> (f64, f64) {
        self.clear();
        self.linear(range, count);
        self.narrowed(range, 1)
    }

    /// Tries the zero points beside the best one, at its step, and moves the path there.
    fn try_zero_points(&mut self) {
        let best = self.best;
        self.clear();
        for distance in 1..=LANES {
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
        let half = 0.5 * f64::from(self.target.codes()) / by_step;
        let mut middle = self.middle;
        if middle + half > self.ends[1] {
            middle = self.ends[1] - half;
        }
        if middle - half < self.ends[0] {
            middle = self.ends[0] + half;
        }
        let zero_point = 0.5 * f64::from(bounds.min + bounds.max) - middle * by_step;
        zero_point.round_ties_even().clamp(bounds.min.into(), bounds.max.into()) as f32
    }
}
