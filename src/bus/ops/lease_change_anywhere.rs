//! Leases in a fleet: the table is one ref on the remote, too, and changes there first
//! (`_bus/README.md`).

use crate::bus::fleet::{Beside, Known, Turn};
use crate::bus::lease::{Draft, LeaseOutcome, Leased, Next, TableView, Written};
use crate::bus::workspace::{Reach, Who, Workspace};
use crate::bus::{Error, fleet, lease};
use crate::git::{RefName, Remote, Swap};
use crate::record::{AgentId, Lease};
use crate::store::Lock;

/// Changes the table of leases as `decide` says, where the remote agrees if the clone belongs to a
/// fleet, and settles.
pub(super) fn change_and_settle(
    ws: &Workspace,
    agent: &AgentId,
    decide: impl Fn(&TableView, &Who) -> Result<Next, Error>,
) -> Result<Vec<Leased>, Error> {
    ws.config()?;
    ws.learn_fleet(Reach::Fleet)?;
    let Some(fleet) = ws.fleet()? else {
        let mut lock = ws.lock()?;
        let who = ws.who(agent.clone())?;
        let written = lease::change_leases(ws, &mut lock, &who, |view| decide(view, &who))?;
        lease::settle_leases(ws, &lock, &written)?;
        return Ok(written.answer);
    };
    let turn = |lock: &mut Lock, Known { seen, under_way }: Known| {
        let who = ws.who(agent.clone())?;
        let view = lease::mended_table(ws, lock)?;
        match decide(&view, &who) {
            Ok(Next::Write(draft)) => {
                let (link, written) = lease::prepare_table(ws, lock, view, &who, draft)?;
                Ok(Turn::Push(link.id, written))
            }
            Ok(Next::Settle(_)) | Err(Error::Lease(_)) if !seen => Ok(Turn::Look),
            // A release that was sent and did not come through may still do so, unless the table
            // moves on.
            Ok(Next::Settle(leases)) if under_way && leases.iter().any(Lease::is_live) => {
                let live = leases.into_iter().filter(Lease::is_live);
                let renewed =
                    live.map(|lease| lease::renewed(ws, &lease, None)).collect::<Result<_, _>>()?;
                let draft = Draft::new("renew", renewed, LeaseOutcome::Unchanged);
                let (link, written) = lease::prepare_table(ws, lock, view, &who, draft)?;
                Ok(Turn::Push(link.id, written))
            }
            Ok(Next::Settle(leases)) => Ok(Turn::Done(Written::unchanged(leases))),
            Err(error) => Err(error),
        }
    };
    let written = fleet::change_shared(ws, fleet, &RefName::locks(), turn, |lock, written| {
        // Another command of the same agent may have seen it on the remote, and settled it.
        let written = written.later();
        lease::settle_leases(ws, lock, &written)?;
        Ok(written)
    })?;
    Ok(written.answer)
}

/// A change of the table that goes to the remote together with a claim: both are taken, or none.
pub(super) fn beside_claim(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    who: &Who,
    decide: impl Fn(&TableView, &Who) -> Result<Next, Error>,
) -> Result<Option<Beside>, Error> {
    let name = RefName::locks();
    let view = lease::mended_table(ws, lock)?;
    let Next::Write(draft) = decide(&view, who)? else { return Ok(None) };
    let (link, written) = lease::prepare_table(ws, lock, view, who, draft)?;
    let swap = Swap { expected: ws.seen_at(remote, &name)?, name, new: Some(link.id) };
    Ok(Some(Beside { swap, leases: written.later() }))
}
