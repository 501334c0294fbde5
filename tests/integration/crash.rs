//! Commands that die between two of their steps: the same command, run again, ends in the same state.
#![cfg(debug_assertions)]

use std::fs;

use serde_json::Value;

use super::harness::{Ran, Repo};

/// What must be the same in the end, whether or not the command died on the way.
#[derive(Debug, PartialEq)]
struct End {
    history: Vec<String>,
    status: Value,
    owner: Value,
    events: Vec<(Value, Value)>,
    file_is_tip: bool,
}

fn end(repo: &Repo) -> End {
    let events = repo.log_lines().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok()).collect::<Vec<_>>();
    End {
        history: repo.history("T-1"),
        status: repo.claim("T-1")["status"].clone(),
        owner: repo.claim("T-1")["agent_id"].clone(),
        events: events.iter().map(|event| (event["event"].clone(), event["summary"].clone())).collect(),
        file_is_tip: repo.claim("T-1") == repo.tip("T-1"),
    }
}

const STEPS: [&str; 6] =
    ["object-written", "ref-written", "line-appended", "event-settled", "file-written-aside", "file-settled"];

/// A bus whose clone has its id already, so that each step is the claim's own.
fn warm() -> Repo {
    let repo = Repo::new();
    repo.by("z", &["event", "log", "--event", "note", "--task", "W-1", "--summary", "warm"]).ok();
    repo
}

/// Prepares a bus, runs `command` as `agent` to its end, and once more for each step at which it may die.
fn dies_at_each_step(prepare: &[(&str, &[&str])], agent: &str, command: &[&str]) {
    let stage = || {
        let repo = warm();
        prepare.iter().for_each(|(agent, arguments)| drop(repo.by(agent, arguments).ok()));
        repo
    };
    let whole = stage();
    whole.by(agent, command).ok();
    let expected = end(&whole);
    for step in STEPS {
        let repo = stage();
        let died = repo.by(agent, command).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
        repo.by(agent, command).ok();
        assert_eq!(end(&repo), expected, "after a crash at {step}");
        let settled = repo.state();
        repo.by(agent, command).ok();
        assert_eq!(repo.state(), settled, "settling twice, after a crash at {step}");
        assert_eq!(fs::read_dir(repo.path("_bus/claims")).unwrap().count(), 1, "nothing is left lying about after {step}");
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
    dies_at_each_step(&[("a", &["claim", "T-1"])], "boss", &["release", "T-1", "--force", "--note", "x"]);
}

#[test]
fn the_event_of_a_claim_that_died_is_not_lost_when_something_else_comes_next() {
    for step in ["ref-written", "line-appended", "event-settled", "file-written-aside"] {
        let repo = warm();
        repo.by("a", &["claim", "T-1"]).env("BUS_CRASH_AT", step).run();
        repo.by("a", &["heartbeat", "T-1"]).ok();
        repo.by("a", &["release", "T-1"]).ok();
        let kinds: Vec<Value> =
            repo.log_lines().iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect();
        assert_eq!(kinds, ["claim", "release", "note"], "{step}");
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

/// Runs a command that may write no file larger than `blocks` times 512 bytes, as on a disk that is about to be full.
#[cfg(unix)]
fn limited(repo: &Repo, agent: &str, blocks: usize, command: &[&str]) -> Ran {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let arguments = [&["-c", &script, env!("CARGO_BIN_EXE_bus")], command].concat();
    repo.other("sh", &arguments).env("BUS_AGENT", agent).run()
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_exit_9_and_the_same_command_finishes_once_there_is_room() {
    let notes = "n".repeat(900);
    let commands: [(&str, Vec<&str>); 5] = [
        ("a", vec!["claim", "T-1", "--notes", &notes]),
        ("a", vec!["release", "T-1", "--notes", &notes]),
        ("b", vec!["reclaim", "T-1", "--note", &notes, "--force"]),
        ("a", vec!["heartbeat", "T-1"]),
        ("a", vec!["event", "log", "--event", "note", "--task", "T-1", "--summary", &notes]),
    ];
    let mut failed = 0;
    for (number, (agent, command)) in commands.iter().enumerate() {
        for blocks in 0..6 {
            let repo = warm();
            if number > 0 {
                repo.by("a", &["claim", "T-1"]).ok();
            }
            let ran = limited(&repo, agent, blocks, command);
            if ran.status != Some(0) {
                failed += 1;
                assert_eq!(ran.status, Some(9), "{blocks} blocks: {}", ran.transcript);
                assert!(
                    ran.stderr.contains("hint: make room on the disk") || ran.stderr.contains("git fsck"),
                    "{}",
                    ran.transcript
                );
            }
            repo.by(agent, command).ok();
            let whole = warm();
            if number > 0 {
                whole.by("a", &["claim", "T-1"]).ok();
            }
            whole.by(agent, command).ok();
            let (mine, theirs) = (repo.bus(&["event", "list"]).ok().stdout, whole.bus(&["event", "list"]).ok().stdout);
            if number < 3 {
                assert_eq!(end(&repo).history, end(&whole).history, "{blocks} blocks, {command:?}");
                assert_eq!((mine, end(&repo).file_is_tip), (theirs, true), "{blocks} blocks, {command:?}");
            }
            repo.bus(&["doctor"]).ok();
        }
    }
    assert!(failed > 10, "{failed}");
}

#[cfg(unix)]
#[test]
fn a_folder_where_a_file_is_to_be_written_stops_the_command_and_loses_nothing() {
    let repo = warm();
    repo.write("_bus/claims/.T-1.json.tmp/x", "");
    let error = repo.by("a", &["claim", "T-1"]).fails(9, "system");
    assert!(error["message"].as_str().unwrap().contains("_bus/claims/.T-1.json.tmp"), "{error}");
    fs::remove_dir_all(repo.path("_bus/claims/.T-1.json.tmp")).unwrap();
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!((repo.history("T-1").len(), repo.claim("T-1") == repo.tip("T-1")), (1, true));
    fs::remove_dir_all(repo.path("_bus/events")).unwrap();
    repo.write("_bus/events", "a file");
    repo.by("a", &["release", "T-1"]).fails(5, "not-a-regular-file");
    assert_eq!(repo.history("T-1").len(), 1, "the ref was not moved either");
    fs::remove_file(repo.path("_bus/events")).unwrap();
    repo.by("a", &["release", "T-1"]).ok();
}

#[test]
fn a_lock_that_another_program_holds_is_given_up_in_time() {
    let repo = warm();
    let lock = fs::File::options().write(true).open(repo.path(".git/bus/lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    for command in [vec!["claim", "T-1"], vec!["event", "log", "--event", "note", "--summary", "x"], vec!["init"]] {
        let error = repo.by("a", &[&command[..], &["--lock-timeout", "20ms"]].concat()).fails(6, "lock-timeout");
        assert!(error["message"].as_str().unwrap().contains("another program holds it"), "{error}");
    }
    repo.bus(&["status"]).ok();
    drop(lock);
    repo.by("a", &["claim", "T-1"]).ok();
}
