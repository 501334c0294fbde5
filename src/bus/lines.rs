//! Appending to the files that git may replace at any moment, the log's and the channels', and their journals (design,
//! section 4).

use std::collections::BTreeSet;

use super::{Bus, Error};
use crate::record::json::MAX_LINE;
use crate::store::{Journal, Lock, Place, Stream, append, is_younger, put_back, stamp};

impl Bus {
    /// Appends `line` to the log or the channel at `place`, and returns once it is on disk.
    pub(super) fn append_line(&self, lock: &Lock, place: &Place, line: &str) -> Result<(), Error> {
        self.with_journal(Some(place), |journal| Ok(append(lock, place, line, journal)?))
    }

    /// Puts back what git took along of all logs and channels, where the folder that is about to be written says that something
    /// was replaced there: one look, so that a line costs the same however many files there are.
    pub(super) fn sweep_if_due(&self, lock: &Lock, stream: Stream) {
        let swept = self.private.swept(self.repo.worktree_name().as_deref());
        if is_younger(&self.layout.folder(stream), &swept) {
            self.sweep(lock);
            stamp(&swept);
        }
    }

    /// Puts back what git took along of all logs and channels.
    fn sweep(&self, lock: &Lock) {
        for place in self.journaled() {
            // What cannot be put back stays in the journal, where readers see it and `bus doctor` finds it.
            let _ = self.with_journal(Some(&place), |journal| match journal.is_suspicious(&place) {
                true => Ok(put_back(lock, &place, journal)?),
                false => Ok(()),
            });
        }
    }

    /// Does something with the journal of a log or a channel of this worktree.
    pub(super) fn with_journal<T>(
        &self,
        log: Option<&Place>,
        what: impl FnOnce(&Journal<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let files = log.map(|log| self.private.journal(self.repo.worktree_name().as_deref(), log));
        let forget_committed = |log: &Place, lines: &mut Vec<String>| self.repo.forget_committed(log.relative(), lines);
        let index_lock = self.repo.index_lock();
        what(&Journal { index_lock: &index_lock, files: files.as_ref(), forget_committed: &forget_committed })
    }

    /// The logs and channels of this worktree that have a journal.
    pub(super) fn journaled(&self) -> Vec<Place> {
        let journals = self.private.worktree_journals(self.repo.worktree_name().as_deref());
        let names = |stream: Stream| {
            let folders = ["recent", "held"].map(|of| journals.join(of).join(stream.folder()));
            let entries = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(|name| name.ends_with(".jsonl")).collect::<BTreeSet<_>>()
        };
        let places = |stream| names(stream).into_iter().map(move |name| self.layout.file(stream, &name));
        Stream::ALL.into_iter().flat_map(places).collect()
    }

    /// The file at `place`, or the one there whose name differs by letter case alone.
    pub(super) fn as_it_stands(&self, place: Place) -> Place {
        let path = place.path();
        if path.exists() {
            return place;
        }
        let wanted = path.file_name().unwrap_or_default().to_ascii_lowercase();
        let folder = path.parent().unwrap_or(&path);
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let known = names.filter(|name| name.to_ascii_lowercase() == wanted).min();
        known.and_then(|name| Some(place.sibling(name.to_str()?))).unwrap_or(place)
    }
}

/// Refuses the line of `what` where it is too long.
pub(super) fn check_length(what: &str, line: &str) -> Result<(), Error> {
    if line.len() <= MAX_LINE {
        return Ok(());
    }
    let what = format!("the {what} has {} bytes, and a line may have {MAX_LINE}", line.len());
    Err(Error::Usage { what, hint: "put the long text into a file and name it with `--receipt`".to_owned() })
}
