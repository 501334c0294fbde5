//! What must hold in every state, as the checker sees it.

use stateright::Property;

use super::Fleet;
use super::chain::{Chain, ClaimId};
use super::decide::People;
use super::fleet::{Belief, Command, Fault, State, Worker, live};

/// All properties, by the names that the tests use.
pub(super) fn all() -> Vec<Property<Fleet>> {
    vec![
        Property::always("never two confirmed owners", |fleet: &Fleet, state| fleet.people().owners(state) <= 1),
        Property::always("a confirmed owner's claim is on the remote", |fleet: &Fleet, state| {
            confirmed(state).all(|(_, claim)| state.remote.value(fleet.people().rules).last_of(claim).is_some())
        }),
        Property::always("what was acknowledged is in some chain", |_, state: &State| {
            state.acknowledged.iter().all(|chain| is_kept(state, *chain))
        }),
        Property::always("nobody is told to own what it does not", |_, state: &State| state.fault != Some(Fault::FalseOwner)),
        Property::always("nobody is refused what is free or its own", |_, state: &State| {
            state.fault != Some(Fault::FalseRefusal)
        }),
        Property::always("no owner loses a task without being told", |_, state: &State| state.fault != Some(Fault::NotTold)),
        Property::always("the remote's value only grows", |_, state: &State| state.fault != Some(Fault::Forked)),
        Property::always("a claim changes hands by its rules", |_, state: &State| state.fault != Some(Fault::Unlawful)),
        Property::always("revisions only grow", |_, state: &State| state.fault != Some(Fault::Shrank)),
        Property::always("a stale claim is taken as it was judged", |_, state: &State| state.fault != Some(Fault::Unjudged)),
        Property::always("a release that was given up on ends nothing later", |_, state: &State| {
            state.fault != Some(Fault::EndedBehind)
        }),
        Property::always("all clones agree after a sync", |fleet: &Fleet, state| fleet.people().agree(state)),
        Property::always("a released task is claimable again", |fleet: &Fleet, state| fleet.people().may_claim(state)),
        Property::always("who lost a task is told by its next release", |fleet: &Fleet, state| fleet.people().are_told(state)),
        Property::always("a release that was acknowledged is not undone", |fleet: &Fleet, state| {
            fleet.people().releases_stay(state)
        }),
    ]
}

/// Who believes to be a confirmed owner, by which claim.
fn confirmed(state: &State) -> impl Iterator<Item = (usize, ClaimId)> {
    state.workers.iter().enumerate().filter_map(|(worker, Worker { belief, .. })| match belief {
        Belief::Holds { claim, confirmed: true } => Some((worker, *claim)),
        _ => None,
    })
}

fn is_kept(state: &State, chain: Chain) -> bool {
    let sites = state.sites.iter().flat_map(|site| site.lost.iter().copied().chain([site.local]));
    sites.chain([state.remote.claim, state.remote.archive]).any(|place| place.descends_from(chain))
}

impl People {
    /// At how many origins a worker was told that it is the owner, by a claim whose end is not on the remote.
    fn owners(&self, state: &State) -> usize {
        let value = state.remote.value(self.rules);
        let mut origins = [false; 3];
        for (worker, claim) in confirmed(state) {
            origins[self.places[worker].origin] |= !value.has_ended(claim);
        }
        origins.into_iter().filter(|owns| *owns).count()
    }

    /// Lets a command run from beginning to end, while nobody else does anything.
    fn runs(&self, state: &mut State, worker: usize, command: Command) {
        self.begin(state, worker, command);
        while state.workers[worker].run.is_some() {
            self.step(state, worker);
        }
    }

    fn agree(&self, state: &State) -> bool {
        self.synced(state).is_none_or(|synced| {
            let value = synced.remote.value(self.rules);
            synced.sites.iter().all(|site| site.view() == value)
        })
    }

    fn may_claim(&self, state: &State) -> bool {
        let free = self.synced(state).filter(|synced| live(synced.remote.value(self.rules)).is_none());
        free.is_none_or(|free| {
            (0..3).all(|worker| {
                let mut state = free.clone();
                self.runs(&mut state, worker, Command::Claim);
                state.fault.is_none() && matches!(state.workers[worker].belief, Belief::Holds { confirmed: true, .. })
            })
        })
    }

    fn are_told(&self, state: &State) -> bool {
        self.synced(state).is_none_or(|synced| {
            (0..3).all(|worker| {
                let mut state = synced.clone();
                self.runs(&mut state, worker, Command::Release);
                state.fault.is_none()
            })
        })
    }

    /// Where nobody runs anything, and each clone has synced once: no claim lives of which a release was acknowledged.
    fn releases_stay(&self, state: &State) -> bool {
        let Some(synced) = self.synced(state) else { return true };
        let Some(tip) = live(synced.remote.value(self.rules)) else { return true };
        let released = |chain: &Chain| chain.links().any(|link| link.ended && link.claim == tip.claim);
        !state.acknowledged.iter().any(released)
    }

    /// The state after a `sync` in each clone, if nobody runs anything.
    fn synced(&self, state: &State) -> Option<State> {
        if state.fault.is_some() || state.workers.iter().any(|worker| worker.run.is_some()) {
            return None;
        }
        let mut state = State { flights: Vec::new(), ..state.clone() };
        for worker in [0, 2] {
            self.runs(&mut state, worker, Command::Sync);
        }
        // The first clone sees what the second published.
        self.runs(&mut state, 0, Command::Sync);
        Some(state)
    }
}
