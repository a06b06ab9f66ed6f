//! What the weights of each group are quantized with, and how a block gets it.
//!
//! A group is the weights that share a scale. Its parameters are five numbers; the quantizer keeps them in [`Parameters`],
//! one array per number, and kernels read them as [`Groups`]. A block whose elements are all of one group takes them from a
//! [`Splat`], one that crosses groups from a [`Table`].

use super::BLOCK;
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

    /// Whether [`super::quotient`] may multiply instead of divide.
    fn is_ordinary(&self) -> bool {
        const LARGEST: f32 = (1u128 << 100) as f32;
        (1.0 / LARGEST..=LARGEST).contains(&self.step)
    }
}

/// Numbers per group: step, inverse, rest, zero point, offset.
const ARRAYS: usize = 5;
/// Those that matter when zero points and offsets are 0.
const SYMMETRIC_ARRAYS: usize = 3;

/// The parameters of every group.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    arrays: [Vec<f32>; ARRAYS],
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
    pub(crate) fn new(count: usize, groups: impl Iterator<Item = Group>) -> Result<Self, Error> {
        let mut parameters = Parameters::default();
        for array in &mut parameters.arrays {
            array.try_reserve_exact(count)?;
        }
        for group in groups.take(count) {
            for (array, number) in parameters.arrays.iter_mut().zip(numbers_of(group)) {
                array.push(number);
            }
            parameters.affine += usize::from(group.is_affine());
            parameters.extraordinary += usize::from(!group.is_ordinary());
        }
        Ok(parameters)
    }

    /// Replaces those of one group.
    pub(crate) fn set(&mut self, index: usize, group: Group) {
        let before = self.get(index);
        self.affine = self.affine + usize::from(group.is_affine()) - usize::from(before.is_affine());
        self.extraordinary =
            self.extraordinary + usize::from(!group.is_ordinary()) - usize::from(!before.is_ordinary());
        for (array, number) in self.arrays.iter_mut().zip(numbers_of(group)) {
            array[index] = number;
        }
    }

    /// Those of one group.
    pub(crate) fn get(&self, index: usize) -> Group {
        let [step, _, _, zero_point, offset] = self.arrays.each_ref().map(|array| array[index]);
        Group { step, zero_point, offset }
    }

    /// How many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.arrays[0].len()
    }

    /// A copy, or an error where `clone` would end the process.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        Parameters::new(self.len(), (0..self.len()).map(|index| self.get(index)))
    }

    /// As kernels read them.
    #[inline]
    pub(crate) fn groups(&self) -> Groups<'_> {
        let arrays = self.arrays.each_ref().map(Vec::as_slice);
        Groups { arrays, affine: self.affine > 0, ordinary: self.extraordinary == 0 }
    }
}

fn numbers_of(group: Group) -> [f32; ARRAYS] {
    let exact = 1.0 / f64::from(group.step);
    // One over a subnormal step is beyond f32; of such a quantizer only the gradient of the scale suffers.
    let inverse = (exact as f32).min(f32::MAX);
    let rest = (exact - f64::from(inverse)) as f32;
    [group.step, inverse, rest, group.zero_point, group.offset]
}

/// The parameters of every group, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups<'a> {
    arrays: [&'a [f32]; ARRAYS],
    affine: bool,
    ordinary: bool,
}

impl<'a> Groups<'a> {
    /// For kernels that need no parameters.
    pub(crate) const NONE: Groups<'static> = Groups { arrays: [&[]; ARRAYS], affine: false, ordinary: true };

    /// Whether a zero point or an offset is not 0.
    pub(super) fn are_affine(&self) -> bool {
        self.affine
    }

    /// Whether every step is from 2^-100 to 2^100.
    pub(super) fn are_ordinary(&self) -> bool {
        self.ordinary
    }

    /// The parameters of one group, for each element of a block.
    #[inline(always)]
    pub(super) fn splat<const AFFINE: bool>(&self, group: usize) -> Splat<AFFINE> {
        let mut numbers = [0.0; ARRAYS];
        for (number, array) in numbers.iter_mut().zip(&self.arrays[..arrays::<AFFINE>()]) {
            // Kernels that need no parameters have none.
            *number = array.get(group).copied().unwrap_or(0.0);
        }
        Splat(numbers)
    }

    /// Writes the parameters of the elements of a row into `table`: `repeat` elements of each group from `first` on, `columns`
    /// elements in all, and all of that `copies` times.
    #[inline(always)]
    pub(super) fn tabulate<const AFFINE: bool>(&self, row: TableRow, table: &mut Table<AFFINE>) {
        let TableRow { first, columns, repeat, copies } = row;
        for (array, table) in self.arrays[..arrays::<AFFINE>()].iter().zip(&mut table.0) {
            if array.is_empty() {
                continue;
            }
            if repeat == 1 {
                table[..columns].copy_from_slice(&array[first..first + columns]);
            } else {
                for (chunk, number) in table[..columns].chunks_mut(repeat).zip(&array[first..]) {
                    chunk.fill(*number);
                }
            }
            for copy in 1..copies {
                table.copy_within(..columns, copy * columns);
            }
        }
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

const fn arrays<const AFFINE: bool>() -> usize {
    if AFFINE { ARRAYS } else { SYMMETRIC_ARRAYS }
}

/// The parameters of the elements of a block.
pub(crate) struct Lanes {
    pub(super) step: [f32; BLOCK],
    /// `inverse + rest` is one over the step, see [`super::quotient`].
    pub(super) inverse: [f32; BLOCK],
    pub(super) rest: [f32; BLOCK],
    pub(super) zero_point: [f32; BLOCK],
    pub(super) offset: [f32; BLOCK],
}

/// Where the parameters of a block come from.
pub(crate) trait Source {
    /// Whether zero points and offsets are to be looked at.
    const AFFINE: bool;

    /// Those of the 32 elements from `at` on.
    fn lanes(&self, at: usize) -> Lanes;
}

/// One group for all.
pub(super) struct Splat<const AFFINE: bool>([f32; ARRAYS]);

impl<const AFFINE: bool> Source for Splat<AFFINE> {
    const AFFINE: bool = AFFINE;

    #[inline(always)]
    fn lanes(&self, _at: usize) -> Lanes {
        let [step, inverse, rest, zero_point, offset] = self.0;
        Lanes {
            step: [step; BLOCK],
            inverse: [inverse; BLOCK],
            rest: [rest; BLOCK],
            zero_point: [zero_point; BLOCK],
            offset: [offset; BLOCK],
        }
    }
}

/// Most elements of a row that are handled at a time: 4 KiB of floats per array, which stays in the first-level cache.
pub(super) const TABLE: usize = 1024;

/// A row of parameters, with room for a block that begins at its last element.
pub(super) struct Table<const AFFINE: bool>([[f32; TABLE + BLOCK]; ARRAYS]);

impl<const AFFINE: bool> Table<AFFINE> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Table([[0.0; TABLE + BLOCK]; ARRAYS])
    }
}

impl<const AFFINE: bool> Source for Table<AFFINE> {
    const AFFINE: bool = AFFINE;

    #[inline(always)]
    fn lanes(&self, at: usize) -> Lanes {
        let mut lanes = [[0.0; BLOCK]; ARRAYS];
        for array in 0..arrays::<AFFINE>() {
            lanes[array].copy_from_slice(&self.0[array][at..at + BLOCK]);
        }
        let [step, inverse, rest, zero_point, offset] = lanes;
        Lanes { step, inverse, rest, zero_point, offset }
    }
}
