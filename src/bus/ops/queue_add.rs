//! `bus queue add`: a new task, with a number that no other worktree gives.

use crate::bus::queue::{MAX_TITLE, QueueFault, QueueRequest, Queued, fields, line};
use crate::bus::workspace::{Known, Reach, Turn, Workspace};
use crate::bus::{Error, fleet, queue};
use crate::git::RefName;
use crate::record::{AgentId, QueueItem};
use crate::store::Lock;

/// Writes a task into this worktree's queue. Its number is reserved by compare-and-swap before its
/// file is written: a crash between the two leaves a hole in the numbers, unless the same agent
/// adds the same title next.
///
/// # Errors
///
/// [`QueueFault::Exists`] if the given id is taken; [`Error::Usage`] if title or fields are no
/// lines, or the task would wait for itself; [`Error::RefContended`]; else as the system refuses.
pub(crate) fn queue_add(
    ws: &Workspace,
    agent: &AgentId,
    request: &QueueRequest,
) -> Result<Queued, Error> {
    let title = line("the title", &request.title, MAX_TITLE)?;
    let text = QueueItem::text(title, &fields(request)?);
    let name = RefName::queue();
    let turn = |lock: &mut Lock, known: Known| {
        let (item, reserved) = match queue::new_item(ws, lock, agent, request, &text) {
            Err(Error::Queue(QueueFault::Exists { .. })) if !known.seen => return Ok(Turn::Look),
            made => made?,
        };
        let from = reserved.tip.as_ref().map(|link| link.id);
        match queue::reservation(ws, &reserved, agent, &item)? {
            Some(link) => Ok(Turn::Write { from, to: link.id, what: item }),
            None if known.seen => Ok(Turn::Done(item)),
            None => Ok(Turn::Look),
        }
    };
    let write = |_: &mut Lock, item| queue::write_item(ws, item).map(|item| item.queued);
    ws.learn_fleet(Reach::Fleet)?;
    match ws.fleet()? {
        Some(fleet) => fleet::propose_ref(ws, fleet, &name, turn, write),
        None => ws.change_ref(&mut ws.lock()?, &name, turn, write),
    }
}
