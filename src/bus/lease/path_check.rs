//! Whether changed paths are the agent's to change: in nobody else's lease, and in one of its own
//! where the policy wants that.

use std::collections::HashMap;

use serde_json::Value;

use super::lease_fault::LeaseConflict;
use super::lease_list::reclaimable;
use super::{lease_change, lease_list, lease_table};
use crate::bus::claim::LastEvents;
use crate::bus::log::EventRequest;
use crate::bus::workspace::Workspace;
use crate::bus::{Error, log};
use crate::git::ChangesOf;
use crate::record::json::Object;
use crate::record::{
    AgentId, Event, EventKind, LeaseBrief, LeaseMode, LeaseRow, Needed, Origin, Scope, ScopeIndex,
    Severity, is_own_file,
};

/// How many bytes of paths an event names at most.
const MAX_NAMED: usize = 16 * 1024;

/// Which paths are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CheckOf<'a> {
    /// Those that git says are changed.
    Changes(ChangesOf<'a>),
    /// These, from the root of the worktree.
    Paths(&'a [Vec<u8>]),
}

/// What was found.
#[derive(Debug)]
pub(crate) struct PathCheck {
    /// Who was judged; nobody in particular if no id is known.
    pub(crate) agent: Option<AgentId>,
    /// How many paths were looked at; the bus's own files are not.
    pub(crate) paths: usize,
    /// Those that are not the agent's to change, in order.
    pub(crate) denied: Vec<DeniedPath>,
}

/// A path that is not the agent's to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeniedPath {
    /// The path. Bytes that are no UTF-8 are escaped.
    pub(crate) path: String,
    /// Why not.
    pub(crate) why: Denial,
}

/// Why a path is not the agent's to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Somebody else holds it alone.
    Held(Box<LeaseConflict>),
    /// The policy wants a lease, and the agent has none on it.
    NoLease(Needed),
}

/// The table of leases, as far as one agent is concerned.
struct Rows<'a> {
    ws: &'a Workspace,
    rows: &'a [LeaseRow],
    agent: Option<&'a AgentId>,
    here: Option<Origin>,
    stands: HashMap<usize, bool>,
    facts: HashMap<usize, LeaseConflict>,
    events: LastEvents,
}

/// Holds changed paths against the leases, and the policy. Nothing is changed.
///
/// A lease that is stale or expired still keeps others out, until it is taken over. Without an
/// agent all leases are others', and the policy, which is for agents, wants none.
///
/// # Errors
///
/// Whatever keeps it from telling: [`Error::Malformed`] for the table, [`Error::MalformedConfig`]
/// for the policy, [`Error::Git`] if git does not say what is changed.
pub(crate) fn check_paths(
    ws: &Workspace,
    agent: Option<&AgentId>,
    of: CheckOf<'_>,
) -> Result<PathCheck, Error> {
    let policy = &ws.config()?.leases;
    let changed = match of {
        CheckOf::Changes(of) => ws.repo.changed_paths(of)?,
        CheckOf::Paths(paths) => paths.to_vec(),
    };
    let fold = lease_table::fold(ws);
    let table = lease_table::lease_table(ws)?.table;
    let scopes: Vec<Scope> =
        table.rows.iter().map(|row| lease_table::row_scope(ws, row)).collect::<Result<_, _>>()?;
    let mut index = ScopeIndex::new(&scopes, fold);
    let (stands, facts) = (HashMap::new(), HashMap::new());
    let here = ws.here_origin()?;
    let mut rows =
        Rows { ws, rows: &table.rows, agent, here, stands, facts, events: LastEvents::default() };
    let (mut paths, mut denied) = (0, Vec::new());
    for bytes in changed {
        let path = String::from_utf8_lossy(&bytes);
        if is_own_file(&path, fold) {
            continue;
        }
        paths += 1;
        let (mut is_own, mut held) = (false, None);
        for row in index.containing(&path) {
            if rows.stands(row) {
                is_own |= rows.is_own(row);
                held = held.or_else(|| Some(row).filter(|row| rows.keeps_out(*row)));
            }
        }
        let why = match held {
            Some(row) => Denial::Held(Box::new(rows.conflict(row, shown(&bytes))?)),
            None if is_own || agent.is_none() => continue,
            None => match policy.needed(&path, fold) {
                Some(needed) => Denial::NoLease(needed),
                None => continue,
            },
        };
        denied.push(DeniedPath { path: shown(&bytes), why });
    }
    Ok(PathCheck { agent: agent.cloned(), paths, denied })
}

/// Notes in the log that `agent` goes on although paths are not its to change, and why.
///
/// # Errors
///
/// As [`ops::log_event`].
pub(crate) fn log_override(
    ws: &Workspace,
    agent: &AgentId,
    denied: &[DeniedPath],
    reason: &str,
) -> Result<Event, Error> {
    let request = EventRequest {
        event: EventKind::new("override")?,
        summary: reason.to_owned(),
        task: None,
        plan: None,
        branch: ws.repo.branch(),
        pr: None,
        receipts: Vec::new(),
        severity: Some(Severity::Medium),
        extra: Vec::new(),
    };
    let mut room = MAX_NAMED;
    let named = denied.iter().map_while(|denied| {
        room = room.checked_sub(denied.path.len())?;
        Some(Value::from(denied.path.as_str()))
    });
    let paths: Vec<Value> = named.collect();
    let mut locks: Vec<&str> = denied.iter().filter_map(DeniedPath::lock).collect();
    locks.sort_unstable();
    locks.dedup();
    locks.truncate(MAX_NAMED / 128);
    let fields = [
        ("paths", Value::Array(paths)),
        ("paths_in_all", Value::from(denied.len())),
        ("locks", Value::from(locks)),
    ];
    let extra: Object = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let lock = ws.lock()?;
    let event = log::event(ws, agent, None, &request, extra);
    log::append_event(ws, &lock, &event)?;
    Ok(event)
}

impl Rows<'_> {
    fn brief(&self, row: usize) -> &LeaseBrief {
        &self.rows[row].brief
    }

    /// Whether the lease lives as far as its claim says.
    fn stands(&mut self, row: usize) -> bool {
        let (ws, brief) = (self.ws, &self.rows[row].brief);
        *self.stands.entry(row).or_insert_with(|| lease_list::stands(ws, brief))
    }

    /// Whether the lease is the agent's, taken here.
    fn is_own(&self, row: usize) -> bool {
        let brief = self.brief(row);
        let is_here = brief.origin.is_none() || brief.origin == self.here;
        is_here && self.agent == Some(&brief.owner)
    }

    fn keeps_out(&self, row: usize) -> bool {
        self.brief(row).mode == LeaseMode::Exclusive && !self.is_own(row)
    }

    fn conflict(&mut self, row: usize, path: String) -> Result<LeaseConflict, Error> {
        if let Some(known) = self.facts.get(&row) {
            return Ok(LeaseConflict { path, ..known.clone() });
        }
        let lease = lease_change::whole(&self.rows[row])?;
        let stale_after = self.ws.config()?.stale_after.get();
        let (liveness, _) =
            lease_list::lease_liveness(self.ws, &lease, stale_after, &mut self.events)?;
        let facts = LeaseConflict {
            patterns: lease.patterns(),
            path,
            since: lease.start_time,
            expires_at: lease.expires_at,
            reclaimable: reclaimable(liveness),
            elsewhere: self.agent == Some(&lease.owner),
            lease: lease.lease_id,
            owner: lease.owner,
            objective: lease.objective,
        };
        self.facts.insert(row, facts.clone());
        Ok(facts)
    }
}

impl DeniedPath {
    /// The lease that it is in.
    #[must_use]
    pub(crate) fn lock(&self) -> Option<&str> {
        match &self.why {
            Denial::Held(held) => Some(held.lease.as_str()),
            Denial::NoLease(_) => None,
        }
    }
}

/// The path as text: two paths never look the same.
fn shown(path: &[u8]) -> String {
    std::str::from_utf8(path).map_or_else(|_| path.escape_ascii().to_string(), str::to_owned)
}
