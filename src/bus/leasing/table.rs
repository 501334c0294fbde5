//! What stands about leases: the ref, and where there is none the files of all worktrees.

use std::collections::BTreeMap;

use super::decide;
use super::fault::LeaseFault;
use crate::bus::view::ids;
use crate::bus::{Bus, Error};
use crate::git::{Link, RefName, Tip};
use crate::record::json::MAX_RECORD;
use crate::record::{Fault, Lease, LeaseRow, LeaseTable, LockId, PatternFault, Scope};
use crate::store::{Layout, Lock, Place};

/// The table of leases, and the commit that holds it.
#[derive(Debug)]
pub(in crate::bus) struct TableView {
    /// The ref's state, where there is a ref that can be read.
    pub(in crate::bus) tip: Option<Link>,
    /// Why the ref cannot be read, where it cannot.
    pub(in crate::bus) unreadable: Option<String>,
    /// The table that decides: the ref's, else what the files say.
    pub(in crate::bus) table: LeaseTable,
}

/// The file of a lease, read.
#[derive(Clone, Debug)]
pub(in crate::bus) struct FileLease {
    pub(in crate::bus) place: Place,
    pub(in crate::bus) lease: Lease,
}

impl Bus {
    /// Reads the table of leases.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where the ref's state is no table, or there is no ref and a file is no lease.
    pub(in crate::bus) fn lease_table(&self) -> Result<TableView, Error> {
        let unreadable = match self.repo.tip(&RefName::locks())? {
            Tip::At(link) => {
                let table = LeaseTable::parse(&link.body).map_err(Error::malformed(RefName::locks().as_str(), &link.body))?;
                return Ok(TableView { tip: Some(link), unreadable: None, table });
            }
            Tip::Missing => None,
            Tip::Unreadable { what } => Some(what),
        };
        let live = self.leases_of_files()?.into_values().map(|file| file.lease).filter(Lease::is_live);
        Ok(TableView { tip: None, unreadable, table: LeaseTable::of(&in_order(live)) })
    }

    /// The same; a ref that cannot be read is first set aside, and what the files know takes its place.
    pub(in crate::bus) fn mended_table(&self, lock: &mut Lock) -> Result<TableView, Error> {
        let view = self.lease_table()?;
        if view.unreadable.is_none() {
            return Ok(view);
        }
        let name = RefName::locks();
        lock.about_to_write(name.as_str())?;
        // An older state may hide in `packed-refs`. It must not come to light as it is: the files know what has ended since.
        let hidden = self.repo.packed_tip(&name)?;
        let older = hidden.as_ref().and_then(|link| LeaseTable::parse(&link.body).ok()).unwrap_or_default();
        let files = self.leases_of_files()?;
        let forgotten = older.rows.iter().filter(|row| !files.contains_key(&row.brief.lock_id));
        let forgotten = forgotten.filter_map(|row| row.lease().ok());
        let live = files.values().map(|file| file.lease.clone()).filter(Lease::is_live).chain(forgotten);
        let mut table = LeaseTable::of(&in_order(live));
        table.revision = older.revision;
        let author = crate::record::AgentId::new("bus")?;
        let parent = hidden.map(|link| link.id);
        let link = self.repo.write_link(parent, &author, self.clock.now(), "import", &table.to_bytes())?;
        self.repo.set_aside(&name, &self.broken("LOCKS")?.path(), Some(link.id))?;
        self.lease_table()
    }

    /// The lease of each file in any worktree; of several of one lease the one of the highest revision.
    pub(in crate::bus) fn leases_of_files(&self) -> Result<BTreeMap<LockId, FileLease>, Error> {
        let mut leases: BTreeMap<LockId, FileLease> = BTreeMap::new();
        for layout in self.layouts() {
            for id in ids::<crate::record::Lock>(layout.locks(), |_| true) {
                let Some(file) = self.file_lease(layout, &id)? else { continue };
                match leases.get(&id).map(|known| known.lease.revision.cmp(&file.lease.revision)) {
                    Some(std::cmp::Ordering::Greater) => {}
                    Some(std::cmp::Ordering::Equal) if leases[&id].lease == file.lease => {}
                    Some(std::cmp::Ordering::Equal) => {
                        let (place, against) = (self.show(&file.place), self.show(&leases[&id].place));
                        return Err(LeaseFault::Diverged { lock: id, place, against }.into());
                    }
                    _ => drop(leases.insert(id, file)),
                }
            }
        }
        Ok(leases)
    }

    /// The file of the lease called `id` in a worktree.
    pub(in crate::bus) fn file_lease(&self, layout: &Layout, id: &LockId) -> Result<Option<FileLease>, Error> {
        let place = layout.lock(id);
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let right = |lease: Lease| match lease.lock_id == *id {
            true => Ok(lease),
            false => Err(Fault::WrongLock { found: lease.lock_id.to_string() }),
        };
        let lease = Lease::parse(&bytes).and_then(right).map_err(Error::malformed(self.show(&place), &bytes))?;
        Ok(Some(FileLease { place, lease }))
    }

    /// The paths of a row.
    pub(super) fn row_scope(&self, row: &LeaseRow) -> Result<Scope, Error> {
        decide::scope_of(&row.brief.scope, &row.brief.deny).map_err(|fault| unreadable_row(row, fault))
    }
}

/// Leases in the order in which they were taken.
fn in_order(leases: impl Iterator<Item = Lease>) -> Vec<Lease> {
    let mut leases: Vec<Lease> = leases.collect();
    leases.sort_by(|a, b| (a.start_time, &a.lock_id).cmp(&(b.start_time, &b.lock_id)));
    leases
}

/// A row of the table that is no lease.
pub(super) fn malformed(fault: Fault) -> Error {
    Error::Malformed { place: RefName::locks().as_str().to_owned(), line: 1, truth: None, fault }
}

/// A row of the table whose patterns mean nothing to this version.
pub(super) fn unreadable_row(row: &LeaseRow, fault: PatternFault) -> Error {
    malformed(Fault::Syntax { what: format!("`{}`: {fault}", row.brief.lock_id), at: crate::record::Position::START })
}
