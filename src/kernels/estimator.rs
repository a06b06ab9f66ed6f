//! The estimators' formulas for one register of elements; their sources are in [`crate::ste`].

use super::quantize::Rounding;
use super::vector::Floats;

/// Weights on the way back.
#[derive(Clone, Copy)]
pub(crate) struct Elements<F: Floats> {
    pub(super) w: F,
    pub(super) value: F,
    /// The derivative of the value by the step: the level, or `r(v) - v` inside the range of an estimator that has one.
    pub(super) slope: F,
    /// Whether `v` is in the [range](Estimator::range) of the estimator.
    pub(super) is_inside: F::Mask,
}

impl<F: Floats> Elements<F> {
    /// For estimators that look at no more.
    #[inline(always)]
    pub(super) fn of_value(w: F, value: F) -> Self {
        Elements { w, value, slope: w, is_inside: w.equals(w) }
    }
}

/// The gradients of weights: what the kernels are generic over.
pub(crate) trait Estimator: Copy + Sync {
    /// Whether the gradient of the weight looks at its value; when not, the kernels do not quantize to obtain it.
    const READS_VALUE: bool;

    /// Whether anything looks at where the weight lies in the range.
    const READS_RANGE: bool;

    /// Whether the gradient of the weight looks at the slope.
    const READS_SLOPE: bool = false;

    /// The smallest and the largest quotient that count as inside the range of levels, `Qn` to `Qp`: `Qn < v < Qp`.
    #[inline(always)]
    fn range<F: Floats>(min: F, max: F, _rounding: Rounding) -> (F, F) {
        // Next to 0 is the smallest float; beside any other number it adds nothing.
        let smallest = F::splat(f32::from_bits(1));
        (next_toward_zero(min).plus(smallest), next_toward_zero(max).minus(smallest))
    }

    /// The gradient of the weight.
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F;

    /// The weight's term of the offset's gradient.
    #[inline(always)]
    fn offset_gradient<F: Floats>(self, _elements: &Elements<F>, _grad_out: F) -> F {
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
    fn weight_gradient<F: Floats>(self, _elements: &Elements<F>, grad_out: F) -> F {
        grad_out
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
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        // At most clip_val is below the next float.
        let beyond = F::splat(self.clip_val.next_up());
        grad_out.only(elements.w.abs().is_below(beyond))
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
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        let distance = elements.w.minus(elements.value).abs();
        grad_out.times(F::splat(1.0).plus(F::splat(self.lambda).times(distance)))
    }
}

/// `RangeClipped`.
#[derive(Clone, Copy)]
pub(crate) struct RangeClipped;

impl Estimator for RangeClipped {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = true;

    /// `Qn <= r(v) <= Qp`: half a step more on both sides, with the tie if it rounds inward.
    #[inline(always)]
    fn range<F: Floats>(min: F, max: F, rounding: Rounding) -> (F, F) {
        let half = F::splat(0.5);
        let last_inside = |tie: F, bound: F| {
            let rounds_inward = rounding.whole(tie).whole_to_float().equals(bound);
            tie.or_else(rounds_inward, next_toward_zero(tie))
        };
        (last_inside(min.minus(half), min), last_inside(max.plus(half), max))
    }

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        Lsq.weight_gradient(elements, grad_out)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        Lsq.offset_gradient(elements, grad_out)
    }
}

/// `Lsq` and `LsqPlus`.
#[derive(Clone, Copy)]
pub(crate) struct Lsq;

impl Estimator for Lsq {
    const READS_VALUE: bool = false;
    const READS_RANGE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        grad_out.only(elements.is_inside)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        grad_out.except(elements.is_inside)
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
    const READS_SLOPE: bool = true;

    #[inline(always)]
    fn weight_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        let sign = grad_out.and(F::splat(-0.0));
        // Inside, the slope is r(v) - v.
        let signed = elements.slope.xor(sign);
        let scaled = F::splat(1.0).minus(F::splat(self.delta).times(signed));
        grad_out.times(scaled).only(elements.is_inside)
    }

    #[inline(always)]
    fn offset_gradient<F: Floats>(self, elements: &Elements<F>, grad_out: F) -> F {
        Lsq.offset_gradient(elements, grad_out)
    }
}

/// Whichever of them, chosen when the program runs, and its parameter: 0 where it has none, as loops read it before they know.
#[derive(Clone, Copy)]
pub(crate) struct AnyEstimator(pub(crate) EstimatorKind, pub(crate) f32);

/// Which one.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum EstimatorKind {
    PassThrough,
    Clipped,
    Ewgs,
    RangeClipped,
    Lsq,
    EwgsSigned,
}

/// Evaluates `$call` with `$one` bound to the estimator itself.
macro_rules! with_one {
    ($any:expr, |$one:ident| $call:expr) => {{
        use $crate::kernels::estimator::*;
        let AnyEstimator(kind, parameter) = $any;
        match kind {
            EstimatorKind::PassThrough => {
                let $one = PassThrough;
                $call
            }
            EstimatorKind::Clipped => {
                let $one = Clipped { clip_val: parameter };
                $call
            }
            EstimatorKind::Ewgs => {
                let $one = Ewgs { lambda: parameter };
                $call
            }
            EstimatorKind::RangeClipped => {
                let $one = RangeClipped;
                $call
            }
            EstimatorKind::Lsq => {
                let $one = Lsq;
                $call
            }
            EstimatorKind::EwgsSigned => {
                let $one = EwgsSigned { delta: parameter };
                $call
            }
        }
    }};
}
pub(super) use with_one;

impl AnyEstimator {
    /// Whether it looks at where the weight lies in the range.
    #[inline(always)]
    pub(super) fn reads_range(self) -> bool {
        fn reads<E: Estimator>(_: E) -> bool {
            E::READS_RANGE
        }
        with_one!(self, |one| reads(one))
    }
}

/// The float beside one of at most 24 bits, on the side of 0; 0 for 0.
#[inline(always)]
fn next_toward_zero<F: Floats>(number: F) -> F {
    number.times(F::splat(1.0f32.next_down()))
}
