//! Whether this clone belongs to a fleet (design, section 3, *Fleet*).
//!
//! What a branch says joins nothing: a clone belongs to a fleet once the remote's own `refs/bus/fleet` has said so. A clone that has
//! remotes asks them before it first writes what a fleet would decide, and notes the answer. "No answer" is not "no fleet".

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fleet::Reach;
use super::{Bus, Error, FleetFault};
use crate::record::{BRANCH_PREFIX, Fleet, OWN_PREFIX};
use crate::store::{Clock, Lock, last_touched, note_bytes, read_note, replace, touch};

/// How long an answer that there is no fleet counts.
const ANSWER: Duration = Duration::from_secs(24 * 3600);

/// The longest note that is read, in bytes.
const MAX_NOTE: usize = 64 * 1024;

/// What is noted of an answer that there is no fleet.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NoFleet {
    /// What git's settings said then of remotes and of where they are.
    asked: Vec<(String, String)>,
}

impl Bus {
    /// Learns whether this clone belongs to a fleet, before something is written that a fleet would decide. If nothing is known, or
    /// the last answer is a day old, each remote is asked once. With `reach` [`Reach::Offline`] nobody is asked.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] if a remote does not answer: that is not "no fleet"; [`FleetFault::Contradiction`] or [`FleetFault::Other`] if
    /// the policy names another fleet than the remote serves.
    pub(super) fn learn_fleet(&self, reach: Reach) -> Result<(), Error> {
        if self.fleet()?.is_some() || reach == Reach::Offline || self.has_fresh_answer()? {
            return Ok(());
        }
        self.ask_for_fleet()
    }

    /// Asks each remote whether it serves a fleet, and joins that one.
    ///
    /// # Errors
    ///
    /// As [`Bus::learn_fleet`].
    pub(super) fn ask_for_fleet(&self) -> Result<(), Error> {
        self.ask_for_fleet_within(self.remote_patience)
    }

    /// The same; each answer may take as long as `patience`.
    pub(super) fn ask_for_fleet_within(&self, patience: Duration) -> Result<(), Error> {
        if self.fleet()?.is_some() {
            return Ok(());
        }
        let said = self.config()?.fleet.clone();
        let (settings, remotes) = (self.repo.remote_settings(), self.repo.remote_addresses());
        let mut other = None;
        for (name, _) in &remotes {
            for prefix in [OWN_PREFIX, BRANCH_PREFIX] {
                let there = self.repo.remote(name, prefix, patience)?;
                let Some(id) = self.served(&there)? else { continue };
                let fleet = Fleet::new(name.clone(), id, prefix.to_owned()).map_err(super::found::usage)?;
                // A remote may serve a stranger's, too.
                if said.as_ref().is_none_or(|said| (&said.id, &said.prefix) == (&fleet.id, &fleet.prefix)) {
                    return self.join(fleet).map(drop);
                }
                other.get_or_insert(fleet);
            }
        }
        if let Some(said) = said {
            if let Some(noted) = other {
                return Err(FleetFault::Contradiction { noted, said, path: self.layout.config().path() }.into());
            }
            let url = remotes.iter().find(|(name, _)| *name == said.remote).map_or_else(String::new, |(_, url)| url.clone());
            return Err(FleetFault::Other { id: said.id, remote: said.remote, url, serves: false }.into());
        }
        let lock = self.lock()?;
        self.note_no_fleet(&lock, settings)
    }

    /// Whether it is known that no remote of this clone serves a fleet, and not for too long.
    pub(super) fn has_fresh_answer(&self) -> Result<bool, Error> {
        if self.repo.remote_addresses().is_empty() {
            return Ok(true);
        }
        let place = self.private.no_fleet();
        let noted: Option<NoFleet> = read_note(&place, MAX_NOTE)?;
        // What a remote said yesterday is of this world's time, also if a test has fixed the clock.
        let now = Clock::new(None).now();
        let is_young = last_touched(&place).is_some_and(|asked| now.since(asked) < ANSWER);
        let says_fleet = self.config()?.fleet.is_some();
        Ok(is_young && !says_fleet && noted == Some(NoFleet { asked: self.repo.remote_settings() }))
    }

    fn note_no_fleet(&self, _lock: &Lock, asked: Vec<(String, String)>) -> Result<(), Error> {
        if asked.is_empty() {
            return Ok(());
        }
        let place = self.private.no_fleet();
        replace(&place, &note_bytes(&place, &NoFleet { asked })?)?;
        touch(&place, Clock::new(None));
        Ok(())
    }
}
