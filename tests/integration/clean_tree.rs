//! What git shows to be changed is the same after every command but those that write work (design,
//! section 1.2).

use std::collections::BTreeSet;
use std::path::Path;

use super::harness::{Kept, Repo};

/// In which sort of bus a command may change what git shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// In none.
    Nothing,
    /// In a tracked one: it writes records.
    Records,
    /// In each: it writes work.
    Work,
}

use Shows::{Nothing, Records, Work};

/// Who runs what, how it ends, and what git shows of it. Each finds what the ones before have left,
/// committed.
const COMMANDS: &[(&str, &str, i32, Shows)] = &[
    ("a", "init", 0, Nothing),
    ("a", "init --agents-md", 0, Nothing),
    ("boss", "queue add one --goal x", 0, Work),
    ("boss", "queue add two --after QUEUE-999 --priority never", 2, Nothing),
    ("a", "queue list", 0, Nothing),
    ("a", "queue show QUEUE-001", 0, Nothing),
    ("a", "queue ready", 0, Nothing),
    ("a", "session start --no-fetch", 0, Nothing),
    ("a", "claim T-1 --lock src/**", 0, Records),
    ("a", "claim T-1", 0, Nothing),
    ("b", "claim T-1", 3, Nothing),
    ("b", "release T-1", 3, Nothing),
    ("b", "heartbeat T-1", 3, Nothing),
    ("b", "reclaim T-1 --note x", 3, Nothing),
    ("a", "heartbeat T-1", 0, Nothing),
    ("a", "event log --event status --task T-1 --summary x", 0, Nothing),
    ("b", "event log --event status --task T-1 --summary x", 3, Nothing),
    ("b", "event log --event note --task T-1 --summary x", 0, Nothing),
    ("a", "event list", 0, Nothing),
    ("a", "message send --task T-1 --summary x", 0, Nothing),
    ("b", "message send --to a --summary x", 0, Nothing),
    ("b", "message send --task T-1 --type status --summary x", 3, Nothing),
    ("a", "message list", 0, Nothing),
    ("a", "inbox", 0, Nothing),
    ("a", "inbox --mark-read", 0, Nothing),
    ("boss", "assign T-2 --engineer b", 0, Records),
    ("boss", "assign T-2 --engineer b", 0, Nothing),
    ("boss", "assign T-2 --engineer ../b", 2, Nothing),
    ("a", "claim T-2", 3, Nothing),
    ("a", "lock acquire docs/ --objective x", 0, Nothing),
    ("b", "lock acquire docs/x --objective y", 3, Nothing),
    ("a", "lock renew --all", 0, Nothing),
    ("a", "lock list", 0, Nothing),
    ("a", "lock show L-nothere", 4, Nothing),
    ("b", "lock reclaim L-nothere --note x", 4, Nothing),
    ("a", "lock table", 0, Nothing),
    ("a", "lock table --write table.md", 0, Work),
    ("a", "check", 0, Nothing),
    ("b", "check --paths src/x", 1, Nothing),
    ("a", "plan new p --summary x --step S1:one --task T-1", 0, Work),
    ("a", "plan list", 0, Nothing),
    ("a", "plan show p", 0, Nothing),
    ("a", "plan validate", 0, Nothing),
    ("a", "plan status p", 0, Nothing),
    ("a", "plan step p S1 --status in_progress", 0, Work),
    ("a", "plan step p S2 --status done", 4, Nothing),
    ("a", "receipt add table.md --task T-1", 0, Work),
    ("a", "receipt add nowhere --task T-1", 4, Nothing),
    ("a", "status", 0, Nothing),
    ("a", "status --long", 0, Nothing),
    ("boss", "report --stdout", 0, Nothing),
    ("boss", "report", 0, Work),
    ("a", "watch", 0, Nothing),
    ("a", "watch --cursor c", 0, Nothing),
    ("a", "wait T-1 --until claimed", 0, Nothing),
    ("a", "wait --event nothing --timeout 10ms", 6, Nothing),
    ("a", "validate", 0, Nothing),
    ("a", "completions bash", 0, Nothing),
    ("a", "man ../man", 0, Nothing),
    ("a", "sync", 4, Nothing),
    ("a", "export", 0, Records),
    ("a", "export", 0, Nothing),
    ("a", "doctor", 0, Nothing),
    ("a", "doctor --fix", 0, Nothing),
    ("a", "release T-1", 0, Records),
    ("a", "release T-1", 0, Nothing),
    ("a", "lock release L-nothere", 4, Nothing),
    ("a", "lock release --all", 0, Nothing),
    ("a", "claim T-9 --branch main", 2, Nothing),
    ("b", "claim --next", 0, Records),
    ("c", "claim --next", 4, Nothing),
    ("c", "reclaim QUEUE-001 --note x --force", 0, Records),
    ("a", "gc", 0, Nothing),
    ("a", "gc --apply", 0, Nothing),
    ("a", "deinit", 3, Nothing),
    ("a", "deinit --purge --yes", 3, Nothing),
    ("a", "session end", 0, Records),
    ("a", "event", 2, Nothing),
];

/// A demonstration in a repository of its own, and what only prints.
const ELSEWHERE: [&str; 2] = ["demo", "help"];

/// The words that `arguments` lists as commands.
fn commands(repo: &Repo, arguments: &[&str]) -> Vec<String> {
    let help = repo.bus(&[arguments, &["--help"]].concat()).ok().stdout;
    let listed = help
        .split("\nCommands:\n")
        .nth(1)
        .map(|rest| rest.split("\n\n").next().unwrap().to_owned());
    let lines: Vec<String> = listed.unwrap_or_default().lines().map(str::to_owned).collect();
    let names = lines.iter().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn each_command_is_tried() {
    let repo = Repo::bare_of_bus();
    let tried: BTreeSet<&str> = COMMANDS.iter().map(|(_, words, ..)| *words).collect();
    let is_tried = |words: &str| {
        tried.iter().any(|known| *known == words || known.starts_with(&format!("{words} ")))
    };
    for command in
        commands(&repo, &[]).iter().filter(|command| !ELSEWHERE.contains(&command.as_str()))
    {
        assert!(is_tried(command), "{command}");
        for below in commands(&repo, &[command]).iter().filter(|below| *below != "help") {
            assert!(is_tried(&format!("{command} {below}")), "{command} {below}");
        }
    }
}

fn shows_no_more_than_it_may(kept: Kept, in_linked: bool) {
    let repo = Repo::keeping(kept);
    repo.write("table.md", "<!-- bus:locks -->\n<!-- /bus:locks -->\n");
    repo.write("src/x", "x\n");
    repo.commit_all("work");
    let linked = repo.worktree("linked");
    let root = repo.root();
    let (here, there): (&Path, &Path) = if in_linked { (&linked, &root) } else { (&root, &linked) };
    repo.git_in(here, &["switch", "--quiet", "--create", "work"]);
    for (agent, words, status, shows) in COMMANDS {
        let before = repo.git_in(here, &["rev-parse", "HEAD"]);
        let ran = repo.by(agent, &words.split(' ').collect::<Vec<_>>()).within(here).exits(*status);
        let shown = repo.status_of(here);
        let why = format!(
            "{kept:?}, in the linked worktree: {in_linked}, `{words}` by {agent}\n{}",
            ran.transcript
        );
        match shows {
            Nothing => assert_eq!(shown, "", "{why}"),
            Records if kept == Kept::Untracked => assert_eq!(shown, "", "{why}"),
            Records => {
                assert!(!shown.is_empty(), "{why}");
                assert!(shown.lines().all(|line| line[3..].starts_with("_bus/")), "{shown}\n{why}");
            }
            Work if kept == Kept::Untracked => {
                assert!(!shown.is_empty() && !shown.contains("_bus/"), "{shown}\n{why}")
            }
            Work => assert!(!shown.is_empty(), "{why}"),
        }
        assert_eq!(repo.status_of(there), "", "another worktree's is never touched\n{why}");
        assert_eq!(repo.git_in(here, &["rev-parse", "HEAD"]), before);
        repo.commit_all_in(here, words);
    }
}

#[test]
fn in_an_untracked_bus_git_shows_work_alone() {
    shows_no_more_than_it_may(Kept::Untracked, false);
}

#[test]
fn in_a_linked_worktree_of_an_untracked_bus_too() {
    shows_no_more_than_it_may(Kept::Untracked, true);
}

#[test]
fn in_a_tracked_bus_git_shows_work_claims_assignments_and_batches() {
    shows_no_more_than_it_may(Kept::Tracked, false);
}

#[test]
fn in_a_linked_worktree_of_a_tracked_bus_too() {
    shows_no_more_than_it_may(Kept::Tracked, true);
}

#[test]
fn init_and_deinit_say_all_that_git_shows_of_them() {
    for option in ["--untracked", "--tracked"] {
        let repo = Repo::bare_of_bus();
        let printed = repo.bus(&["init", option]).ok().stdout;
        let paths =
            |shown: &str| shown.lines().map(|line| line[3..].to_owned()).collect::<Vec<_>>();
        let laid = paths(&repo.status_of(&repo.root()));
        assert!(laid.iter().all(|path| printed.contains(path.as_str())), "{laid:?}\n{printed}");
        repo.commit_all("bus");
        repo.by("a", &["claim", "T-1"]).ok();
        repo.by("a", &["release", "T-1"]).ok();
        let records: Vec<String> = paths(&repo.status_of(&repo.root()));
        assert_eq!(records.is_empty(), option == "--untracked", "{records:?}");
        let printed = repo.bus(&["deinit"]).ok().stdout;
        let shown = paths(&repo.status_of(&repo.root()));
        assert!(shown.iter().all(|path| printed.contains(path.as_str())), "{shown:?}\n{printed}");
        assert_eq!(shown.len(), laid.len() + records.len());
    }
}

/// What makes git write an index of another form, or with more in it.
const INDEXES: [&[&str]; 6] = [
    &["update-index", "--index-version", "2"],
    &["update-index", "--index-version", "3"],
    &["update-index", "--index-version", "4"],
    // Entries with a second word of flags, before and at the path.
    &["update-index", "--skip-worktree", "A/1", "_bus/events/a.jsonl"],
    &["add", "--intent-to-add", "A/12345678"],
    &["status"],
];

#[test]
fn a_copy_that_git_tracks_is_left_alone_whatever_the_index_is_like() {
    for index in INDEXES {
        let repo = Repo::new();
        for name in [
            "A/1",
            "A/12",
            "A/123",
            "A/1234",
            "A/12345",
            "A/123456",
            "A/1234567",
            "A/12345678",
            "_bus/events/a.jsonl",
            "z",
        ] {
            repo.write(name, "x\n");
        }
        let names = [
            "add",
            "--force",
            "A/1",
            "A/12",
            "A/123",
            "A/1234",
            "A/12345",
            "A/123456",
            "A/1234567",
        ];
        repo.git(&[&names[..], &["_bus/events/a.jsonl", "z"]].concat());
        repo.git(&["commit", "--quiet", "--message", "files"]);
        repo.git(index);
        let note = |agent: &str| {
            repo.by(agent, &["event", "log", "--event", "note", "--summary", "x"]).ok()
        };
        let before = repo.git(&["status", "--porcelain"]);
        note("a");
        note("b");
        assert_eq!(repo.read("_bus/events/a.jsonl"), "x\n", "{index:?}");
        assert!(repo.path("_bus/events/b.jsonl").exists(), "{index:?}");
        assert_eq!(repo.git(&["status", "--porcelain"]), before, "{index:?}");
    }
}
