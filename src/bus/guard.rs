//! Who may speak for a task: its claim's owner may, and after its end everybody (design, section 7).

use serde_json::Value;

use super::change::Next;
use super::decide::{self, Refusal};
use super::view::View;
use super::{Bus, Error, Who};
use crate::Code;
use crate::record::json::{self, Object};
use crate::record::{AgentId, EventKind, TaskId};
use crate::store::{Lock, append};

/// What an agent is about to say of a task: an event or a message.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    /// The task that was named.
    pub(super) task: &'a TaskId,
    /// What sort of event or message it is.
    pub(super) kind: &'a EventKind,
    /// The sorts that speak for a task.
    pub(super) guarded: &'a [&'a str],
}

impl Bus {
    /// What stands about the task that `word` names; nothing where its claim cannot be read.
    ///
    /// # Errors
    ///
    /// [`Error::Guarded`] or [`Error::ClaimLost`] where it speaks for a task that is not the agent's: that is recorded.
    pub(super) fn admit(&self, lock: &mut Lock, agent: &AgentId, word: Word<'_>) -> Result<Option<(View, Who)>, Error> {
        let guarded = word.guarded.iter().any(|kind| kind.eq_ignore_ascii_case(word.kind.as_str()));
        let who = self.who(agent.clone())?;
        if !guarded {
            // A note on a task whose claim cannot be read is still a note.
            return Ok(self.readable_view(lock, word.task)?.map(|view| (view, who)));
        }
        let view = self.mended_view(lock, word.task)?;
        self.guard(lock, &view, &who, word.kind)?;
        Ok(Some((view, who)))
    }

    /// What stands about `task`, in whatever letter case; nothing where its claim cannot be read.
    pub(super) fn readable_view(&self, lock: &mut Lock, task: &TaskId) -> Result<Option<View>, Error> {
        match self.mended_view(lock, task) {
            Err(error) if matches!(error.code(), Code::MalformedRecord | Code::ClaimDiverged) => Ok(None),
            view => view.map(Some),
        }
    }

    /// Refuses what speaks for a task that is not the caller's, and records the refusal.
    fn guard(&self, lock: &Lock, view: &View, who: &Who, kind: &EventKind) -> Result<(), Error> {
        let claim = view.claim();
        let refused = decide::guard(claim, who).err();
        // Once the claim has ended everybody may speak, but not who lost it.
        let own_end = claim.is_some_and(|claim| who.owns(claim) && claim.released_by.is_none());
        let lost = if refused.is_none() && own_end { None } else { self.loss(view, who)? };
        let error = match (lost, refused) {
            (Some(_), _) => self.refused_or_lost(view, who, Refusal::NotHeld)?,
            (None, None) => return Ok(()),
            (None, Some(refusal)) => Error::Guarded {
                task: view.task.clone(),
                event: kind.to_string(),
                owner: claim.map(|claim| claim.agent_id.clone()),
                status: claim.map(|claim| claim.status),
                elsewhere: refusal == Refusal::HeldElsewhere,
            },
        };
        self.record_refusal(lock, view, who, kind, &error)?;
        Err(error)
    }

    /// One line in the record of what the agent was refused.
    fn record_refusal(&self, lock: &Lock, view: &View, who: &Who, kind: &EventKind, error: &Error) -> Result<(), Error> {
        let mut fields = vec![
            ("ts", self.clock.now().to_string()),
            ("agent_id", who.agent.to_string()),
            ("event", kind.to_string()),
            ("reason", error.code().as_str().to_owned()),
            ("task_id", view.task.to_string()),
        ];
        if let Some(claim) = view.claim() {
            fields.push(("claim_owner", claim.agent_id.to_string()));
            fields.push(("claim_status", claim.status.to_string()));
        }
        let object: Object = fields.into_iter().map(|(field, text)| (field.to_owned(), Value::from(text))).collect();
        Ok(append(lock, &self.as_spelled(self.record.refusals(&who.agent))?, &json::compact(&object))?)
    }

    /// Gives a heartbeat of the agent's own claim where one is due, and tells the fleet. What stands in the way is returned: it
    /// does not undo what was done under the lock.
    pub(super) fn pulse_if_due(&self, mut lock: Lock, view: &View, who: &Who) -> Option<Error> {
        let given = self.give_due_pulse(&mut lock, view, who);
        drop(lock);
        let told = given.and_then(|given| match self.fleet()?.filter(|_| given) {
            Some(fleet) => self.tell_fleet(fleet, &who.agent, &view.task),
            None => Ok(None),
        });
        told.unwrap_or_else(Some)
    }

    fn give_due_pulse(&self, lock: &mut Lock, view: &View, who: &Who) -> Result<bool, Error> {
        let Some(claim) = view.claim().filter(|claim| claim.status.is_live() && who.owns(claim)) else { return Ok(false) };
        if !self.heartbeat_is_due(view, claim)? {
            return Ok(false);
        }
        let Next::Write { verb, claim, .. } = self.pulse(view, claim) else { return Ok(false) };
        // Where something else moved the ref meanwhile, the next command gives the sign.
        Ok(self.write_state(lock, view, who, verb, &claim)?.is_some())
    }
}
