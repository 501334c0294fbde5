//! A plan: the steps of a task, and the receipts that prove them.

use serde_json::Value;

use super::fields::{Fields, Taken, first, given};
use super::json::{self, Object};
use super::{Fault, PlanId, Timestamp};

/// How far a plan or a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not begun. Older buses write `pending`.
    Queued,
    /// Begun.
    InProgress,
    /// Something is in the way.
    Blocked,
    /// Finished, which is final.
    Done,
}

impl Progress {
    /// The words that may stand in a record.
    const WORDS: &str = "queued, in_progress, blocked, done";

    fn parse(word: &str) -> Option<Self> {
        match word {
            "queued" | "pending" => Some(Self::Queued),
            "in_progress" => Some(Self::InProgress),
            "blocked" => Some(Self::Blocked),
            "done" => Some(Self::Done),
            _ => None,
        }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name within the plan: `S1`.
    pub id: String,
    /// What is to be done.
    pub title: String,
    /// How far it has come.
    pub status: Progress,
    /// Notes.
    pub notes: Option<String>,
    /// Paths, below the repository's root, of what proves it.
    pub receipts: Vec<String>,
    /// All other fields.
    pub extra: Object,
}

/// A plan, as `_plans/<plan_id>.plan.json` holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The plan.
    pub plan_id: PlanId,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub actor: String,
    /// What it is for.
    pub summary: String,
    /// How far it has come.
    pub status: Progress,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Paths, below the repository's root, of what proves the whole.
    pub receipts: Vec<String>,
    /// All other fields.
    pub extra: Object,
}

impl Plan {
    /// Reads the bytes of a plan file.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no plan.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_record(bytes)?).map_err(first)
    }

    /// Reads a plan out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no plan.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let plan = Self::read(&mut fields);
        let plan = plan.map(|plan| Self { extra: std::mem::take(&mut fields.rest), ..plan });
        fields.finish(plan)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let plan_id = fields.id("plan_id");
        let created = fields.time("created");
        let actor = fields.text("actor");
        let summary = fields.text("summary");
        let status = fields.word("status", Progress::WORDS, Progress::parse);
        if matches!(fields.rest.get("steps"), None | Some(Value::Null)) {
            fields.faults.push(Fault::Missing("steps"));
        }
        let steps = fields.objects("steps", step);
        let receipts = fields.texts("receipts");
        Some(Self {
            plan_id: plan_id?,
            created: created?,
            actor: actor?,
            summary: summary?,
            status: status?,
            steps: steps?.into_iter().map(|(step, extra)| Step { extra, ..step }).collect(),
            receipts: receipts?,
            extra: Object::new(),
        })
    }
}

fn step(fields: &mut Fields) -> Option<Step> {
    let id = fields.text("id");
    let title = fields.text("title");
    let status = fields.word("status", Progress::WORDS, Progress::parse);
    let notes: Taken<_> = fields.optional_text("notes");
    let receipts = fields.texts("receipts");
    Some(Step { id: id?, title: title?, status: status?, notes: given(notes?), receipts: receipts?, extra: Object::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"version":0,"plan_id":"2025-09-19-bus","created":"2025-09-19T00:00:00Z","actor":"codex-2","summary":"x",
        "status":"pending","steps":[{"id":"S1","title":"t","status":"done","receipts":["a"]},{"id":"S2","title":"t","status":"queued"}],
        "checkpoint":{"status":"pending"}}"#;

    #[test]
    fn a_plan_with_older_words_is_read() {
        let plan = Plan::parse(PLAN.as_bytes()).unwrap();
        assert_eq!((plan.status, plan.steps[0].status, plan.steps.len()), (Progress::Queued, Progress::Done, 2));
        assert!(plan.extra.contains_key("checkpoint"));
    }

    #[test]
    fn every_fault_of_a_plan_is_told_with_its_step() {
        let text = PLAN.replace("\"queued\"", "\"later\"").replace("\"actor\":\"codex-2\",", "").replace("\"S1\"", "7");
        let faults = Plan::from_object(json::parse_record(text.as_bytes()).unwrap()).unwrap_err();
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            told,
            [
                "`actor` is missing or empty",
                "`steps`, entry 1: `id` is not a text",
                "`steps`, entry 2: `status` is `later`, not one of queued, in_progress, blocked, done"
            ]
        );
        assert!(Plan::parse(PLAN.replace("\"steps\":[", "\"step\":[").as_bytes()).is_err());
    }
}
