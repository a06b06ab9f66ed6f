//! Where the terms of blocks are joined: the stripes of a run here, the columns of rows and the ends of short runs beside their walks.

use super::Vectors;
use super::walk::Join;

/// Where the terms of successive blocks go.
pub(crate) trait Sink<V: Vectors, J: Join, const TOTALS: usize> {
    /// Whether a NaN among the terms can be seen afterwards, and they can be taken back.
    const REMEMBERS: bool = false;

    /// What is needed to take terms back.
    type Before: Copy;

    /// How many elements there is room for.
    fn len(&self) -> usize;

    /// Joins the terms of the block that begins at the element `place`. Blocks come in order.
    ///
    /// # Safety
    /// There is room for the block.
    unsafe fn join(&mut self, place: usize, terms: &[V::Block; TOTALS]);

    /// What is needed to take back what is joined from now on.
    fn before(&self) -> Self::Before;

    /// Takes it back if there was a NaN among the first terms; whether there was.
    #[inline(always)]
    fn takes_back_nan(&mut self, _before: Self::Before) -> bool {
        false
    }
}

/// One block of totals.
pub(super) struct Stripes<V: Vectors, const TOTALS: usize>(pub(super) [V::Block; TOTALS]);

impl<V: Vectors, const TOTALS: usize> Stripes<V, TOTALS> {
    /// The totals of nothing.
    #[inline(always)]
    pub(super) fn nothing<J: Join>() -> Self {
        Stripes([V::splat(J::NOTHING); TOTALS])
    }

    /// Joins the terms of a block, nothing in those lanes that it has not.
    #[inline(always)]
    pub(super) fn join_lanes<J: Join>(&mut self, terms: &[V::Block; TOTALS]) {
        for index in 0..TOTALS {
            for register in 0..V::REGISTERS {
                self.0[index][register] = J::join(self.0[index][register], terms[index][register]);
            }
        }
    }

    /// By halves, in f32.
    #[inline(always)]
    pub(super) fn folded<J: Join>(&self) -> [f64; TOTALS] {
        let mut totals = [0.0; TOTALS];
        for index in 0..TOTALS {
            totals[index] = J::fold::<V>(self.0[index]).into();
        }
        totals
    }
}

impl<V: Vectors, J: Join, const TOTALS: usize> Sink<V, J, TOTALS> for Stripes<V, TOTALS> {
    const REMEMBERS: bool = true;

    type Before = [V::Block; TOTALS];

    #[inline(always)]
    fn len(&self) -> usize {
        usize::MAX
    }

    #[inline(always)]
    unsafe fn join(&mut self, _place: usize, terms: &[V::Block; TOTALS]) {
        self.join_lanes::<J>(terms);
    }

    #[inline(always)]
    fn before(&self) -> Self::Before {
        self.0
    }

    #[inline(always)]
    fn takes_back_nan(&mut self, before: Self::Before) -> bool {
        let found = V::has_nan(self.0[0]);
        if found {
            self.0 = before;
        }
        found
    }
}
