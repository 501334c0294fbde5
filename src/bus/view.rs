//! What stands about one task: the ref, this worktree's file, and which of them decides (design, section 3).

use std::collections::HashMap;
use std::path::Path;

use super::{Bus, Error, Note, Who};
use crate::git::{Archive, Error as GitError, Link, ObjectId, RefName, Tip};
use crate::record::json::MAX_RECORD;
use crate::record::{Claim, Fault, Id, IdKind, MAX_REVISION, TaskId};
use crate::store::{Layout, Place, names};

/// The state of a claim, and the commit that holds it.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) link: Link,
    pub(super) claim: Claim,
}

/// A claim file, read.
#[derive(Clone, Debug)]
pub(super) struct FileClaim {
    pub(super) place: Place,
    pub(super) bytes: Vec<u8>,
    pub(super) claim: Claim,
}

/// All that stands about one task.
#[derive(Debug)]
pub(super) struct View {
    /// The task, in the spelling that stands.
    pub(super) task: TaskId,
    pub(super) name: RefName,
    /// The ref's state, or what the fleet's remote was seen to have if that is further; without a ref the archive's, else what the
    /// remote was seen to have, if the record knows nothing newer.
    pub(super) tip: Option<State>,
    /// What a write must find in the ref; none where there is none.
    pub(super) ref_id: Option<ObjectId>,
    /// Why the ref cannot be read, where it cannot.
    pub(super) unreadable: Option<String>,
    /// The file that decides in the place of a ref that is gone, or was set back: the one of the highest revision in the record and in
    /// all that counts as it.
    pub(super) stand_in: Option<FileClaim>,
    /// The record's file.
    pub(super) record: Option<FileClaim>,
    /// This worktree's file, if files of branches are records.
    pub(super) file: Option<FileClaim>,
    /// Why this worktree's file cannot be read, where the ref or the record still says what is true.
    pub(super) bad_file: Option<Error>,
}

impl View {
    /// The claim that decides.
    pub(super) fn claim(&self) -> Option<&Claim> {
        let from_file = self.stand_in.as_ref().map(|file| &file.claim);
        from_file.or_else(|| self.tip.as_ref().map(|state| &state.claim))
    }

    /// The claim that decides, where all that could decide can be read.
    ///
    /// # Errors
    ///
    /// [`Error::UnreadableRef`] where the ref is damaged and no file stands in for it.
    pub(super) fn certain_claim(&self) -> Result<Option<&Claim>, Error> {
        match (self.claim(), &self.unreadable) {
            (None, Some(what)) => Err(Error::UnreadableRef { name: self.name.as_str().to_owned(), what: what.clone() }),
            (claim, _) => Ok(claim),
        }
    }

    /// The state that the ref is at, if that is what decides.
    pub(super) fn tip_id(&self) -> Option<ObjectId> {
        let tip = self.tip.as_ref().filter(|_| self.stand_in.is_none()).map(|state| state.link.id);
        tip.filter(|tip| Some(*tip) == self.ref_id)
    }

    /// The files that could hold the claim back.
    fn files(&self) -> impl Iterator<Item = &FileClaim> {
        self.record.iter().chain(&self.file)
    }

    /// One more than the highest revision of ref and files.
    pub(super) fn next_revision(&self) -> Result<u64, Error> {
        let decides = self.claim().map_or(0, |claim| claim.revision);
        let highest = self.files().map(|file| file.claim.revision).max().unwrap_or(0).max(decides);
        if highest >= MAX_REVISION { Err(Error::worn_out(self.name.as_str())) } else { Ok(highest + 1) }
    }
}

impl Bus {
    /// Reads all that stands about the task that is asked for, in whatever letter case.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where what decides is no claim; [`Error::Diverged`] where there is no ref, and
    /// files of equal revision disagree.
    pub(super) fn view(&self, asked: &TaskId) -> Result<View, Error> {
        let view = self.view_by(asked, None)?;
        // A merge has left it so, or git is about to write it.
        if let Some(error) = &view.bad_file {
            self.notes.add(Note::Warning(format!("{error}; it does not count, and `bus doctor --fix` restores it")));
        }
        Ok(view)
    }

    /// As [`Bus::view`], but it mentions nothing; `files` saves a look at the folders for each of many tasks.
    pub(super) fn view_by(&self, asked: &TaskId, files: Option<&ClaimFiles>) -> Result<View, Error> {
        let mut view = self.view_of_refs(asked, files, true)?;
        // There may be thousands: what was read to decide is not read again.
        if view.record.as_ref().is_none_or(|file| file.place.path() != self.record.claim(&view.task).path()) {
            view.record = match self.file_claim(&self.record, &view.task) {
                // It is written after the ref, and may not have come to the disk.
                Err(Error::Malformed { .. }) if view.tip.is_some() => None,
                record => record?,
            };
        }
        if !self.reading_mode().reads_worktrees() {
            return Ok(view);
        }
        let (file, bad_file) = match self.file_claim(&self.layout, &view.task) {
            Ok(file) => (file, None),
            Err(error @ Error::Malformed { .. }) if view.tip.is_some() => (None, Some(error.with_truth(&view.task))),
            Err(error @ Error::Malformed { .. }) if view.stand_in.is_some() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        (view.file, view.bad_file) = (file, bad_file);
        Ok(view)
    }

    /// What decides about a task, and no more.
    pub(super) fn deciding_view(&self, asked: &TaskId, files: Option<&ClaimFiles>) -> Result<View, Error> {
        Ok(View { record: None, ..self.view_of_refs(asked, files, true)? })
    }

    /// What decides about a task if no ref was set back: the record is read only if there is no ref. For lists of thousands that nobody
    /// decides by.
    pub(super) fn listed_view(&self, asked: &TaskId, files: Option<&ClaimFiles>) -> Result<View, Error> {
        self.view_of_refs(asked, files, false)
    }

    /// What the refs say; the record's file is with it if it was read.
    fn view_of_refs(&self, asked: &TaskId, files: Option<&ClaimFiles>, with_record: bool) -> Result<View, Error> {
        let name = RefName::claim(asked);
        let (mut tip, unreadable) = match self.repo.tip(&name)? {
            Tip::At(link) => (Some(state(link, &name, asked)?), None),
            Tip::Missing => (None, None),
            Tip::Unreadable { what } => (None, Some(what)),
        };
        let ref_id = tip.as_ref().map(|tip| tip.link.id);
        for (_, other) in self.other_tips(asked, files)? {
            if tip.as_ref().map_or(Ok(true), |tip| self.counts_over(&other, tip))? {
                tip = Some(other);
            }
        }
        // A ref that was set back is behind what the remote was seen to have.
        if let (Some(here), Some(seen)) = (&tip, self.seen_claim(asked))
            && seen.link.id != here.link.id
            && seen.claim.revision > here.claim.revision
            && self.repo.descends(seen.link.id, here.link.id)?
        {
            tip = Some(seen);
        }
        let archived = if tip.is_none() && unreadable.is_none() { self.archived_state(&name, asked)? } else { None };
        let mut tip = tip.or(archived);
        let mut record = None;
        let (mut task, mut stand_in) = match &tip {
            Some(state) if !with_record => (Some(state.claim.task_id.clone()), None),
            Some(state) => {
                // It is written after the ref, and may not have come to the disk.
                record = self.file_claim(&self.record, &state.claim.task_id).ok().flatten();
                let ahead = record.as_ref().map_or(Ok(false), |file| self.is_ahead(file, state))?;
                (Some(state.claim.task_id.clone()), record.clone().filter(|_| ahead))
            }
            None => self.stand_in(asked, files)?,
        };
        if tip.is_none()
            && unreadable.is_none()
            && let Some(seen) = self.seen_claim(asked)
            && stand_in.as_ref().is_none_or(|file| file.claim.revision <= seen.claim.revision)
        {
            // The ref has vanished here, and the fleet's remote was seen to have it.
            task = Some(seen.claim.task_id.clone());
            (tip, stand_in) = (Some(seen), None);
        }
        let task = task.unwrap_or_else(|| asked.clone()).usual();
        Ok(View { task, name, tip, ref_id, unreadable, stand_in, record, file: None, bad_file: None })
    }

    /// Whether the record's file of the claim goes on from `tip`: then a ref is gone or was set back, and the record decides.
    fn is_ahead(&self, file: &FileClaim, tip: &State) -> Result<bool, Error> {
        Ok(goes_on_from(&file.claim, &tip.claim) && self.lost_claim(&file.claim)?.is_none())
    }

    /// The states of refs that version 0.1 made for other spellings of the task's number.
    pub(super) fn other_tips(&self, asked: &TaskId, files: Option<&ClaimFiles>) -> Result<Vec<(RefName, State)>, Error> {
        let names = match files {
            Some(files) => files.other_refs.get(asked).cloned().unwrap_or_default(),
            None => RefName::other_claims(asked),
        };
        let mut tips = Vec::new();
        for name in names {
            // One that cannot be read is for `bus doctor`: what can be read counts.
            if let Tip::At(link) = self.repo.tip(&name)?
                && let Ok(state) = state(link, &name, asked)
            {
                tips.push((name, state));
            }
        }
        Ok(tips)
    }

    /// The last state of a task that was put away; none where this clone has no archive.
    fn archived_state(&self, name: &RefName, asked: &TaskId) -> Result<Option<State>, Error> {
        let Some(id) = self.archived_id(asked)? else { return Ok(None) };
        let unreadable = |what| Error::UnreadableRef { name: RefName::archive().as_str().to_owned(), what };
        state(self.repo.link(id)?.map_err(unreadable)?, name, asked).map(Some)
    }

    /// The commit of the last state of a task that was put away.
    pub(super) fn archived_id(&self, task: &TaskId) -> Result<Option<ObjectId>, Error> {
        self.archive()?.map_or(Ok(None), |archive| Ok(self.repo.archived(&archive, task)?))
    }

    /// The archive of this clone.
    pub(super) fn archive(&self) -> Result<Option<Archive>, Error> {
        let id = self.repo.id_of(&RefName::archive())?;
        if self.archive.get().map(|known| known.id) != id {
            let unreadable = |what: String| Error::UnreadableRef { name: RefName::archive().as_str().to_owned(), what };
            // What the fleet's remote was seen to have is as good, until `bus sync` or `bus doctor --fix` makes the ref anew.
            let instead = |error: GitError| match self.seen_archive() {
                Some(archive) => Ok(archive),
                None => Err(unreadable(error.to_string())),
            };
            self.archive.set(id.map(|id| self.repo.archive(id).or_else(instead)).transpose()?);
        }
        Ok(self.archive.get())
    }

    /// The file, of the record or of this worktree, that contradicts the ref: it is ahead, the chain does not know it, and it names
    /// a live owner who is not `who`.
    pub(super) fn contradiction<'a>(&self, view: &'a View, who: &Who) -> Result<Option<&'a FileClaim>, Error> {
        Ok(self.rival(view)?.filter(|file| !who.owns(&file.claim)))
    }

    /// The same, whoever the live owner is.
    pub(super) fn rival<'a>(&self, view: &'a View) -> Result<Option<&'a FileClaim>, Error> {
        let Some(tip) = view.tip.as_ref().filter(|_| view.stand_in.is_none()) else { return Ok(None) };
        for file in view.files() {
            let claim = &file.claim;
            let ahead = claim.revision > tip.claim.revision && !claim.is_unconfirmed();
            // Once the claim here has ended, another clone's that came with a branch stands in its place.
            let follows = !tip.claim.status.is_live() && view.file.as_ref().is_some_and(|here| std::ptr::eq(here, file));
            if (ahead || follows) && claim.status.is_live() && !self.is_known(tip, claim)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Whether the chain that ends at `tip`, or the lineage there, has this very claim.
    pub(super) fn is_known(&self, tip: &State, claim: &Claim) -> Result<bool, Error> {
        // The chain begins anew where a ref was lost and a file was imported; the lineage goes on.
        if claim.claim_id.is_some() && tip.claim.lineage.iter().any(|past| past.claim_id == claim.claim_id) {
            return Ok(true);
        }
        Ok(self.has_state(tip, |past| past.same_claim(claim))? || self.lost_claim(claim)?.is_some())
    }

    /// Whether `claim` says what one of the states up to `tip` says.
    pub(super) fn is_past_state(&self, tip: &State, claim: &Claim) -> Result<bool, Error> {
        self.has_state(tip, |past| past == claim)
    }

    /// Whether one of the states of the chain that ends at `tip` is `wanted`.
    pub(super) fn has_state(&self, tip: &State, wanted: impl Fn(&Claim) -> bool) -> Result<bool, Error> {
        let mut link = tip.link.clone();
        loop {
            if Claim::parse(&link.body).is_ok_and(|past| wanted(&past)) {
                return Ok(true);
            }
            let Some(parent) = self.before(&link)? else { return Ok(false) };
            link = parent;
        }
    }

    /// The ref's state alone, whatever the files say.
    pub(super) fn tip(&self, task: &TaskId) -> Result<Option<State>, Error> {
        let name = RefName::claim(task);
        match self.repo.tip(&name)? {
            Tip::At(link) => state(link, &name, task).map(Some),
            Tip::Missing | Tip::Unreadable { .. } => Ok(None),
        }
    }

    /// The state before `link`; none at the root, or where the chain is cut.
    pub(super) fn before(&self, link: &Link) -> Result<Option<Link>, Error> {
        let Some(parent) = link.parent else { return Ok(None) };
        Ok(self.repo.link(parent)?.ok())
    }

    /// Without a ref: the spelling that stands, if one does, and the file of the highest revision in the record and in all that
    /// counts as it.
    fn stand_in(&self, asked: &TaskId, files: Option<&ClaimFiles>) -> Result<(Option<TaskId>, Option<FileClaim>), Error> {
        let layouts = self.record_layouts().iter().enumerate();
        // If the files of worktrees are records themselves, what was imported from them is only as good as the higher revision.
        let reads_worktrees = self.reading_mode().reads_worktrees();
        let is_imported =
            |layout: &Layout| reads_worktrees && self.branch_records().iter().any(|known| known.root() == layout.root());
        let (imported, own): (Vec<_>, Vec<_>) = layouts.partition(|(_, layout)| is_imported(layout));
        let mut best = self.highest(own, asked, files)?;
        if !imported.is_empty() {
            match (self.highest(imported, asked, files), &best) {
                (Ok(Some(file)), Some(known)) if file.claim.revision > known.claim.revision => best = Some(file),
                (_, Some(_)) => {}
                (file, None) => best = file?,
            }
        }
        if let Some(file) = &best {
            return Ok((Some(file.claim.task_id.clone()), best));
        }
        if let Some(files) = files {
            return Ok((files.assigned.get(asked).cloned(), None));
        }
        for folder in self.assignment_folders() {
            if let Some(task) = spellings(&folder, asked)?.pop() {
                return Ok((Some(task), None));
            }
        }
        Ok((None, None))
    }

    /// The file of the highest revision in these layouts, each with its place among all of them.
    fn highest(
        &self,
        layouts: Vec<(usize, &Layout)>,
        asked: &TaskId,
        files: Option<&ClaimFiles>,
    ) -> Result<Option<FileClaim>, Error> {
        let mut best: Option<FileClaim> = None;
        let mut is_recorded = false;
        for (index, layout) in layouts {
            let tasks = match files {
                Some(files) => files.spellings(index, asked),
                None => spellings(&layout.claims(), asked)?,
            };
            for task in tasks {
                let file = match self.file_claim(layout, &task) {
                    // What the record says decides beside a file that a merge, or git at work, has left so.
                    Err(Error::Malformed { .. }) if is_recorded => continue,
                    file => file?,
                };
                let Some(file) = file else { continue };
                is_recorded |= layout.root() == self.record.root();
                best = Some(match best {
                    Some(best) => higher(self, best, file)?,
                    None => file,
                });
            }
        }
        Ok(best)
    }

    /// The names of all claim files and assignments that count as records. A folder that cannot be read is mentioned.
    pub(super) fn claim_files(&self) -> ClaimFiles {
        let mut files = ClaimFiles::default();
        for (index, layout) in self.record_layouts().iter().enumerate() {
            for task in self.ids_in(&layout.claims()) {
                files.claims.entry(task.clone()).or_default().push((index, task));
            }
        }
        for name in self.repo.claimed_tasks().unwrap_or_default() {
            if let Some(task) = TaskId::new(&*name).ok().filter(|task| !task.has_usual_number()) {
                files.other_refs.entry(task).or_default().extend(RefName::own(&format!("claims/{name}")));
            }
        }
        for task in self.assignment_folders().iter().flat_map(|folder| self.ids_in(folder)) {
            files.assigned.entry(task.clone()).or_insert(task);
        }
        files
    }

    /// The ids that have a record in `folder`. A folder that cannot be read is mentioned, and counts as empty for this look only.
    pub(super) fn ids_in<K: IdKind>(&self, folder: &Path) -> Vec<Id<K>> {
        ids(folder).unwrap_or_else(|error| {
            self.notes.add(super::Note::Unreadable(error));
            Vec::new()
        })
    }

    /// The claim file of `task` in a worktree.
    pub(super) fn file_claim(&self, layout: &Layout, task: &TaskId) -> Result<Option<FileClaim>, Error> {
        let place = layout.claim(task);
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let claim = parse(&bytes, task).map_err(Error::malformed(self.show(&place), &bytes))?;
        Ok(Some(FileClaim { place, bytes, claim }))
    }
}

/// The claim that a commit holds.
pub(super) fn state(link: Link, name: &RefName, task: &TaskId) -> Result<State, Error> {
    let claim = parse(&link.body, task).map_err(Error::malformed(name.as_str(), &link.body))?;
    Ok(State { link, claim })
}

fn parse(bytes: &[u8], task: &TaskId) -> Result<Claim, Fault> {
    let claim = Claim::parse(bytes)?;
    if claim.task_id == *task { Ok(claim) } else { Err(Fault::WrongTask { found: claim.task_id.to_string() }) }
}

/// Which tasks have files.
#[derive(Default)]
pub(super) struct ClaimFiles {
    /// Claim files: in which layout, under which spelling.
    claims: HashMap<TaskId, Vec<(usize, TaskId)>>,
    /// Assignments: under which spelling.
    assigned: HashMap<TaskId, TaskId>,
    /// Refs of claims under unusual spellings.
    other_refs: HashMap<TaskId, Vec<RefName>>,
}

impl ClaimFiles {
    /// The tasks that have a file anywhere.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.claims.keys()
    }

    /// The tasks that have a file in a layout.
    pub(super) fn in_layout(&self, worktree: usize) -> impl Iterator<Item = &TaskId> {
        self.claims.values().flatten().filter(move |(index, _)| *index == worktree).map(|(_, task)| task)
    }

    /// The refs of claims under unusual spellings.
    pub(super) fn other_refs(&self) -> impl Iterator<Item = &RefName> {
        self.other_refs.values().flatten()
    }

    /// The tasks that have two files in a layout, which spell it differently.
    pub(super) fn doubles(&self, layout: usize) -> impl Iterator<Item = (&TaskId, &TaskId)> {
        self.claims.values().filter_map(move |files| {
            let mut here = files.iter().filter(|(index, _)| *index == layout).map(|(_, task)| task);
            Some((here.next()?, here.next()?))
        })
    }

    /// Whether there is an assignment of `task`.
    pub(super) fn is_assigned(&self, task: &TaskId) -> bool {
        self.assigned.contains_key(task)
    }

    fn spellings(&self, worktree: usize, asked: &TaskId) -> Vec<TaskId> {
        let files = self.claims.get(asked).into_iter().flatten();
        files.filter(|(index, _)| *index == worktree).map(|(_, task)| task.clone()).collect()
    }
}

/// The ids, equal to `asked` but for case and the width of their number, that have a record in `folder`.
fn spellings(folder: &Path, asked: &TaskId) -> Result<Vec<TaskId>, Error> {
    // Spellings of one id begin and end alike. To read an id costs more than that, and there may be thousands.
    let ends = |name: &str| Some((name.as_bytes().first()?.to_ascii_lowercase(), name.as_bytes().last()?.to_ascii_lowercase()));
    let records = names(folder, ".json")?.into_iter();
    let alike = records.filter_map(|name| {
        let name = name.strip_suffix(".json")?;
        (ends(name) == ends(asked.as_str())).then(|| TaskId::new(name).ok()).flatten()
    });
    Ok(alike.filter(|id| id == asked).collect())
}

/// The ids that have a record in `folder`.
///
/// # Errors
///
/// [`Error::Store`] if the folder cannot be read.
pub(super) fn ids<K: IdKind>(folder: &Path) -> Result<Vec<Id<K>>, Error> {
    let records = names(folder, ".json")?.into_iter();
    Ok(records.filter_map(|name| Id::new(name.strip_suffix(".json")?).ok()).collect())
}

/// Whether the state `file` of the record is a later one than `tip`, of the same claim or of one that has come after it.
pub(super) fn goes_on_from(file: &Claim, tip: &Claim) -> bool {
    let follows = match file.same_claim(tip) {
        true => tip.status.is_live() || !file.status.is_live(),
        false => file.lineage.iter().any(|past| past.claim_id.is_some() && past.claim_id == tip.claim_id),
    };
    file.revision > tip.revision && follows
}

/// Whether of two claims of one task, under two spellings of its number, the first one counts: a live one, of two live ones the
/// older, and of two ended ones the later.
pub(super) fn counts_before(one: &Claim, other: &Claim) -> bool {
    let age = |claim: &Claim| (claim.claimed_at, claim.claim_id.as_ref().map(ToString::to_string));
    match (one.status.is_live(), other.status.is_live()) {
        (true, true) => age(one) < age(other),
        (false, false) => age(one) > age(other),
        (live, _) => live,
    }
}

/// The file of the higher revision; where they are equal, they must agree.
fn higher(bus: &Bus, one: FileClaim, other: FileClaim) -> Result<FileClaim, Error> {
    match one.claim.revision.cmp(&other.claim.revision) {
        std::cmp::Ordering::Greater => Ok(one),
        std::cmp::Ordering::Less => Ok(other),
        std::cmp::Ordering::Equal if one.claim == other.claim => Ok(one),
        std::cmp::Ordering::Equal => Err(Error::Diverged {
            task: other.claim.task_id,
            place: bus.show(&other.place),
            owner: other.claim.agent_id,
            revision: other.claim.revision,
            against: bus.show(&one.place),
        }),
    }
}
