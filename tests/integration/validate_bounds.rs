//! What a pull request controls has a bound in sum: what hits it is named, and nothing hangs.

use std::fmt::Write as _;
use std::fs::{self, File};

use super::harness::Ran;
use super::sound_bus::older_bus;

/// The paths of the findings of a rule.
fn found(ran: &Ran, rule: &str) -> Vec<String> {
    let report = ran.json();
    let findings =
        report["findings"].as_array().unwrap_or_else(|| panic!("{}", ran.transcript)).iter();
    let of_rule = findings.filter(|finding| finding["rule"] == rule);
    of_rule.map(|finding| finding["path"].as_str().unwrap().to_owned()).collect()
}

fn lease(owner: &str, id: &str, scope: &[String]) -> String {
    let scope = serde_json::to_string(scope).unwrap();
    format!(
        r#"{{"deny":[],"expires_at":"2099-01-01T00:00:00Z","heartbeat":"2026-03-01T12:00:00Z","lock_id":"{id}","mode":"exclusive","objective":"x","owner":"{owner}","revision":1,"scope":{scope},"start_time":"2026-03-01T12:00:00Z"}}"#
    ) + "\n"
}

/// Patterns that begin alike and can share no path, which takes a long search to see.
fn entangled(end: char) -> Vec<String> {
    (0..20)
        .map(|number| format!("*{}*{}{end}?", "a".repeat(450 + number), "b".repeat(450)))
        .collect()
}

#[test]
fn patterns_that_take_too_long_are_named_by_their_leases() {
    let repo = older_bus();
    repo.write("_bus/locks/L-aaaaaaa.json", lease("codex-1", "L-aaaaaaa", &entangled('x')));
    repo.write("_bus/locks/L-bbbbbbb.json", lease("codex-2", "L-bbbbbbb", &entangled('y')));
    let ran = repo.bus(&["validate", "--json"]).exits(1);
    assert_eq!(found(&ran, "too-much"), ["_bus/locks/L-bbbbbbb.json"]);
    assert!(
        ran.stdout.contains("`L-bbbbbbb` and `L-aaaaaaa` were not compared to the end"),
        "{}",
        ran.transcript
    );
    // Leases of ordinary patterns are compared to the end.
    for number in 0..100 {
        let scope: Vec<String> = (0..10).map(|part| format!("src/m{number}/p{part}/**")).collect();
        repo.write(
            &format!("_bus/locks/L-{number:07}.json"),
            lease(&format!("agent-{number}"), &format!("L-{number:07}"), &scope),
        );
    }
    fs::remove_file(repo.path("_bus/locks/L-aaaaaaa.json")).unwrap();
    fs::remove_file(repo.path("_bus/locks/L-bbbbbbb.json")).unwrap();
    repo.bus(&["validate"]).ok();
}

#[test]
fn a_pattern_of_many_wildcards_is_refused_and_found() {
    let repo = older_bus();
    for bad in [
        "*a".repeat(17),
        "?a".repeat(17),
        "[ab]".repeat(17),
        format!("{{x,{}}}", "*a".repeat(17)),
        "**/".repeat(17) + "a",
    ] {
        repo.by("codex-1", &["lock", "acquire", &bad, "--objective", "x"]).exits(2);
        repo.write("_bus/locks/L-aaaaaaa.json", lease("codex-1", "L-aaaaaaa", &[bad]));
        assert_eq!(
            found(&repo.bus(&["validate", "--json"]).exits(1), "bad-pattern"),
            ["_bus/locks/L-aaaaaaa.json"]
        );
        fs::remove_file(repo.path("_bus/locks/L-aaaaaaa.json")).unwrap();
    }
    for good in [
        "*a".repeat(16),
        "?".repeat(60),
        format!("{{{}}}", vec!["*a"; 40].join(",")),
        "\\*".repeat(40),
    ] {
        repo.write("_bus/locks/L-aaaaaaa.json", lease("codex-1", "L-aaaaaaa", &[good]));
        repo.bus(&["validate"]).ok();
    }
}

#[test]
fn of_many_leases_and_claims_the_first_that_is_left_out_is_named() {
    let repo = older_bus();
    repo.commit_all("bus");
    for number in 0..2001 {
        repo.write(
            &format!("_bus/locks/L-{number:07}.json"),
            lease("codex-1", &format!("L-{number:07}"), &["src/**".to_owned()]),
        );
    }
    for number in 0..5001 {
        let claim = format!(
            r#"{{"agent_id":"codex-1","branch":"agent/codex-1/q","claimed_at":"2026-01-01T00:00:00Z","status":"active","task_id":"Q-{number:07}"}}"#
        );
        repo.write(&format!("_bus/claims/Q-{number:07}.json"), claim + "\n");
    }
    let ran = repo.bus(&["validate", "--base", "main", "--json"]).exits(1);
    assert_eq!(
        found(&ran, "too-much"),
        ["_bus/claims/Q-0005000.json", "_bus/locks/L-0002000.json"]
    );
}

#[test]
fn a_queue_whose_items_wait_for_one_another_by_the_hundred_thousand_is_named_by_its_item() {
    let repo = older_bus();
    let mut after = String::new();
    for number in 0..1000 {
        write!(after, "T-{number} ").unwrap();
    }
    for number in 1..=501 {
        repo.write(&format!("queue/{number:03}-x.md"), format!("# Task: x\nAfter: {after}\n"));
    }
    let ran = repo.bus(&["validate", "--json"]).exits(1);
    assert_eq!(found(&ran, "too-much"), ["queue/501-x.md"]);
    fs::remove_file(repo.path("queue/501-x.md")).unwrap();
    repo.bus(&["validate"]).ok();
}

#[test]
fn of_many_branches_the_first_that_is_left_out_is_named() {
    let repo = older_bus();
    let head = repo.git(&["commit-tree", "-m", "other", "HEAD^{tree}"]);
    let refs: String = (0..1001)
        .map(|number| format!("create refs/heads/agent/a/{number:04} {}\n", head.trim()))
        .collect();
    fs::write(repo.beside("refs"), refs).unwrap();
    repo.git_reads(&["update-ref", "--stdin"], File::open(repo.beside("refs")).unwrap());
    let judge = || repo.bus(&["validate", "--base", "main", "--refs", "agent/*", "--json"]);
    assert_eq!(found(&judge().exits(1), "too-much"), ["refs/heads/agent/a/1000"]);
    repo.git(&["update-ref", "-d", "refs/heads/agent/a/1000"]);
    judge().ok();
}

#[test]
fn files_that_are_too_long_or_too_many_are_named() {
    let repo = older_bus();
    let sparse = |path: &str, length: u64| {
        repo.write(path, "");
        File::options().write(true).open(repo.path(path)).unwrap().set_len(length).unwrap();
    };
    sparse("_bus/events/codex-1.jsonl", (512 << 20) + 1);
    assert_eq!(
        found(&repo.bus(&["validate", "--json"]).exits(1), "too-much"),
        ["_bus/events/codex-1.jsonl"]
    );
    fs::remove_file(repo.path("_bus/events/codex-1.jsonl")).unwrap();
    (0..130)
        .for_each(|number| sparse(&format!("_plans/2026-01-01-{number:03}.plan.json"), 1 << 20));
    let ran = repo.bus(&["validate", "--json"]).exits(1);
    assert_eq!(found(&ran, "too-much"), ["_plans/2026-01-01-127.plan.json"], "{}", ran.transcript);
    fs::remove_dir_all(repo.path("_plans")).unwrap();
    repo.write("_bus/config.toml", "#\n".repeat(40_000));
    assert_eq!(
        found(&repo.bus(&["validate", "--json"]).exits(1), "bad-config"),
        ["_bus/config.toml"]
    );
}

#[test]
#[ignore = "50,000 commits: ci/soak-suite"]
fn a_claim_with_a_history_without_end_is_named() {
    let repo = older_bus();
    let state = |revision: usize, status: &str| {
        format!(
            r#"{{"agent_id":"codex-1","branch":"agent/codex-1/q","claim_id":"c-1","claimed_at":"2026-01-01T00:00:00Z","revision":{revision},"status":"{status}","task_id":"Q-1"}}"#
        ) + "\n"
    };
    repo.write("_bus/claims/Q-1.json", state(1, "active"));
    repo.commit_all("claim");
    let mut stream = String::new();
    for revision in 2..50_010 {
        let message = format!("heartbeat Q-1\n\n{}", state(revision, "active"));
        write!(stream, "commit refs/bus-remote/origin/claims/Q-1\nauthor codex-1 <a@b> 1767225600 +0000\ncommitter codex-1 <a@b> 1767225600 +0000\ndata {}\n{message}\n", message.len()).unwrap();
    }
    fs::write(repo.beside("stream"), stream).unwrap();
    repo.git_reads(
        &["fast-import", "--quiet", "--force"],
        File::open(repo.beside("stream")).unwrap(),
    );
    repo.write("_bus/claims/Q-1.json", state(60_000, "done"));
    let ran = repo.bus(&["validate", "--base", "main", "--json"]).exits(1);
    assert_eq!(found(&ran, "too-much"), ["_bus/claims/Q-1.json"], "{}", ran.transcript);
    assert!(
        ran.stdout.contains("refs/bus-remote/origin/claims/Q-1 was not read to its end"),
        "{}",
        ran.transcript
    );
}

#[test]
fn a_log_that_names_its_segment_by_the_ten_thousand_is_named_itself() {
    let repo = older_bus();
    let line =
        r#"{"agent_id":"m","event":"note","id":"e-1","summary":"x","ts":"2026-03-01T12:00:00Z"}"#;
    repo.write("segment", format!("{line}\n"));
    let segment = repo.git(&["hash-object", "-w", "segment"]);
    let tree = |entries: String| {
        fs::write(repo.beside("entries"), entries).unwrap();
        repo.git_answers(&["mktree"], File::open(repo.beside("entries")).unwrap()).trim().to_owned()
    };
    let audit = |files: usize| {
        let names = (1..=20_000).fold(String::new(), |mut names, number| {
            writeln!(names, "100644 blob {}\t{number:08}", segment.trim()).unwrap();
            names
        });
        let file = tree(names);
        let files =
            (0..files).map(|number| format!("040000 tree {file}\tm{number:03}.jsonl\n")).collect();
        let events = tree(files);
        let root = tree(format!("040000 tree {events}\tevents\n"));
        let commit = repo.git(&["commit-tree", &root, "-m", "log"]);
        repo.git(&["update-ref", "refs/bus/log/zzzz", commit.trim()]);
        repo.bus(&["validate", "--fleet", "--json"]).run()
    };
    assert_eq!(found(&audit(20), "too-much"), ["refs/bus/log/zzzz"]);
    assert_eq!(found(&audit(2), "too-much"), [""; 0]);
}

#[test]
fn of_a_log_the_commits_that_add_nothing_count_little() {
    let repo = older_bus();
    let commit = "commit refs/bus/log/aaaa\nauthor a <a@b> 1767225600 +0000\ncommitter a <a@b> 1767225600 +0000\ndata 4\nlog\n";
    let stream = commit.repeat(20_100);
    fs::write(repo.beside("stream"), stream).unwrap();
    repo.git_reads(
        &["fast-import", "--quiet", "--force"],
        File::open(repo.beside("stream")).unwrap(),
    );
    let ran = repo.bus(&["validate", "--fleet", "--json"]).run();
    assert_eq!(found(&ran, "too-much"), [""; 0], "{}", ran.transcript);
}
