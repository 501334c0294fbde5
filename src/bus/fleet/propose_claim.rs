//! A change of a claim that a fleet's remote decides.

use super::propose::{Answer, Proposal, There, propose};
use super::push::forks_from_archive;
use super::{adopt, look, old_spelling};
use crate::bus::claim::{Changed, ClaimDecision, ClaimFault, Outcome, State, View};
use crate::bus::lease::{Leased, Written};
use crate::bus::workspace::{Known, Turn, Who, Workspace};
use crate::bus::{Error, claim, lease};
use crate::git::{ObjectId, Pushed, RefName, Remote, Sight, Swap};
use crate::record::{AgentId, Claim, Event, Fleet, TaskId, verb};
use crate::store::Lock;

/// A change of the table of leases that goes to the remote together with a claim.
pub(in crate::bus) struct Beside {
    pub(in crate::bus) swap: Swap,
    pub(in crate::bus) leases: Written<Vec<Leased>>,
}

/// Makes what goes to the remote together with the claim that it is given.
pub(in crate::bus) type WithClaim<'a> =
    dyn Fn(&mut Lock, &Remote, &Who, &Claim) -> Result<Option<Beside>, Error> + 'a;

/// Changes the claim of the task that is asked for, as `decide` says, if the remote of `fleet`
/// agrees; together with a change of the table of leases, which `beside` makes for the claim that
/// is asked for: both, or none. Returns the leases, too, if there was a claim to ask for.
///
/// # Errors
///
/// What `decide` refuses once the remote was looked at; [`FleetFault`](super::FleetFault) and
/// [`Error::RefContended`] as a proposal.
pub(in crate::bus) fn propose_claim(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    asked: &TaskId,
    decide: impl Fn(&View, &Who) -> Result<ClaimDecision, Error>,
    beside: Option<&WithClaim<'_>>,
) -> Result<(Changed, Vec<Leased>), Error> {
    let remote = ws.remote_of(fleet)?;
    let there = There { ws, fleet, remote: &remote };
    let (task, name) = (asked.clone().usual(), RefName::claim(asked));
    propose(there, &ClaimProposal { there, agent, task, name, decide, beside })
}

struct ClaimProposal<'a, D> {
    there: There<'a>,
    agent: &'a AgentId,
    task: TaskId,
    name: RefName,
    decide: D,
    beside: Option<&'a WithClaim<'a>>,
}

/// A state that the remote is asked for, or that it has.
struct ClaimStep {
    task: TaskId,
    state: State,
    event: Option<Event>,
    outcome: Outcome,
    previous: Option<Claim>,
    beside: Option<Beside>,
}

impl<D: Fn(&View, &Who) -> Result<ClaimDecision, Error>> Proposal for ClaimProposal<'_, D> {
    type Step = Box<ClaimStep>;
    type Done = (Changed, Vec<Leased>);

    fn name(&self) -> &RefName {
        &self.name
    }

    fn names(&self) -> Vec<RefName> {
        let leases = self.beside.map(|_| RefName::leases());
        [self.name.clone()].into_iter().chain(leases).collect()
    }

    fn decide(&self, lock: &mut Lock, known: Known) -> Result<Turn<Self::Step>, Error> {
        let There { ws, remote, .. } = self.there;
        let who = ws.who(self.agent.clone())?;
        let view = claim::repaired_view(ws, lock, &self.task)?;
        let previous = view.claim().cloned();
        let next = match (self.decide)(&view, &who) {
            Err(error) if !known.seen && is_about_ownership(&error) => return Ok(Turn::Look),
            Ok(ClaimDecision::Settle) if !known.seen && !is_own(&view, &who) => {
                return Ok(Turn::Look);
            }
            next => next?,
        };
        let (verb, claim, outcome) = match (next, &view.tip) {
            (ClaimDecision::Write { verb, claim, outcome }, _) => (verb, claim, outcome),
            // "Already yours" is asked of the remote by a heartbeat. That stops what was sent and
            // did not come through, and of two clones with one id only one can send it.
            (ClaimDecision::Settle, Some(tip)) if is_own(&view, &who) => {
                match claim::pulse(ws, &view, view.claim().unwrap_or(&tip.claim)) {
                    ClaimDecision::Write { verb, claim, .. } => (verb, claim, Outcome::Unchanged),
                    ClaimDecision::Settle => return Ok(Turn::Look),
                }
            }
            (ClaimDecision::Settle, Some(tip)) if is_published(ws, remote, tip)? => {
                return Ok(Turn::Done(Box::new(ClaimStep {
                    task: view.task,
                    state: tip.clone(),
                    event: None,
                    outcome: Outcome::Unchanged,
                    previous,
                    beside: None,
                })));
            }
            // It is so here, and the fleet does not know, or there is no ref of it any more.
            (ClaimDecision::Settle, _) => match view.claim() {
                Some(claim) => (verb::CONFIRM, Box::new(claim.clone()), Outcome::Confirmed),
                None => {
                    return Err(Error::Claim(ClaimFault::NotHeld { task: view.task, ended: None }));
                }
            },
        };
        let claim = Claim { confirmed: None, ..*claim };
        let beside = match self.decide_beside(lock, &who, &claim, outcome) {
            Err(error) if !known.seen && is_about_ownership(&error) => return Ok(Turn::Look),
            beside => beside?,
        };
        if let Some(Swap { expected: Some(expected), new: Some(new), .. }) =
            beside.as_ref().map(|beside| &beside.swap)
            && !ws.repo.descends(*new, *expected)?
        {
            return Ok(Turn::Look);
        }
        let (state, event) = match verb {
            // What leaves the owner as it is is written here first: a release that is done here
            // meanwhile then goes on from it.
            verb::CONFIRM | verb::HEARTBEAT => {
                match claim::write_state(ws, lock, &view, &who, verb, &claim)? {
                    Some(written) => written,
                    None => return Ok(Turn::Look),
                }
            }
            _ => claim::prepare_state(ws, lock, &view, &who, verb, &claim)?,
        };
        let (from, to, task) = (view.ref_id, state.link.id, view.task);
        let what = Box::new(ClaimStep { task, state, event, outcome, previous, beside });
        Ok(Turn::Write { from, to, what })
    }

    fn replaces(&self, from: ObjectId, to: ObjectId) -> Result<bool, Error> {
        let There { ws, remote, .. } = self.there;
        Ok(forks_from_archive(ws, &self.task, from)?
            || old_spelling::gives_way(ws, remote, &self.task, from, to)?)
    }

    fn beside(&self, step: &Self::Step) -> Option<Swap> {
        step.beside.as_ref().map(|beside| beside.swap.clone())
    }

    fn takes_log(&self) -> bool {
        true
    }

    fn look(&self, log: Option<&RefName>) -> Result<Sight, Error> {
        look::look(self.there, &self.task, self.beside.is_some(), log)
    }

    fn adopt(&self, lock: &mut Lock, sight: &Sight) -> Result<(), Error> {
        adopt::adopt(self.there.ws, lock, self.there.remote, &self.task, sight).map(drop)
    }

    /// Takes a new claim back at once if the remote turns out to have another spelling of the task:
    /// nobody knew of that, so the push could not ask for it, and what it says comes first. A
    /// remote that does not take it back has two, and the older one stands.
    fn check(&self, step: &Self::Step, answer: Answer) -> Result<Answer, Error> {
        let wanted = step.state.link.id;
        let claim = &step.state.claim;
        let is_new = claim.status.is_live()
            && !step.previous.as_ref().is_some_and(|before| before.same_claim(claim));
        let mut others = RefName::other_claims(&self.task).into_iter();
        let has_others = others.any(|other| answer.sight.contains_key(&other));
        if !is_new || !has_others || answer.sight.get(&self.name) != Some(&wanted) {
            return Ok(answer);
        }
        let back = |swap: Swap| Swap { expected: swap.new, new: swap.expected, ..swap };
        let claim = Swap { name: self.name.clone(), expected: answer.expected, new: Some(wanted) };
        let swaps: Vec<Swap> = [claim].into_iter().chain(self.beside(step)).map(back).collect();
        self.there.ws.repo.push(self.there.remote, &swaps, true)?;
        let sight = self.look(None)?;
        let what = "stale info: it has another spelling of the task".to_owned();
        Ok(Answer { pushed: Pushed::Refused(what), sight, ..answer })
    }

    fn done(&self, lock: &mut Lock, step: Self::Step) -> Result<Self::Done, Error> {
        let ws = self.there.ws;
        claim::settle(ws, lock, &step.state)?;
        claim::forget_asked(ws, &ws.who(self.agent.clone())?, &step.task)?;
        let ClaimStep { outcome, previous, state, .. } = *step;
        Ok((Changed { outcome, previous, claim: state.claim }, Vec::new()))
    }

    /// Our commit is in the remote's chain. It is ours only if the tip still says so; else somebody
    /// went on from it.
    fn landed(&self, lock: &mut Lock, step: Self::Step) -> Result<Option<Self::Done>, Error> {
        let ws = self.there.ws;
        let who = ws.who(self.agent.clone())?;
        let Some(tip) = claim::tip(ws, &step.task)? else { return Ok(None) };
        let is_ours = who.owns(&tip.claim) && tip.claim.same_claim(&step.state.claim);
        // What was ended is ended, whoever goes on from there. A clone that has another id now owns
        // nothing that it asked for before.
        if step.state.claim.status.is_live() && !is_ours {
            claim::settle_event(ws, lock, &step.state)?;
            return Ok(None);
        }
        if tip.link.id == step.state.link.id {
            claim::settle_landed(ws, lock, &tip, step.event.as_ref())?;
        } else {
            claim::settle_event(ws, lock, &step.state)?;
            if is_ours {
                claim::settle(ws, lock, &tip)?;
            }
        }
        if let Some(beside) = &step.beside {
            lease::settle_leases(ws, lock, &beside.leases)?;
        }
        claim::forget_asked(ws, &who, &step.task)?;
        let ClaimStep { outcome, previous, state, beside, .. } = *step;
        let leases = beside.map_or_else(Vec::new, |beside| beside.leases.answer);
        Ok(Some((Changed { outcome, previous, claim: state.claim }, leases)))
    }
}

impl<D> ClaimProposal<'_, D> {
    /// What goes with a claim that is new.
    fn decide_beside(
        &self,
        lock: &mut Lock,
        who: &Who,
        claim: &Claim,
        outcome: Outcome,
    ) -> Result<Option<Beside>, Error> {
        match self.beside {
            Some(beside)
                if matches!(outcome, Outcome::Claimed | Outcome::Reopened | Outcome::Moved) =>
            {
                beside(lock, self.there.remote, who, claim)
            }
            _ => Ok(None),
        }
    }
}

/// Whether the remote was seen to have all of the chain that ends at `tip` but for heartbeats.
fn is_published(ws: &Workspace, remote: &Remote, tip: &State) -> Result<bool, Error> {
    let Some(seen) = ws.seen_at(remote, &RefName::claim(&tip.claim.task_id))? else {
        return Ok(ws.archived_id(&tip.claim.task_id)? == Some(tip.link.id));
    };
    let mut link = tip.link.clone();
    loop {
        if link.id == seen {
            return Ok(true);
        }
        match claim::before(ws, &link)? {
            Some(before) if link.verb() == verb::HEARTBEAT => link = before,
            _ => return Ok(false),
        }
    }
}

/// Whether the claim that decides is live, and `who`'s own.
fn is_own(view: &View, who: &Who) -> bool {
    view.claim().is_some_and(|claim| claim.status.is_live() && who.owns(claim))
}

/// Whether an error speaks of who owns a task: then the remote has the last word.
const fn is_about_ownership(error: &Error) -> bool {
    matches!(
        error,
        Error::Lease(_)
            | Error::Claim(
                ClaimFault::Held { .. }
                    | ClaimFault::HeldElsewhere { .. }
                    | ClaimFault::Finished { .. }
                    | ClaimFault::Diverged { .. }
                    | ClaimFault::Alive { .. }
                    | ClaimFault::Lost { .. }
                    | ClaimFault::NotHeld { .. },
            )
    )
}
