//! The exact quotient of a weight and its step, without a division.
//!
//! A code is decided by the IEEE quotient `w / step`, and a core has one divider: dividing takes 0.10 (Zen 4) to 0.17 ns
//! (Golden Cove) per element, more than everything else that forward does. Multiplying by `1 / step` is fast and wrong near
//! ties. What is fast and right is the reciprocal in two floats, `inverse + rest = 1 / step` to 48 bits, and
//!
//! ```text
//! quotient = fma(w, inverse, w * rest)
//! ```
//!
//! Before its one rounding it is within 2^-47 of the true quotient, so it differs from the IEEE quotient only where that
//! lies within 2^-23 of a unit in its last place from a rounding boundary. What the kernels decide on are whole and half
//! numbers up to 256, and there it never differs: `tests/exhaustive.rs` compares both for every mantissa of a step,
//! every such number and every weight near it.
//!
//! It holds for steps from 2^-100 to 2^100, where nothing underflows that matters; tensors with others run on the baseline,
//! which divides ([`Groups::are_ordinary`](super::Groups::are_ordinary)). Weights are clamped before they are multiplied, so
//! that infinities meet no zero.

use super::groups::Lanes;
use super::{BLOCK, Vectors};

/// `w / step` clamped to `[min, max]`, which are whole numbers; 0 where `w` is NaN. A quotient that was clamped may lie an ulp
/// beyond the bound, which rounds to the same code.
#[inline(always)]
pub(super) fn clamped<V: Vectors>(
    w: &[f32; BLOCK],
    lanes: &Lanes,
    min: &[f32; BLOCK],
    max: &[f32; BLOCK],
) -> [f32; BLOCK] {
    let mut quotients = [0.0; BLOCK];
    for lane in 0..BLOCK {
        quotients[lane] = if V::FUSES {
            let (low, high) = (min[lane] * lanes.step[lane], max[lane] * lanes.step[lane]);
            let w = larger(w[lane], low);
            let w = if w.is_nan() { 0.0 } else { smaller(w, high) };
            w.mul_add(lanes.inverse[lane], w * lanes.rest[lane])
        } else {
            let quotient = larger(w[lane] / lanes.step[lane], min[lane]);
            if quotient.is_nan() { 0.0 } else { smaller(quotient, max[lane]) }
        };
    }
    quotients
}

/// `w / step`, or a number between `max` and `max + 1` for one that is beyond `max`, and the same below `min`; NaN where `w` is.
#[inline(always)]
pub(super) fn near<V: Vectors>(
    w: &[f32; BLOCK],
    lanes: &Lanes,
    min: &[f32; BLOCK],
    max: &[f32; BLOCK],
) -> [f32; BLOCK] {
    let mut quotients = [0.0; BLOCK];
    for lane in 0..BLOCK {
        let (min, max) = (min[lane] - 1.0, max[lane] + 1.0);
        quotients[lane] = if V::FUSES {
            let w = smaller(larger(w[lane], min * lanes.step[lane]), max * lanes.step[lane]);
            w.mul_add(lanes.inverse[lane], w * lanes.rest[lane])
        } else {
            smaller(larger(w[lane] / lanes.step[lane], min), max)
        };
    }
    quotients
}

/// `(w - code * step) / step`: how far a weight lies from its code, in steps.
///
/// The difference is exact before its one rounding, which makes this more accurate than `w / step - code`; its bits do
/// not depend on whether the instruction set fuses.
#[inline(always)]
pub(super) fn residuals<V: Vectors>(w: &[f32; BLOCK], codes: &[f32; BLOCK], lanes: &Lanes) -> [f32; BLOCK] {
    let mut residuals = [0.0; BLOCK];
    for lane in 0..BLOCK {
        let difference = if V::FUSES {
            (-codes[lane]).mul_add(lanes.step[lane], w[lane])
        } else {
            // The product is exact in f64, and so is the difference wherever it is at most half a step.
            (f64::from(w[lane]) - f64::from(codes[lane]) * f64::from(lanes.step[lane])) as f32
        };
        residuals[lane] = difference * lanes.inverse[lane];
    }
    residuals
}

/// The larger one; NaN if `number` is.
#[inline(always)]
pub(super) fn larger(number: f32, bound: f32) -> f32 {
    // Comparisons, not `f32::max`: that one has to drop NaN and costs instructions more. In this order it is one.
    if bound > number { bound } else { number }
}

/// The smaller one; NaN if `number` is.
#[inline(always)]
pub(super) fn smaller(number: f32, bound: f32) -> f32 {
    if bound < number { bound } else { number }
}
