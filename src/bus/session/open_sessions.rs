//! Which sessions of an agent are open in this clone.
//!
//! Each has a note, which `bus session start` writes and `bus session end` removes; the note's time
//! is its last heartbeat. A note is a hint: nobody is refused anything by it, and one that a
//! crash left is forgotten after `stale_after`.

use std::fs;

use super::peers::ACTIVE;
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::{AgentId, SessionId, SessionMark, Timestamp};
use crate::store::{Lock, Place, last_touched, replace, touch};

/// How many notes are looked at.
const MAX_NOTES: usize = 1000;

/// The longest note that is read, in bytes.
const MAX_NOTE: usize = 16 * 1024;

/// A session that was started and not ended.
#[derive(Clone, Debug)]
pub(crate) struct OpenSession {
    /// Whose, where and since when.
    pub(crate) mark: SessionMark,
    /// Its last heartbeat.
    pub(crate) last_seen: Timestamp,
    /// The last one that names it.
    last_named: Timestamp,
}

/// The open sessions, the oldest first, whether they live or not. A note that cannot be read is
/// none.
pub(super) fn open_sessions(ws: &Workspace) -> Vec<OpenSession> {
    let now = ws.clock.now();
    let mut sessions: Vec<OpenSession> =
        notes(ws).filter_map(|(agent, session)| open_session(ws, &agent, &session)).collect();
    sessions.sort_by_key(|session| (session.mark.since, session.mark.session_id.clone()));
    // What an agent does without saying in which session, it does in its latest.
    let mut known: Vec<AgentId> = Vec::new();
    for session in sessions.iter_mut().rev() {
        let agent = &session.mark.agent_id;
        if known.contains(agent) {
            continue;
        }
        known.push(agent.clone());
        let presence = last_touched(&ws.private.presence(agent)).map(|touched| touched.min(now));
        session.last_seen = session.last_seen.max(presence.unwrap_or(session.last_seen));
    }
    sessions
}

fn open_session(ws: &Workspace, agent: &AgentId, session: &SessionId) -> Option<OpenSession> {
    let place = ws.private.session(agent, session);
    let last_seen = last_touched(&place)?.min(ws.clock.now());
    let mark = SessionMark::parse(&place.read(MAX_NOTE).ok()??).ok()?;
    (mark.agent_id == *agent && mark.session_id == *session).then_some(OpenSession {
        mark,
        last_seen,
        last_named: last_seen,
    })
}

/// Looks whether the note of `session` can be written, and writes nothing.
///
/// # Errors
///
/// As [`Place::inspect`].
pub(super) fn check_note(
    ws: &Workspace,
    agent: &AgentId,
    session: &SessionId,
) -> Result<(), Error> {
    ws.private.session(agent, session).inspect()?;
    Ok(())
}

/// Takes those sessions out of `sessions` that one which begins in this worktree takes the place
/// of: those that were begun here, and that nothing has named for as long as an agent counts as
/// active.
pub(super) fn take_replaced(ws: &Workspace, sessions: &mut Vec<OpenSession>) -> Vec<OpenSession> {
    let (here, now) = (ws.layout.root().display().to_string(), ws.clock.now());
    sessions
        .extract_if(.., |open| open.mark.worktree == here && now.since(open.last_named) > ACTIVE)
        .collect()
}

/// Notes that `session` of `agent` is open here.
pub(super) fn note_session(
    ws: &Workspace,
    _held: &Lock,
    agent: &AgentId,
    session: &SessionId,
) -> Result<(), Error> {
    let mark = SessionMark {
        agent_id: agent.clone(),
        session_id: session.clone(),
        since: ws.clock.now(),
        worktree: ws.layout.root().display().to_string(),
    };
    let place = ws.private.session(agent, session);
    replace(&place, &mark.to_bytes())?;
    touch(&place, ws.clock);
    Ok(())
}

/// Removes the note of a session; that it cannot be removed lets it be forgotten later.
pub(super) fn forget_session(ws: &Workspace, _held: &Lock, agent: &AgentId, session: &SessionId) {
    remove(&ws.private.session(agent, session));
}

/// Leaves only those sessions, of whatever agent, that have shown life within `stale_after`, and
/// removes the other notes.
pub(super) fn forget_dead_sessions(ws: &Workspace, _held: &Lock, sessions: &mut Vec<OpenSession>) {
    let (now, stale_after) = (ws.clock.now(), ws.stale_after().0);
    let is_old = |seen: Timestamp| now.since(seen) > stale_after;
    sessions.retain(|session| !is_old(session.last_seen));
    for (agent, session) in notes(ws) {
        let place = ws.private.session(&agent, &session);
        let lives = || {
            sessions
                .iter()
                .any(|open| open.mark.agent_id == agent && open.mark.session_id == session)
        };
        if last_touched(&place).is_some_and(is_old) && !lives() {
            remove(&place);
        }
    }
}

/// Whose sessions have a note, by the notes' names.
fn notes(ws: &Workspace) -> impl Iterator<Item = (AgentId, SessionId)> {
    let entries =
        fs::read_dir(ws.private.sessions()).into_iter().flatten().flatten().take(MAX_NOTES);
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let (agent, session) = name.to_str()?.split_once('@')?;
        Some((AgentId::new(agent).ok()?, SessionId::new(session).ok()?))
    })
}

fn remove(place: &Place) {
    // Nothing but a file, and not through a link.
    if matches!(place.inspect(), Ok(Some(_))) {
        let _ = fs::remove_file(place.path());
    }
}
