//! Tensors of halves, as kernels see them: a stretch at a time, as f32.
//!
//! Before a walk handles blocks of [`STAGE`] elements or fewer, it has the halves among them widened, to the nearest cache, and its
//! work's tensors stand there; afterwards what was written is narrowed to where it belongs. So every kernel exists once, for
//! f32, and what it computes of halves are the bits that it computes of the same numbers as f32, rounded once. All inputs of
//! a stretch are widened before an output is narrowed: exact in-place calls rest on it.

use super::halves::Half;
use super::room::Room;
use super::walk::Work;
use super::{BLOCK, Input, Output, stream};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::slice;

/// Elements that are staged at a time, whole tiles of a run: four tensors of them leave room in the nearest cache.
pub(super) const STAGE: usize = 1024;

/// Most tensors of floats in a work.
const TENSORS: usize = 4;

/// A work with the stage for its tensors, if one of them is of halves.
pub(super) struct Staged<'a, W> {
    /// By value: of a work behind a reference, each store might change what the next block reads of it.
    pub(super) work: W,
    pub(super) stage: Option<&'a mut Stage>,
}

impl<W> Staged<'_, W> {
    /// How many elements may be handled between a beginning and an end.
    #[inline(always)]
    pub(super) fn at_a_time(&self) -> usize {
        if self.stage.is_some() { STAGE } else { usize::MAX }
    }

    /// Before blocks of some elements are handled.
    #[inline(always)]
    pub(super) fn begin<const TOTALS: usize>(&mut self, elements: Range<usize>)
    where
        W: Work<TOTALS>,
    {
        if let Some(stage) = &mut self.stage {
            // A copy: of a work whose address was given away, each store might change what the next block reads of it.
            // SAFETY: it takes the place of the other, which does nothing more, not even when it is dropped.
            let mut staged = unsafe { self.work.share() };
            begin(stage, &mut staged, elements);
            std::mem::forget(std::mem::replace(&mut self.work, staged));
        }
    }

    /// Afterwards.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        if let Some(stage) = &mut self.stage {
            stage.end();
        }
    }
}

/// Not inlined: once for each work, not for each place and instruction set. Cold, so that what a loop over f32 keeps in registers is not
/// kept in memory for it.
#[cold]
#[inline(never)]
fn begin<W: Work<TOTALS>, const TOTALS: usize>(stage: &mut Stage, work: &mut W, elements: Range<usize>) {
    assert!(elements.len() <= STAGE);
    (stage.elements, stage.next) = (elements, 0);
    work.stage(stage);
}

/// Room for a stage. Each tensor has a block more: those that are whole pages apart would share their places in the cache.
pub(super) type RoomForStage = Room<[[f32; STAGE + BLOCK]; TENSORS]>;

/// A tensor of halves.
#[derive(Clone, Copy)]
struct Tensor {
    half: Half,
    start: *mut u16,
    len: usize,
    is_output: bool,
    /// Whether it is written past the cache.
    is_streamed: bool,
}

/// Elements of a work's tensors, as f32.
pub(crate) struct Stage {
    /// Where each tensor is staged. Not behind a reference: the work reads and writes there.
    floats: [*mut f32; TENSORS],
    /// The work's, in the order in which it tells them. None for one that is not of halves.
    tensors: [Option<Tensor>; TENSORS],
    /// The one that it tells next.
    next: usize,
    elements: Range<usize>,
}

impl Stage {
    /// # Safety
    /// The room outlives it, and nobody else uses it until then.
    pub(super) unsafe fn new(room: &mut RoomForStage) -> Self {
        let first: *mut f32 = room.as_mut_ptr().cast();
        let floats = std::array::from_fn(|index| first.wrapping_add(index * (STAGE + BLOCK)));
        Stage { floats, tensors: [None; TENSORS], next: 0, elements: 0..0 }
    }

    /// A work's next tensor is an input, if there is one: it is widened, if it is of halves.
    pub(super) fn input(&mut self, input: Option<&mut Input<'_, f32>>) {
        let index = self.next();
        let Some(input) = input else { return };
        if let Some((half, halves)) = input.halves() {
            let (start, len) = (halves.as_ptr().cast_mut(), halves.len());
            self.tensors[index] = Some(Tensor { half, start, len, is_output: false, is_streamed: false });
        }
        let Some(Tensor { half, start, len, .. }) = self.tensors[index] else { return };
        let Range { start: first, end } = self.elements;
        assert!(end <= len);
        // SAFETY: the tensor has the elements, which nobody writes while they are read, and there is room for as many; the walk
        // looks at no others before it begins again.
        unsafe {
            let halves = slice::from_raw_parts(start.add(first), end - first);
            half.widen(halves, slice::from_raw_parts_mut(self.floats[index].cast(), end - first));
            // While this stretch is computed with, the next one comes.
            stream::expect(slice::from_raw_parts(start.add(end), STAGE.min(len - end)));
            input.stand_at(self.floats[index], &self.elements);
        }
    }

    /// A work's next tensor is an output, if there is one: it stands on the stage, if it is of halves.
    pub(super) fn output(&mut self, output: Option<&mut Output<'_, f32>>) {
        let index = self.next();
        let Some(output) = output else { return };
        if let Some((half, start)) = output.halves() {
            let (len, is_streamed) = (output.len(), output.is_streamed());
            self.tensors[index] = Some(Tensor { half, start, len, is_output: true, is_streamed });
        }
        let Some(Tensor { len, .. }) = self.tensors[index] else { return };
        assert!(self.elements.end <= len);
        // SAFETY: there is room for as many; the walk looks at no others before it begins again.
        unsafe { output.stand_at(self.floats[index], &self.elements) };
    }

    fn next(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// Narrows what the work has written. Cold as above.
    #[cold]
    #[inline(never)]
    fn end(&mut self) {
        let count = self.elements.len();
        for index in 0..TENSORS {
            let Some(Tensor { half, start, is_output: true, is_streamed, .. }) = self.tensors[index] else { continue };
            // SAFETY: the tensor has the elements, as `output` saw, and nobody else uses them; the work has written all of the
            // stage's.
            let (from, to) = unsafe {
                let to = start.add(self.elements.start).cast::<MaybeUninit<u16>>();
                (slice::from_raw_parts(self.floats[index].cast_const(), count), slice::from_raw_parts_mut(to, count))
            };
            half.narrow(from, to, is_streamed);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.tensors.iter().flatten().any(|tensor| tensor.is_streamed) {
            stream::fence();
        }
    }
}
