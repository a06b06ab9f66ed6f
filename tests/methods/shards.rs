//! Data-parallel training: what gradients of parts of a batch make of the gradient of the whole, which docs/distributed.md
//! says how to use.

use crate::random::Random;
use diffquant::{CodeRange, DifferentiableQuantizer, SteVariant, UniformQuantizer};

const RANKS: usize = 4;

/// The largest distance of two vectors, by the largest element of the second.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0f64, |size, x| size.max(x.abs()));
    found.iter().zip(expected).fold(0.0f64, |far, (x, y)| far.max((x - y).abs())) / size
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// Gradients by the weights, then by the scales.
fn backward(quantizer: &UniformQuantizer, w: &[f32], g: &[f32]) -> [Vec<f64>; 2] {
    let [mut grad_w, mut grad_scale] = [vec![0.0; w.len()], vec![0.0; quantizer.scales().len()]];
    quantizer.backward_scale_into(w, g, Some(&mut grad_w), &mut grad_scale).unwrap();
    [widen(&grad_w), widen(&grad_scale)]
}

/// How far the mean of the ranks' gradients is from the gradient of the mean, by weights and by scales.
fn of_weights(ste: SteVariant) -> [f64; 2] {
    let random = &mut Random::new(1);
    let w = random.many(64 * 256, Random::gaussian);
    let ranks: Vec<Vec<f32>> = (0..RANKS).map(|_| random.many(w.len(), Random::gaussian)).collect();
    let mean: Vec<f32> = (0..w.len()).map(|i| ranks.iter().map(|g| g[i]).sum::<f32>() / RANKS as f32).collect();
    let mut quantizer = UniformQuantizer::new(3, ste).unwrap();
    quantizer.init_per_channel(64).unwrap();
    quantizer.init_scale(&w).unwrap();

    let [mut by_w, mut by_scale] = [vec![0.0; w.len()], vec![0.0; 64]];
    for g in &ranks {
        let [grad_w, grad_scale] = backward(&quantizer, &w, g);
        by_w.iter_mut().zip(grad_w).for_each(|(sum, x)| *sum += x / RANKS as f64);
        by_scale.iter_mut().zip(grad_scale).for_each(|(sum, x)| *sum += x / RANKS as f64);
    }
    let [grad_w, grad_scale] = backward(&quantizer, &w, &mean);
    [distance(&by_w, &grad_w), distance(&by_scale, &grad_scale)]
}

#[test]
fn gradients_may_be_reduced_before_or_after_the_estimator_but_for_ewgs_signed() {
    let linear = [
        SteVariant::Standard,
        SteVariant::Clipped { clip_val: 1.25 },
        SteVariant::LearnedStepSize,
        SteVariant::Ewgs { lambda: 0.2 },
        SteVariant::RangeClipped,
        SteVariant::Lsq,
        SteVariant::LsqPlus,
    ];
    for ste in linear {
        let [by_w, by_scale] = of_weights(ste);
        println!("{ste:?}: weights {by_w:.1e}, scales {by_scale:.1e}");
        assert!(by_w < 1e-6 && by_scale < 1e-6, "{ste:?}: weights {by_w:e}, scales {by_scale:e}");
    }
    // It reads the sign of each gradient; that of a scale does not.
    let [by_w, by_scale] = of_weights(SteVariant::EwgsSigned { delta: 0.2 });
    println!("EwgsSigned {{ delta: 0.2 }}: weights {by_w:.1e}, scales {by_scale:.1e}");
    assert!(by_w > 1e-3 && by_scale < 1e-6, "weights {by_w:e}, scales {by_scale:e}");
}

#[test]
fn gradients_of_activation_scales_add_up_by_the_root_of_each_ranks_share() {
    let random = &mut Random::new(2);
    // The last rank has less to do, as at the end of an epoch.
    let lengths = [4096, 4096, 4096, 1000];
    let n: usize = lengths.iter().sum();
    let x: Vec<f32> = random.many(n, |random| random.gaussian().max(0.0));
    let g = random.many(n, Random::gaussian);
    for ste in [SteVariant::LearnedStepSize, SteVariant::RangeClipped, SteVariant::Lsq] {
        let mut quantizer = UniformQuantizer::new(4, ste).unwrap();
        quantizer.set_code_range(CodeRange::Unsigned);
        quantizer.set_scale(0.15).unwrap();
        let [_, whole] = backward(&quantizer, &x, &g);
        let (mut plain, mut sum, mut from) = (0.0, 0.0, 0);
        for length in lengths {
            let part = from..from + length;
            let [_, grad_scale] = backward(&quantizer, &x[part.clone()], &g[part]);
            plain += grad_scale[0];
            sum += grad_scale[0] * (length as f64 / n as f64).sqrt();
            from += length;
        }
        println!("{ste:?}: plain sum {:.3}, by the roots {:.9} of one process's", plain / whole[0], sum / whole[0]);
        assert!(distance(&[sum], &whole) < 1e-6, "{ste:?}: {sum}, not {}", whole[0]);
        assert!(distance(&[plain], &whole) > 0.1, "{ste:?}: without the roots it would be the same");
    }
}
