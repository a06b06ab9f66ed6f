//! The walk over runs: blocks of one group, and the total of each.

use super::buffer::Block;
use super::cut::{Runs, Span};
use super::groups::Groups;
use super::sink::{Sink, Stripes};
use super::sources::{Lanes, Splat, Successive};
use super::stage::Staged;
use super::vector::{Floats, SEVERAL};
use super::walk::{Join, Work, join_all, masked};
use super::{BLOCK, Kernel, Output, Vectors};
use std::ops::Range;

/// Elements between two folds into f64.
const TILE: usize = 16 * BLOCK;

/// Elements of the longest run that is folded in f32.
pub(crate) const SHORT: usize = 8 * BLOCK;

/// Most superblocks in a total.
pub(super) const SUPERBLOCKS: usize = 256;

/// Runs of few blocks that are walked in one loop where there are totals: to begin it, and to end it, takes as long as two of them.
const BATCH: usize = 4 * SEVERAL;

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
    pub(super) staged: Staged<'a, W>,
    pub(super) runs: &'a Runs,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRuns,
    /// Where the totals of superblocks go.
    pub(super) superblock_totals: Option<Output<'a, [f64; TOTALS]>>,
}

/// Totals of some groups, so far.
type Kept<const TOTALS: usize> = [[f64; TOTALS]; KEPT];

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if !(V::SPECIALISES && W::SPECIALISES) || self.groups.are_affine() {
            self.walk::<V, true>()
        } else {
            self.walk::<V, false>()
        }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> WalkRuns<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const AFFINE: bool>(mut self) {
        let PartOfRuns { outer, groups, .. } = self.part.clone();
        let keeps = self.runs.outer > 1 && TOTALS > 0;
        let mut at_a_time = if keeps { KEPT } else { usize::MAX };
        if self.runs.are_few_blocks() {
            at_a_time = at_a_time.min(self.staged.at_a_time() / self.runs.len);
        }
        let mut first = groups.start;
        while first < groups.end {
            let end = groups.end.min(first.saturating_add(at_a_time));
            let mut kept = [[W::Join::NOTHING.into(); TOTALS]; KEPT];
            for o in outer.clone() {
                self.each_run::<V, AFFINE>(o, first..end, keeps.then_some(&mut kept));
            }
            if keeps {
                for group in first..end {
                    self.staged.work.total(
                        group,
                        self.runs.range_of(group).len() * self.runs.outer,
                        kept[group - first],
                    );
                }
            }
            first = end;
        }
    }

    /// The run of each of some groups.
    #[inline(always)]
    fn each_run<V: Vectors, const AFFINE: bool>(
        &mut self,
        o: usize,
        groups: Range<usize>,
        mut kept: Option<&mut Kept<TOTALS>>,
    ) {
        let (runs, first) = (self.runs, groups.start);
        let groups_len = groups.len();
        if runs.are_few_blocks() && groups_len > 1 {
            // A loop for each run would take longer to begin than it runs.
            let start = (o * runs.groups + first) * runs.len;
            let several = if TOTALS > 0 { BATCH } else { groups.len() };
            self.staged.begin(start..start + groups_len * runs.len);
            for group in groups.step_by(several) {
                let count = several.min(first + groups_len - group);
                let elements = start + (group - first) * runs.len..start + (group - first + count) * runs.len;
                let row = self.groups.row::<W::Reads, AFFINE>(group, count);
                let mut source = Successive::new(row, runs.len / BLOCK);
                let mut registers = [[V::Floats::splat(0.0); BATCH]; TOTALS];
                let mut ended = Ended::nothing::<W::Join>(&mut registers, runs.len / BLOCK, count);
                self.staged.work.whole_blocks::<V, _, _>(Span::one(elements), &mut source, &mut ended);
                if TOTALS > 0 {
                    self.end_runs::<V>(first, group - first..group - first + count, &registers, &mut kept);
                }
            }
            self.staged.end();
            return;
        }
        for group in groups {
            let run = runs.range_of(o * runs.groups + group);
            let (lanes, count) = (self.groups.splat::<V, W::Reads, AFFINE>(group), run.len());
            let total = self.run_total::<V, AFFINE>(run, lanes);
            self.end_run(group, group - first, count, total, &mut kept);
        }
    }

    /// Gives the totals of several runs, of the groups `first` and `places`, to the work or to those that are kept.
    #[inline(always)]
    fn end_runs<V: Vectors>(
        &mut self,
        first: usize,
        places: Range<usize>,
        ended: &[[V::Floats; BATCH]; TOTALS],
        kept: &mut Option<&mut Kept<TOTALS>>,
    ) {
        let mut totals = [[0.0; BATCH]; TOTALS];
        for index in 0..TOTALS {
            let count = places.len().div_ceil(SEVERAL);
            let totals = totals[index].as_chunks_mut::<SEVERAL>().0;
            for (totals, ended) in totals.iter_mut().zip(ended[index].as_chunks::<SEVERAL>().0).take(count) {
                *totals = W::Join::fold_registers(ended).map(f64::from);
            }
        }
        let Some(kept) = kept else {
            let totals = totals.each_ref().map(|totals| &totals[..places.len()]);
            return self.staged.work.total_each(first + places.start, self.runs.len, totals);
        };
        for (at, kept) in kept[places].iter_mut().enumerate() {
            for index in 0..TOTALS {
                kept[index] = W::Join::join_exactly(kept[index], totals[index][at]);
            }
        }
    }

    /// Gives the total of a run to the work, or to those that are kept.
    #[inline(always)]
    fn end_run(
        &mut self,
        group: usize,
        place: usize,
        count: usize,
        total: [f64; TOTALS],
        kept: &mut Option<&mut Kept<TOTALS>>,
    ) {
        match kept {
            Some(kept) => kept[place] = join_all::<W::Join, TOTALS>(kept[place], total),
            None if self.part.superblocks.is_none() => self.staged.work.total(group, count, total),
            None => {}
        }
    }

    /// The total of a run, or nothing when some of its superblocks are to be kept apart.
    #[inline(always)]
    fn run_total<V: Vectors, const AFFINE: bool>(
        &mut self,
        run: Range<usize>,
        lanes: Splat<V, AFFINE>,
    ) -> [f64; TOTALS] {
        let mut total = [W::Join::NOTHING.into(); TOTALS];
        // What has no totals has no superblocks either, but for threads to share.
        let is_whole = TOTALS == 0 && self.part.superblocks.is_none();
        let length = if is_whole { run.len() } else { superblock_length(run.len()) };
        let (mut superblock, mut at, mut end) = (0, run.start, run.end);
        if let Some(some) = self.part.superblocks.clone() {
            (superblock, at, end) =
                (some.start, run.start + some.start * length, end.min(run.start + some.end * length));
        }
        while at < end {
            let superblock_end = end.min(at + length);
            let mut partial = [W::Join::NOTHING.into(); TOTALS];
            // What has no totals has no tiles: it is one loop.
            let tile = if TOTALS > 0 { TILE } else { length };
            while at < superblock_end {
                let stage_end = superblock_end.min(at.saturating_add(self.staged.at_a_time()));
                self.staged.begin(at..stage_end);
                if W::Join::IN_ANY_ORDER && TOTALS > 0 {
                    let more = self.in_any_order(at, stage_end, lanes);
                    partial = join_all::<W::Join, TOTALS>(partial, more);
                    at = stage_end;
                }
                while at < stage_end {
                    let tile_end = stage_end.min(at.saturating_add(tile));
                    let stripes = self.stripes(at, tile_end, lanes);
                    if run.len() <= SHORT {
                        self.staged.end();
                        return stripes.folded::<W::Join>();
                    }
                    for index in 0..TOTALS {
                        partial[index] += fold(&V::to_array(stripes.0[index]));
                    }
                    at = tile_end;
                }
                self.staged.end();
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
    fn stripes<V: Vectors, const AFFINE: bool>(
        &mut self,
        start: usize,
        end: usize,
        mut lanes: Splat<V, AFFINE>,
    ) -> Stripes<V, TOTALS> {
        assert!(self.staged.work.reaches(end));
        let mut stripes = Stripes::nothing::<W::Join>();
        // Whole blocks by themselves: asking each whether it is whole doubles the time of the simplest kernels.
        let whole_end = end - (end - start) % BLOCK;
        self.staged.work.whole_blocks::<V, _, _>(Span::one(start..whole_end), &mut lanes, &mut stripes);
        // SAFETY: by the assertion.
        unsafe { one_block::<V, _, W, TOTALS>(&mut self.staged.work, whole_end..end, &lanes, &mut stripes) };
        stripes
    }

    /// Four blocks of a run at a time, as a maximum waits for the one before it: from four places where each is longer than a
    /// page, for memory answers four streams faster than one; but many short ones slower.
    #[inline(always)]
    fn in_any_order<V: Vectors, const AFFINE: bool>(
        &mut self,
        start: usize,
        end: usize,
        lanes: Splat<V, AFFINE>,
    ) -> [f64; TOTALS] {
        const STREAMS: usize = 4;
        const PAGE: usize = 4096 / size_of::<f32>();
        let quarter = (end - start) / STREAMS / BLOCK * BLOCK;
        let (apart, step) = if quarter > PAGE { (quarter, BLOCK) } else { (BLOCK, STREAMS * BLOCK) };
        assert!(self.staged.work.reaches(end));
        // A register for each place: a block for each would be all registers that there are.
        let mut all = [[V::Floats::splat(W::Join::NOTHING); TOTALS]; STREAMS];
        let mut at = start;
        for _ in 0..quarter / BLOCK {
            for stream in 0..STREAMS {
                // SAFETY: by the assertion.
                let block = unsafe { Block::inside(at + stream * apart) };
                let terms = self.staged.work.block::<V, _>(block, &lanes);
                for index in 0..TOTALS {
                    let term = W::Join::half_folded::<V>(terms[index]);
                    all[stream][index] = W::Join::join(all[stream][index], term);
                }
            }
            at += step;
        }
        let mut stripes = Stripes::nothing::<W::Join>();
        let rest = start + STREAMS * quarter..end;
        // SAFETY: by the assertion.
        unsafe { few::<V, _, W, TOTALS>(&mut self.staged.work, rest, &lanes, &mut stripes) };
        for stream in 0..STREAMS {
            for index in 0..TOTALS {
                stripes.0[index][0] = W::Join::join(stripes.0[index][0], all[stream][index]);
            }
        }
        stripes.folded::<W::Join>()
    }
}

/// Walks few elements of one group; their terms are joined to what there is.
///
/// # Safety
/// The work [reaches](Work::reaches) their end.
#[inline(always)]
unsafe fn few<V: Vectors, L: Lanes<V>, W: Work<TOTALS>, const TOTALS: usize>(
    work: &mut W,
    elements: Range<usize>,
    lanes: &L,
    stripes: &mut Stripes<V, TOTALS>,
) {
    for start in elements.clone().step_by(BLOCK) {
        // SAFETY: the caller's promise.
        unsafe { one_block::<V, _, W, TOTALS>(work, start..elements.end, lanes, stripes) };
    }
}

/// Walks the first block of some elements of one group, if there is one; its terms are joined to what there is.
///
/// # Safety
/// The work [reaches](Work::reaches) their end.
#[inline(always)]
pub(super) unsafe fn one_block<V: Vectors, L: Lanes<V>, W: Work<TOTALS>, const TOTALS: usize>(
    work: &mut W,
    elements: Range<usize>,
    lanes: &L,
    stripes: &mut Stripes<V, TOTALS>,
) {
    if elements.start < elements.end {
        // SAFETY: the caller's promise.
        let block = unsafe { Block::first_of(elements.start, elements.end) };
        let terms = masked::<V, W::Join, TOTALS>(work.block::<V, L>(block, lanes), block);
        stripes.join_lanes::<W::Join>(&terms);
    }
}

/// The totals of several short runs of whole blocks, as far as a register of each.
struct Ended<'a, V: Vectors, const TOTALS: usize> {
    /// Not by value: the compiler would keep what lies beside it in memory too.
    registers: &'a mut [[V::Floats; BATCH]; TOTALS],
    /// Blocks of a run, and runs.
    blocks: usize,
    runs: usize,
    /// The run that has not ended, and how many blocks are left of it.
    stripes: Stripes<V, TOTALS>,
    run: usize,
    left: usize,
}

impl<'a, V: Vectors, const TOTALS: usize> Ended<'a, V, TOTALS> {
    /// No run of `runs` has ended, each of `blocks`.
    #[inline(always)]
    fn nothing<J: Join>(registers: &'a mut [[V::Floats; BATCH]; TOTALS], blocks: usize, runs: usize) -> Self {
        Ended { registers, blocks, runs, stripes: Stripes::nothing::<J>(), run: 0, left: blocks }
    }
}

impl<V: Vectors, J: Join, const TOTALS: usize> Sink<V, J, TOTALS> for Ended<'_, V, TOTALS> {
    const REMEMBERS: bool = true;

    /// Nothing: what is joined is all there is.
    type Before = ();

    #[inline(always)]
    fn len(&self) -> usize {
        self.blocks * self.runs * BLOCK
    }

    #[inline(always)]
    unsafe fn join(&mut self, _place: usize, terms: &[V::Block; TOTALS]) {
        if TOTALS == 0 {
            return;
        }
        self.stripes.join_lanes::<J>(terms);
        self.left -= 1;
        if self.left == 0 {
            for index in 0..TOTALS {
                self.registers[index][self.run % BATCH] = J::half_folded::<V>(self.stripes.0[index]);
            }
            self.stripes = Stripes::nothing::<J>();
            (self.run, self.left) = (self.run + 1, self.blocks);
        }
    }

    #[inline(always)]
    fn before(&self) {}

    #[inline(always)]
    fn takes_back_nan(&mut self, (): ()) -> bool {
        let mut found = false;
        for registers in self.registers[0].chunks(V::REGISTERS) {
            let mut block = V::splat(0.0);
            for (register, ended) in registers.iter().enumerate() {
                block[register] = *ended;
            }
            found |= V::has_nan(block);
        }
        if found {
            (self.stripes, self.run, self.left) = (Stripes::nothing::<J>(), 0, self.blocks);
        }
        found
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
