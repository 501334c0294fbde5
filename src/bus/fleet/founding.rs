//! Founding a fleet, or joining one that stands (docs/design.md, section 3, *Fleet*).

use crate::bus::Error;
use crate::bus::workspace::{FleetFault, Workspace, usage};
use crate::git::{ObjectId, Pushed, RefName, Remote, Swap};
use crate::record::{BRANCH_PREFIX, CONFIG_FILE, Fleet, OWN_PREFIX};
use crate::store::{crash_point, replace};

/// The longest `config.toml` that gets a section, in bytes.
const MAX_CONFIG: usize = 64 * 1024;

/// What became of `bus init --remote`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founded {
    /// The fleet.
    pub(crate) fleet: Fleet,
    /// Whether the remote served it before.
    pub(crate) joined: bool,
    /// Whether this clone belongs to it only now.
    pub(crate) is_new: bool,
    /// Whether `config.toml` says so only now.
    pub(crate) written: bool,
}

/// Makes this clone part of the fleet that `remote` serves; where it serves none, founds one. No
/// file of the worktree is written. `prefix` says where the refs of the bus shall stand there:
/// `refs/bus/` if nothing is said and nothing stands there.
///
/// # Errors
///
/// [`FleetFault::Contradiction`] if the clone belongs to another fleet; [`FleetFault::Other`]
/// where the remote serves another one; [`FleetFault::Refused`] if it takes no such refs;
/// [`Error::Git`] if it cannot be reached.
pub(crate) fn init_fleet(
    ws: &Workspace,
    remote: &str,
    prefix: Option<&str>,
) -> Result<Founded, Error> {
    let standing = ws.fleet()?.cloned();
    let prefixes: Vec<&str> = match (&standing, prefix) {
        (Some(fleet), None) => vec![&fleet.prefix],
        (_, Some(prefix)) => vec![prefix],
        (None, None) => vec![OWN_PREFIX, BRANCH_PREFIX],
    };
    for prefix in &prefixes {
        let there = ws.repo.remote(remote, prefix, ws.remote_patience)?;
        if let Some(id) = ws.served(&there)? {
            let fleet = Fleet::new(remote.to_owned(), id, (*prefix).to_owned()).map_err(usage)?;
            return enter(ws, standing.as_ref(), fleet, true);
        }
    }
    let fleet = match standing.clone() {
        // A fleet whose remote has forgotten it is told again; another remote is not its.
        Some(fleet) if fleet.remote == remote => Fleet { prefix: prefixes[0].to_owned(), ..fleet },
        Some(fleet) => {
            let there = ws.repo.remote(remote, &fleet.prefix, ws.remote_patience)?;
            let (id, url) = (fleet.id, there.shown_url());
            return Err(
                FleetFault::Other { id, remote: remote.to_owned(), url, serves: false }.into()
            );
        }
        None => Fleet::found(remote, prefixes[0]).map_err(usage)?,
    };
    let there = ws.repo.remote(remote, &fleet.prefix, ws.remote_patience)?;
    let pushed = push_roots(ws, &there, &fleet)?;
    crash_point("fleet-pushed");
    match (ws.served(&there)?, pushed) {
        // Somebody else may have been faster.
        (Some(id), _) => {
            let joined = id != fleet.id;
            enter(ws, standing.as_ref(), Fleet { id, ..fleet }, joined)
        }
        (None, Pushed::Refused(what) | Pushed::Unclear(what)) => {
            Err(FleetFault::Refused { remote: remote.to_owned(), what }.into())
        }
        (None, _) => {
            let what = "it does not have what was sent".to_owned();
            Err(FleetFault::Unknown { remote: remote.to_owned(), what }.into())
        }
    }
}

/// Notes that this clone calls the fleet's remote `name`, where that remote serves the fleet.
///
/// # Errors
///
/// [`FleetFault::None`]; [`FleetFault::Other`]; [`Error::Git`] if it cannot be reached.
pub(crate) fn rename_remote(ws: &Workspace, name: &str) -> Result<(), Error> {
    let standing = ws.fleet()?.ok_or(FleetFault::None)?;
    if standing.remote == name {
        return Ok(());
    }
    let fleet =
        Fleet::new(name.to_owned(), standing.id.clone(), standing.prefix.clone()).map_err(usage)?;
    let there = ws.remote_of(&fleet)?;
    let sight = ws.repo.look_at(&there, &[RefName::fleet()])?;
    ws.check_fleet(&fleet, &there, &sight)?;
    ws.join(fleet).map(drop)
}

/// Writes down that this clone belongs to `fleet`.
fn enter(
    ws: &Workspace,
    standing: Option<&Fleet>,
    fleet: Fleet,
    joined: bool,
) -> Result<Founded, Error> {
    let other =
        standing.filter(|standing| standing.id != fleet.id || standing.prefix != fleet.prefix);
    if let Some(noted) = other.cloned() {
        return Err(FleetFault::Contradiction {
            noted,
            said: fleet,
            path: ws.layout.config().path(),
        }
        .into());
    }
    let is_new = standing != Some(&fleet);
    let fleet = ws.join(fleet)?;
    Ok(Founded { fleet, joined, is_new, written: false })
}

/// Whether the remote's default branch has a bus that this worktree has not: then its files come by
/// `git pull`.
#[must_use]
pub(crate) fn waits_for_pull(ws: &Workspace) -> bool {
    !ws.layout.has_bus() && ws.repo.file_on_remote_trunk(CONFIG_FILE).is_some()
}

/// Adds the section to `config.toml`, at its end, so that its comments and its order stay; says
/// whether it was missing.
///
/// # Errors
///
/// [`Error::MalformedConfig`] if the policy cannot be read; else as the system refuses.
pub(crate) fn write_fleet_section(ws: &Workspace, fleet: &Fleet) -> Result<bool, Error> {
    let place = ws.layout.config();
    let _lock = ws.lock()?;
    if ws.read_config()?.fleet.is_some() {
        return Ok(false);
    }
    let text = place.read(MAX_CONFIG)?.unwrap_or_default();
    let gap: &[u8] = if text.is_empty() || text.ends_with(b"\n") { b"\n" } else { b"\n\n" };
    replace(&place, &[&text, gap, fleet.section().as_bytes()].concat())?;
    Ok(true)
}

/// Gives a remote what makes it serve `fleet`.
fn push_roots(ws: &Workspace, there: &Remote, fleet: &Fleet) -> Result<Pushed, Error> {
    let new = |name: RefName, id: ObjectId| Swap { name, expected: None, new: Some(id) };
    let mut roots = vec![new(RefName::fleet(), ws.fleet_root(&fleet.id)?)];
    let archive = RefName::archive();
    if !ws.repo.look_at(there, std::slice::from_ref(&archive))?.contains_key(&archive) {
        roots.push(new(archive, ws.repo.archive_root()?));
    }
    Ok(ws.repo.push(there, &roots, true)?)
}
