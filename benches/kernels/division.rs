//! The divider's limit: an IEEE quotient of every weight, and nothing else.
//!
//! Forward and the gradient of the scale need exact quotients, and a core has one divider. Where the caches deliver faster
//! than it divides, this and not the memory stream is what such a kernel can reach.

#![allow(unsafe_code)]

/// `quotients[i] = w[i] / step`, in the widest vectors of this machine.
pub fn divide(w: &[f32], step: f32, quotients: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: AVX-512 was detected.
        return unsafe { avx512(w, step, quotients) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 was detected.
        return unsafe { avx2(w, step, quotients) };
    }
    baseline(w, step, quotients);
}

#[inline(always)]
fn baseline(w: &[f32], step: f32, quotients: &mut [f32]) {
    for (quotient, w) in quotients.iter_mut().zip(w) {
        *quotient = w / step;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(w: &[f32], step: f32, quotients: &mut [f32]) {
    baseline(w, step, quotients);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(w: &[f32], step: f32, quotients: &mut [f32]) {
    baseline(w, step, quotients);
}
