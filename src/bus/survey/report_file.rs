//! Where the manager's reports stand, and how they are told of.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::bus::log::{Audience, EventRequest, MessageRequest};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, ops};
use crate::record::{AgentId, EventKind, TaskId, Timestamp};
use crate::store::create;

/// How the name of a report begins; the time follows, without colons.
const BEGIN: &str = "manager-report-";

/// How many reports there may be of one time.
const MAX_OF_A_TIME: usize = 100;

/// How much of a report is read to see whose it is, in bytes.
const BEGINNING: u64 = 4096;

/// The channel in which reports are told of.
const CHANNEL: &str = "manager-report";

/// The sort of the message and of the event that tell of a report.
const KIND: &str = "consensus";

/// When the last report before now was written, in any worktree, of those whose beginning is
/// `wanted`.
#[must_use]
pub(crate) fn last_report(ws: &Workspace, wanted: impl Fn(&str) -> bool) -> Option<Timestamp> {
    let folders = ws.layouts().map(|layout| layout.root().join("_report/manager"));
    let entries =
        folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let reports =
        entries.filter_map(|entry| Some((time_of(entry.file_name().to_str()?)?, entry.path())));
    let mut reports: Vec<_> = reports.filter(|(time, _)| *time < ws.clock.now()).collect();
    reports.sort();
    reports
        .into_iter()
        .rev()
        .find(|(_, path)| beginning(path).is_some_and(|text| wanted(&text)))
        .map(|(time, _)| time)
}

/// Writes a report of `time` in this worktree, and returns its path below the root. Another one of
/// that time stays; the new one gets a number.
///
/// # Errors
///
/// As the system refuses.
pub(crate) fn file_report(ws: &Workspace, time: Timestamp, text: &str) -> Result<String, Error> {
    let _lock = ws.lock()?;
    for number in 1..MAX_OF_A_TIME {
        let path = format!("_report/manager/{}", name_of(time, number));
        let place = ws.layout.place(path.as_str());
        match place.read(text.len() + 1)? {
            Some(known) if known == text.as_bytes() => return Ok(path),
            Some(_) => {}
            None => {
                create(&place, text.as_bytes())?;
                return Ok(path);
            }
        }
    }
    let what = format!("there are {MAX_OF_A_TIME} reports of {time}");
    Err(Error::Usage { what, hint: "print it: `bus report --stdout`".to_owned() })
}

/// Tells everybody of the report at `path`: a message in the channel of reports, and an event.
///
/// # Errors
///
/// As [`ops::send_message`] and [`ops::log_event`].
pub(crate) fn post_report(
    ws: &Workspace,
    manager: &AgentId,
    path: &str,
    summary: &str,
) -> Result<(), Error> {
    let kind = EventKind::new(KIND)?;
    let request = MessageRequest {
        audience: Audience::Task(TaskId::new(CHANNEL)?),
        kind: kind.clone(),
        summary: summary.to_owned(),
        note: None,
        branch: None,
        plan: None,
        receipts: vec![path.to_owned()],
        meta: Vec::new(),
    };
    ops::send_message(ws, manager, &request)?;
    let event = EventRequest {
        event: kind,
        summary: summary.to_owned(),
        task: None,
        plan: None,
        branch: None,
        pr: None,
        receipts: vec![path.to_owned()],
        severity: None,
        extra: Vec::new(),
    };
    ops::log_event(ws, manager, &event).map(drop)
}

/// The first lines of a regular file.
fn beginning(path: &Path) -> Option<String> {
    let file = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file())
        .then(|| File::open(path).ok())??;
    let mut bytes = Vec::new();
    file.take(BEGINNING).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The name of a report's file: ISO 8601 with the time in its basic form, since Windows takes no
/// colon.
fn name_of(time: Timestamp, number: usize) -> String {
    let number = if number > 1 { format!("-{number}") } else { String::new() };
    format!("{BEGIN}{}{number}.md", time.to_string().replace(':', ""))
}

/// When the report in the file of this name was written.
fn time_of(name: &str) -> Option<Timestamp> {
    let (time, number) = name.strip_prefix(BEGIN)?.strip_suffix(".md")?.split_once('Z')?;
    let is_number = |number: &str| {
        number.strip_prefix('-').is_some_and(|number| number.parse::<usize>().is_ok())
    };
    Some(number).filter(|number| number.is_empty() || is_number(number))?;
    let (date, clock) = time.split_once('T')?;
    let clock = [clock.get(..2)?, clock.get(2..4)?, clock.get(4..)?].join(":");
    format!("{date}T{clock}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reports_name_says_when_it_was_written() {
        let time: Timestamp = "2026-03-01T12:05:09Z".parse().unwrap();
        assert_eq!(name_of(time, 1), "manager-report-2026-03-01T120509Z.md");
        assert_eq!(name_of(time, 2), "manager-report-2026-03-01T120509Z-2.md");
        for number in [1, 2, 10] {
            assert_eq!(time_of(&name_of(time, number)), Some(time));
        }
        for other in [
            "manager-report-.md",
            "manager-report-2026-03-01T1205Z.md",
            "manager-report-x.md",
            "manager-report-2026-03-01Té1Z.md",
        ] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }
}
