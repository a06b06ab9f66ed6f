//! The formulas, one element at a time, in f64 wherever the documentation does not say f32.
//!
//! Decisions (codes, bounds, ties) are those of the f32 quotient `v = (w - offset) / step`; sums and residuals are f64. The
//! sources are those of the tables in `src/ste.rs`: PyTorch's fake quantization for RangeClipped, Esser et al. 2020 (arXiv
//! 1902.08153) for Lsq, Bhalgat et al. 2020 (arXiv 2004.09576) for LsqPlus, Lee et al. 2021 (arXiv 2104.00903) for EwgsSigned.

use diffquant::{CodeRange, SteVariant};

/// What a group is quantized with.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    pub step: f32,
    pub zero_point: i32,
    pub offset: f32,
}

/// What all groups have in common.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    pub bits: u32,
    pub range: CodeRange,
    pub half_even: bool,
    /// The divisor of a pi grid.
    pub k: Option<u32>,
}

impl Grid {
    /// The smallest and the largest code.
    pub fn codes(&self) -> (i32, i32) {
        let half = 1 << (self.bits - 1);
        match self.range {
            CodeRange::Full | CodeRange::Unsigned => (-half, half - 1),
            CodeRange::Narrow => (1 - half, half - 1),
        }
    }

    /// The zero point of a symmetric quantizer.
    pub fn home(&self) -> i32 {
        if self.range == CodeRange::Unsigned { self.codes().0 } else { 0 }
    }

    /// Qn and Qp of a group: the range, counted from the zero point.
    pub fn levels(&self, group: &Group) -> (i32, i32) {
        let (min, max) = self.codes();
        (min - group.zero_point, max - group.zero_point)
    }

    /// `d step / d scale`.
    pub fn step_per_scale(&self) -> f64 {
        self.k.map_or(1.0, |k| std::f64::consts::PI / f64::from(k))
    }

    /// The step of a scale, in f32 as documented.
    pub fn step(&self, scale: f32) -> f32 {
        self.k.map_or(scale, |k| (scale * std::f32::consts::PI) / k as f32)
    }

    pub fn round(&self, quotient: f32) -> f32 {
        if self.half_even { quotient.round_ties_even() } else { quotient.round() }
    }
}

/// A weight, quantized.
#[derive(Debug, Clone, Copy)]
pub struct Element {
    pub w: f32,
    pub code: i8,
    pub value: f32,
    /// The code, counted from the zero point.
    pub level: i32,
    /// `r(v) - v`.
    pub residual: f64,
    pub rounds_into_range: bool,
    pub is_strictly_inside: bool,
}

impl Element {
    pub fn new(w: f32, grid: &Grid, group: &Group) -> Element {
        Element::rounded(w, grid, group, |quotient| grid.round(quotient))
    }

    /// Of stochastic rounding, by the number that was drawn, between -1/2 and 1/2.
    pub fn drawn(w: f32, grid: &Grid, group: &Group, draw: f32) -> Element {
        Element::rounded(w, grid, group, |quotient| (quotient + draw).round_ties_even())
    }

    fn rounded(w: f32, grid: &Grid, group: &Group, round: impl Fn(f32) -> f32) -> Element {
        let (lowest, highest) = grid.levels(group);
        let from_offset = w - group.offset;
        let quotient = from_offset / group.step;
        let rounded = round(quotient);
        let level = if quotient.is_nan() { 0 } else { rounded.clamp(lowest as f32, highest as f32) as i32 };
        let value = level as f32 * group.step;
        Element {
            w,
            code: i8::try_from(level + group.zero_point).unwrap(),
            value: if group.offset == 0.0 { value } else { value + group.offset },
            level,
            residual: f64::from(rounded) - f64::from(from_offset) / f64::from(group.step),
            rounds_into_range: lowest as f32 <= rounded && rounded <= highest as f32,
            is_strictly_inside: (lowest as f32) < quotient && quotient < highest as f32,
        }
    }

    /// Whether the value follows the weight, as the estimator has it.
    fn learns(&self, ste: SteVariant) -> bool {
        if ste == SteVariant::RangeClipped { self.rounds_into_range } else { self.is_strictly_inside }
    }

    /// The gradient of the weight, and how far from it a result may lie: nowhere, but for EwgsSigned.
    pub fn weight_gradient(&self, ste: SteVariant, g: f32) -> (f32, f64) {
        let exactly = |gradient: f32| (gradient, 0.0);
        match ste {
            SteVariant::Standard | SteVariant::LearnedStepSize => exactly(g),
            SteVariant::Clipped { clip_val } => exactly(if self.w.abs() <= clip_val { g } else { 0.0 }),
            SteVariant::Ewgs { lambda } => exactly(g * (1.0 + lambda * (self.w - self.value).abs())),
            SteVariant::EwgsSigned { delta } if self.is_strictly_inside => {
                let pull = f64::from(delta) * f64::from(g.signum()) * -self.residual;
                let gradient = f64::from(g) * (1.0 + pull);
                (gradient as f32, 1e-6 * f64::from(g.abs()) * (1.0 + pull.abs()))
            }
            _ => exactly(if self.learns(ste) { g } else { 0.0 }),
        }
    }

    /// The derivative of the value by the step.
    pub fn slope_of_step(&self, ste: SteVariant) -> f64 {
        if ste.reads_range() && self.learns(ste) { self.residual } else { f64::from(self.level) }
    }

    /// The derivative of the value by the offset. The value of a NaN is the offset itself.
    pub fn slope_of_offset(&self, ste: SteVariant) -> f64 {
        f64::from(u8::from(!self.learns(ste)))
    }
}

/// A sum and the sum of its magnitudes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    pub sum: f64,
    pub magnitudes: f64,
    pub count: usize,
}

impl Sum {
    pub fn add(&mut self, term: f64) {
        self.sum += term;
        self.magnitudes += term.abs();
        self.count += 1;
    }

    /// Whether `found` is `factor` times the sum, to 1e-6 of the magnitudes and the rounding to f32.
    pub fn agrees(&self, found: f32, factor: f64) -> bool {
        let (expected, magnitudes) = (self.sum * factor, self.magnitudes * factor);
        let rounding = expected.abs() * 0.5 * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE);
        (f64::from(found) - expected).abs() <= 1e-6 * magnitudes + rounding
    }
}

/// What the sum over a group of `count` becomes the gradient of its scale by.
pub fn scale_factor(ste: SteVariant, grid: &Grid, count: usize) -> f64 {
    let levels = if ste.reads_range() { f64::from(grid.codes().1) } else { f64::from(1 << grid.bits) };
    grid.step_per_scale() / (count as f64 * levels).sqrt()
}
