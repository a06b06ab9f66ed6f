//! What a scale stands for: the one thing in which uniform and pi quantizers differ.
//!
//! A quantizer learns a *scale* per group; its grid has a *step*, the distance between neighbouring values. For the
//! uniform quantizer they are the same number. For the pi quantizer the scale is called alpha and `step = alpha * PI / k`.

use std::f32::consts::PI;

/// The relation between scale and step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// `step = scale`.
    Uniform,
    /// `step = scale * PI / k`, k in 2..=5.
    Pi { k: u32 },
}

impl Parameter {
    /// The step of a scale.
    pub(crate) fn step(self, scale: f32) -> f32 {
        match self {
            Parameter::Uniform => scale,
            Parameter::Pi { k } => (scale * PI) / k as f32,
        }
    }

    /// The derivative of the step by the scale.
    pub(crate) fn step_per_scale(self) -> f32 {
        match self {
            Parameter::Uniform => 1.0,
            Parameter::Pi { k } => PI / k as f32,
        }
    }

    /// The scale at which the largest magnitude lies half a step beyond the largest level, 1 when every weight is 0.
    ///
    /// The largest level is the largest code less the zero point. The floor keeps a scale positive where the quotient would
    /// underflow; for pi it is the reference's 1e-6, for uniform the smallest normal float.
    pub(crate) fn scale_from_max_abs(self, max_abs: f32, largest_level: f32) -> f32 {
        if max_abs == 0.0 {
            return 1.0;
        }
        match self {
            Parameter::Uniform => (max_abs / (largest_level + 0.5)).max(f32::MIN_POSITIVE),
            Parameter::Pi { .. } => (max_abs / (self.step_per_scale() * (largest_level + 0.5))).max(1e-6),
        }
    }

    /// The scale of a step, 1 for the step of a group whose weights are all 0; floors as above.
    pub(crate) fn scale_from_step(self, step: f64) -> f32 {
        if step == 0.0 {
            return 1.0;
        }
        match self {
            Parameter::Uniform => (step as f32).max(f32::MIN_POSITIVE),
            Parameter::Pi { k } => ((step * f64::from(k) / std::f64::consts::PI) as f32).max(1e-6),
        }
    }

    /// The kind of quantizer, for messages.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Parameter::Uniform => "uniform",
            Parameter::Pi { .. } => "pi",
        }
    }
}
