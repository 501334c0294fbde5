//! Which files are a bus's, and what each of them is (docs/design.md, section 2).

use std::fs::FileType;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::record::{
    AgentId, BUS_FOLDERS, CONFIG_FILE, IGNORE_FILE, PlanId, README_FILE, REPORT_FOLDERS, ROOTS,
    is_folder_of_bus,
};

/// How many characters tell a batch from the other batches of its owner.
const BATCH_LENGTH: usize = 12;

/// The file that says how git treats the files beside and below it.
pub(super) const ATTRIBUTES: &str = ".gitattributes";

/// The endings that make a file one of the bus's.
const ENDINGS: [&str; 4] = [".plan.json", ".jsonl", ".json", ".md"];

/// Whether `path` is in one of the bus's folders, or stands in the place of one, in whatever letter
/// case: not every disk tells them apart.
pub(super) fn is_below_roots(path: &str) -> bool {
    ROOTS.contains(&folded(path.split('/').next().unwrap_or_default()).as_str())
}

/// Whether the validator looks at what a commit has at `path`: what is below the bus's folders, and
/// at the root what decides about it.
pub(super) fn is_looked_at(path: &str) -> bool {
    is_below_roots(path) || path == ATTRIBUTES || is_manifest(path)
}

/// Whether `path` says who works in a worktree, as some disk reads it.
pub(super) fn is_manifest(path: &str) -> bool {
    // A folder of that name would take its place just as well.
    let name = folded(path.split('/').next().unwrap_or_default());
    name.starts_with("agent_manifest") && name.ends_with(".json")
}

/// A name as it is read by disks that do not tell letter cases apart. To some the long `\u{17f}` is
/// an S; some pass over characters that cannot be seen, and some over dots and blanks at the end,
/// and over what follows a `::`.
fn folded(name: &str) -> String {
    let is_unseen = |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let seen: String =
        name.split("::").next().unwrap_or_default().chars().filter(|c| !is_unseen(*c)).collect();
    seen.trim_end_matches(['.', ' ']).to_uppercase().to_lowercase()
}

/// A path that is the bus's on some disks alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misspelled {
    /// What is spelled otherwise: the file, or a folder that it is in.
    pub(super) path: String,
    /// The same as the bus spells it.
    pub(super) meant: String,
}

impl Misspelled {
    /// What is misspelled of `path`; `None` if it is the bus's everywhere, or nowhere.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let mut meant: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let last = parts.len() - 1;
        for (number, part) in parts.iter().enumerate() {
            let name = folded(part);
            let is_known = match (number, meant[0].as_str()) {
                (0, _) => ROOTS.contains(&name.as_str()),
                _ if number == last
                    && [".gitattributes", ".gitignore", "errors.jsonl"]
                        .contains(&name.as_str()) =>
                {
                    true
                }
                (1, "_bus") => BUS_FOLDERS.contains(&name.as_str()) || name == "config.toml",
                (1, "_report") => REPORT_FOLDERS.contains(&name.as_str()),
                (2, "_bus") => name == "agents.json" && meant[1] == "meta",
                _ => false,
            };
            let ends = |end: &str| number == last && name.ends_with(end) && !part.ends_with(end);
            if is_known || ENDINGS.iter().any(|end| ends(end)) {
                meant[number] = name;
            }
        }
        let folder = (0..last).rev().find(|number| meant[*number] != parts[*number]);
        let whole = meant.join("/");
        // A file of the bus's is meant itself; of others the folder is.
        let is_file = whole != path
            && (kind_of(&whole).is_some()
                || folder.is_none() && !ENDINGS.iter().any(|end| whole.ends_with(end)));
        let end = if is_file { last } else { folder? };
        Some(Self { path: parts[..=end].join("/"), meant: meant[..=end].join("/") })
    }
}

/// Whether a name is that of the folder `_bus`, as some disk reads it.
fn is_bus_folder(name: &str) -> bool {
    folded(name) == "_bus"
}

/// Whether `path` is a record file's: anything below `_bus/`, in whatever letter case, but for what
/// belongs in a branch in every bus (docs/design.md, section 1.2).
pub(super) fn is_record_file(path: &str) -> bool {
    let belongs = ["_bus", IGNORE_FILE, README_FILE, CONFIG_FILE, "_bus/meta"];
    is_bus_folder(path.split('/').next().unwrap_or_default())
        && !belongs.contains(&path)
        && !path.starts_with("_bus/meta/")
}

/// What a file of the bus holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Claim,
    Lease,
    Assignment,
    Plan,
    QueueItem,
    Registry,
    Config,
    /// Events.
    Log,
    /// Messages.
    Channel,
    /// What the guard refused.
    Refusals,
}

impl Kind {
    /// Whether it is JSONL, one object a line.
    pub(super) const fn is_lines(self) -> bool {
        matches!(self, Self::Log | Self::Channel | Self::Refusals)
    }
}

/// What stands in the worktree where a file of the bus should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// A file at its place.
    Rightly,
    /// A file in a folder if no reader looks.
    Misplaced,
    /// Something else than a file, or where a folder should be, than a folder.
    Not(&'static str),
    /// A file whose name is no UTF-8, so that no id can be it.
    Unspeakable,
}

impl Stands {
    /// Whether there is a file to be read.
    pub(super) const fn is_readable(self) -> bool {
        matches!(self, Self::Rightly | Self::Misplaced)
    }
}

/// A file of the bus in the worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Below the root, with `/` between folders.
    pub(super) path: String,
    /// None where a folder of the bus is no folder.
    pub(super) kind: Option<Kind>,
    pub(super) stands: Stands,
}

impl Found {
    /// Whether it is the file of one of `plans`, of any where none is named, or what stands in the
    /// place of their folder.
    pub(super) fn is_of(&self, plans: &[PlanId]) -> bool {
        let stem = stem_of(&self.path);
        let is_named =
            plans.is_empty() || plans.iter().any(|plan| plan.as_str().eq_ignore_ascii_case(stem));
        self.path == "_plans" || (self.kind == Some(Kind::Plan) && is_named)
    }
}

/// The name of a file without its folder.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the name of a record file says about what is in it: `QUEUE-001` of
/// `_bus/claims/QUEUE-001.json`.
pub(super) fn stem_of(path: &str) -> &str {
    let name = name_of(path);
    [".plan.json", ".jsonl", ".json"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// A batch of lines of one agent, by its file's name: `_bus/events/codex-1@0123456789ab.jsonl`
/// (docs/design.md, section 1.2).
pub(super) struct Batch<'a> {
    /// Who wrote every line of it.
    pub(super) owner: &'a str,
    id: &'a str,
}

impl<'a> Batch<'a> {
    /// The batch whose file is at `path`; `None` for another file of lines.
    pub(super) fn at(path: &'a str) -> Option<Self> {
        let (owner, id) = stem_of(path).rsplit_once('@')?;
        Some(Self { owner, id })
    }

    /// Whether the name is one that a batch can have.
    pub(super) fn is_well_named(&self) -> bool {
        let is_good = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        AgentId::new(self.owner).is_ok()
            && self.id.len() == BATCH_LENGTH
            && self.id.bytes().all(is_good)
    }
}

/// What the file at `path` is to a bus, and whether it is at its place.
pub(super) fn kind_of(path: &str) -> Option<(Kind, bool)> {
    let parts: Vec<&str> = path.split('/').collect();
    let name = *parts.last()?;
    let ends = |end: &str| name.ends_with(end) && !name.starts_with('.');
    match parts.as_slice() {
        ["_bus", "claims", .., _] if ends(".json") => Some((Kind::Claim, parts.len() == 3)),
        ["_bus", "locks", .., _] if ends(".json") => Some((Kind::Lease, parts.len() == 3)),
        ["_bus", "assignments", .., _] if ends(".json") => {
            Some((Kind::Assignment, parts.len() == 3))
        }
        ["_bus", "events", .., _] if ends(".jsonl") => Some((Kind::Log, parts.len() == 3)),
        ["_bus", "messages", .., _] if ends(".jsonl") => Some((Kind::Channel, parts.len() == 3)),
        ["_bus", "meta", "agents.json"] => Some((Kind::Registry, true)),
        ["_bus", "config.toml"] => Some((Kind::Config, true)),
        ["_plans", .., _] if ends(".plan.json") => Some((Kind::Plan, parts.len() == 2)),
        ["queue", .., _] if ends(".md") && name.as_bytes()[0].is_ascii_digit() => {
            Some((Kind::QueueItem, parts.len() == 2))
        }
        ["_report", "agent", _, "errors.jsonl"] => Some((Kind::Refusals, true)),
        _ => None,
    }
}

/// All files of the bus in the worktree `root`, by path; what cannot be listed is given to
/// `refused`.
pub(super) fn walk(root: &Path, mut refused: impl FnMut(walkdir::Error)) -> Vec<Found> {
    let mut found = Vec::new();
    let walks = [
        ("_bus", usize::MAX),
        ("_plans", usize::MAX),
        ("queue", usize::MAX),
        ("_report", 1),
        ("_report/agent", 2),
    ];
    for (folder, depth) in walks {
        // What is below a link is elsewhere; the link itself is found by the walk of its own
        // folder.
        if folder.split_once('/').is_some_and(|(above, _)| root.join(above).is_symlink()) {
            continue;
        }
        for entry in WalkDir::new(root.join(folder)).follow_root_links(false).max_depth(depth) {
            match entry {
                Ok(entry) => found.extend(look(root, &entry)),
                Err(error)
                    if error
                        .io_error()
                        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {}
                Err(error) => refused(error),
            }
        }
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    found.dedup();
    found
}

fn look(root: &Path, entry: &DirEntry) -> Option<Found> {
    let relative = entry.path().strip_prefix(root).ok()?;
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let path = parts.join("/");
    let kind = kind_of(&path);
    let stands = match (kind, what(entry.file_type())) {
        // What is another repository's is not in this one's commits.
        _ if parts.last().is_some_and(|name| name == ".git") => {
            Stands::Not("a file of another repository")
        }
        (None, what) if is_folder_of_bus(&path) && what != Some("a folder") => {
            Stands::Not(what.unwrap_or("a file"))
        }
        (None, _) => return None,
        (Some(_), Some(what)) => Stands::Not(what),
        (Some(_), None) if relative.to_str().is_none() => Stands::Unspeakable,
        (Some((_, true)), None) => Stands::Rightly,
        (Some((_, false)), None) => Stands::Misplaced,
    };
    Some(Found { path, kind: kind.map(|(kind, _)| kind), stands })
}

/// What something is that is no regular file.
fn what(kind: FileType) -> Option<&'static str> {
    match (kind.is_file(), kind.is_symlink(), kind.is_dir()) {
        (true, ..) => None,
        (_, true, _) => Some("a symlink"),
        (.., true) => Some("a folder"),
        _ => Some("a device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_file_is() {
        for (path, kind) in [
            ("_bus/claims/Q-1.json", Some((Kind::Claim, true))),
            ("_bus/claims/old/Q-1.json", Some((Kind::Claim, false))),
            ("_bus/claims/.Q-1.json.tmp", None),
            ("_bus/claims/.gitkeep", None),
            ("_bus/claims/README.md", None),
            ("_bus/locks/L-1.json", Some((Kind::Lease, true))),
            ("_bus/events/a.jsonl", Some((Kind::Log, true))),
            ("_bus/messages/agent-a.jsonl", Some((Kind::Channel, true))),
            ("_plans/2025-09-19-x.plan.json", Some((Kind::Plan, true))),
            ("_plans/old/2025-09-19-x.plan.json", Some((Kind::Plan, false))),
            ("_plans/README.md", None),
            ("queue/001-x.md", Some((Kind::QueueItem, true))),
            ("queue/done/001-x.md", Some((Kind::QueueItem, false))),
            ("queue/README.md", None),
            ("_report/agent/a/errors.jsonl", Some((Kind::Refusals, true))),
            ("_report/agent/a/log.jsonl", None),
            ("src/_bus/claims/Q-1.json", None),
            ("", None),
        ] {
            assert_eq!(kind_of(path), kind, "{path}");
        }
        for (path, is_record) in [
            ("_bus/claims/Q-1.json", true),
            ("_BUS/Claims/Q-1.json", true),
            ("_bu\u{17f}/x", true),
            ("_Bus/config.toml", true),
            ("_bus/META/agents.json", true),
            ("_bus/notes.md", true),
            ("_bus/.gitignore", false),
            ("_bus/meta/a/b", false),
            ("_bus", false),
            ("queue/001-x.md", false),
            ("src/_bus/claims/Q-1.json", false),
        ] {
            assert_eq!(is_record_file(path), is_record, "{path}");
        }
        assert_eq!((stem_of("_plans/a.plan.json"), stem_of("_bus/events/a.b.jsonl")), ("a", "a.b"));
    }
}
