//! This clone's own log, and what it remembers of the exchange with others (design, section 4).

use super::{Bus, Error};
use crate::git::{self, ItemKind, ObjectId, RefName, Tip};
use crate::store::{Exchange, Lock, Stream};

impl Bus {
    /// What is remembered of the exchange, where this clone's own log is at this commit, with this tree.
    pub(super) fn exchange(&self, lock: &Lock, log: Option<(ObjectId, ObjectId)>) -> Result<Exchange, Error> {
        let tip = log.map(|(tip, _)| tip.to_string());
        let mut exchange = Exchange::open(lock, &self.private, tip.as_deref())?;
        if let Some((_, root)) = log.filter(|_| exchange.is_new) {
            self.learn_own_log(lock, root, &mut exchange)?;
        }
        Ok(exchange)
    }

    /// What this clone's own log is at.
    pub(super) fn own_tip(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        match self.repo.tip(name)? {
            Tip::At(link) => Ok(Some(link.id)),
            Tip::Missing => Ok(None),
            Tip::Unreadable { what } => Err(damaged(name.as_str(), what).into()),
        }
    }

    pub(super) fn own_tree(&self, commit: ObjectId) -> Result<ObjectId, Error> {
        Ok(self.repo.tree_of(commit)?.map_err(|what| damaged(&commit.to_string(), what))?)
    }

    /// What a remote was seen to have of this clone's own log, where that can be read.
    pub(super) fn seen_log(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        let end = format!("/{}", name.rest());
        for seen in self.repo.names_below(RefName::ALL_SEEN)?.into_iter().filter(|seen| seen.ends_with(&end)) {
            let seen = RefName::parse(&format!("{}{seen}", RefName::ALL_SEEN));
            let commit = seen.map(|seen| self.repo.id_of(&seen)).transpose()?.flatten();
            if let Some(commit) = commit.filter(|commit| self.own_tree(*commit).is_ok()) {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// Takes a log that is damaged out of the way, as a power loss leaves it. All that it had and the worktrees or a remote have
    /// is published anew.
    pub(super) fn mend_log(&self, lock: &mut Lock, name: &RefName) -> Result<(), Error> {
        lock.about_to_write(name.as_str())?;
        let stamp = self.clock.now().to_string().replace(':', "");
        let keep = self.private.broken("log", &stamp);
        keep.make_folders()?;
        Ok(self.repo.set_aside(name, &keep.path(), None)?)
    }

    /// Tells `exchange` what this clone's own log has.
    fn learn_own_log(&self, lock: &Lock, root: ObjectId, exchange: &mut Exchange) -> Result<(), Error> {
        let list = |tree: ObjectId| self.repo.list_tree(tree)?.map_err(|what| Error::from(damaged(&tree.to_string(), what)));
        let folders = list(root)?;
        for stream in Stream::ALL {
            let Some(folder) = folders.iter().find(|item| item.name == stream.folder()) else { continue };
            for file in list(folder.id)?.into_iter().filter(|item| item.kind == ItemKind::Folder) {
                for segment in list(file.id)? {
                    let bytes = self.repo.blob(segment.id, usize::MAX)?;
                    let bytes = bytes.map_err(|what| damaged(&segment.id.to_string(), what))?;
                    exchange.learn_own(lock, stream, &bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// The error of what is damaged of this clone's log.
fn damaged(name: &str, what: String) -> git::Error {
    git::Error::Damaged { name: name.to_owned(), what }
}
