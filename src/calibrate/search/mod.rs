//! The step and zero point of a group with the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, one piece for each assignment of weights to levels;
//! a group of m weights has some `m * level` of them, every one a chance of a minimum, and no formula says which is best.
//! [`Residuals`] tries several steps at once, and tells of each the error, its slope, and the bottom of its parabola. The search has
//! three parts:
//!
//! 1. *Zoom*: few steps, far apart, leave the range of those that may be the best. A free zero point is zoomed in on by moving one
//!    end of the range that is not clamped, then the other.
//! 2. *Scan*: steps over that range, so close that a typical weight moves by a part of a level between neighbours.
//! 3. *Cut*: between neighbours the error is about a cubic ([`cells`]); steps are tried where those are lowest, over and over.
//!
//! Of few weights there are so few assignments that every one in the range is tried, instead of a scan and cuts.
//!
//! Steps are counted in one over the step, of which a weight w passes `abs(w)` levels for each unit, wherever.

mod cells;
mod few;
mod zero_point;

use super::{Target, filled};
use crate::error::Error;
use crate::kernels::{Candidates, Input, Isa, Residuals, Scaled};
use cells::{Cell, Point};
use std::f64::consts::FRAC_PI_2;
use zero_point::{TAIL, TRIED_ALL};

/// Steps of a zoom; of one into a range that is not that many times as wide as its smallest step, half as many.
const FEW: usize = 16;
const NARROW: f64 = 2.5;

/// Most candidates in one go.
const MOST: usize = 512;

/// What candidates come in: as many lanes as a register has on most machines.
const LANES: usize = 8;

/// The first zoom is from the largest multiple of the step that clamps nothing to the smallest; of many weights, none is as lucky
/// as to fit levels that are much farther apart than they have to be.
const LARGEST: f64 = 2.2;
const LARGEST_OF_MANY: f64 = 1.2;
const SMALLEST: f64 = 1.0 / 64.0;

/// Errors above the smallest, in standard deviations of what is chance in them, that may be near the best.
const LUCK: f64 = 3.0;
const LUCK_OF_FEW: f64 = 7.0;

/// Weights of like size that are few in that sense.
const LUCKY: f64 = 300.0;

/// Neighbours of a scan of 4096 weights move a weight of typical size by this part of a level.
const STRIDE: f64 = 0.17;

/// A cell as narrow as this, in the same unit, tells by its slopes where between its ends the error is how large.
const RESOLVED: f32 = 0.3;

/// Strides in a range that call for another zoom before the scan.
const WIDE: usize = 24;

/// Candidates for 4096 weights or more, and those of them that are not left to the scan.
const BUDGET: usize = 56;
const CUTS: usize = 16;

/// Cells of few weights are not cut for what is not known of them: there are too many.
const MOST_SCATTER: f64 = 0.03;

/// Less than this is not worth a try, as a part of the smallest error.
const GAIN: f32 = 2e-4;

/// Of so few weights every assignment is tried.
const SMALL: usize = 64;

/// What a search writes down, kept from group to group: the weights, candidates as [`Residuals`] takes them, and cells.
pub(super) struct Memory {
    weights: Vec<f32>,
    by_step: Vec<f32>,
    lowest: Vec<f32>,
    highest: Vec<f32>,
    errors: Vec<f32>,
    parts: Vec<f32>,
    slopes: Vec<f32>,
    cells: Vec<Cell>,
}

impl Memory {
    /// For groups of at most `largest` weights.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new(largest: usize) -> Result<Memory, Error> {
        let mut cells = Vec::new();
        cells.try_reserve_exact(2 * MOST)?;
        let mut weights = Vec::new();
        weights.try_reserve_exact(largest)?;
        Ok(Memory {
            weights,
            by_step: filled(1.0, MOST)?,
            lowest: filled(0.0, MOST)?,
            highest: filled(0.0, MOST)?,
            errors: filled(0.0, MOST)?,
            parts: filled(0.0, MOST)?,
            slopes: filled(0.0, MOST)?,
            cells,
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

/// The best step and zero point of weights from `min`, not positive, to `max`, not negative; step 0 where all are 0. None of the
/// weights lie in memory as halves.
pub(super) fn best_step(w: Input<'_, f32>, min: f64, max: f64, target: &Target, memory: &mut Memory) -> (f64, f32) {
    let (step, zero_point) = target.covering(min, max);
    if step == 0.0 {
        return (0.0, zero_point);
    }
    // By the exponent of the largest magnitude: so no square leaves the range of f32.
    let exponent = ((max.max(-min).to_bits() >> 52) as i32) - 1023;
    let factor = power_of_two(-exponent);
    let factors = [-exponent / 2, -exponent - -exponent / 2].map(|exponent| power_of_two(exponent) as f32);
    let isa = Isa::current();
    // Zeros are right at every step.
    let mut weights = std::mem::take(&mut memory.weights);
    let mut sums = [0.0; 3];
    isa.run(Scaled { w, factors, to: &mut weights, sums: &mut sums });
    let [squares, magnitudes, zeros] = sums;
    let count = if zeros > ZEROS * w.len() as f64 { move_zeros(&mut weights) } else { w.len() };
    // How many weights are of like size, by the ratio that normal ones have: zeros and those beside an outlier do not count.
    let alike = (FRAC_PI_2 * magnitudes * magnitudes / squares).min(count as f64);
    let mut search = Search {
        weights: &weights[..count],
        squares,
        alike,
        size: squares / magnitudes / FRAC_PI_2,
        // Squared, the distance of weights to levels has this mean in its standard deviation.
        scatter: (0.8 / alike).sqrt(),
        ends: [min * factor, max * factor],
        tails: [[0.0; 2]; TAIL],
        middle: 0.5 * (min + max) * factor,
        target: *target,
        isa,
        best: Trial { by_step: 1.0 / (step * factor), zero_point, error: f32::INFINITY, part: 0.0 },
        memory,
        hopeless: f32::INFINITY,
        count: 0,
        tried: 0,
    };
    if !target.symmetric && target.bounds.max - target.bounds.min <= TRIED_ALL {
        search.try_all_zero_points(min * factor, max * factor);
    } else {
        search.run();
    }
    let best = search.best;
    memory.weights = weights;
    ((1.0 + f64::from(best.part)) / best.by_step * power_of_two(exponent), best.zero_point)
}

/// Zeros are taken out where they are more than this part of the weights.
const ZEROS: f64 = 0.25;

/// Moves weights that are not 0 to the front; how many.
fn move_zeros(weights: &mut [f32]) -> usize {
    let mut count = 0;
    for at in 0..weights.len() {
        let w = weights[at];
        weights[count] = w;
        count += usize::from(w != 0.0);
    }
    count
}

/// 2 to a power that f64 has.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

/// A group.
struct Search<'a> {
    weights: &'a [f32],
    squares: f64,
    /// How many weights are of like size.
    alike: f64,
    /// Their size.
    size: f64,
    /// The standard deviation of what is chance in the error of a step, as a part of that error: levels are many, and steps that are
    /// much alike put weights elsewhere between them.
    scatter: f64,
    /// The smallest weight or 0, and the largest.
    ends: [f64; 2],
    /// Of the range that should not be clamped.
    middle: f64,
    /// The smallest weights and the largest, where they decide on a free zero point, else zeros.
    tails: [[f32; 2]; TAIL],
    target: Target,
    isa: Isa,
    best: Trial,
    memory: &'a mut Memory,
    /// Errors of a zoom above this are not followed.
    hopeless: f32,
    /// Candidates in the memory.
    count: usize,
    /// Those that the search has paid for.
    tried: usize,
}

impl Search<'_> {
    fn run(&mut self) {
        if self.target.symmetric {
            let range = self.first_range();
            self.geometric(range);
            let range = self.tried_range(range);
            if self.best.error <= self.hopeless {
                self.find(range);
            }
        } else {
            let range = self.zoom_ends();
            self.clear();
            self.linear(range, FEW, 0.0);
            let range = self.tried_range(range);
            self.try_zero_points();
            self.tried = 0;
            self.find(range);
            self.try_zero_points();
        }
    }

    /// Finds the best step of a range.
    fn find(&mut self, mut range: (f64, f64)) {
        if self.weights.len() <= SMALL {
            return self.try_every_assignment(range);
        }
        // The fewer the weights, the more irregular their errors; and the cheaper is a candidate.
        let stride = STRIDE * (self.alike / 4096.0).powf(0.35).clamp(0.15, 2.0) / self.size;
        let least = if self.target.symmetric { 1.0 } else { 2.0 };
        let budget = BUDGET as f64 * (4096.0 / self.weights.len() as f64).powf(0.6).max(least);
        let budget = (budget as usize).min(MOST).next_multiple_of(LANES);
        let strides = |(from, to): (f64, f64)| ((to - from) / stride) as usize;
        if strides(range) > WIDE {
            self.clear();
            self.linear(range, LANES, 0.0);
            range = self.tried_range(range);
        }
        let beside = self.beside();
        let most =
            (budget - CUTS * beside.len().max(self.zero_points_of_cut().len())).saturating_sub(self.tried).max(LANES);
        let count = strides(range).next_multiple_of(LANES).clamp(LANES, most.min(MOST / beside.len()));
        self.clear();
        for beside in beside {
            self.linear(range, count, *beside);
        }
        self.try_all();
        // Zero points beside the likely one are no reason to look less closely.
        self.tried -= (beside.len() - 1) * count;
        self.make_cells();
        let at_once = (budget / (8 * LANES)).max(1) * LANES * beside.len();
        while self.tried < budget && self.cut(at_once) {}
    }

    /// One over the steps between which the best one is, for the zero point of the best so far.
    fn first_range(&self) -> (f64, f64) {
        let covering = 1.0 / self.best.by_step;
        // A step that clamps nothing is wrong by half of itself at most; of many weights, squared, by a twelfth, or with bad luck an
        // eighth: no weight that is clamped may be farther off than all of them then are together.
        let (by_chance, largest) = if self.is_lucky() {
            (4.0, LARGEST)
        } else {
            (8.0, (1.0 + 8.0 * self.scatter).sqrt().max(LARGEST_OF_MANY))
        };
        let most = covering * (self.weights.len() as f64 / by_chance).sqrt();
        let bounds = self.target.bounds;
        let mut smallest = covering * SMALLEST;
        for (end, code) in self.ends.into_iter().zip([bounds.min, bounds.max]) {
            let level = f64::from(code - self.best.zero_point).abs();
            if level > 0.0 {
                smallest = smallest.max((end.abs() - most) / level);
            }
        }
        (1.0 / (covering * largest), 1.0 / smallest)
    }

    /// Whether weights are so few that a step may fit them by chance.
    fn is_lucky(&self) -> bool {
        self.alike < LUCKY
    }

    /// Forgets the candidates.
    fn clear(&mut self) {
        self.count = 0;
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

    /// Makes steps that are so many times each other the candidates.
    fn geometric(&mut self, (from, to): (f64, f64)) {
        self.clear();
        let few = if to < from * NARROW { FEW / 2 } else { FEW };
        let factor = (to / from).powf(1.0 / (few - 1) as f64);
        let mut by_step = from;
        for _ in 0..few {
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
        let Memory { by_step, lowest, highest, errors, parts, slopes, .. } = &mut *self.memory;
        let candidates = Candidates { by_step, lowest, highest, errors, parts, slopes };
        self.isa.run(Residuals { w: self.weights, squares: self.squares, candidates, count: self.count });
        self.tried += self.count.next_multiple_of(LANES);
        let mut least = (self.best.error, None);
        for (at, error) in self.memory.errors[..self.count].iter().enumerate() {
            if *error < least.0 {
                least = (*error, Some(at));
            }
        }
        if let Some(at) = least.1 {
            let point = self.point(at);
            let (by_step, part) = (point.by_step.into(), self.memory.parts[at]);
            self.best = Trial { by_step, zero_point: point.zero_point, error: point.bottom, part };
        }
        least.1
    }

    /// A candidate that was tried.
    fn point(&self, at: usize) -> Point {
        let Memory { by_step, lowest, errors, parts, slopes, .. } = &*self.memory;
        Point {
            by_step: by_step[at],
            zero_point: self.target.bounds.min - lowest[at],
            error: errors[at] + 0.5 * parts[at] * slopes[at],
            slope: slopes[at] / by_step[at],
            bottom: errors[at],
        }
    }

    /// Makes the candidates' neighbours cells.
    fn make_cells(&mut self) {
        self.memory.cells.clear();
        for at in 1..self.count {
            // Where a zero point has had all of its steps, the next begins again.
            if self.memory.by_step[at - 1] < self.memory.by_step[at] {
                let cell = self.cell(self.point(at - 1), self.point(at));
                self.memory.cells.push(cell);
            }
        }
    }

    /// The zero points that are tried where a cell is cut, counted from its own.
    fn zero_points_of_cut(&self) -> &'static [f32] {
        // Where the scan tried those beside, they have cells of their own.
        if self.target.symmetric || self.beside().len() > 1 { &[0.0] } else { &[0.0, 1.0, -1.0] }
    }

    fn cell(&self, left: Point, right: Point) -> Cell {
        Cell::new(left, right, self.size as f32, self.scatter.min(MOST_SCATTER) as f32)
    }

    /// Tries the candidates, and leaves of their range the part in which the best may be.
    fn tried_range(&mut self, range: (f64, f64)) -> (f64, f64) {
        self.try_all();
        self.make_cells();
        let cells = &self.memory.cells;
        let luck = if self.is_lucky() || !self.target.symmetric { LUCK_OF_FEW } else { LUCK };
        let most = self.best.error * (1.01 + luck * self.scatter) as f32;
        let is_resolved = |cell: &Cell| cell.width(self.size as f32) < RESOLVED;
        let may_be = |cell: &Cell| {
            let bottom = if is_resolved(cell) { cell.bottom() } else { None };
            bottom.map_or(f32::INFINITY, |bottom| bottom.1).min(cell.left.bottom).min(cell.right.bottom) <= most
        };
        let (Some(first), Some(last)) = (cells.iter().position(may_be), cells.iter().rposition(may_be)) else {
            return range;
        };
        let from = match &cells[first] {
            _ if first == 0 => range.0,
            cell if is_resolved(cell) && cell.left.bottom > most => cell.first_below(most).into(),
            cell => cell.left.by_step.into(),
        };
        let to = match &cells[last] {
            _ if last + 1 == cells.len() => range.1,
            cell if is_resolved(cell) && cell.right.bottom > most => cell.last_below(most).into(),
            cell => cell.right.by_step.into(),
        };
        // They may have missed a narrow valley, on either side of it.
        if from < to { (from, to) } else { (to, from) }
    }

    /// Cuts the most promising cells, so many at once; whether any of them was worth it.
    fn cut(&mut self, at_once: usize) -> bool {
        let cells = &mut self.memory.cells;
        if at_once < cells.len() {
            cells.select_nth_unstable_by(at_once - 1, |a, b| a.promise.total_cmp(&b.promise));
        }
        let at_once = at_once.min(cells.len());
        let worth = self.best.error * (1.0 - GAIN);
        if cells[..at_once].iter().all(|cell| cell.promise > worth) {
            return false;
        }
        self.clear();
        let beside = self.zero_points_of_cut();
        for at in 0..at_once {
            let Cell { left, right, cut, .. } = self.memory.cells[at];
            let zero_point = if left.error < right.error { left.zero_point } else { right.zero_point };
            for beside in beside {
                self.push(cut.into(), zero_point + beside);
            }
        }
        self.try_all();
        for at in 0..at_once {
            let (Cell { left, right, .. }, middle) = (self.memory.cells[at], self.point(at * beside.len()));
            self.memory.cells[at] = self.cell(left, middle);
            let right = self.cell(middle, right);
            self.memory.cells.push(right);
        }
        true
    }
}
