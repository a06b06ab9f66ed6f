//! What incoherence is for: weights with outliers, quantized with and without it.

use diffquant::{DifferentiableQuantizer, Error, QuantGranularity, Rotation, ScaleInit, SteVariant, UniformQuantizer};

const ROWS: usize = 16;
const LENGTH: usize = 256;

/// Normal numbers (Box-Muller on splitmix64), every hundredth of them times `outlier`.
fn weights(outlier: f64) -> Vec<f32> {
    let mut state = 11u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut normal = || (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    (0..ROWS * LENGTH).map(|i| (normal() * if i % 100 == 7 { outlier } else { 1.0 }) as f32).collect()
}

/// Mean squared error of the values, by the rows' mean square.
fn error(w: &[f32], bits: u32, method: ScaleInit, incoherence: bool) -> f64 {
    let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
    quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
    quantizer.set_shape(&[ROWS, LENGTH], 0).unwrap();
    quantizer.set_incoherence(incoherence);
    quantizer.init_scale_with(method, w).unwrap();
    let (_, values) = quantizer.forward(w).unwrap();
    let square = |x: f64| x * x;
    let error: f64 = w.iter().zip(&values).map(|(w, value)| square(f64::from(w - value))).sum();
    error / w.iter().map(|w| square(f64::from(*w))).sum::<f64>()
}

#[test]
fn a_rotation_takes_the_error_that_outliers_cause() {
    let w = weights(20.0);
    for bits in [2, 3, 4] {
        for method in [ScaleInit::MaxAbs, ScaleInit::Mse] {
            let (plain, rotated) = (error(&w, bits, method, false), error(&w, bits, method, true));
            assert!(rotated < plain / 1.2, "{bits} bits, {method:?}: {rotated} of {plain}");
        }
    }
}

#[test]
fn without_outliers_a_rotation_changes_little() {
    let w = weights(1.0);
    for bits in [2, 3, 4] {
        let (plain, rotated) = (error(&w, bits, ScaleInit::Mse, false), error(&w, bits, ScaleInit::Mse, true));
        assert!((rotated / plain - 1.0).abs() < 0.1, "{bits} bits: {rotated} of {plain}");
    }
}

#[test]
fn a_rotation_by_itself_is_that_of_the_quantizer() {
    let w = weights(3.0);
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
    quantizer.init_per_channel(ROWS).unwrap();
    let mut turned = w.clone();
    let rotation = Rotation::new(LENGTH, 9).unwrap();
    assert_eq!(rotation.length(), LENGTH);
    rotation.apply(&mut turned).unwrap();
    let (codes, mut values) = quantizer.forward(&turned).unwrap();
    rotation.apply_transpose(&mut values).unwrap();
    assert!(!quantizer.incoherence());
    quantizer.set_incoherence(true);
    assert!(quantizer.incoherence());
    quantizer.set_rotation_seed(9);
    assert_eq!(quantizer.forward(&w).unwrap(), (codes, values));
    assert!(Rotation::new(0, 1).is_err());
    assert!(rotation.apply(&mut turned[1..]).is_err());
}

#[test]
fn what_cannot_be_cut_is_refused_with_a_rotation_as_without() {
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Lsq).unwrap();
    quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
    quantizer.set_shape(&[3, 8], 0).unwrap();
    quantizer.set_incoherence(true);
    let (w, mut out, mut scales) = ([0.5; 20], [7.0; 20], [7.0; 3]);
    let refused = Error::ShapeMismatch { n: 20, expected: 24 };
    assert_eq!(quantizer.init_scale(&w), Err(refused.clone()));
    assert_eq!(quantizer.init_scale_with(ScaleInit::Mse, &w), Err(refused.clone()));
    assert_eq!(quantizer.forward_into(&w, None, Some(&mut out)), Err(refused.clone()));
    assert_eq!(quantizer.forward_dynamic_into(&w, None, Some(&mut out), &mut scales), Err(refused.clone()));
    assert_eq!(quantizer.backward_into(&w, None, &w, &mut out), Err(refused.clone()));
    assert_eq!(quantizer.backward_scale_into(&w, &w, Some(&mut out), &mut scales), Err(refused.clone()));
    assert_eq!(quantizer.dequantize_into(&[1; 20], &mut out), Err(refused));
    assert_eq!((out, scales, quantizer.scales()), ([7.0; 20], [7.0; 3], &[1.0; 3][..]));
}

#[test]
fn threads_change_no_bit_of_a_rotated_quantizer() {
    let (rows, length) = (1100, 4096);
    let w: Vec<f32> = (0..rows * length).map(|i| ((i * 37 % 1009) as f32 - 500.0) / 333.0).collect();
    let mut quantizer = UniformQuantizer::new(4, SteVariant::Lsq).unwrap();
    quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
    quantizer.set_shape(&[rows, length], 0).unwrap();
    quantizer.set_incoherence(true);
    quantizer.init_scale(&w).unwrap();
    let run = |quantizer: &UniformQuantizer| {
        let (mut grad_w, mut grad_scale) = (vec![0.0; w.len()], vec![0.0; rows]);
        quantizer.backward_scale_into(&w, &w, Some(&mut grad_w), &mut grad_scale).unwrap();
        (quantizer.forward(&w).unwrap(), grad_w, grad_scale)
    };
    let one = run(&quantizer);
    quantizer.set_threads(3);
    assert!(run(&quantizer) == one);
}
