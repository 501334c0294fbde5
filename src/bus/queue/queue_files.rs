//! The files of the queue, in all worktrees.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;

use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::json::MAX_RECORD;
use crate::record::{Fault, QueueItem, TaskId};
use crate::store::{Error as StoreError, Layout, Place, Verb};

/// How many bytes of the queue's files are read in all, beside the first ones of each: a branch can
/// bring as many as it likes.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How many bytes of each file do not count, so that no file keeps a short one from being read.
const FREE_BYTES: usize = 16 * 1024;

/// The files of the queue, by what their names say.
#[derive(Debug, Default)]
pub(in crate::bus) struct QueueFiles {
    /// The file of each task, in the first worktree that has one: this one, the main one, the
    /// others by name.
    pub(in crate::bus) tasks: BTreeMap<TaskId, ItemFile>,
    /// How the files spell each of them, by the spelling of new ones: `012-x.md` and `0012-x.md`
    /// are one task's.
    spelled: BTreeMap<TaskId, TaskId>,
    /// What stands in the queue and is none of it.
    pub(in crate::bus) faults: Vec<Error>,
}

impl QueueFiles {
    /// How the queue spells the task that is asked for: it knows `QUEUE-12` as `QUEUE-012`.
    pub(in crate::bus) fn spelling<'a>(&'a self, asked: &'a TaskId) -> &'a TaskId {
        self.spelled.get(&QueueItem::canonical(asked)).unwrap_or(asked)
    }
}

/// The file of a task.
#[derive(Debug)]
pub(in crate::bus) struct ItemFile {
    pub(in crate::bus) place: Place,
    /// Another file of the same worktree with the same number.
    double: Option<Place>,
}

/// Lists the files of the queue.
pub(in crate::bus) fn queue_files(ws: &Workspace) -> QueueFiles {
    let mut files = QueueFiles::default();
    for layout in ws.layouts() {
        let mut here: BTreeMap<TaskId, (TaskId, ItemFile)> = BTreeMap::new();
        let mut names = queue_names(ws, layout).unwrap_or_else(|error| {
            files.faults.push(error);
            Vec::new()
        });
        names.sort_unstable();
        for name in names {
            let place = layout.queue_item(&name);
            let Some(task) = QueueItem::task(&name) else {
                files.faults.push(bad_item(
                    ws,
                    &place,
                    "its name is not of the form `NNN-slug.md`".to_owned(),
                ));
                continue;
            };
            match here.get_mut(&QueueItem::canonical(&task)) {
                Some((_, file)) => file.double = Some(place),
                None => {
                    drop(here.insert(
                        QueueItem::canonical(&task),
                        (task, ItemFile { place, double: None }),
                    ))
                }
            }
        }
        for (canonical, (task, file)) in here {
            if let Entry::Vacant(vacant) = files.spelled.entry(canonical) {
                vacant.insert(task.clone());
                files.tasks.insert(task, file);
            }
        }
    }
    files
}

/// The names of a worktree's files that should be queue items.
fn queue_names(_ws: &Workspace, layout: &Layout) -> Result<Vec<String>, Error> {
    let folder = layout.queue();
    if folder.is_symlink() {
        return Err(StoreError::WrongKind {
            path: folder,
            found: "a symlink",
            expected: "a folder",
        }
        .into());
    }
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StoreError::io(Verb::Read, &folder))?,
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".md") && name.as_bytes()[0].is_ascii_digit()).collect())
}

/// Reads a queue item, if its length is not more than `left`, of which its first bytes are free;
/// what it takes is taken from that.
pub(super) fn queue_item(
    ws: &Workspace,
    file: &ItemFile,
    left: &mut usize,
) -> Result<QueueItem, Error> {
    let ItemFile { place, double } = file;
    if let Some(double) = double {
        return Err(bad_item(ws, double, format!("`{}` has the same number", ws.show(place))));
    }
    let bytes =
        place.read(MAX_RECORD)?.ok_or_else(|| bad_item(ws, place, "it is gone".to_owned()))?;
    let Some(less) = left.checked_sub(bytes.len().saturating_sub(FREE_BYTES)) else {
        let mib = MAX_BYTES >> 20;
        let what = format!("the long files of the queue have more than {mib} MiB in all");
        return Err(bad_item(ws, place, what));
    };
    *left = less;
    QueueItem::parse(&bytes).map_err(Error::malformed(ws.show(place), &bytes))
}

pub(super) fn bad_item(ws: &Workspace, place: &Place, what: String) -> Error {
    Error::Malformed {
        place: ws.show(place),
        line: 1,
        truth: None,
        fault: Fault::BadItem { what, line: 1 },
    }
}
