//! A bus with something of everything, all of it sound: what tests of the validator start from.

use std::fs;

use agent_bus::git::Repository;
use agent_bus::validate::{Against, Query, Report, validate};

use super::harness::Repo;

/// Which file events are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Single,
    PerAgent,
}

/// The policy of a bus as version 0.1 made it: it does not say where the records are.
const OLDER_POLICY: &str = "\
[events]
layout = \"per-agent\"
";

/// What `bus init` of version 0.1 wrote into git's own files.
const OLDER_ATTRIBUTES: &str = "\
_bus/**/*.jsonl text eol=lf merge=union
_bus/**/*.json text eol=lf
_plans/*.json text eol=lf
_report/agent/*/errors.jsonl text eol=lf merge=union
_report/agent/*/*/* -text
";

/// A repository with a bus as version 0.1 made it, whose records are in files of the branches,
/// committed.
pub(crate) fn older_bus() -> Repo {
    older_bus_with(OLDER_POLICY)
}

/// The same with another policy.
pub(crate) fn older_bus_with(policy: &str) -> Repo {
    let repo = Repo::bare_of_bus();
    repo.write("_bus/README.md", "A bus.\n");
    repo.write("_bus/config.toml", policy);
    repo.write(".gitattributes", OLDER_ATTRIBUTES);
    repo.write(".gitignore", "_bus/**/.*.tmp\n");
    repo.commit_all("bus");
    repo
}

/// The agents that are at work.
pub(crate) const AGENTS: [&str; 3] = ["codex-1", "codex-2", "claude-1"];

/// The bus of `repo`, committed; who owns what was written by the commands themselves.
pub(crate) fn sound_bus(layout: Layout) -> Repo {
    let layout = if layout == Layout::Single { "single" } else { "per-agent" };
    let repo = older_bus_with(&format!(
        "managers = [\"lead\"]\n[events]\nlayout = \"{layout}\"\n[locks]\nrequire = \"hotspots\"\nhotspots = [\"hot/\"]\n"
    ));
    write_records(&repo);
    work(&repo);
    repo.commit_all("work");
    repo
}

fn write_records(repo: &Repo) {
    for number in 1..=6 {
        repo.write(
            &format!("queue/00{number}-item.md"),
            format!("# Task: Item {number}\n\nGoal: it works.\n"),
        );
    }
    repo.write("_report/agent/codex-1/tests.log", "ok\n");
    repo.write("_report/agent/codex-2/result.json", "{}\n");
    repo.write(
        "_plans/2026-03-01-p-1.plan.json",
        plan("2026-03-01-p-1", "in_progress", "in_progress"),
    );
    repo.write("_plans/2026-03-01-p-2.plan.json", plan("2026-03-01-p-2", "done", "done"));
    let assignment = r#"{
  "assigned_at": "2026-03-01T10:00:00Z",
  "engineer": "codex-1",
  "manager": "lead",
  "note": null,
  "task_id": "QUEUE-001"
}
"#;
    repo.write("_bus/assignments/QUEUE-001.json", assignment);
    repo.write("_bus/assignments/QUEUE-004.json", assignment.replace("QUEUE-001", "QUEUE-004"));
    repo.write("_bus/meta/agents.json", "{\n  \"codex-1\": {}\n}\n");
    let message = |number: u32, rest: &str| {
        format!(
            "{{\"from\":\"codex-1\",\"id\":\"m-{number}\",\"summary\":\"s{number}\",{rest},\"ts\":\"2026-03-01T11:00:0{number}Z\",\"type\":\"note\"}}\n"
        )
    };
    let channel: String = (1..5)
        .map(|number| message(number, "\"meta\":{\"n\":1.50},\"task_id\":\"QUEUE-001\""))
        .collect();
    repo.write("_bus/messages/QUEUE-001.jsonl", channel);
    repo.write(
        "_bus/messages/codex-1@zzzz456789ab.jsonl",
        message(8, "\"to\":\"lead\"") + &message(9, "\"task_id\":\"QUEUE-002\""),
    );
    repo.write(
        "_bus/messages/agent-codex-2.jsonl",
        message(6, "\"to\":\"codex-2\"") + &message(7, "\"to\":\"codex-2\""),
    );
    let event = |number: u32| {
        format!(
            "{{\"agent_id\":\"claude-1\",\"event\":\"note\",\"id\":\"b-{number}\",\"summary\":\"s\",\"ts\":\"2026-03-01T11:00:0{number}Z\"}}\n"
        )
    };
    repo.write("_bus/events/claude-1@0123456789ab.jsonl", event(1) + &event(2) + &event(3));
    let refusal = r#"{"agent_id":"codex-1","event":"status","reason":"claim-held","task_id":"QUEUE-002","ts":"2026-03-01T11:00:00Z"}"#;
    repo.write("_report/agent/codex-1/errors.jsonl", format!("{refusal}\n"));
}

fn plan(id: &str, status: &str, second: &str) -> String {
    format!(
        r#"{{
  "actor": "codex-1",
  "checkpoint": {{
    "description": "it works",
    "owner": "lead",
    "status": "pending"
  }},
  "created": "2026-03-01T10:00:00Z",
  "links": [
    {{
      "ref": "_bus/claims/QUEUE-001.json",
      "type": "bus"
    }}
  ],
  "plan_id": "{id}",
  "receipts": [],
  "status": "{status}",
  "steps": [
    {{
      "id": "S1",
      "receipt_hashes": {{
        "_report/agent/codex-1/tests.log": "dc51b8c96c2d745df3bd5590d990230a482fd247123599548e0632fdbf97fc22"
      }},
      "receipts": ["_report/agent/codex-1/tests.log"],
      "status": "done",
      "title": "first"
    }},
    {{
      "id": "S2",
      "receipts": ["_report/agent/codex-2/result.json"],
      "status": "{second}",
      "title": "second"
    }}
  ],
  "summary": "a plan",
  "version": 1
}}
"#
    )
}

/// Claims in all states, some with a lineage, and events of all agents.
fn work(repo: &Repo) {
    let steps: [(&str, &[&str]); 14] = [
        ("codex-1", &["claim", "QUEUE-001", "--plan", "2026-03-01-p-1", "--notes", "at work"]),
        ("codex-2", &["claim", "QUEUE-002"]),
        ("codex-2", &["release", "QUEUE-002", "--status", "paused"]),
        ("codex-1", &["claim", "QUEUE-003"]),
        ("codex-1", &["release", "QUEUE-003", "--status", "released"]),
        ("claude-1", &["claim", "QUEUE-004", "--plan", "2026-03-01-p-2", "--allow-unassigned"]),
        ("claude-1", &["release", "QUEUE-004"]),
        ("codex-1", &["claim", "QUEUE-005"]),
        ("codex-1", &["release", "QUEUE-005", "--status", "released"]),
        ("codex-2", &["claim", "QUEUE-005"]),
        ("codex-2", &["release", "QUEUE-005", "--status", "paused"]),
        ("claude-1", &["reclaim", "QUEUE-005", "--note", "it rests"]),
        ("codex-1", &["claim", "lower-6"]),
        ("codex-1", &["claim", "lower-6", "--notes", "again"]),
    ];
    for (agent, arguments) in steps {
        repo.by(agent, arguments).ok();
    }
    for (number, agent) in AGENTS.iter().cycle().take(9).enumerate() {
        let summary = format!("found {number}");
        let time = format!("2026-03-01T12:10:0{number}Z");
        repo.by(
            agent,
            &["event", "log", "--event", "note", "--summary", &summary, "--severity", "low"],
        )
        .at(&time)
        .ok();
    }
}

/// What the validator says of `repo`, called as a library; compared with `base` if there is one.
pub(crate) fn judge(repo: &Repo, base: Option<&str>, branch: Option<&str>) -> Report {
    let opened = Repository::discover(&repo.root()).unwrap();
    let base = base.map_or(Against::Nothing, |base| Against::Revision(base.to_owned()));
    validate(&opened, &Query { base, branch: branch.map(str::to_owned), ..Query::default() })
        .unwrap()
}

/// All files of the bus of `repo`, by path, with their bytes.
pub(crate) fn files(repo: &Repo) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["_bus", "_plans", "queue", "_report"] {
        for entry in walkdir::WalkDir::new(repo.path(folder)).sort_by_file_name() {
            let entry = entry.unwrap();
            let path =
                entry.path().strip_prefix(repo.root()).unwrap().to_string_lossy().into_owned();
            if entry.file_type().is_file()
                && !path.ends_with("README.md")
                && !path.ends_with(".gitkeep")
            {
                files.push((path, fs::read(entry.path()).unwrap()));
            }
        }
    }
    files
}

#[test]
fn a_bus_with_something_of_everything_is_sound() {
    for layout in [Layout::Single, Layout::PerAgent] {
        let repo = sound_bus(layout);
        for base in [None, Some("HEAD"), Some("HEAD~1")] {
            let report = judge(&repo, base, None);
            assert_eq!(report.total(), 0, "{layout:?} {base:?} {:?}", report.findings);
        }
    }
}
