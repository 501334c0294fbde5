//! How what was seen on the fleet's remote becomes this clone's (design, section 3, *Fleet*).
//!
//! Where the local chain descends from the remote's value, the local one counts: it was not published yet. Where the remote's
//! descends from the local one, it is followed. Where they forked, the remote's stands, and the local chain is kept under
//! `refs/bus/lost/`, unless it says nothing but that its owner lived.

use std::collections::{BTreeMap, HashSet};

use super::deinit::remove;
use super::notes::Note;
use super::view::{State, goes_on_from, state};
use super::{Bus, Error};
use crate::git::{Link, ObjectId, RefName, Remote, Sight, Tip};
use crate::record::{AgentId, Claim, TaskId};
use crate::store::{Lock, crash_point, replace, replace_copy};

/// What became of the local chain of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adopted {
    /// It stands as it was.
    Kept,
    /// It followed the remote's.
    Followed,
    /// It ended and was put away: the archive has it, and its ref here is not needed any more.
    PutAway(ObjectId),
    /// It gave way to the remote's, and is kept aside.
    Lost,
}

/// How the local chain stands to the remote's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// They are the same, or the local one has more.
    LocalCounts,
    /// The remote's has more.
    RemoteAhead,
    /// Both have something that the other lacks; `worth` is whether the local one says more than that its owner lived.
    Forked { worth: bool },
}

impl Bus {
    /// Brings this clone's chain of `task`, and what it knows of the remote, in line with `sight`, whose objects are here.
    pub(super) fn adopt(&self, lock: &mut Lock, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<Adopted, Error> {
        match self.adopt_archive(lock, remote, sight) {
            // It keeps nobody from a claim: this clone's own archive counts, and `bus sync` gives the remote a sound one.
            Err(error @ Error::OddRef { .. }) => self.notes.add(Note::Warning(format!("{error}; {}", error.hint()))),
            adopted => adopted?,
        }
        if sight.contains_key(&RefName::locks()) {
            self.adopt_shared(lock, remote, &RefName::locks(), sight)?;
        }
        let adopted = self.adopt_claim(lock, task, sight)?;
        self.note_claim_seen(lock, remote, task, sight)?;
        Ok(adopted)
    }

    /// The same, once the archive is in line, and without a note of what was seen.
    pub(super) fn adopt_claim(&self, lock: &mut Lock, task: &TaskId, sight: &Sight) -> Result<Adopted, Error> {
        let name = RefName::claim(task);
        let on_remote = self.counts_on_remote(task, sight)?;
        let value = match on_remote {
            // A ref that came to life after the task was put away, and knows nothing of it, is void.
            Some(there) if !self.forks_from_archive(task, there)? => Some(there),
            _ => self.archived_id(task)?,
        };
        self.restore_ref(lock, &name, task, value)?;
        let before = self.repo.id_of(&name)?;
        let adopted = match value {
            // A remote that has forgotten it is told again.
            None => {
                self.outlive_remote(lock, &name, task)?;
                Adopted::Kept
            }
            Some(value) => match self.follow(lock, &name, task, value, on_remote.is_some())? {
                Adopted::Kept | Adopted::Followed if on_remote.is_none() && self.repo.id_of(&name)? == Some(value) => {
                    Adopted::PutAway(value)
                }
                adopted => adopted,
            },
        };
        crash_point("adopted");
        let state = self.tip(task)?.or(value.map(|value| self.readable(&name, task, value)).transpose()?);
        if let Some(state) = state {
            self.settle_adopted(task, &state, self.repo.id_of(&name)? != before)?;
        }
        Ok(adopted)
    }

    /// Puts what the record knows beyond the refs into the ref, before that is brought in line with `value`. If the record goes on from
    /// `value` itself, so does the ref, and what follows an import of that very state goes on from there, too.
    fn restore_ref(&self, lock: &mut Lock, name: &RefName, task: &TaskId, value: Option<ObjectId>) -> Result<(), Error> {
        let theirs = value.map(|value| self.readable(name, task, value)).transpose()?;
        if let Some(file) = self.file_claim(&self.record, task).ok().flatten() {
            // What cannot be read is for whoever asks for it.
            let Ok(view) = self.deciding_view(task, None) else { return Ok(()) };
            if view.stand_in.as_ref().is_some_and(|known| known.bytes == file.bytes) {
                let base = theirs.as_ref().filter(|theirs| goes_on_from(&file.claim, &theirs.claim));
                let base = base.or(view.tip.as_ref()).map(|state| state.link.id);
                let (agent, now) = (&file.claim.agent_id, self.clock.now());
                let link = self.repo.write_link(base, agent, now, &format!("import {task} by {agent}"), &file.bytes)?;
                lock.about_to_write(name.as_str())?;
                self.repo.put(name, link.id)?;
            }
        }
        let (Some(theirs), Some(local)) = (theirs, self.repo.id_of(name)?) else { return Ok(()) };
        if self.repo.descends(local, theirs.link.id)? || self.repo.descends(theirs.link.id, local)? {
            return Ok(());
        }
        let ours = self.chain(local)?;
        let imported = ours.iter().position(|link| link.verb() == "import" && link.body == theirs.link.body);
        let Some(imported) = imported.filter(|imported| *imported > 0) else { return Ok(()) };
        let mut tip = theirs.link.id;
        for link in ours[..imported].iter().rev() {
            let author = AgentId::new(&*link.author)?;
            tip = self.repo.write_link(Some(tip), &author, link.time, &link.subject, &link.body)?.id;
        }
        lock.about_to_write(name.as_str())?;
        Ok(self.repo.put(name, tip)?)
    }

    /// Has the record follow `state`, which decides now, if it has the claim's file: that may have to stand in for the ref. What
    /// it gives way to and does not know it is a claim that was lost.
    fn settle_adopted(&self, task: &TaskId, state: &State, has_moved: bool) -> Result<(), Error> {
        let place = self.record.claim(&state.claim.task_id);
        let file = match self.file_claim(&self.record, task) {
            Ok(Some(file)) if file.bytes == state.link.body => return Ok(()),
            Ok(Some(file)) => file,
            Ok(None) => return Ok(()),
            Err(Error::Malformed { .. }) => return Ok(replace_copy(&place, &state.link.body)?),
            Err(error) => return Err(error),
        };
        if !has_moved && goes_on_from(&file.claim, &state.claim) {
            return Ok(());
        }
        if !self.is_known(state, &file.claim)? {
            self.note_lost(task, &file.claim)?;
        }
        Ok(replace_copy(&place, &state.link.body)?)
    }

    /// Notes a claim that gave way to another clone's, in a place that git does not touch.
    fn note_lost(&self, task: &TaskId, claim: &Claim) -> Result<(), Error> {
        let named = claim.claim_id.as_ref().map(ToString::to_string);
        let name = named.unwrap_or_else(|| format!("{}-{}", claim.agent_id, claim.claimed_at.unix()));
        let place = self.private.lost_claim(task, &name);
        place.make_folders()?;
        Ok(replace(&place, &claim.to_bytes())?)
    }

    /// Keeps what the remote was seen to have of a task and has no more: it is about to be forgotten that it was seen, and a ref that is
    /// gone frees nothing.
    fn outlive_remote(&self, lock: &mut Lock, name: &RefName, task: &TaskId) -> Result<(), Error> {
        let Some(seen) = self.seen_claim(task) else { return Ok(()) };
        if self.repo.id_of(name)?.is_none() {
            lock.about_to_write(name.as_str())?;
            self.repo.put(name, seen.link.id)?;
        }
        let Some(tip) = self.tip(task)? else { return Ok(()) };
        let recorded = self.file_claim(&self.record, &tip.claim.task_id).ok().flatten();
        if recorded.is_none_or(|recorded| recorded.claim.revision < tip.claim.revision) {
            replace_copy(&self.record.claim(&tip.claim.task_id), &tip.link.body)?;
        }
        Ok(())
    }

    /// Notes what the remote has of a task's ref. This comes last: a push from then on relies on the local chain having it.
    pub(super) fn note_claim_seen(&self, lock: &mut Lock, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<(), Error> {
        let name = RefName::claim(task);
        self.warn_if_back(remote, task, sight)?;
        self.note_others_seen(lock, remote, task, sight)?;
        self.note_seen(lock, remote, &name, sight.get(&name).copied())
    }

    /// Says so if the remote has less of a claim than it was seen to have.
    pub(super) fn warn_if_back(&self, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<(), Error> {
        let name = RefName::claim(task);
        let (Some(seen), now) = (self.seen_at(remote, &name)?, sight.get(&name).copied()) else { return Ok(()) };
        let is_back = match now {
            Some(now) => now != seen && !self.repo.descends(now, seen)? && !self.gives_way(remote, task, seen, now)?,
            None => self.archived_id(task)?.is_none_or(|put_away| !self.repo.descends(put_away, seen).unwrap_or(true)),
        };
        if is_back {
            self.notes.add(Note::WentBack(remote.name().to_owned(), task.clone()));
        }
        Ok(())
    }

    fn follow(&self, lock: &mut Lock, name: &RefName, task: &TaskId, value: ObjectId, has_ref: bool) -> Result<Adopted, Error> {
        if let Tip::Unreadable { .. } = self.repo.tip(name)? {
            self.mended_view(lock, task)?;
        }
        let Some(local) = self.repo.id_of(name)? else {
            if has_ref {
                self.readable(name, task, value)?;
                lock.about_to_write(name.as_str())?;
                self.repo.put(name, value)?;
                return Ok(Adopted::Followed);
            }
            return Ok(Adopted::Kept);
        };
        let adopted = match self.relation(local, value)? {
            Relation::LocalCounts => return Ok(Adopted::Kept),
            Relation::RemoteAhead | Relation::Forked { worth: false } => Adopted::Followed,
            Relation::Forked { worth: true } => {
                self.readable(name, task, value)?;
                self.keep_lost(lock, task, local)?;
                Adopted::Lost
            }
        };
        self.readable(name, task, value)?;
        lock.about_to_write(name.as_str())?;
        self.repo.put(name, value)?;
        Ok(adopted)
    }

    /// Refuses a state of the remote's that is no claim of the task: what stands here is better.
    fn readable(&self, name: &RefName, task: &TaskId, value: ObjectId) -> Result<State, Error> {
        let link = self.repo.link(value)?.map_err(|what| self.odd_ref(name, &format!("is no claim: {what}")))?;
        state(link, name, task).map_err(|error| match error {
            Error::Malformed { fault, .. } => self.odd_ref(name, &format!("is no claim of {task}: {fault}")),
            error => error,
        })
    }

    pub(super) fn relation(&self, local: ObjectId, value: ObjectId) -> Result<Relation, Error> {
        if local == value {
            return Ok(Relation::LocalCounts);
        }
        let theirs: HashSet<ObjectId> = self.chain(value)?.into_iter().map(|link| link.id).collect();
        if theirs.contains(&local) {
            return Ok(Relation::RemoteAhead);
        }
        let ours = self.chain(local)?;
        if ours.iter().any(|link| link.id == value) {
            return Ok(Relation::LocalCounts);
        }
        let own = ours.iter().take_while(|link| !theirs.contains(&link.id));
        let worth = own.into_iter().any(|link| link.verb() != "heartbeat");
        Ok(Relation::Forked { worth })
    }

    /// The states up to `tip`, newest first.
    fn chain(&self, tip: ObjectId) -> Result<Vec<Link>, Error> {
        let mut chain = Vec::new();
        let mut next = Some(tip);
        while let Some(id) = next {
            let Ok(link) = self.repo.link(id)? else { break };
            next = link.parent;
            chain.push(link);
        }
        Ok(chain)
    }

    /// Has what the remote was not seen to have of the claims give way to what it has: it was done under an id that is another clone's.
    pub(super) fn give_up_unsent(&self, lock: &mut Lock, remote: &Remote) -> Result<(), Error> {
        for task in self.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()) {
            let name = RefName::claim(&task);
            let (Some(local), seen) = (self.repo.id_of(&name)?, self.seen_at(remote, &name)?) else { continue };
            let there = seen.map_or_else(|| self.archived_id(&task), |seen| Ok(Some(seen)))?;
            if there == Some(local) {
                continue;
            }
            let theirs: HashSet<ObjectId> =
                there.map_or_else(|| Ok(Vec::new()), |there| self.chain(there))?.iter().map(|link| link.id).collect();
            let own = self.chain(local)?.into_iter().take_while(|link| !theirs.contains(&link.id));
            if own.into_iter().any(|link| link.verb() != "heartbeat") {
                self.keep_lost(lock, &task, local)?;
            }
            lock.about_to_write(name.as_str())?;
            match there {
                Some(there) => self.repo.put(&name, there)?,
                None => self.repo.remove(&[(name.clone(), local)])?,
            }
            let record = self.record.claim(&task);
            match self.tip(&task)? {
                Some(tip) if record.inspect()?.is_some() => replace_copy(&record, &tip.link.body)?,
                None if record.inspect()?.is_some() => remove(&record.path())?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps a chain that gives way.
    pub(super) fn keep_lost(&self, lock: &mut Lock, task: &TaskId, tip: ObjectId) -> Result<(), Error> {
        let kept = self.lost_name(task, tip)?;
        lock.about_to_write(kept.as_str())?;
        self.repo.put(&kept, tip)?;
        if let Ok(link) = self.repo.link(tip)?
            && let Ok(lost) = state(link, &RefName::claim(task), task)
        {
            // Who was the first is known now, while what the remote had is.
            let is_same = |known: &Claim| known.same_claim(&lost.claim);
            let was_seen = self.seen_claim(task).map_or(Ok(false), |seen| self.has_state(&seen, is_same))?;
            let was_unasked = self.has_state(&lost, |known| is_same(known) && known.is_unconfirmed())?;
            let confirmed = (was_unasked && !was_seen).then_some(false);
            self.note_lost(task, &Claim { confirmed, ..lost.claim.clone() })?;
        }
        crash_point("lost-kept");
        Ok(())
    }

    /// The ref that keeps a chain which gives way: it is called after the claim at its end.
    pub(super) fn lost_name(&self, task: &TaskId, tip: ObjectId) -> Result<RefName, Error> {
        let claim = self.repo.link(tip)?.ok().and_then(|link| Claim::parse(&link.body).ok());
        let named = claim.and_then(|claim| RefName::lost(task, claim.claim_id.as_ref()?));
        let by_commit = || RefName::parse(&format!("{}{tip}", RefName::lost_of(task)));
        // A name that is taken by another end of the claim keeps that.
        let taken = named.as_ref().map_or(Ok(None), |name| self.repo.id_of(name))?;
        let free = taken.map_or(Ok(true), |taken| self.repo.descends(tip, taken))?;
        Ok(named.filter(|_| free).or_else(by_commit).expect("an object id is a good end of a name"))
    }

    /// Notes what the remote has of a ref; none where it has no such ref.
    pub(super) fn note_seen(&self, lock: &mut Lock, remote: &Remote, name: &RefName, id: Option<ObjectId>) -> Result<(), Error> {
        let Some(seen) = name.seen_on(remote.name()) else { return Ok(()) };
        let known = self.repo.id_of(&seen)?;
        if known == id {
            return Ok(());
        }
        lock.about_to_write(seen.as_str())?;
        match (known, id) {
            (_, Some(id)) => self.repo.put(&seen, id)?,
            (Some(known), None) => self.repo.remove(&[(seen, known)])?,
            (None, None) => {}
        }
        Ok(())
    }

    /// Brings this clone's archive in line with the remote's. What only this one has, from before it joined, goes on top.
    pub(super) fn adopt_archive(&self, lock: &mut Lock, remote: &Remote, sight: &Sight) -> Result<(), Error> {
        let name = RefName::archive();
        let Some(theirs) = sight.get(&name).copied() else { return self.note_seen(lock, remote, &name, None) };
        let ours = self.repo.id_of(&name)?;
        if ours != Some(theirs) && !self.repo.is_archive(theirs)? {
            self.note_seen(lock, remote, &name, Some(theirs))?;
            return Err(self.odd_ref(&name, "is no archive"));
        }
        let is_sound = |id| self.repo.archive(id).is_ok();
        let next = match ours {
            Some(ours) if !is_sound(ours) => {
                lock.about_to_write(name.as_str())?;
                self.repo.set_aside(&name, &self.broken("ARCHIVE")?.path(), Some(theirs))?;
                theirs
            }
            Some(ours) if ours == theirs || self.repo.descends(ours, theirs)? => ours,
            Some(ours) if !self.repo.descends(theirs, ours)? => self.merged_archive(theirs, ours)?,
            _ => theirs,
        };
        if Some(next) != ours {
            lock.about_to_write(name.as_str())?;
            self.repo.put(&name, next)?;
        }
        self.note_seen(lock, remote, &name, Some(theirs))
    }

    fn merged_archive(&self, theirs: ObjectId, ours: ObjectId) -> Result<ObjectId, Error> {
        let (base, own) = (self.repo.archive(theirs)?, self.repo.archive(ours)?);
        let known = self.repo.all_archived(&base)?;
        let missing = self.repo.all_archived(&own)?.into_iter().filter(|(task, _)| !known.contains_key(task));
        let missing: BTreeMap<TaskId, ObjectId> = missing.filter_map(|(task, id)| Some((TaskId::new(task).ok()?, id))).collect();
        Ok(self.repo.archive_with(&base, &missing, Some(ours), &AgentId::new("bus")?, self.clock.now())?)
    }
}
