//! Who does what: all claims, the same from every worktree, and the latest events.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::claiming::written;
use super::liveness::LastEvents;
use super::messaging::Channel;
use super::view::{ClaimFiles, View};
use super::{Bus, ComparedWith, Error, Filter, Freshness, LeaseStatus, Liveness, RewrittenLog, Seen, Signs};
use crate::record::{AgentId, Assignment, Claim, Config, Origin, Status, TaskId, Timestamp};
use crate::store::{Entry, Faults};

/// What `bus status` asks for.
#[derive(Clone, Debug, Default)]
pub struct StatusQuery {
    /// Only these agents; all where there are none.
    pub agents: Vec<AgentId>,
    /// Only live claims.
    pub active_only: bool,
    /// How many events; all where there is no limit.
    pub limit: Option<usize>,
    /// Only events since then.
    pub since: Option<Timestamp>,
    /// How long a claim may be silent, in the place of what the policy says.
    pub stale_after: Option<Duration>,
    /// Look at the branches as well, and at assignments.
    pub long: bool,
}

/// How a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimState {
    /// Its owner works on it.
    Active,
    /// Its owner has put it aside.
    Paused,
    /// Its owner has been silent for too long.
    Stale,
    /// Its time is over.
    Expired,
    /// It was given back.
    Released,
    /// The task is finished.
    Done,
    /// The task is finished, and the default branch has the work. Only who looks at the branches knows.
    Landed,
}

impl ClaimState {
    /// All of them, those that need somebody's eye first.
    pub const ALL: [Self; 7] = [Self::Active, Self::Paused, Self::Stale, Self::Expired, Self::Released, Self::Done, Self::Landed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Released => "released",
            Self::Done => "done",
            Self::Landed => "landed",
        }
    }

    const fn of(status: Status, liveness: Liveness) -> Self {
        match (status, liveness) {
            (Status::Released, _) => Self::Released,
            (Status::Done, _) => Self::Done,
            (_, Liveness::Expired) => Self::Expired,
            (_, Liveness::Stale) => Self::Stale,
            (Status::Paused, Liveness::Alive) => Self::Paused,
            (Status::Active, Liveness::Alive) => Self::Active,
        }
    }
}

/// A claim, and how it stands.
#[derive(Clone, Debug)]
pub struct ClaimStatus {
    /// The claim.
    pub claim: Claim,
    /// How it stands.
    pub state: ClaimState,
    /// The last sign of its owner's life.
    pub last_seen: Option<Timestamp>,
    /// What git shows of its branch, where that was asked for.
    pub seen: Option<Seen>,
    /// When it was last written.
    pub written: Timestamp,
}

/// What `bus status` shows.
#[derive(Debug)]
pub struct StatusReport {
    /// The claims: live ones first, the youngest first among each.
    pub claims: Vec<ClaimStatus>,
    /// Who shall do which task, by task, where that was asked for.
    pub assignments: Vec<Assignment>,
    /// The assignments that cannot be read: a task and why.
    pub bad_assignments: Vec<(TaskId, Error)>,
    /// What the branches were compared with, where that was asked for and there is a default branch.
    pub compared_with: Option<ComparedWith>,
    /// The live leases of these agents, in the order in which they were taken.
    pub leases: Vec<LeaseStatus>,
    /// Why the leases cannot be read, where they cannot.
    pub lease_fault: Option<Error>,
    /// The latest events, oldest first.
    pub events: Vec<Entry>,
    /// What could not be read: a task and why.
    pub unreadable: Vec<(TaskId, Error)>,
    /// What is damaged, but hides nothing: the claim is known from elsewhere.
    pub damaged: Vec<Error>,
    /// Lines of the log that are no events.
    pub bad_lines: Faults,
    /// What is wrong with the policy, for which the defaults stand in.
    pub config_fault: Option<Error>,
    /// How fresh the view of the fleet is; none where the clone belongs to none.
    pub freshness: Option<Freshness>,
    /// The logs that were rewritten on the fleet's remote, and that nobody has accepted.
    pub rewritten: Vec<RewrittenLog>,
    /// When this was so.
    pub generated_at: Timestamp,
    /// The tasks that somebody holds or has finished, or whose claims cannot be read.
    taken: HashSet<TaskId>,
}

impl StatusReport {
    /// The tasks that wait for their engineers: assigned, and neither claimed nor finished.
    pub fn waiting(&self) -> impl Iterator<Item = &Assignment> {
        self.assignments.iter().filter(|assignment| assignment.engineer.is_some() && !self.taken.contains(&assignment.task_id))
    }
}

/// How many tasks are looked at before anything is made of them.
const BATCH: usize = 4096;

/// From how many tasks on several threads look at them, and how many threads at most.
const MANY: usize = 1000;
const MAX_THREADS: usize = 8;

/// How closely one looks at a task.
pub(super) type Look = fn(&Bus, &TaskId, Option<&ClaimFiles>) -> Result<View, Error>;

/// Claims, and what of them cannot be read.
#[derive(Debug, Default)]
pub(super) struct SeenClaims {
    pub(super) claims: Vec<ClaimStatus>,
    pub(super) unreadable: Vec<(TaskId, Error)>,
    pub(super) damaged: Vec<Error>,
    pub(super) config_fault: Option<Error>,
    /// The tasks that somebody holds or has finished, or whose claims cannot be read.
    pub(super) taken: HashSet<TaskId>,
}

impl SeenClaims {
    /// Notes what about a task is damaged: its ref, or this worktree's file.
    fn note_damage(&mut self, view: View) {
        let nothing_else = view.claim().is_none();
        let damage = view.unreadable.map(|what| Error::UnreadableRef { name: view.name.as_str().to_owned(), what });
        match damage {
            Some(error) if nothing_else => self.unreadable.push((view.task, error)),
            damage => self.damaged.extend(damage.or(view.bad_file)),
        }
    }
}

impl Bus {
    /// Looks at all claims and at the latest events. One bad file or line hides nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Git`] where the system refuses to read.
    pub fn status(&self, query: &StatusQuery) -> Result<StatusReport, Error> {
        let mut signs = LastEvents::default();
        let mut seen = self.seen_claims(query, &mut signs, Bus::view_by)?;
        let (mut leases, lease_fault) = self.readable_leases(query.stale_after, &mut signs)?;
        leases.retain(|held| query.agents.is_empty() || query.agents.contains(&held.lease.owner));
        let (mut assignments, mut bad_assignments, mut compared_with) = (Vec::new(), Vec::new(), None);
        if query.long {
            compared_with = self.look_at_branches(&mut seen.claims)?;
            (assignments, bad_assignments) = self.assignments();
            assignments.retain(|found| {
                let engineer = found.engineer.as_ref();
                query.agents.is_empty() || engineer.is_some_and(|engineer| query.agents.contains(engineer))
            });
        }
        let filter = Filter { agents: query.agents.clone(), since: query.since, ..Filter::default() };
        let mut feed = self.feed(filter, query.limit, false)?;
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
            freshness: self.freshness().ok().flatten(),
            rewritten: self.rewritten_logs()?,
            generated_at: self.clock.now(),
            taken: seen.taken,
        })
    }

    /// Looks at all claims that are asked for; `look` says how closely at each.
    pub(super) fn seen_claims(&self, query: &StatusQuery, events: &mut LastEvents, look: Look) -> Result<SeenClaims, Error> {
        let (stale_after, config_fault) = self.stale_after();
        let stale_after = query.stale_after.unwrap_or(stale_after);
        let mut seen = SeenClaims { config_fault, ..SeenClaims::default() };
        let files = self.claim_files();
        let tasks: Vec<TaskId> = self.tasks(&files)?.into_iter().collect();
        // Not all at once: a view holds the record.
        for tasks in tasks.chunks(BATCH) {
            for (task, view) in tasks.iter().zip(self.views(tasks, &files, look)) {
                match view {
                    Ok(view) => {
                        if view.claim().is_some_and(|claim| claim.status != Status::Released) {
                            seen.taken.insert(view.task.clone());
                        }
                        seen.claims.extend(self.claim_status(&view, query, stale_after, events)?);
                        seen.note_damage(view);
                    }
                    Err(error) => {
                        seen.taken.insert(task.clone());
                        seen.unreadable.push((task.clone(), error));
                    }
                }
            }
        }
        seen.claims.sort_by(|a, b| {
            let key = |status: &ClaimStatus| (!status.claim.status.is_live(), std::cmp::Reverse(last_change(&status.claim)));
            key(a).cmp(&key(b)).then_with(|| a.claim.task_id.cmp(&b.claim.task_id))
        });
        Ok(seen)
    }

    /// A look at each of these tasks; at many of them by several threads at once.
    fn views(&self, tasks: &[TaskId], files: &ClaimFiles, look: Look) -> Vec<Result<View, Error>> {
        let all = |bus: &Self, tasks: &[TaskId]| tasks.iter().map(|task| look(bus, task, Some(files))).collect::<Vec<_>>();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        if tasks.len() < MANY || threads == 1 {
            return all(self, tasks);
        }
        let options = self.options();
        std::thread::scope(|scope| {
            let part = |tasks| {
                let options = options.clone();
                // A repository is one thread's own; one that cannot be opened once more is looked at by this one.
                scope.spawn(move || Self::of_repository(options).ok().map(|bus| all(&bus, tasks)))
            };
            let parts: Vec<_> = tasks.chunks(tasks.len().div_ceil(threads)).map(|tasks| (tasks, part(tasks))).collect();
            let looked =
                parts.into_iter().flat_map(|(tasks, part)| part.join().ok().flatten().unwrap_or_else(|| all(self, tasks)));
            looked.collect()
        })
    }

    /// How long an owner may be silent as the policy has it, else by default, and what is wrong with the policy then.
    pub(super) fn stale_after(&self) -> (Duration, Option<Error>) {
        match self.config() {
            Ok(config) => (config.stale_after.get(), None),
            Err(error) => (Config::default().stale_after.get(), Some(error)),
        }
    }

    /// The tasks that have an assignment in any worktree or clone.
    pub(super) fn assigned_tasks(&self) -> BTreeSet<TaskId> {
        self.assignment_folders().iter().flat_map(|folder| self.ids_in(folder)).collect()
    }

    fn claim_status(
        &self,
        view: &View,
        query: &StatusQuery,
        stale_after: Duration,
        events: &mut LastEvents,
    ) -> Result<Option<ClaimStatus>, Error> {
        let wanted = |claim: &&Claim| {
            (query.agents.is_empty() || query.agents.contains(&claim.agent_id)) && (!query.active_only || claim.status.is_live())
        };
        let Some(claim) = view.claim().filter(wanted) else { return Ok(None) };
        let (state, signs) = self.state_of(view, claim.status, stale_after, events)?;
        let mut claim = claim.clone();
        if claim.status.is_live() && !self.is_confirmed(view) {
            claim.confirmed = Some(false);
        }
        Ok(Some(ClaimStatus {
            state,
            last_seen: signs.last(self.clock.now()),
            written: written(view, &claim),
            claim,
            seen: None,
        }))
    }

    /// How the claim of `view` stands, whose status is `status`, and the signs of its owner's life.
    pub(super) fn state_of(
        &self,
        view: &View,
        status: Status,
        stale_after: Duration,
        events: &mut LastEvents,
    ) -> Result<(ClaimState, Signs), Error> {
        let (liveness, signs) = match status.is_live() {
            true => self.liveness(view, stale_after, events)?,
            false => (Liveness::Alive, Signs::default()),
        };
        Ok((ClaimState::of(status, liveness), signs))
    }

    /// All tasks that have a ref, or a file in any worktree.
    pub(super) fn tasks(&self, files: &ClaimFiles) -> Result<BTreeSet<TaskId>, Error> {
        let with_refs = self.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok());
        // A file knows the letter case, a ref does not.
        let mut tasks: BTreeSet<TaskId> = files.tasks().cloned().collect();
        tasks.extend(with_refs);
        Ok(tasks)
    }

    /// All tasks that are in the queue, or were ever claimed, assigned or talked about, as far as this clone knows.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] where the refs cannot be read.
    pub fn known_tasks(&self) -> Result<BTreeSet<TaskId>, Error> {
        let mut tasks = self.spoken_tasks()?;
        tasks.extend(self.queue_files().tasks.into_keys());
        Ok(tasks)
    }

    /// Those that were ever claimed, assigned or talked about, whether they are in the queue or not.
    pub(super) fn spoken_tasks(&self) -> Result<BTreeSet<TaskId>, Error> {
        let mut tasks = self.tasks(&self.claim_files())?;
        tasks.extend(self.assigned_tasks());
        tasks.extend(self.channels().filter_map(|channel| match channel {
            Channel::Task(task) => Some(task),
            Channel::Inbox(_) => None,
        }));
        Ok(tasks)
    }

    /// All agents that have a log file or an inbox, or were at work in this clone.
    #[must_use]
    pub fn known_agents(&self) -> BTreeSet<AgentId> {
        let agent_of = |path: PathBuf| AgentId::new(path.file_stem()?.to_str()?.split('@').next()?).ok();
        let stems = self.log_files().into_iter().filter_map(agent_of);
        let logs = stems.filter(|agent| agent.as_str() != "events");
        let mut agents: BTreeSet<AgentId> = logs.collect();
        agents.extend(self.channels().filter_map(Channel::into_agent));
        agents.extend(self.present_agents());
        agents
    }

    /// Whether nothing in this clone speaks of `agent` yet, so that its id may be misspelled; not where that cannot be told.
    #[must_use]
    pub fn is_stranger(&self, agent: &AgentId) -> bool {
        // The log is read only where there is no shorter way.
        !self.known_agents().contains(agent) && LastEvents::default().all(self).is_ok_and(|seen| !seen.contains_key(agent))
    }

    /// The agents that were at work in this clone, in lower case.
    pub(super) fn present_agents(&self) -> impl Iterator<Item = AgentId> {
        let present = self.listed(&self.private.folder().join("presence")).into_iter();
        present.filter_map(|entry| AgentId::new(entry.name.to_str()?).ok())
    }

    /// The tasks that somebody holds, in the clone `of` or anywhere.
    ///
    /// # Errors
    ///
    /// As [`Bus::status`].
    pub(super) fn held_tasks(&self, of: Option<&str>) -> Result<Vec<String>, Error> {
        let is_of = |claim: &Claim| {
            let there = claim.origin.as_ref().map(Origin::clone_id);
            of.is_none() || there.is_none() || there == of
        };
        let mut held = Vec::new();
        let files = self.claim_files();
        for task in self.tasks(&files)? {
            let view = self.view_by(&task, Some(&files))?;
            let live = view.certain_claim()?.filter(|claim| claim.status.is_live() && is_of(claim));
            held.extend(live.map(|claim| claim.task_id.to_string()));
        }
        Ok(held)
    }
}

fn last_change(claim: &Claim) -> Timestamp {
    claim.released_at.unwrap_or(claim.claimed_at)
}
