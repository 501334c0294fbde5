//! Telling a fleet's remote what was done here of a task.

use super::propose::{Proposal, There, propose};
use super::{adopt, look, old_spelling};
use crate::bus::claim::{Refusal, State};
use crate::bus::workspace::{Known, Turn, Workspace};
use crate::bus::{Error, claim};
use crate::git::{ObjectId, RefName, Sight};
use crate::record::{AgentId, Fleet, TaskId};
use crate::store::Lock;

/// Publishes what was done here of a task. Why the remote did not take it is returned: it does not
/// undo what was done.
///
/// # Errors
///
/// [`ClaimFault::Lost`] and its kin, if the remote shows that the claim is not the caller's any
/// more.
pub(in crate::bus) fn publish_claim(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    task: &TaskId,
) -> Result<Option<Error>, Error> {
    match try_to_publish(ws, fleet, agent, task) {
        Err(error @ (Error::Git(_) | Error::Fleet(_))) => Ok(Some(error)),
        published => published.map(|()| None),
    }
}

fn try_to_publish(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    task: &TaskId,
) -> Result<(), Error> {
    let Some(tip) = claim::tip(ws, task)? else { return Ok(()) };
    // An offline claim is for `bus sync` to ask for.
    if tip.claim.is_unconfirmed() {
        return Ok(());
    }
    let remote = ws.remote_of(fleet)?;
    let there = There { ws, fleet, remote: &remote };
    propose(there, &LocalClaim { there, agent, task, name: RefName::claim(task), tip })
}

/// The claim as it is here.
struct LocalClaim<'a> {
    there: There<'a>,
    agent: &'a AgentId,
    task: &'a TaskId,
    name: RefName,
    tip: State,
}

impl LocalClaim<'_> {
    /// Refuses if the claim is not the caller's any more.
    fn check_owner(&self) -> Result<(), Error> {
        let ws = self.there.ws;
        let (view, who) = (claim::view(ws, self.task)?, ws.who(self.agent.clone())?);
        let is_ours = |claim| who.owns(claim) && claim.same_claim(&self.tip.claim);
        match view.claim().is_some_and(is_ours) {
            true => Ok(()),
            false => Err(claim::refused_or_lost(ws, &view, &who, Refusal::Held)?),
        }
    }
}

impl Proposal for LocalClaim<'_> {
    type Step = ();
    type Done = ();

    fn name(&self) -> &RefName {
        &self.name
    }

    fn decide(&self, _lock: &mut Lock, known: Known) -> Result<Turn<()>, Error> {
        let There { ws, remote, .. } = self.there;
        if known.seen {
            self.check_owner()?;
        }
        let Some(tip) = claim::tip(ws, self.task)? else { return Ok(Turn::Done(())) };
        let to = tip.link.id;
        match ws.seen_at(remote, &self.name)? {
            Some(seen) if seen == to => Ok(Turn::Done(())),
            // The remote has another chain, and this one could not follow it.
            Some(seen)
                if known.seen && !ws.repo.descends(to, seen)? && !self.replaces(seen, to)? =>
            {
                Ok(Turn::Done(()))
            }
            _ => Ok(Turn::Write { from: Some(to), to, what: () }),
        }
    }

    fn replaces(&self, from: ObjectId, to: ObjectId) -> Result<bool, Error> {
        old_spelling::gives_way(self.there.ws, self.there.remote, self.task, from, to)
    }

    fn takes_log(&self) -> bool {
        true
    }

    fn look(&self, log: Option<&RefName>) -> Result<Sight, Error> {
        look::look(self.there, self.task, false, log)
    }

    fn adopt(&self, lock: &mut Lock, sight: &Sight) -> Result<(), Error> {
        adopt::adopt(self.there.ws, lock, self.there.remote, self.task, sight).map(drop)
    }

    fn done(&self, _lock: &mut Lock, (): ()) -> Result<(), Error> {
        Ok(())
    }

    fn landed(&self, _lock: &mut Lock, (): ()) -> Result<Option<()>, Error> {
        self.check_owner().map(Some)
    }
}
