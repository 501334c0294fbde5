//! How a claim comes to a new state: read, decide, write a commit, move the ref, settle; all under
//! the lock.

use super::claim_change::{Changed, ClaimDecision, Outcome};
use super::claim_files::FileClaim;
use super::claim_settle::is_in_line;
use super::view::{State, View, state};
use super::{ClaimFault, asked, claim_chain, claim_settle, spelling, view};
use crate::bus::workspace::{Turn, Who, Workspace};
use crate::bus::{Error, log};
use crate::git::{ObjectId, RefName};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, Event, TaskId, verb};
use crate::store::Lock;

/// Changes the claim of the task that is asked for, as `decide` says, in this clone alone, under
/// the lock that the caller holds.
///
/// # Errors
///
/// What `decide` refuses; [`Error::RefContended`] if something that does not take the lock moves
/// the ref again and again; [`Error::Store`] and [`Error::Git`] if the system refuses.
pub(in crate::bus) fn change_here(
    ws: &Workspace,
    lock: &mut Lock,
    who: &Who,
    asked: &TaskId,
    decide: impl Fn(&View, &Who) -> Result<ClaimDecision, Error>,
) -> Result<Changed, Error> {
    let turn = |lock: &mut Lock, _| {
        let view = repaired_view(ws, lock, asked)?;
        let previous = view.claim().cloned();
        match (decide(&view, who)?, previous) {
            (ClaimDecision::Settle, Some(claim)) => {
                let tip = view.tip.filter(|_| view.stand_in.is_none());
                let settle = tip.map_or(Unsettled::Nothing, |tip| Unsettled::Old(Box::new(tip)));
                let previous = Some(claim.clone());
                Ok(Turn::Done((Changed { outcome: Outcome::Unchanged, previous, claim }, settle)))
            }
            (ClaimDecision::Settle, None) => {
                Err(Error::Claim(ClaimFault::NotHeld { task: view.task, ended: None }))
            }
            (ClaimDecision::Write { verb, claim, outcome }, previous) => {
                let (state, event) = prepare_state(ws, lock, &view, who, verb, &claim)?;
                let changed = Changed { outcome, previous, claim: state.claim.clone() };
                let (from, to) = (view.ref_id, state.link.id);
                Ok(Turn::Write {
                    from,
                    to,
                    what: (changed, Unsettled::New(Box::new(state), event.map(Box::new))),
                })
            }
        }
    };
    ws.change_ref(lock, &RefName::claim(asked), turn, |lock, (changed, unsettled)| {
        match unsettled {
            Unsettled::Nothing => {}
            Unsettled::Old(state) => claim_settle::settle(ws, lock, &state)?,
            Unsettled::New(state, event) => {
                claim_settle::settle_new(ws, lock, &state, event.as_deref())?;
            }
        }
        asked::forget_asked(ws, who, &changed.claim.task_id)?;
        Ok(changed)
    })
}

/// The state that log and files are to be brought in line with.
enum Unsettled {
    Nothing,
    /// One that a crash may have left behind.
    Old(Box<State>),
    /// One that was written just now.
    New(Box<State>, Option<Box<Event>>),
}

/// Writes the next state of a claim, and returns it with its event, or `None` if the ref was moved
/// meanwhile.
pub(in crate::bus) fn write_state(
    ws: &Workspace,
    lock: &mut Lock,
    view: &View,
    who: &Who,
    verb: &str,
    claim: &Claim,
) -> Result<Option<(State, Option<Event>)>, Error> {
    let (state, event) = prepare_state(ws, lock, view, who, verb, claim)?;
    let moved = ws.advance(lock, &view.name, view.ref_id, state.link.id)?;
    Ok(moved.then_some((state, event)))
}

/// Writes the commit of the next state of a claim, and returns it with its event. No ref points to
/// it yet.
pub(in crate::bus) fn prepare_state(
    ws: &Workspace,
    lock: &Lock,
    view: &View,
    who: &Who,
    verb: &str,
    claim: &Claim,
) -> Result<(State, Option<Event>), Error> {
    settle_own_past(ws, lock, view, who, verb)?;
    let now = ws.clock.now();
    let parent = match (&view.tip, &view.stand_in) {
        (_, Some(file)) => Some(import_claim(ws, view, file, &who.agent)?),
        (Some(tip), None) => Some(tip.link.id),
        (None, None) => None,
    };
    let next =
        Claim { task_id: view.task.clone(), revision: view.next_revision()?, ..claim.clone() };
    let subject = format!("{verb} {} by {}", view.task, who.agent);
    let link = ws.repo.write_link(parent, &who.agent, now, &subject, &next.to_bytes())?;
    let state = State { link, claim: next };
    let event = check_before_swap(ws, &state)?;
    Ok((state, event))
}

/// The state that a file says. It follows the older one that is known, or that a fleet's remote was
/// seen to have.
pub(in crate::bus) fn import_claim(
    ws: &Workspace,
    view: &View,
    file: &FileClaim,
    by: &AgentId,
) -> Result<ObjectId, Error> {
    let known = view.tip.clone().or_else(|| claim_chain::seen_claim(ws, &view.task));
    let seen = known.map(|known| known.link.id);
    let subject = format!("import {} by {by}", view.task);
    Ok(ws.repo.write_link(seen, by, ws.clock.now(), &subject, &file.bytes)?.id)
}

/// What would stop the event or the file later must stop the claim now. Returns the event.
fn check_before_swap(ws: &Workspace, state: &State) -> Result<Option<Event>, Error> {
    let size = state.link.body.len();
    if size > MAX_RECORD {
        let what = format!("the claim would have {size} bytes, and may have {MAX_RECORD}");
        return Err(Error::Usage { what, hint: "shorten the notes".to_owned() });
    }
    let event = claim_settle::event_of(ws, state)?;
    if let Some(event) = &event {
        log::check_event(ws, event)?;
        ws.record_log(&event.agent_id)?.inspect()?;
    }
    Ok(event)
}

/// Before the caller's own state is left behind: does what a crash left undone of it. A heartbeat
/// writes no file of its own, so before it the file is settled, too.
fn settle_own_past(
    ws: &Workspace,
    lock: &Lock,
    view: &View,
    who: &Who,
    verb: &str,
) -> Result<(), Error> {
    let own = |tip: &&State| {
        tip.link.author.eq_ignore_ascii_case(who.agent.as_str()) && who.owns(&tip.claim)
    };
    match view.tip.as_ref().filter(own).filter(|tip| !is_in_line(view.record.as_ref(), tip)) {
        Some(tip) if verb == verb::HEARTBEAT => claim_settle::settle(ws, lock, tip),
        Some(tip) => claim_settle::settle_event(ws, lock, tip),
        None => Ok(()),
    }
}

/// The view of a task; a ref that cannot be read is first set aside, and what the files know takes
/// its place.
pub(in crate::bus) fn repaired_view(
    ws: &Workspace,
    lock: &mut Lock,
    asked: &TaskId,
) -> Result<View, Error> {
    spelling::merge_spellings(ws, lock, asked)?;
    let view = view::view(ws, asked)?;
    if view.unreadable.is_none() {
        return Ok(view);
    }
    lock.about_to_write(view.name.as_str())?;
    let keep = claim_settle::broken(ws, view.task.as_str())?;
    // An older state may hide in `packed-refs`; it must not come to light where a file knows
    // better.
    let hidden =
        ws.repo.packed_tip(&view.name)?.and_then(|link| state(link, &view.name, &view.task).ok());
    let older = hidden
        .filter(|hidden| view.claim().is_none_or(|claim| hidden.claim.revision <= claim.revision));
    let instead = match &view.stand_in {
        Some(file) => {
            let agent = &file.claim.agent_id;
            let subject = format!("import {} by {agent}", view.task);
            let parent = older.map(|older| older.link.id);
            Some(ws.repo.write_link(parent, agent, ws.clock.now(), &subject, &file.bytes)?.id)
        }
        None => older.map(|older| older.link.id),
    };
    ws.repo.set_aside(&view.name, &keep.path(), instead)?;
    let fixed = view::view(ws, asked)?;
    match fixed.unreadable {
        None => Ok(fixed),
        // The file is gone; what is left is a damaged entry in `packed-refs`.
        Some(_) => {
            ws.repo.set_aside(
                &view.name,
                &claim_settle::broken(ws, view.task.as_str())?.path(),
                None,
            )?;
            view::view(ws, asked)
        }
    }
}
