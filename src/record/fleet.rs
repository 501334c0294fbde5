//! Which fleet a clone belongs to (docs/design.md, section 3, *Fleet*): `[fleet]` in `config.toml`,
//! and this clone's own note of it.

use serde::Deserialize;
use serde_json::Value;

use super::json::Object;
use super::{Fault, json};

/// Where the refs of the bus stand on the remote, if nothing else is said.
pub const OWN_PREFIX: &str = "refs/bus/";

/// Where they stand on hosts that take nothing but branches.
pub const BRANCH_PREFIX: &str = "refs/heads/bus/";

/// How many characters an id has.
const ID_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// What `config.toml` says of the section.
const SAYS: &str = "\
# Written by `bus init --remote`: the remote that decides who owns what among all clones, and the fleet's id.
";

/// All clones that share a remote and this id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Fleet {
    /// What the clones call the remote: `origin`.
    pub remote: String,
    /// The fleet's random id.
    pub id: String,
    /// Where the refs of the bus stand on the remote: [`OWN_PREFIX`] or [`BRANCH_PREFIX`].
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    remote: String,
    id: String,
    #[serde(default)]
    prefix: Option<String>,
}

impl TryFrom<Raw> for Fleet {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        Self::new(raw.remote, raw.id, raw.prefix.unwrap_or_else(|| OWN_PREFIX.to_owned()))
    }
}

impl Fleet {
    /// Whether it is the same fleet, at the same place of a remote; clones may call that otherwise.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.id, &self.prefix) == (&other.id, &other.prefix)
    }

    /// A fleet with a new id, over a remote.
    ///
    /// # Errors
    ///
    /// As [`Fleet::new`].
    pub fn found(remote: &str, prefix: &str) -> Result<Self, String> {
        // The random end of a UUID.
        let id = uuid::Uuid::now_v7().simple().to_string().split_off(16);
        Self::new(remote.to_owned(), id, prefix.to_owned())
    }

    /// The fleet of these facts.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them, in words.
    pub fn new(remote: String, id: String, prefix: String) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        let is_name = !remote.starts_with(['-', '.', '/'])
            && !remote.ends_with(['.', '/'])
            && !remote.contains("..");
        if remote.is_empty() || remote.len() > 100 || !is_name || !remote.chars().all(good) {
            return Err(format!("`{remote}` is no name of a remote"));
        }
        if !ID_LENGTH.contains(&id.len())
            || !id.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
        {
            return Err(format!("`{id}` is no id of a fleet: it has 8 to 64 of `0-9 a-z`"));
        }
        if prefix != OWN_PREFIX && prefix != BRANCH_PREFIX {
            return Err(format!(
                "`{prefix}` is no prefix: it is `{OWN_PREFIX}` or `{BRANCH_PREFIX}`"
            ));
        }
        Ok(Self { remote, id, prefix })
    }

    /// Reads a clone's own note.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no note.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let object = json::parse_record(bytes)?;
        let text = |field: &'static str| match object.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Fault::Mistyped { field, expected: "a text" }),
            None => Err(Fault::Missing(field)),
        };
        let fleet = Self::new(text("remote")?, text("id")?, text("prefix")?);
        fleet.map_err(|_| Fault::Mistyped {
            field: "id",
            expected: "with remote and prefix, a fleet as `bus init --remote` notes it",
        })
    }

    /// The bytes of a clone's own note.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let facts = [("id", &self.id), ("prefix", &self.prefix), ("remote", &self.remote)];
        let object: Object = facts
            .map(|(field, text)| (field.to_owned(), Value::from(text.as_str())))
            .into_iter()
            .collect();
        json::pretty(&object).into_bytes()
    }

    /// The section of `config.toml` that says so.
    #[must_use]
    pub fn section(&self) -> String {
        let prefix = if self.prefix == OWN_PREFIX {
            String::new()
        } else {
            format!("prefix = \"{}\"\n", self.prefix)
        };
        format!("[fleet]\n{SAYS}remote = \"{}\"\nid = \"{}\"\n{prefix}", self.remote, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Config;

    #[test]
    fn a_fleet_says_the_same_in_the_policy_and_in_the_note() {
        for prefix in [OWN_PREFIX, BRANCH_PREFIX] {
            let fleet = Fleet::found("origin", prefix).unwrap();
            assert_eq!(Config::parse(&fleet.section()).unwrap().fleet.as_ref(), Some(&fleet));
            assert_eq!(Fleet::parse(&fleet.to_bytes()).unwrap(), fleet);
        }
        assert_ne!(Fleet::found("origin", OWN_PREFIX), Fleet::found("origin", OWN_PREFIX));
    }

    #[test]
    fn what_is_no_fleet_is_refused() {
        for bytes in [
            "{}",
            "[]",
            r#"{"id":1,"remote":"o","prefix":"refs/bus/"}"#,
            r#"{"id":"0123456789","remote":"--x","prefix":"refs/bus/"}"#,
        ] {
            assert!(Fleet::parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
