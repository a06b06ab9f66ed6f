//! Percentile calibration: extremes without the most extreme weights.
//!
//! Quantiles are nearest-rank: the p-th percentile of m numbers is the smallest of them that at least `p * m / 100` of them do not
//! exceed. A percentage is an f32, and 99.9 is a little more than 99.9: a rank within its rounding error of a whole number is that
//! number, so that 99.9 % of 1000 weights are 999. They are found by selection in a copy of the weights, sorted by group.

use super::by_group::ByGroup;
use super::{Calibrated, Target};
use crate::error::Error;
use crate::kernels::Input;
use crate::layout::Layout;

/// Calibrates every group to the central `percentage` of its weights: of their magnitudes where the zero point stays, else
/// half of the rest is left out at each end.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn percentile(
    w: Input<'_, f32>,
    layout: &Layout,
    target: Target,
    percentage: f64,
    calibrated: &mut Vec<Calibrated>,
) -> Result<(), Error> {
    for group in ByGroup::new(w, layout)?.groups_mut() {
        calibrated.push(if target.symmetric {
            group.iter_mut().for_each(|weight| *weight = weight.abs());
            Calibrated::MaxAbs(nearest_rank(group, percentage / 100.0))
        } else {
            let kept_below = 0.5 + percentage / 200.0;
            let max = nearest_rank(group, kept_below).max(0.0);
            group.iter_mut().for_each(|weight| *weight = -*weight);
            let min = -nearest_rank(group, kept_below).max(0.0);
            let (step, zero_point) = target.covering(min.into(), max.into());
            Calibrated::Step { step, zero_point }
        });
    }
    Ok(())
}

/// The smallest number that at least `fraction` of the numbers, of which there is one, do not exceed.
fn nearest_rank(numbers: &mut [f32], fraction: f64) -> f32 {
    let rank = rank(fraction, numbers.len() as f64) as usize;
    *numbers.select_nth_unstable_by(rank - 1, f32::total_cmp).1
}

/// How many of `count` numbers are at least `fraction` of them, which is no more exact than an f32.
pub(super) fn rank(fraction: f64, count: f64) -> f64 {
    let rank = fraction * count;
    let is_whole = (rank - rank.round()).abs() <= rank * f64::from(0.5 * f32::EPSILON);
    if is_whole { rank.round() } else { rank.ceil() }.clamp(1.0, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_smallest_that_covers_the_fraction() {
        let mut numbers = [5.0, 1.0, 4.0, 2.0, 3.0];
        let ranks = [0.01, 0.2, 0.21, 0.4, 0.99, 1.0].map(|fraction| nearest_rank(&mut numbers, fraction));
        assert_eq!(ranks, [1.0, 1.0, 2.0, 2.0, 5.0, 5.0]);
    }
}
