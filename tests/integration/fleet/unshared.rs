//! What a session is told of remotes: that other clones may do the same tasks, and that git may
//! take the bus's refs.

use serde_json::Value;

use super::rig::Fleet;
use super::server::Transport;
use crate::harness::Repo;

#[test]
fn a_bus_without_a_fleet_in_a_clone_that_has_a_remote_says_what_that_means() {
    let repo = Repo::new();
    let start =
        |more: &[&str]| repo.by("a", &[&["session", "start", "--no-fetch"], more].concat()).ok();
    assert!(!start(&[]).stdout.contains("fleet"));
    assert_eq!(start(&["--json"]).json()["no_fleet"], Value::Null);
    repo.git(&["remote", "add", "upstream", "ssh://nowhere.invalid/x"]);
    let told = start(&[]).stdout;
    assert!(told.contains("other clones of `upstream` can claim the same tasks"), "{told}");
    assert!(told.contains("`bus init --remote upstream`"), "{told}");
    let told = start(&["--json"]).json()["no_fleet"].clone();
    assert_eq!(
        (&told["remote"], &told["command"]),
        (&"upstream".into(), &"bus init --remote upstream".into())
    );
    let fleet = Fleet::new(Transport::File, 2);
    for (clone, more) in [(0, &[][..]), (1, &["--no-fetch"]), (1, &[])] {
        let told =
            fleet.by(clone, "a", &[&["session", "start", "--json"], more].concat()).ok().json();
        assert_eq!(told["no_fleet"], Value::Null, "{clone} {more:?}");
    }
}

#[test]
fn a_refspec_that_takes_the_refs_of_the_bus_is_told_at_the_start() {
    let repo = Repo::new();
    repo.git(&["remote", "add", "origin", "ssh://nowhere.invalid/x"]);
    let start =
        |more: &[&str]| repo.by("a", &[&["session", "start", "--no-fetch"], more].concat()).ok();
    assert_eq!(start(&["--json"]).json()["greedy_remotes"], Value::Null);
    repo.git(&["config", "--add", "remote.origin.fetch", "+refs/*:refs/*"]);
    start(&[]).says("`remote.origin.fetch` is `+refs/*:refs/*`");
    let told = start(&["--json"]).json()["greedy_remotes"].clone();
    assert_eq!(
        (&told[0]["key"], &told[0]["value"]),
        (&"remote.origin.fetch".into(), &"+refs/*:refs/*".into())
    );
}
