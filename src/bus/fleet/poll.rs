//! Looks at the fleet's remote again and again, beside a command that waits (docs/design.md,
//! section 3,
//! *Fleet*).

use std::time::Duration;

use super::sync;
use crate::bus::Error;
use crate::bus::workspace::{FleetFault, Looking, Workspace};

/// How often a watcher looks; all watchers of a clone share one look.
const INTERVAL: Duration = Duration::from_secs(30);

/// How often those look that wait for something.
const WAITING: Duration = Duration::from_secs(10);

/// The longest pause while the remote does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(480);

/// Looks at the fleet's remote every half a minute or so from now on, for as long as the process
/// lives; less often while it does not answer. What is new shows in the files that readers follow.
///
/// # Errors
///
/// [`FleetFault::None`] if the clone belongs to no fleet; else as [`Workspace::fleet`].
pub(crate) fn keep_looking(ws: &Workspace) -> Result<Looking, Error> {
    if ws.fleet()?.is_none() && ws.has_fresh_answer()? {
        return Err(FleetFault::None.into());
    }
    Ok(look_every(ws, INTERVAL))
}

/// The same for a command that waits, more often, if there is a fleet.
pub(in crate::bus) fn look_meanwhile(ws: &Workspace) {
    let may_be_in_one = || {
        ws.fleet().is_ok_and(|fleet| fleet.is_some())
            || ws.has_fresh_answer().is_ok_and(|is_fresh| !is_fresh)
    };
    if ws.looking.get().is_none() && may_be_in_one() {
        let _ = ws.looking.set(look_every(ws, WAITING));
    }
}

/// Why the fleet's remote did not answer what a waiting command asked it last, or `None` if it did.
#[must_use]
pub(crate) fn remote_fault(ws: &Workspace) -> Option<String> {
    ws.looking.get().and_then(Looking::fault)
}

fn look_every(ws: &Workspace, interval: Duration) -> Looking {
    let (options, looking) = (ws.options(), Looking::default());
    let noted = looking.clone();
    std::thread::spawn(move || {
        let mut pause = interval;
        loop {
            // Opened anew each time: worktrees come and go, and the policy may change.
            let looked = Workspace::of_repository(options.clone())
                .and_then(|ws| sync::receive_if_due(&ws, interval * 3 / 4));
            crate::git::end_if_interrupted();
            pause = if looked.is_ok() { interval } else { (pause * 2).min(MAX_PAUSE) };
            noted.note(looked.err().map(|error| error.to_string()));
            std::thread::sleep(jittered(pause));
        }
    });
    looking
}

/// Three to five quarters of a pause, at random, so that many clones do not look at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let part = u32::try_from(RandomState::new().hash_one(0) % 512).unwrap_or(0);
    pause * 3 / 4 + pause / 2 * part / 512
}
