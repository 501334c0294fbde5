//! Leases in a fleet: the table is one ref on the remote, too, and changes there first
//! (`_bus/README.md`).

use crate::bus::fleet::Beside;
use crate::bus::lease::{LeaseDecision, Leased, TableView};
use crate::bus::workspace::{Known, Reach, Who, Workspace};
use crate::bus::{Error, fleet, lease};
use crate::git::{RefName, Remote, Swap};
use crate::record::AgentId;
use crate::store::Lock;

/// Changes the table of leases as `decide` says, where the remote agrees if the clone belongs to a
/// fleet, and settles.
pub(super) fn change_leases(
    ws: &Workspace,
    agent: &AgentId,
    decide: impl Fn(&TableView, &Who) -> Result<LeaseDecision, Error>,
) -> Result<Vec<Leased>, Error> {
    ws.config()?;
    ws.learn_fleet(Reach::Fleet)?;
    let name = RefName::leases();
    let Some(fleet) = ws.fleet()? else {
        let mut lock = ws.lock()?;
        let who = ws.who(agent.clone())?;
        let written = lease::change_leases_here(ws, &mut lock, &who, decide)?;
        lease::settle_leases(ws, &lock, &written)?;
        return Ok(written.answer);
    };
    let turn = |lock: &mut Lock, known: Known| {
        lease::table_turn(ws, lock, &ws.who(agent.clone())?, known, &decide)
    };
    fleet::propose_ref(ws, fleet, &name, turn, |lock, written| {
        // Another command of the same agent may have seen it on the remote, and settled it.
        let written = written.later();
        lease::settle_leases(ws, lock, &written)?;
        Ok(written.answer)
    })
}

/// A change of the table that goes to the remote together with a claim: both are taken, or none.
pub(super) fn beside_claim(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    who: &Who,
    decide: impl Fn(&TableView, &Who) -> Result<LeaseDecision, Error>,
) -> Result<Option<Beside>, Error> {
    let name = RefName::leases();
    let view = lease::repaired_table(ws, lock)?;
    let LeaseDecision::Write(draft) = decide(&view, who)? else { return Ok(None) };
    let (link, written) = lease::prepare_table(ws, lock, view, who, draft)?;
    let swap = Swap { expected: ws.seen_at(remote, &name)?, name, new: Some(link.id) };
    Ok(Some(Beside { swap, leases: written.later() }))
}
