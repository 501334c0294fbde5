//! What `bus doctor` finds of claims: refs, files and spellings that contradict each other.

use super::examine::{Cure, Finding, finding, of_error};
use super::fleet_findings;
use crate::bus::claim::{ClaimFiles, FileClaim, View, is_in_line};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, fleet};
use crate::record::{Span, TaskId};
use crate::store::Layout;

pub(super) fn examine_task(
    ws: &Workspace,
    task: &TaskId,
    files: &ClaimFiles,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let view = match claim::view_by(ws, task, Some(files)) {
        Ok(view) => view,
        Err(error) => {
            findings.push(of_error(ws, "malformed-claim", error)?);
            return Ok(());
        }
    };
    if let Some(what) = &view.unreadable {
        let cure = Some(Cure::SetRefAside(view.task.clone()));
        findings.push(finding("unreadable-ref", view.name.as_str().to_owned(), what.clone(), cure));
    }
    findings.extend(fleet_findings::examine_missing_ref(ws, &view)?);
    findings.extend(examine_clock(ws, &view));
    findings.extend(examine_place(ws, &view));
    match view.bad_file {
        Some(error) => findings.push(of_error(ws, "malformed-claim", error)?),
        None => findings.extend(examine_file(ws, &view)?),
    }
    Ok(())
}

/// A live claim whose worktree is gone.
fn examine_place(ws: &Workspace, view: &View) -> Option<Finding> {
    let claim = view.claim().filter(|claim| claim.status.is_live())?;
    let origin = claim.origin.as_ref()?;
    let own = ws.known_clone_id().ok().flatten();
    let name = origin.worktree().filter(|_| own.as_deref() == Some(origin.clone_id()))?;
    ws.repo.worktree_is_gone(name).then(|| {
        let what = format!("{} claimed it in the worktree `{name}`, which is gone", claim.agent_id);
        let advice = format!(
            "{} gets it back with `bus claim {task} --here`; anybody takes it over with \
             `bus reclaim {task} --note WHY`",
            claim.agent_id,
            task = view.task
        );
        finding("place-gone", view.name.as_str().to_owned(), what, None).advise(advice)
    })
}

/// A live claim whose owner's clock is ahead: what it says is no heartbeat.
fn examine_clock(ws: &Workspace, view: &View) -> Option<Finding> {
    let (owner, ahead) = (&view.claim()?.agent_id, Span::new(claim::clock_ahead(ws, view)?));
    let what = format!("the clock of {owner} is ahead by {ahead}, or was when it wrote this");
    let advice = format!(
        "set the clock of that machine; if {owner} is gone: `bus reclaim {} --note WHY` once the \
         claim is stale by this clone's clock",
        view.task
    );
    Some(finding("clock-ahead", view.name.as_str().to_owned(), what, None).advise(advice))
}

/// The claim's files against the ref: the record's, and this worktree's if it is a record.
pub(super) fn examine_file(ws: &Workspace, view: &View) -> Result<Option<Finding>, Error> {
    // One at a time: what repairs the first does the same for the other.
    match examine_file_of(ws, view, &ws.record, view.record.as_ref())? {
        None if ws.reading_mode().reads_worktrees() => {
            examine_file_of(ws, view, &ws.layout, view.file.as_ref())
        }
        found => Ok(found),
    }
}

pub(super) fn examine_file_of(
    ws: &Workspace,
    view: &View,
    layout: &Layout,
    file: Option<&FileClaim>,
) -> Result<Option<Finding>, Error> {
    let Some(tip) = view.tip.as_ref().filter(|_| view.stand_in.is_none()) else { return Ok(None) };
    let (task, place) = (view.task.clone(), ws.show(&layout.claim(&view.task)));
    if let Some(file) = file
        && claim::lost_claim(ws, &file.claim)?.is_some()
        && !is_in_line(Some(file), tip)
    {
        let owner = &tip.claim.agent_id;
        let what = format!("its claim was not the first in the fleet: {owner} has the task");
        return Ok(Some(finding("claim-lost", place, what, Some(Cure::GiveUp(task)))));
    }
    if let Some(file) = file.filter(|file| file.claim.revision > tip.claim.revision) {
        let (theirs, ours) = (file.claim.revision, tip.claim.revision);
        if claim::is_known(ws, tip, &file.claim)? {
            let what =
                format!("it was edited: it says revision {theirs}, and the ref revision {ours}");
            return Ok(Some(finding("claim-edited", place, what, Some(Cure::Restore(task)))));
        }
        let claim = &file.claim;
        let what = format!(
            "it is ahead of the ref: it names {}, {}, at revision {theirs}, the ref names {}, {}, at revision {ours}",
            claim.agent_id, claim.status, tip.claim.agent_id, tip.claim.status
        );
        let advice = format!(
            "look at `git log {}`; if the file is wrong, remove it, and run the same command again",
            view.name.as_str()
        );
        return Ok(Some(finding("claim-ahead", place, what, None).advise(advice)));
    }
    let here = ws.here_origin()?;
    let own = here.is_some() && tip.claim.origin == here;
    if !own || view.ref_id.is_none() || is_in_line(file, tip) {
        return Ok(None);
    }
    let is_record = layout.root() == ws.record.root();
    Ok(match file {
        // Another branch may be checked out, which knows nothing of it.
        _ if !is_record && !layout.has_bus() => None,
        // Before the clone has moved over, no claim has a file there.
        None if is_record && ws.import_note()?.is_none() => None,
        None if is_record => {
            let what = "the record has no file of it, so its event may be missing".to_owned();
            Some(finding("unsettled-claim", place, what, Some(Cure::Settle(task))))
        }
        None if !tip.claim.status.is_live() => None,
        None => Some(finding(
            "missing-file",
            place,
            "a live claim of this worktree has no file".to_owned(),
            Some(Cure::Settle(task)),
        )),
        Some(file) if file.claim.status.is_live() && !claim::is_known(ws, tip, &file.claim)? => {
            let what = format!(
                "it says that {} holds the task, in a claim that the ref knows nothing of",
                file.claim.agent_id
            );
            let found = finding("claim-ahead", place, what, None);
            Some(found.advise(
                "if that claim is of another clone, it counts here until the base has its end; \
                 else remove the file",
            ))
        }
        Some(file) if !claim::is_past_state(ws, tip, &file.claim)? => {
            let what = "it was edited: the ref has never said this".to_owned();
            Some(finding("claim-edited", place, what, Some(Cure::Restore(task))))
        }
        Some(_) => {
            let what = "it is behind the ref, which this worktree wrote".to_owned();
            Some(finding("unsettled-claim", place, what, Some(Cure::Settle(task))))
        }
    })
}

/// Files of one task in two spellings: a checkout on a case-insensitive disk loses one.
pub(super) fn examine_spellings(
    ws: &Workspace,
    files: &ClaimFiles,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    for (name, task) in fleet::old_spellings_seen(ws)? {
        let what = "version 0.1 took this spelling of the number for another task".to_owned();
        findings.push(finding(
            "two-spellings",
            name.as_str().to_owned(),
            what,
            Some(Cure::MergeOnRemote(task)),
        ));
    }
    for name in files.other_refs() {
        let what = "version 0.1 took this spelling of the number for another task".to_owned();
        if let Some(task) = name.task() {
            findings.push(finding(
                "two-spellings",
                name.as_str().to_owned(),
                what,
                Some(Cure::MergeSpellings(task)),
            ));
        }
    }
    for (index, layout) in ws.record_layouts().iter().enumerate() {
        for (first, second) in files.doubles(index) {
            let what = format!("`{first}` and `{second}` are one task");
            let found = finding("two-spellings", ws.show(&layout.claim(second)), what, None);
            findings.push(found.advise("keep the file that is right, and remove the other"));
        }
    }
    Ok(())
}

/// Claim files of other worktrees that cannot be read: they are repaired there.
pub(super) fn examine_other_worktrees(
    ws: &Workspace,
    files: &ClaimFiles,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let layouts = ws.record_layouts().iter().enumerate();
    for (index, layout) in layouts.filter(|(_, layout)| {
        layout.root() != ws.layout.root() && layout.root() != ws.record.root()
    }) {
        for task in files.in_layout(index) {
            if let Err(error) = claim::file_claim(ws, layout, task) {
                let advice =
                    format!("run `bus doctor` there: `bus -C {} doctor`", layout.root().display());
                findings.push(of_error(ws, "malformed-claim", error)?.advise(advice));
            }
        }
    }
    Ok(())
}
