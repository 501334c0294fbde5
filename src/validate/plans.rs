//! What is finished stays finished: plans and their steps.

use super::finding::Findings;
use super::rule::Rule;
use crate::record::{PathStep, PlanRecord, Progress, locate};

/// Compares the plan at `path` with what the base had of it. Bytes that are no plan are told of elsewhere.
pub(super) fn compare(findings: &mut Findings, path: &str, before: &[u8], now: &[u8]) {
    let (Ok(before), Ok(plan)) = (PlanRecord::parse(before), PlanRecord::parse(now)) else { return };
    let mut add = |at: &[PathStep<'_>], words: String| {
        findings.add(Rule::PlanRegression, path, Some(locate(now, at).into()), || words);
    };
    if before.status == Progress::Done && plan.status != Progress::Done {
        add(&[PathStep::Key("status")], "the plan was done, and is not any more".to_owned());
    }
    for step in before.steps.iter().filter(|step| step.status == Progress::Done) {
        let found = plan.steps.iter().enumerate().find(|(_, now)| now.id == step.id);
        match found {
            None => add(&[PathStep::Key("steps")], format!("the step `{}` was done, and is gone", step.id)),
            Some((number, now)) if now.status != Progress::Done => {
                let at = [PathStep::Key("steps"), PathStep::Item(number), PathStep::Key("status")];
                add(&at, format!("the step `{}` was done, and is not any more", step.id));
            }
            Some(_) => {}
        }
    }
}
