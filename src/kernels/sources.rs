//! How blocks get the parameters of their elements: from a [`Splat`] where all are of one group, from [`Successive`] groups of some
//! blocks each, or from a [`Row`] where a block crosses groups.

use super::groups::{INVERSE, NUMBERS, Reads, reads};
use super::room::Room;
use super::vector::Floats;
use super::{BLOCK, Vectors};
use std::marker::PhantomData;
use std::ops::Range;

/// The parameters of the elements of a block, a register at a time: those of a whole block are more than there are registers.
pub(crate) trait Lanes<V: Vectors> {
    /// Whether zero points and offsets are to be looked at.
    const AFFINE: bool;

    /// Whether every block has the same: what depends on nothing else is then computed once.
    const SAME: bool;

    /// One of the numbers, for one register of elements; 0 if the kernel does not [read](Reads) it.
    fn number(&self, index: usize, register: usize) -> V::Floats;

    #[inline(always)]
    fn step(&self, register: usize) -> V::Floats {
        self.number(0, register)
    }

    /// `inverse + rest` is one over the step, see [`super::quotient`].
    #[inline(always)]
    fn inverse(&self, register: usize) -> V::Floats {
        self.number(INVERSE, register)
    }

    #[inline(always)]
    fn rest(&self, register: usize) -> V::Floats {
        self.number(2, register)
    }

    #[inline(always)]
    fn zero_point(&self, register: usize) -> V::Floats {
        self.number(3, register)
    }

    #[inline(always)]
    fn offset(&self, register: usize) -> V::Floats {
        self.number(4, register)
    }
}

/// Where successive blocks get their parameters from.
pub(crate) trait Source<V: Vectors> {
    type Lanes: Lanes<V>;

    /// How many elements have some.
    fn len(&self) -> usize;

    /// Those of the block that begins at the element `place`. Blocks are asked for in order, each once.
    ///
    /// # Safety
    /// The block is among the elements; what is returned is not used longer than the source.
    unsafe fn lanes(&mut self, place: usize) -> Self::Lanes;

    /// The first block is asked for again.
    #[inline(always)]
    fn begin_again(&mut self) {}
}

/// One group for all.
#[derive(Clone, Copy)]
pub(super) struct Splat<V: Vectors, const AFFINE: bool>([V::Floats; NUMBERS]);

impl<V: Vectors, const AFFINE: bool> Splat<V, AFFINE> {
    /// Of a group with these numbers.
    #[inline(always)]
    pub(super) fn new(numbers: [V::Floats; NUMBERS]) -> Self {
        Splat(numbers)
    }
}

impl<V: Vectors, const AFFINE: bool> Lanes<V> for Splat<V, AFFINE> {
    const AFFINE: bool = AFFINE;
    const SAME: bool = true;

    #[inline(always)]
    fn number(&self, index: usize, _register: usize) -> V::Floats {
        self.0[index]
    }
}

impl<V: Vectors, const AFFINE: bool> Source<V> for Splat<V, AFFINE> {
    type Lanes = Self;

    #[inline(always)]
    fn len(&self) -> usize {
        usize::MAX
    }

    #[inline(always)]
    unsafe fn lanes(&mut self, _place: usize) -> Self {
        *self
    }
}

/// One group for all of a block, another one for the next.
#[derive(Clone, Copy)]
pub(super) struct SplatOfMany<V: Vectors, const AFFINE: bool>(Splat<V, AFFINE>);

impl<V: Vectors, const AFFINE: bool> Lanes<V> for SplatOfMany<V, AFFINE> {
    const AFFINE: bool = AFFINE;
    const SAME: bool = false;

    #[inline(always)]
    fn number(&self, index: usize, register: usize) -> V::Floats {
        self.0.number(index, register)
    }
}

/// Successive groups of the same number of blocks each.
pub(super) struct Successive<'a, R, const AFFINE: bool> {
    row: Row<'a, R, AFFINE>,
    /// Blocks of a group.
    blocks: usize,
    group: usize,
    /// Blocks of the group that were not asked for.
    left: usize,
}

impl<'a, R: Reads, const AFFINE: bool> Successive<'a, R, AFFINE> {
    /// `blocks` blocks of each group of `row`.
    #[inline(always)]
    pub(super) fn new(row: Row<'a, R, AFFINE>, blocks: usize) -> Self {
        Successive { row, blocks, group: 0, left: blocks }
    }
}

impl<V: Vectors, R: Reads, const AFFINE: bool> Source<V> for Successive<'_, R, AFFINE> {
    type Lanes = SplatOfMany<V, AFFINE>;

    #[inline(always)]
    fn len(&self) -> usize {
        self.row.count * self.blocks * BLOCK
    }

    #[inline(always)]
    unsafe fn lanes(&mut self, _place: usize) -> Self::Lanes {
        // SAFETY: one after the other, the caller asks for no more blocks than the groups have.
        let lanes = unsafe { self.row.splat(self.group) };
        self.left -= 1;
        if self.left == 0 {
            (self.group, self.left) = (self.group + 1, self.blocks);
        }
        SplatOfMany(lanes)
    }

    #[inline(always)]
    fn begin_again(&mut self) {
        (self.group, self.left) = (0, self.blocks);
    }
}

/// A group for each element: consecutive groups, where they are or as a table has them.
pub(super) struct Row<'a, R, const AFFINE: bool> {
    /// Of `count` floats each, where they are read.
    arrays: [*const f32; NUMBERS],
    count: usize,
    /// Whether a block of floats follows them.
    is_padded: bool,
    lifetime: PhantomData<(&'a f32, R)>,
}

/// Parameters of a block that a row ends in.
pub(super) type RoomForLast = Room<[[f32; BLOCK]; NUMBERS]>;

impl<R: Reads, const AFFINE: bool> Row<'_, R, AFFINE> {
    /// Those that `arrays` have `count` of, and a block more if they are padded.
    ///
    /// # Safety
    /// They have, as long as the row is used; of the numbers that are read.
    #[inline(always)]
    pub(super) unsafe fn new(arrays: [*const f32; NUMBERS], count: usize, is_padded: bool) -> Self {
        Row { arrays, count, is_padded, lifetime: PhantomData }
    }

    /// One of the groups.
    ///
    /// # Safety
    /// It is there.
    #[inline(always)]
    unsafe fn splat<V: Vectors>(&self, group: usize) -> Splat<V, AFFINE> {
        debug_assert!(group < self.count);
        let mut numbers = [V::Floats::splat(0.0); NUMBERS];
        for index in 0..NUMBERS {
            if reads::<R, AFFINE>(index) {
                // SAFETY: the caller's promise.
                numbers[index] = V::Floats::splat(unsafe { *self.arrays[index].add(group) });
            }
        }
        Splat(numbers)
    }

    /// Those from an element on.
    #[inline(always)]
    pub(super) fn from(&self, place: usize) -> Self {
        assert!(place <= self.count);
        let mut arrays = self.arrays;
        for index in 0..NUMBERS {
            if reads::<R, AFFINE>(index) {
                // SAFETY: the assertion keeps the place inside the array, or at its end.
                arrays[index] = unsafe { self.arrays[index].add(place) };
            }
        }
        Row { arrays, count: self.count - place, ..*self }
    }

    /// The parameters of some elements, fewer than a block.
    #[inline(always)]
    pub(super) fn last<V: Vectors>(&self, places: Range<usize>, room: &mut RoomForLast) -> Each<R, AFFINE> {
        assert!(places.end <= self.count && places.len() < BLOCK);
        let mut arrays = self.arrays;
        for index in 0..NUMBERS {
            if !reads::<R, AFFINE>(index) {
                continue;
            }
            // SAFETY: the assertion keeps the place inside the arrays, and what is read of them too; the room is a block for each.
            unsafe {
                arrays[index] = self.arrays[index].add(places.start);
                if !self.is_padded {
                    let to = room.as_mut_ptr().cast::<f32>().add(index * BLOCK);
                    V::store(V::load_few(arrays[index], places.len()), to);
                    arrays[index] = to;
                }
            }
        }
        Each { arrays, reads: PhantomData }
    }
}

impl<V: Vectors, R: Reads, const AFFINE: bool> Source<V> for Row<'_, R, AFFINE> {
    type Lanes = Each<R, AFFINE>;

    #[inline(always)]
    fn len(&self) -> usize {
        self.count
    }

    #[inline(always)]
    unsafe fn lanes(&mut self, place: usize) -> Self::Lanes {
        let mut arrays = self.arrays;
        for index in 0..NUMBERS {
            if reads::<R, AFFINE>(index) {
                // SAFETY: the caller's promise.
                arrays[index] = unsafe { self.arrays[index].add(place) };
            }
        }
        Each { arrays, reads: PhantomData }
    }
}

/// A group for each element of a block.
pub(super) struct Each<R, const AFFINE: bool> {
    /// Of a block of floats each, where they are read: whoever makes one promises so much.
    arrays: [*const f32; NUMBERS],
    reads: PhantomData<R>,
}

impl<V: Vectors, R: Reads, const AFFINE: bool> Lanes<V> for Each<R, AFFINE> {
    const AFFINE: bool = AFFINE;
    const SAME: bool = false;

    #[inline(always)]
    fn number(&self, index: usize, register: usize) -> V::Floats {
        debug_assert!(register < V::REGISTERS);
        if !reads::<R, AFFINE>(index) {
            return V::Floats::splat(0.0);
        }
        // SAFETY: there is a block of them.
        unsafe { V::Floats::load(self.arrays[index].add(register * V::Floats::LANES)) }
    }
}

/// Most elements of a line whose parameters are tabulated.
pub(super) const TABLE: usize = 512;

/// Room for a table, with a block to overshoot into.
pub(super) type RoomForTable = Room<[[f32; TABLE + BLOCK]; NUMBERS]>;
