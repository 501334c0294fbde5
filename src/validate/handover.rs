//! Who owned a task before and who owns it now: duplicate claims, lawful handovers, changes that
//! are not one's own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};

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
    /// It cannot be told here: what is here may be older, or not whole.
    Open,
    /// Nothing of it can be read here.
    NoChain,
}

/// How many states of a claim are looked through. With one in five minutes, five months make as
/// many.
pub(super) const MAX_CHAIN: usize = 50_000;

/// How many states of all claims are looked through, together.
const MAX_LINKS: usize = 200_000;

/// Judges how claims changed.
pub(super) struct Judge<'a> {
    repo: &'a Repository,
    refs: &'a BusRefs<'a>,
    author: &'a Author,
    /// How many states may still be read.
    left: Cell<usize>,
    /// The files of which something was told: one finding on a change is enough.
    told: RefCell<HashSet<String>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(repo: &'a Repository, refs: &'a BusRefs<'a>, author: &'a Author) -> Self {
        Self { repo, refs, author, left: Cell::new(MAX_LINKS), told: RefCell::new(HashSet::new()) }
    }

    /// Compares a claim with what the base had of it, where it had something. Whose claim it is
    /// matters where it `is_news`: what a merge brings from another side is nobody's doing here.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a claim's history cannot be read.
    pub(super) fn changed(
        &self,
        findings: &mut Findings,
        before: Option<&Held>,
        now: &Held,
        is_news: bool,
    ) -> Result<(), Error> {
        let total = findings.total();
        let is_fair = match before {
            Some(before) => self.check_change(findings, before, now)?,
            None => self.check_new(findings, now)?,
        };
        if is_fair && is_news {
            self.check_author(findings, before, now);
            if findings.total() == total {
                self.check_state(findings, before, now)?;
            }
        }
        if findings.total() > total {
            self.told.borrow_mut().insert(now.path.clone());
        }
        Ok(())
    }

    /// Checks a claim of which the base has nothing: the remote's ref may know its owner.
    fn check_new(&self, findings: &mut Findings, now: &Held) -> Result<bool, Error> {
        for chain in
            self.refs.chains_of(&now.claim.task_id)?.iter().filter(|chain| chain.is_fetched)
        {
            let tip = self.repo.link(chain.tip)?.ok();
            let claim = tip.as_ref().and_then(|link| Claim::parse(&link.body).ok());
            let Some((link, claim)) = tip.zip(claim) else { continue };
            let total = findings.total();
            let theirs = Held { claim, bytes: link.body, path: now.path.clone() };
            self.beside(findings, now, &theirs, "the remote")?;
            if findings.total() > total {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks that a claim went on, or that the task was handed over; says whether its owner may at
    /// least be its owner.
    fn check_change(
        &self,
        findings: &mut Findings,
        before: &Held,
        now: &Held,
    ) -> Result<bool, Error> {
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
            // Whoever takes up what has ended needs no leave, but must not invent what happened
            // since.
            false if self.prove(findings, Some(before), now)? == Proof::Refuted => {
                add_forged(findings, before, now)
            }
            false => {}
        }
        check_rollback(findings, old, now);
        Ok(true)
    }

    /// Checks that a task whose claim was live was handed over; says whether the record at least
    /// says so.
    fn check_handover(
        &self,
        findings: &mut Findings,
        before: &Held,
        now: &Held,
    ) -> Result<bool, Error> {
        let (old, new) = (&before.claim, &now.claim);
        // The oldest of a full lineage falls out of it; each entry of it cost a revision at least.
        let has_dropped = new.lineage_is_full()
            && new.revision >= old.revision.saturating_add(LINEAGE_LIMIT as u64);
        match (new.succeeds(old) || has_dropped, self.prove(findings, Some(before), now)?) {
            (true, Proof::Proved) => {}
            (true, Proof::Open | Proof::NoChain) => {
                findings.add(Rule::HandoverUnproved, &now.path, now.at("agent_id"), || {
                    format!("{}, and no claim ref here can prove it", went(before, now))
                })
            }
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
    /// Neither is at fault where one follows the other, and the claim's own history has that; what
    /// a file says of itself proves nothing. Where both cannot be, the one that was never confirmed
    /// is at fault.
    pub(super) fn beside(
        &self,
        findings: &mut Findings,
        now: &Held,
        theirs: &Held,
        name: &str,
    ) -> Result<(), Error> {
        let (ours, other) = (&now.claim, &theirs.claim);
        let both_live = ours.status.is_live() && other.status.is_live();
        let is_one = ours.same_claim(other) && same_owner(ours, other);
        let theirs_yields = other.is_unconfirmed() && !ours.is_unconfirmed();
        if !both_live || is_one || theirs_yields {
            return Ok(());
        }
        // Two owners are told of as often as there are others.
        let is_told = self.told.borrow().contains(&now.path);
        let total = findings.total();
        let unproved = || {
            format!(
                "{}, as one of two branches says ({name} is the other), and no claim ref here can prove it",
                went(theirs, now)
            )
        };
        if ours.succeeds(other) {
            match self.prove(findings, Some(theirs), now)? {
                Proof::Proved | Proof::NoChain => {}
                Proof::Refuted | Proof::Open if is_told => {}
                Proof::Refuted => add_forged(findings, theirs, now),
                Proof::Open => {
                    findings.add(Rule::HandoverUnproved, &now.path, now.at("agent_id"), unproved)
                }
            }
        } else if other.succeeds(ours) {
            match self.prove(findings, Some(now), theirs)? {
                Proof::Refuted => add_duplicate(findings, now, theirs, name),
                Proof::Open if !is_told => {
                    findings.add(Rule::HandoverUnproved, &now.path, now.at("agent_id"), unproved)
                }
                Proof::Proved | Proof::Open | Proof::NoChain => {}
            }
        } else {
            add_duplicate(findings, now, theirs, name);
        }
        if findings.total() > total {
            self.told.borrow_mut().insert(now.path.clone());
        }
        Ok(())
    }

    /// On a branch that is no agent's, too, what a claim's file says is a state of the claim, if
    /// its history can be read here. An agent's own claims are its own to write.
    fn check_state(
        &self,
        findings: &mut Findings,
        before: Option<&Held>,
        now: &Held,
    ) -> Result<(), Error> {
        if self.author.is_some() {
            return Ok(());
        }
        let claim = &now.claim;
        let state = || {
            format!(
                "revision {} of {}'s claim of `{}` ({})",
                claim.revision, claim.agent_id, claim.task_id, claim.status
            )
        };
        match self.prove(findings, before, now)? {
            Proof::Proved | Proof::NoChain => {}
            Proof::Refuted if !claim.is_unconfirmed() => {
                let words = || format!("its claim ref knows no such record: {}", state());
                findings.add(Rule::HandoverForged, &now.path, now.at("status"), words);
            }
            // Elsewhere the owner goes on; that it ended must not be invented.
            Proof::Open
                if claim.status.is_live()
                    && before.is_some_and(|before| before.claim.same_claim(claim)) => {}
            Proof::Open | Proof::Refuted => {
                let words =
                    || format!("no claim ref here can prove it, and one is here: {}", state());
                findings.add(Rule::HandoverUnproved, &now.path, now.at("status"), words);
            }
        }
        Ok(())
    }

    /// On an agent's branch only its own claims change, but for those that it takes over lawfully.
    fn check_author(&self, findings: &mut Findings, before: Option<&Held>, now: &Held) {
        let Some(author) = self.author else { return };
        let owner = &now.claim.agent_id;
        if owner == author {
            return;
        }
        let what = if before.is_some() { "changed" } else { "added" };
        let words = || {
            format!(
                "the claim of `{owner}` on `{}` was {what} on a branch of `{author}`",
                now.claim.task_id
            )
        };
        findings.add(Rule::Tampering, &now.path, now.at("agent_id"), words);
    }

    /// Looks for the very bytes of a claim in the claim's history, here and as it was fetched,
    /// after the state `before`.
    fn prove(
        &self,
        findings: &mut Findings,
        before: Option<&Held>,
        now: &Held,
    ) -> Result<Proof, Error> {
        let mut proof = Proof::NoChain;
        for chain in self.refs.chains_of(&now.claim.task_id)? {
            // What is not here proves nothing, and refutes nothing.
            let Ok(tip) = self.repo.link(chain.tip)? else { continue };
            if proof == Proof::NoChain {
                proof = Proof::Open;
            }
            let newest = Claim::parse(&tip.body).ok();
            match self.prove_by(tip, before, now)? {
                Some(Proof::Proved) => return Ok(Proof::Proved),
                Some(Proof::Refuted) => {
                    // This clone's own ref may not have heard of a later state; the remote's has.
                    let behind = newest.is_none_or(|newest| newest.revision < now.claim.revision);
                    if chain.is_fetched || !behind {
                        proof = Proof::Refuted;
                    }
                }
                Some(_) => {}
                None => {
                    let words = || {
                        format!(
                            "{} was not read to its end: of a claim {MAX_CHAIN} states are, of all {MAX_LINKS}",
                            chain.name
                        )
                    };
                    findings.add(Rule::TooMuch, &now.path, None, words);
                }
            }
        }
        Ok(proof)
    }

    /// The same by one chain, from its tip on; `None` if it is longer than is read.
    fn prove_by(
        &self,
        tip: Link,
        before: Option<&Held>,
        now: &Held,
    ) -> Result<Option<Proof>, Error> {
        let (was, is) =
            (before.map(|before| without_returns(&before.bytes)), without_returns(&now.bytes));
        let mut state = tip;
        for _ in 0..MAX_CHAIN {
            let Some(left) = self.left.get().checked_sub(1) else { break };
            self.left.set(left);
            if state.body == is {
                return Ok(Some(Proof::Proved));
            }
            // What stands further down is older than what the base has.
            let Some(parent) = state.parent.filter(|_| was.as_ref() != Some(&state.body)) else {
                return Ok(Some(Proof::Refuted));
            };
            let Ok(older) = self.repo.link(parent)? else { return Ok(Some(Proof::Open)) };
            state = older;
        }
        Ok(None)
    }
}

/// How a task changed hands, in words.
fn went(before: &Held, now: &Held) -> String {
    format!("`{}` went from {} to {}", now.claim.task_id, before.claim.agent_id, now.claim.agent_id)
}

fn add_forged(findings: &mut Findings, before: &Held, now: &Held) {
    let words = || {
        format!(
            "{}, and its claim ref knows no such record after that of the base",
            went(before, now)
        )
    };
    findings.add(Rule::HandoverForged, &now.path, now.at("agent_id"), words);
}

/// Whether two states of a claim have one owner: agent and place, where both say it (design,
/// section 3).
pub(super) fn same_owner(one: &Claim, other: &Claim) -> bool {
    let same_place = one.origin.is_none() || other.origin.is_none() || one.origin == other.origin;
    one.agent_id == other.agent_id && same_place
}

/// A task's records only go on: the revision grows, from claim to claim, too, and a claim that has
/// ended does not come back to life.
fn check_rollback(findings: &mut Findings, old: &Claim, now: &Held) {
    let new = &now.claim;
    let is_same = old.same_claim(new);
    // Older buses count no revisions.
    let is_counted = old.claim_id.is_some() && new.claim_id.is_some();
    let is_back = new.revision < old.revision
        || (is_same && new.status.is_live() && !old.status.is_live())
        || (!is_same && is_counted && new.revision == old.revision);
    if is_back {
        let state = |claim: &Claim| {
            format!("revision {} ({}, {})", claim.revision, claim.agent_id, claim.status)
        };
        let words = || {
            format!("the base has {} of the task's record, and this is {}", state(old), state(new))
        };
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
            (Some(false), true) => {
                format!("{held}, and wins: {agent} claimed it offline, and was never confirmed")
            }
            (_, true) => format!(
                "{held}; here {agent} does, since {}, and no handover is recorded",
                ours.claimed_at
            ),
            (_, false) => format!(
                "{held}; here its record is {agent}'s ({}), and no handover is recorded",
                ours.status
            ),
        }
    };
    findings.add(Rule::DuplicateClaim, &now.path, now.at("agent_id"), words);
}
