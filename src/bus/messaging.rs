//! What agents say to each other: channels of tasks, and inboxes (design, sections 2 and 7).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::guard::Word;
use super::record::check_length;
use super::view::View;
use super::{Bus, Error};
use crate::record::json::Object;
use crate::record::{AgentId, EventKind, Message, PlanId, TaskId, Timestamp};
use crate::store::{Faults, Letter, Mail, Place, Stream};

/// The sorts of messages that speak for a task: only its claim's owner may send them (design, section 7).
const GUARDED: [&str; 3] = ["status", "proposal", "summary"];

/// Where a message's plan stands.
const PLAN: &str = "plan_id";

/// Whom a message is for.
#[derive(Clone, Debug)]
pub enum Audience {
    /// Whoever works on a task: it stands in the task's channel.
    Task(TaskId),
    /// An agent, perhaps about a task: it stands in the agent's inbox.
    Agent(AgentId, Option<TaskId>),
}

impl Audience {
    /// The task that the message is about.
    #[must_use]
    pub const fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Task(task) | Self::Agent(_, Some(task)) => Some(task),
            Self::Agent(_, None) => None,
        }
    }
}

/// What `bus message send` asks for.
#[derive(Clone, Debug)]
pub struct MessageRequest {
    /// Whom it is for.
    pub audience: Audience,
    /// What sort of message.
    pub kind: EventKind,
    /// In words.
    pub summary: String,
    /// More words.
    pub note: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The plan.
    pub plan: Option<PlanId>,
    /// Paths of what proves it.
    pub receipts: Vec<String>,
    /// Further facts.
    pub meta: Vec<(String, String)>,
}

/// Which messages are wanted; an empty list wants all.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// On this task: by their `task_id`, or in its channel.
    pub task: Option<TaskId>,
    /// For this agent: by their `to`, or in its inbox.
    pub to: Option<AgentId>,
    /// Of these sorts.
    pub kinds: Vec<EventKind>,
    /// By these agents.
    pub from: Vec<AgentId>,
    /// Not before this time.
    pub since: Option<Timestamp>,
}

impl MessageFilter {
    /// Whether `message`, which stands in `channel`, is wanted.
    fn wants(&self, message: &Message, channel: Option<&Channel>) -> bool {
        let on = |task: &TaskId| {
            message.task_id.as_ref() == Some(task) || matches!(channel, Some(Channel::Task(channel)) if channel == task)
        };
        let to = |agent: &AgentId| {
            message.to.as_ref() == Some(agent) || matches!(channel, Some(Channel::Inbox(channel)) if channel == agent)
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
pub(super) enum Channel {
    Task(TaskId),
    Inbox(AgentId),
}

impl Channel {
    /// The channel that the file at `path` is; none where its name is no id.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?;
        match stem.split_at_checked("agent-".len()) {
            Some((begin, agent)) if begin.eq_ignore_ascii_case("agent-") => AgentId::new(agent).ok().map(Self::Inbox),
            _ => TaskId::new(stem).ok().map(Self::Task),
        }
    }

    /// The agent whose inbox it is.
    pub(super) fn into_agent(self) -> Option<AgentId> {
        match self {
            Self::Inbox(agent) => Some(agent),
            Self::Task(_) => None,
        }
    }
}

/// Whether the file at `path` is a batch, which has messages of one sender to anybody (design, section 1.2).
pub(super) fn is_batch(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().contains(&b'@'))
}

impl Bus {
    /// Appends a message of `agent` to the channel of a task or to an inbox, and returns it once it is on disk.
    ///
    /// Where it names a task of the agent's, a heartbeat that is due is given, too. That it could not be given is returned
    /// beside the message: the message stands.
    ///
    /// # Errors
    ///
    /// [`Error::Guarded`] or [`Error::ClaimLost`] where the message speaks for a task that is not the agent's;
    /// [`Error::Usage`] where it is too long or says a thing twice; else as the system refuses.
    pub fn send_message(&self, agent: &AgentId, request: &MessageRequest) -> Result<(Message, Option<Error>), Error> {
        self.config()?;
        let meta = meta(request)?;
        let mut lock = self.lock()?;
        let admitted = match request.audience.task() {
            Some(task) => self.admit(&mut lock, agent, Word { task, kind: &request.kind, guarded: &GUARDED })?,
            None => None,
        };
        let (place, task) = self.addressed(&request.audience, admitted.as_ref().map(|(view, _)| view))?;
        let message = self.message(agent, task, request, meta);
        let line = message.to_line();
        check_length("message", &line)?;
        self.append_to_channel(&lock, &place, &line)?;
        let pulse = match admitted {
            Some((view, who)) => self.pulse_if_due(lock, &view, &who),
            None => {
                drop(lock);
                None
            }
        };
        self.publish_soon();
        Ok((message, pulse))
    }

    /// Where a message stands, and which task it is about, as its claim spells it, else its channel.
    fn addressed(&self, audience: &Audience, view: Option<&View>) -> Result<(Place, Option<TaskId>), Error> {
        let task = view.map(|view| &view.task).or(audience.task());
        Ok(match audience {
            Audience::Agent(to, _) => (self.as_spelled(self.record.inbox(to))?, task.cloned()),
            Audience::Task(asked) => {
                let task = task.unwrap_or(asked);
                let place = self.as_spelled(self.record.channel(task))?;
                let claimed = view.is_some_and(|view| view.claim().is_some());
                match Channel::at(place.relative()) {
                    Some(Channel::Task(stands)) if !claimed => (place, Some(stands)),
                    _ => (place, Some(task.clone())),
                }
            }
        })
    }

    fn message(&self, agent: &AgentId, task: Option<TaskId>, request: &MessageRequest, meta: Object) -> Message {
        let to = match &request.audience {
            Audience::Agent(to, _) => Some(to.clone()),
            Audience::Task(_) => None,
        };
        Message {
            ts: self.clock.now(),
            from: agent.clone(),
            kind: request.kind.clone(),
            summary: request.summary.clone(),
            id: Some(uuid::Uuid::now_v7().to_string()),
            task_id: task,
            to,
            branch: request.branch.clone(),
            receipts: request.receipts.clone(),
            meta: Some(meta).filter(|meta| !meta.is_empty()),
            note: request.note.clone(),
            extra: Object::new(),
        }
    }

    /// The channels of all worktrees and clones; one that several have, several times.
    pub(super) fn channels(&self) -> impl Iterator<Item = Channel> {
        self.readable_files(Stream::Channels).into_iter().filter_map(|path| Channel::at(&path))
    }

    /// The files of all channels. Of worktrees that have the same message, the same one comes first wherever one looks from.
    pub(super) fn channel_files(&self) -> Vec<PathBuf> {
        let (sources, mut files) = (self.sources(), self.readable_files(Stream::Channels));
        files.sort_by_cached_key(|path| sources.rank(path));
        files
    }

    /// The messages of all worktrees and clones that `filter` wants, by time, then id; the last `limit` of them.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where a channel cannot be read.
    pub fn messages(&self, filter: &MessageFilter, limit: Option<usize>) -> Result<(Vec<Letter>, Faults), Error> {
        let mut mail = Mail::new(self.sources());
        for path in self.channel_files() {
            let channel = Channel::at(&path);
            mail.read(&path, |message| filter.wants(message, channel.as_ref()))?;
        }
        let (mut letters, faults) = mail.in_order();
        letters.drain(..letters.len().saturating_sub(limit.unwrap_or(usize::MAX)));
        Ok((letters, faults))
    }
}

/// The facts of `--meta` and `--plan`; none may be given twice.
fn meta(request: &MessageRequest) -> Result<Object, Error> {
    let plan = request.plan.iter().map(|plan| (PLAN.to_owned(), plan.to_string()));
    let mut fields = Object::new();
    for (key, value) in request.meta.iter().cloned().chain(plan) {
        if fields.insert(key.clone(), Value::from(value)).is_some() {
            let what = if key == PLAN && request.plan.is_some() {
                "the plan is given twice, by `--plan` and by `--meta`".to_owned()
            } else {
                format!("`--meta {key}=…` is given twice")
            };
            return Err(Error::Usage { what, hint: "see `bus message send --help`".to_owned() });
        }
    }
    Ok(fields)
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
