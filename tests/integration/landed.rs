//! Whether the work of a claim has landed, as git shows it: merged, squashed, rebased, or not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::dice::Dice;
use super::harness::{Kept, Repo, record, rounds};

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
    answer["claims"]
        .as_array()
        .unwrap()
        .iter()
        .find(|claim| claim["task_id"] == "T-1")
        .unwrap()
        .clone()
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
    assert_eq!(
        (&claim["state"], &claim["seen"]["no_work"]),
        (&"active".into(), &true.into()),
        "{claim}"
    );
    commit(&repo, &tree, "queue/001-x.md", "# x\n");
    assert_eq!(shown(&repo)["seen"]["no_work"], true, "an item of the queue is no work");
    repo.git_in(&tree, &["reset", "--hard", "--quiet", "HEAD~1"]);
    commit(&repo, &tree, "queue/worker.go", "package queue\n");
    assert_eq!(shown(&repo)["seen"]["no_work"], false, "a file of the project is work");
    repo.git_in(&tree, &["reset", "--hard", "--quiet", "HEAD~1"]);
    commit(&repo, &tree, "src/a", "one\n");
    commit(&repo, &tree, "src/a", "one\ntwo\n");
    let seen = &shown(&repo)["seen"];
    assert_eq!(
        (&seen["ahead"], &seen["landed"], &seen["no_work"]),
        (&2.into(), &Value::Null, &false.into()),
        "{seen}"
    );
    assert_eq!(
        (&seen["head"], &seen["pushed"]),
        (&tip(&repo, "agent/codex-1/t-1").into(), &Value::Null)
    );
    release(&repo, &tree);
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["head"]),
        (&"done".into(), &tip(&repo, "agent/codex-1/t-1~1").into()),
        "{claim}"
    );
    repo.git(&["merge", "--no-ff", "--quiet", "--no-edit", "agent/codex-1/t-1"]);
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["seen"]["landed"]),
        (&"landed".into(), &"merged".into()),
        "{claim}"
    );
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
    assert_eq!(
        (&claim["state"], &claim["seen"]["landed"]),
        (&"landed".into(), &"rewritten".into()),
        "{claim}"
    );
    assert_eq!(claim["seen"]["landed_in"], landed);
    // The branch goes, and the worktree with it: the claim's `head` still tells.
    repo.git(&["worktree", "remove", "--force", tree.to_str().unwrap()]);
    repo.git(&["branch", "--quiet", "-D", "agent/codex-1/t-1"]);
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["seen"]["branch"]),
        (&"landed".into(), &Value::Null),
        "{claim}"
    );
    let text = repo.bus(&["status", "--long"]).ok().stdout;
    assert!(
        text.contains(" as ") && text.contains("branches are compared with main at "),
        "{text}"
    );
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
    assert_eq!(
        (&claim["state"], &claim["seen"]["landed_in"]),
        (&"landed".into(), &tip(&repo, "main").into()),
        "{claim}"
    );
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
    assert_eq!(
        (&claim["state"], &claim["seen"]["landed_in"]),
        (&"landed".into(), &tip(&repo, "main").into()),
        "{claim}"
    );
}

#[test]
fn what_only_looks_like_the_work_is_not_the_work() {
    let repo = Repo::new();
    repo.write("src/a", "old\n");
    repo.commit_all("a");
    commit(&repo, &repo.root(), "src/a", "new\n");
    let tree = claimed(&repo);
    // The branch takes a change back: the default branch has had those bytes, but before the branch
    // began.
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
    Kept::IN_BRANCHES.into_iter().for_each(files_of_the_bus_are_no_work_of);
}

fn files_of_the_bus_are_no_work_of(kept: Kept) {
    let repo = Repo::keeping(kept);
    let tree = claimed(&repo);
    repo.by("codex-1", &["event", "log", "--event", "note", "--summary", "x"]).within(&tree).ok();
    repo.commit_all_in(&tree, "bus");
    repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
    squash(&repo);
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["seen"]["landed"]),
        (&"done".into(), &Value::Null),
        "{claim}"
    );
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
    assert_eq!(shown(&repo)["seen"]["pushed"], false);
    repo.git(&["push", "--quiet", "origin", "agent/codex-1/t-1"]);
    let seen = &shown(&repo)["seen"];
    assert_eq!(
        (&seen["pushed"], &seen["remote_branch"]),
        (&true.into(), &"origin/agent/codex-1/t-1".into()),
        "{seen}"
    );
    let pushed = tip(&repo, "agent/codex-1/t-1");
    commit(&repo, &tree, "src/b", "two\n");
    let seen = &shown(&repo)["seen"];
    assert_eq!(
        (&seen["pushed"], &seen["remote_commit"]),
        (&false.into(), &pushed.into()),
        "{seen}"
    );
    release(&repo, &tree);
    // Merged there by somebody else; here `main` has not moved.
    repo.git(&["push", "--quiet", "origin", "agent/codex-1/t-1", "agent/codex-1/t-1:main"]);
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    assert_eq!(answer["compared_with"]["branch"], "origin/main");
    assert_eq!(shown(&repo)["state"], "landed");
    // Work that is merged here and not pushed yet counts as well.
    repo.git(&["merge", "--quiet", "origin/main"]);
    commit(&repo, &repo.root(), "other", "x\n");
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    assert_eq!(
        (&answer["compared_with"]["branch"], &answer["compared_with"]["unpushed"]),
        (&"main".into(), &1.into())
    );
    let report = repo.bus(&["report", "--json"]).ok().json();
    assert!(
        report["needs"].as_array().unwrap().iter().any(|need| need["kind"] == "unpushed"),
        "{:#}",
        report["needs"]
    );
}

#[test]
fn of_several_remotes_the_one_that_has_the_work_counts() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "src/a", "one\n");
    let old = tip(&repo, "agent/codex-1/t-1");
    commit(&repo, &tree, "src/b", "two\n");
    let new = tip(&repo, "agent/codex-1/t-1");
    for (remote, commit) in [("backup", &old), ("team/far", &new)] {
        repo.git(&["remote", "add", remote, "nowhere"]);
        repo.git(&["update-ref", &format!("refs/remotes/{remote}/agent/codex-1/t-1"), commit]);
    }
    let seen = &shown(&repo)["seen"];
    assert_eq!(
        (&seen["pushed"], &seen["remote_branch"]),
        (&true.into(), &"team/far/agent/codex-1/t-1".into()),
        "{seen}"
    );
}

#[test]
fn what_is_committed_after_the_release_counts_and_so_does_what_was_amended() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    write(&tree, "work", "x\n");
    // The release writes files of its own, so who is done commits it all together.
    repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
    assert_eq!(shown(&repo)["seen"]["no_work"], true);
    repo.commit_all_in(&tree, "work");
    assert_eq!(
        (&shown(&repo)["state"], &shown(&repo)["seen"]["no_work"]),
        (&"done".into(), &false.into())
    );
    write(&tree, "work", "better\n");
    repo.git_in(&tree, &["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    squash(&repo);
    assert_eq!(shown(&repo)["state"], "landed");
    commit(&repo, &tree, "more", "y\n");
    let claim = shown(&repo);
    assert_eq!(claim["state"], "done", "the branch is all that there is to look at: {claim}");
}

#[test]
fn what_a_branch_has_since_the_end_is_told_of() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "work", "x\n");
    release(&repo, &tree);
    squash(&repo);
    commit(&repo, &tree, "more", "y\n");
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["seen"]["later"]),
        (&"landed".into(), &3.into()),
        "{claim}"
    );
    assert!(
        repo.bus(&["report", "--stdout"])
            .ok()
            .stdout
            .contains("since codex-1 was done, agent/codex-1/t-1 has 3 commits")
    );
}

#[test]
fn what_was_landed_and_reverted_has_not_landed_until_the_revert_is_reverted() {
    for way in ["squash", "merge"] {
        let repo = Repo::new();
        let tree = claimed(&repo);
        commit(&repo, &tree, "work", "x\n");
        release(&repo, &tree);
        match way {
            "squash" => squash(&repo),
            _ => drop(repo.git(&["merge", "--no-ff", "--quiet", "--no-edit", "agent/codex-1/t-1"])),
        }
        assert_eq!(shown(&repo)["state"], "landed", "{way}");
        let more: &[&str] = if way == "merge" { &["-m", "1"] } else { &[] };
        repo.git(&[&["revert", "--no-edit", "HEAD"], more].concat());
        let claim = shown(&repo);
        assert_eq!(
            (&claim["state"], &claim["seen"]["reverted_in"]),
            (&"done".into(), &tip(&repo, "main").into()),
            "{way}: {claim}"
        );
        assert!(repo.bus(&["report", "--stdout"]).ok().stdout.contains("landed, then reverted"));
        repo.git(&["revert", "--no-edit", "HEAD"]);
        assert_eq!(shown(&repo)["state"], "landed", "{way}");
    }
}

#[test]
fn the_same_lines_at_another_place_are_not_the_work_of_who_has_not_landed() {
    let repo = Repo::new();
    let body = "void a() {\n  work();\n}\nvoid b() {\n  work();\n}\n";
    repo.write("g.c", body);
    repo.commit_all("g");
    for (agent, place) in [("a", "void a() {\n"), ("b", "void b() {\n")] {
        repo.git(&["switch", "--quiet", "-c", &format!("agent/{agent}/t-{agent}"), "main"]);
        repo.by(agent, &["claim", &format!("T-{agent}")]).ok();
        repo.write("g.c", body.replace(place, &format!("{place}  check();\n")));
        repo.git(&["commit", "--quiet", "--message", "check", "g.c"]);
        repo.by(agent, &["release", &format!("T-{agent}")]).ok();
        repo.git(&["stash", "--quiet", "--include-untracked"]);
    }
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--squash", "--quiet", "agent/a/t-a"]);
    repo.git(&["commit", "--quiet", "--message", "squashed"]);
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    let states: Vec<_> = answer["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| (&claim["task_id"], &claim["state"]))
        .collect();
    assert!(
        states.contains(&(&"T-a".into(), &"landed".into()))
            && states.contains(&(&"T-b".into(), &"done".into())),
        "{states:?}"
    );
}

#[test]
fn an_order_of_lines_and_a_mode_are_work_too() {
    let repo = Repo::new();
    repo.write("list", "a\nb\nc\n");
    repo.write("run", "x\n");
    repo.commit_all("list");
    let tree = claimed(&repo);
    // The same line is put in, but here in another order of the others.
    commit(&repo, &tree, "list", "c\nb\nnew\na\n");
    repo.git_in(&tree, &["update-index", "--chmod=+x", "run"]);
    repo.git_in(&tree, &["commit", "--quiet", "--message", "mode"]);
    repo.git_in(&tree, &["checkout", "--quiet", "--", "run"]);
    release(&repo, &tree);
    commit(&repo, &repo.root(), "list", "a\nb\nnew\nc\n");
    assert_eq!(shown(&repo)["state"], "done");
    repo.git(&["checkout", "--quiet", "agent/codex-1/t-1", "--", "list"]);
    repo.git(&["commit", "--quiet", "--all", "--message", "the order"]);
    assert_eq!(shown(&repo)["state"], "done", "the mode is missing");
    repo.git(&["checkout", "--quiet", "agent/codex-1/t-1", "--", "run"]);
    repo.git(&["commit", "--quiet", "--message", "the mode"]);
    assert_eq!(shown(&repo)["state"], "landed");
}

#[test]
fn who_claims_on_the_branch_before_has_done_nothing_yet() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "work", "x\n");
    repo.by("codex-1", &["claim", "T-2", "--branch", "agent/codex-1/t-2"]).within(&tree).ok();
    repo.git_in(&tree, &["stash", "--quiet", "--include-untracked"]);
    repo.git_in(&tree, &["switch", "--quiet", "-c", "agent/codex-1/t-2", "main"]);
    repo.by("codex-1", &["release", "T-2"]).within(&tree).ok();
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    let claim = answer["claims"]
        .as_array()
        .unwrap()
        .iter()
        .find(|claim| claim["task_id"] == "T-2")
        .unwrap();
    assert_eq!(
        (&claim["state"], &claim["seen"]["no_work"]),
        (&"done".into(), &true.into()),
        "{claim}"
    );
}

#[test]
fn a_tag_is_no_default_branch_and_a_clock_that_is_wrong_by_years_hides_nothing() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "work", "x\n");
    release(&repo, &tree);
    for tag in ["main", "origin/main"] {
        repo.git(&["tag", tag, "agent/codex-1/t-1"]);
    }
    assert_eq!(shown(&repo)["state"], "done");
    repo.git(&["merge", "--no-ff", "--quiet", "--no-edit", "refs/heads/agent/codex-1/t-1"]);
    let old = ["-c", "user.name=x", "-c", "user.email=x@x.invalid"];
    let parent = tip(&repo, "refs/heads/main");
    let tree_id = tip(&repo, "refs/heads/main^{tree}");
    let commit = format!(
        "tree {tree_id}\nparent {parent}\nauthor x <x> 978307200 +0000\ncommitter x <x> 978307200 +0000\n\nold\n"
    );
    fs::write(repo.beside("commit"), commit).unwrap();
    let made = repo.git(
        &[
            &old[..],
            &["hash-object", "-t", "commit", "-w", repo.beside("commit").to_str().unwrap()],
        ]
        .concat(),
    );
    repo.git(&["update-ref", "refs/heads/main", made.trim()]);
    let claim = shown(&repo);
    assert_eq!(
        (&claim["state"], &claim["seen"]["ahead"]),
        (&"landed".into(), &0.into()),
        "{claim}"
    );
}

#[test]
fn a_few_trees_that_make_billions_of_files_are_not_walked() {
    let repo = Repo::new();
    repo.by("codex-1", &["claim", "T-1"]).ok();
    let make = |entries: String| {
        fs::write(repo.beside("tree"), entries).unwrap();
        let listing = fs::File::open(repo.beside("tree")).unwrap();
        repo.git_answers(&["mktree"], listing).trim().to_owned()
    };
    let mut tree = make(String::new());
    for _ in 0..25 {
        tree = make(
            ["a", "b", "c", "d", "e", "f", "g", "h"]
                .map(|name| format!("040000 tree {tree}\t{name}\n"))
                .concat(),
        );
    }
    let root = make(format!("040000 tree {tree}\tzz\n"));
    let bomb = repo.git(&["commit-tree", "-p", "HEAD", "-m", "bomb", &root]);
    repo.git(&["update-ref", "refs/heads/agent/codex-1/t-1", bomb.trim()]);
    assert_eq!(
        (&shown(&repo)["state"], &shown(&repo)["seen"]["ahead"]),
        (&"active".into(), &1.into())
    );
    let below = make(format!("040000 tree {tree}\t_report\n"));
    let bomb = repo.git(&["commit-tree", "-p", "HEAD", "-m", "bomb", &below]);
    repo.git(&["update-ref", "refs/heads/bomb", bomb.trim()]);
    repo.bus(&["validate", "--base", "bomb"]).fails(9, "system");
}

#[test]
fn work_whose_branch_is_gone_is_told_of_with_the_way_back() {
    let repo = Repo::new();
    let tree = claimed(&repo);
    commit(&repo, &tree, "work", "x\n");
    repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
    let end = tip(&repo, "agent/codex-1/t-1");
    repo.git(&["worktree", "remove", "--force", tree.to_str().unwrap()]);
    repo.git(&["branch", "--quiet", "-D", "agent/codex-1/t-1"]);
    let report = || repo.by("boss", &["report", "--json"]).ok().json();
    assert_eq!(report()["needs"][0]["next"], format!("git branch agent/codex-1/t-1 {}", &end[..7]));
    // It stays until somebody settles it, however many reports are written.
    repo.by("boss", &["report"]).ok();
    assert_eq!(
        repo.by("boss", &["report", "--json"]).at("2026-03-01T13:00:00Z").ok().json()["needs"][0]["kind"],
        "unmerged"
    );
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    let task = &report()["tasks"][0];
    assert_eq!(
        (&task["verdict"], &task["seen"]["missing"]),
        (&"not in this clone".into(), &end.into()),
        "{task}"
    );
}

#[test]
fn who_has_not_begun_is_waiting() {
    let repo = Repo::new();
    for (task, engineer) in
        [("T-1", "codex-1"), ("T-2", "codex-1"), ("T-3", "codex-2"), ("T-4", "unassigned")]
    {
        repo.by("boss", &["assign", task, "--engineer", engineer]).ok();
    }
    repo.by("codex-1", &["claim", "T-1"]).ok();
    repo.by("codex-2", &["claim", "T-3"]).ok();
    repo.by("codex-2", &["release", "T-3"]).ok();
    let waiting = |arguments: &[&str]| {
        let answer = repo.bus(&[&["status", "--long", "--json"], arguments].concat()).ok().json();
        let waiting = answer["waiting"].as_array().unwrap().clone();
        waiting
            .iter()
            .map(|assignment| assignment["task_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(waiting(&[]), ["T-2"]);
    assert_eq!(
        waiting(&["--active-only"]),
        ["T-2"],
        "what is finished does not wait, whatever is shown"
    );
    assert_eq!(waiting(&["--agent", "codex-2"]), [""; 0]);
    assert!(repo.bus(&["status", "--long"]).ok().stdout.contains("T-2   waiting  codex-1"));
    assert!(repo.bus(&["status", "--json"]).ok().json().get("waiting").is_none());
    repo.write(&record("assignments/T-9.json"), "{}");
    assert_eq!(
        repo.bus(&["status", "--long"]).ok().says("_bus/assignments/T-9.json").status,
        Some(0)
    );
}

#[test]
fn a_repository_without_commits_or_branches_is_shown_as_well() {
    let repo = Repo::bare_of_bus();
    repo.git(&["update-ref", "-d", "refs/heads/main"]);
    repo.bus(&["init"]).ok();
    repo.by("codex-1", &["claim", "T-1"]).ok();
    let answer = repo.bus(&["status", "--long", "--json"]).ok().json();
    assert_eq!(
        (&answer["compared_with"], &answer["claims"][0]["seen"]["head"]),
        (&Value::Null, &Value::Null),
        "{answer}"
    );
}

/// A file in which each change puts a new line somewhere, or takes one out.
fn edit(dice: &mut Dice, tree: &Path, line: &str) {
    let path = tree.join(dice.pick(&["src/a", "CHANGELOG.md"]));
    let mut lines: Vec<String> =
        fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
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
        "squash" => {
            tried(&["merge", "--squash", "--quiet", branch])
                && tried(&["commit", "--quiet", "--message", "squashed"])
        }
        "rebase" => tried(&["cherry-pick", &format!("main..{branch}")]),
        "half" => {
            tried(&["cherry-pick", &format!("{branch}~{}", commits - 1)]);
            false
        }
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
    for seed in 0..rounds(2, 8) {
        let mut dice = Dice::new(seed);
        let repo = Repo::new();
        let lines =
            |name: &str| (0..90).map(|number| format!("{name} {number}\n")).collect::<String>();
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
            let claim = answer["claims"]
                .as_array()
                .unwrap()
                .iter()
                .find(|claim| claim["task_id"] == task.as_str())
                .unwrap();
            let state = if landed { "landed" } else { "done" };
            assert_eq!(claim["state"], state, "seed {seed}, {task}, {way}: {claim:#}");
        }
    }
}

#[test]
fn what_others_did_before_the_branch_was_made_is_no_work_on_the_task() {
    for from in ["main", "HEAD"] {
        let repo = Repo::new();
        let tree = repo.worktree("tree");
        // The claim is made one commit behind, and the branch where main is by then.
        repo.by("codex-1", &["claim", "T-1"]).within(&tree).ok();
        commit(&repo, &repo.root(), "src/other", "somebody else's\n");
        if from == "HEAD" {
            repo.git_in(&tree, &["merge", "--quiet", "--ff-only", "main"]);
        }
        repo.git_in(&tree, &["switch", "--quiet", "--create", "agent/codex-1/t-1", from]);
        repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
        let claim = shown(&repo);
        if from == "main" {
            assert_eq!(
                (&claim["state"], &claim["seen"]["landed"], &claim["seen"]["no_work"]),
                (&"done".into(), &Value::Null, &true.into()),
                "{claim}"
            );
        }
        // A commit of its own that is merged has landed, fast forward as well.
        repo.by("codex-1", &["claim", "T-1", "--reopen"]).within(&tree).ok();
        commit(&repo, &tree, "src/a", "work\n");
        repo.by("codex-1", &["release", "T-1"]).within(&tree).ok();
        repo.git(&["merge", "--quiet", "--ff-only", "agent/codex-1/t-1"]);
        let claim = shown(&repo);
        assert_eq!(
            (&claim["state"], &claim["seen"]["landed"]),
            (&"landed".into(), &"merged".into()),
            "{claim}"
        );
    }
}
