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
pub(crate) const ALL_BINS: usize = 1024;

/// Most bins of a sweep; what is rounded beyond its end falls into one more.
pub(crate) const MOST_BINS: usize = ALL_BINS - 2;

/// A magnitude of 1, in the units that are added up.
pub(crate) const UNITS: f64 = (1 << 22) as f64;

/// Weights whose terms are added in f32 before they join an f64; each lane adds 32.
const TILE: usize = 1024;

/// Most bins as wide as those of a range between it and 0: a place is right to a bin.
const MOST_BEFORE: f32 = (1 << 23) as f32;

/// Zero points of a sweep beside the first, at most.
pub(crate) const MOST_MORE: usize = 4;

/// What moves add up to: the magnitudes that moved, and what that adds to the squares of levels. Side by side, as both are changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) magnitudes: u64,
    pub(crate) squares: u64,
}

/// A set of bins.
pub(crate) type Bins = [Sums; ALL_BINS];

/// Sets of bins for a number of zero points beside the first. Each zero point leaves negative weights a level more than the one before,
/// and positive ones a level less. The first set is of the moves that all of them have; one for each but the first zero point is of the
/// moves of negative weights to its own last level; one for each but the last, from the last but one back, of those of positive weights.
pub(crate) const fn sets(more: usize) -> usize {
    1 + 2 * more
}

/// The sets that have the moves of one zero point of those, counted from 0.
pub(crate) fn sets_of(which: usize, more: usize) -> impl Iterator<Item = usize> {
    (0..=which).chain(1 + more..1 + 2 * more - which)
}

/// Sums over the weights before the first move, in units of the larger step: of residuals squared, of residuals times levels, and of
/// levels squared. A weight is its level, one that all zero points have, and a residual.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    pub(crate) residuals: f64,
    pub(crate) by_levels: f64,
    pub(crate) levels: f64,
}

/// Adds the moves between two steps to bins, and those that come before to levels that not every zero point has to the first bin.
/// Magnitudes are below 2, levels whole numbers from `lowest`, not positive, to `highest`, not negative; halves are rounded to even.
pub(crate) struct Moves<'a> {
    pub(crate) w: &'a [f32],
    /// One over the larger step, and over the smaller.
    pub(crate) range: [f32; 2],
    /// Levels of the first zero point.
    pub(crate) lowest: f32,
    pub(crate) highest: f32,
    /// Zero points beside the first, each larger by 1, [`MOST_MORE`] or fewer.
    pub(crate) more: usize,
    /// Bins that the range is divided into, [`MOST_BINS`] or fewer.
    pub(crate) count: usize,
    /// As many [`sets`] as that makes.
    pub(crate) bins: &'a mut [Bins],
    pub(crate) start: &'a mut Start,
}

impl Kernel for Moves<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        let scale = self.count as f32 / (self.range[1] - self.range[0]);
        let before = scale * self.range[0];
        assert!(self.count <= MOST_BINS && before <= MOST_BEFORE);
        assert!(self.more <= MOST_MORE && self.bins.len() >= sets(self.more));
        *self.start = Start::default();
        if self.more == 0 {
            self.all::<V, false>([scale, before]);
        } else {
            self.all::<V, true>([scale, before]);
        }
    }
}

impl Moves<'_> {
    /// Takes all weights, for `MORE` zero points than one.
    #[inline(always)]
    fn all<V: Vectors, const MORE: bool>(mut self, units: [f32; 2]) {
        for tile in self.w.chunks(TILE) {
            let mut sums = [V::splat(0.0); 3];
            let (blocks, rest) = tile.as_chunks::<BLOCK>();
            for block in blocks {
                self.block::<V, MORE>(V::from_array(block), units, &mut sums);
            }
            if !rest.is_empty() {
                // SAFETY: the slice has so many.
                let block = unsafe { V::load_few(rest.as_ptr(), rest.len()) };
                self.block::<V, MORE>(block, units, &mut sums);
            }
            let sums = sums.map(|sums| V::to_array(sums).into_iter().map(f64::from).sum::<f64>());
            self.start.residuals += sums[0];
            self.start.by_levels += sums[1];
            self.start.levels += sums[2];
        }
    }

    /// Adds a block's moves to bins, and the terms of its weights before them to the sums of [`Start`]. A unit of one over the step is
    /// `scale` bins, `before` of them come before the first.
    #[inline(always)]
    fn block<V: Vectors, const MORE: bool>(
        &mut self,
        w: V::Block,
        [scale, before]: [f32; 2],
        sums: &mut [V::Block; 3],
    ) {
        let [zero, half, one, two] = [0.0, 0.5, 1.0, 2.0].map(V::Floats::splat);
        let [from, to] = self.range.map(V::Floats::splat);
        let more = self.more as f32;
        let [below, above] = [-self.lowest, self.highest - more].map(V::Floats::splat);
        let [count, more] = [self.count as f32, more].map(V::Floats::splat);
        let [scale, before] = [scale, before].map(V::Floats::splat);
        // The bits of 2 + x are those of 2 and x in units of 2^-22.
        let less_two = V::Floats::splat(f32::from_bits(2f32.to_bits().wrapping_neg()));
        let [mut counts, mut further, mut squares, mut places, mut strides, mut magnitudes] = [V::splat(0.0); 6];
        for register in 0..V::REGISTERS {
            let magnitude = w[register].abs();
            let last = below.or_else(w[register].is_below(zero), above);
            let first = magnitude.times(from);
            let level = first.at_most(last).rounded();
            let beyond = magnitude.times(to);
            let end = beyond.at_most(last).rounded();
            let residual = first.minus(level);
            sums[0][register] = sums[0][register].plus(residual.times(residual));
            sums[1][register] = sums[1][register].plus(residual.times(level));
            sums[2][register] = sums[2][register].plus(level.times(level));
            let stride = scale.over(magnitude);
            let place = level.plus(half).times(stride).minus(before);
            counts[register] = end.minus(level).to_whole();
            squares[register] = level.plus(level).plus(one).to_whole();
            if MORE {
                further[register] = beyond.at_most(last.plus(more)).rounded().minus(end).to_whole();
                // May be before the range, and the one after the next stride in it.
                places[register] = place;
                strides[register] = stride;
            } else {
                places[register] = place.at_least(zero).at_most(count);
                strides[register] = stride.at_most(count);
            }
            magnitudes[register] = magnitude.plus(two).whole_plus(less_two);
        }
        // Each by itself: of so many, the compiler would call a function.
        let (counts, squares, magnitudes) = (V::to_array(counts), V::to_array(squares), V::to_array(magnitudes));
        let (places, strides) = (V::to_array(places), V::to_array(strides));
        let (w, further) = (V::to_array(w), V::to_array(further));
        for lane in 0..BLOCK {
            let (magnitude, mut square): (u64, u64) =
                (magnitudes[lane].to_bits().into(), squares[lane].to_bits().into());
            let (mut place, stride): (f32, f32) = (places[lane], strides[lane]);
            for _ in 0..counts[lane].to_bits() {
                // SAFETY: what moves does so in the range, or before. So its place is no more than `count`, but for what is rounded off
                // sums of at most `before` and `count`, fewer than an i16 counts: far from the end of an i32.
                let bin = unsafe { bin::<MORE>(place) };
                self.bins[0][bin].magnitudes += magnitude;
                self.bins[0][bin].squares += square;
                square += 2;
                place += stride;
            }
            if MORE {
                let moves = further[lane].to_bits() as usize;
                if moves > 0 {
                    let first = if w[lane] < 0.0 { 1 } else { 1 + self.more };
                    for bins in &mut self.bins[first..first + moves] {
                        // SAFETY: as above.
                        let bin = unsafe { bin::<MORE>(place) };
                        bins[bin].magnitudes += magnitude;
                        bins[bin].squares += square;
                        square += 2;
                        place += stride;
                    }
                }
            }
        }
    }
}

/// The bin of a place: the first, if with `MORE` zero points than one it is before all.
///
/// # Safety
/// The place is a number that an i32 has, unless it is before all.
#[inline(always)]
unsafe fn bin<const MORE: bool>(place: f32) -> usize {
    let place = if !MORE || place > 0.0 { place } else { 0.0 };
    // SAFETY: by the caller.
    (unsafe { place.to_int_unchecked::<i32>() }) as usize % ALL_BINS
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::random;
    use super::*;

    /// Bins and sums, on an instruction set.
    fn moved(w: &[f32], range: [f32; 2], [lowest, highest]: [f32; 2], more: usize, isa: Isa) -> (Vec<Bins>, [f64; 3]) {
        let mut bins = vec![[Sums::default(); ALL_BINS]; sets(more)];
        let mut start = Start::default();
        isa.run(Moves { w, range, lowest, highest, more, count: COUNT, bins: &mut bins, start: &mut start });
        (bins, [start.residuals, start.by_levels, start.levels])
    }

    const COUNT: usize = 100;

    /// The last level of a weight on its side.
    fn last(w: f32, [lowest, highest]: [f32; 2]) -> f32 {
        if w < 0.0 { -lowest } else { highest }
    }

    /// Every move of a zero point there is, and no other, in f64: its place, its magnitude in units, what it adds to the squares. Moves to
    /// levels that not all zero points have come before the range, too.
    fn expected(w: &[f32], range: [f32; 2], levels: [f32; 2], of_all: [f32; 2]) -> Vec<(f64, u64, u64)> {
        let [from, to] = range.map(f64::from);
        let mut moves = Vec::new();
        for w in w.iter().filter(|w| **w != 0.0) {
            let magnitude = f64::from(w.abs());
            for level in 1..=last(*w, levels) as u64 {
                let by_step = (level as f64 - 0.5) / magnitude;
                let is_before = by_step <= from && level > last(*w, of_all) as u64;
                if by_step > from && by_step < to || is_before {
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
            ([-1.0, 4.0], [2.0, 6.0]),
        ] {
            for n in [0, 1, 2, 7, 8, 31, 32, 33, 63, 65, 1023, 1024, 1025, 3000] {
                for more in [0, 1, MOST_MORE].into_iter().filter(|more| *more as f32 <= levels[1]) {
                    let mut w = random(n as u64, n);
                    w.iter_mut().step_by(7).for_each(|w| *w *= 1.99);
                    w.iter_mut().skip(3).step_by(11).for_each(|w| *w = 0.0);
                    let context = format!("{n} weights, levels {levels:?}, {more} more, range {range:?}");
                    let first = moved(&w, range, levels, more, Isa::baseline());
                    for isa in Isa::available() {
                        assert!(moved(&w, range, levels, more, isa) == first, "{context}, {isa:?}");
                    }
                    let of_all = [levels[0], levels[1] - more as f32];
                    for which in 0..=more {
                        let levels = levels.map(|level| level - which as f32);
                        let moves = expected(&w, range, levels, of_all);
                        let (mut magnitudes, mut squares) = (0, 0);
                        for bin in 0..=COUNT {
                            for set in sets_of(which, more) {
                                magnitudes += first.0[set][bin].magnitudes;
                                squares += first.0[set][bin].squares;
                            }
                            let edge = bin as f64 + 1.0;
                            let until = |end: f64| {
                                let passed = moves.iter().filter(|(place, ..)| *place < end || bin >= COUNT);
                                passed
                                    .fold((0, 0), |sums, (_, magnitude, square)| (sums.0 + magnitude, sums.1 + square))
                            };
                            let (least, most) = (until(edge - OFF), until(edge + OFF));
                            let context = format!("{context}, zero point {which}, bin {bin}");
                            assert!((least.0..=most.0).contains(&magnitudes), "{context}: {magnitudes}");
                            assert!((least.1..=most.1).contains(&squares), "{context}: {squares}");
                        }
                        let beyond = first.0.iter().flat_map(|bins| &bins[COUNT + 1..]);
                        assert!(beyond.copied().all(|sums| sums == Sums::default()), "{context}: beyond the last bin");
                    }
                    let levels_before = |w: &f32| {
                        let v = f64::from(w.abs() * range[0]);
                        (v, v.min(last(*w, of_all).into()).round_ties_even())
                    };
                    let sums =
                        w.iter().map(levels_before).fold([0.0; 3], |[residuals, by_levels, squares], (v, level)| {
                            let residual = v - level;
                            [residuals + residual * residual, by_levels + residual * level, squares + level * level]
                        });
                    for (sum, expected) in first.1.into_iter().zip(sums) {
                        let off = (sum - expected).abs();
                        assert!(off <= 1e-5 * expected.abs() + 1e-3, "{context}: {sum}, not {expected}");
                    }
                }
            }
        }
    }
}
