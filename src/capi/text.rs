//! JSON that comes in, and JSON that goes out into a caller's buffer.

use super::pointer::{self, Span};
use crate::error::Error;
use std::ffi::c_char;
use std::io::{self, Write};

/// A text that is read, at most `most` bytes of it; longer ones are refused with `too_long`.
///
/// # Safety
/// `json` keeps the header's conventions, and nobody writes the text during `'a`.
pub(super) unsafe fn read<'a>(
    json: *const c_char,
    len: usize,
    most: usize,
    too_long: impl FnOnce(usize) -> Error,
) -> Result<&'a str, Error> {
    if json.is_null() {
        return Err(Error::NullPointer { argument: "json" });
    }
    Span::of("json", json, len)?;
    if len > most {
        return Err(too_long(len));
    }
    // SAFETY: not NULL, and `len` bytes by the header's conventions.
    let bytes = unsafe { std::slice::from_raw_parts(json.cast::<u8>(), len) };
    std::str::from_utf8(bytes).map_err(|error| Error::InvalidUtf8 { valid_up_to: error.valid_up_to() })
}

/// A text that is written. `make` gives its length, which the caller is told, and what writes it, which is called where the
/// caller's buffer takes that and a NUL.
///
/// # Safety
/// The pointers keep the header's conventions.
pub(super) unsafe fn write<Fill: FnOnce(&mut Buffer) -> Result<(), Error>>(
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
    make: impl FnOnce() -> Result<(usize, Fill), Error>,
) -> Result<(), Error> {
    let length_span = Span::of("len", len, 1)?;
    Span::of("buf", buf, cap)?.apart_from(length_span)?;
    let (length, fill) = make()?;
    // SAFETY: `len` was checked above.
    unsafe { pointer::write("len", len, length)? };
    if cap <= length {
        return Err(Error::BufferTooSmall { capacity: cap, needed: length + 1 });
    }
    let mut buffer = Buffer { next: buf.cast(), left: length };
    fill(&mut buffer)?;
    // SAFETY: `buf` takes `cap` bytes, more than the `length` that the buffer let pass.
    unsafe { buffer.next.write(0) };
    Ok(())
}

/// As [`write`], for a text that is at hand as a whole.
///
/// # Safety
/// The pointers keep the header's conventions.
pub(super) unsafe fn write_string(
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
    make: impl FnOnce() -> Result<String, Error>,
) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    unsafe {
        write(buf, cap, len, || {
            let text = make()?;
            Ok((text.len(), move |buffer: &mut Buffer| buffer.put(&text)))
        })
    }
}

/// Room for a text, which need not be initialised.
pub(super) struct Buffer {
    next: *mut u8,
    left: usize,
}

impl Buffer {
    /// Writes the whole of a text.
    fn put(&mut self, text: &str) -> Result<(), Error> {
        self.write_all(text.as_bytes()).map_err(|_| Error::Internal("a text is longer than it said"))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.left);
        // SAFETY: `left` bytes from `next` on are the caller's buffer, and `count` is no more; the text is not in it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.next, count);
            self.next = self.next.add(count);
        }
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
