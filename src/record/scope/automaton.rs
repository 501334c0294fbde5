//! The search for a path that two globs match and no denied one does: the product of their
//! automata, walked breadth first.

use std::collections::{HashMap, HashSet};

use super::chars::Fold;
use super::glob::{Glob, Op};

/// How many states a search may come through while there are denied globs to follow.
const MAX_STATES: usize = 1 << 14;

/// How many states any search may come through: what more would need in memory is refused.
const MAX_VISITS: usize = 1 << 19;

/// How much may be compared, in steps of a search and looks at pairs of globs.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
}

/// Nothing is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent;

impl Budget {
    /// So many steps; a comparison of two plain patterns is one.
    #[must_use]
    pub const fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// How many steps are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Takes some steps.
    ///
    /// # Errors
    ///
    /// [`Spent`] if there are not so many left; then and from then on.
    pub fn spend(&mut self, steps: u64) -> Result<(), Spent> {
        match self.left.checked_sub(steps) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                return Err(Spent);
            }
        }
        Ok(())
    }
}

/// The shortest path that both globs match and none of `deny` does.
///
/// Where the denied ones need more than [`MAX_STATES`], they are left out.
///
/// # Errors
///
/// [`Spent`] if that cannot be told within `budget`.
pub(super) fn shared_path(
    one: &Glob,
    two: &Glob,
    deny: &[&Glob],
    fold: Fold,
    budget: &mut Budget,
) -> Result<Option<String>, Spent> {
    let look = |a: &Glob, b: &Glob| 1 + a.ops.len().min(b.ops.len()) as u64 / 32;
    budget.spend(look(one, two))?;
    if one.is_apart(two, fold) {
        return Ok(None);
    }
    budget.spend(deny.iter().map(|deny| look(deny, one) + look(deny, two)).sum())?;
    let deny: Vec<&Glob> = deny
        .iter()
        .filter(|deny| !deny.is_apart(one, fold) && !deny.is_apart(two, fold))
        .copied()
        .collect();
    match Search::new(one, two, &deny, fold).nicest(budget) {
        Ok(path) => Ok(path),
        Err(End::TooMany) => Search::new(one, two, &[], fold).nicest(budget).map_err(|_| Spent),
        Err(End::Spent) => Err(Spent),
    }
}

/// Whether no path that git has can match the glob.
pub(super) fn is_void(glob: &Glob) -> bool {
    let everything = Glob { ops: vec![Op::Rest] };
    // A search along one glob alone ends soon.
    shared_path(glob, &everything, &[], Fold::Off, &mut Budget::new(u64::MAX)) == Ok(None)
}

/// Why a search ended without an answer.
enum End {
    /// It came through too many states.
    TooMany,
    /// Nothing is left of the budget.
    Spent,
}

impl From<Spent> for End {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

/// How far a path has come in its present name, as to whether git takes it for a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Empty,
    Dot,
    DotDot,
    DotG,
    DotGi,
    DotGit,
    Good,
}

impl Name {
    /// Whether the name may end here: it is not empty, `.`, `..` or `.git`.
    const fn may_end(self) -> bool {
        matches!(self, Self::DotG | Self::DotGi | Self::Good)
    }

    fn take(self, c: char) -> Option<Self> {
        Some(match (self, c.to_ascii_lowercase()) {
            (name, '/') => return name.may_end().then_some(Self::Empty),
            (Self::Empty, '.') => Self::Dot,
            (Self::Dot, '.') => Self::DotDot,
            (Self::Dot, 'g') => Self::DotG,
            (Self::DotG, 'i') => Self::DotGi,
            (Self::DotGi, 't') => Self::DotGit,
            _ => Self::Good,
        })
    }
}

/// Where a path has come to in all that is followed.
#[derive(Clone, Copy)]
struct State {
    one: usize,
    two: usize,
    denied: usize,
    name: Name,
}

impl State {
    /// The state as one number. A glob has fewer than 2¹⁶ steps, and a search fewer than 2²⁴ sets
    /// of denied ones.
    const fn key(self) -> u64 {
        (self.one as u64) << 48
            | (self.two as u64) << 32
            | (self.denied as u64) << 8
            | self.name as u64
    }
}

/// A state, and how it was come to.
struct Visit {
    state: State,
    from: usize,
    by: Option<char>,
}

struct Search<'a> {
    one: &'a Glob,
    two: &'a Glob,
    denied: Subsets<'a>,
    fold: Fold,
    alphabet: Vec<char>,
}

impl<'a> Search<'a> {
    fn new(one: &'a Glob, two: &'a Glob, deny: &'a [&'a Glob], fold: Fold) -> Self {
        let alphabet = alphabet(deny.iter().copied().chain([one, two]), fold);
        Self { one, two, denied: Subsets::new(deny, fold), fold, alphabet }
    }

    /// A shortest path; where it has a name such as `.rs` that nobody asked for, rather one with
    /// `a.rs`.
    fn nicest(&mut self, budget: &mut Budget) -> Result<Option<String>, End> {
        budget.spend(self.alphabet.len() as u64)?;
        let shortest = self.shortest(false, budget)?;
        if shortest.as_ref().is_some_and(|path| path.starts_with('.') || path.contains("/.")) {
            return Ok(self.shortest(true, budget)?.or(shortest));
        }
        Ok(shortest)
    }

    /// A shortest path; with `is_nice` none where a `*` stands for nothing before a dot.
    fn shortest(&mut self, is_nice: bool, budget: &mut Budget) -> Result<Option<String>, End> {
        let start = State { one: 0, two: 0, denied: Subsets::START, name: Name::Empty };
        let mut visits = vec![Visit { state: start, from: 0, by: None }];
        let mut seen = HashSet::from([start.key()]);
        // Steps without a character stay on their level: what is shorter comes first.
        let mut level = vec![0];
        while !level.is_empty() {
            let mut next_level = Vec::new();
            let mut number = 0;
            while let Some(&from) = level.get(number) {
                number += 1;
                let state = visits[from].state;
                if self.is_end(state) {
                    return Ok(Some(walked(&visits, from)));
                }
                let skips = [
                    self.one.skip(state.one).map(|one| State { one, ..state }),
                    self.two.skip(state.two).map(|two| State { two, ..state }),
                ];
                for state in skips.into_iter().flatten().filter(|state| seen.insert(state.key())) {
                    level.push(visits.len());
                    visits.push(Visit { state, from, by: None });
                }
                budget.spend(self.cost(state))?;
                for (c, state) in self.steps(state, is_nice) {
                    if seen.insert(state.key()) {
                        next_level.push(visits.len());
                        visits.push(Visit { state, from, by: Some(c) });
                    }
                }
            }
            if visits.len() > MAX_STATES && !self.denied.globs.is_empty() {
                return Err(End::TooMany);
            }
            if visits.len() > MAX_VISITS {
                return Err(End::Spent);
            }
            level = next_level;
        }
        Ok(None)
    }

    fn is_end(&self, state: State) -> bool {
        self.one.may_end(state.one)
            && self.two.may_end(state.two)
            && state.name.may_end()
            && !self.denied.may_end(state.denied)
    }

    /// How many looks the steps from a state take.
    fn cost(&self, from: State) -> u64 {
        let is_char = |glob: &Glob, at: usize| matches!(glob.ops[at], Op::Char(_));
        let tried = if is_char(self.one, from.one) || is_char(self.two, from.two) {
            1
        } else {
            self.alphabet.len()
        };
        (tried * (1 + self.denied.sets[from.denied].len() / 4)) as u64
    }

    /// Where each character leads to.
    fn steps(&mut self, from: State, is_nice: bool) -> Vec<(char, State)> {
        let after_star = |glob: &Glob, at: usize| at > 0 && glob.ops[at - 1] == Op::Star;
        let no_dot = is_nice
            && from.name == Name::Empty
            && (after_star(self.one, from.one) || after_star(self.two, from.two));
        let only = match (&self.one.ops[from.one], &self.two.ops[from.two]) {
            (Op::Char(c), _) | (_, Op::Char(c)) => Some([self.fold.apply(*c)]),
            _ => None,
        };
        let tried: &[char] = only.as_ref().map_or(&self.alphabet, |only| only.as_slice());
        let mut steps = Vec::new();
        for c in tried.iter().filter(|c| !(no_dot && **c == '.')) {
            let (Some(one), Some(two)) =
                (self.one.take(from.one, *c, self.fold), self.two.take(from.two, *c, self.fold))
            else {
                continue;
            };
            if let (Some(name), Some(denied)) =
                (from.name.take(*c), self.denied.take(from.denied, *c))
            {
                steps.push((*c, State { one, two, denied, name }));
            }
        }
        steps
    }
}

/// The characters on the way to a visit.
fn walked(visits: &[Visit], last: usize) -> String {
    let way = std::iter::successors(Some(last), |number| {
        Some(visits[*number].from).filter(|_| *number != 0)
    });
    let mut path: Vec<char> = way.filter_map(|number| visits[number].by).collect();
    path.reverse();
    path.into_iter().collect()
}

/// The denied globs, all followed at once: sets of their steps, made when a path first comes to
/// them.
struct Subsets<'a> {
    globs: &'a [&'a Glob],
    fold: Fold,
    sets: Vec<Vec<(usize, usize)>>,
    numbers: HashMap<Vec<(usize, usize)>, usize>,
    steps: HashMap<(usize, char), Option<usize>>,
}

impl<'a> Subsets<'a> {
    /// The set that a path begins in.
    const START: usize = 0;

    fn new(globs: &'a [&'a Glob], fold: Fold) -> Self {
        let mut subsets =
            Self { globs, fold, sets: Vec::new(), numbers: HashMap::new(), steps: HashMap::new() };
        subsets.number((0..globs.len()).map(|glob| (glob, 0)).collect());
        subsets
    }

    /// Whether a path that ends here is denied.
    fn may_end(&self, set: usize) -> bool {
        self.sets[set].iter().any(|(glob, at)| self.globs[*glob].may_end(*at))
    }

    /// The set after a character, or `None` if all that can follow is denied.
    fn take(&mut self, set: usize, c: char) -> Option<usize> {
        if self.globs.is_empty() {
            return Some(set);
        }
        if let Some(known) = self.steps.get(&(set, c)) {
            return *known;
        }
        let taken =
            |(glob, at): &(usize, usize)| Some((*glob, self.globs[*glob].take(*at, c, self.fold)?));
        let next: Vec<(usize, usize)> = self.sets[set].iter().filter_map(taken).collect();
        let is_lost = next.iter().any(|(glob, at)| self.globs[*glob].ops[*at] == Op::Rest);
        let next = if is_lost { None } else { Some(self.number(next)) };
        self.steps.insert((set, c), next);
        next
    }

    /// The number of a set, after all steps that take no character.
    fn number(&mut self, mut set: Vec<(usize, usize)>) -> usize {
        let mut next = 0;
        while let Some((glob, at)) = set.get(next).copied() {
            set.extend(self.globs[glob].skip(at).map(|at| (glob, at)));
            next += 1;
        }
        set.sort_unstable();
        set.dedup();
        *self.numbers.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            self.sets.len() - 1
        })
    }
}

/// Characters enough to stand for all: two that no glob tells apart have one, and the nicest come
/// first.
fn alphabet<'a>(globs: impl Iterator<Item = &'a Glob>, fold: Fold) -> Vec<char> {
    let mut ranges: Vec<(char, char)> =
        ['/', '.', 'g', 'i', 't', 'G', 'I', 'T'].map(|c| (c, c)).to_vec();
    for op in globs.flat_map(|glob| &glob.ops) {
        match op {
            Op::Char(c) => ranges.push((fold.apply(*c), fold.apply(*c))),
            Op::Set(set) => ranges.extend(set.ranges(fold)),
            _ => {}
        }
    }
    ranges.sort_unstable();
    ranges.dedup();
    // One stands for all that no glob mentions.
    let is_other = |c: &char| !ranges.iter().any(|(first, last)| (first..=last).contains(&c));
    let mut alphabet: Vec<char> = nicest_of(LETTERS.chars(), fold, is_other)
        .or_else(|| nicest_of((gap_in(&ranges)..=char::MAX).chain('\x01'..' '), fold, is_other))
        .into_iter()
        .collect();
    // Where ranges begin (+1) and have ended (-1): between two such places all characters are the
    // same to all globs.
    let mut bounds: Vec<(u32, i32)> = ranges
        .iter()
        .flat_map(|(first, last)| [(*first as u32, 1), (*last as u32 + 1, -1)])
        .collect();
    bounds.sort_unstable();
    let mut depth = 0;
    for pair in bounds.windows(2) {
        let [(first, change), (end, _)] = [pair[0], pair[1]];
        depth += change;
        if depth > 0 && first < end {
            alphabet.extend(nicest_between(first, end, fold));
        }
    }
    alphabet.sort_unstable_by_key(|c| rank(*c));
    alphabet
}

/// The first character from the blank on that is in none of `ranges`, which are in order; the last
/// one if there is none.
fn gap_in(ranges: &[(char, char)]) -> char {
    let mut next = ' ' as u32;
    for (first, last) in ranges {
        if *first as u32 > next {
            break;
        }
        next = next.max(*last as u32 + 1);
    }
    char::from_u32(next).unwrap_or(if next < 0xE000 { '\u{E000}' } else { char::MAX })
}

/// The characters that look best in an example.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The first that stands for itself and is wanted.
fn nicest_of(
    mut chars: impl Iterator<Item = char>,
    fold: Fold,
    is_wanted: impl Fn(&char) -> bool,
) -> Option<char> {
    chars.find(|c| fold.apply(*c) == *c && is_wanted(c))
}

/// The nicest character from `first` to before `end`.
fn nicest_between(first: u32, end: u32, fold: Fold) -> Option<char> {
    let all = || (first..end).filter_map(char::from_u32);
    if end - first == 1 {
        return nicest_of(all(), fold, |_| true);
    }
    let letter = nicest_of(LETTERS.chars(), fold, |c| (first..end).contains(&(*c as u32)));
    letter
        .or_else(|| nicest_of(all(), fold, |c| *c >= ' '))
        .or_else(|| nicest_of(all(), fold, |c| *c != '\0'))
}

/// How nice a character is in an example, the nicest first.
const fn rank(c: char) -> (u8, char) {
    let group = match c {
        'a'..='z' => 0,
        'A'..='Z' | '0'..='9' => 1,
        '\0'..' ' => 3,
        _ => 2,
    };
    (group, c)
}
