//! The walk over rows: blocks that cross groups, and totals by column.

use super::buffer::Block;
use super::cut::{Rows, Span};
use super::groups::{Groups, TableRow};
use super::room::Room;
use super::sink::Sink;
use super::sources::{RoomForLast, RoomForTable, Row, TABLE};
use super::stage::{STAGE, Staged};
use super::vector::Floats;
use super::walk::{Join, Work, masked};
use super::{BLOCK, Kernel, Vectors};
use std::ops::Range;

/// Rows that join in the same places between two folds of those.
const LINES: usize = 16;

/// Most places of a line whose totals are kept at a time.
const COLUMNS: usize = STAGE;

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
    pub(super) staged: Staged<'a, W>,
    pub(super) rows: &'a Rows,
    pub(super) groups: Groups<'a>,
    pub(super) part: PartOfRows,
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for WalkRows<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if !(V::SPECIALISES && W::SPECIALISES) || self.groups.are_affine() {
            self.walk::<V, true>()
        } else {
            self.walk::<V, false>()
        }
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
        let (mut room, mut room_for_table) = (RoomForColumns::new(), RoomForTable::uninit());
        let mut columns = Columns::<TOTALS>::new(&mut room);
        for table in tables {
            let lines = Lines::of(rows, table, TOTALS > 0);
            for stretch in some_stretches.clone().unwrap_or(0..lines.stretches) {
                let row = lines.row(rows, table, stretch);
                let some_lines = some_lines.clone().unwrap_or(0..lines.count);
                let parameters = if rows.are_lines() {
                    self.groups.row::<W::Reads, AFFINE>(row.first, row.columns)
                } else {
                    self.groups.tabulate::<V, W::Reads, AFFINE>(row, &mut room_for_table)
                };
                self.stretch::<V, AFFINE>(&lines, stretch, some_lines, parameters, &mut columns);
                self.total_columns(rows, &lines, stretch, row, &columns);
            }
        }
    }

    /// Walks the lines of a stretch, or some of them.
    #[inline(always)]
    fn stretch<V: Vectors, const AFFINE: bool>(
        &mut self,
        lines: &Lines,
        stretch: usize,
        some: Range<usize>,
        parameters: Row<'_, W::Reads, AFFINE>,
        columns: &mut Columns<'_, TOTALS>,
    ) {
        let places = lines.places(stretch);
        columns.begin();
        for line in some {
            let (start, end) = lines.elements(line, &places);
            columns.begin_line::<W::Join>((end - start).min(lines.width));
            let mut at = start;
            while at < end {
                let stage_end = end.min(at.saturating_add(self.staged.at_a_time()));
                self.staged.begin(at..stage_end);
                self.some_of_line::<V, AFFINE>(start, at..stage_end, lines.width, &parameters, columns);
                self.staged.end();
                at = stage_end;
            }
            columns.end_line::<W::Join>(lines.joined);
        }
        columns.end::<W::Join>();
    }

    /// Handles some elements of the line that begins at `line`, whole blocks of it or its last ones; rows of `width` that join in
    /// the same places, if they are as many.
    #[inline(always)]
    fn some_of_line<V: Vectors, const AFFINE: bool>(
        &mut self,
        line: usize,
        elements: Range<usize>,
        width: usize,
        parameters: &Row<'_, W::Reads, AFFINE>,
        columns: &mut Columns<'_, TOTALS>,
    ) {
        let (work, places) = (&mut self.staged.work, elements.start - line..elements.end - line);
        // Whole blocks by themselves, as in runs.
        let whole = places.len() / BLOCK * BLOCK;
        // With totals a stretch of a line is staged at once.
        assert!(TOTALS == 0 || places.start == 0);
        let mut source = parameters.from(places.start);
        let span = if width < whole {
            Span { start: elements.start, width, rows: whole / width }
        } else {
            Span::one(elements.start..elements.start + whole)
        };
        work.whole_blocks::<V, _, _>(span, &mut source, columns);
        if whole < places.len() {
            let mut room = RoomForLast::uninit();
            let lanes = parameters.last::<V>(places.start + whole..places.end, &mut room);
            assert!(work.reaches(elements.end));
            // SAFETY: by the assertion.
            let block = unsafe { Block::first_of(elements.start + whole, elements.end) };
            let terms = masked::<V, W::Join, TOTALS>(work.block::<V, _>(block, &lanes), block);
            // SAFETY: the line, which there is room for, has the place.
            unsafe { Sink::<V, W::Join, TOTALS>::join(columns, places.start + whole, &terms) };
        }
    }

    /// Joins the places of each group.
    #[inline(always)]
    fn total_columns(
        &mut self,
        rows: &Rows,
        lines: &Lines,
        stretch: usize,
        row: TableRow,
        columns: &Columns<'_, TOTALS>,
    ) {
        if TOTALS == 0 {
            return;
        }
        let sums = columns.totals();
        if rows.are_lines() {
            // A group for each place: nothing to join.
            self.staged.work.total_each(row.first, lines.rows, sums);
            return;
        }
        let places = lines.places(stretch).len();
        let groups = row.columns.div_ceil(rows.repeat);
        for group in 0..groups {
            let (start, end) = (group * rows.repeat, row.columns.min((group + 1) * rows.repeat));
            let mut total = [W::Join::NOTHING.into(); TOTALS];
            for place in start..end {
                let mut copy = place;
                while copy < places {
                    for (total, sums) in total.iter_mut().zip(&sums) {
                        *total = W::Join::join_exactly(*total, sums[copy]);
                    }
                    copy += row.columns;
                }
            }
            self.staged.work.total(row.first + group, (end - start) * lines.rows, total);
        }
    }
}

/// How many rows that are lines of their own are better one, for a line takes longer to begin than a few blocks of it: a divisor of
/// [`LINES`], so that no total depends on it, of whole blocks, and no more than are staged at once.
#[inline(always)]
fn rows_to_join(columns: usize) -> usize {
    match STAGE / columns {
        several @ 1.. if columns.is_multiple_of(BLOCK) => 1 << several.min(LINES).ilog2(),
        _ => 1,
    }
}

/// The lines of a table: several short rows, or a stretch of a long one.
pub(super) struct Lines {
    start: usize,
    end: usize,
    /// Rows of a line that read the same parameters and join in the same places; 1 where each has places of its own.
    joined: usize,
    /// Elements of such a row.
    width: usize,
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
        let (rows_in_line, joined) = if rows.are_lines() {
            let several = rows_to_join(rows.columns);
            (several, several)
        } else {
            ((TABLE / rows.columns).clamp(1, count_of_rows.max(1)), 1)
        };
        let width = if joined > 1 { rows.columns } else { usize::MAX };
        let pitch = rows_in_line * rows.columns;
        let stretch = match (rows.are_lines(), totals) {
            (true, true) => pitch.min(COLUMNS),
            (true, false) => pitch,
            (false, _) => pitch.min(TABLE / rows.repeat * rows.repeat),
        };
        let (count, stretches) = (count_of_rows.div_ceil(rows_in_line), pitch.div_ceil(stretch));
        Lines { start, end, joined, width, pitch, count, rows: count_of_rows, rows_in_line, stretch, stretches }
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

/// Room for [`Columns`].
struct RoomForColumns<const TOTALS: usize> {
    recent: Room<[[f32; COLUMNS + BLOCK]; TOTALS]>,
    totals: Room<[[f64; COLUMNS]; TOTALS]>,
}

impl<const TOTALS: usize> RoomForColumns<TOTALS> {
    #[inline(always)]
    fn new() -> Self {
        RoomForColumns { recent: Room::uninit(), totals: Room::uninit() }
    }
}

/// Totals per place of a line.
struct Columns<'a, const TOTALS: usize> {
    /// `recent`: the terms of the lines since the last fold, initialised for the blocks of the first line, which no other is
    /// longer than. `totals`: those of what was folded, the first `places` of them initialised.
    room: &'a mut RoomForColumns<TOTALS>,
    /// Places of the first line since the last fold, at most COLUMNS, and how many rows there were.
    reached: usize,
    rows: usize,
    places: usize,
}

impl<V: Vectors, J: Join, const TOTALS: usize> Sink<V, J, TOTALS> for Columns<'_, TOTALS> {
    type Before = ();

    #[inline(always)]
    fn len(&self) -> usize {
        if TOTALS == 0 { usize::MAX } else { self.reached }
    }

    #[inline(always)]
    unsafe fn join(&mut self, place: usize, terms: &[V::Block; TOTALS]) {
        for index in 0..TOTALS {
            let mut joined = terms[index];
            // SAFETY: by the caller's promise there is room for the block, which `begin_line` has initialised.
            unsafe {
                let recent = self.recent(index).add(place);
                for register in 0..V::REGISTERS {
                    let so_far = V::Floats::load(recent.add(register * V::Floats::LANES));
                    joined[register] = J::join(so_far, joined[register]);
                }
                V::store(joined, recent);
            }
        }
    }

    #[inline(always)]
    fn before(&self) {}
}

impl<'a, const TOTALS: usize> Columns<'a, TOTALS> {
    #[inline(always)]
    fn new(room: &'a mut RoomForColumns<TOTALS>) -> Self {
        Columns { room, reached: 0, rows: 0, places: 0 }
    }

    /// Before the first line of a stretch.
    #[inline(always)]
    fn begin(&mut self) {
        self.places = 0;
    }

    /// Before the blocks of a line with so many places, no more than those of the line before it.
    #[inline(always)]
    fn begin_line<J: Join>(&mut self, places: usize) {
        if TOTALS == 0 {
            return;
        }
        if self.rows == 0 {
            assert!(places <= COLUMNS);
            self.reached = places;
            for index in 0..TOTALS {
                let recent = self.recent(index);
                for place in 0..places.next_multiple_of(BLOCK) {
                    // SAFETY: there is room for COLUMNS and a block.
                    unsafe { recent.add(place).write(J::NOTHING) };
                }
            }
        }
        assert!(places <= self.reached);
    }

    /// The recent terms of this index.
    #[inline(always)]
    fn recent(&mut self, index: usize) -> *mut f32 {
        assert!(index < TOTALS);
        self.room.recent.as_mut_ptr().cast::<f32>().wrapping_add(index * (COLUMNS + BLOCK))
    }

    /// After the blocks of a line of so many rows in the same places, or a last one of fewer.
    #[inline(always)]
    fn end_line<J: Join>(&mut self, rows: usize) {
        if TOTALS > 0 {
            self.rows += rows;
            if self.rows == LINES {
                self.fold::<J>();
            }
        }
    }

    /// After the last line.
    #[inline(always)]
    fn end<J: Join>(&mut self) {
        if self.rows > 0 {
            self.fold::<J>();
        }
    }

    /// Joins what is recent to the totals, or makes it the totals.
    #[inline(always)]
    fn fold<J: Join>(&mut self) {
        let first = self.places == 0;
        for index in 0..TOTALS {
            // SAFETY: what the first line reached is initialised, and by the first fold the totals; `reached` is at most
            // COLUMNS.
            unsafe {
                let recent = self.room.recent.as_ptr().cast::<f32>().add(index * (COLUMNS + BLOCK));
                let totals = self.room.totals.as_mut_ptr().cast::<f64>().add(index * COLUMNS);
                for place in 0..self.reached {
                    let recent = f64::from(*recent.add(place));
                    // A sum that begins with nothing begins with 0.0, and is never -0.0.
                    *totals.add(place) = if first { recent + 0.0 } else { J::join_exactly(*totals.add(place), recent) };
                }
            }
        }
        if first {
            self.places = self.reached;
        }
        self.rows = 0;
    }

    /// The totals of every place.
    #[inline(always)]
    fn totals(&self) -> [&[f64]; TOTALS] {
        let mut totals: [&[f64]; TOTALS] = [&[]; TOTALS];
        for index in 0..TOTALS {
            // SAFETY: so many are initialised.
            totals[index] = unsafe {
                std::slice::from_raw_parts(self.room.totals.as_ptr().cast::<f64>().add(index * COLUMNS), self.places)
            };
        }
        totals
    }
}
