//! The protocol, and what becomes of it when one of its rules is left out or another.

/// A change of the protocol. Most are mutants, which the checker must find; see the tests for which
/// are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nobody looks again after a push: what was sent counts as landed.
    NoSecondLook,
    /// Nobody looks again after a push: its answer counts, and a refused one is a refusal.
    AnswerTrusted,
    /// A worktree's file that names the caller makes it the owner.
    FileGrants,
    /// "Another holds it" without a look at the remote.
    LocalRefusal,
    /// "Already yours" without a push or a look.
    LocalYours,
    /// An empty lease goes without one on the archive.
    EmptyLease,
    /// The server checks the lease on the archive together with the claim's. It does not: git sends
    /// no command for a ref that stays as it is, so only the client compares it, with what the
    /// server advertised before.
    ServerChecksArchive,
    /// The remote's value is its ref, even where that does not descend from the archive's entry.
    RefAlwaysCounts,
    /// The higher revision wins over ancestry when a clone adopts what it saw.
    ByRevision,
    /// The local chain that has lost is dropped.
    LostDropped,
    /// A loss is looked for in the claim's history only.
    LostUnseen,
    /// A loss is looked for in the claim's history, and in what was lost only where that says
    /// nothing.
    HistoryFirst,
    /// A stale claim is taken over whatever it has become since it was judged.
    Unjudged,
    /// Pushes go by force, without a lease.
    NoLease,
    /// "Already yours" after a look: nothing is written that would stop an older push of the
    /// caller's.
    YoursByLook,
    /// A state that leaves the owner as it is (a heartbeat, what `sync` confirms) is pushed before
    /// the local ref has it.
    RenewedRemoteFirst,
    /// A look reads the archive, and then the claim's ref: so a server lists `archive` and
    /// `claims`.
    ArchiveReadFirst,
    /// A look reads the claim's ref, and then the archive.
    ArchiveReadLast,
    /// Whoever has the owner's name is the owner, wherever it is.
    OriginIgnored,
    /// A command that tries again keeps its `claim_id`, though what it pushed before may have
    /// landed and ended.
    ClaimIdKept,
    /// `gc` deletes the ref before the archive has the chain.
    DeletedBeforeArchived,
    /// `gc` deletes the ref without a lease.
    DeletedWithoutLease,
    /// A task whose ref is gone is free, whatever the record says.
    NoRecord,
    /// Without a ref the archive decides, also if the record goes on from its entry.
    ArchiveFirst,
    /// The record decides by its revision alone, whether or not its lineage has the claim that the
    /// refs end at.
    LineageIgnored,
    /// A local ref that was set back is gone on from, though the remote was seen to have more.
    SeenIgnored,
    /// A record stays as it is when the clone adopts what the remote has.
    RecordStays,
    /// An import is a fork of what the remote has, also if that ends at the very state that was
    /// imported.
    ImportForks,
    /// A record that gives way to what does not know it is dropped.
    RecordDropped,
    /// A heartbeat moves the ref and not the record.
    PulseUnrecorded,
    /// A claim file in the tree is read as a record.
    CopiesRead,
    /// The policy of the branch that is checked out says whether files in the tree are records.
    ModeOfBranch,
    /// In a mirror of the remote the chains that were lost vanish, too: they are refs.
    LostVanishes,
    /// The push of a claim does not carry the log.
    LogNotCarried,
    /// The push of a claim carries the log only if there are new lines, of which the claim's own is
    /// none yet.
    LogOnlyIfNew,
    /// The push of a claim carries a commit of the log that was written before and is not on the
    /// remote, if there is one.
    LogReused,
    /// A clone does not look for commits in its own log that it did not write, but goes on from
    /// them.
    OwnLogUnread,
    /// A clone that has taken a new id publishes what it wrote under the old one.
    OldIdSpeaks,
    /// What the remote has of the own log is noted as known before it is judged.
    LogNotedFirst,
    /// Only refs say which commits of its log a clone has written.
    LogKnownByRef,
}

/// The protocol with some changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules(pub(super) &'static [Change]);

impl Rules {
    pub(super) fn with(self, change: Change) -> bool {
        self.0.contains(&change)
    }
}
