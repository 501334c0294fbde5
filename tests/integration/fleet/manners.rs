//! What the fleet does not do to its users: no hook of theirs runs, nothing of theirs moves, and
//! the remote is called no more often than needed.

use std::fs;

use super::rig::{Fleet, Remote, program};
use super::server::Transport;
use crate::harness::Repo;

#[test]
fn two_connections_are_enough_for_a_claim_and_one_more_sends_what_a_release_has_logged() {
    let fleet = Fleet::new(Transport::Daemon, 2);
    fleet.by(0, "a", &["sync"]).ok();
    for (command, calls) in [(&["claim", "T-1"][..], 2), (&["release", "T-1"], 3)] {
        fleet.remote.server.calls();
        fleet.by(0, "a", command).ok();
        assert_eq!(fleet.remote.server.calls(), calls, "{command:?}: push, and look again");
    }
}

#[test]
fn git_itself_says_that_a_claim_talks_twice() {
    let fleet = Fleet::new(Transport::File, 1);
    let trace = fleet.clones[0].beside("trace");
    fleet.by(0, "a", &["claim", "T-1"]).env("GIT_TRACE", trace.to_str().unwrap()).ok();
    let text = fs::read_to_string(&trace).unwrap();
    let started = |program: &str| {
        text.lines().filter(|line| line.contains(&format!("built-in: git {program} "))).count()
    };
    let talks = (started("receive-pack"), started("upload-pack"));
    assert_eq!(talks, (1, 1), "a push, and a look after it:\n{text}");
}

#[test]
fn no_hook_of_the_users_runs_and_nothing_of_theirs_moves() {
    for transport in Transport::some(1) {
        let fleet = Fleet::new(transport, 2);
        let repo = &fleet.clones[0];
        fleet.by(1, "b", &["claim", "T-2"]).ok();
        repo.git(&["fetch", "--quiet", "origin"]);
        for hook in ["pre-push", "reference-transaction", "post-update", "pre-auto-gc"] {
            program(
                &repo.path(&format!(".git/hooks/{hook}")),
                &format!(": > '{}'\n", repo.beside("ran").display()),
            );
        }
        let users = || {
            (
                repo.read(".git/FETCH_HEAD"),
                repo.git(&["for-each-ref", "refs/heads", "refs/remotes", "refs/tags"]),
            )
        };
        fs::write(repo.path(".git/index.lock"), "").unwrap();
        fs::write(repo.path(".git/config.lock"), "").unwrap();
        let before = users();
        for command in [
            &["claim", "T-1"][..],
            &["release", "T-1"],
            &["sync"],
            &["claim", "T-3", "--offline"],
            &["sync"],
        ] {
            fleet.by(0, "a", command).ok();
        }
        fleet.by(0, "a", &["claim", "T-2"]).fails(3, "claim-held");
        fs::remove_file(repo.path(".git/index.lock")).unwrap();
        fs::remove_file(repo.path(".git/config.lock")).unwrap();
        assert!(!repo.beside("ran").exists(), "{transport:?}: a hook ran");
        assert_eq!(users(), before, "{transport:?}");
    }
}

/// What hosts do that take only branches, which may neither be rewound nor deleted.
fn strict_host(transport: Transport) -> Remote {
    let remote = Remote::new(transport);
    remote.git(&["config", "receive.denyNonFastForwards", "true"]);
    remote.git(&["config", "receive.denyDeletes", "true"]);
    remote.hook("update", "case $1 in refs/heads/*) exit 0;; esac\nexit 1\n");
    remote
}

#[test]
fn a_host_that_takes_only_branches_serves_a_fleet() {
    for transport in Transport::some(2) {
        let fleet = Fleet::founded(strict_host(transport), 3, &["--prefix", "refs/heads/bus/"]);
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
        fleet.by(0, "a", &["release", "T-1", "--status", "released"]).ok();
        fleet.by(1, "b", &["claim", "T-1"]).ok();
        fleet.by(2, "c", &["claim", "T-2", "--offline"]).ok();
        fleet.by(2, "c", &["sync"]).ok();
        fleet.by(0, "a", &["claim", "T-2"]).fails(3, "claim-held");
        let refs = fleet.remote.refs();
        assert!(
            refs.contains("refs/heads/bus/claims/T-1") && !refs.contains("refs/bus/"),
            "{refs}"
        );
        let clone = Repo::clone_of(&fleet.remote.url());
        clone.by("d", &["claim", "T-2"]).fails(3, "claim-held");
    }
}

#[test]
fn a_host_that_takes_only_branches_is_not_asked_for_more() {
    let repo = Repo::new();
    let remote = strict_host(Transport::File);
    repo.git(&["remote", "add", "origin", &remote.url()]);
    let before = repo.state();
    let error = repo.bus(&["init", "--remote", "origin"]).fails(7, "remote-refused");
    assert!(error["hint"].as_str().unwrap().contains("--prefix refs/heads/bus/"), "{error}");
    assert_eq!((repo.state(), remote.refs()), (before, String::new()));
}

#[test]
fn a_worktree_on_an_older_branch_is_in_the_fleet_all_the_same() {
    let fleet = Fleet::new(Transport::File, 2);
    for clone in &fleet.clones {
        let old = clone.git(&["rev-list", "--max-parents=0", "main"]).trim().to_owned();
        clone.git(&["branch", "old", &old]);
        let place = clone.beside("old");
        clone.git(&["worktree", "add", "--quiet", place.to_str().unwrap(), "old"]);
    }
    fleet.by(1, "b", &["claim", "T-1"]).within(&fleet.clones[1].beside("old")).ok();
    assert!(!fleet.remote.at("refs/bus/claims/T-1").is_empty());
    fleet
        .by(0, "a", &["claim", "T-1"])
        .within(&fleet.clones[0].beside("old"))
        .fails(3, "claim-held");
}

#[test]
fn a_clone_that_has_only_the_older_branch_is_in_the_fleet_all_the_same() {
    let fleet = Fleet::new(Transport::File, 1);
    let clone = Repo::clone_of(&fleet.remote.url());
    clone.git(&["checkout", "--quiet", "-b", "old", "main~1"]);
    assert!(!clone.read("_bus/config.toml").contains("\n[fleet]"));
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    clone.by("b", &["claim", "T-1"]).fails(3, "claim-held");
}

#[test]
fn an_unreadable_ref_below_our_prefix_breaks_nobodys_fetch() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(1, "b", &["sync"]).ok();
    let junk = fleet.remote.git(&["rev-parse", "refs/heads/main"]).trim().to_owned();
    fleet.remote.git(&["update-ref", "refs/bus/claims/JUNK-1", &junk]);
    fleet.by(1, "b", &["sync"]).run();
    fleet.clones[1].git(&["fetch", "--quiet", "origin"]);
    fleet.by(1, "b", &["claim", "T-2"]).ok();
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
    fleet.by(1, "b", &["claim", "JUNK-1"]).exits(5);
}
