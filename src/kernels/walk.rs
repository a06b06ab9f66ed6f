//! The walk over a tensor: every kernel's loop, and every sum's order.
//!
//! A kernel is a [`Work`]: what to do with one block of elements and the parameters of their groups, and how many numbers per
//! element to total per group (none, for one that only maps). The walk cuts the tensor into blocks of one group or of many,
//! and totals.
//!
//! # Totals
//!
//! Bits depend on the data alone, not on the vector width, the machine or the number of threads. In a run of n elements,
//!
//! - element i joins *stripe* `i % 32` in f32. Every vector width up to 1024 bits divides this evenly;
//! - every *tile* of 512 elements, after 16 additions per stripe, the stripes are folded by halves into an f64. No stripe ever
//!   sees more than 16 roundings, which bounds the error by 16 * 2^-24, below 1e-6 of the sum of magnitudes, for any n. (A
//!   single f32 accumulator is off by up to 1.7 % at 16 Mi elements.) A run of at most 256 elements is folded in f32: no more
//!   than 8 + 5 roundings, and half the instructions;
//! - at most 256 *superblocks*, whole tiles whose length depends on n alone, are added in order. Threads may each take some.
//!
//! In rows, elements in the same place of up to 16 successive rows join in f32, then those totals join in f64. Where parameters
//! cannot be read from where they are (see [`Rows::are_lines`]), as many rows as fit 512 elements count as one. At the end the places of
//! a group join, in order.

use super::buffer::Block;
use super::cut::{Cut, Rows, Runs, Span};
use super::groups::{Groups, Reads};
use super::rows::{Lines, PartOfRows, WalkRows};
use super::runs::{PartOfRuns, SUPERBLOCKS, WalkRuns, superblock_length};
use super::short::run_short;
use super::sink::Sink;
use super::sources::{Lanes, Source};
use super::stage::{RoomForStage, Stage, Staged};
use super::vector::{Floats, SEVERAL, ones};
use super::{BLOCK, Isa, Output, Threads, Vectors};

/// How two numbers become one total.
pub(crate) trait Join {
    /// Whether any order gives the same bits.
    const IN_ANY_ORDER: bool;

    /// The total of nothing, which changes no other total.
    const NOTHING: f32 = 0.0;

    fn join<F: Floats>(a: F, b: F) -> F;

    fn join_exactly(a: f64, b: f64) -> f64;

    /// All lanes, by halves.
    #[inline(always)]
    fn fold<V: Vectors>(block: V::Block) -> f32 {
        Self::fold_register(Self::half_folded::<V>(block))
    }

    /// A block by halves, as far as one register.
    #[inline(always)]
    fn half_folded<V: Vectors>(mut block: V::Block) -> V::Floats {
        let mut registers = V::REGISTERS;
        while registers > 1 {
            registers /= 2;
            for register in 0..registers {
                block[register] = Self::join(block[register], block[register + registers]);
            }
        }
        block[0]
    }

    /// All lanes of a register, by halves.
    fn fold_register<F: Floats>(register: F) -> f32;

    /// The same of several registers.
    fn fold_registers<F: Floats>(registers: &[F; SEVERAL]) -> [f32; SEVERAL];
}

/// Addition; the total of nothing is 0.
pub(crate) struct Sum;

impl Join for Sum {
    const IN_ANY_ORDER: bool = false;

    #[inline(always)]
    fn join<F: Floats>(a: F, b: F) -> F {
        a.plus(b)
    }

    #[inline(always)]
    fn join_exactly(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn fold_register<F: Floats>(register: F) -> f32 {
        register.sum()
    }

    #[inline(always)]
    fn fold_registers<F: Floats>(registers: &[F; SEVERAL]) -> [f32; SEVERAL] {
        F::sums(registers)
    }
}

/// The larger of numbers without a sign, by their bits, which orders them as numbers and puts NaN last; the total of nothing is 0.
/// (A maximum of floats loses a NaN as soon as the next number comes; looking for it takes two more instructions of four.)
pub(crate) struct Largest;

impl Join for Largest {
    const IN_ANY_ORDER: bool = true;

    #[inline(always)]
    fn join<F: Floats>(a: F, b: F) -> F {
        a.larger_bits(b)
    }

    #[inline(always)]
    fn join_exactly(a: f64, b: f64) -> f64 {
        f64::from_bits(a.to_bits().max(b.to_bits()))
    }

    #[inline(always)]
    fn fold_register<F: Floats>(register: F) -> f32 {
        register.largest()
    }

    #[inline(always)]
    fn fold_registers<F: Floats>(registers: &[F; SEVERAL]) -> [f32; SEVERAL] {
        F::largest_of_each(registers)
    }
}

/// What a kernel does with a block.
pub(crate) trait Work<const TOTALS: usize>: Sync {
    /// How terms are totalled.
    type Join: Join;

    /// What it reads of the parameters of a group.
    type Reads: Reads;

    /// Whether tensors without zero points and offsets get loops of their own: faster, and twice the code.
    const SPECIALISES: bool = true;

    /// Whether a tensor of floats lies in memory as halves.
    fn is_of_halves(&self) -> bool;

    /// Tells its tensors of floats.
    fn stage(&mut self, stage: &mut Stage);

    /// Whether every buffer that blocks are read from and written to has the elements before `end`, as they seem or staged. Unsafe
    /// code rests on it.
    fn reaches(&self, end: usize) -> bool;

    /// Handles one block and gives the terms of its elements; what those of lanes past its count are does not matter.
    /// Implementations are `#[inline(always)]`, as is everything that they call; a closure would be compiled for the
    /// baseline wherever the compiler chose not to inline it.
    ///
    /// Every input is read before any output is written: exact in-place calls rest on it.
    fn block<V: Vectors, L: Lanes<V>>(&mut self, block: Block, lanes: &L) -> [V::Block; TOTALS];

    /// Handles whole blocks, with parameters from `source`, and gives their terms to `sink`. Both count from the beginning of a
    /// row.
    #[inline(always)]
    fn whole_blocks<V: Vectors, S: Source<V>, T: Sink<V, Self::Join, TOTALS>>(
        &mut self,
        span: Span,
        source: &mut S,
        sink: &mut T,
    ) {
        assert!(self.reaches(span.end()) && span.width <= source.len().min(sink.len()));
        for elements in span.rows() {
            let mut at = elements.start;
            while at < elements.end {
                // SAFETY: by the assertion.
                unsafe {
                    let lanes = source.lanes(at - elements.start);
                    let terms = self.block::<V, S::Lanes>(Block::inside(at), &lanes);
                    sink.join(at - elements.start, &terms);
                }
                at += BLOCK;
            }
        }
    }

    /// Takes the totals of a group of `count` elements.
    fn total(&mut self, group: usize, count: usize, totals: [f64; TOTALS]) {
        let _ = (group, count, totals);
    }

    /// Takes the totals of consecutive groups of `count` elements each.
    #[inline(always)]
    fn total_each(&mut self, first: usize, count: usize, totals: [&[f64]; TOTALS]) {
        for index in 0..totals.first().map_or(0, |totals| totals.len()) {
            let mut total = [0.0; TOTALS];
            for number in 0..TOTALS {
                total[number] = totals[number][index];
            }
            self.total(first + index, count, total);
        }
    }

    /// The same work for another thread.
    ///
    /// # Safety
    /// The two are given no block, and no group, in common.
    unsafe fn share(&self) -> Self;
}

/// A kernel, ready to run over a tensor.
pub(crate) struct Walk<'a, W, const TOTALS: usize> {
    pub(crate) work: W,
    pub(crate) cut: Cut,
    pub(crate) groups: Groups<'a>,
}

/// Part of a walk. Parts of one division share no element, and no group except
/// where they are superblocks of one.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Runs(PartOfRuns),
    Rows(PartOfRows),
}

impl Part {
    fn whole(cut: &Cut) -> Part {
        match *cut {
            Cut::Runs(Runs { outer, groups, .. }) => {
                Part::Runs(PartOfRuns { outer: 0..outer, groups: 0..groups, superblocks: None })
            }
            Cut::Rows(Rows { tables, .. }) => Part::Rows(PartOfRows::Tables(0..tables)),
        }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> Walk<'_, W, TOTALS> {
    /// Runs the walk on `threads`, with the bits of one.
    #[inline(always)]
    pub(crate) fn run_on(self, threads: Threads) {
        let isa = self.groups.isa();
        match threads.parts(self.cut.elements()) {
            1 => self.run(isa),
            parts => self.run_divided(isa, threads, parts),
        }
    }

    /// Runs the walk on this thread.
    #[inline(always)]
    pub(super) fn run(self, isa: Isa) {
        let Walk { work, cut, groups } = self;
        if let Some(len) = cut.short_run()
            && !work.is_of_halves()
        {
            return run_short(isa, work, len, groups);
        }
        Piece { isa, work, cut, groups, part: Part::whole(&cut), superblock_totals: None }.run();
    }

    #[cold]
    fn run_divided(self, isa: Isa, threads: Threads, parts: usize) {
        let Walk { mut work, cut, groups } = self;
        divide(&cut, TOTALS > 0, parts, &mut |count, part_of| {
            let joint = matches!(part_of(0), Part::Runs(PartOfRuns { superblocks: Some(_), .. }));
            let mut totals = [[0.0; TOTALS]; SUPERBLOCKS];
            let shared = &work;
            let all = Output::from(&mut totals[..]);
            threads.for_each(count, &|index| {
                // SAFETY: the parts of a division share no element, and no group but one whose superblocks they share.
                let (work, superblock_totals) = unsafe { (shared.share(), joint.then(|| all.share())) };
                Piece { isa, work, cut, groups, part: part_of(index), superblock_totals }.run();
            });
            drop(all);
            if let (Part::Runs(PartOfRuns { superblocks: Some(_), groups, .. }), Cut::Runs(runs)) = (part_of(0), cut) {
                let (group, run) = (groups.start, runs.range_of(groups.start).len());
                let used = run.div_ceil(superblock_length(run));
                let nothing = [W::Join::NOTHING.into(); TOTALS];
                let total = totals[..used].iter().fold(nothing, |sum, next| join_all::<W::Join, TOTALS>(sum, *next));
                work.total(group, run, total);
            }
        });
    }
}

/// Part of a walk, ready to run on this thread.
struct Piece<'a, W, const TOTALS: usize> {
    isa: Isa,
    work: W,
    cut: Cut,
    groups: Groups<'a>,
    part: Part,
    superblock_totals: Option<Output<'a, [f64; TOTALS]>>,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Piece<'_, W, TOTALS> {
    #[inline(always)]
    fn run(self) {
        if self.work.is_of_halves() { self.run_of_halves() } else { self.run_on(None) }
    }

    /// Not inlined: it needs room on the stack.
    #[inline(never)]
    fn run_of_halves(self) {
        let mut room = RoomForStage::uninit();
        // SAFETY: it is dropped after the stage, and nobody else has it.
        let mut stage = unsafe { Stage::new(&mut room) };
        self.run_on(Some(&mut stage));
    }

    #[inline(always)]
    fn run_on(self, stage: Option<&mut Stage>) {
        let Piece { isa, work, cut, groups, part, superblock_totals } = self;
        let staged = Staged { work, stage };
        match (cut, part) {
            (Cut::Runs(runs), Part::Runs(part)) => {
                isa.run(WalkRuns { staged, runs: &runs, groups, part, superblock_totals })
            }
            (Cut::Rows(rows), Part::Rows(part)) => isa.run(WalkRows { staged, rows: &rows, groups, part }),
            (cut, part) => unreachable!("{part:?} of {cut:?}"),
        }
    }
}

/// Divides a tensor into `parts` parts or fewer that may be done at the same time, or several times one after the other:
/// `each(count, part_of)` is called for each time.
#[allow(clippy::type_complexity)]
fn divide(cut: &Cut, totals: bool, parts: usize, each: &mut dyn FnMut(usize, &(dyn Fn(usize) -> Part + Sync))) {
    let share = |index: usize, count: usize, total: usize| index * total / count..(index + 1) * total / count;
    match *cut {
        Cut::Runs(Runs { outer, groups, .. }) if groups >= parts || (outer > 1 && totals) => {
            let count = parts.min(groups);
            each(count, &|index| {
                Part::Runs(PartOfRuns { outer: 0..outer, groups: share(index, count, groups), superblocks: None })
            });
        }
        Cut::Runs(Runs { outer, groups, .. }) if outer > 1 => {
            let count = parts.min(outer);
            each(count, &|index| {
                Part::Runs(PartOfRuns { outer: share(index, count, outer), groups: 0..groups, superblocks: None })
            });
        }
        Cut::Runs(runs) => {
            for group in 0..runs.groups {
                let run = runs.range_of(group).len();
                let superblocks = run.div_ceil(superblock_length(run));
                let count = parts.min(superblocks).max(1);
                each(count, &|index| {
                    // A run in one part is whole: a short one has no superblocks.
                    let superblocks = (count > 1).then(|| share(index, count, superblocks));
                    Part::Runs(PartOfRuns { outer: 0..1, groups: group..group + 1, superblocks })
                });
            }
        }
        Cut::Rows(Rows { tables, .. }) if tables >= parts => {
            each(parts, &|index| Part::Rows(PartOfRows::Tables(share(index, parts, tables))));
        }
        Cut::Rows(rows) => {
            for table in 0..rows.tables {
                let lines = Lines::of(&rows, table, totals);
                if totals || lines.stretches >= parts {
                    let (count, all) = (parts.min(lines.stretches), lines.stretches);
                    each(count, &|index| {
                        Part::Rows(PartOfRows::Stretches { table, stretches: share(index, count, all) })
                    });
                } else {
                    let (count, all) = (parts.min(lines.count), lines.count);
                    each(count, &|index| Part::Rows(PartOfRows::Lines { table, lines: share(index, count, all) }));
                }
            }
        }
    }
}

/// Nothing in the lanes past a block's count.
#[inline(always)]
pub(super) fn masked<V: Vectors, J: Join, const TOTALS: usize>(
    mut terms: [V::Block; TOTALS],
    block: Block,
) -> [V::Block; TOTALS] {
    if TOTALS > 0 && block.count() < BLOCK {
        let mask = ones::<V>(block.count());
        for index in 0..TOTALS {
            for register in 0..V::REGISTERS {
                terms[index][register] = terms[index][register].and(mask[register]);
                if J::NOTHING != 0.0 {
                    let others = mask[register].xor(V::Floats::splat(f32::from_bits(!0)));
                    let nothing = V::Floats::splat(J::NOTHING).and(others);
                    terms[index][register] = terms[index][register].or(nothing);
                }
            }
        }
    }
    terms
}

#[inline(always)]
pub(super) fn join_all<J: Join, const TOTALS: usize>(a: [f64; TOTALS], b: [f64; TOTALS]) -> [f64; TOTALS] {
    let mut joined = a;
    for index in 0..TOTALS {
        joined[index] = J::join_exactly(a[index], b[index]);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// Every element of every part, once.
    #[test]
    fn parts_cover_every_element_once() {
        let runs = |outer, groups, len| Cut::Runs(Runs { outer, groups, len, last_len: len, cycle: 1 });
        let rows = |tables, rows, last_rows, cycle, columns, repeat| {
            Cut::Rows(Rows { tables, rows, last_rows, cycle, columns, repeat })
        };
        let cuts = [
            runs(1, 1, 1 << 20),
            runs(1, 1, (4 << 20) + 77),
            runs(1, 2, 1 << 20),
            runs(1, 3, 700_001),
            runs(1, 1 << 14, 32),
            runs(5, 3, 1000),
            runs(100, 3, 1000),
            Cut::Runs(Runs { outer: 1, groups: 60, len: 300, last_len: 100, cycle: 3 }),
            rows(1, 1000, 1000, 1, 77, 1),
            rows(1, 30, 30, 1, 5000, 9),
            rows(1, 1, 1, 1, 100_000, 20),
            rows(40, 32, 5, 4, 70, 1),
        ];
        for cut in cuts {
            for (parts, totals) in [(2, true), (3, false), (7, true), (64, false)] {
                let mut seen = vec![0u8; cut.elements()];
                divide(&cut, totals, parts, &mut |count, part_of| {
                    for index in 0..count {
                        mark(&cut, part_of(index), totals, &mut seen);
                    }
                });
                assert!(seen.iter().all(|times| *times == 1), "{cut:?} in {parts}");
            }
        }
    }

    fn mark(cut: &Cut, part: Part, totals: bool, seen: &mut [u8]) {
        let mut mark = |elements: Range<usize>| seen[elements].iter_mut().for_each(|times| *times += 1);
        match (part, cut) {
            (Part::Runs(PartOfRuns { outer, groups, superblocks: None }), Cut::Runs(runs)) => {
                for o in outer {
                    groups.clone().for_each(|group| mark(runs.range_of(o * runs.groups + group)));
                }
            }
            (Part::Runs(PartOfRuns { groups, superblocks: Some(range), .. }), Cut::Runs(runs)) => {
                let run = runs.range_of(groups.start);
                let length = superblock_length(run.len());
                mark(run.start + range.start * length..run.end.min(run.start + range.end * length));
            }
            (Part::Rows(PartOfRows::Tables(tables)), Cut::Rows(rows)) => {
                tables.for_each(|table| mark(rows.range_of(table)))
            }
            (Part::Rows(PartOfRows::Lines { table, lines: some }), Cut::Rows(rows)) => {
                let lines = Lines::of(rows, table, totals);
                for line in some {
                    for stretch in 0..lines.stretches {
                        let (start, end) = lines.elements(line, &lines.places(stretch));
                        mark(start..end);
                    }
                }
            }
            (Part::Rows(PartOfRows::Stretches { table, stretches }), Cut::Rows(rows)) => {
                let lines = Lines::of(rows, table, totals);
                for line in 0..lines.count {
                    for stretch in stretches.clone() {
                        let (start, end) = lines.elements(line, &lines.places(stretch));
                        mark(start..end);
                    }
                }
            }
            (part, cut) => panic!("{part:?} of {cut:?}"),
        }
    }
}
