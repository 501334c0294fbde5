//! Who owns a task: the table of the design, section 3, through the binary.

use serde_json::json;

use super::harness::{Kept, NOON, Repo, record};

#[test]
fn a_claim_is_the_same_in_ref_files_and_log() {
    Kept::ALL.into_iter().for_each(is_the_same);
}

fn is_the_same(kept: Kept) {
    let repo = Repo::keeping(kept);
    repo.by("codex-1", &["claim", "QUEUE-001", "--notes", "hygiene", "--plan", "2026-03-01-q"])
        .ok();
    let file = repo.read(&record("claims/QUEUE-001.json"));
    assert_eq!(repo.read("_bus/claims/QUEUE-001.json"), file, "{kept:?}");
    let body = repo.git(&["cat-file", "commit", "refs/bus/claims/QUEUE-001"]);
    let (head, body) = body.split_once("\n\nclaim QUEUE-001 by codex-1\n\n").unwrap();
    assert_eq!(body, file, "the very bytes");
    assert!(head.contains("author codex-1 <codex-1@bus.invalid>"), "{head}");
    assert!(head.starts_with("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"), "{head}");
    let claim = repo.claim("QUEUE-001");
    assert_eq!(claim["revision"], 1);
    assert_eq!(claim["branch"], "agent/codex-1/queue-001");
    assert_eq!(claim["base"], repo.git(&["rev-parse", "HEAD"]).trim());
    let lines = repo.log_lines();
    let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (lines.len(), &event["event"], &event["summary"]),
        (1, &json!("claim"), &json!("claimed: hygiene"))
    );
    let commit = repo.git(&["rev-parse", "refs/bus/claims/QUEUE-001"]);
    let id = event["id"].as_str().unwrap().replace('-', "");
    assert_eq!(&id[..16], "019ca9450a008001", "the time in milliseconds, version 8, the revision");
    assert_eq!(&id[17..], &commit[1..16], "the commit, but for the variant's bits");
    repo.git(&["fsck", "--strict"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    repo.by("codex-1", &["release", "QUEUE-001"]).ok();
    assert_eq!(
        repo.history("QUEUE-001"),
        ["release QUEUE-001 by codex-1", "claim QUEUE-001 by codex-1"]
    );
}

#[test]
fn claiming_again_changes_nothing_but_what_is_given() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--notes", "one"]).ok();
    let before = repo.state();
    assert!(repo.by("a", &["claim", "T-1"]).ok().stdout.contains("nothing to do"));
    assert_eq!(repo.state(), before);
    let changed = repo.by("a", &["claim", "T-1", "--notes", "two", "--json"]).ok().json();
    assert_eq!(
        (&changed["outcome"], &changed["claim"]["revision"]),
        (&json!("updated"), &json!(2))
    );
    assert_eq!(changed["claim"]["claim_id"], changed["previous"]["claim_id"]);
    repo.by("a", &["claim", "T-1", "--status", "paused"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["status"], "paused", "a paused claim stays paused");
    repo.by("a", &["claim", "T-1", "--status", "active", "--clear-notes"]).ok();
    assert_eq!(
        (&repo.claim("T-1")["status"], &repo.claim("T-1")["notes"]),
        (&json!("active"), &json!(null))
    );
}

#[test]
fn a_task_may_be_an_argument_or_an_option_but_not_both() {
    let repo = Repo::new();
    repo.by("a", &["claim", "--task", "T-1"]).ok();
    repo.by("a", &["claim", "T-1", "--task", "T-1"]).fails(2, "usage");
    repo.by("a", &["claim"]).fails(2, "usage");
}

#[test]
fn identity_comes_from_the_option_the_environment_or_the_manifest() {
    let repo = Repo::new();
    let error = repo.bus(&["claim", "T-1"]).fails(2, "no-identity");
    for way in ["--agent", "BUS_AGENT", "AGENT_MANIFEST.json"] {
        assert!(error["hint"].as_str().unwrap().contains(way));
    }
    repo.write("AGENT_MANIFEST.json", r#"{"agent_id": "from-manifest"}"#);
    repo.bus(&["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["agent_id"], "from-manifest");
    repo.by("from-env", &["claim", "T-2"]).ok();
    assert_eq!(repo.claim("T-2")["agent_id"], "from-env");
    repo.by("from-env", &["claim", "T-3", "--agent", "from-option"]).ok();
    assert_eq!(repo.claim("T-3")["agent_id"], "from-option");
    repo.bus(&["claim", "T-4", "--agent", "a", "--agent", "b"]).fails(2, "usage");
    repo.write("AGENT_MANIFEST.json", "{");
    repo.bus(&["claim", "T-4"]).fails(5, "malformed-record");
}

#[test]
fn letter_case_does_not_make_two_tasks() {
    let repo = Repo::new();
    repo.by("a", &["claim", "Queue-001"]).ok();
    repo.by("A", &["claim", "QUEUE-001"]).ok().says("the task is spelled `Queue-001`");
    repo.by("b", &["claim", "queue-001"]).fails(3, "claim-held");
    assert_eq!(
        repo.git(&["for-each-ref", "--format=%(refname)", "refs/bus"]).trim(),
        "refs/bus/claims/QUEUE-001"
    );
}

#[test]
fn anothers_task_is_refused_with_all_there_is_to_know() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let before = repo.state();
    let error = repo.by("b", &["claim", "T-1"]).at("2026-03-01T12:04:00Z").fails(3, "claim-held");
    let facts = [
        ("owner", "a"),
        ("branch", "agent/a/t-1"),
        ("status", "active"),
        ("claimed_at", NOON),
        ("last_seen", NOON),
    ];
    for (fact, value) in facts {
        assert_eq!(error[fact], value);
    }
    assert!(error["message"].as_str().unwrap().contains("4 min ago"));
    repo.by("b", &["release", "T-1"]).fails(3, "claim-held");
    repo.by("b", &["heartbeat", "T-1"]).fails(3, "claim-held");
    repo.by("b", &["reclaim", "T-1", "--note", "mine"]).fails(3, "claim-alive");
    assert_eq!(repo.state(), before);
}

#[test]
fn what_nobody_holds_cannot_be_released() {
    let repo = Repo::new();
    for command in
        [vec!["release", "T-1"], vec!["heartbeat", "T-1"], vec!["reclaim", "T-1", "--note", "x"]]
    {
        repo.by("a", &command).fails(4, "claim-not-held");
    }
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("a", &["release", "T-1"]).fails(4, "claim-not-held");
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("b", &["release", "T-1"]).fails(4, "claim-not-held");
}

#[test]
fn a_released_task_is_free_and_a_finished_one_is_not() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--notes", "half way", "--plan", "p-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("b", &["claim", "T-1"]).ok().says("earlier work on it is a's, on `agent/a/t-1`");
    let claim = repo.claim("T-1");
    assert_eq!(
        (&claim["notes"], &claim["plan_id"], &claim["branch"]),
        (&json!("half way"), &json!("p-1"), &json!("agent/b/t-1"))
    );
    assert_eq!(
        (&claim["lineage"][0]["agent_id"], &claim["lineage"][0]["ended"]),
        (&json!("a"), &json!("released"))
    );
    repo.by("b", &["release", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["released_at"], NOON);
    let error = repo.by("a", &["claim", "T-1"]).fails(3, "task-finished");
    assert_eq!((&error["owner"], &error["branch"]), (&json!("b"), &json!("agent/b/t-1")));
    repo.by("a", &["claim", "T-1", "--reopen"]).ok();
    assert_eq!(repo.claim("T-1")["released_at"], json!(null));
    repo.by("a", &["release", "T-1"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    let claim = repo.claim("T-1");
    assert_eq!(
        claim["lineage"].as_array().unwrap().len(),
        3,
        "an owner reopens its own work freely"
    );
    assert_eq!(repo.history("T-1")[0], "reopen T-1 by a");
}

#[test]
fn the_lineage_remembers_sixteen_claims_oldest_first() {
    let repo = Repo::new();
    for round in 0..18 {
        repo.by(&format!("agent{round}"), &["claim", "T-1"]).ok();
        repo.by(&format!("agent{round}"), &["release", "T-1", "--status", "released"]).ok();
    }
    let lineage = repo.claim("T-1")["lineage"].clone();
    assert_eq!(lineage.as_array().unwrap().len(), 16);
    assert_eq!(
        (&lineage[0]["agent_id"], &lineage[15]["agent_id"]),
        (&json!("agent1"), &json!("agent16"))
    );
}

#[test]
fn the_same_name_in_two_worktrees_is_two_workers() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).ok();
    let error = repo.by("a", &["claim", "T-1"]).within(&other).fails(3, "claim-held-elsewhere");
    assert!(error["message"].as_str().unwrap().contains("the main worktree"));
    repo.by("a", &["release", "T-1"]).within(&other).fails(3, "claim-held-elsewhere");
    let moved = repo.by("a", &["claim", "T-1", "--here", "--json"]).within(&other).ok().json();
    assert_eq!(moved["outcome"], "moved");
    assert_ne!(moved["claim"]["claim_id"], moved["previous"]["claim_id"]);
    assert!(moved["claim"]["origin"].as_str().unwrap().ends_with("/wt"));
    for command in [vec!["release", "T-1"], vec!["heartbeat", "T-1"]] {
        let lost = repo.by("a", &command).fails(8, "claim-lost");
        assert_eq!(lost["lost_to"], "a");
    }
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"])
        .fails(8, "claim-lost");
    repo.by("a", &["event", "log", "--event", "note", "--task", "T-1", "--summary", "x"]).ok();
    repo.by("a", &["claim", "T-1"]).fails(3, "claim-held-elsewhere");
    repo.by("a", &["release", "T-1"]).within(&other).ok();
    repo.by("a", &["claim", "T-1"]).fails(3, "task-finished");
}

#[test]
fn a_manager_may_end_a_claim_and_its_owner_is_told() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("boss", &["release", "T-1", "--force"]).exits(2);
    repo.by("boss", &["release", "T-1", "--force", "--note", "cancelled"]).ok();
    assert_eq!(
        repo.claim("T-1")["status"],
        "released",
        "whoever ends another's claim does not call it done"
    );
    let claim = repo.claim("T-1");
    assert_eq!(
        (&claim["agent_id"], &claim["released_by"], &claim["release_note"]),
        (&json!("a"), &json!("boss"), &json!("cancelled"))
    );
    let lost = repo.by("a", &["release", "T-1"]).fails(8, "claim-lost");
    assert_eq!((&lost["lost_to"], &lost["note"]), (&json!("boss"), &json!("cancelled")));
    repo.by("boss", &["release", "T-1", "--force", "--note", "cancelled", "--status", "released"])
        .ok();
    assert_eq!(repo.history("T-1").len(), 2, "run again, it finds its own work");
    repo.by("a", &["claim", "T-1"]).ok();
    let claim = repo.claim("T-1");
    assert_eq!(
        (&claim["released_by"], &claim["lineage"][0]["note"]),
        (&json!(null), &json!("cancelled"))
    );
    repo.by("a", &["release", "T-1"]).ok();
}

#[test]
fn an_assignment_to_somebody_else_refuses_the_claim_in_every_worktree() {
    let recorded = record("assignments");
    let modes = [
        (Kept::Untracked, recorded.as_str()),
        (Kept::Tracked, "_bus/assignments"),
        (Kept::Older, "_bus/assignments"),
    ];
    modes
        .into_iter()
        .for_each(|(kept, folder)| refuses_in_every_worktree(&Repo::keeping(kept), folder));
}

/// Assignments count that are in `folder`.
fn refuses_in_every_worktree(repo: &Repo, folder: &str) {
    let other = repo.worktree("wt");
    let assignment = |engineer: &str| {
        format!(
            r#"{{"task_id":"T-1","engineer":"{engineer}","manager":"boss","assigned_at":"{NOON}","plan_id":null}}"#
        )
    };
    let write = |task: &str, text: &str| repo.write(&format!("{folder}/{task}.json"), text);
    write("T-1", &assignment("b"));
    let error = repo.by("a", &["claim", "t-1"]).within(&other).fails(3, "assigned-elsewhere");
    assert_eq!((&error["engineer"], &error["manager"]), (&json!("b"), &json!("boss")));
    let hint = error["hint"].as_str().unwrap();
    assert!(
        hint.contains("`bus queue ready`")
            && hint.contains("bus message send --to boss --task T-1"),
        "{hint}"
    );
    assert!(
        !hint.contains("--allow-unassigned"),
        "a bypass is not what an agent shall try first: {hint}"
    );
    repo.by("b", &["claim", "t-1"]).within(&other).ok().says("the task is spelled `T-1`");
    repo.by("b", &["release", "T-1", "--status", "released"]).within(&other).ok();
    repo.by("a", &["claim", "T-1", "--allow-unassigned"]).ok();
    write("T-2", &assignment("unassigned").replace("T-1", "T-2"));
    repo.by("a", &["claim", "T-2"]).ok();
    repo.write(
        "_bus/config.toml",
        format!("require_assignment = true\n{}", repo.read("_bus/config.toml")),
    );
    repo.by("a", &["claim", "T-3"]).fails(3, "not-assigned");
    repo.by("a", &["claim", "T-3", "--allow-unassigned"]).ok();
    repo.by("a", &["claim", "T-3"]).ok();
    write("T-4", "{");
    repo.by("a", &["claim", "T-4"]).fails(5, "malformed-record");
}

#[test]
fn a_branch_is_the_agents_own() {
    let repo = Repo::new();
    for branch in ["main", "agent/b/x", "agent/a/", "agent/a/x..y", "agent/a/x y"] {
        repo.by("a", &["claim", "T-1", "--branch", branch]).fails(2, "usage");
    }
    repo.git(&["switch", "--quiet", "-c", "agent/a/here"]);
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["branch"], "agent/a/here", "the branch that is checked out");
    repo.by("a", &["claim", "T-2", "--branch", "agent/a/there"]).ok();
    assert_eq!(repo.claim("T-2")["branch"], "agent/a/there");
}

#[test]
fn fields_of_other_tools_survive_every_rewrite() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        repo.write(
            place,
            format!(
                r#"{{"task_id":"T-1","agent_id":"a","branch":"agent/a/t-1","status":"active","claimed_at":"{NOON}",
            "cost":12345678901234567890123.4500,"tool":{{"nested":[{{"key":null}}]}}}}"#
            ),
        );
        repo.by("a", &["claim", "T-1", "--notes", "x"]).ok();
        repo.by("a", &["release", "T-1", "--status", "released"]).ok();
        repo.by("b", &["claim", "T-1"]).ok();
        for text in [repo.read(&recorded), repo.read(file)] {
            assert!(text.contains("\"cost\": 12345678901234567890123.4500,"), "{kept:?}: {text}");
            assert!(text.contains("\"key\": null"), "{kept:?}: {text}");
        }
    }
}
