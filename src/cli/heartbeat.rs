//! `bus heartbeat`

use clap::Args;

use super::args::OwnTaskArg;
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::ops;

const EXAMPLES: &str = "\
Examples:
  bus heartbeat             before a long silence, so that your task is not stale
  bus heartbeat QUEUE-001   the same, if you hold several

Most commands that name the task send a heartbeat themselves if one is due.
Exit status: 0 sent; 3 it is somebody else's; 4 nobody holds it; 8 you had lost it.";

/// Renew the claim of a task: nothing that git tracks changes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HeartbeatArgs {
    #[command(flatten)]
    task: OwnTaskArg,
}

pub(super) fn run(
    context: &Context,
    args: &HeartbeatArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("heartbeat", output)?;
    let agent = context.writer(&ws, output)?;
    let task = context.own_task(&ws, &args.task, &agent)?;
    let (changed, untold) = ops::heartbeat(&ws, &agent, &task)?;
    let typed = args.task.typed();
    typed.iter().for_each(|typed| Context::note_spelling(typed, &changed.claim.task_id, output));
    output.document(&words::changed_json(&changed));
    let expires =
        changed.claim.expires_at.map_or_else(String::new, |time| format!(", expires {time}"));
    output.line(&format!(
        "renewed {} (revision {}{expires})",
        changed.claim.task_id, changed.claim.revision
    ));
    words::warn_untold(untold, output);
    Ok(0)
}
