//! Whether the agent whose branch it is may work on the branch's task: the claims in the fleet's
//! refs say so (docs/design.md, section 1.5).

use std::collections::BTreeMap;

use super::base::Base;
use super::bus_refs::{BusRefs, Chain};
use super::finding::{Findings, FleetSight};
use super::handover::MAX_CHAIN;
use super::logs::Author;
use super::rule::Rule;
use super::{Error, Run};
use crate::git::{Link, Repository};
use crate::record::{AgentId, Claim, TaskId, Timestamp};

/// Of how many tasks a branch is looked at: one that brings reports of more says enough by these.
const MAX_TASKS: usize = 100;

/// What a branch is to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Its agent holds the task on it, or has ended that claim itself.
    Lawful,
    /// Somebody else has ended its agent's claim.
    Lost { by: Option<AgentId>, at: Timestamp, took_over: bool },
    /// Its agent has no claim that names it; another branch, if one of its claims names that.
    Unclaimed { elsewhere: Option<String> },
    /// The claim's history is not here.
    Unknown,
}

impl Run<'_> {
    /// What is known here of the fleet's refs.
    pub(super) fn fleet_sight(&self) -> Result<FleetSight, Error> {
        let missing = "the policy names a fleet, and none of its refs is here";
        Ok(match &self.query.unread {
            Some(why) => FleetSight::Unread(why.clone()),
            None if self.refs()?.has_fetched()
                || (self.refs()?.strangers().is_empty() && !self.refs()?.is_empty()) =>
            {
                FleetSight::Read
            }
            None if !self.refs()?.strangers().is_empty() => {
                let places = self.refs()?.strangers().join(", ");
                FleetSight::Unread(format!(
                    "what is at {places} is not of the fleet that the base's policy names"
                ))
            }
            None if self.policy.fleet.is_some() => FleetSight::Unread(missing.to_owned()),
            None => FleetSight::None,
        })
    }

    /// Checks that the branch of `author` has a claim of the branch's task; says so if nobody can
    /// tell.
    pub(super) fn check_claimed(
        &self,
        findings: &mut Findings,
        author: &Author,
        sight: &FleetSight,
    ) -> Result<(), Error> {
        let Some(base) = self.base.filter(|_| self.query.plans.is_none()) else { return Ok(()) };
        let branch = self.branch();
        if branch.is_none() && self.query.branch.is_none() {
            let words = || {
                "no branch is checked out or named, so what an agent may change was not looked at"
                    .to_owned()
            };
            findings.add(Rule::NotJudged, "HEAD", None, words);
        }
        // An older bus knew none of these rules.
        let is_judged = author.is_some() && self.policy.records.is_some();
        match (sight, author, branch) {
            (FleetSight::Unread(why), _, branch) if is_judged || self.query.unread.is_some() => {
                let place = branch.as_deref().map_or_else(|| "HEAD".to_owned(), ref_of);
                let words = || {
                    format!("nobody can say who holds the tasks and the paths of the change: {why}")
                };
                findings.add(Rule::NotJudged, &place, None, words);
            }
            (FleetSight::Read, Some(author), Some(branch)) if is_judged => {
                let mut standings = BTreeMap::new();
                for (task, chain) in self.chains_of_branch(base, author, &branch)? {
                    standings
                        .insert(task, (standing(self.repo, &chain, author, &branch)?, chain.name));
                }
                tell(findings, author, &branch, &standings);
            }
            _ => {}
        }
        Ok(())
    }

    /// The tasks that the branch may be of, with the newest chain of each: those whose reports the
    /// change brings, and the one that the branch's name begins with.
    fn chains_of_branch(
        &self,
        base: &Base,
        author: &AgentId,
        branch: &str,
    ) -> Result<BTreeMap<TaskId, Chain>, Error> {
        let refs = self.refs()?;
        let mut chains = BTreeMap::new();
        for task in named_by(branch) {
            if let Some(chain) = self.newest_chain(refs, &task)? {
                chains.insert(task, chain);
                break;
            }
        }
        for path in self.changed_paths(base)? {
            let folders: Vec<&str> = path.split('/').collect();
            let ["_report", "agent", agent, task, _, ..] = folders.as_slice() else { continue };
            let Some(task) =
                TaskId::new(*task).ok().filter(|_| author.as_str().eq_ignore_ascii_case(agent))
            else {
                continue;
            };
            if chains.len() < MAX_TASKS
                && !chains.contains_key(&task)
                && let Some(chain) = self.newest_chain(refs, &task)?
            {
                chains.insert(task, chain);
            }
        }
        Ok(chains)
    }

    /// The chain of a task whose tip has the highest revision; of equal ones a remote's.
    fn newest_chain(&self, refs: &BusRefs<'_>, task: &TaskId) -> Result<Option<Chain>, Error> {
        let mut newest = None;
        for chain in refs.chains_of(task)? {
            let claim =
                self.repo.link(chain.tip)?.ok().and_then(|link| Claim::parse(&link.body).ok());
            let age = (claim.map(|claim| claim.revision), chain.is_fetched);
            if newest.as_ref().is_none_or(|(known, _)| *known < age) {
                newest = Some((age, chain));
            }
        }
        Ok(newest.map(|(_, chain)| chain))
    }
}

/// The full name of a branch.
fn ref_of(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// The tasks whose names `agent/<id>/…` may begin with, the longest first: `QUEUE-001-FIX`,
/// `QUEUE-001` and `QUEUE`.
fn named_by(branch: &str) -> Vec<TaskId> {
    let name = branch.splitn(3, '/').nth(2).unwrap_or_default();
    let ends = name.match_indices(['-', '/']).map(|(end, _)| end).chain([name.len()]);
    let mut tasks: Vec<TaskId> = ends.filter_map(|end| TaskId::new(&name[..end]).ok()).collect();
    tasks.reverse();
    tasks
}

/// What `branch` of `agent` is to the task of a chain: its newest state that names both decides.
fn standing(
    repo: &Repository,
    chain: &Chain,
    agent: &AgentId,
    branch: &str,
) -> Result<Standing, Error> {
    let mut elsewhere = None;
    let mut newer: Option<(Link, Claim)> = None;
    let mut next = Some(chain.tip);
    for _ in 0..MAX_CHAIN {
        let Some(id) = next else { return Ok(Standing::Unclaimed { elsewhere }) };
        let Ok(link) = repo.link(id)? else { return Ok(Standing::Unknown) };
        next = link.parent;
        // A state that cannot be read hides what it did; what is older still counts.
        let Ok(claim) = Claim::parse(&link.body) else { continue };
        if claim.agent_id == *agent && claim.branch == branch {
            return Ok(outcome(&claim, newer, elsewhere));
        }
        if claim.agent_id == *agent {
            elsewhere.get_or_insert_with(|| claim.branch.clone());
        }
        newer = Some((link, claim));
    }
    Ok(Standing::Unknown)
}

/// What became of `claim`, which the state `newer` follows.
fn outcome(claim: &Claim, newer: Option<(Link, Claim)>, elsewhere: Option<String>) -> Standing {
    if !claim.status.is_live() {
        let at = claim.released_at.unwrap_or(claim.claimed_at);
        return match claim.released_by.clone().filter(|by| *by != claim.agent_id) {
            Some(by) => Standing::Lost { by: Some(by), at, took_over: false },
            None => Standing::Lawful,
        };
    }
    match newer {
        None => Standing::Lawful,
        Some((_, newer)) if newer.agent_id == claim.agent_id => Standing::Unclaimed { elsewhere },
        Some((link, newer)) => {
            Standing::Lost { by: Some(newer.agent_id), at: link.time, took_over: true }
        }
    }
}

/// Tells which claims were lost; and if none is lawful, that the branch has none.
fn tell(
    findings: &mut Findings,
    author: &AgentId,
    branch: &str,
    standings: &BTreeMap<TaskId, (Standing, String)>,
) {
    let place = ref_of(branch);
    let mut is_told = false;
    for (task, (standing, name)) in standings {
        match standing {
            Standing::Lost { by, at, took_over } => {
                is_told = true;
                let by = by.as_ref().map_or("somebody", AgentId::as_str);
                let how = if *took_over { "took the task over" } else { "ended its claim" };
                let words = || {
                    format!(
                        "`{task}` is no longer {author}'s on `{branch}`: {by} {how} at {at} ({name})"
                    )
                };
                findings.add(Rule::ClaimLost, &place, None, words);
            }
            Standing::Unknown => {
                is_told = true;
                let words = || {
                    format!(
                        "nobody can say who holds `{task}`: a state of {name} is not here, or it has more than {MAX_CHAIN} of them"
                    )
                };
                findings.add(Rule::NotJudged, &place, None, words);
            }
            Standing::Lawful => is_told = true,
            Standing::Unclaimed { .. } => {}
        }
    }
    if is_told {
        return;
    }
    let words = || match standings.iter().next() {
        None => format!("`{author}` has no claim of a task that `{branch}` names"),
        Some((task, (Standing::Unclaimed { elsewhere: Some(other) }, _))) => {
            format!(
                "`{author}` has no live claim of `{task}` on `{branch}`: its claim names `{other}`"
            )
        }
        Some((task, _)) => format!("`{author}` has no claim of `{task}` that names `{branch}`"),
    };
    findings.add(Rule::UnclaimedBranch, &place, None, words);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_may_be_of_any_task_that_its_name_begins_with() {
        let named =
            |branch: &str| named_by(branch).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(named("agent/codex-1/queue-001-fix"), ["queue-001-fix", "queue-001", "queue"]);
        assert_eq!(named("agent/codex-1/QUEUE-001/again"), ["QUEUE-001", "QUEUE"]);
        assert_eq!(named("agent/codex-1/x"), ["x"]);
        assert_eq!(named("agent/codex-1"), [""; 0]);
    }
}
