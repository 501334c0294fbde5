//! Records of older buses, files that contradict refs, and refs that a power loss destroyed.

use std::fs;

use serde_json::json;

use super::harness::{NOON, Repo};

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
    assert_eq!((&status["claims"][0]["agent_id"], status["events"].as_array().unwrap().len()), (&json!("a"), 1));
    repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    // No origin: the agent alone decides, from wherever it works.
    let other = repo.worktree("wt");
    repo.by("a", &["release", "T-1", "--status", "released"]).within(&other).ok();
    assert_eq!(repo.history("T-1"), ["release T-1 by a", "import T-1 by a"]);
    let root = repo.git(&["log", "--format=%b", "--max-parents=0", "refs/bus/claims/T-1"]);
    assert_eq!(root.trim_end(), old_claim("T-1", "a", "active"), "the root has the very bytes of the file");
    repo.by("b", &["claim", "T-2"]).ok();
    assert_eq!(repo.log_lines().len(), 2, "the one log goes on");
    assert!(!repo.path("_bus/events/b.jsonl").exists());
    repo.bus(&["init"]).ok();
    assert!(repo.read("_bus/config.toml").contains("\nlayout = \"single\"\n"));
}

#[test]
fn a_worktree_from_before_the_bus_has_it_too() {
    let repo = Repo::bare_of_bus();
    let other = repo.worktree("wt");
    repo.bus(&["init"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("b", &["claim", "T-1"]).within(&other).fails(3, "claim-held");
    repo.by("b", &["claim", "T-2"]).within(&other).ok();
    assert!(other.join("_bus/events/b.jsonl").exists(), "the layout is the main worktree's");
}

#[test]
fn without_a_ref_the_highest_revision_of_any_worktree_decides() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).within(&other).ok();
    repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
    repo.write("_bus/claims/T-1.json", old_claim("T-1", "b", "released"));
    repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
    repo.by("a", &["release", "T-1"]).within(&other).ok();
    assert_eq!(repo.history("T-1"), ["release T-1 by a", "import T-1 by a"]);
}

#[test]
fn files_of_equal_revision_that_disagree_are_refused() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.write("_bus/claims/T-1.json", old_claim("T-1", "a", "released"));
    fs::create_dir_all(other.join("_bus/claims")).unwrap();
    fs::write(other.join("_bus/claims/T-1.json"), old_claim("T-1", "b", "active")).unwrap();
    repo.by("c", &["claim", "T-1"]).fails(3, "claim-diverged");
    fs::write(other.join("_bus/claims/T-1.json"), old_claim("T-1", "a", "released")).unwrap();
    repo.by("c", &["claim", "T-1"]).ok();
}

#[test]
fn a_file_that_is_ahead_of_the_ref_holds_the_claim_back() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    let ahead = repo
        .read("_bus/claims/T-1.json")
        .replace("\"released\"", "\"active\"")
        .replace("\"agent_id\": \"a\"", "\"agent_id\": \"z\"");
    let unknown = ahead.replace("\"revision\": 2", "\"revision\": 7").replace("\"claim_id\": \"", "\"claim_id\": \"other-");
    repo.write("_bus/claims/T-1.json", &unknown);
    let error = repo.by("b", &["claim", "T-1"]).fails(3, "claim-diverged");
    assert_eq!((&error["owner"], &error["file"]), (&json!("z"), &json!("_bus/claims/T-1.json")));
    // The chain knows this claim: the file has only been edited.
    repo.write("_bus/claims/T-1.json", ahead.replace("\"revision\": 2", "\"revision\": 7"));
    repo.by("b", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["revision"], 8, "one more than the highest of ref and file");
    // A file never grants ownership.
    repo.write("_bus/claims/T-1.json", repo.read("_bus/claims/T-1.json").replace("\"agent_id\": \"b\"", "\"agent_id\": \"c\""));
    repo.by("c", &["release", "T-1"]).fails(3, "claim-held");
}

#[test]
fn a_ref_that_a_power_loss_destroyed_is_kept_aside_and_the_files_decide() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).within(&other).ok();
    let reference = repo.path(".git/refs/bus/claims/T-1");
    for damage in ["", "\0\0\0\0", "1111111111111111111111111111111111111111\n"] {
        fs::write(&reference, damage).unwrap();
        assert_eq!(repo.bus(&["status", "--json"]).ok().json()["claims"][0]["agent_id"], "a", "{damage:?}");
        repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
        repo.git(&["fetch", "--quiet", "."]);
        assert_eq!(repo.history("T-1")[0], "import T-1 by a");
    }
    assert!(fs::read_dir(repo.path(".git/bus/broken")).unwrap().count() > 0);
    repo.by("a", &["release", "T-1"]).within(&other).ok();
}

#[test]
fn an_older_state_in_packed_refs_does_not_come_to_light() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.git(&["pack-refs", "--all"]);
    repo.by("b", &["claim", "T-1"]).within(&other).ok();
    fs::write(repo.path(".git/refs/bus/claims/T-1"), "").unwrap();
    repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
    assert_eq!(repo.history("T-1")[0], "import T-1 by b");
}

#[test]
fn a_claim_that_cannot_be_read_is_never_free_and_nothing_is_changed() {
    let repo = Repo::new();
    let bad = [
        ("T-1", old_claim("T-1", "a", "pending").replace(", \"status\"", ",\n\"status\""), 2, "pending"),
        ("T-2", "{\n  \"task_id\": \"T-2\",\n}\n".to_owned(), 3, "column"),
        ("T-3", old_claim("T-4", "a", "active"), 1, "another task"),
        ("T-5", format!("{}\n<<<<<<< HEAD\n", old_claim("T-5", "a", "done")), 2, "merge conflict"),
        ("T-6", old_claim("T-6", "a", "done").replace("\"status\"", "\"agent_id\": \"b\", \"status\""), 1, "twice"),
        ("T-7", String::new(), 1, "column"),
    ];
    for (task, text, line, word) in &bad {
        repo.write(&format!("_bus/claims/{task}.json"), text);
        for command in [vec!["claim", task], vec!["release", task], vec!["heartbeat", task], vec!["reclaim", task, "--note", "x"]]
        {
            let error = repo.by("b", &command).fails(5, "malformed-record");
            assert_eq!(error["file"], format!("_bus/claims/{task}.json"));
            assert_eq!(error["line"], *line);
            assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        }
        assert_eq!(&repo.read(&format!("_bus/claims/{task}.json")), text);
    }
    let status = repo.bus(&["status", "--json"]).ok().says("cannot be read").json();
    assert_eq!(status["unreadable"].as_array().unwrap().len(), bad.len());
    repo.git(&["update-ref", "refs/bus/claims/T-8", "HEAD"]);
    assert_eq!(repo.by("b", &["claim", "T-8"]).fails(5, "malformed-record")["file"], "refs/bus/claims/T-8");
}

#[test]
fn a_revision_that_cannot_go_up_is_refused() {
    let repo = Repo::new();
    let claim = old_claim("T-1", "a", "released").replace("\"status\"", "\"revision\": 9007199254740991, \"status\"");
    repo.write("_bus/claims/T-1.json", &claim);
    repo.by("b", &["claim", "T-1"]).at(NOON).fails(5, "malformed-record");
    assert_eq!(repo.read("_bus/claims/T-1.json"), claim);
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
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let old = repo.read("_bus/claims/T-1.json");
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("b", &["claim", "T-1"]).ok();
    repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
    repo.by("b", &["heartbeat", "T-1"]).ok();
    repo.write("_bus/claims/T-1.json", old.replace("\"revision\": 1", "\"revision\": 99"));
    repo.by("b", &["claim", "T-1", "--notes", "mine"]).ok();
}
