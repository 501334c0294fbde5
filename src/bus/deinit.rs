//! Takes a bus out of a worktree again: exactly what `bus init` put there.

use std::fs;
use std::path::{Path, PathBuf};

use super::init::{without_lines, without_records};
use super::sync::task_of;
use super::{Bus, Error};
use crate::git::{Pushed, RefName, Swap};
use crate::record::{Fleet, Lease};
use crate::store::{Error as StoreError, Verb, names, replace};

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

/// What `bus deinit --purge` or `--purge-remote` lists, or has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Refs, with their owners if they are claims, and folders.
    pub items: Vec<String>,
    /// Whether they are gone.
    pub is_done: bool,
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
        let place = self.layout.config();
        let mode = self.reading_mode();
        for own in self.own_files(mode) {
            let bytes = own.place.read(MAX_OWN)?;
            if bytes.as_deref() == Some(own.text.as_bytes()) {
                if own.place.relative().ends_with("_bus/.gitignore") {
                    self.remove_copies()?;
                }
                remove(&own.place.path())?;
                taken.removed.push(own.place.relative().display().to_string());
            }
        }
        if let Some(text) = place.read(MAX_OWN)?
            && let Some(left) = without_records(&text)
        {
            replace(&place, &left)?;
            taken.removed.push(format!("[records] in {}", place.relative().display()));
        }
        for (place, lines) in self.all_lines() {
            let Some(text) = place.read(MAX_OWN)? else { continue };
            match without_lines(&text, &lines) {
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
        if self.private.records().inspect()?.is_some() {
            remove(&self.private.records().path())?;
        }
        let refs = self.repo.names_below("refs/bus/")?;
        taken.kept.extend(refs.into_iter().map(|name| format!("refs/bus/{name}")));
        if self.record.root().exists() {
            taken.kept.push(self.show(&self.record.place("")));
        }
        Ok(taken)
    }

    /// Removes the copies of records in this worktree.
    pub(super) fn remove_copies(&self) -> Result<(), Error> {
        for path in self.record_copies()? {
            remove(&path)?;
        }
        for folder in [self.layout.claims(), self.layout.events()] {
            // It refuses, and rightly, if something is left inside.
            let _ = fs::remove_dir(&folder);
        }
        Ok(())
    }

    /// The copies of records in this worktree: those that git does not know.
    pub(super) fn record_copies(&self) -> Result<Vec<PathBuf>, Error> {
        let mut copies = Vec::new();
        for (folder, end) in [(self.layout.claims(), ".json"), (self.layout.events(), ".jsonl")] {
            copies.extend(names(&folder, end)?.into_iter().map(|name| folder.join(name)));
        }
        let relative = |path: &Path| path.strip_prefix(self.layout.root()).unwrap_or(path).to_owned();
        copies.retain(|path| path.is_file() && !path.is_symlink() && !self.repo.may_be_indexed(&relative(path)));
        Ok(copies)
    }

    /// Everything that is this clone's alone: its record, marks and notes, and the refs of the bus here. With `apply` it is removed.
    /// What the fleet's remote has stays.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] while a claim or a lease of this clone is live; else as the system refuses.
    pub fn purge(&self, apply: bool) -> Result<Purged, Error> {
        let mut lock = self.lock_alone()?;
        let own = self.known_clone_id()?;
        let tasks = self.held_tasks(own.as_deref())?;
        if !tasks.is_empty() {
            return Err(Error::InUse { tasks });
        }
        let mut refs = Vec::new();
        for prefix in ["refs/bus/", RefName::ALL_SEEN] {
            for name in self.repo.names_below(prefix)? {
                let Some(name) = RefName::parse(&format!("{prefix}{name}")) else { continue };
                refs.extend(self.repo.id_of(&name)?.map(|id| (name, id)));
            }
        }
        let mut items: Vec<String> = refs.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        let folder = self.private.folder();
        items.push(folder.display().to_string());
        if apply {
            self.remove_refs(&mut lock, &refs)?;
            fs::remove_dir_all(&folder).map_err(StoreError::io(Verb::Remove, &folder))?;
        }
        Ok(Purged { items, is_done: apply })
    }

    /// Everything that the fleet's remote has of the bus. With `apply` it is removed, each ref only if it is still what was seen.
    ///
    /// # Errors
    ///
    /// [`FleetFault::None`](super::FleetFault::None) without a fleet; [`Error::InUse`] while a claim of any clone is live, or the
    /// remote has the log of a clone that this one has not taken in; [`Error::Git`] if the remote cannot be reached or refuses.
    pub fn purge_remote(&self, apply: bool) -> Result<Purged, Error> {
        let fleet = self.fleet()?.ok_or(super::FleetFault::None)?;
        let remote = self.remote_of(fleet)?;
        let mut synced = super::Synced::default();
        self.receive(fleet, &remote, &mut synced)?;
        let live = self.held_tasks(None)?;
        if !live.is_empty() {
            return Err(Error::InUse { tasks: live });
        }
        let sight = self.repo.look_at(&remote, &[])?;
        let own = self.known_clone_id()?;
        let mut foreign = Vec::new();
        for clone in sight.keys().filter_map(|name| name.rest().strip_prefix("log/")) {
            let is_here = self.private.clones().layouts().iter().any(|(known, _)| known.as_str() == clone);
            if own.as_deref() != Some(clone) && !is_here {
                foreign.push(format!("the log of clone {clone}, which is not here"));
            }
        }
        if !foreign.is_empty() || synced.taken.left_out > 0 {
            foreign.extend(synced.taken.faults);
            return Err(Error::InUse { tasks: foreign });
        }
        let owner = |name: &RefName| match task_of(name).and_then(|task| self.tip(&task).ok().flatten()) {
            Some(state) => format!("{} ({}, {})", name.as_str(), state.claim.agent_id, state.claim.status),
            None => name.as_str().to_owned(),
        };
        let items = sight.keys().map(owner).collect();
        if apply {
            for (name, id) in &sight {
                let swap = Swap { name: name.clone(), expected: Some(*id), new: None };
                if let Pushed::Refused(what) | Pushed::Unclear(what) = self.repo.push(&remote, &[swap], true)? {
                    return Err(super::FleetFault::Refused { remote: fleet.remote.clone(), what }.into());
                }
            }
        }
        Ok(Purged { items, is_done: apply })
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
