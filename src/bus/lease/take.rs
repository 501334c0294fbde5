//! Taking a lease: all paths that are asked for, or none.

use std::time::Duration;

use super::lease_change::{Draft, LeaseDecision, LeaseOutcome, LeaseRequest, Leased, whole};
use super::lease_fault::{LeaseConflict, LeaseFault};
use super::lease_rules::{LeaseGrant, LeaseRefusal, Shared, Wanted};
use super::lease_table::{TableView, unreadable_row};
use super::{lease_end, lease_list, lease_rules, lease_table};
use crate::bus::Error;
use crate::bus::claim::LastEvents;
use crate::bus::workspace::{Who, Workspace};
use crate::record::json::Object;
use crate::record::{
    AgentId, ClaimId, DEFAULT_LEASE, Lease, LeaseBrief, LeaseId, MAX_REVISION, Pattern, Scope, Span,
};

/// What taking the lease that is asked for comes to. With `claim` it lives and dies with that
/// claim.
pub(in crate::bus) fn decide_take(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    request: &LeaseRequest,
    scope: &Scope,
    claim: Option<&ClaimId>,
) -> Result<LeaseDecision, Error> {
    let wanted = Wanted { scope, mode: request.mode, task: request.task.as_ref(), claim };
    // The claim that the lease is to live with may not stand yet.
    let is_void =
        |brief: &LeaseBrief| brief.claim_id.as_ref() != claim && !lease_list::stands(ws, brief);
    match lease_rules::acquire(&view.table.rows, &wanted, who, lease_table::fold(ws), is_void) {
        Ok(LeaseGrant::Keep(row)) => kept(ws, &whole(&view.table.rows[row])?, request),
        Ok(LeaseGrant::Take(void)) => {
            let lease = new_lease(ws, view, who, request, scope, claim);
            let draft = Draft::new("acquire", vec![lease], LeaseOutcome::Acquired);
            Ok(LeaseDecision::Write(lease_end::swept(
                ws,
                draft,
                void.iter().map(|row| &view.table.rows[*row]),
                who,
            )?))
        }
        Err(refusal) => Err(refused_lease(ws, view, who, refusal)?),
    }
}

/// The caller's own lease, asked for again: a heartbeat where that is due, or where it shall
/// live for another time.
fn kept(ws: &Workspace, lease: &Lease, request: &LeaseRequest) -> Result<LeaseDecision, Error> {
    let ttl = request.ttl.map(Span::get).filter(|wanted| *wanted != lease.ttl());
    let is_due = ws.clock.now().since(lease.heartbeat) > lease.ttl() / 4;
    if ttl.is_none() && !is_due {
        return Ok(LeaseDecision::settle(vec![lease.clone()]));
    }
    Ok(LeaseDecision::Write(Draft::new(
        "renew",
        vec![renewed(ws, lease, ttl)?],
        LeaseOutcome::Renewed,
    )))
}

/// The lease with a heartbeat.
pub(in crate::bus) fn renewed(
    ws: &Workspace,
    lease: &Lease,
    ttl: Option<Duration>,
) -> Result<Lease, Error> {
    let now = ws.clock.now();
    let ttl = ttl.unwrap_or_else(|| lease.ttl());
    Ok(Lease {
        heartbeat: now,
        expires_at: now.after(ttl),
        revision: next_revision(lease)?,
        ..lease.clone()
    })
}

/// The lease, ended by `who`.
pub(in crate::bus) fn ending_lease(
    ws: &Workspace,
    lease: Lease,
    who: &Who,
    note: Option<&str>,
) -> Result<Lease, Error> {
    let by_another = !who.is(&lease.owner, lease.origin.as_ref());
    Ok(Lease {
        released_at: Some(ws.clock.now()),
        released_by: by_another.then(|| who.agent.clone()),
        release_note: note.map(str::to_owned),
        revision: next_revision(&lease)?,
        ..lease
    })
}

pub(super) fn new_lease(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    request: &LeaseRequest,
    scope: &Scope,
    claim: Option<&ClaimId>,
) -> Lease {
    let now = ws.clock.now();
    let texts =
        |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
    Lease {
        lease_id: unused_id(ws, view),
        owner: who.agent.clone(),
        origin: Some(who.origin.clone()),
        scope: texts(scope.patterns()),
        deny: texts(scope.deny()),
        mode: request.mode,
        objective: request.objective.clone(),
        start_time: now,
        heartbeat: now,
        expires_at: now.after(request.ttl.unwrap_or(DEFAULT_LEASE).get()),
        task_id: request.task.clone(),
        claim_id: claim.cloned(),
        base: ws.repo.head().map(|head| head.to_string()),
        session_id: ws.session_id(),
        revision: 1,
        released_at: None,
        released_by: None,
        release_note: None,
        extra: Object::new(),
    }
}

/// An id that no live lease has.
fn unused_id(_ws: &Workspace, view: &TableView) -> LeaseId {
    let is_free = |id: &LeaseId| view.table.row(id).is_none();
    std::iter::repeat_with(LeaseId::random).find(is_free).expect("ids by chance do not run out")
}

/// The paths that are asked for, each pattern once.
pub(in crate::bus) fn wanted_scope(ws: &Workspace, request: &LeaseRequest) -> Result<Scope, Error> {
    let once = |patterns: &[Pattern]| {
        let mut kept: Vec<Pattern> = Vec::new();
        for pattern in patterns {
            if !kept.iter().any(|known| known.as_str() == pattern.as_str()) {
                kept.push(pattern.clone());
            }
        }
        kept
    };
    let usage =
        |what: &str, hint: &str| Err(Error::Usage { what: what.to_owned(), hint: hint.to_owned() });
    let scope = Scope::new(once(&request.scope), once(&request.deny));
    if request.objective.trim().is_empty() {
        return usage(
            "the objective says nothing",
            "say in a line what you are about to change: `--objective TEXT`",
        );
    }
    if scope.example(lease_table::fold(ws)).is_none() {
        return usage(
            "what is denied leaves no path of what is asked for",
            "ask for more with PATTERN, or leave less out with `--deny`",
        );
    }
    Ok(scope)
}

/// The error for a refusal, with the facts.
pub(super) fn refused_lease(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    refusal: LeaseRefusal,
) -> Result<Error, Error> {
    let shared = match refusal {
        LeaseRefusal::Held(shared) => shared,
        LeaseRefusal::Unreadable(row, fault) => {
            return Ok(unreadable_row(&view.table.rows[row], fault));
        }
    };
    let mut events = LastEvents::default();
    let stale_after = ws.config()?.stale_after.get();
    let mut all = Vec::new();
    for Shared { row, path } in shared {
        let lease = whole(&view.table.rows[row])?;
        let (liveness, _) = lease_list::lease_liveness(ws, &lease, stale_after, &mut events)?;
        all.push(LeaseConflict {
            patterns: lease.patterns(),
            path,
            since: lease.start_time,
            expires_at: lease.expires_at,
            reclaimable: lease_list::reclaimable(liveness),
            elsewhere: lease.owner == who.agent,
            lease: lease.lease_id,
            owner: lease.owner,
            objective: lease.objective,
        });
    }
    let first = Box::new(all.remove(0));
    Ok(LeaseFault::Held { first, others: all, now: ws.clock.now() }.into())
}

/// The lease that is taken, of all that a write has changed.
pub(in crate::bus) fn taken(answer: &[Leased], agent: &AgentId) -> Result<Leased, Error> {
    let taken = answer.iter().find(|leased| leased.lease.is_live()).cloned();
    Ok(taken.ok_or_else(|| LeaseFault::NoneHeld { agent: agent.clone() })?)
}

fn next_revision(lease: &Lease) -> Result<u64, Error> {
    if lease.revision >= MAX_REVISION {
        Err(Error::worn_out(&lease.lease_id))
    } else {
        Ok(lease.revision + 1)
    }
}
