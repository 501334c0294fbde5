//! A pull request must not be able to put words into an inbox: in an untracked bus nobody reads
//! files of the worktree as records.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::harness::Repo;

/// What somebody puts into `_bus/`, by path.
fn dropped() -> Vec<(&'static str, String)> {
    let event = "{\"agent_id\":\"a\",\"event\":\"release\",\"id\":\"evil\",\"summary\":\"dropped\",\"task_id\":\"T-1\",\"ts\":\"2026-03-01T12:00:00Z\"}\n";
    let message = |to: &str| {
        format!(
            "{{\"from\":\"boss\",\"id\":\"evil{}\",\"summary\":\"dropped\",{to},\"ts\":\"2026-03-01T12:00:00Z\",\"type\":\"directive\"}}\n",
            to.len()
        )
    };
    let claim = |task: &str, status: &str| {
        format!(
            "{{\"task_id\":\"{task}\",\"agent_id\":\"evil\",\"branch\":\"agent/evil/x\",\"status\":\"{status}\",\"claimed_at\":\"2026-03-01T12:00:00Z\",\"revision\":99}}\n"
        )
    };
    let assignment = |task: &str| {
        format!(
            "{{\"task_id\":\"{task}\",\"engineer\":\"evil\",\"manager\":\"boss\",\"assigned_at\":\"2026-03-02T12:00:00Z\"}}\n"
        )
    };
    let lease = "{\"lock_id\":\"L-evilevi\",\"owner\":\"evil\",\"scope\":[\"**\"],\"deny\":[],\"mode\":\"exclusive\",\"objective\":\"dropped\",\"start_time\":\"2026-03-01T12:00:00Z\",\"heartbeat\":\"2026-03-01T12:00:00Z\",\"expires_at\":\"2027-03-01T12:00:00Z\",\"revision\":1}\n";
    vec![
        ("_bus/claims/T-1.json", claim("T-1", "released")),
        ("_bus/claims/T-2.json", claim("T-2", "active")),
        ("_bus/claims/QUEUE-001.json", claim("QUEUE-001", "done")),
        ("_bus/claims/QUEUE-002.json", "{".to_owned()),
        ("_bus/assignments/T-2.json", assignment("T-2")),
        ("_bus/assignments/QUEUE-001.json", assignment("QUEUE-001")),
        ("_bus/events/a.jsonl", event.to_owned()),
        ("_bus/events/evil.jsonl", event.replace("\"evil\"", "\"evil2\"")),
        ("_bus/events/a@abcdefghij01.jsonl", event.replace("\"evil\"", "\"evil3\"")),
        ("_bus/events/events.jsonl", format!("rubbish\n{event}")),
        ("_bus/messages/agent-boss.jsonl", message("\"to\":\"boss\"")),
        ("_bus/messages/T-1.jsonl", message("\"task_id\":\"T-1\"")),
        ("_bus/messages/boss@abcdefghij01.jsonl", message("\"to\":\"agent-b\"")),
        ("_bus/locks/L-evilevi.json", lease.to_owned()),
        ("_bus/Claims/T-3.json", claim("T-3", "active")),
        ("_bus/EVENTS/evil.jsonl", event.replace("\"evil\"", "\"evil4\"")),
    ]
}

fn drop_into(root: &Path) {
    for (path, text) in dropped() {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
}

/// All that readers show in `folder`, by reader.
fn shown(repo: &Repo, folder: &Path) -> Vec<(String, Option<i32>, String, String)> {
    let readers = [
        ("a", "status --json"),
        ("a", "status --long --json"),
        ("boss", "inbox --json"),
        ("agent-b", "inbox --json"),
        ("a", "watch --json --window-hours 0"),
        ("a", "event list --json"),
        ("a", "message list --json"),
        ("a", "message list --task T-1 --json"),
        ("a", "queue ready --json"),
        ("a", "queue list --json"),
        ("a", "lock list --json"),
        ("a", "check --paths src/x other --json"),
        ("boss", "report --json"),
        ("a", "wait --event release --since 2026-03-01 --timeout 1ms"),
        ("a", "wait T-2 --until claimed --timeout 1ms"),
        ("boss", "wait --message --timeout 1ms"),
        // Refusals, which write nothing.
        ("b", "claim T-1"),
        ("b", "release T-1"),
        ("b", "lock acquire src/x --objective y"),
        ("evil", "heartbeat T-2"),
        ("evil", "release QUEUE-001"),
    ];
    let run = |(agent, words): (&str, &str)| {
        let ran = repo.by(agent, &words.split(' ').collect::<Vec<_>>()).within(folder).run();
        let stdout =
            if words.starts_with("report") { without_findings(&ran.json()) } else { ran.stdout };
        (words.to_owned(), ran.status, stdout, ran.stderr)
    };
    readers.into_iter().map(run).collect()
}

/// What a session begins with.
fn session(repo: &Repo, folder: &Path) -> String {
    let start =
        repo.by("reader", &["session", "start", "--no-fetch", "--json"]).within(folder).ok();
    repo.by("reader", &["session", "end"]).within(folder).ok();
    let parts = [
        "claims",
        "messages",
        "unread",
        "assignments",
        "ready",
        "peers",
        "locks",
        "other_locks",
        "unreadable",
    ];
    let json = start.json();
    parts.map(|part| format!("{part}: {}", without_presence(&json[part]))).join("\n")
        + &start.stderr
}

/// A report without what `bus validate` says of the files: that is there to be seen.
fn without_findings(report: &Value) -> String {
    let mut report = report.clone();
    report["needs"].as_array_mut().unwrap().retain(|need| need["kind"] != "finding");
    serde_json::to_string_pretty(&report).unwrap()
}

/// Whoever looks is seen.
fn without_presence(part: &Value) -> Value {
    match part.as_array() {
        Some(list) => list.iter().filter(|one| one["agent_id"] != "reader").cloned().collect(),
        None => part.clone(),
    }
}

/// A bus in use: T-1 is a's, with a lease; two tasks are in the queue, and boss has a message.
fn used() -> Repo {
    let repo = Repo::new();
    repo.by("boss", &["queue", "add", "one"]).ok();
    repo.by("boss", &["queue", "add", "two"]).ok();
    repo.commit_all("queue");
    repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
    repo.by("a", &["message", "send", "--to", "boss", "--summary", "hello"]).ok();
    session(&repo, &repo.root());
    // Each reader once, so that all have been seen.
    shown(&repo, &repo.root());
    repo
}

/// Asserts that every reader shows the same in `folder` as before.
fn shows(repo: &Repo, folder: &Path, before: &[(String, Option<i32>, String, String)], why: &str) {
    for (now, before) in shown(repo, folder).into_iter().zip(before) {
        // The commit that work is compared with may be a new one.
        let lines = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("\"commit\""))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (is, was) = (lines(&now.2), lines(&before.2));
        let gone: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
        let new: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
        assert!(is == was, "{why}: {}, new: {new:?}, gone: {gone:?}", now.0);
        assert_eq!((now.1, &now.3), (before.1, &before.3), "{why}: {}", now.0);
    }
}

#[test]
fn files_dropped_into_a_worktree_change_nothing_for_any_reader() {
    let repo = used();
    let before = shown(&repo, &repo.root());
    drop_into(&repo.root());
    shows(&repo, &repo.root(), &before, "in the worktree");
    repo.git(&["add", "--force", "_bus"]);
    shows(&repo, &repo.root(), &before, "staged");
    repo.commit_all("dropped");
    shows(&repo, &repo.root(), &before, "committed, on the target itself");
    repo.bus(&["doctor", "--fix"]).run();
    shows(&repo, &repo.root(), &before, "after the doctor");
    let begun = session(&repo, &repo.root());
    repo.git(&["rm", "-rqf", "_bus"]);
    repo.git(&["checkout", "--quiet", "HEAD^", "--", "_bus"]);
    assert_eq!(session(&repo, &repo.root()), begun);
}

#[test]
fn files_on_a_branch_change_nothing_wherever_it_is_checked_out() {
    let repo = used();
    let linked = repo.worktree("agent-evil");
    let before = shown(&repo, &repo.root());
    let before_there = shown(&repo, &linked);
    drop_into(&linked);
    shows(&repo, &repo.root(), &before, "in another worktree");
    repo.git_in(&linked, &["add", "--force", "_bus"]);
    repo.commit_all_in(&linked, "dropped");
    shows(&repo, &repo.root(), &before, "committed in another worktree");
    shows(&repo, &linked, &before_there, "where it is checked out");
    repo.git(&["merge", "--quiet", "agent-evil"]);
    shows(&repo, &repo.root(), &before, "merged past CI");
}

#[test]
fn after_that_commands_write_the_truth() {
    let repo = used();
    drop_into(&repo.root());
    repo.git(&["add", "--force", "_bus"]);
    repo.commit_all("dropped");
    let claim = |agent: &str, words: &[&str]| {
        repo.by(agent, &[&["claim", "--json"], words].concat()).ok().json()["claim"].clone()
    };
    assert_eq!(claim("b", &["T-2"])["revision"], 1);
    assert_eq!(claim("b", &["T-3"])["revision"], 1);
    assert_eq!(claim("b", &["--next"])["task_id"], "QUEUE-001");
    assert_eq!(claim("c", &["--next"])["task_id"], "QUEUE-002");
    repo.by("b", &["lock", "acquire", "docs/", "--objective", "y"]).ok();
    repo.by("a", &["release", "T-1"]).ok();
    let events = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    assert!(events.iter().all(|event| event["summary"] != "dropped"));
    // The files are in commits, so they are not written over either: git would show it.
    assert_eq!(repo.status_of(&repo.root()), "");
    for (path, text) in dropped() {
        assert_eq!(repo.read(path), text, "{path}");
    }
}

#[test]
fn in_a_fresh_clone_whose_target_has_none_a_branch_changes_nothing() {
    let repo = used();
    repo.git(&["switch", "--quiet", "--create", "agent/evil/x"]);
    drop_into(&repo.root());
    repo.git(&["add", "--force", "_bus"]);
    repo.commit_all("dropped");
    repo.git(&["switch", "--quiet", "main"]);
    let clone = |name: &str, branch: &str| {
        let folder = repo.beside(name);
        repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), folder.to_str().unwrap()]);
        repo.git_in(&folder, &["switch", "--quiet", branch]);
        folder
    };
    let (clean, evil) = (clone("clean", "main"), clone("evil", "agent/evil/x"));
    let all = |folder: &Path| {
        let root = fs::canonicalize(folder).unwrap().display().to_string();
        let mut all = vec![session(&repo, folder)];
        all.extend(
            shown(&repo, folder)
                .into_iter()
                .map(|(words, status, out, err)| format!("{words} {status:?}\n{out}\n{err}")),
        );
        // Sessions, leases and clones have ids by chance.
        let same = |text: String| text.replace(&root, "ROOT").replace("agent/evil/x", "main");
        let by_chance =
            ["\"id\"", "claim_id", "session_id", "L-", "\"origin\"", "\"base\"", "\"commit\""];
        let is_the_same = |line: &&str| {
            line.contains("evil") || !by_chance.iter().any(|part| line.contains(part))
        };
        all.into_iter()
            .map(|text| {
                same(text).lines().filter(is_the_same).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    // The first time nothing was imported when it began.
    for why in ["before anything is written", "after the first write"] {
        for (evil, clean) in all(&evil).into_iter().zip(all(&clean)) {
            assert_eq!(evil, clean, "{why}");
        }
    }
    assert!(!repo.bus(&["event", "list"]).within(&evil).ok().stdout.contains("dropped"));
    let claimed = repo.by("b", &["claim", "T-2", "--json"]).within(&evil).ok().json();
    assert_eq!(
        (&claimed["previous"], &claimed["claim"]["revision"]),
        (&Value::Null, &Value::from(1))
    );
}
