//! What stands about one task: the ref, this worktree's file, and which of them decides (design,
//! section 3).

use super::claim_files::{ClaimFiles, FileClaim, parse};
use super::{claim_chain, claim_files, loss, spelling};
use crate::bus::Error;
use crate::bus::workspace::{Note, Who, Workspace};
use crate::git::{Link, ObjectId, RefName, Tip};
use crate::record::{Claim, MAX_REVISION, TaskId};

/// The state of a claim, and the commit that holds it.
#[derive(Clone, Debug)]
pub(in crate::bus) struct State {
    pub(in crate::bus) link: Link,
    pub(in crate::bus) claim: Claim,
}

/// All that stands about one task.
#[derive(Debug)]
pub(in crate::bus) struct View {
    /// The task, in its existing spelling.
    pub(in crate::bus) task: TaskId,
    pub(in crate::bus) name: RefName,
    /// The ref's state, or what the fleet's remote was seen to have if that is further; without a
    /// ref the archive's, else what the remote was seen to have, if the record knows nothing newer.
    pub(in crate::bus) tip: Option<State>,
    /// What a write must find in the ref, or `None` if there is none.
    pub(in crate::bus) ref_id: Option<ObjectId>,
    /// Why the ref cannot be read, where it cannot.
    pub(in crate::bus) unreadable: Option<String>,
    /// The file that decides in the place of a ref that is gone, or was set back: the one of the
    /// highest revision in the record and in all that counts as it.
    pub(in crate::bus) stand_in: Option<FileClaim>,
    /// The record's file.
    pub(in crate::bus) record: Option<FileClaim>,
    /// This worktree's file, if files of branches are records.
    pub(in crate::bus) file: Option<FileClaim>,
    /// Why this worktree's file cannot be read, where the ref or the record still says what is
    /// true.
    pub(in crate::bus) bad_file: Option<Error>,
}

impl View {
    /// The claim that decides.
    pub(in crate::bus) fn claim(&self) -> Option<&Claim> {
        let from_file = self.stand_in.as_ref().map(|file| &file.claim);
        from_file.or_else(|| self.tip.as_ref().map(|state| &state.claim))
    }

    /// The claim that decides, where all that could decide can be read.
    ///
    /// # Errors
    ///
    /// [`Error::UnreadableRef`] if the ref is damaged and no file stands in for it.
    pub(in crate::bus) fn certain_claim(&self) -> Result<Option<&Claim>, Error> {
        match (self.claim(), &self.unreadable) {
            (None, Some(what)) => Err(Error::UnreadableRef {
                name: self.name.as_str().to_owned(),
                what: what.clone(),
            }),
            (claim, _) => Ok(claim),
        }
    }

    /// The state that the ref is at, if that is what decides.
    pub(in crate::bus) fn tip_id(&self) -> Option<ObjectId> {
        let tip = self.tip.as_ref().filter(|_| self.stand_in.is_none()).map(|state| state.link.id);
        tip.filter(|tip| Some(*tip) == self.ref_id)
    }

    /// The files that could hold the claim back.
    fn files(&self) -> impl Iterator<Item = &FileClaim> {
        self.record.iter().chain(&self.file)
    }

    /// One more than the highest revision of ref and files.
    pub(in crate::bus) fn next_revision(&self) -> Result<u64, Error> {
        let decides = self.claim().map_or(0, |claim| claim.revision);
        let highest = self.files().map(|file| file.claim.revision).max().unwrap_or(0).max(decides);
        if highest >= MAX_REVISION {
            Err(Error::worn_out(self.name.as_str()))
        } else {
            Ok(highest + 1)
        }
    }
}

/// Reads all that stands about the task that is asked for, in whatever letter case.
///
/// # Errors
///
/// [`Error::Malformed`] if what decides is no claim; [`ClaimFault::Diverged`] if there is no ref,
/// and files of equal revision disagree.
pub(in crate::bus) fn view(ws: &Workspace, asked: &TaskId) -> Result<View, Error> {
    let view = view_by(ws, asked, None)?;
    // A merge has left it so, or git is about to write it.
    if let Some(error) = &view.bad_file {
        ws.notes.add(Note::Warning(format!(
            "{error}; it does not count, and `bus doctor --fix` restores it"
        )));
    }
    Ok(view)
}

/// As [`view`], but it mentions nothing; `files` saves a look at the folders for each of many
/// tasks.
pub(in crate::bus) fn view_by(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<View, Error> {
    let mut view = view_of_refs(ws, asked, files, true)?;
    // There may be thousands: what was read to decide is not read again.
    if view
        .record
        .as_ref()
        .is_none_or(|file| file.place.path() != ws.record.claim(&view.task).path())
    {
        view.record = match claim_files::file_claim(ws, &ws.record, &view.task) {
            // It is written after the ref, and may not have come to the disk.
            Err(Error::Malformed { .. }) if view.tip.is_some() => None,
            record => record?,
        };
    }
    if !ws.reading_mode().reads_worktrees() {
        return Ok(view);
    }
    let (file, bad_file) = match claim_files::file_claim(ws, &ws.layout, &view.task) {
        Ok(file) => (file, None),
        Err(error @ Error::Malformed { .. }) if view.tip.is_some() => {
            (None, Some(error.with_truth(&view.task)))
        }
        Err(error @ Error::Malformed { .. }) if view.stand_in.is_some() => (None, Some(error)),
        Err(error) => return Err(error),
    };
    (view.file, view.bad_file) = (file, bad_file);
    Ok(view)
}

/// What decides about a task, and no more.
pub(in crate::bus) fn deciding_view(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<View, Error> {
    Ok(View { record: None, ..view_of_refs(ws, asked, files, true)? })
}

/// What decides about a task if no ref was set back: the record is read only if there is no ref.
/// For lists of thousands that nobody decides by.
pub(in crate::bus) fn listed_view(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<View, Error> {
    view_of_refs(ws, asked, files, false)
}

/// What the refs say; the record's file is with it if it was read.
fn view_of_refs(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
    with_record: bool,
) -> Result<View, Error> {
    let name = RefName::claim(asked);
    let (mut tip, unreadable) = match ws.repo.tip(&name)? {
        Tip::At(link) => (Some(state(link, &name, asked)?), None),
        Tip::Missing => (None, None),
        Tip::Unreadable { what } => (None, Some(what)),
    };
    let ref_id = tip.as_ref().map(|tip| tip.link.id);
    for (_, other) in other_tips(ws, asked, files)? {
        if tip.as_ref().map_or(Ok(true), |tip| spelling::counts_over(ws, &other, tip))? {
            tip = Some(other);
        }
    }
    // A ref that was set back is behind what the remote was seen to have.
    if let (Some(here), Some(seen)) = (&tip, claim_chain::seen_claim(ws, asked))
        && seen.link.id != here.link.id
        && seen.claim.revision > here.claim.revision
        && ws.repo.descends(seen.link.id, here.link.id)?
    {
        tip = Some(seen);
    }
    let archived = if tip.is_none() && unreadable.is_none() {
        claim_chain::archived_state(ws, &name, asked)?
    } else {
        None
    };
    let mut tip = tip.or(archived);
    let mut record = None;
    let (mut task, mut stand_in) = match &tip {
        Some(state) if !with_record => (Some(state.claim.task_id.clone()), None),
        Some(state) => {
            // It is written after the ref, and may not have come to the disk.
            record = claim_files::file_claim(ws, &ws.record, &state.claim.task_id).ok().flatten();
            let ahead = record.as_ref().map_or(Ok(false), |file| is_ahead(ws, file, state))?;
            (Some(state.claim.task_id.clone()), record.clone().filter(|_| ahead))
        }
        None => claim_files::stand_in(ws, asked, files)?,
    };
    if tip.is_none()
        && unreadable.is_none()
        && let Some(seen) = claim_chain::seen_claim(ws, asked)
        && stand_in.as_ref().is_none_or(|file| file.claim.revision <= seen.claim.revision)
    {
        // The ref has vanished here, and the fleet's remote was seen to have it.
        task = Some(seen.claim.task_id.clone());
        (tip, stand_in) = (Some(seen), None);
    }
    let task = task.unwrap_or_else(|| asked.clone()).usual();
    Ok(View { task, name, tip, ref_id, unreadable, stand_in, record, file: None, bad_file: None })
}

/// Whether the record's file of the claim goes on from `tip`: then a ref is gone or was set back,
/// and the record decides.
fn is_ahead(ws: &Workspace, file: &FileClaim, tip: &State) -> Result<bool, Error> {
    Ok(goes_on_from(&file.claim, &tip.claim) && loss::lost_claim(ws, &file.claim)?.is_none())
}

/// The states of refs that version 0.1 made for other spellings of the task's number.
pub(super) fn other_tips(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<Vec<(RefName, State)>, Error> {
    let names = match files {
        Some(files) => files.other_refs.get(asked).cloned().unwrap_or_default(),
        None => RefName::other_claims(asked),
    };
    let mut tips = Vec::new();
    for name in names {
        // One that cannot be read is for `bus doctor`: what can be read counts.
        if let Tip::At(link) = ws.repo.tip(&name)?
            && let Ok(state) = state(link, &name, asked)
        {
            tips.push((name, state));
        }
    }
    Ok(tips)
}

/// The file, of the record or of this worktree, that contradicts the ref: it is ahead, the chain
/// does not know it, and it names a live owner who is not `who`.
pub(in crate::bus) fn contradiction<'a>(
    ws: &Workspace,
    view: &'a View,
    who: &Who,
) -> Result<Option<&'a FileClaim>, Error> {
    Ok(rival(ws, view)?.filter(|file| !who.owns(&file.claim)))
}

/// The same, whoever the live owner is.
pub(in crate::bus) fn rival<'a>(
    ws: &Workspace,
    view: &'a View,
) -> Result<Option<&'a FileClaim>, Error> {
    let Some(tip) = view.tip.as_ref().filter(|_| view.stand_in.is_none()) else { return Ok(None) };
    for file in view.files() {
        let claim = &file.claim;
        let ahead = claim.revision > tip.claim.revision && !claim.is_unconfirmed();
        // Once the claim here has ended, another clone's that came with a branch stands in its
        // place.
        let follows = !tip.claim.status.is_live()
            && view.file.as_ref().is_some_and(|here| std::ptr::eq(here, file));
        if (ahead || follows) && claim.status.is_live() && !claim_chain::is_known(ws, tip, claim)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The claim that a commit holds.
pub(in crate::bus) fn state(link: Link, name: &RefName, task: &TaskId) -> Result<State, Error> {
    let claim = parse(&link.body, task).map_err(Error::malformed(name.as_str(), &link.body))?;
    Ok(State { link, claim })
}

/// Whether the state `file` of the record is a later one than `tip`, of the same claim or of one
/// that has come after it.
pub(in crate::bus) fn goes_on_from(file: &Claim, tip: &Claim) -> bool {
    let follows = match file.same_claim(tip) {
        true => tip.status.is_live() || !file.status.is_live(),
        false => {
            file.lineage.iter().any(|past| past.claim_id.is_some() && past.claim_id == tip.claim_id)
        }
    };
    file.revision > tip.revision && follows
}

/// Whether of two claims of one task, under two spellings of its number, the first one counts: a
/// live one, of two live ones the older, and of two ended ones the later.
pub(super) fn counts_before(one: &Claim, other: &Claim) -> bool {
    let age = |claim: &Claim| (claim.claimed_at, claim.claim_id.as_ref().map(ToString::to_string));
    match (one.status.is_live(), other.status.is_live()) {
        (true, true) => age(one) < age(other),
        (false, false) => age(one) > age(other),
        (live, _) => live,
    }
}
