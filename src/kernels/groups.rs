//! What the weights of each group are quantized with.
//!
//! A group is the weights that share a scale. Its parameters are five numbers; the quantizer keeps them in [`Parameters`],
//! one array per number, and kernels read them as [`Groups`], see [`super::sources`].

use super::sources::{RoomForTable, Row, Splat, TABLE};
use super::vector::Floats;
use super::{BLOCK, Isa, Vectors};
use crate::error::Error;

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
pub(super) const NUMBERS: usize = 5;

/// Where the inverse is among them.
pub(super) const INVERSE: usize = 1;

/// The parameters of every group.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// An array of each number, one after the other. Each begins at a line of the cache: a register that lies in two of them takes
    /// twice as long to load.
    lines: Vec<Line>,
    /// Lines of an array.
    stride: usize,
    /// Groups.
    count: usize,
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
        // One more: arrays that are whole pages apart would share their places in the cache.
        let stride = count.div_ceil(LINE) + 1;
        let lines = stride.saturating_mul(NUMBERS);
        if self.lines.capacity() < lines {
            let mut larger = Vec::new();
            larger.try_reserve_exact(lines)?;
            self.lines = larger;
        }
        self.lines.resize(lines, Line([0.0; LINE]));
        (self.stride, self.count) = (stride, count);
        let [step, inverse, rest, zero_point, offset] = self.arrays_mut();
        step.iter_mut().zip(steps).for_each(|(to, step)| *to = step);
        zero_point.iter_mut().zip(zero_points).for_each(|(to, zero_point)| *to = zero_point);
        offset.fill(0.0);
        // Loops of their own, so that they vectorise.
        for ((step, inverse), rest) in step.iter().zip(inverse.iter_mut()).zip(rest.iter_mut()) {
            [*inverse, *rest] = reciprocal_of(*step);
        }
        let affine = zero_point.iter().filter(|zero_point| **zero_point != 0.0).count();
        let extraordinary = step.iter().filter(|step| !is_ordinary(**step)).count();
        (self.affine, self.extraordinary) = (affine, extraordinary);
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
        for (array, number) in self.arrays_mut().into_iter().zip(numbers) {
            array[index] = number;
        }
    }

    /// Those of one group.
    pub(crate) fn get(&self, index: usize) -> Group {
        let number = |number| self.array(number)[index];
        Group { step: number(0), zero_point: number(3), offset: number(4) }
    }

    /// A copy, or an error where `clone` would end the process.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(self.lines.len())?;
        lines.extend_from_slice(&self.lines);
        Ok(Parameters { lines, ..*self })
    }

    /// One number of every group.
    #[inline(always)]
    fn array(&self, index: usize) -> &[f32] {
        assert!(index < NUMBERS);
        // SAFETY: there are so many arrays of floats, none shorter than the groups are many.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().add(index * self.stride).cast(), self.count) }
    }

    fn arrays_mut(&mut self) -> [&mut [f32]; NUMBERS] {
        let (first, stride, count) = (self.lines.as_mut_ptr(), self.stride, self.count);
        // SAFETY: as above, and no two have a float in common.
        std::array::from_fn(|index| unsafe { std::slice::from_raw_parts_mut(first.add(index * stride).cast(), count) })
    }

    /// As kernels read them.
    #[inline(always)]
    pub(crate) fn groups(&self) -> Groups<'_> {
        Groups(self)
    }
}

/// Floats in a line of the cache.
const LINE: usize = 16;

/// A line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

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
static NO_PARAMETERS: Parameters = Parameters { lines: Vec::new(), stride: 0, count: 0, affine: 0, extraordinary: 0 };

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
        self.0.array(index)
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
        Splat::new(numbers)
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
        // SAFETY: they have so many.
        unsafe { Row::new(arrays, count, false) }
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
                } else if repeat <= V::Floats::LANES {
                    // What a register writes too much, the next one writes over.
                    for (group, number) in numbers.iter().enumerate() {
                        V::Floats::splat(*number).store(start.add(group * repeat));
                    }
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
        // SAFETY: the table has them, and the block.
        unsafe { Row::new(arrays, count, true) }
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
pub(super) const fn reads<R: Reads, const AFFINE: bool>(index: usize) -> bool {
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
