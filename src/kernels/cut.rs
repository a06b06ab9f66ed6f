//! How a tensor is cut into groups, as kernels see it: runs or rows.
//!
//! *Runs* are consecutive elements of one group: a tensor, a channel, a token, a block of 32. *Rows* are consecutive elements
//! of many groups, for everything that is not long enough to be a run: the channels of a last axis, a block along a first
//! axis, channels of nine elements. A granularity is a way to fill in these numbers (see [`crate::layout`]), never a new loop.

use super::BLOCK;
use super::runs::SHORT;
use std::ops::Range;

/// How a tensor is cut into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// `outer` times the same groups, a run of each.
    Runs(Runs),
    /// Tables of rows, each table with groups of its own.
    Rows(Rows),
}

/// See [`Cut::Runs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) outer: usize,
    /// Groups, in the order of their runs.
    pub(crate) groups: usize,
    /// Elements of a run.
    pub(crate) len: usize,
    /// Elements of every `cycle`-th run, which may be shorter.
    pub(crate) last_len: usize,
    pub(crate) cycle: usize,
}

/// See [`Cut::Rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) tables: usize,
    /// Rows of a table.
    pub(crate) rows: usize,
    /// Rows of every `cycle`-th table, which may have fewer.
    pub(crate) last_rows: usize,
    pub(crate) cycle: usize,
    /// Elements of a row.
    pub(crate) columns: usize,
    /// Neighbouring elements of a row that share a group; at most [`Cut::LONGEST_REPEAT`].
    pub(crate) repeat: usize,
}

impl Cut {
    /// Most neighbours that share a group in a row; more are a run.
    pub(crate) const LONGEST_REPEAT: usize = 256;

    /// Whether `len` consecutive elements of one group are worth a run: they fill blocks, or are so many that a last, padded
    /// one does not count.
    pub(crate) fn is_run(len: usize) -> bool {
        len > 0 && (len.is_multiple_of(BLOCK) || len > Cut::LONGEST_REPEAT)
    }

    /// Consecutive runs of `len` elements, each a group of its own.
    pub(crate) const fn runs(groups: usize, len: usize) -> Cut {
        Cut::Runs(Runs { outer: 1, groups, len, last_len: len, cycle: 1 })
    }

    /// The elements of a tensor that is one run, to be folded in f32.
    #[inline(always)]
    pub(super) fn short_run(&self) -> Option<usize> {
        match self {
            Cut::Runs(Runs { outer: 1, groups: 1, len, last_len, .. }) if len == last_len && *len <= SHORT => {
                Some(*len)
            }
            _ => None,
        }
    }

    /// Elements of the tensor.
    #[inline]
    pub(super) fn elements(&self) -> usize {
        match self {
            Cut::Runs(runs) => runs.range_of(runs.outer * runs.groups).start,
            Cut::Rows(rows) => rows.range_of(rows.tables).start,
        }
    }
}

/// Whole blocks that are handled together: rows of `width` elements, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(super) start: usize,
    pub(super) width: usize,
    pub(super) rows: usize,
}

impl Span {
    /// One row.
    #[inline(always)]
    pub(super) fn one(elements: Range<usize>) -> Self {
        Span { start: elements.start, width: elements.len(), rows: 1 }
    }

    /// After the last element.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.start + self.width * self.rows
    }

    /// The elements of each row.
    #[inline(always)]
    pub(super) fn rows(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.rows).map(move |row| {
            let start = self.start + row * self.width;
            start..start + self.width
        })
    }
}

impl Runs {
    /// The elements of a run, counted through all groups of all outer indices.
    #[inline(always)]
    pub(crate) fn range_of(&self, run: usize) -> Range<usize> {
        range_of(run, self.len, self.last_len, self.cycle)
    }

    /// Whether each is whole blocks, few enough to be folded in f32.
    #[inline(always)]
    pub(super) fn are_few_blocks(&self) -> bool {
        self.len == self.last_len && self.len.is_multiple_of(BLOCK) && (BLOCK..=SHORT).contains(&self.len)
    }
}

impl Rows {
    /// The elements of a table.
    #[inline(always)]
    pub(super) fn range_of(&self, table: usize) -> Range<usize> {
        range_of(table, self.rows * self.columns, self.last_rows * self.columns, self.cycle)
    }

    /// Whether a row is a line of its own, with parameters read from where they are: it fills blocks, or is so long that a
    /// last, padded one does not count.
    #[inline(always)]
    pub(super) fn are_lines(&self) -> bool {
        self.repeat == 1 && (self.columns.is_multiple_of(BLOCK) || self.columns >= 256)
    }

    /// Groups of a table.
    #[inline(always)]
    pub(super) fn groups(&self) -> usize {
        if self.repeat == 1 { self.columns } else { self.columns.div_ceil(self.repeat) }
    }
}

/// The elements of a piece, where every `cycle`-th piece has `last_len` elements and the others `len`.
#[inline(always)]
fn range_of(index: usize, len: usize, last_len: usize, cycle: usize) -> Range<usize> {
    // The common case first: a division costs more than a short run takes.
    if len == last_len {
        return index * len..(index + 1) * len;
    }
    let start = index * len - (index / cycle) * (len - last_len);
    start..start + if (index + 1).is_multiple_of(cycle) { last_len } else { len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_run_and_short_ones_end_a_cycle() {
        let runs = Runs { outer: 1, groups: 6, len: 300, last_len: 100, cycle: 3 };
        let lengths: Vec<usize> = (0..6).map(|run| runs.range_of(run).len()).collect();
        assert_eq!(lengths, [300, 300, 100, 300, 300, 100]);
        assert!((1..6).all(|run| runs.range_of(run).start == runs.range_of(run - 1).end));
        assert_eq!(Cut::Runs(runs).elements(), 1400);
        let rows = Rows { tables: 4, rows: 3, last_rows: 1, cycle: 2, columns: 5, repeat: 1 };
        assert_eq!((0..4).map(|table| rows.range_of(table).len()).collect::<Vec<_>>(), [15, 5, 15, 5]);
        assert_eq!(Cut::Rows(rows).elements(), 40);
    }
}
