//! Calibration: from the weights of each group to its step and zero point.
//!
//! | method | step | zero point, unless symmetric |
//! |---|---|---|
//! | max-abs | the largest magnitude lies half a step beyond the largest code | the range's |
//! | min-max | the smallest at which nothing is clamped | where 0 is a code |
//! | LSQ | `2 * mean(abs(w)) / sqrt(Qp)`, Qp the largest code less the zero point (Esser et al. 2020, arXiv 1902.08153, section 2.1) | the range's |
//! | percentile | as max-abs, or min-max, of the weights without the most extreme ones | where 0 is a code |
//! | MSE | the one with the smallest squared error | likewise |

mod by_group;
mod extremes;
mod mse;
pub(crate) mod observer;
mod percentile;
mod search;

pub(crate) use extremes::{all_finite, max_abs};

use crate::error::Error;
use crate::kernels::{CodeBounds, Cut, Groups, Input, MeanMagnitude, Output, Threads, Walk};
use crate::layout::Layout;
use extremes::extremes;

/// How scales are chosen from weights.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ScaleInit {
    /// The largest magnitude of a group lies half a step beyond its largest code. The reference's.
    MaxAbs,
    /// The smallest step at which no weight is clamped; 0 stays exactly representable.
    MinMax,
    /// `2 * mean(abs(w)) / sqrt(Qp)`: a start for training with LSQ, not a scale to quantize with.
    Lsq,
    /// As `MaxAbs`, or `MinMax` where the zero point is free, of the given percentage of the weights.
    Percentile(f32),
    /// The step, and the zero point where it is free, with the smallest squared error.
    Mse,
}

impl ScaleInit {
    /// # Errors
    /// [`Error::InvalidArgument`] for a percentage outside (0, 100].
    pub(crate) fn validate(self) -> Result<(), Error> {
        match self {
            ScaleInit::Percentile(percentage) if !(percentage > 0.0 && percentage <= 100.0) => {
                let allowed = "above 0 and at most 100";
                Err(Error::InvalidArgument { argument: "percentile", value: percentage.into(), allowed })
            }
            _ => Ok(()),
        }
    }
}

/// What is calibrated for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) bounds: CodeBounds,
    /// The zero point, or where the search for one begins.
    pub(crate) zero_point: f32,
    /// Whether the zero point stays.
    pub(crate) symmetric: bool,
}

impl Target {
    /// The smallest step at which nothing from `min`, not positive, to `max`, not negative, is clamped, and its zero point; 0
    /// where nothing needs a step.
    fn covering(&self, min: f64, max: f64) -> (f64, f32) {
        if self.symmetric {
            let step =
                self.needed(self.zero_point, min, max).into_iter().filter(|step| step.is_finite()).fold(0.0, f64::max);
            return (step, self.zero_point);
        }
        let CodeBounds { min: lowest, max: highest } = self.bounds;
        let step = (max - min) / f64::from(highest - lowest);
        (step, self.zero_point_for(min, step))
    }

    /// The step of LSQ's rule for a mean magnitude.
    fn lsq_step(&self, mean: f64) -> f64 {
        mean * (2.0 / f64::from(self.bounds.max - self.zero_point).sqrt())
    }

    /// The smallest steps at which, with a zero point, `min` and `max` are not clamped; infinite where they always are.
    fn needed(&self, zero_point: f32, min: f64, max: f64) -> [f64; 2] {
        [(min, self.bounds.min), (max, self.bounds.max)].map(|(weight, code)| {
            let level = f64::from(code - zero_point);
            if weight == 0.0 { 0.0 } else { weight / level }.abs()
        })
    }

    /// The zero point at which the smallest code stands for about `min`.
    fn zero_point_for(&self, min: f64, step: f64) -> f32 {
        if step == 0.0 {
            return self.zero_point;
        }
        let CodeBounds { min: lowest, max: highest } = self.bounds;
        // `min` is not positive: the zero point is no less than the smallest code.
        (f64::from(lowest) - min / step).round_ties_even().clamp(f64::from(lowest), f64::from(highest)) as f32
    }
}

/// What the groups of a tensor are calibrated to.
pub(crate) enum Calibration {
    /// The scales are to be computed from these largest magnitudes.
    MaxAbs(Vec<f32>),
    /// Each group as it says.
    Each(Vec<Calibrated>),
}

/// What a group is calibrated to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Calibrated {
    /// The scale is to be computed from a largest magnitude, in the reference's order of operations.
    MaxAbs(f32),
    /// A step, 0 for a group whose weights are all 0, and a zero point.
    Step { step: f64, zero_point: f32 },
}

/// Calibrates every group of `w`.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; those of [`Layout::cut`]; [`Error::OutOfMemory`].
pub(crate) fn calibrate(
    w: Input<'_, f32>,
    layout: &Layout,
    target: Target,
    method: ScaleInit,
    threads: Threads,
) -> Result<Calibration, Error> {
    let (cut, count) = (layout.cut(w.len())?, layout.groups());
    let mut calibrated = Vec::new();
    calibrated.try_reserve_exact(count)?;
    let zero_point = target.zero_point;
    match method {
        ScaleInit::MaxAbs => return Ok(Calibration::MaxAbs(max_abs(w, cut, count, threads)?)),
        ScaleInit::MinMax => calibrated.extend(extremes(w, cut, count, threads)?.into_iter().map(|(min, max)| {
            let (step, zero_point) = target.covering(min.into(), max.into());
            Calibrated::Step { step, zero_point }
        })),
        ScaleInit::Lsq => {
            // A sum would not say where a NaN is.
            max_abs(w, cut, count, threads)?;
            let means = means(w, cut, count, threads)?;
            let step = |mean| Calibrated::Step { step: target.lsq_step(mean), zero_point };
            calibrated.extend(means.into_iter().map(step));
        }
        ScaleInit::Percentile(percentage) => {
            extremes(w, cut, count, threads)?;
            percentile::percentile(w, layout, target, percentage.into(), &mut calibrated)?;
        }
        ScaleInit::Mse => {
            let steps = mse::best_steps(w, layout, target, threads)?;
            calibrated.extend(steps.into_iter().map(|(step, zero_point)| Calibrated::Step { step, zero_point }));
        }
    }
    Ok(Calibration::Each(calibrated))
}

/// The mean magnitude of each group.
fn means(w: Input<'_, f32>, cut: Cut, count: usize, threads: Threads) -> Result<Vec<f64>, Error> {
    let mut means = filled(0.0, count)?;
    let work = MeanMagnitude { w, means: Output::from(&mut means[..]) };
    Walk { work, cut, groups: Groups::NONE }.run_on(threads);
    Ok(means)
}

/// `count` copies.
///
/// # Errors
/// [`Error::OutOfMemory`].
fn filled<T: Clone>(element: T, count: usize) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    all.try_reserve_exact(count)?;
    all.resize(count, element);
    Ok(all)
}
