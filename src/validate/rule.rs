//! The rules: their stable names, what they are for, and how to repair what breaks them (design,
//! section 5).

use std::fmt;
use std::str::FromStr;

mod table;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The bus is not sound.
    Error,
    /// Somebody should look.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A rule of the validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described in the table of rules, which users also see")]
pub enum Rule {
    NotAFile,
    AlteredByGit,
    WrongFileName,
    MisplacedRecord,
    DuplicateClaimFile,
    DuplicateQueueItem,
    InvalidUtf8,
    ByteOrderMark,
    NulByte,
    MergeConflict,
    LineTooLong,
    RecordTooLong,
    NoFinalNewline,
    TornLine,
    InvalidJson,
    NotAnObject,
    TwoObjects,
    DuplicateKey,
    MissingField,
    WrongType,
    UnknownValue,
    BadId,
    BadTimestamp,
    ReleasedBeforeClaimed,
    WrongBranch,
    IdClash,
    ForeignEvent,
    WrongChannel,
    BadQueueItem,
    DoubtfulQueueItem,
    QueueCycle,
    BadConfig,
    BadPattern,
    LeaseOverlap,
    MissingPlan,
    UndatedPlan,
    DuplicateStep,
    TwoStepsInProgress,
    StepWithoutReceipt,
    MissingReceipt,
    ReceiptChanged,
    UnlistedReceipt,
    TrackedRecord,
    TrackedManifest,
    TooMuch,
    AppendOnly,
    RecordGone,
    DuplicateClaim,
    ClaimRollback,
    HandoverForged,
    HandoverUnproved,
    PlanRegression,
    PathLeased,
    PathUnleased,
    UnclaimedBranch,
    ClaimLost,
    NotJudged,
    PolicyChanged,
    Tampering,
    ChainBroken,
    LogRewritten,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooksAt {
    /// The files that are there.
    Files,
    /// What has changed since a base.
    Change,
    /// The fleet's refs.
    Fleet,
}

/// What there is to say about a rule.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The rule.
    pub rule: Rule,
    /// Its name, in kebab-case. It never changes.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in a line.
    pub summary: &'static str,
    /// How to repair it.
    pub fix: &'static str,
    /// What breaks it.
    pub bad: &'static str,
    /// What does not.
    pub good: &'static str,
}

impl Rule {
    /// Every rule, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        table::RULES.iter().map(|about| about.rule)
    }

    /// What there is to say about it.
    #[must_use]
    pub const fn about(self) -> &'static About {
        &table::RULES[self as usize]
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.about().severity
    }

    /// What it looks at.
    #[must_use]
    pub const fn looks_at(self) -> LooksAt {
        match self as usize {
            place if place < Self::AppendOnly as usize => LooksAt::Files,
            place if place < Self::ChainBroken as usize => LooksAt::Change,
            _ => LooksAt::Fleet,
        }
    }

    /// Whether it compares with a base.
    #[must_use]
    pub const fn is_history(self) -> bool {
        matches!(self.looks_at(), LooksAt::Change)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no rule has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule `{0}`; `bus validate --list-rules` lists them")]
pub struct NoSuchRule(String);

impl FromStr for Rule {
    type Err = NoSuchRule;

    fn from_str(name: &str) -> Result<Self, NoSuchRule> {
        Self::all().find(|rule| rule.name() == name).ok_or_else(|| NoSuchRule(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_rule_at_its_place_and_says_all_there_is_to_say() {
        for (place, about) in table::RULES.iter().enumerate() {
            assert_eq!(about.rule as usize, place, "{}", about.name);
            assert_eq!(about.name.parse(), Ok(about.rule));
            let texts = [about.summary, about.fix, about.bad, about.good];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", about.name);
            assert!(!about.summary.ends_with('.') && !about.fix.ends_with('.'), "{}", about.name);
        }
        assert_eq!(Rule::all().last(), Some(Rule::LogRewritten));
    }
}
