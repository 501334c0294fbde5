//! The table of leases: the ref's, and if there is none the last one that the record has.

use super::lease_rules;
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim};
use crate::git::{Link, RefName, Tip};
use crate::record::{Fault, Fold, LeaseRow, LeaseTable, MAX_TABLE, PatternFault, Scope};
use crate::store::Lock;

/// Whether letter case makes one path of two here.
pub(super) fn fold(ws: &Workspace) -> Fold {
    if ws.repo.ignores_case() { Fold::On } else { Fold::Off }
}

/// How many claims are looked at together with the leases that live with them.
const MAX_BOUND: usize = 200;

/// The refs of the claims with which leases live: who looks at the leases looks at them, too.
pub(in crate::bus) fn claims_of_leases(ws: &Workspace) -> Result<Vec<RefName>, Error> {
    let table = lease_table(ws)?.table;
    let bound = table.rows.iter().map(|row| &row.brief).filter(|brief| brief.claim_id.is_some());
    Ok(bound
        .filter_map(|brief| brief.task_id.as_ref())
        .map(RefName::claim)
        .take(MAX_BOUND)
        .collect())
}

/// The table of leases, and the commit that holds it.
#[derive(Debug)]
pub(in crate::bus) struct TableView {
    /// The ref's state, if there is a ref that can be read.
    pub(in crate::bus) tip: Option<Link>,
    /// Why the ref cannot be read, where it cannot.
    pub(in crate::bus) unreadable: Option<String>,
    /// The table that decides: the ref's, else the last one that the record has.
    pub(in crate::bus) table: LeaseTable,
}

/// Reads the table of leases.
///
/// # Errors
///
/// [`Error::Malformed`] if the ref's state is no table, or there is no ref and what the record has
/// is none.
pub(in crate::bus) fn lease_table(ws: &Workspace) -> Result<TableView, Error> {
    let unreadable = match ws.repo.tip(&RefName::leases())? {
        Tip::At(link) => {
            let table = LeaseTable::parse(&link.body)
                .map_err(Error::malformed(RefName::leases().as_str(), &link.body))?;
            return Ok(TableView { tip: Some(link), unreadable: None, table });
        }
        Tip::Missing => None,
        Tip::Unreadable { what } => Some(what),
    };
    Ok(TableView { tip: None, unreadable, table: last_table(ws)? })
}

/// The same; a ref that cannot be read is first set aside, and what the record has takes its place.
pub(in crate::bus) fn repaired_table(ws: &Workspace, lock: &mut Lock) -> Result<TableView, Error> {
    let view = lease_table(ws)?;
    if view.unreadable.is_none() {
        return Ok(view);
    }
    let name = RefName::leases();
    lock.about_to_write(name.as_str())?;
    // An older state may hide in `packed-refs`. It must not come to light if the record knows
    // better.
    let hidden = ws.repo.packed_tip(&name)?;
    let older = hidden.as_ref().and_then(|link| LeaseTable::parse(&link.body).ok());
    let last = last_table(ws)?;
    let table = older.filter(|older| older.revision > last.revision).unwrap_or(last);
    let author = crate::record::AgentId::new("bus")?;
    let parent = hidden.map(|link| link.id);
    let link = ws.repo.write_link(parent, &author, ws.clock.now(), "import", &table.to_bytes())?;
    ws.repo.set_aside(&name, &claim::broken(ws, "LOCKS")?.path(), Some(link.id))?;
    lease_table(ws)
}

/// The table that the record has last, which decides if there is no ref; before that the live
/// leases of the target's commit, as version 0.1 wrote them.
fn last_table(ws: &Workspace) -> Result<LeaseTable, Error> {
    let place = ws.record.lease_table();
    if let Some(bytes) = place.read(MAX_TABLE)? {
        return LeaseTable::parse(&bytes).map_err(Error::malformed(ws.show(&place), &bytes));
    }
    ws.frozen_leases()
}

/// The paths of a row.
pub(super) fn row_scope(_ws: &Workspace, row: &LeaseRow) -> Result<Scope, Error> {
    lease_rules::scope_of(&row.brief.scope, &row.brief.deny)
        .map_err(|fault| unreadable_row(row, fault))
}

/// A row of the table that is no lease.
pub(super) fn malformed(fault: Fault) -> Error {
    Error::Malformed { place: RefName::leases().as_str().to_owned(), line: 1, truth: None, fault }
}

/// A row of the table whose patterns mean nothing to this version.
pub(super) fn unreadable_row(row: &LeaseRow, fault: PatternFault) -> Error {
    malformed(Fault::Syntax {
        what: format!("`{}`: {fault}", row.brief.lease_id),
        at: crate::record::Position::START,
    })
}
