//! What the doctor looks at of leases.

use super::settle::{as_taken, is_in_line};
use super::table::TableView;
use crate::bus::doctor::{Cure, Finding, finding};
use crate::bus::view::ids;
use crate::bus::{Bus, Error};
use crate::git::RefName;
use crate::record::{Lease, Lock as LockKind, LockId};
use crate::store::Lock;

impl Bus {
    /// The table of leases, and this worktree's files against it.
    pub(in crate::bus) fn examine_leases(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let view = match self.lease_table() {
            Ok(view) => view,
            Err(error) => {
                findings.push(self.of_error("malformed-lease", error)?);
                return Ok(());
            }
        };
        if let Some(what) = &view.unreadable {
            let name = RefName::locks().as_str().to_owned();
            findings.push(finding("unreadable-ref", name, what.clone(), Some(Cure::SetLocksAside)));
        }
        if view.tip.is_none() {
            return Ok(());
        }
        for id in ids::<LockKind>(self.layout.locks(), |_| true) {
            findings.extend(self.examine_lease_file(&view, &id)?);
        }
        findings.extend(self.missing_lease_files(&view)?);
        Ok(())
    }

    /// A file of this worktree against the table, or against the end that the ref's history has.
    fn examine_lease_file(&self, view: &TableView, id: &LockId) -> Result<Option<Finding>, Error> {
        let place = self.show(&self.layout.lock(id));
        let truth = self.last_state(view, id)?;
        let file = match self.file_lease(&self.layout, id) {
            Ok(file) => file.map(|file| file.lease),
            Err(error) => {
                let found = self.of_error("malformed-lease", error)?;
                return Ok(Some(if truth.is_some() {
                    finding(found.name, found.place, found.what, Some(Cure::RestoreLease(id.clone())))
                } else {
                    found
                }));
            }
        };
        let (Some(file), Some(truth)) = (file, truth) else { return Ok(None) };
        if is_in_line(Some(&file), &truth) {
            return Ok(None);
        }
        if as_taken(&file) != as_taken(&truth) || file.revision > truth.revision {
            let what = "it was edited: the ref has never said this".to_owned();
            return Ok(Some(finding("lease-edited", place, what, Some(Cure::RestoreLease(id.clone())))));
        }
        // Another worktree's, which has moved on: that is normal.
        if truth.origin != self.here_origin()? {
            return Ok(None);
        }
        let what = "it is behind the ref, which knows how the lease went on".to_owned();
        Ok(Some(finding("unsettled-lease", place, what, Some(Cure::SettleLease(id.clone())))))
    }

    /// Leases of this worktree without a file.
    fn missing_lease_files(&self, view: &TableView) -> Result<Vec<Finding>, Error> {
        let here = self.here_origin()?;
        let mut findings = Vec::new();
        // Another branch may be checked out, which knows nothing of them.
        let rows = view.table.rows.iter().filter(|row| self.layout.has_bus() && here.is_some() && row.brief.origin == here);
        for row in rows.filter(|row| self.stands(&row.brief)) {
            let place = self.layout.lock(&row.brief.lock_id);
            if place.inspect()?.is_none() {
                let what = "a live lease of this worktree has no file".to_owned();
                findings.push(finding(
                    "missing-file",
                    self.show(&place),
                    what,
                    Some(Cure::SettleLease(row.brief.lock_id.clone())),
                ));
            }
        }
        Ok(findings)
    }

    /// What the ref says of a lease last: in its table, or how it ended.
    fn last_state(&self, view: &TableView, id: &LockId) -> Result<Option<Lease>, Error> {
        match view.table.row(id) {
            Some(row) => super::whole(row).map(Some),
            None => self.end_in_history(view, id),
        }
    }

    /// Writes the event and the file that the ref asks for.
    pub(in crate::bus) fn settle_known_lease(&self, lock: &Lock, id: &LockId) -> Result<(), Error> {
        let view = self.lease_table()?;
        self.last_state(&view, id)?.map_or(Ok(()), |lease| self.settle_lease(lock, &lease))
    }

    /// Puts the ref's record in the place of this worktree's file, of which a copy is kept.
    pub(in crate::bus) fn restore_lease(&self, lock: &Lock, id: &LockId) -> Result<(), Error> {
        let place = self.layout.lock(id);
        self.keep_aside(id.as_str(), &place)?;
        crate::bus::deinit::remove(&place.path())?;
        self.settle_known_lease(lock, id)
    }
}
