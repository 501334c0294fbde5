//! How a report reads.

use std::fmt::Write;
use std::time::Duration;

use super::escape::markdown as text;
use super::facts::{Need, Report, TaskFacts, TaskState, Verdict};
use super::lane::{Share, Spread};
use super::leases::lease_table;
use super::mermaid::{flow, gantt};
use super::tables::table;
use crate::bus::claim::Seen;
use crate::bus::session::PeerState;
use crate::git::{Landed, ObjectId};
use crate::record::{AgentId, Claim, Span, Timestamp, ago};
use crate::store::{Entry, Evidence};

/// How many rows a table has at most; the others are counted.
const MAX_ROWS: usize = 100;

/// How many tasks that nobody has begun are told by name.
const MAX_UNBEGUN: usize = 20;

/// How many needs of one sort are told; the others are counted.
const MAX_OF_A_KIND: usize = 20;

/// The report as markdown that reads well on GitHub and in a terminal. It ends with a newline.
#[must_use]
pub(crate) fn markdown(report: &Report) -> String {
    let shown = shown(report);
    let mut sections = vec![
        head(report),
        needs(report),
        tasks(report, &shown),
        leases(report),
        said_and_seen(report, &shown),
    ];
    if !report.tasks.is_empty() {
        sections.extend([agents(report), finished(report), lane(report), pictures(report)]);
    }
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

/// Whether the report that begins so is `manager`'s.
#[must_use]
pub(crate) fn is_of(manager: &AgentId, beginning: &str) -> bool {
    beginning.contains(&format!("\nWritten by `bus report` for {}. ", text(manager.as_str())))
}

fn head(report: &Report) -> String {
    let mut head = format!("# Manager report, {}\n\n{}\n\n", report.now, summary(report));
    let whose = report
        .manager
        .as_ref()
        .map_or_else(String::new, |manager| format!(" for {}", text(manager.as_str())));
    let since = match report.since {
        Some(since) => {
            format!("It covers the work since {since}, {} ago.", Span::new(report.now.since(since)))
        }
        None => "It covers all work.".to_owned(),
    };
    let compared = report.compared_with.as_ref().map_or_else(
        || "There is no default branch to compare with.".to_owned(),
        |with| {
            let remote =
                if with.has_remote { "; remote ones are as of the last fetch" } else { "" };
            format!(
                "Branches are compared with {} at {}{remote}.",
                text(&with.name),
                short(with.commit)
            )
        },
    );
    // Writing to a string cannot fail.
    let _ = writeln!(head, "Written by `bus report`{whose}. {since} {compared}");
    head
}

/// One line: how many tasks, in which states, how many agents, what needs somebody.
fn summary(report: &Report) -> String {
    let counts = TaskState::ALL.map(|state| (report.count(state), state.as_str())).into_iter();
    let states: Vec<String> = counts
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let states = if states.is_empty() { String::new() } else { format!(": {}", states.join(", ")) };
    let needs = match report.needs.len() {
        0 => "Nothing needs you.".to_owned(),
        1 => "1 thing needs you.".to_owned(),
        count => format!("{count} things need you."),
    };
    format!(
        "{}{states}. {}. {needs}",
        counted(report.tasks.len(), "task"),
        counted(report.agents.len(), "agent")
    )
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn needs(report: &Report) -> String {
    let mut section = String::from("## Needs you\n\n");
    if report.needs.is_empty() {
        section.push_str("Nothing.\n");
    }
    for of_a_kind in report.needs.chunk_by(|one, other| one.kind == other.kind) {
        for need in of_a_kind.iter().take(MAX_OF_A_KIND) {
            section.push_str(&need_line(need));
        }
        if let Some(more) = of_a_kind.len().checked_sub(MAX_OF_A_KIND).filter(|more| *more > 0) {
            let _ = writeln!(
                section,
                "- **{}**: {more} more; `bus report --json` has them all",
                of_a_kind[0].kind.as_str()
            );
        }
    }
    section
}

fn need_line(need: &Need) -> String {
    let task =
        need.task.as_ref().map_or_else(String::new, |task| format!(" {}:", text(task.as_str())));
    let next = need.next.as_ref().map_or_else(String::new, |next| format!(" (`{next}`)"));
    format!("- **{}**:{task} {}{next}\n", need.kind.as_str(), text(&need.what))
}

/// The tasks that are shown by name: what is held, what waits, what ended in the time of the
/// report, and the first of what nobody has begun.
fn shown(report: &Report) -> Vec<&TaskFacts> {
    let mut unbegun = 0;
    let is_shown = |task: &&TaskFacts| match task.state {
        TaskState::Ready | TaskState::Blocked => {
            unbegun += 1;
            unbegun <= MAX_UNBEGUN
        }
        TaskState::Done if matches!(task.verdict(), Verdict::NotLanded | Verdict::TakenBack) => {
            true
        }
        TaskState::Done | TaskState::Landed | TaskState::Released => {
            report.is_recent(task.since) || task.verdict() == Verdict::Later
        }
        _ => true,
    };
    report.tasks.iter().filter(is_shown).collect()
}

fn tasks(report: &Report, shown: &[&TaskFacts]) -> String {
    let header = ["Task", "Owner", "State", "For", "Branch", "Plan", "Last word"];
    let rows = shown.iter().take(MAX_ROWS).map(|task| task_row(task, report.now));
    let mut section = format!("## Tasks\n\n{}", table(header, rows));
    let hidden = report.tasks.len() - shown.len().min(MAX_ROWS);
    match (shown.is_empty(), hidden) {
        (true, 0) => section.push_str("None.\n"),
        (_, 0) => {}
        (_, hidden) => {
            let _ = writeln!(
                section,
                "\n{} are not shown; `bus report --json` has them.",
                counted(hidden, "more task")
            );
        }
    }
    section
}

/// Who holds which paths, or `None` if nobody does.
fn leases(report: &Report) -> String {
    if report.leases.is_empty() {
        return String::new();
    }
    let shown = &report.leases[..report.leases.len().min(MAX_ROWS)];
    let mut section = format!("## Leases\n\n{}", lease_table(shown));
    if report.leases.len() > shown.len() {
        let more = counted(report.leases.len() - shown.len(), "more lease");
        let _ = writeln!(section, "\n{more} are not shown; `bus lock list` has them.");
    }
    section
}

fn task_row(task: &TaskFacts, now: Timestamp) -> [String; 7] {
    let title = task.title.as_ref().map_or_else(String::new, |title| format!(" {}", text(title)));
    let state = match (&task.claim, task.blocked_by.as_slice()) {
        (None, [first, ..]) => format!("{} by {}", task.state.as_str(), text(first.as_str())),
        _ => task.state.as_str().to_owned(),
    };
    let unconfirmed = task.claim.as_ref().is_some_and(Claim::is_unconfirmed);
    let word = task.last_word.as_ref().map(|Entry { event, elsewhere, .. }| {
        let clone = elsewhere
            .as_ref()
            .map_or_else(String::new, |place| format!(", in {}", text(&place.words())));
        format!("{} ({}{clone})", text(&event.summary), ago(event.ts, now))
    });
    let notes = || task.claim.as_ref().and_then(|claim| claim.notes.as_deref()).map(text);
    [
        format!("**{}**{title}", text(task.task.as_str())),
        task.owner.as_ref().map_or_else(dash, |owner| text(owner.as_str())),
        if unconfirmed { format!("{state}, unconfirmed") } else { state },
        task.since.map_or_else(dash, |since| Span::new(now.since(since)).to_string()),
        task.claim.as_ref().map_or_else(dash, |claim| text(&claim.branch)),
        task.plan.as_ref().map_or_else(dash, |plan| {
            format!("{} ({})", plan.steps, plan.status.as_str().replace('_', " "))
        }),
        word.or_else(notes).unwrap_or_else(dash),
    ]
}

fn said_and_seen(report: &Report, shown: &[&TaskFacts]) -> String {
    let claimed: Vec<_> =
        shown.iter().filter_map(|task| Some((*task, task.seen.as_ref()?))).take(MAX_ROWS).collect();
    if claimed.is_empty() {
        return String::new();
    }
    let header = ["Task", "Said", "Branch", "Ahead", "Pushed", "Landed", "Receipts", "Verdict"];
    let rows = claimed.into_iter().map(|(task, seen)| seen_row(task, seen));
    format!(
        "## Said and seen\n\nWhat agents say, and what git showed at {}.\n\n{}",
        report.now,
        table(header, rows)
    )
}

fn seen_row(task: &TaskFacts, seen: &Seen) -> [String; 8] {
    let branch = match (seen.branch, seen.head) {
        (Some(commit), Some(head)) if commit == head => short(commit),
        (Some(commit), Some(head)) => format!("{}, ended at {}", short(commit), short(head)),
        (None, Some(head)) => format!("gone, was at {}", short(head)),
        (_, None) => seen.missing.as_ref().map_or_else(
            || "none".to_owned(),
            |head| format!("gone, was at {}", text(&head.chars().take(7).collect::<String>())),
        ),
    };
    let branch = match task.shares.as_slice() {
        [] => branch,
        [other] => format!("{branch}, shared with {}", text(other.as_str())),
        others => format!("{branch}, shared with {} others", others.len()),
    };
    [
        format!("**{}**", text(task.task.as_str())),
        task.claim.as_ref().map_or_else(dash, |claim| claim.status.to_string()),
        branch,
        seen.ahead(),
        text(&seen.pushed_words()),
        match task.landed() {
            Some(Landed::Rewritten(commit)) => format!("as {}", short(commit)),
            _ => seen.landed_words(),
        },
        receipts(task),
        task.verdict().as_str().to_owned(),
    ]
}

fn receipts(task: &TaskFacts) -> String {
    let Some(plan) = task.plan.as_ref().filter(|plan| !plan.receipts.is_empty()) else {
        return dash();
    };
    let count = |wanted: fn(&Evidence) -> bool| {
        plan.receipts.iter().filter(|(_, evidence)| wanted(evidence)).count()
    };
    let there = count(|evidence| matches!(evidence, Evidence::There));
    let changed = count(|evidence| matches!(evidence, Evidence::Changed { .. }));
    let gone = count(|evidence| matches!(evidence, Evidence::Gone));
    let parts = [(there, "right"), (changed, "changed"), (gone, "gone")]
        .into_iter()
        .filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn agents(report: &Report) -> String {
    let header = ["Agent", "State", "Last seen", "Holds", "Finished", "Events", "Refused"];
    let rows = report.agents.iter().take(MAX_ROWS).map(|agent| {
        let holds: Vec<String> = agent.holds.iter().map(|task| text(task.as_str())).collect();
        [
            text(agent.agent.as_str()),
            agent.state.map_or_else(dash, |state| match state {
                // Who holds nothing may be silent.
                PeerState::Stale if agent.holds.is_empty() => "away".to_owned(),
                state => state.as_str().to_owned(),
            }),
            agent.last_seen.map_or_else(dash, |seen| ago(seen, report.now)),
            if holds.is_empty() { dash() } else { holds.join(", ") },
            agent.finished.to_string(),
            agent.events.to_string(),
            agent.refused.to_string(),
        ]
    });
    let table = table(header, rows);
    if table.is_empty() { String::new() } else { format!("## Agents\n\n{table}") }
}

fn finished(report: &Report) -> String {
    let finished = report.finished();
    if finished.is_empty() {
        return "## Finished\n\nNothing.\n".to_owned();
    }
    let mut section = String::from("## Finished\n\n");
    let first = finished.len().saturating_sub(MAX_ROWS);
    if first > 0 {
        let _ = writeln!(section, "- {} before these", counted(first, "task"));
    }
    for task in &finished[first..] {
        let title =
            task.title.as_ref().map_or_else(String::new, |title| format!(" {}", text(title)));
        let owner = task.owner.as_ref().map_or_else(dash, |owner| text(owner.as_str()));
        let took = task.claim.as_ref().zip(task.since).map_or_else(String::new, |(claim, end)| {
            format!(", {} after it was claimed", Span::new(end.since(claim.claimed_at)))
        });
        let _ = writeln!(
            section,
            "- **{}**{title}: by {owner}{took}; {}",
            text(task.task.as_str()),
            task.verdict().as_str()
        );
    }
    section
}

fn lane(report: &Report) -> String {
    let lane = &report.lane;
    let spread = |spread: Spread| match spread.count {
        0 => dash(),
        _ => format!("{} (longest {})", length(spread.median), length(spread.longest)),
    };
    let share = |share: Share| {
        (share.some * 100)
            .checked_div(share.all)
            .map_or_else(dash, |percent| format!("{percent} %"))
    };
    let row = |what: &str, value: String, of: String| [what.to_owned(), value, of];
    let rows = [
        row(
            "Cycle time, from claim to done (median)",
            spread(lane.cycle),
            counted(lane.cycle.count, "finished task"),
        ),
        row(
            "Wait, from assigned to claimed (median)",
            spread(lane.wait),
            counted(lane.wait.count, "assigned task"),
        ),
        row(
            "Rework: reopened or taken over",
            share(lane.rework),
            format!("{} of {} claims", lane.rework.some, lane.rework.all),
        ),
        row(
            "Refused actions",
            share(lane.refused),
            format!("{} of {} actions", lane.refused.some, lane.refused.all),
        ),
    ];
    format!("## Lane\n\n{}", table(["Measure", "Value", "Of"], rows))
}

fn length(duration: Duration) -> String {
    Span::new(duration).to_string()
}

fn pictures(report: &Report) -> String {
    let fenced = |picture: &str| format!("```mermaid\n{picture}```\n");
    let gantt = gantt(report).map_or_else(String::new, |gantt| {
        format!("## Who held what\n\nTimes are UTC.\n\n{}\n", fenced(&gantt))
    });
    format!("{gantt}## States\n\n{}", fenced(&flow(report)))
}

fn short(commit: ObjectId) -> String {
    format!("`{}`", commit.to_hex_with_len(7))
}

fn dash() -> String {
    "-".to_owned()
}
