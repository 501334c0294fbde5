//! A whole day of a manager and four engineers in four worktrees, by the binary alone, which ends
//! in the manager's report.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness::{Bus, Ran, Repo};
use super::snapshot::assert_snapshot;

/// The day's repository: the manager in the main worktree, `codex-1` to `codex-4` in one each.
struct Day {
    repo: Repo,
    /// The commit that the day began with.
    morning: String,
}

impl Day {
    fn begin() -> Self {
        let repo = Repo::new();
        repo.write("CHANGELOG.md", "# Changes\n");
        // Worktrees are beside, and manifests are nobody's business.
        repo.commit_all("changelog");
        let morning = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
        for number in 1..=4 {
            let tree = repo.beside(&format!("codex-{number}"));
            repo.git(&["worktree", "add", "--quiet", "--detach", tree.to_str().unwrap()]);
        }
        Self { repo, morning }
    }

    fn tree(&self, agent: &str) -> PathBuf {
        if agent == "boss" { self.repo.root() } else { self.repo.beside(agent) }
    }

    /// A command of an agent in its worktree, at a time of the day.
    fn at(&self, time: &str, agent: &str, arguments: &[&str]) -> Bus<'_> {
        self.repo
            .by(agent, arguments)
            .within(&self.tree(agent))
            .at(&format!("2026-03-02T{time}:00Z"))
    }

    fn on(&self, time: &str, agent: &str, line: &str) -> Bus<'_> {
        self.at(time, agent, &line.split_whitespace().collect::<Vec<_>>())
    }

    fn branch(&self, agent: &str, task: &str) {
        self.repo.git_in(
            &self.tree(agent),
            &["switch", "--quiet", "-c", &format!("agent/{agent}/{task}")],
        );
    }

    fn work(&self, agent: &str, file: &str, text: &str) {
        let path = self.tree(agent).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.commit(agent, file);
    }

    fn commit(&self, agent: &str, message: &str) {
        self.repo.commit_all_in(&self.tree(agent), message);
    }
}

/// The manager plans the day, and the engineers arrive.
fn morning(day: &Day) {
    let boss = |time: &str, arguments: &[&str]| day.at(time, "boss", arguments).ok();
    boss("08:00", &["session", "start", "--role", "manager", "--no-fetch"]);
    for (title, more) in [
        ("Read the new syntax", &["--priority", "high"][..]),
        ("Write the lexer", &["--priority", "high"]),
        ("Keep comments", &[]),
        ("Format | the <b>tree</b>", &[]),
        ("Release it @everybody", &["--after", "QUEUE-001", "--after", "QUEUE-002"]),
        ("Write the manual", &["--priority", "low"]),
    ] {
        boss("08:05", &[&["queue", "add", title], more].concat());
    }
    boss(
        "08:10",
        &[
            "plan",
            "new",
            "queue-001",
            "--task",
            "QUEUE-001",
            "--summary",
            "New syntax",
            "--step",
            "S1:Tests",
            "--step",
            "S2:Parser",
        ],
    );
    for (task, engineer) in
        [("QUEUE-001", "codex-1"), ("QUEUE-002", "codex-2"), ("QUEUE-006", "codex-4")]
    {
        boss("08:15", &["assign", task, "--engineer", engineer]);
    }
    day.commit("boss", "the day's plan");
    for agent in ["codex-1", "codex-2", "codex-3", "codex-4"] {
        day.repo.git_in(&day.tree(agent), &["merge", "--quiet", "main"]);
        let screen =
            day.at("08:30", agent, &["session", "start", "--no-fetch", "--json"]).ok().json();
        let next = screen["next"].as_str().unwrap();
        match agent {
            "codex-1" => assert_eq!(next, "bus claim QUEUE-001"),
            "codex-3" => assert_eq!(next, "bus claim --next"),
            _ => {}
        }
    }
}

/// `codex-1` works by the plan, is done, and is squashed.
fn the_one_who_lands(day: &Day) {
    let (me, plan) = ("codex-1", "2026-03-02-queue-001");
    day.branch(me, "queue-001");
    let claim = day.on("08:40", me, "claim QUEUE-001 --json").ok().json();
    assert_eq!(claim["claim"]["plan_id"], plan);
    day.at(
        "08:41",
        me,
        &[
            "event",
            "log",
            "--event",
            "status",
            "--task",
            "QUEUE-001",
            "--summary",
            "reading the parser",
        ],
    )
    .ok();
    for (step, time) in [("S1", "09:00"), ("S2", "10:00")] {
        day.at(time, me, &["plan", "step", plan, step, "--status", "in_progress"]).ok();
        day.work(me, &format!("src/{step}.rs"), &format!("// {step}\n"));
        fs::write(day.repo.beside("tests.log"), format!("{step}: ok\n")).unwrap();
        let log = day.repo.beside("tests.log");
        let stored = day
            .at(
                time,
                me,
                &[
                    "receipt",
                    "add",
                    log.to_str().unwrap(),
                    "--task",
                    "QUEUE-001",
                    "--name",
                    &format!("{step}.log"),
                ],
            )
            .ok()
            .stdout;
        let done = format!("plan step {plan} {step} --status done --receipt {}", stored.trim());
        day.on(time, me, &done).ok();
    }
    day.work(me, "CHANGELOG.md", "# Changes\n\n- New syntax\n");
    day.at("10:30", me, &["plan", "status", plan, "done", "--checkpoint", "satisfied"]).ok();
    day.at(
        "10:31",
        me,
        &[
            "event",
            "log",
            "--event",
            "complete",
            "--task",
            "QUEUE-001",
            "--summary",
            "tests pass; ready to merge",
        ],
    )
    .ok();
    day.on("10:32", me, "release QUEUE-001").ok();
    day.commit(me, "the bus of codex-1");
    day.at("10:33", me, &["session", "end", "--summary", "QUEUE-001 is done"]).ok();
    // The manager takes it as one commit, and the branch goes.
    day.repo.git(&["merge", "--squash", "--quiet", "agent/codex-1/queue-001"]);
    day.repo.git(&["commit", "--quiet", "--message", "New syntax (#1)"]);
    day.repo.git_in(&day.tree(me), &["switch", "--quiet", "--detach"]);
    day.repo.git(&["branch", "--quiet", "-D", "agent/codex-1/queue-001"]);
}

/// `codex-2` dies in the middle of a command, and `codex-3` takes its task over.
fn the_one_who_dies(day: &Day) {
    day.branch("codex-2", "queue-002");
    day.on("08:45", "codex-2", "claim QUEUE-002").ok();
    day.work("codex-2", "src/lexer.rs", "// half a lexer\n");
    let died = day
        .on("09:00", "codex-2", "claim QUEUE-002 --notes dying")
        .env("BUS_CRASH_AT", "ref-written")
        .run();
    assert_ne!(died.status, Some(0));
    day.repo.git_in(
        &day.tree("codex-3"),
        &["switch", "--quiet", "-c", "agent/codex-3/queue-002", "main"],
    );
    day.on("14:00", "codex-3", "reclaim QUEUE-002 --note no-answer").exits(3);
    day.on("15:30", "codex-3", "reclaim QUEUE-002 --note no-answer").ok();
    let lost = day.on("16:00", "codex-2", "release QUEUE-002").exits(8);
    assert!(lost.stderr.contains("codex-3"), "{}", lost.transcript);
}

/// `codex-3` is done, nobody has merged it, and `codex-4` asks for the same task.
fn the_one_who_is_not_merged(day: &Day) {
    let me = "codex-3";
    day.branch(me, "queue-003");
    let claim = day.on("09:10", me, "claim --next --json").ok().json();
    assert_eq!(claim["claim"]["task_id"], "QUEUE-003");
    day.work(me, "src/comments.rs", "// comments\n");
    day.on("11:00", me, "release QUEUE-003 --notes kept").ok();
    day.commit(me, "the bus of codex-3");
    let refused = day.on("11:30", "codex-4", "claim QUEUE-003").fails(3, "task-finished");
    assert_eq!(refused["owner"], me);
    day.at(
        "11:31",
        "codex-4",
        &["event", "log", "--event", "complete", "--task", "QUEUE-002", "--summary", "mine"],
    )
    .exits(3);
}

/// `codex-4` plans, gets stuck, and asks.
fn the_one_who_is_stuck(day: &Day) {
    let me = "codex-4";
    day.branch(me, "queue-004");
    day.on("11:40", me, "claim --next --json").ok();
    day.at(
        "11:45",
        me,
        &[
            "plan",
            "new",
            "format",
            "--task",
            "QUEUE-004",
            "--summary",
            "Format",
            "--step",
            "F1:Design",
        ],
    )
    .ok();
    day.at(
        "12:00",
        me,
        &[
            "plan",
            "step",
            "format",
            "F1",
            "--status",
            "blocked",
            "--note",
            "needs a <decision> on `tabs`",
        ],
    )
    .ok();
    day.at(
        "12:01",
        me,
        &[
            "message",
            "send",
            "--to",
            "boss",
            "--task",
            "QUEUE-004",
            "--type",
            "request",
            "--summary",
            "tabs | spaces? @boss",
        ],
    )
    .ok();
}

/// The report of the evening, as facts.
fn facts(day: &Day) -> Value {
    day.at("18:00", "boss", &["report", "--json"]).ok().json()
}

fn task<'a>(report: &'a Value, task: &str) -> &'a Value {
    report["tasks"].as_array().unwrap().iter().find(|facts| facts["task_id"] == task).unwrap()
}

fn needs(report: &Value) -> Vec<(&str, &str)> {
    let needs = report["needs"].as_array().unwrap().iter();
    needs
        .map(|need| (need["kind"].as_str().unwrap(), need["task_id"].as_str().unwrap_or("-")))
        .collect()
}

/// Object ids are new each time: they are numbered as they come.
fn without_ids(text: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_id =
            index % 2 == 1 && part.len() == 7 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return part.to_owned();
        }
        let number = known.iter().position(|id| id == part).unwrap_or_else(|| {
            known.push(part.to_owned());
            known.len() - 1
        });
        format!("commit-{number}")
    });
    parts.collect::<Vec<_>>().join("`")
}

#[test]
fn a_day_ends_in_a_report_that_says_what_was_done_and_what_needs_the_manager() {
    let day = Day::begin();
    morning(&day);
    the_one_who_lands(&day);
    the_one_who_is_not_merged(&day);
    the_one_who_is_stuck(&day);
    the_one_who_dies(&day);
    let report = facts(&day);
    for (id, state, owner, verdict) in [
        ("QUEUE-001", "landed", "codex-1", "as said"),
        ("QUEUE-002", "active", "codex-3", "no work yet"),
        ("QUEUE-003", "done", "codex-3", "not landed"),
        ("QUEUE-004", "active", "codex-4", "no work yet"),
        ("QUEUE-006", "waiting", "codex-4", "-"),
    ] {
        let facts = task(&report, id);
        assert_eq!(
            (&facts["state"], &facts["owner"], &facts["verdict"]),
            (&state.into(), &owner.into(), &verdict.into()),
            "{facts:#}"
        );
    }
    assert_eq!(
        (&task(&report, "QUEUE-005")["state"], &task(&report, "QUEUE-005")["blocked_by"]),
        (&"blocked".into(), &serde_json::json!(["QUEUE-002"]))
    );
    assert_eq!(task(&report, "QUEUE-001")["seen"]["landed"], "rewritten");
    assert_eq!(task(&report, "QUEUE-001")["plan"]["done"], 2);
    assert_eq!(
        needs(&report),
        [
            ("blocked", "QUEUE-004"),
            ("request", "QUEUE-004"),
            ("unmerged", "QUEUE-003"),
            ("waiting", "QUEUE-006")
        ]
    );
    let lane = &report["lane"];
    assert_eq!(
        (&lane["cycle"]["count"], &lane["cycle"]["median_seconds"]),
        (&2.into(), &6600.into())
    );
    assert_eq!(lane["rework"], serde_json::json!({"some": 1, "all": 4}));
    assert_eq!(
        (&lane["wait"]["count"], &lane["refused"]["some"]),
        (&1.into(), &1.into()),
        "{lane}"
    );
    let held: Vec<_> = report["held"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|held| held["task_id"] == "QUEUE-002")
        .collect();
    assert_eq!(
        (&held[0]["agent_id"], &held[0]["until"]),
        (&"codex-2".into(), &"2026-03-02T15:30:00Z".into())
    );
    assert_eq!((&held[1]["agent_id"], &held[1]["until"]), (&"codex-3".into(), &Value::Null));

    let path = day.on("18:00", "boss", "report --post").ok().stdout;
    let markdown = day.repo.read(path.trim());
    assert_eq!(path.trim(), "_report/manager/manager-report-2026-03-02T180000Z.md");
    assert_snapshot("report/day.md", &without_ids(&markdown));
    told_of(&day, path.trim());
    // The same bus at the same time: the same bytes, from any worktree.
    let again =
        day.on("18:00", "codex-2", "report --stdout --manager boss --since 1970-01-01").ok().stdout;
    let posted = day.on("18:00", "boss", "report --stdout --since 1970-01-01").ok().stdout;
    assert_eq!(again, posted);
    sound(&day);
}

fn told_of(day: &Day, path: &str) {
    let told =
        day.on("18:01", "codex-1", "message list --task manager-report --json").ok().ndjson();
    assert_eq!((&told[0]["type"], &told[0]["receipts"][0]), (&"consensus".into(), &path.into()));
    let events = day.on("18:01", "codex-1", "event list --event consensus --json").ok().ndjson();
    assert_eq!((events.len(), &events[0]["receipts"][0]), (1, &path.into()));
}

/// Every branch of the day passes the validator, warnings and all, and so does their merge.
fn sound(day: &Day) {
    for agent in ["boss", "codex-2", "codex-3", "codex-4"] {
        day.commit(agent, "the evening");
        let base = if agent == "boss" { &day.morning } else { "main" };
        let validated = validate(day, &day.tree(agent), base);
        // Its task was taken over: what it did is not its own to merge.
        let is_lost = validated.stdout.contains("[claim-lost]") && agent == "codex-2";
        assert!(validated.status == Some(0) || is_lost, "{}", validated.transcript);
    }
    for branch in ["agent/codex-3/queue-003", "agent/codex-4/queue-004", "agent/codex-2/queue-002"]
    {
        day.repo.git(&["merge", "--quiet", "--no-edit", branch]);
    }
    let validated = validate(day, &day.repo.root(), &day.morning);
    assert_eq!(validated.status, Some(0), "{}", validated.transcript);
}

fn validate(day: &Day, tree: &Path, base: &str) -> Ran {
    day.repo.bus(&["validate", "--strict", "--base", base]).within(tree).run()
}
