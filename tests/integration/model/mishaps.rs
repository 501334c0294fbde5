//! What befalls refs, clones and branches, and is nobody's command.

use super::chain::Chain;
use super::decide::People;
use super::fleet::{Belief, Remote, State};
use super::rules::Change;
use super::site::Branch;
use super::twins::Log;

/// Something of that kind; a number is that of a clone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mishap {
    /// The claim's local ref is gone.
    RefGone(usize),
    /// It is set back by a state.
    RefBack(usize),
    /// `git fetch --prune` in a mirror of the remote: the local ref is as the remote's, and what it
    /// was seen at is gone.
    Mirrored(usize),
    /// The archive of a clone is gone.
    ArchiveGone(usize),
    /// `git push --mirror` from elsewhere: the remote's ref is gone.
    RemoteGone,
    /// A backup of the remote is restored: its ref is set back by a state.
    RemoteBack,
    /// The first clone is copied with its id.
    Copied,
    /// A branch with record files is checked out.
    CheckedOut(usize, Branch),
}

impl People {
    /// Whether it may happen, and changes anything. The remote forgets, and a clone is copied,
    /// while nobody runs anything.
    pub(super) fn can_befall(&self, state: &State, mishap: Mishap) -> bool {
        match mishap {
            Mishap::RefGone(site) | Mishap::RefBack(site) => !state.sites[site].local.is_none(),
            Mishap::Mirrored(site) => {
                state.sites[site].local != state.remote.claim
                    || state.sites[site].tracking != Remote::default()
            }
            Mishap::ArchiveGone(site) => !state.sites[site].tracking.archive.is_none(),
            Mishap::RemoteGone | Mishap::RemoteBack => {
                !state.remote.claim.is_none() && state.is_at_rest()
            }
            Mishap::Copied => !state.is_copied && state.is_at_rest(),
            Mishap::CheckedOut(site, branch) => state.sites[site].branch != branch,
        }
    }

    pub(super) fn befall(&self, state: &mut State, mishap: Mishap) {
        match mishap {
            Mishap::RefGone(site) => state.sites[site].local = Chain::NONE,
            Mishap::RefBack(site) => state.sites[site].local = state.sites[site].local.parent(),
            Mishap::Mirrored(site) => self.mirror(state, site),
            Mishap::ArchiveGone(site) => state.sites[site].tracking.archive = Chain::NONE,
            Mishap::RemoteGone => state.remote.claim = Chain::NONE,
            Mishap::RemoteBack => state.remote.claim = state.remote.claim.parent(),
            Mishap::Copied => copy(state),
            Mishap::CheckedOut(site, branch) => state.sites[site].branch = branch,
        }
        state.has_forgotten |= matches!(mishap, Mishap::RemoteGone | Mishap::RemoteBack);
        self.witness(state);
    }

    fn mirror(&self, state: &mut State, site: usize) {
        let (remote, site) = (state.remote, &mut state.sites[site]);
        site.local = remote.claim;
        site.tracking =
            Remote { claim: Chain::NONE, archive: remote.archive, log: site.tracking.log };
        if self.rules.with(Change::LostVanishes) {
            site.lost.clear();
        }
        if self.rules.with(Change::LogKnownByRef) {
            (site.log, site.tracking.log) = (Log::default(), Log::default());
        }
    }
}

/// The second clone is a copy of the first from now on. Both were told before, so what they believe
/// is old.
fn copy(state: &mut State) {
    state.is_copied = true;
    state.sites[1] = state.sites[0].clone();
    if let Belief::Holds { copied, .. } = &mut state.workers[0].belief {
        *copied = true;
    }
    state.workers[1].belief = state.workers[0].belief;
}
