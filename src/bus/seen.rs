//! What git shows of the branches that claims name: whether what agents say is there. It is looked at when it is asked for,
//! and never stored.

use std::collections::HashMap;
use std::fmt;

use super::{Bus, ClaimState, ClaimStatus, Error};
use crate::git::{Branches, History, Landed, Landing, MAX_AHEAD, ObjectId};
use crate::record::Claim;

/// Whether a remote has a branch, as far as this clone knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// No remote is known.
    NoRemote,
    /// No remote has it.
    No,
    /// A remote has the branch, at another commit.
    Otherwise(String, ObjectId),
    /// A remote has the very commit.
    Yes(String),
}

/// In words: `yes, origin/x`, `no`, `origin/x is at 1a2b3c4`, `no remote`.
impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRemote => f.pad("no remote"),
            Self::No => f.pad("no"),
            Self::Otherwise(name, commit) => f.pad(&format!("{name} is at {}", commit.to_hex_with_len(7))),
            Self::Yes(name) => f.pad(&format!("yes, {name}")),
        }
    }
}

/// What git shows of a claim's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The commit that the branch is at, here.
    pub branch: Option<ObjectId>,
    /// The commit that was looked at: where the claim ended, else the branch, else the remote's.
    pub head: Option<ObjectId>,
    /// Whether a remote has it.
    pub pushed: Pushed,
    /// How the commit stands to the default branch; none where there is no commit or no default branch.
    pub landing: Option<Landing>,
    /// Whether nothing was committed since the claim was made.
    pub is_empty: bool,
}

impl Seen {
    /// Whether a remote has the work, in words; `-` where there is no work.
    #[must_use]
    pub fn pushed_words(&self) -> String {
        self.head.map_or_else(|| "-".to_owned(), |_| self.pushed.to_string())
    }

    /// How many commits the work has that the default branch has not: `3`, `1000 or more`, `-` where nobody can tell.
    #[must_use]
    pub fn ahead(&self) -> String {
        match self.landing.map(|landing| landing.ahead.commits) {
            Some(MAX_AHEAD) => format!("{MAX_AHEAD} or more"),
            Some(commits) => commits.to_string(),
            None => "-".to_owned(),
        }
    }

    /// How the default branch has the work, in words: `merged`, `squashed in 1a2b3c4`, `no`, `-` where there is no work.
    #[must_use]
    pub fn landed_words(&self) -> String {
        match (self.landed(), self.head) {
            (Some(Landed::Merged), _) => "merged".to_owned(),
            (Some(Landed::Squashed(commit)), _) => format!("squashed in {}", commit.to_hex_with_len(7)),
            (None, Some(_)) => "no".to_owned(),
            (None, None) => "-".to_owned(),
        }
    }

    /// How the default branch has the work; none where it has not, or where there is none.
    #[must_use]
    pub fn landed(&self) -> Option<Landed> {
        self.landing.and_then(|landing| landing.landed).filter(|_| !self.is_empty)
    }
}

/// The branch that everything was compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedWith {
    /// Its name as git shows it: `main`, `origin/main`.
    pub name: String,
    /// The commit that it was at.
    pub commit: ObjectId,
}

impl Bus {
    /// Looks at the branch of each claim, and notes what it shows; a finished claim whose work has landed becomes
    /// [`ClaimState::Landed`]. Returns what was compared with; nothing where there is no default branch.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] where the history cannot be read.
    pub(super) fn look_at_branches(&self, claims: &mut [ClaimStatus]) -> Result<Option<ComparedWith>, Error> {
        let history = self.repo.history()?;
        let branches = history.branches()?;
        let mut found: Vec<Seen> = claims.iter().map(|status| seen(&status.claim, &branches, &history)).collect();
        let trunk = history.trunk()?;
        let compared = trunk.as_ref().map(|trunk| ComparedWith { name: trunk.name.clone(), commit: trunk.tip });
        let heads = found.iter().filter_map(|seen| seen.head);
        let landings = trunk.map_or_else(|| Ok(HashMap::new()), |mut trunk| trunk.landings(heads))?;
        for (status, seen) in claims.iter_mut().zip(&mut found) {
            seen.landing = seen.head.and_then(|head| landings.get(&head).copied());
            if status.state == ClaimState::Done && seen.landed().is_some() {
                status.state = ClaimState::Landed;
            }
            status.seen = Some(seen.clone());
        }
        Ok(compared)
    }
}

fn seen(claim: &Claim, branches: &Branches, history: &History) -> Seen {
    let branch = branches.here(&claim.branch);
    let remote = branches.remote(&claim.branch);
    let ended = claim.head.as_ref().filter(|_| !claim.status.is_live()).and_then(|head| commit(history, head));
    let head = ended.or(branch).or(remote.map(|(_, commit)| *commit));
    let pushed = match remote {
        Some((name, commit)) if Some(*commit) == head => Pushed::Yes(name.clone()),
        Some((name, commit)) => Pushed::Otherwise(name.clone(), *commit),
        None if branches.has_remote() => Pushed::No,
        None => Pushed::NoRemote,
    };
    let is_empty = head.is_some_and(|head| claim.base.as_deref() == Some(head.to_string().as_str()));
    Seen { branch, head, pushed, landing: None, is_empty }
}

/// The commit that a record names, if it is here.
fn commit(history: &History, name: &str) -> Option<ObjectId> {
    let id = ObjectId::from_hex(name.as_bytes()).ok()?;
    history.parents(id).is_ok().then_some(id)
}
