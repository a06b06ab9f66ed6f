//! The work on tensors: forward, backward, dequantize.

use super::diffquant_quantizer;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};

/// Quantizes n weights: code = clamp(round(w / step), -2^(bits-1), 2^(bits-1) - 1), value = code * step.
///
/// The quotient is the IEEE one. NaN gives code 0, an infinity the code at its end of the range; a value is never -0.0.
/// Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights
/// @param n number of weights, a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    n: usize,
    codes: *mut i8,
    values: *mut f32,
) -> diffquant_status {
    report(|| {
        let w_span = Span::of("w", w, n)?;
        let codes_span = Span::of_optional("codes", codes, n)?;
        let values_span = Span::of_optional("values", values, n)?;
        codes_span.apart_from(w_span)?;
        codes_span.apart_from(values_span)?;
        values_span.same_or_apart_from(w_span)?;
        // SAFETY: the pointers keep the header's conventions; the spans were compared.
        unsafe {
            let quantizer = pointer::handle("quantizer", quantizer)?;
            let (codes, values) = (pointer::optional_output(codes, n), pointer::optional_output(values, n));
            quantizer.0.forward(pointer::input(w, n), codes, values)
        }
    })
}

/// The gradient of the loss by each weight, by the formula of the quantizer's estimator (see diffquant_ste).
///
/// Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights, as given to forward
/// @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    values: *const f32,
    grad_out: *const f32,
    n: usize,
    grad_w: *mut f32,
) -> diffquant_status {
    report(|| {
        let grad_w_span = Span::of("grad_w", grad_w, n)?;
        grad_w_span.apart_from(Span::of("w", w, n)?)?;
        grad_w_span.apart_from(Span::of_optional("values", values, n)?)?;
        grad_w_span.same_or_apart_from(Span::of("grad_out", grad_out, n)?)?;
        // SAFETY: the pointers keep the header's conventions; the spans were compared.
        unsafe {
            let quantizer = pointer::handle("quantizer", quantizer)?;
            let (w, grad_out) = (pointer::input(w, n), pointer::input(grad_out, n));
            quantizer.0.backward(w, pointer::optional_input(values, n), grad_out, pointer::output(grad_w, n))
        }
    })
}

/// The gradient of the loss by each scale and, when asked for, by each weight, in one pass over memory.
///
/// grad_w is what diffquant_quantizer_backward gives. grad_scale[c], under STANDARD, CLIPPED, LEARNED_STEP_SIZE and EWGS, is
/// the reference's rule: the sum of grad_out * code * d over the m weights of channel c, divided by sqrt(m * 2^bits), where
/// d is 1 for uniform and PI / k for pi. (It is not LSQ: there is no range mask and no -w/step term.) The sum is within 1e-6
/// of the sum of magnitudes, and its bits do not depend on the machine. Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights, as given to forward
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, a multiple of the channel count; with 0 nothing is touched, grad_scale neither
/// @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
/// @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_scale(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    grad_out: *const f32,
    n: usize,
    grad_w: *mut f32,
    grad_scale: *mut f32,
) -> diffquant_status {
    report(|| {
        // SAFETY: the handle keeps the header's conventions.
        let quantizer = unsafe { pointer::handle("quantizer", quantizer) }?;
        if n == 0 {
            return Ok(());
        }
        let count = quantizer.0.scales().len();
        let w_span = Span::of("w", w, n)?;
        let grad_out_span = Span::of("grad_out", grad_out, n)?;
        let grad_w_span = Span::of_optional("grad_w", grad_w, n)?;
        let grad_scale_span = Span::of("grad_scale", grad_scale, count)?;
        grad_w_span.apart_from(w_span)?;
        grad_w_span.same_or_apart_from(grad_out_span)?;
        grad_scale_span.apart_from(w_span)?;
        grad_scale_span.apart_from(grad_out_span)?;
        grad_scale_span.apart_from(grad_w_span)?;
        // SAFETY: the pointers keep the header's conventions; the spans were compared.
        unsafe {
            let (w, grad_out) = (pointer::input(w, n), pointer::input(grad_out, n));
            let (grad_w, grad_scale) = (pointer::optional_output(grad_w, n), pointer::output(grad_scale, count));
            quantizer.0.backward_scale(w, grad_out, grad_w, grad_scale)
        }
    })
}

/// Turns n codes back into values: value = code * step. Codes outside the quantizer's range are taken as they are.
///
/// Allocates nothing.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param codes n codes
/// @param n number of codes, a multiple of the channel count; with 0 nothing is touched
/// @param values receives n values
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_dequantize(
    quantizer: *const diffquant_quantizer,
    codes: *const i8,
    n: usize,
    values: *mut f32,
) -> diffquant_status {
    report(|| {
        Span::of("values", values, n)?.apart_from(Span::of("codes", codes, n)?)?;
        // SAFETY: the pointers keep the header's conventions; the spans were compared.
        unsafe {
            let quantizer = pointer::handle("quantizer", quantizer)?;
            quantizer.0.dequantize(pointer::input(codes, n), pointer::output(values, n))
        }
    })
}
