//! The next state of a claim: claimed, kept, ended, paused, renewed.

use std::time::Duration;

use serde_json::Value;

use super::claim_change::{ClaimDecision, Outcome};
use super::claim_settle::quote;
use super::view::View;
use crate::bus::Error;
use crate::bus::workspace::{Who, Workspace};
use crate::record::{
    AgentId, Claim, ClaimId, Ended, LINEAGE_LIMIT, PastClaim, PlanId, Span, Status, Timestamp, verb,
};

/// What `bus claim` asks for.
#[derive(Clone, Debug, Default)]
pub struct ClaimRequest {
    /// The plan of the work.
    pub plan: Option<PlanId>,
    /// The branch it is on.
    pub branch: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Drop the existing notes.
    pub clear_notes: bool,
    /// Active or paused.
    pub status: Option<Status>,
    /// How long the claim lives without a heartbeat.
    pub ttl: Option<Span>,
    /// Claim it whatever the assignment says.
    pub allow_unassigned: bool,
    /// Take up a task that somebody else has finished.
    pub reopen: bool,
    /// Move the claim here from another place.
    pub here: bool,
    /// Claim it although it looks like a task of the queue, and is none.
    pub new: bool,
    /// What a new claim is called; by a name of its own where none is given.
    pub claim_id: Option<ClaimId>,
    /// Do not ask the fleet's remote: `bus sync` does later.
    pub offline: bool,
}

/// What `bus release` asks for.
#[derive(Clone, Debug)]
pub struct ReleaseRequest {
    /// Done, released or paused.
    pub status: Status,
    /// Notes.
    pub notes: Option<String>,
    /// Why a manager ends somebody else's claim; only then it may be done.
    pub force: Option<String>,
    /// Do not ask the fleet's remote: `bus sync` does later.
    pub offline: bool,
}

/// The caller's own claim, with what was given.
pub(in crate::bus) fn keep(
    ws: &Workspace,
    view: &View,
    request: &ClaimRequest,
) -> Result<ClaimDecision, Error> {
    let Some(claim) = view.claim() else { return Ok(ClaimDecision::Settle) };
    let mut next = claim.clone();
    next.plan_id = request.plan.clone().or(next.plan_id);
    next.branch = request.branch.clone().unwrap_or(next.branch);
    next.notes = if request.clear_notes { None } else { request.notes.clone().or(next.notes) };
    next.status = request.status.unwrap_or(next.status);
    // The session that claims it again is the one that works on it.
    next.session_id = ws.session_id().or(next.session_id);
    let ttl = self::ttl(ws, view, claim);
    let new_ttl = request.ttl.map(Span::get).filter(|wanted| ttl != Some(*wanted));
    if next == *claim && new_ttl.is_none() {
        return Ok(if heartbeat_is_due(ws, view, claim)? {
            pulse(ws, view, claim)
        } else {
            ClaimDecision::Settle
        });
    }
    next.expires_at = new_ttl.or(ttl).map(|ttl| ws.clock.now().after(ttl));
    let outcome = if next.status == Status::Paused && claim.status != Status::Paused {
        Outcome::Paused
    } else {
        Outcome::Updated
    };
    Ok(ClaimDecision::Write { verb: verb::UPDATE, claim: Box::new(next), outcome })
}

/// The claim that follows what stands: a new owner, or a new time.
pub(in crate::bus) fn successor(
    ws: &Workspace,
    view: &View,
    who: &Who,
    request: &ClaimRequest,
    ended: Option<(Ended, Option<String>)>,
) -> Result<Claim, Error> {
    let now = ws.clock.now();
    let before = view.claim();
    let ttl = request.ttl.or(ws.config()?.ttl);
    Ok(Claim {
        task_id: view.task.clone(),
        agent_id: who.agent.clone(),
        branch: request.branch.clone().unwrap_or_else(|| branch_for(ws, view, &who.agent)),
        status: request.status.unwrap_or(Status::Active),
        claimed_at: now,
        plan_id: request.plan.clone(),
        notes: if request.clear_notes {
            None
        } else {
            request.notes.clone().or_else(|| before?.notes.clone())
        },
        released_at: None,
        released_by: None,
        release_note: None,
        expires_at: ttl.map(|ttl| now.after(ttl.get())),
        base: ws.repo.head().map(|head| head.to_string()),
        head: None,
        session_id: ws.session_id(),
        lineage: before.map_or_else(Vec::new, |before| lineage(before, ended, &who.agent, now)),
        confirmed: None,
        claim_id: Some(request.claim_id.clone().unwrap_or_else(ClaimId::unique)),
        origin: Some(who.origin.clone()),
        revision: 0,
        extra: before.map_or_else(Default::default, |before| before.extra.clone()),
    })
}

/// The branch of a new claim: the agent's own last one, the one that is checked out, or a name for
/// a new one.
fn branch_for(ws: &Workspace, view: &View, agent: &AgentId) -> String {
    let prefix = format!("agent/{agent}/");
    let last =
        view.claim().filter(|claim| claim.agent_id == *agent).map(|claim| claim.branch.clone());
    last.or_else(|| ws.repo.branch())
        .filter(|branch| branch.starts_with(&prefix))
        .unwrap_or_else(|| format!("{prefix}{}", view.task.as_str().to_ascii_lowercase()))
}

/// The end, or the pause, of a claim.
pub(in crate::bus) fn ending(
    ws: &Workspace,
    view: &View,
    claim: &Claim,
    who: &Who,
    request: &ReleaseRequest,
) -> ClaimDecision {
    let now = ws.clock.now();
    let mut next = claim.clone();
    next.status = request.status;
    next.notes = request.notes.clone().or(next.notes);
    if request.status.is_live() {
        next.expires_at = self::ttl(ws, view, claim).map(|ttl| now.after(ttl));
        return ClaimDecision::Write {
            verb: verb::PAUSE,
            claim: Box::new(next),
            outcome: Outcome::Paused,
        };
    }
    next.released_at = Some(now);
    next.expires_at = None;
    // Branches are deleted once they are merged; the report still tells by this whether the work
    // has landed.
    next.head = ws.repo.branch_tip(&claim.branch).map(|head| head.to_string());
    if !who.owns(claim) {
        next.released_by = Some(who.agent.clone());
        next.release_note.clone_from(&request.force);
    }
    ClaimDecision::Write { verb: verb::RELEASE, claim: Box::new(next), outcome: Outcome::Released }
}

/// A heartbeat.
pub(in crate::bus) fn pulse(ws: &Workspace, view: &View, claim: &Claim) -> ClaimDecision {
    let expires_at = self::ttl(ws, view, claim).map(|ttl| ws.clock.now().after(ttl));
    ClaimDecision::Write {
        verb: verb::HEARTBEAT,
        claim: Box::new(Claim { expires_at, ..claim.clone() }),
        outcome: Outcome::Renewed,
    }
}

/// Whether the claim's last write is older than a quarter of its ttl or of `stale_after`.
pub(in crate::bus) fn heartbeat_is_due(
    ws: &Workspace,
    view: &View,
    claim: &Claim,
) -> Result<bool, Error> {
    let stale_after = ws.config()?.stale_after.get();
    let patience = self::ttl(ws, view, claim).map_or(stale_after, |ttl| ttl.min(stale_after)) / 4;
    Ok(claim.status.is_live() && ws.clock.now().since(written(view, claim)) > patience)
}

/// How long the claim lives without a heartbeat: each of its owner's writes sets `expires_at`
/// anew.
fn ttl(ws: &Workspace, view: &View, claim: &Claim) -> Option<Duration> {
    let expires_at = claim.expires_at?;
    let ttl = expires_at.since(written(view, claim));
    let configured = || ws.config().ok().and_then(|config| config.ttl).map(Span::get);
    Some(ttl).filter(|ttl| !ttl.is_zero()).or_else(configured)
}

/// When the claim was last written.
pub(in crate::bus) fn written(view: &View, claim: &Claim) -> Timestamp {
    let known = view.tip.as_ref().map_or(claim.claimed_at, |state| state.link.time);
    // When a state was written that only the record has is not known.
    if view.stand_in.is_some() { known.max(claim.claimed_at) } else { known }
}

/// The earlier claims, with the current one among them.
fn lineage(
    before: &Claim,
    ended: Option<(Ended, Option<String>)>,
    next: &AgentId,
    now: Timestamp,
) -> Vec<PastClaim> {
    let (ended, at, by, note) = match ended {
        Some((how, note)) => (how, now, Some(next.clone()), note),
        None => {
            let how = if before.status == Status::Done { Ended::Done } else { Ended::Released };
            (
                how,
                before.released_at.unwrap_or(now),
                before.released_by.clone(),
                before.release_note.clone(),
            )
        }
    };
    let mut extra = crate::record::json::Object::new();
    // A claim without a name is known by its agent and its time (docs/design.md, section 5).
    if before.claim_id.is_none() {
        extra.insert("claimed_at".to_owned(), Value::from(before.claimed_at.to_string()));
    }
    let past = PastClaim {
        claim_id: before.claim_id.clone(),
        agent_id: before.agent_id.clone(),
        origin: before.origin.clone(),
        by,
        ended,
        at,
        note: note.as_deref().map(quote),
        extra,
    };
    let skipped = (before.lineage.len() + 1).saturating_sub(LINEAGE_LIMIT);
    before.lineage.iter().skip(skipped).cloned().chain([past]).collect()
}
