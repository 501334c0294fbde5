//! A plan: the steps of a task, and the receipts that prove them.

use std::fmt;

use serde_json::Value;

use super::checkpoint::{Checkpoint, PlanLink};
use super::fields::{Fields, Taken, first, given, put};
use super::json::Object;
use super::{Fault, PlanId, Receipts, TaskId, Timestamp, json};

/// The form of plans that are written now. Older ones have 0 or none, and are read as well.
pub const PLAN_VERSION: u64 = 1;

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

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queued, Self::InProgress, Self::Blocked, Self::Done];

    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Blocked => "blocked",
            Self::Done => "done",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let word = if word == "pending" { "queued" } else { word };
        Self::ALL.into_iter().find(|progress| progress.as_str() == word)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
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
    /// What proves it.
    pub receipts: Receipts,
    /// All other fields.
    pub extra: Object,
}

/// A plan, as `_plans/<plan_id>.plan.json` holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The form that it has.
    pub version: Option<u64>,
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
    /// What must be so in the end, and who looks.
    pub checkpoint: Option<Checkpoint>,
    /// What proves the whole.
    pub receipts: Receipts,
    /// What it belongs to.
    pub links: Vec<PlanLink>,
    /// All other fields.
    pub extra: Object,
}

/// How many steps of a plan are done: `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// So many are done.
    pub done: usize,
    /// Of so many.
    pub total: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.done, self.total))
    }
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
        let version = fields.optional_number("version");
        let plan_id = fields.id("plan_id");
        let created = fields.time("created");
        let actor = fields.text("actor");
        let summary = fields.text("summary");
        let status = fields.word("status", Progress::WORDS, Progress::parse);
        if matches!(fields.rest.get("steps"), None | Some(Value::Null)) {
            fields.faults.push(Fault::Missing("steps"));
        }
        let steps = fields.objects("steps", step);
        let checkpoint = fields.optional_object("checkpoint", Checkpoint::read);
        let receipts = Receipts::read(fields);
        let links = fields.objects("links", PlanLink::read);
        Some(Self {
            version: version?,
            plan_id: plan_id?,
            created: created?,
            actor: actor?,
            summary: summary?,
            status: status?,
            steps: steps?.into_iter().map(|(step, extra)| Step { extra, ..step }).collect(),
            checkpoint: checkpoint?.map(|(checkpoint, extra)| Checkpoint { extra, ..checkpoint }),
            receipts: receipts?,
            links: links?.into_iter().map(|(link, extra)| PlanLink { extra, ..link }).collect(),
            extra: Object::new(),
        })
    }

    /// How many of its steps are done.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let done = self.steps.iter().filter(|step| step.status == Progress::Done).count();
        Tally { done, total: self.steps.len() }
    }

    /// The step that is under way; the first of them where a plan breaks that rule.
    #[must_use]
    pub fn current(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.status == Progress::InProgress)
    }

    /// The place of the step that is called `asked`: so spelled, else but for letter case.
    #[must_use]
    pub fn step_called(&self, asked: &str) -> Option<usize> {
        let exact = self.steps.iter().position(|step| step.id == asked);
        exact.or_else(|| self.steps.iter().position(|step| step.id.eq_ignore_ascii_case(asked)))
    }

    /// The tasks whose claims it is linked to.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.links.iter().filter_map(PlanLink::task)
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        object.extend(self.version.map(|version| ("version".to_owned(), Value::from(version))));
        put(&mut object, "plan_id", Some(&self.plan_id));
        put(&mut object, "created", Some(self.created));
        put(&mut object, "actor", Some(&self.actor));
        put(&mut object, "summary", Some(&self.summary));
        put(&mut object, "status", Some(self.status));
        object.insert(
            "steps".to_owned(),
            self.steps.iter().map(Step::to_object).map(Value::Object).collect(),
        );
        object.extend(
            self.checkpoint
                .iter()
                .map(|checkpoint| ("checkpoint".to_owned(), Value::Object(checkpoint.to_object()))),
        );
        self.receipts.put(&mut object);
        object.insert(
            "links".to_owned(),
            self.links.iter().map(PlanLink::to_object).map(Value::Object).collect(),
        );
        object
    }

    /// The bytes of the plan's file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json::pretty(&self.to_object()).into_bytes()
    }
}

impl Step {
    /// The step as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "id", Some(&self.id));
        put(&mut object, "title", Some(&self.title));
        put(&mut object, "status", Some(self.status));
        put(&mut object, "notes", self.notes.as_ref());
        self.receipts.put(&mut object);
        object
    }
}

fn step(fields: &mut Fields) -> Option<Step> {
    let id = fields.text("id");
    let title = fields.text("title");
    let status = fields.word("status", Progress::WORDS, Progress::parse);
    let notes: Taken<_> = fields.optional_text("notes");
    let receipts = Receipts::read(fields);
    Some(Step {
        id: id?,
        title: title?,
        status: status?,
        notes: given(notes?),
        receipts: receipts?,
        extra: Object::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{"version":0,"plan_id":"2025-09-19-bus","created":"2025-09-19T00:00:00Z","actor":"codex-2","summary":"x",
        "status":"pending","steps":[{"id":"S1","title":"t","status":"done","receipts":["a"]},{"id":"S2","title":"t","status":"queued"}],
        "checkpoint":{"status":"pending","description":"d","owner":"o"},"links":[{"type":"bus","ref":"_bus/claims/Q-1.json"}]}"#;

    fn faults(text: &str) -> Vec<String> {
        let faults = Plan::from_object(json::parse_record(text.as_bytes()).unwrap()).unwrap_err();
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_plan_with_older_words_is_read() {
        let plan = Plan::parse(PLAN.as_bytes()).unwrap();
        assert_eq!(
            (plan.status, plan.steps[0].status, plan.steps.len()),
            (Progress::Queued, Progress::Done, 2)
        );
        assert_eq!((plan.tally().to_string().as_str(), plan.version), ("1/2", Some(0)));
        assert_eq!(plan.tasks().collect::<Vec<_>>(), [TaskId::new("Q-1").unwrap()]);
    }

    #[test]
    fn a_plan_with_unknown_fields_at_every_level_reads_back_whole() {
        let hash = "ab".repeat(32);
        let text = format!(
            r#"{{"version":7,"plan_id":"p","created":"2025-09-19T00:00:00Z","actor":"a b","summary":"s","status":"blocked","size":1.50,
            "steps":[{{"id":"S 1","title":"t","status":"done","notes":"n","receipts":["a"],"receipt_hashes":{{"a":"{hash}"}},"x":[1]}}],
            "checkpoint":{{"description":"d","owner":"o","status":"superseded","x":{{"y":null}}}},"receipts":["b"],
            "receipt_hashes":{{"b":"{hash}"}},"links":[{{"type":"doc","ref":"r","x":2e3}}],"layer":"L5"}}"#
        );
        let plan = Plan::parse(text.as_bytes()).unwrap();
        assert_eq!(Plan::parse(&plan.to_bytes()).unwrap(), plan);
        assert_eq!(plan.to_object(), json::parse_record(text.as_bytes()).unwrap());
    }

    #[test]
    fn every_fault_of_a_plan_is_told_with_its_step() {
        let text = PLAN
            .replace("\"queued\"", "\"later\"")
            .replace("\"actor\":\"codex-2\",", "")
            .replace("\"S1\"", "7");
        assert_eq!(
            faults(&text),
            [
                "`actor` is missing or empty",
                "`steps`, entry 1: `id` is not a text",
                "`steps`, entry 2: `status` is `later`, not one of queued, in_progress, blocked, done"
            ]
        );
        assert!(Plan::parse(PLAN.replace("\"steps\":[", "\"step\":[").as_bytes()).is_err());
    }

    #[test]
    fn what_stands_beside_the_steps_is_read_as_strictly() {
        let text = PLAN.replace("\"version\":0", "\"version\":-1").replace("\"type\":\"bus\",", "");
        let text =
            text.replace("\"status\":\"pending\",\"description\":\"d\",", "\"status\":\"met\",");
        assert_eq!(
            faults(&text),
            [
                "`version` is not a whole number that is not negative",
                "`checkpoint`: `description` is missing or empty",
                "`checkpoint`: `status` is `met`, not one of pending, satisfied, superseded",
                "`links`, entry 1: `type` is missing or empty",
            ]
        );
    }
}
