//! The report's pictures, as Mermaid that GitHub draws.

use std::fmt::Write;

use super::escape::label;
use super::facts::{Report, TaskState};
use crate::record::Timestamp;

/// The longest time for which the axis shows hours, in seconds; for longer ones it shows days.
const HOURS: i64 = 2 * 24 * 60 * 60;

/// Who held what when: a bar a claim, a section an agent. Nothing if nobody held anything.
pub(super) fn gantt(report: &Report) -> Option<String> {
    let first = report.held.iter().map(|(_, _, held)| held.from).min()?;
    let last = report.held.iter().map(|(_, _, held)| held.until.unwrap_or(report.now)).max()?;
    let axis = if last.unix() - first.unix() > HOURS { "%m-%d" } else { "%H:%M" };
    let mut text = String::from("gantt\n    dateFormat YYYY-MM-DDTHH:mm:ss\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "    axisFormat {axis}");
    let mut agent = None;
    for (task, state, held) in &report.held {
        if agent != Some(&held.agent) {
            agent = Some(&held.agent);
            let _ = writeln!(text, "    section {}", label(held.agent.as_str()));
        }
        let until =
            held.until.unwrap_or(report.now).max(Timestamp::from_unix(held.from.unix() + 1));
        let tag = match (held.until, state) {
            (None, TaskState::Gone | TaskState::Stale | TaskState::Expired) => "crit, ",
            (None, _) => "active, ",
            (Some(_), state) if state.is_done() => "done, ",
            (Some(_), _) => "",
        };
        // The dot keeps a task's name from being read as a word of the language: `section`,
        // `click`.
        let (from, until) = (without_zone(held.from), without_zone(until));
        let _ = writeln!(text, "    · {} :{tag}{from}, {until}", label(task.as_str()));
    }
    Some(text)
}

/// How many tasks are in which state, and where they go from there.
pub(super) fn flow(report: &Report) -> String {
    use TaskState::{
        Active, Blocked, Done, Expired, Gone, Landed, Paused, Ready, Released, Stale, Unreadable,
        Waiting,
    };
    const ARROWS: [(TaskState, TaskState); 12] = [
        (Blocked, Ready),
        (Ready, Active),
        (Waiting, Active),
        (Active, Done),
        (Done, Landed),
        (Active, Paused),
        (Paused, Active),
        (Active, Stale),
        (Active, Expired),
        (Active, Gone),
        (Active, Released),
        (Released, Active),
    ];
    let always = |state: TaskState| matches!(state, Ready | Active | Done | Landed);
    let is_shown = |state: TaskState| always(state) || report.count(state) > 0;
    let mut text = String::from("flowchart LR\n");
    for state in [
        Blocked, Ready, Waiting, Active, Paused, Stale, Expired, Gone, Released, Done, Landed,
        Unreadable,
    ] {
        if is_shown(state) {
            let word = state.as_str();
            let _ = writeln!(text, "    {word}[\"{word}: {}\"]", report.count(state));
        }
    }
    for (from, to) in ARROWS.into_iter().filter(|(from, to)| is_shown(*from) && is_shown(*to)) {
        let _ = writeln!(text, "    {} --> {}", from.as_str(), to.as_str());
    }
    text
}

fn without_zone(time: Timestamp) -> String {
    time.to_string().trim_end_matches('Z').to_owned()
}
