//! JSON that can run out of memory without harm: reading and writing ask for it in a way that may be refused.
//!
//! The types of a text are serde's, derived where they are declared. Between them and the text stands what allocates: serde_json's
//! reader allocates strings, errors and open brackets in a way that ends the process when it fails, so [`read`] has a reader
//! of its own, over the lexer of hifijson, which never allocates. What is read, and what is refused, is the same; see
//! `tests.rs`. serde_json's writer allocates nothing but the error of a writer that fails: ours do not.

mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::{Raw, read, read_part};

use crate::error::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display};
use std::io;

/// The refusal of a text.
pub(crate) fn refused(why: impl Display) -> Error {
    formatted(why).map_or_else(|error| error, Error::InvalidJson)
}

/// [`ToString::to_string`], where there may be no memory for it.
fn formatted(what: impl Display) -> Result<String, Error> {
    let mut text = Growing::default();
    // What is displayed here has no error of its own, and the text has none.
    let _ = fmt::write(&mut text, format_args!("{what}"));
    text.complete()
}

/// Writes a value without white space.
pub(crate) fn write(to: impl io::Write, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(to, value).map_err(|_| Error::Internal("a value cannot be written as JSON"))
}

/// Writes a value on several lines, indented by two spaces.
pub(crate) fn write_pretty(to: impl io::Write, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer_pretty(to, value).map_err(|_| Error::Internal("a value cannot be written as JSON"))
}

/// A text that grows as far as memory goes. What there is no room for is lost, and known to be: an error on the way would be one more
/// thing that writers allocate.
#[derive(Default)]
pub(crate) struct Growing {
    bytes: Vec<u8>,
    lost: bool,
}

impl Growing {
    fn push(&mut self, bytes: &[u8]) {
        self.lost = self.lost || self.bytes.try_reserve(bytes.len()).is_err();
        if !self.lost {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// All of it, or the refusal.
    pub(crate) fn complete(self) -> Result<String, Error> {
        if self.lost {
            return Err(Error::OutOfMemory);
        }
        String::from_utf8(self.bytes).map_err(|_| Error::Internal("what was written is not UTF-8"))
    }
}

impl fmt::Write for Growing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl io::Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that only counts.
#[derive(Default)]
pub(crate) struct Length(pub(crate) usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The start of a string: enough to compare it with a name, and to show what it is instead.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    bytes: [u8; Start::CAPACITY],
    length: usize,
    whole: bool,
}

impl Start {
    const CAPACITY: usize = 40;

    pub(crate) fn of(text: &str) -> Start {
        let most = text.len().min(Start::CAPACITY);
        let length = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let mut bytes = [0; Start::CAPACITY];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Start { bytes, length, whole: length == text.len() }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// The string, if this is all of it.
    pub(crate) fn whole(&self) -> Option<&str> {
        self.whole.then(|| self.as_str())
    }
}

/// In quotes, where it is shown.
impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Start, E> {
                Ok(Start::of(text))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
