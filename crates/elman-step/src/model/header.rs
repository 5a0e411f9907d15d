//! A safetensors header and the JSON inside it, read strictly.
//!
//! JSON parsers keep the last of two equal keys, and a few bytes of text can request many bytes of memory. Model files
//! are untrusted, so here a repeated key is an error, and tensors, dimensions and values are counted while they are
//! read, before anything is stored.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::format::{CHECKSUM_KEY, CONFIG_KEY, MAX_RANK, MAX_TENSORS, MAX_VALUES, TENSORS_KEY};

/// The name safetensors reserves for its string map.
const METADATA: &str = "__metadata__";

/// A parsed header; nothing in it is verified beyond its form.
#[derive(Default)]
pub(super) struct Header<'a> {
    /// The tensors, by name.
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    /// The value of the metadata key [`CONFIG_KEY`].
    pub(super) config: Option<Cow<'a, str>>,
    /// The value of the metadata key [`CHECKSUM_KEY`].
    pub(super) checksum: Option<Cow<'a, str>>,
    /// The value of the metadata key [`TENSORS_KEY`].
    pub(super) sums: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Reads the header's JSON.
    pub(super) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let header = json.deserialize_map(HeaderVisitor)?;
        json.end()?;
        Ok(header)
    }
}

/// Reads one JSON value; repeated keys and more than [`MAX_VALUES`] values are errors.
pub(super) fn parse_value(text: &str) -> Result<Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut left = MAX_VALUES;
    let value = Strict { left: &mut left }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut header = Header::default();
        let mut seen_metadata = false;
        while let Some(Text(name)) = map.next_key()? {
            if name == METADATA {
                if core::mem::replace(&mut seen_metadata, true) {
                    return Err(repeated(&name));
                }
                map.next_value_seed(Metadata { header: &mut header })?;
                continue;
            }
            if header.tensors.len() == MAX_TENSORS {
                return Err(A::Error::custom(format_args!("more than {MAX_TENSORS} tensors")));
            }
            if header.tensors.contains_key(&*name) {
                return Err(repeated(&name));
            }
            let Entry { dtype, shape: Dims(shape), data_offsets } = map.next_value()?;
            header.tensors.insert(name.into_owned(), TensorInfo { dtype, shape, data_offsets });
        }
        Ok(header)
    }
}

/// The value of `__metadata__`: keeps our three keys, rejects repeated ones.
struct Metadata<'h, 'de> {
    header: &'h mut Header<'de>,
}

impl<'de> DeserializeSeed<'de> for Metadata<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(Text(key)) = map.next_key()? {
            if seen.len() == MAX_TENSORS {
                return Err(A::Error::custom(format_args!("more than {MAX_TENSORS} metadata keys")));
            }
            let Text(value) = map.next_value()?;
            match &*key {
                CONFIG_KEY => self.header.config = Some(value),
                CHECKSUM_KEY => self.header.checksum = Some(value),
                TENSORS_KEY => self.header.sums = Some(value),
                _ => {}
            }
            if seen.contains(&key) {
                return Err(repeated(&key));
            }
            seen.insert(key);
        }
        Ok(())
    }
}

/// One tensor's entry in the header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: Dtype,
    shape: Dims,
    data_offsets: (usize, usize),
}

/// At most [`MAX_RANK`] dimensions.
struct Dims(Vec<usize>);

impl<'de> Deserialize<'de> for Dims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DimsVisitor;
        impl<'de> Visitor<'de> for DimsVisitor {
            type Value = Dims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Dims, A::Error> {
                let mut dims = Vec::new();
                while let Some(dim) = seq.next_element()? {
                    if dims.len() == MAX_RANK {
                        return Err(A::Error::custom(format_args!("more than {MAX_RANK} dimensions")));
                    }
                    dims.push(dim);
                }
                Ok(Dims(dims))
            }
        }
        deserializer.deserialize_seq(DimsVisitor)
    }
}

/// A string, borrowed from the input unless it has escapes (serde's own `Cow` always copies).
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Builds a [`Value`], counting down the values still allowed.
struct Strict<'b> {
    left: &'b mut usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left =
            self.left.checked_sub(1).ok_or_else(|| D::Error::custom(format_args!("more than {MAX_VALUES} values")))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Strict { left: &mut *self.left })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(repeated(&key));
            }
            let value = map.next_value_seed(Strict { left: &mut *self.left })?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

fn repeated<E: Error>(key: &str) -> E {
    E::custom(format_args!("`{key}` is repeated"))
}
