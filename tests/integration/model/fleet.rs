//! What there is: a remote, clones, workers with what they run and what they believe, and pushes
//! under way.

use super::chain::{Chain, ClaimId, Link};
use super::rules::{Change, Rules};
use super::site::Site;
use super::twins::Log;

/// The task's two places on the remote, and the log of the first clone's id. If a clone is alone,
/// `claim` is a list of what was done and answered: no worker reads it, and nothing vanishes from
/// it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Remote {
    /// `refs/bus/claims/<TASK_ID>`.
    pub(super) claim: Chain,
    /// The task's entry in `refs/bus/archive`.
    pub(super) archive: Chain,
    /// `refs/bus/log/<clone id>`.
    pub(super) log: Log,
}

impl Remote {
    /// The remote's value: its ref, else its archive entry, else nothing. A ref that does not
    /// descend from the entry is void: it is of a push that came late, to a place that was empty
    /// again.
    pub(super) fn value(self, rules: Rules) -> Chain {
        let void = !rules.with(Change::RefAlwaysCounts) && !self.claim.descends_from(self.archive);
        if self.claim.is_none() || void { self.archive } else { self.claim }
    }
}

/// The tip's revision.
pub(super) fn revision(chain: Chain) -> u8 {
    chain.tip().map_or(0, |tip| tip.revision)
}

/// What a worker asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Command {
    Claim,
    /// `claim --here`.
    Here,
    ClaimOffline,
    Release,
    ReleaseOffline,
    /// `reclaim` of what looks stale: whatever stands may do so.
    Reclaim,
    /// `reclaim --force`.
    Seize,
    /// A heartbeat that is not due at the remote.
    Beat,
    /// A heartbeat that is pushed.
    BeatDue,
    Sync,
    Gc,
}

impl Command {
    /// Whether it makes its caller the owner.
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::Claim | Self::Here | Self::Reclaim | Self::Seize)
    }
}

/// Where a command is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// About to push.
    Push(Push),
    /// About to look at the remote.
    Look,
    /// Has read one of the two places, and is about to read the other: a server lists its refs one
    /// after the other.
    LookOn(Chain),
    /// Has seen it, and is about to take the lock, adopt it and decide.
    Adopt(Remote),
}

/// A change of the remote, sent with a lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Push {
    /// The claim's ref, and with it the log of a clone that may have a twin; an empty lease goes
    /// with one on the archive.
    Claim { commit: Chain, lease: Remote, log: Option<Log> },
    /// The archive's entry.
    Archive { commit: Chain, lease: Chain },
    /// The end of the claim's ref.
    Delete { lease: Chain },
}

/// A command under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Run {
    pub(super) command: Command,
    pub(super) phase: Phase,
    /// How often it wrote.
    pub(super) tries: u8,
    /// What it pushed last.
    pub(super) commit: Chain,
    /// What a `reclaim` found stale.
    pub(super) judged: Chain,
    /// What the remote's tip has been since the command began.
    pub(super) witness: Witness,
}

/// What was true of the remote at some moment of a command: an answer that was true at none is a
/// lie.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Witness {
    pub(super) mine: bool,
    pub(super) others: bool,
    pub(super) not_mine: bool,
}

/// What a worker was told last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Belief {
    /// Not the owner.
    Nothing,
    /// The owner, by this claim. `copied` is whether it was told so before its clone was copied.
    Holds { claim: ClaimId, confirmed: bool, copied: bool },
}

/// A worker: an agent in a worktree.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Worker {
    pub(super) run: Option<Run>,
    pub(super) belief: Belief,
    /// Claims it has made.
    pub(super) claims: u8,
    /// The tip that its worktree's file shows.
    pub(super) file: Chain,
}

/// A push whose sender has given up on it, and which may still take effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Flight {
    pub(super) push: Push,
    pub(super) sender: usize,
    /// Which workers have begun a command since.
    pub(super) begun_since: [bool; 3],
    /// The sender has been told since that it is the owner.
    pub(super) overtaken: bool,
}

/// What must never happen, and is seen while it happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fault {
    /// "It is yours", while it was not for as long as the command ran.
    FalseOwner,
    /// "It is another's", while it was not for as long as the command ran.
    FalseRefusal,
    /// An owner heard that it is none, and not that it has lost the task.
    NotTold,
    /// The remote's value was replaced by one that does not descend from it.
    Forked,
    /// A claim was taken from an owner without one of the verbs for that, or went on in the name of
    /// a twin.
    Unlawful,
    /// A revision that is not higher than the one before it.
    Shrank,
    /// A claim was taken as stale that had changed since it was judged.
    Unjudged,
    /// A release that was given up on ended a claim that its owner was told of later.
    EndedBehind,
}

/// What is left of the bounds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub(super) struct Budget {
    pub(super) commands: u8,
    /// Workers killed, or the remote gone, in the middle of a command.
    pub(super) crashes: u8,
    /// Pushes whose answer is lost.
    pub(super) lost_answers: u8,
    /// How often something befalls refs, clones and branches.
    pub(super) mishaps: u8,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct State {
    pub(super) remote: Remote,
    pub(super) sites: [Site; 2],
    pub(super) workers: [Worker; 3],
    pub(super) flights: Vec<Flight>,
    /// What was acknowledged; of a chain only its end.
    pub(super) acknowledged: Vec<Chain>,
    /// The second clone is a copy of the first.
    pub(super) is_copied: bool,
    /// The remote has forgotten something.
    pub(super) has_forgotten: bool,
    pub(super) left: Budget,
    pub(super) fault: Option<Fault>,
}

impl State {
    pub(super) fn new(left: Budget) -> Self {
        let idle = || Worker { run: None, belief: Belief::Nothing, claims: 0, file: Chain::NONE };
        Self {
            remote: Remote::default(),
            sites: [Site::default(), Site::default()],
            workers: [idle(), idle(), idle()],
            flights: Vec::new(),
            acknowledged: Vec::new(),
            is_copied: false,
            has_forgotten: false,
            left,
            fault: None,
        }
    }

    /// Whether nobody runs anything.
    pub(super) fn is_at_rest(&self) -> bool {
        self.workers.iter().all(|worker| worker.run.is_none())
    }

    pub(super) fn acknowledge(&mut self, chain: Chain) {
        if self.acknowledged.iter().any(|other| other.descends_from(chain)) {
            return;
        }
        self.acknowledged.retain(|other| !chain.descends_from(*other));
        self.acknowledged.push(chain);
        self.acknowledged.sort_unstable();
    }

    pub(super) fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

/// Where a worker works, and under which name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) agent: char,
    pub(super) site: usize,
    /// The worktree, by the first worker in it: two processes may share one.
    pub(super) origin: usize,
}

/// The tip, if it is live.
pub(super) fn live(chain: Chain) -> Option<Link> {
    chain.tip().filter(|tip| !tip.ended)
}
