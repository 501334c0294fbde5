//! What `bus doctor` finds of a fleet, and of refs that something else destroyed.

use super::examine;
use super::examine::{Cure, Finding, finding};
use crate::bus::claim::View;
use crate::bus::fleet::{MAX_NOTE, MAX_SHOWN, is_known};
use crate::bus::workspace::{Workspace, remove};
use crate::bus::{Error, claim, fleet, odd_ref_advice};
use crate::git::RefName;
use crate::record::json::MAX_RECORD;
use crate::record::{Claim, Origin, TaskId};
use crate::store::{Lock, last_touched, replace};

/// The note of the fleet, what git's settings would do to refs of the bus, and refs whose objects
/// are gone.
pub(super) fn examine_fleet(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    if ws.config().is_ok()
        && let Err(error) = ws.fleet()
    {
        let found = examine::of_error(ws, "fleet", error)?;
        // A note of version 0.1 may have come from a branch alone; what was confirmed is not
        // forgotten.
        let is_unproved =
            ws.private.fleet().path().exists() && last_touched(&ws.private.fleet_seen()).is_none();
        findings.push(match is_unproved {
            true => finding("fleet", found.place, found.what, Some(Cure::ForgetFleet)),
            false => found,
        });
    }
    findings.extend(examine_remote(ws));
    examine_rewritten(ws, findings)?;
    examine_odd_refs(ws, findings)?;
    for (key, value) in ws.repo.remotes()?.greedy {
        let what = format!(
            "`{value}` lets git remove or overwrite refs of the bus when it fetches or pushes"
        );
        let advice = "have it name branches only: `+refs/heads/*:refs/remotes/NAME/*`; a mirror is no place for a bus";
        findings.push(finding("greedy-remote", key, what, None).advise(advice));
    }
    let archive = RefName::archive();
    if let Some(id) = ws.repo.id_of(&archive)?
        && let Err(error) = ws.repo.archive(id)
    {
        let cure = Some(Cure::DropRef(archive.clone()));
        findings.push(finding(
            "unreadable-ref",
            archive.as_str().to_owned(),
            error.to_string(),
            cure,
        ));
    }
    let prefixes = ["refs/bus-remote/", "refs/bus/lost/", "refs/bus/log/"];
    for prefix in prefixes {
        for name in ws.repo.broken_below(prefix)? {
            let what = "its object is not here: that breaks `git fetch`".to_owned();
            findings.push(finding(
                "unreadable-ref",
                name.as_str().to_owned(),
                what,
                Some(Cure::DropRef(name)),
            ));
        }
    }
    Ok(())
}

/// The fleet's remote, if this clone has none of that name.
fn examine_remote(ws: &Workspace) -> Option<Finding> {
    let fleet = ws.fleet().ok().flatten()?;
    let remotes = ws.repo.remote_addresses();
    if remotes.iter().any(|(name, _)| *name == fleet.remote) {
        return None;
    }
    let names: Vec<String> = remotes.iter().map(|(name, _)| format!("`{name}`")).collect();
    let what = match names.as_slice() {
        [] => "it is the fleet's remote, and this clone has no remote".to_owned(),
        names => format!("it is the fleet's remote, and this clone has only {}", names.join(", ")),
    };
    let advice = "if it was renamed: `bus sync --remote NAME`; if it was removed: `git remote add`";
    Some(finding("fleet-remote", fleet.remote.clone(), what, None).advise(advice))
}

/// A claim that was made in this clone, and whose ref is gone: a mirror or a careless prune has
/// removed it.
pub(super) fn examine_missing_ref(ws: &Workspace, view: &View) -> Result<Option<Finding>, Error> {
    let is_whole =
        view.stand_in.is_none() && (view.ref_id.is_some() || ws.archived_id(&view.task)?.is_some());
    if is_whole || view.unreadable.is_some() {
        return Ok(None);
    }
    let own = ws.known_clone_id()?;
    let made_here = |claim: &Claim| {
        own.is_some() && claim.origin.as_ref().map(Origin::clone_id) == own.as_deref()
    };
    let gone = view.claim().is_some_and(made_here);
    Ok(gone.then(|| {
        let how =
            if view.ref_id.is_some() { "has a ref that was set back" } else { "has lost its ref" };
        let what = format!("a claim of this clone {how}");
        finding(
            "missing-ref",
            view.name.as_str().to_owned(),
            what,
            Some(Cure::Rebuild(view.task.clone())),
        )
    }))
}

/// Keeps the files of a claim that was not the first aside: what the ref says takes the place of
/// the record's, what the last commit has that of this worktree's, unless that is the same claim.
pub(super) fn give_up(ws: &Workspace, task: &TaskId) -> Result<(), Error> {
    let is_lost = |bytes: &[u8]| {
        Claim::parse(bytes)
            .is_ok_and(|claim| claim::lost_claim(ws, &claim).is_ok_and(|lost| lost.is_some()))
    };
    for layout in [&ws.record, &ws.layout] {
        let place = layout.claim(task);
        if !place.read(MAX_RECORD)?.is_some_and(|bytes| is_lost(&bytes)) {
            continue;
        }
        claim::keep_aside(ws, task.as_str(), &place)?;
        let instead = match layout.root() == ws.record.root() {
            true => claim::tip(ws, task)?.map(|tip| tip.link.body),
            false => ws.repo.committed_file(place.relative()).filter(|bytes| !is_lost(bytes)),
        };
        match instead {
            Some(bytes) => replace(&place, &bytes)?,
            None => remove(&place.path())?,
        }
    }
    Ok(())
}

/// Makes the ref of a task anew: what the fleet's remote was seen to have, or what the record knows
/// beyond that.
pub(super) fn rebuild(ws: &Workspace, lock: &mut Lock, task: &TaskId) -> Result<(), Error> {
    let view = claim::view(ws, task)?;
    let tip = match (&view.tip, &view.stand_in) {
        (_, Some(file)) => claim::import_claim(ws, &view, file, &file.claim.agent_id)?,
        (Some(tip), None) if view.ref_id.is_none() => tip.link.id,
        _ => return Ok(()),
    };
    lock.about_to_write(view.name.as_str())?;
    ws.repo.swap(&view.name, view.ref_id, tip)?;
    Ok(())
}

/// Refs that are none of the bus's: here, among what was seen on a remote, and on the remote when
/// it was last looked at.
fn examine_odd_refs(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let remotes =
        ws.repo.remote_addresses().into_iter().map(|(name, _)| RefName::all_seen_on(&name));
    let mut odd = Vec::new();
    for prefix in [RefName::ALL_OWN.to_owned()].into_iter().chain(remotes) {
        let names = ws.repo.names_below(&prefix)?.into_iter();
        let unknown = names.filter(|name| RefName::own(name).is_some_and(|name| !is_known(&name)));
        odd.extend(unknown.filter_map(|name| RefName::parse(&format!("{prefix}{name}"))));
    }
    for name in odd.into_iter().take(MAX_SHOWN) {
        let what = "it is no ref of the bus".to_owned();
        findings.push(finding(
            "odd-ref",
            name.as_str().to_owned(),
            what,
            Some(Cure::DropRef(name)),
        ));
    }
    let Some(fleet) = ws.fleet().ok().flatten() else { return Ok(()) };
    let note = ws.private.odd_refs().read(MAX_NOTE)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&note).lines() {
        let found = finding("odd-ref", fleet.remote.clone(), line.to_owned(), None);
        findings.push(found.advise(odd_ref_advice(&fleet.remote)));
    }
    Ok(())
}

/// The same as findings.
fn examine_rewritten(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    for log in fleet::rewritten_logs(ws)? {
        let advice = format!("if that is right: `{}`", log.command());
        findings.push(
            finding("log-rewritten", log.clone.to_string(), log.words(), None).advise(advice),
        );
    }
    Ok(())
}
