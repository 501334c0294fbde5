//! How claims, events and times read, for people and as JSON.

use anstyle::AnsiColor;
use serde_json::{Map, Value};

use super::exit::Failure;
use super::output::{Output, Width};
use crate::bus::Changed;
use crate::record::json::{MAX_LINE, Object};
use crate::record::{Claim, Event, Severity, Span, Timestamp};
use crate::store::{BadLine, Faults};

/// How many lines that are no events are named before the rest is counted.
const MAX_NAMED: usize = 10;

/// A time as people read it: `3 h ago`, `in 5 min`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    if time > now { format!("in {}", Span::new(time.since(now))) } else { format!("{} ago", Span::new(now.since(time))) }
}

/// A line of the feed (design, section 6). What comes from the future is flagged.
fn feed_line(event: &Event, now: Timestamp) -> String {
    let task = event.task_id.as_ref().map_or("-", |task| task.as_str());
    let mut line = format!("{} :: {} :: {} :: task={task} :: {}", event.ts, event.agent_id, event.event, event.summary);
    if !event.receipts.is_empty() {
        line.push_str(" :: receipts=");
        line.push_str(&event.receipts.join(","));
    }
    if event.ts > now {
        line.push_str(" :: from the future");
    }
    line
}

/// Shows an event of a stream: as a line of the feed, or as a line of NDJSON.
pub(super) fn show(event: &Event, now: Timestamp, width: Width, output: &mut Output) {
    output.ndjson(&event_json(event, now));
    show_line(event, now, width, output);
}

/// Shows an event as a line of the feed in the colour of its sort.
pub(super) fn show_line(event: &Event, now: Timestamp, width: Width, output: &mut Output) {
    output.row(colour(event), &feed_line(event, now), width);
}

/// What is serious first; else by who must act on it.
fn colour(event: &Event) -> Option<AnsiColor> {
    match event.severity {
        Some(Severity::High) => return Some(AnsiColor::Red),
        Some(Severity::Medium) => return Some(AnsiColor::Yellow),
        Some(Severity::Low) | None => {}
    }
    match event.event.as_str() {
        "claim" | "complete" => Some(AnsiColor::Green),
        "release" | "pr_opened" => Some(AnsiColor::Cyan),
        "reclaim" => Some(AnsiColor::Magenta),
        "request" | "review" | "consensus" | "directive" | "proposal" => Some(AnsiColor::Blue),
        _ => None,
    }
}

/// An event as JSON, flagged with `"future": true` where it comes from there.
pub(super) fn event_json(event: &Event, now: Timestamp) -> Value {
    let mut object = event.to_object();
    if event.ts > now {
        object.insert("future".to_owned(), Value::Bool(true));
    }
    Value::Object(object)
}

/// A JSON object of these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What came of a command on a claim, as JSON.
pub(super) fn changed_json(changed: &Changed) -> Value {
    let mut document = Map::new();
    document.insert("outcome".to_owned(), Value::from(changed.outcome.as_str()));
    document.insert("claim".to_owned(), Value::Object(changed.claim.to_object()));
    let previous = changed.previous.as_ref().map_or(Value::Null, |claim| Value::Object(claim.to_object()));
    document.insert("previous".to_owned(), previous);
    Value::Object(document)
}

/// Says where earlier work on a task is, where a new owner takes it up.
pub(super) fn note_earlier_work(previous: Option<&Claim>, claim: &Claim, output: &mut Output) {
    if let Some(before) = previous.filter(|before| before.branch != claim.branch) {
        output.note(&format!("earlier work on it is {}'s, on `{}`", before.agent_id, before.branch));
    }
}

/// Names the lines of the log that are no events, on stderr.
pub(super) fn warn_of_bad_lines(bad: &Faults, root: &std::path::Path, output: &mut Output) {
    bad.lines.iter().take(MAX_NAMED).for_each(|line| warn_of_bad_line(line, root, output));
    if bad.count > MAX_NAMED {
        output.warn(&format!("{} more lines of the log are no events and are left out", bad.count - MAX_NAMED));
    }
}

/// Names a line of the log that is no event, on stderr.
pub(super) fn warn_of_bad_line(bad: &BadLine, root: &std::path::Path, output: &mut Output) {
    let path = bad.path.strip_prefix(root).unwrap_or(&bad.path);
    output.warn(&format!("`{}` line {}: {}; it is left out", path.display(), bad.line(), bad.what));
}

/// Refuses a text that no record could hold.
pub(super) fn check_length(option: &str, text: Option<&str>) -> Result<(), Failure> {
    match text {
        Some(text) if text.len() > MAX_LINE => Err(Failure::Usage {
            what: format!("`{option}` has {} bytes, and may have {MAX_LINE}", text.len()),
            hint: "put the long text into a file of the repository, and name that".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// An object of texts, for `--json`.
pub(super) fn merge(mut into: Object, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    into.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(into)
}
