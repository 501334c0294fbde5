//! Which paths of the repository somebody means who asks for a lease, and whether there is any such
//! file.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::lease_table::fold;
use crate::bus::Error;
use crate::bus::workspace::{NamedPath, Workspace, named_path};
use crate::record::{Pattern, Scope};

/// What is special in a pattern: the names before it are those of a file or folder.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// How many files on the disk are looked at for one pattern that no tracked file matches.
const MAX_LOOKED_AT: usize = 10_000;

/// A pattern that somebody typed.
#[derive(Debug)]
pub(crate) struct WantedPattern {
    /// As it was typed.
    pub(crate) typed: String,
    /// What it means from the root of the repository: more than one pattern if it names a link,
    /// which is held with what it leads to.
    pub(crate) patterns: Vec<Pattern>,
}

impl WantedPattern {
    /// Whether it means something else than its words say.
    #[must_use]
    pub(crate) fn is_changed(&self) -> bool {
        let said = Pattern::parse(&self.typed);
        said.map_or(true, |said| self.patterns != [said])
    }
}

/// What the patterns that were typed mean. One that names a file in full, through a link or in
/// another worktree of the clone becomes the name that the file has in the repository.
///
/// # Errors
///
/// [`Error::Usage`] for a pattern that leads out of the repository, or is none; [`Error::Store`] if
/// a folder on the way cannot be read.
pub(crate) fn wanted_patterns<'a>(
    ws: &Workspace,
    typed: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<WantedPattern>, Error> {
    typed.into_iter().map(|typed| wanted_pattern(ws, typed)).collect()
}

fn wanted_pattern(ws: &Workspace, typed: &str) -> Result<WantedPattern, Error> {
    let root = ws.repo.root();
    if typed == "~" || typed.starts_with("~/") {
        return Err(unusable(format!(
            "`{typed}` is no path here: only a shell knows `~`, and not in quotes"
        )));
    }
    let (literal, rest) = split(typed);
    let is_whole = literal.starts_with('/') && !is_from_root(root, literal);
    let from_root = match is_whole {
        true => Path::new(literal),
        false => Path::new(literal.trim_start_matches('/')),
    };
    // A link that has names behind it is followed.
    let has_rest = !rest.is_empty();
    let place = if has_rest { from_root.join("_") } else { from_root.to_owned() };
    let NamedPath::Inside { mut name, target, .. } = named_path(ws, root, &place)? else {
        return Err(unusable(format!("`{typed}` leads to no file of this repository")));
    };
    if has_rest {
        name.pop();
    }
    if target.is_none() && name == from_root {
        let patterns = vec![Pattern::parse(typed).map_err(|fault| unusable(fault.to_string()))?];
        return Ok(WantedPattern { typed: typed.to_owned(), patterns });
    }
    let names = [Some(name), target.filter(|_| !has_rest)];
    let spelled = names.into_iter().flatten().map(|name| spell(typed, &name, rest));
    Ok(WantedPattern { typed: typed.to_owned(), patterns: spelled.collect::<Result<_, _>>()? })
}

/// The names that a pattern begins with, and the rest, which begins with `/` or has something
/// special.
fn split(typed: &str) -> (&str, &str) {
    let literal = match typed.find(SPECIAL) {
        None => typed.trim_end_matches('/'),
        Some(special) => &typed[..typed[..special].rfind('/').unwrap_or(0)],
    };
    typed.split_at(literal.len())
}

/// Whether a pattern that begins with `/` begins at the root of the repository, as one of git-ignore
/// does: its first name is there, or is not at the root of the system.
fn is_from_root(root: &Path, literal: &str) -> bool {
    let first = literal.split('/').find(|name| !name.is_empty()).unwrap_or_default();
    let is_there = |folder: &Path| folder.join(first).symlink_metadata().is_ok();
    !root.starts_with(Path::new("/").join(first)) && is_there(root) || !is_there(Path::new("/"))
}

/// The pattern that begins with the file or folder `name` of the repository.
fn spell(typed: &str, name: &Path, rest: &str) -> Result<Pattern, Error> {
    let name =
        name.to_str().ok_or_else(|| unusable(format!("`{typed}` leads to no name in UTF-8")))?;
    let mut text = String::new();
    for character in name.chars() {
        if SPECIAL.contains(&character) || text.is_empty() && character == '!' {
            text.push('\\');
        }
        text.push(character);
    }
    text.push_str(if text.is_empty() { rest.trim_start_matches('/') } else { rest });
    Pattern::parse(&text).map_err(|fault| unusable(fault.to_string()))
}

fn unusable(what: String) -> Error {
    let hint = "write patterns from the root of the repository, such as `src/**`".to_owned();
    Error::Usage { what, hint }
}

/// How many files of this worktree a pattern matches now, those of a sparse worktree that are not
/// checked out as well; `None` if that cannot be found out.
#[must_use]
pub(crate) fn files_matching(ws: &Workspace, scope: &Scope) -> Vec<Option<usize>> {
    let (fold, patterns) = (fold(ws), scope.patterns());
    let Ok(tracked) = ws.repo.tracked_files() else { return vec![None; patterns.len()] };
    let mut found = vec![0; patterns.len()];
    let mut has_folders = false;
    for name in tracked.names() {
        has_folders |= name.ends_with('/');
        if !scope.deny().iter().any(|deny| deny.matches(&name, fold)) {
            for (found, pattern) in found.iter_mut().zip(patterns) {
                *found += usize::from(pattern.matches(&name, fold));
            }
        }
    }
    let count = |(found, pattern): (usize, &Pattern)| match found {
        0 if has_folders => None,
        0 => on_disk(ws, &Scope::new(vec![pattern.clone()], scope.deny().to_vec())),
        found => Some(found),
    };
    found.into_iter().zip(patterns).map(count).collect()
}

/// How many files on the disk a scope of one pattern matches; `None` if there is too much to look
/// at.
fn on_disk(ws: &Workspace, scope: &Scope) -> Option<usize> {
    let (fold, root) = (fold(ws), ws.repo.root());
    let start: PathBuf = root.join(split(scope.patterns().first()?.as_str()).0);
    if start.symlink_metadata().is_err() {
        return Some(0);
    }
    let is_gits = |entry: &DirEntry| entry.file_name() == ".git";
    let mut found = 0;
    let walk = WalkDir::new(start).into_iter().filter_entry(|entry| !is_gits(entry));
    for (number, entry) in walk.enumerate() {
        let entry = entry.ok().filter(|_| number < MAX_LOOKED_AT)?;
        let name = entry.path().strip_prefix(root).ok()?.to_string_lossy();
        found += usize::from(!entry.file_type().is_dir() && scope.matches(&name, fold));
    }
    Some(found)
}
