//! What a grid does to tensors: the calls into the kernels.

use super::grid::{Grid, check_length, check_optional};
use super::rounding::NonFinite;
use crate::calibrate;
use crate::error::Error;
use crate::kernels::{
    AnyEstimator, Clipped, Cut, Dequantize, EstimatorKind, Ewgs, EwgsSigned, Factor, Gradients, GradientsByChance,
    Groups, Input, Lsq, Output, Parameters, PassThrough, Quantize, QuantizeAny, RangeClipped, SHORT, STATISTICS,
    ScaleGradient, Statistics, Threads, Walk, WeightGradient, Work, run_short,
};
use crate::ste::SteVariant;

/// Evaluates `$call` with `$estimator` bound to the estimator that `$ste` names, once per type of estimator.
macro_rules! with_estimator {
    ($ste:expr, |$estimator:ident| $call:expr) => {
        match $ste {
            SteVariant::Standard | SteVariant::LearnedStepSize => {
                let $estimator = PassThrough;
                $call
            }
            SteVariant::Clipped { clip_val } => {
                let $estimator = Clipped { clip_val };
                $call
            }
            SteVariant::Ewgs { lambda } => {
                let $estimator = Ewgs { lambda };
                $call
            }
            ranged => with_ranged_estimator!(ranged, |$estimator| $call),
        }
    };
}

/// The same for estimators that look at the range.
macro_rules! with_ranged_estimator {
    ($ste:expr, |$estimator:ident| $call:expr) => {
        match $ste {
            SteVariant::RangeClipped => {
                let $estimator = RangeClipped;
                $call
            }
            SteVariant::EwgsSigned { delta } => {
                let $estimator = EwgsSigned { delta };
                $call
            }
            _ => {
                let $estimator = Lsq;
                $call
            }
        }
    };
}

/// The estimator that `ste` names, chosen when the program runs.
fn any_estimator(ste: SteVariant) -> AnyEstimator {
    match ste {
        SteVariant::Standard | SteVariant::LearnedStepSize => AnyEstimator(EstimatorKind::PassThrough, 0.0),
        SteVariant::Clipped { clip_val } => AnyEstimator(EstimatorKind::Clipped, clip_val),
        SteVariant::Ewgs { lambda } => AnyEstimator(EstimatorKind::Ewgs, lambda),
        SteVariant::RangeClipped => AnyEstimator(EstimatorKind::RangeClipped, 0.0),
        SteVariant::EwgsSigned { delta } => AnyEstimator(EstimatorKind::EwgsSigned, delta),
        SteVariant::Lsq | SteVariant::LsqPlus => AnyEstimator(EstimatorKind::Lsq, 0.0),
    }
}

/// Not inlined: once for all that draw.
#[inline(never)]
fn run_gradients_by_chance(walk: Walk<'_, GradientsByChance<'_>, 2>, threads: Threads) {
    walk.run_on(threads);
}

/// What the C ABI calls for short tensors of f32. Inlined into its exports, where the lengths and types of all tensors are known, a
/// call is prepared by little more than its checks.
impl Grid {
    /// Whether tensors of `n` floats are for the functions whose names end in `_short`: one short run, and no rare way.
    #[inline(always)]
    pub(crate) fn is_short(&self, n: usize) -> bool {
        self.layout.is_one_run()
            && (1..=SHORT).contains(&n)
            && !self.incoherent
            && !self.is_stochastic()
            && self.non_finite == NonFinite::Zero
    }

    #[inline(always)]
    pub(crate) fn forward_short(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        self.quantize::<true>(Cut::runs(1, w.len()), self.parameters.groups(), w, codes, values);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn backward_short(
        &self,
        w: Input<'_, f32>,
        values: Option<Input<'_, f32>>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
    ) -> Result<(), Error> {
        self.weight_gradient::<true>(Cut::runs(1, w.len()), w, values, grad_out, grad_w);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn backward_scale_short(
        &self,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
    ) -> Result<(), Error> {
        self.check_offsets(&gradients)?;
        self.scale_gradient::<true>(Cut::runs(1, w.len()), w, grad_out, gradients);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn dequantize_short(&self, codes: Input<'_, i8>, values: Output<'_, f32>) -> Result<(), Error> {
        let groups = self.parameters.groups();
        run_short(groups.isa(), Dequantize::new(codes, values), codes.len(), groups);
        Ok(())
    }

    /// Runs a kernel over `n` elements, which are known to be one short run or may be cut in any way.
    #[inline(always)]
    fn walk<W: Work<TOTALS>, const TOTALS: usize, const IS_SHORT: bool>(
        &self,
        work: W,
        n: usize,
        cut: Cut,
        groups: Groups<'_>,
    ) {
        if IS_SHORT {
            run_short(groups.isa(), work, n, groups);
        } else {
            Walk { work, cut, groups }.run_on(self.threads);
        }
    }
}

// What is `pub(crate)` is not marked for inlining: through the provided methods of the public trait, each crate that uses one would
// compile the kernels again.
impl Grid {
    pub(crate) fn forward(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        let cut = self.layout.cut(w.len())?;
        check_optional("codes", codes.as_ref().map(Output::len), w.len())?;
        check_optional("values", values.as_ref().map(Output::len), w.len())?;
        if self.incoherent || self.is_stochastic() || self.non_finite != NonFinite::Zero {
            return self.forward_any(cut, w, codes, values);
        }
        self.quantize::<false>(cut, self.parameters.groups(), w, codes, values);
        Ok(())
    }

    /// Forward, with more than the plain one. Apart, so that it stays as short as it is.
    #[cold]
    fn forward_any(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        self.check_finite(w)?;
        if self.rotates(w.len()) {
            return self.forward_rotated(cut, w, codes, values);
        }
        self.quantize_apart(cut, self.parameters.groups(), w, codes, values);
        Ok(())
    }

    /// Quantizes what is checked, to nearest.
    #[inline(always)]
    pub(super) fn quantize<const IS_SHORT: bool>(
        &self,
        cut: Cut,
        groups: Groups<'_>,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) {
        let work = Quantize::new(w, codes, values, self.bounds(), self.nearest());
        self.walk::<_, 0, IS_SHORT>(work, w.len(), cut, groups);
    }

    /// Quantizes what is checked, in whichever way.
    pub(super) fn quantize_any<const TOTALS: usize>(
        &self,
        cut: Cut,
        groups: Groups<'_>,
        w: Input<'_, f32>,
        (codes, values): (Option<Output<'_, i8>>, Option<Output<'_, f32>>),
        statistics: Option<Output<'_, Statistics>>,
    ) {
        let (bounds, rounding) = (self.bounds(), self.any_rounding());
        let propagates = self.non_finite == NonFinite::Propagate;
        let work = QuantizeAny::<TOTALS> { w, codes, values, statistics, groups, bounds, rounding, propagates };
        Walk { work: work.streaming(), cut, groups }.run_on(self.threads);
    }

    /// Forward, and what it does to each group.
    pub(crate) fn forward_statistics(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
        statistics: Output<'_, Statistics>,
    ) -> Result<(), Error> {
        let cut = self.layout.cut(w.len())?;
        check_optional("codes", codes.as_ref().map(Output::len), w.len())?;
        check_optional("values", values.as_ref().map(Output::len), w.len())?;
        check_length("statistics", statistics.len(), self.groups())?;
        self.check_finite(w)?;
        if w.len() == 0 {
            return Ok(());
        }
        if self.rotates(w.len()) {
            return self.forward_statistics_rotated(cut, w, codes, values, statistics);
        }
        self.quantize_any::<STATISTICS>(cut, self.parameters.groups(), w, (codes, values), Some(statistics));
        Ok(())
    }

    /// Forward with scales of this call's own, from the largest magnitude of each group.
    pub(crate) fn forward_dynamic(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
        mut scales: Output<'_, f32>,
    ) -> Result<(), Error> {
        let (cut, count) = self.layout.dynamic_cut(w.len())?;
        check_optional("codes", codes.as_ref().map(Output::len), w.len())?;
        check_optional("values", values.as_ref().map(Output::len), w.len())?;
        check_length("scales", scales.len(), count)?;
        // Everything that can be refused is, before the first output is written; memory for a rotation around halves just before.
        let rotation = if self.rotates(w.len()) { Some(self.rotation(w.len())?) } else { None };
        let rotated = if rotation.is_some() { Some(self.rotated(w)?) } else { None };
        let quantized = rotated.as_deref().map_or(w, Input::from);
        let mut own = calibrate::max_abs(quantized, cut, count, self.threads)?;
        self.scales_from_max_abs(&mut own)?;
        let steps = own.iter().map(|scale| self.parameter.step(*scale));
        let mut parameters = Parameters::default();
        parameters.replace(steps, std::iter::repeat_n(self.home(), count))?;
        match (rotation, values) {
            (Some(rotation), Some(values)) => rotation.around(w, values, self.threads, |w, values| {
                self.quantize_apart(cut, parameters.groups(), w, codes, Some(values));
            })?,
            (_, values) => self.quantize_apart(cut, parameters.groups(), quantized, codes, values),
        }
        for (index, scale) in own.iter().enumerate() {
            scales.set(index, *scale);
        }
        Ok(())
    }

    pub(crate) fn backward(
        &self,
        w: Input<'_, f32>,
        values: Option<Input<'_, f32>>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
    ) -> Result<(), Error> {
        let n = w.len();
        let cut = self.layout.cut(n)?;
        check_optional("values", values.as_ref().map(Input::len), n)?;
        check_length("grad_out", grad_out.len(), n)?;
        check_length("grad_w", grad_w.len(), n)?;
        if self.rotates(n) {
            return self.backward_rotated(cut, w, grad_out, grad_w);
        }
        self.weight_gradient::<false>(cut, w, values, grad_out, grad_w);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn weight_gradient<const IS_SHORT: bool>(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        values: Option<Input<'_, f32>>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
    ) {
        let (bounds, rounding) = (self.bounds(), self.nearest());
        if self.is_stochastic() && self.ste.looks_at_rounding(values.is_some()) {
            let (random, estimator) = (self.random(), any_estimator(self.ste));
            let work = GradientsByChance::of_weights(w, grad_out, Some(grad_w), bounds, random, estimator);
            return run_gradients_by_chance(Walk { work, cut, groups: self.parameters.groups() }, self.threads);
        }
        with_estimator!(self.ste, |estimator| {
            let work = WeightGradient::new(w, values, grad_out, grad_w, bounds, rounding, estimator);
            if work.ignores_groups() {
                self.walk::<_, 0, IS_SHORT>(work, w.len(), Cut::runs(1, w.len()), Groups::NONE);
            } else {
                self.walk::<_, 0, IS_SHORT>(work, w.len(), cut, self.parameters.groups());
            }
        });
    }

    pub(crate) fn backward_scale(
        &self,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
    ) -> Result<(), Error> {
        let cut = self.layout.cut(w.len())?;
        check_length("grad_out", grad_out.len(), w.len())?;
        check_optional("grad_w", gradients.weights.as_ref().map(Output::len), w.len())?;
        check_length("grad_scale", gradients.scales.len(), self.groups())?;
        check_optional("grad_offset", gradients.offsets.as_ref().map(Output::len), self.groups())?;
        self.check_offsets(&gradients)?;
        if w.len() == 0 {
            return Ok(());
        }
        if self.rotates(w.len()) {
            return self.backward_scale_rotated(cut, w, grad_out, gradients);
        }
        self.scale_gradient::<false>(cut, w, grad_out, gradients);
        Ok(())
    }

    /// Refuses gradients of offsets where there are none.
    #[inline(always)]
    fn check_offsets(&self, gradients: &Gradients<'_>) -> Result<(), Error> {
        if gradients.offsets.is_some() && !self.ste.reads_range() {
            let property = "gradient of the offset";
            return Err(Error::NotApplicable { property, kind: "an estimator that ignores the range of codes" });
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn scale_gradient<const IS_SHORT: bool>(
        &self,
        cut: Cut,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        gradients: Gradients<'_>,
    ) {
        let (bounds, rounding) = (self.bounds(), self.nearest());
        let levels = if self.ste.reads_range() { f64::from(bounds.max) } else { f64::from(self.num_levels()) };
        let factor = Factor { numerator: f64::from(self.parameter.step_per_scale()), levels };
        let groups = self.parameters.groups();
        if self.is_stochastic() {
            let estimator = any_estimator(self.ste);
            let work = GradientsByChance::new(w, grad_out, gradients, factor, bounds, self.random(), estimator);
            return run_gradients_by_chance(Walk { work, cut, groups }, self.threads);
        }
        if gradients.offsets.is_some() {
            with_ranged_estimator!(self.ste, |estimator| {
                let work = ScaleGradient::<_, 2>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                self.walk::<_, 2, IS_SHORT>(work, w.len(), cut, groups);
            });
        } else {
            with_estimator!(self.ste, |estimator| {
                let work = ScaleGradient::<_, 1>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                self.walk::<_, 1, IS_SHORT>(work, w.len(), cut, groups);
            });
        }
    }

    pub(crate) fn dequantize(&self, codes: Input<'_, i8>, values: Output<'_, f32>) -> Result<(), Error> {
        let cut = self.layout.cut(codes.len())?;
        check_length("values", values.len(), codes.len())?;
        let groups = self.parameters.groups();
        if self.rotates(codes.len()) {
            self.rotation(codes.len())?.dequantize(codes, values, cut, groups, self.threads)?;
        } else {
            Walk { work: Dequantize::new(codes, values), cut, groups }.run_on(self.threads);
        }
        Ok(())
    }
}
