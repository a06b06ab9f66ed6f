//! Codes, values, scales and their order for every granularity, bit for bit.

use crate::cases::{Case, Layout, bits, layouts, settings};
use crate::oracle::{Element, Group};
use crate::random::Random;
use diffquant::{
    CodeRange, DifferentiableQuantizer, Error, PiQuantDifferentiable, QatConfig, QuantGranularity, SteVariant,
    UniformQuantizer, create_quantizer,
};

/// Forward and dequantize of a case.
fn check(case: &Case, seed: u64) {
    let random = &mut Random::new(seed);
    let groups = case.layout.groups();
    let w = case.weights(&groups, random);
    let n = w.len();
    let (codes, values) = case.quantizer.forward(&w).unwrap();
    for at in 0..n {
        let group = case.groups[groups[at]];
        let element = Element::new(w[at], &case.grid, &group);
        let found = (codes[at], values[at], values[at].to_bits());
        let expected = (element.code, element.value, element.value.to_bits());
        assert_eq!(found, expected, "{case}, element {at} of seed {seed}: {element:?}, {group:?}");
    }

    let (mut codes_alone, mut values_alone) = (vec![77; n], vec![7.0; n]);
    case.quantizer.forward_into(&w, Some(&mut codes_alone), None).unwrap();
    case.quantizer.forward_into(&w, None, Some(&mut values_alone)).unwrap();
    assert!(codes_alone == codes && bits(&values_alone) == bits(&values), "{case}: alone, seed {seed}");
    let (mut in_place, mut codes_beside) = (w.clone(), vec![77; n]);
    case.quantizer.forward_in_place(&mut in_place, Some(&mut codes_beside)).unwrap();
    assert!(codes_beside == codes && bits(&in_place) == bits(&values), "{case}: in place, seed {seed}");

    // Codes of the range stand for the values of forward; others are taken as they are.
    assert_eq!(bits(&case.quantizer.dequantize(&codes).unwrap()), bits(&values), "{case}: back again, seed {seed}");
    let any: Vec<i8> = (0..n).map(|_| random.bits() as i8).collect();
    let values = case.quantizer.dequantize(&any).unwrap();
    for at in 0..n {
        let Group { step, zero_point, offset } = case.groups[groups[at]];
        let value = (i32::from(any[at]) - zero_point) as f32 * step;
        let expected = if offset == 0.0 { value } else { value + offset };
        let context = format!("{case}, element {at} of seed {seed}: code {} of {:?}", any[at], case.groups[groups[at]]);
        assert_eq!((values[at], values[at].to_bits()), (expected, expected.to_bits()), "{context}");
    }
}

#[test]
fn codes_and_values_are_those_of_the_formulas_for_every_granularity() {
    for (index, layout) in layouts().iter().enumerate() {
        for round in 0..9 {
            let seed = (100 * index + round) as u64 + (1 << 40);
            let random = &mut Random::new(seed);
            let settings = settings(round, random);
            check(&Case::new(format!("seed {seed}"), layout, settings, SteVariant::Standard, random), seed);
        }
    }
}

#[test]
fn scales_are_counted_and_ordered_as_the_layout_says() {
    for layout in layouts() {
        let mut quantizer = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
        layout.declare_to(&mut quantizer);
        assert_eq!(quantizer.scales().len(), layout.scales(), "{layout:?}");
        let n = layout.elements();
        for element in 0..n {
            assert_eq!(quantizer.group_of(element, n), Ok(layout.scale_of(element)), "{layout:?}, element {element}");
        }
        let past = Error::IndexOutOfRange { argument: "element", index: n, count: n };
        assert_eq!(quantizer.group_of(n, n), Err(past), "{layout:?}");
    }
}

/// Blocks along the first axis: written down, not computed.
#[test]
fn the_scales_of_blocks_are_ordered_by_outer_index_then_block_then_inner_index() {
    let mut quantizer = UniformQuantizer::new(8, SteVariant::Standard).unwrap();
    quantizer.set_granularity(QuantGranularity::PerBlock { block_size: 2 }).unwrap();
    quantizer.set_shape(&[2, 3, 2], 1).unwrap();
    quantizer.set_scales(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
    let values = quantizer.dequantize(&[1; 12]).unwrap();
    assert_eq!(values, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 5.0, 6.0, 7.0, 8.0]);
}

/// The largest magnitude of each group, as the reference turns it into a scale.
fn max_abs_scales(case: &Case, w: &[f32], groups: &[usize], count: usize) -> Vec<f32> {
    let mut maxima = vec![0.0f32; count];
    for (w, &group) in w.iter().zip(groups) {
        maxima[group] = maxima[group].max(w.abs());
    }
    let largest = (case.grid.codes().1 - case.grid.home()) as f32 + 0.5;
    let scale = |maximum: &f32| match case.grid.k {
        _ if *maximum == 0.0 => 1.0,
        None => (maximum / largest).max(f32::MIN_POSITIVE),
        Some(k) => (maximum / (std::f32::consts::PI / k as f32 * largest)).max(1e-6),
    };
    maxima.iter().map(scale).collect()
}

#[test]
fn init_scale_looks_at_the_weights_of_each_group_and_no_others() {
    for (index, layout) in layouts().iter().enumerate() {
        for round in 0..3 {
            let seed = (10 * index + round) as u64 + (1 << 41);
            let random = &mut Random::new(seed);
            let settings = settings(round, random);
            let mut case = Case::new(format!("seed {seed}"), layout, settings, SteVariant::Standard, random);
            let groups = layout.groups();
            // Every group with a size of its own, every seventh of zeros.
            let w: Vec<f32> = groups
                .iter()
                .map(|&group| if group % 7 == 6 { 0.0 } else { (random.gaussian() * (1 + group % 5) as f64) as f32 })
                .collect();
            let expected = max_abs_scales(&case, &w, &groups, case.groups.len());
            case.quantizer.init_scale(&w).unwrap();
            assert_eq!(bits(case.quantizer.scales()), bits(&expected), "{case}");
            let home = case.grid.home();
            for group in 0..case.groups.len() {
                let found = (case.quantizer.zero_point(group), case.quantizer.offset(group));
                assert_eq!(found, (Ok(home), Ok(0.0)), "{case}, group {group}");
            }
        }
    }
}

#[test]
fn a_dynamic_forward_is_a_calibration_and_a_forward_for_any_number_of_tokens() {
    for (index, last) in [1, 3, 9, 64, 300].into_iter().enumerate() {
        for tokens in [1, 2, 7, 300] {
            let seed = (100 * index + tokens) as u64 + (1 << 42);
            let random = &mut Random::new(seed);
            let declared = Layout::new(QuantGranularity::PerToken, &[2, 3, last], 0);
            let actual = Layout::new(QuantGranularity::PerToken, &[tokens, last], 0);
            let settings = settings(tokens, random);
            let case = Case::new(format!("seed {seed}"), &declared, settings, SteVariant::Standard, random);
            let groups = actual.groups();
            let w = random.many(tokens * last, |random| random.gaussian());
            let (mut codes, mut values, mut scales) = (vec![77; w.len()], vec![7.0; w.len()], vec![7.0; tokens]);
            let before = case.quantizer.scales().to_vec();
            case.quantizer.forward_dynamic_into(&w, Some(&mut codes), Some(&mut values), &mut scales).unwrap();
            assert_eq!(case.quantizer.scales(), before, "{case}: its own scales");

            assert_eq!(bits(&scales), bits(&max_abs_scales(&case, &w, &groups, tokens)), "{case}, {tokens} tokens");
            for at in 0..w.len() {
                let step = case.grid.step(scales[groups[at]]);
                let group = Group { step, zero_point: case.grid.home(), offset: 0.0 };
                let element = Element::new(w[at], &case.grid, &group);
                let (found, expected) = ((codes[at], values[at]), (element.code, element.value));
                assert_eq!(found, expected, "{case}, {tokens} tokens, element {at}: {element:?}");
            }
            let mut in_order = vec![7.0; w.len()];
            case.quantizer.forward_dynamic_into(&w, None, Some(&mut in_order), &mut scales).unwrap();
            assert_eq!(bits(&in_order), bits(&values), "{case}: without codes");
        }
    }
}

#[test]
fn a_dynamic_forward_refuses_what_it_cannot_do_and_leaves_its_outputs_alone() {
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
    quantizer.set_granularity(QuantGranularity::PerToken).unwrap();
    let mut outputs = ([77i8; 100], [7.0f32; 100], [5.0f32; 10]);
    let mut dynamic = |quantizer: &UniformQuantizer, w: &[f32], count: usize| {
        let (codes, values, scales) = (&mut outputs.0[..w.len()], &mut outputs.1[..w.len()], &mut outputs.2[..count]);
        let refusal = quantizer.forward_dynamic_into(w, Some(codes), Some(values), scales).unwrap_err();
        assert_eq!(outputs, ([77; 100], [7.0; 100], [5.0; 10]), "{refusal}");
        refusal
    };
    assert_eq!(dynamic(&quantizer, &[1.0; 100], 10), Error::NoShape);
    quantizer.set_shape(&[2, 10], 0).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 47, 99] {
            let mut w = [1.0; 100];
            w[at] = bad;
            let Error::NonFinite { argument: "w", index, value } = dynamic(&quantizer, &w, 10) else { panic!("{bad}") };
            assert_eq!((index, value.to_bits()), (at, bad.to_bits()));
        }
    }
    assert_eq!(dynamic(&quantizer, &[1.0; 95], 10), Error::CutToken { n: 95, last: 10 });
    let refused = Error::LengthMismatch { argument: "scales", actual: 9, expected: 10 };
    assert_eq!(dynamic(&quantizer, &[1.0; 100], 9), refused);
}

#[test]
fn a_configuration_gets_the_granularity_and_the_symmetry_that_it_names() {
    let granularities =
        [QuantGranularity::PerTensor, QuantGranularity::PerToken, QuantGranularity::PerBlock { block_size: 5 }];
    for granularity in granularities {
        for pi_k in [None, Some(4)] {
            let config = QatConfig { symmetric: false, granularity, pi_k, ..QatConfig::default() };
            let mut quantizer = create_quantizer(&config).unwrap();
            assert_eq!((quantizer.granularity(), quantizer.is_symmetric()), (granularity, false));
            quantizer.set_shape(&[3, 12], 1).unwrap();
            let layout = Layout::new(granularity, &[3, 12], 1);
            assert_eq!(quantizer.scales(), vec![1.0; layout.scales()], "{config:?}");
            quantizer.set_zero_points(&vec![-3; layout.scales()]).unwrap();
            let step = quantizer.step_size(0).unwrap();
            assert_eq!(quantizer.forward(&[step; 36]).unwrap(), (vec![-2; 36], vec![step; 36]), "{config:?}");
        }
    }
}

#[test]
fn a_zero_point_is_a_code_and_only_of_an_asymmetric_quantizer() {
    let mut quantizer = PiQuantDifferentiable::new(3, 4).unwrap();
    quantizer.init_per_channel(2).unwrap();
    assert!(matches!(quantizer.set_zero_points(&[0, 0]), Err(Error::NotApplicable { .. })));
    quantizer.set_symmetric(false);
    quantizer.set_zero_points(&[-4, 3]).unwrap();
    let refusal = Error::ZeroPoint { argument: "zero_points", index: 1, value: 4, min: -4, max: 3 };
    assert_eq!(quantizer.set_zero_points(&[1, 4]), Err(refusal));
    quantizer.set_code_range(CodeRange::Narrow);
    assert_eq!([0, 1].map(|group| quantizer.zero_point(group)), [Ok(0), Ok(0)]);
    assert!(quantizer.set_zero_points(&[-4, 0]).is_err(), "not a narrow code");
    quantizer.set_zero_points(&[-3, 3]).unwrap();
    quantizer.set_symmetric(true);
    quantizer.set_code_range(CodeRange::Unsigned);
    assert_eq!([0, 1].map(|group| quantizer.zero_point(group)), [Ok(-4), Ok(-4)]);
    assert!(quantizer.zero_point(2).is_err() && quantizer.offset(2).is_err());
    assert!(quantizer.set_offsets(&[0.0, f32::NAN]).is_err() && quantizer.set_offsets(&[0.0]).is_err());
}
