//! The one strict JSON reader and writer of `bus`.
//!
//! Stricter than `serde_json` alone: no key twice at any depth, exactly one object, no byte-order
//! mark, bounded size and (by `serde_json`) a depth of 128. Numbers keep their digits.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;
use serde_json::{Map, Value};

use super::{Fault, Position};

/// A JSON object, keys sorted.
pub type Object = Map<String, Value>;

/// The longest line of a JSONL file, in bytes without its newline (docs/design.md, section 7).
pub const MAX_LINE: usize = 64 * 1024;

/// The longest record file, in bytes: far over what a claim with a full lineage takes.
pub const MAX_RECORD: usize = 1024 * 1024;

/// The key under which `serde_json` hides a number that must keep its digits.
pub(super) const NUMBER_KEY: &str = "$serde_json::private::Number";

/// Reads one JSON object out of `bytes`, the whole of a record file.
///
/// # Errors
///
/// A [`Fault`] with the line and column where the bytes stop being one strict JSON object.
pub fn parse_record(bytes: &[u8]) -> Result<Object, Fault> {
    if let Some(line) = bytes.split(|byte| *byte == b'\n').position(is_conflict_marker) {
        return Err(Fault::MergeConflict { at: Position { line: line + 1, column: 1 } });
    }
    parse(bytes, MAX_RECORD)
}

/// Reads one JSON object out of `line`, a line of a JSONL file without its newline.
///
/// # Errors
///
/// A [`Fault`], whose line is always 1.
pub fn parse_line(line: &[u8]) -> Result<Object, Fault> {
    if is_conflict_marker(line) {
        return Err(Fault::MergeConflict { at: Position::START });
    }
    parse(line, MAX_LINE)
}

/// Writes `object` as record files hold it: two spaces of indent, keys sorted, a final newline.
#[must_use]
pub fn pretty(object: &Object) -> String {
    let mut text = format!("{:#}", Borrowed(object));
    text.push('\n');
    text
}

/// Writes `object` as a line of a JSONL file, without the newline.
#[must_use]
pub fn compact(object: &Object) -> String {
    Borrowed(object).to_string()
}

/// Shows an object as JSON; `{:#}` indents.
struct Borrowed<'a>(&'a Object);

impl fmt::Display for Borrowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(512);
        let written = if f.alternate() {
            self.0.serialize(&mut serde_json::Serializer::pretty(&mut bytes))
        } else {
            self.0.serialize(&mut serde_json::Serializer::new(&mut bytes))
        };
        written.map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

fn parse(bytes: &[u8], limit: usize) -> Result<Object, Fault> {
    if bytes.len() > limit {
        return Err(Fault::TooLong { limit });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::ByteOrderMark);
    }
    if let Some(place) = memchr::memchr(0, bytes) {
        return Err(Fault::Nul { at: Position::of(bytes, place) });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault::InvalidUtf8 { at: Position::of(bytes, error.valid_up_to()) })?;
    let twice = RefCell::new(None);
    let fault = |error: &serde_json::Error| fault(bytes, error, twice.take());
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { input: text, twice: &twice }
        .deserialize(&mut reader)
        .map_err(|error| fault(&error))?;
    reader.end().map_err(|error| Fault::SecondValue { at: position(bytes, &error) })?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Fault::NotAnObject),
    }
}

/// What `serde_json` met; `twice` is the key that an object has twice, where that was it.
fn fault(bytes: &[u8], error: &serde_json::Error, twice: Option<String>) -> Fault {
    let at = position(bytes, error);
    match twice {
        Some(key) => Fault::DuplicateKey { key, at },
        None if error.is_eof() => Fault::CutOff { at },
        None => {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            Fault::Syntax { what: what.to_owned(), at }
        }
    }
}

/// Where the error is: `serde_json` counts columns in bytes.
fn position(bytes: &[u8], error: &serde_json::Error) -> Position {
    let newlines = memchr::memchr_iter(b'\n', bytes).map(|newline| newline + 1);
    let line_start = std::iter::once(0).chain(newlines).nth(error.line().max(1) - 1).unwrap_or(0);
    Position::of(bytes, line_start + error.column().max(1) - 1)
}

/// Whether git wrote the line to mark a conflict (git-merge(1), "How conflicts are presented").
fn is_conflict_marker(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    [b"<<<<<<< ", b">>>>>>> ", b"||||||| "].iter().any(|marker| line.starts_with(*marker))
        || line == b"======="
}

/// Builds a [`Value`] and refuses a key that an object has twice.
#[derive(Clone, Copy)]
struct Strict<'a> {
    input: &'a str,
    /// The first key that was met twice.
    twice: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(key) = entries.next_key_seed(KeySeed { input: self.input })? {
            let key = match key {
                Key::Name(name) if name == NUMBER_KEY => {
                    return Err(A::Error::custom("a key that is reserved"));
                }
                Key::Name(name) => name,
                Key::Digits => {
                    let digits: String = entries.next_value()?;
                    return digits.parse().map(Value::Number).map_err(A::Error::custom);
                }
            };
            if object.contains_key(&key) {
                self.twice.replace(Some(key));
                return Err(A::Error::custom("a key occurs twice"));
            }
            let value = entries.next_value_seed(self)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// A key of an object, or the sign that the "object" is a number.
enum Key {
    Name(String),
    Digits,
}

/// Reads a key, and tells `serde_json`'s number sign from a key of that name: the sign is borrowed
/// from elsewhere, a key from the input (or, with escapes in it, copied).
struct KeySeed<'a> {
    input: &'a str,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key, E> {
        let from_input = self.input.as_bytes().as_ptr_range().contains(&key.as_ptr());
        Ok(if from_input { Key::Name(key.to_owned()) } else { Key::Digits })
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key::Name(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> String {
        parse_line(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn numbers_keep_every_digit() {
        let text = r#"{"big":123456789012345678901234567890,"exact":1.10,"far":1e+999,"nested":{"deep":[0.30000000000000000004]}}"#;
        assert_eq!(compact(&parse_line(text.as_bytes()).unwrap()), text);
    }

    #[test]
    fn a_key_may_stand_once_at_any_depth() {
        assert_eq!(fault(r#"{"a":1,"a":2}"#), "the key `a` occurs twice (column 10)");
        assert!(fault(r#"{"x":[{"y":{"b":1,"c":2,"\u0062":3}}]}"#).contains("`b` occurs twice"));
        assert!(parse_line(br#"{"a":{"b":1},"c":{"b":1}}"#).is_ok());
    }

    #[test]
    fn a_number_cannot_be_forged() {
        for text in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"a":{"\u0024serde_json::private::Number":"1"}}"#,
        ] {
            assert!(fault(text).contains("reserved"), "{text}");
        }
        assert!(parse_line(br#"{"a":"$serde_json::private::Number"}"#).is_ok());
    }

    #[test]
    fn only_one_object_and_nothing_else_is_a_record() {
        for text in [
            "",
            "  ",
            "[]",
            "1",
            "null",
            "{} {}",
            "{}x",
            "{",
            "\u{feff}{}",
            "{'a':1}",
            r#"{"a":1,}"#,
            "{\"a\":\"\0\"}",
            "{\"a\":01}",
        ] {
            assert!(parse_line(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse_line(b"{\"a\":\"\xff\"}").is_err());
        assert_eq!(
            parse_record(b"{\n<<<<<<< HEAD\n}").unwrap_err(),
            Fault::MergeConflict { at: Position { line: 2, column: 1 } }
        );
        assert_eq!(parse_record(b"{\n \"a\" 1}").unwrap_err().line_in(b""), 2);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(60_000), "]".repeat(10));
        assert!(fault(&deep).contains("recursion limit"));
        assert_eq!(
            parse_line(&vec![b' '; MAX_LINE + 1]).unwrap_err(),
            Fault::TooLong { limit: MAX_LINE }
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_written_reads_back_the_same(value in any_json()) {
            let object: Object = [("k".to_owned(), value)].into_iter().collect();
            let line = compact(&object);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(&parse_line(line.as_bytes()).unwrap(), &object);
            prop_assert_eq!(&parse_record(pretty(&object).as_bytes()).unwrap(), &object);
        }

        #[test]
        fn strict_takes_nothing_that_serde_json_refuses(text in r#"[{}\[\]",:0-9a-e.\\ntrue-]{0,24}"#) {
            let ours = parse_line(text.as_bytes());
            let theirs = serde_json::from_str::<Value>(&text);
            if let Ok(object) = ours {
                prop_assert_eq!(Value::Object(object), theirs.unwrap());
            }
        }
    }
}
