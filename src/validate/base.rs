//! What the tree is compared with: the base, and what has changed since.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::path::Path;

use super::files::{
    ATTRIBUTES, Found, Kind, Stands, is_below_roots, is_looked_at, is_record_file, kind_of,
};
use crate::git::{Error, History, Indexed, ObjectId, TreeFile, blob_id};
use crate::record::AgentId;

/// The longest file that is hashed to see whether it has changed; of a longer one the size tells,
/// or its lines.
const MAX_HASHED: u64 = 64 * 1024 * 1024;

/// The files of the bus in a commit.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) id: ObjectId,
    /// The files of the bus, by path.
    pub(super) files: BTreeMap<String, (Kind, TreeFile)>,
    /// Every file below the bus's folders: receipts, links, and records if no reader looks, too.
    all: BTreeMap<String, TreeFile>,
}

impl Commit {
    /// The whole bus of a commit.
    pub(super) fn read(history: &History, id: ObjectId) -> Result<Self, Error> {
        Ok(Self::of(id, history.files(id, is_looked_at)?))
    }

    /// The claims and leases of a commit and nothing else: it may be anybody's, and a few trees
    /// that hold each other make a folder that has no end. `None` if it has more than `max` files
    /// there.
    pub(super) fn claims(
        history: &History,
        id: ObjectId,
        max: usize,
    ) -> Result<Option<Self>, Error> {
        let is_wanted = |path: &str| ["_bus", "_bus/claims", "_bus/locks"].contains(&path);
        Ok(history.files_up_to(id, max, is_wanted)?.map(|files| Self::of(id, files)))
    }

    /// How many files were read of it.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// The files of a commit that stand in `_bus` itself, as the policy does.
    pub(super) fn policy(history: &History, id: ObjectId) -> Result<Self, Error> {
        Ok(Self::of(id, history.files(id, |path| path == "_bus")?))
    }

    fn of(id: ObjectId, all: BTreeMap<String, TreeFile>) -> Self {
        let of_bus = |(path, file): (&String, &TreeFile)| match kind_of(path) {
            Some((kind, true)) => Some((path.clone(), (kind, *file))),
            _ => None,
        };
        Self { id, files: all.iter().filter_map(of_bus).collect(), all }
    }

    /// What the commit has at a path below the bus's folders.
    pub(super) fn at(&self, path: &str) -> Option<TreeFile> {
        self.all.get(path).copied()
    }

    /// The files of leases as version 0.1 wrote them, whatever became of the other records.
    pub(super) fn leases(&self) -> impl Iterator<Item = (&str, TreeFile)> {
        let leases = self
            .all
            .iter()
            .filter(|(path, file)| file.is_regular && kind_of(path) == Some((Kind::Lease, true)));
        leases.map(|(path, file)| (path.as_str(), *file))
    }

    /// How git calls a file of the commit, such as `git show` takes it, or `None` if a shell would
    /// read more than a name.
    pub(super) fn spell(&self, path: &str) -> Option<String> {
        let is_plain =
            path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
        is_plain.then(|| format!("{}:{path}", self.id.to_hex_with_len(10)))
    }

    /// Whether the commit has anything of a bus.
    pub(super) fn has_bus(&self) -> bool {
        self.files.keys().any(|path| path.starts_with("_bus/"))
    }

    /// The record whose file is called `path`, in whatever letter case: so spelled, two ids are
    /// one.
    pub(super) fn record(&self, kind: Kind, path: &str) -> Option<TreeFile> {
        let spelled_otherwise = || {
            self.files
                .iter()
                .find(|(other, file)| file.0 == kind && other.eq_ignore_ascii_case(path))
        };
        self.files.get_key_value(path).or_else(spelled_otherwise).map(|(_, (_, file))| *file)
    }

    /// The files that agents stored below `_report/agent/`, each with the folder's name; not what
    /// the guard refused, which has lines of its own.
    fn stored(&self) -> impl Iterator<Item = (&str, &str)> {
        let agents = self
            .all
            .range("_report/agent/".to_owned()..)
            .take_while(|(path, _)| path.starts_with("_report/agent/"));
        let agents = agents.filter(|(path, file)| {
            file.is_regular && kind_of(path) != Some((Kind::Refusals, true))
        });
        agents.filter_map(|(path, _)| {
            Some((path.strip_prefix("_report/agent/")?.split_once('/')?.0, path.as_str()))
        })
    }

    /// The receipts of the commit that are not there any more.
    pub(super) fn lost_receipts<'a>(&'a self, root: &Path) -> impl Iterator<Item = &'a str> {
        let stands = |path: &str| {
            root.join(path).symlink_metadata().is_ok_and(|metadata| metadata.is_file())
        };
        let receipts =
            self.all.iter().filter(|(path, file)| file.is_regular && path.starts_with("_report/"));
        receipts.map(|(path, _)| path.as_str()).filter(move |path| !stands(path))
    }

    /// Whether the commit has a folder at `path`.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.all.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    }
}

/// The commits that the tree grew from: one but for criss-cross merges.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) commits: Vec<Commit>,
    /// The commit that was asked for, where the tree did not grow from it but beside it.
    pub(super) beside: Option<Commit>,
    pub(super) revision: ObjectId,
}

impl Base {
    /// Finds what the tree of HEAD and the worktree shall be compared with when `revision` is asked
    /// for. HEAD itself stands for all sides of a merge that waits for its commit.
    pub(super) fn find(history: &History, revision: ObjectId) -> Result<Self, Error> {
        let roots = match history.head() {
            // What a merge brings was judged where it comes from.
            Some(head) if head == revision => [vec![head], history.merging()].concat(),
            Some(head) => {
                history.merge_bases(revision, &[vec![head], history.merging()].concat())?
            }
            None => Vec::new(),
        };
        let roots = if roots.is_empty() { vec![revision] } else { roots };
        let beside =
            if roots.contains(&revision) { None } else { Some(Commit::read(history, revision)?) };
        let commits =
            roots.into_iter().map(|root| Commit::read(history, root)).collect::<Result<_, _>>()?;
        Ok(Self { commits, beside, revision })
    }

    /// Leaves the record files out: those of an untracked bus are frozen, and mean nothing to a
    /// change.
    pub(super) fn forget_records(&mut self) {
        for commit in self.commits.iter_mut().chain(&mut self.beside) {
            commit.files.retain(|path, _| !is_record_file(path));
        }
    }

    /// The commits that say what holds now, the one that was asked for first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Commit> {
        self.beside.iter().chain(&self.commits)
    }

    /// What the commits have at the path of a receipt within the bus's folders.
    pub(super) fn receipt_at_hand(&self, path: &str) -> impl Iterator<Item = TreeFile> {
        self.commits
            .iter()
            .filter_map(move |commit| commit.all.get(path))
            .filter(|file| file.is_regular)
            .copied()
    }

    /// What the commits have at the path of a receipt. Those outside of the bus's folders are
    /// looked up one by one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a tree cannot be read.
    pub(super) fn receipt(&self, history: &History, path: &str) -> Result<Vec<TreeFile>, Error> {
        let mut files = Vec::new();
        for commit in &self.commits {
            let is_on_the_way = |folder: &str| {
                folder == path
                    || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            };
            let found = match commit.all.get(path) {
                Some(file) => Some(*file),
                None if is_below_roots(path) => None,
                None => history.files(commit.id, is_on_the_way)?.get(path).copied(),
            };
            files.extend(found.filter(|file| file.is_regular));
        }
        Ok(files)
    }

    /// The base's files that are not in the tree any more, each once.
    pub(super) fn gone<'a>(
        &'a self,
        found: &[Found],
    ) -> Vec<(&'a Commit, &'a str, Kind, TreeFile)> {
        let here: HashSet<&str> = found.iter().map(|found| found.path.as_str()).collect();
        let mut told = HashSet::new();
        let files = self
            .commits
            .iter()
            .flat_map(|commit| commit.files.iter().map(move |file| (commit, file)));
        let gone = files.filter(|(_, (path, _))| !here.contains(path.as_str()));
        gone.filter(|(_, (path, _))| told.insert(path.as_str()))
            .map(|(commit, (path, (kind, file)))| (commit, path.as_str(), *kind, *file))
            .collect()
    }
}

/// How a file differs from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Not at all.
    None,
    /// From some of the commits that the tree grew from: a merge took another side's.
    Partly,
    /// From all of them.
    News,
}

/// Which files of the worktree are not what the base has.
pub(super) struct Delta<'a> {
    pub(super) root: &'a Path,
    pub(super) history: &'a History,
    pub(super) indexed: Indexed,
}

impl Delta<'_> {
    /// How `found` differs from what the commits of the base have at its path.
    pub(super) fn change(&self, base: &Base, found: &Found) -> Change {
        let place = self.root.join(&found.path);
        let metadata =
            (found.stands != Stands::Rightly).then(|| place.symlink_metadata().ok()).flatten();
        if metadata.as_ref().is_some_and(Metadata::is_dir) {
            let known = base.commits.iter().any(|commit| commit.has_folder(&found.path));
            return if known { Change::None } else { Change::News };
        }
        let of = |commit: &Commit| commit.at(&found.path);
        let known: Vec<TreeFile> = base.commits.iter().filter_map(of).collect();
        let beside = base.beside.as_ref().and_then(of);
        if found.stands == Stands::Unspeakable {
            // Of a name that cannot be spelled no more is known than that the base has one like it.
            return if known.is_empty() { Change::News } else { Change::None };
        }
        let is_link = metadata.is_some_and(|metadata| metadata.is_symlink());
        let all: Vec<TreeFile> = known.iter().copied().chain(beside).collect();
        let id = if is_link { target_id(&place) } else { self.blob_of(&found.path, &all) };
        let is_same = |file: &TreeFile| file.is_regular != is_link && Some(file.id) == id;
        match known.iter().filter(|file| is_same(file)).count() {
            // What stands on the base by now is nobody's doing here.
            _ if beside.is_some_and(|file| is_same(&file)) => Change::None,
            0 => Change::News,
            same if same == known.len() => Change::None,
            _ => Change::Partly,
        }
    }

    /// The files that others than `author` stored, and that are gone or changed since.
    pub(super) fn spoiled<'b>(
        &self,
        base: &'b Base,
        author: &AgentId,
    ) -> BTreeMap<&'b str, &'b str> {
        let stored: BTreeMap<&str, &str> = base
            .commits
            .iter()
            .flat_map(Commit::stored)
            .map(|(owner, path)| (path, owner))
            .collect();
        let is_spoiled = |path: &str| {
            // Whatever stands there now is looked at as it is.
            let found =
                Found { path: path.to_owned(), kind: None, stands: Stands::Not("anything") };
            self.change(base, &found) == Change::News
        };
        let others =
            stored.into_iter().filter(|(_, owner)| !author.as_str().eq_ignore_ascii_case(owner));
        others.filter(|(path, _)| is_spoiled(path)).collect()
    }

    /// The name that git gives to the file's bytes, or `None` if it can be none of `known`.
    fn blob_of(&self, path: &str, known: &[TreeFile]) -> Option<ObjectId> {
        if let Some(id) = self.indexed.blob_of(self.root, path) {
            return Some(id);
        }
        let place = self.root.join(path);
        // A pipe has no length, and reading it no end.
        let length = place.symlink_metadata().ok().filter(Metadata::is_file)?.len();
        let size = |file: &TreeFile| self.history.size(file.id);
        let fits = known.iter().any(|file| size(file) == Some(length));
        // With other line endings a record is longer by one byte a line at most; logs have git's
        // own, wherever they are.
        let may_fit = || {
            !path.ends_with(".jsonl")
                && known
                    .iter()
                    .any(|file| size(file).is_some_and(|size| size < length && length <= 2 * size))
        };
        if length > MAX_HASHED || !(fits || may_fit()) {
            return None;
        }
        // A file that cannot be read here is read, and told of, where it is checked.
        let bytes = std::fs::read(place).ok()?;
        if fits { blob_id(&bytes) } else { blob_id(&without_returns(&bytes)) }
    }

    /// Whether the worktree's file is as git put it there and yet not what the commit has:
    /// something changes it on the way. Line endings alone say nothing.
    pub(super) fn is_altered(&self, path: &str) -> bool {
        let Some(id) = self.indexed.blob_of(self.root, path) else { return false };
        let place = self.root.join(path);
        let length = place.symlink_metadata().map_or(0, |metadata| metadata.len());
        if length > MAX_HASHED {
            return self.history.size(id) != Some(length);
        }
        let Ok(bytes) = std::fs::read(place) else { return false };
        let is_it = |bytes: &[u8]| blob_id(bytes) == Some(id);
        !is_it(&bytes) && !is_it(&without_returns(&bytes))
    }
}

/// The attributes by which git changes a file on its way (gitattributes(5)).
pub(super) const ALTERING: [&str; 3] = ["ident", "filter", "working-tree-encoding"];

/// The longest attributes file that is read, in bytes.
const MAX_ATTRIBUTES: u64 = 1024 * 1024;

/// What the attributes files are that stand above some paths.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    /// The paths that have one above them with a word of what could change them.
    pub(super) suspects: Vec<&'a str>,
    /// Those that are too long to be read.
    pub(super) too_long: Vec<String>,
}

impl<'a> Attributes<'a> {
    /// Looks at those above `paths`, at each once. As git, it follows no link.
    pub(super) fn above(root: &Path, paths: &[&'a str]) -> Self {
        let mut attributes = Self::default();
        let mut naming: HashSet<&Path> = HashSet::new();
        for folder in paths.iter().copied().flat_map(folders_above).collect::<HashSet<_>>() {
            let file = folder.join(ATTRIBUTES);
            let metadata = root.join(&file).symlink_metadata().ok().filter(Metadata::is_file);
            match metadata.map(|metadata| metadata.len()) {
                None => continue,
                Some(length) if length > MAX_ATTRIBUTES => {
                    attributes.too_long.push(file.to_string_lossy().replace('\\', "/"));
                    continue;
                }
                Some(_) => {}
            }
            let text = std::fs::read(root.join(&file)).unwrap_or_default();
            if ALTERING.iter().any(|word| memchr::memmem::find(&text, word.as_bytes()).is_some()) {
                naming.insert(folder);
            }
        }
        let is_suspect = |path: &&&str| folders_above(path).any(|folder| naming.contains(folder));
        attributes.suspects = paths.iter().filter(is_suspect).copied().collect();
        attributes
    }
}

/// The folders that a path is in, up to the root.
pub(super) fn folders_above(path: &str) -> impl Iterator<Item = &Path> {
    Path::new(path).ancestors().skip(1)
}

/// The bytes with the line endings that git keeps.
pub(super) fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let is_ending = |place: usize| bytes[place] == b'\r' && bytes.get(place + 1) == Some(&b'\n');
    (0..bytes.len()).filter(|place| !is_ending(*place)).map(|place| bytes[place]).collect()
}

/// The name that git gives to a link: that of its target's bytes.
fn target_id(link: &Path) -> Option<ObjectId> {
    blob_id(std::fs::read_link(link).ok()?.as_os_str().as_encoded_bytes())
}
