//! `bus claim`

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::Text;
use super::context::Context;
use super::exit::Failure;
use super::lease::PatternArg;
use super::output::Output;
use super::{args, completions, lease, words};
use crate::bus::claim::{ClaimRequest, Outcome};
use crate::bus::lease::{LeaseRequest, Leased};
use crate::bus::ops::{Patience, Standing};
use crate::bus::{Error, ops};
use crate::record::{Claim, LeaseMode, PlanId, Scope, Span, Status, TaskId};
use crate::testing::{Changed, Workspace};

const EXAMPLES: &str = "\
Examples:
  bus claim QUEUE-001 --notes 'the parser'   take it, or find it yours already
  bus claim --next                           take the most urgent ready task
  bus claim --next --wait --timeout 1h       as soon as there is one
  bus claim QUEUE-001 --ttl 4h               it expires after four silent hours
  bus claim QUEUE-001 --status active        go on with what you had paused
  bus claim QUEUE-001 --reopen               take up what somebody else finished
  bus claim QUEUE-001 --here                 move your claim to this worktree
  bus claim QUEUE-001 --wait --timeout 1h    as soon as its owner gives it back
  bus claim QUEUE-001 --lock 'src/**'        take its paths as well: both, or none
  bus claim QUEUE-001 --offline              in a fleet whose remote is away
  bus claim 1                                QUEUE-001, in short

Exit status: 0 it is yours; 3 it is somebody else's, or meant for somebody else; 4 nothing is ready, or the queue has no such task; 5 its record cannot be \
read; 6 it was not free in time; 7 the fleet's remote did not answer or refused.";

/// Claim a task. Run again, it changes only what is given: it is safe to repeat after a crash.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClaimArgs {
    #[command(flatten)]
    which: Which,
    /// The plan of the work
    #[arg(long, value_name = "ID")]
    plan: Option<PlanId>,
    /// The branch of the work, under agent/<your id>/ [default: yours from before, the current one,
    /// or agent/<your id>/<task>]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Notes, for everybody to read; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "clear_notes")]
    notes: Option<Text>,
    /// Drop the existing notes
    #[arg(long)]
    clear_notes: bool,
    /// Whether you work on it now
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<LiveStatus>,
    /// How long the claim lives without a heartbeat [default: the policy's]
    #[arg(long, value_name = "TIME", value_parser = args::ttl)]
    ttl: Option<Span>,
    /// Claim it whatever its assignment says
    #[arg(long)]
    allow_unassigned: bool,
    /// Take up a task that somebody else has finished
    #[arg(long)]
    reopen: bool,
    /// Move your own claim here from another worktree or clone
    #[arg(long)]
    here: bool,
    /// Claim it although it looks like a task of the queue, and the queue does not have it
    #[arg(long, conflicts_with = "next")]
    new: bool,
    /// In a fleet: do not ask the remote. The claim is unconfirmed until `bus sync`, and what the
    /// remote has by then beats it
    #[arg(long, conflicts_with_all = ["next", "wait", "lock"])]
    offline: bool,
    /// Take a lease on these paths with it: both, or none; it ends with the claim (see `bus lock`)
    #[arg(long, value_name = "PATTERN", num_args = 1.., conflicts_with_all = ["next", "wait"])]
    lock: Vec<PatternArg>,
    /// If somebody else holds it, wait until it is free; with --next, until something is ready
    #[arg(long)]
    wait: bool,
    /// How long to wait [default: for ever]
    #[arg(long, value_name = "TIME", requires = "wait")]
    timeout: Option<Span>,
}

/// Which task is claimed: exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The task
    #[arg(value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The task, as an option
    #[arg(long = "task", value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task_option: Option<TaskId>,
    /// The first task of `bus queue ready`; its plan becomes the claim's
    #[arg(long, conflicts_with_all = ["reopen", "here"])]
    next: bool,
}

impl Which {
    /// The task that was named, as it was typed.
    fn typed(&self) -> Option<&TaskId> {
        self.task.as_ref().or(self.task_option.as_ref())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LiveStatus {
    Active,
    Paused,
}

pub(super) fn run(context: &Context, args: &ClaimArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("claim", output)?;
    let agent = context.writer(&ws, output)?;
    let request = ClaimRequest {
        plan: args.plan.clone(),
        branch: args.branch.clone(),
        notes: context.text_if("--notes", args.notes.as_ref())?,
        clear_notes: args.clear_notes,
        status: args.status.map(|status| match status {
            LiveStatus::Active => Status::Active,
            LiveStatus::Paused => Status::Paused,
        }),
        ttl: args.ttl,
        allow_unassigned: args.allow_unassigned,
        reopen: args.reopen,
        here: args.here,
        new: args.new,
        claim_id: None,
        offline: args.offline,
    };
    let asked = context.task_if(&ws, args.which.typed())?;
    let mut leased = None;
    let changed = match &asked {
        None if !args.wait => ops::claim_next(&ws, &agent, &request)?,
        None => {
            let on_wait = |error: &Error| output.note(&format!("waiting: {error}"));
            ops::claim_next_when_ready(&ws, &agent, &request, Patience::new(args.timeout), on_wait)?
        }
        Some(task) if !args.lock.is_empty() => {
            let (scope, matches) = lease::wanted(context, &ws, &args.lock, &[], output)?;
            let (changed, taken) = ops::claim_with_paths(
                &ws,
                &agent,
                task,
                &request,
                &paths(args, &request, &scope, task),
            )?;
            leased = Some((taken, matches));
            changed
        }
        Some(task) if !args.wait => ops::claim(&ws, &agent, task, &request)?,
        Some(task) => {
            let on_change = |standing: &Standing| {
                let advice = if standing.is_reclaimable() {
                    "; it may be taken over with `bus reclaim`"
                } else {
                    ""
                };
                output.note(&format!(
                    "waiting: {} is {}{advice}",
                    standing.task,
                    standing.describe()
                ));
            };
            ops::claim_when_free(
                &ws,
                &agent,
                task,
                &request,
                Patience::new(args.timeout),
                on_change,
            )?
        }
    };
    show(&ws, (args, asked.as_ref()), &changed, leased.as_ref(), output);
    Ok(0)
}

/// Shows what came of it, and what to do next.
fn show(
    ws: &Workspace,
    (args, asked): (&ClaimArgs, Option<&TaskId>),
    changed: &Changed,
    leased: Option<&(Leased, Option<usize>)>,
    output: &mut Output,
) {
    args.which
        .typed()
        .iter()
        .for_each(|task| Context::note_spelling(task, &changed.claim.task_id, output));
    if matches!(changed.outcome, Outcome::Claimed | Outcome::Reopened | Outcome::Moved) {
        words::note_earlier_work(changed.previous.as_ref(), &changed.claim, output);
    }
    if changed.claim.status == Status::Paused && args.status.is_none() {
        output.note(&format!(
            "it is paused, so others may take it over; go on with `bus claim {} --status active`",
            changed.claim.task_id
        ));
    }
    output.document(&with_lease(words::changed_json(changed), leased));
    output.line(&sentence(changed.outcome, &changed.claim));
    leased.iter().for_each(|(leased, _)| output.line(&lease::sentence(leased)));
    words::note_unconfirmed(&changed.claim, output);
    if asked.is_none() {
        output.note(&format!("to see the task: `bus show {}`", changed.claim.task_id));
    }
    let branch = &changed.claim.branch;
    if !ws.is_on(branch) {
        let new = if ws.has_branch(branch) { "" } else { "-c " };
        output.note(&format!("its branch is not checked out here: `git switch {new}{branch}`"));
    }
}

/// What came of it, with the lease where one was asked for.
fn with_lease(mut document: Value, leased: Option<&(Leased, Option<usize>)>) -> Value {
    if let (Value::Object(document), Some((leased, matches))) = (&mut document, leased) {
        document.insert("lock".to_owned(), lease::taken_json(leased, *matches));
    }
    document
}

/// The lease that is wanted with the task.
fn paths(args: &ClaimArgs, request: &ClaimRequest, scope: &Scope, task: &TaskId) -> LeaseRequest {
    LeaseRequest {
        scope: scope.patterns().to_vec(),
        deny: Vec::new(),
        mode: LeaseMode::Exclusive,
        objective: request
            .notes
            .clone()
            .filter(|notes| !notes.trim().is_empty())
            .unwrap_or_else(|| format!("work on {task}")),
        task: None,
        ttl: args.ttl,
    }
}

fn sentence(outcome: Outcome, claim: &Claim) -> String {
    let Claim { task_id, agent_id, branch, status, .. } = claim;
    let expires = claim.expires_at.map_or_else(String::new, |time| format!(", expires {time}"));
    match outcome {
        Outcome::Unchanged => {
            format!(
                "{task_id} is already claimed by you, {agent_id}, on {branch} ({status}{expires}); nothing to do"
            )
        }
        Outcome::Renewed => format!(
            "{task_id} is already claimed by you, {agent_id}, on {branch} ({status}{expires}); renewed"
        ),
        outcome => {
            format!("{} {task_id} as {agent_id} on {branch} ({status}{expires})", outcome.as_str())
        }
    }
}
