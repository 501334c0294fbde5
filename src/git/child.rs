//! The door to the user's `git`.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::interrupt::Listening;
use super::{Error, companion};

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

/// The shortest and the longest pause between two looks whether a `git` that talks to a remote has
/// ended.
const LOOKS: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(5));

/// How long a `git` that is told to end may clear away its locks.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(1);

/// How much of what a `git` complains about is read, in bytes.
const MAX_COMPLAINT: u64 = 16 * 1024;

/// How much of a `git`'s answer is read, in bytes: that of a remote with a million refs has less.
const MAX_ANSWER: u64 = 128 * 1024 * 1024;

/// Whether the user's git is willing to read the repository around `folder`: its own rule on
/// ownership.
pub(super) fn git_trusts(folder: &Path) -> Result<bool, Error> {
    let status = git(folder).args(["rev-parse", "--git-dir"]).status();
    status.map(|status| status.success()).map_err(|source| Error::NoGit { source })
}

/// The folder whose hooks the user's git runs in the worktree `root`: its own, unless
/// `core.hooksPath` says otherwise.
pub(super) fn git_hooks_folder(root: &Path) -> Result<PathBuf, Error> {
    let failed = |what: String| Error::Store {
        verb: "read",
        name: "core.hooksPath".to_owned(),
        what,
        kind: None,
    };
    let asked =
        git(root).args(["rev-parse", "--git-path", "hooks"]).stdout(Stdio::piped()).output();
    let asked = asked.map_err(|source| Error::NoGit { source })?;
    if !asked.status.success() {
        return Err(failed(format!("`git rev-parse` ended with {}", asked.status)));
    }
    let path =
        gix::path::from_byte_slice(asked.stdout.strip_suffix(b"\n").unwrap_or(&asked.stdout));
    Ok(root.join(path.map_err(|error| failed(error.to_string()))?))
}

/// Those of `paths` in the worktree `root` that have one of `attributes`, set or to a value
/// (git-check-attr(1)).
pub(super) fn git_attributes<'a>(
    root: &Path,
    attributes: &[&str],
    paths: &[&'a str],
) -> Result<Vec<&'a str>, Error> {
    let mut found = Vec::new();
    for some in paths.chunks(MAX_PATHS) {
        let command = &mut git(root);
        command
            .args(["check-attr", "-z"])
            .args(attributes)
            .arg("--")
            .args(some)
            .stdout(Stdio::piped());
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

/// The paths that a git command lists in the worktree `root`, each with a NUL behind it; with an
/// `index` of its own, if one is given.
///
/// # Errors
///
/// [`Error::NoGit`] if git cannot be started, [`Error::Store`] if it fails.
pub(super) fn git_paths(
    root: &Path,
    index: Option<&Path>,
    arguments: &[&str],
) -> Result<Vec<Vec<u8>>, Error> {
    let command = &mut git(root);
    // Who replaces an object would else hide what was changed.
    command
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let asked = command.output().map_err(|source| Error::NoGit { source })?;
    if !asked.status.success() {
        let said = first_complaint(&String::from_utf8_lossy(&asked.stderr));
        let what = said.unwrap_or_else(|| format!("git ended with {}", asked.status));
        return Err(Error::Store {
            verb: "list",
            name: "what is changed".to_owned(),
            what,
            kind: None,
        });
    }
    Ok(asked
        .stdout
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// Whether git ignores the file `path` of the worktree `root`.
pub(super) fn git_ignores(root: &Path, path: &str) -> Result<bool, Error> {
    let status = git(root).args(["check-ignore", "--quiet", "--", path]).status();
    status.map(|status| status.success()).map_err(|source| Error::NoGit { source })
}

/// What decides how git talks to a remote and what a fetch may write, of whatever file of its
/// configuration, as keys and values in git's order. Keys are in lower case but for the names of
/// remotes and branches.
pub(super) fn git_remote_settings(root: &Path) -> Result<Vec<(String, String)>, Error> {
    let command = &mut git(root);
    let keys = r"^((remote|branch)\..*\.(url|fetch|remote|mirror)|remotes\..*|core\.sshcommand)$";
    command.args(["config", "--null", "--get-regexp", keys]).stdout(Stdio::piped());
    let asked = command.output().map_err(|source| Error::NoGit { source })?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let settings = text.split('\0').filter_map(|entry| entry.split_once('\n'));
    Ok(settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// How a `git` that talked to a remote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long, so that it and its children were ended.
    TooLong,
    /// A signal came, so that it and its children were ended.
    Interrupted,
}

/// What became of a `git` that talked to a remote.
#[derive(Debug)]
pub(super) struct Talk {
    /// How it ended.
    pub(super) end: End,
    /// What it wrote to stdout.
    pub(super) out: String,
    /// What it complained about.
    complaint: String,
}

impl Talk {
    /// Whether it did what it was asked for.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.end, End::Exited(status) if status.success())
    }

    /// What is wrong, in its words.
    pub(super) fn fault(&self) -> String {
        let ended = || match self.end {
            End::Exited(status) => format!("git ended with {status}"),
            End::TooLong => "git took too long".to_owned(),
            End::Interrupted => Error::Interrupted.to_string(),
        };
        first_complaint(&self.complaint).unwrap_or_else(ended)
    }

    /// What the remote, or a hook there, complained about first.
    pub(super) fn remote_complaint(&self) -> Option<&str> {
        let said =
            self.complaint.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim);
        said.map(|line| line.strip_prefix("error: ").unwrap_or(line)).find(|line| !line.is_empty())
    }
}

/// How a `git` talks to a remote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether the configuration names a command to be used as ssh.
    pub(super) own_ssh: bool,
    /// How long it may take.
    pub(super) patience: Duration,
}

/// Runs a `git` that talks to a remote, with `input` to read. No hook of the user's runs, nobody is
/// asked for anything.
///
/// # Errors
///
/// [`Error::NoGit`] if git cannot be started; [`Error::Interrupted`] if a signal came before it
/// was.
pub(super) fn talk(
    root: &Path,
    arguments: &[&str],
    input: Option<&str>,
    manner: Manner,
) -> Result<Talk, Error> {
    let no_git = |source| Error::NoGit { source };
    // Not pipes: a child that git leaves behind would hold them open, and who waits could not read
    // them meanwhile.
    let (mut out, mut complaint) =
        (tempfile::tempfile().map_err(no_git)?, tempfile::tempfile().map_err(no_git)?);
    let mut command = silent(companion::command(), root);
    // Some of what it says is understood, so it says it in the words that we know.
    command.args(["-c", "core.hooksPath=/dev/null"]).args(arguments).env("LC_ALL", "C");
    command.stdout(out.try_clone().map_err(no_git)?).stderr(complaint.try_clone().map_err(no_git)?);
    if let Some(input) = input {
        let mut file = tempfile::tempfile().map_err(no_git)?;
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).map_err(no_git)?;
        command.stdin(file);
    }
    ask_nobody(&mut command, manner.own_ssh);
    lead_a_group(&mut command);
    let listening = Listening::begin();
    if listening.is_interrupted() {
        return Err(Error::Interrupted);
    }
    let mut child = command.spawn().map_err(no_git)?;
    let end =
        match wait(&mut child, manner.patience, || listening.is_interrupted()).map_err(no_git)? {
            Some(status) => End::Exited(status),
            None => {
                let is_interrupted = listening.is_interrupted();
                end_group(&mut child);
                if is_interrupted { End::Interrupted } else { End::TooLong }
            }
        };
    let read = |file: &mut File, limit: u64| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.take(limit).read_to_end(&mut bytes)).map_err(no_git)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Talk {
        end,
        out: read(&mut out, MAX_ANSWER)?,
        complaint: read(&mut complaint, MAX_COMPLAINT)?,
    })
}

/// Fetches what the user's configuration says of `remote`, and nothing else: no tags, no
/// submodules, no `FETCH_HEAD`.
///
/// # Errors
///
/// [`Error::NoGit`] if git cannot be started.
pub(super) fn git_fetch(root: &Path, remote: &str, manner: Manner) -> Result<Talk, Error> {
    let arguments = ["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--no-prune-tags"];
    let apart = ["--no-auto-maintenance", "--no-recurse-submodules", "--", remote];
    talk(root, &[&arguments[..], &apart[..]].concat(), None, manner)
}

/// Where `git push` goes for the remote called `name`, as all of the user's configuration has it
/// (`pushurl`, `insteadOf`); empty if there is no such remote.
pub(super) fn git_push_urls(root: &Path, name: &str) -> Result<Vec<String>, Error> {
    let command = &mut git(root);
    let asked = command
        .args(["remote", "get-url", "--push", "--all", "--", name])
        .stdout(Stdio::piped())
        .output();
    let asked = asked.map_err(|source| Error::NoGit { source })?;
    Ok(String::from_utf8_lossy(&asked.stdout).lines().map(str::to_owned).collect())
}

/// Whether the user's configuration names a command to be used as ssh.
pub(super) fn git_has_own_ssh(root: &Path) -> Result<bool, Error> {
    let status = git(root).args(["config", "--get", "core.sshCommand"]).status();
    status.map(|status| status.success()).map_err(|source| Error::NoGit { source })
}

/// Has a git that talks to a remote fail where it would ask for a name, a password or a host's key.
///
/// An empty `GIT_ASKPASS` is a program that is not run, and hides the others (`core.askPass`,
/// `SSH_ASKPASS`) from git; ssh has an option of its own. A command that the user has named for ssh
/// may be another program, which does not know that option.
fn ask_nobody(command: &mut Command, own_ssh: bool) {
    command
        .env("GIT_ASKPASS", "")
        .env("SSH_ASKPASS_REQUIRE", "never")
        .env_remove("SSH_ASKPASS")
        .env("GCM_INTERACTIVE", "never");
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !own_ssh && !is_set("GIT_SSH_COMMAND") && !is_set("GIT_SSH") {
        command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
}

/// The first line of what git says that names a fault, else the last one.
fn first_complaint(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let fault = lines()
        .find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")));
    fault.or_else(|| lines().next_back()).map(str::to_owned)
}

/// Waits for a child so long, or until it is to be `given_up`; `None` if it has not ended.
fn wait(
    child: &mut Child,
    patience: Duration,
    given_up: impl Fn() -> bool,
) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let ended = child.try_wait()?;
        let waited = start.elapsed();
        if ended.is_some() || waited >= patience || given_up() {
            return Ok(ended);
        }
        // A look costs little, and waiting for the next one should cost little more than what was
        // waited for.
        std::thread::sleep((waited / 32).clamp(LOOKS.0, LOOKS.1));
    }
}

/// Makes the child and what it starts a group that can be ended together.
#[cfg(unix)]
fn lead_a_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn lead_a_group(_command: &mut Command) {}

/// Ends the group of a child: first so that git removes its locks, then for good.
#[cfg(unix)]
fn end_group(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process_group(group, Signal::TERM);
    let _ = wait(child, GRACE, || false);
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

#[cfg(not(unix))]
fn end_group(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A silent `git` that works in `folder` and takes no locks that it does not need.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn git(folder: &Path) -> Command {
    silent(Command::new("git"), folder)
}

/// `command`, a `git`, made silent: it works in `folder` and takes no locks that it does not need.
fn silent(mut command: Command, folder: &Path) -> Command {
    command.arg("-C").arg(folder).env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    for variable in REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_remote_that_does_not_answer_is_given_up_with_all_that_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let done = |arguments: &[&str]| {
            assert!(git(folder.path()).args(arguments).status().unwrap().success())
        };
        done(&["init", "--quiet"]);
        done(&["remote", "add", "origin", "ssh://nowhere.invalid/x"]);
        done(&["config", "core.sshCommand", "touch started; sleep 600; touch finished #"]);
        let start = Instant::now();
        let manner = Manner { own_ssh: true, patience: Duration::from_millis(500) };
        assert!(git_fetch(folder.path(), "origin", manner).unwrap().end == End::TooLong);
        assert!(start.elapsed() < Duration::from_secs(60));
        assert!(folder.path().join("started").exists() && !folder.path().join("finished").exists());
    }

    #[test]
    fn of_what_git_says_the_fault_is_told() {
        let told = |text: &str| first_complaint(text).unwrap_or_default();
        assert_eq!(told("hint: x\nfatal: no such remote\n\nhelp"), "no such remote");
        assert_eq!(told("ssh: cannot resolve\n\n"), "ssh: cannot resolve");
        assert_eq!(first_complaint("\n"), None);
    }
}
