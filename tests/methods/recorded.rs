//! What calibration by squared error comes to, as it is recorded in `recorded.txt`.
//!
//! Both searches, that in weights and that in a histogram, choose the steps that they try by rules of thumb. Within the bounds that
//! `mse.rs` and `observers.rs` check there are many results, and whoever calibrates again expects the one of before: a change is
//! to be seen, and meant. `DIFFQUANT_BLESS=1 cargo test --test methods recorded` records it.

use crate::random::Random;
use diffquant::{
    CodeRange, DifferentiableQuantizer, Observer, ObserverKind, QuantGranularity, ScaleInit, SteVariant,
    UniformQuantizer,
};
use std::fmt::Write;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/methods/recorded.txt");

/// One after the other, the distributions of the groups: a weight for a place, and the largest code.
const DISTRIBUTIONS: [fn(&mut Random, usize, f64) -> f64; 12] = [
    |random, _, _| random.gaussian(),
    |random, _, _| random.laplace() - 0.3,
    |random, _, _| random.between(-1.0, 1.0),
    |random, at, _| if at == 5 { -30.0 } else { random.gaussian() },
    |random, _, _| random.gaussian().max(0.0),
    |random, _, _| 0.2 * random.gaussian() - 1.5,
    // The ends are a step of 1 from the largest codes.
    |random, at, largest| {
        [-largest - 1.0, largest].get(at).copied().unwrap_or_else(|| random.laplace().clamp(-2.0, 2.0))
    },
    // Few sizes, and zeros.
    |random, at, _| if at % 3 == 0 { 0.0 } else { random.below(9) as f64 * 0.7 - 2.0 },
    |random, at, _| if at % 7 == 3 { 0.0 } else { random.gaussian() },
    // Outliers: one that is alone, some that are alike, and of every size.
    |random, at, _| if at == 1 { 300.0 } else { random.gaussian() },
    |random, at, _| if at % 50 == 1 { -8.0 } else { random.unit() },
    |random, _, _| random.gaussian().powi(5),
];

/// Names, and whether the zero point stays.
const KINDS: [(&str, bool, CodeRange); 5] = [
    ("full", true, CodeRange::Full),
    ("narrow", true, CodeRange::Narrow),
    ("unsigned", true, CodeRange::Unsigned),
    ("free", false, CodeRange::Full),
    ("narrow and free", false, CodeRange::Narrow),
];

/// FNV-1a of the scales and zero points.
fn digest(quantizer: &UniformQuantizer) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (group, scale) in quantizer.scales().iter().enumerate() {
        for word in [scale.to_bits(), quantizer.zero_point(group).unwrap() as u32] {
            hash = (hash ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[test]
fn scales_of_the_smallest_squared_error_are_those_that_are_recorded() {
    let groups = DISTRIBUTIONS.len();
    let mut found = String::new();
    for n in [1, 2, 7, 8, 16, 32, 64, 65, 300, 1000, 4097] {
        for bits in [2, 3, 4, 5, 6, 8] {
            let random = &mut Random::new((n as u64) << 8 | u64::from(bits));
            let largest = f64::from((1 << (bits - 1)) - 1);
            let w: Vec<f32> = DISTRIBUTIONS
                .iter()
                .flat_map(|draw| (0..n).map(|at| draw(random, at, largest) as f32).collect::<Vec<_>>())
                .collect();
            let mut observer = Observer::new(ObserverKind::Histogram).unwrap();
            observer.set_shape(&[groups, n], 0).unwrap();
            observer.observe(&w).unwrap();
            for (kind, symmetric, range) in KINDS {
                let mut quantizer = UniformQuantizer::new(bits, SteVariant::Standard).unwrap();
                quantizer.set_granularity(QuantGranularity::PerChannel).unwrap();
                quantizer.set_shape(&[groups, n], 0).unwrap();
                quantizer.set_symmetric(symmetric);
                quantizer.set_code_range(range);
                quantizer.init_scale_with(ScaleInit::Mse, &w).unwrap();
                let of_weights = digest(&quantizer);
                quantizer.init_scale_from(&observer, ScaleInit::Mse).unwrap();
                let of_histogram = digest(&quantizer);
                writeln!(found, "{n} weights, {bits} bits, {kind}: {of_weights:016x}, histogram {of_histogram:016x}")
                    .unwrap();
            }
        }
    }
    if std::env::var_os("DIFFQUANT_BLESS").is_some() {
        std::fs::write(RECORD, &found).unwrap();
    }
    let recorded = std::fs::read_to_string(RECORD).unwrap();
    let changed: Vec<_> = found.lines().filter(|line| !recorded.lines().any(|recorded| recorded == *line)).collect();
    assert!(changed.is_empty() && found == recorded, "not recorded: {changed:#?}");
}
