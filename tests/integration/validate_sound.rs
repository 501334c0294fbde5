//! Whatever agents do with `bus` and `git`, the validator finds nothing, strictly, against any
//! branch.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_bus::record::Timestamp;

use super::dice::Dice;
use super::harness::{NOON, Ran, Repo, rounds};
use super::sound_bus::older_bus_with;

/// How many things are done in a sequence.
const STEPS: usize = 30;

/// Three agents at work in three worktrees; `main` is what they merge into.
struct Team {
    repo: Repo,
    places: [PathBuf; 3],
    branches: [String; 3],
    /// Whether each agent keeps to the worktree and the branch that are its own.
    is_tidy: bool,
    dice: Dice,
    now: Timestamp,
    /// What was done, for whom a failure puzzles.
    told: Vec<String>,
}

impl Team {
    fn new(seed: u64, is_tidy: bool) -> Self {
        let layout = if seed.is_multiple_of(2) { "single" } else { "per-agent" };
        let repo = older_bus_with(&format!("[events]\nlayout = \"{layout}\"\n"));
        let branches = [1, 2, 3].map(|number| {
            if is_tidy { format!("agent/codex-{number}/work") } else { format!("b{number}") }
        });
        let places = [0, 1, 2].map(|number: usize| repo.worktree(&branches[number]));
        Self {
            repo,
            places,
            branches,
            is_tidy,
            dice: Dice::new(seed),
            now: NOON.parse().unwrap(),
            told: Vec::new(),
        }
    }

    fn bus(&mut self, agent: usize, place: usize, arguments: &[&str]) -> Ran {
        let name = format!("codex-{}", agent + 1);
        let ran = self
            .repo
            .by(&name, arguments)
            .at(&self.now.to_string())
            .within(&self.places[place])
            .run();
        self.told.push(format!("{name} in {place}: {}: {:?}", arguments.join(" "), ran.status));
        assert!(
            matches!(ran.status, Some(0 | 3 | 4 | 8)),
            "{}\n{}",
            self.told.join("\n"),
            ran.transcript
        );
        ran
    }

    fn git(&mut self, folder: &Path, arguments: &[&str]) -> bool {
        let done = self.repo.try_git_in(folder, arguments);
        self.told.push(format!(
            "{}: git {}: {:?}",
            folder.file_name().unwrap().display(),
            arguments.join(" "),
            done.status.code()
        ));
        done.status.success()
    }

    fn step(&mut self) {
        self.now = self.now.after(Duration::from_secs(1 + self.dice.throw() % 900));
        let agent = self.dice.below(3);
        let place = if self.is_tidy || !self.dice.once_in(3) { agent } else { self.dice.below(3) };
        let task = format!("T-{}", self.dice.below(4));
        match self.dice.below(16) {
            0..=3 => {
                let mut arguments = vec!["claim", &task];
                arguments.extend(self.dice.once_in(3).then_some("--reopen"));
                arguments.extend(self.dice.once_in(3).then_some("--here"));
                arguments.extend(
                    self.dice.once_in(4).then_some(["--notes", "at work"]).into_iter().flatten(),
                );
                self.bus(agent, place, &arguments);
            }
            4..=6 => {
                let status = *self.dice.pick(&["done", "released", "paused"]);
                self.bus(agent, place, &["release", &task, "--status", status]);
            }
            7 | 8 => {
                if self.dice.once_in(2) {
                    self.now = self.now.after(Duration::from_secs(7 * 3600));
                }
                self.bus(agent, place, &["reclaim", &task, "--note", "it rests"]);
            }
            9 => drop(self.bus(agent, place, &["heartbeat", &task])),
            10 | 11 => {
                let kind = *self.dice.pick(&["note", "status"]);
                self.bus(
                    agent,
                    place,
                    &["event", "log", "--event", kind, "--summary", "seen", "--task", &task],
                );
            }
            12 => self.commit(place),
            13 => self.merge(place, true),
            14 => self.merge(place, false),
            _ => self.squash(place),
        }
    }

    fn commit(&mut self, place: usize) {
        let folder = self.places[place].clone();
        self.repo.commit_all_in(&folder, "work");
        self.told.push(format!("{place}: commit"));
    }

    /// Merges main into a branch, or a branch into main.
    fn merge(&mut self, place: usize, is_into_branch: bool) {
        self.commit(place);
        let (folder, other) = match is_into_branch {
            true => (self.places[place].clone(), "main".to_owned()),
            false => (self.repo.root(), self.branches[place].clone()),
        };
        if !self.git(&folder, &["merge", "--quiet", "--no-edit", &other]) {
            self.resolve(&folder);
        }
        let ran = self.repo.bus(&["validate", "--strict", "--base", &other]).within(&folder).run();
        self.is_sound(&ran);
    }

    fn squash(&mut self, place: usize) {
        self.commit(place);
        let (folder, branch) = (self.repo.root(), self.branches[place].clone());
        if !self.git(&folder, &["merge", "--quiet", "--squash", &branch]) {
            self.resolve(&folder);
        }
        self.repo.commit_all_in(&folder, "squash");
        let ran = self.repo.bus(&["validate", "--strict", "--base", "HEAD~1"]).run();
        self.is_sound(&ran);
    }

    /// Two sides of a claim: the doctor knows which is right.
    fn resolve(&mut self, folder: &Path) {
        let ran =
            self.repo.bus(&["doctor", "--fix"]).at(&self.now.to_string()).within(folder).run();
        self.told.push(format!("doctor: {:?} {}", ran.status, ran.stdout));
        self.repo.commit_all_in(folder, "resolved");
    }

    fn is_sound(&self, ran: &Ran) {
        assert_eq!(ran.status, Some(0), "{}\n{}", self.told.join("\n"), ran.transcript);
    }

    fn check(&self) {
        for place in &self.places {
            // On a branch of its own all is an agent's own that main has not.
            let bases = ["main", "HEAD", &self.branches[0], &self.branches[1]];
            for base in &bases[..if self.is_tidy { 2 } else { 4 }] {
                let ran =
                    self.repo.bus(&["validate", "--strict", "--base", base]).within(place).run();
                self.is_sound(&ran);
            }
        }
        self.is_sound(&self.repo.bus(&["validate", "--strict"]).run());
    }

    fn work(mut self) {
        for step in 0..STEPS {
            self.step();
            if step % 10 == 9 {
                self.check();
            }
        }
    }
}

fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = std::env::var("BUS_SEED").map_or(1, |seed| seed.parse().unwrap());
    (0..count).map(move |number| first * 1000 + number)
}

#[test]
fn agents_who_share_their_worktrees_break_nothing() {
    seeds(rounds(2, 12)).for_each(|seed| Team::new(seed, false).work());
}

#[test]
fn agents_on_branches_of_their_own_break_nothing() {
    seeds(rounds(2, 12)).for_each(|seed| Team::new(seed, true).work());
}
