//! Buffers as kernels see them: read in blocks, written in blocks, possibly the same memory.
//!
//! Two things that a C caller may do rule out Rust slices. An output may be fresh from `malloc`, and a reference to
//! uninitialised floats is undefined behaviour. An output may be the very buffer of an input (exact in-place use), and a
//! shared and an exclusive reference to the same floats are too. So kernels work on [`Input`] and [`Output`]: a start, a
//! length, and whole blocks copied in and out through raw pointers. A kernel reads block `i` of every input before it
//! writes block `i` of any output, which is what makes exact in-place use correct.

use super::BLOCK;
use std::marker::PhantomData;
use std::ops::Range;

/// Up to [`BLOCK`] consecutive elements, starting at `start`.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    /// Index of the first element.
    start: usize,
    /// How many there are: [`BLOCK`], or fewer in the last block of a run.
    count: usize,
}

impl Block {
    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.count
    }

    #[inline(always)]
    pub(super) fn is_full(self) -> bool {
        self.count == BLOCK
    }
}

/// Work that is done block by block.
pub(crate) trait PerBlock {
    /// Handles one block. Implementations are `#[inline(always)]`: a closure would be compiled for the baseline wherever
    /// the compiler chose not to inline it.
    fn block(&mut self, block: Block);
}

/// Hands the elements `start..end` to `work`, full blocks first.
#[inline(always)]
pub(crate) fn for_each_block(start: usize, end: usize, work: &mut impl PerBlock) {
    let mut at = start;
    while end - at >= BLOCK {
        work.block(Block { start: at, count: BLOCK });
        at += BLOCK;
    }
    if at < end {
        work.block(Block { start: at, count: end - at });
    }
}

/// `len` readable elements.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a, T> {
    start: *const T,
    len: usize,
    lifetime: PhantomData<&'a T>,
}

/// `len` writable elements.
pub(crate) struct Output<'a, T> {
    start: *mut T,
    len: usize,
    /// Elements of the buffer that this is a part of.
    whole: usize,
    lifetime: PhantomData<&'a mut T>,
}

// SAFETY: an input only reads, as a shared slice does.
unsafe impl<T: Sync> Send for Input<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Input<'_, T> {}
// SAFETY: an output can be sent where its elements can, as an exclusive slice can.
unsafe impl<T: Send> Send for Output<'_, T> {}
// SAFETY: writing needs `&mut`, or `part`, whose callers promise that parts in use at the same time are disjoint.
unsafe impl<T: Send> Sync for Output<'_, T> {}

impl<'a, T: Copy + Default> Input<'a, T> {
    /// The `len` elements from `start`.
    ///
    /// # Safety
    /// During `'a`
    /// - `start` is valid for reads of `len` initialised elements, or `len` is 0;
    /// - nobody writes them, except through an [`Output`] given to the same kernel that begins at the same `start`.
    pub(crate) unsafe fn from_raw(start: *const T, len: usize) -> Self {
        Input { start, len, lifetime: PhantomData }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the first element lies.
    pub(super) fn address(&self) -> usize {
        self.start.addr()
    }

    /// The elements of a range.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the assertion keeps the range inside the buffer, whose promises hold for its parts.
        unsafe { Input::from_raw(self.start.add(range.start), range.len()) }
    }

    /// Copies a block in; lanes past its count are `T::default()`.
    #[inline(always)]
    pub(super) fn load(&self, block: Block) -> [T; BLOCK] {
        assert!(block.start <= self.len && block.count <= self.len - block.start);
        // SAFETY: the assertion keeps the block inside the `len` elements that `from_raw` was promised.
        unsafe {
            let from = self.start.add(block.start);
            if block.count == BLOCK {
                return from.cast::<[T; BLOCK]>().read_unaligned();
            }
            let mut lanes = [T::default(); BLOCK];
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), block.count.min(BLOCK));
            lanes
        }
    }

    /// The element at `index`.
    pub(crate) fn get(&self, index: usize) -> T {
        assert!(index < self.len);
        // SAFETY: the assertion keeps `index` inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(index).read() }
    }
}

impl<'a, T: Copy + Default> From<&'a [T]> for Input<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        // SAFETY: a shared slice is readable and unchanged during its lifetime.
        unsafe { Input::from_raw(slice.as_ptr(), slice.len()) }
    }
}

impl<'a, T: Copy + Default> Output<'a, T> {
    /// The `len` elements from `start`, which need not be initialised.
    ///
    /// # Safety
    /// During `'a`
    /// - `start` is valid for writes of `len` elements, or `len` is 0;
    /// - nobody else reads or writes them, except through an [`Input`] given to the same kernel that begins at the same
    ///   `start`.
    pub(crate) unsafe fn from_raw(start: *mut T, len: usize) -> Self {
        Output { start, len, whole: len, lifetime: PhantomData }
    }

    /// A buffer that is read and then overwritten: the two views of exact in-place use.
    pub(crate) fn in_place(slice: &'a mut [T]) -> (Input<'a, T>, Output<'a, T>) {
        let (start, len) = (slice.as_mut_ptr(), slice.len());
        // SAFETY: the exclusive slice is ours during 'a, and both views begin at its start.
        unsafe { (Input::from_raw(start, len), Output::from_raw(start, len)) }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the first element lies.
    pub(super) fn address(&self) -> usize {
        self.start.addr()
    }

    /// Elements of the buffer that this is a part of.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }

    /// The elements of a range.
    ///
    /// # Safety
    /// While the part is used, nothing else uses its elements.
    pub(super) unsafe fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the assertion keeps the range inside the buffer; that nobody else uses it is the caller's promise.
        let part = unsafe { Output::from_raw(self.start.add(range.start), range.len()) };
        Output { whole: self.whole, ..part }
    }

    /// Where a block is to be written; it lies inside the buffer.
    #[inline(always)]
    pub(super) fn place(&mut self, block: Block) -> *mut T {
        assert!(block.start <= self.len && block.count <= self.len - block.start);
        // SAFETY: the assertion keeps the block inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(block.start) }
    }

    /// Writes one element.
    pub(crate) fn set(&mut self, index: usize, value: T) {
        assert!(index < self.len);
        // SAFETY: the assertion keeps `index` inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(index).write(value) }
    }
}

impl<'a, T: Copy + Default> From<&'a mut [T]> for Output<'a, T> {
    fn from(slice: &'a mut [T]) -> Self {
        // SAFETY: an exclusive slice is ours alone during its lifetime.
        unsafe { Output::from_raw(slice.as_mut_ptr(), slice.len()) }
    }
}
