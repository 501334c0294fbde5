//! What clones tell each other of their logs, through the library: each publishes its own, and
//! takes in those of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_bus::git::{ObjectId, RefName, Repository};
use agent_bus::store::Clock;
use agent_bus::testing::{self, Notes, Options, TakenIn, Workspace};
use proptest::prelude::*;

use super::harness::{NOON, Repo};

/// The bus of a clone, seen from a worktree.
pub(crate) fn library(start: &Path) -> Workspace {
    Workspace::of_repository(options(start)).unwrap()
}

/// How the library is asked, at noon.
pub(crate) fn options(start: &Path) -> Options {
    let (start, clock) = (start.to_owned(), Clock::new(Some(NOON.parse().unwrap())));
    let patience = Duration::from_secs(10);
    Options {
        start,
        clock,
        patience,
        remote_patience: patience,
        command: "test",
        session: None,
        notes: Notes::default(),
    }
}

/// Where the record has what an agent has logged.
pub(crate) fn recorded(agent: &str) -> String {
    format!(".git/bus/log/_bus/events/{agent}.jsonl")
}

/// Publishes the log of the clone around `root`; returns the clone's id, and what the ref is at.
pub(crate) fn publish(root: &Path) -> Option<(String, ObjectId)> {
    let (name, tip) = testing::publish_log(&library(root)).unwrap()?;
    Some((name.rest().strip_prefix("log/").unwrap().to_owned(), tip))
}

/// Moves the logs that `from` has published to `to`, as a sync would, and takes them in.
pub(crate) fn exchange(from: &Repo, to: &Repo) -> TakenIn {
    publish(&from.root());
    let path = from.root().display().to_string();
    to.git(&[
        "fetch",
        "--quiet",
        "--no-write-fetch-head",
        &path,
        "+refs/bus/log/*:refs/bus-remote/origin/log/*",
    ]);
    testing::take_in_logs(&library(&to.root()), "origin").unwrap()
}

/// Every file of a log, and its lines, segment after segment.
fn log_of(root: &Path, commit: ObjectId) -> BTreeMap<String, Vec<String>> {
    let repo = Repository::discover(root).unwrap();
    let list = |tree: ObjectId| repo.list_tree(tree).unwrap().unwrap();
    let mut files = BTreeMap::new();
    for folder in list(repo.tree_of(commit).unwrap().unwrap())
        .iter()
        .filter(|folder| folder.name != "assignments")
    {
        for file in list(folder.id) {
            let segments = list(file.id)
                .into_iter()
                .map(|segment| repo.blob(segment.id, usize::MAX).unwrap().unwrap());
            let text = String::from_utf8(segments.collect::<Vec<_>>().concat()).unwrap();
            assert!(text.ends_with('\n'));
            files.insert(
                format!("{}/{}", folder.name, file.name),
                text.lines().map(str::to_owned).collect(),
            );
        }
    }
    files
}

fn lines(files: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    files.values().flatten().cloned().collect()
}

/// The copies of other clones' logs, and their lines.
fn copies(root: &Path) -> BTreeMap<String, Vec<String>> {
    let clones = root.join(".git/bus/clones");
    let files = walkdir::WalkDir::new(&clones)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    let copy = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(&clones).unwrap();
        let path: PathBuf = path.components().skip(2).collect();
        (
            path.display().to_string(),
            fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned).collect(),
        )
    };
    files
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"))
        .map(copy)
        .collect()
}

fn event(id: &str, summary: &str) -> String {
    format!(r#"{{"agent_id":"a","event":"note","id":"{id}","summary":"{summary}","ts":"{NOON}"}}"#)
        + "\n"
}

/// What may happen to the record, to what is remembered of it, and to refs.
#[derive(Clone, Debug)]
enum Step {
    /// A line is appended; one that is not whole is completed by the next.
    Append {
        file: usize,
        whole: bool,
        big: bool,
    },
    Rubbish {
        file: usize,
    },
    Publish,
    TakeIn,
    /// What is remembered is lost: how much is published, what was taken in, or both.
    Forget {
        here: bool,
        what: usize,
    },
    /// The ref is destroyed, and the remote still has what it had.
    Destroy,
    /// The record is lost.
    Lose,
    /// The record of an agent is set back to how it was before some of its lines.
    SetBack {
        file: usize,
        line: prop::sample::Index,
    },
    /// Somebody cuts a copy.
    CutCopy,
    Pack,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let file = || 0..3_usize;
    let step = prop_oneof![
        8 => (file(), prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(file, whole, big)| Step::Append { file, whole, big }),
        1 => file().prop_map(|file| Step::Rubbish { file }),
        5 => Just(Step::Publish),
        4 => Just(Step::TakeIn),
        1 => (any::<bool>(), 0..3_usize).prop_map(|(here, what)| Step::Forget { here, what }),
        1 => Just(Step::Destroy),
        1 => Just(Step::Lose),
        1 => (file(), any::<prop::sample::Index>()).prop_map(|(file, line)| Step::SetBack { file, line }),
        1 => Just(Step::CutCopy),
        1 => Just(Step::Pack),
    ];
    prop::collection::vec(step, 1..30)
}

/// A clone that publishes, and another one that has its objects and takes them in.
struct World {
    here: Repo,
    there: Repo,
    files: [PathBuf; 3],
    count: usize,
    tip: Option<(String, ObjectId)>,
    /// Each line that was published.
    published: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let (here, there) = (Repo::bare_of_bus(), Repo::bare_of_bus());
        let files = ["a", "b", "c"].map(|agent| here.path(&recorded(agent)));
        there.write(
            ".git/objects/info/alternates",
            format!("{}\n", here.path(".git/objects").display()),
        );
        Self { here, there, files, count: 0, tip: None, published: BTreeSet::new() }
    }

    fn begin(&mut self) {
        for repo in [&self.here, &self.there] {
            for folder in ["refs/bus", "refs/bus-remote", "bus/log", "bus/exchange", "bus/clones"] {
                let _ = fs::remove_dir_all(repo.path(".git").join(folder));
            }
            let _ = fs::remove_file(repo.path(".git/packed-refs"));
        }
        self.tip = None;
        self.published.clear();
    }

    fn text(&self, file: usize) -> String {
        fs::read_to_string(&self.files[file]).unwrap_or_default()
    }

    /// The whole lines of a file that are events.
    fn whole(&self, file: usize) -> Vec<String> {
        let text = self.text(file);
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.starts_with("{\"agent_id") && line.ends_with("}\n"));
        whole.map(|line| line.trim_end().to_owned()).collect()
    }

    fn line(&mut self, size: usize) -> String {
        self.count += 1;
        event(&self.count.to_string(), &format!("s{:06}{}", self.count, "x".repeat(size)))
    }

    fn add(&self, file: usize, text: &str) {
        fs::create_dir_all(self.files[file].parent().unwrap()).unwrap();
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.files[file])
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append { file, whole, big } => {
                let text = self.text(*file);
                let torn = text.rsplit('\n').next().unwrap_or_default();
                if torn.is_empty() {
                    let line = self.line(if *big { 60_000 } else { 10 });
                    self.add(
                        *file,
                        if *whole { &line } else { &line[..line.find("\",\"ts").unwrap()] },
                    );
                } else {
                    self.add(*file, &format!("\",\"ts\":\"{NOON}\"}}\n"));
                }
            }
            Step::Rubbish { file } => self.add(*file, "\n{\"no\":\"event\"}\nrubbish\n"),
            Step::Publish => {
                self.published.extend((0..3).flat_map(|file| self.whole(file)).collect::<Vec<_>>());
                self.tip = publish(&self.here.root());
            }
            Step::TakeIn => self.take_in(),
            Step::Forget { here, what } => {
                let repo = if *here { &self.here } else { &self.there };
                let exchange = repo.path(".git/bus/exchange");
                match what {
                    0 => drop(fs::remove_file(exchange.join("marks.json"))),
                    1 => drop(fs::remove_file(exchange.join("published.json"))),
                    _ => drop(fs::remove_dir_all(exchange)),
                }
            }
            Step::Destroy => self.destroy(),
            Step::Lose => drop(fs::remove_dir_all(self.here.path(".git/bus/log"))),
            Step::SetBack { file, line } => {
                let text = self.text(*file);
                let ends: Vec<usize> =
                    text.match_indices('\n').map(|(place, _)| place + 1).collect();
                // What nobody has published is on no other disk.
                let is_published =
                    self.whole(*file).iter().all(|line| self.published.contains(line));
                if is_published && !ends.is_empty() {
                    let file = File::options().write(true).open(&self.files[*file]).unwrap();
                    file.set_len(ends[line.index(ends.len())] as u64).unwrap();
                }
            }
            Step::CutCopy => {
                for entry in
                    walkdir::WalkDir::new(self.there.path(".git/bus/clones")).into_iter().flatten()
                {
                    if entry.file_type().is_file() {
                        let file = File::options().write(true).open(entry.path()).unwrap();
                        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
                    }
                }
            }
            Step::Pack => drop(self.here.git(&["pack-refs", "--all"])),
        }
    }

    fn take_in(&self) {
        let Some((clone, tip)) = &self.tip else { return };
        let name = RefName::log(clone).unwrap().seen_on("origin").unwrap();
        self.there.write(&format!(".git/{}", name.as_str()), format!("{tip}\n"));
        let taken = testing::take_in_logs(&library(&self.there.root()), "origin").unwrap();
        assert_eq!((taken.left_out, taken.faults), (0, Vec::<String>::new()));
    }

    fn destroy(&self) {
        let Some((clone, tip)) = &self.tip else { return };
        let name = RefName::log(clone).unwrap();
        self.here.write(
            &format!(".git/{}", name.seen_on("origin").unwrap().as_str()),
            format!("{tip}\n"),
        );
        self.here.git(&["update-ref", "-d", name.as_str()]);
    }
}

#[test]
fn whatever_becomes_of_record_marks_and_refs_each_line_is_published_once_and_taken_in_once_and_comes_back()
 {
    let mut world = World::new();
    let cell = std::cell::RefCell::new(&mut world);
    let config =
        ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let run = |steps: Vec<Step>| {
        let world = &mut *cell.borrow_mut();
        world.begin();
        steps.iter().chain([&Step::Publish, &Step::TakeIn]).for_each(|step| world.apply(step));
        let published =
            world.tip.as_ref().map(|(_, tip)| log_of(&world.here.root(), *tip)).unwrap_or_default();
        let all = lines(&published);
        let once: BTreeSet<String> = all.iter().cloned().collect();
        prop_assert_eq!(once.len(), all.len(), "twice: {:?}", all);
        prop_assert_eq!(&once, &world.published);
        prop_assert_eq!(copies(&world.there.root()), published);
        let recorded: Vec<String> = (0..3).flat_map(|file| world.whole(file)).collect();
        prop_assert_eq!(
            &recorded.iter().cloned().collect::<BTreeSet<_>>(),
            &once,
            "the record has it all"
        );
        prop_assert_eq!(recorded.len(), once.len(), "twice in the record: {:?}", recorded);
        Ok(())
    };
    proptest::test_runner::TestRunner::new(config).run(&steps(), run).unwrap();
}

#[test]
fn what_a_clone_logs_says_and_assigns_is_laid_out_in_another_one_once() {
    let (one, other) = (Repo::new(), Repo::new());
    let second = one.worktree("second");
    one.by("codex-1", &["event", "log", "--event", "note", "--summary", "first"]).ok();
    one.by("codex-2", &["event", "log", "--event", "note", "--summary", "of the second"])
        .within(&second)
        .ok();
    one.by("boss", &["assign", "QUEUE-001", "--engineer", "codex-2"]).ok();
    let taken = exchange(&one, &other);
    assert_eq!(
        (taken.clones, taken.events, taken.messages, taken.assignments, taken.left_out),
        (1, 2, 1, 1, 0)
    );
    let files: Vec<String> = copies(&other.root()).into_keys().collect();
    assert_eq!(files, ["events/codex-1.jsonl", "events/codex-2.jsonl", "messages/QUEUE-001.jsonl"]);
    assert_eq!(exchange(&one, &other), TakenIn::default(), "nothing is new");
    assert_eq!(exchange(&other, &one), TakenIn::default(), "what came from there does not go back");
}
