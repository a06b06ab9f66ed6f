//! The walk over runs: blocks of one group, and the total of each.

use super::buffer::Block;
use super::cut::Runs;
use super::groups::{Groups, Source};
use super::walk::{Join, Largest, Work, join_all, join_lanes, masked};
use super::{BLOCK, Kernel, Output, Vectors};
use std::ops::Range;

/// Elements between two folds into f64.
const TILE: usize = 16 * BLOCK;

/// Elements of the longest run that is folded in f32.
const SHORT: usize = 8 * BLOCK;

/// Most superblocks in a total.
pub(super) const SUPERBLOCKS: usize = 256;

/// Groups whose totals over several runs are kept at a time.
const KEPT: usize = 64;

/// Elements of a superblock in a run of `n`.
#[inline(always)]
pub(super) fn superblock_length(n: usize) -> usize {
    n.div_ceil(SUPERBLOCKS).next_multiple_of(TILE).max(TILE)
}

/// What is to be walked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PartOfRuns {
    /// These groups of these outer indices.
    Groups { outer: Range<usize>, groups: Range<usize> },
    /// Some superblocks of the one run of a group; whoever divided it joins their totals.
    Superblocks { group: usize, range: Range<usize> },
}

/// Part of a walk over runs.
pub(super) struct WalkRuns<'a, W, const TOTALS: usize> {
    pub(super) work: &'a mut W,
    pub(super) runs: Runs,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRuns,
    /// Where the totals of superblocks go.
    pub(super) superblock_totals: Option<Output<'a, [f64; TOTALS]>>,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if self.groups.are_affine() { self.walk::<V, true>() } else { self.walk::<V, false>() }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const AFFINE: bool>(mut self) {
        match self.part.clone() {
            PartOfRuns::Groups { outer, groups } => self.groups::<V, AFFINE>(outer, groups),
            PartOfRuns::Superblocks { group, range } => self.superblocks::<V, AFFINE>(group, range),
        }
    }

    #[inline(always)]
    fn groups<V: Vectors, const AFFINE: bool>(&mut self, outer: Range<usize>, groups: Range<usize>) {
        let runs = self.runs;
        let mut kept = [[0.0; TOTALS]; KEPT];
        let mut first = groups.start;
        while first < groups.end {
            let end = groups.end.min(first + KEPT);
            let mut count = 0;
            for o in outer.clone() {
                for group in first..end {
                    let elements = runs.range_of(o * runs.groups + group);
                    count = elements.len();
                    let source = self.groups.splat::<AFFINE>(group);
                    let total = total_of_run::<V, W, _, TOTALS>(self.work, elements.start, elements.end, &source);
                    let so_far = &mut kept[group - first];
                    *so_far = if o == outer.start { total } else { join_all::<W::Join, TOTALS>(*so_far, total) };
                    if runs.outer == 1 {
                        self.work.total(group, count, *so_far);
                    }
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

    #[inline(always)]
    fn superblocks<V: Vectors, const AFFINE: bool>(&mut self, group: usize, range: Range<usize>) {
        let elements = self.runs.range_of(group);
        let length = superblock_length(elements.len());
        let source = self.groups.splat::<AFFINE>(group);
        for superblock in range {
            let start = elements.start + superblock * length;
            let end = elements.end.min(start + length);
            let total = total_of_tiles::<V, W, _, TOTALS>(self.work, start, end, &source);
            if let Some(totals) = &mut self.superblock_totals {
                totals.set(superblock, total);
            }
        }
    }
}

/// The total of a run.
#[inline(always)]
fn total_of_run<V: Vectors, W: Work<TOTALS>, S: Source, const TOTALS: usize>(
    work: &mut W,
    start: usize,
    end: usize,
    source: &S,
) -> [f64; TOTALS] {
    if W::Join::IN_ANY_ORDER && TOTALS > 0 {
        return total_in_any_order::<V, W, S, TOTALS>(work, start, end, source);
    }
    let short = end - start <= SHORT;
    let superblock = superblock_length(end - start);
    let (mut total, mut partial) = ([0.0; TOTALS], [0.0; TOTALS]);
    let (mut at, mut boundary) = (start, start + superblock);
    while at < end {
        let tile_end = end.min(at + TILE);
        let stripes = stripes_of_tile::<V, W, S, TOTALS>(work, at, tile_end, source);
        for index in 0..TOTALS {
            partial[index] += if short { fold_short(&stripes[index]) } else { fold(&stripes[index]) };
        }
        at = tile_end;
        if at == boundary || at == end {
            total = join_all::<W::Join, TOTALS>(total, partial);
            partial = [0.0; TOTALS];
            boundary += superblock;
        }
    }
    total
}

/// The total of whole tiles of one run.
#[inline(always)]
fn total_of_tiles<V: Vectors, W: Work<TOTALS>, S: Source, const TOTALS: usize>(
    work: &mut W,
    start: usize,
    end: usize,
    source: &S,
) -> [f64; TOTALS] {
    if W::Join::IN_ANY_ORDER && TOTALS > 0 {
        return total_in_any_order::<V, W, S, TOTALS>(work, start, end, source);
    }
    let mut total = [0.0; TOTALS];
    let mut at = start;
    while at < end {
        let tile_end = end.min(at + TILE);
        let stripes = stripes_of_tile::<V, W, S, TOTALS>(work, at, tile_end, source);
        for index in 0..TOTALS {
            total[index] += fold(&stripes[index]);
        }
        at = tile_end;
    }
    total
}

#[inline(always)]
fn stripes_of_tile<V: Vectors, W: Work<TOTALS>, S: Source, const TOTALS: usize>(
    work: &mut W,
    start: usize,
    end: usize,
    source: &S,
) -> [[f32; BLOCK]; TOTALS] {
    let mut stripes = [[0.0; BLOCK]; TOTALS];
    let mut at = start;
    while end - at >= BLOCK {
        let terms = work.block::<V, S>(Block::full(at), &source.lanes(0));
        join_lanes::<W::Join, TOTALS>(&mut stripes, &terms);
        at += BLOCK;
    }
    if at < end {
        let block = Block::first_of(at, end);
        let terms = masked(work.block::<V, S>(block, &source.lanes(0)), block);
        join_lanes::<W::Join, TOTALS>(&mut stripes, &terms);
    }
    stripes
}

/// Four places of a run at a time: a maximum waits for the one before it, and memory answers four streams faster than one.
#[inline(always)]
fn total_in_any_order<V: Vectors, W: Work<TOTALS>, S: Source, const TOTALS: usize>(
    work: &mut W,
    start: usize,
    end: usize,
    source: &S,
) -> [f64; TOTALS] {
    const STREAMS: usize = 4;
    let lanes = source.lanes(0);
    let quarter = (end - start) / STREAMS / BLOCK * BLOCK;
    let mut stripes = [[[0.0; BLOCK]; TOTALS]; STREAMS];
    let mut at = start;
    while at < start + quarter {
        for stream in 0..STREAMS {
            let terms = work.block::<V, S>(Block::full(at + stream * quarter), &lanes);
            join_lanes::<W::Join, TOTALS>(&mut stripes[stream], &terms);
        }
        at += BLOCK;
    }
    let mut at = start + STREAMS * quarter;
    while at < end {
        let block = Block::first_of(at, end);
        let terms = masked(work.block::<V, S>(block, &lanes), block);
        join_lanes::<W::Join, TOTALS>(&mut stripes[0], &terms);
        at = end.min(at + BLOCK);
    }
    let [mut all, rest @ ..] = stripes;
    for more in &rest {
        join_lanes::<W::Join, TOTALS>(&mut all, more);
    }
    let mut totals = [0.0; TOTALS];
    for index in 0..TOTALS {
        totals[index] = largest(&all[index]);
    }
    totals
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

/// As [`fold`], in f32.
#[inline(always)]
fn fold_short(stripes: &[f32; BLOCK]) -> f64 {
    let mut sums = *stripes;
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    f64::from(sums[0])
}

/// The largest stripe. Outlined for the reason that [`fold`] is.
#[inline(never)]
fn largest(stripes: &[f32; BLOCK]) -> f64 {
    let mut largest = *stripes;
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            largest[lane] = Largest::join(largest[lane], largest[lane + half]);
        }
        half /= 2;
    }
    f64::from(largest[0])
}
