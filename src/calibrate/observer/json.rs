//! An observer as text: what a rank sends to another, or a run leaves for the next.
//!
//! A version says what a text means. A later minor version may add fields, which this one ignores; a later major version is
//! refused. Numbers are exact: counts as integers, floats by the shortest decimal form that only they have.

use super::group::Group;
use super::{ObservedCount, Observer, ObserverKind, Slice};
use crate::error::Error;
use crate::kernels::{BINS_OF_EXPONENT, BITS_WITHIN_BIN, EXPONENTS, NOT_FINITE};
use serde::{Deserialize, Serialize};
use std::io;

/// Longest text that is read. A histogram has some 10 KiB for each channel, 230 if it has every bin.
pub(crate) const MAX_JSON_LENGTH: usize = 1 << 28;

const FORMAT: &str = "diffquant.observer";
const VERSION: (u32, u32) = (1, 0);

#[derive(Serialize, Deserialize)]
struct Text {
    format: String,
    version: String,
    kind: ObserverKind,
    /// Indices of the axis, and elements of each after it.
    channels: usize,
    inner: usize,
    groups: Vec<GroupText>,
}

#[derive(Serialize, Deserialize)]
struct GroupText {
    finite: u64,
    non_finite: u64,
    /// None without a finite element.
    min: Option<f32>,
    max: Option<f32>,
    /// The leading 13 bits of its floats, and how many there are, of each bin that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bins: Vec<(usize, u64)>,
}

/// What tells whether the rest can be read at all.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: String,
}

impl Observer {
    /// Writes the observer as JSON, without white space.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_json(&self) -> Result<String, Error> {
        let mut groups = Vec::new();
        groups.try_reserve_exact(self.groups.len())?;
        for group in &self.groups {
            groups.push(GroupText::of(group)?);
        }
        let text = Text {
            format: FORMAT.into(),
            version: format!("{}.{}", VERSION.0, VERSION.1),
            kind: self.kind,
            channels: self.slice.channels,
            inner: self.slice.inner,
            groups,
        };
        let mut bytes = Bytes(Vec::new());
        serde_json::to_writer(&mut bytes, &text).map_err(|_| Error::OutOfMemory)?;
        String::from_utf8(bytes.0).map_err(|_| Error::Internal("JSON is UTF-8"))
    }

    /// Reads an observer. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] for a text that [`to_json`](Self::to_json) of this major version cannot have written, or that is
    /// longer than 256 MiB; [`Error::OutOfMemory`].
    pub fn from_json(json: &str) -> Result<Observer, Error> {
        if json.len() > MAX_JSON_LENGTH {
            return Err(too_long(json.len()));
        }
        let head: Head = serde_json::from_str(json).map_err(invalid)?;
        check_head(&head)?;
        let text: Text = serde_json::from_str(json).map_err(invalid)?;
        text.kind.validate().map_err(invalid)?;
        let slice = Slice { channels: text.channels, inner: text.inner };
        let elements = slice.channels.checked_mul(slice.inner).filter(|elements| *elements <= isize::MAX as usize / 4);
        if elements.is_none_or(|elements| elements == 0) {
            return Err(refused(format!("{} channels of {} elements are no shape", slice.channels, slice.inner)));
        }
        if text.groups.len() != slice.channels {
            return Err(refused(format!("groups has {} entries for {} channels", text.groups.len(), slice.channels)));
        }
        let mut observer = Observer::empty(text.kind, slice)?;
        for (index, (group, text)) in observer.groups.iter_mut().zip(text.groups).enumerate() {
            text.check(observer.kind).map_err(|why| refused(format!("groups[{index}]: {why}")))?;
            *group = text.group()?;
        }
        Ok(observer)
    }
}

impl GroupText {
    fn of(group: &Group) -> Result<GroupText, Error> {
        let rows = group.histogram.rows();
        let mut bins = Vec::new();
        bins.try_reserve_exact(rows.len() * BINS_OF_EXPONENT)?;
        for row in rows {
            let bins_of_row = row.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            bins.extend(bins_of_row.map(|(place, count)| (row.exponent * BINS_OF_EXPONENT + place, *count)));
        }
        let ObservedCount { finite, non_finite } = group.count;
        let (min, max) = group.range().unzip();
        Ok(GroupText { finite, non_finite, min, max, bins })
    }

    /// What is wrong with it, in words.
    fn check(&self, kind: ObserverKind) -> Result<(), String> {
        let (min, max) = match (self.min, self.max) {
            (None, None) if self.finite == 0 && self.bins.is_empty() => return Ok(()),
            (Some(min), Some(max)) if self.finite > 0 => (min, max),
            _ => return Err(format!("min and max must be there, and bins may, where finite is not 0 but {}", self.finite)),
        };
        if !(min.is_finite() && max.is_finite() && min <= max) {
            return Err(format!("the range is {min} to {max}"));
        }
        if kind != ObserverKind::Histogram {
            return if self.bins.is_empty() { Ok(()) } else { Err(format!("bins of a {}", kind.name())) };
        }
        let mut sum = 0u64;
        let mut before = None;
        for &(bin, count) in &self.bins {
            if bin >= EXPONENTS * BINS_OF_EXPONENT || bin / BINS_OF_EXPONENT % (EXPONENTS / 2) == NOT_FINITE {
                return Err(format!("there is no bin {bin}"));
            }
            if before.is_some_and(|before| bin <= before) {
                return Err(format!("bin {bin} is out of order"));
            }
            if count == 0 {
                return Err(format!("bin {bin} has a count of 0"));
            }
            sum = sum.saturating_add(count);
            before = Some(bin);
        }
        if sum != self.finite {
            return Err(format!("bins have {sum} elements, finite is {}", self.finite));
        }
        // Negative bins follow, from small to large magnitudes.
        let (positive, negative) = self.bins.split_at(self.bins.partition_point(|(bin, _)| *bin < FIRST_NEGATIVE));
        let lowest = negative.last().or(positive.first());
        let highest = positive.last().or(negative.first());
        for (name, number, bin) in [("min", min, lowest), ("max", max, highest)] {
            if !bin.is_some_and(|(bin, _)| is_in_bin(number, *bin)) {
                return Err(format!("{name} is {number}, which is not in the outermost bin"));
            }
        }
        Ok(())
    }

    /// The group, of a text that was checked.
    fn group(self) -> Result<Group, Error> {
        let mut group = Group::default();
        group.add_count(ObservedCount { finite: self.finite, non_finite: self.non_finite });
        if let (Some(min), Some(max)) = (self.min, self.max) {
            group.add_range(min + 0.0, max + 0.0);
        }
        for (bin, count) in self.bins {
            group.histogram.add_bin(bin / BINS_OF_EXPONENT, bin % BINS_OF_EXPONENT, count)?;
        }
        Ok(group)
    }
}

const FIRST_NEGATIVE: usize = EXPONENTS / 2 * BINS_OF_EXPONENT;

fn is_in_bin(number: f32, bin: usize) -> bool {
    let start = |bin: usize| f32::from_bits((bin as u32) << BITS_WITHIN_BIN);
    let (start, next) = (start(bin), start(bin + 1));
    if bin < FIRST_NEGATIVE { start <= number && number < next } else { next < number && number <= start }
}

/// Refuses another format, or a version that this one does not understand.
fn check_head(Head { format, version }: &Head) -> Result<(), Error> {
    if format != FORMAT {
        return Err(refused(format!("format is {format:?}; it must be {FORMAT:?}")));
    }
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?;
    match version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?))) {
        Some((major, _)) if major == VERSION.0 => Ok(()),
        Some((major, _)) => {
            Err(refused(format!("version is {version}; this library reads version {}, not {major}", VERSION.0)))
        }
        None => Err(refused(format!("version is {version:?}; it must be two numbers, such as \"1.0\""))),
    }
}

/// The refusal of a text of `length` bytes.
pub(crate) fn too_long(length: usize) -> Error {
    refused(format!("{length} bytes; at most {MAX_JSON_LENGTH} are read"))
}

fn refused(why: String) -> Error {
    Error::InvalidJson(why)
}

fn invalid(error: impl std::fmt::Display) -> Error {
    refused(error.to_string())
}

/// Text that grows as far as memory goes.
struct Bytes(Vec<u8>);

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(bytes.len())?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
