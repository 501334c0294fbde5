//! Where each file of a bus stands (docs/design.md, section 2).

use std::path::{Path, PathBuf};

use super::{Clones, Place};
use crate::record::{
    AgentId, CloneId, CursorName, EventLayout, LeaseId, ManifestName, PlanId, SessionId, TaskId,
};

/// The sorts of files to which lines are appended, each in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The log: events.
    Log,
    /// The channels: messages.
    Channels,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Log, Self::Channels];

    /// The folder, below `_bus`.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Log => "events",
            Self::Channels => "messages",
        }
    }
}

/// The paths of a bus in one worktree, or in a folder that is laid out like one.
#[derive(Clone, Debug)]
pub struct Layout {
    /// What is trusted: no link below it is followed.
    trusted: PathBuf,
    /// Where the layout begins, below that.
    below: PathBuf,
    root: PathBuf,
}

impl Layout {
    /// The paths below the worktree `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { trusted: root.clone(), below: PathBuf::new(), root }
    }

    /// The paths below `relative` in the git common dir `common`.
    fn private(common: &Path, relative: &str) -> Self {
        Self { trusted: common.to_owned(), below: relative.into(), root: common.join(relative) }
    }

    /// The worktree's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the worktree has a bus.
    #[must_use]
    pub fn has_bus(&self) -> bool {
        self.root.join("_bus").is_dir()
    }

    /// The file called `relative` in the worktree.
    #[must_use]
    pub fn place(&self, relative: impl AsRef<Path>) -> Place {
        Place::new(&self.trusted, self.below.join(relative))
    }

    /// The policy.
    #[must_use]
    pub fn config(&self) -> Place {
        self.place("_bus/config.toml")
    }

    /// Who works in this worktree.
    #[must_use]
    pub fn manifest(&self) -> Place {
        self.place("AGENT_MANIFEST.json")
    }

    /// What takes the place of the manifest when it is asked for by `name`.
    #[must_use]
    pub fn spare_manifest(&self, name: &ManifestName) -> Place {
        self.place(format!("AGENT_MANIFEST.{name}.json"))
    }

    /// The folder of claim files.
    #[must_use]
    pub fn claims(&self) -> PathBuf {
        self.root.join("_bus/claims")
    }

    /// The claim file of `task`.
    #[must_use]
    pub fn claim(&self, task: &TaskId) -> Place {
        self.place(format!("_bus/claims/{task}.json"))
    }

    /// The folder of assignment files.
    #[must_use]
    pub fn assignments(&self) -> PathBuf {
        self.root.join("_bus/assignments")
    }

    /// The assignment file of `task`.
    #[must_use]
    pub fn assignment(&self, task: &TaskId) -> Place {
        self.place(format!("_bus/assignments/{task}.json"))
    }

    /// The folder of plans.
    #[must_use]
    pub fn plans(&self) -> PathBuf {
        self.root.join("_plans")
    }

    /// The file of `plan`.
    #[must_use]
    pub fn plan(&self, plan: &PlanId) -> Place {
        self.place(format!("_plans/{plan}.plan.json"))
    }

    /// The folder of queue items.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.root.join("queue")
    }

    /// The queue item in the file called `name`.
    #[must_use]
    pub fn queue_item(&self, name: &str) -> Place {
        self.place(format!("queue/{name}"))
    }

    /// The folder of log files.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.folder(Stream::Log)
    }

    /// The log file that `agent` writes under `layout`.
    #[must_use]
    pub fn log(&self, layout: EventLayout, agent: &AgentId) -> Place {
        match layout {
            EventLayout::Single => self.place("_bus/events/events.jsonl"),
            EventLayout::PerAgent => self.place(format!("_bus/events/{agent}.jsonl")),
        }
    }

    /// The folder of the files of `stream`.
    #[must_use]
    pub fn folder(&self, stream: Stream) -> PathBuf {
        self.root.join("_bus").join(stream.folder())
    }

    /// The file called `name` of `stream`.
    #[must_use]
    pub fn file(&self, stream: Stream, name: &str) -> Place {
        self.place(format!("_bus/{}/{name}", stream.folder()))
    }

    /// The channel of `task`.
    #[must_use]
    pub fn channel(&self, task: &TaskId) -> Place {
        self.file(Stream::Channels, &format!("{task}.jsonl"))
    }

    /// The channel of what is said to `agent`.
    #[must_use]
    pub fn inbox(&self, agent: &AgentId) -> Place {
        self.file(Stream::Channels, &format!("agent-{agent}.jsonl"))
    }

    /// Where version 0.1 recorded refused actions of `agent`.
    #[must_use]
    pub fn errors(&self, agent: &AgentId) -> Place {
        self.place(format!("_report/agent/{agent}/errors.jsonl"))
    }

    /// In the record: where refused actions of `agent` are recorded.
    #[must_use]
    pub fn refusals(&self, agent: &AgentId) -> Place {
        self.place(format!("refusals/{agent}.jsonl"))
    }

    /// In the record: the last table of leases.
    #[must_use]
    pub fn lease_table(&self) -> Place {
        self.place("locks.json")
    }
}

/// The paths of what is this clone's alone, below `<git common dir>/bus`.
#[derive(Clone, Debug)]
pub struct PrivateLayout {
    common: PathBuf,
}

impl PrivateLayout {
    /// The paths below the git common dir `common`.
    #[must_use]
    pub const fn new(common: PathBuf) -> Self {
        Self { common }
    }

    /// The git common dir.
    #[must_use]
    pub fn common(&self) -> &Path {
        &self.common
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.common.join("bus")
    }

    /// The only lock there is.
    #[must_use]
    pub fn lock(&self) -> Place {
        self.place("bus/lock")
    }

    /// The clone's random id, and where it holds.
    #[must_use]
    pub fn clone_id(&self) -> Place {
        self.place("bus/clone-id")
    }

    /// Which fleet this clone belongs to.
    #[must_use]
    pub fn fleet(&self) -> Place {
        self.place("bus/fleet")
    }

    /// Written when no remote served a fleet: which were asked.
    #[must_use]
    pub fn no_fleet(&self) -> Place {
        self.place("bus/no-fleet")
    }

    /// Touched when all of the fleet's remote was seen.
    #[must_use]
    pub fn fleet_seen(&self) -> Place {
        self.place("bus/fleet-seen")
    }

    /// What was odd about the refs of the fleet's remote at the last look, one a line; missing if
    /// nothing was.
    #[must_use]
    pub fn odd_refs(&self) -> Place {
        self.place("bus/odd-refs")
    }

    /// Touched when a command sets out to look at all of the fleet's remote because it is time to.
    #[must_use]
    pub fn fleet_look(&self) -> Place {
        self.place("bus/fleet-look")
    }

    /// There while a change of a ref, called `rest` below `refs/bus/`, is under way to the fleet's
    /// remote, or nobody knows whether it came there.
    #[must_use]
    pub fn sent(&self, rest: &str) -> Place {
        self.place(format!("bus/sent/{rest}"))
    }

    /// Touched by each command that `agent` runs.
    #[must_use]
    pub fn presence(&self, agent: &AgentId) -> Place {
        self.place(format!("bus/presence/{}", agent.as_str().to_ascii_lowercase()))
    }

    /// The folder of the notes of open sessions.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.common.join("bus/sessions")
    }

    /// The note of an open session, touched by each of its commands. No id has an `@`.
    #[must_use]
    pub fn session(&self, agent: &AgentId, session: &SessionId) -> Place {
        self.place(format!("bus/sessions/{agent}@{session}").to_ascii_lowercase())
    }

    /// The hook of git's called `name`, which git runs in all worktrees.
    #[must_use]
    pub fn hook(&self, name: &str) -> Place {
        self.place(format!("hooks/{name}"))
    }

    /// Which state of another clone's claim this clone has seen, and since when.
    #[must_use]
    pub fn seen(&self, task: &TaskId) -> Place {
        self.place(format!("bus/seen/{}", task.key()))
    }

    /// Which state of another clone's lease this clone has seen, and since when. Not below `seen`,
    /// where each name is a task's.
    #[must_use]
    pub fn seen_lock(&self, id: &LeaseId) -> Place {
        self.place(format!("bus/seen-locks/{}", id.as_str().to_ascii_uppercase()))
    }

    /// The log of record: what this clone logged, said, assigned and claimed (docs/design.md,
    /// section 1.1).
    #[must_use]
    pub fn record(&self) -> Layout {
        Layout::private(&self.common, "bus/log")
    }

    /// What came with the branch of the worktree `from`, when this clone moved over from an older
    /// bus.
    #[must_use]
    pub fn imported(&self, from: &str) -> Layout {
        Layout::private(&self.common, &format!("bus/log/imported/{from}"))
    }

    /// What was imported, and from where.
    #[must_use]
    pub fn import_note(&self) -> Place {
        self.place("bus/log/imported.json")
    }

    /// Where this clone keeps records: the first policy that it saw has said so.
    #[must_use]
    pub fn records(&self) -> Place {
        self.place("bus/records")
    }

    /// How much of the record of `agent` is in batches.
    #[must_use]
    pub fn batches(&self, agent: &AgentId) -> Place {
        self.place(format!("bus/batches/{}", agent.as_str().to_ascii_lowercase()))
    }

    /// The folder of all worktrees' journals, which version 0.1 kept.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.common.join("bus/journal")
    }

    /// Which messages `agent` has read.
    #[must_use]
    pub fn read_marks(&self, agent: &AgentId) -> Place {
        self.place(format!("bus/inbox/{}", agent.as_str().to_ascii_lowercase()))
    }

    /// What a watcher of the log has shown under the name `cursor`.
    #[must_use]
    pub fn cursor(&self, cursor: &CursorName) -> Place {
        self.place(format!("bus/cursors/{}", cursor.as_str().to_ascii_lowercase()))
    }

    /// What `agent` is about to claim as the next task, in the linked worktree `name` or in the
    /// main one.
    #[must_use]
    pub fn next(&self, agent: &AgentId, name: Option<&str>) -> Place {
        let worktree = name.map_or_else(String::new, |name| format!("@{name}"));
        self.place(format!("bus/next/{}{worktree}.json", agent.as_str().to_ascii_lowercase()))
    }

    /// The number of the queue that is being given out, until its file is written.
    #[must_use]
    pub fn reserved(&self) -> Place {
        self.place("bus/reserved.json")
    }

    /// Where the logs of other clones are kept.
    #[must_use]
    pub fn clones(&self) -> Clones {
        Clones::at(self.common.join("bus/clones"), self.common.join("bus/log/_bus"))
    }

    /// The file called `relative` of the log of another clone.
    #[must_use]
    pub fn of_clone(&self, clone: &CloneId, relative: &str) -> Place {
        self.place(format!("bus/clones/{clone}/{relative}"))
    }

    /// How much of the record is published.
    #[must_use]
    pub fn published(&self) -> Place {
        self.place("bus/exchange/published.json")
    }

    /// How much of the other clones' logs was taken in.
    #[must_use]
    pub fn taken_in(&self) -> Place {
        self.place("bus/exchange/marks.json")
    }

    /// Which logs were rewritten on a remote.
    #[must_use]
    pub fn rewritten(&self) -> Place {
        self.place("bus/rewritten.json")
    }

    /// The claims of `task` that were lost to another clone's, each in a file of its own.
    #[must_use]
    pub fn lost(&self, task: &TaskId) -> PathBuf {
        self.common.join("bus/lost").join(task.key())
    }

    /// The claim of `task`, called `name`, that was lost to another clone's.
    #[must_use]
    pub fn lost_claim(&self, task: &TaskId, name: &str) -> Place {
        self.place(format!("bus/lost/{}/{name}.json", task.key()))
    }

    /// Where an unreadable ref of `what` is kept: of a task, or of the queue.
    #[must_use]
    pub fn broken(&self, what: &str, stamp: &str) -> Place {
        self.place(format!("bus/broken/{}-{stamp}", what.to_ascii_uppercase()))
    }

    fn place(&self, relative: impl Into<PathBuf>) -> Place {
        Place::new(&self.common, relative)
    }
}
