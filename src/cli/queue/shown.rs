//! How tasks of the queue look, for people and as JSON.

use anstyle::AnsiColor;
use serde_json::{Map, Value};

use super::super::columns::Row;
use super::super::output::Output;
use super::super::{columns, exit, words};
use crate::bus::Error;
use crate::bus::queue::{Blocker, QueueEntry, QueueState, QueueView, Stands};
use crate::record::{AgentId, TaskId, name_circle};

/// The columns of the table.
const HEADER: [&str; 4] = ["TASK", "PRIORITY", "STATE", "TITLE"];

/// How many tasks that are waited for are named in a column, and how many warnings of a sort are
/// given.
const MAX_NAMED: (usize, usize) = (3, 10);

/// The document of these tasks.
pub(super) fn document<'a>(
    queue: &QueueView,
    entries: impl Iterator<Item = &'a QueueEntry>,
) -> Value {
    let circle = |circle: &Vec<TaskId>| {
        Value::Array(circle.iter().map(|task| Value::from(task.as_str())).collect())
    };
    let fault = |error: &Error| {
        words::object([
            ("code", Value::from(error.code().as_str())),
            ("message", Value::from(exit::story(error))),
        ])
    };
    words::object([
        ("items", Value::Array(entries.map(|entry| Value::Object(item(entry))).collect())),
        ("cycles", Value::Array(queue.cycles.iter().map(circle).collect())),
        ("faults", Value::Array(queue.faults.iter().map(fault).collect())),
    ])
}

/// A task, with all that its file says.
pub(in crate::cli) fn whole(entry: &QueueEntry) -> Value {
    let mut object = item(entry);
    let mut fields = Map::new();
    for field in entry.item.iter().flat_map(|item| &item.fields) {
        fields.entry(field.key.clone()).or_insert_with(|| Value::from(field.value.as_str()));
    }
    object.insert("fields".to_owned(), Value::Object(fields));
    object
        .insert("body".to_owned(), Value::from(entry.item.as_ref().map_or("", |item| &item.body)));
    Value::Object(object)
}

fn item(entry: &QueueEntry) -> Map<String, Value> {
    let item = entry.item.as_ref();
    let owner = match &entry.state {
        QueueState::Claimed(claim) | QueueState::Done(claim) => Some(claim.agent_id.as_str()),
        _ => None,
    };
    let blocker = |blocker: &Blocker| {
        words::object([
            ("task_id", Value::from(blocker.task.as_str())),
            ("state", Value::from(blocker.stands.as_str())),
            ("owner", agent_of(blocker).map_or(Value::Null, |agent| Value::from(agent.as_str()))),
        ])
    };
    let mut object: Map<String, Value> = [
        ("task_id", Value::from(entry.task.as_str())),
        ("title", Value::from(item.map(|item| item.title.as_str()))),
        ("state", Value::from(entry.state.as_str())),
        ("priority", Value::from(item.map(|item| item.priority.as_str()))),
        ("after", Value::Array(entry.blockers.iter().map(blocker).collect())),
        (
            "plan_id",
            Value::from(item.and_then(|item| item.plan.as_ref()).map(|plan| plan.as_str())),
        ),
        ("assignee", Value::from(entry.assignee.as_ref().map(|agent| agent.as_str()))),
        ("owner", Value::from(owner)),
        ("path", Value::from(entry.path.as_str())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let QueueState::Unreadable(error) = &entry.state {
        object.insert("code".to_owned(), Value::from(error.code().as_str()));
        object.insert("message".to_owned(), Value::from(exit::story(error)));
    }
    object
}

fn agent_of(blocker: &Blocker) -> Option<&AgentId> {
    match &blocker.stands {
        Stands::Done(agent) | Stands::Claimed(agent) => Some(agent),
        _ => None,
    }
}

/// The tasks in columns.
pub(super) fn table<'a>(entries: impl Iterator<Item = &'a QueueEntry>, output: &mut Output) {
    let rows: Vec<Row<4>> = entries.map(row).collect();
    if !rows.is_empty() {
        columns::print(HEADER, &rows, |_| true, output);
    }
}

fn row(entry: &QueueEntry) -> Row<4> {
    let colour = match entry.state {
        QueueState::Ready => Some(AnsiColor::Green),
        QueueState::Unreadable(_) => Some(AnsiColor::Red),
        _ => None,
    };
    let item = entry.item.as_ref();
    let priority = item.map_or("-", |item| item.priority.as_str()).to_owned();
    Row::new(
        colour,
        [
            entry.task.to_string(),
            priority,
            state(entry),
            item.map_or_else(String::new, |item| item.title.clone()),
        ],
    )
}

/// How far a task is, in some words.
pub(in crate::cli) fn state(entry: &QueueEntry) -> String {
    match (&entry.state, &entry.assignee) {
        (QueueState::Ready, Some(assignee)) => format!("ready for {assignee}"),
        (QueueState::Assigned(engineer), _) => format!("assigned to {engineer}"),
        (QueueState::Unassigned, _) => "assigned to nobody".to_owned(),
        (QueueState::Blocked, _) => {
            let tasks: Vec<&str> =
                entry.blocked_by().map(|blocker| blocker.task.as_str()).collect();
            let more = tasks.len().saturating_sub(MAX_NAMED.0);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("blocked by {}{more}", tasks[..tasks.len().min(MAX_NAMED.0)].join(", "))
        }
        (QueueState::Claimed(claim), _) => format!("claimed by {}", claim.agent_id),
        (QueueState::Done(claim), _) => format!("done by {}", claim.agent_id),
        (state, _) => state.as_str().to_owned(),
    }
}

/// What the task's file says, and what it waits for.
pub(in crate::cli) fn page(entry: &QueueEntry, output: &mut Output) {
    output.line(&format!("file: {}", entry.path));
    for blocker in &entry.blockers {
        let by = agent_of(blocker).map_or_else(String::new, |agent| format!(" by {agent}"));
        output.line(&format!("after: {} ({}{by})", blocker.task, blocker.stands.as_str()));
    }
    let Some(item) = &entry.item else { return };
    if !item.fields.is_empty() {
        output.line("");
    }
    for field in &item.fields {
        let mut lines = field.value.lines();
        let first = lines.next().unwrap_or_default();
        output.line(format!("{}: {first}", field.key).trim_end());
        lines.for_each(|line| output.line(&format!("  {line}")));
    }
    if !item.body.is_empty() {
        output.line("");
        item.body.lines().for_each(|line| output.line(line));
    }
}

/// Says on stderr what is wrong with the queue.
pub(super) fn warn(queue: &QueueView, output: &mut Output) {
    warn_of_cycles(queue.cycles.iter(), output);
    queue
        .faults
        .iter()
        .take(MAX_NAMED.1)
        .for_each(|error| output.warn(&format!("{}; it is left out", exit::story(error))));
    let doubtful = |entry: &&QueueEntry| {
        matches!(entry.state, QueueState::Unreadable(_))
            || entry.item.as_ref().is_some_and(|item| !item.doubts.is_empty())
    };
    let doubtful: Vec<&QueueEntry> = queue.items.iter().filter(doubtful).collect();
    doubtful.iter().take(MAX_NAMED.1).for_each(|entry| warn_of_entry(entry, output));
    if doubtful.len().max(queue.faults.len()) > MAX_NAMED.1 {
        output.warn("there are more; `bus validate` and `bus queue list --json` list all");
    }
}

/// Says on stderr which tasks wait for one another.
pub(in crate::cli) fn warn_of_cycles<'a>(
    cycles: impl Iterator<Item = &'a Vec<TaskId>>,
    output: &mut Output,
) {
    for circle in cycles.take(MAX_NAMED.1) {
        output.warn(&format!(
            "none of these can begin, since each waits for the next: {}; fix an `After`",
            name_circle(circle)
        ));
    }
}

/// Says on stderr what is wrong with a task.
pub(in crate::cli) fn warn_of_entry(entry: &QueueEntry, output: &mut Output) {
    if let QueueState::Unreadable(error) = &entry.state {
        output.warn(&format!(
            "`{}` cannot be read, so it is not ready: {}",
            entry.task,
            exit::story(error)
        ));
    }
    for doubt in entry.item.iter().flat_map(|item| &item.doubts) {
        output.warn(&format!("`{}` line {}: {}", entry.path, doubt.line, doubt.what));
    }
}
