//! What a bus can refuse, with the facts inside.

use std::path::PathBuf;

use serde_json::Value;

use crate::bus::claim::ClaimFault;
use crate::bus::lease::LeaseFault;
use crate::bus::ops::WaitFault;
use crate::bus::plan::PlanFault;
use crate::bus::queue::QueueFault;
use crate::bus::setup::SetupFault;
use crate::bus::workspace::{FleetFault, MAX_TRIES};
use crate::git::RefName;
use crate::record::{ConfigFault, Fault, IdFault, ManifestName, TaskId};
use crate::{Code, git, store};

/// What to do about a file that cannot be read.
const BY_HAND: &str = "fix that line by hand, then run the same command again";

/// What to do without an agent id.
const SAY_WHO: &str = "say who you are: `--agent ID`, or `export BUS_AGENT=ID`, or `{\"agent_id\": \"ID\"}` in AGENT_MANIFEST.json";

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The repository refused.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A text is no id.
    #[error(transparent)]
    Id(#[from] IdFault),
    /// The request makes no sense.
    #[error("{what}")]
    Usage {
        /// Why not.
        what: String,
        /// What would.
        hint: String,
    },
    /// The repository has no bus.
    #[error("`{}` has no bus", root.display())]
    NoBus {
        /// The worktree.
        root: PathBuf,
    },
    /// A write without an agent id.
    #[error("this needs an agent id, and there is none")]
    NoIdentity,
    /// There is no manifest to swap in.
    #[error("there is no `AGENT_MANIFEST.{name}.json` in this worktree")]
    NoManifest {
        /// Which one was asked for.
        name: ManifestName,
        /// Those that there are.
        known: Vec<ManifestName>,
    },
    /// A record on disk breaks its format.
    #[error("`{place}` line {line}: {fault}")]
    Malformed {
        /// The file or ref.
        place: String,
        /// The line, from 1.
        line: usize,
        /// The task whose ref still says what is true, if there is one.
        truth: Option<TaskId>,
        /// What is wrong.
        fault: Fault,
    },
    /// A claim's ref is damaged.
    #[error("`{name}` is damaged: {what}")]
    UnreadableRef {
        /// The ref.
        name: String,
        /// How.
        what: String,
    },
    /// A ref on the fleet's remote that is none of the bus's, or damaged, stands where one of the
    /// bus's belongs.
    #[error("`{name}` on the remote `{remote}` {what}")]
    OddRef {
        /// The ref, as the remote calls it.
        name: String,
        /// The remote.
        remote: String,
        /// What is odd about it.
        what: String,
    },
    /// `config.toml` cannot be read.
    #[error("`{}` line {}: {fault}", path.display(), fault.line)]
    MalformedConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// The ref was changed by something that does not take the lock, again and again.
    #[error("`{reference}` changed under each of {tries} tries")]
    RefContended {
        /// The ref.
        reference: String,
        /// How often it was tried.
        tries: usize,
    },
    /// A file has no part that can be kept up to date.
    #[error("`{}` {what}", path.display())]
    NoPart {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
        /// What the part is called.
        name: &'static str,
    },
    /// A claim cannot be had or changed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// A path lease cannot be had or changed.
    #[error(transparent)]
    Lease(#[from] LeaseFault),
    /// The queue does not give what was asked for.
    #[error(transparent)]
    Queue(#[from] QueueFault),
    /// A plan cannot be shown or changed.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// The fleet's remote decides otherwise, or does not say.
    #[error(transparent)]
    Fleet(#[from] FleetFault),
    /// What was waited for did not come true.
    #[error(transparent)]
    Wait(#[from] WaitFault),
    /// A bus cannot be set up or removed.
    #[error(transparent)]
    Setup(#[from] SetupFault),
}

/// What to do about a record that breaks its format; a ref may have the true one.
fn malformed_hint(place: &str, has_truth: bool, fault: &Fault) -> String {
    match fault {
        _ if has_truth => {
            "restore it from its ref, which has the true record: `bus doctor --fix` (the file is kept aside)".to_owned()
        }
        _ if place.starts_with("refs/") => {
            format!("look at it with `git show {place}`; if it is no record of bus, delete the ref with `git update-ref -d`")
        }
        Fault::WrongTask { .. } => format!("remove `{place}`, or give it the name of its task"),
        Fault::WrongLease { .. } => format!("remove `{place}`, or give it the name of its lease"),
        Fault::WrongPlan { .. } => format!("remove `{place}`, or give it the name of its plan"),
        Fault::BadItem { .. } => {
            format!("fix `{place}` by hand; `bus validate --explain bad-queue-item` shows what a queue item looks like")
        }
        _ => BY_HAND.to_owned(),
    }
}

impl Error {
    /// A ref that something moves again and again.
    pub(in crate::bus) fn contended(name: &RefName) -> Self {
        Self::RefContended { reference: name.as_str().to_owned(), tries: MAX_TRIES }
    }

    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Git(error) => error.code(),
            Self::Id(_) => Code::BadId,
            Self::Usage { .. } => Code::Usage,
            Self::NoBus { .. } => Code::NoBus,
            Self::NoIdentity => Code::NoIdentity,
            Self::Malformed { .. } | Self::UnreadableRef { .. } | Self::OddRef { .. } => {
                Code::MalformedRecord
            }
            Self::MalformedConfig { .. } => Code::MalformedConfig,
            Self::NoManifest { .. } => Code::NoManifest,
            Self::RefContended { .. } => Code::RefContended,
            Self::NoPart { .. } => Code::NoPart,
            Self::Claim(fault) => fault.code(),
            Self::Lease(fault) => fault.code(),
            Self::Queue(fault) => fault.code(),
            Self::Plan(fault) => fault.code(),
            Self::Fleet(fault) => fault.code(),
            Self::Wait(fault) => fault.code(),
            Self::Setup(fault) => fault.code(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Store(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Id(_) => {
                "an id is 1 to 100 of `A-Z a-z 0-9 . _ -` and begins with a letter or a digit"
                    .to_owned()
            }
            Self::Usage { hint, .. } => hint.clone(),
            Self::NoBus { .. } => "make one with `bus init`".to_owned(),
            Self::Malformed { place, truth, fault, .. } => {
                malformed_hint(place, truth.is_some(), fault)
            }
            Self::MalformedConfig { .. } => BY_HAND.to_owned(),
            Self::NoIdentity => SAY_WHO.to_owned(),
            Self::NoManifest { name, known } => spare_manifest_hint(name, known),
            Self::UnreadableRef { .. } => {
                "set it aside, so that the claim files decide: `bus doctor --fix`".to_owned()
            }
            Self::OddRef { remote, .. } => odd_ref_advice(remote),
            Self::RefContended { .. } => "run the same command again".to_owned(),
            Self::NoPart { name, .. } => no_part_hint(name),
            Self::Claim(fault) => fault.hint(),
            Self::Lease(fault) => fault.hint(),
            Self::Queue(fault) => fault.hint(),
            Self::Plan(fault) => fault.hint(),
            Self::Fleet(fault) => fault.hint(),
            Self::Wait(fault) => fault.hint(),
            Self::Setup(fault) => fault.hint(),
        }
    }

    /// The facts that `--json` shows beside code, message and hint.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        let text = |fact: &dyn ToString| Some(Value::from(fact.to_string()));
        let facts = match self {
            Self::Store(store::Error::CursorInUse { path }) => {
                let name = path.file_name().map(|name| Value::from(name.to_string_lossy()));
                vec![("cursor", name)]
            }
            Self::Malformed { place, line, .. } => {
                vec![("file", text(place)), ("line", Some(Value::from(*line)))]
            }
            Self::NoManifest { name, known } => {
                let known = known.iter().map(|known| Value::from(known.to_string())).collect();
                vec![("manifest", text(name)), ("known", Some(known))]
            }
            Self::MalformedConfig { path, fault } => {
                vec![("file", text(&path.display())), ("line", Some(Value::from(fault.line)))]
            }
            Self::Claim(fault) => fault.facts(),
            Self::Lease(fault) => fault.facts(),
            Self::Queue(fault) => fault.facts(),
            Self::Plan(fault) => fault.facts(),
            Self::Fleet(fault) => fault.facts(),
            Self::Wait(fault) => fault.facts(),
            Self::Setup(fault) => fault.facts(),
            _ => Vec::new(),
        };
        facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
    }

    /// A record `bytes` that breaks its format.
    pub(in crate::bus) fn malformed(
        place: impl ToString,
        bytes: &[u8],
    ) -> impl FnOnce(Fault) -> Self {
        let place = place.to_string();
        move |fault| Self::Malformed { line: fault.line_in(bytes), place, truth: None, fault }
    }

    /// A revision that cannot go up any further.
    pub(in crate::bus) fn worn_out(place: impl ToString) -> Self {
        let fault = Fault::Mistyped {
            field: "revision",
            expected: "below its highest value, 9007199254740991, so it cannot go up",
        };
        Self::Malformed { place: place.to_string(), line: 1, truth: None, fault }
    }

    /// The same, where a ref has the true record of `task`.
    pub(in crate::bus) fn with_truth(self, task: &TaskId) -> Self {
        match self {
            Self::Malformed { place, line, fault, .. } => {
                Self::Malformed { place, line, truth: Some(task.clone()), fault }
            }
            other => other,
        }
    }
}

fn no_part_hint(name: &str) -> String {
    format!(
        "put two lines into it, `<!-- {name} -->` and `<!-- /{name} -->`; what is between them is replaced"
    )
}

fn spare_manifest_hint(name: &ManifestName, known: &[ManifestName]) -> String {
    match known {
        [] => format!(
            "write `{{\"agent_id\": \"ID\"}}` to AGENT_MANIFEST.{name}.json, or say who you are with `--agent ID`"
        ),
        known => format!(
            "name one of these: {}",
            known.iter().map(ManifestName::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Who can do something about a ref of the remote's. No command is spelled out: the name is
/// whatever somebody pushed.
pub(in crate::bus) fn odd_ref_advice(remote: &str) -> String {
    format!(
        "whoever may push to `{remote}` can look at it with `git ls-remote`, and remove it there with `git push --delete`"
    )
}
