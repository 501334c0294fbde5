//! What a crash, a copy or a hand edit leaves is found, and repaired on request.

use std::fs;
use std::process::Command;

use super::harness::{Kept, Ran, Repo, record, some_of};

/// The claim's file, where a branch has it.
const FILE: &str = "_bus/claims/T-1.json";

/// Where a claim's file is that counts, in each sort of bus.
fn claim_files() -> [(Kept, String); 5] {
    let recorded = || record("claims/T-1.json");
    [
        (Kept::Untracked, recorded()),
        (Kept::Tracked, recorded()),
        (Kept::Older, recorded()),
        (Kept::Tracked, FILE.to_owned()),
        (Kept::Older, FILE.to_owned()),
    ]
}

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

/// Repairs everything; nothing must be left.
fn fix(repo: &Repo) -> Ran {
    let ran = repo.bus(&["doctor", "--fix"]).exits(0);
    assert_eq!(found(repo), []);
    ran
}

/// Makes a file look as if it were two minutes old at the tests' noon.
fn age(path: &std::path::Path) {
    let noon = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(noon - std::time::Duration::from_secs(120))
        .unwrap();
}

#[test]
fn nothing_is_wrong_with_a_bus_in_use() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        repo.by("a", &["claim", "T-1", "--ttl", "1h"]).ok();
        repo.by("a", &["heartbeat", "T-1"]).ok();
        repo.by("b", &["claim", "T-2"]).within(&other).ok();
        repo.by("b", &["release", "T-2"]).within(&other).ok();
        repo.by("c", &["claim", "T-2", "--reopen"]).ok();
        assert_eq!(found(&repo), [], "{kept:?}");
        let there = repo.bus(&["doctor"]).within(&other).ok();
        assert_eq!(there.stdout, "nothing is wrong\n", "a file behind another's ref is normal");
        assert_eq!(repo.bus(&["doctor", "--fix"]).ok().stdout, "nothing is wrong\n");
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_command_that_died_is_finished() {
    for kept in Kept::ALL {
        let steps = super::refused::warmed(kept).by("a", &["claim", "T-1"]).steps();
        let before_the_file = |step: &&String| *step != "ref-written" && *step != "file-settled";
        let written: Vec<&String> =
            steps.iter().skip_while(|step| *step != "ref-written").collect();
        assert!(written.len() >= 5 && before_the_file(&written[1]), "{steps:?}");
        // Without the record's file nobody knows whether the event was written; the branch's comes
        // last.
        let last = written.iter().position(|step| *step == "file-written-aside").unwrap();
        let died = written.iter().enumerate().take(written.len() - 1);
        for (index, step) in some_of(died, 3, kept as usize) {
            let name = if index <= last { "unsettled-claim" } else { "missing-file" };
            if kept == Kept::Untracked && index > last {
                continue;
            }
            let repo = super::refused::warmed(kept);
            repo.by("a", &["claim", "T-1"]).env("BUS_CRASH_AT", step).run();
            assert_eq!(names(&repo), [name], "{kept:?}, {step}");
            fix(&repo);
            assert_eq!(
                (repo.claim("T-1"), repo.log_lines().len()),
                (repo.tip("T-1"), 2),
                "{kept:?}, {step}"
            );
            assert_eq!(repo.read(FILE), repo.read(&record("claims/T-1.json")), "{kept:?}, {step}");
            repo.by("a", &["release", "T-1"]).env("BUS_CRASH_AT", step).run();
            assert_eq!(names(&repo), ["unsettled-claim"], "{kept:?}, {step}");
            fix(&repo);
            assert_eq!(
                (repo.claim("T-1"), repo.log_lines().len()),
                (repo.tip("T-1"), 3),
                "{kept:?}, {step}"
            );
            assert_eq!(repo.read(FILE), repo.read(&record("claims/T-1.json")), "{kept:?}, {step}");
        }
    }
}

#[test]
fn a_file_that_was_edited_is_kept_aside_and_one_that_is_ahead_is_left_to_a_person() {
    for (kept, place) in claim_files() {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let file = repo.read(&place);
        repo.write(&place, file.replace("\"revision\": 1", "\"revision\": 5"));
        if place == record("claims/T-1.json") {
            // What goes on from the ref is what a ref that was set back leaves behind.
            assert_eq!(names(&repo), ["missing-ref"], "{kept:?}");
            repo.write(&place, &file);
        } else {
            assert_eq!(found(&repo), [("claim-edited".to_owned(), place.clone())], "{kept:?}");
            fix(&repo);
            assert_eq!(repo.read(&place), file);
            let aside = fs::read_dir(repo.path(".git/bus/broken")).unwrap();
            let aside: String =
                aside.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
            assert!(aside.contains("\"revision\": 5"), "{kept:?}");
        }
        let foreign = file
            .replace("\"revision\": 1", "\"revision\": 5")
            .replace("\"claim_id\": \"", "\"claim_id\": \"x")
            .replace("\"a\"", "\"z\"");
        repo.write(&place, &foreign);
        assert_eq!(found(&repo), [("claim-ahead".to_owned(), place.clone())], "{kept:?}");
        let ran = repo.bus(&["doctor", "--fix"]).exits(1);
        let what = "it names z, active, at revision 5, the ref names a, active, at revision 1";
        assert!(ran.stdout.contains(what), "{}", ran.stdout);
        assert!(ran.stdout.contains("look at `git log refs/bus/claims/T-1`"), "{}", ran.stdout);
        assert_eq!(repo.read(&place), foreign);
    }
}

#[test]
fn a_claim_file_that_a_merge_broke_is_restored_from_its_ref() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let file = repo.read(FILE);
        repo.write(FILE, format!("<<<<<<< HEAD\n{file}"));
        repo.write("_bus/claims/T-2.json", "{");
        assert_eq!(names(&repo), ["malformed-claim", "malformed-claim"], "{kept:?}");
        let ran = repo.bus(&["doctor", "--fix"]).exits(1);
        assert!(
            ran.stdout.contains("fixed malformed-claim: _bus/claims/T-1.json"),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stdout.contains("found malformed-claim: _bus/claims/T-2.json"),
            "{}",
            ran.stdout
        );
        assert_eq!((repo.read(FILE), repo.read("_bus/claims/T-2.json")), (file, "{".to_owned()));
    }
}

#[test]
fn a_claim_file_of_the_record_that_a_power_loss_broke_is_restored_from_its_ref() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let (one, two) = (record("claims/T-1.json"), record("claims/T-2.json"));
        let file = repo.read(&one);
        for damage in ["", "\0\0\0\0", "{\"task_id\""] {
            repo.write(&one, damage);
            repo.write(&two, damage);
            let malformed = ("malformed-claim".to_owned(), two.clone());
            assert_eq!(
                found(&repo),
                [("unsettled-claim".to_owned(), one.clone()), malformed.clone()],
                "{kept:?}, {damage:?}"
            );
            repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
            repo.by("b", &["claim", "T-2"]).fails(5, "malformed-record");
            repo.bus(&["doctor", "--fix"]).exits(1);
            assert_eq!(found(&repo), [malformed], "{kept:?}, {damage:?}");
            assert_eq!(
                (repo.read(&one), repo.read(&two)),
                (file.clone(), damage.to_owned()),
                "{kept:?}"
            );
        }
    }
}

#[test]
fn a_damaged_ref_is_set_aside() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    fs::write(repo.path(".git/refs/bus/claims/T-1"), "").unwrap();
    assert_eq!(found(&repo), [("unreadable-ref".to_owned(), "refs/bus/claims/T-1".to_owned())]);
    fix(&repo);
    assert_eq!(repo.tip("T-1"), repo.claim("T-1"));
}

#[test]
fn a_torn_line_is_closed_and_none_is_dropped() {
    for (kept, place) in [
        (Kept::Untracked, record("events/a.jsonl")),
        (Kept::Untracked, record("messages/agent-b.jsonl")),
        (Kept::Tracked, record("events/a.jsonl")),
        (Kept::Older, "_bus/events/a.jsonl".to_owned()),
        (Kept::Older, "_bus/messages/agent-b.jsonl".to_owned()),
    ] {
        let repo = Repo::keeping(kept);
        repo.by("a", &["event", "log", "--event", "note", "--summary", "one"]).ok();
        repo.by("a", &["message", "send", "--to", "b", "--summary", "one"]).ok();
        let whole = repo.read(&place);
        repo.write(&place, format!("{whole}{{\"torn"));
        assert_eq!(found(&repo), [("torn-line".to_owned(), place.clone())], "{kept:?}");
        fix(&repo);
        assert_eq!(repo.read(&place), format!("{whole}{{\"torn\n"), "the torn one neither");
    }
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
    assert_eq!(
        repo.git(&["status", "--short", "--untracked-files=all", "_plans", "queue", "_report"]),
        "",
        "git ignores them"
    );
    repo.write("_bus/claims/.T-2.json.tmp", "somebody writes this just now");
    let noon = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400);
    fs::File::options()
        .write(true)
        .open(repo.path("_bus/claims/.T-2.json.tmp"))
        .unwrap()
        .set_modified(noon)
        .unwrap();
    assert_eq!(found(&repo).iter().map(|(_, place)| place.as_str()).collect::<Vec<_>>(), left);
    fix(&repo);
    assert!(
        left.iter().all(|path| !repo.path(path).exists())
            && repo.path("_bus/claims/.T-2.json.tmp").exists()
    );
}

#[cfg(unix)]
#[test]
fn two_spellings_a_copied_clone_and_missing_attributes_are_found() {
    for (kept, place) in claim_files() {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let other = place.replace("T-1", "t-1");
        repo.write(&other, repo.read(&place));
        fs::write(repo.path(".gitattributes"), "* text=auto\n").unwrap();
        assert_eq!(names(&repo), ["two-spellings", "missing-gitattributes"], "{kept:?}");
        fs::remove_file(repo.path(&other)).unwrap();
        fix(&repo);
        assert!(repo.read(".gitattributes").starts_with("* text=auto\n"));
        let older = repo.read(".gitignore").replace("queue/.*.tmp\n", "");
        repo.write(".gitignore", older);
        assert_eq!(names(&repo), ["missing-gitignore"]);
        fix(&repo);
        assert!(repo.read(".gitignore").contains("queue/.*.tmp\n"));
        let copy = repo.beside("copy");
        assert!(
            Command::new("cp")
                .arg("-r")
                .args([repo.root(), copy.clone()])
                .status()
                .unwrap()
                .success()
        );
        let ran = repo.bus(&["doctor"]).within(&copy).exits(1);
        assert!(ran.stdout.contains("found copied-clone-id"), "{}", ran.stdout);
        repo.bus(&["doctor", "--fix"]).within(&copy).ok();
        assert_eq!(found(&repo), [], "the original keeps its id");
    }
}

#[test]
fn an_edit_that_keeps_the_revision_is_kept_aside_too_each_in_a_file_of_its_own() {
    for (kept, place) in claim_files() {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1", "--notes", "one"]).ok();
        let file = repo.read(&place);
        repo.write(&place, file.replace("\"one\"", "\"two\""));
        assert_eq!(names(&repo), ["claim-edited"], "{kept:?}, {place}");
        fix(&repo);
        repo.write(&place, file.replace("\"one\"", "\"three\""));
        repo.by("a", &["claim", "T-1"]).ok();
        assert_eq!(repo.read(&place), file);
        let aside = fs::read_dir(repo.path(".git/bus/broken")).unwrap();
        let aside: String =
            aside.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
        assert!(
            aside.contains("\"two\"") && aside.contains("\"three\""),
            "{kept:?}, {place}: {aside}"
        );
    }
}

#[test]
fn what_commands_refuse_to_work_with_is_named() {
    let recorded = record("");
    for (kept, below) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, "_bus/"), (Kept::Older, "_bus/")]
    {
        let repo = Repo::keeping(kept);
        repo.write("_bus/config.toml", "[events]\nfoo = [\n");
        repo.write(&format!("{below}assignments/T-1.json"), "{bad");
        repo.write("AGENT_MANIFEST.json", r#"{"agent_id": "../x"}"#);
        fs::create_dir_all(repo.path(&format!("{below}events/evil.jsonl"))).unwrap();
        fs::create_dir_all(repo.path(&format!("{below}claims/T-2.json"))).unwrap();
        let expected = [
            ("wrong-kind", format!("{below}claims/T-2.json")),
            ("malformed-config", "_bus/config.toml".to_owned()),
            ("malformed-assignment", format!("{below}assignments/T-1.json")),
            ("malformed-manifest", "AGENT_MANIFEST.json".to_owned()),
            ("wrong-kind", format!("{below}events/evil.jsonl")),
        ];
        assert_eq!(
            found(&repo),
            expected.map(|(name, place)| (name.to_owned(), place)),
            "{kept:?}"
        );
        for finding in
            repo.bus(&["doctor", "--json"]).exits(1).json()["findings"].as_array().unwrap()
        {
            assert!(
                finding["mend"].is_null() && !finding["advice"].as_str().unwrap().is_empty(),
                "{finding}"
            );
        }
    }
}

#[test]
fn a_bad_file_of_another_worktree_is_named_and_hides_nothing() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("side");
        repo.by("a", &["claim", "T-1"]).within(&other).ok();
        fs::write(other.join(FILE), "{").unwrap();
        let place = fs::canonicalize(other.join(FILE)).unwrap().display().to_string();
        assert_eq!(found(&repo), [("malformed-claim".to_owned(), place)], "{kept:?}");
        let shown =
            |folder: &std::path::Path| repo.bus(&["status", "--json"]).within(folder).ok().json();
        assert_eq!(shown(&repo.root()), shown(&other), "the same from every worktree");
        repo.bus(&["doctor", "--fix"]).within(&other).ok();
        repo.by("a", &["release", "T-1"]).within(&other).ok();
    }
}

#[test]
fn a_branch_without_a_bus_is_left_alone() {
    for option in ["--untracked", "--tracked"] {
        let repo = Repo::bare_of_bus();
        repo.git(&["branch", "nobus"]);
        repo.bus(&["init", option]).ok();
        repo.by("a", &["claim", "T-1"]).ok();
        repo.commit_all("bus");
        repo.git(&["checkout", "--quiet", "nobus"]);
        // Copies may have stayed behind, which nobody ignores here.
        let before = repo.state();
        repo.bus(&["doctor", "--fix"]).ok();
        repo.by("a", &["heartbeat", "T-1"]).ok();
        assert!(!repo.path("_bus/.gitignore").exists(), "{option}");
        assert_eq!(repo.path("_bus").exists(), before.contains("main/_bus/"), "{option}");
        repo.by("b", &["claim", "T-2"]).ok();
        assert_eq!(repo.path("_bus/claims/T-2.json").exists(), option == "--tracked");
        repo.git(&["clean", "--quiet", "-fdx"]);
        repo.bus(&["doctor", "--fix"]).ok();
        assert!(!repo.path("_bus").exists(), "{option}");
        repo.git(&["checkout", "--quiet", "main"]);
        // A tracked bus wants the file of the claim that was made here.
        repo.bus(&["doctor"]).exits(i32::from(option == "--tracked"));
        repo.bus(&["doctor", "--fix"]).ok();
        repo.bus(&["doctor"]).ok();
    }
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
