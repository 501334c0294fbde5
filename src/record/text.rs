//! Text that people write: files that git merges, and what of it must not reach a screen as it is.

use super::json::MAX_RECORD;
use super::{Fault, Position};

/// The text of a file that is no JSON, but must be sound as well.
///
/// # Errors
///
/// The [`Fault`] that makes it none: too long, no UTF-8, a byte-order mark, a NUL, a merge
/// conflict.
pub fn sound_text(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MAX_RECORD {
        return Err(Fault::TooLong { limit: MAX_RECORD });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::ByteOrderMark);
    }
    if let Some(place) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Fault::Nul { at: Position::of(bytes, place) });
    }
    let text = std::str::from_utf8(bytes);
    let text =
        text.map_err(|error| Fault::InvalidUtf8 { at: Position::of(bytes, error.valid_up_to()) })?;
    // The marker between both sides underlines a heading as well.
    match text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "))
    {
        Some(line) => Err(Fault::MergeConflict { at: Position { line: line + 1, column: 1 } }),
        None => Ok(text),
    }
}

/// Whether a character moves the cursor, or reorders or hides text: control characters, line
/// separators, and the marks of Unicode TR36 and TR9.
#[must_use]
pub fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
