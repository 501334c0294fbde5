//! Puts ended claims away, so that neither this clone nor the remote keeps a ref for each task there ever was (design, section 3).
//!
//! Their last states go into `refs/bus/archive`; then their refs go. A claim that lives is never touched, nor one whose work the
//! default branch lacks.

use std::collections::BTreeMap;

use super::advance::MAX_TRIES;
use super::liveness::LastEvents;
use super::{Bus, ClaimState, ClaimStatus, Error, StatusQuery, Synced};
use crate::git::{MAX_PUSH, ObjectId, Pushed, RefName, Remote, Swap};
use crate::record::{AgentId, Fleet, TaskId};
use crate::store::crash_point;

/// What `bus gc` has put away, or would.
#[derive(Debug, Default)]
pub struct PutAway {
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// The ended claims that stay, and why.
    pub kept: Kept,
}

/// Tasks whose ended claims stay, and why.
type Kept = Vec<(TaskId, &'static str)>;

impl Bus {
    /// Finds the claims that ended and landed, and with `apply` puts them away.
    ///
    /// # Errors
    ///
    /// [`FleetFault::Refused`](super::FleetFault::Refused) where the fleet's remote does not let its refs be removed; [`Error::Git`] where it cannot be
    /// reached, or the history cannot be read; else as the system refuses. What was put away by then stays so.
    pub fn gc(&self, agent: &AgentId, apply: bool) -> Result<PutAway, Error> {
        let fleet = self.fleet()?;
        if let Some(fleet) = fleet {
            self.receive(fleet, &self.remote_of(fleet)?, &mut Synced::default())?;
        }
        let (states, kept) = self.ended_states()?;
        let put_away = PutAway { tasks: states.iter().map(|(task, _)| task.clone()).collect(), kept };
        if apply {
            for states in states.chunks(MAX_PUSH / 2) {
                match fleet {
                    Some(fleet) => self.put_away_in_fleet(fleet, agent, states)?,
                    None => self.put_away(agent, states)?,
                }
            }
        }
        Ok(put_away)
    }

    /// The last states of the claims that may go, and the ended ones that stay.
    fn ended_states(&self) -> Result<(Vec<(TaskId, ObjectId)>, Kept), Error> {
        let mut seen = self.seen_claims(&StatusQuery::default(), &mut LastEvents::default(), Self::deciding_view)?;
        seen.claims.retain(|status| !status.claim.status.is_live());
        self.look_at_branches(&mut seen.claims)?;
        let (mut states, mut kept) = (Vec::new(), Vec::new());
        for status in seen.claims {
            let task = &status.claim.task_id;
            let Some(id) = self.repo.id_of(&RefName::claim(task))? else { continue };
            match (self.why_kept(&status, id)?, self.archived_id(task)? == Some(id)) {
                (Some(why), false) => kept.push((task.clone(), why)),
                _ => states.push((task.clone(), id)),
            }
        }
        Ok((states, kept))
    }

    /// Why an ended claim stays; nothing where it may go.
    fn why_kept(&self, status: &ClaimStatus, id: ObjectId) -> Result<Option<&'static str>, Error> {
        if let Some(fleet) = self.fleet()? {
            let seen = RefName::claim(&status.claim.task_id).seen_on(&fleet.remote);
            if seen.map_or(Ok(None), |seen| self.repo.id_of(&seen))? != Some(id) {
                return Ok(Some("the fleet does not know of its end: `bus sync` first"));
            }
        }
        let Some(seen) = &status.seen else { return Ok(Some("its branch cannot be looked at")) };
        Ok(match seen {
            _ if status.state == ClaimState::Landed || seen.landed().is_some() => None,
            seen if seen.missing.is_some() => Some("the commit that it ended at is not in this clone"),
            seen if seen.head.is_none() || seen.is_empty => None,
            _ => Some("the default branch has not got its work"),
        })
    }

    /// In a clone of its own: the archive first, so that a crash in between leaves both, and the ref counts.
    fn put_away(&self, agent: &AgentId, states: &[(TaskId, ObjectId)]) -> Result<(), Error> {
        let mut lock = self.lock()?;
        let mut still = Vec::new();
        for (task, id) in states {
            if self.repo.id_of(&RefName::claim(task))? == Some(*id) {
                still.push((task.clone(), *id));
            }
        }
        let name = RefName::archive();
        let before = self.repo.id_of(&name)?;
        let next = self.archive_of(before, agent, &still)?;
        lock.about_to_write(name.as_str())?;
        if !self.repo.swap(&name, before, next)? {
            return Err(Error::RefContended { reference: name.as_str().to_owned(), tries: 1 });
        }
        // A claim's ref may only go once the archive's name is on disk, too.
        self.repo.sync_name(&name)?;
        crash_point("archived");
        let refs: Vec<_> = still.iter().map(|(task, id)| (RefName::claim(task), *id)).collect();
        self.remove_refs(&mut lock, &refs)
    }

    /// In a fleet: all of it in one push, or nothing; where others push, too, again. Then this clone follows, as all others do.
    fn put_away_in_fleet(&self, fleet: &Fleet, agent: &AgentId, states: &[(TaskId, ObjectId)]) -> Result<(), Error> {
        let remote = self.remote_of(fleet)?;
        let mut states = states.to_vec();
        for tries in 1..=MAX_TRIES {
            let pushed = self.push_away(&remote, agent, &states)?;
            crash_point("archived");
            self.receive(fleet, &remote, &mut Synced::default())?;
            self.forget_archived(&remote, &states)?;
            // What was begun anew meanwhile stays.
            states.retain(|(task, id)| self.repo.id_of(&RefName::claim(task)).is_ok_and(|now| now == Some(*id)));
            if states.is_empty() {
                break;
            }
            if let Some(fault) = self.final_fault(fleet, pushed, false, tries == MAX_TRIES) {
                return Err(fault.into());
            }
        }
        Ok(())
    }

    fn push_away(&self, remote: &Remote, agent: &AgentId, states: &[(TaskId, ObjectId)]) -> Result<Pushed, Error> {
        let archive = RefName::archive();
        let before = self.seen_at(remote, &archive)?;
        let next = self.archive_of(Some(self.archive_for(before)?), agent, states)?;
        let mut swaps = vec![Swap { name: archive, expected: before, new: Some(next) }];
        let on_remote = states.iter().filter_map(|(task, id)| {
            let name = RefName::claim(task);
            let there = self.seen_at(remote, &name).ok().flatten() == Some(*id);
            there.then_some(Swap { name, expected: Some(*id), new: None })
        });
        swaps.extend(on_remote);
        if swaps.len() > 1 { self.push_claims(remote, swaps) } else { Ok(Pushed::Done) }
    }

    /// Removes this clone's refs of what another clone has put away before.
    fn forget_archived(&self, remote: &Remote, states: &[(TaskId, ObjectId)]) -> Result<(), Error> {
        let mut gone = Vec::new();
        for (task, id) in states {
            let seen = self.seen_at(remote, &RefName::claim(task))?;
            gone.extend((seen.is_none() && self.archived_id(task)? == Some(*id)).then(|| (RefName::claim(task), *id)));
        }
        self.remove_refs(&mut self.lock()?, &gone)
    }

    /// The archive after `before`, with these states in it.
    fn archive_of(&self, before: Option<ObjectId>, agent: &AgentId, states: &[(TaskId, ObjectId)]) -> Result<ObjectId, Error> {
        let before = before.map_or_else(|| self.repo.archive_root(), Ok)?;
        let archive = self.repo.archive(before)?;
        let states: BTreeMap<TaskId, ObjectId> = states.iter().cloned().collect();
        Ok(self.repo.archive_with(&archive, &states, None, agent, self.clock.now())?)
    }
}
