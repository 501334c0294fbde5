//! What `bus doctor` finds of where records are kept.

use super::doctor::{Cure, Finding, finding};
use super::import::RECORD_FOLDERS;
use super::notes::Note;
use super::{Bus, Error, Mode};

impl Bus {
    /// Whether this worktree has no more of a bus than copies, which stay behind on a branch without one.
    pub(super) fn has_only_copies(&self) -> Result<bool, Error> {
        Ok(self.reading_mode() == Mode::Untracked && self.layout.config().inspect()?.is_none())
    }

    /// What keeps records from being where the mode has them.
    pub(super) fn examine_records(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        if !self.layout.has_bus() {
            return Ok(());
        }
        match self.reading_mode() {
            Mode::Untracked if self.has_only_copies()? => {
                if !self.record_copies()?.is_empty() && !self.ignores_records() {
                    let what =
                        "this branch has no bus, and git shows copies of records that another branch's bus left".to_owned();
                    findings.push(finding("leftover-copies", "_bus".to_owned(), what, Some(Cure::RemoveCopies)));
                }
                Ok(())
            }
            Mode::Untracked => {
                if !self.ignores_records() {
                    let what = "it does not cover the records, so `bus` writes no copies of them here".to_owned();
                    let found = finding("uncovered-records", "_bus/.gitignore".to_owned(), what, self.cure_of_ignore()?);
                    findings.push(found.advise("let it say what `bus init` writes: remove it and run `bus init`"));
                }
                self.mention_frozen()
            }
            Mode::Tracked => {
                if let Some(place) = self.ignored_records()? {
                    let what = "git ignores it, so the records of this bus cannot be committed".to_owned();
                    let advice = "add the line `!/_bus/**` to the `.gitignore` that hides it, or run `bus init --untracked`";
                    findings.push(finding("ignored-records", place, what, None).advise(advice));
                }
                Ok(())
            }
            Mode::Older => {
                if let Some(place) = self.ignored_records()? {
                    let what = "git ignores it, so the log of this bus cannot be committed".to_owned();
                    let advice = "`bus init --untracked` keeps records out of the branches; nothing is lost either way";
                    findings.push(finding("ignored-records", place, what, None).advise(advice));
                }
                Ok(())
            }
        }
    }

    /// Writes `_bus/.gitignore` if there is none; one that says something else is somebody's.
    fn cure_of_ignore(&self) -> Result<Option<Cure>, Error> {
        let is_there = self.layout.place("_bus/.gitignore").inspect()?.is_some();
        Ok((!is_there).then_some(Cure::IgnoreRecords))
    }

    /// A file of the records in this worktree that git would ignore, if it would.
    pub(super) fn ignored_records(&self) -> Result<Option<String>, Error> {
        for place in ["_bus/events/agent@000000000000.jsonl", "_bus/claims/TASK.json"] {
            if self.repo.ignores(place)? {
                return Ok(Some(place.rsplit_once('/').map_or(place, |(folder, _)| folder).to_owned()));
            }
        }
        Ok(None)
    }

    /// Says how record files can go that are still committed, once no branch changes them.
    fn mention_frozen(&self) -> Result<(), Error> {
        let folders = RECORD_FOLDERS.into_iter().chain(["locks"]).map(|folder| format!("_bus/{folder}"));
        let frozen: Vec<String> = folders.filter(|folder| self.repo.head_has(folder)).collect();
        if frozen.is_empty() {
            return Ok(());
        }
        let changing = self.repo.history()?.branches_that_change(&frozen)?;
        let names = frozen.join(" ");
        self.notes.add(Note::Advice(match changing.as_slice() {
            [] => format!("committed records are read and do not change any more; `git rm -r --cached {names}` takes them out"),
            [branch, others @ ..] => {
                let more = match others.len() {
                    0 => String::new(),
                    1 => " and one more branch".to_owned(),
                    number => format!(" and {number} more branches"),
                };
                format!("committed records stay while branches change them: `{branch}`{more}; merge or delete them first")
            }
        }));
        Ok(())
    }
}
