//! The claim: the record that one agent owns one task, until it is released.

use std::fmt;

use serde_json::Value;

use super::fields::{Fields, Taken, first, given, put};
use super::json::Object;
use super::{AgentId, Fault, PlanId, TaskId, Timestamp, json};

/// The highest revision that a record may have: the largest integer that every JSON reader keeps
/// exactly (RFC 8259, section 6).
pub const MAX_REVISION: u64 = (1 << 53) - 1;

/// How many earlier claims a record remembers (docs/design.md, section 3).
pub const LINEAGE_LIMIT: usize = 16;

/// How far a claim has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Somebody works on the task.
    Active,
    /// The owner has put the task aside.
    Paused,
    /// The task was given back, unfinished.
    Released,
    /// The task is finished.
    Done,
}

impl Status {
    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Released => "released",
            Self::Done => "done",
        }
    }

    /// Whether a claim of this status has an owner.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Paused)
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Released, Self::Done]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Names one claim among all claims of a task: new at each change of owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimId(String);

impl ClaimId {
    /// The name that a record spells.
    pub(super) const fn spelled(text: String) -> Self {
        Self(text)
    }

    /// A name that nobody else has: a UUID of version 7 (RFC 9562).
    #[must_use]
    pub fn unique() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The name as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a claim was made: `<clone id>` or `<clone id>/<worktree name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin that a record spells.
    pub(super) const fn spelled(text: String) -> Self {
        Self(text)
    }

    /// The origin of clone `clone_id`'s main worktree, or of its linked worktree `worktree`.
    #[must_use]
    pub fn new(clone_id: &str, worktree: Option<&str>) -> Self {
        Self(worktree.map_or_else(|| clone_id.to_owned(), |name| format!("{clone_id}/{name}")))
    }

    /// The clone's part.
    #[must_use]
    pub fn clone_id(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(clone_id, _)| clone_id)
    }

    /// The linked worktree's name; none for a main worktree.
    #[must_use]
    pub fn worktree(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, name)| name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How an earlier claim came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Given back by its owner, or by a manager.
    Released,
    /// Finished.
    Done,
    /// Taken over by somebody else.
    Reclaimed,
    /// Moved to another worktree or clone by the same agent.
    Moved,
}

impl Ended {
    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Done => "done",
            Self::Reclaimed => "reclaimed",
            Self::Moved => "moved",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Released, Self::Done, Self::Reclaimed, Self::Moved]
            .into_iter()
            .find(|ended| ended.as_str() == word)
    }
}

/// An earlier claim of the same task, as the `lineage` remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastClaim {
    /// The claim, or `None` if an older bus wrote it.
    pub claim_id: Option<ClaimId>,
    /// Who owned it.
    pub agent_id: AgentId,
    /// Where it was made, or `None` if an older bus wrote it.
    pub origin: Option<Origin>,
    /// Who ended it, where that was not its owner.
    pub by: Option<AgentId>,
    /// How it ended.
    pub ended: Ended,
    /// When it ended.
    pub at: Timestamp,
    /// Why, in the words of whoever ended it.
    pub note: Option<String>,
    /// Fields that this version does not know.
    pub extra: Object,
}

impl PastClaim {
    fn read(fields: &mut Fields) -> Option<Self> {
        let claim_id = fields.optional_text("claim_id");
        let agent_id = fields.id("agent_id");
        let origin = fields.optional_text("origin");
        let by = fields.optional_id("by");
        let ended = fields.word("ended", "released, done, reclaimed, moved", Ended::parse);
        let at = fields.time("at");
        let note = fields.optional_text("note");
        Some(Self {
            claim_id: claim_id?.map(ClaimId),
            agent_id: agent_id?,
            origin: given(origin?).map(Origin),
            by: by?,
            ended: ended?,
            at: at?,
            note: note?,
            extra: Object::new(),
        })
    }

    fn write(&self) -> Value {
        let mut object = self.extra.clone();
        put(&mut object, "claim_id", self.claim_id.as_ref());
        put(&mut object, "agent_id", Some(&self.agent_id));
        put(&mut object, "origin", self.origin.as_ref());
        put(&mut object, "by", self.by.as_ref());
        put(&mut object, "ended", Some(self.ended.as_str()));
        put(&mut object, "at", Some(self.at));
        put(&mut object, "note", self.note.as_ref());
        Value::Object(object)
    }
}

/// A claim, as `_bus/claims/<task>.json` and the claim's ref hold it (docs/design.md, section 2).
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The task.
    pub task_id: TaskId,
    /// The owner, or the last owner where the claim has ended.
    pub agent_id: AgentId,
    /// The git branch that the work is on.
    pub branch: String,
    /// How far it has come.
    pub status: Status,
    /// When this owner took the task.
    pub claimed_at: Timestamp,
    /// The plan of the work.
    pub plan_id: Option<PlanId>,
    /// The owner's notes.
    pub notes: Option<String>,
    /// When the claim ended.
    pub released_at: Option<Timestamp>,
    /// Who ended it, where that was not the owner.
    pub released_by: Option<AgentId>,
    /// Why, in the words of whoever ended it in the owner's place.
    pub release_note: Option<String>,
    /// When the claim dies without a heartbeat.
    pub expires_at: Option<Timestamp>,
    /// The commit that HEAD was at when the task was claimed.
    pub base: Option<String>,
    /// The commit that the branch was at when the claim ended, or `None` if there was no such
    /// branch.
    pub head: Option<String>,
    /// The session that claimed it.
    pub session_id: Option<String>,
    /// The earlier claims of the task, oldest first.
    pub lineage: Vec<PastClaim>,
    /// `false` where the fleet has not confirmed it yet.
    pub confirmed: Option<bool>,
    /// The claim's own name, or `None` if an older bus wrote it.
    pub claim_id: Option<ClaimId>,
    /// Where it was made, or `None` if an older bus wrote it.
    pub origin: Option<Origin>,
    /// The fencing token: one more at each write; 0 where an older bus wrote it.
    pub revision: u64,
    /// Fields that this version does not know.
    pub extra: Object,
}

impl Claim {
    /// Reads the bytes of a claim file or of a claim commit's body.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no claim.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_record(bytes)?).map_err(first)
    }

    /// Reads a claim out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no claim.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let claim = Self::read(&mut fields);
        let claim = claim.map(|claim| Self { extra: std::mem::take(&mut fields.rest), ..claim });
        fields.finish(claim)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let task_id = fields.id("task_id");
        let agent_id = fields.id("agent_id");
        let branch = fields.text("branch");
        let status = fields.word("status", "active, paused, released, done", Status::parse);
        let claimed_at = fields.time("claimed_at");
        let plan_id = fields.optional_id("plan_id");
        let notes = fields.optional_text("notes");
        let released_at = fields.optional_time("released_at");
        let released_by = fields.optional_id("released_by");
        let release_note = fields.optional_text("release_note");
        let expires_at = fields.optional_time("expires_at");
        let base = fields.optional_text("base");
        let head = fields.optional_text("head");
        let session_id = fields.optional_text("session_id");
        let lineage = fields.objects("lineage", PastClaim::read);
        let confirmed = confirmed(fields);
        let claim_id = fields.optional_text("claim_id");
        let origin = fields.optional_text("origin");
        let revision = revision(fields);
        Some(Self {
            task_id: task_id?,
            agent_id: agent_id?,
            branch: branch?,
            status: status?,
            claimed_at: claimed_at?,
            plan_id: plan_id?,
            notes: notes?,
            released_at: released_at?,
            released_by: released_by?,
            release_note: release_note?,
            expires_at: expires_at?,
            base: base?,
            head: head?,
            session_id: session_id?,
            lineage: lineage?
                .into_iter()
                .map(|(past, extra)| PastClaim { extra, ..past })
                .collect(),
            confirmed: confirmed?,
            claim_id: given(claim_id?).map(ClaimId),
            origin: given(origin?).map(Origin),
            revision: revision?,
            extra: Object::new(),
        })
    }

    /// Whether the fleet has not confirmed it yet.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.confirmed == Some(false)
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "task_id", Some(&self.task_id));
        put(&mut object, "agent_id", Some(&self.agent_id));
        put(&mut object, "branch", Some(&self.branch));
        put(&mut object, "status", Some(self.status));
        put(&mut object, "claimed_at", Some(self.claimed_at));
        put(&mut object, "plan_id", self.plan_id.as_ref());
        put(&mut object, "notes", self.notes.as_ref());
        put(&mut object, "released_at", self.released_at);
        put(&mut object, "released_by", self.released_by.as_ref());
        put(&mut object, "release_note", self.release_note.as_ref());
        put(&mut object, "expires_at", self.expires_at);
        put(&mut object, "base", self.base.as_ref());
        put(&mut object, "head", self.head.as_ref());
        put(&mut object, "session_id", self.session_id.as_ref());
        put(&mut object, "claim_id", self.claim_id.as_ref());
        put(&mut object, "origin", self.origin.as_ref());
        if !self.lineage.is_empty() {
            let past = self.lineage.iter().map(PastClaim::write).collect();
            object.insert("lineage".to_owned(), Value::Array(past));
        }
        if let Some(confirmed) = self.confirmed {
            object.insert("confirmed".to_owned(), Value::Bool(confirmed));
        }
        object.insert("revision".to_owned(), Value::from(self.revision));
        object
    }

    /// The bytes of the record, as file and commit hold them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json::pretty(&self.to_object()).into_bytes()
    }

    /// Whether the lineage says that `earlier` has ended and this claim came after it (design,
    /// section 5).
    #[must_use]
    pub fn succeeds(&self, earlier: &Self) -> bool {
        let claimed_at = |past: &PastClaim| past.extra.get("claimed_at")?.as_str()?.parse().ok();
        self.lineage.iter().any(|past| match (&past.claim_id, &earlier.claim_id) {
            (Some(past), Some(earlier)) => past == earlier,
            (None, None) => {
                past.agent_id == earlier.agent_id && claimed_at(past) == Some(earlier.claimed_at)
            }
            _ => false,
        })
    }

    /// Whether the lineage may have dropped older claims.
    #[must_use]
    pub const fn lineage_is_full(&self) -> bool {
        self.lineage.len() >= LINEAGE_LIMIT
    }

    /// Whether `self` and `other` are states of one and the same claim.
    #[must_use]
    pub fn same_claim(&self, other: &Self) -> bool {
        match (&self.claim_id, &other.claim_id) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, None) => self.agent_id == other.agent_id && self.claimed_at == other.claimed_at,
            _ => false,
        }
    }
}

fn confirmed(fields: &mut Fields) -> Taken<Option<bool>> {
    let confirmed = match fields.rest.remove("confirmed") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(confirmed)) => Ok(Some(confirmed)),
        Some(_) => Err(Fault::Mistyped { field: "confirmed", expected: "true or false" }),
    };
    fields.note(confirmed)
}

/// The fencing token of a record; 0 where an older bus wrote it.
pub(super) fn revision(fields: &mut Fields) -> Taken<u64> {
    let fault = Fault::Mistyped {
        field: "revision",
        expected: "a whole number from 0 to 9007199254740991",
    };
    let revision = match fields.rest.remove("revision") {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) => {
            number.as_u64().filter(|revision| *revision <= MAX_REVISION).ok_or(fault)
        }
        Some(_) => Err(fault),
    };
    fields.note(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"task_id":"QUEUE-010","agent_id":"codex-3","branch":"agent/codex-3/queue-010","status":"done",
        "claimed_at":"2025-09-18T03:36:53Z","released_at":"2025-09-18T03:40:25Z","cost":12345678901234567890.10,"tool":{"v":[1,{"z":null}]}}"#;

    #[test]
    fn a_claim_of_an_older_bus_is_revision_0_and_keeps_what_it_had() {
        let claim = Claim::parse(OLD.as_bytes()).unwrap();
        assert_eq!((claim.revision, claim.status, claim.origin.is_none()), (0, Status::Done, true));
        let text = String::from_utf8(claim.to_bytes()).unwrap();
        assert!(text.contains("\"cost\": 12345678901234567890.10,"), "{text}");
        assert!(text.contains("\"z\": null"), "{text}");
        assert_eq!(Claim::parse(text.as_bytes()).unwrap(), claim);
    }

    #[test]
    fn what_breaks_the_format_is_named() {
        let with = |from: &str, to: &str| {
            Claim::parse(OLD.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            with(r#""status":"done""#, r#""status":"pending""#),
            "`status` is `pending`, not one of active, paused, released, done"
        );
        assert_eq!(
            with(r#""branch":"agent/codex-3/queue-010""#, r#""branch":"""#),
            "`branch` is missing or empty"
        );
        assert_eq!(
            with(r#""claimed_at":"2025-09-18T03:36:53Z""#, r#""claimed_at":5"#),
            "`claimed_at` is not a text"
        );
        assert!(
            with("2025-09-18T03:36:53Z", "2025-02-30T03:36:53Z")
                .starts_with("`claimed_at`: `2025-02-30")
        );
        assert!(with(r#""QUEUE-010""#, r#""../x""#).starts_with("`task_id`: `../x` is no task id"));
        for revision in ["-1", "1.5", "9007199254740992", "\"1\""] {
            let fault = with(r#""cost":"#, &format!(r#""revision":{revision},"cost":"#));
            assert!(fault.starts_with("`revision` is not a whole number"), "{fault}");
        }
    }
}
