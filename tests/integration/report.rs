//! The manager's report: where it goes, what it says needs the manager, and that nothing of the bus
//! gets out of hand in it.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Kept, NOON, Repo, record};

/// What would do harm in markdown, on GitHub, in a diagram, on a terminal.
const HOSTILE: &str = "</td><script>alert(1)</script>|`x`|[a](http://e.vil)![b](c)@all #1 www.e.vil ~~s~~ $x$ \u{202e}\u{1b}[31m %%{init}%% end;";

fn report(repo: &Repo, more: &[&str]) -> Value {
    repo.by("boss", &[&["report", "--json"], more].concat()).ok().json()
}

/// The kinds of needs, and their tasks.
fn needs(repo: &Repo) -> Vec<(String, String)> {
    let report = report(repo, &[]);
    let needs = report["needs"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    needs.map(|need| (text(&need["kind"]), text(&need["task_id"]))).collect()
}

fn need(kind: &str, task: &str) -> (String, String) {
    (kind.to_owned(), task.to_owned())
}

fn reports(repo: &Repo) -> Vec<String> {
    let entries = fs::read_dir(repo.path("_report/manager")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_report_is_written_where_it_is_asked_for() {
    let repo = Repo::new();
    let path = repo.by("boss", &["report"]).ok().stdout;
    assert_eq!(path, "_report/manager/manager-report-2026-03-01T120000Z.md\n");
    let text = repo.read(path.trim());
    assert!(
        text.starts_with(
            "# Manager report, 2026-03-01T12:00:00Z\n\n0 tasks. 1 agent. Nothing needs you.\n"
        ),
        "{text}"
    );
    let before = repo.state();
    assert_eq!(
        repo.bus(&["report", "--stdout"]).ok().stdout,
        text.replace(" for boss", ""),
        "who reads needs no name"
    );
    let answer = repo.bus(&["report", "--json"]).ok().json();
    assert_eq!((&answer["path"], &answer["manager"]), (&Value::Null, &Value::Null));
    assert_eq!(repo.state(), before, "looking changes nothing");
    repo.bus(&["report"]).exits(2).says("say who you are");
    repo.bus(&["report", "--manager", "boss"]).at("2026-03-01T13:00:00Z").ok();
    assert_eq!(reports(&repo).len(), 2);
    let elsewhere = repo.beside("report.md");
    let answer = repo
        .bus(&[
            "report",
            "--output",
            elsewhere.to_str().unwrap(),
            "--since",
            "1970-01-01",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(answer["path"], elsewhere.to_str().unwrap());
    assert_eq!(fs::read_to_string(&elsewhere).unwrap().lines().next(), text.lines().next());
    repo.bus(&["report", "--output", "no/such/folder/x.md"]).fails(9, "system");
    for more in [
        &["--stdout", "--post"][..],
        &["--stdout", "--output", "x"],
        &["--since", "yesterday"],
        &["--now", "soon"],
    ] {
        repo.by("boss", &[&["report"], more].concat()).fails(2, "usage");
    }
    repo.by("boss", &["report", "--stdout"]).within(&repo.beside("")).fails(4, "no-repository");
}

#[test]
fn work_counts_since_the_report_before() {
    let repo = Repo::new();
    let done = |task: &str, from: &str, to: &str| {
        repo.by("a", &["claim", task]).at(from).ok();
        repo.by("a", &["release", task]).at(to).ok();
    };
    done("T-1", "2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z");
    assert_eq!(report(&repo, &[])["finished"], json!(["T-1"]));
    repo.by("boss", &["report"]).at("2026-03-01T10:00:00Z").ok();
    done("T-2", "2026-03-01T10:30:00Z", "2026-03-01T11:00:00Z");
    let since = report(&repo, &[]);
    assert_eq!(
        (&since["since"], &since["finished"]),
        (&"2026-03-01T10:00:00Z".into(), &json!(["T-2"]))
    );
    assert_eq!(
        (&since["lane"]["cycle"]["count"], &since["lane"]["cycle"]["median_seconds"]),
        (&1.into(), &1800.into())
    );
    assert_eq!((&since["counts"]["done"], &since["agents"][0]["events"]), (&2.into(), &2.into()));
    assert_eq!(report(&repo, &["--since", "4h"])["finished"], json!(["T-1", "T-2"]));
    // Every worktree knows of the report before; one that is yet to come counts for nothing.
    let tree = repo.worktree("elsewhere");
    fs::remove_dir_all(tree.join("_report")).unwrap_or_default();
    repo.by("boss", &["report"]).at("2026-03-01T23:00:00Z").ok();
    let there = repo.by("boss", &["report", "--json"]).within(&tree).ok().json();
    assert_eq!(there["since"], "2026-03-01T10:00:00Z");
    let at = repo.by("boss", &["report", "--json", "--now", "2026-03-01T09:30:00Z"]).ok().json();
    assert_eq!((&at["generated_at"], &at["since"]), (&"2026-03-01T09:30:00Z".into(), &Value::Null));
}

#[test]
fn what_needs_the_manager_comes_first_with_what_helps() {
    let repo = Repo::new();
    assert_eq!(needs(&repo), []);
    repo.by("a", &["claim", "STALE-1"]).at("2026-03-01T01:00:00Z").ok();
    repo.by("b", &["claim", "EXPIRED-1", "--ttl", "1h"]).at("2026-03-01T10:30:00Z").ok();
    repo.by("c", &["claim", "PAUSED-1", "--status", "paused"]).ok();
    repo.by("c", &["claim", "DONE-1"]).ok();
    repo.by("c", &["release", "DONE-1"]).ok();
    repo.write("queue/001-a.md", "# Task: A\nAfter: QUEUE-002\n");
    repo.write("queue/002-b.md", "# Task: B\nAfter: QUEUE-001\n");
    let expected = [
        need("expired", "EXPIRED-1"),
        need("stale", "STALE-1"),
        need("not-seen", "DONE-1"),
        need("queue", "-"),
        need("finding", "-"),
    ];
    assert_eq!(needs(&repo), expected);
    let answer = report(&repo, &[]);
    let next: Vec<&str> = answer["needs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|need| need["next"].as_str())
        .collect();
    assert_eq!(
        next,
        [
            "bus release EXPIRED-1 --force --note WHY",
            "bus release STALE-1 --force --note WHY",
            "bus event list --task DONE-1",
            "bus queue list",
            "bus validate",
        ]
    );
    repo.by("boss", &["release", "STALE-1", "--force", "--note", "WHY"]).ok();
    let text = repo.by("boss", &["report", "--stdout"]).ok().stdout;
    assert!(
        text.contains(
            "- **expired**: EXPIRED-1: b's claim is over since 2026-03-01T11:30:00Z (`bus release EXPIRED-1 --force --note WHY`)\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("tasks wait for each other: QUEUE-001 after QUEUE-002 after QUEUE-001"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_a_conflict_and_hides_nothing_else() {
    for (kept, below) in [
        (Kept::Untracked, record("")),
        (Kept::Tracked, "_bus/".to_owned()),
        (Kept::Older, "_bus/".to_owned()),
    ] {
        is_a_conflict(&Repo::keeping(kept), &below);
    }
}

/// The records that count are below `below`.
fn is_a_conflict(repo: &Repo, below: &str) {
    repo.by("a", &["claim", "T-1"]).ok();
    repo.write(&format!("{below}claims/T-2.json"), "{");
    repo.write(&format!("{below}assignments/T-3.json"), "[]");
    repo.write("_plans/2026-03-01-x.plan.json", "{}");
    repo.write("_bus/config.toml", "nonsense = [");
    fs::create_dir_all(repo.path("_report/agent/a")).unwrap();
    repo.write("_report/agent/a/errors.jsonl", "{}\nnonsense\n");
    repo.write(".git/bus/log/refusals/a.jsonl", "{}\nnonsense\n");
    repo.write(&format!("{below}events/x.jsonl"), "nonsense\n{\"cut\":");
    let answer = repo.bus(&["report", "--json"]).ok().json();
    let conflicts: Vec<&str> = answer["needs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|need| need["kind"] == "conflict")
        .map(|need| need["what"].as_str().unwrap())
        .collect();
    for file in ["T-2.json", "T-3.json", "2026-03-01-x.plan.json", "config.toml"] {
        assert!(conflicts.iter().any(|what| what.contains(file)), "{file}: {conflicts:?}");
    }
    assert_eq!(
        (&answer["counts"]["active"], &answer["counts"]["unreadable"]),
        (&1.into(), &1.into())
    );
    assert_eq!(repo.bus(&["report", "--stdout"]).ok().status, Some(0));
}

#[test]
fn requests_count_until_somebody_answers() {
    let repo = Repo::new();
    let ask = |from: &str, to: &[&str]| {
        repo.by(
            from,
            &[&["message", "send", "--type", "request", "--summary", "when?"], to].concat(),
        )
        .ok();
    };
    ask("a", &["--to", "boss"]);
    ask("a", &["--task", "T-1"]);
    repo.by("a", &["message", "send", "--task", "T-1", "--summary", "still waiting"])
        .at("2026-03-01T12:00:01Z")
        .ok();
    assert_eq!(needs(&repo), [need("request", "-"), need("request", "T-1")]);
    repo.by("boss", &["inbox", "--mark-read"]).ok();
    assert_eq!(needs(&repo), [need("request", "T-1")]);
    repo.by("boss", &["message", "send", "--task", "T-1", "--summary", "tomorrow"])
        .at("2026-03-01T12:00:02Z")
        .ok();
    assert_eq!(needs(&repo), []);
}

#[test]
fn an_answer_settles_a_request_whether_it_is_read_or_not() {
    let repo = Repo::new();
    let send = |from: &str, more: &[&str]| {
        drop(repo.by(from, &[&["message", "send", "--summary", "x"], more].concat()).ok())
    };
    send("a", &["--to", "boss", "--type", "request", "--task", "T-1"]);
    send("boss", &["--to", "b"]);
    send("a", &["--to", "boss"]);
    assert_eq!(needs(&repo), [need("request", "T-1")], "neither to whom asked, nor by another");
    send("boss", &["--to", "a"]);
    assert_eq!(needs(&repo), []);
    send("a", &["--to", "boss", "--type", "request", "--task", "T-1"]);
    send("b", &["--task", "T-1"]);
    assert_eq!(needs(&repo), []);
}

#[test]
fn each_manager_counts_from_its_own_last_report() {
    let repo = Repo::new();
    repo.by("boss", &["report"]).at("2026-03-01T09:00:00Z").ok();
    repo.by("other", &["report"]).at("2026-03-01T10:00:00Z").ok();
    repo.write("_report/manager/manager-report-2026-03-01T110000Z.md", "anything");
    assert_eq!(report(&repo, &[])["since"], "2026-03-01T09:00:00Z");
    assert_eq!(
        repo.bus(&["report", "--json"]).ok().json()["since"],
        "2026-03-01T11:00:00Z",
        "nobody's counts from anybody's"
    );
}

#[test]
fn looking_back_from_another_time_is_no_sign_of_life_then() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).at("2026-03-01T01:00:00Z").ok();
    repo.by("a", &["report", "--stdout", "--now", "2036-01-01T00:00:00Z"])
        .at("2026-03-01T01:00:00Z")
        .ok();
    repo.by("b", &["reclaim", "T-1", "--note", "gone"]).ok();
    repo.by("b", &["report", "--stdout", "--now", "2020-01-01T00:00:00Z"]).ok();
    repo.by("a", &["reclaim", "T-1", "--note", "gone"]).fails(3, "claim-alive");
}

#[test]
fn two_reports_of_one_time_both_stay() {
    let repo = Repo::new();
    let report = || repo.by("boss", &["report"]).ok().stdout;
    assert_eq!(report(), report(), "the same again is the same report");
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(report(), "_report/manager/manager-report-2026-03-01T120000Z-2.md\n");
    for path in ["_bus/claims/T-1.json", ".git/config"] {
        repo.by("boss", &["report", "--output", path]).exits(2).says("is no place for a report");
    }
}

#[test]
fn a_plan_is_known_by_its_task_and_a_blocked_one_is_told_of_without_one() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    for (slug, more) in [("p", &["--task", "T-1"][..]), ("q", &[])] {
        repo.by(
            "boss",
            &[&["plan", "new", slug, "--summary", "x", "--step", "S1:a"], more].concat(),
        )
        .ok();
        repo.by("boss", &["plan", "step", slug, "S1", "--status", "blocked", "--note", "no key"])
            .ok();
    }
    assert_eq!(needs(&repo), [need("blocked", "T-1"), need("blocked", "-")]);
}

#[test]
fn who_was_assigned_long_ago_and_has_not_begun_is_told_of() {
    let repo = Repo::new();
    repo.by("boss", &["assign", "T-1", "--engineer", "a"]).at("2026-03-01T05:00:00Z").ok();
    repo.by("boss", &["assign", "T-2", "--engineer", "a"]).at("2026-03-01T11:00:00Z").ok();
    assert_eq!(needs(&repo), [need("waiting", "T-1")]);
}

#[test]
fn a_landed_task_that_is_still_claimed_is_told_of() {
    let repo = Repo::new();
    repo.git(&["switch", "--quiet", "-c", "agent/a/t-1"]);
    repo.by("a", &["claim", "T-1"]).ok();
    repo.write("work", "x\n");
    repo.commit_all("work");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "agent/a/t-1"]);
    assert_eq!(needs(&repo), [need("still-claimed", "T-1")]);
}

#[test]
fn receipts_that_are_gone_or_changed_are_told_of() {
    let repo = Repo::new();
    repo.by(
        "a",
        &[
            "plan",
            "new",
            "t-1",
            "--task",
            "T-1",
            "--summary",
            "x",
            "--step",
            "S1:A",
            "--step",
            "S2:B",
        ],
    )
    .ok();
    repo.by("a", &["claim", "T-1"]).ok();
    for step in ["S1", "S2"] {
        repo.write(&format!("log-{step}"), step);
        repo.by("a", &["receipt", "add", &format!("log-{step}"), "--plan", "t-1", "--step", step])
            .ok();
    }
    assert_eq!(needs(&repo), []);
    let folder =
        fs::read_dir(repo.path("_report/agent/a")).unwrap().next().unwrap().unwrap().path();
    fs::write(folder.join("log-S1"), "other").unwrap();
    fs::remove_file(folder.join("log-S2")).unwrap();
    let answer = report(&repo, &[]);
    let states: Vec<&Value> = answer["tasks"][0]["plan"]["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| &receipt["state"])
        .collect();
    assert_eq!(states, ["changed", "gone"]);
    let kinds: Vec<String> = needs(&repo).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds[..2], ["receipt", "receipt"], "{kinds:?}");
    assert!(repo.bus(&["report", "--stdout"]).ok().stdout.contains("| 1 changed, 1 gone |"));
}

#[test]
fn text_from_the_bus_makes_no_markup_no_mention_and_no_diagram() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--notes", HOSTILE]).ok();
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", HOSTILE])
        .ok();
    repo.by("a", &["message", "send", "--to", "boss", "--type", "request", "--summary", HOSTILE])
        .ok();
    repo.write("queue/001-a.md", format!("# Task: {}\n", HOSTILE.replace('\u{1b}', "")));
    for task in ["section", "click", "end", "title", "www.e.vil", "a__b__c"] {
        repo.by("section", &["claim", task]).ok();
    }
    let text = repo.by("boss", &["report", "--stdout"]).ok().stdout;
    for harm in [
        "<script", "](", "@all", "#1", "www.e", "~~s~~", "$x$", "\u{202e}", "\u{1b}", "http://",
        "a__b__c", "</td>",
    ] {
        let prose = text.split("```mermaid").next().unwrap();
        assert!(!prose.contains(harm), "{harm:?} in\n{prose}");
    }
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!([4, 8, 9].contains(&bars), "{bars} bars: {line}");
    }
    let diagrams: String =
        text.split("```mermaid").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    assert!(!diagrams.contains(['%', ';']) || diagrams.matches('%').count() == 2, "{diagrams}");
    assert_eq!(
        diagrams.lines().filter(|line| line.trim_start().starts_with("section ")).count(),
        2,
        "{diagrams}"
    );
    assert_eq!(
        diagrams.lines().filter(|line| line.trim_start().starts_with("· ")).count(),
        7,
        "{diagrams}"
    );
}

#[test]
fn a_post_is_a_message_and_an_event_that_name_the_report() {
    let repo = Repo::new();
    let answer = repo.by("boss", &["report", "--post", "--json"]).ok().json();
    let path = answer["path"].as_str().unwrap();
    assert_eq!(reports(&repo), [path.rsplit('/').next().unwrap()]);
    let told = repo.bus(&["message", "list", "--task", "manager-report", "--json"]).ok().ndjson();
    let expected = json!({"from": "boss", "type": "consensus", "task_id": "manager-report", "ts": NOON, "receipts": [path],
        "summary": "Report: 0 tasks held, 0 finished, 0 things need the manager", "id": told[0]["id"]});
    assert_eq!(told, [expected]);
    assert_eq!(
        repo.bus(&["event", "list", "--event", "consensus", "--json"]).ok().ndjson().len(),
        1
    );
    repo.bus(&["validate", "--strict"]).ok();
    repo.bus(&["report", "--post"]).fails(2, "no-identity");
}

#[test]
#[cfg(unix)]
fn a_report_follows_no_link_and_says_what_is_in_the_way() {
    let repo = Repo::new();
    fs::create_dir_all(repo.path("_report")).unwrap();
    std::os::unix::fs::symlink(repo.beside("elsewhere"), repo.path("_report/manager")).unwrap();
    fs::create_dir(repo.beside("elsewhere")).unwrap();
    repo.by("boss", &["report", "--post"]).fails(5, "not-a-regular-file");
    assert_eq!(fs::read_dir(repo.beside("elsewhere")).unwrap().count(), 0);
    fs::remove_file(repo.path("_report/manager")).unwrap();
    repo.write("_report/manager", "a file");
    let error = repo.by("boss", &["report"]).run();
    assert!([Some(5), Some(9)].contains(&error.status), "{}", error.transcript);
}
