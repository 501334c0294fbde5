//! What was said to an agent and what of it was read, the same from every worktree.

use super::channel;
use super::channel::{Channel, is_batch};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::{AgentId, Message};
use crate::store::{Faults, Letter, Mail, ReadMarks};

/// What an agent has not read.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// How many messages are unread.
    pub(crate) unread: usize,
    /// The last of them, oldest first.
    pub(crate) letters: Vec<Letter>,
    /// The lines that were no messages.
    pub(crate) faults: Faults,
}

impl Inbox {
    /// The messages at hand, oldest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.letters.iter().map(|letter| &letter.message)
    }

    /// How many unread messages are older than those at hand.
    #[must_use]
    pub(crate) const fn older(&self) -> usize {
        self.unread - self.letters.len()
    }
}

/// The messages of all worktrees and clones in the inbox of `agent` that it has not read, by time,
/// then id; the last `limit` of them. Nothing is changed.
///
/// # Errors
///
/// [`Error::Store`] if the inbox cannot be read.
pub(crate) fn inbox(ws: &Workspace, agent: &AgentId, limit: Option<usize>) -> Result<Inbox, Error> {
    let marks = ReadMarks::at(&ws.private.read_marks(agent))?;
    let mut mail = Mail::new(ws.sources());
    for path in channel::channel_files(ws) {
        match Channel::at(&path) {
            Some(Channel::Inbox(owner)) if owner == *agent => mail.read(&path, |_| true)?,
            None if is_batch(&path) => {
                mail.read(&path, |message| message.to.as_ref() == Some(agent))?
            }
            _ => {}
        }
    }
    let (mut letters, faults) = mail.in_order();
    letters.retain(|letter| !marks.has(&letter.line));
    let unread = letters.len();
    letters.drain(..unread.saturating_sub(limit.unwrap_or(usize::MAX)));
    Ok(Inbox { unread, letters, faults })
}

/// Remembers that `agent` has read the messages at hand of `inbox`, and nothing else: what came
/// meanwhile stays unread.
///
/// # Errors
///
/// [`Error::Store`] if the lock is not free or the disk refuses: the messages are then unread as
/// before.
pub(crate) fn mark_read(ws: &Workspace, agent: &AgentId, inbox: &Inbox) -> Result<(), Error> {
    if inbox.letters.is_empty() {
        return Ok(());
    }
    let lock = ws.lock()?;
    let lines = inbox.letters.iter().map(|letter| letter.line.as_slice());
    Ok(ReadMarks::add(&lock, &ws.private.read_marks(agent), lines)?)
}
