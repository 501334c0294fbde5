//! `bus plan new`

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::bus::plan::NewPlan;
use crate::bus::{ops, plan};
use crate::cli::args::{self, Summary, Text};
use crate::cli::completions;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::record::{AgentId, Slug, StepId, TaskId};

pub(super) const EXAMPLES: &str = "\
Examples:
  bus plan new syntax --task QUEUE-001 --summary New --step S1:Test --step S2:Code
  bus plan new lexer --summary Lexer --step S1:Draft --checkpoint 'boss read it'

Its id is today's date (UTC) and SLUG. With --task it is linked to the claim of the task, which names the plan: yours at once, \
a later one when it is made. The same again changes nothing.
Exit status: 0 it is there; 3 a plan of this id says something else; 5 it cannot be read.";

/// How it is called: clap would put the slug where `--step` takes it for a step.
pub(super) const USAGE: &str =
    "bus plan new <SLUG> --summary <TEXT> --step <ID:TITLE>... [OPTIONS]";

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// What it is called: small letters and digits, with dashes between the words
    #[arg(value_name = "SLUG")]
    slug: Slug,
    #[command(flatten)]
    summary: Summary,
    /// A step (repeatable, in order)
    #[arg(long = "step", value_name = "ID:TITLE", required = true, num_args = 1.., value_parser = step)]
    steps: Vec<(StepId, String)>,
    /// Who looks at its end [default: you]
    #[arg(long, value_name = "AGENT", add = ArgValueCompleter::new(completions::agents))]
    owner: Option<AgentId>,
    /// What must be so at its end [default: every step is done and proved]
    #[arg(long, value_name = "TEXT", value_parser = args::text, allow_hyphen_values = true)]
    checkpoint: Option<Text>,
    /// The task that it is for
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
}

/// A step as it is typed: `S1:Write the tests`.
fn step(text: &str) -> Result<(StepId, String), String> {
    match text.split_once(':').map(|(id, title)| (id, title.trim())) {
        Some((id, title)) if !title.is_empty() => {
            Ok((StepId::new(id).map_err(|fault| fault.to_string())?, title.to_owned()))
        }
        _ => Err("write ID:TITLE, such as `S1:Write the tests`".to_owned()),
    }
}

pub(super) fn run(context: &Context, args: &NewArgs, output: &mut Output) -> Result<u8, Failure> {
    for (number, (id, _)) in args.steps.iter().enumerate() {
        if args.steps[..number].iter().any(|(earlier, _)| earlier == id) {
            let what = format!("two steps are called `{id}`");
            return Err(Failure::Usage {
                what,
                hint: "give each step an id of its own: `--step S1:… --step S2:…`".to_owned(),
            });
        }
    }
    let ws = context.open("plan new", output)?;
    let agent = context.writer(&ws, output)?;
    let request = NewPlan {
        slug: args.slug.clone(),
        summary: context.summary(&args.summary)?,
        steps: args.steps.clone(),
        owner: args.owner.clone(),
        checkpoint: context.text_if("--checkpoint", args.checkpoint.as_ref())?,
        task: context.task_if(&ws, args.task.as_ref())?,
    };
    let planned = ops::new_plan(&ws, &agent, &request)?;
    output.document(&super::planned_json("created", &planned, &ws));
    let (plan, path) = (&planned.found.plan, plan::show_place(&ws, &planned.found.place));
    match planned.unchanged {
        true => {
            output.line(&format!("{} is there already, in {path}; nothing to do", plan.plan_id))
        }
        false => output.line(&format!("made {} in {path}", plan.plan_id)),
    }
    if let (Some(asked), Some(stands)) = (&args.task, plan.tasks().next()) {
        Context::note_spelling(asked, &stands, output);
    }
    super::tell_of(&planned, output);
    Ok(0)
}
