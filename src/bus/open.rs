//! A bus, opened from one worktree.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use super::{Error, Looking, Mode, Notes};
use crate::git::Archive;
use crate::git::{Repository, Worktree};
use crate::record::{AgentId, Config, ConfigFault, Fleet, SessionId};
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
pub struct Bus {
    pub(super) repo: Repository,
    pub(super) layout: Layout,
    pub(super) private: PrivateLayout,
    /// The log of record of this clone.
    pub(super) record: Layout,
    pub(super) notes: Notes,
    /// Where records are kept, once that was looked for.
    pub(super) mode: OnceCell<Mode>,
    /// What came with branches and counts as a record, once that was looked for.
    pub(super) branch_records: OnceCell<Vec<Layout>>,
    /// All that counts as a record of this clone, once that was looked for.
    pub(super) record_layouts: OnceCell<Vec<Layout>>,
    /// The record files of the target's commit, for a clone that has written nothing yet.
    pub(super) unpacked: OnceCell<tempfile::TempDir>,
    pub(super) clock: Clock,
    pub(super) command: &'static str,
    pub(super) session: Option<SessionId>,
    pub(super) remote_patience: Duration,
    /// The fleet, once it was looked for.
    pub(super) fleet: OnceCell<Fleet>,
    /// Whether it was looked for, and there is none.
    pub(super) has_no_fleet: Cell<bool>,
    /// What looks at the fleet's remote while a command waits.
    pub(super) looking: OnceCell<Looking>,
    /// The archive as it was last read.
    pub(super) archive: Cell<Option<Archive>>,
    patience: Duration,
    worktrees: OnceCell<Vec<(Worktree, Layout)>>,
    config: OnceCell<Config>,
    /// The clone's id, once it is known.
    pub(super) known_id: RefCell<Option<String>>,
}

impl Bus {
    /// Opens the repository around `options.start`, whether it has a bus or not.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] where there is no repository that can be used.
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

    /// Opens the bus of the repository around `options.start`: this worktree, another one of the clone, `refs/bus/` or the record
    /// has one.
    ///
    /// # Errors
    ///
    /// [`Error::NoBus`] where there is none; [`Error::Git`] where there is no repository that can be used.
    pub fn open(options: Options) -> Result<Self, Error> {
        let bus = Self::of_repository(options)?;
        // `deinit` removes the note of the mode, but not the record.
        let has_record = || bus.private.records().path().exists() && bus.record.root().is_dir();
        let anywhere = || bus.layouts().any(Layout::has_bus) || bus.repo.has_bus_refs() || has_record();
        if bus.layout.has_bus() || anywhere() {
            return Ok(bus);
        }
        Err(Error::NoBus { root: bus.layout.root().to_owned() })
    }

    /// How the same bus is opened once more.
    pub(super) fn options(&self) -> Options {
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
    /// [`Error::MalformedConfig`] where the file means nothing.
    pub fn config(&self) -> Result<&Config, Error> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.read_config()?;
        Ok(self.config.get_or_init(|| config))
    }

    pub(super) fn read_config(&self) -> Result<Config, Error> {
        let mut places = vec![self.layout.config()];
        let bytes = match places[0].read(MAX_CONFIG)? {
            Some(bytes) => Some(bytes),
            None => {
                let main = self.worktrees().iter().find(|(worktree, _)| worktree.name.is_none());
                places.extend(main.map(|(_, layout)| layout.config()));
                places[places.len() - 1].read(MAX_CONFIG)?
            }
        };
        let Some(bytes) = bytes else { return Ok(Config::default()) };
        let fault = |what: &str| ConfigFault { what: what.to_owned(), line: 1 };
        let text = std::str::from_utf8(&bytes).map_err(|_| fault("it is no UTF-8"));
        let text = text.and_then(|text| if bytes.len() > MAX_CONFIG { Err(fault("it is too long")) } else { Ok(text) });
        let path = places[places.len() - 1].path();
        text.and_then(Config::parse).map_err(|fault| Error::MalformedConfig { path, fault })
    }

    /// Whether this worktree has a bus itself.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.layout.has_bus()
    }

    /// The root of this worktree.
    #[must_use]
    pub fn root(&self) -> &std::path::Path {
        self.layout.root()
    }

    /// The folder that all worktrees of the clone share.
    #[must_use]
    pub fn common_dir(&self) -> &std::path::Path {
        self.private.common()
    }

    /// Whether `branch` is checked out in this worktree.
    #[must_use]
    pub fn is_on(&self, branch: &str) -> bool {
        self.repo.branch().as_deref() == Some(branch)
    }

    /// Whether there is a branch called `branch`.
    #[must_use]
    pub fn has_branch(&self, branch: &str) -> bool {
        self.repo.has_branch(branch)
    }

    /// The time.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Notes that `agent` is at work: a sign of life (design, section 3), of its session, too.
    pub fn note_presence(&self, agent: &AgentId) {
        touch(&self.private.presence(agent), self.clock);
        if let Some(session) = &self.session {
            touch_again(&self.private.session(agent, session), self.clock);
        }
    }

    /// All worktrees of the clone, this one first.
    pub(super) fn worktrees(&self) -> &[(Worktree, Layout)] {
        self.worktrees.get_or_init(|| {
            let all = self.repo.worktrees().into_iter();
            all.map(|worktree| (worktree.clone(), Layout::new(worktree.root))).collect()
        })
    }

    /// The layouts of all worktrees of the clone, this one first.
    pub(super) fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.worktrees().iter().map(|(_, layout)| layout)
    }

    /// Takes the clone's lock, clears away what a process that was killed under it left, and takes in what an older bus left: so
    /// that is done before anything is written.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        let lock = self.lock_alone()?;
        self.move_over(&lock)?;
        Ok(lock)
    }

    /// Takes the clone's lock, and takes nothing in.
    pub(super) fn lock_alone(&self) -> Result<Lock, Error> {
        let clean = |reference: &str| self.repo.remove_ref_lock(reference);
        Ok(Lock::acquire(&self.private.lock(), self.command, self.patience, clean)?)
    }

    /// How `place` is called in messages: its path below the root of the worktree that has it, else in full.
    pub(super) fn show(&self, place: &Place) -> String {
        let path = place.path();
        path.strip_prefix(self.layout.root()).unwrap_or(&path).display().to_string()
    }
}
