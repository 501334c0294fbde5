//! The one step that brings the log and the record's copy in line with the table of leases.

use serde_json::Value;

use super::lease_change::Written;
use crate::bus::claim::{derived_id, quote};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, log};
use crate::git::{Link, RefName, blob_id};
use crate::record::json::Object;
use crate::record::{Event, EventKind, Lease, LeaseMode, LeaseTable};
use crate::store::{Lock, crash_point, recently_has};

/// The types of events that tell of a lease.
const TAKEN: &str = "lock";

const ENDED: &str = "unlock";

/// Does what the leases ask for that were written just now, or that a crash may have left behind:
/// their events, then the copy of the table.
pub(in crate::bus) fn settle_leases<T>(
    ws: &Workspace,
    lock: &Lock,
    written: &Written<T>,
) -> Result<(), Error> {
    for lease in &written.leases {
        if !written.fresh {
            settle_lease(ws, lock, lease)?;
        } else if let Some(event) = lease_event(ws, lease)? {
            // The log cannot have it yet.
            log::append_event(ws, lock, &event)?;
        }
    }
    crash_point("event-settled");
    written.table.as_ref().map_or_else(|| ws.note_ref_of_leases(), |table| ws.note_table(table))?;
    crash_point("file-settled");
    Ok(())
}

/// Appends the event of `lease`, unless the log has it. Done twice, it changes nothing.
fn settle_lease(ws: &Workspace, lock: &Lock, lease: &Lease) -> Result<(), Error> {
    let event = event_of(lease)?;
    match recently_has(&ws.record_log(&event.agent_id)?, &event.to_line())? {
        true => Ok(()),
        false => log::append_event(ws, lock, &event),
    }
}

/// Does what a crash left undone of the last change of the table, whose ref ends at `tip`: the
/// record has no copy of it then. Events of leases that were taken in another clone are that
/// clone's.
pub(in crate::bus) fn settle_last_leases(
    ws: &Workspace,
    lock: &Lock,
    tip: &Link,
) -> Result<(), Error> {
    if ws.has_noted_table(tip)? {
        return Ok(());
    }
    let table = LeaseTable::parse(&tip.body)
        .map_err(Error::malformed(RefName::leases().as_str(), &tip.body))?;
    let here = ws.known_clone_id()?;
    let is_ours = |lease: &&Lease| {
        lease.origin.as_ref().is_none_or(|origin| Some(origin.clone_id()) == here.as_deref())
    };
    for lease in table.changed.iter().filter(is_ours) {
        if lease_event(ws, lease)?.is_some() && has_begun(ws, lease) {
            settle_lease(ws, lock, lease)?;
        }
    }
    ws.note_table(&tip.body)
}

/// Whether `lease` ever held anything: one that was taken with a claim did not if a crash came
/// before the claim.
fn has_begun(ws: &Workspace, lease: &Lease) -> bool {
    let (Some(task), Some(id)) = (&lease.task_id, &lease.claim_id) else { return true };
    let Ok(view) = claim::deciding_view(ws, task, None) else { return true };
    let is_this = view.claim().is_some_and(|claim| claim.claim_id.as_ref() == Some(id));
    is_this || view.tip.is_some_and(|tip| claim::knows_claim(ws, &tip, id))
}

/// The event of a lease as a write has just left it, or `None` if it was only renewed.
pub(super) fn lease_event(_ws: &Workspace, lease: &Lease) -> Result<Option<Event>, Error> {
    let told = lease.revision <= 1 || !lease.is_live();
    if told { event_of(lease).map(Some) } else { Ok(None) }
}

/// The event that tells how a lease began, or how it ended: wholly derived from what no later write
/// changes, so that it has the same bytes whoever writes it.
fn event_of(lease: &Lease) -> Result<Event, Error> {
    let (kind, order, ts) =
        lease.released_at.map_or((TAKEN, 1, lease.start_time), |at| (ENDED, 2, at));
    let agent = lease.released_by.as_ref().unwrap_or(&lease.owner);
    let origin = lease.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    let source = blob_id(format!("{kind} {} {origin} {ts}", lease.lease_id).as_bytes());
    let mut extra = Object::new();
    extra.insert("lock_id".to_owned(), Value::from(lease.lease_id.as_str()));
    Ok(Event {
        ts,
        agent_id: agent.clone(),
        event: EventKind::new(kind)?,
        summary: summary(lease),
        id: source.map(|source| derived_id(ts, order, source.as_slice())),
        task_id: lease.task_id.clone(),
        plan_id: None,
        branch: None,
        pr: None,
        receipts: Vec::new(),
        severity: None,
        session_id: lease.session_id.clone(),
        extra,
    })
}

/// What happened, in words.
fn summary(lease: &Lease) -> String {
    let patterns = quote(&lease.patterns());
    let shared = if lease.mode == LeaseMode::Shared { " (shared)" } else { "" };
    if lease.is_live() {
        return format!("locked {patterns}{shared}: {}", quote(&lease.objective));
    }
    let whose = lease
        .released_by
        .as_ref()
        .map_or_else(String::new, |_| format!(" in the place of {}", lease.owner));
    let why =
        lease.release_note.as_ref().map_or_else(String::new, |note| format!(": {}", quote(note)));
    format!("unlocked {patterns}{shared}{whose}{why}")
}
