//! Receipts: the paths of what proves some work, and the SHA-256 of each as it was when it was
//! named.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::Fault;
use super::fields::{Fields, Taken};
use super::json::Object;

/// The SHA-256 of a file, written as 64 digits of `0-9a-f`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The sum whose bytes these are.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A text that is no SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 digits of `0-9a-f`")]
pub struct Sha256Fault;

impl FromStr for Sha256 {
    type Err = Sha256Fault;

    fn from_str(text: &str) -> Result<Self, Sha256Fault> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(Sha256Fault),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs
            .iter()
            .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
            .collect::<Result<Vec<u8>, _>>()?;
        if rest.is_empty() {
            bytes.try_into().map(Self).map_err(|_| Sha256Fault)
        } else {
            Err(Sha256Fault)
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What proves a step, or a plan: `receipts` and `receipt_hashes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Paths of files, below the repository's root, with `/` between folders.
    pub paths: Vec<String>,
    /// What those files were when they were named, as far as that was noted.
    pub hashes: BTreeMap<String, Sha256>,
}

impl Receipts {
    /// Whether nothing is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Names a receipt, which has this sum now. One that is named already gets it if it had none; a
    /// sum that stands is kept, so that a file that was changed later does not become right by
    /// being named again.
    pub fn add(&mut self, path: &str, hash: Sha256) {
        if !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
        self.hashes.entry(path.to_owned()).or_insert(hash);
    }

    /// The paths that have a sum and are not named.
    pub fn unlisted(&self) -> impl Iterator<Item = &str> {
        let named: HashSet<&str> = self.paths.iter().map(String::as_str).collect();
        self.hashes.keys().map(String::as_str).filter(move |path| !named.contains(path))
    }

    pub(super) fn read(fields: &mut Fields) -> Taken<Self> {
        let paths = fields.texts("receipts");
        let hashes = read_hashes(fields.rest.remove("receipt_hashes"));
        let hashes = fields.note(hashes);
        Some(Self { paths: paths?, hashes: hashes? })
    }

    pub(super) fn put(&self, object: &mut Object) {
        object.insert("receipts".to_owned(), Value::from(self.paths.clone()));
        if !self.hashes.is_empty() {
            let hashes = self
                .hashes
                .iter()
                .map(|(path, hash)| (path.clone(), Value::from(hash.to_string())))
                .collect();
            object.insert("receipt_hashes".to_owned(), Value::Object(hashes));
        }
    }
}

fn read_hashes(value: Option<Value>) -> Result<BTreeMap<String, Sha256>, Fault> {
    let fault = || Fault::Mistyped {
        field: "receipt_hashes",
        expected: "an object of paths, each with 64 digits of `0-9a-f`",
    };
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(hashes)) => {
            let read = |(path, hash): (String, Value)| Some((path, hash.as_str()?.parse().ok()?));
            hashes.into_iter().map(|entry| read(entry).ok_or_else(fault)).collect()
        }
        Some(_) => Err(fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_64_small_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<Sha256>().unwrap().to_string(), text);
        for bad in [
            "",
            &text[1..],
            &format!("{text}0"),
            &format!("{text}00"),
            &text.to_uppercase(),
            &"é".repeat(32),
        ] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sum_that_stands_is_kept() {
        let mut receipts = Receipts { paths: vec!["a".to_owned()], ..Receipts::default() };
        let (one, other) = (Sha256([1; 32]), Sha256([2; 32]));
        for (path, hash) in [("a", one), ("a", other), ("b", other)] {
            receipts.add(path, hash);
        }
        assert_eq!(receipts.paths, ["a", "b"]);
        assert_eq!((receipts.hashes["a"], receipts.hashes["b"]), (one, other));
        receipts.paths.remove(0);
        assert_eq!(receipts.unlisted().collect::<Vec<_>>(), ["a"]);
    }
}
