//! Hostile input, files in the way, and what must never be written.

use std::fs;

use super::harness::{Kept, Repo, record, some_of};

const BAD_IDS: [&str; 12] =
    ["", "../x", "a/b", "a..b", "a.", "a.lock", ".a", "-a-", "con", "a b", "a\u{1b}b", "é"];

#[test]
fn bad_ids_are_refused_where_they_enter() {
    let repo = Repo::new();
    let before = repo.state();
    for id in BAD_IDS {
        repo.by("a", &["claim", "--task", id]).exits(2);
        repo.bus(&["claim", "T-1", "--agent", id]).exits(2);
        if !id.is_empty() {
            repo.by(id, &["claim", "T-1"]).exits(2);
        }
    }
    repo.by("a", &["claim", "agent-a"]).exits(2);
    repo.write("AGENT_MANIFEST.json", r#"{"agent_id": "../x"}"#);
    repo.bus(&["claim", "T-1"]).fails(5, "malformed-record");
    fs::remove_file(repo.path("AGENT_MANIFEST.json")).unwrap();
    assert_eq!(repo.state(), before, "nothing was written");
}

/// Puts a link at `path` to what is called `target` in a folder outside of the repository.
#[cfg(unix)]
fn link(repo: &Repo, path: &str, target: &str) -> std::path::PathBuf {
    let outside = repo.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(outside.join("folder")).unwrap();
    fs::write(outside.join("file"), "{}").unwrap();
    let path = repo.path(path);
    let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(outside.join(target), path).unwrap();
    outside
}

/// Asserts that nothing was written there.
#[cfg(unix)]
fn is_untouched(outside: &std::path::Path, why: &str) {
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "{}", "{why}");
    assert_eq!(fs::read_dir(outside.join("folder")).unwrap().count(), 0, "{why}");
    assert!(!outside.join("missing").exists(), "{why}");
}

#[cfg(unix)]
#[test]
fn no_write_follows_a_link() {
    let all = ["_bus/config.toml", "AGENT_MANIFEST.json"].map(str::to_owned);
    let recorded =
        ["claims", "claims/T-1.json", "events", "events/a.jsonl", "assignments/T-1.json", ""]
            .map(record);
    let in_branches =
        ["_bus/claims", "_bus/claims/T-1.json", "_bus/assignments/T-1.json"].map(str::to_owned);
    for (kept, more) in
        [(Kept::Untracked, &[][..]), (Kept::Tracked, &in_branches), (Kept::Older, &in_branches)]
    {
        for path in all.iter().chain(&recorded).chain(more) {
            for target in some_of(["file", "folder", "missing"], 3, path.len()) {
                let repo = Repo::keeping(kept);
                let outside = link(&repo, path.trim_end_matches('/'), target);
                let command = repo.bus(&["claim", "T-1"]);
                let command = if path == "AGENT_MANIFEST.json" {
                    command
                } else {
                    command.env("BUS_AGENT", "a")
                };
                command.fails(5, "not-a-regular-file");
                is_untouched(&outside, &format!("{kept:?}, {path} -> {target}"));
            }
        }
    }
    // A copy is not worth a refusal.
    let copies = [(Kept::Untracked, "_bus/claims"), (Kept::Untracked, "_bus/claims/T-1.json")];
    let logs = [Kept::Untracked, Kept::Older]
        .map(|kept| [(kept, "_bus/events"), (kept, "_bus/events/a.jsonl")]);
    for (kept, path) in copies.into_iter().chain(logs.concat()) {
        for target in ["file", "folder", "missing"] {
            let repo = Repo::keeping(kept);
            let outside = link(&repo, path, target);
            repo.by("a", &["claim", "T-1"]).ok();
            is_untouched(&outside, &format!("{kept:?}, {path} -> {target}"));
            assert_eq!(repo.log_lines().len(), 1);
        }
    }
    let repo = Repo::tracked();
    repo.by("a", &["claim", "T-1"]).ok();
    let outside = link(&repo, "_bus/events", "folder");
    repo.by("a", &["release", "T-1"]).fails(5, "not-a-regular-file");
    is_untouched(&outside, "a batch");
    let repo = Repo::new();
    let outside = link(&repo, ".git/bus/log/refusals", "folder");
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"])
        .fails(5, "not-a-regular-file");
    is_untouched(&outside, "a refusal");
    let symlink =
        |from: &std::path::Path, to: std::path::PathBuf| std::os::unix::fs::symlink(from, to);
    for path in [".gitignore", ".gitattributes", "_bus", "queue"] {
        let repo = Repo::bare_of_bus();
        let outside = repo.beside("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, repo.path(path)).unwrap();
        repo.bus(&["init"]).fails(5, "not-a-regular-file");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(
            fs::read_dir(repo.root()).unwrap().count(),
            2,
            "nothing was laid out beside the link at {path}"
        );
    }
}

#[cfg(unix)]
#[test]
fn no_mark_of_the_clone_follows_a_link_either() {
    use std::os::unix::fs::symlink;
    let repo = Repo::new();
    let outside = repo.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    fs::remove_dir_all(repo.path(".git/bus")).unwrap();
    fs::create_dir(repo.path(".git/bus")).unwrap();
    symlink(outside.join("file"), repo.path(".git/bus/lock")).unwrap();
    symlink(&outside, repo.path(".git/bus/presence")).unwrap();
    repo.by("a", &["claim", "T-1"]).fails(5, "not-a-regular-file");
    fs::remove_file(repo.path(".git/bus/lock")).unwrap();
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    let line = r#"{"agent_id":"x","event":"note","summary":"outside","ts":"2026-03-01T12:00:00Z"}"#;
    fs::write(outside.join("x.jsonl"), format!("{line}\n")).unwrap();
    for (place, is_named) in [("_bus/events".to_owned(), false), (record("events"), true)] {
        fs::rename(repo.path(&place), repo.path("events")).unwrap();
        symlink(&outside, repo.path(&place)).unwrap();
        let ran = repo.bus(&["event", "list"]).exits(if is_named { 9 } else { 0 });
        assert!(!ran.stdout.contains("outside"), "a log outside of the repository is nobody's");
        assert_eq!(ran.stderr.contains(&place), is_named, "{}", ran.stderr);
        fs::remove_dir_all(repo.path("events")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn files_that_are_written_keep_their_mode() {
    use std::os::unix::fs::PermissionsExt;
    let repo = Repo::bare_of_bus();
    repo.write(".gitignore", "x\n");
    fs::set_permissions(repo.path(".gitignore"), fs::Permissions::from_mode(0o755)).unwrap();
    repo.bus(&["init"]).ok();
    repo.bus(&["deinit"]).ok();
    assert_eq!(fs::metadata(repo.path(".gitignore")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn texts_that_no_record_could_hold_are_refused_before_anything_is_written() {
    let repo = Repo::new();
    let long = "\u{1}".repeat(60_000);
    repo.by("a", &["claim", "T-1", "--branch", &format!("agent/a/{}", "b".repeat(66_000))])
        .exits(2);
    assert_eq!(repo.git(&["for-each-ref", "refs/bus"]), "");
    for (round, agent) in ["a", "b"].iter().cycle().take(8).enumerate() {
        repo.by(agent, &["claim", "T-1", "--notes", &long]).run();
        repo.by(agent, &["reclaim", "T-1", "--force", "--note", &long]).run();
        let status = repo.bus(&["status", "--json"]).ok().json();
        assert_eq!(status["unreadable"], serde_json::json!([]), "round {round}");
    }
    repo.write(
        &record("claims/T-2.json"),
        format!(
            r#"{{"task_id":"T-2","agent_id":"a","branch":"agent/a/{}","status":"active",
        "claimed_at":"2026-03-01T12:00:00Z"}}"#,
            "b".repeat(70_000)
        ),
    );
    repo.bus(&["status"]).ok();
}

#[cfg(unix)]
#[test]
fn a_temporary_file_that_is_a_link_is_not_followed() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        fs::write(repo.beside("outside"), "mine").unwrap();
        for folder in ["_bus/claims".to_owned(), record("claims")] {
            fs::create_dir_all(repo.path(&folder)).unwrap();
            std::os::unix::fs::symlink(
                repo.beside("outside"),
                repo.path(&folder).join(".T-1.json.tmp"),
            )
            .unwrap();
        }
        repo.by("a", &["claim", "T-1"]).ok();
        assert_eq!(fs::read_to_string(repo.beside("outside")).unwrap(), "mine");
        assert_eq!(repo.claim("T-1"), repo.tip("T-1"));
    }
}

#[test]
fn a_folder_in_the_way_is_named() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        fs::create_dir_all(repo.path(place)).unwrap();
        let error = repo.by("a", &["claim", "T-1"]).fails(5, "not-a-regular-file");
        assert!(
            error["message"].as_str().unwrap().contains(&format!("{place}` is a folder")),
            "{error}"
        );
    }
}

#[test]
fn text_from_the_bus_cannot_reach_the_terminal() {
    let repo = Repo::new();
    let evil = "a\u{1b}[2Jb\u{202e}c\r\nd\u{9b}\u{2028}e\u{7}";
    repo.by("a", &["claim", "T-1", "--notes", evil]).ok();
    repo.by("a", &["event", "log", "--event", "note", "--summary", evil, "--receipt", evil]).ok();
    repo.by("b", &["reclaim", "T-1", "--note", evil, "--force"]).ok();
    repo.by("a", &["release", "T-1"]).exits(8);
    repo.write(&record("events/evil.jsonl"), format!("{evil}\n"));
    let harmless = |text: &str| {
        let bad = |character: char| {
            (character.is_control() && character != '\n')
                || "\u{202e}\u{2028}\u{9b}".contains(character)
        };
        assert!(!text.chars().any(bad), "{text:?}");
    };
    repo.by("a", &["session", "start", "--focus", evil, "--summary", evil]).ok();
    repo.by("b", &["message", "send", "--to", "b", "--summary", evil, "--note", evil]).ok();
    for arguments in [
        vec!["status"],
        vec!["event", "list"],
        vec!["status", "--json"],
        vec!["event", "list", "--json"],
        vec!["session", "start", "--agent", "b"],
        vec!["session", "start", "--agent", "b", "--json"],
        vec!["session", "end", "--agent", "b"],
    ] {
        let ran = repo.bus(&arguments).ok();
        harmless(&ran.stdout);
        harmless(&ran.stderr);
    }
    let lost = repo.by("a", &["release", "T-1"]).exits(8);
    harmless(&lost.stderr);
    assert!(lost.stderr.contains("\\u{1b}[2J"), "shown, not dropped: {}", lost.stderr);
    let events = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    assert!(events.iter().any(|event| event["summary"] == evil), "and whole as JSON");
    repo.by("a", &["claim", "x\u{1b}[2J"]).exits(2);
}

#[test]
fn with_git_locks_present_everything_still_works() {
    let repo = Repo::new();
    repo.write(".git/index.lock", "");
    repo.write(".git/config.lock", "");
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"]).ok();
    repo.by("a", &["heartbeat", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "paused"]).ok();
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).ok();
    repo.by("b", &["release", "T-1"]).ok();
    repo.by("b", &["queue", "add", "x"]).ok();
    repo.by("b", &["claim", "--next"]).ok();
    repo.by("b", &["session", "start"]).ok();
    repo.by("b", &["session", "end"]).ok();
    repo.bus(&["status"]).ok();
    repo.bus(&["event", "list"]).ok();
}

#[test]
fn reads_change_nothing_that_git_tracks() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("b", &["message", "send", "--to", "a", "--summary", "x"]).ok();
    repo.by("b", &["queue", "add", "x"]).ok();
    repo.commit_all("claim");
    let before = repo.state();
    for arguments in [
        vec!["status"],
        vec!["status", "--json"],
        vec!["event", "list"],
        vec!["message", "list"],
        vec!["inbox"],
        vec!["inbox", "--mark-read"],
        vec!["queue", "list"],
        vec!["queue", "show", "QUEUE-001"],
        vec!["queue", "ready"],
        vec!["init", "--agents-md"],
        vec!["--help"],
    ] {
        repo.by("a", &arguments).ok();
        repo.by("z", &arguments).at("2027-01-01T00:00:00Z").ok();
    }
    assert_eq!(repo.state(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_a_failure_and_a_closed_pipe_is_none() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [
        vec!["status"],
        vec!["event", "list", "--json"],
        vec!["claim", "T-1"],
        vec!["--help"],
        vec!["claim", "--help"],
    ] {
        let mut child = repo.by("a", &arguments).stdout(full()).exits_silently();
        assert_eq!(child.wait().unwrap().code(), Some(9), "{arguments:?}");
        let mut child = repo.by("a", &arguments).start();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn failures_are_one_json_document_too() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--nonsense"]).fails(2, "usage");
    repo.by("a", &["no-such-command"]).fails(2, "usage");
    repo.by("a", &["claim", "../x"]).fails(2, "bad-id");
    repo.bus(&["claim", "T-1"]).fails(2, "no-identity");
    repo.by("a", &["claim", "T-1"]).without("BUS_NOW").env("BUS_NOW", "noon").fails(2, "usage");
}

#[test]
fn a_hostile_line_of_the_log_costs_no_more_than_its_reading() {
    let repo = Repo::new();
    repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    let deep = format!("{{\"a\":{}", "[".repeat(60_000));
    let long = format!("\"{}", "x".repeat(8 << 20));
    repo.by("a", &["message", "send", "--to", "b", "--summary", "x"]).ok();
    for folder in ["events", "messages"] {
        repo.write(&record(&format!("{folder}/evil.jsonl")), format!("{deep}\n{long}\n{deep}"));
    }
    for arguments in
        [vec!["event", "list"], vec!["event", "list", "--reverse"], vec!["message", "list"]]
    {
        let ran = repo.bus(&arguments).ok();
        assert_eq!(ran.stdout.lines().count(), 1);
        assert!(
            ran.stderr.contains("recursion limit")
                && ran.stderr.contains("longer than 65536 bytes"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_log_full_of_rubbish_is_counted_and_not_searched_again_for_each_line() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.write(&record("events/evil.jsonl"), "x\n".repeat(300_000));
    let ran = repo.bus(&["event", "list"]).ok();
    assert!(ran.stderr.contains("299990 more lines of the log are no events"), "{}", ran.stderr);
    let error = repo.by("b", &["claim", "T-1"]).at("2026-03-03T12:00:00Z").fails(3, "claim-held");
    assert_eq!(error["reclaimable"], "stale");
}

#[test]
fn what_prints_to_files_follows_no_link_in_the_place_of_a_file() {
    use std::os::unix::fs::symlink;
    let repo = Repo::new();
    let outside = repo.beside("outside");
    let table = "<!-- bus:locks -->\n<!-- /bus:locks -->\n";
    for target in ["there", "not-there"] {
        let _ = fs::remove_dir_all(&outside);
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("there"), table).unwrap();
        let pages = repo.path("pages");
        let _ = fs::remove_dir_all(&pages);
        fs::create_dir_all(&pages).unwrap();
        symlink(outside.join(target), pages.join("bus.1")).unwrap();
        repo.bus(&["man", "pages"]).fails(5, "not-a-regular-file");
        for linked in ["table.md", "docs"] {
            let place = repo.path(linked);
            let _ = fs::remove_file(&place);
            let (to, file) = match linked {
                "docs" => (outside.clone(), format!("docs/{target}")),
                _ => (outside.join(target), "table.md".to_owned()),
            };
            symlink(to, &place).unwrap();
            let ran = repo.bus(&["lock", "table", "--write", &file]).run();
            assert_ne!(ran.status, Some(0), "{}", ran.transcript);
            fs::remove_file(place).unwrap();
        }
        assert_eq!(fs::read_to_string(outside.join("there")).unwrap(), table);
        assert!(!outside.join("not-there").exists());
    }
}
