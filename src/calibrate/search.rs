//! The step and zero point of a group with the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, one piece for each assignment of weights to levels;
//! a group of m weights has some `m * level` of them, every one a chance of a minimum, and no formula says which is best.
//! One look at the group gives the error at a step, its slope there and the bottom of its parabola ([`Residuals`]), for
//! less than half of the instructions of quantizing. The search has three parts:
//!
//! 1. *Shrink*: the ends of the range that is not clamped move in from the extremes, by factors, first both together or, where
//!    the zero point is free, one after the other.
//! 2. *Walk*: from the best of these, to both sides, with steps so close that the error between two neighbours is known from
//!    both errors and slopes, until it is so large that no luck makes up for it. A free zero point moves along: it decides
//!    only which weights are clamped, so at each step its neighbours are tried on those that may be.
//! 3. *Refine*: between two neighbours, look where the cubic through them is smallest, which makes two gaps of one; the most
//!    promising gap first, until none promises less than the best found. A cubic is not trusted to the last digit: the wider
//!    the gap and the fewer the weights, the more it is allowed to be wrong.

use super::Target;
use crate::error::Error;
use crate::kernels::{Candidate, Isa, Residual, Residuals};
use std::ops::Range;

/// How much of the range each first candidate leaves: of both ends, or of one end and then of the other.
const TOGETHER: [f64; 8] = [0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.04];
const AT_ONE_END: [f64; 6] = [0.6, 0.36, 0.2, 0.1, 0.05, 0.025];
/// The same, of the best so far.
const NEARER_AT_ONE_END: [f64; 2] = [1.3, 0.77];
const NEARER: [f64; 4] = [1.19, 1.09, 0.92, 0.84];

/// Most candidates that are looked at together.
const TOGETHER_AT_MOST: usize = 8;

/// Neighbours of a walk move a typical weight by this part of a level; the weight beside 0 by no more than the step does.
const STRIDE: f64 = 0.14;
const LONGEST_STRIDE: f64 = 0.1;

/// Most steps of a walk to one side.
const LONGEST_WALK: usize = 600;

/// Between neighbours of a walk a cubic may be wrong by this part of the scatter of errors.
const DOUBT: f64 = 0.4;

/// A gap that promises to be better than the best by less than this part is not worth a look.
const TOLERANCE: f64 = 1e-4;

/// Most looks into gaps.
const MOST_LOOKS: usize = 100;

/// What a search writes down, kept from group to group.
pub(super) struct Memory {
    /// The fits of a walk, from the largest step down.
    fits: Vec<Fit>,
    gaps: Vec<Gap>,
}

impl Memory {
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new() -> Result<Memory, Error> {
        let (mut fits, mut gaps) = (Vec::new(), Vec::new());
        fits.try_reserve_exact(2 * LONGEST_WALK + 1)?;
        gaps.try_reserve_exact(2 * LONGEST_WALK + MOST_LOOKS)?;
        Ok(Memory { fits, gaps })
    }
}

/// What is known at a step and a zero point.
#[derive(Debug, Clone, Copy)]
struct Fit {
    step: f64,
    zero_point: f32,
    error: f64,
    /// Of the error, by the logarithm of the step.
    slope: f64,
    /// The root of the mean squared level.
    level: f64,
    /// The best step for the same codes, and its error.
    bottom: f64,
    error_at_bottom: f64,
}

/// A group, scaled by a power of two so that no square leaves the range of f32.
struct Search<'a> {
    weights: &'a mut [f32],
    squares: f64,
    min: f64,
    max: f64,
    target: &'a Target,
    isa: Isa,
    best: Fit,
    /// The weights before this one are between these two, and not clamped at most steps.
    body: usize,
    body_range: (f64, f64),
}

/// The best step and zero point of weights from `min`, not positive, to `max`, not negative; step 0 where all are 0. Changes the
/// weights.
pub(super) fn best_step(weights: &mut [f32], min: f64, max: f64, target: &Target, memory: &mut Memory) -> (f64, f32) {
    let (step, zero_point) = target.covering(min, max);
    if step == 0.0 {
        return (0.0, zero_point);
    }
    // The exponent of the largest magnitude.
    let exponent = ((max.max(-min).to_bits() >> 52) as i32) - 1023;
    let factor = power_of_two(-exponent);
    weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
    let (min, max) = (min * factor, max * factor);
    let mut search = Search::new(weights, min, max, target);
    search.shrink_all();
    search.walk(memory);
    search.refine(memory);
    (search.best.bottom * power_of_two(exponent), search.best.zero_point)
}

/// 2 to a power that f64 has.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((power + 1023) as u64) << 52)
}

impl<'a> Search<'a> {
    fn new(weights: &'a mut [f32], min: f64, max: f64, target: &'a Target) -> Self {
        let isa = Isa::current();
        // All levels are 0 at this one.
        let mut residual = [Residual::default()];
        let zeros = [Candidate { by_step: 1.0, lowest: 0.0, highest: 0.0 }];
        isa.run(Residuals { w: weights, candidates: &zeros, residuals: &mut residual });
        let squares = residual[0].squares;
        let nothing = Fit {
            step: f64::INFINITY,
            zero_point: target.zero_point,
            error: squares,
            slope: 0.0,
            level: 0.0,
            bottom: f64::INFINITY,
            error_at_bottom: f64::INFINITY,
        };
        Search { weights, squares, min, max, target, isa, best: nothing, body: 0, body_range: (0.0, 0.0) }
    }

    fn levels(&self, zero_point: f32) -> (f32, f32) {
        (self.target.bounds.min - zero_point, self.target.bounds.max - zero_point)
    }

    fn candidate(&self, step: f64, zero_point: f32) -> Candidate {
        let (lowest, highest) = self.levels(zero_point);
        Candidate { by_step: (1.0 / step) as f32, lowest, highest }
    }

    /// The residuals of some of the weights, for at most [`TOGETHER_AT_MOST`] candidates.
    fn residuals(&self, weights: Range<usize>, candidates: &[Candidate]) -> [Residual; TOGETHER_AT_MOST] {
        let mut residuals = [Residual::default(); TOGETHER_AT_MOST];
        let of_candidates = &mut residuals[..candidates.len()];
        self.isa.run(Residuals { w: &self.weights[weights], candidates, residuals: of_candidates });
        residuals
    }

    fn fit(&self, candidate: Candidate, residual: Residual) -> Fit {
        let step = 1.0 / f64::from(candidate.by_step);
        let square = step * step;
        let error = square * residual.squares;
        // w = step * (level + residual), squared and added up.
        let levels_squared = self.squares / square - residual.squares - 2.0 * residual.by_level;
        let mut fit = Fit {
            step,
            zero_point: self.target.bounds.min - candidate.lowest,
            error,
            slope: -2.0 * square * residual.by_level,
            level: (levels_squared.max(0.0) / self.weights.len() as f64).sqrt(),
            bottom: step,
            error_at_bottom: error,
        };
        if levels_squared > 0.5 {
            let part = residual.by_level / levels_squared;
            fit.bottom = step * (1.0 + part);
            fit.error_at_bottom = (error - square * part * residual.by_level).max(0.0);
        }
        fit
    }

    /// Looks at a step and a zero point.
    fn look(&mut self, step: f64, zero_point: f32) -> Fit {
        let candidate = self.candidate(step, zero_point);
        let [residual, ..] = self.residuals(0..self.weights.len(), &[candidate]);
        let fit = self.fit(candidate, residual);
        self.learn(fit);
        fit
    }

    fn learn(&mut self, fit: Fit) {
        if fit.error_at_bottom < self.best.error_at_bottom {
            self.best = fit;
        }
    }

    /// Finds the neighbourhood of the best step.
    fn shrink_all(&mut self) {
        let mut range = (self.min, self.max);
        self.shrink(&mut range, 1, 1, &[1.0]);
        if self.target.symmetric {
            self.shrink(&mut range, 1, 1, &TOGETHER);
        } else {
            for factors in [&AT_ONE_END[..], &NEARER_AT_ONE_END] {
                self.shrink(&mut range, 0, 1, factors);
                self.shrink(&mut range, 1, 0, factors);
            }
        }
        self.shrink(&mut range, 1, 1, &NEARER);
    }

    /// Tries ranges that are by each of `factors` smaller or larger than the best so far, at the ends whose power is 1.
    fn shrink(&mut self, range: &mut (f64, f64), low: i32, high: i32, factors: &[f64]) {
        let base = *range;
        let of_factor = |factor: f64| (base.0 * factor.powi(low), base.1 * factor.powi(high));
        let mut candidates = [Candidate { by_step: 0.0, lowest: 0.0, highest: 0.0 }; TOGETHER_AT_MOST];
        for (candidate, factor) in candidates.iter_mut().zip(factors) {
            let (low, high) = of_factor(*factor);
            let (step, zero_point) = self.target.covering(low, high);
            *candidate = self.candidate(step, zero_point);
        }
        let residuals = self.residuals(0..self.weights.len(), &candidates[..factors.len()]);
        for ((candidate, residual), factor) in candidates.into_iter().zip(residuals).zip(factors) {
            let fit = self.fit(candidate, residual);
            if fit.error_at_bottom < self.best.error_at_bottom {
                (self.best, *range) = (fit, of_factor(*factor));
            }
        }
    }

    /// Moves the weights that are not clamped near the best step to the front.
    fn gather_body(&mut self) {
        let (lowest, highest) = self.levels(self.best.zero_point);
        let near = |level: f32| 0.85 * f64::from(level) * self.best.step;
        let (low, high) = (near(lowest), near(highest));
        let (low_f32, high_f32) = (low as f32, high as f32);
        let mut body = 0;
        for at in 0..self.weights.len() {
            let w = self.weights[at];
            self.weights[at] = self.weights[body];
            self.weights[body] = w;
            body += usize::from((w >= low_f32) & (w <= high_f32));
        }
        (self.body, self.body_range) = (body, (low, high));
    }

    /// The best of the zero points near one, at a step: as long as a neighbour is better, `stride` further, then half of it.
    fn look_around(&mut self, step: f64, zero_point: f32, mut stride: f32) -> Fit {
        if self.target.symmetric {
            return self.look(step, zero_point);
        }
        let mut of_body = None;
        let mut best = self.look_beside(step, [zero_point; 1], &mut of_body);
        while stride >= 1.0 {
            let beside = [best.zero_point - stride, best.zero_point + stride];
            let fit = self.look_beside(step, beside, &mut of_body);
            if fit.error_at_bottom < best.error_at_bottom {
                best = fit;
            } else {
                stride = (stride / 2.0).floor();
            }
        }
        best
    }

    /// The best of some zero points at a step, with what is known of the body.
    fn look_beside<const N: usize>(&mut self, step: f64, zero_points: [f32; N], of_body: &mut Option<Residual>) -> Fit {
        let bounds = self.target.bounds;
        let candidates = zero_points.map(|zero_point| self.candidate(step, zero_point.clamp(bounds.min, bounds.max)));
        let whole = |candidate: &Candidate| {
            let (low, high) = (f64::from(candidate.lowest) * step, f64::from(candidate.highest) * step);
            low <= self.body_range.0 && high >= self.body_range.1
        };
        let body = if candidates.iter().all(whole) { self.body } else { 0 };
        let mut residuals = self.residuals(body..self.weights.len(), &candidates);
        if body > 0 {
            let of_body = *of_body.get_or_insert_with(|| self.residuals(0..body, &candidates[..1])[0]);
            for residual in &mut residuals {
                residual.squares += of_body.squares;
                residual.by_level += of_body.by_level;
            }
        }
        let mut best = self.fit(candidates[0], residuals[0]);
        self.learn(best);
        for at in 1..N {
            let fit = self.fit(candidates[at], residuals[at]);
            self.learn(fit);
            if fit.error_at_bottom < best.error_at_bottom {
                best = fit;
            }
        }
        best
    }

    /// Walks from the best step to both sides.
    fn walk(&mut self, memory: &mut Memory) {
        if !self.target.symmetric && self.weights.len() >= 256 {
            self.gather_body();
        }
        let levels = self.target.bounds.max - self.target.bounds.min;
        let centre = self.look_around(self.best.step, self.best.zero_point, (levels / 16.0).floor().max(1.0));
        let stride = (STRIDE / centre.level.max(1e-9)).min(LONGEST_STRIDE);
        // Where levels are many, the error of m weights scatters about its mean by a standard deviation of sqrt(144 / 180 / m): a
        // step that is larger by some of them may still be the best by luck, or one that is smaller.
        let luck = 1.0 + 8.0 * (0.8 / self.weights.len() as f64).sqrt();
        let reach = (1.03 * luck.sqrt().powf(1.0 + 1.0 / f64::from(self.target.bounds.max))).ln();
        memory.fits.clear();
        for direction in [1.0, -1.0] {
            let factor = (direction * stride).exp();
            let mut last = centre;
            let mut hopeless = 0;
            for _ in 0..LONGEST_WALK {
                let fit = self.look_around(last.step * factor, last.zero_point, 1.0);
                memory.fits.push(fit);
                last = fit;
                hopeless = if fit.error_at_bottom > self.best.error_at_bottom * luck * luck { hopeless + 1 } else { 0 };
                if hopeless >= 2 || (fit.step / self.best.step).ln() * direction > reach {
                    break;
                }
            }
            if direction > 0.0 {
                memory.fits.reverse();
                memory.fits.push(centre);
            }
        }
    }

    /// Looks where the errors promise to be the smallest, as long as one may be smaller than the best.
    fn refine(&mut self, memory: &mut Memory) {
        let Memory { fits, gaps } = memory;
        gaps.clear();
        let scatter = DOUBT * (0.8 / self.weights.len() as f64).sqrt();
        let widest = fits.windows(2).map(|pair| (pair[0].step / pair[1].step).ln()).fold(0.0, f64::max);
        let doubt = scatter / (widest * widest);
        gaps.extend(fits.windows(2).map(|pair| Gap::new(pair[1], pair[0], doubt)));
        for _ in 0..MOST_LOOKS {
            let Some(first) = (0..gaps.len()).min_by(|a, b| gaps[*a].promised.total_cmp(&gaps[*b].promised)) else {
                return;
            };
            let gap = gaps[first];
            if gap.promised > self.best.error_at_bottom * (1.0 - TOLERANCE) {
                break;
            }
            let fit = self.look_around(gap.step, gap.left.zero_point, 1.0);
            gaps[first] = Gap::new(gap.left, fit, doubt);
            gaps.push(Gap::new(fit, gap.right, doubt));
        }
        for _ in 0..2 {
            self.look_around(self.best.bottom, self.best.zero_point, 2.0);
        }
    }
}

/// Two neighbours, and the smallest error that there may be between them.
#[derive(Debug, Clone, Copy)]
struct Gap {
    left: Fit,
    right: Fit,
    promised: f64,
    /// Where.
    step: f64,
}

impl Gap {
    /// `doubt` is by how much a cubic may be wrong in a gap as wide as its stride, as a part of the error.
    fn new(left: Fit, right: Fit, doubt: f64) -> Gap {
        let width = (right.step / left.step).ln();
        let cubic = (left.zero_point == right.zero_point).then(|| bottom_of_cubic(&left, &right, width)).flatten();
        let (promised, at) = cubic.unwrap_or((left.error.min(right.error), 0.5));
        let doubt = doubt * width * width * left.error.min(right.error);
        Gap { left, right, promised: promised - doubt, step: left.step * (width * at).exp() }
    }
}

/// The bottom of the cubic through two neighbours, and its place, from 0 to 1, if it is between them.
fn bottom_of_cubic(left: &Fit, right: &Fit, width: f64) -> Option<(f64, f64)> {
    let (left_slope, right_slope) = (left.slope * width, right.slope * width);
    let bend = 3.0 * (left.error - right.error) + left_slope + right_slope;
    let root = bend * bend - left_slope * right_slope;
    if root < 0.0 {
        return None;
    }
    let root = root.sqrt();
    let at = 1.0 - (right_slope + root - bend) / (right_slope - left_slope + 2.0 * root);
    if !(at > 0.0 && at < 1.0) {
        return None;
    }
    let rest = 1.0 - at;
    let promised = rest * rest * ((1.0 + 2.0 * at) * left.error + at * left_slope)
        + at * at * ((1.0 + 2.0 * rest) * right.error - rest * right_slope);
    Some((promised, at))
}
