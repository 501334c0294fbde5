//! Finds what a crash or a hand edit left, and mends it when asked. It writes this worktree's own records only, and
//! throws nothing away: what it replaces is kept in `<git common dir>/bus/broken/`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::settle::is_in_line;
use super::view::{ClaimFiles, View};
use super::{Bus, Error};
use crate::record::TaskId;
use crate::store::{Error as StoreError, Lock, Place, Verb, close_line, is_cut_off, put_back, replace};

/// How old a lock of a ref must be before it counts as left behind. git holds one for milliseconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// Something that is not as it should be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its kind, a stable name in kebab-case.
    pub name: &'static str,
    /// The file or ref.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
    /// What [`Bus::mend`] does about it; nothing where a person must decide.
    pub mend: Option<&'static str>,
    cure: Option<Cure>,
}

#[derive(Clone, Debug)]
enum Cure {
    Settle(TaskId),
    Restore(TaskId),
    SetRefAside(TaskId),
    PutBack(Place),
    CloseLine(Place),
    Remove(PathBuf),
    Mint,
    Attributes,
}

impl Cure {
    const fn describe(&self) -> &'static str {
        match self {
            Self::Settle(_) => "write the file and the event that the ref asks for",
            Self::Restore(_) => "keep the file aside and write the ref's record in its place",
            Self::SetRefAside(_) => "keep the ref aside and let the claim files decide",
            Self::PutBack(_) => "append the lines that the log lacks",
            Self::CloseLine(_) => "end the line, so that it spoils nothing else",
            Self::Remove(_) => "remove it",
            Self::Mint => "give this clone an id of its own",
            Self::Attributes => "add the line",
        }
    }
}

impl Bus {
    /// Looks for everything that a crash, a copy or a hand edit leaves in this worktree and this clone. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Git`] where the system refuses to read.
    pub fn examine(&self) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        let files = self.claim_files();
        for task in self.tasks(&files)? {
            self.examine_task(&task, &files, &mut findings)?;
        }
        self.examine_spellings(&files, &mut findings);
        self.examine_log(&mut findings)?;
        self.examine_leftovers(&mut findings);
        self.examine_clone(&mut findings)?;
        Ok(findings)
    }

    /// Mends what can be mended of `findings`, which [`Bus::examine`] has just returned, and returns what is left.
    ///
    /// # Errors
    ///
    /// As the system refuses; what was mended by then stays mended.
    pub fn mend(&self, findings: Vec<Finding>) -> Result<Vec<Finding>, Error> {
        self.config()?;
        let mut lock = self.lock()?;
        for cure in findings.into_iter().filter_map(|finding| finding.cure) {
            self.apply(&mut lock, cure)?;
        }
        drop(lock);
        self.examine()
    }

    fn apply(&self, lock: &mut Lock, cure: Cure) -> Result<(), Error> {
        match cure {
            Cure::Settle(task) => match self.view(&task)?.tip {
                Some(tip) => self.settle(lock, &tip),
                None => Ok(()),
            },
            Cure::Restore(task) => self.restore(lock, &task),
            Cure::SetRefAside(task) => self.mended_view(lock, &task).map(drop),
            Cure::PutBack(log) => Ok(put_back(lock, &log, &self.journal_of(&log))?),
            Cure::CloseLine(place) => Ok(close_line(lock, &place)?),
            Cure::Remove(path) => Ok(fs::remove_file(&path).map_err(StoreError::io(Verb::Remove, &path))?),
            Cure::Mint => self.clone_id().map(drop),
            Cure::Attributes => self.lay_lines(&[".gitattributes"]).map(drop),
        }
    }

    /// Puts the ref's record in the place of this worktree's file, of which a copy is kept.
    fn restore(&self, lock: &Lock, task: &TaskId) -> Result<(), Error> {
        let Some(tip) = self.tip(task)? else { return Ok(()) };
        let place = self.layout.claim(&tip.claim.task_id);
        if let Some(bytes) = place.read(usize::MAX - 1)? {
            replace(&self.private.broken(task, &format!("{}.json", self.clock.now().unix())), &bytes)?;
        }
        replace(&place, &tip.link.body)?;
        self.settle(lock, &tip)
    }

    fn examine_task(&self, task: &TaskId, files: &ClaimFiles, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let view = match self.view_by(task, Some(files)) {
            Ok(view) => view,
            Err(Error::Malformed { place, line, truth, fault }) => {
                let cure = truth.map(Cure::Restore);
                findings.push(finding("malformed-claim", place, format!("line {line}: {fault}"), cure));
                return Ok(());
            }
            Err(error @ Error::Diverged { .. }) => {
                findings.push(finding("claim-diverged", task.to_string(), error.to_string(), None));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(what) = &view.unreadable {
            let cure = Some(Cure::SetRefAside(view.task.clone()));
            findings.push(finding("unreadable-ref", view.name.as_str().to_owned(), what.clone(), cure));
        }
        findings.extend(self.examine_file(&view)?);
        Ok(())
    }

    /// This worktree's claim file against the ref.
    fn examine_file(&self, view: &View) -> Result<Option<Finding>, Error> {
        let Some(tip) = &view.tip else { return Ok(None) };
        let (task, place) = (view.task.clone(), self.show(&self.layout.claim(&view.task)));
        if let Some(file) = view.file.as_ref().filter(|file| file.claim.revision > tip.claim.revision) {
            let (theirs, ours) = (file.claim.revision, tip.claim.revision);
            if self.is_known(tip, &file.claim)? {
                let what = format!("it was edited: it says revision {theirs}, and the ref revision {ours}");
                return Ok(Some(finding("claim-edited", place, what, Some(Cure::Restore(task)))));
            }
            let claim = &file.claim;
            let what = format!(
                "it is ahead of the ref: it names {}, {}, at revision {theirs}, the ref names {}, {}, at revision {ours}",
                claim.agent_id, claim.status, tip.claim.agent_id, tip.claim.status
            );
            return Ok(Some(finding("claim-ahead", place, what, None)));
        }
        let here = self.here_origin()?;
        let own = here.is_some() && tip.claim.origin == here;
        if !own || is_in_line(view.file.as_ref(), tip) {
            return Ok(None);
        }
        Ok(match &view.file {
            None if !tip.claim.status.is_live() => None,
            None => Some(finding(
                "missing-file",
                place,
                "a live claim of this worktree has no file".to_owned(),
                Some(Cure::Settle(task)),
            )),
            Some(_) => {
                let what = "it is behind the ref, which this worktree wrote".to_owned();
                Some(finding("unsettled-claim", place, what, Some(Cure::Settle(task))))
            }
        })
    }

    /// Files of one task in two spellings: a checkout on a case-insensitive disk loses one.
    fn examine_spellings(&self, files: &ClaimFiles, findings: &mut Vec<Finding>) {
        for (first, second) in files.doubles() {
            let what = format!("`{first}` and `{second}` are one task; keep the file that is right, remove the other");
            findings.push(finding("two-spellings", self.show(&self.layout.claim(second)), what, None));
        }
    }

    fn examine_log(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        for path in fs::read_dir(self.layout.events()).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".jsonl")) else {
                continue;
            };
            let place = self.layout.place(format!("_bus/events/{name}"));
            if is_cut_off(&place)? {
                let what = "its last line was cut off".to_owned();
                findings.push(finding("torn-line", self.show(&place), what, Some(Cure::CloseLine(place))));
            }
        }
        for (log, journal) in self.journals() {
            let waiting = journal.missing_from(&log)?.len();
            if waiting > 0 {
                let held = journal.git_holds();
                let what = format!("{waiting} lines wait to be put back{}", if held { "; git holds the tree" } else { "" });
                let place = self.show(&log);
                findings.push(finding("journal", place, what, Some(Cure::PutBack(log)).filter(|_| !held)));
            }
        }
        Ok(())
    }

    /// Temporary files and locks of refs that a killed process left.
    fn examine_leftovers(&self, findings: &mut Vec<Finding>) {
        let temporary = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
        let lock = |name: &str| name.ends_with(".lock");
        let mut look = |folder: PathBuf, wanted: &dyn Fn(&str) -> bool, name: &'static str, patience: Duration| {
            for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
                let old = entry.metadata().ok().and_then(|metadata| metadata.modified().ok());
                let old = old.is_some_and(|time| self.clock.system().duration_since(time).unwrap_or_default() >= patience);
                if entry.file_type().is_file() && wanted(&entry.file_name().to_string_lossy()) && old {
                    let path = entry.into_path();
                    let shown = path.strip_prefix(self.layout.root()).unwrap_or(&path).display().to_string();
                    findings.push(finding(name, shown, "a killed process left it".to_owned(), Some(Cure::Remove(path))));
                }
            }
        };
        look(self.layout.root().join("_bus"), &temporary, "temporary-file", ABANDONED_AFTER);
        look(self.private.folder(), &temporary, "temporary-file", ABANDONED_AFTER);
        look(self.private.common().join("refs/bus"), &lock, "ref-lock", ABANDONED_AFTER);
    }

    fn examine_clone(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        if self.is_copied()? {
            let place = self.private.clone_id().path().display().to_string();
            let what = "it was made for another place: this clone was copied or moved".to_owned();
            findings.push(finding("copied-clone-id", place, what, Some(Cure::Mint)));
        }
        if self.layout.has_bus() && !self.missing_lines(".gitattributes")?.is_empty() {
            let what = "it lacks the line by which git merges logs".to_owned();
            findings.push(finding("missing-gitattributes", ".gitattributes".to_owned(), what, Some(Cure::Attributes)));
        }
        Ok(())
    }
}

fn finding(name: &'static str, place: String, what: String, cure: Option<Cure>) -> Finding {
    Finding { name, place, what, mend: cure.as_ref().map(Cure::describe), cure }
}
