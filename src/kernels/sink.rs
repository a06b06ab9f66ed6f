//! Where the blocks of a kernel go: into a buffer, past the cache into a buffer, or nowhere.
//!
//! A store to memory that is not cached first reads the line that it will overwrite. For outputs that are larger than the
//! cache will keep anyway, a non-temporal store saves that read; below, it takes from the cache what the next reader wants
//! (with 32 MiB of it, forward of 2 Mi weights takes 1.3 times as long, of 16 Mi 0.8 to 0.9 times). [`Streamed`] is such
//! an output. It is never chosen for in-place work: there the line is in the cache already.

use super::BLOCK;
use super::buffer::{Block, Input, Output};

/// Something that blocks are stored to.
pub(super) trait Sink<T> {
    /// Whether stored lanes are dropped, so that work whose only purpose they are can be left out.
    const DISCARDS: bool;

    /// Copies a block out; lanes past its count are dropped.
    fn store(&mut self, block: Block, lanes: &[T; BLOCK]);
}

impl<T: Copy + Default> Sink<T> for Output<'_, T> {
    const DISCARDS: bool = false;

    #[inline(always)]
    fn store(&mut self, block: Block, lanes: &[T; BLOCK]) {
        let to = self.place(block);
        // SAFETY: `place` checked that the block lies in the buffer; `lanes` is a local of the kernel and cannot overlap it.
        unsafe {
            if block.is_full() {
                to.cast::<[T; BLOCK]>().write_unaligned(*lanes);
            } else {
                std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, block.count());
            }
        }
    }
}

/// The sink of an output that was not asked for.
pub(super) struct Discard;

impl<T> Sink<T> for Discard {
    const DISCARDS: bool = true;

    #[inline(always)]
    fn store(&mut self, _block: Block, _lanes: &[T; BLOCK]) {}
}

/// An output written past the cache. Only full blocks are; the last one of a run goes the ordinary way.
pub(super) struct Streamed<'a, T>(Output<'a, T>);

/// Bytes of a vector that is stored at once; its address must be a multiple of them.
const VECTOR: usize = 16;

impl<'a, T: Copy + Default> Streamed<'a, T> {
    /// Takes the output when streaming it pays, else hands it back: it must be large, no input of the same call, and
    /// aligned at the start of each of its runs of `run` elements.
    #[inline(always)]
    pub(super) fn if_it_pays<S: Copy + Default>(
        output: Output<'a, T>,
        run: usize,
        inputs: &[Input<'_, S>],
    ) -> Result<Self, Output<'a, T>> {
        // A part is streamed when the whole is: threads share the cache that the whole would fill.
        let n = output.whole();
        let aligned = output.address().is_multiple_of(VECTOR)
            && (run == output.len() || (run * size_of::<T>()).is_multiple_of(VECTOR));
        let pays = cfg!(target_arch = "x86_64")
            && n >= SMALLEST_THRESHOLD
            && aligned
            && n >= threshold()
            && inputs.iter().all(|input| input.address() != output.address());
        if pays { Ok(Streamed(output)) } else { Err(output) }
    }
}

impl<T: Copy + Default> Sink<T> for Streamed<'_, T> {
    const DISCARDS: bool = false;

    #[inline(always)]
    fn store(&mut self, block: Block, lanes: &[T; BLOCK]) {
        if !block.is_full() {
            return self.0.store(block, lanes);
        }
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
            let (to, from) = (self.0.place(block).cast::<__m128i>(), lanes.as_ptr().cast::<__m128i>());
            for vector in 0..size_of::<[T; BLOCK]>() / VECTOR {
                // SAFETY: both sides have the bytes of a full block. A block begins a multiple of 32 elements after the start
                // of its run, which `if_it_pays` found aligned.
                unsafe { _mm_stream_si128(to.add(vector), _mm_loadu_si128(from.add(vector))) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.0.store(block, lanes);
    }
}

impl<T> Drop for Streamed<'_, T> {
    fn drop(&mut self) {
        // Streamed stores are not ordered with others: without a fence, another thread could be told of the result before it
        // is there.
        // SAFETY: SSE2 is part of x86-64.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            std::arch::x86_64::_mm_sfence()
        };
    }
}

/// No cache is so small that streaming pays below this.
const SMALLEST_THRESHOLD: usize = 256 << 10;

/// The elements from which an output is streamed: a float read and a float written for each of them fill the last-level cache.
///
/// At most 4 Mi (32 MiB of cache): a virtual machine may be told the sum over all sockets. 2 Mi where the cache is unknown.
fn threshold() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static THRESHOLD: AtomicUsize = AtomicUsize::new(0);
    match THRESHOLD.load(Ordering::Relaxed) {
        0 => {
            let found = last_level_cache().map_or(2 << 20, |bytes| bytes / 8).clamp(SMALLEST_THRESHOLD, 4 << 20);
            THRESHOLD.store(found, Ordering::Relaxed);
            found
        }
        found => found,
    }
}

/// Bytes of the largest cache, where the C library knows them.
fn last_level_cache() -> Option<usize> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let levels = [libc::_SC_LEVEL3_CACHE_SIZE, libc::_SC_LEVEL2_CACHE_SIZE];
        // SAFETY: asks for a number.
        levels
            .into_iter()
            .map(|level| unsafe { libc::sysconf(level) })
            .find(|bytes| *bytes > 0)
            .map(|bytes| bytes as usize)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}
