//! Claims of one task under several spellings of its number: version 0.1 took `QUEUE-7` and
//! `QUEUE-007` for two tasks, each with a ref of its own (docs/design.md, section 1.1).
//!
//! They are read as one. What is written goes to the usual ref, and the others go with the same
//! push; what gives way is kept below `refs/bus/lost/`. As long as nothing is written, the others
//! stay as they are: version 0.1 sees only its own.

use super::propose::There;
use super::{adopt, look, odd_ref, push};
use crate::bus::claim::{State, state};
use crate::bus::workspace::{FleetFault, MAX_TRIES, Note, Workspace};
use crate::bus::{Error, claim};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::TaskId;
use crate::store::Lock;

/// What of `task` counts on the remote: of its usual ref's value and those of the other spellings.
pub(super) fn counts_on_remote(
    ws: &Workspace,
    task: &TaskId,
    sight: &Sight,
) -> Result<Option<ObjectId>, Error> {
    let name = RefName::claim(task);
    let usual = sight.get(&name).copied();
    let mut best: Option<State> = None;
    for other in RefName::other_claims(task) {
        let Some(id) = sight.get(&other).copied() else { continue };
        // What can be read counts. One that began anew when the task was archived is void, as the
        // usual ref would be.
        let read = ws.repo.link(id)?.ok().and_then(|link| state(link, &other, task).ok());
        let Some(read) = read else {
            ws.notes.add(Note::Warning(odd_ref::odd_ref(ws, &other, "is no claim").to_string()));
            continue;
        };
        if !push::forks_from_archive(ws, task, id)?
            && best.as_ref().map_or(Ok(true), |best| claim::counts_over(ws, &read, best))?
        {
            best = Some(read);
        }
    }
    let (Some(best), Some(usual)) = (&best, usual) else {
        return Ok(usual.or(best.map(|best| best.link.id)));
    };
    // What cannot be read, or is void, is for whoever reads the usual ref.
    let read = ws.repo.link(usual)?.ok().and_then(|link| state(link, &name, task).ok());
    let gives_way = match read {
        Some(read) => {
            push::forks_from_archive(ws, task, usual)? || claim::counts_over(ws, best, &read)?
        }
        None => false,
    };
    Ok(Some(if gives_way { best.link.id } else { usual }))
}

/// What the remote was last seen to have of the other spellings of a task.
fn others_seen(ws: &Workspace, remote: &Remote, task: &TaskId) -> Result<Sight, Error> {
    let mut seen = Sight::new();
    for name in RefName::other_claims(task) {
        seen.extend(ws.seen_at(remote, &name)?.map(|id| (name, id)));
    }
    Ok(seen)
}

/// Notes what the remote has of the other spellings of a task.
pub(super) fn note_others_seen(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    task: &TaskId,
    sight: &Sight,
) -> Result<(), Error> {
    let mut names = RefName::other_claims(task).into_iter();
    names.try_for_each(|name| adopt::note_seen(ws, lock, remote, &name, sight.get(&name).copied()))
}

/// Whether the remote has something else of the other spellings of a task than was last seen, or
/// this clone has nothing of it.
pub(super) fn is_news_of_others(
    ws: &Workspace,
    remote: &Remote,
    task: &TaskId,
    sight: &Sight,
) -> Result<bool, Error> {
    let is_here = ws.repo.id_of(&RefName::claim(task))?.is_some();
    for name in RefName::other_claims(task) {
        let now = sight.get(&name).copied();
        if now != ws.seen_at(remote, &name)? || (now.is_some() && !is_here) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `tip`, which is live, says what the remote was seen to have under one spelling or
/// another: then the others stay until somebody writes.
pub(super) fn stands_as_seen(ws: &Workspace, remote: &Remote, tip: &State) -> Result<bool, Error> {
    let usual = ws.seen_at(remote, &RefName::claim(&tip.claim.task_id))?;
    let mut seen = others_seen(ws, remote, &tip.claim.task_id)?.into_values().chain(usual);
    Ok(tip.claim.status.is_live() && seen.any(|id| id == tip.link.id))
}

/// Whether `value` of a task's usual ref gives way to the chain of another spelling, from which
/// `new` goes on: no push follows it.
pub(super) fn gives_way(
    ws: &Workspace,
    remote: &Remote,
    task: &TaskId,
    value: ObjectId,
    new: ObjectId,
) -> Result<bool, Error> {
    let name = RefName::claim(task);
    let mut sight = others_seen(ws, remote, task)?;
    if sight.is_empty() {
        return Ok(false);
    }
    sight.insert(name, value);
    let counts = counts_on_remote(ws, task, &sight)?;
    counts
        .filter(|counts| *counts != value)
        .map_or(Ok(false), |counts| Ok(ws.repo.descends(new, counts)?))
}

/// What goes with a push of these claims: the refs of other spellings go, and what the new states
/// do not have of them, or of what they were seen to follow, is kept on the remote.
pub(super) fn merge_with(
    ws: &Workspace,
    remote: &Remote,
    swaps: &[Swap],
) -> Result<Vec<Swap>, Error> {
    let (mut gone, mut kept) = (Vec::new(), Sight::new());
    for swap in swaps {
        let (Some(task), Some(new)) = (swap.name.task(), swap.new) else { continue };
        let others = others_seen(ws, remote, &task)?;
        if others.is_empty() {
            continue;
        }
        for id in others.values().copied().chain(swap.expected) {
            if claim::says_more(ws, id, new)? {
                kept.extend(
                    RefName::parse(&format!("{}{id}", RefName::lost_of(&task)))
                        .map(|name| (name, id)),
                );
            }
        }
        gone.extend(others.into_iter().map(|(name, id)| Swap {
            name,
            expected: Some(id),
            new: None,
        }));
    }
    if !kept.is_empty() {
        let there = ws.repo.look_at(remote, &kept.keys().cloned().collect::<Vec<_>>())?;
        let missing = kept.into_iter().filter(|(name, _)| !there.contains_key(name));
        gone.extend(missing.map(|(name, id)| Swap { name, expected: None, new: Some(id) }));
    }
    Ok(gone)
}

/// The refs of other spellings that the fleet's remote was seen to have.
pub(in crate::bus) fn old_spellings_seen(ws: &Workspace) -> Result<Vec<(RefName, TaskId)>, Error> {
    let Some(fleet) = ws.fleet().ok().flatten() else { return Ok(Vec::new()) };
    let folder = format!("{}claims/", RefName::all_seen_on(&fleet.remote));
    let names = ws.repo.names_below(&folder)?.into_iter();
    let old =
        names.filter_map(|name| TaskId::new(&*name).ok().filter(|task| !task.has_usual_number()));
    Ok(old
        .filter_map(|task| Some((RefName::parse(&format!("{folder}{}", task.as_str()))?, task)))
        .collect())
}

/// Makes one ref of those of a task on the fleet's remote.
///
/// # Errors
///
/// [`FleetFault::Refused`] if the remote does not take it; [`Error::Git`] if it does not answer.
pub(in crate::bus) fn merge_on_remote(ws: &Workspace, task: &TaskId) -> Result<(), Error> {
    let Some(fleet) = ws.fleet()? else { return Ok(()) };
    let remote = ws.remote_of(fleet)?;
    let name = RefName::claim(task);
    let mut refusal = String::new();
    for _ in 0..MAX_TRIES {
        let sight = look::look(There { ws, fleet, remote: &remote }, task, false, None)?;
        adopt::adopt(ws, &mut ws.lock()?, &remote, task, &sight)?;
        if others_seen(ws, &remote, task)?.is_empty() {
            return Ok(());
        }
        let Some(new) = ws.repo.id_of(&name)? else { return Ok(()) };
        let swap =
            Swap { name: name.clone(), expected: ws.seen_at(&remote, &name)?, new: Some(new) };
        match push::push_swaps(ws, &remote, vec![swap])? {
            Pushed::Done => {}
            pushed => refusal = pushed.story(),
        }
    }
    Err(FleetFault::Refused { remote: fleet.remote.clone(), what: refusal }.into())
}
