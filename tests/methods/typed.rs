//! Tensors of any element type: what each typed function gives is to the bit what the function on f32 gives for the same numbers,
//! rounded by the crate `half`.

use crate::cases::{Case, Layout, Settings, layouts, settings};
use crate::oracle::Grid;
use crate::random::Random;
use diffquant::{
    CodeRange, Element, NonFinite, Observer, ObserverKind, QuantGranularity, RoundingMode, ScaleInit, Statistics,
    SteVariant, TypedQuantizer, quantizer_from_json,
};
use half::{bf16, f16};
use std::fmt::Debug;

/// An element type, by another's hand.
trait Float: Element + Debug {
    fn rounded(number: f32) -> Self;
    fn widened(self) -> f32;
    fn bits(self) -> u32;
}

macro_rules! float {
    ($float:ty, $rounded:expr, $widened:expr) => {
        impl Float for $float {
            fn rounded(number: f32) -> Self {
                $rounded(number)
            }

            fn widened(self) -> f32 {
                $widened(self)
            }

            fn bits(self) -> u32 {
                self.to_bits().into()
            }
        }
    };
}

float!(f32, |number| number, |number| number);
float!(f16, f16::from_f32, f16::to_f32);
float!(bf16, bf16::from_f32, bf16::to_f32);

fn rounded<T: Float>(numbers: &[f32]) -> Vec<T> {
    numbers.iter().map(|number| T::rounded(*number)).collect()
}

fn widened<T: Float>(elements: &[T]) -> Vec<f32> {
    elements.iter().map(|element| element.widened()).collect()
}

fn bits<T: Float>(elements: &[T]) -> Vec<u32> {
    elements.iter().map(|element| element.bits()).collect()
}

/// What a typed function gave is what the one on f32 gave, rounded.
fn same<T: Float>(found: &[T], expected: &[f32], name: &str, case: &Case) {
    let expected = rounded::<T>(expected);
    let differs = (0..found.len()).find(|at| found[*at].bits() != expected[*at].bits());
    let at = differs.map(|at| (at, found[at], expected[at]));
    assert!(at.is_none() && found.len() == expected.len(), "{case}: {name} as {}, {at:?}", std::any::type_name::<T>());
}

/// Tensors of a type, and the same as f32.
struct Tensors<T> {
    w: Vec<T>,
    w_f32: Vec<f32>,
    grad_out: Vec<T>,
    grad_out_f32: Vec<f32>,
}

impl<T: Float> Tensors<T> {
    fn new(w: &[f32], grad_out: &[f32]) -> Self {
        let (w, grad_out) = (rounded::<T>(w), rounded::<T>(grad_out));
        let (w_f32, grad_out_f32) = (widened(&w), widened(&grad_out));
        Tensors { w, w_f32, grad_out, grad_out_f32 }
    }

    /// Codes, values and statistics.
    fn check_forward(&self, case: &Case) {
        let (quantizer, n) = (&case.quantizer, self.w.len());
        let (expected_codes, expected) = quantizer.forward(&self.w_f32).unwrap();
        let (mut codes, mut values) = (vec![77; n], vec![T::rounded(7.0); n]);
        quantizer.forward_typed(&self.w, Some(&mut codes), Some(&mut values)).unwrap();
        assert!(codes == expected_codes, "{case}: codes");
        same(&values, &expected, "values", case);
        codes.fill(77);
        quantizer.forward_typed(&self.w, Some(&mut codes), None).unwrap();
        assert!(codes == expected_codes, "{case}: codes alone");
        values.copy_from_slice(&self.w);
        quantizer.forward_in_place_typed(&mut values, None).unwrap();
        same(&values, &expected, "values in place", case);

        let count = quantizer.scales().len();
        let (mut statistics, mut expected_statistics) =
            (vec![Statistics::default(); count], vec![Statistics::default(); count]);
        quantizer.forward_statistics_into(&self.w_f32, None, None, &mut expected_statistics).unwrap();
        values.fill(T::rounded(7.0));
        quantizer.forward_statistics_typed(&self.w, None, Some(&mut values), &mut statistics).unwrap();
        same(&values, &expected, "values beside statistics", case);
        // As text, in which NaNs are equal.
        assert_eq!(format!("{statistics:?}"), format!("{expected_statistics:?}"), "{case}");

        let any: Vec<i8> = (0..n).map(|at| (at * 37) as i8).collect();
        quantizer.dequantize_typed(&any, &mut values).unwrap();
        same(&values, &quantizer.dequantize(&any).unwrap(), "dequantized values", case);
    }

    fn check_gradients(&self, case: &Case) {
        let (quantizer, n, count) = (&case.quantizer, self.w.len(), case.quantizer.scales().len());
        let mut values = vec![T::rounded(7.0); n];
        quantizer.forward_typed(&self.w, None, Some(&mut values)).unwrap();
        let (mut grad_w, mut expected) = (vec![T::rounded(7.0); n], vec![0.0; n]);
        for given in [true, false] {
            let (values, values_f32) = (given.then_some(&values[..]), given.then(|| widened(&values)));
            quantizer.backward_into(&self.w_f32, values_f32.as_deref(), &self.grad_out_f32, &mut expected).unwrap();
            quantizer.backward_typed(&self.w, values, &self.grad_out, &mut grad_w).unwrap();
            same(&grad_w, &expected, "gradients", case);
            grad_w.copy_from_slice(&self.grad_out);
            quantizer.backward_in_place_typed(&self.w, values, &mut grad_w).unwrap();
            same(&grad_w, &expected, "gradients in place", case);
        }

        let [mut grad_scale, mut grad_offset, mut expected_scale, mut expected_offset] =
            std::array::from_fn(|_| vec![7.0; count]);
        quantizer.backward_scale_into(&self.w_f32, &self.grad_out_f32, None, &mut expected_scale).unwrap();
        grad_w.fill(T::rounded(7.0));
        quantizer.backward_scale_typed(&self.w, &self.grad_out, Some(&mut grad_w), &mut grad_scale).unwrap();
        same(&grad_w, &expected, "gradients in the pass that sums", case);
        same(&grad_scale, &expected_scale, "gradients of scales", case);
        grad_scale.fill(7.0);
        quantizer.backward_scale_typed(&self.w, &self.grad_out, None, &mut grad_scale).unwrap();
        same(&grad_scale, &expected_scale, "gradients of scales alone", case);
        if quantizer.ste_variant().reads_range() {
            let (w, grad_out) = (&self.w_f32, &self.grad_out_f32);
            quantizer.backward_scale_offset_into(w, grad_out, None, &mut expected_scale, &mut expected_offset).unwrap();
            let (w, grad_out) = (&self.w, &self.grad_out);
            let grad_w = Some(&mut grad_w[..]);
            quantizer.backward_scale_offset_typed(w, grad_out, grad_w, &mut grad_scale, &mut grad_offset).unwrap();
            same(&grad_scale, &expected_scale, "gradients of scales beside offsets", case);
            same(&grad_offset, &expected_offset, "gradients of offsets", case);
        }
    }

    /// Scales of weights that are all finite.
    fn check_calibration(&self, case: &Case, methods: &[ScaleInit]) {
        let (n, count) = (self.w.len(), case.quantizer.scales().len());
        let (mut values, mut expected) = (vec![T::rounded(7.0); n], vec![0.0; n]);
        let (mut scales, mut expected_scales) = (vec![7.0; count], vec![0.0; count]);
        case.quantizer.forward_dynamic_into(&self.w_f32, None, Some(&mut expected), &mut expected_scales).unwrap();
        case.quantizer.forward_dynamic_typed(&self.w, None, Some(&mut values), &mut scales).unwrap();
        same(&values, &expected, "dynamic values", case);
        same(&scales, &expected_scales, "dynamic scales", case);
        for method in methods {
            let state = case.quantizer.to_json().unwrap();
            let [mut typed, mut on_f32] = std::array::from_fn(|_| quantizer_from_json(&state).unwrap());
            typed.init_scale_typed(*method, &self.w).unwrap();
            on_f32.init_scale_with(*method, &self.w_f32).unwrap();
            assert_eq!(typed.to_json(), on_f32.to_json(), "{case} {method:?}");
        }
    }
}

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

/// Everything that a case computes.
fn check<T: Float>(case: &mut Case, seed: usize) {
    let random = &mut Random::new(seed as u64);
    let w = case.weights(&case.layout.groups(), random);
    let grad_out = random.many(w.len(), |random| if random.below(20) == 0 { 0.0 } else { random.gaussian() });
    let tensors = Tensors::<T>::new(&w, &grad_out);
    tensors.check_forward(case);
    tensors.check_gradients(case);
    case.quantizer.set_non_finite(NonFinite::Propagate);
    tensors.check_forward(case);
    case.quantizer.set_rounding(RoundingMode::Stochastic);
    case.quantizer.set_seed(seed as u64, 77);
    tensors.check_forward(case);
    tensors.check_gradients(case);
}

#[test]
fn typed_functions_give_what_f32_gives_rounded_for_every_granularity_and_estimator() {
    for (index, layout) in layouts().iter().enumerate() {
        for (round, ste) in ESTIMATORS.into_iter().enumerate() {
            let seed = 100 * index + round;
            let random = &mut Random::new(seed as u64 + (1 << 41));
            let mut case = || {
                Case::new(format!("seed {seed}"), layout, settings(round, random), ste, &mut Random::new(seed as u64))
            };
            match (index + round) % 5 {
                0 | 2 => check::<f16>(&mut case(), seed),
                1 | 3 => check::<bf16>(&mut case(), seed),
                _ => check::<f32>(&mut case(), seed),
            }
        }
    }
}

#[test]
fn calibration_of_halves_is_that_of_their_numbers() {
    let methods = [ScaleInit::MaxAbs, ScaleInit::MinMax, ScaleInit::Lsq, ScaleInit::Percentile(97.0), ScaleInit::Mse];
    for (index, layout) in layouts().iter().enumerate() {
        let random = &mut Random::new(index as u64 + (1 << 42));
        let case = Case::new(format!("case {index}"), layout, settings(index, random), SteVariant::Lsq, random);
        let w = random.many(layout.elements(), |random| random.gaussian());
        // A search takes long.
        let methods = &methods[..if layout.elements() < 600 { 5 } else { 4 }];
        Tensors::<f16>::new(&w, &w).check_calibration(&case, methods);
        Tensors::<bf16>::new(&w, &w).check_calibration(&case, methods);
    }
}

#[test]
fn rotated_halves_are_rounded_once() {
    use QuantGranularity::*;
    let layouts =
        [Layout::new(PerTensor, &[1000], 0), Layout::new(PerChannel, &[5, 70], 0), Layout::new(PerToken, &[7, 64], 0)];
    for (index, layout) in layouts.iter().enumerate() {
        for ste in ESTIMATORS {
            let random = &mut Random::new(index as u64 + (1 << 43));
            let mut case = Case::new(format!("case {index}"), layout, settings(index, random), ste, random);
            case.quantizer.set_incoherence(true);
            let w = random.many(layout.elements(), |random| random.gaussian());
            let grad_out = random.many(layout.elements(), |random| random.gaussian());
            fn check<T: Float>(case: &Case, w: &[f32], grad_out: &[f32]) {
                let tensors = Tensors::<T>::new(w, grad_out);
                tensors.check_forward(case);
                tensors.check_gradients(case);
                tensors.check_calibration(case, &[ScaleInit::MaxAbs, ScaleInit::Mse]);
            }
            check::<f16>(&case, &w, &grad_out);
            check::<bf16>(&case, &w, &grad_out);
        }
    }
}

/// Large ones are also written past the cache, from wherever they begin.
#[test]
fn halves_on_several_threads_are_those_on_one() {
    use QuantGranularity::*;
    let layouts = [
        Layout::new(PerTensor, &[(17 << 20) + 77], 0),
        Layout::new(PerChannel, &[2, 4, 600_000], 1),
        Layout::new(PerChannel, &[4200, 1003], 1),
        Layout::new(PerToken, &[14_000, 300], 0),
        Layout::new(PerBlock { block_size: 32 }, &[2000, 2110], 1),
        Layout::new(PerBlock { block_size: 5 }, &[4, 1050, 1001], 1),
    ];
    for (index, layout) in layouts.iter().enumerate() {
        let random = &mut Random::new(index as u64 + (1 << 44));
        let grid = Grid { bits: 4, range: CodeRange::Full, half_even: false, k: None };
        let settings = Settings { grid, symmetric: index % 2 == 0, with_offsets: index % 2 == 1 };
        let mut case = Case::new(format!("case {index}"), layout, settings, SteVariant::LsqPlus, random);
        case.quantizer.set_threads(3);
        let w = random.many(layout.elements(), |random| random.between(-6.0, 6.0));
        fn check<T: Float>(case: &Case, w: &[f32]) {
            let tensors = Tensors::<T>::new(w, w);
            tensors.check_forward(case);
            tensors.check_gradients(case);
            tensors.check_calibration(case, &[ScaleInit::MaxAbs, ScaleInit::Lsq]);
        }
        if index % 2 == 0 { check::<f16>(&case, &w) } else { check::<bf16>(&case, &w) }
    }
}

#[test]
fn observers_see_the_numbers_of_halves() {
    let random = &mut Random::new(1 << 45);
    let x = random.many(3000, |random| random.gaussian());
    let kinds =
        [ObserverKind::MinMax, ObserverKind::MovingAverage { averaging_constant: 0.25 }, ObserverKind::Histogram];
    for kind in kinds {
        let [mut typed, mut on_f32] = std::array::from_fn(|_| Observer::new(kind).unwrap());
        for batch in x.chunks(700) {
            let [f16s, bf16s] = [widened(&rounded::<f16>(batch)), widened(&rounded::<bf16>(batch))];
            typed.observe_typed(&rounded::<f16>(batch)).unwrap();
            typed.observe_typed(&rounded::<bf16>(batch)).unwrap();
            typed.observe_typed(batch).unwrap();
            [&f16s[..], &bf16s, batch].into_iter().for_each(|batch| on_f32.observe(batch).unwrap());
        }
        assert_eq!(typed, on_f32);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let settings = Settings {
        grid: Grid { bits: 4, range: CodeRange::Full, half_even: false, k: None },
        symmetric: true,
        with_offsets: false,
    };
    let layout = Layout::new(QuantGranularity::PerTensor, &[6], 0);
    let mut case = Case::new("refused".into(), &layout, settings, SteVariant::Standard, &mut Random::new(5));
    let w: Vec<bf16> = rounded(&[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0]);
    let before = w.clone();
    let mut values = before.clone();
    assert!(case.quantizer.forward_typed(&w, None, Some(&mut values[1..])).is_err());
    case.quantizer.set_non_finite(NonFinite::Reject);
    let refused = case.quantizer.forward_typed(&w, None, Some(&mut values)).unwrap_err();
    assert!(refused.to_string().contains('2'), "{refused}");
    assert!(case.quantizer.init_scale_typed(ScaleInit::Mse, &w).is_err());
    assert_eq!(bits(&values), bits(&before));
    assert!(case.quantizer.forward_typed::<bf16>(&[], None, None).is_ok());
}
