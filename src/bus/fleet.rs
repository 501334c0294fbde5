//! Which fleet this clone belongs to (design, section 3, *Fleet*).
//!
//! A fleet belongs to the clone, not to the branch that is checked out: once the remote has confirmed it, it is noted in
//! `<git common dir>/bus/fleet`, and from then on the note counts.

use super::{Bus, Error, FleetFault};
use crate::git::{ObjectId, RefName, Remote, Sight};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Fleet, Timestamp};
use crate::store::replace;

/// How far a change of a claim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The fleet's remote decides, where there is a fleet.
    Fleet,
    /// It is done here, and the fleet is told when it can be.
    Later,
    /// It is done here; `bus sync` asks the fleet.
    Offline,
}

impl Bus {
    /// The fleet that this clone belongs to.
    ///
    /// # Errors
    ///
    /// [`FleetFault::Contradiction`] where `config.toml` names another one than this clone's note; [`Error::Malformed`] where
    /// that cannot be read; [`Error::MalformedConfig`] where the policy cannot be.
    pub fn fleet(&self) -> Result<Option<&Fleet>, Error> {
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
        let noted = noted.map(|bytes| Fleet::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))).transpose()?;
        match (noted, self.config()?.fleet.clone()) {
            // This clone may call the remote otherwise.
            (Some(noted), Some(said)) if (&noted.id, &noted.prefix) != (&said.id, &said.prefix) => {
                Err(FleetFault::Contradiction { noted, said, path: self.layout.config().path() }.into())
            }
            (noted, _) => Ok(noted.map(|noted| self.as_called_now(noted))),
        }
    }

    /// The fleet, with the only remote that there is if the noted one is gone: it may have been renamed. Each talk proves that it serves
    /// this fleet.
    fn as_called_now(&self, fleet: Fleet) -> Fleet {
        match self.repo.remote_addresses().as_slice() {
            [(name, _)] if *name != fleet.remote => Fleet { remote: name.clone(), ..fleet },
            _ => fleet,
        }
    }

    /// Notes that this clone belongs to `fleet`: what every clone of it makes alike, and the note.
    pub(super) fn join(&self, fleet: Fleet) -> Result<Fleet, Error> {
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
    pub(super) fn fleet_root(&self, id: &str) -> Result<ObjectId, Error> {
        let author = AgentId::new("bus")?;
        let link = self.repo.write_link(None, &author, Timestamp::from_unix(0), &format!("fleet {id}"), b"")?;
        Ok(link.id)
    }

    /// The remote of `fleet`, ready to be talked to.
    pub(super) fn remote_of(&self, fleet: &Fleet) -> Result<Remote, Error> {
        Ok(self.repo.remote(&fleet.remote, &fleet.prefix, self.remote_patience)?)
    }

    /// Refuses a remote that does not serve this clone's fleet, as `sight` shows it: a fork, or another repository.
    pub(super) fn check_fleet(&self, fleet: &Fleet, remote: &Remote, sight: &Sight) -> Result<(), Error> {
        let found = sight.get(&RefName::fleet());
        if found == Some(&self.fleet_root(&fleet.id)?) {
            return Ok(());
        }
        let (remote, url) = (fleet.remote.clone(), remote.shown_url());
        Err(FleetFault::Other { id: fleet.id.clone(), remote, url, serves: found.is_some() }.into())
    }
}
