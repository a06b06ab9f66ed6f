//! The work on tensors of any element type.

use super::calibrate::{diffquant_scale_init, init_scale, scale_init_from_c};
use super::diffquant_quantizer;
use super::tensors::{backward, backward_scale, dequantize, forward, forward_dynamic};
use crate::capi::dtype::{diffquant_dtype, half_from_c};
use crate::capi::status::{diffquant_status, report};
use crate::kernels::Single;
use std::ffi::c_void;

/// Reports `$call` with `$format` bound to the format that `$dtype` names.
macro_rules! report_with_format {
    ($dtype:expr, |$format:ident| $call:expr) => {
        report(|| match half_from_c($dtype)? {
            None => {
                let $format = Single;
                // SAFETY: the pointers keep the header's conventions.
                unsafe { $call }
            }
            Some($format) => {
                // SAFETY: as above.
                unsafe { $call }
            }
        })
    };
}

/// As diffquant_quantizer_forward, on weights and values of a type.
///
/// What holds of every function whose name ends in _typed: elements are computed in float, and each result is rounded to the
/// type once, to the nearest, halves to even. So results are those of the float function, rounded, to the bit, but for
/// the bits of a NaN, which stays a quiet NaN. What is too large for F16 becomes infinite; subnormals are kept. Scales,
/// zero points, offsets and their gradients are float. Buffers are aligned to their elements, 16-bit ones to 2.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w and values
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
) -> diffquant_status {
    report_with_format!(dtype, |format| forward(quantizer, format, w.cast(), n, codes, values.cast()))
}

/// As diffquant_quantizer_forward_dynamic, on weights and values of a type (see diffquant_quantizer_forward_typed).
///
/// The scales are float. Allocates.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w and values
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; per token a multiple of the last
///          dimension; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @param scales receives scale_count scales, in the order of diffquant_granularity; for pi the alphas
/// @param scale_count per token n divided by the last dimension, else as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH;
///         NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when a step would overflow;
///         OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_dynamic_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
    scales: *mut f32,
    scale_count: usize,
) -> diffquant_status {
    report_with_format!(dtype, |format| {
        forward_dynamic(quantizer, format, w.cast(), n, codes, values.cast(), (scales, scale_count))
    })
}

/// As diffquant_quantizer_backward, on weights, values and gradients of a type (see diffquant_quantizer_forward_typed).
///
/// Values that are given are those that forward gave, rounded to the type; values that are computed again are not rounded. Give
/// them for the gradient at the values that the network ran on. Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w, values, grad_out and grad_w
/// @param w n weights, as given to forward
/// @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    values: *const c_void,
    grad_out: *const c_void,
    n: usize,
    grad_w: *mut c_void,
) -> diffquant_status {
    report_with_format!(dtype, |format| {
        backward(quantizer, format, w.cast(), values.cast(), grad_out.cast(), n, grad_w.cast())
    })
}

/// As diffquant_quantizer_backward_scale, on weights and gradients of a type (see diffquant_quantizer_forward_typed).
///
/// The terms of grad_scale are float and not rounded to the type, and grad_scale is float. Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w, grad_out and grad_w
/// @param w n weights, as given to forward
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched, grad_scale
///          neither
/// @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
/// @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_scale_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    grad_out: *const c_void,
    n: usize,
    grad_w: *mut c_void,
    grad_scale: *mut f32,
) -> diffquant_status {
    report_with_format!(dtype, |format| {
        backward_scale(quantizer, format, w.cast(), grad_out.cast(), n, grad_w.cast(), (grad_scale, None))
    })
}

/// As diffquant_quantizer_backward_scale_offset, on weights and gradients of a type (see
/// diffquant_quantizer_forward_typed).
///
/// grad_scale and grad_offset are float. Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w, grad_out and grad_w
/// @param w n weights, as given to forward
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
/// @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
/// @param grad_offset receives as many floats as grad_scale
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; NOT_APPLICABLE for another estimator; LENGTH_MISMATCH; NO_SHAPE; OVERLAP;
///         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_scale_offset_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    grad_out: *const c_void,
    n: usize,
    grad_w: *mut c_void,
    grad_scale: *mut f32,
    grad_offset: *mut f32,
) -> diffquant_status {
    report_with_format!(dtype, |format| {
        backward_scale(quantizer, format, w.cast(), grad_out.cast(), n, grad_w.cast(), (grad_scale, Some(grad_offset)))
    })
}

/// As diffquant_quantizer_dequantize, into values of a type (see diffquant_quantizer_forward_typed).
///
/// Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of values
/// @param codes n codes
/// @param n number of codes, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param values receives n values
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_dequantize_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    codes: *const i8,
    n: usize,
    values: *mut c_void,
) -> diffquant_status {
    report_with_format!(dtype, |format| dequantize(quantizer, format, codes, n, values.cast()))
}

/// As diffquant_quantizer_init_scale_with, from weights of a type (see diffquant_quantizer_forward_typed).
///
/// Allocates, for 16-bit weights also a copy of them as float.
///
/// @param quantizer the quantizer to change
/// @param dtype the DIFFQUANT_DTYPE of w
/// @param method a DIFFQUANT_SCALE_INIT constant
/// @param parameter the method's parameter; ignored by those without one
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype or method; INVALID_ARGUMENT for the parameter, or when the step would
///         overflow; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_scale_with_typed(
    quantizer: *mut diffquant_quantizer,
    dtype: diffquant_dtype,
    method: diffquant_scale_init,
    parameter: f32,
    w: *const c_void,
    n: usize,
) -> diffquant_status {
    report_with_format!(dtype, |format| {
        init_scale(quantizer, format, scale_init_from_c(method, parameter), w.cast(), n)
    })
}
