//! The histories of claims: each state follows lawfully from the one before.

use std::collections::{BTreeMap, HashSet};

use super::{Audit, short};
use crate::git::{Link, ObjectId, RefName};
use crate::record::{Claim, verb};
use crate::validate::Error;
use crate::validate::bus_refs::key;
use crate::validate::finding::Findings;
use crate::validate::handover::{MAX_CHAIN, same_owner};
use crate::validate::rule::Rule;

/// The first words of the subjects of states that others than the owner may write: what a file
/// knew, and a manager's pause.
const BY_OTHERS: [&str; 2] = ["import", "pause"];

/// The history of one claim, and the ref that it is at.
struct Chain<'a> {
    name: &'a str,
    /// The task, as its ref is called.
    task: &'a str,
}

impl Audit<'_> {
    /// Checks the history of each claim, archived or not; returns how many there are.
    pub(super) fn check_chains(&self, findings: &mut Findings) -> Result<usize, Error> {
        let mut checked = HashSet::new();
        for (task, names) in self.refs.claims() {
            for name in names {
                let chain = Chain { name: name.as_str(), task };
                if !chain.name.ends_with(&format!("/claims/{task}")) {
                    let words = || {
                        format!(
                            "it spells the number of `{task}` as version 0.1 did: `bus doctor --fix` makes one ref of all"
                        )
                    };
                    findings.add(Rule::ChainBroken, chain.name, None, words);
                }
                match self.repo.id_of(name)? {
                    Some(tip) if checked.insert((task.clone(), tip)) => {
                        self.check_chain(findings, &chain, tip)?
                    }
                    Some(_) => {}
                    None => findings.add(Rule::ChainBroken, chain.name, None, || {
                        "it holds no object id".to_owned()
                    }),
                }
            }
        }
        for name in self.refs.archives() {
            for (task, tip) in self.archived(findings, name)? {
                let task = key(&task);
                if checked.insert((task.clone(), tip)) {
                    self.check_chain(findings, &Chain { name: name.as_str(), task: &task }, tip)?;
                }
            }
        }
        Ok(checked.len())
    }

    /// What an archive has, by task; nothing if it cannot be read, which is told.
    fn archived(
        &self,
        findings: &mut Findings,
        name: &RefName,
    ) -> Result<BTreeMap<String, ObjectId>, Error> {
        let archive = self
            .repo
            .id_of(name)?
            .map(|id| self.repo.archive(id).and_then(|archive| self.repo.all_archived(&archive)));
        Ok(archive.unwrap_or_else(|| Ok(BTreeMap::new())).unwrap_or_else(|error| {
            findings.add(Rule::ChainBroken, name.as_str(), None, || {
                format!("the archive cannot be read: {error}")
            });
            BTreeMap::new()
        }))
    }

    fn check_chain(
        &self,
        findings: &mut Findings,
        chain: &Chain<'_>,
        tip: ObjectId,
    ) -> Result<(), Error> {
        let mut newer: Option<(Link, Claim)> = None;
        let mut next = Some(tip);
        let mut count = 0;
        while let Some(id) = next {
            count += 1;
            if count > MAX_CHAIN {
                let words = || {
                    format!(
                        "of the states of `{}` {MAX_CHAIN} are looked at, and it has more",
                        chain.task
                    )
                };
                findings.add(Rule::TooMuch, chain.name, None, words);
                break;
            }
            let link = match self.repo.link(id)? {
                Ok(link) => link,
                Err(what) => {
                    chain.is_broken(findings, id, || format!("cannot be read: {what}"));
                    return Ok(());
                }
            };
            next = link.parent;
            newer = match Claim::parse(&link.body) {
                Ok(claim) => {
                    chain.check_state(findings, &link, &claim);
                    if let Some((newer_link, newer)) = &newer {
                        chain.check_step(findings, &claim, newer_link, newer);
                    }
                    Some((link, claim))
                }
                Err(fault) => {
                    chain.is_broken(findings, id, || format!("is no claim: {fault:#}"));
                    None
                }
            };
        }
        Ok(())
    }
}

impl Chain<'_> {
    fn is_broken(&self, findings: &mut Findings, id: ObjectId, what: impl FnOnce() -> String) {
        findings.add(Rule::ChainBroken, self.name, None, || {
            format!("the state {} of `{}` {}", short(id), self.task, what())
        });
    }

    fn check_state(&self, findings: &mut Findings, link: &Link, claim: &Claim) {
        if key(claim.task_id.as_str()) != self.task {
            self.is_broken(findings, link.id, || format!("is of `{}`", claim.task_id));
        }
        let may_write = [Some(&claim.agent_id), claim.released_by.as_ref()];
        let is_theirs = may_write
            .into_iter()
            .flatten()
            .any(|agent| agent.as_str().eq_ignore_ascii_case(&link.author));
        if !is_theirs && !BY_OTHERS.contains(&link.verb()) {
            let author = &link.author;
            self.is_broken(findings, link.id, || {
                format!("is {}'s, and `{author}` wrote it", claim.agent_id)
            });
        }
    }

    /// Checks that the state `new` may follow the state `old`.
    fn check_step(&self, findings: &mut Findings, old: &Claim, link: &Link, new: &Claim) {
        // What a file knew when its ref was lost may be what the ref had.
        if link.verb() == verb::IMPORT {
            return;
        }
        let is_same = old.same_claim(new);
        if new.revision <= old.revision
            || (is_same && new.status.is_live() && !old.status.is_live())
        {
            let state = |claim: &Claim| {
                format!("revision {} ({}, {})", claim.revision, claim.agent_id, claim.status)
            };
            let words = || {
                format!(
                    "the state {} of `{}` is {}, after {}",
                    short(link.id),
                    self.task,
                    state(new),
                    state(old)
                )
            };
            findings.add(Rule::ClaimRollback, self.name, None, words);
        }
        let is_lawful = match is_same {
            true => same_owner(old, new),
            false => !old.status.is_live() || new.succeeds(old) || new.lineage_is_full(),
        };
        if !is_lawful {
            let (before, after) = (&old.agent_id, &new.agent_id);
            let words = || {
                let state = short(link.id);
                format!(
                    "with the state {state} `{}` went from {before} to {after}, and its lineage does not say so",
                    self.task
                )
            };
            findings.add(Rule::HandoverForged, self.name, None, words);
        }
    }
}
