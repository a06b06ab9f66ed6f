//! Results do not depend on who computes them: one thread, several, or a host's pool.

#![allow(unsafe_code)]

use diffquant::capi::quantizer::*;
use diffquant::capi::status::DIFFQUANT_STATUS_OK;
use diffquant::capi::ste::{DIFFQUANT_ROUNDING_HALF_AWAY, DIFFQUANT_ROUNDING_STOCHASTIC, DIFFQUANT_STE_EWGS};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

fn numbers(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// Everything that a quantizer computes, as bits.
#[derive(PartialEq)]
struct Results {
    codes: Vec<i8>,
    values: Vec<u32>,
    dequantized: Vec<u32>,
    grad_w: Vec<u32>,
    grad_w_too: Vec<u32>,
    grad_scale: Vec<u32>,
}

fn results(q: *mut diffquant_quantizer, channels: usize, w: &[f32], grad_out: &[f32]) -> Results {
    let n = w.len();
    let mut codes = vec![99i8; n];
    let [mut values, mut dequantized, mut grad_w] = [(); 3].map(|()| vec![f32::NAN; n]);
    // The gradient in place, as a trainer would have it.
    let mut grad_w_too = grad_out.to_vec();
    let mut grad_scale = vec![f32::NAN; channels];
    // SAFETY: every pointer is to a live vector of n elements, or of one float per channel.
    let statuses = unsafe {
        let (w, grad_out, in_place) = (w.as_ptr(), grad_out.as_ptr(), grad_w_too.as_mut_ptr());
        [
            diffquant_quantizer_forward(q, w, n, codes.as_mut_ptr(), values.as_mut_ptr()),
            diffquant_quantizer_dequantize(q, codes.as_ptr(), n, dequantized.as_mut_ptr()),
            diffquant_quantizer_backward(q, w, ptr::null(), grad_out, n, grad_w.as_mut_ptr()),
            diffquant_quantizer_backward_scale(q, w, in_place, n, in_place, grad_scale.as_mut_ptr()),
        ]
    };
    assert_eq!(statuses, [DIFFQUANT_STATUS_OK; 4]);
    let bits = |floats: Vec<f32>| floats.into_iter().map(f32::to_bits).collect();
    Results {
        codes,
        values: bits(values),
        dequantized: bits(dequantized),
        grad_w: bits(grad_w),
        grad_w_too: bits(grad_w_too),
        grad_scale: bits(grad_scale),
    }
}

/// Runs the indices on threads of its own, the last ones first, and counts how often it was called.
unsafe extern "C" fn pool(
    calls: *mut c_void,
    count: usize,
    run: unsafe extern "C" fn(*mut c_void, usize),
    task: *mut c_void,
) {
    // SAFETY: the context is the test's counter.
    unsafe { &*calls.cast::<AtomicUsize>() }.fetch_add(1, Ordering::Relaxed);
    let task = task.expose_provenance();
    std::thread::scope(|scope| {
        for index in (0..count).rev() {
            // SAFETY: the task that this pool was given, before it returns.
            scope.spawn(move || unsafe { run(ptr::with_exposed_provenance_mut(task), index) });
        }
    });
}

#[test]
fn any_number_of_threads_and_any_pool_give_the_same_bits() {
    const MI: usize = 1 << 20;
    let shapes = [(1, 1000), (1, 6 * MI + 77), (2, 2 * MI + 5), (3, MI / 2), (4096, 1100), (70, 16_384)];
    let roundings = [DIFFQUANT_ROUNDING_HALF_AWAY, DIFFQUANT_ROUNDING_STOCHASTIC];
    for ((channels, run), rounding) in shapes.into_iter().flat_map(|shape| roundings.map(|rounding| (shape, rounding)))
    {
        let (mut w, mut grad_out) = (numbers(1, channels * run), numbers(2, channels * run));
        // Two terms that cancel, so large that everything between them is lost: the order of the sums shows in the result.
        for (at, huge) in [(0, 1e30), (run / 2, -1e30)] {
            (w[at], grad_out[at]) = (w[0], huge);
        }
        let calls = AtomicUsize::new(0);
        let mut q = ptr::null_mut();
        // SAFETY: every pointer is to live memory of the length given.
        unsafe {
            assert_eq!(diffquant_quantizer_new_uniform(3, DIFFQUANT_STE_EWGS, 0.3, &mut q), DIFFQUANT_STATUS_OK);
            assert_eq!(diffquant_quantizer_set_rounding(q, rounding), DIFFQUANT_STATUS_OK);
            assert_eq!(diffquant_quantizer_init_per_channel(q, channels), DIFFQUANT_STATUS_OK);
            assert_eq!(diffquant_quantizer_init_scale(q, w.as_ptr(), w.len()), DIFFQUANT_STATUS_OK);
        }
        let alone = results(q, channels, &w, &grad_out);
        for threads in [2, 3, 5, 0] {
            // SAFETY: the handle is live.
            assert_eq!(unsafe { diffquant_quantizer_set_threads(q, threads) }, DIFFQUANT_STATUS_OK);
            assert!(results(q, channels, &w, &grad_out) == alone, "{threads} threads, {channels} x {run}");
        }
        let context = (&raw const calls).cast_mut().cast();
        // SAFETY: the handle is live, and the pool does what a pool must.
        assert_eq!(unsafe { diffquant_quantizer_set_parallel_for(q, Some(pool), context) }, DIFFQUANT_STATUS_OK);
        assert!(results(q, channels, &w, &grad_out) == alone, "a pool, {channels} x {run}");
        let called = calls.load(Ordering::Relaxed);
        assert_eq!(called > 0, w.len() >= MI, "a pool is for large calls: {called} calls, {channels} x {run}");

        // SAFETY: the handle is live, and freed once.
        unsafe {
            assert_eq!(diffquant_quantizer_set_parallel_for(q, None, ptr::null_mut()), DIFFQUANT_STATUS_OK);
            assert!(results(q, channels, &w, &grad_out) == alone);
            diffquant_quantizer_free(q);
        }
        assert_eq!(calls.load(Ordering::Relaxed), called, "a pool that was taken away is not called");
    }
}
