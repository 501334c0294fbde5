//! Which lines of the log were seen already: the same id, or without ids the same bytes (design,
//! section 4).

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hasher, RandomState};

use serde::Deserialize;
use siphasher::sip::SipHasher13;

/// Makes hashes of lines, by a secret that makes them unforeseeable to who writes hostile ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namer {
    pub(super) keys: [u64; 2],
}

/// A hash of a line's name and one of its bytes.
pub(super) type Hashes = (u64, u64);

/// How many bytes two hashes, or the two keys of a [`Namer`], take in a file.
pub(super) const RECORD: usize = 16;

/// Two hashes as they stand in a file.
pub(super) fn record((name, content): Hashes) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(&name.to_le_bytes());
    bytes[8..].copy_from_slice(&content.to_le_bytes());
    bytes
}

/// The two hashes that `bytes`, which are [`RECORD`] many, stand for.
pub(super) fn hashes(bytes: &[u8]) -> Hashes {
    let half = |from: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[from + index]));
    (half(0), half(8))
}

impl Namer {
    pub(super) fn random() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self { keys: [random(), random()] }
    }

    pub(super) fn hashes(&self, line: &[u8]) -> Hashes {
        let id = serde_json::from_slice::<Named>(line)
            .ok()
            .and_then(|named| named.id)
            .filter(|id| !id.is_empty());
        (self.name(id.as_deref(), line), self.hash(line))
    }

    /// The hash of what a line is known by: its id, or else its bytes.
    pub(super) fn name(&self, id: Option<&str>, line: &[u8]) -> u64 {
        self.hash(id.map_or(line, str::as_bytes))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.keys[0], self.keys[1]);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not seen before.
    New,
    /// It was seen.
    Seen,
    /// Another line has the same id and says something else.
    Clash,
}

/// The lines that were seen: of each 16 bytes.
///
/// Two of a million lines have the same 64-bit hash with a chance of 3 in 100 million.
#[derive(Debug)]
pub(super) struct Known {
    namer: Namer,
    lines: HashMap<u64, u64>,
}

impl Known {
    /// Knows nothing yet.
    pub(super) fn new() -> Self {
        Self::of(Namer::random(), [])
    }

    /// Knows these lines.
    pub(super) fn of(namer: Namer, lines: impl IntoIterator<Item = Hashes>) -> Self {
        let mut known = Self { namer, lines: HashMap::new() };
        for (name, content) in lines {
            known.lines.entry(name).or_insert(content);
        }
        known
    }

    pub(super) const fn namer(&self) -> Namer {
        self.namer
    }

    /// All lines that were seen.
    pub(super) fn lines(&self) -> impl Iterator<Item = Hashes> {
        self.lines.iter().map(|(name, content)| (*name, *content))
    }

    /// Remembers `line`, and says whether it was known.
    pub(super) fn see(&mut self, line: &[u8]) -> Verdict {
        let (name, content) = self.namer.hashes(line);
        match self.lines.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(content);
                Verdict::New
            }
            Entry::Occupied(known) if *known.get() == content => Verdict::Seen,
            // The line itself is remembered by its bytes, so that it is called a clash once.
            Entry::Occupied(_) => match self.lines.insert(content, content) {
                Some(known) if known == content => Verdict::Seen,
                _ => Verdict::Clash,
            },
        }
    }

    /// Whether this very line was seen.
    pub(super) fn has(&self, line: &[u8]) -> bool {
        let (name, content) = self.namer.hashes(line);
        [name, content].iter().any(|name| self.lines.get(name) == Some(&content))
    }
}

/// The one field of a line that names it.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_id_or_else_by_its_bytes() {
        let mut known = Known::new();
        let lines: [(&str, Verdict); 11] = [
            (r#"{"id":"1","summary":"a"}"#, Verdict::New),
            (r#"{"id":"1","summary":"a"}"#, Verdict::Seen),
            (r#"{"id":"1","summary":"b"}"#, Verdict::Clash),
            (r#"{"id":"1","summary":"b"}"#, Verdict::Seen),
            (r#"{"id":"1","summary":"a"}"#, Verdict::Seen),
            (r#"{"meta":{"id":"1"},"summary":"\"id\":\"1\""}"#, Verdict::New),
            (r#"{"id":"","summary":"a"}"#, Verdict::New),
            (r#"{"id":"","summary":"b"}"#, Verdict::New),
            (r#"{"id":"\u0031","summary":"a"}"#, Verdict::Clash),
            ("rubbish", Verdict::New),
            ("rubbish", Verdict::Seen),
        ];
        for (line, verdict) in lines {
            assert_eq!(known.see(line.as_bytes()), verdict, "{line}");
        }
    }
}
