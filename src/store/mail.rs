//! Reads channels one after the other, each message once. They are put in order when all are read:
//! a merge brings old messages late, and no channel is so long that it could not be held.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::forward::ForwardLines;
use super::known::{Hashes, Known, Verdict};
use super::union::{Faults, clash, is_of_clone};
use super::{Clones, Elsewhere, Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Fault, Message};

/// A message and the line that it was read from, without its newline.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message.
    pub message: Message,
    /// Its bytes.
    pub line: Vec<u8>,
    /// Where it is from, if this clone has not written it.
    pub elsewhere: Option<Elsewhere>,
}

/// The messages that were read so far. Of lines with the same id, or without ids the same bytes,
/// the first one counts.
#[derive(Debug)]
pub struct Mail {
    clones: Clones,
    seen: Known,
    /// Each letter, and whether this clone's record has it.
    letters: Vec<(Letter, bool)>,
    /// Whose the lines are that stand in a worktree and in the log of another clone.
    copies: HashMap<Hashes, Elsewhere>,
    faults: Faults,
}

impl Mail {
    /// Has read nothing. Files of other `clones` are read after those of the worktrees, which they
    /// may not hide.
    #[must_use]
    pub fn new(clones: Clones) -> Self {
        let (seen, copies) = (Known::new(), HashMap::new());
        Self { clones, seen, letters: Vec::new(), copies, faults: Faults::default() }
    }

    /// Reads the messages of the file at `path` that are `wanted`, in its order. A file that is
    /// missing has none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn read(&mut self, path: &Path, wanted: impl Fn(&Message) -> bool) -> Result<(), Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io(Verb::Read, path))?,
        };
        let elsewhere = self.clones.of(path);
        let mut lines = ForwardLines::new(file);
        while let Some(line) = lines.next().map_err(Error::io(Verb::Read, path))? {
            if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.too_long {
                continue;
            }
            let too_long = || Fault::TooLong { limit: MAX_LINE };
            let parsed = if line.too_long { Err(too_long()) } else { Message::parse(&line.bytes) };
            match parsed {
                Ok(message) if wanted(&message) => {
                    self.take(
                        path,
                        line.offset,
                        Letter { message, line: line.bytes, elsewhere: elsewhere.clone() },
                    );
                }
                Ok(_) => {}
                Err(fault) => self.faults.note(path, line.offset, || fault.to_string()),
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, offset: u64, letter: Letter) {
        match (self.seen.see(&letter.line), letter.elsewhere) {
            (Verdict::New, elsewhere) => {
                self.letters.push((Letter { elsewhere, ..letter }, self.clones.is_own(path)))
            }
            (Verdict::Seen, Some(clone)) if clone.is_clone() => {
                self.copies.insert(self.seen.namer().hashes(&letter.line), clone);
            }
            (Verdict::Seen, _) => {}
            (Verdict::Clash, _) => {
                self.faults.note(path, offset, || clash("message", letter.message.id.as_deref()))
            }
        }
    }

    /// All messages, by time, then id, and the lines that were none.
    #[must_use]
    pub fn in_order(mut self) -> (Vec<Letter>, Faults) {
        if !self.copies.is_empty() {
            for (letter, _) in self
                .letters
                .iter_mut()
                .filter(|(letter, own)| !own && !is_of_clone(letter.elsewhere.as_ref()))
            {
                let copy = self.copies.get(&self.seen.namer().hashes(&letter.line)).cloned();
                letter.elsewhere = copy.or(letter.elsewhere.take());
            }
        }
        let mut letters: Vec<Letter> = self.letters.into_iter().map(|(letter, _)| letter).collect();
        letters.sort_by(|one, other| {
            let (one, other) = (&one.message, &other.message);
            one.ts.cmp(&other.ts).then_with(|| one.id.cmp(&other.id))
        });
        (letters, self.faults)
    }
}
