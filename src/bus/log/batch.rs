//! Batches: in a tracked bus, the lines of the record as files of a branch (docs/design.md, section
//! 1.2).
//!
//! A batch is a file of its own, `_bus/events/<agent>@<batch>.jsonl` or
//! `_bus/messages/<agent>@<batch>.jsonl`. It takes lines until HEAD moves or the file is gone; then
//! a new one begins. So a batch that is in a commit never changes, no two branches append to one
//! file, and no merge has anything to reconcile.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::bus::Error;
use crate::bus::workspace::{Mode, Workspace, worktree_key};
use crate::git::ObjectId;
use crate::record::{AgentId, Event, Message};
use crate::store::{
    Error as StoreError, Lock, Place, Stream, Verb, append_lines, crash_point, each_line,
    note_bytes, read_note, replace, replace_copy,
};

/// The longest note that is read, in bytes.
const MAX_NOTE: usize = 4 * 1024 * 1024;

/// How many characters the name of a batch has.
const NAME: usize = 12;

/// In how many branches of this clone, and of its remotes, a batch is looked for.
const MAX_TIPS: usize = 1000;

/// How much of the record of an agent is in batches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct BatchNote {
    /// How far each file of the record was read, in bytes, by stream and name.
    read: BTreeMap<String, u64>,
    /// The batch of each worktree that still takes lines.
    open: BTreeMap<String, OpenBatch>,
}

/// A batch that still takes lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OpenBatch {
    batch: String,
    /// The commit that HEAD was at; empty on a branch without commits.
    head: String,
    /// How far the record was read before it began.
    from: BTreeMap<String, u64>,
    /// Which files it has.
    files: Vec<String>,
    /// Whether lines are being written of which `read` knows nothing yet.
    #[serde(default)]
    is_unfinished: bool,
}

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// How many events.
    pub(crate) events: usize,
    /// How many messages.
    pub(crate) messages: usize,
    /// The files, below the worktree's root.
    pub(crate) files: Vec<String>,
}

/// Writes what `agent` logged and said since the last time into batches of this worktree. In a bus
/// whose records are not tracked there is nothing to do.
///
/// # Errors
///
/// [`Error::Store`] if the record cannot be read or a batch not be written: running it again
/// finishes the work.
pub(crate) fn export(ws: &Workspace, agent: &AgentId) -> Result<Exported, Error> {
    if ws.mode()? != Mode::Tracked {
        return Ok(Exported::default());
    }
    let lock = ws.lock()?;
    export_under(ws, &lock, agent)
}

/// The same under the lock that the caller holds.
pub(in crate::bus) fn export_under(
    ws: &Workspace,
    lock: &Lock,
    agent: &AgentId,
) -> Result<Exported, Error> {
    if ws.mode()? != Mode::Tracked || !ws.layout.has_bus() {
        return Ok(Exported::default());
    }
    let place = ws.private.batches(agent);
    let mut note: BatchNote = read_note(&place, MAX_NOTE)?.unwrap_or_default();
    let worktree = worktree_key(ws.repo.worktree_name().as_deref());
    let head = ws.repo.head().map(|head| head.to_string()).unwrap_or_default();
    let last = note.open.remove(&worktree);
    let unfinished = last.as_ref().filter(|last| last.is_unfinished).map(|last| last.batch.clone());
    // HEAD has moved. If no commit took what was written it is lost if its files are, so the next
    // batch answers for it, too.
    let uncommitted = last.clone().filter(|last| last.head != head && !is_committed(ws, last));
    let mut open = last.filter(|open| open.head == head).or(uncommitted);
    if let Some(lost) =
        open.take_if(|open| open.files.iter().any(|file| !ws.layout.root().join(file).exists()))
    {
        // No commit has what stood in it. A file of the record that is not in `from` began later.
        note.read = lost.from;
    }
    let is_new = open.as_ref().is_none_or(|open| open.head != head);
    let mut open = match open {
        Some(open) if is_new => OpenBatch { batch: batch_name(), head, ..open },
        Some(open) => open,
        None => {
            OpenBatch { batch: batch_name(), head, from: note.read.clone(), ..OpenBatch::default() }
        }
    };
    let before = note.clone();
    let mut lines = Vec::new();
    for stream in Stream::ALL {
        lines.push((stream, unexported(ws, stream, agent, &mut note.read)?));
    }
    lines.retain(|(_, lines)| !lines.is_empty());
    let mut exported = Exported::default();
    if lines.is_empty() {
        return Ok(exported);
    }
    // Whoever comes after a crash finds the batch by its name, and what is in it already.
    write_note(
        &place,
        before,
        &worktree,
        OpenBatch { is_unfinished: true, ..open.clone() },
        is_new,
    )?;
    for (stream, lines) in lines {
        let of = |batch: &str| ws.layout.file(stream, &format!("{agent}@{batch}.jsonl"));
        let file = of(&open.batch);
        let count = add_missing(lock, &file, unfinished.as_deref().map(of).as_ref(), &lines)?;
        let shown = file.relative().display().to_string();
        *if stream == Stream::Log { &mut exported.events } else { &mut exported.messages } += count;
        if count > 0 {
            exported.files.push(shown.clone());
        }
        if file.path().exists() && !open.files.contains(&shown) {
            open.files.push(shown);
        }
    }
    crash_point("batch-written");
    write_note(&place, note, &worktree, OpenBatch { is_unfinished: false, ..open }, true)?;
    Ok(exported)
}

/// Whether each file of a batch is in the commit that HEAD or a branch is at. One that cannot be
/// found is written twice, not lost.
fn is_committed(ws: &Workspace, batch: &OpenBatch) -> bool {
    let mut tips: Vec<ObjectId> = ws.repo.head().into_iter().collect();
    let is_in = |tips: &[ObjectId]| {
        batch
            .files
            .iter()
            .all(|file| tips.iter().any(|tip| ws.repo.blob_at(*tip, file.as_ref()).is_some()))
    };
    if is_in(&tips) {
        return true;
    }
    if let Ok(history) = ws.repo.history() {
        for prefix in ["refs/heads/", "refs/remotes/"] {
            tips.extend(
                history.refs_below(prefix).unwrap_or_default().into_values().take(MAX_TIPS),
            );
        }
    }
    is_in(&tips)
}

/// The lines of `agent` in the record that were not read yet.
fn unexported(
    ws: &Workspace,
    stream: Stream,
    agent: &AgentId,
    read: &mut BTreeMap<String, u64>,
) -> Result<Vec<String>, Error> {
    let own_log = ws.record_log(agent)?.path();
    let mut lines = Vec::new();
    for path in ws
        .line_files(&ws.record, stream)
        .into_iter()
        .filter(|path| stream != Stream::Log || *path == own_log)
    {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let key = format!("{}/{name}", stream.folder());
        let refused = |error| StoreError::io(Verb::Read, &path)(error);
        let mut file = File::open(&path).map_err(refused)?;
        let length = file.metadata().map_err(refused)?.len();
        let begin = read.get(&key).copied().unwrap_or(0).min(length);
        file.seek(SeekFrom::Start(begin)).map_err(refused)?;
        each_line::<Error>(file, &path, |line| {
            let is_own = match stream {
                Stream::Log => Event::parse(line).is_ok_and(|event| event.agent_id == *agent),
                Stream::Channels => {
                    Message::parse(line).is_ok_and(|message| message.from == *agent)
                }
            };
            if is_own {
                lines.push(String::from_utf8_lossy(line).into_owned());
            }
            Ok(())
        })?;
        read.insert(key, length);
    }
    Ok(lines)
}

/// Notes how much of an agent's record is in batches, and the one that is `open`. Before lines are
/// written a new one waits for the disk; for one that is known it is enough that no kill takes the
/// note away.
fn write_note(
    place: &Place,
    mut note: BatchNote,
    worktree: &str,
    open: OpenBatch,
    durable: bool,
) -> Result<(), Error> {
    note.open.insert(worktree.to_owned(), open);
    let bytes = note_bytes(place, &note)?;
    if durable {
        replace(place, &bytes)?;
    } else {
        replace_copy(place, &bytes)?;
    }
    Ok(())
}

/// Appends those of `lines` that the batch at `place` lacks, and the `unfinished` one that a crash
/// has left: it has all unless a crash came before the note. Returns how many.
fn add_missing(
    lock: &Lock,
    place: &Place,
    unfinished: Option<&Place>,
    lines: &[String],
) -> Result<usize, Error> {
    let known =
        [Some(place), unfinished].into_iter().flatten().map(|place| place.read(usize::MAX - 1));
    let known =
        known.map(|bytes| Ok(bytes?.unwrap_or_default())).collect::<Result<Vec<_>, Error>>()?;
    let known: HashSet<&[u8]> =
        known.iter().flat_map(|bytes| bytes.split(|byte| *byte == b'\n')).collect();
    let missing: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !known.contains(line.as_bytes())).collect();
    if !missing.is_empty() {
        append_lines(lock, place, &missing)?;
    }
    Ok(missing.len())
}

/// A name that no other batch has.
fn batch_name() -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut number = uuid::Uuid::now_v7().as_u128();
    let mut random = || {
        let letter = LETTERS[usize::try_from(number % 36).unwrap_or(0)];
        number /= 36;
        char::from(letter)
    };
    (0..NAME).map(|_| random()).collect()
}

#[cfg(test)]
mod tests {
    use super::batch_name;

    #[test]
    fn names_of_batches_are_short_and_differ() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| batch_name()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() == 12
            && name.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())));
    }
}
