//! `bus show`

use clap::Args;
use serde_json::Value;

use super::args::OwnTaskArg;
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::queue::shown;
use super::{exit, lease, plan, queue, words};
use crate::bus::claim::ClaimStatus;
use crate::bus::ops;
use crate::bus::ops::TaskView;
use crate::bus::workspace::Workspace;
use crate::record::Timestamp;
use crate::record::json::Object;
use crate::report::{compared_with, seen};

pub(super) const EXAMPLES: &str = "\
Examples:
  bus show             the task that you hold here
  bus show QUEUE-001   what it is, how far it is, who has it, and where the work is
  bus show 1 --json    the same, for programs

It shows the queue's item, the claim and its branch, the plan, leases and the last words.
Exit status: 0 it is shown; 3 you hold no task here, but one elsewhere; 4 nothing is known of it.";

/// Show one task: what it is, how far it is, who has it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    task: OwnTaskArg,
}

pub(super) fn run(context: &Context, args: &ShowArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("show", output)?;
    context.note_reader(&ws);
    let task = match args.task.typed() {
        Some(typed) => context.task(&ws, typed)?,
        None => ops::held_here(&ws, &context.addressee(&ws)?)?,
    };
    let mut queue = queue::look(context, &ws, output)?;
    let cycles = std::mem::take(&mut queue.cycles);
    let view = ops::show_task(&ws, &task, queue)?;
    args.task.typed().iter().for_each(|typed| Context::note_spelling(typed, &view.task, output));
    let now = context.clock.now();
    output.document(&document(&view, &ws, now));
    page(&view, &ws, now, output);
    shown::warn_of_cycles(cycles.iter().filter(|circle| circle.contains(&task)), output);
    view.entry.iter().for_each(|entry| shown::warn_of_entry(entry, output));
    output.warn_each(view.unreadable.iter().map(|error| exit::story(error)));
    Ok(0)
}

fn document(view: &TaskView, ws: &Workspace, now: Timestamp) -> Value {
    let claim = view.claim.as_ref().map_or(Value::Null, |status| {
        let last_seen = status.last_seen.map(|seen| seen.to_string());
        let state = [
            ("state", Value::from(status.state.as_str())),
            ("last_seen", Value::from(last_seen)),
            ("seen", status.seen.as_ref().map_or(Value::Null, seen)),
        ];
        let state = state.into_iter().chain(words::clock_json(status.clock_ahead));
        words::merge(status.claim.to_object(), state)
    });
    let assignment = view.assignment.as_ref();
    let event = |entry: &crate::store::Entry| {
        words::event_json(&entry.event, entry.elsewhere.as_ref(), now)
    };
    let fields = [
        ("task_id", Value::from(view.task.as_str())),
        ("item", view.entry.as_ref().map_or(Value::Null, shown::whole)),
        ("claim", claim),
        ("compared_with", compared_with(view.compared_with.as_ref())),
        ("assignment", assignment.map_or(Value::Null, |found| Value::Object(found.to_object()))),
        ("plan", view.plan.as_ref().map_or(Value::Null, |found| plan::found_json(found, ws))),
        ("locks", view.leases.iter().map(|held| lease::status_json(held, now)).collect()),
        ("events", view.words.iter().map(event).collect()),
        ("unreadable", view.unreadable.iter().map(|error| exit::story(error)).collect()),
        ("generated_at", Value::from(now.to_string())),
    ];
    words::merge(Object::new(), fields)
}

/// For people: what there is, a line each.
fn page(view: &TaskView, ws: &Workspace, now: Timestamp, output: &mut Output) {
    let title = view.entry.as_ref().and_then(|entry| entry.item.as_ref());
    let title = title.map_or_else(String::new, |item| format!(": {}", item.title));
    output.line(&format!("{}{title}", view.task));
    match (&view.entry, &view.claim) {
        (Some(entry), _) => output.line(&format!("state: {}", shown::state(entry))),
        (None, Some(status)) => {
            output.line(&format!("state: {} by {}", status.state.as_str(), status.claim.agent_id))
        }
        (None, None) => output.line("state: free, and not in the queue"),
    }
    view.claim.iter().for_each(|status| claim(status, now, output));
    if let Some(engineer) =
        view.assignment.as_ref().and_then(|assignment| assignment.engineer.as_ref())
    {
        output.line(&format!("assigned to: {engineer}"));
    }
    if let Some(found) = &view.plan {
        output.line(&format!(
            "plan: {} ({}, {} done), {}",
            found.plan.plan_id,
            found.plan.status,
            found.plan.tally(),
            crate::bus::plan::show_place(ws, &found.place)
        ));
    }
    for held in &view.leases {
        let (id, patterns) = (&held.lease.lease_id, held.lease.patterns());
        output.line(&format!("lease: {id} {}, {patterns}", held.state()));
    }
    view.entry.iter().for_each(|entry| shown::page(entry, output));
    if !view.words.is_empty() {
        output.line("");
        output.line("last words:");
    }
    for entry in &view.words {
        words::show_line(&entry.event, entry.elsewhere.as_ref(), now, Width::Bounded, output);
    }
}

fn claim(status: &ClaimStatus, now: Timestamp, output: &mut Output) {
    let claim = &status.claim;
    let since = claim.released_at.unwrap_or(claim.claimed_at);
    let state = if claim.is_unconfirmed() { ", unconfirmed" } else { "" };
    let seen = status.last_seen.map(|seen| format!(", last seen {}", words::ago(seen, now)));
    output.line(&format!(
        "claim: {} by {}{state}, {}{}{}",
        status.state.as_str(),
        claim.agent_id,
        words::ago(since, now),
        seen.unwrap_or_default(),
        words::clock(status.clock_ahead)
    ));
    let work = status.seen.as_ref().map(|seen| {
        format!(
            " (ahead {}, pushed {}, landed {})",
            seen.ahead(),
            seen.pushed_words(),
            seen.landed_words()
        )
    });
    output.line(&format!("branch: {}{}", claim.branch, work.unwrap_or_default()));
    claim.notes.iter().for_each(|notes| output.line(&format!("notes: {notes}")));
}
