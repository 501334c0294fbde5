//! What a fleet can refuse (docs/design.md, section 3, *Fleet*).

use std::path::PathBuf;

use serde_json::Value;

use crate::Code;
use crate::record::Fleet;

/// Why a command did not do what it should in a fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetFault {
    /// `config.toml` says another fleet than this clone belongs to.
    #[error("`{}` names the fleet {}, and this clone belongs to the fleet {}", path.display(), said.id, noted.id)]
    Contradiction {
        /// What this clone has noted.
        noted: Fleet,
        /// What the policy says.
        said: Fleet,
        /// The policy.
        path: PathBuf,
    },
    /// The remote serves another fleet, or none.
    #[error("the remote `{remote}` ({url}) {}",
        if *serves { format!("serves another fleet than {id}") } else { format!("does not serve the fleet {id}") })]
    Other {
        /// This clone's fleet.
        id: String,
        /// The remote.
        remote: String,
        /// Where it is.
        url: String,
        /// Whether it serves any.
        serves: bool,
    },
    /// The remotes serve different fleets, and the policy names none of them.
    #[error(
        "the remotes {} serve different fleets, and `_bus/config.toml` names none",
        named(remotes)
    )]
    Several {
        /// The remotes.
        remotes: Vec<String>,
    },
    /// This clone belongs to no fleet.
    #[error("this clone belongs to no fleet")]
    None,
    /// The remote took nothing.
    #[error("the remote `{remote}` refused: {what}")]
    Refused {
        /// The remote.
        remote: String,
        /// What git says.
        what: String,
    },
    /// Something was sent, and what came of it is not known.
    #[error("outcome unknown: it was sent to `{remote}`, and then: {what}")]
    Unknown {
        /// The remote.
        remote: String,
        /// What went wrong.
        what: String,
    },
}

/// Names of remotes: "`a` and `b`", "`a`, `b` and `c`".
fn named(remotes: &[String]) -> String {
    let quoted: Vec<String> = remotes.iter().map(|remote| format!("`{remote}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

impl FleetFault {
    /// The stable name of the error.
    pub(in crate::bus) const fn code(&self) -> Code {
        match self {
            Self::Contradiction { .. } => Code::FleetContradiction,
            Self::Other { .. } | Self::Several { .. } => Code::OtherFleet,
            Self::None => Code::NoFleet,
            Self::Refused { .. } => Code::RemoteRefused,
            Self::Unknown { .. } => Code::OutcomeUnknown,
        }
    }

    /// What to do next.
    pub(in crate::bus) fn hint(&self) -> String {
        match self {
            Self::Contradiction { path, noted, .. } => format!(
                "restore `[fleet]` in `{}` (id `{}`), or leave the fleet with `bus deinit` first",
                path.display(),
                noted.id
            ),
            Self::Other { remote, .. } => format!(
                "look at `git remote -v`: `{remote}` must be the repository that `bus init --remote` was run against; a fork is another one"
            ),
            Self::Several { remotes } => format!(
                "join one of them: `bus init --remote {}`",
                remotes.first().map_or("NAME", String::as_str)
            ),
            Self::None => "found one, or join it: `bus init --remote origin`".to_owned(),
            Self::Refused { what, .. } if what.contains("File exists") => {
                "run the same command again; if it stays so, a git was killed there: remove the `.lock` file that is named from the remote"
                    .to_owned()
            }
            Self::Refused { .. } => {
                "a rule or hook there forbids it; hosts that take only branches need `bus init --remote NAME --prefix refs/heads/bus/`"
                    .to_owned()
            }
            Self::Unknown { .. } => "run the same command again: it finds out, and does nothing twice".to_owned(),
        }
    }

    /// The facts that `--json` shows beside code, message and hint.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        let text = |fact: &str| Some(Value::from(fact));
        match self {
            Self::Contradiction { noted, said, path } => {
                vec![
                    ("file", text(&path.display().to_string())),
                    ("fleet", text(&noted.id)),
                    ("found", text(&said.id)),
                ]
            }
            Self::Other { id, remote, url, .. } => {
                vec![("fleet", text(id)), ("remote", text(remote)), ("url", text(url))]
            }
            Self::Several { remotes } => vec![("remotes", Some(Value::from(remotes.clone())))],
            Self::None => Vec::new(),
            Self::Refused { remote, what } | Self::Unknown { remote, what } => {
                vec![("remote", text(remote)), ("reason", text(what))]
            }
        }
    }
}
