//! Chains of commits on the empty tree, each the state of one record, under refs that change only
//! by compare-and-swap (docs/design.md, section 3).

use std::cell::RefCell;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use gix::actor::Signature;
use gix::lock::File as LockFile;
use gix::lock::acquire::Fail;
use gix::objs::{Commit, CommitRef, Find, FindHeader, Kind, WriteTo as _};
use gix::refs::transaction::{Change, PreviousValue, RefEdit, RefLog};

use super::error::store;
use super::loose::LooseReader;
use super::ref_name::OWN;
use super::{Error, ObjectId, RefName, Repository, loose};
use crate::record::{AgentId, Timestamp};

/// How long a ref that a foreign git has locked is waited for: what git itself waits
/// (`core.filesRefLockTimeout`).
const REF_PATIENCE: Duration = Duration::from_millis(100);

/// How old the lock of a ref of the bus must be before it counts as left behind.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);

/// How long `packed-refs` is waited for: what git itself waits (`core.packedRefsTimeout`).
const PACKED_PATIENCE: Duration = Duration::from_secs(1);

/// The longest state that is read, in bytes: a table of leases, whose records have a MiB.
const MAX_LINK: u64 = 16 * 1024 * 1024;

/// How much of a ref's file is read, in bytes: an object id is shorter, and what is longer is none.
const MAX_REF: usize = 128;

/// One state in a chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// The commit.
    pub id: ObjectId,
    /// The state before; none at the root.
    pub parent: Option<ObjectId>,
    /// Who wrote it.
    pub author: String,
    /// When, by the writer's clock.
    pub time: Timestamp,
    /// The first line: `claim QUEUE-001 by codex-1`.
    pub subject: String,
    /// The bytes of the record.
    pub body: Vec<u8>,
}

impl Link {
    /// The first word of the subject: what was done.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.subject.split(' ').next().unwrap_or_default()
    }
}

/// What a ref says.
#[derive(Clone, Debug)]
pub enum Tip {
    /// There is no such ref.
    Missing,
    /// The ref or its object is damaged, as a power loss leaves it.
    Unreadable {
        /// What is wrong.
        what: String,
    },
    /// The newest state.
    At(Link),
}

impl Repository {
    /// Writes the empty tree, which every state of a chain names: git knows it without an object,
    /// but `git fsck` asks for one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if it cannot be written.
    pub fn write_empty_tree(&self) -> Result<ObjectId, Error> {
        self.write_object(Kind::Tree, b"", "the bus")
    }

    /// Reads the newest state of a chain.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses: that is not taken for damage.
    pub fn tip(&self, name: &RefName) -> Result<Tip, Error> {
        match self.target(name)? {
            None => Ok(Tip::Missing),
            Some(Ok(id)) => {
                self.link(id).map(|link| link.map_or_else(|what| Tip::Unreadable { what }, Tip::At))
            }
            Some(Err(what)) => Ok(Tip::Unreadable { what }),
        }
    }

    /// What a ref points to: its own file's word, else that of `packed-refs`, in this order,
    /// because `git pack-refs` writes the second before it removes the first. The inner error says
    /// how it is damaged.
    pub(super) fn target(&self, name: &RefName) -> Result<Option<Result<ObjectId, String>>, Error> {
        let mut bytes = [0; MAX_REF];
        match fs::File::open(self.ref_path(name)).and_then(|mut file| file.read(&mut bytes)) {
            Ok(length) => {
                let id = ObjectId::from_hex(bytes[..length].trim_ascii_end());
                Ok(Some(id.map_err(|_| "it holds no object id".to_owned())))
            }
            // A folder where the file would be is made of other refs, which say nothing of this
            // one.
            Err(error) if is_elsewhere(&error) => Ok(self.packed_target(name)?.map(Ok)),
            Err(error) => Err(store("read", name.as_str(), &error)),
        }
    }

    pub(super) fn packed_target(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        let packed = self
            .refs
            .cached_packed_buffer()
            .map_err(|error| store("read", "packed-refs", &error))?;
        Ok(packed.and_then(|packed| {
            packed.try_find(name.full().as_ref()).ok().flatten().map(|entry| entry.target())
        }))
    }

    /// Reads one state of a chain; the inner error says how its object is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn link(&self, id: ObjectId) -> Result<Result<Link, String>, Error> {
        let parsed = |kind: Kind, data: &[u8]| match kind {
            Kind::Commit => read(id, data).ok_or_else(|| format!("the commit {id} is damaged")),
            kind => Err(format!("the object {id} is a {kind}")),
        };
        let mut loose = self.loose.get_or_init(|| RefCell::new(LooseReader::new())).borrow_mut();
        let refused = match loose.read(&self.loose_object(id)) {
            Ok(Some((kind, data))) => return Ok(parsed(kind, data)),
            // It is in a pack, or large, or damaged.
            Ok(None) => None,
            Err(error) => {
                Some(error).filter(|error| error.kind() == io::ErrorKind::PermissionDenied)
            }
        };
        let mut buffer = Vec::new();
        // No state is so long; whoever can push can make an object that fills the memory.
        if let Ok(Some(header)) = FindHeader::try_header(self.objects()?, &id)
            && header.size > MAX_LINK
        {
            return Ok(Err(format!("the object {id} is too long")));
        }
        match (self.objects()?.try_find(&id, &mut buffer), refused) {
            (Ok(Some(object)), _) => Ok(parsed(object.kind, object.data)),
            (_, Some(refused)) => Err(store("read", &id.to_string(), &refused)),
            (Ok(None), None) => Ok(Err(format!("the object {id} is missing"))),
            (Err(error), None) => Ok(Err(error.to_string())),
        }
    }

    /// Writes a state that follows `parent`; no ref points to it yet.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the object cannot be written.
    pub fn write_link(
        &self,
        parent: Option<ObjectId>,
        author: &AgentId,
        time: Timestamp,
        subject: &str,
        body: &[u8],
    ) -> Result<Link, Error> {
        let message = [subject.as_bytes(), b"\n\n", body].concat();
        let tree = ObjectId::empty_tree(gix::hash::Kind::Sha1);
        let id =
            self.write_commit(tree, parent.into_iter().collect(), author.as_str(), time, message)?;
        Ok(Link {
            id,
            parent,
            author: author.to_string(),
            time,
            subject: subject.to_owned(),
            body: body.to_vec(),
        })
    }

    /// Writes a commit; no ref points to it yet.
    pub(super) fn write_commit(
        &self,
        tree: ObjectId,
        parents: Vec<ObjectId>,
        author: &str,
        time: Timestamp,
        message: Vec<u8>,
    ) -> Result<ObjectId, Error> {
        let signature = Signature {
            name: author.into(),
            email: format!("{author}@bus.invalid").into(),
            time: gix::date::Time { seconds: time.unix().max(0), offset: 0 },
        };
        let commit = Commit {
            tree,
            parents: parents.into(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let mut bytes = Vec::new();
        commit.write_to(&mut bytes).map_err(|error| store("write an object by", author, &error))?;
        self.write_object(Kind::Commit, &bytes, author)
    }

    /// Writes an object that is on disk, whole, before any ref names it; `of` says what it is for.
    pub(super) fn write_object(
        &self,
        kind: Kind,
        bytes: &[u8],
        of: &str,
    ) -> Result<ObjectId, Error> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, bytes);
        let id = id.map_err(|error| store("name an object of", of, &error))?;
        let path = self.loose_object(id);
        if !path.exists() {
            loose::write(&path, kind, bytes)
                .map_err(|error| store("write an object of", of, &error))?;
        }
        Ok(id)
    }

    /// Moves `name` from `expected` to `new`, and says whether it did: `false` means that the ref
    /// was not at `expected`.
    ///
    /// As git does it: the ref's own lock is taken, the value read again, and the lock, with the
    /// new value in it, becomes the ref. (A transaction of gix would also take `packed-refs.lock`,
    /// which a killed process leaves in everybody's way.)
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the ref cannot be written, or another program keeps it locked.
    pub fn swap(
        &self,
        name: &RefName,
        expected: Option<ObjectId>,
        new: ObjectId,
    ) -> Result<bool, Error> {
        let lock = self.lock_ref(name)?;
        match self.target(name)? {
            None if expected.is_none() => {}
            Some(Ok(id)) if Some(id) == expected => {}
            _ => return Ok(false),
        }
        commit(lock, new).map_err(|error| store("write", name.as_str(), &error))?;
        Ok(true)
    }

    /// The state that `packed-refs` holds for a ref, which its own file hides.
    ///
    /// # Errors
    ///
    /// As [`Repository::tip`].
    pub fn packed_tip(&self, name: &RefName) -> Result<Option<Link>, Error> {
        self.packed_target(name)?.map_or(Ok(None), |id| Ok(self.link(id)?.ok()))
    }

    /// Takes an unreadable ref out of the way: keeps what it said at `keep`, then puts `instead` in
    /// its place, or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses.
    pub fn set_aside(
        &self,
        name: &RefName,
        keep: &Path,
        instead: Option<ObjectId>,
    ) -> Result<(), Error> {
        let refused = |error: io::Error| store("set aside", name.as_str(), &error);
        let lock = self.lock_ref(name)?;
        let loose = self.ref_path(name);
        let packed = || {
            self.packed_target(name)
                .ok()
                .flatten()
                .map_or_else(String::new, |id| format!("{id} (packed)\n"))
        };
        let said = fs::read(&loose).unwrap_or_else(|_| packed().into_bytes());
        fs::File::create(keep).and_then(|mut file| file.write_all(&said)).map_err(refused)?;
        match instead {
            Some(id) => commit(lock, id).map_err(refused),
            None if loose.exists() => fs::remove_file(&loose).map_err(refused),
            None => {
                drop(lock);
                self.delete_refs(vec![(name.clone(), PreviousValue::Any)])
            }
        }
    }

    /// Removes refs, from `packed-refs`, too, which is written once for all of them.
    pub(super) fn delete_refs(&self, refs: Vec<(RefName, PreviousValue)>) -> Result<(), Error> {
        let first = refs.first().map_or_else(String::new, |(name, _)| name.as_str().to_owned());
        let delete = || {
            let edits = refs.iter().cloned().map(|(name, expected)| {
                let change = Change::Delete { expected, log: RefLog::AndReference };
                RefEdit { change, name: name.full().clone(), deref: false }
            });
            let (ref_lock, packed_lock) = (
                Fail::AfterDurationWithBackoff(REF_PATIENCE),
                Fail::AfterDurationWithBackoff(PACKED_PATIENCE),
            );
            let prepared = self.refs.transaction().prepare(edits, ref_lock, packed_lock);
            prepared.and_then(|ready| ready.commit(None)).map(drop)
        };
        let removed = match delete() {
            // git took the last ref out of `packed-refs` meanwhile, and the file with it.
            Err(error) if is_missing(&error) => delete(),
            removed => removed,
        };
        removed.map_err(|error| store("remove", &first, &error))
    }

    /// Removes the lock that a killed process left beside the ref called `name`; if that is
    /// [`RefName::ALL_OWN`], beside any ref of the bus.
    ///
    /// The caller holds the clone's lock and knows that the process is dead.
    pub fn remove_ref_lock(&self, name: &str) {
        if name == OWN {
            let folders = [OWN, RefName::ALL_SEEN].map(|folder| self.common_dir().join(folder));
            let entries = folders
                .into_iter()
                .flat_map(|folder| walkdir::WalkDir::new(folder).into_iter().flatten());
            let locks = entries.filter(|entry| entry.file_type().is_file());
            for lock in
                locks.filter(|entry| entry.path().extension().is_some_and(|end| end == "lock"))
            {
                // One that cannot be removed is in the way of the write that follows, which says
                // so.
                let _ = fs::remove_file(lock.path());
            }
            return;
        }
        let ours = (name.starts_with("refs/bus/") || name.starts_with("refs/bus-remote/"))
            && gix::validate::reference::name(name.into()).is_ok();
        if ours {
            // Where there is none, or it cannot be removed, the write that follows says so.
            let _ = fs::remove_file(self.common_dir().join(format!("{name}.lock")));
        }
    }

    /// The ref's own lock, as git takes it.
    pub(super) fn lock_ref(&self, name: &RefName) -> Result<LockFile, Error> {
        self.make_room(name).map_err(|error| store("write", name.as_str(), &error))?;
        let patience = Fail::AfterDurationWithBackoff(REF_PATIENCE);
        let boundary = Some(self.common_dir().to_owned());
        // The umask decides who may read it, as for everything else here.
        let acquire = || {
            LockFile::acquire_to_update_resource(self.ref_path(name), patience, boundary.clone(), 0)
        };
        let lock = match acquire() {
            // After a power loss nobody knows who left it; who holds one for so long is dead.
            Err(_) if self.has_old_lock(name) => {
                let _ = fs::remove_file(self.lock_path(name));
                acquire()
            }
            lock => lock,
        };
        lock.map_err(|error| store("lock", name.as_str(), &error))
    }

    /// Takes away what stands where a ref of the bus is to be written, as `refs/bus/locks/x` does
    /// for `refs/bus/locks`: git keeps refs as files, so one of the two has to go. What it said is
    /// kept in `bus/broken`.
    fn make_room(&self, name: &RefName) -> io::Result<()> {
        let path = self.ref_path(name);
        let refs = self.common_dir().join("refs");
        let above = path.ancestors().skip(1).take_while(|folder| *folder != refs);
        let in_the_way = [path.as_path()]
            .into_iter()
            .filter(|path| path.is_dir())
            .chain(above.filter(|folder| folder.is_file()));
        for odd in in_the_way {
            // git leaves empty folders behind.
            if fs::remove_dir(odd).is_ok() {
                continue;
            }
            let broken = self.common_dir().join("bus/broken");
            fs::create_dir_all(&broken)?;
            let called = odd.strip_prefix(&refs).unwrap_or(odd).to_string_lossy().replace('/', "-");
            let free = (0..)
                .map(|number| broken.join(format!("refs-{called}-{number}")))
                .find(|path| !path.exists());
            fs::rename(odd, free.expect("there is always another number"))?;
        }
        Ok(())
    }

    fn lock_path(&self, name: &RefName) -> PathBuf {
        self.common_dir().join(format!("{}.lock", name.as_str()))
    }

    /// Whether the lock of a ref of the bus is older than anybody holds one. git holds one for
    /// milliseconds, and `bus` only while it has the clone's lock, which the caller has now.
    fn has_old_lock(&self, name: &RefName) -> bool {
        let is_ours =
            name.as_str().starts_with(OWN) || name.as_str().starts_with(RefName::ALL_SEEN);
        let written =
            fs::symlink_metadata(self.lock_path(name)).and_then(|metadata| metadata.modified());
        is_ours
            && written
                .is_ok_and(|written| written.elapsed().is_ok_and(|age| age >= ABANDONED_AFTER))
    }

    pub(super) fn ref_path(&self, name: &RefName) -> PathBuf {
        self.common_dir().join(name.as_str())
    }

    pub(super) fn loose_object(&self, id: ObjectId) -> PathBuf {
        let name = id.to_string();
        let (folder, file) = name.split_at(2);
        [self.common_dir(), "objects".as_ref(), folder.as_ref(), file.as_ref()].iter().collect()
    }
}

/// Whether an error of a ref's file says that there is no such file.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

fn read(id: ObjectId, commit: &[u8]) -> Option<Link> {
    let parts = CommitRef::from_bytes(commit, gix::hash::Kind::Sha1).ok()?;
    let author = parts.author().ok()?;
    let (subject, body) = split_once(parts.message, b"\n\n").unwrap_or((parts.message, b""));
    Some(Link {
        id,
        parent: parts.parents().next(),
        author: author.name.to_string(),
        time: Timestamp::from_unix(author.time().ok()?.seconds),
        subject: String::from_utf8_lossy(subject).into_owned(),
        body: body.to_vec(),
    })
}

fn split_once<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = memchr::memmem::find(bytes, separator)?;
    Some((&bytes[..place], &bytes[place + separator.len()..]))
}

/// Makes the lock, with `id` in it, the ref: synced before it is renamed.
pub(super) fn commit(mut lock: LockFile, id: ObjectId) -> io::Result<()> {
    lock.with_mut(|file| {
        file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all())
    })?;
    lock.commit().map(drop).map_err(|error| error.error)
}
/// Whether a file that should have been there is the reason of `error`.
fn is_missing(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
    })
}
