//! Scale and offset gradients against central finite differences of the loss.
//!
//! An estimator differentiates not the rounding but a surrogate in which the distance that rounding moves a weight is a
//! constant: `value(step, offset) = step * (clip((w - offset) / step) + rest) + offset`, where `rest` is what it was at the
//! parameters in use. The test computes that surrogate, and a smooth loss of it, in f64.

use crate::cases::{Case, Layout, Settings};
use crate::oracle::{Grid, Group};
use crate::random::Random;
use diffquant::{CodeRange, QuantGranularity, SteVariant};

/// A weight in the surrogate.
struct Surrogate {
    w: f64,
    /// Where the weight stops being followed.
    low: f64,
    high: f64,
    rest: f64,
    /// The term of the loss is `amplitude * sin(frequency * value)`.
    amplitude: f64,
    frequency: f64,
}

impl Surrogate {
    fn value(&self, step: f64, offset: f64) -> f64 {
        step * (((self.w - offset) / step).clamp(self.low, self.high) + self.rest) + offset
    }

    fn loss(&self, step: f64, offset: f64) -> f64 {
        self.amplitude * (self.frequency * self.value(step, offset)).sin()
    }

    fn loss_by_value(&self, step: f64, offset: f64) -> f64 {
        self.amplitude * self.frequency * (self.frequency * self.value(step, offset)).cos()
    }
}

/// A weight away from every place where a difference would see another piece of the surrogate.
fn weight_of(group: &Group, grid: &Grid, clipped: bool, random: &mut Random) -> Surrogate {
    let (lowest, highest) = grid.levels(group);
    let beyond = if clipped { 0.5 } else { 0.0 };
    let (low, high) = (f64::from(lowest) - beyond, f64::from(highest) + beyond);
    loop {
        let (step, offset) = (f64::from(group.step), f64::from(group.offset));
        let w = f64::from((random.between(low - 1.0, high + 1.0) * step + offset) as f32);
        let quotient = (w - offset) / step;
        let to_bound = (quotient - low).abs().min((quotient - high).abs());
        let to_tie = (quotient - quotient.floor() - 0.5).abs();
        if to_bound > 0.01 && to_tie > 0.01 {
            let followed = quotient.clamp(low, high);
            let rounded = followed.round().clamp(f64::from(lowest), f64::from(highest));
            let (amplitude, frequency) = (random.gaussian(), random.between(0.2, 1.0) / step);
            return Surrogate { w, low, high, rest: rounded - followed, amplitude, frequency };
        }
    }
}

fn check(seed: u64, layout: &Layout, settings: Settings, ste: SteVariant) {
    let random = &mut Random::new(seed);
    let case = Case::new(format!("seed {seed}"), layout, settings, ste, random);
    let (grid, groups) = (case.grid, layout.groups());
    let clipped = ste == SteVariant::RangeClipped;
    let weights: Vec<Surrogate> =
        groups.iter().map(|&group| weight_of(&case.groups[group], &grid, clipped, random)).collect();
    let parameters = |group: usize| (f64::from(case.groups[group].step), f64::from(case.groups[group].offset));

    let w: Vec<f32> = weights.iter().map(|weight| weight.w as f32).collect();
    let loss_by_value = |(weight, &group): (&Surrogate, &usize)| {
        let (step, offset) = parameters(group);
        weight.loss_by_value(step, offset) as f32
    };
    let grad_out: Vec<f32> = weights.iter().zip(&groups).map(loss_by_value).collect();
    // The surrogate's values are the quantizer's.
    let (_, values) = case.quantizer.forward(&w).unwrap();
    for ((weight, &group), value) in weights.iter().zip(&groups).zip(&values) {
        let (step, offset) = parameters(group);
        let expected = weight.value(step, offset);
        assert!((f64::from(*value) - expected).abs() < 1e-4 * step, "{case}: {value}, not {expected}");
    }
    let (mut grad_scale, mut grad_offset) = (vec![0.0; case.groups.len()], vec![0.0; case.groups.len()]);
    case.quantizer.backward_scale_offset_into(&w, &grad_out, None, &mut grad_scale, &mut grad_offset).unwrap();

    for group in 0..case.groups.len() {
        let (step, offset) = parameters(group);
        let of_group = || weights.iter().zip(&groups).filter(|(_, of)| **of == group).map(|(weight, _)| weight);
        let loss = |step: f64, offset: f64| of_group().map(|weight| weight.loss(step, offset)).sum::<f64>();
        let h = 1e-5 * step;
        let by_step = (loss(step + h, offset) - loss(step - h, offset)) / (2.0 * h);
        let by_offset = (loss(step, offset + h) - loss(step, offset - h)) / (2.0 * h);

        let count = of_group().count() as f64;
        let normaliser = (count * f64::from(grid.codes().1)).sqrt();
        let found = f64::from(grad_scale[group]) * normaliser / grid.step_per_scale();
        // Each term of the sum is at most its gradient times the largest level; the difference is off by less than 1e-7.
        let size: f64 = of_group().map(|weight| weight.loss_by_value(step, offset).abs()).sum();
        let largest = f64::from(1 << grid.bits);
        let (by_step_error, by_offset_error) =
            ((found - by_step).abs(), (f64::from(grad_offset[group]) - by_offset).abs());
        assert!(by_step_error < 3e-6 * size * largest, "{case}, scale {group}: {found}, not {by_step} (size {size})");
        let found = grad_offset[group];
        assert!(
            by_offset_error < 3e-6 * size * largest,
            "{case}, offset {group}: {found}, not {by_offset} (size {size})"
        );
    }
}

#[test]
fn gradients_of_scales_and_offsets_are_the_slopes_of_the_loss_with_the_rounding_residual_held_fixed() {
    let layouts = [
        Layout::new(QuantGranularity::PerTensor, &[700], 0),
        Layout::new(QuantGranularity::PerChannel, &[3, 4, 50], 1),
        Layout::new(QuantGranularity::PerChannel, &[60, 7], 1),
        Layout::new(QuantGranularity::PerToken, &[2, 3, 64], 0),
        Layout::new(QuantGranularity::PerBlock { block_size: 32 }, &[3, 80], 1),
        Layout::new(QuantGranularity::PerBlock { block_size: 15 }, &[40, 6], 0),
    ];
    let mut seed = 1 << 30;
    for ste in [SteVariant::Lsq, SteVariant::RangeClipped, SteVariant::LsqPlus] {
        for (k, most_bits) in [(None, 8), (Some(2), 5), (Some(5), 5)] {
            for bits in 2..=most_bits {
                for range in [CodeRange::Full, CodeRange::Narrow, CodeRange::Unsigned] {
                    for (symmetric, with_offsets) in [(true, false), (false, true)] {
                        seed += 1;
                        let grid = Grid { bits, range, half_even: false, k };
                        let settings = Settings { grid, symmetric, with_offsets };
                        check(seed, &layouts[seed as usize % layouts.len()], settings, ste);
                    }
                }
            }
        }
    }
}
