//! Writing the log, and who may write what (design, sections 4 and 7).

use std::collections::BTreeSet;

use serde_json::Value;

use super::change::Next;
use super::decide::{self, Refusal};
use super::view::View;
use super::{Bus, Error, Who};
use crate::Code;
use crate::record::json::{self, MAX_LINE, Object};
use crate::record::{AgentId, CORE_FIELDS, Event, EventKind, PlanId, Severity, TaskId};
use crate::store::{Journal, Lock, Place, append, is_younger, put_back, stamp};

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
        let mut task = request.task.clone();
        let mut due = None;
        if let Some(asked) = &request.task {
            let guarded = GUARDED.iter().any(|kind| kind.eq_ignore_ascii_case(request.event.as_str()));
            let who = self.who(agent.clone())?;
            match self.mended_view(&mut lock, asked) {
                Ok(view) => {
                    if guarded {
                        self.guard(&lock, &view, &who, request)?;
                    }
                    task = Some(view.task.clone());
                    due = Some((view, who));
                }
                // A note on a task whose claim cannot be read is still a note.
                Err(error) if guarded || !matches!(error.code(), Code::MalformedRecord | Code::ClaimDiverged) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let event = self.event(agent, task, request, extra);
        self.append_event(&lock, &event)?;
        let pulse = due.and_then(|(view, who)| self.pulse_if_due(&mut lock, &view, &who).err());
        Ok((event, pulse))
    }

    fn event(&self, agent: &AgentId, task: Option<TaskId>, request: &EventRequest, extra: Object) -> Event {
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
            session_id: None,
            extra,
        }
    }

    /// Refuses an event that speaks for a task that is not the caller's, and records the refusal.
    fn guard(&self, lock: &Lock, view: &View, who: &Who, request: &EventRequest) -> Result<(), Error> {
        let claim = view.claim();
        let refused = decide::guard(claim, who).err();
        // Once the claim has ended everybody may speak, but not who lost it.
        let own_end = claim.is_some_and(|claim| who.owns(claim) && claim.released_by.is_none());
        let lost = if refused.is_none() && own_end { None } else { self.loss(view, who)? };
        let error = match (lost, refused) {
            (Some(_), _) => self.refused_or_lost(view, who, Refusal::NotHeld)?,
            (None, None) => return Ok(()),
            (None, Some(refusal)) => Error::Guarded {
                task: view.task.clone(),
                event: request.event.to_string(),
                owner: claim.map(|claim| claim.agent_id.clone()),
                status: claim.map(|claim| claim.status),
                elsewhere: refusal == Refusal::HeldElsewhere,
            },
        };
        self.record_refusal(lock, view, who, request, &error)?;
        Err(error)
    }

    /// One line in the agent's `errors.jsonl` (design, section 6).
    fn record_refusal(&self, lock: &Lock, view: &View, who: &Who, request: &EventRequest, error: &Error) -> Result<(), Error> {
        let mut fields = vec![
            ("ts", self.clock.now().to_string()),
            ("agent_id", who.agent.to_string()),
            ("event", request.event.to_string()),
            ("reason", error.code().as_str().to_owned()),
            ("task_id", view.task.to_string()),
        ];
        if let Some(claim) = view.claim() {
            fields.push(("claim_owner", claim.agent_id.to_string()));
            fields.push(("claim_status", claim.status.to_string()));
        }
        let object: Object = fields.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text))).collect();
        let errors = self.layout.errors(&who.agent);
        self.with_journal(None, |journal| Ok(append(lock, &errors, &json::compact(&object), journal)?))
    }

    fn pulse_if_due(&self, lock: &mut Lock, view: &View, who: &Who) -> Result<(), Error> {
        let Some(claim) = view.claim().filter(|claim| claim.status.is_live() && who.owns(claim)) else { return Ok(()) };
        if !self.heartbeat_is_due(view, claim)? {
            return Ok(());
        }
        if let Next::Write { verb, claim, .. } = self.pulse(view, claim) {
            // Where something else moved the ref meanwhile, the next command gives the sign.
            self.write_state(lock, view, who, verb, &claim)?;
        }
        Ok(())
    }

    /// Appends `event` to the file of the log that its agent writes, once what git dropped is put back.
    pub(super) fn append_event(&self, lock: &Lock, event: &Event) -> Result<(), Error> {
        let line = self.check_event(event)?;
        let swept = self.private.swept(self.repo.worktree_name().as_deref());
        if is_younger(&self.layout.events(), &swept) {
            self.sweep(lock);
            stamp(&swept);
        }
        let log = self.log_place(&event.agent_id)?;
        self.with_journal(Some(&log), |journal| Ok(append(lock, &log, &line, journal)?))
    }

    /// Puts back what git took along of the other agents' logs.
    fn sweep(&self, lock: &Lock) {
        for log in self.journaled_logs() {
            // What cannot be put back stays in the journal, where readers see it and `bus doctor` finds it.
            let _ = self.with_journal(Some(&log), |journal| match journal.is_suspicious(&log) {
                true => Ok(put_back(lock, &log, journal)?),
                false => Ok(()),
            });
        }
    }

    /// The line of an event, which must not be too long for the log.
    pub(super) fn check_event(&self, event: &Event) -> Result<String, Error> {
        let line = event.to_line();
        if line.len() <= MAX_LINE {
            return Ok(line);
        }
        let what = format!("the event has {} bytes, and a line of the log at most {MAX_LINE}", line.len());
        Err(Error::Usage { what, hint: "put the long text into a file and name it with `--receipt`".to_owned() })
    }

    /// The file of the log that `agent` writes; an agent has one, whatever the letter case of its id.
    pub(super) fn log_place(&self, agent: &AgentId) -> Result<Place, Error> {
        let layout = self.config()?.layout;
        Ok(self.as_it_stands(self.layout.log(layout, agent)))
    }

    /// Does something with the journal of a log file of this worktree.
    pub(super) fn with_journal<T>(
        &self,
        log: Option<&Place>,
        what: impl FnOnce(&Journal<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let files = log.map(|log| self.private.journal(self.repo.worktree_name().as_deref(), log));
        let forget_committed = |log: &Place, lines: &mut Vec<String>| self.repo.forget_committed(log.relative(), lines);
        let index_lock = self.repo.index_lock();
        what(&Journal { index_lock: &index_lock, files: files.as_ref(), forget_committed: &forget_committed })
    }

    /// The log files of this worktree that have a journal.
    pub(super) fn journaled_logs(&self) -> Vec<Place> {
        let folder = self.private.worktree_journals(self.repo.worktree_name().as_deref());
        let names = |of: &str| std::fs::read_dir(folder.join(of).join("events")).into_iter().flatten().flatten();
        let names = names("recent").chain(names("held")).filter_map(|entry| entry.file_name().into_string().ok());
        let names: BTreeSet<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
        names.into_iter().map(|name| self.layout.place(format!("_bus/events/{name}"))).collect()
    }

    /// The file at `place`, or the one there whose name differs by letter case alone.
    fn as_it_stands(&self, place: Place) -> Place {
        if place.path().exists() {
            return place;
        }
        let wanted = place.relative().file_name().unwrap_or_default().to_ascii_lowercase();
        let names = std::fs::read_dir(self.layout.events()).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let known = names.filter(|name| name.to_ascii_lowercase() == wanted).min();
        known.and_then(|name| Some(place.sibling(name.to_str()?))).unwrap_or(place)
    }
}

/// The fields of `--extra`; none may be a core field, and none may be given twice.
fn extra_fields(given: &[(String, String)]) -> Result<Object, Error> {
    let mut fields = Object::new();
    for (key, value) in given {
        let usage = |what: String| Error::Usage { what, hint: "see `bus event log --help`".to_owned() };
        if CORE_FIELDS.contains(&key.as_str()) {
            return Err(usage(format!("`--extra` cannot set `{key}`, which has a meaning of its own")));
        }
        if fields.insert(key.clone(), Value::from(value.clone())).is_some() {
            return Err(usage(format!("`--extra {key}=…` is given twice")));
        }
    }
    Ok(fields)
}
