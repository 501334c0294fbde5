//! Which paths are changed, as the library asks the user's git.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use agent_bus::git::{ChangesOf, Repository};

use super::harness::Repo;

/// The changed paths in a line.
#[track_caller]
fn changed(folder: &Path, of: ChangesOf<'_>) -> String {
    let paths = Repository::discover(folder).unwrap().changed_paths(of).unwrap();
    let paths: Vec<String> =
        paths.into_iter().map(|path| path.escape_ascii().to_string()).collect();
    paths.join(" ")
}

fn staged(repo: &Repo) -> String {
    changed(&repo.root(), ChangesOf::Staged)
}

/// A repository with the files `a`, `b` and `dir/c` in its only commit.
fn with_files() -> Repo {
    let repo = Repo::bare_of_bus();
    for path in ["a", "b", "dir/c"] {
        repo.write(path, format!("the content of {path}\n"));
    }
    repo.commit_all("files");
    repo
}

/// A branch `side` that changed `a` and `dir/c`, while `main` changed `b` and `dir/c`.
fn with_branches() -> Repo {
    let repo = with_files();
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    repo.write("a", "side\n");
    repo.write("dir/c", "side\n");
    repo.commit_all("side");
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("b", "main\n");
    repo.write("dir/c", "main\n");
    repo.commit_all("main");
    repo
}

#[test]
fn what_is_staged_is_what_came_went_and_is_not_the_same_with_both_names_of_a_rename() {
    let repo = with_files();
    assert_eq!(staged(&repo), "");
    repo.git(&["mv", "a", "dir/moved"]);
    repo.git(&["rm", "--quiet", "b"]);
    repo.write("new", "x");
    repo.write("unstaged", "x");
    repo.git(&["add", "new"]);
    repo.git(&["config", "diff.renames", "copies"]);
    assert_eq!(staged(&repo), "a b dir/moved new");
    repo.git(&["commit", "--quiet", "--message=x"]);
    assert_eq!(staged(&repo), "");
}

#[test]
fn a_branch_without_commits_has_changed_all_that_it_stages() {
    let repo = with_files();
    repo.git(&["checkout", "--quiet", "--orphan", "new"]);
    repo.git(&["rm", "--quiet", "--cached", "b"]);
    assert_eq!(staged(&repo), "a dir/c");
    assert_eq!(changed(&repo.root(), ChangesOf::Worktree), "a b dir/c");
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "");
    repo.git(&["commit", "--quiet", "--message=strangers"]);
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "a dir/c");
}

#[test]
fn names_are_gits_bytes_whatever_they_are() {
    let repo = with_files();
    for name in ["new\nline", "quote\"d", "tab\t", "é", "-dash", ":(top)x", "sp ace", "*"] {
        repo.write(name, "x");
    }
    fs::write(repo.root().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let all = [
        r"*",
        "-dash",
        ":(top)x",
        r"caf\xe9",
        r"new\nline",
        r#"quote\"d"#,
        "sp ace",
        r"tab\t",
        r"\xc3\xa9",
    ]
    .join(" ");
    assert_eq!(changed(&repo.root(), ChangesOf::Worktree), all);
    repo.git(&["add", "--all"]);
    assert_eq!(staged(&repo), all);
}

#[test]
fn the_worktree_has_changed_what_is_staged_what_is_not_and_what_git_does_not_know() {
    let repo = with_files();
    repo.write(".gitignore", "*.log\n");
    repo.commit_all("ignore");
    let time = fs::metadata(repo.path("b")).unwrap().modified().unwrap()
        - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(repo.path("b")).unwrap().set_modified(time).unwrap();
    assert_eq!(changed(&repo.root(), ChangesOf::Worktree), "", "a time is no change");
    repo.write("a", "staged, and changed back after that\n");
    repo.git(&["add", "a"]);
    repo.write("a", "the content of a\n");
    fs::remove_file(repo.path("dir/c")).unwrap();
    repo.write("x.log", "x");
    repo.write("new/file", "x");
    repo.git(&["init", "--quiet", "within"]);
    repo.git_in(&repo.path("within"), &["commit", "--quiet", "--allow-empty", "--message=x"]);
    assert_eq!(changed(&repo.path("new"), ChangesOf::Worktree), "a dir/c new/file within");
    assert_eq!(staged(&repo), "a");
}

#[test]
fn of_a_merge_that_waits_for_its_commit_only_what_no_parent_has_is_changed() {
    let repo = with_branches();
    assert!(
        !repo.try_git_in(&repo.root(), &["merge", "--quiet", "side"]).status.success(),
        "they conflict"
    );
    assert_eq!(staged(&repo), "dir/c");
    repo.write("dir/c", "side\n");
    repo.git(&["add", "dir/c"]);
    assert_eq!(staged(&repo), "", "theirs");
    repo.write("dir/c", "both\n");
    repo.write("new", "x");
    repo.git(&["add", "--all"]);
    assert_eq!(staged(&repo), "dir/c new");
    repo.write("a", "more\n");
    assert_eq!(changed(&repo.root(), ChangesOf::Worktree), "a dir/c new");
}

#[test]
fn a_branch_has_changed_what_it_has_of_its_own_since_it_was_left() {
    let repo = with_branches();
    assert_eq!(changed(&repo.root(), ChangesOf::Since("side")), "b dir/c");
    repo.git(&["checkout", "--quiet", "side"]);
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "a dir/c");
    repo.try_git_in(&repo.root(), &["merge", "--quiet", "main"]);
    repo.write("dir/c", "main\n");
    repo.commit_all("merged");
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "a", "the rest was carried in");
    repo.git(&["mv", "a", "away"]);
    repo.commit_all("moved");
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "a away");
    let missing =
        Repository::discover(&repo.root()).unwrap().changed_paths(ChangesOf::Since("nowhere"));
    assert!(missing.unwrap_err().to_string().contains("`nowhere`"));
}

#[test]
fn branches_that_merged_one_another_are_held_against_both_bases() {
    let repo = with_branches();
    let (main, side) = (repo.git(&["rev-parse", "main"]), repo.git(&["rev-parse", "side"]));
    repo.try_git_in(&repo.root(), &["merge", "--quiet", "-X", "ours", side.trim()]);
    repo.git(&["checkout", "--quiet", "side"]);
    repo.try_git_in(&repo.root(), &["merge", "--quiet", "-X", "ours", main.trim()]);
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "", "each file is one of the two");
    repo.write("a", "new\n");
    repo.commit_all("new");
    assert_eq!(changed(&repo.root(), ChangesOf::Since("main")), "a");
}

#[test]
fn of_a_submodule_its_own_path_is_changed() {
    let repo = with_files();
    let other = repo.beside("other");
    repo.git(&["init", "--quiet", other.to_str().unwrap()]);
    repo.git_in(&other, &["commit", "--quiet", "--allow-empty", "--message=one"]);
    let add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        other.to_str().unwrap(),
        "sub",
    ];
    repo.git(&add);
    assert_eq!(staged(&repo), ".gitmodules sub");
    repo.commit_all("sub");
    repo.git(&["config", "diff.ignoreSubmodules", "all"]);
    fs::write(repo.path("sub/untracked"), "x").unwrap();
    assert_eq!(
        changed(&repo.root(), ChangesOf::Worktree),
        "",
        "what is in it is another repository's"
    );
    repo.git_in(&repo.path("sub"), &["commit", "--quiet", "--allow-empty", "--message=two"]);
    assert_eq!(changed(&repo.root(), ChangesOf::Worktree), "sub");
    repo.git(&["add", "sub"]);
    assert_eq!(staged(&repo), "sub");
}

#[test]
fn a_linked_worktree_has_its_own_changes() {
    let repo = with_files();
    let tree = repo.worktree("wt");
    fs::write(tree.join("a"), "x").unwrap();
    repo.git_in(&tree, &["add", "a"]);
    assert_eq!((changed(&tree, ChangesOf::Staged), staged(&repo)), ("a".to_owned(), String::new()));
}
