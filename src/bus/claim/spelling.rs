//! Claims of one task under several spellings of its number, in this clone (docs/design.md, section
//! 1.1).

use super::claim_chain::Relation;
use super::view::{State, counts_before};
use super::{claim_chain, view};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{ObjectId, RefName};
use crate::record::{Claim, TaskId};
use crate::store::{Lock, crash_point};

/// The task, in its existing spelling.
pub(in crate::bus) fn spelling(ws: &Workspace, task: &TaskId) -> TaskId {
    view::deciding_view(ws, task, None).map_or_else(|_| task.clone(), |view| view.task)
}

/// Makes one ref of those that version 0.1 made here for several spellings of a task's number. The
/// chain that counts stands under the usual spelling; the others are kept below `refs/bus/lost/`,
/// so that their owners learn of it.
pub(in crate::bus) fn merge_spellings(
    ws: &Workspace,
    lock: &mut Lock,
    asked: &TaskId,
) -> Result<(), Error> {
    let others = view::other_tips(ws, asked, None)?;
    if others.is_empty() {
        return Ok(());
    }
    let name = RefName::claim(asked);
    let mut all = others.clone();
    all.extend(claim_chain::tip(ws, asked)?.map(|tip| (name.clone(), tip)));
    let mut best = 0;
    for index in 1..all.len() {
        if counts_over(ws, &all[index].1, &all[best].1)? {
            best = index;
        }
    }
    let winner = all[best].1.link.id;
    for (_, state) in all.iter().filter(|(_, state)| state.link.id != winner) {
        if says_more(ws, state.link.id, winner)? {
            claim_chain::keep_lost(ws, lock, asked, state.link.id)?;
        }
    }
    crash_point("spellings-kept");
    lock.about_to_write(name.as_str())?;
    ws.repo.put(&name, winner)?;
    crash_point("spellings-merged");
    let gone: Vec<_> = others.into_iter().map(|(name, state)| (name, state.link.id)).collect();
    ws.remove_refs(lock, &gone)
}

/// Whether of two states of one task, under two spellings of its number, the first one counts: the
/// one that has come after the other, the end of a claim before what another clone still says of
/// it, else as [`counts_before`].
pub(in crate::bus) fn counts_over(
    ws: &Workspace,
    one: &State,
    other: &State,
) -> Result<bool, Error> {
    if one.claim.same_claim(&other.claim) {
        let rank = |claim: &Claim| (!claim.status.is_live(), claim.revision);
        return Ok(rank(&one.claim) > rank(&other.claim));
    }
    match (has_had(ws, one, &other.claim)?, has_had(ws, other, &one.claim)?) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        _ => Ok(counts_before(&one.claim, &other.claim)),
    }
}

/// Whether the chain that ends at `tip`, or the lineage there, has had `claim`.
fn has_had(ws: &Workspace, tip: &State, claim: &Claim) -> Result<bool, Error> {
    let is_past = claim.claim_id.is_some()
        && tip.claim.lineage.iter().any(|past| past.claim_id == claim.claim_id);
    Ok(is_past || claim_chain::has_state(ws, tip, |past| past.same_claim(claim))?)
}

/// Whether the chain that ends at `tip` says more than `other` has of it, and more than that its
/// owner lived.
pub(in crate::bus) fn says_more(
    ws: &Workspace,
    tip: ObjectId,
    other: ObjectId,
) -> Result<bool, Error> {
    Ok(matches!(claim_chain::relation(ws, tip, other)?, Relation::Forked { worth: true }))
}
