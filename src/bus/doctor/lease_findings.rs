//! What the doctor looks at of leases.

use super::examine;
use super::examine::{Cure, Finding, finding};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, lease};
use crate::git::RefName;

/// The table of leases, and the record's copy of it.
pub(super) fn examine_leases(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let name = RefName::leases().as_str().to_owned();
    let view = match lease::lease_table(ws) {
        Ok(view) => view,
        Err(error) => {
            findings.push(examine::of_error(ws, "malformed-lease", error)?);
            return Ok(());
        }
    };
    if let Some(what) = &view.unreadable {
        findings.push(finding(
            "unreadable-ref",
            name.clone(),
            what.clone(),
            Some(Cure::SetLocksAside),
        ));
    }
    match &view.tip {
        // Before the clone has moved over, the record has no table.
        Some(tip) if !ws.has_noted_table(tip)? && ws.import_note()?.is_some() => {
            let what =
                "the record has no copy of its last change, whose events may be missing".to_owned();
            findings.push(finding("unsettled-lease", name, what, Some(Cure::SettleLeases)));
        }
        None if view.unreadable.is_none() && !view.table.rows.is_empty() => {
            let what =
                "the ref of the leases is gone; the record's copy of the table is used instead"
                    .to_owned();
            let advice =
                "the next write of a lease makes it anew; `bus lock list` shows what is held";
            findings.push(finding("missing-ref", name, what, None).advise(advice));
        }
        _ => {}
    }
    Ok(())
}
