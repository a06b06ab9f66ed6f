//! The estimators' formulas for one register of elements; their sources are in [`crate::ste`].

use super::vector::Floats;

/// Weights on the way back.
pub(crate) struct Elements<F: Floats> {
    pub(super) w: F,
    pub(super) grad_out: F,
    pub(super) value: F,
    /// The code, counted from the zero point.
    pub(super) level: F,
    /// `v - r(v)`, in steps; means nothing outside the range.
    pub(super) residual: F,
    /// Whether `Qn <= r(v) <= Qp`.
    pub(super) rounds_into_range: F::Mask,
    /// Whether `Qn < v < Qp`.
    pub(super) is_inside: F::Mask,
}

impl<F: Floats> Elements<F> {
    /// For estimators that look at no more.
    #[inline(always)]
    pub(super) fn of_value(w: F, value: F, grad_out: F) -> Self {
        let all = w.equals(w);
        Elements { w, grad_out, value, level: w, residual: w, rounds_into_range: all, is_inside: all }
    }
}

/// The gradients of weights: what the kernels are generic over.
pub(crate) trait Estimator: Copy + Sync {
    /// Whether the gradient of the weight looks at its value; when not, the kernels do not quantize to obtain it.
    const READS_VALUE: bool;

    /// Whether anything looks at the residual or at where the weight lies in the range.
    const READS_RANGE: bool;

    /// The gradient of the weight.
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F;

    /// The derivative of the value by the step; times `grad_out` it is the weight's term of the scale's gradient.
    #[inline(always)]
    fn slope_of_scale<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.level
    }

    /// The weight's term of the offset's gradient.
    #[inline(always)]
    fn offset_gradient<F: Floats>(self, _elements: &Elements<F>) -> F {
        F::splat(0.0)
    }
}

/// `Standard` and `LearnedStepSize`.
#[derive(Clone, Copy)]
pub(crate) struct PassThrough;

impl Estimator for PassThrough {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = false;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.grad_out
    }
}

/// `Clipped`.
#[derive(Clone, Copy)]
pub(crate) struct Clipped {
    pub(crate) clip_val: f32,
}

impl Estimator for Clipped {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = false;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        // At most clip_val is below the next float.
        let beyond = F::splat(self.clip_val.next_up());
        elements.grad_out.only(elements.w.abs().is_below(beyond))
    }
}

/// `Ewgs`.
#[derive(Clone, Copy)]
pub(crate) struct Ewgs {
    pub(crate) lambda: f32,
}

impl Estimator for Ewgs {
    const READS_VALUE: bool = true;
    const READS_RANGE: bool = false;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        let distance = elements.w.minus(elements.value).abs();
        elements.grad_out.times(F::splat(1.0).plus(F::splat(self.lambda).times(distance)))
    }
}

/// `RangeClipped`.
#[derive(Clone, Copy)]
pub(crate) struct RangeClipped;

impl Estimator for RangeClipped {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.grad_out.only(elements.rounds_into_range)
    }

    #[inline(always)]
    fn slope_of_scale<F: Floats>(self, elements: &Elements<F>) -> F {
        negative(elements.residual).or_else(elements.rounds_into_range, elements.level)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.grad_out.except(elements.rounds_into_range)
    }
}

/// `Lsq` and `LsqPlus`.
#[derive(Clone, Copy)]
pub(crate) struct Lsq;

impl Estimator for Lsq {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.grad_out.only(elements.is_inside)
    }

    #[inline(always)]
    fn slope_of_scale<F: Floats>(self, elements: &Elements<F>) -> F {
        negative(elements.residual).or_else(elements.is_inside, elements.level)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        elements.grad_out.except(elements.is_inside)
    }
}

/// `EwgsSigned`.
#[derive(Clone, Copy)]
pub(crate) struct EwgsSigned {
    pub(crate) delta: f32,
}

impl Estimator for EwgsSigned {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        let sign = elements.grad_out.and(F::splat(-0.0));
        let signed_residual = elements.residual.xor(sign);
        let scaled = F::splat(1.0).plus(F::splat(self.delta).times(signed_residual));
        elements.grad_out.times(scaled).only(elements.is_inside)
    }

    #[inline(always)]
    fn slope_of_scale<F: Floats>(self, elements: &Elements<F>) -> F {
        Lsq.slope_of_scale(elements)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        Lsq.offset_gradient(elements)
    }
}

/// Whichever of them, chosen when the program runs: for loops that are too rare to be compiled for each. It quantizes even
/// where nothing looks at it.
#[derive(Clone, Copy)]
pub(crate) enum AnyEstimator {
    PassThrough(PassThrough),
    Clipped(Clipped),
    Ewgs(Ewgs),
    RangeClipped(RangeClipped),
    Lsq(Lsq),
    EwgsSigned(EwgsSigned),
}

/// Evaluates `$call` with `$one` bound to the estimator inside.
macro_rules! with_one {
    ($any:expr, |$one:ident| $call:expr) => {
        match $any {
            AnyEstimator::PassThrough($one) => $call,
            AnyEstimator::Clipped($one) => $call,
            AnyEstimator::Ewgs($one) => $call,
            AnyEstimator::RangeClipped($one) => $call,
            AnyEstimator::Lsq($one) => $call,
            AnyEstimator::EwgsSigned($one) => $call,
        }
    };
}

#[cfg(test)]
pub(super) use with_one;

impl Estimator for AnyEstimator {
    const READS_VALUE: bool = true;
    const READS_RANGE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        with_one!(self, |one| one.weight_gradient(elements))
    }

    #[inline(always)]
    fn slope_of_scale<F: Floats>(self, elements: &Elements<F>) -> F {
        with_one!(self, |one| one.slope_of_scale(elements))
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>) -> F {
        with_one!(self, |one| one.offset_gradient(elements))
    }
}

#[inline(always)]
fn negative<F: Floats>(number: F) -> F {
    number.xor(F::splat(-0.0))
}
