//! How a command ends: what its worker hears, believes and is held to.

use super::chain::{Chain, Verb};
use super::decide::{People, ended_by_another};
use super::fleet::{Belief, Command, Fault, Run, State, Witness, live};
use super::rules::Change;

/// What a command ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// "It is yours", by the tip of this.
    Owner(Chain),
    /// "It is yours, unconfirmed".
    Unconfirmed(Chain),
    /// "It is released", by the tip of this.
    Released(Chain),
    /// "It is not yours": exit 8 if it was lost, else 3 or 4.
    Refused,
    /// Nothing is said about who owns the task.
    Nothing,
}

impl People {
    /// The command ends, its worker hears the answer, and its file follows.
    pub(super) fn finish(&self, state: &mut State, worker: usize, run: Run, answer: Answer) {
        if let Answer::Owner(chain) | Answer::Unconfirmed(chain) | Answer::Released(chain) = answer
        {
            self.enter(state, chain, false);
            state.acknowledge(chain.plain());
            let site = &mut state.sites[self.places[worker].site];
            site.settle(site.view(self.rules), self.rules);
        }
        self.check_answer(state, worker, run, answer);
        let site = &state.sites[self.places[worker].site];
        let (value, view) = (site.tracking.value(self.rules), site.view(self.rules));
        let belief = match (answer, state.workers[worker].belief) {
            (Answer::Owner(chain), _) => holds(chain, true),
            (Answer::Unconfirmed(chain), _) => holds(chain, false),
            (Answer::Released(_) | Answer::Refused, _) => Belief::Nothing,
            (Answer::Nothing, Belief::Holds { claim, copied, .. })
                if run.command == Command::Sync =>
            {
                Belief::Holds {
                    claim,
                    confirmed: live(value).is_some_and(|tip| tip.claim == claim),
                    copied,
                }
            }
            (Answer::Nothing, belief) => belief,
        };
        if matches!(answer, Answer::Owner(_)) {
            state
                .flights
                .iter_mut()
                .for_each(|flight| flight.overtaken |= flight.begun_since[worker]);
        }
        let worker = &mut state.workers[worker];
        if self.rules.with(Change::FileGrants) && !matches!(answer, Answer::Nothing) {
            worker.file = view;
        }
        worker.belief = belief;
        worker.run = None;
    }

    fn check_answer(&self, state: &mut State, worker: usize, run: Run, answer: Answer) {
        let witness = state.workers[worker].run.map_or(run.witness, |run| run.witness);
        let site = &state.sites[self.places[worker].site];
        // What this clone has and the remote has not counts, too.
        let view = site.view(self.rules);
        let others_here = !self.holds(worker, view) && view != site.tracking.value(self.rules);
        let is_true = |command, witness: Witness| match command {
            Command::Claim | Command::Here => {
                witness.others || (others_here && site.live(self.rules).is_some())
            }
            Command::Release => witness.not_mine || others_here,
            _ => true,
        };
        let fault = match answer {
            Answer::Owner(_) if !witness.mine => Fault::FalseOwner,
            Answer::Owner(chain) if takes_unjudged(chain, run.judged) => Fault::Unjudged,
            Answer::Refused if self.is_left_untold(state, worker, run.command) => Fault::NotTold,
            Answer::Refused if !is_true(run.command, witness) => Fault::FalseRefusal,
            _ => return,
        };
        state.blame(fault);
    }

    /// Whether the worker, who was told that it is the owner, has lost that to somebody else and is
    /// not told.
    fn is_left_untold(&self, state: &State, worker: usize, command: Command) -> bool {
        let site = &state.sites[self.places[worker].site];
        // If the clone has a new id, it has said so.
        let claim = match state.workers[worker].belief {
            Belief::Holds { claim, .. } if self.owns(worker, claim) => claim,
            _ => return false,
        };
        let view = site.view(self.rules);
        let lost = view.last_of(claim).is_none() || ended_by_another(claim, view, true);
        // To hear that another has it is to be told.
        let tells = command.takes() || command == Command::ClaimOffline;
        lost && !tells && !self.has_lost(worker, site)
    }
}

fn holds(chain: Chain, confirmed: bool) -> Belief {
    chain.tip().map_or(Belief::Nothing, |tip| Belief::Holds {
        claim: tip.claim,
        confirmed,
        copied: false,
    })
}

/// Whether a stale claim was taken over as something else than what was `judged`.
fn takes_unjudged(chain: Chain, judged: Chain) -> bool {
    let takes = chain.tip().is_some_and(|tip| tip.verb == Verb::Reclaim);
    takes && !judged.is_none() && chain.parent() != judged
}
