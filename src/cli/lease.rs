//! `bus lock`: its commands, and what they have in common.

mod acquire;
mod look;
mod reclaim;
mod release;
mod renew;
mod table;

use anstyle::AnsiColor;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::columns::Row;
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{columns, completions, words};
use crate::bus::lease::{LeaseStatus, Leased, WhichLeases};
use crate::bus::workspace::Workspace;
use crate::record::{Lease, LeaseId, Pattern, Span, Timestamp};

pub(super) use acquire::sentence;

/// The columns of the table.
const HEADER: [&str; 7] = ["LOCK", "STATE", "OWNER", "LEFT", "TASK", "PATTERNS", "OBJECTIVE"];

/// Hold paths, so that nobody else edits them
#[derive(Debug, Args)]
pub(super) struct LeaseArgs {
    #[command(subcommand)]
    command: LeaseCommand,
}

#[derive(Debug, Subcommand)]
enum LeaseCommand {
    /// Take a lease on paths: all that are asked for, or none
    #[command(after_help = acquire::EXAMPLES)]
    Acquire(acquire::AcquireArgs),
    /// Send a heartbeat, so that it goes on
    #[command(after_help = renew::EXAMPLES)]
    Renew(renew::RenewArgs),
    /// Give paths back
    #[command(after_help = release::EXAMPLES)]
    Release(release::ReleaseArgs),
    /// List who holds which paths
    #[command(after_help = look::LIST_EXAMPLES)]
    List(look::ListArgs),
    /// Show a lease
    #[command(after_help = look::SHOW_EXAMPLES)]
    Show(look::ShowArgs),
    /// Take over paths whose holder is gone
    #[command(after_help = reclaim::EXAMPLES)]
    Reclaim(reclaim::ReclaimArgs),
    /// Print the leases as a table of markdown, or keep one in a file up to date
    #[command(after_help = table::EXAMPLES)]
    Table(table::TableArgs),
}

/// Some of the caller's own leases.
#[derive(Debug, Args)]
struct WhichArgs {
    /// The lease [default: the only one that you hold here]
    #[arg(value_name = "LOCK", conflicts_with = "all", add = ArgValueCompleter::new(completions::locks))]
    lock: Option<LeaseId>,
    /// All that you hold here
    #[arg(long)]
    all: bool,
}

impl WhichArgs {
    fn get(&self) -> WhichLeases {
        match &self.lock {
            Some(id) => WhichLeases::One(id.clone()),
            None if self.all => WhichLeases::All,
            None => WhichLeases::Only,
        }
    }
}

/// Patterns begin at the root of the repository: refuses those that name a file of this system in
/// full, and says so where the command is run in a folder further down.
pub(super) fn check_roots<'a>(
    context: &Context,
    ws: &Workspace,
    patterns: impl Iterator<Item = &'a Pattern>,
    output: &mut Output,
) -> Result<(), Failure> {
    let root = format!("{}/", ws.root().display());
    let (mut whole, root) =
        (patterns.map(|pattern| pattern.as_str()), root.trim_start_matches('/'));
    if let Some(below) = whole.find_map(|pattern| pattern.strip_prefix(root)) {
        let what =
            "patterns begin at the root of the repository, not at that of the system".to_owned();
        return Err(Failure::Usage { what, hint: format!("write `{below}`") });
    }
    if context.standing()? != ws.root() {
        output.note("patterns begin at the root of the repository, wherever the command is run");
    }
    Ok(())
}

pub(super) fn run(context: &Context, args: &LeaseArgs, output: &mut Output) -> Result<u8, Failure> {
    match &args.command {
        LeaseCommand::Acquire(args) => acquire::run(context, args, output),
        LeaseCommand::Renew(args) => renew::run(context, args, output),
        LeaseCommand::Release(args) => release::run(context, args, output),
        LeaseCommand::List(args) => look::list(context, args, output),
        LeaseCommand::Show(args) => look::show(context, args, output),
        LeaseCommand::Reclaim(args) => reclaim::run(context, args, output),
        LeaseCommand::Table(args) => table::run(context, args, output),
    }
}

/// What came of a command on one lease, as JSON.
pub(super) fn leased_json(leased: &Leased) -> Value {
    let previous =
        leased.previous.as_ref().map_or(Value::Null, |lease| Value::Object(lease.to_object()));
    words::object([
        ("outcome", Value::from(leased.outcome.as_str())),
        ("lease", Value::Object(leased.lease.to_object())),
        ("previous", previous),
    ])
}

/// What came of a command on several leases, as JSON.
fn all_leased_json(leased: &[Leased]) -> Value {
    words::object([("leases", leased.iter().map(leased_json).collect())])
}

/// A lease as JSON, with what can be seen from it.
pub(super) fn status_json(status: &LeaseStatus, now: Timestamp) -> Value {
    let seen = status.last_seen.map_or(Value::Null, |seen| Value::from(seen.to_string()));
    let left = status.lease.expires_at.since(now).as_secs();
    words::merge(
        status.lease.to_object(),
        [
            ("state", Value::from(status.state())),
            ("last_seen", seen),
            ("seconds_left", Value::from(left)),
            ("here", Value::from(status.here)),
        ],
    )
}

/// How long a lease has to live, in words.
pub(super) fn left(lease: &Lease, now: Timestamp) -> String {
    match lease.expires_at.since(now) {
        left if left.is_zero() => format!("over, {}", words::ago(lease.expires_at, now)),
        left => Span::new(left).to_string(),
    }
}

/// Shows leases in columns.
pub(super) fn print<'a>(
    leases: impl Iterator<Item = &'a LeaseStatus>,
    now: Timestamp,
    output: &mut Output,
) {
    let rows: Vec<Row<7>> = leases.map(|status| row(status, now)).collect();
    if !rows.is_empty() {
        columns::print(HEADER, &rows, |_| true, output);
    }
}

fn row(status: &LeaseStatus, now: Timestamp) -> Row<7> {
    let lease = &status.lease;
    let colour = (status.state() != "live").then_some(AnsiColor::Yellow);
    let task = lease.task_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let mode = if lease.mode == crate::record::LeaseMode::Shared { ", shared" } else { "" };
    let cells = [
        lease.lease_id.to_string(),
        format!("{}{mode}", status.state()),
        lease.owner.to_string(),
        left(lease, now),
        task,
        lease.patterns(),
        lease.objective.clone(),
    ];
    Row::new(colour, cells)
}
