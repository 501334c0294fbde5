//! Leases that live and die with a claim: a task and its paths, taken and given back in one step.
//!
//! Such a lease names its task and the claim's id, and holds its paths only while the task's claim
//! is live under that very id. It is written before the claim's ref, under the same lock, so that
//! the claim's ref is the one commit point: a process that dies in between leaves a lease that
//! holds nothing.

use super::{change_leases, claim_task};
use crate::bus::claim::{Changed, ClaimDecision, ClaimRequest, View};
use crate::bus::lease::{
    Draft, LeaseDecision, LeaseOutcome, LeaseRequest, Leased, TableView, rows_of, taken,
};
use crate::bus::workspace::{Note, Reach, Who, Workspace};
use crate::bus::{Error, claim, fleet, lease};
use crate::git::Remote;
use crate::record::{AgentId, Claim, ClaimId, Fleet, LeaseRow, Scope, TaskId, verb};
use crate::store::{Lock, crash_point};

/// Claims a task and takes paths for it in one step: both, or none.
///
/// # Errors
///
/// As [`claim_task::claim`] and [`lease_paths::acquire_lease`].
pub(crate) fn claim_with_paths(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    request: &ClaimRequest,
    paths: &LeaseRequest,
) -> Result<(Changed, Leased), Error> {
    ws.config()?;
    let scope = lease::wanted_scope(ws, paths)?;
    let paths = LeaseRequest { task: Some(claim::spelling(ws, task)), ..paths.clone() };
    ws.learn_fleet(Reach::Fleet)?;
    if let Some(fleet) = ws.fleet()? {
        return claim_with_paths_in_fleet(ws, fleet, agent, task, request, &paths, &scope);
    }
    let mut lock = ws.lock()?;
    let who = ws.who(agent.clone())?;
    let view = claim::repaired_view(ws, &mut lock, task)?;
    let claim = match claim_task::decide_claim(ws, &view, &who, request)? {
        ClaimDecision::Write { claim, .. } => claim.claim_id,
        ClaimDecision::Settle => view.claim().and_then(|claim| claim.claim_id.clone()),
    };
    let claim = claim.ok_or_else(|| nameless(&view.task))?;
    let take = |view: &TableView, who: &Who| {
        lease::decide_take(ws, view, who, &paths, &scope, Some(&claim))
    };
    let written = lease::change_leases_here(ws, &mut lock, &who, take)?;
    crash_point("paths-written");
    let request = ClaimRequest { claim_id: Some(claim.clone()), ..request.clone() };
    let changed = claim::change_here(ws, &mut lock, &who, &view.task, |view, who| {
        claim_task::decide_claim(ws, view, who, &request)
    })?;
    if changed.claim.claim_id.as_ref() != Some(&claim) {
        // Something that does not take the lock made it another claim meanwhile.
        return Err(Error::contended(&view.name));
    }
    lease::settle_leases(ws, &lock, &written)?;
    Ok((changed, taken(&written.answer, agent)?))
}

/// The same where a remote decides: both refs go to it in one push. Where the claim is the caller's
/// already, the paths alone do.
fn claim_with_paths_in_fleet(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    task: &TaskId,
    request: &ClaimRequest,
    paths: &LeaseRequest,
    scope: &Scope,
) -> Result<(Changed, Leased), Error> {
    let decide = |view: &View, who: &Who| claim_task::decide_claim(ws, view, who, request);
    let take = |view: &TableView, who: &Who, claim: &ClaimId| {
        lease::decide_take(ws, view, who, paths, scope, Some(claim))
    };
    let beside = |lock: &mut Lock, remote: &Remote, who: &Who, claim: &Claim| {
        let id = claim.claim_id.clone().ok_or_else(|| nameless(&claim.task_id))?;
        change_leases::beside_claim(ws, lock, remote, who, |view, who| take(view, who, &id))
    };
    let (changed, answer) = fleet::propose_claim(ws, fleet, agent, task, decide, Some(&beside))?;
    if !answer.is_empty() {
        return Ok((changed, taken(&answer, agent)?));
    }
    let id = changed.claim.claim_id.clone().ok_or_else(|| nameless(&changed.claim.task_id))?;
    let answer = change_leases::change_leases(ws, agent, |view, who| take(view, who, &id))?;
    Ok((changed, taken(&answer, agent)?))
}

/// Ends the leases that were taken with `claim`, which has ended: they hold nothing any more. Why
/// is said where another than their owner has ended it.
pub(super) fn free_paths(
    ws: &Workspace,
    agent: &AgentId,
    claim: &Claim,
    note: Option<&str>,
) -> Result<(), Error> {
    let Some(id) = claim.claim_id.as_ref().filter(|id| lease::has_leases_of(ws, id)) else {
        return Ok(());
    };
    let freed = change_leases::change_leases(ws, agent, |view, who| {
        let ended: Vec<_> =
            rows_of(view, id).filter(|row| !lease::stands(ws, &row.brief)).collect();
        if ended.is_empty() {
            // Run again after a crash: the last write may have ended them.
            let past = view
                .table
                .changed
                .iter()
                .filter(|lease| lease.claim_id.as_ref() == Some(id) && !lease.is_live());
            return Ok(LeaseDecision::Settle(past.cloned().collect()));
        }
        let end = |row: &LeaseRow| {
            let by_another = !lease::is_mine(&row.brief, who);
            lease::ending_lease(ws, lease::whole(row)?, who, note.filter(|_| by_another))
        };
        let ended = ended.into_iter().map(end).collect::<Result<_, Error>>()?;
        Ok(LeaseDecision::Write(Draft::new(verb::RELEASE, ended, LeaseOutcome::Released)))
    });
    for Leased { lease, .. } in freed.iter().flatten() {
        let (id, patterns) = (&lease.lease_id, lease.patterns());
        ws.notes.add(Note::Advice(format!("the lease {id} on {patterns} has ended with it")));
    }
    told_later(freed)
}

/// Gives a heartbeat of the leases that were taken with `claim`, too.
pub(super) fn renew_paths(ws: &Workspace, agent: &AgentId, claim: &Claim) -> Result<(), Error> {
    let Some(id) = claim.claim_id.as_ref().filter(|id| lease::has_leases_of(ws, id)) else {
        return Ok(());
    };
    let renewed = change_leases::change_leases(ws, agent, |view, who| {
        let own = rows_of(view, id)
            .filter(|row| lease::is_mine(&row.brief, who) && lease::stands(ws, &row.brief));
        let renewed = own
            .map(|row| lease::renewed(ws, &lease::whole(row)?, None))
            .collect::<Result<Vec<_>, Error>>()?;
        match renewed.is_empty() {
            true => Ok(LeaseDecision::Settle(renewed)),
            false => {
                Ok(LeaseDecision::Write(Draft::new(verb::RENEW, renewed, LeaseOutcome::Renewed)))
            }
        }
    });
    told_later(renewed)
}

/// What a claim's own end or heartbeat brings about is no reason to fail where the fleet's
/// remote is away: the leases hold nothing any more, or live until they expire, and the next write
/// tells.
fn told_later(changed: Result<Vec<Leased>, Error>) -> Result<(), Error> {
    match changed {
        Err(Error::Git(_) | Error::Fleet(_)) => Ok(()),
        changed => changed.map(drop),
    }
}

/// A claim without an id cannot be told from the next one of its task.
fn nameless(task: &TaskId) -> Error {
    let what = format!(
        "the claim of `{task}` is of an older bus and has no id, so paths cannot live with it"
    );
    Error::Usage {
        what,
        hint: format!(
            "take them by themselves: `bus lock acquire PATTERN --task {task} --objective TEXT`"
        ),
    }
}
