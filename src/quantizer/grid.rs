//! The engine that every quantizer shares: its grid of values.
//!
//! A grid is made of a range of codes, a scale, a zero point and an offset per group, a rounding mode and an estimator. It
//! keeps these invariants, so that no kernel has to check them: every scale and every step is finite and positive, every
//! zero point is a code, every offset is finite, and the parameters that the kernels read are those of the scales.
//!
//! What a grid does to tensors is in [`super::tensors`].

use super::parameter::Parameter;
use super::range::{CodeRange, half};
use super::rounding::{NonFinite, RoundingMode, Seed};
use super::zeros;
use crate::calibrate::observer::Observer;
use crate::calibrate::{self, Calibrated, Calibration, ScaleInit, Target};
use crate::config::{QatConfig, QuantGranularity};
use crate::error::Error;
use crate::kernels::{CodeBounds, Group, HostPool, Input, Isa, Parameters, Threads};
use crate::layout::Layout;
use crate::ste::SteVariant;

/// The state behind a quantizer. Reached through [`DifferentiableQuantizer`](super::DifferentiableQuantizer).
#[derive(Debug)]
pub struct Grid {
    pub(super) parameter: Parameter,
    pub(super) bits: u32,
    range: CodeRange,
    /// Those of the range.
    pub(super) bounds: CodeBounds,
    symmetric: bool,
    pub(super) rounding: RoundingMode,
    pub(super) seed: Seed,
    pub(super) non_finite: NonFinite,
    pub(super) ste: SteVariant,
    pub(super) layout: Layout,
    scales: Vec<f32>,
    pub(super) parameters: Parameters,
    pub(super) threads: Threads,
    /// Whether rows are rotated before they are quantized.
    pub(super) incoherent: bool,
    pub(super) rotation_seed: u64,
}

impl Grid {
    /// A per-tensor grid of step `scale`, `bits` in 2..=8.
    pub(crate) fn uniform(bits: u32, ste: SteVariant) -> Result<Self, Error> {
        check_argument("bits", (2..=8).contains(&bits), bits, "from 2 to 8")?;
        Grid::new(Parameter::Uniform, bits, ste, QuantGranularity::PerTensor, 1.0 / half(bits))
    }

    /// A per-tensor grid of step `alpha * PI / k`, `bits` and `k` in 2..=5.
    pub(crate) fn pi(bits: u32, k: u32, ste: SteVariant) -> Result<Self, Error> {
        check_pi(bits, k)?;
        Grid::new(Parameter::Pi { k }, bits, ste, QuantGranularity::PerTensor, 1.0)
    }

    /// The grid that a configuration describes, every scale 1.
    pub(crate) fn from_config(config: &QatConfig) -> Result<Self, Error> {
        config.validate()?;
        let parameter = match config.pi_k {
            Some(k) => Parameter::Pi { k },
            None => Parameter::Uniform,
        };
        let mut grid = Grid::new(parameter, config.bits.into(), config.ste_variant, config.granularity, 1.0)?;
        grid.symmetric = config.symmetric;
        grid.incoherent = config.use_incoherence;
        Ok(grid)
    }

    fn new(
        parameter: Parameter,
        bits: u32,
        ste: SteVariant,
        granularity: QuantGranularity,
        scale: f32,
    ) -> Result<Self, Error> {
        ste.validate()?;
        // The first use of the kernels reads the environment; better here than in a call that promises not to allocate.
        Isa::current();
        let mut grid = Grid {
            parameter,
            bits,
            range: CodeRange::Full,
            bounds: CodeRange::Full.bounds(bits),
            symmetric: true,
            rounding: RoundingMode::HalfAway,
            seed: Seed::default(),
            non_finite: NonFinite::Zero,
            ste,
            layout: Layout::new(granularity),
            scales: Vec::new(),
            parameters: Parameters::default(),
            threads: Threads::Own(1),
            incoherent: false,
            rotation_seed: 0,
        };
        grid.restart(grid.layout, scale)?;
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

    /// How many scales there are.
    pub(crate) fn groups(&self) -> usize {
        self.scales.len()
    }

    pub(crate) fn granularity(&self) -> QuantGranularity {
        self.layout.granularity()
    }

    /// The scale of an element of a tensor of `n`.
    pub(crate) fn group_of(&self, element: usize, n: usize) -> Result<usize, Error> {
        self.layout.group_of(element, n)
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
        Ok(self.parameters.get(group).step)
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

    /// The smallest and the largest code.
    #[inline]
    pub(crate) fn bounds(&self) -> CodeBounds {
        self.bounds
    }

    /// The zero point of a group that has none of its own.
    pub(super) fn home(&self) -> f32 {
        self.range.home(self.bits)
    }

    pub(crate) fn code_range(&self) -> CodeRange {
        self.range
    }

    /// Changes the codes that are used. Zero points go back to the range's.
    pub(crate) fn set_code_range(&mut self, range: CodeRange) {
        (self.range, self.bounds) = (range, range.bounds(self.bits));
        self.reset_zero_points();
    }

    pub(crate) fn is_symmetric(&self) -> bool {
        self.symmetric
    }

    /// Fixes the zero points to the range's, or frees them.
    pub(crate) fn set_symmetric(&mut self, symmetric: bool) {
        self.symmetric = symmetric;
        if symmetric {
            self.reset_zero_points();
        }
    }

    /// The code of the value 0 in a group (where the offset is 0).
    pub(crate) fn zero_point(&self, group: usize) -> i32 {
        self.parameters.get(group).zero_point as i32
    }

    pub(crate) fn set_zero_points(&mut self, zero_points: Input<'_, i32>) -> Result<(), Error> {
        if self.symmetric {
            return Err(Error::NotApplicable { property: "zero point to set", kind: "symmetric" });
        }
        check_length("zero_points", zero_points.len(), self.groups())?;
        let (min, max) = (self.bounds().min as i32, self.bounds().max as i32);
        for index in 0..zero_points.len() {
            let (argument, value) = ("zero_points", zero_points.get(index));
            if !(min..=max).contains(&value) {
                return Err(Error::ZeroPoint { argument, index, value, min, max });
            }
        }
        for group in 0..zero_points.len() {
            let zero_point = zero_points.get(group) as f32;
            self.parameters.set(group, Group { zero_point, ..self.parameters.get(group) });
        }
        Ok(())
    }

    /// What is added to every value of a group.
    pub(crate) fn offset(&self, group: usize) -> f32 {
        self.parameters.get(group).offset
    }

    pub(crate) fn set_offsets(&mut self, offsets: Input<'_, f32>) -> Result<(), Error> {
        check_length("offsets", offsets.len(), self.groups())?;
        for index in 0..offsets.len() {
            let (argument, value, allowed) = ("offsets", offsets.get(index), "finite");
            if !value.is_finite() {
                return Err(Error::InvalidElement { argument, index, value, allowed });
            }
        }
        for group in 0..offsets.len() {
            self.parameters.set(group, Group { offset: offsets.get(group), ..self.parameters.get(group) });
        }
        Ok(())
    }

    fn reset_zero_points(&mut self) {
        let zero_point = self.home();
        for group in 0..self.groups() {
            self.parameters.set(group, Group { zero_point, ..self.parameters.get(group) });
        }
    }

    /// Gives every group the same scale.
    pub(crate) fn set_all_scales(&mut self, scale: f32) -> Result<(), Error> {
        self.check_scale("scale", scale)?;
        for group in 0..self.groups() {
            self.store_scale(group, scale);
        }
        Ok(())
    }

    pub(crate) fn set_scale(&mut self, group: usize, scale: f32) -> Result<(), Error> {
        self.check_group(group)?;
        self.check_scale("scale", scale)?;
        self.store_scale(group, scale);
        Ok(())
    }

    pub(crate) fn set_scales(&mut self, scales: Input<'_, f32>) -> Result<(), Error> {
        check_length("scales", scales.len(), self.groups())?;
        for index in 0..scales.len() {
            let (argument, value, allowed) = ("scales", scales.get(index), ALLOWED_SCALE);
            if !self.allows(value) {
                return Err(Error::InvalidElement { argument, index, value, allowed });
            }
        }
        for group in 0..scales.len() {
            self.store_scale(group, scales.get(group));
        }
        Ok(())
    }

    /// One step of gradient descent on every scale, projected onto `[min_scale, the largest that is allowed]`; how many had to
    /// be projected.
    pub(crate) fn apply_scale_step(
        &mut self,
        gradient: Input<'_, f32>,
        learning_rate: f32,
        min_scale: f32,
    ) -> Result<usize, Error> {
        check_length("grad_scale", gradient.len(), self.groups())?;
        let positive = learning_rate > 0.0 && learning_rate.is_finite();
        check_argument("learning_rate", positive, learning_rate, "positive and finite")?;
        check_argument("min_scale", self.allows(min_scale), min_scale, ALLOWED_SCALE)?;
        for index in 0..gradient.len() {
            let (argument, value) = ("grad_scale", gradient.get(index));
            if value.is_nan() {
                return Err(Error::InvalidElement { argument, index, value, allowed: "a number" });
            }
        }
        let mut projected = 0;
        for group in 0..gradient.len() {
            // In f64, where no product of floats overflows.
            let next = f64::from(self.scales[group]) - f64::from(learning_rate) * f64::from(gradient.get(group));
            let next = if next >= f64::from(min_scale) && self.allows(next as f32) {
                next as f32
            } else {
                projected += 1;
                if next < f64::from(min_scale) { min_scale } else { self.scales[group].max(min_scale) }
            };
            self.store_scale(group, next);
        }
        Ok(projected)
    }

    fn store_scale(&mut self, group: usize, scale: f32) {
        self.scales[group] = scale;
        let step = self.parameter.step(scale);
        self.parameters.set(group, Group { step, ..self.parameters.get(group) });
    }

    /// Changes which weights share a scale; the shape is forgotten, every scale is 1.
    pub(crate) fn set_granularity(&mut self, granularity: QuantGranularity) -> Result<(), Error> {
        if let QuantGranularity::PerBlock { block_size } = granularity {
            check_argument("block_size", block_size > 0, block_size, "at least 1")?;
        }
        self.restart(Layout::new(granularity), 1.0)
    }

    /// Declares the shape of the tensors; every scale is 1.
    pub(crate) fn set_shape(&mut self, shape: &[usize], axis: usize) -> Result<(), Error> {
        self.restart(self.layout.with_shape(shape, axis)?, 1.0)
    }

    pub(crate) fn init_per_channel(&mut self, channels: usize) -> Result<(), Error> {
        self.restart(Layout::per_channel(channels)?, 1.0)
    }

    pub(crate) fn init_scale(&mut self, w: Input<'_, f32>, method: ScaleInit) -> Result<(), Error> {
        method.validate()?;
        if w.len() == 0 {
            return Ok(());
        }
        self.layout.cut(w.len())?;
        let rotated = if self.rotates(w.len()) { Some(self.rotated(w)?) } else { None };
        let w = rotated.as_deref().map_or(w, Input::from);
        let calibration = calibrate::calibrate(w, &self.layout, self.target(), method, self.threads)?;
        self.take_over_calibration(calibration)
    }

    /// As [`init_scale`](Self::init_scale), from what an observer remembers of each group.
    pub(crate) fn init_scale_from(&mut self, observer: &Observer, method: ScaleInit) -> Result<(), Error> {
        method.validate()?;
        check_length("observer", observer.group_count(), self.groups())?;
        self.take_over_calibration(Calibration::Each(observer.calibrate(self.target(), method)?))
    }

    /// What scales are calibrated for.
    fn target(&self) -> Target {
        Target { bounds: self.bounds(), zero_point: self.home(), symmetric: self.symmetric }
    }

    fn take_over_calibration(&mut self, calibration: Calibration) -> Result<(), Error> {
        let (layout, parameter, bounds, zero_point) = (self.layout, self.parameter, self.bounds(), self.home());
        match calibration {
            Calibration::MaxAbs(mut scales) => {
                self.scales_from_max_abs(&mut scales)?;
                self.take_over(layout, scales, std::iter::repeat_n(zero_point, layout.groups()))
            }
            Calibration::Each(groups) => {
                let mut scales = zeros(groups.len())?;
                for (scale, group) in scales.iter_mut().zip(&groups) {
                    *scale = match *group {
                        Calibrated::MaxAbs(max_abs) => parameter.scale_from_max_abs(max_abs, bounds.max - zero_point),
                        Calibrated::Step { step, .. } => parameter.scale_from_step(step),
                    };
                }
                let zero_points = groups.into_iter().map(|group| match group {
                    Calibrated::MaxAbs(_) => zero_point,
                    Calibrated::Step { zero_point, .. } => zero_point,
                });
                self.take_over(layout, scales, zero_points)
            }
        }
    }

    /// Makes each of some largest magnitudes the scale of its group.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for one that is none.
    pub(super) fn scales_from_max_abs(&self, maxima: &mut [f32]) -> Result<(), Error> {
        let largest_level = self.bounds().max - self.home();
        for number in maxima.iter_mut() {
            *number = self.parameter.scale_from_max_abs(*number, largest_level);
        }
        self.check_scales(maxima)
    }

    /// Takes over a layout, every group with the same scale and no zero point or offset of its own.
    pub(super) fn restart(&mut self, layout: Layout, scale: f32) -> Result<(), Error> {
        let mut scales = zeros(layout.groups())?;
        scales.fill(scale);
        self.take_over(layout, scales, std::iter::repeat_n(self.home(), layout.groups()))
    }

    /// Takes over a layout, its scales and zero points, or nothing.
    fn take_over(
        &mut self,
        layout: Layout,
        scales: Vec<f32>,
        zero_points: impl Iterator<Item = f32>,
    ) -> Result<(), Error> {
        self.check_scales(&scales)?;
        let parameter = self.parameter;
        self.parameters.replace(scales.iter().map(|scale| parameter.step(*scale)), zero_points)?;
        (self.layout, self.scales) = (layout, scales);
        Ok(())
    }

    /// A copy, or an error where `clone` would abort the process.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let mut scales = Vec::new();
        scales.try_reserve_exact(self.scales.len())?;
        scales.extend_from_slice(&self.scales);
        Ok(Grid { scales, parameters: self.parameters.try_clone()?, ..*self })
    }

    fn check_group(&self, group: usize) -> Result<(), Error> {
        let count = self.groups();
        if group < count { Ok(()) } else { Err(Error::IndexOutOfRange { argument: "group", index: group, count }) }
    }

    /// Refuses scales that a calibration must not have come to.
    fn check_scales(&self, scales: &[f32]) -> Result<(), Error> {
        // Without a way out of the loop, so that it vectorises.
        if scales.iter().fold(true, |all, scale| all & self.allows(*scale)) {
            return Ok(());
        }
        scales.iter().try_for_each(|scale| self.check_scale("the scale of w", *scale))
    }

    fn check_scale(&self, argument: &'static str, scale: f32) -> Result<(), Error> {
        check_argument(argument, self.allows(scale), scale, ALLOWED_SCALE)
    }

    /// Whether a scale keeps the grid's invariant: finite and positive, like its step.
    fn allows(&self, scale: f32) -> bool {
        let step = self.parameter.step(scale);
        (scale > 0.0) & (step > 0.0) & step.is_finite()
    }
}

impl Clone for Grid {
    fn clone(&self) -> Self {
        self.try_clone().expect("memory for a copy")
    }
}

/// What a scale must be, for messages.
const ALLOWED_SCALE: &str = "positive and finite, and so must be its step";

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
pub(super) fn check_length(argument: &'static str, actual: usize, expected: usize) -> Result<(), Error> {
    if actual == expected { Ok(()) } else { Err(Error::LengthMismatch { argument, actual, expected }) }
}

#[inline]
pub(super) fn check_optional(argument: &'static str, actual: Option<usize>, expected: usize) -> Result<(), Error> {
    actual.map_or(Ok(()), |actual| check_length(argument, actual, expected))
}
