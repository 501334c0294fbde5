//! What `bus doctor` finds of the log, and of what killed processes left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::examine::{Cure, Finding, finding, of_error};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::ROOTS;
use crate::store::{Place, Stream, is_cut_off};

/// How old a lock of a ref must be before it counts as left behind. git holds one for milliseconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// The files that lines are appended to: cut-off lines, and what an older bus left that is not in
/// the record.
pub(super) fn examine_log(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    for place in Stream::ALL.into_iter().flat_map(|stream| files_here(ws, stream)) {
        match is_cut_off(&place) {
            Ok(true) => {
                let what = "its last line was cut off".to_owned();
                findings.push(finding(
                    "torn-line",
                    ws.show(&place),
                    what,
                    Some(Cure::CloseLine(place)),
                ));
            }
            Ok(false) => {}
            Err(error) => {
                let found = of_error(ws, "torn-line", error.into())?;
                // A link in the place of the folder stands in the way of each file.
                if findings
                    .iter()
                    .all(|known| (known.name, &known.place) != (found.name, &found.place))
                {
                    findings.push(found);
                }
            }
        }
    }
    for left in ws.import_note()?.unwrap_or_default().left {
        let what =
            "it could not be read when this clone moved over, so what it says is not in the record"
                .to_owned();
        findings.push(finding("not-imported", left, what, Some(Cure::Import)));
    }
    Ok(())
}

/// The files of `stream` that are written here, and what stands in their place: the record's, and
/// this worktree's in a bus whose files are tracked.
pub(super) fn files_here(ws: &Workspace, stream: Stream) -> Vec<Place> {
    let layouts =
        [&ws.record].into_iter().chain(ws.reading_mode().reads_worktrees().then_some(&ws.layout));
    let files = layouts.flat_map(|layout| {
        ws.listed(&layout.folder(stream)).into_iter().map(move |entry| (layout, entry.name))
    });
    let lines =
        files.filter(|(_, name)| Path::new(name).extension().is_some_and(|end| end == "jsonl"));
    lines.filter_map(|(layout, name)| Some(layout.file(stream, name.to_str()?))).collect()
}

/// Temporary files and locks of refs that a killed process left.
pub(super) fn examine_leftovers(ws: &Workspace, findings: &mut Vec<Finding>) {
    let temporary = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
    let lock = |name: &str| name.ends_with(".lock");
    let mut look = |folder: PathBuf, wanted: &dyn Fn(&str) -> bool, name: &'static str| {
        for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
            let old = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
            let old = old.is_some_and(|time| {
                ws.clock.system().duration_since(time).unwrap_or_default() >= ABANDONED_AFTER
            });
            if entry.file_type().is_file() && wanted(&entry.file_name().to_string_lossy()) && old {
                let path = entry.into_path();
                let shown =
                    path.strip_prefix(ws.layout.root()).unwrap_or(&path).display().to_string();
                findings.push(finding(
                    name,
                    shown,
                    "a killed process left it".to_owned(),
                    Some(Cure::Remove(path)),
                ));
            }
        }
    };
    for folder in ROOTS {
        look(ws.layout.root().join(folder), &temporary, "temporary-file");
    }
    look(ws.private.folder(), &temporary, "temporary-file");
    look(ws.private.common().join("refs/bus"), &lock, "ref-lock");
}
