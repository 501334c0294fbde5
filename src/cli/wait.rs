//! `bus wait`

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::When;
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{completions, words};
use crate::bus::log::Filter;
use crate::bus::ops::{Awaited, Patience, Standing, Until};
use crate::bus::workspace::Workspace;
use crate::bus::{fleet, ops};
use crate::record::{AgentId, EventKind, Span, TaskId};
use crate::store::{Entry, Letter};

const EXAMPLES: &str = "\
Examples:
  bus wait QUEUE-001 --until done --timeout 10m   go on when it is finished
  bus wait QUEUE-001 --until stale --json         when its owner is gone
  bus wait --event review --task QUEUE-001        its next review
  bus wait --event review --since 5m              or one of the last 5 min
  bus wait --event complete --agent codex-2       when it next completes one
  bus wait --message --from boss                  until boss writes to you

It ends at once if the task is in that state already, or if there is an unread message (`bus inbox --mark-read` marks it). To \
take a task as soon as it is free: `bus claim TASK --wait`.
Exit status: 0 it is so; 1 it can never be so (the task is finished); 6 it was not so in time; 7 the fleet's remote did not answer.";

const USAGE: &str = "\
bus wait <TASK> --until <STATE> [OPTIONS]
       bus wait --event <NAME> [--task <TASK>] [OPTIONS]
       bus wait --message [--from <AGENT>] [OPTIONS]";

/// Block until a task is in a state, an event is logged or a message comes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(super) struct WaitArgs {
    /// The task
    #[arg(value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The task, as an option
    #[arg(long = "task", value_name = "TASK", add = ArgValueCompleter::new(completions::tasks), conflicts_with = "task")]
    task_option: Option<TaskId>,
    /// What the task must be: free (never claimed, or released), claimed, released, done, ended
    /// (released or done), stale (or expired); with --agent, by one of these agents
    #[arg(long, value_name = "STATE", conflicts_with = "event",
        value_parser = PossibleValuesParser::new(Until::ALL.map(Until::as_str)).try_map(|word| word.parse::<Until>()))]
    until: Option<Until>,
    /// The next event of this type; --agent and --task narrow it
    #[arg(long, value_name = "NAME")]
    event: Option<EventKind>,
    /// Also match events logged after this time: a time, or 30s, 10m, 4h, 2d ago
    #[arg(long, value_name = "WHEN", requires = "event")]
    since: Option<When>,
    /// A message to you that you have not read
    #[arg(long, conflicts_with_all = ["task", "task_option", "until", "event"])]
    message: bool,
    /// Only a message by this agent (repeatable)
    #[arg(long, value_name = "AGENT", requires = "message", conflicts_with_all = ["until", "event"], add = ArgValueCompleter::new(completions::agents))]
    from: Vec<AgentId>,
    /// How long to wait [default: for ever]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

pub(super) fn run(context: &Context, args: &WaitArgs, output: &mut Output) -> Result<u8, Failure> {
    let task = args.task.as_ref().or(args.task_option.as_ref());
    check(args, task)?;
    let ws = context.open("wait", output)?;
    let task = context.task_if(&ws, task)?;
    let waited = wait(context, args, task.as_ref(), &ws, output);
    if waited.is_err()
        && let Some(fault) = fleet::remote_fault(&ws)
    {
        output.warn(&format!("{fault}: what other clones did meanwhile is not known"));
    }
    waited
}

fn wait(
    context: &Context,
    args: &WaitArgs,
    task: Option<&TaskId>,
    ws: &Workspace,
    output: &mut Output,
) -> Result<u8, Failure> {
    let patience = Patience::new(args.timeout);
    if args.message {
        let Letter { message, elsewhere, .. } =
            ops::wait_for_message(ws, &context.addressee(ws)?, &args.from, patience)?;
        let now = context.clock.now();
        output.document(&words::object([(
            "message",
            words::message_json(&message, elsewhere.as_ref(), now),
        )]));
        words::show_message(&message, elsewhere.as_ref(), now, Width::Whole, output);
        return Ok(0);
    }
    context.note_reader(ws);
    match (task, args.until) {
        (Some(task), Some(until)) => {
            let agents = context.global.agent.clone();
            let awaited = Awaited { task: task.clone(), until, agents, waiter: context.reader(ws) };
            let on_change = |standing: &Standing| {
                output.note(&format!("waiting: {} is {}", standing.task, standing.describe()))
            };
            let standing = ops::wait_for_task(ws, &awaited, patience, on_change)?;
            Context::note_spelling(task, &standing.task, output);
            output.document(&document(&standing, until));
            output.line(&format!("{} is {}", standing.task, standing.describe()));
        }
        (task, _) => {
            let now = context.clock.now();
            let filter = Filter {
                agents: context.global.agent.clone(),
                events: args.event.iter().cloned().collect(),
                tasks: task.into_iter().cloned().collect(),
                since: args.since.map(|when| when.resolve(now)),
                until: None,
            };
            let Entry { event, elsewhere, .. } = ops::wait_for_event(ws, filter, patience)?;
            let now = context.clock.now();
            output.document(&words::object([(
                "event",
                words::event_json(&event, elsewhere.as_ref(), now),
            )]));
            words::show_line(&event, elsewhere.as_ref(), now, Width::Whole, output);
        }
    }
    Ok(0)
}

/// Looks whether there is something to wait for.
fn check(args: &WaitArgs, task: Option<&TaskId>) -> Result<(), Failure> {
    let what = match (task, args.until) {
        _ if args.message || args.event.is_some() => return Ok(()),
        (Some(_), Some(_)) => return Ok(()),
        (Some(task), None) => format!("it is not said what `{task}` shall be"),
        (None, Some(until)) => format!("it is not said which task shall be {}", until.as_str()),
        (None, None) => "it is not said what to wait for".to_owned(),
    };
    let hint = "wait for a task, `bus wait TASK --until STATE`, for an event, `--event NAME`, or for a message to you, `--message`";
    Err(Failure::Usage { what, hint: hint.to_owned() })
}

fn document(standing: &Standing, until: Until) -> Value {
    words::object([
        ("task_id", Value::from(standing.task.as_str())),
        ("until", Value::from(until.as_str())),
        ("state", standing.state.map_or(Value::Null, |state| Value::from(state.as_str()))),
        (
            "claim",
            standing.claim.as_ref().map_or(Value::Null, |claim| Value::Object(claim.to_object())),
        ),
    ])
}
