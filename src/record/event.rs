//! An event: one line of the append-only log.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::fields::{Fields, Taken, first, given, put};
use super::json::Object;
use super::{AgentId, EventKind, Fault, PlanId, TaskId, Timestamp, json};

/// The fields of an event that have a meaning of their own, so that `--extra` may not set them.
pub const CORE_FIELDS: [&str; 12] = [
    "agent_id",
    "branch",
    "event",
    "id",
    "plan_id",
    "pr",
    "receipts",
    "session_id",
    "severity",
    "summary",
    "task_id",
    "ts",
];

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing to do.
    Low,
    /// Worth a look.
    Medium,
    /// Needs somebody now.
    High,
}

impl Severity {
    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = Fault;

    fn from_str(word: &str) -> Result<Self, Fault> {
        match word {
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            _ => Err(Fault::UnknownWord {
                field: "severity",
                word: word.to_owned(),
                allowed: "low, medium, high",
            }),
        }
    }
}

/// What an agent did (docs/design.md, section 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub ts: Timestamp,
    /// Who.
    pub agent_id: AgentId,
    /// What sort of thing.
    pub event: EventKind,
    /// In words.
    pub summary: String,
    /// The event's own name, or `None` if an older bus wrote it.
    pub id: Option<String>,
    /// The task it is about.
    pub task_id: Option<TaskId>,
    /// The plan it belongs to.
    pub plan_id: Option<PlanId>,
    /// The git branch it is about.
    pub branch: Option<String>,
    /// The pull request it is about: a number or an address.
    pub pr: Option<String>,
    /// Paths of what proves it.
    pub receipts: Vec<String>,
    /// How serious it is.
    pub severity: Option<Severity>,
    /// The session that logged it.
    pub session_id: Option<String>,
    /// All other fields.
    pub extra: Object,
}

impl Event {
    /// Reads a line of the log, without its newline.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the line no event.
    pub fn parse(line: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_line(line)?).map_err(first)
    }

    /// Reads an event out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no event.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let event = Self::read(&mut fields);
        let event = event.map(|event| Self { extra: std::mem::take(&mut fields.rest), ..event });
        fields.finish(event)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let ts = fields.time("ts");
        let agent_id = fields.id("agent_id");
        let event = fields.id("event");
        let summary = fields.text("summary");
        let id = fields.optional_text("id");
        let task_id = fields.optional_id("task_id");
        let plan_id = fields.optional_id("plan_id");
        let branch = fields.optional_text("branch");
        let pr = pull_request(fields);
        let receipts = fields.texts("receipts");
        let severity = severity(fields);
        let session_id = fields.optional_text("session_id");
        Some(Self {
            ts: ts?,
            agent_id: agent_id?,
            event: event?,
            summary: summary?,
            id: given(id?),
            task_id: task_id?,
            plan_id: plan_id?,
            branch: branch?,
            pr: pr?,
            receipts: receipts?,
            severity: severity?,
            session_id: session_id?,
            extra: Object::new(),
        })
    }

    /// The event as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "ts", Some(self.ts));
        put(&mut object, "agent_id", Some(&self.agent_id));
        put(&mut object, "event", Some(&self.event));
        put(&mut object, "summary", Some(&self.summary));
        put(&mut object, "id", self.id.as_ref());
        put(&mut object, "task_id", self.task_id.as_ref());
        put(&mut object, "plan_id", self.plan_id.as_ref());
        put(&mut object, "branch", self.branch.as_ref());
        put(&mut object, "pr", self.pr.as_ref());
        put(&mut object, "severity", self.severity);
        put(&mut object, "session_id", self.session_id.as_ref());
        if !self.receipts.is_empty() {
            object.insert("receipts".to_owned(), Value::from(self.receipts.clone()));
        }
        object
    }

    /// The event as a line of the log, without the newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        json::compact(&self.to_object())
    }
}

/// A pull request is a text, but other tools write its number bare.
fn pull_request(fields: &mut Fields) -> Taken<Option<String>> {
    match fields.rest.get("pr") {
        Some(Value::Number(number)) => {
            let number = number.to_string();
            fields.rest.remove("pr");
            Some(Some(number))
        }
        _ => fields.optional_text("pr"),
    }
}

fn severity(fields: &mut Fields) -> Taken<Option<Severity>> {
    let word = fields.optional_text("severity")?;
    fields.note(word.map(|word| word.parse()).transpose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_unknown_fields_reads_back_whole() {
        let line = r#"{"agent_id":"codex-1","event":"note","meta":{"n":1.50},"receipts":["a"],"summary":"x","ts":"2025-09-17T23:17:52Z"}"#;
        assert_eq!(Event::parse(line.as_bytes()).unwrap().to_line(), line);
    }

    #[test]
    fn every_core_field_is_known_to_the_parser() {
        let mut object: Object =
            CORE_FIELDS.iter().map(|field| ((*field).to_owned(), Value::from("low"))).collect();
        object.insert("ts".to_owned(), Value::from("2025-09-17T23:17:52Z"));
        object.insert("receipts".to_owned(), Value::from(vec!["a"]));
        let event = Event::parse(json::compact(&object).as_bytes()).unwrap();
        assert!(event.extra.is_empty(), "{:?}", event.extra);
        assert_eq!(event.to_object(), object);
    }

    #[test]
    fn a_line_without_a_required_field_is_no_event() {
        let line =
            r#"{"agent_id":"codex-1","event":"note","summary":"x","ts":"2025-09-17T23:17:52Z"}"#;
        for field in ["agent_id", "event", "summary", "ts"] {
            let mut object = json::parse_line(line.as_bytes()).unwrap();
            object.remove(field);
            assert_eq!(
                Event::parse(json::compact(&object).as_bytes()).unwrap_err(),
                Fault::Missing(field)
            );
        }
    }
}
