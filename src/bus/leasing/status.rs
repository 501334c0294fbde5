//! How leases stand: computed when read, as for claims.

use std::time::Duration;

use super::decide;
use crate::Code;
use crate::bus::liveness::{LastEvents, Life};
use crate::bus::{Bus, Error, Liveness, Signs};
use crate::record::{Lease, LeaseBrief, LockId, PatternFault, Scope, Timestamp};

/// A live lease, and how it stands.
#[derive(Clone, Debug)]
pub struct LeaseStatus {
    /// The lease.
    pub lease: Lease,
    /// How it stands. One that is stale or expired still holds its paths.
    pub liveness: Liveness,
    /// The last sign of its owner's life.
    pub last_seen: Option<Timestamp>,
    /// Whether it was taken in this worktree: it is an agent's own only if it is that agent's and was taken here.
    pub here: bool,
}

impl LeaseStatus {
    /// The paths that it holds.
    ///
    /// # Errors
    ///
    /// The [`PatternFault`] of a pattern that means nothing to this version.
    pub fn scope(&self) -> Result<Scope, PatternFault> {
        decide::scope_of(&self.lease.scope, &self.lease.deny)
    }

    /// The word for how it stands: `live`, `stale`, `expired`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        reclaimable(self.liveness).unwrap_or("live")
    }
}

/// Why a lease may be taken over, where it may.
pub(super) const fn reclaimable(liveness: Liveness) -> Option<&'static str> {
    match liveness {
        Liveness::Alive => None,
        Liveness::Stale => Some("stale"),
        Liveness::Expired => Some("expired"),
    }
}

impl Bus {
    /// All live leases of all worktrees, in the order in which they were taken. Those that were taken with a claim are there only
    /// while that claim lives. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where the table of leases, or a lease in it, cannot be read; else as the system refuses.
    pub fn leases(&self) -> Result<Vec<LeaseStatus>, Error> {
        self.leases_with(None, &mut LastEvents::default())
    }

    /// The same, where signs of life were looked for already, or another time than the policy's makes a lease stale.
    pub(in crate::bus) fn leases_with(
        &self,
        stale_after: Option<Duration>,
        events: &mut LastEvents,
    ) -> Result<Vec<LeaseStatus>, Error> {
        let view = self.lease_table()?;
        let stale_after = stale_after.unwrap_or_else(|| self.stale_after().0);
        let here = self.here_origin()?;
        let mut leases = Vec::new();
        for row in view.table.rows.iter().filter(|row| self.stands(&row.brief)) {
            let lease = super::whole(row)?;
            let (liveness, signs) = self.lease_liveness(&lease, stale_after, events)?;
            let here = lease.origin.as_ref().is_none_or(|origin| here.as_ref() == Some(origin));
            leases.push(LeaseStatus { lease, liveness, last_seen: signs.last(self.clock.now()), here });
        }
        Ok(leases)
    }

    /// The same for who looks at everything: that the leases cannot be read hides nothing else.
    pub(in crate::bus) fn readable_leases(
        &self,
        stale_after: Option<Duration>,
        events: &mut LastEvents,
    ) -> Result<(Vec<LeaseStatus>, Option<Error>), Error> {
        match self.leases_with(stale_after, events) {
            Ok(leases) => Ok((leases, None)),
            Err(error) if matches!(error.code(), Code::MalformedRecord) => Ok((Vec::new(), Some(error))),
            Err(error) => Err(error),
        }
    }

    /// The leases that ended lately, the latest first.
    ///
    /// # Errors
    ///
    /// As [`Bus::leases`].
    pub fn ended_leases(&self) -> Result<Vec<Lease>, Error> {
        self.ends_in_history(&self.lease_table()?)
    }

    /// The ids of all live leases, for who types one.
    #[must_use]
    pub fn known_leases(&self) -> Vec<LockId> {
        let rows = self.lease_table().map(|view| view.table.rows).unwrap_or_default();
        rows.into_iter().map(|row| row.brief.lock_id).collect()
    }

    /// How a live lease stands, and the signs that say so.
    pub(super) fn lease_liveness(
        &self,
        lease: &Lease,
        stale_after: Duration,
        events: &mut LastEvents,
    ) -> Result<(Liveness, Signs), Error> {
        let life = Life {
            agent: &lease.owner,
            origin: lease.origin.as_ref(),
            written: lease.heartbeat,
            expires_at: Some(lease.expires_at),
            seen: self.private.seen_lock(&lease.lock_id),
            state: format!("revision {}", lease.revision),
        };
        self.liveness_of(&life, stale_after, events)
    }

    /// Whether a lease lives as far as the claim says with which it was taken. Where that cannot be read, it does.
    pub(super) fn stands(&self, brief: &LeaseBrief) -> bool {
        let (Some(task), Some(id)) = (&brief.task_id, &brief.claim_id) else { return true };
        if let Some(seen) = self.seen_claim(task) {
            // What is done here and not published frees nobody's paths.
            return if seen.claim.claim_id.as_ref() == Some(id) {
                seen.claim.status.is_live()
            } else {
                !self.knows_claim(&seen, id)
            };
        }
        let Ok(view) = self.deciding_view(task, None) else { return true };
        match view.certain_claim() {
            Ok(Some(claim)) if claim.claim_id.as_ref() == Some(id) => claim.status.is_live(),
            Ok(_) => self.may_live_elsewhere(&view, id),
            Err(_) => true,
        }
    }
}
