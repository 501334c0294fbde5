//! What people and programs see.

use serde_json::json;

use super::harness::{NOON, Repo};

#[test]
fn status_is_the_same_from_every_worktree_and_has_every_field() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1", "--notes", "here"]).ok();
    repo.by("b", &["claim", "T-2"]).within(&other).ok();
    let here = repo
        .bus(&["status", "--json", "--limit", "1", "--since", "1h", "--agent", "a", "--agent", "b"])
        .ok()
        .json();
    let there = repo
        .bus(&["status", "--json", "--limit", "1", "--since", "1h", "--agent", "a", "--agent", "b"])
        .within(&other)
        .ok()
        .json();
    assert_eq!(here, there);
    assert_eq!(
        here["filters"],
        json!({"agents": ["a", "b"], "active_only": false, "limit": 1, "since": "2026-03-01T11:00:00Z"})
    );
    assert_eq!(
        (&here["generated_at"], here["claims"].as_array().unwrap().len()),
        (&json!(NOON), 2)
    );
    assert_eq!(here["events"].as_array().unwrap().len(), 1);
    let claim = &here["claims"][0];
    assert_eq!(
        (&claim["state"], &claim["last_seen"], &claim["notes"]),
        (&json!("active"), &json!(NOON), &json!("here"))
    );
}

#[test]
fn filters_choose_claims_and_events() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["claim", "T-2"]).ok();
    repo.by("a", &["release", "T-2"]).ok();
    repo.by("b", &["claim", "T-3"]).at("2026-03-01T11:00:00Z").ok();
    let tasks = |more: &[&str]| {
        let status = repo.bus(&[&["status", "--json"], more].concat()).ok().json();
        let texts = |list: &str, field: &str| -> Vec<String> {
            status[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item[field].as_str().unwrap().to_owned())
                .collect()
        };
        (texts("claims", "task_id").join(" "), texts("events", "task_id").join(" "))
    };
    assert_eq!(
        tasks(&[]),
        ("T-1 T-3 T-2".to_owned(), "T-3 T-1 T-2 T-2".to_owned()),
        "live ones first, the youngest first"
    );
    assert_eq!(tasks(&["--active-only"]).0, "T-1 T-3");
    assert_eq!(tasks(&["--agent", "b"]), ("T-3".to_owned(), "T-3".to_owned()));
    assert_eq!(
        tasks(&["--since", "30m"]),
        ("T-1 T-3 T-2".to_owned(), "T-1 T-2 T-2".to_owned()),
        "it filters events only"
    );
    assert_eq!(tasks(&["--limit", "2"]).1, "T-2 T-2");
    let stale = repo.bus(&["status", "--json", "--stale-after", "30m"]).ok().json();
    assert_eq!(stale["claims"][1]["state"], "stale");
}

#[test]
fn people_get_a_summary_columns_and_the_feed() {
    let repo = Repo::new();
    assert_eq!(repo.bus(&["status"]).ok().stdout, "0 claims\n");
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    repo.by("b", &["claim", "T-2"]).ok();
    repo.by("b", &["release", "T-2", "--status", "paused"]).ok();
    let shown = repo.bus(&["status"]).at("2026-03-01T15:00:00Z").ok().stdout;
    let expected = "\
2 claims: 1 active, 1 paused

TASK       STATE   AGENT    SINCE                           SEEN     BRANCH                   NOTES
QUEUE-001  active  codex-1  3 h ago (2026-03-01T12:00:00Z)  3 h ago  agent/codex-1/queue-001
T-2        paused  b        3 h ago (2026-03-01T12:00:00Z)  3 h ago  agent/b/t-2

2026-03-01T12:00:00Z :: codex-1 :: claim :: task=QUEUE-001 :: claimed
2026-03-01T12:00:00Z :: b :: claim :: task=T-2 :: claimed
2026-03-01T12:00:00Z :: b :: release :: task=T-2 :: paused
";
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines[6..].sort_unstable();
        lines.join("\n")
    };
    assert_eq!(
        sorted(&shown),
        sorted(expected),
        "events of one second come in the order of their ids"
    );
    assert!(!repo.bus(&["status", "--color", "never"]).ok().stdout.contains('\u{1b}'));
    assert!(repo.bus(&["status", "--color", "always"]).ok().stdout.contains("\u{1b}["));
}

#[test]
fn many_ended_claims_do_not_bury_the_live_ones() {
    let repo = Repo::new();
    for number in 0..5 {
        repo.by("a", &["claim", &format!("T-{number}")]).ok();
        repo.by("a", &["release", &format!("T-{number}")]).ok();
    }
    repo.by("a", &["claim", "LIVE-1"]).ok();
    let shown = repo.bus(&["status", "--limit", "2"]).ok().stdout;
    assert!(
        shown.contains("LIVE-1") && shown.contains("… and 3 more claims that have ended"),
        "{shown}"
    );
    assert!(!repo.bus(&["status", "--full"]).ok().stdout.contains("that have ended"));
}

#[test]
fn what_agents_wrote_at_length_is_bounded_unless_it_is_asked_for() {
    let repo = Repo::new();
    let long = "x".repeat(20_000);
    for _ in 0..5 {
        repo.by("b", &["event", "log", "--event", "note", "--summary", &long]).ok();
        repo.by("b", &["message", "send", "--to", "a", "--summary", &long, "--note", &long]).ok();
    }
    repo.by("a", &["claim", "T-1", "--notes", &long]).ok();
    for command in [&["status"][..], &["session", "start"]] {
        let shown = repo.by("a", command).ok().stdout;
        assert!(shown.len() < 8_000 && shown.contains('…'), "{} bytes", shown.len());
        assert!(shown.lines().all(|line| line.chars().count() <= 300));
        let whole = repo.by("a", &[command, &["--full"]].concat()).ok().stdout;
        assert!(whole.contains(&long), "{} bytes", whole.len());
    }
    let none = repo.bus(&["status", "--limit", "0"]).ok().stdout;
    assert!(!none.contains(" :: note :: "), "{none}");
    for command in [&["event", "list"][..], &["message", "list"], &["inbox"], &["watch"]] {
        let none = repo.by("a", &[command, &["--limit", "0", "--json"]].concat()).ok();
        let lines = none.stdout.lines().filter(|line| line.contains(&long)).count();
        assert_eq!(lines, 0, "{command:?}");
    }
}

#[test]
fn many_live_claims_are_counted_and_the_first_are_shown() {
    let repo = Repo::new();
    let tip = repo.by("a", &["claim", "T-0"]).ok();
    drop(tip);
    let text = repo.read("_bus/claims/T-0.json");
    repo.by("a", &["release", "T-0"]).ok();
    // Claims of a tracked bus come with the branch, as files.
    let repo = Repo::tracked();
    for number in 100..220 {
        let name = format!("T-{number}");
        repo.write(&format!("_bus/claims/{name}.json"), text.replace("T-0", &name));
    }
    let shown = repo.bus(&["status"]).ok().stdout;
    assert!(shown.starts_with("120 claims: 120 active"), "{}", &shown[..60]);
    assert!(shown.contains("… and 20 more live claims; `--full` shows them"), "{shown}");
    assert_eq!(repo.bus(&["status", "--full"]).ok().stdout.matches("T-").count() % 120, 0);
}
