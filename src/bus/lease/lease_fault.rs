//! What leasing can refuse, with the facts inside.

use serde_json::Value;

use crate::Code;
use crate::bus::claim::why_free;
use crate::record::{AgentId, LeaseId, Span, Timestamp};

/// How many leases are named in a sentence.
const MAX_NAMED: usize = 10;

/// A lease that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseConflict {
    /// The lease.
    pub lease: LeaseId,
    /// Who holds it.
    pub owner: AgentId,
    /// Its patterns.
    pub patterns: String,
    /// What for.
    pub objective: String,
    /// A path that both could touch.
    pub path: String,
    /// Since when.
    pub since: Timestamp,
    /// When it dies without a heartbeat.
    pub expires_at: Timestamp,
    /// Whether it may be taken over, and why: `stale`, `expired`.
    pub reclaimable: Option<&'static str>,
    /// Whether the caller's own id holds it from another place.
    pub elsewhere: bool,
}

/// Why a lease cannot be had, renewed, given back or taken over.
#[derive(Debug, thiserror::Error)]
pub enum LeaseFault {
    /// Others hold paths that were asked for.
    #[error("{}", held_text(first, others.len(), *now))]
    Held {
        /// The first lease in the way.
        first: Box<LeaseConflict>,
        /// The others.
        others: Vec<LeaseConflict>,
        /// The time of the look.
        now: Timestamp,
    },
    /// The lease is another's.
    #[error("`{lease}` is {owner}'s{}", if *elsewhere { ", in another worktree or clone" } else { "" })]
    NotYours {
        /// The lease.
        lease: LeaseId,
        /// Who holds it.
        owner: AgentId,
        /// Whether that is the caller's own id in another place.
        elsewhere: bool,
    },
    /// The lease shows heartbeats.
    #[error("`{lease}` is alive: {owner} holds `{patterns}` until {expires_at} (last seen {})", ago(*last_seen, *now))]
    Alive {
        /// The lease.
        lease: LeaseId,
        /// Who holds it.
        owner: AgentId,
        /// Its patterns.
        patterns: String,
        /// When it dies without a heartbeat.
        expires_at: Timestamp,
        /// The last sign of its owner's life.
        last_seen: Option<Timestamp>,
        /// The time of the look.
        now: Timestamp,
    },
    /// The caller held the lease, and somebody else has ended it.
    #[error("`{lease}` is no longer yours: {by} ended it at {at}{}", note.as_ref().map_or_else(String::new, |note| format!(": {note}")))]
    Lost {
        /// The lease.
        lease: LeaseId,
        /// Its patterns.
        patterns: String,
        /// Who ended it.
        by: AgentId,
        /// When.
        at: Timestamp,
        /// Why, in that one's words.
        note: Option<String>,
    },
    /// Nobody holds it.
    #[error("nobody holds `{lease}`{}", ended.map_or_else(String::new, |at| format!(": it ended at {at}")))]
    NoLease {
        /// What was asked for.
        lease: LeaseId,
        /// When it ended, where that is known.
        ended: Option<Timestamp>,
    },
    /// The caller holds none here.
    #[error("{agent} holds no lease from here")]
    NoneHeld {
        /// The caller.
        agent: AgentId,
    },
    /// The caller holds several, and named none.
    #[error("{agent} holds {} leases: {}", leases.len(), named(leases))]
    Several {
        /// The caller.
        agent: AgentId,
        /// The leases.
        leases: Vec<LeaseId>,
    },
}

fn held_text(first: &LeaseConflict, others: usize, now: Timestamp) -> String {
    let LeaseConflict { lease, owner, patterns, path, since, objective, .. } = first;
    let more = match others {
        0 => String::new(),
        1 => ", and one more lease conflicts".to_owned(),
        others => format!(", and {others} more leases conflict"),
    };
    let state = first.reclaimable.map_or_else(String::new, |why| format!(", {why}"));
    let whose = if first.elsewhere {
        format!("{owner} in another worktree or clone")
    } else {
        owner.to_string()
    };
    let since = ago(Some(*since), now);
    format!(
        "`{path}` is in `{lease}`: {whose} holds `{patterns}` since {since}{state} ({objective}){more}"
    )
}

fn named(leases: &[LeaseId]) -> String {
    let more = if leases.len() > MAX_NAMED { ", …" } else { "" };
    format!(
        "{}{more}",
        leases.iter().take(MAX_NAMED).map(LeaseId::as_str).collect::<Vec<_>>().join(", ")
    )
}

fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{} ago", Span::new(now.since(time))))
}

impl LeaseFault {
    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Held { .. } | Self::NotYours { .. } => Code::LeaseHeld,
            Self::Alive { .. } => Code::LeaseAlive,
            Self::Lost { .. } => Code::LeaseLost,
            Self::NoLease { .. } | Self::NoneHeld { .. } => Code::NoLease,
            Self::Several { .. } => Code::Usage,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Held { first, .. } => match first.reclaimable {
                Some(why) => format!(
                    "{}: take it over with `bus lock reclaim {} --note WHY`",
                    why_free(why),
                    first.lease
                ),
                None if first.elsewhere => {
                    "work there, or release it there; the same name in two places is two workers".to_owned()
                }
                None => format!(
                    "choose other paths, exclude these with `--deny`, ask for them: `bus message send --to {} --type request --summary WHY`, or wait: the lease expires at {}",
                    first.owner, first.expires_at
                ),
            },
            Self::NotYours { elsewhere: true, .. } => {
                "run this where it was taken; `bus lock list` shows which lease is where".to_owned()
            }
            Self::NotYours { lease, .. } => {
                format!("`bus lock show {lease}` shows its state; a stale or expired lease can be taken over")
            }
            Self::Alive { lease, .. } => format!(
                "wait until it is expired, or ask its owner to release it; a manager may add `--force` to `bus lock reclaim {lease} --note WHY`"
            ),
            Self::Lost { .. } => {
                "stop work on these paths and keep what you have on a branch; `bus lock list` shows who has them now".to_owned()
            }
            Self::NoLease { .. } | Self::NoneHeld { .. } => {
                "`bus lock list` shows what there is; take one with `bus lock acquire`".to_owned()
            }
            Self::Several { .. } => "name one, or say `--all`".to_owned(),
        }
    }

    /// The facts, for programs.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        let text = |fact: &dyn ToString| Some(Value::from(fact.to_string()));
        match self {
            Self::Held { first, others, .. } => {
                let all = [&**first].into_iter().chain(others).map(conflict_json).collect();
                vec![
                    ("lock_id", text(&first.lease)),
                    ("owner", text(&first.owner)),
                    ("path", text(&first.path)),
                    ("expires_at", text(&first.expires_at)),
                    ("reclaimable", first.reclaimable.map(Value::from)),
                    ("conflicts", Some(Value::Array(all))),
                ]
            }
            Self::NotYours { lease, owner, .. } => {
                vec![("lock_id", text(lease)), ("owner", text(owner))]
            }
            Self::Alive { lease, owner, expires_at, last_seen, .. } => vec![
                ("lock_id", text(lease)),
                ("owner", text(owner)),
                ("expires_at", text(expires_at)),
                ("last_seen", last_seen.as_ref().and_then(|seen| text(seen))),
            ],
            Self::Lost { lease, by, at, note, .. } => vec![
                ("lock_id", text(lease)),
                ("lost_to", text(by)),
                ("lost_at", text(at)),
                ("note", note.as_ref().and_then(|note| text(note))),
            ],
            Self::NoLease { lease, ended } => {
                vec![("lock_id", text(lease)), ("ended_at", ended.as_ref().and_then(|at| text(at)))]
            }
            Self::NoneHeld { .. } => Vec::new(),
            Self::Several { leases, .. } => {
                vec![(
                    "locks",
                    Some(leases.iter().map(|lock| Value::from(lock.as_str())).collect()),
                )]
            }
        }
    }
}

fn conflict_json(lease: &LeaseConflict) -> Value {
    let text = |fact: &dyn ToString| Value::from(fact.to_string());
    let fields = [
        ("lock_id", text(&lease.lease)),
        ("owner", text(&lease.owner)),
        ("path", text(&lease.path)),
        ("patterns", text(&lease.patterns)),
        ("objective", text(&lease.objective)),
        ("start_time", text(&lease.since)),
        ("expires_at", text(&lease.expires_at)),
        ("reclaimable", lease.reclaimable.map_or(Value::Null, Value::from)),
    ];
    Value::Object(fields.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect())
}
