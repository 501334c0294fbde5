//! The system refuses: a full disk, a read-only file, a file in the way, a lock that is held. The
//! exit status says so, nothing is half-written, and the same command works once the cause is gone.

use std::fs;
#[cfg(unix)]
use std::path::Path;

use serde_json::Value;

use super::harness::{Kept, Ran, Repo, record, rounds, some_of};

/// What must be the same in the end, whether or not the command died on the way.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    history: Vec<String>,
    status: Value,
    owner: Value,
    events: Vec<(Value, Value)>,
    file_is_tip: bool,
}

pub(crate) fn end(repo: &Repo) -> End {
    let events = repo
        .log_lines()
        .into_iter()
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .collect::<Vec<_>>();
    End {
        history: repo.history("T-1"),
        status: repo.claim("T-1")["status"].clone(),
        owner: repo.claim("T-1")["agent_id"].clone(),
        events: events
            .iter()
            .map(|event| (event["event"].clone(), event["summary"].clone()))
            .collect(),
        file_is_tip: repo.claim("T-1") == repo.tip("T-1"),
    }
}

/// A bus whose clone has its id already, so that each step is the claim's own.
pub(crate) fn warm() -> Repo {
    warmed(Kept::Untracked)
}

/// The same, with its records kept there.
pub(crate) fn warmed(kept: Kept) -> Repo {
    let repo = Repo::keeping(kept);
    repo.by("z", &["event", "log", "--event", "note", "--task", "W-1", "--summary", "warm"]).ok();
    repo
}

/// Runs a command that may write no file larger than `blocks` times 512 bytes, as on a disk that is
/// about to be full.
#[cfg(unix)]
fn limited(repo: &Repo, agent: &str, blocks: usize, command: &[&str]) -> Ran {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let arguments = [&["-c", &script, env!("CARGO_BIN_EXE_bus")], command].concat();
    repo.other("sh", &arguments).env("BUS_AGENT", agent).run()
}

/// Every command that writes a task's records: who runs it, and what it is. The first finds the
/// task free, the others find it a's. The notes are longer than what a full disk still takes.
#[cfg(unix)]
fn commands() -> Vec<(&'static str, Vec<String>)> {
    let notes = "n".repeat(900);
    let with_notes =
        |words: &str| words.split(' ').map(|word| word.replace("NOTES", &notes)).collect();
    [
        ("a", "claim T-1 --notes NOTES"),
        ("a", "release T-1 --notes NOTES"),
        ("b", "reclaim T-1 --note NOTES --force"),
        ("boss", "release T-1 --force --note NOTES"),
        ("a", "heartbeat T-1"),
        ("a", "event log --event note --task T-1 --summary NOTES"),
        ("a", "message send --task T-1 --summary NOTES"),
        ("boss", "assign T-1 --engineer b --note NOTES"),
        ("boss", "queue add x --goal NOTES"),
        ("a", "session start --focus NOTES"),
        ("a", "session end --summary NOTES"),
    ]
    .map(|(agent, words)| (agent, with_notes(words)))
    .into()
}

#[cfg(unix)]
fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// A bus on which command `number` of the list may run.
#[cfg(unix)]
fn stage(number: usize) -> Repo {
    let repo = warm();
    if number > 0 {
        repo.by("a", &["claim", "T-1"]).ok();
    }
    repo
}

/// Runs command `number` to its end where it was refused before: all must be as if it had never
/// been.
#[cfg(unix)]
fn finishes(repo: &Repo, number: usize, why: &str) {
    let (agent, command) = &commands()[number];
    let command = words(command);
    repo.by(agent, &command).ok();
    let whole = stage(number);
    whole.by(agent, &command).ok();
    // A heartbeat, a note, a message and a task may be given twice; an assignment and a session
    // change no claim.
    if number < 4 {
        let listed = |repo: &Repo| repo.bus(&["event", "list"]).ok().stdout;
        assert_eq!(end(repo), end(&whole), "{why}, {command:?}");
        assert_eq!(listed(repo), listed(&whole), "{why}, {command:?}");
    }
    repo.bus(&["doctor"]).ok();
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_exit_9_and_the_same_command_finishes_once_there_is_room() {
    let mut failed = 0;
    for (number, (agent, command)) in commands().iter().enumerate() {
        let command = words(command);
        for blocks in some_of(0..4, 2, 0) {
            let repo = stage(number);
            let ran = limited(&repo, agent, blocks, &command);
            if ran.status != Some(0) {
                failed += 1;
                assert_eq!(ran.status, Some(9), "{blocks} blocks: {}", ran.transcript);
                assert!(ran.stderr.contains("hint: make room on the disk"), "{}", ran.transcript);
            }
            finishes(&repo, number, &format!("{blocks} blocks"));
        }
    }
    assert!(failed > rounds(5, 10), "{failed}");
}

#[cfg(unix)]
#[test]
fn what_may_not_be_written_is_exit_9_with_its_path_and_the_same_command_finishes_once_it_may() {
    let recorded = ["claims", "events", "events/a.jsonl"].map(record);
    let places = [
        &recorded[0],
        &recorded[1],
        &recorded[2],
        ".git/bus/lock",
        ".git/objects",
        ".git/refs/bus/claims",
    ];
    let mut failed = std::collections::BTreeSet::new();
    for (number, (agent, command)) in commands().iter().enumerate() {
        let command = words(command);
        for place in some_of(places, 3, number + 2) {
            let repo = stage(number);
            let user = repo.give_away();
            let path = repo.path(place);
            if path.exists() {
                set_writable(&path, false);
                let ran = repo.by_user(user, agent, &command).run();
                set_writable(&path, true);
                if ran.status != Some(0) {
                    failed.insert(place);
                    assert_eq!(ran.status, Some(9), "{place}: {}", ran.transcript);
                    assert!(ran.stderr.contains("ermission denied"), "{place}: {}", ran.transcript);
                    assert!(
                        ran.stderr.contains("hint: give this user the right"),
                        "{place}: {}",
                        ran.transcript
                    );
                }
            }
            repo.take_back();
            repo.by(agent, &command).ok();
            if number < 4 {
                assert_eq!(
                    repo.history("T-1").len(),
                    1 + usize::from(number > 0),
                    "{place}, {command:?}"
                );
                assert!(end(&repo).file_is_tip, "{place}, {command:?}");
            }
            repo.bus(&["doctor"]).ok();
        }
    }
    assert_eq!(failed.len(), places.len(), "{failed:?}");
}

/// What keeps a copy from being written.
#[cfg(unix)]
fn hinder(repo: &Repo, how: &str, place: &str) {
    let path = repo.path(place);
    let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    match how {
        "a folder" => fs::create_dir_all(path.join("x")).unwrap(),
        "a file" => repo.write(place, "mine"),
        _ => std::os::unix::fs::symlink(repo.beside("outside"), path).unwrap(),
    }
}

#[cfg(unix)]
#[test]
fn a_copy_that_cannot_be_written_stops_nobody_and_is_mentioned_to_whoever_asks() {
    let release = ["release", "T-1", "--status", "released"];
    let log = ["event", "log", "--event", "note", "--summary", "x"];
    let hindered: [(&str, &str, &[&str]); 7] = [
        ("a folder", "_bus/claims/.T-1.json.tmp", &release),
        ("a folder", "_bus/claims/T-1.json", &release),
        ("a file", "_bus/claims", &release),
        ("a link", "_bus/claims", &release),
        ("a folder", "_bus/events/a.jsonl", &log),
        ("a file", "_bus/events", &log),
        ("a link", "_bus/events/a.jsonl", &log),
    ];
    for (how, place, command) in hindered {
        let repo = stage(1);
        fs::create_dir(repo.beside("outside")).unwrap();
        hinder(&repo, how, place);
        let ran = repo.by("a", &[command, &["-v"]].concat()).ok();
        assert!(
            ran.stderr.contains("a copy was not written"),
            "{how} at {place}: {}",
            ran.transcript
        );
        repo.by("a", &["claim", "T-1"]).ok();
        let ran = repo.by("a", command).ok();
        assert!(!ran.stderr.contains("copy"), "{how} at {place}: {}", ran.transcript);
        assert_eq!(fs::read_dir(repo.beside("outside")).unwrap().count(), 0, "{how} at {place}");
        assert!(end(&repo).file_is_tip, "{how} at {place}");
        repo.bus(&["doctor"]).ok();
    }
    let repo = stage(1);
    let user = repo.give_away();
    for (place, command) in [("_bus/claims", &release[..]), ("_bus/events/a.jsonl", &log)] {
        set_writable(&repo.path(place), false);
        let ran = repo.by_user(user, "a", &[command, &["-v"]].concat()).ok();
        set_writable(&repo.path(place), true);
        assert!(ran.stderr.contains("a copy was not written"), "{place}: {}", ran.transcript);
    }
    repo.take_back();
    assert_eq!(repo.log_lines().len(), 4, "claim, release and two notes");
}

#[cfg(unix)]
fn set_writable(path: &Path, writable: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(
        path,
        fs::Permissions::from_mode(if writable { mode } else { mode & 0o555 }),
    )
    .unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_exit_9_and_the_work_is_done() {
    for (number, (agent, command)) in commands().iter().enumerate() {
        let command = words(command);
        for json in [&[][..], &["--json"]] {
            let repo = stage(number);
            let full = fs::File::options().write(true).open("/dev/full").unwrap();
            let ran = repo.by(agent, &[&command[..], json].concat()).stdout(full).exits(9);
            assert!(ran.stderr.contains("cannot write to stdout"), "{}", ran.transcript);
            finishes(&repo, number, "stdout is full");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_is_called_by_its_own_name() {
    let repo = warm();
    let meant = repo.beside("no/such/folder/x.md");
    let error =
        repo.by("boss", &["report", "--output", meant.to_str().unwrap()]).fails(9, "system");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("cannot write `{}`: ", meant.display())), "{message}");
}

#[test]
fn a_folder_where_a_file_is_to_be_written_stops_the_command_and_loses_nothing() {
    let repo = warm();
    let aside = record("claims/.T-1.json.tmp");
    repo.write(&format!("{aside}/x"), "");
    let error = repo.by("a", &["claim", "T-1"]).fails(9, "system");
    assert!(error["message"].as_str().unwrap().contains(&aside), "{error}");
    fs::remove_dir_all(repo.path(&aside)).unwrap();
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!((repo.history("T-1").len(), repo.claim("T-1") == repo.tip("T-1")), (1, true));
    fs::remove_dir_all(repo.path(&record("events"))).unwrap();
    repo.write(&record("events"), "a file");
    repo.by("a", &["release", "T-1"]).fails(5, "not-a-regular-file");
    assert_eq!(repo.history("T-1").len(), 1, "the ref was not moved either");
    fs::remove_file(repo.path(&record("events"))).unwrap();
    repo.by("a", &["release", "T-1"]).ok();
}

#[test]
fn a_lock_that_another_program_holds_is_given_up_in_time() {
    let repo = warm();
    let lock = fs::File::options().write(true).open(repo.path(".git/bus/lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    for command in [
        vec!["claim", "T-1"],
        vec!["event", "log", "--event", "note", "--summary", "x"],
        vec!["init"],
    ] {
        let error = repo
            .by("a", &[&command[..], &["--lock-timeout", "20ms"]].concat())
            .fails(6, "lock-timeout");
        assert!(error["message"].as_str().unwrap().contains("another program holds it"), "{error}");
    }
    repo.bus(&["status"]).ok();
    drop(lock);
    repo.by("a", &["claim", "T-1"]).ok();
}
