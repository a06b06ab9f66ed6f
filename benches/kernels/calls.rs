//! Short calls through the C ABI, against a call of an empty function: what a call costs before it does any work.

#![allow(unsafe_code)]

use crate::figures::Kind;
use crate::memory::Tensors;
use crate::rounds::{Session, Side};
use diffquant::capi::quantizer::*;
use diffquant::capi::status::{DIFFQUANT_STATUS_OK, diffquant_status};
use diffquant::capi::ste::DIFFQUANT_STE_LEARNED_STEP_SIZE;
use std::hint::black_box;
use std::time::Duration;

/// The lengths that are called with.
pub const LENGTHS: [usize; 2] = [1, 64];

/// A function of the C ABI.
struct Call {
    name: &'static str,
    /// # Safety
    /// The quantizer is alive and per tensor.
    call: unsafe fn(*const diffquant_quantizer, &mut Tensors<'_>) -> diffquant_status,
}

/// What is called.
const CALLS: [Call; 4] = [
    Call { name: "diffquant_quantizer_forward", call: forward },
    Call { name: "diffquant_quantizer_backward", call: backward },
    Call { name: "diffquant_quantizer_backward_scale", call: backward_scale },
    Call { name: "diffquant_quantizer_dequantize", call: dequantize },
];

// Each calls through a pointer that the compiler cannot see through, as C calls a shared library.

unsafe fn forward(q: *const diffquant_quantizer, t: &mut Tensors<'_>) -> diffquant_status {
    let function = black_box(diffquant_quantizer_forward as unsafe extern "C" fn(_, _, _, _, _) -> _);
    // SAFETY: the quantizer is alive, and the tensors have equal lengths.
    unsafe { function(q, t.w.as_ptr(), t.w.len(), t.codes.as_mut_ptr(), t.values.as_mut_ptr()) }
}

unsafe fn backward(q: *const diffquant_quantizer, t: &mut Tensors<'_>) -> diffquant_status {
    let function = black_box(diffquant_quantizer_backward as unsafe extern "C" fn(_, _, _, _, _, _) -> _);
    let (w, values, grad_out) = (t.w.as_ptr(), t.values.as_ptr(), t.grad_out.as_ptr());
    // SAFETY: the quantizer is alive, and the tensors have equal lengths.
    unsafe { function(q, w, values, grad_out, t.w.len(), t.grad_w.as_mut_ptr()) }
}

unsafe fn backward_scale(q: *const diffquant_quantizer, t: &mut Tensors<'_>) -> diffquant_status {
    let function = black_box(diffquant_quantizer_backward_scale as unsafe extern "C" fn(_, _, _, _, _, _) -> _);
    let (grad_w, grad_scale) = (t.grad_w.as_mut_ptr(), t.grad_scale.as_mut_ptr());
    // SAFETY: the quantizer is alive and has one scale, and the tensors have equal lengths.
    unsafe { function(q, t.w.as_ptr(), t.grad_out.as_ptr(), t.w.len(), grad_w, grad_scale) }
}

unsafe fn dequantize(q: *const diffquant_quantizer, t: &mut Tensors<'_>) -> diffquant_status {
    let function = black_box(diffquant_quantizer_dequantize as unsafe extern "C" fn(_, _, _, _) -> _);
    // SAFETY: the quantizer is alive, and the tensors have equal lengths.
    unsafe { function(q, t.codes.as_ptr(), t.codes.len(), t.values.as_mut_ptr()) }
}

extern "C" fn empty(_: *const diffquant_quantizer) -> diffquant_status {
    DIFFQUANT_STATUS_OK
}

/// Measures every call.
pub fn measure(session: &mut Session<'_>, time: Duration) {
    let mut quantizer = std::ptr::null_mut();
    // SAFETY: `quantizer` is writable.
    let status = unsafe { diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0, &mut quantizer) };
    assert_eq!(status, DIFFQUANT_STATUS_OK);
    for Call { name, call } in &CALLS {
        for n in LENGTHS {
            // SAFETY: the quantizer was made above, per tensor, and is freed below.
            let call = |tensors: &mut Tensors<'_>| check(unsafe { call(quantizer, tensors) });
            let function = empty as extern "C" fn(*const diffquant_quantizer) -> _;
            let empty = |_: &mut Tensors<'_>| check(black_box(function)(quantizer));
            session.contest(Kind::Call, name, n, time, vec![Side::new("call", call), Side::new("empty", empty)]);
        }
    }
    // SAFETY: made above, and no longer used.
    unsafe { diffquant_quantizer_free(quantizer) };
}

fn check(status: diffquant_status) {
    assert_eq!(status, DIFFQUANT_STATUS_OK);
}
