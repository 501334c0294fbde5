//! What landings say of the logs: `Bus-Log: <clone>=<commit>` names a commit that the clone's log
//! had, and so must still have.

use std::collections::{BTreeMap, HashSet};

use super::{Audit, short};
use crate::git::{ObjectId, RefName};
use crate::record::CloneId;
use crate::validate::Error;
use crate::validate::finding::Findings;
use crate::validate::rule::Rule;

/// The trailer that a landing writes.
const TRAILER: &str = "Bus-Log:";

/// How many commits are looked at.
const MAX_COMMITS: usize = 20_000;

impl Audit<'_> {
    /// Checks what the first parents of HEAD say: what came by a merge says nothing, since anybody
    /// may have written it.
    pub(super) fn check_witnesses(&self, findings: &mut Findings) -> Result<(), Error> {
        let mut known: BTreeMap<String, HashSet<ObjectId>> = BTreeMap::new();
        let mut next = self.history.head();
        for _ in 0..MAX_COMMITS {
            // In a shallow clone the older commits are not here.
            let Some(Ok(link)) = next.map(|id| self.repo.link(id)).transpose()? else { break };
            for (clone, commit) in named_in(&link.body) {
                if !known.contains_key(clone.as_str()) {
                    known.insert(clone.to_string(), self.commits_of(&clone)?);
                }
                if !known[clone.as_str()].contains(&commit) {
                    let name = format!("refs/bus/log/{clone}");
                    let words = || {
                        format!(
                            "the landing {} names its commit {}, and the log has it no more",
                            short(link.id),
                            short(commit)
                        )
                    };
                    findings.add(Rule::LogRewritten, &name, None, words);
                }
            }
            next = link.parent;
        }
        Ok(())
    }

    /// The commits of a clone's log, wherever it is.
    fn commits_of(&self, clone: &CloneId) -> Result<HashSet<ObjectId>, Error> {
        let names: &[RefName] = self.refs.logs().get(clone.as_str()).map_or(&[], Vec::as_slice);
        let mut tips = Vec::new();
        for name in names {
            tips.extend(self.repo.id_of(name)?);
        }
        self.ancestors(&tips)
    }
}

/// The commits that the last paragraph of a message names, with their clones. A line that names
/// none is anybody's.
fn named_in(body: &[u8]) -> Vec<(CloneId, ObjectId)> {
    let text = String::from_utf8_lossy(body);
    let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let values = last.lines().filter_map(|line| line.strip_prefix(TRAILER)?.trim().split_once('='));
    values
        .filter_map(|(clone, commit)| {
            Some((CloneId::new(clone)?, ObjectId::from_hex(commit.as_bytes()).ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trailers_name_commits() {
        let id = "1".repeat(40);
        let named = |text: &str| named_in(text.replace("ID", &id).as_bytes()).len();
        assert_eq!(named("Bus-Log: k3f9=ID\nBus-Log: k4=ID\n"), 2);
        assert_eq!(named("Words.\n\nBus-Task: Q-1\nBus-Log: k3f9=ID\n\n"), 1);
        assert_eq!(named("Bus-Log: k3f9=ID\n\nWords.\n"), 0);
        assert_eq!(
            named("Bus-Log: k3f9=ID0\nBus-Log: ../x=ID\nBus-Log: k3f9\nNo-Bus-Log: k3f9=ID"),
            0
        );
    }
}
