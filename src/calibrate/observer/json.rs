//! An observer as text: what a rank sends to another, or a run leaves for the next.
//!
//! A version says what a text means. A later minor version may add fields, which this one ignores; a later major version is
//! refused. Numbers are exact: counts as integers, and floats as the f64 of the same value, whose decimal form may lose a last bit
//! to a reader's rounding without harm. (The reader that never does would refuse configurations that were read so far.)

use super::group::Group;
use super::{ObservedCount, Observer, ObserverKind, Slice};
use crate::error::Error;
use crate::json::{self, Growing, Start, refused};
use crate::kernels::{BINS_OF_EXPONENT, BITS_WITHIN_BIN, EXPONENTS, NOT_FINITE};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display};
use std::marker::PhantomData;

/// Longest text that is read. A histogram has some 10 KiB for each channel, 230 if it has every bin.
pub(crate) const MAX_JSON_LENGTH: usize = 1 << 28;

const FORMAT: &str = "diffquant.observer";
const VERSION: &str = "1.0";

#[derive(Serialize, Deserialize)]
struct Text {
    format: Start,
    version: Start,
    kind: KindText,
    /// Indices of the axis, and elements of each after it.
    channels: usize,
    inner: usize,
    groups: Many<GroupText>,
}

/// What says how to read the rest.
#[derive(Deserialize)]
struct Head {
    format: Start,
    version: Start,
}

#[derive(Serialize, Deserialize)]
enum KindText {
    MinMax,
    MovingAverage { averaging_constant: f64 },
    Histogram,
}

#[derive(Serialize, Deserialize)]
struct GroupText {
    finite: u64,
    non_finite: u64,
    /// None without a finite element.
    min: Option<f64>,
    max: Option<f64>,
    /// The leading 13 bits of its floats, and how many there are, of each bin that has some.
    #[serde(default, skip_serializing_if = "Many::is_empty")]
    bins: Many<(usize, u64)>,
}

impl Observer {
    /// Writes the observer as JSON, without white space.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_json(&self) -> Result<String, Error> {
        let mut groups = Many::default();
        for group in &self.groups {
            groups.push(GroupText::of(group)?);
        }
        let Slice { channels, inner } = self.slice;
        let kind = match self.kind {
            ObserverKind::MinMax => KindText::MinMax,
            ObserverKind::MovingAverage { averaging_constant: c } => {
                KindText::MovingAverage { averaging_constant: c.into() }
            }
            ObserverKind::Histogram => KindText::Histogram,
        };
        let (format, version) = (Start::of(FORMAT), Start::of(VERSION));
        let whole = Text { format, version, kind, channels, inner, groups: groups.complete()? };
        let mut text = Growing::default();
        json::write(&mut text, &whole)?;
        text.complete()
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
        let Text { format, version, kind, channels, inner, groups } =
            json::read(json).map_err(|error| match json::read(json).map(check_head) {
                // Of another version, it may well not be what is expected here.
                Ok(Err(refusal)) => refusal,
                _ => error,
            })?;
        check_head(Head { format, version })?;
        let groups = groups.complete()?.all;
        let kind = match kind {
            KindText::MinMax => ObserverKind::MinMax,
            KindText::MovingAverage { averaging_constant: c } => {
                ObserverKind::MovingAverage { averaging_constant: c as f32 }
            }
            KindText::Histogram => ObserverKind::Histogram,
        };
        kind.validate().map_err(refused)?;
        let elements =
            channels.checked_mul(inner).filter(|elements| *elements <= isize::MAX as usize / size_of::<f32>());
        if elements.is_none_or(|elements| elements == 0) {
            return Err(refused(format_args!("{channels} channels of {inner} neighbours are no shape")));
        }
        if groups.len() != channels {
            return Err(refused(format_args!("groups has {} entries for {channels} channels", groups.len())));
        }
        let mut observer = Observer::empty(kind, Slice { channels, inner })?;
        for (index, (group, text)) in observer.groups.iter_mut().zip(groups).enumerate() {
            let bins = text.bins.complete()?;
            let text = GroupText { bins, ..text };
            text.check(kind, |why| Err(refused(format_args!("groups[{index}]: {why}"))))?;
            *group = text.group()?;
        }
        Ok(observer)
    }
}

impl GroupText {
    fn of(group: &Group) -> Result<GroupText, Error> {
        let mut bins = Many::default();
        for row in group.histogram.rows() {
            for (place, count) in row.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                bins.push((row.exponent * BINS_OF_EXPONENT + place, *count));
            }
        }
        let ObservedCount { finite, non_finite } = group.count;
        let (min, max) = group.range().map(|(min, max)| (min.into(), max.into())).unzip();
        Ok(GroupText { finite, non_finite, min, max, bins: bins.complete()? })
    }

    /// Calls `refuse` with what is wrong with it, if something is.
    fn check(&self, kind: ObserverKind, refuse: impl Fn(&dyn Display) -> Result<(), Error>) -> Result<(), Error> {
        let (min, max) = match (self.min, self.max) {
            (None, None) if self.finite == 0 && self.bins.is_empty() => return Ok(()),
            (Some(min), Some(max)) if self.finite > 0 => (min as f32, max as f32),
            _ => {
                return refuse(&format_args!(
                    "min and max must be there, and bins may, where finite is not 0 but {}",
                    self.finite
                ));
            }
        };
        if !(min.is_finite() && max.is_finite() && min <= max) {
            return refuse(&format_args!("the range is {min} to {max}"));
        }
        if kind != ObserverKind::Histogram {
            return if self.bins.is_empty() { Ok(()) } else { refuse(&format_args!("bins of a {}", kind.name())) };
        }
        let mut sum = 0u64;
        let mut before = None;
        for &(bin, count) in &self.bins.all {
            if bin >= EXPONENTS * BINS_OF_EXPONENT || bin / BINS_OF_EXPONENT % (EXPONENTS / 2) == NOT_FINITE {
                return refuse(&format_args!("there is no bin {bin}"));
            }
            if before.is_some_and(|before| bin <= before) {
                return refuse(&format_args!("bin {bin} is out of order"));
            }
            if count == 0 {
                return refuse(&format_args!("bin {bin} has a count of 0"));
            }
            sum = sum.saturating_add(count);
            before = Some(bin);
        }
        if sum != self.finite {
            return refuse(&format_args!("bins have {sum} elements, finite is {}", self.finite));
        }
        let bins = &self.bins.all;
        // Negative bins follow, from small to large magnitudes.
        let (positive, negative) = bins.split_at(bins.partition_point(|(bin, _)| *bin < FIRST_NEGATIVE));
        let lowest = negative.last().or(positive.first());
        let highest = positive.last().or(negative.first());
        for (name, number, bin) in [("min", min, lowest), ("max", max, highest)] {
            if !bin.is_some_and(|(bin, _)| is_in_bin(number, *bin)) {
                return refuse(&format_args!("{name} is {number}, which is not in the outermost bin"));
            }
        }
        Ok(())
    }

    /// The group, of a text that was checked.
    fn group(self) -> Result<Group, Error> {
        let mut group = Group::default();
        group.add_count(ObservedCount { finite: self.finite, non_finite: self.non_finite });
        if let (Some(min), Some(max)) = (self.min, self.max) {
            group.add_range(min as f32 + 0.0, max as f32 + 0.0);
        }
        for (bin, count) in self.bins.all {
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
fn check_head(Head { format, version }: Head) -> Result<(), Error> {
    if format.whole() != Some(FORMAT) {
        return Err(refused(format_args!("format is {format:?}; it must be {FORMAT:?}")));
    }
    match version.whole().and_then(major) {
        Some(number) if Some(number) == major(VERSION) => Ok(()),
        Some(_) => {
            Err(refused(format_args!("version is {version:?}; this library reads those that begin as {VERSION} does")))
        }
        None => Err(refused(format_args!("version is {version:?}; it must be two numbers, such as {VERSION:?}"))),
    }
}

/// The first of two whole numbers with a point between them.
fn major(version: &str) -> Option<u32> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    let (major, minor) = version.split_once('.')?;
    number(minor).and(number(major))
}

/// The refusal of a text of `length` bytes.
pub(crate) fn too_long(length: usize) -> Error {
    refused(format_args!("{length} bytes; at most {MAX_JSON_LENGTH} are read"))
}

/// Elements, as far as memory went: those that there was no room for are lost, and the text is read or written to its end. (What
/// serde lets a visitor say on the way is words, among which the want of memory would be one like others.)
struct Many<T> {
    all: Vec<T>,
    lost: bool,
}

impl<T> Many<T> {
    fn push(&mut self, element: T) {
        self.lost = self.lost || self.all.try_reserve(1).is_err();
        if !self.lost {
            self.all.push(element);
        }
    }

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, or the refusal.
    fn complete(self) -> Result<Many<T>, Error> {
        if self.lost { Err(Error::OutOfMemory) } else { Ok(self) }
    }
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many { all: Vec::new(), lost: false }
    }
}

impl<T: Serialize> Serialize for Many<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Many<T>, A::Error> {
                let mut many = Many::default();
                while let Some(element) = elements.next_element()? {
                    many.push(element);
                }
                Ok(many)
            }
        }

        deserializer.deserialize_seq(Elements(PhantomData))
    }
}
