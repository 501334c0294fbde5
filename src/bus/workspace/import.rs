//! Moving over from an older bus (docs/design.md, section 1.3).
//!
//! The first writing command in a clone takes in what stands in the files of branches, so that
//! nothing depends on a worktree any more. Lines that came with branches are kept in
//! `<git common dir>/bus/log/imported/`, laid out per worktree, read as another clone's log is, and
//! never published. What version 0.1's journals hold is this clone's own, and joins the record.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Workspace;
use super::branch_records::{ImportNote, TARGET};
use super::mode::Mode;
use super::notes::Note;
use crate::bus::Error;
use crate::git::{RefName, Tip};
use crate::record::json::{MAX_LINE, MAX_RECORD, parse_line};
use crate::record::{AgentId, Assignment, Claim, TaskId};
use crate::store::{
    Error as StoreError, KnownLines, Layout, Lock, Place, Stream, Verb, append_lines, crash_point,
    list, names, note_bytes, replace_copy, replace_record,
};

/// How much of a log file is written at once, in bytes.
const BATCH: usize = 4 * 1024 * 1024;

/// By what a worktree of the clone is told from the others in what is kept of each; the main one
/// has no name.
pub(in crate::bus) fn worktree_key(name: Option<&str>) -> String {
    name.map_or_else(|| "main".to_owned(), |name| format!("worktrees/{name}"))
}

impl Workspace {
    /// Takes in what an older bus left in this clone, once, and again when a writer of version 0.1
    /// has been at work since. The caller holds the lock. What cannot be read is mentioned, and
    /// left for `bus doctor`.
    pub(in crate::bus) fn move_over(&self, lock: &Lock) -> Result<(), Error> {
        self.note_records(lock)?;
        let noted = self.import_note()?;
        let journals = fingerprint(&self.private.journals());
        if noted.as_ref().is_some_and(|noted| noted.journals == journals) {
            return Ok(());
        }
        if noted.is_none() && !self.has_anything_to_import() {
            return Ok(());
        }
        self.import(lock, journals, noted.is_none())
    }

    fn has_anything_to_import(&self) -> bool {
        self.layouts().any(Layout::has_bus) || self.repo.target_has("_bus")
    }

    /// Tries once more to take in what could not be read.
    pub(in crate::bus) fn import_again(&self, lock: &Lock) -> Result<(), Error> {
        self.import(lock, fingerprint(&self.private.journals()), true)
    }

    fn import(&self, lock: &Lock, journals: String, is_first: bool) -> Result<(), Error> {
        let mut note = ImportNote { journals, left: Vec::new() };
        let is_fresh = is_first && !self.was_used_before();
        for stream in Stream::ALL {
            let mut known = KnownLines::default();
            let own = self.line_files(&self.record, stream);
            let taken = self
                .imported_layouts()
                .into_iter()
                .flat_map(|layout| self.line_files(&layout, stream));
            for file in own.into_iter().chain(taken.collect::<Vec<_>>()) {
                read_lines(&file, |line| {
                    known.add(line);
                    Ok(())
                })?;
            }
            self.import_journals(lock, stream, &mut known, &mut note)?;
            if is_fresh && self.mode()? == Mode::Untracked {
                continue;
            }
            for (place, layout) in self.places() {
                self.import_lines(lock, stream, layout, &place, &mut known, &mut note)?;
            }
        }
        if !(is_fresh && self.mode()? == Mode::Untracked) {
            for (place, layout) in self.places() {
                self.import_records(layout, &place, &mut note)?;
            }
        }
        self.import_refs()?;
        if is_first {
            self.repo.write_empty_tree()?;
            self.import_target(lock, &mut note)?;
            self.import_leases(&mut note)?;
        }
        crash_point("imported");
        let place = self.private.import_note();
        replace_record(&place, &note_bytes(&place, &note)?)?;
        for left in note.left {
            self.notes
                .add(Note::Warning(format!("not imported: {left}; `bus doctor` says what to do")));
        }
        Ok(())
    }

    /// The worktrees that have files of a bus, each with where its lines are kept.
    fn places(&self) -> impl Iterator<Item = (Layout, &Layout)> {
        let worktrees = self.worktrees().iter().filter(|(_, layout)| layout.has_bus());
        worktrees.map(|(worktree, layout)| {
            (self.private.imported(&worktree_key(worktree.name.as_deref())), layout)
        })
    }

    /// Adds what a worktree's files of lines have and nothing here does.
    fn import_lines(
        &self,
        lock: &Lock,
        stream: Stream,
        from: &Layout,
        to: &Layout,
        known: &mut KnownLines,
        note: &mut ImportNote,
    ) -> Result<(), Error> {
        let folder = from.folder(stream);
        let files = match names(&folder, ".jsonl") {
            Ok(files) => files,
            Err(error) => {
                note.left.push(error.to_string());
                return Ok(());
            }
        };
        for name in files {
            let place = from.file(stream, &name);
            match place.inspect() {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                Err(error) => {
                    note.left.push(error.to_string());
                    continue;
                }
            }
            let target = to.file(stream, &name);
            let copied = take_new(lock, &place.path(), &target, known);
            if let Err(error) = copied {
                note.left.push(error.to_string());
            }
        }
        Ok(())
    }

    /// Adds the lines of version 0.1's journals: this clone wrote them. Each file of the record
    /// gets them in the order of time, whatever journal they are from.
    fn import_journals(
        &self,
        lock: &Lock,
        stream: Stream,
        known: &mut KnownLines,
        note: &mut ImportNote,
    ) -> Result<(), Error> {
        let journals = self.private.journals();
        let mut lines: BTreeMap<PathBuf, (Place, Vec<(String, String)>)> = BTreeMap::new();
        for entry in walkdir::WalkDir::new(&journals).min_depth(1).max_depth(5).sort_by_file_name()
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error)
                    if error
                        .io_error()
                        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) =>
                {
                    continue;
                }
                Err(error) => {
                    note.left.push(error.to_string());
                    continue;
                }
            };
            let is_of =
                entry.path().parent().is_some_and(|folder| folder.ends_with(stream.folder()));
            let name = entry.file_name().to_str().filter(|name| name.ends_with(".jsonl"));
            let (true, Some(name)) = (entry.file_type().is_file() && is_of, name) else { continue };
            let place = self.own_place(stream, name);
            let (_, lines) = lines.entry(place.path()).or_insert_with(|| (place, Vec::new()));
            let read = read_lines(entry.path(), |line| {
                if let (Ok(object), Ok(text)) = (parse_line(line), std::str::from_utf8(line)) {
                    let time =
                        object.get("ts").and_then(serde_json::Value::as_str).unwrap_or_default();
                    lines.push((time.to_owned(), text.to_owned()));
                }
                Ok(())
            });
            if let Err(error) = read {
                note.left.push(error.to_string());
            }
        }
        for (place, mut lines) in lines.into_values() {
            lines.sort_by(|one, other| one.0.cmp(&other.0));
            lines.retain(|(_, line)| known.add(line.as_bytes()));
            let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
            if !lines.is_empty()
                && let Err(error) = append_lines(lock, &place, &lines)
            {
                note.left.push(error.to_string());
            }
        }
        Ok(())
    }

    /// Where the record keeps lines of a file that is called `name`.
    fn own_place(&self, stream: Stream, name: &str) -> Place {
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        let name = if AgentId::new(stem).is_ok() { name } else { "events.jsonl" };
        self.record.file(stream, name)
    }

    /// Notes what the claims' refs say: if one is ever gone, an older state in a file must not take
    /// its place.
    fn import_refs(&self) -> Result<(), Error> {
        for task in self.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok())
        {
            // One that cannot be read is for the doctor.
            let Ok(Tip::At(link)) = self.repo.tip(&RefName::claim(&task)) else { continue };
            let Ok(claim) = Claim::parse(&link.body) else { continue };
            let place = self.record.claim(&claim.task_id);
            let known = place.read(MAX_RECORD)?.and_then(|bytes| Claim::parse(&bytes).ok());
            if known.is_none_or(|known| known.revision < claim.revision) {
                replace_copy(&place, &link.body)?;
            }
        }
        Ok(())
    }

    /// Keeps a worktree's claims that have no ref, and its assignments.
    fn import_records(
        &self,
        from: &Layout,
        to: &Layout,
        note: &mut ImportNote,
    ) -> Result<(), Error> {
        for (folder, is_claim) in [(from.claims(), true), (from.assignments(), false)] {
            let files = match names(&folder, ".json") {
                Ok(files) => files,
                Err(error) => {
                    note.left.push(error.to_string());
                    continue;
                }
            };
            for name in files {
                let Ok(task) = TaskId::new(&name[..name.len() - ".json".len()]) else { continue };
                let (place, kept) = match is_claim {
                    true => (from.claim(&task), to.claim(&task)),
                    false => (from.assignment(&task), to.assignment(&task)),
                };
                let taken =
                    place.read(MAX_RECORD).map_err(Error::from).and_then(|bytes| match bytes {
                        Some(bytes) => self.keep_record(&task, is_claim, &kept, &bytes),
                        None => Ok(()),
                    });
                if let Err(error) = taken {
                    note.left.push(error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Keeps a claim that has no ref, or an assignment.
    fn keep_record(
        &self,
        task: &TaskId,
        is_claim: bool,
        kept: &Place,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let has_ref = is_claim
            && (self.repo.id_of(&RefName::claim(task))?.is_some()
                || self.archived_id(task)?.is_some());
        if has_ref || kept.read(MAX_RECORD)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        let is_bad =
            if is_claim { Claim::parse(bytes).is_err() } else { Assignment::parse(bytes).is_err() };
        if is_bad && (self.mode()?.reads_worktrees() || kept.inspect()?.is_some()) {
            // The file itself is read, and can be repaired there; or what is kept can be read, so
            // it is better.
            return Ok(());
        }
        Ok(replace_record(kept, bytes)?)
    }

    /// Takes in the record files of the target's commit: in a bus that has moved over they are
    /// frozen.
    fn import_target(&self, lock: &Lock, note: &mut ImportNote) -> Result<(), Error> {
        if self.mode()?.reads_worktrees() {
            return Ok(());
        }
        let layout = match self.unpack_target() {
            Ok(Some(layout)) => layout,
            Ok(None) => return Ok(()),
            Err(error) => {
                note.left.push(error.to_string());
                return Ok(());
            }
        };
        let to = self.private.imported(TARGET);
        for stream in Stream::ALL {
            let mut known = KnownLines::default();
            for file in self.line_files(&to, stream) {
                read_lines(&file, |line| {
                    known.add(line);
                    Ok(())
                })?;
            }
            self.import_lines(lock, stream, &layout, &to, &mut known, note)?;
        }
        self.import_records(&layout, &to, note)
    }

    /// Keeps the live leases of the target's commit, if this clone knows of no table of leases:
    /// version 0.1 had files of them. After that nobody reads those files.
    fn import_leases(&self, note: &mut ImportNote) -> Result<(), Error> {
        let kept = self.record.lease_table();
        if kept.inspect()?.is_some() {
            return Ok(());
        }
        if self.repo.id_of(&RefName::leases())?.is_some() {
            // What version 0.1 wrote of leases it has logged.
            return self.note_ref_of_leases();
        }
        match self.frozen_leases() {
            Ok(table) => Ok(replace_record(&kept, &table.to_bytes())?),
            Err(error) => {
                note.left.push(error.to_string());
                Ok(())
            }
        }
    }
}

/// Adds those lines of the file at `from` to the one at `to` that are not `known`.
fn take_new(lock: &Lock, from: &Path, to: &Place, known: &mut KnownLines) -> Result<(), Error> {
    let (mut batch, mut size) = (Vec::new(), 0);
    let put = |batch: &mut Vec<String>| {
        let lines: Vec<&str> = batch.iter().map(String::as_str).collect();
        if !lines.is_empty() {
            append_lines(lock, to, &lines)?;
        }
        batch.clear();
        Ok::<_, Error>(())
    };
    read_lines(from, |line| {
        let Ok(text) = std::str::from_utf8(line) else { return Ok(()) };
        // A fragment is what a killed writer left: its line was never acknowledged. Any object is
        // kept: who reads it judges it.
        if parse_line(line).is_ok() && known.add(line) {
            size += line.len();
            batch.push(text.to_owned());
        }
        if size >= BATCH {
            size = 0;
            put(&mut batch)?;
        }
        Ok(())
    })?;
    put(&mut batch)
}

/// Calls `each` with every line of a file that is not too long.
pub(in crate::bus) fn read_lines(
    file: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(StoreError::io(Verb::Read, file))?,
    };
    crate::store::each_line(
        opened,
        file,
        |line| if line.len() <= MAX_LINE { each(line) } else { Ok(()) },
    )
}

/// What version 0.1's journals look like: their names, lengths and times. Empty if there are none.
fn fingerprint(journals: &PathBuf) -> String {
    if !list(journals).is_ok_and(|entries| !entries.is_empty()) {
        return String::new();
    }
    let mut text = String::new();
    for entry in walkdir::WalkDir::new(journals)
        .max_depth(5)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
    {
        let Ok(metadata) = entry.metadata() else { continue };
        let time = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        text.push_str(&format!(
            "{} {} {}\n",
            entry.path().strip_prefix(journals).unwrap_or(entry.path()).display(),
            metadata.len(),
            time.as_nanos()
        ));
    }
    crate::store::sha256_of(text.as_bytes()).to_string()
}
