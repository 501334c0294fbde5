//! What a command should mention beside its answer: what could not be read, and copies that could
//! not be written.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bus::Error;
use crate::record::TaskId;

/// Something to mention.
#[derive(Debug)]
pub enum Note {
    /// A folder or file of the record cannot be read, so the answer may lack something.
    Unreadable(Error),
    /// What can be done, if somebody likes.
    Advice(String),
    /// Something that whoever runs the command should know.
    Warning(String),
    /// The remote of this name has less of a task's claim than it was seen to have.
    WentBack(String, TaskId),
    /// The fleet's remote lacks something that this clone has logged: why.
    Unsent(String),
    /// A copy for people could not be written: of interest to whoever asks for details.
    Detail(String),
}

/// What is to be mentioned, gathered while a command runs; all clones of it are one list.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    /// Adds something.
    pub(in crate::bus) fn add(&self, note: Note) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |known: &Note| match (known, &note) {
            (Note::Unreadable(a), Note::Unreadable(b)) => a.to_string() == b.to_string(),
            (Note::Warning(a), Note::Warning(b)) => a == b,
            (Note::Unsent(_), Note::Unsent(_)) => true,
            (Note::WentBack(a, one), Note::WentBack(b, other)) => a == b && one == other,
            _ => false,
        };
        if !notes.iter().any(is_known) {
            notes.push(note);
        }
    }

    /// What could not be read so far, in words.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |note: &Note| match note {
            Note::Unreadable(error) => Some(error.to_string()),
            Note::Advice(_)
            | Note::Warning(_)
            | Note::WentBack(..)
            | Note::Unsent(_)
            | Note::Detail(_) => None,
        };
        notes.iter().filter_map(text).collect()
    }

    /// Whether the fleet's remote is known to lack something that this clone has logged.
    pub(in crate::bus) fn has_unsent(&self) -> bool {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().any(|note| matches!(note, Note::Unsent(_)))
    }

    /// Takes everything that was gathered.
    #[must_use]
    pub fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
