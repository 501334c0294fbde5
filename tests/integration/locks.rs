//! Who holds which paths, through the binary.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Kept, NOON, Ran, Repo};

/// The record's table of leases.
const TABLE: &str = ".git/bus/log/locks.json";

/// Takes a lease as `agent`; returns its id.
pub(crate) fn acquire(repo: &Repo, agent: &str, patterns: &[&str]) -> String {
    let command = [&["lock", "acquire"], patterns, &["--objective", "x", "--json"]].concat();
    id(&repo.by(agent, &command).ok())
}

fn id(ran: &Ran) -> String {
    ran.json()["lease"]["lock_id"].as_str().unwrap().to_owned()
}

/// The live leases.
pub(crate) fn live(repo: &Repo) -> Vec<Value> {
    repo.bus(&["lock", "list", "--json"]).ok().json()["leases"].as_array().unwrap().clone()
}

/// What became of leases, oldest first.
pub(crate) fn subjects(repo: &Repo) -> Vec<String> {
    let text = repo.git(&["log", "--reverse", "--format=%s", "refs/bus/locks"]);
    text.lines().map(str::to_owned).collect()
}

/// The kinds of events in the log, oldest first.
pub(crate) fn kinds(repo: &Repo) -> Vec<String> {
    let ran = repo.bus(&["event", "list", "--json"]).ok();
    ran.ndjson().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

/// The table that the record has, which must be the ref's.
pub(crate) fn noted(repo: &Repo) -> Value {
    let text = repo.read(TABLE);
    let body = repo.git(&["log", "-1", "--format=%b", "refs/bus/locks"]);
    assert_eq!(text.trim_end(), body.trim_end(), "the record follows the ref");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_lease_is_the_same_in_ref_record_and_log_and_in_no_file_of_a_branch() {
    Kept::ALL.into_iter().for_each(is_the_same);
}

fn is_the_same(kept: Kept) {
    let repo = Repo::keeping(kept);
    let ran = repo.by(
        "a",
        &[
            "lock",
            "acquire",
            "/src/**",
            "*.toml",
            "--deny",
            "src/gen/",
            "--objective",
            "the lexer",
            "--json",
        ],
    );
    let ran = ran.ok();
    let (id, lease) = (id(&ran), ran.json()["lease"].clone());
    assert_eq!((id.len(), &id[..2], &ran.json()["outcome"]), (9, "L-", &json!("acquired")));
    assert_eq!(
        (&lease["scope"], &lease["deny"]),
        (&json!(["src/**", "*.toml"]), &json!(["src/gen/"]))
    );
    assert_eq!(
        (&lease["mode"], &lease["revision"], &lease["owner"]),
        (&json!("exclusive"), &json!(1), &json!("a"))
    );
    assert_eq!(
        (&lease["start_time"], &lease["expires_at"]),
        (&json!(NOON), &json!("2026-03-01T12:50:00Z")),
        "50 minutes"
    );
    assert_eq!(lease["base"], repo.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(subjects(&repo), [format!("acquire {id} by a")]);
    assert_eq!(noted(&repo), json!({"changed": [lease], "leases": [lease], "revision": 1}));
    let events = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    assert_eq!((&events[0]["event"], &events[0]["lock_id"]), (&json!("lock"), &json!(id)));
    assert_eq!(events[0]["summary"], "locked src/** *.toml !src/gen/: the lexer");
    repo.git(&["fsck", "--strict"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    repo.by("a", &["lock", "release"]).ok();
    assert_eq!((&noted(&repo)["changed"][0]["released_at"], live(&repo).len()), (&json!(NOON), 0));
    assert!(!repo.path("_bus/locks").exists(), "{kept:?}");
    assert_eq!(
        (kinds(&repo), subjects(&repo)[1].clone()),
        (vec!["lock".to_owned(), "unlock".to_owned()], format!("release {id} by a"))
    );
}

#[test]
fn who_asks_for_a_path_that_is_held_learns_which_lease_whose_and_what_to_do() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**"]);
    let before = repo.state();
    let error = repo
        .by("b", &["lock", "acquire", "docs/", "src/app.py", "--objective", "y"])
        .fails(3, "lock-held");
    assert_eq!(repo.state(), before, "all or nothing");
    assert_eq!(
        (&error["lock_id"], &error["owner"], &error["path"]),
        (&json!(id), &json!("a"), &json!("src/app.py"))
    );
    assert_eq!(error["conflicts"].as_array().unwrap().len(), 1);
    let ran = repo.by("b", &["lock", "acquire", "src/app.py", "--objective", "y"]).exits(3);
    ran.says(&format!("`src/app.py` is in `{id}`: a holds `src/**`"))
        .says("`bus message send --to a ");
    // What is left out is free, whether or not there is such a file.
    acquire(&repo, "b", &["**", "--deny", "src/**"]);
    acquire(&repo, "a", &["src/**", "--deny", "src/gen/**"]);
    assert_eq!(live(&repo).len(), 3, "one's own are in nobody's way");
}

#[test]
fn a_shared_lease_lets_others_share() {
    let repo = Repo::new();
    acquire(&repo, "a", &["docs/", "--shared"]);
    acquire(&repo, "b", &["docs/*.md", "--shared"]);
    let error =
        repo.by("c", &["lock", "acquire", "docs/x.md", "--objective", "y"]).fails(3, "lock-held");
    assert_eq!(error["conflicts"].as_array().unwrap().len(), 2);
    acquire(&repo, "c", &["src/"]);
    repo.by("a", &["lock", "acquire", "src/x", "--shared", "--objective", "y"])
        .fails(3, "lock-held");
}

#[test]
fn the_same_name_in_two_worktrees_is_two_workers() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    let id = acquire(&repo, "a", &["src/**"]);
    let error = repo
        .by("a", &["lock", "acquire", "src/x", "--objective", "y"])
        .within(&other)
        .fails(3, "lock-held");
    assert_eq!(error["owner"], "a");
    let error = repo.by("a", &["lock", "release", &id]).within(&other).fails(3, "lock-held");
    assert!(error["message"].as_str().unwrap().contains("in another worktree or clone"), "{error}");
    repo.by("a", &["lock", "renew"]).within(&other).fails(4, "no-lock");
    let shown = repo.bus(&["lock", "show", &id, "--json"]).within(&other).ok().json();
    assert_eq!(
        (&shown["lease"]["here"], &shown["lease"]["state"]),
        (&json!(false), &json!("live"))
    );
    assert!(!other.join("_bus/locks").exists());
}

#[test]
fn taking_the_same_again_finds_it_taken_and_renews_it_when_that_is_due() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**", "docs/"]);
    let before = repo.state();
    let again =
        ["lock", "acquire", "docs/", "src/**", "docs/", "--objective", "other words", "--json"];
    let ran = repo.by("a", &again).ok().says("it keeps its objective: x");
    assert_eq!(
        (&ran.json()["outcome"], &ran.json()["lease"]["lock_id"]),
        (&json!("unchanged"), &json!(id))
    );
    assert_eq!(repo.state(), before);
    let ran = repo.by("a", &again).at("2026-03-01T12:20:00Z").ok();
    assert_eq!(
        (&ran.json()["outcome"], &ran.json()["lease"]["expires_at"]),
        (&json!("renewed"), &json!("2026-03-01T13:10:00Z"))
    );
    let ran = repo
        .by(
            "a",
            &["lock", "acquire", "docs/", "src/**", "--ttl", "2h", "--objective", "x", "--json"],
        )
        .ok();
    assert_eq!(
        (&ran.json()["outcome"], &ran.json()["lease"]["expires_at"]),
        (&json!("renewed"), &json!("2026-03-01T14:00:00Z"))
    );
    assert_eq!((live(&repo).len(), kinds(&repo)), (1, vec!["lock".to_owned()]));
    assert_eq!(noted(&repo)["leases"][0]["revision"], 3, "the record follows a renewal");
    for other in [&["--shared"][..], &["--task", "T-1"], &["--deny", "docs/x"]] {
        repo.by(
            "a",
            &[&["lock", "acquire", "docs/", "src/**", "--objective", "x"], other].concat(),
        )
        .ok();
    }
    assert_eq!(live(&repo).len(), 4);
}

#[test]
fn one_two_and_all_leases_are_renewed_and_given_back() {
    let repo = Repo::new();
    for command in ["renew", "release"] {
        repo.by("a", &["lock", command]).fails(4, "no-lock");
        repo.by("a", &["lock", command, "--all"]).fails(4, "no-lock");
        repo.by("a", &["lock", command, "L-nothere"]).fails(4, "no-lock");
    }
    let first = acquire(&repo, "a", &["a"]);
    let ran = repo.by("a", &["lock", "renew", "--json"]).at("2026-03-01T12:30:00Z").ok();
    let renewed = &ran.json()["leases"][0];
    assert_eq!(
        (&renewed["outcome"], &renewed["lease"]["expires_at"]),
        (&json!("renewed"), &json!("2026-03-01T13:20:00Z"))
    );
    assert_eq!(
        (&renewed["lease"]["revision"], &renewed["lease"]["start_time"]),
        (&json!(2), &json!(NOON))
    );
    acquire(&repo, "a", &["b"]);
    let error = repo.by("a", &["lock", "release"]).fails(2, "usage");
    assert_eq!(error["locks"].as_array().unwrap().len(), 2);
    let error = repo.by("b", &["lock", "release", &first]).fails(3, "lock-held");
    assert_eq!((&error["owner"], &error["lock_id"]), (&json!("a"), &json!(first)));
    repo.by("a", &["lock", "renew", &first.to_lowercase()]).ok();
    let ran = repo.by("a", &["lock", "release", "--all", "--json"]).ok();
    assert_eq!(ran.json()["leases"].as_array().unwrap().len(), 2);
    assert!(repo.by("a", &["lock", "release", &first]).ok().stdout.contains("already released"));
    repo.by("b", &["lock", "release", &first]).fails(4, "no-lock");
    repo.by("a", &["lock", "renew", &first]).fails(4, "no-lock");
    assert_eq!(kinds(&repo), ["lock", "lock", "unlock", "unlock"]);
}

#[test]
fn what_has_expired_still_holds_its_paths_but_may_be_taken_over_and_its_owner_is_told() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**"]);
    let note = ["lock", "reclaim", &id, "--note", "a crashed"];
    let error = repo.by("b", &note).fails(3, "lock-alive");
    assert_eq!(
        (&error["owner"], &error["expires_at"]),
        (&json!("a"), &json!("2026-03-01T12:50:00Z"))
    );
    let late = "2026-03-01T12:50:01Z";
    let error = repo
        .by("b", &["lock", "acquire", "src/x", "--objective", "y"])
        .at(late)
        .fails(3, "lock-held");
    assert_eq!(error["reclaimable"], "expired");
    assert!(
        error["hint"].as_str().unwrap().contains(&format!("bus lock reclaim {id} --note WHY")),
        "{error}"
    );
    let ran = repo.by("b", &[&note[..], &["--json"]].concat()).at(late).ok();
    let taken = ran.json()["lease"].clone();
    assert_eq!(
        (&taken["owner"], &taken["scope"], &taken["revision"]),
        (&json!("b"), &json!(["src/**"]), &json!(1))
    );
    assert_eq!(
        (&ran.json()["previous"]["released_by"], &ran.json()["previous"]["release_note"]),
        (&json!("b"), &json!("a crashed"))
    );
    assert_eq!(noted(&repo)["changed"][0]["released_by"], "b");
    for command in ["renew", "release"] {
        let error = repo.by("a", &["lock", command, &id]).at(late).fails(8, "lock-lost");
        assert_eq!((&error["lost_to"], &error["note"]), (&json!("b"), &json!("a crashed")));
    }
    repo.by("c", &["lock", "release", &id]).at(late).fails(4, "no-lock");
    repo.by("c", &note).at(late).fails(4, "no-lock");
    assert_eq!(kinds(&repo), ["lock", "unlock", "lock"]);
    repo.by(
        "c",
        &["lock", "reclaim", taken["lock_id"].as_str().unwrap(), "--note", "x", "--force"],
    )
    .at(late)
    .ok();
}

#[test]
fn a_sign_of_life_keeps_a_lease_from_being_stale_but_not_from_expiring() {
    let repo = Repo::new();
    acquire(&repo, "a", &["src/**", "--ttl", "2d"]);
    let state = |now: &str| {
        repo.bus(&["lock", "list", "--json"]).at(now).ok().json()["leases"][0]["state"].clone()
    };
    assert_eq!(
        (state("2026-03-01T18:00:00Z"), state("2026-03-01T18:00:01Z")),
        (json!("live"), json!("stale"))
    );
    repo.by("a", &["inbox"]).at("2026-03-01T17:00:00Z").ok();
    assert_eq!(
        (state("2026-03-01T22:00:00Z"), state("2026-03-03T12:00:01Z")),
        (json!("live"), json!("expired"))
    );
}

#[test]
fn who_takes_over_a_lease_gets_all_that_its_holder_has_of_these_paths() {
    let repo = Repo::new();
    let wide = acquire(&repo, "a", &["src/**"]);
    let narrow = acquire(&repo, "a", &["src/tui/*"]);
    let apart = acquire(&repo, "a", &["docs/"]);
    let late = "2026-03-01T13:00:00Z";
    repo.by("b", &["lock", "reclaim", &narrow, "--note", "gone"]).at(late).ok();
    let left: Vec<Value> = live(&repo).iter().map(|lease| lease["lock_id"].clone()).collect();
    assert_eq!((left.len(), &left[0]), (2, &json!(apart)));
    repo.by("a", &["lock", "renew", &wide]).at(late).fails(8, "lock-lost");
    acquire(&repo, "c", &["src/*"]);
}

#[test]
fn letter_case_makes_one_path_of_two_where_git_says_so() {
    for (ignores, status) in [("true", 3), ("false", 0)] {
        let repo = Repo::new();
        repo.git(&["config", "core.ignorecase", ignores]);
        acquire(&repo, "a", &["Src/App.rs"]);
        repo.by("b", &["lock", "acquire", "src/**", "--objective", "y"]).exits(status);
    }
}

#[test]
fn what_is_no_lease_is_refused_and_nothing_is_written() {
    let repo = Repo::new();
    let before = repo.state();
    for bad in ["[", "../x", "", "a**", "{a", ".git/config"] {
        repo.by("a", &["lock", "acquire", "src/**", bad, "--objective", "x"]).fails(2, "usage");
    }
    repo.by("a", &["lock", "acquire", "src/", "--deny", "src/**", "--objective", "x"])
        .fails(2, "usage");
    repo.by("a", &["lock", "acquire", "src/", "--objective", " "]).fails(2, "usage");
    repo.by("a", &["lock", "acquire", "src/"]).fails(2, "usage");
    repo.by("a", &["lock", "acquire", "src/", "--objective", "x", "--ttl", "0s"]).fails(2, "usage");
    repo.bus(&["lock", "acquire", "src/", "--objective", "x"]).fails(2, "no-identity");
    repo.by("a", &["lock", "show", "L-1"]).fails(4, "no-lock");
    assert_eq!(repo.state(), before);
}

#[test]
fn leases_are_listed_and_shown_with_their_time_left_and_those_that_ended_on_request() {
    let repo = Repo::new();
    let first = acquire(&repo, "a", &["src/**"]);
    let second = acquire(&repo, "b", &["docs/", "--task", "T-1"]);
    repo.by("b", &["lock", "release"]).ok();
    let third = acquire(&repo, "b", &["docs/*", "--task", "T-1"]);
    let list = repo.bus(&["lock", "list"]).ok().stdout;
    assert!(list.contains(&format!("{first}  live   a      50 min  -     src/**")), "{list}");
    let json = repo.bus(&["lock", "list", "--task", "t-1", "--all", "--json"]).ok().json();
    assert_eq!(
        (&json["leases"][0]["lock_id"], &json["ended"][0]["lock_id"]),
        (&json!(third), &json!(second))
    );
    assert_eq!(
        (&json["leases"][0]["seconds_left"], json["ended"].as_array().unwrap().len()),
        (&json!(3000), 1)
    );
    let mine = repo.bus(&["lock", "list", "--agent", "a", "--all", "--json"]).ok().json();
    assert_eq!(
        (mine["leases"].as_array().unwrap().len(), mine["ended"].as_array().unwrap().len()),
        (1, 0)
    );
    assert!(repo.bus(&["lock", "show", &second]).ok().stdout.contains("was b's: docs/; ended at"));
    let page = repo.bus(&["lock", "show", &first]).ok().stdout;
    assert!(page.contains("time left  50 min (2026-03-01T12:50:00Z)"), "{page}");
}

#[test]
fn the_table_of_a_worklog_is_kept_between_two_lines_and_nothing_else_is_touched() {
    let repo = Repo::new();
    repo.write("docs/log.md", "# Log\n\n<!-- bus:locks -->\n<!-- /bus:locks -->\n\nend\n");
    repo.by("a", &["lock", "acquire", "src/*", "--objective", "a | <b> @c", "--json"]).ok();
    let table = repo.bus(&["lock", "table"]).ok().stdout;
    assert!(
        table.starts_with(
            "| lock_id | owner | scope | objective | start | heartbeat | expires |\n| --- |"
        ),
        "{table}"
    );
    assert!(
        table.contains("| a | src/\\* | a \\| &lt;b&gt; @&#8203;c | 2026-03-01T12:00:00Z |"),
        "{table}"
    );
    repo.bus(&["lock", "table", "--write", "docs/log.md"]).ok();
    assert_eq!(
        repo.read("docs/log.md"),
        format!("# Log\n\n<!-- bus:locks -->\n\n{table}\n<!-- /bus:locks -->\n\nend\n")
    );
    assert!(
        repo.bus(&["lock", "table", "--write", "docs/log.md"]).ok().stdout.contains("up to date")
    );
    repo.write("plain.md", "# Log\n");
    repo.write("../outside.md", "<!-- bus:locks -->\n<!-- /bus:locks -->\n");
    let before = repo.state();
    for file in ["plain.md", "missing.md", "missing/log.md", "../outside.md"] {
        let error = repo.bus(&["lock", "table", "--write", file]).fails(4, "no-part");
        assert!(error["hint"].as_str().unwrap().contains("<!-- /bus:locks -->"), "{error}");
    }
    assert_eq!(repo.state(), before);
}

#[test]
fn without_a_ref_the_record_decides_and_the_first_write_makes_it_anew() {
    for kept in Kept::ALL {
        for packed in [false, true] {
            let repo = Repo::keeping(kept);
            let id = acquire(&repo, "a", &["src/**"]);
            let gone = acquire(&repo, "a", &["docs/"]);
            repo.by("a", &["lock", "release", &gone]).ok();
            packed.then(|| repo.git(&["pack-refs", "--all"]));
            repo.git(&["update-ref", "-d", "refs/bus/locks"]);
            assert_eq!(live(&repo).len(), 1);
            repo.by("b", &["lock", "acquire", "src/x", "--objective", "y"]).fails(3, "lock-held");
            repo.by("b", &["lock", "release", &id]).fails(3, "lock-held");
            repo.by("b", &["lock", "reclaim", &id, "--note", "x"]).fails(3, "lock-alive");
            acquire(&repo, "b", &["docs/"]);
            assert_eq!(subjects(&repo)[0], "import by b", "{kept:?}");
            repo.by("a", &["lock", "renew", &id]).ok();
            assert_eq!(noted(&repo)["leases"].as_array().unwrap().len(), 2);
            repo.git(&["update-ref", "-d", "refs/bus/locks"]);
            // The owner goes on, too.
            repo.by("a", &["lock", "release", &id]).ok();
            assert_eq!(live(&repo).len(), 1);
            repo.git(&["update-ref", "-d", "refs/bus/locks"]);
            repo.write(TABLE, "{");
            repo.by("c", &["lock", "acquire", "other", "--objective", "y"])
                .fails(5, "malformed-record");
        }
    }
}

#[test]
fn a_ref_that_cannot_be_read_is_kept_aside_and_the_files_decide() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**"]);
    let ended = acquire(&repo, "a", &["docs/"]);
    repo.git(&["pack-refs", "--all"]);
    repo.by("a", &["lock", "release", &ended]).ok();
    repo.write(".git/refs/bus/locks", "");
    assert_eq!(live(&repo).len(), 1);
    acquire(&repo, "b", &["docs/"]);
    repo.by("b", &["lock", "acquire", "src/x", "--objective", "y"]).fails(3, "lock-held");
    assert_eq!(fs::read_dir(repo.path(".git/bus/broken")).unwrap().count(), 1);
    repo.by("a", &["lock", "release", &id]).ok();
}

#[test]
fn what_another_tool_wrote_into_the_table_is_kept() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**"]);
    let body = repo.git(&["log", "-1", "--format=%B", "refs/bus/locks"]);
    let body = body
        .replace("\"revision\": 1", "\"zone\": {\"x\": 1.50}, \"revision\": 1")
        .replace("\"mode\":", "\"colour\":1.50,\n  \"mode\":");
    let tree = repo.git(&["log", "-1", "--format=%T", "refs/bus/locks"]);
    let commit = repo.git(&["commit-tree", "-m", body.trim_end(), tree.trim()]);
    repo.git(&["update-ref", "refs/bus/locks", commit.trim()]);
    acquire(&repo, "b", &["docs/"]);
    repo.by("a", &["lock", "renew", &id]).ok();
    let text = repo.git(&["log", "-1", "--format=%b", "refs/bus/locks"]);
    assert!(text.contains("\"colour\":1.50,") && text.contains("\"zone\": {\"x\":1.50}"), "{text}");
}

#[test]
fn a_bus_with_live_leases_is_not_taken_out() {
    let repo = Repo::new();
    let id = acquire(&repo, "a", &["src/**"]);
    repo.bus(&["deinit"]).exits(3).says(&id);
    repo.by("a", &["lock", "release"]).ok();
    assert!(repo.bus(&["deinit", "--json"]).ok().stdout.contains("refs/bus/locks"));
}

#[test]
fn a_table_of_the_record_that_is_behind_missing_or_edited_is_found_and_repaired() {
    let repo = Repo::new();
    let findings = || {
        let ran = repo.bus(&["doctor", "--json"]).run();
        let names = ran.json()["findings"].as_array().unwrap().clone();
        names.iter().map(|finding| finding["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let id = acquire(&repo, "a", &["src/**"]);
    let first = repo.read(TABLE);
    acquire(&repo, "a", &["docs/"]);
    let second = repo.read(TABLE);
    assert!(findings().is_empty(), "{:?}", findings());
    fs::remove_file(repo.path(TABLE)).unwrap();
    for wrong in [
        None,
        Some(first.clone()),
        Some(second.replace("src/**", "lib/**")),
        Some("<<<<<<< HEAD\n".to_owned()),
    ] {
        wrong.iter().for_each(|wrong| repo.write(TABLE, wrong));
        assert_eq!(findings(), ["unsettled-lease"], "{wrong:?}");
        repo.bus(&["doctor", "--fix"]).exits(0);
        assert_eq!(repo.read(TABLE), second, "{wrong:?}");
    }
    assert_eq!(kinds(&repo), ["lock", "lock"]);
    repo.git(&["update-ref", "-d", "refs/bus/locks"]);
    assert_eq!(findings(), ["missing-ref"]);
    repo.by("a", &["lock", "renew", &id]).ok();
    assert!(findings().is_empty(), "{:?}", findings());
    repo.git(&["update-ref", "-d", "refs/bus/locks"]);
    repo.write(TABLE, "<<<<<<< HEAD\n");
    assert_eq!(findings(), ["malformed-lease"]);
}

#[test]
fn status_session_and_report_show_leases_with_their_time_left() {
    let repo = Repo::new();
    let mine = acquire(&repo, "a", &["src/**", "--task", "T-1"]);
    let other = acquire(&repo, "b", &["docs/", "--ttl", "4h"]);
    let status = repo.bus(&["status"]).ok().stdout;
    assert!(status.contains(&format!("{mine}  live   a      50 min  T-1   src/**")), "{status}");
    let json = repo.bus(&["status", "--agent", "b", "--json"]).ok().json();
    assert_eq!(
        (json["locks"].as_array().unwrap().len(), &json["locks"][0]["lock_id"]),
        (1, &json!(other))
    );
    let start = repo.by("a", &["session", "start"]).ok().stdout;
    assert!(
        start.contains(&format!(
            "Leases\n  {mine} live, time left 50 min, src/**, for T-1\n  and 1 of somebody else: `bus lock list`"
        )),
        "{start}"
    );
    let late = "2026-03-01T13:00:00Z";
    let json = repo.by("a", &["session", "start", "--json"]).at(late).ok().json();
    assert_eq!((&json["locks"][0]["state"], &json["other_locks"]), (&json!("expired"), &json!(1)));
    assert_eq!(json["next"], "bus lock renew --all");
    let path = repo.bus(&["report"]).at(late).ok().stdout;
    let report = repo.read(path.trim());
    let need = format!(
        "- **expired**: T-1: a's lease on src/\\*\\* is over since 2026-03-01T12:50:00Z (`bus lock reclaim {mine} --note WHY`)"
    );
    assert!(report.contains(&need), "{report}");
    assert!(report.contains("## Leases\n\n| lock_id | owner | scope |"), "{report}");
    assert_eq!(
        repo.bus(&["report", "--json"]).at(late).ok().json()["locks"][1]["lock_id"],
        json!(other)
    );
}

#[test]
fn leases_that_cannot_be_read_hide_nothing_else_and_leave_no_path_free() {
    let repo = Repo::new();
    acquire(&repo, "a", &["src/**"]);
    repo.by("a", &["claim", "T-1"]).ok();
    let tree = repo.git(&["log", "-1", "--format=%T", "refs/bus/locks"]);
    let commit = repo.git(&["commit-tree", "-m", "acquire\n\n[]", tree.trim()]);
    repo.git(&["update-ref", "refs/bus/locks", commit.trim()]);
    assert!(
        repo.bus(&["status"])
            .ok()
            .says("the leases cannot be read, so no path is free")
            .stdout
            .contains("T-1")
    );
    repo.by("b", &["lock", "acquire", "docs/", "--objective", "y"]).fails(5, "malformed-record");
    repo.by("a", &["release", "T-1"]).ok();
    assert!(repo.bus(&["doctor"]).exits(1).stdout.contains("malformed-lease"));
}
