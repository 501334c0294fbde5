//! Making and changing plans. A plan that is changed is this worktree's; where only another worktree has it, its words are
//! taken from there.

use std::collections::HashSet;
use std::path::PathBuf;

use super::plan_rules::{add_note, advance, asks_for};
use super::receipts::NamedReceipt;
use super::{Bus, Changed, Error, FoundPlan, PlanFault};
use crate::record::json::{MAX_RECORD, Object};
use crate::record::{
    AgentId, Checkpoint, CheckpointStatus, Claim, PLAN_VERSION, PlanFlaw, PlanLink, PlanRecord, Progress, Receipts, Slug, Step,
    StepId, TaskId,
};
use crate::store::{Evidence, Lock, Place, Sums, crash_point, replace};

/// What must be so at the end of a plan that does not say it.
const CHECKPOINT: &str = "Every step is done and proved by its receipts";

/// What `bus plan new` asks for.
#[derive(Clone, Debug)]
pub struct NewPlan {
    /// What it is called, after the date.
    pub slug: Slug,
    /// What it is for.
    pub summary: String,
    /// Its steps, by id and title.
    pub steps: Vec<(StepId, String)>,
    /// Who looks at its end; whoever makes it where nobody is named.
    pub owner: Option<AgentId>,
    /// What must be so at its end.
    pub checkpoint: Option<String>,
    /// The task that it is for.
    pub task: Option<TaskId>,
}

/// What `bus plan step` asks for.
#[derive(Clone, Debug, Default)]
pub struct StepChange {
    /// How far the step has come.
    pub status: Option<Progress>,
    /// Words to be added to its notes.
    pub note: Option<String>,
    /// What proves it.
    pub receipts: Vec<NamedReceipt>,
}

/// What `bus plan status` asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanChange {
    /// How far the plan has come.
    pub status: Option<Progress>,
    /// Whether its checkpoint is met.
    pub checkpoint: Option<CheckpointStatus>,
}

/// What came of a command on a plan.
#[derive(Debug)]
pub struct Planned {
    /// The plan now, and where it stands.
    pub found: FoundPlan,
    /// Whether there was nothing to do.
    pub unchanged: bool,
    /// Live claims of its tasks that are not the caller's, made here.
    pub held: Vec<Claim>,
    /// Receipts of finished steps that are not as they should be in this worktree, into which the plan was copied just now, and
    /// the worktree that has them.
    pub absent: Option<(Vec<String>, PathBuf)>,
    /// What came of noting the plan in the caller's own claim, where there was one to note it in.
    pub claim: Option<Result<Changed, Error>>,
}

impl Bus {
    /// Makes a plan. The same again finds it made, and does what a crash left undone.
    ///
    /// # Errors
    ///
    /// [`PlanFault::Exists`] where a plan of that id says something else; [`Error::Malformed`] where it cannot be read; else as
    /// the system refuses.
    pub fn new_plan(&self, agent: &AgentId, request: &NewPlan) -> Result<Planned, Error> {
        self.config()?;
        let now = self.clock.now();
        let id = request.slug.plan_id(now)?;
        let mut lock = self.lock()?;
        let view = request.task.as_ref().map(|task| self.readable_view(&mut lock, task)).transpose()?.flatten();
        let task = view.as_ref().map(|view| &view.task).or(request.task.as_ref());
        let plan = PlanRecord {
            version: Some(PLAN_VERSION),
            plan_id: id.clone(),
            created: now,
            actor: agent.to_string(),
            summary: request.summary.clone(),
            status: Progress::Queued,
            steps: request.steps.iter().map(|(id, title)| new_step(id, title)).collect(),
            checkpoint: Some(checkpoint(request.checkpoint.as_deref(), request.owner.as_ref().unwrap_or(agent))),
            receipts: Receipts::default(),
            links: task.map(PlanLink::to_task).into_iter().collect(),
            extra: Object::new(),
        };
        let mut planned = match self.copies(&id)? {
            Some(known) if asks_for(&plan, &known.plan) => self.planned(&mut lock, agent, known, true)?,
            Some(_) => return Err(PlanFault::Exists { plan: id }.into()),
            None => {
                let found = self.write_plan(&lock, None, plan)?;
                self.planned(&mut lock, agent, found, false)?
            }
        };
        drop(lock);
        let own = view.as_ref().and_then(|view| view.claim()).filter(|claim| claim.status.is_live() && claim.agent_id == *agent);
        if let Some(claim) = own.filter(|claim| !planned.held.iter().any(|held| held.task_id == claim.task_id)) {
            planned.claim = Some(self.note_plan(agent, &claim.task_id, &id));
        }
        Ok(planned)
    }

    /// Changes a step of the plan that is called `plan`.
    ///
    /// # Errors
    ///
    /// [`PlanFault`] where there is no such plan or step, or a rule of plans forbids it; [`Error::Malformed`] where the plan cannot
    /// be read; else as the system refuses.
    pub fn change_step(&self, agent: &AgentId, plan: &str, step: &str, change: &StepChange) -> Result<Planned, Error> {
        self.change_plan(agent, plan, |plan| {
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
    /// As [`Bus::change_step`].
    pub fn check_step(&self, plan: &str, step: &str) -> Result<(), Error> {
        find_step(&self.plan_to_change(plan)?.plan, step)?;
        Ok(())
    }

    /// Changes what the plan that is called `plan` says of itself.
    ///
    /// # Errors
    ///
    /// As [`Bus::change_step`].
    pub fn change_status(&self, agent: &AgentId, plan: &str, change: PlanChange) -> Result<Planned, Error> {
        self.change_plan(agent, plan, |plan| {
            if let Some(wanted) = change.status {
                if plan.status == Progress::Done && wanted != Progress::Done {
                    return Err(PlanFault::Final { plan: plan.plan_id.clone(), step: None, wanted });
                }
                let open = open_steps(plan);
                let is_given_up = change.checkpoint == Some(CheckpointStatus::Superseded);
                if wanted == Progress::Done && plan.status != Progress::Done && !open.is_empty() && !is_given_up {
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
        &self,
        agent: &AgentId,
        asked: &str,
        change: impl Fn(&mut PlanRecord) -> Result<(), PlanFault>,
    ) -> Result<Planned, Error> {
        self.config()?;
        let mut lock = self.lock()?;
        let before = self.plan_to_change(asked)?;
        let mut plan = before.plan.clone();
        change(&mut plan)?;
        if plan == before.plan {
            return self.planned(&mut lock, agent, before, true);
        }
        let found = self.write_plan(&lock, Some(&before), plan)?;
        let absent = if before.here { Vec::new() } else { self.absent_receipts(&found.plan)? };
        let absent = (!absent.is_empty()).then(|| (absent, before.root().to_owned()));
        Ok(Planned { absent, ..self.planned(&mut lock, agent, found, false)? })
    }

    /// The receipts of finished steps that are gone or changed in this worktree.
    fn absent_receipts(&self, plan: &PlanRecord) -> Result<Vec<String>, Error> {
        let sums = Sums::default();
        let mut absent = Vec::new();
        for step in plan.steps.iter().filter(|step| step.status == Progress::Done) {
            for (path, evidence) in Evidence::of_all(self.layout.root(), &step.receipts, &sums) {
                absent.extend((evidence? != Evidence::There).then(|| path.to_owned()));
            }
        }
        Ok(absent)
    }

    /// Writes a plan in this worktree. It is checked first: no command brings about what the validator would tell of.
    fn write_plan(&self, _lock: &Lock, before: Option<&FoundPlan>, plan: PlanRecord) -> Result<FoundPlan, Error> {
        let known: HashSet<PlanFlaw> = before.into_iter().flat_map(|before| before.plan.flaws()).collect();
        if let Some(flaw) = plan.flaws().into_iter().find(|flaw| !known.contains(flaw)) {
            return Err(refuse(&plan, &flaw));
        }
        let bytes = plan.to_bytes();
        if let Err(fault) = PlanRecord::parse(&bytes) {
            let what =
                format!("the plan would have {} bytes and could not be read: {fault}; it may have {MAX_RECORD}", bytes.len());
            return Err(Error::Usage { what, hint: "shorten the notes".to_owned() });
        }
        let place = match before {
            Some(before) if before.here => before.place.clone(),
            _ => self.layout.plan(&plan.plan_id),
        };
        replace(&place, &bytes)?;
        crash_point("plan-written");
        Ok(FoundPlan { plan, place, here: true })
    }

    fn planned(&self, lock: &mut Lock, agent: &AgentId, found: FoundPlan, unchanged: bool) -> Result<Planned, Error> {
        let who = self.who(agent.clone())?;
        let mut held: Vec<Claim> = Vec::new();
        for task in found.plan.tasks() {
            let view = self.readable_view(lock, &task)?;
            let claim = view.as_ref().and_then(|view| view.claim());
            held.extend(claim.filter(|claim| claim.status.is_live() && !who.owns(claim)).cloned());
        }
        held.dedup();
        Ok(Planned { found, unchanged, held, absent: None, claim: None })
    }

    /// The copy of a plan that a change starts from: this worktree's, else the furthest of the others.
    fn plan_to_change(&self, asked: &str) -> Result<FoundPlan, Error> {
        let id = self.plan_called(asked)?;
        match self.plan_here(&id)? {
            Some(found) => Ok(found),
            None => self.plan(id.as_str()),
        }
    }

    /// The path of a plan's file, as messages have it.
    #[must_use]
    pub fn show_place(&self, place: &Place) -> String {
        self.show(place)
    }
}

fn new_step(id: &StepId, title: &str) -> Step {
    Step {
        id: id.to_string(),
        title: title.to_owned(),
        status: Progress::Queued,
        notes: None,
        receipts: Receipts::default(),
        extra: Object::new(),
    }
}

fn checkpoint(description: Option<&str>, owner: &AgentId) -> Checkpoint {
    Checkpoint {
        description: description.unwrap_or(CHECKPOINT).to_owned(),
        owner: owner.to_string(),
        status: CheckpointStatus::Pending,
        extra: Object::new(),
    }
}

/// The steps that are not done.
fn open_steps(plan: &PlanRecord) -> Vec<String> {
    plan.steps.iter().filter(|step| step.status != Progress::Done).map(|step| step.id.clone()).collect()
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
        PlanFlaw::StepWithoutReceipt(number) => PlanFault::Unproved { plan: id(), step: step(*number) }.into(),
        PlanFlaw::DuplicateStep(number) => {
            let what = format!("two steps are called `{}`", step(*number));
            Error::Usage { what, hint: "give each step an id of its own: `--step S1:… --step S2:…`".to_owned() }
        }
        PlanFlaw::Undated | PlanFlaw::SecondInProgress(_) | PlanFlaw::UnlistedReceipt { .. } => {
            let what = format!("`{}` would not be sound: {flaw:?}", plan.plan_id);
            Error::Usage { what, hint: "please report this: it must not happen".to_owned() }
        }
    }
}
