//! `bus plan`: its commands, and what they have in common.

mod change;
mod look;
mod new;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::context::Context;
use super::exit::{Failure, story};
use super::output::Output;
use super::{completions, validate, words};
use crate::bus::plan;
use crate::bus::plan::{FoundPlan, Planned};
use crate::bus::workspace::Workspace;
use crate::record::{CheckpointStatus, Progress, Tally};

const VALIDATE_EXAMPLES: &str = "\
Examples:
  bus plan validate            are this worktree's plans sound, and proved?
  bus plan validate --strict   warnings are errors

It is `bus validate`, for the files of `_plans/` alone: the same rules, forms and exit status.
Exit status: 0 sound, or warnings only; 1 findings; 2 usage; 4 no such plan in this worktree.";

/// Plan a task in steps, and say what proves each
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    /// Make a plan
    #[command(after_help = new::EXAMPLES, override_usage = new::USAGE)]
    New(new::NewArgs),
    /// List the plans of all worktrees
    #[command(after_help = look::LIST_EXAMPLES)]
    List(look::ListArgs),
    /// Show a plan, its steps, and whether their receipts are there
    #[command(after_help = look::SHOW_EXAMPLES)]
    Show(look::ShowArgs),
    /// Say how far a step has come, and what proves it
    #[command(after_help = change::STEP_EXAMPLES, override_usage = change::STEP_USAGE)]
    Step(change::StepArgs),
    /// Say how far a plan has come, or ask
    #[command(after_help = change::STATUS_EXAMPLES)]
    Status(change::StatusArgs),
    /// Check that the plans are sound, as `bus validate` does
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// Only these, each by its id or a part of it
    #[arg(value_name = "PLAN", add = ArgValueCompleter::new(completions::plans))]
    plans: Vec<String>,
    #[command(flatten)]
    report: validate::ReportArgs,
}

/// A plan, by its id or a part of it that no other plan has.
#[derive(Debug, Args)]
struct PlanArg {
    /// The plan: its id, or a part that no other plan's has
    #[arg(value_name = "PLAN", add = ArgValueCompleter::new(completions::plans))]
    plan: String,
}

/// How far something has come, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProgressArg {
    #[value(alias = "pending")]
    Queued,
    #[value(name = "in_progress", alias = "in-progress")]
    InProgress,
    Blocked,
    Done,
}

impl From<ProgressArg> for Progress {
    fn from(typed: ProgressArg) -> Self {
        match typed {
            ProgressArg::Queued => Self::Queued,
            ProgressArg::InProgress => Self::InProgress,
            ProgressArg::Blocked => Self::Blocked,
            ProgressArg::Done => Self::Done,
        }
    }
}

/// How many receipts are named.
const MAX_NAMED: usize = 10;

/// Whether a checkpoint is met, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckpointArg {
    Pending,
    Satisfied,
    Superseded,
}

impl From<CheckpointArg> for CheckpointStatus {
    fn from(typed: CheckpointArg) -> Self {
        match typed {
            CheckpointArg::Pending => Self::Pending,
            CheckpointArg::Satisfied => Self::Satisfied,
            CheckpointArg::Superseded => Self::Superseded,
        }
    }
}

pub(super) fn run(context: &Context, args: &PlanArgs, output: &mut Output) -> Result<u8, Failure> {
    match &args.command {
        PlanCommand::New(args) => new::run(context, args, output),
        PlanCommand::List(args) => look::list(context, args, output),
        PlanCommand::Show(args) => look::show(context, args, output),
        PlanCommand::Step(args) => change::step(context, args, output),
        PlanCommand::Status(args) => change::status(context, args, output),
        PlanCommand::Validate(args) => check(context, args, output),
    }
}

fn check(context: &Context, args: &ValidateArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("plan validate", output)?;
    let plans = args
        .plans
        .iter()
        .map(|asked| plan::plan_called_here(&ws, asked))
        .collect::<Result<Vec<_>, _>>()?;
    validate::check_plans(context, plans, &args.report, output)
}

fn progress_json(tally: Tally) -> Value {
    words::object([("done", Value::from(tally.done)), ("total", Value::from(tally.total))])
}

/// A plan as JSON, with what can be seen from it.
pub(super) fn found_json(found: &FoundPlan, ws: &Workspace) -> Value {
    words::merge(
        found.plan.to_object(),
        [
            ("progress", progress_json(found.plan.tally())),
            ("path", Value::from(plan::show_place(ws, &found.place))),
            ("worktree", Value::from(found.root().display().to_string())),
        ],
    )
}

/// What came of a change, as JSON.
fn planned_json(outcome: &'static str, planned: &Planned, ws: &Workspace) -> Value {
    let claim = planned.claim.as_ref().and_then(|claim| claim.as_ref().ok());
    words::object([
        ("outcome", Value::from(if planned.unchanged { "unchanged" } else { outcome })),
        ("plan", Value::Object(planned.found.plan.to_object())),
        ("progress", progress_json(planned.found.plan.tally())),
        ("path", Value::from(plan::show_place(ws, &planned.found.place))),
        ("claim", claim.map_or(Value::Null, |changed| Value::Object(changed.claim.to_object()))),
    ])
}

/// Says what a change means for others, and what to do next.
pub(super) fn tell_of(planned: &Planned, output: &mut Output) {
    let plan = &planned.found.plan;
    for claim in &planned.held {
        output.warn(&format!(
            "{} is claimed by {}, on `{}`: let them know",
            claim.task_id, claim.agent_id, claim.branch
        ));
    }
    if let Some((absent, root)) = &planned.absent {
        let more = if absent.len() > MAX_NAMED { ", …" } else { "" };
        let named = absent[..absent.len().min(MAX_NAMED)].join(", ");
        output.warn(&format!(
            "the plan was copied here, and receipts of its finished steps were not: {named}{more}; bring them from `{}` before you commit",
            root.display()
        ));
    }
    match &planned.claim {
        Some(Ok(changed)) => {
            output.note(&format!(
                "your claim of {} names the plan {}",
                changed.claim.task_id, plan.plan_id
            ));
        }
        Some(Err(error)) => output.warn(&format!(
            "the plan is written, but your claim does not name it: {}",
            story(error)
        )),
        None => {}
    }
    let tally = plan.tally();
    if plan.status != Progress::Done && tally.total > 0 && tally.done == tally.total {
        output.note(&format!(
            "all steps are done; end the plan with `bus plan status {} done`",
            plan.plan_id
        ));
    }
    if plan.status == Progress::Done && tally.done < tally.total {
        output.warn(&format!(
            "the plan is done, and {} of its {} steps are not",
            tally.total - tally.done,
            tally.total
        ));
    }
}
