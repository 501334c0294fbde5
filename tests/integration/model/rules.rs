//! The protocol, and what becomes of it when one of its rules is left out or another.

/// A change of the protocol. Most are mutants, which the checker must find; see the tests for which are not.
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
    /// The server checks the lease on the archive together with the claim's. It does not: git sends no command for a ref
    /// that stays as it is, so only the client compares it, with what the server advertised before.
    ServerChecksArchive,
    /// The remote's value is its ref, even where that does not descend from the archive's entry.
    RefAlwaysCounts,
    /// The higher revision wins over ancestry when a clone adopts what it saw.
    ByRevision,
    /// The local chain that has lost is dropped.
    LostDropped,
    /// A loss is looked for in the claim's history only.
    LostUnseen,
    /// A loss is looked for in the claim's history, and in what was lost only where that says nothing.
    HistoryFirst,
    /// A stale claim is taken over whatever it has become since it was judged.
    Unjudged,
    /// Pushes go by force, without a lease.
    NoLease,
    /// "Already yours" after a look: nothing is written that would stop an older push of the caller's.
    YoursByLook,
    /// A state that leaves the owner as it is (a heartbeat, what `sync` confirms) is pushed before the local ref has it.
    RenewedRemoteFirst,
    /// A look reads the archive, and then the claim's ref: so a server lists `archive` and `claims`.
    ArchiveReadFirst,
    /// A look reads the claim's ref, and then the archive.
    ArchiveReadLast,
    /// Whoever has the owner's name is the owner, wherever it is.
    OriginIgnored,
    /// A command that tries again keeps its `claim_id`, though what it pushed before may have landed and ended.
    ClaimIdKept,
    /// `gc` deletes the ref before the archive has the chain.
    DeletedBeforeArchived,
    /// `gc` deletes the ref without a lease.
    DeletedWithoutLease,
}

/// The protocol with some changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules(pub(super) &'static [Change]);

impl Rules {
    pub(super) fn with(self, change: Change) -> bool {
        self.0.contains(&change)
    }
}
