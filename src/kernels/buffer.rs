//! Buffers as kernels see them: read in blocks, written in blocks, possibly the same memory.
//!
//! Two things that a C caller may do rule out Rust slices. An output may be fresh from `malloc`, and a reference to
//! uninitialised floats is undefined behaviour. An output may be the very buffer of an input (exact in-place use), and a
//! shared and an exclusive reference to the same floats are too. So kernels work on [`Input`] and [`Output`]: a start, a
//! length, and whole blocks copied in and out through raw pointers. A kernel reads block `i` of every input before it
//! writes block `i` of any output, which is what makes exact in-place use correct.
//!
//! Floats may lie in memory in 16 bits each, see [`Half`]. Kernels never see that: a walk has them staged as f32 before it handles
//! blocks of them, see [`super::stage`].

use super::halves::Half;
use super::{BLOCK, Vectors, stream};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Up to [`BLOCK`] consecutive elements, starting at `start`, that every buffer has which they are read from or written to, as it seems
/// or staged. Whoever makes a block has seen to that: to ask each buffer for each block doubles the time of the simplest kernels.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    /// Index of the first element.
    start: usize,
    /// How many there are: [`BLOCK`], or fewer in the last block of a run.
    count: usize,
    /// Whether it may be written past the cache.
    may_bypass: bool,
}

impl Block {
    /// The first [`BLOCK`] elements of `start..end`, or all there are. They are not written past the cache, for there are few.
    ///
    /// # Safety
    /// Every buffer that it is read from or written to [reaches](Input::reaches) `end`.
    #[inline(always)]
    pub(super) unsafe fn first_of(start: usize, end: usize) -> Block {
        Block { start, count: (end - start).min(BLOCK), may_bypass: false }
    }

    /// The whole block that begins at `start`.
    ///
    /// # Safety
    /// Every buffer that it is read from or written to [reaches](Input::reaches) its end.
    #[inline(always)]
    pub(super) unsafe fn inside(start: usize) -> Block {
        Block { start, count: BLOCK, may_bypass: true }
    }

    /// As [`inside`](Self::inside), not to be written past the cache.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub(super) unsafe fn cached(start: usize) -> Block {
        Block { start, count: BLOCK, may_bypass: false }
    }

    #[inline(always)]
    pub(super) fn start(self) -> usize {
        self.start
    }

    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Whether a buffer of `len` elements has the block.
    #[inline(always)]
    fn is_in(self, len: usize) -> bool {
        self.start <= len && self.count <= len - self.start
    }
}

/// `len` readable elements.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a, T> {
    start: *const T,
    len: usize,
    /// What lies at `start` instead of `T`.
    halves: Option<Half>,
    lifetime: PhantomData<&'a T>,
}

/// `len` writable elements.
pub(crate) struct Output<'a, T> {
    start: *mut T,
    len: usize,
    /// What lies at `start` instead of `T`.
    halves: Option<Half>,
    /// Whether whole blocks bypass the cache.
    streamed: bool,
    lifetime: PhantomData<&'a mut T>,
}

// SAFETY: an input only reads, as a shared slice does.
unsafe impl<T: Sync> Send for Input<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Input<'_, T> {}
// SAFETY: an output can be sent where its elements can, as an exclusive slice can.
unsafe impl<T: Send> Send for Output<'_, T> {}
// SAFETY: writing needs `&mut`, or `share`, whose callers promise that no element is used through two copies.
unsafe impl<T: Send> Sync for Output<'_, T> {}

impl<'a, T: Copy> Input<'a, T> {
    /// The `len` elements from `start`.
    ///
    /// # Safety
    /// During `'a`
    /// - `start` is valid for reads of `len` initialised elements, or `len` is 0;
    /// - nobody writes them, except through an [`Output`] given to the same kernel that begins at the same `start`.
    pub(crate) unsafe fn from_raw(start: *const T, len: usize) -> Self {
        Input { start, len, halves: None, lifetime: PhantomData }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it lies in memory as halves.
    #[inline(always)]
    pub(crate) fn is_of_halves(&self) -> bool {
        self.halves.is_some()
    }

    /// Some of its elements, which do not lie in memory as halves.
    pub(crate) fn part(&self, elements: Range<usize>) -> Self {
        let len = elements.len();
        assert!(self.halves.is_none() && elements.end <= self.len && elements.start <= elements.end);
        // SAFETY: the assertion keeps them inside the `len` elements that `from_raw` was promised.
        unsafe { Input::from_raw(self.start.add(elements.start), len) }
    }

    /// Whether there are elements as far as `end`, and they are what they seem or staged.
    #[inline(always)]
    pub(super) fn reaches(&self, end: usize) -> bool {
        end <= self.len && self.halves.is_none()
    }

    /// The element at `index`, of what does not lie in memory as halves.
    pub(crate) fn get(&self, index: usize) -> T {
        assert!(index < self.len && self.halves.is_none());
        // SAFETY: the assertion keeps `index` inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(index).read() }
    }
}

impl<'a> Input<'a, f32> {
    /// A slice of halves.
    pub(crate) fn of_halves(half: Half, slice: &'a [u16]) -> Self {
        // SAFETY: a shared slice is readable and unchanged during its lifetime.
        unsafe { Input::from_halves(half, slice.as_ptr(), slice.len()) }
    }

    /// The `len` floats that lie as halves from `start`.
    ///
    /// # Safety
    /// As [`from_raw`](Self::from_raw).
    pub(crate) unsafe fn from_halves(half: Half, start: *const u16, len: usize) -> Self {
        // Of nothing there may be no start, but a slice wants one.
        let start = if len == 0 { std::ptr::dangling() } else { start.cast() };
        Input { start, len, halves: Some(half), lifetime: PhantomData }
    }

    /// What it lies in memory as, and where.
    pub(super) fn halves(&self) -> Option<(Half, &[u16])> {
        // SAFETY: `from_halves` was promised so many, which nobody writes while they are read.
        self.halves.map(|half| (half, unsafe { std::slice::from_raw_parts(self.start.cast(), self.len) }))
    }

    /// Makes some of its elements those of a stage, the first of which is at `start`.
    ///
    /// # Safety
    /// Until it is staged again, no other elements are read, and `start` is valid for reads of these.
    pub(super) unsafe fn stand_at(&mut self, start: *const f32, elements: &Range<usize>) {
        *self = Input { start: start.wrapping_sub(elements.start), len: elements.end, halves: None, ..*self };
    }

    /// The float at `index`, however it lies in memory.
    pub(crate) fn float(&self, index: usize) -> f32 {
        self.halves().map_or_else(|| self.get(index), |(half, halves)| half.widened(halves[index]))
    }

    /// Copies all elements.
    pub(crate) fn copy_to(&self, to: &mut [f32]) {
        assert!(to.len() == self.len);
        // SAFETY: there are `len` elements, which nobody writes; `to` is as long, and another's. Only floats are written to it.
        unsafe {
            match self.halves() {
                Some((half, halves)) => {
                    half.widen(halves, std::slice::from_raw_parts_mut(to.as_mut_ptr().cast(), to.len()))
                }
                None => std::ptr::copy_nonoverlapping(self.start, to.as_mut_ptr(), self.len),
            }
        }
    }

    /// Where the `count` elements from `start` lie, which are no halves.
    pub(super) fn place(&self, start: usize, count: usize) -> *const f32 {
        assert!(self.halves.is_none() && start <= self.len && count <= self.len - start);
        // SAFETY: the assertion keeps the place inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(start) }
    }

    /// Reads a block; lanes past its count are 0.
    #[inline(always)]
    pub(super) fn load<V: Vectors>(&self, block: Block) -> V::Block {
        debug_assert!(block.is_in(self.len) && self.halves.is_none());
        // SAFETY: a block is inside the `len` elements that `from_raw` was promised, or `stand_at`, from whose first element on they
        // are in one piece of memory.
        unsafe {
            let from = self.start.wrapping_add(block.start);
            if block.count == BLOCK { V::load(from) } else { V::load_few(from, block.count) }
        }
    }
}

impl Input<'_, i8> {
    /// Reads a block of bytes as floats; lanes past its count are 0.
    #[inline(always)]
    pub(super) fn load_bytes<V: Vectors>(&self, block: Block) -> V::Block {
        debug_assert!(block.is_in(self.len));
        // SAFETY: a block is inside the `len` elements that `from_raw` was promised.
        unsafe {
            let from = self.start.add(block.start);
            if block.count == BLOCK {
                V::from_bytes(&from.cast::<[i8; BLOCK]>().read_unaligned())
            } else {
                V::from_bytes(&read_few(from, block.count))
            }
        }
    }
}

impl<'a, T: Copy> From<&'a [T]> for Input<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        // SAFETY: a shared slice is readable and unchanged during its lifetime.
        unsafe { Input::from_raw(slice.as_ptr(), slice.len()) }
    }
}

impl<'a, T: Copy> Output<'a, T> {
    /// The `len` elements from `start`, which need not be initialised.
    ///
    /// # Safety
    /// During `'a`
    /// - `start` is valid for writes of `len` elements, or `len` is 0;
    /// - nobody else reads or writes them, except through an [`Input`] given to the same kernel that begins at the same
    ///   `start`.
    pub(crate) unsafe fn from_raw(start: *mut T, len: usize) -> Self {
        Output { start, len, halves: None, streamed: false, lifetime: PhantomData }
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

    /// Whether it lies in memory as halves.
    #[inline(always)]
    pub(super) fn is_of_halves(&self) -> bool {
        self.halves.is_some()
    }

    /// As [`Input::reaches`].
    #[inline(always)]
    pub(super) fn reaches(&self, end: usize) -> bool {
        end <= self.len && self.halves.is_none()
    }

    /// The same buffer once more.
    ///
    /// # Safety
    /// While both are in use, no element is written through one of them and used through the other.
    #[inline(always)]
    pub(super) unsafe fn share(&self) -> Self {
        Output { start: self.start, len: self.len, halves: self.halves, streamed: self.streamed, lifetime: PhantomData }
    }

    /// Lets whole blocks bypass the cache when that pays, see [`super::stream`].
    #[inline(always)]
    pub(super) fn stream_if_it_pays<S: Copy>(mut self, inputs: &[Input<'_, S>]) -> Self {
        let in_place = inputs.iter().any(|input| self.is_at(input));
        let of_halves = self.is_of_halves() || inputs.iter().any(|input| input.is_of_halves());
        // Twice as many halves fill a cache.
        self.streamed = !in_place && stream::pays(self.len >> u32::from(of_halves));
        self
    }

    /// Whether it is the very buffer of an input.
    #[inline(always)]
    pub(super) fn is_at<S>(&self, input: &Input<'_, S>) -> bool {
        input.start.addr() == self.start.addr()
    }

    /// Whether whole blocks bypass the cache.
    #[inline(always)]
    pub(super) fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// The same buffer, not streamed to; the compiler knows that, and asks no block.
    #[inline(always)]
    pub(super) fn cached(&mut self) -> Output<'_, T> {
        Output { start: self.start, len: self.len, halves: self.halves, streamed: false, lifetime: PhantomData }
    }

    /// Writes one element.
    pub(crate) fn set(&mut self, index: usize, value: T) {
        assert!(index < self.len && self.halves.is_none());
        // SAFETY: the assertion keeps `index` inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(index).write(value) }
    }

    /// The `count` elements from `first` on, to be written.
    #[inline(always)]
    pub(super) fn room(&mut self, first: usize, count: usize) -> &mut [MaybeUninit<T>] {
        assert!(self.halves.is_none() && first <= self.len && count <= self.len - first);
        // SAFETY: the assertion keeps the elements inside the `len` that `from_raw` was promised, and nobody else uses them.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first).cast(), count) }
    }
}

impl Output<'_, f32> {
    /// A slice of halves.
    pub(crate) fn of_halves(half: Half, slice: &mut [u16]) -> Output<'_, f32> {
        // SAFETY: an exclusive slice is ours alone during its lifetime.
        unsafe { Output::from_halves(half, slice.as_mut_ptr(), slice.len()) }
    }

    /// As [`in_place`](Output::in_place), of halves.
    pub(crate) fn of_halves_in_place(half: Half, slice: &mut [u16]) -> (Input<'_, f32>, Output<'_, f32>) {
        let (start, len) = (slice.as_mut_ptr(), slice.len());
        // SAFETY: the exclusive slice is ours during its lifetime, and both views begin at its start.
        unsafe { (Input::from_halves(half, start, len), Output::from_halves(half, start, len)) }
    }

    /// The `len` floats that are to lie as halves from `start`, which need not be initialised.
    ///
    /// # Safety
    /// As [`from_raw`](Self::from_raw).
    pub(crate) unsafe fn from_halves(half: Half, start: *mut u16, len: usize) -> Self {
        // As above.
        let start = if len == 0 { std::ptr::dangling_mut() } else { start.cast() };
        Output { start, len, halves: Some(half), streamed: false, lifetime: PhantomData }
    }

    /// What it is to lie in memory as, and where.
    pub(super) fn halves(&self) -> Option<(Half, *mut u16)> {
        self.halves.map(|half| (half, self.start.cast()))
    }

    /// Makes some of its elements those of a stage, the first of which is at `start`.
    ///
    /// # Safety
    /// Until it is staged again, no other elements are written, and `start` is valid for writes of these.
    pub(super) unsafe fn stand_at(&mut self, start: *mut f32, elements: &Range<usize>) {
        let (start, len) = (start.wrapping_sub(elements.start), elements.end);
        (self.start, self.len, self.halves, self.streamed) = (start, len, None, false);
    }

    /// Copies as many elements as there are.
    pub(super) fn copy_from(&mut self, from: &[f32]) {
        assert!(from.len() == self.len);
        // SAFETY: there is room for `len` elements, or halves, which nobody else uses; `from` is as long, and another's.
        unsafe {
            match self.halves() {
                Some((half, start)) => half.narrow(from, std::slice::from_raw_parts_mut(start.cast(), self.len), false),
                None => std::ptr::copy_nonoverlapping(from.as_ptr(), self.start, self.len),
            }
        }
    }

    /// This very buffer, which is none of halves, once more, for exact in-place use.
    ///
    /// # Safety
    /// Every element is written before it is read through the input.
    pub(super) unsafe fn again(&mut self) -> (Input<'_, f32>, Output<'_, f32>) {
        assert!(self.halves.is_none());
        // SAFETY: the elements are ours as long as this output is borrowed; what else is needed is the caller's promise.
        unsafe { (Input::from_raw(self.start, self.len), Output::from_raw(self.start, self.len)) }
    }

    /// Where the `count` elements from `start` lie.
    pub(super) fn place(&mut self, start: usize, count: usize) -> *mut f32 {
        assert!(self.halves.is_none() && start <= self.len && count <= self.len - start);
        // SAFETY: the assertion keeps the place inside the `len` elements that `from_raw` was promised.
        unsafe { self.start.add(start) }
    }

    /// Writes a block; lanes past its count are dropped.
    #[inline(always)]
    pub(super) fn store<V: Vectors>(&mut self, block: Block, lanes: V::Block) {
        debug_assert!(block.is_in(self.len) && self.halves.is_none());
        // SAFETY: as in `load`.
        unsafe {
            let to = self.start.wrapping_add(block.start);
            if block.count != BLOCK {
                V::store_few(lanes, to, block.count);
            } else if !(block.may_bypass && self.streamed && V::stream(lanes, to)) {
                V::store(lanes, to);
            }
        }
    }
}

impl Output<'_, i8> {
    /// Writes a block of bytes; those past its count are dropped.
    #[inline(always)]
    pub(super) fn store_bytes<V: Vectors>(&mut self, block: Block, bytes: V::Bytes) {
        debug_assert!(block.is_in(self.len));
        // SAFETY: a block is inside the `len` elements that `from_raw` was promised.
        unsafe {
            let to = self.start.add(block.start);
            if block.count == BLOCK {
                V::store_bytes(bytes, to, block.may_bypass && self.streamed);
            } else {
                V::store_few_bytes(bytes, to, block.count);
            }
        }
    }
}

impl<T> Drop for Output<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.streamed {
            stream::fence();
        }
    }
}

impl<'a, T: Copy> From<&'a mut [T]> for Output<'a, T> {
    fn from(slice: &'a mut [T]) -> Self {
        // SAFETY: an exclusive slice is ours alone during its lifetime.
        unsafe { Output::from_raw(slice.as_mut_ptr(), slice.len()) }
    }
}

/// Reads fewer than [`BLOCK`] bytes; those past their count are 0. Eight at a time, in a register: from bytes that were put together in
/// memory, a vector is read only after all of them have arrived there.
///
/// # Safety
/// `from` is valid for reads of `count` bytes.
#[inline(always)]
unsafe fn read_few(from: *const i8, count: usize) -> [i8; BLOCK] {
    let mut words = [0u64; BLOCK / 8];
    for index in 0..BLOCK / 8 {
        let (from, mut rest) = (from.wrapping_add(8 * index), count - 8 * index);
        // SAFETY: the caller's promise; what is read begins at `rest`, less by as much as is read.
        unsafe {
            if rest >= 8 {
                words[index] = u64::from_le(from.cast::<u64>().read_unaligned());
                continue;
            }
            if rest & 1 != 0 {
                rest -= 1;
                words[index] = from.add(rest).cast::<u8>().read().into();
            }
            if rest & 2 != 0 {
                rest -= 2;
                words[index] =
                    words[index] << 16 | u64::from(u16::from_le(from.add(rest).cast::<u16>().read_unaligned()));
            }
            if rest & 4 != 0 {
                words[index] = words[index] << 32 | u64::from(u32::from_le(from.cast::<u32>().read_unaligned()));
            }
        }
        break;
    }
    // SAFETY: both are 32 bytes.
    unsafe { std::mem::transmute::<[u64; BLOCK / 8], [i8; BLOCK]>(words.map(u64::to_le)) }
}

/// Copies fewer than [`BLOCK`] elements, in powers of two: a call of `memcpy` takes longer than the rest of a short kernel.
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `count` elements, which do not overlap.
#[inline(always)]
pub(super) unsafe fn copy_few<T: Copy>(from: *const T, to: *mut T, count: usize) {
    let mut done = 0;
    macro_rules! copy {
        ($($few:literal)*) => {
            $(if count & $few != 0 {
                // SAFETY: the caller's promise; the powers of two in `count` add up to it.
                unsafe { to.add(done).cast::<[T; $few]>().write_unaligned(from.add(done).cast::<[T; $few]>().read_unaligned()) };
                done += $few;
            })*
        };
    }
    copy!(16 8 4 2 1);
    debug_assert_eq!(done, count);
}
