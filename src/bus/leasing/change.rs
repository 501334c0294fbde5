//! How the table of leases comes to a new state: read, decide, write a commit, move the ref; all under the lock.

use super::table::TableView;
use super::{LeaseOutcome, Leased};
use crate::bus::advance::retry;
use crate::bus::{Bus, Error, Who};
use crate::git::{Link, RefName};
use crate::record::json::MAX_LINE;
use crate::record::{Lease, LeaseRow, LockId, MAX_TABLE};
use crate::store::Lock;

/// How many leases a subject names.
const MAX_NAMED: usize = 5;

/// A change of the table.
pub(super) struct Draft {
    verb: &'static str,
    /// The leases that are made, renewed or ended.
    changed: Vec<Lease>,
    /// What is said of each of them; of those that were swept nothing.
    outcomes: Vec<Option<LeaseOutcome>>,
    /// Rows that go without a word: they never lived.
    dropped: Vec<LockId>,
}

impl Draft {
    /// Each of `changed` comes to `outcome`.
    pub(super) fn new(verb: &'static str, changed: Vec<Lease>, outcome: LeaseOutcome) -> Self {
        Self { verb, outcomes: vec![Some(outcome); changed.len()], changed, dropped: Vec::new() }
    }

    /// Ends one more lease, of which nothing is said.
    pub(super) fn sweep(&mut self, ended: Lease) {
        self.changed.push(ended);
        self.outcomes.push(None);
    }

    /// Takes one more row out, of which nothing is known but that it never lived.
    pub(super) fn drop_row(&mut self, row: &LeaseRow) {
        self.dropped.push(row.brief.lock_id.clone());
    }

    /// What was done, to which leases, by whom.
    fn subject(&self, who: &Who) -> String {
        let ids: Vec<&str> = self.changed.iter().map(|lease| lease.lock_id.as_str()).collect();
        match ids.len() {
            0..=MAX_NAMED => format!("{} {} by {}", self.verb, ids.join(" "), who.agent),
            number => format!("{} {number} leases by {}", self.verb, who.agent),
        }
    }
}

/// What a decision asks for.
pub(super) enum Next {
    /// Write this.
    Write(Draft),
    /// Everything is as it should be; only a crash may have left something undone of these.
    Settle(Vec<Lease>),
}

impl Next {
    pub(super) const fn settle(leases: Vec<Lease>) -> Self {
        Self::Settle(leases)
    }
}

/// What the table says now, of which file and log may know nothing yet.
pub(in crate::bus) struct Written<T> {
    /// The leases to settle.
    pub(super) leases: Vec<Lease>,
    /// Whether they were written just now.
    pub(super) fresh: bool,
    /// The table that says so, if the lock under which it was written or read is still held. The ref may vanish at any time, so the
    /// record gets these bytes.
    pub(super) table: Option<Vec<u8>>,
    /// What is said of it.
    pub(in crate::bus) answer: T,
}

impl Written<Vec<Leased>> {
    /// Nothing was written: these stand, and may have to be settled.
    pub(super) fn unchanged(leases: Vec<Lease>) -> Self {
        let answer = leases.iter().map(|lease| Leased::new(LeaseOutcome::Unchanged, lease.clone())).collect();
        Self { leases, fresh: false, table: None, answer }
    }

    /// The same of what was decided under one lock, and is settled under another: the table may have moved on.
    pub(super) fn later(self) -> Self {
        Self { fresh: false, table: None, ..self }
    }
}

impl Bus {
    /// Changes the table of leases as `decide` says, under the lock that the caller holds.
    pub(super) fn change_leases(
        &self,
        lock: &mut Lock,
        who: &Who,
        decide: impl Fn(&TableView) -> Result<Next, Error>,
    ) -> Result<Written<Vec<Leased>>, Error> {
        retry(&RefName::locks(), || {
            let view = self.mended_table(lock)?;
            match decide(&view)? {
                Next::Settle(leases) => {
                    let table = view.tip.map(|tip| tip.body);
                    Ok(Some(Written { table, ..Written::unchanged(leases) }))
                }
                Next::Write(draft) => self.write_table(lock, view, who, draft),
            }
        })
    }

    /// Writes the next state of the table; nothing where the ref was moved meanwhile.
    fn write_table(
        &self,
        lock: &mut Lock,
        view: TableView,
        who: &Who,
        draft: Draft,
    ) -> Result<Option<Written<Vec<Leased>>>, Error> {
        let expected = view.tip.as_ref().map(|tip| tip.id);
        let (link, written) = self.prepare_table(lock, view, who, draft)?;
        Ok(self.advance(lock, &RefName::locks(), expected, &link)?.then_some(written))
    }

    /// Writes the commit of the next state of the table. No ref points to it yet.
    pub(super) fn prepare_table(
        &self,
        lock: &Lock,
        view: TableView,
        who: &Who,
        draft: Draft,
    ) -> Result<(Link, Written<Vec<Leased>>), Error> {
        if let Some(tip) = &view.tip {
            self.settle_last_leases(lock, tip)?;
        }
        let now = self.clock.now();
        let parent = match &view.tip {
            Some(tip) => Some(tip.id),
            None if view.table.rows.is_empty() => None,
            None => {
                let subject = format!("import by {}", who.agent);
                Some(self.repo.write_link(None, &who.agent, now, &subject, &view.table.to_bytes())?.id)
            }
        };
        let subject = draft.subject(who);
        let next = view.table.next(draft.changed, &draft.dropped).ok_or_else(|| Error::worn_out(RefName::locks().as_str()))?;
        let bytes = next.to_bytes();
        self.check_before_write(&next.changed, bytes.len())?;
        let link = self.repo.write_link(parent, &who.agent, now, &subject, &bytes)?;
        let said = next.changed.iter().zip(draft.outcomes);
        let answer = said.filter_map(|(lease, outcome)| Some(Leased::new(outcome?, lease.clone()))).collect();
        Ok((link, Written { leases: next.changed, fresh: true, table: Some(bytes), answer }))
    }

    /// What would stop an event or a file later must stop the write now.
    fn check_before_write(&self, changed: &[Lease], size: usize) -> Result<(), Error> {
        for lease in changed {
            let size = lease.to_bytes().len();
            if size > MAX_LINE {
                let what = format!("the lease would have {size} bytes, and may have {MAX_LINE}");
                return Err(Error::Usage { what, hint: "ask for fewer patterns, or shorten the objective".to_owned() });
            }
            if let Some(event) = self.lease_event(lease)? {
                self.check_event(&event)?;
                self.record_log(&event.agent_id)?.inspect()?;
            }
        }
        if size > MAX_TABLE {
            let what = format!("the table of leases would have {size} bytes, and may have {MAX_TABLE}");
            return Err(Error::Usage { what, hint: "release what is not needed: `bus lock list` shows all".to_owned() });
        }
        Ok(())
    }
}
