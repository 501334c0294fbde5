//! The files of an untracked bus: its records live beside the branches, so a change brings none
//! (docs/design.md, section 1.2).

use std::collections::BTreeMap;

use super::base::{Base, Change, Commit, Delta};
use super::files::{Found, Stands, is_looked_at, is_record_file};
use super::finding::Findings;
use super::policy::CONFIG;
use super::rule::Rule;
use super::{Error, Run, policy, records};
use crate::git::{Indexed, TreeFile};
use crate::record::{IGNORE_FILE, Records};

/// What `bus init` writes into [`IGNORE_FILE`], a line each.
const IGNORED: [&str; 5] = ["/*", "!/.gitignore", "!/README.md", "!/config.toml", "!/meta/"];

impl Run<'_> {
    /// Whether the policy that holds keeps the records beside the branches.
    pub(super) fn is_untracked(&self) -> bool {
        self.policy.records == Some(Records::Untracked)
    }

    /// Checks that the change brings no record file, and that git goes on ignoring them. Without a
    /// base HEAD is compared with.
    pub(super) fn check_untracked(&self, findings: &mut Findings) -> Result<(), Error> {
        if !self.is_untracked() || self.query.plans.is_some() {
            return Ok(());
        }
        match self.base {
            Some(base) => self.check_record_files(findings, base)?,
            None => {
                if let Some(head) = self.history.head() {
                    let commits = vec![Commit::read(self.history, head)?];
                    self.check_record_files(
                        findings,
                        &Base { commits, beside: None, revision: head },
                    )?;
                }
            }
        }
        self.check_ignore_file(findings)
    }

    /// A record file of the base is frozen: it stays as it is, or goes. Copies that git ignores are
    /// in no commit, and so in no change.
    fn check_record_files(&self, findings: &mut Findings, base: &Base) -> Result<(), Error> {
        let delta =
            Delta { root: self.root, history: self.history, indexed: self.history.indexed() };
        for (path, file) in self
            .committed_files(&delta.indexed)?
            .into_iter()
            .filter(|(path, _)| is_record_file(path))
        {
            let before: Vec<TreeFile> =
                base.newest_first().filter_map(|commit| commit.at(&path)).collect();
            let is_frozen = before.contains(&file);
            // Whatever stands there now is looked at as it is.
            let found = Found { path: path.clone(), kind: None, stands: Stands::Not("anything") };
            let is_here = self.root.join(&path).symlink_metadata().is_ok();
            if is_frozen && !(is_here && delta.change(base, &found) == Change::News) {
                continue;
            }
            findings.add(Rule::TrackedRecord, &path, None, || match before.is_empty() {
                true => "it is a record, and the records of this bus are in no branch: `git rm --cached` takes it out".to_owned(),
                false => "it is a record that the base has from before they left the branches, and is changed here".to_owned(),
            });
        }
        Ok(())
    }

    /// The files that the next commit would have, of those in the bus's folders; without an index
    /// those of HEAD.
    pub(super) fn committed_files(
        &self,
        indexed: &Indexed,
    ) -> Result<BTreeMap<String, TreeFile>, Error> {
        match (indexed.files(is_looked_at), self.history.head()) {
            (Some(files), _) => Ok(files),
            (None, Some(head)) => Ok(self.history.files(head, is_looked_at)?),
            (None, None) => Ok(BTreeMap::new()),
        }
    }

    /// With another ignore file the copies would be committed. A fault of the base's is nobody's
    /// doing here.
    fn check_ignore_file(&self, findings: &mut Findings) -> Result<(), Error> {
        let is_there = |commit: &Commit| commit.at(IGNORE_FILE).is_some();
        let Some(what) = self.fault_of_ignore_file()? else { return Ok(()) };
        if let Some(base) = self.base {
            let delta =
                Delta { root: self.root, history: self.history, indexed: self.history.indexed() };
            let found =
                Found { path: IGNORE_FILE.to_owned(), kind: None, stands: Stands::Not("anything") };
            let is_here = self.root.join(IGNORE_FILE).symlink_metadata().is_ok();
            let is_old = match is_here {
                true => delta.change(base, &found) != Change::News,
                // That it came to the base since is not undone here.
                false => !base.commits.iter().any(is_there),
            };
            if is_old || self.leaves_untracked()? {
                return Ok(());
            }
        }
        findings.add(Rule::TrackedRecord, IGNORE_FILE, None, || what.to_owned());
        Ok(())
    }

    /// What is wrong with the ignore file; `None` if it says what `bus init` writes, in whatever
    /// lines of comments.
    fn fault_of_ignore_file(&self) -> Result<Option<&'static str>, Error> {
        let path = self.root.join(IGNORE_FILE);
        let Ok(metadata) = path.symlink_metadata() else {
            return Ok(Some(
                "it is not there, so that records would be committed: `bus init` writes it",
            ));
        };
        if !metadata.is_file() || !records::is_plain(self.root, IGNORE_FILE) {
            return Ok(Some(
                "it is no regular file, so git does not heed it: `bus init` writes it",
            ));
        }
        let bytes = records::read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok((!lines.eq(IGNORED)).then_some(
            "it does not say what `bus init` writes, so that records could be committed",
        ))
    }

    /// Whether the change is the one by which people, not an agent, move the records back into the
    /// branches.
    fn leaves_untracked(&self) -> Result<bool, Error> {
        let root = self.root;
        let is_file = records::is_plain(root, CONFIG);
        let now = if is_file {
            policy::parse(&records::read(&root.join(CONFIG))?)
        } else {
            return Ok(false);
        };
        Ok(now.records == Some(Records::Tracked) && self.author()?.is_none())
    }
}
