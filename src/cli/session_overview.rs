//! How an agent's overview reads, for people and as JSON.

use serde_json::Value;

use super::output::{Output, Width};
use super::{lease, words};
use crate::bus::claim::ClaimStatus;
use crate::bus::lease::LeaseStatus;
use crate::bus::session::{Apart, Overview, OwnClaim, Peer, Ready, ReadyTask};
use crate::record::{AgentId, Assignment, Timestamp};
use crate::store::Letter;

/// How many claims are shown to people, of one's own and of each peer's; JSON has all.
const SHOWN: usize = 10;

/// How many lines a section has for people who do not ask for all.
const MAX_LINES: usize = 20;

/// For people: a section each, with a line each.
pub(super) fn show(agent: &AgentId, overview: &Overview, output: &mut Output) {
    let now = overview.generated_at;
    section("Your claims", claims(agent, &overview.claims, now), output);
    leases(overview, output);
    unread(overview, output);
    section(
        "Your assignments",
        overview.assignments.iter().map(|assignment| assigned(assignment, now)),
        output,
    );
    ready(overview, output);
    section("Peers", overview.peers.iter().map(|peer| at_work(peer, now)), output);
    output.line("");
    output.line(&format!("Next: {}", overview.next.command()));
    if let Some(remote) = &overview.unshared {
        output.line("");
        output.line(&format!(
            "{}: `{}`",
            unshared_words(remote, overview.is_asked),
            unshared_command(remote)
        ));
    }
    for (key, value) in &overview.greedy {
        output.warn(&format!(
            "`{key}` is `{value}`, which lets git remove or overwrite refs of the bus: `bus doctor` says what to do"
        ));
    }
    let unreadable = overview.unreadable.iter();
    output.warn_each(
        unreadable.map(|(task, error)| format!("the claim of `{task}` cannot be read: {error}")),
    );
}

/// What it means that a bus has no fleet although there is a remote.
fn unshared_words(remote: &str, is_asked: bool) -> String {
    let what = match is_asked {
        true => "This bus has no fleet, so",
        false => "Nobody knows yet whether the remotes serve a fleet; if not,",
    };
    format!(
        "{what} other clones of `{remote}` can claim the same tasks; one command makes them a fleet"
    )
}

fn unshared_command(remote: &str) -> String {
    format!("bus init --remote {remote}")
}

fn unshared_json(remote: &str, is_asked: bool) -> Value {
    words::object([
        ("remote", Value::from(remote)),
        ("message", Value::from(unshared_words(remote, is_asked))),
        ("command", Value::from(unshared_command(remote))),
    ])
}

fn greedy_json((key, value): &(String, String)) -> Value {
    words::object([("key", Value::from(key.as_str())), ("value", Value::from(value.as_str()))])
}

/// The fields of the overview as JSON; what is said of remotes only if there is something to say.
pub(super) fn fields(overview: &Overview) -> Vec<(&'static str, Value)> {
    let now = overview.generated_at;
    let branch = words::object([
        (
            "name",
            overview.branch.as_ref().map_or(Value::Null, |branch| Value::from(branch.as_str())),
        ),
        ("upstream", overview.upstream.as_ref().map_or(Value::Null, apart_json)),
        ("default", overview.default_branch.as_ref().map_or(Value::Null, apart_json)),
    ]);
    let message =
        |letter: &Letter| words::message_json(&letter.message, letter.elsewhere.as_ref(), now);
    let mut fields = vec![
        ("branch", branch),
        ("claims", overview.claims.iter().map(claim_json).collect()),
        ("locks", overview.leases.iter().map(|held| lease::status_json(held, now)).collect()),
        ("other_locks", Value::from(overview.other_leases)),
        ("unread", Value::from(overview.inbox.unread)),
        ("messages", overview.inbox.letters.iter().map(message).collect()),
        (
            "assignments",
            overview
                .assignments
                .iter()
                .map(|assignment| Value::Object(assignment.to_object()))
                .collect(),
        ),
        ("ready", ready_json(&overview.ready)),
        ("peers", overview.peers.iter().map(peer_json).collect()),
        (
            "unreadable",
            overview
                .unreadable
                .iter()
                .map(|(task, error)| words::unreadable_json(task, error))
                .collect(),
        ),
        ("next", Value::from(overview.next.command())),
        ("generated_at", Value::from(now.to_string())),
    ];
    fields.extend(
        overview
            .unshared
            .as_deref()
            .map(|remote| ("no_fleet", unshared_json(remote, overview.is_asked))),
    );
    if !overview.greedy.is_empty() {
        fields.push(("greedy_remotes", overview.greedy.iter().map(greedy_json).collect()));
    }
    fields
}

/// Where the agent is: `on main, 2 commits behind origin/main`.
pub(super) fn whereabouts(overview: &Overview) -> String {
    let branch = overview
        .branch
        .as_ref()
        .map_or_else(|| "on no branch".to_owned(), |branch| format!("on {branch}"));
    let apart = [&overview.upstream, &overview.default_branch].into_iter().flatten().map(distance);
    [branch].into_iter().chain(apart).collect::<Vec<_>>().join(", ")
}

/// The claims that an agent holds, a line each: the first of them, and how many more there are.
pub(super) fn claims(
    agent: &AgentId,
    claims: &[OwnClaim],
    now: Timestamp,
) -> impl Iterator<Item = String> {
    let more = claims.len().saturating_sub(SHOWN);
    let more = (more > 0)
        .then(|| format!("  and {more} more: `bus status --agent {agent} --active-only`"));
    claims.iter().take(SHOWN).map(move |own| held(own, now)).chain(more)
}

fn held(own: &OwnClaim, now: Timestamp) -> String {
    let (claim, state) = (&own.status.claim, own.status.state.as_str());
    let notes = claim.notes.as_ref().map_or_else(String::new, |notes| format!(", {notes}"));
    let place = if own.here { "" } else { " (in another worktree or clone)" };
    format!(
        "  {} {state}, since {}, on {}{notes}{place}",
        claim.task_id,
        words::ago(claim.claimed_at, now),
        claim.branch
    )
}

/// A claim of one's own as JSON, as `bus status` shows it, and whether it was made here.
pub(super) fn claim_json(own: &OwnClaim) -> Value {
    let state = Value::from(own.status.state.as_str());
    let more = [
        ("state", state),
        ("last_seen", time(own.status.last_seen)),
        ("here", Value::from(own.here)),
    ];
    let more = more.into_iter().chain(words::clock_json(own.status.clock_ahead));
    words::merge(own.status.claim.to_object(), more)
}

fn section(title: &str, lines: impl Iterator<Item = String>, output: &mut Output) {
    let mut lines = lines.peekable();
    output.line("");
    if lines.peek().is_none() {
        return output.line(&format!("{title}: none"));
    }
    output.line(title);
    let lines: Vec<String> = lines.collect();
    let shown = output.shown_of(lines.len(), MAX_LINES);
    lines[..shown].iter().for_each(|line| output.row(None, line, Width::Bounded));
    match lines.len() - shown {
        0 => {}
        more => output.line(&format!("  and {more} more; `--full` shows all")),
    }
}

/// The paths that the agent holds, and that others hold some, or `None` if nobody does.
fn leases(overview: &Overview, output: &mut Output) {
    let now = overview.generated_at;
    let line = |held: &LeaseStatus| {
        let lease = &held.lease;
        let task = lease.task_id.as_ref().map_or_else(String::new, |task| format!(", for {task}"));
        let place = if held.here { "" } else { " (in another worktree or clone)" };
        let left = lease::left(lease, now);
        format!(
            "  {} {}, time left {left}, {}{task}{place}",
            lease.lease_id,
            held.state(),
            lease.patterns()
        )
    };
    let others = match overview.other_leases {
        0 => None,
        1 => Some("  and 1 of somebody else: `bus lock list`".to_owned()),
        others => Some(format!("  and {others} of others: `bus lock list`")),
    };
    if !overview.leases.is_empty() || others.is_some() {
        section("Leases", overview.leases.iter().map(line).chain(others), output);
    }
    if let Some(error) = &overview.lease_fault {
        output.warn(&format!("the leases cannot be read, so no path is free: {error}"));
    }
}

fn unread(overview: &Overview, output: &mut Output) {
    let (inbox, now) = (&overview.inbox, overview.generated_at);
    output.line("");
    match (inbox.unread, inbox.older()) {
        (0, _) => return output.line("Unread: none"),
        (unread, 0) => output.line(&format!("Unread: {unread}")),
        (unread, older) => {
            output.line(&format!("Unread: {unread}, {older} of them older than these"))
        }
    }
    inbox.letters.iter().for_each(|letter| {
        words::show_message(&letter.message, letter.elsewhere.as_ref(), now, Width::Bounded, output)
    });
}

fn ready(overview: &Overview, output: &mut Output) {
    let ready = &overview.ready;
    let more = ready.count - ready.first.len();
    let more = (more > 0).then(|| format!("  and {more} more: `bus queue ready`"));
    let line =
        |task: &ReadyTask| format!("  {} {}, {}", task.task, task.priority.as_str(), task.title);
    section("Ready", ready.first.iter().map(line).chain(more), output);
}

fn ready_json(ready: &Ready) -> Value {
    let task = |task: &ReadyTask| {
        words::object([
            ("task_id", Value::from(task.task.as_str())),
            ("priority", Value::from(task.priority.as_str())),
            ("title", Value::from(task.title.as_str())),
        ])
    };
    words::object([
        ("count", Value::from(ready.count)),
        ("first", ready.first.iter().map(task).collect()),
    ])
}

fn assigned(assignment: &Assignment, now: Timestamp) -> String {
    let note = assignment.note.as_ref().map_or_else(String::new, |note| format!(", {note}"));
    let since = words::ago(assignment.assigned_at, now);
    format!("  {} by {}, {since}{note}", assignment.task_id, assignment.manager)
}

fn at_work(peer: &Peer, now: Timestamp) -> String {
    let seen = peer.last_seen.map_or_else(|| "never".to_owned(), |seen| words::ago(seen, now));
    let task = |status: &ClaimStatus| match status.state.as_str() {
        "active" => status.claim.task_id.to_string(),
        state => format!("{} ({state})", status.claim.task_id),
    };
    let more = peer.claims.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} more"));
    let tasks: Vec<String> = peer.claims.iter().take(SHOWN).map(task).chain(more).collect();
    let tasks = if tasks.is_empty() {
        "holds nothing".to_owned()
    } else {
        format!("holds {}", tasks.join(", "))
    };
    format!("  {} {}, seen {seen}, {tasks}", peer.agent, peer.state.as_str())
}

fn peer_json(peer: &Peer) -> Value {
    let task = |status: &ClaimStatus| {
        words::object([
            ("task_id", Value::from(status.claim.task_id.as_str())),
            ("state", Value::from(status.state.as_str())),
            ("branch", Value::from(status.claim.branch.as_str())),
        ])
    };
    words::object([
        ("agent_id", Value::from(peer.agent.as_str())),
        ("state", Value::from(peer.state.as_str())),
        ("last_seen", time(peer.last_seen)),
        ("tasks", peer.claims.iter().map(task).collect()),
    ])
}

fn distance(apart: &Apart) -> String {
    let least = if apart.distance.is_exact { "" } else { "at least " };
    let commits =
        |count: usize| format!("{count} {}", if count == 1 { "commit" } else { "commits" });
    match (apart.distance.behind, apart.distance.ahead) {
        (0, 0) => format!("level with {}", apart.from),
        (behind, 0) => format!("{least}{} behind {}", commits(behind), apart.from),
        (0, ahead) => format!("{least}{} ahead of {}", commits(ahead), apart.from),
        (behind, ahead) => {
            format!("{least}{} behind and {ahead} ahead of {}", commits(behind), apart.from)
        }
    }
}

fn apart_json(apart: &Apart) -> Value {
    words::object([
        ("name", Value::from(apart.from.as_str())),
        ("ahead", Value::from(apart.distance.ahead)),
        ("behind", Value::from(apart.distance.behind)),
        ("exact", Value::from(apart.distance.is_exact)),
    ])
}

fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::from(time.to_string()))
}
