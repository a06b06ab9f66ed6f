//! The largest magnitudes, and the smallest and largest weights, of each group.

use super::filled;
use crate::error::Error;
use crate::kernels::{Cut, Extremes, Groups, Input, MaxMagnitude, Output, Threads, Walk};

/// The largest magnitude of each of `count` groups of `w`, in group order.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::OutOfMemory`].
pub(crate) fn max_abs(w: Input<'_, f32>, cut: Cut, count: usize, threads: Threads) -> Result<Vec<f32>, Error> {
    let mut maxima = filled(0.0, count)?;
    let work = MaxMagnitude { w, maxima: Output::from(&mut maxima[..]) };
    Walk { work, cut, groups: Groups::NONE }.run_on(threads);
    if maxima.iter().all(|maximum: &f32| maximum.is_finite()) { Ok(maxima) } else { Err(first_non_finite(w)) }
}

/// Refuses a tensor with an element that is not finite. Allocates nothing.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity.
#[cold]
pub(crate) fn all_finite(w: Input<'_, f32>, threads: Threads) -> Result<(), Error> {
    let mut maximum = [0.0f32];
    let work = MaxMagnitude { w, maxima: Output::from(&mut maximum[..]) };
    Walk { work, cut: Cut::runs(1, w.len()), groups: Groups::NONE }.run_on(threads);
    if maximum[0].is_finite() { Ok(()) } else { Err(first_non_finite(w)) }
}

/// The smallest weight or 0, and the largest weight or 0, of each of `count` groups of `w`.
///
/// # Errors
/// As [`max_abs`].
pub(super) fn extremes(w: Input<'_, f32>, cut: Cut, count: usize, threads: Threads) -> Result<Vec<(f32, f32)>, Error> {
    let (mut minima, mut maxima) = (filled(0.0f32, count)?, filled(0.0f32, count)?);
    let (minima_out, maxima_out) = (Output::from(&mut minima[..]), Output::from(&mut maxima[..]));
    let work = Extremes { w, minima: minima_out, maxima: maxima_out };
    Walk { work, cut, groups: Groups::NONE }.run_on(threads);
    let mut pairs = filled((0.0, 0.0), count)?;
    for (pair, (&min, &max)) in pairs.iter_mut().zip(minima.iter().zip(&maxima)) {
        if !(min.is_finite() && max.is_finite()) {
            return Err(first_non_finite(w));
        }
        *pair = (min, max);
    }
    Ok(pairs)
}

/// The refusal that names where the trouble is; only looked for once there is some.
#[cold]
fn first_non_finite(w: Input<'_, f32>) -> Error {
    for index in 0..w.len() {
        let value = w.float(index);
        if !value.is_finite() {
            return Error::NonFinite { argument: "w", index, value };
        }
    }
    Error::Internal("a maximum was not finite, but every weight is")
}
