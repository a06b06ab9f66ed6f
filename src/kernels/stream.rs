//! Stores that bypass the cache.
//!
//! A store to memory that is not cached first reads the line that it will overwrite. For outputs that are larger than the
//! cache will keep anyway, a non-temporal store saves that read; below, it takes from the cache what the next reader wants
//! (with 32 MiB of it, forward of 2 Mi weights takes 1.3 times as long, of 16 Mi 0.8 to 0.9 times). It is never chosen for
//! in-place work: there the line is in the cache already.

/// Whether an output of `n` elements should bypass the cache.
#[inline(always)]
pub(super) fn pays(n: usize) -> bool {
    cfg!(target_arch = "x86_64") && n >= SMALLEST_THRESHOLD && n >= threshold()
}

/// Orders non-temporal stores before what follows: without it, another thread could be told of a result before it is there.
pub(super) fn fence() {
    // SAFETY: SSE2 is part of x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

/// Asks for elements that will be read soon.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub(super) fn expect(elements: &[u16]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(elements)).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and it does not read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(elements.as_ptr().cast::<i8>().wrapping_add(line)) };
    }
}

/// Bytes of a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

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
