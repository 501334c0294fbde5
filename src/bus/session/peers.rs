//! Who is at work in this clone: each agent's last heartbeat, and the tasks that it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bus::claim::{ClaimStatus, LastEvents, SeenClaims, StatusQuery};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim};
use crate::record::{AgentId, Timestamp};
use crate::store::last_touched;

/// For how long after its last heartbeat an agent counts as active.
pub(super) const ACTIVE: Duration = Duration::from_secs(10 * 60);

/// How an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerState {
    /// It gave a heartbeat in the last ten minutes.
    Active,
    /// It gave one within `stale_after`.
    Idle,
    /// It has been silent for longer.
    Stale,
}

impl PeerState {
    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Stale => "stale",
        }
    }

    fn of(last_seen: Option<Timestamp>, now: Timestamp, stale_after: Duration) -> Self {
        match last_seen.map(|seen| now.since(seen)) {
            Some(silent) if silent <= ACTIVE.min(stale_after) => Self::Active,
            Some(silent) if silent <= stale_after => Self::Idle,
            _ => Self::Stale,
        }
    }
}

/// An agent, as the others see it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Who it is.
    pub(crate) agent: AgentId,
    /// How it stands.
    pub(crate) state: PeerState,
    /// Its last heartbeat: a command in this clone, an event in the log's last MiB, a write of a
    /// claim that it holds.
    pub(crate) last_seen: Option<Timestamp>,
    /// Its live claims, the youngest first.
    pub(crate) claims: Vec<ClaimStatus>,
}

/// The live claims of these agents, of all if there are none, as what decides has them.
pub(super) fn live_claims(
    ws: &Workspace,
    agents: &[AgentId],
    events: &mut LastEvents,
) -> Result<SeenClaims, Error> {
    let query =
        StatusQuery { agents: agents.to_vec(), active_only: true, ..StatusQuery::default() };
    claim::seen_claims(ws, &query, events, claim::listed_view)
}

/// Every agent that was ever at work in this clone, has logged something lately or has one of the
/// `live` claims: those who work first, then by their last heartbeat.
///
/// # Errors
///
/// [`Error::Store`] if the log cannot be read.
pub(in crate::bus) fn peers<'a>(
    ws: &Workspace,
    live: impl IntoIterator<Item = &'a ClaimStatus>,
    events: &mut LastEvents,
) -> Result<Vec<Peer>, Error> {
    let now = ws.clock.now();
    let stale_after = ws.stale_after().0;
    let mut peers: BTreeMap<AgentId, (Option<Timestamp>, Vec<ClaimStatus>)> = BTreeMap::new();
    // The spelling that comes first stays: the files of presence know no letter case.
    for status in live {
        let (seen, claims) = peers.entry(status.claim.agent_id.clone()).or_default();
        *seen = status.last_seen.max(*seen);
        claims.push(status.clone());
    }
    for (agent, time) in events.all(ws)? {
        let (seen, _) = peers.entry(agent.clone()).or_default();
        *seen = Some(*time).max(*seen);
    }
    for agent in ws.present_agents() {
        let touched = last_touched(&ws.private.presence(&agent)).map(|touched| touched.min(now));
        let (seen, _) = peers.entry(agent).or_default();
        *seen = touched.max(*seen);
    }
    let peer = |(agent, (last_seen, claims))| Peer {
        agent,
        state: PeerState::of(last_seen, now, stale_after),
        last_seen,
        claims,
    };
    let mut peers: Vec<Peer> = peers.into_iter().map(peer).collect();
    peers.sort_by_key(|peer| (peer.state, std::cmp::Reverse(peer.last_seen)));
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_active_for_ten_minutes_then_idle_then_stale() {
        let at = |seconds: i64| Timestamp::from_unix(1_000_000 + seconds);
        let state = |seen: i64, stale_after: u64| {
            PeerState::of(Some(at(seen)), at(0), Duration::from_secs(stale_after))
        };
        assert_eq!(state(-600, 6000), PeerState::Active);
        assert_eq!(state(-601, 6000), PeerState::Idle);
        assert_eq!(state(-6000, 6000), PeerState::Idle);
        assert_eq!(state(-6001, 6000), PeerState::Stale);
        assert_eq!(state(-61, 60), PeerState::Stale, "a policy may be stricter");
        assert_eq!(PeerState::of(None, at(0), Duration::from_secs(60)), PeerState::Stale);
    }
}
