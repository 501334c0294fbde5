//! The objects of a clone's log: a chain of commits whose trees hold what the clone logged, said
//! and assigned (docs/design.md, section 4). Log files are cut into segments of whole lines, and a
//! segment that is full never changes: what is added costs the last segment and the few trees above
//! it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io;

use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{CommitRef, Find, FindHeader, Kind, Tree, TreeRef, Write as _};

use super::error::store;
use super::{Error, ObjectId, Repository};
use crate::record::{CloneId, Timestamp};

/// The longest segment that is written, in bytes.
const SEGMENT: usize = 256 * 1024;

/// The longest tree or commit that is read, in bytes: a tree of 100,000 segments has less.
const MAX_TREE: u64 = 8 * 1024 * 1024;

/// Something in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeItem {
    /// Its name.
    pub name: String,
    /// The object.
    pub id: ObjectId,
    /// What it is.
    pub kind: ItemKind,
}

/// What something in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A link, or a commit.
    Other,
}

impl Repository {
    /// The tree of a commit; the inner error says why there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn tree_of(&self, commit: ObjectId) -> Result<Result<ObjectId, String>, Error> {
        let parse = |bytes: Vec<u8>| {
            let parsed = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1);
            parsed
                .map(|parsed| parsed.tree())
                .map_err(|_| format!("the commit {commit} is damaged"))
        };
        Ok(self.bounded_object(commit, Kind::Commit, MAX_TREE)?.and_then(parse))
    }

    /// What a tree has, in its order; the inner error says why it cannot be read. Names that are no
    /// UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn list_tree(&self, tree: ObjectId) -> Result<Result<Vec<TreeItem>, String>, Error> {
        let parse = |bytes: Vec<u8>| {
            let parsed = TreeRef::from_bytes(&bytes, gix::hash::Kind::Sha1);
            let parsed = parsed.map_err(|_| format!("the tree {tree} is damaged"))?;
            let item = |entry: &gix::objs::tree::EntryRef<'_>| {
                let kind = match entry.mode.kind() {
                    EntryKind::Tree => ItemKind::Folder,
                    EntryKind::Blob | EntryKind::BlobExecutable => ItemKind::File,
                    EntryKind::Link | EntryKind::Commit => ItemKind::Other,
                };
                Some(TreeItem {
                    name: std::str::from_utf8(entry.filename).ok()?.to_owned(),
                    id: entry.oid.to_owned(),
                    kind,
                })
            };
            Ok(parsed.entries.iter().filter_map(item).collect())
        };
        Ok(self.bounded_object(tree, Kind::Tree, MAX_TREE)?.and_then(parse))
    }

    /// The bytes of a blob that has no more than `limit`; the inner error says why they cannot be
    /// had.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn blob(&self, blob: ObjectId, limit: usize) -> Result<Result<Vec<u8>, String>, Error> {
        self.bounded_object(blob, Kind::Blob, limit as u64)
    }

    /// An object of this kind and at most this size. The size is known before anything is unpacked.
    fn bounded_object(
        &self,
        id: ObjectId,
        kind: Kind,
        limit: u64,
    ) -> Result<Result<Vec<u8>, String>, Error> {
        let objects = self.objects()?;
        match objects.try_header(&id) {
            Ok(Some(header)) if header.kind != kind => {
                return Ok(Err(format!("the object {id} is a {}", header.kind)));
            }
            Ok(Some(header)) if header.size > limit => {
                return Ok(Err(format!(
                    "the {kind} {id} has {} bytes, and may have {limit}",
                    header.size
                )));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Err(format!("the object {id} is missing"))),
            Err(error) => return self.damage(id, &error).map(Err),
        }
        let mut buffer = Vec::new();
        match objects.try_find(&id, &mut buffer) {
            Ok(Some(_)) => Ok(Ok(buffer)),
            Ok(None) => Ok(Err(format!("the object {id} is missing"))),
            Err(error) => self.damage(id, &error).map(Err),
        }
    }

    /// How an object is damaged, of which `error` was said; an error where the system refuses to
    /// read it.
    fn damage(&self, id: ObjectId, error: &dyn std::fmt::Display) -> Result<String, Error> {
        match File::open(self.loose_object(id)) {
            Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied => {
                Err(store("read", &id.to_string(), &refused))
            }
            _ => Ok(error.to_string()),
        }
    }

    /// Writes a state of the log of `clone` that follows `parents`; no ref points to it yet.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the object cannot be written.
    pub fn write_log(
        &self,
        parents: Vec<ObjectId>,
        tree: ObjectId,
        clone: &CloneId,
        time: Timestamp,
        message: String,
    ) -> Result<ObjectId, Error> {
        self.write_commit(tree, parents, clone.as_str(), time, message.into_bytes())
    }

    /// Whether the log that ends at `tip` has the commit `wanted` in its history, by whatever
    /// parents. What is not here has no history.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn has_in_history(&self, tip: ObjectId, wanted: ObjectId) -> Result<bool, Error> {
        let (mut open, mut seen) = (VecDeque::from([tip]), HashSet::from([tip]));
        while let Some(commit) = open.pop_front() {
            if commit == wanted {
                return Ok(true);
            }
            let Ok(bytes) = self.bounded_object(commit, Kind::Commit, MAX_TREE)? else { continue };
            let Ok(parsed) = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1) else { continue };
            open.extend(parsed.parents().filter(|parent| seen.insert(*parent)));
        }
        Ok(false)
    }

    /// The log whose last tree is `tree`, to be added to; an empty one if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Store`] if it cannot be read.
    pub fn log_tree(&self, tree: Option<ObjectId>) -> Result<LogTree<'_>, Error> {
        let root = match tree {
            Some(tree) => Folder::read(self, tree)?,
            None => Folder::default(),
        };
        Ok(LogTree { repo: self, root, folders: BTreeMap::new(), open: None })
    }
}

/// A clone's log that is added to. What is not touched is not read.
pub struct LogTree<'a> {
    repo: &'a Repository,
    root: Folder,
    folders: BTreeMap<String, Folder>,
    /// The log file that was added to last.
    open: Option<Segments>,
}

/// A folder, and whether it is to be written.
#[derive(Default)]
struct Folder {
    entries: BTreeMap<String, (EntryKind, ObjectId)>,
    changed: bool,
}

/// A log file: its segments but for the last, and the bytes of that one.
struct Segments {
    folder: String,
    file: String,
    full: Folder,
    last: Vec<u8>,
    number: usize,
}

impl LogTree<'_> {
    /// The name in `folder` that differs from `name` by letter case at most, else `name`: not every
    /// disk can hold both.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Store`] if the log cannot be read.
    pub fn spelled(&mut self, folder: &str, name: &str) -> Result<String, Error> {
        let entries = &self.folder(folder)?.entries;
        if entries.contains_key(name) {
            return Ok(name.to_owned());
        }
        Ok(entries
            .keys()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map_or_else(|| name.to_owned(), Clone::clone))
    }

    /// The file `name` of `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Store`] if the log cannot be read.
    pub fn file(&mut self, folder: &str, name: &str) -> Result<Option<ObjectId>, Error> {
        Ok(self.folder(folder)?.entries.get(name).map(|(_, id)| *id))
    }

    /// Puts `bytes` in the place of the file `name` of `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Store`] if the log cannot be read, or an object not be
    /// written.
    pub fn put(&mut self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let id = write_blob(self.repo, name, bytes)?;
        self.folder(folder)?.put(name, EntryKind::Blob, id);
        Ok(())
    }

    /// Adds `line`, which has no newline, to the log file `file` of `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Store`] if the log cannot be read, or an object not be
    /// written.
    pub fn append(&mut self, folder: &str, file: &str, line: &[u8]) -> Result<(), Error> {
        if self
            .open
            .as_ref()
            .is_none_or(|open| (open.folder.as_str(), open.file.as_str()) != (folder, file))
        {
            self.close()?;
            let tree = self.file(folder, file)?;
            self.open = Some(Segments::read(self.repo, folder, file, tree)?);
        }
        let repo = self.repo;
        self.open.as_mut().map_or(Ok(()), |open| open.append(repo, line))
    }

    /// Writes the trees, or `None` if nothing was added.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if an object cannot be written.
    pub fn write(mut self) -> Result<Option<ObjectId>, Error> {
        self.close()?;
        let changed = self.folders.into_iter().filter(|(_, folder)| folder.changed);
        for (name, folder) in changed {
            let id = folder.write(self.repo)?;
            self.root.put(&name, EntryKind::Tree, id);
        }
        if self.root.changed { self.root.write(self.repo).map(Some) } else { Ok(None) }
    }

    /// Writes the log file that was added to last.
    fn close(&mut self) -> Result<(), Error> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.write_last(self.repo)?;
        let id = open.full.write(self.repo)?;
        self.folder(&open.folder)?.put(&open.file, EntryKind::Tree, id);
        Ok(())
    }

    fn folder(&mut self, name: &str) -> Result<&mut Folder, Error> {
        if !self.folders.contains_key(name) {
            let folder = match self.root.entries.get(name) {
                Some((EntryKind::Tree, id)) => Folder::read(self.repo, *id)?,
                _ => Folder::default(),
            };
            self.folders.insert(name.to_owned(), folder);
        }
        Ok(self.folders.entry(name.to_owned()).or_default())
    }
}

impl Folder {
    fn read(repo: &Repository, tree: ObjectId) -> Result<Self, Error> {
        let entry = |item: TreeItem| {
            let kind = match item.kind {
                ItemKind::Folder => EntryKind::Tree,
                ItemKind::File => EntryKind::Blob,
                // Nobody but this clone writes its log: it is not kept.
                ItemKind::Other => return None,
            };
            Some((item.name, (kind, item.id)))
        };
        let items = repo.list_tree(tree)?.map_err(|what| damaged(tree, what))?;
        Ok(Self { entries: items.into_iter().filter_map(entry).collect(), changed: false })
    }

    fn put(&mut self, name: &str, kind: EntryKind, id: ObjectId) {
        let before = self.entries.insert(name.to_owned(), (kind, id));
        self.changed |= before != Some((kind, id));
    }

    fn write(&self, repo: &Repository) -> Result<ObjectId, Error> {
        let entry = |(name, (kind, id)): (&String, &(EntryKind, ObjectId))| Entry {
            mode: (*kind).into(),
            filename: name.as_str().into(),
            oid: *id,
        };
        let mut tree = Tree { entries: self.entries.iter().map(entry).collect() };
        tree.entries.sort();
        repo.objects()?
            .write(&tree)
            .map_err(|error| store("write an object for", "a tree of the log", &error))
    }
}

impl Segments {
    fn read(
        repo: &Repository,
        folder: &str,
        file: &str,
        tree: Option<ObjectId>,
    ) -> Result<Self, Error> {
        let full = tree.map_or_else(|| Ok(Folder::default()), |tree| Folder::read(repo, tree))?;
        let last =
            full.entries.last_key_value().map(|(name, (_, id))| (name.parse().unwrap_or(0), *id));
        let (number, last) = match last {
            Some((number, id)) => {
                (number, repo.blob(id, usize::MAX)?.map_err(|what| damaged(id, what))?)
            }
            None => (1, Vec::new()),
        };
        Ok(Self { folder: folder.to_owned(), file: file.to_owned(), full, last, number })
    }

    fn append(&mut self, repo: &Repository, line: &[u8]) -> Result<(), Error> {
        if !self.last.is_empty() && self.last.len() + line.len() + 1 > SEGMENT {
            self.write_last(repo)?;
            self.number += 1;
            self.last.clear();
        }
        self.last.extend_from_slice(line);
        self.last.push(b'\n');
        Ok(())
    }

    fn write_last(&mut self, repo: &Repository) -> Result<(), Error> {
        let name = format!("{:08}", self.number);
        let id = write_blob(repo, &self.file, &self.last)?;
        self.full.put(&name, EntryKind::Blob, id);
        Ok(())
    }
}

fn write_blob(repo: &Repository, name: &str, bytes: &[u8]) -> Result<ObjectId, Error> {
    let written = repo.objects()?.write_buf(Kind::Blob, bytes);
    written.map_err(|error| store("write an object for", name, &error))
}

/// The error of an object of the log that is not what it should be.
fn damaged(id: ObjectId, what: String) -> Error {
    Error::Damaged { name: id.to_string(), what }
}
