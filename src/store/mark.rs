//! Small marks in the clone's private folder whose time is what matters. They are hints: where one
//! cannot be written, a heartbeat is missed and nothing else.

use std::fs::File;
use std::io::Write;
use std::{fs, io};

use super::clock::from_system;
use super::{Clock, Place, replace};
use crate::record::Timestamp;

/// The longest mark that is read, in bytes.
const MAX_MARK: usize = 200;

/// Sets the time of the mark at `place` to now, and makes it where it is missing. Times have whole
/// seconds, so a mark of this second is left as it is: a change of it would have to go to disk with
/// the next line of the log.
pub fn touch(place: &Place, clock: Clock) {
    set_time(place, clock, true);
}

/// Does the same if there is a mark, and makes none.
pub fn touch_again(place: &Place, clock: Clock) {
    set_time(place, clock, false);
}

fn set_time(place: &Place, clock: Clock, make: bool) {
    match place.inspect() {
        Ok(Some(metadata))
            if metadata.modified().is_ok_and(|touched| from_system(touched) == clock.now()) =>
        {
            return;
        }
        Ok(None) if !make => return,
        Ok(_) => {}
        Err(_) => return,
    }
    let path = place.path();
    let open = || File::options().write(true).create(make).truncate(false).open(&path);
    let file = match open() {
        Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
            place.make_folders().ok().and_then(|()| open().ok())
        }
        opened => opened.ok(),
    };
    if let Some(file) = file {
        let _ = file.set_modified(clock.system());
    }
}

/// When the mark at `place` was last touched.
#[must_use]
pub fn last_touched(place: &Place) -> Option<Timestamp> {
    let metadata = fs::symlink_metadata(place.path()).ok()?;
    metadata.modified().ok().map(from_system)
}

/// Writes the mark at `place` anew, so that its time comes from the same clock as those of folders.
pub fn stamp(place: &Place) {
    let open = || File::options().write(true).create(true).truncate(false).open(place.path());
    if place.inspect().is_ok() && place.make_folders().is_ok() {
        // Where it cannot be written, the work that it saves is done again.
        let _ = open().and_then(|mut file| file.write_all(b"\n"));
    }
}

/// Since when `state` is what is seen at `place`: now, where something else was seen before.
#[must_use]
pub fn first_seen(place: &Place, state: &str, clock: Clock) -> Timestamp {
    let known = place.read(MAX_MARK).ok().flatten();
    if let (true, Some(since)) = (known.as_deref() == Some(state.as_bytes()), last_touched(place)) {
        return since;
    }
    if replace(place, state.as_bytes()).is_ok() {
        touch(place, clock);
    }
    clock.now()
}
