//! The work on tensors: forward, backward, dequantize. Functions that are the same for every type of element are inlined, so that
//! those on float do not ask for the type.
//!
//! Calls on short tensors of float have a way of their own into the engine (`Grid::is_short`). Where
//! the two ways part, each makes its tensors itself: those of both would lie in memory, in pieces, and be copied before they got there.

use super::diffquant_quantizer;
use crate::capi::dtype::Dtype;
use crate::capi::pointer::{self, Span};
use crate::capi::status::{diffquant_status, report};
use crate::error::Error;
use crate::kernels::Gradients;
use std::ffi::c_void;

/// Quantizes n weights: code = clamp(round((w - offset) / step) + zero_point, qmin, qmax),
/// value = (code - zero_point) * step + offset.
///
/// In a new quantizer zero points and offsets are 0, and qmin and qmax are -2^(bits-1) and 2^(bits-1) - 1. The quotient is the
/// IEEE one. NaN gives the zero point, an infinity the code at its end of the range, unless diffquant_quantizer_set_non_finite
/// says otherwise; without an offset a value is never -0.0. Allocates nothing, unless weights are rotated
/// (diffquant_quantizer_set_incoherence).
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; NON_FINITE under the policy REJECT; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    n: usize,
    codes: *mut i8,
    values: *mut f32,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward(quantizer, Dtype::F32, w.cast(), n, codes, values.cast()) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn forward(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
) -> Result<(), Error> {
    if !pointer::are_plainly_right(n, [w], [w], [codes.cast(), values]) {
        check_forward(dtype, w, n, codes, values)?;
    }
    // SAFETY: the caller's promise; the spans were compared.
    unsafe {
        let grid = &pointer::handle("quantizer", quantizer)?.0;
        let (w, codes, values) =
            (|| dtype.input(w, n), || pointer::optional_output(codes, n), || dtype.optional_output(values, n));
        if dtype.is_f32() && grid.is_short(n) {
            grid.forward_short(w(), codes(), values())
        } else {
            grid.forward(w(), codes(), values())
        }
    }
}

/// Refuses the buffers of a forward call that overlap; their spans.
#[inline(always)]
pub(super) fn check_forward(
    dtype: Dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
) -> Result<[Span; 3], Error> {
    let w_span = dtype.span("w", w, n)?;
    let codes_span = Span::of_optional("codes", codes, n)?;
    let values_span = dtype.optional_span("values", values, n)?;
    codes_span.apart_from(w_span)?;
    codes_span.apart_from(values_span)?;
    values_span.same_or_apart_from(w_span)?;
    Ok([w_span, codes_span, values_span])
}

/// The gradient of the loss by each weight, by the formula of the quantizer's estimator (see diffquant_ste).
///
/// Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence).
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights, as given to forward
/// @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them, under
///        STOCHASTIC rounding with the draws of the same seed
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    values: *const f32,
    grad_out: *const f32,
    n: usize,
    grad_w: *mut f32,
) -> diffquant_status {
    let (w, values, grad_out, grad_w) = (w.cast(), values.cast(), grad_out.cast(), grad_w.cast());
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { backward(quantizer, Dtype::F32, w, values, grad_out, n, grad_w) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn backward(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    w: *const c_void,
    values: *const c_void,
    grad_out: *const c_void,
    n: usize,
    grad_w: *mut c_void,
) -> Result<(), Error> {
    if !pointer::are_plainly_right(n, [w, grad_out, grad_w], [w, values, grad_out], [grad_w]) {
        let grad_w_span = dtype.span("grad_w", grad_w, n)?;
        grad_w_span.apart_from(dtype.span("w", w, n)?)?;
        grad_w_span.apart_from(dtype.optional_span("values", values, n)?)?;
        grad_w_span.same_or_apart_from(dtype.span("grad_out", grad_out, n)?)?;
    }
    // SAFETY: the caller's promise; the spans were compared.
    unsafe {
        let grid = &pointer::handle("quantizer", quantizer)?.0;
        let (w, values) = (|| dtype.input(w, n), || dtype.optional_input(values, n));
        let (grad_out, grad_w) = (|| dtype.input(grad_out, n), || dtype.output(grad_w, n));
        if dtype.is_f32() && grid.is_short(n) {
            grid.backward_short(w(), values(), grad_out(), grad_w())
        } else {
            grid.backward(w(), values(), grad_out(), grad_w())
        }
    }
}

/// Quantizes n weights with scales of this call's own: those that diffquant_quantizer_init_scale would set, from the largest
/// magnitude of each group.
///
/// For activations, whose range changes from call to call. The quantizer's own scales, zero points and offsets are neither used
/// nor changed: zero points are the range's, also where they are free, and offsets 0. PER_TOKEN, the number of tokens may
/// change too: n is any multiple of the last dimension, and there is a scale for each token. Allocates.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights
/// @param n number of weights, that of the shape or a multiple of the channel count; per token a multiple of the last
///          dimension; with 0 nothing is touched
/// @param codes receives n codes; may be NULL
/// @param values receives n values; may be NULL, may be w itself
/// @param scales receives scale_count scales, in the order of diffquant_granularity; for pi the alphas
/// @param scale_count per token n divided by the last dimension, else as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER;
///         MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when a step would overflow; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_forward_dynamic(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    n: usize,
    codes: *mut i8,
    values: *mut f32,
    scales: *mut f32,
    scale_count: usize,
) -> diffquant_status {
    let (w, values, scales) = (w.cast(), values.cast(), (scales, scale_count));
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { forward_dynamic(quantizer, Dtype::F32, w, n, codes, values, scales) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn forward_dynamic(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    w: *const c_void,
    n: usize,
    codes: *mut i8,
    values: *mut c_void,
    (scales, scale_count): (*mut f32, usize),
) -> Result<(), Error> {
    let scales_span = Span::of("scales", scales, if n == 0 { 0 } else { scale_count })?;
    for other in check_forward(dtype, w, n, codes, values)? {
        scales_span.apart_from(other)?;
    }
    // SAFETY: the caller's promise; the spans were compared.
    unsafe {
        let quantizer = pointer::handle("quantizer", quantizer)?;
        if n == 0 {
            return Ok(());
        }
        let (codes, values) = (pointer::optional_output(codes, n), dtype.optional_output(values, n));
        quantizer.0.forward_dynamic(dtype.input(w, n), codes, values, pointer::output(scales, scale_count))
    }
}

/// The gradient of the loss by each scale and, when asked for, by each weight, in one pass over memory.
///
/// grad_w is what diffquant_quantizer_backward gives. grad_scale[c] is a sum over the N weights of group c, multiplied by d,
/// which is 1 for uniform and PI / k for pi, and divided by a normalizer.
///
/// Under STANDARD, CLIPPED, LEARNED_STEP_SIZE and EWGS it is the reference's rule, sum(grad_out * (code - zero_point)) divided by
/// sqrt(N * 2^bits). (It is not LSQ: there is no range mask and no -w/step term.)
///
/// Under RANGE_CLIPPED, LSQ, LSQ_PLUS and EWGS_SIGNED it is the published one (Esser et al. 2020, arXiv 1902.08153, eq. 3 and
/// section 2.2), sum(grad_out * slope) divided by sqrt(N * qmax), where slope is r(v) - v for a weight that passes its
/// gradient on, Qn for one below, Qp for one above and 0 for a NaN (see diffquant_ste). r(v) - v is computed as
/// (r(v) * step - (w - offset)) * (1 / step) with the difference rounded once, which is closer to the truth than v is.
///
/// The sum is within 1e-6 of the sum of magnitudes, and its bits do not depend on the machine. Allocates nothing, unless
/// weights are rotated (diffquant_quantizer_set_incoherence).
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights, as given to forward
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched, grad_scale
///          neither
/// @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
/// @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_scale(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    grad_out: *const f32,
    n: usize,
    grad_w: *mut f32,
    grad_scale: *mut f32,
) -> diffquant_status {
    let (w, grad_out, grad_w) = (w.cast(), grad_out.cast(), grad_w.cast());
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { backward_scale(quantizer, Dtype::F32, w, grad_out, n, grad_w, (grad_scale, None)) })
}

/// As diffquant_quantizer_backward_scale, and the gradient of the loss by each offset.
///
/// grad_offset[c] is the sum of grad_out over the weights of group c that do not pass their gradient on, without a
/// normalizer (Bhalgat et al. 2020, arXiv 2004.09576), those of NaNs included. The gradient by a zero point, taken as a
/// real number, is grad_offset times minus the step. For estimators that look at the range of codes: RANGE_CLIPPED, LSQ,
/// LSQ_PLUS and EWGS_SIGNED.
///
/// @param quantizer the quantizer; safe to share between threads
/// @param w n weights, as given to forward
/// @param grad_out n gradients of the loss by each value
/// @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
/// @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
/// @param grad_offset receives as many floats as grad_scale
/// @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for another estimator; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
///         SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_backward_scale_offset(
    quantizer: *const diffquant_quantizer,
    w: *const f32,
    grad_out: *const f32,
    n: usize,
    grad_w: *mut f32,
    grad_scale: *mut f32,
    grad_offset: *mut f32,
) -> diffquant_status {
    let (w, grad_out, grad_w) = (w.cast(), grad_out.cast(), grad_w.cast());
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { backward_scale(quantizer, Dtype::F32, w, grad_out, n, grad_w, (grad_scale, Some(grad_offset))) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn backward_scale(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    w: *const c_void,
    grad_out: *const c_void,
    n: usize,
    grad_w: *mut c_void,
    (grad_scale, grad_offset): (*mut f32, Option<*mut f32>),
) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    let grid = unsafe { &pointer::handle("quantizer", quantizer)?.0 };
    if n == 0 {
        return Ok(());
    }
    let count = grid.groups();
    let outputs = [grad_w.cast_const(), grad_scale.cast()];
    let is_plain = pointer::are_plainly_right(n, [w, grad_out, outputs[1]], [w, grad_out], outputs);
    if !is_plain || count > n || grad_offset.is_some() {
        let w_span = dtype.span("w", w, n)?;
        let grad_out_span = dtype.span("grad_out", grad_out, n)?;
        let grad_w_span = dtype.optional_span("grad_w", grad_w, n)?;
        let grad_scale_span = Span::of("grad_scale", grad_scale, count)?;
        grad_w_span.apart_from(w_span)?;
        grad_w_span.same_or_apart_from(grad_out_span)?;
        grad_scale_span.apart_from(w_span)?;
        grad_scale_span.apart_from(grad_out_span)?;
        grad_scale_span.apart_from(grad_w_span)?;
        if let Some(grad_offset) = grad_offset {
            let grad_offset_span = Span::of("grad_offset", grad_offset, count)?;
            for other in [w_span, grad_out_span, grad_w_span, grad_scale_span] {
                grad_offset_span.apart_from(other)?;
            }
        }
    }
    // SAFETY: the caller's promise; the spans were compared.
    unsafe {
        let (w, grad_out) = (|| dtype.input(w, n), || dtype.input(grad_out, n));
        let gradients = || Gradients {
            weights: dtype.optional_output(grad_w, n),
            scales: pointer::output(grad_scale, count),
            offsets: grad_offset.map(|grad_offset| pointer::output(grad_offset, count)),
        };
        if dtype.is_f32() && grid.is_short(n) {
            grid.backward_scale_short(w(), grad_out(), gradients())
        } else {
            grid.backward_scale(w(), grad_out(), gradients())
        }
    }
}

/// Turns n codes back into values: value = (code - zero_point) * step + offset. Codes outside the quantizer's range are
/// taken as they are.
///
/// Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence).
///
/// @param quantizer the quantizer; safe to share between threads
/// @param codes n codes
/// @param n number of codes, that of the shape or a multiple of the channel count; with 0 nothing is touched
/// @param values receives n values
/// @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_dequantize(
    quantizer: *const diffquant_quantizer,
    codes: *const i8,
    n: usize,
    values: *mut f32,
) -> diffquant_status {
    // SAFETY: the pointers keep the header's conventions.
    report(|| unsafe { dequantize(quantizer, Dtype::F32, codes, n, values.cast()) })
}

/// # Safety
/// The pointers keep the header's conventions.
#[inline(always)]
pub(super) unsafe fn dequantize(
    quantizer: *const diffquant_quantizer,
    dtype: Dtype,
    codes: *const i8,
    n: usize,
    values: *mut c_void,
) -> Result<(), Error> {
    if !pointer::are_plainly_right(n, [codes.cast(), values.cast_const()], [codes.cast()], [values.cast_const()]) {
        dtype.span("values", values, n)?.apart_from(Span::of("codes", codes, n)?)?;
    }
    // SAFETY: the caller's promise; the spans were compared.
    unsafe {
        let grid = &pointer::handle("quantizer", quantizer)?.0;
        let (codes, values) = (|| pointer::input(codes, n), || dtype.output(values, n));
        if dtype.is_f32() && grid.is_short(n) {
            grid.dequantize_short(codes(), values())
        } else {
            grid.dequantize(codes(), values())
        }
    }
}
