//! The log of record (docs/design.md, section 1.1): what this clone logged, said, assigned and
//! claimed, in a place that git never touches and that all worktrees share; and what is written
//! beside it for people and for readers of older tools.

use std::fs;
use std::path::{Path, PathBuf};

use super::Workspace;
use super::mode::Mode;
use super::notes::Note;
use crate::bus::Error;
use crate::git::{Link, RefName, Tip};
use crate::record::json::MAX_LINE;
use crate::record::{AgentId, Claim, EventLayout, IGNORE_FILE, MAX_TABLE};
use crate::store::{
    Clones, Error as StoreError, Layout, Lock, Place, Stream, Verb, append, append_copy, list,
    replace_copy,
};

/// Removes a file.
pub(in crate::bus) fn remove(path: &Path) -> Result<(), Error> {
    Ok(fs::remove_file(path).map_err(StoreError::io(Verb::Remove, path))?)
}

impl Workspace {
    /// Whether the record has the table of leases that the ref has: then the events of its last
    /// change are in the log.
    pub(in crate::bus) fn has_noted_table(&self, tip: &Link) -> Result<bool, Error> {
        Ok(self.record.lease_table().read(MAX_TABLE)?.as_deref() == Some(tip.body.as_slice()))
    }

    /// Notes the ref's table of leases in the record.
    pub(in crate::bus) fn note_ref_of_leases(&self) -> Result<(), Error> {
        match self.repo.tip(&RefName::leases())? {
            Tip::At(tip) => self.note_table(&tip.body),
            Tip::Missing | Tip::Unreadable { .. } => Ok(()),
        }
    }

    /// Notes the ref's table of leases, which has these bytes, in the record. It does not wait for
    /// the disk: the event before it has committed the ref.
    pub(in crate::bus) fn note_table(&self, table: &[u8]) -> Result<(), Error> {
        let place = self.record.lease_table();
        if place.read(MAX_TABLE)?.as_deref() != Some(table) {
            replace_copy(&place, table)?;
        }
        Ok(())
    }

    /// A file of the records in this worktree that git would ignore, if it would.
    pub(in crate::bus) fn ignored_records(&self) -> Result<Option<String>, Error> {
        for place in ["_bus/events/agent@000000000000.jsonl", "_bus/claims/TASK.json"] {
            if self.repo.ignores(place)? {
                return Ok(Some(
                    place.rsplit_once('/').map_or(place, |(folder, _)| folder).to_owned(),
                ));
            }
        }
        Ok(None)
    }
}

/// What `_bus/.gitignore` of an untracked bus says: all that is a record is for this clone alone.
pub(in crate::bus) const IGNORE_RECORDS: &str =
    "/*\n!/.gitignore\n!/README.md\n!/config.toml\n!/meta/\n";

impl Workspace {
    /// Appends `line`, an event of `agent`, to the record, and returns once it is on disk. Copies
    /// follow.
    pub(in crate::bus) fn append_to_log(
        &self,
        lock: &Lock,
        agent: &AgentId,
        line: &str,
    ) -> Result<(), Error> {
        append(lock, &self.record_log(agent)?, line)?;
        self.copy_line(lock, line, || {
            let layout = match self.mode()? {
                Mode::Untracked => EventLayout::PerAgent,
                Mode::Tracked => return Ok(None),
                Mode::Older => self.config()?.layout,
            };
            self.as_spelled(self.layout.log(layout, agent)).map(Some)
        });
        Ok(())
    }

    /// Appends `line`, a message, to the channel at `place` of the record, and returns once it is
    /// on disk.
    pub(in crate::bus) fn append_to_channel(
        &self,
        lock: &Lock,
        place: &Place,
        line: &str,
    ) -> Result<(), Error> {
        append(lock, place, line)?;
        self.copy_line(lock, line, || {
            match (self.mode()?, place.path().file_name().and_then(|name| name.to_str())) {
                (Mode::Older, Some(name)) => {
                    self.as_spelled(self.layout.file(Stream::Channels, name)).map(Some)
                }
                _ => Ok(None),
            }
        });
        Ok(())
    }

    /// The file of the record that `agent`'s events go to; an agent has one, whatever the letter
    /// case of its id.
    pub(in crate::bus) fn record_log(&self, agent: &AgentId) -> Result<Place, Error> {
        self.as_spelled(self.record.log(EventLayout::PerAgent, agent))
    }

    /// Appends a line to its copy in this worktree, if there is one to be kept: what the record has
    /// is on disk, so a copy that cannot be written is mentioned and no more.
    fn copy_line(
        &self,
        lock: &Lock,
        line: &str,
        place: impl FnOnce() -> Result<Option<Place>, Error>,
    ) {
        let copied = place().and_then(|place| match place {
            Some(place) if self.may_copy(&place) => Ok(append_copy(lock, &place, &[line])?),
            _ => Ok(()),
        });
        self.mention_copy(copied);
    }

    /// Writes the claim's file into this worktree, as far as the mode has one there.
    pub(in crate::bus) fn copy_claim(&self, claim: &Claim, bytes: &[u8]) {
        let place = self.layout.claim(&claim.task_id);
        if self.may_copy(&place) {
            self.mention_copy(replace_copy(&place, bytes).map_err(Error::from));
        }
    }

    fn mention_copy(&self, copied: Result<(), Error>) {
        if let Err(error) = copied {
            let text = format!("a copy was not written: {error}");
            let is_for_older_readers = self.reading_mode() == Mode::Older;
            self.notes.add(if is_for_older_readers {
                Note::Warning(text)
            } else {
                Note::Detail(text)
            });
        }
    }

    /// Whether a copy may be written at `place` in this worktree: no status of git may show it. In
    /// an older bus, whose files are tracked, only a file may not be written that git knows and
    /// that is not checked out: it would replace the whole log.
    fn may_copy(&self, place: &Place) -> bool {
        if !self.layout.has_bus() {
            return false;
        }
        let is_indexed = || self.repo.may_be_indexed(place.relative());
        match self.reading_mode() {
            Mode::Untracked => self.ignores_records() && !is_indexed(),
            Mode::Tracked => false,
            Mode::Older => place.path().exists() || !is_indexed(),
        }
    }

    /// Whether this worktree's `_bus/.gitignore` covers all records.
    pub(in crate::bus) fn ignores_records(&self) -> bool {
        let text =
            self.layout.place(IGNORE_FILE).read(16 * 1024).ok().flatten().unwrap_or_default();
        let lines = |text: &[u8]| {
            let lines = text.split(|byte| *byte == b'\n').map(|line| line.trim_ascii().to_vec());
            lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).collect::<Vec<_>>()
        };
        lines(&text) == lines(IGNORE_RECORDS.as_bytes())
    }

    /// The place itself, or the one beside it whose name differs by letter case alone.
    pub(in crate::bus) fn as_spelled(&self, place: Place) -> Result<Place, Error> {
        let path = place.path();
        if path.exists() {
            return Ok(place);
        }
        let wanted = path.file_name().unwrap_or_default().to_ascii_lowercase();
        let names = list(path.parent().unwrap_or(&path))?.into_iter().map(|entry| entry.name);
        let known = names.filter(|name| name.to_ascii_lowercase() == wanted).min();
        Ok(known.and_then(|name| Some(place.sibling(name.to_str()?))).unwrap_or(place))
    }

    /// All layouts in which records stand, but for those of other clones: this clone's own record
    /// first, then what came with branches before it moved over, then, if files of branches are
    /// records, all worktrees.
    pub(in crate::bus) fn record_layouts(&self) -> &[Layout] {
        self.record_layouts.get_or_init(|| self.record_layouts_with(self.layouts().cloned()))
    }

    /// Where lines of the feed are from. In a tracked bus those that came with branches are shown
    /// with their worktree; in an older one all are files of branches.
    pub(in crate::bus) fn sources(&self) -> Clones {
        let clones = self.private.clones();
        match self.reading_mode() {
            Mode::Tracked => {
                clones.with_worktrees(self.layouts().map(|layout| layout.root().to_owned()))
            }
            Mode::Untracked | Mode::Older => clones,
        }
    }

    /// The same, with these worktrees.
    pub(in crate::bus) fn record_layouts_with(
        &self,
        worktrees: impl Iterator<Item = Layout>,
    ) -> Vec<Layout> {
        let mut layouts = vec![self.record.clone()];
        layouts.extend(self.branch_records().iter().cloned());
        if self.reading_mode().reads_worktrees() {
            layouts.extend(worktrees);
        }
        layouts
    }

    /// What is in `folder`, by name. A folder that cannot be read is mentioned, and counts as empty
    /// for this look only.
    pub(in crate::bus) fn listed(&self, folder: &std::path::Path) -> Vec<crate::store::Listed> {
        list(folder).unwrap_or_else(|error| {
            self.notes.add(Note::Unreadable(error.into()));
            Vec::new()
        })
    }

    /// The files of lines of `stream` in the folder of `layout`, by name; links are none.
    pub(in crate::bus) fn line_files(&self, layout: &Layout, stream: Stream) -> Vec<PathBuf> {
        match layout.file(stream, "-").inspect() {
            Ok(_) => {}
            // A folder that is a link is nobody's log.
            Err(error) => {
                self.notes.add(Note::Unreadable(error.into()));
                return Vec::new();
            }
        }
        let files = self.listed(&layout.folder(stream)).into_iter();
        let lines = files.filter(|entry| {
            entry.is_file
                && std::path::Path::new(&entry.name).extension().is_some_and(|end| end == "jsonl")
        });
        lines.map(|entry| layout.folder(stream).join(entry.name)).collect()
    }
}

/// Refuses the line of `what` if it is too long.
pub(in crate::bus) fn check_length(what: &str, line: &str) -> Result<(), Error> {
    if line.len() <= MAX_LINE {
        return Ok(());
    }
    let what = format!("the {what} has {} bytes, and a line may have {MAX_LINE}", line.len());
    Err(Error::Usage {
        what,
        hint: "put the long text into a file and name it with `--receipt`".to_owned(),
    })
}
