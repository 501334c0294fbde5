//! Appends lines to JSONL files that git may replace at any moment (design, section 4).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::replace::sync_folder;
use super::{Error, Lock, Place, RECENT, Verb, crash_point};

/// How often a file may be swapped under one append before git is taken to be gone mad.
const MAX_SWAPS: usize = 100;

/// Where lines are kept safe while git holds the worktree.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The worktree's `index.lock`: while it is there, git may have decided already what it overwrites.
    pub index_lock: PathBuf,
    /// The journal itself; none for lines that may be lost then.
    pub place: Option<Place>,
}

/// Appends `line` to the file at `place` and returns once it is on disk.
///
/// The line goes out in one write, newline last. If an earlier writer died in the middle of a line, its fragment is
/// closed off first, so that it spoils only itself. While git holds the worktree, the line also goes to `journal`.
///
/// # Errors
///
/// [`Error::WrongKind`] where a link or a folder is in the way; [`Error::Io`] when the disk refuses: the line is then not
/// in the log, or there as a fragment that readers skip.
pub fn append(_held: &Lock, place: &Place, line: &str, journal: &Journal) -> Result<(), Error> {
    let path = place.path();
    let git_holds = || journal.index_lock.exists();
    for _ in 0..MAX_SWAPS {
        let mut file = match place.inspect()? {
            // Not made anew where git removes it just now: it would stand in the way of git's own.
            Some(_) => match open(&path, Missing::Refuse) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened,
            },
            None => {
                if git_holds() {
                    return keep_safe(journal, line);
                }
                place.make_folders()?;
                match open(&path, Missing::Create) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    opened => opened,
                }
            }
        }
        .map_err(Error::io(Verb::Write, &path))?;
        // A file that git is still filling would be written over: this look comes after the file was opened.
        let held_before = git_holds();
        write_line(&mut file, &path, line)?;
        crash_point("line-appended");
        // First this, then the file's identity: if git is done by now, the swap has happened and shows below.
        if held_before || git_holds() {
            keep_safe(journal, line)?;
        }
        if same_file(&file, &path)? {
            return Ok(());
        }
    }
    let busy = io::Error::new(io::ErrorKind::ResourceBusy, "the file is replaced again and again");
    Err(Error::io(Verb::Write, &path)(busy))
}

/// Appends `line` to the journal, where there is one.
fn keep_safe(journal: &Journal, line: &str) -> Result<(), Error> {
    let Some(place) = &journal.place else { return Ok(()) };
    place.make_folders()?;
    let path = place.path();
    let missing = if place.inspect()?.is_some() { Missing::Refuse } else { Missing::Create };
    let mut file = open(&path, missing).map_err(Error::io(Verb::Write, &path))?;
    write_line(&mut file, &path, line)
}

/// Puts lines of `journal` that the log lacks back into it, and empties the journal, unless git holds the worktree.
///
/// `target` says which file of the log a line belongs to; a line that belongs to none is dropped from the journal
/// only after the others are safe.
///
/// # Errors
///
/// As [`append`]; the journal is then as it was.
pub fn put_back(held: &Lock, journal: &Journal, target: impl Fn(&str) -> Option<Place>) -> Result<(), Error> {
    let Some(journal_place) = &journal.place else { return Ok(()) };
    let path = journal_place.path();
    let waiting = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
    if !waiting || journal.index_lock.exists() {
        return Ok(());
    }
    journal_place.inspect()?;
    let bytes = fs::read(&path).map_err(Error::io(Verb::Read, &path))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<(&str, Place)> = text.lines().filter_map(|line| Some((line, target(line)?))).collect();
    for _ in 0..MAX_SWAPS {
        // What git does after this look, it does with these lines in sight.
        if journal.index_lock.exists() {
            return Ok(());
        }
        let mut all_there = true;
        for (line, place) in &lines {
            if !recently_has(place, line)? {
                all_there = false;
                append(held, place, line, journal)?;
            }
        }
        if all_there {
            crash_point("journal-put-back");
            return File::options().write(true).truncate(true).open(&path).map(drop).map_err(Error::io(Verb::Write, &path));
        }
    }
    Ok(())
}

/// Whether the last line of the file at `place` has no newline: its writer died in the middle of it.
///
/// # Errors
///
/// As [`Place::inspect`].
pub fn is_cut_off(place: &Place) -> Result<bool, Error> {
    let path = place.path();
    match place.inspect()? {
        Some(metadata) if metadata.len() > 0 => {
            let last = File::open(&path).and_then(|mut file| last_byte(&mut file));
            Ok(last.map_err(Error::io(Verb::Read, &path))? != b'\n')
        }
        _ => Ok(false),
    }
}

/// Ends the last line of the file at `place` with a newline, where it has none.
///
/// # Errors
///
/// As [`append`].
pub fn close_line(_held: &Lock, place: &Place) -> Result<(), Error> {
    if !is_cut_off(place)? {
        return Ok(());
    }
    let path = place.path();
    let mut file = open(&path, Missing::Refuse).map_err(Error::io(Verb::Write, &path))?;
    file.write_all(b"\n").and_then(|()| file.sync_data()).map_err(Error::io(Verb::Write, &path))
}

/// Whether the last MiB of the file at `place` has `line`, whole: a fragment that a writer left behind does not count.
///
/// # Errors
///
/// As [`Place::inspect`].
pub fn recently_has(place: &Place, line: &str) -> Result<bool, Error> {
    if place.inspect()?.is_none() {
        return Ok(false);
    }
    let path = place.path();
    let bytes = read_tail(&path).map_err(Error::io(Verb::Read, &path))?;
    Ok(memchr::memmem::find(&bytes, format!("{line}\n").as_bytes()).is_some())
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(RECENT)))?;
    let mut bytes = Vec::new();
    file.take(RECENT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One durable write of `line` to the open file.
fn write_line(file: &mut File, path: &Path, line: &str) -> Result<(), Error> {
    let length = file.metadata().map_err(Error::io(Verb::Read, path))?.len();
    let mut buffer = String::with_capacity(line.len() + 2);
    if length > 0 && last_byte(file).map_err(Error::io(Verb::Read, path))? != b'\n' {
        buffer.push('\n');
    }
    buffer.push_str(line);
    buffer.push('\n');
    file.write_all(buffer.as_bytes()).map_err(Error::io(Verb::Write, path))?;
    file.sync_data().map_err(Error::io(Verb::Sync, path))?;
    if length == 0 { sync_folder(path) } else { Ok(()) }
}

/// What is done about a file that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    Create,
}

fn open(path: &Path, missing: Missing) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(missing == Missing::Create);
    no_follow(&mut options);
    options.open(path)
}

#[cfg(unix)]
fn no_follow(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    let flag = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options.custom_flags(flag);
}

#[cfg(not(unix))]
fn no_follow(_options: &mut OpenOptions) {}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Whether `file` is what stands at `path` now.
#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata().map_err(Error::io(Verb::Read, path))?;
    let there = super::place::look(path)?;
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())))
}

/// Windows lets nobody replace a file that is open for writing.
#[cfg(not(unix))]
fn same_file(_file: &File, path: &Path) -> Result<bool, Error> {
    super::place::look(path).map(|there| there.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Fixture {
        folder: tempfile::TempDir,
        lock: Lock,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let lock = Lock::acquire(&Place::new(folder.path(), "lock"), "test", Duration::ZERO, |_| {}).unwrap();
            Self { folder, lock }
        }

        fn place(&self, relative: &str) -> Place {
            Place::new(self.folder.path(), relative)
        }

        fn journal(&self) -> Journal {
            Journal { index_lock: self.folder.path().join("index.lock"), place: Some(self.place("journal/main.jsonl")) }
        }
    }

    fn text(place: &Place) -> String {
        fs::read_to_string(place.path()).unwrap_or_default()
    }

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_log_cut_at_any_byte_keeps_its_whole_lines_and_takes_new_ones() {
        let fixture = Fixture::new();
        let place = fixture.place("log");
        let whole = "{\"a\":1}\n{\"b\":2}\n";
        for cut in 0..=whole.len() {
            put(&place.path(), &whole[..cut]);
            append(&fixture.lock, &place, "{\"c\":3}", &fixture.journal()).unwrap();
            let after = text(&place);
            assert!(after.starts_with(&whole[..cut]), "nothing is cut: {after:?}");
            assert_eq!(after.lines().last(), Some("{\"c\":3}"));
            let kept = whole[..cut].matches("}\n").count();
            assert_eq!(after.matches("}\n").count(), kept + 1 + usize::from(whole[..cut].ends_with('}')));
        }
    }

    #[test]
    fn while_git_holds_the_tree_a_line_is_kept_twice_and_put_back_when_git_dropped_it() {
        let fixture = Fixture::new();
        let (place, journal) = (fixture.place("log"), fixture.journal());
        let target = |_: &str| Some(place.clone());
        put(&journal.index_lock, "");
        append(&fixture.lock, &place, "one", &journal).unwrap();
        append(&fixture.lock, &place, "two", &journal).unwrap();
        put(&place.path(), "one\n");
        put_back(&fixture.lock, &journal, target).unwrap();
        assert_eq!(
            (text(&place).as_str(), text(journal.place.as_ref().unwrap()).as_str()),
            ("one\n", "one\ntwo\n"),
            "git is not done"
        );
        fs::remove_file(&journal.index_lock).unwrap();
        put_back(&fixture.lock, &journal, target).unwrap();
        assert_eq!((text(&place).as_str(), text(journal.place.as_ref().unwrap()).as_str()), ("one\ntwo\n", ""));
        append(&fixture.lock, &place, "three", &journal).unwrap();
        assert_eq!(text(journal.place.as_ref().unwrap()), "", "no git, no journal");
    }

    #[test]
    fn a_log_that_git_is_about_to_make_is_not_made_under_its_hands() {
        let fixture = Fixture::new();
        let (place, journal) = (fixture.place("log"), fixture.journal());
        put(&journal.index_lock, "");
        append(&fixture.lock, &place, "one", &journal).unwrap();
        assert!(!place.path().exists());
        put(&place.path(), "zero\n");
        fs::remove_file(&journal.index_lock).unwrap();
        put_back(&fixture.lock, &journal, |_| Some(place.clone())).unwrap();
        assert_eq!((text(&place).as_str(), text(journal.place.as_ref().unwrap()).as_str()), ("zero\none\n", ""));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_way_is_refused() {
        let fixture = Fixture::new();
        let outside = fixture.place("outside");
        put(&outside.path(), "");
        std::os::unix::fs::symlink(outside.path(), fixture.place("log").path()).unwrap();
        std::os::unix::fs::symlink(fixture.folder.path(), fixture.place("sub").path()).unwrap();
        for relative in ["log", "sub/log"] {
            let refused = append(&fixture.lock, &fixture.place(relative), "x", &fixture.journal());
            assert!(matches!(refused, Err(Error::WrongKind { found: "a symlink", .. })), "{refused:?}");
        }
        assert_eq!(text(&outside), "");
    }
}
