//! The states of a claim, one commit each: the tip, those before it, and which chain goes on from
//! which.

use std::collections::HashSet;

use super::loss;
use super::view::{State, View, state};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{Link, ObjectId, RefName, Tip};
use crate::record::{Claim, ClaimId, TaskId, verb};
use crate::store::{Lock, crash_point, replace};

/// How the local chain stands to the remote's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Relation {
    /// They are the same, or the local one has more.
    LocalCounts,
    /// The remote's has more.
    RemoteAhead,
    /// Both have something that the other lacks; `worth` is whether the local one says more than
    /// that its owner lived.
    Forked { worth: bool },
}

/// Notes a claim that gave way to another clone's, in a place that git does not touch.
pub(in crate::bus) fn note_lost(ws: &Workspace, task: &TaskId, claim: &Claim) -> Result<(), Error> {
    let named = claim.claim_id.as_ref().map(ToString::to_string);
    let name = named.unwrap_or_else(|| format!("{}-{}", claim.agent_id, claim.claimed_at.unix()));
    let place = ws.private.lost_claim(task, &name);
    place.make_folders()?;
    Ok(replace(&place, &claim.to_bytes())?)
}

pub(in crate::bus) fn relation(
    ws: &Workspace,
    local: ObjectId,
    value: ObjectId,
) -> Result<Relation, Error> {
    if local == value {
        return Ok(Relation::LocalCounts);
    }
    let theirs: HashSet<ObjectId> = chain(ws, value)?.into_iter().map(|link| link.id).collect();
    if theirs.contains(&local) {
        return Ok(Relation::RemoteAhead);
    }
    let ours = chain(ws, local)?;
    if ours.iter().any(|link| link.id == value) {
        return Ok(Relation::LocalCounts);
    }
    let own = ours.iter().take_while(|link| !theirs.contains(&link.id));
    let worth = own.into_iter().any(|link| link.verb() != verb::HEARTBEAT);
    Ok(Relation::Forked { worth })
}

/// The states up to `tip`, newest first.
pub(in crate::bus) fn chain(ws: &Workspace, tip: ObjectId) -> Result<Vec<Link>, Error> {
    let mut chain = Vec::new();
    let mut next = Some(tip);
    while let Some(id) = next {
        let Ok(link) = ws.repo.link(id)? else { break };
        next = link.parent;
        chain.push(link);
    }
    Ok(chain)
}

/// Keeps a chain that gives way.
pub(in crate::bus) fn keep_lost(
    ws: &Workspace,
    lock: &mut Lock,
    task: &TaskId,
    tip: ObjectId,
) -> Result<(), Error> {
    let kept = lost_name(ws, task, tip)?;
    lock.about_to_write(kept.as_str())?;
    ws.repo.put(&kept, tip)?;
    if let Ok(link) = ws.repo.link(tip)?
        && let Ok(lost) = state(link, &RefName::claim(task), task)
    {
        // Who was the first is known now, while what the remote had is.
        let is_same = |known: &Claim| known.same_claim(&lost.claim);
        let was_seen =
            seen_claim(ws, task).map_or(Ok(false), |seen| has_state(ws, &seen, is_same))?;
        let was_unasked = has_state(ws, &lost, |known| is_same(known) && known.is_unconfirmed())?;
        let confirmed = (was_unasked && !was_seen).then_some(false);
        note_lost(ws, task, &Claim { confirmed, ..lost.claim.clone() })?;
    }
    crash_point("lost-kept");
    Ok(())
}

/// The ref that keeps a chain which gives way: it is called after the claim at its end.
fn lost_name(ws: &Workspace, task: &TaskId, tip: ObjectId) -> Result<RefName, Error> {
    let claim = ws.repo.link(tip)?.ok().and_then(|link| Claim::parse(&link.body).ok());
    let named = claim.and_then(|claim| RefName::lost(task, claim.claim_id.as_ref()?));
    let by_commit = || RefName::parse(&format!("{}{tip}", RefName::lost_of(task)));
    // A name that is taken by another end of the claim keeps that.
    let taken = named.as_ref().map_or(Ok(None), |name| ws.repo.id_of(name))?;
    let free = taken.map_or(Ok(true), |taken| ws.repo.descends(tip, taken))?;
    Ok(named.filter(|_| free).or_else(by_commit).expect("an object id is a good end of a name"))
}

/// Whether the claim called `id` may live although this clone knows nothing of it: in a fleet a
/// lease comes to the remote together with its claim.
pub(in crate::bus) fn may_live_elsewhere(ws: &Workspace, view: &View, id: &ClaimId) -> bool {
    let known = |tip: &State| knows_claim(ws, tip, id);
    matches!(ws.fleet(), Ok(Some(_))) && !view.tip.as_ref().is_some_and(known)
}

/// Whether the chain that ends at `tip` has had the claim called `id`.
pub(in crate::bus) fn knows_claim(ws: &Workspace, tip: &State, id: &ClaimId) -> bool {
    let is_past = tip.claim.lineage.iter().any(|past| past.claim_id.as_ref() == Some(id));
    is_past || has_state(ws, tip, |claim| claim.claim_id.as_ref() == Some(id)).unwrap_or(false)
}

/// What the fleet's remote was seen to have of a task.
pub(in crate::bus) fn seen_claim(ws: &Workspace, task: &TaskId) -> Option<State> {
    let fleet = ws.fleet().ok()??;
    let name = RefName::claim(task);
    let link = ws.repo.link(ws.repo.id_of(&name.seen_on(&fleet.remote)?).ok()??).ok()?.ok()?;
    state(link, &name, task).ok()
}

/// Whether the fleet's remote was seen to have the claim that decides, if there is a fleet.
pub(super) fn is_confirmed(ws: &Workspace, view: &View) -> bool {
    let Some(fleet) = ws.fleet().ok().flatten() else { return true };
    let others = RefName::other_claims(&view.task).into_iter();
    let names = [view.name.clone()]
        .into_iter()
        .chain(others)
        .filter_map(|name| name.seen_on(&fleet.remote));
    let mut seen = names.filter_map(|name| ws.repo.id_of(&name).ok().flatten());
    let same = |seen: ObjectId| {
        let there = ws
            .repo
            .link(seen)
            .ok()
            .and_then(Result::ok)
            .and_then(|link| Claim::parse(&link.body).ok());
        there.zip(view.claim()).is_some_and(|(there, here)| there.same_claim(here))
    };
    seen.any(|seen| view.tip_id() == Some(seen) || same(seen))
}

/// Whether the chain that ends at `tip`, or the lineage there, has this very claim.
pub(in crate::bus) fn is_known(ws: &Workspace, tip: &State, claim: &Claim) -> Result<bool, Error> {
    // The chain begins anew where a ref was lost and a file was imported; the lineage goes on.
    if claim.claim_id.is_some()
        && tip.claim.lineage.iter().any(|past| past.claim_id == claim.claim_id)
    {
        return Ok(true);
    }
    Ok(has_state(ws, tip, |past| past.same_claim(claim))? || loss::lost_claim(ws, claim)?.is_some())
}

/// Whether `claim` says what one of the states up to `tip` says.
pub(in crate::bus) fn is_past_state(
    ws: &Workspace,
    tip: &State,
    claim: &Claim,
) -> Result<bool, Error> {
    has_state(ws, tip, |past| past == claim)
}

/// Whether one of the states of the chain that ends at `tip` is `wanted`.
pub(in crate::bus) fn has_state(
    ws: &Workspace,
    tip: &State,
    wanted: impl Fn(&Claim) -> bool,
) -> Result<bool, Error> {
    let mut link = tip.link.clone();
    loop {
        if Claim::parse(&link.body).is_ok_and(|past| wanted(&past)) {
            return Ok(true);
        }
        let Some(parent) = before(ws, &link)? else { return Ok(false) };
        link = parent;
    }
}

/// The ref's state alone, whatever the files say.
pub(in crate::bus) fn tip(ws: &Workspace, task: &TaskId) -> Result<Option<State>, Error> {
    let name = RefName::claim(task);
    match ws.repo.tip(&name)? {
        Tip::At(link) => state(link, &name, task).map(Some),
        Tip::Missing | Tip::Unreadable { .. } => Ok(None),
    }
}

/// The state before `link`; none at the root, or where the chain is cut.
pub(in crate::bus) fn before(ws: &Workspace, link: &Link) -> Result<Option<Link>, Error> {
    let Some(parent) = link.parent else { return Ok(None) };
    Ok(ws.repo.link(parent)?.ok())
}

/// The last state of a task that was archived, or `None` if this clone has no archive.
pub(super) fn archived_state(
    ws: &Workspace,
    name: &RefName,
    asked: &TaskId,
) -> Result<Option<State>, Error> {
    let Some(id) = ws.archived_id(asked)? else { return Ok(None) };
    let unreadable =
        |what| Error::UnreadableRef { name: RefName::archive().as_str().to_owned(), what };
    state(ws.repo.link(id)?.map_err(unreadable)?, name, asked).map(Some)
}
