//! `bus status`

use anstyle::AnsiColor;
use clap::Args;
use serde_json::Value;

use super::args::When;
use super::columns::{self, Row};
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::words;
use crate::bus::{ClaimState, ClaimStatus, StatusQuery, StatusReport};
use crate::record::{Span, TaskId, Timestamp};
use crate::store::Stream;

/// The columns of the table.
const HEADER: [&str; 7] = ["TASK", "STATE", "AGENT", "SINCE", "SEEN", "BRANCH", "NOTES"];

/// How many columns a terminal must have for a time to be shown both ways.
const WIDE: usize = 140;

const EXAMPLES: &str = "\
Examples:
  bus status                                  all claims, and the last 20 events
  bus status --active-only --limit 5          only who works now
  bus status --agent codex-1 --since 2h       one agent's claims, and its events of two hours
  bus status --json | jq '.claims[] | select(.state == \"stale\") | .task_id'

It shows the same from every worktree of the clone. States: active, paused, stale (silent for too long), expired,
released, done. A stale, expired or paused claim may be taken over with `bus reclaim`.";

/// Show all claims and the latest events, of all worktrees.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// How many events, and how many ended claims as text; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only live claims
    #[arg(long)]
    active_only: bool,
    /// Only events since then: a time, or 30s, 10m, 4h, 2d ago
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// How long an owner may be silent [default: the policy's]
    #[arg(long, value_name = "TIME")]
    stale_after: Option<Span>,
}

pub(super) fn run(context: &Context, args: &StatusArgs, output: &mut Output) -> Result<u8, Failure> {
    let bus = context.open("status", output)?;
    context.note_reader(&bus);
    let query = StatusQuery {
        agents: context.global.agent.clone(),
        active_only: args.active_only,
        limit: Some(args.limit).filter(|limit| *limit > 0),
        since: args.since.map(|when| when.resolve(context.clock.now())),
        stale_after: args.stale_after.map(Span::get),
        long: false,
    };
    let report = bus.status(&query)?;
    output.document(&document(&report, &query));
    table(&report, &query, output);
    for (task, error) in &report.unreadable {
        output.warn(&format!("the claim of `{task}` cannot be read, so it is not free: {error}"));
    }
    for error in &report.damaged {
        output.warn(&format!("{error}; the claim is known from elsewhere, and `bus doctor --fix` mends this"));
    }
    if let Some(error) = &report.config_fault {
        output.warn(&format!("{error}; the defaults stand in"));
    }
    words::warn_of_bad_lines(Stream::Log, &report.bad_lines, bus.root(), output);
    Ok(0)
}

fn document(report: &StatusReport, query: &StatusQuery) -> Value {
    let text = |text: &dyn ToString| Value::from(text.to_string());
    let or_null = |time: Option<Timestamp>| time.map_or(Value::Null, |time| text(&time));
    let claims = report.claims.iter().map(|status| {
        words::merge(
            status.claim.to_object(),
            [("state", Value::from(status.state.as_str())), ("last_seen", or_null(status.last_seen))],
        )
    });
    let unreadable = report.unreadable.iter().map(|(task, error)| words::unreadable_json(task, error));
    let filters = words::object([
        ("agents", Value::Array(query.agents.iter().map(|agent| text(agent)).collect())),
        ("active_only", Value::from(query.active_only)),
        ("limit", Value::from(query.limit.unwrap_or(0))),
        ("since", or_null(query.since)),
    ]);
    let events = report.events.iter().map(|event| words::event_json(event, report.generated_at));
    words::object([
        ("claims", Value::Array(claims.collect())),
        ("unreadable", Value::Array(unreadable.collect())),
        ("events", Value::Array(events.collect())),
        ("skipped_lines", Value::from(report.bad_lines.count)),
        ("filters", filters),
        ("generated_at", text(&report.generated_at)),
    ])
}

/// For people: a summary, the claims in columns, the events as in the feed.
fn table(report: &StatusReport, query: &StatusQuery, output: &mut Output) {
    output.line(&summary(report));
    let live = report.claims.iter().filter(|status| status.claim.status.is_live()).count();
    let most = query.limit.map_or(usize::MAX, |limit| limit.saturating_add(live));
    let (shown, hidden) = report.claims.split_at(report.claims.len().min(most));
    let narrow = output.columns().is_some_and(|columns| columns < WIDE);
    let mut rows: Vec<Row<7>> = shown.iter().map(|status| row(status, report.generated_at, narrow)).collect();
    rows.extend(report.unreadable.iter().map(|(task, _)| unreadable(task)));
    if !rows.is_empty() {
        output.line("");
        // The branch goes first: it mostly says agent and task again.
        columns::print(HEADER, &rows, |column| !narrow || column != "BRANCH", output);
    }
    if !hidden.is_empty() {
        output.line(&format!("… and {} more that have ended; `--limit 0` shows them", hidden.len()));
    }
    if !report.events.is_empty() {
        output.line("");
    }
    report.events.iter().for_each(|event| words::show_line(event, report.generated_at, Width::Terminal, output));
}

fn summary(report: &StatusReport) -> String {
    let count = |state: ClaimState| report.claims.iter().filter(|status| status.state == state).count();
    let counts = ClaimState::ALL.map(|state| (count(state), state.as_str())).into_iter();
    let counts = counts.chain([(report.unreadable.len(), "unreadable")]);
    let parts: Vec<String> = counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let claims = report.claims.len() + report.unreadable.len();
    let states = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{claims} {}{states}", if claims == 1 { "claim" } else { "claims" })
}

fn row(status: &ClaimStatus, now: Timestamp, narrow: bool) -> Row<7> {
    let claim = &status.claim;
    let since = claim.released_at.unwrap_or(claim.claimed_at);
    let seen = status.last_seen.map_or_else(|| "-".to_owned(), |seen| words::ago(seen, now));
    let colour = match status.state {
        ClaimState::Active => Some(AnsiColor::Green),
        ClaimState::Stale | ClaimState::Expired => Some(AnsiColor::Yellow),
        _ => None,
    };
    let cells = [
        claim.task_id.to_string(),
        status.state.as_str().to_owned(),
        claim.agent_id.to_string(),
        if narrow { words::ago(since, now) } else { format!("{} ({since})", words::ago(since, now)) },
        seen,
        claim.branch.clone(),
        claim.notes.clone().unwrap_or_default(),
    ];
    Row::new(colour, cells)
}

/// The row of a claim that cannot be read: why it cannot is said on stderr.
fn unreadable(task: &TaskId) -> Row<7> {
    let dash = || "-".to_owned();
    let cells = [task.to_string(), "unreadable".to_owned(), dash(), dash(), dash(), dash(), String::new()];
    Row::new(Some(AnsiColor::Red), cells)
}
