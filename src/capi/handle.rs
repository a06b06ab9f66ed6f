//! Handles: what a caller holds instead of an object, and how one that is stale is noticed.
//!
//! A handle points to a [`Block`]: a tag that says what type of object it is of, and the object. Freeing it drops the object and
//! takes the tag away, but keeps the memory until [`KEPT`] more of the type were freed. So a call with a handle that was freed, or with one
//! of another type, costs one comparison to refuse. What is kept is freed when the library is unloaded; while a caller has an
//! object, nobody else points to it, and a tool that looks for leaks finds the ones that are lost.

use super::pointer;
use crate::error::Error;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A type that callers have handles to; [`handle!`] makes it one.
pub(super) trait Handle: Sized {
    /// Its name in messages, with an article.
    const TYPE: &'static str;
    /// What marks its blocks: not 0, and unlikely to be found anywhere else.
    const TAG: usize;

    /// Its blocks that were freed.
    fn freed() -> &'static Freed;
}

/// Makes a type a [`Handle`]: its name in messages, and eight letters for a tag.
macro_rules! handle {
    ($type:ty, $name:literal, $tag:literal) => {
        const _: () = {
            static FREED: $crate::capi::handle::Freed = $crate::capi::handle::Freed::none();

            impl $crate::capi::handle::Handle for $type {
                const TYPE: &'static str = $name;
                // Of its first letters, where addresses are short.
                const TAG: usize = u64::from_le_bytes(*$tag) as usize;

                fn freed() -> &'static $crate::capi::handle::Freed {
                    &FREED
                }
            }

            /// Called when the library is unloaded, or the process ends: what is kept would be lost.
            #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
            #[used]
            #[unsafe(link_section = ".fini_array")]
            static AT_UNLOAD: extern "C" fn() = $crate::capi::handle::free_what_is_kept::<$type>;
        };
    };
}
pub(super) use handle;

/// Where a handle points to.
#[repr(C)]
struct Block<T> {
    /// [`Handle::TAG`]; 0 once the object was freed.
    tag: AtomicUsize,
    object: T,
}

/// How many freed blocks of a type are kept.
const KEPT: usize = 256;

/// Blocks of one type whose objects were freed.
pub(super) struct Freed {
    kept: [AtomicPtr<()>; KEPT],
    /// How many there have been.
    count: AtomicUsize,
}

impl Freed {
    pub(super) const fn none() -> Freed {
        Freed { kept: [const { AtomicPtr::new(ptr::null_mut()) }; KEPT], count: AtomicUsize::new(0) }
    }
}

/// Makes a handle to an object, to be freed with [`free`].
pub(super) fn new<T: Handle>(object: T) -> Result<*mut T, Error> {
    // `Box::new` would end the process when memory is short.
    // SAFETY: a block has a size.
    let block = unsafe { alloc(Layout::new::<Block<T>>()) }.cast::<Block<T>>();
    if block.is_null() {
        return Err(Error::OutOfMemory);
    }
    // SAFETY: fresh memory of a block's layout.
    unsafe { block.write(Block { tag: AtomicUsize::new(T::TAG), object }) };
    Ok(block.cast())
}

/// The block of a handle.
///
/// # Safety
/// A handle that is not NULL came from [`new`], for any type, and is not among those that were freed before the last [`KEPT`]
/// of their type.
#[inline]
unsafe fn block<T: Handle>(argument: &'static str, handle: *const T) -> Result<*mut Block<T>, Error> {
    let block = handle.cast::<Block<T>>().cast_mut();
    pointer::check(argument, block.cast::<AtomicUsize>())?;
    // SAFETY: not NULL and aligned for a tag, by the line above; that a block begins with one is the caller's promise.
    let tag = unsafe { (*block.cast::<AtomicUsize>()).load(Ordering::Relaxed) };
    if tag == T::TAG { Ok(block) } else { Err(stale::<T>(argument)) }
}

#[cold]
fn stale<T: Handle>(argument: &'static str) -> Error {
    Error::InvalidHandle { argument, expected: T::TYPE }
}

/// The object behind a handle.
///
/// # Safety
/// As [`block`].
#[inline]
pub(super) unsafe fn object<T: Handle>(argument: &'static str, handle: *const T) -> Result<*mut T, Error> {
    // SAFETY: the caller's promise; a block with the tag of T is one.
    unsafe { Ok(&raw mut (*block(argument, handle)?).object) }
}

/// Frees an object; does nothing for NULL and for what is no handle of a `T`.
///
/// # Safety
/// As [`block`], and nobody uses the object any more.
pub(super) unsafe fn free<T: Handle>(handle: *mut T) {
    // SAFETY: the caller's promise. The tag goes to one caller only, who drops the object.
    unsafe {
        let Ok(block) = block("handle", handle) else { return };
        if (*block).tag.swap(0, Ordering::AcqRel) == T::TAG {
            (&raw mut (*block).object).drop_in_place();
            let Freed { kept, count } = T::freed();
            let oldest = kept[count.fetch_add(1, Ordering::Relaxed) % KEPT].swap(block.cast(), Ordering::AcqRel);
            deallocate(oldest.cast::<Block<T>>());
        }
    }
}

/// Gives the memory of a block back, if there is one.
///
/// # Safety
/// It came from [`new`], its object is gone, and nobody uses it any more.
unsafe fn deallocate<T>(block: *mut Block<T>) {
    if !block.is_null() {
        // SAFETY: the caller's promise.
        unsafe { dealloc(block.cast(), Layout::new::<Block<T>>()) };
    }
}

/// Frees the memory of every object that was freed.
pub(super) extern "C" fn free_what_is_kept<T: Handle>() {
    for place in &T::freed().kept {
        // SAFETY: what is kept are blocks whose objects are gone; whoever takes one out is alone with it.
        unsafe { deallocate(place.swap(ptr::null_mut(), Ordering::AcqRel).cast::<Block<T>>()) };
    }
}
