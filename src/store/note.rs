//! Notes that a clone keeps for itself, as JSON. What they say can be found out again.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Place, Verb};

/// The note at `place`, of `max` bytes at most; `None` if there is none, or if it is damaged.
///
/// # Errors
///
/// [`Error::Io`] or [`Error::WrongKind`] if the file cannot be used.
pub fn read_note<T: DeserializeOwned>(place: &Place, max: usize) -> Result<Option<T>, Error> {
    Ok(place.read(max)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The bytes of a note that is to stand at `place`.
///
/// # Errors
///
/// [`Error::Io`] if it cannot be written as JSON.
pub fn note_bytes(place: &Place, note: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(note).map_err(|error| Error::io(Verb::Write, &place.path())(error.into()))
}
