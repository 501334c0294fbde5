//! Refs of the bus of which a fleet has one for all: the table of leases, the numbers of the queue.
//! They change as a claim's does (design, section 3, *Fleet*): decided here, pushed with the
//! remote's value as lease, looked at again.

use std::time::Duration;

use super::poll::jittered;
use super::sync::{is_log, task_of};
use super::{adopt, odd_ref, propose_claim};
use crate::bus::workspace::{FleetFault, MAX_TRIES, Workspace, remove};
use crate::bus::{Error, lease};
use crate::git::{Link, ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::{Fleet, LeaseTable, json};
use crate::store::{Lock, crash_point, stamp};

/// The pause before the second try; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(30);

/// What is known when a decision is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::bus) struct Known {
    /// What stands here is fresh from the remote.
    pub(in crate::bus) seen: bool,
    /// Something that was sent may still come to the remote, unless that moves on.
    pub(in crate::bus) under_way: bool,
}

/// What a decision about a shared ref comes to.
pub(in crate::bus) enum Turn<T> {
    /// It is so already, or was done.
    Done(T),
    /// What is known here is not enough to say so: look at the remote.
    Look,
    /// The remote is to take this commit, which follows the local tip.
    Push(ObjectId, T),
}

/// Changes the ref called `name` as `decide` says, where the remote of `fleet` agrees; `decide` is
/// called under the lock, and told what is known. Once the remote has the commit, `finish` is
/// called, under the lock again, with what `decide` gave for it.
pub(in crate::bus) fn change_shared<T>(
    ws: &Workspace,
    fleet: &Fleet,
    name: &RefName,
    decide: impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
    finish: impl Fn(&mut Lock, T) -> Result<T, Error>,
) -> Result<T, Error> {
    let remote = ws.remote_of(fleet)?;
    let change = || try_to_change_shared(ws, fleet, &remote, name, &decide, &finish);
    change().or_else(|error| {
        odd_ref::make_way(ws, fleet, &remote, std::slice::from_ref(name), error)?;
        change()
    })
}

fn try_to_change_shared<T>(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    name: &RefName,
    decide: &impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
    finish: &impl Fn(&mut Lock, T) -> Result<T, Error>,
) -> Result<T, Error> {
    let sent = ws.private.sent(name.rest());
    let (mut seen, mut tries) = (false, 0);
    for _ in 0..2 * MAX_TRIES {
        let expected = ws.seen_at(remote, name)?;
        let known = Known { seen, under_way: sent.path().exists() };
        let turn = match decide(&mut ws.lock()?, known)? {
            Turn::Push(new, _)
                if expected.is_some_and(|seen| !ws.repo.descends(new, seen).unwrap_or(false)) =>
            {
                Turn::Look
            }
            turn => turn,
        };
        seen = true;
        let (new, done) = match turn {
            Turn::Done(done) => return finish(&mut ws.lock()?, done),
            Turn::Look => {
                let sight = look_at_shared(ws, fleet, remote, name)?;
                adopt_shared(ws, &mut ws.lock()?, remote, name, &sight)?;
                continue;
            }
            Turn::Push(new, done) => (new, done),
        };
        tries += 1;
        stamp(&sent);
        let pushed = propose_claim::push_claims(
            ws,
            remote,
            vec![Swap { name: name.clone(), expected, new: Some(new) }],
        )?;
        crash_point("pushed");
        let sight = look_at_shared(ws, fleet, remote, name)
            .map_err(|error| unknown(fleet, &pushed, error))?;
        let now = sight.get(name).copied();
        let landed = now.map_or(Ok(false), |now| ws.repo.descends(now, new))?;
        let mut lock = ws.lock()?;
        adopt_shared(ws, &mut lock, remote, name, &sight)?;
        note_outcome(ws, name, landed || now != expected, &pushed)?;
        if landed {
            return finish(&mut lock, done);
        }
        if let Some(fault) = final_fault(ws, fleet, pushed, now != expected, tries >= MAX_TRIES) {
            return Err(fault.into());
        }
        drop(lock);
        pause_before(tries);
    }
    Err(Error::RefContended { reference: name.as_str().to_owned(), tries: MAX_TRIES })
}

/// Why it makes no sense to try again what the remote has not taken; none where it does.
pub(super) fn final_fault(
    _ws: &Workspace,
    fleet: &Fleet,
    pushed: Pushed,
    moved: bool,
    is_last: bool,
) -> Option<FleetFault> {
    let remote = fleet.remote.clone();
    match pushed {
        Pushed::TimedOut => {
            Some(FleetFault::Unknown { remote, what: "it took too long".to_owned() })
        }
        Pushed::Refused(what) if is_last || (!moved && !is_contention(&what)) => {
            Some(FleetFault::Refused { remote, what })
        }
        Pushed::Unclear(what) if is_last => Some(FleetFault::Unknown { remote, what }),
        _ => None,
    }
}

fn look_at_shared(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    name: &RefName,
) -> Result<Sight, Error> {
    let claims = if *name == RefName::locks() { lease::claims_of_leases(ws)? } else { Vec::new() };
    let names: Vec<RefName> = [name.clone()].into_iter().chain(claims).collect();
    let sight = look_for(ws, fleet, remote, &names)?;
    let mut lock = ws.lock()?;
    // What a lease lives with is as fresh as the lease.
    for task in sight.keys().filter_map(task_of) {
        // One that cannot be read keeps no other lease from anybody: its own counts as alive.
        if adopt::adopt_claim(ws, &mut lock, &task, &sight).is_ok() {
            adopt::note_claim_seen(ws, &mut lock, remote, &task, &sight)?;
        }
    }
    Ok(sight)
}

/// What the remote has of these refs, if it serves this clone's fleet. The objects are brought
/// here, but for those of logs, which may be long.
pub(super) fn look_for(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    names: &[RefName],
) -> Result<Sight, Error> {
    let others = names.iter().filter_map(task_of).flat_map(|task| RefName::other_claims(&task));
    let names: Vec<RefName> = names.iter().cloned().chain(others).collect();
    let brought: Vec<RefName> = names.iter().filter(|name| !is_log(name)).cloned().collect();
    for _ in 0..MAX_TRIES {
        let mut sight = ws.repo.look_at(remote, &[&[RefName::fleet()], &*names].concat())?;
        crash_point("looked");
        ws.check_fleet(fleet, remote, &sight)?;
        if ws.bring(remote, &sight, &brought)? {
            sight.remove(&RefName::fleet());
            return Ok(sight);
        }
    }
    let reference = names.first().map_or_else(String::new, |name| name.as_str().to_owned());
    Err(Error::RefContended { reference, tries: MAX_TRIES })
}

/// Notes that what was sent of a ref is not under way any more: it has come, or cannot come,
/// because the ref has moved or the remote has refused it.
pub(super) fn note_outcome(
    ws: &Workspace,
    name: &RefName,
    moved: bool,
    pushed: &Pushed,
) -> Result<(), Error> {
    let sent = ws.private.sent(name.rest());
    if (moved || matches!(pushed, Pushed::Refused(_))) && sent.inspect()?.is_some() {
        remove(&sent.path())?;
    }
    Ok(())
}

/// Brings a shared ref of this clone in line with what was seen. What only this clone has, from
/// before it joined, gives way, and is kept under `refs/bus/lost/`; then that place is returned.
///
/// # Errors
///
/// [`Error::OddRef`] where what the remote has is none of ours: what stands here stays.
pub(super) fn adopt_shared(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    name: &RefName,
    sight: &Sight,
) -> Result<Option<RefName>, Error> {
    let mut gave_way = None;
    if let Some(theirs) = sight.get(name).copied() {
        let link = readable_shared(ws, name, theirs)?;
        let ours = ws.repo.id_of(name)?;
        let stands = ours.map_or(Ok(false), |ours| ws.repo.descends(ours, theirs))?;
        if let Some(ours) = ours.filter(|_| !stands)
            && !ws.repo.descends(theirs, ours)?
        {
            let kept = RefName::own(&format!("lost/{}/{ours}", name.rest()))
                .expect("an object id is a good end of a name");
            lock.about_to_write(kept.as_str())?;
            ws.repo.put(&kept, ours)?;
            gave_way = Some(kept);
        }
        if !stands {
            lock.about_to_write(name.as_str())?;
            ws.repo.put(name, theirs)?;
        }
        crash_point("adopted");
        if !stands && *name == RefName::locks() {
            lease::settle_last_leases(ws, lock, &link)?;
        }
    }
    adopt::note_seen(ws, lock, remote, name, sight.get(name).copied())?;
    Ok(gave_way)
}

/// Reads a state of a shared ref, and refuses one that means nothing.
fn readable_shared(ws: &Workspace, name: &RefName, id: ObjectId) -> Result<Link, Error> {
    let odd = |what: String| odd_ref::odd_ref(ws, name, &format!("cannot be read: {what}"));
    let link = ws.repo.link(id)?.map_err(odd)?;
    let fault = match *name == RefName::locks() {
        true => LeaseTable::parse(&link.body).err(),
        false => json::parse_record(&link.body).err(),
    };
    fault.map_or(Ok(link), |fault| Err(odd(fault.to_string())))
}

/// Waits a little before the next try, so that many that lost a race do not come all at once.
pub(super) fn pause_before(tries: usize) {
    std::thread::sleep(jittered(PAUSE * u32::try_from(tries).unwrap_or(1)));
}

/// What it means that the look after a push has failed.
pub(super) fn unknown(fleet: &Fleet, pushed: &Pushed, error: Error) -> Error {
    match (pushed, error) {
        // It never came through: the look fails in the same words.
        (Pushed::Unclear(what), Error::Git(error))
            if error.to_string().ends_with(what.as_str()) =>
        {
            Error::Git(error)
        }
        (_, Error::Git(error)) => {
            FleetFault::Unknown { remote: fleet.remote.clone(), what: error.to_string() }.into()
        }
        (_, error) => error,
    }
}

/// Whether a refusal is a race for the remote's own lock of the ref, so that another try may do.
fn is_contention(what: &str) -> bool {
    let words = [
        "lock ref",
        "failed to lock",
        "failed to update ref",
        "atomic transaction failed",
        "stale info",
        "fetch first",
    ];
    words.iter().chain(&["non-fast-forward"]).any(|word| what.contains(word))
}
