//! What a git repository can refuse.

use std::path::PathBuf;
use std::time::Duration;

use crate::code::{Code, system_hint};
use crate::record::Span;

/// An error of the git layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the folder nor one above it is a repository.
    #[error("`{}` is in no git repository", path.display())]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// A repository without a work tree.
    #[error("`{}` is a bare repository: it has no work tree to keep a bus in", path.display())]
    Bare {
        /// The repository.
        path: PathBuf,
    },
    /// A `.git` file that points nowhere.
    #[error("`{}` points to a repository that is not there", path.display())]
    BrokenGitDir {
        /// The `.git` file.
        path: PathBuf,
    },
    /// The repository belongs to another user, and git has not been told to trust it.
    #[error("`{}` belongs to another user", path.display())]
    OtherOwner {
        /// The repository.
        path: PathBuf,
    },
    /// A repository format that cannot be read.
    #[error("`{}` cannot be read: {what}", path.display())]
    Unsupported {
        /// The repository.
        path: PathBuf,
        /// Which part of the format it is.
        what: String,
    },
    /// A ref or an object could not be read or written.
    #[error("cannot {verb} `{name}`: {what}")]
    Store {
        /// What was being done.
        verb: &'static str,
        /// The ref or object.
        name: String,
        /// What the store said.
        what: String,
        /// What the system said, where that was the cause.
        kind: Option<std::io::ErrorKind>,
    },
    /// An object is missing or damaged, as a power loss leaves it, or is none that should stand
    /// there.
    #[error("`{name}` is damaged: {what}")]
    Damaged {
        /// The ref or object.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is no such revision.
    #[error("there is no commit `{revision}` here")]
    NoRevision {
        /// What was asked for.
        revision: String,
    },
    /// A shallow clone lacks a commit, or what lies between it and HEAD.
    #[error("this clone is shallow, and lacks `{revision}` or what lies between it and HEAD")]
    TooShallow {
        /// What was asked for.
        revision: String,
    },
    /// There is no remote of that name that could be talked to.
    #[error("the remote `{remote}` cannot be used: {what}")]
    NoRemote {
        /// The remote.
        remote: String,
        /// Why not.
        what: &'static str,
    },
    /// The remote did not answer.
    #[error("the remote `{remote}` cannot be reached: {what}")]
    Unreachable {
        /// The remote.
        remote: String,
        /// What git says.
        what: String,
    },
    /// The remote did not answer in time.
    #[error("the remote `{remote}` did not answer within {}", Span::new(*patience))]
    RemoteTimeout {
        /// The remote.
        remote: String,
        /// How long was waited.
        patience: Duration,
    },
    /// A signal came before the remote had answered. Nothing was sent.
    #[error("the command was interrupted before the remote answered")]
    Interrupted,
    /// A signal came while something was sent to the remote, and what came of it is not known.
    #[error("outcome unknown: the command was interrupted while it sent something to `{remote}`")]
    PushInterrupted {
        /// The remote.
        remote: String,
    },
    /// The user's git could not be started.
    #[error("cannot run `git`")]
    NoGit {
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotARepository { .. } | Self::Bare { .. } => Code::NoRepository,
            Self::OtherOwner { .. } | Self::Unsupported { .. } => Code::UnsupportedRepository,
            Self::NoRevision { .. } | Self::TooShallow { .. } => Code::NoRevision,
            Self::NoRemote { .. } | Self::Unreachable { .. } | Self::RemoteTimeout { .. } => {
                Code::RemoteUnreachable
            }
            Self::Interrupted => Code::Interrupted,
            Self::PushInterrupted { .. } => Code::OutcomeUnknown,
            Self::BrokenGitDir { .. }
            | Self::Store { .. }
            | Self::Damaged { .. }
            | Self::NoGit { .. } => Code::System,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotARepository { .. } => {
                "go to a repository, name one with `bus -C DIR`, or make one with `git init`".to_owned()
            }
            Self::Bare { .. } => "run `bus` in a worktree of it: `git worktree add ../work`".to_owned(),
            Self::BrokenGitDir { .. } => {
                "run `git worktree repair` in the main worktree, or `git worktree prune` there".to_owned()
            }
            Self::OtherOwner { path } => {
                format!("if you trust it, say so to git: `git config --global --add safe.directory {}`", path.display())
            }
            Self::Unsupported { .. } => {
                "use a repository with SHA-1 objects and refs in files, as `git init` makes them".to_owned()
            }
            Self::Store { verb: "lock", kind: None, .. } => {
                "run the same command again; if no git command runs any more, `bus doctor --fix` removes the lock a minute \
                 after it was made"
                    .to_owned()
            }
            Self::Store { kind, .. } => kind
                .and_then(system_hint)
                .unwrap_or("look at the repository with `git fsck`, then run the same command again")
                .to_owned(),
            Self::Damaged { .. } => "look at the repository with `git fsck`, then run the same command again".to_owned(),
            Self::NoRevision { .. } => "name a commit or a branch that `git log` knows; `git fetch` brings a remote's".to_owned(),
            Self::TooShallow { .. } => {
                "deepen the clone: `git fetch --unshallow`; in GitHub Actions: `fetch-depth: 0`".to_owned()
            }
            Self::NoRemote { remote, .. } => format!("look at `git remote -v`; to name one: `git remote add {remote} URL`"),
            Self::Unreachable { remote, .. } => format!(
                "try `git ls-remote {remote}`, and run the same command again when that works; until then `bus claim TASK --offline` and \
                 `bus release TASK --offline` do without"
            ),
            Self::RemoteTimeout { .. } => {
                "run the same command again, or give it more time with `--remote-timeout 2m`; until then `bus claim TASK --offline` and \
                 `bus release TASK --offline` do without"
                    .to_owned()
            }
            Self::Interrupted => "run the same command again".to_owned(),
            Self::PushInterrupted { .. } => "run the same command again: it finds out, and does nothing twice".to_owned(),
            Self::NoGit { .. } => "install git, or put it on the PATH".to_owned(),
        }
    }
}

/// The error of what was said when `verb` was tried on `name`.
pub(super) fn store(
    verb: &'static str,
    name: &str,
    error: &(dyn std::error::Error + 'static),
) -> Error {
    let errors = causes(error);
    let kind = errors.iter().find_map(|error| Some(error.downcast_ref::<std::io::Error>()?.kind()));
    Error::Store { verb, name: name.to_owned(), what: story(error), kind }
}

/// The whole story of a `gix` error in one line.
pub(super) fn story(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for error in causes(error) {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&more);
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The error and what caused it; `gix`'s own keep their causes in a tree.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Vec<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<gix::Error>() {
        Some(error) => error.iter_errors().collect(),
        None => std::iter::successors(Some(error), |error| error.source()).collect(),
    }
}
