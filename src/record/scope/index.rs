//! Which of many scopes a path is in, for many paths.

use super::glob::{Glob, Op};
use super::{Fold, Scope};

/// Many scopes, in which paths are looked up.
///
/// Globs that begin alike are one as far as they do, all are walked along a path at once, and the
/// way that a path shares with the one before is not walked again: paths in order cost little.
pub struct ScopeIndex<'a> {
    scopes: Vec<&'a Scope>,
    fold: Fold,
    steps: Vec<Step>,
    first: Vec<usize>,
    path: Vec<char>,
    levels: Vec<Level>,
    /// In which round each step was reached last.
    reached: Vec<usize>,
    round: usize,
}

/// A step of all globs that are the same up to it.
struct Step {
    op: Op,
    /// The step before.
    back: usize,
    next: Vec<usize>,
    /// The scopes whose globs end here.
    scopes: Vec<usize>,
}

/// How far the globs have come after some characters of a path.
#[derive(Default)]
struct Level {
    /// The steps that they are at.
    open: Vec<usize>,
    /// The scopes that all below is in.
    done: Vec<usize>,
}

impl<'a> ScopeIndex<'a> {
    /// An index of `scopes`, which are known by their places among them.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = &'a Scope>, fold: Fold) -> Self {
        let scopes: Vec<&Scope> = scopes.into_iter().collect();
        let (steps, first, levels) = (Vec::new(), Vec::new(), Vec::new());
        let mut index = Self {
            scopes,
            fold,
            steps,
            first,
            path: Vec::new(),
            levels,
            reached: Vec::new(),
            round: 1,
        };
        for place in 0..index.scopes.len() {
            index.scopes[place]
                .patterns
                .iter()
                .flat_map(|pattern| pattern.globs())
                .for_each(|glob| index.add(glob, place));
        }
        index.reached = vec![0; index.steps.len()];
        let mut root = Level::default();
        for at in 0..index.first.len() {
            index.reach(&mut root, index.first[at]);
        }
        index.levels.push(root);
        index
    }

    fn add(&mut self, glob: &Glob, scope: usize) {
        let mut here: Option<usize> = None;
        for op in &glob.ops {
            let op = if let Op::Char(c) = op { Op::Char(self.fold.apply(*c)) } else { op.clone() };
            let siblings = here.map_or(&self.first, |at| &self.steps[at].next);
            let at =
                siblings.iter().copied().find(|at| self.steps[*at].op == op).unwrap_or_else(|| {
                    self.steps.push(Step {
                        op,
                        back: here.unwrap_or_default(),
                        next: Vec::new(),
                        scopes: Vec::new(),
                    });
                    let at = self.steps.len() - 1;
                    here.map_or(&mut self.first, |here| &mut self.steps[here].next).push(at);
                    at
                });
            if matches!(self.steps[at].op, Op::Below | Op::Rest | Op::End) {
                self.steps[at].scopes.push(scope);
            }
            here = Some(at);
        }
    }

    /// The places of the scopes that the path is in, in order.
    #[must_use]
    pub fn containing(&mut self, path: &str) -> Vec<usize> {
        self.walk(path);
        let last = &self.levels[self.levels.len() - 1];
        let ended = last.open.iter().flat_map(|at| &self.steps[*at].scopes);
        let mut found: Vec<usize> = last.done.iter().chain(ended).copied().collect();
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
            self.round += 1;
            let here = self.levels.len() - 1;
            let mut next = Level { open: Vec::new(), done: self.levels[here].done.clone() };
            for number in 0..self.levels[here].open.len() {
                self.take(&mut next, self.levels[here].open[number], *c);
            }
            self.levels.push(next);
        }
        self.path = path;
    }

    /// Adds what follows when the step `at` takes `c`; as [`Glob::take`].
    fn take(&mut self, level: &mut Level, at: usize, c: char) {
        let is_slash = c == '/';
        let step = &self.steps[at];
        let goes_on = match &step.op {
            Op::Char(wanted) => *wanted == c,
            Op::One | Op::Dirs => !is_slash,
            Op::Set(set) => set.contains(c, self.fold),
            Op::Below => is_slash,
            Op::Star if is_slash => false,
            Op::InDir if is_slash => return self.reach(level, step.back),
            Op::Star | Op::InDir => return self.reach(level, at),
            Op::Rest | Op::End => false,
        };
        if goes_on {
            self.reach_next(level, at);
        }
    }

    fn reach_next(&mut self, level: &mut Level, at: usize) {
        for number in 0..self.steps[at].next.len() {
            self.reach(level, self.steps[at].next[number]);
        }
    }

    /// Adds a step and all that can be gone on to from it without a character.
    fn reach(&mut self, level: &mut Level, at: usize) {
        if self.reached[at] == self.round {
            return;
        }
        self.reached[at] = self.round;
        match self.steps[at].op {
            Op::Rest => return level.done.extend(&self.steps[at].scopes),
            Op::Star => self.reach_next(level, at),
            Op::Dirs => {
                for number in 0..self.steps[at].next.len() {
                    self.reach_next(level, self.steps[at].next[number]);
                }
            }
            _ => {}
        }
        level.open.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_scopes_that_match_it() {
        let scopes = [("src/**", "src/gen/"), ("**/*.rs", ""), ("Src/App.rs", "")];
        let parsed =
            |text: &str| text.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let scopes: Vec<Scope> =
            scopes.iter().map(|(wanted, deny)| Scope::new(parsed(wanted), parsed(deny))).collect();
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
