//! Evidence: stored once, never replaced, found again by its path.

use std::fs;
use std::io::Write;

use serde_json::json;

use super::harness::{Bus, Ran, Repo};

fn add<'a>(repo: &'a Repo, words: &[&str]) -> Bus<'a> {
    repo.by("a", &[&["receipt", "add"], words].concat())
}

fn with_log() -> Repo {
    let repo = Repo::new();
    repo.write("out/tests.log", "fine\n");
    repo
}

#[test]
fn the_path_of_the_copy_is_all_that_is_printed() {
    let repo = with_log();
    let ran = add(&repo, &["out/tests.log", "--task", "T-1"]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("_report/agent/a/T-1/tests.log\n", ""));
    assert_eq!(repo.read("_report/agent/a/T-1/tests.log"), "fine\n");
    let again = add(&repo, &["out/tests.log", "--task", "T-1", "--json"]).ok().json();
    assert_eq!(
        (&again["outcome"], &again["path"]),
        (&json!("unchanged"), &json!("_report/agent/a/T-1/tests.log"))
    );
    assert_eq!((&again["bytes"], again["sha256"].as_str().unwrap().len()), (&json!(5), 64));
    assert_eq!(add(&repo, &["out/tests.log"]).ok().stdout, "_report/agent/a/misc/tests.log\n");
    assert_eq!(
        add(&repo, &["out/tests.log", "--name", "x"]).ok().stdout,
        "_report/agent/a/misc/x\n"
    );
    repo.by(
        "a",
        &[
            "event",
            "log",
            "--event",
            "note",
            "--summary",
            "x",
            "--receipt",
            "_report/agent/a/misc/x",
        ],
    )
    .ok();
    repo.bus(&["validate"]).ok();
}

#[test]
fn other_bytes_of_the_same_name_replace_nothing() {
    let repo = with_log();
    for (text, path) in [
        ("1", "tests.log"),
        ("2", "tests-2.log"),
        ("3", "tests-3.log"),
        ("2", "tests-2.log"),
        ("1", "tests.log"),
    ] {
        repo.write("out/tests.log", text);
        assert_eq!(
            add(&repo, &["out/tests.log", "--task", "T-1"]).ok().stdout,
            format!("_report/agent/a/T-1/{path}\n")
        );
        assert_eq!(repo.read(&format!("_report/agent/a/T-1/{path}")), text);
    }
    repo.write("out/tests.log", "by b");
    assert_eq!(
        add(&repo, &["out/tests.log", "--agent", "b"]).ok().stdout,
        "_report/agent/b/misc/tests.log\n"
    );
}

#[test]
fn what_is_piped_in_is_stored_byte_for_byte() {
    let repo = Repo::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let input = repo.beside("input");
    fs::File::create(&input).unwrap().write_all(&bytes).unwrap();
    let script = "exec \"$0\" receipt add - --name raw.bin < \"$1\"";
    let ran = repo
        .other("sh", &["-c", script, env!("CARGO_BIN_EXE_bus"), input.to_str().unwrap()])
        .env("BUS_AGENT", "a")
        .ok();
    assert_eq!(ran.stdout, "_report/agent/a/misc/raw.bin\n");
    assert_eq!(fs::read(repo.path("_report/agent/a/misc/raw.bin")).unwrap(), bytes);
    add(&repo, &["-"]).fails(2, "usage");
    // git converts no line endings in it.
    let attributes = repo.git(&["check-attr", "text", "_report/agent/a/misc/raw.bin"]);
    assert!(attributes.ends_with("text: unset\n"), "{attributes}");
}

#[test]
fn odd_names_and_files_are_refused() {
    let repo = with_log();
    let before = repo.state();
    for name in ["../x", "a/b", ".hidden", "", "a b", "x.lock", "é"] {
        add(&repo, &["out/tests.log", "--name", name]).fails(2, "bad-id");
    }
    repo.write("out/my log.txt", "x");
    let error = add(&repo, &["out/my log.txt"]).fails(2, "bad-id");
    assert!(error["hint"].as_str().unwrap().contains("--name"), "{error}");
    fs::remove_file(repo.path("out/my log.txt")).unwrap();
    add(&repo, &["out"]).fails(9, "system");
    assert_eq!(add(&repo, &["nothing.log"]).fails(4, "no-receipt")["file"], "nothing.log");
    add(&repo, &["out/tests.log", "--step", "S1"]).fails(2, "usage");
    add(&repo, &["out/tests.log", "--plan", "nope"]).fails(4, "no-plan");
    repo.bus(&["receipt", "add", "out/tests.log"]).fails(2, "no-identity");
    assert_eq!(repo.state(), before);
}

#[test]
fn a_file_may_have_so_much_and_no_more() {
    let repo = Repo::new();
    let file = fs::File::create(repo.path("big")).unwrap();
    file.set_len(16 * 1024 * 1024).unwrap();
    add(&repo, &["big"]).ok();
    file.set_len(16 * 1024 * 1024 + 1).unwrap();
    add(&repo, &["big", "--name", "bigger"]).fails(2, "usage");
    assert_eq!(fs::read_dir(repo.path("_report/agent/a/misc")).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let repo = with_log();
    let elsewhere = repo.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir_all(repo.path("_report/agent/a/T-1")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("x"), repo.path("_report/agent/a/T-1/tests.log"))
        .unwrap();
    std::os::unix::fs::symlink(&elsewhere, repo.path("_report/agent/a/T-2")).unwrap();
    for task in ["T-1", "T-2"] {
        add(&repo, &["out/tests.log", "--task", task]).fails(5, "not-a-regular-file");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_step_names_what_was_stored_for_it() {
    let repo = with_log();
    repo.by("a", &["plan", "new", "work", "--summary", "x", "--step", "S1:t"]).ok();
    assert_eq!(
        add(&repo, &["out/tests.log", "--plan", "work"]).ok().stdout,
        "_report/agent/a/2026-03-01-work/tests.log\n"
    );
    add(&repo, &["out/tests.log", "--plan", "work", "--step", "S9"]).fails(4, "no-step");
    let added =
        add(&repo, &["out/tests.log", "--plan", "work", "--step", "S1", "--task", "T-1", "--json"])
            .ok()
            .json();
    assert_eq!(added["plan"]["steps"][0]["receipts"], json!(["_report/agent/a/T-1/tests.log"]));
    assert_eq!(
        added["plan"]["steps"][0]["receipt_hashes"]["_report/agent/a/T-1/tests.log"],
        added["sha256"]
    );
    let settled = repo.state();
    add(&repo, &["out/tests.log", "--plan", "work", "--step", "S1", "--task", "T-1"]).ok();
    assert_eq!(repo.state(), settled);
    repo.by("a", &["plan", "step", "work", "S1", "--status", "done"]).ok();
    repo.bus(&["plan", "validate", "--strict"]).ok();
}

#[test]
fn the_spelling_of_the_task_that_stands_is_the_folders() {
    let repo = with_log();
    repo.by("a", &["claim", "Task-1"]).ok();
    assert_eq!(
        add(&repo, &["out/tests.log", "--task", "TASK-1"]).ok().stdout,
        "_report/agent/a/Task-1/tests.log\n"
    );
    add(&repo, &["out/tests.log", "--task", "talk-2"]).ok();
    assert_eq!(
        add(&repo, &["out/tests.log", "--task", "TALK-2"]).ok().stdout,
        "_report/agent/a/talk-2/tests.log\n"
    );
}

#[cfg(debug_assertions)]
#[test]
fn evidence_that_was_on_its_way_is_stored_by_the_same_command() {
    for step in ["file-written-aside", "receipt-stored", "plan-written"] {
        let repo = with_log();
        repo.by("a", &["plan", "new", "work", "--summary", "x", "--step", "S1:t"]).ok();
        let words = ["out/tests.log", "--plan", "work", "--step", "S1"];
        let died = add(&repo, &words).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
        add(&repo, &words).ok();
        let folder = repo.path("_report/agent/a/2026-03-01-work");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "after a crash at {step}");
        let plan = repo.bus(&["plan", "show", "work", "--json"]).ok().json();
        assert_eq!(plan["receipts"].as_array().unwrap().len(), 1);
        repo.bus(&["plan", "validate", "--strict"]).ok();
    }
}

#[test]
fn evidence_that_is_stored_at_once_is_all_kept() {
    let repo = Repo::new();
    let texts: Vec<String> = (0..8).map(|number| format!("out {}\n", number % 4)).collect();
    for (number, text) in texts.iter().enumerate() {
        repo.write(&format!("out/{number}"), text);
    }
    let children: Vec<_> = (0..8)
        .map(|number| add(&repo, &[&format!("out/{number}"), "--name", "x.log"]).start())
        .collect();
    let mut paths: Vec<String> =
        children.into_iter().map(|child| Ran::of(child).stdout.trim_end().to_owned()).collect();
    for (path, text) in paths.iter().zip(&texts) {
        assert_eq!(repo.read(path), *text, "{path}");
    }
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 4);
}

#[test]
fn the_file_of_refused_actions_keeps_its_place() {
    let repo = with_log();
    let before = repo.state();
    for task in ["errors.jsonl", "Errors.JSONL"] {
        let error = add(&repo, &["out/tests.log", "--task", task]).fails(2, "usage");
        assert!(error["hint"].as_str().unwrap().contains("misc"), "{error}");
    }
    assert_eq!(repo.state(), before);
    add(&repo, &["out/tests.log", "--task", "errors.json"]).ok();
}

#[test]
fn a_receipt_that_git_ignores_is_warned_of() {
    let repo = with_log();
    let ignores = repo.read(".gitignore") + "*.log\n";
    repo.write(".gitignore", ignores);
    let path = "_report/agent/a/misc/tests.log";
    let fix = format!("git ignores `{path}`, so nobody else will have it: `git add -f {path}`");
    let ran = add(&repo, &["out/tests.log"]).ok().says(&fix);
    assert_eq!(ran.stdout, format!("{path}\n"));
    repo.by("a", &["plan", "new", "work", "--summary", "s", "--step", "S1:x"]).ok();
    repo.by("a", &["plan", "step", "work", "S1", "--receipt", path]).ok().says(&fix);
    repo.git(&["add", "-f", path]);
    assert_eq!(add(&repo, &["out/tests.log"]).ok().stderr, "");
    assert_eq!(add(&repo, &["out/tests.log", "--name", "tests.txt"]).ok().stderr, "");
}

#[test]
fn a_pointer_of_git_lfs_is_the_receipt_that_it_names() {
    let repo = Repo::new();
    repo.write("logs/run.bin", "the whole log");
    repo.by("a", &["plan", "new", "p", "--summary", "s", "--step", "S1:x"]).ok();
    let done = ["plan", "step", "p", "S1", "--status", "done", "--receipt", "logs/run.bin"];
    repo.by("a", &done).ok();
    repo.commit_all("proved");
    let pointer = |oid: &str| {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 13\n")
    };
    let state = || {
        let plan = repo.bus(&["plan", "show", "p", "--json"]).ok().json();
        plan["receipts"][0]["state"].clone()
    };
    // As a clone without `git lfs` has it, or one with GIT_LFS_SKIP_SMUDGE.
    let oid = agent_bus::store::sha256_of(b"the whole log").to_string();
    repo.write("logs/run.bin", pointer(&oid));
    assert_eq!(state(), "there");
    for base in [&["validate"][..], &["validate", "--base", "HEAD"]] {
        repo.bus(base).ok();
    }
    // What the pointer names is what is noted of it.
    let again = ["plan", "step", "p", "S1", "--receipt", "logs/run.bin"];
    repo.by("a", &again).ok();
    repo.write("logs/run.bin", "the whole log");
    assert_eq!(state(), "there");
    repo.write("logs/run.bin", pointer(&oid.replace(['1', '2'], "3")));
    assert_eq!(state(), "changed");
    repo.bus(&["validate"]).exits(1);
}
