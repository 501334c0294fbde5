//! What is judged are the bytes that are merged, whatever git makes of them in the worktree.

use std::fs;
use std::path::Path;

use super::harness::{Kept, Ran, Repo};

fn findings(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let text = |finding: &serde_json::Value| {
        format!("{} {}", finding["rule"].as_str().unwrap(), finding["path"].as_str().unwrap())
    };
    report["findings"].as_array().unwrap().iter().map(text).collect()
}

/// Logs an event and commits it, in a file of the branch.
fn log(repo: &Repo, summary: &str) {
    repo.by("codex-1", &["event", "log", "--event", "note", "--summary", summary]).ok();
    repo.by("codex-1", &["export"]).ok();
    repo.commit_all(summary);
}

/// A clone of a branch that adds a line to a log and `attributes` to `.gitattributes`.
fn clone(repo: &Repo, attributes: &str) -> std::path::PathBuf {
    log(repo, "first");
    repo.git(&["switch", "--quiet", "--create", "agent/codex-1/x"]);
    repo.write(".gitattributes", repo.read(".gitattributes") + attributes);
    log(repo, "$Id: second $");
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    clone
}

fn validate(repo: &Repo, clone: &Path) -> Ran {
    repo.bus(&["validate", "--base", "origin/main", "--json"]).within(clone).run()
}

#[test]
fn a_file_that_an_attribute_changes_on_the_way_is_told_of() {
    for kept in Kept::IN_BRANCHES {
        for attributes in ["*.jsonl ident\n", "*.jsonl working-tree-encoding=UTF-16LE\n"] {
            let repo = Repo::keeping(kept);
            let clone = clone(&repo, attributes);
            let found = findings(&validate(&repo, &clone));
            let changed = repo.git(&["diff", "--name-only", "HEAD^", "HEAD", "--", "_bus/events"]);
            assert!(!changed.is_empty());
            for path in changed.lines() {
                assert!(
                    found.contains(&format!("altered-by-git {path}")),
                    "{kept:?}, {attributes}: {found:?}"
                );
            }
        }
        let repo = Repo::keeping(kept);
        let clone = clone(&repo, "*.jsonl -ident\n");
        assert_eq!(findings(&validate(&repo, &clone)), [""; 0], "{kept:?}");
    }
}

#[test]
fn line_endings_that_git_gives_to_a_checkout_change_nothing() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
        repo.write(".gitattributes", "_bus/**/*.jsonl text eol=lf\n");
        repo.commit_all("claim");
        let clone = repo.beside("clone");
        repo.git(&[
            "clone",
            "--quiet",
            "--config",
            "core.autocrlf=true",
            ".",
            clone.to_str().unwrap(),
        ]);
        repo.git_in(&clone, &["switch", "--quiet", "--create", "agent/codex-2/x"]);
        let claim = clone.join("_bus/claims/QUEUE-001.json");
        assert!(fs::read_to_string(&claim).unwrap().contains("\r\n"));
        assert_eq!(findings(&validate(&repo, &clone)), [""; 0]);
        // The same once git must look into the file again.
        fs::write(&claim, fs::read(&claim).unwrap()).unwrap();
        assert_eq!(findings(&validate(&repo, &clone)), [""; 0]);
    }
}

#[test]
fn another_repository_inside_of_the_bus_is_told_of() {
    let repo = Repo::tracked();
    repo.git(&["init", "--quiet", "_bus/claims"]);
    let found = findings(&repo.bus(&["validate", "--json"]).exits(1));
    assert_eq!(found, ["not-a-file _bus/claims/.git"]);
}
