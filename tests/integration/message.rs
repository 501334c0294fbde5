//! Channels and inboxes: nothing acknowledged is lost, each message is shown once, and only its
//! owner speaks for a task.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Bus, Kept, NOON, Repo, record};

fn say<'a>(repo: &'a Repo, agent: &str, task: &str, summary: &str) -> Bus<'a> {
    repo.by(agent, &["message", "send", "--task", task, "--summary", summary])
}

/// What `message list` shows, as summaries, in order.
fn listed(repo: &Repo, folder: &Path, more: &[&str]) -> Vec<String> {
    let list = repo
        .bus(&[&["message", "list", "--json"], more].concat())
        .at("2026-03-01T13:00:00Z")
        .within(folder)
        .ok();
    assert_eq!(list.stderr, "", "{}", list.transcript);
    list.ndjson().iter().map(|message| message["summary"].as_str().unwrap().to_owned()).collect()
}

/// The lines of a channel of the record, read.
fn lines(repo: &Repo, channel: &str) -> Vec<Value> {
    let text = repo.read(&record(&format!("messages/{channel}.jsonl")));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_message_has_what_it_was_given_and_stands_where_it_belongs() {
    Kept::ALL.into_iter().for_each(a_message_has_what_it_was_given);
}

fn a_message_has_what_it_was_given(kept: Kept) {
    let repo = Repo::keeping(kept);
    repo.write("r1", "");
    let words = "message send --task T-1 --type review --summary two\nlines --note more --receipt r1 --receipt https://x/y \
                 --meta a=b=c --meta n=1 --branch topic --plan p-1 --json";
    let arguments: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    let ran = repo.by("a", &arguments).ok();
    assert_eq!(ran.stderr, "", "{}", ran.transcript);
    let message = ran.json()["message"].clone();
    let id = message["id"].clone();
    let expected = json!({"ts": NOON, "from": "a", "type": "review", "summary": "two\nlines", "id": id, "task_id": "T-1",
        "note": "more", "receipts": ["r1", "https://x/y"], "meta": {"a": "b=c", "n": "1", "plan_id": "p-1"}, "branch": "topic"});
    assert_eq!(message, expected);
    assert_eq!(id.as_str().unwrap().as_bytes()[14], b'7');
    assert_eq!(lines(&repo, "T-1"), [expected]);
    let plain = repo.by("a", &["message", "send", "--to", "b", "--summary", "hello"]).ok();
    assert_eq!(
        plain.stderr,
        "note: b has not been seen in this clone yet; is that the right id?\n"
    );
    assert_eq!(plain.stdout, format!("{NOON} :: a :: note :: to=b :: hello\n"));
    let both =
        repo.by("a", &["message", "send", "--to", "b", "--task", "T-1", "--summary", "look"]).ok();
    assert_eq!(both.stderr, "", "it has an inbox now");
    assert_eq!(both.stdout, format!("{NOON} :: a :: note :: to=b :: task=T-1 :: look\n"));
    let inbox = lines(&repo, "agent-b");
    assert_eq!(
        (inbox.len(), &inbox[0]["task_id"], &inbox[1]["task_id"]),
        (2, &Value::Null, &Value::from("T-1"))
    );
    assert_eq!(lines(&repo, "T-1").len(), 1, "a message stands in one place");
    assert_eq!(
        listed(&repo, &repo.root(), &["--task", "T-1"]),
        ["two\nlines", "look"],
        "and is found by its task, too"
    );
    repo.bus(&["validate", "--strict"]).ok();
    repo.bus(&["doctor"]).ok();
    for feed in [["event", "list"], ["watch", "--limit=9"]] {
        let ran = repo.bus(&feed).ok();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "a message is no event");
    }
    for channel in ["T-1", "agent-b"] {
        let file = format!("messages/{channel}.jsonl");
        let in_branch = if kept == Kept::Older { repo.read(&record(&file)) } else { String::new() };
        assert_eq!(repo.read(&format!("_bus/{file}")), in_branch, "{kept:?}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_nothing_is_written() {
    let repo = Repo::new();
    let send = |more: &[&str]| repo.by("a", &[&["message", "send"], more].concat());
    send(&["--summary", "x"]).fails(2, "usage");
    send(&["--task", "T-1"]).fails(2, "usage");
    send(&["--task", "T-1", "--summary", ""]).fails(2, "usage");
    send(&["--task", "agent-b", "--summary", "x"]).fails(2, "bad-id");
    send(&["--to", "../b", "--summary", "x"]).fails(2, "bad-id");
    send(&["--task", "T-1", "--summary", "x", "--meta", "=x"]).fails(2, "usage");
    send(&["--task", "T-1", "--summary", "x", "--meta", "a=1", "--meta", "a=2"]).fails(2, "usage");
    send(&["--task", "T-1", "--summary", "x", "--meta", "plan_id=p", "--plan", "p"])
        .fails(2, "usage");
    send(&["--task", "T-1", "--summary", &"x".repeat(64 * 1024)]).fails(2, "usage");
    repo.bus(&["message", "send", "--task", "T-1", "--summary", "x"]).fails(2, "no-identity");
    assert!(!repo.path("_bus/messages").exists() && !repo.path(&record("messages")).exists());
    Repo::bare_of_bus()
        .by("a", &["message", "send", "--to", "b", "--summary", "x"])
        .fails(4, "no-bus");
    send(&["--task", "T-1", "--summary", &"x".repeat(63 * 1024)]).ok();
    fs::create_dir_all(repo.path(&record("messages/T-2.jsonl"))).unwrap();
    send(&["--task", "T-2", "--summary", "x"]).fails(5, "not-a-regular-file");
}

#[test]
fn only_the_owner_speaks_for_a_task_and_everybody_says_the_rest() {
    let repo = Repo::new();
    let say = |agent: &str, kind: &str, more: &[&str]| {
        let send = ["message", "send", "--type", kind, "--task", "T-1", "--summary", "x"];
        repo.by(agent, &[&send, more].concat())
    };
    for kind in ["status", "proposal", "summary", "Status"] {
        say("a", kind, &[]).fails(3, "guard-refused");
    }
    repo.by("a", &["claim", "T-1"]).ok();
    say("a", "status", &[]).ok();
    assert_eq!(say("b", "status", &[]).fails(3, "guard-refused")["owner"], "a");
    say("b", "proposal", &["--to", "c"]).fails(3, "guard-refused");
    repo.by("b", &["message", "send", "--type", "status", "--to", "c", "--summary", "of my own"])
        .ok();
    for kind in ["note", "audit", "review", "request", "consensus", "directive", "assignment"] {
        say("b", kind, &[]).ok();
    }
    let recorded = |agent: &str| repo.read(&format!(".git/bus/log/refusals/{agent}.jsonl"));
    let refusals: Vec<Value> =
        recorded("b").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = |event: &str| {
        json!({"ts": NOON, "agent_id": "b", "event": event, "reason": "guard-refused", "task_id": "T-1", "claim_owner": "a",
            "claim_status": "active"})
    };
    assert_eq!(refusals, [refused("status"), refused("proposal")]);
    assert_eq!(recorded("a").lines().count(), 4);
    repo.by("b", &["reclaim", "T-1", "--note", "x", "--force"]).ok();
    assert_eq!(say("a", "summary", &[]).fails(8, "claim-lost")["lost_to"], "b");
    say("a", "note", &[]).ok();
    repo.by("b", &["release", "T-1"]).ok();
    say("c", "summary", &[]).ok();
    assert_eq!(lines(&repo, "T-1").len(), 1 + 7 + 2);
    repo.bus(&["validate"]).ok();
}

#[test]
fn a_message_on_ones_own_task_gives_the_heartbeat_that_is_due() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--ttl", "1h"]).ok();
    say(&repo, "a", "T-1", "early").at("2026-03-01T12:05:00Z").ok();
    assert_eq!(repo.history("T-1").len(), 1);
    say(&repo, "b", "T-1", "another's").at("2026-03-01T12:30:00Z").ok();
    assert_eq!(repo.history("T-1").len(), 1);
    say(&repo, "a", "T-1", "due").at("2026-03-01T12:30:00Z").ok();
    assert_eq!(repo.history("T-1")[0], "heartbeat T-1 by a");
}

#[test]
fn a_claim_that_cannot_be_read_stops_no_note_and_every_status() {
    let recorded = record("claims/T-1.json");
    let file = "_bus/claims/T-1.json";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        repo.write(place, "{");
        say(&repo, "a", "T-1", "it is broken").ok();
        let status = ["message", "send", "--task", "T-1", "--type", "status", "--summary", "x"];
        assert_eq!(repo.by("a", &status).fails(5, "malformed-record")["file"], place);
    }
}

#[test]
fn the_spelling_that_stands_is_used_and_said() {
    let repo = Repo::new();
    say(&repo, "a", "Task-1", "one").ok();
    say(&repo, "a", "TASK-1", "two").ok().says("the task is spelled `Task-1`");
    repo.by("a", &["claim", "task-2"]).ok();
    say(&repo, "a", "TASK-2", "three").ok().says("the task is spelled `task-2`");
    repo.by("a", &["message", "send", "--to", "Codex", "--summary", "four"]).ok();
    repo.by("a", &["message", "send", "--to", "codex", "--summary", "five"]).ok();
    let names: BTreeSet<_> = fs::read_dir(repo.path(&record("messages")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["Task-1.jsonl", "task-2.jsonl", "agent-Codex.jsonl"].map(Into::into).into());
    assert_eq!(listed(&repo, &repo.root(), &["--task", "tAsK-1"]), ["one", "two"]);
    assert_eq!(listed(&repo, &repo.root(), &["--to", "CODEX"]), ["four", "five"]);
}

#[test]
fn messages_of_all_worktrees_are_listed_once_and_in_the_order_of_time() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        let line = |number: usize| {
            let id = if number.is_multiple_of(2) {
                format!(r#""id":"id{number}","#)
            } else {
                String::new()
            };
            let ts = format!("2026-03-01T12:0{number}:00Z");
            format!(
                r#"{{"from":"a",{id}"summary":"s{number}","task_id":"T-1","ts":"{ts}","type":"note"}}"#
            ) + "\n"
        };
        let text =
            |numbers: &[usize]| numbers.iter().map(|number| line(*number)).collect::<String>();
        // A merge brings old lines to the end of a file.
        repo.write("_bus/messages/T-1.jsonl", text(&[3, 4, 0]));
        fs::create_dir_all(other.join("_bus/messages")).unwrap();
        fs::write(other.join("_bus/messages/T-1.jsonl"), text(&[5, 1, 4, 3])).unwrap();
        fs::write(other.join("_bus/messages/agent-b.jsonl"), text(&[2])).unwrap();
        repo.write(&record("messages/T-1.jsonl"), text(&[6, 4]));
        for is_imported in [false, true] {
            is_imported
                .then(|| repo.by("z", &["event", "log", "--event", "note", "--summary", "x"]).ok());
            for folder in [&repo.root(), &other] {
                assert_eq!(
                    listed(&repo, folder, &[]),
                    ["s0", "s1", "s2", "s3", "s4", "s5", "s6"],
                    "{kept:?}"
                );
                assert_eq!(
                    listed(&repo, folder, &["--to", "b"]),
                    ["s2"],
                    "what stands in an inbox is for its agent"
                );
            }
        }
    }
}

#[test]
fn filters_come_before_the_limit() {
    let repo = Repo::new();
    for (number, agent) in ["a", "b", "a", "c", "a"].into_iter().enumerate() {
        say(&repo, agent, "T-1", &format!("s{number}"))
            .at(&format!("2026-03-01T12:0{number}:00Z"))
            .ok();
    }
    let send =
        ["message", "send", "--task", "T-2", "--to", "b", "--type", "request", "--summary", "s5"];
    repo.by("a", &send).at("2026-03-01T12:05:00Z").ok();
    let list = |more: &[&str]| listed(&repo, &repo.root(), more).join(" ");
    assert_eq!(list(&[]), "s0 s1 s2 s3 s4 s5");
    assert_eq!(list(&["--limit", "2"]), "s4 s5");
    assert_eq!(list(&["--limit", "2", "--reverse"]), "s5 s4");
    assert_eq!(list(&["--from", "a", "--type", "note", "--limit", "2"]), "s2 s4");
    assert_eq!(list(&["--from", "b", "--agent", "C"]), "s1 s3");
    assert_eq!(list(&["--type", "request", "--type", "audit"]), "s5");
    assert_eq!(list(&["--task", "t-2", "--to", "B"]), "s5");
    assert_eq!(list(&["--task", "T-1", "--to", "b"]), "");
    assert_eq!(list(&["--since", "2026-03-01T12:03:00Z"]), "s3 s4 s5");
    assert_eq!(list(&["--since", "57m", "--task", "T-1"]), "s3 s4");
}

#[test]
fn bad_lines_are_named_and_hide_nothing() {
    bad_lines_are_named(&Repo::new(), &record("messages"));
    bad_lines_are_named(&Repo::older(), "_bus/messages");
}

fn bad_lines_are_named(repo: &Repo, folder: &str) {
    let place = format!("{folder}/T-1.jsonl");
    say(repo, "a", "T-1", "one").ok();
    let good = repo.read(&place).trim_end().to_owned();
    let other = good.replace("\"one\"", "\"forged\"");
    let bad =
        format!("{good}\n\n{{\"torn\n[]\n{good}{good}\n{}\n{other}\n{{\"ts\"", "y".repeat(70_000));
    repo.write(&place, bad);
    let ran = repo.bus(&["message", "list"]).ok();
    for line in [3, 4, 5, 6, 8] {
        assert!(
            ran.stderr.contains(&format!("`{place}` line {line}: ")),
            "{line}\n{}",
            ran.transcript
        );
    }
    assert!(ran.stderr.contains("another message has the same id"), "{}", ran.transcript);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.transcript);
    say(repo, "a", "T-1", "two").ok();
    assert_eq!(
        repo.bus(&["message", "list"]).ok().stdout.lines().count(),
        2,
        "a torn last line is closed"
    );
    repo.write(&format!("{folder}/T-2.jsonl"), "x\n".repeat(50));
    repo.bus(&["message", "list"]).ok().says("more lines of the channels are no messages");
}

#[test]
fn text_from_a_channel_cannot_reach_the_terminal() {
    let repo = Repo::new();
    let evil = "a\u{1b}[2Jb\u{202e}c\r\nd\u{9b}\u{2028}e\u{7}";
    let send =
        ["message", "send", "--to", "b", "--summary", evil, "--note", evil, "--receipt", evil];
    let sent = repo.by("a", &send).ok();
    repo.by("a", &["assign", "T-1", "--engineer", "b", "--note", evil]).ok();
    repo.write(&record("messages/evil.jsonl"), format!("{evil}\n"));
    let harmless = |text: &str| {
        let bad = |character: char| {
            (character.is_control() && character != '\n')
                || "\u{202e}\u{2028}\u{9b}".contains(character)
        };
        assert!(!text.chars().any(bad), "{text:?}");
    };
    harmless(&sent.stdout);
    for arguments in [
        vec!["message", "list"],
        vec!["inbox"],
        vec!["message", "list", "--json"],
        vec!["inbox", "--json"],
    ] {
        let ran = repo.by("b", &arguments).ok();
        harmless(&ran.stdout);
        harmless(&ran.stderr);
        assert!(ran.stdout.contains("[2J"), "shown, not dropped: {}", ran.stdout);
    }
    assert_eq!(
        repo.by("b", &["inbox", "--json"]).ok().json()["messages"][0]["note"],
        evil,
        "and whole as JSON"
    );
}

#[test]
fn of_16_senders_at_once_no_message_is_lost_or_torn() {
    let repo = Repo::new();
    std::thread::scope(|scope| {
        for sender in 0..16 {
            let repo = &repo;
            scope.spawn(move || {
                for number in 0..10 {
                    say(repo, &format!("agent{sender}"), "T-1", &format!("{sender}-{number}")).ok();
                }
            });
        }
    });
    let messages = lines(&repo, "T-1");
    let ids: BTreeSet<&str> =
        messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
    let summaries: BTreeSet<&str> =
        messages.iter().map(|message| message["summary"].as_str().unwrap()).collect();
    assert_eq!((messages.len(), ids.len(), summaries.len()), (160, 160, 160));
}

#[test]
fn a_checkout_in_a_loop_beside_a_sender_loses_no_acknowledged_message() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        say(&repo, "a", "T-1", "first").ok();
        repo.commit_all("channel");
        repo.git(&["branch", "side"]);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let said = |number: &usize| {
                    say(&repo, "a", "T-1", &format!("n{number}")).run().status == Some(0)
                };
                (0..40).filter(said).count()
            });
            let mut turn = 0;
            while !sender.is_finished() {
                turn += 1;
                // Each may refuse because the tree is dirty, or the index locked: that is git's own
                // answer.
                repo.try_git_in(
                    &repo.root(),
                    &["commit", "--quiet", "--all", "--message", "channel"],
                );
                repo.try_git_in(
                    &repo.root(),
                    &["checkout", "--quiet", if turn % 2 == 0 { "main" } else { "side" }],
                );
                repo.try_git_in(&repo.root(), &["reset", "--quiet", "--hard"]);
                repo.try_git_in(&repo.root(), &["clean", "--quiet", "-fdx"]);
            }
            assert_eq!(sender.join().unwrap(), 40);
        });
        say(&repo, "a", "T-1", "last").ok();
        let expected =
            std::iter::once("first".to_owned()).chain((0..40).map(|number| format!("n{number}")));
        let expected: Vec<String> = expected.chain(["last".to_owned()]).collect();
        assert_eq!(listed(&repo, &repo.root(), &[]), expected, "{kept:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_channel_that_is_a_link_is_neither_read_nor_written() {
    for (kept, is_record) in [
        (Kept::Untracked, true),
        (Kept::Untracked, false),
        (Kept::Tracked, false),
        (Kept::Older, false),
    ] {
        let repo = Repo::keeping(kept);
        let outside = repo.beside("outside");
        fs::create_dir(&outside).unwrap();
        let line = r#"{"from":"x","summary":"outside","to":"b","ts":"2026-03-01T12:00:00Z","type":"note"}"#;
        fs::write(outside.join("agent-b.jsonl"), format!("{line}\n")).unwrap();
        let folder = if is_record { record("messages") } else { "_bus/messages".to_owned() };
        fs::create_dir_all(repo.path(&folder).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&outside, repo.path(&folder)).unwrap();
        let is_read = is_record || kept != Kept::Untracked;
        // What was asked for could not be looked at.
        let list = repo.bus(&["message", "list"]).exits(if is_read { 9 } else { 0 });
        assert_eq!(list.stdout, "");
        // A copy that is a link is nobody's business; a record that is one is named.
        assert_eq!(list.stderr.contains(&folder), is_read, "{kept:?}: {}", list.stderr);
        let inbox = repo.by("b", &["inbox"]).exits(if is_read { 9 } else { 0 });
        assert_eq!(inbox.stdout, if is_read { "" } else { "no unread messages\n" });
        let send = ["message", "send", "--to", "b", "--summary", "x"];
        if is_record {
            repo.by("a", &send).fails(5, "not-a-regular-file");
            repo.by("a", &["assign", "T-1", "--engineer", "b"]).fails(5, "not-a-regular-file");
            assert!(!repo.path(&record("assignments")).exists(), "nothing is half done");
        } else {
            repo.by("a", &send).ok();
            repo.by("a", &["assign", "T-1", "--engineer", "b"]).ok();
            assert_eq!(
                (lines(&repo, "agent-b").len(), lines(&repo, "T-1").len()),
                (1, 1),
                "{kept:?}"
            );
        }
        assert_eq!(fs::read_to_string(outside.join("agent-b.jsonl")).unwrap().lines().count(), 1);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{kept:?}");
    }
}
