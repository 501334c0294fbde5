//! How claims, events and times read, for people and as JSON.

use std::time::Duration;

use anstyle::AnsiColor;
use serde_json::{Map, Value};

use super::exit;
use super::exit::Failure;
use super::output::{Output, Width};
use crate::bus::Error as BusError;
use crate::bus::claim::Changed;
use crate::bus::fleet::RewrittenLog;
use crate::record::json::{MAX_LINE, Object};
use crate::record::{AgentId, Claim, Event, Message, Severity, Span, TaskId, Timestamp};
use crate::store::{BadLine, Elsewhere, Entry, Faults, Stream};

pub(super) use crate::record::ago;

/// How many lines that are no events, or no messages, are named before the rest is counted.
const MAX_NAMED: usize = 10;

/// A line of the feed (docs/design.md, section 6). What comes from the future, and what this clone
/// has not written, is flagged.
fn feed_line(event: &Event, elsewhere: Option<&Elsewhere>, now: Timestamp) -> String {
    let task = event.task_id.as_ref().map_or("-", |task| task.as_str());
    let mut line = format!(
        "{} :: {} :: {} :: task={task} :: {}",
        event.ts, event.agent_id, event.event, event.summary
    );
    if !event.receipts.is_empty() {
        line.push_str(" :: receipts=");
        line.push_str(&event.receipts.join(","));
    }
    if event.ts > now {
        line.push_str(" :: from the future");
    }
    if let Some(elsewhere) = elsewhere {
        line.push_str(&format!(" :: {elsewhere}"));
    }
    line
}

/// Shows an event of a stream: as a line of the feed, or as a line of NDJSON.
pub(super) fn show(entry: &Entry, now: Timestamp, width: Width, output: &mut Output) {
    output.ndjson(&event_json(&entry.event, entry.elsewhere.as_ref(), now));
    show_line(&entry.event, entry.elsewhere.as_ref(), now, width, output);
}

/// Shows an event as a line of the feed in the colour of its sort.
pub(super) fn show_line(
    event: &Event,
    elsewhere: Option<&Elsewhere>,
    now: Timestamp,
    width: Width,
    output: &mut Output,
) {
    output.row(colour(event), &feed_line(event, elsewhere, now), width);
}

/// What is serious first; else by who must act on it.
fn colour(event: &Event) -> Option<AnsiColor> {
    match event.severity {
        Some(Severity::High) => return Some(AnsiColor::Red),
        Some(Severity::Medium) => return Some(AnsiColor::Yellow),
        Some(Severity::Low) | None => {}
    }
    colour_of(event.event.as_str())
}

/// The colour of a type of event or messages.
fn colour_of(kind: &str) -> Option<AnsiColor> {
    match kind {
        "claim" | "complete" | "lock" => Some(AnsiColor::Green),
        "release" | "pr_opened" | "unlock" => Some(AnsiColor::Cyan),
        "reclaim" => Some(AnsiColor::Magenta),
        "request" | "review" | "consensus" | "directive" | "proposal" | "assignment" => {
            Some(AnsiColor::Blue)
        }
        _ => None,
    }
}

/// An event as JSON, flagged with `"future": true` where it comes from there, and with its `clone`
/// or `worktree` if this clone has not written it.
pub(super) fn event_json(event: &Event, elsewhere: Option<&Elsewhere>, now: Timestamp) -> Value {
    flagged(Elsewhere::mark(elsewhere, event.to_object()), event.ts > now)
}

/// A message as JSON, flagged as an event is.
pub(super) fn message_json(
    message: &Message,
    elsewhere: Option<&Elsewhere>,
    now: Timestamp,
) -> Value {
    flagged(Elsewhere::mark(elsewhere, message.to_object()), message.ts > now)
}

fn flagged(mut object: Object, future: bool) -> Value {
    if future {
        object.insert("future".to_owned(), Value::Bool(true));
    }
    Value::Object(object)
}

/// Shows a message as a line of text.
pub(super) fn show_message(
    message: &Message,
    elsewhere: Option<&Elsewhere>,
    now: Timestamp,
    width: Width,
    output: &mut Output,
) {
    output.row(colour_of(message.kind.as_str()), &message_line(message, elsewhere, now), width);
}

/// A message as a line: like an event's, and whom it is for.
fn message_line(message: &Message, elsewhere: Option<&Elsewhere>, now: Timestamp) -> String {
    let mut parts =
        vec![message.ts.to_string(), message.from.to_string(), message.kind.to_string()];
    parts.extend(message.to.as_ref().map(|to| format!("to={to}")));
    parts.extend(message.task_id.as_ref().map(|task| format!("task={task}")));
    parts.push(message.summary.clone());
    parts.extend(message.note.as_ref().map(|note| format!("note={note}")));
    parts.extend(
        (!message.receipts.is_empty()).then(|| format!("receipts={}", message.receipts.join(","))),
    );
    parts.extend((message.ts > now).then(|| "from the future".to_owned()));
    parts.extend(elsewhere.map(ToString::to_string));
    parts.join(" :: ")
}

/// That a clock is ahead, as the end of what is said of a heartbeat.
pub(super) fn clock(ahead: Option<Duration>) -> String {
    ahead.map_or_else(String::new, |ahead| format!(", clock ahead by {}", Span::new(ahead)))
}

/// How far a clock is ahead, in seconds, if it is too far for a heartbeat.
pub(super) fn clock_json(ahead: Option<Duration>) -> Option<(&'static str, Value)> {
    ahead.map(|ahead| ("clock_ahead", Value::from(ahead.as_secs())))
}

/// A JSON object of these fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A task whose records cannot be read, as JSON.
pub(super) fn unreadable_json(task: &TaskId, error: &BusError) -> Value {
    object([
        ("task_id", Value::from(task.as_str())),
        ("state", Value::from("unreadable")),
        ("code", Value::from(error.code().as_str())),
        ("message", Value::from(error.to_string())),
    ])
}

/// What came of a command on a claim, as JSON.
pub(super) fn changed_json(changed: &Changed) -> Value {
    let mut document = Map::new();
    document.insert("outcome".to_owned(), Value::from(changed.outcome.as_str()));
    document.insert("claim".to_owned(), Value::Object(changed.claim.to_object()));
    let previous =
        changed.previous.as_ref().map_or(Value::Null, |claim| Value::Object(claim.to_object()));
    document.insert("previous".to_owned(), previous);
    Value::Object(document)
}

/// Says that the fleet does not know of a claim yet.
pub(super) fn note_unconfirmed(claim: &Claim, output: &mut Output) {
    if claim.is_unconfirmed() {
        output
            .note("it is unconfirmed: the fleet does not know of it until `bus sync`, and what its remote has by then beats it");
    }
}

/// Says that something was done here, and that the fleet could not be told.
pub(super) fn warn_untold(untold: Option<BusError>, output: &mut Output) {
    if let Some(error) = untold {
        output.warn(&format!(
            "done here, but the fleet does not know: {}; `bus sync` publishes it",
            exit::story(&error)
        ));
    }
}

/// Says where earlier work on a task is, where a new owner takes it up.
pub(super) fn note_earlier_work(previous: Option<&Claim>, claim: &Claim, output: &mut Output) {
    if let Some(before) = previous.filter(|before| before.branch != claim.branch) {
        output
            .note(&format!("earlier work on it is {}'s, on `{}`", before.agent_id, before.branch));
    }
}

/// Names the lines of a stream that are no events, or no messages, on stderr.
pub(super) fn warn_of_bad_lines(
    stream: Stream,
    bad: &Faults,
    root: &std::path::Path,
    output: &mut Output,
) {
    bad.lines.iter().take(MAX_NAMED).for_each(|line| warn_of_bad_line(line, root, output));
    if bad.count > MAX_NAMED {
        let what = match stream {
            Stream::Log => "lines of the log are no events",
            Stream::Channels => "lines of the channels are no messages",
        };
        output.warn(&format!("{} more {what} and are left out", bad.count - MAX_NAMED));
    }
}

/// Names a line that is no event, or no message, on stderr.
pub(super) fn warn_of_bad_line(bad: &BadLine, root: &std::path::Path, output: &mut Output) {
    let path = bad.path.strip_prefix(root).unwrap_or(&bad.path);
    output.warn(&format!("`{}` line {}: {}; it is left out", path.display(), bad.line(), bad.what));
}

/// Says on stderr that an agent's id may be misspelled.
pub(super) fn note_stranger(agent: &AgentId, output: &mut Output) {
    output.note(&format!("{agent} has not been seen in this clone yet; is that the right id?"));
}

/// Names the receipts that are not there, on stderr. Addresses are not looked at.
pub(super) fn warn_of_missing(receipts: &[String], root: &std::path::Path, output: &mut Output) {
    for receipt in
        receipts.iter().filter(|receipt| !receipt.contains("://") && !root.join(receipt).exists())
    {
        output.warn(&format!("the receipt `{receipt}` is not there"));
    }
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
pub(super) fn merge(
    mut into: Object,
    more: impl IntoIterator<Item = (&'static str, Value)>,
) -> Value {
    into.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(into)
}

/// Warns of logs that were rewritten on the fleet's remote.
pub(super) fn warn_of_rewritten(logs: &[RewrittenLog], output: &mut Output) {
    for log in logs {
        output.warn(&format!(
            "log-rewritten: {}; if that is right: `{}`",
            log.words(),
            log.command()
        ));
    }
}

/// A log that was rewritten as JSON.
pub(super) fn rewritten_json(log: &RewrittenLog) -> Value {
    object([
        ("code", Value::from("log-rewritten")),
        ("clone", Value::from(log.clone.as_str())),
        ("own", Value::from(log.own)),
        ("seen", Value::from(log.seen.as_str())),
        ("found", Value::from(log.found.as_str())),
        ("at", Value::from(log.at.as_str())),
        ("message", Value::from(log.words())),
        ("command", Value::from(log.command())),
    ])
}
