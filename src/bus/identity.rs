//! Who the caller is (design, section 1).

use super::{Bus, Error};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, Manifest, Origin};

/// Where an agent id may come from, in this order, besides the worktree's manifest.
#[derive(Clone, Debug, Default)]
pub struct IdentitySource {
    /// `--agent`.
    pub argument: Option<AgentId>,
    /// `$BUS_AGENT`.
    pub environment: Option<AgentId>,
}

/// An agent at a place: what owns claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The agent.
    pub agent: AgentId,
    /// The worktree it works in.
    pub origin: Origin,
}

impl Who {
    /// Whether `claim` is this agent's, made here. A record without origin goes by agent alone.
    #[must_use]
    pub fn owns(&self, claim: &Claim) -> bool {
        self.is(&claim.agent_id, claim.origin.as_ref())
    }

    /// Whether a record of `agent`, made at `origin`, is this agent's, made here.
    #[must_use]
    pub fn is(&self, agent: &AgentId, origin: Option<&Origin>) -> bool {
        self.agent == *agent && origin.is_none_or(|origin| *origin == self.origin)
    }
}

impl Bus {
    /// The caller's agent id, or nothing where none is given.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where it would come from a manifest that cannot be read.
    pub fn agent(&self, source: &IdentitySource) -> Result<Option<AgentId>, Error> {
        if let Some(agent) = source.argument.as_ref().or(source.environment.as_ref()) {
            return Ok(Some(agent.clone()));
        }
        let place = self.layout.manifest();
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let manifest = Manifest::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))?;
        Ok(Some(manifest.agent_id))
    }

    /// The caller's agent id, which a write needs, and a sign of life of it.
    ///
    /// # Errors
    ///
    /// [`Error::NoIdentity`] where none is given; else as [`Bus::agent`].
    pub fn writer(&self, source: &IdentitySource) -> Result<AgentId, Error> {
        let agent = self.agent(source)?.ok_or(Error::NoIdentity)?;
        self.note_presence(&agent);
        Ok(agent)
    }

    /// `agent` at this place.
    pub(super) fn who(&self, agent: AgentId) -> Result<Who, Error> {
        let clone_id = self.clone_id()?;
        Ok(Who { agent, origin: Origin::new(&clone_id, self.repo.worktree_name().as_deref()) })
    }
}
