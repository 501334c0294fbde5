//! The policy by which a change is judged: the base's, whatever the change makes of it (design, section 1.5).

use super::Error;
use super::base::{Base, Commit};
use super::records;
use crate::git::{History, Repository};
use crate::record::Config;

/// Where the policy stands.
pub(super) const CONFIG: &str = "_bus/config.toml";

/// The policy that holds: the base's; without a base that of HEAD, else that of the worktree. A policy that cannot be read says nothing.
///
/// # Errors
///
/// [`Error::Git`] or [`Error::Store`] if a file or a commit cannot be read.
pub(super) fn that_holds(repo: &Repository, history: &History, base: Option<&Base>) -> Result<Config, Error> {
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
    let path = repo.root().join(CONFIG);
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    Ok(if is_file { parse(&records::read(&path)?) } else { Config::default() })
}

/// The policy that a commit has; `None` if it has none.
pub(super) fn of_commit(history: &History, commit: &Commit) -> Result<Option<Config>, Error> {
    let file = commit.at(CONFIG).filter(|file| file.is_regular);
    Ok(file.map(|file| history.read(file.id)).transpose()?.map(|bytes| parse(&bytes)))
}

/// Reads the text of a policy; one that means nothing is the default.
pub(super) fn parse(bytes: &[u8]) -> Config {
    std::str::from_utf8(bytes).ok().and_then(|text| Config::parse(text).ok()).unwrap_or_default()
}
