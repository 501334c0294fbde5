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
    /// The files of each task, in the first worktree that has any: this one, the main one, the others by name.
    pub(super) tasks: BTreeMap<TaskId, Vec<Place>>,
    /// What stands in the queue and is none of it.
    pub(super) faults: Vec<Error>,
}

impl Bus {
    /// Lists the files of the queue.
    pub(super) fn queue_files(&self) -> QueueFiles {
        let mut files = QueueFiles::default();
        for layout in self.layouts() {
            let mut here: BTreeMap<TaskId, Vec<Place>> = BTreeMap::new();
            let mut names = self.queue_names(layout).unwrap_or_else(|error| {
                files.faults.push(error);
                Vec::new()
            });
            names.sort_unstable();
            for name in names {
                let place = layout.queue_item(&name);
                match QueueItem::task(&name) {
                    Some(task) => here.entry(task).or_default().push(place),
                    None => files.faults.push(self.bad_item(&place, "its name is not of the form `NNN-slug.md`".to_owned())),
                }
            }
            for (task, places) in here {
                files.tasks.entry(task).or_insert(places);
            }
        }
        files
    }

    /// The names of a worktree's files that should be queue items.
    fn queue_names(&self, layout: &Layout) -> Result<Vec<String>, Error> {
        // A folder that is a link is not followed.
        layout.queue_item("-").inspect()?;
        let folder = layout.queue();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::io(Verb::Read, &folder))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".md") && name.as_bytes()[0].is_ascii_digit()).collect())
    }

    /// Reads the queue item that stands in `places`: there must be one.
    pub(super) fn queue_item(&self, places: &[Place]) -> Result<QueueItem, Error> {
        if let [first, second, ..] = places {
            return Err(self.bad_item(second, format!("`{}` has the same number", self.show(first))));
        }
        let Some(place) = places.first() else { return Err(self.bad_item(&self.layout.queue_item(""), "it is gone".to_owned())) };
        let bytes = place.read(MAX_RECORD)?.ok_or_else(|| self.bad_item(place, "it is gone".to_owned()))?;
        QueueItem::parse(&bytes).map_err(Error::malformed(self.show(place), &bytes))
    }

    fn bad_item(&self, place: &Place, what: String) -> Error {
        Error::Malformed { place: self.show(place), line: 1, truth: None, fault: Fault::BadItem { what, line: 1 } }
    }
}
