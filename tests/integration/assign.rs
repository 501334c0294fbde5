//! Assignments: who a task is meant for, in its file and in its channel.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Bus, Kept, NOON, Repo, record};

/// The task's assignment, where a branch has it.
const FILE: &str = "_bus/assignments/T-1.json";

/// What the record has.
fn assignment(repo: &Repo) -> Value {
    serde_json::from_str(&repo.read(&record("assignments/T-1.json"))).unwrap()
}

/// The messages in the task's channel, as `message list` shows them.
fn messages(repo: &Repo) -> Vec<Value> {
    repo.bus(&["message", "list", "--task", "T-1", "--json"]).ok().ndjson()
}

fn assign<'a>(repo: &'a Repo, manager: &str, engineer: &str) -> Bus<'a> {
    repo.by(manager, &["assign", "T-1", "--engineer", engineer])
}

#[test]
fn an_assignment_is_a_file_and_a_message() {
    Kept::ALL.into_iter().for_each(is_a_file_and_a_message);
}

fn is_a_file_and_a_message(kept: Kept) {
    let repo = Repo::keeping(kept);
    let words = "assign --task T-1 --engineer codex-2 --manager boss --plan p-1 --branch topic --note soon --json";
    let answer = repo.by("m", &words.split(' ').collect::<Vec<_>>()).ok().json();
    let expected = json!({"task_id": "T-1", "engineer": "codex-2", "manager": "boss", "assigned_at": NOON, "plan_id": "p-1",
        "branch": "topic", "note": "soon"});
    assert_eq!(assignment(&repo), expected);
    let found = messages(&repo);
    let id = found[0]["id"].clone();
    let message = json!({"ts": NOON, "from": "boss", "type": "assignment", "summary": "Assigned T-1 to codex-2", "task_id": "T-1",
        "meta": {"assignee": "codex-2", "plan_id": "p-1"}, "branch": "topic", "note": "soon", "id": id});
    assert_eq!(Value::from(found), json!([message]));
    assert_eq!(id.as_str().unwrap().as_bytes()[14], b'8');
    assert_eq!(
        answer,
        json!({"outcome": "assigned", "assignment": expected, "previous": null, "message": message})
    );
    repo.by("codex-1", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
    repo.by("codex-2", &["claim", "T-1"]).ok();
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
    assert_eq!(repo.bus(&["event", "list", "--event", "assignment"]).ok().stdout, "");
    let in_branch = if kept == Kept::Untracked {
        String::new()
    } else {
        repo.read(&record("assignments/T-1.json"))
    };
    assert_eq!(repo.read(FILE), in_branch, "{kept:?}");
}

#[test]
fn what_may_be_misspelled_is_noted_and_done() {
    let repo = Repo::new();
    repo.write("queue/007-x.md", "# Task: X\n");
    repo.by("codex-2", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    let said = |task: &str, engineer: &str| {
        repo.by("boss", &["assign", task, "--engineer", engineer]).ok().stderr
    };
    assert_eq!(said("QUEUE-007", "codex-2"), "");
    assert_eq!(said("queue-007", "CODEX-2").matches("is that the right id").count(), 0);
    assert_eq!(
        said("QUEUE-007", "codx-2"),
        "note: codx-2 has not been seen in this clone yet; is that the right id?\n"
    );
    assert_eq!(said("QUEUE-007", "codx-2"), "", "the same again is no news");
    assert_eq!(said("QUEUE-007", "unassigned"), "");
    let expected = "note: nothing speaks of `QEUE-007` yet; is it the right one? `bus queue list` shows what there is\n";
    assert_eq!(said("QEUE-007", "codex-2"), expected);
    assert_eq!(said("QEUE-007", "boss"), "", "it was assigned before");
    repo.by("codex-2", &["claim", "T-1"]).ok();
    assert_eq!(said("T-1", "codex-2"), "");
    let other = repo.worktree("wt");
    let ran = repo.by("boss", &["assign", "QEUE-007", "--engineer", "codex-2"]).within(&other).ok();
    assert_eq!(ran.stderr, "", "all worktrees count");
    // One log of all agents, as an older bus had it when it was imported.
    let line =
        format!(r#"{{"ts":"{NOON}","agent_id":"old-1","event":"note","summary":"x"}}"#) + "\n";
    repo.write(&record("events/events.jsonl"), &line);
    assert_eq!(said("T-1", "old-1"), "note: T-1 is claimed by codex-2, whose claim goes on\n");
}

#[test]
fn the_manager_is_the_writer_unless_another_is_named() {
    let repo = Repo::new();
    assert_eq!(assign(&repo, "m", "a").ok().stdout, "assigned T-1 to a\n");
    assert_eq!(assignment(&repo)["manager"], "m");
    repo.bus(&["assign", "T-1", "--engineer", "b"]).fails(2, "no-identity");
    repo.bus(&["assign", "T-1", "--engineer", "b", "--manager", "boss"]).ok();
    assert_eq!(assignment(&repo)["manager"], "boss");
}

#[test]
fn what_cannot_be_assigned_is_refused_and_nothing_is_written() {
    for (kept, file) in [
        (Kept::Untracked, record("assignments/T-1.json").as_str()),
        (Kept::Tracked, FILE),
        (Kept::Older, FILE),
    ] {
        is_refused(&Repo::keeping(kept), file);
    }
}

/// The record that counts is in `file`.
fn is_refused(repo: &Repo, file: &str) {
    repo.by("m", &["assign", "T-1"]).fails(2, "usage");
    repo.by("m", &["assign", "--engineer", "a"]).fails(2, "usage");
    repo.by("m", &["assign", "T-1", "--engineer", "../a"]).fails(2, "bad-id");
    repo.by("m", &["assign", "T-1", "--engineer", "a", "--branch", "a..b"]).fails(2, "usage");
    repo.by("m", &["assign", "T-1", "--engineer", "a", "--note", &"x".repeat(64 * 1024)])
        .fails(2, "usage");
    let written =
        ["_bus/assignments", "_bus/messages", &record("assignments"), &record("messages")];
    assert!(written.iter().all(|place| !repo.path(place).exists()));
    for bad in [
        "{",
        r#"{"task_id":"T-2","engineer":"a","manager":"m","assigned_at":"2026-03-01T12:00:00Z"}"#,
    ] {
        repo.write(file, bad);
        let error = assign(repo, "m", "a").fails(5, "malformed-record");
        assert_eq!((&error["file"], repo.read(file).as_str()), (&Value::from(file), bad));
    }
    assert!(!repo.path("_bus/messages").exists() && !repo.path(&record("messages")).exists());
}

#[test]
fn assigning_again_is_in_the_channel_twice_and_the_last_one_counts() {
    let repo = Repo::new();
    for engineer in ["a", "b", "a"] {
        assign(&repo, "m", engineer).ok();
    }
    // All of the same second: each is later than the one before.
    let summaries: Vec<Value> =
        messages(&repo).iter().map(|message| message["summary"].clone()).collect();
    assert_eq!(summaries, ["Assigned T-1 to a", "Assigned T-1 to b", "Assigned T-1 to a"]);
    assert_eq!(assignment(&repo)["assigned_at"], "2026-03-01T12:00:02Z");
    repo.by("b", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
    assert_eq!(
        assign(&repo, "m", "unassigned").ok().stdout,
        "assigned T-1 to nobody, no longer to a\n"
    );
    assert_eq!(assignment(&repo)["engineer"], "unassigned");
    assert_eq!(messages(&repo)[3]["meta"]["assignee"], "unassigned");
    repo.by("b", &["claim", "T-1"]).ok();
    let ran = assign(&repo, "m", "c").ok().says("T-1 is claimed by b, whose claim goes on");
    assert_eq!(ran.stdout, "assigned T-1 to c\n");
    repo.bus(&["validate"]).ok();
}

#[test]
fn the_same_assignment_again_changes_nothing() {
    let repo = Repo::new();
    repo.by("m", &["assign", "T-1", "--engineer", "a", "--plan", "p-1", "--note", "x"]).ok();
    let before = repo.state();
    let ran = assign(&repo, "m", "A").at("2026-03-02T12:00:00Z").ok();
    assert_eq!(
        (ran.stdout.as_str(), repo.state()),
        ("T-1 is already assigned to a; nothing to do\n", before)
    );
    assert_eq!(
        assign(&repo, "other", "a").ok().stdout,
        "assigned T-1 to a\n",
        "another manager's word is another word"
    );
}

#[test]
fn the_plan_stays_with_the_task_and_unknown_fields_with_the_record() {
    for (kept, file) in [
        (Kept::Untracked, record("assignments/T-1.json").as_str()),
        (Kept::Tracked, FILE),
        (Kept::Older, FILE),
    ] {
        let repo = Repo::keeping(kept);
        repo.write(
            file,
            r#"{"assigned_at":"2026-02-01T12:00:00Z","branch":"topic","engineer":"a","manager":"m","note":"old","plan_id":"p-1",
            "priority":1.50,"tags":{"x":[null]},"task_id":"T-1"}"#,
        );
        repo.by("m", &["assign", "T-1", "--engineer", "a", "--note", "new"]).ok();
        let kept = json!({"assigned_at": NOON, "branch": "topic", "engineer": "a", "manager": "m", "note": "new",
            "plan_id": "p-1", "tags": {"x": [null]}, "task_id": "T-1"});
        let without_number = |mut found: Value| {
            found.as_object_mut().unwrap().remove("priority");
            found
        };
        assert_eq!(without_number(assignment(&repo)), kept, "{file}");
        assert_eq!(
            repo.read(file),
            repo.read(&record("assignments/T-1.json")),
            "the file of the branch is the same"
        );
        assert!(repo.read(file).contains("\"priority\": 1.50"), "a number keeps its digits");
        assign(&repo, "m", "b").ok();
        let found = assignment(&repo);
        assert_eq!(
            (&found["plan_id"], &found["branch"], &found["note"]),
            (&json!("p-1"), &Value::Null, &Value::Null)
        );
        assert_eq!(found["tags"], json!({"x": [null]}));
    }
}

#[test]
fn the_latest_assignment_of_all_worktrees_is_the_one_that_is_followed_up() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        assign(&repo, "m", "a").at("2026-03-05T12:00:00Z").ok();
        // Another worktree's clock may be behind: its word is the later one all the same.
        assign(&repo, "m", "b").within(&other).ok();
        for folder in [&repo.root(), &other] {
            repo.by("a", &["claim", "T-1"]).within(folder).fails(3, "assigned-elsewhere");
        }
        let ran = assign(&repo, "m", "b").ok();
        assert_eq!(ran.stdout, "T-1 is already assigned to b; nothing to do\n", "{kept:?}");
        assert_eq!(assignment(&repo)["engineer"], "b", "{kept:?}");
        if kept != Kept::Untracked {
            assert_eq!(
                repo.read(FILE),
                repo.read(&record("assignments/T-1.json")),
                "{kept:?}: this worktree has it now, too"
            );
        }
        assert_eq!(messages(&repo).len(), 2, "{kept:?}: and it is one message");
    }
}

#[test]
fn unknown_fields_of_the_latest_record_and_of_this_worktrees_are_kept() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        let line = |day: u8, rest: &str| {
            format!(
                r#"{{"assigned_at":"2026-02-0{day}T12:00:00Z","engineer":"a","manager":"m",{rest},"task_id":"T-1"}}"#
            )
        };
        repo.write(FILE, line(1, r#""mine":1,"size":"S""#));
        fs::create_dir_all(other.join("_bus/assignments")).unwrap();
        fs::write(other.join(FILE), line(2, r#""theirs":2,"size":"L""#)).unwrap();
        for engineer in ["a", "b"] {
            assign(&repo, "m", engineer).ok();
            let found = assignment(&repo);
            let fields = (&found["mine"], &found["theirs"], &found["size"]);
            assert_eq!(fields, (&json!(1), &json!(2), &json!("L")), "{kept:?}, {engineer}");
            assert_eq!(
                repo.read(FILE),
                repo.read(&record("assignments/T-1.json")),
                "{kept:?}, {engineer}"
            );
        }
    }
}

#[test]
fn the_spelling_that_stands_is_used_and_said() {
    let repo = Repo::tracked();
    repo.by("a", &["claim", "Task-1"]).ok();
    repo.by("m", &["assign", "TASK-1", "--engineer", "b"])
        .ok()
        .says("the task is spelled `Task-1`");
    repo.by("m", &["assign", "Task-2", "--engineer", "b"]).ok();
    repo.by("m", &["assign", "tASK-2", "--engineer", "c"])
        .ok()
        .says("the task is spelled `Task-2`");
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(repo.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("_bus/assignments"), ["Task-1.json", "Task-2.json"]);
    assert_eq!(names(&record("assignments")), ["Task-1.json", "Task-2.json"]);
    assert_eq!(names(&record("messages")), ["Task-1.jsonl", "Task-2.jsonl"]);
}

#[cfg(debug_assertions)]
#[test]
fn the_message_of_an_assignment_that_died_is_not_lost_when_another_comes_next() {
    let repo = Repo::new();
    assign(&repo, "m", "a").env("BUS_CRASH_AT", "assignment-written").run();
    assert_eq!(messages(&repo), [Value::Null; 0]);
    assign(&repo, "m", "b").ok();
    let summaries: Vec<Value> =
        messages(&repo).iter().map(|message| message["summary"].clone()).collect();
    assert_eq!(summaries, ["Assigned T-1 to a", "Assigned T-1 to b"]);
}

#[cfg(debug_assertions)]
#[test]
fn an_assignment_that_died_is_finished_by_the_same_assignment() {
    let end = |repo: &Repo| {
        [FILE, &record("assignments/T-1.json"), &record("messages/T-1.jsonl")]
            .map(|file| repo.read(file))
    };
    // The second file that is written is the branch's.
    let untracked = ["file-written-aside", "assignment-written", "line-appended"];
    let older = [
        "file-written-aside",
        "file-written-aside@2",
        "assignment-written",
        "line-appended",
        "line-appended@2",
    ];
    let modes =
        [(Kept::Untracked, &untracked[..]), (Kept::Tracked, &older[..4]), (Kept::Older, &older)];
    for (kept, steps) in modes {
        for before in [None, Some("z")] {
            let stage = || {
                let repo = Repo::keeping(kept);
                repo.by("z", &["event", "log", "--event", "note", "--summary", "warm"]).ok();
                before.iter().for_each(|engineer| drop(assign(&repo, "m", engineer).ok()));
                repo
            };
            let whole = stage();
            assign(&whole, "m", "a").ok();
            for step in steps {
                let why = format!("{kept:?}, after a crash at {step}");
                let repo = stage();
                let died = assign(&repo, "m", "a").env("BUS_CRASH_AT", step).run();
                assert_eq!(died.status, None, "{why}: it is never reached:\n{}", died.transcript);
                // Later, so that only what was written can tell the time of the assignment.
                let later =
                    if *step == "file-written-aside" { NOON } else { "2026-03-01T15:00:00Z" };
                assign(&repo, "m", "a").at(later).ok();
                assert_eq!(end(&repo), end(&whole), "{why}");
                let settled = repo.state();
                assign(&repo, "m", "a").at(later).ok();
                assert_eq!(repo.state(), settled, "settling twice, {why}");
                for folder in ["_bus/assignments", &record("assignments")] {
                    let left = fs::read_dir(repo.path(folder)).into_iter().flatten().count();
                    assert!(left <= 1, "nothing is left lying about, {why}");
                }
                repo.bus(&["doctor"]).ok();
            }
        }
    }
}
