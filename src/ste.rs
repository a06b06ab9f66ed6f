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
//! | RangeClipped | `g` where `Qn <= r(v) <= Qp`, else 0 | the fake quantization of PyTorch, TensorFlow and ONNX |
//! | Lsq | `g` where `Qn < v < Qp`, else 0 | Esser et al. 2020, arXiv 1902.08153 |
//! | LsqPlus | as Lsq; the offset is learned too | Bhalgat et al. 2020, arXiv 2004.09576 |
//! | EwgsSigned | `g * (1 + delta * sign(g) * (v - r(v)))` where `Qn < v < Qp`, else 0 | Lee et al. 2021, arXiv 2104.00903 |
//!
//! There, `v = (w - offset) / step`, `r` rounds in the quantizer's mode, and Qn and Qp are the smallest and the largest code
//! less the zero point. The gradients by scale and offset are sums over a group of N weights:
//!
//! | variant | gradient of the scale | of the offset |
//! |---|---|---|
//! | Standard, Clipped, LearnedStepSize, Ewgs | `sum g * code / sqrt(N * 2^bits)`, the reference implementation's | - |
//! | the others | `sum g * (r(v) - v inside, Qn below, Qp above) / sqrt(N * largest code)` | `sum g` outside |
//!
//! where inside is the condition of the first table, and each is multiplied by `PI / k` for a pi quantizer (Esser et al. 2020,
//! eq. 3 and section 2.2).
//!
//! All arithmetic is f32, in the order written, without fused operations, except that `v - r(v)` is computed as
//! `(w - r(v) * step) * (1 / step)` with an exact difference, which is closer to the truth.

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
    /// Passes the gradient where the weight rounds to a code of the range, stops it elsewhere (and at NaN).
    RangeClipped,
    /// Learned step size quantization as published: passes the gradient strictly inside the range.
    Lsq,
    /// [`Lsq`](Self::Lsq) with a learned offset, for weights or activations that are not centred on zero.
    LsqPlus,
    /// Element-wise gradient scaling as published: pushes a weight on in the direction in which it moves.
    EwgsSigned {
        /// Strength, per step of distance; zero or more, finite. (The paper's, on values from 0 to 1, divided by the number of
        /// codes less one.)
        delta: f32,
    },
}

impl SteVariant {
    /// Whether the variant is meant to be trained together with its scale.
    pub fn requires_scale_grad(&self) -> bool {
        matches!(self, SteVariant::LearnedStepSize | SteVariant::Lsq | SteVariant::LsqPlus)
    }

    /// Whether the variant looks at the range of codes: then its scale gradient is the published one, and the offset has one.
    pub fn reads_range(&self) -> bool {
        use SteVariant::*;
        matches!(self, RangeClipped | Lsq | LsqPlus | EwgsSigned { .. })
    }

    /// Whether the gradient of a weight depends on which way it was rounded, other than through a value that is given.
    pub(crate) fn looks_at_rounding(&self, value_is_given: bool) -> bool {
        use SteVariant::*;
        matches!(self, RangeClipped | EwgsSigned { .. }) || matches!(self, Ewgs { .. }) && !value_is_given
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
            SteVariant::EwgsSigned { delta } if !(delta >= 0.0 && delta.is_finite()) => {
                Some(("delta", delta, "zero or more, and finite"))
            }
            _ => None,
        }
    }

    /// Refuses a parameter outside its range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming `clip_val`, `lambda` or `delta`.
    pub fn validate(&self) -> Result<(), Error> {
        match self.refused_parameter() {
            Some((argument, value, allowed)) => Err(Error::InvalidArgument { argument, value: value.into(), allowed }),
            None => Ok(()),
        }
    }
}
