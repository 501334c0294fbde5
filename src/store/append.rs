//! Appends lines to JSONL files that git may replace at any moment (design, section 4).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::journal::read_tail;
use super::place::{Identity, look};
use super::replace::sync_folder;
use super::{Error, Journal, Lock, Place, RECENT, Verb, crash_point};

/// How often a file may be swapped under one append before git is taken to be gone mad.
const MAX_SWAPS: usize = 100;

/// Appends `line` to the file at `place` and returns once it is on disk.
///
/// The line goes out in one write, newline last, after those that git took along and `journal` still has. If an earlier
/// writer died in the middle of a line, its fragment is closed off first, so that it spoils only itself.
///
/// # Errors
///
/// [`Error::WrongKind`] where a link or a folder is in the way; [`Error::Io`] when the disk refuses: the line is then not
/// in the log, or there as a fragment that readers skip.
pub fn append(held: &Lock, place: &Place, line: &str, journal: &Journal<'_>) -> Result<(), Error> {
    add(held, place, Some(line), journal)
}

/// Appends to the log file at `place` what git took along and `journal` still has, unless git holds the worktree.
///
/// # Errors
///
/// As [`append`]; the journal is then as it was.
pub fn put_back(held: &Lock, place: &Place, journal: &Journal<'_>) -> Result<(), Error> {
    if journal.git_holds() || journal.lost_from(place)?.is_empty() { Ok(()) } else { add(held, place, None, journal) }
}

fn add(_held: &Lock, place: &Place, line: Option<&str>, journal: &Journal<'_>) -> Result<(), Error> {
    let path = place.path();
    for _ in 0..MAX_SWAPS {
        let opened = match place.inspect()? {
            // Not made anew where git removes it just now: it would stand in the way of git's own.
            Some(_) => open_to_append(&path, false),
            None if journal.git_holds() => return keep(&line.map(str::to_owned).into_iter().collect::<Vec<_>>(), true, journal),
            None => {
                place.make_folders()?;
                open_to_append(&path, true)
            }
        };
        let mut file = match opened {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => continue,
            opened => opened.map_err(Error::io(Verb::Write, &path))?,
        };
        // A file that git is still filling would be written over: this look comes after the file was opened.
        let held_before = journal.git_holds();
        let mut lines = if held_before { Vec::new() } else { journal.lost(place, Some(&file), line.is_some())? };
        lines.extend(line.filter(|line| !lines.iter().any(|lost| lost == line)).map(str::to_owned));
        if lines.is_empty() {
            return Ok(());
        }
        write_lines(&mut file, &path, &lines, Durable::Yes)?;
        crash_point("line-appended");
        // First this, then the file's identity: if git is done by now, the swap has happened and shows below.
        keep(&lines, held_before || journal.git_holds(), journal)?;
        if same_file(&file, &path)? {
            return Ok(());
        }
    }
    let busy = io::Error::new(io::ErrorKind::ResourceBusy, "the file is replaced again and again");
    Err(Error::io(Verb::Write, &path)(busy))
}

/// Keeps lines a second time; where git holds the worktree, until they are back in the log.
fn keep(lines: &[String], git_holds: bool, journal: &Journal<'_>) -> Result<(), Error> {
    if git_holds {
        journal.hold(lines)?;
    }
    // The lines are on disk. That they could not be kept twice is no reason to call them lost.
    let _ = journal.keep_recent(lines);
    Ok(())
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
    let bytes = File::open(&path).and_then(|file| read_tail(&file, RECENT)).map_err(Error::io(Verb::Read, &path))?;
    Ok(memchr::memmem::find(&bytes, format!("{line}\n").as_bytes()).is_some())
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
    let mut file = open_to_append(&path, false).map_err(Error::io(Verb::Write, &path))?;
    file.write_all(b"\n").and_then(|()| file.sync_data()).map_err(Error::io(Verb::Write, &path))
}

/// Whether a write waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    Yes,
    No,
}

/// One write of `lines` to the open file.
pub(super) fn write_lines(file: &mut File, path: &Path, lines: &[String], durable: Durable) -> Result<(), Error> {
    let length = file.metadata().map_err(Error::io(Verb::Read, path))?.len();
    let mut buffer = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum::<usize>() + 1);
    if length > 0 && last_byte(file).map_err(Error::io(Verb::Read, path))? != b'\n' {
        buffer.push('\n');
    }
    for line in lines {
        buffer.push_str(line);
        buffer.push('\n');
    }
    file.write_all(buffer.as_bytes()).map_err(Error::io(Verb::Write, path))?;
    if durable == Durable::No {
        return Ok(());
    }
    file.sync_data().map_err(Error::io(Verb::Sync, path))?;
    if length == 0 { sync_folder(path) } else { Ok(()) }
}

/// Opens a file at its end; `new` where it must not be there yet.
pub(super) fn open_to_append(path: &Path, new: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(new);
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
fn same_file(file: &File, path: &Path) -> Result<bool, Error> {
    let open = file.metadata().map_err(Error::io(Verb::Read, path))?;
    let there = look(path)?;
    Ok(there.is_some_and(|there| Identity::of(&there) == Identity::of(&open)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn no_journal() -> Journal<'static> {
        Journal { index_lock: Path::new("/no/index.lock"), files: None, forget_committed: &|_, _| {} }
    }

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
            append(&fixture.lock, &place, "{\"c\":3}", &no_journal()).unwrap();
            let after = text(&place);
            assert!(after.starts_with(&whole[..cut]), "nothing is cut: {after:?}");
            assert_eq!(after.lines().last(), Some("{\"c\":3}"));
            let kept = whole[..cut].matches("}\n").count();
            assert_eq!(after.matches("}\n").count(), kept + 1 + usize::from(whole[..cut].ends_with('}')));
        }
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
            let refused = append(&fixture.lock, &fixture.place(relative), "x", &no_journal());
            assert!(matches!(refused, Err(Error::WrongKind { found: "a symlink", .. })), "{refused:?}");
        }
        assert_eq!(text(&outside), "");
    }
}
