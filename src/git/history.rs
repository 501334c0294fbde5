//! What the history has: revisions, their merge bases, and the files of a commit; and which files
//! of the worktree are still what git knows.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::Path;

use gix::index::entry::stat::Options as StatOptions;
use gix::index::entry::{Flags, Mode, Stage, Stat};
use gix::objs::tree::EntryKind;

use super::error::store;
use super::{Error, ObjectId, Repository};

/// How many commits are looked at, at most, to tell how far two are apart.
const MAX_APART: usize = 20_000;

/// A commit that only the first of two has in its history, or only the second, or both.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const BOTH: u8 = FIRST | SECOND;

/// How many files of a commit are read at most: a few trees can make billions.
const MAX_FILES: usize = 1_000_000;

/// How many folders may be read in any case: the root's, and those of the bus.
const ALWAYS: usize = 16;

/// The history of a repository.
pub struct History {
    pub(super) repo: gix::Repository,
}

/// A file in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Its bytes.
    pub id: ObjectId,
    /// Whether it is a regular file, and no link.
    pub is_regular: bool,
    /// Whether it is a commit of another repository: a submodule, with or without a `.gitmodules`.
    pub is_submodule: bool,
}

/// How far a commit is from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// How many commits it has that the other lacks.
    pub ahead: usize,
    /// How many commits the other has that it lacks.
    pub behind: usize,
    /// Whether that is all: a shallow clone lacks the rest, and very long histories are not read to
    /// their end.
    pub is_exact: bool,
}

/// What git's index knows of the worktree.
pub struct Indexed {
    index: Option<gix::worktree::Index>,
}

impl Repository {
    /// Opens the history, for what needs more than refs and single objects.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the repository cannot be read.
    pub fn history(&self) -> Result<History, Error> {
        let options =
            gix::open::Options::isolated().with(gix::sec::Trust::Full).open_path_as_is(true);
        // Who replaces an object would else rewrite the past for this clone.
        let options = options.config_overrides(["core.useReplaceRefs=false"]);
        let opened = gix::open_opts(self.git_dir(), options);
        let repo =
            opened.map_err(|error| store("open", &self.git_dir().display().to_string(), &error))?;
        Ok(History { repo })
    }
}

impl History {
    /// The commit that `revision` names, as gitrevisions(7) spells it; but of a branch and a tag of
    /// one name the branch counts: anybody may push a tag, and fetches bring it along.
    ///
    /// # Errors
    ///
    /// [`Error::NoRevision`] if there is none; [`Error::TooShallow`] if a shallow clone may
    /// have cut it off.
    pub fn commit(&self, revision: &str) -> Result<ObjectId, Error> {
        let missing = || self.missing(revision);
        let branches = [format!("refs/remotes/{revision}"), format!("refs/heads/{revision}")];
        let branch = branches.iter().filter(|_| ObjectId::from_hex(revision.as_bytes()).is_err());
        let branch =
            branch.into_iter().find(|name| self.repo.find_reference(name.as_str()).is_ok());
        let revision = branch.map_or(revision, String::as_str);
        let object = self
            .repo
            .rev_parse_single(revision)
            .map_err(|_| missing())?
            .object()
            .map_err(|_| missing())?;
        object.peel_to_commit().map(|commit| commit.id).map_err(|_| missing())
    }

    /// The commit that HEAD is at; none on a branch without commits.
    #[must_use]
    pub fn head(&self) -> Option<ObjectId> {
        self.repo.head_id().ok().map(gix::Id::detach)
    }

    /// The commits that are being merged into HEAD, where a merge waits for its commit
    /// (gitrepository-layout(5), `MERGE_HEAD`).
    #[must_use]
    pub fn merging(&self) -> Vec<ObjectId> {
        let text =
            std::fs::read_to_string(self.repo.git_dir().join("MERGE_HEAD")).unwrap_or_default();
        text.lines().filter_map(|line| ObjectId::from_hex(line.as_bytes()).ok()).collect()
    }

    /// The parents of a commit, also those that a shallow clone does not have.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the commit cannot be read.
    pub fn parents(&self, commit: ObjectId) -> Result<Vec<ObjectId>, Error> {
        let found = self
            .repo
            .find_commit(commit)
            .map_err(|error| store("read", &commit.to_string(), &error))?;
        Ok(found.parent_ids().map(gix::Id::detach).collect())
    }

    /// The best common ancestors of a commit and a merge of `others`: one but for criss-cross
    /// merges, or `None` if the histories are strangers (git-merge-base(1)).
    ///
    /// # Errors
    ///
    /// [`Error::TooShallow`] if a shallow clone lacks what tells; [`Error::Store`] if the
    /// history cannot be read.
    pub fn merge_bases(&self, one: ObjectId, others: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let shallow = self.is_shallow();
        let too_shallow = || Error::TooShallow { revision: one.to_string() };
        let bases = self.repo.merge_bases_many(one, others);
        let bases = bases.map_err(|error| {
            if shallow { too_shallow() } else { store("read", "the history", &error) }
        })?;
        if bases.is_empty() && shallow {
            Err(too_shallow())
        } else {
            Ok(bases.into_iter().map(gix::Id::detach).collect())
        }
    }

    /// The files of a commit, by their paths, in the folders that one shall `enter`; of those at
    /// the root only what has the name of such a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a tree cannot be read.
    pub fn files(
        &self,
        commit: ObjectId,
        enter: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, TreeFile>, Error> {
        self.files_up_to(commit, MAX_FILES, enter)?.ok_or_else(|| too_many(commit))
    }

    /// The same; `None` if there are more than `max` files, or folders.
    ///
    /// # Errors
    ///
    /// As [`History::files`].
    pub fn files_up_to(
        &self,
        commit: ObjectId,
        max: usize,
        enter: impl Fn(&str) -> bool,
    ) -> Result<Option<BTreeMap<String, TreeFile>>, Error> {
        let refused = |error: gix::Error| store("read", &commit.to_string(), &error);
        let root =
            self.repo.find_commit(commit).and_then(|commit| commit.tree_id()).map_err(refused)?;
        let (mut files, mut trees) = (BTreeMap::new(), 0);
        let mut folders: Vec<(String, ObjectId)> = vec![(String::new(), root.detach())];
        while let Some((folder, id)) = folders.pop() {
            trees += 1;
            if trees > max.max(ALWAYS) {
                return Ok(None);
            }
            let tree = self.repo.find_tree(id).map_err(refused)?;
            for entry in tree.iter() {
                let entry = entry.map_err(refused)?;
                let path = format!("{folder}{}", entry.filename());
                match entry.mode().kind() {
                    EntryKind::Tree if enter(&path) => {
                        folders.push((format!("{path}/"), entry.object_id()))
                    }
                    EntryKind::Tree => {}
                    _ if files.len() >= max => return Ok(None),
                    kind if !folder.is_empty() || enter(&path) => {
                        files.insert(path, tree_file(kind, entry.object_id()));
                    }
                    _ => {}
                }
            }
        }
        Ok(Some(files))
    }

    /// The bytes of a file in a commit.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they cannot be read.
    pub fn read(&self, blob: ObjectId) -> Result<Vec<u8>, Error> {
        let found = self
            .repo
            .find_object(blob)
            .map_err(|error| store("read", &blob.to_string(), &error))?;
        Ok(found.detach().data)
    }

    /// How many bytes a file in a commit has, or `None` if it cannot be read.
    #[must_use]
    pub fn size(&self, blob: ObjectId) -> Option<u64> {
        self.repo.find_header(blob).ok().map(|header| header.size())
    }

    /// All refs and the commits that they are at, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the refs cannot be read.
    pub fn refs(&self) -> Result<BTreeMap<String, ObjectId>, Error> {
        self.refs_below("refs/")
    }

    /// The refs whose names begin with `prefix`, and the commits that they are at, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the refs cannot be read.
    pub fn refs_below(&self, prefix: &str) -> Result<BTreeMap<String, ObjectId>, Error> {
        let refused = |error: &(dyn std::error::Error + 'static)| store("read", "the refs", error);
        let platform = self.repo.references().map_err(|error| refused(&error))?;
        let all = platform.prefixed(prefix).map_err(|error| refused(&error))?;
        let mut refs = BTreeMap::new();
        for mut reference in all.flatten() {
            let name = reference.name().as_bstr().to_string();
            if let Ok(commit) = reference.peel_to_commit() {
                refs.insert(name, commit.id);
            }
        }
        Ok(refs)
    }

    /// The branch that the remote `origin` calls its default, as the full name of a ref that is
    /// here.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        let head = self.repo.find_reference("refs/remotes/origin/HEAD").ok();
        let named =
            head.and_then(|head| head.target().try_name().map(|name| name.as_bstr().to_string()));
        let usual = ["remotes/origin/main", "remotes/origin/master", "heads/main", "heads/master"];
        let usual = usual.map(|name| format!("refs/{name}"));
        named.into_iter().chain(usual).find(|name| self.commit(name).is_ok())
    }

    /// The branch that `branch` follows, as a ref of its remote that is here: `origin/main`.
    #[must_use]
    pub fn upstream(&self, branch: &str) -> Option<String> {
        let name = gix::refs::FullName::try_from(format!("refs/heads/{branch}")).ok()?;
        let upstream = self
            .repo
            .branch_remote_tracking_ref_name(name.as_ref(), gix::remote::Direction::Fetch)?
            .ok()?;
        let upstream = upstream.as_bstr().to_string();
        let short = upstream
            .strip_prefix("refs/remotes/")
            .or_else(|| upstream.strip_prefix("refs/heads/"))
            .unwrap_or(&upstream);
        self.commit(short).is_ok().then(|| short.to_owned())
    }

    /// How far `one` is ahead of `other` and behind it, as
    /// `git rev-list --count --left-right one...other` counts.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a commit cannot be read.
    pub fn ahead_behind(&self, one: ObjectId, other: ObjectId) -> Result<Distance, Error> {
        let is_shallow = self.is_shallow();
        let mut sides: HashMap<ObjectId, u8> = HashMap::new();
        let mut queue = BinaryHeap::new();
        // How many in the queue are not known to be in both histories, and the oldest time of such
        // a commit.
        let (mut open, mut oldest) = (0_usize, i64::MAX);
        for (id, side) in [(one, FIRST), (other, SECOND)] {
            let time = self.time_of(id)?;
            *sides.entry(id).or_default() |= side;
            queue.push((time, id, side));
            (open, oldest) = (open + 1, oldest.min(time));
        }
        while let Some((time, id, entered)) = queue.pop() {
            open -= usize::from(entered != BOTH);
            let side = sides[&id];
            // A commit that has both sides by now is in the queue once more as such.
            let parents = if entered == side { self.parents(id)? } else { Vec::new() };
            for parent in parents {
                let before = sides.get(&parent).copied().unwrap_or_default();
                let after = before | side;
                // The rest is common, but for what was taken for one side's before: within a
                // second, a parent may come first.
                let is_rest = open == 0 && before == 0 && time < oldest;
                let known = if after == before || is_rest {
                    None
                } else {
                    self.time_if_here(parent, is_shallow)?
                };
                if let Some(time) = known {
                    sides.insert(parent, after);
                    queue.push((time, parent, after));
                    if after != BOTH {
                        (open, oldest) = (open + 1, oldest.min(time));
                    }
                }
            }
            if sides.len() > MAX_APART {
                break;
            }
        }
        let count = |wanted: u8| sides.values().filter(|side| **side == wanted).count();
        Ok(Distance {
            ahead: count(FIRST),
            behind: count(SECOND),
            is_exact: open == 0 && !is_shallow,
        })
    }

    /// When a commit was made, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the commit cannot be read.
    pub fn time_of(&self, commit: ObjectId) -> Result<i64, Error> {
        let refused =
            |error: &(dyn std::error::Error + 'static)| store("read", &commit.to_string(), error);
        let found = self.repo.find_commit(commit).map_err(|error| refused(&error))?;
        found.time().map(|time| time.seconds).map_err(|error| refused(&error))
    }

    /// The same, or `None` if a shallow clone lacks the commit.
    fn time_if_here(&self, commit: ObjectId, is_shallow: bool) -> Result<Option<i64>, Error> {
        if is_shallow && self.repo.find_header(commit).is_err() {
            return Ok(None);
        }
        self.time_of(commit).map(Some)
    }

    /// What git's index knows of the worktree: nothing where it cannot be read, since every file
    /// can be read in its place.
    #[must_use]
    pub fn indexed(&self) -> Indexed {
        Indexed { index: self.repo.try_index().ok().flatten() }
    }

    /// The worktree's index, or `None` if it has none yet.
    pub(super) fn index(&self) -> Result<Option<gix::worktree::Index>, Error> {
        let path = self.repo.index_path();
        self.repo.try_index().map_err(|error| store("read", &path.display().to_string(), &error))
    }

    /// The branches, of this clone and of its remotes as last fetched, that have other files in one
    /// of `folders` than the commit they left HEAD at, and that HEAD does not have; as git shows
    /// them.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the refs or the history cannot be read.
    pub fn branches_that_change(&self, folders: &[String]) -> Result<Vec<String>, Error> {
        let Some(head) = self.head() else { return Ok(Vec::new()) };
        let mut changing = Vec::new();
        for prefix in ["refs/heads/", "refs/remotes/"] {
            for (name, tip) in self.refs_below(prefix)? {
                let bases = self.merge_bases(tip, &[head]).unwrap_or_default();
                if bases.contains(&tip) {
                    continue;
                }
                let differs = |folder: &String| {
                    let there = self.entry_at(tip, folder);
                    bases.iter().all(|base| self.entry_at(*base, folder) != there)
                };
                if folders.iter().any(differs) {
                    changing.push(super::short_name(&name).to_owned());
                }
            }
        }
        Ok(changing)
    }

    /// The object at `path` in a commit.
    fn entry_at(&self, commit: ObjectId, path: &str) -> Option<ObjectId> {
        let tree = self.repo.find_commit(commit).ok()?.tree().ok()?;
        tree.lookup_entry_by_path(path).ok()?.map(|entry| entry.object_id())
    }

    /// Whether the worktree's index has the file at `path`; so it counts if the index cannot be
    /// read.
    pub(super) fn has_indexed(&self, path: &gix::bstr::BStr) -> bool {
        match self.repo.try_index() {
            Ok(Some(index)) => index.entry_by_path(path).is_some(),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Whether the clone has only the newest part of the history.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.repo.is_shallow().unwrap_or(false)
    }

    fn missing(&self, revision: &str) -> Error {
        let revision = revision.to_owned();
        if self.is_shallow() {
            Error::TooShallow { revision }
        } else {
            Error::NoRevision { revision }
        }
    }
}

impl Indexed {
    /// The blob that the worktree's file `path` was when git last looked, if by its size and times
    /// it still is that.
    #[must_use]
    pub fn blob_of(&self, root: &Path, path: &str) -> Option<ObjectId> {
        let index = self.index.as_ref()?;
        let entry = index.entry_by_path_and_stage(path.into(), Stage::Unconflicted)?;
        let metadata = gix::index::fs::Metadata::from_path_no_follow(&root.join(path)).ok()?;
        let options =
            StatOptions { trust_ctime: true, check_stat: true, use_nsec: true, use_stdev: false };
        let now = Stat::from_fs(&metadata).ok()?;
        // A file that was changed within the clock's tick of the index looks unchanged (git's "racy
        // git problem").
        let same =
            entry.stat.matches(&now, options) && !entry.stat.is_racy(index.timestamp(), options);
        same.then_some(entry.id)
    }
}

impl Indexed {
    /// Whether the next commit would have a file at `path` that a sparse checkout leaves out of the
    /// worktree.
    #[must_use]
    pub fn skips(&self, path: &str) -> bool {
        let entry = self
            .index
            .as_ref()
            .and_then(|index| index.entry_by_path_and_stage(path.into(), Stage::Unconflicted));
        entry.is_some_and(|entry| entry.flags.contains(Flags::SKIP_WORKTREE))
    }

    /// The files that the next commit would have, by path, of those that are `wanted`; `None` if
    /// there is no index, or it names a folder of theirs as a whole, as that of a sparse checkout
    /// does.
    #[must_use]
    pub fn files(&self, wanted: impl Fn(&str) -> bool) -> Option<BTreeMap<String, TreeFile>> {
        let index = self.index.as_ref()?;
        let mut files = BTreeMap::new();
        for entry in index.entries() {
            let path = entry.path(index).to_string();
            if wanted(&path) {
                if entry.mode == Mode::DIR {
                    return None;
                }
                let is_regular = entry.mode == Mode::FILE || entry.mode == Mode::FILE_EXECUTABLE;
                files.insert(
                    path,
                    TreeFile { id: entry.id, is_regular, is_submodule: entry.mode == Mode::COMMIT },
                );
            }
        }
        Some(files)
    }
}

/// The name that git would give to a file's bytes, or `None` if they collide on purpose with
/// others.
#[must_use]
pub fn blob_id(bytes: &[u8]) -> Option<ObjectId> {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes).ok()
}

fn too_many(commit: ObjectId) -> Error {
    let what = format!("it has more than {MAX_FILES} files or folders");
    Error::Store { verb: "read", name: commit.to_string(), what, kind: None }
}

fn tree_file(kind: EntryKind, id: ObjectId) -> TreeFile {
    let is_regular = matches!(kind, EntryKind::Blob | EntryKind::BlobExecutable);
    TreeFile { id, is_regular, is_submodule: kind == EntryKind::Commit }
}
