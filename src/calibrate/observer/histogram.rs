//! Counts by bin. Bins never change ([`Bins`] says which there are), so nothing is ever resampled, and histograms of parts add
//! up to that of the whole.
//!
//! Only signs and exponents that occur have memory: some forty of them for ordinary data, 510 at most, of 136 bytes each.

use super::group::{self, Group};
use crate::error::Error;
use crate::kernels::{BINS_OF_EXPONENT, Bins};

/// Counts of the bins of a group, in the order of sign and exponent; each row has one that is not 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Histogram {
    rows: Vec<Row>,
}

/// Counts of the bins that share a sign and an exponent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// As the leading nine bits of a float.
    pub(super) exponent: usize,
    pub(super) counts: [u64; BINS_OF_EXPONENT],
}

impl Histogram {
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What was counted of a group whose number of elements and range are known.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    fn taken(bins: &mut Bins, table: Option<usize>, group: &Group) -> Result<Histogram, Error> {
        let mut histogram = Histogram::default();
        if let Some((min, max)) = group.range() {
            bins.take(table, group.count.finite, max.max(-min), &mut |exponent, counts| {
                histogram.rows.try_reserve(1)?;
                histogram.rows.push(Row { exponent, counts });
                Ok(())
            })?;
        }
        histogram.rows.sort_unstable_by_key(|row| row.exponent);
        Ok(histogram)
    }

    /// Makes room for what [`add`](Self::add) will add.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn reserve(&mut self, more: &Histogram) -> Result<(), Error> {
        let missing = more.rows.iter().filter(|row| self.find(row.exponent).is_err()).count();
        Ok(self.rows.try_reserve(missing)?)
    }

    /// Adds counts.
    pub(super) fn add(&mut self, more: &Histogram) {
        more.rows.iter().for_each(|row| self.add_row(row.exponent, row.counts));
    }

    fn add_row(&mut self, exponent: usize, counts: [u64; BINS_OF_EXPONENT]) {
        match self.find(exponent) {
            Ok(index) => {
                for (count, more) in self.rows[index].counts.iter_mut().zip(counts) {
                    *count = count.saturating_add(more);
                }
            }
            Err(index) => self.rows.insert(index, Row { exponent, counts }),
        }
    }

    fn find(&self, exponent: usize) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&exponent, |row| row.exponent)
    }

    /// Adds to one bin: its row, and its place there.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn add_bin(&mut self, exponent: usize, place: usize, count: u64) -> Result<(), Error> {
        let mut counts = [0; BINS_OF_EXPONENT];
        counts[place] = count;
        self.rows.try_reserve(1)?;
        self.add_row(exponent, counts);
        Ok(())
    }

    pub(super) fn try_clone(&self) -> Result<Histogram, Error> {
        let mut rows = Vec::new();
        rows.try_reserve_exact(self.rows.len())?;
        rows.extend_from_slice(&self.rows);
        Ok(Histogram { rows })
    }
}

/// Elements that are counted, and their range found, while they are in the first-level cache.
const PIECE: usize = 4096;

/// Elements of a batch that are worth several tables: to clear these takes as long as to count some 8,000.
const IN_TURN: usize = 8 * PIECE;

/// Channels that are counted together where their elements alternate: the elements of a cache line.
const TOGETHER: usize = 16;

/// What a batch, `[outer, channels, inner]`, tells of each channel.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn of_batch(x: &[f32], shape: [usize; 3]) -> Result<Vec<Group>, Error> {
    match shape {
        [outer, 1, inner] => of_long_slices(x, [1, 1, outer * inner]),
        [_, _, inner] if inner >= PIECE => of_long_slices(x, shape),
        _ => of_short_slices(x, shape),
    }
}

fn of_long_slices(x: &[f32], [outer, channels, inner]: [usize; 3]) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    groups.try_reserve_exact(channels)?;
    let in_turn = inner >= PIECE && x.len() >= IN_TURN;
    let mut bins = if in_turn { Bins::in_turn()? } else { Bins::of_groups(1)? };
    for channel in 0..channels {
        let mut group = Group::default();
        for o in 0..outer {
            for piece in x[(o * channels + channel) * inner..][..inner].chunks(PIECE) {
                if in_turn {
                    bins.count(piece)
                } else {
                    bins.count_row(piece, piece.len())
                }
                group.add(&group::of_elements(piece));
            }
        }
        group.histogram = Histogram::taken(&mut bins, None, &group)?;
        groups.push(group);
    }
    Ok(groups)
}

fn of_short_slices(x: &[f32], shape: [usize; 3]) -> Result<Vec<Group>, Error> {
    let [outer, channels, inner] = shape;
    let mut groups = group::of_batch(x, shape)?;
    let together = (TOGETHER / inner).clamp(1, channels);
    let in_turn = together == 1 && outer * inner >= PIECE;
    let mut bins = if in_turn { Bins::in_turn()? } else { Bins::of_groups(together)? };
    for first in (0..channels).step_by(together) {
        let these = first..channels.min(first + together);
        for o in 0..outer {
            let row = &x[(o * channels + first) * inner..][..these.len() * inner];
            if in_turn { bins.count(row) } else { bins.count_row(row, inner) }
        }
        for index in these {
            let table = (!in_turn).then_some(index - first);
            groups[index].histogram = Histogram::taken(&mut bins, table, &groups[index])?;
        }
    }
    Ok(groups)
}
