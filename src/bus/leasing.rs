//! Path leases: who may edit which files (`_bus/README.md`). One ref holds the table of all live leases, so that whether two
//! overlap is decided by one compare-and-swap.

mod bound;
mod change;
mod check;
mod decide;
mod ended;
mod examine;
mod fault;
mod settle;
mod status;
mod table;

use super::liveness::LastEvents;
use super::{Bus, Error, Liveness, Who};
use crate::record::{
    AgentId, ClaimId, DEFAULT_LEASE, Fold, Lease, LeaseRow, LockId, MAX_REVISION, Mode, Pattern, Scope, Span, TaskId,
};
use crate::store::Lock;
use change::{Draft, Next, Written};
use decide::{Grant, Refusal, Shared, Wanted};
use table::TableView;

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
        self.config()?;
        let scope = self.wanted_scope(request)?;
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        let task = request.task.as_ref().map(|task| self.spelling(task));
        let request = LeaseRequest { task, ..request.clone() };
        let written = self.take_lease(&mut lock, &who, &request, &scope, None)?;
        self.settle_leases(&lock, &written)?;
        Ok(written.answer)
    }

    /// Gives a sign of life of `agent`'s own leases.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Lost`] where somebody else has ended it; [`LeaseFault::NotYours`], [`LeaseFault::NoLock`],
    /// [`LeaseFault::NoneHeld`] or [`LeaseFault::Several`] where it is none that can be meant; else as [`Bus::acquire_lease`].
    pub fn renew_leases(&self, agent: &AgentId, which: &WhichLeases) -> Result<Vec<Leased>, Error> {
        self.config()?;
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        let written = self.change_leases(&mut lock, &who, |view| {
            let mut renewed = Vec::new();
            for row in own_rows(view, &who, which)? {
                if self.stands(&row.brief) {
                    renewed.push(self.renewed(&whole(row)?, None)?);
                } else if !matches!(which, WhichLeases::All) {
                    return Err(self.claim_gone(&who, &row.brief)?.into());
                }
            }
            match (which, renewed.is_empty()) {
                (_, false) => Ok(Next::Write(Draft::new("renew", renewed, LeaseOutcome::Renewed))),
                (WhichLeases::One(id), true) => Err(self.gone(view, &who, id)?.into()),
                (WhichLeases::All | WhichLeases::Only, true) => Err(LeaseFault::NoneHeld { agent: agent.clone() }.into()),
            }
        })?;
        self.settle_leases(&lock, &written)?;
        Ok(written.answer)
    }

    /// Gives back leases of `agent`'s own.
    ///
    /// # Errors
    ///
    /// As [`Bus::renew_leases`].
    pub fn release_leases(&self, agent: &AgentId, which: &WhichLeases) -> Result<Vec<Leased>, Error> {
        self.config()?;
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        let written = self.change_leases(&mut lock, &who, |view| {
            let mut ended = Vec::new();
            for row in own_rows(view, &who, which)? {
                if !self.stands(&row.brief) {
                    match self.claim_gone(&who, &row.brief)? {
                        lost @ LeaseFault::Lost { .. } if !matches!(which, WhichLeases::All) => return Err(lost.into()),
                        _ => {}
                    }
                }
                ended.push(self.ending_lease(whole(row)?, &who, None)?);
            }
            if !ended.is_empty() {
                return Ok(Next::Write(Draft::new("release", ended, LeaseOutcome::Released)));
            }
            // Run again after a crash: what had ended by then is settled.
            let past = match which {
                WhichLeases::One(id) => vec![self.own_end(view, &who, id)?],
                WhichLeases::All | WhichLeases::Only => self.unsettled_ends(view, &who)?,
            };
            match past[..] {
                [] => Err(LeaseFault::NoneHeld { agent: agent.clone() }.into()),
                [..] => Ok(Next::settle(past)),
            }
        })?;
        self.settle_leases(&lock, &written)?;
        Ok(written.answer)
    }

    /// Takes over the paths of a lease that is stale or expired, under a new id. What else its holder has of these paths ends, too.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Alive`] where it is alive and `force` is not given; [`LeaseFault::NoLock`] where nobody holds it; else as
    /// [`Bus::acquire_lease`].
    pub fn reclaim_lease(&self, agent: &AgentId, id: &LockId, note: &str, force: bool) -> Result<Leased, Error> {
        self.config()?;
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        let written = self.change_leases(&mut lock, &who, |view| {
            let Some(row) = view.table.row(id) else { return self.reclaimed_already(view, &who, id) };
            if decide::is_mine(&row.brief, &who) {
                return Ok(Next::settle(vec![whole(row)?]));
            }
            if !self.stands(&row.brief) {
                return Err(LeaseFault::NoLock { lock: id.clone(), ended: None }.into());
            }
            self.takeover(view, &who, row, note, force)
        })?;
        self.settle_leases(&lock, &written)?;
        let mut leased = written.answer;
        let previous = leased.iter().position(|leased| leased.lease.lock_id == *id && !leased.lease.is_live());
        let previous = previous.map(|place| leased.remove(place).lease);
        let taken = leased.into_iter().find(|leased| leased.lease.is_live());
        let taken = taken
            .ok_or_else(|| LeaseFault::NoLock { lock: id.clone(), ended: previous.as_ref().and_then(|lease| lease.released_at) });
        Ok(Leased { previous, ..taken? })
    }

    /// Writes the lease that is asked for into the table; nothing is settled yet. With `claim` it lives and dies with that claim.
    fn take_lease(
        &self,
        lock: &mut Lock,
        who: &Who,
        request: &LeaseRequest,
        scope: &Scope,
        claim: Option<&ClaimId>,
    ) -> Result<Written<Leased>, Error> {
        let written = self.change_leases(lock, who, |view| {
            let wanted = Wanted { scope, mode: request.mode, task: request.task.as_ref(), claim };
            // The claim that the lease is to live with may not stand yet.
            let is_void = |brief: &crate::record::LeaseBrief| brief.claim_id.as_ref() != claim && !self.stands(brief);
            match decide::acquire(&view.table.rows, &wanted, who, self.fold(), is_void) {
                Ok(Grant::Keep(row)) => self.kept(&whole(&view.table.rows[row])?, request),
                Ok(Grant::Take(void)) => {
                    let lease = self.new_lease(view, who, request, scope, claim);
                    let draft = Draft::new("acquire", vec![lease], LeaseOutcome::Acquired);
                    Ok(Next::Write(self.swept(draft, void.iter().map(|row| &view.table.rows[*row]), who)?))
                }
                Err(refusal) => Err(self.refused_lease(view, who, refusal)?),
            }
        })?;
        let answer = written.answer.iter().find(|leased| leased.lease.is_live()).cloned();
        let answer = answer.ok_or_else(|| LeaseFault::NoneHeld { agent: who.agent.clone() })?;
        Ok(Written { leases: written.leases, fresh: written.fresh, answer })
    }

    /// The caller's own lease, asked for again: a sign of life where that is due, or where it shall live for another time.
    fn kept(&self, lease: &Lease, request: &LeaseRequest) -> Result<Next, Error> {
        let ttl = request.ttl.map(Span::get).filter(|wanted| *wanted != lease.ttl());
        let is_due = self.clock.now().since(lease.heartbeat) > lease.ttl() / 4;
        if ttl.is_none() && !is_due {
            return Ok(Next::settle(vec![lease.clone()]));
        }
        Ok(Next::Write(Draft::new("renew", vec![self.renewed(lease, ttl)?], LeaseOutcome::Renewed)))
    }

    /// The lease with a sign of life.
    fn renewed(&self, lease: &Lease, ttl: Option<std::time::Duration>) -> Result<Lease, Error> {
        let now = self.clock.now();
        let ttl = ttl.unwrap_or_else(|| lease.ttl());
        Ok(Lease { heartbeat: now, expires_at: now.after(ttl), revision: next_revision(lease)?, ..lease.clone() })
    }

    /// The lease, ended by `who`.
    fn ending_lease(&self, lease: Lease, who: &Who, note: Option<&str>) -> Result<Lease, Error> {
        let by_another = !who.is(&lease.owner, lease.origin.as_ref());
        Ok(Lease {
            released_at: Some(self.clock.now()),
            released_by: by_another.then(|| who.agent.clone()),
            release_note: note.map(str::to_owned),
            revision: next_revision(&lease)?,
            ..lease
        })
    }

    fn new_lease(&self, view: &TableView, who: &Who, request: &LeaseRequest, scope: &Scope, claim: Option<&ClaimId>) -> Lease {
        let now = self.clock.now();
        let texts = |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        Lease {
            lock_id: self.unused_id(view),
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
            base: self.repo.head().map(|head| head.to_string()),
            session_id: self.session_id(),
            revision: 1,
            released_at: None,
            released_by: None,
            release_note: None,
            extra: crate::record::json::Object::new(),
        }
    }

    /// An id that no live lease has, and none of which this worktree has a file.
    fn unused_id(&self, view: &TableView) -> LockId {
        let is_free = |id: &LockId| view.table.row(id).is_none() && !self.layout.lock(id).path().exists();
        std::iter::repeat_with(LockId::random).find(is_free).expect("ids by chance do not run out")
    }

    /// Ends what stands and takes its paths, where its owner gives no sign of life or `force` is given.
    fn takeover(&self, view: &TableView, who: &Who, row: &LeaseRow, note: &str, force: bool) -> Result<Next, Error> {
        let old = whole(row)?;
        let scope = self.row_scope(row)?;
        let wanted = Wanted { scope: &scope, mode: old.mode, task: None, claim: None };
        let others = match decide::acquire(&view.table.rows, &wanted, who, self.fold(), |brief| !self.stands(brief)) {
            Err(Refusal::Held(shared)) => shared,
            Err(refusal) => return Err(self.refused_lease(view, who, refusal)?),
            Ok(_) => Vec::new(),
        };
        let mut gone = vec![old.clone()];
        let mut in_the_way = Vec::new();
        for shared in others {
            let other = &view.table.rows[shared.row];
            let same_holder = other.brief.owner == row.brief.owner && other.brief.origin == row.brief.origin;
            match (other.brief.lock_id == old.lock_id, same_holder) {
                (true, _) => {}
                // What one holder has twice would else keep both from being taken over.
                (false, true) => gone.push(whole(other)?),
                (false, false) => in_the_way.push(shared),
            }
        }
        if !in_the_way.is_empty() {
            return Err(self.refused_lease(view, who, Refusal::Held(in_the_way))?);
        }
        if !force {
            gone.iter().try_for_each(|lease| self.check_silent(lease))?;
        }
        let taken = LeaseRequest {
            scope: scope.patterns().to_vec(),
            deny: scope.deny().to_vec(),
            mode: old.mode,
            objective: old.objective.clone(),
            task: None,
            ttl: Some(Span::new(old.ttl())),
        };
        let mut changed =
            gone.into_iter().map(|lease| self.ending_lease(lease, who, Some(note))).collect::<Result<Vec<_>, _>>()?;
        changed.push(self.new_lease(view, who, &taken, &scope, None));
        Ok(Next::Write(Draft::new("reclaim", changed, LeaseOutcome::Reclaimed)))
    }

    /// Refuses where the owner of `lease` gives signs of life.
    fn check_silent(&self, lease: &Lease) -> Result<(), Error> {
        let stale_after = self.config()?.stale_after.get();
        let (liveness, signs) = self.lease_liveness(lease, stale_after, &mut LastEvents::default())?;
        if liveness != Liveness::Alive {
            return Ok(());
        }
        let now = self.clock.now();
        let fault = LeaseFault::Alive {
            lock: lease.lock_id.clone(),
            owner: lease.owner.clone(),
            patterns: lease.patterns(),
            expires_at: lease.expires_at,
            last_seen: signs.last(now),
            now,
        };
        Err(fault.into())
    }

    /// The paths that are asked for, each pattern once.
    fn wanted_scope(&self, request: &LeaseRequest) -> Result<Scope, Error> {
        let once = |patterns: &[Pattern]| {
            let mut kept: Vec<Pattern> = Vec::new();
            for pattern in patterns {
                if !kept.iter().any(|known| known.as_str() == pattern.as_str()) {
                    kept.push(pattern.clone());
                }
            }
            kept
        };
        let usage = |what: &str, hint: &str| Err(Error::Usage { what: what.to_owned(), hint: hint.to_owned() });
        let scope = Scope::new(once(&request.scope), once(&request.deny));
        if request.objective.trim().is_empty() {
            return usage("the objective says nothing", "say in a line what you are about to change: `--objective TEXT`");
        }
        if scope.example(self.fold()).is_none() {
            return usage(
                "what is denied leaves no path of what is asked for",
                "ask for more with PATTERN, or leave less out with `--deny`",
            );
        }
        Ok(scope)
    }

    /// The error for a refusal, with the facts.
    fn refused_lease(&self, view: &TableView, who: &Who, refusal: Refusal) -> Result<Error, Error> {
        let shared = match refusal {
            Refusal::Held(shared) => shared,
            Refusal::Unreadable(row, fault) => return Ok(table::unreadable_row(&view.table.rows[row], fault)),
        };
        let mut events = LastEvents::default();
        let stale_after = self.config()?.stale_after.get();
        let mut all = Vec::new();
        for Shared { row, path } in shared {
            let lease = whole(&view.table.rows[row])?;
            let (liveness, _) = self.lease_liveness(&lease, stale_after, &mut events)?;
            all.push(InTheWay {
                patterns: lease.patterns(),
                path,
                since: lease.start_time,
                expires_at: lease.expires_at,
                reclaimable: status::reclaimable(liveness),
                elsewhere: lease.owner == who.agent,
                lock: lease.lock_id,
                owner: lease.owner,
                objective: lease.objective,
            });
        }
        let first = Box::new(all.remove(0));
        Ok(LeaseFault::Held { first, others: all, now: self.clock.now() }.into())
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
    row.lease().map_err(|fault| table::malformed(fault))
}

fn next_revision(lease: &Lease) -> Result<u64, Error> {
    if lease.revision >= MAX_REVISION { Err(Error::worn_out(&lease.lock_id)) } else { Ok(lease.revision + 1) }
}
