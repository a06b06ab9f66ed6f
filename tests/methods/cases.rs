//! The shapes and settings that everything is tried with, and weights that hit every decision.

use crate::oracle::{Grid, Group};
use crate::random::Random;
use diffquant::{
    CodeRange, DifferentiableQuantizer, PiQuantDifferentiable, QuantGranularity, SteVariant, UniformQuantizer,
};
use std::fmt;

/// A granularity and the shape that it is for.
#[derive(Debug, Clone)]
pub enum Layout {
    Shaped {
        granularity: QuantGranularity,
        shape: Vec<usize>,
        axis: usize,
    },
    /// `init_per_channel`: equal, contiguous slices.
    Channels {
        channels: usize,
        len: usize,
    },
}

impl Layout {
    pub fn new(granularity: QuantGranularity, shape: &[usize], axis: usize) -> Layout {
        Layout::Shaped { granularity, shape: shape.to_vec(), axis }
    }

    pub fn elements(&self) -> usize {
        match self {
            Layout::Shaped { shape, .. } => shape.iter().product(),
            Layout::Channels { channels, len } => channels * len,
        }
    }

    /// How many scales there are, as `src/layout.rs` counts them.
    pub fn scales(&self) -> usize {
        let Layout::Shaped { granularity, shape, axis } = self else {
            let Layout::Channels { channels, .. } = self else { unreachable!() };
            return *channels;
        };
        match granularity {
            QuantGranularity::PerTensor => 1,
            QuantGranularity::PerChannel => shape[*axis],
            QuantGranularity::PerToken => shape[..shape.len() - 1].iter().product(),
            QuantGranularity::PerBlock { block_size } => {
                let blocks = shape[*axis].div_ceil(*block_size);
                shape.iter().enumerate().map(|(at, len)| if at == *axis { blocks } else { *len }).product()
            }
        }
    }

    /// The scale of an element, from its coordinates.
    pub fn scale_of(&self, element: usize) -> usize {
        let Layout::Shaped { granularity, shape, axis } = self else {
            let Layout::Channels { len, .. } = self else { unreachable!() };
            return element / len;
        };
        let mut coordinates = vec![0; shape.len()];
        let mut rest = element;
        for (coordinate, len) in coordinates.iter_mut().zip(shape).rev() {
            (*coordinate, rest) = (rest % len, rest / len);
        }
        // Row-major: the place among tensors of the shape `shape`, of which some coordinates are replaced.
        let place = |coordinates: &[usize], shape: &[usize]| {
            coordinates.iter().zip(shape).fold(0, |place, (coordinate, len)| place * len + coordinate)
        };
        let last = shape.len() - 1;
        match granularity {
            QuantGranularity::PerTensor => 0,
            QuantGranularity::PerChannel => coordinates[*axis],
            QuantGranularity::PerToken => place(&coordinates[..last], &shape[..last]),
            QuantGranularity::PerBlock { block_size } => {
                let mut blocks = shape.clone();
                blocks[*axis] = shape[*axis].div_ceil(*block_size);
                coordinates[*axis] /= block_size;
                place(&coordinates, &blocks)
            }
        }
    }

    /// The scale of every element.
    pub fn groups(&self) -> Vec<usize> {
        (0..self.elements()).map(|element| self.scale_of(element)).collect()
    }

    pub fn declare_to(&self, quantizer: &mut dyn DifferentiableQuantizer) {
        match self {
            Layout::Shaped { granularity, shape, axis } => {
                quantizer.set_granularity(*granularity).unwrap();
                quantizer.set_shape(shape, *axis).unwrap();
            }
            Layout::Channels { channels, .. } => quantizer.init_per_channel(*channels).unwrap(),
        }
    }
}

/// Every granularity, on every axis, with runs and rows of every kind.
pub fn layouts() -> Vec<Layout> {
    use QuantGranularity::*;
    let mut layouts = Vec::new();
    for n in [1, 31, 77, 256, 257, 1000, 5000] {
        layouts.push(Layout::new(PerTensor, &[n], 0));
    }
    layouts.push(Layout::new(PerTensor, &[3, 5, 7], 1));
    for inner in [1, 3, 9, 64, 300] {
        layouts.push(Layout::Channels { channels: 7, len: inner });
        layouts.push(Layout::new(PerChannel, &[5, inner], 0));
        layouts.push(Layout::new(PerChannel, &[3, 5, inner], 1));
        layouts.push(Layout::new(PerChannel, &[70, 5, inner], 2));
        layouts.push(Layout::new(PerToken, &[3, 2, inner], 0));
    }
    layouts.push(Layout::new(PerChannel, &[4, 1, 50], 1));
    layouts.push(Layout::new(PerChannel, &[130, 7, 3], 1));
    layouts.push(Layout::new(PerChannel, &[2, 1500], 1));
    layouts.push(Layout::new(PerChannel, &[600, 33], 1));
    layouts.push(Layout::new(PerToken, &[40], 0));
    layouts.push(Layout::new(PerToken, &[200, 9], 0));
    for block_size in [1, 5, 32, 100, 1000] {
        for (shape, axis) in [
            (&[130][..], 0),
            (&[37, 3], 0),
            (&[203, 64], 0),
            (&[64, 1100], 0),
            (&[3, 37, 5], 1),
            (&[2, 130, 33], 1),
            (&[5, 37], 1),
            (&[2, 3, 160], 2),
            (&[4, 1, 333], 2),
        ] {
            layouts.push(Layout::new(PerBlock { block_size }, shape, axis));
        }
    }
    layouts
}

/// Uniform or pi, and everything but the layout and the estimator.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub grid: Grid,
    pub symmetric: bool,
    pub with_offsets: bool,
}

/// A case that cycles through settings with the number of the case.
pub fn settings(case: usize, random: &mut Random) -> Settings {
    let k = (case % 3 == 2).then(|| 2 + random.below(4) as u32);
    let most_bits = if k.is_some() { 5 } else { 8 };
    let bits = 2 + random.below(most_bits - 1) as u32;
    let range = random.one_of(&[CodeRange::Full, CodeRange::Narrow, CodeRange::Unsigned]);
    let grid = Grid { bits, range, half_even: random.below(2) == 1, k };
    Settings { grid, symmetric: random.below(2) == 1, with_offsets: random.below(3) == 0 }
}

/// A quantizer with its parameters, and what they are.
pub struct Case {
    pub name: String,
    pub layout: Layout,
    pub grid: Grid,
    pub groups: Vec<Group>,
    pub quantizer: Box<dyn DifferentiableQuantizer>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}, {:?}, {:?}", self.name, self.layout, self.grid, self.quantizer.ste_variant())
    }
}

impl Case {
    pub fn new(name: String, layout: &Layout, settings: Settings, ste: SteVariant, random: &mut Random) -> Case {
        let grid = settings.grid;
        let mut quantizer: Box<dyn DifferentiableQuantizer> = match grid.k {
            Some(k) => Box::new(PiQuantDifferentiable::new(grid.bits, k).unwrap()),
            None => Box::new(UniformQuantizer::new(grid.bits, SteVariant::Standard).unwrap()),
        };
        let quantizer_mut = quantizer.as_mut();
        layout.declare_to(quantizer_mut);
        quantizer_mut.set_ste_variant(ste).unwrap();
        quantizer_mut.set_rounds_half_even(grid.half_even);
        quantizer_mut.set_code_range(grid.range);
        quantizer_mut.set_symmetric(settings.symmetric);
        let count = layout.scales();
        // Powers of two, of which every tie and bound is exact, among scales of all kinds.
        let scale = |random: &mut Random| match random.below(3) {
            0 => random.one_of(&[0.25, 0.5, 1.0, 2.0]),
            _ => random.between(-4.0, 4.0).exp2() as f32,
        };
        let scales: Vec<f32> = (0..count).map(|_| scale(random)).collect();
        quantizer_mut.set_scales(&scales).unwrap();
        let (min, max) = grid.codes();
        let mut zero_points = vec![grid.home(); count];
        if !settings.symmetric {
            let draw = |_| min + random.below((max - min + 1) as usize) as i32;
            zero_points = (0..count).map(draw).collect();
            quantizer_mut.set_zero_points(&zero_points).unwrap();
        }
        let mut offsets = vec![0.0; count];
        if settings.with_offsets {
            offsets = random.many(count, |random| random.between(-2.0, 2.0));
            quantizer_mut.set_offsets(&offsets).unwrap();
        }
        let parameters = scales.iter().zip(zero_points).zip(offsets);
        let groups =
            parameters.map(|((&scale, zero_point), offset)| Group { step: grid.step(scale), zero_point, offset });
        Case { name, layout: layout.clone(), grid, groups: groups.collect(), quantizer }
    }

    /// Weights around the range of their groups: on bounds and ties, one float beside them, and none that is a number.
    pub fn weights(&self, groups: &[usize], random: &mut Random) -> Vec<f32> {
        let weight = |&group: &usize| {
            let group = &self.groups[group];
            let (lowest, highest) = self.grid.levels(group);
            let (low, high) = (f64::from(lowest), f64::from(highest));
            let level = match random.below(12) {
                0 => random.one_of(&[low, high]),
                1 => random.one_of(&[low - 0.5, high + 0.5, low + 0.5, high - 0.5]),
                2 => f64::from(random.below((highest - lowest) as usize) as i32 + lowest) + 0.5,
                3 => f64::from(random.below((highest - lowest) as usize) as i32 + lowest),
                _ => random.between(low - 1.5, high + 1.5),
            };
            let w = level as f32 * group.step + group.offset;
            match random.below(60) {
                0 => w.next_up(),
                1 => w.next_down(),
                2 => random.one_of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0, -0.0, 1e-40]),
                _ => w,
            }
        };
        groups.iter().map(weight).collect()
    }
}

/// Floats as bits, for comparisons that tell NaN from NaN and 0 from -0.
pub fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}
