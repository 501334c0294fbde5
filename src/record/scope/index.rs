//! Which of many scopes a path is in, for many paths.

use std::collections::HashMap;

use super::glob::{Glob, Op};
use super::{Fold, Scope};

/// Many scopes, in which paths are looked up.
///
/// All globs are walked along a path at once, and the way that a path shares with the one before is not walked again: paths in
/// order cost little. What begins with a wildcard and ends in letters is found by these.
pub struct ScopeIndex<'a> {
    scopes: Vec<&'a Scope>,
    fold: Fold,
    walked: Vec<(&'a Glob, usize)>,
    tails: HashMap<String, Vec<(&'a Glob, usize)>>,
    tail_lengths: Vec<usize>,
    path: Vec<char>,
    levels: Vec<Level>,
}

/// How far the globs have come after some characters of a path.
#[derive(Clone, Default)]
struct Level {
    /// The globs, by their places in the index, and the steps that they are at.
    open: Vec<(usize, usize)>,
    /// The scopes that all below is in.
    done: Vec<usize>,
}

impl Level {
    /// Adds a step of a glob and all that can be gone on to from it.
    fn reach(&mut self, (glob, scope): (&Glob, usize), number: usize, at: usize) {
        let mut next = Some(at);
        while let Some(at) = next {
            match glob.ops[at] {
                Op::Rest => return self.done.push(scope),
                // Steps of one glob stand together.
                _ if self.open.iter().rev().take_while(|(other, _)| *other == number).any(|(_, known)| *known == at) => return,
                _ => self.open.push((number, at)),
            }
            next = glob.skip(at);
        }
    }
}

impl<'a> ScopeIndex<'a> {
    /// An index of `scopes`, which are known by their places among them.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = &'a Scope>, fold: Fold) -> Self {
        let scopes: Vec<&Scope> = scopes.into_iter().collect();
        let (mut walked, mut tails): (Vec<_>, HashMap<String, Vec<_>>) = (Vec::new(), HashMap::new());
        for (place, scope) in scopes.iter().enumerate() {
            for glob in scope.patterns.iter().flat_map(|pattern| pattern.globs()) {
                match tail(glob, fold) {
                    Some(tail) => tails.entry(tail).or_default().push((glob, place)),
                    None => walked.push((glob, place)),
                }
            }
        }
        let mut tail_lengths: Vec<usize> = tails.keys().map(String::len).collect();
        tail_lengths.sort_unstable();
        tail_lengths.dedup();
        let mut root = Level::default();
        for (number, entry) in walked.iter().enumerate() {
            root.reach(*entry, number, 0);
        }
        Self { scopes, fold, walked, tails, tail_lengths, path: Vec::new(), levels: vec![root] }
    }

    /// The places of the scopes that the path is in, in order.
    #[must_use]
    pub fn containing(&mut self, path: &str) -> Vec<usize> {
        self.walk(path);
        let last = &self.levels[self.levels.len() - 1];
        let ended = last.open.iter().filter(|(number, at)| self.walked[*number].0.may_end(*at));
        let mut found: Vec<usize> = last.done.iter().copied().chain(ended.map(|(number, _)| self.walked[*number].1)).collect();
        let folded: String = self.path.iter().collect();
        for length in &self.tail_lengths {
            let start = folded.len().checked_sub(*length).filter(|start| folded.is_char_boundary(*start));
            let ending = start.and_then(|start| self.tails.get(&folded[start..]));
            let whole = ending.into_iter().flatten().filter(|(glob, _)| glob.matches(&folded, self.fold));
            found.extend(whole.map(|(_, place)| place));
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|place| !self.scopes[*place].denies(path, self.fold));
        found
    }

    /// Walks along the path, from where it parts from the one before.
    fn walk(&mut self, path: &str) {
        let path: Vec<char> = path.chars().map(|c| self.fold.apply(c)).collect();
        let shared = self.path.iter().zip(&path).take_while(|(one, other)| one == other).count();
        self.levels.truncate(shared + 1);
        for c in &path[shared..] {
            let here = &self.levels[self.levels.len() - 1];
            let mut next = Level { open: Vec::new(), done: here.done.clone() };
            for (number, at) in &here.open {
                let entry = self.walked[*number];
                if let Some(at) = entry.0.take(*at, *c, self.fold) {
                    next.reach(entry, *number, at);
                }
            }
            self.levels.push(next);
        }
        self.path = path;
    }
}

/// The letters that a path must end in, where the glob does not begin with letters.
fn tail(glob: &Glob, fold: Fold) -> Option<String> {
    let (Some((Op::End, rest)), false) = (glob.ops.split_last(), matches!(glob.ops[0], Op::Char(_))) else { return None };
    let letter = |op: &Op| if let Op::Char(c) = op { Some(fold.apply(*c)) } else { None };
    let mut letters: Vec<char> = rest.iter().rev().map_while(letter).collect();
    letters.reverse();
    Some(letters.into_iter().collect()).filter(|tail: &String| !tail.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_scopes_that_match_it() {
        let scopes = [("src/**", "src/gen/"), ("**/*.rs", ""), ("Src/App.rs", "")];
        let parsed = |text: &str| text.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let scopes: Vec<Scope> = scopes.iter().map(|(wanted, deny)| Scope::new(parsed(wanted), parsed(deny))).collect();
        let mut index = ScopeIndex::new(&scopes, Fold::On);
        for (path, places) in [
            ("src/app.rs", vec![0, 1, 2]),
            ("src/gen/x.rs", vec![1]),
            ("SRC/x", vec![0]),
            ("docs", vec![]),
            ("é.RS", vec![1]),
            ("é", vec![]),
        ] {
            assert_eq!(index.containing(path), places, "{path}");
        }
    }
}
