//! What can be wrong with a plan whose fields are each in order: what they say together. The
//! validator tells of it, and no command brings it about.

use std::collections::HashSet;

use super::plan::{Plan, Progress};
use super::slug::is_dated;

/// A flaw of a plan. Steps are named by their place, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlanFlaw {
    /// The id does not begin with a date.
    Undated,
    /// An earlier step has the same id, but for letter case.
    DuplicateStep(usize),
    /// An earlier step is in progress, too.
    SecondInProgress(usize),
    /// The step is done and names no receipt.
    StepWithoutReceipt(usize),
    /// A sum is noted for what is no receipt of the step, or of the plan.
    UnlistedReceipt {
        /// The step, or `None` if it is the plan's own.
        step: Option<usize>,
        /// The path that has the sum.
        path: String,
    },
}

impl Plan {
    /// Everything that its fields say together and should not.
    #[must_use]
    pub fn flaws(&self) -> Vec<PlanFlaw> {
        let mut flaws = Vec::new();
        if !is_dated(self.plan_id.as_str()) {
            flaws.push(PlanFlaw::Undated);
        }
        let unlisted = |step, path: &str| PlanFlaw::UnlistedReceipt { step, path: path.to_owned() };
        flaws.extend(self.receipts.unlisted().map(|path| unlisted(None, path)));
        let mut ids = HashSet::new();
        let mut in_progress = 0;
        for (number, step) in self.steps.iter().enumerate() {
            if !ids.insert(step.id.to_ascii_lowercase()) {
                flaws.push(PlanFlaw::DuplicateStep(number));
            }
            in_progress += usize::from(step.status == Progress::InProgress);
            if step.status == Progress::InProgress && in_progress > 1 {
                flaws.push(PlanFlaw::SecondInProgress(number));
            }
            if step.status == Progress::Done && step.receipts.is_empty() {
                flaws.push(PlanFlaw::StepWithoutReceipt(number));
            }
            flaws.extend(step.receipts.unlisted().map(|path| unlisted(Some(number), path)));
        }
        flaws
    }
}
