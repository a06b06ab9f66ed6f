//! A histogram as a density: within a bin its elements are taken to be spread evenly.
//!
//! Bins end where the range of the data does, so that the extremes are exact, and all data in one place stay there. The first bin
//! of each sign, which has the zeros, is 2^-130 wide.

use super::super::percentile::rank;
use super::group::Group;
use super::histogram::Row;
use crate::error::Error;
use crate::kernels::{BINS_OF_EXPONENT, BITS_WITHIN_BIN, EXPONENTS};

/// Elements that are spread evenly between two numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: f64,
}

/// All elements of a group, from the smallest piece to the largest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Density {
    pub(super) pieces: Vec<Piece>,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// From here on f64 has whole numbers only: adding it rounds.
const WHOLE: f64 = 1.5 * (1u64 << 52) as f64;

/// A piece that is so much narrower than it is far from 0 is a point: a difference of integrals would have no digits left.
const NARROW: f64 = 1e-5;

impl Density {
    /// The elements of a group that has some.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn of(group: &Group) -> Result<Density, Error> {
        let rows = group.histogram.rows();
        let negative = rows.partition_point(|row| row.exponent < EXPONENTS / 2);
        let mut density = Density::empty(rows.len(), group.min.into(), group.max.into())?;
        for row in rows[negative..].iter().rev() {
            for place in (0..BINS_OF_EXPONENT).rev() {
                let (low, high) = magnitudes_of_bin(row.exponent - EXPONENTS / 2, place);
                density.push(-high, -low, row.counts[place]);
            }
        }
        for row in &rows[..negative] {
            for place in 0..BINS_OF_EXPONENT {
                let (low, high) = magnitudes_of_bin(row.exponent, place);
                density.push(low, high, row.counts[place]);
            }
        }
        Ok(density)
    }

    /// Their magnitudes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn of_magnitudes(group: &Group) -> Result<Density, Error> {
        let rows = group.histogram.rows();
        let (positive, negative) = rows.split_at(rows.partition_point(|row| row.exponent < EXPONENTS / 2));
        let largest = f64::from(group.max).max(-f64::from(group.min));
        let mut density = Density::empty(rows.len(), 0.0, largest)?;
        let (mut positive, mut negative) = (positive.iter().peekable(), negative.iter().peekable());
        let exponent_of = |row: Option<&&Row>| row.map_or(EXPONENTS, |row| row.exponent % (EXPONENTS / 2));
        loop {
            let exponents = (exponent_of(positive.peek()), exponent_of(negative.peek()));
            let exponent = exponents.0.min(exponents.1);
            if exponent == EXPONENTS {
                return Ok(density);
            }
            let ours = positive.next_if(|_| exponents.0 == exponent).map_or([0; BINS_OF_EXPONENT], |row| row.counts);
            let theirs = negative.next_if(|_| exponents.1 == exponent).map_or([0; BINS_OF_EXPONENT], |row| row.counts);
            for place in 0..BINS_OF_EXPONENT {
                let (low, high) = magnitudes_of_bin(exponent, place);
                density.push(low, high, ours[place].saturating_add(theirs[place]));
            }
        }
    }

    fn empty(rows: usize, min: f64, max: f64) -> Result<Density, Error> {
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(rows * BINS_OF_EXPONENT)?;
        Ok(Density { pieces, min, max })
    }

    fn push(&mut self, low: f64, high: f64, count: u64) {
        if count > 0 {
            let (low, high) = (low.max(self.min), high.min(self.max));
            self.pieces.push(Piece { low, high: high.max(low), count: count as f64 });
        }
    }

    /// That of the elements times -1.
    pub(super) fn mirrored(mut self) -> Density {
        self.pieces.reverse();
        for piece in &mut self.pieces {
            (piece.low, piece.high) = (-piece.high, -piece.low);
        }
        (self.min, self.max) = (-self.max, -self.min);
        self
    }

    fn count(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.count).sum()
    }

    /// The mean.
    pub(super) fn mean(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.count * 0.5 * (piece.low + piece.high)).sum::<f64>() / self.count()
    }

    /// Where at least `fraction` of the elements, of which there is one, are no larger; that of all of them is the largest.
    pub(super) fn quantile(&self, fraction: f64) -> f64 {
        let count = self.count();
        let rank = rank(fraction, count);
        let mut below = 0.0;
        for piece in &self.pieces {
            if below + piece.count >= rank {
                return piece.low + (piece.high - piece.low) * ((rank - below) / piece.count);
            }
            below += piece.count;
        }
        self.max
    }

    /// The squared error of a step, with levels from `lowest` to `highest`: `sum (x - value)^2`.
    ///
    /// In units of the step, with k the level of v, the integral of `(v - k)^2` from 0 to v is `k / 12 + (v - k)^3 / 3`:
    /// 1/12 for each level that is passed. It holds where v is clamped, too. So a piece costs the same, however many levels it has.
    pub(super) fn error(&self, step: f64, (lowest, highest): (f64, f64)) -> f64 {
        let by_step = 1.0 / step;
        let level = |v: f64| (v.max(lowest).min(highest) + WHOLE) - WHOLE;
        let integral = |v: f64| {
            let level = level(v);
            let rest = v - level;
            level * (1.0 / 12.0) + rest * rest * rest * (1.0 / 3.0)
        };
        let mut error = 0.0;
        for piece in &self.pieces {
            let (low, high) = (piece.low * by_step, piece.high * by_step);
            let width = high - low;
            error += piece.count
                * if width > NARROW * (low.abs() + high.abs()) {
                    (integral(high) - integral(low)) / width
                } else {
                    let v = 0.5 * (low + high);
                    (v - level(v)).powi(2)
                };
        }
        error * step * step
    }
}

/// The smallest magnitude of a bin, and where the next bin begins.
fn magnitudes_of_bin(exponent: usize, place: usize) -> (f64, f64) {
    let bin = (exponent * BINS_OF_EXPONENT + place) as u32;
    let start = |bin: u32| f64::from(f32::from_bits(bin << BITS_WITHIN_BIN));
    (start(bin), start(bin + 1))
}
