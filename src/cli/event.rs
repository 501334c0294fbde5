//! `bus event log` and `bus event list`

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::args::{Summary, Wanted, When};
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{args, completions, words};
use crate::bus::log::{EventRequest, Filter};
use crate::bus::{log, ops};
use crate::record::{EventKind, PlanId, Severity, TaskId};
use crate::store::Stream;

const LOG_EXAMPLES: &str = "\
Examples:
  bus event log --event note --summary 'the parser is slow'
  bus event log --event status --task QUEUE-001 --summary 'tests pass' --receipt out.txt
  bus event log --event pr_opened --task QUEUE-001 --pr 17 --summary ready --extra ci=green

`status`, `complete`, `proposal`, `pr_opened` and `release` on a task are for its owner, or for after its end.
Exit status: 0 it is on disk; 3 it is not yours to say; 8 you had lost the task.";

const LIST_EXAMPLES: &str = "\
Examples:
  bus event list --limit 20                    the latest, oldest first
  bus event list --task QUEUE-001 --since 2d   what became of a task
  bus event list --agent codex-1 --agent codex-2 --event complete --json

With --json, one event a line (NDJSON).";

/// Write or read the log
#[derive(Debug, Args)]
pub(super) struct EventArgs {
    #[command(subcommand)]
    command: EventCommand,
}

#[derive(Debug, Subcommand)]
enum EventCommand {
    /// Append an event; it is on disk when the command returns
    #[command(after_help = LOG_EXAMPLES)]
    Log(LogArgs),
    /// Show events of all worktrees, each once
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
}

#[derive(Debug, Args)]
struct LogArgs {
    /// The type of the event: note, status, complete, review, …
    #[arg(long, value_name = "NAME")]
    event: EventKind,
    #[command(flatten)]
    summary: Summary,
    /// The task
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The plan
    #[arg(long, value_name = "ID")]
    plan: Option<PlanId>,
    /// The branch
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// The pull request: a number or an address
    #[arg(long, value_name = "PR")]
    pr: Option<String>,
    /// A file that proves it (repeatable)
    #[arg(long = "receipt", value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    receipts: Vec<String>,
    /// How serious it is
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(["low", "medium", "high"]).try_map(|word| word.parse::<Severity>()))]
    severity: Option<Severity>,
    /// A further field (repeatable); no core field may be set
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    extra: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only the last N [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    wanted: Wanted,
    /// Only events until then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
}

pub(super) fn run(context: &Context, args: &EventArgs, output: &mut Output) -> Result<u8, Failure> {
    match &args.command {
        EventCommand::Log(args) => log(context, args, output),
        EventCommand::List(args) => list(context, args, output),
    }
}

fn log(context: &Context, args: &LogArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("event log", output)?;
    let agent = context.writer(&ws, output)?;
    let request = EventRequest {
        event: args.event.clone(),
        summary: context.summary(&args.summary)?,
        task: context.task_if(&ws, args.task.as_ref())?,
        plan: args.plan.clone(),
        branch: args.branch.clone(),
        pr: args.pr.clone(),
        receipts: args.receipts.clone(),
        severity: args.severity,
        extra: args.extra.clone(),
    };
    words::warn_of_missing(&args.receipts, ws.root(), output);
    let (event, pulse) = ops::log_event(&ws, &agent, &request)?;
    if let Some(error) = pulse {
        output.warn(&format!(
            "the event is logged, but the task's heartbeat could not be given: {error}"
        ));
    }
    if let (Some(asked), Some(stands)) = (&args.task, &event.task_id) {
        Context::note_spelling(asked, stands, output);
    }
    let now = context.clock.now();
    output.document(&words::object([("event", words::event_json(&event, None, now))]));
    words::show_line(&event, None, now, Width::Whole, output);
    Ok(0)
}

fn list(context: &Context, args: &ListArgs, output: &mut Output) -> Result<u8, Failure> {
    output.stream();
    let ws = context.open("event list", output)?;
    context.note_reader(&ws);
    let now = context.clock.now();
    let until = args.until.map(|when| when.resolve(now));
    let filter = Filter { until, ..args.wanted.filter(context, &ws)? };
    let mut feed = log::feed(&ws, filter, args.limit, args.reverse)?;
    while let Some(entry) = feed.next_event()? {
        words::show(&entry, now, Width::Whole, output);
        if output.is_closed() {
            break;
        }
    }
    words::warn_of_bad_lines(Stream::Log, &feed.into_faults(), ws.root(), output);
    Ok(output.status_of_look())
}
