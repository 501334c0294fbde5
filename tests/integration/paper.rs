//! Paper cannot drift: README, help and man pages say what the binary does.

use std::process::{Command, Stdio};

use super::harness::Repo;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// Types a command line into a shell; `bus` must not call it a usage error.
pub(crate) fn assert_understood(repo: &Repo, line: &str) {
    let mut shell = Command::new("sh");
    // Nobody waits for what waits, and nobody reads what would follow the log for ever.
    let waits = line.starts_with("wait") || line.contains("--wait");
    let patience = if waits && !line.contains("--timeout") { " --timeout 10ms" } else { "" };
    let line = line.replace("--timeout 1h", "--timeout 10ms");
    shell.args(["-c", &format!("exec \"$BUS\" {line}{patience}")]).current_dir(repo.root());
    shell
        .env("BUS", env!("CARGO_BIN_EXE_bus"))
        .env("BUS_AGENT", "codex-1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_ne!(
        done.status.code(),
        Some(2),
        "bus {line}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// All commands that have a page of their own, as clap has them: `event log`. Those that only have
/// commands below them are left out.
fn commands(repo: &Repo) -> Vec<String> {
    let pages = repo.bus(&["man", "pages", "--json"]).ok().json()["pages"].clone();
    let pages: Vec<String> = pages
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|page| page.as_str().unwrap().strip_suffix(".1")?.strip_prefix("bus-"))
        .map(str::to_owned)
        .collect();
    let is_leaf = |page: &&String| {
        let below = format!("{page}-");
        !pages.iter().any(|other| other.starts_with(&below))
    };
    let names: Vec<String> =
        pages.iter().filter(is_leaf).map(|page| page.replace('-', " ")).collect();
    assert!(names.len() > 40, "{names:?}");
    names
}

/// The code blocks of a markdown text that begin with one of these words.
fn blocks(text: &str) -> Vec<&str> {
    text.split("\n```").skip(1).step_by(2).collect()
}

#[test]
fn the_readme_begins_with_two_commands() {
    let readme = readme();
    let first: Vec<&str> = blocks(&readme)[0].lines().skip(1).collect();
    assert_eq!(first, ["cargo run --release -- demo", "cargo test"]);
}

#[test]
fn the_readme_names_every_command() {
    let readme = readme();
    for name in commands(&Repo::bare_of_bus()) {
        let command = name.split(' ').next().unwrap();
        assert!(readme.contains(&format!("`bus {command}")), "{command}");
    }
}

#[test]
fn every_command_has_an_example_in_its_help_that_is_understood() {
    let repo = Repo::new();
    for command in commands(&repo) {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = repo.bus(&arguments).env("COLUMNS", "100").ok().stdout;
        let listed = help.split("\nExamples:\n").nth(1).unwrap_or_default().lines();
        let listed: Vec<&str> = listed.take_while(|line| !line.is_empty()).collect();
        assert!(
            listed.iter().all(|line| line.starts_with("  ")),
            "an example is too long:\n{help}"
        );
        let examples: Vec<&str> =
            help.lines().filter_map(|line| line.strip_prefix("  bus ")).collect();
        assert!(!examples.is_empty(), "bus {command} --help has no example");
        for example in examples.iter().filter(|example| !example.starts_with("demo")) {
            // What stands far to the right is its explanation; pipes and files are the shell's.
            let call =
                example.split("   ").next().unwrap().split([';', '|', '>', '&']).next().unwrap();
            assert_understood(&repo, call);
        }
    }
}

#[test]
fn the_demo_keeps_its_promises() {
    let repo = Repo::bare_of_bus();
    let ran = repo.bus(&["demo", "--json"]).without("BUS_NOW").ok();
    let checks = ran.json()["checks"].clone();
    assert!(checks.as_array().unwrap().len() > 10);
    assert!(
        checks.as_array().unwrap().iter().all(|check| check["holds"] == true),
        "{}",
        ran.transcript
    );
}

#[test]
fn the_version_names_package_and_number() {
    let repo = Repo::bare_of_bus();
    assert_eq!(
        repo.bus(&["--version"]).ok().stdout,
        format!("bus (agent-bus) {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let repo = Repo::new();
    repo.bus(&["man", "pages"]).ok();
    let pages = std::fs::read_dir(repo.path("pages")).unwrap().count();
    for page in ["bus.1", "bus-claim.1", "bus-event-log.1", "bus-doctor.1"] {
        assert!(repo.read(&format!("pages/{page}")).contains(".TH "), "{page}");
    }
    assert!(pages >= 13, "{pages}");
    repo.write("file", "");
    repo.bus(&["man", "file"]).fails(9, "system");
}

#[test]
fn shells_complete_commands_tasks_and_agents() {
    let repo = Repo::new();
    repo.by("codex-1", &["claim", "Queue-001"]).ok();
    repo.by("codex-2", &["claim", "QUEUE-002"]).ok();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(repo.bus(&["completions", shell]).ok().stdout.contains("COMPLETE"), "{shell}");
    }
    repo.bus(&["completions", "tcsh"]).exits(2);
    let complete = |words: &[&str]| {
        let index = words.len().to_string();
        let ran = repo.bus(&[&["--", "bus"], words].concat());
        let ran = ran
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", &index)
            .env("_CLAP_COMPLETE_COMP_TYPE", "9");
        ran.env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n").ok().stdout
    };
    assert_eq!(complete(&["rel"]), "release");
    assert_eq!(complete(&["release", "q"]), "Queue-001\nQUEUE-002");
    assert_eq!(complete(&["event", "list", "--task", "QUEUE-002"]), "QUEUE-002");
    assert_eq!(complete(&["status", "--agent", "codex-"]), "codex-1\ncodex-2");
    repo.by("boss", &["assign", "QUEUE-003", "--engineer", "codex-1"]).ok();
    repo.by("boss", &["message", "send", "--task", "TALK-1", "--to", "claude-1", "--summary", "x"])
        .ok();
    repo.by("boss", &["message", "send", "--task", "TALK-2", "--summary", "x"]).ok();
    assert_eq!(complete(&["assign", "queue-003"]), "QUEUE-003");
    assert_eq!(complete(&["assign", "--engineer", "codex-"]), "codex-1\ncodex-2");
    assert_eq!(complete(&["message", "send", "--task", "t"]), "TALK-2");
    assert_eq!(complete(&["message", "send", "--to", "c"]), "claude-1\ncodex-1\ncodex-2");
    assert_eq!(complete(&["message", "list", "--from", "b"]), "boss");
    repo.by("boss", &["plan", "new", "work", "--summary", "x", "--step", "S1:t"]).ok();
    assert_eq!(complete(&["plan", "show", "2026"]), "2026-03-01-work");
    assert_eq!(complete(&["receipt", "add", "x", "--plan", ""]), "2026-03-01-work");
    repo.write("AGENT_MANIFEST.two.json", "{}");
    assert_eq!(complete(&["session", "start", "--manifest", "t"]), "two");
}
