//! Refs of the bus of which a fleet has one for all: the table of leases, the numbers of the queue. They change as a claim's does
//! (design, section 3, *Fleet*): decided here, pushed with the remote's value as lease, looked at again.

use std::time::Duration;

use super::advance::MAX_TRIES;
use super::deinit::remove;
use super::looking::jittered;
use super::sync::{is_log, task_of};
use super::{Bus, Error, FleetFault};
use crate::git::{Link, ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::json;
use crate::record::{Fleet, LeaseTable};
use crate::store::{Lock, crash_point, stamp};

/// The pause before the second try; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(30);

/// What is known when a decision is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// What stands here is fresh from the remote.
    pub(super) seen: bool,
    /// Something that was sent may still come to the remote, unless that moves on.
    pub(super) under_way: bool,
}

/// What a decision about a shared ref comes to.
pub(super) enum Turn<T> {
    /// It is so already, or was done.
    Done(T),
    /// What is known here is not enough to say so: look at the remote.
    Look,
    /// The remote is to take this commit, which follows the local tip.
    Push(ObjectId, T),
}

impl Bus {
    /// Changes the ref called `name` as `decide` says, where the remote of `fleet` agrees; `decide` is called under the lock, and
    /// told what is known. Once the remote has the commit, `finish` is called, under the lock
    /// again, with what `decide` gave for it.
    pub(super) fn change_shared<T>(
        &self,
        fleet: &Fleet,
        name: &RefName,
        decide: impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
        finish: impl Fn(&mut Lock, T) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let remote = self.remote_of(fleet)?;
        let change = || self.try_to_change_shared(fleet, &remote, name, &decide, &finish);
        change().or_else(|error| {
            self.make_way(fleet, &remote, std::slice::from_ref(name), error)?;
            change()
        })
    }

    fn try_to_change_shared<T>(
        &self,
        fleet: &Fleet,
        remote: &Remote,
        name: &RefName,
        decide: &impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
        finish: &impl Fn(&mut Lock, T) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let sent = self.private.sent(name.rest());
        let (mut seen, mut tries) = (false, 0);
        for _ in 0..2 * MAX_TRIES {
            let expected = self.seen_at(remote, name)?;
            let known = Known { seen, under_way: sent.path().exists() };
            let turn = match decide(&mut self.lock()?, known)? {
                Turn::Push(new, _) if expected.is_some_and(|seen| !self.repo.descends(new, seen).unwrap_or(false)) => Turn::Look,
                turn => turn,
            };
            seen = true;
            let (new, done) = match turn {
                Turn::Done(done) => return finish(&mut self.lock()?, done),
                Turn::Look => {
                    let sight = self.look_at_shared(fleet, remote, name)?;
                    self.adopt_shared(&mut self.lock()?, remote, name, &sight)?;
                    continue;
                }
                Turn::Push(new, done) => (new, done),
            };
            tries += 1;
            stamp(&sent);
            let pushed = self.push_claims(remote, vec![Swap { name: name.clone(), expected, new: Some(new) }])?;
            crash_point("pushed");
            let sight = self.look_at_shared(fleet, remote, name).map_err(|error| unknown(fleet, &pushed, error))?;
            let now = sight.get(name).copied();
            let landed = now.map_or(Ok(false), |now| self.repo.descends(now, new))?;
            let mut lock = self.lock()?;
            self.adopt_shared(&mut lock, remote, name, &sight)?;
            self.note_outcome(name, landed || now != expected, &pushed)?;
            if landed {
                return finish(&mut lock, done);
            }
            if let Some(fault) = self.final_fault(fleet, pushed, now != expected, tries >= MAX_TRIES) {
                return Err(fault.into());
            }
            drop(lock);
            pause_before(tries);
        }
        Err(Error::RefContended { reference: name.as_str().to_owned(), tries: MAX_TRIES })
    }

    /// Why it makes no sense to try again what the remote has not taken; none where it does.
    pub(super) fn final_fault(&self, fleet: &Fleet, pushed: Pushed, moved: bool, is_last: bool) -> Option<FleetFault> {
        let remote = fleet.remote.clone();
        match pushed {
            Pushed::TimedOut => Some(FleetFault::Unknown { remote, what: "it took too long".to_owned() }),
            Pushed::Refused(what) if is_last || (!moved && !is_contention(&what)) => Some(FleetFault::Refused { remote, what }),
            Pushed::Unclear(what) if is_last => Some(FleetFault::Unknown { remote, what }),
            _ => None,
        }
    }

    fn look_at_shared(&self, fleet: &Fleet, remote: &Remote, name: &RefName) -> Result<Sight, Error> {
        let claims = if *name == RefName::locks() { self.claims_of_leases()? } else { Vec::new() };
        let names: Vec<RefName> = [name.clone()].into_iter().chain(claims).collect();
        let sight = self.look_for(fleet, remote, &names)?;
        let mut lock = self.lock()?;
        // What a lease lives with is as fresh as the lease.
        for task in sight.keys().filter_map(task_of) {
            // One that cannot be read keeps no other lease from anybody: its own counts as alive.
            if self.adopt_claim(&mut lock, &task, &sight).is_ok() {
                self.note_claim_seen(&mut lock, remote, &task, &sight)?;
            }
        }
        Ok(sight)
    }

    /// What the remote has of these refs, if it serves this clone's fleet. The objects are brought here, but for those of logs, which may
    /// be long.
    pub(super) fn look_for(&self, fleet: &Fleet, remote: &Remote, names: &[RefName]) -> Result<Sight, Error> {
        let others = names.iter().filter_map(task_of).flat_map(|task| RefName::other_claims(&task));
        let names: Vec<RefName> = names.iter().cloned().chain(others).collect();
        let brought: Vec<RefName> = names.iter().filter(|name| !is_log(name)).cloned().collect();
        for _ in 0..MAX_TRIES {
            let mut sight = self.repo.look_at(remote, &[&[RefName::fleet()], &*names].concat())?;
            crash_point("looked");
            self.check_fleet(fleet, remote, &sight)?;
            if self.bring(remote, &sight, &brought)? {
                sight.remove(&RefName::fleet());
                return Ok(sight);
            }
        }
        let reference = names.first().map_or_else(String::new, |name| name.as_str().to_owned());
        Err(Error::RefContended { reference, tries: MAX_TRIES })
    }

    /// Notes that what was sent of a ref is not under way any more: it has come, or cannot come, because the ref has moved or the
    /// remote has refused it.
    pub(super) fn note_outcome(&self, name: &RefName, moved: bool, pushed: &Pushed) -> Result<(), Error> {
        let sent = self.private.sent(name.rest());
        if (moved || matches!(pushed, Pushed::Refused(_))) && sent.inspect()?.is_some() {
            remove(&sent.path())?;
        }
        Ok(())
    }

    /// Brings a shared ref of this clone in line with what was seen. What only this clone has, from before it joined, gives way, and is kept
    /// under `refs/bus/lost/`; then that place is returned.
    ///
    /// # Errors
    ///
    /// [`Error::OddRef`] where what the remote has is none of ours: what stands here stays.
    pub(super) fn adopt_shared(
        &self,
        lock: &mut Lock,
        remote: &Remote,
        name: &RefName,
        sight: &Sight,
    ) -> Result<Option<RefName>, Error> {
        let mut gave_way = None;
        if let Some(theirs) = sight.get(name).copied() {
            let link = self.readable_shared(name, theirs)?;
            let ours = self.repo.id_of(name)?;
            let stands = ours.map_or(Ok(false), |ours| self.repo.descends(ours, theirs))?;
            if let Some(ours) = ours.filter(|_| !stands)
                && !self.repo.descends(theirs, ours)?
            {
                let kept = RefName::own(&format!("lost/{}/{ours}", name.rest())).expect("an object id is a good end of a name");
                lock.about_to_write(kept.as_str())?;
                self.repo.put(&kept, ours)?;
                gave_way = Some(kept);
            }
            if !stands {
                lock.about_to_write(name.as_str())?;
                self.repo.put(name, theirs)?;
            }
            crash_point("adopted");
            if !stands && *name == RefName::locks() {
                self.settle_last_leases(lock, &link)?;
            }
        }
        self.note_seen(lock, remote, name, sight.get(name).copied())?;
        Ok(gave_way)
    }

    /// Reads a state of a shared ref, and refuses one that means nothing.
    fn readable_shared(&self, name: &RefName, id: ObjectId) -> Result<Link, Error> {
        let odd = |what: String| self.odd_ref(name, &format!("cannot be read: {what}"));
        let link = self.repo.link(id)?.map_err(odd)?;
        let fault = match *name == RefName::locks() {
            true => LeaseTable::parse(&link.body).err(),
            false => json::parse_record(&link.body).err(),
        };
        fault.map_or(Ok(link), |fault| Err(odd(fault.to_string())))
    }
}

/// Waits a little before the next try, so that many that lost a race do not come all at once.
pub(super) fn pause_before(tries: usize) {
    std::thread::sleep(jittered(PAUSE * u32::try_from(tries).unwrap_or(1)));
}

/// What it means that the look after a push has failed.
pub(super) fn unknown(fleet: &Fleet, pushed: &Pushed, error: Error) -> Error {
    match (pushed, error) {
        // It never came through: the look fails in the same words.
        (Pushed::Unclear(what), Error::Git(error)) if error.to_string().ends_with(what.as_str()) => Error::Git(error),
        (_, Error::Git(error)) => FleetFault::Unknown { remote: fleet.remote.clone(), what: error.to_string() }.into(),
        (_, error) => error,
    }
}

/// Whether a refusal is a race for the remote's own lock of the ref, so that another try may do.
fn is_contention(what: &str) -> bool {
    let words = ["lock ref", "failed to lock", "failed to update ref", "atomic transaction failed", "stale info", "fetch first"];
    words.iter().chain(&["non-fast-forward"]).any(|word| what.contains(word))
}
