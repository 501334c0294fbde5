//! The one step that brings the record, and this worktree's file as far as there is one, in line
//! with a claim's ref (docs/design.md, section 3).

use serde_json::Value;

use super::claim_files::FileClaim;
use super::view::State;
use super::{claim_chain, claim_files, loss};
use crate::bus::workspace::{Mode, Note, Workspace};
use crate::bus::{Error, log};
use crate::record::{Claim, Event, EventKind, Status, Timestamp, verb};
use crate::store::{
    Error as StoreError, Layout, Lock, Place, Verb, crash_point, recently_has, replace,
    replace_copy,
};

/// How many characters of a note an event repeats.
const MAX_QUOTE: usize = 1000;

/// Does what is missing of `state`: its event, then its files. Done twice, it changes nothing.
///
/// # Errors
///
/// [`Error::Store`] if the disk refuses; running it again finishes the work.
pub(in crate::bus) fn settle(ws: &Workspace, lock: &Lock, state: &State) -> Result<(), Error> {
    settle_event(ws, lock, state)?;
    settle_files(ws, state)
}

/// Does what a state asks for that was written just now, under the lock that is still held: the log
/// cannot have its `event` yet.
pub(super) fn settle_new(
    ws: &Workspace,
    lock: &Lock,
    state: &State,
    event: Option<&Event>,
) -> Result<(), Error> {
    event.map_or(Ok(()), |event| log::append_event(ws, lock, event))?;
    settle_new_files(ws, state)
}

/// The same for a state that the fleet's remote has taken. Another command of the same agent may
/// have seen it there, too.
pub(in crate::bus) fn settle_landed(
    ws: &Workspace,
    lock: &Lock,
    state: &State,
    event: Option<&Event>,
) -> Result<(), Error> {
    event.map_or(Ok(()), |event| append_missing(ws, lock, event))?;
    settle_new_files(ws, state)
}

/// Brings the claim's files in line with a state that was written just now. A heartbeat changes no
/// file of a tracked bus's branch: git would show it.
fn settle_new_files(ws: &Workspace, state: &State) -> Result<(), Error> {
    if state.link.verb() == verb::HEARTBEAT && ws.mode()? == Mode::Tracked {
        return settle_record(ws, state);
    }
    settle_files(ws, state)
}

/// Brings the claim's files in line with `state`: the record's, and this worktree's as far as the
/// mode has one. The latter only follows what is written already, in a place where git works, too:
/// if it refuses, that is mentioned and no more.
fn settle_files(ws: &Workspace, state: &State) -> Result<(), Error> {
    crash_point("event-settled");
    settle_record(ws, state)?;
    if let Err(error) = settle_file(ws, state) {
        let text = format!(
            "the claim is written, but this worktree's file of it is not: {error}; `bus doctor --fix` writes it"
        );
        ws.notes.add(Note::Warning(text));
    }
    crash_point("file-settled");
    Ok(())
}

/// Brings the record's file of the claim in line with `state`.
fn settle_record(ws: &Workspace, state: &State) -> Result<(), Error> {
    let task = &state.claim.task_id;
    // It follows the event, whose sync commits the ref's name, so it need not wait for the disk
    // itself.
    if is_behind(ws, &ws.record, state)? {
        replace_copy(&ws.record.claim(task), &state.link.body)?;
    }
    Ok(())
}

/// Brings this worktree's file in line with `state`.
fn settle_file(ws: &Workspace, state: &State) -> Result<(), Error> {
    match ws.mode()? {
        Mode::Untracked => ws.copy_claim(&state.claim, &state.link.body),
        Mode::Tracked if !has_file_here(ws, state)? => {}
        Mode::Tracked | Mode::Older if is_behind(ws, &ws.layout, state)? => {
            replace(&ws.layout.claim(&state.claim.task_id), &state.link.body)?;
        }
        Mode::Tracked | Mode::Older => {}
    }
    Ok(())
}

/// Whether the claim's file in `layout` must be written. A copy is kept of one that somebody
/// edited.
fn is_behind(ws: &Workspace, layout: &Layout, state: &State) -> Result<bool, Error> {
    let task = &state.claim.task_id;
    let file = match claim_files::file_claim(ws, layout, task) {
        // A file of the record that did not come to the disk is written anew.
        Err(Error::Malformed { .. }) if layout.root() == ws.record.root() => return Ok(true),
        Err(Error::Malformed { .. }) => {
            keep_aside(ws, task.as_str(), &layout.claim(task))?;
            return Ok(true);
        }
        file => file?,
    };
    let Some(file) = file else { return Ok(true) };
    // A file that is ahead is not ours to judge here, and must not be lost, unless it is of a claim
    // that was lost.
    let ahead =
        file.claim.revision > state.claim.revision && loss::lost_claim(ws, &file.claim)?.is_none();
    // The record's may have to stand in for the ref, so it follows each heartbeat, too.
    let is_record = layout.root() == ws.record.root();
    if ahead || file.bytes == state.link.body || (!is_record && is_in_line(Some(&file), state)) {
        return Ok(false);
    }
    if !claim_chain::is_past_state(ws, state, &file.claim).unwrap_or(false) {
        keep_aside(ws, task.as_str(), &file.place)?;
    }
    Ok(true)
}

/// In a tracked bus: whether this worktree has the claim's file. It is written only where the claim
/// was made, or if HEAD has it (docs/design.md, section 1.2): so no two branches write one file.
fn has_file_here(ws: &Workspace, state: &State) -> Result<bool, Error> {
    let here = ws.here_origin()?;
    let is_ours = here.is_some() && state.claim.origin == here;
    Ok(is_ours
        || ws.repo.committed_file(ws.layout.claim(&state.claim.task_id).relative()).is_some())
}

/// Keeps a copy of the file of `what`, a task or a lease, that is about to be replaced.
pub(in crate::bus) fn keep_aside(ws: &Workspace, what: &str, place: &Place) -> Result<(), Error> {
    let path = place.path();
    if place.inspect()?.is_some() {
        let copy = broken(ws, what)?.path();
        std::fs::copy(&path, &copy).map_err(StoreError::io(Verb::Write, &copy))?;
    }
    Ok(())
}

/// A place of its own for what is kept of `what`, a task or the queue, before it is replaced.
pub(in crate::bus) fn broken(ws: &Workspace, what: &str) -> Result<Place, Error> {
    let stamp = ws.clock.now().unix();
    let mut places = (0..).map(|number| match number {
        0 => ws.private.broken(what, &stamp.to_string()),
        number => ws.private.broken(what, &format!("{stamp}-{number}")),
    });
    let free = places
        .find(|place| !place.path().exists())
        .unwrap_or_else(|| ws.private.broken(what, "last"));
    free.make_folders()?;
    Ok(free)
}

/// The event of `state`, or `None` if nothing changed hands.
pub(super) fn event_of(ws: &Workspace, state: &State) -> Result<Option<Event>, Error> {
    let before =
        claim_chain::before(ws, &state.link)?.and_then(|link| Claim::parse(&link.body).ok());
    let notes = state.claim.notes.as_deref();
    let news = notes.filter(|notes| {
        before.as_ref().is_none_or(|before| before.notes.as_deref() != Some(*notes))
    });
    Ok(derive(state, news))
}

/// Appends the event of `state`, unless the log has it.
pub(in crate::bus) fn settle_event(
    ws: &Workspace,
    lock: &Lock,
    state: &State,
) -> Result<(), Error> {
    event_of(ws, state)?.map_or(Ok(()), |event| append_missing(ws, lock, &event))
}

fn append_missing(ws: &Workspace, lock: &Lock, event: &Event) -> Result<(), Error> {
    let line = event.to_line();
    if recently_has(&ws.record_log(&event.agent_id)?, &line)? {
        return Ok(());
    }
    log::append_event(ws, lock, event)
}

/// Whether a claim file says what `state` says. A heartbeat moves the ref alone.
pub(in crate::bus) fn is_in_line(file: Option<&FileClaim>, state: &State) -> bool {
    let Some(file) = file else { return false };
    if file.bytes == state.link.body {
        return true;
    }
    let without_pulse = |claim: &Claim| Claim { revision: 0, expires_at: None, ..claim.clone() };
    state.link.verb() == verb::HEARTBEAT
        && without_pulse(&file.claim) == without_pulse(&state.claim)
}

/// The event of a state, wholly derived from its commit and the one before, so that it has the same
/// bytes whoever writes it.
fn derive(state: &State, news: Option<&str>) -> Option<Event> {
    let claim = &state.claim;
    let kind = match state.link.verb() {
        verb::CLAIM | verb::REOPEN | verb::MOVE => verb::CLAIM,
        verb::RELEASE | verb::PAUSE => verb::RELEASE,
        word @ (verb::RECLAIM | verb::UPDATE) => word,
        _ => return None,
    };
    let mut extra = crate::record::json::Object::new();
    extra.extend(
        claim.claim_id.as_ref().map(|id| ("claim_id".to_owned(), Value::from(id.as_str()))),
    );
    Some(Event {
        ts: state.link.time,
        agent_id: state.link.author.parse().ok()?,
        event: EventKind::new(kind).ok()?,
        summary: summary(state, news),
        id: Some(event_id(state)),
        task_id: Some(claim.task_id.clone()),
        plan_id: claim.plan_id.clone(),
        branch: Some(claim.branch.clone()),
        pr: None,
        receipts: Vec::new(),
        severity: None,
        session_id: claim.session_id.clone(),
        extra,
    })
}

fn event_id(state: &State) -> String {
    let commit = state.link.id.as_slice();
    derived_id(state.link.time, state.claim.revision, commit)
}

/// A UUID of version 8 (RFC 9562, section 5.8): 48 bits of `time` in milliseconds and 12 of
/// `order`, so that the events of one second stand in order, then the first 8 bytes of `source`,
/// the name of the object that the event is derived from.
pub(in crate::bus) fn derived_id(time: Timestamp, order: u64, source: &[u8]) -> String {
    let milliseconds = u64::try_from(time.unix()).unwrap_or(0) * 1000;
    let order = u16::try_from(order.min(0xfff)).unwrap_or(0xfff);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&order.to_be_bytes());
    bytes[8..].copy_from_slice(&source[..8]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// What happened, in words; `news` are notes that were not there before.
fn summary(state: &State, news: Option<&str>) -> String {
    let claim = &state.claim;
    let before = claim.lineage.last();
    let (what, why) = match state.link.verb() {
        verb::CLAIM => ("claimed".to_owned(), claim.notes.as_deref()),
        verb::REOPEN => {
            let finisher =
                before.map_or_else(|| "somebody".to_owned(), |past| past.agent_id.to_string());
            (format!("reopened, after {finisher}"), news)
        }
        verb::MOVE => ("moved to another worktree".to_owned(), news),
        verb::UPDATE if claim.status == Status::Paused => ("paused".to_owned(), news),
        verb::UPDATE => ("updated".to_owned(), news),
        verb::PAUSE => ("paused".to_owned(), news),
        verb::RECLAIM => match before {
            Some(past) => (format!("taken over from {}", past.agent_id), past.note.as_deref()),
            None => ("taken over".to_owned(), None),
        },
        _ => match &claim.released_by {
            Some(_) => (
                format!("{} in the place of {}", claim.status, claim.agent_id),
                claim.release_note.as_deref(),
            ),
            None => (claim.status.to_string(), news),
        },
    };
    match why.filter(|why| !why.is_empty()) {
        Some(why) => format!("{what}: {}", quote(why)),
        None => what,
    }
}

/// A note, cut to a length that every line has room for.
pub(in crate::bus) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
