//! Reading the log of all worktrees as one.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::{AgentId, Event, EventKind, TaskId, Timestamp};
use crate::store::{Direction, Entry, Faults, Layout, Stream, Union};

/// Which events are wanted; an empty list wants all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// By these agents.
    pub(crate) agents: Vec<AgentId>,
    /// Of these sorts.
    pub(crate) events: Vec<EventKind>,
    /// About these tasks.
    pub(crate) tasks: Vec<TaskId>,
    /// Not before this time.
    pub(crate) since: Option<Timestamp>,
    /// Not after this time.
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    /// Whether `event` is wanted.
    #[must_use]
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let task = event.task_id.as_ref();
        (self.agents.is_empty() || self.agents.contains(&event.agent_id))
            && (self.events.is_empty() || self.events.contains(&event.event))
            && (self.tasks.is_empty() || task.is_some_and(|task| self.tasks.contains(task)))
            && self.since.is_none_or(|since| event.ts >= since)
            && self.until.is_none_or(|until| event.ts <= until)
    }
}

/// The wanted events of a bus, in order.
pub(crate) struct Feed {
    log: Union,
    filter: Filter,
    /// What was read ahead, so that the last events come out oldest first.
    ready: Option<VecDeque<Entry>>,
    left: usize,
}

/// The last `limit` events that `filter` wants, oldest first, or newest first where `reverse` is
/// set.
///
/// # Errors
///
/// [`Error::Store`] if a log file cannot be read.
pub(crate) fn feed(
    ws: &Workspace,
    filter: Filter,
    limit: Option<usize>,
    reverse: bool,
) -> Result<Feed, Error> {
    let direction =
        if reverse || limit.is_some() { Direction::Backward } else { Direction::Forward };
    let log = Union::open(log_files(ws), direction, &ws.sources())?;
    let mut feed = Feed { log, filter, ready: None, left: limit.unwrap_or(usize::MAX) };
    if direction == Direction::Backward && !reverse {
        let mut ready = VecDeque::new();
        while let Some(entry) = feed.next_event()? {
            ready.push_front(entry);
        }
        feed.left = usize::MAX;
        feed.ready = Some(ready);
    }
    Ok(feed)
}

/// All files of the log: of the record, of branches as far as they count, and of other clones.
/// Links are no log files.
pub(in crate::bus) fn log_files(ws: &Workspace) -> Vec<PathBuf> {
    readable_files(ws, Stream::Log)
}

/// All files of `stream`, those of other clones last.
pub(super) fn readable_files(ws: &Workspace, stream: Stream) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = files_of(ws, stream, ws.record_layouts());
    files.extend(clone_files(ws, stream));
    files
}

/// All files of `stream` in these layouts.
pub(super) fn files_of(ws: &Workspace, stream: Stream, layouts: &[Layout]) -> Vec<PathBuf> {
    layouts.iter().flat_map(|layout| ws.line_files(layout, stream)).collect()
}

/// The copies of other clones' files of `stream`.
pub(super) fn clone_files(ws: &Workspace, stream: Stream) -> Vec<PathBuf> {
    let clones = ws.private.clones().layouts();
    clones.into_iter().flat_map(|(_, layout)| ws.line_files(&layout, stream)).collect()
}

impl Feed {
    /// The next event.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a log file cannot be read.
    pub(crate) fn next_event(&mut self) -> Result<Option<Entry>, Error> {
        if let Some(ready) = &mut self.ready {
            return Ok(ready.pop_front());
        }
        while self.left > 0 {
            let Some(entry) = self.log.next_event()? else { return Ok(None) };
            if self.filter.wants(&entry.event) {
                self.left -= 1;
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The lines that were no events, so far.
    #[must_use]
    pub(crate) fn into_faults(self) -> Faults {
        self.log.into_faults()
    }
}
