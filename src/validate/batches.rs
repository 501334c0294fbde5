//! Batches of other agents in a change (docs/design.md, section 1.2). Who goes on with another's
//! branch has its batches, and must not write them.

use std::collections::BTreeMap;

use super::files::Batch;
use super::logs::{Author, LineFile};
use super::{Error, Run};
use crate::git::{ObjectId, blob_id};
use crate::store::{Error as StoreError, Verb};

/// How many files of branches are looked up.
const MAX_LOOKUPS: usize = 100_000;

impl Run<'_> {
    /// Notes which of `files` are batches of another agent than `author` that a branch of that
    /// agent's has, byte for byte.
    ///
    /// A branch `agent/<id>/…` is that agent's word, as it is when its own pull request is judged.
    /// Nothing else is: that the agent held the task, a commit's author and what the lines say of
    /// themselves can all be true of words that somebody else has written.
    pub(super) fn prove_batches(
        &self,
        author: &Author,
        files: &mut [LineFile],
    ) -> Result<(), Error> {
        let Some(author) = author else { return Ok(()) };
        let (mut tips, mut left) = (None, MAX_LOOKUPS);
        for file in files {
            let batch = Batch::at(&file.path).filter(Batch::is_well_named);
            let Some(batch) =
                batch.filter(|batch| !batch.owner.eq_ignore_ascii_case(author.as_str()))
            else {
                continue;
            };
            if tips.is_none() {
                tips = Some(self.agents_branches()?);
            }
            let tips =
                tips.as_ref().and_then(|tips| tips.get(batch.owner)).map_or(&[][..], Vec::as_slice);
            if tips.is_empty() {
                continue;
            }
            let path = self.root.join(&file.path);
            let here = blob_id(&std::fs::read(&path).map_err(StoreError::io(Verb::Read, &path))?);
            for tip in tips {
                let Some(rest) = left.checked_sub(1) else { return Ok(()) };
                left = rest;
                let there = self.repo.blob_at(*tip, file.path.as_ref());
                file.is_proved |= there.is_some() && there == here;
            }
        }
        Ok(())
    }

    /// Where the branches `agent/<id>/…` are, here and on remotes, by the ids.
    fn agents_branches(&self) -> Result<BTreeMap<String, Vec<ObjectId>>, Error> {
        let mut branches: BTreeMap<String, Vec<ObjectId>> = BTreeMap::new();
        let here = self.history.refs_below("refs/heads/agent/")?;
        let there = self.history.refs_below("refs/remotes/")?;
        for (name, tip) in here.into_iter().chain(there) {
            // What a remote has as `x/agent/<id>/…` is no branch of an agent's.
            let branch = match name.strip_prefix("refs/remotes/") {
                Some(rest) => rest.split_once('/').map(|(_, branch)| branch),
                None => name.strip_prefix("refs/heads/"),
            };
            let agent = branch.and_then(|branch| branch.strip_prefix("agent/")?.split_once('/'));
            if let Some((agent, _)) = agent {
                let tips = branches.entry(agent.to_owned()).or_default();
                if !tips.contains(&tip) {
                    tips.push(tip);
                }
            }
        }
        Ok(branches)
    }
}
