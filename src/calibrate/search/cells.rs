//! What a few tried steps tell of the error between them.
//!
//! The error is smooth where weights are many: between two steps it is about the cubic that has the errors and the slopes of both.
//! It is so only where a typical weight moves by a small part of a level: over more, errors are chance, and slopes say nothing.

/// A step that was tried, for some zero point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) by_step: f32,
    pub(super) zero_point: f32,
    pub(super) error: f32,
    /// The derivative of the error by `by_step`.
    pub(super) slope: f32,
    /// The error of the best step for the same levels.
    pub(super) bottom: f32,
}

/// Two neighbours, the one of the larger step first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) left: Point,
    pub(super) right: Point,
    /// Where it should be cut.
    pub(super) cut: f32,
    /// The error that may be there.
    pub(super) promise: f32,
}

/// What is not known of the error in a cell as wide as this, in levels that a typical weight moves by, is its whole scatter.
const UNKNOWN: f32 = 0.4;

/// Parts of a cell at which the ends of a range are looked for.
const PARTS: u8 = 8;

impl Cell {
    /// The cell between two points. A typical weight is of a size, and errors scatter by a part of themselves.
    pub(super) fn new(left: Point, right: Point, size: f32, scatter: f32) -> Cell {
        let mut cell =
            Cell { left, right, cut: 0.5 * (left.by_step + right.by_step), promise: left.error.min(right.error) };
        let unknown = (cell.width(size) / UNKNOWN).powi(2).min(1.0) * scatter * cell.promise;
        if let Some((cut, error)) = cell.bottom() {
            (cell.cut, cell.promise) = (cut, error);
        }
        cell.promise -= unknown;
        cell
    }

    /// By how many levels a weight of a size moves.
    pub(super) fn width(&self, size: f32) -> f32 {
        (self.right.by_step - self.left.by_step) * size
    }

    /// The factors of the powers of the part of the cell that is left behind, in the cubic, less the error on the left.
    fn cubic(&self) -> [f32; 3] {
        let width = self.right.by_step - self.left.by_step;
        let [left, right] = [self.left.slope * width, self.right.slope * width];
        let rise = self.right.error - self.left.error;
        [left, 3.0 * rise - 2.0 * left - right, left + right - 2.0 * rise]
    }

    /// The cubic.
    fn error(&self, part: f32) -> f32 {
        let [first, second, third] = self.cubic();
        self.left.error + part * (first + part * (second + part * third))
    }

    /// Where the cubic is smallest, if not at an end, and how small.
    pub(super) fn bottom(&self) -> Option<(f32, f32)> {
        let [first, second, third] = self.cubic();
        let part = -first / (second + (second * second - 3.0 * third * first).sqrt());
        let inside = part > 0.0 && part < 1.0;
        inside.then(|| (self.left.by_step + part * (self.right.by_step - self.left.by_step), self.error(part)))
    }

    /// Where, from the left, the cubic may come below an error.
    pub(super) fn first_below(&self, error: f32) -> f32 {
        let above = (0..PARTS).take_while(|part| self.error(f32::from(*part) / f32::from(PARTS)) > error).count();
        self.place(above.saturating_sub(1))
    }

    /// The same from the right.
    pub(super) fn last_below(&self, error: f32) -> f32 {
        let above = (0..PARTS).take_while(|part| self.error(1.0 - f32::from(*part) / f32::from(PARTS)) > error).count();
        self.place(usize::from(PARTS) + 1 - above.max(1))
    }

    fn place(&self, part: usize) -> f32 {
        self.left.by_step + (self.right.by_step - self.left.by_step) * (part as f32 / f32::from(PARTS))
    }
}
