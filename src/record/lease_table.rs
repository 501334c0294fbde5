//! The table of all live leases: what one state of `refs/bus/locks` says.
//!
//! Each lease stands on a line of its own. A row is read only as far as it takes to find out whom
//! it concerns; a row that does not change is copied as it is, so that a thousand of them cost
//! little and no other tool's field is lost.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::first;
use super::json::{Object, compact};
use super::{
    AgentId, ClaimId, Fault, IdFault, Lease, LeaseId, LeaseMode, MAX_REVISION, Origin, Position,
    TaskId, json,
};

/// The longest table, in bytes.
pub const MAX_TABLE: usize = 8 * 1024 * 1024;

/// All live leases, and what the last write did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaseTable {
    /// One more at each write.
    pub revision: u64,
    /// The leases that live, in the order in which they were taken.
    pub rows: Vec<LeaseRow>,
    /// The leases that the last write made, renewed or ended, as they were after it.
    pub changed: Vec<Lease>,
    /// Fields that this version does not know.
    extra: Object,
}

/// A lease in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseRow {
    /// Whom and what it concerns.
    pub brief: LeaseBrief,
    text: String,
}

/// What decides whether a lease concerns somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseBrief {
    /// Its name.
    pub lease_id: LeaseId,
    /// Who holds it.
    pub owner: AgentId,
    /// Where it was taken.
    pub origin: Option<Origin>,
    /// The patterns of its paths.
    pub scope: Vec<String>,
    /// The patterns of paths that it leaves out.
    pub deny: Vec<String>,
    /// Who else may hold them.
    pub mode: LeaseMode,
    /// The task that it is for.
    pub task_id: Option<TaskId>,
    /// The claim that it lives and dies with.
    pub claim_id: Option<ClaimId>,
}

impl LeaseRow {
    /// The row of `lease`.
    #[must_use]
    pub fn new(lease: &Lease) -> Self {
        let brief = LeaseBrief {
            lease_id: lease.lease_id.clone(),
            owner: lease.owner.clone(),
            origin: lease.origin.clone(),
            scope: lease.scope.clone(),
            deny: lease.deny.clone(),
            mode: lease.mode,
            task_id: lease.task_id.clone(),
            claim_id: lease.claim_id.clone(),
        };
        Self { brief, text: compact(&lease.to_object()) }
    }

    /// The whole lease.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the row no lease.
    pub fn lease(&self) -> Result<Lease, Fault> {
        Lease::from_object(json::parse_record(self.text.as_bytes())?).map_err(first)
    }
}

impl LeaseTable {
    /// A table of these leases, before anything was written.
    #[must_use]
    pub fn of(leases: &[Lease]) -> Self {
        Self { rows: leases.iter().map(LeaseRow::new).collect(), ..Self::default() }
    }

    /// Reads the body of a commit of `refs/bus/locks`.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that makes it no table.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        if body.len() > MAX_TABLE {
            return Err(Fault::TooLong { limit: MAX_TABLE });
        }
        let text = std::str::from_utf8(body)
            .map_err(|error| Fault::InvalidUtf8 { at: Position::of(body, error.valid_up_to()) })?;
        let parts: Parts = serde_json::from_str(text).map_err(|error| syntax(body, &error))?;
        let rows = parts
            .leases
            .iter()
            .enumerate()
            .map(|(index, row)| read_row(row).map_err(inside("leases", index)));
        let changed = parts.changed.iter().enumerate();
        let changed = changed.map(|(index, row)| {
            let object =
                json::parse_record(row.get().as_bytes()).map_err(inside("changed", index))?;
            Lease::from_object(object).map_err(|faults| inside("changed", index)(first(faults)))
        });
        Ok(Self {
            revision: parts.revision,
            rows: rows.collect::<Result<_, _>>()?,
            changed: changed.collect::<Result<_, _>>()?,
            extra: parts.extra,
        })
    }

    /// The row of the lease called `id`.
    #[must_use]
    pub fn row(&self, id: &LeaseId) -> Option<&LeaseRow> {
        self.rows.iter().find(|row| row.brief.lease_id == *id)
    }

    /// The table after a write that made, renewed or ended `changed`, without those that are
    /// `dropped`, or `None` if the revision cannot go up.
    #[must_use]
    pub fn next(self, changed: Vec<Lease>, dropped: &[LeaseId]) -> Option<Self> {
        let mut rows = self.rows;
        rows.retain(|row| !dropped.contains(&row.brief.lease_id));
        for lease in &changed {
            let place = rows.iter().position(|row| row.brief.lease_id == lease.lease_id);
            match (place, lease.is_live()) {
                (Some(place), true) => rows[place] = LeaseRow::new(lease),
                (None, true) => rows.push(LeaseRow::new(lease)),
                (Some(place), false) => drop(rows.remove(place)),
                (None, false) => {}
            }
        }
        let revision = Some(self.revision + 1).filter(|revision| *revision <= MAX_REVISION)?;
        Some(Self { revision, rows, changed, extra: self.extra })
    }

    /// The bytes of the table: JSON with sorted keys, a lease a line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut keys: Vec<&str> = self
            .extra
            .keys()
            .map(String::as_str)
            .chain(["changed", "leases", "revision"])
            .collect();
        keys.sort_unstable();
        let mut text = String::with_capacity(
            self.rows.iter().map(|row| row.text.len() + 2).sum::<usize>() + 4096,
        );
        for (number, key) in keys.into_iter().enumerate() {
            text.push_str(if number == 0 { "{\n" } else { ",\n" });
            // Writing to a string cannot fail.
            let _ = write!(text, "{}: ", Value::from(key));
            match key {
                "changed" => list(
                    self.changed.iter().map(|lease| Cow::from(compact(&lease.to_object()))),
                    &mut text,
                ),
                "leases" => {
                    list(self.rows.iter().map(|row| Cow::from(row.text.as_str())), &mut text)
                }
                "revision" => drop(write!(text, "{}", self.revision)),
                other => drop(write!(text, "{}", self.extra[other])),
            }
        }
        text.push_str("\n}\n");
        text.into_bytes()
    }
}

/// Appends a JSON list to `text`, an item a line.
fn list<'a>(items: impl Iterator<Item = Cow<'a, str>>, text: &mut String) {
    let mut empty = true;
    for item in items {
        text.push_str(if empty { "[\n" } else { ",\n" });
        text.push_str(&item);
        empty = false;
    }
    text.push_str(if empty { "[]" } else { "\n]" });
}

/// The parts of a table, its rows unread.
#[derive(Default)]
struct Parts<'a> {
    leases: Vec<&'a RawValue>,
    changed: Vec<&'a RawValue>,
    revision: u64,
    extra: Object,
}

impl<'de: 'a, 'a> Deserialize<'de> for Parts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartsVisitor)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of leases")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        let mut seen = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!(
                    "the key `{}` occurs twice",
                    key.escape_debug()
                )));
            }
            match key.as_str() {
                "leases" => parts.leases = entries.next_value()?,
                "changed" => parts.changed = entries.next_value()?,
                "revision" => parts.revision = entries.next_value()?,
                _ => drop(parts.extra.insert(key.clone(), entries.next_value()?)),
            }
            seen.push(key);
        }
        Ok(parts)
    }
}

/// What of a row is read at once.
#[derive(Deserialize)]
struct RowParts<'a> {
    #[serde(borrow, rename = "lock_id")]
    lease_id: Cow<'a, str>,
    #[serde(borrow)]
    owner: Cow<'a, str>,
    origin: Option<String>,
    scope: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow)]
    task_id: Option<Cow<'a, str>>,
    claim_id: Option<String>,
}

fn read_row(row: &RawValue) -> Result<LeaseRow, Fault> {
    let text = row.get();
    let parts: RowParts<'_> =
        serde_json::from_str(text).map_err(|error| syntax(text.as_bytes(), &error))?;
    let bad = |field: &'static str| move |fault: IdFault| Fault::Id { field, fault };
    let mode = LeaseMode::parse(&parts.mode);
    let unknown = || Fault::UnknownWord {
        field: "mode",
        word: parts.mode.to_string(),
        allowed: "exclusive, shared",
    };
    let given = |text: &String| !text.is_empty();
    let brief = LeaseBrief {
        lease_id: LeaseId::new(parts.lease_id).map_err(bad("lock_id"))?,
        owner: AgentId::new(parts.owner).map_err(bad("owner"))?,
        origin: parts.origin.filter(given).map(Origin::spelled),
        scope: parts.scope,
        deny: parts.deny,
        mode: mode.ok_or_else(unknown)?,
        task_id: parts
            .task_id
            .filter(|task| !task.is_empty())
            .map(TaskId::new)
            .transpose()
            .map_err(bad("task_id"))?,
        claim_id: parts.claim_id.filter(given).map(ClaimId::spelled),
    };
    Ok(LeaseRow { brief, text: text.to_owned() })
}

fn inside(list: &'static str, index: usize) -> impl Fn(Fault) -> Fault {
    move |fault| Fault::Inside { list, number: index + 1, fault: Box::new(fault) }
}

fn syntax(bytes: &[u8], error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let starts =
        std::iter::once(0).chain(memchr::memchr_iter(b'\n', bytes).map(|newline| newline + 1));
    let start = starts.into_iter().nth(error.line().max(1) - 1).unwrap_or(0);
    Fault::Syntax {
        what: what.to_owned(),
        at: Position::of(bytes, start + error.column().max(1) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: &str) -> Lease {
        let text = format!(
            r#"{{"expires_at":"2026-03-01T12:50:00Z","heartbeat":"2026-03-01T12:00:00Z","lock_id":"{id}","mode":"shared","new":[1.50],
            "objective":"x","owner":"a","scope":["src/**"],"start_time":"2026-03-01T12:00:00Z","task_id":"T-1","claim_id":"c"}}"#
        );
        Lease::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_table_reads_back_the_same_a_lease_a_line() {
        let mut table =
            LeaseTable::of(&[lease("L-1"), lease("L-2")]).next(vec![lease("L-3")], &[]).unwrap();
        table.extra.insert("later".to_owned(), serde_json::json!({"v": 2}));
        let text = String::from_utf8(table.to_bytes()).unwrap();
        assert_eq!(text.lines().count(), 12, "{text}");
        assert!(text.ends_with(",\n\"revision\": 1\n}\n"), "{text}");
        assert_eq!(LeaseTable::parse(text.as_bytes()).unwrap(), table);
        assert_eq!(
            table.row(&LeaseId::new("l-2").unwrap()).unwrap().lease().unwrap(),
            lease("L-2")
        );
        let empty = LeaseTable::default();
        assert_eq!(LeaseTable::parse(&empty.to_bytes()).unwrap(), empty);
    }

    #[test]
    fn the_next_table_has_what_lives_and_tells_what_ended() {
        let table = LeaseTable::of(&[lease("L-0"), lease("L-1"), lease("L-2")]);
        let mut ended = lease("L-1");
        ended.released_at = Some(ended.heartbeat);
        let mut renewed = lease("L-2");
        renewed.revision = 7;
        let next = table
            .next(vec![ended.clone(), renewed.clone(), lease("L-3")], &[lease("L-0").lease_id])
            .unwrap();
        let live: Vec<Lease> = next.rows.iter().map(|row| row.lease().unwrap()).collect();
        assert_eq!(live, [renewed, lease("L-3")]);
        assert_eq!((next.revision, &next.changed[0]), (1, &ended));
    }

    #[test]
    fn what_is_no_table_is_named() {
        let fault = |text: &str| LeaseTable::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(fault("[]").contains("a table of leases"));
        assert_eq!(
            fault(r#"{"leases":[],"leases":[]}"#),
            "the key `leases` occurs twice (column 21)"
        );
        assert!(
            fault(r#"{"leases":[{"owner":"a"}]}"#)
                .starts_with("`leases`, entry 1: missing field `lock_id`")
        );
        assert!(
            fault(r#"{"leases":[{"lock_id":"L-1","owner":"..","scope":["a"],"mode":"shared"}]}"#)
                .contains("`owner`")
        );
        assert!(fault(r#"{"changed":[{"lock_id":"L-1"}]}"#).starts_with("`changed`, entry 1: "));
    }
}
