//! What a command comes to, given what its clone knows: the tables of the design, and who is told
//! of a loss.

use super::chain::{Chain, ClaimId, Verb};
use super::fleet::{Command, Place, State, live};
use super::rules::{Change, Rules};
use super::site::Site;

/// What a command does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Write this state, and push it.
    Write(Verb),
    /// The claim is the caller's: give a heartbeat at the remote.
    Renew,
    /// It has ended by the caller.
    Ended,
    /// Not the caller's.
    Refused,
}

/// The places of all workers, with the rules by which a claim is somebody's.
#[derive(Clone, Copy, Debug)]
pub(super) struct People {
    pub(super) places: [Place; 3],
    pub(super) reach: Reach,
    pub(super) rules: Rules,
}

/// How far a claim reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// The worktrees of one clone, which knows no remote.
    Clone,
    /// The clones of a fleet.
    Fleet,
    /// The same, and the first clone may be copied with its id: the second one is its copy.
    Twins,
}

impl People {
    /// The same people in `state`: whoever works in a clone that has taken a new id has a new
    /// origin.
    pub(super) fn at(mut self, state: &State) -> Self {
        if self.reach != Reach::Twins {
            return self;
        }
        for (worker, place) in self.places.iter_mut().enumerate() {
            if state.sites[place.site].is_renamed {
                place.origin = worker + 3;
            }
        }
        self
    }

    pub(super) fn agent(&self, claim: ClaimId) -> char {
        self.places[usize::from(claim.owner % 3)].agent
    }

    /// Whether `claim` is the worker's: by agent and by origin.
    pub(super) fn owns(&self, worker: usize, claim: ClaimId) -> bool {
        let origin = usize::from(claim.owner);
        let here = self.places[worker].origin == origin || self.rules.with(Change::OriginIgnored);
        here && self.same_agent(worker, claim)
    }

    fn same_agent(&self, worker: usize, claim: ClaimId) -> bool {
        self.agent(claim) == self.places[worker].agent
    }

    pub(super) fn holds(&self, worker: usize, view: Chain) -> bool {
        live(view).is_some_and(|tip| self.owns(worker, tip.claim))
    }

    /// Decides a `claim`, `release` or `reclaim`; `judged` is what a `reclaim` found stale, where
    /// it has judged.
    pub(super) fn verdict(
        &self,
        command: Command,
        worker: usize,
        view: Chain,
        judged: Chain,
    ) -> Verdict {
        let Some(tip) = view.tip() else {
            return if matches!(command, Command::Claim | Command::Here) {
                Verdict::Write(Verb::Claim)
            } else {
                Verdict::Refused
            };
        };
        let mine = self.owns(worker, tip.claim);
        match (command, tip.ended) {
            (Command::Claim | Command::Here, true) => Verdict::Write(Verb::Claim),
            (Command::Release, true) if mine => Verdict::Ended,
            (Command::Release, false) if mine => Verdict::Write(Verb::Release),
            (Command::Claim | Command::Here | Command::Reclaim | Command::Seize, false) if mine => {
                Verdict::Renew
            }
            (Command::Here, false) if self.same_agent(worker, tip.claim) => {
                Verdict::Write(Verb::Move)
            }
            (Command::Seize, false) => Verdict::Write(Verb::Reclaim),
            (Command::Reclaim, false) if self.may_take(view, judged) => {
                Verdict::Write(Verb::Reclaim)
            }
            _ => Verdict::Refused,
        }
    }

    /// A stale claim is taken over as it was judged, or not at all.
    fn may_take(&self, view: Chain, judged: Chain) -> bool {
        judged.is_none() || view == judged || self.rules.with(Change::Unjudged)
    }

    /// Whether somebody else ended the worker's newest claim. It is in the history of what stands,
    /// or in what was lost; the newest by its id counts, for an older one was either ended by the
    /// worker or told of.
    pub(super) fn has_lost(&self, worker: usize, site: &Site) -> bool {
        let view = site.view(self.rules);
        let newest = |chain: Chain| {
            chain.links().map(|link| link.claim).filter(|claim| self.owns(worker, *claim)).max()
        };
        let stood = newest(view).map(|claim| (claim, view));
        let lost = site
            .lost(self.rules)
            .filter_map(|chain| newest(chain).map(|claim| (claim, chain)))
            .max();
        let newest = match (stood, lost) {
            (stood, _) if self.rules.with(Change::LostUnseen) => stood,
            (Some(stood), _) if self.rules.with(Change::HistoryFirst) => Some(stood),
            (Some(stood), Some(lost)) if stood.0 >= lost.0 => Some(stood),
            (stood, lost) => lost.or(stood),
        };
        newest.is_some_and(|(claim, chain)| ended_by_another(claim, chain, chain == view))
    }
}

/// Whether `claim` of `chain` was ended, and not by its owner. In a chain that was lost, what is
/// last has lost, too.
pub(super) fn ended_by_another(claim: ClaimId, chain: Chain, stands: bool) -> bool {
    chain.last_of(claim).is_some_and(|(last, is_tip)| !(last.ended || stands && is_tip))
}
