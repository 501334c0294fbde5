//! `bus status`

use anstyle::AnsiColor;
use clap::Args;
use serde_json::Value;

use super::args::When;
use super::columns::Row;
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{columns, lease, words};
use crate::bus::claim::{ClaimState, ClaimStatus, Seen, StatusQuery};
use crate::bus::fleet::Freshness;
use crate::bus::ops;
use crate::bus::ops::StatusReport;
use crate::record::json::Object;
use crate::record::{Span, TaskId, Timestamp};
use crate::report::{compared_with, seen};
use crate::store::{Entry, Stream};

/// The columns of the table.
const HEADER: [&str; 7] = ["TASK", "STATE", "AGENT", "SINCE", "SEEN", "BRANCH", "NOTES"];

/// The columns of the long table.
const LONG_HEADER: [&str; 9] =
    ["TASK", "STATE", "AGENT", "SINCE", "AHEAD", "PUSHED", "LANDED", "BRANCH", "NOTES"];

/// How many live claims, and how many leases, are shown to people who do not ask for all.
const MAX_LIVE: usize = 100;

/// How many columns a terminal must have for a time to be shown both ways.
const WIDE: usize = 140;

const EXAMPLES: &str = "\
Examples:
  bus status                              all claims, and the last 20 events
  bus status --active-only --limit 5      only who works now
  bus status --agent codex-1 --since 2h   one agent's, of two hours
  bus status --long                       what is pushed, landed, not begun
  bus status --full                       all claims and events, each line whole
  bus status --json | jq '.claims[] | select(.state == \"stale\") | .task_id'

It shows the same in every worktree of the clone. States: active, paused, stale (silent for too long), expired, gone (its worktree is), \
released, done; with `--long` also landed (done, and the default branch has the work, also after a squash merge), waiting (assigned, and \
not claimed) and unconfirmed. A stale, expired, gone or paused claim may be taken over with `bus reclaim`. Leases on \
paths are shown below the claims; see `bus lock`.";

/// Show all claims and the latest events, of all worktrees.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// How many events, and how many ended claims as text; 0 shows none
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Show all claims and events, and each line whole
    #[arg(long, conflicts_with = "limit")]
    full: bool,
    /// Only live claims
    #[arg(long)]
    active_only: bool,
    /// Also show what git shows of each branch, and who has not begun yet
    #[arg(long)]
    long: bool,
    /// Only events since then: a time, or 30s, 10m, 4h, 2d ago
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// How long an owner may be silent [default: the policy's]
    #[arg(long, value_name = "TIME")]
    stale_after: Option<Span>,
}

pub(super) fn run(
    context: &Context,
    args: &StatusArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("status", output)?;
    context.note_reader(&ws);
    let query = StatusQuery {
        agents: context.global.agent.clone(),
        active_only: args.active_only,
        limit: (!args.full).then_some(args.limit),
        since: args.since.map(|when| when.resolve(context.clock.now())),
        stale_after: args.stale_after.map(Span::get),
        long: args.long,
    };
    if args.full {
        output.show_whole();
    }
    let report = ops::status(&ws, &query)?;
    output.document(&document(&report, &query));
    table(&report, &query, output);
    let unreadable = report.unreadable.iter();
    output.warn_each(unreadable.map(|(task, error)| {
        format!("the claim of `{task}` cannot be read, so it is not free: {error}")
    }));
    output.warn_each(
        report.bad_assignments.iter().map(|(_, error)| format!("{error}; it is left out")),
    );
    let known = "the claim is known from elsewhere, and `bus doctor --fix` fixes this";
    output.warn_each(report.damaged.iter().map(|error| format!("{error}; {known}")));
    if let Some(error) = &report.lease_fault {
        output.warn(&format!("the leases cannot be read, so no path is free: {error}"));
    }
    if let Some(error) = &report.config_fault {
        output.warn(&format!("{error}; the defaults are used instead"));
    }
    words::warn_of_rewritten(&report.rewritten, output);
    words::warn_of_bad_lines(Stream::Log, &report.bad_lines, ws.root(), output);
    Ok(0)
}

fn document(report: &StatusReport, query: &StatusQuery) -> Value {
    let text = |text: &dyn ToString| Value::from(text.to_string());
    let or_null = |time: Option<Timestamp>| time.map_or(Value::Null, |time| text(&time));
    let claims = report.claims.iter().map(|status| {
        let state = Value::from(status.state.as_str());
        let mut more = vec![("state", state), ("last_seen", or_null(status.last_seen))];
        more.extend(words::clock_json(status.clock_ahead));
        more.extend(status.seen.as_ref().map(|shown| ("seen", seen(shown))));
        words::merge(status.claim.to_object(), more)
    });
    let unreadable =
        report.unreadable.iter().map(|(task, error)| words::unreadable_json(task, error));
    let filters = words::object([
        ("agents", Value::Array(query.agents.iter().map(|agent| text(agent)).collect())),
        ("active_only", Value::from(query.active_only)),
        ("limit", Value::from(query.limit)),
        ("since", or_null(query.since)),
    ]);
    let events = report.events.iter().map(|entry| {
        words::event_json(&entry.event, entry.elsewhere.as_ref(), report.generated_at)
    });
    let mut fields = vec![
        ("claims", Value::Array(claims.collect())),
        ("unreadable", Value::Array(unreadable.collect())),
        (
            "locks",
            report
                .leases
                .iter()
                .map(|held| lease::status_json(held, report.generated_at))
                .collect(),
        ),
        ("events", Value::Array(events.collect())),
        ("skipped_lines", Value::from(report.bad_lines.count)),
        ("filters", filters),
        ("fleet", report.freshness.as_ref().map_or(Value::Null, fleet)),
        ("rewritten_logs", report.rewritten.iter().map(words::rewritten_json).collect()),
        ("generated_at", text(&report.generated_at)),
    ];
    if query.long {
        let waiting = report.waiting().map(|assignment| Value::Object(assignment.to_object()));
        fields.extend([
            ("waiting", waiting.collect()),
            ("compared_with", compared_with(report.compared_with.as_ref())),
        ]);
    }
    words::merge(Object::new(), fields)
}

fn fleet(freshness: &Freshness) -> Value {
    let Freshness { fleet, seen } = freshness;
    words::object([
        ("id", Value::from(fleet.id.as_str())),
        ("remote", Value::from(fleet.remote.as_str())),
        ("seen", seen.map_or(Value::Null, |seen| Value::from(seen.to_string()))),
    ])
}

/// For people: a summary, the claims in columns, the events as in the feed.
fn table(report: &StatusReport, query: &StatusQuery, output: &mut Output) {
    output.line(&summary(report));
    let live = report.claims.iter().filter(|status| status.claim.status.is_live()).count();
    let (live, ended) = report.claims.split_at(live);
    let (shown, more) = live.split_at(output.shown_of(live.len(), MAX_LIVE));
    let most = query.limit.unwrap_or(usize::MAX);
    let (last, older) = ended.split_at(ended.len().min(most));
    let shown: Vec<&ClaimStatus> = shown.iter().chain(last).collect();
    let narrow = output.columns().is_some_and(|columns| columns < WIDE);
    let mut rows: Vec<Row<7>> =
        shown.iter().map(|status| row(status, report.generated_at, narrow)).collect();
    rows.extend(report.unreadable.iter().map(|(task, _)| unreadable(task)));
    if query.long {
        long(report, &shown, output);
    } else if !rows.is_empty() {
        output.line("");
        // The branch goes first: it mostly says agent and task again.
        columns::print(HEADER, &rows, |column| !narrow || column != "BRANCH", output);
    }
    tell_of_hidden(more.len(), "live claims", output);
    tell_of_hidden(older.len(), "claims that have ended", output);
    if !report.leases.is_empty() {
        output.line("");
        let shown = output.shown_of(report.leases.len(), MAX_LIVE);
        lease::print(report.leases[..shown].iter(), report.generated_at, output);
        tell_of_hidden(report.leases.len() - shown, "leases", output);
    }
    if !report.events.is_empty() {
        output.line("");
    }
    for Entry { event, elsewhere, .. } in &report.events {
        words::show_line(event, elsewhere.as_ref(), report.generated_at, Width::Bounded, output);
    }
    if let Some(Freshness { fleet, seen }) = &report.freshness {
        let remote = &fleet.remote;
        output.line("");
        output.line(&match seen {
            Some(seen) => {
                let ago = words::ago(*seen, report.generated_at);
                format!("the fleet's remote {remote} was last seen {ago} ({seen})")
            }
            None => format!("the fleet's remote {remote} has not been seen yet; run `bus sync`"),
        });
    }
}

/// Says how many lines are left out.
fn tell_of_hidden(count: usize, what: &str, output: &mut Output) {
    match count {
        0 => {}
        1 => output.line(&format!("… and 1 more of the {what}; `--full` shows it")),
        _ => output.line(&format!("… and {count} more {what}; `--full` shows them")),
    }
}

/// The claims with what git shows of their branches, and the tasks that wait for somebody to begin.
fn long(report: &StatusReport, shown: &[&ClaimStatus], output: &mut Output) {
    let now = report.generated_at;
    let mut rows: Vec<Row<9>> = shown.iter().map(|status| long_row(status, now)).collect();
    rows.extend(report.unreadable.iter().map(|(task, _)| {
        Row::new(
            Some(AnsiColor::Red),
            [task.as_str(), "unreadable", "-", "-", "-", "-", "-", "-", ""].map(str::to_owned),
        )
    }));
    rows.extend(report.waiting().map(|assignment| {
        let engineer = assignment.engineer.as_ref().map_or("-", |engineer| engineer.as_str());
        let (since, note) = (
            words::ago(assignment.assigned_at, now),
            assignment.note.as_deref().unwrap_or_default(),
        );
        let branch = assignment.branch.as_deref().unwrap_or("-");
        let cells =
            [assignment.task_id.as_str(), "waiting", engineer, &since, "-", "-", "-", branch, note];
        Row::new(None, cells.map(str::to_owned))
    }));
    if !rows.is_empty() {
        output.line("");
        columns::print(LONG_HEADER, &rows, |_| true, output);
    }
    if let Some(with) = &report.compared_with {
        output.line(&format!(
            "branches are compared with {} at {}",
            with.name,
            with.commit.to_hex_with_len(7)
        ));
    }
}

fn long_row(status: &ClaimStatus, now: Timestamp) -> Row<9> {
    let claim = &status.claim;
    let since = claim.released_at.unwrap_or(claim.claimed_at);
    let of_seen =
        |words: fn(&Seen) -> String| status.seen.as_ref().map_or_else(|| "-".to_owned(), words);
    let cells = [
        claim.task_id.to_string(),
        state_words(status),
        claim.agent_id.to_string(),
        words::ago(since, now),
        of_seen(Seen::ahead),
        of_seen(Seen::pushed_words),
        of_seen(Seen::landed_words),
        claim.branch.clone(),
        claim.notes.clone().unwrap_or_default(),
    ];
    Row::new(colour(status.state), cells)
}

/// How a claim stands, and whether the fleet does not know of it.
fn state_words(status: &ClaimStatus) -> String {
    let state = status.state.as_str();
    if status.claim.is_unconfirmed() { format!("{state}, unconfirmed") } else { state.to_owned() }
}

const fn colour(state: ClaimState) -> Option<AnsiColor> {
    match state {
        ClaimState::Active => Some(AnsiColor::Green),
        ClaimState::Stale | ClaimState::Expired | ClaimState::Gone => Some(AnsiColor::Yellow),
        _ => None,
    }
}

fn summary(report: &StatusReport) -> String {
    let count =
        |state: ClaimState| report.claims.iter().filter(|status| status.state == state).count();
    let counts = ClaimState::ALL.map(|state| (count(state), state.as_str())).into_iter();
    let counts = counts.chain([(report.unreadable.len(), "unreadable")]);
    let parts: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let claims = report.claims.len() + report.unreadable.len();
    let states = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{claims} {}{states}", if claims == 1 { "claim" } else { "claims" })
}

fn row(status: &ClaimStatus, now: Timestamp, narrow: bool) -> Row<7> {
    let claim = &status.claim;
    let since = claim.released_at.unwrap_or(claim.claimed_at);
    let seen = status.last_seen.map_or_else(|| "-".to_owned(), |seen| words::ago(seen, now));
    let seen = seen + &words::clock(status.clock_ahead);
    let cells = [
        claim.task_id.to_string(),
        state_words(status),
        claim.agent_id.to_string(),
        if narrow {
            words::ago(since, now)
        } else {
            format!("{} ({since})", words::ago(since, now))
        },
        seen,
        claim.branch.clone(),
        claim.notes.clone().unwrap_or_default(),
    ];
    Row::new(colour(status.state), cells)
}

/// The row of a claim that cannot be read: why it cannot is said on stderr.
fn unreadable(task: &TaskId) -> Row<7> {
    let dash = || "-".to_owned();
    let cells =
        [task.to_string(), "unreadable".to_owned(), dash(), dash(), dash(), dash(), String::new()];
    Row::new(Some(AnsiColor::Red), cells)
}
