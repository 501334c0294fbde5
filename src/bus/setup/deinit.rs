//! Takes a bus out of a worktree again: exactly what `bus init` put there.

use std::fs;
use std::path::{Path, PathBuf};

use super::init::{without_lines, without_records};
use super::{hooks, init};
use crate::bus::fleet::Synced;
use crate::bus::setup::SetupFault;
use crate::bus::workspace::{FleetFault, Workspace, remove};
use crate::bus::{Error, claim, fleet, lease};
use crate::git::{Pushed, RefName, Swap};
use crate::record::{Fleet, IGNORE_FILE, Lease, ROOTS};
use crate::store::{Error as StoreError, Verb, names, replace};

/// The longest file that is compared with what `bus init` writes, in bytes.
const MAX_OWN: usize = 16 * 1024 * 1024;

/// What `bus deinit` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What was removed, or had lines taken out, below the worktree's root.
    pub(crate) removed: Vec<String>,
    /// The hooks in whose place those stand again that stood there before.
    pub(crate) restored: Vec<String>,
    /// What stays because it was made or changed since.
    pub(crate) kept: Vec<String>,
}

/// What `bus deinit --purge` or `--purge-remote` lists, or has removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purged {
    /// Refs, with their owners if they are claims, and folders.
    pub(crate) items: Vec<String>,
    /// Whether they are gone.
    pub(crate) is_done: bool,
}

/// Takes the bus out of this worktree. Records, refs and files that were changed since stay, and
/// are listed.
///
/// # Errors
///
/// [`SetupFault::InUse`] while a claim or a lease is live; [`Error::Store`] if the disk refuses;
/// else as [`ops::status`].
pub(crate) fn deinit(ws: &Workspace) -> Result<Taken, Error> {
    let fleet = ws.fleet()?;
    let _lock = ws.lock()?;
    // What other clones hold is theirs, and goes on.
    let own = fleet.map_or(Ok(None), |_| ws.known_clone_id())?;
    let mut tasks = claim::held_tasks(ws, own.as_deref())?;
    let is_ours = |lease: &Lease| {
        let ours = own.as_deref().zip(lease.origin.as_ref());
        ours.is_none_or(|(own, origin)| origin.clone_id() == own)
    };
    let leases = lease::leases(ws)?.into_iter().filter(|held| is_ours(&held.lease));
    tasks.extend(leases.map(|held| held.lease.lease_id.to_string()));
    if !tasks.is_empty() {
        return Err(Error::Setup(SetupFault::InUse { tasks }));
    }
    let mut taken = Taken::default();
    fleet.map_or(Ok(()), |fleet| leave_fleet(ws, fleet, &mut taken))?;
    let place = ws.layout.config();
    let mode = ws.reading_mode();
    for own in init::own_files(ws, mode) {
        let bytes = own.place.read(MAX_OWN)?;
        if bytes.as_deref() == Some(own.text.as_bytes()) {
            if own.place.relative().ends_with(IGNORE_FILE) {
                remove_copies(ws)?;
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
    for (place, lines) in init::all_lines(ws) {
        let Some(text) = place.read(MAX_OWN)? else { continue };
        match without_lines(&text, &lines) {
            None => continue,
            Some(None) => remove(&place.path())?,
            Some(Some(left)) => replace(&place, &left)?,
        }
        taken.removed.push(place.relative().display().to_string());
    }
    hooks::take_hooks(ws, &mut taken)?;
    for folder in ROOTS {
        leave(ws, folder, &mut taken);
    }
    if ws.private.records().inspect()?.is_some() {
        remove(&ws.private.records().path())?;
    }
    let refs = ws.repo.names_below("refs/bus/")?;
    taken.kept.extend(refs.into_iter().map(|name| format!("refs/bus/{name}")));
    if ws.record.root().exists() {
        taken.kept.push(ws.show(&ws.record.place("")));
    }
    Ok(taken)
}

/// Removes the copies of records in this worktree.
pub(in crate::bus) fn remove_copies(ws: &Workspace) -> Result<(), Error> {
    for path in record_copies(ws)? {
        remove(&path)?;
    }
    for folder in [ws.layout.claims(), ws.layout.events()] {
        // It refuses, and rightly, if something is left inside.
        let _ = fs::remove_dir(&folder);
    }
    Ok(())
}

/// The copies of records in this worktree: those that git does not know.
pub(in crate::bus) fn record_copies(ws: &Workspace) -> Result<Vec<PathBuf>, Error> {
    let mut copies = Vec::new();
    for (folder, end) in [(ws.layout.claims(), ".json"), (ws.layout.events(), ".jsonl")] {
        copies.extend(names(&folder, end)?.into_iter().map(|name| folder.join(name)));
    }
    let relative = |path: &Path| path.strip_prefix(ws.layout.root()).unwrap_or(path).to_owned();
    copies.retain(|path| {
        path.is_file() && !path.is_symlink() && !ws.repo.may_be_indexed(&relative(path))
    });
    Ok(copies)
}

/// Everything that is this clone's alone: its record, marks and notes, and the refs of the bus
/// here. With `apply` it is removed. What the fleet's remote has stays.
///
/// # Errors
///
/// [`SetupFault::InUse`] while a claim or a lease of this clone is live; else as the system
/// refuses.
pub(crate) fn purge(ws: &Workspace, apply: bool) -> Result<Purged, Error> {
    let mut lock = ws.lock_alone()?;
    let own = ws.known_clone_id()?;
    let tasks = claim::held_tasks(ws, own.as_deref())?;
    if !tasks.is_empty() {
        return Err(Error::Setup(SetupFault::InUse { tasks }));
    }
    let mut refs = Vec::new();
    for prefix in ["refs/bus/", RefName::ALL_SEEN] {
        for name in ws.repo.names_below(prefix)? {
            let Some(name) = RefName::parse(&format!("{prefix}{name}")) else { continue };
            refs.extend(ws.repo.id_of(&name)?.map(|id| (name, id)));
        }
    }
    let mut items: Vec<String> = refs.iter().map(|(name, _)| name.as_str().to_owned()).collect();
    let folder = ws.private.folder();
    items.push(folder.display().to_string());
    if apply {
        ws.remove_refs(&mut lock, &refs)?;
        fs::remove_dir_all(&folder).map_err(StoreError::io(Verb::Remove, &folder))?;
    }
    Ok(Purged { items, is_done: apply })
}

/// Everything that the fleet's remote has of the bus. With `apply` it is removed, each ref only if
/// it is still what was seen.
///
/// # Errors
///
/// [`FleetFault::None`](FleetFault::None) without a fleet; [`SetupFault::InUse`] while a claim of
/// any clone is live, or the remote has the log of a clone that this one has not taken in;
/// [`Error::Git`] if the remote cannot be reached or refuses.
pub(crate) fn purge_remote(ws: &Workspace, apply: bool) -> Result<Purged, Error> {
    let fleet = ws.fleet()?.ok_or(FleetFault::None)?;
    let remote = ws.remote_of(fleet)?;
    let mut synced = Synced::default();
    fleet::receive(ws, fleet, &remote, &mut synced)?;
    let live = claim::held_tasks(ws, None)?;
    if !live.is_empty() {
        return Err(Error::Setup(SetupFault::InUse { tasks: live }));
    }
    let sight = ws.repo.look_at(&remote, &[])?;
    let own = ws.known_clone_id()?;
    let mut foreign = Vec::new();
    for clone in sight.keys().filter_map(|name| name.rest().strip_prefix("log/")) {
        let is_here =
            ws.private.clones().layouts().iter().any(|(known, _)| known.as_str() == clone);
        if own.as_deref() != Some(clone) && !is_here {
            foreign.push(format!("the log of clone {clone}, which is not here"));
        }
    }
    if !foreign.is_empty() || synced.taken.left_out > 0 {
        foreign.extend(synced.taken.faults);
        return Err(Error::Setup(SetupFault::InUse { tasks: foreign }));
    }
    let owner =
        |name: &RefName| match name.task().and_then(|task| claim::tip(ws, &task).ok().flatten()) {
            Some(state) => {
                format!("{} ({}, {})", name.as_str(), state.claim.agent_id, state.claim.status)
            }
            None => name.as_str().to_owned(),
        };
    let items = sight.keys().map(owner).collect();
    if apply {
        for (name, id) in &sight {
            let swap = Swap { name: name.clone(), expected: Some(*id), new: None };
            if let Pushed::Refused(what) | Pushed::Unclear(what) =
                ws.repo.push(&remote, &[swap], true)?
            {
                return Err(FleetFault::Refused { remote: fleet.remote.clone(), what }.into());
            }
        }
    }
    Ok(Purged { items, is_done: apply })
}

/// Ends this clone's part in its fleet. What the remote has stays: it is the others'.
fn leave_fleet(ws: &Workspace, fleet: &Fleet, taken: &mut Taken) -> Result<(), Error> {
    let place = ws.layout.config();
    if let Some(text) = place.read(MAX_OWN)?
        && let Some(start) = memchr::memmem::find(&text, fleet.section().as_bytes())
    {
        let end = start + fleet.section().len();
        // The empty line before it came with it.
        let start = start - usize::from(text[..start].ends_with(b"\n\n"));
        replace(&place, &[&text[..start], &text[end..]].concat())?;
        taken.removed.push(format!("[fleet] in {}", place.relative().display()));
    }
    for place in [ws.private.fleet(), ws.private.fleet_seen(), ws.private.fleet_look()] {
        if place.inspect()?.is_some() {
            remove(&place.path())?;
        }
    }
    Ok(())
}

/// Removes the folders below `folder` that are empty, and lists the files that stay.
fn leave(ws: &Workspace, folder: &str, taken: &mut Taken) {
    let entries = walkdir::WalkDir::new(ws.layout.root().join(folder))
        .contents_first(true)
        .sort_by_file_name();
    for entry in entries.into_iter().flatten() {
        let shown = entry
            .path()
            .strip_prefix(ws.layout.root())
            .unwrap_or(entry.path())
            .display()
            .to_string();
        if !entry.file_type().is_dir() {
            taken.kept.push(shown);
        } else if taken.removed.iter().any(|file| Path::new(file).starts_with(&shown)) {
            // It refuses, and rightly, where something is left inside.
            let _ = fs::remove_dir(entry.path());
        }
    }
}
