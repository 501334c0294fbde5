//! The throwaway repository of `bus demo`, and the processes that play in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anstyle::AnsiColor;
use serde_json::Value;
use tempfile::TempDir;

use super::super::exit::Failure;
use super::super::output::Output;
use super::AGENTS;
use crate::bus::Error;

/// How long is waited between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a process.
pub(super) struct Ran {
    /// Its exit status, or `None` if it was killed.
    pub(super) status: Option<i32>,
    /// What it printed, stdout before stderr.
    pub(super) said: String,
    stdout: String,
}

impl Ran {
    /// The claims that a `bus status --json` printed, without what changes with the time of the
    /// look.
    pub(super) fn claims(&self) -> Value {
        let mut claims = self.json().get_mut("claims").map(Value::take).unwrap_or_default();
        for claim in claims.as_array_mut().into_iter().flatten() {
            claim.as_object_mut().map(|claim| claim.remove("last_seen"));
        }
        claims
    }

    /// The lines of a section of the markdown that was printed.
    pub(super) fn section(&self, title: &str) -> Vec<&str> {
        let section =
            self.stdout.lines().skip_while(|line| line.strip_prefix("## ") != Some(title)).skip(1);
        section.take_while(|line| !line.starts_with('#')).filter(|line| !line.is_empty()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_default()
    }
}

/// The repository, its worktrees, and what was found out.
pub(super) struct Stage<'a> {
    folder: TempDir,
    program: PathBuf,
    output: &'a mut Output,
    checks: Vec<(String, bool)>,
}

impl<'a> Stage<'a> {
    /// Makes the repository and one worktree for each agent.
    pub(super) fn set(output: &'a mut Output) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("bus-demo-")
            .tempdir()
            .map_err(|error| broken("make a folder", &error))?;
        let program =
            std::env::current_exe().map_err(|error| broken("find this program", &error))?;
        let mut stage = Self { folder, program, output, checks: Vec::new() };
        stage.scene("A repository with a bus, and a worktree for each agent.");
        let main = stage.worktree(0);
        stage.git(stage.folder.path(), &["init", "--quiet", AGENTS[0]])?;
        let ran = stage.call(0, &["init"])?;
        stage.check("`bus init` lays out a bus", ran.status == Some(0));
        stage.git(&main, &["add", "--all"])?;
        stage.git(&main, &["commit", "--quiet", "--message", "Lay out the bus"])?;
        for agent in &AGENTS[1..] {
            stage.git(
                &main,
                &[
                    "worktree",
                    "add",
                    "--quiet",
                    "-b",
                    &format!("agent/{agent}/work"),
                    &format!("../{agent}"),
                ],
            )?;
        }
        Ok(stage)
    }

    /// Ends the play: the checks, and those that failed.
    pub(super) fn strike(self) -> (Vec<(String, bool)>, Vec<String>) {
        let broken =
            self.checks.iter().filter(|(_, holds)| !holds).map(|(what, _)| what.clone()).collect();
        (self.checks, broken)
    }

    /// Announces what comes.
    pub(super) fn scene(&mut self, text: &str) {
        if !self.checks.is_empty() {
            self.output.line("");
        }
        self.output.styled(AnsiColor::Cyan, &format!("# {text}"));
        self.output.flush();
    }

    /// Shows a command that is not one of ours.
    pub(super) fn remark(&mut self, text: &str) {
        self.output.line(&format!("$ {text}"));
    }

    /// Shows what `agent` ran, and what it printed.
    fn show(&mut self, agent: &str, command: &str, ran: &Ran) {
        self.show_lines(agent, command, ran, usize::MAX);
    }

    /// Shows what `agent` ran, and the first line that it printed.
    pub(super) fn show_short(&mut self, agent: &str, command: &str, ran: &Ran) {
        self.show_lines(agent, command, ran, 1);
    }

    fn show_lines(&mut self, agent: &str, command: &str, ran: &Ran, most: usize) {
        self.show_some(agent, command, ran, ran.said.lines().take(most));
    }

    /// Shows what the first agent ran, and some of what it printed.
    pub(super) fn show_only(&mut self, command: &str, ran: &Ran, lines: &[&str]) {
        self.show_some(AGENTS[0], command, ran, lines.iter().copied().chain(["…"]));
    }

    fn show_some<'l>(
        &mut self,
        agent: &str,
        command: &str,
        ran: &Ran,
        lines: impl Iterator<Item = &'l str>,
    ) {
        let status =
            ran.status.map_or_else(|| "killed".to_owned(), |status| format!("exit {status}"));
        self.output.line(&format!("[{agent}] $ bus {command}    ({status})"));
        lines.for_each(|line| self.output.line(&format!("    {line}")));
        self.output.flush();
    }

    /// Notes whether a promise holds, and shows it.
    pub(super) fn check(&mut self, what: &str, holds: bool) {
        let (word, colour) =
            if holds { ("ok", AnsiColor::Green) } else { ("BROKEN", AnsiColor::Red) };
        self.output.styled(colour, &format!("  {word}: {what}"));
        self.output.flush();
        self.checks.push((what.to_owned(), holds));
    }

    /// Runs `bus` as an agent, and shows it.
    pub(super) fn call(&mut self, agent: usize, arguments: &[&str]) -> Result<Ran, Failure> {
        let ran = self.silent(agent, arguments)?;
        let quoted: Vec<String> = arguments
            .iter()
            .map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() })
            .collect();
        self.show(AGENTS[agent], &quoted.join(" "), &ran);
        Ok(ran)
    }

    /// Runs `bus` as an agent.
    pub(super) fn silent(&self, agent: usize, arguments: &[&str]) -> Result<Ran, Failure> {
        finish(self.start(agent, arguments)?)
    }

    /// Starts all processes before it waits for the first.
    pub(super) fn all_at_once(&self, calls: &[(usize, Vec<&str>)]) -> Result<Vec<Ran>, Failure> {
        let started: Result<Vec<Child>, Failure> =
            calls.iter().map(|(agent, arguments)| self.start(*agent, arguments)).collect();
        started?.into_iter().map(finish).collect()
    }

    /// Starts `bus` as an agent.
    pub(super) fn start(&self, agent: usize, arguments: &[&str]) -> Result<Child, Failure> {
        let mut command = self.child(&self.program, &self.worktree(agent));
        command.args(arguments).env("BUS_AGENT", AGENTS[agent]);
        command.spawn().map_err(|error| broken("start `bus`", &error))
    }

    /// Looks again and again until `holds`, or until `patience` is over.
    pub(super) fn wait_for(&mut self, patience: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !holds(self) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Which of the agents owns `task`.
    pub(super) fn owner_of(&self, task: &str) -> Result<usize, Failure> {
        let owner =
            self.claim(task)?.and_then(|claim| claim.get("agent_id")?.as_str().map(str::to_owned));
        let place = owner.and_then(|owner| AGENTS.iter().position(|agent| *agent == owner));
        place.ok_or_else(|| Failure::PromiseBroken(format!("nobody owns {task}")))
    }

    /// Whether the claim of `task` has expired.
    pub(super) fn is_expired(&self, task: &str) -> bool {
        self.claim(task)
            .ok()
            .flatten()
            .is_some_and(|claim| claim.get("state").and_then(Value::as_str) == Some("expired"))
    }

    fn claim(&self, task: &str) -> Result<Option<Value>, Failure> {
        let mut document = self.silent(1, &["status", "--json"])?.json();
        let claims = document
            .get_mut("claims")
            .and_then(Value::as_array_mut)
            .map(std::mem::take)
            .unwrap_or_default();
        Ok(claims
            .into_iter()
            .find(|claim| claim.get("task_id").and_then(Value::as_str) == Some(task)))
    }

    fn worktree(&self, agent: usize) -> PathBuf {
        self.folder.path().join(AGENTS[agent])
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
        let identity = ["-c", "user.name=demo", "-c", "user.email=demo@bus.invalid"];
        let mut command = self.child(Path::new("git"), folder);
        let child = command
            .args(identity)
            .args(arguments)
            .spawn()
            .map_err(|source| Failure::Bus(Error::Git(no_git(source))))?;
        let ran = finish(child)?;
        if ran.status == Some(0) {
            Ok(())
        } else {
            Err(Failure::PromiseBroken(format!("git {}: {}", arguments.join(" "), ran.said)))
        }
    }

    /// A process in `folder` that knows nothing of the user's own settings.
    #[expect(clippy::disallowed_methods, reason = "these are the players")]
    fn child(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        let ours = |name: &std::ffi::OsString| {
            name.to_str().is_some_and(|name| name.starts_with("GIT_") || name.starts_with("BUS_"))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", self.folder.path().join("none"))
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn finish(child: Child) -> Result<Ran, Failure> {
    let done = child.wait_with_output().map_err(|error| broken("wait for a process", &error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
    Ok(Ran { status: done.status.code(), said: format!("{stdout}{stderr}"), stdout })
}

const fn no_git(source: std::io::Error) -> crate::git::Error {
    crate::git::Error::NoGit { source }
}

fn broken(what: &str, error: &std::io::Error) -> Failure {
    Failure::PromiseBroken(format!("cannot {what}: {error}"))
}
