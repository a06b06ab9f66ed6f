//! Status codes and the message of the last failure.
//!
//! The message lives in a fixed, thread-local buffer without a destructor: writing it cannot fail, and a library that
//! leaves no destructor behind can be unloaded.

use crate::error::Error;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a call: DIFFQUANT_STATUS_OK or why it was refused. Numbers never change once released.
pub type diffquant_status = u32;

/// The call did what it says.
pub const DIFFQUANT_STATUS_OK: diffquant_status = 0;
/// A pointer that must not be NULL is.
pub const DIFFQUANT_STATUS_NULL_POINTER: diffquant_status = 1;
/// A number is outside the range that the function documents.
pub const DIFFQUANT_STATUS_INVALID_ARGUMENT: diffquant_status = 2;
/// An enumeration value that this version does not know.
pub const DIFFQUANT_STATUS_UNKNOWN_CONSTANT: diffquant_status = 3;
/// A length does not fit: n is not that of the quantizer's shape or no multiple of its channel count, or an array has
/// another length than the call needs.
pub const DIFFQUANT_STATUS_LENGTH_MISMATCH: diffquant_status = 4;
/// An index (of a group, an axis, an element) is past the last one.
pub const DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE: diffquant_status = 5;
/// Two buffers overlap in a way that the function does not allow.
pub const DIFFQUANT_STATUS_OVERLAP: diffquant_status = 6;
/// A pointer is not aligned for its element type.
pub const DIFFQUANT_STATUS_MISALIGNED: diffquant_status = 7;
/// A length is so large that its buffer could not lie in memory.
pub const DIFFQUANT_STATUS_SIZE_OVERFLOW: diffquant_status = 8;
/// The object has no such property, such as the divisor k of a uniform quantizer or a zero point to set of a symmetric one.
pub const DIFFQUANT_STATUS_NOT_APPLICABLE: diffquant_status = 32;
/// A configuration does not validate; the message names the field.
pub const DIFFQUANT_STATUS_INVALID_CONFIG: diffquant_status = 33;
/// The quantizer's granularity needs a shape that was not declared: call diffquant_quantizer_set_shape.
pub const DIFFQUANT_STATUS_NO_SHAPE: diffquant_status = 34;
/// The observer has seen nothing finite in a group; the message names the group.
pub const DIFFQUANT_STATUS_NO_DATA: diffquant_status = 35;
/// Two observers are of different kinds or shapes.
pub const DIFFQUANT_STATUS_INCOMPATIBLE: diffquant_status = 36;
/// A handle that was freed, or is of another type.
pub const DIFFQUANT_STATUS_INVALID_HANDLE: diffquant_status = 37;
/// A NaN or an infinity among data that must be finite; the message names the first one.
pub const DIFFQUANT_STATUS_NON_FINITE: diffquant_status = 64;
/// Text is not the JSON that was expected.
pub const DIFFQUANT_STATUS_INVALID_JSON: diffquant_status = 65;
/// Text is not UTF-8.
pub const DIFFQUANT_STATUS_INVALID_UTF8: diffquant_status = 66;
/// A buffer for text is too small; the needed length was reported.
pub const DIFFQUANT_STATUS_BUFFER_TOO_SMALL: diffquant_status = 96;
/// Memory could not be had.
pub const DIFFQUANT_STATUS_OUT_OF_MEMORY: diffquant_status = 97;
/// The request is valid, but this version does not carry it out.
pub const DIFFQUANT_STATUS_UNSUPPORTED: diffquant_status = 98;
/// A defect of the library, caught before it could harm the caller. Please report it.
pub const DIFFQUANT_STATUS_INTERNAL: diffquant_status = 99;

/// The name of a status, such as "DIFFQUANT_STATUS_NULL_POINTER".
///
/// @param status any number
/// @return a string that lives as long as the library is loaded; never NULL, "unknown status" for an unknown number
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_status_name(status: diffquant_status) -> *const c_char {
    name(status).as_ptr()
}

/// What went wrong in the last call of this thread that did not return DIFFQUANT_STATUS_OK.
///
/// The text is in English, UTF-8, names the argument and its value, and is meant for people. Calls that succeed leave it as
/// it is.
///
/// @return a string owned by the thread, overwritten by its next failing call; never NULL, "" before the first failure
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_last_error_message() -> *const c_char {
    LAST_MESSAGE.with(|message| message.as_ptr().cast_const().cast())
}

fn name(status: diffquant_status) -> &'static CStr {
    macro_rules! names {
        ($($name:ident)*) => {
            match status {
                $($name => const {
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("an identifier has no NUL inside"),
                    }
                },)*
                _ => c"unknown status",
            }
        };
    }
    names! {
        DIFFQUANT_STATUS_OK
        DIFFQUANT_STATUS_NULL_POINTER
        DIFFQUANT_STATUS_INVALID_ARGUMENT
        DIFFQUANT_STATUS_UNKNOWN_CONSTANT
        DIFFQUANT_STATUS_LENGTH_MISMATCH
        DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE
        DIFFQUANT_STATUS_OVERLAP
        DIFFQUANT_STATUS_MISALIGNED
        DIFFQUANT_STATUS_SIZE_OVERFLOW
        DIFFQUANT_STATUS_NOT_APPLICABLE
        DIFFQUANT_STATUS_INVALID_CONFIG
        DIFFQUANT_STATUS_NO_SHAPE
        DIFFQUANT_STATUS_NO_DATA
        DIFFQUANT_STATUS_INCOMPATIBLE
        DIFFQUANT_STATUS_INVALID_HANDLE
        DIFFQUANT_STATUS_NON_FINITE
        DIFFQUANT_STATUS_INVALID_JSON
        DIFFQUANT_STATUS_INVALID_UTF8
        DIFFQUANT_STATUS_BUFFER_TOO_SMALL
        DIFFQUANT_STATUS_OUT_OF_MEMORY
        DIFFQUANT_STATUS_UNSUPPORTED
        DIFFQUANT_STATUS_INTERNAL
    }
}

fn status_of(error: &Error) -> diffquant_status {
    match error {
        Error::NullPointer { .. } => DIFFQUANT_STATUS_NULL_POINTER,
        Error::InvalidArgument { .. } | Error::InvalidElement { .. } | Error::ZeroPoint { .. } => {
            DIFFQUANT_STATUS_INVALID_ARGUMENT
        }
        Error::NoShape => DIFFQUANT_STATUS_NO_SHAPE,
        Error::NoData { .. } => DIFFQUANT_STATUS_NO_DATA,
        Error::Incompatible { .. } => DIFFQUANT_STATUS_INCOMPATIBLE,
        Error::InvalidHandle { .. } => DIFFQUANT_STATUS_INVALID_HANDLE,
        Error::UnknownConstant { .. } => DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
        Error::LengthMismatch { .. }
        | Error::NotDivisible { .. }
        | Error::CutToken { .. }
        | Error::CutBatch { .. }
        | Error::CutRow { .. }
        | Error::ShapeMismatch { .. } => DIFFQUANT_STATUS_LENGTH_MISMATCH,
        Error::IndexOutOfRange { .. } => DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE,
        Error::Overlap { .. } => DIFFQUANT_STATUS_OVERLAP,
        Error::Misaligned { .. } => DIFFQUANT_STATUS_MISALIGNED,
        Error::SizeOverflow { .. } => DIFFQUANT_STATUS_SIZE_OVERFLOW,
        Error::NotApplicable { .. } => DIFFQUANT_STATUS_NOT_APPLICABLE,
        Error::InvalidConfig { .. } => DIFFQUANT_STATUS_INVALID_CONFIG,
        Error::NonFinite { .. } => DIFFQUANT_STATUS_NON_FINITE,
        Error::InvalidJson(_) => DIFFQUANT_STATUS_INVALID_JSON,
        Error::InvalidUtf8 { .. } => DIFFQUANT_STATUS_INVALID_UTF8,
        Error::BufferTooSmall { .. } => DIFFQUANT_STATUS_BUFFER_TOO_SMALL,
        Error::OutOfMemory => DIFFQUANT_STATUS_OUT_OF_MEMORY,
        Error::Unsupported { .. } | Error::UnsupportedVersion { .. } => DIFFQUANT_STATUS_UNSUPPORTED,
        Error::Internal(_) => DIFFQUANT_STATUS_INTERNAL,
    }
}

/// Runs the body of an export: an error becomes its status and this thread's message, a panic becomes
/// `DIFFQUANT_STATUS_INTERNAL`.
#[inline]
pub(super) fn report(body: impl FnOnce() -> Result<(), Error>) -> diffquant_status {
    // An error is turned into its status inside: where it comes out, a call without one has to move it too.
    let reported = || match body() {
        Ok(()) => DIFFQUANT_STATUS_OK,
        Err(error) => remember(error),
    };
    catch_unwind(AssertUnwindSafe(reported)).unwrap_or_else(internal)
}

/// A panic becomes an error.
#[cold]
fn internal(payload: Box<dyn Any + Send>) -> diffquant_status {
    let error = Error::Internal(payload.downcast_ref::<&str>().copied().unwrap_or("a check failed"));
    // It may panic when it is dropped; what that leaves is not dropped.
    if let Err(left) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(left);
    }
    remember(error)
}

/// By value: an export has none to drop.
#[cold]
#[inline(never)]
fn remember(error: Error) -> diffquant_status {
    LAST_MESSAGE.with(|message| message.replace(Message::of(&error)));
    status_of(&error)
}

/// Bytes of a message, its NUL included; a longer one is cut.
const MESSAGE_CAPACITY: usize = 512;

/// NUL-terminated UTF-8. `repr(C)` with the text first: a pointer to the message is a pointer to its text.
#[repr(C)]
struct Message {
    text: [u8; MESSAGE_CAPACITY],
    length: usize,
}

thread_local! {
    static LAST_MESSAGE: RefCell<Message> = const { RefCell::new(Message::EMPTY) };
}

impl Message {
    const EMPTY: Message = Message { text: [0; MESSAGE_CAPACITY], length: 0 };

    fn of(error: &Error) -> Message {
        let mut message = Message::EMPTY;
        // An error here means that the text was cut, which is the best that can be done with it.
        let _ = write!(message, "{error}");
        message
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte stays for the NUL.
        let room = MESSAGE_CAPACITY - 1 - self.length;
        let fits = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        for &byte in &text.as_bytes()[..fits] {
            // A NUL inside the text, from hostile JSON, would end the message early.
            self.text[self.length] = if byte == 0 { b' ' } else { byte };
            self.length += 1;
        }
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_message() -> String {
        // SAFETY: the message is always NUL-terminated.
        let text = unsafe { CStr::from_ptr(diffquant_last_error_message()) };
        text.to_str().expect("messages are UTF-8").to_owned()
    }

    #[test]
    fn a_panic_becomes_the_internal_status_with_its_message() {
        let status = report(|| panic!("on purpose, for a test"));
        assert_eq!(status, DIFFQUANT_STATUS_INTERNAL);
        assert!(last_message().contains("on purpose"), "{}", last_message());
    }

    /// One that panics as it is dropped among them.
    #[test]
    fn what_a_panic_carries_is_dropped() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static DROPPED: AtomicUsize = AtomicUsize::new(0);
        /// Of no size: what is left of it, which nobody drops, is no memory.
        struct Carried<const PANICS: bool>;
        impl<const PANICS: bool> Drop for Carried<PANICS> {
            fn drop(&mut self) {
                DROPPED.fetch_add(1, Ordering::Relaxed);
                if PANICS {
                    std::panic::panic_any(Carried::<true>);
                }
            }
        }
        assert_eq!(report(|| std::panic::panic_any(Carried::<false>)), DIFFQUANT_STATUS_INTERNAL);
        assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
        assert_eq!(report(|| std::panic::panic_any(Carried::<true>)), DIFFQUANT_STATUS_INTERNAL);
        assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_and_keeps_its_nul() {
        let status = report(|| Err(Error::InvalidJson("é".repeat(MESSAGE_CAPACITY))));
        assert_eq!(status, DIFFQUANT_STATUS_INVALID_JSON);
        let message = last_message();
        assert!(message.len() >= MESSAGE_CAPACITY - 3 && message.ends_with('é'), "{message}");
    }

    #[test]
    fn all_but_one_byte_of_a_message_is_text() {
        report(|| Err(Error::InvalidJson("e".repeat(MESSAGE_CAPACITY))));
        assert_eq!(last_message().len(), MESSAGE_CAPACITY - 1);
    }

    #[test]
    fn a_nul_inside_a_message_does_not_end_it() {
        report(|| Err(Error::InvalidJson("before\0after".into())));
        assert!(last_message().ends_with("before after"));
    }

    #[test]
    fn each_thread_has_its_own_message() {
        report(|| Err(Error::OutOfMemory));
        std::thread::spawn(|| assert_eq!(last_message(), "")).join().unwrap();
        assert_eq!(last_message(), "out of memory");
    }

    #[test]
    fn success_keeps_the_message() {
        report(|| Err(Error::OutOfMemory));
        assert_eq!(report(|| Ok(())), DIFFQUANT_STATUS_OK);
        assert_eq!(last_message(), "out of memory");
    }
}
