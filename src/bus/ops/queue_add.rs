//! `bus queue add`: a new task, with a number that no other worktree gives.

use crate::bus::fleet::{Known, Turn};
use crate::bus::queue::{MAX_TITLE, QueueRequest, Queued, fields, line};
use crate::bus::workspace::{Reach, Workspace, retry};
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
/// [`Error::TaskExists`] where the given id is taken; [`Error::Usage`] where title or fields are no
/// lines, or the task would wait for itself; [`Error::RefContended`]; else as the system refuses.
pub(crate) fn queue_add(
    ws: &Workspace,
    agent: &AgentId,
    request: &QueueRequest,
) -> Result<Queued, Error> {
    let title = line("the title", &request.title, MAX_TITLE)?;
    let text = QueueItem::text(title, &fields(request)?);
    let name = RefName::queue();
    ws.learn_fleet(Reach::Fleet)?;
    if let Some(fleet) = ws.fleet()? {
        let turn = |lock: &mut Lock, Known { seen, .. }: Known| {
            let (item, reserved) = match queue::new_item(ws, lock, agent, request, &text) {
                Err(Error::TaskExists { .. }) if !seen => return Ok(Turn::Look),
                made => made?,
            };
            match queue::reservation(ws, &reserved, agent, &item)? {
                Some(link) => Ok(Turn::Push(link.id, item)),
                None if seen => Ok(Turn::Done(item)),
                None => Ok(Turn::Look),
            }
        };
        return fleet::change_shared(ws, fleet, &name, turn, |_, item| queue::write_item(ws, item))
            .map(|item| item.queued);
    }
    let mut lock = ws.lock()?;
    retry(&name, || {
        let (item, reserved) = queue::new_item(ws, &mut lock, agent, request, &text)?;
        if let Some(link) = queue::reservation(ws, &reserved, agent, &item)?
            && !ws.advance(&mut lock, &name, reserved.tip.as_ref().map(|link| link.id), &link)?
        {
            return Ok(None);
        }
        Ok(Some(queue::write_item(ws, item)?.queued))
    })
}
