//! Work without the remote: the first that is confirmed wins, and the other is told.

use super::rig::{Fleet, Remote};
use super::server::Transport;
use crate::harness::{Ran, Repo};

/// A fleet of two that both claim T-1 while the remote is away.
fn both_offline() -> Fleet {
    both_offline_in(Fleet::new(Transport::File, 2))
}

fn both_offline_in(fleet: Fleet) -> Fleet {
    fleet.remote.goes_away();
    fleet.by(0, "a", &["claim", "T-1", "--offline"]).ok();
    fleet.by(1, "b", &["claim", "T-1", "--offline"]).ok();
    fleet.remote.comes_back();
    fleet
}

#[test]
fn the_first_that_is_confirmed_wins_and_the_other_is_told() {
    let fleet = both_offline();
    assert_eq!(fleet.clones[0].claim("T-1")["confirmed"], false);
    let shown = fleet.by(0, "a", &["status", "--long"]).ok();
    assert!(shown.stdout.contains("unconfirmed"), "{}", shown.transcript);
    fleet.by(0, "a", &["sync"]).ok();
    assert_eq!(fleet.clones[0].tip("T-1").get("confirmed"), None);
    let told = fleet.by(1, "b", &["sync"]).ok().says("a has it");
    assert!(told.stderr.contains("T-1"), "{}", told.transcript);
    fleet.assert_agreed("T-1");
    assert_eq!(fleet.clones[1].tip("T-1")["agent_id"], "a");
    for command in [&["heartbeat", "T-1"][..], &["release", "T-1"]] {
        fleet.by(1, "b", command).fails(8, "claim-lost");
    }
    fleet
        .by(1, "b", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"])
        .fails(8, "claim-lost");
    assert!(
        fleet.clones[1].git(&["for-each-ref", "refs/bus/lost/"]).contains("refs/bus/lost/T-1/")
    );
}

#[test]
fn whoever_lost_is_told_by_the_next_command_that_asks_the_remote() {
    for command in [&["release", "T-1"][..], &["claim", "T-1", "--notes", "x"]] {
        let fleet = both_offline();
        fleet.by(0, "a", &["sync"]).ok();
        let status = if command[0] == "claim" { 3 } else { 8 };
        fleet.by(1, "b", command).exits(status);
        assert_eq!(fleet.clones[1].tip("T-1")["agent_id"], "a");
    }
}

#[test]
fn a_claim_online_beats_one_that_was_made_offline() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(1, "b", &["claim", "T-1", "--offline"]).ok();
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(1, "b", &["sync"]).ok().says("a has it");
    fleet.assert_agreed("T-1");
    assert_eq!(fleet.clones[1].tip("T-1")["agent_id"], "a");
}

#[test]
fn the_validator_tells_the_loser_on_its_branch() {
    let fleet = both_offline_in(Fleet::founded(Remote::new(Transport::File), 2, &["--tracked"]));
    let (winner, loser) = (&fleet.clones[0], &fleet.clones[1]);
    winner.by("a", &["sync"]).ok();
    winner.commit_all("a's claim");
    winner.git(&["push", "--quiet", "origin", "main"]);
    loser.git(&["checkout", "--quiet", "-b", "agent/b/t-1"]);
    loser.commit_all("b's claim");
    loser.git(&["fetch", "--quiet", "origin"]);
    let found = loser.by("b", &["validate", "--base", "origin/main"]).exits(1);
    assert!(found.stdout.contains("T-1"), "{}", found.transcript);
}

#[test]
fn what_one_began_and_ended_offline_is_published_whole() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.remote.goes_away();
    fleet.by(0, "a", &["claim", "T-1", "--offline"]).ok();
    fleet.by(0, "a", &["release", "T-1", "--offline"]).ok();
    fleet.remote.comes_back();
    fleet.by(0, "a", &["sync"]).ok();
    fleet.assert_agreed("T-1");
    assert_eq!(fleet.clones[1].tip("T-1")["status"], "done");
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
}

#[test]
fn a_release_offline_frees_the_task_for_all_after_a_sync() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.remote.goes_away();
    fleet.by(0, "a", &["release", "T-1", "--status", "released", "--offline"]).ok();
    fleet.remote.comes_back();
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(1, "b", &["claim", "T-1"]).ok();
    fleet.assert_agreed("T-1");
}

#[cfg(debug_assertions)]
#[test]
fn a_sync_that_dies_at_any_step_is_finished_by_the_next() {
    for step in ["claims-pushed", "adopted", "lost-kept"] {
        let fleet = both_offline();
        fleet.by(0, "a", &["sync"]).ok();
        fleet.by(1, "b", &["claim", "T-2", "--offline"]).ok();
        let died = fleet.by(1, "b", &["sync"]).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached: {}", died.transcript);
        fleet.by(1, "b", &["sync"]).ok();
        for task in ["T-1", "T-2"] {
            fleet.assert_agreed(task);
        }
        assert_eq!(fleet.clones[0].tip("T-2")["agent_id"], "b", "{step}");
        fleet.by(1, "b", &["heartbeat", "T-1"]).fails(8, "claim-lost");
    }
}

#[test]
fn syncs_at_once_and_commands_beside_them_do_no_harm() {
    let fleet = Fleet::new(Transport::File, 2);
    for number in 0..6 {
        fleet.by(number % 2, "a", &["claim", &format!("T-{number}"), "--offline"]).ok();
    }
    let sync = |number: usize| fleet.by(number % 2, "a", &["sync"]).start();
    let children: Vec<_> = (0..8).map(sync).collect();
    for child in children {
        let ran = Ran::of(child);
        assert_eq!(ran.status, Some(0), "{}", ran.transcript);
    }
    for number in 0..6 {
        fleet.assert_agreed(&format!("T-{number}"));
    }
}

#[test]
fn what_a_clone_held_before_it_joined_is_published_and_what_the_remote_has_already_beats_it() {
    let fleet = Fleet::new(Transport::File, 1);
    let joiner = Repo::clone_of(&fleet.remote.url());
    joiner.git(&["reset", "--quiet", "--hard", "main~1"]);
    // Without a remote there is nobody to ask.
    joiner.git(&["remote", "remove", "origin"]);
    joiner.by("b", &["claim", "OWN-1"]).ok();
    joiner.by("b", &["claim", "BOTH-1"]).ok();
    joiner.git(&["remote", "add", "elsewhere", &fleet.remote.url()]);
    fleet.by(0, "a", &["claim", "BOTH-1"]).ok();
    joiner.by("b", &["init", "--remote", "elsewhere"]).ok();
    joiner.by("b", &["sync"]).ok().says("a has it");
    fleet.by(0, "a", &["claim", "OWN-1"]).fails(3, "claim-held");
    joiner.by("b", &["release", "BOTH-1"]).fails(8, "claim-lost");
    for task in ["OWN-1", "BOTH-1"] {
        fleet.assert_agreed(task);
    }
}

#[test]
fn a_sign_of_life_is_told_when_it_can_be_and_is_no_failure_when_it_cannot() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1", "--ttl", "1h"]).ok();
    let before = fleet.remote.at("refs/bus/claims/T-1");
    fleet.by(0, "a", &["heartbeat", "T-1"]).at("2026-03-01T12:40:00Z").ok();
    assert_ne!(fleet.remote.at("refs/bus/claims/T-1"), before, "a heartbeat that is due is pushed");
    fleet.remote.goes_away();
    let told = fleet.by(0, "a", &["heartbeat", "T-1"]).at("2026-03-01T13:20:00Z").ok();
    assert!(told.stderr.contains("warning: "), "{}", told.transcript);
    fleet.remote.comes_back();
    fleet.by(0, "a", &["sync"]).at("2026-03-01T13:20:00Z").ok();
    fleet.assert_agreed("T-1");
}

#[test]
fn an_owner_whose_task_was_taken_elsewhere_learns_it_from_the_sign_of_life() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1", "--status", "paused"]).ok();
    fleet.by(1, "b", &["reclaim", "T-1", "--note", "x"]).ok();
    fleet.by(0, "a", &["heartbeat", "T-1"]).at("2026-03-01T13:20:00Z").fails(8, "claim-lost");
}
