//! Keeps the lines of a log file a second time, out of git's reach, until git can no longer take them along (design, section 4).
//!
//! While git holds `index.lock` it may have decided already what it overwrites: lines are then *held*, synced, until they are
//! back in the log. But git also takes lines along between two holds of it: `stash`, `rebase --autostash` and a `merge` that
//! gives up look at the tree first and reset it later. So the *recent* lines are kept, too, unsynced, for a minute at
//! least. What the log lacks then was lost, unless a commit has it.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::append::{Durable, open_to_append, write_lines};
use super::{Error, Place, RECENT, Verb, crash_point};
use crate::record::json;

/// How long a recent line is kept: longer than git takes from its look at the tree to its reset.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Where files have no time of birth: how long a journal of recent lines grows, in bytes.
const MAX_JOURNAL: u64 = 1024 * 1024;

/// How much of the ends of log and journal is compared, in bytes, before more is.
const GLANCE: u64 = 1024;

/// Where the lines of one log file are kept a second time.
#[derive(Clone, Copy)]
pub struct Journal<'a> {
    /// The worktree's `index.lock`.
    pub index_lock: &'a Path,
    /// The journal's files; none for lines that may be lost.
    pub files: Option<&'a JournalFiles>,
    /// Takes those lines of a log file out of a list that git has committed or stashed: they are not lost.
    pub forget_committed: &'a dyn Fn(&Place, &mut Vec<String>),
}

/// The files of a journal.
#[derive(Clone, Debug)]
pub struct JournalFiles {
    /// Lines that were written while git held the worktree.
    pub held: Place,
    /// Lines of the last seconds.
    pub recent: Place,
    /// Lines of the seconds before those.
    pub earlier: Place,
}

impl Journal<'_> {
    /// Whether git holds the worktree.
    #[must_use]
    pub fn git_holds(&self) -> bool {
        self.index_lock.exists()
    }

    /// Whether git may have taken lines of `log` along: a look that is cheap enough for all logs at each append. Where the
    /// whole log is gone, another branch is checked out, and only what is held must come back.
    #[must_use]
    pub fn is_suspicious(&self, log: &Place) -> bool {
        let Some(files) = &self.files else { return false };
        let times = || Some((fs::symlink_metadata(log.path()).ok()?.modified().ok()?, filled(&files.recent)?.modified().ok()?));
        let disturbed =
            |(log_time, journal)| log_time >= journal && !ends_alike(File::open(log.path()).ok().as_ref(), &files.recent);
        filled(&files.held).is_some() || times().is_some_and(disturbed)
    }

    /// The lines that `log` lacks and must get back; where the whole log is gone, only those that are held.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::WrongKind`] where one of the files cannot be read.
    pub fn lost_from(&self, log: &Place) -> Result<Vec<String>, Error> {
        let file = log.inspect()?.map(|_| File::open(log.path())).transpose();
        self.lost(log, file.map_err(Error::io(Verb::Read, &log.path()))?.as_ref(), false)
    }

    /// The lines that the open log `file` lacks; at a `glance` none where it ends as the journal does.
    pub(super) fn lost(&self, log: &Place, file: Option<&File>, glance: bool) -> Result<Vec<String>, Error> {
        let Some(files) = self.files else { return Ok(Vec::new()) };
        let holds = filled(&files.held).is_some();
        if !holds && glance && ends_alike(file, &files.recent) {
            return Ok(Vec::new());
        }
        let mut lost = lines_of(&files.held)?;
        if file.is_some() {
            lost.extend(lines_of(&files.earlier)?);
            lost.extend(lines_of(&files.recent)?);
        }
        let size: usize = lost.iter().map(|line| line.len() + 1).sum();
        let there = file.filter(|_| size > 0).map_or_else(|| Ok(Vec::new()), |file| read_tail(file, RECENT.max(2 * size as u64)));
        let there = there.map_err(Error::io(Verb::Read, &log.path()))?;
        let there: HashSet<&[u8]> =
            there.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")).collect();
        let mut once = HashSet::new();
        lost.retain(|line| !there.contains(line.as_bytes()) && once.insert(line.clone()));
        if !lost.is_empty() {
            (self.forget_committed)(log, &mut lost);
        }
        if lost.is_empty() && holds && !self.git_holds() {
            crash_point("journal-put-back");
            empty(&files.held)?;
        }
        Ok(lost)
    }

    /// Keeps `lines` until they are back in the log.
    pub(super) fn hold(&self, lines: &[String]) -> Result<(), Error> {
        self.files.map_or(Ok(()), |files| keep(&files.held, lines, Durable::Yes))
    }

    /// Keeps `lines` for a minute at least.
    pub(super) fn keep_recent(&self, lines: &[String]) -> Result<(), Error> {
        let Some(files) = self.files else { return Ok(()) };
        if let Some(recent) = filled(&files.recent) {
            let born_long_ago = recent.created().map_or(recent.len() > MAX_JOURNAL, is_long_ago);
            // Who keeps lines has just seen that the log has all that the journal has, or holds it.
            if is_old(&recent) {
                empty(&files.recent)?;
                filled(&files.earlier).map_or(Ok(()), |_| empty(&files.earlier))?;
            } else if born_long_ago {
                files.earlier.make_folders()?;
                let path = files.recent.path();
                fs::rename(&path, files.earlier.path()).map_err(Error::io(Verb::Rename, &path))?;
            }
        }
        keep(&files.recent, lines, Durable::No)
    }
}

/// What is known of a file that has something in it.
fn filled(place: &Place) -> Option<Metadata> {
    fs::symlink_metadata(place.path()).ok().filter(|metadata| metadata.is_file() && metadata.len() > 0)
}

fn is_old(journal: &Metadata) -> bool {
    journal.modified().is_ok_and(is_long_ago)
}

fn is_long_ago(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|age| age >= KEPT_FOR)
}

/// The whole lines of a journal file. A fragment is what a writer left that was killed: its line was never acknowledged.
fn lines_of(journal: &Place) -> Result<Vec<String>, Error> {
    if filled(journal).is_none() {
        return Ok(Vec::new());
    }
    let bytes = journal.read(usize::MAX - 1)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter(|line| json::parse_line(line.as_bytes()).is_ok()).map(str::to_owned).collect())
}

/// Whether the last line of the journal is the log's last.
fn ends_alike(log: Option<&File>, journal: &Place) -> bool {
    let end = |file: &File| read_tail(file, GLANCE).ok();
    let journal = File::open(journal.path()).ok();
    let (Some(log), Some(journal)) = (log.and_then(end), journal.as_ref().and_then(end)) else { return false };
    let lines = journal.strip_suffix(b"\n").unwrap_or_default();
    let last = memchr::memrchr(b'\n', lines).map_or(lines, |newline| &lines[newline + 1..]);
    !last.is_empty() && log.strip_suffix(b"\n").is_some_and(|log| log.ends_with(last))
}

/// The last bytes of an open file.
pub(super) fn read_tail(mut file: &File, size: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(size)))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(size)).unwrap_or(0) + 1);
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn keep(place: &Place, lines: &[String], durable: Durable) -> Result<(), Error> {
    let exists = place.inspect()?.is_some();
    if !exists {
        place.make_folders()?;
    }
    let path = place.path();
    let mut file = open_to_append(&path, !exists).map_err(Error::io(Verb::Write, &path))?;
    write_lines(&mut file, &path, lines, durable)
}

fn empty(journal: &Place) -> Result<(), Error> {
    let path = journal.path();
    File::options().write(true).truncate(true).open(&path).map(drop).map_err(Error::io(Verb::Write, &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Lock, append, put_back};
    use std::cell::RefCell;
    use std::io::Write;
    use std::path::PathBuf;

    struct Fixture {
        folder: tempfile::TempDir,
        lock: Lock,
        log: Place,
        index_lock: PathBuf,
        files: JournalFiles,
        committed: RefCell<Vec<String>>,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = |path: &str| Place::new(folder.path(), path);
            let lock = Lock::acquire(&place("lock"), "test", Duration::ZERO, |_| {}).unwrap();
            let files =
                JournalFiles { held: place("held/a.jsonl"), recent: place("recent/a.jsonl"), earlier: place("earlier/a.jsonl") };
            Self {
                log: place("log/a.jsonl"),
                index_lock: place("index.lock").path(),
                committed: RefCell::default(),
                files,
                lock,
                folder,
            }
        }

        fn with<T>(&self, what: impl Fn(&Journal<'_>) -> T) -> T {
            let forget_committed =
                |_: &Place, lines: &mut Vec<String>| lines.retain(|line| !self.committed.borrow().contains(line));
            what(&Journal { index_lock: &self.index_lock, files: Some(&self.files), forget_committed: &forget_committed })
        }

        fn append(&self, line: &str) {
            self.with(|journal| append(&self.lock, &self.log, line, journal)).unwrap();
        }

        fn put_back(&self) {
            self.with(|journal| put_back(&self.lock, &self.log, journal)).unwrap();
        }

        fn git_holds(&self, held: bool) {
            if held { put(&self.index_lock, "") } else { fs::remove_file(&self.index_lock).unwrap() }
        }

        /// As git replaces a file: removed, and made anew.
        fn git_writes(&self, text: &str) {
            fs::remove_file(self.log.path()).unwrap();
            put(&self.log.path(), text);
        }

        /// Lets a minute pass for the journal's lines.
        fn age(&self) {
            let file = File::options().write(true).open(self.files.recent.path()).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - KEPT_FOR).unwrap();
        }

        fn log(&self) -> String {
            fs::read_to_string(self.log.path()).unwrap_or_default().replace('\n', " ")
        }
    }

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_git_takes_along_while_it_holds_the_tree_is_put_back_afterwards_however_late() {
        let fixture = Fixture::new();
        fixture.append("{}");
        fixture.git_holds(true);
        fixture.append("[1]");
        fixture.append(r#"{"b":2}"#);
        fixture.git_writes("{}\n");
        fixture.put_back();
        assert_eq!(fixture.log(), "{} ", "git is not done");
        fixture.git_holds(false);
        fixture.age();
        fixture.put_back();
        assert_eq!(fixture.log(), r#"{} {"b":2} "#, "what is no record is not put back");
        fixture.put_back();
        assert!(filled(&fixture.files.held).is_none(), "what is back is held no longer");
    }

    #[test]
    fn what_git_takes_along_after_it_let_go_of_the_lock_is_put_back_too() {
        let fixture = Fixture::new();
        fixture.append("{}");
        fixture.git_holds(true);
        fixture.append(r#"{"b":2}"#);
        fixture.git_holds(false);
        fixture.put_back();
        assert!(filled(&fixture.files.held).is_none(), "it is there");
        fixture.git_writes("{}\n");
        fixture.append(r#"{"c":3}"#);
        assert_eq!(fixture.log(), r#"{} {"b":2} {"c":3} "#);
    }

    #[test]
    fn what_git_takes_along_without_a_lock_is_put_back_with_the_next_line() {
        let fixture = Fixture::new();
        for line in [r#"{"a":1}"#, r#"{"b":2}"#] {
            fixture.append(line);
        }
        fixture.git_writes("{\"a\":1}\n");
        fixture.append(r#"{"c":3}"#);
        assert_eq!(fixture.log(), r#"{"a":1} {"b":2} {"c":3} "#);
        fixture.git_writes("{\"a\":1}\n");
        fixture.age();
        fixture.append(r#"{"d":4}"#);
        assert_eq!(fixture.log(), r#"{"a":1} {"b":2} {"c":3} {"d":4} "#, "later, too, where the branch is the same");
    }

    #[test]
    fn what_git_has_committed_is_not_put_back() {
        let fixture = Fixture::new();
        fixture.append(r#"{"a":1}"#);
        fixture.append(r#"{"b":2}"#);
        fixture.committed.borrow_mut().push(r#"{"a":1}"#.to_owned());
        fixture.git_writes("");
        fixture.append(r#"{"c":3}"#);
        assert_eq!(fixture.log(), r#"{"b":2} {"c":3} "#);
    }

    #[test]
    fn after_a_minute_the_journal_begins_anew() {
        let fixture = Fixture::new();
        fixture.append(r#"{"a":1}"#);
        fixture.age();
        fixture.append(r#"{"b":2}"#);
        assert_eq!(fs::read_to_string(fixture.files.recent.path()).unwrap(), "{\"b\":2}\n");
    }

    #[test]
    fn a_swap_between_the_look_and_the_write_hides_no_earlier_line() {
        let fixture = Fixture::new();
        fixture.append(r#"{"a":1}"#);
        fixture.git_writes("");
        // The journal is younger than the log, and its last line is the log's last: what a write into the new file leaves.
        keep(&fixture.log, &[r#"{"b":2}"#.to_owned()], Durable::Yes).unwrap();
        keep(&fixture.files.recent, &[r#"{"b":2}"#.to_owned()], Durable::No).unwrap();
        assert_eq!(fixture.with(|journal| journal.lost_from(&fixture.log)).unwrap(), [r#"{"a":1}"#]);
        fixture.put_back();
        assert_eq!(fixture.log(), r#"{"b":2} {"a":1} "#);
    }

    #[test]
    fn however_much_is_written_the_lines_of_a_minute_are_kept() {
        let fixture = Fixture::new();
        let line = |number: usize| format!("{{\"n\":{number},\"x\":\"{}\"}}", "y".repeat(60_000));
        fixture.append("{}");
        (0..40).for_each(|number| fixture.append(&line(number)));
        fixture.git_writes("{}\n");
        fixture.append("{\"last\":1}");
        assert_eq!(fixture.log().matches("\"n\"").count(), 40);
        assert_eq!(fixture.log().matches("\"last\"").count(), 1);
    }

    #[test]
    fn a_log_that_git_is_about_to_make_is_not_made_under_its_hands() {
        let fixture = Fixture::new();
        fixture.git_holds(true);
        fixture.append("{}");
        assert!(!fixture.log.path().exists());
        fs::create_dir(fixture.folder.path().join("log")).unwrap();
        put(&fixture.log.path(), "{\"a\":1}\n");
        fixture.git_holds(false);
        fixture.put_back();
        assert_eq!(fixture.log(), "{\"a\":1} {} ");
    }
}
