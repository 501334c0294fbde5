//! `bus plan new`: a plan, and the claim that names it.

use super::claim_task;
use crate::bus::plan::{NewPlan, PlanFault, Planned, asks_for, checkpoint, new_step};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, plan};
use crate::record::json::Object;
use crate::record::{AgentId, PLAN_VERSION, PlanLink, PlanRecord, Progress, Receipts};

/// Makes a plan. The same again finds it made, and does what a crash left undone.
///
/// # Errors
///
/// [`PlanFault::Exists`] if a plan of that id says something else; [`Error::Malformed`] if it
/// cannot be read; else as the system refuses.
pub(crate) fn new_plan(
    ws: &Workspace,
    agent: &AgentId,
    request: &NewPlan,
) -> Result<Planned, Error> {
    ws.config()?;
    let now = ws.clock.now();
    let id = request.slug.plan_id(now)?;
    let mut lock = ws.lock()?;
    let view = request
        .task
        .as_ref()
        .map(|task| claim::readable_view(ws, &mut lock, task))
        .transpose()?
        .flatten();
    let task = view.as_ref().map(|view| &view.task).or(request.task.as_ref());
    let plan = PlanRecord {
        version: Some(PLAN_VERSION),
        plan_id: id.clone(),
        created: now,
        actor: agent.to_string(),
        summary: request.summary.clone(),
        status: Progress::Queued,
        steps: request.steps.iter().map(|(id, title)| new_step(id, title)).collect(),
        checkpoint: Some(checkpoint(
            request.checkpoint.as_deref(),
            request.owner.as_ref().unwrap_or(agent),
        )),
        receipts: Receipts::default(),
        links: task.map(PlanLink::to_task).into_iter().collect(),
        extra: Object::new(),
    };
    let mut planned = match plan::copies(ws, &id)? {
        Some(known) if asks_for(&plan, &known.plan) => {
            plan::planned(ws, &mut lock, agent, known, true)?
        }
        Some(_) => return Err(PlanFault::Exists { plan: id }.into()),
        None => {
            let found = plan::write_plan(ws, &lock, None, plan)?;
            plan::planned(ws, &mut lock, agent, found, false)?
        }
    };
    drop(lock);
    let own = view
        .as_ref()
        .and_then(|view| view.claim())
        .filter(|claim| claim.status.is_live() && claim.agent_id == *agent);
    if let Some(claim) =
        own.filter(|claim| !planned.held.iter().any(|held| held.task_id == claim.task_id))
    {
        planned.claim = Some(claim_task::note_plan(ws, agent, &claim.task_id, &id));
    }
    Ok(planned)
}
