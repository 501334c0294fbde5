//! Ids that are safe as file names, ref names and words on a screen: an id that exists is valid.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

/// The longest id, in bytes (docs/design.md, section 7).
const MAX_LENGTH: usize = 100;

/// What sort of thing an [`Id`] names.
pub trait IdKind {
    /// The word for it in messages: `task id`.
    const NOUN: &'static str;

    /// Whether ids of this sort may begin with `agent-`.
    const MAY_BEGIN_WITH_AGENT: bool = true;

    /// Whether `QUEUE-7`, `QUEUE-007` and `QUEUE-0007` are one id of this sort.
    const HAS_NUMBERS: bool = false;
}

/// Marks the id of a task.
#[derive(Clone, Copy, Debug)]
pub enum Task {}

/// Marks the id of an agent.
#[derive(Clone, Copy, Debug)]
pub enum Agent {}

/// Marks the id of a plan.
#[derive(Clone, Copy, Debug)]
pub enum Plan {}

/// Marks the name of a step of a plan.
#[derive(Clone, Copy, Debug)]
pub enum PlanStep {}

/// Marks the name of a file that is stored as a receipt.
#[derive(Clone, Copy, Debug)]
pub enum ReceiptFile {}

/// Marks the name of a type of event, such as `claim` or `note`.
#[derive(Clone, Copy, Debug)]
pub enum Kind {}

/// Marks the name of a position in the log.
#[derive(Clone, Copy, Debug)]
pub enum Cursor {}

/// Marks the id of a session.
#[derive(Clone, Copy, Debug)]
pub enum Session {}

/// Marks the id of a path lease.
#[derive(Clone, Copy, Debug)]
pub enum Lock {}

/// Marks the name of a manifest that is swapped in.
#[derive(Clone, Copy, Debug)]
pub enum Spare {}

impl IdKind for Task {
    const NOUN: &'static str = "task id";
    // `messages/agent-<id>.jsonl` is an inbox, so no task's channel may have that name.
    const MAY_BEGIN_WITH_AGENT: bool = false;
    const HAS_NUMBERS: bool = true;
}

impl IdKind for Agent {
    const NOUN: &'static str = "agent id";
}

impl IdKind for Plan {
    const NOUN: &'static str = "plan id";
}

impl IdKind for PlanStep {
    const NOUN: &'static str = "step id";
}

impl IdKind for ReceiptFile {
    const NOUN: &'static str = "name of a receipt";
}

impl IdKind for Cursor {
    const NOUN: &'static str = "cursor name";
}

impl IdKind for Session {
    const NOUN: &'static str = "session id";
}

impl IdKind for Lock {
    const NOUN: &'static str = "lease id";
}

impl IdKind for Spare {
    const NOUN: &'static str = "manifest name";
}

impl IdKind for Kind {
    const NOUN: &'static str = "event name";
}

/// The id of a task: `QUEUE-001`.
pub type TaskId = Id<Task>;

/// The id of an agent: `codex-1`.
pub type AgentId = Id<Agent>;

/// The id of a plan: `2025-09-19-queue-001`.
pub type PlanId = Id<Plan>;

/// The name of a new step of a plan: `S1`. Those that other tools wrote may be any text.
pub type StepId = Id<PlanStep>;

/// The name of a file that is stored as a receipt: `tests.log`.
pub type ReceiptName = Id<ReceiptFile>;

/// What type of event a line of the log is: `claim`, `note`.
pub type EventKind = Id<Kind>;

/// The name of a position in the log: `report`.
pub type CursorName = Id<Cursor>;

/// The id of a session of an agent: `20260301T120000Z-1a2b3c`.
pub type SessionId = Id<Session>;

/// The id of a path lease: `L-7f3k9mq`.
pub type LeaseId = Id<Lock>;

/// The name in `AGENT_MANIFEST.<name>.json`.
pub type ManifestName = Id<Spare>;

/// An id that obeys the rules of the design, section 7. Two ids that differ only by case are equal,
/// and so are two tasks of the queue that differ only by the zeros before their number.
pub struct Id<K> {
    text: String,
    kind: PhantomData<K>,
}

impl<K: IdKind> Id<K> {
    /// Checks `text` and makes an id of it.
    ///
    /// # Errors
    ///
    /// [`IdFault`], which says which rule is broken.
    pub fn new(text: impl Into<String>) -> Result<Self, IdFault> {
        let text = text.into();
        match broken_rule(&text, K::MAY_BEGIN_WITH_AGENT) {
            None => Ok(Self { text, kind: PhantomData }),
            Some(rule) => {
                let instead = near(&text).filter(|near| is_id::<K>(near));
                Err(IdFault { noun: K::NOUN, text, rule, instead })
            }
        }
    }
}

impl<K> Id<K> {
    /// The id as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `other` has the very same spelling, letter case included.
    #[must_use]
    pub fn same_spelling(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K: IdKind> Id<K> {
    /// What all spellings of the id have in common, in upper case: the name of its ref. `QUEUE-007`
    /// for `queue-7`.
    #[must_use]
    pub fn key(&self) -> String {
        let number = if K::HAS_NUMBERS { odd_number(&self.text) } else { None };
        number
            .map_or_else(|| self.text.to_ascii_uppercase(), |number| format!("QUEUE-{number:0>3}"))
    }

    /// The id with its number as usual; any other id is spelled as it was.
    #[must_use]
    pub fn usual(&self) -> Self {
        match self.has_usual_number() {
            true => self.clone(),
            false => Self { text: self.key(), kind: PhantomData },
        }
    }

    /// The other names that refs of it may have, of a version that took another number of zeros for
    /// another id.
    #[must_use]
    pub fn other_keys(&self) -> Vec<String> {
        let key = self.key();
        let digits =
            key.strip_prefix("QUEUE-").filter(|digits| K::HAS_NUMBERS && !digits.is_empty());
        let Some(digits) = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            return Vec::new();
        };
        let number = digits.trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number };
        if number.len() > MAX_DIGITS {
            return Vec::new();
        }
        let widths = number.len()..=MAX_DIGITS;
        widths
            .map(|width| format!("QUEUE-{number:0>width$}"))
            .filter(|other| *other != key)
            .collect()
    }

    /// Whether the id is spelled as [`Id::key`] has it, but for letter case.
    #[must_use]
    pub fn has_usual_number(&self) -> bool {
        !K::HAS_NUMBERS || odd_number(&self.text).is_none()
    }
}

/// The widest number of which refs of an older version are looked for under other names.
pub(super) const MAX_DIGITS: usize = 9;

/// The digits of the number of a task of the queue, without leading zeros, if it is not written as
/// usual, with three digits at least and no more zeros than that takes.
fn odd_number(text: &str) -> Option<&str> {
    let digits = text.get("QUEUE-".len()..).filter(|_| starts_with(text, "QUEUE-"))?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.trim_start_matches('0');
    let is_usual = digits.len() == 3 || (digits.len() > 3 && number.len() == digits.len());
    (!is_usual).then_some(number)
}

/// Whether `text` is an id of this sort.
pub(super) fn is_id<K: IdKind>(text: &str) -> bool {
    broken_rule(text, K::MAY_BEGIN_WITH_AGENT).is_none()
}

/// The rule that `text` breaks, as the end of a sentence that begins with "it must".
fn broken_rule(text: &str, may_begin_with_agent: bool) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > MAX_LENGTH {
        Some("have 1 to 100 characters")
    } else if !text.bytes().all(allowed) {
        Some("have only the characters `A-Z a-z 0-9 . _ -`")
    } else if !text.as_bytes()[0].is_ascii_alphanumeric() {
        Some("begin with a letter or a digit")
    } else if text.contains("..") {
        Some("not have `..`")
    } else if text.ends_with('.') || ends_with(text, ".lock") {
        Some("not end in `.` or `.lock`")
    } else if is_device_name(text) {
        Some("not be the name of a Windows device")
    } else if !may_begin_with_agent && starts_with(text, "agent-") {
        Some("not begin with `agent-`, which names an inbox")
    } else {
        None
    }
}

/// What is left of a text that is no id if all that an id may not have becomes a dash:
/// `feature-login` of `feature/login`, `123` of `#123`.
fn near(text: &str) -> Option<String> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-'));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let joined = parts.join("-").replace("..", ".");
    let near = joined.trim_matches(['.', '_', '-']);
    (!near.is_empty()).then(|| near.to_owned())
}

/// Whether ASCII `text` begins so, whatever its letter case.
fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Whether ASCII `text` ends so, whatever its letter case.
fn ends_with(text: &str, end: &str) -> bool {
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// Whether Windows takes a file of this name, with or without an extension, for a device
/// (Microsoft, "Naming Files, Paths, and Namespaces").
fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let is = |name: &str| stem.eq_ignore_ascii_case(name);
    let numbered = |prefix: &str| {
        stem.len() == 4 && starts_with(stem, prefix) && stem.as_bytes()[3].is_ascii_digit()
    };
    is("con") || is("prn") || is("aux") || is("nul") || numbered("com") || numbered("lpt")
}

/// A text that is no id, and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {noun}: it must {rule}{}", would_do(.instead.as_deref()))]
pub struct IdFault {
    noun: &'static str,
    text: String,
    rule: &'static str,
    instead: Option<String>,
}

/// The id that would do, as the end of a sentence.
fn would_do(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| format!("; `{id}` would do"))
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, IdFault> {
        Self::new(text)
    }
}

// By hand, because a derive would ask the same of the marker type.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), kind: PhantomData }
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<K: IdKind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        let same = self.text.eq_ignore_ascii_case(&other.text);
        same || !(self.has_usual_number() && other.has_usual_number()) && self.key() == other.key()
    }
}

impl<K: IdKind> Eq for Id<K> {}

impl<K: IdKind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.has_usual_number() && other.has_usual_number() {
            let [one, two] =
                [self, other].map(|id| id.text.bytes().map(|byte| byte.to_ascii_uppercase()));
            return one.cmp(two);
        }
        self.key().cmp(&other.key())
    }
}

impl<K: IdKind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: IdKind> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.has_usual_number() {
            true => self.text.bytes().for_each(|byte| state.write_u8(byte.to_ascii_uppercase())),
            false => self.key().bytes().for_each(|byte| state.write_u8(byte)),
        }
        state.write_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_of_real_buses_are_ids() {
        for text in [
            "QUEUE-001",
            "codex-1",
            "a",
            "7",
            "PLAN-2025-09-19-heartbeat-auto-codex2",
            "v1.2_x",
            "console",
            "com10",
        ] {
            assert!(TaskId::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_no_id() {
        let long = "a".repeat(101);
        let bad = [
            "", &long, "-a", ".a", "_a", "a b", "a/b", "../a", "a..b", "a.", "a.lock", "a.LOCK",
            "é", "a\n", "a\0", "con", "NUL", "Com1.txt", "lpt9", "a:b", "a~1",
        ];
        for text in bad {
            assert!(AgentId::new(text).is_err(), "{text:?}");
        }
        assert!(TaskId::new("Agent-1").is_err(), "an inbox is no task");
        assert!(AgentId::new("agent-1").is_ok());
    }

    #[test]
    fn letter_case_does_not_make_two_ids() {
        let upper = TaskId::new("QUEUE-001").unwrap();
        let lower = TaskId::new("queue-001").unwrap();
        assert_eq!(upper, lower);
        assert_eq!(upper.cmp(&lower), Ordering::Equal);
        assert!(!upper.same_spelling(&lower));
    }

    #[test]
    fn the_zeros_before_a_number_do_not_make_two_tasks() {
        let task = |text: &str| TaskId::new(text).unwrap();
        for (text, key) in [
            ("queue-7", "QUEUE-007"),
            ("QUEUE-07", "QUEUE-007"),
            ("QUEUE-0007", "QUEUE-007"),
            ("QUEUE-000", "QUEUE-000"),
            ("QUEUE-0", "QUEUE-000"),
            ("QUEUE-01234", "QUEUE-1234"),
            ("QUEUE-1234", "QUEUE-1234"),
            ("QUEUE-1000000000", "QUEUE-1000000000"),
            ("QUEUE-7a", "QUEUE-7A"),
            ("OTHER-7", "OTHER-7"),
        ] {
            assert_eq!(task(text).key(), key);
            assert_eq!(task(text), task(key));
            let hash = |id: &TaskId| {
                std::hash::BuildHasher::hash_one(
                    &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
                    id,
                )
            };
            assert_eq!(hash(&task(text)), hash(&task(key)));
        }
        assert_ne!(task("QUEUE-7"), task("QUEUE-70"));
        assert_ne!(AgentId::new("QUEUE-7").unwrap(), AgentId::new("QUEUE-007").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn spellings_are_equal_ordered_and_hashed_alike(one in "(QUEUE|queue)-0{0,5}[0-9]{1,4}", other in "(QUEUE|Q)-0{0,5}[0-9]{0,4}") {
            if let (Ok(one), Ok(other)) = (TaskId::new(one), TaskId::new(other)) {
                prop_assert_eq!(one == other, one.key() == other.key());
                prop_assert_eq!(one.cmp(&other), one.key().cmp(&other.key()));
            }
        }

        #[test]
        fn an_id_is_always_safe_as_a_file_name_and_in_a_ref(text in "[A-Za-z0-9._/ -]{0,12}") {
            if let Ok(id) = TaskId::new(text.clone()) {
                prop_assert!(!text.contains('/') && !text.contains("..") && !text.starts_with('.'));
                let name = format!("refs/bus/claims/{}", id.as_str().to_uppercase());
                prop_assert!(gix::validate::reference::name(name.as_str().into()).is_ok());
            }
        }
    }
}
