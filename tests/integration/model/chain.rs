//! A claim's states as a hash-linked chain: a commit *is* the list of the states before it, so
//! "descends from" is "begins with". Eight states of sixteen bits make one number, which is what
//! lets a debug build visit a million fleets.

use std::fmt;

/// Whose claim, and which of theirs: the model's `claim_id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClaimId {
    /// How many claims its origin had made before: ids of one origin are ordered, as UUIDv7 of one
    /// machine are.
    pub(super) number: u8,
    /// The origin that it was made at.
    pub(super) owner: u8,
}

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(b'A' + self.owner), self.number)
    }
}

/// What was done to a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Claim = 1,
    Heartbeat,
    Release,
    Reclaim,
    Move,
    /// What `sync` appends to a state that was written offline.
    Confirm,
}

const VERBS: [Verb; 6] =
    [Verb::Claim, Verb::Heartbeat, Verb::Release, Verb::Reclaim, Verb::Move, Verb::Confirm];

/// One state of a claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) claim: ClaimId,
    pub(super) verb: Verb,
    pub(super) ended: bool,
    /// `confirmed: false`.
    pub(super) offline: bool,
    pub(super) revision: u8,
    /// It came back from a record, so it is another commit than the one that was there before.
    pub(super) imported: bool,
}

/// Where a state has its `imported`, and where the states of a chain have theirs.
const IMPORTED: u32 = 15;
const ALL_IMPORTED: u128 = (u128::MAX / 0xffff) << IMPORTED;

impl Link {
    fn pack(self) -> u16 {
        assert!(
            self.claim.number < 8 && self.claim.owner < 8 && self.revision < 16,
            "{self:?} does not fit"
        );
        u16::from(self.claim.owner)
            | u16::from(self.claim.number) << 3
            | (self.verb as u16) << 6
            | u16::from(self.ended) << 9
            | u16::from(self.offline) << 10
            | u16::from(self.revision) << 11
            | u16::from(self.imported) << IMPORTED
    }

    fn unpack(bits: u16) -> Self {
        Self {
            claim: ClaimId { owner: (bits & 7) as u8, number: (bits >> 3 & 7) as u8 },
            verb: VERBS[usize::from(bits >> 6 & 7) - 1],
            ended: bits & 1 << 9 != 0,
            offline: bits & 1 << 10 != 0,
            revision: (bits >> 11 & 15) as u8,
            imported: bits & 1 << IMPORTED != 0,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offline = if self.offline { " offline" } else { "" };
        let imported = if self.imported { " imported" } else { "" };
        write!(f, "{:?}{offline}{imported} {:?} r{}", self.verb, self.claim, self.revision)
    }
}

/// A commit, with everything before it; zero is "no ref".
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Chain(u128);

impl Chain {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> u32 {
        (128 - self.0.leading_zeros()).div_ceil(16)
    }

    /// The chain with one more state.
    pub(super) fn then(self, link: Link) -> Self {
        assert!(self.len() < 8, "the bounds of the model let {self:?} grow too long");
        Self(self.0 | u128::from(link.pack()) << (16 * self.len()))
    }

    pub(super) fn tip(self) -> Option<Link> {
        self.len().checked_sub(1).map(|last| self.link(last))
    }

    fn link(self, index: u32) -> Link {
        Link::unpack((self.0 >> (16 * index) & 0xffff) as u16)
    }

    /// The states, oldest first.
    pub(super) fn links(self) -> impl DoubleEndedIterator<Item = Link> {
        (0..self.len()).map(move |index| self.link(index))
    }

    /// The chain up to its first `len` states.
    pub(super) fn first(self, len: u32) -> Self {
        if len >= 8 { self } else { Self(self.0 & ((1 << (16 * len)) - 1)) }
    }

    /// The chain that begins anew with what a record says: of its earlier states the lineage tells.
    pub(super) fn imported(self) -> Self {
        Self(self.0 | Self(ALL_IMPORTED).first(self.len()).0)
    }

    /// The same states, whether imported or not.
    pub(super) fn plain(self) -> Self {
        Self(self.0 & !ALL_IMPORTED)
    }

    pub(super) fn parent(self) -> Self {
        self.first(self.len().saturating_sub(1))
    }

    /// Whether this is `ancestor`, or a state after it. Everything descends from nothing.
    pub(super) fn descends_from(self, ancestor: Self) -> bool {
        self.first(ancestor.len()) == ancestor
    }

    /// The states of this chain that `other` has not.
    pub(super) fn beyond(self, other: Self) -> impl Iterator<Item = Link> {
        let common = (self.0 ^ other.0).trailing_zeros() / 16;
        self.links().skip(common as usize)
    }

    /// The last state of `claim`, and whether it is the tip.
    pub(super) fn last_of(self, claim: ClaimId) -> Option<(Link, bool)> {
        let wanted = u128::from(claim.owner | claim.number << 3);
        let len = self.len();
        let last = (0..len).rev().find(|index| self.0 >> (16 * index) & 63 == wanted)?;
        Some((self.link(last), last + 1 == len))
    }

    /// Whether `claim` stood in this chain and has ended since.
    pub(super) fn has_ended(self, claim: ClaimId) -> bool {
        self.last_of(claim).is_some_and(|(link, is_tip)| link.ended || !is_tip)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.links()).finish()
    }
}
