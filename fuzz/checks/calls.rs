//! Any sequence of calls on one quantizer, each result compared with the formulas, written one element at a time.
//!
//! The model beside the quantizer knows its settings and parameters; every setter is called with good and bad values, and
//! the model says whether it must be taken. Codes, values and gradients of weights are compared to the bit, those of
//! scales and offsets within the documented bound (`tests/methods/oracle.rs`).

#[path = "../../tests/methods/oracle.rs"]
#[allow(dead_code)]
mod oracle;

use arbitrary::{Arbitrary, Unstructured};
use diffquant::{
    CodeRange, DifferentiableQuantizer, PiQuantDifferentiable, QuantGranularity, SteVariant, UniformQuantizer,
};
use oracle::{Element, Grid, Group, Sum, scale_factor};

/// A call, with its arguments.
#[derive(Arbitrary, Debug)]
enum Call {
    SetSte(Ste, f32),
    SetHalfEven(bool),
    SetRange(u8),
    SetSymmetric(bool),
    SetShape { dimensions: Vec<u8>, axis: u8, granularity: u8, block: u8 },
    Channels(u8),
    SetScale(f32),
    SetScales(f32, f32),
    SetZeroPoints(i8),
    SetOffsets(f32),
    MaxAbs(u16),
    ScaleStep { gradient: f32, rate: f32, least: f32 },
    Forward(u16),
    Backward(u16, bool),
    BackwardScale(u16),
    Dequantize(u16),
}

#[derive(Arbitrary, Debug)]
enum Ste {
    Standard,
    Clipped,
    LearnedStepSize,
    Ewgs,
    RangeClipped,
    Lsq,
    LsqPlus,
    EwgsSigned,
}

impl Ste {
    fn with(&self, parameter: f32) -> SteVariant {
        match self {
            Ste::Standard => SteVariant::Standard,
            Ste::Clipped => SteVariant::Clipped { clip_val: parameter },
            Ste::LearnedStepSize => SteVariant::LearnedStepSize,
            Ste::Ewgs => SteVariant::Ewgs { lambda: parameter },
            Ste::RangeClipped => SteVariant::RangeClipped,
            Ste::Lsq => SteVariant::Lsq,
            Ste::LsqPlus => SteVariant::LsqPlus,
            Ste::EwgsSigned => SteVariant::EwgsSigned { delta: parameter },
        }
    }
}

/// A quantizer and what it must be.
struct Model {
    quantizer: Box<dyn DifferentiableQuantizer>,
    grid: Grid,
    symmetric: bool,
    groups: Vec<Group>,
    /// The shape, if one was declared.
    shape: Option<Vec<usize>>,
    random: u32,
}

/// Steps whose residuals are as accurate as documented.
const ORDINARY: std::ops::Range<f32> = 1e-30..1e30;

/// Whether numbers are the same, NaN being the same as NaN.
fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

impl Model {
    fn new(bits: u32, k: Option<u32>) -> Option<Model> {
        let quantizer: Box<dyn DifferentiableQuantizer> = match k {
            Some(k) => Box::new(PiQuantDifferentiable::new(bits, k).ok()?),
            None => Box::new(UniformQuantizer::new(bits, SteVariant::Standard).ok()?),
        };
        let grid = Grid { bits, range: CodeRange::Full, half_even: false, k };
        let mut model = Model { quantizer, grid, symmetric: true, groups: Vec::new(), shape: None, random: 1 };
        model.read_scales();
        model.reset_zero_points();
        model.groups.iter_mut().for_each(|group| group.offset = 0.0);
        Some(model)
    }

    /// Takes over the steps of the scales, whose rules are others' to check.
    fn read_scales(&mut self) {
        let old = self.groups.first().copied();
        let scales = self.quantizer.scales();
        let changed = scales.len() != self.groups.len();
        for (index, &scale) in scales.iter().enumerate() {
            assert!(scale > 0.0 && scale.is_finite(), "a scale of {scale}");
            let step = self.grid.step(scale);
            assert!(step > 0.0 && step.is_finite(), "a step of {step}");
            match self.groups.get_mut(index) {
                Some(group) => group.step = step,
                None => self.groups.push(Group { step, zero_point: old.map_or(0, |old| old.zero_point), offset: 0.0 }),
            }
        }
        self.groups.truncate(scales.len());
        if changed {
            self.start_over();
        }
    }

    /// What a new shape and a calibration do to zero points and offsets.
    fn start_over(&mut self) {
        let home = self.grid.home();
        self.groups.iter_mut().for_each(|group| (group.zero_point, group.offset) = (home, 0.0));
    }

    fn reset_zero_points(&mut self) {
        let home = self.grid.home();
        self.groups.iter_mut().for_each(|group| group.zero_point = home);
    }

    /// A number near what the quantizer decides on.
    fn number(&mut self, group: Option<Group>) -> f32 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = self.random >> 8;
        let Some(group) = group.filter(|_| !bits.is_multiple_of(7)) else {
            // Any float there is, now and then.
            return if bits.is_multiple_of(35) {
                f32::from_bits(self.random)
            } else {
                (bits % 2048) as f32 / 1024.0 - 1.0
            };
        };
        let halves = (bits >> 4) % 600;
        let near = (halves as f32 - 300.0) * 0.5 * group.step + group.offset;
        match bits % 3 {
            0 => near.next_up(),
            1 => near.next_down(),
            _ => near,
        }
    }

    /// A length near the one that is wanted that can be cut, or any.
    fn length(&mut self, wanted: u16) -> usize {
        let wanted = usize::from(wanted % 1500);
        match &self.shape {
            Some(shape) if wanted % 16 != 0 => shape.iter().product(),
            None if !self.groups.is_empty() && wanted % 16 != 0 => wanted / self.groups.len() * self.groups.len(),
            _ => wanted,
        }
    }

    /// The group of each element of a tensor of `n`, if it can be cut.
    fn cut(&self, n: usize) -> Option<Vec<usize>> {
        let possible = match (&self.shape, self.groups.len()) {
            _ if n == 0 => return Some(Vec::new()),
            (Some(shape), _) => n == shape.iter().product::<usize>(),
            (None, 0) => false,
            (None, groups) => n.is_multiple_of(groups),
        };
        possible.then(|| (0..n).map(|element| self.quantizer.group_of(element, n).unwrap()).collect())
    }

    fn weights(&mut self, cut: &Option<Vec<usize>>, n: usize) -> Vec<f32> {
        (0..n).map(|at| self.number(cut.as_ref().map(|cut| self.groups[cut[at]]))).collect()
    }

    fn make(&mut self, call: &Call) {
        match call {
            Call::SetSte(ste, parameter) => {
                let ste = ste.with(*parameter);
                let allowed = match ste {
                    SteVariant::Clipped { clip_val } => clip_val > 0.0,
                    SteVariant::Ewgs { lambda: number } | SteVariant::EwgsSigned { delta: number } => number >= 0.0,
                    _ => true,
                };
                let before = self.quantizer.ste_variant();
                match self.quantizer.set_ste_variant(ste) {
                    Ok(()) => assert!(allowed, "{ste:?}"),
                    // An infinite parameter may be refused too.
                    Err(_) => {
                        assert!(!allowed || parameter.is_infinite(), "{ste:?}");
                        assert_eq!(self.quantizer.ste_variant(), before);
                    }
                }
            }
            Call::SetHalfEven(half_even) => {
                self.quantizer.set_rounds_half_even(*half_even);
                self.grid.half_even = *half_even;
            }
            Call::SetRange(range) => {
                self.grid.range = [CodeRange::Full, CodeRange::Narrow, CodeRange::Unsigned][usize::from(range % 3)];
                self.quantizer.set_code_range(self.grid.range);
                self.reset_zero_points();
            }
            Call::SetSymmetric(symmetric) => {
                self.quantizer.set_symmetric(*symmetric);
                self.symmetric = *symmetric;
                if self.symmetric {
                    self.reset_zero_points();
                }
            }
            Call::SetShape { dimensions, axis, granularity, block } => {
                let granularity = match granularity % 4 {
                    0 => QuantGranularity::PerTensor,
                    1 => QuantGranularity::PerChannel,
                    2 => QuantGranularity::PerToken,
                    _ => QuantGranularity::PerBlock { block_size: usize::from(*block) },
                };
                if self.quantizer.set_granularity(granularity).is_err() {
                    assert_eq!(granularity, QuantGranularity::PerBlock { block_size: 0 });
                    return;
                }
                self.shape = None;
                let shape: Vec<usize> =
                    dimensions.iter().take(17).map(|dimension| usize::from(dimension % 40)).collect();
                let elements = shape.iter().fold(1usize, |all, dimension| all.saturating_mul(*dimension));
                if elements <= 4096 && self.quantizer.set_shape(&shape, usize::from(*axis)).is_ok() {
                    assert!(!shape.is_empty() && shape.len() <= 16 && elements > 0);
                    self.shape = Some(shape);
                }
                self.groups.clear();
                self.read_scales();
                self.start_over();
            }
            Call::Channels(channels) => {
                let done = self.quantizer.init_per_channel(usize::from(*channels));
                assert_eq!(done.is_ok(), *channels > 0);
                if done.is_ok() {
                    self.shape = None;
                    self.groups.clear();
                    self.read_scales();
                    self.start_over();
                }
            }
            Call::SetScale(scale) => {
                let _ = self.quantizer.set_scale(*scale);
                self.read_scales();
            }
            Call::SetScales(first, ratio) => {
                let scales: Vec<f32> = (0..self.groups.len()).map(|index| first + ratio * index as f32).collect();
                let before = self.quantizer.scales().to_vec();
                match self.quantizer.set_scales(&scales) {
                    Ok(()) => assert_eq!(self.quantizer.scales(), scales),
                    Err(_) => assert_eq!(self.quantizer.scales(), before),
                }
                self.read_scales();
            }
            Call::SetZeroPoints(zero_point) => {
                let (min, max) = self.grid.codes();
                let zero_point = i32::from(*zero_point);
                let done = self.quantizer.set_zero_points(&vec![zero_point; self.groups.len()]);
                let allowed = !self.symmetric && ((min..=max).contains(&zero_point) || self.groups.is_empty());
                assert_eq!(done.is_ok(), allowed, "zero point {zero_point}");
                if allowed {
                    self.groups.iter_mut().for_each(|group| group.zero_point = zero_point);
                }
            }
            Call::SetOffsets(offset) => {
                let done = self.quantizer.set_offsets(&vec![*offset; self.groups.len()]);
                assert_eq!(done.is_ok(), offset.is_finite() || self.groups.is_empty(), "offset {offset}");
                if done.is_ok() {
                    self.groups.iter_mut().for_each(|group| group.offset = *offset);
                }
            }
            Call::MaxAbs(n) => self.max_abs(*n),
            Call::ScaleStep { gradient, rate, least } => {
                let before = self.quantizer.scales().to_vec();
                let gradients = vec![*gradient; self.groups.len()];
                match self.quantizer.apply_scale_step(&gradients, *rate, *least) {
                    Ok(projected) => {
                        assert!(projected <= before.len());
                        assert!(self.quantizer.scales().iter().all(|scale| scale >= least));
                    }
                    Err(_) => assert_eq!(self.quantizer.scales(), before),
                }
                self.read_scales();
            }
            Call::Forward(n) => self.forward(*n),
            Call::Backward(n, given) => self.backward(*n, *given),
            Call::BackwardScale(n) => self.backward_scale(*n),
            Call::Dequantize(n) => self.dequantize(*n),
        }
    }

    fn max_abs(&mut self, n: u16) {
        let n = self.length(n);
        let cut = self.cut(n);
        let w: Vec<f32> = self.weights(&cut, n);
        let before = self.quantizer.scales().to_vec();
        let done = self.quantizer.init_scale(&w);
        let finite = w.iter().all(|w| w.is_finite());
        if done.is_ok() {
            assert!(n == 0 || (cut.is_some() && finite));
            self.read_scales();
            if n > 0 {
                self.start_over();
            }
        } else {
            assert_eq!(self.quantizer.scales(), before);
        }
    }

    fn elements(&self, cut: &[usize], w: &[f32]) -> Vec<Element> {
        w.iter().zip(cut).map(|(w, group)| Element::new(*w, &self.grid, &self.groups[*group])).collect()
    }

    fn forward(&mut self, n: u16) {
        let n = self.length(n);
        let cut = self.cut(n);
        let w = self.weights(&cut, n);
        let found = self.quantizer.forward(&w);
        let Some(cut) = cut else { return assert!(found.is_err()) };
        let (codes, values) = found.expect("a tensor that can be cut");
        for (at, element) in self.elements(&cut, &w).iter().enumerate() {
            assert_eq!(codes[at], element.code, "{element:?}");
            assert!(same(values[at], element.value), "{} is not that of {element:?}", values[at]);
        }
    }

    fn backward(&mut self, n: u16, given: bool) {
        let n = self.length(n);
        let cut = self.cut(n);
        let (w, grad_out) = (self.weights(&cut, n), self.weights(&None, n));
        let mut grad_w = vec![7.0; n];
        let Some(cut) = cut else {
            return assert!(self.quantizer.backward_into(&w, None, &grad_out, &mut grad_w).is_err());
        };
        let elements = self.elements(&cut, &w);
        let values: Vec<f32> = elements.iter().map(|element| element.value).collect();
        self.quantizer.backward_into(&w, given.then_some(&values), &grad_out, &mut grad_w).expect("it can be cut");
        self.check_weight_gradients(&cut, &elements, &grad_out, &grad_w);
    }

    fn check_weight_gradients(&self, cut: &[usize], elements: &[Element], grad_out: &[f32], grad_w: &[f32]) {
        for (at, element) in elements.iter().enumerate() {
            let (expected, bound) = element.weight_gradient(self.quantizer.ste_variant(), grad_out[at]);
            let near = (f64::from(grad_w[at]) - f64::from(expected)).abs() <= bound;
            // A residual is a product with one over the step, which has to be a float.
            let is_ordinary = expected.abs() < 1e30 && ORDINARY.contains(&self.groups[cut[at]].step);
            let wild = bound > 0.0 && !is_ordinary;
            assert!(same(grad_w[at], expected) || near || wild, "{} is not that of {element:?}", grad_w[at]);
        }
    }

    fn backward_scale(&mut self, n: u16) {
        let n = self.length(n);
        let cut = self.cut(n);
        let w = self.weights(&cut, n);
        let grad_out: Vec<f32> = self.weights(&None, n).iter().map(|g| if g.abs() < 1e9 { *g } else { 1.0 }).collect();
        let (mut grad_w, mut grad_scale) = (vec![7.0; n], vec![7.0; self.groups.len()]);
        let done = self.quantizer.backward_scale_into(&w, &grad_out, Some(&mut grad_w), &mut grad_scale);
        let Some(cut) = cut else { return assert!(done.is_err()) };
        done.expect("it can be cut");
        let elements = self.elements(&cut, &w);
        self.check_weight_gradients(&cut, &elements, &grad_out, &grad_w);
        let ste = self.quantizer.ste_variant();
        let mut sums = vec![Sum::default(); self.groups.len()];
        for (element, (group, g)) in elements.iter().zip(cut.iter().zip(&grad_out)) {
            sums[*group].add(f64::from(*g) * element.slope_of_step(ste));
        }
        for (group, sum) in sums.iter().enumerate().filter(|_| n > 0) {
            if ORDINARY.contains(&self.groups[group].step) {
                let factor = scale_factor(ste, &self.grid, sum.count);
                assert!(sum.agrees(grad_scale[group], factor), "group {group}: {} for {sum:?}", grad_scale[group]);
            }
        }
    }

    fn dequantize(&mut self, n: u16) {
        let n = self.length(n);
        let cut = self.cut(n);
        let codes: Vec<i8> = (0..n).map(|at| (at * 37) as i8).collect();
        let found = self.quantizer.dequantize(&codes);
        let Some(cut) = cut else { return assert!(found.is_err()) };
        for (at, value) in found.expect("it can be cut").iter().enumerate() {
            let Group { step, zero_point, offset } = self.groups[cut[at]];
            let level = (i32::from(codes[at]) - zero_point) as f32 * step;
            let expected = if offset == 0.0 { level } else { level + offset };
            assert!(same(*value, expected), "{value} for code {}, not {expected}", codes[at]);
        }
    }
}

/// Makes the calls that the bytes stand for.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let (Ok(bits), Ok(k), Ok(seed)) =
        (input.int_in_range(0..=10), Option::<u8>::arbitrary(&mut input), u32::arbitrary(&mut input))
    else {
        return;
    };
    let Some(mut model) = Model::new(bits, k.map(|k| u32::from(k % 8))) else { return };
    model.random = seed;
    for _ in 0..40 {
        let Ok(call) = Call::arbitrary(&mut input) else { return };
        model.make(&call);
        if input.is_empty() {
            return;
        }
    }
}
