//! The queue: the tasks, how far it is, and numbers that nobody gives out twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use super::harness::{Kept, Ran, Repo, record};

fn add<'a>(repo: &'a Repo, words: &[&str]) -> super::harness::Bus<'a> {
    repo.by("boss", &[&["queue", "add"], words].concat())
}

/// Each task's state, as `queue list` shows it to an agent.
fn states(repo: &Repo, agent: &str) -> Vec<(String, String)> {
    let list = repo.by(agent, &["queue", "list", "--json"]).ok().json();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(item, "task_id"), text(item, "state")))
        .collect()
}

fn state(repo: &Repo, task: &str) -> String {
    states(repo, "a").into_iter().find(|(id, _)| id == task).unwrap().1
}

/// The tasks that are ready, as they come.
fn ready(repo: &Repo, agent: &str) -> Vec<String> {
    let ready = repo.by(agent, &["queue", "ready", "--json"]).ok().json();
    ready["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["task_id"].as_str().unwrap().to_owned())
        .collect()
}

fn files(repo: &Repo) -> Vec<String> {
    let entries = fs::read_dir(repo.path("queue"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != ".gitkeep").collect();
    names.sort();
    names
}

#[test]
fn a_task_is_a_file_with_a_number_and_its_fields() {
    let repo = Repo::new();
    assert_eq!(
        add(&repo, &["Read the new syntax!"]).ok().stdout,
        "added QUEUE-001 in queue/001-read-the-new-syntax.md\n"
    );
    assert_eq!(repo.read("queue/001-read-the-new-syntax.md"), "# Task: Read the new syntax!\n");
    let words = [
        "Write it",
        "--goal",
        "a: b",
        "--notes",
        "n",
        "--priority",
        "P1",
        "--after",
        "QUEUE-001",
        "T-9",
        "--after",
        "T-8,T-7",
    ];
    let more = ["--plan", "p-1", "--acceptance", "it runs", "--json"];
    let ran = add(&repo, &[&words[..], &more].concat()).ok().says("nothing here speaks of `T-9`");
    assert_eq!(
        ran.json(),
        json!({"task_id": "QUEUE-002", "path": "queue/002-write-it.md", "unknown": ["T-9", "T-8", "T-7"]})
    );
    let text = "# Task: Write it\nGoal: a: b\nNotes: n\nPriority: high\nAfter: QUEUE-001, T-9, T-8, T-7\nPlan: p-1\nAcceptance: it runs\n";
    assert_eq!(repo.read("queue/002-write-it.md"), text);
    let history = repo.git(&["log", "--format=%an %s", "refs/bus/queue"]);
    assert_eq!(history, "boss reserve QUEUE-002 by boss\nboss reserve QUEUE-001 by boss\n");
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
    repo.commit_all("queue");
    assert!(repo.bus(&["deinit"]).ok().stdout.contains("refs/bus/queue"));
}

#[test]
fn what_is_no_task_is_refused_and_no_number_is_taken() {
    let repo = Repo::new();
    let (long, fat) = ("x".repeat(201), "x".repeat(9000));
    for words in [
        &["a\nb"][..],
        &["a\u{1b}[2J"],
        &["  "],
        &[""],
        &[&long],
        &["x", "--goal", &fat],
        &["x", "--goal", "a\nb"],
        &["x", "--notes", " "],
        &["x", "--priority", "soon"],
        &["x", "--id", "QUEUE-01"],
        &["x", "--id", "T-1"],
        &["x", "--id", "QUEUE-1000000000"],
        &["x", "--id", "QUEUE-005", "--after", "QUEUE-005"],
        &[],
    ] {
        add(&repo, words).fails(2, "usage");
    }
    add(&repo, &["x", "--after", "../x"]).fails(2, "bad-id");
    add(&repo, &["x", "--plan", "../x"]).fails(2, "bad-id");
    repo.bus(&["queue", "add", "x"]).fails(2, "no-identity");
    assert_eq!((files(&repo), repo.git(&["for-each-ref", "refs/bus"])), (vec![], String::new()));
    let error = repo.bus(&["queue", "show", "QUEUE-001"]).fails(4, "no-task");
    assert_eq!(error["task_id"], "QUEUE-001");
}

#[test]
fn a_number_is_more_than_all_that_were_ever_given_or_spoken_of() {
    let repo = Repo::new();
    let wt = repo.worktree("wt");
    let next = |folder: &PathBuf| {
        add(&repo, &["x", "--json"]).within(folder).ok().json()["task_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(next(&wt), "QUEUE-001");
    assert_eq!(next(&repo.root()), "QUEUE-002");
    fs::remove_dir_all(wt.join("queue")).unwrap();
    fs::remove_dir_all(repo.path("queue")).unwrap();
    assert_eq!(next(&wt), "QUEUE-003", "a number that was given is not given again");
    fs::create_dir(repo.path("queue")).unwrap();
    repo.write("queue/0007-x.md", "# x\n");
    repo.write("queue/99999999999-x.md", "# x\n");
    assert_eq!(next(&wt), "QUEUE-008");
    repo.by("a", &["claim", "queue-010", "--new"]).ok();
    assert_eq!(next(&wt), "QUEUE-011");
    repo.by("a", &["assign", "QUEUE-020", "--engineer", "b"]).ok();
    assert_eq!(next(&wt), "QUEUE-021");
    add(&repo, &["x", "--id", "queue-1234"]).ok();
    assert!(files(&repo).contains(&"1234-x.md".to_owned()));
    assert_eq!(next(&wt), "QUEUE-1235");
}

#[test]
fn a_given_number_is_taken_where_a_file_or_a_claim_has_it() {
    let repo = Repo::new();
    let wt = repo.worktree("wt");
    add(&repo, &["x", "--id", "QUEUE-005"]).within(&wt).ok();
    let error = add(&repo, &["y", "--id", "queue-005"]).fails(3, "task-exists");
    assert_eq!(error["task_id"], "QUEUE-005");
    assert!(error["message"].as_str().unwrap().contains("queue/005-x.md"), "{error}");
    add(&repo, &["y", "--id", "QUEUE-0005"]).fails(3, "task-exists");
    repo.by("a", &["claim", "QUEUE-007", "--new"]).ok();
    let error = add(&repo, &["y", "--id", "QUEUE-007"]).fails(3, "task-exists");
    assert_eq!(error["place"], "refs/bus/claims/QUEUE-007");
    add(&repo, &["y", "--id", "QUEUE-002"]).ok();
    assert_eq!(files(&repo), ["002-y.md"]);
}

#[test]
fn many_at_once_in_all_worktrees_get_a_number_each() {
    let repo = Repo::new();
    let places: Vec<PathBuf> =
        (0..3).map(|number| repo.worktree(&format!("wt{number}"))).chain([repo.root()]).collect();
    let start = |number: usize| {
        add(&repo, &["the same title", "--json"]).within(&places[number % places.len()]).start()
    };
    let children: Vec<Child> = (0..32).map(start).collect();
    let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
    let ids: BTreeSet<String> =
        ran.iter().map(|ran| ran.json()["task_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (1..=32).map(|number| format!("QUEUE-{number:03}")).collect());
    assert_eq!(repo.git(&["log", "--format=%s", "refs/bus/queue"]).lines().count(), 32);
    assert_eq!(states(&repo, "a").len(), 32);
}

#[test]
fn a_damaged_or_foreign_ref_of_numbers_gives_none_twice() {
    let repo = Repo::new();
    add(&repo, &["x"]).ok();
    for damage in ["rubbish\n", "", "0123456789012345678901234567890123456789\n"] {
        fs::write(repo.path(".git/refs/bus/queue"), damage).unwrap();
        add(&repo, &["y"]).ok();
    }
    assert_eq!(files(&repo), ["001-x.md", "002-y.md", "003-y.md", "004-y.md"]);
    let tree = repo.git(&["log", "-1", "--format=%T", "refs/bus/queue"]);
    for body in ["not ours", "{\"last\": \"4\"}", "{\"last\": 18446744073709551615}"] {
        let foreign = repo.git(&["commit-tree", "-m", &format!("x\n\n{body}"), tree.trim()]);
        repo.git(&["update-ref", "refs/bus/queue", foreign.trim()]);
        add(&repo, &["z"]).ok();
        // What was there is kept.
        let mut kept =
            fs::read_dir(repo.path(".git/bus/broken")).unwrap().map(|entry| entry.unwrap().path());
        assert!(kept.any(|path| fs::read_to_string(path).unwrap() == foreign), "{body}");
        // Another place for the same: git moves refs into one file.
        repo.git(&["update-ref", "refs/bus/queue", foreign.trim()]);
        repo.git(&["pack-refs", "--all"]);
        add(&repo, &["z"]).ok();
    }
    assert_eq!(files(&repo).len(), 10);
    repo.git(&["update-ref", "-d", "refs/bus/queue"]);
    add(&repo, &["z"]).ok();
    repo.git(&["pack-refs", "--all"]);
    assert!(add(&repo, &["z"]).ok().stdout.contains("QUEUE-012"));
}

#[test]
fn a_task_is_ready_when_it_is_free_and_all_before_it_is_done() {
    let repo = Repo::new();
    add(&repo, &["first"]).ok();
    add(&repo, &["second", "--after", "QUEUE-001,T-1"]).ok();
    assert_eq!(
        (state(&repo, "QUEUE-001"), state(&repo, "QUEUE-002")),
        ("ready".to_owned(), "blocked".to_owned())
    );
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    assert_eq!((state(&repo, "QUEUE-001"), ready(&repo, "a")), ("claimed".to_owned(), vec![]));
    repo.by("a", &["release", "QUEUE-001", "--status", "paused"]).ok();
    assert_eq!(state(&repo, "QUEUE-001"), "claimed");
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    repo.by("a", &["release", "QUEUE-001", "--status", "released"]).ok();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"], "released is not done");
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    repo.by("a", &["release", "QUEUE-001"]).ok();
    assert_eq!(state(&repo, "QUEUE-002"), "blocked", "T-1 is not done");
    repo.by("b", &["claim", "t-1"]).ok();
    let shown = repo.by("a", &["queue", "show", "--task", "queue-002", "--json"]).ok().json();
    let after = json!([{"task_id": "QUEUE-001", "state": "done", "owner": "a"}, {"task_id": "T-1", "state": "claimed", "owner": "b"}]);
    assert_eq!(shown["item"]["after"], after);
    repo.by("b", &["release", "t-1"]).ok();
    assert_eq!(
        (ready(&repo, "a"), state(&repo, "QUEUE-001")),
        (vec!["QUEUE-002".to_owned()], "done".to_owned())
    );
    repo.by("a", &["claim", "QUEUE-001", "--reopen"]).ok();
    assert_eq!(ready(&repo, "a"), [""; 0]);
    let ran =
        repo.by("a", &["queue", "ready"]).ok().says("note: nothing is ready: 1 blocked, 1 claimed");
    assert_eq!(ran.stdout, "");
    repo.by("a", &["queue", "ready", "--quiet"]).ok();
}

#[test]
fn the_most_urgent_come_first_then_the_lowest_number() {
    let repo = Repo::new();
    for (number, priority) in
        ["low", "", "Priority: 1\n", "Priority: soon\n", "Priority: P0\n"].iter().enumerate()
    {
        repo.write(&format!("queue/{:03}-x.md", number + 8), format!("# Task: x\n{priority}"));
    }
    repo.write("queue/1000-x.md", "# x\nPriority: high\n");
    repo.write("queue/999-x.md", "# x\nPriority: high\n");
    assert_eq!(ready(&repo, "a")[..4], ["QUEUE-012", "QUEUE-010", "QUEUE-999", "QUEUE-1000"]);
    let ran = repo
        .by("a", &["queue", "ready", "--limit", "2"])
        .ok()
        .says("`queue/011-x.md` line 2: `Priority`: `soon` is no priority");
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.transcript);
    assert!(
        ran.stdout
            .starts_with("TASK       PRIORITY  STATE  TITLE\nQUEUE-012  critical  ready  x\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_assignment_makes_a_task_ready_for_one_agent() {
    let repo = Repo::new();
    add(&repo, &["x"]).ok();
    add(&repo, &["y"]).ok();
    repo.by("boss", &["assign", "QUEUE-001", "--engineer", "b"]).ok();
    assert_eq!((ready(&repo, "a"), ready(&repo, "b").len()), (vec!["QUEUE-002".to_owned()], 2));
    assert_eq!(state(&repo, "QUEUE-001"), "assigned");
    let anybody = repo.bus(&["queue", "ready"]).ok().stdout;
    assert!(anybody.contains("QUEUE-001  medium    ready for b  x\n"), "{anybody}");
    assert_eq!(repo.by("a", &["queue", "ready", "--agent", "b"]).ok().stdout, anybody);
    repo.bus(&["queue", "ready", "--agent", "a", "--agent", "b"]).fails(2, "usage");
    let config = repo.read("_bus/config.toml");
    repo.write("_bus/config.toml", format!("require_assignment = true\n{config}"));
    assert_eq!((ready(&repo, "a"), ready(&repo, "b")), (vec![], vec!["QUEUE-001".to_owned()]));
    assert_eq!(state(&repo, "QUEUE-002"), "unassigned");
    assert!(!repo.bus(&["queue", "ready"]).ok().stdout.contains("QUEUE-002"));
    repo.write(&record("assignments/QUEUE-001.json"), "{");
    assert_eq!(state(&repo, "QUEUE-001"), "unreadable");
}

#[test]
fn what_cannot_be_read_is_not_ready_and_hides_nothing_else() {
    let repo = Repo::new();
    repo.write("queue/001-good.md", "# Task: good\n");
    repo.write("queue/002-no-title.md", "Goal: x\n");
    repo.write("queue/003-conflict.md", "# Task: x\n<<<<<<< HEAD\n");
    repo.write("queue/004-after.md", "# Task: x\n\nAfter: the first\n\nAfter: ../x\n");
    repo.write("queue/005-latin.md", b"# Task: caf\xe9\n");
    repo.write("queue/006-a.md", "# Task: x\n");
    repo.write("queue/006-b.md", "# Task: x\n");
    repo.write("queue/07-name.md", "# Task: x\n");
    repo.write("queue/008-blocked.md", "# Task: x\nAfter: QUEUE-009\n");
    repo.write("queue/009-claim.md", "# Task: x\n");
    repo.write(&record("claims/QUEUE-009.json"), "{");
    fs::create_dir(repo.path("queue/010-folder.md")).unwrap();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"]);
    let unreadable: Vec<String> = states(&repo, "a")
        .into_iter()
        .filter(|(_, state)| state == "unreadable")
        .map(|(task, _)| task)
        .collect();
    let expected =
        ["QUEUE-002", "QUEUE-003", "QUEUE-004", "QUEUE-005", "QUEUE-006", "QUEUE-009", "QUEUE-010"];
    assert_eq!(unreadable, expected);
    let ran = repo
        .by("a", &["queue", "list"])
        .ok()
        .says("`queue/004-after.md` line 5: `After`: `../x` is no task id");
    let ran = ran
        .says("`queue/006-b.md` line 1: `queue/006-a.md` has the same number")
        .says("`queue/07-name.md` line 1: its name");
    let ran = ran
        .says("`QUEUE-009` cannot be read")
        .says("`queue/002-no-title.md` line 1: it does not begin with `# Task: TITLE`");
    assert!(ran.stdout.contains("QUEUE-008  medium    blocked by QUEUE-009"), "{}", ran.stdout);
    let shown = repo.by("a", &["queue", "show", "QUEUE-003", "--json"]).ok().json();
    assert_eq!(
        (&shown["item"]["code"], &shown["item"]["title"]),
        (&json!("malformed-record"), &Value::Null)
    );
    let list = repo.by("a", &["queue", "list", "--json"]).ok().json();
    assert_eq!(list["faults"][0]["code"], "malformed-record");
    assert_eq!(add(&repo, &["x", "--json"]).ok().json()["task_id"], "QUEUE-011");
}

#[test]
fn a_claim_that_only_looks_free_is_not_ready() {
    let file = "_bus/claims/QUEUE-001.json";
    for (kept, place) in [
        (Kept::Untracked, record("claims/QUEUE-001.json").as_str()),
        (Kept::Tracked, file),
        (Kept::Older, file),
    ] {
        only_looks_free(kept, place);
    }
}

fn only_looks_free(kept: Kept, place: &str) {
    let repo = Repo::keeping(kept);
    add(&repo, &["x"]).ok();
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    repo.by("a", &["release", "QUEUE-001", "--status", "released"]).ok();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"]);
    let good = repo.read(place);
    repo.write(place, "{");
    // The record's file is written after the ref, and need not come to the disk; git may be writing
    // this worktree's.
    assert_eq!(state(&repo, "QUEUE-001"), "ready");
    let rival = good
        .replace("\"released\"", "\"active\"")
        .replace("\"revision\": 2", "\"revision\": 9")
        .replace("\"a\"", "\"b\"");
    let rival =
        rival.lines().filter(|line| !line.contains("claim_id")).collect::<Vec<_>>().join("\n");
    repo.write(place, rival.replace("agent/a/", "agent/b/") + "\n");
    assert_eq!(state(&repo, "QUEUE-001"), "unreadable");
    repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    repo.write(place, good);
    fs::write(repo.path(".git/refs/bus/claims/QUEUE-001"), "rubbish").unwrap();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"], "the file stands in for the ref");
    fs::remove_file(repo.path(place)).unwrap();
    let _ = fs::remove_file(repo.path(&record("claims/QUEUE-001.json")));
    assert_eq!(state(&repo, "QUEUE-001"), "unreadable");
}

#[test]
fn a_circle_is_named_until_it_is_broken() {
    let repo = Repo::new();
    repo.write("queue/001-a.md", "# A\nAfter: QUEUE-002\n");
    repo.write("queue/002-b.md", "# B\nAfter: QUEUE-003\n");
    repo.write("queue/003-c.md", "# C\nAfter: queue-001\n");
    repo.write("queue/004-d.md", "# D\nAfter: QUEUE-001\n");
    let circle = "each waits for the next: QUEUE-001, QUEUE-002, QUEUE-003, QUEUE-001";
    for words in [&["queue", "list"][..], &["queue", "ready"], &["queue", "show", "QUEUE-003"]] {
        repo.by("a", words).ok().says(circle);
    }
    repo.write("queue/005-e.md", "# E\n\n- **After**: QUEUE-001\n");
    repo.by("a", &["queue", "list"])
        .ok()
        .says("`queue/005-e.md` line 3: `After` is not at the top");
    fs::remove_file(repo.path("queue/005-e.md")).unwrap();
    assert!(!repo.by("a", &["queue", "show", "QUEUE-004"]).ok().stderr.contains("circle"));
    let list = repo.by("a", &["queue", "ready", "--json"]).ok().json();
    assert_eq!(
        (&list["items"], &list["cycles"]),
        (&json!([]), &json!([["QUEUE-001", "QUEUE-002", "QUEUE-003"]]))
    );
    repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    let error = add(&repo, &["x", "--after", "QUEUE-004"]).ok();
    assert!(error.stdout.contains("QUEUE-005"), "it only waits for the circle");
    repo.write("queue/006-f.md", "# F\nAfter: QUEUE-007\n");
    let error = add(&repo, &["x", "--after", "T-1,QUEUE-006"]).fails(2, "usage");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("`QUEUE-007` would wait for itself: `QUEUE-006`"),
        "{error}"
    );
    repo.by("a", &["claim", "QUEUE-002"]).ok();
    repo.by("a", &["release", "QUEUE-002"]).ok();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"], "a task that is done ends the circle");
    assert_eq!(repo.by("a", &["queue", "ready", "--json"]).ok().json()["cycles"], json!([]));
}

#[test]
fn the_queue_is_that_of_all_worktrees_and_this_ones_files_count_first() {
    let repo = Repo::new();
    let wt = repo.worktree("wt");
    let other = repo.worktree("other");
    add(&repo, &["in wt", "--priority", "low"]).within(&wt).ok();
    fs::write(other.join("queue/001-in-wt.md"), "# Task: in other\nPriority: high\n").unwrap();
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"]);
    let title = |folder: &PathBuf| {
        let shown =
            repo.by("a", &["queue", "show", "QUEUE-001", "--json"]).within(folder).ok().json();
        shown["item"]["title"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (title(&wt), title(&other), title(&repo.root())),
        ("in wt".into(), "in other".into(), "in other".into())
    );
    repo.write("queue/001-in-main.md", "# Task: in main\n");
    assert_eq!((title(&wt), title(&repo.root())), ("in wt".into(), "in main".into()));
    let fourth = repo.worktree("fourth");
    assert_eq!(title(&fourth), "in main");
    repo.by("a", &["claim", "--next"]).within(&fourth).ok();
    assert_eq!(state(&repo, "QUEUE-001"), "claimed");
}

#[test]
fn an_older_buss_items_are_shown_whole() {
    let repo = Repo::new();
    let text = "# Task: Tighten the policy\nGoal: a guard with `prev_content_hash`.\nOCERS Target: Evidence↑ Safety↑\nAcceptance:\n\
        - one\n- two\nCoordinate: S3:L5\n\nMore words.\n\n    code: x\n";
    repo.write("queue/000-welcome.md", text);
    let shown = repo.bus(&["queue", "show", "QUEUE-000"]).ok().stdout;
    let expected = "QUEUE-000: Tighten the policy\nstate: ready\nfile: queue/000-welcome.md\n\nGoal: a guard with `prev_content_hash`.\n\
        OCERS Target: Evidence↑ Safety↑\nAcceptance: - one\n  - two\nCoordinate: S3:L5\n\nMore words.\n\n    code: x\n";
    assert_eq!(shown, expected);
    let json = repo.bus(&["queue", "show", "QUEUE-000", "--json"]).ok().json();
    let fields = json!({"Goal": "a guard with `prev_content_hash`.", "OCERS Target": "Evidence↑ Safety↑", "Acceptance": "- one\n- two",
        "Coordinate": "S3:L5"});
    assert_eq!(
        (&json["item"]["fields"], &json["item"]["body"]),
        (&fields, &json!("More words.\n\n    code: x"))
    );
    assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-001 in queue/001-x.md\n");
}

#[test]
fn text_from_a_queue_item_cannot_reach_the_terminal() {
    let repo = Repo::new();
    repo.write(
        "queue/001-x.md",
        "# Task: a\u{1b}[2Jb\u{202e}\nGoal: \u{9b}x\nPriority: \u{1b}[2J\n\nbody\u{1b}[2J\n",
    );
    repo.write("queue/002-x.md", "# Task: x\nAfter: \u{1b}[2J\n");
    repo.write("queue/003\u{1b}[2J.md", "");
    for words in [
        &["queue", "list"][..],
        &["queue", "ready"],
        &["queue", "show", "QUEUE-001"],
        &["queue", "list", "--json"],
    ] {
        let ran = repo.by("a", words).ok();
        let bad = |character: char| {
            (character.is_control() && character != '\n') || "\u{202e}\u{9b}".contains(character)
        };
        assert!(!ran.stdout.chars().chain(ran.stderr.chars()).any(bad), "{}", ran.transcript);
    }
}

#[cfg(unix)]
#[test]
fn nothing_of_the_queue_follows_a_link() {
    use std::os::unix::fs::symlink;
    let repo = Repo::new();
    let outside = repo.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("001-x.md"), "# Task: outside\n").unwrap();
    symlink(outside.join("001-x.md"), repo.path("queue/002-x.md")).unwrap();
    assert_eq!(state(&repo, "QUEUE-002"), "unreadable");
    fs::remove_dir_all(repo.path("queue")).unwrap();
    symlink(&outside, repo.path("queue")).unwrap();
    assert_eq!(states(&repo, "a"), []);
    repo.by("a", &["queue", "list"]).ok().says("is a symlink");
    add(&repo, &["x"]).fails(5, "not-a-regular-file");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(repo.git(&["for-each-ref", "refs/bus"]), "", "no number was taken either");
}

#[cfg(debug_assertions)]
#[test]
fn an_addition_that_died_is_finished_by_the_same_and_a_number_is_never_given_twice() {
    for step in ["object-written", "ref-written", "file-written-aside"] {
        let repo = Repo::new();
        add(&repo, &["before"]).ok();
        assert_eq!(
            add(&repo, &["x"]).env("BUS_CRASH_AT", step).run().status,
            None,
            "{step} is never reached"
        );
        repo.bus(&["queue", "list"]).ok();
        assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-002 in queue/002-x.md\n", "{step}");
        assert_eq!(files(&repo), ["001-before.md", "002-x.md"], "{step}");
        assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-003 in queue/003-x.md\n", "{step}");
    }
    let repo = Repo::new();
    add(&repo, &["x"]).env("BUS_CRASH_AT", "ref-written").run();
    assert_eq!(
        add(&repo, &["y"]).ok().stdout,
        "added QUEUE-002 in queue/002-y.md\n",
        "another title gets another number"
    );
    let other = repo.by("a", &["queue", "add", "y"]).env("BUS_CRASH_AT", "ref-written").run();
    assert_eq!(other.status, None);
    assert_eq!(
        add(&repo, &["y"]).ok().stdout,
        "added QUEUE-004 in queue/004-y.md\n",
        "so does another agent"
    );
}

#[cfg(debug_assertions)]
#[test]
fn a_number_that_was_used_since_the_crash_is_not_given_again() {
    let uses: [&[&[&str]]; 5] = [
        &[&["claim", "QUEUE-001"]],
        &[&["claim", "QUEUE-001"], &["release", "QUEUE-001"]],
        &[&["assign", "QUEUE-001", "--engineer", "b"]],
        &[&["message", "send", "--task", "QUEUE-001", "--summary", "s"]],
        &[&["queue", "add", "other", "--id", "QUEUE-0001"]],
    ];
    for used in uses {
        let repo = Repo::new();
        assert_eq!(add(&repo, &["x"]).env("BUS_CRASH_AT", "ref-written").run().status, None);
        used.iter().for_each(|words| drop(repo.by("a", words).ok()));
        assert_eq!(
            add(&repo, &["x"]).ok().stdout,
            "added QUEUE-002 in queue/002-x.md\n",
            "{used:?}"
        );
    }
    // The file alone, as it was to be, is no use of it: only the note was not taken away any more.
    let repo = Repo::new();
    add(&repo, &["x"]).env("BUS_CRASH_AT", "ref-written").run();
    repo.write("queue/001-x.md", "# Task: x\n");
    let note = fs::read(repo.path(".git/bus/reserved.json")).unwrap();
    assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-001 in queue/001-x.md\n");
    repo.write(".git/bus/reserved.json", note);
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-002 in queue/002-x.md\n");
}

#[test]
fn numbers_of_other_widths_are_the_same_number() {
    let repo = Repo::new();
    repo.write("queue/012-a.md", "# Task: a\nAfter: QUEUE-0013\n");
    repo.write("queue/0013-b.md", "# Task: b\n");
    repo.write("queue/014-c.md", "# Task: c\n");
    let shown = repo.by("a", &["queue", "show", "QUEUE-012", "--json"]).ok().json();
    assert_eq!(
        shown["item"]["after"],
        json!([{"task_id": "QUEUE-0013", "state": "free", "owner": null}])
    );
    repo.bus(&["validate"]).ok();
    add(&repo, &["d", "--after", "QUEUE-12", "--id", "QUEUE-015"]).ok();
    let error =
        add(&repo, &["d", "--after", "QUEUE-15", "--id", "QUEUE-0016", "--after", "QUEUE-00016"])
            .fails(2, "usage");
    assert!(error["message"].as_str().unwrap().contains("would wait for itself"), "{error}");
    // One that is asked for in another width is the queue's.
    repo.by("a", &["claim", "QUEUE-14"]).ok();
    assert_eq!(state(&repo, "QUEUE-014"), "claimed");
    repo.by("b", &["claim", "QUEUE-0014"]).fails(3, "claim-held");
    repo.by("a", &["release", "queue-00014"]).ok();
    assert_eq!(state(&repo, "QUEUE-014"), "done");
    repo.by("a", &["claim", "QUEUE-13"]).ok();
    assert_eq!(
        (repo.claim("QUEUE-013")["agent_id"].clone(), state(&repo, "QUEUE-0013")),
        (json!("a"), "claimed".to_owned())
    );
    repo.by("a", &["claim", "QUEUE-99", "--new"]).ok();
    assert_eq!(repo.claim("QUEUE-099")["agent_id"], "a", "the queue knows nothing of it");
    repo.write("queue/099-z.md", "# Task: z\n");
    repo.by("b", &["claim", "QUEUE-0099"]).fails(3, "claim-held");
    repo.by("a", &["release", "QUEUE-99"]).ok();
    assert_eq!(
        (state(&repo, "QUEUE-099"), repo.claim("QUEUE-099")["status"].clone()),
        ("done".to_owned(), json!("done"))
    );
    let refs = repo.git(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/bus/claims"]);
    assert_eq!(
        refs.lines().collect::<Vec<_>>(),
        ["QUEUE-013", "QUEUE-014", "QUEUE-099"],
        "one ref per task"
    );
    repo.write("queue/00012-x.md", "# Task: x\nAfter: QUEUE-015\n");
    assert_eq!(state(&repo, "QUEUE-00012"), "unreadable");
}

#[test]
fn a_given_number_leaves_room_for_those_that_come_after_it() {
    let repo = Repo::new();
    for id in ["QUEUE-999999999", "QUEUE-10001"] {
        let error = add(&repo, &["x", "--id", id]).fails(2, "usage");
        assert!(error["hint"].as_str().unwrap().contains("up to 10000"), "{error}");
    }
    add(&repo, &["x", "--id", "QUEUE-10000"]).ok();
    add(&repo, &["x", "--id", "QUEUE-20000"]).ok();
    assert!(add(&repo, &["x"]).ok().stdout.contains("QUEUE-20001"));
}

#[test]
fn of_a_long_circle_the_first_tasks_are_named() {
    let repo = Repo::new();
    for number in 1..=30 {
        repo.write(
            &format!("queue/{number:03}-x.md"),
            format!("# x\nAfter: QUEUE-{:03}\n", number % 30 + 1),
        );
    }
    let circle = "QUEUE-009, QUEUE-010, … (30 tasks in all)";
    let ran = repo.by("a", &["queue", "list", "--json"]).ok().says(circle);
    assert_eq!(ran.json()["cycles"][0].as_array().unwrap().len(), 30);
    assert!(repo.bus(&["validate"]).ok().stdout.contains(circle));
}

#[test]
fn a_stranger_in_the_folder_stands_in_nobodys_way() {
    let repo = Repo::new();
    for name in ["-", "x", "x.md.d", "archive"] {
        fs::create_dir(repo.path("queue").join(name)).unwrap();
    }
    repo.write("queue/README.md", "# Notes\n");
    repo.write("queue/.001-x.md.tmp", "# Task: x\n");
    assert_eq!(add(&repo, &["x"]).ok().stdout, "added QUEUE-001 in queue/001-x.md\n");
    assert_eq!(ready(&repo, "a"), ["QUEUE-001"]);
    assert_eq!(repo.by("a", &["queue", "list"]).ok().stderr, "");
}
