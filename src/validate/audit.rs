//! The audit of a fleet: all that stands in its refs, looked at as a scheduled job does (design,
//! section 1.5).

mod chains;
mod logs;
mod table;
mod witness;

use super::bus_refs::BusRefs;
use super::finding::{Findings, FleetSight, Report, Selection};
use super::sparse::JudgedFiles;
use super::{Error, policy};
use crate::git::{History, ObjectId, Repository};

/// How much of a commit's name is shown, in letters.
const SHORT: usize = 10;

/// One audit.
struct Audit<'a> {
    repo: &'a Repository,
    history: &'a History,
    refs: &'a BusRefs<'a>,
}

/// Audits the refs of a fleet that are here, this clone's own and those that were fetched: each
/// claim's history, the tables of leases, the clones' logs, and what landings say of these
/// (`Bus-Log:` in the first parents of HEAD).
///
/// # Errors
///
/// [`Error::NoRefs`] if there are none; [`Error::Git`] or [`Error::Store`] if the system refuses to
/// read.
pub fn audit(repo: &Repository, rules: &Selection) -> Result<Report, Error> {
    let (history, refs) = (repo.history()?, BusRefs::read(repo, None)?);
    if refs.is_empty() {
        return Err(Error::NoRefs { root: repo.root().to_owned() });
    }
    let mut findings = Findings::new(rules.clone(), Vec::new());
    let audit = Audit { repo, history: &history, refs: &refs };
    let mut files = audit.check_chains(&mut findings)?;
    files += audit.check_tables(&mut findings)?;
    files += audit.check_logs(&mut findings)?;
    audit.check_witnesses(&mut findings)?;
    let (findings, counts) = findings.finish();
    Ok(Report {
        findings,
        counts,
        raised: Vec::new(),
        base: None,
        merge_bases: Vec::new(),
        branch: None,
        refs: Vec::new(),
        files,
        is_audit: true,
        records: policy::that_holds(&JudgedFiles::of(repo, &history)?, &history, None)?.records,
        fleet: FleetSight::Read,
    })
}

/// A commit as it is named in messages.
fn short(id: ObjectId) -> String {
    id.to_hex_with_len(SHORT).to_string()
}
