//! Takes in the logs of other clones that were fetched: each is laid out below
//! `<git common dir>/bus/clones/<clone id>/` as if it were one more worktree, for all that read
//! (docs/design.md, section 4). Whatever a log has that does not belong there is left out.

use std::collections::HashSet;

use super::log_out::{ASSIGNMENTS, is_published_name, is_sound};
use crate::bus::Error;
use crate::bus::workspace::{Workspace, read_lines};
use crate::git::{ItemKind, ObjectId, RefName, TreeItem};
use crate::record::json::{MAX_LINE, MAX_RECORD};
use crate::record::{Assignment, CloneId, TaskId};
use crate::store::{
    CloneMark, CloneMarks, Copied, CopyMark, KnownLines, Lock, Place, Stream, crash_point, replace,
};

/// The longest segment that is read, in bytes.
const MAX_SEGMENT: usize = 1024 * 1024;

/// How many files a folder of a log may have, and how many segments a file.
const MAX_FILES: usize = 20_000;

const MAX_SEGMENTS: usize = 100_000;

/// How much is kept of one clone's log, and of all of them, in bytes. Whoever may push decides what
/// a log holds: in a repository of a few kilobytes it can name one segment millions of times.
const MAX_LOG: u64 = 1024 * 1024 * 1024;

const MAX_LOGS: u64 = 4 * MAX_LOG;

/// How much is read while the lock is held, in bytes; an assignment counts as more than it is,
/// since each waits for the disk.
const ROUND: usize = 32 * 1024 * 1024;

const ASSIGNMENT_COST: usize = 64 * 1024;

/// How many things that were left out are named.
const MAX_NAMED: usize = 20;

/// What was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// How many clones had something new.
    pub clones: usize,
    /// How many events, messages and assignments are new.
    pub events: usize,
    /// The same of messages.
    pub messages: usize,
    /// The same of assignments.
    pub assignments: usize,
    /// How many lines, files and logs were left out.
    pub left_out: usize,
    /// What they are, the first of them.
    pub faults: Vec<String>,
}

impl TakenIn {
    fn leave_out(&mut self, count: usize, what: impl FnOnce() -> String) {
        self.left_out += count;
        if count > 0 && self.faults.len() < MAX_NAMED {
            self.faults.push(what());
        }
    }

    /// Adds what was taken in at another time.
    pub(in crate::bus) fn add(&mut self, other: Self) {
        self.clones = self.clones.max(other.clones);
        self.events += other.events;
        self.messages += other.messages;
        self.assignments += other.assignments;
        self.left_out += other.left_out;
        self.faults.extend(other.faults);
    }

    const fn of(&mut self, stream: Stream) -> &mut usize {
        match stream {
            Stream::Log => &mut self.events,
            Stream::Channels => &mut self.messages,
        }
    }
}

/// Takes in the logs of other clones as they were seen on `remote`. What cannot be read of one is
/// left out, and told. The lock is given back in between.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses: what was taken in stays.
pub fn take_in_logs(ws: &Workspace, remote: &str) -> Result<TakenIn, Error> {
    let mut taken = TakenIn::default();
    let own = ws.known_clone_id()?;
    let folder = format!("{}log/", RefName::all_seen_on(remote));
    for id in ws.repo.names_below(&folder)? {
        let name = format!("{folder}{id}");
        let (Some(clone), Some(name)) = (CloneId::new(&id), RefName::parse(&name)) else {
            taken.leave_out(1, || format!("`{name}` is the log of no clone"));
            continue;
        };
        if own.as_deref() == Some(&id) {
            continue;
        }
        let Some(commit) = ws.repo.id_of(&name)? else {
            taken.leave_out(1, || format!("`{}` holds no object id", name.as_str()));
            continue;
        };
        match ws.repo.tree_of(commit)? {
            Ok(tree) => take_in(ws, &clone, tree, &mut taken)?,
            Err(what) => {
                taken.leave_out(1, || format!("the log of clone {clone} cannot be read: {what}"))
            }
        }
    }
    Ok(taken)
}

/// Takes in the log of one clone, whose tree is `tree`.
fn take_in(
    ws: &Workspace,
    clone: &CloneId,
    tree: ObjectId,
    taken: &mut TakenIn,
) -> Result<(), Error> {
    let (mut is_new, mut told, mut seen) = (false, HashSet::new(), HashSet::new());
    loop {
        let lock = ws.lock()?;
        let mut marks = CloneMarks::load(&ws.private)?;
        let mark = marks.clones.remove(clone.as_str()).unwrap_or_default();
        if mark.tree == Some(tree.to_string()) && has_copies(ws, clone, &mark) {
            return Ok(());
        }
        taken.clones += usize::from(!std::mem::replace(&mut is_new, true));
        let (own, others) =
            (mark.length(), marks.clones.values().map(CloneMark::length).sum::<u64>());
        let room = MAX_LOG.saturating_sub(own).min(MAX_LOGS.saturating_sub(own + others));
        let budget = ROUND;
        let mut intake = Intake {
            ws,
            lock: &lock,
            clone,
            mark,
            taken,
            told: &mut told,
            budget,
            room,
            seen: &mut seen,
        };
        intake.take(tree)?;
        let mark = intake.mark;
        marks.clones.insert(clone.as_str().to_owned(), mark);
        crash_point("log-taken-in");
        marks.save(&lock, &ws.private)?;
    }
}

/// Whether the copies are as they were left.
fn has_copies(ws: &Workspace, clone: &CloneId, mark: &CloneMark) -> bool {
    mark.files.iter().all(|(path, known)| copy_of(ws, clone, path).has_length(known.length))
}

/// The copy of another clone's file.
fn copy_of(ws: &Workspace, clone: &CloneId, path: &str) -> Place {
    ws.private.of_clone(clone, &format!("_bus/{path}"))
}

/// A log of another clone that is taken in under the lock.
struct Intake<'a> {
    ws: &'a Workspace,
    lock: &'a Lock,
    clone: &'a CloneId,
    mark: CloneMark,
    taken: &'a mut TakenIn,
    /// Which files were left out, so that each counts once.
    told: &'a mut HashSet<String>,
    /// How much may still be read, in bytes.
    budget: usize,
    /// How much more may be kept, in bytes.
    room: u64,
    /// The segments that its files name. Lines have ids, so that no two segments are alike.
    seen: &'a mut HashSet<ObjectId>,
}

impl Intake<'_> {
    /// Takes in what is new in `tree`, as far as the budget lasts; the mark says whether that was
    /// all.
    fn take(&mut self, tree: ObjectId) -> Result<(), Error> {
        let root = self.list(tree, "its log")?;
        for stream in Stream::ALL {
            let Some(folder) = self.folder(&root, stream.folder()) else { continue };
            let mut files = self.list(folder, stream.folder())?;
            self.limit(&mut files, MAX_FILES, stream.folder());
            let mut names = HashSet::new();
            for file in files {
                let is_good =
                    file.kind == ItemKind::Folder && is_published_name(stream, &file.name);
                // Not every disk can hold two names that differ by letter case alone.
                if !is_good || !names.insert(file.name.to_ascii_lowercase()) {
                    self.leave_out(
                        &format!("{}/{}", stream.folder(), file.name),
                        "it is no file of a log",
                    );
                    continue;
                }
                if !self.take_file(stream, &file)? {
                    return Ok(());
                }
            }
        }
        if let Some(folder) = self.folder(&root, ASSIGNMENTS)
            && !self.take_assignments(folder)?
        {
            return Ok(());
        }
        self.mark.tree = Some(tree.to_string());
        Ok(())
    }

    /// Takes in a log file; says whether that was all of it.
    fn take_file(&mut self, stream: Stream, file: &TreeItem) -> Result<bool, Error> {
        let path = format!("{}/{}", stream.folder(), file.name);
        let known = self.mark.files.get(&path).cloned().unwrap_or_default();
        let place = copy_of(self.ws, self.clone, &path);
        let tree = file.id.to_string();
        if known.tree == tree && known.cut_at.is_none() && place.has_length(known.length) {
            return Ok(true);
        }
        let mut segments = self.list(file.id, &path)?;
        self.limit(&mut segments, MAX_SEGMENTS, &path);
        let mut copy = self.copy(&place, &known, &segments)?;
        let (from_start, mut passed) = (copy.next == 0, 0);
        self.seen.extend(segments[..copy.next].iter().map(|segment| segment.id));
        while copy.next < segments.len() && self.budget > 0 {
            if self.room == 0 {
                self.leave_out_rest(&path);
                copy.next = segments.len();
                break;
            }
            // The last one may have grown since it was seen.
            if !self.seen.insert(segments[copy.next].id) && copy.skip.is_empty() {
                self.leave_out(&path, "it has the same segment again");
                copy.next += 1;
                continue;
            }
            let mut lines = self.lines(stream, &path, &segments[copy.next], &copy.skip)?;
            copy.skip.clear();
            passed += lines.len();
            if let Some(known) = &mut copy.known {
                lines.retain(|line| known.add(line));
            }
            let length = lines.iter().map(|line| line.len() as u64 + 1).sum();
            self.room = self.room.saturating_sub(length);
            copy.file.write(&lines)?;
            *self.taken.of(stream) += lines.len();
            copy.next += 1;
        }
        let all = copy.next == segments.len();
        let cut_at = (!all).then_some(copy.next);
        let mixed = copy.known.is_some_and(|known| !(from_start && all && known.len() == passed));
        self.mark.files.insert(path, CopyMark { tree, cut_at, length: copy.file.finish()?, mixed });
        Ok(all)
    }

    /// The segments that were taken in before, or `None` if that cannot be told any more.
    fn old_segments(&self, known: &CopyMark) -> Result<Option<Vec<TreeItem>>, Error> {
        if known.tree.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Ok(tree) = ObjectId::from_hex(known.tree.as_bytes()) else { return Ok(None) };
        let Ok(mut segments) = self.ws.repo.list_tree(tree)? else { return Ok(None) };
        segments.truncate(known.cut_at.unwrap_or(MAX_SEGMENTS));
        Ok(Some(segments))
    }

    /// The copy at `place`, to be added to. It keeps every line that it has: if what it has is not
    /// the beginning of the file, each of the file's lines is compared.
    fn copy(&self, place: &Place, known: &CopyMark, new: &[TreeItem]) -> Result<Copy, Error> {
        let is_as_left =
            place.has_length(known.length) || (known.length == 0 && place.inspect()?.is_none());
        let file = Copied::open(self.lock, place)?;
        let goes_on = if is_as_left { self.goes_on_at(known, new)? } else { None };
        let mut lines = None;
        if (goes_on.is_none() && file.length() > 0) || known.mixed {
            let mut there = KnownLines::default();
            read_lines(&place.path(), |line| {
                there.add(line);
                Ok(())
            })?;
            lines = Some(there);
        }
        let (next, skip) = goes_on.unwrap_or_default();
        Ok(Copy { file, next, skip, known: lines })
    }

    /// The first segment of `new` that was not taken in before, and what was taken in of it; none
    /// where something was changed.
    fn goes_on_at(
        &self,
        known: &CopyMark,
        new: &[TreeItem],
    ) -> Result<Option<(usize, Vec<u8>)>, Error> {
        let Some(old) = self.old_segments(known)? else { return Ok(None) };
        let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        if same == old.len() {
            return Ok(Some((same, Vec::new())));
        }
        let Some(grown) = new.get(same).filter(|_| same + 1 == old.len()) else { return Ok(None) };
        let bytes = |item: &TreeItem| {
            Ok::<_, Error>(self.ws.repo.blob(item.id, MAX_SEGMENT)?.unwrap_or_default())
        };
        let (before, after) = (bytes(&old[same])?, bytes(grown)?);
        // An empty one may be one that could not be read.
        Ok((!before.is_empty() && after.starts_with(&before)).then_some((same, before)))
    }

    /// The lines of a segment that are sound, but for those in `skip`, its beginning.
    fn lines(
        &mut self,
        stream: Stream,
        path: &str,
        segment: &TreeItem,
        skip: &[u8],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let name = format!("{path}/{}", segment.name);
        let is_number =
            !segment.name.is_empty() && segment.name.bytes().all(|byte| byte.is_ascii_digit());
        if segment.kind != ItemKind::File || !is_number {
            self.leave_out(&name, "it is no segment");
            return Ok(Vec::new());
        }
        let bytes = match self.ws.repo.blob(segment.id, MAX_SEGMENT)? {
            Ok(bytes) => bytes,
            Err(what) => {
                self.leave_out(&name, &what);
                return Ok(Vec::new());
            }
        };
        self.budget = self.budget.saturating_sub(bytes.len().max(1024));
        // A line that was cut off then may be whole now.
        let begin = memchr::memrchr(b'\n', skip).map_or(0, |newline| newline + 1);
        let (whole, rest) =
            bytes.split_at(memchr::memrchr(b'\n', &bytes).map_or(0, |newline| newline + 1));
        let mut lines = Vec::new();
        let mut bad = usize::from(!rest.is_empty());
        for line in whole.get(begin..).unwrap_or_default().split(|byte| *byte == b'\n') {
            if line.len() <= MAX_LINE && !line.is_empty() && is_sound(stream, line) {
                lines.push(line.to_vec());
            } else {
                bad += usize::from(!line.trim_ascii().is_empty());
            }
        }
        let clone = self.clone;
        self.taken.leave_out(bad, || {
            format!("clone {clone}, `{name}`: {bad} lines that are no records of the bus")
        });
        Ok(lines)
    }

    /// Takes in the assignments; says whether those were all.
    fn take_assignments(&mut self, folder: ObjectId) -> Result<bool, Error> {
        if self.mark.assignments == Some(folder.to_string()) {
            return Ok(true);
        }
        let mut items = self.list(folder, ASSIGNMENTS)?;
        self.limit(&mut items, MAX_FILES, ASSIGNMENTS);
        for item in items {
            if self.budget == 0 {
                return Ok(false);
            }
            if self.room == 0 {
                self.leave_out_rest(ASSIGNMENTS);
                break;
            }
            let Some((task, found, bytes)) = self.assignment(&item)? else {
                self.leave_out(&format!("{ASSIGNMENTS}/{}", item.name), "it is no assignment");
                continue;
            };
            let place = copy_of(self.ws, self.clone, &format!("{ASSIGNMENTS}/{task}.json"));
            let known = place.read(MAX_RECORD)?.and_then(|known| Assignment::parse(&known).ok());
            // A log that was rewritten takes nothing back.
            if known.is_none_or(|known| found.is_later_than(&known)) {
                replace(&place, &bytes)?;
                self.taken.assignments += 1;
                self.budget = self.budget.saturating_sub(ASSIGNMENT_COST);
            }
        }
        self.mark.assignments = Some(folder.to_string());
        Ok(true)
    }

    /// The assignment that stands there, as a record of the bus.
    fn assignment(&self, item: &TreeItem) -> Result<Option<(TaskId, Assignment, Vec<u8>)>, Error> {
        let task = item.name.strip_suffix(".json").and_then(|name| TaskId::new(name).ok());
        let Some(task) = task.filter(|_| item.kind == ItemKind::File) else { return Ok(None) };
        let Ok(bytes) = self.ws.repo.blob(item.id, MAX_RECORD)? else { return Ok(None) };
        let found = Assignment::parse(&bytes).ok().filter(|found| found.task_id == task);
        Ok(found.map(|found| (task, found, bytes)))
    }

    /// What a tree of the log has, or `None` if it cannot be read, which is told.
    fn list(&mut self, tree: ObjectId, name: &str) -> Result<Vec<TreeItem>, Error> {
        Ok(self.ws.repo.list_tree(tree)?.unwrap_or_else(|what| {
            self.leave_out(name, &what);
            Vec::new()
        }))
    }

    /// The folder called `name`.
    fn folder(&mut self, items: &[TreeItem], name: &str) -> Option<ObjectId> {
        let item = items.iter().find(|item| item.name == name)?;
        if item.kind != ItemKind::Folder {
            self.leave_out(name, "it is no folder");
        }
        (item.kind == ItemKind::Folder).then_some(item.id)
    }

    /// Leaves out all of `items` but the first.
    fn limit(&mut self, items: &mut Vec<TreeItem>, most: usize, name: &str) {
        let more = items.len().saturating_sub(most);
        items.truncate(most);
        if more > 0 {
            self.leave_out(
                name,
                &format!("it has {more} files more than the {most} that are read"),
            );
        }
    }

    /// Leaves out what does not fit any more.
    fn leave_out_rest(&mut self, name: &str) {
        self.leave_out(
            name,
            &format!("what follows is more than the {} MiB that are kept of a log", MAX_LOG >> 20),
        );
    }

    fn leave_out(&mut self, name: &str, what: &str) {
        let clone = self.clone;
        let new = self.told.insert(name.to_owned());
        self.taken.leave_out(usize::from(new), || format!("clone {clone}, `{name}`: {what}"));
    }
}

/// A copy of a log file that is written.
struct Copy {
    file: Copied,
    /// The segment that comes next.
    next: usize,
    /// What of it the copy has already.
    skip: Vec<u8>,
    /// The lines of the copy, if each new one must be compared.
    known: Option<KnownLines>,
}
