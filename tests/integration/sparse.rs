//! Sparse worktrees: the validator judges what the index has, and the policy holds although it is
//! not checked out.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness::{Kept, Repo};

/// A repository with a task, and a plan whose receipts are in and out of the bus's folders.
fn used(kept: Kept) -> Repo {
    let repo = Repo::keeping(kept);
    for name in ["src/a", "docs/a", "logs/run.txt", "_report/agent/a/T-1/test.txt"] {
        repo.write(name, "x\n");
    }
    repo.by("boss", &["queue", "add", "one"]).ok();
    repo.by("a", &["plan", "new", "p", "--summary", "s", "--step", "S1:x"]).ok();
    let receipts = ["logs/run.txt", "_report/agent/a/T-1/test.txt"];
    repo.by(
        "a",
        &[&["plan", "step", "p", "S1", "--status", "done", "--receipt"], &receipts[..]].concat(),
    )
    .ok();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1"]).ok();
    repo.commit_all("used");
    repo
}

/// A worktree on `agent/a/x` that has nothing but `src`, by the options of `git sparse-checkout`.
fn sparse(repo: &Repo, options: &[&str]) -> PathBuf {
    let tree = repo.beside("sparse");
    let add = ["worktree", "add", "--quiet", "--no-checkout", "-b", "agent/a/x"];
    repo.git(&[&add[..], &[tree.to_str().unwrap()]].concat());
    repo.git_in(&tree, &[&["sparse-checkout", "set"], options, &["src"]].concat());
    repo.git_in(&tree, &["checkout", "--quiet"]);
    assert!(!tree.join("queue").exists() && !tree.join("_bus").exists());
    tree
}

fn findings(repo: &Repo, tree: &Path) -> Vec<String> {
    let report = repo.bus(&["validate", "--base", "main", "--json"]).within(tree).run().json();
    let found = report["findings"].as_array().unwrap_or_else(|| panic!("{report}"));
    found.iter().map(|finding| format!("{} {}", finding["rule"], finding["path"])).collect()
}

const WAYS: [&[&str]; 3] = [&["--cone"], &["--cone", "--sparse-index"], &["--no-cone"]];

#[test]
fn an_untouched_sparse_worktree_is_sound() {
    for (kept, way) in Kept::ALL.into_iter().zip(WAYS) {
        let repo = used(kept);
        assert_eq!(findings(&repo, &repo.root()), [""; 0], "{kept:?}");
        let tree = sparse(&repo, way);
        repo.by("a", &["claim", "T-2"]).within(&tree).ok();
        fs::write(tree.join("src/a"), "changed\n").unwrap();
        repo.git_in(&tree, &["commit", "--quiet", "--all", "--message", "work"]);
        let found = findings(&repo, &tree);
        repo.git_in(&tree, &["sparse-checkout", "disable"]);
        assert!(tree.join("queue").exists());
        assert_eq!(found, findings(&repo, &tree), "{kept:?}, {way:?}");
        let of_files: Vec<_> = found.iter().filter(|finding| !finding.contains("refs/")).collect();
        assert!(of_files.is_empty(), "{kept:?}, {way:?}: {of_files:?}");
    }
}

#[test]
fn what_a_sparse_branch_changed_is_judged_from_the_index() {
    let repo = used(Kept::Untracked);
    let tree = sparse(&repo, &["--cone", "--sparse-index"]);
    // Changed without being checked out, as a merge or a script does.
    let blob = |text: &str| {
        fs::write(repo.beside("blob"), text).unwrap();
        let path = repo.beside("blob");
        repo.git(&["hash-object", "-w", path.to_str().unwrap()]).trim().to_owned()
    };
    let put = |path: &str, text: &str| {
        let entry = format!("100644,{},{path}", blob(text));
        repo.git_in(&tree, &["update-index", "--add", "--cacheinfo", &entry]);
        repo.git_in(&tree, &["update-index", "--skip-worktree", path]);
    };
    put("queue/002-bad.md", "no title\n");
    put("logs/run.txt", "something else\n");
    let found = findings(&repo, &tree);
    for wanted in ["bad-queue-item", "receipt-changed"] {
        assert!(found.iter().any(|finding| finding.contains(wanted)), "{wanted}: {found:?}");
    }
    // A file that is there all the same is what counts.
    fs::create_dir_all(tree.join("queue")).unwrap();
    fs::write(tree.join("queue/002-bad.md"), "# Task: good\n").unwrap();
    let found = findings(&repo, &tree);
    assert!(!found.iter().any(|finding| finding.contains("002-bad")), "{found:?}");
}

#[test]
fn the_policy_holds_where_it_is_not_checked_out() {
    let repo = used(Kept::Untracked);
    let policy =
        repo.read("_bus/config.toml").replace("\n[locks]\n", "\n[locks]\nrequire = \"all\"\n");
    repo.write("_bus/config.toml", policy);
    repo.commit_all("policy");
    // A clone of its own: no other worktree has the policy's file.
    let url = format!("file://{}", repo.root().display());
    let clone = Repo::clone_of(&url);
    clone.git(&["sparse-checkout", "set", "--cone", "src"]);
    assert!(!clone.path("_bus").exists());
    clone.write("src/a", "changed\n");
    let error = clone.by("b", &["check", "--worktree"]).fails(1, "path-denied");
    assert_eq!(error["denied"][0]["reason"], Value::from("no-lease"));
    clone.by("b", &["lock", "acquire", "docs/**", "--objective", "o"]).ok();
    let lease = clone.bus(&["lock", "list", "--json"]).ok().json();
    assert_eq!(lease["leases"][0]["owner"], "b");
    let matches = ["lock", "acquire", "docs/**", "logs/*", "--objective", "o", "--json"];
    assert_eq!(clone.by("b", &matches).ok().json()["matches"], 2);
    clone.by("b", &["check", "--paths", "logs"]).fails(1, "path-denied");
    for (command, folder) in [(["queue", "list"], "queue"), (["plan", "list"], "_plans")] {
        let said = format!("{folder}/ is left out of this sparse worktree");
        clone.by("b", &command).ok().says(&said).says("git sparse-checkout add");
    }
    clone.by("b", &["claim", "1"]).ok();
    let status = clone.git(&["status", "--porcelain"]);
    assert_eq!(status, " M src/a\n", "nothing of what is left out is written");
}
