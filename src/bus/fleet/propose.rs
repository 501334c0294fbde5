//! A change that a fleet's remote decides (docs/design.md, section 1.4).
//!
//! Decide on what is known here, write the commit, push it with the remote's known value as lease,
//! look again, and only then bring the local refs to what was seen and settle. What the push prints
//! proves nothing. No refusal, and no "already yours", comes from local knowledge alone. The lock
//! is never held across the network.

use std::time::Duration;

use super::carried_log::CarriedLog;
use super::odd_ref;
use super::poll::jittered;
use super::push::push_swaps;
use crate::bus::Error;
use crate::bus::workspace::{FleetFault, Known, MAX_TRIES, Turn, Workspace, remove};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::Fleet;
use crate::store::{Lock, crash_point, stamp};

/// The pause before the second try; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(30);

/// A workspace, and the remote that decides for its fleet.
#[derive(Clone, Copy)]
pub(super) struct There<'a> {
    pub(super) ws: &'a Workspace,
    pub(super) fleet: &'a Fleet,
    pub(super) remote: &'a Remote,
}

/// What came of a push and the look after it.
pub(super) struct Answer {
    /// What the remote was last seen at before the push.
    pub(super) expected: Option<ObjectId>,
    pub(super) pushed: Pushed,
    pub(super) sight: Sight,
}

/// Something that is proposed to a fleet's remote: a state of one ref, and what goes with it.
pub(super) trait Proposal {
    /// What is written, once it was decided.
    type Step;
    /// What the caller learns.
    type Done;

    /// The ref that decides.
    fn name(&self) -> &RefName;

    /// All refs that it needs on the remote.
    fn names(&self) -> Vec<RefName> {
        vec![self.name().clone()]
    }

    /// Decides under the lock, on what is known here.
    fn decide(&self, lock: &mut Lock, known: Known) -> Result<Turn<Self::Step>, Error>;

    /// Whether `to` may be pushed although it does not follow `from`, which the remote has.
    fn replaces(&self, _from: ObjectId, _to: ObjectId) -> Result<bool, Error> {
        Ok(false)
    }

    /// What goes with it: all is taken, or nothing.
    fn beside(&self, _step: &Self::Step) -> Option<Swap> {
        None
    }

    /// Whether this clone's log goes with it.
    fn takes_log(&self) -> bool;

    /// What the remote has of its refs, and of the `log` if one is named.
    fn look(&self, log: Option<&RefName>) -> Result<Sight, Error>;

    /// Brings this clone's refs in line with what was seen.
    fn adopt(&self, lock: &mut Lock, sight: &Sight) -> Result<(), Error>;

    /// Takes back what the look after the push shows to be a mistake.
    fn check(&self, _step: &Self::Step, answer: Answer) -> Result<Answer, Error> {
        Ok(answer)
    }

    /// Ends what needed no push.
    fn done(&self, lock: &mut Lock, step: Self::Step) -> Result<Self::Done, Error>;

    /// Ends what the remote has taken, or says with `None` that it must be decided anew.
    fn landed(&self, lock: &mut Lock, step: Self::Step) -> Result<Option<Self::Done>, Error>;
}

/// Proposes a change to the remote until it comes to something. If refs that are none of the bus's
/// are in its way there, they are moved aside, and it is tried once more.
///
/// # Errors
///
/// [`FleetFault::Refused`] if the remote does not take it, [`FleetFault::Unknown`] if it does not
/// say; [`Error::RefContended`] if others were faster each time; else what the proposal refuses.
pub(super) fn propose<P: Proposal>(there: There<'_>, proposal: &P) -> Result<P::Done, Error> {
    try_to_propose(there, proposal).or_else(|error| {
        odd_ref::make_way(there.ws, there.fleet, there.remote, &proposal.names(), error)?;
        try_to_propose(there, proposal)
    })
}

fn try_to_propose<P: Proposal>(there: There<'_>, proposal: &P) -> Result<P::Done, Error> {
    let There { ws, fleet, remote } = there;
    let name = proposal.name();
    let sent = ws.private.sent(name.rest());
    let mut log = CarriedLog::default();
    let (mut seen, mut tries) = (false, 0);
    // Each try may take a look of its own before it, and one that the log has spoilt counts for
    // nothing.
    for _ in 0..3 * MAX_TRIES {
        let known = Known { seen, under_way: sent.path().exists() };
        let (expected, turn) = {
            let mut lock = ws.lock()?;
            (ws.seen_at(remote, name)?, proposal.decide(&mut lock, known)?)
        };
        seen = true;
        let (new, step) = match turn {
            Turn::Done(step) => return proposal.done(&mut ws.lock()?, step),
            Turn::Write { to, what, .. } if may_follow(there, proposal, expected, to)? => {
                (to, what)
            }
            Turn::Look | Turn::Write { .. } => {
                let sight = proposal.look(None)?;
                proposal.adopt(&mut ws.lock()?, &sight)?;
                continue;
            }
        };
        if proposal.takes_log() {
            log.load(ws, remote);
        }
        stamp(&sent);
        let swap = Swap { name: name.clone(), expected, new: Some(new) };
        let beside = proposal.beside(&step).into_iter().chain(log.swap().cloned());
        let pushed = push_swaps(ws, remote, [swap].into_iter().chain(beside).collect())?;
        crash_point("pushed");
        let sight = proposal.look(log.swap().map(|swap| &swap.name));
        let sight = sight.map_err(|error| unknown(fleet, &pushed, error))?;
        let answer = Answer { expected, pushed, sight };
        if log.unload(ws, remote, name, &answer) {
            proposal.adopt(&mut ws.lock()?, &answer.sight)?;
            continue;
        }
        tries += 1;
        let Answer { pushed, sight, .. } = proposal.check(&step, answer)?;
        let now = sight.get(name).copied();
        let landed = now.map_or(Ok(false), |now| ws.repo.descends(now, new))?;
        let mut lock = ws.lock()?;
        proposal.adopt(&mut lock, &sight)?;
        note_outcome(ws, name, landed || now != expected, &pushed)?;
        let done = if landed { proposal.landed(&mut lock, step)? } else { None };
        drop(lock);
        if let Some(done) = done {
            log.mention_fault(ws);
            return Ok(done);
        }
        if !landed && let Some(fault) = final_fault(fleet, pushed, now != expected, tries) {
            return Err(fault.into());
        }
        if tries >= MAX_TRIES {
            break;
        }
        pause_before(tries);
    }
    Err(Error::contended(name))
}

/// A push may only go forward from what the remote has.
fn may_follow<P: Proposal>(
    there: There<'_>,
    proposal: &P,
    expected: Option<ObjectId>,
    new: ObjectId,
) -> Result<bool, Error> {
    expected.map_or(Ok(true), |expected| {
        Ok(there.ws.repo.descends(new, expected)? || proposal.replaces(expected, new)?)
    })
}

/// Why it makes no sense to try again what the remote has not taken after so many `tries`, or
/// `None` if it does.
pub(super) fn final_fault(
    fleet: &Fleet,
    pushed: Pushed,
    moved: bool,
    tries: usize,
) -> Option<FleetFault> {
    let (remote, is_last) = (fleet.remote.clone(), tries >= MAX_TRIES);
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

/// Notes that what was sent of a ref is not under way any more: it has come, or cannot come,
/// because the ref has moved or the remote has refused it.
fn note_outcome(ws: &Workspace, name: &RefName, moved: bool, pushed: &Pushed) -> Result<(), Error> {
    let sent = ws.private.sent(name.rest());
    if (moved || matches!(pushed, Pushed::Refused(_))) && sent.inspect()?.is_some() {
        remove(&sent.path())?;
    }
    Ok(())
}

/// Waits a little before the next try, so that many that lost a race do not come all at once.
fn pause_before(tries: usize) {
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
        "non-fast-forward",
    ];
    words.iter().any(|word| what.contains(word))
}
