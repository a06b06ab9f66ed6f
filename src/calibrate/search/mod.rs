//! The step and zero point of a group with the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, one piece for each assignment of weights to levels;
//! a group of m weights has some `m * level` of them, every one a chance of a minimum, and no formula says which is best. So the search
//! has two parts:
//!
//! 1. *Zoom*: few steps, far apart, leave the range of those that may be the best. [`Residuals`] tries several at once, and tells the
//!    bottom of the parabola of each.
//! 2. *Sweep*: every assignment in that range, one move of a weight after another ([`sweep`]); where zero points are free, for several of
//!    them at once ([`zero_point`] says for which). Of very few weights, moves are so few that each is tried by itself ([`few`]).
//!
//! Steps are counted in one over the step, of which a weight w passes `abs(w)` levels for each unit, wherever.

mod few;
mod sweep;
#[cfg(test)]
mod tests;
mod zero_point;

use super::{Target, filled};
use crate::error::Error;
use crate::kernels::{ALL_BINS, Candidates, Input, Isa, MOST_MORE, MoveBins, Residuals, Scaled, Sums, sets};
use std::f64::consts::FRAC_PI_2;
use zero_point::{FEW_CODES, MANY_CODES};

/// Steps of a zoom; of one into a range that is not that many times as wide as its smallest step, half as many.
const FEW: usize = 16;
const NARROW: f64 = 8.0;

/// Most candidates in one go.
const MOST: usize = 128;

/// What candidates come in: as many lanes as a register has on most machines.
const LANES: usize = 8;

/// The first zoom is from the largest multiple of the step that clamps nothing to the smallest; of many weights, none is as lucky
/// as to fit levels that are much farther apart than they have to be. Of so many that they may outweigh one that is farther out, the
/// smallest is one over their root.
const LARGEST: f64 = 2.2;
const LARGEST_OF_MANY: f64 = 1.2;
const SMALLEST: f64 = 1.0 / 64.0;
const OUTWEIGHING: usize = 8192;

/// Errors above the smallest, in standard deviations of what is chance in them, that may be near the best: of many weights, of few, and
/// of so few that it costs little.
const LUCK: f64 = 3.5;
const LUCK_OF_FEW: f64 = 5.0;
const LUCK_OF_SMALL: f64 = 7.0;
const SMALL: usize = 64;

/// Where the zero point is free and codes are few, by how much more: the one that a step is tried with may not be its best.
const UNSURE: f64 = 0.06;

/// Weights of like size that are few in that sense.
const LUCKY: f64 = 300.0;

/// Moves of a weight in a range that call for another zoom: a move costs as much as most of a zoom's tries of it.
const MANY_MOVES: f64 = 3.0;

/// Of so few weights every assignment is tried by itself; of so few that any step may fit them by chance, at steps that no zoom has found
/// promising, too.
const FEWEST: usize = 16;
const HANDFUL: usize = 8;

/// What a search writes down, kept from group to group: the weights, candidates as [`Residuals`] takes them, and bins of moves.
pub(super) struct Memory {
    weights: Vec<f32>,
    by_step: Vec<f32>,
    lowest: Vec<f32>,
    highest: Vec<f32>,
    errors: Vec<f32>,
    parts: Vec<f32>,
    /// All 0.
    bins: Vec<Sums>,
}

impl Memory {
    /// For groups of at most `largest` weights, and a target.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new(largest: usize, target: &Target) -> Result<Memory, Error> {
        let mut weights = Vec::new();
        weights.try_reserve_exact(largest)?;
        Ok(Memory {
            weights,
            by_step: filled(1.0, MOST)?,
            lowest: filled(0.0, MOST)?,
            highest: filled(0.0, MOST)?,
            errors: filled(0.0, MOST)?,
            parts: filled(0.0, MOST)?,
            bins: empty_bins(largest, target)?,
        })
    }

    /// Sets of bins.
    fn bins(&mut self) -> &mut [MoveBins] {
        self.bins.as_chunks_mut().0
    }
}

/// As many bins as a sweep needs, if there is one.
fn empty_bins(largest: usize, target: &Target) -> Result<Vec<Sums>, Error> {
    let count = if largest > FEWEST { sets(target.more()) * ALL_BINS } else { 0 };
    let mut bins = Vec::new();
    bins.try_reserve_exact(count)?;
    // Piece by piece: of more at once, each byte counts as an instruction.
    while bins.len() < count {
        bins.extend_from_slice(&[Sums::default(); 64]);
    }
    Ok(bins)
}

impl Target {
    /// From the smallest code to the largest.
    fn codes(&self) -> f32 {
        self.bounds.max - self.bounds.min
    }

    /// Zero points of a sweep beside the first.
    fn more(&self) -> usize {
        if self.symmetric { 0 } else { MOST_MORE.min(self.codes() as usize) }
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
        magnitudes,
        alike,
        size: squares / magnitudes / FRAC_PI_2,
        // Squared, the distance of weights to levels has this mean in its standard deviation.
        scatter: (0.8 / alike).sqrt(),
        ends: [min * factor, max * factor],
        middle: 0.5 * (min + max) * factor,
        target: *target,
        isa,
        best: Trial { by_step: 1.0 / (step * factor), zero_point, error: f32::INFINITY, part: 0.0 },
        memory,
        hopeless: f32::INFINITY,
        count: 0,
    };
    if !target.symmetric && count <= FEWEST && target.codes() <= FEW_CODES {
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
    /// The sums of their squares and magnitudes.
    squares: f64,
    magnitudes: f64,
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
    target: Target,
    isa: Isa,
    best: Trial,
    memory: &'a mut Memory,
    /// Errors of a zoom above this are not followed.
    hopeless: f32,
    /// Candidates in the memory.
    count: usize,
}

impl Search<'_> {
    fn run(&mut self) {
        if self.target.symmetric {
            let all = self.first_range();
            let few = if all.1 < all.0 * NARROW { FEW / 2 } else { FEW };
            self.geometric(all, few, std::iter::once(self.best.zero_point));
            let mut range = self.narrowed(all, 1);
            if self.weights.len() <= HANDFUL {
                // From the largest step to half of one that clamps nothing.
                range = (all.0, range.1.max(all.0 * LARGEST * 2.0).min(all.1));
            }
            if self.best.error > self.hopeless {
                return;
            }
            if self.weights.len() <= FEWEST {
                self.try_every_assignment(range);
            } else {
                let range = self.zoom(range);
                self.sweep(range, self.best.zero_point, 0);
            }
        } else {
            self.search_free();
        }
    }

    /// Narrows a range as long as that is worth it.
    fn zoom(&mut self, mut range: (f64, f64)) -> (f64, f64) {
        let width = |(from, to): (f64, f64)| to - from;
        let moves = self.magnitudes / self.weights.len() as f64;
        while width(range) * moves > MANY_MOVES {
            let wider = range;
            self.clear();
            self.linear(wider, LANES);
            range = self.narrowed(wider, 1);
            if width(range) > 0.5 * width(wider) {
                break;
            }
        }
        range
    }

    /// Tries the candidates, so many for each step, and leaves of their range the part between those beyond which the best cannot be.
    fn narrowed(&mut self, (from, to): (f64, f64), for_each: usize) -> (f64, f64) {
        self.try_all();
        let luck = match self.weights.len() {
            ..=SMALL => LUCK_OF_SMALL,
            _ if self.is_lucky() => LUCK_OF_FEW,
            _ => LUCK,
        };
        let is_unsure = !self.target.symmetric && self.target.codes() <= MANY_CODES;
        let unsure = if is_unsure { UNSURE } else { 0.0 };
        let most = self.best.error * (1.0 + unsure + luck * self.scatter) as f32;
        let best = self.best.by_step as f32;
        let Memory { by_step, errors, .. } = &*self.memory;
        let (by_step, errors) = (&by_step[..self.count], &errors[..self.count]);
        // The best so far need not be one of them.
        let mut both = errors.iter().zip(by_step);
        let last = both.clone().rposition(|(error, by_step)| *error <= most || *by_step <= best);
        let first = both.position(|(error, by_step)| *error <= most || *by_step >= best);
        let before = first.map_or(self.count / for_each, |at| at / for_each);
        let after = last.map_or(0, |at| at / for_each + 1);
        let from = if before > 0 { by_step[(before - 1) * for_each].into() } else { from };
        let to = by_step.get(after * for_each).map_or(to, |by_step| (*by_step).into());
        (from, to)
    }

    /// One over the steps between which the best one is, for the zero point of the best so far.
    fn first_range(&self) -> (f64, f64) {
        let covering = 1.0 / self.best.by_step;
        // A step that clamps nothing is wrong by half of itself at most; of many weights, squared, by a twelfth, or with bad luck an
        // eighth: no weight that is clamped may be farther off than all of them then are together.
        let (by_chance, largest) = if self.is_lucky() { (4.0, LARGEST) } else { (8.0, LARGEST_OF_MANY) };
        let most = covering * (self.weights.len() as f64 / by_chance).sqrt();
        let bounds = self.target.bounds;
        let mut smallest = covering * self.smallest();
        let mut all_have_levels = true;
        for (end, code) in self.ends.into_iter().zip([bounds.min, bounds.max]) {
            let level = f64::from(code - self.best.zero_point).abs();
            if level > 0.0 {
                smallest = smallest.max((end.abs() - most) / level);
            }
            all_have_levels &= level > 0.0 || end == 0.0;
        }
        // Nor may all of them together be: their root of squares less that of as many weights at the bound. Those that every step clamps
        // to 0 would be taken for such.
        if all_have_levels {
            let levels = f64::from((self.best.zero_point - bounds.min).max(bounds.max - self.best.zero_point));
            smallest = smallest.max((self.squares.sqrt() - most) / (levels * (self.weights.len() as f64).sqrt()));
        }
        (1.0 / (covering * largest), 1.0 / smallest)
    }

    /// The smallest step that is tried, as a part of the one that clamps nothing.
    fn smallest(&self) -> f64 {
        let count = self.weights.len();
        if count > OUTWEIGHING { 1.0 / (count as f64).sqrt() } else { SMALLEST }
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

    /// Makes steps that are so many times each other the candidates, each with all of some zero points.
    fn geometric(&mut self, (from, to): (f64, f64), count: usize, zero_points: impl Iterator<Item = f32> + Clone) {
        self.clear();
        let factor = (to / from).powf(1.0 / (count - 1) as f64);
        let mut by_step = from;
        for _ in 0..count {
            for zero_point in zero_points.clone() {
                self.push(by_step, zero_point);
            }
            by_step *= factor;
        }
    }

    /// Adds steps at the same distance, each with its zero point.
    fn linear(&mut self, (from, to): (f64, f64), count: usize) {
        let stride = (to - from) / count as f64;
        for at in 0..count {
            let by_step = from + stride * (at as f64 + 0.5);
            self.push(by_step, self.zero_point(by_step));
        }
    }

    /// Tries the candidates, and keeps the best; which one it is, if it is better than the best so far.
    fn try_all(&mut self) -> Option<usize> {
        let Memory { by_step, lowest, highest, errors, parts, .. } = &mut *self.memory;
        let candidates = Candidates { by_step, lowest, highest, errors, parts };
        self.isa.run(Residuals { w: self.weights, squares: self.squares, candidates, count: self.count });
        let mut least = (self.best.error, None);
        for (at, error) in self.memory.errors[..self.count].iter().enumerate() {
            if *error < least.0 {
                least = (*error, Some(at));
            }
        }
        let (error, at) = (least.0, least.1?);
        let Memory { by_step, lowest, parts, .. } = &*self.memory;
        let zero_point = self.target.bounds.min - lowest[at];
        self.best = Trial { by_step: by_step[at].into(), zero_point, error, part: parts[at] };
        Some(at)
    }
}
