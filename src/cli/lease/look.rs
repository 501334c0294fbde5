//! `bus lock list` and `bus lock show`

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::{left, print, status_json};
use crate::bus::lease::{LeaseFault, LeaseStatus};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, lease};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::{completions, words};
use crate::record::{Lease, LeaseId, TaskId, Timestamp};

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  bus lock list                   who holds what, in all worktrees
  bus lock list --agent codex-1   what codex-1 holds
  bus lock list --all --json      and what has ended lately";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  bus lock show L-7f3k9mq

Exit status: 0 it is shown; 4 there is none.";

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Also those that have ended
    #[arg(long)]
    all: bool,
    /// Only those for this task
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The lease, or the beginning of its id
    #[arg(value_name = "LOCK", add = ArgValueCompleter::new(completions::locks))]
    lock: LeaseId,
}

pub(super) fn list(context: &Context, args: &ListArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("lock list", output)?;
    context.note_reader(&ws);
    let now = ws.clock().now();
    let agents = &context.global.agent;
    let task = context.task_if(&ws, args.task.as_ref())?;
    let wanted = |lease: &Lease| {
        (agents.is_empty() || agents.contains(&lease.owner))
            && task.as_ref().is_none_or(|task| lease.task_id.as_ref() == Some(task))
    };
    let mut leases = lease::leases(&ws)?;
    leases.retain(|status| wanted(&status.lease));
    let mut ended = if args.all { lease::ended_leases(&ws)? } else { Vec::new() };
    ended.retain(|lease| wanted(lease));
    output.document(&words::object([
        ("leases", leases.iter().map(|status| status_json(status, now)).collect()),
        ("ended", ended.iter().map(|lease| Value::Object(lease.to_object())).collect()),
        ("generated_at", Value::from(now.to_string())),
    ]));
    print(leases.iter(), now, output);
    ended.iter().for_each(|lease| output.line(&ended_line(lease)));
    if leases.is_empty() && ended.is_empty() {
        output.note(
            "nobody holds a path; take some with `bus lock acquire PATTERN --objective TEXT`",
        );
    }
    Ok(0)
}

pub(super) fn show(context: &Context, args: &ShowArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("lock show", output)?;
    context.note_reader(&ws);
    let now = ws.clock().now();
    let lock = lease::meant_lease(&ws, &args.lock)?;
    if let Some(status) =
        lease::leases(&ws)?.into_iter().find(|status| status.lease.lease_id == lock)
    {
        output.document(&words::object([("lease", status_json(&status, now))]));
        page(&status, now, output);
        return Ok(0);
    }
    let lease = ended(&ws, &lock)?;
    output.document(&words::object([(
        "lease",
        words::merge(lease.to_object(), [("state", Value::from("ended"))]),
    )]));
    output.line(&ended_line(&lease));
    output.line(&format!("  objective  {}", lease.objective));
    Ok(0)
}

/// The ended lease called `id`.
fn ended(ws: &Workspace, id: &LeaseId) -> Result<Lease, Failure> {
    let found = lease::ended_leases(ws)?.into_iter().find(|lease| lease.lease_id == *id);
    let none = || Error::from(LeaseFault::NoLease { lease: id.clone(), ended: None });
    Ok(found.ok_or_else(none)?)
}

fn ended_line(lease: &Lease) -> String {
    let at = lease.released_at.map_or_else(String::new, |at| format!(" at {at}"));
    let by = lease.released_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let why = lease.release_note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    format!("{} was {}'s: {}; ended{at}{by}{why}", lease.lease_id, lease.owner, lease.patterns())
}

fn page(status: &LeaseStatus, now: Timestamp, output: &mut Output) {
    let lease = &status.lease;
    let seen = status
        .last_seen
        .map_or_else(|| "never".to_owned(), |seen| format!("{} ({seen})", words::ago(seen, now)));
    let mut lines = vec![
        (
            "owner",
            format!(
                "{}{}",
                lease.owner,
                if status.here { "" } else { ", in another worktree or clone" }
            ),
        ),
        ("patterns", lease.scope.join(" ")),
    ];
    lines.extend((!lease.deny.is_empty()).then(|| ("left out", lease.deny.join(" "))));
    lines.push(("mode", lease.mode.to_string()));
    lines.push(("objective", lease.objective.clone()));
    lines.extend(lease.task_id.as_ref().map(|task| ("task", task.to_string())));
    lines.push(("since", format!("{} ({})", words::ago(lease.start_time, now), lease.start_time)));
    lines.push(("time left", format!("{} ({})", left(lease, now), lease.expires_at)));
    lines.push(("last seen", seen));
    output.line(&format!("{}  {}", lease.lease_id, status.state()));
    lines.iter().for_each(|(name, text)| output.line(&format!("  {name:<10} {text}")));
}
