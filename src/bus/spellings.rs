//! Claims of one task under several spellings of its number: version 0.1 took `QUEUE-7` and `QUEUE-007` for two tasks, each with a ref of
//! its own (design, section 1.1).
//!
//! They are read as one. What is written goes to the usual ref, and the others go with the same push; what gives way is kept below
//! `refs/bus/lost/`. As long as nothing is written, the others stay as they are: version 0.1 sees only its own.

use super::advance::MAX_TRIES;
use super::notes::Note;
use super::view::{State, counts_before, state};
use super::{Bus, Error, FleetFault};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::{Claim, TaskId};
use crate::store::{Lock, crash_point};

impl Bus {
    /// Makes one ref of those that version 0.1 made here for several spellings of a task's number. The chain that counts stands under
    /// the usual spelling; the others are kept below `refs/bus/lost/`, so that their owners learn of it.
    pub(super) fn merge_spellings(&self, lock: &mut Lock, asked: &TaskId) -> Result<(), Error> {
        let others = self.other_tips(asked, None)?;
        if others.is_empty() {
            return Ok(());
        }
        let name = RefName::claim(asked);
        let mut all = others.clone();
        all.extend(self.tip(asked)?.map(|tip| (name.clone(), tip)));
        let mut best = 0;
        for index in 1..all.len() {
            if self.counts_over(&all[index].1, &all[best].1)? {
                best = index;
            }
        }
        let winner = all[best].1.link.id;
        for (_, state) in all.iter().filter(|(_, state)| state.link.id != winner) {
            if self.says_more(state.link.id, winner)? {
                self.keep_lost(lock, asked, state.link.id)?;
            }
        }
        crash_point("spellings-kept");
        lock.about_to_write(name.as_str())?;
        self.repo.put(&name, winner)?;
        crash_point("spellings-merged");
        let gone: Vec<_> = others.into_iter().map(|(name, state)| (name, state.link.id)).collect();
        self.remove_refs(lock, &gone)
    }

    /// Whether of two states of one task, under two spellings of its number, the first one counts: the one that has come after the other,
    /// the end of a claim before what another clone still says of it, else as [`counts_before`].
    pub(super) fn counts_over(&self, one: &State, other: &State) -> Result<bool, Error> {
        if one.claim.same_claim(&other.claim) {
            let rank = |claim: &Claim| (!claim.status.is_live(), claim.revision);
            return Ok(rank(&one.claim) > rank(&other.claim));
        }
        match (self.has_had(one, &other.claim)?, self.has_had(other, &one.claim)?) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Ok(counts_before(&one.claim, &other.claim)),
        }
    }

    /// Whether the chain that ends at `tip`, or the lineage there, has had `claim`.
    fn has_had(&self, tip: &State, claim: &Claim) -> Result<bool, Error> {
        let is_past = claim.claim_id.is_some() && tip.claim.lineage.iter().any(|past| past.claim_id == claim.claim_id);
        Ok(is_past || self.has_state(tip, |past| past.same_claim(claim))?)
    }

    /// What of `task` counts on the remote: of its usual ref's value and those of the other spellings.
    pub(super) fn counts_on_remote(&self, task: &TaskId, sight: &Sight) -> Result<Option<ObjectId>, Error> {
        let name = RefName::claim(task);
        let usual = sight.get(&name).copied();
        let mut best: Option<State> = None;
        for other in RefName::other_claims(task) {
            let Some(id) = sight.get(&other).copied() else { continue };
            // What can be read counts. One that began anew when the task was put away is void, as the usual ref would be.
            let read = self.repo.link(id)?.ok().and_then(|link| state(link, &other, task).ok());
            let Some(read) = read else {
                self.notes.add(Note::Warning(self.odd_ref(&other, "is no claim").to_string()));
                continue;
            };
            if !self.forks_from_archive(task, id)? && best.as_ref().map_or(Ok(true), |best| self.counts_over(&read, best))? {
                best = Some(read);
            }
        }
        let (Some(best), Some(usual)) = (&best, usual) else { return Ok(usual.or(best.map(|best| best.link.id))) };
        // What cannot be read, or is void, is for whoever reads the usual ref.
        let read = self.repo.link(usual)?.ok().and_then(|link| state(link, &name, task).ok());
        let gives_way = match read {
            Some(read) => self.forks_from_archive(task, usual)? || self.counts_over(best, &read)?,
            None => false,
        };
        Ok(Some(if gives_way { best.link.id } else { usual }))
    }

    /// What the remote was last seen to have of the other spellings of a task.
    fn others_seen(&self, remote: &Remote, task: &TaskId) -> Result<Sight, Error> {
        let mut seen = Sight::new();
        for name in RefName::other_claims(task) {
            seen.extend(self.seen_at(remote, &name)?.map(|id| (name, id)));
        }
        Ok(seen)
    }

    /// Notes what the remote has of the other spellings of a task.
    pub(super) fn note_others_seen(&self, lock: &mut Lock, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<(), Error> {
        let mut names = RefName::other_claims(task).into_iter();
        names.try_for_each(|name| self.note_seen(lock, remote, &name, sight.get(&name).copied()))
    }

    /// Whether the remote has something else of the other spellings of a task than was last seen, or this clone has nothing of it.
    pub(super) fn is_news_of_others(&self, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<bool, Error> {
        let is_here = self.repo.id_of(&RefName::claim(task))?.is_some();
        for name in RefName::other_claims(task) {
            let now = sight.get(&name).copied();
            if now != self.seen_at(remote, &name)? || (now.is_some() && !is_here) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether `tip`, which is live, says what the remote was seen to have under one spelling or another: then the others stay until
    /// somebody writes.
    pub(super) fn stands_as_seen(&self, remote: &Remote, tip: &State) -> Result<bool, Error> {
        let usual = self.seen_at(remote, &RefName::claim(&tip.claim.task_id))?;
        let mut seen = self.others_seen(remote, &tip.claim.task_id)?.into_values().chain(usual);
        Ok(tip.claim.status.is_live() && seen.any(|id| id == tip.link.id))
    }

    /// Whether `value` of a task's usual ref gives way to the chain of another spelling, from which `new` goes on: no push follows it.
    pub(super) fn gives_way(&self, remote: &Remote, task: &TaskId, value: ObjectId, new: ObjectId) -> Result<bool, Error> {
        let name = RefName::claim(task);
        let mut sight = self.others_seen(remote, task)?;
        if sight.is_empty() {
            return Ok(false);
        }
        sight.insert(name, value);
        let counts = self.counts_on_remote(task, &sight)?;
        counts.filter(|counts| *counts != value).map_or(Ok(false), |counts| Ok(self.repo.descends(new, counts)?))
    }

    /// What goes with a push of these claims: the refs of other spellings go, and what the new states do not have of them, or of what
    /// they were seen to follow, is kept on the remote.
    pub(super) fn merge_with(&self, remote: &Remote, swaps: &[Swap]) -> Result<Vec<Swap>, Error> {
        let (mut gone, mut kept) = (Vec::new(), Sight::new());
        for swap in swaps {
            let (Some(task), Some(new)) = (super::sync::task_of(&swap.name), swap.new) else { continue };
            let others = self.others_seen(remote, &task)?;
            if others.is_empty() {
                continue;
            }
            for id in others.values().copied().chain(swap.expected) {
                if self.says_more(id, new)? {
                    kept.extend(RefName::parse(&format!("{}{id}", RefName::lost_of(&task))).map(|name| (name, id)));
                }
            }
            gone.extend(others.into_iter().map(|(name, id)| Swap { name, expected: Some(id), new: None }));
        }
        if !kept.is_empty() {
            let there = self.repo.look_at(remote, &kept.keys().cloned().collect::<Vec<_>>())?;
            let missing = kept.into_iter().filter(|(name, _)| !there.contains_key(name));
            gone.extend(missing.map(|(name, id)| Swap { name, expected: None, new: Some(id) }));
        }
        Ok(gone)
    }

    /// The refs of other spellings that the fleet's remote was seen to have.
    pub(super) fn old_spellings_seen(&self) -> Result<Vec<(RefName, TaskId)>, Error> {
        let Some(fleet) = self.fleet().ok().flatten() else { return Ok(Vec::new()) };
        let folder = format!("{}claims/", RefName::all_seen_on(&fleet.remote));
        let names = self.repo.names_below(&folder)?.into_iter();
        let old = names.filter_map(|name| TaskId::new(&*name).ok().filter(|task| !task.has_usual_number()));
        Ok(old.filter_map(|task| Some((RefName::parse(&format!("{folder}{}", task.as_str()))?, task))).collect())
    }

    /// Makes one ref of those of a task on the fleet's remote.
    ///
    /// # Errors
    ///
    /// [`FleetFault::Refused`] if the remote does not take it; [`Error::Git`] if it does not answer.
    pub(super) fn merge_on_remote(&self, task: &TaskId) -> Result<(), Error> {
        let Some(fleet) = self.fleet()? else { return Ok(()) };
        let remote = self.remote_of(fleet)?;
        let name = RefName::claim(task);
        let mut refusal = String::new();
        for _ in 0..MAX_TRIES {
            let sight = self.look(fleet, &remote, task, false, None)?;
            self.adopt(&mut self.lock()?, &remote, task, &sight)?;
            if self.others_seen(&remote, task)?.is_empty() {
                return Ok(());
            }
            let Some(new) = self.repo.id_of(&name)? else { return Ok(()) };
            let swap = Swap { name: name.clone(), expected: self.seen_at(&remote, &name)?, new: Some(new) };
            match self.push_claims(&remote, vec![swap])? {
                Pushed::Done => {}
                pushed => refusal = pushed.story(),
            }
        }
        Err(FleetFault::Refused { remote: fleet.remote.clone(), what: refusal }.into())
    }

    /// Whether the chain that ends at `tip` says more than `other` has of it, and more than that its owner lived.
    fn says_more(&self, tip: ObjectId, other: ObjectId) -> Result<bool, Error> {
        Ok(matches!(self.relation(tip, other)?, super::adopt::Relation::Forked { worth: true }))
    }
}
