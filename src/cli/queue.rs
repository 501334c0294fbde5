//! `bus queue add`, `list`, `show` and `ready`

pub(super) mod shown;

use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::Text;
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{completions, show, words};
use crate::bus::queue::{QueueRequest, QueueView};
use crate::bus::workspace::Workspace;
use crate::bus::{ops, queue};
use crate::record::{AgentId, PlanId, Priority, TaskId};

const ADD_EXAMPLES: &str = "\
Examples:
  bus queue add 'Read the new syntax'   with the next free number
  bus queue add 'Write the lexer' --goal 'tokens' --priority high --plan lexer
  bus queue add 'Test the parser' --after QUEUE-001,QUEUE-002 --json

It makes `queue/NNN-slug.md`. Add what else there is to say, and commit it. The number is reserved before the \
file is written, so after a crash a number may be missing, and none is given twice.
Exit status: 0 it is written; 2 title or fields are no lines, or it would wait for itself; 3 the number is taken.";

const LIST_EXAMPLES: &str = "\
Examples:
  bus queue list   every task, and how far it is
  bus queue list --json | jq -r '.items[] | select(.state == \"blocked\") | .task_id'

States: ready, assigned (to somebody else than you), unassigned (the policy wants an assignment first), blocked (another \
task must be done before), claimed, done, unreadable. With --agent, as that agent sees it.";

const READY_EXAMPLES: &str = "\
Examples:
  bus queue ready    what you may claim now, the most urgent first
  bus queue ready --limit 1 --json | jq -r '.items[].task_id'
  bus claim --next   take the first of them

A task is ready if nobody holds it, it is not done, all tasks in its `After` are done, and it is assigned to nobody else.
Exit status: 0 whether something is ready or not. `bus claim --next` exits with 4 if nothing is.";

/// How long people are kept waiting without a word.
const PATIENCE: Duration = Duration::from_millis(500);

/// Add tasks, and see which may be claimed now
#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Add a task, with a number that nobody else gets
    #[command(after_help = ADD_EXAMPLES)]
    Add(AddArgs),
    /// Show all tasks of all worktrees, and how far each is
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show one task, as `bus show` does
    #[command(after_help = show::EXAMPLES)]
    Show(show::ShowArgs),
    /// Show what may be claimed now, the best first
    #[command(after_help = READY_EXAMPLES)]
    Ready(ReadyArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The task, in a line
    #[arg(value_name = "TITLE", value_parser = NonEmptyStringValueParser::new())]
    title: String,
    /// The task's id, if not the next one
    #[arg(long, value_name = "QUEUE-NNN")]
    id: Option<TaskId>,
    /// What for; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    goal: Option<Text>,
    /// Notes, for everybody to read; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    notes: Option<Text>,
    /// How urgent it is: critical, high, medium or low, or P0 to P3 [default: medium]
    #[arg(long, value_name = "PRIORITY")]
    priority: Option<Priority>,
    /// What must be done before (repeatable; several after the title, or with commas between)
    #[arg(long, value_name = "TASK", num_args = 1.., value_delimiter = ',', add = ArgValueCompleter::new(completions::tasks))]
    after: Vec<TaskId>,
    /// The plan of the work
    #[arg(long, value_name = "ID")]
    plan: Option<PlanId>,
    /// How one sees that it is done; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    acceptance: Option<Text>,
}

#[derive(Debug, Args)]
struct ReadyArgs {
    /// Only the first N [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) fn run(context: &Context, args: &QueueArgs, output: &mut Output) -> Result<u8, Failure> {
    match &args.command {
        QueueCommand::Add(args) => add(context, args, output),
        QueueCommand::List => list(context, output),
        QueueCommand::Show(args) => show::run(context, args, output),
        QueueCommand::Ready(args) => ready(context, args, output),
    }
}

fn add(context: &Context, args: &AddArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("queue add", output)?;
    let agent = context.writer(&ws, output)?;
    let request = QueueRequest {
        title: args.title.clone(),
        id: args.id.clone(),
        goal: context.text_if("--goal", args.goal.as_ref())?,
        notes: context.text_if("--notes", args.notes.as_ref())?,
        priority: args.priority,
        after: args.after.clone(),
        plan: args.plan.clone(),
        acceptance: context.text_if("--acceptance", args.acceptance.as_ref())?,
    };
    let queued = ops::queue_add(&ws, &agent, &request)?;
    for task in &queued.unknown {
        output.warn(&format!(
            "nothing here speaks of `{task}`; until it is done, {} is not ready",
            queued.task
        ));
    }
    let unknown = queued.unknown.iter().map(|task| Value::from(task.as_str())).collect();
    output.document(&words::object([
        ("task_id", Value::from(queued.task.as_str())),
        ("path", Value::from(queued.path.as_str())),
        ("unknown", Value::Array(unknown)),
    ]));
    output.line(&format!("added {} in {}", queued.task, queued.path));
    Ok(0)
}

fn list(context: &Context, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("queue list", output)?;
    context.note_reader(&ws);
    let queue = look(context, &ws, output)?;
    output.document(&shown::document(&queue, queue.items.iter()));
    shown::table(queue.items.iter(), output);
    if queue.items.is_empty() {
        output.note("the queue is empty; add a task with `bus queue add TITLE`");
    }
    shown::warn(&queue, output);
    Ok(0)
}

fn ready(context: &Context, args: &ReadyArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("queue ready", output)?;
    context.note_reader(&ws);
    let queue = look(context, &ws, output)?;
    let mut ready = queue.ready();
    ready.truncate(args.limit.unwrap_or(usize::MAX));
    output.document(&shown::document(&queue, ready.iter().copied()));
    shown::table(ready.iter().copied(), output);
    if ready.is_empty() {
        output.note(&format!("nothing is ready: {}", queue.summary()));
    }
    shown::warn(&queue, output);
    Ok(0)
}

/// The queue as the caller sees it, or as the agent does that is named.
pub(super) fn look(
    context: &Context,
    ws: &Workspace,
    output: &mut Output,
) -> Result<QueueView, Failure> {
    let agent: Option<AgentId> = match &context.global.agent[..] {
        [] => context.reader(ws),
        _ => Some(context.addressee(ws)?),
    };
    let mut last = Instant::now();
    Ok(queue::queue_with(ws, agent.as_ref(), |number, all| {
        if output.is_watched() && last.elapsed() > PATIENCE {
            last = Instant::now();
            output.note(&format!("looked at {number} of {all} tasks"));
        }
    })?)
}
