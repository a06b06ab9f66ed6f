//! A step of gradient descent on the scales keeps every one finite and positive.

use crate::random::Random;
use diffquant::{DifferentiableQuantizer, Error, PiQuantDifferentiable, SteVariant, UniformQuantizer};

fn of_scales(scales: &[f32]) -> UniformQuantizer {
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Lsq).unwrap();
    quantizer.init_per_channel(scales.len()).unwrap();
    quantizer.set_scales(scales).unwrap();
    quantizer
}

#[test]
fn a_step_goes_down_the_gradient() {
    let mut quantizer = of_scales(&[1.0, 0.5, 2.0]);
    assert_eq!(quantizer.apply_scale_step(&[1.0, -2.0, 0.0], 0.125, 1e-3), Ok(0));
    assert_eq!(quantizer.scales(), [0.875, 0.75, 2.0]);
    assert_eq!(quantizer.step_size(1), Ok(0.75));
    assert_eq!(quantizer.forward(&[0.875, 0.75, 2.0]).unwrap().0, [1; 3]);
}

#[test]
fn a_step_is_rounded_once() {
    let random = &mut Random::new(1);
    let (scales, gradient) =
        (random.many(1000, |random| random.between(0.5, 1.0)), random.many(1000, Random::gaussian));
    let mut quantizer = of_scales(&scales);
    assert_eq!(quantizer.apply_scale_step(&gradient, 0.01, 1e-3), Ok(0));
    for ((scale, g), found) in scales.iter().zip(&gradient).zip(quantizer.scales()) {
        let expected = (f64::from(*scale) - f64::from(0.01f32) * f64::from(*g)) as f32;
        assert_eq!(*found, expected, "scale {scale}, gradient {g}");
    }
}

#[test]
fn a_scale_below_the_smallest_is_projected_and_counted() {
    let mut quantizer = of_scales(&[1.0, 0.5, 0.25, 0.001]);
    // To -1, to exactly the smallest, to half of it, and one that is below it and stands still.
    assert_eq!(quantizer.apply_scale_step(&[2.0, 0.25, 0.125, 0.0], 1.0, 0.25), Ok(3));
    assert_eq!(quantizer.scales(), [0.25; 4]);
}

#[test]
fn a_gradient_of_nan_changes_nothing_and_is_named() {
    let mut quantizer = of_scales(&[1.0, 0.5, 2.0]);
    let refusal = quantizer.apply_scale_step(&[1.0, 1.0, f32::NAN], 0.1, 1e-3).unwrap_err();
    let Error::InvalidElement { argument: "grad_scale", index: 2, value, .. } = refusal else { panic!("{refusal}") };
    assert!(value.is_nan());
    assert_eq!(quantizer.scales(), [1.0, 0.5, 2.0]);
    assert_eq!(
        quantizer.apply_scale_step(&[1.0, 1.0], 0.1, 1e-3).unwrap_err(),
        Error::LengthMismatch { argument: "grad_scale", actual: 2, expected: 3 }
    );
    assert_eq!(quantizer.scales(), [1.0, 0.5, 2.0]);
}

#[test]
fn an_infinite_gradient_is_projected_downwards_and_not_followed_upwards() {
    let mut quantizer = of_scales(&[1.0, 0.5, 3.0]);
    assert_eq!(quantizer.apply_scale_step(&[f32::INFINITY, f32::NEG_INFINITY, 1.0], 0.5, 0.01), Ok(2));
    assert_eq!(quantizer.scales(), [0.01, 0.5, 2.5]);
    // As for a step that no float is large enough for.
    assert_eq!(quantizer.apply_scale_step(&[0.0, -3e38, 3e38], 3e38, 0.01), Ok(2));
    assert_eq!(quantizer.scales(), [0.01, 0.5, 0.01]);
}

#[test]
fn a_rate_or_a_smallest_scale_out_of_range_is_refused() {
    let mut quantizer = of_scales(&[1.0]);
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let refused = |argument, refusal: Error| match refusal {
            Error::InvalidArgument { argument: named, .. } => assert_eq!(named, argument, "{bad}"),
            refusal => panic!("{bad}: {refusal}"),
        };
        refused("learning_rate", quantizer.apply_scale_step(&[0.1], bad, 1e-3).unwrap_err());
        refused("min_scale", quantizer.apply_scale_step(&[0.1], 0.1, bad).unwrap_err());
        assert_eq!(quantizer.scales(), [1.0]);
    }
}

#[test]
fn the_step_of_a_pi_grid_follows_its_alpha_and_stays_finite() {
    let mut quantizer = PiQuantDifferentiable::new(3, 2).unwrap();
    quantizer.init_per_channel(2).unwrap();
    quantizer.set_scales(&[1.0, 2.0]).unwrap();
    assert_eq!(quantizer.apply_scale_step(&[0.5, -1.0], 0.5, 0.1), Ok(0));
    assert_eq!(quantizer.alphas(), [0.75, 2.5]);
    let step = |alpha: f32| (alpha * std::f32::consts::PI) / 2.0;
    assert_eq!([0, 1].map(|group| quantizer.step_size(group)), [Ok(step(0.75)), Ok(step(2.5))]);
    // An alpha that is a float, but whose step is none.
    assert_eq!(quantizer.apply_scale_step(&[-2.5e38, 0.0], 1.0, 0.1), Ok(1));
    assert_eq!(quantizer.alphas(), [0.75, 2.5]);
    assert!(quantizer.apply_scale_step(&[0.0, 0.0], 1.0, 2.5e38).is_err());
}
