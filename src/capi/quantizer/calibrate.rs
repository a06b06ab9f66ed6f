//! Scales from weights, and scales from gradients.

use super::diffquant_quantizer;
use super::settings::change;
use crate::capi::dtype::Dtype;
use crate::capi::observer::diffquant_observer;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::error::Error;
use crate::quantizer::ScaleInit;
use std::ffi::c_void;

/// How scales are chosen from weights. Levels are codes less the zero point; Qp is the largest level. The zero point is free
/// in a quantizer that is not symmetric.
pub type diffquant_scale_init = u32;

/// The largest magnitude of a group lies half a step beyond its largest code. No parameter. What
/// diffquant_quantizer_init_scale does; the reference's rule.
pub const DIFFQUANT_SCALE_INIT_MAX_ABS: diffquant_scale_init = 0;
/// The smallest step at which no weight is clamped. No parameter. Where the zero point is free, the codes span the smallest
/// to the largest weight, 0 included, and 0 is exactly representable; otherwise it stays, and weights on a side without
/// codes are clamped.
pub const DIFFQUANT_SCALE_INIT_MIN_MAX: diffquant_scale_init = 1;
/// step = 2 * mean|w| / sqrt(Qp), zero points those of the range. No parameter. A start for training with LSQ, not a
/// scale to quantize with. (Esser et al. 2020, arXiv 1902.08153, section 2.1)
pub const DIFFQUANT_SCALE_INIT_LSQ: diffquant_scale_init = 2;
/// As MAX_ABS, of the smallest magnitude that parameter percent of the weights do not exceed; where the zero point is free, as
/// MIN_MAX of the central parameter percent of the weights. Parameter: above 0, at most 100. It means the decimal that was
/// written: 99.9f of 1000 weights are 999 of them, though the float is a little more than 99.9. A good one depends on the
/// number of bits.
pub const DIFFQUANT_SCALE_INIT_PERCENTILE: diffquant_scale_init = 3;
/// The step, and the zero point where it is free, with the smallest squared error sum (w - value)^2, found by search: within 0.1 %
/// of it, but for rare groups (docs/methods.md counts them). No parameter. The scale to quantize with, and a good start for
/// training.
pub const DIFFQUANT_SCALE_INIT_MSE: diffquant_scale_init = 4;

/// Calibrates every scale from its group's weights, so that the largest magnitude lies half a step beyond the largest code.
///
/// uniform: scale = max|w| / (Qp + 0.5), at least the smallest normal float.
/// pi: alpha = max|w| / (PI / k * (Qp + 0.5)), at least 1e-6.
/// Qp is 2^(bits-1) - 1, or 2^bits - 1 where the range is UNSIGNED. A group of zeros gets scale 1. Zero points become the
/// range's, also where they are free; offsets become 0. With n = 0 nothing changes. Allocates.
///
/// @param quantizer the quantizer to change
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count
/// @return DIFFQUANT_STATUS_OK; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER;
///         MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when the step would overflow; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_scale(
    quantizer: *mut diffquant_quantizer,
    w: *const f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { init_scale(quantizer, Dtype::F32, Ok(ScaleInit::MaxAbs), w.cast(), n) })
}

/// Calibrates every scale, and every zero point of a quantizer that is not symmetric, from its group's weights.
///
/// A group of zeros gets scale 1, and a scale is never smaller than diffquant_quantizer_init_scale says. Offsets become 0.
/// With n = 0 nothing changes. Allocates.
///
/// @param quantizer the quantizer to change
/// @param method a DIFFQUANT_SCALE_INIT constant
/// @param parameter the method's parameter; ignored by those without one
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter, or when the step would overflow; NON_FINITE
///         naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW;
///         OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_scale_with(
    quantizer: *mut diffquant_quantizer,
    method: diffquant_scale_init,
    parameter: f32,
    w: *const f32,
    n: usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { init_scale(quantizer, Dtype::F32, method_from_c(method, parameter), w.cast(), n) })
}

/// Calibrates every scale, and every zero point of a quantizer that is not symmetric, from what an observer has seen of its
/// group: the way to scales of activations, which never are in memory all at once.
///
/// MAX_ABS and MIN_MAX are exact, from the range of any observer. PERCENTILE, MSE and LSQ need a histogram, in which a bin is
/// 1/16 of a power of two wide: elements are taken to be spread evenly in a bin. The observer's group g gives scale g, so
/// there must be as many groups as scales. A quantizer with incoherence quantizes rotated rows: its observer has to have seen
/// rotated batches, see diffquant_rotation. Otherwise as diffquant_quantizer_init_scale_with. Allocates.
///
/// @param quantizer the quantizer to change
/// @param observer what has seen the data; it stays as it is
/// @param method a DIFFQUANT_SCALE_INIT constant
/// @param parameter the method's parameter; ignored by those without one
/// @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter, or when the step would overflow;
///         LENGTH_MISMATCH unless there are as many groups as scales; NO_DATA naming the first group without a finite
///         element; NOT_APPLICABLE for a method that needs a histogram; NULL_POINTER; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_init_scale_from_observer(
    quantizer: *mut diffquant_quantizer,
    observer: *const diffquant_observer,
    method: diffquant_scale_init,
    parameter: f32,
) -> diffquant_status {
    // SAFETY: both handles keep the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            let observer = pointer::handle("observer", observer)?;
            grid.init_scale_from(&observer.0, method_from_c(method, parameter)?)
        })
    }
}

/// The method that two numbers name.
pub(super) fn method_from_c(method: diffquant_scale_init, parameter: f32) -> Result<ScaleInit, Error> {
    match method {
        DIFFQUANT_SCALE_INIT_MAX_ABS => Ok(ScaleInit::MaxAbs),
        DIFFQUANT_SCALE_INIT_MIN_MAX => Ok(ScaleInit::MinMax),
        DIFFQUANT_SCALE_INIT_LSQ => Ok(ScaleInit::Lsq),
        DIFFQUANT_SCALE_INIT_PERCENTILE => Ok(ScaleInit::Percentile(parameter)),
        DIFFQUANT_SCALE_INIT_MSE => Ok(ScaleInit::Mse),
        value => Err(Error::UnknownConstant { argument: "method", value }),
    }
}

/// # Safety
/// The pointers keep the header's conventions.
pub(super) unsafe fn init_scale(
    quantizer: *mut diffquant_quantizer,
    dtype: Dtype,
    method: Result<ScaleInit, Error>,
    w: *const c_void,
    n: usize,
) -> Result<(), Error> {
    // SAFETY: the caller's promise; `w` is checked before it is used.
    unsafe {
        let quantizer = pointer::handle_mut("quantizer", quantizer)?;
        dtype.span("w", w, n)?;
        quantizer.0.init_scale(dtype.input(w, n), method?)
    }
}

/// One step of gradient descent on every scale: scale - learning_rate * grad_scale, kept positive and finite.
///
/// A scale that would fall below min_scale becomes min_scale; one that would leave the range of scales at the other end
/// stays what it is, if that is not below min_scale. Both count as projected: learned scales that collapse to zero or
/// turn negative are the common way for learned-step training to fail, and a count that keeps growing shows it.
///
/// @param quantizer the quantizer to change
/// @param grad_scale count gradients of the loss by each scale, as diffquant_quantizer_backward_scale gives them
/// @param count the number of scales, as diffquant_quantizer_scale_count tells
/// @param learning_rate positive and finite
/// @param min_scale the smallest scale to be left, positive and finite, as is the step that it gives
/// @param projected receives how many scales were projected; may be NULL
/// @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for learning_rate, min_scale or a NaN gradient; LENGTH_MISMATCH for another
///         count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of grad_scale and projected
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_apply_scale_step(
    quantizer: *mut diffquant_quantizer,
    grad_scale: *const f32,
    count: usize,
    learning_rate: f32,
    min_scale: f32,
    projected: *mut usize,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions, and are checked before they are used.
    unsafe {
        change(quantizer, |grid| {
            let projected_span = Span::of_optional("projected", projected, 1)?;
            projected_span.apart_from(Span::of("grad_scale", grad_scale, count)?)?;
            let how_many = grid.apply_scale_step(pointer::input(grad_scale, count), learning_rate, min_scale)?;
            if projected.is_null() { Ok(()) } else { pointer::write("projected", projected, how_many) }
        })
    }
}
