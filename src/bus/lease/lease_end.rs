//! How a lease ended: only refusals, repetitions and the doctor look here.

use super::lease_change::{Draft, LeaseDecision};
use super::lease_fault::LeaseFault;
use super::lease_table::TableView;
use super::{lease_change, take};
use crate::bus::workspace::{Who, Workspace};
use crate::bus::{Error, claim};
use crate::git::{Link, RefName, Tip};
use crate::record::{ClaimId, Lease, LeaseBrief, LeaseId, LeaseRow, LeaseTable, MAX_TABLE, verb};

/// Whether the table of leases speaks of this claim. Without a lock, and without reading what it
/// says.
pub(in crate::bus) fn has_leases_of(ws: &Workspace, claim: &ClaimId) -> bool {
    let table = match ws.repo.tip(&RefName::leases()) {
        Ok(Tip::At(link)) => Some(link.body),
        Ok(Tip::Missing) => ws.record.lease_table().read(MAX_TABLE).ok().flatten(),
        Ok(Tip::Unreadable { .. }) => return true,
        Err(_) => None,
    };
    table.is_some_and(|table| memchr::memmem::find(&table, claim.as_str().as_bytes()).is_some())
}

/// `draft`, and the end of these rows: the claims that they lived with are gone.
pub(super) fn swept<'a>(
    ws: &Workspace,
    mut draft: Draft,
    rows: impl Iterator<Item = &'a LeaseRow>,
    who: &Who,
) -> Result<Draft, Error> {
    for row in rows {
        if has_lived(ws, &row.brief)? {
            let note =
                row.brief.task_id.as_ref().map(|task| format!("its claim of {task} had ended"));
            draft.sweep(take::ending_lease(ws, lease_change::whole(row)?, who, note.as_deref())?);
        } else {
            // Its claim was cut off before it was written.
            draft.drop_row(row);
        }
    }
    Ok(draft)
}

/// Whether the claim with which a lease was taken has ever stood.
fn has_lived(ws: &Workspace, brief: &LeaseBrief) -> Result<bool, Error> {
    let (Some(task), Some(id)) = (&brief.task_id, &brief.claim_id) else { return Ok(true) };
    match claim::tip(ws, task)? {
        Some(tip) => claim::has_state(ws, &tip, |claim| claim.claim_id.as_ref() == Some(id)),
        None => Ok(false),
    }
}

/// The leases that were taken with a claim.
pub(in crate::bus) fn rows_of<'a>(
    view: &'a TableView,
    claim: &'a ClaimId,
) -> impl Iterator<Item = &'a LeaseRow> {
    view.table.rows.iter().filter(move |row| row.brief.claim_id.as_ref() == Some(claim))
}

/// How many states of the table are read for a list of what ended.
const MAX_STATES: usize = 1000;

/// A write that ended a lease.
struct End {
    lease: Lease,
    /// All that the write changed.
    changed: Vec<Lease>,
    verb: String,
}

/// The end of the lease called `id`, as the ref's history has it.
fn end_of(ws: &Workspace, tip: Option<&Link>, id: &LeaseId) -> Result<Option<End>, Error> {
    let mut next = tip.cloned();
    while let Some(link) = next {
        // A state that cannot be read hides what it did; what is older still counts.
        let names = memchr::memmem::find(&link.body, id.as_str().as_bytes()).is_some();
        let table = if names {
            LeaseTable::parse(&link.body).unwrap_or_default()
        } else {
            LeaseTable::default()
        };
        if let Some(lease) = table.changed.iter().find(|lease| lease.lease_id == *id) {
            let end = End {
                lease: lease.clone(),
                changed: table.changed.clone(),
                verb: link.verb().to_owned(),
            };
            return Ok(Some(end).filter(|end| !end.lease.is_live()));
        }
        next = claim::before(ws, &link)?;
    }
    Ok(None)
}

/// The end of a lease that is not in the table, as the ref's history has it.
fn known_end(ws: &Workspace, view: &TableView, id: &LeaseId) -> Result<Option<Lease>, Error> {
    Ok(end_of(ws, view.tip.as_ref(), id)?.map(|end| end.lease))
}

/// The end of the caller's own lease, which it has ended itself.
///
/// # Errors
///
/// [`LeaseFault::Lost`] if somebody else has ended it; [`LeaseFault::NoLease`] if it was not
/// the caller's.
pub(in crate::bus) fn own_end(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    id: &LeaseId,
) -> Result<Lease, Error> {
    let end = known_end(ws, view, id)?;
    match end.filter(|end| who.is(&end.owner, end.origin.as_ref()) && end.released_by.is_none()) {
        Some(end) => Ok(end),
        None => Err(gone(ws, view, who, id)?.into()),
    }
}

/// Why the lease called `id`, which is not in the table, cannot be renewed or given back by `who`.
pub(in crate::bus) fn gone(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    id: &LeaseId,
) -> Result<LeaseFault, Error> {
    let end = known_end(ws, view, id)?;
    Ok(match end {
        Some(end) => match (&end.released_by, end.released_at) {
            (Some(by), Some(at)) if who.is(&end.owner, end.origin.as_ref()) => LeaseFault::Lost {
                patterns: end.patterns(),
                lease: end.lease_id.clone(),
                by: by.clone(),
                at,
                note: end.release_note.clone(),
            },
            (_, ended) => LeaseFault::NoLease { lease: end.lease_id.clone(), ended },
        },
        None => LeaseFault::NoLease { lease: id.clone(), ended: None },
    })
}

/// Why the caller's own lease is void: the claim that it lived with is gone.
pub(in crate::bus) fn claim_gone(
    ws: &Workspace,
    who: &Who,
    brief: &LeaseBrief,
) -> Result<LeaseFault, Error> {
    let lease = brief.lease_id.clone();
    let Some(task) = &brief.task_id else { return Ok(LeaseFault::NoLease { lease, ended: None }) };
    let view = claim::deciding_view(ws, task, None)?;
    let ended = view.claim().and_then(|claim| claim.released_at);
    Ok(match claim::loss(ws, &view, who)? {
        Some(loss) => LeaseFault::Lost {
            lease,
            patterns: brief.scope.join(" "),
            by: loss.by.unwrap_or_else(|| brief.owner.clone()),
            at: loss.at,
            note: Some(format!(
                "{task} was lost{}",
                loss.note.map_or_else(String::new, |note| format!(": {note}"))
            )),
        },
        None => LeaseFault::NoLease { lease, ended },
    })
}

/// What a takeover of the lease called `id` comes to, which is not in the table: it may have been
/// the caller's own, cut off.
pub(in crate::bus) fn reclaimed_already(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
    id: &LeaseId,
) -> Result<LeaseDecision, Error> {
    let end = end_of(ws, view.tip.as_ref(), id)?;
    let own = end.filter(|end| {
        end.verb == verb::RECLAIM && end.lease.released_by.as_ref() == Some(&who.agent)
    });
    let taken = own.and_then(|end| {
        let taken = end
            .changed
            .iter()
            .find(|lease| lease.is_live() && who.is(&lease.owner, lease.origin.as_ref()))?;
        view.table.row(&taken.lease_id)?;
        Some(end.changed.clone())
    });
    match taken {
        Some(changed) => Ok(LeaseDecision::settle(changed)),
        None => Err(LeaseFault::NoLease {
            lease: id.clone(),
            ended: known_end(ws, view, id)?.and_then(|end| end.released_at),
        }
        .into()),
    }
}

/// The ends of the caller's own leases that the last change of the table made: a crash may have
/// left their events out.
pub(in crate::bus) fn unsettled_ends(
    ws: &Workspace,
    view: &TableView,
    who: &Who,
) -> Result<Vec<Lease>, Error> {
    let Some(tip) = &view.tip else { return Ok(Vec::new()) };
    if ws.has_noted_table(tip)? {
        return Ok(Vec::new());
    }
    let own =
        view.table.changed.iter().filter(|lease| !lease.is_live() && lease.released_by.is_none());
    Ok(own.filter(|lease| who.is(&lease.owner, lease.origin.as_ref())).cloned().collect())
}

/// The leases that ended lately, the latest first, as far as the newest states of the table tell.
pub(super) fn ends_in_history(ws: &Workspace, view: &TableView) -> Result<Vec<Lease>, Error> {
    let mut ended = Vec::new();
    let mut next = view.tip.clone();
    for _ in 0..MAX_STATES {
        let Some(link) = next else { break };
        // A state that cannot be read hides what it did; what is older still counts.
        let table = LeaseTable::parse(&link.body).unwrap_or_default();
        ended.extend(table.changed.into_iter().filter(|lease| !lease.is_live()));
        next = claim::before(ws, &link)?;
    }
    ended.sort_by_key(|lease| std::cmp::Reverse(lease.released_at));
    Ok(ended)
}
