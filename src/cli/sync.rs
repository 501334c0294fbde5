//! `bus sync`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{exit, words};
use crate::bus::fleet;
use crate::bus::fleet::Synced;
use crate::record::{AgentId, Claim, TaskId};

const EXAMPLES: &str = "\
Examples:
  bus sync                     get what is new in the other clones, and publish what is new here
  bus sync --quiet             the same from a hook or a timer
  bus sync --remote upstream   use this remote name from now on

Only refs are exchanged: claims, and each clone's log. No branch, no index and no file of a worktree is touched. It may run at \
any time, many times at once, and be killed.

Exit status: 0 exchanged; 1 something is still for this clone alone; 4 the clone belongs to no fleet; 7 the remote did not answer or \
serves another fleet.";

/// Exchange claims and logs with the fleet's remote.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SyncArgs {
    /// What this clone calls the fleet's remote
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
}

/// How many refs that cannot be read are named.
const MAX_FAULTS: usize = 20;

pub(super) fn run(context: &Context, args: &SyncArgs, output: &mut Output) -> Result<u8, Failure> {
    if let Some(remote) = &args.remote {
        fleet::rename_remote(&context.open("sync", output)?, remote)?;
    }
    let ws = context.open("sync", output)?;
    context.note_reader(&ws);
    let synced = output.patiently("exchanging claims and logs", || fleet::sync(&ws))?;
    output.document(&json(&synced));
    show(&synced, output);
    Ok(u8::from(!synced.unpublished.is_empty() || synced.log_unsent.is_some()))
}

fn show(synced: &Synced, output: &mut Output) {
    let names = |tasks: &std::collections::BTreeSet<TaskId>| {
        tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")
    };
    let say =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let Synced { remote, received, published, .. } = synced;
    if !received.is_empty() {
        output.line(&format!(
            "received {} from {remote}: {}",
            say(received.len(), "claim"),
            names(received)
        ));
    }
    if !published.is_empty() {
        output.line(&format!(
            "published {} to {remote}: {}",
            say(published.len(), "claim"),
            names(published)
        ));
    }
    let taken = &synced.taken;
    let parts =
        [(taken.events, "event"), (taken.messages, "message"), (taken.assignments, "assignment")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| say(count, what))
        .collect();
    if !parts.is_empty() {
        output.line(&format!("received {} from {}", parts.join(", "), say(taken.clones, "clone")));
    }
    if synced.log_published {
        output.line(&format!("published this clone's log to {remote}"));
    }
    if received.is_empty() && published.is_empty() && parts.is_empty() && !synced.log_published {
        output.line(&format!("nothing new with {remote}"));
    }
    for (claim, owner) in &synced.lost {
        output.warn(&lost_words(claim, owner));
    }
    for kept in &synced.gave_way {
        output.warn(&format!(
            "what only this clone had gave way to the fleet's; it is kept as `{}`",
            kept.as_str()
        ));
    }
    for (task, why) in &synced.unpublished {
        output.warn(&format!("{task} is still for this clone alone: {why}"));
    }
    if let Some(why) = &synced.log_unsent {
        output.warn(&format!("this clone's log is still for this clone alone: {why}"));
    }
    words::warn_of_rewritten(&synced.rewritten, output);
    warn_of_faults(synced, output);
}

/// Warns of what of the remote cannot be read, and of what was left out of the other clones' logs.
fn warn_of_faults(synced: &Synced, output: &mut Output) {
    let taken = &synced.taken;
    for fault in synced.faults.iter().take(MAX_FAULTS) {
        output.warn(&exit::story(fault));
    }
    if synced.faults.len() > MAX_FAULTS {
        output.warn(&format!(
            "{} more of the remote's refs cannot be read",
            synced.faults.len() - MAX_FAULTS
        ));
    }
    for fault in &taken.faults {
        output.warn(&format!("{fault}; it is left out"));
    }
    if taken.left_out > taken.faults.len() {
        output.warn(&format!(
            "{} more of the other clones' lines and files are left out",
            taken.left_out - taken.faults.len()
        ));
    }
}

fn lost_words(claim: &Claim, owner: &AgentId) -> String {
    let task = &claim.task_id;
    let how = if claim.is_unconfirmed() {
        "was not the first"
    } else {
        "gave way to what the remote has now"
    };
    format!(
        "{}'s claim of {task} {how}: {owner} has it; keep what you have on a branch, and take another task",
        claim.agent_id
    )
}

fn json(synced: &Synced) -> Value {
    let tasks = |tasks: &std::collections::BTreeSet<TaskId>| {
        tasks.iter().map(|task| Value::from(task.as_str())).collect()
    };
    let lost = synced.lost.iter().map(|(claim, owner)| {
        words::object([
            ("claim", Value::Object(claim.to_object())),
            ("owner", Value::from(owner.as_str())),
        ])
    });
    let unpublished = synced.unpublished.iter().map(|(task, why)| {
        words::object([
            ("task_id", Value::from(task.as_str())),
            ("reason", Value::from(why.as_str())),
        ])
    });
    let faults = synced.faults.iter().map(|fault| {
        words::object([
            ("code", Value::from(fault.code().as_str())),
            ("message", Value::from(exit::story(fault))),
        ])
    });
    words::object([
        ("remote", Value::from(synced.remote.as_str())),
        ("received", Value::Array(tasks(&synced.received))),
        ("published", Value::Array(tasks(&synced.published))),
        ("log_published", Value::from(synced.log_published)),
        ("clones", Value::from(synced.taken.clones)),
        ("events", Value::from(synced.taken.events)),
        ("messages", Value::from(synced.taken.messages)),
        ("assignments", Value::from(synced.taken.assignments)),
        ("left_out", Value::from(synced.taken.left_out)),
        ("lost", Value::Array(lost.collect())),
        ("log_unsent", synced.log_unsent.as_deref().map_or(Value::Null, Value::from)),
        ("new_clone_id", synced.new_id.as_deref().map_or(Value::Null, Value::from)),
        ("rewritten_logs", synced.rewritten.iter().map(words::rewritten_json).collect()),
        ("gave_way", synced.gave_way.iter().map(|name| Value::from(name.as_str())).collect()),
        ("unpublished", Value::Array(unpublished.collect())),
        ("faults", Value::Array(faults.collect())),
    ])
}
