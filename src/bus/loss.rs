//! Whether somebody else ended a claim of the caller's (design, section 3). Only refusals look here.

use std::fmt;

use super::view::{State, View};
use super::{Bus, Error, Who};
use crate::record::{AgentId, Claim, Ended, PastClaim, Timestamp};

/// How a claim was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who ended it, where that is known.
    pub by: Option<AgentId>,
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: Ended,
    /// Why, in that one's words.
    pub note: Option<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            Ended::Reclaimed => "took it over",
            Ended::Moved => "moved it to another place",
            Ended::Released => "released it",
            Ended::Done => "ended it as done",
        };
        match &self.by {
            Some(by) => write!(f, "{by} {how} at {}", self.at)?,
            None => write!(f, "somebody {how} at {}", self.at)?,
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
    }
}

impl Bus {
    /// How `who` lost the task, unless its last claim on it still stands or was ended by itself.
    pub(super) fn loss(&self, view: &View, who: &Who) -> Result<Option<Loss>, Error> {
        let Some(tip) = &view.tip else {
            return Ok(view.claim().and_then(|claim| ended_by_other(claim, who).or_else(|| from_lineage(claim, who))));
        };
        let mut newer: Option<State> = None;
        let mut state = tip.clone();
        loop {
            if who.owns(&state.claim) {
                let taken = newer.filter(|_| state.claim.status.is_live()).map(|newer| taken(&newer));
                return Ok(taken.or_else(|| ended_by_other(&state.claim, who)));
            }
            let Some(link) = self.before(&state.link)? else {
                return Ok(from_lineage(&state.claim, who));
            };
            // A state that cannot be read hides who owned the task; what is older still counts.
            let claim = Claim::parse(&link.body).unwrap_or_else(|_| state.claim.clone());
            newer = Some(std::mem::replace(&mut state, State { link, claim }));
        }
    }
}

/// The end of a live claim that the state after it is another claim's.
fn taken(newer: &State) -> Loss {
    let past = newer.claim.lineage.last();
    Loss {
        by: newer.link.author.parse().ok(),
        at: newer.link.time,
        how: past.map_or(Ended::Reclaimed, |past| past.ended),
        note: past.and_then(|past| past.note.clone()),
    }
}

fn ended_by_other(claim: &Claim, who: &Who) -> Option<Loss> {
    let by = claim.released_by.as_ref().filter(|by| who.owns(claim) && **by != who.agent)?;
    let how = if claim.status == crate::record::Status::Done { Ended::Done } else { Ended::Released };
    let at = claim.released_at.unwrap_or(claim.claimed_at);
    Some(Loss { by: Some(by.clone()), at, how, note: claim.release_note.clone() })
}

/// Where the chain begins too late: what the record remembers of the claims before it.
fn from_lineage(claim: &Claim, who: &Who) -> Option<Loss> {
    let mine = |past: &&PastClaim| past.agent_id == who.agent && past.origin.as_ref().is_none_or(|origin| *origin == who.origin);
    let past = claim.lineage.iter().rfind(mine)?;
    let by = past.by.clone().filter(|by| *by != who.agent || past.ended == Ended::Moved)?;
    Some(Loss { by: Some(by), at: past.at, how: past.ended, note: past.note.clone() })
}
