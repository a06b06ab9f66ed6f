//! What the weights of each group are quantized with, and how a block gets it.
//!
//! A group is the weights that share a scale. Its parameters are five numbers; the quantizer keeps them in [`Parameters`],
//! one array per number, and kernels read them as [`Groups`]. Blocks take them from a [`Source`]: a [`Splat`] where all are of
//! one group, [`Successive`] groups of some blocks each, or a [`Row`] where a block crosses groups.

use super::vector::Floats;
use super::{BLOCK, Isa, Vectors};
use crate::error::Error;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Parameters of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Group {
    /// The distance between neighbouring values; finite and positive.
    pub(crate) step: f32,
    /// The code of the value 0 (if the offset is), a whole number.
    pub(crate) zero_point: f32,
    /// What is added to every value; finite.
    pub(crate) offset: f32,
}

impl Group {
    fn is_affine(&self) -> bool {
        self.zero_point != 0.0 || self.offset != 0.0
    }
}

/// Numbers per group: step, inverse, rest, zero point, offset.
const NUMBERS: usize = 5;

/// Where the inverse is among them.
const INVERSE: usize = 1;

/// The parameters of every group.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    arrays: [Vec<f32>; NUMBERS],
    /// Groups with a zero point or an offset that is not 0.
    affine: usize,
    /// Groups with a step that a quotient cannot be had of by multiplication.
    extraordinary: usize,
}

impl Parameters {
    /// Those of `groups`, of which there are `count`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[cfg(test)]
    pub(crate) fn new(count: usize, groups: impl Iterator<Item = Group>) -> Result<Self, Error> {
        let mut parameters = Parameters::default();
        parameters.replace(std::iter::repeat_n(1.0, count), std::iter::repeat_n(0.0, count))?;
        for (index, group) in groups.take(count).enumerate() {
            parameters.set(index, group);
        }
        Ok(parameters)
    }

    /// Becomes those of other groups, without offsets, in the memory that there is; `zero_points` are as many as `steps` or
    /// more.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; then nothing has changed.
    pub(crate) fn replace(
        &mut self,
        steps: impl ExactSizeIterator<Item = f32>,
        zero_points: impl Iterator<Item = f32>,
    ) -> Result<(), Error> {
        let count = steps.len();
        if self.arrays.iter().any(|array| array.capacity() < count) {
            // All or none: a refused call keeps no memory.
            let mut larger: [Vec<f32>; NUMBERS] = Default::default();
            for array in &mut larger {
                array.try_reserve_exact(count)?;
            }
            self.arrays = larger;
        }
        let [step, inverse, rest, zero_point, offset] = &mut self.arrays;
        step.clear();
        step.extend(steps);
        zero_point.clear();
        zero_point.extend(zero_points.take(count));
        offset.clear();
        offset.resize(count, 0.0);
        inverse.resize(count, 0.0);
        rest.resize(count, 0.0);
        // Loops of their own, so that they vectorise.
        for ((step, inverse), rest) in step.iter().zip(inverse.iter_mut()).zip(rest.iter_mut()) {
            [*inverse, *rest] = reciprocal_of(*step);
        }
        self.affine = zero_point.iter().filter(|zero_point| **zero_point != 0.0).count();
        self.extraordinary = step.iter().filter(|step| !is_ordinary(**step)).count();
        Ok(())
    }

    /// Replaces those of one group.
    pub(crate) fn set(&mut self, index: usize, group: Group) {
        let before = self.get(index);
        self.affine = self.affine + usize::from(group.is_affine()) - usize::from(before.is_affine());
        self.extraordinary =
            self.extraordinary + usize::from(!is_ordinary(group.step)) - usize::from(!is_ordinary(before.step));
        let [inverse, rest] = reciprocal_of(group.step);
        let numbers = [group.step, inverse, rest, group.zero_point, group.offset];
        for (array, number) in self.arrays.iter_mut().zip(numbers) {
            array[index] = number;
        }
    }

    /// Those of one group.
    pub(crate) fn get(&self, index: usize) -> Group {
        let [step, _, _, zero_point, offset] = self.arrays.each_ref().map(|array| array[index]);
        Group { step, zero_point, offset }
    }

    /// A copy, or an error where `clone` would end the process.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let mut copy = Parameters { arrays: Default::default(), ..*self };
        for (array, original) in copy.arrays.iter_mut().zip(&self.arrays) {
            array.try_reserve_exact(original.len())?;
            array.extend_from_slice(original);
        }
        Ok(copy)
    }

    /// As kernels read them.
    #[inline(always)]
    pub(crate) fn groups(&self) -> Groups<'_> {
        Groups(self)
    }
}

/// Whether [`super::quotient`] may multiply instead of divide by a step.
fn is_ordinary(step: f32) -> bool {
    const LARGEST: f32 = (1u128 << 100) as f32;
    (1.0 / LARGEST..=LARGEST).contains(&step)
}

/// One over a step, in two floats.
fn reciprocal_of(step: f32) -> [f32; 2] {
    let exact = 1.0 / f64::from(step);
    // One over a subnormal step is beyond f32; of such a quantizer only the gradient of the scale suffers.
    let inverse = (exact as f32).min(f32::MAX);
    [inverse, (exact - f64::from(inverse)) as f32]
}

/// The parameters of every group, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups<'a>(&'a Parameters);

/// Those of no group.
static NO_PARAMETERS: Parameters = Parameters { arrays: [const { Vec::new() }; NUMBERS], affine: 0, extraordinary: 0 };

impl<'a> Groups<'a> {
    /// For kernels that need no parameters.
    pub(crate) const NONE: Groups<'static> = Groups(&NO_PARAMETERS);

    /// Whether a zero point or an offset is not 0.
    #[inline(always)]
    pub(super) fn are_affine(&self) -> bool {
        self.0.affine > 0
    }

    /// The instruction set to use: a quotient by multiplication needs steps from 2^-100 to 2^100; the baseline divides.
    #[inline(always)]
    pub(crate) fn isa(&self) -> Isa {
        if self.0.extraordinary == 0 { Isa::current() } else { Isa::baseline() }
    }

    /// One number of every group.
    #[inline(always)]
    fn array(&self, index: usize) -> &'a [f32] {
        &self.0.arrays[index]
    }

    /// One over the step of a group, as near as f32 has it.
    pub(super) fn inverse(&self, group: usize) -> f32 {
        self.array(INVERSE)[group]
    }

    /// The parameters of one group, as far as they are there.
    #[inline(always)]
    pub(super) fn splat<V: Vectors, R: Reads, const AFFINE: bool>(&self, group: usize) -> Splat<V, AFFINE> {
        let mut numbers = [V::Floats::splat(0.0); NUMBERS];
        for index in 0..NUMBERS {
            if reads::<R, AFFINE>(index) {
                numbers[index] = V::Floats::splat(self.array(index).get(group).copied().unwrap_or(0.0));
            }
        }
        Splat(numbers)
    }

    /// The parameters of `count` groups from `first` on, which must be there.
    #[inline(always)]
    pub(super) fn row<R: Reads, const AFFINE: bool>(&self, first: usize, count: usize) -> Row<'a, R, AFFINE> {
        let mut arrays = [std::ptr::null(); NUMBERS];
        for index in 0..NUMBERS {
            if reads::<R, AFFINE>(index) {
                arrays[index] = self.array(index)[first..first + count].as_ptr();
            }
        }
        Row { arrays, count, is_padded: false, lifetime: PhantomData }
    }

    /// Writes the parameters of the elements of a row into a table: `repeat` elements of each group from `first` on, `columns`
    /// elements in all, and all of that `copies` times.
    #[inline(always)]
    pub(super) fn tabulate<'b, V: Vectors, R: Reads, const AFFINE: bool>(
        &self,
        row: TableRow,
        table: &'b mut RoomForTable,
    ) -> Row<'b, R, AFFINE> {
        let TableRow { first, columns, repeat, copies } = row;
        let count = columns * copies;
        assert!(count <= TABLE);
        let mut arrays = [std::ptr::null(); NUMBERS];
        for index in 0..NUMBERS {
            if !reads::<R, AFFINE>(index) {
                continue;
            }
            let numbers = &self.array(index)[first..first + columns.div_ceil(repeat)];
            let start = table.as_mut_ptr().cast::<f32>().wrapping_add(index * (TABLE + BLOCK));
            arrays[index] = start.cast_const();
            // SAFETY: by the assertion there is room for the line and a block; a register overshoots the last column by less.
            unsafe {
                if repeat == 1 {
                    start.copy_from_nonoverlapping(numbers.as_ptr(), columns);
                } else {
                    for (group, number) in numbers.iter().enumerate() {
                        let register = V::Floats::splat(*number);
                        let mut place = group * repeat;
                        let end = columns.min(place + repeat);
                        while place < end {
                            register.store(start.add(place));
                            place += V::Floats::LANES;
                        }
                    }
                }
                for copy in 1..copies {
                    start.add(copy * columns).copy_from_nonoverlapping(start, columns);
                }
                V::store(V::splat(0.0), start.add(count));
            }
        }
        Row { arrays, count, is_padded: true, lifetime: PhantomData }
    }
}

/// Which of a group's numbers a kernel reads.
pub(crate) trait Reads {
    /// The step and, of affine groups, the zero point and the offset.
    const STEP: bool;
    /// One over the step.
    const RECIPROCAL: bool;
}

/// None: the kernel may be run with [`Groups::NONE`].
pub(crate) struct Nothing;

impl Reads for Nothing {
    const STEP: bool = false;
    const RECIPROCAL: bool = false;
}

/// All but one over the step.
pub(crate) struct Step;

impl Reads for Step {
    const STEP: bool = true;
    const RECIPROCAL: bool = false;
}

/// All.
pub(crate) struct Everything;

impl Reads for Everything {
    const STEP: bool = true;
    const RECIPROCAL: bool = true;
}

/// Whether the number of this index is read.
#[inline(always)]
const fn reads<R: Reads, const AFFINE: bool>(index: usize) -> bool {
    match index {
        0 => R::STEP,
        1 | 2 => R::RECIPROCAL,
        _ => R::STEP && AFFINE,
    }
}

/// What [`Groups::tabulate`] writes.
#[derive(Clone, Copy)]
pub(super) struct TableRow {
    pub(super) first: usize,
    pub(super) columns: usize,
    pub(super) repeat: usize,
    pub(super) copies: usize,
}

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
}

/// One group for all.
#[derive(Clone, Copy)]
pub(super) struct Splat<V: Vectors, const AFFINE: bool>([V::Floats; NUMBERS]);

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
pub(super) type RoomForLast = MaybeUninit<[[f32; BLOCK]; NUMBERS]>;

impl<R: Reads, const AFFINE: bool> Row<'_, R, AFFINE> {
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

/// Room for a table, with a block to overshoot into. Left uninitialised: to clear it takes as long as a short call.
pub(super) type RoomForTable = MaybeUninit<[[f32; TABLE + BLOCK]; NUMBERS]>;
