//! A pattern of paths, as people write it.

use std::fmt;
use std::str::FromStr;

use super::glob::Glob;
use super::{Fold, PatternFault, parse};

/// How many bytes a pattern has at most.
pub const MAX_PATTERN: usize = 1024;

/// A pattern of paths in the manner of git-ignore, from the root of the repository.
///
/// | pattern | matches |
/// |---|---|
/// | `src/app.rs` | that path, and all below it, should it be a folder; so does every pattern whose last name has no wildcard |
/// | `docs/` | all below the folder |
/// | `src/**` | all below `src`; `**` alone: everything |
/// | `*.toml` | at the root only: a pattern does not float, as one of git-ignore without a `/` does |
/// | `**/*.toml`, `a/**/b` | at any depth, none too |
/// | `src/tui/*` | what is in the folder itself, and nothing deeper |
/// | `?`, `[a-z]`, `[!a-z]` | one character, one of these, one of the others; no wildcard but `**` matches a `/` |
/// | `{a,b}` | either, with slashes and wildcards in them, too |
/// | `\*` | the character itself: before one of `*?[]{},!\` |
///
/// A pattern has at most 16 wildcards, in each reading of its alternatives; a row of `?` counts as
/// one.
///
/// A first `/` or `./` is left out. A name may begin with a dot, and wildcards match the dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    globs: Vec<Glob>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternFault`]: what is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let globs = parse::globs(text)?;
        let text = text.strip_prefix("./").or_else(|| text.strip_prefix('/')).unwrap_or(text);
        Ok(Self { text: text.to_owned(), globs })
    }

    /// The pattern as it was written, without a first `/` or `./`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches a path of the repository.
    #[must_use]
    pub fn matches(&self, path: &str, fold: Fold) -> bool {
        self.globs.iter().any(|glob| glob.matches(path, fold))
    }

    /// What the pattern comes to when each of its alternatives is written out.
    pub(super) fn globs(&self) -> &[Glob] {
        &self.globs
    }
}

impl FromStr for Pattern {
    type Err = PatternFault;

    fn from_str(text: &str) -> Result<Self, PatternFault> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_people_expect() {
        for (pattern, hits, misses) in [
            ("src/app.rs", "src/app.rs src/app.rs/x", "src/app.rst app.rs a/src/app.rs src"),
            ("docs/", "docs/a docs/a/b", "docs docsa x/docs/a"),
            ("src/**", "src/a src/a/b src/.a", "src srca/b a/src/b"),
            ("**", "a a/b .a", ""),
            ("*.toml", "Cargo.toml .toml", "a/Cargo.toml Cargo.toml/x Cargo.tom"),
            ("**/*.toml", "Cargo.toml a/Cargo.toml a/b/.toml", "a/toml x.toml/a"),
            ("src/tui/*", "src/tui/a src/tui/.b", "src/tui src/tui/a/b"),
            ("a/**/b", "a/b a/x/b a/x/y/b a/b/c a/a/b", "a/xb ab b a/x/y"),
            ("**/b", "b a/b a/b/c b/x", "ab a/bc"),
            ("**/a/**", "a/b x/a/b", "a x/a b/c"),
            ("a/**/**/b/**/**", "a/b/c a/x/b/c", "a/b"),
            ("a?c", "abc a.c aéc", "ac abbc a/c"),
            ("[a-c][!x]", "ay cé", "ax dy a b/ a/"),
            ("[]a][!]a]", "]b ac", "b] ]]"),
            ("[^a][a-]", "b- ba", "a- bb"),
            ("[\\]\\\\-]", "] - \\", "a"),
            ("{a,b/{c,d*}}/e", "a/e b/c/e b/dd/e", "b/e a/c/e b/x/e"),
            ("a{,b}.c", "a.c ab.c", "a,b.c abb.c"),
            ("{,a/}b", "b a/b", "ab"),
            ("a/{**,b}", "a/b a/c/d", "a"),
            ("{*,a}*b", "b ab xyb", "a x/b"),
            ("\\{a\\,b\\}\\*\\?\\[\\]\\\\\\!", "{a,b}*?[]\\!", "a"),
            ("a,b", "a,b", "a b"),
            ("./a/b", "a/b", "x/a/b"),
            ("/a/b/", "a/b/c", "a/b"),
            ("#a", "#a", "a"),
            ("*/a", "b/a b/a/c", "a b/b/a"),
            ("*a*b*", "ab xaxbx aab", "ba a/b axx"),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            for path in hits.split_whitespace() {
                assert!(
                    parsed.matches(path, Fold::Off) && parsed.matches(path, Fold::On),
                    "{pattern} matches {path}"
                );
            }
            for path in misses.split_whitespace() {
                assert!(
                    !parsed.matches(path, Fold::Off) && !parsed.matches(path, Fold::On),
                    "{pattern} misses {path}"
                );
            }
        }
        assert_eq!(Pattern::parse("./a/{b,c}").unwrap().to_string(), "a/{b,c}");
        assert_eq!(Pattern::parse("/a").unwrap().as_str(), "a");
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (text, word) in [
            ("", "`**` for everything"),
            ("/", "`**` for everything"),
            (".", "`**` for everything"),
            ("./", "`**` for everything"),
            ("{,a}", "`**` for everything"),
            (&"a".repeat(MAX_PATTERN + 1), "1025 bytes"),
            (&"{a,b}".repeat(10), "too many"),
            (&"{".repeat(500), "nested"),
            ("a\nb", "U+000A"),
            ("a\0b", "U+0000"),
            ("a\u{202e}b", "U+202E"),
            (" a", "blank"),
            ("a ", "blank"),
            ("!src", "denied"),
            ("../a", "`..`"),
            ("a/../b", "`..`"),
            ("{a,..}/b", "`..`"),
            ("C:/x", "drive"),
            ("a//b", "one `/`"),
            ("a/./b", "one `/`"),
            ("//a", "one `/`"),
            ("a/{,b}/c", "one `/`"),
            (".git/config", "within `.git`"),
            ("a/.GIT", "within `.git`"),
            ("a**b", "`**` must be alone"),
            ("**b", "`**` must be alone"),
            ("a/***", "`**` must be alone"),
            ("a{**,b}", "`**` must be alone"),
            ("a/**/", "last `/`"),
            ("a[b", "without the other"),
            ("a[]", "without the other"),
            ("a]b", "without the other"),
            ("a[b/]", "matches a `/`"),
            ("[[:alpha:]]", "a-z"),
            ("[z-a]", "ends before"),
            ("a{b", "without the other"),
            ("a}b", "without the other"),
            ("src\\app", "`/` between names"),
            ("a\\", "`/` between names"),
            ("[a\\", "without the other"),
            ("[.]", "can match no path"),
            ("a/[.][.]/b", "can match no path"),
            (".[g]it", "can match no path"),
        ] {
            let fault = Pattern::parse(text).unwrap_err().to_string();
            assert!(fault.contains(word), "{text:?}: {fault}");
        }
        for good in ["...", "a/.gitignore", ".gitmodules", ".?", "[.]*", "a b", "~", "a:b", "c:"] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
    }
}
