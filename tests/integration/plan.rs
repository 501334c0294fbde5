//! Plans: made, read from every worktree, changed by the rules, and named by the claims of their
//! tasks.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Bus, NOON, Repo};

const FILE: &str = "_plans/2026-03-01-work.plan.json";

fn new<'a>(repo: &'a Repo, agent: &str, more: &[&str]) -> Bus<'a> {
    let words = [
        "plan",
        "new",
        "work",
        "--summary",
        "Do it",
        "--step",
        "S1:First",
        "--step",
        "S2:Then: this",
    ];
    repo.by(agent, &[&words, more].concat())
}

fn step<'a>(repo: &'a Repo, words: &[&str]) -> Bus<'a> {
    repo.by("a", &[&["plan", "step", "work"], words].concat())
}

fn record(repo: &Repo) -> Value {
    serde_json::from_str(&repo.read(FILE)).unwrap_or_default()
}

/// A repository with a plan, and with a file to prove it.
fn planned() -> Repo {
    let repo = Repo::new();
    new(&repo, "a", &[]).ok();
    repo.write("logs/a.log", "fine\n");
    repo
}

#[test]
fn a_new_plan_is_a_file_that_the_validator_likes() {
    let repo = Repo::new();
    let ran =
        new(&repo, "a", &["--task", "T-1", "--owner", "boss", "--checkpoint", "boss has read it"])
            .ok();
    assert_eq!(ran.stdout, format!("made 2026-03-01-work in {FILE}\n"));
    let step = |id: &str, title: &str| json!({"id": id, "title": title, "status": "queued", "receipts": []});
    let expected = json!({
        "version": 1, "plan_id": "2026-03-01-work", "created": NOON, "actor": "a", "summary": "Do it", "status": "queued",
        "steps": [step("S1", "First"), step("S2", "Then: this")], "receipts": [],
        "checkpoint": {"description": "boss has read it", "owner": "boss", "status": "pending"},
        "links": [{"type": "bus", "ref": "_bus/claims/T-1.json"}],
    });
    assert_eq!(record(&repo), expected);
    assert_eq!(
        repo.read(FILE),
        format!("{expected:#}\n"),
        "two spaces of indent, sorted keys, a final newline"
    );
    repo.bus(&["validate", "--strict"]).ok();
    let shown = repo.bus(&["plan", "show", "work", "--json"]).ok().json();
    assert_eq!(
        (&shown["plan"]["plan_id"], &shown["plan"]["path"]),
        (&json!("2026-03-01-work"), &json!(FILE))
    );
    assert_eq!(shown["plan"]["progress"], json!({"done": 0, "total": 2}));
}

#[test]
fn the_same_plan_again_is_no_other_and_another_one_of_that_name_is_refused() {
    let repo = Repo::new();
    new(&repo, "a", &["--json"]).ok();
    let before = repo.state();
    let again = new(&repo, "a", &["--json"]).at("2026-03-01T18:00:00Z").ok().json();
    assert_eq!((&again["outcome"], &again["plan"]["created"]), (&json!("unchanged"), &json!(NOON)));
    assert!(
        new(&repo, "a", &[])
            .ok()
            .stdout
            .ends_with("is there already, in _plans/2026-03-01-work.plan.json; nothing to do\n")
    );
    for (agent, more) in [
        ("b", &[][..]),
        ("a", &["--step", "S3:More"]),
        ("a", &["--owner", "b"]),
        ("a", &["--task", "T-1"]),
    ] {
        let error = new(&repo, agent, more).fails(3, "plan-exists");
        assert_eq!(error["plan_id"], "2026-03-01-work");
    }
    assert_eq!(repo.state(), before);
    step(&repo, &["S1", "--status", "in_progress"]).ok();
    assert_eq!(
        new(&repo, "a", &["--json"]).ok().json()["outcome"],
        "unchanged",
        "however far it has come since"
    );
    new(&repo, "a", &[]).at("2026-03-02T12:00:00Z").ok();
    assert!(
        repo.path("_plans/2026-03-02-work.plan.json").exists(),
        "on another day it is another plan"
    );
}

#[test]
fn what_makes_no_plan_is_a_usage_error() {
    let repo = Repo::new();
    let before = repo.state();
    let new = |slug: &str, step: &str| {
        repo.by("a", &["plan", "new", slug, "--summary", "x", "--step", step]).fails(2, "usage")
    };
    for slug in ["Work", "../work", "a b", "-a", "a--b", "a.b", "2026-03-01-work"] {
        if !slug.starts_with('-') {
            new(slug, "S1:t");
        }
    }
    for step in ["S1", ":t", "S1:", "S1: ", "S 1:t", "../S:t"] {
        new("work", step);
    }
    repo.by("a", &["plan", "new", "work", "--summary", "", "--step", "S1:t"]).fails(2, "usage");
    repo.by("a", &["plan", "new", "work", "--summary", "x"]).fails(2, "usage");
    repo.by("a", &["plan", "new", "work", "--summary", "x", "--step", "S1:a", "s1:b"])
        .fails(2, "usage");
    repo.by("a", &["plan", "new", &"x".repeat(95), "--summary", "x", "--step", "S1:a"])
        .fails(2, "bad-id");
    let much = "x".repeat(1024 * 1024);
    let notes: Vec<String> =
        (0..9).map(|number| format!("S{number}:{}", &much[..120 * 1024])).collect();
    let mut words = vec!["plan", "new", "work", "--summary", "x", "--step"];
    words.extend(notes.iter().map(String::as_str));
    repo.by("a", &words).fails(2, "usage");
    repo.bus(&["plan", "new", "work", "--summary", "x", "--step", "S1:a"]).fails(2, "no-identity");
    assert_eq!(repo.state(), before);
}

#[test]
fn a_step_is_done_with_a_receipt_and_the_plan_follows() {
    let repo = planned();
    let ran = step(&repo, &["S1", "--status", "in_progress"]).ok();
    assert_eq!(
        ran.stdout,
        "2026-03-01-work S1 is in_progress, plan in_progress (0/2 done, checkpoint pending)\n"
    );
    let error = step(&repo, &["S2", "--status", "in_progress"]).fails(3, "plan-refused");
    assert_eq!((&error["in_progress"], &error["step"]), (&json!("S1"), &json!("S2")));
    assert!(
        error["hint"].as_str().unwrap().contains("bus plan step 2026-03-01-work S1"),
        "{error}"
    );
    step(&repo, &["S1", "--status", "blocked"]).ok();
    assert_eq!(record(&repo)["status"], "blocked");
    let before = repo.state();
    step(&repo, &["S1", "--status", "done"]).fails(3, "plan-refused");
    assert_eq!(repo.state(), before);
    let done =
        step(&repo, &["s1", "--status", "done", "--receipt", "logs/a.log", "--json"]).ok().json();
    assert_eq!(
        (&done["outcome"], &done["progress"]),
        (&json!("updated"), &json!({"done": 1, "total": 2}))
    );
    let sum = done["plan"]["steps"][0]["receipt_hashes"]["logs/a.log"].as_str().unwrap().to_owned();
    let expected = std::process::Command::new("sha256sum")
        .arg(repo.path("logs/a.log"))
        .output()
        .unwrap()
        .stdout;
    assert!(String::from_utf8(expected).unwrap().starts_with(&sum) && sum.len() == 64, "{sum}");
    assert_eq!(record(&repo)["status"], "in_progress");
    let ran = step(&repo, &["S2", "--status", "done", "--receipt", "logs/a.log"]).ok();
    assert_eq!(record(&repo)["status"], "in_progress", "that the whole is done is somebody's word");
    let ran =
        ran.says("all steps are done; end the plan with `bus plan status 2026-03-01-work done`");
    assert_eq!(
        ran.stdout,
        "2026-03-01-work S2 is done, plan in_progress (2/2 done, checkpoint pending)\n"
    );
    repo.by("a", &["plan", "status", "work", "done", "--checkpoint", "satisfied"]).ok();
    assert_eq!(
        (&record(&repo)["status"], &record(&repo)["checkpoint"]["status"]),
        (&json!("done"), &json!("satisfied"))
    );
    assert_eq!(repo.bus(&["plan", "status", "work"]).ok().stdout, "done\n");
    let status = repo.bus(&["plan", "status", "work", "--json"]).ok().json();
    assert_eq!((&status["status"], &status["checkpoint"]), (&json!("done"), &json!("satisfied")));
    repo.bus(&["plan", "validate", "--strict"]).ok();
}

#[test]
fn done_is_final_for_steps_and_plans() {
    let repo = planned();
    step(&repo, &["S1", "--status", "done", "--receipt", "logs/a.log"]).ok();
    for status in ["queued", "in_progress", "blocked", "pending"] {
        assert_eq!(step(&repo, &["S1", "--status", status]).fails(3, "plan-refused")["step"], "S1");
    }
    assert_eq!(
        step(&repo, &["S1", "--status", "done", "--json"]).ok().json()["outcome"],
        "unchanged"
    );
    step(&repo, &["S1", "--note", "more of it"]).ok();
    let before = repo.state();
    for more in [&[][..], &["--checkpoint", "satisfied"]] {
        let error = repo
            .by("a", &[&["plan", "status", "work", "done"], more].concat())
            .fails(3, "plan-refused");
        assert_eq!(error["steps"], json!(["S2"]));
        assert!(error["hint"].as_str().unwrap().contains("finish S2 first"), "{error}");
    }
    assert_eq!(repo.state(), before);
    let given_up = ["plan", "status", "work", "done", "--checkpoint", "superseded"];
    repo.by("a", &given_up).ok().says("1 of its 2 steps are not");
    assert_eq!(
        repo.by("a", &["plan", "status", "work", "done", "--json"]).ok().json()["outcome"],
        "unchanged"
    );
    for status in ["queued", "in_progress", "in-progress", "blocked"] {
        repo.by("a", &["plan", "status", "work", status]).fails(3, "plan-refused");
        step(&repo, &["S2", "--status", status]).exits(if status == "queued" { 0 } else { 3 });
    }
    step(&repo, &["S2", "--status", "done", "--receipt", "logs/a.log"]).ok();
    assert_eq!(record(&repo)["status"], "done");
}

#[test]
fn notes_are_added_and_never_lost() {
    let repo = planned();
    for note in ["one", "two", "two", "wo"] {
        step(&repo, &["S1", "--note", note]).ok();
    }
    assert_eq!(record(&repo)["steps"][0]["notes"], "one\ntwo\nwo");
    step(&repo, &["S1"]).fails(2, "usage");
    step(&repo, &["S1", "--note", ""]).fails(2, "usage");
    let shown = repo.bus(&["plan", "show", "work"]).ok().stdout;
    assert!(
        shown.contains(
            "\nS1 :: queued :: First\n  note :: one\n  note :: two\n  note :: wo\nS2 :: queued"
        ),
        "{shown}"
    );
}

#[test]
fn a_receipt_is_named_from_where_one_stands_or_from_the_root() {
    let repo = planned();
    repo.write("deep/down/b.log", "b\n");
    let inside = repo.path("deep");
    let add = |path: &str| step(&repo, &["S1", "--receipt", path]).within(&inside);
    let whole = repo.path("logs/a.log");
    for path in [
        "down/b.log",
        "./down/../down/b.log",
        "../logs/a.log",
        "logs/a.log",
        "deep/down/b.log",
        whole.to_str().unwrap(),
    ] {
        add(path).ok();
    }
    assert_eq!(record(&repo)["steps"][0]["receipts"], json!(["deep/down/b.log", "logs/a.log"]));
    let from_outside = repo.by(
        "a",
        &["-C", inside.to_str().unwrap(), "plan", "step", "work", "S2", "--receipt", "down/b.log"],
    );
    from_outside.within(Path::new("/")).ok();
    assert_eq!(record(&repo)["steps"][1]["receipts"], json!(["deep/down/b.log"]));
    assert_eq!(add("nothing.log").fails(4, "no-receipt")["file"], "nothing.log");
    for path in ["../../elsewhere", "/etc/hostname", "..", ".", "", "down", "../.git/HEAD"] {
        add(path).fails(2, "usage");
    }
    step(&repo, &["S1", "--note", "x", "--receipt", "logs/a.log", "gone"]).fails(4, "no-receipt");
    assert_eq!(record(&repo)["steps"][0].get("notes"), None, "all or nothing");
}

#[cfg(unix)]
#[test]
fn a_link_proves_nothing_and_no_plan_is_written_through_one() {
    let repo = planned();
    std::os::unix::fs::symlink("a.log", repo.path("logs/link")).unwrap();
    std::os::unix::fs::symlink("logs", repo.path("folder")).unwrap();
    step(&repo, &["S1", "--receipt", "logs/link"]).fails(2, "usage");
    // A folder that is a link has no file of its own: the file's own name is noted.
    step(&repo, &["S1", "--receipt", "folder/a.log"]).ok();
    assert!(repo.read(FILE).contains("\"logs/a.log\"") && !repo.read(FILE).contains("folder"));
    let elsewhere = repo.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(repo.path(FILE), elsewhere.join("p.json")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("p.json"), repo.path(FILE)).unwrap();
    let before = fs::read(elsewhere.join("p.json")).unwrap();
    step(&repo, &["S1", "--note", "x"]).fails(5, "not-a-regular-file");
    fs::remove_file(repo.path(FILE)).unwrap();
    fs::remove_dir_all(repo.path("_plans")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, repo.path("_plans")).unwrap();
    new(&repo, "a", &[]).fails(5, "not-a-regular-file");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert_eq!(fs::read(elsewhere.join("p.json")).unwrap(), before);
}

#[test]
fn evidence_that_is_gone_or_changed_is_noticed() {
    let repo = planned();
    repo.write("logs/b.log", "b\n");
    step(&repo, &["S1", "--status", "done", "--receipt", "logs/a.log", "logs/b.log"]).ok();
    repo.commit_all("proved");
    repo.write("logs/a.log", "better\n");
    fs::remove_file(repo.path("logs/b.log")).unwrap();
    let shown = repo.bus(&["plan", "show", "work", "--json"]).ok().json();
    let states: Vec<&Value> =
        shown["receipts"].as_array().unwrap().iter().map(|receipt| &receipt["state"]).collect();
    assert_eq!(states, ["changed", "gone"]);
    for more in [&[][..], &["--base", "HEAD"]] {
        let report = repo.bus(&[&["validate", "--json"], more].concat()).exits(1).json();
        assert_eq!(
            report["counts"],
            json!({"missing-receipt": 1, "receipt-changed": 1}),
            "{more:?}"
        );
    }
    repo.bus(&["plan", "validate"]).exits(1);
    step(&repo, &["S1", "--receipt", "logs/a.log"]).fails(3, "plan-refused");
    repo.write("logs/a.log", "fine\n");
    repo.write("logs/b.log", "b\n");
    repo.bus(&["plan", "validate", "--strict"]).ok();
}

#[test]
fn a_part_of_the_id_is_enough_where_it_is_one_plans() {
    let repo = Repo::new();
    for slug in ["parser-fuzz", "parser", "lexer"] {
        repo.by("a", &["plan", "new", slug, "--summary", "x", "--step", "S1:t"]).ok();
    }
    for asked in ["lexer", "LEX", "2026-03-01-lexer", "2026-03-01-parser"] {
        let plan = repo.bus(&["plan", "show", asked, "--json"]).ok().json();
        assert!(
            plan["plan"]["plan_id"].as_str().unwrap().contains(&asked.to_lowercase()),
            "{asked}"
        );
    }
    let error = repo.bus(&["plan", "show", "parser"]).fails(2, "usage");
    assert_eq!(error["plans"], json!(["2026-03-01-parser", "2026-03-01-parser-fuzz"]));
    assert_eq!(repo.bus(&["plan", "show", "../x"]).fails(4, "no-plan")["asked"], "../x");
    repo.by("a", &["plan", "status", "nope", "done"]).fails(4, "no-plan");
    let error = repo.by("a", &["plan", "step", "lexer", "S9", "--note", "x"]).fails(4, "no-step");
    assert_eq!(error["steps"], json!(["S1"]));
}

#[test]
fn plans_of_all_worktrees_are_listed_and_the_furthest_copy_is_shown() {
    let repo = planned();
    repo.commit_all("plan");
    let other = repo.worktree("wt");
    step(&repo, &["S1", "--status", "done", "--receipt", "logs/a.log"]).within(&other).ok();
    repo.by("b", &["plan", "new", "aside", "--summary", "x", "--step", "S1:t"]).within(&other).ok();
    let list = |folder: &Path| repo.bus(&["plan", "list", "--json"]).within(folder).ok().json();
    for folder in [&repo.root(), &other] {
        let plans = list(folder)["plans"].clone();
        let told: Vec<_> = plans
            .as_array()
            .unwrap()
            .iter()
            .map(|plan| (&plan["plan_id"], &plan["progress"]["done"]))
            .collect();
        assert_eq!(
            told,
            [(&json!("2026-03-01-aside"), &json!(0)), (&json!("2026-03-01-work"), &json!(1))]
        );
        assert_eq!(plans[1]["worktree"], json!(other.canonicalize().unwrap()));
    }
    let ran = repo.bus(&["plan", "list"]).ok();
    let lines: Vec<Vec<&str>> =
        ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["PLAN", "STATUS", "DONE", "STEP", "ACTOR", "TASK", "SUMMARY"]);
    assert_eq!(lines[2], ["2026-03-01-work", "in_progress", "1/2", "-", "a", "-", "Do", "it"]);
    let shown = |more: &[&str]| {
        let list = repo.bus(&[&["plan", "list", "--json"], more].concat()).ok().json();
        list["plans"].as_array().unwrap().len()
    };
    assert_eq!(
        (shown(&["--open"]), shown(&["--agent", "b"]), shown(&["--task", "T-1"])),
        (2, 1, 0)
    );
    // Here the plan is as it was, and here it is changed.
    step(&repo, &["S2", "--status", "in_progress"]).ok();
    let here = record(&repo);
    assert_eq!(
        (&here["steps"][0]["status"], &here["steps"][1]["status"]),
        (&json!("queued"), &json!("in_progress"))
    );
    // What only another worktree has is taken from there.
    repo.by("a", &["plan", "step", "aside", "S1", "--note", "mine"]).ok();
    assert!(repo.read("_plans/2026-03-01-aside.plan.json").contains("\"notes\": \"mine\""));
    assert!(
        !fs::read_to_string(other.join("_plans/2026-03-01-aside.plan.json"))
            .unwrap()
            .contains("mine")
    );
}

#[test]
fn plans_of_older_buses_are_read_and_keep_all_they_have() {
    let repo = Repo::new();
    let old = r#"{"version": 0, "plan_id": "2026-03-01-Work", "created": "2025-09-19T00:00:00Z", "actor": "codex-2", "summary": "Old",
        "status": "pending", "layer": "L5", "size": 1.50, "steps": [{"id": "S 1", "title": "t", "status": "done", "notes": "", "x": [1]},
        {"id": "S2", "title": "t", "status": "pending", "receipts": []}],
        "checkpoint": {"description": "d", "owner": "Octo", "status": "pending", "y": {}}, "links": [{"type": "task", "ref": "r", "z": 2e3}]}"#;
    repo.write("_plans/2026-03-01-Work.plan.json", format!("{old}\n"));
    repo.bus(&["plan", "show", "2026-03-01-work"]).ok();
    repo.by(
        "a",
        &["plan", "step", "2026-03-01-WORK", "S2", "--status", "in_progress", "--note", "new"],
    )
    .ok();
    let text = repo.read("_plans/2026-03-01-Work.plan.json");
    assert_eq!(
        fs::read_dir(repo.path("_plans"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().extension().is_some())
            .count(),
        1
    );
    let record: Value = serde_json::from_str(&text).unwrap();
    assert!(text.contains("\"size\": 1.50"), "a number keeps its digits:\n{text}");
    assert_eq!(
        (&record["version"], &record["layer"], &record["steps"][0]["x"]),
        (&json!(0), &json!("L5"), &json!([1]))
    );
    assert_eq!(
        (&record["status"], &record["checkpoint"]["y"]),
        (&json!("in_progress"), &json!({}))
    );
    repo.by("a", &["plan", "new", "work", "--summary", "x", "--step", "S1:t"])
        .fails(3, "plan-exists");
}

#[test]
fn a_file_that_is_no_plan_hides_no_other_and_is_never_overwritten() {
    let repo = planned();
    repo.write("_plans/2026-03-01-bad.plan.json", "{\n\"plan_id\": 7}\n");
    repo.write("_plans/2026-03-01-other.plan.json", repo.read(FILE));
    let list = repo.bus(&["plan", "list", "--json"]).ok().json();
    assert_eq!(
        (list["plans"].as_array().unwrap().len(), list["unreadable"].as_array().unwrap().len()),
        (1, 2)
    );
    assert_eq!(list["unreadable"][0]["code"], "malformed-record");
    repo.bus(&["plan", "list"]).ok().says("`_plans/2026-03-01-bad.plan.json` line ");
    let before = repo.state();
    let error =
        repo.by("a", &["plan", "step", "bad", "S1", "--note", "x"]).fails(5, "malformed-record");
    assert_eq!(error["file"], "_plans/2026-03-01-bad.plan.json");
    repo.by("a", &["plan", "status", "other"]).fails(5, "malformed-record");
    repo.by("a", &["plan", "new", "bad", "--summary", "x", "--step", "S1:t"])
        .fails(5, "malformed-record");
    assert_eq!(repo.state(), before);
    let report = repo.bus(&["plan", "validate", "other", "--json"]).exits(1).json();
    assert_eq!((&report["counts"], &report["files"]), (&json!({"wrong-file-name": 1}), &json!(1)));
    repo.bus(&["plan", "validate", "work"]).ok();
    repo.bus(&["plan", "validate", "nope"]).fails(4, "no-plan");
}

#[test]
fn plan_validate_is_the_validator_over_plans_alone() {
    let repo = planned();
    repo.write("queue/001-x.md", "no heading\n");
    repo.bus(&["validate"]).exits(1);
    repo.bus(&["plan", "validate", "--strict"]).ok();
    repo.write("_plans/odd.plan.json", repo.read(FILE).replace("2026-03-01-work", "odd"));
    repo.bus(&["plan", "validate"]).ok();
    repo.bus(&["plan", "validate", "--strict"]).exits(1);
    let github = repo.bus(&["plan", "validate"]).env("GITHUB_ACTIONS", "true").ok().stdout;
    assert!(github.starts_with("::warning file=_plans/odd.plan.json"), "{github}");
    let sarif = repo.bus(&["plan", "validate", "--format", "sarif"]).ok().json();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "undated-plan");
}

#[test]
fn text_of_a_plan_does_no_harm_to_a_terminal() {
    let repo = Repo::new();
    let evil = "x\u{1b}[2Jy\u{202e}z";
    repo.by(
        "a",
        &[
            "plan",
            "new",
            "work",
            "--summary",
            evil,
            "--step",
            &format!("S1:{evil}"),
            "--checkpoint",
            evil,
        ],
    )
    .ok();
    step(&repo, &["S1", "--note", evil]).ok();
    for words in [&["plan", "list"][..], &["plan", "show", "work"], &["plan", "show", evil]] {
        let ran = repo.bus(words).run();
        assert!(!(ran.stdout + &ran.stderr).contains(['\u{1b}', '\u{202e}']), "{words:?}");
    }
}

#[test]
fn a_claim_names_the_plan_of_its_task() {
    let repo = Repo::new();
    new(&repo, "a", &["--task", "T-1"]).ok();
    repo.by("b", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["plan_id"], "2026-03-01-work");
    repo.by("b", &["claim", "T-2"]).ok();
    assert_eq!(repo.claim("T-2").get("plan_id"), None, "it is for another task");
    repo.by("b", &["claim", "T-2", "--plan", "other"]).ok();
    repo.by("b", &["release", "T-2"]).ok();
    new(&repo, "a", &["--task", "T-2"]).at("2026-03-02T12:00:00Z").ok();
    repo.by("b", &["claim", "T-2"]).ok();
    assert_eq!(repo.claim("T-2")["plan_id"], "other", "what the last claim named carries over");
    repo.by("b", &["release", "T-1", "--status", "released"]).ok();
    repo.by("boss", &["assign", "T-1", "--engineer", "c", "--plan", "assigned"]).ok();
    repo.by("c", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["plan_id"], "assigned", "a manager's word comes first");
    repo.by("boss", &["assign", "T-3", "--engineer", "c", "--plan", "assigned"]).ok();
    repo.by("c", &["claim", "T-3", "--plan", "given"]).ok();
    assert_eq!(repo.claim("T-3")["plan_id"], "given");
}

#[test]
fn of_several_plans_of_a_task_the_newest_that_is_not_done_is_named() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    for (day, slug) in [(1, "first"), (2, "second"), (3, "third")] {
        let words = ["plan", "new", slug, "--summary", "x", "--step", "S1:t", "--task", "t-1"];
        repo.by("boss", &words).at(&format!("2026-03-0{day}T12:00:00Z")).within(&other).ok();
    }
    repo.by("boss", &["plan", "status", "third", "done", "--checkpoint", "superseded"])
        .within(&other)
        .ok();
    repo.by("a", &["claim", "T-1"]).at("2026-03-04T12:00:00Z").ok();
    assert_eq!(
        repo.claim("T-1")["plan_id"],
        "2026-03-02-second",
        "also where another worktree has it"
    );
    // Old plans are found by the task's id in theirs, however many others there are.
    let many = |task: &str, slug: &str| {
        ["plan", "new", slug, "--summary", "x", "--step", "S1:t", "--task", task].map(str::to_owned)
    };
    let made = |words: [String; 9], day: &str| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        repo.by("boss", &words).at(&format!("2026-{day}T12:00:00Z")).ok();
    };
    made(many("QUEUE-7", "queue-7"), "01-01");
    made(many("QUEUE-8", "something"), "01-01");
    (0..20).for_each(|number| made(many("X-1", &format!("n{number}")), "02-01"));
    repo.by("a", &["claim", "QUEUE-7"]).ok();
    repo.by("a", &["claim", "QUEUE-8"]).ok();
    assert_eq!(repo.claim("QUEUE-007")["plan_id"], "2026-01-01-queue-7");
    assert_eq!(repo.claim("QUEUE-008").get("plan_id"), None, "only a few are looked into");
}

#[test]
fn a_plan_for_a_task_of_ones_own_is_named_by_the_claim_at_once() {
    let repo = Repo::new();
    repo.by("a", &["claim", "Task-1", "--notes", "mine"]).ok();
    let ran =
        new(&repo, "a", &["--task", "TASK-1", "--json"]).ok().says("the task is spelled `Task-1`");
    let claim = repo.claim("Task-1");
    assert_eq!((&claim["plan_id"], &claim["notes"]), (&json!("2026-03-01-work"), &json!("mine")));
    assert_eq!((&ran.json()["claim"], &claim), (&repo.tip("TASK-1"), &claim));
    assert_eq!(record(&repo)["links"][0]["ref"], "_bus/claims/Task-1.json");
    repo.by("b", &["plan", "step", "work", "S1", "--status", "in_progress"])
        .ok()
        .says("Task-1 is claimed by a, on `agent/a/task-1`");
    repo.by("b", &["plan", "new", "mine", "--summary", "x", "--step", "S1:t", "--task", "Task-1"])
        .ok()
        .says("claimed by a");
    assert_eq!(
        repo.claim("Task-1")["plan_id"],
        "2026-03-01-work",
        "nobody changes another's claim"
    );
    repo.by("a", &["release", "Task-1"]).ok();
    let ended = repo.state();
    new(&repo, "a", &["--task", "Task-1"]).ok();
    assert_eq!(repo.state(), ended, "a claim that has ended stays as it is");
}

#[cfg(debug_assertions)]
#[test]
fn a_plan_that_died_is_finished_by_the_same_command() {
    let stage = || {
        let repo = Repo::new();
        repo.by("a", &["claim", "T-1"]).ok();
        repo.write("logs/a.log", "fine\n");
        repo
    };
    let make: &[&str] =
        &["plan", "new", "work", "--summary", "x", "--step", "S1:t", "--task", "T-1"];
    let end: &[&str] = &[
        "plan",
        "step",
        "work",
        "S1",
        "--status",
        "done",
        "--note",
        "n",
        "--receipt",
        "logs/a.log",
    ];
    let close: &[&str] = &["plan", "status", "work", "done", "--checkpoint", "satisfied"];
    for (before, command) in [(&[][..], make), (&[make][..], end), (&[make, end][..], close)] {
        let whole = stage();
        before.iter().chain([&command]).for_each(|words| drop(whole.by("a", words).ok()));
        let mut steps = vec!["file-written-aside", "plan-written"];
        steps.extend(
            (command == make)
                .then_some(["ref-written", "line-appended", "file-settled"])
                .into_iter()
                .flatten(),
        );
        for step in steps {
            let repo = stage();
            before.iter().for_each(|words| drop(repo.by("a", words).ok()));
            let died = repo.by("a", command).env("BUS_CRASH_AT", step).run();
            assert_eq!(died.status, None, "{step} is never reached:\n{}", died.transcript);
            repo.by("a", command).ok();
            assert_eq!(repo.read(FILE), whole.read(FILE), "after a crash at {step}");
            assert_eq!(repo.claim("T-1")["plan_id"], "2026-03-01-work");
            assert_eq!(
                repo.history("T-1").len(),
                2,
                "the claim took the plan once, after a crash at {step}"
            );
            let settled = repo.state();
            repo.by("a", command).ok();
            assert_eq!(repo.state(), settled, "done twice, after a crash at {step}");
            assert!(
                fs::read_dir(repo.path("_plans"))
                    .unwrap()
                    .flatten()
                    .all(|entry| !entry.path().ends_with(".tmp"))
            );
            repo.bus(&["plan", "validate", "--strict"]).ok();
        }
    }
}

#[test]
fn steps_that_are_changed_at_once_are_all_changed() {
    let repo = Repo::new();
    let steps: Vec<String> = (0..12).map(|number| format!("S{number}:t")).collect();
    let mut words = vec!["plan", "new", "work", "--summary", "x", "--step"];
    words.extend(steps.iter().map(String::as_str));
    repo.by("a", &words).ok();
    let change = |number: usize| {
        step(&repo, &[&format!("S{number}"), "--note", "seen", "--status", "blocked"]).start()
    };
    let children: Vec<_> = (0..12).map(change).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let record = record(&repo);
    let seen = record["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["notes"] == "seen" && step["status"] == "blocked");
    assert_eq!(seen.count(), 12);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_exit_9_and_the_same_command_works_once_there_is_room() {
    let repo = planned();
    let note = "n".repeat(4000);
    let commands: [&[&str]; 3] = [
        &["plan", "new", "big", "--summary", &note, "--step", "S1:t"],
        &["plan", "step", "work", "S1", "--note", &note],
        &["receipt", "add", "big.log", "--plan", "work", "--step", "S1"],
    ];
    repo.write("big.log", &note);
    for command in commands {
        let before = repo.state();
        let script =
            [&["-c", "ulimit -f 4; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_bus")], command]
                .concat();
        let ran = repo.other("sh", &script).env("BUS_AGENT", "a").exits(9);
        assert!(ran.stderr.contains("hint: make room"), "{}", ran.transcript);
        assert_eq!(repo.state(), before, "{command:?}");
        repo.by("a", command).ok();
    }
}

#[test]
fn a_plan_of_the_future_is_no_claims() {
    let repo = planned();
    let plan = record(&repo);
    let write = |id: &str, created: &str| {
        let mut plan = plan.clone();
        plan["plan_id"] = json!(id);
        plan["created"] = json!(created);
        plan["links"] = json!([{"type": "bus", "ref": "_bus/claims/T-1.json"}]);
        repo.write(&format!("_plans/{id}.plan.json"), format!("{plan:#}\n"));
    };
    write("2026-02-28-now", "2026-03-01T12:00:00Z");
    write("2999-01-01-later", "2999-01-01T00:00:00Z");
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["plan_id"], "2026-02-28-now");
    write("2026-02-28-now", "2026-03-01T12:00:01Z");
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("b", &["claim", "T-2"]).ok();
    assert_eq!(repo.claim("T-2")["plan_id"], Value::Null);
}

#[test]
fn a_plan_that_is_copied_without_its_receipts_is_warned_of() {
    let repo = planned();
    step(&repo, &["S1", "--status", "done", "--receipt", "logs/a.log"]).ok();
    let wt = repo.worktree("wt");
    let said =
        repo.by("a", &["plan", "step", "work", "S2", "--status", "in_progress"]).within(&wt).ok();
    let root = repo.root().canonicalize().unwrap();
    said.says(&format!("were not: logs/a.log; bring them from `{}`", root.display()));
    repo.by("a", &["plan", "validate", "--strict"]).within(&wt).exits(1);
    std::fs::create_dir(wt.join("logs")).unwrap();
    std::fs::copy(repo.path("logs/a.log"), wt.join("logs/a.log")).unwrap();
    repo.by("a", &["plan", "validate", "--strict"]).within(&wt).ok();
    let said = repo.by("a", &["plan", "step", "work", "S2", "--note", "x"]).within(&wt).ok();
    assert_eq!(said.stderr, "");
}
