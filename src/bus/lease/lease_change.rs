//! How the table of leases comes to a new state: read, decide, write a commit, move the ref; all
//! under the lock.

use super::lease_fault::LeaseFault;
use super::lease_table::TableView;
use super::{lease_rules, lease_settle, lease_table};
use crate::bus::lease::take;
use crate::bus::workspace::{Known, Turn, Who, Workspace};
use crate::bus::{Error, log};
use crate::git::{Link, RefName};
use crate::record::json::MAX_LINE;
use crate::record::{Lease, LeaseId, LeaseMode, LeaseRow, MAX_TABLE, Pattern, Span, TaskId, verb};
use crate::store::Lock;

/// What `bus lock acquire` asks for.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRequest {
    /// The patterns of the paths.
    pub(crate) scope: Vec<Pattern>,
    /// The patterns of paths that are left out.
    pub(crate) deny: Vec<Pattern>,
    /// Who else may hold them.
    pub(crate) mode: LeaseMode,
    /// What for.
    pub(crate) objective: String,
    /// The task that it is for.
    pub(crate) task: Option<TaskId>,
    /// How long it lives without a heartbeat.
    pub(crate) ttl: Option<Span>,
}

/// Which of the caller's leases are meant.
#[derive(Clone, Debug)]
pub(crate) enum WhichLeases {
    /// This one.
    One(LeaseId),
    /// All that were taken here.
    All,
    /// The only one that was taken here.
    Only,
}

/// What a command did to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// It was taken.
    Acquired,
    /// It was the caller's already.
    Unchanged,
    /// It lives on.
    Renewed,
    /// It was given back.
    Released,
    /// Its paths were taken over, under a new id.
    Reclaimed,
}

impl LeaseOutcome {
    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Unchanged => "unchanged",
            Self::Renewed => "renewed",
            Self::Released => "released",
            Self::Reclaimed => "reclaimed",
        }
    }
}

/// What came of a command on a lease.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    /// What was done.
    pub(crate) outcome: LeaseOutcome,
    /// The lease now.
    pub(crate) lease: Lease,
    /// The lease that it was taken over from.
    pub(crate) previous: Option<Lease>,
}

impl Leased {
    const fn new(outcome: LeaseOutcome, lease: Lease) -> Self {
        Self { outcome, lease, previous: None }
    }
}

/// The rows of the caller's own leases that are meant, or `None` if the one that is named is not in
/// the table.
pub(in crate::bus) fn own_rows<'a>(
    view: &'a TableView,
    who: &Who,
    which: &WhichLeases,
) -> Result<Vec<&'a LeaseRow>, Error> {
    let own: Vec<&LeaseRow> =
        view.table.rows.iter().filter(|row| lease_rules::is_mine(&row.brief, who)).collect();
    match which {
        WhichLeases::All => Ok(own),
        WhichLeases::Only if own.len() > 1 => {
            let leases = own.into_iter().map(|row| row.brief.lease_id.clone()).collect();
            Err(LeaseFault::Several { agent: who.agent.clone(), leases }.into())
        }
        WhichLeases::Only => Ok(own),
        WhichLeases::One(id) => match view.table.row(id) {
            None => Ok(Vec::new()),
            Some(row) if lease_rules::is_mine(&row.brief, who) => Ok(vec![row]),
            Some(row) => {
                let owner = row.brief.owner.clone();
                Err(LeaseFault::NotYours {
                    lease: row.brief.lease_id.clone(),
                    elsewhere: owner == who.agent,
                    owner,
                }
                .into())
            }
        },
    }
}

/// The lease of a row.
pub(in crate::bus) fn whole(row: &LeaseRow) -> Result<Lease, Error> {
    row.lease().map_err(lease_table::malformed)
}

/// How many leases a subject names.
const MAX_NAMED: usize = 5;

/// A change of the table.
pub(in crate::bus) struct Draft {
    verb: &'static str,
    /// The leases that are made, renewed or ended.
    changed: Vec<Lease>,
    /// What is said of each of them; of those that were swept nothing.
    outcomes: Vec<Option<LeaseOutcome>>,
    /// Rows that go without a word: they never lived.
    dropped: Vec<LeaseId>,
}

impl Draft {
    /// Each of `changed` comes to `outcome`.
    pub(in crate::bus) fn new(
        verb: &'static str,
        changed: Vec<Lease>,
        outcome: LeaseOutcome,
    ) -> Self {
        Self { verb, outcomes: vec![Some(outcome); changed.len()], changed, dropped: Vec::new() }
    }

    /// Ends one more lease, of which nothing is said.
    pub(in crate::bus) fn sweep(&mut self, ended: Lease) {
        self.changed.push(ended);
        self.outcomes.push(None);
    }

    /// Takes one more row out, of which nothing is known but that it never lived.
    pub(in crate::bus) fn drop_row(&mut self, row: &LeaseRow) {
        self.dropped.push(row.brief.lease_id.clone());
    }

    /// What was done, to which leases, by whom.
    fn subject(&self, who: &Who) -> String {
        let ids: Vec<&str> = self.changed.iter().map(|lease| lease.lease_id.as_str()).collect();
        match ids.len() {
            0..=MAX_NAMED => format!("{} {} by {}", self.verb, ids.join(" "), who.agent),
            number => format!("{} {number} leases by {}", self.verb, who.agent),
        }
    }
}

/// What a decision asks for.
pub(in crate::bus) enum LeaseDecision {
    /// Write this.
    Write(Draft),
    /// Everything is as it should be; only a crash may have left something undone of these.
    Settle(Vec<Lease>),
}

impl LeaseDecision {
    pub(in crate::bus) const fn settle(leases: Vec<Lease>) -> Self {
        Self::Settle(leases)
    }
}

/// What the table says now, of which file and log may know nothing yet.
pub(in crate::bus) struct Written<T> {
    /// The leases to settle.
    pub(in crate::bus) leases: Vec<Lease>,
    /// Whether they were written just now.
    pub(in crate::bus) fresh: bool,
    /// The table that says so, if the lock under which it was written or read is still held. The
    /// ref may vanish at any time, so the record gets these bytes.
    pub(in crate::bus) table: Option<Vec<u8>>,
    /// What is said of it.
    pub(in crate::bus) answer: T,
}

impl Written<Vec<Leased>> {
    /// Nothing was written: these stand, and may have to be settled.
    pub(in crate::bus) fn unchanged(leases: Vec<Lease>) -> Self {
        let answer = leases
            .iter()
            .map(|lease| Leased::new(LeaseOutcome::Unchanged, lease.clone()))
            .collect();
        Self { leases, fresh: false, table: None, answer }
    }

    /// The same of what was decided under one lock, and is settled under another: the table may
    /// have moved on.
    pub(in crate::bus) fn later(self) -> Self {
        Self { fresh: false, table: None, ..self }
    }
}

/// Decides on the table of leases as it is here. Under a lock; nothing is written to a ref yet.
///
/// # Errors
///
/// What `decide` refuses; else as the system refuses.
pub(in crate::bus) fn table_turn(
    ws: &Workspace,
    lock: &mut Lock,
    who: &Who,
    known: Known,
    decide: impl Fn(&TableView, &Who) -> Result<LeaseDecision, Error>,
) -> Result<Turn<Written<Vec<Leased>>>, Error> {
    let view = lease_table::repaired_table(ws, lock)?;
    let draft = match decide(&view, who) {
        Ok(LeaseDecision::Write(draft)) => draft,
        Ok(LeaseDecision::Settle(_)) | Err(Error::Lease(_)) if !known.seen => {
            return Ok(Turn::Look);
        }
        // A release that was sent and did not come through may still do so, unless the table moves
        // on.
        Ok(LeaseDecision::Settle(leases))
            if known.under_way && leases.iter().any(Lease::is_live) =>
        {
            let live = leases.into_iter().filter(Lease::is_live);
            let renewed =
                live.map(|lease| take::renewed(ws, &lease, None)).collect::<Result<_, _>>()?;
            Draft::new(verb::RENEW, renewed, LeaseOutcome::Unchanged)
        }
        Ok(LeaseDecision::Settle(leases)) => {
            let table = view.tip.map(|tip| tip.body);
            return Ok(Turn::Done(Written { table, ..Written::unchanged(leases) }));
        }
        Err(error) => return Err(error),
    };
    let from = view.tip.as_ref().map(|tip| tip.id);
    let (link, what) = prepare_table(ws, lock, view, who, draft)?;
    Ok(Turn::Write { from, to: link.id, what })
}

/// Changes the table of leases as `decide` says, in this clone alone, under the lock that the
/// caller holds. The caller settles it.
///
/// # Errors
///
/// What `decide` refuses; [`Error::RefContended`]; else as the system refuses.
pub(in crate::bus) fn change_leases_here(
    ws: &Workspace,
    lock: &mut Lock,
    who: &Who,
    decide: impl Fn(&TableView, &Who) -> Result<LeaseDecision, Error>,
) -> Result<Written<Vec<Leased>>, Error> {
    let turn = |lock: &mut Lock, known| table_turn(ws, lock, who, known, &decide);
    ws.change_ref(lock, &RefName::leases(), turn, |_, written| Ok(written))
}

/// Writes the commit of the next state of the table. No ref points to it yet.
pub(in crate::bus) fn prepare_table(
    ws: &Workspace,
    lock: &Lock,
    view: TableView,
    who: &Who,
    draft: Draft,
) -> Result<(Link, Written<Vec<Leased>>), Error> {
    if let Some(tip) = &view.tip {
        lease_settle::settle_last_leases(ws, lock, tip)?;
    }
    let now = ws.clock.now();
    let parent = match &view.tip {
        Some(tip) => Some(tip.id),
        None if view.table.rows.is_empty() => None,
        None => {
            let subject = format!("import by {}", who.agent);
            Some(ws.repo.write_link(None, &who.agent, now, &subject, &view.table.to_bytes())?.id)
        }
    };
    let subject = draft.subject(who);
    let next = view
        .table
        .next(draft.changed, &draft.dropped)
        .ok_or_else(|| Error::worn_out(RefName::leases().as_str()))?;
    let bytes = next.to_bytes();
    check_before_write(ws, &next.changed, bytes.len())?;
    let link = ws.repo.write_link(parent, &who.agent, now, &subject, &bytes)?;
    let said = next.changed.iter().zip(draft.outcomes);
    let answer =
        said.filter_map(|(lease, outcome)| Some(Leased::new(outcome?, lease.clone()))).collect();
    Ok((link, Written { leases: next.changed, fresh: true, table: Some(bytes), answer }))
}

/// What would stop an event or a file later must stop the write now.
fn check_before_write(ws: &Workspace, changed: &[Lease], size: usize) -> Result<(), Error> {
    for lease in changed {
        let size = lease.to_bytes().len();
        if size > MAX_LINE {
            let what = format!("the lease would have {size} bytes, and may have {MAX_LINE}");
            return Err(Error::Usage {
                what,
                hint: "ask for fewer patterns, or shorten the objective".to_owned(),
            });
        }
        if let Some(event) = lease_settle::lease_event(ws, lease)? {
            log::check_event(ws, &event)?;
            ws.record_log(&event.agent_id)?.inspect()?;
        }
    }
    if size > MAX_TABLE {
        let what = format!("the table of leases would have {size} bytes, and may have {MAX_TABLE}");
        return Err(Error::Usage {
            what,
            hint: "release what is not needed: `bus lock list` shows all".to_owned(),
        });
    }
    Ok(())
}
