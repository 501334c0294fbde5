//! Appends lines to JSONL files: to the record, where a line is on disk before the command says so,
//! and to copies of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::replace::{in_folders, sync_folders};
use super::{Error, Lock, Place, RECENT, Verb, crash_point};

/// Appends `line` to the file of the record at `place`, and returns once it is on disk.
///
/// The line goes out in one write, newline last. If an earlier writer died in the middle of a line,
/// its fragment is closed off first, so that it spoils only itself.
///
/// # Errors
///
/// [`Error::WrongKind`] if a link or a folder is in the way; [`Error::Io`] if the disk refuses: the
/// line is then not in the file, or there as a fragment that readers skip.
pub fn append(_held: &Lock, place: &Place, line: &str) -> Result<(), Error> {
    append_all(place, &[line], Durable::Yes)
}

/// Appends `lines` to a file that is no record, and does not wait for the disk.
///
/// # Errors
///
/// As [`append`].
pub fn append_copy(_held: &Lock, place: &Place, lines: &[&str]) -> Result<(), Error> {
    append_all(place, lines, Durable::No)
}

/// Appends `lines` in one write, and returns once they are on disk.
///
/// # Errors
///
/// As [`append`].
pub fn append_lines(_held: &Lock, place: &Place, lines: &[&str]) -> Result<(), Error> {
    append_all(place, lines, Durable::Yes)
}

fn append_all(place: &Place, lines: &[&str], durable: Durable) -> Result<(), Error> {
    // Whatever finds no folder comes before the first byte.
    in_folders(place, || append_once(place, lines, durable))
}

fn append_once(place: &Place, lines: &[&str], durable: Durable) -> Result<(), Error> {
    let path = place.path();
    if place.inspect()?.is_none() {
        place.make_folders()?;
    }
    let mut file = open_to_append(&path).map_err(Error::io(Verb::Write, &path))?;
    let length = file.metadata().map_err(Error::io(Verb::Read, &path))?.len();
    let mut buffer =
        String::with_capacity(lines.iter().map(|line| line.len() + 1).sum::<usize>() + 1);
    if length == 0 && durable == Durable::Yes {
        // Before the first byte: a file that has bytes has a name that lasts.
        sync_folders(place)?;
    } else if length > 0 && last_byte(&mut file).map_err(Error::io(Verb::Read, &path))? != b'\n' {
        buffer.push('\n');
    }
    for line in lines {
        buffer.push_str(line);
        buffer.push('\n');
    }
    file.write_all(buffer.as_bytes()).map_err(Error::io(Verb::Write, &path))?;
    crash_point("line-appended");
    match durable {
        Durable::Yes => file.sync_data().map_err(Error::io(Verb::Sync, &path)),
        Durable::No => Ok(()),
    }
}

/// Whether the last MiB of the file at `place` has `line`, whole: a fragment that a writer left
/// behind does not count.
///
/// # Errors
///
/// As [`Place::inspect`].
pub fn recently_has(place: &Place, line: &str) -> Result<bool, Error> {
    if place.inspect()?.is_none() {
        return Ok(false);
    }
    let path = place.path();
    let bytes = File::open(&path)
        .and_then(|file| read_tail(&file, RECENT))
        .map_err(Error::io(Verb::Read, &path))?;
    Ok(memchr::memmem::find(&bytes, format!("{line}\n").as_bytes()).is_some())
}

/// Whether the last line of the file at `place` has no newline: its writer died in the middle of
/// it.
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
    let mut file = open_to_append(&path).map_err(Error::io(Verb::Write, &path))?;
    file.write_all(b"\n").and_then(|()| file.sync_data()).map_err(Error::io(Verb::Write, &path))
}

/// Whether a write waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

/// Opens a file at its end, and makes it if it is missing.
fn open_to_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
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

/// The last bytes of an open file.
fn read_tail(mut file: &File, size: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(size)))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(size)).unwrap_or(0) + 1);
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    struct Fixture {
        folder: tempfile::TempDir,
        lock: Lock,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let lock =
                Lock::acquire(&Place::new(folder.path(), "lock"), "test", Duration::ZERO, |_| {})
                    .unwrap();
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
            append(&fixture.lock, &place, "{\"c\":3}").unwrap();
            let after = text(&place);
            assert!(after.starts_with(&whole[..cut]), "nothing is cut: {after:?}");
            assert_eq!(after.lines().last(), Some("{\"c\":3}"));
            let kept = whole[..cut].matches("}\n").count();
            assert_eq!(
                after.matches("}\n").count(),
                kept + 1 + usize::from(whole[..cut].ends_with('}'))
            );
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
            let refused = append(&fixture.lock, &fixture.place(relative), "x");
            assert!(
                matches!(refused, Err(Error::WrongKind { found: "a symlink", .. })),
                "{refused:?}"
            );
        }
        assert_eq!(text(&outside), "");
    }
}
