//! Makes a report's facts of what a survey of the bus has found.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::facts::{AgentFacts, PlanFacts, Report, TaskFacts, TaskState, Validated};
use super::lane::{Share, lane};
use super::needs::{findings, needs};
use crate::bus::claim::ClaimStatus;
use crate::bus::plan::FoundPlan;
use crate::bus::queue::QueueEntry;
use crate::bus::survey::{Held, Survey};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, survey};
use crate::record::{AgentId, Assignment, PlanId, PlanRecord, Progress, TaskId, Timestamp};
use crate::store::{Evidence, Sums, Window};

/// Of how many tasks the times are gathered in which somebody held them: the youngest.
const MAX_HELD: usize = 40;

/// What a report is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Whose report it is.
    pub(crate) manager: Option<AgentId>,
    /// Since when work counts, or `None` if all of it does.
    pub(crate) since: Option<Timestamp>,
}

impl Report {
    /// Looks at everything. Nothing is written.
    ///
    /// # Errors
    ///
    /// As [`survey::survey`].
    pub(crate) fn gather(ws: &Workspace, request: Request) -> Result<Self, Error> {
        let now = ws.clock().now();
        let survey = survey::survey(ws, Window { since: request.since, until: now })?;
        let mut tasks = tasks(&survey, request.since);
        tasks.sort_by(|one, other| (one.state, &one.task).cmp(&(other.state, &other.task)));
        let events = survey.tally.agents.values().map(|agent| agent.events).sum::<usize>();
        let refused = survey.refused.values().sum::<usize>();
        let lane = lane(
            &tasks,
            &survey.status.assignments,
            request.since,
            Share { some: refused, all: events + refused },
        );
        let mut report = Self {
            now,
            since: request.since,
            manager: request.manager,
            compared_with: survey.status.compared_with.clone(),
            leases: survey.status.leases.clone(),
            needs: needs(&survey, &tasks, request.since, now),
            held: Vec::new(),
            agents: Vec::new(),
            tasks,
            lane,
        };
        report.agents = agents(&survey, &report);
        report.held = held(ws, &report)?;
        Ok(report)
    }

    /// The report, and what the validator finds beside.
    #[must_use]
    pub(crate) fn with_findings(mut self, validated: &Validated) -> Self {
        self.needs.extend(findings(validated));
        self
    }
}

/// What the tasks are made of.
struct Sources<'a> {
    survey: &'a Survey,
    items: HashMap<&'a TaskId, &'a QueueEntry>,
    assignments: HashMap<&'a TaskId, &'a Assignment>,
    plans: HashMap<&'a PlanId, &'a FoundPlan>,
    /// The newest plan that is linked to a task's claim.
    linked: HashMap<TaskId, &'a PlanId>,
    since: Option<Timestamp>,
    /// The receipts that were read.
    sums: Sums,
}

fn tasks(survey: &Survey, since: Option<Timestamp>) -> Vec<TaskFacts> {
    let sources = Sources {
        survey,
        items: survey.queue.items.iter().map(|entry| (&entry.task, entry)).collect(),
        assignments: survey
            .status
            .assignments
            .iter()
            .map(|assignment| (&assignment.task_id, assignment))
            .collect(),
        plans: survey.plans.found.iter().map(|found| (&found.plan.plan_id, found)).collect(),
        linked: linked(survey),
        since,
        sums: Sums::default(),
    };
    let mut tasks: BTreeMap<TaskId, TaskFacts> = BTreeMap::new();
    for status in &survey.status.claims {
        tasks.insert(status.claim.task_id.clone(), sources.claimed(status));
    }
    for (task, _) in &survey.status.unreadable {
        tasks.insert(task.clone(), sources.unclaimed(task, TaskState::Unreadable));
    }
    for entry in &survey.queue.items {
        tasks
            .entry(entry.task.clone())
            .or_insert_with(|| sources.unclaimed(&entry.task, (&entry.state).into()));
    }
    for assignment in survey.status.waiting() {
        let task = &assignment.task_id;
        let facts = tasks
            .entry(task.clone())
            .or_insert_with(|| sources.unclaimed(task, TaskState::Waiting));
        if matches!(facts.state, TaskState::Ready | TaskState::Released) {
            *facts = sources.unclaimed(task, TaskState::Waiting);
        }
    }
    note_shared_branches(&mut tasks);
    tasks.into_values().collect()
}

/// Notes of each claim which others name the same branch.
fn note_shared_branches(tasks: &mut BTreeMap<TaskId, TaskFacts>) {
    let mut on_branch: HashMap<String, Vec<TaskId>> = HashMap::new();
    for (task, facts) in tasks.iter() {
        let with_branch = facts
            .claim
            .iter()
            .filter(|_| facts.seen.as_ref().is_some_and(|seen| seen.head.is_some()));
        with_branch.for_each(|claim| {
            on_branch.entry(claim.branch.clone()).or_default().push(task.clone())
        });
    }
    for facts in tasks.values_mut() {
        let together = facts.claim.as_ref().and_then(|claim| on_branch.get(&claim.branch));
        facts.shares =
            together.into_iter().flatten().filter(|task| **task != facts.task).cloned().collect();
    }
}

impl Sources<'_> {
    fn claimed(&self, status: &ClaimStatus) -> TaskFacts {
        let claim = &status.claim;
        let since =
            claim.released_at.filter(|_| !claim.status.is_live()).unwrap_or(claim.claimed_at);
        let state = TaskState::from(status.state);
        let is_news = state.is_live() || self.since.is_none_or(|start| since >= start);
        let entry = self.items.get(&claim.task_id);
        let named = claim.plan_id.as_ref().filter(|plan| self.plans.contains_key(plan));
        let plan = named.or_else(|| self.plan_of(&claim.task_id));
        TaskFacts {
            task: claim.task_id.clone(),
            title: entry.and_then(|entry| title(entry)),
            state,
            owner: Some(claim.agent_id.clone()),
            since: Some(since),
            last_seen: status.last_seen,
            seen: status.seen.clone(),
            plan: plan
                .and_then(|plan| self.plans.get(plan))
                .map(|found| plan_facts(found, is_news.then_some(&self.sums))),
            last_word: self
                .survey
                .tally
                .last_word(&claim.task_id, &claim.agent_id)
                .filter(|_| is_news),
            blocked_by: entry.map(|entry| blocked_by(entry)).unwrap_or_default(),
            claim: Some(claim.clone()),
            shares: Vec::new(),
        }
    }

    fn unclaimed(&self, task: &TaskId, state: TaskState) -> TaskFacts {
        let entry = self.items.get(task);
        let assignment = self.assignments.get(task);
        TaskFacts {
            task: task.clone(),
            title: entry.and_then(|entry| title(entry)),
            state,
            owner: assignment.and_then(|assignment| assignment.engineer.clone()),
            since: assignment.map(|assignment| assignment.assigned_at),
            claim: None,
            last_seen: None,
            seen: None,
            plan: self
                .plan_of(task)
                .and_then(|plan| self.plans.get(plan))
                .map(|found| plan_facts(found, Some(&self.sums))),
            last_word: None,
            blocked_by: entry.map(|entry| blocked_by(entry)).unwrap_or_default(),
            shares: Vec::new(),
        }
    }

    /// The plan that the assignment or the queue names, or that names the task.
    fn plan_of(&self, task: &TaskId) -> Option<&PlanId> {
        let assigned =
            self.assignments.get(task).and_then(|assignment| assignment.plan_id.as_ref());
        let queued = || self.items.get(task).and_then(|entry| entry.item.as_ref()?.plan.as_ref());
        assigned.or_else(queued).or_else(|| self.linked.get(task).copied())
    }
}

fn linked(survey: &Survey) -> HashMap<TaskId, &PlanId> {
    let mut plans: Vec<&PlanRecord> = survey.plans.found.iter().map(|found| &found.plan).collect();
    plans.sort_by_key(|plan| (plan.created, &plan.plan_id));
    plans.into_iter().flat_map(|plan| plan.tasks().map(move |task| (task, &plan.plan_id))).collect()
}

fn title(entry: &QueueEntry) -> Option<String> {
    entry.item.as_ref().map(|item| item.title.clone())
}

fn blocked_by(entry: &QueueEntry) -> Vec<TaskId> {
    entry.blocked_by().map(|blocker| blocker.task.clone()).collect()
}

/// How far a plan is; its receipts are read only where that is asked for.
fn plan_facts(found: &FoundPlan, sums: Option<&Sums>) -> PlanFacts {
    let plan = &found.plan;
    let blocked = plan.steps.iter().filter(|step| step.status == Progress::Blocked);
    PlanFacts {
        id: plan.plan_id.clone(),
        status: plan.status,
        steps: plan.tally(),
        blocked: blocked
            .map(|step| format!("{}: {}", step.id, step.notes.as_ref().unwrap_or(&step.title)))
            .collect(),
        receipts: sums.map(|sums| receipts(plan, found.root(), sums)).unwrap_or_default(),
    }
}

/// How each receipt of a plan stands, each once. One that cannot be read is as good as gone.
fn receipts(plan: &PlanRecord, root: &Path, sums: &Sums) -> Vec<(String, Evidence)> {
    let all = plan.steps.iter().map(|step| &step.receipts).chain([&plan.receipts]);
    let mut known = BTreeMap::new();
    for (path, evidence) in all.flat_map(|receipts| Evidence::of_all(root, receipts, sums)) {
        known.entry(path.to_owned()).or_insert(evidence.unwrap_or(Evidence::Gone));
    }
    known.into_iter().collect()
}

fn agents(survey: &Survey, report: &Report) -> Vec<AgentFacts> {
    let finished = report.finished();
    let peers: BTreeMap<&AgentId, _> =
        survey.peers.iter().map(|peer| (&peer.agent, peer)).collect();
    let logged =
        survey.tally.agents.iter().filter(|(_, tally)| tally.events > 0).map(|(agent, _)| agent);
    let all: BTreeSet<&AgentId> =
        peers.keys().copied().chain(logged).chain(survey.refused.keys()).collect();
    let facts = all.into_iter().map(|agent| {
        let peer = peers.get(agent);
        let tally = survey.tally.agents.get(agent);
        AgentFacts {
            agent: agent.clone(),
            state: peer.map(|peer| peer.state),
            last_seen: peer.and_then(|peer| peer.last_seen).max(tally.and_then(|tally| tally.last)),
            holds: peer
                .map(|peer| peer.claims.iter().map(|status| status.claim.task_id.clone()).collect())
                .unwrap_or_default(),
            finished: finished.iter().filter(|task| task.owner.as_ref() == Some(agent)).count(),
            events: tally.map_or(0, |tally| tally.events),
            refused: survey.refused.get(agent).copied().unwrap_or(0),
        }
    });
    facts.collect()
}

/// Who held what when, of the tasks that somebody holds or that ended lately, the youngest.
fn held(ws: &Workspace, report: &Report) -> Result<Vec<(TaskId, TaskState, Held)>, Error> {
    let mut tasks: Vec<&TaskFacts> = report
        .tasks
        .iter()
        .filter(|task| {
            task.claim.is_some() && (task.state.is_live() || report.is_recent(task.since))
        })
        .collect();
    tasks.sort_by_key(|task| (!task.state.is_live(), std::cmp::Reverse(task.since), &task.task));
    let mut held = Vec::new();
    for task in tasks.into_iter().take(MAX_HELD) {
        let Some(claim) = &task.claim else { continue };
        let times = survey::times_held(ws, claim)?;
        held.extend(times.into_iter().map(|time| (task.task.clone(), task.state, time)));
    }
    held.sort_by(|(one, _, time), (other, _, until)| {
        (&time.agent, time.from, one).cmp(&(&until.agent, until.from, other))
    });
    Ok(held)
}
