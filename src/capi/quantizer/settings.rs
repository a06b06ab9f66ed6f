//! What can be set on a quantizer, and what can be asked of it.

use super::diffquant_quantizer;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::capi::ste::{
    DIFFQUANT_ROUNDING_HALF_AWAY, DIFFQUANT_ROUNDING_HALF_EVEN, diffquant_rounding, diffquant_ste, half_even_from_c,
    ste_from_c, ste_to_c,
};
use crate::error::Error;
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
unsafe fn read<T>(
    quantizer: *const diffquant_quantizer,
    out: *mut T,
    get: impl FnOnce(&Grid) -> Result<T, Error>,
) -> diffquant_status {
    // SAFETY: the caller's promise.
    unsafe { pointer::read("quantizer", quantizer, out, |quantizer| get(&quantizer.0)) }
}

/// Changes the straight-through estimator.
///
/// @param quantizer the quantizer to change
/// @param ste a DIFFQUANT_STE constant
/// @param ste_param the estimator's parameter; ignored by those without one
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT; UNSUPPORTED for a reserved estimator; NULL_POINTER
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

/// Changes what happens halfway between two codes.
///
/// @param quantizer the quantizer to change
/// @param rounding a DIFFQUANT_ROUNDING constant
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; UNSUPPORTED for STOCHASTIC; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_rounding(
    quantizer: *mut diffquant_quantizer,
    rounding: diffquant_rounding,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_rounding_half_even(half_even_from_c(rounding)?);
            Ok(())
        })
    }
}

/// What happens halfway between two codes.
///
/// @param quantizer the quantizer to read
/// @param out receives the DIFFQUANT_ROUNDING constant
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_rounding(
    quantizer: *const diffquant_quantizer,
    out: *mut diffquant_rounding,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe {
        read(quantizer, out, |grid| {
            Ok(if grid.rounding_is_half_even() { DIFFQUANT_ROUNDING_HALF_EVEN } else { DIFFQUANT_ROUNDING_HALF_AWAY })
        })
    }
}

/// Makes the quantizer per channel, every scale 1.
///
/// Channels are equal, contiguous slices of a tensor: channel c of n weights is w[c * n / channels] and the n / channels - 1
/// weights after it, such as the rows of a matrix stored row by row.
///
/// @param quantizer the quantizer to change
/// @param channels how many, at least 1
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_per_channel(
    quantizer: *mut diffquant_quantizer,
    channels: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe { change(quantizer, |grid| grid.init_per_channel(channels)) }
}

/// Calibrates every scale from its group's weights, so that the largest magnitude lies half a step beyond the largest code.
///
/// uniform: scale = max|w| / (2^(bits-1) - 0.5), at least the smallest normal float.
/// pi: alpha = max|w| / (PI / k * (2^(bits-1) - 0.5)), at least 1e-6.
/// A group of zeros gets scale 1. With n = 0 nothing changes.
///
/// @param quantizer the quantizer to change
/// @param w n weights
/// @param n number of weights, a multiple of the channel count
/// @return DIFFQUANT_STATUS_OK; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; INVALID_ARGUMENT when the step would overflow; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_scale(
    quantizer: *mut diffquant_quantizer,
    w: *const f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions; `w` was checked.
    unsafe {
        change(quantizer, |grid| {
            Span::of("w", w, n)?;
            grid.init_scale(pointer::input(w, n))
        })
    }
}

/// How many scales there are: 1 per tensor, or the channel count.
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

/// Copies every scale out, in channel order; for pi the alphas.
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
    report(|| {
        // SAFETY: the pointers keep the header's conventions; `out` was checked.
        unsafe {
            let scales = pointer::handle("quantizer", quantizer)?.0.scales();
            Span::of("out", out, count)?;
            if count != scales.len() {
                return Err(Error::LengthMismatch { argument: "out", actual: count, expected: scales.len() });
            }
            std::ptr::copy_nonoverlapping(scales.as_ptr(), out, count);
        }
        Ok(())
    })
}

/// Replaces every scale, in channel order; for pi the alphas. All are checked before the first is changed.
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
    // SAFETY: the pointers keep the header's conventions; `scales` was checked.
    unsafe {
        change(quantizer, |grid| {
            Span::of("scales", scales, count)?;
            grid.set_scales(pointer::input(scales, count))
        })
    }
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
