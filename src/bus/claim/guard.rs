//! Who may speak for a task: its claim's owner may, and after its end everybody (docs/design.md,
//! section 7).

use serde_json::Value;

use super::claim_rules::Refusal;
use super::view::View;
use super::{ClaimFault, claim_rules, loss, refusal, transition};
use crate::Code;
use crate::bus::Error;
use crate::bus::workspace::{Who, Workspace};
use crate::record::json::Object;
use crate::record::{AgentId, EventKind, TaskId, json};
use crate::store::{Lock, append};

/// What an agent is about to say of a task: an event or a message.
#[derive(Clone, Copy)]
pub(in crate::bus) struct Word<'a> {
    /// The task that was named.
    pub(in crate::bus) task: &'a TaskId,
    /// What type of event or message it is.
    pub(in crate::bus) kind: &'a EventKind,
    /// The sorts that speak for a task.
    pub(in crate::bus) guarded: &'a [&'a str],
}

/// What stands about the task that `word` names, or `None` if its claim cannot be read.
///
/// # Errors
///
/// [`ClaimFault::Guarded`] or [`ClaimFault::Lost`] if it speaks for a task that is not the agent's:
/// that is recorded.
pub(in crate::bus) fn admit(
    ws: &Workspace,
    lock: &mut Lock,
    agent: &AgentId,
    word: Word<'_>,
) -> Result<Option<(View, Who)>, Error> {
    let guarded = word.guarded.iter().any(|kind| kind.eq_ignore_ascii_case(word.kind.as_str()));
    let who = ws.who(agent.clone())?;
    if !guarded {
        // A note on a task whose claim cannot be read is still a note.
        return Ok(readable_view(ws, lock, word.task)?.map(|view| (view, who)));
    }
    let view = transition::repaired_view(ws, lock, word.task)?;
    guard(ws, lock, &view, &who, word.kind)?;
    Ok(Some((view, who)))
}

/// What stands about `task`, in whatever letter case, or `None` if its claim cannot be read.
pub(in crate::bus) fn readable_view(
    ws: &Workspace,
    lock: &mut Lock,
    task: &TaskId,
) -> Result<Option<View>, Error> {
    match transition::repaired_view(ws, lock, task) {
        Err(error) if matches!(error.code(), Code::MalformedRecord | Code::ClaimDiverged) => {
            Ok(None)
        }
        view => view.map(Some),
    }
}

/// Refuses what speaks for a task that is not the caller's, and records the refusal.
fn guard(
    ws: &Workspace,
    lock: &Lock,
    view: &View,
    who: &Who,
    kind: &EventKind,
) -> Result<(), Error> {
    let claim = view.claim();
    let refused = claim_rules::guard(claim, who).err();
    // Once the claim has ended everybody may speak, but not who lost it.
    let own_end = claim.is_some_and(|claim| who.owns(claim) && claim.released_by.is_none());
    let lost = if refused.is_none() && own_end { None } else { loss::loss(ws, view, who)? };
    let error = match (lost, refused) {
        (Some(_), _) => refusal::refused_or_lost(ws, view, who, Refusal::NotHeld)?,
        (None, None) => return Ok(()),
        (None, Some(refusal)) => Error::Claim(ClaimFault::Guarded {
            task: view.task.clone(),
            event: kind.to_string(),
            owner: claim.map(|claim| claim.agent_id.clone()),
            status: claim.map(|claim| claim.status),
            elsewhere: refusal == Refusal::HeldElsewhere,
        }),
    };
    record_refusal(ws, lock, view, who, kind, &error)?;
    Err(error)
}

/// One line in the record of what the agent was refused.
fn record_refusal(
    ws: &Workspace,
    lock: &Lock,
    view: &View,
    who: &Who,
    kind: &EventKind,
    error: &Error,
) -> Result<(), Error> {
    let mut fields = vec![
        ("ts", ws.clock.now().to_string()),
        ("agent_id", who.agent.to_string()),
        ("event", kind.to_string()),
        ("reason", error.code().as_str().to_owned()),
        ("task_id", view.task.to_string()),
    ];
    if let Some(claim) = view.claim() {
        fields.push(("claim_owner", claim.agent_id.to_string()));
        fields.push(("claim_status", claim.status.to_string()));
    }
    let object: Object =
        fields.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text))).collect();
    Ok(append(lock, &ws.as_spelled(ws.record.refusals(&who.agent))?, &json::compact(&object))?)
}
