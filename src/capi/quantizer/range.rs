//! Which codes are used, and what they stand for: ranges, zero points and offsets.

use super::diffquant_quantizer;
use super::settings::{change, change_all, read, read_all};
use crate::capi::pointer;
use crate::capi::status::{diffquant_status, report};
use crate::error::Error;
use crate::quantizer::{CodeRange, Grid};

/// Which of the 2^bits codes are used, and which of them stands for 0 in a symmetric quantizer.
pub type diffquant_code_range = u32;

/// -2^(bits-1) to 2^(bits-1) - 1; code 0 stands for 0. The default.
pub const DIFFQUANT_CODE_RANGE_FULL: diffquant_code_range = 0;
/// -(2^(bits-1) - 1) to 2^(bits-1) - 1; code 0 stands for 0. As many codes on either side of it.
pub const DIFFQUANT_CODE_RANGE_NARROW: diffquant_code_range = 1;
/// The unsigned codes u = 0 to 2^bits - 1 of ONNX and GGUF, kept in an int8 as u - 2^(bits-1): add 2^(bits-1) to a code, and to
/// a zero point, to get the unsigned one. u = 0 stands for 0, so that a symmetric quantizer has no negative values.
pub const DIFFQUANT_CODE_RANGE_UNSIGNED: diffquant_code_range = 2;

/// Changes which codes are used. Every zero point becomes the one that stands for 0 in the range.
///
/// @param quantizer the quantizer to change
/// @param range a DIFFQUANT_CODE_RANGE constant
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_code_range(
    quantizer: *mut diffquant_quantizer,
    range: diffquant_code_range,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_code_range(match range {
                DIFFQUANT_CODE_RANGE_FULL => CodeRange::Full,
                DIFFQUANT_CODE_RANGE_NARROW => CodeRange::Narrow,
                DIFFQUANT_CODE_RANGE_UNSIGNED => CodeRange::Unsigned,
                value => return Err(Error::UnknownConstant { argument: "range", value }),
            });
            Ok(())
        })
    }
}

/// Which codes are used.
///
/// @param quantizer the quantizer to read
/// @param out receives the DIFFQUANT_CODE_RANGE constant
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_code_range(
    quantizer: *const diffquant_quantizer,
    out: *mut diffquant_code_range,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe {
        read(quantizer, out, |grid| {
            Ok(match grid.code_range() {
                CodeRange::Full => DIFFQUANT_CODE_RANGE_FULL,
                CodeRange::Narrow => DIFFQUANT_CODE_RANGE_NARROW,
                CodeRange::Unsigned => DIFFQUANT_CODE_RANGE_UNSIGNED,
            })
        })
    }
}

/// The smallest and the largest code.
///
/// @param quantizer the quantizer to read
/// @param smallest receives the smallest code, qmin
/// @param largest receives the largest code, qmax
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of smallest and largest
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_code_bounds(
    quantizer: *const diffquant_quantizer,
    smallest: *mut i32,
    largest: *mut i32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the pointers keep the header's conventions.
        unsafe {
            let bounds = pointer::handle("quantizer", quantizer)?.0.bounds();
            pointer::write_pair(("smallest", smallest, bounds.min as i32), ("largest", largest, bounds.max as i32))
        }
    })
}

/// Fixes the zero points to the range's (0, or -2^(bits-1) for UNSIGNED), or frees them to be set and calibrated.
///
/// @param quantizer the quantizer to change
/// @param symmetric 1, the default, to fix them; 0 to free them, which leaves them as they are
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for another number; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_symmetric(
    quantizer: *mut diffquant_quantizer,
    symmetric: u32,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            if symmetric > 1 {
                let (argument, value, allowed) = ("symmetric", symmetric.into(), "0 or 1");
                return Err(Error::InvalidArgument { argument, value, allowed });
            }
            grid.set_symmetric(symmetric == 1);
            Ok(())
        })
    }
}

/// Whether the zero points are fixed.
///
/// @param quantizer the quantizer to read
/// @param out receives 1 or 0
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_symmetric(
    quantizer: *const diffquant_quantizer,
    out: *mut u32,
) -> diffquant_status {
    // SAFETY: both pointers keep the header's conventions.
    unsafe { read(quantizer, out, |grid| Ok(grid.is_symmetric().into())) }
}

/// Copies every zero point out, in the order of the scales: the code that stands for 0 (for the offset, where that is not 0).
///
/// @param quantizer the quantizer to read
/// @param out receives count numbers
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_zero_points(
    quantizer: *const diffquant_quantizer,
    out: *mut i32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { read_all(quantizer, out, count, Grid::zero_point) }
}

/// Replaces every zero point, in the order of the scales. All are checked before the first is changed.
///
/// @param quantizer the quantizer to change; not a symmetric one
/// @param zero_points count numbers, each a code: qmin to qmax
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a symmetric quantizer; INVALID_ARGUMENT for a zero point; LENGTH_MISMATCH for
///         another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_zero_points(
    quantizer: *mut diffquant_quantizer,
    zero_points: *const i32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { change_all(quantizer, "zero_points", zero_points, count, Grid::set_zero_points) }
}

/// Copies every offset out, in the order of the scales: what is added to every value, LSQ+'s beta.
///
/// @param quantizer the quantizer to read
/// @param out receives count floats, in units of w
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_offsets(
    quantizer: *const diffquant_quantizer,
    out: *mut f32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { read_all(quantizer, out, count, Grid::offset) }
}

/// Replaces every offset, in the order of the scales; 0 in a new quantizer. All are checked before the first is changed.
///
/// Offsets work with every estimator; diffquant_quantizer_backward_scale_offset gives the gradient by which they are
/// learned.
///
/// @param quantizer the quantizer to change
/// @param offsets count floats, each finite, in units of w
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for an offset; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_offsets(
    quantizer: *mut diffquant_quantizer,
    offsets: *const f32,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    unsafe { change_all(quantizer, "offsets", offsets, count, Grid::set_offsets) }
}
