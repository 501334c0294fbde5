//! What the rules find: a bounded list, the whole count, a stable order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::rule::{LooksAt, Rule, Severity};
use crate::record::{Position, Records};

/// How many findings are shown; all are counted.
pub const SHOWN: usize = 1000;

/// How long a message is at most, in bytes: it quotes what stands in the file.
const MAX_MESSAGE: usize = 1000;

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, below the repository's root, with `/` between folders; or the full name of a ref.
    pub path: String,
    /// Where in the file, or `None` if the file as a whole is meant. The column is none where the
    /// whole line is meant.
    pub place: Option<Place>,
    /// The rule.
    pub rule: Rule,
    /// How much it matters here: the policy may want more than the rule does.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
}

/// A line, and a column where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The part of the file in which the line is counted; 0 once it is counted from the start.
    pub(super) part: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: Option<usize>,
}

impl Place {
    /// A whole line.
    pub(super) const fn line(line: usize) -> Self {
        Self { part: 0, line, column: None }
    }
}

impl From<Position> for Place {
    fn from(at: Position) -> Self {
        Self { part: 0, line: at.line, column: Some(at.column) }
    }
}

/// Which rules are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these; all if there are none.
    pub only: Vec<Rule>,
    /// Not these.
    pub skip: Vec<Rule>,
}

impl Selection {
    /// Whether no rule is left of those that look at one of these.
    #[must_use]
    pub fn is_empty_of(&self, looks_at: &[LooksAt]) -> bool {
        !Rule::all().any(|rule| self.has(rule) && looks_at.contains(&rule.looks_at()))
    }

    fn has(&self, rule: Rule) -> bool {
        (self.only.is_empty() || self.only.contains(&rule)) && !self.skip.contains(&rule)
    }
}

/// Gathers findings: keeps the first in order, counts all.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    selection: Selection,
    /// The warnings that are errors here.
    raised: Vec<Rule>,
    kept: BinaryHeap<Finding>,
    counts: BTreeMap<Rule, u64>,
}

impl Findings {
    /// An empty list for the rules of `selection`, of which `raised` are errors.
    pub(super) fn new(selection: Selection, raised: Vec<Rule>) -> Self {
        Self { selection, raised, kept: BinaryHeap::new(), counts: BTreeMap::new() }
    }

    /// Another list of the same rules, for another thread.
    pub(super) fn sister(&self) -> Self {
        Self::new(self.selection.clone(), self.raised.clone())
    }

    /// Adds a finding; its words are made only where it will be kept.
    pub(super) fn add(
        &mut self,
        rule: Rule,
        path: &str,
        place: Option<Place>,
        message: impl FnOnce() -> String,
    ) {
        if !self.selection.has(rule) {
            return;
        }
        *self.counts.entry(rule).or_default() += 1;
        let is_late = |last: &Finding| {
            (path, place, rule).cmp(&(&last.path, last.place, last.rule)) == Ordering::Greater
        };
        if self.kept.len() < SHOWN || !self.kept.peek().is_some_and(is_late) {
            let severity = severity_of(rule, &self.raised);
            self.keep(Finding {
                path: path.to_owned(),
                place,
                rule,
                severity,
                message: shorten(message()),
            });
        }
    }

    /// How many there are so far.
    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Takes over what a sister has found; `count` gives a place its line from the start of the
    /// file.
    pub(super) fn join(&mut self, sister: Self, count: impl Fn(&str, Place) -> Place) {
        for (rule, more) in sister.counts {
            *self.counts.entry(rule).or_default() += more;
        }
        for finding in sister.kept {
            let place = finding.place.map(|place| count(&finding.path, place));
            self.keep(Finding { place, ..finding });
        }
    }

    fn keep(&mut self, finding: Finding) {
        self.kept.push(finding);
        if self.kept.len() > SHOWN {
            self.kept.pop();
        }
    }

    /// The list in order, and how many there are of each rule.
    pub(super) fn finish(self) -> (Vec<Finding>, BTreeMap<Rule, u64>) {
        (self.kept.into_sorted_vec(), self.counts)
    }
}

/// How much a rule matters if `raised` are errors.
fn severity_of(rule: Rule, raised: &[Rule]) -> Severity {
    if raised.contains(&rule) { Severity::Error } else { rule.severity() }
}

fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let cut = (0..=MAX_MESSAGE).rev().find(|place| message.is_char_boundary(*place));
        message.truncate(cut.unwrap_or_default());
        message.push('…');
        message.shrink_to_fit();
    }
    message
}

/// What the validator found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first [`SHOWN`] findings, by file, line, column and rule.
    pub findings: Vec<Finding>,
    /// How many there are of each rule.
    pub counts: BTreeMap<Rule, u64>,
    /// The rules whose findings are errors here, although they are warnings elsewhere.
    pub raised: Vec<Rule>,
    /// The commit that was asked for as the base, or `None` if only this tree was looked at.
    pub base: Option<String>,
    /// What the base and HEAD grew from: the tree is compared with these commits.
    pub merge_bases: Vec<String>,
    /// The branch that was judged, or `None` if no branch is known, so that nobody's changes could
    /// be told apart.
    pub branch: Option<String>,
    /// The other branches that were compared with.
    pub refs: Vec<String>,
    /// How many files were judged; of an audit, how many refs.
    pub files: usize,
    /// Whether it is of an audit.
    pub is_audit: bool,
    /// Where the policy keeps the records; `None` in an older bus.
    pub records: Option<Records>,
    /// Whether the claims of a fleet could be read.
    pub fleet: FleetSight,
}

/// What is known here of the fleet's refs: who holds which task, and which paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FleetSight {
    /// There is no fleet, and no claim ref.
    #[default]
    None,
    /// They are here.
    Read,
    /// There is a fleet, and they are not here, for this reason.
    Unread(String),
}

impl FleetSight {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Unread(_) => "unread",
        }
    }
}

impl Report {
    /// How many findings are of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        self.counts
            .iter()
            .filter(|(rule, _)| severity_of(**rule, &self.raised) == severity)
            .map(|(_, count)| count)
            .sum()
    }

    /// How many findings there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_all_are_counted_in_whatever_order_they_come() {
        let mut findings =
            Findings::new(Selection { only: Vec::new(), skip: vec![Rule::BadId] }, Vec::new());
        let mut sister = findings.sister();
        for line in (1..=SHOWN).rev() {
            findings.add(Rule::InvalidJson, "b", Some(Place::line(line)), || line.to_string());
            sister.add(
                Rule::TornLine,
                "a",
                Some(Place { part: 1, line, column: None }),
                String::new,
            );
            findings.add(Rule::BadId, "a", None, || unreachable!("it is skipped"));
        }
        findings.join(sister, |_, place| Place { part: 0, line: place.line * 2, ..place });
        let (kept, counts) = findings.finish();
        assert_eq!(counts, BTreeMap::from([(Rule::InvalidJson, 1000), (Rule::TornLine, 1000)]));
        let lines: Vec<(&str, usize)> =
            kept.iter().map(|found| (found.path.as_str(), found.place.unwrap().line)).collect();
        assert_eq!(lines, (1..=SHOWN).map(|line| ("a", line * 2)).collect::<Vec<_>>());
    }
}
