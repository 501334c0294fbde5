//! How what was seen on the fleet's remote becomes this clone's (docs/design.md, section 3,
//! *Fleet*).
//!
//! Where the local chain descends from the remote's value, the local one counts: it was not
//! published yet. Where the remote's descends from the local one, it is followed. Where they
//! forked, the remote's stands, and the local chain is kept under `refs/bus/lost/`, unless it says
//! nothing but that its owner lived.

use std::collections::{BTreeMap, HashSet};

use super::{adopt_ref, odd_ref, old_spelling, push};
use crate::bus::claim::{Relation, State, goes_on_from, state};
use crate::bus::workspace::{Note, Workspace, remove};
use crate::bus::{Error, claim};
use crate::git::{ObjectId, RefName, Remote, Sight, Tip};
use crate::record::{AgentId, TaskId, verb};
use crate::store::{Lock, crash_point, replace_copy};

/// What became of the local chain of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Adopted {
    /// It stands as it was.
    Kept,
    /// It followed the remote's.
    Followed,
    /// It ended and was archived: the archive has it, and its ref here is not needed any more.
    PutAway(ObjectId),
    /// It gave way to the remote's, and is kept aside.
    Lost,
}

/// Brings this clone's chain of `task`, and what it knows of the remote, in line with `sight`,
/// whose objects are here.
pub(super) fn adopt(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    task: &TaskId,
    sight: &Sight,
) -> Result<Adopted, Error> {
    match adopt_archive(ws, lock, remote, sight) {
        // It keeps nobody from a claim: this clone's own archive counts, and `bus sync` gives the
        // remote a sound one.
        Err(error @ Error::OddRef { .. }) => {
            ws.notes.add(Note::Warning(format!("{error}; {}", error.hint())))
        }
        adopted => adopted?,
    }
    if sight.contains_key(&RefName::leases()) {
        adopt_ref::adopt_ref(ws, lock, remote, &RefName::leases(), sight)?;
    }
    let adopted = adopt_claim(ws, lock, task, sight)?;
    note_claim_seen(ws, lock, remote, task, sight)?;
    Ok(adopted)
}

/// The same, once the archive is in line, and without a note of what was seen.
pub(super) fn adopt_claim(
    ws: &Workspace,
    lock: &mut Lock,
    task: &TaskId,
    sight: &Sight,
) -> Result<Adopted, Error> {
    let name = RefName::claim(task);
    let on_remote = old_spelling::counts_on_remote(ws, task, sight)?;
    let value = match on_remote {
        // A ref that came to life after the task was archived, and knows nothing of it, is void.
        Some(there) if !push::forks_from_archive(ws, task, there)? => Some(there),
        _ => ws.archived_id(task)?,
    };
    restore_ref(ws, lock, &name, task, value)?;
    let before = ws.repo.id_of(&name)?;
    let adopted = match value {
        // A remote that has forgotten it is told again.
        None => {
            outlive_remote(ws, lock, &name, task)?;
            Adopted::Kept
        }
        Some(value) => match follow(ws, lock, &name, task, value, on_remote.is_some())? {
            Adopted::Kept | Adopted::Followed
                if on_remote.is_none() && ws.repo.id_of(&name)? == Some(value) =>
            {
                Adopted::PutAway(value)
            }
            adopted => adopted,
        },
    };
    crash_point("adopted");
    let state = claim::tip(ws, task)?
        .or(value.map(|value| readable(ws, &name, task, value)).transpose()?);
    if let Some(state) = state {
        settle_adopted(ws, task, &state, ws.repo.id_of(&name)? != before)?;
    }
    Ok(adopted)
}

/// Puts what the record knows beyond the refs into the ref, before that is brought in line with
/// `value`. If the record goes on from `value` itself, so does the ref, and what follows an import
/// of that very state goes on from there, too.
fn restore_ref(
    ws: &Workspace,
    lock: &mut Lock,
    name: &RefName,
    task: &TaskId,
    value: Option<ObjectId>,
) -> Result<(), Error> {
    let theirs = value.map(|value| readable(ws, name, task, value)).transpose()?;
    if let Some(file) = claim::file_claim(ws, &ws.record, task).ok().flatten() {
        // What cannot be read is for whoever asks for it.
        let Ok(view) = claim::deciding_view(ws, task, None) else { return Ok(()) };
        if view.stand_in.as_ref().is_some_and(|known| known.bytes == file.bytes) {
            let base = theirs.as_ref().filter(|theirs| goes_on_from(&file.claim, &theirs.claim));
            let base = base.or(view.tip.as_ref()).map(|state| state.link.id);
            let (agent, now) = (&file.claim.agent_id, ws.clock.now());
            let link = ws.repo.write_link(
                base,
                agent,
                now,
                &format!("import {task} by {agent}"),
                &file.bytes,
            )?;
            lock.about_to_write(name.as_str())?;
            ws.repo.put(name, link.id)?;
        }
    }
    let (Some(theirs), Some(local)) = (theirs, ws.repo.id_of(name)?) else { return Ok(()) };
    if ws.repo.descends(local, theirs.link.id)? || ws.repo.descends(theirs.link.id, local)? {
        return Ok(());
    }
    let ours = claim::chain(ws, local)?;
    let imported =
        ours.iter().position(|link| link.verb() == verb::IMPORT && link.body == theirs.link.body);
    let Some(imported) = imported.filter(|imported| *imported > 0) else { return Ok(()) };
    let mut tip = theirs.link.id;
    for link in ours[..imported].iter().rev() {
        let author = AgentId::new(&*link.author)?;
        tip = ws.repo.write_link(Some(tip), &author, link.time, &link.subject, &link.body)?.id;
    }
    lock.about_to_write(name.as_str())?;
    Ok(ws.repo.put(name, tip)?)
}

/// Has the record follow `state`, which decides now, if it has the claim's file: that may have to
/// stand in for the ref. What it gives way to and does not know it is a claim that was lost.
fn settle_adopted(
    ws: &Workspace,
    task: &TaskId,
    state: &State,
    has_moved: bool,
) -> Result<(), Error> {
    let place = ws.record.claim(&state.claim.task_id);
    let file = match claim::file_claim(ws, &ws.record, task) {
        Ok(Some(file)) if file.bytes == state.link.body => return Ok(()),
        Ok(Some(file)) => file,
        Ok(None) => return Ok(()),
        Err(Error::Malformed { .. }) => return Ok(replace_copy(&place, &state.link.body)?),
        Err(error) => return Err(error),
    };
    if !has_moved && goes_on_from(&file.claim, &state.claim) {
        return Ok(());
    }
    if !claim::is_known(ws, state, &file.claim)? {
        claim::note_lost(ws, task, &file.claim)?;
    }
    Ok(replace_copy(&place, &state.link.body)?)
}

/// Keeps what the remote was seen to have of a task and has no more: it is about to be forgotten
/// that it was seen, and a ref that is gone frees nothing.
fn outlive_remote(
    ws: &Workspace,
    lock: &mut Lock,
    name: &RefName,
    task: &TaskId,
) -> Result<(), Error> {
    let Some(seen) = claim::seen_claim(ws, task) else { return Ok(()) };
    if ws.repo.id_of(name)?.is_none() {
        lock.about_to_write(name.as_str())?;
        ws.repo.put(name, seen.link.id)?;
    }
    let Some(tip) = claim::tip(ws, task)? else { return Ok(()) };
    let recorded = claim::file_claim(ws, &ws.record, &tip.claim.task_id).ok().flatten();
    if recorded.is_none_or(|recorded| recorded.claim.revision < tip.claim.revision) {
        replace_copy(&ws.record.claim(&tip.claim.task_id), &tip.link.body)?;
    }
    Ok(())
}

/// Notes what the remote has of a task's ref. This comes last: a push from then on relies on the
/// local chain having it.
pub(super) fn note_claim_seen(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    task: &TaskId,
    sight: &Sight,
) -> Result<(), Error> {
    let name = RefName::claim(task);
    warn_if_back(ws, remote, task, sight)?;
    old_spelling::note_others_seen(ws, lock, remote, task, sight)?;
    note_seen(ws, lock, remote, &name, sight.get(&name).copied())
}

/// Says so if the remote has less of a claim than it was seen to have.
pub(super) fn warn_if_back(
    ws: &Workspace,
    remote: &Remote,
    task: &TaskId,
    sight: &Sight,
) -> Result<(), Error> {
    let name = RefName::claim(task);
    let (Some(seen), now) = (ws.seen_at(remote, &name)?, sight.get(&name).copied()) else {
        return Ok(());
    };
    let is_back = match now {
        Some(now) => {
            now != seen
                && !ws.repo.descends(now, seen)?
                && !old_spelling::gives_way(ws, remote, task, seen, now)?
        }
        None => ws
            .archived_id(task)?
            .is_none_or(|put_away| !ws.repo.descends(put_away, seen).unwrap_or(true)),
    };
    if is_back {
        ws.notes.add(Note::WentBack(remote.name().to_owned(), task.clone()));
    }
    Ok(())
}

fn follow(
    ws: &Workspace,
    lock: &mut Lock,
    name: &RefName,
    task: &TaskId,
    value: ObjectId,
    has_ref: bool,
) -> Result<Adopted, Error> {
    if let Tip::Unreadable { .. } = ws.repo.tip(name)? {
        claim::repaired_view(ws, lock, task)?;
    }
    let Some(local) = ws.repo.id_of(name)? else {
        if has_ref {
            readable(ws, name, task, value)?;
            lock.about_to_write(name.as_str())?;
            ws.repo.put(name, value)?;
            return Ok(Adopted::Followed);
        }
        return Ok(Adopted::Kept);
    };
    let adopted = match claim::relation(ws, local, value)? {
        Relation::LocalCounts => return Ok(Adopted::Kept),
        Relation::RemoteAhead | Relation::Forked { worth: false } => Adopted::Followed,
        Relation::Forked { worth: true } => {
            readable(ws, name, task, value)?;
            claim::keep_lost(ws, lock, task, local)?;
            Adopted::Lost
        }
    };
    readable(ws, name, task, value)?;
    lock.about_to_write(name.as_str())?;
    ws.repo.put(name, value)?;
    Ok(adopted)
}

/// Refuses a state of the remote's that is no claim of the task: what stands here is better.
fn readable(
    ws: &Workspace,
    name: &RefName,
    task: &TaskId,
    value: ObjectId,
) -> Result<State, Error> {
    let link = ws
        .repo
        .link(value)?
        .map_err(|what| odd_ref::odd_ref(ws, name, &format!("is no claim: {what}")))?;
    state(link, name, task).map_err(|error| match error {
        Error::Malformed { fault, .. } => {
            odd_ref::odd_ref(ws, name, &format!("is no claim of {task}: {fault}"))
        }
        error => error,
    })
}

/// Has what the remote was not seen to have of the claims give way to what it has: it was done
/// under an id that is another clone's.
pub(super) fn give_up_unsent(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
) -> Result<(), Error> {
    for task in ws.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()) {
        let name = RefName::claim(&task);
        let (Some(local), seen) = (ws.repo.id_of(&name)?, ws.seen_at(remote, &name)?) else {
            continue;
        };
        let there = seen.map_or_else(|| ws.archived_id(&task), |seen| Ok(Some(seen)))?;
        if there == Some(local) {
            continue;
        }
        let theirs: HashSet<ObjectId> = there
            .map_or_else(|| Ok(Vec::new()), |there| claim::chain(ws, there))?
            .iter()
            .map(|link| link.id)
            .collect();
        let own =
            claim::chain(ws, local)?.into_iter().take_while(|link| !theirs.contains(&link.id));
        if own.into_iter().any(|link| link.verb() != verb::HEARTBEAT) {
            claim::keep_lost(ws, lock, &task, local)?;
        }
        lock.about_to_write(name.as_str())?;
        match there {
            Some(there) => ws.repo.put(&name, there)?,
            None => ws.repo.remove(&[(name.clone(), local)])?,
        }
        let record = ws.record.claim(&task);
        match claim::tip(ws, &task)? {
            Some(tip) if record.inspect()?.is_some() => replace_copy(&record, &tip.link.body)?,
            None if record.inspect()?.is_some() => remove(&record.path())?,
            _ => {}
        }
    }
    Ok(())
}

/// Notes what the remote has of a ref, or `None` if it has no such ref.
pub(super) fn note_seen(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    name: &RefName,
    id: Option<ObjectId>,
) -> Result<(), Error> {
    let Some(seen) = name.seen_on(remote.name()) else { return Ok(()) };
    let known = ws.repo.id_of(&seen)?;
    if known == id {
        return Ok(());
    }
    lock.about_to_write(seen.as_str())?;
    match (known, id) {
        (_, Some(id)) => ws.repo.put(&seen, id)?,
        (Some(known), None) => ws.repo.remove(&[(seen, known)])?,
        (None, None) => {}
    }
    Ok(())
}

/// Brings this clone's archive in line with the remote's. What only this one has, from before it
/// joined, goes on top.
pub(super) fn adopt_archive(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    sight: &Sight,
) -> Result<(), Error> {
    let name = RefName::archive();
    let Some(theirs) = sight.get(&name).copied() else {
        return note_seen(ws, lock, remote, &name, None);
    };
    let ours = ws.repo.id_of(&name)?;
    if ours != Some(theirs) && !ws.repo.is_archive(theirs)? {
        note_seen(ws, lock, remote, &name, Some(theirs))?;
        return Err(odd_ref::odd_ref(ws, &name, "is no archive"));
    }
    let is_sound = |id| ws.repo.archive(id).is_ok();
    let next = match ours {
        Some(ours) if !is_sound(ours) => {
            lock.about_to_write(name.as_str())?;
            ws.repo.set_aside(&name, &claim::broken(ws, "ARCHIVE")?.path(), Some(theirs))?;
            theirs
        }
        Some(ours) if ours == theirs || ws.repo.descends(ours, theirs)? => ours,
        Some(ours) if !ws.repo.descends(theirs, ours)? => merged_archive(ws, theirs, ours)?,
        _ => theirs,
    };
    if Some(next) != ours {
        lock.about_to_write(name.as_str())?;
        ws.repo.put(&name, next)?;
    }
    note_seen(ws, lock, remote, &name, Some(theirs))
}

fn merged_archive(ws: &Workspace, theirs: ObjectId, ours: ObjectId) -> Result<ObjectId, Error> {
    let (base, own) = (ws.repo.archive(theirs)?, ws.repo.archive(ours)?);
    let known = ws.repo.all_archived(&base)?;
    let missing =
        ws.repo.all_archived(&own)?.into_iter().filter(|(task, _)| !known.contains_key(task));
    let missing: BTreeMap<TaskId, ObjectId> =
        missing.filter_map(|(task, id)| Some((TaskId::new(task).ok()?, id))).collect();
    Ok(ws.repo.archive_with(&base, &missing, Some(ours), &AgentId::new("bus")?, ws.clock.now())?)
}
