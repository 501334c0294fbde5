//! Every form of a report, byte for byte, over a bus full of hostile text.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::{Ran, Repo};
use crate::snapshot::assert_snapshot;
use crate::sound_bus::older_bus;

/// What would do harm where it is shown as it is: on a terminal, in a workflow's log, on a web
/// page.
const HOSTILE: &str =
    r"\u001b[2J%0A\n::set-output name=a::b\r<script>alert(1)</script>\u202e`|@all`\u0007";

/// A bus with findings of all sorts, in files of all sorts of names.
fn hostile() -> Repo {
    let repo = Repo::bare_of_bus();
    let rest = r#""event":"note","summary":"x","ts":"2026-01-01T00:00:00Z"}"#;
    let lines = [
        format!(r#"{{"agent_id":"codex-1","note":"日本🚌é","severity":"{HOSTILE}",{rest}"#),
        format!(r#"{{"agent_id":"codex-1","task_id":"{HOSTILE}",{rest}"#),
        format!(r#"{{"{HOSTILE}":1,"{HOSTILE}":2,"agent_id":"codex-1",{rest}"#),
        r#"{"agent_id":"codex-1","summary":"日本"#.to_owned(),
    ];
    repo.write("_bus/events/codex-1.jsonl", lines.join("\n") + "\n");
    let claim = format!(
        "{{\n  \"agent_id\": \"codex-1\",\n  \"branch\": \"{HOSTILE}\",\n  \"claimed_at\": \"{HOSTILE}\",\n  \"plan_id\": \"100%\",\n  \
         \"status\": \"active\",\n  \"task_id\": \"QUEUE-001\"\n}}\n"
    );
    repo.write("_bus/claims/a,b::c=d%0A.json", claim);
    repo.write("_bus/claims/é\n::error::\u{1b}[31m\u{202e}.json", "[]\n");
    repo.write("queue/1 <script>&?#.md", "# Task: x\n");
    repo.write("_bus/config.toml", "managers = [\"\\u001B[31m\"]\n");
    repo
}

fn report(form: &str) -> Ran {
    let repo = hostile();
    let before = repo.state();
    let ran = repo.bus(&["validate", "--format", form]).exits(1);
    assert_eq!(repo.state(), before, "a validator only reads");
    let is_control = |character: &char| character.is_control() && *character != '\n';
    assert_eq!(
        ran.stdout.chars().chain(ran.stderr.chars()).find(is_control),
        None,
        "{}",
        ran.transcript
    );
    ran
}

#[test]
fn a_report_in_text_is_a_line_a_finding_and_harmless_on_a_terminal() {
    assert_snapshot("validate/formats/report.txt", &report("text").stdout);
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let coloured = hostile().bus(&["validate", "--color", "always"]).exits(1).stdout;
    let plain = ["\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"]
        .iter()
        .fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(plain, report("text").stdout);
}

#[test]
fn a_report_in_json_is_one_document() {
    let ran = report("json");
    assert_snapshot("validate/formats/report.json", &ran.stdout);
    assert_eq!(hostile().bus(&["validate", "--json"]).exits(1).stdout, ran.stdout);
}

#[test]
fn a_report_for_github_is_one_command_a_finding_and_no_text_makes_another() {
    let ran = report("github");
    assert_snapshot("validate/formats/report.github.txt", &ran.stdout);
    let findings = report("json").json()["findings"].as_array().unwrap().len();
    assert_eq!(ran.stdout.lines().filter(|line| line.starts_with("::")).count(), findings);
    assert_eq!(ran.stdout.lines().count(), findings + 1);
    // There the base is the default branch, which the summary at the end names.
    let in_github = hostile().bus(&["validate"]).env("GITHUB_ACTIONS", "true").exits(1).stdout;
    assert!(
        ran.stdout.lines().zip(in_github.lines()).take(findings).all(|(one, other)| one == other),
        "{in_github}"
    );
}

#[test]
fn a_report_in_sarif_has_what_the_standard_requires() {
    let ran = report("sarif");
    let version = format!("\"semanticVersion\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert_snapshot(
        "validate/formats/report.sarif",
        &ran.stdout.replace(&version, "\"semanticVersion\": \"0.0.0\""),
    );
    let log = ran.json();
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("one run") };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "bus");
    let rules: Vec<&str> = driver["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules.iter().collect::<BTreeSet<_>>().len(), rules.len(), "an id names one rule");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), report("json").json()["findings"].as_array().unwrap().len());
    results.iter().for_each(|result| check_result(result, &rules));
}

/// Checks what SARIF 2.1.0 requires of a result: sections 3.27, 3.28 to 3.30 and 3.4.
fn check_result(result: &Value, rules: &[&str]) {
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(result["ruleId"], rules[index]);
    assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()), "{result}");
    assert!(!result["message"]["text"].as_str().unwrap().is_empty(), "{result}");
    let place = &result["locations"][0]["physicalLocation"];
    let uri = place["artifactLocation"]["uri"].as_str().unwrap();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
    assert!(uri.bytes().all(allowed) && !uri.starts_with('/'), "{uri}");
    for number in ["startLine", "startColumn"] {
        let value = &place["region"][number];
        assert!(value.is_null() || value.as_u64().unwrap() > 0, "{result}");
    }
    assert!(place.get("region").is_none_or(|region| region["startLine"].is_u64()), "{result}");
}

#[test]
fn the_rules_are_listed_and_explained_in_text_and_in_json() {
    let repo = Repo::bare_of_bus();
    for (arguments, name) in [
        (&["--list-rules"][..], "list-rules.txt"),
        (&["--list-rules", "--json"], "list-rules.json"),
        (&["--explain", "append-only"], "explain.txt"),
        (&["--explain", "append-only", "--json"], "explain.json"),
    ] {
        let said = repo.bus(&[&["validate"], arguments].concat()).ok();
        assert_snapshot(&format!("validate/formats/{name}"), &said.stdout);
        assert_eq!(said.stderr, "", "{name}");
    }
    for option in ["--list-rules", "--explain=append-only"] {
        let by_format = repo.bus(&["validate", option, "--format", "json"]).ok().stdout;
        assert_eq!(by_format, repo.bus(&["validate", option, "--json"]).ok().stdout, "{option}");
        repo.bus(&["validate", option, "--format", "sarif"]).exits(2);
    }
}

#[test]
fn what_cannot_be_judged_is_said_in_the_form_that_was_asked_for() {
    let (without, with) = (Repo::bare_of_bus(), hostile());
    let mut said = String::new();
    let mut note = |repo: &Repo, arguments: &[&str]| {
        let ran = repo.bus(&[&["validate"], arguments].concat()).run();
        let root = fs::canonicalize(repo.root()).unwrap();
        let text = |text: &str| {
            text.replace(root.to_str().unwrap(), "ROOT")
                .replace(repo.root().to_str().unwrap(), "ROOT")
        };
        let (stdout, stderr) = (text(&ran.stdout), text(&ran.stderr));
        said += &format!(
            "$ bus validate {}\n{stdout}[stderr]\n{stderr}[status {}]\n\n",
            arguments.join(" "),
            ran.status.unwrap()
        );
    };
    for form in ["text", "json", "github", "sarif"] {
        note(&without, &["--format", form]);
    }
    note(&with, &["--base", "nowhere"]);
    note(&with, &["--base", "nowhere", "--format", "sarif"]);
    note(&with, &["--rule", "nothing"]);
    note(&with, &["--rule", "nothing", "--json"]);
    note(&with, &["--json", "--format", "sarif"]);
    assert_snapshot("validate/formats/failures.txt", &said);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_whose_name_is_no_utf_8_is_a_finding_and_does_not_stop_the_others() {
    use std::os::unix::ffi::OsStrExt;
    let repo = older_bus();
    repo.write("_bus/claims/QUEUE-001.json", "[]\n");
    let name = std::ffi::OsStr::from_bytes(b"_bus/claims/\xff.json");
    fs::write(repo.root().join(name), "{}\n").unwrap();
    let report = repo.bus(&["validate", "--json"]).exits(1).json();
    let findings = report["findings"].as_array().unwrap().iter();
    let found: Vec<(&str, &str)> = findings
        .map(|finding| (finding["rule"].as_str().unwrap(), finding["path"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("not-an-object", "_bus/claims/QUEUE-001.json"),
            ("invalid-utf8", "_bus/claims/\u{fffd}.json")
        ],
        "{report:#}"
    );
}

#[test]
fn a_pattern_that_names_no_branch_is_said() {
    let repo = older_bus();
    repo.git(&["branch", "topic"]);
    repo.commit_all("more");
    let note = "`--refs` names no other branch that is here";
    repo.bus(&["validate", "--refs", "origin/agent/*"]).ok().says(note);
    let named = repo.bus(&["validate", "--refs", "origin/agent/*", "top*"]).ok();
    assert!(!named.stderr.contains(note), "{}", named.transcript);
}
