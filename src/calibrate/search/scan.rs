//! The search along free zero points, where no sweep does: each step has a zero point of its own.
//!
//! 1. *Scan*: steps over the range that the zoom left, so close that a typical weight moves by a part of a level between neighbours.
//! 2. *Cut*: between neighbours the error is about a cubic ([`cells`](super::cells)); steps are tried where those are lowest, over and over.

use super::cells::{Cell, Point};
use super::{LANES, LUCK_OF_SMALL, MOST, Search};

/// Neighbours of a scan of 4096 weights move a weight of typical size by this part of a level.
const STRIDE: f64 = 0.17;

/// A cell as narrow as this, in the same unit, tells by its slopes where between its ends the error is how large.
const RESOLVED: f32 = 0.3;

/// Strides in a range that call for another zoom before the scan.
const WIDE: usize = 24;

/// Candidates for 4096 weights or more, and those of them that are not left to the scan.
const BUDGET: usize = 56;
const CUTS: usize = 16;

/// Cells of few weights are not cut for what is not known of them: there are too many.
const MOST_SCATTER: f64 = 0.03;

/// Less than this is not worth a try, as a part of the smallest error.
const GAIN: f32 = 2e-4;

impl Search<'_> {
    /// Finds the best step of a range.
    pub(super) fn scan(&mut self, mut range: (f64, f64)) {
        // The fewer the weights, the more irregular their errors; and the cheaper is a candidate.
        let stride = STRIDE * (self.alike / 4096.0).powf(0.35).clamp(0.15, 2.0) / self.size;
        let budget = BUDGET as f64 * (4096.0 / self.weights.len() as f64).powf(0.6).max(2.0);
        let budget = (budget as usize).min(MOST).next_multiple_of(LANES);
        let strides = |(from, to): (f64, f64)| ((to - from) / stride) as usize;
        if strides(range) > WIDE {
            self.clear();
            self.linear(range, LANES, 0.0);
            range = self.tried_range(range);
        }
        let beside = self.beside();
        let most =
            (budget - CUTS * beside.len().max(self.zero_points_of_cut().len())).saturating_sub(self.tried).max(LANES);
        let count = strides(range).next_multiple_of(LANES).clamp(LANES, most.min(MOST / beside.len()));
        self.clear();
        for beside in beside {
            self.linear(range, count, *beside);
        }
        self.try_all();
        // Zero points beside the likely one are no reason to look less closely.
        self.tried -= (beside.len() - 1) * count;
        self.make_cells();
        let at_once = (budget / (8 * LANES)).max(1) * LANES * beside.len();
        while self.tried < budget && self.cut(at_once) {}
    }

    /// Makes the candidates' neighbours cells.
    fn make_cells(&mut self) {
        self.memory.cells.clear();
        for at in 1..self.count {
            // Where a zero point has had all of its steps, the next begins again.
            if self.memory.by_step[at - 1] < self.memory.by_step[at] {
                let cell = self.cell(self.point(at - 1), self.point(at));
                self.memory.cells.push(cell);
            }
        }
    }

    /// The zero points that are tried where a cell is cut, counted from its own.
    fn zero_points_of_cut(&self) -> &'static [f32] {
        // Where the scan tried those beside, they have cells of their own.
        if self.beside().len() > 1 { &[0.0] } else { &[0.0, 1.0, -1.0] }
    }

    fn cell(&self, left: Point, right: Point) -> Cell {
        Cell::new(left, right, self.size as f32, self.scatter.min(MOST_SCATTER) as f32)
    }

    /// Tries the candidates, and leaves of their range the part in which the best may be.
    pub(super) fn tried_range(&mut self, range: (f64, f64)) -> (f64, f64) {
        self.try_all();
        self.make_cells();
        let cells = &self.memory.cells;
        let most = self.best.error * (1.01 + LUCK_OF_SMALL * self.scatter) as f32;
        let is_resolved = |cell: &Cell| cell.width(self.size as f32) < RESOLVED;
        let may_be = |cell: &Cell| {
            let bottom = if is_resolved(cell) { cell.bottom() } else { None };
            bottom.map_or(f32::INFINITY, |bottom| bottom.1).min(cell.left.bottom).min(cell.right.bottom) <= most
        };
        let (Some(first), Some(last)) = (cells.iter().position(may_be), cells.iter().rposition(may_be)) else {
            return range;
        };
        let from = match &cells[first] {
            _ if first == 0 => range.0,
            cell if is_resolved(cell) && cell.left.bottom > most => cell.first_below(most).into(),
            cell => cell.left.by_step.into(),
        };
        let to = match &cells[last] {
            _ if last + 1 == cells.len() => range.1,
            cell if is_resolved(cell) && cell.right.bottom > most => cell.last_below(most).into(),
            cell => cell.right.by_step.into(),
        };
        // They may have missed a narrow valley, on either side of it.
        if from < to { (from, to) } else { (to, from) }
    }

    /// Cuts the most promising cells, so many at once; whether any of them was worth it.
    fn cut(&mut self, at_once: usize) -> bool {
        let cells = &mut self.memory.cells;
        if at_once < cells.len() {
            cells.select_nth_unstable_by(at_once - 1, |a, b| a.promise.total_cmp(&b.promise));
        }
        let at_once = at_once.min(cells.len());
        let worth = self.best.error * (1.0 - GAIN);
        if cells[..at_once].iter().all(|cell| cell.promise > worth) {
            return false;
        }
        self.clear();
        let beside = self.zero_points_of_cut();
        for at in 0..at_once {
            let Cell { left, right, cut, .. } = self.memory.cells[at];
            let zero_point = if left.error < right.error { left.zero_point } else { right.zero_point };
            for beside in beside {
                self.push(cut.into(), zero_point + beside);
            }
        }
        self.try_all();
        for at in 0..at_once {
            let (Cell { left, right, .. }, middle) = (self.memory.cells[at], self.point(at * beside.len()));
            self.memory.cells[at] = self.cell(left, middle);
            let right = self.cell(middle, right);
            self.memory.cells.push(right);
        }
        true
    }
}
