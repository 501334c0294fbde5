//! How a ref of which a fleet has one for all becomes this clone's: the table of leases, the
//! numbers of the queue.

use super::{adopt, odd_ref};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, lease};
use crate::git::{Link, ObjectId, RefName, Remote, Sight};
use crate::record::{LeaseTable, json};
use crate::store::{Lock, crash_point};

/// Brings a shared ref of this clone in line with what was seen. What only this clone has, from
/// before it joined, gives way, and is kept under `refs/bus/lost/`; then that place is returned.
///
/// # Errors
///
/// [`Error::OddRef`] if what the remote has is none of ours: what stands here stays.
pub(super) fn adopt_ref(
    ws: &Workspace,
    lock: &mut Lock,
    remote: &Remote,
    name: &RefName,
    sight: &Sight,
) -> Result<Option<RefName>, Error> {
    let mut gave_way = None;
    if let Some(theirs) = sight.get(name).copied() {
        let link = readable_ref(ws, name, theirs)?;
        let ours = ws.repo.id_of(name)?;
        let stands = ours.map_or(Ok(false), |ours| ws.repo.descends(ours, theirs))?;
        if let Some(ours) = ours.filter(|_| !stands)
            && !ws.repo.descends(theirs, ours)?
        {
            let kept = RefName::own(&format!("lost/{}/{ours}", name.rest()))
                .expect("an object id is a good end of a name");
            lock.about_to_write(kept.as_str())?;
            ws.repo.put(&kept, ours)?;
            gave_way = Some(kept);
        }
        if !stands {
            lock.about_to_write(name.as_str())?;
            ws.repo.put(name, theirs)?;
        }
        crash_point("adopted");
        if !stands && *name == RefName::leases() {
            lease::settle_last_leases(ws, lock, &link)?;
        }
    }
    adopt::note_seen(ws, lock, remote, name, sight.get(name).copied())?;
    Ok(gave_way)
}

/// Reads a state of a shared ref, and refuses one that means nothing.
fn readable_ref(ws: &Workspace, name: &RefName, id: ObjectId) -> Result<Link, Error> {
    let odd = |what: String| odd_ref::odd_ref(ws, name, &format!("cannot be read: {what}"));
    let link = ws.repo.link(id)?.map_err(odd)?;
    let fault = match *name == RefName::leases() {
        true => LeaseTable::parse(&link.body).err(),
        false => json::parse_record(&link.body).err(),
    };
    fault.map_or(Ok(link), |fault| Err(odd(fault.to_string())))
}
