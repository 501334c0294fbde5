//! Logs that were rewritten on the fleet's remote (docs/design.md, section 1.4): logs only grow, so
//! somebody has forced a ref, or a server was set back. Nothing that was seen is lost by it; it is
//! reported until somebody accepts it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{ObjectId, RefName};
use crate::record::CloneId;
use crate::store::{Lock, note_bytes, read_note, replace};

/// The longest note that is read, in bytes.
pub(in crate::bus) const MAX_NOTE: usize = 4 * 1024 * 1024;

/// A log that was rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RewrittenLog {
    /// Whose it is.
    pub(crate) clone: CloneId,
    /// Whether that is this clone.
    pub(crate) own: bool,
    /// The commit that it was at when it was last in order.
    pub(crate) seen: String,
    /// The commit that was found instead.
    pub(crate) found: String,
    /// When.
    pub(crate) at: String,
}

/// What is noted of it.
#[derive(Debug, Serialize, Deserialize)]
struct Rewriting {
    seen: String,
    found: String,
    at: String,
}

impl RewrittenLog {
    /// What has happened, in words.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        let whose = if self.own {
            "this clone's own log".to_owned()
        } else {
            format!("the log of clone {}", self.clone)
        };
        format!(
            "{whose} was rewritten on the remote: {} does not follow {}, which was there before; every line that was seen is kept",
            short(&self.found),
            short(&self.seen)
        )
    }

    /// What ends the report.
    #[must_use]
    pub(crate) fn command(&self) -> String {
        format!("bus doctor --accept-log {}", self.clone)
    }
}

/// Notes that the log called `name` was at `seen`, and is now at `found`, which does not follow it.
pub(super) fn note_rewritten(
    ws: &Workspace,
    _lock: &Lock,
    name: &RefName,
    seen: ObjectId,
    found: ObjectId,
) -> Result<(), Error> {
    let Some(clone) = name.rest().strip_prefix("log/") else { return Ok(()) };
    let mut noted = rewritings(ws)?;
    let at = ws.clock.now().to_string();
    let rewriting = noted.entry(clone.to_owned()).or_insert(Rewriting {
        seen: seen.to_string(),
        found: String::new(),
        at,
    });
    rewriting.found = found.to_string();
    write_rewritings(ws, &noted)
}

/// The logs that were rewritten and that nobody has accepted, by clone.
///
/// # Errors
///
/// [`Error::Store`] if the note of them cannot be read.
pub(in crate::bus) fn rewritten_logs(ws: &Workspace) -> Result<Vec<RewrittenLog>, Error> {
    let noted = rewritings(ws)?;
    let own = if noted.is_empty() { None } else { ws.known_clone_id()? };
    let log = |(clone, noted): (String, Rewriting)| {
        let own = own.as_ref() == Some(&clone);
        Some(RewrittenLog {
            clone: CloneId::new(&clone)?,
            own,
            seen: noted.seen,
            found: noted.found,
            at: noted.at,
        })
    };
    Ok(noted.into_iter().filter_map(log).collect())
}

/// Accepts that the log of `clone` was rewritten; returns whether that was noted.
///
/// # Errors
///
/// [`Error::Store`] if the note of it cannot be read or written.
pub(crate) fn accept_log(ws: &Workspace, clone: &CloneId) -> Result<bool, Error> {
    let _lock = ws.lock()?;
    let mut noted = rewritings(ws)?;
    let was_noted = noted.remove(clone.as_str()).is_some();
    if was_noted {
        write_rewritings(ws, &noted)?;
    }
    Ok(was_noted)
}

fn rewritings(ws: &Workspace) -> Result<BTreeMap<String, Rewriting>, Error> {
    Ok(read_note(&ws.private.rewritten(), MAX_NOTE)?.unwrap_or_default())
}

fn write_rewritings(ws: &Workspace, noted: &BTreeMap<String, Rewriting>) -> Result<(), Error> {
    let place = ws.private.rewritten();
    Ok(replace(&place, &note_bytes(&place, noted)?)?)
}
