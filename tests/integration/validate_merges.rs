//! Branches that append and merge, in every way that git offers, stay sound; a merge that drops a
//! line does not.

use std::fs;
use std::path::{Path, PathBuf};

use super::harness::{Ran, Repo};
use super::sound_bus::{older_bus, older_bus_with};

/// How many events each side logs.
const EVENTS: usize = 100;

/// A bus with a branch for each of two agents, in worktrees of their own.
struct Fork {
    repo: Repo,
    places: [PathBuf; 2],
}

impl Fork {
    fn new(layout: &str) -> Self {
        let repo = older_bus_with(&format!("[events]\nlayout = \"{layout}\"\n"));
        repo.by("codex-0", &["event", "log", "--event", "note", "--summary", "first"]).ok();
        repo.commit_all("base");
        let places = [repo.worktree("one"), repo.worktree("two")];
        let fork = Self { repo, places };
        fork.append(0, "a");
        fork.append(1, "b");
        fork
    }

    fn git(&self, side: usize, arguments: &[&str]) -> String {
        self.repo.git_in(&self.places[side], arguments)
    }

    /// A hundred events of one side, written by the command's own hand but for the first and last
    /// as lines, and committed.
    fn append(&self, side: usize, word: &str) {
        let agent = format!("codex-{}", side + 1);
        let log = |number: usize| {
            let summary = format!("{word} {number}");
            let arguments = ["event", "log", "--event", "note", "--summary", summary.as_str()];
            self.repo.by(&agent, &arguments).within(&self.places[side]).ok();
        };
        log(0);
        let folder = self.places[side].join("_bus/events");
        let path =
            [format!("{agent}.jsonl"), "events.jsonl".to_owned()].map(|name| folder.join(name));
        let path = path.iter().find(|path| path.exists()).unwrap();
        let mut text = fs::read_to_string(path).unwrap();
        for number in 1..EVENTS - 1 {
            let line = format!(
                r#"{{"agent_id":"{agent}","event":"note","id":"{word}-{number}","summary":"{word} {number}","ts":"2026-03-01T12:00:01Z"}}"#
            );
            text += &(line + "\n");
        }
        fs::write(path, text).unwrap();
        log(EVENTS - 1);
        self.repo.commit_all_in(&self.places[side], word);
    }

    fn validate(&self, place: &Path, base: &str) -> Ran {
        self.repo.bus(&["validate", "--strict", "--base", base]).within(place).run()
    }

    fn is_sound(&self, side: usize, bases: &[&str]) {
        for base in bases {
            let ran = self.validate(&self.places[side], base);
            assert_eq!(ran.status, Some(0), "against {base}: {}", ran.transcript);
        }
        let ran = self.repo.bus(&["validate", "--strict"]).within(&self.places[side]).run();
        assert_eq!(ran.status, Some(0), "{}", ran.transcript);
    }

    /// Every event of the words is in the worktree's log.
    fn has(&self, side: usize, words: &[&str]) {
        let listed = self
            .repo
            .bus(&["event", "list", "--limit", "10000", "--json"])
            .within(&self.places[side])
            .ok();
        for word in words {
            for number in 0..EVENTS {
                let summary = format!("\"summary\":\"{word} {number}\"");
                assert_eq!(listed.stdout.matches(&summary).count(), 1, "{summary}");
            }
        }
    }
}

#[test]
fn two_branches_that_append_and_merge_are_sound_seen_from_either_side() {
    for layout in ["single", "per-agent"] {
        let fork = Fork::new(layout);
        fork.is_sound(0, &["main", "two", "HEAD~1"]);
        fork.git(0, &["merge", "--quiet", "--no-edit", "two"]);
        fork.is_sound(0, &["main", "one~1", "two", "two~1", "HEAD^1", "HEAD^2", "HEAD"]);
        fork.has(0, &["a", "b"]);
        fork.append(0, "c");
        fork.git(1, &["merge", "--quiet", "--no-edit", "one"]);
        fork.is_sound(1, &["main", "one", "HEAD@{1}"]);
        fork.has(1, &["a", "b", "c"]);
    }
}

#[test]
fn a_branch_that_goes_on_after_its_squash_merge_is_sound() {
    for layout in ["single", "per-agent"] {
        let fork = Fork::new(layout);
        let squash = |message: &str| {
            fork.repo.git(&["merge", "--quiet", "--squash", "one"]);
            fork.repo.commit_all(message);
            for base in ["HEAD~1", "HEAD", "one", "two"] {
                let ran = fork.validate(&fork.repo.root(), base);
                assert_eq!(ran.status, Some(0), "{layout} {message} {base}: {}", ran.transcript);
            }
        };
        squash("squash");
        fork.append(0, "c");
        fork.is_sound(0, &["main", "HEAD~1"]);
        squash("squash again");
        fork.append(0, "d");
        fork.git(0, &["merge", "--quiet", "--no-edit", "main"]);
        fork.is_sound(0, &["main", "HEAD^1", "HEAD^2", "HEAD~2"]);
        fork.has(0, &["a", "c", "d"]);
        fork.git(1, &["merge", "--quiet", "--no-edit", "one"]);
        fork.is_sound(1, &["main", "one", "HEAD^1"]);
        fork.has(1, &["a", "b", "c", "d"]);
    }
}

/// Two branches that merged each other's old tips, then appended, then met; and those old tips.
fn criss_cross(layout: &str) -> (Fork, String, String) {
    let fork = Fork::new(layout);
    let [one, two] = [0, 1].map(|side| fork.git(side, &["rev-parse", "HEAD"]).trim().to_owned());
    fork.git(0, &["merge", "--quiet", "--no-edit", &two]);
    fork.git(1, &["merge", "--quiet", "--no-edit", &one]);
    fork.append(0, "c");
    fork.append(1, "d");
    fork.is_sound(0, &["main", "two", &one, &two]);
    fork.is_sound(1, &["main", "one", &one, &two]);
    fork.git(0, &["merge", "--quiet", "--no-edit", "two"]);
    (fork, one, two)
}

#[test]
fn a_criss_cross_is_sound_against_all_that_it_grew_from() {
    let (fork, one, two) = criss_cross("per-agent");
    fork.is_sound(0, &["main", "two", &one, &two, "HEAD^1", "HEAD^2"]);
    fork.has(0, &["a", "b", "c", "d"]);
}

/// Two files of one log cannot be in the orders of two branches that each put the other's lines
/// behind its own.
#[test]
fn a_criss_cross_of_one_log_keeps_the_lines_that_both_grew_from_in_order() {
    let (fork, one, two) = criss_cross("single");
    fork.is_sound(0, &["main", &one, &two]);
    fork.has(0, &["a", "b", "c", "d"]);
    // Whose order it took is git's choice.
    let told = ["HEAD^1", "HEAD^2"].map(|side| fork.validate(&fork.places[0], side).stdout);
    let moved = told.map(|told| told.matches("is in another place now").count());
    assert!(moved == [0, EVENTS] || moved == [EVENTS, 0], "{moved:?}");
}

#[test]
fn a_merge_that_waits_for_its_commit_is_judged_by_both_sides() {
    let repo = older_bus();
    let place = repo.worktree("agent/codex-1/x");
    for (agent, folder) in [("codex-2", repo.root()), ("codex-1", place.clone())] {
        repo.by(agent, &["event", "log", "--event", "note", "--summary", agent])
            .within(&folder)
            .ok();
        repo.by(agent, &["claim", &format!("T-{agent}")]).within(&folder).ok();
        fs::write(folder.join("code"), agent).unwrap();
        repo.commit_all_in(&folder, agent);
    }
    assert!(
        !repo.try_git_in(&place, &["merge", "--no-edit", "main"]).status.success(),
        "the code conflicts"
    );
    fs::write(place.join("code"), "both").unwrap();
    for base in ["HEAD", "main"] {
        repo.bus(&["validate", "--strict", "--base", base]).within(&place).ok();
    }
    let log = place.join("_bus/events/codex-2.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.split_inclusive('\n').skip(1).collect::<String>()).unwrap();
    let ran = repo.bus(&["validate", "--base", "HEAD"]).within(&place).exits(1);
    assert!(ran.stdout.contains("[append-only]"), "{}", ran.transcript);
    fs::write(&log, text).unwrap();
    repo.commit_all_in(&place, "merged");
    repo.bus(&["validate", "--strict", "--base", "main"]).within(&place).ok();
}

#[test]
fn a_rebased_branch_is_sound_against_what_it_was_put_upon() {
    for layout in ["single", "per-agent"] {
        let fork = Fork::new(layout);
        fork.append(0, "c");
        fork.git(0, &["rebase", "--quiet", "two"]);
        fork.is_sound(0, &["main", "two", "HEAD~1", "HEAD~2", "ORIG_HEAD"]);
        fork.has(0, &["a", "b", "c"]);
    }
}

#[test]
fn a_merge_that_drops_a_line_is_told_of_against_the_side_that_had_it() {
    for (layout, files) in [("single", ["events", "events"]), ("per-agent", ["codex-1", "codex-2"])]
    {
        let fork = Fork::new(layout);
        fork.git(0, &["merge", "--quiet", "--no-edit", "two"]);
        for (side, (word, file)) in [("a", files[0]), ("b", files[1])].into_iter().enumerate() {
            for number in [0, 50, EVENTS - 1] {
                let path = fork.places[0].join(format!("_bus/events/{file}.jsonl"));
                let text = fs::read_to_string(&path).unwrap();
                let dropped = format!("\"summary\":\"{word} {number}\"");
                let kept: String =
                    text.split_inclusive('\n').filter(|line| !line.contains(&dropped)).collect();
                assert_eq!(kept.lines().count() + 1, text.lines().count());
                fs::write(&path, kept).unwrap();
                fork.git(0, &["commit", "--quiet", "--all", "--amend", "--no-edit"]);
                for parent in 0..2 {
                    let ran = fork.validate(&fork.places[0], &format!("HEAD^{}", parent + 1));
                    let expected = i32::from(parent == side);
                    assert_eq!(
                        ran.status,
                        Some(expected),
                        "{layout} {dropped}: {}",
                        ran.transcript
                    );
                    let told = ran.stdout.matches("[append-only]").count();
                    assert_eq!(told, usize::from(parent == side), "{}", ran.transcript);
                }
                fs::write(&path, text).unwrap();
            }
        }
    }
}

#[test]
fn a_merge_that_takes_one_side_for_both_is_told_of_against_the_other() {
    let fork = Fork::new("single");
    fork.git(0, &["merge", "--quiet", "--no-edit", "--strategy=ours", "two"]);
    assert_eq!(fork.validate(&fork.places[0], "HEAD^1").status, Some(0));
    let ran = fork.validate(&fork.places[0], "HEAD^2");
    assert_eq!(ran.stdout.matches("[append-only]").count(), EVENTS, "{}", ran.transcript);
}
