//! The stable names of what can go wrong.

use std::io::ErrorKind;

/// The kebab-case name of an error, as `--json` shows it.
///
/// Each has one exit status, which only the command line knows (design, section 6).
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
    /// The claim shows signs of life, so it cannot be taken over.
    ClaimAlive,
    /// Somebody else holds paths that were asked for, or the lease that was named.
    LeaseHeld,
    /// The lease shows signs of life, so it cannot be taken over.
    LeaseAlive,
    /// Two files say different things of a lease, and no ref decides.
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

impl Code {
    /// Every code, in the order of the exit statuses.
    pub const ALL: [Self; 52] = [
        Self::PromiseBroken,
        Self::CannotHold,
        Self::PathDenied,
        Self::Usage,
        Self::BadId,
        Self::NoIdentity,
        Self::ClaimHeld,
        Self::ClaimHeldElsewhere,
        Self::TaskFinished,
        Self::ClaimDiverged,
        Self::AssignedElsewhere,
        Self::NotAssigned,
        Self::ClaimAlive,
        Self::LeaseHeld,
        Self::LeaseAlive,
        Self::GuardRefused,
        Self::TaskExists,
        Self::BusInUse,
        Self::RefContended,
        Self::CursorInUse,
        Self::HooksElsewhere,
        Self::PlanExists,
        Self::PlanRefused,
        Self::NoRepository,
        Self::UnsupportedRepository,
        Self::NoBus,
        Self::NoRevision,
        Self::ClaimNotHeld,
        Self::NoLease,
        Self::NoPart,
        Self::NoTask,
        Self::NothingReady,
        Self::NoPlan,
        Self::NoStep,
        Self::NoReceipt,
        Self::NoManifest,
        Self::NoFleet,
        Self::MalformedRecord,
        Self::MalformedConfig,
        Self::FleetContradiction,
        Self::NotARegularFile,
        Self::CouldNotCheck,
        Self::LockTimeout,
        Self::WaitTimeout,
        Self::Interrupted,
        Self::RemoteUnreachable,
        Self::RemoteRefused,
        Self::OutcomeUnknown,
        Self::OtherFleet,
        Self::ClaimLost,
        Self::LeaseLost,
        Self::System,
    ];

    /// The name that `--json` shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PromiseBroken => "promise-broken",
            Self::CannotHold => "cannot-hold",
            Self::PathDenied => "path-denied",
            Self::Usage => "usage",
            Self::BadId => "bad-id",
            Self::NoIdentity => "no-identity",
            Self::ClaimHeld => "claim-held",
            Self::ClaimHeldElsewhere => "claim-held-elsewhere",
            Self::TaskFinished => "task-finished",
            Self::ClaimDiverged => "claim-diverged",
            Self::AssignedElsewhere => "assigned-elsewhere",
            Self::NotAssigned => "not-assigned",
            Self::ClaimAlive => "claim-alive",
            Self::LeaseHeld => "lock-held",
            Self::LeaseAlive => "lock-alive",
            Self::GuardRefused => "guard-refused",
            Self::TaskExists => "task-exists",
            Self::BusInUse => "bus-in-use",
            Self::RefContended => "ref-contended",
            Self::CursorInUse => "cursor-in-use",
            Self::HooksElsewhere => "hooks-elsewhere",
            Self::PlanExists => "plan-exists",
            Self::PlanRefused => "plan-refused",
            Self::NoRepository => "no-repository",
            Self::UnsupportedRepository => "unsupported-repository",
            Self::NoBus => "no-bus",
            Self::NoRevision => "no-revision",
            Self::ClaimNotHeld => "claim-not-held",
            Self::NoLease => "no-lock",
            Self::NoPart => "no-part",
            Self::NoTask => "no-task",
            Self::NothingReady => "nothing-ready",
            Self::NoPlan => "no-plan",
            Self::NoStep => "no-step",
            Self::NoReceipt => "no-receipt",
            Self::NoManifest => "no-manifest",
            Self::NoFleet => "no-fleet",
            Self::MalformedRecord => "malformed-record",
            Self::MalformedConfig => "malformed-config",
            Self::FleetContradiction => "fleet-contradiction",
            Self::NotARegularFile => "not-a-regular-file",
            Self::CouldNotCheck => "could-not-check",
            Self::LockTimeout => "lock-timeout",
            Self::WaitTimeout => "wait-timeout",
            Self::Interrupted => "interrupted",
            Self::RemoteUnreachable => "remote-unreachable",
            Self::RemoteRefused => "remote-refused",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::OtherFleet => "other-fleet",
            Self::LeaseLost => "lock-lost",
            Self::ClaimLost => "claim-lost",
            Self::System => "system",
        }
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
