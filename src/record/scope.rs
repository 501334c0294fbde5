//! Sets of paths of a repository, written as patterns; whether a path is in one, and whether two
//! can share a path.

mod automaton;
mod chars;
mod fault;
mod glob;
mod index;
mod parse;
mod pattern;
#[cfg(test)]
mod property;

pub use automaton::{Budget, Spent};
pub use chars::Fold;
pub use fault::PatternFault;
pub use index::ScopeIndex;
pub use pattern::{MAX_PATTERN, Pattern};

/// How much two scopes are compared at most, if nobody says otherwise.
const MAX_STEPS: u64 = 4_000_000;

/// The paths that some pattern matches and no denied pattern does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    patterns: Vec<Pattern>,
    deny: Vec<Pattern>,
}

impl Scope {
    /// All that `patterns` match, but for what `deny` matches.
    #[must_use]
    pub fn new(patterns: Vec<Pattern>, deny: Vec<Pattern>) -> Self {
        Self { patterns, deny }
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The patterns of what is left out.
    #[must_use]
    pub fn deny(&self) -> &[Pattern] {
        &self.deny
    }

    /// Whether the path of a repository is in the scope. Bytes that are no UTF-8 are U+FFFD in
    /// `path` ([`String::from_utf8_lossy`]): a `*` or a `?` matches them.
    #[must_use]
    pub fn matches(&self, path: &str, fold: Fold) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path, fold)) && !self.denies(path, fold)
    }

    fn denies(&self, path: &str, fold: Fold) -> bool {
        self.deny.iter().any(|pattern| pattern.matches(path, fold))
    }

    /// A path that both scopes match, a short one, where there can be any; the same in both
    /// directions.
    ///
    /// The answer is exact, whether or not the path exists. Only where denied patterns are so
    /// entangled that they cannot be told apart within a bounded search are they left out: then it
    /// errs on the side of sharing.
    #[must_use]
    pub fn overlap(&self, other: &Self, fold: Fold) -> Option<String> {
        // What cannot be told is taken for shared: both patterns stand in the answer.
        let told = self.overlap_within(other, fold, &mut Budget::new(MAX_STEPS));
        told.unwrap_or_else(|Spent| {
            self.patterns.first().map(|pattern| pattern.as_str().to_owned())
        })
    }

    /// The same, as far as it can be told within `budget`.
    ///
    /// # Errors
    ///
    /// [`Spent`] if it cannot.
    pub fn overlap_within(
        &self,
        other: &Self,
        fold: Fold,
        budget: &mut Budget,
    ) -> Result<Option<String>, Spent> {
        // In one order, so that both directions find the same example.
        let (one, two) = if self.texts().le(other.texts()) { (self, other) } else { (other, self) };
        let deny = one.deny.iter().chain(&two.deny).flat_map(Pattern::globs);
        let deny: Vec<&glob::Glob> = deny.collect();
        for a in one.patterns.iter().flat_map(Pattern::globs) {
            for b in two.patterns.iter().flat_map(Pattern::globs) {
                if let Some(path) = automaton::shared_path(a, b, &deny, fold, budget)? {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// A path in the scope, or `None` if all that the patterns match is denied.
    #[must_use]
    pub fn example(&self, fold: Fold) -> Option<String> {
        self.overlap(self, fold)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().chain(&self.deny).map(Pattern::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &str) -> Vec<Pattern> {
        texts.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    /// `src/** docs/ - src/gen/`: the patterns, and after the dash what is denied.
    fn scope(text: &str) -> Scope {
        let (wanted, deny) = text.split_once(" - ").unwrap_or((text, ""));
        Scope::new(patterns(wanted), patterns(deny))
    }

    #[track_caller]
    fn example(one: &str, two: &str, fold: Fold) -> Option<String> {
        let (one, two) = (scope(one), scope(two));
        let found = one.overlap(&two, fold);
        assert_eq!(found, two.overlap(&one, fold), "symmetric");
        if let Some(path) = &found {
            assert!(one.matches(path, fold) && two.matches(path, fold), "{path}");
        }
        found
    }

    #[test]
    fn scopes_that_share_a_path_name_a_short_one() {
        for (one, two, path) in [
            ("src/app.py", "src/**", "src/app.py"),
            ("src/app.py", "src/app.py", "src/app.py"),
            ("src", "src/a/b.rs", "src/a/b.rs"),
            ("src/", "src/tui/*", "src/tui/a"),
            ("**/*.rs", "src/**", "src/a.rs"),
            ("**", "**", "a"),
            ("*.toml", "Cargo.*", "Cargo.toml"),
            ("*.toml", "**/Cargo.toml", "Cargo.toml"),
            ("a*b", "a*c*b", "acb"),
            ("[a-m]x", "[k-z]?", "kx"),
            ("[!a]", "[!b]", "c"),
            ("{src,docs}/{a,b}.md", "docs/*", "docs/a.md"),
            ("a/**/z", "a/z", "a/z"),
            ("a/**/z", "**/b/z", "a/b/z"),
            ("src/** - src/gen/", "src/gen*", "src/gen"),
            ("src/** - src/gen", "src/gen*", "src/gena"),
            ("** - a", "a* - aa", "ab"),
            (".github/*.yml", ".github/**", ".github/a.yml"),
            ("**/.env", "**", ".env"),
            ("é/*", "?/b", "é/b"),
        ] {
            assert_eq!(example(one, two, Fold::Off).as_deref(), Some(path), "{one} and {two}");
        }
    }

    #[test]
    fn scopes_that_cannot_share_a_path_are_told_apart() {
        for (one, two) in [
            ("src/**", "docs/**"),
            ("src/app.py", "src/app.pyi"),
            ("src/*", "src/a/b"),
            ("*.toml", "a/*.toml"),
            ("**/*.rs", "**/*.md"),
            ("src/**/*.rs", "src/a/b/*.md"),
            ("a/**", "[a]"),
            ("?", "??"),
            ("[a-f]x", "[g-z]x"),
            ("[!a]", "a"),
            ("src/** - src/gen/", "src/gen/**"),
            ("src/** - src/gen", "src/gen/a/b"),
            ("** - **/*.rs", "src/**/*.rs"),
            ("a* - a?*", "a* - a"),
            ("**/x - a/** b/**", "{a,b}/**"),
            // What git takes for no path is no path.
            ("?git", ".git* - .git?*"),
            ("?", ".*"),
            ("a/*", "A/*"),
        ] {
            assert_eq!(example(one, two, Fold::Off), None, "{one} and {two}");
        }
    }

    #[test]
    fn letter_case_counts_where_the_file_system_says_so() {
        for (one, two, path) in [
            ("src/App.rs", "SRC/**", "src/app.rs"),
            ("[A-C]x", "[c-d]X", "cx"),
            ("É", "é", "é"),
            ("** - A/**", "{a,b}/c", "b/c"),
            ("[!B]", "{b,c}", "c"),
        ] {
            assert_eq!(example(one, two, Fold::On).as_deref(), Some(path), "{one} and {two}");
        }
        for (one, two) in [("[!A]", "a"), ("** - A/**", "a/b"), ("a", "B"), ("[!A-Z]", "[A-Z]")] {
            assert_eq!(example(one, two, Fold::On), None, "{one} and {two}");
        }
        assert!(
            scope("Src/*.RS").matches("sRC/x.rs", Fold::On)
                && !scope("Src/*").matches("src/x", Fold::Off)
        );
    }

    #[test]
    fn a_scope_that_is_all_denied_has_no_example() {
        assert_eq!(scope("src/** - src/").example(Fold::Off), None);
        assert_eq!(scope("src/* - src/*.rs").example(Fold::Off).as_deref(), Some("src/a"));
        assert_eq!(scope("").example(Fold::Off), None);
    }

    #[test]
    fn entangled_denies_end_within_bounds_and_err_on_the_side_of_sharing() {
        // Whether a name has an `a` so far from its end is a question for each character: 2²⁰ sets
        // of steps.
        let tail = "?".repeat(20);
        let nothing = scope(&format!("{} - *a{tail} *[!a]{tail}", "?".repeat(60)));
        assert!(
            nothing
                .overlap(&nothing, Fold::Off)
                .is_some_and(|path| !nothing.matches(&path, Fold::Off))
        );
    }
}
