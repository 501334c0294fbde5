//! A change of a claim in a fleet: the remote decides (design, section 3, *Fleet*).
//!
//! Decide on what is known here, write the commit, push it with the remote's known value as lease,
//! look again, and only then bring the local ref to what was seen and settle. What the push prints
//! proves nothing. No refusal, and no "already yours", comes from local knowledge alone. The lock
//! is never held across the network.

use super::log_out::LogCommit;
use super::propose_ref::{pause_before, unknown};
use super::sync::{is_log, task_of};
use super::{adopt, log_out, odd_ref, old_spelling, own_log, propose_ref};
use crate::bus::claim::{Changed, Next, Outcome, Refusal, State, View};
use crate::bus::lease::{Leased, Written};
use crate::bus::workspace::{FleetFault, MAX_TRIES, Note, Who, Workspace};
use crate::bus::{Error, claim, lease, ops};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::{AgentId, Claim, Event, Fleet, TaskId};
use crate::store::{Lock, crash_point, stamp};

/// A change of the table of leases that goes to the remote together with a claim.
pub(in crate::bus) struct Beside {
    pub(in crate::bus) swap: Swap,
    pub(in crate::bus) leases: Written<Vec<Leased>>,
}

/// Makes what goes to the remote together with the claim that it is given.
pub(in crate::bus) type WithClaim<'a> =
    dyn Fn(&mut Lock, &Remote, &Who, &Claim) -> Result<Option<Beside>, Error> + 'a;

/// What is to be done next.
enum Step {
    /// Nothing: it is done.
    Done(Box<Changed>),
    /// What is known here is not enough: look at the remote.
    Look(TaskId),
    /// Ask the remote for this state.
    Push(Box<Attempt>),
}

/// A state that the remote is asked for.
struct Attempt {
    task: TaskId,
    state: State,
    event: Option<Event>,
    outcome: Outcome,
    previous: Option<Claim>,
    /// What the remote was last seen at.
    expected: Option<ObjectId>,
    beside: Option<Beside>,
}

/// What came of a push and the look after it.
struct Answer {
    pushed: Pushed,
    sight: Sight,
}

/// This clone's log, which goes to the remote together with a claim.
#[derive(Default)]
struct Carried {
    swap: Option<Swap>,
    /// What the remote was last seen to have of it.
    seen: Option<ObjectId>,
    /// The remote has lost it.
    is_lost: bool,
    /// Why it does not go with the claim any more: it must never keep one from being made.
    fault: Option<String>,
}

/// Changes the claim of the task that is asked for, as `decide` says, where the remote of `fleet`
/// agrees.
pub(in crate::bus) fn change_in_fleet(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    asked: &TaskId,
    decide: impl Fn(&View, &Who) -> Result<Next, Error>,
) -> Result<Changed, Error> {
    Ok(change_with(ws, fleet, agent, asked, decide, None)?.0)
}

/// The same together with a change of the table of leases, which `beside` makes for the claim that
/// is asked for: both, or none. Returns the leases, too, where there was a claim to ask for.
pub(in crate::bus) fn change_with(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    asked: &TaskId,
    decide: impl Fn(&View, &Who) -> Result<Next, Error>,
    beside: Option<&WithClaim<'_>>,
) -> Result<(Changed, Vec<Leased>), Error> {
    let remote = ws.remote_of(fleet)?;
    let change = || try_to_change(ws, fleet, &remote, agent, asked, (&decide, beside));
    change().or_else(|error| {
        let leases = beside.map(|_| RefName::locks());
        let names: Vec<RefName> = [RefName::claim(asked)].into_iter().chain(leases).collect();
        odd_ref::make_way(ws, fleet, &remote, &names, error)?;
        change()
    })
}

fn try_to_change(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    agent: &AgentId,
    asked: &TaskId,
    (decide, beside): (&impl Fn(&View, &Who) -> Result<Next, Error>, Option<&WithClaim<'_>>),
) -> Result<(Changed, Vec<Leased>), Error> {
    let (mut seen, mut tries) = (false, 0);
    let mut log = Carried::default();
    // Each try may take a look of its own before it, and one that the log has spoilt counts for
    // nothing.
    for _ in 0..3 * MAX_TRIES {
        match decide_here(ws, remote, agent, asked, (decide, beside), seen)? {
            Step::Done(changed) => return Ok((*changed, Vec::new())),
            Step::Look(task) => {
                let sight = look(ws, fleet, remote, &task, beside.is_some(), None)?;
                adopt::adopt(ws, &mut ws.lock()?, remote, &task, &sight)?;
                seen = true;
            }
            Step::Push(attempt) => {
                load(ws, remote, &mut log);
                let answer = ask(ws, fleet, remote, &attempt, log.swap.as_ref())?;
                seen = true;
                if unload(ws, remote, (&attempt.task, attempt.expected), &answer, &mut log) {
                    adopt::adopt(ws, &mut ws.lock()?, remote, &attempt.task, &answer.sight)?;
                    continue;
                }
                tries += 1;
                let taken = take_answer(ws, fleet, remote, agent, &attempt, answer, tries)?;
                if taken.is_none() {
                    pause_before(tries);
                }
                if let Some(changed) = taken {
                    log.fault.into_iter().for_each(|why| ws.notes.add(Note::Unsent(why)));
                    let leases =
                        attempt.beside.map_or_else(Vec::new, |beside| beside.leases.answer);
                    return Ok((changed, leases));
                }
            }
        }
    }
    Err(Error::RefContended {
        reference: RefName::claim(asked).as_str().to_owned(),
        tries: MAX_TRIES,
    })
}

/// Decides under the lock, on what is known here; `seen` is whether that is fresh from the remote.
fn decide_here(
    ws: &Workspace,
    remote: &Remote,
    agent: &AgentId,
    asked: &TaskId,
    (decide, beside): (&impl Fn(&View, &Who) -> Result<Next, Error>, Option<&WithClaim<'_>>),
    seen: bool,
) -> Result<Step, Error> {
    let mut lock = ws.lock()?;
    let who = ws.who(agent.clone())?;
    let view = claim::mended_view(ws, &mut lock, asked)?;
    let previous = view.claim().cloned();
    let next = match decide(&view, &who) {
        Err(error) if !seen && is_about_ownership(&error) => return Ok(Step::Look(view.task)),
        Ok(Next::Settle) if !seen && !is_own(&view, &who) => return Ok(Step::Look(view.task)),
        next => next?,
    };
    let (verb, claim, outcome) = match (next, &view.tip) {
        (Next::Write { verb, claim, outcome }, _) => (verb, claim, outcome),
        // "Already yours" is asked of the remote by a sign of life. That stops what was sent and
        // did not come through, and of two clones with one id only one can send it.
        (Next::Settle, Some(tip)) if is_own(&view, &who) => {
            match claim::pulse(ws, &view, view.claim().unwrap_or(&tip.claim)) {
                Next::Write { verb, claim, .. } => (verb, claim, Outcome::Unchanged),
                Next::Settle => return Ok(Step::Look(view.task)),
            }
        }
        (Next::Settle, Some(tip)) if is_published(ws, remote, tip)? => {
            claim::settle(ws, &lock, tip)?;
            ops::forget_next(ws, &who, &view.task)?;
            let claim = tip.claim.clone();
            return Ok(Step::Done(Box::new(Changed {
                outcome: Outcome::Unchanged,
                previous,
                claim,
            })));
        }
        // It is so here, and the fleet does not know, or there is no ref of it any more.
        (Next::Settle, _) => match view.claim() {
            Some(claim) => ("confirm", Box::new(claim.clone()), Outcome::Confirmed),
            None => return Err(Error::NotHeld { task: view.task, ended: None }),
        },
    };
    let expected = ws.seen_at(remote, &view.name)?;
    let claim = Claim { confirmed: None, ..*claim };
    let is_new = matches!(outcome, Outcome::Claimed | Outcome::Reopened | Outcome::Moved);
    let beside = beside
        .filter(|_| is_new)
        .map_or(Ok(None), |beside| beside(&mut lock, remote, &who, &claim));
    let beside = match beside {
        Err(error) if !seen && is_about_ownership(&error) => return Ok(Step::Look(view.task)),
        beside => beside?,
    };
    if let Some(Swap { expected: Some(expected), new: Some(new), .. }) =
        beside.as_ref().map(|beside| &beside.swap)
        && !ws.repo.descends(*new, *expected)?
    {
        return Ok(Step::Look(view.task));
    }
    let (state, event) = match verb {
        // What leaves the owner as it is is written here first: a release that is done here
        // meanwhile then goes on from it.
        "confirm" | "heartbeat" => {
            match claim::write_state(ws, &mut lock, &view, &who, verb, &claim)? {
                Some(written) => written,
                None => return Ok(Step::Look(view.task)),
            }
        }
        _ => claim::prepare_state(ws, &lock, &view, &who, verb, &claim)?,
    };
    // A push may only go forward from what the remote has.
    if let Some(expected) = expected
        && !ws.repo.descends(state.link.id, expected)?
        && !forks_from_archive(ws, &view.task, expected)?
        && !old_spelling::gives_way(ws, remote, &view.task, expected, state.link.id)?
    {
        return Ok(Step::Look(view.task));
    }
    Ok(Step::Push(Box::new(Attempt {
        task: view.task,
        state,
        event,
        outcome,
        previous,
        expected,
        beside,
    })))
}

/// Has this clone's log, up to now, go with the next push, unless that has failed before.
fn load(ws: &Workspace, remote: &Remote, log: &mut Carried) {
    let due = if log.fault.is_none() {
        log_out::log_due(ws, remote, log.is_lost, LogCommit::Always)
    } else {
        Ok(None)
    };
    log.fault = log.fault.take().or_else(|| due.as_ref().err().map(ToString::to_string));
    log.swap = due.ok().flatten();
    log.seen = log.swap.as_ref().and_then(|swap| ws.seen_at(remote, &swap.name).ok().flatten());
}

/// Notes what came of the log that went with a push; returns whether it may have kept the claim
/// back, so that the same must be tried again.
fn unload(
    ws: &Workspace,
    remote: &Remote,
    (task, expected): (&TaskId, Option<ObjectId>),
    answer: &Answer,
    log: &mut Carried,
) -> bool {
    let Some(swap) = log.swap.take() else { return false };
    let now = answer.sight.get(&swap.name).copied();
    let claim = answer.sight.get(&RefName::claim(task)).copied();
    let is_stuck = claim == expected && answer.pushed != Pushed::Done;
    let noted = if now == swap.new {
        ws.lock().and_then(|mut lock| adopt::note_seen(ws, &mut lock, remote, &swap.name, now))
    } else if now != swap.expected {
        // Somebody else has changed it.
        log.is_lost = now.is_none();
        bring_own_log(ws, remote, &swap.name, now, log.seen)
    } else {
        log.fault = is_stuck.then(|| answer.pushed.story());
        Ok(())
    };
    log.fault = log.fault.take().or_else(|| noted.err().map(|error| error.to_string()));
    is_stuck
}

/// Brings this clone's own log in line with what the remote has of it now, and was seen to have
/// before.
fn bring_own_log(
    ws: &Workspace,
    remote: &Remote,
    name: &RefName,
    now: Option<ObjectId>,
    before: Option<ObjectId>,
) -> Result<(), Error> {
    let sight: Sight = now.map(|now| (name.clone(), now)).into_iter().collect();
    if !ws.bring(remote, &sight, std::slice::from_ref(name))? {
        // It has moved on: the next try sees where to.
        return Ok(());
    }
    own_log::adopt_own_log(ws, &mut ws.lock()?, remote, name, now, before).map(drop)
}

/// Pushes what is attempted, and looks again.
fn ask(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    attempt: &Attempt,
    log: Option<&Swap>,
) -> Result<Answer, Error> {
    let name = RefName::claim(&attempt.task);
    stamp(&ws.private.sent(name.rest()));
    let claim = Swap { name, expected: attempt.expected, new: Some(attempt.state.link.id) };
    let beside = attempt.beside.as_ref().map(|beside| beside.swap.clone());
    let pushed =
        push_claims(ws, remote, [claim].into_iter().chain(beside).chain(log.cloned()).collect())?;
    crash_point("pushed");
    match look(ws, fleet, remote, &attempt.task, attempt.beside.is_some(), log.map(|log| &log.name))
    {
        Ok(sight) => Ok(Answer { pushed, sight }),
        Err(error) => Err(unknown(fleet, &pushed, error)),
    }
}

/// Pushes claims, all or none, only to the remote of this clone's fleet, and new ones only where
/// the archive is as it was last seen: a task that was put away is not begun anew.
pub(super) fn push_claims(
    ws: &Workspace,
    remote: &Remote,
    mut swaps: Vec<Swap>,
) -> Result<Pushed, Error> {
    for swap in swaps.iter().filter(|swap| swap.expected.is_none()) {
        if let (Some(new), Some(task)) = (swap.new, task_of(&swap.name))
            && forks_from_archive(ws, &task, new)?
        {
            return Ok(Pushed::Refused(format!(
                "{} (stale info): it was put away",
                swap.name.as_str()
            )));
        }
    }
    let archive = RefName::archive();
    if swaps.iter().any(|swap| swap.expected.is_none() && !is_log(&swap.name))
        && !swaps.iter().any(|swap| swap.name == archive)
    {
        let seen = ws.seen_at(remote, &archive)?;
        let new = claim::archive_for(ws, seen)?;
        // One that is none says nothing of any task.
        if seen.is_none_or(|seen| seen == new) {
            swaps.push(Swap { name: archive, expected: seen, new: Some(new) });
        }
    }
    swaps.extend(old_spelling::merge_with(ws, remote, &swaps)?);
    if let Some(fleet) = ws.fleet()? {
        let root = Some(ws.fleet_root(&fleet.id)?);
        swaps.push(Swap { name: RefName::fleet(), expected: root, new: root });
    }
    Ok(ws.repo.push(remote, &swaps, true)?)
}

/// Whether `task` was put away at a state that the chain which ends at `tip` does not have.
pub(super) fn forks_from_archive(
    ws: &Workspace,
    task: &TaskId,
    tip: ObjectId,
) -> Result<bool, Error> {
    claim::archived_id(ws, task)?
        .map_or(Ok(false), |put_away| Ok(!ws.repo.descends(tip, put_away)?))
}

/// What the answer means for the attempt; nothing where it must be decided anew.
fn take_answer(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    agent: &AgentId,
    attempt: &Attempt,
    answer: Answer,
    tries: usize,
) -> Result<Option<Changed>, Error> {
    let name = RefName::claim(&attempt.task);
    let answer = withdraw_second(ws, fleet, remote, attempt, answer)?;
    let now = answer.sight.get(&name).copied();
    let wanted = attempt.state.link.id;
    let landed = now.map_or(Ok(false), |now| ws.repo.descends(now, wanted))?;
    let mut lock = ws.lock()?;
    adopt::adopt(ws, &mut lock, remote, &attempt.task, &answer.sight)?;
    let (moved, is_last) = (now != attempt.expected, tries >= MAX_TRIES);
    propose_ref::note_outcome(ws, &name, landed || moved, &answer.pushed)?;
    if landed {
        return take_landed(ws, &mut lock, agent, attempt);
    }
    match propose_ref::final_fault(ws, fleet, answer.pushed, moved, is_last) {
        Some(fault) => Err(fault.into()),
        None if is_last => Err(Error::RefContended { reference: name.as_str().to_owned(), tries }),
        None => Ok(None),
    }
}

/// Takes a new claim back at once if the remote turns out to have another spelling of the task:
/// nobody knew of that, so the push could not ask for it, and what it says comes first. A remote
/// that does not take it back has two, and the older one stands.
fn withdraw_second(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    attempt: &Attempt,
    answer: Answer,
) -> Result<Answer, Error> {
    let (name, wanted) = (RefName::claim(&attempt.task), attempt.state.link.id);
    let claim = &attempt.state.claim;
    let is_new = claim.status.is_live()
        && !attempt.previous.as_ref().is_some_and(|before| before.same_claim(claim));
    let has_others =
        RefName::other_claims(&attempt.task).iter().any(|other| answer.sight.contains_key(other));
    if !is_new || !has_others || answer.sight.get(&name) != Some(&wanted) {
        return Ok(answer);
    }
    let back =
        |swap: &Swap| Swap { name: swap.name.clone(), expected: swap.new, new: swap.expected };
    let mut swaps = vec![Swap { name, expected: Some(wanted), new: attempt.expected }];
    swaps.extend(attempt.beside.as_ref().map(|beside| back(&beside.swap)));
    ws.repo.push(remote, &swaps, true)?;
    let sight = look(ws, fleet, remote, &attempt.task, attempt.beside.is_some(), None)?;
    Ok(Answer {
        pushed: Pushed::Refused("stale info: it has another spelling of the task".to_owned()),
        sight,
    })
}

/// Our commit is in the remote's chain. It is ours only where the tip still says so; else somebody
/// went on from it.
fn take_landed(
    ws: &Workspace,
    lock: &mut Lock,
    agent: &AgentId,
    attempt: &Attempt,
) -> Result<Option<Changed>, Error> {
    let who = ws.who(agent.clone())?;
    let Some(tip) = claim::tip(ws, &attempt.task)? else { return Ok(None) };
    let (claim, previous) = (attempt.state.claim.clone(), attempt.previous.clone());
    let is_ours = who.owns(&tip.claim) && tip.claim.same_claim(&claim);
    // What was ended is ended, whoever goes on from there. A clone that has another id now owns
    // nothing that it asked for before.
    if claim.status.is_live() && !is_ours {
        claim::settle_event(ws, lock, &attempt.state)?;
        return Ok(None);
    }
    if tip.link.id == attempt.state.link.id {
        claim::settle_landed(ws, lock, &tip, attempt.event.as_ref())?;
    } else {
        claim::settle_event(ws, lock, &attempt.state)?;
        if is_ours {
            claim::settle(ws, lock, &tip)?;
        }
    }
    if let Some(beside) = &attempt.beside {
        lease::settle_leases(ws, lock, &beside.leases)?;
    }
    ops::forget_next(ws, &who, &attempt.task)?;
    Ok(Some(Changed { outcome: attempt.outcome, claim, previous }))
}

/// What the remote has of a task, if `leases` says so of the leases, and of the `log` if one is
/// named, if it serves this clone's fleet. The objects are brought here, but for the log's.
pub(super) fn look(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    task: &TaskId,
    leases: bool,
    log: Option<&RefName>,
) -> Result<Sight, Error> {
    let mut names = vec![RefName::claim(task), RefName::archive()];
    names.extend(leases.then(RefName::locks));
    names.extend(log.cloned());
    propose_ref::look_for(ws, fleet, remote, &names)
}

/// Whether the remote was seen to have all of the chain that ends at `tip` but for signs of life.
fn is_published(ws: &Workspace, remote: &Remote, tip: &State) -> Result<bool, Error> {
    let Some(seen) = ws.seen_at(remote, &RefName::claim(&tip.claim.task_id))? else {
        return Ok(claim::archived_id(ws, &tip.claim.task_id)? == Some(tip.link.id));
    };
    let mut link = tip.link.clone();
    loop {
        if link.id == seen {
            return Ok(true);
        }
        match claim::before(ws, &link)? {
            Some(before) if link.verb() == "heartbeat" => link = before,
            _ => return Ok(false),
        }
    }
}

/// Tells the fleet of what was done here of a task. What stands in the way is returned; it does not
/// undo what was done.
///
/// # Errors
///
/// [`Error::ClaimLost`] and its kin, where the remote shows that the claim is not the caller's any
/// more.
pub(in crate::bus) fn tell_fleet(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    task: &TaskId,
) -> Result<Option<Error>, Error> {
    match try_to_tell(ws, fleet, agent, task) {
        Err(error @ (Error::Git(_) | Error::Fleet(_))) => Ok(Some(error)),
        told => told.map(|()| None),
    }
}

fn try_to_tell(ws: &Workspace, fleet: &Fleet, agent: &AgentId, task: &TaskId) -> Result<(), Error> {
    let Some(tip) = claim::tip(ws, task)? else { return Ok(()) };
    // An offline claim is for `bus sync` to ask for.
    if tip.claim.is_unconfirmed() {
        return Ok(());
    }
    let remote = ws.remote_of(fleet)?;
    let name = RefName::claim(task);
    let expected = ws.seen_at(&remote, &name)?;
    if expected == Some(tip.link.id) {
        return Ok(());
    }
    let follows = |expected| {
        Ok::<_, Error>(
            ws.repo.descends(tip.link.id, expected)?
                || old_spelling::gives_way(ws, &remote, task, expected, tip.link.id)?,
        )
    };
    let forward = expected.map_or(Ok(true), follows)?;
    let swap = Swap { name: name.clone(), expected, new: Some(tip.link.id) };
    let mut log = Carried::default();
    for _ in 0..MAX_TRIES {
        if forward {
            load(ws, &remote, &mut log);
        }
        let swaps: Vec<Swap> = [swap.clone()].into_iter().chain(log.swap.clone()).collect();
        let pushed = if forward { push_claims(ws, &remote, swaps)? } else { Pushed::Done };
        let sight = look(ws, fleet, &remote, task, false, log.swap.as_ref().map(|log| &log.name))?;
        let answer = Answer { pushed, sight };
        let was_spoilt = unload(ws, &remote, (task, expected), &answer, &mut log);
        let mut lock = ws.lock()?;
        adopt::adopt(ws, &mut lock, &remote, task, &answer.sight)?;
        let (view, who) = (claim::view(ws, task)?, ws.who(agent.clone())?);
        if view.claim().is_none_or(|claim| !who.owns(claim) || !claim.same_claim(&tip.claim)) {
            return Err(claim::refused_or_lost(ws, &view, &who, Refusal::Held)?);
        }
        match answer.pushed {
            _ if was_spoilt => {}
            Pushed::Refused(what) if answer.sight.get(&name).copied() == expected => {
                return Err(FleetFault::Refused { remote: fleet.remote.clone(), what }.into());
            }
            _ => return Ok(()),
        }
    }
    Err(Error::RefContended { reference: name.as_str().to_owned(), tries: MAX_TRIES })
}

/// Whether the claim that decides is live, and `who`'s own.
fn is_own(view: &View, who: &Who) -> bool {
    view.claim().is_some_and(|claim| claim.status.is_live() && who.owns(claim))
}

/// Whether an error speaks of who owns a task: then the remote has the last word.
const fn is_about_ownership(error: &Error) -> bool {
    matches!(
        error,
        Error::ClaimHeld { .. }
            | Error::HeldElsewhere { .. }
            | Error::TaskFinished { .. }
            | Error::Diverged { .. }
            | Error::ClaimAlive { .. }
            | Error::ClaimLost { .. }
            | Error::NotHeld { .. }
            | Error::Lease(_)
    )
}
