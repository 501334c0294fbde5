//! One worktree of a clone that has a bus, and what every command knows of it: who acts, the
//! policy, the record, the fleet it belongs to.

mod archive;
mod branch_records;
mod clone_id;
mod fleet_fault;
mod identity;
mod import;
mod manifest;
mod membership;
mod mode;
mod named_path;
mod notes;
mod own_record;
mod ref_swap;
mod remote_objects;
mod remote_poll;

pub(crate) use fleet_fault::FleetFault;
pub(crate) use identity::IdentitySource;
pub(in crate::bus) use identity::Who;
pub(in crate::bus) use import::{read_lines, worktree_key};
pub(crate) use manifest::ManifestState;
pub(in crate::bus) use membership::{Reach, usage};
pub(crate) use mode::Mode;
pub(crate) use named_path::{NamedPath, named_path};
pub(crate) use notes::Note;
pub use notes::Notes;
pub(in crate::bus) use own_record::{IGNORE_RECORDS, check_length, remove};
pub(in crate::bus) use ref_swap::{Known, MAX_TRIES, Turn};
pub(crate) use remote_poll::Looking;

use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use crate::bus::Error;
use crate::git::{Archive, Repository, Worktree};
use crate::record::{AgentId, CONFIG_FILE, Config, ConfigFault, Fleet, SessionId};
use crate::store::{Clock, Layout, Lock, Place, PrivateLayout, touch, touch_again};

/// The longest `config.toml` that is read, in bytes.
const MAX_CONFIG: usize = 64 * 1024;

/// How a bus is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// A folder in the repository.
    pub start: PathBuf,
    /// The time.
    pub clock: Clock,
    /// How long the lock is waited for.
    pub patience: Duration,
    /// How long each talk with the fleet's remote may take.
    pub remote_patience: Duration,
    /// The command, as the lock's note names it.
    pub command: &'static str,
    /// The session, which claims and events name.
    pub session: Option<SessionId>,
    /// Where what is to be mentioned beside the answer is gathered.
    pub notes: Notes,
}

/// The bus of a repository, as one worktree sees it.
pub struct Workspace {
    pub(in crate::bus) repo: Repository,
    pub(in crate::bus) layout: Layout,
    pub(in crate::bus) private: PrivateLayout,
    /// The log of record of this clone.
    pub(in crate::bus) record: Layout,
    pub(in crate::bus) notes: Notes,
    /// Where records are kept, once that was looked for.
    pub(in crate::bus) mode: OnceCell<Mode>,
    /// What came with branches and counts as a record, once that was looked for.
    pub(in crate::bus) branch_records: OnceCell<Vec<Layout>>,
    /// All that counts as a record of this clone, once that was looked for.
    pub(in crate::bus) record_layouts: OnceCell<Vec<Layout>>,
    /// The record files of the target's commit, for a clone that has written nothing yet.
    pub(in crate::bus) unpacked: OnceCell<tempfile::TempDir>,
    pub(in crate::bus) clock: Clock,
    pub(in crate::bus) command: &'static str,
    pub(in crate::bus) session: Option<SessionId>,
    pub(in crate::bus) remote_patience: Duration,
    /// The fleet, once it was looked for.
    pub(in crate::bus) fleet: OnceCell<Fleet>,
    /// Whether it was looked for, and there is none.
    pub(in crate::bus) has_no_fleet: Cell<bool>,
    /// What looks at the fleet's remote while a command waits.
    pub(in crate::bus) looking: OnceCell<Looking>,
    /// The archive as it was last read.
    pub(in crate::bus) archive: Cell<Option<Archive>>,
    patience: Duration,
    worktrees: OnceCell<Vec<(Worktree, Layout)>>,
    config: OnceCell<Config>,
    /// The clone's id, once it is known.
    pub(in crate::bus) known_id: RefCell<Option<String>>,
}

impl Workspace {
    /// Opens the repository around `options.start`, whether it has a bus or not.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] if there is no repository that can be used.
    pub fn of_repository(options: Options) -> Result<Self, Error> {
        let repo = Repository::discover(&options.start)?;
        let private = PrivateLayout::new(repo.common_dir().to_owned());
        Ok(Self {
            layout: Layout::new(repo.root().to_owned()),
            record: private.record(),
            private,
            notes: options.notes,
            mode: OnceCell::new(),
            branch_records: OnceCell::new(),
            record_layouts: OnceCell::new(),
            unpacked: OnceCell::new(),
            clock: options.clock,
            command: options.command,
            session: options.session,
            remote_patience: options.remote_patience,
            fleet: OnceCell::new(),
            has_no_fleet: Cell::new(false),
            looking: OnceCell::new(),
            archive: Cell::new(None),
            patience: options.patience,
            worktrees: OnceCell::new(),
            config: OnceCell::new(),
            known_id: RefCell::new(None),
            repo,
        })
    }

    /// Opens the bus of the repository around `options.start`: this worktree, another one of the
    /// clone, `refs/bus/` or the record has one.
    ///
    /// # Errors
    ///
    /// [`Error::NoBus`] if there is none; [`Error::Git`] if there is no repository that can
    /// be used.
    pub fn open(options: Options) -> Result<Self, Error> {
        let ws = Workspace::of_repository(options)?;
        // `deinit` removes the note of the mode, but not the record.
        let has_record = || ws.private.records().path().exists() && ws.record.root().is_dir();
        let anywhere =
            || ws.layouts().any(Layout::has_bus) || ws.repo.has_bus_refs() || has_record();
        if ws.layout.has_bus() || anywhere() || ws.repo.left_out_file(CONFIG_FILE)?.is_some() {
            return Ok(ws);
        }
        Err(Error::NoBus { root: ws.layout.root().to_owned() })
    }

    /// Says so if this sparse worktree leaves out the folder `name`, at its root, whose files are
    /// then seen only if another worktree has them.
    pub(in crate::bus) fn warn_if_left_out(&self, name: &str) {
        if self.layout.root().join(name).symlink_metadata().is_ok() {
            return;
        }
        let is_below =
            |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let files = self.repo.history().and_then(|history| history.left_out(is_below));
        let text = match files.map(|files| files.len()) {
            Ok(0) => return,
            Ok(files) => format!(
                "{name}/ is left out of this sparse worktree; its {} shown only if another worktree has it: \
                 `git sparse-checkout add {name}`",
                if files == 1 { "1 file is".to_owned() } else { format!("{files} files are") }
            ),
            Err(error) => format!("{name}/ is not here, and the index does not say why: {error}"),
        };
        self.notes.add(Note::Warning(text));
    }

    /// How the same bus is opened once more.
    pub(in crate::bus) fn options(&self) -> Options {
        Options {
            start: self.layout.root().to_owned(),
            clock: self.clock,
            patience: self.patience,
            remote_patience: self.remote_patience,
            command: self.command,
            session: self.session.clone(),
            notes: self.notes.clone(),
        }
    }

    /// The policy: this worktree's `config.toml`, else the main worktree's, else the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::MalformedConfig`] if the file means nothing.
    pub(crate) fn config(&self) -> Result<&Config, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.read_config()?;
        Ok(self.config.get_or_init(|| config))
    }

    pub(in crate::bus) fn read_config(&self) -> Result<Config, Error> {
        let mut places = vec![self.layout.config()];
        let bytes = match places[0].read(MAX_CONFIG)? {
            Some(bytes) => Some(bytes),
            None => {
                let main = self.worktrees().iter().find(|(worktree, _)| worktree.name.is_none());
                places.extend(main.map(|(_, layout)| layout.config()));
                // A sparse worktree may leave it out.
                match places[places.len() - 1].read(MAX_CONFIG)? {
                    None => self.repo.left_out_file(CONFIG_FILE)?,
                    found => found,
                }
            }
        };
        let Some(bytes) = bytes else { return Ok(Config::default()) };
        let fault = |what: &str| ConfigFault { what: what.to_owned(), line: 1 };
        let text = std::str::from_utf8(&bytes).map_err(|_| fault("it is no UTF-8"));
        let text = text.and_then(|text| {
            if bytes.len() > MAX_CONFIG { Err(fault("it is too long")) } else { Ok(text) }
        });
        let path = places[places.len() - 1].path();
        text.and_then(Config::parse).map_err(|fault| Error::MalformedConfig { path, fault })
    }

    /// Whether this worktree has a bus itself.
    #[must_use]
    pub(crate) fn is_here(&self) -> bool {
        self.layout.has_bus()
    }

    /// The root of this worktree.
    #[must_use]
    pub(crate) fn root(&self) -> &std::path::Path {
        self.layout.root()
    }

    /// The folder that all worktrees of the clone share.
    #[must_use]
    pub(crate) fn common_dir(&self) -> &std::path::Path {
        self.private.common()
    }

    /// Whether `branch` is checked out in this worktree.
    #[must_use]
    pub(crate) fn is_on(&self, branch: &str) -> bool {
        self.repo.branch().as_deref() == Some(branch)
    }

    /// Whether there is a branch called `branch`.
    #[must_use]
    pub(crate) fn has_branch(&self, branch: &str) -> bool {
        self.repo.has_branch(branch)
    }

    /// The time.
    #[must_use]
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Notes that `agent` is at work: a heartbeat (docs/design.md, section 3), of its session, too.
    pub(crate) fn note_presence(&self, agent: &AgentId) {
        touch(&self.private.presence(agent), self.clock);
        if let Some(session) = &self.session {
            touch_again(&self.private.session(agent, session), self.clock);
        }
    }

    /// All worktrees of the clone, this one first.
    pub(in crate::bus) fn worktrees(&self) -> &[(Worktree, Layout)] {
        self.worktrees.get_or_init(|| {
            let all = self.repo.worktrees().into_iter();
            all.map(|worktree| (worktree.clone(), Layout::new(worktree.root))).collect()
        })
    }

    /// The layouts of all worktrees of the clone, this one first.
    pub(in crate::bus) fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.worktrees().iter().map(|(_, layout)| layout)
    }

    /// Takes the clone's lock, clears away what a process that was killed under it left, and takes
    /// in what an older bus left: so that is done before anything is written.
    pub(in crate::bus) fn lock(&self) -> Result<Lock, Error> {
        let lock = self.lock_alone()?;
        self.move_over(&lock)?;
        Ok(lock)
    }

    /// Takes the clone's lock, and takes nothing in.
    pub(in crate::bus) fn lock_alone(&self) -> Result<Lock, Error> {
        let clean = |reference: &str| self.repo.remove_ref_lock(reference);
        Ok(Lock::acquire(&self.private.lock(), self.command, self.patience, clean)?)
    }

    /// How `place` is called in messages: its path below the root of the worktree that has it, else
    /// in full.
    pub(in crate::bus) fn show(&self, place: &Place) -> String {
        let path = place.path();
        path.strip_prefix(self.layout.root()).unwrap_or(&path).display().to_string()
    }

    /// How long an owner may be silent as the policy has it, else by default, and what is wrong
    /// with the policy then.
    pub(in crate::bus) fn stale_after(&self) -> (Duration, Option<Error>) {
        match self.config() {
            Ok(config) => (config.stale_after.get(), None),
            Err(error) => (Config::default().stale_after.get(), Some(error)),
        }
    }
}
