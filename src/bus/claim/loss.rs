//! Whether somebody else ended a claim of the caller's (docs/design.md, section 3). Only refusals
//! look here.

use std::fmt;

use super::claim_chain;
use super::view::{State, View, state};
use crate::bus::Error;
use crate::bus::workspace::{Who, Workspace};
use crate::git::{RefName, Tip};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, Ended, PastClaim, TaskId, Timestamp};
use crate::store::names;

/// How a claim was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who ended it, where that is known.
    pub by: Option<AgentId>,
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: Lost,
    /// Why, in that one's words.
    pub note: Option<String>,
}

/// What made the claim end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Somebody ended it.
    Ended(Ended),
    /// It was made without asking, and the fleet's remote had taken another claim first.
    NotFirst,
    /// The fleet's remote had taken it, and forgot it, as one that is restored from a backup does;
    /// then it took another claim.
    Forgotten,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            Lost::Ended(Ended::Reclaimed) => "took it over",
            Lost::Ended(Ended::Moved) => "moved it to another place",
            Lost::Ended(Ended::Released) => "released it",
            Lost::Ended(Ended::Done) => "ended it as done",
            Lost::NotFirst => "had claimed it first in the fleet,",
            Lost::Forgotten => "claimed it when the remote went back to an older state,",
        };
        match &self.by {
            Some(by) => write!(f, "{by} {how} at {}", self.at)?,
            None => write!(f, "somebody {how} at {}", self.at)?,
        }
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
    }
}

/// How `who` lost the task, unless its last claim on it still stands or was ended by itself.
pub(in crate::bus) fn loss(ws: &Workspace, view: &View, who: &Who) -> Result<Option<Loss>, Error> {
    let (mine, loss) = loss_in_chain(ws, view, who)?;
    // What its owner has ended itself it does not miss.
    let lost = lost_claims(ws, &view.task)?
        .into_iter()
        .filter(|lost| who.owns(lost) && lost.status.is_live());
    // Both were made in one clone, so its clock tells which came later; ids of one second are in
    // order, too (RFC 9562).
    let age = |claim: &Claim| (claim.claimed_at, claim.claim_id.as_ref().map(ToString::to_string));
    let Some(lost) = lost.max_by_key(age) else { return Ok(loss) };
    let is_latest = mine.is_none_or(|mine| age(&mine) < age(&lost));
    let by = view.claim().filter(|_| is_latest);
    Ok(by.map_or(loss, |claim| {
        // Each state of a claim that was made without asking says so, until the fleet's remote has
        // it. Under two spellings of one number the remote could have two, and the older one
        // stands.
        let is_second = lost.is_unconfirmed() || age(claim) < age(&lost);
        let how = if is_second { Lost::NotFirst } else { Lost::Forgotten };
        Some(Loss { by: Some(claim.agent_id.clone()), at: claim.claimed_at, how, note: None })
    }))
}

/// The newest claim of `who`'s own in the task's chain, and how it was lost.
fn loss_in_chain(
    ws: &Workspace,
    view: &View,
    who: &Who,
) -> Result<(Option<Claim>, Option<Loss>), Error> {
    if let Some(file) = &view.stand_in
        && (view.tip.is_none() || who.owns(&file.claim) || from_lineage(&file.claim, who).is_some())
    {
        let loss = ended_by_other(&file.claim, who).or_else(|| from_lineage(&file.claim, who));
        return Ok((Some(&file.claim).filter(|claim| who.owns(claim)).cloned(), loss));
    }
    let Some(tip) = &view.tip else {
        let loss = view
            .claim()
            .and_then(|claim| ended_by_other(claim, who).or_else(|| from_lineage(claim, who)));
        return Ok((view.claim().filter(|claim| who.owns(claim)).cloned(), loss));
    };
    let mut newer: Option<State> = None;
    let mut state = tip.clone();
    loop {
        if who.owns(&state.claim) {
            let taken = newer.filter(|_| state.claim.status.is_live()).map(|newer| taken(&newer));
            let loss = taken.or_else(|| ended_by_other(&state.claim, who));
            return Ok((Some(state.claim), loss));
        }
        let Some(link) = claim_chain::before(ws, &state.link)? else {
            return Ok((None, from_lineage(&state.claim, who)));
        };
        // A state that cannot be read hides who owned the task; what is older still counts.
        let claim = Claim::parse(&link.body).unwrap_or_else(|_| state.claim.clone());
        newer = Some(std::mem::replace(&mut state, State { link, claim }));
    }
}

/// The claims of `task` that gave way to those of the fleet's remote.
fn lost_claims(ws: &Workspace, task: &TaskId) -> Result<Vec<Claim>, Error> {
    let prefix = RefName::lost_of(task);
    let mut lost: Vec<Claim> = Vec::new();
    // git may take the refs, as a mirror's fetch does, and never these.
    for name in names(&ws.private.lost(task), ".json")? {
        let place = ws.private.lost_claim(task, name.strip_suffix(".json").unwrap_or(&name));
        let claim = place.read(MAX_RECORD)?.and_then(|bytes| Claim::parse(&bytes).ok());
        lost.extend(claim.filter(|claim| claim.task_id == *task));
    }
    for name in ws.repo.names_below(&prefix)? {
        let Some(name) = RefName::parse(&format!("{prefix}{name}")) else { continue };
        if let Tip::At(link) = ws.repo.tip(&name)? {
            let claim = state(link, &name, task).ok().map(|state| state.claim);
            lost.extend(claim.filter(|claim| !lost.iter().any(|known| known.same_claim(claim))));
        }
    }
    Ok(lost)
}

/// The lost claim that `claim` is.
pub(in crate::bus) fn lost_claim(ws: &Workspace, claim: &Claim) -> Result<Option<Claim>, Error> {
    Ok(lost_claims(ws, &claim.task_id)?.into_iter().find(|lost| lost.same_claim(claim)))
}

/// The end of a live claim that the state after it is another claim's.
fn taken(newer: &State) -> Loss {
    let past = newer.claim.lineage.last();
    Loss {
        by: newer.link.author.parse().ok(),
        at: newer.link.time,
        how: Lost::Ended(past.map_or(Ended::Reclaimed, |past| past.ended)),
        note: past.and_then(|past| past.note.clone()),
    }
}

fn ended_by_other(claim: &Claim, who: &Who) -> Option<Loss> {
    let by = claim.released_by.as_ref().filter(|by| who.owns(claim) && **by != who.agent)?;
    let how =
        if claim.status == crate::record::Status::Done { Ended::Done } else { Ended::Released };
    let at = claim.released_at.unwrap_or(claim.claimed_at);
    Some(Loss { by: Some(by.clone()), at, how: Lost::Ended(how), note: claim.release_note.clone() })
}

/// Where the chain begins too late: what the record remembers of the claims before it.
fn from_lineage(claim: &Claim, who: &Who) -> Option<Loss> {
    let mine = |past: &&PastClaim| {
        past.agent_id == who.agent
            && past.origin.as_ref().is_none_or(|origin| *origin == who.origin)
    };
    let past = claim.lineage.iter().rfind(mine)?;
    let by = past.by.clone().filter(|by| *by != who.agent || past.ended == Ended::Moved)?;
    Some(Loss { by: Some(by), at: past.at, how: Lost::Ended(past.ended), note: past.note.clone() })
}
