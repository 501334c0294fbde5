//! Sessions: what an agent is told when it begins and when it ends, whatever the remote, other
//! sessions and crashes do.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Bus, Kept, NOON, Repo, record};

const LATER: &str = "2026-03-01T12:20:00Z";
const NEXT_DAY: &str = "2026-03-02T12:00:00Z";

fn start<'a>(repo: &'a Repo, agent: &str, more: &[&str]) -> Bus<'a> {
    repo.by(agent, &[&["session", "start", "--json"], more].concat())
}

fn plain_start<'a>(repo: &'a Repo, agent: &str) -> Bus<'a> {
    repo.by(agent, &["session", "start"])
}

fn end<'a>(repo: &'a Repo, agent: &str) -> Bus<'a> {
    repo.by(agent, &["session", "end", "--json"])
}

/// The handshakes in the log, as phase, session and summary.
fn handshakes(repo: &Repo) -> Vec<[String; 3]> {
    let events = repo.bus(&["event", "list", "--event", "handshake", "--json"]).ok().ndjson();
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    events
        .iter()
        .map(|event| ["session", "session_id", "summary"].map(|field| text(event, field)))
        .collect()
}

/// The notes of open sessions, by name.
fn notes(repo: &Repo) -> Vec<String> {
    let entries = fs::read_dir(repo.path(".git/bus/sessions")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A repository whose `main` follows `origin`, and a clone of it that pushes there.
fn with_origin() -> (Repo, PathBuf) {
    let repo = Repo::new();
    let (origin, other) = (repo.beside("origin.git"), repo.beside("other"));
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", origin.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    repo.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    repo.git(&["clone", "--quiet", origin.to_str().unwrap(), other.to_str().unwrap()]);
    (repo, other)
}

fn push_one(repo: &Repo, other: &Path) {
    repo.commit_all_in(other, "more");
    repo.git_in(other, &["push", "--quiet"]);
}

#[test]
fn a_session_begins_with_who_and_what_and_what_is_next() {
    let repo = Repo::new();
    let ran = start(
        &repo,
        "codex-1",
        &["--focus", "the parser", "--role", "engineer", "--summary", "first day"],
    )
    .ok();
    let answer = ran.says("AGENT_MANIFEST.json now says that codex-1 works").json();
    let session = answer["session_id"].as_str().unwrap().to_owned();
    assert!(session.starts_with("20260301T120000Z-") && session.len() == 23, "{session}");
    assert_eq!(repo.read("AGENT_MANIFEST.json"), "{\n  \"agent_id\": \"codex-1\"\n}\n");
    let event = json!({"agent_id": "codex-1", "branch": "main", "event": "handshake", "focus": "the parser", "role": "engineer",
        "session": "start", "session_id": session, "summary": "first day", "ts": NOON, "id": answer["event"]["id"]});
    assert_eq!(answer["event"], event);
    assert_eq!(repo.log_lines(), [serde_json::to_string(&event).unwrap()]);
    let expected = json!({"agent_id": "codex-1", "session_id": session, "worktree": answer["worktree"], "manifest": "written",
        "event": event, "other_sessions": [], "fetch": {"outcome": "no-remote", "remote": null, "message": null},
        "branch": {"name": "main", "upstream": null, "default": null}, "claims": [], "locks": [], "other_locks": 0, "unread": 0, "messages": [],
        "assignments": [], "ready": {"count": 0, "first": []}, "peers": [], "unreadable": [], "next": "bus status --active-only", "generated_at": NOON});
    assert_eq!(answer, expected);
    assert_eq!(notes(&repo), [format!("codex-1@{}", session.to_lowercase())]);
    assert_eq!(repo.status_of(&repo.root()), "", "git has nothing to show");
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
    // Afterwards the manifest says who commands without a name are by.
    repo.bus(&["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["agent_id"], "codex-1");
}

#[test]
fn people_read_a_section_each() {
    let repo = Repo::new();
    repo.by("boss", &["assign", "T-2", "--engineer", "a", "--note", "the lexer"])
        .at("2026-03-01T11:00:00Z")
        .ok();
    repo.by("boss", &["message", "send", "--to", "a", "--summary", "hello"])
        .at("2026-03-01T11:30:00Z")
        .ok();
    repo.by("b", &["claim", "T-3"]).at("2026-03-01T11:59:00Z").ok();
    repo.by("b", &["claim", "T-4", "--status", "paused"]).at("2026-03-01T11:59:00Z").ok();
    repo.by("a", &["claim", "T-1", "--notes", "the parser"]).at("2026-03-01T11:58:00Z").ok();
    let ran =
        repo.by("a", &["session", "start", "--role", "manager"]).env("BUS_SESSION", "s-1").ok();
    let expected = "\
a (manager) on main
export BUS_SESSION=s-1

Your claims
  T-1 active, since 2 min ago, on agent/a/t-1, the parser

Unread: 1
2026-03-01T11:30:00Z :: boss :: note :: to=a :: hello

Your assignments
  T-2 by boss, 1 h ago, the lexer

Ready: none

Peers
  b active, seen 1 min ago, holds T-3, T-4 (paused)
  boss idle, seen 30 min ago, holds nothing

Next: bus event log --event status --task T-1 --summary 'what you do next'
";
    assert_eq!(ran.stdout, expected);
    let ended = repo.by("a", &["session", "end"]).env("BUS_SESSION", "s-1").ok();
    let expected = "\
ended session s-1 of a

Still claimed
  T-1 active, since 2 min ago, on agent/a/t-1, the parser

Release what you will not come back to: `bus release TASK --status released`
";
    assert_eq!(ended.stdout, expected);
    repo.by("a", &["release", "T-1"]).ok();
    let ended = repo.by("a", &["session", "end"]).env("BUS_SESSION", "s-1").ok();
    assert_eq!(ended.stdout, "session s-1 of a has ended already; nothing to do\n");
}

#[test]
fn what_is_next_is_own_work_then_an_assignment_then_a_message() {
    let repo = Repo::new();
    let next = |more: &str| {
        start(&repo, "a", &[]).at(more).ok().json()["next"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(NOON), "bus status --active-only");
    for number in 1..=6 {
        repo.by(
            "boss",
            &[
                "queue",
                "add",
                &format!("Part {number}"),
                "--priority",
                if number == 6 { "high" } else { "low" },
            ],
        )
        .ok();
    }
    assert_eq!(next(NOON), "bus claim --next");
    let answer = start(&repo, "a", &[]).ok().json();
    assert_eq!(
        answer["ready"]["first"][0],
        json!({"task_id": "QUEUE-006", "priority": "high", "title": "Part 6"})
    );
    assert_eq!(
        (&answer["ready"]["count"], answer["ready"]["first"].as_array().unwrap().len()),
        (&json!(6), 5)
    );
    let text = repo.by("a", &["session", "start"]).ok().stdout;
    assert!(
        text.contains("\nReady\n  QUEUE-006 high, Part 6\n")
            && text.contains("  and 1 more: `bus queue ready`\n"),
        "{text}"
    );
    repo.by("boss", &["message", "send", "--to", "a", "--summary", "hello"]).ok();
    assert_eq!(next(NOON), "bus inbox --mark-read");
    // What somebody else holds, or what waits for another task, is not next.
    repo.by("other", &["claim", "T-6"]).ok();
    repo.by("boss", &["assign", "T-6", "--engineer", "a"]).ok();
    repo.by("boss", &["queue", "add", "Last", "--after", "QUEUE-001"]).ok();
    repo.by("boss", &["assign", "QUEUE-007", "--engineer", "a"]).at("2026-03-01T12:00:01Z").ok();
    assert_eq!(next(NOON), "bus inbox --mark-read");
    for task in ["T-6", "QUEUE-007"] {
        repo.by("boss", &["assign", task, "--engineer", "unassigned"])
            .at("2026-03-01T12:00:02Z")
            .ok();
    }
    repo.by("boss", &["assign", "T-9", "--engineer", "a"]).ok();
    repo.by("boss", &["assign", "T-8", "--engineer", "a"]).at("2026-03-01T11:00:00Z").ok();
    repo.by("boss", &["assign", "T-7", "--engineer", "other"]).ok();
    assert_eq!(next(NOON), "bus claim T-9");
    for task in ["T-8", "T-9"] {
        repo.by("a", &["claim", task]).ok();
        repo.by("a", &["release", task]).ok();
    }
    assert_eq!(
        start(&repo, "a", &[]).ok().json()["assignments"],
        json!([]),
        "what is done is not waited for"
    );
    repo.by("a", &["claim", "T-1", "--status", "paused", "--ttl", "1h"]).ok();
    assert_eq!(next(NOON), "bus claim T-1 --status active");
    repo.by("a", &["claim", "T-2"]).ok();
    assert!(next(NOON).starts_with("bus event log --event status --task T-2 "));
    repo.by("a", &["claim", "T-3"]).at(LATER).ok();
    assert!(
        next(LATER).starts_with("bus event log --event status --task T-3 "),
        "the one that was touched last"
    );
    assert_eq!(next("2026-03-01T13:30:00Z"), "bus heartbeat T-1", "before it is taken over");
}

#[test]
fn identity_comes_from_option_environment_or_manifest_and_is_needed() {
    let repo = Repo::new();
    repo.bus(&["session", "start"]).fails(2, "no-identity");
    repo.bus(&["session", "end"]).fails(2, "no-identity");
    repo.bus(&["session"]).exits(2);
    repo.by("a", &["session", "start", "--role", "king"]).fails(2, "usage");
    repo.by("a", &["session", "start", "--summary", ""]).fails(2, "usage");
    repo.by("a", &["session", "start", "--manifest", "../x"]).fails(2, "bad-id");
    for bad in ["../x", "a b", "s@1"] {
        let error = plain_start(&repo, "a").env("BUS_SESSION", bad).fails(2, "usage");
        assert!(error["message"].as_str().unwrap().starts_with("BUS_SESSION: "), "{error}");
    }
    repo.by("a", &["session", "start", "--focus", &"x".repeat(64 * 1024)]).fails(2, "usage");
    assert_eq!((repo.log_lines().len(), notes(&repo).len()), (0, 0), "nothing was begun");
    start(&repo, "a", &["--agent", "b"]).ok();
    assert_eq!(repo.read("AGENT_MANIFEST.json"), "{\n  \"agent_id\": \"b\"\n}\n");
    assert_eq!(repo.bus(&["session", "start", "--json"]).ok().json()["agent_id"], "b");
}

#[test]
fn a_manifest_that_names_somebody_else_is_left_alone() {
    let repo = Repo::new();
    let other = "{\"agent_id\": \"b\", \"capabilities\": [1.50]}";
    repo.write("AGENT_MANIFEST.json", other);
    let ran = start(&repo, "a", &[])
        .ok()
        .says("AGENT_MANIFEST.json names b and is left alone: keep `BUS_AGENT=a` set");
    assert_eq!(
        (ran.json()["manifest"].as_str(), repo.read("AGENT_MANIFEST.json").as_str()),
        (Some("another"), other)
    );
    repo.write("AGENT_MANIFEST.json", "{");
    let ran = start(&repo, "a", &[]).ok().says("`AGENT_MANIFEST.json` line 1");
    assert_eq!(
        (ran.json()["manifest"].as_str(), repo.read("AGENT_MANIFEST.json").as_str()),
        (Some("unreadable"), "{")
    );
    repo.bus(&["session", "start"]).fails(5, "malformed-record");
}

#[test]
fn a_manifest_that_git_would_commit_is_not_written() {
    let repo = Repo::new();
    repo.write(".gitignore", "");
    let ran = start(&repo, "a", &[]).ok().says("git does not ignore it: `bus init` adds the line");
    assert_eq!(ran.json()["manifest"], "not-ignored");
    assert!(!repo.path("AGENT_MANIFEST.json").exists());
    repo.bus(&["init"]).ok();
    assert_eq!(start(&repo, "a", &[]).ok().json()["manifest"], "written");
}

#[test]
fn a_manifest_is_swapped_in_byte_for_byte() {
    let repo = Repo::new();
    let spare = "{\"agent_id\": \"codex-2\",   \"capabilities\": [1.50]}\n";
    repo.write("AGENT_MANIFEST.json", "{\"agent_id\": \"codex-1\"}");
    repo.write("AGENT_MANIFEST.two.json", spare);
    repo.write("AGENT_MANIFEST.bad.json", "{\"agent_id\": \"../x\"}");
    let error = repo.bus(&["session", "start", "--manifest", "three"]).fails(4, "no-manifest");
    assert_eq!((&error["manifest"], &error["known"]), (&json!("three"), &json!(["bad", "two"])));
    assert_eq!(error["hint"], "name one of these: bad, two");
    repo.bus(&["session", "start", "--manifest", "bad"]).fails(5, "malformed-record");
    assert_eq!(
        repo.read("AGENT_MANIFEST.json"),
        "{\"agent_id\": \"codex-1\"}",
        "nothing was changed"
    );
    for name in ["two", "TWO"] {
        let answer = repo.bus(&["session", "start", "--manifest", name, "--json"]).ok().json();
        assert_eq!(
            (&answer["agent_id"], &answer["manifest"]),
            (&json!("codex-2"), &json!("stands"))
        );
        assert_eq!(
            (repo.read("AGENT_MANIFEST.json"), repo.read("AGENT_MANIFEST.two.json")),
            (spare.to_owned(), spare.to_owned())
        );
    }
    let ran =
        start(&repo, "a", &["--manifest", "two"]).ok().says("AGENT_MANIFEST.json names codex-2");
    assert_eq!(ran.json()["agent_id"], "a", "who is named comes first");
}

#[cfg(unix)]
#[test]
fn neither_manifest_nor_note_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let repo = Repo::new();
    let outside = repo.beside("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "{\"agent_id\": \"x\"}").unwrap();
    symlink(outside.join("file"), repo.path("AGENT_MANIFEST.json")).unwrap();
    assert_eq!(start(&repo, "a", &[]).ok().json()["manifest"], "unreadable");
    repo.write("AGENT_MANIFEST.two.json", "{\"agent_id\": \"a\"}");
    repo.bus(&["session", "start", "--manifest", "two"]).fails(5, "not-a-regular-file");
    fs::remove_file(repo.path("AGENT_MANIFEST.json")).unwrap();
    fs::remove_file(repo.path("AGENT_MANIFEST.two.json")).unwrap();
    symlink(outside.join("file"), repo.path("AGENT_MANIFEST.two.json")).unwrap();
    repo.bus(&["session", "start", "--manifest", "two"]).fails(5, "not-a-regular-file");
    fs::remove_dir_all(repo.path(".git/bus/sessions")).unwrap();
    symlink(&outside, repo.path(".git/bus/sessions")).unwrap();
    plain_start(&repo, "a").env("BUS_SESSION", "s-1").fails(5, "not-a-regular-file");
    fs::write(outside.join("a@s-1"), "mine").unwrap();
    end(&repo, "a").env("BUS_SESSION", "s-1").at(NEXT_DAY).ok();
    assert_eq!(fs::read_to_string(outside.join("a@s-1")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
}

#[test]
fn claims_and_events_name_the_session() {
    let repo = Repo::new();
    let by = |session: &str, words: &str| {
        repo.by("a", &words.split(' ').collect::<Vec<_>>()).env("BUS_SESSION", session).ok();
    };
    by("s-1", "claim T-1");
    by("s-1", "event log --event note --summary x");
    assert_eq!(repo.claim("T-1")["session_id"], "s-1");
    let state = repo.state();
    by("s-1", "claim T-1");
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.state(), state, "the same session, or none, changes nothing");
    by("s-2", "claim T-1");
    assert_eq!(
        (&repo.claim("T-1")["session_id"], &repo.claim("T-1")),
        (&json!("s-2"), &repo.tip("T-1"))
    );
    repo.by("a", &["release", "T-1"]).ok();
    let events = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    let named: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event["event"].as_str().unwrap(), event["session_id"].as_str().unwrap()))
        .collect();
    assert_eq!(named.len(), 4);
    for expected in [("claim", "s-1"), ("note", "s-1"), ("update", "s-2"), ("release", "s-2")] {
        assert!(named.contains(&expected), "{expected:?} in {named:?}");
    }
    repo.by("b", &["claim", "T-1", "--reopen"]).ok();
    assert_eq!(
        repo.claim("T-1").get("session_id"),
        None,
        "another agent's session is not this one's"
    );
    repo.bus(&["validate"]).ok();
}

#[test]
fn a_second_live_session_of_an_agent_is_warned_of() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    let first = start(&repo, "a", &[]).env("BUS_SESSION", "s-1").ok();
    assert_eq!(first.stderr.matches("another session").count(), 0);
    let again = start(&repo, "a", &[]).env("BUS_SESSION", "S-1").at(LATER).ok();
    assert_eq!(again.json()["other_sessions"], json!([]), "the same session begins again");
    let second = start(&repo, "A", &[]).within(&other).at(LATER).ok();
    let root = fs::canonicalize(repo.root()).unwrap();
    let expected = json!([{"session_id": "S-1", "worktree": root.to_str().unwrap(), "since": LATER, "last_seen": LATER}]);
    assert_eq!(second.json()["other_sessions"], expected);
    let second = second
        .says("a has another session, S-1, since 0 s ago in")
        .says("`BUS_SESSION=S-1 bus session end`");
    assert_eq!(start(&repo, "b", &[]).ok().json()["other_sessions"], json!([]));
    // It ends by its name, from anywhere; then nobody is warned.
    end(&repo, "a").env("BUS_SESSION", "s-1").at(LATER).within(&other).ok();
    let session = second.json()["session_id"].as_str().unwrap().to_owned();
    let third = start(&repo, "a", &[]).env("BUS_SESSION", &session).within(&other).at(LATER).ok();
    assert_eq!(third.json()["other_sessions"], json!([]));
}

#[test]
fn a_session_lives_while_its_commands_show_life_and_is_forgotten_after() {
    let repo = Repo::new();
    let others = |agent: &str, session: &str, now: &str| {
        let folder = repo.worktree(session);
        let ran = start(&repo, agent, &["--no-fetch"])
            .env("BUS_SESSION", session)
            .at(now)
            .within(&folder)
            .ok();
        ran.json()["other_sessions"].as_array().unwrap().len()
    };
    assert_eq!(others("a", "s-1", NOON), 0);
    // A command in the session is a heartbeat of it.
    repo.by("a", &["event", "log", "--event", "note", "--summary", "x"])
        .env("BUS_SESSION", "s-1")
        .at("2026-03-01T17:00:00Z")
        .ok();
    assert_eq!(others("a", "s-2", "2026-03-01T22:00:00Z"), 1, "five hours after its last sign");
    assert_eq!(
        others("a", "s-3", "2026-03-01T23:30:00Z"),
        1,
        "the first one is silent for six hours and a half"
    );
    assert_eq!(notes(&repo), ["a@s-2", "a@s-3"]);
    // A session that is not named in each command shows life by its agent's commands.
    assert_eq!(others("b", "s-4", NOON), 0);
    repo.by("b", &["status"]).at("2026-03-01T17:00:00Z").ok();
    assert_eq!(others("b", "s-5", "2026-03-01T18:01:00Z"), 1);
}

#[test]
fn sessions_that_are_over_are_forgotten_whoever_begins_and_rubbish_is_no_session() {
    let repo = Repo::new();
    start(&repo, "a", &[]).env("BUS_SESSION", "s-1").ok();
    repo.write(".git/bus/sessions/a@rubbish", "{");
    repo.write(".git/bus/sessions/a@s-9", repo.read(".git/bus/sessions/a@s-1"));
    repo.write(".git/bus/sessions/.a@s-1.tmp", "x");
    repo.write(".git/bus/sessions/no name", "x");
    let answer = start(&repo, "a", &[]).env("BUS_SESSION", "s-2").ok().json();
    assert_eq!(answer["other_sessions"].as_array().unwrap().len(), 1);
    let evil = r#"{"agent_id":"a","session_id":"s-3","since":"2026-03-01T12:00:00Z","worktree":"\u001b[2J\u202e"}"#;
    repo.write(".git/bus/sessions/a@s-3", evil);
    let ran = repo.by("a", &["session", "start"]).ok().says("\\u{1b}[2J");
    assert!(
        !ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{202e}'),
        "{}",
        ran.transcript
    );
    start(&repo, "z", &[]).env("BUS_SESSION", "s-7").at(NEXT_DAY).ok();
    let left = notes(&repo);
    assert!(!left.contains(&"a@s-1".to_owned()) && left.contains(&"z@s-7".to_owned()), "{left:?}");
}

#[test]
fn an_end_without_a_name_ends_what_was_begun_in_this_worktree() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    start(&repo, "a", &[]).env("BUS_SESSION", "s-1").ok();
    start(&repo, "a", &[]).env("BUS_SESSION", "s-2").at(LATER).ok();
    start(&repo, "a", &[]).env("BUS_SESSION", "s-3").within(&other).ok();
    start(&repo, "b", &[]).env("BUS_SESSION", "s-4").ok();
    let ended = end(&repo, "a").at(LATER).ok().json();
    assert_eq!((&ended["session_id"], &ended["outcome"]), (&json!("s-2"), &json!("ended")));
    assert_eq!(notes(&repo), ["a@s-3", "b@s-4"]);
    let ran = repo.by("a", &["session", "end", "--summary", "gone"]).at(LATER).ok();
    assert_eq!(ran.stdout, "a says that it stops; it had begun no session in this worktree\n");
    assert_eq!(handshakes(&repo).last().unwrap()[2], "gone", "what it says is not lost");
    let count = handshakes(&repo).len();
    for more in [&["--summary", "gone"][..], &[]] {
        let ran = repo.by("a", &[&["session", "end"], more].concat()).at(LATER).ok();
        assert_eq!(
            ran.stdout,
            "a has said that it stops, and has begun no session in this worktree; nothing to do\n"
        );
    }
    assert_eq!(handshakes(&repo).len(), count);
    repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).at(LATER).ok();
    assert_eq!(end(&repo, "a").at(NEXT_DAY).ok().json()["outcome"], "ended", "it has worked since");
}

#[test]
fn a_new_session_takes_the_place_of_old_ones_in_its_worktree() {
    let repo = Repo::new();
    let begin = |session: &str, now: &str| {
        let ran =
            repo.by("a", &["session", "start", "--no-fetch"]).env("BUS_SESSION", session).at(now);
        ran.ok().stderr
    };
    begin("s-1", NOON);
    let said = begin("s-2", "2026-03-01T12:10:00Z");
    assert!(said.contains("another session, s-1,") && !said.contains("takes the place"), "{said}");
    repo.by("a", &["status"]).env("BUS_SESSION", "s-2").at("2026-03-01T12:11:00Z").ok();
    let said = begin("s-3", "2026-03-01T12:21:00Z");
    assert!(
        said.contains("it takes the place of s-1, which") && said.contains("another session, s-2,"),
        "{said}"
    );
    assert_eq!(notes(&repo), ["a@s-2", "a@s-3"]);
    let said = begin("s-4", "2026-03-01T12:40:00Z");
    assert!(
        said.contains("it takes the place of 2 earlier sessions")
            && !said.contains("another session"),
        "{said}"
    );
    assert_eq!(notes(&repo), ["a@s-4"]);
    assert_eq!(
        begin("s-5", NEXT_DAY).matches("session").count(),
        0,
        "one that is long over is not worth a word"
    );
}

#[test]
fn of_many_sessions_in_other_worktrees_few_are_told() {
    let repo = Repo::new();
    for number in 0..5 {
        let folder = repo.worktree(&format!("wt-{number}"));
        for _ in 0..2 {
            start(&repo, "a", &["--no-fetch"]).within(&folder).ok();
        }
    }
    let ran = start(&repo, "a", &["--no-fetch"])
        .ok()
        .says("and others in 2 more worktrees; `bus session start --json`");
    assert_eq!(ran.stderr.matches("has another session").count(), 3, "{}", ran.transcript);
    assert_eq!(ran.json()["other_sessions"].as_array().unwrap().len(), 10);
}

#[test]
fn what_cannot_be_noted_is_not_begun() {
    let repo = Repo::new();
    repo.by("a", &["status"]).ok();
    repo.write(".git/bus/sessions", "x");
    for _ in 0..3 {
        plain_start(&repo, "a").fails(5, "not-a-regular-file");
    }
    assert_eq!((repo.log_lines().len(), repo.path("AGENT_MANIFEST.json").exists()), (0, false));
}

#[test]
fn the_end_lists_what_is_held_here_and_elsewhere() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["claim", "T-2", "--status", "paused"]).within(&other).ok();
    repo.by("a", &["claim", "T-3"]).ok();
    repo.by("a", &["release", "T-3"]).ok();
    repo.by("b", &["claim", "T-4"]).ok();
    let tasks = |list: &Value| {
        list.as_array().unwrap().iter().map(|claim| claim["task_id"].clone()).collect::<Vec<_>>()
    };
    let ended = end(&repo, "a").ok().json();
    assert_eq!(tasks(&ended["claims"]), [json!("T-1"), json!("T-2")]);
    assert_eq!(
        (&ended["claims"][0]["here"], &ended["claims"][1]["here"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(repo.tip("T-1")["status"], "active", "claims go on");
    let begun = start(&repo, "a", &[]).ok().json();
    assert_eq!(tasks(&begun["claims"]), [json!("T-1"), json!("T-2")]);
    assert_eq!(begun["claims"][1]["here"], json!(false));
    let text = repo.by("a", &["session", "start"]).ok().stdout;
    assert!(
        text.contains("T-2 paused, since 0 s ago, on agent/a/t-2 (in another worktree or clone)"),
        "{text}"
    );
}

#[test]
fn of_many_claims_people_see_the_last_ten_and_programs_all() {
    let repo = Repo::new();
    for number in 0..12 {
        let time = format!("2026-03-01T12:{number:02}:00Z");
        repo.by("codex-1", &["claim", &format!("T-{number}")]).at(&time).ok();
    }
    let text = plain_start(&repo, "codex-1").at(LATER).ok().stdout;
    assert!(
        text.contains("\n  T-11 active")
            && text.contains("\n  T-2 active")
            && !text.contains("  T-1 active"),
        "{text}"
    );
    assert!(
        text.contains("\n  and 2 more: `bus status --agent codex-1 --active-only`\n"),
        "{text}"
    );
    assert_eq!(
        start(&repo, "codex-1", &[]).at(LATER).ok().json()["claims"].as_array().unwrap().len(),
        12
    );
    let text = plain_start(&repo, "codex-2").at(LATER).ok().stdout;
    assert!(text.contains(", T-2, 2 more\n"), "{text}");
    let text = repo.by("codex-1", &["session", "end"]).at(LATER).ok().stdout;
    assert!(
        text.contains("\n  and 2 more: `bus status --agent codex-1 --active-only`\n"),
        "{text}"
    );
}

#[test]
fn what_is_written_in_any_worktree_is_seen_in_each_at_once() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("boss", &["assign", "T-1", "--engineer", "a"]).within(&other).ok();
    repo.by("boss", &["message", "send", "--to", "a", "--summary", "hello"]).within(&other).ok();
    repo.by("b", &["claim", "T-2"]).within(&other).ok();
    let seen = start(&repo, "a", &[]).ok().json();
    assert_eq!(
        (&seen["assignments"][0]["task_id"], &seen["messages"][0]["summary"]),
        (&json!("T-1"), &json!("hello"))
    );
    assert_eq!(seen["peers"][0]["tasks"][0]["task_id"], "T-2");
    assert_eq!(repo.by("a", &["inbox", "--json"]).ok().json()["unread"], 1);
}

#[test]
fn peers_are_active_then_idle_then_stale_and_then_gone_unless_they_hold_something() {
    let repo = Repo::new();
    repo.by("b", &["claim", "T-1"]).ok();
    repo.by("c", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    let peers = |now: &str| {
        let peers = start(&repo, "a", &["--no-fetch"]).at(now).ok().json()["peers"].clone();
        let state = |peer: &Value| {
            format!("{} {}", peer["agent_id"].as_str().unwrap(), peer["state"].as_str().unwrap())
        };
        peers.as_array().unwrap().iter().map(state).collect::<Vec<_>>()
    };
    assert_eq!(peers("2026-03-01T12:10:00Z"), ["b active", "c active"]);
    assert_eq!(peers("2026-03-01T12:10:01Z"), ["b idle", "c idle"]);
    assert_eq!(peers("2026-03-01T18:00:01Z"), ["b stale"]);
}

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    for (kept, below) in [
        (Kept::Untracked, record("")),
        (Kept::Tracked, "_bus/".to_owned()),
        (Kept::Older, "_bus/".to_owned()),
    ] {
        hides_nothing_else(&Repo::keeping(kept), &below);
    }
}

/// The records that count are below `below`.
fn hides_nothing_else(repo: &Repo, below: &str) {
    repo.by("b", &["claim", "T-1"]).ok();
    repo.write(&format!("{below}claims/T-8.json"), "{");
    repo.write(&format!("{below}assignments/T-9.json"), "{");
    repo.write(&format!("{below}messages/agent-a.jsonl"), "{\n");
    let ran = start(repo, "a", &[]).ok().says("`T-8`").says("`T-9`");
    assert_eq!(ran.json()["peers"][0]["agent_id"], "b");
    let unreadable = ran.json()["unreadable"].clone();
    assert_eq!(
        (&unreadable[0]["task_id"], &unreadable[1]["code"]),
        (&json!("T-8"), &json!("malformed-record"))
    );
}

#[test]
fn a_fetch_brings_the_remotes_branches_and_touches_nothing_else() {
    let (repo, other) = with_origin();
    push_one(&repo, &other);
    repo.git_in(&other, &["tag", "v1"]);
    repo.git_in(&other, &["push", "--quiet", "--tags"]);
    repo.write(".git/hooks/reference-transaction", "#!/bin/sh\ntouch hook-ran\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(
            repo.path(".git/hooks/reference-transaction"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }
    let head = repo.git(&["rev-parse", "HEAD"]);
    let old = start(&repo, "a", &["--no-fetch"]).ok().json();
    assert_eq!(
        (&old["fetch"]["outcome"], &old["branch"]["upstream"]["behind"]),
        (&json!("off"), &json!(0))
    );
    let ran = start(&repo, "a", &[]).ok();
    assert_eq!(
        ran.json()["fetch"],
        json!({"outcome": "fetched", "remote": "origin", "message": null})
    );
    assert_eq!(
        ran.json()["branch"]["upstream"],
        json!({"name": "origin/main", "ahead": 0, "behind": 1, "exact": true})
    );
    assert_eq!(repo.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(repo.git(&["tag"]), "");
    assert!(!repo.path(".git/FETCH_HEAD").exists() && !repo.path("hook-ran").exists());
    repo.git(&["switch", "--quiet", "--create", "topic"]);
    for _ in 0..3 {
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", "mine"]);
    }
    let text = repo.by("a", &["session", "start"]).ok().stdout;
    assert!(text.starts_with("a on topic, 1 commit behind and 3 ahead of origin/main\n"), "{text}");
    repo.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    let text = repo.by("a", &["session", "start"]).ok().stdout;
    assert!(text.starts_with("a on no branch, level with origin/main\n"), "{text}");
}

#[test]
fn a_remote_that_refuses_is_a_warning() {
    let (repo, _) = with_origin();
    fs::remove_dir_all(repo.beside("origin.git")).unwrap();
    let ran = start(&repo, "a", &[]).ok().says("warning: origin could not be fetched: ");
    assert_eq!(ran.json()["fetch"]["outcome"], "failed");
    assert_eq!(handshakes(&repo).len(), 1);
    assert_eq!(start(&repo, "a", &["--no-fetch"]).ok().json()["fetch"]["outcome"], "off");
}

#[test]
fn a_fetch_that_would_write_branches_is_not_made() {
    let (repo, other) = with_origin();
    push_one(&repo, &other);
    let before = repo.git(&["for-each-ref"]);
    repo.git(&["config", "remote.origin.fetch", "+refs/*:refs/*"]);
    let ran = start(&repo, "a", &[])
        .ok()
        .says("`+refs/*:refs/*` would write elsewhere than to remote-tracking branches");
    assert_eq!(
        ran.json()["fetch"],
        json!({"outcome": "unsafe", "remote": "origin", "message": "+refs/*:refs/*"})
    );
    assert_eq!(repo.git(&["for-each-ref"]), before);
    repo.git(&["remote", "rename", "origin", "one"]);
    repo.git(&["remote", "add", "two", "/nowhere"]);
    repo.git(&["config", "--unset", "branch.main.remote"]);
    let ran = start(&repo, "a", &[]).ok().says("there are several remotes");
    assert_eq!(ran.json()["fetch"]["outcome"], "no-default");
}

#[test]
fn a_fetch_from_a_group_of_remotes_is_not_made() {
    let (repo, other) = with_origin();
    push_one(&repo, &other);
    repo.git(&["remote", "add", "evil", repo.beside("origin.git").to_str().unwrap()]);
    repo.git(&["config", "remote.evil.fetch", "+refs/heads/*:refs/heads/stolen/*"]);
    repo.git(&["config", "remotes.origin", "evil origin"]);
    let before = repo.git(&["for-each-ref"]);
    let ran = start(&repo, "a", &[])
        .ok()
        .says("makes it a group (evil origin); `git config --unset-all remotes.origin`");
    let expected =
        json!({"outcome": "unsafe", "remote": "origin", "message": "remotes.origin = evil origin"});
    assert_eq!((&ran.json()["fetch"], repo.git(&["for-each-ref"])), (&expected, before));
}

/// Puts a script beside the repository, and returns its path.
#[cfg(unix)]
fn program(repo: &Repo, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = repo.beside(name);
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A server that wants a password for everything.
#[cfg(unix)]
fn closed_server() -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let refusal = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(refusal.as_bytes());
        }
    });
    format!("http://{address}/x.git")
}

#[cfg(unix)]
#[test]
fn nobody_is_asked_for_a_password() {
    let (repo, _) = with_origin();
    let asks = program(&repo, "ask", "touch \"$0.ran\"\necho secret\n");
    repo.git(&["config", "core.askPass", &asks]);
    repo.git(&["remote", "set-url", "origin", &closed_server()]);
    let begin = || {
        start(&repo, "a", &[])
            .env("GIT_ASKPASS", &asks)
            .env("SSH_ASKPASS", &asks)
            .env("DISPLAY", ":0")
    };
    let fetch = begin().ok().says("warning: origin could not be fetched: ").json()["fetch"].clone();
    assert_eq!(fetch["outcome"], "failed", "{fetch}");
    assert!(fetch["message"].as_str().unwrap().starts_with("could not read Username"), "{fetch}");
    assert!(!repo.beside("ask.ran").exists());
}

#[cfg(unix)]
#[test]
fn ssh_asks_nobody_either_unless_the_user_has_a_command_of_their_own() {
    let (repo, _) = with_origin();
    repo.git(&["remote", "set-url", "origin", "ssh://nowhere.invalid/x"]);
    let log = "echo \"$(basename \"$0\") $SSH_ASKPASS_REQUIRE $1\" >> \"$(dirname \"$0\")/ran\"\nexit 1\n";
    let (ssh, own) = (program(&repo, "ssh", log), program(&repo, "own", log));
    let path = format!("{}:{}", repo.beside("").display(), std::env::var("PATH").unwrap());
    let ran = |variable: &str, value: &str| {
        start(&repo, "a", &[]).env("PATH", &path).env(variable, value).ok();
        let ran = fs::read_to_string(repo.beside("ran")).unwrap();
        fs::remove_file(repo.beside("ran")).unwrap();
        ran.lines().next_back().unwrap().to_owned()
    };
    assert_eq!(ran("SSH_ASKPASS", &ssh), "ssh never -oBatchMode=yes");
    for variable in ["GIT_SSH", "GIT_SSH_COMMAND"] {
        let last = ran(variable, &own);
        assert!(last.starts_with("own never ") && !last.contains("Batch"), "{last}");
    }
    repo.git(&["config", "core.sshCommand", &own]);
    let last = ran("SSH_ASKPASS", &ssh);
    assert!(last.starts_with("own never ") && !last.contains("Batch"), "{last}");
}

#[test]
fn the_distance_to_a_branch_is_what_git_counts() {
    let (repo, _) = with_origin();
    let commit = |branch: &str, count: usize| {
        repo.git(&["switch", "--quiet", branch]);
        for _ in 0..count {
            repo.git(&["commit", "--quiet", "--allow-empty", "--message", branch]);
        }
    };
    for branch in ["one", "two"] {
        repo.git(&["branch", branch, "main"]);
    }
    commit("one", 3);
    commit("two", 2);
    repo.git(&["merge", "--quiet", "-m", "merge", "one"]);
    commit("one", 1);
    repo.git(&["merge", "--quiet", "-m", "merge", "two"]);
    commit("main", 4);
    repo.git(&["merge", "--quiet", "-m", "merge", "one~2"]);
    for branch in ["one", "two", "main"] {
        for other in ["one", "two", "main", "origin/main"] {
            repo.git(&["switch", "--quiet", branch]);
            repo.git(&["update-ref", "refs/remotes/origin/main", other]);
            let text = repo.git(&[
                "rev-list",
                "--count",
                "--left-right",
                &format!("{branch}...origin/main"),
            ]);
            let counts: Vec<u64> =
                text.split_whitespace().map(|count| count.parse().unwrap()).collect();
            let branch_state = start(&repo, "a", &["--no-fetch"]).ok().json()["branch"].clone();
            let apart =
                if branch == "main" { &branch_state["upstream"] } else { &branch_state["default"] };
            assert_eq!(
                (&apart["ahead"], &apart["behind"]),
                (&json!(counts[0]), &json!(counts[1])),
                "{branch} {other}"
            );
        }
    }
}

#[test]
fn a_shallow_clone_says_at_least() {
    let (repo, other) = with_origin();
    push_one(&repo, &other);
    let shallow = repo.beside("shallow");
    let url = format!("file://{}", repo.beside("origin.git").display());
    repo.git(&["clone", "--quiet", "--depth=1", &url, shallow.to_str().unwrap()]);
    push_one(&repo, &other);
    push_one(&repo, &other);
    let answer = start(&repo, "a", &[]).within(&shallow).ok().json();
    let expected = json!({"name": "origin/main", "ahead": 0, "behind": 2, "exact": false});
    assert_eq!(answer["branch"]["upstream"], expected);
}

#[cfg(debug_assertions)]
#[test]
fn a_session_that_died_is_begun_or_ended_by_the_same_command() {
    for step in ["file-written-aside", "line-appended", "handshake-written"] {
        let repo = Repo::new();
        let died = start(&repo, "a", &[]).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
        let again = start(&repo, "a", &[]).ok();
        assert_eq!(
            again.json()["other_sessions"],
            json!([]),
            "{step}: what never began is not warned of"
        );
        assert_eq!((notes(&repo).len(), repo.read("AGENT_MANIFEST.json").len()), (1, 22), "{step}");
        repo.bus(&["doctor"]).ok();
    }
    for step in ["line-appended", "wrap-up-written"] {
        let repo = Repo::new();
        start(&repo, "a", &[]).ok();
        let died = end(&repo, "a").env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
        let again = end(&repo, "a").ok().json();
        assert_eq!(
            (&again["outcome"], handshakes(&repo).len()),
            (&json!("unchanged"), 2),
            "{step}"
        );
        assert_eq!(notes(&repo), [""; 0], "{step}");
    }
}

#[test]
fn a_session_that_was_ended_may_begin_again() {
    let repo = Repo::new();
    for round in 1..3 {
        start(&repo, "a", &[]).env("BUS_SESSION", "s-1").ok();
        assert_eq!(end(&repo, "a").env("BUS_SESSION", "s-1").ok().json()["outcome"], "ended");
        assert_eq!(end(&repo, "a").env("BUS_SESSION", "s-1").ok().json()["outcome"], "unchanged");
        assert_eq!(handshakes(&repo).len(), 2 * round);
    }
}

#[test]
fn agents_that_begin_at_once_all_begin_and_each_but_the_first_is_warned() {
    let repo = Repo::new();
    let children: Vec<_> = (0..8)
        .map(|number| start(&repo, "a", &[]).env("BUS_SESSION", &format!("s-{number}")).start())
        .collect();
    let ran: Vec<_> = children.into_iter().map(super::harness::Ran::of).collect();
    let mut others: Vec<usize> =
        ran.iter().map(|ran| ran.json()["other_sessions"].as_array().unwrap().len()).collect();
    others.sort_unstable();
    assert_eq!(others, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((notes(&repo).len(), handshakes(&repo).len()), (8, 8));
}
