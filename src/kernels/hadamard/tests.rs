//! The rotation on every instruction set: the bits of plain stages, the numbers of the matrix, and an inverse.

use super::*;
use crate::kernels::tests::random;

/// The signs and the lengths of blocks, in the words of the specification.
fn plan(length: usize, seed: u64) -> (Vec<f32>, Vec<usize>) {
    let output = |index: u64| {
        let z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let sign = |i: usize| if output(i as u64 / 64) >> (i % 64) & 1 == 1 { -1.0 } else { 1.0 };
    let powers = (0..usize::BITS).rev().map(|bit| length & (1 << bit)).filter(|power| *power > 0);
    ((0..length).map(sign).collect(), powers.collect())
}

/// One row by plain f32 stages: what every instruction set must give, to the bit.
fn by_stages(row: &[f32], seed: u64, way: Way) -> Vec<f32> {
    let (signs, powers) = plan(row.len(), seed);
    let mut y = row.to_vec();
    let mut start = 0;
    for m in powers {
        let (x, signs) = (&mut y[start..start + m], &signs[start..start + m]);
        let scale = (1.0 / (m as f64).sqrt()) as f32;
        let multiply = |x: &mut [f32]| x.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign * scale);
        if way == Way::There {
            multiply(x);
        }
        let mut stride = 1;
        while stride < m {
            for i in (0..m).filter(|i| i & stride == 0) {
                (x[i], x[i + stride]) = (x[i] + x[i + stride], x[i] - x[i + stride]);
            }
            stride *= 2;
        }
        if way == Way::Back {
            multiply(x);
        }
        start += m;
    }
    y
}

/// One row by the matrix, in f64.
fn by_matrix(row: &[f32], seed: u64, way: Way) -> Vec<f64> {
    let (signs, powers) = plan(row.len(), seed);
    let mut y = Vec::new();
    for m in powers {
        let start = y.len();
        let entry = |i: usize, j: usize| if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
        for i in 0..m {
            let sum: f64 = (0..m)
                .map(|j| {
                    let sign = signs[start + if way == Way::There { j } else { i }];
                    entry(i, j) * f64::from(sign) * f64::from(row[start + j])
                })
                .sum();
            y.push(sum / (m as f64).sqrt());
        }
    }
    y
}

fn norm(x: impl IntoIterator<Item = f64>) -> f64 {
    x.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Roundings that an element meets: one for each stage, the product, and the factor.
fn roundings(length: usize) -> f64 {
    (f64::from(length.ilog2()) + 2.0) * 2f64.powi(-24)
}

fn run(isa: Isa, rotation: &Rotation, way: Way, from: Input<'_, f32>, to: Output<'_, f32>) {
    let rows = 0..from.len() / rotation.length();
    isa.run(Rotate { rotation, way, from, to, rows });
}

fn lengths() -> impl Iterator<Item = usize> {
    (1..=257).chain([511, 512, 1000, 1024, 2048, 4095, 4096, 4097, 8192, 3 * 4096, 16384, 32768 + 100])
}

const WAYS: [Way; 2] = [Way::There, Way::Back];

#[test]
fn every_instruction_set_gives_the_bits_of_plain_stages_in_place_or_not() {
    for length in lengths() {
        let (seed, rows) = (length as u64 * 3, 2);
        let rotation = Rotation::new(length, seed).unwrap();
        let x = random(seed, rows * length);
        for way in WAYS {
            let expected: Vec<f32> = x.chunks(length).flat_map(|row| by_stages(row, seed, way)).collect();
            for isa in Isa::available() {
                let mut y = vec![f32::NAN; x.len()];
                run(isa, &rotation, way, x[..].into(), Output::from(&mut y[..]));
                assert!(y == expected, "{length}, {way:?}, {isa:?}");
                y.copy_from_slice(&x);
                let (from, to) = Output::in_place(&mut y[..]);
                run(isa, &rotation, way, from, to);
                assert!(y == expected, "{length}, {way:?}, {isa:?}, in place");
            }
        }
    }
}

#[test]
fn the_rotation_is_the_matrix_within_one_rounding_for_each_stage() {
    for length in (1..=130).chain([256, 257, 1000, 1024]) {
        let seed = length as u64 + 17;
        let rotation = Rotation::new(length, seed).unwrap();
        let x = random(seed, length);
        for way in WAYS {
            let mut y = vec![0.0; length];
            run(Isa::current(), &rotation, way, x[..].into(), Output::from(&mut y[..]));
            let exact = by_matrix(&x, seed, way);
            let error = norm(y.iter().zip(&exact).map(|(y, exact)| f64::from(*y) - exact));
            let size = norm(x.iter().map(|x| f64::from(*x)));
            assert!(error <= roundings(length) * size, "{length}, {way:?}: {error} of {size}");
        }
    }
}

#[test]
fn the_transpose_is_the_inverse_and_neither_changes_the_norm() {
    for length in lengths() {
        let rotation = Rotation::new(length, 5).unwrap();
        let x = random(length as u64, length);
        let size = norm(x.iter().map(|x| f64::from(*x)));
        let mut y = x.clone();
        for way in WAYS {
            let (from, to) = Output::in_place(&mut y[..]);
            run(Isa::current(), &rotation, way, from, to);
            let turned = norm(y.iter().map(|y| f64::from(*y)));
            assert!((turned - size).abs() <= 2.0 * roundings(length) * size, "{length}, {way:?}: {turned} of {size}");
        }
        let error = norm(y.iter().zip(&x).map(|(y, x)| f64::from(*y) - f64::from(*x)));
        assert!(error <= 2.0 * roundings(length) * size, "{length}: {error} of {size}");
    }
}

/// What an impulse becomes is a row of H, exactly, where the square root of the length is a power of two.
#[test]
fn an_impulse_spreads_evenly_over_its_block() {
    for length in [1usize, 4, 16, 64, 256, 4096] {
        let seed = 99;
        let rotation = Rotation::new(length, seed).unwrap();
        let sign = plan(length, seed).0;
        for at in [0, 1, length / 2, length - 1].into_iter().filter(|at| *at < length) {
            let mut x = vec![0.0; length];
            x[at] = 3.0;
            let (from, to) = Output::in_place(&mut x[..]);
            run(Isa::current(), &rotation, Way::There, from, to);
            for (i, x) in x.iter().enumerate() {
                let expected =
                    3.0 / (length as f32).sqrt() * sign[at] * (1.0 - 2.0 * ((i & at).count_ones() % 2) as f32);
                assert_eq!(*x, expected, "{length}, impulse at {at}, element {i}");
            }
        }
    }
}

/// The signs of seeds 0 and 1, fixed forever: the first outputs of SplitMix64.
#[test]
fn the_signs_of_a_seed_never_change() {
    for (seed, outputs) in
        [(0, [0xe220_a839_7b1d_cdafu64, 0x6e78_9e6a_a1b9_65f4]), (1, [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67])]
    {
        let rotation = Rotation::new(128, seed).unwrap();
        for (i, factor) in rotation.factors.iter().enumerate() {
            assert_eq!(factor.is_sign_negative(), outputs[i / 64] >> (i % 64) & 1 == 1, "seed {seed}, element {i}");
        }
    }
}

#[test]
fn blocks_are_powers_of_two_the_largest_first() {
    let lengths = |length| blocks(length).map(|block| block.len()).collect::<Vec<_>>();
    assert_eq!(lengths(1), [1]);
    assert_eq!(lengths(3), [2, 1]);
    assert_eq!(lengths(100), [64, 32, 4]);
    assert_eq!(lengths(4096), [4096]);
    assert_eq!(blocks(100).last(), Some(96..100));
}

#[test]
fn threads_give_the_bits_of_one() {
    let (length, rows) = (1000, 5000);
    let rotation = Rotation::new(length, 3).unwrap();
    let x = random(4, length * rows);
    let mut expected = x.clone();
    let mut y = x;
    for (threads, y) in [(1, &mut expected), (7, &mut y)] {
        let (from, to) = Output::in_place(&mut y[..]);
        rotation.run_on(Way::There, from, to, Threads::Own(threads));
    }
    assert!(y == expected);
}
