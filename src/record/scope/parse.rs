//! From the text of a pattern to its globs: one for each way to read its alternatives.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use super::chars::CharSet;
use super::glob::{Glob, Op};
use super::{MAX_PATTERN, PatternFault, automaton};
use crate::record::is_dangerous;

/// How many globs the alternatives of a pattern make at most.
const MAX_GLOBS: usize = 64;

/// How many characters and wildcards these have in all at most.
const MAX_TOKENS: usize = 4 * MAX_PATTERN;

/// How deep braces may be nested.
const MAX_DEPTH: usize = 8;

/// How many wildcards a pattern has at most, in each reading of its alternatives; `?` beside `?` is
/// one. A search for a path that two patterns share has to try what each of them may stand for.
const MAX_WILDCARDS: usize = 16;

/// What a backslash may stand before.
const SPECIAL: &str = "*?[]{},!\\";

/// A part of a pattern that has no alternatives in it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Op(Op),
    StarStar,
}

const SLASH: Token = Token::Op(Op::Char('/'));

/// The globs of a pattern.
pub(super) fn globs(text: &str) -> Result<Vec<Glob>, PatternFault> {
    if text.len() > MAX_PATTERN {
        return Err(PatternFault::TooLong(text.len()));
    }
    if let Some(character) = text.chars().find(|c| is_dangerous(*c)) {
        return Err(PatternFault::Unseen { text: text.to_owned(), character });
    }
    if text.trim() != text {
        return Err(PatternFault::Blank(text.to_owned()));
    }
    if text.starts_with('!') {
        return Err(PatternFault::Negated(text.to_owned()));
    }
    let mut reader = Reader { text, rest: text.chars().peekable() };
    let readings = reader.sequence(0)?;
    if reader.rest.peek().is_some() {
        return Err(PatternFault::Brace(text.to_owned()));
    }
    readings.iter().map(|tokens| glob(text, tokens)).collect()
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn fault(&self, fault: fn(String) -> PatternFault) -> PatternFault {
        fault(self.text.to_owned())
    }

    /// All readings of what stands up to the end, or up to the `,` or `}` that ends it within
    /// braces.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Vec<Token>>, PatternFault> {
        let mut readings = vec![Vec::new()];
        while let Some(c) = self.rest.next_if(|c| *c != '}' && (depth == 0 || *c != ',')) {
            let token = match c {
                '{' => {
                    let group = self.group(depth + 1)?;
                    readings = self.product(&readings, &group)?;
                    continue;
                }
                '*' => self.stars()?,
                '?' => Token::Op(Op::One),
                '[' => Token::Op(Op::Set(Arc::new(self.class()?))),
                ']' => return Err(self.fault(PatternFault::Bracket)),
                '\\' => match self.rest.next_if(|c| SPECIAL.contains(*c)) {
                    Some(c) => Token::Op(Op::Char(c)),
                    None => return Err(self.fault(PatternFault::Escape)),
                },
                c => Token::Op(Op::Char(c)),
            };
            readings.iter_mut().for_each(|reading| reading.push(token.clone()));
        }
        self.check_size(&readings)?;
        Ok(readings)
    }

    /// The alternatives after a `{`, up to its `}`.
    fn group(&mut self, depth: usize) -> Result<Vec<Vec<Token>>, PatternFault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(PatternFault::TooDeep));
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.extend(self.sequence(depth)?);
            self.check_size(&alternatives)?;
            match self.rest.next() {
                Some(',') => {}
                Some(_) => return Ok(alternatives),
                None => return Err(self.fault(PatternFault::Brace)),
            }
        }
    }

    fn product(
        &self,
        heads: &[Vec<Token>],
        tails: &[Vec<Token>],
    ) -> Result<Vec<Vec<Token>>, PatternFault> {
        if heads.len() * tails.len() > MAX_GLOBS {
            return Err(self.fault(PatternFault::TooMany));
        }
        let joined = heads
            .iter()
            .flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat()));
        Ok(joined.collect())
    }

    fn check_size(&self, readings: &[Vec<Token>]) -> Result<(), PatternFault> {
        if readings.len() > MAX_GLOBS || readings.iter().map(Vec::len).sum::<usize>() > MAX_TOKENS {
            return Err(self.fault(PatternFault::TooMany));
        }
        Ok(())
    }

    fn stars(&mut self) -> Result<Token, PatternFault> {
        if self.rest.next_if_eq(&'*').is_none() {
            return Ok(Token::Op(Op::Star));
        }
        match self.rest.peek() {
            Some('*') => Err(self.fault(PatternFault::StarStar)),
            _ => Ok(Token::StarStar),
        }
    }

    /// What stands after a `[`, up to its `]`.
    fn class(&mut self) -> Result<CharSet, PatternFault> {
        let class: String = self.rest.clone().collect();
        let wrong =
            |what| PatternFault::Class { text: self.text.to_owned(), class: class.clone(), what };
        let negated = self.rest.next_if(|c| matches!(c, '!' | '^')).is_some();
        let mut ranges = Vec::new();
        loop {
            let first = match self.rest.next() {
                Some(']') if !ranges.is_empty() => return Ok(CharSet::new(ranges, negated)),
                Some('[') if self.rest.peek() == Some(&':') => {
                    return Err(wrong("has a name: write `a-z` or the like"));
                }
                Some('\\') => self.rest.next(),
                c => c,
            };
            let first = first.ok_or_else(|| PatternFault::Bracket(self.text.to_owned()))?;
            let mut ahead = self.rest.clone();
            let last = match (ahead.next(), ahead.next()) {
                (Some('-'), Some('\\')) => ahead.next(),
                (Some('-'), Some(']')) => None,
                (Some('-'), last) => last,
                _ => None,
            };
            if last.is_some() {
                self.rest = ahead;
            }
            match last.unwrap_or(first) {
                last if last < first => {
                    return Err(wrong("has a range that ends before it begins"));
                }
                '/' => return Err(wrong("has a `/`, and no class matches a `/`: write `{a,b}`")),
                last => ranges.push((first, last)),
            }
        }
    }
}

/// The glob of a reading.
fn glob(text: &str, tokens: &[Token]) -> Result<Glob, PatternFault> {
    let fault = |fault: fn(String) -> PatternFault| Err(fault(text.to_owned()));
    if wildcards(tokens) > MAX_WILDCARDS {
        return fault(PatternFault::TooManyWildcards);
    }
    let mut names: Vec<&[Token]> = tokens.split(|token| *token == SLASH).collect();
    if names.len() > 1 && (names[0].is_empty() || literal(names[0]).as_deref() == Some(".")) {
        names.remove(0);
    }
    // One `**/` passes as many folders as two.
    names.dedup_by(|one, other| one == other && **one == [Token::StarStar]);
    let is_folder = names.len() > 1 && names[names.len() - 1].is_empty();
    if is_folder {
        names.pop();
    }
    if let [only] = names[..]
        && (only.is_empty() || literal(only).as_deref() == Some("."))
    {
        return fault(PatternFault::Empty);
    }
    for name in &names {
        match literal(name).as_deref() {
            Some("" | ".") => return fault(PatternFault::NoName),
            Some("..") => return fault(PatternFault::Upwards),
            Some(name) if name.eq_ignore_ascii_case(".git") => {
                return fault(PatternFault::GitFolder);
            }
            None if name.len() > 1 && name.contains(&Token::StarStar) => {
                return fault(PatternFault::StarStar);
            }
            _ => {}
        }
    }
    if let [Token::Op(Op::Char(drive)), Token::Op(Op::Char(':')), ..] = names[0]
        && drive.is_ascii_alphabetic()
        && tokens.len() > names[0].len()
    {
        return fault(PatternFault::Drive);
    }
    if is_folder && names.last() == Some(&[Token::StarStar].as_slice()) {
        return fault(PatternFault::StarStarSlash);
    }
    let glob = Glob { ops: steps(&names, is_folder) };
    // Names without classes have been looked at above, and a search costs more than a look.
    let has_class = glob.ops.iter().any(|op| matches!(op, Op::Set(_)));
    if has_class && automaton::is_void(&glob) {
        return fault(PatternFault::Void);
    }
    Ok(glob)
}

/// How many wildcards there are, of those that stand in a row of `?` one.
fn wildcards(tokens: &[Token]) -> usize {
    let is_one = |token: &Token| *token == Token::Op(Op::One);
    let counts = |(number, token): &(usize, &Token)| match token {
        Token::StarStar | Token::Op(Op::Star | Op::Set(_)) => true,
        token => {
            is_one(token) && !number.checked_sub(1).is_some_and(|before| is_one(&tokens[before]))
        }
    };
    tokens.iter().enumerate().filter(counts).count()
}

/// The name, where it has no wildcards.
fn literal(name: &[Token]) -> Option<String> {
    let character =
        |token: &Token| if let Token::Op(Op::Char(c)) = token { Some(*c) } else { None };
    name.iter().map(character).collect()
}

fn steps(names: &[&[Token]], is_folder: bool) -> Vec<Op> {
    let mut ops = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let is_last = number + 1 == names.len();
        for token in *name {
            match token {
                Token::StarStar if is_last => ops.push(Op::Rest),
                Token::StarStar => ops.extend([Op::Dirs, Op::InDir]),
                Token::Op(Op::Star) if ops.last() == Some(&Op::Star) => {}
                Token::Op(op) => ops.push(op.clone()),
            }
        }
        if !is_last && ops.last() != Some(&Op::InDir) {
            ops.push(Op::Char('/'));
        }
    }
    match ops.last() {
        Some(Op::Rest) => {}
        _ if is_folder => ops.extend([Op::Char('/'), Op::Rest]),
        _ if literal(names[names.len() - 1]).is_some() => ops.extend([Op::Below, Op::Rest]),
        _ => ops.push(Op::End),
    }
    ops
}
