//! What must hold in every state, as the checker sees it.

use std::cell::RefCell;

use stateright::Property;

use super::Fleet;
use super::chain::{Chain, ClaimId};
use super::decide::{People, Reach};
use super::fleet::{Belief, Command, Fault, Place, State, Worker, live};
use super::site::{Site, says_more};

/// All properties, by the names that the tests use.
pub(super) fn all() -> Vec<Property<Fleet>> {
    vec![
        Property::always("never two confirmed owners", |fleet: &Fleet, state| {
            fleet.people(state).owners(state) <= 1
        }),
        Property::always("a confirmed owner's claim is on the remote", |fleet: &Fleet, state| {
            confirmed(state)
                .all(|(worker, claim)| fleet.people(state).is_confirmed(state, worker, claim))
        }),
        Property::always(
            "what was acknowledged is in some chain",
            |fleet: &Fleet, state: &State| {
                state.acknowledged.iter().all(|chain| is_kept(fleet, state, *chain))
            },
        ),
        Property::always("a clone without a twin keeps its id", |_, state: &State| {
            state.is_copied || !state.sites.iter().any(|site| site.is_renamed)
        }),
        Property::always("nobody is told to own what it does not", |_, state: &State| {
            state.fault != Some(Fault::FalseOwner)
        }),
        Property::always("nobody is refused what is free or its own", |_, state: &State| {
            state.fault != Some(Fault::FalseRefusal)
        }),
        Property::always("no owner loses a task without being told", |_, state: &State| {
            state.fault != Some(Fault::NotTold)
        }),
        Property::always("the remote's value only grows", |_, state: &State| {
            state.fault != Some(Fault::Forked)
        }),
        Property::always("a claim changes hands by its rules", |_, state: &State| {
            state.fault != Some(Fault::Unlawful)
        }),
        Property::always("revisions only grow", |_, state: &State| {
            state.fault != Some(Fault::Shrank)
        }),
        Property::always("a stale claim is taken as it was judged", |_, state: &State| {
            state.fault != Some(Fault::Unjudged)
        }),
        Property::always(
            "a release that was given up on ends nothing later",
            |_, state: &State| state.fault != Some(Fault::EndedBehind),
        ),
        Property::always("all clones agree after a sync", |fleet: &Fleet, state| {
            later(fleet, state).agree
        }),
        Property::always("a released task is claimable again", |fleet: &Fleet, state| {
            later(fleet, state).may_claim
        }),
        Property::always("who lost a task is told by its next release", |fleet: &Fleet, state| {
            later(fleet, state).are_told
        }),
        Property::always(
            "a release that was acknowledged is not undone",
            |fleet: &Fleet, state| later(fleet, state).releases_stay,
        ),
    ]
}

/// What comes later of a state in which nobody runs anything.
#[derive(Clone, Copy)]
struct Later {
    agree: bool,
    may_claim: bool,
    are_told: bool,
    releases_stay: bool,
}

thread_local! {
    /// The last state that was judged: each property asks for it anew. Each search has threads of
    /// its own.
    static JUDGED: RefCell<Option<(State, Later)>> = const { RefCell::new(None) };
}

fn later(fleet: &Fleet, state: &State) -> Later {
    if state.fault.is_some() || !state.is_at_rest() {
        return Later { agree: true, may_claim: true, are_told: true, releases_stay: true };
    }
    JUDGED.with_borrow_mut(|judged| match judged {
        Some((known, later)) if known == state => *later,
        _ => {
            let later = fleet.people(state).later(state);
            *judged = Some((state.clone(), later));
            later
        }
    })
}

/// Who believes to be a confirmed owner, by which claim. What was heard before the clone was copied
/// does not count.
fn confirmed(state: &State) -> impl Iterator<Item = (usize, ClaimId)> {
    state.workers.iter().enumerate().filter_map(|(worker, Worker { belief, .. })| match belief {
        Belief::Holds { claim, confirmed: true, copied: false } => Some((worker, *claim)),
        _ => None,
    })
}

/// Whether what a chain says, heartbeats aside, is in some place, be it as an import. The list
/// of a clone that is alone is none.
fn is_kept(fleet: &Fleet, state: &State, chain: Chain) -> bool {
    let of_site = |site: &Site| [site.local, site.record, site.tracking.archive];
    let sites = state.sites.iter().flat_map(|site| site.lost.iter().copied().chain(of_site(site)));
    let remote = [state.remote.claim, state.remote.archive];
    let remote = remote.into_iter().filter(|_| fleet.reach != Reach::Clone);
    sites.chain(remote).any(|place| !says_more(chain, place))
}

impl People {
    /// At how many places a worker was told that it is the owner, by a claim whose end is not on
    /// the remote. If that has forgotten something, at how many places of one clone, which may know
    /// better.
    fn owners(&self, state: &State) -> usize {
        let mut owners = Vec::new();
        for (worker, claim) in confirmed(state) {
            let Place { site, origin, .. } = self.places[worker];
            if !self.is_over(state, site, claim) && !owners.contains(&(site, origin)) {
                owners.push((site, origin));
            }
        }
        let at = |index: usize| owners.iter().filter(|(site, _)| *site == index).count();
        if state.has_forgotten { at(0).max(at(1)) } else { owners.len() }
    }

    fn is_over(&self, state: &State, site: usize, claim: ClaimId) -> bool {
        let (value, clone) = (state.remote.value(self.rules), &state.sites[site]);
        // A remote that has forgotten the claim may have taken one of another clone since.
        let gave_way = || clone.lost(self.rules).any(|lost| lost.last_of(claim).is_some());
        let view = || clone.view(self.rules);
        let to_another = || view().links().any(|link| !self.is_of(site, link.claim));
        let forgotten = || view().has_ended(claim) || (gave_way() && to_another());
        value.has_ended(claim) || (state.has_forgotten && forgotten())
    }

    /// Whether an owner's claim is where it should be.
    fn is_confirmed(&self, state: &State, worker: usize, claim: ClaimId) -> bool {
        let site = &state.sites[self.places[worker].site];
        let mut here = site.lost(self.rules).chain([site.view(self.rules)]);
        let has = |chain: Chain| chain.last_of(claim).is_some();
        has(state.remote.value(self.rules)) || (state.has_forgotten && here.any(has))
    }

    /// What counts about the task: what the remote has, or the clone that is alone.
    fn truth(&self, state: &State) -> Chain {
        if self.reach == Reach::Clone {
            state.sites[0].view(self.rules)
        } else {
            state.remote.value(self.rules)
        }
    }

    /// Whether a worker is there: not in a copy that was not made yet.
    pub(super) fn is_there(&self, state: &State, worker: usize) -> bool {
        self.reach != Reach::Twins || self.places[worker].site == 0 || state.is_copied
    }

    /// Lets a command run from beginning to end, while nobody else does anything.
    fn runs(&self, state: &mut State, worker: usize, command: Command) {
        self.begin(state, worker, command);
        while state.workers[worker].run.is_some() {
            self.at(state).step(state, worker);
        }
    }

    fn later(&self, state: &State) -> Later {
        let synced = self.synced(state);
        Later {
            agree: self.agree(&synced),
            may_claim: self.may_claim(&synced),
            are_told: self.are_told(&synced),
            releases_stay: self.releases_stay(&synced),
        }
    }

    /// The state after a `sync` in each clone. The first one sees at last what the second
    /// published.
    fn synced(&self, state: &State) -> State {
        let mut state = State { flights: Vec::new(), ..state.clone() };
        let of_second = (0..3)
            .find(|worker| self.places[*worker].site == 1)
            .filter(|worker| self.is_there(&state, *worker));
        for worker in [Some(0), of_second, Some(0)].into_iter().flatten() {
            self.at(&state).runs(&mut state, worker, Command::Sync);
        }
        state
    }

    fn agree(&self, synced: &State) -> bool {
        let value = self.truth(synced);
        let is_second_there = self.reach == Reach::Fleet || synced.is_copied;
        let is_there = |site: &usize| *site == 0 || is_second_there;
        (0..2).filter(is_there).all(|site| synced.sites[site].view(self.rules) == value)
    }

    /// What becomes of each worker that runs `command` alone.
    fn each(
        &self,
        synced: &State,
        command: Command,
        is_good: impl Fn(&State, usize) -> bool,
    ) -> bool {
        (0..3).filter(|worker| self.is_there(synced, *worker)).all(|worker| {
            let mut state = synced.clone();
            self.at(&state).runs(&mut state, worker, command);
            state.fault.is_none() && is_good(&state, worker)
        })
    }

    fn may_claim(&self, synced: &State) -> bool {
        let owns = |state: &State, worker: usize| {
            matches!(state.workers[worker].belief, Belief::Holds { confirmed: true, .. })
        };
        live(self.truth(synced)).is_some() || self.each(synced, Command::Claim, owns)
    }

    fn are_told(&self, synced: &State) -> bool {
        self.each(synced, Command::Release, |_, _| true)
    }

    /// No claim lives of which a release was acknowledged.
    fn releases_stay(&self, synced: &State) -> bool {
        let Some(tip) = live(self.truth(synced)) else { return true };
        let released =
            |chain: &Chain| chain.links().any(|link| link.ended && link.claim == tip.claim);
        // What a clone with a new id has released offline was its twin's.
        let given_up = |site: &Site| site.is_renamed && site.lost.iter().any(released);
        !synced.acknowledged.iter().any(released) || synced.sites.iter().any(given_up)
    }
}
