//! The log is append-only: every line of the base is still there, in its order (docs/design.md,
//! section 5).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::files::{Batch, stem_of};
use super::finding::{Findings, Place};
use super::hashes::{BLANK, Secret};
use super::rule::Rule;
use crate::record::Event;
use crate::store::{Error, Verb};

/// How much of a line a message shows, in letters.
const QUOTED: usize = 120;

/// How much of a file is compared at a time, in bytes.
const BLOCK: usize = 256 * 1024;

/// What became of a line of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It stands there, from 0.
    At(usize),
    /// It is nowhere in the file.
    Gone,
    /// It is there, but not in its place.
    Moved,
    /// It is blank, or stands further up in the base already: readers drop doubles.
    Idle,
}

/// A file of lines as the base has it.
pub(super) struct BaseLines<'a> {
    pub(super) path: &'a str,
    /// How git calls it, where that can be typed.
    pub(super) spelled: Option<String>,
    pub(super) bytes: &'a [u8],
}

/// Where the lines of the log stand now, by the stems of its files in lower case: a line may have
/// moved among them.
pub(super) type InLog = HashMap<String, HashSet<u64>>;

/// Whether a line of the base stands in a file of the log to which it may have moved: that of all
/// agents, or its agent's own.
fn has_moved(in_log: Option<&InLog>, line: &[u8], hash: u64) -> bool {
    let Some(in_log) = in_log else { return false };
    let agent =
        || Event::parse(line).ok().map(|event| event.agent_id.as_str().to_ascii_lowercase());
    let mut stems = in_log
        .iter()
        .filter(|(_, lines)| lines.contains(&hash))
        .map(|(stem, _)| stem.as_str())
        .peekable();
    stems.peek().is_some()
        && agent().is_none_or(|agent| stems.any(|stem| stem == "events" || owner_of(stem) == agent))
}

/// Whose the lines of a file of the log are, by its stem: `codex-1` of `codex-1`, and of the batch
/// `codex-1@0123456789ab`.
fn owner_of(stem: &str) -> &str {
    Batch::at(stem).map_or(stem, |batch| batch.owner)
}

impl BaseLines<'_> {
    /// Whether the file `now` begins with the base's bytes, so that nothing but new lines can have
    /// been added.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read.
    pub(super) fn is_beginning_of(&self, now: &Path) -> Result<bool, Error> {
        let refused = Error::io(Verb::Read, now);
        let compare = || -> std::io::Result<bool> {
            let mut file = File::open(now)?;
            let mut block = vec![0; BLOCK];
            for expected in self.bytes.chunks(BLOCK) {
                let block = &mut block[..expected.len()];
                match file.read_exact(block) {
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        return Ok(false);
                    }
                    read => read?,
                }
                if block != expected {
                    return Ok(false);
                }
            }
            // A last line without a newline must end where it ended.
            let mut next = [0];
            let ended = self.bytes.is_empty() || self.bytes.ends_with(b"\n");
            Ok(ended || file.read(&mut next)? == 0 || next == *b"\n")
        };
        compare().map_err(refused)
    }

    /// The line from which on the file `now` has other bytes, from 1; `None` if it is the same,
    /// byte for byte.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read.
    pub(super) fn differs_from(&self, now: &Path) -> Result<Option<usize>, Error> {
        let bytes = std::fs::read(now).map_err(Error::io(Verb::Read, now))?;
        if bytes == self.bytes {
            return Ok(None);
        }
        let same = bytes.iter().zip(self.bytes).take_while(|(one, other)| one == other).count();
        Ok(Some(1 + memchr::memchr_iter(b'\n', &bytes[..same]).count()))
    }

    /// The lines of the base, as hashes.
    pub(super) fn hashes(&self, secret: Secret) -> Vec<u64> {
        // Reading from memory cannot fail.
        secret.lines(self.bytes).unwrap_or_default()
    }

    /// Compares with the lines `now` of the same file, and tells what is missing or out of its
    /// place, unless it was `told`.
    pub(super) fn compare(
        &self,
        findings: &mut Findings,
        secret: Secret,
        now: &[u64],
        in_log: Option<&InLog>,
        told: &mut HashSet<u64>,
    ) {
        let before = self.hashes(secret);
        let known: HashSet<u64> = before.iter().copied().collect();
        let lines: Vec<&[u8]> = self.bytes.split(|byte| *byte == b'\n').collect();
        // Where a line that is missing would stand, from 0: after the last one that is there.
        let mut next = 0;
        for (index, fate) in fates(&before, now).into_iter().enumerate() {
            let text = lines[index];
            let what = match fate {
                Fate::Idle => continue,
                Fate::At(place) => {
                    next = place + 1;
                    continue;
                }
                Fate::Gone if has_moved(in_log, text, before[index]) => continue,
                _ if !told.insert(before[index]) => continue,
                Fate::Gone => "is gone, or was changed",
                Fate::Moved => "is in another place now",
            };
            let place = Place::line((next + 1).min(now.len().max(1)));
            let whole = || {
                self.spelled
                    .as_ref()
                    .map_or_else(String::new, |spelled| format!(" (`git show {spelled}` has it)"))
            };
            let words =
                || format!("line {} of the base {what}: `{}`{}", index + 1, quote(text), whole());
            findings.add(Rule::AppendOnly, self.path, Some(place), words);
            // A new line in its place is the line as it was changed.
            next += usize::from(
                fate == Fate::Gone && now.get(next).is_some_and(|line| !known.contains(line)),
            );
        }
    }

    /// Tells that the file is gone, unless all its lines stand elsewhere.
    pub(super) fn compare_with_nothing(
        &self,
        findings: &mut Findings,
        secret: Secret,
        in_log: Option<&InLog>,
    ) {
        let before = self.hashes(secret);
        let lines = || {
            self.bytes.split(|byte| *byte == b'\n').zip(&before).filter(|(_, hash)| **hash != BLANK)
        };
        let gone = lines().filter(|(line, hash)| !has_moved(in_log, line, **hash)).count();
        if gone > 0 {
            let all = lines().count();
            let whole = || {
                self.spelled
                    .as_ref()
                    .map_or_else(String::new, |spelled| format!("; `git show {spelled}` has them"))
            };
            let words = || {
                format!("the base's file is gone, and with it {gone} of its {all} lines{}", whole())
            };
            findings.add(Rule::AppendOnly, self.path, None, words);
        }
    }

    /// Tells of lines that moved to the file `path` of the log, which now has the lines `now`, and
    /// are not in their order there.
    pub(super) fn compare_moved(
        &self,
        findings: &mut Findings,
        secret: Secret,
        in_log: &InLog,
        path: &str,
        now: &[u64],
    ) {
        let stem = stem_of(path).to_ascii_lowercase();
        let stays = in_log.get(&stem_of(self.path).to_ascii_lowercase());
        let owner = owner_of(&stem);
        let own = |line: &[u8]| {
            Event::parse(line)
                .is_ok_and(|event| event.agent_id.as_str().eq_ignore_ascii_case(owner))
        };
        let lines = self.bytes.split(|byte| *byte == b'\n').zip(self.hashes(secret)).enumerate();
        let there: HashSet<u64> = now.iter().copied().collect();
        let has_left =
            |hash: u64| there.contains(&hash) && !stays.is_some_and(|lines| lines.contains(&hash));
        let moved =
            lines.filter(|(_, (line, hash))| has_left(*hash) && (stem == "events" || own(line)));
        let (numbers, hashes): (Vec<usize>, Vec<u64>) =
            moved.map(|(number, (_, hash))| (number, hash)).unzip();
        for (index, _) in
            fates(&hashes, now).into_iter().enumerate().filter(|(_, fate)| *fate == Fate::Moved)
        {
            let words = || {
                format!(
                    "line {} of the base's `{}` is in another place here",
                    numbers[index] + 1,
                    self.path
                )
            };
            findings.add(Rule::AppendOnly, path, None, words);
        }
    }
}

/// What became of each line of `before`.
fn fates(before: &[u64], now: &[u64]) -> Vec<Fate> {
    let mut places: Vec<(u64, usize)> =
        now.iter().enumerate().map(|(place, line)| (*line, place)).collect();
    places.sort_unstable();
    let from = |line: u64, place: usize| {
        let index = places.partition_point(|entry| *entry < (line, place));
        places.get(index).filter(|entry| entry.0 == line).map(|entry| entry.1)
    };
    let mut seen = HashSet::new();
    let mut fates = vec![Fate::Idle; before.len()];
    let mut present = Vec::new();
    let (mut next, mut in_order) = (0, true);
    for (index, line) in
        before.iter().enumerate().filter(|(_, line)| **line != BLANK && seen.insert(**line))
    {
        fates[index] = match (from(*line, 0), from(*line, next)) {
            (None, _) => Fate::Gone,
            (Some(first), later) => {
                present.push((index, first));
                in_order &= later.is_some();
                next = later.map_or(next, |place| place + 1);
                later.map_or(Fate::Moved, Fate::At)
            }
        }
    }
    if !in_order {
        let moved: HashSet<usize> = out_of_order(&present).into_iter().collect();
        let fate =
            |index, place| if moved.contains(&index) { Fate::Moved } else { Fate::At(place) };
        present.into_iter().for_each(|(index, place)| fates[index] = fate(index, place));
    }
    fates
}

/// The fewest lines that must be taken out of `lines` (line of the base, place now) so that the
/// others are in order.
fn out_of_order(lines: &[(usize, usize)]) -> Vec<usize> {
    // The longest increasing run, by patience sorting: `tops[n]` ends the best run of n + 1 lines.
    let mut tops: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(lines.len());
    for (number, (_, place)) in lines.iter().enumerate() {
        let pile = tops.partition_point(|top| lines[*top].1 < *place);
        before.push(pile.checked_sub(1).map(|pile| tops[pile]));
        if pile == tops.len() { tops.push(number) } else { tops[pile] = number }
    }
    let stays: HashSet<usize> =
        std::iter::successors(tops.last().copied(), |number| before[*number]).collect();
    lines
        .iter()
        .enumerate()
        .filter(|(number, _)| !stays.contains(number))
        .map(|(_, (index, _))| *index)
        .collect()
}

fn quote(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * QUOTED)]);
    match text.char_indices().nth(QUOTED) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fate::{At, Gone, Idle, Moved};
    use proptest::prelude::*;

    #[test]
    fn what_is_missing_or_moved_is_told_and_nothing_else() {
        let cases: [(&[u64], &[u64], &[Fate]); 9] = [
            (&[1, 2, 3], &[1, 2, 3, 4], &[At(0), At(1), At(2)]),
            (&[1, 2, 3], &[4, 1, 5, 2, 3], &[At(1), At(3), At(4)]),
            (&[1, 2, 3], &[1, 3], &[At(0), Gone, At(1)]),
            (&[1, 2, 3], &[1, 9, 3], &[At(0), Gone, At(2)]),
            (&[1, 2, 3], &[3, 1, 2], &[At(1), At(2), Moved]),
            (&[1, 2, 3, 4], &[2, 3, 4, 1], &[Moved, At(0), At(1), At(2)]),
            (&[1, BLANK, 1, 2], &[1, 2], &[At(0), Idle, Idle, At(1)]),
            (&[1, 2, 3], &[2, 1, 2, 3], &[At(1), At(2), At(3)]),
            (&[1, 2], &[], &[Gone, Gone]),
        ];
        for (before, now, expected) in cases {
            assert_eq!(fates(before, now), expected, "{before:?} {now:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_subsequence_is_never_told_of_and_anything_else_always(
            before in prop::collection::vec(1..12u64, 0..10), now in prop::collection::vec(1..12u64, 0..14),
        ) {
            let mut seen = HashSet::new();
            let once: Vec<u64> = before.iter().copied().filter(|line| seen.insert(*line)).collect();
            let mut rest = now.iter();
            let is_subsequence = once.iter().all(|line| rest.any(|other| other == line));
            let told = fates(&before, &now).into_iter().any(|fate| matches!(fate, Gone | Moved));
            prop_assert_eq!(!told, is_subsequence);
        }
    }
}
