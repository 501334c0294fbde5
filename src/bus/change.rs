//! How a claim comes to a new state: read, decide, write a commit, move the ref, settle; all under the lock.

use super::advance::MAX_TRIES;
use super::fleet::Reach;
use super::settle::is_in_line;
use super::view::{FileClaim, State, View, state};
use super::{Bus, Error, FleetFault, Who};
use crate::git::ObjectId;
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, Event, TaskId};
use crate::store::Lock;

/// What a command did to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A free task was claimed.
    Claimed,
    /// A finished task was taken up again.
    Reopened,
    /// The claim moved here from another place.
    Moved,
    /// What was given was written into the caller's claim.
    Updated,
    /// There was nothing to do.
    Unchanged,
    /// The claim ended.
    Released,
    /// The claim was put aside.
    Paused,
    /// A sign of life was given.
    Renewed,
    /// The claim was taken over.
    Reclaimed,
    /// The fleet learned of a claim that it did not know.
    Confirmed,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Reopened => "reopened",
            Self::Moved => "moved",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Released => "released",
            Self::Paused => "paused",
            Self::Renewed => "renewed",
            Self::Reclaimed => "reclaimed",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What came of a command on a claim.
#[derive(Clone, Debug)]
pub struct Changed {
    /// What was done.
    pub outcome: Outcome,
    /// The claim now.
    pub claim: Claim,
    /// The claim before, where there was one.
    pub previous: Option<Claim>,
}

/// What a decision asks for.
pub(super) enum Next {
    /// Write this state.
    Write { verb: &'static str, claim: Box<Claim>, outcome: Outcome },
    /// Everything is as it should be; only a crash may have left something undone.
    Settle,
}

impl Bus {
    /// Changes the claim of the task that is asked for, as `decide` says, as far as `reach` goes.
    ///
    /// # Errors
    ///
    /// What `decide` refuses; [`Error::RefContended`] where the ref is moved again and again by something that does not
    /// take the lock; [`Error::Store`] and [`Error::Git`] where the system or the remote refuses.
    pub(super) fn change(
        &self,
        agent: &AgentId,
        asked: &TaskId,
        reach: Reach,
        decide: impl Fn(&View, &Who) -> Result<Next, Error>,
    ) -> Result<Changed, Error> {
        self.config()?;
        if reach != Reach::Later {
            self.learn_fleet(reach)?;
        }
        match (self.fleet()?, reach) {
            (Some(fleet), Reach::Fleet) => return self.change_in_fleet(fleet, agent, asked, decide),
            // There may be one that nobody was asked for yet.
            (None, Reach::Offline) if self.has_fresh_answer()? => return Err(FleetFault::None.into()),
            _ => {}
        }
        let decide = |view: &View, who: &Who| match decide(view, who)? {
            Next::Write { verb, claim, outcome } if reach == Reach::Offline => {
                Ok(Next::Write { verb, claim: Box::new(Claim { confirmed: Some(false), ..*claim }), outcome })
            }
            next => Ok(next),
        };
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        self.change_under(&mut lock, &who, asked, decide)
    }

    /// The same by `who`, under the lock that the caller holds.
    pub(super) fn change_under(
        &self,
        lock: &mut Lock,
        who: &Who,
        asked: &TaskId,
        decide: impl Fn(&View, &Who) -> Result<Next, Error>,
    ) -> Result<Changed, Error> {
        let mut name = String::new();
        for _ in 0..MAX_TRIES {
            let view = self.mended_view(lock, asked)?;
            let previous = view.claim().cloned();
            match (decide(&view, who)?, previous) {
                (Next::Settle, Some(claim)) => {
                    if let Some(tip) = view.tip.as_ref().filter(|_| view.stand_in.is_none()) {
                        self.settle(lock, tip)?;
                    }
                    self.forget_next(who, &view.task)?;
                    return Ok(Changed { outcome: Outcome::Unchanged, previous: Some(claim.clone()), claim });
                }
                (Next::Settle, None) => return Err(Error::NotHeld { task: view.task, ended: None }),
                (Next::Write { verb, claim, outcome }, previous) => {
                    if let Some((state, event)) = self.write_state(lock, &view, who, verb, &claim)? {
                        self.settle_new(lock, &state, event.as_ref())?;
                        self.forget_next(who, &view.task)?;
                        return Ok(Changed { outcome, claim: state.claim, previous });
                    }
                    name = view.name.as_str().to_owned();
                }
            }
        }
        Err(Error::RefContended { reference: name, tries: MAX_TRIES })
    }

    /// Writes the next state of a claim, and returns it with its event; nothing where the ref was moved meanwhile.
    pub(super) fn write_state(
        &self,
        lock: &mut Lock,
        view: &View,
        who: &Who,
        verb: &str,
        claim: &Claim,
    ) -> Result<Option<(State, Option<Event>)>, Error> {
        let (state, event) = self.prepare_state(lock, view, who, verb, claim)?;
        let moved = self.advance(lock, &view.name, view.ref_id, &state.link)?;
        Ok(moved.then_some((state, event)))
    }

    /// Writes the commit of the next state of a claim, and returns it with its event. No ref points to it yet.
    pub(super) fn prepare_state(
        &self,
        lock: &Lock,
        view: &View,
        who: &Who,
        verb: &str,
        claim: &Claim,
    ) -> Result<(State, Option<Event>), Error> {
        self.settle_own_past(lock, view, who, verb)?;
        let now = self.clock.now();
        let parent = match (&view.tip, &view.stand_in) {
            (_, Some(file)) => Some(self.import_claim(view, file, &who.agent)?),
            (Some(tip), None) => Some(tip.link.id),
            (None, None) => None,
        };
        let next = Claim { task_id: view.task.clone(), revision: view.next_revision()?, ..claim.clone() };
        let subject = format!("{verb} {} by {}", view.task, who.agent);
        let link = self.repo.write_link(parent, &who.agent, now, &subject, &next.to_bytes())?;
        let state = State { link, claim: next };
        let event = self.check_before_swap(&state)?;
        Ok((state, event))
    }

    /// The state that a file says. It follows the older one that is known, or that a fleet's remote was seen to have.
    pub(super) fn import_claim(&self, view: &View, file: &FileClaim, by: &AgentId) -> Result<ObjectId, Error> {
        let known = view.tip.clone().or_else(|| self.seen_claim(&view.task));
        let seen = known.map(|known| known.link.id);
        let subject = format!("import {} by {by}", view.task);
        Ok(self.repo.write_link(seen, by, self.clock.now(), &subject, &file.bytes)?.id)
    }

    /// What would stop the event or the file later must stop the claim now. Returns the event.
    fn check_before_swap(&self, state: &State) -> Result<Option<Event>, Error> {
        let size = state.link.body.len();
        if size > MAX_RECORD {
            let what = format!("the claim would have {size} bytes, and may have {MAX_RECORD}");
            return Err(Error::Usage { what, hint: "shorten the notes".to_owned() });
        }
        let event = self.event_of(state)?;
        if let Some(event) = &event {
            self.check_event(event)?;
            self.record_log(&event.agent_id)?.inspect()?;
        }
        Ok(event)
    }

    /// Before the caller's own state is left behind: does what a crash left undone of it. A heartbeat writes no file
    /// of its own, so before it the file is settled, too.
    fn settle_own_past(&self, lock: &Lock, view: &View, who: &Who, verb: &str) -> Result<(), Error> {
        let own = |tip: &&State| tip.link.author.eq_ignore_ascii_case(who.agent.as_str()) && who.owns(&tip.claim);
        match view.tip.as_ref().filter(own).filter(|tip| !is_in_line(view.record.as_ref(), tip)) {
            Some(tip) if verb == "heartbeat" => self.settle(lock, tip),
            Some(tip) => self.settle_event(lock, tip),
            None => Ok(()),
        }
    }

    /// The view of a task; a ref that cannot be read is first set aside, and what the files know takes its place.
    pub(super) fn mended_view(&self, lock: &mut Lock, asked: &TaskId) -> Result<View, Error> {
        self.merge_spellings(lock, asked)?;
        let view = self.view(asked)?;
        if view.unreadable.is_none() {
            return Ok(view);
        }
        lock.about_to_write(view.name.as_str())?;
        let keep = self.broken(view.task.as_str())?;
        // An older state may hide in `packed-refs`; it must not come to light where a file knows better.
        let hidden = self.repo.packed_tip(&view.name)?.and_then(|link| state(link, &view.name, &view.task).ok());
        let older = hidden.filter(|hidden| view.claim().is_none_or(|claim| hidden.claim.revision <= claim.revision));
        let instead = match &view.stand_in {
            Some(file) => {
                let agent = &file.claim.agent_id;
                let subject = format!("import {} by {agent}", view.task);
                let parent = older.map(|older| older.link.id);
                Some(self.repo.write_link(parent, agent, self.clock.now(), &subject, &file.bytes)?.id)
            }
            None => older.map(|older| older.link.id),
        };
        self.repo.set_aside(&view.name, &keep.path(), instead)?;
        let mended = self.view(asked)?;
        match mended.unreadable {
            None => Ok(mended),
            // The file is gone; what is left is a damaged entry in `packed-refs`.
            Some(_) => {
                self.repo.set_aside(&view.name, &self.broken(view.task.as_str())?.path(), None)?;
                self.view(asked)
            }
        }
    }
}
