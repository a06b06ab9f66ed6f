//! The reference's defects, each with our answer, through the Rust API. `docs/conformance.md` lists them.

use diffquant::error::Value;
use diffquant::{
    DifferentiableQuantizer, Error, PiQuantDifferentiable, QatConfig, QuantGranularity, Statistics, SteVariant,
    UniformQuantizer, create_quantizer,
};

fn uniform(bits: u32) -> UniformQuantizer {
    UniformQuantizer::new(bits, SteVariant::Standard).unwrap()
}

fn per_channel(scales: &[f32]) -> UniformQuantizer {
    let mut quantizer = uniform(4);
    quantizer.init_per_channel(scales.len()).unwrap();
    quantizer.set_scales(scales).unwrap();
    quantizer
}

#[test]
fn eight_bits_reach_both_ends_of_the_range() {
    let mut quantizer = uniform(8);
    quantizer.set_scale(1.0).unwrap();
    let (codes, values) = quantizer.forward(&[-200.0, -128.0, -127.5, 0.4, 126.5, 127.0, 200.0]).unwrap();
    assert_eq!(codes, [-128, -128, -128, 0, 127, 127, 127]);
    assert_eq!(values, [-128.0, -128.0, -128.0, 0.0, 127.0, 127.0, 127.0]);
}

#[test]
fn bits_that_have_no_code_range_are_refused_by_name() {
    for bits in [0, 1, 9, 16, 32, 300, u32::MAX] {
        for refusal in [
            UniformQuantizer::new(bits, SteVariant::Standard).unwrap_err(),
            PiQuantDifferentiable::new(bits, 4).unwrap_err(),
        ] {
            let Error::InvalidArgument { argument: "bits", value, .. } = refusal else { panic!("{refusal}") };
            assert_eq!(value, Value::Integer(bits.into()));
        }
    }
    for bits in 6..=8 {
        assert!(PiQuantDifferentiable::new(bits, 4).is_err(), "pi takes no {bits} bits");
    }
    for k in [0, 1, 6, 300] {
        assert!(matches!(PiQuantDifferentiable::new(3, k), Err(Error::InvalidArgument { argument: "k", .. })));
    }
}

#[test]
fn calibration_per_channel_looks_at_each_channels_own_slice() {
    let mut quantizer = uniform(4);
    quantizer.init_per_channel(3).unwrap();
    quantizer.init_scale(&[0.1, -0.75, 0.0, 0.0, 7.5, 3.0]).unwrap();
    assert_eq!(quantizer.scales(), [0.75 / 7.5, 1.0, 7.5 / 7.5]);
}

#[test]
fn a_length_that_is_no_multiple_of_the_channels_is_refused_everywhere() {
    let mut quantizer = per_channel(&[0.5, 1.0, 2.0]);
    let w = [1.0; 7];
    let expected = Error::NotDivisible { n: 7, channels: 3 };
    assert_eq!(quantizer.forward(&w).unwrap_err(), expected);
    assert_eq!(quantizer.forward_in_place(&mut w.clone(), None).unwrap_err(), expected);
    assert_eq!(quantizer.backward(&w, &w, &w).unwrap_err(), expected);
    assert_eq!(quantizer.backward_scale_into(&w, &w, None, &mut [0.0; 3]).unwrap_err(), expected);
    assert_eq!(quantizer.dequantize(&[1; 7]).unwrap_err(), expected);
    assert_eq!(quantizer.init_scale(&w).unwrap_err(), expected);
    assert_eq!(quantizer.scales(), [0.5, 1.0, 2.0]);
}

#[test]
fn buffers_of_different_lengths_are_refused_and_left_alone() {
    let quantizer = UniformQuantizer::new(4, SteVariant::Lsq).unwrap();
    let w = [0.5; 8];
    let (mut codes, mut values) = ([77i8; 9], [7.0f32; 7]);
    let (mut one, mut two, mut statistics) = ([7.0f32], [7.0f32; 2], [Statistics::default()]);
    let refused = |argument, actual, expected| Error::LengthMismatch { argument, actual, expected };
    assert_eq!(quantizer.forward_into(&w, Some(&mut codes), None).unwrap_err(), refused("codes", 9, 8));
    assert_eq!(quantizer.forward_into(&w, None, Some(&mut values)).unwrap_err(), refused("values", 7, 8));
    assert_eq!(quantizer.backward_into(&w, None, &w[..3], &mut [0.0; 8]).unwrap_err(), refused("grad_out", 3, 8));
    assert_eq!(quantizer.backward_into(&w, None, &w, &mut values).unwrap_err(), refused("grad_w", 7, 8));
    assert_eq!(quantizer.backward_into(&w, Some(&w[..2]), &w, &mut [0.0; 8]).unwrap_err(), refused("values", 2, 8));
    assert_eq!(quantizer.backward_scale_into(&w, &w, None, &mut []).unwrap_err(), refused("grad_scale", 0, 1));
    let refusal = quantizer.backward_scale_into(&w, &w[1..], None, &mut one).unwrap_err();
    assert_eq!(refusal, refused("grad_out", 7, 8));
    let refusal = quantizer.backward_scale_into(&w, &w, Some(&mut values), &mut one).unwrap_err();
    assert_eq!(refusal, refused("grad_w", 7, 8));
    let refusal = quantizer.backward_scale_offset_into(&w, &w, None, &mut one, &mut two).unwrap_err();
    assert_eq!(refusal, refused("grad_offset", 2, 1));
    let refusal = quantizer.forward_statistics_into(&w, Some(&mut codes), None, &mut statistics).unwrap_err();
    assert_eq!(refusal, refused("codes", 9, 8));
    let refusal = quantizer.forward_statistics_into(&w, None, Some(&mut values), &mut statistics).unwrap_err();
    assert_eq!(refusal, refused("values", 7, 8));
    let refusal = quantizer.forward_dynamic_into(&w, Some(&mut codes), None, &mut one).unwrap_err();
    assert_eq!(refusal, refused("codes", 9, 8));
    let refusal = quantizer.forward_dynamic_into(&w, None, Some(&mut values), &mut one).unwrap_err();
    assert_eq!(refusal, refused("values", 7, 8));
    assert_eq!(quantizer.forward_dynamic_into(&w, None, None, &mut two).unwrap_err(), refused("scales", 2, 1));
    assert_eq!(quantizer.dequantize_into(&[1; 8], &mut values).unwrap_err(), refused("values", 7, 8));
    assert_eq!((codes, values, one, two, statistics), ([77; 9], [7.0; 7], [7.0], [7.0; 2], [Statistics::default()]));
}

#[test]
fn a_configuration_is_carried_out_or_refused_never_ignored() {
    let config = QatConfig::default();
    let made = |config: QatConfig| create_quantizer(&config).unwrap();

    let mut per_token = made(config.clone().with_granularity(QuantGranularity::PerToken));
    assert_eq!(per_token.forward(&[0.5; 6]).unwrap_err(), Error::NoShape);
    per_token.set_shape(&[2, 3], 0).unwrap();
    per_token.set_scales(&[1.0, 2.0]).unwrap();
    assert_eq!(per_token.forward(&[4.0; 6]).unwrap().0, [4, 4, 4, 2, 2, 2]);

    let mut per_block = made(config.clone().with_granularity(QuantGranularity::PerBlock { block_size: 2 }));
    assert_eq!(per_block.forward(&[0.5; 6]).unwrap_err(), Error::NoShape);
    per_block.set_shape(&[2, 3], 1).unwrap();
    per_block.set_scales(&[1.0, 2.0, 4.0, 0.5]).unwrap();
    assert_eq!(per_block.forward(&[3.0; 6]).unwrap().0, [3, 3, 2, 1, 1, 6]);

    let mut asymmetric = made(QatConfig { symmetric: false, ..config.clone() });
    asymmetric.set_zero_points(&[-8]).unwrap();
    assert_eq!(asymmetric.forward(&[0.0, 15.0, -1.0]).unwrap(), (vec![-8, 7, -8], vec![0.0, 15.0, 0.0]));

    assert!(matches!(create_quantizer(&config.clone().with_bits(6)), Err(Error::InvalidConfig { field: "bits", .. })));

    let mut per_channel = create_quantizer(&config.with_ste_variant(SteVariant::Clipped { clip_val: 0.5 })).unwrap();
    assert_eq!(per_channel.ste_variant(), SteVariant::Clipped { clip_val: 0.5 });
    per_channel.init_per_channel(2).unwrap();
    per_channel.set_scales(&[1.0, 2.0]).unwrap();
    assert_eq!(per_channel.forward(&[2.0, 2.0]).unwrap().0, [2, 1]);
}

#[test]
fn the_kind_of_quantizer_follows_pi_k() {
    let mut pi = create_quantizer(&QatConfig::piq3()).unwrap();
    pi.set_scale(1.0).unwrap();
    assert_eq!(pi.step_size(0), Ok(std::f32::consts::PI / 4.0));
    assert_eq!((pi.bits(), pi.num_levels(), pi.ste_variant()), (3, 8, SteVariant::LearnedStepSize));
    let uniform = create_quantizer(&QatConfig::default()).unwrap();
    assert_eq!((uniform.step_size(0), uniform.scale()), (Ok(1.0), 1.0));
}

#[test]
fn set_scale_changes_every_channel() {
    let mut quantizer = per_channel(&[0.5, 1.0, 2.0]);
    quantizer.set_scale(0.25).unwrap();
    assert_eq!(quantizer.scales(), [0.25; 3]);
    assert_eq!(quantizer.step_size(2), Ok(0.25));
}

#[test]
fn set_alpha_refuses_a_channel_that_does_not_exist() {
    let mut quantizer = PiQuantDifferentiable::piq2().unwrap();
    quantizer.init_per_channel(2).unwrap();
    assert_eq!(
        quantizer.set_alpha(2, 1.0).unwrap_err(),
        Error::IndexOutOfRange { argument: "group", index: 2, count: 2 }
    );
    quantizer.set_alpha(1, 3.0).unwrap();
    assert_eq!((quantizer.alphas(), quantizer.k()), (&[1.0, 3.0][..], 3));
    assert_eq!(quantizer.step_size(1), Ok(3.0 * std::f32::consts::PI / 3.0));
}

#[test]
fn a_scale_that_is_not_positive_and_finite_is_refused_and_the_old_one_kept() {
    for bad in [0.0, -0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut quantizer = per_channel(&[0.5, 1.0]);
        assert!(matches!(quantizer.set_scale(bad), Err(Error::InvalidArgument { argument: "scale", .. })), "{bad}");
        assert!(quantizer.set_scales(&[2.0, bad]).is_err(), "{bad}");
        assert!(quantizer.set_scales(&[2.0]).is_err());
        assert_eq!(quantizer.scales(), [0.5, 1.0]);
    }
    // A finite alpha whose step is not.
    let mut pi = PiQuantDifferentiable::new(2, 2).unwrap();
    assert!(pi.set_scale(f32::MAX).is_err());
    assert_eq!(pi.alphas(), [1.0]);
}

#[test]
fn a_weight_that_is_not_finite_refuses_calibration_and_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 31, 32, 99] {
            let mut quantizer = per_channel(&[0.5, 0.25]);
            let mut w = [0.5f32; 100];
            w[at] = bad;
            match quantizer.init_scale(&w) {
                Err(Error::NonFinite { argument: "w", index, value }) => {
                    assert_eq!((index, value.to_bits()), (at, bad.to_bits()));
                }
                other => panic!("{bad} at {at}: {other:?}"),
            }
            assert_eq!(quantizer.scales(), [0.5, 0.25]);
        }
    }
}

#[test]
fn a_scale_stays_positive_where_the_maximum_is_subnormal() {
    let mut quantizer = uniform(8);
    quantizer.init_scale(&[1e-45, -3e-45]).unwrap();
    assert_eq!(quantizer.scales(), [f32::MIN_POSITIVE]);
    let mut pi = PiQuantDifferentiable::piq3().unwrap();
    pi.init_scale(&[1e-45]).unwrap();
    assert_eq!(pi.alphas(), [1e-6]);
}

#[test]
fn parameters_of_estimators_are_refused_outside_their_range() {
    let bad_clips = [0.0, -1.0, f32::NAN, f32::INFINITY].map(|clip_val| SteVariant::Clipped { clip_val });
    let bad_lambdas = [-0.1, f32::NAN, f32::INFINITY].map(|lambda| SteVariant::Ewgs { lambda });
    for bad in bad_clips.into_iter().chain(bad_lambdas) {
        assert!(UniformQuantizer::new(4, bad).is_err(), "{bad:?}");
        let mut quantizer = uniform(4);
        assert!(quantizer.set_ste_variant(bad).is_err(), "{bad:?}");
        assert_eq!(quantizer.ste_variant(), SteVariant::Standard);
    }
}

#[test]
fn an_empty_tensor_is_fine_and_changes_nothing() {
    let mut quantizer = per_channel(&[0.5, 0.25]);
    quantizer.init_scale(&[]).unwrap();
    assert_eq!(quantizer.scales(), [0.5, 0.25]);
    assert_eq!(quantizer.forward(&[]).unwrap(), (vec![], vec![]));
    let mut grad_scale = [7.0; 2];
    quantizer.backward_scale_into(&[], &[], None, &mut grad_scale).unwrap();
    assert_eq!(grad_scale, [7.0; 2]);
}

#[test]
fn half_even_rounds_ties_to_the_even_code() {
    let mut quantizer = uniform(4);
    quantizer.set_scale(1.0).unwrap();
    let w = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5];
    assert_eq!(quantizer.forward(&w).unwrap().0, [1, 2, 3, -1, -2, -3]);
    quantizer.set_rounds_half_even(true);
    assert!(quantizer.rounds_half_even());
    assert_eq!(quantizer.forward(&w).unwrap().0, [0, 2, 2, 0, -2, -2]);
}

/// 16 Mi elements with a bias, where a single f32 accumulator is off by percents.
#[test]
fn the_gradient_of_a_scale_is_exact_to_a_millionth_on_sixteen_million_elements() {
    let n = 16 << 20;
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let w: Vec<f32> = (0..n).map(|_| draw() * 0.1 + 0.2).collect();
    let grad_out: Vec<f32> = (0..n).map(|_| draw() * 1e-3 + 0.1).collect();
    let mut quantizer = uniform(4);
    quantizer.set_scale(0.25).unwrap();
    let (codes, _) = quantizer.forward(&w).unwrap();

    let (mut exact, mut magnitudes, mut naive) = (0.0f64, 0.0f64, 0.0f32);
    for (code, g) in codes.iter().zip(&grad_out) {
        let term = f64::from(*code) * f64::from(*g);
        exact += term;
        magnitudes += term.abs();
        naive += f32::from(*code) * g;
    }
    let normalizer = (n as f64 * 16.0).sqrt();
    let mut grad_scale = [0.0];
    let mut error_of = |quantizer: &UniformQuantizer| {
        quantizer.backward_scale_into(&w, &grad_out, None, &mut grad_scale).unwrap();
        (f64::from(grad_scale[0]) * normalizer - exact).abs() / magnitudes
    };
    let error = error_of(&quantizer);
    assert!(error < 1e-6, "relative error {error:e}");
    assert_eq!(error_of(&quantizer), error, "the same bits on every run");
    let naive_error = (f64::from(naive) - exact).abs() / magnitudes;
    assert!(naive_error > 1e-4, "the data is no test: one accumulator is off by {naive_error:e} only");
}

#[test]
fn gradients_reach_the_api_in_place_and_with_the_values_left_out() {
    let mut quantizer = UniformQuantizer::new(2, SteVariant::Ewgs { lambda: 0.5 }).unwrap();
    quantizer.set_scale(1.0).unwrap();
    let (w, grad_out) = ([0.25f32, -3.0, 0.75], [1.0f32, 2.0, -4.0]);
    let (_, values) = quantizer.forward(&w).unwrap();
    assert_eq!(values, [0.0, -2.0, 1.0]);
    let expected = [1.125, 3.0, -4.5];
    assert_eq!(quantizer.backward(&w, &values, &grad_out).unwrap(), expected);
    let mut in_place = grad_out;
    quantizer.backward_in_place(&w, None, &mut in_place).unwrap();
    assert_eq!(in_place, expected);
    let mut forward_in_place = w;
    quantizer.forward_in_place(&mut forward_in_place, None).unwrap();
    assert_eq!(forward_in_place[..], values);
}

#[test]
fn compute_alpha_grad_is_the_sum_over_each_channel() {
    let mut quantizer = PiQuantDifferentiable::new(2, 2).unwrap();
    quantizer.init_per_channel(2).unwrap();
    let step = std::f32::consts::PI / 2.0;
    let w = [step, -2.0 * step, 0.0, step];
    let gradient = quantizer.compute_alpha_grad(&w, &[1.0, 1.0, 5.0, 3.0]).unwrap();
    // (1 - 2) * PI/2 / sqrt(2 * 4) and (0 + 3) * PI/2 / sqrt(2 * 4)
    let unit = f64::from(step) / 8f64.sqrt();
    assert_eq!(gradient, [(-unit) as f32, (3.0 * unit) as f32]);
}
