//! Whether the work of a claim has landed, as git shows it: merged, squashed, rebased, or not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::dice::Dice;
use super::harness::Repo;

/// A worktree in which `codex-1` has claimed `T-1` on a branch of its own.
fn claimed(repo: &Repo) -> PathBuf {
    let tree = repo.beside("tree");
    repo.git(&["worktree", "add", "--quiet", "-b", "agent/codex-1/t-1", tree.to_str().unwrap()]);
    repo.by("codex-1", &["claim", "T-1"]).within(&tree).ok();
    tree
}

fn write(tree: &Path, name: &str, text: &str) {
    fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
    fs::write(tree.join(name), text).unwrap();
}

fn commit(repo: &Repo, tree: &Path, name: &str, text: &str) {
    write(tree, name, text);
    repo.commit_all_in(tree, &format!("change {name}"));
}

fn release(repo: &Repo, tree: &Path) {
    repo.by("codex-1", &["release", "T-1"]).within(tree).ok();
    repo.commit_all_in(tree, "bus");
}

/// The claim of `T-1` as `bus status --long` shows it.
fn shown(repo: &Repo) -> Value {
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    answer["claims"].as_array().unwrap().iter().find(|claim| claim["task_id"] == "T-1").unwrap().clone()
}

fn tip(repo: &Repo, revision: &str) -> String {
    repo.git(&["rev-parse", revision]).trim().to_owned()
}

fn squash(repo: &Repo) {
    repo.git(&["merge", "--squash", "--quiet", "agent/codex-1/t-1"]);
    repo.git(&["commit", "--quiet", "--message", "squashed"]);
}

#[test]
fn work_is_told_from_no_work_and_from_landed_work() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["no_commit"]), (&"active".into(), &true.into()), "{claim}");
    commit(&repo, &tree, "src/a", "one\n");
    commit(&repo, &tree, "src/a", "one\ntwo\n");
    let seen = &shown(&repo)["seen"];
    assert_eq!((&seen["ahead"], &seen["landed"], &seen["no_commit"]), (&2.into(), &Value::Null, &false.into()), "{seen}");
    assert_eq!((&seen["head"], &seen["pushed"]), (&tip(&repo, "agent/codex-1/t-1").into(), &"no remote".into()));
    release(&repo, &tree);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["head"]), (&"done".into(), &tip(&repo, "agent/codex-1/t-1~1").into()), "{claim}");
    repo.git(&["merge", "--no-ff", "--quiet", "--no-edit", "agent/codex-1/t-1"]);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["landed"]), (&"landed".into(), &"merged".into()), "{claim}");
}

#[test]
fn a_branch_that_was_squashed_is_seen_although_it_and_the_file_have_changed_since() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "src/a", "one\n");
    commit(&repo, &tree, "src/b", "two\n");
    release(&repo, &tree);
    squash(&repo);
    let landed = tip(&repo, "main");
    commit(&repo, &repo.root(), "src/a", "something else\n");
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["landed"]), (&"landed".into(), &"squashed".into()), "{claim}");
    assert_eq!(claim["seen"]["landed_in"], landed);
    // The branch goes, and the worktree with it: the claim's `head` still tells.
    repo.git(&["worktree", "remove", "--force", tree.to_str().unwrap()]);
    repo.git(&["branch", "--quiet", "-D", "agent/codex-1/t-1"]);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["branch"]), (&"landed".into(), &Value::Null), "{claim}");
    let text = repo.bus(&["status", "--long"]).ok().stdout;
    assert!(text.contains("squashed in ") && text.contains("branches are compared with main at "), "{text}");
}

#[test]
fn a_squash_is_seen_where_others_have_changed_the_same_file_meanwhile() {
    let repo = Repo::new();
    repo.write("CHANGELOG.md", "# Changes\n\n- old\n");
    repo.commit_all("changelog");
    let tree = claimed(&repo);
    commit(&repo, &tree, "src/a", "one\n");
    commit(&repo, &tree, "CHANGELOG.md", "# Changes\n\n- mine\n- old\n");
    release(&repo, &tree);
    commit(&repo, &repo.root(), "CHANGELOG.md", "# Changes\n\n- theirs\n- old\n");
    assert_eq!(shown(&repo)["state"], "done");
    // As somebody would who takes the pull request by hand.
    write(&repo.root(), "CHANGELOG.md", "# Changes\n\n- mine\n- theirs\n- old\n");
    commit(&repo, &repo.root(), "src/a", "one\n");
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["landed_in"]), (&"landed".into(), &tip(&repo, "main").into()), "{claim}");
}

#[test]
fn commits_that_were_taken_over_one_by_one_are_landed_with_the_last() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "src/a", "one\n");
    commit(&repo, &tree, "src/b", "two\n");
    release(&repo, &tree);
    commit(&repo, &repo.root(), "other", "x\n");
    repo.git(&["cherry-pick", "agent/codex-1/t-1~2"]);
    assert_eq!(shown(&repo)["state"], "done", "half of it is not all of it");
    repo.git(&["cherry-pick", "agent/codex-1/t-1~1"]);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["landed_in"]), (&"landed".into(), &tip(&repo, "main").into()), "{claim}");
}

#[test]
fn what_only_looks_like_the_work_is_not_the_work() {
    let repo = Repo::new();
    repo.write("src/a", "old\n");
    repo.commit_all("a");
    commit(&repo, &repo.root(), "src/a", "new\n");
    let tree = claimed(&repo);
    // The branch takes a change back: the default branch has had those bytes, but before the branch began.
    commit(&repo, &tree, "src/a", "old\n");
    release(&repo, &tree);
    commit(&repo, &repo.root(), "other", "x\n");
    assert_eq!(shown(&repo)["state"], "done");
    // Part of the work, and more besides.
    commit(&repo, &repo.root(), "src/a", "old\nand more\n");
    assert_eq!(shown(&repo)["state"], "done");
    commit(&repo, &repo.root(), "src/a", "old\n");
    assert_eq!(shown(&repo)["state"], "landed");
}

#[test]
fn files_of_the_bus_are_no_work() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    repo.by("codex-1", &["event", "log", "--event", "note", "--summary", "x"]).within(&tree).ok();
    repo.commit_all_in(&tree, "bus");
    repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
    squash(&repo);
    let claim = shown(&repo);
    assert_eq!((&claim["state"], &claim["seen"]["landed"]), (&"done".into(), &Value::Null), "{claim}");
}

#[test]
fn a_remote_shows_what_was_pushed_and_what_was_merged_there() {
    let repo = Repo::new();
    let remote = repo.beside("remote.git");
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", remote.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    repo.git(&["push", "--quiet", "origin", "main"]);
    let tree = claimed(&repo);
    commit(&repo, &tree, "src/a", "one\n");
    assert_eq!(shown(&repo)["seen"]["pushed"], "no");
    repo.git(&["push", "--quiet", "origin", "agent/codex-1/t-1"]);
    assert_eq!(shown(&repo)["seen"]["pushed"], "yes, origin/agent/codex-1/t-1");
    let pushed = tip(&repo, "agent/codex-1/t-1");
    commit(&repo, &tree, "src/b", "two\n");
    assert_eq!(shown(&repo)["seen"]["pushed"], format!("origin/agent/codex-1/t-1 is at {}", &pushed[..7]));
    release(&repo, &tree);
    // Merged there by somebody else; here `main` has not moved.
    repo.git(&["push", "--quiet", "origin", "agent/codex-1/t-1", "agent/codex-1/t-1:main"]);
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    assert_eq!(answer["compared_with"]["branch"], "origin/main");
    assert_eq!(shown(&repo)["state"], "landed");
    // Work that is merged here and not pushed yet counts as well.
    repo.git(&["merge", "--quiet", "origin/main"]);
    commit(&repo, &repo.root(), "other", "x\n");
    assert_eq!(repo.bus(&["status", "--long", "--json"]).ok().json()["compared_with"]["branch"], "main");
}

#[test]
fn who_has_not_begun_is_waiting() {
    let repo = Repo::new();
    for (task, engineer) in [("T-1", "codex-1"), ("T-2", "codex-1"), ("T-3", "codex-2"), ("T-4", "unassigned")] {
        repo.by("boss", &["assign", task, "--engineer", engineer]).ok();
    }
    repo.by("codex-1", &["claim", "T-1"]).ok();
    repo.by("codex-2", &["claim", "T-3"]).ok();
    repo.by("codex-2", &["release", "T-3"]).ok();
    let waiting = |arguments: &[&str]| {
        let answer = repo.bus(&[&["status", "--long", "--json"], arguments].concat()).ok().json();
        let waiting = answer["waiting"].as_array().unwrap().clone();
        waiting.iter().map(|assignment| assignment["task_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&[]), ["T-2"]);
    assert_eq!(waiting(&["--active-only"]), ["T-2"], "what is finished does not wait, whatever is shown");
    assert_eq!(waiting(&["--agent", "codex-2"]), [""; 0]);
    assert!(repo.bus(&["status", "--long"]).ok().stdout.contains("T-2   waiting  codex-1"));
    assert!(repo.bus(&["status", "--json"]).ok().json().get("waiting").is_none());
    repo.write("_bus/assignments/T-9.json", "{}");
    assert_eq!(repo.bus(&["status", "--long"]).ok().says("_bus/assignments/T-9.json").status, Some(0));
}

#[test]
fn a_repository_without_commits_or_branches_is_shown_as_well() {
    let repo = Repo::bare_of_bus();
    repo.git(&["update-ref", "-d", "refs/heads/main"]);
    repo.bus(&["init"]).ok();
    repo.by("codex-1", &["claim", "T-1"]).ok();
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    assert_eq!((&answer["compared_with"], &answer["claims"][0]["seen"]["head"]), (&Value::Null, &Value::Null), "{answer}");
}

/// A file in which each change puts a new line somewhere, or takes one out.
fn edit(dice: &mut Dice, tree: &Path, line: &str) {
    let path = tree.join(dice.pick(&["src/a", "CHANGELOG.md"]));
    let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let place = dice.below(lines.len());
    if dice.once_in(4) {
        lines.remove(place);
    }
    lines.insert(dice.below(lines.len() + 1), line.to_owned());
    fs::write(&path, lines.join("\n") + "\n").unwrap();
}

/// Lands `branch` as somebody would, and says whether that went well: what conflicts is given up.
fn land(repo: &Repo, way: &str, branch: &str, commits: usize) -> bool {
    let root = repo.root();
    let tried = |arguments: &[&str]| repo.try_git_in(&root, arguments).status.success();
    let landed = match way {
        "merge" => tried(&["merge", "--no-ff", "--quiet", "--no-edit", branch]),
        "squash" => tried(&["merge", "--squash", "--quiet", branch]) && tried(&["commit", "--quiet", "--message", "squashed"]),
        "rebase" => tried(&["cherry-pick", &format!("main..{branch}")]),
        "half" => tried(&["cherry-pick", &format!("{branch}~{}", commits - 1)]) && false,
        _ => false,
    };
    if !landed {
        let _ = ["cherry-pick", "merge"].map(|command| tried(&[command, "--abort"]));
        repo.git(&["reset", "--quiet", "--hard", if way == "half" { "HEAD" } else { "main" }]);
    }
    landed
}

#[test]
fn any_branch_is_landed_when_it_was_landed_in_whatever_way_and_else_not() {
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let repo = Repo::new();
        let lines = |name: &str| (0..90).map(|number| format!("{name} {number}\n")).collect::<String>();
        for name in ["src/a", "CHANGELOG.md"] {
            repo.write(name, lines(name));
        }
        repo.commit_all("files");
        let mut expected = Vec::new();
        for number in 0..6 {
            let (task, branch) = (format!("T-{number}"), format!("agent/codex-1/t-{number}"));
            repo.git(&["switch", "--quiet", "-c", &branch]);
            repo.by("codex-1", &["claim", &task]).ok();
            let commits = 1 + dice.below(3);
            for part in 0..commits {
                edit(&mut dice, &repo.root(), &format!("work {number} {part}"));
                repo.git(&["commit", "--quiet", "--message", "work", "src", "CHANGELOG.md"]);
            }
            repo.by("codex-1", &["release", &task]).ok();
            repo.git(&["stash", "--quiet", "--include-untracked"]);
            repo.git(&["switch", "--quiet", "main"]);
            for part in 0..1 + dice.below(3) {
                edit(&mut dice, &repo.root(), &format!("meanwhile {number} {part}"));
                repo.git(&["commit", "--quiet", "--all", "--message", "meanwhile"]);
            }
            let way = if commits > 1 {
                *dice.pick(&["merge", "squash", "rebase", "half", "none"])
            } else {
                *dice.pick(&["merge", "squash", "rebase", "none"])
            };
            let landed = land(&repo, way, &branch, commits);
            edit(&mut dice, &repo.root(), &format!("afterwards {number}"));
            repo.git(&["commit", "--quiet", "--all", "--message", "afterwards"]);
            if dice.once_in(2) {
                repo.git(&["branch", "--quiet", "-D", &branch]);
            }
            expected.push((task, way, landed));
        }
        let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
        for (task, way, landed) in expected {
            let claim = answer["claims"].as_array().unwrap().iter().find(|claim| claim["task_id"] == task.as_str()).unwrap();
            let state = if landed { "landed" } else { "done" };
            assert_eq!(claim["state"], state, "seed {seed}, {task}, {way}: {claim:#}");
        }
    }
}
