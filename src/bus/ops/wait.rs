//! Blocks until something holds, so that scripts need not poll (docs/design.md, section 6).

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::claim_task;
use crate::bus::claim::{Changed, ClaimFault, ClaimRequest, ClaimState, LastEvents};
use crate::bus::log::{Filter, WatchQuery};
use crate::bus::ops::WaitFault;
use crate::bus::workspace::{Reach, Workspace};
use crate::bus::{Error, claim, fleet, log};
use crate::record::{AgentId, Claim, Span, TaskId};
use crate::store::{Entry, Error as StoreError, Hints, Layout, Letter, Stream};

/// How often a task is looked at without a hint: a claim becomes stale by time alone.
const TICK: Duration = Duration::from_secs(1);

/// The longest pause of a claim that waits between the release and its own try, so that not all
/// come at once.
const MAX_PAUSE: Duration = Duration::from_millis(25);

/// What to do when it was waited for too short a time.
pub(in crate::bus) const WAIT_AGAIN: &str =
    "run the same command again, or wait longer with `--timeout 1h`";

/// What a task is waited for to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Anybody may claim it: it was never claimed, or was given back.
    Free,
    /// Somebody holds it.
    Claimed,
    /// It was given back, unfinished.
    Released,
    /// It is finished.
    Done,
    /// It was given back or is finished.
    Ended,
    /// Its owner is silent for too long, or its time is over.
    Stale,
}

impl Until {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Free, Self::Claimed, Self::Released, Self::Done, Self::Ended, Self::Stale];

    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Claimed => "claimed",
            Self::Released => "released",
            Self::Done => "done",
            Self::Ended => "ended",
            Self::Stale => "stale",
        }
    }

    /// Whether it holds where a task's claim is in `state`, or `None` if it cannot come to hold
    /// any more.
    fn holds(self, state: Option<ClaimState>) -> Option<bool> {
        use ClaimState::{Active, Done, Expired, Gone, Paused, Released, Stale};
        match (self, state) {
            // Finished work is not given back or taken up, unless somebody reopens it.
            (Self::Free | Self::Claimed | Self::Released | Self::Stale, Some(Done)) => None,
            (Self::Free, state) => Some(matches!(state, None | Some(Released))),
            (Self::Claimed, state) => {
                Some(matches!(state, Some(Active | Paused | Stale | Expired | Gone)))
            }
            (Self::Released, state) => Some(state == Some(Released)),
            (Self::Done, state) => Some(state == Some(Done)),
            (Self::Ended, state) => Some(matches!(state, Some(Released | Done))),
            (Self::Stale, state) => Some(matches!(state, Some(Stale | Expired | Gone))),
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|until| until.as_str() == word)
            .ok_or_else(|| format!("`{word}` is no state of a task"))
    }
}

/// How a task stands, as a waiting command sees it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The task, in its existing spelling.
    pub task: TaskId,
    /// Its claim, or `None` if it was never claimed.
    pub claim: Option<Claim>,
    /// How the claim stands.
    pub state: Option<ClaimState>,
}

impl Standing {
    /// Whether somebody else may take the task over as it is.
    #[must_use]
    pub fn is_reclaimable(&self) -> bool {
        use ClaimState::{Expired, Gone, Paused, Stale};
        matches!(self.state, Some(Paused | Stale | Expired | Gone))
    }

    /// What to do where waiting did not help.
    pub(in crate::bus) fn hint(&self) -> String {
        match self.state {
            Some(ClaimState::Done) => {
                format!("look at what was done; to do it again: `bus claim {} --reopen`", self.task)
            }
            _ if self.is_reclaimable() => {
                format!("wait no longer: take it over with `bus reclaim {} --note WHY`", self.task)
            }
            _ => WAIT_AGAIN.to_owned(),
        }
    }

    /// In words: `done by codex-1`, `free: never claimed`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (&self.claim, self.state) {
            (Some(claim), Some(ClaimState::Done | ClaimState::Released)) => {
                format!("{} by {}", claim.status, claim.agent_id)
            }
            (Some(claim), Some(state)) => {
                format!("claimed by {} ({})", claim.agent_id, state.as_str())
            }
            _ => "free: never claimed".to_owned(),
        }
    }
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    end: Option<Instant>,
    pub(in crate::bus) span: Span,
}

impl Patience {
    /// From now on so long; for ever without a span.
    #[must_use]
    pub(crate) fn new(span: Option<Span>) -> Self {
        let end = span.and_then(|span| Instant::now().checked_add(span.get()));
        Self { end, span: span.unwrap_or(Span::new(Duration::ZERO)) }
    }

    /// How long may still be waited, at most a `tick`, or `None` if the time is over.
    pub(in crate::bus) fn left(&self, tick: Duration) -> Option<Duration> {
        let left =
            self.end.map_or(tick, |end| end.saturating_duration_since(Instant::now()).min(tick));
        (!left.is_zero()).then_some(left)
    }
}

/// What is waited for, of a task.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    /// The task.
    pub(crate) task: TaskId,
    /// What it must be.
    pub(crate) until: Until,
    /// Whose claim it must be; anybody's if there are none.
    pub(crate) agents: Vec<AgentId>,
    /// Who waits: for as long as that lasts, it is a heartbeat.
    pub(crate) waiter: Option<AgentId>,
}

impl Awaited {
    fn holds(&self, standing: &Standing) -> Option<bool> {
        let theirs =
            |claim: &Claim| self.agents.is_empty() || self.agents.contains(&claim.agent_id);
        let is_theirs = standing.claim.as_ref().is_none_or(theirs);
        self.until.holds(standing.state).map(|holds| holds && is_theirs)
    }
}

/// Waits until a task is what is asked for. Where it is already, it returns at once. `on_change` is
/// told how the task stands, first and whenever that changes.
///
/// # Errors
///
/// [`WaitFault::Timeout`] if it does not hold in time; [`WaitFault::Never`] if it cannot any
/// more; [`Error::Malformed`] if the claim cannot be read.
pub(crate) fn wait_for_task(
    ws: &Workspace,
    awaited: &Awaited,
    patience: Patience,
    mut on_change: impl FnMut(&Standing),
) -> Result<Standing, Error> {
    let mut hints = Hints::new();
    let mut said = String::new();
    // A task of which nobody was asked is not free.
    ws.learn_fleet(Reach::Fleet)?;
    fleet::look_meanwhile(ws);
    loop {
        // First this: what changes after the look gives a hint.
        hints.watch(claim_folders(ws));
        awaited.waiter.iter().for_each(|agent| ws.note_presence(agent));
        let standing = self::standing(ws, &awaited.task)?;
        let until = awaited.until.as_str();
        match awaited.holds(&standing) {
            Some(true) => return Ok(standing),
            None => {
                return Err(Error::Wait(WaitFault::Never { until, standing: Box::new(standing) }));
            }
            Some(false) => {}
        }
        let stands = standing.describe();
        if std::mem::replace(&mut said, stands.clone()) != stands {
            on_change(&standing);
        }
        let Some(left) = patience.left(TICK) else {
            let what = format!("`{}` is not {until}: it is {stands}", standing.task);
            return Err(Error::Wait(WaitFault::Timeout {
                what,
                patience: patience.span,
                standing: Some(Box::new(standing)),
            }));
        };
        hints.wait(left);
    }
}

/// Claims a task as soon as it is free; `on_change` is told how it stands meanwhile. Of many that
/// wait one gets it, and the others go on waiting.
///
/// # Errors
///
/// As [`claim_task::claim`], but for a task that somebody else holds: [`WaitFault::Timeout`] if
/// it is not free in time.
pub(crate) fn claim_when_free(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    request: &ClaimRequest,
    patience: Patience,
    mut on_change: impl FnMut(&Standing),
) -> Result<Changed, Error> {
    let awaited = Awaited {
        task: task.clone(),
        until: Until::Free,
        agents: Vec::new(),
        waiter: Some(agent.clone()),
    };
    loop {
        match claim_task::claim(ws, agent, task, request) {
            Err(Error::Claim(ClaimFault::Held { .. })) => {}
            Err(Error::Store(StoreError::LockTimeout { .. })) if patience.left(TICK).is_some() => {
                continue;
            }
            done => return done,
        }
        loop {
            match wait_for_task(ws, &awaited, patience, &mut on_change) {
                // Claiming it says what stands in the way.
                Err(Error::Wait(WaitFault::Never { .. })) => break,
                waited => drop(waited?),
            }
            std::thread::sleep(random_pause());
            // Somebody else may have been faster; then no lock is asked for.
            if Until::Free.holds(standing(ws, task)?.state) == Some(true) {
                break;
            }
        }
    }
}

/// Waits for the next event that `filter` wants; where it says since when, one that was logged
/// since then is it.
///
/// # Errors
///
/// [`WaitFault::Timeout`] if none comes in time; [`Error::Store`] if the log cannot be read.
pub(crate) fn wait_for_event(
    ws: &Workspace,
    filter: Filter,
    patience: Patience,
) -> Result<Entry, Error> {
    let limit = if filter.since.is_some() { None } else { Some(0) };
    let (mut watch, backlog) = log::watch(ws, WatchQuery { filter, limit, cursor: None })?;
    if let Some(entry) = backlog.events.into_iter().next() {
        return Ok(entry);
    }
    watch.follow(Hints::new());
    fleet::look_meanwhile(ws);
    loop {
        let fresh = watch.read()?;
        if let Some(entry) = watch.wanted(&fresh).next() {
            return Ok(entry.clone());
        }
        let Some(left) = patience.left(TICK) else {
            let what = "no such event was logged".to_owned();
            return Err(Error::Wait(WaitFault::Timeout {
                what,
                patience: patience.span,
                standing: None,
            }));
        };
        watch.wait(left)?;
    }
}

/// Waits until `agent` has an unread message, by one of `from` if there are any, and returns the
/// oldest one. It stays unread.
///
/// # Errors
///
/// [`WaitFault::Timeout`] if none comes in time; [`Error::Store`] if the inbox cannot be
/// read.
pub(crate) fn wait_for_message(
    ws: &Workspace,
    agent: &AgentId,
    from: &[AgentId],
    patience: Patience,
) -> Result<Letter, Error> {
    let mut hints = Hints::new();
    fleet::look_meanwhile(ws);
    loop {
        // First this: what comes after the look gives a hint.
        let clones = ws.private.clones();
        let layouts = clones.layouts();
        let folders = ws.record_layouts().iter().chain(layouts.iter().map(|(_, layout)| layout));
        let folders = folders.flat_map(|layout| {
            [layout.root().to_owned(), layout.root().join("_bus"), layout.folder(Stream::Channels)]
        });
        hints.watch(folders.chain(clones.folder().map(Path::to_owned)));
        ws.note_presence(agent);
        let inbox = log::inbox(ws, agent, None)?;
        let is_meant = |letter: &Letter| from.is_empty() || from.contains(&letter.message.from);
        if let Some(letter) = inbox.letters.into_iter().find(is_meant) {
            return Ok(letter);
        }
        let Some(left) = patience.left(TICK) else {
            let what = "no such message came".to_owned();
            return Err(Error::Wait(WaitFault::Timeout {
                what,
                patience: patience.span,
                standing: None,
            }));
        };
        hints.wait(left);
    }
}

/// How a task stands now.
fn standing(ws: &Workspace, task: &TaskId) -> Result<Standing, Error> {
    let view = claim::view_by(ws, task, None)?;
    let stale_after = ws.config()?.stale_after.get();
    let mut events = LastEvents::default();
    let state = view
        .claim()
        .map(|claim| claim::state_of(ws, &view, claim.status, stale_after, &mut events))
        .transpose()?;
    let state = state.map(|(state, _)| state);
    Ok(Standing { claim: view.claim().cloned(), task: view.task, state })
}

/// The folders in which a change of a claim shows.
pub(super) fn claim_folders(ws: &Workspace) -> Vec<PathBuf> {
    let common = ws.private.common();
    let refs = ["", "refs", "refs/bus", "refs/bus/claims"].map(|folder| common.join(folder));
    let files = ws.record_layouts().iter().map(Layout::claims);
    refs.into_iter().chain(files).collect()
}

fn random_pause() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let part = u32::try_from(RandomState::new().hash_one(0) % 256).unwrap_or(0);
    MAX_PAUSE * part / 256
}
