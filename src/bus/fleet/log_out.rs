//! Brings this clone's log up to date, which other clones fetch: what its record says (design,
//! section 1.4). No branch, no index and no file of a worktree is touched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{adopt, own_log, push};
use crate::bus::log::Channel;
use crate::bus::workspace::{Note, Workspace};
use crate::bus::{Error, claim};
use crate::git;
use crate::git::{LogTree, ObjectId, Pushed, RefName, Remote, Swap, blob_id};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Assignment, CloneId, Event, Glance, Message};
use crate::store::{FileMark, KnownLines, Lock, Published, Stream, crash_point, whole_lines};

/// How much of the record is read while the lock is held, in bytes: others wait for it.
const ROUND: u64 = 32 * 1024 * 1024;

/// How long a command that is done waits for the remote to take what it logged.
const A_MOMENT: Duration = Duration::from_secs(1);

/// The folder of assignments.
pub(super) const ASSIGNMENTS: &str = "assignments";

/// The file of the log for lines of files whose names are no ids: whose name it is means nothing to
/// readers of the log.
const NAMELESS: &str = "events.jsonl";

/// The whole record is published, because what was published cannot be read: as what follows
/// `last`.
struct Anew {
    last: Option<ObjectId>,
}

/// Whether a commit of the log is written if there is nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum LogCommit {
    IfNew,
    /// One that was written just for this push: no copy of this clone can have it, so of two with
    /// one id only one can push.
    Always,
}

/// What was added to the log.
struct Added {
    lines: [usize; 2],
    assignments: usize,
}

/// Publishes what this clone logged, said and assigned in `refs/bus/log/<clone id>`. Returns the
/// ref and what it is at; `None` if there is nothing.
///
/// Only whole lines that are events or messages are published, and a line may have 64 KiB. The lock
/// is given back in between.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses: what was published stays.
pub fn publish_log(ws: &Workspace) -> Result<Option<(RefName, ObjectId)>, Error> {
    commit_log(ws, LogCommit::IfNew)
}

/// The same; `commit` says whether a commit is written in any case.
pub(super) fn commit_log(
    ws: &Workspace,
    commit: LogCommit,
) -> Result<Option<(RefName, ObjectId)>, Error> {
    loop {
        let mut lock = ws.lock()?;
        let clone = CloneId::new(&ws.clone_id()?).ok_or_else(|| no_clone_id(ws))?;
        let name = RefName::log(clone.as_str()).expect("a clone's id is a word for a ref");
        let mut published = publish_some(ws, &mut lock, &clone, &name, (commit, None));
        if is_damaged(&published) {
            let last = ws.repo.id_of(&name)?.filter(|last| own_log::own_tree(ws, *last).is_ok());
            own_log::repair_log(ws, &mut lock, &name)?;
            published = publish_some(ws, &mut lock, &clone, &name, (commit, None));
            if is_damaged(&published) {
                published =
                    publish_some(ws, &mut lock, &clone, &name, (commit, Some(Anew { last })));
            }
        }
        let (tip, more) = published?;
        if !more {
            return Ok(tip.map(|tip| (name, tip)));
        }
    }
}

/// Publishes as much as may be done under one lock; says whether there is more. `anew` is how if
/// what is published cannot be read.
fn publish_some(
    ws: &Workspace,
    lock: &mut Lock,
    clone: &CloneId,
    name: &RefName,
    (commit, anew): (LogCommit, Option<Anew>),
) -> Result<(Option<ObjectId>, bool), Error> {
    let tip = own_log::own_tip(ws, name)?;
    let mut published = Published::load(&ws.private)?;
    let base = match (&anew, tip) {
        (Some(anew), _) => anew.last,
        (None, Some(tip)) => Some(tip),
        (None, None) => own_log::last_of_log(ws, name, &published)?,
    };
    let root =
        base.filter(|_| anew.is_none()).map(|base| own_log::own_tree(ws, base)).transpose()?;
    let mut tree = ws.repo.log_tree(root)?;
    let before = published.clone();
    let is_current = anew.is_none()
        && published.tip == base.map(|base| base.to_string())
        && has_files_of(ws, &published);
    let mut known = None;
    if !is_current {
        published = Published::default();
        known = root.map(|root| own_log::read_back(ws, lock, root)).transpose()?;
    }
    // What is compared is compared as a whole: only then is it known how far each file is
    // published.
    let mut budget = if known.is_some() { u64::MAX } else { ROUND };
    let lines = add_lines(ws, &mut published, &mut tree, known, &mut budget)?;
    let added = Added { lines, assignments: add_assignments(ws, &mut tree)? };
    let new = match (tree.write()?, commit) {
        (None, LogCommit::IfNew) => base,
        (written, _) => {
            let same = || root.map_or_else(|| Ok::<_, Error>(ws.repo.write_empty_tree()?), Ok);
            let tree = written.map_or_else(same, Ok)?;
            let parents = base.into_iter().collect();
            Some(ws.repo.write_log(parents, tree, clone, ws.clock.now(), added.describe())?)
        }
    };
    crash_point("log-written");
    if let Some(new) = new.filter(|new| Some(*new) != tip) {
        lock.about_to_write(name.as_str())?;
        if !ws.repo.swap(name, tip, new)? {
            return Err(refused(
                "write",
                name.as_str(),
                "it was changed meanwhile, and not by `bus`",
            ));
        }
    }
    crash_point("log-published");
    published.tip = new.map(|new| new.to_string());
    if published != before {
        published.save(lock, &ws.private)?;
    }
    Ok((new, budget == 0))
}

/// Whether all files that are marked still have what was published of them.
fn has_files_of(ws: &Workspace, published: &Published) -> bool {
    let folder = ws.record.root().join("_bus");
    published.files.iter().all(|(file, mark)| mark.holds(&folder.join(file)))
}

/// Publishes what this clone has logged, and has the remote take it if that answers within a
/// moment. If it does not, that is mentioned; a clone without a fleet has nobody to tell.
pub(in crate::bus) fn publish_soon(ws: &Workspace) {
    if ws.notes.has_unsent() {
        return;
    }
    match send_log(ws) {
        Ok(Pushed::Done) => {}
        Ok(Pushed::TimedOut) => {
            ws.notes.add(Note::Unsent("the remote did not answer within a second".to_owned()))
        }
        Ok(Pushed::Refused(what) | Pushed::Unclear(what)) => ws.notes.add(Note::Unsent(what)),
        Err(error) => ws.notes.add(Note::Unsent(error.to_string())),
    }
}

/// Has the fleet's remote take this clone's log; done without a fleet.
fn send_log(ws: &Workspace) -> Result<Pushed, Error> {
    let patience = ws.remote_patience.min(A_MOMENT);
    if ws.fleet()?.is_none() && ws.config()?.fleet.is_some() {
        // A branch says that there is one, and the remote was not asked yet.
        ws.ask_for_fleet_within(patience)?;
    }
    let Some(fleet) = ws.fleet()? else { return Ok(Pushed::Done) };
    let remote = ws.repo.remote(&fleet.remote, &fleet.prefix, patience)?;
    let Some(swap) = log_due(ws, &remote, false, LogCommit::IfNew)? else {
        return Ok(Pushed::Done);
    };
    let pushed = push::push_swaps(ws, &remote, vec![swap.clone()])?;
    if pushed == Pushed::Done {
        adopt::note_seen(ws, &mut ws.lock()?, &remote, &swap.name, swap.new)?;
    }
    Ok(pushed)
}

/// Publishes this clone's log, and returns what the remote lacks of it, as it was last seen there,
/// or if it `is_lost` there.
pub(super) fn log_due(
    ws: &Workspace,
    remote: &Remote,
    is_lost: bool,
    commit: LogCommit,
) -> Result<Option<Swap>, Error> {
    let Some((name, ours)) = commit_log(ws, commit)? else { return Ok(None) };
    let expected = if is_lost { None } else { ws.seen_at(remote, &name)? };
    Ok((expected != Some(ours)).then_some(Swap { name, expected, new: Some(ours) }))
}

/// The error of an id that somebody has written by hand.
fn no_clone_id(ws: &Workspace) -> Error {
    refused(
        "use",
        &ws.private.clone_id().path().display().to_string(),
        "it holds no id of a clone: 1 to 64 of `0-9 a-z`",
    )
}

/// Adds the lines of the record that are not `published`, or if these are given, not `known`, as
/// long as the `budget` lasts. Returns how many, by stream.
fn add_lines(
    ws: &Workspace,
    published: &mut Published,
    tree: &mut LogTree<'_>,
    mut known: Option<[KnownLines; 2]>,
    budget: &mut u64,
) -> Result<[usize; 2], Error> {
    let mut added = [0; 2];
    for stream in Stream::ALL {
        let files = ws.line_files(&ws.record, stream).into_iter();
        let mut named: Vec<(String, PathBuf)> =
            files.filter_map(|path| Some((published_name(stream, &path)?, path))).collect();
        named.sort();
        for (name, path) in named {
            let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
            let key = format!("{}/{file}", stream.folder());
            let start = published.files.get(&key).map_or(0, |mark| mark.offset);
            let name = tree.spelled(stream.folder(), &name)?;
            let end = whole_lines::<Error>(&path, start, budget, |line| {
                let is_new = known.as_mut().is_none_or(|known| known[stream as usize].add(line));
                if is_new && is_sound(stream, line) {
                    tree.append(stream.folder(), &name, line)?;
                    added[stream as usize] += 1;
                }
                Ok(())
            })?;
            if end != start {
                published.files.insert(key, FileMark::at(&path, end)?);
            }
        }
    }
    Ok(added)
}

/// Adds the assignments that are later than those that were published; returns how many.
fn add_assignments(ws: &Workspace, tree: &mut LogTree<'_>) -> Result<usize, Error> {
    let mut added = 0;
    for task in claim::ids_in(ws, &ws.record.assignments()) {
        let file = tree.spelled(ASSIGNMENTS, &format!("{task}.json"))?;
        let there = tree.file(ASSIGNMENTS, &file)?;
        let bytes = ws.record.assignment(&task).read(MAX_RECORD).ok().flatten();
        if there.is_some() && there == bytes.and_then(|bytes| blob_id(&bytes)) {
            continue;
        }
        // One that cannot be read is an error for whoever asks for it; it keeps no other one back.
        let Ok(Some(assignment)) = claim::assignment_in(ws, &ws.record, &task) else { continue };
        let published = match there {
            Some(blob) => ws
                .repo
                .blob(blob, usize::MAX)?
                .ok()
                .and_then(|bytes| Assignment::parse(&bytes).ok()),
            None => None,
        };
        if published.is_none_or(|published| assignment.is_later_than(&published)) {
            tree.put(ASSIGNMENTS, &file, &assignment.to_bytes())?;
            added += 1;
        }
    }
    Ok(added)
}

impl Added {
    /// The message of the commit. Its last line makes it another one than any copy of this clone
    /// writes in the same second.
    fn describe(&self) -> String {
        let [events, messages] = self.lines;
        let (assignments, id) = (self.assignments, uuid::Uuid::now_v7().simple());
        format!("log: {events} events, {messages} messages, {assignments} assignments\n\n{id}\n")
    }
}

fn is_damaged<T>(published: &Result<T, Error>) -> bool {
    matches!(published, Err(Error::Git(git::Error::Damaged { .. })))
}

fn refused(verb: &'static str, name: &str, what: &str) -> Error {
    git::Error::Store { verb, name: name.to_owned(), what: what.to_owned(), kind: None }.into()
}

/// Whether `line` is one of `stream`: an event, or a message.
pub(super) fn is_sound(stream: Stream, line: &[u8]) -> bool {
    match stream {
        Stream::Log => Glance::at(line).is_some() || Event::parse(line).is_ok(),
        Stream::Channels => Message::parse(line).is_ok(),
    }
}

/// Whether `name` is that of a file of `stream`, as other clones take it.
pub(super) fn is_published_name(stream: Stream, name: &str) -> bool {
    let is_id = name.strip_suffix(".jsonl").is_some_and(|stem| AgentId::new(stem).is_ok());
    is_id && (stream == Stream::Log || Channel::at(Path::new(name)).is_some())
}

/// The name under which the lines of the file at `path` are published; none for a file that is no
/// channel.
fn published_name(stream: Stream, path: &Path) -> Option<String> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| is_published_name(stream, name));
    name.or((stream == Stream::Log).then_some(NAMELESS)).map(str::to_owned)
}
