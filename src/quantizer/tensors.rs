//! What a grid does to tensors: the calls into the kernels.

use super::grid::{Grid, check_length, check_optional};
use super::rounding::{NonFinite, with_rounding};
use crate::calibrate;
use crate::error::Error;
use crate::kernels::{
    AnyEstimator, Clipped, Cut, Dequantize, Ewgs, EwgsSigned, Factor, Gradients, Groups, Input, Lsq, Output,
    Parameters, PassThrough, Quantize, RangeClipped, ScaleGradient, Statistics, StatisticsOf, Walk, WeightGradient,
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
        SteVariant::Standard | SteVariant::LearnedStepSize => AnyEstimator::PassThrough(PassThrough),
        SteVariant::Clipped { clip_val } => AnyEstimator::Clipped(Clipped { clip_val }),
        SteVariant::Ewgs { lambda } => AnyEstimator::Ewgs(Ewgs { lambda }),
        SteVariant::RangeClipped => AnyEstimator::RangeClipped(RangeClipped),
        SteVariant::EwgsSigned { delta } => AnyEstimator::EwgsSigned(EwgsSigned { delta }),
        SteVariant::Lsq | SteVariant::LsqPlus => AnyEstimator::Lsq(Lsq),
    }
}

impl Grid {
    #[inline(always)]
    pub(crate) fn forward(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        let cut = self.layout.cut(w.len())?;
        check_optional("codes", codes.as_ref().map(Output::len), w.len())?;
        check_optional("values", values.as_ref().map(Output::len), w.len())?;
        self.check_finite(w)?;
        self.quantize(w, codes, values, cut, self.parameters.groups());
        Ok(())
    }

    /// Quantizes what is checked.
    #[inline]
    fn quantize(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
        cut: Cut,
        groups: Groups<'_>,
    ) {
        let (bounds, threads) = (self.bounds(), self.threads);
        with_rounding!(self, |rounding| {
            if self.non_finite == NonFinite::Propagate {
                let work = Quantize::<_, true>::new(w, codes, values, bounds, rounding);
                Walk { work, cut, groups }.run_on(threads);
            } else {
                let work = Quantize::<_, false>::new(w, codes, values, bounds, rounding);
                Walk { work, cut, groups }.run_on(threads);
            }
        });
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
        let (bounds, groups) = (self.bounds(), self.parameters.groups());
        let propagates = self.non_finite == NonFinite::Propagate;
        with_rounding!(self, |rounding| {
            let outputs = (codes, values);
            let work = StatisticsOf::new(w, outputs, statistics, groups, bounds, rounding, propagates);
            Walk { work, cut, groups }.run_on(self.threads);
        });
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
        // Everything that can be refused is, before the first output is written.
        let mut own = calibrate::max_abs(w, cut, count, self.threads)?;
        self.scales_from_max_abs(&mut own)?;
        let steps = own.iter().map(|scale| self.parameter.step(*scale));
        let mut parameters = Parameters::default();
        parameters.replace(steps, std::iter::repeat_n(self.home(), count))?;
        for (index, scale) in own.iter().enumerate() {
            scales.set(index, *scale);
        }
        self.quantize(w, codes, values, cut, parameters.groups());
        Ok(())
    }

    #[inline(always)]
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
        let reads_value = matches!(self.ste, SteVariant::Ewgs { .. });
        let needs_draws = self.ste.reads_range() || reads_value && values.is_none();
        if let (Some(rounding), true) = (self.stochastic(), needs_draws) {
            let estimator = any_estimator(self.ste);
            let work = WeightGradient::new(w, None, grad_out, grad_w, self.bounds(), rounding, estimator);
            Walk { work, cut, groups: self.parameters.groups() }.run_on(self.threads);
            return Ok(());
        }
        let (bounds, rounding) = (self.bounds(), self.nearest());
        with_estimator!(self.ste, |estimator| {
            let work = WeightGradient::new(w, values, grad_out, grad_w, bounds, rounding, estimator);
            if work.ignores_groups() {
                Walk { work, cut: Cut::runs(1, n), groups: Groups::NONE }.run_on(self.threads);
            } else {
                Walk { work, cut, groups: self.parameters.groups() }.run_on(self.threads);
            }
        });
        Ok(())
    }

    #[inline(always)]
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
        if gradients.offsets.is_some() && !self.ste.reads_range() {
            let property = "gradient of the offset";
            return Err(Error::NotApplicable { property, kind: "an estimator that ignores the range of codes" });
        }
        if w.len() == 0 {
            return Ok(());
        }
        let (bounds, rounding, threads) = (self.bounds(), self.nearest(), self.threads);
        let levels = if self.ste.reads_range() { f64::from(bounds.max) } else { f64::from(self.num_levels()) };
        let factor = Factor { numerator: f64::from(self.parameter.step_per_scale()), levels };
        let groups = self.parameters.groups();
        if let Some(rounding) = self.stochastic() {
            let estimator = any_estimator(self.ste);
            if gradients.offsets.is_some() {
                let work = ScaleGradient::<_, _, 2>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                Walk { work, cut, groups }.run_on(threads);
            } else {
                let work = ScaleGradient::<_, _, 1>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                Walk { work, cut, groups }.run_on(threads);
            }
        } else if gradients.offsets.is_some() {
            with_ranged_estimator!(self.ste, |estimator| {
                let work = ScaleGradient::<_, _, 2>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                Walk { work, cut, groups }.run_on(threads);
            });
        } else {
            with_estimator!(self.ste, |estimator| {
                let work = ScaleGradient::<_, _, 1>::new(w, grad_out, gradients, factor, bounds, rounding, estimator);
                Walk { work, cut, groups }.run_on(threads);
            });
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn dequantize(&self, codes: Input<'_, i8>, values: Output<'_, f32>) -> Result<(), Error> {
        let cut = self.layout.cut(codes.len())?;
        check_length("values", values.len(), codes.len())?;
        let work = Dequantize::new(codes, values);
        Walk { work, cut, groups: self.parameters.groups() }.run_on(self.threads);
        Ok(())
    }
}
