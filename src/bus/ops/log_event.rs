//! `bus event log`: one event, and the heartbeat that is due with it.

use crate::bus::claim::{ClaimDecision, View, Word};
use crate::bus::log::{EventRequest, GUARDED, extra_fields};
use crate::bus::workspace::{Who, Workspace};
use crate::bus::{Error, claim, fleet, log};
use crate::record::{AgentId, Event};
use crate::store::Lock;

/// Gives a heartbeat of the agent's own claim where one is due, and tells the fleet. What stands in
/// the way is returned: it does not undo what was done under the lock.
pub(super) fn pulse_if_due(
    ws: &Workspace,
    mut lock: Lock,
    view: &View,
    who: &Who,
) -> Option<Error> {
    let given = give_due_pulse(ws, &mut lock, view, who);
    drop(lock);
    let told = given.and_then(|given| match ws.fleet()?.filter(|_| given) {
        Some(fleet) => fleet::publish_claim(ws, fleet, &who.agent, &view.task),
        None => Ok(None),
    });
    told.unwrap_or_else(Some)
}

fn give_due_pulse(ws: &Workspace, lock: &mut Lock, view: &View, who: &Who) -> Result<bool, Error> {
    let Some(claim) = view.claim().filter(|claim| claim.status.is_live() && who.owns(claim)) else {
        return Ok(false);
    };
    if !claim::heartbeat_is_due(ws, view, claim)? {
        return Ok(false);
    }
    let ClaimDecision::Write { verb, claim, .. } = claim::pulse(ws, view, claim) else {
        return Ok(false);
    };
    // Where something else moved the ref meanwhile, the next command gives the sign.
    Ok(claim::write_state(ws, lock, view, who, verb, &claim)?.is_some())
}

/// Appends an event of `agent` to the log, and returns it once it is on disk.
///
/// Where the event names a task of the agent's, a heartbeat that is due is given, too. That it
/// could not be given is returned beside the event: the event stands.
///
/// # Errors
///
/// [`ClaimFault::Guarded`] or [`ClaimFault::Lost`] if the event speaks for a task that is not the
/// agent's; [`Error::Usage`] if it is too long or sets a core field; else as the system refuses.
pub(crate) fn log_event(
    ws: &Workspace,
    agent: &AgentId,
    request: &EventRequest,
) -> Result<(Event, Option<Error>), Error> {
    ws.config()?;
    let extra = extra_fields(&request.extra)?;
    let mut lock = ws.lock()?;
    let admitted = match &request.task {
        Some(task) => claim::admit(
            ws,
            &mut lock,
            agent,
            Word { task, kind: &request.event, guarded: &GUARDED },
        )?,
        None => None,
    };
    let task =
        admitted.as_ref().map(|(view, _)| view.task.clone()).or_else(|| request.task.clone());
    let event = log::event(ws, agent, task, request, extra);
    log::append_event(ws, &lock, &event)?;
    let pulse = admitted.and_then(|(view, who)| pulse_if_due(ws, lock, &view, &who));
    Ok((event, pulse))
}
