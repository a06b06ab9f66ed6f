//! A quantizer's state through the Rust API, and the states of every version that was ever written.

use diffquant::{
    CodeRange, DifferentiableQuantizer, Error, NonFinite, QuantGranularity, RoundingMode, ScaleInit, SteVariant,
    UniformQuantizer, quantizer_from_json,
};

/// As version 1.0 wrote it. It has to load forever, and to mean the same.
const VERSION_1_0: &str = include_str!("state/1.0.json");

/// As version 1.1 wrote it.
const VERSION_1_1: &str = include_str!("state/1.1.json");

#[test]
fn a_state_of_version_1_0_means_what_it_meant() {
    let quantizer = quantizer_from_json(VERSION_1_0).unwrap();
    assert_eq!((quantizer.bits(), quantizer.code_range()), (3, CodeRange::Narrow));
    assert_eq!(quantizer.ste_variant(), SteVariant::Clipped { clip_val: 1.5 });
    assert_eq!(quantizer.granularity(), QuantGranularity::PerBlock { block_size: 2 });
    assert!(!quantizer.is_symmetric() && quantizer.rounds_half_even() && quantizer.incoherence());
    assert_eq!(quantizer.rotation_seed(), u64::MAX);
    assert_eq!(quantizer.scales(), [0.1, 1e-38, 3.4028235e37, 16_777_216.0]);
    assert_eq!(quantizer.step_size(0), Ok(0.1 * std::f32::consts::PI / 4.0));
    assert_eq!((0..4).map(|group| quantizer.zero_point(group).unwrap()).collect::<Vec<_>>(), [-3, 0, 3, 1]);
    let offsets: Vec<u32> = (0..4).map(|group| quantizer.offset(group).unwrap().to_bits()).collect();
    assert_eq!(offsets, [0.0f32, -0.0, 1e-45, -0.3].map(f32::to_bits));
    assert_eq!((0..6).map(|element| quantizer.group_of(element, 6).unwrap()).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3]);
    // What came later means what was done without it.
    assert_eq!((quantizer.seed(), quantizer.non_finite()), ((0, 0), NonFinite::Zero));
    let written = quantizer.to_json().unwrap();
    assert_eq!(quantizer_from_json(&written).unwrap().to_json().unwrap(), written);
}

#[test]
fn a_state_of_version_1_1_means_what_it_meant_and_is_what_is_written() {
    let quantizer = quantizer_from_json(VERSION_1_1).unwrap();
    assert_eq!(quantizer.rounding(), RoundingMode::Stochastic);
    assert_eq!(quantizer.seed(), (u64::MAX, 9_007_199_254_740_993));
    assert_eq!(quantizer.non_finite(), NonFinite::Propagate);
    assert_eq!(quantizer.to_json().unwrap(), VERSION_1_1.trim_end());
    let w: Vec<f32> = (0..120).map(|i| ((i * 37 % 101) as f32 - 50.0) / 33.0).collect();
    let mut other = UniformQuantizer::new(4, SteVariant::Lsq).unwrap();
    other.set_scale(0.25).unwrap();
    other.set_rounding(RoundingMode::Stochastic);
    other.set_seed(u64::MAX, 9_007_199_254_740_993);
    assert_eq!(quantizer.forward(&w), other.forward(&w));
    for (from, to) in [("Stochastic", "Random"), ("Propagate", "Ignore"), ("18446744073709551615", "-1")] {
        let refusal = quantizer_from_json(&VERSION_1_1.replace(from, to)).map(|_| ()).unwrap_err();
        assert!(matches!(refusal, Error::InvalidJson(_)), "{refusal}");
    }
}

#[test]
fn a_trained_quantizer_goes_on_where_it_was_saved() {
    let w: Vec<f32> = (0..600).map(|i| ((i * 37 % 101) as f32 - 50.0) / 33.0).collect();
    let gradient: Vec<f32> = (0..600).map(|i| ((i * 53 % 97) as f32 - 48.0) / 48.0).collect();
    let mut quantizer = UniformQuantizer::new(3, SteVariant::LsqPlus).unwrap();
    quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
    quantizer.set_shape(&[5, 4, 30], 1).unwrap();
    quantizer.set_symmetric(false);
    quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
    quantizer.set_offsets(&[0.1, -0.2, 0.3, 1.0 / 3.0]).unwrap();
    let step = |quantizer: &mut dyn DifferentiableQuantizer| {
        let (mut grad_w, mut grad_scale) = (vec![0.0; 600], vec![0.0; 4]);
        quantizer.backward_scale_into(&w, &gradient, Some(&mut grad_w), &mut grad_scale).unwrap();
        quantizer.apply_scale_step(&grad_scale, 0.01, 1e-6).unwrap();
        (grad_w, quantizer.scales().to_vec(), quantizer.forward(&w).unwrap())
    };
    for _ in 0..10 {
        let mut restored = quantizer_from_json(&quantizer.to_json().unwrap()).unwrap();
        assert_eq!(step(&mut quantizer), step(restored.as_mut()));
    }
}

#[test]
fn a_newer_major_version_is_refused_by_name() {
    let newer = VERSION_1_0.replace("\"1.0\"", "\"12.3\"");
    let refusal = quantizer_from_json(&newer).map(|_| ()).unwrap_err();
    assert_eq!(refusal, Error::UnsupportedVersion { major: 12, minor: 3, read: 1 });
    assert!(refusal.to_string().contains("12.3"), "{refusal}");
    assert!(quantizer_from_json(&VERSION_1_0.replace("\"1.0\"", "\"1.12\"")).is_ok());
}
