//! Remotes that refuse, are away, die or say nothing: exit 7, and nothing has changed here.

use std::fs;

use serde_json::Value;

use super::rig::{Fleet, Remote, path_with_git, until};
use super::server::{Silence, Transport};
use crate::harness::{Ran, Repo, rounds, some_of};

/// The changes that go through the remote; in this order all of them can be made.
const CHANGES: [(&str, &[&str]); 4] = [
    ("b", &["claim", "NEW-1"]),
    ("a", &["claim", "HELD-1", "--notes", "more"]),
    ("b", &["reclaim", "PAUSED-1", "--note", "x"]),
    ("a", &["release", "HELD-1"]),
];

/// Those that are tried over a transport: how git fails is the transport's, what follows from it is
/// not.
fn changes(transport: Transport) -> &'static [(&'static str, &'static [&'static str])] {
    if transport == Transport::File { &CHANGES[..rounds(2, 4)] } else { &CHANGES[..1] }
}

const TASKS: [&str; 3] = ["NEW-1", "HELD-1", "PAUSED-1"];

/// A fleet of two in which `a` holds one task and has put another aside.
fn stage(transport: Transport) -> Fleet {
    let fleet = Fleet::new(transport, 2);
    fleet.by(0, "a", &["claim", "HELD-1"]).ok();
    fleet.by(0, "a", &["claim", "PAUSED-1", "--status", "paused"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    fleet
}

/// What stands in a clone, without its own log: what went with a push that came to nothing stays
/// there, to be sent again.
fn state(clone: &Repo) -> String {
    clone.state().lines().filter(|line| !line.contains("refs/bus/log/")).collect()
}

/// Runs each change, which must fail with 7 and change neither the clone nor the remote; `codes` is
/// what it may be called.
fn assert_nothing_changes(fleet: &Fleet, transport: Transport, codes: &[&str]) {
    let clone = &fleet.clones[0];
    for (agent, command) in changes(transport) {
        let before = state(clone);
        let ran = fleet.by(0, agent, command).arg("--json").exits(7);
        let error = &ran.json()["error"];
        assert!(
            codes.contains(&error["code"].as_str().unwrap()),
            "{command:?}: {}",
            ran.transcript
        );
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{}", ran.transcript);
        assert_eq!(state(clone), before, "{command:?}");
    }
}

/// Runs each change, which must now work.
fn assert_all_is_well(fleet: &Fleet, transport: Transport) {
    for (agent, command) in changes(transport) {
        fleet.by(0, agent, command).ok();
    }
    fleet.assert_agreed("NEW-1");
    fleet.assert_agreed("HELD-1");
}

#[test]
fn what_a_hook_refuses_changes_nothing() {
    for transport in Transport::some(1) {
        let fleet = stage(transport);
        fleet.remote.refuses("refs/bus/");
        assert_nothing_changes(&fleet, transport, &["remote-refused"]);
        let said = fleet.by(0, "b", &["claim", "NEW-1"]).exits(7);
        assert!(said.stderr.contains("pre-receive hook declined"), "{}", said.transcript);
        fleet.remote.without_hook("pre-receive");
        assert_all_is_well(&fleet, transport);
    }
}

#[test]
fn an_update_hook_refuses_as_well() {
    let transport = Transport::File;
    let fleet = stage(transport);
    fleet.remote.hook("update", "case $1 in refs/bus/claims/*) exit 1;; esac\n");
    assert_nothing_changes(&fleet, transport, &["remote-refused"]);
}

#[test]
fn a_lock_that_a_killed_git_left_at_the_remote_is_named_and_keeps_nobody_elses_task() {
    let fleet = stage(Transport::File);
    fleet.remote.locks("refs/bus/claims/NEW-1");
    let before = state(&fleet.clones[0]);
    let error = fleet.by(0, "b", &["claim", "NEW-1"]).fails(7, "remote-refused");
    assert!(
        error["message"].as_str().unwrap().contains("claims/NEW-1.lock': File exists"),
        "{error}"
    );
    assert!(error["hint"].as_str().unwrap().contains(".lock"), "{error}");
    assert_eq!(state(&fleet.clones[0]), before);
    for task in ["NEW-1", "NEW-2"] {
        fleet.by(0, "b", &["claim", task, "--offline"]).ok();
    }
    fleet.by(0, "b", &["sync"]).exits(1).says("NEW-1 is still for this clone alone");
    fleet.by(1, "c", &["claim", "NEW-2"]).fails(3, "claim-held");
    fleet.remote.unlocks("refs/bus/claims/NEW-1");
    fleet.by(0, "b", &["sync"]).ok();
    fleet.assert_agreed("NEW-1");
}

#[cfg(debug_assertions)]
#[test]
fn a_lock_that_another_push_holds_for_a_moment_is_waited_for() {
    for (command, task) in [(["claim", "NEW-1"], "NEW-1"), (["release", "HELD-1"], "HELD-1")] {
        let fleet = stage(Transport::File);
        let (flag, name) = (fleet.clones[0].beside("flag"), format!("refs/bus/claims/{task}"));
        fleet.remote.locks(&name);
        let pause = [("BUS_PAUSE_AT", "pushed"), ("BUS_PAUSE_FILE", flag.to_str().unwrap())];
        let child = pause
            .iter()
            .fold(fleet.by(0, "a", &command), |bus, (name, value)| bus.env(name, value))
            .start();
        until(|| flag.exists());
        fleet.remote.unlocks(&name);
        fs::remove_file(&flag).unwrap();
        let ran = Ran::of(child);
        assert_eq!(ran.status, Some(0), "{}", ran.transcript);
        fleet.assert_agreed(task);
    }
}

#[test]
fn a_remote_that_is_away_changes_nothing() {
    for transport in Transport::some(2) {
        let fleet = stage(transport);
        fleet.remote.goes_away();
        assert_nothing_changes(&fleet, transport, &["remote-unreachable"]);
        fleet.remote.comes_back();
        assert_all_is_well(&fleet, transport);
    }
}

#[test]
fn a_remote_that_dies_before_it_has_written_changes_nothing() {
    for transport in Transport::some(0) {
        let fleet = stage(transport);
        fleet.remote.dies_in("pre-receive");
        assert_nothing_changes(
            &fleet,
            transport,
            &["outcome-unknown", "remote-unreachable", "remote-refused"],
        );
        fleet.remote.without_hook("pre-receive");
        assert_all_is_well(&fleet, transport);
    }
}

#[test]
fn an_answer_that_is_lost_is_found_by_the_second_look() {
    for transport in Transport::some(1) {
        let fleet = stage(transport);
        fleet.remote.dies_in("post-receive");
        fleet.by(0, "b", &["claim", "NEW-1"]).ok();
        fleet.by(0, "a", &["release", "HELD-1"]).ok();
        fleet.by(0, "b", &["reclaim", "PAUSED-1", "--note", "x"]).ok();
        TASKS.iter().for_each(|task| fleet.assert_agreed(task));
        assert_eq!(fleet.clones[0].history("NEW-1").len(), 1, "it was sent once");
    }
}

#[test]
fn a_git_that_dies_after_its_push_proves_nothing() {
    let fleet = stage(Transport::File);
    let text = "case \" $* \" in *' push '*) \"$git\" \"$@\" > /dev/null 2>&1; kill -9 $$;; esac\nexec \"$git\" \"$@\"\n";
    let path = path_with_git(&fleet.clones[0], text);
    fleet.by(0, "b", &["claim", "NEW-1"]).env("PATH", &path).ok();
    fleet.by(1, "c", &["claim", "NEW-1"]).fails(3, "claim-held");
    assert_eq!(fleet.clones[0].history("NEW-1").len(), 1);
}

#[test]
fn a_git_that_dies_before_its_push_does_nothing() {
    let fleet = stage(Transport::File);
    let path = path_with_git(
        &fleet.clones[0],
        "case \" $* \" in *' push '*) exit 128;; esac\nexec \"$git\" \"$@\"\n",
    );
    let before = (state(&fleet.clones[0]), fleet.remote.refs());
    fleet.by(0, "b", &["claim", "NEW-1"]).env("PATH", &path).exits(7);
    assert_eq!((state(&fleet.clones[0]), fleet.remote.refs()), before);
}

#[test]
fn a_git_that_says_it_is_done_and_did_nothing_grants_nothing() {
    let fleet = stage(Transport::File);
    let path = path_with_git(
        &fleet.clones[0],
        "case \" $* \" in *' push '*) exit 0;; esac\nexec \"$git\" \"$@\"\n",
    );
    let ran = fleet.by(0, "b", &["claim", "NEW-1"]).env("PATH", &path).run();
    assert!(matches!(ran.status, Some(3 | 7)), "{}", ran.transcript);
    assert!(fleet.remote.at("refs/bus/claims/NEW-1").is_empty());
    assert!(fleet.clones[0].claim("NEW-1").is_null());
}

#[test]
fn a_remote_that_says_nothing_is_given_up_after_the_time_that_was_said() {
    for transport in some_of([Transport::Daemon, Transport::Http], 2, 0) {
        let fleet = stage(transport);
        let (silence, clone) = (Silence::new(), &fleet.clones[0]);
        clone.git(&["remote", "set-url", "origin", &silence.url(transport)]);
        for (agent, command) in
            changes(if transport == Transport::Daemon { Transport::File } else { transport })
        {
            let before = state(clone);
            fleet.by(0, agent, command).arg("--remote-timeout").arg("300ms").exits(7);
            assert_eq!(state(clone), before, "{command:?}");
        }
        fleet.by(0, "a", &["sync", "--remote-timeout", "300ms"]).exits(7);
    }
}

#[test]
fn a_push_that_takes_too_long_is_unknown_and_found_out_by_the_same_command() {
    for transport in Transport::some(2) {
        let fleet = stage(transport);
        fleet.remote.delays();
        let ran =
            fleet.by(0, "b", &["claim", "NEW-1", "--json", "--remote-timeout", "1s"]).exits(7);
        assert_eq!(ran.json()["error"]["code"], "outcome-unknown", "{}", ran.transcript);
        assert!(fleet.clones[0].claim("NEW-1").is_null());
        fleet.remote.go_on();
        fleet.by(0, "b", &["claim", "NEW-1"]).ok();
        fleet.by(1, "c", &["claim", "NEW-1"]).fails(3, "claim-held");
        fleet.assert_agreed("NEW-1");
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_remote_that_goes_away_at_any_step_leaves_one_truth() {
    let steps = [("looked", false), ("pushed", false), ("adopted", true)];
    for (step, looks_known) in some_of(steps, 3, 1) {
        let fleet = stage(Transport::File);
        for (agent, command) in CHANGES {
            let flag = fleet.clones[0].beside("flag");
            let pause = [("BUS_PAUSE_AT", step), ("BUS_PAUSE_FILE", flag.to_str().unwrap())];
            let child = pause
                .iter()
                .fold(fleet.by(0, agent, command), |bus, (name, value)| bus.env(name, value))
                .start();
            until(|| flag.exists());
            fleet.remote.goes_away();
            fs::remove_file(&flag).unwrap();
            let ran = Ran::of(child);
            assert!(matches!(ran.status, Some(0 | 7)), "{step} {command:?}: {}", ran.transcript);
            assert!(
                !looks_known || ran.status == Some(0),
                "{step} {command:?}: {}",
                ran.transcript
            );
            fleet.remote.comes_back();
            fleet.by(0, agent, command).ok();
        }
        TASKS.iter().for_each(|task| fleet.assert_agreed(task));
    }
}

#[test]
fn another_repository_is_never_claimed_in() {
    let fleet = stage(Transport::File);
    let fork = Remote::new(Transport::File);
    fleet.clones[1].git(&["push", "--quiet", &fork.url(), "main"]);
    let forked = Repo::clone_of(&fork.url());
    let before = (forked.state(), fork.refs());
    for command in [
        &["claim", "NEW-1"][..],
        &["claim", "HELD-1"],
        &["reclaim", "PAUSED-1", "--note", "x"],
        &["sync"],
    ] {
        forked.by("b", command).fails(7, "other-fleet");
    }
    assert_eq!(without_fleet(&forked.state()), without_fleet(&before.0));
    assert_eq!(fork.refs(), before.1);
}

/// The clone's own refs of the fleet that it was cloned into are its note of it.
fn without_fleet(state: &str) -> String {
    let own = |line: &&str| !line.contains("refs/bus/fleet") && !line.contains("refs/bus/archive");
    state.lines().filter(own).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_push_to_elsewhere_is_no_claim() {
    let (fleet, elsewhere) = (stage(Transport::File), Remote::new(Transport::File));
    let clone = &fleet.clones[0];
    clone.git(&["remote", "set-url", "--push", "origin", &elsewhere.url()]);
    for (agent, command) in CHANGES {
        let before = state(clone);
        fleet.by(0, agent, command).fails(7, "other-fleet");
        assert_eq!(state(clone), before, "{command:?}");
    }
    assert_eq!(elsewhere.refs(), "");
    clone.git(&["remote", "set-url", "--add", "--push", "origin", &fleet.remote.url()]);
    fleet.by(0, "b", &["claim", "NEW-1"]).exits(7);
    assert_eq!(elsewhere.refs(), "");
}

#[test]
fn a_remote_that_was_founded_anew_is_another_fleet() {
    let fleet = stage(Transport::File);
    let other = Fleet::new(Transport::File, 1);
    fleet.clones[0].git(&["remote", "set-url", "origin", &other.remote.url()]);
    let error = fleet.by(0, "b", &["claim", "NEW-1"]).fails(7, "other-fleet");
    assert_ne!(error["fleet"], Value::Null);
}
