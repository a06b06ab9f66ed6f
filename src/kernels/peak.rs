//! The highest peak of a sweep: where the square of one running sum is largest, as a multiple of another.
//!
//! A running sum waits for the one before it, quotients do not. So a stretch of sums is written down first, and the compiler makes
//! vectors of the rest.

use super::moves::{ALL_BINS, Bins, MOST_BINS};
use super::{Kernel, Vectors};

/// Bins that are summed before they are compared.
const STRETCH: usize = 64;

/// Largest numbers that are kept side by side.
const LANES: usize = 8;

const _: () = assert!(ALL_BINS.is_multiple_of(STRETCH) && STRETCH.is_multiple_of(LANES));

/// Running sums over [`Bins`], in their units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) magnitudes: u64,
    pub(crate) squares: u64,
}

impl Sums {
    /// The square of the first by the second; 0 if both are 0.
    #[inline(always)]
    pub(crate) fn height(self) -> f64 {
        height(self.magnitudes, self.squares)
    }
}

#[inline(always)]
fn height(magnitudes: u64, squares: u64) -> f64 {
    let (magnitudes, squares) = (magnitudes as f64, squares as f64);
    // Whole numbers. A maximum of floats would look for NaNs, too.
    magnitudes * magnitudes / if squares < 1.0 { 1.0 } else { squares }
}

/// Adds bins, which it empties, to sums one after the other, and leaves those that are highest, the first of equal ones.
pub(crate) struct HighestPeak<'a> {
    pub(crate) bins: Bins<'a>,
    /// Bins of the sweep; there may be something in one more, and nothing in all others.
    pub(crate) count: usize,
    /// Those before the first bin, then the highest.
    pub(crate) sums: &'a mut Sums,
}

impl Kernel for HighestPeak<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        assert!(self.count <= MOST_BINS);
        let (mut last, mut highest) = (*self.sums, self.sums.height());
        let (magnitudes, _) = self.bins.magnitudes.as_chunks_mut::<STRETCH>();
        let (squares, _) = self.bins.squares.as_chunks_mut::<STRETCH>();
        for stretch in 0..=self.count / STRETCH {
            let [mut all_magnitudes, mut all_squares] = [[0; STRETCH]; 2];
            for bin in 0..STRETCH {
                last.magnitudes += magnitudes[stretch][bin];
                last.squares += squares[stretch][bin];
                (all_magnitudes[bin], all_squares[bin]) = (last.magnitudes, last.squares);
            }
            magnitudes[stretch].fill(0);
            squares[stretch].fill(0);
            let mut heights = [0.0; STRETCH];
            for bin in 0..STRETCH {
                heights[bin] = height(all_magnitudes[bin], all_squares[bin]);
            }
            let mut largest = [0.0; LANES];
            for heights in heights.as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    largest[lane] = if heights[lane] > largest[lane] { heights[lane] } else { largest[lane] };
                }
            }
            let largest = largest.into_iter().fold(0.0, f64::max);
            if largest > highest {
                let bin = heights.iter().position(|height| *height == largest).unwrap_or(0);
                highest = largest;
                *self.sums = Sums { magnitudes: all_magnitudes[bin], squares: all_squares[bin] };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;

    #[test]
    fn the_first_of_the_highest_sums_is_left_and_bins_are_emptied_on_every_instruction_set() {
        for count in [1, 2, 62, 63, 64, 65, 127, 128, 500, MOST_BINS] {
            for first in [Sums::default(), Sums { magnitudes: 900 << 22, squares: 700 }] {
                let (mut magnitudes, mut squares) = ([0; ALL_BINS], [0; ALL_BINS]);
                let mut state = count as u64;
                for bin in 0..=count {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Some bins are empty; what moves raises the quotient at first, then lowers it.
                    if state >> 62 > 0 {
                        magnitudes[bin] = state >> 40;
                        squares[bin] = 1 + (state >> 40 & 7) + bin as u64 / 16;
                    }
                }
                let (mut sums, mut expected, mut highest) = (first, first, first.height());
                for bin in 0..=count {
                    sums.magnitudes += magnitudes[bin];
                    sums.squares += squares[bin];
                    if sums.height() > highest {
                        (expected, highest) = (sums, sums.height());
                    }
                }
                for isa in Isa::available() {
                    let (mut magnitudes, mut squares, mut found) = (magnitudes, squares, first);
                    let bins = Bins { magnitudes: &mut magnitudes, squares: &mut squares };
                    isa.run(HighestPeak { bins, count, sums: &mut found });
                    assert_eq!(found, expected, "{count} bins, from {first:?}, {isa:?}");
                    assert!(magnitudes == [0; ALL_BINS] && squares == [0; ALL_BINS], "{count} bins, {isa:?}");
                }
            }
        }
    }
}
