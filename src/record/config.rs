//! `config.toml`: the policy of a bus.

use std::time::Duration;

use serde::Deserialize;

use super::{AgentId, Fleet, LeasePolicy, Pattern, Require, Span};

/// How long a claim may go without a heartbeat, if nothing else is said (docs/design.md, section
/// 3).
const STALE_AFTER: Span = Span::new(Duration::from_secs(6 * 3600));

/// Which file of the log an event goes to (docs/design.md, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventLayout {
    /// All events in `events.jsonl`.
    #[default]
    Single,
    /// Each agent's in `<agent_id>.jsonl`.
    PerAgent,
}

/// Where the records of a bus are kept (docs/design.md, section 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Beside the branches, in the clone's own log of record alone.
    Untracked,
    /// In files of the branches, too.
    Tracked,
}

impl Records {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untracked => "untracked",
            Self::Tracked => "tracked",
        }
    }
}

/// The policy; what is not said has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether a task without an assignment may not be claimed.
    pub require_assignment: bool,
    /// How long a claim lives without a heartbeat; for ever where none is set.
    pub ttl: Option<Span>,
    /// How long a claim may go without a heartbeat before it counts as stale.
    pub stale_after: Span,
    /// Which file of the log an event goes to.
    pub layout: EventLayout,
    /// Who may change other agents' records on a branch of their own; everybody else is refused
    /// (docs/design.md, section 5).
    pub managers: Vec<AgentId>,
    /// Where the records are kept; `None` in a bus of version 0.1 or of an older tool, which says
    /// nothing about it.
    pub records: Option<Records>,
    /// Which paths may be changed only under a lease.
    pub leases: LeasePolicy,
    /// Whether a branch of an agent fails in CI if the agent has no claim that names it (design,
    /// section 1.5).
    pub claims_required: bool,
    /// The fleet that every clone with this policy belongs to.
    pub fleet: Option<Fleet>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            require_assignment: false,
            ttl: None,
            stale_after: STALE_AFTER,
            layout: EventLayout::default(),
            managers: Vec::new(),
            records: None,
            leases: LeasePolicy::default(),
            claims_required: false,
            fleet: None,
        }
    }
}

/// Why a text is no `config.toml`; `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ConfigFault {
    /// What is wrong, in one line.
    pub what: String,
    /// Line, from 1.
    pub line: usize,
}

// An unknown key is refused: a policy that is misspelled would else silently not hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    require_assignment: bool,
    #[serde(default)]
    managers: Vec<Manager>,
    #[serde(default)]
    claims: Claims,
    #[serde(default)]
    events: Events,
    records: Option<RecordsSection>,
    #[serde(default)]
    locks: Locks,
    #[serde(default)]
    ci: Ci,
    fleet: Option<Fleet>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    ttl: Option<Length>,
    stale_after: Option<Length>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    #[serde(default)]
    layout: EventLayout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsSection {
    tracked: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Locks {
    #[serde(default)]
    require: Require,
    #[serde(default)]
    hotspots: Vec<Hotspot>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ci {
    #[serde(default)]
    claims: ClaimsInCi,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ClaimsInCi {
    #[default]
    Warn,
    Required,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hotspot(Pattern);

impl TryFrom<String> for Hotspot {
    type Error = super::PatternFault;

    fn try_from(text: String) -> Result<Self, super::PatternFault> {
        Pattern::parse(&text).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Manager(AgentId);

impl TryFrom<String> for Manager {
    type Error = super::IdFault;

    fn try_from(text: String) -> Result<Self, super::IdFault> {
        AgentId::new(text).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Length(Span);

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span: Span = text.parse().map_err(|fault: super::SpanFault| fault.to_string())?;
        if span.get() < Duration::from_secs(1) {
            return Err(format!("`{text}` is too short: times have whole seconds"));
        }
        Ok(Self(span))
    }
}

impl Config {
    /// Reads the text of a `config.toml`.
    ///
    /// # Errors
    ///
    /// [`ConfigFault`] if the text is no TOML, or has a key or a value that means nothing.
    pub fn parse(text: &str) -> Result<Self, ConfigFault> {
        let document: Document = toml::from_str(text).map_err(|error| ConfigFault {
            what: error.message().lines().collect::<Vec<_>>().join("; "),
            line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
        })?;
        Ok(Self {
            require_assignment: document.require_assignment,
            ttl: document.claims.ttl.map(|length| length.0),
            stale_after: document.claims.stale_after.map_or(STALE_AFTER, |length| length.0),
            layout: document.events.layout,
            managers: document.managers.into_iter().map(|manager| manager.0).collect(),
            records: document
                .records
                .map(|records| if records.tracked { Records::Tracked } else { Records::Untracked }),
            leases: LeasePolicy {
                require: document.locks.require,
                hotspots: document.locks.hotspots.into_iter().map(|hotspot| hotspot.0).collect(),
            },
            claims_required: document.ci.claims == ClaimsInCi::Required,
            fleet: document.fleet,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_optional() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        let config = Config::parse(
            "require_assignment = true\n[claims]\nttl = \"4h\"\n[events]\nlayout = \"per-agent\"\n",
        )
        .unwrap();
        assert_eq!((config.require_assignment, config.layout), (true, EventLayout::PerAgent));
        assert_eq!(config.ttl, Some("4h".parse().unwrap()));
        assert_eq!(config.stale_after, STALE_AFTER);
        let records = |text: &str| Config::parse(text).unwrap().records;
        assert_eq!(records("[records]\ntracked = false\n"), Some(Records::Untracked));
        assert_eq!(
            (records("[records]\ntracked = true\n"), records("")),
            (Some(Records::Tracked), None)
        );
        let config =
            Config::parse("[locks]\nrequire = \"hotspots\"\nhotspots = [\"*.toml\"]\n").unwrap();
        assert_eq!(
            (config.leases.require, config.leases.hotspots[0].as_str()),
            (Require::Hotspots, "*.toml")
        );
        let required = |text: &str| Config::parse(text).unwrap().claims_required;
        assert!(
            required("[ci]\nclaims = \"required\"\n")
                && !required("[ci]\nclaims = \"warn\"\n")
                && !required("[ci]\n")
        );
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_line() {
        for (text, line, word) in [
            ("require_asignment = true", 1, "require_asignment"),
            ("\n[claims]\nttl = \"soon\"", 3, "soon"),
            ("[claims]\nttl = \"1ms\"", 2, "too short"),
            ("[events]\nlayout = \"both\"", 2, "both"),
            ("managers = [\"lead\", \"../x\"]", 1, "agent id"),
            ("[locks]\nrequire = \"some\"", 2, "some"),
            ("[locks]\nhotspots = [\"src/**\", \"!x\"]", 2, "begins with `!`"),
            ("[ci]\nclaims = \"yes\"", 2, "yes"),
            ("[records]", 1, "tracked"),
            ("[records]\ntracked = \"yes\"", 2, "boolean"),
            ("\n\n[claims", 3, ""),
            ("[fleet]\nremote = \"origin\"", 1, "id"),
            ("[fleet]\nremote = \"-o\"\nid = \"0123456789ab\"", 1, "remote"),
            ("[fleet]\nremote = \"o\"\nid = \"../x\"", 1, "fleet"),
            (
                "[fleet]\nremote = \"o\"\nid = \"0123456789ab\"\nprefix = \"refs/heads/\"",
                1,
                "prefix",
            ),
        ] {
            let fault = Config::parse(text).unwrap_err();
            assert_eq!(fault.line, line, "{fault:?}");
            assert!(fault.what.contains(word), "{fault:?}");
        }
    }
}
