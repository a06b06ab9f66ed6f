//! The one error type: what was wrong, which argument carried it, and what would have been right.
//!
//! A message is the only thing that a C caller sees beside the status code, so every variant names the argument and the
//! value as the header spells them. Most variants own no memory: reporting a failure must not be able to fail.

use std::fmt;

/// A number that was refused, kept as it was given so that a message shows `9` for bits and `-0.5` for a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// A floating-point number.
    Float(f32),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => value.fmt(f),
            Value::Float(value) => value.fmt(f),
        }
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Value::Float(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Integer(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Value::Integer(value as u64)
    }
}

/// In what two objects can differ: a name or a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Property {
    /// A name.
    Name(&'static str),
    /// A number.
    Number(Value),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Name(name) => name.fmt(f),
            Property::Number(value) => value.fmt(f),
        }
    }
}

/// Why a call was refused. Whenever a function returns one, it has changed nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pointer that must not be NULL was.
    #[error("{argument} is NULL")]
    NullPointer {
        /// Name of the argument.
        argument: &'static str,
    },
    /// A pointer is not aligned for its element type.
    #[error("{argument} is not aligned to {alignment} bytes")]
    Misaligned {
        /// Name of the argument.
        argument: &'static str,
        /// The alignment that its elements need.
        alignment: usize,
    },
    /// A handle that is none, or no longer one, of an object of the expected type.
    #[error("{argument} is not {expected}: it was freed, or is of another type")]
    InvalidHandle {
        /// Name of the argument.
        argument: &'static str,
        /// What it should be, with an article.
        expected: &'static str,
    },
    /// Two buffers share memory in a way that is not the exact in-place use.
    #[error("{first} and {second} overlap; only the exact same start is allowed, and only where documented")]
    Overlap {
        /// Name of one buffer.
        first: &'static str,
        /// Name of the other.
        second: &'static str,
    },
    /// A length is larger than memory can be.
    #[error("{argument} is {length} elements, more than an address space holds")]
    SizeOverflow {
        /// Name of the buffer.
        argument: &'static str,
        /// The length asked for, in elements.
        length: usize,
    },
    /// An enumeration value that this version does not know.
    #[error("{argument} is {value}, which is no known constant")]
    UnknownConstant {
        /// Name of the argument.
        argument: &'static str,
        /// The value given.
        value: u32,
    },
    /// A number outside its range.
    #[error("{argument} is {value}; it must be {allowed}")]
    InvalidArgument {
        /// Name of the argument.
        argument: &'static str,
        /// The value given.
        value: Value,
        /// What would have been accepted, in words.
        allowed: &'static str,
    },
    /// An element outside its range.
    #[error("{argument}[{index}] is {value}; it must be {allowed}")]
    InvalidElement {
        /// Name of the buffer.
        argument: &'static str,
        /// Position of the first such element.
        index: usize,
        /// The element.
        value: f32,
        /// What would have been accepted, in words.
        allowed: &'static str,
    },
    /// A buffer has another length than the call needs.
    #[error("{argument} has {actual} elements; {expected} are needed")]
    LengthMismatch {
        /// Name of the buffer.
        argument: &'static str,
        /// Its length.
        actual: usize,
        /// The length needed.
        expected: usize,
    },
    /// A tensor cannot be cut into equal channels.
    #[error("n is {n}, which is no multiple of the {channels} channels")]
    NotDivisible {
        /// Elements in the tensor.
        n: usize,
        /// Channels of the quantizer.
        channels: usize,
    },
    /// A tensor cannot be cut into whole tokens.
    #[error("n is {n}, which is no multiple of the last dimension, {last}")]
    CutToken {
        /// Elements in the tensor.
        n: usize,
        /// Elements of a token.
        last: usize,
    },
    /// A buffer cannot be cut into whole rows of a rotation.
    #[error("n is {n}, which is no multiple of the rotation's length, {length}")]
    CutRow {
        /// Elements in the buffer.
        n: usize,
        /// Elements of a row.
        length: usize,
    },
    /// A tensor has another length than the shape that was declared.
    #[error("n is {n}; the quantizer's shape has {expected} elements")]
    ShapeMismatch {
        /// Elements in the tensor.
        n: usize,
        /// Elements of the shape.
        expected: usize,
    },
    /// A batch of an observer ends inside one of its channels.
    #[error("n is {n}, which is no multiple of {of}, the elements of one index before the axis")]
    CutBatch {
        /// Elements of the batch.
        n: usize,
        /// What it must be a multiple of.
        of: usize,
    },
    /// The granularity needs a shape, and none was declared.
    #[error("the quantizer has no shape yet, which its granularity needs")]
    NoShape,
    /// An index is past the end.
    #[error("{argument} is {index}; there are {count}, counted from 0")]
    IndexOutOfRange {
        /// Name of the argument.
        argument: &'static str,
        /// The index given.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The quantizer has no such property.
    #[error("there is no {property}: this is {kind}")]
    NotApplicable {
        /// What was asked for.
        property: &'static str,
        /// The kind of quantizer, in words.
        kind: &'static str,
    },
    /// An observer has seen nothing that a range could be made of.
    #[error("group {group} of the observer has no finite observation yet")]
    NoData {
        /// The first such group.
        group: usize,
    },
    /// Two observers that do not go together.
    #[error("the observers differ in {property}: {first} and {second}")]
    Incompatible {
        /// In what they differ.
        property: &'static str,
        /// That of one.
        first: Property,
        /// That of the other.
        second: Property,
    },
    /// A zero point outside the range of codes.
    #[error("{argument}[{index}] is {value}; it must be a code, from {min} to {max}")]
    ZeroPoint {
        /// Name of the buffer.
        argument: &'static str,
        /// Position of the first such element.
        index: usize,
        /// The element.
        value: i32,
        /// The smallest code.
        min: i32,
        /// The largest code.
        max: i32,
    },
    /// A configuration that does not validate.
    #[error("config field {field} is {value}; it must be {allowed}")]
    InvalidConfig {
        /// Name of the field, as in its JSON form.
        field: &'static str,
        /// The value it has.
        value: Value,
        /// What would have been accepted, in words.
        allowed: &'static str,
    },
    /// A NaN or an infinity where only finite numbers make sense.
    #[error("{argument}[{index}] is {value}; it must be finite")]
    NonFinite {
        /// Name of the buffer.
        argument: &'static str,
        /// Position of the first such element.
        index: usize,
        /// The element.
        value: f32,
    },
    /// Text that is not the JSON of a configuration, or of a quantizer.
    #[error("JSON refused: {0}")]
    InvalidJson(String),
    /// A state of another major version than is read.
    #[error("the state is of version {major}.{minor}; this library reads versions {read}.x")]
    UnsupportedVersion {
        /// The state's major version.
        major: u32,
        /// The state's minor version.
        minor: u32,
        /// The major version that is read.
        read: u32,
    },
    /// Text that is not UTF-8.
    #[error("JSON refused: not UTF-8 from byte {valid_up_to} on")]
    InvalidUtf8 {
        /// Bytes before the first invalid one.
        valid_up_to: usize,
    },
    /// A caller's buffer cannot take the result.
    #[error("buf is too small: cap is {capacity}; {needed} bytes are needed with the terminating NUL")]
    BufferTooSmall {
        /// Bytes offered.
        capacity: usize,
        /// Bytes needed, the NUL included.
        needed: usize,
    },
    /// Memory could not be had.
    #[error("out of memory")]
    OutOfMemory,
    /// A valid request that this version does not carry out.
    #[error("not supported by this version: {feature}")]
    Unsupported {
        /// What was asked for, in words.
        feature: &'static str,
    },
    /// A defect of this library, caught before it could harm the caller.
    #[error("internal error, please report it: {0}")]
    Internal(&'static str),
}

impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Self {
        Error::OutOfMemory
    }
}
