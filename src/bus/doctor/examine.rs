//! Finds what a crash or a hand edit left, and repairs it when asked. It writes this worktree's own
//! records only, and throws nothing away: what it replaces is kept in
//! `<git common dir>/bus/broken/`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{fleet_findings, lease_findings, record_findings};
use crate::bus::claim::{ClaimFault, ClaimFiles, FileClaim, View, is_in_line};
use crate::bus::workspace::{IGNORE_RECORDS, IdentitySource, Workspace};
use crate::bus::{Error, claim, fleet, lease, setup, workspace};
use crate::git::{RefName, Tip};
use crate::record::{IGNORE_FILE, ROOTS, TaskId};
use crate::store::{
    Error as StoreError, Layout, Lock, Place, Stream, Verb, close_line, create, is_cut_off, replace,
};

/// How old a lock of a ref must be before it counts as left behind. git holds one for milliseconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

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
        examine_task(ws, &task, &files, &mut findings)?;
    }
    examine_spellings(ws, &files, &mut findings)?;
    examine_other_worktrees(ws, &files, &mut findings)?;
    lease_findings::examine_leases(ws, &mut findings)?;
    examine_settings(ws, &mut findings)?;
    record_findings::examine_records(ws, &mut findings)?;
    examine_log(ws, &mut findings)?;
    examine_leftovers(ws, &mut findings);
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

fn examine_task(
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
    match view.bad_file {
        Some(error) => findings.push(of_error(ws, "malformed-claim", error)?),
        None => findings.extend(examine_file(ws, &view)?),
    }
    Ok(())
}

/// The claim's files against the ref: the record's, and this worktree's if it is a record.
fn examine_file(ws: &Workspace, view: &View) -> Result<Option<Finding>, Error> {
    // One at a time: what repairs the first does the same for the other.
    match examine_file_of(ws, view, &ws.record, view.record.as_ref())? {
        None if ws.reading_mode().reads_worktrees() => {
            examine_file_of(ws, view, &ws.layout, view.file.as_ref())
        }
        found => Ok(found),
    }
}

fn examine_file_of(
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
fn examine_spellings(
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
fn examine_other_worktrees(
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

/// The files that lines are appended to: cut-off lines, and what an older bus left that is not in
/// the record.
fn examine_log(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    for place in Stream::ALL.into_iter().flat_map(|stream| files_here(ws, stream)) {
        match is_cut_off(&place) {
            Ok(true) => {
                let what = "its last line was cut off".to_owned();
                findings.push(finding(
                    "torn-line",
                    ws.show(&place),
                    what,
                    Some(Cure::CloseLine(place)),
                ));
            }
            Ok(false) => {}
            Err(error) => {
                let found = of_error(ws, "torn-line", error.into())?;
                // A link in the place of the folder stands in the way of each file.
                if findings
                    .iter()
                    .all(|known| (known.name, &known.place) != (found.name, &found.place))
                {
                    findings.push(found);
                }
            }
        }
    }
    for left in ws.import_note()?.unwrap_or_default().left {
        let what =
            "it could not be read when this clone moved over, so what it says is not in the record"
                .to_owned();
        findings.push(finding("not-imported", left, what, Some(Cure::Import)));
    }
    Ok(())
}

/// The files of `stream` that are written here, and what stands in their place: the record's, and
/// this worktree's in a bus whose files are tracked.
fn files_here(ws: &Workspace, stream: Stream) -> Vec<Place> {
    let layouts =
        [&ws.record].into_iter().chain(ws.reading_mode().reads_worktrees().then_some(&ws.layout));
    let files = layouts.flat_map(|layout| {
        ws.listed(&layout.folder(stream)).into_iter().map(move |entry| (layout, entry.name))
    });
    let lines =
        files.filter(|(_, name)| Path::new(name).extension().is_some_and(|end| end == "jsonl"));
    lines.filter_map(|(layout, name)| Some(layout.file(stream, name.to_str()?))).collect()
}

/// Temporary files and locks of refs that a killed process left.
fn examine_leftovers(ws: &Workspace, findings: &mut Vec<Finding>) {
    let temporary = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
    let lock = |name: &str| name.ends_with(".lock");
    let mut look = |folder: PathBuf, wanted: &dyn Fn(&str) -> bool, name: &'static str| {
        for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
            let old = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
            let old = old.is_some_and(|time| {
                ws.clock.system().duration_since(time).unwrap_or_default() >= ABANDONED_AFTER
            });
            if entry.file_type().is_file() && wanted(&entry.file_name().to_string_lossy()) && old {
                let path = entry.into_path();
                let shown =
                    path.strip_prefix(ws.layout.root()).unwrap_or(&path).display().to_string();
                findings.push(finding(
                    name,
                    shown,
                    "a killed process left it".to_owned(),
                    Some(Cure::Remove(path)),
                ));
            }
        }
    };
    for folder in ROOTS {
        look(ws.layout.root().join(folder), &temporary, "temporary-file");
    }
    look(ws.private.folder(), &temporary, "temporary-file");
    look(ws.private.common().join("refs/bus"), &lock, "ref-lock");
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
