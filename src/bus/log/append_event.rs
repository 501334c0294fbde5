//! Writing the log (docs/design.md, section 4).

use serde_json::Value;

use crate::bus::Error;
use crate::bus::workspace::{Workspace, check_length};
use crate::record::json::Object;
use crate::record::{AgentId, CLONE, CORE_FIELDS, Event, EventKind, PlanId, Severity, TaskId};
use crate::store::Lock;

/// The types of events that speak for a task: only its claim's owner may log them (docs/design.md,
/// section 7).
pub(in crate::bus) const GUARDED: [&str; 5] =
    ["status", "complete", "proposal", "pr_opened", "release"];

/// What `bus event log` asks for.
#[derive(Clone, Debug)]
pub(crate) struct EventRequest {
    /// What type of event.
    pub(crate) event: EventKind,
    /// What happened, in words.
    pub(crate) summary: String,
    /// The task.
    pub(crate) task: Option<TaskId>,
    /// The plan.
    pub(crate) plan: Option<PlanId>,
    /// The branch.
    pub(crate) branch: Option<String>,
    /// The pull request.
    pub(crate) pr: Option<String>,
    /// Paths of what proves it.
    pub(crate) receipts: Vec<String>,
    /// How serious it is.
    pub(crate) severity: Option<Severity>,
    /// Further fields.
    pub(crate) extra: Vec<(String, String)>,
}

pub(in crate::bus) fn event(
    ws: &Workspace,
    agent: &AgentId,
    task: Option<TaskId>,
    request: &EventRequest,
    extra: Object,
) -> Event {
    Event {
        ts: ws.clock.now(),
        agent_id: agent.clone(),
        event: request.event.clone(),
        summary: request.summary.clone(),
        id: Some(uuid::Uuid::now_v7().to_string()),
        task_id: task,
        plan_id: request.plan.clone(),
        branch: request.branch.clone(),
        pr: request.pr.clone(),
        receipts: request.receipts.clone(),
        severity: request.severity,
        session_id: ws.session_id(),
        extra,
    }
}

/// Appends `event` to the record.
pub(in crate::bus) fn append_event(
    ws: &Workspace,
    lock: &Lock,
    event: &Event,
) -> Result<(), Error> {
    ws.append_to_log(lock, &event.agent_id, &check_event(ws, event)?)
}

/// The line of an event, which must not be too long for the log.
pub(in crate::bus) fn check_event(_ws: &Workspace, event: &Event) -> Result<String, Error> {
    let line = event.to_line();
    check_length("event", &line).map(|()| line)
}

/// The fields of `--extra`; none may be a core field, and none may be given twice.
pub(in crate::bus) fn extra_fields(given: &[(String, String)]) -> Result<Object, Error> {
    let mut fields = Object::new();
    for (key, value) in given {
        let usage =
            |what: String| Error::Usage { what, hint: "see `bus event log --help`".to_owned() };
        if CORE_FIELDS.contains(&key.as_str()) || key == CLONE {
            return Err(usage(format!(
                "`--extra` cannot set `{key}`, which has a meaning of its own"
            )));
        }
        if fields.insert(key.clone(), Value::from(value.clone())).is_some() {
            return Err(usage(format!("`--extra {key}=…` is given twice")));
        }
    }
    Ok(fields)
}
