//! Leases in a fleet: one table on the remote, and a claim and its paths in one push.

use super::rig::Fleet;
use super::server::Transport;
use crate::harness::Ran;

fn acquire(pattern: &str) -> [&str; 5] {
    ["lock", "acquire", pattern, "--objective", "x"]
}

fn fleet() -> Fleet {
    Fleet::new(Transport::File, 2)
}

#[test]
fn a_lease_of_one_clone_keeps_the_others_out() {
    let fleet = fleet();
    fleet.by(0, "a", &acquire("src/**")).ok();
    let error = fleet.by(1, "b", &acquire("src/app.rs")).fails(3, "lock-held");
    assert!(error["message"].as_str().unwrap().contains("a holds"), "{error}");
    fleet.by(0, "a", &["lock", "release", "--all"]).ok();
    fleet.by(1, "b", &acquire("src/app.rs")).ok();
    fleet.by(0, "a", &acquire("src/**")).fails(3, "lock-held");
}

#[test]
fn of_clones_that_ask_for_the_same_paths_at_once_one_gets_them() {
    let fleet = Fleet::new(Transport::File, 4);
    let children: Vec<_> = (0..4)
        .map(|clone| fleet.by(clone, &format!("a{clone}"), &acquire("src/**")).start())
        .collect();
    let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
    let won = ran.iter().filter(|ran| ran.status == Some(0)).count();
    assert_eq!(won, 1, "{:?}", ran.iter().map(|ran| &ran.transcript).collect::<Vec<_>>());
    assert!(
        ran.iter().all(|ran| matches!(ran.status, Some(0 | 3))),
        "{:?}",
        ran.iter().map(|ran| &ran.transcript).collect::<Vec<_>>()
    );
}

#[test]
fn a_claim_and_its_paths_come_together_or_not_at_all() {
    let fleet = fleet();
    fleet.by(0, "a", &acquire("src/**")).ok();
    fleet.by(1, "b", &["claim", "T-1", "--lock", "src/lexer/*"]).fails(3, "lock-held");
    assert!(!fleet.remote.refs().contains("refs/bus/claims/T-1"), "{}", fleet.remote.refs());
    fleet.by(1, "b", &["claim", "T-1", "--lock", "docs/**"]).ok();
    fleet.by(0, "a", &acquire("docs/x.md")).fails(3, "lock-held");
    fleet.by(1, "b", &["release", "T-1"]).ok();
    fleet.by(0, "a", &acquire("docs/x.md")).ok();
}

#[test]
fn what_is_not_published_frees_nobodys_paths() {
    let fleet = fleet();
    fleet.by(1, "b", &["claim", "T-1", "--lock", "src/**"]).ok();
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(0, "boss", &["release", "T-1", "--force", "--note", "x", "--offline"]).ok();
    fleet.by(0, "a", &acquire("src/**")).fails(3, "lock-held");
    fleet.by(1, "b", &["lock", "renew"]).ok();
}

#[test]
fn a_table_that_a_clone_has_lost_is_not_written_over_the_fleets() {
    let commands: [&[&str]; 2] = [&["claim", "T-1", "--lock", "docs/**"], &acquire("docs/**")];
    for command in commands {
        let fleet = fleet();
        fleet.by(1, "b", &acquire("src/**")).ok();
        fleet.by(0, "a", &["sync"]).ok();
        fleet.clones[0].git(&["update-ref", "-d", "refs/bus/locks"]);
        fleet.by(0, "a", command).ok();
        fleet.by(1, "b", &["lock", "renew"]).ok();
        fleet.by(0, "c", &acquire("src/x")).fails(3, "lock-held");
    }
}

#[test]
fn a_table_that_means_nothing_is_not_taken_and_goes_when_the_remote_is_mended() {
    let fleet = fleet();
    fleet.by(1, "b", &acquire("src/**")).ok();
    let good = fleet.remote.at("refs/bus/locks");
    let tree = fleet.remote.git(&["log", "-1", "--format=%T", &good]);
    let author = ["-c", "user.name=x", "-c", "user.email=x@example.invalid"];
    let junk = fleet
        .remote
        .git(&[&author[..], &["commit-tree", tree.trim(), "-p", &good, "-m", "junk"]].concat());
    fleet.remote.git(&["update-ref", "refs/bus/locks", junk.trim()]);
    fleet.by(0, "a", &acquire("docs/**")).fails(5, "malformed-record");
    let synced = fleet.by(0, "a", &["sync", "--json"]).run().json();
    assert_eq!(synced["faults"].as_array().unwrap().len(), 1, "{synced}");
    fleet.remote.git(&["update-ref", "refs/bus/locks", &good]);
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(0, "a", &acquire("docs/**")).ok();
    fleet.by(0, "a", &acquire("src/x")).fails(3, "lock-held");
}

#[test]
fn a_release_that_is_still_under_way_takes_nothing_that_was_asked_for_again() {
    // A server goes on when its client is gone.
    let fleet = Fleet::new(Transport::Daemon, 2);
    fleet.by(0, "a", &acquire("src/**")).ok();
    fleet.remote.delays();
    let released =
        fleet.by(0, "a", &["lock", "release", "--all", "--remote-timeout", "700ms"]).run();
    assert_eq!(released.status, Some(7), "{}", released.transcript);
    fleet.remote.hook("pre-receive", "exit 0\n");
    fleet.by(0, "a", &acquire("src/**")).ok();
    fleet.remote.go_on();
    fleet.by(1, "b", &acquire("src/x")).fails(3, "lock-held");
    fleet.by(0, "a", &["lock", "renew"]).ok();
}
