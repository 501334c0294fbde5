//! `AGENT_MANIFEST.json`: who works in this worktree.

use super::fields::Fields;
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
        let mut fields = Fields(json::parse_record(bytes)?);
        Ok(Self { agent_id: fields.id("agent_id")? })
    }
}
