//! What the next commit has, whatever of it is checked out: submodules and links are empty folders
//! or plain files in some worktrees, and not every disk tells letter cases apart.

use std::collections::BTreeSet;

use super::files::{Misspelled, Stands, is_below_roots, is_manifest, is_record_file, kind_of};
use super::finding::Findings;
use super::rule::Rule;
use super::{Error, Run};
use crate::git::TreeFile;
use crate::record::{IGNORE_FILE, is_folder_of_bus};

/// Files that are git's own, and that it does not heed if they are links.
const OF_GIT: [&str; 2] = [".gitattributes", ".gitignore"];

impl Run<'_> {
    /// Checks what stands where in the tree, by the modes that git has for it.
    pub(super) fn check_tree(&self, findings: &mut Findings) -> Result<(), Error> {
        if self.query.plans.is_some() {
            return Ok(());
        }
        let files = self.committed_files(&self.history.indexed())?;
        let mut told: BTreeSet<String> = BTreeSet::new();
        for (path, file) in &files {
            if self.is_of_base(path, *file) {
                continue;
            }
            if is_manifest(path) {
                let words = || {
                    "a merge would put it in the place of each worktree's own, which says who works there".to_owned()
                };
                findings.add(Rule::TrackedManifest, path, None, words);
            } else if is_below_roots(path) {
                self.check_mode(findings, path, *file, &mut told);
                self.check_spelling(findings, path, &mut told);
            }
        }
        Ok(())
    }

    /// Whether a commit of the base has just that.
    fn is_of_base(&self, path: &str, file: TreeFile) -> bool {
        let mode = |file: TreeFile| (file.is_regular, file.is_submodule);
        self.base.is_some_and(|base| {
            let mut before = base.newest_first().filter_map(|commit| commit.at(path));
            // Of a file the bytes are judged elsewhere.
            before.any(|before| {
                mode(before) == mode(file) && (before.id == file.id || file.is_regular)
            })
        })
    }

    /// Checks that a file, a link or a submodule stands where it may.
    fn check_mode(
        &self,
        findings: &mut Findings,
        path: &str,
        file: TreeFile,
        told: &mut BTreeSet<String>,
    ) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = is_folder_of_bus(path) || is_folder_of_agent(path);
        let (what, is_wrong) = match file {
            TreeFile { is_submodule: true, .. } => ("a submodule", true),
            TreeFile { is_regular: true, .. } => ("a file", folder),
            _ => ("a symlink", folder || kind_of(path).is_some() || OF_GIT.contains(&name)),
        };
        // That a record is in a branch at all is told, and enough.
        let is_told = self.is_untracked()
            && !file.is_submodule
            && (is_record_file(path) || path == IGNORE_FILE);
        if is_wrong && !is_told {
            let is_file = kind_of(path).is_some() || OF_GIT.contains(&name);
            self.add_not_a_file(
                findings,
                path,
                what,
                if is_file { "a file" } else { "a folder" },
                told,
            );
        }
        let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        if let Some(folder) = folders.find(|folder| kind_of(folder).is_some()) {
            let is_old = self
                .base
                .is_some_and(|base| base.newest_first().any(|commit| commit.has_folder(folder)));
            if !is_old {
                self.add_not_a_file(findings, folder, "a folder", "a file", told);
            }
        }
    }

    /// Tells once of what the worktree does not show, too.
    fn add_not_a_file(
        &self,
        findings: &mut Findings,
        path: &str,
        what: &str,
        wanted: &str,
        told: &mut BTreeSet<String>,
    ) {
        let found = self
            .found
            .binary_search_by(|found| found.path.as_str().cmp(path))
            .ok()
            .map(|number| &self.found[number]);
        let is_shown = found.is_some_and(|found| matches!(found.stands, Stands::Not(_)));
        if !is_shown && told.insert(path.to_owned()) {
            findings.add(Rule::NotAFile, path, None, || {
                format!("in the commit, {what} is in the place of {wanted}")
            });
        }
    }

    /// Checks that no name is the bus's on some disks alone.
    fn check_spelling(&self, findings: &mut Findings, path: &str, told: &mut BTreeSet<String>) {
        let Some(wrong) = Misspelled::of(path) else { return };
        // That it is a record is told, and enough.
        let is_told = self.is_untracked() && is_record_file(path);
        let is_old = || {
            self.base.is_some_and(|base| {
                base.newest_first().any(|commit| commit.has_folder(&wrong.path))
            })
        };
        if !is_told && !is_old() && told.insert(wrong.path.clone()) {
            let words = || {
                format!(
                    "if letter case does not count, it is `{}`, and here no reader looks there",
                    wrong.meant
                )
            };
            findings.add(Rule::MisplacedRecord, &wrong.path, None, words);
        }
    }
}

/// Whether the path is that of an agent's folder of reports.
fn is_folder_of_agent(path: &str) -> bool {
    path.strip_prefix("_report/agent/").is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}
