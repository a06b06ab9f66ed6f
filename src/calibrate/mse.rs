//! Calibration to the smallest squared error.
//!
//! The error of a group as a function of its step is piecewise a parabola, with as many pieces as the weights have ties, and
//! no formula for its minimum. It is searched for all groups at once: each pass over the tensor tries one candidate per group
//! and learns, beside its error, the step that is best for the codes it gave (the bottom of its parabola, by least squares),
//! so that a pass is worth more than a sample. Coarse candidates come first, by factors down from the step that covers
//! everything; then finer ones around the best, and at last the bottoms themselves, which only go down. A free zero point is moved
//! in between.

use super::extremes::extremes;
use super::{Target, filled};
use crate::error::Error;
use crate::kernels::{Cut, Fit, Fits, Group, Input, Output, Parameters, Threads, Walk};

/// Passes of a search, at most.
#[cfg(test)]
pub(super) const MOST_PASSES: usize = COARSE + FINE * FINENESS.len() + ZERO_POINTS * 2 + BOTTOMS;

/// Coarse candidates, each smaller than the one before by [`COARSE_FACTOR`].
const COARSE: usize = 12;
const COARSE_FACTOR: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Candidates of a finer search, and how far to either side of the best step each of them reaches, as a factor less one.
const FINE: usize = 6;
const FINENESS: [f64; 2] = [0.3, 0.06];

/// Steps away from the best zero point that are tried, after the coarse search and after the fine one.
const ZERO_POINTS: usize = 3;

/// Passes that follow the bottoms of parabolas.
const BOTTOMS: usize = 4;

/// What is known of a group.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// The step that covers everything; 0 where every weight is 0.
    covering: f64,
    step: f64,
    zero_point: f32,
    error: f64,
    /// What is tried next.
    candidate: (f64, f32),
}

impl Search {
    /// Compares a candidate, and the bottom of its parabola, with the best so far.
    fn learn(&mut self, fit: &Fit) {
        let (step, zero_point) = self.candidate;
        let mut found = (fit.error, step);
        if fit.level_squared > 0.0 {
            let bottom = fit.weight_by_level / fit.level_squared;
            let gain = (step - bottom) * (step - bottom) * fit.level_squared;
            if bottom > 0.0 {
                found = (fit.error - gain, bottom);
            }
        }
        if found.0 < self.error {
            (self.error, self.step, self.zero_point) = (found.0, found.1, zero_point);
        }
    }
}

/// The best step and zero point of each of `count` groups of `w`; step 0 for a group whose weights are all 0.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::OutOfMemory`].
pub(super) fn best_steps(
    w: Input<'_, f32>,
    cut: Cut,
    count: usize,
    target: Target,
    threads: Threads,
) -> Result<Vec<(f64, f32)>, Error> {
    let mut searches = Vec::new();
    searches.try_reserve_exact(count)?;
    for (min, max) in extremes(w, cut, count, threads)? {
        let (covering, zero_point) = target.covering(min.into(), max.into());
        let candidate = (covering, zero_point);
        searches.push(Search { covering, step: covering, zero_point, error: f64::INFINITY, candidate });
    }
    let mut tries = Tries {
        w,
        cut,
        target,
        threads,
        parameters: Parameters::new(count, searches.iter().map(group_to_try))?,
        fits: filled(Fit::default(), count)?,
    };
    for pass in 0..COARSE {
        let factor = COARSE_FACTOR.powi(pass as i32);
        tries.pass(&mut searches, |search| (search.covering * factor, search.zero_point));
    }
    if !target.symmetric {
        tries.move_zero_points(&mut searches);
    }
    for reach in FINENESS {
        let best = filled_from(&searches)?;
        for factor in (0..FINE).map(|pass| spread(pass, reach)) {
            let mut best = best.iter();
            tries.pass(&mut searches, |search| {
                let step = best.next().copied().unwrap_or(search.step);
                (step * factor, search.zero_point)
            });
        }
    }
    if !target.symmetric {
        tries.move_zero_points(&mut searches);
    }
    for _ in 0..BOTTOMS {
        tries.pass(&mut searches, |search| (search.step, search.zero_point));
    }
    let mut best = Vec::new();
    best.try_reserve_exact(count)?;
    best.extend(searches.iter().map(|search| {
        // Where nothing needs a step there was nothing to learn: every candidate was the smallest float.
        if search.covering == 0.0 { (0.0, target.zero_point) } else { (search.step, search.zero_point) }
    }));
    Ok(best)
}

/// A factor around 1, evenly spread over `1 - reach ..= 1 + reach` without 1 itself.
fn spread(pass: usize, reach: f64) -> f64 {
    let place = (2 * pass + 1) as f64 / FINE as f64 - 1.0;
    1.0 + reach * place
}

fn filled_from(searches: &[Search]) -> Result<Vec<f64>, Error> {
    let mut steps = Vec::new();
    steps.try_reserve_exact(searches.len())?;
    steps.extend(searches.iter().map(|search| search.step));
    Ok(steps)
}

/// The parameters of a group's candidate, as a kernel takes them.
fn group_to_try(search: &Search) -> Group {
    let (step, zero_point) = search.candidate;
    let step = (step as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    Group { step, zero_point, offset: 0.0 }
}

/// Candidates against a tensor.
struct Tries<'a> {
    w: Input<'a, f32>,
    cut: Cut,
    target: Target,
    threads: Threads,
    parameters: Parameters,
    fits: Vec<Fit>,
}

impl Tries<'_> {
    /// Tries one candidate per group, and learns from each.
    fn pass(&mut self, searches: &mut [Search], mut candidate: impl FnMut(&Search) -> (f64, f32)) {
        for (index, search) in searches.iter_mut().enumerate() {
            search.candidate = candidate(search);
            let group = group_to_try(search);
            search.candidate.0 = group.step.into();
            self.parameters.set(index, group);
        }
        let (bounds, rounding) = (self.target.bounds, self.target.rounding);
        let work = Fits { w: self.w, fits: Output::from(&mut self.fits[..]), bounds, rounding };
        Walk { work, cut: self.cut, groups: self.parameters.groups() }.run_on(self.threads);
        for (search, fit) in searches.iter_mut().zip(&self.fits) {
            search.learn(fit);
        }
    }

    /// Tries zero points beside the best, and goes on in the direction that helped.
    fn move_zero_points(&mut self, searches: &mut [Search]) {
        let bounds = self.target.bounds;
        let tried = |search: &Search, by: f32| (search.step, (search.zero_point + by).clamp(bounds.min, bounds.max));
        for by in [1.0, -1.0, -1.0].into_iter().take(ZERO_POINTS) {
            self.pass(searches, |search| tried(search, by));
        }
    }
}
