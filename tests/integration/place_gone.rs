//! Claims and leases whose worktree is gone: everybody says so, their owner gets them back, and
//! others may take them at once, with a note.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::harness::{Kept, Repo};

/// A claim and a lease of `a` in a linked worktree, and the worktree.
fn held(kept: Kept) -> (Repo, PathBuf, String) {
    let repo = Repo::keeping(kept);
    let tree = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).within(&tree).ok();
    let acquire = ["lock", "acquire", "src/**", "--objective", "o", "--json"];
    let lease = repo.by("a", &acquire).within(&tree).ok().json()["lease"]["lock_id"].clone();
    (repo, tree, lease.as_str().unwrap().to_owned())
}

fn states(repo: &Repo) -> (Value, Value) {
    let status = repo.bus(&["status", "--json"]).ok().json();
    (status["claims"][0]["state"].clone(), status["locks"][0]["state"].clone())
}

#[test]
fn everybody_says_that_the_worktree_is_gone_and_others_may_take_over() {
    for (kept, way) in Kept::ALL.into_iter().zip(["removed", "deleted", "pruned"]) {
        let (repo, tree, lease) = held(kept);
        assert_eq!(states(&repo), (json!("active"), json!("live")));
        repo.by("b", &["reclaim", "T-1", "--note", "x"]).fails(3, "claim-alive");
        match way {
            "removed" => drop(repo.git(&["worktree", "remove", "--force", tree.to_str().unwrap()])),
            _ => fs::remove_dir_all(&tree).unwrap(),
        }
        if way == "pruned" {
            repo.git(&["worktree", "prune"]);
        }
        assert_eq!(states(&repo), (json!("gone"), json!("gone")), "{way}");
        let refusal = repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
        assert_eq!(refusal["reclaimable"], "gone");
        assert!(refusal["hint"].as_str().unwrap().starts_with("its worktree is gone: "));
        let own = repo.by("a", &["release", "T-1"]).fails(3, "claim-held-elsewhere");
        assert!(own["message"].as_str().unwrap().contains("`wt`, which is gone"), "{own}");
        assert!(own["hint"].as_str().unwrap().contains("bus claim T-1 --here"), "{own}");
        let doctor = repo.bus(&["doctor"]).exits(1).stdout;
        assert!(doctor.contains("found place-gone: refs/bus/claims/T-1"), "{doctor}");
        let report = repo.bus(&["report", "--stdout"]).ok().stdout;
        assert!(report.contains("a's worktree is gone"), "{report}");
        assert!(report.contains("from a worktree that is gone"), "{report}");
        let acquire = ["lock", "acquire", "src/a", "--objective", "o"];
        let refusal = repo.by("b", &acquire).fails(3, "lock-held");
        assert!(refusal["hint"].as_str().unwrap().contains("its worktree is gone"), "{refusal}");
        repo.by("b", &["lock", "reclaim", &lease, "--note", "gone"]).ok();
        if way == "removed" {
            repo.by("a", &["claim", "T-1", "--here"]).ok();
            repo.by("b", &["reclaim", "T-1", "--note", "x"]).fails(3, "claim-alive");
        } else {
            repo.by("b", &["reclaim", "T-1", "--note", "its worktree is gone"]).ok();
            assert_eq!(repo.claim("T-1")["agent_id"], "b");
        }
    }
}

#[test]
fn what_may_be_on_a_disk_that_is_not_mounted_is_not_gone() {
    let (repo, tree, _) = held(Kept::Untracked);
    // Locked, as git wants it for such a disk.
    repo.git(&["worktree", "lock", tree.to_str().unwrap()]);
    let aside = repo.beside("aside");
    fs::rename(&tree, &aside).unwrap();
    assert_eq!(states(&repo), (json!("active"), json!("live")));
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).fails(3, "claim-alive");
    fs::rename(&aside, &tree).unwrap();
    repo.git(&["worktree", "unlock", tree.to_str().unwrap()]);
    // The folder above it is not there either.
    let deep = repo.beside("disk/wt2");
    repo.git(&["worktree", "add", "--quiet", "-b", "wt2", deep.to_str().unwrap()]);
    repo.by("a", &["claim", "T-2"]).within(&deep).ok();
    fs::remove_dir_all(repo.beside("disk")).unwrap();
    repo.by("b", &["reclaim", "T-2", "--note", "x"]).fails(3, "claim-alive");
    fs::create_dir(repo.beside("disk")).unwrap();
    repo.by("b", &["reclaim", "T-2", "--note", "x"]).ok();
}
