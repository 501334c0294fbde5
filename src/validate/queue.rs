//! Queue items that wait for one another.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::{Found, Kind, Stands, name_of};
use super::finding::{Findings, Place};
use super::records::read;
use super::rule::Rule;
use crate::record::{QueueItem, TaskId, cycles, name_circle};
use crate::store::Error;

/// How many tasks all items name in `After` at most, and how many bytes they have.
const MAX_EDGES: usize = 500_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// As how many bytes a file counts besides its own.
const FILE_COST: usize = 1024;

/// Tells of circles among the queue items of `found`, at a file that is news.
///
/// # Errors
///
/// [`Error::Io`] if a file cannot be read.
pub(super) fn check_cycles(
    findings: &mut Findings,
    root: &Path,
    found: &[Found],
    is_news: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let files = || {
        found
            .iter()
            .filter(|file| file.kind == Some(Kind::QueueItem) && file.stands == Stands::Rightly)
    };
    if !files().any(|file| is_news(&file.path)) {
        return Ok(());
    }
    let mut items: BTreeMap<TaskId, (&str, QueueItem)> = BTreeMap::new();
    let (mut edges, mut bytes) = (0, 0);
    for file in files() {
        let Some(task) = QueueItem::task(name_of(&file.path)) else { continue };
        let text = read(&root.join(&file.path))?;
        bytes += text.len() + FILE_COST;
        let mut item = QueueItem::parse(&text).ok();
        edges += item.as_ref().map_or(0, |item| item.after.len());
        if edges > MAX_EDGES || bytes > MAX_BYTES {
            let words = || {
                let (edges, mib) = (MAX_EDGES, MAX_BYTES >> 20);
                format!(
                    "circles were not looked for: with this one the items name more than {edges} tasks in `After`, or have more than {mib} MiB"
                )
            };
            findings.add(Rule::TooMuch, &file.path, None, words);
            return Ok(());
        }
        if let Some(mut item) = item.take() {
            item.body = String::new();
            item.after = item.after.iter().map(QueueItem::canonical).collect();
            items.entry(QueueItem::canonical(&task)).or_insert((&file.path, item));
        }
    }
    let graph = items.iter().map(|(task, (_, item))| (task, item.after.as_slice())).collect();
    for circle in cycles(&graph) {
        let mut told =
            circle.iter().filter_map(|task| items.get(*task)).filter(|(path, _)| is_news(path));
        let Some((path, item)) = told.next() else { continue };
        let place = item.field("After").map(|field| Place::line(field.line));
        findings.add(Rule::QueueCycle, path, place, || {
            format!("each of these waits for the next: {}", name_circle(&circle))
        });
    }
    Ok(())
}
