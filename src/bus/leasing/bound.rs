//! Leases that live and die with a claim: a task and its paths, taken and given back in one step.
//!
//! Such a lease names its task and the claim's id, and holds its paths only while the task's claim is live under that very id.
//! It is written before the claim's ref, under the same lock, so that the claim's ref is the one commit point: a process that dies
//! in between leaves a lease that holds nothing.

use super::change::{Draft, Next as LeaseNext};
use super::table::TableView;
use super::take::taken;
use super::{LeaseOutcome, LeaseRequest, Leased};
use crate::bus::advance::MAX_TRIES;
use crate::bus::change::Next;
use crate::bus::fleet::Reach;
use crate::bus::view::View;
use crate::bus::{Bus, Changed, ClaimRequest, Error, Who};
use crate::git::{RefName, Remote, Tip};
use crate::record::{AgentId, Claim, ClaimId, Fleet, LeaseBrief, LeaseRow, MAX_TABLE, Scope, TaskId};
use crate::store::{Lock, crash_point};

impl Bus {
    /// Claims a task and takes paths for it in one step: both, or none.
    ///
    /// # Errors
    ///
    /// As [`Bus::claim`] and [`Bus::acquire_lease`].
    pub fn claim_with_paths(
        &self,
        agent: &AgentId,
        task: &TaskId,
        request: &ClaimRequest,
        paths: &LeaseRequest,
    ) -> Result<(Changed, Leased), Error> {
        self.config()?;
        let scope = self.wanted_scope(paths)?;
        let paths = LeaseRequest { task: Some(self.spelling(task)), ..paths.clone() };
        self.learn_fleet(Reach::Fleet)?;
        if let Some(fleet) = self.fleet()? {
            return self.claim_with_paths_in_fleet(fleet, agent, task, request, &paths, &scope);
        }
        let mut lock = self.lock()?;
        let who = self.who(agent.clone())?;
        let view = self.mended_view(&mut lock, task)?;
        let claim = match self.decide_claim(&view, &who, request)? {
            Next::Write { claim, .. } => claim.claim_id,
            Next::Settle => view.claim().and_then(|claim| claim.claim_id.clone()),
        };
        let claim = claim.ok_or_else(|| nameless(&view.task))?;
        let take = |view: &TableView| self.decide_take(view, &who, &paths, &scope, Some(&claim));
        let written = self.change_leases(&mut lock, &who, take)?;
        crash_point("paths-written");
        let request = ClaimRequest { claim_id: Some(claim.clone()), ..request.clone() };
        let changed = self.change_under(&mut lock, &who, &view.task, |view, who| self.decide_claim(view, who, &request))?;
        if changed.claim.claim_id.as_ref() != Some(&claim) {
            // Something that does not take the lock made it another claim meanwhile.
            return Err(Error::RefContended { reference: view.name.as_str().to_owned(), tries: MAX_TRIES });
        }
        self.settle_leases(&lock, &written)?;
        Ok((changed, taken(&written.answer, agent)?))
    }

    /// The same where a remote decides: both refs go to it in one push. Where the claim is the caller's already, the paths alone do.
    fn claim_with_paths_in_fleet(
        &self,
        fleet: &Fleet,
        agent: &AgentId,
        task: &TaskId,
        request: &ClaimRequest,
        paths: &LeaseRequest,
        scope: &Scope,
    ) -> Result<(Changed, Leased), Error> {
        let decide = |view: &View, who: &Who| self.decide_claim(view, who, request);
        let take = |view: &TableView, who: &Who, claim: &ClaimId| self.decide_take(view, who, paths, scope, Some(claim));
        let beside = |lock: &mut Lock, remote: &Remote, who: &Who, claim: &Claim| {
            let id = claim.claim_id.clone().ok_or_else(|| nameless(&claim.task_id))?;
            self.beside_claim(lock, remote, who, |view, who| take(view, who, &id))
        };
        let (changed, answer) = self.change_with(fleet, agent, task, decide, Some(&beside))?;
        if !answer.is_empty() {
            return Ok((changed, taken(&answer, agent)?));
        }
        let id = changed.claim.claim_id.clone().ok_or_else(|| nameless(&changed.claim.task_id))?;
        let answer = self.change_and_settle(agent, |view, who| take(view, who, &id))?;
        Ok((changed, taken(&answer, agent)?))
    }

    /// Ends the leases that were taken with `claim`, which has ended: they hold nothing any more. Why is said where another than
    /// their owner has ended it.
    pub(in crate::bus) fn free_paths(&self, agent: &AgentId, claim: &Claim, note: Option<&str>) -> Result<(), Error> {
        let Some(id) = claim.claim_id.as_ref().filter(|id| self.has_leases_of(id)) else { return Ok(()) };
        let freed = self.change_and_settle(agent, |view, who| {
            let ended: Vec<_> = rows_of(view, id).filter(|row| !self.stands(&row.brief)).collect();
            if ended.is_empty() {
                // Run again after a crash: the last write may have ended them.
                let past = view.table.changed.iter().filter(|lease| lease.claim_id.as_ref() == Some(id) && !lease.is_live());
                return Ok(LeaseNext::Settle(past.cloned().collect()));
            }
            let end = |row: &LeaseRow| {
                let by_another = !super::decide::is_mine(&row.brief, who);
                self.ending_lease(super::whole(row)?, who, note.filter(|_| by_another))
            };
            let ended = ended.into_iter().map(end).collect::<Result<_, Error>>()?;
            Ok(LeaseNext::Write(Draft::new("release", ended, LeaseOutcome::Released)))
        });
        told_later(freed)
    }

    /// Gives a sign of life of the leases that were taken with `claim`, too.
    pub(in crate::bus) fn renew_paths(&self, agent: &AgentId, claim: &Claim) -> Result<(), Error> {
        let Some(id) = claim.claim_id.as_ref().filter(|id| self.has_leases_of(id)) else { return Ok(()) };
        let renewed = self.change_and_settle(agent, |view, who| {
            let own = rows_of(view, id).filter(|row| super::decide::is_mine(&row.brief, who) && self.stands(&row.brief));
            let renewed = own.map(|row| self.renewed(&super::whole(row)?, None)).collect::<Result<Vec<_>, Error>>()?;
            match renewed.is_empty() {
                true => Ok(LeaseNext::Settle(renewed)),
                false => Ok(LeaseNext::Write(Draft::new("renew", renewed, LeaseOutcome::Renewed))),
            }
        });
        told_later(renewed)
    }

    /// Whether the table of leases speaks of this claim. Without a lock, and without reading what it says.
    fn has_leases_of(&self, claim: &ClaimId) -> bool {
        let table = match self.repo.tip(&RefName::locks()) {
            Ok(Tip::At(link)) => Some(link.body),
            Ok(Tip::Missing) => self.record.lease_table().read(MAX_TABLE).ok().flatten(),
            Ok(Tip::Unreadable { .. }) => return true,
            Err(_) => None,
        };
        table.is_some_and(|table| memchr::memmem::find(&table, claim.as_str().as_bytes()).is_some())
    }

    /// `draft`, and the end of these rows: the claims that they lived with are gone.
    pub(super) fn swept<'a>(
        &self,
        mut draft: Draft,
        rows: impl Iterator<Item = &'a LeaseRow>,
        who: &Who,
    ) -> Result<Draft, Error> {
        for row in rows {
            if self.has_lived(&row.brief)? {
                let note = row.brief.task_id.as_ref().map(|task| format!("its claim of {task} had ended"));
                draft.sweep(self.ending_lease(super::whole(row)?, who, note.as_deref())?);
            } else {
                // Its claim was cut off before it was written.
                draft.drop_row(row);
            }
        }
        Ok(draft)
    }

    /// Whether the claim with which a lease was taken has ever stood.
    fn has_lived(&self, brief: &LeaseBrief) -> Result<bool, Error> {
        let (Some(task), Some(id)) = (&brief.task_id, &brief.claim_id) else { return Ok(true) };
        match self.tip(task)? {
            Some(tip) => self.has_state(&tip, |claim| claim.claim_id.as_ref() == Some(id)),
            None => Ok(false),
        }
    }

    /// The task, in the spelling that stands.
    pub(super) fn spelling(&self, task: &TaskId) -> TaskId {
        self.deciding_view(task, None).map_or_else(|_| task.clone(), |view| view.task)
    }
}

/// What a claim's own end or sign of life brings about is no reason to fail where the fleet's remote is away: the leases hold
/// nothing any more, or live until they expire, and the next write tells.
fn told_later(changed: Result<Vec<Leased>, Error>) -> Result<(), Error> {
    match changed {
        Err(Error::Git(_) | Error::Fleet(_)) => Ok(()),
        changed => changed.map(drop),
    }
}

/// The leases that were taken with a claim.
fn rows_of<'a>(view: &'a TableView, claim: &'a ClaimId) -> impl Iterator<Item = &'a LeaseRow> {
    view.table.rows.iter().filter(move |row| row.brief.claim_id.as_ref() == Some(claim))
}

/// A claim without an id cannot be told from the next one of its task.
fn nameless(task: &TaskId) -> Error {
    let what = format!("the claim of `{task}` is of an older bus and has no id, so paths cannot live with it");
    Error::Usage { what, hint: format!("take them by themselves: `bus lock acquire PATTERN --task {task} --objective TEXT`") }
}
