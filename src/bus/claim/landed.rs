//! What git shows of the branches that claims name: whether what agents say is there. It is looked
//! at when it is asked for, and never stored.

use std::collections::HashMap;
use std::fmt;

use super::claim_list::{ClaimState, ClaimStatus};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{Branches, History, Landed, Landing, MAX_AHEAD, ObjectId};
use crate::record::{Claim, Timestamp};

/// Whether a remote has the work, as far as this clone knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// No remote is known.
    NoRemote,
    /// No remote has the branch.
    No,
    /// A remote has the branch, at a commit that has not the work.
    Otherwise(String, ObjectId),
    /// A remote has the branch with the work.
    Yes(String, ObjectId),
}

/// In words: `yes`, `no`, `at 1a2b3c4`, `no remote`.
impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRemote => f.pad("no remote"),
            Self::No => f.pad("no"),
            Self::Otherwise(_, commit) => f.pad(&format!("at {}", commit.to_hex_with_len(7))),
            Self::Yes(..) => f.pad("yes"),
        }
    }
}

/// What git shows of a claim's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The commit that the branch is at, here.
    pub(crate) branch: Option<ObjectId>,
    /// The commit that was looked at: where the claim ended or the branch is, here or on a remote.
    pub(crate) head: Option<ObjectId>,
    /// The commit where the claim ended, where it is not in this clone and there is nothing else to
    /// look at.
    pub(crate) missing: Option<String>,
    /// Whether a remote has it.
    pub(crate) pushed: Pushed,
    /// How the commit stands to the default branch, or `None` if there is no commit or no default
    /// branch.
    pub(crate) landing: Option<Landing>,
    /// Whether nothing was done since the claim was made, beside what stands in the bus's own
    /// folders.
    pub(crate) is_empty: bool,
    /// How many commits the branch has since the claim has ended and landed, that have not.
    pub(crate) later: Option<usize>,
}

impl Seen {
    /// Whether a remote has the work, in words; `-` if there is no work, or it has landed.
    #[must_use]
    pub(crate) fn pushed_words(&self) -> String {
        if self.head.is_none() || self.landed().is_some() {
            "-".to_owned()
        } else {
            self.pushed.to_string()
        }
    }

    /// How many commits the work has that the default branch has not: `3`, `1000 or more`, `-`
    /// if nobody can tell.
    #[must_use]
    pub(crate) fn ahead(&self) -> String {
        match self.landing.map(|landing| landing.ahead.commits) {
            Some(MAX_AHEAD) => format!("{MAX_AHEAD} or more"),
            Some(commits) => commits.to_string(),
            None => "-".to_owned(),
        }
    }

    /// How the default branch has the work, in words: `merged`, `as 1a2b3c4`, `no`, `-` where there
    /// is no work.
    #[must_use]
    pub(crate) fn landed_words(&self) -> String {
        match (self.landed(), self.head) {
            (Some(Landed::Merged), _) => "merged".to_owned(),
            (Some(Landed::Rewritten(commit)), _) => format!("as {}", commit.to_hex_with_len(7)),
            (None, Some(_)) => match self.taken_back() {
                Some(commit) => format!("reverted in {}", commit.to_hex_with_len(7)),
                None if self.landing.is_none() => "?".to_owned(),
                None => "no".to_owned(),
            },
            (None, None) => "-".to_owned(),
        }
    }

    /// The commit in which the default branch has taken the work back.
    #[must_use]
    pub(crate) fn taken_back(&self) -> Option<ObjectId> {
        self.landing.and_then(|landing| landing.taken_back)
    }

    /// How the default branch has the work, or `None` if it has not, or if there is none.
    #[must_use]
    pub(crate) fn landed(&self) -> Option<Landed> {
        self.landing.and_then(|landing| landing.landed).filter(|_| !self.is_empty)
    }
}

/// The branch that everything was compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComparedWith {
    /// Its name as git shows it: `main`, `origin/main`.
    pub(crate) name: String,
    /// The commit that it was at.
    pub(crate) commit: ObjectId,
    /// How many commits it has that the remote has not.
    pub(crate) unpushed: usize,
    /// Whether this clone knows of any remote.
    pub(crate) has_remote: bool,
}

/// Looks at the branch of each claim, and notes what it shows; a finished claim whose work has
/// landed becomes [`ClaimState::Landed`]. Returns what was compared with, or `None` if there is no
/// default branch.
///
/// # Errors
///
/// [`Error::Git`] if the history cannot be read.
pub(in crate::bus) fn look_at_branches(
    ws: &Workspace,
    claims: &mut [ClaimStatus],
) -> Result<Option<ComparedWith>, Error> {
    let history = ws.repo.history()?;
    let branches = history.branches()?;
    let commits: Vec<Commits> =
        claims.iter().map(|status| Commits::of(&status.claim, &branches, &history)).collect();
    let trunk = history.trunk()?;
    let compared = trunk.as_ref().map(|trunk| ComparedWith {
        name: trunk.name.clone(),
        commit: trunk.tip,
        unpushed: trunk.unpushed,
        has_remote: branches.has_remote(),
    });
    let all = commits.iter().flat_map(|commits| [commits.end, commits.tip()]).flatten();
    let name = compared.as_ref().map(|with| with.name.as_str());
    let landings = trunk.map_or_else(|| Ok(HashMap::new()), |mut trunk| trunk.landings(all))?;
    let look = Look {
        history: &history,
        landings: &landings,
        trunk: name,
        has_remote: branches.has_remote(),
    };
    for (status, commits) in claims.iter_mut().zip(commits) {
        let seen = look.at(&status.claim, commits)?;
        if status.state == ClaimState::Done && seen.landed().is_some() {
            status.state = ClaimState::Landed;
        }
        status.seen = Some(seen);
    }
    Ok(compared)
}

/// The commits that a claim is about.
struct Commits {
    /// Where it ended, if that is here.
    end: Option<ObjectId>,
    /// Where it ended, if that is not here.
    missing: Option<String>,
    branch: Option<ObjectId>,
    remotes: Vec<(String, ObjectId)>,
}

impl Commits {
    fn of(claim: &Claim, branches: &Branches, history: &History) -> Self {
        let named = claim.head.clone().filter(|_| !claim.status.is_live());
        let end = named.as_ref().and_then(|name| ObjectId::from_hex(name.as_bytes()).ok());
        let end = end.filter(|end| history.parents(*end).is_ok());
        Self {
            end,
            missing: named.filter(|_| end.is_none()),
            branch: branches.here(&claim.branch),
            remotes: branches.remote(&claim.branch).to_vec(),
        }
    }

    /// Where the branch is, here or else on a remote.
    fn tip(&self) -> Option<ObjectId> {
        self.branch.or_else(|| self.remotes.first().map(|(_, commit)| *commit))
    }
}

/// What is known of all commits.
struct Look<'a> {
    history: &'a History,
    landings: &'a HashMap<ObjectId, Landing>,
    /// The name of what they are compared with.
    trunk: Option<&'a str>,
    has_remote: bool,
}

impl Look<'_> {
    fn at(&self, claim: &Claim, commits: Commits) -> Result<Seen, Error> {
        let tip = commits.tip();
        let has_work = |commit: Option<ObjectId>| {
            commit.map_or(Ok(false), |commit| self.has_work(claim, commit))
        };
        let (end_works, tip_works) = (has_work(commits.end)?, has_work(tip)?);
        // Some commit after they have said that they are done, some amend: then the branch is what
        // counts.
        let head = match commits.end {
            Some(end) if end_works && (self.has_landed(end) || tip.is_none()) => Some(end),
            end => tip.or(end),
        };
        let is_end = head.is_some() && head == commits.end;
        let is_later =
            is_end && tip != head && tip_works && tip.is_some_and(|tip| !self.has_landed(tip));
        let later =
            tip.filter(|_| is_later).and_then(|tip| Some(self.landings.get(&tip)?.ahead.commits));
        Ok(Seen {
            branch: commits.branch,
            head,
            missing: commits.missing.filter(|_| head.is_none()),
            pushed: self.pushed(head, &commits.remotes),
            landing: head.and_then(|head| self.landings.get(&head).copied()),
            is_empty: head.is_some() && !if is_end { end_works } else { tip_works },
            later,
        })
    }

    /// Whether `commit` has any work since the claim was made.
    fn has_work(&self, claim: &Claim, commit: ObjectId) -> Result<bool, Error> {
        let base = claim.base.as_ref().and_then(|base| ObjectId::from_hex(base.as_bytes()).ok());
        if base == Some(commit) {
            return Ok(false);
        }
        match (self.landings.get(&commit), base) {
            (Some(landing), _) if landing.ahead.commits > 0 => Ok(landing.has_work),
            (Some(_), _) if self.is_the_trunks(claim, commit)? => Ok(false),
            // The claim may have been made on another branch: what that has is not of this one.
            (Some(_), Some(base)) => match self.history.merge_bases(commit, &[base]) {
                Ok(bases) => bases
                    .first()
                    .map_or(Ok(true), |fork| Ok(self.history.has_work(*fork, commit)?)),
                Err(_) => Ok(true),
            },
            _ => Ok(true),
        }
    }

    /// Whether `commit`, which the default branch has, was made there before the claim, or before the
    /// claim's branch was: then it is nobody's work on the task.
    fn is_the_trunks(&self, claim: &Claim, commit: ObjectId) -> Result<bool, Error> {
        if Timestamp::from_unix(self.history.time_of(commit)?) < claim.claimed_at {
            return Ok(true);
        }
        let Some((at, from)) = self.history.created_from(&claim.branch) else { return Ok(false) };
        // `main`, also if it is compared with `origin/main`.
        let name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        Ok(at == commit && self.trunk.is_some_and(|trunk| name(trunk) == name(&from)))
    }

    fn has_landed(&self, commit: ObjectId) -> bool {
        self.landings.get(&commit).is_some_and(|landing| landing.landed.is_some())
    }

    fn pushed(&self, head: Option<ObjectId>, remotes: &[(String, ObjectId)]) -> Pushed {
        // What has landed needs no look.
        let look = head.filter(|head| !self.has_landed(*head));
        let descends = |commit: ObjectId| {
            look.is_some_and(|head| {
                self.history.merge_bases(head, &[commit]).is_ok_and(|bases| bases == [head])
            })
        };
        let has_it = |(_, commit): &&(String, ObjectId)| Some(*commit) == head || descends(*commit);
        match (remotes.iter().find(has_it), remotes.first()) {
            (Some((name, commit)), _) => Pushed::Yes(name.clone(), *commit),
            (None, Some((name, commit))) => Pushed::Otherwise(name.clone(), *commit),
            (None, None) if self.has_remote => Pushed::No,
            (None, None) => Pushed::NoRemote,
        }
    }
}
