//! Commands that wait look at the fleet's remote by themselves.

use std::io::{BufRead, BufReader};

use super::rig::Fleet;
use super::server::Transport;
use crate::harness::Ran;

#[test]
fn a_watcher_shows_what_another_clone_has_published() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["event", "log", "--event", "note", "--summary", "from afar"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    let mut watcher =
        fleet.by(1, "b", &["watch", "--follow", "--remote", "--window-hours", "0"]).start();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("from afar"));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    assert!(line.is_some_and(|line| line.contains(" :: clone=")));
}

#[test]
fn a_watcher_says_that_the_remote_is_away_and_goes_on() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.remote.goes_away();
    let mut watcher =
        fleet.by(1, "b", &["watch", "--follow", "--remote", "--window-hours", "0"]).start();
    let mut lines = BufReader::new(watcher.stderr.take().unwrap()).lines().map(Result::unwrap);
    let warned = lines.find(|line| line.contains("warning: ") && line.contains("`origin`"));
    fleet.by(1, "b", &["event", "log", "--event", "note", "--summary", "still here"]).ok();
    let mut events = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    let shown = events.find(|line| line.contains("still here"));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    assert!(warned.is_some() && shown.is_some());
}

#[test]
fn who_waits_for_a_task_learns_what_another_clone_did() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(1, "b", &["wait", "T-1", "--until", "claimed", "--timeout", "60s"]).ok();
    fleet.by(0, "a", &["release", "T-1", "--status", "released"]).ok();
    fleet.by(1, "b", &["claim", "T-1", "--wait", "--timeout", "60s"]).ok();
    fleet.assert_agreed("T-1");
}

#[test]
fn one_look_serves_all_that_wait_in_a_clone() {
    let fleet = Fleet::new(Transport::Daemon, 2);
    fleet.by(1, "b", &["sync"]).ok();
    fleet.remote.server.calls();
    let wait =
        || fleet.by(1, "b", &["wait", "T-1", "--until", "claimed", "--timeout", "1s"]).start();
    let children: Vec<_> = (0..5).map(|_| wait()).collect();
    for child in children {
        assert_eq!(Ran::of(child).status, Some(6));
    }
    assert_eq!(fleet.remote.server.calls(), 1);
}
