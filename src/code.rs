//! The stable names of what can go wrong.

use std::io::ErrorKind;

/// The kebab-case name of an error, as `--json` shows it.
///
/// Each has one exit status (docs/design.md, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A check that `bus demo` makes of the promises failed.
    PromiseBroken,
    /// What is waited for cannot come true any more.
    CannotHold,
    /// A path is not the agent's to change.
    PathDenied,
    /// The command line makes no sense.
    Usage,
    /// An id breaks the rules for ids.
    BadId,
    /// A write without an agent id.
    NoIdentity,
    /// Somebody else owns the task.
    ClaimHeld,
    /// The same agent id owns the task from another worktree or clone.
    ClaimHeldElsewhere,
    /// Somebody else has finished the task.
    TaskFinished,
    /// This worktree's claim file says what the ref does not know.
    ClaimDiverged,
    /// A manager meant the task for somebody else.
    AssignedElsewhere,
    /// The policy wants an assignment and there is none.
    NotAssigned,
    /// The claim shows heartbeats, so it cannot be taken over.
    ClaimAlive,
    /// Somebody else holds paths that were asked for, or the lease that was named.
    LeaseHeld,
    /// The lease shows heartbeats, so it cannot be taken over.
    LeaseAlive,
    /// The event speaks for a task that is not the caller's.
    GuardRefused,
    /// A task of that number is there already.
    TaskExists,
    /// Live claims stand in the way of `deinit`.
    BusInUse,
    /// The ref was changed by something that does not take the lock, again and again.
    RefContended,
    /// Another `bus watch` uses the cursor.
    CursorInUse,
    /// git is told to look for its hooks in another folder than the repository's.
    HooksElsewhere,
    /// There is a plan of that id already.
    PlanExists,
    /// A rule of plans forbids the change.
    PlanRefused,
    /// Not inside a git repository with a work tree.
    NoRepository,
    /// A repository in a form that cannot be read safely.
    UnsupportedRepository,
    /// A git repository without a bus.
    NoBus,
    /// There is no such commit here.
    NoRevision,
    /// Nobody holds the task.
    ClaimNotHeld,
    /// Nobody holds such a lease.
    NoLease,
    /// A file has no part that can be kept up to date.
    NoPart,
    /// There is no such task in the queue.
    NoTask,
    /// No task of the queue may be claimed now.
    NothingReady,
    /// No plan is called so.
    NoPlan,
    /// The plan has no such step.
    NoStep,
    /// The evidence is not there.
    NoReceipt,
    /// There is no manifest of that name.
    NoManifest,
    /// The clone belongs to no fleet.
    NoFleet,
    /// A record on disk breaks its format.
    MalformedRecord,
    /// `config.toml` cannot be read.
    MalformedConfig,
    /// `config.toml` names another fleet than the one that this clone belongs to.
    FleetContradiction,
    /// A symlink, a folder or a device where a record should be.
    NotARegularFile,
    /// Whether paths may be changed cannot be told.
    CouldNotCheck,
    /// The lock was not free in time.
    LockTimeout,
    /// What was waited for did not come true in time.
    WaitTimeout,
    /// A signal came before a remote had answered.
    Interrupted,
    /// The fleet's remote could not be reached.
    RemoteUnreachable,
    /// The fleet's remote refused.
    RemoteRefused,
    /// Something was sent to the fleet's remote, and what came of it is not known.
    OutcomeUnknown,
    /// The remote serves another fleet, or none.
    OtherFleet,
    /// The caller held the task and no longer does.
    ClaimLost,
    /// The caller held the lease and no longer does.
    LeaseLost,
    /// The operating system refused.
    System,
}

/// Each code, the name that `--json` shows, and the exit status, in the order of the statuses.
const TABLE: [(Code, &str, u8); 52] = [
    (Code::PromiseBroken, "promise-broken", 1),
    (Code::CannotHold, "cannot-hold", 1),
    (Code::PathDenied, "path-denied", 1),
    (Code::Usage, "usage", 2),
    (Code::BadId, "bad-id", 2),
    (Code::NoIdentity, "no-identity", 2),
    (Code::ClaimHeld, "claim-held", 3),
    (Code::ClaimHeldElsewhere, "claim-held-elsewhere", 3),
    (Code::TaskFinished, "task-finished", 3),
    (Code::ClaimDiverged, "claim-diverged", 3),
    (Code::AssignedElsewhere, "assigned-elsewhere", 3),
    (Code::NotAssigned, "not-assigned", 3),
    (Code::ClaimAlive, "claim-alive", 3),
    (Code::LeaseHeld, "lock-held", 3),
    (Code::LeaseAlive, "lock-alive", 3),
    (Code::GuardRefused, "guard-refused", 3),
    (Code::TaskExists, "task-exists", 3),
    (Code::BusInUse, "bus-in-use", 3),
    (Code::RefContended, "ref-contended", 3),
    (Code::CursorInUse, "cursor-in-use", 3),
    (Code::HooksElsewhere, "hooks-elsewhere", 3),
    (Code::PlanExists, "plan-exists", 3),
    (Code::PlanRefused, "plan-refused", 3),
    (Code::NoRepository, "no-repository", 4),
    (Code::UnsupportedRepository, "unsupported-repository", 4),
    (Code::NoBus, "no-bus", 4),
    (Code::NoRevision, "no-revision", 4),
    (Code::ClaimNotHeld, "claim-not-held", 4),
    (Code::NoLease, "no-lock", 4),
    (Code::NoPart, "no-part", 4),
    (Code::NoTask, "no-task", 4),
    (Code::NothingReady, "nothing-ready", 4),
    (Code::NoPlan, "no-plan", 4),
    (Code::NoStep, "no-step", 4),
    (Code::NoReceipt, "no-receipt", 4),
    (Code::NoManifest, "no-manifest", 4),
    (Code::NoFleet, "no-fleet", 4),
    (Code::MalformedRecord, "malformed-record", 5),
    (Code::MalformedConfig, "malformed-config", 5),
    (Code::FleetContradiction, "fleet-contradiction", 5),
    (Code::NotARegularFile, "not-a-regular-file", 5),
    (Code::CouldNotCheck, "could-not-check", 5),
    (Code::LockTimeout, "lock-timeout", 6),
    (Code::WaitTimeout, "wait-timeout", 6),
    (Code::Interrupted, "interrupted", 7),
    (Code::RemoteUnreachable, "remote-unreachable", 7),
    (Code::RemoteRefused, "remote-refused", 7),
    (Code::OutcomeUnknown, "outcome-unknown", 7),
    (Code::OtherFleet, "other-fleet", 7),
    (Code::ClaimLost, "claim-lost", 8),
    (Code::LeaseLost, "lock-lost", 8),
    (Code::System, "system", 9),
];

// A code's place in the table is its number.
const _: () = {
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].0 as usize == at, "the table has another order than the codes");
        at += 1;
    }
};

impl Code {
    /// Every code, in the order of the exit statuses.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(code, ..)| *code)
    }

    /// The name that `--json` shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The exit status of a command that fails with it.
    #[must_use]
    pub const fn status(self) -> u8 {
        TABLE[self as usize].2
    }
}

/// What to do about what the system said, where that is clear.
pub(crate) const fn system_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Some("make room on the disk, then run the same command again")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(
            "give this user the right to read and write there, then run the same command again",
        ),
        _ => None,
    }
}
