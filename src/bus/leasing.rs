//! Path leases: who may edit which files (`_bus/README.md`). One ref holds the table of all live leases, so that whether two
//! overlap is decided by one compare-and-swap.

mod bound;
mod change;
mod check;
mod decide;
mod ended;
mod examine;
mod fault;
mod fleet;
mod settle;
mod status;
mod table;
mod take;
mod takeover;

use super::{Bus, Error, Who};
use crate::record::{AgentId, Fold, Lease, LeaseRow, LockId, Mode, Pattern, Span, TaskId};
use change::{Draft, Next};
use table::TableView;
use take::taken;

pub(super) use change::Written;
pub use check::{CheckOf, Denial, DeniedPath, PathCheck};
pub use fault::{InTheWay, LeaseFault};
pub use status::LeaseStatus;

/// What `bus lock acquire` asks for.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The patterns of the paths.
    pub scope: Vec<Pattern>,
    /// The patterns of paths that are left out.
    pub deny: Vec<Pattern>,
    /// Who else may hold them.
    pub mode: Mode,
    /// What for.
    pub objective: String,
    /// The task that it is for.
    pub task: Option<TaskId>,
    /// How long it lives without a sign of life.
    pub ttl: Option<Span>,
}

/// Which of the caller's leases are meant.
#[derive(Clone, Debug)]
pub enum WhichLeases {
    /// This one.
    One(LockId),
    /// All that were taken here.
    All,
    /// The only one that was taken here.
    Only,
}

/// What a command did to a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
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
    pub const fn as_str(self) -> &'static str {
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
pub struct Leased {
    /// What was done.
    pub outcome: LeaseOutcome,
    /// The lease now.
    pub lease: Lease,
    /// The lease that it was taken over from.
    pub previous: Option<Lease>,
}

impl Leased {
    const fn new(outcome: LeaseOutcome, lease: Lease) -> Self {
        Self { outcome, lease, previous: None }
    }
}

impl Bus {
    /// Takes a lease for `agent`: all paths that are asked for, or none. The same again finds it taken, and renews it where that is
    /// due.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Held`] where others hold paths of it; [`Error::Usage`] where nothing is left of it; [`Error::Malformed`] where
    /// the table of leases cannot be read; else as the system refuses.
    pub fn acquire_lease(&self, agent: &AgentId, request: &LeaseRequest) -> Result<Leased, Error> {
        let scope = self.wanted_scope(request)?;
        let task = request.task.as_ref().map(|task| self.spelling(task));
        let request = LeaseRequest { task, ..request.clone() };
        let answer = self.change_and_settle(agent, |view, who| self.decide_take(view, who, &request, &scope, None))?;
        taken(&answer, agent)
    }

    /// Gives a sign of life of `agent`'s own leases.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Lost`] where somebody else has ended it; [`LeaseFault::NotYours`], [`LeaseFault::NoLock`],
    /// [`LeaseFault::NoneHeld`] or [`LeaseFault::Several`] where it is none that can be meant; else as [`Bus::acquire_lease`].
    pub fn renew_leases(&self, agent: &AgentId, which: &WhichLeases) -> Result<Vec<Leased>, Error> {
        self.change_and_settle(agent, |view, who| {
            let mut renewed = Vec::new();
            for row in own_rows(view, who, which)? {
                if self.stands(&row.brief) {
                    renewed.push(self.renewed(&whole(row)?, None)?);
                } else if !matches!(which, WhichLeases::All) {
                    return Err(self.claim_gone(who, &row.brief)?.into());
                }
            }
            match (which, renewed.is_empty()) {
                (_, false) => Ok(Next::Write(Draft::new("renew", renewed, LeaseOutcome::Renewed))),
                (WhichLeases::One(id), true) => Err(self.gone(view, who, id)?.into()),
                (WhichLeases::All | WhichLeases::Only, true) => Err(LeaseFault::NoneHeld { agent: agent.clone() }.into()),
            }
        })
    }

    /// Gives back leases of `agent`'s own.
    ///
    /// # Errors
    ///
    /// As [`Bus::renew_leases`].
    pub fn release_leases(&self, agent: &AgentId, which: &WhichLeases) -> Result<Vec<Leased>, Error> {
        self.change_and_settle(agent, |view, who| {
            let mut ended = Vec::new();
            for row in own_rows(view, who, which)? {
                if !self.stands(&row.brief) {
                    match self.claim_gone(who, &row.brief)? {
                        lost @ LeaseFault::Lost { .. } if !matches!(which, WhichLeases::All) => return Err(lost.into()),
                        _ => {}
                    }
                }
                ended.push(self.ending_lease(whole(row)?, who, None)?);
            }
            if !ended.is_empty() {
                return Ok(Next::Write(Draft::new("release", ended, LeaseOutcome::Released)));
            }
            // Run again after a crash: what had ended by then is settled.
            let past = match which {
                WhichLeases::One(id) => vec![self.own_end(view, who, id)?],
                WhichLeases::All | WhichLeases::Only => self.unsettled_ends(view, who)?,
            };
            match past[..] {
                [] => Err(LeaseFault::NoneHeld { agent: agent.clone() }.into()),
                [..] => Ok(Next::settle(past)),
            }
        })
    }

    /// Whether letter case makes one path of two here.
    pub(super) fn fold(&self) -> Fold {
        if self.repo.ignores_case() { Fold::On } else { Fold::Off }
    }
}

/// The rows of the caller's own leases that are meant; none where the one that is named is not in the table.
fn own_rows<'a>(view: &'a TableView, who: &Who, which: &WhichLeases) -> Result<Vec<&'a LeaseRow>, Error> {
    let own: Vec<&LeaseRow> = view.table.rows.iter().filter(|row| decide::is_mine(&row.brief, who)).collect();
    match which {
        WhichLeases::All => Ok(own),
        WhichLeases::Only if own.len() > 1 => {
            let locks = own.into_iter().map(|row| row.brief.lock_id.clone()).collect();
            Err(LeaseFault::Several { agent: who.agent.clone(), locks }.into())
        }
        WhichLeases::Only => Ok(own),
        WhichLeases::One(id) => match view.table.row(id) {
            None => Ok(Vec::new()),
            Some(row) if decide::is_mine(&row.brief, who) => Ok(vec![row]),
            Some(row) => {
                let owner = row.brief.owner.clone();
                Err(LeaseFault::NotYours { lock: row.brief.lock_id.clone(), elsewhere: owner == who.agent, owner }.into())
            }
        },
    }
}

/// The lease of a row.
fn whole(row: &LeaseRow) -> Result<Lease, Error> {
    row.lease().map_err(table::malformed)
}
