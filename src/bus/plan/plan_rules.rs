//! What a change of a plan may be, and what follows from it: pure decisions.

use super::plan_fault::PlanFault;
use crate::record::{PlanRecord, Progress, Step};

/// Whether `known` is what came of asking for `wanted`, however far it has come since.
pub(in crate::bus) fn asks_for(wanted: &PlanRecord, known: &PlanRecord) -> bool {
    let steps = |plan: &PlanRecord| {
        plan.steps.iter().map(|step| (step.id.clone(), step.title.clone())).collect::<Vec<_>>()
    };
    let end = |plan: &PlanRecord| {
        plan.checkpoint.as_ref().map(|end| (end.description.clone(), end.owner.clone()))
    };
    wanted.summary == known.summary
        && wanted.actor == known.actor
        && steps(wanted) == steps(known)
        && end(wanted) == end(known)
        && wanted.tasks().eq(known.tasks())
}

/// Adds a line to notes, and loses none. The same one again is not added.
pub(super) fn add_note(notes: &mut Option<String>, note: &str) {
    match notes {
        Some(notes) if notes == note || notes.ends_with(&format!("\n{note}")) => {}
        Some(notes) => {
            notes.push('\n');
            notes.push_str(note);
        }
        None => *notes = Some(note.to_owned()),
    }
}

/// Brings a step to `wanted`; the plan follows.
pub(super) fn advance(
    plan: &mut PlanRecord,
    number: usize,
    wanted: Progress,
) -> Result<(), PlanFault> {
    let step = &plan.steps[number];
    if step.status == wanted {
        return Ok(());
    }
    if step.status == Progress::Done || (plan.status == Progress::Done && wanted != Progress::Done)
    {
        let step = Some(step.id.clone()).filter(|_| step.status == Progress::Done);
        return Err(PlanFault::Final { plan: plan.plan_id.clone(), step, wanted });
    }
    let other = plan.current().filter(|_| wanted == Progress::InProgress);
    if let Some(other) = other {
        return Err(PlanFault::InProgress {
            plan: plan.plan_id.clone(),
            current: other.id.clone(),
            step: step.id.clone(),
        });
    }
    plan.steps[number].status = wanted;
    if plan.status != Progress::Done {
        plan.status = follow(&plan.steps);
    }
    Ok(())
}

/// What a plan is whose steps are these. That it is done is somebody's word, not its steps'.
fn follow(steps: &[Step]) -> Progress {
    let any = |status: Progress| steps.iter().any(|step| step.status == status);
    match () {
        () if any(Progress::InProgress) => Progress::InProgress,
        () if any(Progress::Blocked) => Progress::Blocked,
        () if any(Progress::Done) => Progress::InProgress,
        () => Progress::Queued,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Progress::{Blocked, Done, InProgress, Queued};

    fn plan(status: Progress, steps: &[Progress]) -> PlanRecord {
        let step = |(number, status): (usize, &Progress)| {
            format!(r#"{{"id":"S{number}","title":"t","status":"{status}"}}"#)
        };
        let steps: Vec<String> = steps.iter().enumerate().map(step).collect();
        let text = format!(
            r#"{{"plan_id":"p","created":"2026-03-01T12:00:00Z","actor":"a","summary":"s","status":"{status}","steps":[{}]}}"#,
            steps.join(",")
        );
        PlanRecord::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_plan_follows_its_steps_until_it_is_done() {
        for (before, steps, number, wanted, after) in [
            (Queued, [Queued, Queued], 0, InProgress, InProgress),
            (Queued, [Queued, Queued], 1, Done, InProgress),
            (Queued, [Queued, Queued], 0, Blocked, Blocked),
            (InProgress, [InProgress, Blocked], 0, Queued, Blocked),
            (InProgress, [InProgress, Blocked], 0, Done, Blocked),
            (Blocked, [Blocked, Done], 0, Queued, InProgress),
            (Blocked, [Blocked, Queued], 0, Queued, Queued),
            (InProgress, [Done, InProgress], 1, Done, InProgress),
            (Done, [Done, Queued], 1, Done, Done),
            (Blocked, [Queued, Queued], 0, Queued, Blocked),
        ] {
            let mut plan = plan(before, &steps);
            advance(&mut plan, number, wanted).unwrap();
            assert_eq!(
                (plan.status, plan.steps[number].status),
                (after, wanted),
                "{before} {steps:?} {number}"
            );
        }
    }

    #[test]
    fn what_is_done_goes_back_nowhere_and_one_step_is_in_progress() {
        for (before, steps, number, wanted) in [
            (InProgress, [Done, Queued], 0, Queued),
            (InProgress, [Done, Queued], 0, InProgress),
            (Done, [Done, Queued], 1, InProgress),
            (InProgress, [InProgress, Queued], 1, InProgress),
        ] {
            let mut plan = plan(before, &steps);
            let same = plan.clone();
            advance(&mut plan, number, wanted).unwrap_err();
            assert_eq!(plan, same, "{before} {steps:?} {number}");
        }
    }
}
