//! Reads channels one after the other, each message once. They are put in order when all are read: a merge brings old messages
//! late, and no channel is so long that it could not be held.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::forward::ForwardLines;
use super::known::{Known, Verdict};
use super::union::{Faults, clash};
use super::{Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Fault, Message};

/// A message and the line that it was read from, without its newline.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message.
    pub message: Message,
    /// Its bytes.
    pub line: Vec<u8>,
}

/// The messages that were read so far. Of lines with the same id, or without ids the same bytes, the first one counts.
#[derive(Debug)]
pub struct Mail {
    seen: Known,
    letters: Vec<Letter>,
    faults: Faults,
}

impl Mail {
    /// Has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { seen: Known::new(), letters: Vec::new(), faults: Faults::default() }
    }

    /// Reads the messages of the file at `path` that are `wanted`, in its order. A file that is missing has none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read.
    pub fn read(&mut self, path: &Path, wanted: impl Fn(&Message) -> bool) -> Result<(), Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io(Verb::Read, path))?,
        };
        let mut lines = ForwardLines::new(file);
        while let Some(line) = lines.next().map_err(Error::io(Verb::Read, path))? {
            if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.too_long {
                continue;
            }
            let too_long = || Fault::TooLong { limit: MAX_LINE };
            let parsed = if line.too_long { Err(too_long()) } else { Message::parse(&line.bytes) };
            match parsed {
                Ok(message) if wanted(&message) => self.take(path, line.offset, message, line.bytes),
                Ok(_) => {}
                Err(fault) => self.faults.note(path, line.offset, || fault.to_string()),
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, offset: u64, message: Message, line: Vec<u8>) {
        match self.seen.see(&line) {
            Verdict::New => self.letters.push(Letter { message, line }),
            Verdict::Seen => {}
            Verdict::Clash => self.faults.note(path, offset, || clash("message", message.id.as_deref())),
        }
    }

    /// All messages, by time, then id, and the lines that were none.
    #[must_use]
    pub fn in_order(mut self) -> (Vec<Letter>, Faults) {
        self.letters.sort_by(|one, other| {
            let (one, other) = (&one.message, &other.message);
            one.ts.cmp(&other.ts).then_with(|| one.id.cmp(&other.id))
        });
        (self.letters, self.faults)
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self::new()
    }
}
