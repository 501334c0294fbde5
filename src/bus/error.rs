//! What a bus can refuse, with the facts inside.

use std::path::PathBuf;

use crate::bus::claim::Loss;
use crate::bus::lease::LeaseFault;
use crate::bus::ops::{Standing, WAIT_AGAIN};
use crate::bus::plan::PlanFault;
use crate::bus::setup::HookFault;
use crate::bus::workspace::FleetFault;
use crate::record::{
    AgentId, ConfigFault, Fault, IdFault, ManifestName, Origin, Span, Status, TaskId, Timestamp,
};
use crate::{Code, git, store};

/// What to do about a file that cannot be read.
const BY_HAND: &str = "mend that line by hand, then run the same command again";

/// What to do without an agent id.
const SAY_WHO: &str = "say who you are: `--agent ID`, or `export BUS_AGENT=ID`, or `{\"agent_id\": \"ID\"}` in AGENT_MANIFEST.json";

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The repository refused.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A text is no id.
    #[error(transparent)]
    Id(#[from] IdFault),
    /// The request makes no sense.
    #[error("{what}")]
    Usage {
        /// Why not.
        what: String,
        /// What would.
        hint: String,
    },
    /// The repository has no bus.
    #[error("`{}` has no bus", root.display())]
    NoBus {
        /// The worktree.
        root: PathBuf,
    },
    /// A write without an agent id.
    #[error("this needs an agent id, and there is none")]
    NoIdentity,
    /// There is no manifest to swap in.
    #[error("there is no `AGENT_MANIFEST.{name}.json` in this worktree")]
    NoManifest {
        /// Which one was asked for.
        name: ManifestName,
        /// Those that there are.
        known: Vec<ManifestName>,
    },
    /// A record on disk breaks its format.
    #[error("`{place}` line {line}: {fault}")]
    Malformed {
        /// The file or ref.
        place: String,
        /// The line, from 1.
        line: usize,
        /// The task whose ref still says what is true, where there is one.
        truth: Option<TaskId>,
        /// What is wrong.
        fault: Fault,
    },
    /// A claim's ref is damaged.
    #[error("`{name}` is damaged: {what}")]
    UnreadableRef {
        /// The ref.
        name: String,
        /// How.
        what: String,
    },
    /// A ref on the fleet's remote that is none of the bus's, or damaged, stands where one of the
    /// bus's belongs.
    #[error("`{name}` on the remote `{remote}` {what}")]
    OddRef {
        /// The ref, as the remote calls it.
        name: String,
        /// The remote.
        remote: String,
        /// What is odd about it.
        what: String,
    },
    /// `config.toml` cannot be read.
    #[error("`{}` line {}: {fault}", path.display(), fault.line)]
    MalformedConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// Somebody else owns the task.
    #[error("`{task}` is claimed by {owner} on `{branch}` since {} ({since}), {}, last seen {}", ago(*since, *now),
        reclaimable.unwrap_or_else(|| status.as_str()), last_seen.map_or_else(|| "never".to_owned(), |seen| ago(seen, *now)))]
    ClaimHeld {
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
        /// The last sign of life.
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
    TaskFinished {
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
    ClaimAlive {
        /// The task.
        task: TaskId,
        /// Its owner.
        owner: AgentId,
        /// The last sign of life.
        last_seen: Option<Timestamp>,
        /// The time of the look.
        now: Timestamp,
    },
    /// The event or message speaks for a task that is not the caller's.
    #[error("{}", guard_text(task, event, owner.as_ref(), *elsewhere))]
    Guarded {
        /// The task.
        task: TaskId,
        /// The sort of event or message.
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
    ClaimLost {
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
    /// The ref was changed by something that does not take the lock, again and again.
    #[error("`{reference}` changed under each of {tries} tries")]
    RefContended {
        /// The ref.
        reference: String,
        /// How often it was tried.
        tries: usize,
    },
    /// What was waited for did not come true in time.
    #[error("waited {patience}: {what}")]
    WaitTimeout {
        /// What is so instead.
        what: String,
        /// How long was waited.
        patience: Span,
        /// How the task stands, where one was waited for.
        standing: Option<Box<Standing>>,
    },
    /// What is waited for cannot come true any more.
    #[error("`{}` will not be {until}: it is {}", standing.task, standing.describe())]
    CannotHold {
        /// What the task was waited for to be.
        until: &'static str,
        /// How it stands.
        standing: Box<Standing>,
    },
    /// A task of this number is there already.
    #[error("`{task}` is there already: `{place}`")]
    TaskExists {
        /// The task.
        task: TaskId,
        /// Its file, or the ref of its claim.
        place: String,
    },
    /// There is no such task in the queue.
    #[error("`{task}` is not in the queue")]
    NotQueued {
        /// The task.
        task: TaskId,
    },
    /// No task of the queue may be claimed now.
    #[error("nothing is ready: {summary}")]
    NothingReady {
        /// How many tasks of the queue are in which state.
        summary: String,
    },
    /// A file has no part that can be kept up to date.
    #[error("`{}` {what}", path.display())]
    NoPart {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
        /// What the part is called.
        name: &'static str,
    },
    /// Live claims or leases stand in the way.
    #[error("live claims or leases stand in the way: {}", tasks.join(", "))]
    InUse {
        /// Their tasks, or their ids.
        tasks: Vec<String>,
    },
    /// A plan cannot be shown or changed.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// The fleet stands in the way.
    #[error(transparent)]
    Fleet(#[from] FleetFault),
    /// A path lease cannot be had or changed.
    #[error(transparent)]
    Lease(#[from] LeaseFault),
    /// The git hooks cannot be put in.
    #[error(transparent)]
    Hooks(#[from] HookFault),
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

/// What to do if no task may be claimed now.
const NOTHING_READY: &str = "`bus queue list` shows what each task waits for; to wait until something is ready: `bus claim --next --wait`";

/// What to do about a record that breaks its format; a ref may have the true one.
fn malformed_hint(place: &str, has_truth: bool, fault: &Fault) -> String {
    match fault {
        _ if has_truth => {
            "restore it from its ref, which has the true record: `bus doctor --fix` (what stands there is kept aside)".to_owned()
        }
        _ if place.starts_with("refs/") => {
            format!("look at it with `git show {place}`; where it is no record of bus, delete the ref with `git update-ref -d`")
        }
        Fault::WrongTask { .. } => format!("remove `{place}`, or give it the name of its task"),
        Fault::WrongLock { .. } => format!("remove `{place}`, or give it the name of its lease"),
        Fault::WrongPlan { .. } => format!("remove `{place}`, or give it the name of its plan"),
        Fault::BadItem { .. } => {
            format!("mend `{place}` by hand; `bus validate --explain bad-queue-item` shows what a queue item looks like")
        }
        _ => BY_HAND.to_owned(),
    }
}

impl Error {
    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Git(error) => error.code(),
            Self::Id(_) => Code::BadId,
            Self::Usage { .. } => Code::Usage,
            Self::NoBus { .. } => Code::NoBus,
            Self::NoIdentity => Code::NoIdentity,
            Self::Malformed { .. } | Self::UnreadableRef { .. } | Self::OddRef { .. } => {
                Code::MalformedRecord
            }
            Self::MalformedConfig { .. } => Code::MalformedConfig,
            Self::ClaimHeld { .. } => Code::ClaimHeld,
            Self::HeldElsewhere { .. } => Code::ClaimHeldElsewhere,
            Self::TaskFinished { .. } => Code::TaskFinished,
            Self::Diverged { .. } => Code::ClaimDiverged,
            Self::AssignedElsewhere { .. } => Code::AssignedElsewhere,
            Self::NotAssigned { .. } => Code::NotAssigned,
            Self::ClaimAlive { .. } => Code::ClaimAlive,
            Self::Guarded { .. } => Code::GuardRefused,
            Self::ClaimLost { .. } => Code::ClaimLost,
            Self::NotHeld { .. } => Code::ClaimNotHeld,
            Self::NoManifest { .. } => Code::NoManifest,
            Self::RefContended { .. } => Code::RefContended,
            Self::TaskExists { .. } => Code::TaskExists,
            Self::NotQueued { .. } => Code::NoTask,
            Self::NothingReady { .. } => Code::NothingReady,
            Self::NoPart { .. } => Code::NoPart,
            Self::InUse { .. } => Code::BusInUse,
            Self::WaitTimeout { .. } => Code::WaitTimeout,
            Self::CannotHold { .. } => Code::CannotHold,
            Self::Plan(fault) => fault.code(),
            Self::Fleet(fault) => fault.code(),
            Self::Lease(fault) => fault.code(),
            Self::Hooks(fault) => fault.code(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Store(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Id(_) => {
                "an id is 1 to 100 of `A-Z a-z 0-9 . _ -` and begins with a letter or a digit"
                    .to_owned()
            }
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoBus { .. } => "make one with `bus init`".to_owned(),
            Self::Malformed { place, truth, fault, .. } => {
                malformed_hint(place, truth.is_some(), fault)
            }
            Self::MalformedConfig { .. } => BY_HAND.to_owned(),
            Self::NoIdentity => SAY_WHO.to_owned(),
            Self::NoManifest { name, known } => spare_manifest_hint(name, known),
            Self::UnreadableRef { .. } => {
                "set it aside, so that the claim files decide: `bus doctor --fix`".to_owned()
            }
            Self::OddRef { remote, .. } => odd_ref_advice(remote),
            Self::ClaimHeld { task, reclaimable: Some(why), .. } => {
                format!("it is {why}: take it over with `bus reclaim {task} --note WHY`")
            }
            Self::ClaimHeld { task, .. } => format!(
                "take another task with `bus queue ready`; `bus status` shows who has what, and `git log refs/bus/claims/{}` how it came to this",
                task.key()
            ),
            Self::HeldElsewhere { task, .. } => {
                format!(
                    "the same name in two places is two workers; if that one has stopped, move the claim: `bus claim {task} --here`"
                )
            }
            Self::TaskFinished { task, branch, .. } => {
                format!("look at `{branch}` first; to do it again: `bus claim {task} --reopen`")
            }
            Self::Diverged { task, place, .. } => format!(
                "`bus doctor` shows both; compare `{place}` with `git log refs/bus/claims/{}`, and restore what is right",
                task.key()
            ),
            Self::AssignedElsewhere { task, manager, .. } => format!(
                "take another task with `bus queue ready`, or ask for it: `bus message send --to {manager} --task {task} --type request --summary WHY`"
            ),
            Self::NotAssigned { task } => format!(
                "take another task with `bus queue ready`, or ask for it: `bus message send --task {task} --type request --summary WHY`"
            ),
            Self::ClaimAlive { task, .. } => {
                format!(
                    "wait until it is stale, or ask its owner to release it; a manager may add `--force` to `bus reclaim {task} --note WHY`"
                )
            }
            Self::Guarded { task, owner: None, .. } => {
                format!(
                    "claim it first: `bus claim {task}`; or say it as a `note`, which is open to all"
                )
            }
            Self::Guarded { task, elsewhere: true, .. } => {
                format!(
                    "move your claim here with `bus claim {task} --here`, or say it as a `note`, which is open to all"
                )
            }
            Self::Guarded { .. } => "say it as a `note`, which is open to all".to_owned(),
            Self::ClaimLost { task, .. } => format!(
                "stop work on it and keep what you have on a branch; `bus doctor --fix` clears its file away; see `git log refs/bus/claims/{}`",
                task.key()
            ),
            Self::NotHeld { task, ended: Some(Status::Done) } => {
                format!("to do it again: `bus claim {task} --reopen`")
            }
            Self::NotHeld { task, .. } => format!("claim it with `bus claim {task}`"),
            Self::RefContended { .. } => "run the same command again".to_owned(),
            Self::WaitTimeout { standing: Some(standing), .. }
            | Self::CannotHold { standing, .. } => standing.hint(),
            Self::WaitTimeout { .. } => WAIT_AGAIN.to_owned(),
            Self::TaskExists { .. } => {
                "leave `--id` out to get the next number; `bus queue list` shows what there is"
                    .to_owned()
            }
            Self::NotQueued { .. } => "`bus queue list` shows what there is".to_owned(),
            Self::NothingReady { .. } => NOTHING_READY.to_owned(),
            Self::NoPart { name, .. } => no_part_hint(name),
            Self::InUse { .. } => {
                "release them first; see `bus status --active-only` and `bus lock list`".to_owned()
            }
            Self::Plan(fault) => fault.hint(),
            Self::Fleet(fault) => fault.hint(),
            Self::Lease(fault) => fault.hint(),
            Self::Hooks(fault) => fault.hint(),
        }
    }

    /// A record `bytes` that breaks its format.
    pub(in crate::bus) fn malformed(
        place: impl ToString,
        bytes: &[u8],
    ) -> impl FnOnce(Fault) -> Self {
        let place = place.to_string();
        move |fault| Self::Malformed { line: fault.line_in(bytes), place, truth: None, fault }
    }

    /// A revision that cannot go up any further.
    pub(in crate::bus) fn worn_out(place: impl ToString) -> Self {
        let fault = Fault::Mistyped {
            field: "revision",
            expected: "below its highest value, 9007199254740991, so it cannot go up",
        };
        Self::Malformed { place: place.to_string(), line: 1, truth: None, fault }
    }

    /// The same, where a ref has the true record of `task`.
    pub(in crate::bus) fn with_truth(self, task: &TaskId) -> Self {
        match self {
            Self::Malformed { place, line, fault, .. } => {
                Self::Malformed { place, line, truth: Some(task.clone()), fault }
            }
            other => other,
        }
    }
}

fn no_part_hint(name: &str) -> String {
    format!(
        "put two lines into it, `<!-- {name} -->` and `<!-- /{name} -->`; what is between them is replaced"
    )
}

fn spare_manifest_hint(name: &ManifestName, known: &[ManifestName]) -> String {
    match known {
        [] => format!(
            "write `{{\"agent_id\": \"ID\"}}` to AGENT_MANIFEST.{name}.json, or say who you are with `--agent ID`"
        ),
        known => format!(
            "name one of these: {}",
            known.iter().map(ManifestName::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Who can do something about a ref of the remote's. No command is spelled out: the name is
/// whatever somebody pushed.
pub(in crate::bus) fn odd_ref_advice(remote: &str) -> String {
    format!(
        "whoever may push to `{remote}` can look at it with `git ls-remote`, and remove it there with `git push --delete`"
    )
}
