//! The clones' logs: whole, sound, and only ever grown (docs/design.md, sections 1.4 and 4).

use std::collections::{BTreeMap, HashSet};

use super::{Audit, short};
use crate::git::{ItemKind, ObjectId, RefName, TreeItem};
use crate::record::json::{MAX_LINE, MAX_RECORD, parse_line};
use crate::record::{Assignment, CloneId, Event, Fault, Glance, Message};
use crate::validate::Error;
use crate::validate::faults::in_line;
use crate::validate::finding::{Findings, Place};
use crate::validate::rule::Rule;

/// The longest segment of a log file, in bytes.
const MAX_SEGMENT: usize = 1024 * 1024;

/// How many commits of a log are looked at, and how many bytes of its segments: each segment once,
/// however often it is named.
const MAX_COMMITS: usize = 20_000;

/// How many commits count as one if each has the tree of the one after it: such a commit goes with
/// each claim and heartbeat that is pushed, and of it nothing but itself is read.
const SAME_TREE: usize = 25;
const MAX_LOG: usize = 256 * 1024 * 1024;

/// How many times segments may be named, and as how many bytes each time counts.
const NAME_COST: usize = 1024;

/// What is left of what may be read of a log.
struct Left {
    bytes: usize,
    seen: HashSet<(String, ObjectId)>,
}

impl Left {
    fn new() -> Self {
        Self { bytes: MAX_LOG, seen: HashSet::new() }
    }

    /// Takes some bytes; `false` if there are not so many left, then and from then on.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or_default();
        left.is_some()
    }
}

/// The folders of a log whose files are cut into segments.
const LINES: [&str; 2] = ["events", "messages"];

/// The folder of a log with a file per task.
const ASSIGNMENTS: &str = "assignments";

impl Audit<'_> {
    /// Checks the log of each clone; returns how many refs of logs there are.
    pub(super) fn check_logs(&self, findings: &mut Findings) -> Result<usize, Error> {
        let mut count = 0;
        for (clone, names) in self.refs.logs() {
            count += names.len();
            let mut tips = Vec::new();
            for name in names {
                if CloneId::new(clone).is_none() {
                    findings.add(Rule::ChainBroken, name.as_str(), None, || {
                        format!("`{clone}` is the id of no clone")
                    });
                } else if let Some(tip) = self.repo.id_of(name)? {
                    self.check_commits(findings, name, tip)?;
                    self.check_lines(findings, name, tip)?;
                    tips.push((name, tip));
                }
            }
            // One clone writes it, so that of two states one has all of the other.
            for pair in tips.windows(2) {
                let [(_, one), (name, other)] = pair else { continue };
                if !self.has_ancestor(*one, *other)? && !self.has_ancestor(*other, *one)? {
                    let words = || {
                        format!(
                            "{} does not go on from {}, nor the other way round",
                            short(*other),
                            short(*one)
                        )
                    };
                    findings.add(Rule::LogRewritten, name.as_str(), None, words);
                }
            }
        }
        Ok(count)
    }

    /// Checks that each commit of a log has all that the one before had.
    fn check_commits(
        &self,
        findings: &mut Findings,
        name: &RefName,
        tip: ObjectId,
    ) -> Result<(), Error> {
        let (mut next, mut newer) = (Some(tip), None);
        let (mut cost, mut left) = (0, Left::new());
        while let Some(id) = next {
            if cost >= MAX_COMMITS * SAME_TREE {
                let words = || "it has more commits than are looked at".to_owned();
                findings.add(Rule::TooMuch, name.as_str(), None, words);
                break;
            }
            let (link, tree) = match (self.repo.link(id)?, self.repo.tree_of(id)?) {
                (Ok(link), Ok(tree)) => (link, tree),
                (Err(what), _) | (_, Err(what)) => {
                    findings.add(Rule::ChainBroken, name.as_str(), None, || {
                        format!("the commit {} cannot be read: {what}", short(id))
                    });
                    break;
                }
            };
            let is_same = newer.is_some_and(|(_, newer_tree)| newer_tree == tree);
            cost += if is_same { 1 } else { SAME_TREE };
            if let Some((newer_id, newer_tree)) = newer.filter(|_| !is_same)
                && let Some(lost) = self.lost_between(tree, newer_tree, &mut left)?
            {
                let words = || {
                    format!(
                        "the commit {} has not all that {} had of `{lost}`",
                        short(newer_id),
                        short(id)
                    )
                };
                findings.add(Rule::LogRewritten, name.as_str(), None, words);
            }
            if left.bytes == 0 {
                add_too_long(findings, name);
                break;
            }
            newer = Some((id, tree));
            next = link.parent;
        }
        Ok(())
    }

    /// The file of `old` of which `new` lacks something. Trees that cannot be read are told of with
    /// the tip's lines.
    fn lost_between(
        &self,
        old: ObjectId,
        new: ObjectId,
        left: &mut Left,
    ) -> Result<Option<String>, Error> {
        let (before, after) = (self.items(old)?, self.items(new)?);
        for folder in before.values().filter(|folder| LINES.contains(&folder.name.as_str())) {
            let Some(now) = after.get(&folder.name) else { return Ok(Some(folder.name.clone())) };
            let (files, now) = (
                self.items(folder.id)?,
                if now.id == folder.id { continue } else { self.items(now.id)? },
            );
            for file in files.values() {
                if !left.take(NAME_COST / 16) {
                    return Ok(None);
                }
                let path = format!("{}/{}", folder.name, file.name);
                match now.get(&file.name) {
                    Some(now) if now.id == file.id || self.has_grown(file.id, now.id, left)? => {}
                    _ => return Ok(Some(path)),
                }
            }
        }
        Ok(None)
    }

    /// Whether the segments of `old` are all in `new`; the last one may have grown.
    fn has_grown(&self, old: ObjectId, new: ObjectId, left: &mut Left) -> Result<bool, Error> {
        let (before, after) = (self.items(old)?, self.items(new)?);
        let mut changed = before
            .values()
            .filter(|segment| after.get(&segment.name).map(|now| now.id) != Some(segment.id));
        let Some(segment) = changed.next() else { return Ok(true) };
        let is_last = before.keys().next_back() == Some(&segment.name);
        let Some(now) = after.get(&segment.name).filter(|_| is_last) else { return Ok(false) };
        // What cannot be compared any more is told of as that.
        if !left.take(NAME_COST * before.len() / 16) {
            return Ok(true);
        }
        let (was, is) =
            (self.repo.blob(segment.id, MAX_SEGMENT)?, self.repo.blob(now.id, MAX_SEGMENT)?);
        let (Ok(was), Ok(is)) = (was, is) else { return Ok(false) };
        Ok(!left.take(was.len() + is.len()) || is.starts_with(&was))
    }

    /// What a tree has, by name; nothing if it cannot be read.
    fn items(&self, tree: ObjectId) -> Result<BTreeMap<String, TreeItem>, Error> {
        let items = self.repo.list_tree(tree)?.unwrap_or_default();
        Ok(items.into_iter().map(|item| (item.name.clone(), item)).collect())
    }

    /// Checks all that the tip of a log has.
    fn check_lines(
        &self,
        findings: &mut Findings,
        name: &RefName,
        tip: ObjectId,
    ) -> Result<(), Error> {
        let Ok(root) = self.repo.tree_of(tip)? else { return Ok(()) };
        let mut left = Left::new();
        for folder in self.list(findings, name, root)? {
            let is_folder = folder.kind == ItemKind::Folder;
            match folder.name.as_str() {
                ASSIGNMENTS if is_folder => {
                    for item in self.list(findings, name, folder.id)? {
                        self.check_assignment(findings, name, &item)?;
                    }
                }
                lines if is_folder && LINES.contains(&lines) => {
                    for file in self.list(findings, name, folder.id)? {
                        self.check_file(findings, name, lines, &file, &mut left)?;
                        if left.bytes == 0 {
                            add_too_long(findings, name);
                            return Ok(());
                        }
                    }
                }
                other => self.is_no_log(findings, name, other),
            }
        }
        Ok(())
    }

    fn list(
        &self,
        findings: &mut Findings,
        name: &RefName,
        tree: ObjectId,
    ) -> Result<Vec<TreeItem>, Error> {
        let listed = self.repo.list_tree(tree)?;
        Ok(listed.unwrap_or_else(|what| {
            findings.add(Rule::ChainBroken, name.as_str(), None, || what);
            Vec::new()
        }))
    }

    fn is_no_log(&self, findings: &mut Findings, name: &RefName, path: &str) {
        findings.add(Rule::ChainBroken, name.as_str(), None, || {
            format!("it has `{path}`, which is no part of a log")
        });
    }

    fn check_assignment(
        &self,
        findings: &mut Findings,
        name: &RefName,
        item: &TreeItem,
    ) -> Result<(), Error> {
        let blob = self.repo.blob(item.id, MAX_RECORD)?;
        let task = item.name.strip_suffix(".json").filter(|_| item.kind == ItemKind::File);
        let assignment = blob.ok().and_then(|bytes| Assignment::parse(&bytes).ok());
        let is_sound = task.zip(assignment).is_some_and(|(task, assignment)| {
            assignment.task_id.as_str().eq_ignore_ascii_case(task)
        });
        if !is_sound {
            self.is_no_log(findings, name, &format!("{ASSIGNMENTS}/{}", item.name));
        }
        Ok(())
    }

    /// Checks the lines of a file of the log, segment by segment.
    fn check_file(
        &self,
        findings: &mut Findings,
        name: &RefName,
        folder: &str,
        file: &TreeItem,
        left: &mut Left,
    ) -> Result<(), Error> {
        let path = format!("{folder}/{}", file.name);
        if file.kind != ItemKind::Folder || !file.name.ends_with(".jsonl") {
            self.is_no_log(findings, name, &path);
            return Ok(());
        }
        for segment in self.list(findings, name, file.id)? {
            let path = format!("{path}/{}", segment.name);
            if !left.take(NAME_COST) {
                return Ok(());
            }
            // The same bytes have the same faults.
            if segment.kind == ItemKind::File && !left.seen.insert((folder.to_owned(), segment.id))
            {
                continue;
            }
            let is_number = segment.name.bytes().all(|byte| byte.is_ascii_digit());
            match self.repo.blob(segment.id, MAX_SEGMENT)? {
                Ok(bytes) if is_number && segment.kind == ItemKind::File => {
                    if !left.take(bytes.len()) {
                        return Ok(());
                    }
                    check_segment(findings, &format!("{}:{path}", name.as_str()), folder, &bytes);
                }
                _ => self.is_no_log(findings, name, &path),
            }
        }
        Ok(())
    }

    /// Whether `wanted` is `commit`, or was before it.
    fn has_ancestor(&self, commit: ObjectId, wanted: ObjectId) -> Result<bool, Error> {
        Ok(self.ancestors(&[commit])?.contains(&wanted))
    }

    /// The commits `tips`, and all that were before them as far as they are here.
    pub(super) fn ancestors(&self, tips: &[ObjectId]) -> Result<HashSet<ObjectId>, Error> {
        let (mut seen, mut next) = (HashSet::new(), tips.to_vec());
        while let Some(id) = next.pop() {
            if seen.insert(id) && self.repo.has_object(id)? {
                next.extend(self.history.parents(id)?);
            }
        }
        Ok(seen)
    }
}

fn add_too_long(findings: &mut Findings, name: &RefName) {
    let words = || {
        format!(
            "of a log {} MiB are read, and it has more, or names its segments too often",
            MAX_LOG >> 20
        )
    };
    findings.add(Rule::TooMuch, name.as_str(), None, words);
}

fn check_segment(findings: &mut Findings, path: &str, folder: &str, bytes: &[u8]) {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        findings.add(Rule::NoFinalNewline, path, None, || {
            "the last line does not end with a newline".to_owned()
        });
    }
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() || (folder == "events" && Glance::at(line).is_some()) {
            continue;
        }
        let faults = if line.len() > MAX_LINE {
            vec![Fault::TooLong { limit: MAX_LINE }]
        } else {
            faults_of(folder, line)
        };
        in_line(findings, path, Place::line(number), line, &faults);
    }
}

/// What makes a line no event, or no message.
fn faults_of(folder: &str, line: &[u8]) -> Vec<Fault> {
    let read = match parse_line(line) {
        Err(fault) => return vec![fault],
        Ok(object) if folder == "events" => Event::from_object(object).map(drop),
        Ok(object) => Message::from_object(object).map(drop),
    };
    read.err().unwrap_or_default()
}
