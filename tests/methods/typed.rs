//! Tensors of any element type: what each typed function gives is what the function on f32 gives, rounded.

use crate::random::Random;
use diffquant::{DifferentiableQuantizer, Element, ScaleInit, SteVariant, TypedQuantizer, UniformQuantizer};
use half::{bf16, f16};

const N: usize = 90;
const CHANNELS: usize = 3;

/// Checks every function for elements that `round` makes and `widen` reads.
fn check<T: Element + PartialEq + std::fmt::Debug>(round: fn(f32) -> T, widen: fn(T) -> f32) {
    let rounded = |numbers: &[f32]| numbers.iter().map(|number| round(*number)).collect::<Vec<T>>();
    let widened = |elements: &[T]| elements.iter().map(|element| widen(*element)).collect::<Vec<f32>>();
    let random = &mut Random::new(16);
    let w = rounded(&random.many(N, |random| random.between(-3.0, 3.0)));
    let grad_out = rounded(&random.many(N, |random| random.gaussian()));
    let (w_f32, grad_out_f32) = (widened(&w), widened(&grad_out));

    let mut quantizer = UniformQuantizer::new(4, SteVariant::EwgsSigned { delta: 0.3 }).unwrap();
    quantizer.init_per_channel(CHANNELS).unwrap();
    quantizer.init_scale_with(ScaleInit::Mse, &w_f32).unwrap();
    let scales = quantizer.scales().to_vec();
    quantizer.set_scale(1.0).unwrap();
    quantizer.init_scale_typed(ScaleInit::Mse, &w).unwrap();
    assert_eq!(quantizer.scales(), scales);

    let (expected_codes, expected_values) = quantizer.forward(&w_f32).unwrap();
    let (mut codes, mut values) = ([0; N], [round(0.0); N]);
    quantizer.forward_typed(&w, Some(&mut codes), Some(&mut values)).unwrap();
    assert_eq!(codes[..], expected_codes);
    assert_eq!(values[..], rounded(&expected_values));
    values.fill(round(0.0));
    quantizer.dequantize_typed(&codes, &mut values).unwrap();
    assert_eq!(values[..], rounded(&expected_values));

    let mut grad_w = [round(0.0); N];
    let expected = quantizer.backward(&w_f32, &widened(&values), &grad_out_f32).unwrap();
    quantizer.backward_typed(&w, Some(&values), &grad_out, &mut grad_w).unwrap();
    assert_eq!(grad_w[..], rounded(&expected));

    let [mut grad_scale, mut grad_offset, mut scale, mut offset] = [[0.0; CHANNELS]; 4];
    let mut expected = [0.0; N];
    quantizer
        .backward_scale_offset_into(&w_f32, &grad_out_f32, Some(&mut expected), &mut grad_scale, &mut grad_offset)
        .unwrap();
    grad_w.fill(round(0.0));
    quantizer.backward_scale_offset_typed(&w, &grad_out, Some(&mut grad_w), &mut scale, &mut offset).unwrap();
    assert_eq!((grad_w.to_vec(), scale, offset), (rounded(&expected), grad_scale, grad_offset));
    (grad_w, scale) = ([round(0.0); N], [0.0; CHANNELS]);
    quantizer.backward_scale_typed(&w, &grad_out, Some(&mut grad_w), &mut scale).unwrap();
    assert_eq!((grad_w.to_vec(), scale), (rounded(&expected), grad_scale));

    quantizer.forward_dynamic_into(&w_f32, None, Some(&mut expected), &mut grad_scale).unwrap();
    quantizer.forward_dynamic_typed(&w, None, Some(&mut values), &mut scale).unwrap();
    assert_eq!((values.to_vec(), scale), (rounded(&expected), grad_scale));

    let too_short = &mut values[1..];
    assert!(quantizer.forward_typed(&w, None, Some(too_short)).is_err());
}

#[test]
fn every_typed_function_gives_the_rounded_results_of_f32() {
    check::<f32>(|number| number, |number| number);
    check(f16::from_f32, f16::to_f32);
    check(bf16::from_f32, bf16::to_f32);
}
