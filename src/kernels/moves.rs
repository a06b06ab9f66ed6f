//! The moves of one group's weights to their next levels, as the step shrinks: what a sweep over all steps adds up.
//!
//! With `t` one over the step, a weight w moves from level `k - 1` to `k` where `t = (k - 1/2) / abs(w)`. Moves are counted in bins of
//! `t`: the sum of their magnitudes, and that of what they add to the squares of levels, `2 k - 1`. Both are whole numbers,
//! magnitudes in units of 2^-22, so no sum depends on an order.
//!
//! Where a weight's moves begin, how far apart and how many they are, is computed for a block of weights in vectors. The moves
//! themselves are a loop for each weight: their bins are anywhere, and weights of one block have from none to many.

use super::vector::Floats;
use super::{BLOCK, Kernel, Vectors};

/// Bins there is room for, a power of two.
pub(crate) const ALL_BINS: usize = 2048;

/// Most bins of a sweep; what is rounded beyond its end falls into one more.
pub(crate) const MOST_BINS: usize = ALL_BINS - 2;

/// A magnitude of 1, in the units that are added up.
pub(crate) const UNITS: f64 = (1 << 22) as f64;

/// Weights whose terms are added in f32 before they join an f64; each lane adds 32.
const TILE: usize = 1024;

/// What the moves of each bin add up to.
pub(crate) struct Bins<'a> {
    /// The magnitudes that moved.
    pub(crate) magnitudes: &'a mut [u64; ALL_BINS],
    /// What that adds to the squares of levels.
    pub(crate) squares: &'a mut [u64; ALL_BINS],
}

/// Sums over the weights before the first move, in units of the larger step: of residuals squared, of residuals times levels, and of
/// levels squared. A weight is its level and a residual.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    pub(crate) residuals: f64,
    pub(crate) by_levels: f64,
    pub(crate) levels: f64,
}

/// Adds the moves between two steps to bins. Magnitudes are below 2, levels whole numbers from `lowest`, not positive, to `highest`, not
/// negative; halves are rounded to even.
pub(crate) struct Moves<'a> {
    pub(crate) w: &'a [f32],
    /// One over the larger step, and over the smaller.
    pub(crate) range: [f32; 2],
    pub(crate) lowest: f32,
    pub(crate) highest: f32,
    /// Bins that the range is divided into, [`MOST_BINS`] or fewer.
    pub(crate) count: usize,
    pub(crate) bins: Bins<'a>,
    pub(crate) start: &'a mut Start,
}

impl Kernel for Moves<'_> {
    #[inline(always)]
    fn run<V: Vectors>(mut self) {
        let scale = self.count as f32 / (self.range[1] - self.range[0]);
        let before = scale * self.range[0];
        assert!(self.count <= MOST_BINS && before.is_finite());
        *self.start = Start::default();
        for tile in self.w.chunks(TILE) {
            let mut sums = [V::splat(0.0); 3];
            let (blocks, rest) = tile.as_chunks::<BLOCK>();
            for block in blocks {
                self.block::<V>(V::from_array(block), [scale, before], &mut sums);
            }
            if !rest.is_empty() {
                // SAFETY: the slice has so many.
                let block = unsafe { V::load_few(rest.as_ptr(), rest.len()) };
                self.block::<V>(block, [scale, before], &mut sums);
            }
            let sums = sums.map(|sums| V::to_array(sums).into_iter().map(f64::from).sum::<f64>());
            self.start.residuals += sums[0];
            self.start.by_levels += sums[1];
            self.start.levels += sums[2];
        }
    }
}

impl Moves<'_> {
    /// Adds a block's moves to bins, and the terms of its weights before them to the sums of [`Start`]. A unit of one over the step is
    /// `scale` bins, `before` of them come before the first.
    #[inline(always)]
    fn block<V: Vectors>(&mut self, w: V::Block, [scale, before]: [f32; 2], sums: &mut [V::Block; 3]) {
        let [zero, half, one, two] = [0.0, 0.5, 1.0, 2.0].map(V::Floats::splat);
        let [from, to] = self.range.map(V::Floats::splat);
        let [below, above, count] = [-self.lowest, self.highest, self.count as f32].map(V::Floats::splat);
        let [scale, before] = [scale, before].map(V::Floats::splat);
        // The bits of 2 + x are those of 2 and x in units of 2^-22.
        let less_two = V::Floats::splat(f32::from_bits(2f32.to_bits().wrapping_neg()));
        let [mut counts, mut squares, mut places, mut strides, mut magnitudes] = [V::splat(0.0); 5];
        for register in 0..V::REGISTERS {
            let magnitude = w[register].abs();
            let last = below.or_else(w[register].is_below(zero), above);
            let first = magnitude.times(from);
            let level = first.at_most(last).rounded();
            let end = magnitude.times(to).at_most(last).rounded();
            let residual = first.minus(level);
            sums[0][register] = sums[0][register].plus(residual.times(residual));
            sums[1][register] = sums[1][register].plus(residual.times(level));
            sums[2][register] = sums[2][register].plus(level.times(level));
            let stride = scale.over(magnitude);
            let place = level.plus(half).times(stride).minus(before);
            counts[register] = end.minus(level).to_whole();
            squares[register] = level.plus(level).plus(one).to_whole();
            places[register] = place.at_least(zero).at_most(count);
            strides[register] = stride.at_most(count);
            magnitudes[register] = magnitude.plus(two).whole_plus(less_two);
        }
        let [counts, squares, magnitudes] = [counts, squares, magnitudes].map(V::to_array);
        let [places, strides] = [places, strides].map(V::to_array);
        for lane in 0..BLOCK {
            let (magnitude, mut square): (u64, u64) =
                (magnitudes[lane].to_bits().into(), squares[lane].to_bits().into());
            let (mut place, stride): (f32, f32) = (places[lane], strides[lane]);
            for _ in 0..counts[lane].to_bits() {
                // SAFETY: what moves is a number, and so are its place and stride, as `before` is finite; both are at most
                // `MOST_BINS`, and an i16 counts the moves, so no place is beyond an i32.
                let bin = unsafe { place.to_int_unchecked::<i32>() } as usize % ALL_BINS;
                self.bins.magnitudes[bin] += magnitude;
                self.bins.squares[bin] += square;
                square += 2;
                place += stride;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::random;
    use super::*;

    /// Bins and sums, on an instruction set.
    fn moved(w: &[f32], range: [f32; 2], [lowest, highest]: [f32; 2], isa: Isa) -> (Vec<u64>, Vec<u64>, [f64; 3]) {
        let (mut magnitudes, mut squares) = ([0; ALL_BINS], [0; ALL_BINS]);
        let mut start = Start::default();
        let bins = Bins { magnitudes: &mut magnitudes, squares: &mut squares };
        isa.run(Moves { w, range, lowest, highest, count: COUNT, bins, start: &mut start });
        (magnitudes.to_vec(), squares.to_vec(), [start.residuals, start.by_levels, start.levels])
    }

    const COUNT: usize = 100;

    /// Every move there is, and no other, in f64: its place, its magnitude in units, what it adds to the squares.
    fn expected(w: &[f32], range: [f32; 2], [lowest, highest]: [f32; 2]) -> Vec<(f64, u64, u64)> {
        let [from, to] = range.map(f64::from);
        let mut moves = Vec::new();
        for w in w.iter().filter(|w| **w != 0.0) {
            let magnitude = f64::from(w.abs());
            let last = if *w < 0.0 { -lowest } else { highest } as u64;
            for level in 1..=last {
                let by_step = (level as f64 - 0.5) / magnitude;
                if by_step > from && by_step < to {
                    let place = (by_step - from) * COUNT as f64 / (to - from);
                    moves.push((place, (magnitude * UNITS).round_ties_even() as u64, 2 * level - 1));
                }
            }
        }
        moves
    }

    #[test]
    fn every_move_of_a_range_is_in_its_bin_on_every_instruction_set() {
        // How far rounding may move a place.
        const OFF: f64 = 0.01;
        for (levels, range) in [
            ([-2.0, 1.0], [0.3, 4.0]),
            ([-8.0, 7.0], [3.0, 9.0]),
            ([-128.0, 127.0], [80.0, 130.0]),
            ([0.0, 255.0], [10.0, 300.0]),
        ] {
            for n in [0, 1, 2, 7, 8, 31, 32, 33, 63, 65, 1023, 1024, 1025, 3000] {
                let mut w = random(n as u64, n);
                w.iter_mut().step_by(7).for_each(|w| *w *= 1.99);
                w.iter_mut().skip(3).step_by(11).for_each(|w| *w = 0.0);
                let moves = expected(&w, range, levels);
                let context = format!("{n} weights, levels {levels:?}, range {range:?}");
                let first = moved(&w, range, levels, Isa::baseline());
                for isa in Isa::available() {
                    assert_eq!(moved(&w, range, levels, isa), first, "{context}, {isa:?}");
                }
                let (mut magnitudes, mut squares) = (0, 0);
                for bin in 0..ALL_BINS {
                    magnitudes += first.0[bin];
                    squares += first.1[bin];
                    let edge = bin as f64 + 1.0;
                    let until = |end: f64| {
                        let passed = moves.iter().filter(|(place, ..)| *place < end || bin >= COUNT);
                        passed.fold((0, 0), |sums, (_, magnitude, square)| (sums.0 + magnitude, sums.1 + square))
                    };
                    let (least, most) = (until(edge - OFF), until(edge + OFF));
                    assert!((least.0..=most.0).contains(&magnitudes), "{context}, bin {bin}: {magnitudes}");
                    assert!((least.1..=most.1).contains(&squares), "{context}, bin {bin}: {squares}");
                }
                let levels_before = |w: &f32| {
                    let v = f64::from(w.abs() * range[0]);
                    (v, v.min(f64::from(if *w < 0.0 { -levels[0] } else { levels[1] })).round_ties_even())
                };
                let sums = w.iter().map(levels_before).fold([0.0; 3], |[residuals, by_levels, squares], (v, level)| {
                    let residual = v - level;
                    [residuals + residual * residual, by_levels + residual * level, squares + level * level]
                });
                for (sum, expected) in first.2.into_iter().zip(sums) {
                    assert!((sum - expected).abs() <= 1e-5 * expected.abs() + 1e-3, "{context}: {sum}, not {expected}");
                }
            }
        }
    }
}
