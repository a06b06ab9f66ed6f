//! The walk over a tensor that is one short run: a call on it costs more to prepare than it takes. So it is walked without parts,
//! threads, a stage or stores past the cache, by the same kernels.

use super::groups::{Groups, Lanes};
use super::runs::few;
use super::sink::Stripes;
use super::vector::{Floats, Narrow};
use super::walk::Work;
use super::{Kernel, Vectors};
use std::mem::ManuallyDrop;

/// A work and its one run, which it reaches the end of.
struct ShortRun<'a, W, const TOTALS: usize> {
    /// Not by value: to move it takes longer than to read it.
    work: &'a W,
    len: usize,
    groups: Groups<'a>,
}

/// Takes `work` over its first `len` elements, all of the first group.
#[inline(always)]
pub(crate) fn run_short<W: Work<TOTALS>, const TOTALS: usize>(work: W, len: usize, groups: Groups<'_>) {
    assert!(work.reaches(len));
    groups.isa().run(ShortRun { work: &work, len, groups });
    // Nothing was written past the cache, so there is nothing to wait for.
    std::mem::forget(work);
}

impl<W: Work<TOTALS>, const TOTALS: usize> Kernel for ShortRun<'_, W, TOTALS> {
    #[inline(always)]
    fn run<V: Vectors>(self) {
        if !(V::SPECIALISES && W::SPECIALISES) || self.groups.are_affine() {
            self.walk::<V, true>()
        } else if self.len <= V::Floats::LANES {
            self.walk::<Narrow<V>, false>()
        } else {
            self.walk::<V, false>()
        }
    }
}

impl<W: Work<TOTALS>, const TOTALS: usize> ShortRun<'_, W, TOTALS> {
    #[inline(always)]
    fn walk<V: Vectors, const AFFINE: bool>(self) {
        // SAFETY: only this one is given blocks. It is not dropped, as above.
        let mut work = ManuallyDrop::new(unsafe { self.work.share() });
        let lanes = self.groups.splat::<V, W::Reads, AFFINE>(0);
        let mut stripes = Stripes::nothing::<W::Join>();
        // SAFETY: `run_short` has asserted it.
        unsafe { few::<V, _, W, TOTALS>(&mut *work, 0..self.len, &lanes, &mut stripes) };
        work.total(0, self.len, stripes.folded::<W::Join>());
    }
}
