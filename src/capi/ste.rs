//! The constants of an estimator and a rounding mode, and their way in and out.

use crate::error::Error;
use crate::quantizer::RoundingMode;
use crate::ste::SteVariant;

/// A straight-through estimator: how the gradient of a value becomes the gradient of the weight w behind it. g is the
/// gradient by the value; some estimators have one parameter, the ste_param of the functions that take one.
///
/// In the formulas v = (w - offset) / step, r(v) is v rounded in the quantizer's mode, and Qn and Qp are the smallest and the
/// largest code less the zero point. A NaN passes no range: its gradient is 0 under RANGE_CLIPPED and those that follow.
pub type diffquant_ste = u32;

/// g, unchanged. No parameter. (Bengio et al. 2013, arXiv 1308.3432)
pub const DIFFQUANT_STE_STANDARD: diffquant_ste = 0;
/// g where |w| <= clip_val, else 0. Parameter clip_val: positive and finite, in units of w.
/// (Courbariaux et al. 2016, arXiv 1602.02830, section 1.3)
pub const DIFFQUANT_STE_CLIPPED: diffquant_ste = 1;
/// g, unchanged, with a learned scale. No parameter. This is not LSQ: see diffquant_quantizer_backward_scale.
pub const DIFFQUANT_STE_LEARNED_STEP_SIZE: diffquant_ste = 2;
/// g * (1 + lambda * |w - value|). Parameter lambda: zero or more, finite, per unit of w.
/// (after Lee et al. 2021, arXiv 2104.00903)
pub const DIFFQUANT_STE_EWGS: diffquant_ste = 3;
/// g where Qn <= r(v) <= Qp, that is, where the weight rounds to a code of the range; else 0. No parameter. (The fake
/// quantization of PyTorch, TensorFlow and ONNX.)
pub const DIFFQUANT_STE_RANGE_CLIPPED: diffquant_ste = 4;
/// g where Qn < v < Qp, else 0: learned step size quantization as published. No parameter. (Esser et al. 2020,
/// arXiv 1902.08153)
pub const DIFFQUANT_STE_LSQ: diffquant_ste = 5;
/// As LSQ, with an offset that is learned too, see diffquant_quantizer_backward_scale_offset. No parameter. (Bhalgat et al.
/// 2020, arXiv 2004.09576)
pub const DIFFQUANT_STE_LSQ_PLUS: diffquant_ste = 6;
/// g * (1 + delta * sign(g) * (v - r(v))) where Qn < v < Qp, else 0: element-wise gradient scaling as published. Parameter
/// delta: zero or more, finite, per step; the paper's, on values from 0 to 1, divided by the number of codes less one.
/// (Lee et al. 2021, arXiv 2104.00903)
pub const DIFFQUANT_STE_EWGS_SIGNED: diffquant_ste = 7;

/// What happens to v = (w - offset) / step when it lies between two codes.
pub type diffquant_rounding = u32;

/// To the nearer code; halfway, to the one farther from zero: 0.5 gives 1, -2.5 gives -3. The default.
pub const DIFFQUANT_ROUNDING_HALF_AWAY: diffquant_rounding = 0;
/// To the nearer code; halfway, to the even one: 0.5 gives 0, -2.5 gives -2. As PyTorch and ONNX do.
pub const DIFFQUANT_ROUNDING_HALF_EVEN: diffquant_rounding = 1;
/// To either of the two codes around v, the upper one with a probability of v minus the lower one, so that the mean over draws
/// is v; a whole v stays, and codes are clamped afterwards. Probabilities are exact to 2^(bits-23), about what f32 leaves of the
/// fraction of a v near 2^bits.
///
/// The code less the zero point is v + u in f32, rounded half to even. u comes from Philox4x32-10 (Salmon et al. 2011) with the key
/// (low, high half of the seed) and the counters (high, low half of c, 0, 0). Element i of the tensor has a word of counter c =
/// i / 64 * 8 + i mod 16 / 2: word 1 or 0, as i is even or odd, and 3 or 2 where i mod 32 is 16 or more; its upper and lower 16 bits
/// are exchanged where i mod 64 is 32 or more. As a signed integer made f32, times 2^-32 - 2^(bits-55) in f32, it is u.
///
/// Elements i and i + 32 of 64 have words of the same bits: each goes up with its probability, and both together with the product
/// of the two to 2^-16. All other elements are independent, as far as Philox is.
/// See diffquant_quantizer_set_seed.
pub const DIFFQUANT_ROUNDING_STOCHASTIC: diffquant_rounding = 2;

/// The estimator that two numbers name, its parameter checked.
pub(super) fn ste_from_c(ste: diffquant_ste, parameter: f32) -> Result<SteVariant, Error> {
    let variant = match ste {
        DIFFQUANT_STE_STANDARD => SteVariant::Standard,
        DIFFQUANT_STE_CLIPPED => SteVariant::Clipped { clip_val: parameter },
        DIFFQUANT_STE_LEARNED_STEP_SIZE => SteVariant::LearnedStepSize,
        DIFFQUANT_STE_EWGS => SteVariant::Ewgs { lambda: parameter },
        DIFFQUANT_STE_RANGE_CLIPPED => SteVariant::RangeClipped,
        DIFFQUANT_STE_LSQ => SteVariant::Lsq,
        DIFFQUANT_STE_LSQ_PLUS => SteVariant::LsqPlus,
        DIFFQUANT_STE_EWGS_SIGNED => SteVariant::EwgsSigned { delta: parameter },
        value => return Err(Error::UnknownConstant { argument: "ste", value }),
    };
    variant.validate()?;
    Ok(variant)
}

/// The two numbers of an estimator; 0 for a parameter that it does not have.
pub(super) fn ste_to_c(variant: SteVariant) -> (diffquant_ste, f32) {
    match variant {
        SteVariant::Standard => (DIFFQUANT_STE_STANDARD, 0.0),
        SteVariant::Clipped { clip_val } => (DIFFQUANT_STE_CLIPPED, clip_val),
        SteVariant::LearnedStepSize => (DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0),
        SteVariant::Ewgs { lambda } => (DIFFQUANT_STE_EWGS, lambda),
        SteVariant::RangeClipped => (DIFFQUANT_STE_RANGE_CLIPPED, 0.0),
        SteVariant::Lsq => (DIFFQUANT_STE_LSQ, 0.0),
        SteVariant::LsqPlus => (DIFFQUANT_STE_LSQ_PLUS, 0.0),
        SteVariant::EwgsSigned { delta } => (DIFFQUANT_STE_EWGS_SIGNED, delta),
    }
}

/// The rounding mode that a number names.
pub(super) fn rounding_from_c(rounding: diffquant_rounding) -> Result<RoundingMode, Error> {
    match rounding {
        DIFFQUANT_ROUNDING_HALF_AWAY => Ok(RoundingMode::HalfAway),
        DIFFQUANT_ROUNDING_HALF_EVEN => Ok(RoundingMode::HalfEven),
        DIFFQUANT_ROUNDING_STOCHASTIC => Ok(RoundingMode::Stochastic),
        value => Err(Error::UnknownConstant { argument: "rounding", value }),
    }
}

/// The number of a rounding mode.
pub(super) fn rounding_to_c(rounding: RoundingMode) -> diffquant_rounding {
    match rounding {
        RoundingMode::HalfAway => DIFFQUANT_ROUNDING_HALF_AWAY,
        RoundingMode::HalfEven => DIFFQUANT_ROUNDING_HALF_EVEN,
        RoundingMode::Stochastic => DIFFQUANT_ROUNDING_STOCHASTIC,
    }
}
