//! Any bytes at all: the readers of records and the whole validator, on real records that were cut,
//! spliced and spoiled.
//!
//! As a test a few thousand are tried; `ci/fuzz` sets `BUS_FUZZ_SECONDS` and tries for as long.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use agent_bus::git::Repository;
use agent_bus::record::json::{Object, parse_line, parse_record};
use agent_bus::record::{
    Assignment, Claim, Config, Event, Fault, Glance, Message, PathStep, Places, PlanRecord,
    Position, QueueItem, Refusal, locate,
};
use agent_bus::validate::{Against, Finding, Query, Report, Rule, SHOWN, validate};

use super::dice::Dice;
use super::harness::{Repo, rounds};
use super::sound_bus::{Layout, files, judge, sound_bus};

/// What is spliced in: what parsers trip over.
const WORDS: [&[u8]; 34] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\u0000",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"18446744073709551616",
    b"{}",
    b"[]",
    b"\"id\":\"\",",
    b"\"$serde_json::private::Number\":\"1\",",
    b"<<<<<<< HEAD\n",
    b"=======\n",
    b"\"task_id\":\"agent-x\",",
    b"\"lineage\":[{}],",
    b"\"ts\":\"2026-02-30T00:00:00Z\",",
    b"\"revision\":9007199254740992,",
    b" ",
];

/// Runs `attempt` on bytes made of `corpus`, `times` times or for as long as is asked for, and says
/// how often.
fn fuzz(name: &str, times: u64, mut attempt: impl FnMut(&mut Dice)) {
    let number =
        |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("BUS_SEED").unwrap_or(1);
    let end =
        number("BUS_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut count, mut longest) = (0, Duration::ZERO);
    while end.map_or(count < times, |end| Instant::now() < end) {
        let mut dice = Dice::new(seed ^ (count << 20));
        let begin = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| attempt(&mut dice)));
        assert!(done.is_ok(), "{name}: seed {seed}, execution {count}");
        longest = longest.max(begin.elapsed());
        count += 1;
    }
    if end.is_some() {
        let mib = peak_memory() >> 10;
        // What a test prints by `eprintln` is kept back where it passes.
        let mut stderr = std::io::stderr().lock();
        writeln!(
            stderr,
            "{name}: {count} executions, seed {seed}, the longest {longest:?}, {mib} MiB"
        )
        .unwrap();
        assert!(longest < Duration::from_secs(5), "{name}: one took {longest:?}");
        assert!(mib <= 256, "{name}: {mib} MiB");
    }
}

/// The most memory that this process has had, in KiB; nothing where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Spoils `bytes` in a few places; `other` is what parts are taken from.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.below(4) {
        let place = dice.below(bytes.len() + 1);
        let end = (place + dice.below(40)).min(bytes.len());
        match dice.below(8) {
            0 if place < bytes.len() => bytes[place] ^= 1 << dice.below(8),
            1 => bytes.truncate(place),
            2 => drop(bytes.drain(place..end)),
            3 => {
                let part = bytes[place..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            4 => {
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(200)).min(other.len());
                bytes.splice(place..end, other[from..to].iter().copied());
            }
            5 => {
                let byte = u8::try_from(dice.below(256)).unwrap();
                bytes.insert(place, byte);
            }
            _ => drop(bytes.splice(place..place, dice.pick(&WORDS).iter().copied())),
        }
    }
}

/// Real lines and records.
fn corpus(repo: &Repo) -> Vec<Vec<u8>> {
    let files = files(repo);
    let lines = files.iter().filter(|(path, _)| path.ends_with(".jsonl"));
    let lines = lines.flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    files.iter().map(|(_, bytes)| bytes.clone()).chain(lines).collect()
}

#[test]
fn the_readers_of_records_take_any_bytes() {
    let corpus = corpus(&sound_bus(Layout::PerAgent));
    fuzz("records", 20_000, |dice| {
        let (mut bytes, other) = (dice.pick(&corpus).clone(), dice.pick(&corpus));
        spoil(dice, &mut bytes, other);
        read_all(&bytes);
        places_agree(dice, &bytes);
    });
}

fn read_all(bytes: &[u8]) {
    if let Some(glance) = Glance::at(bytes) {
        let event =
            Event::parse(bytes).unwrap_or_else(|fault| panic!("{fault}: {}", bytes.escape_ascii()));
        assert_eq!(
            (event.id.as_deref(), event.agent_id.as_str()),
            (glance.id.as_deref(), &*glance.agent_id)
        );
    }
    let parsed = [parse_line(bytes), parse_record(bytes)];
    for object in &parsed {
        match object {
            Ok(object) => read_records(object),
            Err(fault) => assert!(fault.line_in(bytes) <= bytes.len() + 1, "{fault}"),
        }
    }
    if let Ok(claim) = Claim::parse(bytes) {
        assert_eq!(Claim::parse(&claim.to_bytes()).unwrap(), claim);
    }
    if let Ok(event) = Event::parse(bytes) {
        assert_eq!(Event::parse(event.to_line().as_bytes()).unwrap(), event);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop((Config::parse(text), QueueItem::parse(text.as_bytes()), QueueItem::task(text)));
    }
}

fn read_records(object: &Object) {
    let faults: [Vec<Fault>; 6] = [
        Event::from_object(object.clone()).err().unwrap_or_default(),
        Claim::from_object(object.clone()).err().unwrap_or_default(),
        PlanRecord::from_object(object.clone()).err().unwrap_or_default(),
        Message::from_object(object.clone()).err().unwrap_or_default(),
        Assignment::from_object(object.clone()).err().unwrap_or_default(),
        Refusal::from_object(object.clone()).err().unwrap_or_default(),
    ];
    let text = agent_bus::record::json::pretty(object);
    let places = Places::of(text.as_bytes());
    for fault in faults.iter().flatten() {
        assert!(fault.position_in(&places).line <= text.lines().count(), "{fault}");
    }
}

fn places_agree(dice: &mut Dice, bytes: &[u8]) {
    let keys = ["agent_id", "steps", "lineage", "id", "", "\"", "ended"];
    let step = |dice: &mut Dice| match dice.below(2) {
        0 => PathStep::Key(keys[dice.below(keys.len())]),
        _ => PathStep::Item(dice.below(3)),
    };
    let path: Vec<PathStep<'_>> = (0..dice.below(4)).map(|_| step(dice)).collect();
    let place = locate(bytes, &path);
    assert!((Position::START..=Position::of(bytes, bytes.len())).contains(&place), "{place:?}");
}

#[test]
fn the_validator_takes_any_files() {
    let repos = [Layout::Single, Layout::PerAgent].map(sound_bus);
    let all = [files(&repos[0]), files(&repos[1])];
    fuzz("validator", rounds(100, 300), |dice| {
        let which = dice.below(2);
        let (repo, sound) = (&repos[which], &all[which]);
        let mut touched = BTreeSet::new();
        for _ in 0..=dice.below(3) {
            let (path, mut bytes) = dice.pick(sound).clone();
            let other = &dice.pick(sound).1;
            spoil(dice, &mut bytes, other);
            if dice.once_in(20) {
                let _ = std::fs::remove_file(repo.path(&path));
            } else {
                repo.write(&path, &bytes);
            }
            touched.insert(path);
        }
        let (alone, compared) =
            (judge(repo, None, None), judge(repo, Some("HEAD"), Some("agent/codex-1/x")));
        agree(repo, &alone, &compared, &touched);
        for (path, bytes) in sound.iter().filter(|(path, _)| touched.contains(path)) {
            repo.write(path, bytes);
        }
    });
    for repo in &repos {
        assert_eq!(
            (judge(repo, None, None).total(), judge(repo, Some("HEAD"), None).files),
            (0, 0)
        );
    }
}

/// What git is told to do with files, on their way between commit and worktree.
const ATTRIBUTES: [&str; 7] = [
    "* text eol=crlf\n",
    "*.json filter=odd\n",
    "*.jsonl merge=union ident\n",
    "queue/* working-tree-encoding=UTF-16\n",
    "[attr]odd text\n* odd\n",
    "* -text\n*.json text eol=lf\n",
    "\u{1}\n",
];

/// Where links lead that a tree may have.
const TARGETS: [&str; 5] = ["/dev/zero", "../..", "_bus", ".", "nothing"];

/// A path of the bus, or one that some disk takes for one.
fn odd_path(dice: &mut Dice, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let path = match dice.below(6) {
        0 => parts[..=dice.below(parts.len())].join("/"),
        1 => format!("{}/.gitattributes", parts[..=dice.below(parts.len() - 1)].join("/")),
        2 => ".gitattributes".to_owned(),
        3 => format!("{path}/below"),
        _ => path.to_owned(),
    };
    match dice.below(5) {
        0 => path.to_uppercase(),
        1 => {
            let at = dice.below(path.len());
            path.char_indices()
                .map(
                    |(place, letter)| {
                        if place == at { letter.to_ascii_uppercase() } else { letter }
                    },
                )
                .collect()
        }
        _ => path,
    }
}

#[test]
fn the_validator_takes_any_trees() {
    let repo = sound_bus(Layout::PerAgent);
    let sound = files(&repo);
    repo.git(&["branch", "sound"]);
    let head = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let stream = repo.beside("stream");
    fuzz("trees", 12, |dice| {
        let mut commands = b"commit refs/heads/odd\ncommitter x <x@x.invalid> 1772366400 +0000\n\
            data 3\nodd\nfrom refs/heads/sound^0\n"
            .to_vec();
        for _ in 0..=dice.below(5) {
            let (path, mut bytes) = dice.pick(&sound).clone();
            let path = odd_path(dice, &path);
            let mode = *dice.pick(&["100644", "100644", "100755", "120000", "160000"]);
            if mode == "160000" {
                writeln!(commands, "M {mode} {head} {path}").unwrap();
                continue;
            }
            if mode == "120000" {
                bytes = dice.pick(&TARGETS).as_bytes().to_vec();
            } else if path.ends_with(".gitattributes") {
                bytes = dice.pick(&ATTRIBUTES).as_bytes().to_vec();
            }
            writeln!(commands, "M {mode} inline {path}\ndata {}", bytes.len()).unwrap();
            commands.extend(bytes.iter().chain(b"\n"));
        }
        std::fs::write(&stream, &commands).unwrap();
        let input = std::fs::File::open(&stream).unwrap();
        repo.git_reads(&["fast-import", "--quiet", "--force"], input);
        // What no disk can have is not checked out: the commit is judged.
        for step in
            [&["checkout", "--quiet", "--force", "--detach", "odd"][..], &["clean", "-qffdx"]]
        {
            repo.try_git_in(&repo.root(), step);
        }
        for base in [Against::Nothing, Against::Revision("sound".to_owned())] {
            let opened = Repository::discover(&repo.root()).unwrap();
            let branch = Some("agent/codex-1/x".to_owned());
            // A policy that means nothing is an error of its own.
            if let Ok(report) = validate(&opened, &Query { base, branch, ..Query::default() }) {
                assert!(report.findings.is_sorted());
                assert_eq!(report.findings.len() as u64, report.total().min(SHOWN as u64));
            }
        }
    });
}

/// What holds of any two reports, one of the files alone and one that compares with the base.
fn agree(repo: &Repo, alone: &Report, compared: &Report, touched: &BTreeSet<String>) {
    for report in [alone, compared] {
        assert!(report.findings.is_sorted());
        assert_eq!(report.findings.len() as u64, report.total().min(SHOWN as u64));
    }
    let place = |finding: &Finding| {
        (finding.path.clone(), finding.place.map(|place| place.line), finding.rule)
    };
    let known: BTreeSet<_> = alone.findings.iter().map(place).collect();
    // Which of two that clash is reported depends on which one was there first.
    let is_symmetric = |rule: Rule| {
        matches!(rule, Rule::IdClash | Rule::DuplicateClaimFile | Rule::DuplicateQueueItem)
    };
    // A plan that has changed is held against what the base says of its receipts.
    let is_of_base = |finding: &Finding| {
        matches!(finding.rule, Rule::MissingReceipt | Rule::ReceiptChanged)
            && touched.contains(&finding.path)
    };
    for finding in compared
        .findings
        .iter()
        .filter(|finding| !finding.rule.is_history() && !is_symmetric(finding.rule))
        .filter(|finding| !is_of_base(finding))
    {
        assert!(known.contains(&place(finding)), "only with a base: {}", finding.to_line());
    }
    for (path, bytes) in files(repo).iter().filter(|(path, _)| path.starts_with("_bus/events/")) {
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let is_bad = !line.trim_ascii().is_empty() && Event::parse(line).is_err();
            let told = alone.findings.iter().any(|finding| {
                let other = [Rule::IdClash, Rule::ForeignEvent].contains(&finding.rule);
                let unended = finding.rule == Rule::NoFinalNewline && !is_bad;
                finding.path == *path
                    && finding.place.is_some_and(|at| at.line == number + 1)
                    && !other
                    && !unended
            });
            assert_eq!(is_bad, told, "{path}:{}: {}", number + 1, line.escape_ascii());
        }
    }
}
