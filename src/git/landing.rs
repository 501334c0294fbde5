//! Whether the default branch has what a branch has: by a merge, or by commits that say the same (a squash, a rebase).
//!
//! A squash merge leaves no trace of the branch. What it leaves is a commit of the default branch that changes the branch's
//! files as the branch did: to the same bytes, or by the same lines (others may have changed the rest of the file meanwhile).
//! A rebase leaves such a commit for each of the branch's.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use gix::objs::tree::EntryKind;

use super::error::store;
use super::trunk::{Ahead, Trunk};
use super::{Error, History, ObjectId};

/// How many commits of the default branch are looked at for what a branch has, the youngest first.
const MAX_COMMITS: usize = 5000;

/// How many files a branch may have changed and still be looked for.
const MAX_FILES: usize = 2000;

/// How many commits a branch may have and be looked for commit by commit.
const MAX_PARTS: usize = 100;

/// The largest file whose lines are compared, in bytes; of a larger one only the whole.
const MAX_BLOB: u64 = 4 * 1024 * 1024;

/// The folders of the bus itself: what stands there is merged line by line, and is not the work.
const STATE: [&str; 4] = ["_bus", "_plans", "_report", "queue"];

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
    /// Whether it changes anything outside of the bus's own folders, as far as the default branch has not the commit itself.
    pub has_work: bool,
}

/// A file in a commit: its sort (a program, a link) and its bytes; none where it is not there.
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
    /// [`Error::Store`] where the history cannot be read.
    pub fn landings(&mut self, tips: impl IntoIterator<Item = ObjectId>) -> Result<HashMap<ObjectId, Landing>, Error> {
        let mut landings = HashMap::new();
        let mut sought = Vec::new();
        for tip in tips {
            let Entry::Vacant(vacant) = landings.entry(tip) else { continue };
            let (ahead, own) = self.own_commits(tip)?;
            let landed = (ahead.commits == 0).then_some(Landed::Merged);
            let changes = match (landed, ahead.base) {
                (None, Some(base)) => self.history.work(base, tip)?,
                _ => None,
            };
            let has_work = landed.is_none() && changes.as_ref().is_none_or(|changes| !changes.is_empty());
            vacant.insert(Landing { ahead, landed, has_work });
            if let (Some(base), Some(changes), true) = (ahead.base, changes, has_work) {
                sought.push(self.sought(tip, base, changes, &own)?);
            }
        }
        self.seek(sought, |tip, commit| {
            landings.entry(tip).and_modify(|landing| landing.landed = Some(Landed::Rewritten(commit)));
        })?;
        Ok(landings)
    }

    /// What to look for, of a branch that makes `changes`.
    fn sought(&self, tip: ObjectId, base: ObjectId, changes: Changes, own: &[ObjectId]) -> Result<Sought, Error> {
        let mut parts = Vec::new();
        for commit in own.iter().filter(|_| own.len() <= MAX_PARTS) {
            // What a merge brings was said by the commits that it merges.
            if let [parent] = self.history.parents(*commit)?[..] {
                parts.extend(self.history.work(parent, *commit)?.filter(|changes| !changes.is_empty()));
            }
        }
        let base_time = self.history.time_of(base)?;
        Ok(Sought { tip, base, base_time, changes, parts, latest: None })
    }

    /// Goes through the default branch's own commits, and tells which of them has what is `sought`.
    fn seek(&self, mut sought: Vec<Sought>, mut found: impl FnMut(ObjectId, ObjectId)) -> Result<(), Error> {
        let mut wanted = Wanted::of(&sought);
        let mut lines = Lines { history: self.history, known: HashMap::new() };
        let mut next = Some(self.tip);
        for _ in 0..MAX_COMMITS {
            let Some(commit) = next else { return Ok(()) };
            let time = self.history.time_of(commit)?;
            let before = sought.len();
            sought.retain(|branch| branch.base != commit && branch.base_time <= time);
            if sought.is_empty() {
                return Ok(());
            }
            if sought.len() < before {
                wanted = Wanted::of(&sought);
            }
            next = self.history.parents(commit)?.first().copied().filter(|parent| self.history.repo.has_object(parent));
            let Some(changes) = self.history.changes(next, commit, &|path| wanted.has(path))? else { continue };
            if changes.is_empty() {
                continue;
            }
            let mut left = Vec::new();
            for mut branch in sought {
                match lines.landed_in(commit, &changes, &mut branch)? {
                    Some(landed) => found(branch.tip, landed),
                    None => left.push(branch),
                }
            }
            sought = left;
        }
        Ok(())
    }
}

/// The files that anybody looks for, and the folders that lead to them.
struct Wanted(HashSet<String>);

impl Wanted {
    fn of(sought: &[Sought]) -> Self {
        let paths = sought.iter().flat_map(|branch| branch.parts.iter().chain([&branch.changes])).flat_map(Changes::keys);
        let with_folders = paths.flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end]).chain([path.as_str()]));
        Self(with_folders.map(str::to_owned).collect())
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// Which lines a change takes out and puts in, as a hash; none where only their order changes, or nobody can tell.
type LineChange = Option<u64>;

/// Compares changes by their lines.
struct Lines<'h> {
    history: &'h History,
    known: HashMap<(File, File), LineChange>,
}

impl Lines<'_> {
    /// The commit in which `branch` has landed, now that `commit`, which makes `changes`, is looked at, too.
    fn landed_in(&mut self, commit: ObjectId, changes: &Changes, branch: &mut Sought) -> Result<Option<ObjectId>, Error> {
        if self.has_all(commit, changes, &branch.changes)? {
            return Ok(Some(commit));
        }
        let mut left = Vec::new();
        for part in std::mem::take(&mut branch.parts) {
            match self.has_all(commit, changes, &part)? {
                true => branch.latest = branch.latest.or(Some(commit)),
                false => left.push(part),
            }
        }
        branch.parts = left;
        Ok(branch.latest.filter(|_| branch.parts.is_empty()))
    }

    /// Whether `commit`, which makes `changes`, has all that is `wanted`.
    fn has_all(&mut self, commit: ObjectId, changes: &Changes, wanted: &Changes) -> Result<bool, Error> {
        let mut untouched = Vec::new();
        let mut any = false;
        for (path, change) in wanted {
            match changes.get(path) {
                None => untouched.push((path, change.1)),
                Some(made) if made.1 == change.1 || self.is_same(*made, *change) => any = true,
                Some(_) => return Ok(false),
            }
        }
        // The commit that brings the last part of it brings the whole.
        for (path, after) in untouched {
            if !any || self.history.file_in(commit, path)? != after {
                return Ok(false);
            }
        }
        Ok(any)
    }

    fn is_same(&mut self, one: (File, File), other: (File, File)) -> bool {
        let kinds = |(before, after): (File, File)| (before.map(|file| file.0), after.map(|file| file.0));
        let change = self.change(one);
        change.is_some() && change == self.change(other) && kinds(one) == kinds(other)
    }

    fn change(&mut self, (before, after): (File, File)) -> LineChange {
        if let Some(known) = self.known.get(&(before, after)) {
            return *known;
        }
        let read = |file: File| match file {
            None => Some(Vec::new()),
            Some((_, blob)) => {
                self.history.size(blob).filter(|size| *size <= MAX_BLOB).and_then(|_| self.history.read(blob).ok())
            }
        };
        let change = read(before).zip(read(after)).and_then(|(before, after)| line_change(&before, &after));
        self.known.insert((before, after), change);
        change
    }
}

fn line_change(before: &[u8], after: &[u8]) -> LineChange {
    let mut counts: HashMap<&[u8], i64> = HashMap::new();
    after.split(|byte| *byte == b'\n').for_each(|line| *counts.entry(line).or_default() += 1);
    before.split(|byte| *byte == b'\n').for_each(|line| *counts.entry(line).or_default() -= 1);
    let mut changed: Vec<(&[u8], i64)> = counts.into_iter().filter(|(line, count)| *count != 0 && !line.is_empty()).collect();
    changed.sort_unstable();
    (!changed.is_empty()).then(|| {
        let mut hasher = DefaultHasher::new();
        changed.hash(&mut hasher);
        hasher.finish()
    })
}

impl History {
    /// Whether `after` changes anything that `before` has, outside of the bus's own folders.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where a commit cannot be read.
    pub fn has_work(&self, before: ObjectId, after: ObjectId) -> Result<bool, Error> {
        Ok(self.work(before, after)?.is_none_or(|changes| !changes.is_empty()))
    }

    /// What `after` changes outside of the bus's own folders; nothing where that is too much.
    fn work(&self, before: ObjectId, after: ObjectId) -> Result<Option<Changes>, Error> {
        self.changes(Some(before), after, &|path| !STATE.contains(&path))
    }

    /// What differs between two commits, in the files and folders that are `wanted`; nothing where that is too much.
    fn changes(
        &self,
        before: Option<ObjectId>,
        after: ObjectId,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Changes>, Error> {
        let mut changes = Changes::new();
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
                let tree = |entry: File| entry.filter(|(kind, _)| *kind == EntryKind::Tree).map(|(_, id)| id);
                let file = |entry: File| entry.filter(|(kind, _)| *kind != EntryKind::Tree);
                if tree(old).is_some() || tree(new).is_some() {
                    open.push((format!("{path}/"), tree(old), tree(new)));
                }
                if file(old) != file(new) {
                    changes.insert(path, (file(old), file(new)));
                }
            }
            if changes.len() > MAX_FILES {
                return Ok(None);
            }
        }
        Ok(Some(changes))
    }

    fn tree_of(&self, commit: ObjectId) -> Result<ObjectId, Error> {
        let tree = self.repo.find_commit(commit).and_then(|commit| commit.tree_id());
        tree.map(gix::Id::detach).map_err(|error| store("read", &commit.to_string(), &error))
    }

    fn entries(&self, tree: Option<ObjectId>) -> Result<HashMap<String, (EntryKind, ObjectId)>, Error> {
        let Some(tree) = tree else { return Ok(HashMap::new()) };
        let refused = |error: gix::Error| store("read", &tree.to_string(), &error);
        let found = self.repo.find_tree(tree).map_err(refused)?;
        let entry =
            |entry: gix::objs::tree::EntryRef<'_>| (entry.filename.to_string(), (entry.mode.kind(), entry.oid.to_owned()));
        found.iter().map(|each| each.map(|each| entry(each.inner)).map_err(refused)).collect()
    }

    /// The file at `path` in a commit.
    fn file_in(&self, commit: ObjectId, path: &str) -> Result<File, Error> {
        let found = self.repo.find_tree(self.tree_of(commit)?).and_then(|tree| tree.lookup_entry_by_path(path));
        found
            .map(|entry| entry.map(|entry| (entry.mode().kind(), entry.object_id())))
            .map_err(|error| store("read", &commit.to_string(), &error))
    }
}
