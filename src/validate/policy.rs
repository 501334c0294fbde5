//! The policy by which a change is judged: the base's, whatever the change makes of it (design,
//! section 1.5).

use super::base::{Base, Commit};
use super::records::MAX_CONFIG;
use super::sparse::JudgedFiles;
use super::{Error, records};
use crate::git::History;
use crate::record::Config;

/// Where the policy stands.
pub(super) const CONFIG: &str = "_bus/config.toml";

/// The policy that holds: the base's; without a base that of HEAD, else that of the worktree. A
/// policy that cannot be read says nothing.
///
/// # Errors
///
/// [`Error::Git`] or [`Error::Store`] if a file or a commit cannot be read.
pub(super) fn that_holds(
    files: &JudgedFiles,
    history: &History,
    base: Option<&Base>,
) -> Result<Config, Error> {
    if let Some(base) = base {
        for commit in base.newest_first() {
            if let Some(policy) = of_commit(history, commit)? {
                return Ok(policy);
            }
        }
        return Ok(Config::default());
    }
    let head = history.head().map(|head| Commit::policy(history, head)).transpose()?;
    let committed = head.map(|head| of_commit(history, &head)).transpose()?.flatten();
    if let Some(policy) = committed {
        return Ok(policy);
    }
    let path = files.root().join(CONFIG);
    Ok(if records::is_plain(files.root(), CONFIG) {
        parse(&records::read(&path)?)
    } else {
        Config::default()
    })
}

/// The policy that a commit has; `None` if it has none.
pub(super) fn of_commit(history: &History, commit: &Commit) -> Result<Option<Config>, Error> {
    let file = commit.at(CONFIG).filter(|file| file.is_regular);
    Ok(file.map(|file| history.read(file.id)).transpose()?.map(|bytes| parse(&bytes)))
}

/// Reads the text of a policy; one that means nothing is the default.
pub(super) fn parse(bytes: &[u8]) -> Config {
    match Policy::of(bytes) {
        Policy::Is(config) => *config,
        Policy::Missing | Policy::Unreadable => Config::default(),
    }
}

/// A policy, as far as it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Missing,
    Unreadable,
    Is(Box<Config>),
}

impl Policy {
    /// Reads the text of a policy.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_CONFIG);
        let config = text.and_then(|text| Config::parse(text).ok());
        config.map_or(Self::Unreadable, |config| Self::Is(Box::new(config)))
    }

    /// What of the policy holds otherwise than in `before`, as the file calls it. Where a log's
    /// lines go is each clone's own.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        let (old, new) = match (before, self) {
            (one, other) if one == other => return Vec::new(),
            (Self::Is(old), Self::Is(new)) => ((**old).clone(), (**new).clone()),
            (Self::Missing, Self::Is(new)) => (Config::default(), (**new).clone()),
            (_, Self::Missing) => return vec!["the file, which is gone"],
            (_, Self::Unreadable) => return vec!["the file, which cannot be read"],
            // Whoever repairs it decides what holds.
            (Self::Unreadable, Self::Is(_)) => return vec!["the file, which could not be read"],
        };
        let parts = [
            ("[fleet]", old.fleet != new.fleet),
            ("[records]", old.records != new.records),
            ("[locks]", old.leases != new.leases),
            ("[claims]", (old.ttl, old.stale_after) != (new.ttl, new.stale_after)),
            ("[ci]", old.claims_required != new.claims_required),
            ("require_assignment", old.require_assignment != new.require_assignment),
            ("managers", old.managers != new.managers),
        ];
        parts.into_iter().filter(|(_, is_changed)| *is_changed).map(|(part, _)| part).collect()
    }
}
