//! What a clone logs goes to the fleet with its claims, and with what it says; and it never keeps a
//! claim from being made.

use std::time::{Duration, Instant};

use super::rig::{Fleet, path_with_git};
use super::server::Transport;
use crate::harness::{Repo, some_of};

fn note(fleet: &Fleet, clone: usize, agent: &str, summary: &str) {
    fleet.by(clone, agent, &["event", "log", "--event", "note", "--summary", summary]).ok();
}

/// What the other clone knows of the log once it has looked at the remote.
fn known_to(fleet: &Fleet, clone: usize) -> Vec<String> {
    fleet.by(clone, "observer", &["sync"]).ok();
    let events = fleet.by(clone, "observer", &["event", "list", "--json"]).ok().ndjson();
    events.iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_push_of_a_claim_brings_what_was_logged_before() {
    let changes: [&[&str]; 4] = [
        &["claim", "T-1"],
        &["release", "HELD-1"],
        &["reclaim", "PAUSED-1", "--note", "x"],
        &["claim", "--next"],
    ];
    for change in some_of(changes, 4, 3) {
        let fleet = Fleet::new(Transport::Daemon, 2);
        fleet.by(0, "a", &["claim", "HELD-1"]).ok();
        fleet.by(0, "b", &["claim", "PAUSED-1", "--status", "paused"]).ok();
        fleet.by(0, "a", &["queue", "add", "one"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        note(&fleet, 0, "a", "before the change");
        fleet.remote.server.calls();
        let ran = fleet.by(0, "a", change).ok();
        assert!(!ran.stderr.contains("not sent yet"), "{}", ran.transcript);
        // `claim --next` looks at everything first, and what ended a claim is sent when it has
        // ended.
        let calls = if change == ["claim", "T-1"] || change[0] == "reclaim" { 2 } else { 3 };
        assert_eq!(fleet.remote.server.calls(), calls, "{change:?}: push, and look again");
        assert!(known_to(&fleet, 1).contains(&"before the change".to_owned()), "{change:?}");
    }
}

#[test]
fn what_is_said_and_assigned_and_ended_is_sent_at_once() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(0, "a", &["message", "send", "--to", "b", "--summary", "hello"]).ok();
    fleet.by(0, "boss", &["assign", "T-2", "--engineer", "b"]).ok();
    fleet.by(0, "a", &["release", "T-1"]).ok();
    let events = known_to(&fleet, 1);
    assert!(events.contains(&"done".to_owned()), "{events:?}");
    let inbox = fleet.by(1, "b", &["inbox", "--json"]).ok().json();
    assert_eq!(inbox["messages"][0]["summary"], "hello");
    fleet.by(1, "c", &["claim", "T-2"]).fails(3, "assigned-elsewhere");
}

#[test]
fn a_clone_that_has_just_been_made_sends_what_it_says_first() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(1, "b", &["message", "send", "--to", "a", "--summary", "hello"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    assert_eq!(
        fleet.by(0, "a", &["inbox", "--json"]).ok().json()["messages"][0]["summary"],
        "hello"
    );
    let late = Repo::clone_of(&fleet.remote.url());
    fleet.remote.goes_away();
    late.by("c", &["message", "send", "--to", "a", "--summary", "later"]).ok().says("not sent yet");
}

#[test]
fn what_cannot_be_sent_within_a_second_is_said_and_sent_later() {
    let fleet = Fleet::new(Transport::Daemon, 2);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    let commands: [&[&str]; 2] = [
        &["message", "send", "--to", "b", "--summary", "hello"],
        &["assign", "T-2", "--engineer", "b"],
    ];
    let fails = [Fleet::delay, Fleet::leave];
    for (command, fail) in commands.into_iter().zip(fails) {
        fail(&fleet);
        let start = Instant::now();
        let ran = fleet.by(0, "a", command).ok().says("note: not sent yet").says("`bus sync`");
        assert!(start.elapsed() < Duration::from_secs(20), "{}", ran.transcript);
        fleet.comes_back();
    }
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(1, "b", &["sync"]).ok();
    let inbox = fleet.by(1, "b", &["inbox", "--json"]).ok().json();
    assert_eq!(inbox["messages"][0]["summary"], "hello");
    fleet.by(1, "c", &["claim", "T-2"]).fails(3, "assigned-elsewhere");
}

impl Fleet {
    fn delay(&self) {
        self.remote.delays();
    }

    fn leave(&self) {
        self.remote.goes_away();
    }

    fn comes_back(&self) {
        if self.remote.path("wait").exists() {
            self.remote.go_on()
        } else {
            self.remote.comes_back()
        }
    }
}

#[test]
fn nothing_is_sent_and_nothing_said_of_it_without_a_fleet_or_offline() {
    let repo = Repo::new();
    repo.git(&["remote", "add", "origin", "ssh://nowhere.invalid/x"]);
    for command in [
        &["message", "send", "--to", "b", "--summary", "x"][..],
        &["assign", "T-1", "--engineer", "b"],
    ] {
        let ran = repo.by("a", command).ok();
        assert!(!ran.stderr.contains("not sent"), "{}", ran.transcript);
    }
    let fleet = Fleet::new(Transport::File, 1);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.remote.goes_away();
    let ran = fleet.by(0, "a", &["release", "T-1", "--offline"]).ok();
    assert!(!ran.stderr.contains("not sent"), "{}", ran.transcript);
}

#[test]
fn a_log_that_the_remote_does_not_take_keeps_no_claim_from_being_made() {
    let hooks = [
        ("update", "case $1 in refs/bus/log/*) echo 'no logs here' >&2; exit 1;; esac\n"),
        (
            "pre-receive",
            "while read -r old new name; do case $name in refs/bus/log/*) exit 1;; esac; done\n",
        ),
        // A server that dies of it says nothing at all.
        (
            "pre-receive",
            "while read -r old new name; do case $name in refs/bus/log/*) kill -9 $PPID;; esac; done\n",
        ),
    ];
    for (hook, text) in some_of(hooks, 2, 0) {
        let fleet = Fleet::new(Transport::File, 2);
        fleet.by(0, "a", &["claim", "HELD-1"]).ok();
        fleet.remote.hook(hook, text);
        fleet.by(0, "a", &["claim", "T-1"]).ok().says("not sent yet").says("bus sync");
        fleet.by(0, "a", &["release", "HELD-1"]).ok().says("not sent yet");
        fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
        let ran = fleet.by(0, "a", &["sync", "--json"]).exits(1);
        assert!(ran.json()["log_unsent"].is_string(), "{}", ran.transcript);
        fleet.remote.without_hook(hook);
        fleet.by(0, "a", &["sync"]).ok();
        assert_eq!(known_to(&fleet, 1).len(), 3, "two claims and a release");
        fleet.assert_agreed("T-1");
    }
}

#[test]
fn a_git_that_hangs_over_the_log_keeps_no_claim_from_being_made() {
    let fleet = Fleet::new(Transport::File, 2);
    note(&fleet, 0, "a", "before");
    let text = "case \" $* \" in *' push '*refs/bus/log/*) sleep 60;; esac\nexec \"$git\" \"$@\"\n";
    let path = path_with_git(&fleet.clones[0], text);
    fleet
        .by(0, "a", &["claim", "T-1", "--remote-timeout", "2s"])
        .env("PATH", &path)
        .ok()
        .says("not sent yet");
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
}

#[test]
fn a_log_that_the_remote_has_lost_goes_there_again() {
    let fleet = Fleet::new(Transport::File, 2);
    note(&fleet, 0, "a", "first");
    fleet.by(0, "a", &["sync"]).ok();
    fleet.remote.lose_logs();
    note(&fleet, 0, "a", "second");
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    assert_eq!(known_to(&fleet, 1)[..2], ["first", "second"]);
    fleet.remote.lose_logs();
    fleet.by(0, "a", &["sync"]).ok();
    assert!(fleet.remote.refs().contains("refs/bus/log/"));
    assert_eq!(
        fleet.by(1, "b", &["status", "--json"]).ok().json()["rewritten_logs"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}
