//! `AGENT_MANIFEST.json`: who works in this worktree.

use super::fields::{Fields, first, put};
use super::{AgentId, Fault, json};

/// The agent of a worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Who it is.
    pub agent_id: AgentId,
}

impl Manifest {
    /// Reads the bytes of a manifest.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::new(json::parse_record(bytes)?);
        let agent_id = fields.id("agent_id");
        fields.finish(agent_id.map(|agent_id| Self { agent_id })).map_err(first)
    }

    /// The bytes of a new manifest.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = json::Object::new();
        put(&mut object, "agent_id", Some(&self.agent_id));
        json::pretty(&object).into_bytes()
    }
}
