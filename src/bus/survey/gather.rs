//! What the report says: gathered here, shown by its neighbours.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use crate::bus::claim::{LastEvents, StatusQuery};
use crate::bus::log::{Channel, MessageFilter};
use crate::bus::ops::StatusReport;
use crate::bus::plan::Plans;
use crate::bus::queue::QueueView;
use crate::bus::session::Peer;
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, log, ops, plan, queue, session};
use crate::record::json::parse_line;
use crate::record::{AgentId, Claim, ClaimId, Message, Refusal, Timestamp};
use crate::store::{Letter, Line, LogTally, Window, scan};

/// The type of message that wants an answer.
const REQUEST: &str = "request";

/// How many open requests are told at most: the latest.
const MAX_REQUESTS: usize = 1000;

/// How many states of a claim's history are read at most, the newest first.
const MAX_STATES: usize = 500;

/// All that a report is made of.
#[derive(Debug)]
pub(crate) struct Survey {
    /// All claims with what git shows of them, and all assignments.
    pub(crate) status: StatusReport,
    /// Who is at work.
    pub(crate) peers: Vec<Peer>,
    /// What is to be done.
    pub(crate) queue: QueueView,
    /// All plans.
    pub(crate) plans: Plans,
    /// The log, counted.
    pub(crate) tally: LogTally,
    /// How many actions of each agent the guard refused within the window.
    pub(crate) refused: BTreeMap<AgentId, usize>,
    /// What was asked for and neither answered nor read, oldest first. An answer is a message to
    /// whoever asked, by whoever was asked, or anybody else's in the task's channel, later than the
    /// request.
    pub(crate) requests: Vec<Letter>,
    /// How long somebody may be silent.
    pub(crate) stale_after: Duration,
}

/// A time in which an agent held a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Who held it.
    pub(crate) agent: AgentId,
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when, or `None` if it is still held.
    pub(crate) until: Option<Timestamp>,
}

/// Gathers what a report is made of; events and refusals are counted within `window`.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses to read.
pub(crate) fn survey(ws: &Workspace, window: Window) -> Result<Survey, Error> {
    let query = StatusQuery { limit: Some(0), long: true, ..StatusQuery::default() };
    let status = ops::status(ws, &query)?;
    let live = status.claims.iter().filter(|status| status.claim.status.is_live());
    Ok(Survey {
        peers: session::peers(ws, live, &mut LastEvents::default())?,
        status,
        queue: queue::queue(ws, None).or_else(without_policy)?,
        plans: plan::plans(ws),
        tally: LogTally::of(log::log_files(ws), ws.sources(), window)?,
        refused: refused_actions(ws, window)?,
        requests: open_requests(ws)?,
        stale_after: ws.stale_after().0,
    })
}

/// Who held the task of `claim`, and when, oldest first: as far back as the claim's ref tells.
///
/// # Errors
///
/// [`Error::Git`] if the ref cannot be read.
pub(crate) fn times_held(ws: &Workspace, claim: &Claim) -> Result<Vec<Held>, Error> {
    let held = |claim: &Claim| Held {
        agent: claim.agent_id.clone(),
        from: claim.claimed_at,
        until: claim.released_at,
    };
    let mut times = vec![(claim.claim_id.clone(), held(claim))];
    // Only with a lineage there were other owners before.
    let state = if claim.lineage.is_empty() { None } else { claim::tip(ws, &claim.task_id)? };
    let mut link = state.map(|state| state.link);
    for _ in 0..MAX_STATES {
        let Some(current) = link else { break };
        if let Ok(past) = Claim::parse(&current.body) {
            let known: &(Option<ClaimId>, Held) = &times[times.len() - 1];
            if known.0 != past.claim_id {
                let until = Some(past.released_at.unwrap_or(known.1.from));
                times.push((past.claim_id.clone(), Held { until, ..held(&past) }));
            }
        }
        link = claim::before(ws, &current)?;
    }
    times.reverse();
    Ok(times.into_iter().map(|(_, held)| held).collect())
}

/// How many actions of each agent the guard refused, of all worktrees, each once.
fn refused_actions(ws: &Workspace, window: Window) -> Result<BTreeMap<AgentId, usize>, Error> {
    // Each line once; two of a million have the same hash with a chance of 3 in 100 million.
    let hasher = RandomState::new();
    let look = |found: &mut Vec<(u64, AgentId)>, line: &Line<'_>| {
        let parsed = if line.is_too_long() { None } else { parse_line(line.bytes).ok() };
        let refusal = parsed.and_then(|object| Refusal::from_object(object).ok());
        found.extend(
            refusal
                .filter(|found| window.has(found.ts))
                .map(|found| (hasher.hash_one(line.bytes), found.agent_id)),
        );
    };
    let (parts, _) = scan(&error_files(ws), Vec::new, look)?;
    let mut seen = HashSet::new();
    let mut refused = BTreeMap::new();
    for (line, agent) in parts.into_iter().flatten() {
        if seen.insert(line) {
            *refused.entry(agent).or_default() += 1;
        }
    }
    Ok(refused)
}

/// The files of refused actions: of the record, and those that version 0.1 wrote in worktrees.
/// Links are none.
fn error_files(ws: &Workspace) -> Vec<PathBuf> {
    let folder = ws.record.root().join("refusals");
    let refusals = ws.listed(&folder).into_iter().filter(|entry| entry.is_file);
    let mut files: Vec<PathBuf> = refusals.map(|entry| folder.join(entry.name)).collect();
    for layout in ws.layouts() {
        let agents = ws.listed(&layout.root().join("_report/agent")).into_iter();
        let agents = agents.filter_map(|entry| AgentId::new(entry.name.to_str()?).ok());
        let places = agents
            .map(|agent| layout.errors(&agent))
            .filter(|place| matches!(place.inspect(), Ok(Some(_))));
        files.extend(places.map(|place| place.path()));
    }
    files
}

fn open_requests(ws: &Workspace) -> Result<Vec<Letter>, Error> {
    let is_request = |message: &Message| message.kind.as_str().eq_ignore_ascii_case(REQUEST);
    let mut unread: BTreeSet<String> = BTreeSet::new();
    let inboxes: BTreeSet<AgentId> = log::channels(ws).filter_map(Channel::into_agent).collect();
    for agent in inboxes {
        unread.extend(log::inbox(ws, &agent, None)?.messages().map(key_of));
    }
    let mut open: VecDeque<Letter> = VecDeque::new();
    for letter in log::messages(ws, &MessageFilter::default(), None)?.0 {
        let message = &letter.message;
        open.retain(|request| !answers(message, &request.message));
        if is_request(message) && (message.to.is_none() || unread.contains(&key_of(message))) {
            open.push_back(letter);
        }
        if open.len() > MAX_REQUESTS {
            open.pop_front();
        }
    }
    Ok(open.into())
}

/// What a message is known by.
fn key_of(message: &Message) -> String {
    message.id.clone().unwrap_or_else(|| message.to_line())
}

/// Whether `message`, which came later, answers `request`.
fn answers(message: &Message, request: &Message) -> bool {
    let by_another = message.from != request.from;
    let to_who_asked = message.to.as_ref() == Some(&request.from)
        && request.to.as_ref().is_none_or(|to| *to == message.from);
    let in_the_channel =
        message.to.is_none() && message.task_id.is_some() && message.task_id == request.task_id;
    by_another && (to_who_asked || in_the_channel)
}

/// An empty queue where the policy means nothing, which is said.
fn without_policy(error: Error) -> Result<QueueView, Error> {
    match error {
        Error::MalformedConfig { .. } => {
            Ok(QueueView { items: Vec::new(), cycles: Vec::new(), faults: vec![error] })
        }
        error => Err(error),
    }
}
