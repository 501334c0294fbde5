//! The path lease: the record that one agent holds a set of paths, until it gives them back.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::claim::revision;
use super::fields::{Fields, first, given, put};
use super::json::Object;
use super::{AgentId, ClaimId, Fault, LeaseId, Origin, Span, TaskId, Timestamp, json};

/// How long a lease lives without a heartbeat, if nothing else is asked for.
pub const DEFAULT_LEASE: Span = Span::new(Duration::from_secs(50 * 60));

/// What the id of a lease is spelled with: digits and letters of which none looks like another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// How many of them it has: 35 bits, of which the table of live leases must not have two alike.
const LETTERS: u32 = 7;

impl LeaseId {
    /// An id by chance.
    #[must_use]
    pub fn random() -> Self {
        let (_, chance) = uuid::Uuid::now_v7().as_u64_pair();
        let letter = |place: u32| {
            char::from(ALPHABET[usize::try_from(chance >> (place * 5) & 31).unwrap_or(0)])
        };
        let text: String = "L-".chars().chain((0..LETTERS).map(letter)).collect();
        Self::new(text).expect("letters and digits are an id")
    }
}

/// Who else may hold the paths of a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseMode {
    /// Nobody.
    #[default]
    Exclusive,
    /// Everybody whose lease is shared, too.
    Shared,
}

impl LeaseMode {
    /// The word for it on disk.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Exclusive, Self::Shared].into_iter().find(|mode| mode.as_str() == word)
    }
}

impl fmt::Display for LeaseMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A lease, as `_bus/locks/<lock_id>.json` and the table of leases hold it (`_bus/README.md`).
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Its name.
    pub lease_id: LeaseId,
    /// Who holds it, or held it.
    pub owner: AgentId,
    /// Where it was taken, or `None` if another tool wrote it.
    pub origin: Option<Origin>,
    /// The patterns of its paths.
    pub scope: Vec<String>,
    /// The patterns of paths that it leaves out.
    pub deny: Vec<String>,
    /// Who else may hold them.
    pub mode: LeaseMode,
    /// What for.
    pub objective: String,
    /// When it was taken.
    pub start_time: Timestamp,
    /// The owner's last write.
    pub heartbeat: Timestamp,
    /// When it dies without a heartbeat.
    pub expires_at: Timestamp,
    /// The task that it is for.
    pub task_id: Option<TaskId>,
    /// The claim that it lives and dies with, where it was taken with one.
    pub claim_id: Option<ClaimId>,
    /// The commit that HEAD was at.
    pub base: Option<String>,
    /// The session that took it.
    pub session_id: Option<String>,
    /// The fencing token: one more at each write.
    pub revision: u64,
    /// When it ended.
    pub released_at: Option<Timestamp>,
    /// Who ended it, where that was not the owner.
    pub released_by: Option<AgentId>,
    /// Why, in the words of whoever ended it in the owner's place.
    pub release_note: Option<String>,
    /// Fields that this version does not know.
    pub extra: Object,
}

impl Lease {
    /// Reads the bytes of a lease file.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no lease.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_record(bytes)?).map_err(first)
    }

    /// Reads a lease out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no lease.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let lease = Self::read(&mut fields);
        let lease = lease.map(|lease| Self { extra: std::mem::take(&mut fields.rest), ..lease });
        fields.finish(lease)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let lease_id = fields.id("lock_id");
        let owner = fields.id("owner");
        let origin = fields.optional_text("origin");
        let scope = fields.texts("scope");
        let scope = scope.and_then(|scope| {
            fields.note(if scope.is_empty() { Err(Fault::Missing("scope")) } else { Ok(scope) })
        });
        let deny = fields.texts("deny");
        let mode = fields.word("mode", "exclusive, shared", LeaseMode::parse);
        let objective = fields.text("objective");
        let start_time = fields.time("start_time");
        let heartbeat = fields.time("heartbeat");
        let expires_at = fields.time("expires_at");
        let task_id = fields.optional_id("task_id");
        let claim_id = fields.optional_text("claim_id");
        let base = fields.optional_text("base");
        let session_id = fields.optional_text("session_id");
        let revision = revision(fields);
        let released_at = fields.optional_time("released_at");
        let released_by = fields.optional_id("released_by");
        let release_note = fields.optional_text("release_note");
        Some(Self {
            lease_id: lease_id?,
            owner: owner?,
            origin: given(origin?).map(Origin::spelled),
            scope: scope?,
            deny: deny?,
            mode: mode?,
            objective: objective?,
            start_time: start_time?,
            heartbeat: heartbeat?,
            expires_at: expires_at?,
            task_id: task_id?,
            claim_id: given(claim_id?).map(ClaimId::spelled),
            base: base?,
            session_id: session_id?,
            revision: revision?,
            released_at: released_at?,
            released_by: released_by?,
            release_note: release_note?,
            extra: Object::new(),
        })
    }

    /// Whether it has not been given back or taken away. One that was taken with a claim lives only
    /// while that claim does.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.released_at.is_none()
    }

    /// How long it lives without a heartbeat: each of its owner's writes sets `expires_at` anew.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Some(self.expires_at.since(self.heartbeat))
            .filter(|ttl| !ttl.is_zero())
            .unwrap_or(DEFAULT_LEASE.get())
    }

    /// Its patterns in a line, those that it leaves out behind a `!`.
    #[must_use]
    pub fn patterns(&self) -> String {
        let denied = self.deny.iter().map(|pattern| format!("!{pattern}"));
        self.scope.iter().cloned().chain(denied).collect::<Vec<_>>().join(" ")
    }

    /// The same but for what a renewal changes, which writes no file.
    #[must_use]
    pub fn without_pulse(&self) -> Self {
        Self {
            heartbeat: self.start_time,
            expires_at: self.start_time,
            revision: 0,
            ..self.clone()
        }
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "lock_id", Some(&self.lease_id));
        put(&mut object, "owner", Some(&self.owner));
        put(&mut object, "origin", self.origin.as_ref());
        object.insert("scope".to_owned(), Value::from(self.scope.clone()));
        object.insert("deny".to_owned(), Value::from(self.deny.clone()));
        put(&mut object, "mode", Some(self.mode));
        put(&mut object, "objective", Some(&self.objective));
        put(&mut object, "start_time", Some(self.start_time));
        put(&mut object, "heartbeat", Some(self.heartbeat));
        put(&mut object, "expires_at", Some(self.expires_at));
        put(&mut object, "task_id", self.task_id.as_ref());
        put(&mut object, "claim_id", self.claim_id.as_ref());
        put(&mut object, "base", self.base.as_ref());
        put(&mut object, "session_id", self.session_id.as_ref());
        put(&mut object, "released_at", self.released_at);
        put(&mut object, "released_by", self.released_by.as_ref());
        put(&mut object, "release_note", self.release_note.as_ref());
        object.insert("revision".to_owned(), Value::from(self.revision));
        object
    }

    /// The bytes of the record, as its file holds them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json::pretty(&self.to_object()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::record) const LEASE: &str = r#"{"base":"0123","cost":1.50,"deny":["src/gen/**"],"expires_at":"2026-03-01T12:50:00Z",
        "heartbeat":"2026-03-01T12:00:00Z","lock_id":"L-7f3k9mq","mode":"exclusive","objective":"the parser","origin":"k3f9/wt",
        "owner":"codex-1","revision":1,"scope":["src/**","*.toml"],"start_time":"2026-03-01T12:00:00Z"}"#;

    #[test]
    fn a_lease_reads_back_the_same_and_keeps_what_it_does_not_know() {
        let lease = Lease::parse(LEASE.as_bytes()).unwrap();
        assert_eq!(
            (lease.ttl(), lease.is_live(), lease.mode),
            (DEFAULT_LEASE.get(), true, LeaseMode::Exclusive)
        );
        assert_eq!(lease.patterns(), "src/** *.toml !src/gen/**");
        let text = String::from_utf8(lease.to_bytes()).unwrap();
        assert!(text.contains("\"cost\": 1.50,"), "{text}");
        assert_eq!(Lease::parse(text.as_bytes()).unwrap(), lease);
    }

    #[test]
    fn what_breaks_the_format_is_named() {
        let with = |from: &str, to: &str| {
            Lease::parse(LEASE.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            with("\"exclusive\"", "\"mine\""),
            "`mode` is `mine`, not one of exclusive, shared"
        );
        assert_eq!(with("[\"src/**\",\"*.toml\"]", "[]"), "`scope` is missing or empty");
        assert_eq!(with("[\"src/**\",\"*.toml\"]", "[1]"), "`scope` is not a list of texts");
        assert_eq!(with("the parser", ""), "`objective` is missing or empty");
        for field in [
            "lock_id",
            "owner",
            "scope",
            "mode",
            "objective",
            "start_time",
            "heartbeat",
            "expires_at",
        ] {
            let mut object = json::parse_record(LEASE.as_bytes()).unwrap();
            object.remove(field);
            assert_eq!(Lease::from_object(object).unwrap_err(), [Fault::Missing(field)]);
        }
    }

    #[test]
    fn ids_by_chance_are_short_and_differ() {
        let ids: std::collections::BTreeSet<LeaseId> =
            (0..1000).map(|_| LeaseId::random()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter().all(|id| id.as_str().len() == 9 && id.as_str().starts_with("L-")),
            "{ids:?}"
        );
    }
}
