//! The table of leases: the ref's, and if there is none the last one that the record has.

use super::decide;
use crate::bus::{Bus, Error};
use crate::git::{Link, RefName, Tip};
use crate::record::{Fault, LeaseRow, LeaseTable, MAX_TABLE, PatternFault, Scope};
use crate::store::{Lock, replace_copy};

/// The table of leases, and the commit that holds it.
#[derive(Debug)]
pub(in crate::bus) struct TableView {
    /// The ref's state, where there is a ref that can be read.
    pub(in crate::bus) tip: Option<Link>,
    /// Why the ref cannot be read, where it cannot.
    pub(in crate::bus) unreadable: Option<String>,
    /// The table that decides: the ref's, else the last one that the record has.
    pub(in crate::bus) table: LeaseTable,
}

impl Bus {
    /// Reads the table of leases.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if the ref's state is no table, or there is no ref and what the record has is none.
    pub(in crate::bus) fn lease_table(&self) -> Result<TableView, Error> {
        let unreadable = match self.repo.tip(&RefName::locks())? {
            Tip::At(link) => {
                let table = LeaseTable::parse(&link.body).map_err(Error::malformed(RefName::locks().as_str(), &link.body))?;
                return Ok(TableView { tip: Some(link), unreadable: None, table });
            }
            Tip::Missing => None,
            Tip::Unreadable { what } => Some(what),
        };
        Ok(TableView { tip: None, unreadable, table: self.last_table()? })
    }

    /// The same; a ref that cannot be read is first set aside, and what the record has takes its place.
    pub(in crate::bus) fn mended_table(&self, lock: &mut Lock) -> Result<TableView, Error> {
        let view = self.lease_table()?;
        if view.unreadable.is_none() {
            return Ok(view);
        }
        let name = RefName::locks();
        lock.about_to_write(name.as_str())?;
        // An older state may hide in `packed-refs`. It must not come to light if the record knows better.
        let hidden = self.repo.packed_tip(&name)?;
        let older = hidden.as_ref().and_then(|link| LeaseTable::parse(&link.body).ok());
        let last = self.last_table()?;
        let table = older.filter(|older| older.revision > last.revision).unwrap_or(last);
        let author = crate::record::AgentId::new("bus")?;
        let parent = hidden.map(|link| link.id);
        let link = self.repo.write_link(parent, &author, self.clock.now(), "import", &table.to_bytes())?;
        self.repo.set_aside(&name, &self.broken("LOCKS")?.path(), Some(link.id))?;
        self.lease_table()
    }

    /// The table that the record has last, which decides if there is no ref; before that the live leases of the target's commit,
    /// as version 0.1 wrote them.
    fn last_table(&self) -> Result<LeaseTable, Error> {
        let place = self.record.lease_table();
        if let Some(bytes) = place.read(MAX_TABLE)? {
            return LeaseTable::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes));
        }
        self.frozen_leases()
    }

    /// Whether the record has the table that the ref has: then the events of its last change are in the log.
    pub(super) fn has_noted_table(&self, tip: &Link) -> Result<bool, Error> {
        Ok(self.record.lease_table().read(MAX_TABLE)?.as_deref() == Some(tip.body.as_slice()))
    }

    /// Notes the ref's table in the record.
    pub(in crate::bus) fn note_ref(&self) -> Result<(), Error> {
        match self.repo.tip(&RefName::locks())? {
            Tip::At(tip) => self.note_table(&tip.body),
            Tip::Missing | Tip::Unreadable { .. } => Ok(()),
        }
    }

    /// Notes the ref's table, which has these bytes, in the record. It does not wait for the disk: the event before it has committed
    /// the ref.
    pub(super) fn note_table(&self, table: &[u8]) -> Result<(), Error> {
        let place = self.record.lease_table();
        if place.read(MAX_TABLE)?.as_deref() != Some(table) {
            replace_copy(&place, table)?;
        }
        Ok(())
    }

    /// The paths of a row.
    pub(super) fn row_scope(&self, row: &LeaseRow) -> Result<Scope, Error> {
        decide::scope_of(&row.brief.scope, &row.brief.deny).map_err(|fault| unreadable_row(row, fault))
    }
}

/// A row of the table that is no lease.
pub(super) fn malformed(fault: Fault) -> Error {
    Error::Malformed { place: RefName::locks().as_str().to_owned(), line: 1, truth: None, fault }
}

/// A row of the table whose patterns mean nothing to this version.
pub(super) fn unreadable_row(row: &LeaseRow, fault: PatternFault) -> Error {
    malformed(Fault::Syntax { what: format!("`{}`: {fault}", row.brief.lock_id), at: crate::record::Position::START })
}
