//! What agents say to each other: channels of tasks, and inboxes (docs/design.md, sections 2 and
//! 7).

use std::path::{Path, PathBuf};

use super::feed;
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::{AgentId, EventKind, Message, PlanId, TaskId, Timestamp};
use crate::store::{Faults, Letter, Mail, Stream};

/// Where a message's plan stands.
pub(in crate::bus) const PLAN: &str = "plan_id";

/// Whom a message is for.
#[derive(Clone, Debug)]
pub(crate) enum Audience {
    /// Whoever works on a task: it stands in the task's channel.
    Task(TaskId),
    /// An agent, perhaps about a task: it stands in the agent's inbox.
    Agent(AgentId, Option<TaskId>),
}

impl Audience {
    /// The task that the message is about.
    #[must_use]
    pub(crate) const fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Task(task) | Self::Agent(_, Some(task)) => Some(task),
            Self::Agent(_, None) => None,
        }
    }
}

/// What `bus message send` asks for.
#[derive(Clone, Debug)]
pub(crate) struct MessageRequest {
    /// Whom it is for.
    pub(crate) audience: Audience,
    /// What type of message.
    pub(crate) kind: EventKind,
    /// In words.
    pub(crate) summary: String,
    /// More words.
    pub(crate) note: Option<String>,
    /// The branch.
    pub(crate) branch: Option<String>,
    /// The plan.
    pub(crate) plan: Option<PlanId>,
    /// Paths of what proves it.
    pub(crate) receipts: Vec<String>,
    /// Further facts.
    pub(crate) meta: Vec<(String, String)>,
}

/// Which messages are wanted; an empty list wants all.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageFilter {
    /// On this task: by their `task_id`, or in its channel.
    pub(crate) task: Option<TaskId>,
    /// For this agent: by their `to`, or in its inbox.
    pub(crate) to: Option<AgentId>,
    /// Of these sorts.
    pub(crate) kinds: Vec<EventKind>,
    /// By these agents.
    pub(crate) from: Vec<AgentId>,
    /// Not before this time.
    pub(crate) since: Option<Timestamp>,
}

impl MessageFilter {
    /// Whether `message`, which stands in `channel`, is wanted.
    fn wants(&self, message: &Message, channel: Option<&Channel>) -> bool {
        let on = |task: &TaskId| {
            message.task_id.as_ref() == Some(task)
                || matches!(channel, Some(Channel::Task(channel)) if channel == task)
        };
        let to = |agent: &AgentId| {
            message.to.as_ref() == Some(agent)
                || matches!(channel, Some(Channel::Inbox(channel)) if channel == agent)
        };
        self.task.as_ref().is_none_or(on)
            && self.to.as_ref().is_none_or(to)
            && (self.kinds.is_empty() || self.kinds.contains(&message.kind))
            && (self.from.is_empty() || self.from.contains(&message.from))
            && self.since.is_none_or(|since| message.ts >= since)
    }
}

/// Whose a file of messages is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Channel {
    Task(TaskId),
    Inbox(AgentId),
}

impl Channel {
    /// The channel that the file at `path` is, or `None` if its name is no id.
    pub(in crate::bus) fn at(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?;
        match stem.split_at_checked("agent-".len()) {
            Some((begin, agent)) if begin.eq_ignore_ascii_case("agent-") => {
                AgentId::new(agent).ok().map(Self::Inbox)
            }
            _ => TaskId::new(stem).ok().map(Self::Task),
        }
    }

    /// The agent whose inbox it is.
    pub(in crate::bus) fn into_agent(self) -> Option<AgentId> {
        match self {
            Self::Inbox(agent) => Some(agent),
            Self::Task(_) => None,
        }
    }
}

/// Whether the file at `path` is a batch, which has messages of one sender to anybody (design,
/// section 1.2).
pub(super) fn is_batch(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().contains(&b'@'))
}

/// The channels of all worktrees and clones; one that several have, several times.
pub(in crate::bus) fn channels(ws: &Workspace) -> impl Iterator<Item = Channel> {
    feed::readable_files(ws, Stream::Channels).into_iter().filter_map(|path| Channel::at(&path))
}

/// The files of all channels. Of worktrees that have the same message, the same one comes first
/// wherever one looks from.
pub(super) fn channel_files(ws: &Workspace) -> Vec<PathBuf> {
    let (sources, mut files) = (ws.sources(), feed::readable_files(ws, Stream::Channels));
    files.sort_by_cached_key(|path| sources.rank(path));
    files
}

/// The messages of all worktrees and clones that `filter` wants, by time, then id; the last `limit`
/// of them.
///
/// # Errors
///
/// [`Error::Store`] if a channel cannot be read.
pub(crate) fn messages(
    ws: &Workspace,
    filter: &MessageFilter,
    limit: Option<usize>,
) -> Result<(Vec<Letter>, Faults), Error> {
    let mut mail = Mail::new(ws.sources());
    for path in channel_files(ws) {
        let channel = Channel::at(&path);
        mail.read(&path, |message| filter.wants(message, channel.as_ref()))?;
    }
    let (mut letters, faults) = mail.in_order();
    letters.drain(..letters.len().saturating_sub(limit.unwrap_or(usize::MAX)));
    Ok((letters, faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_whose_channel_it_is() {
        let agent = |id: &str| Some(Channel::Inbox(AgentId::new(id).unwrap()));
        let task = |id: &str| Some(Channel::Task(TaskId::new(id).unwrap()));
        for (name, channel) in [
            ("QUEUE-001.jsonl", task("QUEUE-001")),
            ("agents.jsonl", task("agents")),
            ("agent-codex-1.jsonl", agent("codex-1")),
            ("Agent-A.B.jsonl", agent("a.b")),
            ("agent-.jsonl", None),
            ("agent-a b.jsonl", None),
            ("é.jsonl", None),
        ] {
            assert_eq!(Channel::at(Path::new(name)), channel, "{name}");
        }
    }
}
