//! One call on many threads, with the bits of one.
//!
//! Threads are opt-in: most tensors are small, most callers have threads of their own, and waking one costs more than a
//! small tensor takes. A tensor is divided where its totals are (see [`super::walk`]), so no part's result depends on how
//! many there are. Parts run on threads that end before the call does, which keeps unloading the
//! library safe, or on the host's own pool.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements that are worth making a thread for; a call of fewer than two times this runs on its caller's. (Two threads over
/// one, measured on two cores, forward and backward_scale: 0.8 and 0.8 at 1 Mi, 1.0 and 1.3 at 4 Mi, 1.4 and 1.7 at 16 Mi.)
const PART: usize = if cfg!(test) { MADE_SMALL } else { 2 << 20 };

/// The same in unit tests, some of which run on an emulated processor.
const MADE_SMALL: usize = 64 << 10;

/// Elements that are worth waking a thread of the host's for.
const HOST_PART: usize = 512 << 10;

/// Most parts of a call: one bit each in the books kept on a host's pool.
const MOST_PARTS: usize = u64::BITS as usize;

/// What a host's pool is given to run: `run(task, index)`, once for each index.
pub(crate) type ParallelTask = unsafe extern "C" fn(task: *mut c_void, index: usize);

/// A host's pool: calls `run(task, index)` for every index below `count`, on any threads, and returns when all are done.
pub(crate) type ParallelFor =
    unsafe extern "C" fn(context: *mut c_void, count: usize, run: ParallelTask, task: *mut c_void);

/// Who runs the parts of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Threads {
    /// This many threads, the caller's among them; 1 is the caller's alone.
    Own(usize),
    /// The host's pool.
    Host(HostPool),
}

/// A host's pool and what it wants to be called with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostPool {
    parallel_for: ParallelFor,
    context: *mut c_void,
}

// SAFETY: the context is only handed back to the host, who promised in `new` that any thread may do so.
unsafe impl Send for HostPool {}
// SAFETY: as above.
unsafe impl Sync for HostPool {}

impl HostPool {
    /// # Safety
    /// While a quantizer uses it, `parallel_for` may be called with `context` from any thread, behaves as [`ParallelFor`]
    /// says, calls nothing after it has returned, and does not unwind.
    pub(crate) unsafe fn new(parallel_for: ParallelFor, context: *mut c_void) -> Self {
        HostPool { parallel_for, context }
    }
}

impl Threads {
    /// Into how many parts a tensor of `n` elements is divided.
    #[inline]
    pub(super) fn parts(self, n: usize) -> usize {
        match self {
            Threads::Own(1) => 1,
            Threads::Own(threads) => (n / PART).clamp(1, threads.min(MOST_PARTS)),
            Threads::Host(_) => (n / HOST_PART).clamp(1, MOST_PARTS),
        }
    }

    /// Calls `work` for every index below `count`, which is at most [`MOST_PARTS`], and returns when all are done.
    pub(super) fn for_each(self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        match self {
            Threads::Own(_) => std::thread::scope(|scope| {
                for index in 1..count {
                    let thread = std::thread::Builder::new().spawn_scoped(scope, move || work(index));
                    if thread.is_err() {
                        // No thread is to be had: this one does the work.
                        work(index);
                    }
                }
                work(0);
            }),
            Threads::Host(pool) => pool.for_each(count, work),
        }
    }
}

/// The books of one call on a host's pool: which parts were begun, and which are done.
struct Books<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    count: usize,
    begun: AtomicU64,
    done: AtomicU64,
    panicked: AtomicU64,
}

impl Books<'_> {
    /// Does a part, unless somebody has begun it.
    fn run(&self, index: usize) {
        let bit = 1 << index;
        if self.begun.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| (self.work)(index))).is_err() {
            self.panicked.fetch_or(bit, Ordering::Relaxed);
        }
        self.done.fetch_or(bit, Ordering::Release);
    }
}

impl HostPool {
    /// The host may get it wrong: an index twice is done once, one left out is done here, and one still running when the
    /// host returns is waited for.
    fn for_each(self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        unsafe extern "C" fn run(task: *mut c_void, index: usize) {
            // SAFETY: the host hands back the task that it was given, before `parallel_for` has returned.
            let books = unsafe { &*task.cast::<Books<'_>>() };
            if index < books.count {
                books.run(index);
            }
        }
        let (begun, done, panicked) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let books = Books { work, count, begun, done, panicked };
        // SAFETY: the promise of `HostPool::new`; the books outlive the call.
        unsafe { (self.parallel_for)(self.context, count, run, (&raw const books).cast_mut().cast()) };
        for index in 0..count {
            books.run(index);
        }
        while books.done.load(Ordering::Acquire).count_ones() as usize != count {
            std::thread::yield_now();
        }
        if books.panicked.load(Ordering::Relaxed) != 0 {
            resume_unwind(Box::new("a part of a call on the host's threads failed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_calls_and_single_threads_are_not_divided() {
        assert_eq!(Threads::Own(1).parts(1 << 30), 1);
        assert_eq!(Threads::Own(8).parts((4 << 20) - 1), 1);
        assert_eq!(Threads::Own(8).parts(4 << 20), 2);
        assert_eq!(Threads::Own(8).parts(1 << 30), 8);
        assert_eq!(Threads::Own(1000).parts(1 << 30), 64);
    }

    /// Pools that call in order, backwards, twice, half of it, with indices that do not exist, or not at all.
    #[test]
    fn a_host_that_gets_it_wrong_still_gets_every_part_done_once() {
        unsafe extern "C" fn pool(kind: *mut c_void, count: usize, run: ParallelTask, task: *mut c_void) {
            let indices: Vec<usize> = match kind.addr() {
                0 => (0..count).collect(),
                1 => (0..count).rev().collect(),
                2 => (0..count).chain(0..count).collect(),
                3 => (0..count / 2).collect(),
                4 => (0..count + 100).chain([usize::MAX]).collect(),
                _ => Vec::new(),
            };
            for index in indices {
                // SAFETY: what a host does: the task it was given.
                unsafe { run(task, index) };
            }
        }
        for kind in 0..6 {
            for count in [1, 2, 63, 64] {
                let done: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
                // SAFETY: the pool above keeps its promise, or breaks it in a way that is allowed for.
                let pool = unsafe { HostPool::new(pool, std::ptr::without_provenance_mut(kind)) };
                Threads::Host(pool).for_each(count, &|index| {
                    done[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1), "kind {kind}, {count} parts");
            }
        }
    }
}
