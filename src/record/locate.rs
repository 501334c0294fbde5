//! Finds where a value stands in JSON text that is known to be valid.

use super::fault::Position;

/// A step on the way to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The value of this key.
    Key(&'a str),
    /// The value at this place of a list, from 0.
    Item(usize),
}

/// Where the value at the end of `path` stands, or its key where it has one; the deepest place on the way that there is.
#[must_use]
pub fn locate(bytes: &[u8], path: &[Step<'_>]) -> Position {
    let mut offset = skip_space(bytes, 0);
    let mut place = offset;
    for step in path {
        match *step {
            Step::Key(key) => match find_key(bytes, offset, key) {
                Some((key, value)) => (place, offset) = (key, value),
                None => break,
            },
            Step::Item(number) => match elements(bytes, offset).nth(number) {
                Some(item) => (place, offset) = (item, item),
                None => break,
            },
        }
    }
    Position::of(bytes, place)
}

/// Where the object at `offset` has `key`, and where its value begins.
fn find_key(bytes: &[u8], offset: usize, key: &str) -> Option<(usize, usize)> {
    let quoted = format!("\"{key}\"");
    let found = elements(bytes, offset).find(|start| bytes[*start..].starts_with(quoted.as_bytes()))?;
    let colon = skip_space(bytes, found + quoted.len());
    Some((found, skip_space(bytes, colon + 1)))
}

/// Where each element of the object or list at `offset` begins: its key, or its value.
fn elements(bytes: &[u8], offset: usize) -> impl Iterator<Item = usize> {
    let is_open = matches!(bytes.get(offset), Some(b'{' | b'['));
    let first = skip_space(bytes, offset + 1);
    std::iter::successors(Some(first).filter(|_| is_open), move |start| {
        let end = end_of_element(bytes, *start);
        (bytes.get(end) == Some(&b',')).then(|| skip_space(bytes, end + 1))
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
        assert_eq!(at(&[Key("steps"), Item(2), Key("title")]), (7, 7), "the item, where it has no such key");
        assert_eq!(at(&[Key("none"), Item(3)]), (1, 1));
    }

    #[test]
    fn text_that_is_not_valid_does_no_harm() {
        for text in ["", "{", "[", "{\"a", "{\"a\\", "{\"a\":", "[1,", "x", "{\"a\"}", "[[[", "}"] {
            let place = locate(text.as_bytes(), &[Key("a"), Item(1), Key("b")]);
            assert!(place.column <= text.len() + 1, "{text}");
        }
    }
}
