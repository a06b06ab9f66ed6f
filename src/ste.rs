//! Straight-through estimators: how the gradient of a value becomes the gradient of the weight that was rounded to it.
//!
//! Rounding has slope zero almost everywhere, so its true gradient trains nothing. An estimator replaces that slope. Each
//! formula stands here once, for one element; the kernels apply it to blocks.
//!
//! | variant | gradient of the weight | source |
//! |---|---|---|
//! | Standard | `g` | Bengio et al. 2013, arXiv 1308.3432 |
//! | Clipped | `g` where `abs(w) <= clip_val`, else 0 | Courbariaux et al. 2016, arXiv 1602.02830, section 1.3 |
//! | LearnedStepSize | `g` | the reference implementation; only its name is that of LSQ, see [`SteVariant::LearnedStepSize`] |
//! | Ewgs | `g * (1 + lambda * abs(w - value))` | the reference implementation, after Lee et al. 2021, arXiv 2104.00903 |
//!
//! All arithmetic is f32, in the order written, without fused operations.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Which estimator a quantizer uses.
///
/// The JSON form is serde's externally tagged one: `"Standard"`, `{"Clipped":{"clip_val":1.0}}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SteVariant {
    /// Passes the gradient through unchanged.
    Standard,
    /// Passes the gradient where the weight lies in `[-clip_val, clip_val]`, stops it elsewhere (and at NaN).
    Clipped {
        /// Largest magnitude that still learns; positive and finite.
        clip_val: f32,
    },
    /// Passes the gradient through unchanged and marks the scale as learned.
    ///
    /// The reference's rule. It is not LSQ (Esser et al. 2020): its scale gradient, `sum(g * code)`, has neither the range
    /// mask nor the `-w/step` term.
    LearnedStepSize,
    /// Scales the gradient up with the distance between the weight and its value.
    Ewgs {
        /// Strength, per unit of distance; zero or more, finite.
        lambda: f32,
    },
}

impl SteVariant {
    /// Whether the variant is meant to be trained together with its scale.
    pub fn requires_scale_grad(&self) -> bool {
        matches!(self, SteVariant::LearnedStepSize)
    }

    /// The name of the variant's parameter, its value, and whether it is allowed; `None` for variants without one.
    pub(crate) fn refused_parameter(&self) -> Option<(&'static str, f32, &'static str)> {
        match *self {
            SteVariant::Clipped { clip_val } if !(clip_val > 0.0 && clip_val.is_finite()) => {
                Some(("clip_val", clip_val, "positive and finite"))
            }
            SteVariant::Ewgs { lambda } if !(lambda >= 0.0 && lambda.is_finite()) => {
                Some(("lambda", lambda, "zero or more, and finite"))
            }
            _ => None,
        }
    }

    /// Refuses a parameter outside its range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming `clip_val` or `lambda`.
    pub fn validate(&self) -> Result<(), Error> {
        match self.refused_parameter() {
            Some((argument, value, allowed)) => Err(Error::InvalidArgument { argument, value: value.into(), allowed }),
            None => Ok(()),
        }
    }
}

/// The gradient of one weight: what the kernels are generic over.
pub(crate) trait Estimator: Copy {
    /// Whether `value` is looked at; when it is not, the kernels do not quantize to obtain it.
    const READS_VALUE: bool;

    /// Gradient of the weight `w` that was quantized to `value`, given the gradient `g` of that value.
    fn weight_gradient(self, w: f32, value: f32, g: f32) -> f32;
}

/// [`SteVariant::Standard`] and [`SteVariant::LearnedStepSize`].
#[derive(Clone, Copy)]
pub(crate) struct PassThrough;

impl Estimator for PassThrough {
    const READS_VALUE: bool = false;

    #[inline(always)]
    fn weight_gradient(self, _w: f32, _value: f32, g: f32) -> f32 {
        g
    }
}

/// [`SteVariant::Clipped`].
#[derive(Clone, Copy)]
pub(crate) struct Clipped {
    pub(crate) clip_val: f32,
}

impl Estimator for Clipped {
    const READS_VALUE: bool = false;

    #[inline(always)]
    fn weight_gradient(self, w: f32, _value: f32, g: f32) -> f32 {
        // w.abs() <= clip_val, decided on the bits, which order magnitudes and put NaN above them all. Of a comparison of
        // floats the compiler made a branch per element: 0.12 ns became 1.
        let beyond = (w.abs().to_bits() as i32) - (self.clip_val.to_bits() as i32 + 1);
        f32::from_bits(g.to_bits() & (beyond >> 31) as u32)
    }
}

/// [`SteVariant::Ewgs`].
#[derive(Clone, Copy)]
pub(crate) struct Ewgs {
    pub(crate) lambda: f32,
}

impl Estimator for Ewgs {
    const READS_VALUE: bool = true;

    #[inline(always)]
    fn weight_gradient(self, w: f32, value: f32, g: f32) -> f32 {
        g * (1.0 + self.lambda * (w - value).abs())
    }
}
