//! What the command line takes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::completions;
use super::context::Context;
use super::exit::Failure;
use crate::bus::log::Filter;
use crate::bus::workspace::Workspace;
use crate::record::{AgentId, EventKind, Span, SpanFault, TaskId, Timestamp};

/// The options that every command takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Global {
    /// The repository, or a folder in it [default: the current folder]
    #[arg(short = 'C', long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath, help_heading = "Global options")]
    pub(super) repo: Option<PathBuf>,
    /// Who you are [default: $BUS_AGENT, else AGENT_MANIFEST.json]; on commands that only read,
    /// whose records (repeatable)
    #[arg(long, global = true, value_name = "ID", help_heading = "Global options", add = ArgValueCompleter::new(completions::agents))]
    pub(super) agent: Vec<AgentId>,
    /// Print JSON to stdout: one document, also on failure (`event list`, `message list`, `watch`:
    /// one per line)
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) json: bool,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(super) color: clap::ColorChoice,
    /// How long to wait for the lock
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "Global options"
    )]
    pub(super) lock_timeout: Span,
    /// How long to wait for the fleet's remote, each time
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "30s",
        help_heading = "Global options"
    )]
    pub(super) remote_timeout: Span,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub(super) quiet: bool,
    /// Say more on stderr: where things are
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(super) verbose: bool,
}

/// A text for others to read: as it is typed, or `-`, which reads it from standard input.
#[derive(Clone, Debug)]
pub(super) struct Text(String);

impl Text {
    /// What was typed.
    pub(super) fn typed(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = String;

    /// Takes any text but one that looks like an option: its value was forgotten, most likely.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('-').unwrap_or_default().chars();
        let is_option =
            rest.next().is_some_and(|first| first == '-' || first.is_ascii_alphabetic())
                && !text.contains(char::is_whitespace);
        if is_option {
            return Err(
                "it looks like an option, so the value seems to be missing; to say just that, \
                        write `-` and give it on standard input"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

/// A [`Text`] that says something.
pub(super) fn text(text: &str) -> Result<Text, String> {
    if text.trim().is_empty() { Err("it says nothing".to_owned()) } else { text.parse() }
}

/// The line that others see first: as an option, or from a file.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Summary {
    /// In a line, for everybody to read; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", value_parser = text, allow_hyphen_values = true)]
    pub(super) summary: Option<Text>,
    /// Read the summary from a file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(super) summary_file: Option<PathBuf>,
}

/// Why something is taken from somebody, and whether at any rate.
#[derive(Debug, Args)]
pub(super) struct TakeOver {
    /// Why you take it over; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", required = true, value_parser = text, allow_hyphen_values = true)]
    pub(super) note: Text,
    /// Take it over although its owner is alive
    #[arg(long)]
    pub(super) force: bool,
}

/// A task, as an argument or as `--task`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TaskArg {
    /// The task
    #[arg(value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The task, as an option
    #[arg(long = "task", value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task_option: Option<TaskId>,
}

impl TaskArg {
    /// The task that was named, as it was typed: clap sees to it that there is exactly one.
    pub(super) fn typed(&self) -> &TaskId {
        self.task.as_ref().or(self.task_option.as_ref()).expect("the group is required")
    }
}

/// A task, as an argument or as `--task`, or none for the one that the agent holds here.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct OwnTaskArg {
    /// The task [default: the one that you hold in this worktree]
    #[arg(value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The task, as an option
    #[arg(long = "task", value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task_option: Option<TaskId>,
}

impl OwnTaskArg {
    /// The task that was named, as it was typed; `None` if none was.
    pub(super) fn typed(&self) -> Option<&TaskId> {
        self.task.as_ref().or(self.task_option.as_ref())
    }
}

/// Which events are wanted, beside `--agent`.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Only events of this type (repeatable)
    #[arg(long = "event", value_name = "NAME")]
    events: Vec<EventKind>,
    /// Only events on this task (repeatable)
    #[arg(long = "task", value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    tasks: Vec<TaskId>,
    /// Only events since then: a time, or 30s, 10m, 4h, 2d ago
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<When>,
}

impl Wanted {
    /// The filter that is meant.
    ///
    /// # Errors
    ///
    /// As [`Context::task`].
    pub(super) fn filter(&self, context: &Context, ws: &Workspace) -> Result<Filter, Failure> {
        Ok(Filter {
            agents: context.global.agent.clone(),
            events: self.events.clone(),
            tasks: self
                .tasks
                .iter()
                .map(|task| context.task(ws, task))
                .collect::<Result<_, _>>()?,
            since: self.since.map(|when| when.resolve(context.clock.now())),
            until: None,
        })
    }
}

/// A field and its value: `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// How long something lives without a heartbeat.
pub(super) fn ttl(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|fault: SpanFault| fault.to_string())?;
    if span.get().as_secs() == 0 { Err("it must be a second or more".to_owned()) } else { Ok(span) }
}

/// A point in time: `2025-09-19T17:45:00Z`, or a day: `2025-09-19`, or so long ago: `2h`.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    At(Timestamp),
    Ago(Span),
}

impl When {
    /// The time that is meant, seen from `now`.
    pub(super) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.before(span.get()),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).map(Self::At);
        at.or_else(|_| text.parse().map(Self::Ago)).map_err(|_| {
            format!(
                "`{text}` is no time: write `2025-09-19T17:45:00Z` or `2025-09-19`, or `30s`, `10m`, `4h`, `2d` for so long ago"
            )
        })
    }
}
