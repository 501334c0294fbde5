//! `bus message send` and `bus message list`

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::args::{Summary, Text, When};
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{args, completions, words};
use crate::bus::log::{Audience, MessageFilter, MessageRequest};
use crate::bus::workspace::Workspace;
use crate::bus::{log, ops};
use crate::record::{AgentId, EventKind, PlanId, TaskId};
use crate::store::Stream;

const SEND_EXAMPLES: &str = "\
Examples:
  bus message send --task QUEUE-001 --summary 'the parser needs a fuzz test'
  bus message send --to codex-2 --task QUEUE-001 --type request --summary review
  bus message send --to codex-2 --summary 'see log' --receipt out.txt --meta ci=red

With --task it goes to the task's channel. With --to it goes to that agent's inbox, and --task says what it is about. \
`status`, `proposal` and `summary` on a task are for its owner, or for after its end.
Exit status: 0 it is on disk; 3 it is not yours to say; 8 you had lost the task.";

const LIST_EXAMPLES: &str = "\
Examples:
  bus message list --task QUEUE-001          what was said about a task
  bus message list --to codex-2 --since 2d   an agent's messages
  bus message list --type request --from boss --limit 5 --json

With --json, one message a line (NDJSON).";

/// Write to a task's channel or to an agent, or read what was written
#[derive(Debug, Args)]
pub(super) struct MessageArgs {
    #[command(subcommand)]
    command: MessageCommand,
}

#[derive(Debug, Subcommand)]
enum MessageCommand {
    /// Say something; it is on disk when the command returns
    #[command(after_help = SEND_EXAMPLES)]
    Send(SendArgs),
    /// Show messages of all worktrees, each once
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
}

#[derive(Debug, Args)]
struct SendArgs {
    #[command(flatten)]
    audience: AudienceArgs,
    /// The type of the message: note, request, review, status, …
    #[arg(long = "type", value_name = "NAME", default_value = "note")]
    kind: EventKind,
    #[command(flatten)]
    summary: Summary,
    /// More words; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    note: Option<Text>,
    /// A file that proves it (repeatable)
    #[arg(long = "receipt", value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    receipts: Vec<String>,
    /// A further fact (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    meta: Vec<(String, String)>,
    /// The branch it is about
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// The plan it is about
    #[arg(long, value_name = "ID")]
    plan: Option<PlanId>,
}

/// Whom a message is for: one of them at least.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct AudienceArgs {
    /// The task that it is about
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The agent that it is for
    #[arg(long, value_name = "AGENT", add = ArgValueCompleter::new(completions::agents))]
    to: Option<AgentId>,
}

impl AudienceArgs {
    fn get(&self, context: &Context, ws: &Workspace) -> Result<Audience, Failure> {
        let task = context.task_if(ws, self.task.as_ref())?;
        Ok(match &self.to {
            Some(to) => Audience::Agent(to.clone(), task),
            None => Audience::Task(task.expect("the group is required")),
        })
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only messages about this task
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// Only messages for this agent
    #[arg(long, value_name = "AGENT", add = ArgValueCompleter::new(completions::agents))]
    to: Option<AgentId>,
    /// Only messages of this sort (repeatable)
    #[arg(long = "type", value_name = "NAME")]
    kinds: Vec<EventKind>,
    /// Only messages by this agent (repeatable)
    #[arg(long, value_name = "AGENT", add = ArgValueCompleter::new(completions::agents))]
    from: Vec<AgentId>,
    /// Only messages since then: a time, or 30s, 10m, 4h, 2d ago
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only the last N [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Newest first
    #[arg(long)]
    reverse: bool,
}

pub(super) fn run(
    context: &Context,
    args: &MessageArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    match &args.command {
        MessageCommand::Send(args) => send(context, args, output),
        MessageCommand::List(args) => list(context, args, output),
    }
}

fn send(context: &Context, args: &SendArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("message send", output)?;
    let agent = context.writer(&ws, output)?;
    let request = MessageRequest {
        audience: args.audience.get(context, &ws)?,
        kind: args.kind.clone(),
        summary: context.summary(&args.summary)?,
        note: context.text_if("--note", args.note.as_ref())?,
        branch: args.branch.clone(),
        plan: args.plan.clone(),
        receipts: args.receipts.clone(),
        meta: args.meta.clone(),
    };
    words::warn_of_missing(&args.receipts, ws.root(), output);
    // Before the write: afterwards the agent has an inbox.
    let stranger = args.audience.to.as_ref().filter(|to| ops::is_stranger(&ws, to));
    let (message, pulse) = ops::send_message(&ws, &agent, &request)?;
    if let Some(error) = pulse {
        output.warn(&format!(
            "the message is sent, but the task's heartbeat could not be given: {error}"
        ));
    }
    stranger.iter().for_each(|to| words::note_stranger(to, output));
    if let (Some(asked), Some(stands)) = (&args.audience.task, &message.task_id) {
        Context::note_spelling(asked, stands, output);
    }
    let now = context.clock.now();
    output.document(&words::object([("message", words::message_json(&message, None, now))]));
    words::show_message(&message, None, now, Width::Whole, output);
    Ok(0)
}

fn list(context: &Context, args: &ListArgs, output: &mut Output) -> Result<u8, Failure> {
    output.stream();
    let ws = context.open("message list", output)?;
    context.note_reader(&ws);
    let now = context.clock.now();
    let filter = MessageFilter {
        task: context.task_if(&ws, args.task.as_ref())?,
        to: args.to.clone(),
        kinds: args.kinds.clone(),
        from: args.from.iter().chain(&context.global.agent).cloned().collect(),
        since: args.since.map(|when| when.resolve(now)),
    };
    let (mut letters, faults) = log::messages(&ws, &filter, args.limit)?;
    if args.reverse {
        letters.reverse();
    }
    for letter in letters {
        output.ndjson(&words::message_json(&letter.message, letter.elsewhere.as_ref(), now));
        words::show_message(&letter.message, letter.elsewhere.as_ref(), now, Width::Whole, output);
        if output.is_closed() {
            break;
        }
    }
    words::warn_of_bad_lines(Stream::Channels, &faults, ws.root(), output);
    Ok(output.status_of_look())
}
