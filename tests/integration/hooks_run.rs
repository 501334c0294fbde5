//! The hooks as git runs them: before a commit and before a push to a real remote, with a `bus`
//! that notes its arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::harness::Repo;
use super::stub::Stub;

/// A hook of the user's own, which notes its arguments and what it reads, and ends as it is told.
const MINE: &str =
    "#!/bin/sh\n{ echo \"mine $*\"; cat; } >> \"$STUB_CALLS\"\nexit \"${MINE_STATUS:-0}\"\n";

/// A repository with a bus, a hook of the user's own called `mine`, and then those of `bus`.
fn with_hooks(mine: Option<&str>) -> Repo {
    let repo = Repo::new();
    if let Some(name) = mine {
        repo.write(&format!(".git/hooks/{name}"), MINE);
        fs::set_permissions(
            repo.path(&format!(".git/hooks/{name}")),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }
    repo.bus(&["init", "--hooks"]).ok();
    repo
}

/// Gives the repository a bare remote called `origin`, to which `main` is pushed.
fn remote(repo: &Repo) {
    let bare = repo.beside("remote.git");
    repo.git_in(
        repo.root().parent().unwrap(),
        &["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"],
    );
    repo.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
    repo.git(&["push", "--quiet", "--no-verify", "origin", "main"]);
}

/// The call of `bus check` that comes first in a commit.
fn check(repo: &Repo) -> String {
    format!("check --staged --quiet in {}", repo.root().display())
}

/// The calls before a push of `branch`.
fn judged(branch: &str, base: &str, here: &str) -> [String; 2] {
    [
        format!("check --base {base} --quiet in {here}"),
        format!("validate --quiet --branch={branch} --base {base} in {here}"),
    ]
}

fn head(repo: &Repo) -> String {
    repo.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn a_commit_is_made_only_where_the_validator_agrees() {
    let repo = with_hooks(None);
    let stub = Stub::new(&repo);
    let commit = ["commit", "--allow-empty", "--message=x"];
    let here = repo.root().display().to_string();
    stub.git(&repo.root(), &commit).ok();
    assert_eq!(
        stub.calls(),
        [check(&repo), format!("validate --quiet --base refs/heads/main in {here}")]
    );
    let before = head(&repo);
    stub.ends_with(1);
    stub.git(&repo.path("queue"), &commit).exits(1);
    assert_eq!((head(&repo), stub.calls().len()), (before, 2));
    stub.git(&repo.root(), &["checkout", "--quiet", "--orphan", "new"]).ok();
    stub.git(&repo.root(), &commit).exits(1).says("git commit --no-verify");
    assert_eq!(
        stub.calls(),
        [check(&repo), format!("validate --quiet --base refs/heads/main in {here}")]
    );
    repo.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    stub.git(&repo.root(), &commit).exits(1);
    assert_eq!(
        stub.calls(),
        [check(&repo), format!("validate --quiet --base refs/remotes/origin/main in {here}")]
    );
    repo.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    repo.git(&["branch", "--quiet", "-D", "main"]);
    stub.git(&repo.root(), &commit).exits(1);
    let calls = [check(&repo), format!("validate --quiet --base  in {here}")];
    assert_eq!(stub.calls(), calls, "there is no commit yet to judge against");
}

#[test]
fn of_what_the_check_of_leases_says_only_no_stands_in_the_way() {
    let repo = with_hooks(None);
    let stub = Stub::new(&repo);
    let before = head(&repo);
    let commit = |status: &str| {
        stub.git(&repo.root(), &["commit", "--allow-empty", "--message=x"])
            .env("STUB_CHECK", status)
    };
    commit("1").exits(1);
    assert_eq!((head(&repo), stub.calls()), (before, vec![check(&repo)]));
    commit("5").ok();
    assert_eq!(stub.calls().len(), 2);
}

#[test]
fn the_hook_that_stood_there_runs_first_and_its_refusal_stands() {
    let repo = with_hooks(Some("pre-commit"));
    let stub = Stub::new(&repo);
    let commit = ["commit", "--allow-empty", "--message=x"];
    stub.git(&repo.root(), &commit).env("MINE_STATUS", "7").exits(1);
    assert_eq!(stub.calls(), ["mine "]);
    stub.git(&repo.root(), &commit).ok();
    let calls = stub.calls();
    assert!(
        calls.len() == 3
            && calls[..2] == ["mine ".to_owned(), check(&repo)]
            && calls[2].starts_with("validate"),
        "{calls:?}"
    );
    fs::set_permissions(
        repo.path(".git/hooks/pre-commit.before-bus"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    stub.git(&repo.root(), &commit).env("MINE_STATUS", "7").ok();
    assert_eq!(stub.calls().len(), 2, "git would not have run it either");
}

#[test]
fn a_push_is_judged_from_what_the_remote_has() {
    let repo = with_hooks(None);
    remote(&repo);
    let stub = Stub::new(&repo);
    let here = repo.root().display().to_string();
    let push = |arguments: &[&str]| {
        stub.git(&repo.root(), &[&["push", "--quiet", "origin"], arguments].concat())
    };
    let first = head(&repo);
    repo.git(&["commit", "--quiet", "--no-verify", "--allow-empty", "--message=x"]);
    push(&["main"]).ok();
    assert_eq!(stub.calls(), judged("main", &first, &here));
    // A new branch: from where it left the remote's default branch, where that is known.
    let second = head(&repo);
    repo.git(&["commit", "--quiet", "--no-verify", "--allow-empty", "--message=y"]);
    push(&["HEAD:refs/heads/new"]).ok();
    assert_eq!(stub.calls(), judged("new", &second, &here));
    repo.git(&["remote", "set-head", "origin", "main"]);
    push(&["HEAD:refs/heads/agent/a/x;y"]).ok();
    assert_eq!(stub.calls(), judged("agent/a/x;y", &second, &here));
    // What does not stand in this worktree cannot be judged in it.
    push(&["HEAD~1:refs/heads/old", ":new"]).ok();
    push(&["HEAD:refs/tags/v1"]).ok();
    assert!(stub.calls().is_empty());
    stub.ends_with(1);
    push(&["main"]).exits(1);
    assert_eq!(
        repo.git(&["ls-remote", "origin", "main"]).split_whitespace().next(),
        Some(second.as_str())
    );
}

#[test]
fn a_remote_that_is_ahead_is_judged_from_where_the_branches_parted() {
    let repo = with_hooks(None);
    remote(&repo);
    let other = repo.beside("other");
    repo.git(&[
        "clone",
        "--quiet",
        repo.beside("remote.git").to_str().unwrap(),
        other.to_str().unwrap(),
    ]);
    repo.git_in(&other, &["commit", "--quiet", "--allow-empty", "--message=theirs"]);
    repo.git_in(&other, &["push", "--quiet", "origin", "main"]);
    repo.git(&["remote", "set-head", "origin", "main"]);
    let parted = head(&repo);
    repo.git(&["commit", "--quiet", "--no-verify", "--allow-empty", "--message=mine"]);
    let stub = Stub::new(&repo);
    stub.git(&repo.root(), &["push", "--quiet", "--force", "origin", "main"]).ok();
    assert_eq!(stub.calls(), judged("main", &parted, &repo.root().display().to_string()));
}

#[test]
fn the_hook_before_ours_gets_the_same_arguments_and_reads_the_same_lines() {
    let repo = with_hooks(Some("pre-push"));
    remote(&repo);
    let first = head(&repo);
    repo.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message=x"]);
    let second = head(&repo);
    let stub = Stub::new(&repo);
    let push =
        || stub.git(&repo.root(), &["push", "--quiet", "origin", "main", "HEAD~1:refs/heads/old"]);
    push().env("MINE_STATUS", "7").exits(1);
    let mut calls = stub.calls();
    assert_eq!(calls.remove(0), format!("mine origin {}", repo.beside("remote.git").display()));
    calls.sort_unstable();
    let zeros = "0".repeat(40);
    let mut lines = [
        format!("refs/heads/main {second} refs/heads/main {first}"),
        format!("HEAD~1 {first} refs/heads/old {zeros}"),
    ];
    lines.sort_unstable();
    assert_eq!(calls, lines, "and ours did not run");
    push().ok();
    let calls = stub.calls();
    assert!(
        calls.len() == 5 && calls[4].starts_with("validate --quiet --branch=main --base"),
        "{calls:?}"
    );
    // One that does not read is no obstacle.
    repo.write(".git/hooks/pre-push.before-bus", "#!/bin/sh\nexit 0\n");
    repo.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message=y"]);
    stub.git(&repo.root(), &["push", "--quiet", "origin", "main"]).ok();
    assert_eq!(stub.calls().len(), 2);
}

#[test]
fn without_bus_on_the_path_git_goes_on_with_a_note_and_without_a_bus_in_silence() {
    let repo = with_hooks(None);
    remote(&repo);
    let stub = Stub::new(&repo).without_bus();
    let commit = ["commit", "--quiet", "--allow-empty", "--message=x"];
    let push = ["push", "--quiet", "origin", "main"];
    assert_eq!(
        stub.git(&repo.root(), &commit).ok().stderr,
        "note: `bus` is not on the PATH, so `_bus/` is not checked before this commit\n"
    );
    stub.git(&repo.root(), &push).ok().says("is not checked before this push");
    repo.git(&["rm", "-r", "--quiet", "_bus"]);
    stub.git(&repo.root(), &commit).ok().says("is not checked before this commit");
    assert_eq!(
        stub.git(&repo.root(), &commit).ok().stderr,
        "",
        "the last commit has no bus any more"
    );
    assert_eq!(stub.git(&repo.root(), &push).ok().stderr, "");
}
