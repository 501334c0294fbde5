//! The one step that brings this worktree's files and log in line with the table of leases.

use serde_json::Value;

use super::change::Written;
use crate::bus::settle::{derived_id, quote};
use crate::bus::{Bus, Error};
use crate::git::blob_id;
use crate::record::json::Object;
use crate::record::{Event, EventKind, Lease, Mode};
use crate::store::{Lock, crash_point, recently_has, replace};

/// The sorts of events that tell of a lease.
const TAKEN: &str = "lock";
const ENDED: &str = "unlock";

impl Bus {
    /// Does what the leases ask for in this worktree that were written just now, or that a crash may have left behind.
    pub(in crate::bus) fn settle_leases<T>(&self, lock: &Lock, written: &Written<T>) -> Result<(), Error> {
        for lease in &written.leases {
            if !written.fresh {
                self.settle_lease(lock, lease)?;
            } else if let Some(event) = self.lease_event(lease)? {
                // The log cannot have it yet.
                self.append_event(lock, &event)?;
                self.settle_lease_file(lease)?;
            }
        }
        Ok(())
    }

    /// Does what is missing of `lease` in this worktree: its event, then its file. Done twice, it changes nothing.
    pub(in crate::bus) fn settle_lease(&self, lock: &Lock, lease: &Lease) -> Result<(), Error> {
        let event = event_of(lease)?;
        if !recently_has(&self.log_place(&event.agent_id)?, &event.to_line())? {
            self.append_event(lock, &event)?;
        }
        self.settle_lease_file(lease)
    }

    /// Brings this worktree's file of `lease` in line with it.
    pub(super) fn settle_lease_file(&self, lease: &Lease) -> Result<(), Error> {
        crash_point("event-settled");
        let file = self.file_lease(&self.layout, &lease.lock_id)?.map(|file| file.lease);
        // A file that is ahead is not ours to judge here, and must not be lost.
        let ahead = file.as_ref().is_some_and(|file| file.revision > lease.revision);
        if !ahead && !is_in_line(file.as_ref(), lease) {
            let place = self.layout.lock(&lease.lock_id);
            // What somebody edited is not lost without a copy.
            if file.is_some_and(|file| as_taken(&file) != as_taken(lease)) {
                self.keep_aside(lease.lock_id.as_str(), &place)?;
            }
            replace(&place, &lease.to_bytes())?;
        }
        crash_point("file-settled");
        Ok(())
    }

    /// The event of a lease as a write has just left it; none where it was only renewed.
    pub(super) fn lease_event(&self, lease: &Lease) -> Result<Option<Event>, Error> {
        let told = lease.revision <= 1 || !lease.is_live();
        if told { event_of(lease).map(Some) } else { Ok(None) }
    }
}

/// Whether a lease's file says what `lease` says. A renewal moves the ref alone.
pub(in crate::bus) fn is_in_line(file: Option<&Lease>, lease: &Lease) -> bool {
    file.is_some_and(|file| file == lease || (lease.is_live() && file.without_pulse() == lease.without_pulse()))
}

/// A lease as it was when it was taken: what no write changes.
pub(in crate::bus) fn as_taken(lease: &Lease) -> Lease {
    Lease { released_at: None, released_by: None, release_note: None, ..lease.without_pulse() }
}

/// The event that tells how a lease began, or how it ended: wholly derived from what no later write changes, so that it has the
/// same bytes whoever writes it.
fn event_of(lease: &Lease) -> Result<Event, Error> {
    let (kind, order, ts) = lease.released_at.map_or((TAKEN, 1, lease.start_time), |at| (ENDED, 2, at));
    let agent = lease.released_by.as_ref().unwrap_or(&lease.owner);
    let origin = lease.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    let source = blob_id(format!("{kind} {} {origin} {ts}", lease.lock_id).as_bytes());
    let mut extra = Object::new();
    extra.insert("lock_id".to_owned(), Value::from(lease.lock_id.as_str()));
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
    let shared = if lease.mode == Mode::Shared { " (shared)" } else { "" };
    if lease.is_live() {
        return format!("locked {patterns}{shared}: {}", quote(&lease.objective));
    }
    let whose = lease.released_by.as_ref().map_or_else(String::new, |_| format!(" in the place of {}", lease.owner));
    let why = lease.release_note.as_ref().map_or_else(String::new, |note| format!(": {}", quote(note)));
    format!("unlocked {patterns}{shared}{whose}{why}")
}
