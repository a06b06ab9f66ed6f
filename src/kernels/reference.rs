//! The oracle: every kernel again, one element at a time, in the words of the specification.
//!
//! Nothing here is shared with the kernels. Rounding is the standard library's, the quotient a division, sums are laid out as
//! [`super::walk`] describes but written as plain loops. Speed does not matter; being obviously right does.

use super::{CodeBounds, Cut, Group, Rounding, Rows, Runs};
use crate::ste::SteVariant;

/// A weight, quantized.
pub(super) struct Quantized {
    /// The code less the zero point.
    pub(super) level: f32,
    pub(super) code: i8,
    pub(super) value: f32,
    /// Where the weight lies in the range, as the masks of the estimators see it.
    rounds_into_range: bool,
    is_inside: bool,
    residual: f32,
}

/// How a quotient is rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Nearest(Rounding),
    /// By this draw, between -1/2 and 1/2.
    Stochastic(f32),
}

/// Philox4x32-10, as the paper writes it: ten rounds, and the key grows between them.
pub(super) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut left, mut right]) = (counter, key);
    for round in 0..10 {
        if round > 0 {
            (left, right) = (left.wrapping_add(0x9e37_79b9), right.wrapping_add(0xbb67_ae85));
        }
        let first = u64::from(a) * 0xd251_1f53;
        let second = u64::from(c) * 0xcd9e_8d57;
        a = (second >> 32) as u32 ^ b ^ left;
        b = second as u32;
        c = (first >> 32) as u32 ^ d ^ right;
        d = first as u32;
    }
    [a, b, c, d]
}

/// The draw of an element, for levels below 2^`bits`.
pub(super) fn draw(seed: u64, element: u128, bits: u32) -> f32 {
    let (group, place) = (element / 64, element % 64);
    let counter = (group * 8 + place % 16 / 2) as u64;
    let numbers = philox([(counter >> 32) as u32, counter as u32, 0, 0], [seed as u32, (seed >> 32) as u32]);
    let number = numbers[[1, 0, 3, 2][(place % 32 / 16 * 2 + place % 2) as usize]];
    let number = if place < 32 { number } else { number.rotate_right(16) };
    let unit = (2f64.powi(-32) - 2f64.powi(bits as i32 - 55)) as f32;
    number as i32 as f32 * unit
}

/// Quantizes `w`.
pub(super) fn quantize(w: f32, group: Group, bounds: CodeBounds, manner: Manner) -> Quantized {
    let Group { step, zero_point, offset } = group;
    let w = if offset == 0.0 { w } else { w - offset };
    let (min, max) = (bounds.min - zero_point, bounds.max - zero_point);
    let quotient = w / step;
    let rounded = match manner {
        Manner::Nearest(Rounding::HalfAway) => quotient.round(),
        Manner::Nearest(Rounding::HalfEven) => quotient.round_ties_even(),
        Manner::Stochastic(draw) => (quotient + draw).round_ties_even(),
    };
    // Adding 0 turns -0.0, a rounded quotient, into the 0.0 that a code stands for.
    let level = if quotient.is_nan() { 0.0 } else { rounded.clamp(min, max) + 0.0 };
    let value = if offset == 0.0 { level * step } else { level * step + offset };
    let inverse = ((1.0 / f64::from(step)) as f32).min(f32::MAX);
    let difference = (f64::from(w) - f64::from(level) * f64::from(step)) as f32;
    Quantized {
        level,
        code: (level + zero_point) as i8,
        value,
        rounds_into_range: rounded >= min && rounded <= max,
        is_inside: quotient > min && quotient < max,
        residual: difference * inverse,
    }
}

/// Whether the estimator passes the gradient on.
fn passes(ste: SteVariant, quantized: &Quantized) -> bool {
    if ste == SteVariant::RangeClipped { quantized.rounds_into_range } else { quantized.is_inside }
}

/// The gradient of a weight.
pub(super) fn weight_gradient(ste: SteVariant, w: f32, quantized: &Quantized, g: f32) -> f32 {
    match ste {
        SteVariant::Standard | SteVariant::LearnedStepSize => g,
        SteVariant::Clipped { clip_val } => {
            if w.abs() <= clip_val {
                g
            } else {
                0.0
            }
        }
        SteVariant::Ewgs { lambda } => g * (1.0 + lambda * (w - quantized.value).abs()),
        _ if !passes(ste, quantized) => 0.0,
        SteVariant::EwgsSigned { delta } => {
            g * (1.0 + delta * if g.is_sign_negative() { -quantized.residual } else { quantized.residual })
        }
        _ => g,
    }
}

/// The term of a weight in the gradient of its scale.
pub(super) fn scale_term(ste: SteVariant, quantized: &Quantized, g: f32) -> f32 {
    g * if ste.reads_range() && passes(ste, quantized) { -quantized.residual } else { quantized.level }
}

/// The term of a weight in the gradient of its offset.
pub(super) fn offset_term(ste: SteVariant, quantized: &Quantized, g: f32) -> f32 {
    if passes(ste, quantized) { 0.0 } else { g }
}

/// What quantizing does to a group: its weights that are not finite and that got either bound, its squared error and its signal
/// power in squared inverses, each a term of a sum.
pub(super) fn statistics_terms(w: f32, quantized: &Quantized, group: Group, bounds: CodeBounds) -> [f32; 5] {
    if !w.is_finite() {
        return [1.0, 0.0, 0.0, 0.0, 0.0];
    }
    let inverse = ((1.0 / f64::from(group.step)) as f32).min(f32::MAX);
    let got = |bound: f32| f32::from(u8::from(f32::from(quantized.code) == bound));
    let (error, signal) = ((w - quantized.value) * inverse, w * inverse);
    [0.0, got(bounds.min), got(bounds.max), error * error, signal * signal]
}

/// The group of every element.
pub(super) fn groups_of(cut: Cut) -> Vec<usize> {
    let mut groups = Vec::new();
    match cut {
        Cut::Runs(Runs { outer, groups: count, len, last_len, cycle }) => {
            for run in 0..outer * count {
                let len = if (run + 1) % cycle == 0 { last_len } else { len };
                groups.extend(std::iter::repeat_n(run % count, len));
            }
        }
        Cut::Rows(Rows { tables, rows, last_rows, cycle, columns, repeat }) => {
            for table in 0..tables {
                let first = table * columns.div_ceil(repeat);
                for _ in 0..if (table + 1) % cycle == 0 { last_rows } else { rows } {
                    groups.extend((0..columns).map(|column| first + column / repeat));
                }
            }
        }
    }
    groups
}

/// The sum of the terms of each group, in the order that the library promises.
pub(super) fn sums(cut: Cut, terms: &[f32]) -> Vec<f64> {
    match cut {
        Cut::Runs(runs) => sums_of_runs(runs, terms),
        Cut::Rows(rows) => sums_of_rows(rows, terms),
    }
}

fn sums_of_runs(runs: Runs, mut terms: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0; runs.groups];
    for run in 0..runs.outer * runs.groups {
        let (these, rest) = terms.split_at(if (run + 1) % runs.cycle == 0 { runs.last_len } else { runs.len });
        sums[run % runs.groups] += sum_of_run(these);
        terms = rest;
    }
    sums
}

fn sum_of_run(terms: &[f32]) -> f64 {
    if terms.len() <= 256 {
        return pairwise(&stripes(terms)).into();
    }
    let tiles_per_superblock = terms.len().div_ceil(256).div_ceil(512).max(1);
    let mut sum = 0.0;
    for superblock in terms.chunks(512 * tiles_per_superblock) {
        let mut superblock_sum = 0.0;
        for tile in superblock.chunks(512) {
            superblock_sum += pairwise(&stripes(tile).map(f64::from));
        }
        sum += superblock_sum;
    }
    sum
}

/// As [`super::Residuals`] defines it, for one candidate: the error and the part.
pub(super) fn residual(w: &[f32], sum_of_squares: f64, [by_step, lowest, highest]: [f32; 3]) -> [f32; 2] {
    let (mut squares, mut by_levels) = (0.0, 0.0);
    for tile in w.chunks(256) {
        let (mut square, mut by_level) = (0.0f32, 0.0f32);
        for w in tile {
            let v = w * by_step;
            let level = v.clamp(lowest, highest).round_ties_even();
            square += (v - level) * (v - level);
            by_level += (v - level) * level;
        }
        squares += f64::from(square);
        by_levels += f64::from(by_level);
    }
    let by_square = f64::from(by_step) * f64::from(by_step);
    let levels_squared = sum_of_squares * by_square - squares - 2.0 * by_levels;
    if levels_squared <= 0.5 {
        return [squares as f32 / by_square as f32, 0.0];
    }
    let part = by_levels as f32 / levels_squared as f32;
    let error = (squares - by_levels * f64::from(part)).max(0.0) as f32 / by_square as f32;
    [error, part]
}

/// As [`super::Scaled`] defines it: what is written, and the sums.
pub(super) fn scaled(w: &[f32], [first, second]: [f32; 2]) -> (Vec<f32>, [f64; 3]) {
    let scaled: Vec<f32> = w.iter().map(|w| w * first * second).collect();
    let mut sums = [0.0; 3];
    for tile in scaled.chunks(1024) {
        let terms: [Vec<f32>; 2] = [tile.iter().map(|w| w * w).collect(), tile.iter().map(|w| w.abs()).collect()];
        for (sum, terms) in sums.iter_mut().zip(terms) {
            *sum += stripes(&terms).into_iter().map(f64::from).sum::<f64>();
        }
        sums[2] += tile.iter().filter(|w| **w == 0.0).count() as f64;
    }
    (scaled, sums)
}

fn stripes(terms: &[f32]) -> [f32; 32] {
    let mut stripes = [0.0f32; 32];
    for (at, term) in terms.iter().enumerate() {
        stripes[at % 32] += term;
    }
    stripes
}

/// Element i and element i + half, over and over.
fn pairwise<T: Copy + std::ops::Add<Output = T>>(numbers: &[T]) -> T {
    if let [number] = numbers {
        return *number;
    }
    let (low, high) = numbers.split_at(numbers.len() / 2);
    pairwise(&low.iter().zip(high).map(|(a, b)| *a + *b).collect::<Vec<_>>())
}

fn sums_of_rows(rows: Rows, mut terms: &[f32]) -> Vec<f64> {
    let mut sums = Vec::new();
    for table in 0..rows.tables {
        let count = if (table + 1) % rows.cycle == 0 { rows.last_rows } else { rows.rows };
        let (these, rest) = terms.split_at(count * rows.columns);
        terms = rest;
        let is_line = rows.repeat == 1 && (rows.columns.is_multiple_of(32) || rows.columns >= 256);
        let in_line = if is_line { 1 } else { (512 / rows.columns).clamp(1, count) };
        // The sum of each place of a line.
        let mut places = vec![0.0f64; in_line * rows.columns];
        for chunk in these.chunks(16 * places.len()) {
            for (place, sum) in places.iter_mut().enumerate() {
                let column = chunk.iter().skip(place).step_by(in_line * rows.columns);
                if let Some(recent) = column.copied().reduce(|a, b| a + b) {
                    *sum += f64::from(recent);
                }
            }
        }
        for group in 0..rows.columns.div_ceil(rows.repeat) {
            let columns = group * rows.repeat..rows.columns.min((group + 1) * rows.repeat);
            let of_group = columns.flat_map(|column| places.iter().skip(column).step_by(rows.columns));
            sums.push(of_group.fold(0.0, |sum, place| sum + place));
        }
    }
    sums
}
