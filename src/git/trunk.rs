//! The default branch, and how far other commits are from it.

use std::collections::{HashMap, HashSet, VecDeque};

use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;

use super::error::store;
use super::{Error, History, ObjectId, short_name};

/// How many commits are counted at most, of those that a branch has and the default branch has not.
pub const MAX_AHEAD: usize = 1000;

/// By how much the clocks of two committers may differ, in seconds, before a parent looks younger
/// than its child.
const SKEW: i64 = 24 * 60 * 60;

/// How many commits in a row must be older before all that follow are: some clocks are wrong by
/// years.
pub(super) const SLOP: usize = 32;

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
    /// The times of the last commits that the walk has come to; none at the history's end.
    last: VecDeque<i64>,
}

/// The branches of a clone: what is at hand here, and what its remotes had when it last asked them.
#[derive(Clone, Debug, Default)]
pub struct Branches {
    local: HashMap<String, ObjectId>,
    remote: HashMap<String, Vec<(String, ObjectId)>>,
}

impl Branches {
    /// The commit that the branch called `name` is at here.
    #[must_use]
    pub fn here(&self, name: &str) -> Option<ObjectId> {
        self.local.get(name).copied()
    }

    /// The remote-tracking branches of the branch called `name`, as git shows them (`origin/main`),
    /// and their commits: `origin`'s first, then by name.
    #[must_use]
    pub fn remote(&self, name: &str) -> &[(String, ObjectId)] {
        self.remote.get(name).map_or(&[], Vec::as_slice)
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
    /// How many commits it has that the default branch has not; [`MAX_AHEAD`] means so many or
    /// more.
    pub commits: usize,
    /// The youngest commit that both have, or `None` if they have none, or nobody counted that far.
    pub base: Option<ObjectId>,
}

impl History {
    /// The default branch: of the one that the remote `origin` has and the one of the same name
    /// that is here the one that has the other's commits, else the remote's. None if there is no
    /// such branch.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the history cannot be read.
    pub fn trunk(&self) -> Result<Option<Trunk<'_>>, Error> {
        let Some(found) = self.default_branch() else { return Ok(None) };
        let name = short_name(&found).to_owned();
        let tip = self.commit(&found)?;
        let remote = name.strip_prefix("origin/").filter(|_| found.starts_with("refs/remotes/"));
        let here = remote
            .and_then(|short| Some((short, self.commit(&format!("refs/heads/{short}")).ok()?)));
        if let Some((short, commit)) = here
            && self.merge_bases(commit, &[tip]).is_ok_and(|bases| bases == [tip])
        {
            let unpushed = self.ahead_behind(commit, tip)?.ahead;
            return self.trunk_at(short.to_owned(), commit, unpushed).map(Some);
        }
        self.trunk_at(name, tip, 0).map(Some)
    }

    /// All branches.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the refs cannot be read.
    pub fn branches(&self) -> Result<Branches, Error> {
        let mut branches = Branches::default();
        for (name, commit) in self.refs_below("refs/heads/")? {
            branches.local.insert(name["refs/heads/".len()..].to_owned(), commit);
        }
        // A remote's name may have slashes.
        let mut remotes: Vec<String> =
            self.repo.remote_names().iter().map(|name| format!("{name}/")).collect();
        remotes.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for (name, commit) in self.refs_below("refs/remotes/")? {
            let short = short_name(&name);
            let remote = remotes
                .iter()
                .find(|remote| short.starts_with(remote.as_str()))
                .map_or(0, String::len);
            let cut =
                if remote == 0 { short.find('/').map_or(0, |slash| slash + 1) } else { remote };
            let branch = &short[cut..];
            if branch != "HEAD" && !branch.is_empty() {
                branches
                    .remote
                    .entry(branch.to_owned())
                    .or_default()
                    .push((short.to_owned(), commit));
            }
        }
        branches
            .remote
            .values_mut()
            .for_each(|known| known.sort_by_key(|(name, _)| !name.starts_with("origin/")));
        Ok(branches)
    }

    fn trunk_at(&self, name: String, tip: ObjectId, unpushed: usize) -> Result<Trunk<'_>, Error> {
        let newest_first = Sorting::ByCommitTime(CommitTimeOrder::NewestFirst);
        let walk = self.repo.rev_walk([tip]).sorting(newest_first).all();
        let walk = walk.map_err(|error| store("read", "the history", &error))?;
        Ok(Trunk {
            history: self,
            name,
            tip,
            unpushed,
            walk,
            known: HashSet::new(),
            last: VecDeque::new(),
        })
    }
}

impl Trunk<'_> {
    /// Whether the default branch has `commit`.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the history cannot be read.
    pub fn has(&mut self, commit: ObjectId) -> Result<bool, Error> {
        if self.known.contains(&commit) {
            return Ok(true);
        }
        let oldest = self.history.time_of(commit)?.saturating_sub(SKEW);
        while self.last.len() < SLOP || self.last.iter().any(|time| *time >= oldest) {
            let Some(next) = self.walk.next() else {
                self.last = VecDeque::from([i64::MIN; SLOP]);
                break;
            };
            let next = next.map_err(|error| store("read", "the history", &error))?;
            self.last.push_back(next.commit_time());
            if self.last.len() > SLOP {
                self.last.pop_front();
            }
            self.known.insert(next.id);
        }
        Ok(self.known.contains(&commit))
    }

    /// How far `tip` is from the default branch.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the history cannot be read.
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
            open.extend(
                parents
                    .into_iter()
                    .filter(|parent| self.history.repo.has_object(parent) && seen.insert(*parent)),
            );
        }
        // Of so many nobody knows which common commit is the youngest.
        let base = base.filter(|_| own.len() < MAX_AHEAD).map(|(_, commit)| commit);
        Ok((Ahead { commits: own.len(), base }, own))
    }
}
