//! Taking over the paths of a lease whose holder is gone.

use super::lease_change::{Draft, LeaseDecision, LeaseOutcome, LeaseRequest, whole};
use super::lease_fault::LeaseFault;
use super::lease_rules::{LeaseRefusal, Wanted};
use super::lease_table::TableView;
use super::{lease_list, lease_rules, lease_table, take};
use crate::bus::claim::{LastEvents, Liveness};
use crate::bus::workspace::{Who, Workspace};
use crate::bus::{Error, claim};
use crate::record::{Lease, LeaseRow, Span, verb};

/// Ends what stands and takes its paths, where its owner gives no heartbeat or `force` is given.
pub(in crate::bus) fn takeover(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    row: &LeaseRow,
    note: &str,
    force: bool,
) -> Result<LeaseDecision, Error> {
    let old = whole(row)?;
    let scope = lease_table::row_scope(ws, row)?;
    let wanted = Wanted { scope: &scope, mode: old.mode, task: None, claim: None };
    let others =
        match lease_rules::acquire(&view.table.rows, &wanted, who, lease_table::fold(ws), |brief| {
            !lease_list::stands(ws, brief)
        }) {
            Err(LeaseRefusal::Held(shared)) => shared,
            Err(refusal) => return Err(take::refused_lease(ws, view, who, refusal)?),
            Ok(_) => Vec::new(),
        };
    let mut gone = vec![old.clone()];
    let mut conflicts = Vec::new();
    for shared in others {
        let other = &view.table.rows[shared.row];
        let same_holder =
            other.brief.owner == row.brief.owner && other.brief.origin == row.brief.origin;
        match (other.brief.lease_id == old.lease_id, same_holder) {
            (true, _) => {}
            // What one holder has twice would else keep both from being taken over.
            (false, true) => gone.push(whole(other)?),
            (false, false) => conflicts.push(shared),
        }
    }
    if !conflicts.is_empty() {
        return Err(take::refused_lease(ws, view, who, LeaseRefusal::Held(conflicts))?);
    }
    if !force {
        gone.iter().try_for_each(|lease| check_silent(ws, lease))?;
    }
    let taken = LeaseRequest {
        scope: scope.patterns().to_vec(),
        deny: scope.deny().to_vec(),
        mode: old.mode,
        objective: old.objective.clone(),
        task: None,
        ttl: Some(Span::new(old.ttl())),
    };
    let mut changed = gone
        .into_iter()
        .map(|lease| take::ending_lease(ws, lease, who, Some(note)))
        .collect::<Result<Vec<_>, _>>()?;
    changed.push(take::new_lease(ws, view, who, &taken, &scope, None));
    Ok(LeaseDecision::Write(Draft::new(verb::RECLAIM, changed, LeaseOutcome::Reclaimed)))
}

/// Refuses where the owner of `lease` gives heartbeats.
fn check_silent(ws: &Workspace, lease: &Lease) -> Result<(), Error> {
    let stale_after = ws.config()?.stale_after.get();
    let (liveness, signs) =
        lease_list::lease_liveness(ws, lease, stale_after, &mut LastEvents::default())?;
    if liveness != Liveness::Alive {
        return claim::check_clock(ws);
    }
    claim::warn_of_clock(ws, lease.lease_id.as_str(), &signs);
    let now = ws.clock.now();
    let fault = LeaseFault::Alive {
        lease: lease.lease_id.clone(),
        owner: lease.owner.clone(),
        patterns: lease.patterns(),
        expires_at: lease.expires_at,
        last_seen: signs.last(now),
        now,
    };
    Err(fault.into())
}
