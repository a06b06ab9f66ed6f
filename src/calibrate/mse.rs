//! Calibration to the smallest squared error, group after group.

use super::Target;
use super::by_group::ByGroup;
use super::extremes::extremes;
use super::search::{Memory, best_step};
use crate::error::Error;
use crate::kernels::{Cut, Input, Threads};
use crate::layout::Layout;

/// The best step and zero point of each group of `w`; step 0 for a group whose weights are all 0.
///
/// # Errors
/// [`Error::NonFinite`] naming the first NaN or infinity; [`Error::OutOfMemory`]; those of [`Layout::cut`].
pub(super) fn best_steps(
    w: Input<'_, f32>,
    layout: &Layout,
    target: Target,
    threads: Threads,
) -> Result<Vec<(f64, f32)>, Error> {
    let extremes = extremes(w, layout.cut(w.len())?, layout.groups(), threads)?;
    let mut best = Vec::new();
    best.try_reserve_exact(layout.groups())?;
    let mut memory;
    match layout.cut(w.len())? {
        Cut::Runs(runs) if runs.outer == 1 && !w.is_of_halves() => {
            memory = Memory::new(runs.len, &target)?;
            for (group, (min, max)) in extremes.into_iter().enumerate() {
                let weights = w.part(runs.range_of(group));
                best.push(best_step(weights, min.into(), max.into(), &target, &mut memory));
            }
        }
        _ => {
            let mut sorted = ByGroup::new(w, layout)?;
            memory = Memory::new(sorted.longest(), &target)?;
            for (weights, (min, max)) in sorted.groups_mut().zip(extremes) {
                best.push(best_step(Input::from(&*weights), min.into(), max.into(), &target, &mut memory));
            }
        }
    }
    Ok(best)
}
