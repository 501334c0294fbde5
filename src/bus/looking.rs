//! Looks at the fleet's remote again and again, beside a command that waits (design, section 3, *Fleet*).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Bus, Error, FleetFault};

/// How often a watcher looks; all watchers of a clone share one look.
const INTERVAL: Duration = Duration::from_secs(30);

/// How often those look that wait for something.
const WAITING: Duration = Duration::from_secs(10);

/// The longest pause while the remote does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(480);

/// What goes on beside the command.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    fault: Arc<Mutex<Option<String>>>,
}

impl Looking {
    /// Why the last look has failed; none where it has not.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl Bus {
    /// Looks at the fleet's remote every half a minute or so from now on, for as long as the process lives; less often while it does
    /// not answer. What is new shows in the files that readers follow.
    ///
    /// # Errors
    ///
    /// [`FleetFault::None`] where the clone belongs to no fleet; else as [`Bus::fleet`].
    pub fn keep_looking(&self) -> Result<Looking, Error> {
        if self.fleet()?.is_none() && self.has_fresh_answer()? {
            return Err(FleetFault::None.into());
        }
        Ok(self.look_every(INTERVAL))
    }

    /// The same for a command that waits, more often, where there is a fleet.
    pub(super) fn look_meanwhile(&self) {
        let may_be_in_one =
            || self.fleet().is_ok_and(|fleet| fleet.is_some()) || self.has_fresh_answer().is_ok_and(|is_fresh| !is_fresh);
        if self.looking.get().is_none() && may_be_in_one() {
            let _ = self.looking.set(self.look_every(WAITING));
        }
    }

    /// Why the fleet's remote did not answer what a waiting command asked it last; none where it did.
    #[must_use]
    pub fn remote_fault(&self) -> Option<String> {
        self.looking.get().and_then(Looking::fault)
    }

    fn look_every(&self, interval: Duration) -> Looking {
        let (options, looking) = (self.options(), Looking::default());
        let noted = looking.clone();
        std::thread::spawn(move || {
            let mut pause = interval;
            loop {
                // Opened anew each time: worktrees come and go, and the policy may change.
                let looked = Self::of_repository(options.clone()).and_then(|bus| bus.receive_if_due(interval * 3 / 4));
                crate::git::end_if_interrupted();
                pause = if looked.is_ok() { interval } else { (pause * 2).min(MAX_PAUSE) };
                noted.note(looked.err().map(|error| error.to_string()));
                std::thread::sleep(jittered(pause));
            }
        });
        looking
    }
}

/// Three to five quarters of a pause, at random, so that many clones do not look at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let part = u32::try_from(RandomState::new().hash_one(0) % 512).unwrap_or(0);
    pause * 3 / 4 + pause / 2 * part / 512
}
