//! What needs the manager now, and what helps.

use super::facts::{Need, NeedKind, TaskFacts, TaskState, Validated};
use crate::bus::Survey;
use crate::record::{Message, Progress, Span, Timestamp};
use crate::store::Evidence;

/// All that needs the manager, the most urgent first. Of finished work only what ended since the report before is looked at.
pub(super) fn needs(survey: &Survey, tasks: &[TaskFacts], since: Option<Timestamp>, now: Timestamp) -> Vec<Need> {
    let mut needs = Vec::new();
    conflicts(survey, &mut needs);
    for task in tasks.iter().filter(|task| task.state.is_live() || since.is_none_or(|since| task.since >= Some(since))) {
        of_claim(task, now, &mut needs);
        of_plan(task, &mut needs);
    }
    needs.extend(survey.requests.iter().map(|request| of_request(request, now)));
    queue(survey, &mut needs);
    needs.sort_by_key(|need| need.kind);
    needs
}

fn need(kind: NeedKind, task: Option<&TaskFacts>, what: impl Into<String>, next: Option<String>) -> Need {
    Need { kind, task: task.map(|task| task.task.clone()), what: what.into(), next }
}

fn conflicts(survey: &Survey, needs: &mut Vec<Need>) {
    let doctor = || Some("bus doctor".to_owned());
    for (task, error) in &survey.status.unreadable {
        needs.push(Need { kind: NeedKind::Conflict, task: Some(task.clone()), what: error.to_string(), next: doctor() });
    }
    let assignments = survey.status.bad_assignments.iter().map(|(_, error)| error);
    let others = survey.status.damaged.iter().chain(assignments).chain(&survey.status.config_fault).chain(&survey.plans.faults);
    needs.extend(others.map(|error| need(NeedKind::Conflict, None, error.to_string(), doctor())));
}

fn of_claim(task: &TaskFacts, now: Timestamp, needs: &mut Vec<Need>) {
    let Some(claim) = &task.claim else { return };
    let (id, owner) = (&task.task, &claim.agent_id);
    let quiet = task.last_seen.map_or_else(|| "for ever".to_owned(), |seen| format!("for {}", Span::new(now.since(seen))));
    let reclaim = || Some(format!("bus reclaim {id} --note WHY"));
    match task.state {
        TaskState::Expired => {
            let since = claim.expires_at.map_or_else(String::new, |time| format!(" since {time}"));
            needs.push(need(NeedKind::Expired, Some(task), format!("{owner}'s claim is over{since}"), reclaim()));
        }
        TaskState::Stale => {
            needs.push(need(NeedKind::Stale, Some(task), format!("{owner} has been silent {quiet}"), reclaim()));
        }
        _ => {}
    }
    if claim.confirmed == Some(false) {
        needs.push(need(NeedKind::Unconfirmed, Some(task), format!("{owner} claimed it offline"), Some("bus sync".to_owned())));
    }
    let branch = &claim.branch;
    match task.verdict() {
        "landed, still claimed" => {
            let what = format!("what {owner} has committed is landed, and the claim stands");
            needs.push(need(NeedKind::StillClaimed, Some(task), what, Some(format!("bus release {id}"))));
        }
        "not landed" => {
            let ahead = task.seen.as_ref().and_then(|seen| seen.landing).map_or(0, |landing| landing.ahead.commits);
            let commits = if ahead == 1 { "commit that is" } else { "commits that are" };
            let what = format!("{owner} is done, and {branch} has {ahead} {commits} not merged");
            needs.push(need(NeedKind::Unmerged, Some(task), what, None));
        }
        "no branch" | "no commit yet" if task.state.is_done() => {
            let what = format!("{owner} says that it is done, and git shows no commit of it on {branch}");
            needs.push(need(NeedKind::NotSeen, Some(task), what, None));
        }
        _ => {}
    }
}

fn of_plan(task: &TaskFacts, needs: &mut Vec<Need>) {
    let Some(plan) = &task.plan else { return };
    let show = || Some(format!("bus plan show {}", plan.id));
    if plan.status == Progress::Blocked && plan.blocked.is_empty() {
        needs.push(need(NeedKind::Blocked, Some(task), format!("the plan {} is blocked", plan.id), show()));
    }
    for step in &plan.blocked {
        needs.push(need(NeedKind::Blocked, Some(task), format!("a step is blocked: {step}"), show()));
    }
    for (path, evidence) in plan.receipts.iter().filter(|(_, evidence)| *evidence != Evidence::There) {
        let what = format!("the receipt {path} is {}", if *evidence == Evidence::Gone { "gone" } else { "not what it was" });
        needs.push(need(NeedKind::Receipt, Some(task), what, show()));
    }
    if task.state.is_done() && plan.steps.done < plan.steps.total {
        let what = format!("it is said to be done, and its plan is at {}", plan.steps);
        needs.push(need(NeedKind::NotSeen, Some(task), what, show()));
    }
}

fn of_request(request: &Message, now: Timestamp) -> Need {
    let whom = request.to.as_ref().map_or_else(String::new, |to| format!(" {to}"));
    let what = format!("{} asked{whom} {} ago: {}", request.from, Span::new(now.since(request.ts)), request.summary);
    let next = match (&request.to, &request.task_id) {
        (None, Some(task)) => Some(format!("bus message list --task {task}")),
        (Some(to), _) => Some(format!("bus message list --to {to}")),
        (None, None) => None,
    };
    Need { kind: NeedKind::Request, task: request.task_id.clone(), what, next }
}

fn queue(survey: &Survey, needs: &mut Vec<Need>) {
    for cycle in &survey.queue.cycles {
        let ring: Vec<&str> = cycle.iter().chain(cycle.first()).map(|task| task.as_str()).collect();
        needs.push(need(NeedKind::Queue, None, format!("tasks wait for each other: {}", ring.join(" after ")), None));
    }
    needs.extend(survey.queue.faults.iter().map(|error| need(NeedKind::Queue, None, error.to_string(), None)));
}

/// What the validator finds, as something that needs the manager; nothing where it finds nothing.
pub(super) fn findings(validated: &Validated) -> Option<Need> {
    let (errors, warnings) = (validated.errors, validated.warnings);
    if errors + warnings == 0 {
        return None;
    }
    let count = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let first = validated.first.join("; ");
    let what = format!("{}, {}: {first}", count(errors, "error"), count(warnings, "warning"));
    Some(need(NeedKind::Finding, None, what, Some("bus validate".to_owned())))
}
