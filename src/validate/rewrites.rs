//! Which files of lines were rewritten or are gone, and what became of their lines.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use super::append_only::{BaseLines, InLog};
use super::base::{Base, Commit};
use super::files::{Batch, Kind, stem_of};
use super::finding::{Findings, Place};
use super::logs::LineFile;
use super::rule::Rule;
use super::{Error, Run};
use crate::git::ObjectId;
use crate::store::{Error as StoreError, Verb};

/// A file of the base to which more happened than that lines were appended.
struct Before<'a> {
    commit: &'a Commit,
    path: &'a str,
    kind: Kind,
    blob: ObjectId,
    is_gone: bool,
}

impl Before<'_> {
    fn lines<'b>(&'b self, bytes: &'b [u8]) -> BaseLines<'b> {
        BaseLines { path: self.path, spelled: self.commit.spell(self.path), bytes }
    }

    /// Tells that a batch is gone. It never changes, so its lines are not looked for elsewhere.
    fn tell_gone_batch(&self, findings: &mut Findings) {
        let words = || {
            let whole = self
                .commit
                .spell(self.path)
                .map_or_else(String::new, |spelled| format!(": `git show {spelled}`"));
            format!("the batch is in the base, but not here{whole}")
        };
        findings.add(Rule::AppendOnly, self.path, None, words);
    }

    /// The file alone, or the log as a whole: a line that moves within it is not lost.
    fn whole(&self) -> &str {
        whole(self.kind, self.path)
    }
}

/// Whether a file of lines is a batch, which never changes once it is in a commit.
fn is_batch(path: &str) -> bool {
    Batch::at(path).is_some_and(|batch| batch.is_well_named())
}

fn whole(kind: Kind, path: &str) -> &str {
    if kind == Kind::Log { "the log" } else { path }
}

impl Run<'_> {
    /// Every line of the base is still there, in its order; a line of the log may be in another of
    /// its files. Notes in `files` which of their lines are known.
    pub(super) fn check_lines(
        &self,
        findings: &mut Findings,
        base: &Base,
        files: &mut [LineFile],
    ) -> Result<(), Error> {
        self.check_batches(findings, base, files)?;
        let befores = self.rewritten(base, files)?;
        if befores.is_empty() {
            return Ok(());
        }
        let mut known: HashMap<&str, HashSet<u64>> = HashMap::new();
        for before in &befores {
            let bytes = self.history.read(before.blob)?;
            known
                .entry(before.whole())
                .or_default()
                .extend(before.lines(&bytes).hashes(self.secret));
        }
        let known: HashMap<&str, Arc<HashSet<u64>>> =
            known.into_iter().map(|(name, lines)| (name, Arc::new(lines))).collect();
        let mut in_log = InLog::new();
        let mut now: HashMap<&str, Vec<u64>> = HashMap::new();
        for file in files.iter_mut() {
            file.known.lines = known.get(whole(file.kind, &file.path)).cloned().unwrap_or_default();
        }
        for file in files.iter() {
            let lines = self.lines_now(&file.path)?;
            if file.kind == Kind::Log {
                in_log.entry(stem_of(&file.path).to_ascii_lowercase()).or_default().extend(&lines);
            }
            now.insert(&file.path, lines);
        }
        let logs =
            || files.iter().filter(|file| file.kind == Kind::Log).map(|file| file.path.as_str());
        let mut told: HashMap<&str, HashSet<u64>> = HashMap::new();
        for before in &befores {
            let bytes = self.history.read(before.blob)?;
            let lines = before.lines(&bytes);
            let in_log = (before.kind == Kind::Log).then_some(&in_log);
            match (before.is_gone, is_batch(before.path)) {
                (true, true) => before.tell_gone_batch(findings),
                (true, false) => lines.compare_with_nothing(findings, self.secret, in_log),
                (false, true) => {}
                (false, false) => {
                    let told = told.entry(before.path).or_default();
                    lines.compare(findings, self.secret, &now[before.path], in_log, told);
                }
            }
            for (path, in_log) in
                logs().filter(|path| *path != before.path).filter_map(|path| Some((path, in_log?)))
            {
                lines.compare_moved(findings, self.secret, in_log, path, &now[path]);
            }
        }
        Ok(())
    }

    /// Each batch that the base has is here as it was, byte for byte.
    fn check_batches(
        &self,
        findings: &mut Findings,
        base: &Base,
        files: &[LineFile],
    ) -> Result<(), Error> {
        for file in files.iter().filter(|file| is_batch(&file.path)) {
            for commit in base.commits.iter().chain(&base.beside) {
                let Some((kind, blob)) =
                    commit.files.get(&file.path).filter(|(_, blob)| blob.is_regular)
                else {
                    continue;
                };
                let before =
                    Before { commit, path: &file.path, kind: *kind, blob: blob.id, is_gone: false };
                let bytes = self.history.read(before.blob)?;
                if let Some(line) =
                    before.lines(&bytes).differs_from(&self.root.join(&file.path))?
                {
                    let words = || {
                        "the base has this batch, and it is another here; new lines go into a new batch".to_owned()
                    };
                    findings.add(Rule::AppendOnly, &file.path, Some(Place::line(line)), words);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The files of the base that are gone, or whose bytes are not the beginning of what stands
    /// there now.
    fn rewritten<'a>(
        &self,
        base: &'a Base,
        files: &mut [LineFile],
    ) -> Result<Vec<Before<'a>>, Error> {
        // A link's bytes are no lines.
        let gone = base
            .gone(self.found)
            .into_iter()
            .filter(|(_, _, kind, file)| kind.is_lines() && file.is_regular);
        let mut befores: Vec<Before<'a>> = gone
            .map(|(commit, path, kind, file)| Before {
                commit,
                path,
                kind,
                blob: file.id,
                is_gone: true,
            })
            .collect();
        for file in files {
            let known = |commit: &'a Commit| {
                commit.files.get_key_value(&file.path).map(|(path, file)| (commit, path, file))
            };
            for (commit, path, (kind, blob)) in
                base.commits.iter().filter_map(known).collect::<Vec<_>>()
            {
                if !blob.is_regular {
                    continue;
                }
                let bytes = self.history.read(blob.id)?;
                file.known.open_ended |= !bytes.is_empty() && !bytes.ends_with(b"\n");
                let before = Before { commit, path, kind: *kind, blob: blob.id, is_gone: false };
                if before.lines(&bytes).is_beginning_of(&self.root.join(path))? {
                    file.known.until = file.known.until.max(bytes.len() as u64);
                } else {
                    befores.push(before);
                }
            }
        }
        Ok(befores)
    }

    fn lines_now(&self, path: &str) -> Result<Vec<u64>, Error> {
        let path = self.root.join(path);
        let read = File::open(&path).and_then(|text| self.secret.lines(text));
        Ok(read.map_err(StoreError::io(Verb::Read, &path))?)
    }
}
