//! Calibration to the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, one piece for each assignment of weights to levels;
//! a group of m weights has some `m * level` of them, every one a chance of a minimum, and no formula says which is best.
//! The search has two parts:
//!
//! 1. *Passes* over the tensor find the neighbourhood, for all groups at once. Each tries one candidate per group: the ends of
//!    the range that is not clamped move in from the extremes, by factors, first both together or, where the zero point is
//!    free, one after the other, then in finer steps.
//! 2. A [`sweep`] of the neighbourhood of each group then looks at every assignment in it, in the time of some ten passes:
//!    what a weight adds to the sums that the error is made of changes only where it moves to its next level.

use super::by_group::ByGroup;
use super::extremes::extremes;
use super::sweep::{Assignment, Range, Sweep, clamped_error, sum_of_magnitudes, sum_of_squares};
use super::{Target, filled};
use crate::error::Error;
use crate::kernels::{Fit, Fits, Group, Input, Output, Parameters, Threads, Walk};
use crate::layout::Layout;

/// How much of the range each coarse candidate leaves: of both ends, or of one end and then of the other.
const TOGETHER: [f64; 8] = [0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.04];
const AT_ONE_END: [f64; 6] = [0.6, 0.36, 0.2, 0.1, 0.05, 0.025];
/// The same, of the best so far.
const NEARER_AT_ONE_END: [f64; 2] = [1.3, 0.77];
const NEARER: [f64; 4] = [1.19, 1.09, 0.92, 0.84];
const NEAREST: [f64; 4] = [1.045, 1.022, 0.978, 0.957];

/// Weights in the sample that says which zero points are worth a sweep of a large group: this many, or one in 16.
const SAMPLE: usize = 4096;

/// What is known of a group.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// The extremes.
    min: f64,
    max: f64,
    best: Candidate,
    /// The best when the candidates that are tried now were chosen.
    base: Candidate,
    tried: Candidate,
    error: f64,
}

impl Search {
    /// Compares what was tried, with the best step for its codes, with the best so far.
    fn learn(&mut self, fit: &Fit) {
        let mut error = fit.error;
        if fit.level_squared > 0.0 {
            let distance = self.tried.step - fit.weight_by_level / fit.level_squared;
            error -= distance * distance * fit.level_squared;
        }
        if error < self.error {
            (self.error, self.best) = (error, self.tried);
        }
    }
}

/// A step and a zero point, and the range that they were made for.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    low: f64,
    high: f64,
    step: f64,
    zero_point: f32,
}

impl Candidate {
    fn covering(target: &Target, low: f64, high: f64) -> Candidate {
        let (step, zero_point) = target.covering(low, high);
        Candidate { low, high, step, zero_point }
    }

    /// The parameters, as a kernel takes them.
    fn group(&self) -> Group {
        let step = (self.step as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
        Group { step, zero_point: self.zero_point, offset: 0.0 }
    }
}

/// The best step and zero point of each group of `w`; step 0 for a group whose weights are all 0.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::OutOfMemory`].
pub(super) fn best_steps(
    w: Input<'_, f32>,
    layout: &Layout,
    target: Target,
    threads: Threads,
) -> Result<Vec<(f64, f32)>, Error> {
    let mut passes = Passes::new(w, layout, target, threads)?;
    passes.find_neighbourhoods()?;
    let mut best = Vec::new();
    best.try_reserve_exact(layout.groups())?;
    let mut sweep = Sweep::new()?;
    let mut weights = ByGroup::new(w, layout)?;
    for (search, weights) in passes.searches.iter().zip(weights.groups_mut()) {
        best.push(best_near(search, weights, &target, &mut sweep));
    }
    Ok(best)
}

/// One group's sweeps.
struct Neighbourhood<'a> {
    search: &'a Search,
    target: &'a Target,
    weights: &'a [f32],
    sum_of_magnitudes: f64,
    /// How much larger or smaller than the best candidate's a step may be, as a factor.
    reach: f64,
}

impl<'a> Neighbourhood<'a> {
    fn new(search: &'a Search, target: &'a Target, weights: &'a [f32]) -> Self {
        // Passes were 2 % apart. Where levels are many, the error of m weights scatters about its mean by a standard deviation of
        // sqrt(144 / 180 / m): a step that is larger by some of them may still be the best by luck, or one that is smaller. Where
        // they are few, the error is as irregular as the weights are, and a wider sweep costs little.
        let by_luck = (1.0 + 8.0 * (0.8 / weights.len() as f64).sqrt()).sqrt();
        let reach = 1.03 * by_luck.powf(1.0 + 1.0 / f64::from(target.bounds.max));
        Neighbourhood { search, target, weights, sum_of_magnitudes: sum_of_magnitudes(weights), reach }
    }

    /// The best at a zero point and steps from `largest` down, near `step`; what is worse than the candidate is left out.
    fn sweep(&self, sweep: &mut Sweep, zero_point: f32, step: f64, reach: f64, largest: f64) -> Assignment {
        let bounds = self.target.bounds;
        let levels = (f64::from(bounds.min - zero_point), f64::from(bounds.max - zero_point));
        let (largest, mut smallest) = (largest.min(step * reach), step / reach);
        // Below a step at which the clamped weights are worse than the best, nothing is better.
        if self.sum_of_magnitudes > 2.0 * step * self.weights.len() as f64 {
            for _ in 0..3 {
                let middle = 0.5 * (smallest + step.min(largest));
                if clamped_error(self.weights, levels, middle) > self.search.error {
                    smallest = middle;
                }
            }
        }
        if smallest >= largest {
            return Assignment::NONE;
        }
        sweep.best(self.weights, self.sum_of_magnitudes, &Range { levels, largest, smallest })
    }

    /// The best at a zero point beside one that was swept, whose best step was `step`.
    fn sweep_beside(&self, sweep: &mut Sweep, zero_point: f32, swept: f32, step: f64) -> Assignment {
        // The best step moves by about a level in half of them.
        let reach = self.reach * (1.0 + 1.2 / f64::from(self.target.bounds.max + 1.0));
        // Where both zero points cover everything, they are the same.
        let covering = |zero_point: f32| {
            let needed = self.target.needed(zero_point, self.search.min, self.search.max);
            needed[0].max(needed[1])
        };
        self.sweep(sweep, zero_point, step, reach, covering(zero_point).max(covering(swept)))
    }
}

/// Some of the weights of a group.
struct Sample<'a> {
    search: &'a Search,
    target: &'a Target,
    weights: Vec<f32>,
    squares: f64,
    /// The best error of the sample at the zero point that the passes found.
    error: f64,
}

impl<'a> Sample<'a> {
    /// One of a large group, whose best step at `zero_point` is `step`; none of a small one, or where memory for it is not to be
    /// had.
    fn new(all: &Neighbourhood<'a>, sweep: &mut Sweep, zero_point: f32, step: f64) -> Option<Self> {
        let n = all.weights.len();
        if n < 4 * SAMPLE {
            return None;
        }
        let stride = n / SAMPLE.max(n / 16);
        let mut weights = Vec::new();
        weights.try_reserve_exact(n.div_ceil(stride)).ok()?;
        weights.extend(all.weights.iter().step_by(stride));
        let squares = sum_of_squares(&weights);
        let mut sample = Sample { search: all.search, target: all.target, weights, squares, error: 0.0 };
        let neighbourhood = Neighbourhood::new(sample.search, sample.target, &sample.weights);
        sample.error = squares - neighbourhood.sweep(sweep, zero_point, step, all.reach, f64::INFINITY).gain;
        Some(sample)
    }

    /// Whether a zero point may have a smaller error in the whole group, for all that the sample knows.
    fn is_promising(&self, sweep: &mut Sweep, zero_point: f32, swept: f32, step: f64) -> bool {
        let neighbourhood = Neighbourhood::new(self.search, self.target, &self.weights);
        let error = self.squares - neighbourhood.sweep_beside(sweep, zero_point, swept, step).gain;
        error < self.error * (1.0 + 4.0 / (self.weights.len() as f64).sqrt())
    }
}

/// The best step and zero point in the neighbourhood of the best candidate.
fn best_near(search: &Search, weights: &[f32], target: &Target, sweep: &mut Sweep) -> (f64, f32) {
    // A range that reaches beyond the weights has room to one side: it is better left at both.
    let (low, high) = (search.best.low.max(search.min), search.best.high.min(search.max));
    let zero_point = target.covering(low, high).1;
    let step = search.best.step;
    if step == 0.0 {
        return (0.0, zero_point);
    }
    let all = Neighbourhood::new(search, target, weights);
    let (mut best, mut at) = (all.sweep(sweep, zero_point, step, all.reach, f64::INFINITY), zero_point);
    if best.gain == 0.0 {
        return (step, search.best.zero_point);
    }
    if target.symmetric {
        return (best.step, at);
    }
    let sample = Sample::new(&all, sweep, zero_point, best.step);
    for direction in [1.0, -1.0] {
        let mut next = zero_point + direction;
        while (target.bounds.min..=target.bounds.max).contains(&next) {
            if sample.as_ref().is_some_and(|sample| !sample.is_promising(sweep, next, zero_point, best.step)) {
                break;
            }
            let found = all.sweep_beside(sweep, next, zero_point, best.step);
            if found.gain <= best.gain {
                break;
            }
            (best, at) = (found, next);
            next += direction;
        }
    }
    (best.step, at)
}

/// Passes over a tensor, each with one candidate per group.
struct Passes<'a> {
    w: Input<'a, f32>,
    layout: &'a Layout,
    target: Target,
    threads: Threads,
    searches: Vec<Search>,
    parameters: Parameters,
    fits: Vec<Fit>,
}

impl<'a> Passes<'a> {
    fn new(w: Input<'a, f32>, layout: &'a Layout, target: Target, threads: Threads) -> Result<Self, Error> {
        let (cut, count) = (layout.cut(w.len())?, layout.groups());
        let mut searches = Vec::new();
        searches.try_reserve_exact(count)?;
        for (min, max) in extremes(w, cut, count, threads)? {
            let candidate = Candidate::covering(&target, min.into(), max.into());
            searches.push(Search {
                min: min.into(),
                max: max.into(),
                best: candidate,
                base: candidate,
                tried: candidate,
                error: f64::INFINITY,
            });
        }
        let parameters = Parameters::new(count, searches.iter().map(|search| search.tried.group()))?;
        Ok(Passes { w, layout, target, threads, searches, parameters, fits: filled(Fit::default(), count)? })
    }

    /// Leaves in each search the candidate that is near the best there is; how many passes over the tensor that took, with the
    /// one for the extremes.
    fn find_neighbourhoods(&mut self) -> Result<usize, Error> {
        let mut passes = 1 + self.shrink(1, 1, &[1.0])?;
        if self.target.symmetric {
            passes += self.shrink(1, 1, &TOGETHER)?;
        } else {
            for factors in [&AT_ONE_END[..], &NEARER_AT_ONE_END] {
                passes += self.shrink(0, 1, factors)?;
                passes += self.shrink(1, 0, factors)?;
            }
        }
        Ok(passes + self.shrink(1, 1, &NEARER)? + self.shrink(1, 1, &NEAREST)?)
    }

    /// Tries ranges that are by each of `factors` smaller or larger than the best so far, at the ends whose power is 1.
    fn shrink(&mut self, low: i32, high: i32, factors: &[f64]) -> Result<usize, Error> {
        for search in &mut self.searches {
            search.base = search.best;
        }
        for factor in factors {
            self.pass(factor.powi(low), factor.powi(high))?;
        }
        Ok(factors.len())
    }

    fn pass(&mut self, low: f64, high: f64) -> Result<(), Error> {
        for (index, search) in self.searches.iter_mut().enumerate() {
            search.tried = Candidate::covering(&self.target, search.base.low * low, search.base.high * high);
            self.parameters.set(index, search.tried.group());
        }
        let (bounds, rounding) = (self.target.bounds, self.target.rounding);
        let work = Fits { w: self.w, fits: Output::from(&mut self.fits[..]), bounds, rounding };
        Walk { work, cut: self.layout.cut(self.w.len())?, groups: self.parameters.groups() }.run_on(self.threads);
        for (search, fit) in self.searches.iter_mut().zip(&self.fits) {
            search.learn(fit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QuantGranularity;
    use crate::kernels::{CodeBounds, Rounding};

    #[test]
    fn a_search_takes_no_more_than_40_passes() {
        let w: Vec<f32> = (0..1000).map(|at| ((at * at) as f32).sin()).collect();
        let layout = Layout::new(QuantGranularity::PerTensor);
        for symmetric in [true, false] {
            let bounds = CodeBounds { min: -8.0, max: 7.0 };
            let target = Target { bounds, zero_point: 0.0, symmetric, rounding: Rounding::HalfAway };
            let passes = Passes::new((&w[..]).into(), &layout, target, Threads::Own(1)).unwrap().find_neighbourhoods();
            // The sweeps that follow take the time of some ten more.
            assert!(passes.unwrap() <= 28, "symmetric {symmetric}");
        }
    }
}
