//! Observers, against what one looks up in all of the data at once.

use crate::random::Random;
use diffquant::{
    CodeRange, DifferentiableQuantizer, Error, Observer, ObserverKind, ScaleInit, SteVariant, UniformQuantizer,
};

const MOVING: ObserverKind = ObserverKind::MovingAverage { averaging_constant: 0.1 };
const KINDS: [ObserverKind; 3] = [ObserverKind::MinMax, MOVING, ObserverKind::Histogram];
const MERGED: [ObserverKind; 2] = [ObserverKind::MinMax, ObserverKind::Histogram];

fn observer(kind: ObserverKind, shape: &[usize], axis: usize) -> Observer {
    let mut observer = Observer::new(kind).unwrap();
    observer.set_shape(shape, axis).unwrap();
    observer
}

/// Floats of every size and sign, some of which are not finite.
fn any_floats(random: &mut Random, n: usize) -> Vec<f32> {
    let special = [0.0, -0.0, 1e-45, -1e-40, f32::MAX, f32::MIN, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    random.many(n, |random| match random.below(6) {
        0 => random.one_of(&special).into(),
        1 => f32::from_bits(random.bits() as u32).into(),
        _ => random.gaussian(),
    })
}

/// The elements of each channel of `[any, channels, inner]`.
fn by_channel(x: &[f32], channels: usize, inner: usize) -> Vec<Vec<f32>> {
    let mut all = vec![Vec::new(); channels];
    x.chunks(inner).enumerate().for_each(|(slice, elements)| all[slice % channels].extend_from_slice(elements));
    all
}

#[test]
fn each_channel_of_any_axis_is_as_if_it_were_observed_alone() {
    let mut random = Random::new(1);
    // Long and short slices, slices of one element, one channel, more channels than are counted together, many elements of few
    // that are.
    let shapes: [(&[usize], usize); 10] = [
        (&[4, 3, 5000], 1),
        (&[9, 7, 300], 1),
        (&[2000, 3, 20], 1),
        (&[3, 40, 1], 1),
        (&[50, 33], 1),
        (&[20, 5, 3], 1),
        (&[5000, 3], 1),
        (&[6, 11], 0),
        (&[7, 1, 6], 1),
        (&[1, 2, 3, 4, 5], 3),
    ];
    for (shape, axis) in shapes {
        let (channels, inner) = (shape[axis], shape[axis + 1..].iter().product());
        for kind in KINDS {
            let mut all = observer(kind, shape, axis);
            let mut alone = vec![Observer::new(kind).unwrap(); channels];
            // The extent before the axis changes from batch to batch.
            let outer: usize = shape[..axis].iter().product();
            for outer in [outer, 1, 2 * outer] {
                let x = any_floats(&mut random, outer * channels * inner);
                all.observe(&x).unwrap();
                by_channel(&x, channels, inner).iter().zip(&mut alone).for_each(|(x, alone)| alone.observe(x).unwrap());
            }
            for (channel, alone) in alone.iter().enumerate() {
                assert_eq!(all.count(channel), alone.count(0), "{kind:?} {shape:?} {channel}");
                assert_eq!(all.range(channel).ok(), alone.range(0).ok(), "{kind:?} {shape:?} {channel}");
            }
            // Scales say whether the histograms are the same.
            let mut together = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
            together.init_per_channel(channels).unwrap();
            let method = if kind == ObserverKind::Histogram { ScaleInit::Percentile(50.0) } else { ScaleInit::MaxAbs };
            if (0..channels).all(|channel| all.range(channel).is_ok()) {
                together.init_scale_from(&all, method).unwrap();
                for (alone, scale) in alone.iter().zip(together.scales()) {
                    let mut one = UniformQuantizer::new(4, SteVariant::Standard).unwrap();
                    one.init_scale_from(alone, method).unwrap();
                    assert_eq!(one.scales(), [*scale]);
                }
            }
        }
    }
}

#[test]
fn counts_and_ranges_are_of_the_finite_elements() {
    let mut random = Random::new(2);
    for n in (0..=257).chain([4095, 4096, 4097, 70_001]) {
        let x = any_floats(&mut random, n);
        let finite: Vec<f32> = x.iter().copied().filter(|x| x.is_finite()).collect();
        for kind in KINDS {
            let mut observer = Observer::new(kind).unwrap();
            observer.observe(&x).unwrap();
            let count = observer.count(0).unwrap();
            assert_eq!((count.finite, count.non_finite), (finite.len() as u64, (n - finite.len()) as u64));
            let smallest = finite.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = finite.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if finite.is_empty() {
                assert_eq!(observer.range(0), Err(Error::NoData { group: 0 }));
            } else {
                assert_eq!(observer.range(0), Ok((smallest, largest)), "{kind:?} {n}");
            }
        }
    }
}

#[test]
fn a_range_is_of_the_data_alone_and_its_zeros_are_positive() {
    for kind in KINDS {
        for n in [1, 31, 32, 33, 300, 5000] {
            for (x, range) in [(2.0, 2.0f32), (-3.0, -3.0), (-0.0, 0.0)] {
                // Beside an element that is not finite, it is found in another way.
                for more in [&[][..], &[f32::NAN]] {
                    let mut observer = Observer::new(kind).unwrap();
                    observer.observe(&[&vec![x; n], more].concat()).unwrap();
                    let (min, max) = observer.range(0).unwrap();
                    assert_eq!(
                        [min.to_bits(), max.to_bits()],
                        [range.to_bits(); 2],
                        "{kind:?} {n} times {x}, {more:?}"
                    );
                }
            }
        }
    }
}

/// All orders of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[test]
fn parts_merged_in_any_order_are_to_the_bit_the_whole() {
    let mut random = Random::new(3);
    for kind in MERGED {
        for (shape, axis) in [(&[1usize][..], 0usize), (&[6, 5], 1), (&[2, 3, 7], 1)] {
            let of = shape[axis..].iter().product::<usize>();
            let mut parts = Vec::new();
            let mut whole = observer(kind, shape, axis);
            for _ in 0..3 {
                let mut part = observer(kind, shape, axis);
                for _ in 0..random.below(3) + 1 {
                    let n = of * random.below(200);
                    let x = any_floats(&mut random, n);
                    part.observe(&x).unwrap();
                    whole.observe(&x).unwrap();
                }
                parts.push(part);
            }
            let json = whole.to_json().unwrap();
            for order in ORDERS {
                let [a, b, c] = order.map(|index| parts[index].clone());
                // (a + b) + c and a + (b + c).
                let mut left = a.clone();
                left.merge(&b).unwrap();
                left.merge(&c).unwrap();
                let (mut right, mut rest) = (a, b);
                rest.merge(&c).unwrap();
                right.merge(&rest).unwrap();
                assert_eq!(left.to_json().unwrap(), json, "{kind:?} {shape:?} {order:?}");
                assert_eq!(right.to_json().unwrap(), json, "{kind:?} {shape:?} {order:?}");
                assert!(left == whole && right == whole);
            }
        }
    }
}

#[test]
fn a_stream_may_be_cut_into_batches_anywhere() {
    let x = any_floats(&mut Random::new(4), 30_000);
    for kind in MERGED {
        let mut whole = Observer::new(kind).unwrap();
        whole.observe(&x).unwrap();
        for batch in [1, 7, 4096, 5000] {
            let mut observer = Observer::new(kind).unwrap();
            x.chunks(batch).for_each(|x| observer.observe(x).unwrap());
            assert!(observer == whole, "{kind:?} in batches of {batch}");
        }
    }
}

#[test]
fn a_moving_average_moves_by_its_constant_and_passes_over_batches_without_a_finite_element() {
    let mut observer = Observer::new(ObserverKind::MovingAverage { averaging_constant: 0.25 }).unwrap();
    observer.observe(&[f32::NAN]).unwrap();
    assert_eq!(observer.range(0), Err(Error::NoData { group: 0 }));
    observer.observe(&[1.0, 3.0, f32::INFINITY]).unwrap();
    assert_eq!(observer.range(0), Ok((1.0, 3.0)));
    observer.observe(&[-3.0, 11.0]).unwrap();
    assert_eq!(observer.range(0), Ok((0.0, 5.0)));
    observer.observe(&[f32::NAN; 3]).unwrap();
    assert_eq!(observer.range(0), Ok((0.0, 5.0)));
    observer.observe(&[f32::MIN, f32::MAX]).unwrap();
    assert_eq!(observer.range(0), Ok((f32::MIN / 4.0, 3.75 + f32::MAX / 4.0)));
    let count = observer.count(0).unwrap();
    assert_eq!((count.finite, count.non_finite), (6, 5));
}

#[test]
fn observers_that_do_not_go_together_are_not_merged() {
    let base = |kind| {
        let mut base = observer(kind, &[2, 3, 4], 1);
        base.observe(&[0.5; 24]).unwrap();
        base
    };
    let mut histogram = base(ObserverKind::Histogram);
    let before = histogram.clone();
    for other in [
        base(ObserverKind::MinMax),
        base(MOVING),
        Observer::new(ObserverKind::Histogram).unwrap(),
        observer(ObserverKind::Histogram, &[2, 4, 3], 1),
        observer(ObserverKind::Histogram, &[2, 3, 5], 1),
    ] {
        assert!(matches!(histogram.merge(&other), Err(Error::Incompatible { .. })), "{other:?}");
        assert!(histogram == before);
    }
    let mut average = base(MOVING);
    let before = average.clone();
    assert!(matches!(average.merge(&before), Err(Error::NotApplicable { property: "merge", .. })));
    assert!(average == before);
}

#[test]
fn reset_forgets_the_data_alone_and_a_new_shape_forgets_them_too() {
    for kind in KINDS {
        let mut observer = observer(kind, &[2, 3], 1);
        let empty = observer.clone();
        observer.observe(&[1.0; 6]).unwrap();
        assert!(observer != empty);
        observer.reset();
        assert!(observer == empty);
        observer.observe(&[1.0; 6]).unwrap();
        observer.set_shape(&[9, 3], 1).unwrap();
        assert!(observer == empty);
        assert_eq!(observer.observe(&[1.0; 5]), Err(Error::CutBatch { n: 5, of: 3 }));
        assert!(observer == empty);
    }
}

// ---- Scales ---------------------------------------------------------------------------------------------------------

/// A quantizer with its scale from the weights, and one with it from an observer of them.
fn both(bits: u32, range: CodeRange, symmetric: bool, method: ScaleInit, x: &[f32]) -> [UniformQuantizer; 2] {
    let mut exact = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
    exact.set_code_range(range);
    exact.set_symmetric(symmetric);
    let mut observed = exact.clone();
    exact.init_scale_with(method, x).unwrap();
    let mut observer = Observer::new(ObserverKind::Histogram).unwrap();
    x.chunks(1000).for_each(|x| observer.observe(x).unwrap());
    observed.init_scale_from(&observer, method).unwrap();
    [exact, observed]
}

fn squared_error(quantizer: &UniformQuantizer, x: &[f32]) -> f64 {
    let (_, values) = quantizer.forward(x).unwrap();
    x.iter().zip(&values).map(|(x, value)| f64::from(x - value).powi(2)).sum()
}

/// Named samples: (name, numbers).
fn samples(n: usize) -> Vec<(&'static str, Vec<f32>)> {
    let mut random = Random::new(5);
    vec![
        ("gaussian", random.many(n, Random::gaussian)),
        ("laplace", random.many(n, Random::laplace)),
        ("shifted", random.many(n, |random| random.gaussian() + 3.0)),
        ("relu", random.many(n, |random| random.gaussian().max(0.0))),
        (
            "gelu",
            random.many(n, |random| {
                let x = random.gaussian() * 2.0;
                x / (1.0 + (-1.702 * x).exp())
            }),
        ),
        ("outliers", random.many(n, |random| random.gaussian() * if random.below(1000) == 0 { 50.0 } else { 1.0 })),
    ]
}

#[test]
fn scales_from_ranges_are_those_from_the_weights_exactly() {
    for (name, x) in samples(5000) {
        for range in [CodeRange::Full, CodeRange::Narrow, CodeRange::Unsigned] {
            for symmetric in [true, false] {
                for method in [ScaleInit::MaxAbs, ScaleInit::MinMax, ScaleInit::Percentile(100.0)] {
                    let [exact, observed] = both(4, range, symmetric, method, &x);
                    assert_eq!(observed.scales(), exact.scales(), "{name} {range:?} {symmetric} {method:?}");
                    assert_eq!(observed.zero_point(0), exact.zero_point(0), "{name} {range:?} {symmetric} {method:?}");
                }
            }
        }
    }
}

#[test]
fn percentiles_are_off_by_less_than_a_bin_and_means_by_less_than_a_thousandth() {
    for (name, x) in samples(30_000) {
        for symmetric in [true, false] {
            for (method, bound) in [
                (ScaleInit::Lsq, 1e-3),
                (ScaleInit::Percentile(99.9), 1.0 / 16.0),
                (ScaleInit::Percentile(99.0), 1.0 / 16.0),
                (ScaleInit::Percentile(50.0), 1.0 / 16.0),
            ] {
                let [exact, observed] = both(4, CodeRange::Full, symmetric, method, &x);
                let ratio = observed.scale() / exact.scale();
                assert!((ratio - 1.0).abs() < bound, "{name}, symmetric {symmetric}, {method:?}: {ratio}");
            }
        }
    }
}

/// Negative numbers that are nearly 0 are the smallest magnitudes, as positive ones are.
#[test]
fn a_percentile_of_magnitudes_takes_them_in_their_order_whatever_their_signs() {
    for tiny in [-1e-40, 1e-40, -1e-35, 1e-35] {
        for large in [-3.0, 3.0] {
            let x = [[tiny; 60], [large; 60]].concat();
            let [exact, observed] = both(4, CodeRange::Full, true, ScaleInit::Percentile(50.0), &x);
            assert!(exact.scale() < 1e-34 && observed.scale() < 1e-34, "{tiny}, {large}: {}", observed.scale());
        }
    }
}

/// Their zeros are a piece of the density that has no width.
#[test]
fn numbers_up_to_0_get_a_scale_of_little_error_from_a_histogram() {
    let x = Random::new(6).many(10_000, |random| (random.gaussian() - 1.0).min(0.0));
    for symmetric in [true, false] {
        let [exact, observed] = both(4, CodeRange::Full, symmetric, ScaleInit::Mse, &x);
        let excess = squared_error(&observed, &x) / squared_error(&exact, &x) - 1.0;
        assert!(excess < 0.01, "symmetric {symmetric}: {excess}");
    }
}

/// Prints what docs/methods.md says of it.
#[test]
fn the_squared_error_of_scales_from_a_histogram_is_near_the_smallest() {
    for (name, x) in samples(100_000) {
        for symmetric in [true, false] {
            for (bits, bound) in [(2, 1e-3), (4, 1e-3), (8, 0.015)] {
                let [exact, observed] = both(bits, CodeRange::Full, symmetric, ScaleInit::Mse, &x);
                let excess = squared_error(&observed, &x) / squared_error(&exact, &x) - 1.0;
                println!("{name}, symmetric {symmetric}, {bits} bits: {:.3} %", excess * 100.0);
                assert!(excess < bound, "{name}, symmetric {symmetric}, {bits} bits: {excess}");
            }
        }
    }
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

#[test]
fn what_was_written_is_read_back_the_same_for_any_floats() {
    let mut random = Random::new(6);
    for case in 0..200 {
        // Constants and ranges of random bits: their decimal forms are long.
        let averaging_constant = random.unit() as f32;
        for kind in [ObserverKind::MinMax, ObserverKind::MovingAverage { averaging_constant }, ObserverKind::Histogram]
        {
            let mut before = observer(kind, &[1, 3, 2], 1);
            before.observe(&any_floats(&mut random, 6 * case)).unwrap();
            let json = before.to_json().unwrap();
            let after = Observer::from_json(&json).unwrap();
            assert!(after == before, "{json}");
            assert_eq!(after.to_json().unwrap(), json);
        }
    }
}
