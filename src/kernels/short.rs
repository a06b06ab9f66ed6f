//! The walk over a tensor that is one short run: a call on it costs more to prepare than it takes. So it is walked without parts,
//! threads, a stage or stores past the cache, by the same kernels.

use super::buffer::Block;
use super::groups::Groups;
use super::runs::one_block;
use super::sink::Stripes;
use super::vector::{Floats, Narrow};
use super::walk::Work;
use super::{BLOCK, Isa, Kernel, Vectors};
use std::mem::ManuallyDrop;

/// Most elements of a run that is walked in blocks of one register, of every instruction set whose registers have so many lanes.
const NARROW: usize = 8;

/// A work and its one run, which it reaches the end of; at most [`NARROW`] elements if it `IS_NARROW`. Two kernels: the one of
/// several registers has more to set up.
struct ShortRun<'a, W, const TOTALS: usize, const IS_NARROW: bool> {
    /// Not by value: to move it takes longer than to read it.
    work: &'a W,
    len: usize,
    groups: Groups<'a>,
}

/// Takes `work` over its first `len` elements, all of the first group, with the instruction set [of the groups](Groups::isa) or, in
/// tests, any.
#[inline(always)]
pub(crate) fn run_short<W: Work<TOTALS>, const TOTALS: usize>(isa: Isa, work: W, len: usize, groups: Groups<'_>) {
    assert!(work.reaches(len));
    if len <= NARROW {
        isa.run(ShortRun::<W, TOTALS, true> { work: &work, len, groups });
    } else {
        isa.run(ShortRun::<W, TOTALS, false> { work: &work, len, groups });
    }
    // Nothing was written past the cache, so there is nothing to wait for.
    std::mem::forget(work);
}

impl<W: Work<TOTALS>, const TOTALS: usize, const IS_NARROW: bool> Kernel for ShortRun<'_, W, TOTALS, IS_NARROW> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        let is_affine = !(V::SPECIALISES && W::SPECIALISES) || self.groups.are_affine();
        match (IS_NARROW && V::Floats::LANES >= NARROW, is_affine) {
            (true, true) => self.walk::<Narrow<V>, true>(),
            (true, false) => self.walk::<Narrow<V>, false>(),
            (false, true) => self.walk::<V, true>(),
            (false, false) => self.walk::<V, false>(),
        }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize, const IS_NARROW: bool> ShortRun<'_, W, TOTALS, IS_NARROW> {
    #[inline(always)]
    fn walk<V: Vectors, const AFFINE: bool>(self) {
        // The compiler does not know it, and leaves out what is for more.
        assert!(!IS_NARROW || self.len <= NARROW);
        // SAFETY: only this one is given blocks. It is not dropped, as above.
        let mut work = ManuallyDrop::new(unsafe { self.work.share() });
        let lanes = self.groups.splat::<V, W::Reads, AFFINE>(0);
        let mut stripes = Stripes::nothing::<W::Join>();
        let mut at = 0;
        while !IS_NARROW && self.len - at >= BLOCK {
            // SAFETY: `run_short` has asserted it.
            let block = unsafe { Block::cached(at) };
            stripes.join_lanes::<W::Join>(&work.block::<V, _>(block, &lanes));
            at += BLOCK;
        }
        // SAFETY: as above.
        unsafe { one_block::<V, _, W, TOTALS>(&mut *work, at..self.len, &lanes, &mut stripes) };
        work.total(0, self.len, stripes.folded::<W::Join>());
    }
}
