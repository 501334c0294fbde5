//! A report as JSON: the same facts.

use serde_json::{Map, Value};

use super::facts::{AgentFacts, Need, PlanFacts, Report, TaskFacts, TaskState};
use super::lane::{Share, Spread};
use crate::bus::claim::{ComparedWith, Pushed, Seen};
use crate::bus::lease::LeaseStatus;
use crate::git::Landed;
use crate::record::Claim;
use crate::store::{Elsewhere, Entry};

/// The facts of a report as one JSON object.
#[must_use]
pub(crate) fn json(report: &Report) -> Map<String, Value> {
    let counts = TaskState::ALL.map(|state| (state.as_str(), Value::from(report.count(state))));
    fields([
        ("generated_at", text(&report.now)),
        ("since", or_null(report.since.as_ref())),
        ("manager", or_null(report.manager.as_ref())),
        ("compared_with", compared_with(report.compared_with.as_ref())),
        ("counts", object(counts)),
        ("needs", report.needs.iter().map(need).collect()),
        ("tasks", report.tasks.iter().map(task).collect()),
        ("locks", report.leases.iter().map(lease).collect()),
        ("agents", report.agents.iter().map(agent).collect()),
        ("finished", report.finished().iter().map(|task| text(&task.task)).collect()),
        ("lane", lane(report)),
        ("held", held(report)),
    ])
}

/// What branches were compared with, as JSON.
#[must_use]
pub(crate) fn compared_with(with: Option<&ComparedWith>) -> Value {
    with.map_or(Value::Null, |with| {
        object([
            ("branch", text(&with.name)),
            ("commit", text(&with.commit)),
            ("unpushed", Value::from(with.unpushed)),
        ])
    })
}

fn need(need: &Need) -> Value {
    object([
        ("kind", Value::from(need.kind.as_str())),
        ("task_id", or_null(need.task.as_ref())),
        ("what", text(&need.what)),
        ("next", or_null(need.next.as_ref())),
    ])
}

fn task(task: &TaskFacts) -> Value {
    let claim = task.claim.as_ref();
    object([
        ("task_id", text(&task.task)),
        ("title", or_null(task.title.as_ref())),
        ("state", Value::from(task.state.as_str())),
        ("owner", or_null(task.owner.as_ref())),
        ("since", or_null(task.since.as_ref())),
        ("last_seen", or_null(task.last_seen.as_ref())),
        ("branch", or_null(claim.map(|claim| &claim.branch))),
        ("unconfirmed", Value::from(claim.is_some_and(Claim::is_unconfirmed))),
        ("blocked_by", task.blocked_by.iter().map(text).collect()),
        ("shares_branch_with", task.shares.iter().map(text).collect()),
        ("plan", task.plan.as_ref().map_or(Value::Null, plan)),
        ("last_word", task.last_word.as_ref().map_or(Value::Null, word)),
        ("said", claim.map_or(Value::Null, |claim| text(&claim.status))),
        ("seen", task.seen.as_ref().map_or(Value::Null, seen)),
        ("verdict", Value::from(task.verdict().as_str())),
    ])
}

fn lease(held: &LeaseStatus) -> Value {
    let mut lease = held.lease.to_object();
    lease.insert("state".to_owned(), Value::from(held.state()));
    lease.insert("last_seen".to_owned(), or_null(held.last_seen.as_ref()));
    Value::Object(lease)
}

/// What git shows of a claim's branch, as JSON.
#[must_use]
pub(crate) fn seen(seen: &Seen) -> Value {
    let (landed, commit) = match seen.landed() {
        None => (Value::Null, None),
        Some(Landed::Merged) => (Value::from("merged"), None),
        Some(Landed::Rewritten(commit)) => (Value::from("rewritten"), Some(commit)),
    };
    let (pushed, remote) = match &seen.pushed {
        Pushed::NoRemote => (Value::Null, None),
        Pushed::No => (Value::from(false), None),
        Pushed::Otherwise(name, commit) => (Value::from(false), Some((name, commit))),
        Pushed::Yes(name, commit) => (Value::from(true), Some((name, commit))),
    };
    object([
        ("branch", or_null(seen.branch.as_ref())),
        ("head", or_null(seen.head.as_ref())),
        ("missing", or_null(seen.missing.as_ref())),
        ("ahead", seen.landing.map_or(Value::Null, |landing| Value::from(landing.ahead.commits))),
        ("pushed", pushed),
        ("remote_branch", or_null(remote.map(|(name, _)| name))),
        ("remote_commit", or_null(remote.map(|(_, commit)| commit))),
        ("landed", landed),
        ("landed_in", or_null(commit.as_ref())),
        ("reverted_in", or_null(seen.taken_back().as_ref())),
        ("no_work", Value::from(seen.is_empty)),
        ("later", Value::from(seen.later)),
    ])
}

fn plan(plan: &PlanFacts) -> Value {
    let receipt = |(path, evidence): &(String, crate::store::Evidence)| {
        object([("path", text(path)), ("state", Value::from(evidence.as_str()))])
    };
    object([
        ("plan_id", text(&plan.id)),
        ("status", Value::from(plan.status.as_str())),
        ("done", Value::from(plan.steps.done)),
        ("steps", Value::from(plan.steps.total)),
        ("blocked", plan.blocked.iter().map(text).collect()),
        ("receipts", plan.receipts.iter().map(receipt).collect()),
    ])
}

fn agent(agent: &AgentFacts) -> Value {
    object([
        ("agent_id", text(&agent.agent)),
        ("state", agent.state.map_or(Value::Null, |state| Value::from(state.as_str()))),
        ("last_seen", or_null(agent.last_seen.as_ref())),
        ("holds", agent.holds.iter().map(text).collect()),
        ("finished", Value::from(agent.finished)),
        ("events", Value::from(agent.events)),
        ("refused", Value::from(agent.refused)),
    ])
}

fn lane(report: &Report) -> Value {
    let spread = |spread: Spread| {
        object([
            ("count", Value::from(spread.count)),
            ("median_seconds", Value::from(spread.median.as_secs())),
            ("longest_seconds", Value::from(spread.longest.as_secs())),
        ])
    };
    let share =
        |share: Share| object([("some", Value::from(share.some)), ("all", Value::from(share.all))]);
    object([
        ("cycle", spread(report.lane.cycle)),
        ("wait", spread(report.lane.wait)),
        ("rework", share(report.lane.rework)),
        ("refused", share(report.lane.refused)),
    ])
}

fn held(report: &Report) -> Value {
    let bars = report.held.iter().map(|(task, _, held)| {
        object([
            ("task_id", text(task)),
            ("agent_id", text(&held.agent)),
            ("from", text(&held.from)),
            ("until", or_null(held.until.as_ref())),
        ])
    });
    bars.collect()
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn object<const N: usize>(of: [(&str, Value); N]) -> Value {
    Value::Object(fields(of))
}

fn text(value: &(impl ToString + ?Sized)) -> Value {
    Value::from(value.to_string())
}

fn or_null(value: Option<&(impl ToString + ?Sized)>) -> Value {
    value.map_or(Value::Null, text)
}

fn word(entry: &Entry) -> Value {
    Value::Object(Elsewhere::mark(entry.elsewhere.as_ref(), entry.event.to_object()))
}
