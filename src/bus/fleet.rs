//! Which fleet this clone belongs to (design, section 3, *Fleet*).
//!
//! A fleet belongs to the clone, not to the branch that is checked out: the first command that sees `[fleet]` notes it in
//! `<git common dir>/bus/fleet`, and from then on the note counts.

use super::{Bus, Error, FleetFault};
use crate::git::{ObjectId, RefName, Remote, Sight};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Config, Fleet, Timestamp};
use crate::store::{Layout, replace};

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
        if self.fleet.get().is_none() {
            let found = self.find_fleet()?;
            let _ = self.fleet.set(found);
        }
        Ok(self.fleet.get().and_then(Option::as_ref))
    }

    fn find_fleet(&self) -> Result<Option<Fleet>, Error> {
        let place = self.private.fleet();
        let noted = place.read(MAX_RECORD)?;
        let noted = noted.map(|bytes| Fleet::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))).transpose()?;
        let said = self.config()?.fleet.clone();
        match (noted, said) {
            // This clone may call the remote otherwise.
            (Some(noted), Some(said)) if (&noted.id, &noted.prefix) != (&said.id, &said.prefix) => {
                Err(FleetFault::Contradiction { noted, said, path: self.layout.config().path() }.into())
            }
            (Some(noted), _) => Ok(Some(noted)),
            (None, Some(said)) => self.join(said).map(Some),
            (None, None) => self.fleet_elsewhere().map_or(Ok(None), |said| self.join(said).map(Some)),
        }
    }

    /// What another worktree's policy says of a fleet, or that of the remote's default branch.
    fn fleet_elsewhere(&self) -> Option<Fleet> {
        let said = |text: &[u8]| Config::parse(std::str::from_utf8(text).ok()?).ok()?.fleet;
        let read = |layout: &Layout| said(&layout.config().read(MAX_RECORD).ok()??);
        let elsewhere = self.layouts().skip(1).find_map(read);
        elsewhere.or_else(|| said(&self.repo.file_on_remote_trunk("_bus/config.toml")?))
    }

    /// Notes that this clone belongs to `fleet`: what every clone of it makes alike, and the note.
    pub(super) fn join(&self, fleet: Fleet) -> Result<Fleet, Error> {
        let _lock = self.lock()?;
        self.repo.put(&RefName::fleet(), self.fleet_root(&fleet.id)?)?;
        if self.repo.id_of(&RefName::archive())?.is_none() {
            self.repo.put(&RefName::archive(), self.repo.archive_root()?)?;
        }
        replace(&self.private.fleet(), &fleet.to_bytes())?;
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
