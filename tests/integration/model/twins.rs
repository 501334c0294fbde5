//! Two clones with one clone id: a container that was started twice, a backup that was restored
//! (docs/design.md, section 1.4).
//!
//! Each push of a claim carries a new commit of the clone's log, with what the remote was seen to
//! have as lease, all or none: so of two with one id only one can push. Who finds a commit in its
//! own log that it did not write takes a new id.

use std::fmt;

use super::chain::{ClaimId, Link};
use super::decide::{People, Reach};
use super::fleet::{Push, State};
use super::rules::Change;
use super::site::Site;

/// A log of one clone id, as the list of who wrote each commit: "descends from" is "begins with",
/// as for claims.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    len: u8,
    writers: u16,
}

impl Log {
    /// The log with one more commit, by a site.
    pub(super) fn then(self, site: usize) -> Self {
        assert!(self.len < 16 && site < 2, "the bounds of the model let {self:?} grow too long");
        Self { len: self.len + 1, writers: self.writers | (site as u16) << self.len }
    }

    /// Whether this is `ancestor`, or a commit after it.
    pub(super) fn descends_from(self, ancestor: Self) -> bool {
        let begin = |bits: u16| bits.checked_shl(u32::from(16 - ancestor.len)).unwrap_or(0);
        self.len >= ancestor.len && begin(self.writers) == begin(ancestor.writers)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len).try_for_each(|index| write!(f, "{}", self.writers >> index & 1))
    }
}

impl People {
    /// The commit of the log that goes with the push of a claim; none if there is no such log.
    pub(super) fn next_log(&self, site: &mut Site, index: usize) -> Option<Log> {
        if site.is_renamed || self.rules.with(Change::LogNotCarried) {
            return None;
        }
        let is_published = site.log == site.tracking.log;
        // A commit that was written before may be a twin's, too.
        if !self.rules.with(Change::LogOnlyIfNew)
            && (is_published || !self.rules.with(Change::LogReused))
        {
            site.log = site.log.then(index);
        }
        Some(site.log)
    }

    /// Takes a new id if the log that was seen has commits that this clone did not write; says
    /// whether it did.
    pub(super) fn judge_log(&self, site: &mut Site, seen: Log) -> bool {
        if self.reach != Reach::Twins || site.is_renamed || site.log.descends_from(seen) {
            return false;
        }
        if self.rules.with(Change::OwnLogUnread) {
            site.log = seen;
        } else {
            site.is_renamed = true;
        }
        site.is_renamed
    }

    /// Whether a clone with a new id would publish what was written under the old one.
    pub(super) fn speaks_for_twin(&self, state: &State, worker: usize, push: Push) -> bool {
        let site = self.places[worker].site;
        let is_others = |link: Link| !self.is_of(site, link.claim);
        match push {
            Push::Claim { commit, .. } if state.sites[site].is_renamed => {
                commit.beyond(state.remote.value(self.rules)).any(is_others)
            }
            _ => false,
        }
    }

    /// Whether a claim was made in a clone, under the id that it has.
    pub(super) fn is_of(&self, site: usize, claim: ClaimId) -> bool {
        self.places
            .iter()
            .any(|place| place.site == site && place.origin == usize::from(claim.owner))
    }
}
