//! The encoding of Protocol Buffers: reading without copies, and writing.
//!
//! A generated decoder builds every message before anything can be checked, and an empty node takes two bytes of a file and
//! a hundred times as much memory. Here messages are borrowed, and counted as they are met.

use crate::error::{Error, Result};

/// One field's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Number(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// A message's fields, in the order of the file.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Fields { rest: bytes, what }
    }

    fn broken(&self) -> Error {
        Error::malformed(self.what, "cut short, or not the Protocol Buffers of ONNX")
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.broken())?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next field with its number.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.number()?;
        let value = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Fixed64(self.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| self.broken())?),
            2 => {
                let n = usize::try_from(self.number()?).map_err(|_| self.broken())?;
                Field::Bytes(self.take(n)?)
            }
            5 => Field::Fixed32(self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| self.broken())?),
            _ => return Err(self.broken()),
        };
        Ok(Some((key >> 3, value)))
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(self.broken())
    }

    /// The numbers of a packed field.
    pub(super) fn numbers(bytes: &'a [u8]) -> impl Iterator<Item = Result<u64>> {
        let mut fields = Fields::new("packed numbers", bytes);
        std::iter::from_fn(move || (!fields.rest.is_empty()).then(|| fields.number()))
    }
}

impl<'a> Field<'a> {
    pub(super) fn number(self) -> Result<u64> {
        if let Field::Number(n) = self { Ok(n) } else { Err(Error::malformed("a field", "it is not a number")) }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        if let Field::Bytes(b) = self { Ok(b) } else { Err(Error::malformed("a field", "it is not a text or message")) }
    }

    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::malformed("a name", "it is not UTF-8"))
    }
}

/// A message being written.
#[derive(Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    fn varint(&mut self, mut n: u64) {
        while n >= 128 {
            self.0.push(n as u8 | 128);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn number(&mut self, field: u64, n: i64) {
        self.varint(field << 3);
        self.varint(n as u64);
    }

    pub(super) fn float(&mut self, field: u64, x: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(x.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    pub(super) fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// Packed numbers.
    pub(super) fn numbers(&mut self, field: u64, numbers: impl IntoIterator<Item = i64>) {
        let mut packed = Message::default();
        numbers.into_iter().for_each(|n| packed.varint(n as u64));
        self.message(field, &packed);
    }
}
