//! The largest magnitudes, and the smallest and largest weights, of each group.

use super::filled;
use crate::error::Error;
use crate::kernels::{Cut, Extremes, Format, Groups, Input, MaxMagnitude, Output, Single, Threads, Walk};

/// The largest magnitude of each of `count` groups of `w`, in group order.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::OutOfMemory`].
pub(crate) fn max_abs<F: Format>(
    format: F,
    w: Input<'_, F::Element>,
    cut: Cut,
    count: usize,
    threads: Threads,
) -> Result<Vec<f32>, Error> {
    let mut maxima = filled(0.0, count)?;
    let work = MaxMagnitude { format, w, maxima: Output::from(&mut maxima[..]) };
    Walk { work, cut, groups: Groups::NONE }.run_on(threads);
    if maxima.iter().all(|maximum: &f32| maximum.is_finite()) { Ok(maxima) } else { Err(first_non_finite(format, w)) }
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
            return Err(first_non_finite(Single, w));
        }
        *pair = (min, max);
    }
    Ok(pairs)
}

/// The refusal that names where the trouble is; only looked for once there is some.
#[cold]
fn first_non_finite<F: Format>(format: F, w: Input<'_, F::Element>) -> Error {
    for index in 0..w.len() {
        let value = format.widen(w.get(index));
        if !value.is_finite() {
            return Error::NonFinite { argument: "w", index, value };
        }
    }
    Error::Internal("a maximum was not finite, but every weight is")
}
