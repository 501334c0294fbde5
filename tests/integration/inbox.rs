//! The inbox: what is unread is shown, whenever it was written and however it came; what is read is
//! not shown again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Bus, Kept, NOON, Ran, Repo, record};

fn tell<'a>(repo: &'a Repo, to: &str, summary: &str) -> Bus<'a> {
    repo.by("boss", &["message", "send", "--to", to, "--summary", summary])
}

fn inbox<'a>(repo: &'a Repo, folder: &Path, more: &[&str]) -> Bus<'a> {
    repo.by("a", &[&["inbox", "--json"], more].concat()).within(folder)
}

/// What `inbox` shows, as summaries, in order.
fn shown(repo: &Repo, folder: &Path, more: &[&str]) -> Vec<String> {
    let inbox = inbox(repo, folder, more).ok().json();
    let messages = inbox["messages"].as_array().unwrap();
    messages.iter().map(|message| message["summary"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_unread_is_shown_until_it_is_marked() {
    Kept::ALL.into_iter().for_each(is_shown_until_it_is_marked);
}

fn is_shown_until_it_is_marked(kept: Kept) {
    let repo = Repo::keeping(kept);
    assert_eq!(inbox(&repo, &repo.root(), &[]).ok().json(), json!({"unread": 0, "messages": []}));
    assert_eq!(repo.by("a", &["inbox"]).ok().stdout, "no unread messages\n");
    tell(&repo, "a", "one").ok();
    tell(&repo, "b", "not for a").ok();
    let message: Value =
        serde_json::from_str(&repo.read(&record("messages/agent-a.jsonl"))).unwrap();
    for _ in 0..2 {
        assert_eq!(
            inbox(&repo, &repo.root(), &[]).ok().json(),
            json!({"unread": 1, "messages": [message]})
        );
    }
    let before = repo.state();
    assert_eq!(
        repo.by("A", &["inbox", "--mark-read"]).ok().stdout,
        format!("{NOON} :: boss :: note :: to=a :: one\n")
    );
    assert_eq!(repo.state(), before, "nothing that git tracks is changed");
    assert_eq!(repo.by("a", &["inbox"]).ok().stdout, "no unread messages\n");
    tell(&repo, "a", "two").ok();
    assert_eq!(shown(&repo, &repo.root(), &[]), ["two"], "of the same second as what was read");
    assert_eq!(
        repo.bus(&["inbox", "--agent", "b", "--json"]).ok().json()["unread"],
        1,
        "each agent has its own"
    );
}

#[test]
fn identity_comes_from_option_environment_or_manifest_and_is_needed() {
    let repo = Repo::new();
    tell(&repo, "a", "one").ok();
    repo.bus(&["inbox"]).fails(2, "no-identity");
    repo.bus(&["inbox", "--agent", "a", "--agent", "b"]).fails(2, "usage");
    assert_eq!(repo.bus(&["inbox", "--agent", "a", "--json"]).ok().json()["unread"], 1);
    assert_eq!(repo.by("b", &["inbox", "--agent", "a", "--json"]).ok().json()["unread"], 1);
    repo.write("AGENT_MANIFEST.json", r#"{"agent_id": "a"}"#);
    assert_eq!(repo.bus(&["inbox", "--json"]).ok().json()["unread"], 1);
    repo.write("AGENT_MANIFEST.json", "{");
    repo.bus(&["inbox"]).fails(5, "malformed-record");
}

#[test]
fn the_limit_shows_the_last_counts_all_and_marks_only_what_is_shown() {
    let repo = Repo::new();
    for number in 0..5 {
        tell(&repo, "a", &format!("s{number}")).at(&format!("2026-03-01T11:0{number}:00Z")).ok();
    }
    let limited = inbox(&repo, &repo.root(), &["--limit", "2", "--mark-read"])
        .ok()
        .says("3 older unread messages");
    assert_eq!(
        (&limited.json()["unread"], limited.json()["messages"].as_array().unwrap().len()),
        (&Value::from(5), 2)
    );
    assert_eq!(shown(&repo, &repo.root(), &[]), ["s0", "s1", "s2"]);
}

#[test]
fn messages_of_all_worktrees_are_shown_and_read_once() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        let other = repo.worktree("wt");
        tell(&repo, "a", "here").at("2026-03-01T11:02:00Z").ok();
        tell(&repo, "a", "there").at("2026-03-01T11:01:00Z").within(&other).ok();
        // The same lines once more, as branches bring them to each other.
        for folder in [&repo.root(), &other] {
            repo.by("boss", &["export"]).within(folder).ok();
            fs::create_dir_all(folder.join("_bus/messages")).unwrap();
            fs::write(
                folder.join("_bus/messages/agent-a.jsonl"),
                repo.read(&record("messages/agent-a.jsonl")),
            )
            .unwrap();
        }
        assert_eq!(shown(&repo, &other, &["--mark-read"]), ["there", "here"], "{kept:?}");
        assert_eq!(shown(&repo, &repo.root(), &[]), [""; 0], "{kept:?}");
    }
}

#[test]
fn what_a_merge_brings_late_is_unread_however_old_it_is() {
    for (kept, file) in [(Kept::Older, "agent-a.jsonl"), (Kept::Tracked, "x@abcdefghij01.jsonl")] {
        let repo = Repo::keeping(kept);
        let file = format!("_bus/messages/{file}");
        tell(&repo, "a", "base").at("2026-03-01T10:00:00Z").ok();
        repo.commit_all("base");
        repo.git(&["checkout", "--quiet", "-b", "side"]);
        // As it comes from another clone: this one's record does not have it.
        let line = |summary: &str, ts: &str| {
            format!(
                r#"{{"from":"x","id":"{summary}","summary":"{summary}","to":"a","ts":"{ts}","type":"note"}}"#
            )
        };
        let news =
            [line("old", "2026-03-01T10:30:00Z"), line("same second", "2026-03-01T11:00:00Z")]
                .join("\n");
        repo.write(&file, repo.read(&file) + &news + "\n");
        repo.commit_all("side");
        repo.git(&["checkout", "--quiet", "main"]);
        tell(&repo, "a", "new").at("2026-03-01T11:00:00Z").ok();
        assert_eq!(shown(&repo, &repo.root(), &["--mark-read"]), ["base", "new"], "{kept:?}");
        repo.commit_all("main");
        repo.git(&["merge", "--quiet", "-m", "merge", "side"]);
        assert_eq!(
            shown(&repo, &repo.root(), &["--mark-read"]),
            ["old", "same second"],
            "{kept:?}"
        );
        assert_eq!(shown(&repo, &repo.root(), &[]), [""; 0], "{kept:?}");
    }
}

#[test]
fn lines_without_an_id_are_read_one_by_one() {
    let recorded = record("messages/agent-a.jsonl");
    for (kept, file) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Older, "_bus/messages/agent-a.jsonl")]
    {
        let repo = Repo::keeping(kept);
        let line = |summary: &str| {
            format!(r#"{{"from":"x","summary":"{summary}","to":"a","ts":"{NOON}","type":"note"}}"#)
                + "\n"
        };
        repo.write(file, line("one"));
        assert_eq!(shown(&repo, &repo.root(), &["--mark-read"]), ["one"], "{kept:?}");
        repo.write(file, line("two") + &line("one"));
        assert_eq!(shown(&repo, &repo.root(), &["--mark-read"]), ["two"], "{kept:?}");
        assert_eq!(shown(&repo, &repo.root(), &[]), [""; 0], "{kept:?}");
    }
}

#[test]
fn a_damaged_position_shows_messages_again_and_hides_none() {
    let repo = Repo::new();
    tell(&repo, "a", "one").ok();
    inbox(&repo, &repo.root(), &["--mark-read"]).ok();
    let marks = repo.path(".git/bus/inbox/a");
    let whole = fs::read(&marks).unwrap();
    tell(&repo, "a", "two").ok();
    assert_eq!(shown(&repo, &repo.root(), &[]), ["two"]);
    for damaged in [&whole[..whole.len() - 1], &whole[..4], b"rubbish", b"", &[0; 4096]] {
        fs::write(&marks, damaged).unwrap();
        assert_eq!(shown(&repo, &repo.root(), &[]), ["one", "two"]);
    }
    inbox(&repo, &repo.root(), &["--mark-read"]).ok();
    assert_eq!(shown(&repo, &repo.root(), &[]), [""; 0], "and is written anew");
}

#[test]
fn a_waiter_is_told_of_an_unread_message_at_once_or_when_it_comes() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    let wait = |more: &[&str]| {
        repo.by("a", &[&["wait", "--message", "--timeout", "1m", "--json"], more].concat())
            .without("BUS_NOW")
    };
    tell(&repo, "a", "one").ok();
    assert_eq!(wait(&[]).ok().json()["message"]["summary"], "one");
    assert_eq!(
        wait(&["--from", "x", "--from", "BOSS"]).ok().json()["message"]["summary"],
        "one",
        "it stays unread"
    );
    repo.by("a", &["wait", "--message", "--from", "x", "--timeout", "10ms"])
        .fails(6, "wait-timeout");
    let waiting = wait(&["--from", "x"]).start();
    tell(&repo, "a", "two").ok();
    repo.by("x", &["message", "send", "--to", "a", "--summary", "three"]).within(&other).ok();
    assert_eq!(Ran::of(waiting).json()["message"]["summary"], "three", "of another worktree");
    inbox(&repo, &repo.root(), &["--mark-read"]).ok();
    repo.by("a", &["wait", "--message", "--timeout", "10ms"]).fails(6, "wait-timeout");
    let text = format!("{NOON} :: x :: note :: to=b :: four\n");
    repo.by("x", &["message", "send", "--to", "b", "--summary", "four"]).ok();
    assert_eq!(repo.bus(&["wait", "--message", "--agent", "b"]).ok().stdout, text);
    repo.bus(&["wait", "--message"]).fails(2, "no-identity");
    repo.by("a", &["wait", "T-1", "--message"]).fails(2, "usage");
    repo.by("a", &["wait", "--from", "x", "--event", "note"]).fails(2, "usage");
}

#[test]
fn readers_that_mark_at_once_lose_nothing_and_forget_nothing() {
    let repo = Repo::new();
    let mut told = 0;
    for _ in 0..6 {
        let tellers: Vec<_> =
            (0..4).map(|number| tell(&repo, "a", &format!("n{}", told + number)).start()).collect();
        told += 4;
        let readers: Vec<_> =
            (0..4).map(|_| inbox(&repo, &repo.root(), &["--mark-read"]).start()).collect();
        let read: Vec<Ran> = readers.into_iter().map(Ran::of).collect();
        assert!(tellers.into_iter().all(|teller| Ran::of(teller).status == Some(0)));
        assert!(read.iter().all(|ran| ran.status == Some(0)));
        let seen: Vec<Value> = read
            .iter()
            .flat_map(|ran| ran.json()["messages"].as_array().unwrap().clone())
            .collect();
        // Whatever nobody was shown is unread still, and nothing else is.
        let unread = inbox(&repo, &repo.root(), &["--mark-read"]).ok().json()["messages"]
            .as_array()
            .unwrap()
            .clone();
        assert!(unread.iter().all(|message| !seen.contains(message)), "{unread:?}");
        let mut both: Vec<String> =
            seen.iter().chain(&unread).map(|message| message["summary"].to_string()).collect();
        both.sort();
        both.dedup();
        assert_eq!(both.len(), 4, "{both:?}");
    }
}

#[test]
fn what_comes_while_a_reader_marks_stays_unread() {
    let repo = Repo::new();
    tell(&repo, "a", "one").ok();
    let lock = fs::File::options().write(true).open(repo.path(".git/bus/lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let mut reader = inbox(&repo, &repo.root(), &["--mark-read"]).start();
    let mut shown_first = BufReader::new(reader.stdout.take().unwrap());
    shown_first.read_line(&mut String::new()).unwrap();
    // It has shown what it read, and waits for the lock.
    let line = repo.read(&record("messages/agent-a.jsonl"));
    repo.write(
        &record("messages/agent-a.jsonl"),
        line.replace("\"one\"", "\"two\"").replace("\"id\":\"", "\"id\":\"x") + &line,
    );
    drop(lock);
    assert!(reader.wait().unwrap().success());
    assert_eq!(shown(&repo, &repo.root(), &[]), ["two"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_nobody_could_see_is_not_read() {
    let repo = Repo::new();
    tell(&repo, "a", "one").ok();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    inbox(&repo, &repo.root(), &["--mark-read"]).stdout(full).exits(9);
    let (nobody, pipe) = std::io::pipe().unwrap();
    drop(nobody);
    inbox(&repo, &repo.root(), &["--mark-read"])
        .stdout(std::os::fd::OwnedFd::from(pipe).into())
        .ok();
    assert_eq!(shown(&repo, &repo.root(), &[]), ["one"]);
}

#[test]
fn where_marking_is_refused_the_messages_are_shown_and_stay_unread() {
    let repo = Repo::new();
    tell(&repo, "a", "one").ok();
    let lock = fs::File::options().write(true).open(repo.path(".git/bus/lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    assert_eq!(shown(&repo, &repo.root(), &[]), ["one"], "reading takes no lock");
    let ran = inbox(&repo, &repo.root(), &["--mark-read", "--lock-timeout", "20ms"])
        .exits(6)
        .says("not marked as read");
    assert_eq!(ran.json()["unread"], 1, "stdout is one document");
    drop(lock);
    assert_eq!(shown(&repo, &repo.root(), &["--mark-read"]), ["one"]);
}
