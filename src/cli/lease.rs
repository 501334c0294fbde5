//! `bus lock`: its commands, and what they have in common.

mod acquire;
mod look;
mod reclaim;
mod release;
mod renew;
mod table;

use std::path::Path;
use std::str::FromStr;

use anstyle::AnsiColor;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::columns::Row;
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{columns, completions, words};
use crate::bus::lease::{self, LeaseStatus, Leased, WantedPattern, WhichLeases};
use crate::bus::workspace::Workspace;
use crate::record::{Lease, LeaseId, Pattern, PatternFault, Scope, Span, Timestamp};

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
    /// The lease, or the beginning of its id [default: the only one that you hold here]
    #[arg(value_name = "LOCK", conflicts_with = "all", add = ArgValueCompleter::new(completions::locks))]
    lock: Option<LeaseId>,
    /// All that you hold here
    #[arg(long)]
    all: bool,
}

impl WhichArgs {
    fn get(&self, ws: &Workspace) -> Result<WhichLeases, Failure> {
        Ok(match &self.lock {
            Some(typed) => WhichLeases::One(lease::meant_lease(ws, typed)?),
            None if self.all => WhichLeases::All,
            None => WhichLeases::Only,
        })
    }
}

/// A pattern of paths, as it was typed.
#[derive(Clone, Debug)]
pub(super) struct PatternArg(String);

impl FromStr for PatternArg {
    type Err = PatternFault;

    fn from_str(text: &str) -> Result<Self, PatternFault> {
        Pattern::parse(text).map(|_| Self(text.to_owned()))
    }
}

/// The paths that are meant, and how many files they match now, as far as that is known. What is
/// likely to be a slip is said.
pub(super) fn wanted(
    context: &Context,
    ws: &Workspace,
    allow: &[PatternArg],
    deny: &[PatternArg],
    output: &mut Output,
) -> Result<(Scope, Option<usize>), Failure> {
    let meant = |patterns: &[PatternArg], output: &mut Output| -> Result<Vec<Pattern>, Failure> {
        let typed = patterns.iter().map(|pattern| pattern.0.as_str());
        let wanted = lease::wanted_patterns(ws, typed)?;
        wanted.iter().for_each(|wanted| note_meaning(wanted, output));
        Ok(wanted.into_iter().flat_map(|wanted| wanted.patterns).collect())
    };
    let scope = Scope::new(meant(allow, output)?, meant(deny, output)?);
    let matches = lease::files_matching(ws, &scope);
    let below = context.standing()?;
    let below = below.strip_prefix(ws.root()).ok().filter(|below| !below.as_os_str().is_empty());
    for (pattern, matches) in scope.patterns().iter().zip(&matches) {
        if *matches == Some(0) {
            note_no_match(ws, pattern, below, output);
        }
    }
    if below.is_some() {
        output.note("patterns begin at the root of the repository, wherever the command is run");
    }
    Ok((scope, matches.into_iter().sum()))
}

/// Says so if a pattern means other paths than its words say.
fn note_meaning(wanted: &WantedPattern, output: &mut Output) {
    match wanted.patterns.as_slice() {
        [link, target] => output.note(&format!("`{link}` is a link: `{target}` is held with it")),
        [pattern] if wanted.is_changed() => {
            output.note(&format!("`{}` is `{pattern}` in this repository", wanted.typed));
        }
        _ => {}
    }
}

/// Says that a pattern matches nothing yet, and what was meant, most likely.
fn note_no_match(ws: &Workspace, pattern: &Pattern, below: Option<&Path>, output: &mut Output) {
    let text = pattern.as_str();
    let is_list = text.contains(',') && !text.contains(['{', '\\']);
    let elsewhere = below.map(|below| below.join(text));
    let elsewhere = elsewhere.filter(|name| ws.root().join(name).symlink_metadata().is_ok());
    let guess = match elsewhere {
        _ if is_list => {
            "; it is one pattern: to hold several, write each as a word of its own".to_owned()
        }
        Some(name) => format!("; `{}` is there", name.display()),
        None => String::new(),
    };
    output.note(&format!("`{text}` matches no file now{guess}"));
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
fn leased_json(leased: &Leased) -> Value {
    let previous =
        leased.previous.as_ref().map_or(Value::Null, |lease| Value::Object(lease.to_object()));
    words::object([
        ("outcome", Value::from(leased.outcome.as_str())),
        ("lease", Value::Object(leased.lease.to_object())),
        ("previous", previous),
    ])
}

/// What came of taking a lease, as JSON, with how many files it matches now.
pub(super) fn taken_json(leased: &Leased, matches: Option<usize>) -> Value {
    let mut document = leased_json(leased);
    document["matches"] = Value::from(matches);
    document
}

/// What came of a command on several leases, as JSON.
fn all_leased_json(leased: &[Leased]) -> Value {
    words::object([("leases", leased.iter().map(leased_json).collect())])
}

/// A lease as JSON, with what can be seen from it.
pub(super) fn status_json(status: &LeaseStatus, now: Timestamp) -> Value {
    let seen = status.last_seen.map_or(Value::Null, |seen| Value::from(seen.to_string()));
    let left = status.lease.expires_at.since(now).as_secs();
    let more = [
        ("state", Value::from(status.state())),
        ("last_seen", seen),
        ("seconds_left", Value::from(left)),
        ("here", Value::from(status.here)),
    ];
    let more = more.into_iter().chain(words::clock_json(status.clock_ahead));
    words::merge(status.lease.to_object(), more)
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
        format!("{}{mode}{}", status.state(), words::clock(status.clock_ahead)),
        lease.owner.to_string(),
        left(lease, now),
        task,
        lease.patterns(),
        lease.objective.clone(),
    ];
    Row::new(colour, cells)
}
