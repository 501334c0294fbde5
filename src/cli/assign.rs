//! `bus assign`

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::{TaskArg, Text};
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{completions, words};
use crate::bus::ops;
use crate::bus::ops::{AssignRequest, Assigned};
use crate::record::{AgentId, Assignment, PlanId};

const EXAMPLES: &str = "\
Examples:
  bus assign QUEUE-001 --engineer codex-2      others may not claim it
  bus assign QUEUE-001 --engineer codex-2 --manager boss --note 'parser first'
  bus assign QUEUE-001 --engineer unassigned   take the assignment back

The task's channel gets a message: `bus message list --task QUEUE-001`. An existing claim goes on. The plan is kept if the \
engineer changes; branch and note are not.
Exit status: 0 it is written; 5 the existing assignment cannot be read.";

/// Say who shall do a task.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AssignArgs {
    #[command(flatten)]
    task: TaskArg,
    /// Who shall do it; `unassigned` takes the assignment back
    #[arg(long, value_name = "ID", required = true, add = ArgValueCompleter::new(completions::agents))]
    engineer: AgentId,
    /// Who says so [default: you]
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(completions::agents))]
    manager: Option<AgentId>,
    /// The plan of the work
    #[arg(long, value_name = "ID")]
    plan: Option<PlanId>,
    /// The branch that the work is meant for
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Why, or how; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    note: Option<Text>,
}

pub(super) fn run(
    context: &Context,
    args: &AssignArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("assign", output)?;
    let manager = match &args.manager {
        Some(manager) => {
            context.note_reader(&ws);
            manager.clone()
        }
        None => context.writer(&ws, output)?,
    };
    let request = AssignRequest {
        engineer: Assignment::engineer_called(args.engineer.clone()),
        manager,
        plan: args.plan.clone(),
        branch: args.branch.clone(),
        note: context.text_if("--note", args.note.as_ref())?,
    };
    // Before the write: afterwards nothing is unknown.
    let stranger =
        request.engineer.as_ref().is_some_and(|engineer| ops::is_stranger(&ws, engineer));
    let task = context.task(&ws, args.task.typed())?;
    let is_new = ops::known_tasks(&ws).is_ok_and(|known| !known.contains(&task));
    let assigned = ops::assign(&ws, &task, &request)?;
    Context::note_spelling(args.task.typed(), &assigned.assignment.task_id, output);
    output.document(&document(&assigned));
    output.line(&line(&assigned));
    if let Some(claim) = &assigned.held {
        output.note(&format!(
            "{} is claimed by {}, whose claim goes on",
            claim.task_id, claim.agent_id
        ));
    }
    if stranger && !assigned.unchanged {
        words::note_stranger(&args.engineer, output);
    }
    if is_new {
        let task = &assigned.assignment.task_id;
        output.note(&format!("nothing speaks of `{task}` yet; is it the right one? `bus queue list` shows what there is"));
    }
    Ok(0)
}

fn document(assigned: &Assigned) -> Value {
    let outcome = match &assigned.assignment.engineer {
        _ if assigned.unchanged => "unchanged",
        Some(_) => "assigned",
        None => "unassigned",
    };
    let record = |assignment: &Assignment| Value::Object(assignment.to_object());
    words::object([
        ("outcome", Value::from(outcome)),
        ("assignment", record(&assigned.assignment)),
        ("previous", assigned.previous.as_ref().map_or(Value::Null, record)),
        ("message", Value::Object(assigned.message.to_object())),
    ])
}

fn line(assigned: &Assigned) -> String {
    let task = &assigned.assignment.task_id;
    let engineer = |assignment: &Assignment| {
        assignment.engineer.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)
    };
    let now = engineer(&assigned.assignment);
    let before = assigned
        .previous
        .as_ref()
        .map(engineer)
        .filter(|before| *before != now && before != "nobody");
    match (assigned.unchanged, before) {
        (true, _) => format!("{task} is already assigned to {now}; nothing to do"),
        (false, Some(before)) => format!("assigned {task} to {now}, no longer to {before}"),
        (false, None) => format!("assigned {task} to {now}"),
    }
}
