//! `bus reclaim`

use clap::Args;

use super::args::{TakeOver, TaskArg};
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::claim::Outcome;
use crate::bus::ops;
use crate::bus::ops::ReclaimRequest;

const EXAMPLES: &str = "\
Examples:
  bus reclaim QUEUE-001 --note 'codex-2 crashed, silent since noon'

It fails if the owner sends a heartbeat in between. If the owner comes back, its commands exit with 8.
Exit status: 0 it is yours; 3 its owner is alive; 4 there is nothing to take over; 7 the fleet's remote did not answer or refused.";

/// Take over a task that is paused, expired or stale.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReclaimArgs {
    #[command(flatten)]
    task: TaskArg,
    #[command(flatten)]
    take_over: TakeOver,
}

pub(super) fn run(
    context: &Context,
    args: &ReclaimArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("reclaim", output)?;
    let agent = context.writer(&ws, output)?;
    let request = ReclaimRequest {
        note: context.text("--note", &args.take_over.note)?,
        force: args.take_over.force,
    };
    let task = context.task(&ws, args.task.typed())?;
    let changed = ops::reclaim(&ws, &agent, &task, &request)?;
    Context::note_spelling(args.task.typed(), &changed.claim.task_id, output);
    output.document(&words::changed_json(&changed));
    let claim = &changed.claim;
    if changed.outcome == Outcome::Unchanged {
        output.line(&format!(
            "{} is already claimed by you, {}; nothing to do",
            claim.task_id, claim.agent_id
        ));
    } else {
        words::note_earlier_work(changed.previous.as_ref(), claim, output);
        let from = changed
            .previous
            .as_ref()
            .map_or_else(String::new, |before| format!(" from {}", before.agent_id));
        output.line(&format!(
            "reclaimed {}{from} as {} on {}",
            claim.task_id, claim.agent_id, claim.branch
        ));
    }
    Ok(0)
}
