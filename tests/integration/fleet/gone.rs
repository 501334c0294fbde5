//! Refs of a fleet that vanish or are set back, here or on the remote.

use crate::harness::some_of;
use std::fs;

use serde_json::Value;

use super::rig::Fleet;
use super::server::Transport;

const CLAIM: &str = "refs/bus/claims/T-1";
const SEEN: &str = "refs/bus-remote/origin/claims/T-1";

fn fleet() -> Fleet {
    Fleet::new(Transport::File, 2)
}

/// As a mirror's fetch does: all of T-1 that is a ref is gone in the first clone.
fn prune(fleet: &Fleet) {
    let clone = &fleet.clones[0];
    for folder in [CLAIM, SEEN, "refs/bus/lost"] {
        for name in clone.git(&["for-each-ref", "--format=%(refname)", folder]).lines() {
            clone.git(&["update-ref", "-d", name]);
        }
    }
}

fn record(fleet: &Fleet) -> Value {
    serde_json::from_str(&fleet.clones[0].read(".git/bus/log/_bus/claims/T-1.json")).unwrap()
}

#[test]
fn the_record_follows_what_another_clone_did_with_the_claim() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1", "--status", "paused"]).ok();
    fleet.by(1, "b", &["reclaim", "T-1", "--note", "x"]).ok();
    for change in
        [&["heartbeat", "T-1"][..], &["claim", "T-1", "--notes", "more"], &["heartbeat", "T-1"]]
    {
        fleet.by(1, "b", change).ok();
        fleet.by(0, "a", &["sync"]).ok();
        assert_eq!(record(&fleet), fleet.clones[0].tip("T-1"), "{change:?}");
    }
    prune(&fleet);
    fleet.remote.goes_away();
    fleet.by(0, "a", &["heartbeat", "T-1"]).fails(8, "claim-lost");
    assert_eq!(
        fleet.by(0, "a", &["claim", "T-1", "--offline"]).fails(3, "claim-held")["owner"],
        "b"
    );
}

#[test]
fn a_ref_that_was_set_back_here_is_behind_what_the_remote_was_seen_to_have() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1", "--status", "paused"]).ok();
    let old = fleet.remote.at(CLAIM);
    fleet.by(1, "b", &["reclaim", "T-1", "--note", "x"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    fs::remove_file(fleet.clones[0].path(".git/bus/log/_bus/claims/T-1.json")).unwrap();
    fleet.clones[0].git(&["update-ref", CLAIM, &old]);
    fleet.remote.goes_away();
    fleet.by(0, "a", &["heartbeat", "T-1"]).fails(8, "claim-lost");
    fleet.by(0, "a", &["claim", "T-1", "--offline"]).fails(3, "claim-held");
    fleet.remote.comes_back();
    fleet.by(0, "a", &["release", "T-1"]).fails(8, "claim-lost");
    fleet.assert_agreed("T-1");
}

#[test]
fn a_claim_that_was_lost_is_known_as_lost_if_all_of_its_refs_are_gone() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1", "--offline"]).ok();
    fleet.by(1, "b", &["claim", "T-1"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    prune(&fleet);
    for command in [&["heartbeat", "T-1"][..], &["release", "T-1"]] {
        let lost = fleet.by(0, "a", command).fails(8, "claim-lost");
        assert_eq!(lost["owner"], "b");
        assert!(lost["message"].as_str().unwrap().contains("claimed it first"), "{lost}");
    }
    fleet.by(0, "a", &["claim", "T-1"]).fails(3, "claim-held");
}

#[test]
fn a_release_that_was_made_while_the_refs_were_gone_is_sent() {
    for with_seen in [false, true] {
        let fleet = fleet();
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        let claimed = fleet.remote.at(CLAIM);
        prune(&fleet);
        if with_seen {
            fleet.clones[0].git(&["update-ref", SEEN, &claimed]);
        }
        fleet.by(0, "a", &["release", "T-1", "--offline"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        assert!(
            fleet.remote.git(&["rev-list", CLAIM]).contains(&claimed),
            "it goes on from what was there"
        );
        assert_eq!(fleet.clones[0].tip("T-1")["status"], "done", "with seen: {with_seen}");
        fleet.assert_agreed("T-1");
        fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
        fleet.by(0, "a", &["release", "T-1"]).ok();
    }
}

#[test]
fn a_remote_that_went_back_is_said_to_have_gone_back_and_is_told_again() {
    for forgets_all in [false, true] {
        let fleet = fleet();
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        let old = fleet.remote.at(CLAIM);
        fleet.by(0, "a", &["claim", "T-1", "--notes", "more"]).ok();
        fleet.by(1, "b", &["sync"]).ok();
        let now = fleet.remote.at(CLAIM);
        let set_back = || match forgets_all {
            true => drop(fleet.remote.git(&["update-ref", "-d", CLAIM])),
            false => drop(fleet.remote.git(&["update-ref", CLAIM, &old])),
        };
        set_back();
        fleet.by(1, "b", &["claim", "T-1"]).exits(3).says("went back").says("T-1");
        fleet.by(1, "b", &["sync"]).ok();
        assert_eq!(fleet.remote.at(CLAIM), now);
        set_back();
        fleet.by(0, "a", &["sync"]).ok().says("the remote `origin` went back");
        assert_eq!(fleet.remote.at(CLAIM), now);
        let silent = fleet.by(0, "a", &["sync"]).ok();
        assert!(!silent.stderr.contains("went back"), "{}", silent.transcript);
    }
}

#[test]
fn who_owned_a_task_before_the_remote_went_back_was_not_the_second() {
    for offline in [false, true] {
        let commands = [&["heartbeat", "T-1"][..], &["release", "T-1"], &["sync"]];
        for command in some_of(commands, 2, usize::from(offline)) {
            let fleet = fleet();
            if offline {
                fleet.by(0, "a", &["claim", "T-1", "--offline"]).ok();
                fleet.by(0, "a", &["sync"]).ok();
            } else {
                fleet.by(0, "a", &["claim", "T-1"]).ok();
            }
            fleet.remote.git(&["update-ref", "-d", CLAIM]);
            fleet.by(1, "b", &["claim", "T-1"]).ok();
            let ran = fleet.by(0, "a", command).run();
            assert!(ran.stderr.contains("went back"), "{}", ran.transcript);
            assert!(!ran.stderr.contains("first"), "{}", ran.transcript);
            let lost = fleet.by(0, "a", &["heartbeat", "T-1"]).fails(8, "claim-lost");
            assert!(!lost["message"].as_str().unwrap().contains("first"), "{lost}");
        }
    }
}
