//! Claim, release, heartbeat, reclaim: what agents do with tasks (design, section 3).

use std::time::Duration;

use serde_json::Value;

use super::change::{Changed, Next, Outcome};
use super::decide::{self, Grant, Reclaim, Refusal, Release, Wish};
use super::fleet::Reach;
use super::liveness::LastEvents;
use super::settle::quote;
use super::view::View;
use super::{Bus, Error, Liveness, Who};
use crate::git::Repository;
use crate::record::{
    AgentId, Assignment, Claim, ClaimId, Ended, LINEAGE_LIMIT, PastClaim, PlanId, Span, Status, TaskId, Timestamp,
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
    /// Drop the notes that stand.
    pub clear_notes: bool,
    /// Active or paused.
    pub status: Option<Status>,
    /// How long the claim lives without a sign of life.
    pub ttl: Option<Span>,
    /// Claim it whatever the assignment says.
    pub allow_unassigned: bool,
    /// Take up a task that somebody else has finished.
    pub reopen: bool,
    /// Move the claim here from another place.
    pub here: bool,
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

/// What `bus reclaim` asks for.
#[derive(Clone, Debug)]
pub struct ReclaimRequest {
    /// Why.
    pub note: String,
    /// Take over a claim that shows signs of life.
    pub force: bool,
}

impl Bus {
    /// Claims a task for `agent`.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimHeld`], [`Error::HeldElsewhere`], [`Error::TaskFinished`], [`Error::AssignedElsewhere`],
    /// [`Error::NotAssigned`] or [`Error::Diverged`] where it is not the agent's to claim; [`Error::Malformed`] where what
    /// stands cannot be read; else as the system refuses.
    pub fn claim(&self, agent: &AgentId, task: &TaskId, request: &ClaimRequest) -> Result<Changed, Error> {
        self.change(agent, task, reach(request.offline), |view, who| self.decide_claim(view, who, request))
    }

    /// What a `bus claim` by `who` comes to.
    pub(super) fn decide_claim(&self, view: &View, who: &Who, request: &ClaimRequest) -> Result<Next, Error> {
        request.branch.as_ref().map_or(Ok(()), |branch| check_branch(branch, &who.agent))?;
        if let Some(file) = self.contradiction(view, who)? {
            return Err(self.diverged(view, file));
        }
        let (assignment, verdict) = if request.allow_unassigned { (None, None) } else { self.assignment_for(view, who)? };
        let wanted = planned_by(request, assignment.as_ref());
        let wish = Wish { reopen: request.reopen, here: request.here, assignment: verdict };
        let (verb, ended, outcome) = match decide::claim(view.claim(), who, wish) {
            Ok(Grant::Keep) => return self.keep(view, request),
            Ok(Grant::Take) => ("claim", None, Outcome::Claimed),
            Ok(Grant::Reopen) => ("reopen", None, Outcome::Reopened),
            Ok(Grant::Move) => ("move", Some((Ended::Moved, None)), Outcome::Moved),
            Err(Refusal::Assigned) => return Err(assigned(view, assignment)),
            Err(refusal) => return Err(self.refused(view, who, refusal)?),
        };
        let request = if outcome == Outcome::Moved { request } else { &wanted };
        let claim = Box::new(self.successor(view, who, request, ended)?);
        Ok(Next::Write { verb, claim, outcome })
    }

    /// Notes `plan` in the claim of `agent`'s own, where it still lives.
    pub(super) fn note_plan(&self, agent: &AgentId, task: &TaskId, plan: &PlanId) -> Result<Changed, Error> {
        let request = ClaimRequest { plan: Some(plan.clone()), ..ClaimRequest::default() };
        self.change(agent, task, Reach::Later, |view, who| match view.claim() {
            Some(claim) if claim.status.is_live() && who.owns(claim) => self.keep(view, &request),
            _ => Err(self.refused_or_lost(view, who, Refusal::NotHeld)?),
        })
    }

    /// Ends or pauses `agent`'s claim.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimLost`] where somebody else has ended it; [`Error::ClaimHeld`], [`Error::HeldElsewhere`] or
    /// [`Error::NotHeld`] where it is not the agent's; else as [`Bus::claim`].
    pub fn release(&self, agent: &AgentId, task: &TaskId, request: &ReleaseRequest) -> Result<Changed, Error> {
        let changed = self.change(agent, task, reach(request.offline), |view, who| {
            let decision = decide::release(view.claim(), who, request.status, request.force.is_some());
            let Some(claim) = view.claim() else { return Err(self.refused_or_lost(view, who, Refusal::NotHeld)?) };
            let new_notes = request.notes.is_some() && request.notes != claim.notes;
            match decision {
                Err(refusal) => Err(self.refused_or_lost(view, who, refusal)?),
                Ok(Release::Already) if !(claim.status.is_live() && new_notes) => Ok(Next::Settle),
                Ok(_) => Ok(self.ending(view, claim, who, request)),
            }
        })?;
        self.free_paths(agent, &changed.claim, request.force.as_deref())?;
        self.export(agent)?;
        if !request.offline {
            self.publish_soon();
        }
        Ok(changed)
    }

    /// Gives a sign of life of `agent`'s claim: it renews the ref, and no file. That the fleet could not be told is returned
    /// beside what was done.
    ///
    /// # Errors
    ///
    /// As [`Bus::release`].
    pub fn heartbeat(&self, agent: &AgentId, task: &TaskId) -> Result<(Changed, Option<Error>), Error> {
        let changed =
            self.change(agent, task, Reach::Later, |view, who| match (decide::heartbeat(view.claim(), who), view.claim()) {
                (Ok(()), Some(claim)) => Ok(self.pulse(view, claim)),
                (Err(refusal), _) => Err(self.refused_or_lost(view, who, refusal)?),
                (Ok(()), None) => Err(self.refused_or_lost(view, who, Refusal::NotHeld)?),
            })?;
        self.renew_paths(agent, &changed.claim)?;
        let untold = self.fleet()?.map_or(Ok(None), |fleet| self.tell_fleet(fleet, agent, &changed.claim.task_id))?;
        Ok((changed, untold))
    }

    /// Takes over a claim that is paused, expired or stale.
    ///
    /// # Errors
    ///
    /// [`Error::ClaimAlive`] where it is alive; [`Error::NotHeld`] where there is nothing to take over; else as
    /// [`Bus::claim`].
    pub fn reclaim(&self, agent: &AgentId, task: &TaskId, request: &ReclaimRequest) -> Result<Changed, Error> {
        let changed = self.change(agent, task, Reach::Fleet, |view, who| {
            if let Some(file) = self.contradiction(view, who)? {
                return Err(self.diverged(view, file));
            }
            let stale_after = self.config()?.stale_after.get();
            let (liveness, signs) = self.liveness(view, stale_after, &mut LastEvents::default())?;
            match decide::reclaim(view.claim(), who, liveness, request.force) {
                Ok(Reclaim::Already) => Ok(Next::Settle),
                Ok(Reclaim::Take) => {
                    // A paused claim is taken over at once, whatever the time.
                    if !request.force && view.claim().is_some_and(|claim| claim.status == Status::Active) {
                        self.check_clock()?;
                    }
                    let ended = Some((Ended::Reclaimed, Some(request.note.clone())));
                    let claim = Box::new(self.successor(view, who, &ClaimRequest::default(), ended)?);
                    Ok(Next::Write { verb: "reclaim", claim, outcome: Outcome::Reclaimed })
                }
                Err(Refusal::Alive) => {
                    let owner = view.claim().map_or_else(|| who.agent.clone(), |claim| claim.agent_id.clone());
                    Err(Error::ClaimAlive {
                        task: view.task.clone(),
                        owner,
                        last_seen: signs.last(self.clock.now()),
                        now: self.clock.now(),
                    })
                }
                Err(refusal) => Err(self.refused(view, who, refusal)?),
            }
        })?;
        changed.previous.as_ref().map_or(Ok(()), |before| self.free_paths(agent, before, Some(&request.note)))?;
        Ok(changed)
    }

    /// The caller's own claim, with what was given.
    fn keep(&self, view: &View, request: &ClaimRequest) -> Result<Next, Error> {
        let Some(claim) = view.claim() else { return Ok(Next::Settle) };
        let mut next = claim.clone();
        next.plan_id = request.plan.clone().or(next.plan_id);
        next.branch = request.branch.clone().unwrap_or(next.branch);
        next.notes = if request.clear_notes { None } else { request.notes.clone().or(next.notes) };
        next.status = request.status.unwrap_or(next.status);
        // The session that claims it again is the one that works on it.
        next.session_id = self.session_id().or(next.session_id);
        let ttl = self.ttl(view, claim);
        let new_ttl = request.ttl.map(Span::get).filter(|wanted| ttl != Some(*wanted));
        if next == *claim && new_ttl.is_none() {
            return Ok(if self.heartbeat_is_due(view, claim)? { self.pulse(view, claim) } else { Next::Settle });
        }
        next.expires_at = new_ttl.or(ttl).map(|ttl| self.clock.now().after(ttl));
        let outcome =
            if next.status == Status::Paused && claim.status != Status::Paused { Outcome::Paused } else { Outcome::Updated };
        Ok(Next::Write { verb: "update", claim: Box::new(next), outcome })
    }

    /// The claim that follows what stands: a new owner, or a new time.
    fn successor(
        &self,
        view: &View,
        who: &Who,
        request: &ClaimRequest,
        ended: Option<(Ended, Option<String>)>,
    ) -> Result<Claim, Error> {
        let now = self.clock.now();
        let before = view.claim();
        let ttl = request.ttl.or(self.config()?.ttl);
        Ok(Claim {
            task_id: view.task.clone(),
            agent_id: who.agent.clone(),
            branch: request.branch.clone().unwrap_or_else(|| self.branch_for(view, &who.agent)),
            status: request.status.unwrap_or(Status::Active),
            claimed_at: now,
            plan_id: request.plan.clone().or_else(|| before?.plan_id.clone()).or_else(|| self.plan_of(&view.task)),
            notes: if request.clear_notes { None } else { request.notes.clone().or_else(|| before?.notes.clone()) },
            released_at: None,
            released_by: None,
            release_note: None,
            expires_at: ttl.map(|ttl| now.after(ttl.get())),
            base: self.repo.head().map(|head| head.to_string()),
            head: None,
            session_id: self.session_id(),
            lineage: before.map_or_else(Vec::new, |before| lineage(before, ended, &who.agent, now)),
            confirmed: None,
            claim_id: Some(request.claim_id.clone().unwrap_or_else(ClaimId::unique)),
            origin: Some(who.origin.clone()),
            revision: 0,
            extra: before.map_or_else(Default::default, |before| before.extra.clone()),
        })
    }

    /// The branch of a new claim: the agent's own last one, the one that is checked out, or a name for a new one.
    fn branch_for(&self, view: &View, agent: &AgentId) -> String {
        let prefix = format!("agent/{agent}/");
        let last = view.claim().filter(|claim| claim.agent_id == *agent).map(|claim| claim.branch.clone());
        last.or_else(|| self.repo.branch())
            .filter(|branch| branch.starts_with(&prefix))
            .unwrap_or_else(|| format!("{prefix}{}", view.task.as_str().to_ascii_lowercase()))
    }

    /// The end, or the pause, of a claim.
    fn ending(&self, view: &View, claim: &Claim, who: &Who, request: &ReleaseRequest) -> Next {
        let now = self.clock.now();
        let mut next = claim.clone();
        next.status = request.status;
        next.notes = request.notes.clone().or(next.notes);
        if request.status.is_live() {
            next.expires_at = self.ttl(view, claim).map(|ttl| now.after(ttl));
            return Next::Write { verb: "pause", claim: Box::new(next), outcome: Outcome::Paused };
        }
        next.released_at = Some(now);
        next.expires_at = None;
        // Branches are deleted once they are merged; the report still tells by this whether the work has landed.
        next.head = self.repo.branch_tip(&claim.branch).map(|head| head.to_string());
        if !who.owns(claim) {
            next.released_by = Some(who.agent.clone());
            next.release_note.clone_from(&request.force);
        }
        Next::Write { verb: "release", claim: Box::new(next), outcome: Outcome::Released }
    }

    /// A sign of life.
    pub(super) fn pulse(&self, view: &View, claim: &Claim) -> Next {
        let expires_at = self.ttl(view, claim).map(|ttl| self.clock.now().after(ttl));
        Next::Write { verb: "heartbeat", claim: Box::new(Claim { expires_at, ..claim.clone() }), outcome: Outcome::Renewed }
    }

    /// Whether the claim's last write is older than a quarter of its ttl or of `stale_after`.
    pub(super) fn heartbeat_is_due(&self, view: &View, claim: &Claim) -> Result<bool, Error> {
        let stale_after = self.config()?.stale_after.get();
        let patience = self.ttl(view, claim).map_or(stale_after, |ttl| ttl.min(stale_after)) / 4;
        Ok(claim.status.is_live() && self.clock.now().since(written(view, claim)) > patience)
    }

    /// How long the claim lives without a sign of life: each of its owner's writes sets `expires_at` anew.
    fn ttl(&self, view: &View, claim: &Claim) -> Option<Duration> {
        let expires_at = claim.expires_at?;
        let ttl = expires_at.since(written(view, claim));
        let configured = || self.config().ok().and_then(|config| config.ttl).map(Span::get);
        Some(ttl).filter(|ttl| !ttl.is_zero()).or_else(configured)
    }

    /// The error for a refusal; a loss comes before it.
    pub(super) fn refused_or_lost(&self, view: &View, who: &Who, refusal: Refusal) -> Result<Error, Error> {
        match self.loss(view, who)? {
            Some(loss) => {
                let owner = view.claim().filter(|claim| claim.status.is_live()).map(|claim| claim.agent_id.clone());
                Ok(Error::ClaimLost { task: view.task.clone(), loss, owner })
            }
            None => self.refused(view, who, refusal),
        }
    }

    /// The error for a refusal, with the facts.
    pub(super) fn refused(&self, view: &View, who: &Who, refusal: Refusal) -> Result<Error, Error> {
        let task = view.task.clone();
        let Some(claim) = view.claim() else {
            return Ok(match refusal {
                Refusal::NotAssigned => Error::NotAssigned { task },
                _ => Error::NotHeld { task, ended: None },
            });
        };
        let owner = claim.agent_id.clone();
        let now = self.clock.now();
        Ok(match refusal {
            Refusal::Held | Refusal::Alive | Refusal::Assigned => {
                let stale_after = self.config()?.stale_after.get();
                let (liveness, signs) = self.liveness(view, stale_after, &mut LastEvents::default())?;
                let reclaimable = match (claim.status, liveness) {
                    (_, Liveness::Expired) => Some("expired"),
                    (_, Liveness::Stale) => Some("stale"),
                    (Status::Paused, Liveness::Alive) => Some("paused"),
                    _ => None,
                };
                let (branch, status, since) = (claim.branch.clone(), claim.status, claim.claimed_at);
                Error::ClaimHeld { task, owner, branch, status, since, last_seen: signs.last(now), reclaimable, now }
            }
            Refusal::HeldElsewhere => {
                let origin = claim.origin.clone();
                Error::HeldElsewhere { task, owner, place: place_name(claim, who), origin, since: claim.claimed_at, now }
            }
            Refusal::Finished => {
                let at = claim.released_at.unwrap_or(claim.claimed_at);
                Error::TaskFinished { task, owner, branch: claim.branch.clone(), ended_by: claim.released_by.clone(), at, now }
            }
            Refusal::NotAssigned => Error::NotAssigned { task },
            Refusal::NotHeld => Error::NotHeld { task, ended: Some(claim.status) },
        })
    }

    pub(super) fn diverged(&self, view: &View, file: &super::view::FileClaim) -> Error {
        Error::Diverged {
            task: view.task.clone(),
            place: self.show(&file.place),
            owner: file.claim.agent_id.clone(),
            revision: file.claim.revision,
            against: view.name.as_str().to_owned(),
        }
    }
}

/// How far a claim or a release goes.
const fn reach(offline: bool) -> Reach {
    if offline { Reach::Offline } else { Reach::Fleet }
}

/// The request, with the plan that a manager meant for the task where the caller names none.
fn planned_by(request: &ClaimRequest, assignment: Option<&Assignment>) -> ClaimRequest {
    let plan = request.plan.clone().or_else(|| assignment?.plan_id.clone());
    ClaimRequest { plan, ..request.clone() }
}

/// When the claim was last written.
pub(super) fn written(view: &View, claim: &Claim) -> Timestamp {
    let known = view.tip.as_ref().map_or(claim.claimed_at, |state| state.link.time);
    // When a state was written that only the record has is not known.
    if view.stand_in.is_some() { known.max(claim.claimed_at) } else { known }
}

fn assigned(view: &View, assignment: Option<Assignment>) -> Error {
    let task = view.task.clone();
    match assignment.and_then(|assignment| Some((assignment.engineer?, assignment.manager))) {
        Some((engineer, manager)) => Error::AssignedElsewhere { task, engineer, manager },
        None => Error::NotAssigned { task },
    }
}

/// The earlier claims, with the one that stands among them.
fn lineage(before: &Claim, ended: Option<(Ended, Option<String>)>, next: &AgentId, now: Timestamp) -> Vec<PastClaim> {
    let (ended, at, by, note) = match ended {
        Some((how, note)) => (how, now, Some(next.clone()), note),
        None => {
            let how = if before.status == Status::Done { Ended::Done } else { Ended::Released };
            (how, before.released_at.unwrap_or(now), before.released_by.clone(), before.release_note.clone())
        }
    };
    let mut extra = crate::record::json::Object::new();
    // A claim without a name is known by its agent and its time (design, section 5).
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

/// The place of a claim, as its own agent would call it.
fn place_name(claim: &Claim, who: &Who) -> String {
    match &claim.origin {
        Some(origin) if origin.clone_id() != who.origin.clone_id() => "another clone".to_owned(),
        Some(origin) => origin.worktree().map_or_else(|| "the main worktree".to_owned(), |name| format!("the worktree `{name}`")),
        None => "an unknown place".to_owned(),
    }
}

/// A branch that a claim may name: one of git's names, under the agent's own prefix.
fn check_branch(branch: &str, agent: &AgentId) -> Result<(), Error> {
    let prefix = format!("agent/{agent}/");
    if branch.starts_with(&prefix) && Repository::is_branch_name(branch) {
        return Ok(());
    }
    let what = format!("`{branch}` is no branch of {agent}'s");
    Err(Error::Usage { what, hint: format!("a claim's branch begins with `{prefix}`; leave `--branch` out to get one") })
}
