//! `bus message send`.

use serde_json::Value;

use super::log_event;
use crate::bus::claim::{View, Word};
use crate::bus::log::{Audience, Channel, MessageRequest, PLAN};
use crate::bus::workspace::{Workspace, check_length};
use crate::bus::{Error, claim, fleet};
use crate::record::json::Object;
use crate::record::{AgentId, Message, TaskId};
use crate::store::Place;

/// The types of messages that speak for a task: only its claim's owner may send them (design,
/// section 7).
const GUARDED: [&str; 3] = ["status", "proposal", "summary"];

/// Appends a message of `agent` to the channel of a task or to an inbox, and returns it once it is
/// on disk.
///
/// Where it names a task of the agent's, a heartbeat that is due is given, too. That it could not
/// be given is returned beside the message: the message stands.
///
/// # Errors
///
/// [`ClaimFault::Guarded`] or [`ClaimFault::Lost`] if the message speaks for a task that is not the
/// agent's; [`Error::Usage`] if it is too long or says a thing twice; else as the system
/// refuses.
pub(crate) fn send_message(
    ws: &Workspace,
    agent: &AgentId,
    request: &MessageRequest,
) -> Result<(Message, Option<Error>), Error> {
    ws.config()?;
    let meta = meta(request)?;
    let mut lock = ws.lock()?;
    let admitted = match request.audience.task() {
        Some(task) => claim::admit(
            ws,
            &mut lock,
            agent,
            Word { task, kind: &request.kind, guarded: &GUARDED },
        )?,
        None => None,
    };
    let (place, task) = addressed(ws, &request.audience, admitted.as_ref().map(|(view, _)| view))?;
    let message = self::message(ws, agent, task, request, meta);
    let line = message.to_line();
    check_length("message", &line)?;
    ws.append_to_channel(&lock, &place, &line)?;
    let pulse = match admitted {
        Some((view, who)) => log_event::pulse_if_due(ws, lock, &view, &who),
        None => {
            drop(lock);
            None
        }
    };
    fleet::publish_soon(ws);
    Ok((message, pulse))
}

/// Where a message stands, and which task it is about, as its claim spells it, else its channel.
fn addressed(
    ws: &Workspace,
    audience: &Audience,
    view: Option<&View>,
) -> Result<(Place, Option<TaskId>), Error> {
    let task = view.map(|view| &view.task).or(audience.task());
    Ok(match audience {
        Audience::Agent(to, _) => (ws.as_spelled(ws.record.inbox(to))?, task.cloned()),
        Audience::Task(asked) => {
            let task = task.unwrap_or(asked);
            let place = ws.as_spelled(ws.record.channel(task))?;
            let claimed = view.is_some_and(|view| view.claim().is_some());
            match Channel::at(place.relative()) {
                Some(Channel::Task(stands)) if !claimed => (place, Some(stands)),
                _ => (place, Some(task.clone())),
            }
        }
    })
}

fn message(
    ws: &Workspace,
    agent: &AgentId,
    task: Option<TaskId>,
    request: &MessageRequest,
    meta: Object,
) -> Message {
    let to = match &request.audience {
        Audience::Agent(to, _) => Some(to.clone()),
        Audience::Task(_) => None,
    };
    Message {
        ts: ws.clock.now(),
        from: agent.clone(),
        kind: request.kind.clone(),
        summary: request.summary.clone(),
        id: Some(uuid::Uuid::now_v7().to_string()),
        task_id: task,
        to,
        branch: request.branch.clone(),
        receipts: request.receipts.clone(),
        meta: Some(meta).filter(|meta| !meta.is_empty()),
        note: request.note.clone(),
        extra: Object::new(),
    }
}

/// The facts of `--meta` and `--plan`; none may be given twice.
fn meta(request: &MessageRequest) -> Result<Object, Error> {
    let plan = request.plan.iter().map(|plan| (PLAN.to_owned(), plan.to_string()));
    let mut fields = Object::new();
    for (key, value) in request.meta.iter().cloned().chain(plan) {
        if fields.insert(key.clone(), Value::from(value)).is_some() {
            let what = if key == PLAN && request.plan.is_some() {
                "the plan is given twice, by `--plan` and by `--meta`".to_owned()
            } else {
                format!("`--meta {key}=…` is given twice")
            };
            return Err(Error::Usage { what, hint: "see `bus message send --help`".to_owned() });
        }
    }
    Ok(fields)
}
