//! Logs of other clones that nobody with good intentions would make: what is not good is left out
//! and told, and nothing is written anywhere else.

use std::fs;

use agent_bus::testing::{self, TakenIn};

use super::harness::{NOON, Repo};
use super::logs::{library, recorded};

fn event(summary: &str) -> String {
    format!(r#"{{"agent_id":"a","event":"note","summary":"{summary}","ts":"{NOON}"}}"#) + "\n"
}

/// Somebody's clone, made by hand.
struct Forger(Repo);

impl Forger {
    fn new() -> Self {
        Self(Repo::new())
    }

    fn input(&self, text: &[u8]) -> fs::File {
        let path = self.0.beside("input");
        fs::write(&path, text).unwrap();
        fs::File::open(path).unwrap()
    }

    fn blob(&self, text: impl AsRef<[u8]>) -> String {
        let id = self.0.git_answers(&["hash-object", "-w", "--stdin"], self.input(text.as_ref()));
        format!("100644 blob {}", id.trim())
    }

    /// A tree of these entries, as `mktree` takes them without names, and their names.
    fn tree(&self, entries: &[(&str, &str)]) -> String {
        let text: String =
            entries.iter().map(|(entry, name)| format!("{entry}\t{name}\0")).collect();
        let id = self.0.git_answers(&["mktree", "-z", "--missing"], self.input(text.as_bytes()));
        format!("040000 tree {}", id.trim())
    }

    /// Lets the log of a clone be seen on the remote.
    fn seen(&self, clone: &str, tree: &str) {
        let tree = tree.rsplit(' ').next().unwrap();
        let commit = self.0.git(&["commit-tree", "-m", "x", tree]);
        self.0.git(&["update-ref", &format!("refs/bus-remote/origin/log/{clone}"), commit.trim()]);
    }

    fn take_in(&self) -> TakenIn {
        testing::take_in_logs(&library(&self.0.root()), "origin").unwrap()
    }

    /// A log with nothing but this in its events.
    fn events(&self, clone: &str, files: &[(&str, &str)]) {
        self.seen(clone, &self.tree(&[(&self.tree(files), "events")]));
    }

    fn summaries(&self) -> Vec<String> {
        let ran = self.0.bus(&["event", "list", "--json"]).ok();
        assert_eq!(ran.stderr, "");
        ran.ndjson().iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn names_that_are_none_and_things_that_are_no_files_are_left_out() {
    let forger = Forger::new();
    let before = forger.0.state();
    let good = forger.tree(&[(&forger.blob(event("good")), "00000001")]);
    let link = forger.blob("/etc/passwd").replace("100644", "120000");
    let linked =
        forger.tree(&[(&link, "00000001"), (&forger.blob(event("after the link")), "00000002")]);
    let files = [
        (good.as_str(), "a.jsonl"),
        (good.as_str(), "A.jsonl"),
        (good.as_str(), "-x.jsonl"),
        (good.as_str(), "a b.jsonl"),
        (good.as_str(), "nul.jsonl"),
        (good.as_str(), "a.txt"),
        (good.as_str(), "a..b.jsonl"),
        (good.as_str(), ".a.jsonl.tmp"),
        (link.as_str(), "link.jsonl"),
        (linked.as_str(), "linked.jsonl"),
    ];
    forger.events("1a2b", &files);
    let taken = forger.take_in();
    assert_eq!((taken.events, taken.left_out), (2, 9), "{:?}", taken.faults);
    assert!(
        taken
            .faults
            .iter()
            .any(|fault| fault == "clone 1a2b, `events/linked.jsonl/00000001`: it is no segment"),
        "{:?}",
        taken.faults
    );
    assert_eq!(forger.summaries(), ["good", "after the link"]);
    let after: String = forger
        .0
        .state()
        .lines()
        .filter(|line| !line.contains("refs/bus-remote/"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(after, before);
    assert_eq!(forger.take_in(), TakenIn::default(), "what was looked at is not looked at again");
}

#[test]
fn a_tree_that_leads_out_of_its_folder_writes_nothing() {
    let forger = Forger::new();
    let good = forger.tree(&[(&forger.blob(event("good")), "00000001")]);
    // git makes no such tree, but a push may bring one.
    for name in ["..", "../../../hooks/x.jsonl", "/tmp/x.jsonl", "a/../b.jsonl"] {
        let id = good.rsplit(' ').next().unwrap();
        let raw: Vec<u8> = (0..20)
            .map(|byte| u8::from_str_radix(&id[2 * byte..2 * byte + 2], 16).unwrap())
            .collect();
        let bytes = [b"40000 ", name.as_bytes(), b"\0", &raw].concat();
        let tree = forger.0.git_answers(
            &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            forger.input(&bytes),
        );
        forger.seen("1a2b", &forger.tree(&[(&format!("040000 tree {}", tree.trim()), "events")]));
        let taken = forger.take_in();
        assert_eq!((taken.events, taken.left_out), (0, 1), "{name}: {:?}", taken.faults);
    }
    assert!(!forger.0.path(".git/bus/clones").exists());
}

#[test]
fn lines_that_are_no_events_and_segments_that_are_too_large_are_left_out() {
    let forger = Forger::new();
    let long = event(&"x".repeat(70_000));
    let text = [
        "rubbish\n",
        &event("first"),
        "\n",
        &long,
        "{\"a\":1}\n",
        &event("second"),
        &event("torn")[..40],
    ]
    .concat();
    let segments = [
        (forger.blob(text), "00000001"),
        (forger.blob(event("x").repeat(20_000)), "00000002"),
        (forger.blob(event("third")), "00000003"),
        (forger.blob(event("no number")), "x"),
        (format!("100644 blob {}", "1".repeat(40)), "00000004"),
    ];
    let segments: Vec<(&str, &str)> =
        segments.iter().map(|(entry, name)| (entry.as_str(), *name)).collect();
    forger.events("1a2b", &[(&forger.tree(&segments), "a.jsonl")]);
    let taken = forger.take_in();
    assert_eq!((taken.events, taken.left_out), (3, 4 + 3), "{:?}", taken.faults);
    assert_eq!(forger.summaries(), ["first", "second", "third"]);
}

#[test]
fn a_segment_that_is_named_a_thousand_times_is_taken_in_once() {
    let forger = Forger::new();
    let segment = forger.blob(event(&"x".repeat(60_000)).repeat(17));
    let names: Vec<String> = (1..=1_000).map(|number| format!("{number:08}")).collect();
    let file = forger
        .tree(&names.iter().map(|name| (segment.as_str(), name.as_str())).collect::<Vec<_>>());
    forger.events("1a2b", &[(&file, "a.jsonl"), (&file, "b.jsonl"), (&file, "c.jsonl")]);
    let taken = forger.take_in();
    assert_eq!((taken.events, taken.left_out), (17, 3), "{:?}", taken.faults);
    assert_eq!(taken.faults[0], "clone 1a2b, `events/a.jsonl`: it has the same segment again");
    let copies: u64 = ["a", "b", "c"]
        .iter()
        .filter_map(|name| {
            fs::metadata(forger.0.path(&format!(".git/bus/clones/1a2b/_bus/events/{name}.jsonl")))
                .ok()
        })
        .map(|copy| copy.len())
        .sum();
    assert!(copies < 2 * 1024 * 1024, "{copies} bytes");
    assert_eq!(forger.take_in(), TakenIn::default(), "what was left out is not told again");
}

#[test]
fn a_line_that_was_cut_off_is_taken_in_when_it_is_whole() {
    let forger = Forger::new();
    let whole = event("first") + &event("second");
    for cut in [0, 10, event("first").len() - 1, event("first").len(), whole.len() - 1] {
        forger.events(
            "1a2b",
            &[(&forger.tree(&[(&forger.blob(&whole[..cut]), "00000001")]), "a.jsonl")],
        );
        forger.take_in();
    }
    forger.events("1a2b", &[(&forger.tree(&[(&forger.blob(&whole), "00000001")]), "a.jsonl")]);
    assert_eq!(forger.take_in().left_out, 0);
    assert_eq!(forger.summaries(), ["first", "second"]);
}

#[test]
fn a_log_that_was_rewritten_takes_no_line_away_and_brings_no_line_twice() {
    let forger = Forger::new();
    let log = |events: &[&str]| {
        let text: String = events.iter().map(|summary| event(summary)).collect();
        forger.events("1a2b", &[(&forger.tree(&[(&forger.blob(text), "00000001")]), "a.jsonl")]);
        forger.take_in()
    };
    assert_eq!(log(&["first", "second"]).events, 2);
    assert_eq!(log(&["other", "second"]).events, 1);
    assert_eq!(forger.summaries(), ["first", "second", "other"]);
    assert_eq!(log(&["second"]), TakenIn { clones: 1, ..TakenIn::default() }, "nothing is new");
    assert_eq!(log(&["first", "second", "third"]).events, 1);
    assert_eq!(log(&["first", "second", "third", "fourth"]).events, 1);
    forger.events("1a2b", &[]);
    forger.take_in();
    assert_eq!(forger.summaries(), ["first", "second", "other", "third", "fourth"]);
}

#[test]
fn a_log_that_was_rewritten_takes_no_assignment_back() {
    let forger = Forger::new();
    let assign = |engineer: &str, minute: u8| {
        let text = format!(
            "{{\"task_id\":\"T-1\",\"engineer\":\"{engineer}\",\"manager\":\"boss\",\"assigned_at\":\"2026-03-01T12:0{minute}:00Z\"}}\n"
        );
        forger.seen(
            "1a2b",
            &forger.tree(&[(&forger.tree(&[(&forger.blob(text), "T-1.json")]), "assignments")]),
        );
        forger.take_in();
        forger.0.bus(&["status", "--long", "--json"]).ok().json()["waiting"][0]["engineer"].clone()
    };
    assert_eq!(assign("a", 2), "a");
    assert_eq!(assign("b", 1), "a");
    assert_eq!(assign("c", 3), "c");
}

#[test]
fn a_log_that_cannot_be_read_keeps_no_other_one_back() {
    let forger = Forger::new();
    let good = forger.tree(&[(&forger.blob(event("good")), "00000001")]);
    forger.events("zz", &[(&good, "a.jsonl")]);
    forger.seen("A-b", &forger.tree(&[(&good, "events")]));
    forger.0.git(&[
        "update-ref",
        "refs/bus-remote/origin/log/1a",
        forger.blob("no commit").rsplit(' ').next().unwrap(),
    ]);
    forger.seen("1b", &forger.tree(&[(&format!("040000 tree {}", "2".repeat(40)), "events")]));
    forger.seen(
        "1c",
        &forger.tree(&[(&forger.blob("x"), "events"), (&forger.blob("x"), "assignments")]),
    );
    let taken = forger.take_in();
    assert_eq!((taken.events, taken.left_out), (1, 5), "{:?}", taken.faults);
    assert_eq!(forger.summaries(), ["good"]);
}

#[test]
fn assignments_that_are_none_are_left_out() {
    let forger = Forger::new();
    let assignment = |task: &str| {
        format!(
            "{{\"task_id\":\"{task}\",\"engineer\":\"a\",\"manager\":\"boss\",\"assigned_at\":\"{NOON}\"}}\n"
        )
    };
    let items = [
        (forger.blob(assignment("T-1")), "T-1.json"),
        (forger.blob(assignment("T-2")), "T-3.json"),
        (forger.blob("{}"), "T-4.json"),
        (forger.blob(assignment("T-5")).replace("100644", "120000"), "T-5.json"),
        (forger.blob(assignment("T-6")), "T-6.txt"),
        (forger.blob(assignment("agent-x")), "agent-x.json"),
    ];
    let items: Vec<(&str, &str)> =
        items.iter().map(|(entry, name)| (entry.as_str(), *name)).collect();
    forger.seen("1a2b", &forger.tree(&[(&forger.tree(&items), "assignments")]));
    let taken = forger.take_in();
    assert_eq!((taken.assignments, taken.left_out), (1, 5), "{:?}", taken.faults);
    let waiting = forger.0.bus(&["status", "--long", "--json"]).ok().json()["waiting"].clone();
    assert_eq!(waiting.as_array().unwrap().len(), 1);
}

#[test]
fn a_clone_that_takes_an_events_id_hides_nothing() {
    let forger = Forger::new();
    forger.0.by("a", &["event", "log", "--event", "note", "--summary", "true"]).ok();
    let line = forger.0.read(&recorded("a")).replace("true", "false");
    forger.events("1a2b", &[(&forger.tree(&[(&forger.blob(line), "00000001")]), "a.jsonl")]);
    forger.take_in();
    for arguments in
        [&["event", "list", "--json"][..], &["event", "list", "--json", "--limit", "1"]]
    {
        let ran = forger.0.bus(arguments).ok();
        let events = ran.ndjson();
        assert_eq!(
            (events.len(), &events[0]["summary"]),
            (1, &"true".into()),
            "{}",
            ran.transcript
        );
    }
    let (_, tip) = super::logs::publish(&forger.0.root()).unwrap();
    let text = forger.0.git(&["cat-file", "blob", &format!("{tip}:events/a.jsonl/00000001")]);
    assert_eq!(text, forger.0.read(&recorded("a")), "it is published all the same");
}
