//! `claim --next` that is killed in a fleet: run again, it gives the task that it took.

use std::collections::BTreeSet;
use std::fs;

use super::rig::Fleet;
use super::server::Transport;
use crate::harness::{Ran, some_of};

const NEXT: &[&str] = &["claim", "--next", "--json"];

fn fleet() -> Fleet {
    let fleet = Fleet::new(Transport::File, 2);
    for title in ["one", "two", "three"] {
        fleet.by(0, "boss", &["queue", "add", title]).ok();
    }
    fleet
}

/// The tasks that the remote has claims of.
fn taken(fleet: &Fleet) -> Vec<String> {
    let names = fleet.remote.git(&["for-each-ref", "--format=%(refname)", "refs/bus/claims"]);
    names.lines().map(|name| name["refs/bus/claims/".len()..].to_owned()).collect()
}

fn assert_one(fleet: &Fleet, rerun: &Ran, why: &str) {
    let task = rerun.json()["claim"]["task_id"].as_str().unwrap().to_owned();
    assert_eq!(taken(fleet), [task], "{why}: {}", rerun.transcript);
}

#[cfg(debug_assertions)]
#[test]
fn a_claim_of_the_next_task_that_dies_at_any_step_takes_one_task() {
    let steps = fleet();
    let file = steps.clones[0].beside("steps");
    steps.by(0, "a", NEXT).env("BUS_STEPS", file.to_str().unwrap()).ok();
    let mut steps: Vec<String> =
        fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect();
    let from = steps.iter().position(|step| step == "queue-seen").unwrap();
    let before: BTreeSet<String> = steps.drain(..from).collect();
    let at_all: BTreeSet<String> =
        steps.into_iter().filter(|step| !before.contains(step)).collect();
    assert!(at_all.contains("pushed"), "{at_all:?}");
    for step in some_of(at_all, 3, 1) {
        let fleet = fleet();
        let died = fleet.by(0, "a", NEXT).env("BUS_CRASH_AT", &step).run();
        assert_eq!(died.status, None, "{step} is never reached: {}", died.transcript);
        assert_one(&fleet, &fleet.by(0, "a", NEXT).ok(), &step);
    }
}

#[test]
fn a_claim_of_the_next_task_that_arrives_late_is_the_one_that_is_given() {
    // What was asked for first arrives before the second run asks, and after.
    for is_late in [false, true] {
        let fleet = fleet();
        fleet.remote.delays();
        let mut killed = fleet.by(0, "a", NEXT).start();
        fleet.remote.wait_for_push();
        killed.kill().unwrap();
        killed.wait().unwrap();
        fs::remove_file(fleet.remote.path("arrived")).unwrap();
        if !is_late {
            fleet
                .by(0, "boss", &["queue", "add", "urgent", "--priority", "critical"])
                .arg("--remote-timeout=500ms")
                .run();
        }
        let again = fleet.by(0, "a", NEXT).start();
        fleet.remote.wait_for_push();
        fleet.remote.go_on();
        let again = Ran::of(again);
        assert_eq!(again.status, Some(0), "{}", again.transcript);
        assert_one(&fleet, &again, "late");
    }
}
