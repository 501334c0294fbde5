//! Finds what a crash or a hand edit left, and repairs it when asked. It writes this worktree's own
//! records only, and throws nothing away: what it replaces is kept in
//! `<git common dir>/bus/broken/`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{claim_findings, fleet_findings, lease_findings, log_findings, record_findings};
use crate::bus::claim::ClaimFault;
use crate::bus::workspace::{IGNORE_RECORDS, IdentitySource, Workspace};
use crate::bus::{Error, claim, fleet, lease, setup, workspace};
use crate::git::{RefName, Tip};
use crate::record::{IGNORE_FILE, TaskId};
use crate::store::{Error as StoreError, Lock, Place, Verb, close_line, create, replace};

/// Something that is not as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// Its kind, a stable name in kebab-case.
    pub(crate) name: &'static str,
    /// The file or ref.
    pub(crate) place: String,
    /// What is wrong with it.
    pub(crate) what: String,
    /// What [`repair`] does about it, or `None` if a person must decide.
    pub(crate) fix: Option<&'static str>,
    /// What a person can do about it, if nothing else does.
    pub(crate) advice: Option<String>,
    cure: Option<Cure>,
}

impl Finding {
    pub(in crate::bus) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: self.fix.is_none().then(|| advice.into()), ..self }
    }
}

#[derive(Clone, Debug)]
pub(in crate::bus) enum Cure {
    Settle(TaskId),
    Restore(TaskId),
    SetRefAside(TaskId),
    Rebuild(TaskId),
    GiveUp(TaskId),
    DropRef(RefName),
    SettleLeases,
    SetLocksAside,
    Import,
    IgnoreRecords,
    MergeSpellings(TaskId),
    MergeOnRemote(TaskId),
    ForgetFleet,
    CloseLine(Place),
    Remove(PathBuf),
    /// Remove copies of records that a branch without a bus does not ignore.
    RemoveCopies,
    Mint,
    /// Give one of git's own files the lines that it lacks.
    Lines(&'static str),
}

impl Cure {
    const fn describe(&self) -> &'static str {
        match self {
            Self::Settle(_) => "write the file and the event that the ref asks for",
            Self::SettleLeases => {
                "write the events and the copy of the table that the ref asks for"
            }
            Self::Restore(_) => "keep the file aside and write the ref's record in its place",
            Self::SetRefAside(_) => "keep the ref aside and let the record decide",
            Self::GiveUp(_) => {
                "keep the file aside and put what the fleet, or the last commit, says in its place"
            }
            Self::Rebuild(_) => {
                "make the ref anew, of what the fleet's remote was seen to have, or of the file"
            }
            Self::DropRef(_) => "keep what it says aside and remove it",
            Self::SetLocksAside => "keep the ref aside and let the record decide",
            Self::Import => "import it",
            Self::IgnoreRecords => "write it",
            Self::ForgetFleet => "forget the note: the remote is asked again",
            Self::MergeSpellings(_) => {
                "make one ref of both: the older live claim counts, the other is kept aside"
            }
            Self::MergeOnRemote(_) => {
                "make one ref of both on the fleet's remote: what gives way is kept there"
            }
            Self::CloseLine(_) => "end the line, so that it spoils nothing else",
            Self::Remove(_) => "remove it",
            Self::RemoveCopies => "remove the copies: the record has all that they say",
            Self::Mint => "give this clone an id of its own",
            Self::Lines(_) => "add the line",
        }
    }
}

impl Cure {
    /// The task whose refs on the fleet's remote it changes, if it does.
    fn on_remote(&self) -> Option<TaskId> {
        match self {
            Self::MergeOnRemote(task) => Some(task.clone()),
            _ => None,
        }
    }
}

/// Looks for everything that a crash, a copy or a hand edit leaves in this worktree and this clone.
/// Changes nothing.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses to read.
pub(crate) fn examine(ws: &Workspace) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let files = claim::claim_files(ws);
    for task in claim::tasks(ws, &files)? {
        claim_findings::examine_task(ws, &task, &files, &mut findings)?;
    }
    claim_findings::examine_spellings(ws, &files, &mut findings)?;
    for silent in setup::silent_hooks(ws)? {
        let advice = "`bus init --hooks` puts the hooks in again; what is there runs first. If another tool keeps the \
                      hooks, have it run `bus check --staged` and `bus validate --base HEAD`";
        findings.push(finding("silent-hook", silent.place, silent.what, None).advise(advice));
    }
    claim_findings::examine_other_worktrees(ws, &files, &mut findings)?;
    lease_findings::examine_leases(ws, &mut findings)?;
    examine_settings(ws, &mut findings)?;
    record_findings::examine_records(ws, &mut findings)?;
    log_findings::examine_log(ws, &mut findings)?;
    log_findings::examine_leftovers(ws, &mut findings);
    examine_clone(ws, &mut findings)?;
    fleet_findings::examine_fleet(ws, &mut findings)?;
    Ok(findings)
}

/// Repairs what can be repaired of `findings`, which [`examine`] has just returned, and returns
/// what is left.
///
/// # Errors
///
/// As the system refuses; what was repaired by then stays repaired.
pub(crate) fn fix(ws: &Workspace, findings: Vec<Finding>) -> Result<Vec<Finding>, Error> {
    let mut lock = ws.lock()?;
    let cures: Vec<Cure> = findings.into_iter().filter_map(|finding| finding.cure).collect();
    let on_remote: Vec<TaskId> = cures.iter().filter_map(Cure::on_remote).collect();
    let cures = cures.into_iter();
    // One that cannot be applied keeps no other from it.
    let refused = cures
        .filter_map(|cure| apply(ws, &mut lock, cure).err())
        .collect::<Vec<_>>()
        .into_iter()
        .next();
    drop(lock);
    on_remote.iter().try_for_each(|task| fleet::merge_on_remote(ws, task))?;
    refused.map_or_else(|| examine(ws), Err)
}

fn apply(ws: &Workspace, lock: &mut Lock, cure: Cure) -> Result<(), Error> {
    match cure {
        Cure::Settle(task) => match claim::view(ws, &task)?.tip {
            Some(tip) => claim::settle(ws, lock, &tip),
            None => Ok(()),
        },
        Cure::Restore(task) => restore(ws, lock, &task),
        Cure::SetRefAside(task) => claim::repaired_view(ws, lock, &task).map(drop),
        Cure::GiveUp(task) => fleet_findings::give_up(ws, &task),
        Cure::Rebuild(task) => fleet_findings::rebuild(ws, lock, &task),
        Cure::DropRef(name) => {
            lock.about_to_write(name.as_str())?;
            Ok(ws.repo.set_aside(&name, &claim::broken(ws, "REF")?.path(), None)?)
        }
        Cure::SettleLeases => match ws.repo.tip(&RefName::leases())? {
            Tip::At(tip) => lease::settle_last_leases(ws, lock, &tip),
            Tip::Missing | Tip::Unreadable { .. } => Ok(()),
        },
        Cure::SetLocksAside => lease::repaired_table(ws, lock).map(drop),
        Cure::Import => ws.import_again(lock),
        Cure::ForgetFleet => workspace::remove(&ws.private.fleet().path()),
        Cure::MergeSpellings(task) => claim::merge_spellings(ws, lock, &task),
        // It comes last: the lock is not held across the network.
        Cure::MergeOnRemote(_) => Ok(()),
        Cure::IgnoreRecords => {
            Ok(create(&ws.layout.place(IGNORE_FILE), IGNORE_RECORDS.as_bytes()).map(drop)?)
        }
        Cure::CloseLine(place) => Ok(close_line(lock, &place)?),
        Cure::Remove(path) => match fs::remove_file(&path) {
            // Another cure needed the place, or another process was faster.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io(Verb::Remove, &path)(error).into())
            }
            _ => Ok(()),
        },
        Cure::RemoveCopies => setup::remove_copies(ws),
        Cure::Mint => ws.clone_id().map(drop),
        Cure::Lines(name) => setup::lay_lines(ws, &[name], ws.mode()?).map(drop),
    }
}

/// Puts what the ref says in the place of the files that stand there, of which copies are kept.
fn restore(ws: &Workspace, lock: &Lock, task: &TaskId) -> Result<(), Error> {
    let Some(tip) = claim::tip(ws, task)? else { return Ok(()) };
    for layout in [&ws.record, &ws.layout] {
        let place = layout.claim(&tip.claim.task_id);
        if place.inspect()?.is_some() {
            claim::keep_aside(ws, task.as_str(), &place)?;
            replace(&place, &tip.link.body)?;
        }
    }
    claim::settle(ws, lock, &tip)
}

/// The policy, the assignments and the manifest, which commands refuse to work with where they
/// cannot be read.
fn examine_settings(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    if let Err(error) = ws.config() {
        findings.push(of_error(ws, "malformed-config", error)?);
    }
    for task in claim::assigned_tasks(ws) {
        for layout in ws.record_layouts() {
            if let Err(error) = claim::assignment_in(ws, layout, &task) {
                findings.push(of_error(ws, "malformed-assignment", error)?);
            }
        }
    }
    if let Err(error) = ws.agent(&IdentitySource::default()) {
        findings.push(of_error(ws, "malformed-manifest", error)?);
    }
    Ok(())
}

fn examine_clone(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    if ws.is_copied()? {
        let place = ws.private.clone_id().path().display().to_string();
        let what = "it was made for another place: this clone was copied or moved".to_owned();
        findings.push(finding("copied-clone-id", place, what, Some(Cure::Mint)));
    }
    for (file, name, what) in [
        (
            ".gitattributes",
            "missing-gitattributes",
            "it lacks a line, so that git may change line ends of records",
        ),
        (
            ".gitignore",
            "missing-gitignore",
            "it lacks a line, so that what a killed process leaves may be committed",
        ),
    ] {
        match setup::missing_lines(ws, file) {
            Ok(lines)
                if ws.layout.has_bus()
                    && !record_findings::has_only_copies(ws)?
                    && !lines.is_empty() =>
            {
                findings.push(finding(
                    name,
                    file.to_owned(),
                    what.to_owned(),
                    Some(Cure::Lines(file)),
                ));
            }
            Ok(_) => {}
            Err(error) => findings.push(of_error(ws, name, error)?),
        }
    }
    Ok(())
}

/// What stands in the way of a look is a finding, called `name` where it is malformed; what the
/// system refuses is none.
pub(super) fn of_error(ws: &Workspace, name: &'static str, error: Error) -> Result<Finding, Error> {
    let (text, advice) = (error.to_string(), error.hint());
    let below =
        |path: &Path| path.strip_prefix(ws.layout.root()).unwrap_or(path).display().to_string();
    let found = match error {
        Error::Malformed { place, line, truth, fault } => {
            finding(name, place, format!("line {line}: {fault}"), truth.map(Cure::Restore))
        }
        Error::MalformedConfig { path, fault } => {
            finding(name, below(&path), format!("line {}: {}", fault.line, fault.what), None)
        }
        Error::Store(StoreError::WrongKind { path, .. }) => {
            finding("wrong-kind", below(&path), text, None)
        }
        Error::Lease(_) => finding("lease-diverged", "_bus/locks".to_owned(), text, None),
        Error::Claim(ClaimFault::Diverged { task, .. }) => {
            finding("claim-diverged", task.to_string(), text, None)
        }
        Error::Fleet(_) => finding(name, below(&ws.layout.config().path()), text, None),
        refused => return Err(refused),
    };
    Ok(found.advise(advice))
}

pub(super) fn finding(
    name: &'static str,
    place: String,
    what: String,
    cure: Option<Cure>,
) -> Finding {
    Finding { name, place, what, fix: cure.as_ref().map(Cure::describe), advice: None, cure }
}
