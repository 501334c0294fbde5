//! This clone's own log on the fleet's remote (docs/design.md, section 1.4): read back if the
//! record lacks something, repaired if it is damaged, published again if it was rewritten. If
//! somebody else goes on with this clone's id, this clone takes a new one.

use super::log_out::ASSIGNMENTS;
use super::{adopt, rewritten_log};
use crate::bus::workspace::{Note, Workspace, read_lines};
use crate::bus::{Error, claim};
use crate::git;
use crate::git::{ItemKind, ObjectId, RefName, Remote, Tip, TreeItem};
use crate::record::json::MAX_RECORD;
use crate::record::{Assignment, CloneId, TaskId};
use crate::store::{
    KnownLines, Lock, Published, Stream, append_lines, crash_point, replace_record,
};

/// What the remote's state of this clone's own log comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum OwnLog {
    /// Nothing is new, or what this clone has sent has come there.
    Known,
    /// It was rewritten: this clone's log goes on with that as its second parent.
    Rewritten,
    /// Somebody else goes on with the id: this clone has another one now.
    Twin,
}

/// What this clone's own log is at.
pub(super) fn own_tip(ws: &Workspace, name: &RefName) -> Result<Option<ObjectId>, Error> {
    match ws.repo.tip(name)? {
        Tip::At(link) => Ok(Some(link.id)),
        Tip::Missing => Ok(None),
        Tip::Unreadable { what } => Err(damaged(name.as_str(), what).into()),
    }
}

pub(super) fn own_tree(ws: &Workspace, commit: ObjectId) -> Result<ObjectId, Error> {
    Ok(ws.repo.tree_of(commit)?.map_err(|what| damaged(&commit.to_string(), what))?)
}

/// What this clone's own log goes on from if its ref is gone: what was published last, else what a
/// remote was seen to have.
pub(super) fn last_of_log(
    ws: &Workspace,
    name: &RefName,
    published: &Published,
) -> Result<Option<ObjectId>, Error> {
    let last = published.tip.as_ref().and_then(|tip| ObjectId::from_hex(tip.as_bytes()).ok());
    if let Some(last) = last.filter(|last| own_tree(ws, *last).is_ok()) {
        return Ok(Some(last));
    }
    let end = format!("/{}", name.rest());
    for seen in
        ws.repo.names_below(RefName::ALL_SEEN)?.into_iter().filter(|seen| seen.ends_with(&end))
    {
        let seen = RefName::parse(&format!("{}{seen}", RefName::ALL_SEEN));
        let commit = seen.map(|seen| ws.repo.id_of(&seen)).transpose()?.flatten();
        if let Some(commit) = commit.filter(|commit| own_tree(ws, *commit).is_ok()) {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

/// Takes a log that is damaged out of the way, as a power loss leaves it. All that it had and the
/// record or a remote has is published anew.
pub(super) fn repair_log(ws: &Workspace, lock: &mut Lock, name: &RefName) -> Result<(), Error> {
    lock.about_to_write(name.as_str())?;
    let stamp = ws.clock.now().to_string().replace(':', "");
    let keep = ws.private.broken("log", &stamp);
    keep.make_folders()?;
    Ok(ws.repo.set_aside(name, &keep.path(), None)?)
}

/// Takes into the record what this clone has published, as the tree `root`, and the record lacks;
/// returns the published lines.
pub(super) fn read_back(
    ws: &Workspace,
    lock: &Lock,
    root: ObjectId,
) -> Result<[KnownLines; 2], Error> {
    let mut published = [KnownLines::default(), KnownLines::default()];
    let mut recorded = recorded_lines(ws)?;
    let mut count = 0;
    each_own_file(ws, root, |stream, file, bytes| {
        let mut missing = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            published[stream as usize].add(line);
            if let (true, Ok(text)) =
                (recorded[stream as usize].add(line), std::str::from_utf8(line))
            {
                missing.push(text);
            }
        }
        if !missing.is_empty() {
            append_lines(lock, &ws.as_spelled(ws.record.file(stream, file))?, &missing)?;
            count += missing.len();
        }
        Ok(())
    })?;
    count += read_assignments_back(ws, root)?;
    if count > 0 {
        ws.notes.add(Note::Warning(format!(
            "{count} records that this clone has published were not in its record; they are back"
        )));
    }
    crash_point("log-read-back");
    Ok(published)
}

fn recorded_lines(ws: &Workspace) -> Result<[KnownLines; 2], Error> {
    let mut recorded = [KnownLines::default(), KnownLines::default()];
    for stream in Stream::ALL {
        for file in ws.line_files(&ws.record, stream) {
            read_lines(&file, |line| {
                recorded[stream as usize].add(line);
                Ok(())
            })?;
        }
    }
    Ok(recorded)
}

fn read_assignments_back(ws: &Workspace, root: ObjectId) -> Result<usize, Error> {
    let mut count = 0;
    let Some(folder) = own_items(ws, root)?.into_iter().find(|item| item.name == ASSIGNMENTS)
    else {
        return Ok(0);
    };
    for item in own_items(ws, folder.id)? {
        let Some(task) = item.name.strip_suffix(".json").and_then(|name| TaskId::new(name).ok())
        else {
            continue;
        };
        let Ok(bytes) = ws.repo.blob(item.id, MAX_RECORD)? else { continue };
        let Ok(published) = Assignment::parse(&bytes) else { continue };
        let is_known = match claim::assignment_in(ws, &ws.record, &task) {
            Ok(recorded) => recorded.is_some_and(|recorded| !published.is_later_than(&recorded)),
            // What cannot be read is for whoever asks for it.
            Err(_) => true,
        };
        if published.task_id == task && !is_known {
            replace_record(&ws.record.assignment(&task), &bytes)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Calls `each` with the segments of the log whose tree is `root`, and the stream and the file that
/// they are of.
fn each_own_file(
    ws: &Workspace,
    root: ObjectId,
    mut each: impl FnMut(Stream, &str, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let folders = own_items(ws, root)?;
    for stream in Stream::ALL {
        let Some(folder) = folders.iter().find(|item| item.name == stream.folder()) else {
            continue;
        };
        for file in
            own_items(ws, folder.id)?.into_iter().filter(|item| item.kind == ItemKind::Folder)
        {
            for segment in own_items(ws, file.id)? {
                let bytes = ws.repo.blob(segment.id, usize::MAX)?;
                let bytes = bytes.map_err(|what| damaged(&segment.id.to_string(), what))?;
                each(stream, &file.name, &bytes)?;
            }
        }
    }
    Ok(())
}

fn own_items(ws: &Workspace, tree: ObjectId) -> Result<Vec<TreeItem>, Error> {
    Ok(ws.repo.list_tree(tree)?.map_err(|what| damaged(&tree.to_string(), what))?)
}

/// Brings this clone's own log, called `name`, in line with what `remote` has of it, whose objects
/// are here; `before` is what was known of that before the look.
pub(super) fn adopt_own_log(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    name: &RefName,
    theirs: Option<ObjectId>,
    before: Option<ObjectId>,
) -> Result<OwnLog, Error> {
    let seen = ws.seen_at(remote, name)?;
    let Some(theirs) = theirs.filter(|theirs| Some(*theirs) != seen) else {
        return Ok(OwnLog::Known);
    };
    let Some(is_rewritten) = self::is_rewritten(ws, seen, theirs, before)? else {
        return Ok(OwnLog::Known);
    };
    let published = Published::load(&ws.private)?;
    let ours = ws.repo.id_of(name)?;
    let last = match ours {
        Some(ours) => Some(ours),
        None => last_of_log(ws, name, &published)?,
    };
    let has = |known: Option<ObjectId>| {
        known.map_or(Ok(false), |known| ws.repo.has_in_history(known, theirs))
    };
    let is_ours = has(last)? || has(seen)? || published.tip == Some(theirs.to_string());
    if let Some(seen) = seen.filter(|_| is_rewritten) {
        rewritten_log::note_rewritten(ws, lock, name, seen, theirs)?;
    }
    let outcome = match last {
        Some(last) if is_rewritten && !is_ours => {
            go_on_from(ws, lock, name, last, theirs)?;
            OwnLog::Rewritten
        }
        _ if !is_ours => {
            leave_id(ws, lock, remote, name)?;
            OwnLog::Twin
        }
        // What the record lacks of it is read back when more is published.
        _ => {
            let next = if has(last)? { last } else { Some(theirs) };
            if let Some(next) = next.filter(|next| ours != Some(*next)) {
                lock.about_to_write(name.as_str())?;
                ws.repo.put(name, next)?;
            }
            OwnLog::Known
        }
    };
    crash_point("own-log-adopted");
    adopt::note_seen(ws, lock, remote, name, Some(theirs))?;
    Ok(outcome)
}

/// Whether a log that was `seen` on the remote, and is at `theirs` there, was rewritten; `None` if
/// that was looked at before another process saw it anew: then it may be old. `before` is what was
/// known of it before the look.
pub(super) fn is_rewritten(
    ws: &Workspace,
    seen: Option<ObjectId>,
    theirs: ObjectId,
    before: Option<ObjectId>,
) -> Result<Option<bool>, Error> {
    let Some(known) = seen else { return Ok(Some(false)) };
    let is_rewritten = !ws.repo.has_in_history(theirs, known)?;
    Ok(Some(is_rewritten).filter(|is_rewritten| !is_rewritten || seen == before))
}

/// Has this clone's log, which was at `last`, go on with what somebody has put into its place as a
/// second parent.
fn go_on_from(
    ws: &Workspace,
    lock: &mut Lock,
    name: &RefName,
    last: ObjectId,
    theirs: ObjectId,
) -> Result<(), Error> {
    let Some(clone) = name.rest().strip_prefix("log/").and_then(CloneId::new) else {
        return Ok(());
    };
    let message = "log: once more, after it was rewritten\n".to_owned();
    let again = ws.repo.write_log(
        vec![last, theirs],
        own_tree(ws, last)?,
        &clone,
        ws.clock.now(),
        message,
    )?;
    lock.about_to_write(name.as_str())?;
    Ok(ws.repo.put(name, again)?)
}

/// Takes a new id for this clone: somebody else uses the one by which its log is called `name`.
/// What was done under that one and `remote` does not have is not sent any more. The new id comes
/// last: whoever dies before it does all of this again.
fn leave_id(ws: &Workspace, lock: &mut Lock, remote: &Remote, name: &RefName) -> Result<(), Error> {
    adopt::give_up_unsent(ws, lock, remote)?;
    crash_point("unsent-given-up");
    if let Some(ours) = ws.repo.id_of(name)? {
        lock.about_to_write(name.as_str())?;
        // The record has it all, and is published under the new id.
        ws.repo.remove(&[(name.clone(), ours)])?;
    }
    crash_point("own-log-left");
    let id = ws.mint_clone_id()?;
    let old = name.rest().strip_prefix("log/").unwrap_or_default();
    ws.notes.add(Note::Warning(format!(
            "another clone goes on with this clone's id {old}, as a copied container or a restored backup does: this clone is {id} from now on; \
             claims that were made here as {old} count as held in another clone, and `bus claim TASK --here` moves one here"
        )));
    Ok(())
}

/// The error of what is damaged of this clone's log.
fn damaged(name: &str, what: String) -> git::Error {
    git::Error::Damaged { name: name.to_owned(), what }
}
