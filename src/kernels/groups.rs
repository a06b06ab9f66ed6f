//! What the weights of each group are quantized with, and how a block gets it.
//!
//! A group is the weights that share a scale. Its parameters are five numbers; the quantizer keeps them in [`Parameters`],
//! one array per number, and kernels read them as [`Groups`]. A block whose elements are all of one group takes them from a
//! [`Splat`], one that crosses groups from a [`Row`] or a [`Table`].

use super::{BLOCK, Vectors};
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
pub(super) const AFFINE: usize = 5;
/// Those that matter when zero points and offsets are 0.
pub(super) const SYMMETRIC: usize = 3;

/// The parameters of every group.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    arrays: [Vec<f32>; AFFINE],
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
    #[inline(always)]
    pub(crate) fn groups(&self) -> Groups<'_> {
        Groups(Some(self))
    }
}

fn numbers_of(group: Group) -> [f32; AFFINE] {
    let exact = 1.0 / f64::from(group.step);
    // One over a subnormal step is beyond f32; of such a quantizer only the gradient of the scale suffers.
    let inverse = (exact as f32).min(f32::MAX);
    let rest = (exact - f64::from(inverse)) as f32;
    [group.step, inverse, rest, group.zero_point, group.offset]
}

/// The parameters of every group, borrowed; or none, for kernels that need none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups<'a>(Option<&'a Parameters>);

impl<'a> Groups<'a> {
    /// For kernels that need no parameters.
    pub(crate) const NONE: Groups<'static> = Groups(None);

    /// Whether a zero point or an offset is not 0.
    #[inline(always)]
    pub(super) fn are_affine(&self) -> bool {
        self.0.is_some_and(|parameters| parameters.affine > 0)
    }

    /// Whether every step is from 2^-100 to 2^100.
    #[inline(always)]
    pub(super) fn are_ordinary(&self) -> bool {
        self.0.is_none_or(|parameters| parameters.extraordinary == 0)
    }

    /// One number of every group.
    #[inline(always)]
    fn array(&self, index: usize) -> &'a [f32] {
        match self.0 {
            Some(parameters) => &parameters.arrays[index],
            None => &[],
        }
    }

    /// The parameters of one group, for each element of a block.
    #[inline(always)]
    pub(super) fn splat<const NUMBERS: usize>(&self, group: usize) -> Splat<NUMBERS> {
        let mut numbers = [0.0; NUMBERS];
        for index in 0..NUMBERS {
            numbers[index] = self.array(index).get(group).copied().unwrap_or(0.0);
        }
        Splat(numbers)
    }

    /// The parameters of `columns` elements, each of another group, from `first` on.
    #[inline(always)]
    pub(super) fn row<const NUMBERS: usize>(&self, first: usize, columns: usize) -> Row<'a, NUMBERS> {
        let mut arrays: [&[f32]; NUMBERS] = [&[]; NUMBERS];
        for index in 0..NUMBERS {
            arrays[index] = self.array(index).get(first..first + columns).unwrap_or(&[]);
        }
        Row(arrays)
    }

    /// Writes the parameters of the elements of a row into `table`: `repeat` elements of each group from `first` on, `columns`
    /// elements in all, and all of that `copies` times.
    #[inline(always)]
    pub(super) fn tabulate<const NUMBERS: usize>(&self, row: TableRow, table: &mut Table<NUMBERS>) {
        let TableRow { first, columns, repeat, copies } = row;
        for (index, table) in table.0.iter_mut().enumerate() {
            let array = self.array(index);
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

/// The parameters of the elements of a block.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<V: Vectors> {
    pub(super) step: V::Block,
    /// `inverse + rest` is one over the step, see [`super::quotient`].
    pub(super) inverse: V::Block,
    pub(super) rest: V::Block,
    pub(super) zero_point: V::Block,
    pub(super) offset: V::Block,
}

/// Where the parameters of a block come from.
pub(crate) trait Source {
    /// Whether zero points and offsets are to be looked at.
    const AFFINE: bool;

    /// Those of the 32 elements from `at` on.
    fn lanes<V: Vectors>(&self, at: usize) -> Lanes<V>;
}

/// [`Lanes`] of the numbers that there are; the others are 0.
#[inline(always)]
fn lanes_of<V: Vectors, const NUMBERS: usize>(numbers: [V::Block; NUMBERS]) -> Lanes<V> {
    let mut all = [V::splat(0.0); AFFINE];
    all[..NUMBERS].copy_from_slice(&numbers);
    let [step, inverse, rest, zero_point, offset] = all;
    Lanes { step, inverse, rest, zero_point, offset }
}

/// One group for all.
pub(super) struct Splat<const NUMBERS: usize>([f32; NUMBERS]);

impl<const NUMBERS: usize> Source for Splat<NUMBERS> {
    const AFFINE: bool = NUMBERS == AFFINE;

    #[inline(always)]
    fn lanes<V: Vectors>(&self, _at: usize) -> Lanes<V> {
        let mut lanes = [V::splat(0.0); NUMBERS];
        for index in 0..NUMBERS {
            lanes[index] = V::splat(self.0[index]);
        }
        lanes_of(lanes)
    }
}

/// A group for each element of a long row.
pub(super) struct Row<'a, const NUMBERS: usize>([&'a [f32]; NUMBERS]);

impl<const NUMBERS: usize> Source for Row<'_, NUMBERS> {
    const AFFINE: bool = NUMBERS == AFFINE;

    #[inline(always)]
    fn lanes<V: Vectors>(&self, at: usize) -> Lanes<V> {
        let mut lanes = [V::splat(0.0); NUMBERS];
        for index in 0..NUMBERS {
            // Kernels that need no parameters have none.
            let array = self.0[index].get(at..).unwrap_or(&[]);
            // SAFETY: the slice has the floats that are read.
            lanes[index] = unsafe {
                if array.len() >= BLOCK { V::load(array.as_ptr()) } else { V::load_few(array.as_ptr(), array.len()) }
            };
        }
        lanes_of(lanes)
    }
}

/// Most elements of a line whose parameters are tabulated.
pub(super) const TABLE: usize = 512;

/// The parameters of the elements of a line, with room for a block that begins at its last element.
pub(super) struct Table<const NUMBERS: usize>([[f32; TABLE + BLOCK]; NUMBERS]);

impl<const NUMBERS: usize> Table<NUMBERS> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Table([[0.0; TABLE + BLOCK]; NUMBERS])
    }
}

impl<const NUMBERS: usize> Source for Table<NUMBERS> {
    const AFFINE: bool = NUMBERS == AFFINE;

    #[inline(always)]
    fn lanes<V: Vectors>(&self, at: usize) -> Lanes<V> {
        let mut lanes = [V::splat(0.0); NUMBERS];
        for index in 0..NUMBERS {
            let array = &self.0[index][at..at + BLOCK];
            // SAFETY: the slice has a block of floats.
            lanes[index] = unsafe { V::load(array.as_ptr()) };
        }
        lanes_of(lanes)
    }
}
