//! The feed as it grows: all events of all worktrees, each once, as they are written (design,
//! sections 4 and 6).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::feed;
use super::feed::Filter;
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::CursorName;
use crate::store::{
    Cursor, Entry, Faults, Follow, Fresh, Hints, Layout, RECENT, Stream, raise_file_limit,
};

/// How often everything is looked at where notifications work: one may be missing, and network file
/// systems send none.
const TICK: Duration = Duration::from_secs(5);

/// After how many such looks the folders are listed, changed or not.
const MAX_TICKS: u32 = 12;

/// What `bus watch` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchQuery {
    /// Which events.
    pub(crate) filter: Filter,
    /// How many of those that stand in the log already; all if there is no limit.
    pub(crate) limit: Option<usize>,
    /// The cursor that is read.
    pub(crate) cursor: Option<CursorName>,
}

/// A feed that goes on.
pub(crate) struct Watch<'a> {
    ws: &'a Workspace,
    follow: Follow,
    cursor: Option<Cursor>,
    filter: Filter,
    hints: Option<Hints>,
    /// The folders whose coming and going matters, whether they are there or not, and when each was
    /// changed last.
    folders: BTreeMap<PathBuf, Option<SystemTime>>,
    /// The files of the log when the folders were last listed, and how often they have been looked
    /// at since.
    files: (BTreeSet<PathBuf>, u32),
    due: Due,
    /// What could not be read, as it was said.
    said: BTreeSet<String>,
    began: Instant,
}

/// What is to be looked at next.
enum Due {
    Nothing,
    Files(BTreeSet<PathBuf>),
    Everything,
}

/// What stood in the log when the watching began.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The wanted events, oldest first.
    pub(crate) events: Vec<Entry>,
    /// Lines that are no events.
    pub(crate) bad: Faults,
    /// The cursor was not there before.
    pub(crate) new_cursor: bool,
}

/// Begins to watch the log. A cursor that has shown events before goes on where it was; else the
/// last events come first.
///
/// # Errors
///
/// [`Error::Store`] if the log cannot be read, or another process has the cursor.
pub(crate) fn watch(ws: &Workspace, query: WatchQuery) -> Result<(Watch<'_>, Backlog), Error> {
    raise_file_limit();
    let place = query.cursor.map(|name| ws.private.cursor(&name));
    let (cursor, resumed) =
        place.map(|place| Cursor::open(&place, ws.sources())).transpose()?.unzip();
    let mut backlog = Backlog::default();
    let follow = match resumed.flatten() {
        Some(follow) => follow,
        None => {
            let mut follow = Follow::from_end(feed::log_files(ws), ws.clock.now(), ws.sources())?;
            backlog = read_backlog(&mut follow, &query.filter, query.limit)?;
            backlog.new_cursor = cursor.is_some();
            follow
        }
    };
    let watch = Watch {
        ws,
        follow,
        cursor,
        filter: query.filter,
        hints: None,
        folders: BTreeMap::new(),
        files: (BTreeSet::new(), MAX_TICKS),
        due: Due::Everything,
        said: BTreeSet::new(),
        began: Instant::now(),
    };
    Ok((watch, backlog))
}

/// All that counts as a record, with the worktrees that there are now.
fn layouts_now(ws: &Workspace) -> Vec<Layout> {
    ws.record_layouts_with(
        ws.repo.worktrees().into_iter().map(|worktree| Layout::new(worktree.root)),
    )
}

/// The folders that hold the log in `layouts`, or may come to hold it.
fn log_folders(ws: &Workspace, layouts: &[Layout]) -> BTreeSet<PathBuf> {
    let of_layout =
        |layout: &Layout| [layout.root().to_owned(), layout.root().join("_bus"), layout.events()];
    let clones = ws.private.clones();
    let mut folders: BTreeSet<PathBuf> = layouts.iter().flat_map(of_layout).collect();
    folders.extend(clones.layouts().iter().flat_map(|(_, layout)| of_layout(layout)));
    folders.extend(clones.folder().map(Path::to_owned));
    let common = ws.private.common();
    folders.extend([common.to_owned(), ws.private.folder()]);
    if ws.reading_mode().reads_worktrees() {
        let linked = common.join("worktrees");
        let names = ws.listed(&linked).into_iter().filter(|entry| entry.is_folder);
        folders.extend(names.map(|entry| linked.join(entry.name)));
        folders.insert(linked);
    }
    folders
}

/// The last events that are wanted. A merge may bring old lines to the end of a file, so the first
/// that is too old ends nothing; a MiB of them in a row does.
fn read_backlog(
    follow: &mut Follow,
    filter: &Filter,
    limit: Option<usize>,
) -> Result<Backlog, Error> {
    let mut log = follow.backlog()?;
    let mut events = Vec::new();
    let mut too_old = 0;
    while events.len() < limit.unwrap_or(usize::MAX) && too_old < RECENT {
        let Some(entry) = log.next_event()? else { break };
        let old = filter.since.is_some_and(|since| entry.event.ts < since);
        too_old = if old { too_old + entry.line.len() as u64 } else { 0 };
        if filter.wants(&entry.event) {
            follow.remember(&entry.line);
            events.push(entry);
        }
    }
    events.reverse();
    Ok(Backlog { events, bad: log.into_faults(), new_cursor: false })
}

impl Watch<'_> {
    /// Notes, for a new cursor, that the backlog was shown, and that all before it counts as shown.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the log cannot be read or the cursor not be written.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        let Some(cursor) = self.cursor.as_mut().filter(|cursor| cursor.is_new()) else {
            return Ok(());
        };
        Ok(cursor.begin(&mut self.follow)?)
    }

    /// Reads what is due: once everything, later what [`Watch::wait`] was given hints of. Where
    /// [`Fresh::more`] is set, there is more to read at once.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the log cannot be read any more.
    pub(crate) fn read(&mut self) -> Result<Fresh, Error> {
        let fresh = match std::mem::replace(&mut self.due, Due::Nothing) {
            Due::Nothing => Fresh::default(),
            Due::Files(files) => {
                let fresh = self.follow.look(&files)?;
                self.due = if fresh.more { Due::Files(files) } else { Due::Nothing };
                fresh
            }
            Due::Everything => {
                self.list();
                let fresh = self.follow.look_everywhere(&self.files.0)?;
                self.due = if fresh.more { Due::Everything } else { Due::Nothing };
                fresh
            }
        };
        Ok(fresh)
    }

    /// The root of the worktree that is watched from.
    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        self.ws.root()
    }

    /// Lists the files of the log, and watches their folders. Where no folder has changed, the list
    /// stands: to open a folder would be a notification, too, and wake this very process.
    fn list(&mut self) {
        let unchanged = self.folders.iter().all(|(folder, time)| changed_at(folder) == *time);
        self.files.1 += 1;
        if unchanged && self.files.1 < MAX_TICKS {
            return;
        }
        // The times first, then the list: what changes in between is listed again.
        let folders = log_folders(self.ws, &layouts_now(self.ws)).into_iter();
        self.folders = folders.map(|folder| (folder.clone(), changed_at(&folder))).collect();
        if let Some(hints) = &mut self.hints {
            hints.watch(self.folders.keys().cloned());
        }
        // A worktree may have come while its folders were not yet watched.
        let mut files: BTreeSet<PathBuf> =
            feed::files_of(self.ws, Stream::Log, &layouts_now(self.ws)).into_iter().collect();
        files.extend(feed::clone_files(self.ws, Stream::Log));
        self.files = (files, 0);
    }

    /// The events of `fresh` that are wanted.
    pub(crate) fn wanted<'f>(&self, fresh: &'f Fresh) -> impl Iterator<Item = &'f Entry> {
        fresh.entries.iter().filter(|entry| self.filter.wants(&entry.event))
    }

    /// What of `fresh` could not be read and was not said before.
    pub(crate) fn unreadable(&mut self, fresh: &Fresh) -> Vec<String> {
        let said = fresh.unreadable.iter().map(ToString::to_string);
        said.filter(|text| self.said.insert(text.clone())).collect()
    }

    /// Notes, for the cursor, that `fresh` was shown.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the cursor cannot be written.
    pub(crate) fn shown(&mut self, fresh: &Fresh) -> Result<(), Error> {
        Ok(self.cursor.as_mut().map_or(Ok(()), |cursor| cursor.shown(fresh))?)
    }

    /// Lets [`Watch::wait`] wait for `hints`.
    pub(crate) fn follow(&mut self, hints: Hints) {
        self.hints = Some(hints);
        self.due = Due::Everything;
    }

    /// Learns what stood in the log when the watching began, so that it is known wherever it turns
    /// up again: a short log at once, a long one when it is watched for a while.
    fn learn(&mut self) -> Result<(), Error> {
        let soon = self.follow.length() <= RECENT || self.began.elapsed() >= TICK;
        if soon { Ok(self.follow.learn()?) } else { Ok(()) }
    }

    /// Why the system sends no notifications, where it sends none.
    #[must_use]
    pub(crate) fn no_notifications(&self) -> Option<&str> {
        self.hints.as_ref().and_then(Hints::fault)
    }

    /// Waits until something may have been written, at most so long; `false` where the watching is
    /// to end.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the log cannot be read any more.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Result<bool, Error> {
        self.learn()?;
        let Some(hints) = self.hints.as_mut() else { return Ok(true) };
        if !matches!(self.due, Due::Nothing) {
            let hint = hints.poll();
            if hint.everything || !hint.paths.is_empty() {
                self.due = Due::Everything;
            }
            return Ok(!hint.stop);
        }
        let hint = hints.wait(at_most.min(TICK));
        if hint.everything || hint.paths.iter().any(|path| self.changes_everything(path)) {
            self.due = Due::Everything;
        } else {
            let files: BTreeSet<PathBuf> =
                hint.paths.into_iter().filter(|path| is_log(path)).collect();
            self.due = if files.is_empty() { Due::Nothing } else { Due::Files(files) };
        }
        Ok(!hint.stop)
    }

    /// Whether a worktree or a folder of the log has come or gone.
    fn changes_everything(&self, path: &Path) -> bool {
        let below = |folder: PathBuf| {
            path.starts_with(folder) && path.extension().is_none_or(|end| end != "jsonl")
        };
        let worktrees = self.ws.private.common().join("worktrees");
        self.folders.contains_key(path)
            || path.parent() == Some(&worktrees)
            || (path.starts_with(worktrees) && path.ends_with("gitdir"))
            || self.ws.private.clones().folder().is_some_and(|clones| below(clones.to_owned()))
    }
}

/// When something was made, removed or replaced in a folder.
fn changed_at(folder: &Path) -> Option<SystemTime> {
    std::fs::symlink_metadata(folder).and_then(|metadata| metadata.modified()).ok()
}

/// Whether a log may stand at `path`. A folder that is a link is nobody's log.
fn is_log(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| folder.ends_with("events") && !folder.is_symlink());
    path.extension().is_some_and(|end| end == "jsonl") && folder.is_some()
}
