//! Whether the default branch has what a branch has: by a merge, or by commits that say the same (a
//! squash, a rebase).
//!
//! A squash merge leaves no trace of the branch. What it leaves is a commit of the default branch
//! that changes the branch's files as the branch did: to the same bytes, or by the same lines
//! (others may have changed the rest of the file meanwhile). A rebase leaves such a commit for each
//! of the branch's.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use gix::objs::tree::EntryKind;

use super::error::store;
use super::trunk::{Ahead, SLOP, Trunk};
use super::{Error, History, ObjectId};
use crate::record::{Fold, is_own_file};

/// How many commits of the default branch are looked at for what a branch has, the youngest first.
const MAX_COMMITS: usize = 5000;

/// How many files a branch may have changed and still be looked for.
const MAX_FILES: usize = 2000;

/// How many folders of two commits are compared at most: a few trees can make billions.
const MAX_FOLDERS: usize = 20_000;

/// How many commits a branch may have and be looked for commit by commit.
const MAX_PARTS: usize = 100;

/// The largest file whose lines are compared, in bytes; of a larger one only the whole.
const MAX_BLOB: u64 = 4 * 1024 * 1024;

/// How the default branch has a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landed {
    /// The commit itself.
    Merged,
    /// What it says, in this commit: by a squash, a rebase, or somebody who did the same.
    Rewritten(ObjectId),
}

/// How a commit stands to the default branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// How far it is away.
    pub ahead: Ahead,
    /// Whether the default branch has it.
    pub landed: Option<Landed>,
    /// Whether it changes anything but the bus's own files, as far as the default branch
    /// has not the commit itself.
    pub has_work: bool,
    /// The commit of the default branch that takes it back, after it had landed.
    pub taken_back: Option<ObjectId>,
}

/// A file in a commit: its sort (a program, a link) and its bytes, or `None` if it is not there.
type File = Option<(EntryKind, ObjectId)>;

/// What changed in some files: by path, before and after.
type Changes = BTreeMap<String, (File, File)>;

/// A branch that is looked for in the default branch.
struct Sought {
    tip: ObjectId,
    base: ObjectId,
    base_time: i64,
    /// What the whole branch changes.
    changes: Changes,
    /// What its commits change, one by one: those that were not found yet.
    parts: Vec<Changes>,
    /// The youngest commit that has one of them.
    latest: Option<ObjectId>,
}

impl Trunk<'_> {
    /// How each of `tips` stands to the default branch.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the history cannot be read.
    pub fn landings(
        &mut self,
        tips: impl IntoIterator<Item = ObjectId>,
    ) -> Result<HashMap<ObjectId, Landing>, Error> {
        let mut landings = HashMap::new();
        let mut sought = Vec::new();
        for tip in tips {
            let Entry::Vacant(vacant) = landings.entry(tip) else { continue };
            // Of a branch that is damaged, or not all here, nobody can tell; the others are told of
            // all the same.
            let Ok((ahead, own)) = self.own_commits(tip) else { continue };
            let landed = (ahead.commits == 0).then_some(Landed::Merged);
            let changes = ahead
                .base
                .filter(|_| landed.is_none())
                .and_then(|base| self.history.work(base, tip).ok()?);
            let has_work =
                landed.is_none() && changes.as_ref().is_none_or(|changes| !changes.is_empty());
            vacant.insert(Landing { ahead, landed, has_work, taken_back: None });
            if let (Some(base), Some(changes), true) = (ahead.base, changes, has_work) {
                sought.extend(self.sought(tip, base, changes, &own));
            }
        }
        self.seek(sought, |tip, commit| {
            landings
                .entry(tip)
                .and_modify(|landing| landing.landed = Some(Landed::Rewritten(commit)));
        })?;
        if landings.values().all(|landing| landing.landed.is_none()) {
            return Ok(landings);
        }
        let reverts = self.reverts();
        for (tip, landing) in &mut landings {
            let landed_in = match landing.landed {
                None => continue,
                Some(Landed::Merged) => *tip,
                Some(Landed::Rewritten(commit)) => commit,
            };
            landing.taken_back = reverts.get(&landed_in).copied();
            landing.landed = landing.landed.filter(|_| landing.taken_back.is_none());
        }
        Ok(landings)
    }

    /// What to look for, of a branch that makes `changes`.
    fn sought(
        &self,
        tip: ObjectId,
        base: ObjectId,
        changes: Changes,
        own: &[ObjectId],
    ) -> Result<Sought, Error> {
        let mut parts = Vec::new();
        for commit in own.iter().filter(|_| own.len() <= MAX_PARTS) {
            // What a merge brings was said by the commits that it merges.
            if let [parent] = self.history.parents(*commit)?[..] {
                parts.extend(
                    self.history.work(parent, *commit)?.filter(|changes| !changes.is_empty()),
                );
            }
        }
        let base_time = self.history.time_of(base)?;
        Ok(Sought { tip, base, base_time, changes, parts, latest: None })
    }

    /// The default branch's own commits, the youngest first.
    fn own_chain(&self) -> impl Iterator<Item = (ObjectId, Option<ObjectId>)> {
        let mut next = Some(self.tip);
        std::iter::from_fn(move || {
            let commit = next?;
            let parents = self.history.parents(commit).ok()?;
            next = parents.first().copied().filter(|parent| self.history.repo.has_object(parent));
            Some((commit, next))
        })
        .take(MAX_COMMITS)
    }

    /// Goes through the default branch's own commits, and tells which of them has what is `sought`.
    fn seek(
        &self,
        mut sought: Vec<Sought>,
        mut found: impl FnMut(ObjectId, ObjectId),
    ) -> Result<(), Error> {
        let mut wanted = Wanted::of(&sought);
        let mut lines = Lines { history: self.history, known: HashMap::new() };
        let mut last = VecDeque::new();
        let mut most = sought.len();
        for (commit, parent) in self.own_chain() {
            last.push_back(self.history.time_of(commit)?);
            // Some clocks are wrong by years: one commit that is older says nothing.
            let youngest = if last.len() > SLOP {
                last.pop_front().into_iter().chain(last.iter().copied()).max()
            } else {
                None
            };
            sought.retain(|branch| {
                branch.base != commit
                    && youngest.is_none_or(|youngest| branch.base_time <= youngest)
            });
            if sought.is_empty() {
                return Ok(());
            }
            if sought.len() * 2 < most {
                most = sought.len();
                wanted = Wanted::of(&sought);
            }
            let changes =
                self.history.changes(parent, commit, &|path| wanted.has(path)).ok().flatten();
            let Some(changes) = changes.filter(|changes| !changes.is_empty()) else { continue };
            for (tip, landed) in lines.landed_in(commit, &changes, &mut sought)? {
                found(tip, landed);
                sought.retain(|branch| branch.tip != tip);
            }
        }
        Ok(())
    }

    /// What the default branch takes back of itself, and in which commit, as `git revert` says it
    /// in its messages. A revert that was reverted counts for nothing.
    fn reverts(&self) -> HashMap<ObjectId, ObjectId> {
        let mut reverts = HashMap::new();
        for (commit, _) in self.own_chain() {
            let Some(reverted) =
                self.history.reverts(commit).filter(|_| !reverts.contains_key(&commit))
            else {
                continue;
            };
            reverts.insert(reverted, commit);
            // Of a merge all that it brought.
            let Ok(parents) = self.history.parents(reverted) else { continue };
            let (Some(ours), Some(theirs)) = (parents.first(), parents.get(1)) else { continue };
            let bases = self.history.merge_bases(*ours, &[*theirs]).unwrap_or_default();
            let mut brought = vec![*theirs];
            while let Some(part) = brought.pop().filter(|_| reverts.len() < MAX_COMMITS) {
                if !bases.contains(&part) && !reverts.contains_key(&part) {
                    reverts.insert(part, commit);
                    brought.extend(self.history.parents(part).unwrap_or_default());
                }
            }
        }
        reverts
    }
}

/// The files that anybody looks for, and the folders that lead to them.
struct Wanted(HashSet<String>);

impl Wanted {
    fn of(sought: &[Sought]) -> Self {
        let paths = sought
            .iter()
            .flat_map(|branch| branch.parts.iter().chain([&branch.changes]))
            .flat_map(Changes::keys);
        let with_folders = paths.flat_map(|path| {
            path.match_indices('/').map(|(end, _)| &path[..end]).chain([path.as_str()])
        });
        Self(with_folders.map(str::to_owned).collect())
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// Which lines a change takes out and puts in, as a hash, or `None` if only their order changes, or
/// nobody can tell.
type LineChange = Option<u64>;

/// How much a commit has of what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// The very bytes of all files.
    Same,
    /// Of some files the same lines.
    SameLines,
    /// Not all of it.
    Other,
}

/// Compares changes by their lines.
struct Lines<'h> {
    history: &'h History,
    known: HashMap<(File, File), LineChange>,
}

impl Lines<'_> {
    /// Which of the branches that are `sought` have landed, and in which commit, now that `commit`,
    /// which makes `changes`, is looked at, too.
    ///
    /// One commit is one branch's: where it has the very bytes of one, others that only have the
    /// same lines are not meant, and of several that do nobody can tell which is.
    fn landed_in(
        &mut self,
        commit: ObjectId,
        changes: &Changes,
        sought: &mut [Sought],
    ) -> Result<Vec<(ObjectId, ObjectId)>, Error> {
        let (mut exact, mut alike) = (Vec::new(), Vec::new());
        let mut parts = Vec::new();
        for branch in sought {
            match self.compare(commit, changes, &branch.changes)? {
                Likeness::Same => exact.push((branch.tip, &branch.changes)),
                Likeness::SameLines => alike.push((branch.tip, &branch.changes)),
                Likeness::Other
                    if self.has_last_part(
                        commit,
                        changes,
                        &mut branch.parts,
                        &mut branch.latest,
                    )? =>
                {
                    parts.extend(branch.latest.map(|latest| (branch.tip, latest)));
                }
                Likeness::Other => {}
            }
        }
        let mut landed = if exact.is_empty() { alike } else { exact };
        // A claim's end and its branch's tip may differ by what is the bus's alone.
        let is_one = landed.windows(2).all(|pair| pair[0].1 == pair[1].1);
        landed.retain(|_| is_one);
        let whole: Vec<_> = landed.into_iter().map(|(tip, _)| (tip, commit)).collect();
        Ok(if whole.is_empty() { parts } else { whole })
    }

    /// Takes out of `parts` those that `commit` has; whether none is left.
    fn has_last_part(
        &mut self,
        commit: ObjectId,
        changes: &Changes,
        parts: &mut Vec<Changes>,
        latest: &mut Option<ObjectId>,
    ) -> Result<bool, Error> {
        let before = parts.len();
        let mut left = Vec::new();
        for part in std::mem::take(parts) {
            if self.compare(commit, changes, &part)? == Likeness::Other {
                left.push(part);
            }
        }
        *parts = left;
        if parts.len() < before {
            latest.get_or_insert(commit);
        }
        Ok(before > 0 && parts.is_empty())
    }

    /// How much of what is `wanted` is in `commit`, which makes `changes`.
    fn compare(
        &mut self,
        commit: ObjectId,
        changes: &Changes,
        wanted: &Changes,
    ) -> Result<Likeness, Error> {
        let mut untouched = Vec::new();
        let mut likeness = None;
        for (path, change) in wanted {
            match changes.get(path) {
                None => untouched.push((path, change.1)),
                Some(made) if made.1 == change.1 => likeness = likeness.max(Some(Likeness::Same)),
                Some(made) if self.is_same(*made, *change) => likeness = Some(Likeness::SameLines),
                Some(_) => return Ok(Likeness::Other),
            }
        }
        // The commit that brings the last part of it brings the whole.
        for (path, after) in untouched {
            if likeness.is_none() || self.history.file_in(commit, path)? != after {
                return Ok(Likeness::Other);
            }
        }
        Ok(likeness.unwrap_or(Likeness::Other))
    }

    fn is_same(&mut self, one: (File, File), other: (File, File)) -> bool {
        let kinds =
            |(before, after): (File, File)| (before.map(|file| file.0), after.map(|file| file.0));
        let change = self.change(one);
        change.is_some() && change == self.change(other) && kinds(one) == kinds(other)
    }

    fn change(&mut self, (before, after): (File, File)) -> LineChange {
        if let Some(known) = self.known.get(&(before, after)) {
            return *known;
        }
        let read = |file: File| match file {
            None => Some(Vec::new()),
            Some((_, blob)) => self
                .history
                .size(blob)
                .filter(|size| *size <= MAX_BLOB)
                .and_then(|_| self.history.read(blob).ok()),
        };
        let change =
            read(before).zip(read(after)).and_then(|(before, after)| line_change(&before, &after));
        self.known.insert((before, after), change);
        change
    }
}

/// The lines that `after` has and `before` has not, and the other way round, each in order; nothing
/// where the lines that both have stand in another order, since then their places count.
fn line_change(before: &[u8], after: &[u8]) -> LineChange {
    let lines = |text: &'_ [u8]| {
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let (before, after) = (lines(before), lines(after));
    let mut counts: HashMap<&[u8], i64> = HashMap::new();
    after.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    before.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    let (mut added, mut removed) = (counts.clone(), counts);
    let mut split = |text: &'_ [Vec<u8>], sign: i64| {
        let counts = if sign > 0 { &mut added } else { &mut removed };
        let is_changed = |line: &&Vec<u8>| {
            counts.get_mut(line.as_slice()).is_some_and(|count| {
                let changed = *count * sign > 0;
                *count -= if changed { sign } else { 0 };
                changed
            })
        };
        let (changed, kept): (Vec<_>, Vec<_>) = text.iter().partition(is_changed);
        (
            changed.into_iter().cloned().collect::<Vec<_>>(),
            kept.into_iter().cloned().collect::<Vec<_>>(),
        )
    };
    let ((put_in, kept), (taken_out, stayed)) = (split(&after, 1), split(&before, -1));
    (kept == stayed && !(put_in.is_empty() && taken_out.is_empty())).then(|| {
        let mut hasher = DefaultHasher::new();
        (put_in, taken_out).hash(&mut hasher);
        hasher.finish()
    })
}

impl History {
    /// The commit that `commit` reverts, as `git revert` says it in its message.
    fn reverts(&self, commit: ObjectId) -> Option<ObjectId> {
        let found = self.repo.find_commit(commit).ok()?;
        let message = found.message_raw().ok()?;
        let text = String::from_utf8_lossy(message);
        let (_, rest) = text.split_once("This reverts commit ")?;
        ObjectId::from_hex(rest.as_bytes().get(..40)?).ok()
    }

    /// Where the branch `name` of this clone was made, and from what: `origin/main`; `None` if its
    /// reflog does not say (git-branch(1): "branch: Created from").
    #[must_use]
    pub fn created_from(&self, name: &str) -> Option<(ObjectId, String)> {
        let reference = self.repo.find_reference(&format!("refs/heads/{name}")).ok()?;
        let mut log = reference.log_iter();
        let first = log.all().ok()??.next()?.ok()?;
        let from =
            std::str::from_utf8(first.message).ok()?.strip_prefix("branch: Created from ")?;
        Some((first.new_oid(), from.trim().to_owned()))
    }

    /// Whether `after` changes anything that `before` has, but the bus's own files.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a commit cannot be read.
    pub fn has_work(&self, before: ObjectId, after: ObjectId) -> Result<bool, Error> {
        Ok(self.work(before, after)?.is_none_or(|changes| !changes.is_empty()))
    }

    /// What `after` changes but the bus's own files, or `None` if that is too much.
    fn work(&self, before: ObjectId, after: ObjectId) -> Result<Option<Changes>, Error> {
        self.changes(Some(before), after, &|path| !is_own_file(path, Fold::Off))
    }

    /// What differs between two commits, in the files and folders that are `wanted`, or `None` if
    /// that is too much.
    fn changes(
        &self,
        before: Option<ObjectId>,
        after: ObjectId,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Changes>, Error> {
        let mut changes = Changes::new();
        let mut looked_at = 0;
        let before = before.map(|commit| self.tree_of(commit)).transpose()?;
        let mut open = vec![(String::new(), before, Some(self.tree_of(after)?))];
        while let Some((folder, before, after)) = open.pop() {
            let (before, after) = (self.entries(before)?, self.entries(after)?);
            let names: HashSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let (old, new) = (before.get(name).copied(), after.get(name).copied());
                let path = format!("{folder}{name}");
                if old == new || !wanted(&path) {
                    continue;
                }
                let tree = |entry: File| {
                    entry.filter(|(kind, _)| *kind == EntryKind::Tree).map(|(_, id)| id)
                };
                let file = |entry: File| entry.filter(|(kind, _)| *kind != EntryKind::Tree);
                if tree(old).is_some() || tree(new).is_some() {
                    open.push((format!("{path}/"), tree(old), tree(new)));
                }
                if file(old) != file(new) {
                    changes.insert(path, (file(old), file(new)));
                }
            }
            looked_at += 1;
            if changes.len() > MAX_FILES || looked_at > MAX_FOLDERS {
                return Ok(None);
            }
        }
        Ok(Some(changes))
    }

    fn tree_of(&self, commit: ObjectId) -> Result<ObjectId, Error> {
        let tree = self.repo.find_commit(commit).and_then(|commit| commit.tree_id());
        tree.map(gix::Id::detach).map_err(|error| store("read", &commit.to_string(), &error))
    }

    fn entries(
        &self,
        tree: Option<ObjectId>,
    ) -> Result<HashMap<String, (EntryKind, ObjectId)>, Error> {
        let Some(tree) = tree else { return Ok(HashMap::new()) };
        let refused = |error: gix::Error| store("read", &tree.to_string(), &error);
        let found = self.repo.find_tree(tree).map_err(refused)?;
        let entry = |entry: gix::objs::tree::EntryRef<'_>| {
            (entry.filename.to_string(), (entry.mode.kind(), entry.oid.to_owned()))
        };
        found.iter().map(|each| each.map(|each| entry(each.inner)).map_err(refused)).collect()
    }

    /// The file at `path` in a commit.
    fn file_in(&self, commit: ObjectId, path: &str) -> Result<File, Error> {
        let found = self
            .repo
            .find_tree(self.tree_of(commit)?)
            .and_then(|tree| tree.lookup_entry_by_path(path));
        found
            .map(|entry| entry.map(|entry| (entry.mode().kind(), entry.object_id())))
            .map_err(|error| store("read", &commit.to_string(), &error))
    }
}
