//! Leases in a fleet: the table is one ref on the remote, too, and changes there first (`_bus/README.md`).

use super::change::{Draft, Next, Written};
use super::table::TableView;
use super::{LeaseOutcome, Leased};
use crate::bus::fleet::Reach;
use crate::bus::remote_first::Beside;
use crate::bus::remote_ref::{Known, Turn};
use crate::bus::view::{State, View, state};
use crate::bus::{Bus, Error, Who};
use crate::git::{RefName, Remote, Swap};
use crate::record::{AgentId, ClaimId, Lease, TaskId};
use crate::store::Lock;

/// How many claims are looked at together with the leases that live with them.
const MAX_BOUND: usize = 200;

impl Bus {
    /// Changes the table of leases as `decide` says, where the remote agrees if the clone belongs to a fleet, and settles.
    pub(super) fn change_and_settle(
        &self,
        agent: &AgentId,
        decide: impl Fn(&TableView, &Who) -> Result<Next, Error>,
    ) -> Result<Vec<Leased>, Error> {
        self.config()?;
        self.learn_fleet(Reach::Fleet)?;
        let Some(fleet) = self.fleet()? else {
            let mut lock = self.lock()?;
            let who = self.who(agent.clone())?;
            let written = self.change_leases(&mut lock, &who, |view| decide(view, &who))?;
            self.settle_leases(&lock, &written)?;
            return Ok(written.answer);
        };
        let turn = |lock: &mut Lock, Known { seen, under_way }: Known| {
            let who = self.who(agent.clone())?;
            let view = self.mended_table(lock)?;
            match decide(&view, &who) {
                Ok(Next::Write(draft)) => {
                    let (link, written) = self.prepare_table(lock, view, &who, draft)?;
                    Ok(Turn::Push(link.id, written))
                }
                Ok(Next::Settle(_)) | Err(Error::Lease(_)) if !seen => Ok(Turn::Look),
                // A release that was sent and did not come through may still do so, unless the table moves on.
                Ok(Next::Settle(leases)) if under_way && leases.iter().any(Lease::is_live) => {
                    let live = leases.into_iter().filter(Lease::is_live);
                    let renewed = live.map(|lease| self.renewed(&lease, None)).collect::<Result<_, _>>()?;
                    let draft = Draft::new("renew", renewed, LeaseOutcome::Unchanged);
                    let (link, written) = self.prepare_table(lock, view, &who, draft)?;
                    Ok(Turn::Push(link.id, written))
                }
                Ok(Next::Settle(leases)) => Ok(Turn::Done(Written::unchanged(leases))),
                Err(error) => Err(error),
            }
        };
        let written = self.change_shared(fleet, &RefName::locks(), turn, |lock, written| {
            // Another command of the same agent may have seen it on the remote, and settled it.
            let written = written.later();
            self.settle_leases(lock, &written)?;
            Ok(written)
        })?;
        Ok(written.answer)
    }

    /// A change of the table that goes to the remote together with a claim: both are taken, or none.
    pub(super) fn beside_claim(
        &self,
        lock: &mut Lock,
        remote: &Remote,
        who: &Who,
        decide: impl Fn(&TableView, &Who) -> Result<Next, Error>,
    ) -> Result<Option<Beside>, Error> {
        let name = RefName::locks();
        let view = self.mended_table(lock)?;
        let Next::Write(draft) = decide(&view, who)? else { return Ok(None) };
        let (link, written) = self.prepare_table(lock, view, who, draft)?;
        let swap = Swap { expected: self.seen_at(remote, &name)?, name, new: Some(link.id) };
        Ok(Some(Beside { swap, leases: written.later() }))
    }

    /// The refs of the claims with which leases live: who looks at the leases looks at them, too.
    pub(in crate::bus) fn claims_of_leases(&self) -> Result<Vec<RefName>, Error> {
        let table = self.lease_table()?.table;
        let bound = table.rows.iter().map(|row| &row.brief).filter(|brief| brief.claim_id.is_some());
        Ok(bound.filter_map(|brief| brief.task_id.as_ref()).map(RefName::claim).take(MAX_BOUND).collect())
    }

    /// Whether the claim called `id` may live although this clone knows nothing of it: in a fleet a lease comes to the remote together
    /// with its claim.
    pub(super) fn may_live_elsewhere(&self, view: &View, id: &ClaimId) -> bool {
        let known = |tip: &State| self.knows_claim(tip, id);
        matches!(self.fleet(), Ok(Some(_))) && !view.tip.as_ref().is_some_and(known)
    }

    /// Whether the chain that ends at `tip` has had the claim called `id`.
    pub(super) fn knows_claim(&self, tip: &State, id: &ClaimId) -> bool {
        let is_past = tip.claim.lineage.iter().any(|past| past.claim_id.as_ref() == Some(id));
        is_past || self.has_state(tip, |claim| claim.claim_id.as_ref() == Some(id)).unwrap_or(false)
    }

    /// What the fleet's remote was seen to have of a task.
    pub(in crate::bus) fn seen_claim(&self, task: &TaskId) -> Option<State> {
        let fleet = self.fleet().ok()??;
        let name = RefName::claim(task);
        let link = self.repo.link(self.repo.id_of(&name.seen_on(&fleet.remote)?).ok()??).ok()?.ok()?;
        state(link, &name, task).ok()
    }
}
