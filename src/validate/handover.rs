//! Who owned a task before and who owns it now: duplicate claims, lawful handovers, changes that are not one's own.

use std::collections::BTreeMap;

use super::base::without_returns;
use super::bus_refs::BusRefs;
use super::finding::{Findings, Place};
use super::logs::Author;
use super::rule::Rule;
use crate::git::{Error, Link, Repository};
use crate::record::{Claim, LINEAGE_LIMIT, PathStep, TaskId, locate};

/// A claim and where it was read.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) claim: Claim,
    pub(super) bytes: Vec<u8>,
    /// The file, below the root.
    pub(super) path: String,
}

impl Held {
    /// Where the record has `field`.
    fn at(&self, field: &str) -> Option<Place> {
        Some(locate(&self.bytes, &[PathStep::Key(field)]).into())
    }
}

/// Claims by task.
pub(super) type Claims = BTreeMap<TaskId, Held>;

/// Whether the claim's own history has a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It has.
    Proved,
    /// It has not.
    Refuted,
    /// It cannot be told here.
    Open,
}

/// Judges how claims changed.
pub(super) struct Judge<'a> {
    repo: &'a Repository,
    refs: &'a BusRefs<'a>,
    author: &'a Author,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(repo: &'a Repository, refs: &'a BusRefs<'a>, author: &'a Author) -> Self {
        Self { repo, refs, author }
    }

    /// Compares a claim with what the base had of it, where it had something. Whose claim it is matters where it `is_news`: what
    /// a merge brings from another side is nobody's doing here.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where a claim's history cannot be read.
    pub(super) fn changed(&self, findings: &mut Findings, before: Option<&Held>, now: &Held, is_news: bool) -> Result<(), Error> {
        let is_fair = match before {
            Some(before) => self.check_change(findings, before, now)?,
            None => self.check_new(findings, now)?,
        };
        if is_fair && is_news {
            self.check_author(findings, before, now);
        }
        Ok(())
    }

    /// Checks a claim of which the base has nothing: the remote's ref may know its owner.
    fn check_new(&self, findings: &mut Findings, now: &Held) -> Result<bool, Error> {
        for chain in self.refs.chains_of(&now.claim.task_id)?.iter().filter(|chain| chain.is_fetched) {
            let tip = self.repo.link(chain.tip)?.ok();
            let claim = tip.as_ref().and_then(|link| Claim::parse(&link.body).ok());
            let Some((link, claim)) = tip.zip(claim) else { continue };
            let total = findings.total();
            let theirs = Held { claim, bytes: link.body, path: now.path.clone() };
            self.beside(findings, now, &theirs, "the remote");
            if findings.total() > total {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks that a claim went on, or that the task was handed over; says whether its owner may at least be its owner.
    fn check_change(&self, findings: &mut Findings, before: &Held, now: &Held) -> Result<bool, Error> {
        let (old, new) = (&before.claim, &now.claim);
        match old.same_claim(new) {
            true if !same_owner(old, new) => {
                add_duplicate(findings, now, before, "the base");
                return Ok(false);
            }
            true => {}
            false if old.status.is_live() => {
                if !self.check_handover(findings, before, now)? {
                    return Ok(false);
                }
            }
            // Whoever takes up what has ended needs no leave, but must not invent what happened since.
            false if self.prove(before, now)? == Proof::Refuted => add_forged(findings, before, now),
            false => {}
        }
        check_rollback(findings, old, now);
        Ok(true)
    }

    /// Checks that a task whose claim was live was handed over; says whether the record at least says so.
    fn check_handover(&self, findings: &mut Findings, before: &Held, now: &Held) -> Result<bool, Error> {
        let (old, new) = (&before.claim, &now.claim);
        // The oldest of a full lineage falls out of it; each entry of it cost a revision at least.
        let has_dropped = new.lineage_is_full() && new.revision >= old.revision.saturating_add(LINEAGE_LIMIT as u64);
        match (new.succeeds(old) || has_dropped, self.prove(before, now)?) {
            (true, Proof::Proved) => {}
            (true, Proof::Open) => findings.add(Rule::HandoverUnproved, &now.path, now.at("agent_id"), || {
                format!("{}, and no claim ref here can prove it", went(before, now))
            }),
            (true, Proof::Refuted) => add_forged(findings, before, now),
            // What was claimed offline and never confirmed yields to what the claim's ref has.
            (false, Proof::Proved) if old.is_unconfirmed() && !new.is_unconfirmed() => {}
            (false, _) => {
                add_duplicate(findings, now, before, "the base");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares a live claim with what another branch, called `name`, has of it.
    ///
    /// Neither is at fault where one follows the other; where both cannot be, the one that was never confirmed is.
    pub(super) fn beside(&self, findings: &mut Findings, now: &Held, theirs: &Held, name: &str) {
        let (ours, other) = (&now.claim, &theirs.claim);
        let both_live = ours.status.is_live() && other.status.is_live();
        let one_follows = (ours.same_claim(other) && same_owner(ours, other)) || ours.succeeds(other) || other.succeeds(ours);
        let theirs_yields = other.is_unconfirmed() && !ours.is_unconfirmed();
        if both_live && !one_follows && !theirs_yields {
            add_duplicate(findings, now, theirs, name);
        }
    }

    /// On an agent's branch only its own claims change, but for those that it takes over lawfully.
    fn check_author(&self, findings: &mut Findings, before: Option<&Held>, now: &Held) {
        let Some(author) = self.author else { return };
        let owner = &now.claim.agent_id;
        if owner == author {
            return;
        }
        let what = if before.is_some() { "changed" } else { "added" };
        let words = || format!("the claim of `{owner}` on `{}` was {what} on a branch of `{author}`", now.claim.task_id);
        findings.add(Rule::Tampering, &now.path, now.at("agent_id"), words);
    }

    /// Looks for the very bytes of a claim in the claim's history, here and as it was fetched, after the state `before`.
    fn prove(&self, before: &Held, now: &Held) -> Result<Proof, Error> {
        let mut proof = Proof::Open;
        for chain in self.refs.chains_of(&now.claim.task_id)? {
            // What is not here proves nothing, and refutes nothing.
            let Ok(tip) = self.repo.link(chain.tip)? else { continue };
            let newest = Claim::parse(&tip.body).ok();
            match self.prove_by(tip, before, now)? {
                Proof::Proved => return Ok(Proof::Proved),
                Proof::Open => {}
                Proof::Refuted => {
                    // This clone's own ref may not have heard of a later state; the remote's has.
                    let behind = newest.is_none_or(|newest| newest.revision < now.claim.revision);
                    if chain.is_fetched || !behind {
                        proof = Proof::Refuted;
                    }
                }
            }
        }
        Ok(proof)
    }

    /// The same by one chain, from its tip on.
    fn prove_by(&self, tip: Link, before: &Held, now: &Held) -> Result<Proof, Error> {
        let (was, is) = (without_returns(&before.bytes), without_returns(&now.bytes));
        let mut state = tip;
        loop {
            if state.body == is {
                return Ok(Proof::Proved);
            }
            // What stands further down is older than what the base has.
            let Some(parent) = state.parent.filter(|_| state.body != was) else { return Ok(Proof::Refuted) };
            let Ok(older) = self.repo.link(parent)? else { return Ok(Proof::Open) };
            state = older;
        }
    }
}

/// How a task changed hands, in words.
fn went(before: &Held, now: &Held) -> String {
    format!("`{}` went from {} to {}", now.claim.task_id, before.claim.agent_id, now.claim.agent_id)
}

fn add_forged(findings: &mut Findings, before: &Held, now: &Held) {
    let words = || format!("{}, and its claim ref knows no such record after that of the base", went(before, now));
    findings.add(Rule::HandoverForged, &now.path, now.at("agent_id"), words);
}

/// Whether two states of a claim have one owner: agent and place, where both say it (design, section 3).
pub(super) fn same_owner(one: &Claim, other: &Claim) -> bool {
    let same_place = one.origin.is_none() || other.origin.is_none() || one.origin == other.origin;
    one.agent_id == other.agent_id && same_place
}

/// A task's records only go on: the revision grows, from claim to claim, too, and a claim that has ended does not come
/// back to life.
fn check_rollback(findings: &mut Findings, old: &Claim, now: &Held) {
    let new = &now.claim;
    let is_same = old.same_claim(new);
    // Older buses count no revisions.
    let is_counted = old.claim_id.is_some() && new.claim_id.is_some();
    let is_back = new.revision < old.revision
        || (is_same && new.status.is_live() && !old.status.is_live())
        || (!is_same && is_counted && new.revision == old.revision);
    if is_back {
        let state = |claim: &Claim| format!("revision {} ({}, {})", claim.revision, claim.agent_id, claim.status);
        let words = || format!("the base has {} of the task's record, and this is {}", state(old), state(new));
        findings.add(Rule::ClaimRollback, &now.path, now.at("revision"), words);
    }
}

fn add_duplicate(findings: &mut Findings, now: &Held, theirs: &Held, name: &str) {
    let (ours, other) = (&now.claim, &theirs.claim);
    let words = || {
        let task = &ours.task_id;
        let (owner, agent) = (&other.agent_id, &ours.agent_id);
        let verb = if other.status.is_live() { "holds" } else { "held" };
        let held = format!("{owner} {verb} `{task}` on {name}, since {}", other.claimed_at);
        match (ours.confirmed, ours.status.is_live()) {
            (Some(false), true) => format!("{held}, and wins: {agent} claimed it offline, and was never confirmed"),
            (_, true) => format!("{held}; here {agent} does, since {}, and no handover is recorded", ours.claimed_at),
            (_, false) => format!("{held}; here its record is {agent}'s ({}), and no handover is recorded", ours.status),
        }
    };
    findings.add(Rule::DuplicateClaim, &now.path, now.at("agent_id"), words);
}
