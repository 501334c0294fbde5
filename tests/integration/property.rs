//! Random work on one task by three agents in three worktrees, with files rolled back, deleted and
//! edited, and refs deleted, through the library: a model says what each command must answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use agent_bus::record::{AgentId, Claim, Status, TaskId};
use agent_bus::testing::{
    self, Changed, ClaimFault, ClaimRequest, Error, Outcome, ReclaimRequest, ReleaseRequest,
    Workspace,
};
use proptest::prelude::*;

use super::harness::{Repo, log_lines, rounds};
use super::logs::options;

/// An agent in a worktree.
type Actor = (usize, usize);

#[derive(Clone, Debug)]
enum Step {
    Claim { actor: Actor, here: bool, reopen: bool, notes: bool },
    Release { actor: Actor, status: Status },
    Heartbeat(Actor),
    Reclaim { actor: Actor, force: bool },
    DeleteFile(usize),
    RollBack { worktree: usize, to: usize },
    Edit { worktree: usize, how: u8 },
    DeleteRef,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let actor = || (0..3_usize, 0..3_usize);
    let status = prop_oneof![Just(Status::Done), Just(Status::Released), Just(Status::Paused)];
    let step = prop_oneof![
        6 => (actor(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(actor, here, reopen, notes)| Step::Claim { actor, here, reopen, notes }),
        4 => (actor(), status).prop_map(|(actor, status)| Step::Release { actor, status }),
        2 => actor().prop_map(Step::Heartbeat),
        3 => (actor(), any::<bool>()).prop_map(|(actor, force)| Step::Reclaim { actor, force }),
        1 => (0..3_usize).prop_map(Step::DeleteFile),
        1 => (0..3_usize, 0..20_usize).prop_map(|(worktree, to)| Step::RollBack { worktree, to }),
        1 => (0..3_usize, 0..3_u8).prop_map(|(worktree, how)| Step::Edit { worktree, how }),
        1 => Just(Step::DeleteRef),
    ];
    prop::collection::vec(step, 1..30)
}

/// What everybody has been told, and so what must hold.
#[derive(Debug, Default)]
struct Model {
    holder: Option<Actor>,
    paused: bool,
    /// Who ended the last claim, and how.
    ended: Option<(Actor, Status)>,
    /// Who lost a claim and has not claimed since.
    lost: BTreeSet<Actor>,
    /// Who lost one before the history was deleted: it may or may not be told.
    forgotten: BTreeSet<Actor>,
}

struct World<'a> {
    repo: &'a Repo,
    places: &'a [PathBuf],
    task: TaskId,
    model: Model,
    /// Whether the ref was deleted: a file of an earlier claim that claims to be newer is then
    /// unknown to the chain, and rightly holds claims back (`claim-diverged`), so none is made.
    history_deleted: bool,
    /// Every state that a claim file has had since.
    past: Vec<Vec<u8>>,
    counter: usize,
}

impl World<'_> {
    fn workspace(&self, worktree: usize) -> Workspace {
        Workspace::open(options(&self.places[worktree])).unwrap()
    }

    fn agent(actor: Actor) -> AgentId {
        AgentId::new(format!("agent{}", actor.0)).unwrap()
    }

    fn file(&self, worktree: usize) -> PathBuf {
        self.places[worktree].join(format!("_bus/claims/{}.json", self.task))
    }

    fn claim(
        &mut self,
        actor: Actor,
        here: bool,
        reopen: bool,
        notes: bool,
    ) -> Result<Changed, Error> {
        self.counter += 1;
        let notes = notes.then(|| format!("note {}", self.counter));
        testing::claim(
            &self.workspace(actor.1),
            &Self::agent(actor),
            &self.task,
            &ClaimRequest { here, reopen, notes, ..ClaimRequest::default() },
        )
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Claim { actor, here, reopen, notes } => {
                self.play_claim(actor, here, reopen, notes)
            }
            Step::Release { actor, status } => {
                let request = ReleaseRequest { status, notes: None, force: None, offline: false };
                let result = testing::release(
                    &self.workspace(actor.1),
                    &Self::agent(actor),
                    &self.task,
                    &request,
                );
                self.check_release(actor, status, result);
            }
            Step::Heartbeat(actor) => {
                let result =
                    testing::heartbeat(&self.workspace(actor.1), &Self::agent(actor), &self.task);
                match self.model.holder {
                    Some(holder) if holder == actor => drop(result.unwrap()),
                    _ => self.check_refusal(actor, &result.unwrap_err()),
                }
            }
            Step::Reclaim { actor, force } => self.play_reclaim(actor, force),
            Step::DeleteFile(worktree) => drop(fs::remove_file(self.file(worktree))),
            Step::RollBack { worktree, to } => {
                if let Some(bytes) = self.past.get(to).filter(|_| self.file(worktree).exists()) {
                    fs::write(self.file(worktree), bytes).unwrap();
                }
            }
            Step::Edit { worktree, how } => self.edit(worktree, how),
            Step::DeleteRef => self.delete_ref(),
        }
        for worktree in 0..3 {
            self.past.extend(
                fs::read(self.file(worktree)).ok().filter(|bytes| !self.past.contains(bytes)),
            );
        }
    }

    fn play_claim(&mut self, actor: Actor, here: bool, reopen: bool, notes: bool) {
        let result = self.claim(actor, here, reopen, notes);
        let outcome = result.map(|changed| changed.outcome);
        match (self.model.holder, self.model.ended) {
            (Some(holder), _) if holder == actor => {
                assert!(matches!(
                    outcome.unwrap(),
                    Outcome::Unchanged | Outcome::Updated | Outcome::Renewed
                ));
                return;
            }
            (Some(holder), _) if holder.0 == actor.0 && here => {
                assert_eq!(outcome.unwrap(), Outcome::Moved);
                self.model.lost.insert(holder);
                // A move does not wake a claim up by itself; a new one is active.
                self.model.paused = false;
            }
            (Some(holder), _) if holder.0 == actor.0 => {
                return assert!(
                    matches!(outcome, Err(Error::Claim(ClaimFault::HeldElsewhere { .. }))),
                    "{outcome:?}"
                );
            }
            (Some(_), _) => {
                return assert!(
                    matches!(outcome, Err(Error::Claim(ClaimFault::Held { .. }))),
                    "two owners: {outcome:?}"
                );
            }
            (None, Some((finisher, Status::Done))) if finisher != actor && !reopen => {
                return assert!(
                    matches!(outcome, Err(Error::Claim(ClaimFault::Finished { .. }))),
                    "{outcome:?}"
                );
            }
            (None, Some((_, Status::Done))) => assert_eq!(outcome.unwrap(), Outcome::Reopened),
            (None, _) => {
                assert_eq!(outcome.expect("a released task is claimable"), Outcome::Claimed)
            }
        }
        self.model.holder = Some(actor);
        self.model.paused = false;
        self.model.lost.remove(&actor);
        self.model.forgotten.remove(&actor);
    }

    fn check_release(&mut self, actor: Actor, status: Status, result: Result<Changed, Error>) {
        if self.model.holder == Some(actor) {
            result.unwrap();
            if status == Status::Paused {
                self.model.paused = true;
            } else {
                self.model.holder = None;
                self.model.ended = Some((actor, status));
            }
        } else if self.model.holder.is_none() && self.model.ended == Some((actor, status)) {
            assert_eq!(result.unwrap().outcome, Outcome::Unchanged, "its own finished work");
        } else {
            self.check_refusal(actor, &result.unwrap_err());
        }
    }

    fn play_reclaim(&mut self, actor: Actor, force: bool) {
        let request = ReclaimRequest { note: "mine".to_owned(), force };
        let result =
            testing::reclaim(&self.workspace(actor.1), &Self::agent(actor), &self.task, &request);
        match self.model.holder {
            None => assert!(
                matches!(result, Err(Error::Claim(ClaimFault::NotHeld { .. }))),
                "{result:?}"
            ),
            Some(holder) if holder == actor => {
                assert_eq!(result.unwrap().outcome, Outcome::Unchanged)
            }
            Some(holder) if force || self.model.paused => {
                assert_eq!(result.unwrap().outcome, Outcome::Reclaimed);
                self.model.lost.insert(holder);
                self.model.lost.remove(&actor);
                self.model.forgotten.remove(&actor);
                self.model.holder = Some(actor);
                self.model.paused = false;
            }
            Some(_) => {
                assert!(matches!(result, Err(Error::Claim(ClaimFault::Alive { .. }))), "{result:?}")
            }
        }
    }

    /// Whoever does not hold the task is refused, and who lost it is told.
    fn check_refusal(&self, actor: Actor, error: &Error) {
        let told = matches!(error, Error::Claim(ClaimFault::Lost { .. }));
        if self.model.lost.contains(&actor) {
            assert!(told, "{actor:?} lost the task and was not told: {error:?}");
        } else if !self.model.forgotten.contains(&actor) {
            assert!(!told, "{actor:?} never lost the task: {error:?}");
        }
    }

    /// A hand edit: notes, a revision that is too high, another name.
    fn edit(&self, worktree: usize, how: u8) {
        let Ok(text) = fs::read_to_string(self.file(worktree)) else { return };
        let mut claim = Claim::parse(text.as_bytes()).unwrap();
        match how {
            0 => claim.notes = Some("by hand".to_owned()),
            1 if self.history_deleted => return,
            1 => claim.revision += 3,
            _ => claim.agent_id = AgentId::new("agent2").unwrap(),
        }
        fs::write(self.file(worktree), claim.to_bytes()).unwrap();
    }

    /// Deletes the ref where the files alone would say the same, and lets its owner write once
    /// more.
    fn delete_ref(&mut self) {
        let Some(holder) = self.model.holder else { return };
        let files: Vec<Claim> = (0..3)
            .filter_map(|worktree| Claim::parse(&fs::read(self.file(worktree)).ok()?).ok())
            .collect();
        let tip = self.repo.tip(&self.task.to_string().to_ascii_uppercase());
        let Some(best) = files.iter().max_by_key(|claim| claim.revision) else { return };
        let agrees = tip["claim_id"] == best.claim_id.as_ref().map_or("", |id| id.as_str())
            && tip["agent_id"] == best.agent_id.as_str()
            && tip["status"] == best.status.as_str()
            && tip["origin"] == best.origin.as_ref().map_or_else(String::new, ToString::to_string);
        if !agrees || files.iter().any(|claim| claim.revision == best.revision && claim != best) {
            return;
        }
        self.repo.git(&["update-ref", "-d", &format!("refs/bus/claims/{}", self.task)]);
        self.model.forgotten.append(&mut self.model.lost);
        self.history_deleted = true;
        self.past.clear();
        assert_eq!(self.claim(holder, false, false, true).unwrap().outcome, Outcome::Updated);
    }

    /// Whoever holds the task finds it settled: claiming again, twice, changes nothing the second
    /// time.
    fn settles(&mut self) {
        let Some(holder) = self.model.holder else { return };
        self.claim(holder, false, false, false).unwrap();
        let place = &self.places[holder.1];
        let seen = |world: &Self| {
            (
                fs::read(world.file(holder.1)).unwrap(),
                log_lines(place),
                world.repo.git(&["for-each-ref"]),
            )
        };
        let before = seen(self);
        self.claim(holder, false, false, false).unwrap();
        assert_eq!(seen(self), before);
    }
}

#[test]
fn whatever_happens_there_is_one_owner_and_nobody_loses_a_task_without_being_told() {
    let repo = Repo::new();
    let places = [repo.root(), repo.worktree("one"), repo.worktree("two")];
    let round = Cell::new(0);
    let runner = RefCell::new(proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: rounds(40, 150),
        failure_persistence: None,
        ..ProptestConfig::default()
    }));
    let result = runner.borrow_mut().run(&steps(), |steps| {
        round.set(round.get() + 1);
        let task = TaskId::new(format!("T-{}", round.get())).unwrap();
        let mut world = World {
            repo: &repo,
            places: &places,
            task,
            model: Model::default(),
            history_deleted: false,
            past: Vec::new(),
            counter: 0,
        };
        for step in &steps {
            world.play(step);
        }
        world.settles();
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
