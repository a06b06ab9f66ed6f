//! The highest peak of a sweep: where the square of one running sum is largest, as a multiple of another.
//!
//! A running sum waits for the one before it, quotients do not. So a stretch of sums is written down first, and the compiler makes
//! vectors of the rest.

use super::moves::{ALL_BINS, Bins, MOST_BINS, MOST_MORE, Sums, sets, sets_of};
use super::{Kernel, Vectors};

/// Bins that are summed before they are compared.
const STRETCH: usize = 64;

/// Largest numbers that are kept side by side.
const LANES: usize = 8;

const _: () = assert!(ALL_BINS.is_multiple_of(STRETCH) && STRETCH.is_multiple_of(LANES));

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

/// Adds bins, which it empties, to sums one after the other, for each zero point, and leaves the highest of all.
pub(crate) struct HighestPeak<'a> {
    pub(crate) bins: &'a mut [Bins],
    /// Bins of the sweep; there may be something in one more, and nothing in all others.
    pub(crate) count: usize,
    /// Zero points beside the first.
    pub(crate) more: usize,
    /// Those before the first bin, then the highest.
    pub(crate) sums: &'a mut Sums,
    /// Then the zero point that these are of, counted from the first.
    pub(crate) which: &'a mut usize,
}

impl Kernel for HighestPeak<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if self.more == 0 { self.all::<false>() } else { self.all::<true>() }
    }
}

impl HighestPeak<'_> {
    /// Adds all bins, for `MORE` zero points than one.
    #[inline(always)]
    fn all<const MORE: bool>(self) {
        let HighestPeak { bins, count, more, sums, which: of } = self;
        assert!(count <= MOST_BINS && more <= MOST_MORE);
        let (mut last, mut highest) = ([*sums; MOST_MORE + 1], sums.height());
        *of = 0;
        for stretch in 0..=count / STRETCH {
            for which in 0..=more {
                let mut together = [Sums::default(); STRETCH];
                let moved = if MORE {
                    for set in sets_of(which, more) {
                        let bins = &bins[set].as_chunks::<STRETCH>().0[stretch];
                        for bin in 0..STRETCH {
                            together[bin].magnitudes += bins[bin].magnitudes;
                            together[bin].squares += bins[bin].squares;
                        }
                    }
                    &together
                } else {
                    &bins[0].as_chunks::<STRETCH>().0[stretch]
                };
                let last = &mut last[which];
                let [mut all_magnitudes, mut all_squares] = [[0; STRETCH]; 2];
                for bin in 0..STRETCH {
                    last.magnitudes += moved[bin].magnitudes;
                    last.squares += moved[bin].squares;
                    (all_magnitudes[bin], all_squares[bin]) = (last.magnitudes, last.squares);
                }
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
                    *sums = Sums { magnitudes: all_magnitudes[bin], squares: all_squares[bin] };
                    *of = which;
                }
            }
            for bins in &mut bins[..sets(more)] {
                bins.as_chunks_mut::<STRETCH>().0[stretch].fill(Sums::default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::*;

    /// Sums in some bins of each set; what moves raises the quotient at first, then lowers it.
    fn random_bins(count: usize, more: usize) -> Vec<Bins> {
        let mut bins = vec![[Sums::default(); ALL_BINS]; sets(more)];
        let mut state = (count + more) as u64;
        for set in &mut bins {
            for bin in 0..=count {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if state >> 62 > 0 {
                    set[bin] = Sums { magnitudes: state >> 40, squares: 1 + (state >> 40 & 7) + bin as u64 / 16 };
                }
            }
        }
        bins
    }

    #[test]
    fn the_highest_sums_of_all_zero_points_are_left_and_bins_are_emptied_on_every_instruction_set() {
        let mut found_of = [0; MOST_MORE + 1];
        for count in [1, 2, 62, 63, 64, 65, 127, 128, 500, MOST_BINS] {
            for more in [0, 1, 2, MOST_MORE] {
                for first in [Sums::default(), Sums { magnitudes: 900 << 22, squares: 700 }] {
                    let bins = random_bins(count, more);
                    let (mut expected, mut expected_of, mut highest) = (first, 0, first.height());
                    for which in 0..=more {
                        let mut sums = first;
                        for bin in 0..=count {
                            for set in sets_of(which, more) {
                                sums.magnitudes += bins[set][bin].magnitudes;
                                sums.squares += bins[set][bin].squares;
                            }
                            if sums.height() > highest {
                                (expected, expected_of, highest) = (sums, which, sums.height());
                            }
                        }
                    }
                    found_of[expected_of] += 1;
                    for isa in Isa::available() {
                        let (mut bins, mut sums, mut which) = (bins.clone(), first, usize::MAX);
                        isa.run(HighestPeak { bins: &mut bins, count, more, sums: &mut sums, which: &mut which });
                        let context = format!("{count} bins, {more} more, from {first:?}, {isa:?}");
                        assert_eq!((sums, which), (expected, expected_of), "{context}");
                        assert!(bins.as_flattened().iter().all(|sums| *sums == Sums::default()), "{context}");
                    }
                }
            }
        }
        assert!(found_of.iter().filter(|count| **count > 0).count() > 2, "always the same zero point: {found_of:?}");
    }
}
