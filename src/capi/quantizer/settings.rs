//! What can be set on a quantizer, and what can be asked of it.

use super::diffquant_quantizer;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::capi::ste::{diffquant_ste, ste_from_c, ste_to_c};
use crate::error::Error;
use crate::kernels::Input;
use crate::quantizer::Grid;

/// Runs a change of the quantizer behind a handle.
///
/// # Safety
/// The handle keeps the header's conventions.
pub(super) unsafe fn change(
    quantizer: *mut diffquant_quantizer,
    change: impl FnOnce(&mut Grid) -> Result<(), Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::change("quantizer", quantizer, |quantizer| change(&mut quantizer.0)) }
}

/// Writes something that is read off the quantizer behind a handle.
///
/// # Safety
/// The handle and `out` keep the header's conventions.
pub(super) unsafe fn read<T>(
    quantizer: *const diffquant_quantizer,
    out: *mut T,
    get: impl FnOnce(&Grid) -> Result<T, Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::read("quantizer", quantizer, out, |quantizer| get(&quantizer.0)) }
}

/// Writes something that is read off every group of the quantizer behind a handle.
///
/// # Safety
/// The handle and `out` keep the header's conventions.
pub(super) unsafe fn read_all<T: Copy>(
    quantizer: *const diffquant_quantizer,
    out: *mut T,
    count: usize,
    get: impl Fn(&Grid, usize) -> T,
) -> diffquant_status {
    report(|| {
        // SAFETY: the caller's promise; `out` is checked before it is used.
        unsafe {
            let grid = &pointer::handle("quantizer", quantizer)?.0;
            Span::of("out", out, count)?;
            if count != grid.groups() {
                return Err(Error::LengthMismatch { argument: "out", actual: count, expected: grid.groups() });
            }
            for group in 0..count {
                out.add(group).write(get(grid, group));
            }
        }
        Ok(())
    })
}

/// Changes something of every group of the quantizer behind a handle, from an array of the caller's.
///
/// # Safety
/// The pointers keep the header's conventions.
pub(super) unsafe fn change_all<T: Copy>(
    quantizer: *mut diffquant_quantizer,
    argument: &'static str,
    numbers: *const T,
    count: usize,
    set: impl FnOnce(&mut Grid, Input<'_, T>) -> Result<(), Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise; `numbers` is checked before it is used.
    unsafe {
        change(quantizer, |grid| {
            Span::of(argument, numbers, count)?;
            set(grid, pointer::input(numbers, count))
        })
    }
}

/// Changes the straight-through estimator.
///
/// @param quantizer the quantizer to change
/// @param ste a DIFFQUANT_STE constant
/// @param ste_param the estimator's parameter; ignored by those without one
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_ste(
    quantizer: *mut diffquant_quantizer,
    ste: diffquant_ste,
    ste_param: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { change(quantizer, |grid| grid.set_ste(ste_from_c(ste, ste_param)?)) }
}

/// The straight-through estimator.
///
/// @param quantizer the quantizer to read
/// @param ste receives the DIFFQUANT_STE constant
/// @param ste_param receives the parameter, 0 for an estimator without one; may be NULL
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of ste and ste_param
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_ste(
    quantizer: *const diffquant_quantizer,
    ste: *mut diffquant_ste,
    ste_param: *mut f32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let (constant, parameter) = ste_to_c(pointer::handle("quantizer", quantizer)?.0.ste());
            pointer::write_and_optional(("ste", ste, constant), ("ste_param", ste_param, parameter))
        }
    })
}

/// How many scales there are: 1 per tensor, the channels, tokens or blocks of the shape, or the channel count; 0 per token
/// and per block until a shape is declared. diffquant_granularity says which scale belongs to which element.
///
/// @param quantizer the quantizer to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_scale_count(
    quantizer: *const diffquant_quantizer,
    out: *mut usize,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(grid.scales().len())) }
}

/// Copies every scale out, in the order of diffquant_granularity; for pi the alphas.
///
/// @param quantizer the quantizer to read
/// @param out receives count floats
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_scales(
    quantizer: *const diffquant_quantizer,
    out: *mut f32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { read_all(quantizer, out, count, |grid, group| grid.scales()[group]) }
}

/// Replaces every scale, in the order of diffquant_granularity; for pi the alphas. All are checked before the first is changed.
///
/// @param quantizer the quantizer to change
/// @param scales count floats, each positive and finite, as is the step that it gives
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for a scale; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_scales(
    quantizer: *mut diffquant_quantizer,
    scales: *const f32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { change_all(quantizer, "scales", scales, count, Grid::set_scales) }
}

/// Changes the scale of one group; for pi its alpha.
///
/// @param quantizer the quantizer to change
/// @param group which, from 0
/// @param scale positive and finite, as is the step that it gives
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for the scale; INDEX_OUT_OF_RANGE for the group; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_scale(
    quantizer: *mut diffquant_quantizer,
    group: usize,
    scale: f32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { change(quantizer, |grid| grid.set_scale(group, scale)) }
}

/// The distance between neighbouring values of a group: its scale, or for pi alpha * PI / k.
///
/// @param quantizer the quantizer to read
/// @param group which, from 0
/// @param out receives the step, in units of w
/// @return DIFFQUANT_STATUS_OK; INDEX_OUT_OF_RANGE; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_step_size(
    quantizer: *const diffquant_quantizer,
    group: usize,
    out: *mut f32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| grid.step_size(group)) }
}

/// The width of a code in bits.
///
/// @param quantizer the quantizer to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_bits(
    quantizer: *const diffquant_quantizer,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(grid.bits())) }
}

/// The number of codes, 2^bits.
///
/// @param quantizer the quantizer to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_num_levels(
    quantizer: *const diffquant_quantizer,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(grid.num_levels())) }
}

/// The divisor k of a pi quantizer.
///
/// @param quantizer the quantizer to read
/// @param out receives the number
/// @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a uniform quantizer; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_k(
    quantizer: *const diffquant_quantizer,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, Grid::k) }
}
