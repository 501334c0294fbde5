//! What stands beside the steps of a plan: its checkpoint, and what it belongs to.

use std::fmt;

use super::TaskId;
use super::fields::{Fields, put};
use super::json::Object;

/// What must be so at the end of a plan, and who looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What must be so.
    pub description: String,
    /// Who looks.
    pub owner: String,
    /// Whether it is so.
    pub status: CheckpointStatus,
    /// All other fields.
    pub extra: Object,
}

/// Whether what a checkpoint wants is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// Not yet.
    Pending,
    /// It is.
    Satisfied,
    /// It matters no more: another plan took its place.
    Superseded,
}

impl CheckpointStatus {
    /// The words that may stand in a record.
    const WORDS: &str = "pending, satisfied, superseded";

    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Satisfied => "satisfied",
            Self::Superseded => "superseded",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Satisfied, Self::Superseded]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

impl fmt::Display for CheckpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Checkpoint {
    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        let description = fields.text("description");
        let owner = fields.text("owner");
        let status = fields.word("status", CheckpointStatus::WORDS, CheckpointStatus::parse);
        Some(Self {
            description: description?,
            owner: owner?,
            status: status?,
            extra: Object::new(),
        })
    }

    pub(super) fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "description", Some(&self.description));
        put(&mut object, "owner", Some(&self.owner));
        put(&mut object, "status", Some(self.status));
        object
    }
}

/// What a plan belongs to: `{"type": "bus", "ref": "_bus/claims/QUEUE-001.json"}`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanLink {
    /// What sort of thing: `bus`, `doc`, `queue`.
    pub kind: String,
    /// Where it is.
    pub target: String,
    /// All other fields.
    pub extra: Object,
}

impl PlanLink {
    /// The link to the claim of `task`.
    #[must_use]
    pub fn to_task(task: &TaskId) -> Self {
        Self {
            kind: "bus".to_owned(),
            target: format!("_bus/claims/{task}.json"),
            extra: Object::new(),
        }
    }

    /// The task whose claim is meant, where it is one.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        let name = self.target.strip_prefix("_bus/claims/")?.strip_suffix(".json")?;
        TaskId::new(name).ok().filter(|_| self.kind == "bus")
    }

    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        let kind = fields.text("type");
        let target = fields.text("ref");
        Some(Self { kind: kind?, target: target?, extra: Object::new() })
    }

    pub(super) fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "type", Some(&self.kind));
        put(&mut object, "ref", Some(&self.target));
        object
    }
}
