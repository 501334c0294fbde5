//! What every command starts from: the folder, the clock, the patience, the identity.

use std::cell::Cell;
use std::io::Read;
use std::path::PathBuf;

use super::args::{Global, OwnTaskArg, Summary, Text};
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::workspace::{IdentitySource, Notes, Options, Workspace};
use crate::bus::{Error as BusError, ops};
use crate::git::Repository;
use crate::record::{AgentId, SessionId, TaskId, Timestamp};
use crate::store::{Clock, Error as StoreError, Verb};

/// The common options of a command, understood.
pub(super) struct Context {
    pub(super) global: Global,
    pub(super) clock: Clock,
    notes: Notes,
    environment: Option<AgentId>,
    session: Option<SessionId>,
    /// Whether standard input has been read.
    has_read_input: Cell<bool>,
}

/// The most that is read of a text, in bytes: far more than a record may have, so that the refusal
/// can say how much too long it is.
const MAX_TEXT: u64 = 16 << 20;

impl Context {
    /// `notes` gathers what is mentioned beside the answer.
    pub(super) fn new(global: Global, notes: Notes) -> Result<Self, Failure> {
        let usage = |what: String| Failure::Usage {
            what,
            hint: "see `bus --help`, under Environment".to_owned(),
        };
        let environment = variable("BUS_AGENT").map(AgentId::new).transpose();
        let environment = environment.map_err(|fault| usage(format!("BUS_AGENT: {fault}")))?;
        let session = variable("BUS_SESSION").map(SessionId::new).transpose();
        let session = session.map_err(|fault| usage(format!("BUS_SESSION: {fault}")))?;
        let fixed = variable("BUS_NOW").map(|text| text.parse::<Timestamp>()).transpose();
        let clock = Clock::new(fixed.map_err(|fault| usage(format!("BUS_NOW: {fault}")))?);
        Ok(Self { global, clock, notes, environment, session, has_read_input: Cell::new(false) })
    }

    /// A variable of the environment that says something.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        variable(name)
    }

    /// What `option` says, from standard input if it is `-`, without the end of its last line.
    ///
    /// # Errors
    ///
    /// A usage error if nothing comes, if it is no UTF-8, if it is longer than a record may be, or
    /// if another option has read it.
    pub(super) fn text(&self, option: &str, text: &Text) -> Result<String, Failure> {
        if text.typed() != "-" {
            words::check_length(option, Some(text.typed()))?;
            return Ok(text.typed().to_owned());
        }
        if self.has_read_input.replace(true) {
            return Err(Failure::Usage {
                what: format!("`{option} -`: another option reads standard input"),
                hint: "give `-` once".to_owned(),
            });
        }
        read_text(option, "standard input", std::io::stdin().lock())
    }

    /// As [`Context::text`], of an option that may be absent.
    pub(super) fn text_if(
        &self,
        option: &str,
        text: Option<&Text>,
    ) -> Result<Option<String>, Failure> {
        text.map(|text| self.text(option, text)).transpose()
    }

    /// The summary, from wherever it is to be read.
    ///
    /// # Errors
    ///
    /// As [`Context::text`]; the system's if the file cannot be read.
    pub(super) fn summary(&self, summary: &Summary) -> Result<String, Failure> {
        let Some(path) = &summary.summary_file else {
            let text = summary.summary.as_ref().expect("the group is required");
            return self.text("--summary", text);
        };
        let file = std::fs::File::open(path).map_err(StoreError::io(Verb::Read, path));
        read_text("--summary-file", &path.display().to_string(), file.map_err(BusError::from)?)
    }

    /// Finds the repository, for who needs nothing but to read it.
    pub(super) fn repository(&self, output: &mut Output) -> Result<Repository, Failure> {
        let start = self.global.repo.clone().unwrap_or_else(|| PathBuf::from("."));
        let repo = Repository::discover(&start).map_err(BusError::from)?;
        if self.global.verbose {
            output.note(&format!("worktree {}", repo.root().display()));
        }
        Ok(repo)
    }

    /// Opens the bus for `command`.
    pub(super) fn open(
        &self,
        command: &'static str,
        output: &mut Output,
    ) -> Result<Workspace, Failure> {
        Ok(self.describe(Workspace::open(self.options(command))?, output))
    }

    /// As [`Context::open`], at a time that may be given.
    pub(super) fn open_at(
        &self,
        now: Option<Timestamp>,
        command: &'static str,
        output: &mut Output,
    ) -> Result<Workspace, Failure> {
        let clock = now.map_or(self.clock, |now| Clock::new(Some(now)));
        Ok(self.describe(Workspace::open(Options { clock, ..self.options(command) })?, output))
    }

    /// Opens the repository for `command`, whether it has a bus or not.
    pub(super) fn open_repository(
        &self,
        command: &'static str,
        output: &mut Output,
    ) -> Result<Workspace, Failure> {
        Ok(self.describe(Workspace::of_repository(self.options(command))?, output))
    }

    /// Says where things are, where that is asked for.
    fn describe(&self, ws: Workspace, output: &mut Output) -> Workspace {
        if self.global.verbose {
            output.note(&format!("worktree {}", ws.root().display()));
            output.note(&format!("git common dir {}", ws.common_dir().display()));
            output.note(&format!("now {}", self.clock.now()));
        }
        ws
    }

    /// How a repository is opened for `command`.
    fn options(&self, command: &'static str) -> Options {
        Options {
            start: self.global.repo.clone().unwrap_or_else(|| PathBuf::from(".")),
            clock: self.clock,
            patience: self.global.lock_timeout.get(),
            remote_patience: self.global.remote_timeout.get(),
            command,
            session: self.session.clone(),
            notes: self.notes.clone(),
        }
    }

    /// The folder that paths are understood from: where the command is run, or what `-C` names, as
    /// for git.
    pub(super) fn standing(&self) -> Result<PathBuf, Failure> {
        let folder = self.global.repo.clone().unwrap_or_else(|| PathBuf::from("."));
        let found = std::fs::canonicalize(&folder).map_err(StoreError::io(Verb::Read, &folder));
        Ok(found.map_err(BusError::from)?)
    }

    /// Who writes.
    pub(super) fn writer(&self, ws: &Workspace, output: &mut Output) -> Result<AgentId, Failure> {
        let agent = ws.writer(&self.identity()?)?;
        if self.global.verbose {
            output.note(&format!("you are {agent}"));
        }
        Ok(agent)
    }

    /// Who is meant, such as the one whose inbox is read. That is no heartbeat: anybody may
    /// look.
    pub(super) fn addressee(&self, ws: &Workspace) -> Result<AgentId, Failure> {
        Ok(ws.agent(&self.identity()?)?.ok_or(BusError::NoIdentity)?)
    }

    /// Whose command this is; nobody's in particular if no id is known.
    pub(super) fn agent(&self, ws: &Workspace) -> Result<Option<AgentId>, Failure> {
        Ok(ws.agent(&self.identity()?)?)
    }

    /// Where the one agent's id may come from whose command this is.
    fn identity(&self) -> Result<IdentitySource, Failure> {
        if self.global.agent.len() > 1 {
            let what =
                "`--agent` is given more than once, and this command is one agent's".to_owned();
            return Err(Failure::Usage { what, hint: "give it once".to_owned() });
        }
        Ok(IdentitySource {
            argument: self.global.agent.first().cloned(),
            environment: self.environment.clone(),
        })
    }

    /// The task that is meant, which may be typed as a number alone.
    ///
    /// # Errors
    ///
    /// As the system refuses to read.
    pub(super) fn task(&self, ws: &Workspace, typed: &TaskId) -> Result<TaskId, Failure> {
        Ok(ops::meant_task(ws, typed)?)
    }

    /// As [`Context::task`], of an option that may be absent.
    pub(super) fn task_if(
        &self,
        ws: &Workspace,
        typed: Option<&TaskId>,
    ) -> Result<Option<TaskId>, Failure> {
        typed.map(|typed| self.task(ws, typed)).transpose()
    }

    /// The task that is meant; without a name the one that `agent` holds in this worktree.
    ///
    /// # Errors
    ///
    /// As [`ops::held_here`].
    pub(super) fn own_task(
        &self,
        ws: &Workspace,
        typed: &OwnTaskArg,
        agent: &AgentId,
    ) -> Result<TaskId, Failure> {
        match typed.typed() {
            Some(typed) => self.task(ws, typed),
            None => Ok(ops::held_here(ws, agent)?),
        }
    }

    /// A heartbeat of whoever reads, where environment or manifest say who that is.
    pub(super) fn note_reader(&self, ws: &Workspace) {
        self.reader(ws).iter().for_each(|agent| ws.note_presence(agent));
    }

    /// Who reads, where environment or manifest say so.
    pub(super) fn reader(&self, ws: &Workspace) -> Option<AgentId> {
        let source = IdentitySource { argument: None, environment: self.environment.clone() };
        // A manifest that cannot be read is no reason not to show what was asked for.
        ws.agent(&source).ok().flatten()
    }

    /// Says so where the task that was asked for is spelled otherwise.
    pub(super) fn note_spelling(asked: &TaskId, stands: &TaskId, output: &mut Output) {
        if !asked.same_spelling(stands) {
            output.note(&format!("the task is spelled `{stands}`"));
        }
    }
}

/// The text in `source`, which is called `name`.
fn read_text(option: &str, name: &str, source: impl Read) -> Result<String, Failure> {
    let usage = |what: &str| Failure::Usage {
        what: format!("`{option}`: {name} {what}"),
        hint: "give it a text in UTF-8".to_owned(),
    };
    let mut bytes = Vec::new();
    source
        .take(MAX_TEXT)
        .read_to_end(&mut bytes)
        .map_err(|error| usage(&format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| usage("is no UTF-8"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(usage("is empty"));
    }
    words::check_length(option, Some(text))?;
    Ok(text.to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
