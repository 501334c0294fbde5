//! Commands on leases that die between two of their steps: the same command, run again, ends in the
//! same state.
#![cfg(debug_assertions)]

use serde_json::Value;

use super::harness::{Kept, Repo, some_of};
use super::locks::{kinds, live, noted, subjects};
use super::refused::{warm, warmed};

/// The steps of each change of a lease.
const STEPS: [&str; 6] = [
    "object-written",
    "ref-written",
    "line-appended",
    "event-settled",
    "file-written-aside",
    "file-settled",
];

/// What must be the same in the end, ids aside: they are made by chance.
#[derive(Debug, PartialEq)]
struct End {
    leases: Vec<(Value, Value)>,
    writes: Vec<String>,
    events: Vec<String>,
    /// Who has what in the record's table, which is the ref's.
    noted: Vec<(Value, Value)>,
    claim: Value,
}

fn end(repo: &Repo) -> End {
    let leases = |leases: &[Value]| {
        leases.iter().map(|lease| (lease["owner"].clone(), lease["scope"].clone())).collect()
    };
    let verb = |subject: String| {
        format!(
            "{} {}",
            subject.split(' ').next().unwrap(),
            subject.split(' ').next_back().unwrap()
        )
    };
    let mut events = kinds(repo);
    events.sort();
    End {
        leases: leases(&live(repo)),
        writes: subjects(repo).into_iter().map(verb).collect(),
        events,
        noted: leases(noted(repo)["leases"].as_array().unwrap()),
        claim: repo.claim("T-1")["status"].clone(),
    }
}

/// The id of the only live lease, if there is one.
fn only(repo: &Repo) -> Option<String> {
    live(repo).first().map(|lease| lease["lock_id"].as_str().unwrap().to_owned())
}

/// Prepares a bus, runs `command` as `agent` to its end, and once more for each step at which it
/// may die. `ID` in the command is the lease that stood before.
fn dies_at_each_step(prepare: &[(&str, &[&str])], agent: &str, command: &[&str]) {
    Kept::ALL.into_iter().for_each(|kept| dies_at_each_step_of(kept, prepare, agent, command));
}

fn dies_at_each_step_of(kept: Kept, prepare: &[(&str, &[&str])], agent: &str, command: &[&str]) {
    let stage = || {
        let repo = warmed(kept);
        prepare.iter().for_each(|(agent, arguments)| drop(repo.by(agent, arguments).ok()));
        let id = only(&repo).unwrap_or_default();
        let command: Vec<String> = command.iter().map(|word| word.replace("ID", &id)).collect();
        (repo, command)
    };
    let run = |repo: &Repo, command: &[String], step: &str| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        repo.by(agent, &words).env("BUS_CRASH_AT", step).run()
    };
    let (whole, words) = stage();
    let steps = whole.by(agent, &words.iter().map(String::as_str).collect::<Vec<_>>()).steps();
    let expected = end(&whole);
    assert!(STEPS.iter().all(|step| steps.iter().any(|known| known == step)), "{steps:?}");
    for step in some_of(&steps, 3, kept as usize) {
        let why = format!("{kept:?}, after a crash at {step} of {steps:?}");
        let (repo, words) = stage();
        let died = run(&repo, &words, step);
        assert_eq!(died.status, None, "{why}: it is never reached:\n{}", died.transcript);
        let again = run(&repo, &words, "");
        assert_eq!(again.status, Some(0), "{why}: {}", again.transcript);
        assert_eq!(end(&repo), expected, "{why}");
        let settled = repo.state();
        assert_eq!(run(&repo, &words, "").status, Some(0));
        assert_eq!(repo.state(), settled, "settling twice, {why}");
        repo.bus(&["doctor"]).ok();
    }
}

const TAKE: [&str; 5] = ["lock", "acquire", "src/**", "--objective", "x"];

#[test]
fn an_acquire_that_died_is_finished_by_the_same_acquire() {
    dies_at_each_step(&[], "a", &TAKE);
}

#[test]
fn a_release_of_a_lease_that_died_is_finished_by_the_same_release() {
    dies_at_each_step(&[("a", &TAKE)], "a", &["lock", "release", "ID"]);
}

#[test]
fn a_takeover_of_a_lease_that_died_is_finished_by_the_same_takeover() {
    dies_at_each_step(&[("a", &TAKE)], "b", &["lock", "reclaim", "ID", "--note", "x", "--force"]);
}

#[test]
fn what_died_is_finished_by_the_doctor() {
    for step in ["ref-written", "line-appended", "event-settled", "file-written-aside"] {
        let repo = warm();
        repo.by("a", &TAKE).env("BUS_CRASH_AT", step).run();
        repo.by("b", &["lock", "acquire", "docs/", "--objective", "y"]).ok();
        repo.bus(&["doctor", "--fix"]).exits(0);
        repo.by("a", &["lock", "release"]).env("BUS_CRASH_AT", step).run();
        repo.by("b", &["lock", "release"]).ok();
        repo.bus(&["doctor", "--fix"]).exits(0);
        let end = end(&repo);
        assert_eq!(end.events, ["lock", "lock", "note", "unlock", "unlock"], "{step}");
        assert!(end.noted.is_empty(), "{step}");
    }
}

#[test]
fn the_event_of_a_lease_that_died_is_not_lost_when_something_else_comes_next() {
    for step in ["ref-written", "line-appended", "event-settled", "file-written-aside"] {
        for next in ["renew", "release"] {
            let repo = warm();
            repo.by("a", &TAKE).env("BUS_CRASH_AT", step).run();
            repo.by("b", &["lock", "acquire", "docs/", "--objective", "y"]).ok();
            repo.by("a", &["lock", next]).ok();
            let events = kinds(&repo).iter().filter(|kind| *kind == "lock").count();
            assert_eq!(events, 2, "{step}, then {next}");
        }
    }
}

#[test]
fn a_task_and_its_paths_are_both_taken_or_neither_wherever_the_claim_dies() {
    let command = ["claim", "T-1", "--lock", "src/**"];
    let steps = warm().by("a", &command).steps();
    assert!(steps.iter().any(|step| step == "paths-written"), "{steps:?}");
    for step in &steps {
        let repo = warm();
        let died = repo.by("a", &command).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
        let claims = repo.bus(&["status", "--active-only", "--json"]).ok().json()["claims"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(live(&repo).len(), claims, "after a crash at {step}");
        let refused = repo.by("b", &["lock", "acquire", "src/x", "--objective", "y"]).run();
        assert_eq!(
            refused.status,
            Some(if claims == 0 { 0 } else { 3 }),
            "after a crash at {step}: {}",
            refused.transcript
        );
        if claims == 0 {
            repo.by("a", &command).fails(3, "lock-held");
            repo.by("b", &["lock", "release"]).ok();
        }
        repo.by("a", &command).ok();
        let lease = live(&repo)[0].clone();
        assert_eq!(lease["claim_id"], repo.tip("T-1")["claim_id"], "after a crash at {step}");
        repo.bus(&["doctor"]).ok();
        repo.by("a", &["release", "T-1"]).ok();
        let events = kinds(&repo);
        let of_a = events.iter().filter(|kind| *kind == "lock").count();
        assert_eq!(of_a, if claims == 0 { 2 } else { 1 }, "after a crash at {step}: {events:?}");
    }
}

#[test]
fn a_release_that_died_has_freed_the_paths_with_the_task() {
    let taken = || {
        let repo = warm();
        repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
        repo
    };
    for step in taken().by("a", &["release", "T-1"]).steps() {
        let repo = taken();
        repo.by("a", &["release", "T-1"]).env("BUS_CRASH_AT", &step).run();
        let claims = repo.bus(&["status", "--active-only", "--json"]).ok().json()["claims"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(live(&repo).len(), claims, "after a crash at {step}");
        repo.by("a", &["release", "T-1"]).ok();
        repo.bus(&["doctor"]).ok();
        let end = end(&repo);
        assert_eq!(
            end.events,
            ["claim", "lock", "note", "release", "unlock"],
            "after a crash at {step}"
        );
        assert_eq!((end.leases.len(), end.noted.len()), (0, 0), "after a crash at {step}");
    }
}
