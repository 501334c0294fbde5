//! Which fleet this clone belongs to (docs/design.md, section 3, *Fleet*).
//!
//! A fleet belongs to the clone, not to the branch that is checked out: once the remote has
//! confirmed it, it is noted in `<git common dir>/bus/fleet`, and from then on the note counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Workspace;
use super::fleet_fault::FleetFault;
use crate::bus::Error;
use crate::git::{ObjectId, RefName, Remote, Sight};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, BRANCH_PREFIX, Fleet, OWN_PREFIX, Timestamp};
use crate::store::{Clock, Lock, last_touched, note_bytes, read_note, replace, touch};

/// How far a change of a claim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Reach {
    /// The fleet's remote decides, if there is a fleet.
    Fleet,
    /// It is done here, and the fleet is told when it can be.
    Later,
    /// It is done here; `bus sync` asks the fleet.
    Offline,
}

impl Workspace {
    /// The fleet that this clone belongs to.
    ///
    /// # Errors
    ///
    /// [`FleetFault::Contradiction`] if `config.toml` names another one than this clone's note;
    /// [`Error::Malformed`] if that cannot be read; [`Error::MalformedConfig`] if the policy
    /// cannot be.
    pub(crate) fn fleet(&self) -> Result<Option<&Fleet>, Error> {
        if self.fleet.get().is_none() && !self.has_no_fleet.get() {
            match self.find_fleet()? {
                Some(fleet) => drop(self.fleet.set(fleet)),
                None => self.has_no_fleet.set(true),
            }
        }
        Ok(self.fleet.get())
    }

    fn find_fleet(&self) -> Result<Option<Fleet>, Error> {
        let place = self.private.fleet();
        let noted = place.read(MAX_RECORD)?;
        let noted = noted
            .map(|bytes| Fleet::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes)))
            .transpose()?;
        match (noted, self.config()?.fleet.clone()) {
            // This clone may call the remote otherwise.
            (Some(noted), Some(said)) if !noted.is_same(&said) => {
                Err(FleetFault::Contradiction { noted, said, path: self.layout.config().path() }
                    .into())
            }
            (noted, _) => Ok(noted.map(|noted| self.as_called_now(noted))),
        }
    }

    /// The fleet, with the only remote that there is if the noted one is gone: it may have been
    /// renamed. Each talk proves that it serves this fleet.
    fn as_called_now(&self, fleet: Fleet) -> Fleet {
        match self.repo.remote_addresses().as_slice() {
            [(name, _)] if *name != fleet.remote => Fleet { remote: name.clone(), ..fleet },
            _ => fleet,
        }
    }

    /// Notes that this clone belongs to `fleet`: what every clone of it makes alike, and the note.
    pub(in crate::bus) fn join(&self, fleet: Fleet) -> Result<Fleet, Error> {
        let mut lock = self.lock()?;
        lock.about_to_write(RefName::ALL_OWN)?;
        self.repo.put(&RefName::fleet(), self.fleet_root(&fleet.id)?)?;
        if self.repo.id_of(&RefName::archive())?.is_none() {
            self.repo.put(&RefName::archive(), self.repo.archive_root()?)?;
        }
        replace(&self.private.fleet(), &fleet.to_bytes())?;
        self.has_no_fleet.set(false);
        Ok(fleet)
    }

    /// The commit by which a remote says that it serves the fleet `id`. Every clone makes the same.
    pub(in crate::bus) fn fleet_root(&self, id: &str) -> Result<ObjectId, Error> {
        let author = AgentId::new("bus")?;
        let link = self.repo.write_link(
            None,
            &author,
            Timestamp::from_unix(0),
            &format!("fleet {id}"),
            b"",
        )?;
        Ok(link.id)
    }

    /// The remote of `fleet`, ready to be talked to.
    pub(in crate::bus) fn remote_of(&self, fleet: &Fleet) -> Result<Remote, Error> {
        Ok(self.repo.remote(&fleet.remote, &fleet.prefix, self.remote_patience)?)
    }

    /// Refuses a remote that does not serve this clone's fleet, as `sight` shows it: a fork, or
    /// another repository.
    pub(in crate::bus) fn check_fleet(
        &self,
        fleet: &Fleet,
        remote: &Remote,
        sight: &Sight,
    ) -> Result<(), Error> {
        let found = sight.get(&RefName::fleet());
        if found == Some(&self.fleet_root(&fleet.id)?) {
            return Ok(());
        }
        let (remote, url) = (fleet.remote.clone(), remote.shown_url());
        Err(FleetFault::Other { id: fleet.id.clone(), remote, url, serves: found.is_some() }.into())
    }

    /// The id of the fleet that a remote serves, or `None` if it serves none.
    pub(in crate::bus) fn served(&self, there: &Remote) -> Result<Option<String>, Error> {
        let name = RefName::fleet();
        let sight = self.repo.look_at(there, std::slice::from_ref(&name))?;
        let Some(root) = sight.get(&name).copied() else { return Ok(None) };
        self.bring(there, &sight, std::slice::from_ref(&name))?;
        let link = self.repo.link(root)?;
        let id = link.ok().and_then(|link| link.subject.strip_prefix("fleet ").map(str::to_owned));
        let id = id.filter(|id| self.fleet_root(id).is_ok_and(|made| made == root));
        let unreadable = || Error::UnreadableRef {
            name: name.as_str().to_owned(),
            what: "it is no fleet's".to_owned(),
        };
        id.ok_or_else(unreadable).map(Some)
    }
}

pub(in crate::bus) fn usage(what: String) -> Error {
    Error::Usage { what, hint: "name a remote as `git remote` lists it".to_owned() }
}

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

impl Workspace {
    /// Learns whether this clone belongs to a fleet, before something is written that a fleet would
    /// decide. If nothing is known, or the last answer is a day old, each remote is asked once.
    /// With `reach` [`Reach::Offline`] nobody is asked.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] if a remote does not answer: that is not "no fleet";
    /// [`FleetFault::Contradiction`] or [`FleetFault::Other`] if the policy names another fleet
    /// than the remote serves.
    pub(in crate::bus) fn learn_fleet(&self, reach: Reach) -> Result<(), Error> {
        if self.fleet()?.is_some() || reach == Reach::Offline || self.has_fresh_answer()? {
            return Ok(());
        }
        self.ask_for_fleet()
    }

    /// Asks each remote whether it serves a fleet, and joins that one.
    ///
    /// # Errors
    ///
    /// As [`Workspace::learn_fleet`].
    pub(in crate::bus) fn ask_for_fleet(&self) -> Result<(), Error> {
        self.ask_for_fleet_within(self.remote_patience)
    }

    /// The same; each answer may take as long as `patience`.
    pub(in crate::bus) fn ask_for_fleet_within(&self, patience: Duration) -> Result<(), Error> {
        if self.fleet()?.is_some() {
            return Ok(());
        }
        let said = self.config()?.fleet.clone();
        let (settings, remotes) = (self.repo.remote_settings(), self.repo.remote_addresses());
        let mut served = Vec::new();
        for (name, _) in &remotes {
            for prefix in [OWN_PREFIX, BRANCH_PREFIX] {
                let there = self.repo.remote(name, prefix, patience)?;
                let Some(id) = self.served(&there)? else { continue };
                let fleet = Fleet::new(name.clone(), id, prefix.to_owned()).map_err(usage)?;
                // A remote may serve a stranger's, too.
                if said.as_ref().is_some_and(|said| said.is_same(&fleet)) {
                    return self.join(fleet).map(drop);
                }
                served.push(fleet);
                // What stands under the other prefix may be anybody's branch.
                break;
            }
        }
        if let Some(said) = said {
            if let Some(noted) = served.into_iter().next() {
                return Err(FleetFault::Contradiction {
                    noted,
                    said,
                    path: self.layout.config().path(),
                }
                .into());
            }
            let url = remotes
                .iter()
                .find(|(name, _)| *name == said.remote)
                .map_or_else(String::new, |(_, url)| url.clone());
            return Err(
                FleetFault::Other { id: said.id, remote: said.remote, url, serves: false }.into()
            );
        }
        match served.as_slice() {
            [] => self.note_no_fleet(&self.lock()?, settings),
            [first, others @ ..] if others.iter().all(|other| other.is_same(first)) => {
                self.join(first.clone()).map(drop)
            }
            several => {
                let remotes = several.iter().map(|fleet| fleet.remote.clone()).collect();
                Err(FleetFault::Several { remotes }.into())
            }
        }
    }

    /// Whether it is known that no remote of this clone serves a fleet, and not for too long.
    pub(in crate::bus) fn has_fresh_answer(&self) -> Result<bool, Error> {
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
