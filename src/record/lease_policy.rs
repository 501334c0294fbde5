//! Which paths may be changed only under a lease: `[locks]` of `config.toml`.

use serde::Deserialize;

use super::{Fold, Pattern};

/// For which paths a lease is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// For none: a lease keeps others out, and that is all.
    #[default]
    Off,
    /// For those that the policy names.
    Hotspots,
    /// For all.
    All,
}

/// For which paths an agent needs a lease of its own. The bus's own files never need one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeasePolicy {
    /// For which.
    pub require: Require,
    /// The paths that many would like to change at once.
    pub hotspots: Vec<Pattern>,
}

/// Why a path needs a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// It is a hotspot, by this pattern.
    Hotspot(String),
    /// All paths do.
    All,
}

impl LeasePolicy {
    /// Why a path may be changed only under a lease, where it is so.
    #[must_use]
    pub fn needed(&self, path: &str, fold: Fold) -> Option<Needed> {
        match self.require {
            Require::Off => None,
            Require::Hotspots => {
                let hotspot = self.hotspots.iter().find(|hotspot| hotspot.matches(path, fold))?;
                Some(Needed::Hotspot(hotspot.to_string()))
            }
            Require::All => Some(Needed::All),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_what_needs_a_lease() {
        let hotspots = vec!["Cargo.*".parse().unwrap(), "db/".parse().unwrap()];
        let policy = |require| LeasePolicy { require, hotspots: hotspots.clone() };
        let needed = |require, path| policy(require).needed(path, Fold::Off);
        assert_eq!(needed(Require::Off, "Cargo.toml"), None);
        assert_eq!(needed(Require::Hotspots, "db/x/y"), Some(Needed::Hotspot("db/".to_owned())));
        assert_eq!(needed(Require::Hotspots, "src/Cargo.toml"), None);
        assert_eq!(needed(Require::All, "src/Cargo.toml"), Some(Needed::All));
    }
}
