//! The work on tensors of any element type.

use super::calibrate::{diffquant_scale_init, init_scale, method_from_c};
use super::diffquant_quantizer;
use super::statistics::{diffquant_statistics, forward_statistics};
use super::tensors::{backward, backward_scale, dequantize, forward, forward_dynamic};
use crate::capi::dtype::{Dtype, diffquant_dtype};
use crate::capi::status::{diffquant_status, report};
use std::ffi::c_void;

/// As diffquant_quantizer_forward, on weights and values of a type (see diffquant_dtype).
///
/// Buffers are aligned to their elements, those of 16 bits to 2. Allocates nothing, unless weights are rotated
/// (diffquant_quantizer_set_incoherence): by way of a float copy then.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w and values
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; NON_FINITE under the policy
///         REJECT; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward(quantizer, Dtype::from_c(dtype)?, w, n, codes, values) })
}

/// As diffquant_quantizer_forward_statistics, on weights and values of a type (see diffquant_dtype).
///
/// The statistics are those of the values before they are rounded to the type. Allocates as diffquant_quantizer_forward_typed.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w and values
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @param statistics receives one struct for each scale, in the order of diffquant_granularity
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH, also for another count; NO_SHAPE; NON_FINITE under the
///         policy REJECT; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_statistics_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
    statistics: *mut diffquant_statistics,
    count: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward_statistics(quantizer, Dtype::from_c(dtype)?, w, n, codes, values, (statistics, count)) })
}

/// As diffquant_quantizer_forward_dynamic, on weights and values of a type (see diffquant_dtype).
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
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward_dynamic(quantizer, Dtype::from_c(dtype)?, w, n, codes, values, (scales, scale_count)) })
}

/// As diffquant_quantizer_backward, on weights, values and gradients of a type (see diffquant_dtype).
///
/// Values that are given are those that forward gave, rounded to the type; values that are computed again are not rounded. Give
/// them for the gradient at the values that the network ran on. Allocates as diffquant_quantizer_forward_typed.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of w, values, grad_out and grad_w
/// @param w n weights, as given to forward
/// @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
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
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { backward(quantizer, Dtype::from_c(dtype)?, w, values, grad_out, n, grad_w) })
}

/// As diffquant_quantizer_backward_scale, on weights and gradients of a type (see diffquant_dtype).
///
/// grad_scale is float, and so are its terms, which are not rounded. Allocates as diffquant_quantizer_forward_typed.
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
///         SIZE_OVERFLOW; OUT_OF_MEMORY
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
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { backward_scale(quantizer, Dtype::from_c(dtype)?, w, grad_out, n, grad_w, (grad_scale, None)) })
}

/// As diffquant_quantizer_backward_scale_offset, on weights and gradients of a type (see diffquant_dtype).
///
/// grad_scale and grad_offset are float. Allocates as diffquant_quantizer_forward_typed.
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
///         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
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
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe {
        backward_scale(quantizer, Dtype::from_c(dtype)?, w, grad_out, n, grad_w, (grad_scale, Some(grad_offset)))
    })
}

/// As diffquant_quantizer_dequantize, into values of a type (see diffquant_dtype).
///
/// Allocates as diffquant_quantizer_forward_typed.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param dtype the DIFFQUANT_DTYPE of values
/// @param codes n codes
/// @param n number of codes, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param values receives n values
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_dequantize_typed(
    quantizer: *const diffquant_quantizer,
    dtype: diffquant_dtype,
    codes: *const i8,
    n: usize,
    values: *mut c_void,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { dequantize(quantizer, Dtype::from_c(dtype)?, codes, n, values) })
}

/// As diffquant_quantizer_init_scale_with, from weights of a type (see diffquant_dtype).
///
/// Allocates; PERCENTILE a float for each weight, MSE up to two.
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
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { init_scale(quantizer, Dtype::from_c(dtype)?, method_from_c(method, parameter), w, n) })
}
