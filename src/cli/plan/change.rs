//! `bus plan step` and `bus plan status`

use clap::Args;
use serde_json::Value;

use super::{CheckpointArg, PlanArg, ProgressArg, planned_json, progress_json, tell_of};
use crate::bus::plan;
use crate::bus::plan::{PlanChange, StepChange};
use crate::cli::args::{self, Text};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::receipt::warn_if_ignored;
use crate::cli::words;
use crate::record::PlanRecord;

pub(super) const STEP_EXAMPLES: &str = "\
Examples:
  bus plan step queue-001 S1 --status in_progress
  bus plan step queue-001 S1 --note 'the lexer also needs it'
  bus plan step queue-001 S1 --status done --receipt _report/agent/codex-1/QUEUE-001/tests.log

One step may be in progress. A step that is done names what proves it, and stays done. A note is added to those before it. A \
receipt is a file of this worktree; its SHA-256 is noted, so that `bus validate` sees when it is changed. The plan follows its \
steps: in progress once one is begun or done, blocked while one is blocked and none in progress.
Exit status: 0 it is so; 2 the plan could be several; 3 a rule forbids it; 4 no such plan, step or receipt; 5 it cannot be \
read.";

/// How `bus plan step` is called: clap would put the plan where `--receipt` takes it for one.
pub(super) const STEP_USAGE: &str =
    "bus plan step <PLAN> <STEP> <--status <STATUS>|--note <TEXT>|--receipt <PATH>...> [OPTIONS]";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  bus plan status queue-001   how far it has come
  bus plan status queue-001 done --checkpoint satisfied
  bus plan status queue-001 --checkpoint superseded

A plan whose steps are all done is done when somebody says so, and stays done. One that is given up ends with open \
steps: `done --checkpoint superseded`.
Exit status: 0 it is so; 2 the plan could be several; 3 it is done already, or its steps are not; 4 no such plan; \
5 it cannot be read.";

#[derive(Debug, Args)]
pub(super) struct StepArgs {
    #[command(flatten)]
    plan: PlanArg,
    /// The step
    #[arg(value_name = "STEP")]
    step: String,
    #[command(flatten)]
    change: StepChangeArgs,
}

/// What is to be changed: something at least.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct StepChangeArgs {
    /// How far it has come
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<ProgressArg>,
    /// Words to add to its notes; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", value_parser = args::text, allow_hyphen_values = true)]
    note: Option<Text>,
    /// A file that proves it (repeatable)
    #[arg(long = "receipt", value_name = "PATH", num_args = 1.., value_hint = clap::ValueHint::FilePath)]
    receipts: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    plan: PlanArg,
    /// How far it has come
    #[arg(value_enum, value_name = "STATUS")]
    status: Option<ProgressArg>,
    /// Whether its checkpoint is met
    #[arg(long, value_enum, value_name = "STATUS")]
    checkpoint: Option<CheckpointArg>,
}

pub(super) fn step(context: &Context, args: &StepArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("plan step", output)?;
    let agent = context.writer(&ws, output)?;
    let standing = context.standing()?;
    let receipts = args
        .change
        .receipts
        .iter()
        .map(|path| plan::receipt(&ws, &standing, path))
        .collect::<Result<Vec<_>, _>>()?;
    receipts.iter().for_each(|receipt| warn_if_ignored(&ws, &receipt.path, output));
    let status = args.change.status.map(Into::into);
    let change = StepChange {
        status,
        note: context.text_if("--note", args.change.note.as_ref())?,
        receipts,
    };
    let planned = plan::change_step(&ws, &agent, &args.plan.plan, &args.step, &change)?;
    output.document(&planned_json("updated", &planned, &ws));
    let plan = &planned.found.plan;
    if let Some(step) = plan.step_called(&args.step).map(|number| &plan.steps[number]) {
        let done = if planned.unchanged { "; nothing to do" } else { "" };
        output.line(&format!(
            "{} {} is {}, {}{done}",
            plan.plan_id,
            step.id,
            step.status,
            standing_of(plan)
        ));
    }
    tell_of(&planned, output);
    Ok(0)
}

pub(super) fn status(
    context: &Context,
    args: &StatusArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("plan status", output)?;
    let change = PlanChange {
        status: args.status.map(Into::into),
        checkpoint: args.checkpoint.map(Into::into),
    };
    if change.status.is_none() && change.checkpoint.is_none() {
        context.note_reader(&ws);
        let plan = plan::plan(&ws, &args.plan.plan)?.plan;
        let checkpoint = plan
            .checkpoint
            .as_ref()
            .map_or(Value::Null, |checkpoint| Value::from(checkpoint.status.as_str()));
        output.document(&words::object([
            ("plan_id", Value::from(plan.plan_id.as_str())),
            ("status", Value::from(plan.status.as_str())),
            ("checkpoint", checkpoint),
            ("progress", progress_json(plan.tally())),
        ]));
        output.line(plan.status.as_str());
        return Ok(0);
    }
    let agent = context.writer(&ws, output)?;
    let planned = plan::change_status(&ws, &agent, &args.plan.plan, change)?;
    output.document(&planned_json("updated", &planned, &ws));
    let plan = &planned.found.plan;
    let done = if planned.unchanged { "; nothing to do" } else { "" };
    output.line(&format!("{}: {}{done}", plan.plan_id, standing_of(plan)));
    tell_of(&planned, output);
    Ok(0)
}

/// How a plan stands, in a few words.
fn standing_of(plan: &PlanRecord) -> String {
    let checkpoint = plan
        .checkpoint
        .as_ref()
        .map_or_else(String::new, |point| format!(", checkpoint {}", point.status));
    format!("plan {} ({} done{checkpoint})", plan.status, plan.tally())
}
