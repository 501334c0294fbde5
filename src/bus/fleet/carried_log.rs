//! This clone's log, which goes to the remote together with a claim.

use super::log_out::LogCommit;
use super::propose::Answer;
use super::{adopt, log_out, own_log};
use crate::bus::Error;
use crate::bus::workspace::{Note, Workspace};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};

/// What goes of the log with the next push.
#[derive(Default)]
pub(super) struct CarriedLog {
    swap: Option<Swap>,
    /// What the remote was last seen to have of it.
    seen: Option<ObjectId>,
    /// The remote has lost it.
    is_lost: bool,
    /// Why it does not go with the claim any more: it must never keep one from being made.
    fault: Option<String>,
}

impl CarriedLog {
    /// What goes with the next push.
    pub(super) const fn swap(&self) -> Option<&Swap> {
        self.swap.as_ref()
    }

    /// Has this clone's log, up to now, go with the next push, unless that has failed before.
    pub(super) fn load(&mut self, ws: &Workspace, remote: &Remote) {
        let due = match self.fault {
            None => log_out::log_due(ws, remote, self.is_lost, LogCommit::Always),
            Some(_) => Ok(None),
        };
        self.fault = self.fault.take().or_else(|| due.as_ref().err().map(ToString::to_string));
        self.swap = due.ok().flatten();
        self.seen =
            self.swap.as_ref().and_then(|swap| ws.seen_at(remote, &swap.name).ok().flatten());
    }

    /// Notes what came of the log that went with a push of the ref called `name`. Returns whether the log may have kept that ref back, so that the same must be
    /// tried again.
    pub(super) fn unload(
        &mut self,
        ws: &Workspace,
        remote: &Remote,
        name: &RefName,
        answer: &Answer,
    ) -> bool {
        let Some(swap) = self.swap.take() else { return false };
        let now = answer.sight.get(&swap.name).copied();
        let is_stuck =
            answer.sight.get(name).copied() == answer.expected && answer.pushed != Pushed::Done;
        let noted = if now == swap.new {
            ws.lock().and_then(|mut lock| adopt::note_seen(ws, &mut lock, remote, &swap.name, now))
        } else if now != swap.expected {
            // Somebody else has changed it.
            self.is_lost = now.is_none();
            self.bring(ws, remote, &swap.name, now)
        } else {
            self.fault = is_stuck.then(|| answer.pushed.story());
            Ok(())
        };
        self.fault = self.fault.take().or_else(|| noted.err().map(|error| error.to_string()));
        is_stuck
    }

    /// Brings this clone's own log in line with what the remote has of it now, and was seen to have
    /// before.
    fn bring(
        &self,
        ws: &Workspace,
        remote: &Remote,
        name: &RefName,
        now: Option<ObjectId>,
    ) -> Result<(), Error> {
        let sight: Sight = now.map(|now| (name.clone(), now)).into_iter().collect();
        if !ws.bring(remote, &sight, std::slice::from_ref(name))?.is_empty() {
            // It has moved on: the next try sees where to.
            return Ok(());
        }
        own_log::adopt_own_log(ws, &mut ws.lock()?, remote, name, now, self.seen).map(drop)
    }

    /// Mentions why the log did not go with what was done.
    pub(super) fn mention_fault(self, ws: &Workspace) {
        self.fault.into_iter().for_each(|why| ws.notes.add(Note::Unsent(why)));
    }
}
