//! Records of older buses, files that contradict refs, and refs that a power loss destroyed.

use std::fs;

use serde_json::json;

use super::harness::{Kept, NOON, Repo, record};

fn old_claim(task: &str, agent: &str, status: &str) -> String {
    format!(
        r#"{{"task_id": "{task}", "agent_id": "{agent}", "branch": "agent/{agent}/x", "status": "{status}", "claimed_at": "2025-09-19T17:45:00Z"}}"#
    )
}

#[test]
fn a_bus_of_an_older_tool_works_without_init() {
    let repo = Repo::bare_of_bus();
    repo.bus(&["status"]).fails(4, "no-bus");
    repo.write(
        "_bus/events/events.jsonl",
        "{\"ts\":\"1970-01-01T00:00:00Z\",\"agent_id\":\"template\",\"event\":\"init\",\"summary\":\"Seed\"}\n",
    );
    repo.write("_bus/claims/T-1.json", old_claim("T-1", "a", "active"));
    let status = repo.bus(&["status", "--json"]).ok().json();
    assert_eq!(
        (&status["claims"][0]["agent_id"], status["events"].as_array().unwrap().len()),
        (&json!("a"), 1)
    );
    repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    // No origin: the agent alone decides, from wherever it works.
    let other = repo.worktree("wt");
    repo.by("a", &["release", "T-1", "--status", "released"]).within(&other).ok();
    assert_eq!(repo.history("T-1"), ["release T-1 by a", "import T-1 by a"]);
    let root = repo.git(&["log", "--format=%b", "--max-parents=0", "refs/bus/claims/T-1"]);
    assert_eq!(
        root.trim_end(),
        old_claim("T-1", "a", "active"),
        "the root has the very bytes of the file"
    );
    repo.by("b", &["claim", "T-2"]).ok();
    let log = repo.read("_bus/events/events.jsonl");
    assert_eq!(log.lines().count(), 2, "the one log goes on");
    assert!(!repo.path("_bus/events/b.jsonl").exists());
    assert_eq!(
        fs::read_to_string(other.join("_bus/events/events.jsonl")).unwrap_or_default(),
        "",
        "no bus was there"
    );
    assert_eq!(repo.bus(&["event", "list"]).ok().stdout.lines().count(), 3);
    let printed = repo.bus(&["init"]).ok().stdout;
    assert!(
        printed.contains("records: older (it was laid out by an older version; `bus init --untracked` moves it over)"),
        "{printed}"
    );
    assert!(
        !repo.read("_bus/config.toml").contains("[records]"),
        "readers of the older tool know no such section"
    );
    repo.by("b", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    assert_eq!(
        repo.read("_bus/events/events.jsonl").lines().count(),
        3,
        "the one log still goes on"
    );
}

#[test]
fn a_worktree_from_before_the_bus_has_it_too() {
    for kept in Kept::ALL {
        let repo = Repo::bare_of_bus();
        let other = repo.worktree("wt");
        match kept {
            Kept::Untracked => drop(repo.bus(&["init"]).ok()),
            Kept::Tracked => drop(repo.bus(&["init", "--tracked"]).ok()),
            Kept::Older => repo.lay("older/init", ""),
        }
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("b", &["claim", "T-1"]).within(&other).fails(3, "claim-held");
        repo.by("b", &["claim", "T-2"]).within(&other).ok();
        assert!(
            repo.path(&record("events/b.jsonl")).exists(),
            "{kept:?}: the layout is the main worktree's"
        );
        assert!(!other.join("_bus/events").exists(), "{kept:?}: no copy where nothing ignores it");
        // What is committed with the branch: the claim.
        assert_eq!(
            other.join("_bus/claims/T-2.json").exists(),
            kept != Kept::Untracked,
            "{kept:?}"
        );
    }
}

#[test]
fn without_a_ref_the_highest_revision_of_record_and_worktrees_decides() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        repo.by("a", &["claim", "T-1"]).within(&other).ok();
        repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
        repo.write("_bus/claims/T-1.json", old_claim("T-1", "b", "released"));
        repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
        repo.by("a", &["release", "T-1"]).within(&other).ok();
        assert_eq!(repo.history("T-1"), ["release T-1 by a", "import T-1 by a"], "{kept:?}");
        // A worktree may know more than this clone's record, as in a restored backup.
        repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
        let ahead =
            old_claim("T-1", "z", "active").replace("\"status\"", "\"revision\": 9, \"status\"");
        fs::write(other.join("_bus/claims/T-1.json"), ahead).unwrap();
        assert_eq!(
            repo.by("c", &["claim", "T-1", "--reopen"]).fails(3, "claim-held")["owner"],
            "z",
            "{kept:?}"
        );
    }
}

#[test]
fn files_of_equal_revision_that_disagree_are_refused() {
    for kept in Kept::IN_BRANCHES {
        for in_record in [false, true] {
            let repo = Repo::keeping(kept);
            let other = repo.worktree("wt");
            let mine = if in_record {
                repo.path(&record("claims/T-1.json"))
            } else {
                other.join("_bus/claims/T-1.json")
            };
            repo.write("_bus/claims/T-1.json", old_claim("T-1", "a", "released"));
            fs::create_dir_all(mine.parent().unwrap()).unwrap();
            fs::write(&mine, old_claim("T-1", "b", "active")).unwrap();
            for agent in ["a", "b", "c"] {
                repo.by(agent, &["claim", "T-1"]).fails(3, "claim-diverged");
            }
            // Whoever settles it by hand is done: what was imported before does not contradict
            // files that are still there.
            fs::write(&mine, old_claim("T-1", "a", "released")).unwrap();
            repo.by("c", &["claim", "T-1"]).ok();
        }
    }
}

#[test]
fn a_file_that_is_ahead_of_the_ref_holds_the_claim_back() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("a", &["release", "T-1", "--status", "released"]).ok();
        let ahead = repo
            .read(place)
            .replace("\"released\"", "\"active\"")
            .replace("\"agent_id\": \"a\"", "\"agent_id\": \"z\"");
        let unknown = ahead
            .replace("\"revision\": 2", "\"revision\": 7")
            .replace("\"claim_id\": \"", "\"claim_id\": \"other-");
        repo.write(place, &unknown);
        let error = repo.by("b", &["claim", "T-1"]).fails(3, "claim-diverged");
        assert_eq!((&error["owner"], &error["file"]), (&json!("z"), &json!(place)));
        // The chain knows this claim: the file has only been edited.
        repo.write(place, ahead.replace("\"revision\": 2", "\"revision\": 7"));
        repo.by("b", &["claim", "T-1"]).ok();
        assert_eq!(repo.tip("T-1")["revision"], 8, "one more than the highest of ref and file");
        assert_eq!(repo.claim("T-1"), repo.tip("T-1"));
        // A file never grants ownership.
        repo.write(place, repo.read(place).replace("\"agent_id\": \"b\"", "\"agent_id\": \"c\""));
        repo.by("c", &["release", "T-1"]).fails(3, "claim-held");
    }
}

#[test]
fn a_ref_that_a_power_loss_destroyed_is_kept_aside_and_the_files_decide() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        repo.by("a", &["claim", "T-1"]).within(&other).ok();
        let reference = repo.path(".git/refs/bus/claims/T-1");
        for damage in ["", "\0\0\0\0", "1111111111111111111111111111111111111111\n"] {
            fs::write(&reference, damage).unwrap();
            assert_eq!(
                repo.bus(&["status", "--json"]).ok().json()["claims"][0]["agent_id"],
                "a",
                "{kept:?}, {damage:?}"
            );
            repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
            repo.git(&["fetch", "--quiet", "."]);
            assert_eq!(repo.history("T-1")[0], "import T-1 by a");
        }
        assert!(fs::read_dir(repo.path(".git/bus/broken")).unwrap().count() > 0);
        repo.by("a", &["release", "T-1"]).within(&other).ok();
    }
}

#[test]
fn an_older_state_in_packed_refs_does_not_come_to_light() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("a", &["release", "T-1", "--status", "released"]).ok();
        repo.git(&["pack-refs", "--all"]);
        repo.by("b", &["claim", "T-1"]).within(&other).ok();
        fs::write(repo.path(".git/refs/bus/claims/T-1"), "").unwrap();
        repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
        assert_eq!(repo.history("T-1")[0], "import T-1 by b", "{kept:?}");
    }
}

#[test]
fn a_claim_that_cannot_be_read_is_never_free_and_nothing_is_changed() {
    let recorded = record("claims");
    for (kept, folder) in [
        (Kept::Untracked, recorded.as_str()),
        (Kept::Tracked, "_bus/claims"),
        (Kept::Older, "_bus/claims"),
    ] {
        is_never_free(&Repo::keeping(kept), folder);
    }
}

/// Claims count that are in `folder`.
fn is_never_free(repo: &Repo, folder: &str) {
    let bad = [
        (
            "T-1",
            old_claim("T-1", "a", "pending").replace(", \"status\"", ",\n\"status\""),
            2,
            "pending",
        ),
        ("T-2", "{\n  \"task_id\": \"T-2\",\n}\n".to_owned(), 3, "column"),
        ("T-3", old_claim("T-4", "a", "active"), 1, "another task"),
        ("T-5", format!("{}\n<<<<<<< HEAD\n", old_claim("T-5", "a", "done")), 2, "merge conflict"),
        (
            "T-6",
            old_claim("T-6", "a", "done").replace("\"status\"", "\"agent_id\": \"b\", \"status\""),
            1,
            "twice",
        ),
        ("T-7", String::new(), 1, "column"),
    ];
    for (task, text, line, word) in &bad {
        repo.write(&format!("{folder}/{task}.json"), text);
        for command in [
            vec!["claim", task],
            vec!["release", task],
            vec!["heartbeat", task],
            vec!["reclaim", task, "--note", "x"],
        ] {
            let error = repo.by("b", &command).fails(5, "malformed-record");
            assert_eq!(error["file"], format!("{folder}/{task}.json"));
            assert_eq!(error["line"], *line);
            assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        }
        assert_eq!(&repo.read(&format!("{folder}/{task}.json")), text);
    }
    let status = repo.bus(&["status", "--json"]).ok().says("cannot be read").json();
    assert_eq!(status["unreadable"].as_array().unwrap().len(), bad.len());
    repo.git(&["update-ref", "refs/bus/claims/T-8", "HEAD"]);
    assert_eq!(
        repo.by("b", &["claim", "T-8"]).fails(5, "malformed-record")["file"],
        "refs/bus/claims/T-8"
    );
}

#[test]
fn a_revision_that_cannot_go_up_is_refused() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        let claim = old_claim("T-1", "a", "released")
            .replace("\"status\"", "\"revision\": 9007199254740991, \"status\"");
        repo.write(place, &claim);
        repo.by("b", &["claim", "T-1"]).at(NOON).fails(5, "malformed-record");
        assert_eq!(repo.read(place), claim);
    }
}

#[test]
fn a_damaged_ref_that_no_file_stands_in_for_is_shown() {
    let repo = Repo::new();
    repo.write(".git/refs/bus/claims/T-1", "garbage");
    let status = repo.bus(&["status", "--json"]).ok().says("is damaged").json();
    assert_eq!(status["unreadable"][0]["task_id"], "T-1");
    repo.bus(&["deinit"]).fails(5, "malformed-record");
    repo.by("a", &["claim", "T-1"]).ok();
}

#[test]
fn a_packed_ref_without_its_object_is_kept_aside_too() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let id = repo.git(&["rev-parse", "refs/bus/claims/T-1"]);
    repo.git(&["pack-refs", "--all"]);
    fs::remove_file(repo.path(&format!(".git/objects/{}/{}", &id[..2], id[2..].trim()))).unwrap();
    repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    let kept = fs::read_dir(repo.path(".git/bus/broken")).unwrap().next().unwrap().unwrap();
    assert!(fs::read_to_string(kept.path()).unwrap().contains(id.trim()));
    repo.by("a", &["release", "T-1"]).ok();
}

#[test]
fn an_old_file_is_known_by_the_lineage_where_the_chain_began_anew() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let old = repo.read(place);
        repo.by("a", &["release", "T-1", "--status", "released"]).ok();
        repo.by("b", &["claim", "T-1"]).ok();
        repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
        repo.by("b", &["heartbeat", "T-1"]).ok();
        repo.write(place, old.replace("\"revision\": 1", "\"revision\": 99"));
        repo.by("b", &["claim", "T-1", "--notes", "mine"]).ok();
    }
}
