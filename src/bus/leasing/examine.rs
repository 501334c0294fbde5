//! What the doctor looks at of leases.

use crate::bus::doctor::{Cure, Finding, finding};
use crate::bus::{Bus, Error};
use crate::git::RefName;

impl Bus {
    /// The table of leases, and the record's copy of it.
    pub(in crate::bus) fn examine_leases(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let name = RefName::locks().as_str().to_owned();
        let view = match self.lease_table() {
            Ok(view) => view,
            Err(error) => {
                findings.push(self.of_error("malformed-lease", error)?);
                return Ok(());
            }
        };
        if let Some(what) = &view.unreadable {
            findings.push(finding("unreadable-ref", name.clone(), what.clone(), Some(Cure::SetLocksAside)));
        }
        match &view.tip {
            // Before the clone has moved over, the record has no table.
            Some(tip) if !self.has_noted_table(tip)? && self.import_note()?.is_some() => {
                let what = "the record has no copy of its last change, whose events may be missing".to_owned();
                findings.push(finding("unsettled-lease", name, what, Some(Cure::SettleLeases)));
            }
            None if view.unreadable.is_none() && !view.table.rows.is_empty() => {
                let what = "the ref of the leases is gone; the record's copy of the table stands in for it".to_owned();
                let advice = "the next write of a lease makes it anew; `bus lock list` shows what is held";
                findings.push(finding("missing-ref", name, what, None).advise(advice));
            }
            _ => {}
        }
        Ok(())
    }
}
