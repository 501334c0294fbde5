//! The beginning and the end of an agent's session.

use std::fmt;

use super::open_sessions::OpenSession;
use super::overview::OwnClaim;
use super::{open_sessions, overview, peers};
use crate::bus::claim::LastEvents;
use crate::bus::log::EventRequest;
use crate::bus::workspace::{ManifestState, Note, Workspace};
use crate::bus::{Error, log};
use crate::git::Fetch;
use crate::record::json::Object;
use crate::record::{AgentId, Event, EventKind, SessionId};
use crate::store::{Direction, RECENT, Union, crash_point};

/// What type of event a session begins and ends with.
const HANDSHAKE: &str = "handshake";

/// The field that says which of both it is.
const PHASE: &str = "session";

/// What an agent is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It works on tasks.
    Engineer,
    /// It says who does what.
    Manager,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Engineer, Self::Manager];

    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Engineer => "engineer",
            Self::Manager => "manager",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What `bus session start` says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionRequest {
    /// What the session is for, in words.
    pub(crate) summary: Option<String>,
    /// What it is about.
    pub(crate) focus: Option<String>,
    /// What the agent is there for.
    pub(crate) role: Option<Role>,
}

/// A session that has begun.
#[derive(Debug)]
pub(crate) struct SessionStart {
    /// Its id.
    pub(crate) session: SessionId,
    /// Its handshake.
    pub(crate) event: Event,
    /// What this worktree's manifest says.
    pub(crate) manifest: ManifestState,
    /// The other sessions of the same agent in this clone that live.
    pub(crate) others: Vec<OpenSession>,
    /// The agent's earlier sessions in this worktree that it takes the place of.
    pub(crate) replaced: Vec<OpenSession>,
}

/// A session that has ended.
#[derive(Debug)]
pub(crate) struct SessionEnd {
    /// Its id, where it is known.
    pub(crate) session: Option<SessionId>,
    /// What the log says of it, or `None` if the log had it.
    pub(crate) event: Option<Event>,
    /// What the agent still holds, here and in other places.
    pub(crate) claims: Vec<OwnClaim>,
}

/// Begins a session of `agent` in this worktree: the one that `$BUS_SESSION` names, else a new one.
///
/// # Errors
///
/// [`Error::Usage`] if the words are too many for a line of the log; else as the system refuses.
pub(crate) fn session_start(
    ws: &Workspace,
    agent: &AgentId,
    request: &SessionRequest,
) -> Result<SessionStart, Error> {
    ws.config()?;
    let session = ws.session.clone().map_or_else(|| new_session(ws), Ok)?;
    open_sessions::check_note(ws, agent, &session)?;
    let lock = ws.lock()?;
    let mut others = open_sessions::open_sessions(ws);
    open_sessions::forget_dead_sessions(ws, &lock, &mut others);
    others.retain(|other| other.mark.agent_id == *agent && other.mark.session_id != session);
    let replaced = open_sessions::take_replaced(ws, &mut others);
    ws.note_presence(agent);
    let words =
        [("focus", request.focus.clone()), ("role", request.role.map(|role| role.to_string()))];
    let words = words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word?)));
    let summary = request.summary.clone().unwrap_or_else(|| "session start".to_owned());
    let event = handshake(ws, agent, Some(&session), summary, "start", words)?;
    log::check_event(ws, &event)?;
    let manifest = ws.settle_manifest(&lock, agent)?;
    log::append_event(ws, &lock, &event)?;
    crash_point("handshake-written");
    // After the handshake: one that a crash left would warn of a session that never was.
    open_sessions::note_session(ws, &lock, agent, &session)?;
    replaced
        .iter()
        .for_each(|old| open_sessions::forget_session(ws, &lock, agent, &old.mark.session_id));
    Ok(SessionStart { session, event, manifest, others, replaced })
}

/// Ends the session of `agent` that `$BUS_SESSION` names, else those that it began in this
/// worktree. Claims go on. The same again does what a crash left undone, and logs nothing twice.
///
/// # Errors
///
/// As [`session_start`].
pub(crate) fn session_end(
    ws: &Workspace,
    agent: &AgentId,
    summary: Option<&str>,
) -> Result<SessionEnd, Error> {
    ws.config()?;
    let lock = ws.lock()?;
    let here = ws.layout.root().display().to_string();
    let mut ended = open_sessions::open_sessions(ws);
    ended.retain(|open| {
        let is_meant = match &ws.session {
            Some(session) => open.mark.session_id == *session,
            None => open.mark.worktree == here,
        };
        is_meant && open.mark.agent_id == *agent
    });
    let session =
        ws.session.clone().or_else(|| ended.last().map(|open| open.mark.session_id.clone()));
    let last_end = self::last_end(ws, agent, session.as_ref())?;
    // Without a session to name, only the words tell an end from another.
    let says_more =
        |end: &Event| session.is_none() && summary.is_some_and(|summary| summary != end.summary);
    let event = if last_end.is_some_and(|end| !says_more(&end)) {
        None
    } else {
        let summary = summary.unwrap_or("session wrap").to_owned();
        let event = handshake(ws, agent, session.as_ref(), summary, "end", [])?;
        log::append_event(ws, &lock, &event)?;
        Some(event)
    };
    crash_point("wrap-up-written");
    log::export_under(ws, &lock, agent)?;
    ended
        .iter()
        .for_each(|open| open_sessions::forget_session(ws, &lock, agent, &open.mark.session_id));
    drop(lock);
    let held =
        peers::live_claims(ws, std::slice::from_ref(agent), &mut LastEvents::default())?.claims;
    Ok(SessionEnd { session, event, claims: overview::own_claims(ws, held)? })
}

/// Brings the remote-tracking branches up to date, as [`crate::git::Repository::fetch`] does.
///
/// # Errors
///
/// [`Error::Git`] if git cannot be started.
pub(crate) fn fetch(ws: &Workspace) -> Result<Fetch, Error> {
    let fetched = ws.repo.fetch(ws.remote_patience)?;
    if let Err(error) = ws.ask_for_fleet() {
        ws.notes.add(Note::Warning(format!(
            "nobody knows whether this clone belongs to a fleet: {error}"
        )));
    }
    Ok(fetched)
}

/// An id that no other session has: the time, and a part that is random.
fn new_session(ws: &Workspace) -> Result<SessionId, Error> {
    let time = ws.clock.now().to_string().replace(['-', ':'], "");
    let random = &uuid::Uuid::now_v7().simple().to_string()[26..];
    Ok(SessionId::new(format!("{time}-{random}"))?)
}

/// The event that a session begins or ends with.
fn handshake(
    ws: &Workspace,
    agent: &AgentId,
    session: Option<&SessionId>,
    summary: String,
    phase: &str,
    words: impl IntoIterator<Item = (String, String)>,
) -> Result<Event, Error> {
    let request = EventRequest {
        event: EventKind::new(HANDSHAKE)?,
        summary,
        task: None,
        plan: None,
        branch: ws.repo.branch(),
        pr: None,
        receipts: Vec::new(),
        severity: None,
        extra: Vec::new(),
    };
    let mut extra: Object = words.into_iter().map(|(name, word)| (name, word.into())).collect();
    extra.insert(PHASE.to_owned(), phase.into());
    Ok(Event {
        session_id: session.map(ToString::to_string),
        ..log::event(ws, agent, None, &request, extra)
    })
}

/// The end of a session, where it is the last that the end of the log says of it; without a
/// session, of the agent.
fn last_end(
    ws: &Workspace,
    agent: &AgentId,
    session: Option<&SessionId>,
) -> Result<Option<Event>, Error> {
    let mut log =
        Union::open_within(log::log_files(ws), Direction::Backward, &ws.sources(), RECENT)?;
    while let Some(entry) = log.next_event()? {
        let event = entry.event;
        let is_handshake = event.event.as_str() == HANDSHAKE;
        let is_meant = session.is_none_or(|session| {
            is_handshake
                && event
                    .session_id
                    .as_deref()
                    .is_some_and(|id| id.eq_ignore_ascii_case(session.as_str()))
        });
        if is_meant && event.agent_id == *agent {
            let is_end = is_handshake && event.extra.get(PHASE).is_some_and(|phase| phase == "end");
            return Ok(is_end.then_some(event));
        }
    }
    Ok(None)
}
