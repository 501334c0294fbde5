//! This worktree's `AGENT_MANIFEST.json`: who works here.

use super::Workspace;
use crate::bus::Error;
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Manifest, ManifestName};
use crate::store::{Lock, create, replace};

/// The manifest, as git knows it.
const NAME: &str = "AGENT_MANIFEST.json";

/// What this worktree's manifest says of the agent that begins a session.
#[derive(Debug)]
pub(crate) enum ManifestState {
    /// It names the agent.
    Stands,
    /// There was none, and now it names the agent.
    Written,
    /// It names another agent, and is left alone.
    Another(AgentId),
    /// There is none, and git would take one for a file to commit.
    NotIgnored,
    /// It cannot be read, and is left alone.
    Unreadable(Error),
}

impl Workspace {
    /// Puts `AGENT_MANIFEST.<name>.json` in the place of this worktree's manifest, byte for byte.
    ///
    /// # Errors
    ///
    /// [`Error::NoManifest`] if there is none of that name; [`Error::Malformed`] if it is
    /// none: nothing is changed then.
    pub(crate) fn swap_manifest(&self, name: &ManifestName) -> Result<(), Error> {
        let _lock = self.lock()?;
        let spare = self.as_spelled(self.layout.spare_manifest(name))?;
        let Some(bytes) = spare.read(MAX_RECORD)? else {
            return Err(Error::NoManifest { name: name.clone(), known: self.spare_manifests() });
        };
        Manifest::parse(&bytes).map_err(Error::malformed(self.show(&spare), &bytes))?;
        let place = self.layout.manifest();
        if place.read(MAX_RECORD)?.as_ref() != Some(&bytes) {
            replace(&place, &bytes)?;
        }
        Ok(())
    }

    /// Whether git ignores this worktree's manifest; where git does not say, it may not.
    #[must_use]
    pub(crate) fn ignores_manifest(&self) -> bool {
        self.repo.ignores(NAME).unwrap_or(false)
    }

    /// The names of the manifests that may be swapped in.
    #[must_use]
    pub(crate) fn spare_manifests(&self) -> Vec<ManifestName> {
        let entries = std::fs::read_dir(self.layout.root()).into_iter().flatten().flatten();
        let mut names: Vec<ManifestName> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                ManifestName::new(
                    name.to_str()?.strip_prefix("AGENT_MANIFEST.")?.strip_suffix(".json")?,
                )
                .ok()
            })
            .collect();
        names.sort();
        names
    }

    /// Writes the manifest of `agent` if there is none. One that stands is the user's, whomever
    /// it names.
    pub(in crate::bus) fn settle_manifest(
        &self,
        _held: &Lock,
        agent: &AgentId,
    ) -> Result<ManifestState, Error> {
        let place = self.layout.manifest();
        let stands = match place.read(MAX_RECORD) {
            Ok(Some(bytes)) => {
                Manifest::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))
            }
            Ok(None) if !self.ignores_manifest() => return Ok(ManifestState::NotIgnored),
            Ok(None) => {
                create(&place, &Manifest { agent_id: agent.clone() }.to_bytes())?;
                return Ok(ManifestState::Written);
            }
            Err(error) => Err(error.into()),
        };
        Ok(match stands {
            Ok(manifest) if manifest.agent_id == *agent => ManifestState::Stands,
            Ok(manifest) => ManifestState::Another(manifest.agent_id),
            Err(error) => ManifestState::Unreadable(error),
        })
    }
}
