//! A group of weights, made ready for a search: copied to where they stay in the cache, times a power of two, with the sums that
//! the search begins with.

use super::buffer::{Block, Input, Output};
use super::vector::Floats;
use super::{BLOCK, Kernel, Vectors};

/// Weights whose terms are added in f32 before they join an f64; each lane adds some thirty.
const TILE: usize = 1024;

/// Writes weights, none of them halves, times the product of two factors.
pub(crate) struct Scaled<'a> {
    pub(crate) w: Input<'a, f32>,
    /// Powers of two. Two of them, as one may be beyond what f32 has.
    pub(crate) factors: [f32; 2],
    /// Has room for them; what is in it goes.
    pub(crate) to: &'a mut Vec<f32>,
    /// The sums of what is written, squared, and of its magnitudes, and how many are 0.
    pub(crate) sums: &'a mut [f64; 3],
}

impl Kernel for Scaled<'_> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        let len = self.w.len();
        assert!(self.w.reaches(len) && self.to.capacity() >= len);
        self.to.clear();
        // SAFETY: the assertion says that there is room, and the vector is ours; nobody uses it until it gets its length.
        let mut to = unsafe { Output::from_raw(self.to.as_mut_ptr(), len) };
        let factors = self.factors.map(V::Floats::splat);
        let mut sums = [0.0; 3];
        for tile in (0..len).step_by(TILE) {
            let mut terms = [V::splat(0.0); 3];
            for start in (tile..len.min(tile + TILE)).step_by(BLOCK) {
                // SAFETY: neither lies in memory as halves, as was asserted and as `to` was made.
                let block = unsafe { Block::first_of(start, len) };
                let mut w = self.w.load::<V>(block);
                for register in 0..V::REGISTERS {
                    let scaled = w[register].times(factors[0]).times(factors[1]);
                    terms[0][register] = terms[0][register].plus(scaled.times(scaled));
                    terms[1][register] = terms[1][register].plus(scaled.abs());
                    let is_zero = scaled.equals(V::Floats::splat(0.0));
                    terms[2][register] = terms[2][register].plus(V::Floats::splat(1.0).only(is_zero));
                    w[register] = scaled;
                }
                to.store::<V>(block, w);
            }
            for (sum, terms) in sums.iter_mut().zip(terms) {
                *sum += V::to_array(terms).into_iter().map(f64::from).sum::<f64>();
            }
        }
        // SAFETY: the loop has written all of them.
        unsafe { self.to.set_len(len) };
        // The last block was filled up with zeros.
        sums[2] -= (len.next_multiple_of(BLOCK) - len) as f64;
        *self.sums = sums;
    }
}
