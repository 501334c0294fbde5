//! Lays a bus out in a repository (design, section 6).

use std::path::Path;

use super::{Bus, Error};
use crate::store::{Place, create, replace};

/// The longest `.gitignore` or `.gitattributes` that is read, in bytes.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// The instruction block for AGENTS.md.
pub const AGENTS_MD: &str = include_str!("init/agents.md");

const CONFIG: &str = include_str!("init/config.toml");
const README: &str = include_str!("init/README.md");

/// What keeps a folder in git that has nothing else in it yet.
const KEEP: &str = "# Keeps this folder in git.\n";

/// The folders, beside `_bus`, that a bus is made of.
const FOLDERS: [&str; 3] = ["_plans", "queue", "_report"];

/// The lines that git's own files get.
const LINES: [(&str, &[&str]); 2] = [
    (
        ".gitattributes",
        &[
            "_bus/**/*.jsonl text eol=lf merge=union",
            "_bus/**/*.json text eol=lf",
            "_plans/*.json text eol=lf",
            "_report/agent/*/errors.jsonl text eol=lf merge=union",
            "_report/agent/*/*/* -text",
        ],
    ),
    (
        ".gitignore",
        &[
            "/AGENT_MANIFEST.json",
            "/AGENT_MANIFEST.*.json",
            "_bus/**/.*.tmp",
            "_plans/.*.tmp",
            "queue/.*.tmp",
            "_report/**/.*.tmp",
        ],
    ),
];

const BEGIN: &str = "# bus: begin (`bus deinit` takes this out)\n";
const BEGIN_NEW: &str = "# bus: begin (`bus init` made this file, `bus deinit` takes it away)\n";
const END: &str = "# bus: end";

/// What was laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// The file, below the worktree's root.
    pub path: String,
    /// The lines that were added to it; none where the whole file was made.
    pub lines: Vec<String>,
    /// What the file is called now that stood there before, and is run first: a hook.
    pub earlier: Option<String>,
    /// Whether it is this clone's alone, so that it cannot be committed: a hook.
    pub private: bool,
}

impl Laid {
    /// A file of the worktree.
    fn committed(place: &Place, lines: Vec<String>) -> Self {
        Self { path: place.relative().display().to_string(), lines, earlier: None, private: false }
    }
}

/// A file that is a bus's own, and what it says when nobody has changed it.
pub(super) struct Own {
    pub(super) place: Place,
    pub(super) text: String,
}

impl Bus {
    /// Lays the bus out in this worktree: makes what is missing, and changes no file that stands, but for
    /// the lines that `.gitattributes` and `.gitignore` need. With `hooks`, git runs `bus validate` before each commit and
    /// push from now on, and before that the hooks that stood there.
    ///
    /// # Errors
    ///
    /// [`Error::Hooks`] where the hooks cannot be put in, and [`Error::Store`] where a
    /// link or a folder is in the way: nothing is changed then; or where the disk refuses.
    pub fn init(&self, hooks: bool) -> Result<Vec<Laid>, Error> {
        let _lock = self.lock()?;
        let hooks = if hooks { self.missing_hooks()? } else { Vec::new() };
        let own = self.own_files();
        own.iter().try_for_each(|own| own.place.inspect().map(drop))?;
        self.lined_files().iter().try_for_each(|(place, _)| place.inspect().map(drop))?;
        let mut laid = Vec::new();
        for own in own {
            let folder = own.place.path().parent().is_some_and(Path::exists);
            if (own.text == KEEP && folder) || !create(&own.place, own.text.as_bytes())? {
                continue;
            }
            laid.push(Laid::committed(&own.place, Vec::new()));
        }
        laid.extend(self.lay_lines(&LINES.map(|(name, _)| name))?);
        for hook in hooks {
            laid.push(self.lay_hook(&hook)?);
        }
        Ok(laid)
    }

    /// Adds the lines that those of git's own files lack which are called `names`.
    pub(super) fn lay_lines(&self, names: &[&str]) -> Result<Vec<Laid>, Error> {
        let mut laid = Vec::new();
        for (place, lines) in self.lined_files() {
            if !names.iter().any(|name| place.relative() == Path::new(name)) {
                continue;
            }
            let before = place.read(MAX_TEXT)?;
            if let Some((text, lines)) = with_lines(before.as_deref(), lines) {
                replace(&place, &text)?;
                laid.push(Laid::committed(&place, lines));
            }
        }
        Ok(laid)
    }

    /// The lines that git's own file called `name` lacks.
    pub(super) fn missing_lines(&self, name: &str) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for (place, lines) in self.lined_files().into_iter().filter(|(place, _)| place.relative() == Path::new(name)) {
            missing.extend(with_lines(place.read(MAX_TEXT)?.as_deref(), lines).map_or_else(Vec::new, |(_, lines)| lines));
        }
        Ok(missing)
    }

    /// All files that [`Bus::init`] makes.
    pub(super) fn own_files(&self) -> Vec<Own> {
        // An older bus keeps the one log that it has.
        let single = self.layout.events().join("events.jsonl").exists();
        let config = if single { CONFIG.replace("layout = \"per-agent\"", "layout = \"single\"") } else { CONFIG.to_owned() };
        let mut files = vec![
            Own { place: self.layout.config(), text: config },
            Own { place: self.layout.place("_bus/README.md"), text: README.to_owned() },
        ];
        let keep = |folder: &str| Own { place: self.layout.place(format!("{folder}/.gitkeep")), text: KEEP.to_owned() };
        files.extend(FOLDERS.map(keep));
        files
    }

    /// The files of git's own that got lines, and the lines.
    pub(super) fn lined_files(&self) -> [(Place, &'static [&'static str]); 2] {
        LINES.map(|(name, lines)| (self.layout.place(name), lines))
    }
}

/// Where our block begins in a text, with which line, and where its last line begins.
fn block(text: &[u8]) -> Option<(usize, &'static str, usize)> {
    let find = |needle: &str, from: usize| memchr::memmem::find(&text[from..], needle.as_bytes()).map(|place| from + place);
    let (start, begin) = [BEGIN, BEGIN_NEW].into_iter().find_map(|begin| Some((find(begin, 0)?, begin)))?;
    Some((start, begin, find(END, start)?))
}

/// The text with the lines that it lacks, in a block of their own; nothing where it lacks none.
///
/// A text without a newline at its end still has none afterwards, so that [`without_lines`] can tell.
fn with_lines(text: Option<&[u8]>, lines: &[&str]) -> Option<(Vec<u8>, Vec<String>)> {
    let before = text.unwrap_or_default();
    let has = |wanted: &str| before.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == wanted.as_bytes());
    let missing: Vec<String> = lines.iter().filter(|line| !has(line)).map(|line| (*line).to_owned()).collect();
    if missing.is_empty() {
        return None;
    }
    let added: String = missing.iter().map(|line| format!("{line}\n")).collect();
    if let Some((.., last)) = block(before) {
        return Some(([&before[..last], added.as_bytes(), &before[last..]].concat(), missing));
    }
    let open_end = !before.is_empty() && !before.ends_with(b"\n");
    let mut after = before.to_vec();
    after.extend_from_slice(if open_end { b"\n" } else { b"" });
    after.extend_from_slice(if text.is_some() { BEGIN } else { BEGIN_NEW }.as_bytes());
    after.extend_from_slice(added.as_bytes());
    after.extend_from_slice(END.as_bytes());
    after.extend_from_slice(if open_end { b"" } else { b"\n" });
    Some((after, missing))
}

/// What is left of a text without the block of [`with_lines`]: nothing where it has no block, and nothing inside
/// where the whole file was made by it. Lines that somebody else put into the block stay.
pub(super) fn without_lines(text: &[u8], lines: &[&str]) -> Option<Option<Vec<u8>>> {
    let (start, begin, last) = block(text)?;
    let is_ours = |line: &&[u8]| lines.iter().any(|ours| line.trim_ascii() == ours.as_bytes());
    let inside = text[start + begin.len()..last].split_inclusive(|byte| *byte == b'\n').filter(|line| !is_ours(line));
    let theirs: Vec<u8> = inside.flatten().copied().collect();
    let (start, end) = match text.get(last + END.len()) {
        Some(b'\n') => (start, last + END.len() + 1),
        // The newline before the block is ours, too.
        _ => (start.saturating_sub(1), last + END.len()),
    };
    let left = [&text[..start], &theirs, &text[end..]].concat();
    Some(if begin == BEGIN_NEW && left.is_empty() { None } else { Some(left) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_put_in_is_taken_out_byte_for_byte(text in prop::option::of("[a-c#\r\n]{0,12}")) {
            let before = text.map(String::into_bytes);
            let (after, _) = with_lines(before.as_deref(), &["/one", "/two"]).unwrap();
            prop_assert_eq!(with_lines(Some(&after), &["/one", "/two"]), None);
            prop_assert_eq!(without_lines(&after, &["/one", "/two"]).unwrap(), before);
        }
    }

    #[test]
    fn lines_that_stand_are_not_put_in_again() {
        let (after, added) = with_lines(Some(b"/two\r\n"), &["/one", "/two"]).unwrap();
        assert_eq!(added, ["/one"]);
        assert_eq!(without_lines(&after, &["/one"]).unwrap(), Some(b"/two\r\n".to_vec()));
        assert_eq!(without_lines(b"/two\n", &["/two"]), None);
        let mixed = String::from_utf8(after).unwrap().replace("/one\n", "/one\n/mine\n");
        assert_eq!(without_lines(mixed.as_bytes(), &["/one"]).unwrap(), Some(b"/two\r\n/mine\n".to_vec()));
    }

    #[test]
    fn a_line_that_a_newer_version_needs_joins_the_block() {
        for before in [None, Some(&b"mine"[..])] {
            let (older, _) = with_lines(before, &["/one"]).unwrap();
            let (newer, added) = with_lines(Some(&older), &["/one", "/two"]).unwrap();
            assert_eq!(added, ["/two"]);
            assert_eq!(without_lines(&newer, &["/one", "/two"]).unwrap(), before.map(<[u8]>::to_vec));
        }
    }

    #[test]
    fn the_block_for_agents_is_short() {
        assert!(AGENTS_MD.split_whitespace().count() < 400);
    }

    #[test]
    fn the_config_that_is_laid_out_says_its_defaults_truly() {
        use crate::record::Config;
        let laid = Config::parse(CONFIG).unwrap();
        let uncommented = CONFIG.lines().map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line));
        let spelled = Config::parse(&uncommented.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(Config { ttl: None, ..spelled }, laid);
    }
}
