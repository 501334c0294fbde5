//! Lays a bus out in a repository (docs/design.md, section 6).

use std::path::Path;

use super::{deinit, hooks};
use crate::bus::Error;
use crate::bus::workspace::{IGNORE_RECORDS, Mode, Note, Workspace, remove};
use crate::record::{Config, IGNORE_FILE, README_FILE, RECORD_FOLDERS, Records};
use crate::store::{Lock, Place, create, replace, sha256_of};

/// The longest `.gitignore` or `.gitattributes` that is read, in bytes.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// The instruction block for AGENTS.md.
pub(crate) const AGENTS_MD: &str = include_str!("init/agents.md");

const CONFIG: &str = include_str!("init/config.toml");

const README: &str = include_str!("../../../docs/protocol.md");

/// What keeps a folder in git that has nothing else in it yet.
const KEEP: &str = "# Keeps this folder in git.\n";

/// The folders, beside `_bus`, that a bus is made of.
const FOLDERS: [&str; 3] = ["_plans", "queue", "_report"];

/// The lines that git's own files get: the file, the lines in every bus, and those for records that
/// are files of branches.
const LINES: [(&str, &[&str], &[&str]); 2] = [
    (
        ".gitattributes",
        &["_plans/*.json text eol=lf", "_report/agent/*/*/* -text"],
        &["_bus/**/*.jsonl text eol=lf", "_bus/**/*.json text eol=lf"],
    ),
    (
        ".gitignore",
        &[
            "/AGENT_MANIFEST.json",
            "/AGENT_MANIFEST.*.json",
            "_plans/.*.tmp",
            "queue/.*.tmp",
            "_report/**/.*.tmp",
        ],
        &["_bus/**/.*.tmp"],
    ),
];

/// The lines that version 0.1 wrote and this one does not: forges merge by no such attributes.
const OLDER_LINES: [&str; 2] = [
    "_bus/**/*.jsonl text eol=lf merge=union",
    "_report/agent/*/errors.jsonl text eol=lf merge=union",
];

/// The SHA-256 of the page on the protocol that version 0.1 wrote.
const OLDER_README: &str = "2c53c80a163cd88e28ed6d49a6ef1c65e81166033127b8f8aead56265fe0bc3c";

const BEGIN: &str = "# bus: begin (`bus deinit` takes this out)\n";

const BEGIN_NEW: &str = "# bus: begin (`bus init` made this file, `bus deinit` takes it away)\n";

const END: &str = "# bus: end";

/// What was laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Laid {
    /// The file, below the worktree's root.
    pub(crate) path: String,
    /// The lines that were added to it, or `None` if the whole file was made.
    pub(crate) lines: Vec<String>,
    /// What the file is called now that stood there before, and is run first: a hook.
    pub(crate) earlier: Option<String>,
    /// Whether it is this clone's alone, so that it cannot be committed: a hook.
    pub(crate) private: bool,
}

impl Laid {
    /// A file of the worktree.
    fn committed(place: &Place, lines: Vec<String>) -> Self {
        Self { path: place.relative().display().to_string(), lines, earlier: None, private: false }
    }
}

/// What `bus init` did.
#[derive(Clone, Debug)]
pub(crate) struct LaidOut {
    /// The files that were written.
    pub(crate) files: Vec<Laid>,
    /// Where this clone keeps records now.
    pub(crate) mode: Mode,
    /// Why.
    pub(crate) why: &'static str,
    /// Whether that was something else before.
    pub(crate) is_moved: bool,
    /// Whether commits have record files that are only read from now on.
    pub(crate) has_frozen: bool,
}

/// A file that is a bus's own, and what it says when nobody has changed it.
pub(in crate::bus) struct Own {
    pub(in crate::bus) place: Place,
    pub(in crate::bus) text: String,
}

/// Lays the bus out in this worktree: makes what is missing, and changes no file that stands, but
/// for the lines that `.gitattributes` and `.gitignore` need, and for `[records]` in the policy.
/// With `hooks`, git runs `bus validate` before each commit and push from now on, and before that
/// the hooks that stood there. `wanted` says where records shall be kept; without it a new bus
/// keeps them untracked, and one that stands stays as it is.
///
/// # Errors
///
/// [`Error::Hooks`] if the hooks cannot be put in, [`Error::MalformedConfig`] if the policy cannot
/// be read, and [`Error::Store`] if a link or a folder is in the way: nothing is changed then; or
/// if the disk refuses.
pub(crate) fn init(ws: &Workspace, hooks: bool, wanted: Option<Records>) -> Result<LaidOut, Error> {
    let lock = ws.lock_alone()?;
    let (mode, why, is_moved) = mode_to_be(ws, wanted)?;
    let hooks = if hooks { hooks::missing_hooks(ws)? } else { Vec::new() };
    let own = own_files(ws, mode);
    own.iter().try_for_each(|own| own.place.inspect().map(drop))?;
    lined_files(ws, mode).iter().try_for_each(|(place, _)| place.inspect().map(drop))?;
    let mut laid = Vec::new();
    for own in own {
        let folder = own.place.path().parent().is_some_and(Path::exists);
        if (own.text == KEEP && folder) || !create(&own.place, own.text.as_bytes())? {
            continue;
        }
        laid.push(Laid::committed(&own.place, Vec::new()));
    }
    laid.extend(lay_lines(ws, &LINES.map(|(name, ..)| name), mode)?);
    for hook in hooks {
        laid.push(hooks::lay_hook(ws, &hook)?);
    }
    laid.extend(lay_records(ws, &lock, mode)?);
    let is_first = ws.import_note()?.is_none();
    // From here on the clone is of that mode, whatever was known before.
    let moved = Workspace::of_repository(ws.options())?;
    moved.move_over(&lock)?;
    if is_moved && !is_first {
        moved.import_again(&lock)?;
    }
    if mode != Mode::Untracked
        && let Some(place) = ws.ignored_records()?
    {
        let text = format!(
            "git ignores `{place}`, so these records cannot be committed; `bus doctor` says what to do"
        );
        ws.notes.add(Note::Warning(text));
    }
    let has_frozen = mode == Mode::Untracked
        && RECORD_FOLDERS.iter().any(|folder| ws.repo.head_has(&format!("_bus/{folder}")));
    Ok(LaidOut { files: laid, mode, why, is_moved, has_frozen })
}

/// Where records are to be kept, why, and whether that is something else than before.
fn mode_to_be(
    ws: &Workspace,
    wanted: Option<Records>,
) -> Result<(Mode, &'static str, bool), Error> {
    let noted = ws.private.records().inspect()?.is_some();
    let has_policy = ws.layout.config().inspect()?.is_some();
    let has_records =
        RECORD_FOLDERS.iter().any(|folder| ws.layout.root().join("_bus").join(folder).is_dir());
    let is_new = !noted && !has_policy && !has_records && !ws.repo.target_has("_bus");
    let before = if is_new { None } else { Some(ws.mode()?) };
    let to_be = match (wanted, before) {
        (Some(Records::Tracked), _) => Mode::Tracked,
        (Some(Records::Untracked), _) | (None, None) => Mode::Untracked,
        (None, Some(before)) => before,
    };
    let why = match (wanted, before) {
        (Some(_), _) => "as you asked",
        (None, None) => {
            "a new bus keeps its records out of the branches, so no pull request conflicts in them"
        }
        (None, Some(Mode::Older)) => {
            "it was laid out by an older version; `bus init --untracked` moves it over"
        }
        (None, Some(_)) => "as this clone has it",
    };
    Ok((to_be, why, before.is_some_and(|before| before != to_be)))
}

/// Notes the mode in this clone, and writes it into the policy; in an older bus neither.
fn lay_records(ws: &Workspace, lock: &Lock, mode: Mode) -> Result<Vec<Laid>, Error> {
    let records = match mode {
        Mode::Untracked => Records::Untracked,
        Mode::Tracked => Records::Tracked,
        Mode::Older => return Ok(Vec::new()),
    };
    let mut laid = Vec::new();
    let place = ws.layout.config();
    let text = place.read(MAX_TEXT)?.unwrap_or_default();
    if let Some((text, line)) = with_records(&text, records) {
        replace(&place, &text)?;
        laid.push(Laid::committed(&place, vec![line]));
    }
    let ignore = ws.layout.place(IGNORE_FILE);
    if records == Records::Tracked
        && ignore.read(MAX_TEXT)?.as_deref() == Some(IGNORE_RECORDS.as_bytes())
    {
        // It would hide the batches and claims that are to be committed; the copies would be
        // committed with them.
        deinit::remove_copies(ws)?;
        remove(&ignore.path())?;
    }
    laid.extend(renew_older(ws)?);
    ws.set_records(lock, records)?;
    Ok(laid)
}

/// Takes out the lines that version 0.1 gave git's own files, and writes its page on the protocol
/// anew if nobody changed it.
fn renew_older(ws: &Workspace) -> Result<Vec<Laid>, Error> {
    let mut laid = Vec::new();
    for (place, _) in all_lines(ws) {
        let Some(text) = place.read(MAX_TEXT)? else { continue };
        // Only what stands in our own block is ours.
        let Some((start, _, end)) = block(&text) else { continue };
        let is_older =
            |line: &&[u8]| OLDER_LINES.iter().any(|older| line.trim_ascii() == older.as_bytes());
        let ours =
            text[start..end].split_inclusive(|byte| *byte == b'\n').filter(|line| !is_older(line));
        let kept =
            [&text[..start], &ours.flatten().copied().collect::<Vec<u8>>(), &text[end..]].concat();
        if kept != text {
            replace(&place, &kept)?;
            laid.push(Laid::committed(
                &place,
                vec!["(without merge=union, which forges do not heed)".to_owned()],
            ));
        }
    }
    let page = ws.layout.place(README_FILE);
    if page.read(MAX_TEXT)?.is_some_and(|text| sha256_of(&text).to_string() == OLDER_README) {
        replace(&page, README.as_bytes())?;
        laid.push(Laid::committed(&page, Vec::new()));
    }
    Ok(laid)
}

/// Adds the lines that those of git's own files lack which are called `names`.
pub(in crate::bus) fn lay_lines(
    ws: &Workspace,
    names: &[&str],
    mode: Mode,
) -> Result<Vec<Laid>, Error> {
    let mut laid = Vec::new();
    for (place, lines) in lined_files(ws, mode) {
        if !names.iter().any(|name| place.relative() == Path::new(name)) {
            continue;
        }
        let before = place.read(MAX_TEXT)?;
        if let Some((text, lines)) = with_lines(before.as_deref(), &lines) {
            replace(&place, &text)?;
            laid.push(Laid::committed(&place, lines));
        }
    }
    Ok(laid)
}

/// The lines that git's own file called `name` lacks.
pub(in crate::bus) fn missing_lines(ws: &Workspace, name: &str) -> Result<Vec<String>, Error> {
    let mut missing = Vec::new();
    for (place, lines) in lined_files(ws, ws.mode()?)
        .into_iter()
        .filter(|(place, _)| place.relative() == Path::new(name))
    {
        missing.extend(
            with_lines(place.read(MAX_TEXT)?.as_deref(), &lines)
                .map_or_else(Vec::new, |(_, lines)| lines),
        );
    }
    Ok(missing)
}

/// All files that [`init`] makes in a bus of this mode.
pub(super) fn own_files(ws: &Workspace, mode: Mode) -> Vec<Own> {
    let section = records_section(Records::Untracked);
    let config = match mode {
        Mode::Untracked => CONFIG.to_owned(),
        Mode::Tracked => CONFIG.replace(&section, &records_section(Records::Tracked)),
        // Readers of an older tool know no such section.
        Mode::Older => CONFIG.replace(&format!("{section}\n"), ""),
    };
    let mut files = vec![
        Own { place: ws.layout.config(), text: config },
        Own { place: ws.layout.place(README_FILE), text: README.to_owned() },
    ];
    if mode == Mode::Untracked {
        files.push(Own { place: ws.layout.place(IGNORE_FILE), text: IGNORE_RECORDS.to_owned() });
    }
    let keep = |folder: &str| Own {
        place: ws.layout.place(format!("{folder}/.gitkeep")),
        text: KEEP.to_owned(),
    };
    files.extend(FOLDERS.map(keep));
    files
}

/// The files of git's own that get lines, and the lines.
fn lined_files(ws: &Workspace, mode: Mode) -> [(Place, Vec<&'static str>); 2] {
    LINES.map(|(name, always, for_records)| {
        let for_records = if mode == Mode::Tracked { for_records } else { &[] };
        (ws.layout.place(name), always.iter().chain(for_records).copied().collect())
    })
}

/// The files of git's own, and all lines that any version of `bus init` has put there.
pub(super) fn all_lines(ws: &Workspace) -> [(Place, Vec<&'static str>); 2] {
    LINES.map(|(name, always, for_records)| {
        (
            ws.layout.place(name),
            always.iter().chain(for_records).chain(&OLDER_LINES).copied().collect(),
        )
    })
}

/// What the policy says of records.
fn records_section(records: Records) -> String {
    let tracked = records == Records::Tracked;
    format!(
        "[records]\n\
         # Where claims, assignments, events and messages are kept: false, in each clone beside the branches; true, in files of the\n\
         # branches, too. Only `bus init --tracked` and `bus init --untracked` change it.\n\
         tracked = {tracked}\n"
    )
}

/// A policy that says where records are kept, and the line that says it; `None` if it does already.
/// All else stays as it is.
fn with_records(text: &[u8], records: Records) -> Option<(Vec<u8>, String)> {
    let line = format!("tracked = {}", records == Records::Tracked);
    let text = String::from_utf8_lossy(text);
    if Config::parse(&text).is_ok_and(|config| config.records == Some(records)) {
        return None;
    }
    let mut in_section = false;
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for known in &mut lines {
        let word = known.trim();
        if word.starts_with('[') {
            in_section = word == "[records]";
        } else if in_section && word.split('=').next().is_some_and(|key| key.trim() == "tracked") {
            *known = format!("{line}\n");
            return Some((lines.concat().into_bytes(), line));
        }
    }
    let section = records_section(records);
    if let Some(place) = last_fleet(&text) {
        return Some((
            format!("{}{section}\n{}", &text[..place], &text[place..]).into_bytes(),
            line,
        ));
    }
    let gap = match text.as_ref() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Some((format!("{text}{gap}{section}").into_bytes(), line))
}

/// Where `[fleet]` begins with what is said of it, if it is the last section of a policy:
/// `bus init --remote` writes it there.
fn last_fleet(text: &str) -> Option<usize> {
    let begins = |place: usize| place == 0 || text[..place].ends_with('\n');
    let header = text.rmatch_indices('[').map(|(place, _)| place).find(|place| begins(*place))?;
    let mut place = text[header..].starts_with("[fleet]").then_some(header)?;
    let line_before = |place: usize| {
        text[..place].strip_suffix('\n').map(|before| before.rfind('\n').map_or(0, |end| end + 1))
    };
    while let Some(line) = line_before(place).filter(|line| text[*line..].starts_with('#')) {
        place = line;
    }
    let introduced = text[..place].rfind("# Clones that share a remote").filter(|start| {
        let between = text[*start..place].trim_end().lines();
        begins(*start) && between.into_iter().all(|line| line.starts_with('#'))
    });
    Some(introduced.unwrap_or(place))
}

/// A policy without the section that [`with_records`] has added; `None` if it has none.
pub(super) fn without_records(text: &[u8]) -> Option<Vec<u8>> {
    [Records::Untracked, Records::Tracked].into_iter().find_map(|records| {
        let section = records_section(records);
        let start = memchr::memmem::find(text, section.as_bytes())?;
        let end = start + section.len();
        // The empty line before it came with it.
        let start = start - usize::from(text[..start].ends_with(b"\n\n"));
        Some([&text[..start], &text[end..]].concat())
    })
}

/// Where our block begins in a text, with which line, and where its last line begins.
fn block(text: &[u8]) -> Option<(usize, &'static str, usize)> {
    let find = |needle: &str, from: usize| {
        memchr::memmem::find(&text[from..], needle.as_bytes()).map(|place| from + place)
    };
    let (start, begin) =
        [BEGIN, BEGIN_NEW].into_iter().find_map(|begin| Some((find(begin, 0)?, begin)))?;
    Some((start, begin, find(END, start)?))
}

/// The text with the lines that it lacks, in a block of their own, or `None` if it lacks none.
///
/// A text without a newline at its end still has none afterwards, so that [`without_lines`] can
/// tell.
fn with_lines(text: Option<&[u8]>, lines: &[&str]) -> Option<(Vec<u8>, Vec<String>)> {
    let before = text.unwrap_or_default();
    let has = |wanted: &str| {
        before.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == wanted.as_bytes())
    };
    let missing: Vec<String> =
        lines.iter().filter(|line| !has(line)).map(|line| (*line).to_owned()).collect();
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

/// What is left of a text without the block of [`with_lines`]: nothing where it has no block, and
/// nothing inside where the whole file was made by it. Lines that somebody else put into the block
/// stay.
pub(super) fn without_lines(text: &[u8], lines: &[&str]) -> Option<Option<Vec<u8>>> {
    let (start, begin, last) = block(text)?;
    let is_ours = |line: &&[u8]| lines.iter().any(|ours| line.trim_ascii() == ours.as_bytes());
    let inside = text[start + begin.len()..last]
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !is_ours(line));
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
        assert_eq!(
            without_lines(mixed.as_bytes(), &["/one"]).unwrap(),
            Some(b"/two\r\n/mine\n".to_vec())
        );
    }

    #[test]
    fn a_line_that_a_newer_version_needs_joins_the_block() {
        for before in [None, Some(&b"mine"[..])] {
            let (older, _) = with_lines(before, &["/one"]).unwrap();
            let (newer, added) = with_lines(Some(&older), &["/one", "/two"]).unwrap();
            assert_eq!(added, ["/two"]);
            assert_eq!(
                without_lines(&newer, &["/one", "/two"]).unwrap(),
                before.map(<[u8]>::to_vec)
            );
        }
    }

    #[test]
    fn the_block_for_agents_is_short() {
        assert!(AGENTS_MD.split_whitespace().count() < 450);
    }

    #[test]
    fn the_config_that_is_laid_out_says_its_defaults_truly() {
        use crate::record::Config;
        let laid = Config::parse(CONFIG).unwrap();
        let uncommented = CONFIG.lines().map(|line| {
            line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line)
        });
        let spelled = Config::parse(&uncommented.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(Config { ttl: None, ..spelled }, laid);
        assert!(CONFIG.contains(&records_section(Records::Untracked)));
    }

    #[test]
    fn where_records_are_kept_is_written_once_and_taken_out_again() {
        for before in [
            "",
            "managers = []\n",
            "[claims]\nttl = \"4h\"",
            "# x\n\n[fleet]\nremote = \"o\"\nid = \"0123456789ab\"\n",
        ] {
            let (added, line) = with_records(before.as_bytes(), Records::Untracked).unwrap();
            assert_eq!(line, "tracked = false");
            let (head, fleet) = before.split_at(before.find("[fleet]").unwrap_or(before.len()));
            assert!(added.starts_with(head.as_bytes()) && added.ends_with(fleet.as_bytes()));
            assert_eq!(with_records(&added, Records::Untracked), None);
            let (turned, _) = with_records(&added, Records::Tracked).unwrap();
            assert_eq!(
                Config::parse(std::str::from_utf8(&turned).unwrap()).unwrap().records,
                Some(Records::Tracked)
            );
            assert_eq!(turned.len() + 1, added.len());
            let left = without_records(&turned).unwrap();
            assert_eq!(String::from_utf8(left).unwrap().trim_end(), before.trim_end());
        }
    }
}
