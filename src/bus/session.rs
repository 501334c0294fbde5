//! The session of an agent: its start, its end, and what it sees first.

mod open_sessions;
mod overview;
mod peers;
mod session_life;

pub(crate) use open_sessions::OpenSession;
pub(crate) use overview::{Apart, Overview, OwnClaim, Ready, ReadyTask, overview};
pub(in crate::bus) use peers::peers;
pub(crate) use peers::{Peer, PeerState};
pub(crate) use session_life::{
    Role, SessionEnd, SessionRequest, SessionStart, fetch, session_end, session_start,
};
