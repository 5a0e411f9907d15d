//! JSON as weight files need it: the order of keys kept, a key twice refused, lists of numbers held as numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};
use crate::source::Source;

/// Whether a file is a JSON object.
pub(crate) fn recognizes(source: &Source) -> bool {
    source.bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list of numbers alone, empty lists included.
    Numbers(Vec<f64>),
    List(Vec<Json>),
    /// In the order of the file.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a whole text, called `part` in errors. Nesting deeper than 128 is refused by `serde_json`.
    ///
    /// # Errors
    /// Text that is not JSON, a number out of the range of f64, a key twice.
    pub(crate) fn parse(part: &str, bytes: &[u8]) -> Result<Json> {
        serde_json::from_slice(bytes).map_err(|error| Error::malformed(part, format!("not valid JSON: {error}")))
    }

    /// The value of a key of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.entries()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a key unless it is absent or null.
    pub(crate) fn some(&self, key: &str) -> Option<&Json> {
        self.get(key).filter(|value| **value != Json::Null)
    }

    /// The keys and values of an object.
    pub(crate) fn entries(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Json::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number from 0 to 2^53.
    pub(crate) fn size(&self) -> Option<usize> {
        // Beyond 2^53 a double no longer holds every whole number.
        let whole = |x: &f64| x.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(x);
        self.number().filter(whole).map(|x| x as usize)
    }

    /// True or false.
    #[cfg(feature = "keras")]
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The members of a list; numbers are made values again, so that short lists of sizes and of words read alike.
    pub(crate) fn list(&self) -> Option<Vec<Json>> {
        match self {
            Json::List(list) => Some(list.clone()),
            Json::Numbers(numbers) => Some(numbers.iter().map(|&x| Json::Number(x)).collect()),
            _ => None,
        }
    }

    /// How many members a list has.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Json::List(list) => Some(list.len()),
            Json::Numbers(numbers) => Some(numbers.len()),
            _ => None,
        }
    }

    /// What kind of value it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "true or false",
            Json::Number(_) => "a number",
            Json::Text(_) => "a text",
            Json::Numbers(_) | Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// The dimensions and numbers of nested lists, row by row.
    ///
    /// # Errors
    /// Anything but numbers in lists of equal length.
    pub(crate) fn array(&self) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
        let (mut dims, mut first) = (Vec::new(), self);
        loop {
            match first {
                Json::Numbers(row) => dims.push(row.len()),
                Json::List(rows) => {
                    dims.push(rows.len());
                    // A list of values holds at least one: the empty list is one of numbers.
                    let Some(row) = rows.first() else { break };
                    first = row;
                    continue;
                }
                _ => {}
            }
            break;
        }
        let mut numbers = Vec::new();
        self.fill(&dims, &mut numbers)?;
        Ok((dims, numbers))
    }

    fn fill(&self, dims: &[usize], numbers: &mut Vec<f32>) -> std::result::Result<(), String> {
        match (self, dims) {
            (Json::Number(x), []) => numbers.push(*x as f32),
            (Json::Numbers(row), [len]) if row.len() == *len => numbers.extend(row.iter().map(|&x| x as f32)),
            (Json::List(rows), [len, rest @ ..]) if rows.len() == *len => {
                for row in rows {
                    row.fill(rest, numbers)?;
                }
            }
            (Json::Number(_) | Json::Numbers(_) | Json::List(_), _) => return Err("its lists differ in length".into()),
            (other, _) => return Err(format!("it holds {} where a number is needed", other.kind())),
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> std::result::Result<Json, A::Error> {
        let (mut numbers, mut list) = (Vec::new(), Vec::new());
        while let Some(value) = access.next_element()? {
            match value {
                Json::Number(x) if list.is_empty() => numbers.push(x),
                other => {
                    // Numbers and other values mixed: the numbers read so far become values.
                    list.extend(numbers.drain(..).map(Json::Number));
                    list.push(other);
                }
            }
        }
        Ok(if list.is_empty() { Json::Numbers(numbers) } else { Json::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<Json, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), std::collections::HashSet::new());
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the key {key:?} occurs twice")));
            }
            entries.push((key, access.next_value()?));
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_may_not_occur_twice() {
        let json = Json::parse("a.json", br#"{"b": 1, "a": [1, "x", null]}"#).unwrap();
        let keys: Vec<&str> = json.entries().unwrap().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(json.get("a"), Some(&Json::List(vec![Json::Number(1.0), Json::Text("x".into()), Json::Null])));
        assert!(Json::parse("a.json", br#"{"b": 1, "b": 2}"#).unwrap_err().to_string().contains("\"b\" occurs twice"));
    }

    #[test]
    fn nested_lists_are_arrays_only_where_all_rows_are_alike() {
        let array = |text: &str| Json::parse("a.json", text.as_bytes()).unwrap().array();
        assert_eq!(array("[[1, 2, 3], [4, 5, 6]]"), Ok((vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
        assert_eq!(array("[]"), Ok((vec![0], vec![])));
        for (text, word) in
            [("[[1], [2, 3]]", "differ"), ("[1, [2]]", "differ"), ("[[1], 2]", "differ"), ("[[1], [\"a\"]]", "text")]
        {
            assert!(array(text).unwrap_err().contains(word), "{text}: {:?}", array(text));
        }
    }

    #[test]
    fn numbers_out_of_range_and_deep_nesting_are_refused() {
        assert!(Json::parse("a.json", b"[1e999]").is_err());
        assert!(Json::parse("a.json", &[b'['; 100_000]).is_err());
    }
}
