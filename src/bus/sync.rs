//! `bus sync`: exchanges claims and logs with the fleet's remote, by refs and nothing else (design, sections 3 and 4). No branch,
//! no index and no file of a worktree is touched.

use std::collections::BTreeSet;
use std::time::Duration;

use super::adopt::Adopted;
use super::fleet::Reach;
use super::own_log::OwnLog;
use super::publish::LogCommit;
use super::remote_ref::unknown;
use super::view::{View, state};
use super::{Bus, Error, FleetFault, RewrittenLog, TakenIn, Who};
use crate::git::{MAX_PUSH, ObjectId, Pushed, RefName, Remote, Sight, Swap, Tip};
use crate::record::{AgentId, Claim, Fleet, Origin, TaskId, Timestamp};
use crate::store::{Clock, Lock, crash_point, last_touched, touch};

/// How often is pushed while others are faster: with each turn fewer claims in one push, so that one that lost keeps no other back.
const TURNS: [usize; 5] = [MAX_PUSH, MAX_PUSH / 10, 1, 1, 1];

/// How many claims are brought in line before the lock is given to others.
const BATCH: usize = 100;

/// What was exchanged.
#[derive(Debug, Default)]
pub struct Synced {
    /// The remote.
    pub remote: String,
    /// The tasks of which the remote had something new.
    pub received: BTreeSet<TaskId>,
    /// The tasks of which the remote got something new.
    pub published: BTreeSet<TaskId>,
    /// The claims of this clone that gave way, and who has the task.
    pub lost: Vec<(Claim, AgentId)>,
    /// What of this clone's leases and numbers gave way to the remote's, and where it is kept.
    pub gave_way: Vec<RefName>,
    /// What is still for this clone alone, and why.
    pub unpublished: Vec<(TaskId, String)>,
    /// What of the remote's cannot be read.
    pub faults: Vec<Error>,
    /// Whether the remote got something new of this clone's log.
    pub log_published: bool,
    /// Why the remote has not got all of this clone's log, if it has not.
    pub log_unsent: Option<String>,
    /// The id that this clone has taken, because somebody else uses the one that it had.
    pub new_id: Option<String>,
    /// The logs that were rewritten on the remote, and that nobody has accepted.
    pub rewritten: Vec<RewrittenLog>,
    /// What was new in the other clones' logs.
    pub taken: TakenIn,
}

/// How fresh the view of the fleet is.
#[derive(Clone, Debug)]
pub struct Freshness {
    /// The fleet.
    pub fleet: Fleet,
    /// When all of the remote was last seen; none where it never was.
    pub seen: Option<Timestamp>,
}

impl Bus {
    /// Asks the fleet's remote for what is new, and tells it what is new here.
    ///
    /// # Errors
    ///
    /// [`FleetFault::None`]; [`FleetFault::Other`] where the remote serves another fleet; [`Error::Git`] where it cannot be reached.
    /// What it took by then stays.
    pub fn sync(&self) -> Result<Synced, Error> {
        self.ask_for_fleet()?;
        let fleet = self.fleet()?.ok_or(FleetFault::None)?;
        let remote = self.remote_of(fleet)?;
        let mut synced = Synced { remote: fleet.remote.clone(), ..Synced::default() };
        let (mut refusal, mut sight) = (None::<Pushed>, Sight::new());
        let or_unknown = |refusal: &Option<Pushed>, error| match refusal {
            Some(pushed) => unknown(fleet, pushed, error),
            None => error,
        };
        for (turn, size) in TURNS.into_iter().enumerate() {
            sight = self.receive(fleet, &remote, &mut synced).map_err(|error| or_unknown(&refusal, error))?;
            let due = self.unpublished(&remote, &sight)?;
            if due.is_empty() {
                refusal = None;
                break;
            }
            refusal = None;
            for swaps in due.chunks(size) {
                let pushed = self.push_claims(&remote, swaps.to_vec())?;
                if pushed != Pushed::Done {
                    refusal = Some(pushed);
                }
                crash_point("claims-pushed");
            }
            if turn + 1 == TURNS.len() {
                sight = self.receive(fleet, &remote, &mut synced).map_err(|error| or_unknown(&refusal, error))?;
            }
        }
        if let Some(why) = refusal.as_ref().map(Pushed::story) {
            let left = self.unpublished(&remote, &sight)?;
            let tasks = left.iter().filter_map(|swap| task_of(&swap.name));
            synced.unpublished = tasks.map(|task| (task, why.clone())).collect();
            synced.log_unsent = left.iter().any(|swap| is_log(&swap.name)).then_some(why);
        }
        synced.rewritten = self.rewritten_logs()?;
        Ok(synced)
    }

    /// Brings everything here that the remote has, and notes what became of what was sent. Returns what the remote has.
    pub(super) fn receive(&self, fleet: &Fleet, remote: &Remote, synced: &mut Synced) -> Result<Sight, Error> {
        let before = self.seen_logs(remote)?;
        // Each look finds what is still wrong.
        synced.faults.clear();
        let sight = self.look_at_all(fleet, remote)?;
        let mut tasks: BTreeSet<TaskId> = sight.keys().filter_map(task_of).collect();
        let seen = format!("{}claims/", RefName::all_seen_on(remote.name()));
        // Those that the remote has no more.
        tasks.extend(self.repo.names_below(&seen)?.into_iter().filter_map(|name| TaskId::new(name).ok()));
        {
            let mut lock = self.lock()?;
            if let Err(error) = self.adopt_archive(&mut lock, remote, &sight) {
                synced.faults.push(error);
            }
            for name in shared() {
                match self.adopt_shared(&mut lock, remote, &name, &sight) {
                    Ok(kept) => synced.gave_way.extend(kept),
                    Err(error) => synced.faults.push(error),
                }
            }
        }
        let mut old: BTreeSet<TaskId> = sight.keys().filter_map(task_of).filter(|task| !task.has_usual_number()).collect();
        old.extend(self.old_spellings_seen()?.into_iter().map(|(_, task)| task));
        let news = tasks.into_iter().filter(|task| {
            let is_news = || self.is_news(remote, task, &sight).unwrap_or(true);
            is_news() || (old.contains(task) && self.is_news_of_others(remote, task, &sight).unwrap_or(true))
        });
        let forked = self.begun_anew(remote, &sight)?;
        let changed: Vec<TaskId> = news.chain(forked).collect();
        for tasks in changed.chunks(BATCH) {
            self.adopt_batch(remote, tasks, &sight, synced)?;
        }
        self.receive_logs(remote, &sight, &before, synced)?;
        self.note_odd_refs(&sight, &synced.faults)?;
        touch(&self.private.fleet_seen(), self.clock);
        Ok(sight)
    }

    /// What the remote was last seen to have of the clones' logs.
    fn seen_logs(&self, remote: &Remote) -> Result<Sight, Error> {
        let folder = format!("{}log/", RefName::all_seen_on(remote.name()));
        let mut logs = Sight::new();
        for name in self.repo.names_below(&folder)?.iter().filter_map(|clone| RefName::log(clone)) {
            logs.extend(self.seen_at(remote, &name)?.map(|id| (name, id)));
        }
        Ok(logs)
    }

    /// Notes what the remote has of the clones' logs, and takes in what is new of the others'.
    fn receive_logs(&self, remote: &Remote, sight: &Sight, before: &Sight, synced: &mut Synced) -> Result<(), Error> {
        let own = self.known_clone_id()?.and_then(|id| RefName::log(&id));
        {
            let mut lock = self.lock()?;
            for (name, id) in sight.iter().filter(|(name, _)| is_log(name) && Some(*name) != own.as_ref()) {
                let seen = self.seen_at(remote, name)?;
                if seen == Some(*id) {
                    continue;
                }
                let is_rewritten = self.is_rewritten(seen, *id, before.get(name).copied())?;
                if let (Some(seen), Some(true)) = (seen, is_rewritten) {
                    self.note_rewritten(&lock, name, seen, *id)?;
                }
                if is_rewritten.is_some() {
                    self.note_seen(&mut lock, remote, name, Some(*id))?;
                }
            }
            if let Some(own) = own {
                let (seen, theirs) = (self.seen_at(remote, &own)?, sight.get(&own).copied());
                match self.adopt_own_log(&mut lock, remote, &own, theirs, before.get(&own).copied())? {
                    OwnLog::Known => synced.log_published |= theirs.is_some() && theirs != seen,
                    OwnLog::Rewritten => {}
                    OwnLog::Twin => synced.new_id = self.known_clone_id()?,
                }
            }
        }
        // Also where nothing is new: a command that was killed may have left something undone.
        synced.taken.add(self.take_in_logs(remote.name())?);
        Ok(())
    }

    /// The tasks of which the remote has no ref, and this clone a chain that knows nothing of the one that was put away: they were
    /// claimed here, without asking, when they were finished already.
    fn begun_anew(&self, remote: &Remote, sight: &Sight) -> Result<Vec<TaskId>, Error> {
        let mut tasks = Vec::new();
        for task in self.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()) {
            let name = RefName::claim(&task);
            if sight.contains_key(&name) || self.seen_at(remote, &name)?.is_some() {
                continue;
            }
            if let Some(tip) = self.repo.id_of(&name)?
                && self.forks_from_archive(&task, tip)?
            {
                tasks.push(task);
            }
        }
        Ok(tasks)
    }

    /// Brings these claims in line under one lock, and removes the refs that are not needed any more all at once.
    fn adopt_batch(&self, remote: &Remote, tasks: &[TaskId], sight: &Sight, synced: &mut Synced) -> Result<(), Error> {
        let mut lock = self.lock()?;
        let mut gone = Vec::new();
        for task in tasks {
            let name = RefName::claim(task);
            let before = self.repo.id_of(&name)?;
            match self.adopt_claim(&mut lock, task, sight) {
                Err(error) => {
                    synced.faults.push(error);
                    continue;
                }
                Ok(Adopted::PutAway(id)) => gone.push((name.clone(), id)),
                Ok(adopted) => self.note(&lock, synced, task, before, adopted)?,
            }
            match (sight.contains_key(&name), name.seen_on(remote.name())) {
                (false, Some(seen)) => {
                    self.warn_if_back(remote, task, sight)?;
                    self.note_others_seen(&mut lock, remote, task, sight)?;
                    gone.extend(self.repo.id_of(&seen)?.map(|id| (seen, id)));
                }
                _ => self.note_claim_seen(&mut lock, remote, task, sight)?,
            }
        }
        self.remove_refs(&mut lock, &gone)
    }

    /// Looks at everything that the remote has of the bus, and brings the objects here.
    fn look_at_all(&self, fleet: &Fleet, remote: &Remote) -> Result<Sight, Error> {
        for _ in 0..TURNS.len() {
            let sight = self.repo.look_at(remote, &[])?;
            self.check_fleet(fleet, remote, &sight)?;
            let names: Vec<RefName> = sight.keys().filter(|name| is_exchanged(name)).cloned().collect();
            if self.bring(remote, &sight, &names)? {
                return Ok(sight);
            }
        }
        Err(Error::RefContended { reference: fleet.prefix.clone(), tries: TURNS.len() })
    }

    /// Whether the remote has something else of a task than was last seen, or than is here.
    fn is_news(&self, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<bool, Error> {
        let name = RefName::claim(task);
        let now = sight.get(&name).copied();
        let Some(there) = now else { return Ok(self.seen_at(remote, &name)?.is_some()) };
        // A chain that was made anew here, of a file, knows nothing of the remote's.
        let stands = self.repo.id_of(&name)?.map_or(Ok(false), |here| self.repo.descends(here, there))?;
        Ok(!stands || self.seen_at(remote, &name)? != now)
    }

    /// Notes what became of a task.
    fn note(
        &self,
        lock: &Lock,
        synced: &mut Synced,
        task: &TaskId,
        before: Option<ObjectId>,
        adopted: Adopted,
    ) -> Result<(), Error> {
        match adopted {
            Adopted::PutAway(_) => {}
            Adopted::Kept => {
                synced.published.insert(task.clone());
                let here = self.here_origin()?;
                let confirmed = self.tip(task)?.filter(|tip| tip.link.verb() == "confirm" && tip.claim.origin == here);
                confirmed.map_or(Ok(()), |tip| self.settle(lock, &tip))?;
            }
            Adopted::Followed => {
                synced.received.insert(task.clone());
            }
            Adopted::Lost => {
                synced.received.insert(task.clone());
                let owner = self.tip(task)?.map(|tip| tip.claim.agent_id);
                let lost = before.map(|id| self.repo.link(id)).transpose()?.and_then(Result::ok);
                let lost = lost.and_then(|link| Claim::parse(&link.body).ok());
                // What is noted of it knows whether it was the first.
                let noted = lost.as_ref().map(|lost| self.lost_claim(lost)).transpose()?.flatten();
                let lost = noted.or(lost);
                synced.lost.extend(lost.zip(owner));
            }
        }
        Ok(())
    }

    /// What this clone has and the remote was not seen to have. A claim that was made offline is asked for by a state of its own.
    /// It is written here first, so that what is done here meanwhile, such as a release, goes on from it.
    fn unpublished(&self, remote: &Remote, sight: &Sight) -> Result<Vec<Swap>, Error> {
        let mut lock = self.lock()?;
        let mut due = Vec::new();
        let old: BTreeSet<TaskId> = self.old_spellings_seen()?.into_iter().map(|(_, task)| task).collect();
        let tasks: BTreeSet<TaskId> = self.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()).collect();
        for task in tasks {
            if !task.has_usual_number() {
                self.merge_spellings(&mut lock, &task)?;
            }
            let name = RefName::claim(&task);
            let expected = self.seen_at(remote, &name)?;
            let is_due = self.repo.id_of(&name)? != expected || old.contains(&task);
            let (Tip::At(link), true) = (self.repo.tip(&name)?, is_due) else { continue };
            if expected.is_none() && self.archived_id(&task)? == Some(link.id) {
                continue;
            }
            // A push goes forward only; what does not follow the remote's is brought in line first.
            if let Some(seen) = expected
                && !self.repo.descends(link.id, seen)?
                && !self.forks_from_archive(&task, seen)?
                && !self.gives_way(remote, &task, seen, link.id)?
            {
                continue;
            }
            // A chain that cannot be read is no claim to ask for; `bus doctor` tells of it.
            let Ok(tip) = state(link, &name, &task) else { continue };
            if old.contains(&task) && self.stands_as_seen(remote, &tip)? {
                continue;
            }
            let mut new = tip.link.id;
            if tip.claim.is_unconfirmed() {
                let (view, claim) = (self.view_by(&task, None)?, Claim { confirmed: None, ..tip.claim.clone() });
                let origin = claim.origin.clone().unwrap_or_else(|| Origin::new("-", None));
                let who = Who { agent: claim.agent_id.clone(), origin };
                let Some((state, _)) = self.write_state(&mut lock, &view, &who, "confirm", &claim)? else { continue };
                new = state.link.id;
            }
            due.push(Swap { name, expected, new: Some(new) });
        }
        drop(lock);
        let commit = if due.is_empty() { LogCommit::IfNew } else { LogCommit::Always };
        if let Some((name, ours)) = self.commit_log(commit)? {
            // As it is there now: a remote that has lost it gets it back. It goes first, so that no twin's claims go before it.
            let expected = sight.get(&name).copied();
            if expected != Some(ours) {
                due.insert(0, Swap { name, expected, new: Some(ours) });
            }
        }
        for name in shared().into_iter().chain([RefName::archive()]) {
            let (ours, seen) = (self.repo.id_of(&name)?, self.seen_at(remote, &name)?);
            if ours != seen {
                due.push(Swap { name, expected: seen, new: ours });
            }
        }
        Ok(due)
    }

    /// Looks at all of the fleet's remote, unless this clone did so not long ago: one look serves all that wait in a clone.
    /// Returns whether it has looked.
    ///
    /// # Errors
    ///
    /// As [`Bus::sync`].
    pub fn receive_if_due(&self, interval: Duration) -> Result<bool, Error> {
        self.learn_fleet(Reach::Fleet)?;
        let Some(fleet) = self.fleet()? else { return Ok(false) };
        // The remote's patience is of this world, also where a test has fixed the clock.
        let clock = Clock::new(None);
        {
            let _lock = self.lock()?;
            let mark = self.private.fleet_look();
            if last_touched(&mark).is_some_and(|looked| clock.now().since(looked) < interval) {
                return Ok(false);
            }
            touch(&mark, clock);
        }
        self.receive(fleet, &self.remote_of(fleet)?, &mut Synced::default())?;
        Ok(true)
    }

    /// Whether the fleet's remote was seen to have the claim that decides, where there is a fleet.
    pub(super) fn is_confirmed(&self, view: &View) -> bool {
        let Some(fleet) = self.fleet().ok().flatten() else { return true };
        let others = RefName::other_claims(&view.task).into_iter();
        let names = [view.name.clone()].into_iter().chain(others).filter_map(|name| name.seen_on(&fleet.remote));
        let mut seen = names.filter_map(|name| self.repo.id_of(&name).ok().flatten());
        let same = |seen: ObjectId| {
            let there = self.repo.link(seen).ok().and_then(Result::ok).and_then(|link| Claim::parse(&link.body).ok());
            there.zip(view.claim()).is_some_and(|(there, here)| there.same_claim(here))
        };
        seen.any(|seen| view.tip_id() == Some(seen) || same(seen))
    }

    /// How fresh this clone's view of its fleet is; none where it belongs to none.
    ///
    /// # Errors
    ///
    /// As [`Bus::fleet`].
    pub fn freshness(&self) -> Result<Option<Freshness>, Error> {
        let fleet = self.fleet()?.cloned();
        Ok(fleet.map(|fleet| Freshness { fleet, seen: last_touched(&self.private.fleet_seen()) }))
    }
}

/// The task whose claim a ref is.
pub(super) fn task_of(name: &RefName) -> Option<TaskId> {
    TaskId::new(name.rest().strip_prefix("claims/")?).ok()
}

/// Whether a ref is a clone's log.
pub(super) fn is_log(name: &RefName) -> bool {
    name.rest().starts_with("log/")
}

/// The refs of which the fleet has one for all, but for the archive.
pub(super) fn shared() -> [RefName; 2] {
    [RefName::queue(), RefName::locks()]
}

/// Whether a ref of the remote's is for this clone.
fn is_exchanged(name: &RefName) -> bool {
    let is_one = *name == RefName::archive() || shared().contains(name);
    is_one || is_log(name) || task_of(name).is_some()
}
