//! A repository of its own for each test, a cleared environment, and one transcript when something
//! fails.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// The time at which tests play, unless they say otherwise.
pub(crate) const NOON: &str = "2026-03-01T12:00:00Z";

/// A user who owns nothing (`nobody`).
#[cfg(unix)]
const NOBODY: u32 = 65534;

/// Where a bus keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Beside the branches.
    Untracked,
    /// In files of the branches, too.
    Tracked,
    /// In files of the branches, too, as version 0.1 wrote them: the policy says nothing of
    /// records.
    Older,
}

impl Kept {
    pub(crate) const ALL: [Self; 3] = [Self::Untracked, Self::Tracked, Self::Older];

    /// Those in which files of the branches are records.
    pub(crate) const IN_BRANCHES: [Self; 2] = [Self::Tracked, Self::Older];
}

/// The path of a file of the record, below the root of the main worktree.
pub(crate) fn record(relative: &str) -> String {
    format!(".git/bus/log/_bus/{relative}")
}

/// A folder of its own for a test, in memory if there is room: most of what a test takes is the disk.
pub(crate) fn scratch() -> TempDir {
    const ROOM: u64 = 4 << 30;
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let has_room = rustix::fs::statvfs(memory)
            .is_ok_and(|about| about.f_bavail.saturating_mul(about.f_frsize) > ROOM);
        let is_asked = std::env::var_os("TMPDIR").is_some();
        if has_room && !is_asked { memory.to_owned() } else { std::env::temp_dir() }
    });
    tempfile::tempdir_in(root).unwrap()
}

/// Whether the suite runs in its long form, as `ci/soak-suite` does: more rounds, every step.
pub(crate) fn is_long() -> bool {
    std::env::var_os("BUS_LONG").is_some_and(|value| value == "1")
}

/// How many rounds there are: `long` ones in the long form.
pub(crate) fn rounds<N>(short: N, long: N) -> N {
    if is_long() { long } else { short }
}

/// Each `share`-th of these, so that `share` tests with another `turn` each try all of them; all in
/// the long form.
pub(crate) fn some_of<T>(
    all: impl IntoIterator<Item = T>,
    share: usize,
    turn: usize,
) -> impl Iterator<Item = T> {
    let wanted = move |number: usize| is_long() || number % share == turn % share;
    all.into_iter().enumerate().filter(move |(number, _)| wanted(*number)).map(|(_, one)| one)
}

/// A git repository with one commit, in a folder of its own.
pub(crate) struct Repo {
    folder: TempDir,
}

impl Repo {
    /// A repository without a bus.
    pub(crate) fn bare_of_bus() -> Self {
        static MADE: OnceLock<Repo> = OnceLock::new();
        Self::copy_of(MADE.get_or_init(|| {
            // Nothing removes it in the end, so it is where builds are.
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let repo = Self { folder };
            fs::create_dir(repo.home()).unwrap();
            fs::create_dir(repo.root()).unwrap();
            repo.git(&["init", "--quiet", "--initial-branch=main"]);
            repo.git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
            let _ = fs::remove_dir_all(repo.path(".git/hooks"));
            fs::create_dir(repo.path(".git/hooks")).unwrap();
            repo
        }))
    }

    /// A repository with a bus, as `bus init` makes it, committed.
    pub(crate) fn new() -> Self {
        static MADE: OnceLock<Repo> = OnceLock::new();
        Self::copy_of(MADE.get_or_init(|| Self::with_bus(&["init"])))
    }

    /// A repository whose bus keeps its records in files of the branches, too.
    pub(crate) fn tracked() -> Self {
        static MADE: OnceLock<Repo> = OnceLock::new();
        Self::copy_of(MADE.get_or_init(|| Self::with_bus(&["init", "--tracked"])))
    }

    fn with_bus(init: &[&str]) -> Self {
        let repo = Self::copy_to(
            &Self::bare_of_bus(),
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        );
        repo.bus(init).ok();
        repo.commit_all("bus");
        repo
    }

    /// A copy of a repository that no command has made anything of its own of yet: nothing there
    /// names its place, and no clone has an id. Half a dozen processes per test are saved so.
    fn copy_of(made: &Self) -> Self {
        Self::copy_to(made, scratch())
    }

    fn copy_to(made: &Self, folder: TempDir) -> Self {
        let repo = Self { folder };
        for entry in walkdir::WalkDir::new(made.folder.path()).min_depth(1) {
            let entry = entry.unwrap();
            let from = entry.path();
            let to = repo.folder.path().join(from.strip_prefix(made.folder.path()).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir(to).unwrap();
            } else {
                fs::copy(from, to).unwrap();
            }
        }
        repo.git(&["update-index", "--refresh", "-q"]);
        repo
    }

    /// A repository with a bus as version 0.1 has laid it out.
    pub(crate) fn older() -> Self {
        let repo = Self::bare_of_bus();
        repo.lay("older/init", "");
        repo.commit_all("bus");
        repo
    }

    /// A repository whose bus keeps its records there.
    pub(crate) fn keeping(kept: Kept) -> Self {
        match kept {
            Kept::Untracked => Self::new(),
            Kept::Tracked => Self::tracked(),
            Kept::Older => Self::older(),
        }
    }

    /// Copies the files of a fixture to below `to`. What is called `dot.x` there becomes `.x`: git
    /// would heed it where it stands.
    pub(crate) fn lay(&self, fixture: &str, to: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        for entry in walkdir::WalkDir::new(&from).min_depth(1) {
            let entry = entry.unwrap();
            let relative =
                entry.path().strip_prefix(&from).unwrap().to_str().unwrap().replace("dot.", ".");
            let target = self.path(to).join(relative);
            if entry.file_type().is_dir() {
                fs::create_dir_all(target).unwrap();
            } else {
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }

    /// A clone of what is at `url`.
    pub(crate) fn clone_of(url: &str) -> Self {
        let repo = Self::at_home();
        repo.git_in(repo.folder.path(), &["clone", "--quiet", url, "main"]);
        repo
    }

    /// A folder with a home, and no repository yet.
    fn at_home() -> Self {
        let repo = Self { folder: scratch() };
        fs::create_dir(repo.home()).unwrap();
        repo
    }

    /// The root of the main worktree.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("main")
    }

    /// A path in the main worktree.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    /// A path beside the main worktree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// What a file of the main worktree says, or `None` if there is none.
    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    /// Writes a file of the main worktree.
    pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The record's file of a claim, read.
    pub(crate) fn claim(&self, task: &str) -> Value {
        serde_json::from_str(&self.read(&record(&format!("claims/{task}.json"))))
            .unwrap_or_default()
    }

    /// What git would show to be changed or new in a worktree.
    pub(crate) fn status_of(&self, folder: &Path) -> String {
        self.git_in(folder, &["status", "--porcelain", "--untracked-files=all"])
    }

    /// All lines of the record's log.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        log_lines(&self.root())
    }

    /// Makes a linked worktree on a branch of its own.
    pub(crate) fn worktree(&self, name: &str) -> PathBuf {
        let path = self.beside(name);
        self.git(&["worktree", "add", "--quiet", "-b", name, path.to_str().unwrap()]);
        path
    }

    /// Runs git in the main worktree; it must work.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.root(), arguments)
    }

    /// Runs git in a folder; it must work.
    pub(crate) fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let done = self.try_git_in(folder, arguments);
        assert!(
            done.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// Runs git in a folder.
    pub(crate) fn try_git_in(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = self.command("git", folder);
        command
            .args(["-c", "user.name=test", "-c", "user.email=test@example.invalid"])
            .args(arguments);
        command.output().unwrap()
    }

    /// Runs git in the main worktree with something to read; it must work.
    pub(crate) fn git_reads(&self, arguments: &[&str], stdin: fs::File) {
        self.git_answers(arguments, stdin);
    }

    /// Runs git in the main worktree with something to read; it must work.
    pub(crate) fn git_answers(&self, arguments: &[&str], stdin: fs::File) -> String {
        let done = self.command("git", &self.root()).args(arguments).stdin(stdin).output().unwrap();
        assert!(
            done.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// Commits everything in the main worktree.
    pub(crate) fn commit_all(&self, message: &str) {
        self.commit_all_in(&self.root(), message);
    }

    /// Commits everything in a worktree.
    pub(crate) fn commit_all_in(&self, folder: &Path, message: &str) {
        self.git_in(folder, &["add", "--all"]);
        self.git_in(folder, &["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// A command of `bus` in the main worktree.
    pub(crate) fn bus(&self, arguments: &[&str]) -> Bus<'_> {
        self.other(env!("CARGO_BIN_EXE_bus"), arguments)
    }

    /// Another program that runs `bus`, in the main worktree.
    pub(crate) fn other(&self, program: &str, arguments: &[&str]) -> Bus<'_> {
        let mut command = self.command(program, &self.root());
        command.args(arguments).env("BUS_NOW", NOON).env("BUS_REAL_NOW", NOON);
        Bus { repo: self, command }
    }

    /// A command of `bus` as an agent, in the main worktree.
    pub(crate) fn by(&self, agent: &str, arguments: &[&str]) -> Bus<'_> {
        self.bus(arguments).env("BUS_AGENT", agent)
    }

    /// Gives everything to a user whom permissions bind, where the tests run as one whom they do
    /// not; returns that user.
    #[cfg(unix)]
    pub(crate) fn give_away(&self) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        let root = fs::metadata(self.folder.path()).unwrap().uid() == 0;
        root.then(|| self.belongs_to(NOBODY))
    }

    /// Takes back what was given away.
    #[cfg(unix)]
    pub(crate) fn take_back(&self) {
        use std::os::unix::fs::MetadataExt;
        if fs::metadata(self.folder.path()).unwrap().uid() == NOBODY {
            self.belongs_to(0);
        }
    }

    #[cfg(unix)]
    fn belongs_to(&self, user: u32) -> u32 {
        for entry in walkdir::WalkDir::new(self.folder.path()) {
            std::os::unix::fs::lchown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
        }
        user
    }

    /// A command of `bus` as an agent, run by another user where one is given.
    #[cfg(unix)]
    pub(crate) fn by_user(&self, user: Option<u32>, agent: &str, arguments: &[&str]) -> Bus<'_> {
        use std::os::unix::process::CommandExt;
        let Some(user) = user else { return self.by(agent, arguments) };
        // The folder that the binary was built in may be closed to that user.
        let binary = self.beside("bus");
        let copied =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_bus")).arg(&binary).status().unwrap();
        assert!(copied.success());
        let mut bus = self.other(binary.to_str().unwrap(), arguments).env("BUS_AGENT", agent);
        bus.command.uid(user).gid(user);
        bus
    }

    /// The objects that a ref has pointed to, newest first, as `subject`s.
    pub(crate) fn history(&self, task: &str) -> Vec<String> {
        let text = self.git(&["log", "--format=%s", &format!("refs/bus/claims/{task}")]);
        text.lines().map(str::to_owned).collect()
    }

    /// The record that a ref points to.
    pub(crate) fn tip(&self, task: &str) -> Value {
        let text = self.git(&["log", "-1", "--format=%b", &format!("refs/bus/claims/{task}")]);
        serde_json::from_str(&text).unwrap()
    }

    /// Everything that git tracks or could track, the record, and all refs: what a read must not
    /// change.
    pub(crate) fn state(&self) -> String {
        let refs = self.git(&["for-each-ref"]);
        let mut text = refs;
        for entry in walkdir::WalkDir::new(self.root()).sort_by_file_name() {
            let entry = entry.unwrap();
            let is_git = entry.path().starts_with(self.path(".git"))
                && !entry.path().starts_with(self.path(".git/bus/log"));
            if entry.file_type().is_file() && !is_git {
                writeln!(text, "{} {:?}", entry.path().display(), fs::read(entry.path()).unwrap())
                    .unwrap();
            }
        }
        text
    }

    fn command(&self, program: &str, folder: &Path) -> Command {
        alone(program, folder, &self.home())
    }
}

/// A program that knows nothing of this machine's user, locale and configuration.
pub(crate) fn alone(program: &str, folder: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder);
    for name in ["PATH", "SYSTEMROOT", "TEMP", "TMPDIR"] {
        std::env::var_os(name).map(|value| command.env(name, value));
    }
    command.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C").env("TZ", "UTC");
    command.stdin(Stdio::null());
    command
}

/// All lines of the log of the clone that has a worktree at `root`, file by file.
pub(crate) fn log_lines(root: &Path) -> Vec<String> {
    let mut common = root.join(".git");
    if let Ok(text) = fs::read_to_string(&common) {
        let own = PathBuf::from(text.strip_prefix("gitdir: ").unwrap().trim());
        common = own.join(fs::read_to_string(own.join("commondir")).unwrap().trim());
    }
    let folder = common.join("bus/log/_bus/events");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// A command that is about to run.
pub(crate) struct Bus<'a> {
    repo: &'a Repo,
    command: Command,
}

impl Bus<'_> {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn at(self, now: &str) -> Self {
        self.env("BUS_NOW", now).env("BUS_REAL_NOW", now)
    }

    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn stdout(mut self, stdout: fs::File) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Starts it, and does not wait.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end, which must be good, and returns each step at which it could have died,
    /// as `BUS_CRASH_AT` names it.
    #[cfg(debug_assertions)]
    pub(crate) fn steps(self) -> Vec<String> {
        let file = self.repo.beside("steps");
        let _ = fs::remove_file(&file);
        self.env("BUS_STEPS", file.to_str().unwrap()).ok();
        let text = fs::read_to_string(&file).unwrap();
        let mut steps: Vec<String> = Vec::new();
        for step in text.lines() {
            let before = steps.iter().filter(|known| known.split('@').next() == Some(step)).count();
            steps.push(if before == 0 {
                step.to_owned()
            } else {
                format!("{step}@{}", before + 1)
            });
        }
        steps
    }

    /// Starts it where its stdout was set; what it says on stderr is dropped.
    pub(crate) fn exits_silently(mut self) -> Child {
        self.command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ran {
        let done = self.command.output().unwrap();

        Ran::new(&done, &format!("{:?}", self.command.get_args().collect::<Vec<_>>()))
    }

    /// Runs it; it must succeed.
    pub(crate) fn ok(self) -> Ran {
        self.exits(0)
    }

    /// Runs it; it must exit with `status`.
    pub(crate) fn exits(self, status: i32) -> Ran {
        let repo = self.repo;
        let ran = self.run();
        // git is asked only if somebody will read it: every test runs many commands.
        let tree = || {
            String::from_utf8(repo.try_git_in(&repo.root(), &["status", "--short"]).stdout).unwrap()
        };
        assert_eq!(ran.status, Some(status), "{}\ntree:\n{}", ran.transcript, tree());
        ran
    }

    /// Runs it with `--json`; it must fail with `code` and `status`. The error is returned.
    pub(crate) fn fails(mut self, status: i32, code: &str) -> Value {
        self.command.arg("--json");
        let ran = self.exits(status);
        let error = ran.json()["error"].clone();
        assert_eq!(error["code"], code, "{}", ran.transcript);
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{}", ran.transcript);
        error
    }
}

/// What became of a command.
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) transcript: String,
}

impl Ran {
    fn new(done: &Output, command: &str) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
        let transcript = format!(
            "bus {command}\nstatus: {:?}\nstdout:\n{stdout}\nstderr:\n{stderr}",
            done.status
        );
        Self { status: done.status.code(), stdout, stderr, transcript }
    }

    /// The end of a child that was started.
    pub(crate) fn of(child: Child) -> Self {
        Self::new(&child.wait_with_output().unwrap(), "…")
    }

    /// Stdout, which must be exactly one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.transcript))
    }

    /// Stdout, a JSON document on each line.
    pub(crate) fn ndjson(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that stderr has `text`.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.transcript);
        self
    }
}
