//! One way to read a pattern, without alternatives: a line of steps that a path is walked along.

use std::sync::Arc;

use super::chars::{CharSet, Fold};

/// A step. All but the last kinds take one character and go on to the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// This character, which may be a `/`.
    Char(char),
    /// `?`: any character but `/`.
    One,
    /// `[a-z]`.
    Set(Arc<CharSet>),
    /// `*`: any number of characters but `/`.
    Star,
    /// `**/`: any number of folders; an [`Op::InDir`] follows.
    Dirs,
    /// Within the name of a folder that `**/` passes.
    InDir,
    /// A last name without wildcards: the path may end, or go on below.
    Below,
    /// `**` at the end: all that can follow.
    Rest,
    /// The path must end.
    End,
}

/// The steps; the last is [`Op::End`] or [`Op::Rest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    pub(super) ops: Vec<Op>,
}

impl Glob {
    /// Where the walk is after step `at` has taken `c`, which is folded.
    pub(super) fn take(&self, at: usize, c: char, fold: Fold) -> Option<usize> {
        let is_slash = c == '/';
        match &self.ops[at] {
            Op::Char(wanted) => (fold.apply(*wanted) == c).then_some(at + 1),
            Op::One | Op::Dirs => (!is_slash).then_some(at + 1),
            Op::Set(set) => set.contains(c, fold).then_some(at + 1),
            Op::Star => (!is_slash).then_some(at),
            Op::InDir => Some(if is_slash { at - 1 } else { at }),
            Op::Below => is_slash.then_some(at + 1),
            Op::Rest => Some(at),
            Op::End => None,
        }
    }

    /// Where the walk may go on to without a character.
    pub(super) fn skip(&self, at: usize) -> Option<usize> {
        match self.ops[at] {
            Op::Star => Some(at + 1),
            Op::Dirs => Some(at + 2),
            _ => None,
        }
    }

    /// Whether a path may end here.
    pub(super) fn may_end(&self, at: usize) -> bool {
        matches!(self.ops[at], Op::Below | Op::Rest | Op::End)
    }

    /// Whether the glob matches the path.
    pub(super) fn matches(&self, path: &str, fold: Fold) -> bool {
        let mut rest = path.chars();
        let mut at = 0;
        while let Op::Char(wanted) = self.ops[at] {
            if rest.next().map(|c| fold.apply(c)) != Some(fold.apply(wanted)) {
                return false;
            }
            at += 1;
        }
        match self.ops[at] {
            Op::Rest => true,
            Op::End => rest.as_str().is_empty(),
            Op::Below => rest.as_str().is_empty() || rest.as_str().starts_with('/'),
            _ => self.walk(at, rest.as_str(), fold),
        }
    }

    fn walk(&self, start: usize, path: &str, fold: Fold) -> bool {
        let mut here = Vec::new();
        let mut next = Vec::new();
        self.reach(start, &mut here);
        for c in path.chars().map(|c| fold.apply(c)) {
            next.clear();
            for at in &here {
                if let Some(to) = self.take(*at, c, fold) {
                    self.reach(to, &mut next);
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        here.iter().any(|at| self.may_end(*at))
    }

    /// Adds a step and all that can be gone on to from it.
    fn reach(&self, at: usize, steps: &mut Vec<usize>) {
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| !steps.contains(at)) {
            steps.push(at);
            next = self.skip(at);
        }
    }

    /// Whether a look at both from their ends shows that no path matches both: a filter before the
    /// search, and never wrong when it says so.
    pub(super) fn is_apart(&self, other: &Self, fold: Fold) -> bool {
        self.differs_from((0, 0), other, fold)
            || self.differs_from_the_back(other, fold)
            || self.differs_in_the_last_name(other, fold)
    }

    /// Whether the steps from `i` of this and from `j` of the other differ, as far as they can be
    /// held against each other.
    fn differs_from(&self, (mut i, mut j): (usize, usize), other: &Self, fold: Fold) -> bool {
        loop {
            match (&self.ops[i], &other.ops[j]) {
                (Op::Char(a), Op::Char(b)) if a == b || fold.apply(*a) == fold.apply(*b) => {
                    (i, j) = (i + 1, j + 1)
                }
                (Op::Char(_), Op::Char(_)) => return true,
                (Op::End, Op::Char(_)) | (Op::Char(_), Op::End) => return true,
                (Op::Below, Op::Char(c)) | (Op::Char(c), Op::Below) => return *c != '/',
                // On to the next names, as long as both are as deep.
                _ => match (self.slash_after(i), other.slash_after(j)) {
                    (Some(a), Some(b)) => (i, j) = (a, b),
                    _ => return false,
                },
            }
        }
    }

    /// The `/` that ends the name which step `at` is in, where it is one name.
    fn slash_after(&self, at: usize) -> Option<usize> {
        let ends = |op: &Op| {
            matches!(op, Op::Char('/') | Op::Dirs | Op::InDir | Op::Below | Op::Rest | Op::End)
        };
        let end = at + self.ops[at..].iter().position(ends)?;
        (self.ops[end] == Op::Char('/')).then_some(end)
    }

    fn differs_in_the_last_name(&self, other: &Self, fold: Fold) -> bool {
        let both = self.last_name().zip(other.last_name());
        both.is_some_and(|starts| self.differs_from(starts, other, fold))
    }

    /// The step with which the last name of each path begins, if nothing may follow below it.
    fn last_name(&self) -> Option<usize> {
        let (Op::End, before) = self.ops.split_last()? else { return None };
        Some(
            before
                .iter()
                .rposition(|op| matches!(op, Op::Char('/') | Op::InDir))
                .map_or(0, |slash| slash + 1),
        )
    }

    fn differs_from_the_back(&self, other: &Self, fold: Fold) -> bool {
        let (Some((Op::End, mine)), Some((Op::End, theirs))) =
            (self.ops.split_last(), other.ops.split_last())
        else {
            return false;
        };
        for ops in mine.iter().rev().zip(theirs.iter().rev()) {
            match ops {
                (Op::Char(a), Op::Char(b)) if fold.apply(*a) == fold.apply(*b) => {}
                (Op::Char(_), Op::Char(_)) => return true,
                _ => return false,
            }
        }
        false
    }
}
