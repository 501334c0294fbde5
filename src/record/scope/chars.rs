//! Characters of paths: which are the same where letter case does not count, and sets of them.

/// The last character that has a small letter of its own.
const LAST_CASED: char = '\u{1e943}';

/// Whether letter case makes one path of two, as where git's `core.ignorecase` is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// `A` and `a` are two paths.
    Off,
    /// `A` and `a` are one path.
    On,
}

impl Fold {
    /// The character that stands for all that are the same.
    pub(super) fn apply(self, c: char) -> char {
        match self {
            Self::Off => c,
            Self::On if c.is_ascii() => c.to_ascii_lowercase(),
            Self::On => {
                let mut small = c.to_lowercase();
                // `İ` becomes two characters: it stays as it is.
                if small.len() == 1 { small.next().unwrap_or(c) } else { c }
            }
        }
    }
}

/// What `[a-z]` or `[!a-z]` matches; never a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CharSet {
    negated: bool,
    exact: Vec<(char, char)>,
    folded: Vec<(char, char)>,
}

impl CharSet {
    /// All characters of the ranges, both ends in them, or all others.
    pub(super) fn new(ranges: Vec<(char, char)>, negated: bool) -> Self {
        let mut folded = ranges.clone();
        for (first, last) in &ranges {
            let cased = (*first..=LAST_CASED.min(*last)).map(|c| (c, Fold::On.apply(c)));
            folded.extend(cased.filter(|(c, small)| c != small).map(|(_, small)| (small, small)));
        }
        Self { negated, exact: joined(ranges), folded: joined(folded) }
    }

    /// Whether a character that [`Fold::apply`] gave is in the set.
    pub(super) fn contains(&self, c: char, fold: Fold) -> bool {
        c != '/'
            && self.ranges(fold).iter().any(|(first, last)| (*first..=*last).contains(&c))
                != self.negated
    }

    /// The ranges that the set is made of, or that it is made without.
    pub(super) fn ranges(&self, fold: Fold) -> &[(char, char)] {
        match fold {
            Fold::Off => &self.exact,
            Fold::On => &self.folded,
        }
    }
}

/// The same characters in the fewest ranges.
fn joined(mut ranges: Vec<(char, char)>) -> Vec<(char, char)> {
    ranges.sort_unstable();
    let mut joined: Vec<(char, char)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= *end || (*end..=first).nth(1) == Some(first) => {
                *end = last.max(*end)
            }
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_done_once_and_ends_where_it_is_said_to() {
        for c in '\0'..=char::MAX {
            let small = Fold::On.apply(c);
            assert_eq!(Fold::On.apply(small), small, "{c:?}");
            assert!(c <= LAST_CASED || c == small, "{c:?}");
        }
        assert_eq!(Fold::On.apply('İ'), 'İ');
    }

    #[test]
    fn a_set_has_its_ranges_in_both_cases() {
        let set = CharSet::new(vec![('X', 'Z'), ('b', 'b'), ('c', 'd'), ('Y', 'Ä')], false);
        assert_eq!(set.ranges(Fold::Off), [('X', 'Ä')]);
        let set = CharSet::new(vec![('A', 'B'), ('é', 'é'), ('.', '0')], false);
        assert_eq!(set.ranges(Fold::On), [('.', '0'), ('A', 'B'), ('a', 'b'), ('é', 'é')]);
        assert!(
            set.contains('0', Fold::Off)
                && !set.contains('/', Fold::Off)
                && !set.contains('a', Fold::Off)
        );
        let others = CharSet::new(vec![('A', 'B')], true);
        assert!(
            !others.contains('a', Fold::On)
                && others.contains('a', Fold::Off)
                && !others.contains('/', Fold::On)
        );
    }
}
