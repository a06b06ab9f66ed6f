//! A quantizer as JSON, and back.

use super::diffquant_quantizer;
use crate::capi::pointer;
use crate::capi::status::{diffquant_status, report};
use crate::capi::text;
use crate::quantizer::{Grid, MAX_STATE_LENGTH, too_long};
use std::ffi::c_char;

/// Writes everything that a quantizer is, as JSON on one line with a NUL at the end: what was set, and every scale, zero point and
/// offset, from which diffquant_quantizer_from_json makes the same quantizer, bit for bit.
///
/// To learn the length, call with cap = 0. Threads (diffquant_quantizer_set_threads, diffquant_quantizer_set_parallel_for) are
/// left out: they are the process's. Allocates nothing. The fields:
///
/// - format: "diffquant.quantizer"; version: "1.1", a major and a minor number;
/// - bits; pi_k: k, or null for a uniform quantizer; code_range: "Full", "Narrow" or "Unsigned"; symmetric: true or false;
///   rounding: "HalfAway", "HalfEven" or "Stochastic"; ste_variant and granularity: as in the JSON of a configuration;
/// - channels: how many, per channel without a shape, else null; shape and axis: a shape that means the same as the one that was
///   declared, null without one;
/// - use_incoherence: true or false; rotation_seed: a whole number below 2^64;
/// - seed and first_element (diffquant_quantizer_set_seed): whole numbers below 2^64; non_finite: "Zero", "Propagate" or "Reject";
/// - scales: one float per group, in the order of diffquant_granularity, with the digits that tell it from every other float;
///   zero_points: whole numbers, null where all are the range's; offsets: floats, null where all are 0.
///
/// @param quantizer the quantizer to write
/// @param buf receives the text; may be NULL when cap is 0
/// @param cap the size of buf in bytes
/// @param len receives the length of the text without the NUL, also when buf is too small
/// @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_to_json(
    quantizer: *const diffquant_quantizer,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        let grid = &pointer::handle("quantizer", quantizer)?.0;
        text::write(buf, cap, len, || Ok((grid.json_length()?, |buffer: &mut text::Buffer| grid.write_json(buffer))))
    })
}

/// Makes the quantizer whose state diffquant_quantizer_to_json wrote, bit for bit; it uses one thread until told otherwise.
///
/// Every state of version 1.x is read: fields that this version does not know are ignored, and pi_k, channels, shape, axis,
/// zero_points and offsets may be absent for null, use_incoherence for false, rotation_seed, seed and first_element for 0, non_finite for "Zero"
/// (the last three came with 1.1, as did "Stochastic"). A state of another major version is refused
/// with UNSUPPORTED and a message that names it. Values are judged as by the functions that set them.
///
/// @param json UTF-8 text; a NUL at the end is not needed
/// @param len its length in bytes, at most 256 MiB
/// @param out receives the handle; free it with diffquant_quantizer_free
/// @return DIFFQUANT_STATUS_OK; INVALID_JSON for text that is no state; INVALID_UTF8; UNSUPPORTED for another major version;
///         INVALID_ARGUMENT for a value that may not be set, such as a scale of 0; LENGTH_MISMATCH unless there is a number per
///         group; NOT_APPLICABLE for zero_points of a symmetric quantizer; INDEX_OUT_OF_RANGE for axis; NULL_POINTER;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_from_json(
    json: *const c_char,
    len: usize,
    out: *mut *mut diffquant_quantizer,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        pointer::write_handle(out, || {
            Ok(diffquant_quantizer(Grid::from_json(text::read(json, len, MAX_STATE_LENGTH, too_long)?)?))
        })
    })
}
