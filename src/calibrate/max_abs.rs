//! Max-abs calibration: the largest magnitude of each group.

use crate::error::Error;
use crate::kernels::{Input, Isa, MaxMagnitude, Output};
use crate::layout::Layout;

/// The largest magnitude of each group of `w`, in group order.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::NotDivisible`]; [`Error::OutOfMemory`].
pub(crate) fn max_abs(w: Input<'_, f32>, layout: &Layout) -> Result<Vec<f32>, Error> {
    let run = layout.run(w.len())?;
    let mut maxima = Vec::new();
    maxima.try_reserve_exact(layout.groups())?;
    maxima.resize(layout.groups(), 0.0);
    Isa::current().run(MaxMagnitude { w, maxima: Output::from(&mut maxima[..]), run });
    if maxima.iter().all(|maximum| maximum.is_finite()) { Ok(maxima) } else { Err(first_non_finite(w)) }
}

/// The refusal that names where the trouble is; only looked for once there is some.
#[cold]
fn first_non_finite(w: Input<'_, f32>) -> Error {
    for index in 0..w.len() {
        let value = w.get(index);
        if !value.is_finite() {
            return Error::NonFinite { argument: "w", index, value };
        }
    }
    Error::Internal("a maximum was not finite, but every weight is")
}
