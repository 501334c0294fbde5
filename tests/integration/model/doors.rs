//! The doors beside the protocol, in every interleaving: a clone that does not know yet whether
//! there is a fleet, and a task that is spelled in several ways. Two clones with one agent each
//! claim one task; somebody founds a fleet at some time, and a branch says what the remote does
//! not. Which ref a task has is decided by the program's own function.

use std::collections::BTreeSet;

use agent_bus::git::RefName;
use agent_bus::record::{BRANCH_PREFIX, OWN_PREFIX, TaskId};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// A rule that is taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// A clone that knows nothing takes itself to be alone.
    NoAsk,
    /// No answer is taken for "no fleet".
    SilenceIsNo,
    /// A clone belongs to the fleet that a branch names.
    JoinOnSight,
    /// The ref has the task's spelling.
    SpellingInRef,
}

/// What a clone knows of a fleet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Membership {
    Unknown,
    /// A remote has said that it serves none.
    None,
    /// It belongs to one, whose refs have this prefix.
    Of(&'static str),
}

/// What an agent was told last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Belief {
    NotOwner,
    /// It owns the task in its clone, and there is no fleet.
    OwnerAlone,
    /// It owns the task, and other clones were not asked.
    OwnerUnconfirmed,
    OwnerInFleet,
}

/// Where a command is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Idle,
    /// Asks the remote whether it serves a fleet.
    Ask,
    /// Pushes the claim, below this prefix.
    Push(&'static str),
}

/// A clone, and the agent in it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Site {
    membership: Membership,
    /// A branch that names a fleet of another prefix is checked out.
    has_forgery: bool,
    /// The remote has answered that it serves no fleet. No rule reads it.
    was_answered: bool,
    phase: Phase,
    belief: Belief,
}

/// Everything; the remote's refs are names below a prefix, and owners.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    sites: [Site; 2],
    is_founded: bool,
    refs: Vec<(String, usize)>,
    commands: u8,
}

/// One thing that happens, in a clone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Found(usize),
    CheckOut(usize),
    Claim(usize),
    ClaimOffline(usize),
    Sync(usize),
    /// The remote answers.
    Answer(usize),
    /// The remote does not answer in time.
    Silence(usize),
    /// The push arrives.
    Arrive(usize),
}

/// Two clones, in which the task is spelled so.
#[derive(Clone, Copy, Debug)]
struct Doors {
    spellings: [&'static str; 2],
    change: Option<Change>,
}

impl Doors {
    fn with(self, change: Change) -> bool {
        self.change == Some(change)
    }

    /// The name of the task's ref, as the clone `site` spells the task.
    fn ref_of(self, site: usize, prefix: &str) -> String {
        let spelling = self.spellings[site];
        let name = RefName::claim(&TaskId::new(spelling).unwrap());
        let own = name.as_str().strip_prefix(OWN_PREFIX).unwrap();
        if self.with(Change::SpellingInRef) {
            format!("{prefix}claims/{spelling}")
        } else {
            format!("{prefix}{own}")
        }
    }

    /// What a clone knows, where its branch counts.
    fn membership(self, site: &Site) -> Membership {
        if site.has_forgery && self.with(Change::JoinOnSight) {
            Membership::Of(BRANCH_PREFIX)
        } else {
            site.membership
        }
    }

    fn begin(self, site: &mut Site) {
        match self.membership(site) {
            Membership::Of(prefix) => site.phase = Phase::Push(prefix),
            Membership::None if !site.has_forgery => site.belief = Belief::OwnerAlone,
            Membership::Unknown if self.with(Change::NoAsk) => site.belief = Belief::OwnerAlone,
            _ => site.phase = Phase::Ask,
        }
    }

    /// The remote has the claim, unless there is another one.
    fn push(self, state: &mut State, site: usize, prefix: &str) {
        let name = self.ref_of(site, prefix);
        let owner = state.refs.iter().find(|(known, _)| *known == name).map(|(_, owner)| *owner);
        if owner.is_none() {
            state.refs.push((name, site));
            state.refs.sort_unstable();
        }
        let is_owner = owner.is_none_or(|owner| owner == site);
        state.sites[site].belief = if is_owner { Belief::OwnerInFleet } else { Belief::NotOwner };
        state.sites[site].phase = Phase::Idle;
    }

    /// The clone learns what the remote says. What its branch says in contradiction to that stops
    /// the command.
    fn answer(self, state: &mut State, site: usize) {
        let is_founded = state.is_founded;
        let site = &mut state.sites[site];
        site.phase = Phase::Idle;
        match (is_founded, site.has_forgery) {
            (_, true) => {}
            (true, false) => {
                site.membership = Membership::Of(OWN_PREFIX);
                site.phase = Phase::Push(OWN_PREFIX);
            }
            (false, false) => {
                site.was_answered = true;
                site.membership = Membership::None;
                site.belief = Belief::OwnerAlone;
            }
        }
    }

    /// The clone asks again, and its claim, if it has one, is the fleet's if that has no other.
    fn sync(self, state: &mut State, site: usize) {
        let has_claim = state.sites[site].belief != Belief::NotOwner;
        if state.is_founded && !state.sites[site].has_forgery {
            state.sites[site].membership = Membership::Of(OWN_PREFIX);
            if has_claim {
                self.push(state, site, OWN_PREFIX);
            }
        }
    }
}

impl Model for Doors {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let site = Site {
            membership: Membership::Unknown,
            has_forgery: false,
            was_answered: false,
            phase: Phase::Idle,
            belief: Belief::NotOwner,
        };
        vec![State {
            sites: [site.clone(), site],
            is_founded: false,
            refs: Vec::new(),
            commands: 7,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, site) in state.sites.iter().enumerate() {
            match site.phase {
                Phase::Ask => actions.extend([Action::Answer(number), Action::Silence(number)]),
                Phase::Push(_) => actions.extend([Action::Arrive(number), Action::Silence(number)]),
                Phase::Idle if state.commands == 0 => {}
                Phase::Idle => {
                    actions.extend(
                        [Action::Claim, Action::ClaimOffline, Action::Sync, Action::CheckOut]
                            .map(|of| of(number)),
                    );
                    if !state.is_founded && !site.has_forgery {
                        actions.push(Action::Found(number));
                    }
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Answer(site) => self.answer(&mut next, site),
            Action::Arrive(site) => {
                if let Phase::Push(prefix) = state.sites[site].phase {
                    self.push(&mut next, site, prefix);
                }
            }
            Action::Silence(site) => {
                let site = &mut next.sites[site];
                if site.phase == Phase::Ask && self.with(Change::SilenceIsNo) {
                    site.belief = Belief::OwnerAlone;
                }
                site.phase = Phase::Idle;
            }
            Action::Found(site) => {
                next.is_founded = true;
                self.sync(&mut next, site);
            }
            Action::CheckOut(site) => next.sites[site].has_forgery = !state.sites[site].has_forgery,
            Action::Claim(site) => self.begin(&mut next.sites[site]),
            Action::ClaimOffline(site) => {
                if self.membership(&state.sites[site]) != Membership::None
                    && state.sites[site].belief == Belief::NotOwner
                {
                    next.sites[site].belief = Belief::OwnerUnconfirmed;
                }
            }
            Action::Sync(site) => self.sync(&mut next, site),
        }
        next.commands -=
            u8::from(!matches!(action, Action::Answer(_) | Action::Arrive(_) | Action::Silence(_)));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_OWNER, |_, state: &State| {
                state.sites.iter().filter(|site| site.belief == Belief::OwnerInFleet).count() <= 1
            }),
            Property::always(ASKED, |_, state: &State| {
                state
                    .sites
                    .iter()
                    .all(|site| site.belief != Belief::OwnerAlone || site.was_answered)
            }),
            Property::sometimes("the fleet has an owner", |_, state: &State| {
                state.sites.iter().any(|site| site.belief == Belief::OwnerInFleet)
            }),
            Property::sometimes("a clone without a fleet has an owner", |_, state: &State| {
                state.sites.iter().any(|site| site.belief == Belief::OwnerAlone)
            }),
        ]
    }
}

const ONE_OWNER: &str = "the fleet has one owner of the task";
const ASKED: &str = "a clone is alone if the remote has said so";

/// Ways to spell one task.
const SPELLINGS: [[&str; 2]; 4] = [
    ["QUEUE-007", "QUEUE-007"],
    ["QUEUE-7", "QUEUE-007"],
    ["queue-0007", "QUEUE-007"],
    ["Fix-X", "fix-x"],
];

#[test]
fn a_fleet_has_one_owner_whatever_a_clone_knew_before_and_however_the_task_is_spelled() {
    for spellings in SPELLINGS {
        let checker = Doors { spellings, change: None }.checker().spawn_dfs().join();
        checker.assert_properties();
        assert!(checker.unique_state_count() >= 2_000, "{} states", checker.unique_state_count());
    }
}

#[test]
fn each_door_that_is_left_open_is_found() {
    for (change, property) in [
        (Change::NoAsk, ASKED),
        (Change::SilenceIsNo, ASKED),
        (Change::JoinOnSight, ONE_OWNER),
        (Change::SpellingInRef, ONE_OWNER),
    ] {
        for spellings in &SPELLINGS[1..] {
            let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
            let doors = Doors { spellings: *spellings, change: Some(change) };
            let checker = doors.checker().finish_when(until).spawn_bfs().join();
            assert!(checker.discovery(property).is_some(), "{change:?} survives `{property}`");
        }
    }
}
