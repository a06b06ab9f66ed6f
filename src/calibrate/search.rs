//! The step and zero point of a group with the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, one piece for each assignment of weights to levels;
//! a group of m weights has some `m * level` of them, every one a chance of a minimum, and no formula says which is best.
//! [`Residuals`] tries 32 steps at once, and knows the bottom of each one's parabola. The search has three parts:
//!
//! 1. *Zoom*: few steps, far apart, leave the range of those that may be the best. A free zero point is zoomed in on by moving one
//!    end of the range that is not clamped, then the other.
//! 2. *Scan*: steps so close that a typical weight moves by a small part of a level between neighbours.
//! 3. *Comb*: closer ones between the best of them. A free zero point is moved there, too: it decides only what is clamped.
//!
//! Of few weights there are so few assignments that every one in the range is tried, instead of a scan and a comb.
//!
//! Steps are counted in one over the step, of which a weight w passes `abs(w)` levels for each unit, wherever.

use super::{Target, filled};
use crate::error::Error;
use crate::kernels::{Candidates, Isa, Residuals};
use std::f64::consts::FRAC_PI_2;

/// Steps of a zoom.
const FEW: usize = 16;

/// Most candidates in one go.
const MOST: usize = 512;

/// The first zoom is from the largest multiple of the step that clamps nothing to the smallest.
const LARGEST: f64 = 2.2;
const SMALLEST: f64 = 1.0 / 64.0;

/// The error of steps that are much alike scatters, where levels are many: by a standard deviation of sqrt(0.8 / m) of m weights.
/// So many of them are luck.
const LUCK: f64 = 7.0;

/// Neighbours of a scan of 4096 weights move the mean magnitude by this part of a level.
const STRIDE: f64 = 0.08;

/// Of so few weights every assignment is tried.
const SMALL: usize = 64;

/// By which part a step is smaller than the one at which a weight moves, to be beyond it for all rounding.
const AFTER: f64 = 1.0 / (1 << 20) as f64;

/// Most gaps of a scan that are combed, and steps in each.
const MOST_GAPS: usize = 8;
const TEETH: usize = 4;

/// Weights at each end that decide on a free zero point.
const TAIL: usize = 8;

/// What a search writes down, kept from group to group: candidates, as [`Residuals`] takes them.
pub(super) struct Memory {
    by_step: Vec<f32>,
    lowest: Vec<f32>,
    highest: Vec<f32>,
    errors: Vec<f32>,
    parts: Vec<f32>,
}

impl Memory {
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new() -> Result<Memory, Error> {
        Ok(Memory {
            by_step: filled(1.0, MOST)?,
            lowest: filled(0.0, MOST)?,
            highest: filled(0.0, MOST)?,
            errors: filled(0.0, MOST)?,
            parts: filled(0.0, MOST)?,
        })
    }
}

/// A step and a zero point, and what is known of them.
#[derive(Debug, Clone, Copy)]
struct Trial {
    by_step: f64,
    zero_point: f32,
    /// Of the best step for the same levels.
    error: f32,
    /// By which part of itself the step is smaller than that one.
    part: f32,
}

/// The best step and zero point of weights from `min`, not positive, to `max`, not negative; step 0 where all are 0. Changes the
/// weights.
pub(super) fn best_step(weights: &mut [f32], min: f64, max: f64, target: &Target, memory: &mut Memory) -> (f64, f32) {
    let (step, zero_point) = target.covering(min, max);
    if step == 0.0 {
        return (0.0, zero_point);
    }
    // By the exponent of the largest magnitude: so no square leaves the range of f32.
    let exponent = ((max.max(-min).to_bits() >> 52) as i32) - 1023;
    let factor = power_of_two(-exponent);
    scale(weights, factor);
    let (squares, magnitudes) = sums(weights);
    // How many weights are of like size, by the ratio that normal ones have: zeros and those beside an outlier do not count.
    let alike = (FRAC_PI_2 * magnitudes * magnitudes / squares).min(weights.len() as f64);
    let mut search = Search {
        weights,
        squares,
        magnitudes,
        alike,
        luck: 1.03 + LUCK as f32 * (0.8 / alike as f32).sqrt(),
        ends: [min * factor, max * factor],
        tails: [[0.0; 2]; TAIL],
        middle: 0.5 * (min + max) * factor,
        target,
        isa: Isa::current(),
        best: Trial { by_step: 1.0 / (step * factor), zero_point, error: f32::INFINITY, part: 0.0 },
        memory,
        count: 0,
    };
    search.run();
    let best = search.best;
    ((1.0 + f64::from(best.part)) / best.by_step * power_of_two(exponent), best.zero_point)
}

/// 2 to a power that f64 has.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

/// Multiplies by a power of two, exactly.
fn scale(weights: &mut [f32], factor: f64) {
    let in_f32 = factor as f32;
    if in_f32.is_normal() {
        weights.iter_mut().for_each(|w| *w *= in_f32);
    } else {
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
    }
}

/// The sums of squares and of magnitudes, in lanes that the compiler can vectorise.
fn sums(weights: &[f32]) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut squares, mut magnitudes) = (0.0, 0.0);
    for tile in weights.chunks(16 * LANES) {
        let [mut square, mut magnitude] = [[0.0f32; LANES]; 2];
        let (chunks, rest) = tile.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                square[lane] += chunk[lane] * chunk[lane];
                magnitude[lane] += chunk[lane].abs();
            }
        }
        for (lane, w) in rest.iter().enumerate() {
            square[lane] += w * w;
            magnitude[lane] += w.abs();
        }
        squares += f64::from(square.iter().sum::<f32>());
        magnitudes += f64::from(magnitude.iter().sum::<f32>());
    }
    (squares, magnitudes)
}

/// The smallest weights that are not positive and the largest that are not negative, in order, or zeros.
fn tails(weights: &[f32]) -> [[f32; 2]; TAIL] {
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

/// A group.
struct Search<'a> {
    weights: &'a [f32],
    squares: f64,
    magnitudes: f64,
    /// How many weights are of like size.
    alike: f64,
    /// How much more than the best so far an error may be for the best to be near.
    luck: f32,
    /// The smallest weight or 0, and the largest.
    ends: [f64; 2],
    /// Of the range that should not be clamped.
    middle: f64,
    /// The smallest weights and the largest, where they decide on a free zero point, else zeros.
    tails: [[f32; 2]; TAIL],
    target: &'a Target,
    isa: Isa,
    best: Trial,
    memory: &'a mut Memory,
    /// Candidates in the memory.
    count: usize,
}

impl Search<'_> {
    fn run(&mut self) {
        let symmetric = self.target.symmetric;
        let mut range = if symmetric { self.first_range() } else { self.zoom_ends() };
        self.count = 0;
        if symmetric {
            self.geometric(range)
        } else {
            self.linear(range, FEW, 0.0)
        }
        range = self.tried_range(range);
        if !symmetric {
            self.try_zero_points();
        }
        if self.weights.len() <= SMALL {
            self.try_every_assignment(range);
        } else {
            // The fewer the weights, the more irregular their errors.
            let irregular = (self.alike / 4096.0).powf(0.25).clamp(0.3, 3.0);
            let stride = STRIDE * irregular * self.weights.len() as f64 / self.magnitudes;
            let count = |range: (f64, f64)| ((range.1 - range.0) / stride) as usize;
            if count(range) > 2 * FEW {
                self.count = 0;
                self.linear(range, FEW, 0.0);
                range = self.tried_range(range);
            }
            let beside = self.beside();
            let count = count(range).clamp(FEW, MOST / beside.len());
            self.count = 0;
            for beside in beside {
                self.linear(range, count, *beside);
            }
            self.try_all();
            self.comb(if self.alike < 8192.0 { MOST_GAPS } else { MOST_GAPS / 2 });
            self.try_all();
        }
        if !symmetric {
            self.try_zero_points();
        }
    }

    /// Tries the zero points beside the best one, at its step.
    fn try_zero_points(&mut self) {
        let best = self.best;
        self.count = 0;
        for distance in 1..=8 {
            self.push(best.by_step, best.zero_point + distance as f32);
            self.push(best.by_step, best.zero_point - distance as f32);
        }
        self.try_all();
        let bounds = self.target.bounds;
        self.middle = (0.5 * f64::from(bounds.min + bounds.max) - f64::from(self.best.zero_point)) / self.best.by_step;
    }

    /// The zero points that are tried with each step of a scan, counted from that for the step. Where codes are many, or weights are,
    /// the one beside is as good.
    fn beside(&self) -> &'static [f32] {
        let codes = self.target.bounds.max - self.target.bounds.min;
        if self.target.symmetric || codes > 32.0 || self.alike > 4096.0 && codes > 8.0 {
            &[0.0]
        } else {
            &[0.0, 1.0, -1.0]
        }
    }

    /// Tries each assignment of the weights to levels that a step of a range has: the one after each move of a weight to its next
    /// level.
    fn try_every_assignment(&mut self, (from, to): (f64, f64)) {
        let bounds = self.target.bounds;
        let (symmetric, codes) = (self.target.symmetric, bounds.max - bounds.min);
        let beside = self.beside();
        let weights = self.weights;
        self.count = 0;
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
                    self.count = 0;
                }
                level += 1.0;
            }
        }
        self.try_all();
    }

    /// One over the steps between which the best one is, for the zero point of the best so far.
    fn first_range(&self) -> (f64, f64) {
        let covering = 1.0 / self.best.by_step;
        // A step that clamps nothing is wrong by half of itself at most: no weight that is clamped may be farther off than all of
        // them then are together.
        let most = 0.5 * covering * (self.weights.len() as f64).sqrt();
        let bounds = self.target.bounds;
        let mut smallest = covering * SMALLEST;
        for (end, code) in self.ends.into_iter().zip([bounds.min, bounds.max]) {
            let level = f64::from(code - self.best.zero_point).abs();
            if level > 0.0 {
                smallest = smallest.max((end.abs() - most) / level);
            }
        }
        (1.0 / (covering * LARGEST), 1.0 / smallest)
    }

    /// Finds the best ends for a free zero point.
    fn zoom_ends(&mut self) -> (f64, f64) {
        let mut ends = self.ends;
        // Far from the ends, one after the other; then near them.
        for (from, factor, count, which) in
            [(1.1, 0.76, FEW, &[1][..]), (1.1, 0.76, FEW, &[0]), (1.3, 0.92, FEW / 2, &[0, 1])]
        {
            self.count = 0;
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

    /// The zero point for a step.
    fn zero_point(&self, by_step: f64) -> f32 {
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

    /// Adds a candidate.
    fn push(&mut self, by_step: f64, zero_point: f32) {
        let bounds = self.target.bounds;
        let zero_point = zero_point.clamp(bounds.min, bounds.max);
        self.memory.by_step[self.count] = by_step as f32;
        self.memory.lowest[self.count] = bounds.min - zero_point;
        self.memory.highest[self.count] = bounds.max - zero_point;
        self.count += 1;
    }

    fn trial(&self, at: usize) -> Trial {
        let Memory { by_step, lowest, errors, parts, .. } = &*self.memory;
        Trial {
            by_step: by_step[at].into(),
            zero_point: self.target.bounds.min - lowest[at],
            error: errors[at],
            part: parts[at],
        }
    }

    /// The errors of the candidates.
    fn errors(&self) -> &[f32] {
        &self.memory.errors[..self.count]
    }

    /// Adds steps that are so many times each other.
    fn geometric(&mut self, (from, to): (f64, f64)) {
        let factor = (to / from).powf(1.0 / (FEW - 1) as f64);
        let mut by_step = from;
        for _ in 0..FEW {
            self.push(by_step, self.best.zero_point);
            by_step *= factor;
        }
    }

    /// Adds steps at the same distance, each with its zero point or one beside it.
    fn linear(&mut self, (from, to): (f64, f64), count: usize, beside: f32) {
        let stride = (to - from) / count as f64;
        for at in 0..count {
            let by_step = from + stride * (at as f64 + 0.5);
            self.push(by_step, self.zero_point(by_step) + beside);
        }
    }

    /// Tries the candidates, and keeps the best; which one it is, if it is better than the best so far.
    fn try_all(&mut self) -> Option<usize> {
        let Memory { by_step, lowest, highest, errors, parts } = &mut *self.memory;
        let candidates = Candidates { by_step, lowest, highest, errors, parts };
        self.isa.run(Residuals { w: self.weights, squares: self.squares, candidates, count: self.count });
        let mut least = (self.best.error, None);
        for (at, error) in self.errors().iter().enumerate() {
            if *error < least.0 {
                least = (*error, Some(at));
            }
        }
        if let Some(at) = least.1 {
            self.best = self.trial(at);
        }
        least.1
    }

    /// Tries the candidates, and leaves of their range the part in which the best may be, with one of them more at each end.
    fn tried_range(&mut self, range: (f64, f64)) -> (f64, f64) {
        self.try_all();
        let most = self.best.error * self.luck;
        let may_be = |error: &f32| *error <= most;
        let first = self.errors().iter().position(may_be).unwrap_or(0);
        let last = self.errors().iter().rposition(may_be).unwrap_or(self.count - 1);
        let from = if first == 0 { range.0 } else { self.trial(first - 1).by_step };
        let to = if last + 1 == self.count { range.1 } else { self.trial(last + 1).by_step };
        (from, to)
    }

    /// Fills in steps between neighbours of a scan, where both errors are the smallest.
    fn comb(&mut self, most_gaps: usize) {
        let mut gaps = [(f32::INFINITY, 0); MOST_GAPS];
        let Memory { by_step, errors, .. } = &*self.memory;
        for at in 1..self.count {
            let error = errors[at - 1] + errors[at];
            if error < gaps[most_gaps - 1].0 && by_step[at - 1] < by_step[at] {
                let place = gaps.partition_point(|other| other.0 <= error);
                gaps[place..most_gaps].rotate_right(1);
                gaps[place] = (error, at);
            }
        }
        let gaps = gaps.map(|(error, at)| (error, self.trial(at.max(1) - 1), self.trial(at)));
        self.count = 0;
        for (_, left, right) in gaps.into_iter().filter(|(error, ..)| error.is_finite()) {
            let zero_point = if left.error < right.error { left.zero_point } else { right.zero_point };
            for tooth in 1..=TEETH {
                let by_step = left.by_step + (right.by_step - left.by_step) * tooth as f64 / (TEETH + 1) as f64;
                self.push(by_step, zero_point);
                if !self.target.symmetric {
                    self.push(by_step, zero_point - 1.0);
                    self.push(by_step, zero_point + 1.0);
                }
            }
        }
    }
}
