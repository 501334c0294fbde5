//! `bus deinit --purge-remote`: what the fleet's remote has of the bus is listed with its owners,
//! and goes if nobody needs it.

use std::path::{Path, PathBuf};

use super::harness::Repo;

/// A clone that has founded a fleet, another one that has joined, and their remote.
fn fleet() -> (Repo, Repo, PathBuf) {
    let one = Repo::bare_of_bus();
    let remote = one.beside("remote.git");
    let url = remote.to_str().unwrap().to_owned();
    one.git(&["init", "--quiet", "--bare", "--initial-branch=main", &url]);
    one.git(&["remote", "add", "origin", &url]);
    one.bus(&["init", "--remote", "origin"]).ok();
    one.commit_all("bus");
    one.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    let other = Repo::clone_of(&url);
    (one, other, remote)
}

fn refs(repo: &Repo, remote: &Path) -> Vec<String> {
    let all = repo.git_in(remote, &["for-each-ref", "--format=%(refname)", "refs/bus"]);
    all.lines().map(str::to_owned).collect()
}

const LIST: [&str; 2] = ["deinit", "--purge-remote"];
const REMOVE: [&str; 3] = ["deinit", "--purge-remote", "--yes"];

#[test]
fn it_lists_all_refs_with_their_owners_and_removes_them_if_it_is_told_so() {
    let (one, other, remote) = fleet();
    one.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
    one.by("a", &["queue", "add", "x"]).ok();
    for command in [&LIST[..], &REMOVE] {
        let error = one.bus(command).fails(3, "bus-in-use");
        assert!(error["message"].as_str().unwrap().contains("T-1"), "{error}");
    }
    one.by("a", &["release", "T-1"]).ok();
    other.by("b", &["claim", "T-2"]).ok();
    other.by("b", &["release", "T-2", "--status", "released"]).ok();
    other.bus(&["sync"]).ok();
    let before = refs(&one, &remote);
    assert!(
        before.iter().filter(|name| name.starts_with("refs/bus/log/")).count() == 2,
        "{before:?}"
    );
    let listed = one.bus(&LIST).ok().says("`--purge-remote --yes` does it").stdout;
    for name in &before {
        assert!(listed.contains(&format!("would remove {name}")), "{name}\n{listed}");
    }
    assert!(listed.contains("would remove refs/bus/claims/T-1 (a, done)\n"), "{listed}");
    assert!(listed.contains("would remove refs/bus/claims/T-2 (b, released)\n"), "{listed}");
    assert_eq!(refs(&one, &remote), before, "nothing is removed");
    let removed = one.bus(&[&REMOVE[..], &["--json"]].concat()).ok().json();
    assert_eq!(
        (removed["remote"]["items"].as_array().unwrap().len(), &removed["remote"]["done"]),
        (before.len(), &true.into())
    );
    assert_eq!(refs(&one, &remote), [""; 0]);
    // Branches stay, and so does what each clone has.
    assert_eq!(one.git_in(&remote, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    assert_eq!(one.bus(&["event", "list"]).ok().stdout.matches("task=T-1").count(), 4);
    other.by("a", &["event", "list", "--task", "T-2"]).ok();
}

#[test]
fn another_clones_live_claim_and_a_log_that_is_not_here_stop_it() {
    let (one, other, remote) = fleet();
    other.by("b", &["claim", "T-2"]).ok();
    let error = one.bus(&REMOVE).fails(3, "bus-in-use");
    assert!(error["message"].as_str().unwrap().contains("T-2"), "{error}");
    other.by("b", &["release", "T-2"]).ok();
    // A log that no clone can take in is somebody's all the same.
    let tree = one.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let foreign = one.git(&["commit-tree", "-m", "x", tree.trim()]);
    one.git(&[
        "push",
        "--quiet",
        remote.to_str().unwrap(),
        &format!("{}:refs/bus/log/zzzzzzzzzzzz", foreign.trim()),
    ]);
    let before = refs(&one, &remote);
    let error = one.bus(&REMOVE).fails(3, "bus-in-use");
    assert!(error["message"].as_str().unwrap().contains("zzzzzzzzzzzz"), "{error}");
    assert_eq!(refs(&one, &remote), before);
}

#[test]
fn without_a_fleet_or_its_remote_nothing_is_done() {
    let repo = Repo::new();
    for command in [&LIST[..], &REMOVE] {
        repo.bus(command).fails(4, "no-fleet");
    }
    let (one, _, remote) = fleet();
    std::fs::rename(&remote, one.beside("away.git")).unwrap();
    one.bus(&REMOVE).exits(7);
}
