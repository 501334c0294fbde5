//! What the worktrees of a clone share: refs, which may vanish, and the record, which git never
//! touches.
//!
//! The record has the last state that the clone wrote or settled; if it has one, it follows what is
//! adopted, too. It is written after the ref. Here it is a chain, for its lineage names the claims
//! before it. It is *ahead* of the refs if its revision is higher and its lineage has the claim
//! that they end at: then a ref is gone or was set back, and the record decides. The next write of
//! the clone imports it.

use super::chain::{Chain, ClaimId, Link, Verb};
use super::fleet::{Remote, live, revision};
use super::rules::{Change, Rules};
use super::twins::Log;

/// A clone.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Site {
    /// The claim's local ref.
    pub(super) local: Chain,
    /// What was last seen of the remote; its archive entry is this clone's.
    pub(super) tracking: Remote,
    /// `refs/bus/lost/<TASK_ID>/<claim_id>`, in the order of the ids.
    pub(super) lost: Vec<Chain>,
    /// The claim file of the record, with its lineage.
    pub(super) record: Chain,
    /// The last commit of its own log that it wrote. A file has it, not only a ref, and before the
    /// push.
    pub(super) log: Log,
    /// It has found a twin, and has another clone id since.
    pub(super) is_renamed: bool,
    pub(super) branch: Branch,
}

/// What the branch that is checked out brings below `_bus/`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(super) enum Branch {
    #[default]
    Nothing,
    /// A claim file that nobody of this clone wrote.
    Claim,
    /// The same, and a policy that says `tracked = true`.
    ClaimAndMode,
}

impl Site {
    /// The claim as this clone knows it.
    pub(super) fn view(&self, rules: Rules) -> Chain {
        let known = self.known(rules);
        if self.is_ahead(known, rules) { self.import(known, rules) } else { known }
    }

    /// What the refs say: the local one, unless it is gone, or behind what the remote was seen to
    /// have.
    pub(super) fn known(&self, rules: Rules) -> Chain {
        let seen = if rules.with(Change::SeenIgnored) {
            self.tracking.archive
        } else {
            self.tracking.value(rules)
        };
        if seen.descends_from(self.local) { seen } else { self.local }
    }

    /// What may decide if refs are gone: the record, and never a file of the tree, whatever a
    /// branch says of the mode.
    fn record(&self, rules: Rules) -> Chain {
        let counts = match self.branch {
            Branch::Nothing => false,
            Branch::Claim => rules.with(Change::CopiesRead),
            Branch::ClaimAndMode => {
                rules.with(Change::CopiesRead) || rules.with(Change::ModeOfBranch)
            }
        };
        match (counts, rules.with(Change::NoRecord)) {
            (true, _) if revision(forged()) > revision(self.record) => forged(),
            (_, true) => Chain::NONE,
            _ => self.record,
        }
    }

    /// Whether the record goes on from `known`.
    fn is_ahead(&self, known: Chain, rules: Rules) -> bool {
        let record = self.record(rules);
        let (Some(tip), Some(behind)) = (record.tip(), known.tip()) else {
            return !record.is_none() && known.is_none();
        };
        if rules.with(Change::ArchiveFirst) && known == self.tracking.archive {
            return false;
        }
        let follows = if tip.claim == behind.claim {
            tip.ended || !behind.ended
        } else {
            record.last_of(behind.claim).is_some()
        };
        tip.revision > behind.revision && (follows || rules.with(Change::LineageIgnored))
    }

    /// The record on top of `base`. Its lineage tells how the claim that `base` ends at was taken
    /// over.
    fn import(&self, base: Chain, rules: Rules) -> Chain {
        let record = self.record(rules).plain();
        let newer = record.beyond(base.plain()).filter(|link| link.revision > revision(base));
        newer.fold(base, |chain, link| {
            let taken = live(chain)
                .is_some_and(|tip| tip.claim != link.claim && record.last_of(tip.claim).is_some());
            let verb = if taken && link.verb != Verb::Move { Verb::Reclaim } else { link.verb };
            chain.then(Link { verb, imported: true, ..link })
        })
    }

    /// Writes to the local ref what the clone knows without it, before it is brought in line with
    /// `value`, which may be older. If the record goes on from `value` itself, the import does so,
    /// too.
    fn restore(&mut self, value: Chain, rules: Rules) {
        let known = self.known(rules);
        let knows = self.record(rules).tip().is_some_and(|tip| value.last_of(tip.claim).is_some());
        if self.is_ahead(known, rules) {
            self.local = self
                .import(if knows && self.is_ahead(value, rules) { value } else { known }, rules);
        } else if !self.tracking.claim.is_none() && known == self.tracking.claim {
            self.local = known;
        }
    }

    /// Moves the local chain out of the way of the remote's.
    pub(super) fn lose(&mut self, value: Chain, rules: Rules) {
        if says_more(self.local, value) {
            self.keep_lost(self.local, rules);
        }
    }

    /// Brings the clone in line with what was seen.
    pub(super) fn adopt(&mut self, seen: Remote, rules: Rules) {
        let value = seen.value(rules);
        self.restore(value, rules);
        self.tracking = seen;
        self.replay(value, rules);
        let has_moved = self.follow(seen, rules);
        let known = self.known(rules);
        let is_due = !self.record.is_none() && (has_moved || !self.is_ahead(known, rules));
        if is_due && !rules.with(Change::RecordStays) {
            self.settle(known, rules);
        }
    }

    /// Brings the local ref to what was seen: forward, or off a fork. What is not published yet
    /// stays. Says whether it has moved.
    fn follow(&mut self, seen: Remote, rules: Rules) -> bool {
        let value = seen.value(rules);
        let gone = self.local.is_none() && (seen.claim.is_none() || value != seen.claim);
        let keep = if rules.with(Change::ByRevision) {
            revision(self.local) >= revision(value)
        } else {
            self.local.descends_from(value)
        };
        if gone || keep {
            return false;
        }
        if !value.descends_from(self.local) {
            self.lose(value, rules);
        }
        self.local = value;
        true
    }

    /// What was written under an id that is given up, and was not published, is lost: its owner is
    /// elsewhere.
    pub(super) fn give_up(&mut self, rules: Rules) {
        if rules.with(Change::OldIdSpeaks) {
            return;
        }
        let value = self.tracking.value(rules);
        self.restore(value, rules);
        self.lose(value, rules);
        self.local = self.tracking.claim;
        if !self.record.is_none() {
            self.settle(value, rules);
        }
    }

    /// What follows an import goes on from `value`, if that ends at the very state that was
    /// imported.
    fn replay(&mut self, value: Chain, rules: Rules) {
        let (local, base) = (self.local.plain(), value.plain());
        let forked = !self.local.descends_from(value) && !rules.with(Change::ImportForks);
        if forked && local.descends_from(base) {
            self.local = local.beyond(base).fold(value, Chain::then);
        }
    }

    /// The record follows what decides. What that does not know of it is lost, and kept.
    pub(super) fn settle(&mut self, decides: Chain, rules: Rules) {
        if says_more(self.record, decides) && !rules.with(Change::RecordDropped) {
            self.keep_lost(self.record.imported(), rules);
        }
        self.record = decides;
    }

    fn keep_lost(&mut self, chain: Chain, rules: Rules) {
        if rules.with(Change::LostDropped) {
            return;
        }
        self.lost
            .retain(|other| other.tip().map(|tip| tip.claim) != chain.tip().map(|tip| tip.claim));
        self.lost.push(chain);
        self.lost.sort_by_key(|chain| chain.tip().map(|tip| tip.claim));
    }

    /// What this clone knows to have lost: also what git has put another claim into the place of.
    pub(super) fn lost(&self, rules: Rules) -> impl Iterator<Item = Chain> {
        let view = self.view(rules);
        self.lost.iter().copied().chain(Some(self.record).filter(|record| says_more(*record, view)))
    }

    /// Whether the claim is live here, and somebody has really made it.
    pub(super) fn live(&self, rules: Rules) -> Option<Link> {
        live(self.view(rules)).filter(|tip| forged().last_of(tip.claim).is_none())
    }
}

/// Whether `chain` says more than `value`, and not only that its owner lived.
pub(super) fn says_more(chain: Chain, value: Chain) -> bool {
    chain.plain().beyond(value.plain()).any(|link| link.verb != Verb::Heartbeat)
}

/// A claim that nobody made: a branch brings a file that says so.
fn forged() -> Chain {
    let claim = ClaimId { number: 7, owner: 1 };
    Chain::NONE.then(Link {
        claim,
        verb: Verb::Claim,
        ended: false,
        offline: false,
        revision: 9,
        imported: false,
    })
}
