//! The files of the queue, in all worktrees.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;

use super::{Bus, Error};
use crate::record::json::MAX_RECORD;
use crate::record::{Fault, QueueItem, TaskId};
use crate::store::{Error as StoreError, Layout, Place, Verb};

/// The files of the queue, by what their names say.
#[derive(Debug, Default)]
pub(super) struct QueueFiles {
    /// The file of each task, in the first worktree that has one: this one, the main one, the others by name.
    pub(super) tasks: BTreeMap<TaskId, ItemFile>,
    /// How the files spell each of them, by the spelling of new ones: `012-x.md` and `0012-x.md` are one task's.
    spelled: BTreeMap<TaskId, TaskId>,
    /// What stands in the queue and is none of it.
    pub(super) faults: Vec<Error>,
}

impl QueueFiles {
    /// How the queue spells the task that is asked for: it knows `QUEUE-12` as `QUEUE-012`.
    pub(super) fn spelling<'a>(&'a self, asked: &'a TaskId) -> &'a TaskId {
        self.spelled.get(&QueueItem::canonical(asked)).unwrap_or(asked)
    }
}

/// The file of a task.
#[derive(Debug)]
pub(super) struct ItemFile {
    pub(super) place: Place,
    /// Another file of the same worktree with the same number.
    double: Option<Place>,
}

impl Bus {
    /// Lists the files of the queue.
    pub(super) fn queue_files(&self) -> QueueFiles {
        let mut files = QueueFiles::default();
        for layout in self.layouts() {
            let mut here: BTreeMap<TaskId, (TaskId, ItemFile)> = BTreeMap::new();
            let mut names = self.queue_names(layout).unwrap_or_else(|error| {
                files.faults.push(error);
                Vec::new()
            });
            names.sort_unstable();
            for name in names {
                let place = layout.queue_item(&name);
                let Some(task) = QueueItem::task(&name) else {
                    files.faults.push(self.bad_item(&place, "its name is not of the form `NNN-slug.md`".to_owned()));
                    continue;
                };
                match here.get_mut(&QueueItem::canonical(&task)) {
                    Some((_, file)) => file.double = Some(place),
                    None => drop(here.insert(QueueItem::canonical(&task), (task, ItemFile { place, double: None }))),
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
    fn queue_names(&self, layout: &Layout) -> Result<Vec<String>, Error> {
        let folder = layout.queue();
        if folder.is_symlink() {
            return Err(StoreError::WrongKind { path: folder, found: "a symlink", expected: "a folder" }.into());
        }
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::io(Verb::Read, &folder))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".md") && name.as_bytes()[0].is_ascii_digit()).collect())
    }

    /// Reads a queue item.
    pub(super) fn queue_item(&self, file: &ItemFile) -> Result<QueueItem, Error> {
        let ItemFile { place, double } = file;
        if let Some(double) = double {
            return Err(self.bad_item(double, format!("`{}` has the same number", self.show(place))));
        }
        let bytes = place.read(MAX_RECORD)?.ok_or_else(|| self.bad_item(place, "it is gone".to_owned()))?;
        QueueItem::parse(&bytes).map_err(Error::malformed(self.show(place), &bytes))
    }

    pub(super) fn bad_item(&self, place: &Place, what: String) -> Error {
        Error::Malformed { place: self.show(place), line: 1, truth: None, fault: Fault::BadItem { what, line: 1 } }
    }
}
