//! Every rule of the validator finds what breaks it, where it is, and lets pass what only looks
//! like it.

mod case;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::harness::{Ran, Repo, is_long};
use case::{Case, Place};
use stage::Stage;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/validate");

/// The cases of each file, by the name of its rule.
fn corpus() -> BTreeMap<String, Vec<Case>> {
    let files = fs::read_dir(CORPUS).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files
        .map(|path| {
            let rule = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let cases = case::read(&rule, &fs::read_to_string(&path).unwrap());
            (rule, cases)
        })
        .collect()
}

#[test]
fn every_rule_has_cases_that_break_it_and_cases_that_nearly_do() {
    let rules = Repo::bare_of_bus().bus(&["validate", "--list-rules", "--json"]).ok().json();
    let rules: Vec<&str> = rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["name"].as_str().unwrap())
        .collect();
    let corpus = corpus();
    // What git does between commit and worktree no tree shows: `altered` has its cases.
    for rule in rules.iter().filter(|rule| **rule != "altered-by-git") {
        let cases = corpus.get(*rule).unwrap_or_else(|| panic!("{rule} has no file"));
        for is_bad in [true, false] {
            assert!(
                cases.iter().any(|case| case.is_bad == is_bad),
                "{rule}: no case that is bad: {is_bad}"
            );
        }
        for case in cases {
            let names_rule =
                case.expected.iter().any(|finding| finding.split(' ').next() == Some(rule));
            assert_eq!(names_rule, case.is_bad, "{case}");
            assert!(case.is_bad || case.expected.is_empty(), "{case}: a near-miss has no findings");
        }
    }
    let strangers: Vec<&String> =
        corpus.keys().filter(|name| !rules.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "files of no rule: {strangers:?}");
}

#[test]
fn every_case_of_the_corpus_has_its_findings_and_no_others() {
    let cases: Vec<Case> = corpus().into_values().flatten().collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let stage = Stage::new();
                while let Some((number, case)) =
                    cases.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&stage, case))) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failures.lock().unwrap().insert(number, format!("{case}\n{text}"));
                    }
                }
            });
        }
    });
    let failures: Vec<String> = failures.into_inner().unwrap().into_values().collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

/// Lays the case out, and compares what is found with what it expects: with the tree as it stands,
/// then committed.
fn check(stage: &Stage, case: &Case) {
    if case.needs_letter_case && !stage.tells_letter_case() {
        return;
    }
    stage.lay_out(case);
    let has_base = !case.files_of(&Place::Base).is_empty();
    let mut arguments = vec!["validate", "--format", "json"];
    arguments.extend(has_base.then_some(["--base", "main"]).into_iter().flatten());
    arguments.extend(case.arguments.iter().map(String::as_str));
    if !case.needs_commit {
        compare(stage, case, &arguments);
    }
    if has_base && (case.needs_commit || is_long()) {
        stage.commit(case);
        compare(stage, case, &arguments);
    }
}

fn compare(stage: &Stage, case: &Case, arguments: &[&str]) {
    let ran = Ran::of(stage.repo().bus(arguments).start());
    let report = ran.json();
    let Some(findings) = report["findings"].as_array() else { panic!("{}", ran.transcript) };
    let fits = |(expected, finding): (&String, &Value)| {
        let whole = show(finding);
        let without_column = show(&without_column(finding));
        *expected == whole || *expected == without_column
    };
    let all_fit =
        findings.len() == case.expected.len() && case.expected.iter().zip(findings).all(fits);
    let found: Vec<String> = findings.iter().map(show).collect();
    assert!(all_fit, "expected: {:#?}\nfound: {found:#?}\n{}", case.expected, ran.transcript);
    let failed = findings.iter().any(|finding| finding["severity"] == "error")
        || arguments.contains(&"--strict");
    assert_eq!(ran.status, Some(i32::from(failed && !findings.is_empty())), "{}", ran.transcript);
}

/// A finding as a case names it: `RULE PATH:LINE:COLUMN`.
fn show(finding: &Value) -> String {
    let text = |field: &str| finding[field].as_str().unwrap();
    let number = |field: &str| {
        finding[field].as_u64().map(|number| format!(":{number}")).unwrap_or_default()
    };
    format!("{} {}{}{}", text("rule"), text("path"), number("line"), number("column"))
}

fn without_column(finding: &Value) -> Value {
    let mut finding = finding.clone();
    finding["column"] = Value::Null;
    finding
}
