//! The smallest squared error: against the known optima of two distributions, and against brute force on small groups.

use crate::random::{Random, gaussian_at, laplace_at};
use diffquant::{CodeRange, DifferentiableQuantizer, QuantGranularity, ScaleInit, SteVariant, UniformQuantizer};

/// A group of weights, sorted, and what its error is computed from.
struct Sorted {
    w: Vec<f64>,
    /// Sums of the first so many.
    sums: Vec<f64>,
    squares: f64,
}

/// The error of a step, and the step that is best for the same codes.
#[derive(Clone, Copy)]
struct Fit {
    error: f64,
    error_at_bottom: f64,
}

impl Sorted {
    fn new(w: &[f32]) -> Sorted {
        let mut w: Vec<f64> = w.iter().map(|w| f64::from(*w)).collect();
        w.sort_by(f64::total_cmp);
        let mut sums = vec![0.0];
        for w in &w {
            sums.push(sums[sums.len() - 1] + w);
        }
        let squares = w.iter().map(|w| w * w).sum();
        Sorted { w, sums, squares }
    }

    /// Levels are whole numbers from `lowest` to `highest`.
    fn fit(&self, step: f64, lowest: i32, highest: i32) -> Fit {
        let (mut weight_by_level, mut level_squared) = (0.0, 0.0);
        if self.w.len() < 6 * (highest - lowest) as usize {
            let by_step = 1.0 / step;
            for w in &self.w {
                let level = (w * by_step).round_ties_even().clamp(f64::from(lowest), f64::from(highest));
                weight_by_level += w * level;
                level_squared += level * level;
            }
        } else {
            let mut start = 0;
            for level in lowest..=highest {
                let boundary = (f64::from(level) + 0.5) * step;
                let rest = &self.w[start..];
                let end = start + if level == highest { rest.len() } else { rest.partition_point(|w| *w < boundary) };
                weight_by_level += f64::from(level) * (self.sums[end] - self.sums[start]);
                level_squared += f64::from(level * level) * (end - start) as f64;
                start = end;
            }
        }
        let error = |step: f64| self.squares - 2.0 * step * weight_by_level + step * step * level_squared;
        let bottom = if weight_by_level > 0.0 { weight_by_level / level_squared } else { step };
        Fit { error: error(step), error_at_bottom: error(bottom) }
    }

    /// The smallest error of `count` steps, and of the bottoms of their parabolas, geometrically spaced between two.
    fn sweep(&self, from: f64, to: f64, count: usize, lowest: i32, highest: i32) -> f64 {
        let factor = (to / from).powf(1.0 / count as f64);
        let errors = (0..=count).map(|at| {
            let fit = self.fit(from * factor.powi(at as i32), lowest, highest);
            fit.error.min(fit.error_at_bottom)
        });
        errors.fold(f64::INFINITY, f64::min)
    }

    /// The smallest error of any step between two, exactly: every assignment of weights to levels, one move after another.
    fn enumerate(&self, largest: f64, smallest: f64, lowest: i32, highest: i32) -> f64 {
        let (from, to) = (1.0 / largest, 1.0 / smallest);
        let (mut weight_by_level, mut level_squared) = (0.0, 0.0);
        // A weight moves from a level to the next where one over the step is this.
        let mut moves: Vec<(f64, f64, f64)> = Vec::new();
        for w in self.w.iter().filter(|w| **w != 0.0) {
            let magnitude = w.abs();
            let last = f64::from(if *w < 0.0 { -lowest } else { highest });
            let mut level = (magnitude * from).round().min(last);
            weight_by_level += magnitude * level;
            level_squared += level * level;
            while level < last && (level + 0.5) / magnitude < to {
                moves.push(((level + 0.5) / magnitude, magnitude, 2.0 * level + 1.0));
                level += 1.0;
            }
        }
        moves.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut gain = weight_by_level * weight_by_level / level_squared.max(1.0);
        for (_, by_level, squared) in moves {
            weight_by_level += by_level;
            level_squared += squared;
            gain = gain.max(weight_by_level * weight_by_level / level_squared);
        }
        self.squares - gain
    }

    /// The smallest error there is, by brute force, over steps and, unless `symmetric`, zero points.
    fn smallest_error(&self, bits: u32, symmetric: bool) -> f64 {
        let (min, max) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let (smallest, largest) = (self.w[0].min(0.0), self.w[self.w.len() - 1].max(0.0));
        if symmetric {
            let covering = (smallest / f64::from(min)).max(largest / f64::from(max));
            return self.enumerate(covering * 2.0, covering / 100.0, min, max);
        }
        let covering = (largest - smallest) / f64::from(max - min);
        let (coarsest, finest) = (covering * 2.0, covering / 60.0);
        let zero_points: Vec<i32> = if self.w.len() <= 64 {
            (min..=max).collect()
        } else {
            let mut by_error: Vec<(f64, i32)> =
                (min..=max).map(|z| (self.sweep(finest, coarsest, 400, min - z, max - z), z)).collect();
            by_error.sort_by(|a, b| a.0.total_cmp(&b.0));
            by_error.iter().take(if self.w.len() < 1000 { 16 } else { 6 }).map(|(_, z)| *z).collect()
        };
        let errors = zero_points.iter().map(|z| self.enumerate(coarsest, finest, min - z, max - z));
        errors.fold(f64::INFINITY, f64::min)
    }
}

/// A name, and a weight for a place in its group.
type Distribution = (&'static str, fn(&mut Random, usize) -> f64);

const DISTRIBUTIONS: [Distribution; 10] = [
    ("gaussian", |random, _| random.gaussian()),
    ("laplace", |random, _| random.laplace()),
    ("uniform", |random, _| random.between(-1.0, 1.0)),
    ("one outlier", |random, at| if at == 5 { 30.0 } else { random.gaussian() }),
    ("one-sided", |random, _| random.gaussian().max(0.0)),
    ("shifted", |random, _| random.gaussian() + 1.5),
    ("student of 3 degrees", |random, _| {
        let squares: f64 = (0..3).map(|_| random.gaussian().powi(2)).sum();
        random.gaussian() / (squares / 3.0).sqrt()
    }),
    ("bimodal", |random, _| random.one_of(&[-1.0, 1.0]) + 0.15 * random.gaussian()),
    ("sparse", |random, _| if random.unit() < 0.9 { 0.0 } else { random.gaussian() }),
    ("outliers of 1 %", |random, _| random.gaussian() * if random.unit() < 0.01 { 20.0 } else { 1.0 }),
];

/// By how much the error of calibrated scales exceeds the optimum, for each of `groups` groups of `n` weights.
fn excesses((name, draw): Distribution, bits: u32, symmetric: bool, groups: usize, n: usize, seed: u64) -> Vec<f64> {
    let random = &mut Random::new(seed);
    let w: Vec<f32> = (0..groups * n).map(|at| draw(random, at % n) as f32).collect();
    let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
    quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
    quantizer.set_shape(&[groups, n], 0).unwrap();
    quantizer.set_symmetric(symmetric);
    quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
    let (min, max) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let excess = |group: usize| {
        let sorted = Sorted::new(&w[group * n..(group + 1) * n]);
        let z = quantizer.zero_point(group).unwrap();
        let error = sorted.fit(quantizer.scales()[group].into(), min - z, max - z).error;
        let smallest = sorted.smallest_error(bits, symmetric);
        assert!(
            error >= smallest * (1.0 - 1e-5) - 1e-12 * sorted.squares,
            "{name}, {bits} bits, seed {seed}, group {group}: better than the best, {error} < {smallest}"
        );
        // Few weights may all be on levels, but for the rounding of scales to floats: that is no error.
        (error - smallest).max(0.0) / smallest.max(1e-9 * sorted.squares).max(f64::MIN_POSITIVE)
    };
    (0..groups).map(excess).collect()
}

/// The groups of a size, in every width: their excesses, sorted.
fn all_excesses(distribution: Distribution, symmetric: bool, groups: usize, n: usize) -> Vec<f64> {
    let of_width = |bits: u32| excesses(distribution, bits, symmetric, groups, n, u64::from(bits) + 100 * n as u64);
    let mut all: Vec<f64> = (2..=8).flat_map(of_width).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// How many of sorted excesses are above 0.1 %, and which is the worst.
fn misses(excesses: &[f64]) -> (usize, f64) {
    (excesses.iter().filter(|excess| **excess > 1e-3).count(), excesses[excesses.len() - 1])
}

/// The bound is 0.1 %. With many more groups, see `many_times`, one in 150 may miss it, by little unless its weights are few;
/// docs/methods.md says how many do.
fn check(symmetric: bool, sizes: [(usize, usize); 3]) {
    let mut missed = Vec::new();
    for (n, groups) in sizes {
        let mut all = Vec::new();
        for distribution in DISTRIBUTIONS {
            let excesses = all_excesses(distribution, symmetric, groups, n);
            let (above, worst) = misses(&excesses);
            println!(
                "symmetric {symmetric}, groups of {n}, {}: {above} of {} above 0.1 %, worst {:.2} %",
                distribution.0,
                excesses.len(),
                100.0 * worst
            );
            all.extend(excesses);
        }
        all.sort_by(f64::total_cmp);
        let (above, worst) = misses(&all);
        let median = all[all.len() / 2];
        let summary = format!(
            "symmetric {symmetric}, groups of {n}, all: {above} of {} above 0.1 %, worst {:.2} %, median {:.4} %",
            all.len(),
            100.0 * worst,
            100.0 * median
        );
        println!("{summary}");
        // One in three hundred is allowed, which is none of many weights unless more groups are asked for; with zero points to find, twice
        // as many.
        let allowed = if symmetric { all.len() / 300 } else { all.len().div_ceil(150) };
        if above > allowed || median > 1e-4 || (n > 1000 && worst > 0.01) {
            missed.push(summary);
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn the_error_of_symmetric_scales_is_within_a_thousandth_of_the_smallest() {
    check(true, [(4096, 1), (256, 4), (32, 16)].map(many_times));
}

#[test]
fn the_error_of_asymmetric_scales_is_within_a_thousandth_of_the_smallest() {
    check(false, [(4096, 1), (256, 1), (32, 6)].map(many_times));
}

/// One scale for a tensor, for a channel of 1024 and for a block of 32, at the widths in use: every group, of normal weights, of
/// Laplace's and of uniform ones, against every step of a dense grid with its best neighbour, or every assignment there is.
#[test]
fn per_tensor_per_channel_and_per_block_the_error_is_within_a_thousandth_of_the_smallest() {
    for (granularity, n, groups) in [
        (QuantGranularity::PerTensor, 1 << 16, 1),
        (QuantGranularity::PerChannel, 1024, 16),
        (QuantGranularity::PerBlock { block_size: 32 }, 32, 256),
    ] {
        for (name, draw) in &DISTRIBUTIONS[..3] {
            for bits in [2, 3, 4, 8] {
                let random = &mut Random::new(u64::from(bits));
                let w: Vec<f32> = (0..groups * n).map(|at| draw(random, at % n) as f32).collect();
                let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
                quantizer.set_granularity(granularity).unwrap();
                quantizer.set_shape(&[groups, n], 0).unwrap();
                if let QuantGranularity::PerBlock { .. } = granularity {
                    quantizer.set_shape(&[groups, n], 1).unwrap();
                }
                quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
                assert_eq!(quantizer.scales().len(), groups);
                let (min, max) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                for (w, scale) in w.chunks(n).zip(quantizer.scales()) {
                    let sorted = Sorted::new(w);
                    let error = sorted.fit((*scale).into(), min, max).error;
                    let covering = sorted.w[n - 1] / f64::from(max);
                    let smallest = if n > 10_000 {
                        sorted.sweep(covering / 20.0, covering * 1.5, 20_000, min, max)
                    } else {
                        sorted.smallest_error(bits, true)
                    };
                    assert!(error <= smallest * 1.001, "{name}, {bits} bits, {n} weights: {error}, not {smallest}");
                }
            }
        }
    }
}

/// As many times more groups as the environment asks for: `DIFFQUANT_MANY_GROUPS=20 cargo test --test methods mse`.
fn many_times((weights, groups): (usize, usize)) -> (usize, usize) {
    let times = std::env::var("DIFFQUANT_MANY_GROUPS").map_or(1, |times| times.parse().expect("a number of times"));
    (weights, groups * times)
}

/// The scales and the signal-to-noise ratios in dB that are the best for two distributions, and what 4 Mi samples give.
///
/// The samples are spread evenly (by the golden ratio, from a seeded start): of independent ones the ratio at 8 bits scatters by
/// 0.06 dB, for the few in the tails.
#[test]
fn the_known_optima_of_two_distributions_are_reached() {
    let gaussian = [(2, 1.0484, 8.26), (3, 0.6018, 13.91), (4, 0.3386, 19.26), (5, 0.1888, 24.53), (8, 0.0308, 40.57)];
    let laplace =
        [(2, 1.7170, 6.840), (3, 1.0783, 11.427), (4, 0.6614, 15.976), (5, 0.3978, 20.609), (8, 0.07757, 35.209)];
    let distributions: [fn(f64, f64) -> f64; 2] = [gaussian_at, |place, _| laplace_at(place)];
    for (name, at, optima) in [("gaussian", distributions[0], gaussian), ("laplace", distributions[1], laplace)] {
        let (n, start) = (4 << 20, Random::new(7).unit());
        let golden = (5f64.sqrt() - 1.0) / 2.0;
        let place = |index: usize| (index as f64 + start) / f64::from(n);
        let w: Vec<f32> = (0..n as usize).map(|i| at(place(i), (i as f64 * golden + start).fract()) as f32).collect();
        let signal: f64 = w.iter().map(|w| f64::from(*w).powi(2)).sum();
        for (bits, scale, ratio) in optima {
            let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
            quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
            let (_, values) = quantizer.forward(&w).unwrap();
            let noise: f64 = w.iter().zip(&values).map(|(w, value)| (f64::from(*w) - f64::from(*value)).powi(2)).sum();
            let found = 10.0 * (signal / noise).log10();
            let context = format!("{name}, {bits} bits: scale {}, {found} dB", quantizer.scale());
            println!("{context}");
            assert!((found - ratio).abs() < 0.02, "{context}, not {ratio}");
            assert!((f64::from(quantizer.scale()) / scale - 1.0).abs() < 0.03, "{context}, not {scale}");
        }
    }
}

/// Zero error where every weight is a level: any step that has it will do.
#[test]
fn weights_that_are_on_a_grid_are_kept() {
    for symmetric in [true, false] {
        for bits in 2..=8 {
            let random = &mut Random::new(bits.into());
            let (low, high) =
                if symmetric { (-(1i32 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (-1, (1 << bits) - 2) };
            let w: Vec<f32> = (low..=high)
                .chain((0..40).map(|_| random.below(high as usize) as i32))
                .map(|l| l as f32 * 0.375)
                .collect();
            let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
            quantizer.set_symmetric(symmetric);
            quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
            let (_, values) = quantizer.forward(&w).unwrap();
            let worst = w.iter().zip(&values).map(|(w, value)| (w - value).abs()).fold(0.0, f32::max);
            assert!(
                worst < 1e-5 * w.len() as f32,
                "{bits} bits, symmetric {symmetric}: {worst} off, {}",
                quantizer.scale()
            );
        }
    }
}

/// A range without codes for negative weights makes each of them 0 at every step, however large it is.
#[test]
fn weights_on_the_side_without_codes_do_not_hide_the_best_step_of_the_others() {
    for bits in [2, 3, 4, 8] {
        for n in [40, 200, 1000] {
            for size in [0.1, 2.0, 7.0, 11.0] {
                let random = &mut Random::new(u64::from(bits) + n as u64);
                let levels = (1 << bits) - 1;
                let level = |random: &mut Random| random.below(levels as usize + 1) as f32 / levels as f32;
                let w: Vec<f32> = (0..n).map(|at| if at % 20 == 7 { -size } else { level(random) }).collect();
                let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
                quantizer.set_code_range(CodeRange::Unsigned);
                quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
                let sorted = Sorted::new(&w);
                let error = sorted.fit(quantizer.scale().into(), 0, levels).error;
                let covering = 1.0 / f64::from(levels);
                let smallest = sorted.enumerate(2.0 * covering, covering / 100.0, 0, levels);
                assert!(
                    error <= smallest * 1.001,
                    "{bits} bits, {n} weights, negative ones {size}: step {}, error {error}, not {smallest}",
                    quantizer.scale()
                );
            }
        }
    }
}

/// Of a handful, every assignment to codes is tried: none of these groups has a better one.
#[test]
fn of_few_weights_none_is_missed() {
    let one_sided: Distribution = ("far on one side", |random, _| 0.2 * random.gaussian() - 1.5);
    for distribution in DISTRIBUTIONS.into_iter().chain([one_sided]) {
        let symmetric = (2..=8).flat_map(|bits| (1..=8).map(move |n| (bits, true, n)));
        for (bits, symmetric, n) in symmetric.chain((3..=16).map(|n| (2, false, n))) {
            let excesses = excesses(distribution, bits, symmetric, 20, n, 7);
            let worst = excesses.into_iter().fold(0.0, f64::max);
            assert!(worst <= 1e-3, "{}, {bits} bits, {n} weights, symmetric {symmetric}: {worst}", distribution.0);
        }
    }
}

/// Many weights outweigh one that lies hundreds of times farther out than they do, so the best step clamps it.
#[test]
fn an_outlier_does_not_hide_the_best_step_of_many_weights() {
    for (n, sizes) in [(10_000, [70.0, 90.0]), (1 << 17, [100.0, 300.0])] {
        for size in sizes {
            let random = &mut Random::new(n as u64);
            let w: Vec<f32> = (0..n).map(|at| if at == 5 { size } else { random.gaussian() as f32 }).collect();
            let sorted = Sorted::new(&w);
            for (bits, symmetric) in [(2, true), (2, false), (3, true), (3, false), (4, true)] {
                let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
                quantizer.set_symmetric(symmetric);
                quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
                let (min, max) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                let covering = f64::from(size) / f64::from(max);
                let error = |z: i32| sorted.sweep(covering * 1.5, covering / 2000.0, 4000, min - z, max - z);
                let zero_points = if symmetric { 0..=0 } else { min..=max };
                let smallest = zero_points.map(error).fold(f64::INFINITY, f64::min);
                let z = quantizer.zero_point(0).unwrap();
                let found = sorted.fit(quantizer.scale().into(), min - z, max - z).error;
                assert!(
                    found <= smallest * 1.001,
                    "{n} weights, one of {size}, {bits} bits, symmetric {symmetric}: {found}, not {smallest}"
                );
            }
        }
    }
}

/// A power of two changes the scale by itself and nothing else, however far from 1 the weights are.
#[test]
fn weights_times_a_power_of_two_get_scales_times_it() {
    for symmetric in [true, false] {
        for bits in [2, 4, 8] {
            let random = &mut Random::new(bits.into());
            let w: Vec<f32> = (0..300).map(|_| random.gaussian() as f32).collect();
            let calibrated = |power: i32| {
                let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
                quantizer.set_symmetric(symmetric);
                let scaled: Vec<f32> = w.iter().map(|w| w * 2f32.powi(power)).collect();
                quantizer.init_scale_with(ScaleInit::Mse, &scaled).unwrap();
                (quantizer.scale() / 2f32.powi(power), quantizer.zero_point(0))
            };
            for power in (-100..=100).step_by(20) {
                assert_eq!(calibrated(power), calibrated(0), "{bits} bits, symmetric {symmetric}, 2^{power}");
            }
        }
    }
}
