//! This clone's own log on the fleet's remote (design, section 1.4): read back if the record lacks something, mended if it is damaged,
//! published again if it was rewritten. If somebody else goes on with this clone's id, this clone takes a new one.

use super::import::read_lines;
use super::notes::Note;
use super::publish::ASSIGNMENTS;
use super::{Bus, Error};
use crate::git::{self, ItemKind, ObjectId, RefName, Remote, Tip, TreeItem};
use crate::record::json::MAX_RECORD;
use crate::record::{Assignment, CloneId, TaskId};
use crate::store::{KnownLines, Lock, Published, Stream, append_lines, crash_point, replace_record};

/// What the remote's state of this clone's own log comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnLog {
    /// Nothing is new, or what this clone has sent has come there.
    Known,
    /// It was rewritten: this clone's log goes on with that as its second parent.
    Rewritten,
    /// Somebody else goes on with the id: this clone has another one now.
    Twin,
}

impl Bus {
    /// What this clone's own log is at.
    pub(super) fn own_tip(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        match self.repo.tip(name)? {
            Tip::At(link) => Ok(Some(link.id)),
            Tip::Missing => Ok(None),
            Tip::Unreadable { what } => Err(damaged(name.as_str(), what).into()),
        }
    }

    pub(super) fn own_tree(&self, commit: ObjectId) -> Result<ObjectId, Error> {
        Ok(self.repo.tree_of(commit)?.map_err(|what| damaged(&commit.to_string(), what))?)
    }

    /// What this clone's own log goes on from if its ref is gone: what was published last, else what a remote was seen to have.
    pub(super) fn last_of_log(&self, name: &RefName, published: &Published) -> Result<Option<ObjectId>, Error> {
        let last = published.tip.as_ref().and_then(|tip| ObjectId::from_hex(tip.as_bytes()).ok());
        if let Some(last) = last.filter(|last| self.own_tree(*last).is_ok()) {
            return Ok(Some(last));
        }
        let end = format!("/{}", name.rest());
        for seen in self.repo.names_below(RefName::ALL_SEEN)?.into_iter().filter(|seen| seen.ends_with(&end)) {
            let seen = RefName::parse(&format!("{}{seen}", RefName::ALL_SEEN));
            let commit = seen.map(|seen| self.repo.id_of(&seen)).transpose()?.flatten();
            if let Some(commit) = commit.filter(|commit| self.own_tree(*commit).is_ok()) {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// Takes a log that is damaged out of the way, as a power loss leaves it. All that it had and the record or a remote has is
    /// published anew.
    pub(super) fn mend_log(&self, lock: &mut Lock, name: &RefName) -> Result<(), Error> {
        lock.about_to_write(name.as_str())?;
        let stamp = self.clock.now().to_string().replace(':', "");
        let keep = self.private.broken("log", &stamp);
        keep.make_folders()?;
        Ok(self.repo.set_aside(name, &keep.path(), None)?)
    }

    /// Takes into the record what this clone has published, as the tree `root`, and the record lacks; returns the published lines.
    pub(super) fn read_back(&self, lock: &Lock, root: ObjectId) -> Result<[KnownLines; 2], Error> {
        let mut published = [KnownLines::default(), KnownLines::default()];
        let mut recorded = self.recorded_lines()?;
        let mut count = 0;
        self.each_own_file(root, |stream, file, bytes| {
            let mut missing = Vec::new();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                published[stream as usize].add(line);
                if let (true, Ok(text)) = (recorded[stream as usize].add(line), std::str::from_utf8(line)) {
                    missing.push(text);
                }
            }
            if !missing.is_empty() {
                append_lines(lock, &self.as_spelled(self.record.file(stream, file))?, &missing)?;
                count += missing.len();
            }
            Ok(())
        })?;
        count += self.read_assignments_back(root)?;
        if count > 0 {
            self.notes.add(Note::Warning(format!(
                "{count} records that this clone has published were not in its record; they are back"
            )));
        }
        crash_point("log-read-back");
        Ok(published)
    }

    fn recorded_lines(&self) -> Result<[KnownLines; 2], Error> {
        let mut recorded = [KnownLines::default(), KnownLines::default()];
        for stream in Stream::ALL {
            for file in self.line_files(&self.record, stream) {
                read_lines(&file, |line| {
                    recorded[stream as usize].add(line);
                    Ok(())
                })?;
            }
        }
        Ok(recorded)
    }

    fn read_assignments_back(&self, root: ObjectId) -> Result<usize, Error> {
        let mut count = 0;
        let Some(folder) = self.own_items(root)?.into_iter().find(|item| item.name == ASSIGNMENTS) else { return Ok(0) };
        for item in self.own_items(folder.id)? {
            let Some(task) = item.name.strip_suffix(".json").and_then(|name| TaskId::new(name).ok()) else { continue };
            let Ok(bytes) = self.repo.blob(item.id, MAX_RECORD)? else { continue };
            let Ok(published) = Assignment::parse(&bytes) else { continue };
            let is_known = match self.assignment_in(&self.record, &task) {
                Ok(recorded) => recorded.is_some_and(|recorded| !published.is_later_than(&recorded)),
                // What cannot be read is for whoever asks for it.
                Err(_) => true,
            };
            if published.task_id == task && !is_known {
                replace_record(&self.record.assignment(&task), &bytes)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Calls `each` with the segments of the log whose tree is `root`, and the stream and the file that they are of.
    fn each_own_file(&self, root: ObjectId, mut each: impl FnMut(Stream, &str, &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let folders = self.own_items(root)?;
        for stream in Stream::ALL {
            let Some(folder) = folders.iter().find(|item| item.name == stream.folder()) else { continue };
            for file in self.own_items(folder.id)?.into_iter().filter(|item| item.kind == ItemKind::Folder) {
                for segment in self.own_items(file.id)? {
                    let bytes = self.repo.blob(segment.id, usize::MAX)?;
                    let bytes = bytes.map_err(|what| damaged(&segment.id.to_string(), what))?;
                    each(stream, &file.name, &bytes)?;
                }
            }
        }
        Ok(())
    }

    fn own_items(&self, tree: ObjectId) -> Result<Vec<TreeItem>, Error> {
        Ok(self.repo.list_tree(tree)?.map_err(|what| damaged(&tree.to_string(), what))?)
    }

    /// Brings this clone's own log, called `name`, in line with what `remote` has of it, whose objects are here; `before` is what was
    /// known of that before the look.
    pub(super) fn adopt_own_log(
        &self,
        lock: &mut Lock,
        remote: &Remote,
        name: &RefName,
        theirs: Option<ObjectId>,
        before: Option<ObjectId>,
    ) -> Result<OwnLog, Error> {
        let seen = self.seen_at(remote, name)?;
        let Some(theirs) = theirs.filter(|theirs| Some(*theirs) != seen) else { return Ok(OwnLog::Known) };
        let Some(is_rewritten) = self.is_rewritten(seen, theirs, before)? else { return Ok(OwnLog::Known) };
        let published = Published::load(&self.private)?;
        let ours = self.repo.id_of(name)?;
        let last = match ours {
            Some(ours) => Some(ours),
            None => self.last_of_log(name, &published)?,
        };
        let has = |known: Option<ObjectId>| known.map_or(Ok(false), |known| self.repo.has_in_history(known, theirs));
        let is_ours = has(last)? || has(seen)? || published.tip == Some(theirs.to_string());
        if let Some(seen) = seen.filter(|_| is_rewritten) {
            self.note_rewritten(lock, name, seen, theirs)?;
        }
        let outcome = match last {
            Some(last) if is_rewritten && !is_ours => {
                self.go_on_from(lock, name, last, theirs)?;
                OwnLog::Rewritten
            }
            _ if !is_ours => {
                self.leave_id(lock, remote, name)?;
                OwnLog::Twin
            }
            // What the record lacks of it is read back when more is published.
            _ => {
                let next = if has(last)? { last } else { Some(theirs) };
                if let Some(next) = next.filter(|next| ours != Some(*next)) {
                    lock.about_to_write(name.as_str())?;
                    self.repo.put(name, next)?;
                }
                OwnLog::Known
            }
        };
        crash_point("own-log-adopted");
        self.note_seen(lock, remote, name, Some(theirs))?;
        Ok(outcome)
    }

    /// Whether a log that was `seen` on the remote, and is at `theirs` there, was rewritten; `None` if that was looked at before another
    /// process saw it anew: then it may be old. `before` is what was known of it before the look.
    pub(super) fn is_rewritten(
        &self,
        seen: Option<ObjectId>,
        theirs: ObjectId,
        before: Option<ObjectId>,
    ) -> Result<Option<bool>, Error> {
        let Some(known) = seen else { return Ok(Some(false)) };
        let is_rewritten = !self.repo.has_in_history(theirs, known)?;
        Ok(Some(is_rewritten).filter(|is_rewritten| !is_rewritten || seen == before))
    }

    /// Has this clone's log, which was at `last`, go on with what somebody has put into its place as a second parent.
    fn go_on_from(&self, lock: &mut Lock, name: &RefName, last: ObjectId, theirs: ObjectId) -> Result<(), Error> {
        let Some(clone) = name.rest().strip_prefix("log/").and_then(CloneId::new) else { return Ok(()) };
        let message = "log: once more, after it was rewritten\n".to_owned();
        let again = self.repo.write_log(vec![last, theirs], self.own_tree(last)?, &clone, self.clock.now(), message)?;
        lock.about_to_write(name.as_str())?;
        Ok(self.repo.put(name, again)?)
    }

    /// Takes a new id for this clone: somebody else uses the one by which its log is called `name`. What was done under that one and
    /// `remote` does not have is not sent any more. The new id comes last: whoever dies before it does all of this again.
    fn leave_id(&self, lock: &mut Lock, remote: &Remote, name: &RefName) -> Result<(), Error> {
        self.give_up_unsent(lock, remote)?;
        crash_point("unsent-given-up");
        if let Some(ours) = self.repo.id_of(name)? {
            lock.about_to_write(name.as_str())?;
            // The record has it all, and is published under the new id.
            self.repo.remove(&[(name.clone(), ours)])?;
        }
        crash_point("own-log-left");
        let id = self.mint_clone_id()?;
        let old = name.rest().strip_prefix("log/").unwrap_or_default();
        self.notes.add(Note::Warning(format!(
            "another clone goes on with this clone's id {old}, as a copied container or a restored backup does: this clone is {id} from now on; \
             claims that were made here as {old} count as held in another clone, and `bus claim TASK --here` moves one here"
        )));
        Ok(())
    }
}

/// The error of what is damaged of this clone's log.
fn damaged(name: &str, what: String) -> git::Error {
    git::Error::Damaged { name: name.to_owned(), what }
}
