//! A message: one line in a task's or an agent's channel.

use serde_json::Value;

use super::fields::{Fields, first, given, put};
use super::json::Object;
use super::{AgentId, EventKind, Fault, TaskId, Timestamp, json};

/// What somebody says to whoever works on a task, or to an agent (docs/design.md, section 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// When.
    pub ts: Timestamp,
    /// Who says it.
    pub from: AgentId,
    /// What type of message.
    pub kind: EventKind,
    /// In words.
    pub summary: String,
    /// The message's own name, or `None` if an older bus wrote it.
    pub id: Option<String>,
    /// The task it is about.
    pub task_id: Option<TaskId>,
    /// The agent it is for.
    pub to: Option<AgentId>,
    /// The git branch it is about.
    pub branch: Option<String>,
    /// Paths of what proves it.
    pub receipts: Vec<String>,
    /// Further facts.
    pub meta: Option<Object>,
    /// More words.
    pub note: Option<String>,
    /// All other fields.
    pub extra: Object,
}

impl Message {
    /// Reads a line of a channel, without its newline.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the line no message.
    pub fn parse(line: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_line(line)?).map_err(first)
    }

    /// Reads a message out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no message.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let message = Self::read(&mut fields);
        let message =
            message.map(|message| Self { extra: std::mem::take(&mut fields.rest), ..message });
        fields.finish(message)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let ts = fields.time("ts");
        let from = fields.id("from");
        let kind = fields.id("type");
        let summary = fields.text("summary");
        let id = fields.optional_text("id");
        let task_id = fields.optional_id("task_id");
        let to = fields.optional_id("to");
        let branch = fields.optional_text("branch");
        let receipts = fields.texts("receipts");
        let meta = meta(fields);
        let note = fields.optional_text("note");
        if (&task_id, &to) == (&Some(None), &Some(None)) {
            fields.faults.push(Fault::Missing("task_id` or `to"));
        }
        Some(Self {
            ts: ts?,
            from: from?,
            kind: kind?,
            summary: summary?,
            id: given(id?),
            task_id: task_id?,
            to: to?,
            branch: branch?,
            receipts: receipts?,
            meta: meta?,
            note: note?,
            extra: Object::new(),
        })
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "ts", Some(self.ts));
        put(&mut object, "from", Some(&self.from));
        put(&mut object, "type", Some(&self.kind));
        put(&mut object, "summary", Some(&self.summary));
        put(&mut object, "id", self.id.as_ref());
        put(&mut object, "task_id", self.task_id.as_ref());
        put(&mut object, "to", self.to.as_ref());
        put(&mut object, "branch", self.branch.as_ref());
        put(&mut object, "note", self.note.as_ref());
        if !self.receipts.is_empty() {
            object.insert("receipts".to_owned(), Value::from(self.receipts.clone()));
        }
        if let Some(meta) = &self.meta {
            object.insert("meta".to_owned(), Value::Object(meta.clone()));
        }
        object
    }

    /// The message as a line of a channel, without the newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        json::compact(&self.to_object())
    }
}

fn meta(fields: &mut Fields) -> Option<Option<Object>> {
    let meta = match fields.rest.remove("meta") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(meta)) => Ok(Some(meta)),
        Some(_) => Err(Fault::Mistyped { field: "meta", expected: "an object" }),
    };
    fields.note(meta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::json::parse_line;

    fn faults(line: &str) -> Vec<String> {
        let faults =
            Message::from_object(parse_line(line.as_bytes()).unwrap()).err().unwrap_or_default();
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_message_is_on_a_task_or_for_an_agent() {
        let rest = r#""ts":"2025-09-17T23:44:15Z","from":"codex-2","type":"note","summary":"x""#;
        assert_eq!(faults(&format!(r#"{{"task_id":"Q-1","meta":{{"a":[1]}},{rest}}}"#)), [""; 0]);
        assert_eq!(faults(&format!(r#"{{"to":"manager",{rest}}}"#)), [""; 0]);
        assert_eq!(faults(&format!("{{{rest}}}")), ["`task_id` or `to` is missing or empty"]);
    }

    #[test]
    fn a_message_with_unknown_fields_reads_back_whole() {
        let line = r#"{"branch":"b","from":"a","id":"1","meta":{"n":1.50},"mine":[1],"note":"n","receipts":["r"],"summary":"x","task_id":"Q-1","to":"b","ts":"2025-09-17T23:17:52Z","type":"note"}"#;
        assert_eq!(Message::parse(line.as_bytes()).unwrap().to_line(), line);
    }

    #[test]
    fn every_fault_of_a_message_is_told() {
        let told = faults(r#"{"task_id":"../q","type":1,"ts":"now","summary":"","meta":[]}"#);
        assert_eq!(told.len(), 6, "{told:?}");
    }
}
