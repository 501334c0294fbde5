//! The files of the queue, in all worktrees.

use std::collections::BTreeMap;
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
    /// What stands in the queue and is none of it.
    pub(super) faults: Vec<Error>,
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
            let mut here: BTreeMap<TaskId, ItemFile> = BTreeMap::new();
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
                match here.get_mut(&task) {
                    Some(file) => file.double = Some(place),
                    None => drop(here.insert(task, ItemFile { place, double: None })),
                }
            }
            for (task, file) in here {
                files.tasks.entry(task).or_insert(file);
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

    fn bad_item(&self, place: &Place, what: String) -> Error {
        Error::Malformed { place: self.show(place), line: 1, truth: None, fault: Fault::BadItem { what, line: 1 } }
    }
}
