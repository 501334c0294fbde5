//! Taking over the paths of a lease whose holder is gone.

use super::change::{Draft, Next};
use super::decide::{self, Refusal, Wanted};
use super::table::TableView;
use super::{LeaseFault, LeaseOutcome, LeaseRequest, Leased, whole};
use crate::bus::liveness::LastEvents;
use crate::bus::{Bus, Error, Liveness, Who};
use crate::record::{AgentId, Lease, LeaseRow, LockId, Span};

impl Bus {
    /// Takes over the paths of a lease that is stale or expired, under a new id. What else its holder has of these paths ends, too.
    ///
    /// # Errors
    ///
    /// [`LeaseFault::Alive`] where it is alive and `force` is not given; [`LeaseFault::NoLock`] where nobody holds it; else as
    /// [`Bus::acquire_lease`].
    pub fn reclaim_lease(&self, agent: &AgentId, id: &LockId, note: &str, force: bool) -> Result<Leased, Error> {
        let mut leased = self.change_and_settle(agent, |view, who| {
            let Some(row) = view.table.row(id) else { return self.reclaimed_already(view, who, id) };
            if decide::is_mine(&row.brief, who) {
                return Ok(Next::settle(vec![whole(row)?]));
            }
            if !self.stands(&row.brief) {
                return Err(LeaseFault::NoLock { lock: id.clone(), ended: None }.into());
            }
            self.takeover(view, who, row, note, force)
        })?;
        let previous = leased.iter().position(|leased| leased.lease.lock_id == *id && !leased.lease.is_live());
        let previous = previous.map(|place| leased.remove(place).lease);
        let taken = leased.into_iter().find(|leased| leased.lease.is_live());
        let taken = taken
            .ok_or_else(|| LeaseFault::NoLock { lock: id.clone(), ended: previous.as_ref().and_then(|lease| lease.released_at) });
        Ok(Leased { previous, ..taken? })
    }

    /// Ends what stands and takes its paths, where its owner gives no sign of life or `force` is given.
    pub(super) fn takeover(&self, view: &TableView, who: &Who, row: &LeaseRow, note: &str, force: bool) -> Result<Next, Error> {
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
    pub(super) fn check_silent(&self, lease: &Lease) -> Result<(), Error> {
        let stale_after = self.config()?.stale_after.get();
        let (liveness, signs) = self.lease_liveness(lease, stale_after, &mut LastEvents::default())?;
        if liveness != Liveness::Alive {
            return self.check_clock();
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
}
