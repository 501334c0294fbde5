//! The static rules of record files: claims, assignments, plans, queue items, the policy.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::faults::in_record;
use super::files::{Batch, Found, Kind, Stands, name_of, stem_of};
use super::finding::{Findings, Place};
use super::plans;
use super::rule::Rule;
use crate::record::json::{MAX_RECORD, Object};
use crate::record::{
    Assignment, Claim, Config, Fault, Lease, MAX_REVISION, PathStep, Pattern, Places, PlanRecord,
    Position, QueueItem, TaskId, Timestamp, json, sound_text,
};
use crate::store::{Error, Sums, Verb};

/// How much room a record file usually takes: so much is read at a time, in bytes.
const USUAL: usize = 16 * 1024;

/// The longest policy that is read, in bytes.
pub(super) const MAX_CONFIG: usize = 64 * 1024;

/// What the rules of one file need to know of the others.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) root: PathBuf,
    /// The plans that there are, in lower case.
    plans: HashSet<String>,
    /// Of files that receipts name.
    pub(super) sums: Sums,
}

impl Surroundings {
    pub(super) fn new(root: &Path, found: &[Found]) -> Self {
        let is_plan =
            |found: &&Found| found.kind == Some(Kind::Plan) && found.stands != Stands::Misplaced;
        let plans = found.iter().filter(is_plan);
        Self {
            root: root.to_owned(),
            plans: plans.map(|plan| stem_of(&plan.path).to_ascii_lowercase()).collect(),
            sums: Sums::default(),
        }
    }
}

/// Reads a record file; one byte more than a record may have where it has more.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(USUAL);
    let file = File::open(path).map_err(Error::io(Verb::Read, path))?;
    file.take(MAX_RECORD as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io(Verb::Read, path))?;
    Ok(bytes)
}

/// Whether a regular file stands at `path` below `root`, and no link on the way to it.
pub(super) fn is_plain(root: &Path, path: &str) -> bool {
    let is = |path: &str, what: fn(&Metadata) -> bool| {
        root.join(path).symlink_metadata().is_ok_and(|found| what(&found))
    };
    path.match_indices('/').all(|(end, _)| is(&path[..end], Metadata::is_dir))
        && is(path, Metadata::is_file)
}

/// Checks a record file.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read.
pub(super) fn check(
    findings: &mut Findings,
    around: &Surroundings,
    path: &str,
    kind: Kind,
) -> Result<(), Error> {
    let bytes = read(&around.root.join(path))?;
    match kind {
        Kind::QueueItem => check_queue_item(findings, path, &bytes),
        Kind::Config => check_config(findings, path, &bytes),
        _ => check_json(findings, around, path, kind, &bytes)?,
    }
    Ok(())
}

fn check_json(
    findings: &mut Findings,
    around: &Surroundings,
    path: &str,
    kind: Kind,
    bytes: &[u8],
) -> Result<(), Error> {
    let object = match json::parse_record(bytes) {
        Ok(object) => object,
        Err(fault) => {
            in_record(findings, path, bytes, &[fault]);
            return Ok(());
        }
    };
    if !bytes.ends_with(b"\n") {
        let end = Place::from(Position::of(bytes, bytes.len()));
        findings.add(Rule::NoFinalNewline, path, Some(end), || {
            "the file does not end with a newline".to_owned()
        });
    }
    let record = Record { path, places: Places::of(bytes) };
    let checked = match kind {
        Kind::Claim => {
            record.check_claim(findings, around, &object);
            Claim::from_object(object).map(drop)
        }
        Kind::Assignment => {
            record.check_name(findings, "task_id", &object);
            Assignment::from_object(object).map(drop)
        }
        Kind::Lease => {
            record.check_lease(findings, &object);
            Lease::from_object(object).map(drop)
        }
        Kind::Plan => {
            record.check_name(findings, "plan_id", &object);
            match PlanRecord::from_object(object) {
                Ok(plan) => return plans::check(findings, around, path, &record.places, &plan),
                Err(faults) => Err(faults),
            }
        }
        _ => Ok(()),
    };
    if let Err(faults) = checked {
        in_record(findings, path, bytes, &faults);
    }
    Ok(())
}

/// A record file that is valid JSON.
struct Record<'a> {
    path: &'a str,
    places: Places<'a>,
}

impl Record<'_> {
    fn add(
        &self,
        findings: &mut Findings,
        rule: Rule,
        at: &[PathStep<'_>],
        message: impl FnOnce() -> String,
    ) {
        findings.add(rule, self.path, Some(self.places.locate(at).into()), message);
    }

    fn check_name(&self, findings: &mut Findings, field: &str, object: &Object) {
        let stem = stem_of(self.path);
        if let Some(id) = text(object, field).filter(|id| !stem.eq_ignore_ascii_case(id)) {
            let message =
                || format!("the file is called after `{stem}`, and its `{field}` is `{id}`");
            self.add(findings, Rule::WrongFileName, &[PathStep::Key(field)], message);
        }
    }

    /// Checks what a claim's fields say together, whatever faults others have.
    fn check_claim(&self, findings: &mut Findings, around: &Surroundings, object: &Object) {
        self.check_name(findings, "task_id", object);
        if let (Some(branch), Some(agent)) = (text(object, "branch"), text(object, "agent_id")) {
            let prefix = format!("agent/{agent}/");
            let begin = branch.get(..prefix.len()).unwrap_or_default();
            if branch.len() == prefix.len() || !begin.eq_ignore_ascii_case(&prefix) {
                let message = || format!("the branch `{branch}` is not of the form `{prefix}…`");
                self.add(findings, Rule::WrongBranch, &[PathStep::Key("branch")], message);
            }
        }
        let time = |field| text(object, field).and_then(|text| text.parse::<Timestamp>().ok());
        if let (Some(claimed), Some(released)) = (time("claimed_at"), time("released_at"))
            && released < claimed
        {
            let message = || format!("it was released at {released} and claimed only at {claimed}");
            self.add(
                findings,
                Rule::ReleasedBeforeClaimed,
                &[PathStep::Key("released_at")],
                message,
            );
        }
        for field in ["base", "head"] {
            if let Some(id) = text(object, field).filter(|id| !is_object_id(id)) {
                let message = || format!("`{field}` is `{id}`, which names no commit in full");
                self.add(findings, Rule::UnknownValue, &[PathStep::Key(field)], message);
            }
        }
        // So high no honest count comes, and at its end nobody could ever write the record again.
        if object
            .get("revision")
            .and_then(Value::as_u64)
            .is_some_and(|revision| revision > MAX_REVISION / 2)
        {
            let message =
                || "the `revision` is so high that it cannot have been counted".to_owned();
            self.add(findings, Rule::WrongType, &[PathStep::Key("revision")], message);
        }
        if let Some(plan) = text(object, "plan_id")
            .filter(|plan| !around.plans.contains(&plan.to_ascii_lowercase()))
        {
            let message = || format!("there is no `_plans/{plan}.plan.json`");
            self.add(findings, Rule::MissingPlan, &[PathStep::Key("plan_id")], message);
        }
    }
}

impl Record<'_> {
    fn check_lease(&self, findings: &mut Findings, object: &Object) {
        self.check_name(findings, "lock_id", object);
        for field in ["scope", "deny"] {
            let patterns = object.get(field).and_then(Value::as_array).into_iter().flatten();
            for (number, pattern) in patterns
                .enumerate()
                .filter_map(|(number, pattern)| Some((number, pattern.as_str()?)))
            {
                if let Err(fault) = Pattern::parse(pattern) {
                    let place = [PathStep::Key(field), PathStep::Item(number)];
                    self.add(findings, Rule::BadPattern, &place, || fault.to_string());
                }
            }
        }
    }
}

/// A field that says something.
fn text<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    object.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// Whether a text names an object of git in full, in either of git's two forms.
fn is_object_id(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn check_queue_item(findings: &mut Findings, path: &str, bytes: &[u8]) {
    if QueueItem::task(name_of(path)).is_none() {
        let message = || "its name is not of the form `NNN-slug.md`".to_owned();
        findings.add(Rule::BadQueueItem, path, None, message);
    }
    match QueueItem::parse(bytes) {
        Err(Fault::BadItem { what, line }) => {
            findings.add(Rule::BadQueueItem, path, Some(Place::line(line)), || what)
        }
        Err(fault) => in_record(findings, path, bytes, &[fault]),
        Ok(item) => {
            let task = QueueItem::task(name_of(path));
            let usual = task.as_ref().map(QueueItem::canonical);
            if let Some((task, usual)) =
                task.zip(usual).filter(|(task, usual)| task.as_str() != usual.as_str())
            {
                let message = || {
                    format!(
                        "its name says `{task}`, and a claim of `{usual}` would not be known to be of it"
                    )
                };
                findings.add(Rule::DoubtfulQueueItem, path, None, message);
            }
            for doubt in item.doubts {
                findings.add(Rule::DoubtfulQueueItem, path, Some(Place::line(doubt.line)), || {
                    doubt.what
                });
            }
        }
    }
}

fn check_config(findings: &mut Findings, path: &str, bytes: &[u8]) {
    match sound_text(bytes) {
        Err(fault) => in_record(findings, path, bytes, &[fault]),
        Ok(text) => {
            if bytes.len() > MAX_CONFIG {
                findings.add(Rule::BadConfig, path, None, || {
                    format!("it has more than {} KiB", MAX_CONFIG >> 10)
                });
            } else if let Err(fault) = Config::parse(text) {
                findings.add(Rule::BadConfig, path, Some(Place::line(fault.line)), || fault.what);
            }
        }
    }
}

/// Checks what only the names of all files tell. Of files that may not be there together, those
/// that are news are told of.
pub(super) fn check_names(
    findings: &mut Findings,
    found: &[Found],
    is_news: impl Fn(&str) -> bool,
) {
    for file in found.iter().filter(|file| is_news(&file.path)) {
        match file.stands {
            Stands::Rightly => check_batch_name(findings, file),
            Stands::Unspeakable => {
                findings.add(Rule::InvalidUtf8, &file.path, None, || {
                    "the name of the file is no UTF-8".to_owned()
                });
            }
            Stands::Not(what) => {
                let wanted = if file.kind.is_some() { "a file" } else { "a folder" };
                findings.add(Rule::NotAFile, &file.path, None, || {
                    format!("{what} is in the place of {wanted}")
                });
            }
            Stands::Misplaced => {
                let message =
                    || format!("no reader looks there; its place is `{}`", upwards(&file.path));
                findings.add(Rule::MisplacedRecord, &file.path, None, message);
            }
        }
    }
    let mut claims: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut items: BTreeMap<TaskId, Vec<&str>> = BTreeMap::new();
    for file in found {
        match file.kind {
            Some(Kind::Claim) => {
                claims.entry(stem_of(&file.path).to_ascii_lowercase()).or_default().push(&file.path)
            }
            Some(Kind::QueueItem) if file.stands != Stands::Misplaced => {
                // `012-x.md` and `0012-x.md` have one number.
                let task =
                    QueueItem::task(name_of(&file.path)).map(|task| QueueItem::canonical(&task));
                task.map(|task| items.entry(task).or_default().push(&file.path)).unwrap_or(());
            }
            _ => {}
        }
    }
    let claims = claims.into_values().map(|files| (Rule::DuplicateClaimFile, files));
    let items = items.into_values().map(|files| (Rule::DuplicateQueueItem, files));
    for (rule, mut files) in claims.chain(items) {
        // What was there before and stands in its place comes first, so that the other one is told
        // of.
        files.sort_by_key(|file| (is_news(file), file.matches('/').count()));
        for file in files.iter().skip(1).filter(|file| is_news(file)) {
            findings.add(rule, file, None, || format!("`{}` is of the same task", files[0]));
        }
    }
}

/// A batch is known by its name: whose it is, and that no other has it.
fn check_batch_name(findings: &mut Findings, file: &Found) {
    let is_line_file = matches!(file.kind, Some(Kind::Log | Kind::Channel));
    if let Some(batch) =
        Batch::at(&file.path).filter(|batch| is_line_file && !batch.is_well_named())
    {
        let owner = if batch.owner.is_empty() { "<agent>" } else { batch.owner };
        let words = || {
            format!("it is no batch's name, which is of the form `{owner}@<12 of 0-9 a-z>.jsonl`")
        };
        findings.add(Rule::WrongFileName, &file.path, None, words);
    }
}

/// The place of a record that stands too deep: `_bus/claims/Q-1.json` for
/// `_bus/claims/old/Q-1.json`.
fn upwards(path: &str) -> String {
    let depth = if path.starts_with("_bus/") { 2 } else { 1 };
    let folder: Vec<&str> = path.split('/').take(depth).collect();
    format!("{}/{}", folder.join("/"), name_of(path))
}
