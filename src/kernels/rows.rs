//! The walk over rows: blocks that cross groups, and totals by column.

use super::buffer::Block;
use super::cut::Rows;
use super::groups::{AFFINE, Groups, SYMMETRIC, Source, TABLE, Table, TableRow};
use super::walk::{Join, Work, masked};
use super::{BLOCK, Kernel, Vectors};
use std::ops::Range;

/// Lines between two folds of their columns.
const LINES: usize = 16;

/// Most places of a line whose totals are kept at a time.
const COLUMNS: usize = 1024;

/// What is to be walked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PartOfRows {
    /// These tables.
    Tables(Range<usize>),
    /// These lines of a table, for work without totals.
    Lines { table: usize, lines: Range<usize> },
    /// These of the stretches that the lines of a table are done in.
    Stretches { table: usize, stretches: Range<usize> },
}

/// Part of a walk over rows.
pub(super) struct WalkRows<'a, W, const TOTALS: usize> {
    /// By value: of a work behind a reference, each store might change what the next block reads of it.
    pub(super) work: W,
    pub(super) rows: &'a Rows,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRows,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRows<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if self.groups.are_affine() { self.walk::<V, AFFINE>() } else { self.walk::<V, SYMMETRIC>() }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> WalkRows<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const NUMBERS: usize>(mut self) {
        let rows = self.rows;
        let (tables, some_lines, some_stretches) = match self.part.clone() {
            PartOfRows::Tables(tables) => (tables, None, None),
            PartOfRows::Lines { table, lines } => (table..table + 1, Some(lines), None),
            PartOfRows::Stretches { table, stretches } => (table..table + 1, None, Some(stretches)),
        };
        let mut columns = Columns::<TOTALS>::new();
        // A table is room that a long row does not need.
        if rows.are_long() {
            for table in tables {
                let lines = Lines::of(rows, table, TOTALS > 0);
                for stretch in some_stretches.clone().unwrap_or(0..lines.stretches) {
                    let row = lines.row(rows, table, stretch);
                    let source = self.groups.row::<NUMBERS>(row.first, row.columns);
                    self.stretch::<V, _>(&lines, stretch, some_lines.clone(), &source, &mut columns);
                    self.total_columns(rows, &lines, stretch, row, &columns);
                }
            }
        } else {
            let mut source = Table::<NUMBERS>::new();
            for table in tables {
                let lines = Lines::of(rows, table, TOTALS > 0);
                for stretch in some_stretches.clone().unwrap_or(0..lines.stretches) {
                    let row = lines.row(rows, table, stretch);
                    self.groups.tabulate(row, &mut source);
                    self.stretch::<V, _>(&lines, stretch, some_lines.clone(), &source, &mut columns);
                    self.total_columns(rows, &lines, stretch, row, &columns);
                }
            }
        }
    }

    /// Walks the lines of a stretch, or some of them.
    #[inline(always)]
    fn stretch<V: Vectors, S: Source>(
        &mut self,
        lines: &Lines,
        stretch: usize,
        some: Option<Range<usize>>,
        source: &S,
        columns: &mut Columns<TOTALS>,
    ) {
        let places = lines.places(stretch);
        let (mut since_fold, mut folded) = (0, false);
        for line in some.unwrap_or(0..lines.count) {
            let (start, end) = lines.elements(line, &places);
            let mut at = start;
            while at < end {
                let block = Block::first_of(at, end);
                let terms =
                    masked::<V, W::Join, TOTALS>(self.work.block::<V, S>(block, &source.lanes(at - start)), block);
                columns.join::<V, W::Join>(at - start, &terms, since_fold == 0);
                at += block.count();
            }
            if TOTALS > 0 {
                // A last line may have fewer rows; what it does not reach keeps the line before.
                columns.reached = if since_fold == 0 { end - start } else { columns.reached };
                since_fold += 1;
                if since_fold == LINES || line + 1 == lines.count {
                    columns.fold::<W::Join>(!folded);
                    (folded, since_fold) = (true, 0);
                }
            }
        }
    }

    /// Joins the places of each group.
    #[inline(always)]
    fn total_columns(&mut self, rows: &Rows, lines: &Lines, stretch: usize, row: TableRow, columns: &Columns<TOTALS>) {
        if TOTALS == 0 {
            return;
        }
        let places = lines.places(stretch).len();
        if rows.are_long() {
            // A group for each place: nothing to join.
            for place in 0..places {
                let mut total = [0.0; TOTALS];
                for (total, sums) in total.iter_mut().zip(&columns.totals) {
                    *total = sums[place];
                }
                self.work.total(row.first + place, lines.rows, total);
            }
            return;
        }
        let groups = row.columns.div_ceil(rows.repeat);
        for group in 0..groups {
            let (start, end) = (group * rows.repeat, row.columns.min((group + 1) * rows.repeat));
            let mut total = [W::Join::NOTHING.into(); TOTALS];
            for place in start..end {
                let mut copy = place;
                while copy < places {
                    for (total, sums) in total.iter_mut().zip(&columns.totals) {
                        *total = W::Join::join_exactly(*total, sums[copy]);
                    }
                    copy += row.columns;
                }
            }
            self.work.total(row.first + group, (end - start) * lines.rows, total);
        }
    }
}

/// The lines of a table: several short rows, or a stretch of a long one.
pub(super) struct Lines {
    start: usize,
    end: usize,
    /// Elements from one line to the next.
    pitch: usize,
    pub(super) count: usize,
    /// Rows of the table.
    rows: usize,
    rows_in_line: usize,
    /// Elements of a stretch, and how many stretches a line is done in.
    stretch: usize,
    pub(super) stretches: usize,
}

impl Lines {
    #[inline(always)]
    pub(super) fn of(rows: &Rows, table: usize, totals: bool) -> Lines {
        let Range { start, end } = rows.range_of(table);
        let count_of_rows = (end - start) / rows.columns;
        let rows_in_line = if rows.are_long() { 1 } else { (TABLE / rows.columns).clamp(1, count_of_rows.max(1)) };
        let pitch = rows_in_line * rows.columns;
        let stretch = match (rows.are_long(), totals) {
            (true, true) => pitch.min(COLUMNS),
            (true, false) => pitch,
            (false, _) => pitch.min(TABLE / rows.repeat * rows.repeat),
        };
        let (count, stretches) = (count_of_rows.div_ceil(rows_in_line), pitch.div_ceil(stretch));
        Lines { start, end, pitch, count, rows: count_of_rows, rows_in_line, stretch, stretches }
    }

    /// The parameters of a stretch.
    #[inline(always)]
    fn row(&self, rows: &Rows, table: usize, stretch: usize) -> TableRow {
        let places = self.places(stretch);
        let first = table * rows.groups() + places.start / rows.repeat;
        let columns = places.len().min(rows.columns);
        TableRow { first, columns, repeat: rows.repeat, copies: self.rows_in_line }
    }

    /// The places in a line of a stretch.
    #[inline(always)]
    pub(super) fn places(&self, stretch: usize) -> Range<usize> {
        stretch * self.stretch..self.pitch.min((stretch + 1) * self.stretch)
    }

    /// The elements of a line that lie in some places.
    #[inline(always)]
    pub(super) fn elements(&self, line: usize, places: &Range<usize>) -> (usize, usize) {
        let line = self.start + line * self.pitch;
        (line + places.start, self.end.min(line + places.end))
    }
}

/// Totals per place of a line.
struct Columns<const TOTALS: usize> {
    recent: [[f32; COLUMNS + BLOCK]; TOTALS],
    totals: [[f64; COLUMNS]; TOTALS],
    /// Places that the first line since the last fold had.
    reached: usize,
}

impl<const TOTALS: usize> Columns<TOTALS> {
    #[inline(always)]
    fn new() -> Self {
        Columns { recent: [[0.0; COLUMNS + BLOCK]; TOTALS], totals: [[0.0; COLUMNS]; TOTALS], reached: 0 }
    }

    /// Joins the terms of a block that begins in place `at`.
    #[inline(always)]
    fn join<V: Vectors, J: Join>(&mut self, at: usize, terms: &[V::Block; TOTALS], first: bool) {
        for index in 0..TOTALS {
            let recent = &mut self.recent[index][at..at + BLOCK];
            let mut joined = terms[index];
            // SAFETY: the slice has a block of floats.
            unsafe {
                if !first {
                    let so_far = V::load(recent.as_ptr());
                    for register in 0..V::REGISTERS {
                        joined[register] = J::join(so_far[register], joined[register]);
                    }
                }
                V::store(joined, recent.as_mut_ptr());
            }
        }
    }

    /// Joins what is recent to the totals, or makes it the totals.
    #[inline(always)]
    fn fold<J: Join>(&mut self, first: bool) {
        for index in 0..TOTALS {
            let (totals, recent) = (&mut self.totals[index], &self.recent[index]);
            for place in 0..self.reached {
                let recent = f64::from(recent[place]);
                totals[place] = if first { recent } else { J::join_exactly(totals[place], recent) };
            }
        }
    }
}
