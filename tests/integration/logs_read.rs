//! How the logs of other clones are read: as if each clone were one more worktree, and with the
//! clone's name.

use agent_bus::testing;
use serde_json::{Value, json};

use super::harness::{Bus, Ran, Repo};
use super::logs::{exchange, library, publish, recorded};
use super::watch::Watcher;

/// A repository whose bus has records in files of branches, too: git brings the records of others.
fn tracked() -> Repo {
    let repo = Repo::bare_of_bus();
    repo.bus(&["init", "--tracked"]).ok();
    repo.commit_all("bus");
    repo
}

fn note<'a>(repo: &'a Repo, agent: &str, summary: &str) -> Bus<'a> {
    repo.by(agent, &["event", "log", "--event", "note", "--summary", summary])
}

/// Summaries and clones of events, or of messages.
fn shown(records: &[Value]) -> Vec<(String, Value)> {
    records
        .iter()
        .map(|record| (record["summary"].as_str().unwrap().to_owned(), record["clone"].clone()))
        .collect()
}

fn listed(repo: &Repo, arguments: &[&str]) -> Vec<(String, Value)> {
    shown(&repo.bus(&[&["event", "list", "--json"], arguments].concat()).ok().ndjson())
}

fn clone_of(repo: &Repo) -> String {
    publish(&repo.root()).unwrap().0
}

#[test]
fn events_of_another_clone_are_shown_with_it_and_those_of_this_one_as_ever() {
    let (one, other) = (Repo::new(), Repo::new());
    note(&one, "a", "theirs").at("2026-03-01T11:00:00Z").ok();
    note(&other, "b", "ours").at("2026-03-01T11:30:00Z").ok();
    exchange(&one, &other);
    let clone = clone_of(&one);
    let expected = vec![("theirs".to_owned(), json!(clone)), ("ours".to_owned(), Value::Null)];
    assert_eq!(listed(&other, &[]), expected);
    assert_eq!(listed(&other, &["--limit", "2"]), expected);
    assert_eq!(shown(&other.bus(&["watch", "--json"]).ok().ndjson()), expected);
    let status = other.bus(&["status", "--json"]).ok().json();
    assert_eq!(shown(status["events"].as_array().unwrap()), expected);
    let text =
        "2026-03-01T11:00:00Z :: a :: note :: task=- :: theirs :: clone=".to_owned() + &clone;
    let feed = format!("{text}\n2026-03-01T11:30:00Z :: b :: note :: task=- :: ours\n");
    assert_eq!(other.bus(&["event", "list"]).ok().stdout, feed);
    assert!(other.bus(&["status"]).ok().stdout.ends_with(&feed));
    assert_eq!(listed(&one, &[]), [("theirs".to_owned(), Value::Null)]);
    let told = other.by("b", &["message", "send", "--to", "a", "--summary", "hello"]).ok().stderr;
    assert!(
        !told.contains("has not been seen"),
        "who logs in another clone is no stranger: {told}"
    );
}

#[test]
fn an_event_that_git_brought_as_well_is_shown_once_with_its_clone() {
    let (one, other) = (Repo::new(), tracked());
    for summary in ["first", "second", "third", "fourth"] {
        note(&one, "a", summary).ok();
    }
    exchange(&one, &other);
    // git brought the file as it was before the last event, and a merge put its first line last.
    let lines: Vec<String> =
        one.read(&recorded("a")).lines().map(|line| format!("{line}\n")).collect();
    other.write("_bus/events/a.jsonl", lines[..3].concat());
    let clone = json!(clone_of(&one));
    let all: Vec<_> = ["first", "second", "third", "fourth"]
        .map(|summary| (summary.to_owned(), clone.clone()))
        .into();
    assert_eq!(listed(&other, &[]), all);
    assert_eq!(listed(&other, &["--limit", "3"]), all[1..]);
    let mut reversed = listed(&other, &["--reverse"]);
    reversed.reverse();
    assert_eq!(reversed, all);
    assert_eq!(shown(&other.bus(&["watch", "--json", "--cursor", "c"]).ok().ndjson()), all);
    other.write("_bus/events/a.jsonl", [&lines[1..], &lines[..1]].concat().concat());
    let mut sorted = listed(&other, &[]);
    sorted.sort_by_key(|(summary, _)| all.iter().position(|(known, _)| known == summary));
    assert_eq!(sorted, all);
    assert_eq!(other.bus(&["watch", "--json", "--cursor", "c"]).ok().stdout, "", "each once");
}

#[test]
fn what_another_clone_tells_of_this_one_is_this_ones() {
    let (one, other) = (Repo::new(), Repo::new());
    note(&one, "a", "mine").ok();
    one.by("a", &["message", "send", "--task", "T-1", "--summary", "said here"]).ok();
    publish(&one.root());
    // Version 0.1 publishes what git has brought, too, where that was faster than the sync.
    other.write(&recorded("a"), one.read(&recorded("a")));
    let channel = ".git/bus/log/_bus/messages/T-1.jsonl";
    other.write(channel, one.read(channel));
    note(&other, "b", "theirs").ok();
    exchange(&other, &one);
    let clone = json!(clone_of(&other));
    assert_eq!(listed(&one, &[]), [("mine".to_owned(), Value::Null), ("theirs".to_owned(), clone)]);
    let messages = one.bus(&["message", "list", "--json"]).ok().ndjson();
    assert_eq!(shown(&messages), [("said here".to_owned(), Value::Null)]);
    let watched = one.bus(&["watch", "--json", "--cursor", "c"]).ok().ndjson();
    assert_eq!(shown(&watched)[0], ("mine".to_owned(), Value::Null));
    // What git brings is no line of this clone's own.
    let third = tracked();
    exchange(&one, &third);
    third.write("_bus/events/a.jsonl", one.read(&recorded("a")));
    assert_eq!(publish(&third.root()), None);
    assert_eq!(listed(&third, &[]), [("mine".to_owned(), json!(clone_of(&one)))]);
}

#[test]
fn messages_of_another_clone_are_unread_until_they_are_read() {
    let (one, other) = (Repo::new(), tracked());
    one.by("a", &["message", "send", "--to", "b", "--summary", "over there"]).ok();
    exchange(&one, &other);
    let clone = clone_of(&one);
    let inbox = other.by("b", &["inbox", "--json"]).ok().json();
    assert_eq!((&inbox["unread"], &inbox["messages"][0]["clone"]), (&json!(1), &json!(clone)));
    assert_eq!(
        other.by("b", &["wait", "--message", "--json"]).ok().json()["message"]["clone"],
        clone
    );
    let session = other.by("b", &["session", "start", "--json"]).ok().json();
    assert_eq!(session["messages"][0]["clone"], clone);
    let text = other.by("b", &["inbox", "--mark-read"]).ok().stdout;
    assert!(text.ends_with(&format!(" :: over there :: clone={clone}\n")), "{text}");
    assert_eq!(other.by("b", &["inbox", "--json"]).ok().json()["unread"], 0);
    assert_eq!(exchange(&one, &other), Default::default());
    // git brings it, too.
    other
        .write("_bus/messages/agent-b.jsonl", one.read(".git/bus/log/_bus/messages/agent-b.jsonl"));
    assert_eq!(other.by("b", &["inbox", "--json"]).ok().json()["unread"], 0);
    let messages = other.bus(&["message", "list", "--json"]).ok().ndjson();
    assert_eq!(shown(&messages), [("over there".to_owned(), json!(clone))]);
}

#[test]
fn the_latest_assignment_of_all_clones_counts() {
    let (one, other) = (Repo::new(), Repo::new());
    one.by("boss", &["assign", "T-1", "--engineer", "a"]).ok();
    exchange(&one, &other);
    let error = other.by("b", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
    assert_eq!(error["engineer"], "a");
    let waiting = other.bus(&["status", "--long", "--json"]).ok().json()["waiting"].clone();
    assert_eq!(waiting[0]["engineer"], "a");
    other.by("boss", &["assign", "T-1", "--engineer", "b"]).ok();
    exchange(&other, &one);
    one.by("a", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
    assert_eq!(exchange(&one, &other).assignments, 0, "the older one is not published again");
    other.by("b", &["claim", "T-1"]).ok();
}

#[test]
fn an_event_of_its_owner_keeps_a_claim_of_another_clone_alive() {
    let (one, other) = (Repo::new(), tracked());
    one.by("a", &["claim", "T-1"]).ok();
    other.write("_bus/claims/T-1.json", one.read(".git/bus/log/_bus/claims/T-1.json"));
    let state = |now: &str| {
        other.bus(&["status", "--json"]).at(now).ok().json()["claims"][0]["state"].clone()
    };
    assert_eq!(state("2026-03-01T12:00:00Z"), "active");
    assert_eq!(state("2026-03-01T19:00:00Z"), "stale");
    note(&one, "a", "at work").at("2026-03-01T18:30:00Z").ok();
    exchange(&one, &other);
    assert_eq!(state("2026-03-01T19:00:00Z"), "active");
}

#[test]
fn a_watcher_sees_a_clone_that_comes_and_what_it_logs_later_each_event_once() {
    let (one, other) = (Repo::new(), tracked());
    note(&other, "b", "old").ok();
    let mut watcher = Watcher::start(&other, &[]);
    watcher.expect("old");
    note(&one, "a", "first").ok();
    exchange(&one, &other);
    watcher.expect("first");
    note(&one, "a", "second").ok();
    exchange(&one, &other);
    watcher.expect("second");
    other.write("_bus/events/a.jsonl", one.read(&recorded("a")));
    note(&other, "b", "last").ok();
    watcher.expect("last");
    assert_eq!(watcher.end().0, ["old", "first", "second", "last"]);
}

#[test]
fn publishing_touches_nothing_but_its_ref_and_a_copy_grows_in_place() {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (Repo::new(), Repo::new());
    note(&one, "a", "first").ok();
    let before = one.state();
    let (clone, _) = publish(&one.root()).unwrap();
    let name = format!("refs/bus/log/{clone}");
    let after: Vec<String> =
        one.state().lines().filter(|line| !line.ends_with(&name)).map(str::to_owned).collect();
    assert_eq!(after, before.lines().collect::<Vec<_>>());
    exchange(&one, &other);
    let copy = other.path(&format!(".git/bus/clones/{clone}/_bus/events/a.jsonl"));
    let inode = std::fs::metadata(&copy).unwrap().ino();
    note(&one, "a", "second").ok();
    let tip = publish(&one.root()).unwrap().1;
    assert_eq!(publish(&one.root()).unwrap().1, tip, "nothing is new");
    assert_eq!(exchange(&one, &other).events, 1);
    assert_eq!(std::fs::metadata(&copy).unwrap().ino(), inode);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), one.read(&recorded("a")));
    assert_eq!(one.git(&["log", "--format=%an %s", &name]).lines().count(), 2);
}

#[test]
fn a_long_log_is_cut_into_segments_and_only_the_last_one_is_written_again() {
    let repo = Repo::new();
    let line = |number: usize| {
        format!(
            r#"{{"agent_id":"a","event":"note","id":"{number}","summary":"{}","ts":"2026-03-01T12:00:00Z"}}"#,
            "x".repeat(900)
        ) + "\n"
    };
    let text: String = (0..2000).map(line).collect();
    repo.write(&recorded("a"), &text);
    let (clone, _) = publish(&repo.root()).unwrap();
    let folder = format!("refs/bus/log/{clone}:events/a.jsonl");
    let segments = |repo: &Repo| -> Vec<String> {
        repo.git(&["ls-tree", "-l", &folder]).lines().map(str::to_owned).collect()
    };
    let before = segments(&repo);
    let sizes: Vec<usize> = before
        .iter()
        .map(|line| line.split_whitespace().nth(3).unwrap().parse().unwrap())
        .collect();
    assert!(sizes.len() >= 7 && sizes.iter().all(|size| *size <= 256 * 1024), "{sizes:?}");
    let objects = || {
        repo.git(&["count-objects"]).split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    let (count, full) = (objects(), before.len() - 1);
    repo.write(&recorded("a"), text.clone() + &line(2000));
    publish(&repo.root());
    assert_eq!(segments(&repo)[..full], before[..full]);
    assert!(objects() - count <= 5, "a segment, three trees and a commit");
    let cat = |name: &str| repo.git(&["cat-file", "blob", &format!("{folder}/{name}")]);
    let whole: String = repo.git(&["ls-tree", "--name-only", &folder]).lines().map(cat).collect();
    assert_eq!(whole, text + &line(2000));
}

#[test]
fn nobody_can_write_where_an_event_comes_from() {
    let repo = Repo::new();
    note(&repo, "a", "x").ok();
    let log = |extra: &str| -> Ran {
        repo.by("a", &["event", "log", "--event", "note", "--summary", "y", "--extra", extra])
            .exits(2)
    };
    log("clone=1a2b").says("cannot set `clone`");
    let line = repo
        .read(&recorded("a"))
        .replace("\"agent_id\"", "\"clone\":\"1a2b\",\"agent_id\"")
        .replace("\"id\":\"", "\"id\":\"0");
    repo.write(&recorded("z"), line);
    assert_eq!(listed(&repo, &[]), [("x".to_owned(), Value::Null), ("x".to_owned(), Value::Null)]);
}

#[test]
fn a_log_that_a_power_loss_damaged_is_published_anew() {
    let repo = Repo::new();
    note(&repo, "a", "first").ok();
    let (clone, tip) = publish(&repo.root()).unwrap();
    let tip = tip.to_string();
    repo.write(&format!(".git/objects/{}/{}", &tip[..2], &tip[2..]), "");
    note(&repo, "a", "second").ok();
    // What is of other clones is taken in all the same.
    testing::take_in_logs(&library(&repo.root()), "origin").unwrap();
    publish(&repo.root()).unwrap();
    let segment = format!("refs/bus/log/{clone}:events/a.jsonl/00000001");
    assert_eq!(repo.git(&["cat-file", "blob", &segment]), repo.read(&recorded("a")));
    assert!(repo.path(".git/bus/broken").is_dir());
}

#[test]
fn a_log_of_which_a_part_was_damaged_goes_on_and_has_all_that_the_record_has() {
    let repo = Repo::new();
    note(&repo, "a", "first").ok();
    let (clone, tip) = publish(&repo.root()).unwrap();
    let segment = |tip: &str| format!("{tip}:events/a.jsonl/00000001");
    let blob = repo.git(&["rev-parse", &segment(&tip.to_string())]);
    repo.write(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..].trim()), "");
    std::fs::remove_dir_all(repo.path(".git/bus/exchange")).unwrap();
    note(&repo, "a", "second").ok();
    let (_, new) = publish(&repo.root()).unwrap();
    assert_eq!(
        repo.git(&["cat-file", "blob", &segment(&format!("refs/bus/log/{clone}"))]),
        repo.read(&recorded("a"))
    );
    assert_ne!(new, tip);
}
