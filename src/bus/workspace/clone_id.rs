//! The clone's random id (docs/design.md, section 3): what tells two clones of one repository
//! apart.
//!
//! A line of `<common dir>/bus/clone-id` says which id holds at which host, path and inode. A copy
//! of the folder is another place, so it gets an id, and a line, of its own; a folder that was
//! moved keeps its inode, and its id; one whose host has another name now is the same. A copy that
//! has host, path and inode in common, as a container's may, shows by its log (`own_log.rs`).

use std::fs;

use serde_json::Value;

use super::Workspace;
use crate::bus::Error;
use crate::record::json::{MAX_RECORD, Object};
use crate::record::{Origin, json};
use crate::store::replace;

/// How many places a folder that is copied about remembers.
const MAX_PLACES: usize = 64;

impl Workspace {
    /// This clone's id: the one that was minted for this place, else a new one.
    ///
    /// The caller holds the clone's lock.
    pub(in crate::bus) fn clone_id(&self) -> Result<String, Error> {
        match id_of(&self.known_places()?, &self.here()) {
            Some(id) => Ok(id),
            None => self.mint_clone_id(),
        }
    }

    /// Gives this place a new id, whatever it had.
    ///
    /// The caller holds the clone's lock.
    pub(in crate::bus) fn mint_clone_id(&self) -> Result<String, Error> {
        let mut entry = self.here();
        let mut places = self.known_places()?;
        places.retain(|place| !is_same(place, &entry, &["inode", "path"]));
        // The random end of a UUID.
        let id = uuid::Uuid::now_v7().simple().to_string().split_off(20);
        entry.insert("clone_id".to_owned(), Value::from(id.clone()));
        let places =
            places.iter().skip((places.len() + 1).saturating_sub(MAX_PLACES)).chain([&entry]);
        let text: String = places.map(|entry| json::compact(entry) + "\n").collect();
        replace(&self.private.clone_id(), text.as_bytes())?;
        self.known_id.replace(Some(id.clone()));
        Ok(id)
    }

    /// This clone's id, where it has one: a clone without one has made no claims.
    pub(in crate::bus) fn known_clone_id(&self) -> Result<Option<String>, Error> {
        let known = self.known_id.borrow().clone();
        if known.is_some() {
            return Ok(known);
        }
        let id = id_of(&self.known_places()?, &self.here());
        self.known_id.replace(id.clone());
        Ok(id)
    }

    /// Whether ids were minted, and none for this place.
    pub(in crate::bus) fn is_copied(&self) -> Result<bool, Error> {
        let known = self.known_places()?;
        Ok(!known.is_empty() && id_of(&known, &self.here()).is_none())
    }

    /// The origin of claims that this worktree makes, or `None` if it has made none.
    pub(in crate::bus) fn here_origin(&self) -> Result<Option<Origin>, Error> {
        let id = self.known_clone_id()?;
        Ok(id.map(|id| Origin::new(&id, self.repo.worktree_name().as_deref())))
    }

    fn known_places(&self) -> Result<Vec<Object>, Error> {
        let bytes = self.private.clone_id().read(MAX_RECORD)?.unwrap_or_default();
        Ok(bytes
            .split(|byte| *byte == b'\n')
            .filter_map(|line| json::parse_line(line).ok())
            .collect())
    }

    /// Host, path and inode of the common dir.
    fn here(&self) -> Object {
        let common = self.private.common();
        let facts = [
            ("host", Value::from(host())),
            ("inode", Value::from(inode(common))),
            ("path", Value::from(common.display().to_string())),
        ];
        facts.map(|(field, value)| (field.to_owned(), value)).into_iter().collect()
    }
}

/// The id that was minted for the place `here`, whatever its host is called, or for the place that
/// this folder was moved from.
fn id_of(known: &[Object], here: &Object) -> Option<String> {
    let exact = known.iter().find(|entry| is_same(entry, here, &["host", "inode", "path"]));
    let renamed = || known.iter().rfind(|entry| is_same(entry, here, &["inode", "path"]));
    let moved =
        || known.iter().find(|entry| is_same(entry, here, &["host", "inode"]) && is_gone(entry));
    Some(exact.or_else(renamed).or_else(moved)?.get("clone_id")?.as_str()?.to_owned())
}

fn is_same(entry: &Object, here: &Object, fields: &[&str]) -> bool {
    fields.iter().all(|field| entry.get(*field) == here.get(*field))
}

/// Whether the folder that an id was minted for stands at its place no more.
fn is_gone(entry: &Object) -> bool {
    let path = entry.get("path").and_then(Value::as_str).map(std::path::Path::new);
    cfg!(unix) && path.is_some_and(|path| Some(&Value::from(inode(path))) != entry.get("inode"))
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(unix)]
fn inode(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |metadata| metadata.ino())
}

/// Windows has no stable call for it: host and path decide alone.
#[cfg(not(unix))]
fn inode(path: &std::path::Path) -> u64 {
    u64::from(fs::metadata(path).is_err())
}
