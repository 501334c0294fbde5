//! Finds where a value stands in JSON text that is known to be valid.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

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
    /// The positions of every [`STRIDE`]th byte.
    marks: Vec<Position>,
    /// Where the elements of an object or a list begin, by where it begins itself.
    elements: RefCell<HashMap<usize, Rc<[usize]>>>,
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
            marks: bytes.chunks(STRIDE).scan(Position::START, next).collect(),
            elements: RefCell::default(),
        }
    }

    /// Where the value at the end of `path` stands, as [`locate`] says.
    #[must_use]
    pub fn locate(&self, path: &[Step<'_>]) -> Position {
        let mut offset = skip_space(self.bytes, 0);
        let mut place = offset;
        for (depth, step) in path.iter().enumerate() {
            let elements = self.elements(offset, depth);
            match *step {
                Step::Key(key) => match find_key(self.bytes, &elements, key) {
                    Some((key, value)) => (place, offset) = (key, value),
                    None => break,
                },
                Step::Item(number) => match elements.get(number) {
                    Some(item) => (place, offset) = (*item, *item),
                    None => break,
                },
            }
        }
        self.position(place)
    }

    fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.bytes.len());
        let mark = (offset / STRIDE).min(self.marks.len().saturating_sub(1));
        let from = self.marks.get(mark).copied().unwrap_or(Position::START);
        walk(from, &self.bytes[(mark * STRIDE).min(offset)..offset])
    }

    fn elements(&self, offset: usize, depth: usize) -> Rc<[usize]> {
        if let Some(known) = self.elements.borrow().get(&offset) {
            return Rc::clone(known);
        }
        let found: Rc<[usize]> = elements(self.bytes, offset).collect();
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

/// Where the object with these elements has `key`, and where its value begins.
fn find_key(bytes: &[u8], elements: &[usize], key: &str) -> Option<(usize, usize)> {
    let quoted = format!("\"{key}\"");
    let found = *elements.iter().find(|start| bytes[**start..].starts_with(quoted.as_bytes()))?;
    let colon = skip_space(bytes, found + quoted.len());
    Some((found, skip_space(bytes, colon + 1)))
}

/// Where each element of the object or list at `offset` begins: its key, or its value.
fn elements(bytes: &[u8], offset: usize) -> impl Iterator<Item = usize> {
    let is_open = matches!(bytes.get(offset), Some(b'{' | b'['));
    let first = skip_space(bytes, offset + 1);
    let first = Some(first).filter(|first| is_open && *first < bytes.len());
    std::iter::successors(first, move |start| {
        let end = end_of_element(bytes, *start);
        (bytes.get(end) == Some(&b','))
            .then(|| skip_space(bytes, end + 1))
            .filter(|start| *start < bytes.len())
    })
}

/// The comma or bracket that ends the element that begins at `offset`.
fn end_of_element(bytes: &[u8], mut offset: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'"' => {
                offset = end_of_text(bytes, offset);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return offset,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        offset += 1;
    }
    bytes.len()
}

/// The end of the text that begins at `start`.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut offset = start + 1;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'"' => return offset + 1,
            b'\\' => offset += 2,
            _ => offset += 1,
        }
    }
    bytes.len()
}

fn skip_space(bytes: &[u8], offset: usize) -> usize {
    let rest = bytes.get(offset..).unwrap_or_default();
    offset + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
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
