//! The claim protocol across clones (docs/design.md, section 3, *Fleet*), checked in every
//! interleaving.
//!
//! **The model.** One task; a remote with the claim's ref and the task's archive entry; two clones,
//! each with a local ref, what it last saw of the remote, the chains that it lost, and its record;
//! three workers in them, which run commands: `claim` (also `--here` and `--offline`), `release`
//! (also `--offline`), `reclaim` (also `--force`), heartbeats (due at the remote, or not), `sync`
//! and `gc`. A commit is the list of the states before it, so that "descends from" is "begins
//! with".
//!
//! A command that goes to the remote is a loop of four moments: under the lock decide and write a
//! commit; push; look; under the lock adopt what was seen, and decide what it means. Between two
//! moments everybody else may do anything, the worker may be killed or find the remote gone (which
//! is the same: nothing local has changed), and a push may go out without an answer, and take
//! effect now, later or never, whatever its sender does meanwhile. In a clone that is alone a
//! command is one moment.
//!
//! Besides, refs vanish or are set back, here and on the remote; a worker is killed between a ref
//! and the record that follows it; a clone is copied with its id; branches bring claim files, and a
//! policy that would make them records.
//!
//! **What is left out.** Time: a claim is stale whenever somebody says so, which is more than the
//! clock allows. Other tasks: the archive's value is the task's entry. `done`, `paused`,
//! `release --force` and assignments, which only say more precisely who may do what. Worktree
//! files: they follow the ref and decide nothing, but in the mutants in which they do. The lines of
//! logs.
//!
//! **The properties** are in `properties.rs`. Most are about a state, or about the step that led to
//! it; an answer must have been true at some moment while its command ran. Those about what comes
//! later are checked in each state in which no command runs: let each clone sync; all must agree
//! then, a free task must go to whoever claims it, who lost it must be told.
//!
//! **The bounds** are in `scenes.rs`: three or four commands, a crash, a lost answer, one or two
//! mishaps, two tries a command. Each scene is searched to its end, and its test says how many
//! states it has at least: who hides most of them is seen.
//!
//! **What is promised of refs that vanish.** In one clone, a claim that was acknowledged and that
//! nobody ended is given to nobody else, whatever is gone there: its ref, the archive, what the
//! remote was seen to have. In a fleet whose remote forgets nothing, all properties hold whatever
//! is gone in a clone. A remote that forgets a claim is told again by the next `sync` or command of
//! a clone that has its ref, or its record; in each clone there is one owner all the while.
//!
//! **What is not.** A clone that has neither ref nor record of a claim cannot hold it back: once
//! the remote has forgotten it, too, the clone may claim the task, and until the first owner's next
//! command each of the two clones has an owner. The remote's claim stands then, and who lost is
//! told. What landed, and was forgotten before its own clone saw it, is as if it had not been; the
//! same goes for a remote that forgets while commands or pushes are under way. A clone that loses
//! its record as well knows nothing. Of twins, each must have had an answer since the copy.
//!
//! **Where the model goes beyond the words of the design**, they do not suffice; `mutants.rs` has
//! the proofs. A claim that is the caller's already is renewed at the remote rather than only
//! looked at (`YoursByLook`). A state that leaves the owner as it is goes to the local ref before
//! it is pushed (`RenewedRemoteFirst`). A ref that does not descend from the archive's entry is
//! void (`RefAlwaysCounts`). The newest of a worker's claims, be it in the history or lost, says
//! whether it has lost the task (`HistoryFirst`). Each try has a `claim_id` of its own
//! (`ClaimIdKept`).
//!
//! Of the record: it decides if its revision is higher *and* its lineage has the claim that the
//! refs end at, and then also if there is an archive entry, or a ref that was set back
//! (`LineageIgnored`, `ArchiveFirst`, `SeenIgnored`). It follows each state of the ref, also
//! heartbeats and what is adopted, be that of a lower revision (`PulseUnrecorded`, `RecordStays`).
//! What it gives way to and that does not know it makes it a lost claim (`RecordDropped`). Lost
//! claims are files, too: refs vanish (`LostVanishes`). If the remote ends at the very state that
//! was imported, what followed the import goes on from there (`ImportForks`).
//!
//! Of twins: each push of a claim carries a commit of the log that was made for it, whether or not
//! there are new lines (`LogOnlyIfNew`, `LogReused`). Which commits a clone wrote is noted before
//! the push, and not only by refs (`LogKnownByRef`); what the remote was seen to have proves
//! nothing (`LogNotedFirst`). Who takes a new id leaves unpublished what it wrote under the old one
//! (`OldIdSpeaks`), notes the new id last, and owns only what was claimed under it, whatever has
//! landed.

mod alone;
mod answers;
mod chain;
mod decide;
mod doors;
mod fleet;
mod mishaps;
mod mutants;
mod properties;
mod remote;
mod rules;
mod scenes;
mod site;
mod steps;
mod twins;

use stateright::{Checker, HasDiscoveries, Model, Property};

use decide::{People, Reach};
use fleet::{Budget, Command, Phase, Place, State};
use mishaps::Mishap;
use rules::{Change, Rules};

/// One checked configuration: who is there, what they may ask for, and how often.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    places: [Place; 3],
    reach: Reach,
    /// What each worker may run.
    commands: [&'static [Command]; 3],
    /// What may befall refs and clones.
    mishaps: &'static [Mishap],
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
    /// A worker is killed between a ref and the record.
    StopBeforeRecord(usize),
    Befall(Mishap),
}

impl Fleet {
    fn people(&self, state: &State) -> People {
        People { places: self.places, reach: self.reach, rules: Rules(self.changes) }.at(state)
    }

    /// What a worker may begin, or what may become of its command.
    fn actions_of(&self, state: &State, worker: usize, actions: &mut Vec<Action>) {
        let Some(run) = state.workers[worker].run else {
            if state.left.commands > 0 && self.people(state).is_there(state, worker) {
                actions.extend(
                    self.commands[worker].iter().map(|command| Action::Begin(worker, *command)),
                );
            }
            return;
        };
        actions.push(Action::Step(worker));
        if state.left.crashes > 0 {
            actions.push(Action::Stop(worker));
            if matches!(run.phase, Phase::Adopt(_)) {
                actions.push(Action::StopInAdopt(worker));
            }
            if !self.mishaps.is_empty() {
                actions.push(Action::StopBeforeRecord(worker));
            }
        }
        if state.left.lost_answers > 0 && matches!(run.phase, Phase::Push(_)) {
            actions.push(Action::Unanswered(worker));
        }
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
        (0..3).for_each(|worker| self.actions_of(state, worker, actions));
        let people = self.people(state);
        if state.left.mishaps > 0 {
            let can_befall = |mishap: &Mishap| people.can_befall(state, *mishap);
            actions.extend(self.mishaps.iter().copied().filter(can_befall).map(Action::Befall));
        }
        let can_land = |flight: &usize| people.can_land(state, state.flights[*flight]);
        actions.extend((0..state.flights.len()).filter(can_land).map(Action::Land));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let people = self.people(state);
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
            Action::StopBeforeRecord(worker) => {
                next.left.crashes -= 1;
                return people.stop_before_record(state, next, worker);
            }
            Action::Befall(mishap) => {
                next.left.mishaps -= 1;
                people.befall(&mut next, mishap);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Searches all of a scene: no property fails. `at_least` is how many states it has or more: a
/// search of a few proves little.
fn assert_holds(fleet: Fleet, at_least: usize) {
    let checker =
        fleet.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    assert!(states >= at_least, "only {states} states are left of the scene");
}

#[test]
fn three_agents_race_for_one_task() {
    assert_holds(scenes::race(), 100_000);
}

#[test]
fn three_agents_race_for_longer_while_nothing_fails() {
    let bounds = Budget { commands: 4, ..Budget::default() };
    assert_holds(Fleet { bounds, ..scenes::race() }, 100_000);
}

#[test]
fn heartbeats_and_takeovers_of_stale_claims_cross() {
    assert_holds(scenes::heartbeats(), 50_000);
}

#[test]
fn one_name_at_two_places_is_two_workers() {
    assert_holds(scenes::same_name(), 90_000);
}

#[test]
fn two_commands_of_one_agent_cross() {
    assert_holds(scenes::twins(), 100_000);
}

#[test]
fn one_clone_works_offline() {
    assert_holds(scenes::away(), 80_000);
}

#[test]
fn both_clones_work_offline() {
    assert_holds(scenes::both_away(), 50_000);
}

#[test]
fn ended_claims_are_archived_and_taken_up_again() {
    assert_holds(scenes::archive(), 100_000);
}

#[test]
fn a_clone_that_is_alone_loses_refs() {
    assert_holds(scenes::alone(), 15_000);
}

#[test]
fn a_clone_of_a_fleet_loses_refs() {
    assert_holds(scenes::pruned(), 40_000);
}

#[test]
fn the_remote_forgets_a_claim() {
    assert_holds(scenes::forgotten(), 50_000);
}

#[test]
fn a_clone_is_copied_with_its_id() {
    assert_holds(scenes::copied(), 30_000);
}

#[test]
fn branches_bring_record_files() {
    assert_holds(scenes::dropped(), 10_000);
}
