//! The validator judges what the next commit has, not what a disk makes of it.

use std::fs;

use super::harness::{Ran, Repo};
use super::sound_bus::older_bus;

const CLAIM: &str = r#"{"agent_id":"codex-1","branch":"agent/codex-1/q","claimed_at":"2026-01-01T00:00:00Z","status":"active","task_id":"Q-1"}"#;

/// The rules that are broken, with their paths.
fn found(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let findings =
        report["findings"].as_array().unwrap_or_else(|| panic!("{}", ran.transcript)).iter();
    findings
        .map(|finding| {
            format!("{} {}", finding["rule"].as_str().unwrap(), finding["path"].as_str().unwrap())
        })
        .collect()
}

/// A bus with something in each folder, in files of the branches.
fn bus() -> Repo {
    let repo = older_bus();
    repo.write("_bus/claims/Q-1.json", format!("{CLAIM}\n"));
    repo.write("_bus/messages/Q-2.jsonl", "");
    repo.write("_plans/README.md", "x\n");
    repo.write("queue/001-x.md", "# Task: x\n");
    repo.write("_report/agent/codex-1/a.log", "x\n");
    repo.commit_all("records");
    repo
}

/// Commits on a branch that `path` is an entry of this mode, and judges the branch in a clone that
/// was just made.
fn judge_entry(repo: &Repo, mode: &str, path: &str, options: &[&str]) -> Ran {
    repo.git(&["checkout", "--quiet", "--force", "-B", "work", "main"]);
    repo.git(&["rm", "-r", "--quiet", "--cached", "--ignore-unmatch", "--", path]);
    let id = match mode {
        "160000" => repo.git(&["rev-parse", "HEAD"]),
        _ => {
            fs::write(repo.beside("target"), "/dev/zero").unwrap();
            repo.git(&["hash-object", "-w", repo.beside("target").to_str().unwrap()])
        }
    };
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{},{path}", id.trim())]);
    repo.git(&["commit", "--quiet", "--message", "entry"]);
    repo.git(&["reset", "--quiet", "--hard"]);
    let clone = repo.beside("clone");
    let _ = fs::remove_dir_all(&clone);
    let root = repo.root();
    let all = [
        &["clone", "--quiet"],
        options,
        &["--branch", "work", root.to_str().unwrap(), clone.to_str().unwrap()],
    ];
    repo.git(&all.concat());
    repo.bus(&["validate", "--base", "origin/main", "--json"]).within(&clone).run()
}

#[test]
fn a_submodule_where_the_bus_keeps_something_is_found_whatever_is_checked_out() {
    let repo = bus();
    for path in [
        "_bus",
        "_bus/messages",
        "_bus/locks",
        "_bus/assignments",
        "_bus/meta",
        "_plans",
        "queue",
        "_report",
        "_report/agent/codex-2",
    ] {
        let ran = judge_entry(&repo, "160000", path, &[]);
        assert!(found(&ran).contains(&format!("not-a-file {path}")), "{path}: {}", ran.transcript);
    }
    for path in
        ["_bus/claims/Q-1.json", "_bus/claims/Q-9.json", "queue/002-y.md", "_bus/events/deep/er"]
    {
        let ran = judge_entry(&repo, "160000", path, &[]);
        assert!(found(&ran).contains(&format!("not-a-file {path}")), "{path}: {}", ran.transcript);
    }
    for path in ["vendor/lib", "src/_bus", "busy"] {
        assert_eq!(found(&judge_entry(&repo, "160000", path, &[])), [""; 0], "{path}");
    }
}

#[test]
fn a_link_is_found_where_a_disk_makes_a_file_of_it() {
    let repo = bus();
    let as_files = ["--config", "core.symlinks=false"];
    for path in [
        "_bus/claims/Q-1.json",
        "_bus/events",
        "_plans",
        "_bus/config.toml",
        "_report/agent/codex-1",
        "_report/manager",
        "_bus/claims/.gitattributes",
    ] {
        for options in [&as_files[..], &[]] {
            let ran = judge_entry(&repo, "120000", path, options);
            let told = found(&ran)
                .iter()
                .filter(|finding| **finding == format!("not-a-file {path}"))
                .count();
            assert_eq!(told, 1, "{path}: {}", ran.transcript);
        }
    }
    for path in ["_bus/notes", "_report/agent/codex-1/b.log", "queue/README.md"] {
        assert_eq!(found(&judge_entry(&repo, "120000", path, &as_files)), [""; 0], "{path}");
    }
}

#[test]
fn what_the_base_has_already_is_nobodys_doing() {
    let repo = bus();
    let head = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{},queue/lib", head.trim()),
    ]);
    repo.git(&["commit", "--quiet", "--message", "submodule"]);
    repo.git(&["switch", "--quiet", "--create", "topic"]);
    repo.write("queue/002-y.md", "# Task: y\n");
    // `git add --all` would take the submodule out, which is not checked out.
    repo.git(&["add", "queue/002-y.md"]);
    repo.git(&["commit", "--quiet", "--message", "item"]);
    assert_eq!(found(&repo.bus(&["validate", "--base", "main", "--json"]).ok()), [""; 0]);
    assert_eq!(found(&repo.bus(&["validate", "--json"]).exits(1)), ["not-a-file queue/lib"]);
}

#[test]
fn a_name_that_is_the_buss_where_letter_case_does_not_count_is_found() {
    let repo = bus();
    if repo.path(".GIT").exists() {
        return;
    }
    for (path, told) in [
        ("_BUS/claims/Q-9.json", "_BUS/claims/Q-9.json"),
        ("_bus/Claims/Q-9.json", "_bus/Claims/Q-9.json"),
        ("_bus/claims/Q-9.JSON", "_bus/claims/Q-9.JSON"),
        ("_bus/me\u{df}ages/x.jsonl", "_bus/me\u{df}ages/x.jsonl"),
        ("Queue/notes.txt", "Queue"),
        ("QUEUE/007-y.md", "QUEUE/007-y.md"),
        ("queue/007-y.MD", "queue/007-y.MD"),
        ("_Plans/2026-01-01-a.plan.json", "_Plans/2026-01-01-a.plan.json"),
        ("_bu\u{17f}/x", "_bu\u{17f}"),
        ("_bus\u{200c}/x", "_bus\u{200c}"),
        ("_bus./x", "_bus."),
        ("_report/Agent/codex-1/a.log", "_report/Agent"),
        ("_bus/Config.toml", "_bus/Config.toml"),
        ("_bus/claims/.GitAttributes", "_bus/claims/.GitAttributes"),
    ] {
        repo.git(&["checkout", "--quiet", "--force", "-B", "work", "main"]);
        repo.write(path, "x\n");
        repo.git(&["add", "--all"]);
        let ran = repo.bus(&["validate", "--base", "main", "--json"]).exits(1);
        assert_eq!(found(&ran), [format!("misplaced-record {told}")], "{path}: {}", ran.transcript);
        repo.git(&["reset", "--quiet", "--hard"]);
        let _ = fs::remove_dir(repo.path(path).parent().unwrap());
    }
    for path in [
        "_busy/x",
        "queues/007-y.md",
        "src/_BUS/x",
        "_bus/claims/README.MD",
        "queue/README.Md",
        "_bus/meta/x.txt",
    ] {
        repo.write(path, "x\n");
        repo.git(&["add", "--all"]);
        repo.bus(&["validate", "--base", "main", "--strict"]).ok();
        repo.git(&["reset", "--quiet", "--hard"]);
    }
}

#[test]
fn what_would_take_the_place_of_a_manifest_is_found() {
    let repo = bus();
    for path in [
        "AGENT_MANIFEST.json",
        "agent_manifest.LOCAL.json",
        "AGENT_MANIFEST.json.",
        "AGENT_MANIFEST.json/x",
    ] {
        repo.git(&["checkout", "--quiet", "--force", "-B", "work", "main"]);
        repo.write(path, "{}\n");
        repo.git(&["add", "--force", path]);
        repo.git(&["commit", "--quiet", "--message", "manifest"]);
        let ran = repo
            .bus(&["validate", "--base", "main", "--rule", "tracked-manifest", "--json"])
            .exits(1);
        assert_eq!(found(&ran), [format!("tracked-manifest {path}")], "{}", ran.transcript);
    }
    for path in ["sub/AGENT_MANIFEST.json", "AGENT_MANIFEST.md"] {
        repo.git(&["checkout", "--quiet", "--force", "-B", "work", "main"]);
        repo.write(path, "{}\n");
        repo.git(&["add", "--force", path]);
        repo.git(&["commit", "--quiet", "--message", "no manifest"]);
        repo.bus(&["validate", "--base", "main", "--strict", "--branch=work"]).ok();
    }
}

#[test]
fn attributes_that_change_are_held_against_files_that_do_not() {
    let repo = bus();
    let base = repo.read(".gitattributes");
    for (place, told) in [
        (".gitattributes", vec!["_bus/claims/Q-1.json", "queue/001-x.md"]),
        ("_bus/.gitattributes", vec!["_bus/claims/Q-1.json"]),
        ("queue/.gitattributes", vec!["queue/001-x.md"]),
    ] {
        let before = if place == ".gitattributes" { base.as_str() } else { "" };
        repo.write(place, format!("{before}Q-1.json ident\n001-x.md filter=x\n"));
        repo.git(&["add", "--all"]);
        let told: Vec<String> =
            told.into_iter().map(|path| format!("altered-by-git {path}")).collect();
        assert_eq!(
            found(&repo.bus(&["validate", "--base", "main", "--json"]).exits(1)),
            told,
            "{place}"
        );
        repo.git(&["reset", "--quiet", "--hard"]);
    }
    // Attributes of the base alter nothing anew, and others alter nothing.
    repo.write("queue/.gitattributes", "*.md text\n");
    repo.commit_all("attributes");
    repo.bus(&["validate", "--base", "main~1", "--strict"]).ok();
    repo.write("queue/.gitattributes", "001-x.md ident\n");
    repo.commit_all("attributes of the base");
    repo.bus(&["validate", "--base", "main", "--strict"]).ok();
}

#[cfg(unix)]
#[test]
fn nothing_without_an_end_is_read() {
    let repo = bus();
    let link = |target: &str, path: &str| {
        let place = repo.path(path);
        let _ = fs::remove_file(&place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, place).unwrap();
    };
    for path in [
        "_bus/claims/.gitattributes",
        "_bus/.gitattributes",
        "queue/.gitattributes",
        "_bus/claims/Q-9.json",
        "_bus/events/x.jsonl",
    ] {
        link("/dev/zero", path);
        repo.git(&["add", "--all"]);
        let ran = repo.bus(&["validate", "--base", "main", "--json"]).exits(1);
        assert_eq!(found(&ran), [format!("not-a-file {path}")], "{}", ran.transcript);
        repo.git(&["reset", "--quiet", "--hard"]);
    }
    // A pipe, which git does not know, waits for a writer that never comes.
    for path in [
        "_bus/claims/.gitattributes",
        "_bus/claims/Q-9.json",
        "_bus/.gitignore",
        "_bus/claims/Q-1.json",
    ] {
        let _ = fs::remove_file(repo.path(path));
        repo.other("mkfifo", &[repo.path(path).to_str().unwrap()]).ok();
        repo.bus(&["validate", "--base", "main"]).run();
        fs::remove_file(repo.path(path)).unwrap();
        repo.git(&["reset", "--quiet", "--hard"]);
    }
    repo.bus(&["validate", "--base", "main", "--strict"]).ok();
}

#[test]
fn a_policy_that_a_sparse_checkout_leaves_out_is_still_there() {
    let repo = bus();
    repo.git(&["switch", "--quiet", "--create", "agent/codex-1/x"]);
    repo.git(&["sparse-checkout", "set", "--no-cone", "/queue/", "/_plans/"]);
    let ran = repo.bus(&["validate", "--base", "main", "--rule", "policy-changed", "--json"]).run();
    assert!(!ran.stdout.contains("policy-changed"), "{}", ran.transcript);
}

#[test]
fn without_a_branch_that_is_said_and_fails_if_it_must() {
    let repo = bus();
    repo.git(&["switch", "--quiet", "--detach", "main"]);
    repo.write("queue/002-y.md", "# Task: y\n");
    repo.commit_all("item");
    let base = ["validate", "--base", "main", "--json"];
    assert_eq!(found(&repo.bus(&base).ok()), ["not-judged HEAD"]);
    repo.bus(&base).arg("--strict").exits(1);
    for branch in ["--branch=agent/codex-1/x", "--branch=topic", "--branch="] {
        assert_eq!(found(&repo.bus(&base).arg(branch).arg("--strict").ok()), [""; 0], "{branch}");
    }
    repo.bus(&["validate", "--strict"]).ok();
}

#[test]
fn a_usage_error_shows_what_was_typed_and_turns_nothing_around() {
    let repo = bus();
    for (arguments, shown) in [
        (vec!["claim", "Q-1", "--no\u{202e}pe"], "--no\\u{202e}pe"),
        (vec!["val\u{1b}[31midate"], "val\\u{1b}[31midate"),
        (vec!["validate", "--format", "te\u{9b}xt"], "te\\u{9b}xt"),
        (vec!["claim", "../\u{2066}x"], "\\u{2066}"),
        (vec!["claim", "Q-1", "x\ry"], "x\\ry"),
    ] {
        let ran = repo.bus(&arguments).exits(2);
        assert!(ran.stderr.contains(shown), "{}", ran.transcript);
        let is_raw =
            |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c));
        assert!(!ran.stderr.contains(is_raw), "{:?}", ran.stderr);
    }
    // What is harmless stays as it is.
    assert!(repo.bus(&["claim", "größer/日本"]).exits(2).stderr.contains("größer/日本"));
}
