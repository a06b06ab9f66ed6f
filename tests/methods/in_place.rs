//! Gradients in the place of `grad_out`, in the pass that sums: only the C ABI can ask for it.

#![allow(unsafe_code)]

use crate::cases::bits;
use crate::random::Random;
use diffquant::capi::dtype::*;
use diffquant::capi::granularity::*;
use diffquant::capi::quantizer::*;
use diffquant::capi::status::DIFFQUANT_STATUS_OK;
use diffquant::capi::ste::*;
use std::ffi::c_void;
use std::ptr;

/// A quantizer for blocks of 32 (runs) or 5 (rows) along an axis of `[3, 70, inner]`.
fn quantizer(ste: diffquant_ste, block_size: usize, inner: usize) -> *mut diffquant_quantizer {
    let mut quantizer = ptr::null_mut();
    let shape = [3, 70, inner];
    // SAFETY: every pointer is to a live variable, and the handle is live.
    let statuses = unsafe {
        [
            diffquant_quantizer_new_uniform(3, ste, 0.5, &mut quantizer),
            diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_BLOCK, block_size),
            diffquant_quantizer_set_shape(quantizer, shape.as_ptr(), shape.len(), 1),
        ]
    };
    assert_eq!(statuses, [DIFFQUANT_STATUS_OK; 3]);
    quantizer
}

/// Gradients as elements that `rounded` makes, of a type.
fn check<T: Copy + PartialEq>(dtype: diffquant_dtype, rounded: fn(f32) -> T) {
    for ste in [DIFFQUANT_STE_RANGE_CLIPPED, DIFFQUANT_STE_LSQ, DIFFQUANT_STE_LSQ_PLUS, DIFFQUANT_STE_EWGS_SIGNED] {
        for (block_size, inner) in [(32, 1), (5, 1), (5, 33), (3, 1001)] {
            let quantizer = quantizer(ste, block_size, inner);
            let random = &mut Random::new(u64::from(ste) + inner as u64);
            let n = 3 * 70 * inner;
            let w: Vec<T> = random.many(n, |random| random.between(-6.0, 6.0)).into_iter().map(rounded).collect();
            let grad_out: Vec<T> = random.many(n, |random| random.gaussian()).into_iter().map(rounded).collect();
            let mut count = 0;
            // SAFETY: the handle is live, and so is the number.
            assert_eq!(unsafe { diffquant_quantizer_scale_count(quantizer, &mut count) }, DIFFQUANT_STATUS_OK);
            let run = |in_place: bool| {
                let (mut grad_w, mut scales, mut offsets) = (grad_out.clone(), vec![0.0; count], vec![0.0; count]);
                let (w, to) = (w.as_ptr().cast(), grad_w.as_mut_ptr().cast::<c_void>());
                let from = if in_place { to.cast_const() } else { grad_out.as_ptr().cast() };
                let (scale, offset) = (scales.as_mut_ptr(), offsets.as_mut_ptr());
                // SAFETY: every pointer is to a live vector of n elements, or of one per scale.
                let status = unsafe {
                    diffquant_quantizer_backward_scale_offset_typed(quantizer, dtype, w, from, n, to, scale, offset)
                };
                assert_eq!(status, DIFFQUANT_STATUS_OK);
                (grad_w, [scales, offsets].map(|floats| bits(&floats)))
            };
            assert!(run(true) == run(false), "dtype {dtype}, estimator {ste}, blocks of {block_size}, inner {inner}");
            // SAFETY: the handle is live, and freed once.
            unsafe { diffquant_quantizer_free(quantizer) };
        }
    }
}

#[test]
fn gradients_in_place_are_those_beside() {
    check(DIFFQUANT_DTYPE_F32, f32::to_bits);
    check(DIFFQUANT_DTYPE_F16, |number| half::f16::from_f32(number).to_bits());
    check(DIFFQUANT_DTYPE_BF16, |number| half::bf16::from_f32(number).to_bits());
}
