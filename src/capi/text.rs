//! Text in and out: JSON that a caller hands over, and a caller's buffer for it.

use super::pointer::{self, Span};
use crate::error::Error;
use std::ffi::c_char;

/// The `len` bytes from `json`, which are UTF-8 and at most `most`; `too_long` is the refusal of more.
///
/// # Safety
/// A pointer that is not NULL is valid for reads of `len` bytes during `'a`.
pub(super) unsafe fn json<'a>(
    json: *const c_char,
    len: usize,
    most: usize,
    too_long: fn(usize) -> Error,
) -> Result<&'a str, Error> {
    if json.is_null() {
        return Err(Error::NullPointer { argument: "json" });
    }
    Span::of("json", json, len)?;
    if len > most {
        return Err(too_long(len));
    }
    // SAFETY: not NULL; the rest is the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(json.cast::<u8>(), len) };
    std::str::from_utf8(bytes).map_err(|error| Error::InvalidUtf8 { valid_up_to: error.valid_up_to() })
}

/// Writes what `make` gives and a NUL to `buf`, and its length without the NUL to `len`, this also where `cap` is too small.
///
/// # Safety
/// Pointers that are not NULL are valid for writes: `buf` of `cap` bytes, `len` of one number.
pub(super) unsafe fn write(
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
    make: impl FnOnce() -> Result<String, Error>,
) -> Result<(), Error> {
    let length_span = Span::of("len", len, 1)?;
    Span::of("buf", buf, cap)?.apart_from(length_span)?;
    let text = make()?;
    // SAFETY: `len` was checked above.
    unsafe { pointer::write("len", len, text.len())? };
    if cap <= text.len() {
        return Err(Error::BufferTooSmall { capacity: cap, needed: text.len() + 1 });
    }
    // SAFETY: `buf` takes `cap` bytes by the caller's promise, and the text and its NUL are no more than that.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buf.cast::<u8>(), text.len());
        buf.add(text.len()).write(0);
    }
    Ok(())
}
