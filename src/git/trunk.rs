//! The default branch, and how far other commits are from it.

use std::collections::{HashMap, HashSet};

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::error::store;
use super::{Error, History, ObjectId};

/// How many commits are counted at most, of those that a branch has and the default branch has not.
pub const MAX_AHEAD: usize = 1000;

/// By how much the clocks of two committers may differ, in seconds, before a parent looks younger than its child.
const SKEW: i64 = 24 * 60 * 60;

/// The default branch: what work is merged into. Its history is read as far back as somebody asks.
pub struct Trunk<'h> {
    pub(super) history: &'h History,
    /// Its name as git shows it: `main`, `origin/main`.
    pub name: String,
    /// The commit that it is at.
    pub tip: ObjectId,
    /// How many commits it has that the remote's branch of the same name has not.
    pub unpushed: usize,
    walk: gix::revision::Walk<'h>,
    known: HashSet<ObjectId>,
    /// The time of the commits that the walk has come to.
    reached: i64,
}

/// The branches of a clone: what is at hand here, and what its remotes had when it last asked them.
#[derive(Clone, Debug, Default)]
pub struct Branches {
    local: HashMap<String, ObjectId>,
    remote: HashMap<String, (String, ObjectId)>,
}

impl Branches {
    /// The commit that the branch called `name` is at here.
    #[must_use]
    pub fn here(&self, name: &str) -> Option<ObjectId> {
        self.local.get(name).copied()
    }

    /// The remote-tracking branch of the branch called `name`, as git shows it (`origin/main`), and its commit.
    #[must_use]
    pub fn remote(&self, name: &str) -> Option<&(String, ObjectId)> {
        self.remote.get(name)
    }

    /// Whether any remote is known to have a branch.
    #[must_use]
    pub fn has_remote(&self) -> bool {
        !self.remote.is_empty()
    }
}

/// How far a commit is from the default branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// How many commits it has that the default branch has not; [`MAX_AHEAD`] means so many or more.
    pub commits: usize,
    /// The youngest commit that both have; none where they have none, or nobody counted that far.
    pub base: Option<ObjectId>,
}

impl History {
    /// The default branch: of the one that the remote `origin` has and the one of the same name that is here the one that has
    /// the other's commits, else the remote's. None where there is no such branch.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the history cannot be read.
    pub fn trunk(&self) -> Result<Option<Trunk<'_>>, Error> {
        let Some(found) = self.default_branch() else { return Ok(None) };
        let name = found.trim_start_matches("refs/remotes/").to_owned();
        let tip = self.commit(&found)?;
        let here =
            name.strip_prefix("origin/").and_then(|short| Some((short, self.commit(&format!("refs/heads/{short}")).ok()?)));
        if let Some((short, commit)) = here
            && self.merge_bases(commit, &[tip]).is_ok_and(|bases| bases == [tip])
        {
            let unpushed = self.ahead_behind(commit, tip)?.ahead;
            return self.trunk_at(short.to_owned(), commit, unpushed).map(Some);
        }
        self.trunk_at(name, tip, 0).map(Some)
    }

    /// All branches. Of several remotes that have a branch of the same name, the first by name counts.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the refs cannot be read.
    pub fn branches(&self) -> Result<Branches, Error> {
        let mut branches = Branches::default();
        for (name, commit) in self.refs_below("refs/heads/")? {
            branches.local.insert(name["refs/heads/".len()..].to_owned(), commit);
        }
        for (name, commit) in self.refs_below("refs/remotes/")? {
            let short = &name["refs/remotes/".len()..];
            let Some((_, branch)) = short.split_once('/').filter(|(_, branch)| *branch != "HEAD") else { continue };
            branches.remote.entry(branch.to_owned()).or_insert_with(|| (short.to_owned(), commit));
        }
        Ok(branches)
    }

    fn trunk_at(&self, name: String, tip: ObjectId, unpushed: usize) -> Result<Trunk<'_>, Error> {
        let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let walk = self.repo.rev_walk([tip]).sorting(newest_first).all();
        let walk = walk.map_err(|error| store("read", "the history", &error))?;
        Ok(Trunk { history: self, name, tip, unpushed, walk, known: HashSet::new(), reached: i64::MAX })
    }
}

impl Trunk<'_> {
    /// Whether the default branch has `commit`.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the history cannot be read.
    pub fn has(&mut self, commit: ObjectId) -> Result<bool, Error> {
        if self.known.contains(&commit) {
            return Ok(true);
        }
        let time = self.history.time_of(commit)?;
        while self.reached >= time.saturating_sub(SKEW) {
            let Some(next) = self.walk.next() else {
                self.reached = i64::MIN;
                break;
            };
            let next = next.map_err(|error| store("read", "the history", &error))?;
            self.reached = next.commit_time();
            self.known.insert(next.id);
        }
        Ok(self.known.contains(&commit))
    }

    /// How far `tip` is from the default branch.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the history cannot be read.
    pub fn ahead(&mut self, tip: ObjectId) -> Result<Ahead, Error> {
        self.own_commits(tip).map(|(ahead, _)| ahead)
    }

    /// The same, and the commits that are counted.
    pub(super) fn own_commits(&mut self, tip: ObjectId) -> Result<(Ahead, Vec<ObjectId>), Error> {
        let mut seen = HashSet::from([tip]);
        let mut open = vec![tip];
        let mut own = Vec::new();
        let mut base: Option<(i64, ObjectId)> = None;
        while let Some(commit) = open.pop() {
            if self.has(commit)? {
                base = base.max(Some((self.history.time_of(commit)?, commit)));
                continue;
            }
            own.push(commit);
            if own.len() == MAX_AHEAD {
                break;
            }
            let parents = self.history.parents(commit)?;
            // Of a shallow clone's oldest commits the parents are not here.
            open.extend(parents.into_iter().filter(|parent| self.history.repo.has_object(parent) && seen.insert(*parent)));
        }
        // Of so many nobody knows which common commit is the youngest.
        let base = base.filter(|_| own.len() < MAX_AHEAD).map(|(_, commit)| commit);
        Ok((Ahead { commits: own.len(), base }, own))
    }
}
