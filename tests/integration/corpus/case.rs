//! Reads the corpus of the validator; its form is told in `tests/fixtures/validate/README.md`.

use std::fmt;

/// A small bus, and what is to be found in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// The rule whose file it is in, `bad` or `near-miss`, and what it is.
    pub(crate) rule: String,
    pub(crate) is_bad: bool,
    pub(crate) name: String,
    pub(crate) expected: Vec<String>,
    pub(crate) branch: Option<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) needs_letter_case: bool,
    pub(crate) needs_commit: bool,
    pub(crate) files: Vec<File>,
}

/// A file of a case.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) what: What,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tree,
    Base,
    Later,
    Branch(String),
    Ref { by: Option<String> },
    Log(String),
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Bytes(Vec<u8>),
    Unended(Vec<u8>),
    Link(String),
    Gone,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.txt, {}: {}",
            self.rule,
            if self.is_bad { "bad" } else { "near-miss" },
            self.name
        )
    }
}

impl Case {
    /// The files in one place.
    pub(crate) fn files_of(&self, place: &Place) -> Vec<&File> {
        self.files.iter().filter(|file| file.place == *place).collect()
    }

    /// The other branches.
    pub(crate) fn branches(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .files
            .iter()
            .filter_map(|file| match &file.place {
                Place::Branch(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn read_head(&mut self, line: &str) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "expect" => self.expected.push(value.to_owned()),
            "branch" => self.branch = Some(value.to_owned()),
            "args" => self.arguments.extend(value.split(' ').map(str::to_owned)),
            "needs" if value == "letter-case" => self.needs_letter_case = true,
            "needs" if value == "commit" => self.needs_commit = true,
            _ => panic!("{self}: {line:?} is no line of a head"),
        }
    }
}

/// Reads the cases of one file.
pub(crate) fn read(rule: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut blank = 0;
    for line in text.lines() {
        if let Some(title) = between(line, "== ", " ==") {
            let (sort, name) = title.split_once(": ").unwrap();
            assert!(matches!(sort, "bad" | "near-miss"), "{rule}: {line}");
            let (rule, name) = (rule.to_owned(), name.to_owned());
            cases.push(Case { rule, is_bad: sort == "bad", name, ..Case::default() });
            blank = 0;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(marker) = between(line, "-- ", " --") {
            case.files.push(file(marker));
            blank = 0;
        } else if line.is_empty() {
            blank += 1;
        } else {
            let blank = std::mem::take(&mut blank);
            match case.files.last_mut().map(|file| &mut file.what) {
                None => case.read_head(line),
                Some(What::Bytes(bytes) | What::Unended(bytes)) => {
                    bytes.extend(std::iter::repeat_n(b'\n', blank));
                    bytes.extend(unescape(line));
                    bytes.push(b'\n');
                }
                Some(What::Link(_) | What::Gone) => {
                    panic!("{case}: {line:?} is below what has no text")
                }
            }
        }
    }
    cases.iter_mut().flat_map(|case| &mut case.files).for_each(|file| {
        if let What::Unended(bytes) = &mut file.what {
            bytes.pop();
        }
    });
    cases
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(end)
}

/// Reads `[where] [what] PATH`.
fn file(marker: &str) -> File {
    let words: Vec<&str> = marker.split(' ').collect();
    let (place, rest) = match words.as_slice() {
        ["base:", rest @ ..] => (Place::Base, rest),
        ["later:", rest @ ..] => (Place::Later, rest),
        ["on", branch, rest @ ..] => {
            (Place::Branch(branch.strip_suffix(':').unwrap().to_owned()), rest)
        }
        ["ref", name, "by", author] => {
            (Place::Ref { by: Some((*author).to_owned()) }, std::slice::from_ref(name))
        }
        ["ref", rest @ ..] => (Place::Ref { by: None }, rest),
        ["log", name, rest @ ..] => (Place::Log(name.strip_suffix(':').unwrap().to_owned()), rest),
        rest => (Place::Tree, rest),
    };
    let (path, what) = match rest {
        ["unended", path] => (path, What::Unended(Vec::new())),
        ["link", path, "->", target] => (path, What::Link((*target).to_owned())),
        ["gone", path] => (path, What::Gone),
        [path] => (path, What::Bytes(Vec::new())),
        _ => panic!("{marker:?} names no file"),
    };
    File { place, path: (*path).to_owned(), what }
}

/// `\xff` is a byte, `\x{TEXT*N}` a text many times; all else is itself.
fn unescape(line: &str) -> Vec<u8> {
    let mut pieces = line.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let rest = if let Some((many, rest)) =
            piece.strip_prefix('{').and_then(|piece| piece.split_once('}'))
        {
            let (text, count) = many.rsplit_once('*').unwrap();
            bytes.extend(text.repeat(count.parse().unwrap()).bytes());
            rest
        } else {
            bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
            &piece[2..]
        };
        bytes.extend(rest.bytes());
    }
    bytes
}

#[test]
fn a_case_is_read_as_its_form_says() {
    let text = "words\n== bad: a thing ==\nexpect x y:1\n-- base: link a -> b --\n-- on o/p: unended c --\n\n1\\x00\n\n2\\x{ab*2}c\n\n\n\
                == near-miss: another ==\n-- gone d --\n";
    let cases = read("x", text);
    assert_eq!(cases.len(), 2);
    assert_eq!(
        (cases[0].to_string().as_str(), cases[0].expected.len()),
        ("x.txt, bad: a thing", 1)
    );
    assert_eq!(cases[0].files[0].what, What::Link("b".to_owned()));
    assert_eq!(cases[0].files[1].what, What::Unended(b"\n1\0\n\n2ababc".to_vec()));
    assert_eq!(cases[0].branches(), ["o/p"]);
    assert_eq!(cases[1].files_of(&Place::Tree)[0].what, What::Gone);
}
