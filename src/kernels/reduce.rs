//! Reductions whose bits depend on the data alone, not on the vector width, the machine or the number of threads.
//!
//! A sum over n elements is laid out in three levels:
//!
//! - 32 *stripes*: element i is added to stripe `i % 32` in f32. Every vector width up to 1024 bits divides this evenly.
//! - *tiles* of 512 elements: after 16 additions per stripe the stripes are folded, in a fixed tree, into an f64. No
//!   stripe ever sees more than 16 roundings, which bounds the error by 16 * 2^-24, below 1e-6 of the sum of magnitudes, for
//!   any n. (A single f32 accumulator is off by up to 1.7 % at 16 Mi elements.)
//! - at most 256 *superblocks*, whole tiles whose length depends on n alone, added in order. Threads may each take some.

use super::buffer::{Block, Input, Output, PerBlock, for_each_block};
use super::{BLOCK, Kernel, Vectors};

/// Elements between two folds into f64.
const TILE: usize = 16 * BLOCK;

/// Most superblocks in a sum.
pub(super) const SUPERBLOCKS: usize = 256;

/// Terms to be summed, a block at a time.
pub(super) trait Terms {
    /// The terms of a block; lanes past its count must be zero. `#[inline(always)]` like [`PerBlock::block`].
    fn terms(&mut self, block: Block) -> [f32; BLOCK];
}

/// Elements of a superblock in a sum over `n`.
#[inline(always)]
pub(super) fn superblock_length(n: usize) -> usize {
    n.div_ceil(SUPERBLOCKS).next_multiple_of(TILE).max(TILE)
}

/// Sums the terms of the elements `start .. start + n`.
#[inline(always)]
pub(super) fn striped_sum(start: usize, n: usize, terms: &mut impl Terms) -> f64 {
    let superblock = superblock_length(n);
    let mut sum = 0.0;
    let mut done = 0;
    while done < n {
        let end = n.min(done + superblock);
        sum += superblock_sum(start + done, start + end, terms);
        done = end;
    }
    sum
}

#[inline(always)]
pub(super) fn superblock_sum(start: usize, end: usize, terms: &mut impl Terms) -> f64 {
    let mut sum = 0.0;
    let mut at = start;
    while at < end {
        let tile_end = end.min(at + TILE);
        let mut tile = Tile { terms, stripes: [0.0; BLOCK] };
        for_each_block(at, tile_end, &mut tile);
        sum += fold(&tile.stripes);
        at = tile_end;
    }
    sum
}

struct Tile<'a, T> {
    terms: &'a mut T,
    stripes: [f32; BLOCK],
}

impl<T: Terms> PerBlock for Tile<'_, T> {
    #[inline(always)]
    fn block(&mut self, block: Block) {
        let terms = self.terms.terms(block);
        for lane in 0..BLOCK {
            self.stripes[lane] += terms[lane];
        }
    }
}

/// The sum of the stripes, by halves. Outlined: inlined, the compiler splits the accumulators of the loop around it, and
/// 0.26 ns per element became 0.46.
#[inline(never)]
fn fold(stripes: &[f32; BLOCK]) -> f64 {
    let mut sums = stripes.map(f64::from);
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The largest magnitude of each run of `w`, or NaN for a run with an element that is not finite.
pub(crate) struct MaxMagnitude<'a> {
    pub(crate) w: Input<'a, f32>,
    pub(crate) maxima: Output<'a, f32>,
    pub(crate) run: usize,
}

impl Kernel for MaxMagnitude<'_> {
    type Result = ();

    #[inline(always)]
    fn run<V: Vectors>(mut self) {
        for run in 0..self.maxima.len() {
            let mut work = MagnitudeBlocks { w: self.w, maxima: [0.0; BLOCK], beyond_finite: [0; BLOCK] };
            for_each_block(run * self.run, (run + 1) * self.run, &mut work);
            self.maxima.set(run, largest_if_finite(&work.maxima, &work.beyond_finite));
        }
    }
}

/// One number from the lanes. Outlined for the reason that [`fold`] is.
#[inline(never)]
fn largest_if_finite(maxima: &[f32; BLOCK], beyond_finite: &[u32; BLOCK]) -> f32 {
    let (mut maxima, mut beyond_finite) = (*maxima, *beyond_finite);
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            maxima[lane] = maxima[lane].max(maxima[lane + half]);
            beyond_finite[lane] |= beyond_finite[lane + half];
        }
        half /= 2;
    }
    if beyond_finite[0] >> 31 == 1 { f32::NAN } else { maxima[0] }
}

/// A maximum of floats loses NaN, so what is not finite is noted beside it: the bits of such a magnitude are at least
/// 0x7f80_0000, and adding 0x0080_0000 carries into the sign bit for no other.
///
/// (One maximum of the bits as integers would do both. The compiler recognises that as a reduction, vectorises it across
/// blocks instead of lanes, and gathers: 0.2 ns per element.)
struct MagnitudeBlocks<'a> {
    w: Input<'a, f32>,
    maxima: [f32; BLOCK],
    beyond_finite: [u32; BLOCK],
}

impl PerBlock for MagnitudeBlocks<'_> {
    #[inline(always)]
    fn block(&mut self, block: Block) {
        let w = self.w.load(block);
        for lane in 0..BLOCK {
            let magnitude = w[lane].abs();
            let largest = self.maxima[lane];
            self.maxima[lane] = if magnitude > largest { magnitude } else { largest };
            self.beyond_finite[lane] |= magnitude.to_bits() + 0x0080_0000;
        }
    }
}
