//! What needs the manager now, and what helps.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::facts::{Need, NeedKind, TaskFacts, TaskState, Validated, Verdict};
use crate::bus::claim::{ComparedWith, Liveness, Pushed, Seen};
use crate::bus::lease::LeaseStatus;
use crate::bus::survey::Survey;
use crate::record::{Claim, Event, PlanId, Progress, Span, Timestamp, ago};
use crate::store::{Evidence, Letter};

/// All that needs the manager, the most urgent first. What git does not show of finished work is
/// told once: in the report after it was finished.
pub(super) fn needs(
    survey: &Survey,
    tasks: &[TaskFacts],
    since: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Need> {
    let mut needs = Vec::new();
    conflicts(survey, &mut needs);
    let trunk = survey.status.compared_with.as_ref();
    for task in tasks {
        let is_news = since.is_none_or(|since| task.since >= Some(since));
        of_claim(task, now, &mut needs);
        of_work(task, trunk, is_news, &mut needs);
        if !task.state.is_done() || is_news {
            of_plan(task, &mut needs);
        }
        of_assignment(task, survey.stale_after, now, &mut needs);
    }
    needs.extend(survey.status.leases.iter().filter_map(|held| of_lease(held, now)));
    of_other_plans(survey, tasks, &mut needs);
    needs.extend(survey.tally.overrides().map(|event| of_override(&event)));
    needs.extend(survey.requests.iter().map(|request| of_request(request, now)));
    needs.extend(trunk.filter(|trunk| trunk.unpushed > 0).map(of_trunk));
    queue(survey, &mut needs);
    needs.sort_by_key(|need| need.kind);
    needs
}

fn need(
    kind: NeedKind,
    task: Option<&TaskFacts>,
    what: impl Into<String>,
    next: Option<String>,
) -> Need {
    Need { kind, task: task.map(|task| task.task.clone()), what: what.into(), next }
}

fn conflicts(survey: &Survey, needs: &mut Vec<Need>) {
    let doctor = || Some("bus doctor".to_owned());
    for (task, error) in &survey.status.unreadable {
        needs.push(Need {
            kind: NeedKind::Conflict,
            task: Some(task.clone()),
            what: error.to_string(),
            next: doctor(),
        });
    }
    let assignments = survey.status.bad_assignments.iter().map(|(_, error)| error);
    let others = survey
        .status
        .damaged
        .iter()
        .chain(assignments)
        .chain(&survey.status.config_fault)
        .chain(&survey.status.lease_fault)
        .chain(&survey.plans.faults);
    needs.extend(others.map(|error| need(NeedKind::Conflict, None, error.to_string(), doctor())));
}

fn of_claim(task: &TaskFacts, now: Timestamp, needs: &mut Vec<Need>) {
    let Some(claim) = &task.claim else { return };
    let (id, owner) = (&task.task, &claim.agent_id);
    let quiet = task.last_seen.map_or_else(
        || "for ever".to_owned(),
        |seen| format!("for {}", Span::new(now.since(seen))),
    );
    let free = || Some(format!("bus release {id} --force --note WHY"));
    match task.state {
        TaskState::Gone => {
            let what = format!("{owner}'s worktree is gone");
            needs.push(need(NeedKind::Gone, Some(task), what, free()));
        }
        TaskState::Expired => {
            let since = claim.expires_at.map_or_else(String::new, |time| format!(" since {time}"));
            needs.push(need(
                NeedKind::Expired,
                Some(task),
                format!("{owner}'s claim is over{since}"),
                free(),
            ));
        }
        TaskState::Stale => {
            needs.push(need(
                NeedKind::Stale,
                Some(task),
                format!("{owner} has been silent {quiet}"),
                free(),
            ));
        }
        _ => {}
    }
    if claim.is_unconfirmed() {
        needs.push(need(
            NeedKind::Unconfirmed,
            Some(task),
            format!("{owner} claimed it offline"),
            None,
        ));
    }
}

fn of_override(event: &Event) -> Need {
    let paths: Vec<&str> = event
        .extra
        .get("paths")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let all = event.extra.get("paths_in_all").and_then(Value::as_u64).unwrap_or(paths.len() as u64);
    let more = if all > 1 { format!(" and {} more", all - 1) } else { String::new() };
    let path = paths
        .first()
        .map_or_else(|| "what was not its own".to_owned(), |path| format!("{path}{more}"));
    let what = format!(
        "{} changed {path} without leave at {}: {}",
        event.agent_id, event.ts, event.summary
    );
    Need {
        kind: NeedKind::Override,
        task: event.task_id.clone(),
        what,
        next: Some("bus event list --event override".to_owned()),
    }
}

fn of_lease(held: &LeaseStatus, now: Timestamp) -> Option<Need> {
    let lease = &held.lease;
    let (id, owner, patterns) = (&lease.lease_id, &lease.owner, lease.patterns());
    let next = Some(format!("bus lock reclaim {id} --note WHY"));
    let (kind, what) = match held.liveness {
        Liveness::Alive => return None,
        Liveness::Gone => {
            (NeedKind::Gone, format!("{owner} holds {patterns} from a worktree that is gone"))
        }
        Liveness::Expired => (
            NeedKind::Expired,
            format!("{owner}'s lease on {patterns} is over since {}", lease.expires_at),
        ),
        Liveness::Stale => {
            let quiet = held
                .last_seen
                .map_or_else(|| "ever".to_owned(), |seen| Span::new(now.since(seen)).to_string());
            (NeedKind::Stale, format!("{owner} holds {patterns} and has been silent for {quiet}"))
        }
    };
    Some(Need { kind, task: lease.task_id.clone(), what, next })
}

/// What is said and not seen, and what is seen and not merged.
fn of_work(task: &TaskFacts, trunk: Option<&ComparedWith>, is_news: bool, needs: &mut Vec<Need>) {
    let (Some(claim), Some(seen)) = (&task.claim, &task.seen) else { return };
    let (id, owner, branch) = (&task.task, &claim.agent_id, &claim.branch);
    let theirs = |count: usize| {
        if task.shares.is_empty() {
            unmerged(count)
        } else {
            format!("{}, not all of them for it", unmerged(count))
        }
    };
    let log = || {
        Some(format!(
            "git log --oneline {}..{}",
            plain(&trunk?.name)?,
            plain(tip_name(claim, seen)?)?
        ))
    };
    match task.verdict() {
        Verdict::StillClaimed => {
            let what =
                format!("what {owner} has committed has landed, and the claim is still live");
            let next = format!("bus release {id} --force --status done --note WHY");
            needs.push(need(NeedKind::StillClaimed, Some(task), what, Some(next)));
        }
        Verdict::NotLanded if task.state.is_done() => {
            let (Some(head), commits) =
                (seen.head, seen.landing.map_or(0, |landing| landing.ahead.commits))
            else {
                return;
            };
            let (what, next) = match tip_name(claim, seen) {
                Some(_) => {
                    (format!("{owner} is done, and {branch} has {}", theirs(commits)), log())
                }
                None => {
                    let head = head.to_hex_with_len(7);
                    let what = format!(
                        "{owner} is done, {branch} is gone, and no other branch is known to hold its {head}"
                    );
                    (what, plain(branch).map(|branch| format!("git branch {branch} {head}")))
                }
            };
            needs.push(need(NeedKind::Unmerged, Some(task), what, next));
        }
        Verdict::TakenBack => {
            let commit = seen
                .taken_back()
                .map_or_else(String::new, |commit| format!(" in {}", commit.to_hex_with_len(7)));
            let what = format!("what {owner} did had landed and was reverted{commit}");
            let next = format!("bus claim {id} --reopen");
            needs.push(need(NeedKind::Unmerged, Some(task), what, Some(next)));
        }
        Verdict::Later if task.shares.is_empty() => {
            let what = format!(
                "since {owner} was done, {branch} has {}",
                unmerged(seen.later.unwrap_or(0))
            );
            needs.push(need(NeedKind::Unmerged, Some(task), what, log()));
        }
        Verdict::NoBranch | Verdict::NoWork if task.state.is_done() && is_news => {
            let what =
                format!("{owner} says that it is done, and git shows no work of it on {branch}");
            needs.push(need(
                NeedKind::NotSeen,
                Some(task),
                what,
                Some(format!("bus event list --task {id}")),
            ));
        }
        _ => {}
    }
}

/// The branch, here or on a remote.
fn tip_name<'a>(claim: &'a Claim, seen: &'a Seen) -> Option<&'a str> {
    match (&seen.branch, &seen.pushed) {
        (Some(_), _) => Some(&claim.branch),
        (None, Pushed::Yes(name, _) | Pushed::Otherwise(name, _)) => Some(name),
        (None, _) => None,
    }
}

/// A name that a shell takes as it is: others are not put into commands.
fn plain(name: &str) -> Option<&str> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    Some(name).filter(|name| name.bytes().all(is_plain) && !name.starts_with('-'))
}

fn unmerged(count: usize) -> String {
    if count == 1 {
        "1 commit that is not merged".to_owned()
    } else {
        format!("{count} commits that are not merged")
    }
}

fn of_assignment(task: &TaskFacts, stale_after: Duration, now: Timestamp, needs: &mut Vec<Need>) {
    let (TaskState::Waiting, Some(owner), Some(since)) = (task.state, &task.owner, task.since)
    else {
        return;
    };
    if now.since(since) > stale_after {
        let what = format!("{owner} has not begun, assigned {} ago", Span::new(now.since(since)));
        let next = Some(format!("bus assign {} --engineer ID", task.task));
        needs.push(need(NeedKind::Waiting, Some(task), what, next));
    }
}

fn of_trunk(trunk: &ComparedWith) -> Need {
    let commits = if trunk.unpushed == 1 { "commit" } else { "commits" };
    let what = format!(
        "{} has {} {commits} that its remote does not have: merged work is not pushed",
        trunk.name, trunk.unpushed
    );
    need(NeedKind::Unpushed, None, what, Some("git push".to_owned()))
}

fn of_plan(task: &TaskFacts, needs: &mut Vec<Need>) {
    let Some(plan) = &task.plan else { return };
    let show = || Some(format!("bus plan show {}", plan.id));
    let whose = task.owner.as_ref().map_or_else(String::new, |owner| format!("{owner}'s "));
    if plan.status == Progress::Blocked && plan.blocked.is_empty() {
        needs.push(need(
            NeedKind::Blocked,
            Some(task),
            format!("{whose}plan {} is blocked", plan.id),
            show(),
        ));
    }
    for step in &plan.blocked {
        needs.push(need(
            NeedKind::Blocked,
            Some(task),
            format!("a step of {whose}plan is blocked: {step}"),
            show(),
        ));
    }
    for (path, evidence) in
        plan.receipts.iter().filter(|(_, evidence)| *evidence != Evidence::There)
    {
        let what = format!(
            "{whose}receipt {path} is {}",
            if *evidence == Evidence::Gone { "gone" } else { "not what it was" }
        );
        needs.push(need(NeedKind::Receipt, Some(task), what, show()));
    }
    if task.state.is_done() && plan.steps.done < plan.steps.total {
        let what = format!("it is said to be done, and its plan is at {}", plan.steps);
        needs.push(need(NeedKind::NotSeen, Some(task), what, show()));
    }
}

/// Plans that are blocked and are no task's.
fn of_other_plans(survey: &Survey, tasks: &[TaskFacts], needs: &mut Vec<Need>) {
    let known: HashSet<&PlanId> =
        tasks.iter().filter_map(|task| task.plan.as_ref()).map(|plan| &plan.id).collect();
    let others = survey
        .plans
        .found
        .iter()
        .map(|found| &found.plan)
        .filter(|plan| !known.contains(&plan.plan_id));
    for plan in others.filter(|plan| plan.status == Progress::Blocked) {
        let what = format!("{}'s plan {} is blocked", plan.actor, plan.plan_id);
        needs.push(need(
            NeedKind::Blocked,
            None,
            what,
            Some(format!("bus plan show {}", plan.plan_id)),
        ));
    }
}

fn of_request(letter: &Letter, now: Timestamp) -> Need {
    let request = &letter.message;
    let place = letter
        .elsewhere
        .as_ref()
        .map_or_else(String::new, |place| format!(" in {}", place.words()));
    let whom = request.to.as_ref().map_or_else(String::new, |to| format!(" {to}"));
    let what = format!(
        "{} asked{whom}{place} {}: {}",
        request.from,
        ago(request.ts, now),
        request.summary
    );
    let next = match (&request.to, &request.task_id) {
        (None, Some(task)) => format!("bus message send --task {task} --summary WHAT"),
        _ => format!("bus message send --to {} --summary WHAT", request.from),
    };
    Need { kind: NeedKind::Request, task: request.task_id.clone(), what, next: Some(next) }
}

fn queue(survey: &Survey, needs: &mut Vec<Need>) {
    for cycle in &survey.queue.cycles {
        let ring: Vec<&str> = cycle.iter().chain(cycle.first()).map(|task| task.as_str()).collect();
        needs.push(need(
            NeedKind::Queue,
            None,
            format!("tasks wait for each other: {}", ring.join(" after ")),
            Some("bus queue list".to_owned()),
        ));
    }
    needs.extend(survey.queue.faults.iter().map(|error| {
        need(NeedKind::Queue, None, error.to_string(), Some("bus validate".to_owned()))
    }));
}

/// What the validator finds, as something that needs the manager, or `None` if it finds nothing.
pub(super) fn findings(validated: &Validated) -> Option<Need> {
    let (errors, warnings) = (validated.errors, validated.warnings);
    if errors + warnings == 0 {
        return None;
    }
    let count =
        |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let first = validated.first.join("; ");
    let what = format!(
        "{}, {} in this worktree: {first}",
        count(errors, "error"),
        count(warnings, "warning")
    );
    Some(need(NeedKind::Finding, None, what, Some("bus validate".to_owned())))
}
