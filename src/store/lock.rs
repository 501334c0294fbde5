//! The one advisory lock of a clone (docs/design.md, section 3).
//!
//! The file is never deleted. Its holder keeps a note in its first line: who it is and which ref it
//! is about to write. The note is struck out when the lock is given back, so a note that a new
//! holder finds was left by a process that was killed. The file does not shrink: that would cost
//! the log's next sync more than the lock.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Error, Place, Verb};

/// The longest note that is read back, in bytes.
const MAX_NOTE: u64 = 512;

/// The note of nobody.
const NOBODY: &str = "-\n";

/// The shortest and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(2));

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    command: &'static str,
}

impl Lock {
    /// Takes the lock at `place` for `command`. Where a killed holder was about to write a ref,
    /// `clean` is told its name before that is forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] when another process holds it for longer than `patience`;
    /// [`Error::Io`] or [`Error::WrongKind`] when the file cannot be made or locked.
    pub fn acquire(
        place: &Place,
        command: &'static str,
        patience: Duration,
        clean: impl FnOnce(&str),
    ) -> Result<Self, Error> {
        let path = place.path();
        place.inspect()?;
        let mut file = open(place, &path)?;
        wait(&file, &path, patience)?;
        if let Some(note) = read_note(&mut file).filter(|note| note.reference != "-") {
            clean(&note.reference);
        }
        let mut lock = Self { file, path, command };
        lock.write_note("-")?;
        Ok(lock)
    }

    /// Notes that `reference` is about to be written, so that the next holder can clean up after a
    /// kill.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the note cannot be written.
    pub fn about_to_write(&mut self, reference: &str) -> Result<(), Error> {
        self.write_note(reference)
    }

    fn write_note(&mut self, reference: &str) -> Result<(), Error> {
        self.write_line(&format!("{} {} {reference}\n", std::process::id(), self.command))
    }

    fn write_line(&mut self, line: &str) -> Result<(), Error> {
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(line.as_bytes()))
            .map_err(Error::io(Verb::Write, &self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A note that stays costs the next holder one look for a ref lock, no more. The unlock is
        // explicit: a child that another thread starts may hold the file open for longer.
        let _ = self.write_line(NOBODY);
        let _ = fs2::FileExt::unlock(&self.file);
    }
}

fn open(place: &Place, path: &Path) -> Result<File, Error> {
    let options =
        || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match options() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            place.make_folders()?;
            options()
        }
        opened => opened,
    }
    .map_err(Error::io(Verb::Lock, path))
}

fn wait(file: &File, path: &Path, patience: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + patience;
    let mut pause = PAUSES.0;
    let random = RandomState::new();
    loop {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => return Ok(()),
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io(Verb::Lock, path)(error)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::LockTimeout {
                path: path.to_owned(),
                patience,
                holder: living_holder(path),
            });
        }
        // Half to whole of the pause, at random, so that many waiters do not come all at once.
        let part = u32::try_from(random.hash_one(left) % 512).unwrap_or(0) + 512;
        std::thread::sleep((pause * part / 1024).min(left));
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
}

/// The line that a holder keeps in the lock file.
struct Note {
    pid: i32,
    command: String,
    reference: String,
}

fn read_note(file: &mut File) -> Option<Note> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(MAX_NOTE).read_to_string(&mut text).ok()?;
    // A command may be of two words: `lock acquire`.
    let (pid, rest) = text.lines().next()?.split_once(' ')?;
    let (command, reference) = rest.rsplit_once(' ')?;
    Some(Note {
        pid: pid.parse().ok()?,
        command: command.to_owned(),
        reference: reference.to_owned(),
    })
}

fn living_holder(path: &Path) -> Option<String> {
    let note = read_note(&mut File::open(path).ok()?)?;
    lives(note.pid).then(|| format!("`bus {}` (process {})", note.command, note.pid))
}

#[cfg(unix)]
fn lives(pid: i32) -> bool {
    use rustix::io::Errno;
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return false };
    // A process of another user lives, too.
    matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM))
}

#[cfg(not(unix))]
const fn lives(_pid: i32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), "bus/lock");
        (folder, place)
    }

    fn take(
        place: &Place,
        command: &'static str,
        patience: Duration,
    ) -> (Result<Lock, Error>, Option<String>) {
        let mut left = None;
        let taken =
            Lock::acquire(place, command, patience, |reference| left = Some(reference.to_owned()));
        (taken, left)
    }

    #[test]
    fn a_held_lock_times_out_and_names_its_holder() {
        let (_folder, place) = place();
        let (lock, left) = take(&place, "claim", Duration::ZERO);
        assert_eq!(left, None);
        let error = take(&place, "release", Duration::from_millis(5)).0.unwrap_err();
        assert!(
            error.to_string().contains(&format!("`bus claim` (process {})", std::process::id())),
            "{error}"
        );
        drop(lock);
        assert!(take(&place, "release", Duration::ZERO).0.is_ok());
    }

    #[test]
    fn the_next_holder_learns_what_a_killed_one_was_about_to_write() {
        let (_folder, place) = place();
        let mut lock = take(&place, "claim", Duration::ZERO).0.unwrap();
        lock.about_to_write("refs/bus/claims/A").unwrap();
        let note = std::fs::read(place.path()).unwrap();
        drop(lock);
        let mut file = OpenOptions::new().write(true).open(place.path()).unwrap();
        file.write_all(&note).unwrap();
        assert_eq!(take(&place, "release", Duration::ZERO).1.as_deref(), Some("refs/bus/claims/A"));
        assert_eq!(take(&place, "release", Duration::ZERO).1, None);
    }
}
