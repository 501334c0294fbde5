//! `bus status`: all claims, leases and the latest events.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use crate::bus::claim::{ClaimStatus, ComparedWith, LastEvents, StatusQuery};
use crate::bus::fleet::{Freshness, RewrittenLog};
use crate::bus::lease::LeaseStatus;
use crate::bus::log::{Channel, Filter};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, fleet, lease, log, queue};
use crate::record::{AgentId, Assignment, TaskId, Timestamp};
use crate::store::{Entry, Faults};

/// What `bus status` shows.
#[derive(Debug)]
pub(crate) struct StatusReport {
    /// The claims: live ones first, the youngest first among each.
    pub(crate) claims: Vec<ClaimStatus>,
    /// Who shall do which task, by task, where that was asked for.
    pub(crate) assignments: Vec<Assignment>,
    /// The assignments that cannot be read: a task and why.
    pub(crate) bad_assignments: Vec<(TaskId, Error)>,
    /// What the branches were compared with, where that was asked for and there is a default
    /// branch.
    pub(crate) compared_with: Option<ComparedWith>,
    /// The live leases of these agents, in the order in which they were taken.
    pub(crate) leases: Vec<LeaseStatus>,
    /// Why the leases cannot be read, where they cannot.
    pub(crate) lease_fault: Option<Error>,
    /// The latest events, oldest first.
    pub(crate) events: Vec<Entry>,
    /// What could not be read: a task and why.
    pub(crate) unreadable: Vec<(TaskId, Error)>,
    /// What is damaged, but hides nothing: the claim is known from elsewhere.
    pub(crate) damaged: Vec<Error>,
    /// Lines of the log that are no events.
    pub(crate) bad_lines: Faults,
    /// What is wrong with the policy, for which the defaults stand in.
    pub(crate) config_fault: Option<Error>,
    /// How fresh the view of the fleet is, or `None` if the clone belongs to none.
    pub(crate) freshness: Option<Freshness>,
    /// The logs that were rewritten on the fleet's remote, and that nobody has accepted.
    pub(crate) rewritten: Vec<RewrittenLog>,
    /// When this was so.
    pub(crate) generated_at: Timestamp,
    /// The tasks that somebody holds or has finished, or whose claims cannot be read.
    pub(in crate::bus) taken: HashSet<TaskId>,
}

impl StatusReport {
    /// The tasks that wait for their engineers: assigned, and neither claimed nor finished.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Assignment> {
        self.assignments.iter().filter(|assignment| {
            assignment.engineer.is_some() && !self.taken.contains(&assignment.task_id)
        })
    }
}

/// Looks at all claims and at the latest events. One bad file or line hides nothing else.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses to read.
pub(crate) fn status(ws: &Workspace, query: &StatusQuery) -> Result<StatusReport, Error> {
    let mut signs = LastEvents::default();
    let mut seen = claim::seen_claims(ws, query, &mut signs, claim::view_by)?;
    let (mut leases, lease_fault) = lease::readable_leases(ws, query.stale_after, &mut signs)?;
    leases.retain(|held| query.agents.is_empty() || query.agents.contains(&held.lease.owner));
    let (mut assignments, mut bad_assignments, mut compared_with) = (Vec::new(), Vec::new(), None);
    if query.long {
        compared_with = claim::look_at_branches(ws, &mut seen.claims)?;
        (assignments, bad_assignments) = claim::assignments(ws);
        assignments.retain(|found| {
            let engineer = found.engineer.as_ref();
            query.agents.is_empty()
                || engineer.is_some_and(|engineer| query.agents.contains(engineer))
        });
    }
    let filter = Filter { agents: query.agents.clone(), since: query.since, ..Filter::default() };
    let mut feed = log::feed(ws, filter, query.limit, false)?;
    let mut latest = Vec::new();
    while let Some(entry) = feed.next_event()? {
        latest.push(entry);
    }
    Ok(StatusReport {
        claims: seen.claims,
        assignments,
        bad_assignments,
        compared_with,
        leases,
        lease_fault,
        events: latest,
        unreadable: seen.unreadable,
        damaged: seen.damaged,
        bad_lines: feed.into_faults(),
        config_fault: seen.config_fault,
        // A note that cannot be read stops what changes claims; it hides nothing of what is here.
        freshness: fleet::freshness(ws).ok().flatten(),
        rewritten: fleet::rewritten_logs(ws)?,
        generated_at: ws.clock.now(),
        taken: seen.taken,
    })
}

/// All tasks that are in the queue, or were ever claimed, assigned or talked about, as far as this
/// clone knows.
///
/// # Errors
///
/// [`Error::Git`] if the refs cannot be read.
pub(crate) fn known_tasks(ws: &Workspace) -> Result<BTreeSet<TaskId>, Error> {
    let mut tasks = claim::spoken_tasks(ws)?;
    tasks.extend(queue::queue_files(ws).tasks.into_keys());
    Ok(tasks)
}

/// All agents that have a log file or an inbox, or were at work in this clone.
#[must_use]
pub(crate) fn known_agents(ws: &Workspace) -> BTreeSet<AgentId> {
    let agent_of =
        |path: PathBuf| AgentId::new(path.file_stem()?.to_str()?.split('@').next()?).ok();
    let stems = log::log_files(ws).into_iter().filter_map(agent_of);
    let logs = stems.filter(|agent| agent.as_str() != "events");
    let mut agents: BTreeSet<AgentId> = logs.collect();
    agents.extend(log::channels(ws).filter_map(Channel::into_agent));
    agents.extend(ws.present_agents());
    agents
}

/// Whether nothing in this clone speaks of `agent` yet, so that its id may be misspelled; not where
/// that cannot be told.
#[must_use]
pub(crate) fn is_stranger(ws: &Workspace, agent: &AgentId) -> bool {
    // The log is read only if there is no shorter way.
    !known_agents(ws).contains(agent)
        && LastEvents::default().all(ws).is_ok_and(|seen| !seen.contains_key(agent))
}
