//! What came with branches and counts as a record of this clone (docs/design.md, section 1.3).

use serde::{Deserialize, Serialize};

use super::Workspace;
use super::notes::Note;
use crate::bus::Error;
use crate::record::json::MAX_RECORD;
use crate::record::{Lease, LeaseTable, RECORD_FOLDERS};
use crate::store::{Error as StoreError, Layout, Verb, read_note};

/// The longest note that is read, in bytes.
const MAX_NOTE: usize = 1024 * 1024;

/// The longest file of a commit that is taken in, in bytes.
const MAX_FROZEN: usize = 1024 * 1024 * 1024;

/// Where what came with the target's commit is kept.
pub(super) const TARGET: &str = "target";

/// What was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::bus) struct ImportNote {
    /// What version 0.1's journals looked like.
    pub(in crate::bus) journals: String,
    /// What could not be read, and is not taken in.
    #[serde(default)]
    pub(in crate::bus) left: Vec<String>,
}

impl Workspace {
    /// What was imported; `None` if nothing was yet.
    pub(in crate::bus) fn import_note(&self) -> Result<Option<ImportNote>, Error> {
        // A note that cannot be read is as none: what is known is not taken in twice.
        Ok(read_note(&self.private.import_note(), MAX_NOTE)?)
    }

    /// Whether version 0.1, or an older version of this record, was at work in this clone.
    pub(in crate::bus) fn was_used_before(&self) -> bool {
        self.private.clone_id().path().exists() || self.private.journals().exists()
    }

    /// Where lines and records of branches are kept.
    pub(in crate::bus) fn imported_layouts(&self) -> Vec<Layout> {
        let mut layouts = vec![self.private.imported("main"), self.private.imported(TARGET)];
        let worktrees = self.listed(self.private.imported("worktrees").root());
        let names = worktrees.into_iter().filter_map(|entry| entry.name.into_string().ok());
        layouts.extend(names.map(|name| self.private.imported(&format!("worktrees/{name}"))));
        layouts.retain(|layout| layout.root().is_dir());
        layouts
    }

    /// What came with branches and counts as a record although the files there now do not: what was
    /// imported; before that, in a clone that has written nothing yet, what the target's commit
    /// has, or what the worktrees of an older clone have.
    pub(in crate::bus) fn branch_records(&self) -> &[Layout] {
        self.branch_records.get_or_init(|| {
            if self.reading_mode().reads_worktrees() || self.import_note().ok().flatten().is_some()
            {
                return self.imported_layouts();
            }
            if self.was_used_before() {
                return self.layouts().cloned().collect();
            }
            match self.unpack_target() {
                Ok(layout) => layout.into_iter().collect(),
                Err(error) => {
                    self.notes.add(Note::Unreadable(error));
                    Vec::new()
                }
            }
        })
    }

    /// The record files of the target's commit, in a folder that goes with this process; `None` if
    /// it has none.
    pub(in crate::bus) fn unpack_target(&self) -> Result<Option<Layout>, Error> {
        let Some(target) = self.repo.target_commit() else { return Ok(None) };
        let mut unpacked: Option<(tempfile::TempDir, Layout)> = None;
        for folder in RECORD_FOLDERS {
            for (name, bytes) in
                self.repo.files_in(target, &format!("_bus/{folder}"), MAX_FROZEN)?
            {
                let place = format!("_bus/{folder}/{name}");
                let bytes = match bytes {
                    Ok(bytes) => bytes,
                    Err(what) => {
                        self.notes.add(Note::Unreadable(frozen_fault(&place, what)));
                        continue;
                    }
                };
                if unpacked.is_none() {
                    let temporary = tempfile::tempdir()
                        .map_err(StoreError::io(Verb::Create, &std::env::temp_dir()))?;
                    let layout = Layout::new(temporary.path().to_owned());
                    unpacked = Some((temporary, layout));
                }
                if let Some((_, layout)) = &unpacked {
                    crate::store::replace_copy(&layout.place(&place), &bytes)?;
                }
            }
        }
        Ok(unpacked.map(|(temporary, layout)| {
            let _ = self.unpacked.set(temporary);
            layout
        }))
    }

    /// The live leases of the target's commit, as version 0.1 wrote them; none in a clone that has
    /// imported.
    pub(in crate::bus) fn frozen_leases(&self) -> Result<LeaseTable, Error> {
        let mut leases = Vec::new();
        let target =
            self.repo.target_commit().filter(|_| !self.private.import_note().path().exists());
        let files = target
            .map(|target| self.repo.files_in(target, "_bus/locks", MAX_RECORD))
            .transpose()?;
        for (name, bytes) in files.into_iter().flatten().filter(|(name, _)| name.ends_with(".json"))
        {
            let lease =
                bytes.and_then(|bytes| Lease::parse(&bytes).map_err(|fault| fault.to_string()));
            let lease = lease.map_err(|what| frozen_fault(&format!("_bus/locks/{name}"), what))?;
            leases.extend(Some(lease).filter(Lease::is_live));
        }
        leases.sort_by(|a, b| (a.start_time, &a.lease_id).cmp(&(b.start_time, &b.lease_id)));
        Ok(LeaseTable::of(&leases))
    }
}

/// The error of a file of the target's commit.
fn frozen_fault(place: &str, what: String) -> Error {
    crate::git::Error::Damaged { name: format!("{place} of the target's commit"), what }.into()
}
