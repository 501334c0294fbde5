//! `bus lock acquire`

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::{PatternArg, taken_json};
use crate::bus::lease::{LeaseOutcome, LeaseRequest, Leased};
use crate::bus::ops;
use crate::cli::args::Text;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::{args, completions};
use crate::record::{LeaseMode, Span, TaskId};

pub(super) const EXAMPLES: &str = "\
Examples:
  bus lock acquire 'src/parser/**' --objective 'a new lexer'
  bus lock acquire 'src/**' '*.toml' --deny 'src/gen/**' --objective refactoring --ttl 2h
  bus lock acquire docs/ --shared --objective 'typos' --task QUEUE-001

Patterns begin at the root of the repository: `src/**` is all below src, `src/*` what is in it, `docs/` a folder, `*.toml` the \
files of the root, `**/*.toml` those of any folder; `{a,b}`, `[a-z]`, `?`. Quote them, or the shell takes them for its own. \
Two leases conflict if any path, existing or not, matches both; not if both are yours from this worktree, or both are shared. \
Acquiring the same lease again finds it, and renews it if that is due.
Exit status: 0 it is yours; 2 a pattern means nothing; 3 somebody holds one of its paths, with who, which and what to do; \
7 the fleet's remote did not answer or refused.";

#[derive(Debug, Args)]
pub(super) struct AcquireArgs {
    /// The paths
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<PatternArg>,
    /// What you are about to change, in a line; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", value_parser = args::text, allow_hyphen_values = true)]
    objective: Text,
    /// The task that it is for
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// How long it lives without a heartbeat [default: 50m]
    #[arg(long, value_name = "TIME", value_parser = args::ttl)]
    ttl: Option<Span>,
    /// Let others hold the same paths, if theirs are shared as well
    #[arg(long)]
    shared: bool,
    /// Paths to leave out (repeatable)
    #[arg(long, value_name = "PATTERN")]
    deny: Vec<PatternArg>,
}

pub(super) fn run(
    context: &Context,
    args: &AcquireArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("lock acquire", output)?;
    let agent = context.writer(&ws, output)?;
    let (scope, matches) = super::wanted(context, &ws, &args.patterns, &args.deny, output)?;
    let request = LeaseRequest {
        scope: scope.patterns().to_vec(),
        deny: scope.deny().to_vec(),
        mode: if args.shared { LeaseMode::Shared } else { LeaseMode::Exclusive },
        objective: context.text("--objective", &args.objective)?,
        task: context.task_if(&ws, args.task.as_ref())?,
        ttl: args.ttl,
    };
    let leased = ops::acquire_lease(&ws, &agent, &request)?;
    output.document(&taken_json(&leased, matches));
    if leased.lease.objective != request.objective {
        output.note(&format!("it keeps its objective: {}", leased.lease.objective));
    }
    output.line(&sentence(&leased));
    Ok(0)
}

/// What came of it, in a line.
pub(in crate::cli) fn sentence(leased: &Leased) -> String {
    let lease = &leased.lease;
    let (id, patterns, until) = (&lease.lease_id, lease.patterns(), lease.expires_at);
    let shared = if lease.mode == LeaseMode::Shared { ", shared" } else { "" };
    match leased.outcome {
        LeaseOutcome::Unchanged => {
            format!(
                "{id} is already yours, {}: {patterns}{shared}, until {until}; nothing to do",
                lease.owner
            )
        }
        LeaseOutcome::Renewed => format!("renewed {id}: {patterns}{shared}, until {until}"),
        outcome => format!(
            "{} {id} as {}: {patterns}{shared}, until {until}",
            outcome.as_str(),
            lease.owner
        ),
    }
}
