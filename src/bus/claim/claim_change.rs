//! What a command did to a claim, and what a decision asks for.

use crate::record::Claim;

/// What a command did to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A free task was claimed.
    Claimed,
    /// A finished task was taken up again.
    Reopened,
    /// The claim moved here from another place.
    Moved,
    /// What was given was written into the caller's claim.
    Updated,
    /// There was nothing to do.
    Unchanged,
    /// The claim ended.
    Released,
    /// The claim was put aside.
    Paused,
    /// A heartbeat was given.
    Renewed,
    /// The claim was taken over.
    Reclaimed,
    /// The fleet learned of a claim that it did not know.
    Confirmed,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Reopened => "reopened",
            Self::Moved => "moved",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Released => "released",
            Self::Paused => "paused",
            Self::Renewed => "renewed",
            Self::Reclaimed => "reclaimed",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What came of a command on a claim.
#[derive(Clone, Debug)]
pub struct Changed {
    /// What was done.
    pub outcome: Outcome,
    /// The claim now.
    pub claim: Claim,
    /// The claim before, if there was one.
    pub previous: Option<Claim>,
}

/// What a decision asks for.
pub(in crate::bus) enum ClaimDecision {
    /// Write this state.
    Write { verb: &'static str, claim: Box<Claim>, outcome: Outcome },
    /// Everything is as it should be; only a crash may have left something undone.
    Settle,
}

impl ClaimDecision {
    /// The same, of which the fleet's remote does not know yet.
    pub(in crate::bus) fn unconfirmed(self) -> Self {
        match self {
            Self::Write { verb, claim, outcome } => {
                let claim = Box::new(Claim { confirmed: Some(false), ..*claim });
                Self::Write { verb, claim, outcome }
            }
            Self::Settle => Self::Settle,
        }
    }
}
