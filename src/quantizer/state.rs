//! A quantizer as JSON, and back, bit for bit.
//!
//! ```json
//! {"format":"diffquant.quantizer","version":"1.1","bits":4,"pi_k":null,"code_range":"Full","symmetric":true,
//!  "rounding":"HalfAway","ste_variant":"Lsq","granularity":"PerChannel","channels":2,"shape":null,"axis":null,
//!  "use_incoherence":false,"rotation_seed":0,"seed":0,"first_element":0,"non_finite":"Zero","scales":[0.1,0.25],"zero_points":null,"offsets":null}
//! ```
//!
//! - `format` and `version` come first in what is judged, whatever else there is. A reader of version 1.x reads every 1.y: it
//!   ignores fields that it does not know, and takes fields that are absent, from `channels` on but for `scales`, as null.
//!   Another major version is refused.
//! - 1.1 added `seed`, `first_element`, `non_finite` and the rounding `"Stochastic"`. A text without them means 0, 0 and `"Zero"`; a reader
//!   of 1.0 refuses that rounding, and loses the others.
//! - `ste_variant` and `granularity` are written as in a configuration, see [`QatConfig`](crate::QatConfig).
//! - `channels` is their number where no shape was declared; `shape`, with the `axis` of the channels or blocks, is one that means the
//!   same as the one that was declared, with dimensions multiplied together where nothing depends on them.
//! - Numbers per group are in group order. `zero_points` is null where all are the range's, `offsets` where all are 0. Floats are written
//!   with the digits that tell them from every other float.
//!
//! Who runs the quantizer, its threads or the host's pool, is the process's and no part of the state.
//!
//! Nothing here trusts the text: numbers per group are counted before memory is asked for, and every value goes through the check that guards its setter.

use super::range::CodeRange;
use super::rounding::{NonFinite, RoundingMode};
use super::{DifferentiableQuantizer, Grid, PiQuantDifferentiable, UniformQuantizer};
use crate::config::QuantGranularity;
use crate::error::Error;
use crate::json::{self, Length, Raw, Start, refused};
use crate::layout::{Layout, check_dimensions};
use crate::ste::SteVariant;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::Write;
use std::str::FromStr;

const FORMAT: &str = "diffquant.quantizer";

/// The version that is written; of those with the same major number, every one is read.
const VERSION: &str = "1.1";
const MAJOR: u32 = 1;

/// Longest text that is read: some twenty million groups.
pub(crate) const MAX_STATE_LENGTH: usize = 1 << 28;

/// What has to be right before anything else is looked at.
#[derive(Deserialize)]
struct Header {
    format: Start,
    version: Start,
}

/// Everything. The arrays are [`Each`] when it is written, and their text when it is read.
#[derive(Serialize, Deserialize)]
struct State<Shape, Scales, ZeroPoints, Offsets> {
    format: Start,
    version: Start,
    bits: u32,
    pi_k: Option<u32>,
    code_range: CodeRange,
    symmetric: bool,
    rounding: RoundingMode,
    ste_variant: SteVariant,
    granularity: QuantGranularity,
    channels: Option<usize>,
    shape: Option<Shape>,
    axis: Option<usize>,
    #[serde(default)]
    use_incoherence: bool,
    #[serde(default)]
    rotation_seed: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    first_element: u64,
    #[serde(default)]
    non_finite: NonFinite,
    scales: Scales,
    zero_points: Option<ZeroPoints>,
    offsets: Option<Offsets>,
}

/// A state that is read.
type Text<'a> = State<Raw<'a>, Raw<'a>, Raw<'a>, Raw<'a>>;

impl Grid {
    /// How many bytes [`write_json`](Self::write_json) writes.
    pub(crate) fn json_length(&self) -> Result<usize, Error> {
        let mut length = Length::default();
        self.write_json(&mut length)?;
        Ok(length.0)
    }

    /// Writes the state. Allocates nothing, unless `to` does.
    pub(crate) fn write_json(&self, to: impl Write) -> Result<(), Error> {
        let groups = self.groups();
        let home = self.home() as i32;
        let shape = self.layout.shape();
        let state = State {
            format: Start::of(FORMAT),
            version: Start::of(VERSION),
            bits: self.bits(),
            pi_k: self.k().ok(),
            code_range: self.code_range(),
            symmetric: self.is_symmetric(),
            rounding: self.rounding,
            ste_variant: self.ste(),
            granularity: self.granularity(),
            channels: self.layout.channels(),
            shape: shape.map(|(shape, _)| shape),
            axis: shape.map(|(_, axis)| axis),
            use_incoherence: self.is_incoherent(),
            rotation_seed: self.rotation_seed(),
            seed: self.seed.seed,
            first_element: self.seed.first_element,
            non_finite: self.non_finite,
            scales: self.scales(),
            zero_points: (0..groups)
                .any(|group| self.zero_point(group) != home)
                .then_some(Each(groups, |group| self.zero_point(group))),
            // -0.0 is not nothing.
            offsets: (0..groups)
                .any(|group| self.offset(group).to_bits() != 0)
                .then_some(Each(groups, |group| self.offset(group))),
        };
        json::write(to, &state)
    }

    /// The grid whose state a text is.
    ///
    /// # Errors
    /// [`Error::InvalidJson`], [`Error::UnsupportedVersion`], those of the setters for what they would refuse,
    /// [`Error::LengthMismatch`] unless there is a number for each group, [`Error::OutOfMemory`].
    pub(crate) fn from_json(json: &str) -> Result<Self, Error> {
        if json.len() > MAX_STATE_LENGTH {
            return Err(too_long(json.len()));
        }
        json::read::<Header>(json)?.check()?;
        let state: Text<'_> = json::read(json)?;
        let mut grid = match state.pi_k {
            Some(k) => Grid::pi(state.bits, k, state.ste_variant)?,
            None => Grid::uniform(state.bits, state.ste_variant)?,
        };
        grid.set_granularity(state.granularity)?;
        let layout = state.layout(grid.layout)?;
        let scales = numbers("scales", state.scales, layout.groups())?;
        grid.restart(layout, 1.0)?;
        grid.set_scales(scales[..].into())?;
        grid.set_code_range(state.code_range);
        grid.set_symmetric(state.symmetric);
        if let Some(text) = state.zero_points {
            grid.set_zero_points(numbers("zero_points", text, layout.groups())?[..].into())?;
        }
        if let Some(text) = state.offsets {
            grid.set_offsets(numbers("offsets", text, layout.groups())?[..].into())?;
        }
        grid.set_rounding(state.rounding);
        grid.set_seed(state.seed, state.first_element);
        grid.set_non_finite(state.non_finite);
        grid.set_incoherent(state.use_incoherence);
        grid.set_rotation_seed(state.rotation_seed);
        Ok(grid)
    }
}

/// The quantizer whose state [`DifferentiableQuantizer::to_json`] wrote.
///
/// # Errors
/// [`Error::InvalidJson`] for text that is no such state or is longer than 256 MiB, [`Error::UnsupportedVersion`] for one of another
/// major version, the setters' errors for what they would refuse, [`Error::LengthMismatch`] unless there is a number for each
/// group.
pub fn quantizer_from_json(json: &str) -> Result<Box<dyn DifferentiableQuantizer>, Error> {
    let grid = Grid::from_json(json)?;
    Ok(if grid.k().is_ok() {
        Box::new(PiQuantDifferentiable::from_grid(grid))
    } else {
        Box::new(UniformQuantizer::from_grid(grid))
    })
}

/// The refusal of a text of `length` bytes.
pub(crate) fn too_long(length: usize) -> Error {
    refused(format_args!("{length} bytes; at most {MAX_STATE_LENGTH} are read"))
}

impl Header {
    fn check(&self) -> Result<(), Error> {
        if self.format.whole() != Some(FORMAT) {
            return Err(refused(format_args!("format is {:?}; it must be {FORMAT:?}", self.format)));
        }
        let numbers = self.version.whole().and_then(|version| version.split_once('.'));
        match numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?))) {
            Some((MAJOR, _)) => Ok(()),
            Some((major, minor)) => Err(Error::UnsupportedVersion { major, minor, read: MAJOR }),
            None => Err(refused(format_args!("version is {:?}; it must be two numbers and a point", self.version))),
        }
    }
}

impl Text<'_> {
    /// The layout of what was declared, beginning with that of the granularity alone.
    fn layout(&self, granular: Layout) -> Result<Layout, Error> {
        match (self.channels, self.shape) {
            (None, None) => Ok(granular),
            (Some(channels), None) if self.granularity == QuantGranularity::PerChannel => Layout::per_channel(channels),
            (None, Some(text)) => {
                let dimensions = count("shape", text)?;
                check_dimensions(dimensions)?;
                granular.with_shape(&numbers::<usize>("shape", text, dimensions)?, self.axis.unwrap_or(0))
            }
            _ => Err(refused("channels belong to the granularity PerChannel without a shape")),
        }
    }
}

/// `count` numbers, one by one.
struct Each<Number>(usize, Number);

impl<T: Serialize, Number: Fn(usize) -> T> Serialize for Each<Number> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0).map(&self.1))
    }
}

/// The `expected` numbers of an array, for which memory is asked once and may be refused.
fn numbers<T: FromStr>(argument: &'static str, text: Raw<'_>, expected: usize) -> Result<Vec<T>, Error> {
    let actual = count(argument, text)?;
    if actual != expected {
        return Err(Error::LengthMismatch { argument, actual, expected });
    }
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(expected)?;
    json::read_part(argument, text, Fill(&mut numbers))?;
    Ok(numbers)
}

/// How many elements an array has.
fn count(argument: &'static str, text: Raw<'_>) -> Result<usize, Error> {
    json::read_part(argument, text, Count)
}

struct Count;

impl<'a> DeserializeSeed<'a> for Count {
    type Value = usize;

    fn deserialize<D: Deserializer<'a>>(self, array: D) -> Result<usize, D::Error> {
        array.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Count {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Fills a vector to its capacity.
struct Fill<'v, T>(&'v mut Vec<T>);

impl<'a, T: FromStr> DeserializeSeed<'a> for Fill<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, array: D) -> Result<(), D::Error> {
        array.deserialize_seq(self)
    }
}

impl<'a, T: FromStr> Visitor<'a> for Fill<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        // A float is the one nearest to its digits; what is read as f64 would be rounded twice.
        while let Some(element) = elements.next_element::<Raw<'a>>()? {
            match element.text().parse() {
                Ok(number) if self.0.len() < self.0.capacity() => self.0.push(number),
                _ => return Err(A::Error::custom("no number, or not one of its kind")),
            }
        }
        Ok(())
    }
}
