//! Whether changed paths are the agent's to change, through the binary and through git's hooks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Bus, Repo, record};
use super::locks::acquire;

/// A bus where `a` holds `src/**` without `src/gen/`, and `b` holds `docs/`; returns the leases of
/// both, too.
fn with_leases() -> (Repo, String, String) {
    let repo = Repo::new();
    for path in ["src/a", "src/gen/a", "docs/a", "other", "README.md"] {
        repo.write(path, "x\n");
    }
    repo.commit_all("files");
    let a = acquire(&repo, "a", &["src/**", "--deny", "src/gen/"]);
    let b = acquire(&repo, "b", &["docs/"]);
    repo.commit_all("leases");
    (repo, a, b)
}

/// The same with the hooks of `bus`.
fn with_hooks() -> Repo {
    let (repo, ..) = with_leases();
    repo.bus(&["init", "--hooks"]).ok();
    repo
}

/// git as an agent uses it, with this `bus` on the PATH.
fn git<'a>(repo: &'a Repo, agent: &str, folder: &Path, arguments: &[&str]) -> Bus<'a> {
    let user = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
    let tools = Path::new(env!("CARGO_BIN_EXE_bus")).parent().unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    repo.other("git", &[&user, arguments].concat())
        .within(folder)
        .env("PATH", &path)
        .env("BUS_AGENT", agent)
}

/// The paths that are denied, and why.
fn denied(error: &Value) -> Vec<(&str, &str)> {
    let denied = error["denied"].as_array().unwrap().iter();
    denied
        .map(|denied| (denied["path"].as_str().unwrap(), denied["reason"].as_str().unwrap()))
        .collect()
}

#[test]
fn what_nobody_else_holds_is_allowed_and_what_somebody_holds_is_denied_with_all_facts() {
    let (repo, a, _) = with_leases();
    for path in ["src/a", "src/gen/a", "other", "_bus/note"] {
        repo.write(path, "changed\n");
    }
    repo.git(&["add", "--all"]);
    let allowed = repo.by("a", &["check", "--json"]).ok().json();
    assert_eq!(
        allowed,
        json!({"allowed": true, "agent": "a", "of": "staged", "paths": 3, "override": null})
    );
    assert_eq!(repo.by("a", &["check"]).ok().stdout, "allowed: 3 paths staged\n");
    assert_eq!(repo.by("a", &["check", "--quiet"]).ok().stdout, "");
    let error = repo.by("b", &["check"]).fails(1, "path-denied");
    assert_eq!(
        (denied(&error), &error["paths"], &error["agent"]),
        (vec![("src/a", "held")], &json!(3), &json!("b"))
    );
    let path = &error["denied"][0];
    assert_eq!(
        (&path["lock_id"], &path["owner"], &path["objective"]),
        (&json!(a), &json!("a"), &json!("x"))
    );
    assert_eq!(
        (&path["expires_at"], &path["patterns"]),
        (&json!("2026-03-01T12:50:00Z"), &json!("src/** !src/gen/"))
    );
    assert!(path["hint"].as_str().unwrap().contains("bus message send --to a"), "{path}");
    let ran = repo.by("b", &["check"]).exits(1).says("1 of 3 paths staged is not b's to change");
    assert_eq!(ran.stdout, format!("`src/a` is in `{a}`, a's until 2026-03-01T12:50:00Z: x\n"));
    let nobody = repo.bus(&["check"]).fails(1, "path-denied");
    assert_eq!((denied(&nobody), &nobody["agent"]), (vec![("src/a", "held")], &Value::Null));
    assert!(nobody["hint"].as_str().unwrap().contains("BUS_AGENT"));
}

#[test]
fn shared_leases_keep_nobody_out_and_those_that_are_over_do_until_they_are_taken() {
    let repo = Repo::new();
    repo.write("x", "x");
    repo.git(&["add", "x"]);
    let shared = acquire(&repo, "a", &["x", "--shared"]);
    repo.by("b", &["check"]).ok();
    repo.by("a", &["lock", "release", &shared]).ok();
    let id = acquire(&repo, "a", &["x"]);
    let error = repo.by("b", &["check"]).at("2026-03-02T12:00:00Z").fails(1, "path-denied");
    assert_eq!(error["denied"][0]["reclaimable"], "expired");
    assert_eq!(
        error["hint"].as_str().unwrap().matches(&format!("bus lock reclaim {id}")).count(),
        1
    );
    repo.by("a", &["check"]).at("2026-03-02T12:00:00Z").ok();
    repo.by("b", &["lock", "reclaim", &id, "--note", "x"]).at("2026-03-02T12:00:00Z").ok();
    repo.by("b", &["check"]).at("2026-03-02T12:00:00Z").ok();
    repo.by("a", &["check"]).at("2026-03-02T12:00:00Z").fails(1, "path-denied");
}

#[test]
fn the_policy_wants_leases_for_hotspots_or_for_all_of_agents_alone() {
    let (repo, ..) = with_leases();
    let require = |what: &str| {
        repo.write(
            "_bus/config.toml",
            format!("[locks]\nrequire = \"{what}\"\nhotspots = [\"*.md\", \"src/\"]\n"),
        )
    };
    for path in ["src/a", "other", "README.md", "queue/001-x.md"] {
        repo.write(path, "changed\n");
    }
    repo.git(&["add", "--all"]);
    require("off");
    repo.by("a", &["check"]).ok();
    require("hotspots");
    let error = repo.by("a", &["check"]).fails(1, "path-denied");
    assert_eq!(
        (denied(&error), &error["denied"][0]["pattern"]),
        (vec![("README.md", "hotspot")], &json!("*.md"))
    );
    require("all");
    let error = repo.by("a", &["check"]).fails(1, "path-denied");
    assert_eq!(denied(&error), [("README.md", "no-lease"), ("other", "no-lease")]);
    assert_eq!(
        denied(&repo.bus(&["check"]).fails(1, "path-denied")),
        [("src/a", "held")],
        "people need none"
    );
    acquire(&repo, "a", &["*", "--shared"]);
    repo.by("a", &["check"]).ok();
}

#[test]
fn only_files_of_the_bus_are_free_of_leases_and_not_all_of_its_folders() {
    let repo = Repo::new();
    acquire(&repo, "b", &["queue/**", "_plans/**", "_report/**"]);
    let own = ["queue/001-x.md", "_plans/2026-01-01-x.plan.json", "_report/agent/a/T-1/test.txt"];
    let projects = ["queue/worker.go", "_plans/notes.md", "_report/run.py", "queue/sub/001-x.md"];
    for path in own {
        repo.by("a", &["check", "--paths", path]).ok();
    }
    for path in projects {
        let error = repo.by("a", &["check", "--paths", path]).fails(1, "path-denied");
        assert_eq!(denied(&error), [(path, "held")]);
    }
    for path in own.iter().chain(&projects) {
        repo.write(path, "x\n");
    }
    repo.git(&["add", "--force", "--all"]);
    let error = repo.by("a", &["check"]).fails(1, "path-denied");
    let mut all: Vec<_> = projects.iter().map(|path| (*path, "held")).collect();
    all.sort_unstable();
    assert_eq!(denied(&error), all);
}

#[test]
fn what_cannot_be_checked_is_neither_yes_nor_no() {
    let (repo, ..) = with_leases();
    repo.by("a", &["check", "--base", "nowhere"]).fails(5, "could-not-check");
    let error = repo
        .by("a", &["check"])
        .env("BUS_OVERRIDE", "x")
        .env("PATH", "/nowhere")
        .fails(5, "could-not-check");
    assert_eq!(error["cause"], "system");
    repo.write("_bus/config.toml", "[locks]\nrequire = \"some\"\n");
    assert_eq!(repo.by("a", &["check"]).fails(5, "could-not-check")["cause"], "malformed-config");
    assert_eq!(
        Repo::bare_of_bus().by("a", &["check"]).fails(5, "could-not-check")["cause"],
        "no-bus"
    );
}

#[test]
fn any_spelling_of_a_path_gets_an_answer() {
    let (repo, ..) = with_leases();
    let link = repo.beside("link");
    std::os::unix::fs::symlink(repo.root(), &link).unwrap();
    std::os::unix::fs::symlink("docs", repo.path("papers")).unwrap();
    std::os::unix::fs::symlink("docs/guide", repo.path("GUIDE")).unwrap();
    std::os::unix::fs::symlink("/etc", repo.path("system")).unwrap();
    repo.write("docs/guide", "x");
    repo.write("free/a", "x");
    let other = repo.worktree("other");
    let denies = |path: &str| {
        let error = repo.by("a", &["check", "--paths", path]).fails(1, "path-denied");
        denied(&error).iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
    };
    let link = link.to_str().unwrap();
    for (path, file) in [
        (format!("{link}/docs/guide"), "docs/guide"),
        (format!("{link}/docs/new"), "docs/new"),
        (repo.path("docs/guide").to_str().unwrap().to_owned(), "docs/guide"),
        (other.join("docs/guide").to_str().unwrap().to_owned(), "docs/guide"),
        ("papers/guide".to_owned(), "docs/guide"),
        ("papers/../docs/x/../guide".to_owned(), "docs/guide"),
        ("GUIDE".to_owned(), "docs/guide"),
    ] {
        assert_eq!(denies(&path), [file], "{path}");
    }
    for path in ["papers", "docs", "."] {
        assert_eq!(denies(path), ["docs/a", "docs/guide"], "{path}");
    }
    for path in ["free", "free/no", "/etc/hostname", "../x", "system/hostname", ".git/config"] {
        repo.by("a", &["check", "--paths", path]).ok();
    }
    let outside = repo.by("a", &["check", "--paths", "/etc/hostname"]).ok();
    outside.says("`/etc/hostname` is in no worktree of this clone");
    std::os::unix::fs::symlink("loop", repo.path("loop")).unwrap();
    let error = repo.by("a", &["check", "--paths", "loop/x"]).fails(5, "could-not-check");
    assert_eq!(error["cause"], "system");
}

#[test]
fn worktree_branch_and_named_files_are_checked_alike() {
    let (repo, ..) = with_leases();
    repo.write("docs/new", "x");
    repo.by("a", &["check"]).ok();
    assert_eq!(
        denied(&repo.by("a", &["check", "--worktree"]).fails(1, "path-denied")),
        [("docs/new", "held")]
    );
    repo.git(&["checkout", "--quiet", "-b", "agent/a/x"]);
    repo.commit_all("new");
    repo.by("a", &["check", "--worktree"]).ok();
    assert_eq!(
        denied(&repo.by("a", &["check", "--base", "main"]).fails(1, "path-denied")),
        [("docs/new", "held")]
    );
    let named = ["check", "--paths", "./a", "../docs/gone", "../docs/../src/a"];
    assert_eq!(
        denied(&repo.by("a", &named).within(&repo.path("src")).fails(1, "path-denied")),
        [("docs/gone", "held")]
    );
}

#[test]
fn an_override_says_why_and_is_logged() {
    let (repo, a, _) = with_leases();
    repo.write("src/a", "changed\n");
    repo.git(&["add", "--all"]);
    repo.by("b", &["check"]).env("BUS_OVERRIDE", " ").fails(1, "path-denied");
    let error = repo.bus(&["check"]).env("BUS_OVERRIDE", "x").fails(1, "path-denied");
    assert!(error["hint"].as_str().unwrap().contains("say who you are"), "it could not be logged");
    repo.by("a", &["check"]).env("BUS_OVERRIDE", "not needed").ok();
    let overrides = || {
        let listed = repo.bus(&["event", "list", "--event", "override", "--json"]).ok();
        listed.ndjson()
    };
    assert!(overrides().is_empty());
    let done = repo.by("b", &["check", "--json"]).env("BUS_OVERRIDE", "a is on leave").ok().json();
    assert_eq!(
        (&done["allowed"], &done["override"]["reason"]),
        (&json!(true), &json!("a is on leave"))
    );
    let events = overrides();
    let event = &events[0];
    assert_eq!(
        (events.len(), &event["id"], &event["agent_id"]),
        (1, &done["override"]["event"], &json!("b"))
    );
    assert_eq!(
        (&event["summary"], &event["severity"]),
        (&json!("a is on leave"), &json!("medium"))
    );
    assert_eq!(
        (&event["paths"], &event["paths_in_all"], &event["locks"]),
        (&json!(["src/a"]), &json!(1), &json!([a]))
    );
    let report = repo.by("boss", &["report", "--stdout", "--json"]).ok().json();
    let needs = report["needs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|need| need["kind"] == "override")
        .cloned()
        .unwrap();
    assert_eq!(
        needs["what"],
        "b changed src/a without leave at 2026-03-01T12:00:00Z: a is on leave"
    );
}

#[test]
fn a_commit_is_checked_by_the_hook_with_the_index_that_it_makes_for_itself() {
    let repo = with_hooks();
    let root = repo.root();
    repo.write("docs/a", "changed\n");
    repo.write("src/a", "changed\n");
    git(&repo, "a", &root, &["commit", "--quiet", "--all", "--message=x"])
        .exits(1)
        .says("not a's to change");
    git(&repo, "a", &root, &["commit", "--quiet", "--message=x", "docs/a"]).exits(1);
    git(&repo, "a", &root, &["commit", "--quiet", "--message=x", "src/a"]).ok();
    git(&repo, "a", &root, &["commit", "--quiet", "--all", "--message=x"])
        .env("BUS_OVERRIDE", "a typo")
        .ok();
    assert!(repo.read(&record("events/a.jsonl")).contains("\"paths\":[\"docs/a\"]"));
    assert_eq!(repo.git(&["show", "--format=", "--name-only", "HEAD"]), "docs/a\n");
}

#[test]
fn both_names_of_a_rename_across_scopes_are_checked() {
    let repo = with_hooks();
    repo.git(&["mv", "docs/a", "src/moved"]);
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--message=x"])
        .exits(1)
        .says("1 of 2 paths staged");
    git(&repo, "b", &repo.root(), &["commit", "--quiet", "--message=x"])
        .exits(1)
        .says("1 of 2 paths staged");
    repo.git(&["reset", "--quiet", "--hard"]);
    repo.git(&["mv", "docs/a", "docs/moved"]);
    git(&repo, "b", &repo.root(), &["commit", "--quiet", "--message=x"]).ok();
}

#[test]
fn a_merge_that_only_carries_files_in_is_allowed() {
    let repo = with_hooks();
    repo.git(&["checkout", "--quiet", "-b", "agent/a/x"]);
    repo.write("src/a", "of a\n");
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--all", "--message=x"]).ok();
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("docs/a", "of b\n");
    git(&repo, "b", &repo.root(), &["commit", "--quiet", "--all", "--message=x"]).ok();
    repo.git(&["checkout", "--quiet", "agent/a/x"]);
    repo.git(&["merge", "--quiet", "--no-commit", "--no-ff", "main"]);
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--message=merged"]).ok();
    repo.by("a", &["check", "--base", "main"]).ok();
    repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    repo.git(&["merge", "--quiet", "--no-commit", "--no-ff", "main"]);
    repo.write("docs/a", "of b, and more\n");
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--all", "--message=merged"]).exits(1);
}

/// What `bus validate` finds of leases on this branch, compared with `main`: rules and paths.
fn found(repo: &Repo) -> Vec<(String, String)> {
    let report = repo.bus(&["validate", "--base", "main", "--json"]).run().json();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let all = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (text(finding, "rule"), text(finding, "path")));
    all.filter(|(rule, _)| rule.starts_with("path-") || rule.starts_with("lease-")).collect()
}

#[test]
fn what_was_committed_past_the_hook_is_found_by_the_validator() {
    let repo = with_hooks();
    let told = |path: &str| vec![("path-leased".to_owned(), path.to_owned())];
    repo.git(&["checkout", "--quiet", "-b", "agent/a/x"]);
    repo.write("docs/a", "changed\n");
    repo.write("src/a", "changed\n");
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--all", "--no-verify", "--message=x"])
        .ok();
    assert_eq!(found(&repo), told("docs/a"));
    repo.by("b", &["lock", "release"]).ok();
    assert_eq!(
        found(&repo),
        [],
        "what the base has as live is over: the table of this clone knows"
    );
    repo.by("a", &["lock", "release"]).ok();
    acquire(&repo, "b", &["src/a"]);
    assert_eq!(found(&repo), told("src/a"), "the table alone knows of it");
}

#[test]
fn a_branch_that_merges_main_has_not_changed_what_came_with_it() {
    let repo = with_hooks();
    repo.git(&["checkout", "--quiet", "-b", "agent/a/x"]);
    repo.write("src/a", "of a\n");
    repo.commit_all("mine");
    repo.git(&["checkout", "--quiet", "main"]);
    repo.write("docs/a", "of b\n");
    git(&repo, "b", &repo.root(), &["commit", "--quiet", "--all", "--message=theirs"]).ok();
    repo.git(&["checkout", "--quiet", "agent/a/x"]);
    repo.git(&["merge", "--quiet", "--no-commit", "--no-ff", "main"]);
    assert_eq!(found(&repo), [], "while the merge waits");
    repo.commit_all("merged");
    assert_eq!(found(&repo), []);
    repo.git(&["mv", "docs/a", "src/b"]);
    assert_eq!(found(&repo), [("path-leased".to_owned(), "docs/a".to_owned())], "moved out of it");
}

#[test]
fn a_linked_worktree_is_another_place_with_its_own_index() {
    let repo = with_hooks();
    let tree = repo.worktree("wt");
    fs::write(tree.join("docs/a"), "changed\n").unwrap();
    repo.write("other", "changed\n");
    git(&repo, "a", &tree, &["commit", "--quiet", "--all", "--message=x"]).exits(1);
    let error = repo.by("b", &["check", "--worktree"]).within(&tree).fails(1, "path-denied");
    assert_eq!(denied(&error), [("docs/a", "held")], "the same name in two places is two workers");
    assert!(error["hint"].as_str().unwrap().contains("of the lease"));
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--all", "--message=x"]).ok();
}

#[test]
fn a_hook_of_another_tool_still_runs_first() {
    let (repo, ..) = with_leases();
    repo.write(".git/hooks/pre-commit", "#!/bin/sh\necho ran >> ran\n");
    fs::set_permissions(repo.path(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755))
        .unwrap();
    repo.bus(&["init", "--hooks"]).ok();
    repo.write("docs/a", "changed\n");
    git(&repo, "a", &repo.root(), &["commit", "--quiet", "--all", "--message=x"]).exits(1);
    git(&repo, "b", &repo.root(), &["commit", "--quiet", "--all", "--message=x"]).ok();
    assert_eq!(repo.read("ran"), "ran\nran\n");
}

#[test]
fn where_letter_case_does_not_count_another_spelling_is_the_same_path() {
    let (repo, ..) = with_leases();
    repo.write("DOCS/b", "x");
    repo.git(&["add", "--all"]);
    repo.by("a", &["check"]).ok();
    repo.git(&["config", "core.ignorecase", "true"]);
    repo.by("a", &["check"]).fails(1, "path-denied");
}

#[test]
fn a_lease_that_came_with_a_claim_counts_as_long_as_the_claim() {
    let repo = Repo::new();
    repo.write("src/a", "x");
    repo.git(&["add", "--all"]);
    repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
    repo.by("b", &["check"]).fails(1, "path-denied");
    repo.by("a", &["release", "T-1"]).ok();
    repo.by("b", &["check"]).ok();
}
