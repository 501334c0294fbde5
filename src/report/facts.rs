//! What a report says, as facts.

use super::lane::Lane;
use crate::bus::claim::{ClaimState, ComparedWith, Seen};
use crate::bus::lease::LeaseStatus;
use crate::bus::queue::QueueState;
use crate::bus::session::PeerState;
use crate::bus::survey::Held;
use crate::git::Landed;
use crate::record::{AgentId, Claim, PlanId, Progress, Tally, TaskId, Timestamp};
use crate::store::{Entry, Evidence};

/// How a task stands, those first that need somebody's eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TaskState {
    /// Its claim cannot be read, or two of them contradict each other.
    Unreadable,
    /// The worktree of its claim is gone.
    Gone,
    /// The time of its claim is over.
    Expired,
    /// Its owner has been silent for too long.
    Stale,
    /// Its owner works on it.
    Active,
    /// Its owner has put it aside.
    Paused,
    /// It is meant for somebody who has not claimed it yet.
    Waiting,
    /// It was given back, unfinished.
    Released,
    /// Anybody may claim it.
    Ready,
    /// Something else must be done before.
    Blocked,
    /// It is finished.
    Done,
    /// It is finished, and the default branch has the work.
    Landed,
}

impl TaskState {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::Gone,
        Self::Expired,
        Self::Stale,
        Self::Active,
        Self::Paused,
        Self::Waiting,
        Self::Released,
        Self::Ready,
        Self::Blocked,
        Self::Done,
        Self::Landed,
    ];

    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::Stale => "stale",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Released => "released",
            Self::Ready => "ready",
            Self::Blocked => "blocked",
            Self::Done => "done",
            Self::Landed => "landed",
        }
    }

    /// Whether somebody holds a task that stands so.
    #[must_use]
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Gone | Self::Expired | Self::Stale | Self::Active | Self::Paused)
    }

    /// Whether a task that stands so is finished.
    #[must_use]
    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Landed)
    }
}

impl From<ClaimState> for TaskState {
    fn from(state: ClaimState) -> Self {
        match state {
            ClaimState::Active => Self::Active,
            ClaimState::Paused => Self::Paused,
            ClaimState::Stale => Self::Stale,
            ClaimState::Gone => Self::Gone,
            ClaimState::Expired => Self::Expired,
            ClaimState::Released => Self::Released,
            ClaimState::Done => Self::Done,
            ClaimState::Landed => Self::Landed,
        }
    }
}

impl From<&QueueState> for TaskState {
    fn from(state: &QueueState) -> Self {
        match state {
            QueueState::Ready | QueueState::Unassigned => Self::Ready,
            QueueState::Assigned(_) => Self::Waiting,
            QueueState::Blocked => Self::Blocked,
            QueueState::Claimed(_) => Self::Active,
            QueueState::Done(_) => Self::Done,
            QueueState::Unreadable(_) => Self::Unreadable,
        }
    }
}

/// How far the plan of a task has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanFacts {
    /// The plan.
    pub(crate) id: PlanId,
    /// How far it has come.
    pub(crate) status: Progress,
    /// How many of its steps are done.
    pub(crate) steps: Tally,
    /// The steps that something is in the way of.
    pub(crate) blocked: Vec<String>,
    /// Its receipts, and how each stands.
    pub(crate) receipts: Vec<(String, Evidence)>,
}

/// What is known of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskFacts {
    /// The task.
    pub(crate) task: TaskId,
    /// What is to be done, where the queue says.
    pub(crate) title: Option<String>,
    /// How it stands.
    pub(crate) state: TaskState,
    /// Who owns it; if nobody does, for whom it is meant.
    pub(crate) owner: Option<AgentId>,
    /// Since when it stands so, as far as that is known.
    pub(crate) since: Option<Timestamp>,
    /// The claim.
    pub(crate) claim: Option<Claim>,
    /// The last sign of its owner's life.
    pub(crate) last_seen: Option<Timestamp>,
    /// What git shows of its branch.
    pub(crate) seen: Option<Seen>,
    /// Its plan, where that can be read.
    pub(crate) plan: Option<PlanFacts>,
    /// What its owner last said of it.
    pub(crate) last_word: Option<Entry>,
    /// What must be done before and is not.
    pub(crate) blocked_by: Vec<TaskId>,
    /// The other tasks whose claims name the same branch: what is on it may be theirs.
    pub(crate) shares: Vec<TaskId>,
}

impl TaskFacts {
    /// How the default branch has the work.
    #[must_use]
    pub(crate) fn landed(&self) -> Option<Landed> {
        self.seen.as_ref().and_then(Seen::landed)
    }

    /// What comes of comparing what is said with what is seen.
    #[must_use]
    pub(crate) fn verdict(&self) -> Verdict {
        let Some(seen) = &self.seen else { return Verdict::Nothing };
        match (self.state.is_done(), self.landed(), seen.head) {
            (true, Some(_), _) if seen.later.is_some() => Verdict::Later,
            (true, Some(_), _) => Verdict::AsSaid,
            (false, Some(_), _) if self.state.is_live() => Verdict::StillClaimed,
            (false, Some(_), _) => Verdict::Landed,
            (_, None, None) if seen.missing.is_some() => Verdict::NotHere,
            (_, None, None) => Verdict::NoBranch,
            (_, None, Some(_)) if seen.landing.is_none() => Verdict::Unknown,
            (_, None, Some(_)) if seen.is_empty => Verdict::NoWork,
            (true, None, Some(_)) if seen.taken_back().is_some() => Verdict::TakenBack,
            (false, None, Some(_)) if self.state.is_live() => Verdict::AtWork,
            (_, None, Some(_)) => Verdict::NotLanded,
        }
    }
}

/// What comes of comparing what is said of a task with what git shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is nothing to compare.
    Nothing,
    /// It is said to be done, and the default branch has it.
    AsSaid,
    /// So it is, but the branch has more since.
    Later,
    /// The default branch has it, and the claim stands.
    StillClaimed,
    /// The default branch has it, and it was given back.
    Landed,
    /// The commit where it ended is not in this clone.
    NotHere,
    /// It had landed, and the default branch has taken it back.
    TakenBack,
    /// There is nothing to compare with, or the branch cannot be read.
    Unknown,
    /// There is no branch, and none was noted.
    NoBranch,
    /// Nothing was committed, beside what is the bus's own.
    NoWork,
    /// There is work, and somebody holds it.
    AtWork,
    /// There is work, nobody holds it, and the default branch has it not.
    NotLanded,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "-",
            Self::AsSaid => "as said",
            Self::Later => "as said, and more since",
            Self::StillClaimed => "landed, still claimed",
            Self::Landed => "landed",
            Self::NotHere => "not in this clone",
            Self::TakenBack => "landed, then reverted",
            Self::Unknown => "is not known",
            Self::NoBranch => "no branch",
            Self::NoWork => "no work yet",
            Self::AtWork => "at work",
            Self::NotLanded => "not landed",
        }
    }
}

/// What sort of thing needs the manager, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NeedKind {
    /// A record that cannot be read, or contradicts another.
    Conflict,
    /// A claim or a lease whose worktree is gone.
    Gone,
    /// A claim whose time is over.
    Expired,
    /// A claim whose owner is silent.
    Stale,
    /// A plan or a step that something is in the way of.
    Blocked,
    /// A receipt that is gone or was changed.
    Receipt,
    /// Somebody changed what was not theirs, and said why.
    Override,
    /// A request that nobody answered.
    Request,
    /// What is said and not seen.
    NotSeen,
    /// Work that is done and not merged.
    Unmerged,
    /// A claim that stands although its work has landed.
    StillClaimed,
    /// A task that is meant for somebody who has not begun for long.
    Waiting,
    /// Work that is merged here, and the remote has not.
    Unpushed,
    /// A claim that the fleet does not know yet.
    Unconfirmed,
    /// Something that is wrong with the queue.
    Queue,
    /// What `bus validate` finds.
    Finding,
}

impl NeedKind {
    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Expired => "expired",
            Self::Stale => "stale",
            Self::Blocked => "blocked",
            Self::Receipt => "receipt",
            Self::Override => "override",
            Self::Request => "request",
            Self::NotSeen => "not-seen",
            Self::Unmerged => "unmerged",
            Self::StillClaimed => "still-claimed",
            Self::Waiting => "waiting",
            Self::Unpushed => "unpushed",
            Self::Unconfirmed => "unconfirmed",
            Self::Queue => "queue",
            Self::Finding => "finding",
        }
    }
}

/// Something that needs the manager now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// What sort of thing.
    pub(crate) kind: NeedKind,
    /// The task that it is about.
    pub(crate) task: Option<TaskId>,
    /// What it is, in words; some of them may be anybody's.
    pub(crate) what: String,
    /// A command that helps, or `None` if only a person can.
    pub(crate) next: Option<String>,
}

/// What an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFacts {
    /// The agent.
    pub(crate) agent: AgentId,
    /// Whether it is at work, or `None` if only its log is known.
    pub(crate) state: Option<PeerState>,
    /// The last sign of its life.
    pub(crate) last_seen: Option<Timestamp>,
    /// The tasks that it holds.
    pub(crate) holds: Vec<TaskId>,
    /// How many tasks it has finished in the time that the report is about.
    pub(crate) finished: usize,
    /// How many events it has logged in that time.
    pub(crate) events: usize,
    /// How many of its actions were refused in that time.
    pub(crate) refused: usize,
}

/// What `bus validate` says of this worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validated {
    /// How many errors.
    pub(crate) errors: u64,
    /// How many warnings.
    pub(crate) warnings: u64,
    /// The first of them, a line each.
    pub(crate) first: Vec<String>,
}

/// The facts of a report.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// When this was so, and when git was looked at.
    pub(crate) now: Timestamp,
    /// Since when work counts, or `None` if all of it does.
    pub(crate) since: Option<Timestamp>,
    /// Whose report it is.
    pub(crate) manager: Option<AgentId>,
    /// What the branches were compared with.
    pub(crate) compared_with: Option<ComparedWith>,
    /// All tasks, by state, then id.
    pub(crate) tasks: Vec<TaskFacts>,
    /// The live leases, in the order in which they were taken.
    pub(crate) leases: Vec<LeaseStatus>,
    /// What needs the manager, the most urgent first.
    pub(crate) needs: Vec<Need>,
    /// All agents.
    pub(crate) agents: Vec<AgentFacts>,
    /// How the work flows.
    pub(crate) lane: Lane,
    /// Who held what when: the youngest claims, by agent, then time.
    pub(crate) held: Vec<(TaskId, TaskState, Held)>,
}

impl Report {
    /// How many tasks stand so.
    #[must_use]
    pub(crate) fn count(&self, state: TaskState) -> usize {
        self.tasks.iter().filter(|task| task.state == state).count()
    }

    /// Whether something that was at `time` belongs to the time that the report is about.
    #[must_use]
    pub(crate) fn is_recent(&self, time: Option<Timestamp>) -> bool {
        time.is_some_and(|time| self.since.is_none_or(|since| time >= since))
    }

    /// What was finished in the time that the report is about, the oldest first.
    #[must_use]
    pub(crate) fn finished(&self) -> Vec<&TaskFacts> {
        let recent = |task: &&TaskFacts| task.state.is_done() && self.is_recent(task.since);
        let mut finished: Vec<&TaskFacts> = self.tasks.iter().filter(recent).collect();
        finished.sort_by(|one, other| (one.since, &one.task).cmp(&(other.since, &other.task)));
        finished
    }
}
