//! Every estimator's gradients by weights, scales and offsets, against the oracle.

use crate::cases::{Case, Layout, Settings, bits, layouts, settings};
use crate::oracle::{Element, Grid, Sum, scale_factor};
use crate::random::{Random, draw};
use diffquant::{CodeRange, Error, QuantGranularity, RoundingMode, SteVariant};

const ESTIMATORS: [SteVariant; 8] = [
    SteVariant::Standard,
    SteVariant::Clipped { clip_val: 1.25 },
    SteVariant::LearnedStepSize,
    SteVariant::Ewgs { lambda: 0.7 },
    SteVariant::RangeClipped,
    SteVariant::Lsq,
    SteVariant::LsqPlus,
    SteVariant::EwgsSigned { delta: 0.9 },
];

fn same(a: f32, b: f32) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// What an element of a case is quantized to.
fn element_of(case: &Case, at: usize, w: f32, group: usize) -> Element {
    let (quantizer, group) = (&case.quantizer, &case.groups[group]);
    if quantizer.rounding() == RoundingMode::Stochastic {
        let (seed, first) = quantizer.seed();
        Element::drawn(w, &case.grid, group, draw(seed, first + at as u64, case.grid.bits))
    } else {
        Element::new(w, &case.grid, group)
    }
}

/// Everything that a case computes backwards, from what it computes forwards.
fn check(case: &Case, seed: u64) {
    let random = &mut Random::new(seed);
    let groups = case.layout.groups();
    let w = case.weights(&groups, random);
    let n = w.len();
    let grad_out = random.many(n, |random| if random.below(20) == 0 { 0.0 } else { random.gaussian() });
    let (quantizer, ste) = (&case.quantizer, case.quantizer.ste_variant());

    let (codes, values) = quantizer.forward(&w).unwrap();
    let grad_w = quantizer.backward(&w, &values, &grad_out).unwrap();
    let mut sums = vec![(Sum::default(), Sum::default()); case.groups.len()];
    for at in 0..n {
        let (group, g) = (groups[at], grad_out[at]);
        let element = element_of(case, at, w[at], group);
        assert_eq!(codes[at], element.code, "{case}, element {at} of seed {seed}: {element:?}");
        assert!(same(values[at], element.value), "{case}, element {at} of seed {seed}: {} {element:?}", values[at]);
        let (expected, tolerance) = element.weight_gradient(ste, g);
        let found = grad_w[at];
        let agree = same(found, expected) || f64::from((found - expected).abs()) <= tolerance;
        let parameters = case.groups[group];
        assert!(
            agree,
            "{case}, element {at} of seed {seed}: {found}, not {expected}; g {g}, {element:?}, {parameters:?}"
        );
        sums[group].0.add(f64::from(g) * element.slope_of_step(ste));
        sums[group].1.add(f64::from(g) * element.slope_of_offset(ste));
    }

    let mut recomputed = vec![7.0; n];
    quantizer.backward_into(&w, None, &grad_out, &mut recomputed).unwrap();
    assert_eq!(bits(&recomputed), bits(&grad_w), "{case}: without values, seed {seed}");
    let mut in_place = grad_out.clone();
    quantizer.backward_in_place(&w, Some(&values), &mut in_place).unwrap();
    assert_eq!(bits(&in_place), bits(&grad_w), "{case}: in place, seed {seed}");

    let mut grad_scale = vec![f32::NAN; case.groups.len()];
    let mut with_scales = vec![7.0; n];
    quantizer.backward_scale_into(&w, &grad_out, Some(&mut with_scales), &mut grad_scale).unwrap();
    assert_eq!(bits(&with_scales), bits(&grad_w), "{case}: in the pass that sums, seed {seed}");
    for (group, (sum, _)) in sums.iter().enumerate() {
        let factor = scale_factor(ste, &case.grid, sum.count);
        let (found, expected) = (grad_scale[group], sum.sum * factor);
        let parameters = case.groups[group];
        assert!(
            sum.agrees(found, factor),
            "{case}, scale {group} of seed {seed}: {found}, not {expected}; {sum:?}, {parameters:?}"
        );
    }
    let mut alone = vec![f32::NAN; case.groups.len()];
    quantizer.backward_scale_into(&w, &grad_out, None, &mut alone).unwrap();
    assert_eq!(bits(&alone), bits(&grad_scale), "{case}: without the weights, seed {seed}");

    let mut grad_offset = vec![f32::NAN; case.groups.len()];
    let with_offsets = Some(&mut with_scales[..]);
    let outcome = quantizer.backward_scale_offset_into(&w, &grad_out, with_offsets, &mut alone, &mut grad_offset);
    if !ste.reads_range() {
        assert!(matches!(outcome, Err(Error::NotApplicable { .. })), "{case}");
        return;
    }
    outcome.unwrap();
    assert_eq!(bits(&with_scales), bits(&grad_w), "{case}: weights beside offsets, seed {seed}");
    assert_eq!(bits(&alone), bits(&grad_scale), "{case}: scales beside offsets, seed {seed}");
    for (group, (_, sum)) in sums.iter().enumerate() {
        let found = grad_offset[group];
        assert!(sum.agrees(found, 1.0), "{case}, offset {group} of seed {seed}: {found}, not {sum:?}");
    }
}

/// Every estimator with every layout, settings drawn for each.
#[test]
fn gradients_are_those_of_the_formulas_for_every_granularity_and_estimator() {
    let mut cases = 0;
    for (index, layout) in layouts().iter().enumerate() {
        for (estimator, ste) in ESTIMATORS.into_iter().enumerate() {
            for round in 0..3 {
                let seed = (1000 * index + 10 * estimator + round) as u64;
                let random = &mut Random::new(seed);
                let settings = settings(round, random);
                check(&Case::new(format!("seed {seed}"), layout, settings, ste, random), seed);
                cases += 1;
            }
        }
    }
    assert!(cases > 1000, "{cases}");
}

/// The same where the codes are drawn: backward knows what forward drew.
#[test]
fn gradients_are_those_of_the_formulas_where_codes_are_drawn() {
    for (index, layout) in layouts().iter().enumerate() {
        for (estimator, ste) in ESTIMATORS.into_iter().enumerate() {
            let seed = (1 << 30) + (1000 * index + 10 * estimator) as u64;
            let random = &mut Random::new(seed);
            let settings = settings(index + estimator, random);
            let mut case = Case::new(format!("seed {seed}"), layout, settings, ste, random);
            case.quantizer.set_rounding(RoundingMode::Stochastic);
            case.quantizer.set_seed(random.bits(), random.bits() >> random.below(60) >> 1);
            check(&case, seed);
        }
    }
}

/// Every combination of settings, on one layout of runs and one of rows.
#[test]
fn gradients_are_those_of_the_formulas_for_every_range_and_width() {
    let layouts = [
        Layout::new(QuantGranularity::PerChannel, &[2, 4, 333], 1),
        Layout::new(QuantGranularity::PerBlock { block_size: 5 }, &[37, 40], 0),
    ];
    let mut seed = 1 << 20;
    for (kind, most_bits) in [(None, 8), (Some(3), 5)] {
        for bits in 2..=most_bits {
            for range in [CodeRange::Full, CodeRange::Narrow, CodeRange::Unsigned] {
                for choice in 0..8 {
                    let [half_even, symmetric, with_offsets] = [1, 2, 4].map(|bit| choice & bit != 0);
                    let grid = Grid { bits, range, half_even, k: kind };
                    let settings = Settings { grid, symmetric, with_offsets };
                    for ste in &ESTIMATORS[3..] {
                        seed += 1;
                        let layout = &layouts[seed as usize % 2];
                        let random = &mut Random::new(seed);
                        check(&Case::new(format!("seed {seed}"), layout, settings, *ste, random), seed);
                    }
                }
            }
        }
    }
}

/// The lines that a mask draws, by hand: 3 bits, codes -4 to 3, step 1.
#[test]
fn a_weight_on_a_bound_is_outside_for_lsq_and_inside_for_range_clipped() {
    let grid = Grid { bits: 3, range: CodeRange::Full, half_even: false, k: None };
    let settings = Settings { grid, symmetric: true, with_offsets: false };
    let layout = Layout::new(QuantGranularity::PerTensor, &[11], 0);
    let nan = f32::NAN;
    let w = [-4.5, -4.25, -4.0, -3.75, 0.3, 2.75, 3.0, 3.25, 3.5, nan, f32::INFINITY];
    for (half_even, ste, passed, slopes) in [
        (
            false,
            SteVariant::Lsq,
            [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
            [-4.0, -4.0, -4.0, -0.25, -0.3, 0.25, 3.0, 3.0, 3.0, 0.0, 3.0],
        ),
        (
            true,
            SteVariant::Lsq,
            [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
            [-4.0, -4.0, -4.0, -0.25, -0.3, 0.25, 3.0, 3.0, 3.0, 0.0, 3.0],
        ),
        (
            false,
            SteVariant::RangeClipped,
            [0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            [-4.0, 0.25, 0.0, -0.25, -0.3, 0.25, 0.0, -0.25, 3.0, 0.0, 3.0],
        ),
        (
            true,
            SteVariant::RangeClipped,
            [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            [0.5, 0.25, 0.0, -0.25, -0.3, 0.25, 0.0, -0.25, 3.0, 0.0, 3.0],
        ),
    ] {
        let mut case = Case::new(String::new(), &layout, settings, ste, &mut Random::new(1));
        case.quantizer.set_scale(1.0).unwrap();
        case.quantizer.set_rounds_half_even(half_even);
        for at in 0..w.len() {
            let mut grad_out = [0.0; 11];
            grad_out[at] = 2.0;
            let (mut grad_w, mut grad_scale, mut grad_offset) = ([9.0; 11], [9.0], [9.0]);
            let quantizer = &case.quantizer;
            quantizer
                .backward_scale_offset_into(&w, &grad_out, Some(&mut grad_w), &mut grad_scale, &mut grad_offset)
                .unwrap();
            let context = format!("{ste:?}, half even {half_even}, w {}", w[at]);
            assert_eq!(grad_w[at], 2.0 * passed[at] as f32, "{context}");
            let slope = f64::from(grad_scale[0]) * (11.0f64 * 3.0).sqrt() / 2.0;
            assert!((slope - slopes[at]).abs() < 1e-6, "{context}: slope {slope}, not {}", slopes[at]);
            assert_eq!(grad_offset[0], 2.0 * (1 - passed[at]) as f32, "{context}");
        }
    }
}
