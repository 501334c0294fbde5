//! Finds the repository around a folder, and its worktrees.
//!
//! It is put together from `gix`'s parts, each opened when it is first needed: a whole
//! `gix::Repository` costs a command that only appends to the log as much as the append itself.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use gix::config::{File as Config, Source};
use gix::discover::repository::Path as Found;
use gix::hash::Kind;
use gix::refs::file::Store;
use gix::refs::store::WriteReflog;
use gix::sec::Trust;

use super::child::{git_attributes, git_hooks_folder, git_trusts};
use super::error::store;
use super::loose::LooseReader;
use super::{Error, ObjectId, sharing};

/// The extensions of the repository format that do not change how refs and objects are read, in
/// lower case (git-config(1), `extensions.*`). git itself refuses a repository with one that it
/// does not know.
const HARMLESS_EXTENSIONS: [&str; 5] =
    ["noop", "partialclone", "preciousobjects", "relativeworktrees", "worktreeconfig"];

/// One checkout of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Its name among the linked worktrees; none for the main one.
    pub name: Option<String>,
    /// Its root.
    pub root: PathBuf,
}

/// The repository around a folder, as seen from one worktree.
pub struct Repository {
    pub(super) refs: Store,
    objects: OnceCell<gix::odb::Handle>,
    pub(super) loose: OnceCell<RefCell<LooseReader>>,
    config: Config,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

impl Repository {
    /// Finds the repository that `start` lies in. `GIT_DIR` and its kin are not heeded (design,
    /// section 7).
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`], [`Error::Bare`], [`Error::OtherOwner`] or [`Error::Unsupported`]:
    /// what stands there is nothing that `bus` can use. [`Error::BrokenGitDir`] or
    /// [`Error::Store`]: there is one, and it cannot be read.
    pub fn discover(start: &Path) -> Result<Self, Error> {
        let missing = || Error::NotARepository { path: start.to_owned() };
        let start = fs::canonicalize(start).map_err(|error| match is_missing(&error) {
            true => missing(),
            false => store("read", &start.display().to_string(), &error),
        })?;
        let found = gix::discover::upwards(&start);
        // What cannot be read looks like what is not there, or like somebody else's.
        if found.as_ref().is_ok_and(|(_, trust)| *trust != Trust::Full) || found.is_err() {
            check_readable(&start)?;
        }
        if let Some(path) =
            dead_link(&start, found.as_ref().ok().and_then(|(found, _)| work_dir(found)))
        {
            check_readable(&start)?;
            return Err(Error::BrokenGitDir { path });
        }
        let (found, trust) = found.map_err(|_| missing())?;
        if trust != Trust::Full && !git_trusts(&start)? {
            return Err(Error::OtherOwner { path: work_dir(&found).unwrap_or(&start).to_owned() });
        }
        let root = work_dir(&found).map(Path::to_owned);
        let (git_dir, _) = found.into_repository_and_work_tree_directories();
        Self::open(root, git_dir)
    }

    fn open(root: Option<PathBuf>, git_dir: PathBuf) -> Result<Self, Error> {
        let unsupported = |what: String| Error::Unsupported { path: git_dir.clone(), what };
        let unreadable = |path: &Path, error: &(dyn std::error::Error + 'static)| {
            store("read", &path.display().to_string(), error)
        };
        let whole = |path: &Path| fs::canonicalize(path).map_err(|error| unreadable(path, &error));
        let git_dir = whole(&git_dir)?;
        let link = git_dir.join("commondir");
        let linked = gix::discover::path::from_plain_file(&link)
            .transpose()
            .map_err(|error| unreadable(&link, &error))?;
        let common_dir =
            linked.as_ref().map_or(Ok(git_dir.clone()), |common| whole(&git_dir.join(common)))?;
        let path = common_dir.join("config");
        let config = Config::from_path_no_includes(path.clone(), Source::Local)
            .map_err(|error| unreadable(&path, &error))?;
        check_format(&config).map_or(Ok(()), |what| Err(unsupported(what)))?;
        sharing::obey(
            config.string("core.sharedRepository").map(|value| value.to_string()).as_deref(),
        );
        let bare = || Error::Bare { path: git_dir.clone() };
        let root = match (root, linked.is_some()) {
            (Some(root), true) => root,
            (Some(root), false) if !is_bare(&config) => {
                config_worktree(&config, &git_dir).unwrap_or(root)
            }
            _ => return Err(bare()),
        };
        let mut refs = match linked {
            Some(_) => Store::for_linked_worktree(git_dir.clone(), common_dir.clone(), Kind::Sha1),
            None => Store::at(git_dir.clone(), Kind::Sha1),
        };
        // Ours have no reflog: the chain of commits is the log, and a reflog wants the user's name.
        refs.write_reflog = WriteReflog::Disable;
        Ok(Self {
            refs,
            objects: OnceCell::new(),
            loose: OnceCell::new(),
            config,
            root: whole(&root)?,
            git_dir,
            common_dir,
        })
    }

    /// The remotes that git's settings name, with the address that each is read from, else pushed
    /// to.
    #[must_use]
    pub fn remote_addresses(&self) -> Vec<(String, String)> {
        let mut remotes: Vec<(String, String)> = Vec::new();
        for key in ["url", "pushurl"] {
            for (name, url) in self.settings_of("remote", key) {
                if !remotes.iter().any(|(known, _)| *known == name) {
                    remotes.push((name, url));
                }
            }
        }
        remotes
    }

    /// All that git's settings say of where remotes are: of each, and of addresses that stand for
    /// others.
    #[must_use]
    pub fn remote_settings(&self) -> Vec<(String, String)> {
        let keys = [
            ("remote", "url"),
            ("remote", "pushurl"),
            ("url", "insteadOf"),
            ("url", "pushInsteadOf"),
        ];
        let of_key = |(section, key)| {
            let settings = self.settings_of(section, key).into_iter();
            settings.map(move |(name, value)| (format!("{section}.{name}.{key}"), value))
        };
        keys.into_iter().flat_map(of_key).collect()
    }

    /// The values of `key` in all sections that are called `section`, each with the name that the
    /// section has.
    fn settings_of(&self, section: &str, key: &str) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        for section in self.config.sections_by_name(section).into_iter().flatten() {
            let Some(name) = section.header().subsection_name() else { continue };
            settings.extend(
                section.values(key).iter().map(|value| (name.to_string(), value.to_string())),
            );
        }
        settings
    }

    /// The root of this worktree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the file system of this worktree is said to take names that differ by case for one
    /// (`core.ignorecase`).
    #[must_use]
    pub fn ignores_case(&self) -> bool {
        matches!(self.config.boolean("core.ignorecase"), Ok(Some(true)))
    }

    /// The folder that all worktrees of the clone share.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// This worktree's own part of the repository.
    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The folder in which git looks for hooks, where that is not the common dir's own.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] or [`Error::Store`] if the user's git does not say.
    pub fn foreign_hooks(&self) -> Result<Option<PathBuf>, Error> {
        let folder = git_hooks_folder(&self.root)?;
        // The folder itself may be missing.
        let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_own = whole(&folder) == whole(&self.common_dir.join("hooks"));
        Ok(Some(folder).filter(|_| !is_own))
    }

    /// Those of `paths` in this worktree that have one of `attributes`, as the user's git reads
    /// `.gitattributes`.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] if git cannot be started.
    pub fn with_attributes<'a>(
        &self,
        attributes: &[&str],
        paths: &[&'a str],
    ) -> Result<Vec<&'a str>, Error> {
        git_attributes(&self.root, attributes, paths)
    }

    /// The name of this worktree among the linked ones; none for the main one.
    #[must_use]
    pub fn worktree_name(&self) -> Option<String> {
        let linked = self.git_dir != self.common_dir;
        self.git_dir.file_name().filter(|_| linked).map(spell)
    }

    /// The commit that HEAD is at; none on a branch without commits.
    #[must_use]
    pub fn head(&self) -> Option<ObjectId> {
        let head = self.refs.try_find("HEAD").ok().flatten()?;
        match head.target {
            gix::refs::Target::Object(id) => Some(id),
            gix::refs::Target::Symbolic(name) => {
                self.refs.try_find(name.as_ref()).ok().flatten()?.target.try_into_id().ok()
            }
        }
    }

    /// The branch that is checked out; none on a detached HEAD.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let head = self.refs.try_find("HEAD").ok().flatten()?;
        let name = head.target.try_name()?.as_bstr().to_string();
        name.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// Whether there is a branch called `name`.
    #[must_use]
    pub fn has_branch(&self, name: &str) -> bool {
        self.branch_tip(name).is_some()
    }

    /// The commit that the branch called `name` is at, or `None` if there is no such branch.
    #[must_use]
    pub fn branch_tip(&self, name: &str) -> Option<ObjectId> {
        let name = format!("refs/heads/{name}");
        self.refs.try_find(name.as_str()).ok().flatten()?.target.try_into_id().ok()
    }

    /// Whether git would take `name` for the name of a branch.
    #[must_use]
    pub fn is_branch_name(name: &str) -> bool {
        // Alone, a name of one level would have to be in capitals, as `HEAD` is.
        let whole = format!("refs/heads/{name}");
        !name.starts_with('-')
            && name != "HEAD"
            && gix::validate::reference::name(whole.as_str().into()).is_ok()
    }

    /// Whether the linked worktree `name` is gone for certain: git does not know it any more, or its
    /// folder is not in the folder that it was in. One that is locked, or whose whole path is not
    /// there, may be on a disk that is not mounted.
    #[must_use]
    pub fn worktree_is_gone(&self, name: &str) -> bool {
        let is_absent = |path: &Path| {
            path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let private = self.common_dir.join("worktrees").join(name);
        if is_absent(&private) {
            return true;
        }
        let Some(Ok(git_file)) = gix::discover::path::from_plain_file(&private.join("gitdir"))
        else {
            return false;
        };
        let git_file = private.join(git_file);
        let Some(root) = git_file.parent() else { return false };
        is_absent(&private.join("locked"))
            && is_absent(root)
            && root.parent().is_some_and(|above| above.is_dir())
    }

    /// All worktrees of the clone whose folders are there, this one first.
    #[must_use]
    pub fn worktrees(&self) -> Vec<Worktree> {
        let mut worktrees = vec![Worktree { name: self.worktree_name(), root: self.root.clone() }];
        let mut add = |name: Option<String>, root: PathBuf| {
            if let Some(root) = fs::canonicalize(root).ok().filter(|root| *root != self.root) {
                worktrees.push(Worktree { name, root });
            }
        };
        self.main_root().into_iter().for_each(|root| add(None, root));
        let linked = self.common_dir.join("worktrees");
        let mut names: Vec<_> = fs::read_dir(&linked)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        names.sort_unstable();
        for name in names {
            let private = linked.join(&name);
            let Some(Ok(git_file)) = gix::discover::path::from_plain_file(&private.join("gitdir"))
            else {
                continue;
            };
            if let Some(root) = private.join(git_file).parent() {
                add(Some(spell(&name)), root.to_owned());
            }
        }
        worktrees
    }

    /// The root of the clone's main worktree, or `None` if the common dir is bare.
    fn main_root(&self) -> Option<PathBuf> {
        if is_bare(&self.config) {
            return None;
        }
        let beside = || {
            self.common_dir
                .parent()
                .filter(|_| self.common_dir.ends_with(".git"))
                .map(Path::to_owned)
        };
        config_worktree(&self.config, &self.common_dir).or_else(beside)
    }

    /// The clone's objects.
    pub(super) fn objects(&self) -> Result<&gix::odb::Handle, Error> {
        if self.objects.get().is_none() {
            let path = self.common_dir.join("objects");
            let opened = gix::odb::at(&path, Kind::Sha1);
            let opened =
                opened.map_err(|error| store("open", &path.display().to_string(), &error))?;
            let _ = self.objects.set(opened);
        }
        Ok(self.objects.get().expect("it was set just now"))
    }
}

/// The name of a worktree as text: two names never look the same.
fn spell(name: &OsStr) -> String {
    name.to_str().map_or_else(|| name.as_encoded_bytes().escape_ascii().to_string(), str::to_owned)
}

/// What about the repository's format cannot be read, if anything.
fn check_format(config: &Config) -> Option<String> {
    let version = config
        .string("core.repositoryformatversion")
        .map_or_else(|| "0".to_owned(), |version| version.to_string());
    if version.parse::<u8>().is_ok_and(|version| version == 0) {
        return None;
    }
    if version != "1" {
        return Some(format!("its format version is {version}"));
    }
    for section in config.sections_by_name("extensions").into_iter().flatten() {
        for name in section.value_names() {
            let extension = name.to_string().to_ascii_lowercase();
            let value = section.value(name.as_str()).unwrap_or_default().to_string();
            match (extension.as_str(), value.as_str()) {
                ("refstorage", "files") | ("objectformat", "sha1") => {}
                ("refstorage", storage) => {
                    return Some(format!("its refs are stored as `{storage}`, not as files"));
                }
                ("objectformat", hash) => {
                    return Some(format!("its objects are named by {hash}, not by SHA-1"));
                }
                (known, _) if HARMLESS_EXTENSIONS.contains(&known) => {}
                (unknown, _) => return Some(format!("it uses the extension `{unknown}`")),
            }
        }
    }
    None
}

fn is_bare(config: &Config) -> bool {
    config.boolean("core.bare").ok().flatten().unwrap_or(false)
}

/// The work tree that `core.worktree` names.
fn config_worktree(config: &Config, git_dir: &Path) -> Option<PathBuf> {
    config.string("core.worktree").map(|path| git_dir.join(path.to_string()))
}

fn work_dir(found: &Found) -> Option<&Path> {
    match found {
        Found::LinkedWorkTree { work_dir, .. } | Found::WorkTree(work_dir) => Some(work_dir),
        Found::Repository(_) => None,
    }
}

/// A `.git` file nearer to `start` than the repository that was found: git would stop at it, and so
/// must we.
fn dead_link(start: &Path, found: Option<&Path>) -> Option<PathBuf> {
    let nearer = start.ancestors().take_while(|folder| found.is_none_or(|found| found != *folder));
    nearer.map(|folder| folder.join(".git")).find(|path| path.is_file())
}

/// Whether an error says that there is no such file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Refuses what the system does not let be read of the nearest repository around `start`.
fn check_readable(start: &Path) -> Result<(), Error> {
    let refused = |path: &Path, error: io::Error| match is_missing(&error) {
        true => Ok(()),
        false => Err(store("read", &path.display().to_string(), &error)),
    };
    let open = |path: &Path| {
        let metadata = fs::metadata(path)?;
        // A pipe would be waited for.
        let is_plain = metadata.is_file() || metadata.is_dir();
        if is_plain { fs::File::open(path)?.read(&mut [0]).map(drop) } else { Ok(()) }
    };
    let read = |path: PathBuf| open(&path).or_else(|error| refused(&path, error));
    for folder in start.ancestors() {
        let path = folder.join(".git");
        let git_dir = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => path,
            Ok(_) => {
                read(path.clone())?;
                let Ok(git_dir) = gix::discover::path::from_gitdir_file(&path) else {
                    return Ok(());
                };
                git_dir
            }
            Err(error) => {
                refused(&path, error)?;
                continue;
            }
        };
        fs::read_dir(&git_dir).map(drop).or_else(|error| refused(&git_dir, error))?;
        return ["HEAD", "commondir", "config"]
            .into_iter()
            .try_for_each(|name| read(git_dir.join(name)));
    }
    Ok(())
}
