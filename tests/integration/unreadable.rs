//! A repository that is there and cannot be read is a fault of the system, never "no repository".

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::Repo;

/// A repository with a bus and a linked worktree.
fn repo() -> Repo {
    let repo = Repo::new();
    repo.commit_all("bus");
    repo.worktree("w");
    repo
}

#[test]
fn what_stands_in_the_place_of_a_file_of_the_repository_is_named() {
    // The name of a worktree's private folder is that of its own.
    for (place, linked) in
        [(".git/config", false), (".git/config", true), (".git/worktrees/w/commondir", true)]
    {
        let repo = repo();
        let path = repo.path(place);
        assert!(path.exists(), "{}", path.display());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let worktree = repo.beside("w");
        let bus = repo.bus(&["status"]);
        let bus = if linked { bus.within(&worktree) } else { bus };
        let error = bus.fails(9, "system");
        assert!(
            error["message"].as_str().unwrap().contains(place.rsplit('/').next().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn a_configuration_that_is_none_is_named() {
    let repo = repo();
    repo.write(".git/config", "[core\n");
    let error = repo.bus(&["status"]).fails(9, "system");
    assert!(error["message"].as_str().unwrap().contains("config"), "{error}");
}

#[test]
fn a_repository_that_is_gone_from_under_its_worktree_is_named() {
    let repo = repo();
    let worktree = repo.beside("w");
    fs::rename(repo.path(".git/worktrees/w"), repo.path(".git/worktrees/v")).unwrap();
    let error = repo.bus(&["status"]).within(&worktree).fails(9, "system");
    assert!(error["hint"].as_str().unwrap().contains("git worktree repair"), "{error}");
    fs::remove_file(worktree.join(".git")).unwrap();
    symlink(".git", worktree.join(".git")).unwrap();
    repo.bus(&["status"]).within(&worktree).fails(9, "system");
}

#[test]
fn what_this_user_may_not_read_is_named() {
    for (place, linked) in [
        (".git", false),
        (".git/HEAD", false),
        (".git/config", false),
        (".git/worktrees/w", true),
        (".git/worktrees/w/commondir", true),
        ("../w/.git", true),
    ] {
        let repo = repo();
        let user = repo.give_away();
        let path = repo.path(place);
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
        let worktree = repo.beside("w");
        let bus = repo.by_user(user, "a", &["status"]);
        let ran = if linked { bus.within(&worktree) } else { bus }.run();
        fs::set_permissions(&path, mode).unwrap();
        repo.take_back();
        assert_eq!(ran.status, Some(9), "{place}: {}", ran.transcript);
        assert!(ran.stderr.contains("ermission denied"), "{place}: {}", ran.transcript);
    }
}

#[test]
fn where_there_is_no_repository_none_is_made_up() {
    let repo = repo();
    repo.bus(&["status"]).within(&repo.beside("")).fails(4, "no-repository");
}
