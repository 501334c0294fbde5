//! Takes a bus out of a worktree again: exactly what `bus init` put there.

use std::fs;
use std::path::Path;

use super::init::without_lines;
use super::{Bus, Error};
use crate::record::{Fleet, Lease};
use crate::store::{Error as StoreError, Verb, replace};

/// The longest file that is compared with what `bus init` writes, in bytes.
const MAX_OWN: usize = 16 * 1024 * 1024;

/// What `bus deinit` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What was removed, or had lines taken out, below the worktree's root.
    pub removed: Vec<String>,
    /// The hooks in whose place those stand again that stood there before.
    pub restored: Vec<String>,
    /// What stays because it was made or changed since.
    pub kept: Vec<String>,
}

impl Bus {
    /// Takes the bus out of this worktree. Records, refs and files that were changed since stay, and are listed.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] while a claim or a lease is live; [`Error::Store`] where the disk refuses; else as [`Bus::status`].
    pub fn deinit(&self) -> Result<Taken, Error> {
        let fleet = self.fleet()?;
        let _lock = self.lock()?;
        // What other clones hold is theirs, and goes on.
        let own = fleet.map_or(Ok(None), |_| self.known_clone_id())?;
        let mut tasks = self.held_tasks(own.as_deref())?;
        let is_ours = |lease: &Lease| {
            let ours = own.as_deref().zip(lease.origin.as_ref());
            ours.is_none_or(|(own, origin)| origin.clone_id() == own)
        };
        let leases = self.leases()?.into_iter().filter(|held| is_ours(&held.lease));
        tasks.extend(leases.map(|held| held.lease.lock_id.to_string()));
        if !tasks.is_empty() {
            return Err(Error::InUse { tasks });
        }
        let mut taken = Taken::default();
        fleet.map_or(Ok(()), |fleet| self.leave_fleet(fleet, &mut taken))?;
        for own in self.own_files() {
            let bytes = own.place.read(MAX_OWN)?;
            if bytes.as_deref() == Some(own.text.as_bytes()) {
                remove(&own.place.path())?;
                taken.removed.push(own.place.relative().display().to_string());
            }
        }
        for (place, lines) in self.lined_files() {
            let Some(text) = place.read(MAX_OWN)? else { continue };
            match without_lines(&text, lines) {
                None => continue,
                Some(None) => remove(&place.path())?,
                Some(Some(left)) => replace(&place, &left)?,
            }
            taken.removed.push(place.relative().display().to_string());
        }
        self.take_hooks(&mut taken)?;
        for folder in ["_bus", "_plans", "queue", "_report"] {
            self.leave(folder, &mut taken);
        }
        let refs = self.repo.names_below("refs/bus/")?;
        taken.kept.extend(refs.into_iter().map(|name| format!("refs/bus/{name}")));
        Ok(taken)
    }

    /// Ends this clone's part in its fleet. What the remote has stays: it is the others'.
    fn leave_fleet(&self, fleet: &Fleet, taken: &mut Taken) -> Result<(), Error> {
        let place = self.layout.config();
        if let Some(text) = place.read(MAX_OWN)?
            && let Some(start) = memchr::memmem::find(&text, fleet.section().as_bytes())
        {
            let end = start + fleet.section().len();
            // The empty line before it came with it.
            let start = start - usize::from(text[..start].ends_with(b"\n\n"));
            replace(&place, &[&text[..start], &text[end..]].concat())?;
            taken.removed.push(format!("[fleet] in {}", place.relative().display()));
        }
        for place in [self.private.fleet(), self.private.fleet_seen(), self.private.fleet_look()] {
            if place.inspect()?.is_some() {
                remove(&place.path())?;
            }
        }
        Ok(())
    }

    /// Removes the folders below `folder` that are empty, and lists the files that stay.
    fn leave(&self, folder: &str, taken: &mut Taken) {
        let entries = walkdir::WalkDir::new(self.layout.root().join(folder)).contents_first(true).sort_by_file_name();
        for entry in entries.into_iter().flatten() {
            let shown = entry.path().strip_prefix(self.layout.root()).unwrap_or(entry.path()).display().to_string();
            if !entry.file_type().is_dir() {
                taken.kept.push(shown);
            } else if taken.removed.iter().any(|file| Path::new(file).starts_with(&shown)) {
                // It refuses, and rightly, where something is left inside.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    Ok(fs::remove_file(path).map_err(StoreError::io(Verb::Remove, path))?)
}
