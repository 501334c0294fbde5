//! Who may write into a shared repository may write what `bus` keeps there, too (git-config(1),
//! `core.sharedRepository`).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::harness::Repo;

/// A command under a umask that gives the group nothing to write.
fn by(repo: &Repo, agent: &str, words: &str) {
    let script = "umask 022; exec \"$0\" \"$@\"";
    let arguments =
        [&["-c", script, env!("CARGO_BIN_EXE_bus")], &words.split(' ').collect::<Vec<_>>()[..]]
            .concat();
    repo.other("sh", &arguments).env("BUS_AGENT", agent).ok();
}

/// What is below the folders in which `bus` writes.
fn all(repo: &Repo) -> BTreeSet<PathBuf> {
    let folders = [".git/bus", ".git/refs/bus", ".git/objects"].map(|folder| repo.path(folder));
    let entries = folders
        .iter()
        .flat_map(|folder| walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok));
    entries.map(walkdir::DirEntry::into_path).collect()
}

/// What a bus has written in a repository that is shared so, with its modes.
fn written(shared: &str) -> Vec<(PathBuf, u32)> {
    let repo = Repo::bare_of_bus();
    repo.git(&["config", "core.sharedRepository", shared]);
    let before = all(&repo);
    by(&repo, "a", "init --tracked");
    by(&repo, "a", "queue add x");
    by(&repo, "a", "claim T-1 --lock src/**");
    by(&repo, "a", "message send --to b --summary x");
    by(&repo, "a", "assign T-2 --engineer b");
    by(&repo, "a", "heartbeat T-1");
    by(&repo, "a", "inbox --mark-read");
    by(&repo, "a", "watch --cursor c");
    by(&repo, "a", "release T-1");
    by(&repo, "a", "gc --apply");
    by(&repo, "a", "session start --no-fetch");
    by(&repo, "a", "session end");
    let new = all(&repo).into_iter().filter(|path| !before.contains(path));
    let root = repo.path(".git");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode();
    let written: Vec<_> =
        new.map(|path| (path.strip_prefix(&root).unwrap().to_owned(), mode(&path))).collect();
    for needed in [
        "bus/log/_bus/events/a.jsonl",
        "bus/log/_bus/claims/T-1.json",
        "bus/log/locks.json",
        "bus/lock",
        "refs/bus/locks",
    ] {
        assert!(written.iter().any(|(path, _)| path.ends_with(needed)), "{needed}: {written:?}");
    }
    assert!(written.iter().any(|(path, _)| path.starts_with("objects")), "{written:?}");
    written
}

#[test]
fn in_a_repository_that_a_group_shares_the_group_may_write() {
    for shared in ["group", "true", "0660"] {
        for (path, mode) in written(shared) {
            let is_object = path.starts_with("objects") && mode & 0o040_000 == 0;
            let wanted = if mode & 0o040_000 != 0 {
                0o070
            } else if is_object {
                0o040
            } else {
                0o060
            };
            assert_eq!(mode & wanted, wanted, "{shared}: {} has mode {mode:o}", path.display());
            assert!(
                shared != "0660" || mode & 0o007 == 0,
                "{shared}: {} has mode {mode:o}",
                path.display()
            );
        }
    }
}

#[test]
fn in_one_that_all_share_others_may_read() {
    for (path, mode) in written("all") {
        let wanted = if mode & 0o040_000 != 0 { 0o075 } else { 0o044 };
        assert_eq!(mode & wanted, wanted, "{} has mode {mode:o}", path.display());
    }
}

#[test]
fn in_one_that_nobody_shares_the_umask_decides() {
    for (path, mode) in written("umask") {
        assert_eq!(mode & 0o022, 0, "{} has mode {mode:o}", path.display());
    }
}
