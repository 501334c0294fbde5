//! A ref that is gone frees nothing (docs/design.md, section 1.1): the record decides.

use std::fs;

use serde_json::{Value, json};

#[cfg(debug_assertions)]
use super::harness::Bus;
use super::harness::{Kept, Repo, record, some_of};

/// The ways in which refs vanish.
const WAYS: [&str; 4] =
    ["deleted", "packed and deleted", "the folder removed", "pruned by a fetch"];

fn lose(repo: &Repo, name: &str, way: &str) {
    match way {
        "deleted" => drop(repo.git(&["update-ref", "-d", name])),
        "packed and deleted" => {
            repo.git(&["pack-refs", "--all"]);
            repo.git(&["update-ref", "-d", name]);
        }
        "the folder removed" => fs::remove_dir_all(repo.path(".git/refs/bus")).unwrap(),
        _ => {
            // A clone that mirrors all refs of a remote which knows nothing of the bus.
            let remote = repo.beside("remote.git");
            if !remote.exists() {
                repo.git(&["clone", "--quiet", "--bare", ".", remote.to_str().unwrap()]);
                let heads = repo
                    .git_in(&remote, &["for-each-ref", "--format=delete %(refname)", "refs/bus"]);
                heads.lines().for_each(|line| {
                    drop(repo.git_in(&remote, &["update-ref", "-d", &line["delete ".len()..]]))
                });
            }
            repo.git(&[
                "fetch",
                "--quiet",
                "--prune",
                remote.to_str().unwrap(),
                "+refs/bus/*:refs/bus/*",
            ]);
        }
    }
    assert_eq!(repo.git(&["for-each-ref", name]), "", "{way}");
}

const CLAIM: &str = "refs/bus/claims/T-1";

#[test]
fn a_claim_whose_ref_is_gone_is_nobody_elses() {
    for kept in Kept::ALL {
        for way in some_of(WAYS, WAYS.len(), kept as usize) {
            let repo = Repo::keeping(kept);
            let other = repo.worktree("wt");
            repo.by("a", &["claim", "T-1", "--ttl", "1h"]).ok();
            let why = format!("{kept:?}, {way}");
            lose(&repo, CLAIM, way);
            let status = repo.bus(&["status", "--json"]).within(&other).ok().json();
            assert_eq!(
                (&status["claims"][0]["agent_id"], &status["claims"][0]["state"]),
                (&json!("a"), &json!("active")),
                "{why}"
            );
            for folder in [&repo.root(), &other] {
                let by_b = |words: &[&str]| repo.by("b", words).within(folder);
                assert_eq!(by_b(&["claim", "T-1"]).fails(3, "claim-held")["owner"], "a", "{why}");
                by_b(&["release", "T-1"]).fails(3, "claim-held");
                by_b(&["reclaim", "T-1", "--note", "x"]).fails(3, "claim-alive");
            }
            assert_eq!(repo.git(&["for-each-ref", CLAIM]), "", "a refusal writes nothing: {why}");
            repo.by("a", &["heartbeat", "T-1"]).ok();
            assert_eq!(repo.history("T-1"), ["heartbeat T-1 by a", "import T-1 by a"], "{why}");
            lose(&repo, CLAIM, way);
            repo.by("a", &["release", "T-1"]).ok();
            assert_eq!(repo.history("T-1"), ["release T-1 by a", "import T-1 by a"], "{why}");
            lose(&repo, CLAIM, way);
            repo.by("b", &["claim", "T-1"]).fails(3, "task-finished");
            repo.by("b", &["claim", "T-1", "--reopen"]).ok();
            assert_eq!(repo.tip("T-1")["lineage"][0]["agent_id"], "a", "{why}");
        }
    }
}

#[test]
fn a_heartbeat_counts_when_the_ref_is_gone() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1", "--ttl", "10m"]).ok();
        repo.by("a", &["heartbeat", "T-1"]).at("2026-03-01T12:09:00Z").ok();
        fs::remove_dir_all(repo.path(".git/bus/presence")).unwrap();
        lose(&repo, CLAIM, "deleted");
        let late = "2026-03-01T12:18:00Z";
        repo.by("b", &["reclaim", "T-1", "--note", "x"]).at(late).fails(3, "claim-alive");
        let claim = repo.bus(&["status", "--json"]).at(late).ok().json()["claims"][0].clone();
        assert_eq!(
            (&claim["state"], &claim["expires_at"]),
            (&json!("active"), &json!("2026-03-01T12:19:00Z")),
            "{kept:?}"
        );
        repo.by("b", &["reclaim", "T-1", "--note", "x"]).at("2026-03-01T12:19:01Z").ok();
    }
}

#[test]
fn all_refs_of_the_bus_may_go_at_once() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("boss", &["queue", "add", "one"]).ok();
        repo.by("boss", &["queue", "add", "two"]).ok();
        repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
        repo.by("a", &["claim", "QUEUE-001"]).ok();
        repo.by("b", &["lock", "acquire", "docs/", "--objective", "x"]).ok();
        let shown = || {
            let status = repo.bus(&["status", "--json"]).ok().json();
            let facts = |list: &Value, fields: [&str; 3]| -> Vec<Value> {
                let list = list.as_array().unwrap().iter();
                list.map(|one| Value::from(fields.map(|field| one[field].clone()).to_vec()))
                    .collect()
            };
            let claims = facts(&status["claims"], ["task_id", "agent_id", "state"]);
            (claims, facts(&status["locks"], ["lock_id", "owner", "state"]))
        };
        let before = shown();
        lose(&repo, "refs/bus", "the folder removed");
        assert_eq!(shown(), before, "{kept:?}");
        repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
        repo.by("c", &["lock", "acquire", "src/x", "--objective", "y"]).fails(3, "lock-held");
        repo.by("c", &["lock", "acquire", "docs/x", "--objective", "y"]).fails(3, "lock-held");
        assert_eq!(
            repo.by("c", &["claim", "--next", "--json"]).ok().json()["claim"]["task_id"],
            "QUEUE-002",
            "{kept:?}"
        );
        assert_eq!(
            repo.by("boss", &["queue", "add", "three", "--json"]).ok().json()["task_id"],
            "QUEUE-003",
            "{kept:?}"
        );
        repo.by("a", &["release", "T-1"]).ok();
        repo.by("c", &["lock", "acquire", "src/x", "--objective", "y"]).ok();
    }
}

#[test]
fn a_claim_that_was_put_away_stays_ended() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("a", &["release", "T-1"]).ok();
        repo.by("a", &["gc", "--apply"]).ok();
        assert_eq!(repo.git(&["for-each-ref", CLAIM]), "", "{kept:?}");
        repo.by("b", &["claim", "T-1"]).fails(3, "task-finished");
        // The archive is a ref, too.
        lose(&repo, "refs/bus/archive", "deleted");
        repo.by("b", &["claim", "T-1"]).fails(3, "task-finished");
    }
}

#[test]
fn records_that_disagree_are_refused_until_a_person_decides() {
    let claim = |agent: &str, status: &str| {
        format!(
            r#"{{"task_id":"T-1","agent_id":"{agent}","branch":"agent/{agent}/x","status":"{status}","claimed_at":"2025-09-19T17:45:00Z"}}"#
        )
    };
    for (kept, other) in [
        (Kept::Untracked, ".git/bus/log/imported/target/_bus/claims/T-1.json"),
        (Kept::Tracked, "_bus/claims/T-1.json"),
        (Kept::Older, "_bus/claims/T-1.json"),
    ] {
        let repo = Repo::keeping(kept);
        repo.write(&record("claims/T-1.json"), claim("a", "active"));
        repo.write(other, claim("b", "active"));
        for (agent, words) in
            [("a", "claim T-1"), ("b", "claim T-1"), ("c", "claim T-1"), ("a", "release T-1")]
        {
            let error =
                repo.by(agent, &words.split(' ').collect::<Vec<_>>()).fails(3, "claim-diverged");
            assert!(error["hint"].as_str().unwrap().contains("T-1"), "{error}");
        }
        assert_eq!(repo.git(&["for-each-ref", "refs/bus"]), "", "{kept:?}");
        let status = repo.bus(&["status", "--json"]).ok().json();
        assert_eq!(status["unreadable"][0]["code"], "claim-diverged", "{kept:?}: {status}");
        // The higher revision decides.
        repo.write(
            &record("claims/T-1.json"),
            claim("a", "active").replace("\"status\"", "\"revision\":1,\"status\""),
        );
        repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
        repo.by("a", &["release", "T-1"]).ok();
    }
}

#[cfg(debug_assertions)]
fn by<'r>(repo: &'r Repo, agent: &str, words: &str) -> Bus<'r> {
    repo.by(agent, &words.split(' ').collect::<Vec<_>>())
}

#[cfg(debug_assertions)]
#[test]
fn refs_that_vanish_before_a_command_answers_take_nothing_from_it() {
    let refused = "lock acquire src/x --objective y";
    let rows = [
        ("", "claim T-1", "claim T-1", "claim-held"),
        ("", "lock acquire src/** --objective x", refused, "lock-held"),
        ("", "claim T-1 --lock src/**", refused, "lock-held"),
        // Run again, it is answered from the table.
        (
            "lock acquire src/** --objective x",
            "lock acquire src/** --objective x",
            refused,
            "lock-held",
        ),
        ("claim T-1", "release T-1", "claim T-1", "task-finished"),
    ];
    for (first, command, refused, code) in rows {
        let repo = Repo::new();
        // So there is a record that could be taken for the last one.
        repo.by("c", &["lock", "acquire", "docs/", "--objective", "z"]).ok();
        if !first.is_empty() {
            by(&repo, "a", first).ok();
        }
        let flag = repo.beside("flag");
        let paused = by(&repo, "a", command).env("BUS_PAUSE_AT", "event-settled");
        let paused = paused.env("BUS_PAUSE_FILE", flag.to_str().unwrap()).start();
        while !flag.exists() {
            std::thread::yield_now();
        }
        lose(&repo, "refs/bus", "the folder removed");
        fs::remove_file(&flag).unwrap();
        assert!(paused.wait_with_output().unwrap().status.success(), "{command}");
        by(&repo, "b", refused).fails(3, code);
    }
}

#[test]
fn doctor_names_what_stands_in_for_a_ref() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("a", &["lock", "acquire", "x", "--objective", "x"]).ok();
        lose(&repo, "refs/bus", "the folder removed");
        let ran = repo.bus(&["doctor", "--json"]).run();
        let findings = ran.json()["findings"].clone();
        let names: Vec<&str> = findings
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["name"].as_str().unwrap())
            .collect();
        assert!(names.contains(&"missing-ref"), "{kept:?}: {findings}");
        repo.bus(&["doctor", "--fix"]).run();
        repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    }
}

#[test]
fn a_claim_that_was_made_after_its_task_was_put_away_outlives_its_ref() {
    for kept in Kept::ALL {
        for way in WAYS {
            let repo = Repo::keeping(kept);
            repo.by("a", &["claim", "T-1"]).ok();
            repo.by("a", &["release", "T-1"]).ok();
            repo.by("a", &["gc", "--apply"]).ok();
            let archive = repo.git(&["rev-parse", "refs/bus/archive"]);
            repo.by("b", &["claim", "T-1", "--reopen"]).ok();
            repo.by("b", &["heartbeat", "T-1"]).ok();
            lose(&repo, CLAIM, way);
            repo.git(&["update-ref", "refs/bus/archive", archive.trim()]);
            for more in [&[][..], &["--reopen"]] {
                let refused =
                    repo.by("c", &[&["claim", "T-1"], more].concat()).fails(3, "claim-held");
                assert_eq!(refused["owner"], "b", "{kept:?}, {way}");
            }
            repo.by("b", &["heartbeat", "T-1"]).ok();
            repo.by("a", &["claim", "T-1"]).fails(3, "claim-held");
            assert_eq!(
                repo.history("T-1")[..2],
                ["heartbeat T-1 by b", "import T-1 by b"],
                "{kept:?}, {way}"
            );
            repo.by("b", &["release", "T-1"]).ok();
        }
    }
}

#[test]
fn a_ref_that_was_set_back_is_as_one_that_is_gone() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let set_back = |to: &str| drop(repo.git(&["update-ref", CLAIM, to]));
        let at = || repo.git(&["rev-parse", CLAIM]).trim().to_owned();
        repo.by("a", &["claim", "T-1", "--status", "paused"]).ok();
        let first = at();
        repo.by("b", &["reclaim", "T-1", "--note", "x"]).ok();
        set_back(&first);
        assert_eq!(
            repo.bus(&["status", "--json"]).ok().json()["claims"][0]["agent_id"],
            "b",
            "{kept:?}"
        );
        assert_eq!(
            repo.by("c", &["claim", "T-1"]).fails(3, "claim-held")["owner"],
            "b",
            "{kept:?}"
        );
        for command in [&["heartbeat", "T-1"][..], &["release", "T-1"]] {
            assert_eq!(repo.by("a", command).fails(8, "claim-lost")["owner"], "b", "{kept:?}");
        }
        assert_eq!(at(), first, "a refusal writes nothing");
        let found = repo.bus(&["doctor"]).exits(1);
        assert!(found.stdout.contains("set back"), "{}", found.transcript);
        repo.by("b", &["release", "T-1"]).ok();
        let history = ["release T-1 by b", "import T-1 by b", "claim T-1 by a"];
        assert_eq!(repo.history("T-1"), history, "the first write repairs it: {kept:?}");
        set_back(&first);
        for agent in ["a", "c"] {
            repo.by(agent, &["claim", "T-1"]).fails(3, "task-finished");
        }
        repo.bus(&["doctor", "--fix"]).run();
        assert_eq!(repo.tip("T-1")["status"], "done", "{kept:?}");
    }
}

/// A record whose chain does not have the claim at which the ref ends says nothing about that.
#[test]
fn a_higher_revision_alone_does_not_decide() {
    let repo = Repo::new();
    repo.by("b", &["claim", "T-1"]).ok();
    let mut claim: Value = serde_json::from_str(&repo.read(&record("claims/T-1.json"))).unwrap();
    repo.by("b", &["release", "T-1", "--status", "released"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    (claim["revision"], claim["claim_id"]) = (json!(9), json!("another"));
    repo.write(&record("claims/T-1.json"), claim.to_string());
    let status = repo.bus(&["status", "--json"]).ok().json();
    assert_eq!(status["claims"][0]["agent_id"], "a");
    repo.by("b", &["heartbeat", "T-1"]).fails(3, "claim-held");
    repo.by("a", &["heartbeat", "T-1"]).ok();
}
