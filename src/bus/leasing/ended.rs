//! How a lease ended: only refusals, repetitions and the doctor look here.

use super::change::Next;
use super::fault::LeaseFault;
use super::table::TableView;
use crate::bus::{Bus, Error, Who};
use crate::git::Link;
use crate::record::{Lease, LeaseBrief, LeaseTable, LockId};

/// How many states of the table are read for a list of what ended.
const MAX_STATES: usize = 1000;

/// A write that ended a lease.
struct End {
    lease: Lease,
    /// All that the write changed.
    changed: Vec<Lease>,
    verb: String,
}

impl Bus {
    /// The end of the lease called `id`, as the ref's history has it.
    fn end_of(&self, tip: Option<&Link>, id: &LockId) -> Result<Option<End>, Error> {
        let mut next = tip.cloned();
        while let Some(link) = next {
            // A state that cannot be read hides what it did; what is older still counts.
            let names = memchr::memmem::find(&link.body, id.as_str().as_bytes()).is_some();
            let table = if names { LeaseTable::parse(&link.body).unwrap_or_default() } else { LeaseTable::default() };
            if let Some(lease) = table.changed.iter().find(|lease| lease.lock_id == *id) {
                let end = End { lease: lease.clone(), changed: table.changed.clone(), verb: link.verb().to_owned() };
                return Ok(Some(end).filter(|end| !end.lease.is_live()));
            }
            next = self.before(&link)?;
        }
        Ok(None)
    }

    /// The end of a lease that is not in the table, as the ref's history has it.
    fn known_end(&self, view: &TableView, id: &LockId) -> Result<Option<Lease>, Error> {
        Ok(self.end_of(view.tip.as_ref(), id)?.map(|end| end.lease))
    }

    /// The end of the caller's own lease, which it has ended itself.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Lost`] where somebody else has ended it; [`LeaseFault::NoLock`] where it was not the caller's.
    pub(super) fn own_end(&self, view: &TableView, who: &Who, id: &LockId) -> Result<Lease, Error> {
        let end = self.known_end(view, id)?;
        match end.filter(|end| who.is(&end.owner, end.origin.as_ref()) && end.released_by.is_none()) {
            Some(end) => Ok(end),
            None => Err(self.gone(view, who, id)?.into()),
        }
    }

    /// Why the lease called `id`, which is not in the table, cannot be renewed or given back by `who`.
    pub(super) fn gone(&self, view: &TableView, who: &Who, id: &LockId) -> Result<LeaseFault, Error> {
        let end = self.known_end(view, id)?;
        Ok(match end {
            Some(end) => match (&end.released_by, end.released_at) {
                (Some(by), Some(at)) if who.is(&end.owner, end.origin.as_ref()) => LeaseFault::Lost {
                    patterns: end.patterns(),
                    lock: end.lock_id.clone(),
                    by: by.clone(),
                    at,
                    note: end.release_note.clone(),
                },
                (_, ended) => LeaseFault::NoLock { lock: end.lock_id.clone(), ended },
            },
            None => LeaseFault::NoLock { lock: id.clone(), ended: None },
        })
    }

    /// Why the caller's own lease is void: the claim that it lived with is gone.
    pub(super) fn claim_gone(&self, who: &Who, brief: &LeaseBrief) -> Result<LeaseFault, Error> {
        let lock = brief.lock_id.clone();
        let Some(task) = &brief.task_id else { return Ok(LeaseFault::NoLock { lock, ended: None }) };
        let view = self.deciding_view(task, None)?;
        let ended = view.claim().and_then(|claim| claim.released_at);
        Ok(match self.loss(&view, who)? {
            Some(loss) => LeaseFault::Lost {
                lock,
                patterns: brief.scope.join(" "),
                by: loss.by.unwrap_or_else(|| brief.owner.clone()),
                at: loss.at,
                note: Some(format!("{task} was lost{}", loss.note.map_or_else(String::new, |note| format!(": {note}")))),
            },
            None => LeaseFault::NoLock { lock, ended },
        })
    }

    /// What a takeover of the lease called `id` comes to, which is not in the table: it may have been the caller's own, cut off.
    pub(super) fn reclaimed_already(&self, view: &TableView, who: &Who, id: &LockId) -> Result<Next, Error> {
        let end = self.end_of(view.tip.as_ref(), id)?;
        let own = end.filter(|end| end.verb == "reclaim" && end.lease.released_by.as_ref() == Some(&who.agent));
        let taken = own.and_then(|end| {
            let taken = end.changed.iter().find(|lease| lease.is_live() && who.is(&lease.owner, lease.origin.as_ref()))?;
            view.table.row(&taken.lock_id)?;
            Some(end.changed.clone())
        });
        match taken {
            Some(changed) => Ok(Next::settle(changed)),
            None => {
                Err(LeaseFault::NoLock { lock: id.clone(), ended: self.known_end(view, id)?.and_then(|end| end.released_at) }
                    .into())
            }
        }
    }

    /// The ends of the caller's own leases that the last change of the table made: a crash may have left their events out.
    pub(super) fn unsettled_ends(&self, view: &TableView, who: &Who) -> Result<Vec<Lease>, Error> {
        let Some(tip) = &view.tip else { return Ok(Vec::new()) };
        if self.has_noted_table(tip)? {
            return Ok(Vec::new());
        }
        let own = view.table.changed.iter().filter(|lease| !lease.is_live() && lease.released_by.is_none());
        Ok(own.filter(|lease| who.is(&lease.owner, lease.origin.as_ref())).cloned().collect())
    }

    /// The leases that ended lately, the latest first, as far as the newest states of the table tell.
    pub(super) fn ends_in_history(&self, view: &TableView) -> Result<Vec<Lease>, Error> {
        let mut ended = Vec::new();
        let mut next = view.tip.clone();
        for _ in 0..MAX_STATES {
            let Some(link) = next else { break };
            // A state that cannot be read hides what it did; what is older still counts.
            let table = LeaseTable::parse(&link.body).unwrap_or_default();
            ended.extend(table.changed.into_iter().filter(|lease| !lease.is_live()));
            next = self.before(&link)?;
        }
        ended.sort_by_key(|lease| std::cmp::Reverse(lease.released_at));
        Ok(ended)
    }
}
