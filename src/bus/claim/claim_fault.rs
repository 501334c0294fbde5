//! Why a claim cannot be had or changed.

use serde_json::Value;

use super::liveness::why_free;
use super::loss::Loss;
use crate::Code;
use crate::record::{AgentId, Origin, Span, Status, TaskId, Timestamp};

/// Why a claim cannot be had or changed, with the facts.
#[derive(Debug, thiserror::Error)]
pub enum ClaimFault {
    /// Somebody else owns the task.
    #[error("`{task}` is claimed by {owner} on `{branch}` since {} ({since}), {}, last seen {}", ago(*since, *now),
        reclaimable.unwrap_or_else(|| status.as_str()), last_seen.map_or_else(|| "never".to_owned(), |seen| ago(seen, *now)))]
    Held {
        /// The task.
        task: TaskId,
        /// Its owner.
        owner: AgentId,
        /// The owner's branch.
        branch: String,
        /// Active or paused.
        status: Status,
        /// When it was claimed.
        since: Timestamp,
        /// The last heartbeat.
        last_seen: Option<Timestamp>,
        /// Whether it may be taken over, and why: `paused`, `stale`, `expired`.
        reclaimable: Option<&'static str>,
        /// The time of the look.
        now: Timestamp,
    },
    /// The same agent id owns the task from somewhere else.
    #[error("`{task}` is claimed by {owner} in another place ({place}), since {} ({since})", ago(*since, *now))]
    HeldElsewhere {
        /// The task.
        task: TaskId,
        /// The agent, who is also the caller.
        owner: AgentId,
        /// Which place that is, in words.
        place: String,
        /// The place.
        origin: Option<Origin>,
        /// When it was claimed.
        since: Timestamp,
        /// The time of the look.
        now: Timestamp,
    },
    /// Somebody else has finished the task.
    #[error("`{task}` is finished: {} on `{branch}`, {} ({at})",
        ended_by.as_ref().map_or_else(|| format!("{owner} did it"), |by| format!("{by} ended {owner}'s work as done")), ago(*at, *now))]
    Finished {
        /// The task.
        task: TaskId,
        /// Who finished it.
        owner: AgentId,
        /// On which branch.
        branch: String,
        /// Who said that it is finished, where that was not its owner.
        ended_by: Option<AgentId>,
        /// When.
        at: Timestamp,
        /// The time of the look.
        now: Timestamp,
    },
    /// The records of a task contradict each other.
    #[error(
        "`{task}`: `{place}` names {owner} at revision {revision}, which {against} does not know"
    )]
    Diverged {
        /// The task.
        task: TaskId,
        /// The file that is ahead.
        place: String,
        /// Whom it names.
        owner: AgentId,
        /// Its revision.
        revision: u64,
        /// What it contradicts.
        against: String,
    },
    /// A manager meant the task for somebody else.
    #[error("`{task}` is assigned to {engineer} by {manager}")]
    AssignedElsewhere {
        /// The task.
        task: TaskId,
        /// Whom it is meant for.
        engineer: AgentId,
        /// Who said so.
        manager: AgentId,
    },
    /// The policy wants an assignment.
    #[error("`{task}` is assigned to nobody, and this bus wants an assignment first")]
    NotAssigned {
        /// The task.
        task: TaskId,
    },
    /// The claim is alive.
    #[error("`{task}` is alive: {owner} works on it (last seen {})", last_seen.map_or_else(|| "never".to_owned(), |seen| ago(seen, *now)))]
    Alive {
        /// The task.
        task: TaskId,
        /// Its owner.
        owner: AgentId,
        /// The last heartbeat.
        last_seen: Option<Timestamp>,
        /// The time of the look.
        now: Timestamp,
    },
    /// The event or message speaks for a task that is not the caller's.
    #[error("{}", guard_text(task, event, owner.as_ref(), *elsewhere))]
    Guarded {
        /// The task.
        task: TaskId,
        /// The type of event or message.
        event: String,
        /// Who owns the task; nobody where it was never claimed.
        owner: Option<AgentId>,
        /// The owner's status.
        status: Option<Status>,
        /// Whether the owner is the caller's own id in another place.
        elsewhere: bool,
    },
    /// The caller held the task and no longer does.
    #[error("`{task}` is no longer yours: {loss}")]
    Lost {
        /// The task.
        task: TaskId,
        /// How it was lost.
        loss: Loss,
        /// Who has it now.
        owner: Option<AgentId>,
    },
    /// Nobody holds the task.
    #[error("`{task}` is held by nobody{}", ended.map_or_else(String::new, |status| format!(": its last claim is {status}")))]
    NotHeld {
        /// The task.
        task: TaskId,
        /// How its last claim ended.
        ended: Option<Status>,
    },
}

/// A time as people read it: `3 h ago`.
fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago", Span::new(now.since(time)))
}

fn guard_text(task: &TaskId, event: &str, owner: Option<&AgentId>, elsewhere: bool) -> String {
    match owner {
        Some(owner) if elsewhere => {
            format!(
                "`{event}` on `{task}` is for its owner, who is {owner} in another worktree or clone"
            )
        }
        Some(owner) => format!("`{event}` on `{task}` is for its owner, {owner}"),
        None => format!("`{event}` on `{task}` is for its owner, and it has none"),
    }
}

impl ClaimFault {
    /// The stable name of the error.
    pub(in crate::bus) const fn code(&self) -> Code {
        match self {
            Self::Held { .. } => Code::ClaimHeld,
            Self::HeldElsewhere { .. } => Code::ClaimHeldElsewhere,
            Self::Finished { .. } => Code::TaskFinished,
            Self::Diverged { .. } => Code::ClaimDiverged,
            Self::AssignedElsewhere { .. } => Code::AssignedElsewhere,
            Self::NotAssigned { .. } => Code::NotAssigned,
            Self::Alive { .. } => Code::ClaimAlive,
            Self::Guarded { .. } => Code::GuardRefused,
            Self::Lost { .. } => Code::ClaimLost,
            Self::NotHeld { .. } => Code::ClaimNotHeld,
        }
    }

    /// What to do next.
    pub(in crate::bus) fn hint(&self) -> String {
        match self {
            Self::Held { task, reclaimable: Some(why), .. } => {
                format!("{}: take it over with `bus reclaim {task} --note WHY`", why_free(why))
            }
            Self::Held { task, .. } => format!(
                "take another task with `bus queue ready`; `bus status` shows who has what, and \
                 `git log refs/bus/claims/{}` how it came to this",
                task.key()
            ),
            Self::HeldElsewhere { task, .. } => format!(
                "the same name in two places is two workers; if that one has stopped, move the \
                 claim: `bus claim {task} --here`"
            ),
            Self::Finished { task, branch, .. } => {
                format!("look at `{branch}` first; to do it again: `bus claim {task} --reopen`")
            }
            Self::Diverged { task, place, .. } => format!(
                "`bus doctor` shows both; compare `{place}` with `git log refs/bus/claims/{}`, and \
                 restore what is right",
                task.key()
            ),
            Self::AssignedElsewhere { task, manager, .. } => format!(
                "take another task with `bus queue ready`, or ask for it: `bus message send \
                 --to {manager} --task {task} --type request --summary WHY`"
            ),
            Self::NotAssigned { task } => format!(
                "take another task with `bus queue ready`, or ask for it: `bus message send \
                 --task {task} --type request --summary WHY`"
            ),
            Self::Alive { task, .. } => format!(
                "wait until it is stale, or ask its owner to release it; a manager may add \
                 `--force` to `bus reclaim {task} --note WHY`"
            ),
            Self::Guarded { task, owner: None, .. } => format!(
                "claim it first: `bus claim {task}`; or say it as a `note`, which is open to all"
            ),
            Self::Guarded { task, elsewhere: true, .. } => format!(
                "move your claim here with `bus claim {task} --here`, or say it as a `note`, which \
                 is open to all"
            ),
            Self::Guarded { .. } => "say it as a `note`, which is open to all".to_owned(),
            Self::Lost { task, .. } => format!(
                "stop work on it and keep what you have on a branch; `bus doctor --fix` clears its \
                 file away; see `git log refs/bus/claims/{}`",
                task.key()
            ),
            Self::NotHeld { task, ended: Some(Status::Done) } => {
                format!("to do it again: `bus claim {task} --reopen`")
            }
            Self::NotHeld { task, .. } => format!("claim it with `bus claim {task}`"),
        }
    }

    /// The facts, for programs.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        let text = |fact: &dyn ToString| Some(Value::from(fact.to_string()));
        let (task, mut facts) = match self {
            Self::Held { task, owner, branch, status, since, last_seen, reclaimable, .. } => {
                let facts = vec![
                    ("owner", text(owner)),
                    ("branch", text(branch)),
                    ("status", text(status)),
                    ("claimed_at", text(since)),
                    ("last_seen", last_seen.and_then(|seen| text(&seen))),
                    ("reclaimable", reclaimable.map(Value::from)),
                ];
                (task, facts)
            }
            Self::HeldElsewhere { task, owner, origin, since, .. } => {
                let origin = origin.as_ref().and_then(|origin| text(origin));
                (
                    task,
                    vec![("owner", text(owner)), ("claimed_at", text(since)), ("origin", origin)],
                )
            }
            Self::Finished { task, owner, branch, at, .. } => {
                let facts = vec![
                    ("owner", text(owner)),
                    ("branch", text(branch)),
                    ("released_at", text(at)),
                ];
                (task, facts)
            }
            Self::Diverged { task, owner, place, .. } => {
                (task, vec![("owner", text(owner)), ("file", text(place))])
            }
            Self::AssignedElsewhere { task, engineer, manager } => {
                (task, vec![("engineer", text(engineer)), ("manager", text(manager))])
            }
            Self::Alive { task, owner, last_seen, .. } => {
                let last_seen = last_seen.and_then(|seen| text(&seen));
                (task, vec![("owner", text(owner)), ("last_seen", last_seen)])
            }
            Self::Guarded { task, owner, .. } => {
                (task, vec![("owner", owner.as_ref().and_then(|owner| text(owner)))])
            }
            Self::Lost { task, loss, owner } => {
                let facts = vec![
                    ("lost_at", text(&loss.at)),
                    ("lost_to", loss.by.as_ref().and_then(|by| text(by))),
                    ("note", loss.note.as_ref().and_then(|note| text(note))),
                    ("owner", owner.as_ref().and_then(|owner| text(owner))),
                ];
                (task, facts)
            }
            Self::NotAssigned { task } | Self::NotHeld { task, .. } => (task, Vec::new()),
        };
        facts.insert(0, ("task_id", text(task)));
        facts
    }
}
