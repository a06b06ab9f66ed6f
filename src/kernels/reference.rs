//! The oracle: every kernel again, one element at a time, in the words of the specification.
//!
//! Nothing here is shared with the kernels but the estimators' formulas. Rounding is the standard library's, sums are laid
//! out as [`super::reduce`] describes but written as plain loops. Speed does not matter; being obviously right does.

use super::{CodeBounds, Rounding};
use crate::ste::SteVariant;

/// The code of `w`.
pub(super) fn code(w: f32, step: f32, range: CodeBounds, rounding: Rounding) -> i8 {
    let quotient = w / step;
    if quotient.is_nan() {
        return 0;
    }
    let rounded = match rounding {
        Rounding::HalfAway => quotient.round(),
        Rounding::HalfEven => quotient.round_ties_even(),
    };
    rounded.clamp(range.min, range.max) as i8
}

/// The value of a code.
pub(super) fn value(code: i8, step: f32) -> f32 {
    f32::from(code) * step
}

/// The gradient of a weight.
pub(super) fn weight_gradient(ste: SteVariant, w: f32, value: f32, g: f32) -> f32 {
    match ste {
        SteVariant::Standard | SteVariant::LearnedStepSize => g,
        SteVariant::Clipped { clip_val } => {
            if w.abs() <= clip_val {
                g
            } else {
                0.0
            }
        }
        SteVariant::Ewgs { lambda } => g * (1.0 + lambda * (w - value).abs()),
    }
}

/// The sum of `terms` in the order that the library promises.
pub(super) fn sum(terms: &[f32]) -> f64 {
    let tiles_per_superblock = terms.len().div_ceil(256).div_ceil(512).max(1);
    let mut sum = 0.0;
    for superblock in terms.chunks(512 * tiles_per_superblock) {
        let mut superblock_sum = 0.0;
        for tile in superblock.chunks(512) {
            let mut stripes = [0.0f32; 32];
            for (at, term) in tile.iter().enumerate() {
                stripes[at % 32] += term;
            }
            superblock_sum += pairwise(&stripes.map(f64::from));
        }
        sum += superblock_sum;
    }
    sum
}

/// Element i and element i + half, over and over.
fn pairwise(numbers: &[f64]) -> f64 {
    if let [number] = numbers {
        return *number;
    }
    let (low, high) = numbers.split_at(numbers.len() / 2);
    pairwise(&low.iter().zip(high).map(|(a, b)| a + b).collect::<Vec<_>>())
}
