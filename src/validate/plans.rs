//! What is finished stays finished, and proved: plans, their steps and receipts.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use super::finding::{Findings, Place};
use super::rule::Rule;
use crate::record::{PathStep, Places, PlanRecord, Progress};

/// Compares the plan at `path` with what the base had of it. Bytes that are no plan are told of elsewhere.
pub(super) fn compare(findings: &mut Findings, path: &str, before: &[u8], now: &[u8]) {
    let (Ok(before), Ok(plan)) = (PlanRecord::parse(before), PlanRecord::parse(now)) else { return };
    let places = Places::of(now);
    let mut add = |at: &[PathStep<'_>], words: String| {
        findings.add(Rule::PlanRegression, path, Some(places.locate(at).into()), || words);
    };
    if before.status == Progress::Done && plan.status != Progress::Done {
        add(&[PathStep::Key("status")], "the plan was done, and is not any more".to_owned());
    }
    // Of two steps with one id the first counts.
    let steps: HashMap<&str, (usize, Progress)> =
        plan.steps.iter().enumerate().rev().map(|(number, step)| (step.id.as_str(), (number, step.status))).collect();
    for step in before.steps.iter().filter(|step| step.status == Progress::Done) {
        let found = steps.get(step.id.as_str());
        match found {
            None => add(&[PathStep::Key("steps")], format!("the step `{}` was done, and is gone", step.id)),
            Some((number, now)) if *now != Progress::Done => {
                let at = [PathStep::Key("steps"), PathStep::Item(*number), PathStep::Key("status")];
                add(&at, format!("the step `{}` was done, and is not any more", step.id));
            }
            Some(_) => {}
        }
    }
}

/// Tells which receipts of finished steps of the plan `bytes` are among those that were `lost`.
pub(super) fn find_lost(findings: &mut Findings, path: &str, bytes: &[u8], lost: &HashSet<&str>) {
    let Ok(plan) = PlanRecord::parse(bytes) else { return };
    let places = Places::of(bytes);
    for (number, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.status == Progress::Done) {
        let at = [PathStep::Key("steps"), PathStep::Item(number), PathStep::Key("receipts")];
        let place = LazyCell::new(|| Place::from(places.locate(&at)));
        for receipt in step.receipts.paths.iter().filter(|receipt| lost.contains(plain(receipt).as_str())) {
            let words = || format!("the step `{}` is done, and its receipt `{receipt}` is gone", step.id);
            findings.add(Rule::MissingReceipt, path, Some(*place), words);
        }
    }
}

/// A path without the dots that lead nowhere: `_report/a.log` for `./_report/a.log`.
fn plain(path: &str) -> String {
    let parts = Path::new(path).components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
