//! Two clones with one id, as a container that was started twice has them: of two only one may own
//! a task.

use std::fs;
use std::path::PathBuf;

use super::kept::{copy, id_of};
use super::rig::Fleet;
use super::server::Transport;

/// The first clone of a fleet, and a copy of it that takes turns with it at its place: path and
/// inode are the same.
struct Twins {
    fleet: Fleet,
    other: PathBuf,
}

impl Twins {
    /// Both have T-1, by the agent `a`; `before` is done before the copy is made.
    fn new(before: impl FnOnce(&Fleet)) -> Self {
        let fleet = Fleet::new(Transport::File, 2);
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        before(&fleet);
        let other = fleet.clones[0].beside("twin");
        copy(&fleet.clones[0].path(".git"), &other);
        Self { fleet, other }
    }

    /// Puts the other one in the place of the one that is there.
    fn switch(&self) {
        let (git, aside) =
            (self.fleet.clones[0].path(".git"), self.fleet.clones[0].beside("aside"));
        copy(&git, &aside);
        for entry in fs::read_dir(&git).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap()
            } else {
                fs::remove_file(path).unwrap()
            }
        }
        copy(&self.other, &git);
        fs::remove_dir_all(&self.other).unwrap();
        fs::rename(aside, &self.other).unwrap();
    }
}

/// What asks for a task that one owns already.
const CLAIM: &[&str] = &["claim", "T-1"];
const HEARTBEAT: &[&str] = &["heartbeat", "T-1"];
const RECLAIM: &[&str] = &["reclaim", "T-1", "--note", "x"];
const NOTES: &[&str] = &["claim", "T-1", "--notes", "x"];

/// One asks, then its twin: only the first owns the task.
fn assert_one_owner(first: &[&str], second: &[&str]) {
    let twins = Twins::new(|_| ());
    let old = id_of(&twins.fleet, 0);
    twins.fleet.by(0, "a", first).ok();
    twins.switch();
    let ran = twins
        .fleet
        .by(0, "a", second)
        .exits(3)
        .says(&format!("goes on with this clone's id {old}"));
    assert!(ran.stderr.contains("--here"), "{}", ran.transcript);
    assert_ne!(id_of(&twins.fleet, 0), old);
    twins.fleet.by(0, "a", first).exits(3);
    twins.switch();
    twins.fleet.by(0, "a", second).ok();
    twins.fleet.assert_agreed("T-1");
}

#[test]
fn of_two_clones_with_one_id_that_claim_again_only_one_owns_the_task() {
    assert_one_owner(CLAIM, CLAIM);
}

#[test]
fn of_two_clones_with_one_id_that_claim_with_notes_only_one_owns_the_task() {
    assert_one_owner(NOTES, NOTES);
}

#[test]
fn of_two_clones_with_one_id_that_give_a_heartbeat_only_one_owns_the_task() {
    assert_one_owner(HEARTBEAT, HEARTBEAT);
}

#[test]
fn of_two_clones_with_one_id_that_reclaim_only_one_owns_the_task() {
    assert_one_owner(RECLAIM, RECLAIM);
}

#[test]
fn a_heartbeat_of_a_twin_comes_too_late_after_a_claim() {
    assert_one_owner(CLAIM, HEARTBEAT);
}

#[test]
fn a_claim_of_a_twin_comes_too_late_after_a_heartbeat() {
    assert_one_owner(HEARTBEAT, CLAIM);
}

#[test]
fn a_claim_with_notes_of_a_twin_comes_too_late_after_a_reclaim() {
    assert_one_owner(RECLAIM, NOTES);
}

#[test]
fn a_reclaim_of_a_twin_comes_too_late_after_a_claim_with_notes() {
    assert_one_owner(NOTES, RECLAIM);
}

#[cfg(debug_assertions)]
#[test]
fn a_commit_of_the_log_that_both_twins_have_proves_nothing() {
    let died = |fleet: &Fleet| {
        let died = fleet.by(0, "a", &["claim", "T-1"]).env("BUS_CRASH_AT", "log-published").run();
        assert_eq!(died.status, None, "{}", died.transcript);
    };
    let twins = Twins::new(died);
    twins.fleet.by(0, "a", &["claim", "T-1"]).ok();
    twins.switch();
    twins.fleet.by(0, "a", &["claim", "T-1"]).fails(3, "claim-held-elsewhere");
}

/// What a twin does under the id that it then gives up is not sent: the remote has the claim as it
/// was.
fn assert_not_sent(change: &[&str]) {
    let twins = Twins::new(|_| ());
    twins.switch();
    if change == HEARTBEAT {
        twins.fleet.remote.goes_away();
        twins.fleet.by(0, "a", change).run();
        twins.fleet.remote.comes_back();
    } else {
        twins.fleet.by(0, "a", change).ok();
    }
    twins.switch();
    // The claim stays as it was: what is not sent follows it.
    twins.fleet.by(0, "a", &["claim", "T-2"]).ok();
    twins.switch();
    twins.fleet.by(0, "a", &["sync"]).run().says("goes on with this clone's id");
    twins.fleet.by(0, "a", &["claim", "T-1"]).fails(3, "claim-held-elsewhere");
    let tip = twins.fleet.remote.git(&["log", "-1", "--format=%s", "refs/bus/claims/T-1"]);
    assert_eq!(tip.trim(), "claim T-1 by a", "{change:?}");
    twins.switch();
    twins.fleet.by(0, "a", &["claim", "T-1"]).ok();
    twins.fleet.by(0, "a", &["release", "T-1"]).ok();
}

#[test]
fn a_release_under_an_id_that_is_given_up_is_not_sent() {
    assert_not_sent(&["release", "T-1", "--offline"]);
}

#[test]
fn notes_under_an_id_that_is_given_up_are_not_sent() {
    assert_not_sent(&["claim", "T-1", "--offline", "--notes", "of the twin"]);
}

#[test]
fn a_heartbeat_under_an_id_that_is_given_up_is_not_sent() {
    assert_not_sent(HEARTBEAT);
}

/// Kills a twin at `step`, as it gives up its id: run again, it has a new one, and the other one
/// owns the task.
#[cfg(debug_assertions)]
fn assert_new_id_after(step: &str) {
    let twins = Twins::new(|_| ());
    let old = id_of(&twins.fleet, 0);
    twins.fleet.by(0, "a", &["claim", "T-1"]).ok();
    twins.switch();
    twins.fleet.by(0, "a", &["release", "T-1", "--offline"]).ok();
    let died = twins.fleet.by(0, "a", &["claim", "T-1"]).env("BUS_CRASH_AT", step).run();
    assert_eq!(died.status, None, "{step} is never reached: {}", died.transcript);
    let has_died_before = id_of(&twins.fleet, 0) == old;
    assert_eq!(has_died_before, step != "own-log-adopted", "{step}");
    let ran = twins.fleet.by(0, "a", &["claim", "T-1"]).exits(3);
    assert_eq!(ran.stderr.contains("goes on with"), has_died_before, "{}", ran.transcript);
    twins.fleet.by(0, "a", &["sync"]).ok();
    twins.switch();
    twins.fleet.by(0, "a", &["claim", "T-1"]).ok();
    twins.fleet.assert_agreed("T-1");
}

#[cfg(debug_assertions)]
#[test]
fn a_twin_that_dies_once_it_has_given_up_what_it_had_not_sent_takes_a_new_id() {
    assert_new_id_after("unsent-given-up");
}

#[cfg(debug_assertions)]
#[test]
fn a_twin_that_dies_once_it_has_left_its_log_takes_a_new_id() {
    assert_new_id_after("own-log-left");
}

#[cfg(debug_assertions)]
#[test]
fn a_twin_that_dies_once_it_has_its_new_id_keeps_it() {
    assert_new_id_after("own-log-adopted");
}
