//! Ended tasks leave the remote's list of refs, and nobody can bring them back to life.

use super::rig::{Fleet, until};
use super::server::Transport;
use crate::harness::Ran;

/// A fleet of two in which `a` has finished T-1, and only the first clone has heard of it.
fn finished() -> Fleet {
    let fleet = Fleet::new(Transport::File, 2);
    let work = &fleet.clones[0];
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    work.git(&["checkout", "--quiet", "-b", "agent/a/t-1"]);
    work.write("work.txt", "done");
    work.commit_all("work");
    fleet.by(0, "a", &["release", "T-1"]).ok();
    work.commit_all("done");
    work.git(&["checkout", "--quiet", "main"]);
    work.git(&["merge", "--quiet", "--no-edit", "agent/a/t-1"]);
    work.git(&["push", "--quiet", "origin", "main"]);
    fleet
}

#[test]
fn a_task_that_was_put_away_is_not_begun_anew_by_who_was_away() {
    for offline in [false, true] {
        let fleet = finished();
        if offline {
            fleet.by(1, "b", &["claim", "T-1", "--offline"]).ok();
        }
        fleet.by(0, "boss", &["gc", "--apply"]).ok();
        assert!(!fleet.remote.refs().contains("refs/bus/claims/T-1"), "{}", fleet.remote.refs());
        if offline {
            fleet.by(1, "b", &["sync"]).run();
            fleet.by(1, "b", &["heartbeat", "T-1"]).fails(8, "claim-lost");
        }
        fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
        assert!(!fleet.remote.refs().contains("refs/bus/claims/T-1"), "{}", fleet.remote.refs());
        let again = fleet.by(1, "b", &["claim", "T-1", "--reopen", "--json"]).ok().json();
        assert!(again["claim"]["revision"].as_u64().unwrap() > 2, "{again}");
        fleet.assert_agreed("T-1");
    }
}

#[test]
fn nothing_is_put_away_before_it_is_asked_for_and_nothing_that_lives() {
    let fleet = finished();
    fleet.by(0, "a", &["claim", "LIVE-1"]).ok();
    let before = fleet.remote.refs();
    fleet.by(0, "boss", &["gc"]).ok();
    assert_eq!(fleet.remote.refs(), before);
    fleet.by(0, "boss", &["gc", "--apply"]).ok();
    assert!(fleet.remote.refs().contains("refs/bus/claims/LIVE-1"));
}

#[cfg(debug_assertions)]
#[test]
fn a_gc_that_dies_is_finished_by_the_next_and_loses_nothing() {
    let fleet = finished();
    let died = fleet.by(0, "boss", &["gc", "--apply"]).env("BUS_CRASH_AT", "archived").run();
    assert_eq!(died.status, None, "{}", died.transcript);
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
    fleet.by(0, "boss", &["gc", "--apply"]).ok();
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
}

#[cfg(debug_assertions)]
#[test]
fn a_gc_that_meets_another_push_tries_again() {
    let fleet = finished();
    let flag = fleet.clones[0].beside("flag");
    fleet.remote.locks("refs/bus/archive");
    let pause = [("BUS_PAUSE_AT", "archived"), ("BUS_PAUSE_FILE", flag.to_str().unwrap())];
    let gc = pause
        .iter()
        .fold(fleet.by(0, "boss", &["gc", "--apply"]), |bus, (name, value)| bus.env(name, value))
        .start();
    until(|| flag.exists());
    fleet.remote.unlocks("refs/bus/archive");
    std::fs::remove_file(&flag).unwrap();
    let ran = Ran::of(gc);
    assert_eq!(ran.status, Some(0), "{}", ran.transcript);
    assert!(!fleet.remote.refs().contains("refs/bus/claims/T-1"), "{}", fleet.remote.refs());
}
