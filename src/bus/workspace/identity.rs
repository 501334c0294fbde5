//! Who the caller is (docs/design.md, section 1).

use super::Workspace;
use crate::bus::Error;
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, Manifest, Origin};

/// Where an agent id may come from, in this order, besides the worktree's manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentitySource {
    /// `--agent`.
    pub(crate) argument: Option<AgentId>,
    /// `$BUS_AGENT`.
    pub(crate) environment: Option<AgentId>,
}

/// An agent at a place: what owns claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// The agent.
    pub(crate) agent: AgentId,
    /// The worktree it works in.
    pub(crate) origin: Origin,
}

impl Who {
    /// Whether `claim` is this agent's, made here. A record without origin goes by agent alone.
    #[must_use]
    pub(crate) fn owns(&self, claim: &Claim) -> bool {
        self.is(&claim.agent_id, claim.origin.as_ref())
    }

    /// Whether a record of `agent`, made at `origin`, is this agent's, made here.
    #[must_use]
    pub(crate) fn is(&self, agent: &AgentId, origin: Option<&Origin>) -> bool {
        self.agent == *agent && origin.is_none_or(|origin| *origin == self.origin)
    }
}

impl Workspace {
    /// The caller's agent id, or nothing where none is given.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it would come from a manifest that cannot be read.
    pub(crate) fn agent(&self, source: &IdentitySource) -> Result<Option<AgentId>, Error> {
        if let Some(agent) = source.argument.as_ref().or(source.environment.as_ref()) {
            return Ok(Some(agent.clone()));
        }
        let place = self.layout.manifest();
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let manifest =
            Manifest::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))?;
        Ok(Some(manifest.agent_id))
    }

    /// The caller's agent id, which a write needs, and a heartbeat of it.
    ///
    /// # Errors
    ///
    /// [`Error::NoIdentity`] if none is given; else as [`Workspace::agent`].
    pub(crate) fn writer(&self, source: &IdentitySource) -> Result<AgentId, Error> {
        let agent = self.agent(source)?.ok_or(Error::NoIdentity)?;
        self.note_presence(&agent);
        Ok(agent)
    }

    /// `agent` at this place.
    pub(in crate::bus) fn who(&self, agent: AgentId) -> Result<Who, Error> {
        let clone_id = self.clone_id()?;
        Ok(Who { agent, origin: Origin::new(&clone_id, self.repo.worktree_name().as_deref()) })
    }

    /// The session whose command this is.
    pub(in crate::bus) fn session_id(&self) -> Option<String> {
        self.session.as_ref().map(ToString::to_string)
    }

    /// The agents that were at work in this clone, in lower case.
    pub(in crate::bus) fn present_agents(&self) -> impl Iterator<Item = AgentId> {
        let present = self.listed(&self.private.folder().join("presence")).into_iter();
        present.filter_map(|entry| AgentId::new(entry.name.to_str()?).ok())
    }
}
