//! Queue items that wait for one another.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::{Found, Kind, Stands, name_of};
use super::finding::{Findings, Place};
use super::records::read;
use super::rule::Rule;
use crate::record::{QueueItem, TaskId, cycles, name_circle};
use crate::store::Error;

/// Tells of circles among the queue items of `found`, at a file that is news.
///
/// # Errors
///
/// [`Error::Io`] where a file cannot be read.
pub(super) fn check_cycles(
    findings: &mut Findings,
    root: &Path,
    found: &[Found],
    is_news: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let files = || found.iter().filter(|file| file.kind == Some(Kind::QueueItem) && file.stands == Stands::Rightly);
    if !files().any(|file| is_news(&file.path)) {
        return Ok(());
    }
    let mut items: BTreeMap<TaskId, (&str, QueueItem)> = BTreeMap::new();
    for file in files() {
        let Some(task) = QueueItem::task(name_of(&file.path)) else { continue };
        if let Ok(mut item) = QueueItem::parse(&read(&root.join(&file.path))?) {
            item.after = item.after.iter().map(QueueItem::canonical).collect();
            items.entry(QueueItem::canonical(&task)).or_insert((&file.path, item));
        }
    }
    let graph = items.iter().map(|(task, (_, item))| (task, item.after.as_slice())).collect();
    for circle in cycles(&graph) {
        let mut told = circle.iter().filter_map(|task| items.get(*task)).filter(|(path, _)| is_news(path));
        let Some((path, item)) = told.next() else { continue };
        let place = item.field("After").map(|field| Place::line(field.line));
        findings.add(Rule::QueueCycle, path, place, || format!("each of these waits for the next: {}", name_circle(&circle)));
    }
    Ok(())
}
