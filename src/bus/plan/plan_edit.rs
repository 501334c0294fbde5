//! Making and changing plans. A plan that is changed is this worktree's; where only another
//! worktree has it, its words are taken from there.

use std::collections::HashSet;
use std::path::PathBuf;

use super::plan_fault::PlanFault;
use super::plan_files;
use super::plan_files::FoundPlan;
use super::plan_rules::{add_note, advance};
use super::receipt::NamedReceipt;
use crate::bus::claim::Changed;
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim};
use crate::record::json::{MAX_RECORD, Object};
use crate::record::{
    AgentId, Checkpoint, CheckpointStatus, Claim, PlanFlaw, PlanRecord, Progress, Receipts, Slug,
    Step, StepId, TaskId,
};
use crate::store::{Evidence, Lock, Place, Sums, crash_point, replace};

/// What must be so at the end of a plan that does not say it.
const CHECKPOINT: &str = "Every step is done and proved by its receipts";

/// What `bus plan new` asks for.
#[derive(Clone, Debug)]
pub(crate) struct NewPlan {
    /// What it is called, after the date.
    pub(crate) slug: Slug,
    /// What it is for.
    pub(crate) summary: String,
    /// Its steps, by id and title.
    pub(crate) steps: Vec<(StepId, String)>,
    /// Who looks at its end; whoever makes it if nobody is named.
    pub(crate) owner: Option<AgentId>,
    /// What must be so at its end.
    pub(crate) checkpoint: Option<String>,
    /// The task that it is for.
    pub(crate) task: Option<TaskId>,
}

/// What `bus plan step` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepChange {
    /// How far the step has come.
    pub(crate) status: Option<Progress>,
    /// Words to be added to its notes.
    pub(crate) note: Option<String>,
    /// What proves it.
    pub(crate) receipts: Vec<NamedReceipt>,
}

/// What `bus plan status` asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlanChange {
    /// How far the plan has come.
    pub(crate) status: Option<Progress>,
    /// Whether its checkpoint is met.
    pub(crate) checkpoint: Option<CheckpointStatus>,
}

/// What came of a command on a plan.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan now, and where it stands.
    pub(crate) found: FoundPlan,
    /// Whether there was nothing to do.
    pub(crate) unchanged: bool,
    /// Live claims of its tasks that are not the caller's, made here.
    pub(crate) held: Vec<Claim>,
    /// Receipts of finished steps that are not as they should be in this worktree, into which the
    /// plan was copied just now, and the worktree that has them.
    pub(crate) absent: Option<(Vec<String>, PathBuf)>,
    /// What came of noting the plan in the caller's own claim, if there was one to note it in.
    pub(crate) claim: Option<Result<Changed, Error>>,
}

/// Changes a step of the plan that is called `plan`.
///
/// # Errors
///
/// [`PlanFault`] if there is no such plan or step, or a rule of plans forbids it;
/// [`Error::Malformed`] if the plan cannot be read; else as the system refuses.
pub(crate) fn change_step(
    ws: &Workspace,
    agent: &AgentId,
    plan: &str,
    step: &str,
    change: &StepChange,
) -> Result<Planned, Error> {
    change_plan(ws, agent, plan, |plan| {
        let number = find_step(plan, step)?;
        for NamedReceipt { path, hash } in &change.receipts {
            let receipts = &mut plan.steps[number].receipts;
            if receipts.hashes.get(path).is_some_and(|noted| noted != hash) {
                return Err(PlanFault::ReceiptChanged { path: path.clone() });
            }
            receipts.add(path, *hash);
        }
        if let Some(note) = &change.note {
            add_note(&mut plan.steps[number].notes, note);
        }
        change.status.map_or(Ok(()), |wanted| advance(plan, number, wanted))
    })
}

/// Checks that the plan that is called `plan` has the step.
///
/// # Errors
///
/// As [`change_step`].
pub(crate) fn check_step(ws: &Workspace, plan: &str, step: &str) -> Result<(), Error> {
    find_step(&plan_to_change(ws, plan)?.plan, step)?;
    Ok(())
}

/// Changes what the plan that is called `plan` says of itself.
///
/// # Errors
///
/// As [`change_step`].
pub(crate) fn change_status(
    ws: &Workspace,
    agent: &AgentId,
    plan: &str,
    change: PlanChange,
) -> Result<Planned, Error> {
    change_plan(ws, agent, plan, |plan| {
        if let Some(wanted) = change.status {
            if plan.status == Progress::Done && wanted != Progress::Done {
                return Err(PlanFault::Final { plan: plan.plan_id.clone(), step: None, wanted });
            }
            let open = open_steps(plan);
            let is_given_up = change.checkpoint == Some(CheckpointStatus::Superseded);
            if wanted == Progress::Done
                && plan.status != Progress::Done
                && !open.is_empty()
                && !is_given_up
            {
                return Err(PlanFault::OpenSteps { plan: plan.plan_id.clone(), steps: open });
            }
            plan.status = wanted;
        }
        if let Some(status) = change.checkpoint {
            plan.checkpoint.get_or_insert_with(|| checkpoint(None, agent)).status = status;
        }
        Ok(())
    })
}

fn change_plan(
    ws: &Workspace,
    agent: &AgentId,
    asked: &str,
    change: impl Fn(&mut PlanRecord) -> Result<(), PlanFault>,
) -> Result<Planned, Error> {
    ws.config()?;
    let mut lock = ws.lock()?;
    let before = plan_to_change(ws, asked)?;
    let mut plan = before.plan.clone();
    change(&mut plan)?;
    if plan == before.plan {
        return planned(ws, &mut lock, agent, before, true);
    }
    let found = write_plan(ws, &lock, Some(&before), plan)?;
    let absent = if before.here { Vec::new() } else { absent_receipts(ws, &found.plan)? };
    let absent = (!absent.is_empty()).then(|| (absent, before.root().to_owned()));
    Ok(Planned { absent, ..planned(ws, &mut lock, agent, found, false)? })
}

/// The receipts of finished steps that are gone or changed in this worktree.
fn absent_receipts(ws: &Workspace, plan: &PlanRecord) -> Result<Vec<String>, Error> {
    let sums = Sums::default();
    let mut absent = Vec::new();
    for step in plan.steps.iter().filter(|step| step.status == Progress::Done) {
        for (path, evidence) in Evidence::of_all(ws.layout.root(), &step.receipts, &sums) {
            absent.extend((evidence? != Evidence::There).then(|| path.to_owned()));
        }
    }
    Ok(absent)
}

/// Writes a plan in this worktree. It is checked first: no command brings about what the validator
/// would tell of.
pub(in crate::bus) fn write_plan(
    ws: &Workspace,
    _lock: &Lock,
    before: Option<&FoundPlan>,
    plan: PlanRecord,
) -> Result<FoundPlan, Error> {
    let known: HashSet<PlanFlaw> =
        before.into_iter().flat_map(|before| before.plan.flaws()).collect();
    if let Some(flaw) = plan.flaws().into_iter().find(|flaw| !known.contains(flaw)) {
        return Err(refuse(&plan, &flaw));
    }
    let bytes = plan.to_bytes();
    if let Err(fault) = PlanRecord::parse(&bytes) {
        let what = format!(
            "the plan would have {} bytes and could not be read: {fault}; it may have {MAX_RECORD}",
            bytes.len()
        );
        return Err(Error::Usage { what, hint: "shorten the notes".to_owned() });
    }
    let place = match before {
        Some(before) if before.here => before.place.clone(),
        _ => ws.layout.plan(&plan.plan_id),
    };
    replace(&place, &bytes)?;
    crash_point("plan-written");
    Ok(FoundPlan { plan, place, here: true })
}

pub(in crate::bus) fn planned(
    ws: &Workspace,
    lock: &mut Lock,
    agent: &AgentId,
    found: FoundPlan,
    unchanged: bool,
) -> Result<Planned, Error> {
    let who = ws.who(agent.clone())?;
    let mut held: Vec<Claim> = Vec::new();
    for task in found.plan.tasks() {
        let view = claim::readable_view(ws, lock, &task)?;
        let claim = view.as_ref().and_then(|view| view.claim());
        held.extend(claim.filter(|claim| claim.status.is_live() && !who.owns(claim)).cloned());
    }
    held.dedup();
    Ok(Planned { found, unchanged, held, absent: None, claim: None })
}

/// The copy of a plan that a change starts from: this worktree's, else the furthest of the others.
fn plan_to_change(ws: &Workspace, asked: &str) -> Result<FoundPlan, Error> {
    let id = plan_files::plan_called(ws, asked)?;
    match plan_files::plan_here(ws, &id)? {
        Some(found) => Ok(found),
        None => plan_files::plan(ws, id.as_str()),
    }
}

/// The path of a plan's file, as messages have it.
#[must_use]
pub(crate) fn show_place(ws: &Workspace, place: &Place) -> String {
    ws.show(place)
}

pub(in crate::bus) fn new_step(id: &StepId, title: &str) -> Step {
    Step {
        id: id.to_string(),
        title: title.to_owned(),
        status: Progress::Queued,
        notes: None,
        receipts: Receipts::default(),
        extra: Object::new(),
    }
}

pub(in crate::bus) fn checkpoint(description: Option<&str>, owner: &AgentId) -> Checkpoint {
    Checkpoint {
        description: description.unwrap_or(CHECKPOINT).to_owned(),
        owner: owner.to_string(),
        status: CheckpointStatus::Pending,
        extra: Object::new(),
    }
}

/// The steps that are not done.
fn open_steps(plan: &PlanRecord) -> Vec<String> {
    plan.steps
        .iter()
        .filter(|step| step.status != Progress::Done)
        .map(|step| step.id.clone())
        .collect()
}

/// The place of the step that is called `asked`.
fn find_step(plan: &PlanRecord, asked: &str) -> Result<usize, PlanFault> {
    plan.step_called(asked).ok_or_else(|| PlanFault::NoStep {
        plan: plan.plan_id.clone(),
        asked: asked.to_owned(),
        steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
    })
}

/// The error for a flaw that a change would bring about.
fn refuse(plan: &PlanRecord, flaw: &PlanFlaw) -> Error {
    let id = || plan.plan_id.clone();
    let step = |number: usize| plan.steps[number].id.clone();
    match flaw {
        PlanFlaw::StepWithoutReceipt(number) => {
            PlanFault::Unproved { plan: id(), step: step(*number) }.into()
        }
        PlanFlaw::DuplicateStep(number) => {
            let what = format!("two steps are called `{}`", step(*number));
            Error::Usage {
                what,
                hint: "give each step an id of its own: `--step S1:… --step S2:…`".to_owned(),
            }
        }
        PlanFlaw::Undated | PlanFlaw::SecondInProgress(_) | PlanFlaw::UnlistedReceipt { .. } => {
            let what = format!("`{}` would not be sound: {flaw:?}", plan.plan_id);
            Error::Usage { what, hint: "please report this: it must not happen".to_owned() }
        }
    }
}
