//! Finds where a value stands in JSON text that is known to be valid.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Position;

/// A step on the way to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The value of this key.
    Key(&'a str),
    /// The value at this place of a list, from 0.
    Item(usize),
}

/// How far apart the places are that are counted once, in bytes.
const STRIDE: usize = 1024;

/// How deep the elements of an object or a list are remembered: those of the record, and those of
/// its lists.
const REMEMBERED: usize = 2;

/// Where the value at the end of `path` stands, or its key where it has one; the deepest place on
/// the way that there is.
#[must_use]
pub fn locate(bytes: &[u8], path: &[Step<'_>]) -> Position {
    Places::of(bytes).locate(path)
}

/// The places of one text: what was walked over once is not walked over again, so that a text with
/// many faults costs no more than its length.
#[derive(Debug)]
pub struct Places<'a> {
    bytes: &'a [u8],
    text: &'a str,
    /// The positions of every [`STRIDE`]th byte.
    marks: Vec<Position>,
    /// The elements of an object or a list, by where it begins.
    elements: RefCell<HashMap<usize, Rc<[Element]>>>,
}

/// An element of an object or a list.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// Where it begins: its key if it has one, else its value.
    place: usize,
    value: usize,
}

impl<'a> Places<'a> {
    /// The places of `bytes`.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let next = |at: &mut Position, chunk: &[u8]| {
            let mark = *at;
            *at = walk(mark, chunk);
            Some(mark)
        };
        Self {
            bytes,
            text: std::str::from_utf8(bytes).unwrap_or_default(),
            marks: bytes.chunks(STRIDE).scan(Position::START, next).collect(),
            elements: RefCell::default(),
        }
    }

    /// Where the value at the end of `path` stands, as [`locate`] says.
    #[must_use]
    pub fn locate(&self, path: &[Step<'_>]) -> Position {
        let mut at = self.text.len() - self.text.trim_start().len();
        let mut place = at;
        for (depth, step) in path.iter().enumerate() {
            let elements = self.elements(at, depth);
            let found = match *step {
                Step::Item(number) => elements.get(number),
                Step::Key(key) => {
                    let quoted = format!("\"{key}\"");
                    let is_it =
                        |element: &&Element| self.text[element.place..].starts_with(&quoted);
                    elements.iter().find(is_it)
                }
            };
            let Some(found) = found else { break };
            (place, at) = (found.place, found.value);
        }
        self.position(place)
    }

    fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.bytes.len());
        let mark = (offset / STRIDE).min(self.marks.len().saturating_sub(1));
        let from = self.marks.get(mark).copied().unwrap_or(Position::START);
        walk(from, &self.bytes[(mark * STRIDE).min(offset)..offset])
    }

    fn elements(&self, offset: usize, depth: usize) -> Rc<[Element]> {
        if let Some(known) = self.elements.borrow().get(&offset) {
            return Rc::clone(known);
        }
        let found: Rc<[Element]> = elements(self.text, offset).into();
        if depth < REMEMBERED {
            self.elements.borrow_mut().insert(offset, Rc::clone(&found));
        }
        found
    }
}

/// The position after `bytes`, which begin at `at`.
fn walk(at: Position, bytes: &[u8]) -> Position {
    bytes.iter().fold(at, |at, byte| match byte {
        b'\n' => Position { line: at.line + 1, column: 1 },
        byte if byte & 0xc0 == 0x80 => at,
        _ => Position { column: at.column + 1, ..at },
    })
}

/// Reads the elements of one object or list, and nothing within them.
struct Reader<'e> {
    /// Where the text begins in memory.
    begin: usize,
    elements: &'e mut Vec<Element>,
}

impl Reader<'_> {
    fn offset_of(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr() - self.begin
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some((key, value)) = entries.next_entry::<&RawValue, &RawValue>()? {
            let (place, value) = (self.offset_of(key), self.offset_of(value));
            self.elements.push(Element { place, value });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            let place = self.offset_of(item);
            self.elements.push(Element { place, value: place });
        }
        Ok(())
    }
}

/// The elements of the object or list at `offset`, as far as the text is valid; none of anything
/// else.
fn elements(text: &str, offset: usize) -> Vec<Element> {
    let mut elements = Vec::new();
    let reader = Reader { begin: text.as_ptr().addr(), elements: &mut elements };
    let mut deserializer = serde_json::Deserializer::from_str(text.get(offset..).unwrap_or(""));
    // Where the text ends or breaks off, so do its elements.
    let _ = deserializer.deserialize_any(reader);
    elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Item, Key};

    const TEXT: &str = "{\n  \"notes\": \"\\\"status\\\": \",\n  \"x\": {\"status\": 1, \"y\": [\"status\"]},\n   \"status\" : 2,\n \
                        \"steps\": [\n  {\"id\": 1},\n  [], {\"id\": {\"id\": 3}}]\n}";

    #[test]
    fn a_value_is_found_where_it_is_and_not_where_a_text_looks_like_it() {
        let at = |path: &[Step<'_>]| {
            let place = locate(TEXT.as_bytes(), path);
            (place.line, place.column)
        };
        assert_eq!(at(&[Key("status")]), (4, 4));
        assert_eq!(at(&[Key("x"), Key("y"), Item(0)]), (3, 28));
        assert_eq!(at(&[Key("steps"), Item(0), Key("id")]), (6, 4));
        assert_eq!(at(&[Key("steps"), Item(2), Key("id"), Key("id")]), (7, 15));
        assert_eq!(
            at(&[Key("steps"), Item(2), Key("title")]),
            (7, 7),
            "the item, where it has no such key"
        );
        assert_eq!(at(&[Key("none"), Item(3)]), (1, 1));
    }

    #[test]
    fn a_place_is_counted_alike_from_the_start_and_from_a_mark() {
        let text = format!(
            "{{\"x\": [{}\n{{\"y\": 1}}, {{\"y\": \"ä\", \"z\": 2}}]}}",
            "\"äö\",\n \"é\", ".repeat(700)
        );
        let bytes = text.as_bytes();
        let places = Places::of(bytes);
        for offset in 0..=bytes.len() {
            assert_eq!(places.position(offset), Position::of(bytes, offset), "{offset}");
        }
        let last = places.locate(&[Key("x"), Item(1401), Key("z")]);
        assert_eq!(last, Position::of(bytes, text.find("\"z\"").unwrap()));
    }

    #[test]
    fn text_that_is_not_valid_does_no_harm() {
        for text in ["", "{", "[", "{\"a", "{\"a\\", "{\"a\":", "[1,", "x", "{\"a\"}", "[[[", "}"] {
            let place = locate(text.as_bytes(), &[Key("a"), Item(1), Key("b")]);
            assert!(place.column <= text.len() + 1, "{text}");
        }
    }
}
