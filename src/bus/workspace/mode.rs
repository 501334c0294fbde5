//! Where this clone keeps records (docs/design.md, section 1.2).
//!
//! The mode belongs to the clone: the first command that sees `[records]` in the policy notes it in
//! `<git common dir>/bus/records`, and from then on the note counts. Before that the target's
//! committed policy counts, then that of the worktree: a branch that is checked out does not decide
//! how the records of a clone are read.

use super::Workspace;
use super::notes::Note;
use crate::bus::Error;
use crate::record::{CONFIG_FILE, Config, Records};
use crate::store::{Lock, replace};

/// The longest note that is read, in bytes.
const MAX_NOTE: usize = 200;

/// The word of a note for a policy that contradicts it and was reported.
const REPORTED: &str = "reported";

/// Where a clone keeps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the record alone. Files in a worktree are copies that nobody reads back.
    Untracked,
    /// In the record, and in files of the branches: claims and assignments as they are, events and
    /// messages in batches.
    Tracked,
    /// In the record, and for readers of an older tool in the files that version 0.1 wrote: the
    /// policy has no `[records]`.
    Older,
}

impl Mode {
    const fn of(records: Option<Records>) -> Self {
        match records {
            Some(Records::Untracked) => Self::Untracked,
            Some(Records::Tracked) => Self::Tracked,
            None => Self::Older,
        }
    }

    /// Whether the files of worktrees are records.
    #[must_use]
    pub(crate) const fn reads_worktrees(self) -> bool {
        matches!(self, Self::Tracked | Self::Older)
    }

    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Untracked => "untracked",
            Self::Tracked => "tracked",
            Self::Older => "older",
        }
    }
}

impl Workspace {
    /// Where this clone keeps records.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedConfig`] if nothing is noted and the policy cannot be read.
    pub(crate) fn mode(&self) -> Result<Mode, Error> {
        if let Some(mode) = self.mode.get() {
            return Ok(*mode);
        }
        let records = match self.noted_records()? {
            (Some(records), _) => Some(records),
            (None, _) => self.records_of_policy()?,
        };
        Ok(*self.mode.get_or_init(|| Mode::of(records)))
    }

    /// The same for readers: if the policy cannot be read, all files that could be records are
    /// read.
    pub(in crate::bus) fn reading_mode(&self) -> Mode {
        self.mode().unwrap_or(Mode::Older)
    }

    /// What the policies say that count before anything is noted: the target's, then this
    /// worktree's.
    fn records_of_policy(&self) -> Result<Option<Records>, Error> {
        let target = self.repo.target_file(CONFIG_FILE);
        let parsed = target.and_then(|bytes| Config::parse(std::str::from_utf8(&bytes).ok()?).ok());
        // A target without `[records]` is an older bus, whatever this branch says; one without a
        // policy says nothing.
        match parsed {
            Some(config) => Ok(config.records),
            None => Ok(self.config()?.records),
        }
    }

    /// What is noted, and whether a policy that contradicts it was reported.
    fn noted_records(&self) -> Result<(Option<Records>, bool), Error> {
        let bytes = self.private.records().read(MAX_NOTE)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut words = text.split_whitespace();
        let records = match words.next() {
            Some("untracked") => Some(Records::Untracked),
            Some("tracked") => Some(Records::Tracked),
            _ => None,
        };
        Ok((records, words.next() == Some(REPORTED)))
    }

    /// Notes where this clone keeps records, if a policy says so and nothing is noted yet. Reports
    /// once that a branch says otherwise.
    pub(in crate::bus) fn note_records(&self, lock: &Lock) -> Result<(), Error> {
        let (noted, reported) = self.noted_records()?;
        let Some(noted) = noted else {
            // A policy that cannot be read stops the command that needs it, not this one.
            let Ok(Some(records)) = self.records_of_policy() else { return Ok(()) };
            return self.set_records(lock, records);
        };
        let said = self.config().ok().and_then(|config| config.records);
        if let Some(said) = said.filter(|said| *said != noted && !reported) {
            replace(
                &self.private.records(),
                format!("{} {REPORTED}\n", noted.as_str()).as_bytes(),
            )?;
            self.notes.add(Note::Warning(format!(
                "this branch's policy says that records are {}, but this clone keeps them {}: only `bus init --{}` changes that",
                said.as_str(),
                noted.as_str(),
                said.as_str()
            )));
        }
        Ok(())
    }

    /// Makes `records` what this clone keeps from now on.
    pub(in crate::bus) fn set_records(&self, _lock: &Lock, records: Records) -> Result<(), Error> {
        Ok(replace(&self.private.records(), format!("{}\n", records.as_str()).as_bytes())?)
    }
}
