//! Hashes of lines, by a secret that makes them unforeseeable to who writes hostile ones.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::io::Read;

use siphasher::sip::SipHasher13;

/// What a blank line is, which is no line of the log.
pub(super) const BLANK: u64 = 0;

/// Makes the hashes of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret([u64; 2]);

impl Secret {
    pub(super) fn random() -> Self {
        let random = || RandomState::new().hash_one(0);
        Self([random(), random()])
    }

    /// The hash of a line, without its newline; never [`BLANK`] but for a blank one.
    pub(super) fn line(self, line: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(line);
        finish(&hasher, line.trim_ascii().is_empty())
    }

    /// The hash of a word.
    pub(super) fn word(self, word: &str) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(word.as_bytes());
        hasher.finish()
    }

    /// The hash of each line of a text that is read, in order.
    pub(super) fn lines(self, mut text: impl Read) -> io::Result<Vec<u64>> {
        let mut hashes = Vec::new();
        let mut buffer = vec![0; 256 * 1024];
        let (mut hasher, mut blank, mut open) = (self.hasher(), true, false);
        loop {
            let read = text.read(&mut buffer)?;
            if read == 0 {
                hashes.extend(open.then(|| finish(&hasher, blank)));
                return Ok(hashes);
            }
            for piece in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
                let bytes = piece.strip_suffix(b"\n").unwrap_or(piece);
                hasher.write(bytes);
                blank &= bytes.trim_ascii().is_empty();
                open = bytes.len() == piece.len();
                if !open {
                    hashes.push(finish(&hasher, blank));
                    (hasher, blank) = (self.hasher(), true);
                }
            }
        }
    }

    fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

fn finish(hasher: &SipHasher13, blank: bool) -> u64 {
    if blank { BLANK } else { hasher.finish().max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn lines_have_the_same_hashes_however_they_are_read() {
        let secret = Secret::random();
        for text in ["", "a", "a\n", "a\nb", "\n\na \n", " \nlonger line\n\n"] {
            let expected: Vec<u64> =
                text.lines().map(|line| secret.line(line.as_bytes())).collect();
            assert_eq!(secret.lines(text.as_bytes()).unwrap(), expected, "{text:?}");
            assert_eq!(secret.lines(Drip(text.as_bytes())).unwrap(), expected, "{text:?}");
        }
        assert_eq!(secret.lines("\n \na".as_bytes()).unwrap()[..2], [BLANK, BLANK]);
    }
}
