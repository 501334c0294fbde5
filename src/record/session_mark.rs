//! The note of a session that is open, kept by the clone in which it was started.

use super::fields::{Fields, first, put};
use super::json::Object;
use super::{AgentId, Fault, SessionId, Timestamp, json};

/// A session, as `bus session start` notes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionMark {
    /// Whose session it is.
    pub agent_id: AgentId,
    /// Its id.
    pub session_id: SessionId,
    /// When it was started.
    pub since: Timestamp,
    /// The root of the worktree in which it was started.
    pub worktree: String,
}

impl SessionMark {
    /// Reads the bytes of a note.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no note.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::new(json::parse_record(bytes)?);
        let (agent_id, session_id) = (fields.id("agent_id"), fields.id("session_id"));
        let (since, worktree) = (fields.time("since"), fields.text("worktree"));
        let mark = || {
            Some(Self {
                agent_id: agent_id?,
                session_id: session_id?,
                since: since?,
                worktree: worktree?,
            })
        };
        let mark = mark();
        fields.finish(mark).map_err(first)
    }

    /// The bytes of the note.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = Object::new();
        put(&mut object, "agent_id", Some(&self.agent_id));
        put(&mut object, "session_id", Some(&self.session_id));
        put(&mut object, "since", Some(self.since));
        put(&mut object, "worktree", Some(&self.worktree));
        json::pretty(&object).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_whole_and_half_of_it_is_none() {
        let mark = SessionMark {
            agent_id: AgentId::new("codex-1").unwrap(),
            session_id: SessionId::new("20260301T120000Z-1a2b3c").unwrap(),
            since: Timestamp::from_unix(1_000_000),
            worktree: "/a/b".to_owned(),
        };
        let bytes = mark.to_bytes();
        assert_eq!(SessionMark::parse(&bytes).unwrap(), mark);
        assert!(SessionMark::parse(&bytes[..bytes.len() / 2]).is_err());
    }
}
