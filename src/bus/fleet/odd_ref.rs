//! Refs that are none of the bus's where those of the bus are: anybody who may push can make them.
//! Each stops at most itself.
//!
//! git cannot keep `refs/bus/locks/x` beside `refs/bus/locks`, and a blob is no claim. Below
//! `refs/bus/`, which is the bus's alone, what is in the way of a change is moved aside on the
//! remote, and is not lost. Where refs of the bus are branches it may be somebody's work: there a
//! person decides.

use std::collections::{BTreeMap, BTreeSet};

use super::sync::shared;
use crate::bus::workspace::{FleetFault, Note, Workspace, remove};
use crate::bus::{Error, odd_ref_advice};
use crate::git::{MAX_PUSH, ObjectId, RefName, Remote, Sight, Swap};
use crate::record::{Fleet, OWN_PREFIX, TaskId};
use crate::store::replace_copy;

/// How many odd refs are shown.
pub(in crate::bus) const MAX_SHOWN: usize = 20;

/// How many refs are moved aside at once: the system limits how long a command line may be.
const MAX_MOVED: usize = MAX_PUSH / 10;

/// How much of the note of odd refs is read, in bytes.
pub(in crate::bus) const MAX_NOTE: usize = 64 * 1024;

/// The error that a ref of the fleet's remote is not what it should be.
pub(super) fn odd_ref(ws: &Workspace, name: &RefName, what: &str) -> Error {
    let fleet = ws.fleet().ok().flatten();
    let prefix = fleet.map_or(OWN_PREFIX, |fleet| &fleet.prefix);
    let remote = fleet.map_or("origin", |fleet| &fleet.remote).to_owned();
    Error::OddRef { name: format!("{prefix}{}", name.rest()), remote, what: what.to_owned() }
}

/// Moves aside what is in the way of these refs on the remote, if that is why a change of them has
/// failed.
///
/// # Errors
///
/// `error` if nothing is in the way; [`Error::OddRef`] if it cannot be moved.
pub(super) fn make_way(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    names: &[RefName],
    error: Error,
) -> Result<(), Error> {
    if !matches!(error, Error::Fleet(FleetFault::Refused { .. }) | Error::OddRef { .. }) {
        return Err(error);
    }
    let sight = ws.repo.look_at(remote, &[])?;
    let odd = in_the_way(ws, remote, names, &sight)?;
    let Some(first) = odd.keys().next() else { return Err(error) };
    let blocked = names.iter().find(|name| first.excludes(name));
    let what = blocked.map_or_else(
        || "is no commit, so it is none of the bus's".to_owned(),
        |name| format!("is none of the bus's, and git cannot have `{}` beside it", name.rest()),
    );
    let fault = odd_ref(ws, first, &what);
    if fleet.prefix != OWN_PREFIX || odd.len() > MAX_MOVED {
        return Err(fault);
    }
    let kept: BTreeSet<ObjectId> = odd.values().copied().collect();
    let kept: BTreeMap<RefName, ObjectId> =
        kept.into_iter().filter_map(|id| Some((kept_as(id)?, id))).collect();
    let to_keep = kept.into_iter().filter(|(name, _)| !sight.contains_key(name));
    let keeping = to_keep.map(|(name, id)| Swap { name, expected: None, new: Some(id) });
    let removing =
        odd.iter().map(|(name, id)| Swap { name: name.clone(), expected: Some(*id), new: None });
    ws.repo.push(remote, &keeping.chain(removing).collect::<Vec<_>>(), true)?;
    let now = ws.repo.look_at(remote, &[])?;
    if odd.iter().any(|(name, id)| now.get(name) == Some(id)) {
        return Err(fault);
    }
    for (name, id) in &odd {
        let kept = kept_as(*id)
            .map_or_else(String::new, |kept| format!("; it is kept there as `{}`", kept.as_str()));
        let found = odd_ref(ws, name, "was none of the bus's, and git cannot have both");
        ws.notes.add(Note::Warning(format!("{found}{kept}; {}", odd_ref_advice(remote.name()))));
    }
    Ok(())
}

/// The remote's refs beside which git cannot have one of `names`, and those of `names` that are no
/// commits. Their objects are here.
fn in_the_way(
    ws: &Workspace,
    remote: &Remote,
    names: &[RefName],
    sight: &Sight,
) -> Result<Sight, Error> {
    let candidates = sight
        .iter()
        .filter(|(there, _)| names.iter().any(|name| name == *there || name.excludes(there)));
    let mut odd: Sight = candidates.map(|(name, id)| (name.clone(), *id)).collect();
    // What the remote cannot give may be somebody's: that is not in the way.
    let refused = ws.bring(remote, &odd, &odd.keys().cloned().collect::<Vec<_>>())?;
    odd.retain(|_, id| !refused.contains(id));
    let mut sound = Vec::new();
    for (name, id) in odd.iter().filter(|(name, _)| names.contains(name)) {
        if !ws.repo.is_no_commit(*id)? {
            sound.push(name.clone());
        }
    }
    odd.retain(|name, _| !sound.contains(name));
    Ok(odd)
}

/// Notes for `bus doctor` which of the remote's refs are none of the bus's, or cannot be read.
pub(super) fn note_odd_refs(ws: &Workspace, sight: &Sight, faults: &[Error]) -> Result<(), Error> {
    let unknown = sight
        .keys()
        .filter(|name| !is_known(name))
        .map(|name| odd_ref(ws, name, "is no ref of the bus").to_string());
    let odd = faults
        .iter()
        .filter(|fault| matches!(fault, Error::OddRef { .. }))
        .map(ToString::to_string);
    let mut odd = unknown.chain(odd);
    let mut lines: Vec<String> = odd.by_ref().take(MAX_SHOWN).collect();
    let more = odd.count();
    lines.extend((more > 0).then(|| {
        format!("{more} more refs of the remote are none of the bus's, or cannot be read")
    }));
    let place = ws.private.odd_refs();
    if !lines.is_empty() {
        return Ok(replace_copy(&place, format!("{}\n", lines.join("\n")).as_bytes())?);
    }
    if place.inspect()?.is_some() { remove(&place.path()) } else { Ok(()) }
}

/// Where what is moved aside is kept on the remote: beside nothing, and called after what it is at.
fn kept_as(id: ObjectId) -> Option<RefName> {
    RefName::own(&format!("odd/{id}"))
}

/// Whether this version knows what a ref is for.
pub(in crate::bus) fn is_known(name: &RefName) -> bool {
    let is_one = [RefName::archive(), RefName::fleet()].contains(name) || shared().contains(name);
    // Nobody reads a claim under another spelling than these.
    let is_claim = |task: TaskId| {
        RefName::claim(&task) == *name || RefName::other_claims(&task).contains(name)
    };
    is_one || name.is_log() || name.task().is_some_and(is_claim) || name.rest().starts_with("lost/")
}
