//! The beginning and the end of an agent's session.

use std::fmt;

use super::{Bus, Error, EventRequest, ManifestState, Note, OpenSession, OwnClaim};
use crate::git::Fetch;
use crate::record::json::Object;
use crate::record::{AgentId, Event, EventKind, SessionId};
use crate::store::{Direction, RECENT, Union, crash_point};

use super::liveness::LastEvents;

/// What sort of event a session begins and ends with.
const HANDSHAKE: &str = "handshake";

/// The field that says which of both it is.
const PHASE: &str = "session";

/// What an agent is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It works on tasks.
    Engineer,
    /// It says who does what.
    Manager,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Engineer, Self::Manager];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
pub struct SessionRequest {
    /// What the session is for, in words.
    pub summary: Option<String>,
    /// What it is about.
    pub focus: Option<String>,
    /// What the agent is there for.
    pub role: Option<Role>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct SessionStart {
    /// Its id.
    pub session: SessionId,
    /// Its handshake.
    pub event: Event,
    /// What this worktree's manifest says.
    pub manifest: ManifestState,
    /// The other sessions of the same agent in this clone that live.
    pub others: Vec<OpenSession>,
    /// The agent's earlier sessions in this worktree that it takes the place of.
    pub replaced: Vec<OpenSession>,
}

/// A session that has ended.
#[derive(Debug)]
pub struct SessionEnd {
    /// Its id, where it is known.
    pub session: Option<SessionId>,
    /// What the log says of it; none where the log had it.
    pub event: Option<Event>,
    /// What the agent still holds, here and in other places.
    pub claims: Vec<OwnClaim>,
}

impl Bus {
    /// Begins a session of `agent` in this worktree: the one that `$BUS_SESSION` names, else a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where the words are too many for a line of the log; else as the system refuses.
    pub fn session_start(&self, agent: &AgentId, request: &SessionRequest) -> Result<SessionStart, Error> {
        self.config()?;
        let session = self.session.clone().map_or_else(|| self.new_session(), Ok)?;
        self.check_note(agent, &session)?;
        let lock = self.lock()?;
        let mut others = self.open_sessions();
        self.forget_dead_sessions(&lock, &mut others);
        others.retain(|other| other.mark.agent_id == *agent && other.mark.session_id != session);
        let replaced = self.take_replaced(&mut others);
        self.note_presence(agent);
        let words = [("focus", request.focus.clone()), ("role", request.role.map(|role| role.to_string()))];
        let words = words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word?)));
        let summary = request.summary.clone().unwrap_or_else(|| "session start".to_owned());
        let event = self.handshake(agent, Some(&session), summary, "start", words)?;
        self.check_event(&event)?;
        let manifest = self.settle_manifest(&lock, agent)?;
        self.append_event(&lock, &event)?;
        crash_point("handshake-written");
        // After the handshake: one that a crash left would warn of a session that never was.
        self.note_session(&lock, agent, &session)?;
        replaced.iter().for_each(|old| self.forget_session(&lock, agent, &old.mark.session_id));
        Ok(SessionStart { session, event, manifest, others, replaced })
    }

    /// Ends the session of `agent` that `$BUS_SESSION` names, else those that it began in this worktree. Claims go on. The same
    /// again does what a crash left undone, and logs nothing twice.
    ///
    /// # Errors
    ///
    /// As [`Bus::session_start`].
    pub fn session_end(&self, agent: &AgentId, summary: Option<&str>) -> Result<SessionEnd, Error> {
        self.config()?;
        let lock = self.lock()?;
        let here = self.layout.root().display().to_string();
        let mut ended = self.open_sessions();
        ended.retain(|open| {
            let is_meant = match &self.session {
                Some(session) => open.mark.session_id == *session,
                None => open.mark.worktree == here,
            };
            is_meant && open.mark.agent_id == *agent
        });
        let session = self.session.clone().or_else(|| ended.last().map(|open| open.mark.session_id.clone()));
        let last_end = self.last_end(agent, session.as_ref())?;
        // Without a session to name, only the words tell an end from another.
        let says_more = |end: &Event| session.is_none() && summary.is_some_and(|summary| summary != end.summary);
        let event = if last_end.is_some_and(|end| !says_more(&end)) {
            None
        } else {
            let summary = summary.unwrap_or("session wrap").to_owned();
            let event = self.handshake(agent, session.as_ref(), summary, "end", [])?;
            self.append_event(&lock, &event)?;
            Some(event)
        };
        crash_point("wrap-up-written");
        self.export_under(&lock, agent)?;
        ended.iter().for_each(|open| self.forget_session(&lock, agent, &open.mark.session_id));
        drop(lock);
        let held = self.live_claims(std::slice::from_ref(agent), &mut LastEvents::default())?.claims;
        Ok(SessionEnd { session, event, claims: self.own_claims(held)? })
    }

    /// Brings the remote-tracking branches up to date, as [`crate::git::Repository::fetch`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] where git cannot be started.
    pub fn fetch(&self) -> Result<Fetch, Error> {
        let fetched = self.repo.fetch(self.remote_patience)?;
        if let Err(error) = self.ask_for_fleet() {
            self.notes.add(Note::Warning(format!("nobody knows whether this clone belongs to a fleet: {error}")));
        }
        Ok(fetched)
    }

    /// An id that no other session has: the time, and a part that is random.
    fn new_session(&self) -> Result<SessionId, Error> {
        let time = self.clock.now().to_string().replace(['-', ':'], "");
        let random = &uuid::Uuid::now_v7().simple().to_string()[26..];
        Ok(SessionId::new(format!("{time}-{random}"))?)
    }

    /// The event that a session begins or ends with.
    fn handshake(
        &self,
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
            branch: self.repo.branch(),
            pr: None,
            receipts: Vec::new(),
            severity: None,
            extra: Vec::new(),
        };
        let mut extra: Object = words.into_iter().map(|(name, word)| (name, word.into())).collect();
        extra.insert(PHASE.to_owned(), phase.into());
        Ok(Event { session_id: session.map(ToString::to_string), ..self.event(agent, None, &request, extra) })
    }

    /// The end of a session, where it is the last that the end of the log says of it; without a session, of the agent.
    fn last_end(&self, agent: &AgentId, session: Option<&SessionId>) -> Result<Option<Event>, Error> {
        let mut log = Union::open_within(self.log_files(), Direction::Backward, &self.sources(), RECENT)?;
        while let Some(entry) = log.next_event()? {
            let event = entry.event;
            let is_handshake = event.event.as_str() == HANDSHAKE;
            let is_meant = session.is_none_or(|session| {
                is_handshake && event.session_id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(session.as_str()))
            });
            if is_meant && event.agent_id == *agent {
                let is_end = is_handshake && event.extra.get(PHASE).is_some_and(|phase| phase == "end");
                return Ok(is_end.then_some(event));
            }
        }
        Ok(None)
    }
}
