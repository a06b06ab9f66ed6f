//! The walk over runs: blocks of one group, and the total of each.

use super::buffer::Block;
use super::cut::Runs;
use super::groups::{AFFINE, Groups, Lanes, SYMMETRIC, Source};
use super::walk::{Join, Work, join_all, join_lanes, masked};
use super::{BLOCK, Kernel, Output, Vectors};
use std::ops::Range;

/// Elements between two folds into f64.
const TILE: usize = 16 * BLOCK;

/// Elements of the longest run that is folded in f32.
const SHORT: usize = 8 * BLOCK;

/// Most superblocks in a total.
pub(super) const SUPERBLOCKS: usize = 256;

/// Groups whose totals over several runs are kept at a time.
const KEPT: usize = 16;

/// Elements of a superblock in a run of `n`.
#[inline(always)]
pub(super) fn superblock_length(n: usize) -> usize {
    n.div_ceil(SUPERBLOCKS).next_multiple_of(TILE).max(TILE)
}

/// What is to be walked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PartOfRuns {
    pub(super) outer: Range<usize>,
    pub(super) groups: Range<usize>,
    /// Some superblocks of the one run of the one group; whoever divided it joins their totals.
    pub(super) superblocks: Option<Range<usize>>,
}

/// Part of a walk over runs.
pub(super) struct WalkRuns<'a, W, const TOTALS: usize> {
    /// By value: of a work behind a reference, each store might change what the next block reads of it.
    pub(super) work: W,
    pub(super) runs: &'a Runs,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRuns,
    /// Where the totals of superblocks go.
    pub(super) superblock_totals: Option<Output<'a, [f64; TOTALS]>>,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if self.groups.are_affine() { self.walk::<V, AFFINE>() } else { self.walk::<V, SYMMETRIC>() }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const NUMBERS: usize>(mut self) {
        let runs = self.runs;
        let PartOfRuns { outer, groups, superblocks } = self.part.clone();
        let mut kept = [[0.0; TOTALS]; KEPT];
        let mut first = groups.start;
        while first < groups.end {
            let end = groups.end.min(first + KEPT);
            let mut count = 0;
            for o in outer.clone() {
                for group in first..end {
                    let run = runs.range_of(o * runs.groups + group);
                    count = run.len();
                    let source = self.groups.splat::<NUMBERS>(group);
                    let total = self.run_total::<V, _>(run, superblocks.clone(), &source);
                    if runs.outer == 1 && superblocks.is_none() {
                        self.work.total(group, count, total);
                    }
                    let so_far = &mut kept[group - first];
                    *so_far = if o == outer.start { total } else { join_all::<W::Join, TOTALS>(*so_far, total) };
                }
            }
            if runs.outer != 1 && TOTALS > 0 {
                for group in first..end {
                    self.work.total(group, count * runs.outer, kept[group - first]);
                }
            }
            first = end;
        }
    }

    /// The total of a run, or nothing when `some` of its superblocks are to be kept apart.
    #[inline(always)]
    fn run_total<V: Vectors, S: Source>(
        &mut self,
        run: Range<usize>,
        some: Option<Range<usize>>,
        source: &S,
    ) -> [f64; TOTALS] {
        let lanes = source.lanes::<V>(0);
        let mut total = [W::Join::NOTHING.into(); TOTALS];
        // By itself, for what is below costs a block of 32 half of its time.
        if run.len() <= SHORT {
            let mut stripes = [V::splat(W::Join::NOTHING); TOTALS];
            self.few::<V, S>(run.start, run.end, &lanes, &mut stripes);
            for index in 0..TOTALS {
                total[index] = W::Join::fold::<V>(stripes[index]).into();
            }
            return total;
        }
        let length = superblock_length(run.len());
        let (mut superblock, mut at, mut end) = (0, run.start, run.end);
        if let Some(some) = some {
            (superblock, at, end) =
                (some.start, run.start + some.start * length, end.min(run.start + some.end * length));
        }
        while at < end {
            let superblock_end = end.min(at + length);
            let mut partial = [0.0; TOTALS];
            if W::Join::IN_ANY_ORDER && TOTALS > 0 {
                partial = self.in_any_order::<V, S>(at, superblock_end, &lanes);
                at = superblock_end;
            }
            while at < superblock_end {
                let tile_end = superblock_end.min(at + TILE);
                let stripes = self.stripes::<V, S>(at, tile_end, &lanes);
                for index in 0..TOTALS {
                    partial[index] += fold(&V::to_array(stripes[index]));
                }
                at = tile_end;
            }
            match &mut self.superblock_totals {
                Some(totals) => totals.set(superblock, partial),
                None => total = join_all::<W::Join, TOTALS>(total, partial),
            }
            superblock += 1;
        }
        total
    }

    /// The terms of consecutive elements, element i in stripe `i % 32`.
    #[inline(always)]
    fn stripes<V: Vectors, S: Source>(&mut self, start: usize, end: usize, lanes: &Lanes<V>) -> [V::Block; TOTALS] {
        let mut stripes = [V::splat(W::Join::NOTHING); TOTALS];
        let mut at = start;
        // Whole blocks by themselves: asking each whether it is whole doubles the time of the simplest kernels.
        while end - at >= BLOCK {
            let terms = self.work.block::<V, S>(Block::full(at), lanes);
            join_lanes::<V, W::Join, TOTALS>(&mut stripes, &terms);
            at += BLOCK;
        }
        self.few::<V, S>(at, end, lanes, &mut stripes);
        stripes
    }

    /// The same for few elements, joined to what there is.
    #[inline(always)]
    fn few<V: Vectors, S: Source>(
        &mut self,
        start: usize,
        end: usize,
        lanes: &Lanes<V>,
        stripes: &mut [V::Block; TOTALS],
    ) {
        let mut at = start;
        while at < end {
            let block = Block::first_of(at, end);
            let terms = masked::<V, W::Join, TOTALS>(self.work.block::<V, S>(block, lanes), block);
            join_lanes::<V, W::Join, TOTALS>(stripes, &terms);
            at += block.count();
        }
    }

    /// Four places of a run at a time: a maximum waits for the one before it, and memory answers four streams faster than one.
    #[inline(always)]
    fn in_any_order<V: Vectors, S: Source>(&mut self, start: usize, end: usize, lanes: &Lanes<V>) -> [f64; TOTALS] {
        const STREAMS: usize = 4;
        let quarter = (end - start) / STREAMS / BLOCK * BLOCK;
        let mut stripes = [[V::splat(W::Join::NOTHING); TOTALS]; STREAMS];
        for at in (start..start + quarter).step_by(BLOCK) {
            for stream in 0..STREAMS {
                let terms = self.work.block::<V, S>(Block::full(at + stream * quarter), lanes);
                join_lanes::<V, W::Join, TOTALS>(&mut stripes[stream], &terms);
            }
        }
        self.few::<V, S>(start + STREAMS * quarter, end, lanes, &mut stripes[0]);
        let [mut all, rest @ ..] = stripes;
        for more in &rest {
            join_lanes::<V, W::Join, TOTALS>(&mut all, more);
        }
        let mut totals = [0.0; TOTALS];
        for index in 0..TOTALS {
            totals[index] = W::Join::fold::<V>(all[index]).into();
        }
        totals
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
