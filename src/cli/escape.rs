//! Makes text that came from a bus harmless on a terminal (docs/design.md, section 7).

use std::borrow::Cow;
use std::fmt::Write;

use crate::record::is_dangerous;

/// Shows control characters, escape sequences and invisible or bidirectional controls escaped.
pub(super) fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            character if is_dangerous(character) => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            character => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

/// Escapes, inside JSON text, what is valid JSON but no safe line of a terminal.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|character| character != '\n' && is_dangerous(character)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if character != '\n' && is_dangerous(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_the_cursor_or_turn_the_text_around_is_shown() {
        assert_eq!(
            terminal("a\x1b[31mb\r\n\u{202e}c\u{9b}"),
            "a\\u{1b}[31mb\\r\\n\\u{202e}c\\u{9b}"
        );
        assert_eq!(terminal("größer 日本 🚌"), "größer 日本 🚌");
        assert_eq!(json("{\"a\":\"\u{2028}\u{e0041}\"}\n"), "{\"a\":\"\\u2028\\udb40\\udc41\"}\n");
    }
}
