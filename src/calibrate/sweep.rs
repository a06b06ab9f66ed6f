//! Every assignment of a group's weights to levels, between two steps, in one go.
//!
//! For an assignment the best step is `a / b`, and its squared error `sum w^2 - a^2 / b`, with `a = sum w * level` and
//! `b = sum level^2`. As the step shrinks, a weight w moves from level k to k + 1 where `1 / step = (k + 1/2) / abs(w)`: at
//! places that are evenly spaced for each weight. So the range of `1 / step` is cut into cells; each weight leaves in the
//! cells what its moves add to a and b, and one walk over the cells knows both sums at the end of each.

use super::filled;
use crate::error::Error;

/// Most cells of a sweep.
const CELLS: usize = 4096;
/// Fewest.
const FEWEST_CELLS: usize = 64;

/// The memory of a sweep.
pub(super) struct Sweep {
    /// What the moves of a cell add to `a` and `b`.
    cells: Vec<[f64; 2]>,
}

/// An assignment: the larger its `gain`, the smaller its error, `sum w^2 - gain`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Assignment {
    pub(super) gain: f64,
    pub(super) step: f64,
}

impl Sweep {
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new() -> Result<Sweep, Error> {
        Ok(Sweep { cells: filled([0.0; 2], CELLS)? })
    }

    /// The best assignment to levels from `lowest`, not positive, to `highest`, not negative, at steps from `largest` down to
    /// `smallest`.
    pub(super) fn best(&mut self, weights: &[f32], levels: (f64, f64), largest: f64, smallest: f64) -> Assignment {
        let (from, to) = (1.0 / largest, 1.0 / smallest);
        let magnitudes: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
        let moves = magnitudes * (to - from);
        let count = ((2.0 * moves) as usize).next_power_of_two().clamp(FEWEST_CELLS, CELLS);
        let cells = &mut self.cells[..count];
        cells.fill([0.0; 2]);
        let cells_per_unit = count as f64 / (to - from);
        let (lowest, highest) = levels;
        let (mut a, mut b) = (0.0, 0.0);
        for &w in weights {
            let magnitude = f64::from(w.abs());
            let last = if w < 0.0 { -lowest } else { highest };
            let mut level = (magnitude * from + 0.5).floor().min(last);
            a += magnitude * level;
            b += level * level;
            let cells_per_level = cells_per_unit / magnitude;
            let mut place = (level + 0.5) * cells_per_level - from * cells_per_unit;
            while level < last && place < count as f64 {
                let cell = &mut cells[place as usize];
                cell[0] += magnitude;
                cell[1] += 2.0 * level + 1.0;
                level += 1.0;
                place += cells_per_level;
            }
        }
        let mut best = Assignment { gain: 0.0, step: 0.0 };
        let mut learn = |a: f64, b: f64| {
            if a * a > best.gain * b {
                best = Assignment { gain: a * a / b, step: a / b };
            }
        };
        learn(a, b);
        for cell in cells {
            a += cell[0];
            b += cell[1];
            learn(a, b);
        }
        best
    }
}
