//! Handles: what a caller holds instead of an object, and how one that is stale is noticed.
//!
//! A handle is the address of a [`Slot`], which says what type of object it stands for and where that is. Slots lie in an
//! array that is there as long as the library is loaded, and are used in turn: a handle that was freed still points to a slot,
//! with another tag or none, until [`SLOTS`] more objects were made. So a call with a stale handle, or with one of another
//! type, costs two loads and a comparison to refuse. Objects beyond [`SLOTS`] at a time have slots on the heap, whose type is
//! checked, but which are gone when they are freed.

use super::pointer::Span;
use crate::error::Error;
use std::alloc::{Layout, alloc};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A type that callers have handles to.
pub(super) trait Handle {
    /// Its name in messages, with an article.
    const TYPE: &'static str;
    /// What marks its slots: not 0, and unlikely to be found anywhere else.
    const TAG: usize;
}

/// A tag from a name. (Of its first letters, where addresses are short.)
pub(super) const fn tag(name: [u8; 8]) -> usize {
    u64::from_le_bytes(name) as usize
}

/// Where a handle points to.
#[repr(align(16))]
struct Slot {
    /// [`Handle::TAG`], or 0 for a free slot.
    tag: AtomicUsize,
    /// The object; NULL while there is none.
    object: AtomicPtr<()>,
}

impl Slot {
    const FREE: Slot = Slot { tag: AtomicUsize::new(0), object: AtomicPtr::new(ptr::null_mut()) };
}

/// How many slots outlast their objects.
const SLOTS: usize = 4096;

static LASTING: [Slot; SLOTS] = [const { Slot::FREE }; SLOTS];

/// How many slots of [`LASTING`] were looked at for a free one.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Takes a free slot for an object with this tag, the one that has been free longest, or nearly so.
fn take(tag: usize) -> Result<&'static Slot, Error> {
    for _ in 0..SLOTS {
        let slot = &LASTING[TURN.fetch_add(1, Ordering::Relaxed) % SLOTS];
        if slot.tag.compare_exchange(0, tag, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Ok(slot);
        }
    }
    let slot = allocate(Slot { tag: AtomicUsize::new(tag), ..Slot::FREE })?;
    // SAFETY: `allocate` has made it; who frees it does not use it again.
    Ok(unsafe { &*slot })
}

/// Moves a value to the heap, where `Box::new` would end the process when memory is short; to be freed as a box.
fn allocate<T>(value: T) -> Result<*mut T, Error> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the size is not 0.
    let memory = unsafe { alloc(Layout::new::<T>()) }.cast::<T>();
    if memory.is_null() {
        return Err(Error::OutOfMemory);
    }
    // SAFETY: fresh memory of T's layout.
    unsafe { memory.write(value) };
    Ok(memory)
}

/// Makes a handle to an object, to be freed with [`free`].
pub(super) fn new<T: Handle>(object: T) -> Result<*mut T, Error> {
    let object = allocate(object)?;
    match take(T::TAG) {
        Ok(slot) => {
            slot.object.store(object.cast(), Ordering::Release);
            Ok(ptr::from_ref(slot).cast_mut().cast())
        }
        Err(error) => {
            // SAFETY: nobody else knows of it.
            drop(unsafe { Box::from_raw(object) });
            Err(error)
        }
    }
}

/// The slot of a handle, if it is one of a `T`.
///
/// # Safety
/// A handle that is not NULL came from this library; it was not freed, unless its slot is in [`LASTING`].
#[inline]
unsafe fn slot<'a, T: Handle>(argument: &'static str, handle: *const T) -> Result<&'a Slot, Error> {
    let slot = handle.cast::<Slot>();
    Span::of(argument, slot, 1)?;
    // SAFETY: not NULL and aligned, by the line above. A slot in LASTING is always there, another by the caller's promise.
    let slot = unsafe { &*slot };
    if slot.tag.load(Ordering::Relaxed) == T::TAG { Ok(slot) } else { Err(stale::<T>(argument)) }
}

#[cold]
fn stale<T: Handle>(argument: &'static str) -> Error {
    Error::InvalidHandle { argument, expected: T::TYPE }
}

/// The object behind a handle.
///
/// # Safety
/// As [`slot`]. The object may be used as the caller of the export has promised: while it is looked at, nobody changes it.
#[inline]
pub(super) unsafe fn object<T: Handle>(argument: &'static str, handle: *const T) -> Result<*mut T, Error> {
    // SAFETY: the caller's promise.
    let object = unsafe { slot(argument, handle) }?.object.load(Ordering::Acquire);
    if object.is_null() { Err(stale::<T>(argument)) } else { Ok(object.cast()) }
}

/// Frees the object and the slot of a handle; does nothing for NULL and for what is no handle of a `T`.
///
/// # Safety
/// As [`slot`], and nobody uses the object any more.
pub(super) unsafe fn free<T: Handle>(handle: *mut T) {
    // SAFETY: the caller's promise.
    let Ok(slot) = (unsafe { slot("handle", handle) }) else { return };
    let object = slot.object.swap(ptr::null_mut(), Ordering::AcqRel).cast::<T>();
    if object.is_null() {
        return;
    }
    // SAFETY: `new` made it of a box's layout, and the slot gives it to one caller only.
    drop(unsafe { Box::from_raw(object) });
    slot.tag.store(0, Ordering::Release);
    if !LASTING.as_ptr_range().contains(&ptr::from_ref(slot)) {
        // SAFETY: what is not in the array came from `allocate`, and is not used again.
        drop(unsafe { Box::from_raw(ptr::from_ref(slot).cast_mut()) });
    }
}
