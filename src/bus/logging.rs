//! Writing the log (design, section 4).

use serde_json::Value;

use super::guard::Word;
use super::record::check_length;
use super::{Bus, Error};
use crate::record::json::Object;
use crate::record::{AgentId, CLONE, CORE_FIELDS, Event, EventKind, PlanId, Severity, TaskId};
use crate::store::Lock;

/// The sorts of events that speak for a task: only its claim's owner may log them (design, section 7).
const GUARDED: [&str; 5] = ["status", "complete", "proposal", "pr_opened", "release"];

/// What `bus event log` asks for.
#[derive(Clone, Debug)]
pub struct EventRequest {
    /// What sort of event.
    pub event: EventKind,
    /// What happened, in words.
    pub summary: String,
    /// The task.
    pub task: Option<TaskId>,
    /// The plan.
    pub plan: Option<PlanId>,
    /// The branch.
    pub branch: Option<String>,
    /// The pull request.
    pub pr: Option<String>,
    /// Paths of what proves it.
    pub receipts: Vec<String>,
    /// How serious it is.
    pub severity: Option<Severity>,
    /// Further fields.
    pub extra: Vec<(String, String)>,
}

impl Bus {
    /// Appends an event of `agent` to the log, and returns it once it is on disk.
    ///
    /// Where the event names a task of the agent's, a heartbeat that is due is given, too. That it could not be given is
    /// returned beside the event: the event stands.
    ///
    /// # Errors
    ///
    /// [`Error::Guarded`] or [`Error::ClaimLost`] where the event speaks for a task that is not the agent's;
    /// [`Error::Usage`] where it is too long or sets a core field; else as the system refuses.
    pub fn log_event(&self, agent: &AgentId, request: &EventRequest) -> Result<(Event, Option<Error>), Error> {
        self.config()?;
        let extra = extra_fields(&request.extra)?;
        let mut lock = self.lock()?;
        let admitted = match &request.task {
            Some(task) => self.admit(&mut lock, agent, Word { task, kind: &request.event, guarded: &GUARDED })?,
            None => None,
        };
        let task = admitted.as_ref().map(|(view, _)| view.task.clone()).or_else(|| request.task.clone());
        let event = self.event(agent, task, request, extra);
        self.append_event(&lock, &event)?;
        let pulse = admitted.and_then(|(view, who)| self.pulse_if_due(lock, &view, &who));
        Ok((event, pulse))
    }

    pub(super) fn event(&self, agent: &AgentId, task: Option<TaskId>, request: &EventRequest, extra: Object) -> Event {
        Event {
            ts: self.clock.now(),
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
            session_id: self.session_id(),
            extra,
        }
    }

    /// Appends `event` to the record.
    pub(super) fn append_event(&self, lock: &Lock, event: &Event) -> Result<(), Error> {
        self.append_to_log(lock, &event.agent_id, &self.check_event(event)?)
    }

    /// The line of an event, which must not be too long for the log.
    pub(super) fn check_event(&self, event: &Event) -> Result<String, Error> {
        let line = event.to_line();
        check_length("event", &line).map(|()| line)
    }
}

/// The fields of `--extra`; none may be a core field, and none may be given twice.
fn extra_fields(given: &[(String, String)]) -> Result<Object, Error> {
    let mut fields = Object::new();
    for (key, value) in given {
        let usage = |what: String| Error::Usage { what, hint: "see `bus event log --help`".to_owned() };
        if CORE_FIELDS.contains(&key.as_str()) || key == CLONE {
            return Err(usage(format!("`--extra` cannot set `{key}`, which has a meaning of its own")));
        }
        if fields.insert(key.clone(), Value::from(value.clone())).is_some() {
            return Err(usage(format!("`--extra {key}=…` is given twice")));
        }
    }
    Ok(fields)
}
