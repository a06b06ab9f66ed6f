//! The walk over rows: blocks that cross groups, and totals by column.

use super::buffer::Block;
use super::cut::Rows;
use super::groups::{Groups, Source, TABLE, Table, TableRow};
use super::walk::{Join, Work, masked};
use super::{BLOCK, Kernel, Vectors};
use std::ops::Range;

/// Lines between two folds of their columns.
const LINES: usize = 16;

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
    pub(super) work: &'a mut W,
    pub(super) rows: Rows,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRows,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRows<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if self.groups.are_affine() { self.walk::<V, true>() } else { self.walk::<V, false>() }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> WalkRows<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const AFFINE: bool>(mut self) {
        let rows = self.rows;
        let (tables, some_lines, some_stretches) = match self.part.clone() {
            PartOfRows::Tables(tables) => (tables, None, None),
            PartOfRows::Lines { table, lines } => (table..table + 1, Some(lines), None),
            PartOfRows::Stretches { table, stretches } => (table..table + 1, None, Some(stretches)),
        };
        let mut table_of_parameters = Table::<AFFINE>::new();
        let mut columns = Columns::<TOTALS>::new();
        for table in tables {
            let lines = Lines::of(&rows, table);
            let first = table * rows.groups();
            for stretch in some_stretches.clone().unwrap_or(0..lines.stretches) {
                let places = lines.places(stretch);
                let row = TableRow {
                    first: first + places.start / rows.repeat,
                    columns: places.len().min(rows.columns),
                    repeat: rows.repeat,
                    copies: lines.rows_in_line,
                };
                self.groups.tabulate(row, &mut table_of_parameters);
                let mut since_fold = 0;
                let mut folded = false;
                for line in some_lines.clone().unwrap_or(0..lines.count) {
                    let (start, end) = lines.elements(line, &places);
                    let mut at = start;
                    while at < end {
                        let block = Block::first_of(at, end);
                        let lanes = table_of_parameters.lanes(at - start);
                        let terms = masked(self.work.block::<V, Table<AFFINE>>(block, &lanes), block);
                        columns.join::<W::Join>(at - start, &terms, since_fold == 0);
                        at += BLOCK;
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
                if TOTALS > 0 {
                    self.total_columns(&rows, &lines, &columns, row, places.len());
                }
            }
        }
    }

    /// Joins the places of each group.
    #[inline(always)]
    fn total_columns(&mut self, rows: &Rows, lines: &Lines, columns: &Columns<TOTALS>, row: TableRow, places: usize) {
        let groups = row.columns.div_ceil(rows.repeat);
        for group in 0..groups {
            let (start, end) = (group * rows.repeat, row.columns.min((group + 1) * rows.repeat));
            let mut total = [0.0; TOTALS];
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
    pub(super) fn of(rows: &Rows, table: usize) -> Lines {
        let Range { start, end } = rows.range_of(table);
        let count_of_rows = (end - start) / rows.columns;
        let rows_in_line = (TABLE / rows.columns).clamp(1, count_of_rows.max(1));
        let pitch = rows_in_line * rows.columns;
        let stretch = if pitch <= TABLE { pitch } else { TABLE / rows.repeat * rows.repeat };
        let (count, stretches) = (count_of_rows.div_ceil(rows_in_line), pitch.div_ceil(stretch));
        Lines { start, end, pitch, count, rows: count_of_rows, rows_in_line, stretch, stretches }
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
    recent: [[f32; TABLE + BLOCK]; TOTALS],
    totals: [[f64; TABLE]; TOTALS],
    /// Places that the first line since the last fold had.
    reached: usize,
}

impl<const TOTALS: usize> Columns<TOTALS> {
    #[inline(always)]
    fn new() -> Self {
        Columns { recent: [[0.0; TABLE + BLOCK]; TOTALS], totals: [[0.0; TABLE]; TOTALS], reached: 0 }
    }

    /// Joins the terms of a block that begins in place `at`.
    #[inline(always)]
    fn join<J: Join>(&mut self, at: usize, terms: &[[f32; BLOCK]; TOTALS], first: bool) {
        for index in 0..TOTALS {
            let recent = &mut self.recent[index][at..at + BLOCK];
            for lane in 0..BLOCK {
                recent[lane] = if first { terms[index][lane] } else { J::join(recent[lane], terms[index][lane]) };
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
