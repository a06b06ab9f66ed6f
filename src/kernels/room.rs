//! Room on the stack that is not cleared: that takes as long as a short call.

use std::mem::MaybeUninit;

/// Room for a `T`, at the beginning of a line of the cache: a register that lies in two lines takes twice as long to load.
#[repr(C, align(64))]
pub(super) struct Room<T>(MaybeUninit<T>);

impl<T> Room<T> {
    #[inline(always)]
    pub(super) fn uninit() -> Self {
        Room(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *const T {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }
}
