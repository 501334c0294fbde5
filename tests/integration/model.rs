//! The claim protocol across clones (design, section 3, *Fleet*), checked in every interleaving.
//!
//! **The model.** One task; a remote with the claim's ref and the task's archive entry; two clones, each with a local ref, what
//! it last saw of the remote, and the chains that it lost; three workers in them, which run commands: `claim` (also `--here`
//! and `--offline`), `release` (also `--offline`), `reclaim` (also `--force`), heartbeats (due at the remote, or not), `sync`
//! and `gc`. A commit is the list of the states before it, so that "descends from" is "begins with".
//!
//! A command that goes to the remote is a loop of four moments: under the lock decide and write a commit; push; look; under the
//! lock adopt what was seen, and decide what it means. Between two moments everybody else may do anything, the worker may be
//! killed or find the remote gone (which is the same: nothing local has changed), and a push may go out without an answer,
//! and take effect now, later or never, whatever its sender does meanwhile.
//!
//! **What is left out.** Time: a claim is stale whenever somebody says so, which is more than the clock allows. Other tasks: the
//! archive's value is the task's entry. `done`, `paused`, `release --force`, assignments, and the lineage, which only say more
//! precisely who may do what. Worktree files: they follow the ref and decide nothing, but in the mutant in which they do.
//!
//! **The properties** are in `properties.rs`. Most are about a state, or about the step that led to it; an answer must have been
//! true at some moment while its command ran. Those about what comes later are checked in each state in which no command
//! runs: let each clone sync; all must agree then, a free task must go to whoever claims it, who lost it must be told.
//!
//! **The bounds** are in `scenes.rs`: three or four commands, a crash, a lost answer, two tries a command. Each scene is searched
//! to its end, and its test says how many states that are, so that a change which hides some of them is seen.
//!
//! **Where the model goes beyond the words of the design**, they do not suffice; `mutants.rs` has the proofs. A claim that is
//! the caller's already is renewed at the remote rather than only looked at (`YoursByLook`). A state that leaves the owner as it
//! is goes to the local ref before it is pushed (`RenewedRemoteFirst`). A ref that does not descend from the archive's entry
//! is void (`RefAlwaysCounts`). The newest of a worker's claims, be it in the history or lost, says whether it has lost the
//! task (`HistoryFirst`). Each try has a `claim_id` of its own (`ClaimIdKept`).

mod answers;
mod chain;
mod decide;
mod fleet;
mod mutants;
mod properties;
mod remote;
mod rules;
mod scenes;
mod steps;

use stateright::{Checker, HasDiscoveries, Model, Property};

use decide::People;
use fleet::{Budget, Command, Phase, Place, State};
use rules::{Change, Rules};

/// One checked configuration: who is there, what they may ask for, and how often.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    places: [Place; 3],
    /// What each worker may run.
    commands: [&'static [Command]; 3],
    bounds: Budget,
    changes: &'static [Change],
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Begin(usize, Command),
    Step(usize),
    /// A worker is killed, or finds the remote gone: exit 7.
    Stop(usize),
    /// A worker is killed between the lost ref and the local one.
    StopInAdopt(usize),
    /// A push goes out, and no answer comes back.
    Unanswered(usize),
    /// Such a push takes effect.
    Land(usize),
}

impl Fleet {
    fn people(&self) -> People {
        People { places: self.places, rules: Rules(self.changes) }
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_some() {
            return;
        }
        for (worker, it) in state.workers.iter().enumerate() {
            let Some(run) = it.run else {
                if state.left.commands > 0 {
                    actions.extend(self.commands[worker].iter().map(|command| Action::Begin(worker, *command)));
                }
                continue;
            };
            actions.push(Action::Step(worker));
            if state.left.crashes > 0 {
                actions.push(Action::Stop(worker));
                if matches!(run.phase, Phase::Adopt(_)) {
                    actions.push(Action::StopInAdopt(worker));
                }
            }
            if state.left.lost_answers > 0 && matches!(run.phase, Phase::Push(_)) {
                actions.push(Action::Unanswered(worker));
            }
        }
        let can_land = |flight: &usize| self.people().can_land(state, state.flights[*flight]);
        actions.extend((0..state.flights.len()).filter(can_land).map(Action::Land));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let people = self.people();
        let mut next = state.clone();
        match action {
            Action::Begin(worker, command) => {
                next.left.commands -= 1;
                people.begin(&mut next, worker, command);
            }
            Action::Step(worker) => people.step(&mut next, worker),
            Action::Stop(worker) => {
                next.left.crashes -= 1;
                next.workers[worker].run = None;
            }
            Action::StopInAdopt(worker) => {
                next.left.crashes -= 1;
                people.stop_in_adopt(&mut next, worker);
            }
            Action::Unanswered(worker) => {
                next.left.lost_answers -= 1;
                people.push_unanswered(&mut next, worker);
            }
            Action::Land(flight) => people.land(&mut next, flight),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Searches all of a scene: no property fails, and there are as many states as are known.
fn assert_holds(fleet: Fleet, states: usize) {
    let checker = fleet.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states, "the model has changed: are these all the states that it should have?");
}

#[test]
fn three_agents_race_for_one_task() {
    assert_holds(scenes::race(), 122_041);
}

#[test]
fn three_agents_race_for_longer_while_nothing_fails() {
    let bounds = Budget { commands: 4, crashes: 0, lost_answers: 0 };
    assert_holds(Fleet { bounds, ..scenes::race() }, 141_177);
}

#[test]
fn heartbeats_and_takeovers_of_stale_claims_cross() {
    assert_holds(scenes::heartbeats(), 76_967);
}

#[test]
fn one_name_at_two_places_is_two_workers() {
    assert_holds(scenes::same_name(), 103_517);
}

#[test]
fn two_commands_of_one_agent_cross() {
    assert_holds(scenes::twins(), 133_832);
}

#[test]
fn one_clone_works_offline() {
    assert_holds(scenes::away(), 94_340);
}

#[test]
fn both_clones_work_offline() {
    assert_holds(scenes::both_away(), 68_550);
}

#[test]
fn ended_claims_are_archived_and_taken_up_again() {
    assert_holds(scenes::archive(), 139_141);
}
