//! A claim's or an assignment's file in a branch follows what the ref and the record say: nothing
//! that is done to it stops a command.

use std::fs;

use super::harness::{Kept, Repo, record};

const FILE: &str = "_bus/claims/T-1.json";

/// What git leaves of a file: at the moment when it writes it, and after a merge.
fn broken(file: &str) -> [String; 4] {
    let (head, tail) = file.split_at(file.len() / 2);
    let conflict = format!("{head}<<<<<<< HEAD\n{tail}=======\n{tail}>>>>>>> side\n");
    [String::new(), head.to_owned(), conflict, "\0\0\0\0".to_owned()]
}

#[test]
fn a_claim_file_that_cannot_be_read_stops_no_command_if_the_ref_or_the_record_decides() {
    for kept in Kept::IN_BRANCHES {
        for has_ref in [true, false] {
            for damage in if has_ref { 0..4 } else { 1..3 } {
                let repo = Repo::keeping(kept);
                let side = repo.worktree("side");
                repo.by("a", &["claim", "T-1"]).ok();
                let spoil = || {
                    let broken = broken(&repo.read(&record("claims/T-1.json")))[damage].clone();
                    fs::create_dir_all(side.join("_bus/claims")).unwrap();
                    fs::write(side.join(FILE), &broken).unwrap();
                    repo.write(FILE, &broken);
                    if !has_ref {
                        repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
                    }
                };
                let why = format!("{kept:?}, damage {damage}, with a ref: {has_ref}");
                spoil();
                repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
                spoil();
                repo.by("a", &["claim", "T-1", "--notes", "mine"]).ok().says("it does not count");
                spoil();
                repo.by("a", &["heartbeat", "T-1"]).ok();
                spoil();
                repo.by(
                    "a",
                    &["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"],
                )
                .ok();
                spoil();
                let found = repo.bus(&["doctor"]).exits(1);
                assert!(
                    found.stdout.contains(&format!("malformed-claim: {FILE}")),
                    "{why}: {}",
                    found.stdout
                );
                if damage == 2 {
                    let refused = repo.bus(&["validate"]).exits(1);
                    assert!(refused.stdout.contains("merge-conflict"), "{why}: {}", refused.stdout);
                }
                repo.by("a", &["release", "T-1"]).ok();
                assert_eq!(
                    repo.read(FILE),
                    repo.read(&record("claims/T-1.json")),
                    "{why}: it is written anew"
                );
                spoil();
                repo.by("b", &["claim", "T-1", "--reopen"]).ok();
                assert_eq!(repo.claim("T-1")["agent_id"], "b", "{why}");
                let aside = fs::read_dir(repo.path(".git/bus/broken")).unwrap().count();
                assert!(aside > 0, "{why}: what stood there is kept");
            }
        }
    }
}

#[test]
fn a_task_whose_claim_file_is_in_conflict_is_ready_if_its_ref_says_that_it_is_free() {
    let repo = Repo::tracked();
    repo.by("boss", &["queue", "add", "x"]).ok();
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    repo.by("a", &["release", "QUEUE-001", "--status", "released"]).ok();
    repo.write("_bus/claims/QUEUE-001.json", "<<<<<<< HEAD\n");
    let ready = repo.by("b", &["queue", "ready", "--json"]).ok().json();
    assert_eq!(ready["items"][0]["task_id"], "QUEUE-001");
    repo.by("b", &["claim", "--next"]).ok();
    assert_eq!(repo.claim("QUEUE-001")["agent_id"], "b");
}

#[test]
fn an_assignment_file_that_cannot_be_read_stops_no_command_if_the_record_has_one() {
    for kept in Kept::IN_BRANCHES {
        for damage in 0..4 {
            let repo = Repo::keeping(kept);
            let side = repo.worktree("side");
            let file = "_bus/assignments/T-1.json";
            repo.by("boss", &["assign", "T-1", "--engineer", "a"]).ok();
            let broken = broken(&repo.read(file))[damage].clone();
            fs::create_dir_all(side.join("_bus/assignments")).unwrap();
            fs::write(side.join(file), &broken).unwrap();
            repo.write(file, &broken);
            repo.by("b", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
            repo.by("a", &["claim", "T-1"]).ok().says("it does not count");
            let found = repo.bus(&["doctor"]).exits(1);
            assert!(
                found.stdout.contains(&format!("malformed-assignment: {file}")),
                "{}",
                found.stdout
            );
            repo.by("boss", &["assign", "T-1", "--engineer", "b"]).ok();
            assert_eq!(repo.read(file), repo.read(&record("assignments/T-1.json")), "{kept:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_mentioned_once_the_claim_stands() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        // Where the file is written first, something stands that cannot be replaced.
        let way = repo.path("_bus/claims/.T-1.json.tmp");
        fs::create_dir_all(&way).unwrap();
        for (command, event) in [(["claim", "T-1"], "claimed"), (["release", "T-1"], "done")] {
            let ran = repo
                .by("a", &command)
                .ok()
                .says("the claim is written, but this worktree's file of it is not");
            assert!(!ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
            assert!(
                repo.log_lines().last().unwrap().contains(&format!("\"summary\":\"{event}\"")),
                "{kept:?}"
            );
        }
        let tip = repo.git(&["log", "-1", "--format=%b", "refs/bus/claims/T-1"]);
        assert!(tip.contains("\"status\": \"done\""), "{kept:?}: {tip}");
        repo.by("a", &["claim", "T-1", "--reopen"]).ok();
        repo.bus(&["doctor"]).exits(1);
        fs::remove_dir(&way).unwrap();
        repo.bus(&["doctor", "--fix"]).ok();
        assert_eq!(
            repo.read(FILE),
            repo.git(&["log", "-1", "--format=%b", "refs/bus/claims/T-1"]).trim_end().to_owned()
                + "\n"
        );
    }
}
