//! A change of a ref of which a fleet has one for all: the table of leases, the numbers of the
//! queue.

use super::propose::{Proposal, There, propose};
use super::{adopt, adopt_ref, look};
use crate::bus::workspace::{Known, Turn, Workspace};
use crate::bus::{Error, lease};
use crate::git::{RefName, Sight};
use crate::record::Fleet;
use crate::store::Lock;

/// Changes the ref called `name` as `decide` says, if the remote of `fleet` agrees, and returns
/// what `finish` makes of it. Both are called under the lock.
///
/// # Errors
///
/// What `decide` or `finish` refuses; else as a proposal.
pub(in crate::bus) fn propose_ref<T, D>(
    ws: &Workspace,
    fleet: &Fleet,
    name: &RefName,
    decide: impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
    finish: impl Fn(&mut Lock, T) -> Result<D, Error>,
) -> Result<D, Error> {
    let remote = ws.remote_of(fleet)?;
    let there = There { ws, fleet, remote: &remote };
    propose(there, &RefProposal { there, name, decide, finish })
}

struct RefProposal<'a, F, G> {
    there: There<'a>,
    name: &'a RefName,
    decide: F,
    finish: G,
}

impl<T, D, F, G> Proposal for RefProposal<'_, F, G>
where
    F: Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
    G: Fn(&mut Lock, T) -> Result<D, Error>,
{
    type Step = T;
    type Done = D;

    fn name(&self) -> &RefName {
        self.name
    }

    fn decide(&self, lock: &mut Lock, known: Known) -> Result<Turn<T>, Error> {
        (self.decide)(lock, known)
    }

    fn takes_log(&self) -> bool {
        false
    }

    fn look(&self, _log: Option<&RefName>) -> Result<Sight, Error> {
        let There { ws, fleet, remote } = self.there;
        let claims =
            if *self.name == RefName::leases() { lease::claims_of_leases(ws)? } else { Vec::new() };
        let names: Vec<RefName> = [self.name.clone()].into_iter().chain(claims).collect();
        look::look_for(ws, fleet, remote, &names)
    }

    fn adopt(&self, lock: &mut Lock, sight: &Sight) -> Result<(), Error> {
        let There { ws, remote, .. } = self.there;
        // What a lease lives with is as fresh as the lease.
        for task in sight.keys().filter_map(RefName::task) {
            // One that cannot be read keeps no other lease from anybody: its own counts as alive.
            if adopt::adopt_claim(ws, lock, &task, sight).is_ok() {
                adopt::note_claim_seen(ws, lock, remote, &task, sight)?;
            }
        }
        adopt_ref::adopt_ref(ws, lock, remote, self.name, sight).map(drop)
    }

    fn done(&self, lock: &mut Lock, step: T) -> Result<D, Error> {
        (self.finish)(lock, step)
    }

    fn landed(&self, lock: &mut Lock, step: T) -> Result<Option<D>, Error> {
        (self.finish)(lock, step).map(Some)
    }
}
