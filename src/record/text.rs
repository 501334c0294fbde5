//! Text files of a bus, which people write and git merges.

use super::json::MAX_RECORD;
use super::{Fault, Position};

/// The text of a file that is no JSON, but must be sound as well.
///
/// # Errors
///
/// The [`Fault`] that makes it none: too long, no UTF-8, a byte-order mark, a NUL, a merge conflict.
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
    let text = text.map_err(|error| Fault::InvalidUtf8 { at: Position::of(bytes, error.valid_up_to()) })?;
    // The marker between both sides underlines a heading as well.
    match text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
        Some(line) => Err(Fault::MergeConflict { at: Position { line: line + 1, column: 1 } }),
        None => Ok(text),
    }
}
