//! What a crash, a copy or a hand edit leaves is found, and mended on request.

use std::fs;
use std::process::Command;

use super::harness::{Ran, Repo};

/// The names and places of what is found; nothing is changed by looking.
fn found(repo: &Repo) -> Vec<(String, String)> {
    let before = repo.state();
    let ran = repo.bus(&["doctor", "--json"]).run();
    assert_eq!(repo.state(), before, "looking changes nothing");
    let list = ran.json()["findings"].as_array().unwrap().clone();
    assert_eq!(ran.status, Some(i32::from(!list.is_empty())), "{}", ran.transcript);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    list.iter().map(|finding| (text(&finding["name"]), text(&finding["place"]))).collect()
}

fn names(repo: &Repo) -> Vec<String> {
    found(repo).into_iter().map(|(name, _)| name).collect()
}

/// Mends everything; nothing must be left.
fn mend(repo: &Repo) -> Ran {
    let ran = repo.bus(&["doctor", "--fix"]).exits(0);
    assert_eq!(found(repo), []);
    ran
}

/// Makes a file look as if it were two minutes old at the tests' noon.
fn age(path: &std::path::Path) {
    let noon = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
    fs::File::options().write(true).open(path).unwrap().set_modified(noon - std::time::Duration::from_secs(120)).unwrap();
}

#[test]
fn nothing_is_wrong_with_a_bus_in_use() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1", "--ttl", "1h"]).ok();
    repo.by("a", &["heartbeat", "T-1"]).ok();
    repo.by("b", &["claim", "T-2"]).within(&other).ok();
    repo.by("b", &["release", "T-2"]).within(&other).ok();
    repo.by("c", &["claim", "T-2", "--reopen"]).ok();
    assert_eq!(found(&repo), []);
    assert_eq!(repo.bus(&["doctor"]).within(&other).ok().stdout, "nothing is wrong\n", "a file behind another's ref is normal");
    assert_eq!(repo.bus(&["doctor", "--fix"]).ok().stdout, "nothing is wrong\n");
}

#[cfg(debug_assertions)]
#[test]
fn a_command_that_died_is_finished() {
    for (step, name) in [("ref-written", "missing-file"), ("event-settled", "missing-file")] {
        let repo = Repo::new();
        repo.by("a", &["event", "log", "--event", "note", "--task", "W-1", "--summary", "warm"]).ok();
        repo.by("a", &["claim", "T-1"]).env("BUS_CRASH_AT", step).run();
        assert_eq!(names(&repo), [name], "{step}");
        mend(&repo);
        assert_eq!((repo.claim("T-1"), repo.log_lines().len()), (repo.tip("T-1"), 2), "{step}");
        repo.by("a", &["release", "T-1"]).env("BUS_CRASH_AT", step).run();
        assert_eq!(names(&repo), ["unsettled-claim"], "{step}");
        mend(&repo);
        assert_eq!((repo.claim("T-1"), repo.log_lines().len()), (repo.tip("T-1"), 3), "{step}");
    }
}

#[test]
fn a_file_that_was_edited_is_kept_aside_and_one_that_is_ahead_is_left_to_a_person() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let file = repo.read("_bus/claims/T-1.json");
    repo.write("_bus/claims/T-1.json", file.replace("\"revision\": 1", "\"revision\": 5"));
    assert_eq!(names(&repo), ["claim-edited"]);
    mend(&repo);
    assert_eq!(repo.read("_bus/claims/T-1.json"), file);
    let kept = fs::read_dir(repo.path(".git/bus/broken")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(kept).unwrap().contains("\"revision\": 5"));
    let foreign = file
        .replace("\"revision\": 1", "\"revision\": 5")
        .replace("\"claim_id\": \"", "\"claim_id\": \"x")
        .replace("\"a\"", "\"z\"");
    repo.write("_bus/claims/T-1.json", &foreign);
    assert_eq!(names(&repo), ["claim-ahead"]);
    let ran = repo.bus(&["doctor", "--fix"]).exits(1);
    assert!(ran.stdout.contains("it names z, active, at revision 5, the ref names a, active, at revision 1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("look at `git log refs/bus/claims/T-1`"), "{}", ran.stdout);
    assert_eq!(repo.read("_bus/claims/T-1.json"), foreign);
}

#[test]
fn a_claim_file_that_a_merge_broke_is_restored_from_its_ref() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let file = repo.read("_bus/claims/T-1.json");
    repo.write("_bus/claims/T-1.json", format!("<<<<<<< HEAD\n{file}"));
    repo.write("_bus/claims/T-2.json", "{");
    assert_eq!(names(&repo), ["malformed-claim", "malformed-claim"]);
    let ran = repo.bus(&["doctor", "--fix"]).exits(1);
    assert!(ran.stdout.contains("mended malformed-claim: _bus/claims/T-1.json"), "{}", ran.stdout);
    assert!(ran.stdout.contains("found malformed-claim: _bus/claims/T-2.json"), "{}", ran.stdout);
    assert_eq!((repo.read("_bus/claims/T-1.json"), repo.read("_bus/claims/T-2.json")), (file, "{".to_owned()));
}

#[test]
fn a_damaged_ref_is_set_aside() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    fs::write(repo.path(".git/refs/bus/claims/T-1"), "").unwrap();
    assert_eq!(found(&repo), [("unreadable-ref".to_owned(), "refs/bus/claims/T-1".to_owned())]);
    mend(&repo);
    assert_eq!(repo.tip("T-1"), repo.claim("T-1"));
}

#[test]
fn the_journal_and_a_torn_line_are_made_whole() {
    let repo = Repo::new();
    let note = |summary: &str| repo.by("a", &["event", "log", "--event", "note", "--summary", summary]);
    note("one").ok();
    repo.write(".git/index.lock", "");
    note("two").ok();
    let log = repo.read("_bus/events/a.jsonl");
    repo.write("_bus/events/a.jsonl", format!("{}\n{{\"torn", log.lines().next().unwrap()));
    assert_eq!(names(&repo), ["torn-line", "journal"]);
    repo.bus(&["doctor", "--fix"]).exits(1);
    assert_eq!(names(&repo), ["journal"], "git holds the tree");
    fs::remove_file(repo.path(".git/index.lock")).unwrap();
    mend(&repo);
    assert_eq!(repo.read("_bus/events/a.jsonl").lines().count(), 3, "no line is dropped, the torn one neither");
}

#[test]
fn a_channels_journal_and_its_torn_line_are_made_whole() {
    let repo = Repo::new();
    let say = |summary: &str| repo.by("a", &["message", "send", "--to", "b", "--summary", summary]);
    say("one").ok();
    repo.write(".git/index.lock", "");
    say("two").ok();
    let channel = "_bus/messages/agent-b.jsonl";
    repo.write(channel, format!("{}\n{{\"torn", repo.read(channel).lines().next().unwrap()));
    assert_eq!(found(&repo), ["torn-line", "journal"].map(|name| (name.to_owned(), channel.to_owned())));
    repo.bus(&["doctor", "--fix"]).exits(1);
    assert_eq!(names(&repo), ["journal"], "git holds the tree");
    fs::remove_file(repo.path(".git/index.lock")).unwrap();
    mend(&repo);
    let lines: Vec<String> = repo.read(channel).lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), lines[1].as_str()), (3, "{\"torn"), "no line is dropped, the torn one neither");
    assert!(lines[2].contains("\"two\""));
}

#[test]
fn what_killed_processes_left_lying_about_is_removed_when_it_is_old() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let left = [
        "_bus/claims/.T-1.json.tmp",
        "_plans/.2026-03-01-x.plan.json.tmp",
        "queue/.001-x.md.tmp",
        "_report/agent/a/T-1/.tests.log.tmp",
        ".git/bus/.clone-id.tmp",
        ".git/refs/bus/claims/T-1.lock",
    ];
    for path in left {
        repo.write(path, "");
        age(&repo.path(path));
    }
    assert_eq!(repo.git(&["status", "--short", "--untracked-files=all", "_plans", "queue", "_report"]), "", "git ignores them");
    repo.write("_bus/claims/.T-2.json.tmp", "somebody writes this just now");
    let noon = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
    fs::File::options().write(true).open(repo.path("_bus/claims/.T-2.json.tmp")).unwrap().set_modified(noon).unwrap();
    assert_eq!(found(&repo).iter().map(|(_, place)| place.as_str()).collect::<Vec<_>>(), left);
    mend(&repo);
    assert!(left.iter().all(|path| !repo.path(path).exists()) && repo.path("_bus/claims/.T-2.json.tmp").exists());
}

#[cfg(unix)]
#[test]
fn two_spellings_a_copied_clone_and_missing_attributes_are_found() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.write("_bus/claims/t-1.json", repo.read("_bus/claims/T-1.json"));
    fs::write(repo.path(".gitattributes"), "* text=auto\n").unwrap();
    assert_eq!(names(&repo), ["two-spellings", "missing-gitattributes"]);
    fs::remove_file(repo.path("_bus/claims/t-1.json")).unwrap();
    mend(&repo);
    assert!(repo.read(".gitattributes").starts_with("* text=auto\n"));
    let older = repo.read(".gitignore").replace("queue/.*.tmp\n", "");
    repo.write(".gitignore", older);
    assert_eq!(names(&repo), ["missing-gitignore"]);
    mend(&repo);
    assert!(repo.read(".gitignore").contains("queue/.*.tmp\n"));
    let copy = repo.beside("copy");
    assert!(Command::new("cp").arg("-r").args([repo.root(), copy.clone()]).status().unwrap().success());
    let ran = repo.bus(&["doctor"]).within(&copy).exits(1);
    assert!(ran.stdout.contains("found copied-clone-id"), "{}", ran.stdout);
    repo.bus(&["doctor", "--fix"]).within(&copy).ok();
    assert_eq!(found(&repo), [], "the original keeps its id");
}

#[test]
fn an_edit_that_keeps_the_revision_is_kept_aside_too_each_in_a_file_of_its_own() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--notes", "one"]).ok();
    let file = repo.read("_bus/claims/T-1.json");
    repo.write("_bus/claims/T-1.json", file.replace("\"one\"", "\"two\""));
    assert_eq!(names(&repo), ["claim-edited"]);
    mend(&repo);
    repo.write("_bus/claims/T-1.json", file.replace("\"one\"", "\"three\""));
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.read("_bus/claims/T-1.json"), file);
    let kept =
        fs::read_dir(repo.path(".git/bus/broken")).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let kept: String = kept.collect();
    assert!(kept.contains("\"two\"") && kept.contains("\"three\""), "{kept}");
}

#[test]
fn what_commands_refuse_to_work_with_is_named() {
    let repo = Repo::new();
    repo.write("_bus/config.toml", "[events]\nfoo = [\n");
    repo.write("_bus/assignments/T-1.json", "{bad");
    repo.write("AGENT_MANIFEST.json", r#"{"agent_id": "../x"}"#);
    fs::create_dir_all(repo.path("_bus/events/evil.jsonl")).unwrap();
    fs::create_dir_all(repo.path("_bus/claims/T-2.json")).unwrap();
    let expected = [
        ("wrong-kind", "_bus/claims/T-2.json"),
        ("malformed-config", "_bus/config.toml"),
        ("malformed-assignment", "_bus/assignments/T-1.json"),
        ("malformed-manifest", "AGENT_MANIFEST.json"),
        ("wrong-kind", "_bus/events/evil.jsonl"),
    ];
    assert_eq!(found(&repo), expected.map(|(name, place)| (name.to_owned(), place.to_owned())));
    for finding in repo.bus(&["doctor", "--json"]).exits(1).json()["findings"].as_array().unwrap() {
        assert!(finding["mend"].is_null() && !finding["advice"].as_str().unwrap().is_empty(), "{finding}");
    }
}

#[test]
fn a_bad_file_of_another_worktree_is_named_and_hides_nothing() {
    let repo = Repo::new();
    let other = repo.worktree("side");
    repo.by("a", &["claim", "T-1"]).within(&other).ok();
    fs::write(other.join("_bus/claims/T-1.json"), "{").unwrap();
    let place = other.join("_bus/claims/T-1.json");
    assert_eq!(found(&repo), [("malformed-claim".to_owned(), fs::canonicalize(place).unwrap().display().to_string())]);
    let shown = |folder: &std::path::Path| repo.bus(&["status", "--json"]).within(folder).ok().json();
    assert_eq!(shown(&repo.root()), shown(&other), "the same from every worktree");
    repo.by("a", &["release", "T-1"]).within(&other).fails(5, "malformed-record");
    repo.bus(&["doctor", "--fix"]).within(&other).ok();
    repo.by("a", &["release", "T-1"]).within(&other).ok();
}

#[test]
fn a_branch_without_a_bus_is_left_alone() {
    let repo = Repo::bare_of_bus();
    repo.git(&["branch", "nobus"]);
    repo.bus(&["init"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.commit_all("bus");
    repo.git(&["checkout", "--quiet", "nobus"]);
    repo.bus(&["doctor", "--fix"]).ok();
    assert!(!repo.path("_bus").exists());
    repo.git(&["checkout", "--quiet", "main"]);
}

#[cfg(unix)]
#[test]
fn a_clone_that_was_moved_keeps_its_claims() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let moved = repo.beside("moved");
    fs::rename(repo.root(), &moved).unwrap();
    fs::create_dir(repo.root()).unwrap();
    repo.git(&["init", "--quiet"]);
    repo.bus(&["doctor"]).within(&moved).ok();
    repo.by("a", &["release", "T-1"]).within(&moved).ok();
}
