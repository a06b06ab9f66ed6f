//! The engine that every quantizer shares: its grid of values, and the calls into the kernels.
//!
//! A grid is made of a code range, one step per group, a rounding mode and an estimator. It keeps two invariants, so that
//! no kernel ever has to check them: every scale and every step is finite and positive, and `steps[i]` is the step of
//! `scales[i]`.

use super::parameter::Parameter;
use crate::calibrate;
use crate::config::QatConfig;
use crate::error::Error;
use crate::kernels::{
    CodeRange, Dequantize, HostPool, Input, Isa, Output, Quantize, Rounding, ScaleGradient, Sums, Threads,
    WeightGradient,
};
use crate::layout::Layout;
use crate::ste::SteVariant;

/// The state behind a quantizer. Reached through [`DifferentiableQuantizer`](super::DifferentiableQuantizer).
#[derive(Debug, Clone)]
pub struct Grid {
    parameter: Parameter,
    bits: u32,
    rounding: Rounding,
    ste: SteVariant,
    layout: Layout,
    scales: Vec<f32>,
    steps: Vec<f32>,
    threads: Threads,
}

impl Grid {
    /// A per-tensor grid of step `scale`, `bits` in 2..=8.
    pub(crate) fn uniform(bits: u32, ste: SteVariant) -> Result<Self, Error> {
        check_argument("bits", (2..=8).contains(&bits), bits, "from 2 to 8")?;
        Grid::new(Parameter::Uniform, bits, ste, Layout::per_tensor(), 1.0 / half(bits))
    }

    /// A per-tensor grid of step `alpha * PI / k`, `bits` and `k` in 2..=5.
    pub(crate) fn pi(bits: u32, k: u32, ste: SteVariant) -> Result<Self, Error> {
        check_pi(bits, k)?;
        Grid::new(Parameter::Pi { k }, bits, ste, Layout::per_tensor(), 1.0)
    }

    /// The grid that a configuration describes, every scale 1.
    pub(crate) fn from_config(config: &QatConfig) -> Result<Self, Error> {
        config.validate()?;
        if !config.symmetric {
            return Err(Error::Unsupported { feature: "symmetric 0, a zero point" });
        }
        let layout = Layout::from_granularity(config.granularity)?;
        let parameter = match config.pi_k {
            Some(k) => Parameter::Pi { k },
            None => Parameter::Uniform,
        };
        Grid::new(parameter, config.bits.into(), config.ste_variant, layout, 1.0)
    }

    fn new(parameter: Parameter, bits: u32, ste: SteVariant, layout: Layout, scale: f32) -> Result<Self, Error> {
        ste.validate()?;
        // The first use of the kernels reads the environment; better here than in a call that promises not to allocate.
        Isa::current();
        let (rounding, threads) = (Rounding::HalfAway, Threads::Own(1));
        let (scales, steps) = (Vec::new(), Vec::new());
        let mut grid = Grid { parameter, bits, rounding, ste, layout, scales, steps, threads };
        grid.replace_scales(layout, std::iter::repeat_n(scale, layout.groups()))?;
        Ok(grid)
    }

    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    pub(crate) fn num_levels(&self) -> u32 {
        1 << self.bits
    }

    pub(crate) fn ste(&self) -> SteVariant {
        self.ste
    }

    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The divisor of a pi grid.
    pub(crate) fn k(&self) -> Result<u32, Error> {
        match self.parameter {
            Parameter::Pi { k } => Ok(k),
            Parameter::Uniform => Err(Error::NotApplicable { property: "divisor k", kind: self.parameter.kind() }),
        }
    }

    pub(crate) fn step_size(&self, group: usize) -> Result<f32, Error> {
        self.check_group(group)?;
        Ok(self.steps[group])
    }

    pub(crate) fn rounding_is_half_even(&self) -> bool {
        self.rounding == Rounding::HalfEven
    }

    pub(crate) fn set_rounding_half_even(&mut self, half_even: bool) {
        self.rounding = if half_even { Rounding::HalfEven } else { Rounding::HalfAway };
    }

    pub(crate) fn set_ste(&mut self, ste: SteVariant) -> Result<(), Error> {
        ste.validate()?;
        self.ste = ste;
        Ok(())
    }

    /// Lets large calls use `threads` threads, the caller's among them; 0 for as many as this process may use.
    pub(crate) fn set_threads(&mut self, threads: usize) {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads = Threads::Own(if threads == 0 { available() } else { threads });
    }

    /// Lets large calls run on the host's threads.
    pub(crate) fn set_host_pool(&mut self, pool: HostPool) {
        self.threads = Threads::Host(pool);
    }

    /// Gives every group the same scale.
    pub(crate) fn set_all_scales(&mut self, scale: f32) -> Result<(), Error> {
        self.check_scale("scale", scale)?;
        self.scales.fill(scale);
        self.steps.fill(self.parameter.step(scale));
        Ok(())
    }

    pub(crate) fn set_scale(&mut self, group: usize, scale: f32) -> Result<(), Error> {
        self.check_group(group)?;
        self.check_scale("scale", scale)?;
        self.scales[group] = scale;
        self.steps[group] = self.parameter.step(scale);
        Ok(())
    }

    pub(crate) fn set_scales(&mut self, scales: Input<'_, f32>) -> Result<(), Error> {
        check_length("scales", scales.len(), self.scales.len())?;
        for index in 0..scales.len() {
            let (argument, value, allowed) = ("scales", scales.get(index), ALLOWED_SCALE);
            if !self.allows(value) {
                return Err(Error::InvalidElement { argument, index, value, allowed });
            }
        }
        for group in 0..scales.len() {
            self.scales[group] = scales.get(group);
            self.steps[group] = self.parameter.step(scales.get(group));
        }
        Ok(())
    }

    pub(crate) fn init_per_channel(&mut self, channels: usize) -> Result<(), Error> {
        let layout = Layout::per_channel(channels)?;
        self.replace_scales(layout, std::iter::repeat_n(1.0, channels))
    }

    pub(crate) fn init_scale(&mut self, w: Input<'_, f32>) -> Result<(), Error> {
        if w.len() == 0 {
            return Ok(());
        }
        let (parameter, half) = (self.parameter, half(self.bits));
        let maxima = calibrate::max_abs(w, &self.layout)?;
        self.replace_scales(self.layout, maxima.into_iter().map(|max| parameter.scale_from_max_abs(max, half)))
    }

    /// Takes over a layout and its scales, or nothing.
    fn replace_scales(&mut self, layout: Layout, new: impl Iterator<Item = f32>) -> Result<(), Error> {
        let (mut scales, mut steps) = (Vec::new(), Vec::new());
        scales.try_reserve_exact(layout.groups())?;
        steps.try_reserve_exact(layout.groups())?;
        for scale in new {
            self.check_scale("the scale of w", scale)?;
            scales.push(scale);
            steps.push(self.parameter.step(scale));
        }
        (self.layout, self.scales, self.steps) = (layout, scales, steps);
        Ok(())
    }

    /// A copy, or an error where `clone` would abort the process.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let mut copy = Grid { scales: Vec::new(), steps: Vec::new(), ..*self };
        copy.replace_scales(self.layout, self.scales.iter().copied())?;
        Ok(copy)
    }

    pub(crate) fn forward(
        &self,
        w: Input<'_, f32>,
        codes: Option<Output<'_, i8>>,
        values: Option<Output<'_, f32>>,
    ) -> Result<(), Error> {
        let run = self.layout.run(w.len())?;
        check_optional("codes", codes.as_ref().map(Output::len), w.len())?;
        check_optional("values", values.as_ref().map(Output::len), w.len())?;
        let (range, rounding) = (self.range(), self.rounding);
        self.threads.run(Quantize { w, codes, values, steps: &self.steps, run, range, rounding });
        Ok(())
    }

    pub(crate) fn backward(
        &self,
        w: Input<'_, f32>,
        values: Option<Input<'_, f32>>,
        grad_out: Input<'_, f32>,
        grad_w: Output<'_, f32>,
    ) -> Result<(), Error> {
        let run = self.layout.run(w.len())?;
        check_optional("values", values.as_ref().map(Input::len), w.len())?;
        check_length("grad_out", grad_out.len(), w.len())?;
        check_length("grad_w", grad_w.len(), w.len())?;
        let (range, rounding, ste) = (self.range(), self.rounding, self.ste);
        let steps = &self.steps;
        self.threads.run(WeightGradient { w, values, grad_out, grad_w, steps, run, range, rounding, ste });
        Ok(())
    }

    pub(crate) fn backward_scale(
        &self,
        w: Input<'_, f32>,
        grad_out: Input<'_, f32>,
        grad_w: Option<Output<'_, f32>>,
        grad_scale: Output<'_, f32>,
    ) -> Result<(), Error> {
        let run = self.layout.run(w.len())?;
        check_length("grad_out", grad_out.len(), w.len())?;
        check_optional("grad_w", grad_w.as_ref().map(Output::len), w.len())?;
        check_length("grad_scale", grad_scale.len(), self.scales.len())?;
        if w.len() == 0 {
            return Ok(());
        }
        let normalizer = (run as f64 * f64::from(self.num_levels())).sqrt();
        let factor = f64::from(self.parameter.step_per_scale()) / normalizer;
        let (range, rounding, ste) = (self.range(), self.rounding, self.ste);
        let steps = &self.steps;
        let sums = Sums::PerRun { grad_scale, factor };
        ScaleGradient { w, grad_out, grad_w, sums, steps, run, range, rounding, ste }.run_on(self.threads);
        Ok(())
    }

    pub(crate) fn dequantize(&self, codes: Input<'_, i8>, values: Output<'_, f32>) -> Result<(), Error> {
        let run = self.layout.run(codes.len())?;
        check_length("values", values.len(), codes.len())?;
        self.threads.run(Dequantize { codes, values, steps: &self.steps, run });
        Ok(())
    }

    fn range(&self) -> CodeRange {
        let half = half(self.bits);
        CodeRange { min: -half, max: half - 1.0 }
    }

    fn check_group(&self, group: usize) -> Result<(), Error> {
        let count = self.scales.len();
        if group < count { Ok(()) } else { Err(Error::IndexOutOfRange { argument: "group", index: group, count }) }
    }

    fn check_scale(&self, argument: &'static str, scale: f32) -> Result<(), Error> {
        check_argument(argument, self.allows(scale), scale, ALLOWED_SCALE)
    }

    /// Whether a scale keeps the grid's invariant: finite and positive, like its step.
    fn allows(&self, scale: f32) -> bool {
        let step = self.parameter.step(scale);
        scale > 0.0 && step > 0.0 && step.is_finite()
    }
}

/// What a scale must be, for messages.
const ALLOWED_SCALE: &str = "positive and finite, and so must be its step";

/// Half the number of codes, `2^(bits-1)`.
fn half(bits: u32) -> f32 {
    (1u32 << (bits - 1)) as f32
}

/// Refuses what no pi quantizer can be made of.
pub(super) fn check_pi(bits: u32, k: u32) -> Result<(), Error> {
    check_argument("bits", (2..=5).contains(&bits), bits, "from 2 to 5 for a pi quantizer")?;
    check_argument("k", (2..=5).contains(&k), k, "2, 3, 4 or 5")
}

pub(super) fn check_argument(
    argument: &'static str,
    holds: bool,
    value: impl Into<crate::error::Value>,
    allowed: &'static str,
) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidArgument { argument, value: value.into(), allowed }) }
}

#[inline]
fn check_length(argument: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected { Ok(()) } else { Err(Error::LengthMismatch { argument, actual, expected }) }
}

#[inline]
fn check_optional(argument: &'static str, actual: Option<usize>, expected: usize) -> Result<(), Error> {
    actual.map_or(Ok(()), |actual| check_length(argument, actual, expected))
}
