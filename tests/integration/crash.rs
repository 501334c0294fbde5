//! Commands that die between two of their steps: the same command, run again, ends in the same
//! state.
#![cfg(debug_assertions)]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::harness::{Kept, Repo, record, some_of};
use super::refused::{end, warm, warmed};

/// The lines of all batches of `agent`, each as often as it is there.
fn exported(repo: &Repo, agent: &str) -> Vec<String> {
    let files =
        fs::read_dir(repo.path("_bus/events")).into_iter().flatten().map(|entry| entry.unwrap());
    let batches =
        files.filter(|file| file.file_name().to_str().unwrap().starts_with(&format!("{agent}@")));
    batches
        .flat_map(|file| {
            fs::read_to_string(file.path()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// Prepares a bus, runs `command` as `agent` to its end, and once more for each step at which it
/// may die.
fn dies_at_each_step(prepare: &[(&str, &[&str])], agent: &str, command: &[&str]) {
    Kept::ALL.into_iter().for_each(|kept| dies_at_each_step_of(kept, prepare, agent, command));
}

fn dies_at_each_step_of(kept: Kept, prepare: &[(&str, &[&str])], agent: &str, command: &[&str]) {
    let stage = || {
        let repo = warmed(kept);
        prepare.iter().for_each(|(agent, arguments)| drop(repo.by(agent, arguments).ok()));
        repo
    };
    let whole = stage();
    let steps = whole.by(agent, command).steps();
    let expected = end(&whole);
    let known: BTreeSet<&str> = steps.iter().map(String::as_str).collect();
    let wanted = [
        "object-written",
        "ref-written",
        "line-appended",
        "event-settled",
        "file-written-aside",
        "file-settled",
    ];
    assert!(wanted.iter().all(|step| known.contains(step)), "{steps:?}");
    assert!(
        kept != Kept::Tracked || command[0] != "release" || known.contains("batch-written"),
        "{steps:?}"
    );
    for step in some_of(&steps, 3, kept as usize) {
        let why = format!("{kept:?}, after a crash at {step} of {steps:?}");
        let repo = stage();
        let died = repo.by(agent, command).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{why}: it is never reached:\n{}", died.transcript);
        repo.by(agent, command).ok();
        assert_eq!(end(&repo), expected, "{why}");
        // In the branch: the claim, and the lines of whoever has released something.
        assert_eq!(
            repo.read("_bus/claims/T-1.json"),
            repo.read(&record("claims/T-1.json")),
            "{why}"
        );
        if known.contains("batch-written") {
            let own =
                fs::read_to_string(repo.path(&record(&format!("events/{agent}.jsonl")))).unwrap();
            assert_eq!(exported(&repo, agent), own.lines().collect::<Vec<_>>(), "{why}");
        }
        let settled = repo.state();
        repo.by(agent, command).ok();
        assert_eq!(repo.state(), settled, "settling twice, {why}");
        for folder in ["_bus/claims", &record("claims")] {
            assert_eq!(
                fs::read_dir(repo.path(folder)).unwrap().count(),
                1,
                "nothing is left lying about, {why}"
            );
        }
        repo.bus(&["doctor"]).ok();
    }
}

#[test]
fn a_claim_that_died_is_finished_by_the_same_claim() {
    dies_at_each_step(&[], "a", &["claim", "T-1", "--notes", "x"]);
}

#[test]
fn a_release_that_died_is_finished_by_the_same_release() {
    dies_at_each_step(&[("a", &["claim", "T-1"])], "a", &["release", "T-1", "--notes", "x"]);
}

#[test]
fn a_reclaim_that_died_is_finished_by_the_same_reclaim() {
    let prepare: [(&str, &[&str]); 1] = [("a", &["claim", "T-1", "--status", "paused"])];
    dies_at_each_step(&prepare, "b", &["reclaim", "T-1", "--note", "x"]);
}

#[test]
fn a_forced_release_that_died_is_finished_by_the_same_release() {
    dies_at_each_step(
        &[("a", &["claim", "T-1"])],
        "boss",
        &["release", "T-1", "--force", "--note", "x"],
    );
}

#[test]
fn the_event_of_a_claim_that_died_is_not_lost_when_something_else_comes_next() {
    for kept in Kept::ALL {
        let steps = warmed(kept).by("a", &["claim", "T-1"]).steps();
        let written = steps.iter().skip_while(|step| *step != "ref-written");
        assert!(written.clone().count() >= 4, "{steps:?}");
        for step in written {
            let repo = warmed(kept);
            repo.by("a", &["claim", "T-1"]).env("BUS_CRASH_AT", step).run();
            repo.by("a", &["heartbeat", "T-1"]).ok();
            repo.by("a", &["release", "T-1"]).ok();
            let kinds: Vec<Value> = repo
                .log_lines()
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone())
                .collect();
            assert_eq!(kinds, ["claim", "release", "note"], "{kept:?}, {step}");
        }
    }
}

#[test]
fn a_claim_that_died_before_its_file_gets_it_with_the_heartbeat_that_is_due() {
    let repo = warm();
    repo.by("a", &["claim", "T-1", "--ttl", "4s"]).env("BUS_CRASH_AT", "ref-written").run();
    repo.by("a", &["claim", "T-1"]).at("2026-03-01T12:00:02Z").ok();
    assert_eq!(repo.history("T-1")[0], "heartbeat T-1 by a");
    assert_eq!((&repo.claim("T-1")["agent_id"], repo.log_lines().len()), (&Value::from("a"), 2));
}

#[test]
fn a_lock_on_packed_refs_that_a_killed_process_left_is_in_nobodys_way() {
    let repo = warm();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.git(&["pack-refs", "--all"]);
    repo.write(".git/packed-refs.lock", "");
    repo.by("a", &["heartbeat", "T-1"]).ok();
    repo.by("b", &["claim", "T-2"]).ok();
    repo.by("a", &["release", "T-1"]).ok();
}

#[test]
fn a_ref_lock_that_a_killed_process_left_is_removed_at_once() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    // A kill in the middle of writing the ref leaves the note in the lock, and the ref's own lock.
    fs::write(repo.path(".git/bus/lock"), "999999999 claim refs/bus/claims/T-1\n").unwrap();
    repo.write(".git/refs/bus/claims/T-1.lock", "");
    repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    assert!(!repo.path(".git/refs/bus/claims/T-1.lock").exists());
    repo.by("a", &["release", "T-1"]).ok();
    // Without a note it is another program's, and is left alone.
    repo.write(".git/refs/bus/claims/T-1.lock", "");
    let error = repo.by("b", &["claim", "T-1", "--reopen"]).fails(9, "system");
    assert!(error["message"].as_str().unwrap().contains("refs/bus/claims/T-1"), "{error}");
    // A note cannot be used to remove anything else.
    repo.write("precious.lock", "");
    fs::write(repo.path(".git/bus/lock"), "999999999 claim refs/bus/../../../precious\n").unwrap();
    repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    assert!(repo.path("precious.lock").exists());
}
