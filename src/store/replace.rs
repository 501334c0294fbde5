//! Replaces a whole file so that every reader sees the old bytes or the new ones.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::Write;
use std::path::Path;
use std::{fs, io};

use super::{Error, Place, Verb, crash_point};

/// Puts `bytes` where `place` is, and returns once they are on disk: beside it, synced, renamed,
/// folder synced.
///
/// The name beside it is fixed, so that a crash leaves at most one file, which the next write
/// removes. The caller holds the lock.
///
/// # Errors
///
/// [`Error::WrongKind`] if a link or a folder is in the way; [`Error::Io`] if the disk
/// refuses: the old file is then still there, whole.
pub fn replace(place: &Place, bytes: &[u8]) -> Result<(), Error> {
    put(place, bytes, How { program: false, durable: true })
}

/// Does the same, and does not wait for the disk: after a power loss the file may be empty, or the
/// old one.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_copy(place: &Place, bytes: &[u8]) -> Result<(), Error> {
    put(place, bytes, How { program: false, durable: false })
}

/// Does the same as [`replace`] for a file of the record: a folder that is new is on disk, too, up
/// to the one that is trusted.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_record(place: &Place, bytes: &[u8]) -> Result<(), Error> {
    let is_new = place.inspect()?.is_none();
    replace(place, bytes)?;
    // Its own folder was synced just now.
    if is_new { sync_above(place, 1) } else { Ok(()) }
}

/// How a file is put in its place.
#[derive(Clone, Copy)]
struct How {
    program: bool,
    durable: bool,
}

/// Does the same for a program: whoever may read the file may run it.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_program(place: &Place, bytes: &[u8]) -> Result<(), Error> {
    put(place, bytes, How { program: true, durable: true })
}

/// Whether the system would run the file as a program.
#[cfg(unix)]
#[must_use]
pub fn is_program(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

/// Windows knows programs by other signs; git runs any hook there.
#[cfg(not(unix))]
#[must_use]
pub fn is_program(_metadata: &Metadata) -> bool {
    true
}

/// Puts `bytes` into a new file at `place`; where one stands already, it stays as it is and `false`
/// is returned.
///
/// # Errors
///
/// As [`replace`].
pub fn create(place: &Place, bytes: &[u8]) -> Result<bool, Error> {
    if place.inspect()?.is_some() {
        return Ok(false);
    }
    replace(place, bytes).map(|()| true)
}

/// How often a file is written into a folder that goes away.
const TRIES: usize = 16;

/// Calls `write`, and again if a folder of the file went away meanwhile: git removes the folders
/// that it has emptied, and it takes no lock of ours.
pub(super) fn in_folders(
    place: &Place,
    write: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 1..TRIES {
        match write() {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && place.root().is_dir() => {}
            written => return written,
        }
    }
    write()
}

fn put(place: &Place, bytes: &[u8], how: How) -> Result<(), Error> {
    in_folders(place, || put_once(place, bytes, how))
}

fn put_once(place: &Place, bytes: &[u8], how: How) -> Result<(), Error> {
    place.make_folders()?;
    let before = place.inspect()?;
    let path = place.path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = place.sibling(&format!(".{name}.tmp")).path();
    let mode = before.map(|metadata| metadata.permissions());
    write_aside(&temporary, &path, bytes, mode, how).inspect_err(|_| {
        // Nobody reads it, and the next write removes it: failing to remove it now loses nothing.
        let _ = fs::remove_file(&temporary);
    })?;
    crash_point("file-written-aside");
    fs::rename(&temporary, &path).map_err(Error::io(Verb::Write, &path))?;
    if how.durable { sync_folder(&path) } else { Ok(()) }
}

/// Writes the file `aside`. What goes wrong is told of the file that is `meant`: nobody has heard
/// of the other, unless it is what stands in the way.
fn write_aside(
    aside: &Path,
    meant: &Path,
    bytes: &[u8],
    mut mode: Option<Permissions>,
    how: How,
) -> Result<(), Error> {
    let refused = |verb| Error::io(verb, meant);
    let open = || OpenOptions::new().write(true).create_new(true).open(aside);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(aside).map_err(Error::io(Verb::Remove, aside))?;
            open()
        }
        opened => opened,
    }
    .map_err(refused(Verb::Write))?;
    if how.program {
        let fresh = file.metadata().map_err(refused(Verb::Write))?.permissions();
        mode = Some(runnable(mode.unwrap_or(fresh)));
    }
    mode.map_or(Ok(()), |mode| file.set_permissions(mode)).map_err(refused(Verb::Write))?;
    file.write_all(bytes).map_err(refused(Verb::Write))?;
    if how.durable { file.sync_all().map_err(refused(Verb::Sync)) } else { Ok(()) }
}

/// Lets everybody run the file who may read it.
#[cfg(unix)]
fn runnable(mode: Permissions) -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    let readers = mode.mode() & 0o444;
    Permissions::from_mode(mode.mode() | readers >> 2)
}

#[cfg(not(unix))]
fn runnable(mode: Permissions) -> Permissions {
    mode
}

/// Makes the name of the file at `place`, and those of all folders above it up to the trusted one,
/// as durable as its bytes.
pub(super) fn sync_folders(place: &Place) -> Result<(), Error> {
    sync_above(place, 0)
}

/// The same, but for the innermost `done` of these folders.
fn sync_above(place: &Place, done: usize) -> Result<(), Error> {
    let path = place.path();
    path.ancestors().take_while(|name| *name != place.root()).skip(done).try_for_each(sync_folder)
}

/// Makes the name of `path` as durable as its bytes.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(Verb::Sync, folder))
}

/// Windows has no call for it: the file system's journal keeps names.
#[cfg(not(unix))]
pub(super) fn sync_folder(_path: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_finds_its_folder_gone_is_done_again_but_not_for_ever_nor_without_a_root() {
        let folder = tempfile::tempdir().unwrap();
        for (root, vanishes, expected) in [
            ("there", 3, Ok(4)),
            ("there", TRIES, Err(TRIES)),
            ("gone", 3, Err(1)),
            ("there", 0, Ok(1)),
        ] {
            let place = Place::new(&folder.path().join(root), "folder/file");
            fs::create_dir_all(folder.path().join("there")).unwrap();
            let calls = Cell::new(0);
            let done = in_folders(&place, || {
                calls.set(calls.get() + 1);
                if root == "there" {
                    place.make_folders()?;
                }
                if calls.get() <= vanishes {
                    let _ = fs::remove_dir(place.path().parent().unwrap());
                }
                File::create(place.path()).map(drop).map_err(Error::io(Verb::Write, &place.path()))
            });
            let count = calls.get();
            assert_eq!(done.map(|()| count).map_err(|_| count), expected, "{root} {vanishes}");
            let _ = fs::remove_dir_all(folder.path().join("there/folder"));
        }
    }
}
