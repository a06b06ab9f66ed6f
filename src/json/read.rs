//! serde's view of a JSON text, over a lexer that never allocates.
//!
//! Two things here grow with a text, and only when it makes them: the characters of a string with escapes, and the brackets that are open
//! in a value that nobody asked for. Both, and the words of a refusal, ask for their memory; when there is none, reading ends
//! with [`Refusal::OutOfMemory`].

use super::{formatted, refused};
use crate::error::Error;
use hifijson::escape::{self, Lex as _};
use hifijson::num::{self, LexWrite as _};
use hifijson::str::{self, Lex as _, LexWrite as _};
use hifijson::token::{Expect, Lex as _};
use hifijson::{Read as _, SliceLexer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::collections::TryReserveError;
use std::fmt::{self, Display};
use std::marker::PhantomData;

/// Reads the one value of a text.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    reader.whole(PhantomData).map_err(|refusal| match refusal {
        Refusal::OutOfMemory => Error::OutOfMemory,
        Refusal::Because(why) => {
            let (line, column) = reader.place();
            refused(format_args!("{why} at line {line} column {column}"))
        }
    })
}

/// Reads a value that is part of a text, which `name` names.
pub(crate) fn read_part<'de, S: DeserializeSeed<'de>>(
    name: &'static str,
    part: Raw<'de>,
    seed: S,
) -> Result<S::Value, Error> {
    Reader::new(part.0).whole(seed).map_err(|refusal| match refusal {
        Refusal::OutOfMemory => Error::OutOfMemory,
        Refusal::Because(why) => refused(format_args!("{name}: {why}")),
    })
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There was no memory, if only for the words that say what is wrong with the text.
    OutOfMemory,
    Because(String),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OutOfMemory => f.write_str("out of memory"),
            Refusal::Because(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: Display>(why: T) -> Self {
        formatted(why).map_or(Refusal::OutOfMemory, Refusal::Because)
    }
}

impl From<TryReserveError> for Refusal {
    fn from(_: TryReserveError) -> Self {
        Refusal::OutOfMemory
    }
}

impl From<Expect> for Refusal {
    fn from(expected: Expect) -> Self {
        Refusal::custom(match expected {
            Expect::Value => "expected a value",
            Expect::ValueOrEnd => "expected a value or the end of an array or object",
            Expect::CommaOrEnd => "expected a comma or the end of an array or object",
            Expect::String => "expected a name in quotes",
            Expect::Colon => "expected a colon",
            Expect::Eof => "characters after the value",
        })
    }
}

impl From<num::Error> for Refusal {
    fn from(error: num::Error) -> Self {
        Refusal::custom(format_args!("no number: {error}"))
    }
}

impl From<str::Error> for Refusal {
    fn from(error: str::Error) -> Self {
        Refusal::custom(format_args!("no string: {error}"))
    }
}

impl From<escape::Error> for Refusal {
    fn from(error: escape::Error) -> Self {
        str::Error::Escape(error).into()
    }
}

/// The text of a value, which is JSON, whatever it says.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'de>(&'de str);

impl<'de> Raw<'de> {
    /// By this name a [`Reader`] knows that the text is wanted.
    const NAME: &'static str = "diffquant::json::Raw";

    pub(crate) fn text(&self) -> &'de str {
        self.0
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Raw<'de>, E> {
                Ok(Raw(text))
            }
        }

        deserializer.deserialize_newtype_struct(Raw::NAME, AnyText)
    }
}

pub(super) struct Reader<'de> {
    text: &'de str,
    lexer: SliceLexer<'de>,
    /// A string without its escapes.
    decoded: String,
    /// What closes the arrays and objects around what is skipped.
    open: Vec<u8>,
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Reader { text, lexer: SliceLexer::new(text.as_bytes()), decoded: String::new(), open: Vec::new() }
    }

    /// Reads a value, after which nothing follows.
    pub(super) fn whole<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let value = seed.deserialize(&mut *self)?;
        if self.lexer.ws_peek().is_some() { Err(Expect::Eof.into()) } else { Ok(value) }
    }

    /// Bytes that were read.
    fn offset(&self) -> usize {
        self.text.len() - self.lexer.as_slice().len()
    }

    /// The line and the column of the next byte, counted from 1.
    fn place(&self) -> (usize, usize) {
        let before = &self.text.as_bytes()[..self.offset()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        (1 + before.iter().filter(|byte| **byte == b'\n').count(), 1 + before.len() - line_start)
    }

    /// The next byte that is no white space, which begins a value.
    fn peek(&mut self) -> Result<u8, Refusal> {
        self.lexer.ws_peek().ok_or_else(|| Expect::Value.into())
    }

    /// Takes the next byte that is no white space, which has to be `byte`.
    fn take(&mut self, byte: u8, expected: Expect) -> Result<(), Refusal> {
        self.lexer.expect(SliceLexer::ws_peek, byte).ok_or_else(|| expected.into())
    }

    fn word<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refusal> {
        match self.lexer.null_or_bool().ok_or(Expect::Value)? {
            None => visitor.visit_unit(),
            Some(truth) => visitor.visit_bool(truth),
        }
    }

    /// A whole number, where it fits into 64 bits, or a float.
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refusal> {
        let (digits, parts) = self.lexer.num_string().validated()?;
        if parts.is_int() {
            if let Ok(number) = digits.parse() {
                return visitor.visit_u64(number);
            }
            // -0 has a sign, and is therefore a float.
            if let Ok(number @ ..=-1) = digits.parse() {
                return visitor.visit_i64(number);
            }
        }
        match digits.parse() {
            Ok(number) if f64::is_finite(number) => visitor.visit_f64(number),
            _ => Err(Refusal::custom("number out of range")),
        }
    }

    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.lexer.take_next();
        self.decoded.clear();
        // As long as there was no escape, the string is a piece of the text.
        let start = (None, &mut self.decoded);
        let (piece, decoded) = self.lexer.str_fold(
            start,
            |bytes, (piece, decoded)| {
                let bytes: &'de [u8] = bytes;
                let text = std::str::from_utf8(bytes).map_err(str::Error::Utf8)?;
                if piece.is_none() {
                    *piece = Some(text);
                } else {
                    append(decoded, text)?;
                }
                Ok(())
            },
            |lexer, (piece, decoded)| {
                // An empty piece, once it is part of what is decoded.
                append(decoded, piece.replace("").unwrap_or_default())?;
                let kind = lexer.take_next().ok_or(escape::Error::Eof)?;
                append(decoded, lexer.escape(kind)?.encode_utf8(&mut [0; 4]))
            },
        )?;
        match piece {
            Some(piece) if decoded.is_empty() => visitor.visit_borrowed_str(piece),
            _ => visitor.visit_str(decoded),
        }
    }

    /// Reads a value that nobody asked for, of any depth: without recursion.
    fn skip(&mut self) -> Result<(), Refusal> {
        self.open.clear();
        loop {
            match self.peek()? {
                bracket @ (b'[' | b'{') => {
                    self.lexer.take_next();
                    let end = if bracket == b'[' { b']' } else { b'}' };
                    if self.lexer.ws_peek() == Some(end) {
                        self.lexer.take_next();
                    } else {
                        self.open.try_reserve(1)?;
                        self.open.push(end);
                        self.skip_name()?;
                        continue;
                    }
                }
                b'"' => {
                    self.lexer.take_next();
                    self.lexer.str_ignore()?;
                }
                b'-' | b'0'..=b'9' => {
                    num::Lex::num_ignore(&mut self.lexer).validate()?;
                }
                b'n' | b't' | b'f' => _ = self.lexer.null_or_bool().ok_or(Expect::Value)?,
                _ => return Err(Expect::Value.into()),
            }
            // Behind a value: a comma and another, or the end of what it is in.
            loop {
                let Some(end) = self.open.last().copied() else { return Ok(()) };
                let next = self.lexer.ws_peek();
                self.lexer.take_next();
                match next {
                    Some(b',') => {
                        self.skip_name()?;
                        break;
                    }
                    Some(byte) if byte == end => _ = self.open.pop(),
                    _ => return Err(Expect::CommaOrEnd.into()),
                }
            }
        }
    }

    /// Reads the name of a value, if it is in an object.
    fn skip_name(&mut self) -> Result<(), Refusal> {
        if self.open.last() != Some(&b'}') {
            return Ok(());
        }
        self.take(b'"', Expect::String)?;
        self.lexer.str_ignore()?;
        self.take(b':', Expect::Colon)
    }
}

fn append(text: &mut String, more: &str) -> Result<(), Refusal> {
    text.try_reserve(more.len())?;
    text.push_str(more);
    Ok(())
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'-' | b'0'..=b'9' => self.number(visitor),
            b'[' => {
                self.lexer.take_next();
                let value = visitor.visit_seq(Items::new(self, b']'))?;
                self.take(b']', Expect::CommaOrEnd)?;
                Ok(value)
            }
            b'{' => {
                self.lexer.take_next();
                let value = visitor.visit_map(Items::new(self, b'}'))?;
                self.take(b'}', Expect::CommaOrEnd)?;
                Ok(value)
            }
            b'n' | b't' | b'f' => self.word(visitor),
            _ => Err(Expect::Value.into()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.peek()? == b'n' { self.word(IsNone(visitor)) } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.peek()? {
            b'"' => visitor.visit_enum(Variant { reader: self, has_content: false }),
            b'{' => {
                self.lexer.take_next();
                if self.peek()? != b'"' {
                    return Err(Expect::String.into());
                }
                let value = visitor.visit_enum(Variant { reader: self, has_content: true })?;
                self.take(b'}', Expect::CommaOrEnd)?;
                Ok(value)
            }
            _ => Err(Refusal::custom("expected a name in quotes, or an object with one field")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        if name != Raw::NAME {
            return visitor.visit_newtype_struct(self);
        }
        self.peek()?;
        let start = self.offset();
        self.skip()?;
        visitor.visit_borrowed_str(&self.text[start..self.offset()])
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// What an option makes of `null`.
struct IsNone<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for IsNone<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }
}

/// The elements of an array, or the fields of an object.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    end: u8,
    is_first: bool,
}

impl<'r, 'de> Items<'r, 'de> {
    fn new(reader: &'r mut Reader<'de>, end: u8) -> Self {
        Items { reader, end, is_first: true }
    }

    /// Whether there is another; then it is what comes next, else the end is.
    fn goes_on(&mut self) -> Result<bool, Refusal> {
        if self.reader.lexer.ws_peek().ok_or(Expect::ValueOrEnd)? == self.end {
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.take(b',', Expect::CommaOrEnd)?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        if self.goes_on()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        if !self.goes_on()? {
            return Ok(None);
        }
        if self.reader.peek()? != b'"' {
            return Err(Expect::String.into());
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.reader.take(b':', Expect::Colon)?;
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant: `"Name"`, or `{"Name": content}`.
struct Variant<'r, 'de> {
    reader: &'r mut Reader<'de>,
    has_content: bool,
}

impl Variant<'_, '_> {
    fn needs_content(&self, kind: &'static str) -> Result<(), Refusal> {
        if self.has_content { Ok(()) } else { Err(Refusal::invalid_type(Unexpected::UnitVariant, &kind)) }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        let name = seed.deserialize(&mut *self.reader)?;
        if self.has_content {
            self.reader.take(b':', Expect::Colon)?;
        }
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        if self.has_content { Deserialize::deserialize(self.reader) } else { Ok(()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        self.needs_content("newtype variant")?;
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.needs_content("tuple variant")?;
        self.reader.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.needs_content("struct variant")?;
        self.reader.deserialize_any(visitor)
    }
}
