//! The door to the user's `git`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// Variables by which git's hooks point a child at a repository; ours is found by folder alone.
const REPOSITORY_VARIABLES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// How many paths one `git` is asked about.
const MAX_PATHS: usize = 200;

/// Whether the user's git is willing to read the repository around `folder`: its own rule on ownership.
pub(super) fn git_trusts(folder: &Path) -> Result<bool, Error> {
    let status = git(folder).args(["rev-parse", "--git-dir"]).status();
    status.map(|status| status.success()).map_err(|source| Error::NoGit { source })
}

/// The folder whose hooks the user's git runs in the worktree `root`: its own, unless `core.hooksPath` says otherwise.
pub(super) fn git_hooks_folder(root: &Path) -> Result<PathBuf, Error> {
    let failed = |what: String| Error::Store { verb: "read", name: "core.hooksPath".to_owned(), what, kind: None };
    let asked = git(root).args(["rev-parse", "--git-path", "hooks"]).stdout(Stdio::piped()).output();
    let asked = asked.map_err(|source| Error::NoGit { source })?;
    if !asked.status.success() {
        return Err(failed(format!("`git rev-parse` ended with {}", asked.status)));
    }
    let path = gix::path::from_byte_slice(asked.stdout.strip_suffix(b"\n").unwrap_or(&asked.stdout));
    Ok(root.join(path.map_err(|error| failed(error.to_string()))?))
}

/// Those of `paths` in the worktree `root` that have one of `attributes`, set or to a value (git-check-attr(1)).
pub(super) fn git_attributes<'a>(root: &Path, attributes: &[&str], paths: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let mut found = Vec::new();
    for some in paths.chunks(MAX_PATHS) {
        let command = &mut git(root);
        command.args(["check-attr", "-z"]).args(attributes).arg("--").args(some).stdout(Stdio::piped());
        let asked = command.output().map_err(|source| Error::NoGit { source })?;
        let words: Vec<&[u8]> = asked.stdout.split(|byte| *byte == 0).collect();
        // A path, an attribute, a value.
        let has = |path: &str| {
            let of_path = words.chunks_exact(3).filter(|entry| entry[0] == path.as_bytes());
            of_path.into_iter().any(|entry| entry[2] != b"unspecified" && entry[2] != b"unset")
        };
        found.extend(some.iter().filter(|path| has(path)));
    }
    Ok(found)
}

/// A silent `git` that works in `folder` and takes no locks that it does not need.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    for variable in REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
