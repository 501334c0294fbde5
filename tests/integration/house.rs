//! The rooms of the house: which may use which, and that no two call something the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of `src`, and what each may use.
const FLOORS: [(&str, &[&str]); 9] = [
    ("main", &[]),
    ("code", &[]),
    ("record", &[]),
    ("git", &["record"]),
    ("store", &["record"]),
    ("validate", &["git", "store", "record"]),
    ("bus", &["git", "store", "record"]),
    ("report", &["bus", "git", "store", "record"]),
    ("cli", &["bus", "report", "validate", "git", "store", "record"]),
];

/// The rooms of `src/bus`, and what each may use (docs/design.md, section 2). `error` is open to
/// all of them: it joins what each says of its own errors.
const ROOMS: [(&str, &[&str]); 13] = [
    ("error", &["workspace", "claim", "lease", "queue", "plan", "ops", "setup"]),
    ("workspace", &[]),
    ("log", &["workspace"]),
    ("claim", &["workspace", "log"]),
    ("lease", &["workspace", "log", "claim"]),
    ("queue", &["workspace", "claim"]),
    ("plan", &["workspace", "claim"]),
    ("fleet", &["workspace", "log", "claim", "lease"]),
    ("ops", &["workspace", "log", "claim", "lease", "queue", "plan", "fleet"]),
    ("session", &["workspace", "log", "claim", "lease", "queue"]),
    ("setup", &["workspace", "claim", "lease", "fleet"]),
    ("doctor", &["workspace", "claim", "lease", "fleet", "setup"]),
    ("survey", &["workspace", "log", "claim", "queue", "plan", "ops", "session"]),
];

/// Names that two rooms share, each with a reason.
const SHARED_NAMES: [(&str, &str); 0] = [];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(root.join(folder)).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|end| end == "rs"));
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        // Comments may speak of every room; tests at the end of a file belong to it.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        (path.strip_prefix(&root).unwrap().to_owned(), code)
    };
    files.map(|entry| read(entry.path())).collect()
}

/// The first part of a path below `depth` folders, without its ending.
fn part(path: &Path, depth: usize) -> Option<String> {
    let part = path.components().nth(depth)?.as_os_str().to_str()?;
    Some(part.strip_suffix(".rs").unwrap_or(part).to_owned())
}

/// The names that follow `prefix` in `code`: `prefix::a` and each of `prefix::{a, b::{c}}`.
fn named_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let word = |text: &str| -> String {
        let is_of_word = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        text.trim_start().chars().take_while(is_of_word).collect()
    };
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if !rest.starts_with('{') {
            names.insert(word(rest));
            continue;
        }
        let mut depth = 0;
        for (at, letter) in rest.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 1 && matches!(letter, '{' | ',') {
                names.insert(word(&rest[at + 1..]));
            }
            if depth == 0 {
                break;
            }
        }
    }
    names.remove("");
    names
}

/// What each of these rooms uses of the others, and where.
fn arrows(
    sources: &[(PathBuf, String)],
    depth: usize,
    prefixes: &[&str],
) -> BTreeMap<(String, String), BTreeSet<PathBuf>> {
    let mut arrows: BTreeMap<_, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, code) in sources {
        let Some(room) = part(path, depth) else { continue };
        for used in prefixes.iter().flat_map(|prefix| named_after(code, prefix)) {
            if used != room {
                arrows.entry((room.clone(), used)).or_default().insert(path.clone());
            }
        }
    }
    arrows
}

fn check(
    arrows: &BTreeMap<(String, String), BTreeSet<PathBuf>>,
    allowed: &[(&str, &[&str])],
    always: &[&str],
) {
    let rooms: BTreeSet<&str> = allowed.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for ((room, used), places) in arrows {
        if !rooms.contains(used.as_str()) || always.contains(&used.as_str()) {
            continue;
        }
        let may = allowed.iter().find(|(known, _)| known == room).map_or(&[][..], |(_, may)| may);
        if !may.contains(&used.as_str()) {
            wrong.push(format!("{room} uses {used}: {places:?}"));
        }
    }
    assert!(wrong.is_empty(), "arrows that are not allowed:\n{}", wrong.join("\n"));
    let is_used = |room: &str, used: &str| arrows.contains_key(&(room.to_owned(), used.to_owned()));
    let idle = allowed.iter().flat_map(|(room, may)| may.iter().map(move |used| (*room, *used)));
    let idle: Vec<_> = idle.filter(|(room, used)| !is_used(room, used)).collect();
    assert!(idle.is_empty(), "arrows that nothing needs any more: {idle:?}");
}

#[test]
fn each_floor_uses_only_those_below_it() {
    let all = sources("");
    let here = |(path, _): &&(PathBuf, String)| path != Path::new("lib.rs");
    let all: Vec<_> = all.iter().filter(here).cloned().collect();
    check(&arrows(&all, 0, &["crate::"]), &FLOORS, &["code"]);
}

#[test]
fn each_room_uses_only_those_that_it_may() {
    let rooms = sources("bus");
    let faces: Vec<&Path> = rooms
        .iter()
        .filter(|(path, code)| path.components().count() == 2 && code.contains("super::"))
        .map(|(path, _)| path.as_path())
        .collect();
    assert!(faces.is_empty(), "a face names other rooms by `crate::bus`: {faces:?}");
    let deep: Vec<&Path> = rooms
        .iter()
        .filter(|(_, code)| code.contains("super::super::"))
        .map(|(path, _)| path.as_path())
        .collect();
    assert!(deep.is_empty(), "`super::super::` leaves a room by the window: {deep:?}");
    check(&arrows(&rooms, 1, &["crate::bus::"]), &ROOMS, &["error"]);
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let folders: BTreeSet<String> = rooms.iter().filter_map(|(path, _)| part(path, 1)).collect();
    assert_eq!(folders.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn no_two_rooms_have_a_file_or_a_type_of_one_name() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources("bus") {
        let Some(room) = part(&path, 1) else { continue };
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        files.entry(stem).or_default().insert(room.clone());
        for kind in ["struct ", "enum ", "trait ", "type "] {
            for line in code.lines().filter(|line| line.starts_with("pub")) {
                let Some((_, rest)) = line.split_once(kind) else { continue };
                let end = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
                types.entry(rest[..end].to_owned()).or_default().insert(room.clone());
            }
        }
    }
    let is_shared = |name: &str| SHARED_NAMES.iter().any(|(known, _)| *known == name);
    let twice: Vec<_> = files
        .iter()
        .chain(&types)
        .filter(|(name, rooms)| rooms.len() > 1 && !is_shared(name))
        .collect();
    assert!(twice.is_empty(), "names that two rooms have: {twice:?}");
}
