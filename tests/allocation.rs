//! Forward, backward, backward_scale and dequantize allocate nothing, on success and on refusal.

#![allow(unsafe_code)]

use diffquant::capi::quantizer::*;
use diffquant::capi::status::*;
use diffquant::capi::ste::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The status of a call and how often it allocated.
fn counted(call: impl FnOnce() -> diffquant_status) -> (diffquant_status, usize) {
    let before = ALLOCATIONS.get();
    let status = call();
    (status, ALLOCATIONS.get() - before)
}

#[test]
fn work_on_tensors_allocates_nothing() {
    const N: usize = 3 * 4000;
    let w = vec![0.3f32; N];
    let (mut codes, mut values, mut grad_w) = (vec![0i8; N], vec![0f32; N], vec![0f32; N]);
    let mut grad_scale = [0f32; 3];
    let mut q = ptr::null_mut();
    // To read a variable that is there takes memory: it is read when a quantizer is made. This one changes nothing.
    if std::env::var_os("DIFFQUANT_ISA").is_none() {
        // SAFETY: no other thread of this program, which has one test, uses the environment.
        unsafe { std::env::set_var("DIFFQUANT_ISA", "the fastest") };
    }
    // SAFETY: every pointer is to a live vector of N elements, or of one float per channel.
    unsafe {
        let (status, allocations) = counted(|| diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_EWGS, 0.1, &mut q));
        assert!(status == DIFFQUANT_STATUS_OK && allocations > 0, "the counter counts");
        assert_eq!(diffquant_quantizer_init_per_channel(q, 3), DIFFQUANT_STATUS_OK);

        // The last length is no multiple of three channels.
        for (n, expected) in [
            (N, DIFFQUANT_STATUS_OK),
            (3, DIFFQUANT_STATUS_OK),
            (0, DIFFQUANT_STATUS_OK),
            (100, DIFFQUANT_STATUS_LENGTH_MISMATCH),
        ] {
            let (w, codes, values) = (w.as_ptr(), codes.as_mut_ptr(), values.as_mut_ptr());
            let (grad_w, grad_scale) = (grad_w.as_mut_ptr(), grad_scale.as_mut_ptr());
            assert_eq!(counted(|| diffquant_quantizer_forward(q, w, n, codes, values)), (expected, 0));
            assert_eq!(counted(|| diffquant_quantizer_backward(q, w, ptr::null(), w, n, grad_w)), (expected, 0));
            assert_eq!(counted(|| diffquant_quantizer_backward_scale(q, w, w, n, grad_w, grad_scale)), (expected, 0));
            assert_eq!(counted(|| diffquant_quantizer_dequantize(q, codes, n, values)), (expected, 0));
        }
        diffquant_quantizer_free(q);
    }
}
