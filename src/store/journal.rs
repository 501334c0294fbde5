//! Keeps the last lines of a log file a second time, out of git's reach, until git can no longer take them along
//! (design, section 4).
//!
//! git replaces a work tree's files under a writer: while it holds `index.lock`, and also between two holds of it (`stash`, `rebase
//! --autostash` and a `merge` that gives up look at the tree first and reset it later). So each line is kept here, too, for some seconds.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::append::{Durable, append, open_to_append, write_line};
use super::{Error, Lock, Place, RECENT, Verb, crash_point, replace};
use crate::record::json;

/// How long a journal is kept after its last line: longer than git takes from its look at the tree to its reset.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The longest journal, in bytes, that is not cut down to its younger half.
const MAX_JOURNAL: u64 = 1024 * 1024;

/// How much of the ends of both files is compared, in bytes, before more is.
const GLANCE: u64 = 1024;

/// Where the lines of one log file are kept a second time.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The worktree's `index.lock`: while it is there, git may have decided already what it overwrites.
    pub index_lock: PathBuf,
    /// The journal itself; none for lines that may be lost.
    pub place: Option<Place>,
}

impl Journal {
    /// Whether git holds the worktree.
    #[must_use]
    pub fn git_holds(&self) -> bool {
        self.index_lock.exists()
    }

    /// Keeps `line`.
    pub(super) fn keep(&self, line: &str, durable: Durable) -> Result<(), Error> {
        let Some(place) = &self.place else { return Ok(()) };
        let exists = place.inspect()?.is_some();
        if !exists {
            place.make_folders()?;
        }
        let path = place.path();
        let mut file = open_to_append(&path, !exists).map_err(Error::io(Verb::Write, &path))?;
        write_line(&mut file, &path, line, durable)
    }

    /// The journal and what is known of its file, where it has lines.
    fn waiting(&self) -> Option<(&Place, Metadata)> {
        let place = self.place.as_ref()?;
        let metadata = fs::symlink_metadata(place.path()).ok()?;
        (metadata.len() > 0).then_some((place, metadata))
    }

    /// The whole lines that the end of `log` lacks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::WrongKind`] where one of the files cannot be read.
    pub fn missing_from(&self, log: &Place) -> Result<Vec<String>, Error> {
        let Some((place, _)) = self.waiting() else { return Ok(Vec::new()) };
        let kept = place.read(usize::MAX - 1)?.unwrap_or_default();
        let there = tail(log, RECENT.max(2 * kept.len() as u64))?;
        let text = String::from_utf8_lossy(&kept);
        // A fragment is what a writer left that was killed: its line was never acknowledged.
        let whole = text.lines().filter(|line| json::parse_line(line.as_bytes()).is_ok());
        Ok(whole.filter(|line| !has_line(&there, line)).map(str::to_owned).collect())
    }
}

/// Puts the lines of `journal` that `log` lacks back into it, unless git holds the worktree. Lines that have been safe
/// for some seconds leave the journal.
///
/// # Errors
///
/// As [`append`]; the journal is then as it was.
pub fn put_back(held: &Lock, log: &Place, journal: &Journal) -> Result<(), Error> {
    let Some((place, kept)) = journal.waiting() else { return Ok(()) };
    let old = kept.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= KEPT_FOR));
    let long = kept.len() > MAX_JOURNAL;
    if journal.git_holds() || (!old && !long && is_undisturbed(log, place, &kept)?) {
        return Ok(());
    }
    let missing = journal.missing_from(log)?;
    // They stay in the journal: git may be at it again.
    let none = Journal { place: None, ..journal.clone() };
    missing.iter().try_for_each(|line| append(held, log, line, &none))?;
    crash_point("journal-put-back");
    match (missing.is_empty(), old, long) {
        (true, true, _) => empty(place),
        (true, false, true) => halve(place),
        _ => Ok(()),
    }
}

/// Whether nothing has replaced `log` since the journal's last line was written: a look that is cheap enough for each append.
fn is_undisturbed(log: &Place, journal: &Place, kept: &Metadata) -> Result<bool, Error> {
    let Ok(there) = fs::symlink_metadata(log.path()) else { return Ok(false) };
    if matches!((there.modified(), kept.modified()), (Ok(log), Ok(journal)) if log < journal) {
        return Ok(true);
    }
    // Both were written within one tick of the clock, or the log later: it is intact where the last line still ends it.
    let glance = tail(journal, GLANCE)?;
    let lines = glance.strip_suffix(b"\n").unwrap_or_default();
    let last = memchr::memrchr(b'\n', lines).map_or(lines, |newline| &lines[newline + 1..]);
    Ok(tail(log, GLANCE)?.strip_suffix(b"\n").is_some_and(|log| !last.is_empty() && log.ends_with(last)))
}

/// Whether the last MiB of the file at `place` has `line`, whole: a fragment that a writer left behind does not count.
///
/// # Errors
///
/// As [`Place::inspect`].
pub fn recently_has(place: &Place, line: &str) -> Result<bool, Error> {
    Ok(has_line(&tail(place, RECENT)?, line))
}

fn has_line(bytes: &[u8], line: &str) -> bool {
    memchr::memmem::find(bytes, format!("{line}\n").as_bytes()).is_some()
}

/// The last bytes of the file at `place`; none where there is no file.
fn tail(place: &Place, size: u64) -> Result<Vec<u8>, Error> {
    if place.inspect()?.is_none() {
        return Ok(Vec::new());
    }
    let path = place.path();
    read_tail(&path, size).map_err(Error::io(Verb::Read, &path))
}

fn read_tail(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(size)))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(size)).unwrap_or(0) + 1);
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn empty(journal: &Place) -> Result<(), Error> {
    let path = journal.path();
    File::options().write(true).truncate(true).open(&path).map(drop).map_err(Error::io(Verb::Write, &path))
}

fn halve(journal: &Place) -> Result<(), Error> {
    let bytes = tail(journal, MAX_JOURNAL / 2)?;
    let whole = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |newline| newline + 1);
    replace(journal, &bytes[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Fixture {
        folder: tempfile::TempDir,
        lock: Lock,
        log: Place,
        journal: Journal,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let lock = Lock::acquire(&Place::new(folder.path(), "lock"), "test", Duration::ZERO, |_| {}).unwrap();
            let journal = Journal {
                index_lock: folder.path().join("index.lock"),
                place: Some(Place::new(folder.path(), "journal/a.jsonl")),
            };
            Self { log: Place::new(folder.path(), "log/a.jsonl"), folder, lock, journal }
        }

        fn append(&self, line: &str) {
            put_back(&self.lock, &self.log, &self.journal).unwrap();
            append(&self.lock, &self.log, line, &self.journal).unwrap();
        }

        fn put_back(&self) {
            put_back(&self.lock, &self.log, &self.journal).unwrap();
        }

        fn git_holds(&self, held: bool) {
            if held { put(&self.journal.index_lock, "") } else { fs::remove_file(&self.journal.index_lock).unwrap() }
        }

        /// As git replaces a file: removed, and made anew.
        fn git_writes(&self, text: &str) {
            fs::remove_file(self.log.path()).unwrap();
            put(&self.log.path(), text);
        }

        fn kept(&self) -> Place {
            self.journal.place.clone().unwrap()
        }

        fn age(&self) {
            let file = File::options().write(true).open(self.kept().path()).unwrap();
            let time = file.metadata().unwrap().modified().unwrap() - KEPT_FOR;
            file.set_modified(time).unwrap();
        }

        fn texts(&self) -> (String, String) {
            let text = |place: &Place| fs::read_to_string(place.path()).unwrap_or_default().replace('\n', " ");
            (text(&self.log), text(&self.kept()))
        }
    }

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn both(log: &str, journal: &str) -> (String, String) {
        (log.to_owned(), journal.to_owned())
    }

    #[test]
    fn what_git_takes_along_while_it_holds_the_tree_is_put_back_afterwards() {
        let fixture = Fixture::new();
        fixture.append("{}");
        fixture.git_holds(true);
        fixture.append("[1]");
        fixture.append("{\"b\":2}");
        fixture.git_writes("{}\n");
        fixture.put_back();
        assert_eq!(fixture.texts().0, "{} ", "git is not done");
        fixture.git_holds(false);
        fixture.put_back();
        assert_eq!(fixture.texts(), both("{} {\"b\":2} ", "{} [1] {\"b\":2} "), "what is no record is not put back");
    }

    #[test]
    fn what_git_takes_along_without_a_lock_is_put_back_for_some_seconds() {
        let fixture = Fixture::new();
        for line in ["{\"a\":1}", "{\"b\":2}"] {
            fixture.append(line);
        }
        fixture.git_writes("{\"a\":1}\n");
        fixture.append("{\"c\":3}");
        assert_eq!(fixture.texts().0, "{\"a\":1} {\"b\":2} {\"c\":3} ");
        fixture.age();
        fixture.put_back();
        assert_eq!(fixture.texts(), both("{\"a\":1} {\"b\":2} {\"c\":3} ", ""), "what is safe for long leaves the journal");
        fixture.git_writes("{\"a\":1}\n");
        fixture.append("{\"d\":4}");
        assert_eq!(fixture.texts(), both("{\"a\":1} {\"d\":4} ", "{\"d\":4} "), "what git was asked to throw away stays away");
    }

    #[test]
    fn an_old_journal_is_not_emptied_before_its_lines_are_safe() {
        let fixture = Fixture::new();
        fixture.append("{\"a\":1}");
        fixture.git_writes("");
        fixture.age();
        fixture.put_back();
        assert_eq!(fixture.texts(), both("{\"a\":1} ", "{\"a\":1} "));
        fixture.put_back();
        assert_eq!(fixture.texts(), both("{\"a\":1} ", ""));
    }

    #[test]
    fn a_long_journal_keeps_its_younger_half() {
        let fixture = Fixture::new();
        let line = |number: usize| format!("{{\"n\":{number},\"x\":\"{}\"}}", "y".repeat(60_000));
        (0..40).for_each(|number| fixture.append(&line(number)));
        let kept = fixture.texts().1;
        assert!((kept.len() as u64) <= MAX_JOURNAL + 120_000, "{}", kept.len());
        assert!(kept.starts_with('{') && kept.contains("{\"n\":39,"), "whole lines, the youngest among them");
        assert_eq!(fixture.texts().0.matches("\"n\"").count(), 40, "nothing is put back that is there");
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
        assert_eq!(fixture.texts().0, "{\"a\":1} {} ");
    }
}
