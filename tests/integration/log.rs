//! The log: nothing acknowledged is lost, nothing is torn, each event is shown once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Child;

use serde_json::{Value, json};

use super::harness::{Bus, Kept, NOON, Ran, Repo, record, rounds};

fn note<'a>(repo: &'a Repo, agent: &str, summary: &str) -> Bus<'a> {
    repo.by(agent, &["event", "log", "--event", "note", "--summary", summary])
}

/// What `event list` shows, as summaries, in order.
fn listed(repo: &Repo, folder: &Path) -> Vec<String> {
    let events = repo.bus(&["event", "list", "--json"]).within(folder).ok().ndjson();
    events.iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_event_has_what_it_was_given() {
    let repo = Repo::new();
    let arguments = [
        "event",
        "log",
        "--event",
        "review",
        "--summary",
        "two\nlines",
        "--plan",
        "p-1",
        "--branch",
        "b",
        "--pr",
        "17",
        "--receipt",
        "r1",
        "--receipt",
        "r2",
        "--severity",
        "high",
        "--extra",
        "ci=green",
        "--extra",
        "size=a=b",
        "--json",
    ];
    let event = repo.by("a", &arguments).ok().json()["event"].clone();
    let id = event["id"].clone();
    let expected = json!({"ts": NOON, "agent_id": "a", "event": "review", "summary": "two\nlines", "id": id, "plan_id": "p-1", "branch": "b",
        "pr": "17", "receipts": ["r1", "r2"], "severity": "high", "ci": "green", "size": "a=b"});
    assert_eq!(event, expected);
    let lines = repo.log_lines();
    assert_eq!((lines.len(), serde_json::from_str::<Value>(&lines[0]).unwrap()), (1, expected));
    assert_eq!(id.as_str().unwrap().as_bytes()[14], b'7');
}

#[test]
fn what_cannot_be_logged_is_refused_and_nothing_is_written() {
    let repo = Repo::new();
    let log = ["event", "log", "--event", "note", "--summary", "x"];
    let with = |more: &[&str]| repo.by("a", &[&log[..], more].concat());
    for field in [
        "ts",
        "agent_id",
        "event",
        "summary",
        "id",
        "task_id",
        "plan_id",
        "branch",
        "pr",
        "receipts",
        "severity",
        "session_id",
    ] {
        with(&["--extra", &format!("{field}=x")]).fails(2, "usage");
    }
    with(&["--extra", "a=1", "--extra", "a=2"]).fails(2, "usage");
    for arguments in [
        &["--extra", "=x"],
        &["--extra", "x"],
        &["--severity", "dire"],
        &["--task", "../x"],
        &["--task", "agent-x"],
        &["--plan", "a b"],
    ] {
        with(arguments).exits(2);
    }
    note(&repo, "a", "").exits(2);
    note(&repo, "a", &"x".repeat(64 * 1024)).fails(2, "usage");
    repo.bus(&log).fails(2, "no-identity");
    assert!(repo.log_lines().is_empty());
    note(&repo, "a", &"x".repeat(63 * 1024)).ok();
}

#[test]
fn only_the_owner_speaks_for_a_task_until_its_end() {
    Kept::ALL.into_iter().for_each(only_the_owner_speaks);
}

fn only_the_owner_speaks(kept: Kept) {
    let repo = Repo::keeping(kept);
    let say = |agent: &str, event: &str| {
        repo.by(agent, &["event", "log", "--event", event, "--task", "T-1", "--summary", "x"])
    };
    for event in ["status", "complete", "proposal", "pr_opened", "release", "COMPLETE", "Pr_Opened"]
    {
        let error = say("a", event).fails(3, "guard-refused");
        assert!(error["hint"].as_str().unwrap().contains("bus claim T-1"));
    }
    repo.by("a", &["claim", "T-1"]).ok();
    say("a", "status").ok();
    assert_eq!(say("b", "status").fails(3, "guard-refused")["owner"], "a");
    for event in ["note", "audit", "review", "request", "consensus", "directive"] {
        say("b", event).ok();
    }
    repo.by("a", &["release", "T-1"]).ok();
    say("b", "complete").ok();
    let recorded = |agent: &str| repo.read(&format!(".git/bus/log/refusals/{agent}.jsonl"));
    let refusals: Vec<Value> =
        recorded("b").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = json!([{"ts": NOON, "agent_id": "b", "event": "status", "reason": "guard-refused", "task_id": "T-1",
        "claim_owner": "a", "claim_status": "active"}]);
    assert_eq!(Value::from(refusals), expected);
    assert_eq!(recorded("a").lines().count(), 7);
    repo.by("b", &["claim", "T-1"]).fails(3, "task-finished");
    assert_eq!(recorded("b").lines().count(), 1, "only the guard's refusals are recorded");
    assert!(!repo.path("_report/agent").exists(), "as version 0.1 did in the branch");
}

#[test]
fn of_64_processes_with_some_events_each_every_line_is_whole_and_every_id_unique() {
    let events_each = rounds(4, 20);
    let repo = Repo::older();
    repo.write("_bus/config.toml", "[events]\nlayout = \"single\"\n");
    std::thread::scope(|scope| {
        for writer in 0..64 {
            let repo = &repo;
            scope.spawn(move || {
                for number in 0..events_each {
                    note(repo, &format!("agent{writer}"), &format!("{writer}-{number}"))
                        .env("BUS_AGENT", &format!("agent{writer}"))
                        .run();
                }
            });
        }
    });
    // The one file that all write to is the branch's.
    let branch: Vec<String> =
        repo.read("_bus/events/events.jsonl").lines().map(str::to_owned).collect();
    for lines in [repo.log_lines(), branch] {
        let events: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: BTreeSet<&str> =
            events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        let summaries: BTreeSet<&str> =
            events.iter().map(|event| event["summary"].as_str().unwrap()).collect();
        let all = 64 * events_each;
        assert_eq!((events.len(), ids.len(), summaries.len()), (all, all, all));
    }
}

#[test]
fn no_acknowledged_event_is_lost_when_writers_are_killed() {
    let repo = Repo::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..40_u64 {
        let children: Vec<(String, Child)> = (0..6)
            .map(|writer| {
                let summary = format!("{round}-{writer}");
                (summary.clone(), note(&repo, "a", &summary).start())
            })
            .collect();
        // The moment differs from round to round; no outcome is taken for granted.
        let victims = children.len() as u64;
        std::thread::sleep(std::time::Duration::from_micros(round * 150));
        for (number, (summary, mut child)) in children.into_iter().enumerate() {
            if (number as u64 + round) % victims < 4 {
                child.kill().unwrap();
            }
            let ran = Ran::of(child);
            if ran.status == Some(0) {
                acknowledged.insert(summary);
            }
        }
        let next = format!("{round}-after");
        note(&repo, "a", &next).ok();
        acknowledged.insert(next);
    }
    let shown: Vec<String> = listed(&repo, &repo.root());
    let unique: BTreeSet<String> = shown.iter().cloned().collect();
    assert_eq!(shown.len(), unique.len(), "each once");
    assert!(acknowledged.is_subset(&unique), "{:?}", acknowledged.difference(&unique));
}

#[test]
fn branches_that_both_append_merge_and_each_event_is_shown_once() {
    for (kept, layout) in
        [(Kept::Older, "single"), (Kept::Older, "per-agent"), (Kept::Tracked, "batches")]
    {
        let repo = Repo::keeping(kept);
        if kept == Kept::Older {
            repo.write("_bus/config.toml", format!("[events]\nlayout = \"{layout}\"\n"));
        }
        let commit = |agent: &str, folder: &Path, message: &str| {
            repo.by(agent, &["export"]).within(folder).ok();
            repo.commit_all_in(folder, message);
        };
        note(&repo, "a", "base").ok();
        commit("a", &repo.root(), "base");
        let other = repo.worktree("side");
        for number in 0..3 {
            note(&repo, "a", &format!("main {number}")).ok();
            note(&repo, "b", &format!("side {number}")).within(&other).ok();
        }
        commit("a", &repo.root(), "main");
        commit("b", &other, "side");
        repo.git(&["merge", "--quiet", "--squash", "side"]);
        repo.commit_all("squash");
        repo.git_in(&other, &["merge", "--quiet", "-m", "back", "main"]);
        note(&repo, "b", "side 3").within(&other).ok();
        commit("b", &other, "more");
        repo.git(&["merge", "--quiet", "-m", "again", "side"]);
        repo.git(&["worktree", "remove", "--force", other.to_str().unwrap()]);
        let shown = listed(&repo, &repo.root());
        let unique: BTreeSet<&String> = shown.iter().collect();
        assert_eq!((shown.len(), unique.len()), (8, 8), "{layout}: {shown:?}");
        // A clone that has the branch alone has them, too.
        let clone = repo.beside("clone");
        repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
        assert_eq!(
            listed(&repo, &clone).into_iter().collect::<BTreeSet<_>>(),
            unique.into_iter().cloned().collect(),
            "{layout}"
        );
    }
}

#[test]
fn a_checkout_in_a_loop_beside_a_writer_loses_no_acknowledged_event() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        note(&repo, "a", "first").ok();
        repo.commit_all("log");
        repo.git(&["branch", "side"]);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let noted = |number: &usize| {
                    note(&repo, "a", &format!("n{number}")).run().status == Some(0)
                };
                (0..60).filter(noted).count()
            });
            let mut turn = 0;
            while !writer.is_finished() {
                turn += 1;
                // Each may refuse because the tree is dirty, or the index locked: that is git's own
                // answer.
                repo.try_git_in(&repo.root(), &["commit", "--quiet", "--all", "--message", "log"]);
                repo.try_git_in(
                    &repo.root(),
                    &["checkout", "--quiet", if turn % 2 == 0 { "main" } else { "side" }],
                );
                repo.try_git_in(&repo.root(), &["stash", "--include-untracked", "--quiet"]);
                repo.try_git_in(&repo.root(), &["clean", "--quiet", "-fdx"]);
            }
            assert_eq!(writer.join().unwrap(), 60);
        });
        note(&repo, "a", "last").ok();
        let expected =
            std::iter::once("first".to_owned()).chain((0..60).map(|number| format!("n{number}")));
        let expected: Vec<String> = expected.chain(["last".to_owned()]).collect();
        assert_eq!(listed(&repo, &repo.root()), expected, "{kept:?}");
    }
}

#[test]
fn what_another_branch_has_is_not_put_onto_this_one() {
    let repo = Repo::older();
    repo.git(&["branch", "other"]);
    note(&repo, "a", "one").ok();
    repo.commit_all("log");
    note(&repo, "a", "stashed").ok();
    repo.git(&["stash"]);
    repo.git(&["checkout", "--quiet", "other"]);
    repo.bus(&["doctor"]).ok();
    note(&repo, "b", "two").ok();
    assert!(!repo.path("_bus/events/a.jsonl").exists());
    note(&repo, "a", "three").ok();
    assert_eq!(repo.read("_bus/events/a.jsonl").lines().count(), 1);
    repo.commit_all("other");
    repo.git(&["checkout", "--quiet", "-b", "topic", "main~1"]);
    (0..9).for_each(|_| repo.commit_all("work"));
    repo.git(&["rebase", "--quiet", "--keep-empty", "other"]);
    note(&repo, "a", "four").ok();
    assert_eq!(repo.read("_bus/events/a.jsonl").lines().count(), 2);
    assert_eq!(
        listed(&repo, &repo.root()),
        ["one", "stashed", "two", "three", "four"],
        "the record has all"
    );
}

#[test]
fn a_file_of_the_branch_that_git_has_not_checked_out_is_not_begun_anew() {
    let repo = Repo::older();
    note(&repo, "a", "one").ok();
    repo.commit_all("log");
    // As in a sparse checkout: whoever adds everything would replace the whole log by one line.
    repo.git(&["update-index", "--skip-worktree", "_bus/events/a.jsonl"]);
    fs::remove_file(repo.path("_bus/events/a.jsonl")).unwrap();
    note(&repo, "a", "two").ok();
    assert!(!repo.path("_bus/events/a.jsonl").exists());
    assert_eq!(listed(&repo, &repo.root()), ["one", "two"]);
}

#[test]
fn bad_lines_are_named_and_hide_nothing() {
    bad_lines_are_named(&Repo::new(), &record("events/a.jsonl"));
    bad_lines_are_named(&Repo::older(), "_bus/events/a.jsonl");
}

fn bad_lines_are_named(repo: &Repo, place: &str) {
    note(repo, "a", "one").ok();
    let good = repo.log_lines()[0].clone();
    let other = good.replace("\"one\"", "\"forged\"");
    let bad =
        format!("{good}\n\n{{\"torn\n[]\n{good}{good}\n{}\n{other}\n{{\"ts\"", "y".repeat(70_000));
    repo.write(place, bad);
    for arguments in [vec!["event", "list"], vec!["event", "list", "--limit", "9"], vec!["status"]]
    {
        let ran = repo.bus(&arguments).ok();
        for line in [3, 4, 5, 6, 8] {
            assert!(
                ran.stderr.contains(&format!("`{place}` line {line}: ")),
                "{line}\n{}",
                ran.transcript
            );
        }
        assert!(ran.stderr.contains("another event has the same id"), "{}", ran.transcript);
        assert_eq!(ran.stdout.matches(" :: note :: ").count(), 1, "{}", ran.transcript);
    }
    note(repo, "a", "two").ok();
    assert!(listed(repo, &repo.root()).contains(&"two".to_owned()), "a torn last line is closed");
}

#[test]
fn filters_come_before_the_limit() {
    let repo = Repo::new();
    for (number, agent) in ["a", "b", "a", "c", "a"].into_iter().enumerate() {
        note(&repo, agent, &format!("s{number}")).at(&format!("2026-03-01T12:0{number}:00Z")).ok();
    }
    repo.by("a", &["event", "log", "--event", "audit", "--task", "T-1", "--summary", "s5"])
        .at("2026-03-01T12:05:00Z")
        .ok();
    let list = |more: &[&str]| {
        let ran = repo
            .bus(&[&["event", "list", "--json"], more].concat())
            .at("2026-03-01T13:00:00Z")
            .ok();
        ran.ndjson()
            .iter()
            .map(|event| event["summary"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(list(&[]), "s0 s1 s2 s3 s4 s5");
    assert_eq!(list(&["--limit", "2"]), "s4 s5");
    assert_eq!(list(&["--limit", "2", "--reverse"]), "s5 s4");
    assert_eq!(list(&["--agent", "a", "--event", "note", "--limit", "2"]), "s2 s4");
    assert_eq!(list(&["--agent", "b", "--agent", "C"]), "s1 s3");
    assert_eq!(list(&["--task", "t-1"]), "s5");
    assert_eq!(list(&["--since", "2026-03-01T12:03:00Z"]), "s3 s4 s5");
    assert_eq!(list(&["--since", "57m", "--until", "2026-03-01T12:04:00Z"]), "s3 s4");
    repo.bus(&["event", "list", "--since", "yesterday"]).exits(2);
}

#[test]
fn what_comes_from_the_future_is_shown_and_flagged() {
    let repo = Repo::new();
    note(&repo, "a", "x").at("2026-03-02T00:00:00Z").ok();
    assert!(repo.bus(&["event", "list"]).ok().stdout.trim_end().ends_with(":: from the future"));
    assert_eq!(repo.bus(&["event", "list", "--json"]).ok().ndjson()[0]["future"], true);
}

#[test]
fn what_is_split_over_files_and_worktrees_and_doubled_is_listed_once_and_in_order() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        let line = |number: usize| {
            let id = if number.is_multiple_of(2) {
                format!(r#""id":"id{number}","#)
            } else {
                String::new()
            };
            format!(
                r#"{{"agent_id":"a","event":"note",{id}"summary":"s{number}","ts":"2026-03-01T12:0{number}:00Z"}}"#
            ) + "\n"
        };
        let lines =
            |numbers: &[usize]| numbers.iter().map(|number| line(*number)).collect::<String>();
        repo.write("_bus/events/x.jsonl", lines(&[0, 3, 4]));
        repo.write("_bus/events/y.jsonl", lines(&[0, 1, 5]));
        fs::create_dir_all(other.join("_bus/events")).unwrap();
        fs::write(other.join("_bus/events/x.jsonl"), lines(&[1, 2, 3, 4])).unwrap();
        repo.write(&record("events/z.jsonl"), lines(&[2, 6]));
        let expected = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];
        for folder in [&repo.root(), &other] {
            assert_eq!(listed(&repo, folder), expected, "{kept:?}");
        }
        // The same once the files were imported.
        note(&repo, "b", "last").at("2026-03-01T13:00:00Z").ok();
        for folder in [&repo.root(), &other] {
            assert_eq!(listed(&repo, folder), [&expected[..], &["last"]].concat(), "{kept:?}");
        }
    }
}
