//! `bus receipt add`.

use super::log_event;
use crate::bus::plan::{AddReceipt, AddedReceipt, MAX_RECEIPT, REFUSALS};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, plan};
use crate::record::AgentId;

/// Stores a receipt of `agent`'s, and returns once it is on disk. The same bytes under the same
/// name are stored once; other bytes get another name, since evidence is never replaced.
///
/// # Errors
///
/// [`Error::Usage`] if it is too large; [`PlanFault::NoPlan`] or [`PlanFault::Ambiguous`] if
/// the plan is not one; else as the system refuses.
pub(crate) fn add_receipt(
    ws: &Workspace,
    agent: &AgentId,
    request: AddReceipt<'_>,
) -> Result<AddedReceipt, Error> {
    if request.bytes.len() > MAX_RECEIPT {
        let what = format!("the file has more than {} MiB", MAX_RECEIPT >> 20);
        return Err(Error::Usage {
            what,
            hint: "keep the part that proves it, or a sum of the whole".to_owned(),
        });
    }
    ws.config()?;
    let plan = request.plan.map(|plan| plan::plan_called(ws, plan)).transpose()?;
    let mut lock = ws.lock()?;
    let view =
        request.task.map(|task| claim::readable_view(ws, &mut lock, task)).transpose()?.flatten();
    let task = view
        .as_ref()
        .map(|view| view.task.to_string())
        .or_else(|| request.task.map(ToString::to_string));
    let about =
        task.or_else(|| plan.map(|plan| plan.to_string())).unwrap_or_else(|| "misc".to_owned());
    if about.eq_ignore_ascii_case(REFUSALS) {
        let what = format!(
            "`{about}` is the name of the file of refused actions, so no receipts can be stored below it"
        );
        return Err(Error::Usage {
            what,
            hint: "leave `--task` and `--plan` out: it is stored below `misc`".to_owned(),
        });
    }
    let who = ws.who(agent.clone())?;
    let folder = ws.as_spelled(ws.layout.place(format!("_report/agent/{agent}/{about}")))?;
    let (receipt, unchanged) = plan::store_receipt(ws, &folder, request)?;
    let pulse = view.and_then(|view| log_event::pulse_if_due(ws, lock, &view, &who));
    Ok(AddedReceipt { receipt, unchanged, pulse })
}
