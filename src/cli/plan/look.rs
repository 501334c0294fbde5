//! `bus plan list` and `bus plan show`

use anstyle::AnsiColor;
use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::{PlanArg, found_json};
use crate::bus::plan::FoundPlan;
use crate::bus::{Error, plan};
use crate::cli::columns::Row;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, Width};
use crate::cli::{columns, completions, words};
use crate::record::{PlanRecord, Progress, TaskId};
use crate::store::{Evidence, Sums};

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  bus plan list                       every plan, and how far it is
  bus plan list --open --agent boss   what boss made or looks at
  bus plan list --task QUEUE-001 --json

Of a plan that several worktrees have, the copy is shown that has come furthest.";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  bus plan show queue-001   a part of the id, if no other has it
  bus plan show 2025-09-19-queue-001 --json

Each receipt is looked at: it is there, it is gone, or it was changed since it was named.
Exit status: 0 it is shown; 2 it could be several; 4 there is none; 5 it cannot be read.";

/// The columns of the table.
const HEADER: [&str; 7] = ["PLAN", "STATUS", "DONE", "STEP", "ACTOR", "TASK", "SUMMARY"];

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those that are not done
    #[arg(long)]
    open: bool,
    /// Only those of this task
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    plan: PlanArg,
}

pub(super) fn list(context: &Context, args: &ListArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("plan list", output)?;
    context.note_reader(&ws);
    let agents = &context.global.agent;
    let is_of = |plan: &PlanRecord| {
        let owner = plan.checkpoint.as_ref().map(|checkpoint| &checkpoint.owner);
        let names = |agent: &str| {
            agent.eq_ignore_ascii_case(&plan.actor)
                || owner.is_some_and(|owner| agent.eq_ignore_ascii_case(owner))
        };
        agents.is_empty() || agents.iter().any(|agent| names(agent.as_str()))
    };
    let is_wanted = |found: &FoundPlan| {
        is_of(&found.plan)
            && !(args.open && found.plan.status == Progress::Done)
            && args
                .task
                .as_ref()
                .is_none_or(|task| found.plan.tasks().any(|linked| linked == *task))
    };
    let mut plans = plan::plans(&ws);
    if plans.found.is_empty() && plans.faults.is_empty() {
        output.note("there are no plans; make one with `bus plan new`");
    }
    plans.found.retain(is_wanted);
    output.document(&words::object([
        ("plans", plans.found.iter().map(|found| found_json(found, &ws)).collect()),
        ("unreadable", plans.faults.iter().map(fault_json).collect()),
    ]));
    if !plans.found.is_empty() {
        let rows: Vec<Row<7>> = plans.found.iter().map(|found| row(&found.plan)).collect();
        columns::print(HEADER, &rows, |_| true, output);
    }
    plans.faults.iter().for_each(|fault| output.warn(&format!("{fault}; it is left out")));
    Ok(0)
}

fn fault_json(fault: &Error) -> Value {
    let facts = fault.facts().into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let file = facts.get("file").cloned().unwrap_or(Value::Null);
    let (code, message) = (Value::from(fault.code().as_str()), Value::from(fault.to_string()));
    words::object([("file", file), ("code", code), ("message", message)])
}

fn row(plan: &PlanRecord) -> Row<7> {
    let tasks: Vec<String> = plan.tasks().map(|task| task.to_string()).collect();
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let cells = [
        plan.plan_id.to_string(),
        plan.status.to_string(),
        plan.tally().to_string(),
        or_dash(plan.current().map_or_else(String::new, |step| step.id.clone())),
        plan.actor.clone(),
        or_dash(tasks.join(",")),
        plan.summary.clone(),
    ];
    Row::new(colour(plan.status), cells)
}

const fn colour(status: Progress) -> Option<AnsiColor> {
    match status {
        Progress::Queued => None,
        Progress::InProgress => Some(AnsiColor::Green),
        Progress::Blocked => Some(AnsiColor::Yellow),
        Progress::Done => Some(AnsiColor::Cyan),
    }
}

/// A receipt that was looked at: the step that names it, its path, what became of it.
struct Looked<'a> {
    step: Option<&'a str>,
    path: &'a str,
    state: &'static str,
}

pub(super) fn show(context: &Context, args: &ShowArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("plan show", output)?;
    context.note_reader(&ws);
    let found = plan::plan(&ws, &args.plan.plan)?;
    let receipts = look_at_receipts(&found)?;
    let json = |looked: &Looked<'_>| {
        words::object([
            ("step", looked.step.map_or(Value::Null, Value::from)),
            ("path", Value::from(looked.path)),
            ("state", Value::from(looked.state)),
        ])
    };
    output.document(&words::object([
        ("plan", found_json(&found, &ws)),
        ("receipts", receipts.iter().map(json).collect()),
    ]));
    let plan = &found.plan;
    let head =
        format!("{} :: {} :: {} :: {}", plan.plan_id, plan.status, plan.tally(), plan.summary);
    output.row(colour(plan.status), &head, Width::Whole);
    output.line(&format!(
        "made by {} at {}, in {}",
        plan.actor,
        plan.created,
        plan::show_place(&ws, &found.place)
    ));
    if let Some(checkpoint) = &plan.checkpoint {
        output.line(&format!(
            "checkpoint :: {} :: {} :: {}",
            checkpoint.status, checkpoint.owner, checkpoint.description
        ));
    }
    plan.links
        .iter()
        .for_each(|link| output.line(&format!("link :: {} :: {}", link.kind, link.target)));
    show_receipts(&receipts, None, output);
    for step in &plan.steps {
        output.row(
            colour(step.status),
            &format!("{} :: {} :: {}", step.id, step.status, step.title),
            Width::Whole,
        );
        step.notes
            .iter()
            .flat_map(|notes| notes.lines())
            .for_each(|line| output.line(&format!("  note :: {line}")));
        show_receipts(&receipts, Some(&step.id), output);
    }
    Ok(0)
}

fn look_at_receipts(found: &FoundPlan) -> Result<Vec<Looked<'_>>, Error> {
    let (mut looked, sums) = (Vec::new(), Sums::default());
    let steps = found.plan.steps.iter().map(|step| (Some(step.id.as_str()), &step.receipts));
    for (step, receipts) in [(None, &found.plan.receipts)].into_iter().chain(steps) {
        for (path, evidence) in Evidence::of_all(found.root(), receipts, &sums) {
            looked.push(Looked { step, path, state: evidence?.as_str() });
        }
    }
    Ok(looked)
}

fn show_receipts(receipts: &[Looked<'_>], step: Option<&str>, output: &mut Output) {
    let indent = if step.is_some() { "  " } else { "" };
    for looked in receipts.iter().filter(|looked| looked.step == step) {
        output.line(&format!("{indent}receipt :: {} :: {}", looked.state, looked.path));
    }
}
