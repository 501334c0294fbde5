//! `bus wait`

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::completions;
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::words;
use crate::bus::{Filter, Patience, Standing, Until};
use crate::record::{EventKind, Span, TaskId};

const EXAMPLES: &str = "\
Examples:
  bus wait --task QUEUE-001 --until free --timeout 10m && bus claim QUEUE-001
  bus wait --task QUEUE-001 --until done             go on when it is finished
  bus wait --event review --task QUEUE-001           the next review of a task, from now on
  bus wait --event complete --agent codex-2 --json   the next time codex-2 completes something

A state that holds already ends the waiting at once. To claim a task that is held, `bus claim --wait` is surer.
Exit status: 0 it is so; 1 it cannot come true any more (the task is finished); 6 it was not so in time.";

/// Block until a task is in a state, or until an event is logged
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WaitArgs {
    /// The task
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks), required_unless_present = "event")]
    task: Option<TaskId>,
    /// What the task must be: free (to be claimed), claimed, released, done, ended (released or done) or stale
    #[arg(long, value_name = "STATE", requires = "task", conflicts_with = "event", required_unless_present = "event",
        value_parser = PossibleValuesParser::new(Until::ALL.map(Until::as_str)).try_map(|word| word.parse::<Until>()))]
    until: Option<Until>,
    /// The next event of this sort, by --agent and on --task where they are given
    #[arg(long, value_name = "NAME")]
    event: Option<EventKind>,
    /// How long to wait [default: for ever]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

pub(super) fn run(context: &Context, args: &WaitArgs, output: &mut Output) -> Result<u8, Failure> {
    let bus = context.open("wait", output)?;
    context.note_reader(&bus);
    let patience = Patience::new(args.timeout);
    match (&args.task, args.until, &args.event) {
        (Some(task), Some(until), _) => {
            let standing = bus.wait_for_task(task, until, patience)?;
            Context::note_spelling(task, &standing.task, output);
            output.document(&document(&standing, until));
            output.line(&format!("{} is {}", standing.task, standing.describe()));
        }
        (task, _, event) => {
            let filter = Filter {
                agents: context.global.agent.clone(),
                events: event.iter().cloned().collect(),
                tasks: task.iter().cloned().collect(),
                ..Filter::default()
            };
            let event = bus.wait_for_event(filter, patience)?;
            let now = context.clock.now();
            output.document(&words::object([("event", words::event_json(&event, now))]));
            words::show_line(&event, now, Width::Whole, output);
        }
    }
    Ok(0)
}

fn document(standing: &Standing, until: Until) -> Value {
    words::object([
        ("task_id", Value::from(standing.task.as_str())),
        ("until", Value::from(until.as_str())),
        ("state", standing.state.map_or(Value::Null, |state| Value::from(state.as_str()))),
        ("claim", standing.claim.as_ref().map_or(Value::Null, |claim| Value::Object(claim.to_object()))),
    ])
}
