//! The tables of leases: they can be read, go on from state to state, and no two live leases share
//! a path.

use super::{Audit, short};
use crate::git::{ObjectId, RefName, Tip};
use crate::record::{Budget, LeaseTable, Spent};
use crate::validate::Error;
use crate::validate::finding::Findings;
use crate::validate::leases::{Held, MAX_STATES, MAX_STEPS, fold_of};
use crate::validate::rule::Rule;

impl Audit<'_> {
    /// Checks each table that is here, and its last states; returns how many tables there are.
    pub(super) fn check_tables(&self, findings: &mut Findings) -> Result<usize, Error> {
        for name in self.refs.tables() {
            match self.repo.tip(name)? {
                Tip::At(link) => {
                    self.check_rows(findings, name, &link.body);
                    self.check_states(findings, name, link.id)?;
                }
                Tip::Unreadable { what } => {
                    findings.add(Rule::ChainBroken, name.as_str(), None, || {
                        format!("the table of leases cannot be read: {what}")
                    });
                }
                Tip::Missing => {}
            }
        }
        Ok(self.refs.tables().len())
    }

    /// Each row is a lease, and those of two holders keep out of each other's way.
    fn check_rows(&self, findings: &mut Findings, name: &RefName, body: &[u8]) {
        // That it is no table is told with its state.
        let rows = LeaseTable::parse(body).unwrap_or_default().rows;
        let mut leases = Vec::new();
        for row in &rows {
            match row.lease() {
                Ok(lease) => leases.extend(Held::new(lease, None)),
                Err(fault) => {
                    let words =
                        || format!("`{}` in the table is no lease: {fault:#}", row.brief.lease_id);
                    findings.add(Rule::ChainBroken, name.as_str(), None, words);
                }
            }
        }
        let (fold, mut budget) = (fold_of(self.repo), Budget::new(MAX_STEPS));
        for (number, one) in leases.iter().enumerate() {
            for two in leases[..number].iter().filter(|two| !one.is_harmless_to(two)) {
                let of =
                    |held: &Held| format!("{}'s `{}`", held.lease().owner, held.lease().lease_id);
                match one.overlaps(two, fold, &mut budget) {
                    Ok(None) => {}
                    Ok(Some(path)) => findings.add(Rule::LeaseOverlap, name.as_str(), None, || {
                        format!("`{path}` is in {} and in {}", of(two), of(one))
                    }),
                    Err(Spent) => {
                        let words = || {
                            let (one, two) = (of(one), of(two));
                            format!(
                                "{one} and {two} were not compared to the end, nor those after them: their patterns take too long"
                            )
                        };
                        return findings.add(Rule::TooMuch, name.as_str(), None, words);
                    }
                }
            }
        }
    }

    /// The revision grows from state to state.
    fn check_states(
        &self,
        findings: &mut Findings,
        name: &RefName,
        tip: ObjectId,
    ) -> Result<(), Error> {
        let mut newer: Option<u64> = None;
        let mut next = Some(tip);
        for _ in 0..MAX_STATES {
            let Some(id) = next else { break };
            let mut broken = |what: String| {
                findings.add(Rule::ChainBroken, name.as_str(), None, || {
                    format!("the state {} {what}", short(id))
                })
            };
            let link = match self.repo.link(id)? {
                Ok(link) => link,
                Err(what) => {
                    broken(format!("cannot be read: {what}"));
                    break;
                }
            };
            next = link.parent;
            match LeaseTable::parse(&link.body) {
                Err(fault) => broken(format!("is no table of leases: {fault:#}")),
                Ok(table) => {
                    if let Some(newer) = newer.filter(|newer| *newer <= table.revision) {
                        broken(format!(
                            "has revision {}, and the one after it {newer}",
                            table.revision
                        ));
                    }
                    newer = Some(table.revision);
                }
            }
        }
        Ok(())
    }
}
