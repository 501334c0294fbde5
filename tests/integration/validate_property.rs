//! Whatever befalls a sound bus, the validator names the rule that it breaks, and speaks of the
//! files that were touched alone.

use std::collections::BTreeMap;

use agent_bus::validate::{LooksAt, Report, Rule};

use super::dice::Dice;
use super::harness::{Repo, rounds};
use super::mutations::{Mutation, STATIC, When};
use super::rewritings::REWRITINGS;
use super::scene::Scene;
use super::sound_bus::{Layout, judge, sound_bus};

/// How often each thing befalls each of the two layouts.
const ROUNDS: usize = 24;

/// The same in the short form.
const SHORT: usize = 4;

/// Makes each thing befall the bus of `repo`.
fn befall(repo: &Repo, layout: Layout, seed: u64) -> BTreeMap<&'static str, usize> {
    let mut cases = BTreeMap::new();
    let mut scene = Scene::new(repo, Dice::new(seed));
    for round in 0..rounds(SHORT, ROUNDS) {
        for (number, mutation) in STATIC.iter().chain(REWRITINGS).enumerate() {
            let when = mutation.1;
            if when == When::PerAgent && layout != Layout::PerAgent {
                continue;
            }
            scene.has_base = match when {
                When::WithBase => true,
                When::WithoutBase => false,
                _ => round % 2 == 0,
            };
            check(
                &mut scene,
                mutation,
                &format!("{layout:?}, seed {seed}, round {round}, mutation {number}"),
            );
            *cases.entry(mutation.0).or_default() += 1;
        }
    }
    let rest = judge(repo, Some("HEAD"), None);
    assert_eq!((rest.total(), rest.files), (0, 0), "everything was put back: {:?}", rest.findings);
    cases
}

fn check(scene: &mut Scene<'_>, (name, _, change): &Mutation, which: &str) {
    change(scene);
    let rule: Rule = name.parse().unwrap();
    let is_of_agents = matches!(rule, Rule::Tampering | Rule::PathLeased | Rule::PathUnleased);
    let branch = is_of_agents.then_some("agent/codex-1/x");
    let report = judge(scene.repo, scene.has_base.then_some("HEAD"), branch);
    let told = report.counts.contains_key(&rule)
        && report.findings.iter().any(|finding| finding.rule == rule);
    assert!(told, "{name} was not told of: {which}\n{}", describe(scene, &report));
    for finding in &report.findings {
        let known = scene.touched.iter().chain(&scene.meant).any(|path| *path == finding.path);
        assert!(
            known,
            "{name}: `{}` was not touched: {which}\n{}",
            finding.path,
            describe(scene, &report)
        );
    }
    scene.restore();
}

fn describe(scene: &Scene<'_>, report: &Report) -> String {
    let findings: Vec<String> =
        report.findings.iter().map(agent_bus::validate::Finding::to_line).collect();
    let diff = scene.repo.git(&["diff", "--unified=0"]);
    let diff: String = diff.chars().take(4000).collect();
    format!("touched: {:?}\n{}\n{diff}", scene.touched, findings.join("\n"))
}

fn befall_both(layout: Layout) {
    let seed = std::env::var("BUS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let repo = sound_bus(layout);
    let cases = befall(&repo, layout, seed);
    assert!(cases.values().sum::<usize>() >= rounds(160, 1000), "{cases:?}");
    // What git does between commit and worktree is for `altered`, and an older bus breaks no rule
    // of newer ones.
    let newer = [
        Rule::TrackedRecord,
        Rule::TrackedManifest,
        Rule::TooMuch,
        Rule::PolicyChanged,
        Rule::UnclaimedBranch,
        Rule::ClaimLost,
        Rule::NotJudged,
    ];
    let is_here = |rule: &Rule| {
        *rule != Rule::AlteredByGit && rule.looks_at() != LooksAt::Fleet && !newer.contains(rule)
    };
    let rules = Rule::all().filter(is_here).map(Rule::name);
    let missing: Vec<&str> = rules.filter(|name| !cases.contains_key(name)).collect();
    let expected: &[&str] = if layout == Layout::Single { &["foreign-event"] } else { &[] };
    assert_eq!(missing, expected, "every rule is broken");
}

#[test]
fn whatever_befalls_a_log_in_one_file_is_named_where_it_befell() {
    befall_both(Layout::Single);
}

#[test]
fn whatever_befalls_a_log_of_a_file_an_agent_is_named_where_it_befell() {
    befall_both(Layout::PerAgent);
}

#[test]
fn a_manager_may_change_what_is_others_on_a_branch_of_its_own() {
    let repo = sound_bus(Layout::PerAgent);
    let mut scene = Scene::new(&repo, Dice::new(1));
    for mutation in REWRITINGS.iter().filter(|mutation| mutation.0 == "tampering") {
        (mutation.2)(&mut scene);
        for (branch, is_told) in [
            ("agent/codex-1/x", true),
            ("agent/lead/x", false),
            ("main", false),
            ("agent/x", false),
        ] {
            let report = judge(&repo, Some("HEAD"), Some(branch));
            assert_eq!(
                report.counts.contains_key(&Rule::Tampering),
                is_told,
                "{branch}: {:?}",
                report.findings
            );
        }
        scene.restore();
    }
}
