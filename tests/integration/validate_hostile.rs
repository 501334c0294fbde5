//! Whatever a pull request brings, the validator answers: in time, in bounded memory, with a
//! bounded report, and never by dying.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_bus::git::Repository;
use agent_bus::validate::{Query, Rule, SHOWN, validate};
use serde_json::Value;

use super::harness::{Ran, Repo};
use super::sound_bus::{judge, older_bus};

const EVENTS: &str = "_bus/events/codex-1.jsonl";

fn line(id: impl std::fmt::Display, summary: &str) -> String {
    format!(
        r#"{{"agent_id":"codex-1","event":"note","id":"{id}","summary":"{summary}","ts":"2026-03-01T12:00:00Z"}}"#
    ) + "\n"
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// What `bus validate --json` says; it must find something, and its report must be bounded.
fn report(repo: &Repo, arguments: &[&str]) -> Value {
    let ran = repo.bus(&[&["validate", "--json"], arguments].concat()).exits(1);
    assert!(ran.stdout.len() < 2_500_000, "{} bytes", ran.stdout.len());
    ran.json()
}

fn rules(report: &Value) -> Vec<&str> {
    report["counts"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// A log as the base has it, and another in its place.
fn rewrite(before: &str, now: &str) -> Ran {
    let repo = older_bus();
    repo.write(EVENTS, before);
    repo.commit_all("before");
    repo.write(EVENTS, now);
    repo.bus(&["validate", "--base", "HEAD", "--json"]).run()
}

#[test]
fn nested_brackets_are_told_of_in_a_line_a_record_and_the_policy() {
    let repo = older_bus();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"a\":{}1{}}}\n", open.repeat(100_000), close.repeat(100_000));
        repo.write(EVENTS, &deep);
        repo.write("_bus/claims/QUEUE-001.json", &deep);
        repo.write("_plans/2026-03-01-p-1.plan.json", &deep);
        let found = report(&repo, &[]);
        assert_eq!(
            rules(&found)
                .iter()
                .filter(|rule| ["invalid-json", "line-too-long"].contains(rule))
                .count(),
            2,
            "{found}"
        );
        repo.write(EVENTS, format!("{{\"a\":{}1\n", open.repeat(10_000)));
        assert_eq!(report(&repo, &["--rule", "invalid-json"])["total"], 3);
    }
    for path in [EVENTS, "_bus/claims/QUEUE-001.json", "_plans/2026-03-01-p-1.plan.json"] {
        fs::remove_file(repo.path(path)).unwrap();
    }
    for text in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "[a".to_owned() + &".a".repeat(100_000) + "]",
        "a.".repeat(100_000),
    ] {
        repo.write("_bus/config.toml", text + "\n");
        assert_eq!(rules(&report(&repo, &[])), ["bad-config"]);
    }
}

#[test]
fn a_line_of_many_mebibytes_is_one_finding_and_its_neighbours_are_read() {
    let repo = older_bus();
    let mut file = File::create(repo.path(EVENTS)).unwrap_or_else(|_| {
        fs::create_dir_all(repo.path("_bus/events")).unwrap();
        File::create(repo.path(EVENTS)).unwrap()
    });
    file.write_all(line(1, "first").as_bytes()).unwrap();
    for _ in 0..64 {
        file.write_all(&vec![b'x'; 1024 * 1024]).unwrap();
    }
    file.write_all(format!("\n{}{{\n", line(2, "last")).as_bytes()).unwrap();
    drop(file);
    let found = report(&repo, &[]);
    assert_eq!(found["counts"], serde_json::json!({"line-too-long": 1, "torn-line": 1}));
    assert_eq!(found["findings"][1]["line"], 4);
    repo.commit_all("hostile");
    let mut now = fs::read(repo.path(EVENTS)).unwrap();
    now[100_000] = b'y';
    now.extend_from_slice(line(3, "new").as_bytes());
    repo.write(EVENTS, now);
    let found = report(&repo, &["--base", "HEAD"]);
    assert_eq!(
        found["counts"],
        serde_json::json!({"append-only": 1, "line-too-long": 1}),
        "{found}"
    );
}

#[test]
fn all_findings_are_counted_and_the_first_are_shown() {
    let repo = older_bus();
    let odd = "\u{1b}[31m%\"x".repeat(4000);
    repo.write(
        EVENTS,
        lines(20_000, |number| {
            format!("{{\"severity\":{},\"n\":{number}}}\n", Value::from(odd.get(..40).unwrap()))
        }),
    );
    repo.write(
        "_bus/events/codex-2.jsonl",
        lines(300, |_| format!("{{\"severity\":{}}}\n", Value::from(odd.as_str()))),
    );
    for format in ["json", "text", "github", "sarif"] {
        let ran = repo.bus(&["validate", "--format", format]).exits(1);
        assert!(ran.stdout.len() < 4_000_000, "{format}: {} bytes", ran.stdout.len());
        assert!(!ran.stdout.contains('\u{1b}'), "{format}");
    }
    let found = report(&repo, &[]);
    // Four fields are missing, and the severity is none, on each line.
    assert_eq!(found["total"], 5 * 20_300);
    let shown: Vec<u64> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["line"].as_u64().unwrap())
        .collect();
    assert_eq!(shown.len(), SHOWN);
    assert_eq!(shown, (1..=200).flat_map(|line| [line; 5]).collect::<Vec<_>>());
}

#[test]
fn a_long_word_is_quoted_in_part() {
    let repo = older_bus();
    let word = "ä".repeat(400_000);
    for number in 0..20 {
        repo.write(
            &format!("_bus/claims/QUEUE-{number}.json"),
            format!("{{\"status\": \"{word}\", \"agent_id\": \"{word}\"}}\n"),
        );
    }
    let ran = repo.bus(&["validate"]).exits(1);
    assert!(ran.stdout.len() < 200_000, "{} bytes", ran.stdout.len());
}

#[test]
fn ids_that_clash_by_the_thousand_are_all_counted() {
    let repo = older_bus();
    repo.write(EVENTS, lines(20_000, |number| line("same", &number.to_string())));
    assert_eq!(report(&repo, &[])["counts"], serde_json::json!({"id-clash": 19_999}));
    repo.write(EVENTS, lines(20_000, |number| line(number / 2, &number.to_string())));
    assert_eq!(report(&repo, &[])["counts"], serde_json::json!({"id-clash": 10_000}));
}

#[test]
fn a_log_that_is_rewritten_from_end_to_end_is_compared_in_one_go() {
    const COUNT: usize = 20_000;
    let before = lines(COUNT, |number| line(number, "x"));
    let reversed: String =
        before.lines().rev().fold(String::new(), |text, line| text + line + "\n");
    let edited = before.replace("\"x\"", "\"y\"");
    let doubled: String = before.lines().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}\n{line}").unwrap();
        text
    });
    let equal = line(1, "x").repeat(COUNT);
    let told = |ran: Ran| ran.json()["counts"]["append-only"].as_u64().unwrap_or(0);
    assert_eq!(told(rewrite(&before, &reversed)), COUNT as u64 - 1);
    assert_eq!(told(rewrite(&before, &edited)), COUNT as u64);
    assert_eq!(told(rewrite(&before, "")), COUNT as u64);
    for (before, now) in [
        (&before, &doubled),
        (&doubled, &before),
        (&doubled, &doubled),
        (&equal, &equal),
        (&equal, &line(1, "x")),
    ] {
        let ran = rewrite(before, now);
        assert_eq!(
            ran.status,
            Some(0),
            "{}",
            ran.transcript.get(..2000).unwrap_or(&ran.transcript)
        );
    }
}

#[test]
fn a_record_with_faults_by_the_hundred_thousand_is_walked_over_once() {
    let repo = older_bus();
    let start = r#"{"agent_id":"a","branch":"agent/a/x","claimed_at":"2026-03-01T12:00:00Z","status":"active","task_id":"Q-1""#;
    repo.write(
        "_bus/claims/Q-1.json",
        format!("{start},\"lineage\":[{}{{}}]}}\n", "{},".repeat(100_000)),
    );
    let found = report(&repo, &[]);
    assert_eq!(found["counts"]["missing-field"], 300_003);
    fs::remove_file(repo.path("_bus/claims/Q-1.json")).unwrap();
    let step = |status: &str, receipts: &str| {
        format!(
            r#"{{"actor":"a","created":"2026-03-01T12:00:00Z","plan_id":"2026-03-01-p","status":"queued","summary":"s","steps":[{}{{"id":"x","title":"t","status":"{status}","receipts":[{receipts}"z"]}}]}}"#,
            (0..10_000)
                .map(|number| format!(r#"{{"id":"{number}","title":"t","status":"{status}"}},"#))
                .collect::<String>()
        ) + "\n"
    };
    repo.write("_plans/2026-03-01-p.plan.json", step("done", &"\"y\",".repeat(100_000)));
    let found = report(&repo, &[]);
    assert_eq!(
        found["counts"],
        serde_json::json!({"missing-receipt": 100_001, "step-without-receipt": 10_000})
    );
    repo.commit_all("before");
    repo.write("_plans/2026-03-01-p.plan.json", step("queued", ""));
    assert_eq!(
        report(&repo, &["--base", "HEAD"])["counts"],
        serde_json::json!({"missing-receipt": 1, "plan-regression": 10_001})
    );
}

#[test]
fn a_receipt_that_is_named_by_the_thousand_is_read_once() {
    let repo = older_bus();
    fs::File::create(repo.path("large")).unwrap().set_len(64 * 1024 * 1024).unwrap();
    let sum = "0".repeat(64);
    let list = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<_>>().join(",")
    };
    let names = list(10_000, &|_| "\"large\"".to_owned())
        + ","
        + &list(1_000, &|number| format!("\"{}large\"", "./".repeat(number % 90)));
    let sums = list(9_000, &|number| {
        format!(
            "\"{}\":\"{sum}\"",
            if number == 0 { "large".to_owned() } else { number.to_string() }
        )
    });
    let step = format!(
        r#"{{"id":"x","title":"t","status":"queued","receipts":[{names}],"receipt_hashes":{{{sums}}}}}"#
    );
    let plan = format!(
        r#"{{"actor":"a","created":"2026-03-01T12:00:00Z","plan_id":"2026-03-01-p","status":"queued","summary":"s","steps":[{step}]}}"#
    );
    repo.write("_plans/2026-03-01-p.plan.json", plan + "\n");
    let counts = report(&repo, &[])["counts"].clone();
    assert_eq!(counts["unlisted-receipt"], 8_999);
    assert!(counts["receipt-changed"].as_u64().unwrap() > 10_000, "{counts}");
}

#[test]
fn folders_with_files_by_the_thousand_and_deep_ones_are_walked() {
    let repo = older_bus();
    for number in 0..2_000 {
        repo.write(&format!("_bus/claims/QUEUE-{number}.json"), "{}\n");
        repo.write(&format!("_bus/events/a{number}.jsonl"), "{}\n");
    }
    let deep = format!("_bus/claims/{}", "d/".repeat(400));
    repo.write(&format!("{deep}QUEUE-1.json"), "{}\n");
    let found = report(&repo, &[]);
    assert_eq!(found["counts"]["misplaced-record"], 1);
    assert_eq!(found["counts"]["duplicate-claim-file"], 1);
    assert_eq!(found["counts"]["missing-field"], 5 * 2_001 + 4 * 2_000);
    repo.commit_all("before");
    repo.bus(&["validate", "--base", "HEAD"]).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_utf8_is_told_of_and_hides_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let repo = older_bus();
    repo.write("_bus/claims/Q-1.json", "{\n");
    for folder in ["_bus/claims", "_bus/events", "_plans", "queue"] {
        let name: &[u8] = match folder {
            "_bus/events" => b"\xff\xfe.jsonl",
            "_plans" => b"\xff.plan.json",
            "queue" => b"001-\xff.md",
            _ => b"\xff.json",
        };
        fs::create_dir_all(repo.path(folder)).unwrap();
        fs::write(repo.path(folder).join(std::ffi::OsStr::from_bytes(name)), "{}\n").unwrap();
    }
    assert_eq!(
        report(&repo, &[])["counts"],
        serde_json::json!({"invalid-json": 1, "invalid-utf8": 4})
    );
    repo.commit_all("before");
    repo.write("queue/002-new.md", "# Task: x\n");
    repo.bus(&["validate", "--base", "HEAD"]).ok();
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named_and_is_no_finding() {
    use std::os::unix::fs::PermissionsExt;
    let repo = older_bus();
    repo.write("_bus/claims/Q-1.json", "{}\n");
    repo.write(EVENTS, line(1, "x"));
    for path in ["_bus/claims/Q-1.json", EVENTS, "_bus/claims", "_bus/config.toml"] {
        let mode = fs::metadata(repo.path(path)).unwrap().permissions().mode();
        fs::set_permissions(repo.path(path), fs::Permissions::from_mode(0o000)).unwrap();
        let user = repo.give_away();
        let ran = repo.by_user(user, "codex-1", &["validate"]).run();
        repo.take_back();
        fs::set_permissions(repo.path(path), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(ran.status, Some(9), "{path}: {}", ran.transcript);
        assert!(ran.stderr.contains(path), "{path}: {}", ran.transcript);
    }
}

#[test]
fn a_log_that_grows_and_shrinks_while_it_is_read_does_no_harm() {
    let repo = older_bus();
    let text = lines(30_000, |number| line(number, "x"));
    assert!(text.len() > 2 * 1024 * 1024);
    repo.write(EVENTS, &text);
    repo.commit_all("before");
    let opened = Repository::discover(&repo.root()).unwrap();
    let (path, over) = (repo.path(EVENTS), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            for length in (0..).map(|number| number * 700_001 % text.len()) {
                file.set_len(length as u64).unwrap();
                fs::write(&path, &text).unwrap();
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for number in 0..8 {
            let base = if number % 2 == 0 { None } else { Some("HEAD") };
            let report = judge(&repo, base, None);
            assert!(report.findings.len() <= SHOWN);
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(validate(&opened, &Query::default()).unwrap());
    assert!(!judge(&repo, Some("HEAD"), None).counts.contains_key(&Rule::AppendOnly));
}

#[test]
fn a_base_that_is_hostile_itself_is_read_as_well() {
    let repo = older_bus();
    let deep = format!("{{\"a\":{}1\n", "[".repeat(60_000));
    let mut log = lines(5_000, |number| line("same", &number.to_string()))
        + &deep
        + &"x".repeat(8 * 1024 * 1024)
        + "\n";
    log += "{\"agent_id\":\"cod";
    let start = r#"{"agent_id":"a","branch":"agent/a/x","claimed_at":"2026-03-01T12:00:00Z","status":"active","task_id":"Q-1""#;
    repo.write(EVENTS, &log);
    repo.write(
        "_bus/claims/Q-1.json",
        format!("{start},\"lineage\":[{}{{}}]}}\n", "{},".repeat(50_000)),
    );
    repo.write("_bus/claims/Q-2.json", &deep);
    repo.write("_bus/claims/Q-3.json", "x".repeat(4 * 1024 * 1024));
    repo.write("_plans/2026-03-01-p.plan.json", &deep);
    repo.write("_bus/config.toml", "[".repeat(100_000));
    repo.commit_all("hostile");
    repo.bus(&["validate", "--base", "HEAD", "--branch", "agent/a/x"]).ok();
    for path in [
        "_bus/claims/Q-1.json",
        "_bus/claims/Q-2.json",
        "_bus/claims/Q-3.json",
        "_plans/2026-03-01-p.plan.json",
    ] {
        repo.write(path, "{}\n");
    }
    repo.write("_bus/config.toml", "");
    repo.write(EVENTS, log.replacen("same", "other", 1));
    let found = report(&repo, &["--base", "HEAD", "--branch", "agent/a/x"]);
    assert_eq!(found["counts"]["append-only"], 1, "{}", found["counts"]);
}

#[test]
fn a_branch_whose_folders_have_no_end_stops_nobody() {
    let repo = older_bus();
    repo.write("blob", "{}\n");
    let blob = repo.git(&["hash-object", "-w", "blob"]).trim().to_owned();
    let tree = |entries: &[(&str, String)]| {
        let list: String =
            entries.iter().map(|(kind, entry)| format!("{kind} {entry}\n")).collect();
        repo.write("list", list);
        let mktree = "git mktree <list".to_owned();
        repo.other("sh", &["-c", &mktree]).ok().stdout.trim().to_owned()
    };
    let ten = |kind: &'static str, id: &str| {
        (0..10).map(|name| (kind, format!("{id}\t{name}.json"))).collect::<Vec<_>>()
    };
    let mut bomb = tree(&ten("100644 blob", &blob));
    for _ in 0..8 {
        bomb = tree(&ten("040000 tree", &bomb));
    }
    let claims = tree(&[
        ("040000 tree", format!("{bomb}\tclaims")),
        ("040000 tree", format!("{bomb}\tevents")),
    ]);
    let root = tree(&[
        ("040000 tree", format!("{claims}\t_bus")),
        ("040000 tree", format!("{bomb}\t_report")),
    ]);
    let commit = repo.git(&["commit-tree", "-m", "bomb", &root]).trim().to_owned();
    repo.git(&["branch", "bomb", &commit]);
    repo.by("codex-1", &["claim", "T-1"]).ok();
    repo.bus(&["validate", "--base", "HEAD", "--refs", "bomb"]).ok();
}
