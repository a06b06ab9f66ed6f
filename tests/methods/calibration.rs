//! Scales from weights by every method but the smallest squared error, which [`crate::mse`] tests.

use crate::cases::{Case, Layout, Settings, bits, layouts, settings};
use crate::oracle::{Element, Grid, Group};
use crate::random::Random;
use diffquant::{
    CodeRange, DifferentiableQuantizer, Error, Observer, ObserverKind, PiQuantDifferentiable, QuantGranularity,
    ScaleInit, SteVariant, UniformQuantizer,
};

/// Weights by group, sorted.
fn by_group(w: &[f32], groups: &[usize], count: usize) -> Vec<Vec<f32>> {
    let mut sorted = vec![Vec::new(); count];
    for (w, &group) in w.iter().zip(groups) {
        sorted[group].push(*w);
    }
    sorted.iter_mut().for_each(|group| group.sort_by(f32::total_cmp));
    sorted
}

/// A case calibrated with weights of which every group has a spread, a shift and maybe zeros of its own.
fn calibrated(layout: &Layout, settings: Settings, method: ScaleInit, seed: u64) -> (Case, Vec<Vec<f32>>, Vec<f32>) {
    let random = &mut Random::new(seed);
    let mut case = Case::new(format!("{method:?}, seed {seed}"), layout, settings, SteVariant::Standard, random);
    let groups = layout.groups();
    let draw = |&group: &usize| match group % 6 {
        5 => 0.0,
        4 => random.gaussian().abs() as f32,
        3 => -random.gaussian().abs() as f32,
        spread => (random.gaussian() * (1 + spread) as f64 + 0.5) as f32,
    };
    let w: Vec<f32> = groups.iter().map(draw).collect();
    case.quantizer.init_scale_with(method, &w).unwrap();
    let sorted = by_group(&w, &groups, layout.scales());
    (case, sorted, w)
}

/// Calls `check` with every layout, calibrated, in several settings: the case, each group and its weights, sorted.
fn for_every_group(method: ScaleInit, mut check: impl FnMut(&Case, usize, &[f32])) {
    for (index, layout) in layouts().iter().enumerate() {
        for round in 0..4 {
            let seed = (10 * index + round) as u64 + (1 << 44);
            let settings = settings(round, &mut Random::new(seed));
            let (case, sorted, _) = calibrated(layout, settings, method, seed);
            for (group, weights) in sorted.iter().enumerate() {
                if weights.iter().all(|w| *w == 0.0) {
                    assert_eq!(case.quantizer.scales()[group], 1.0, "{case}, group {group}");
                }
                check(&case, group, weights);
            }
        }
    }
}

fn step_and_zero_point(case: &Case, group: usize) -> (f64, i32) {
    (f64::from(case.quantizer.step_size(group).unwrap()), case.quantizer.zero_point(group).unwrap())
}

/// The smallest and the largest of sorted weights and 0.
fn ends(sorted: &[f32]) -> (f64, f64) {
    (f64::from(sorted[0].min(0.0)), f64::from(sorted[sorted.len() - 1].max(0.0)))
}

/// The step and the zero point at which the range of codes covers two ends, as near as floats come to it.
fn check_covering(case: &Case, group: usize, (min, max): (f64, f64)) {
    let (step, zero_point) = step_and_zero_point(case, group);
    let (lowest, highest) = case.grid.codes();
    let context = format!("{case}, group {group}: {min} to {max} with step {step}, zero point {zero_point}");
    if min == max {
        return;
    }
    if case.quantizer.is_symmetric() {
        assert_eq!(zero_point, case.grid.home(), "{context}");
        let needed = |end: f64, code: i32| if code == zero_point { 0.0 } else { end / f64::from(code - zero_point) };
        let expected = needed(min, lowest).max(needed(max, highest));
        let nothing_above = expected == 0.0;
        assert!(nothing_above || (step / expected - 1.0).abs() < 1e-6, "{context}: not {expected}");
    } else {
        let expected = (max - min) / f64::from(highest - lowest);
        assert!((step / expected - 1.0).abs() < 1e-6, "{context}: not {expected}");
        let place = f64::from(lowest) - min / expected;
        assert!((f64::from(zero_point) - place).abs() < 0.5 + 1e-6, "{context}: not {place}");
    }
}

#[test]
fn min_max_covers_every_weight_and_0_is_a_value() {
    for_every_group(ScaleInit::MinMax, |case, group, sorted| {
        check_covering(case, group, ends(sorted));
        let (step, zero_point) = step_and_zero_point(case, group);
        let parameters = Group { step: step as f32, zero_point, offset: 0.0 };
        assert_eq!(Element::new(0.0, &case.grid, &parameters).value, 0.0, "{case}, group {group}");
        let one_sided = case.quantizer.is_symmetric() && case.grid.range == CodeRange::Unsigned;
        for w in sorted.iter().filter(|w| !one_sided || **w >= 0.0) {
            let value = Element::new(*w, &case.grid, &parameters).value;
            let distance = (f64::from(*w) - f64::from(value)).abs();
            assert!(distance <= 0.5 * step * (1.0 + 1e-5), "{case}, group {group}: {w} became {value}, step {step}");
        }
    });
}

#[test]
fn lsq_gives_twice_the_mean_magnitude_by_the_root_of_the_largest_level() {
    for_every_group(ScaleInit::Lsq, |case, group, sorted| {
        let (step, zero_point) = step_and_zero_point(case, group);
        assert_eq!(zero_point, case.grid.home(), "{case}, group {group}");
        let mean = sorted.iter().map(|w| f64::from(w.abs())).sum::<f64>() / sorted.len() as f64;
        let expected = 2.0 * mean / f64::from(case.grid.codes().1 - zero_point).sqrt();
        assert!(mean == 0.0 || (step / expected - 1.0).abs() < 1e-6, "{case}, group {group}: {step}, not {expected}");
    });
}

/// The smallest of sorted numbers that at least `fraction` of them do not exceed.
fn nearest_rank(sorted: &[f32], fraction: f64) -> f64 {
    let covers = |at: &usize| (at + 1) as f64 >= fraction * sorted.len() as f64 * (1.0 - 1e-12);
    f64::from(sorted[(0..sorted.len()).find(covers).unwrap()])
}

#[test]
fn a_percentile_is_the_nearest_rank_of_the_magnitudes_or_of_both_ends() {
    for percentage in [100.0f32, 99.0, 90.0, 50.0, 1e-3] {
        for_every_group(ScaleInit::Percentile(percentage), |case, group, sorted| {
            let p = f64::from(percentage) / 100.0;
            let (step, zero_point) = step_and_zero_point(case, group);
            if case.quantizer.is_symmetric() {
                let mut magnitudes: Vec<f32> = sorted.iter().map(|w| w.abs()).collect();
                magnitudes.sort_by(f32::total_cmp);
                let largest = f64::from(case.grid.codes().1 - case.grid.home()) + 0.5;
                let expected = nearest_rank(&magnitudes, p) / largest;
                assert_eq!(zero_point, case.grid.home(), "{case}, group {group}");
                let agree = expected == 0.0 || (step / expected - 1.0).abs() < 1e-6;
                assert!(agree, "{case}, group {group}: {step}, not {expected}");
            } else {
                let negated: Vec<f32> = sorted.iter().rev().map(|w| -w).collect();
                let [max, min] = [sorted, &negated].map(|sorted| nearest_rank(sorted, 0.5 + p / 2.0).max(0.0));
                check_covering(case, group, (-min, max));
            }
        });
    }
}

/// 99.9 is no f32: the next one is more, and would ask for the 1000th of 1000.
#[test]
fn a_percentage_means_the_decimal_that_was_written() {
    for (percentage, rank) in [(99.9f32, 999), (99.7, 997), (0.1, 1), (33.3, 333), (99.95, 1000), (100.0, 1000)] {
        let w: Vec<f32> = (1..=1000).map(|at| at as f32).collect();
        let mut quantizer = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
        quantizer.init_scale_with(ScaleInit::Percentile(percentage), &w).unwrap();
        assert_eq!(quantizer.scale(), rank as f32 / 7.5, "{percentage} %");
    }
}

/// Sums of such magnitudes are beyond f32.
#[test]
fn lsq_knows_the_mean_of_weights_near_the_largest_float() {
    for n in [40, 5000] {
        let mut quantizer = UniformQuantizer::new(8, SteVariant::Standard).unwrap();
        let w: Vec<f32> = (0..n).map(|at| if at % 2 == 0 { 3e38 } else { -1e38 }).collect();
        quantizer.init_scale_with(ScaleInit::Lsq, &w).unwrap();
        let expected = 2.0 * 2e38 / 127f64.sqrt();
        assert!((f64::from(quantizer.scale()) / expected - 1.0).abs() < 1e-6, "{n} weights: {}", quantizer.scale());
    }
}

#[test]
fn a_percentage_out_of_range_is_refused() {
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
    for bad in [0.0, -1.0, 100.1, f32::NAN, f32::INFINITY] {
        let refusal = quantizer.init_scale_with(ScaleInit::Percentile(bad), &[1.0]).unwrap_err();
        assert!(matches!(refusal, Error::InvalidArgument { argument: "percentile", .. }), "{refusal}");
        assert_eq!(quantizer.scale(), 0.125);
    }
}

const METHODS: [ScaleInit; 5] =
    [ScaleInit::MaxAbs, ScaleInit::MinMax, ScaleInit::Lsq, ScaleInit::Percentile(99.0), ScaleInit::Mse];

/// Every method with every layout gives each group what it gives that group's weights alone.
#[test]
fn every_method_calibrates_each_group_as_if_it_were_alone() {
    for (index, layout) in layouts().iter().enumerate() {
        let method = METHODS[index % METHODS.len()];
        for (round, symmetric) in [true, false].into_iter().enumerate() {
            let seed = (10 * index + round) as u64 + (1 << 45);
            let grid = Grid { bits: 3 + (index % 3) as u32, range: CodeRange::Full, half_even: false, k: None };
            let settings = Settings { grid, symmetric, with_offsets: false };
            let (case, _, w) = calibrated(layout, settings, method, seed);
            let groups = layout.groups();
            for group in (0..layout.scales()).step_by(1 + layout.scales() / 20) {
                let alone: Vec<f32> = w.iter().zip(&groups).filter(|(_, of)| **of == group).map(|(w, _)| *w).collect();
                let mut quantizer = UniformQuantizer::new(grid.bits, SteVariant::Standard).unwrap();
                quantizer.set_symmetric(symmetric);
                quantizer.init_scale_with(method, &alone).unwrap();
                let expected = (f64::from(quantizer.scale()), quantizer.zero_point(0).unwrap());
                let found = step_and_zero_point(&case, group);
                // Sums are laid out by layout; nothing else may differ, but for zero points that are as good as each other.
                let error = |(step, zero_point): (f64, i32)| -> f64 {
                    let group = Group { step: step as f32, zero_point, offset: 0.0 };
                    let value = |w: &f32| f64::from(Element::new(*w, &grid, &group).value);
                    alone.iter().map(|w| (f64::from(*w) - value(w)).powi(2)).sum()
                };
                let same = (found.0 / expected.0 - 1.0).abs() < 1e-6 && found.1 == expected.1;
                let as_good = method == ScaleInit::Mse && error(found) <= error(expected) * 1.0001 + 1e-9;
                assert!(same || as_good, "{case}, group {group}: {found:?}, not {expected:?}");
            }
        }
    }
}

#[test]
fn a_group_of_zeros_gets_scale_1_and_a_weight_that_is_not_finite_is_named() {
    for method in METHODS {
        for symmetric in [true, false] {
            let mut quantizer = UniformQuantizer::new(5, SteVariant::Standard).unwrap();
            quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
            quantizer.set_shape(&[50, 3], 1).unwrap();
            quantizer.set_symmetric(symmetric);
            let mut w = vec![0.0f32; 150];
            (0..150).step_by(3).for_each(|at| w[at + 2] = at as f32 - 70.0);
            quantizer.init_scale_with(method, &w).unwrap();
            assert_eq!(quantizer.scales()[..2], [1.0; 2], "{method:?}");
            let before = (bits(quantizer.scales()), quantizer.zero_point(2));
            assert_ne!(before.0[2], 1.0f32.to_bits(), "{method:?}");

            quantizer.init_scale_with(method, &[]).unwrap();
            assert_eq!((bits(quantizer.scales()), quantizer.zero_point(2)), before, "{method:?}: no weights");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 74, 149] {
                    let mut w = w.clone();
                    w[at] = bad;
                    let refusal = quantizer.init_scale_with(method, &w).unwrap_err();
                    let Error::NonFinite { argument: "w", index, value } = refusal else { panic!("{refusal}") };
                    assert_eq!((index, value.to_bits()), (at, bad.to_bits()), "{method:?}");
                    assert_eq!((bits(quantizer.scales()), quantizer.zero_point(2)), before, "{method:?}, {bad}");
                }
            }
        }
    }
}

#[test]
fn zeros_give_a_pi_quantizer_alpha_1() {
    let mut observer = Observer::new(ObserverKind::Histogram).unwrap();
    observer.observe(&[0.0; 9]).unwrap();
    for method in METHODS {
        for symmetric in [true, false] {
            let mut quantizer = PiQuantDifferentiable::new(3, 4).unwrap();
            quantizer.set_symmetric(symmetric);
            quantizer.set_scale(0.5).unwrap();
            quantizer.init_scale_with(method, &[0.0; 9]).unwrap();
            assert_eq!((quantizer.scale(), quantizer.zero_point(0)), (1.0, Ok(0)), "{method:?}");
            quantizer.set_scale(0.5).unwrap();
            quantizer.init_scale_from(&observer, method).unwrap();
            assert_eq!((quantizer.scale(), quantizer.zero_point(0)), (1.0, Ok(0)), "{method:?}, observed");
        }
    }
}

/// Scales at the ends of what floats can be: still positive, still finite.
#[test]
fn weights_of_any_size_give_scales_that_are_finite_and_positive() {
    for method in METHODS {
        for symmetric in [true, false] {
            for size in [1e-45f32, 1e-40, 1e-20, 1e20, 1e36, 2e38] {
                let mut quantizer = UniformQuantizer::new(8, SteVariant::Standard).unwrap();
                quantizer.set_symmetric(symmetric);
                let w: Vec<f32> = (0..40).map(|at| size * (at as f32 / 20.0 - 0.9)).collect();
                quantizer.init_scale_with(method, &w).unwrap();
                let scale = quantizer.scale();
                assert!(scale > 0.0 && scale.is_finite(), "{method:?}, {size}: {scale}");
            }
        }
    }
}
