//! The steps of a command. Each is one moment at one place: under a clone's lock, or at the remote.

use super::answers::Answer;
use super::chain::{Chain, ClaimId, Link, Verb};
use super::decide::{People, Reach, Verdict};
use super::fleet::{
    Belief, Command, Fault, Phase, Push, Remote, Run, State, Witness, Worker, live, revision,
};
use super::rules::Change;
use super::site::Site;

/// How often a command writes before it gives up; the real one has five.
const TRIES: u8 = 2;

impl People {
    /// Begins a command.
    pub(super) fn begin(&self, state: &mut State, worker: usize, command: Command) {
        let run = Run {
            command,
            phase: Phase::Look,
            tries: 0,
            commit: Chain::NONE,
            judged: Chain::NONE,
            witness: Witness::default(),
        };
        state.workers[worker].run = Some(run);
        for flight in &mut state.flights {
            flight.begun_since[worker] |=
                self.places[flight.sender].origin == self.places[worker].origin;
        }
        self.witness(state);
        let Some(run) = state.workers[worker].run.filter(|_| self.reach != Reach::Clone) else {
            return;
        };
        match command {
            Command::ClaimOffline | Command::ReleaseOffline => self.offline(state, worker, command),
            Command::Beat | Command::BeatDue => {
                self.beat(state, worker, command == Command::BeatDue)
            }
            Command::Sync | Command::Gc => {}
            _ => self.decide(state, worker, run, false),
        }
    }

    /// Does the next thing of a command.
    pub(super) fn step(&self, state: &mut State, worker: usize) {
        let Some(mut run) = state.workers[worker].run else { return };
        if self.reach == Reach::Clone {
            return self.step_alone(state, worker, run);
        }
        match run.phase {
            Phase::Push(push) => {
                let speaks_for_twin = self.speaks_for_twin(state, worker, push);
                let landed = self.is_sent(state.remote, push) && self.push(state, push);
                if landed && speaks_for_twin {
                    state.blame(Fault::Unlawful);
                }
                self.after_push(state, worker, push, landed);
            }
            Phase::Look | Phase::LookOn(_) => {
                run.phase = match run.phase {
                    Phase::LookOn(half) if self.rules.with(Change::ArchiveReadFirst) => {
                        Phase::Adopt(Remote { archive: half, ..state.remote })
                    }
                    Phase::LookOn(half) => Phase::Adopt(Remote { claim: half, ..state.remote }),
                    _ if self.rules.with(Change::ArchiveReadFirst) => {
                        Phase::LookOn(state.remote.archive)
                    }
                    _ if self.rules.with(Change::ArchiveReadLast) => {
                        Phase::LookOn(state.remote.claim)
                    }
                    _ => Phase::Adopt(state.remote),
                };
                state.workers[worker].run = Some(run);
            }
            Phase::Adopt(seen) => self.adopt(state, worker, run, seen),
        }
    }

    /// Under the lock: what was seen becomes this clone's. Whether somebody else uses its id is
    /// judged first.
    fn adopt(&self, state: &mut State, worker: usize, mut run: Run, seen: Remote) {
        let site = self.places[worker].site;
        if self.judge_log(&mut state.sites[site], seen.log) {
            state.sites[site].give_up(self.rules);
        }
        let people = self.at(state);
        if state.sites[site].is_renamed {
            // Under a new id, what was its own is another's.
            people.see(&mut run.witness, worker, seen.value(self.rules));
            state.workers[worker].run = Some(run);
        }
        state.sites[site].adopt(seen, self.rules);
        people.adopted(state, worker, run, seen);
    }

    /// The worker is killed after it kept what the clone has lost, and before it moved the local
    /// ref.
    pub(super) fn stop_in_adopt(&self, state: &mut State, worker: usize) {
        let Some(Run { phase: Phase::Adopt(seen), .. }) = state.workers[worker].run.take() else {
            return;
        };
        let (site, value) = (&mut state.sites[self.places[worker].site], seen.value(self.rules));
        if !site.local.descends_from(value) && !value.descends_from(site.local) {
            site.lose(value, self.rules);
        }
        if self.rules.with(Change::LogNotedFirst) && !site.log.descends_from(seen.log) {
            site.log = seen.log;
        }
    }

    /// The worker is killed after it moved the local ref, and before the record follows. Nobody
    /// hears of it. None if the next step writes no record.
    pub(super) fn stop_before_record(
        &self,
        before: &State,
        mut state: State,
        worker: usize,
    ) -> Option<State> {
        let site = self.places[worker].site;
        self.step(&mut state, worker);
        if state.sites[site].record == before.sites[site].record {
            return None;
        }
        state.sites[site].record = before.sites[site].record;
        if state.sites[site].is_renamed != before.sites[site].is_renamed {
            // A new id comes last, as what was seen does.
            state.sites[site].is_renamed = false;
            state.sites[site].tracking = before.sites[site].tracking;
        }
        state.workers[worker] = Worker {
            run: None,
            claims: state.workers[worker].claims,
            ..before.workers[worker].clone()
        };
        state.acknowledged.clone_from(&before.acknowledged);
        state.fault = before.fault;
        if self.reach == Reach::Clone {
            state.remote = before.remote;
        }
        Some(state)
    }

    fn after_push(&self, state: &mut State, worker: usize, push: Push, landed: bool) {
        let Some(mut run) = state.workers[worker].run else { return };
        run.phase = Phase::Look;
        if let Push::Claim { commit, lease, .. } = push {
            let assumed = Phase::Adopt(Remote { claim: commit, ..lease });
            if self.rules.with(Change::NoSecondLook) {
                run.phase = assumed;
            } else if self.rules.with(Change::AnswerTrusted) {
                if !landed {
                    return self.finish(state, worker, run, Answer::Refused);
                }
                run.phase = assumed;
            }
        }
        state.workers[worker].run = Some(run);
    }

    /// The clone has adopted what was seen: has the push landed, and what follows?
    fn adopted(&self, state: &mut State, worker: usize, run: Run, seen: Remote) {
        let value = seen.value(self.rules);
        let landed = !run.commit.is_none() && value.descends_from(run.commit);
        let view = state.sites[self.places[worker].site].view(self.rules);
        match run.command {
            Command::Release if landed => {
                self.finish(state, worker, run, Answer::Released(run.commit))
            }
            Command::BeatDue if self.holds(worker, view) => {
                if let (true, Belief::Holds { copied, .. }) =
                    (landed, &mut state.workers[worker].belief)
                {
                    *copied = false;
                }
                self.finish(state, worker, run, Answer::Nothing);
            }
            Command::BeatDue => self.finish(state, worker, run, Answer::Refused),
            Command::Sync => self.sync(state, worker, run, value),
            Command::Gc => self.gc(state, worker, run, seen),
            // Under an id that it has no more a twin may have written the very same bytes.
            _ if landed && stands(run.commit, value) && self.holds(worker, value) => {
                self.finish(state, worker, run, Answer::Owner(run.commit))
            }
            _ => self.decide(state, worker, run, true),
        }
    }

    /// Decides on the local view, which is the remote's where `looked`.
    pub(super) fn decide(&self, state: &mut State, worker: usize, mut run: Run, looked: bool) {
        let site = &state.sites[self.places[worker].site];
        let (view, known) = (site.view(self.rules), site.tracking.value(self.rules));
        let file_says_mine =
            self.rules.with(Change::FileGrants) && self.holds(worker, state.workers[worker].file);
        if run.command.takes() && file_says_mine {
            return self.finish(state, worker, run, Answer::Owner(state.workers[worker].file));
        }
        let looked = looked || self.rules.with(Change::LocalRefusal);
        match self.verdict(run.command, worker, view, run.judged) {
            Verdict::Write(_) | Verdict::Renew if run.tries == TRIES => {
                self.finish(state, worker, run, Answer::Nothing)
            }
            Verdict::Write(verb) => {
                if run.command == Command::Reclaim && run.judged.is_none() {
                    run.judged = view;
                }
                let claim = self.claim_of(state, worker, run, verb, view);
                let commit = view.then(next(view, claim, verb));
                self.push_next(state, worker, run, commit);
            }
            Verdict::Renew if self.rules.with(Change::LocalYours) || self.reach == Reach::Clone => {
                self.finish(state, worker, run, Answer::Owner(view))
            }
            Verdict::Renew if self.rules.with(Change::YoursByLook) && !looked => {
                state.workers[worker].run = Some(run)
            }
            Verdict::Renew if self.rules.with(Change::YoursByLook) && stands(view, known) => {
                self.finish(state, worker, run, Answer::Owner(known));
            }
            Verdict::Renew => self.renew(state, worker, run),
            _ if !looked => state.workers[worker].run = Some(run),
            Verdict::Ended => self.finish(state, worker, run, Answer::Released(view)),
            Verdict::Refused => self.finish(state, worker, run, Answer::Refused),
        }
    }

    /// The claim that a new state belongs to: where the owner changes a new one, at each try.
    fn claim_of(
        &self,
        state: &mut State,
        worker: usize,
        run: Run,
        verb: Verb,
        view: Chain,
    ) -> ClaimId {
        let before = match verb {
            Verb::Release => view.tip(),
            _ if self.rules.with(Change::ClaimIdKept) => run.commit.tip(),
            _ => None,
        };
        if let Some(before) = before {
            return before.claim;
        }
        let origin = self.places[worker].origin;
        let made = &mut state.workers[origin % 3].claims;
        *made += 1;
        ClaimId { number: *made - 1, owner: origin as u8 }
    }

    /// A state on top of the local ref, written there first, then pushed: a heartbeat, a confirming
    /// state.
    fn renew(&self, state: &mut State, worker: usize, run: Run) {
        let view = state.sites[self.places[worker].site].view(self.rules);
        let Some(tip) = view.tip() else { return };
        let verb = if run.command == Command::Sync { Verb::Confirm } else { Verb::Heartbeat };
        let commit = view.then(Link { ended: tip.ended, ..next(view, tip.claim, verb) });
        let site = &mut state.sites[self.places[worker].site];
        if !self.rules.with(Change::RenewedRemoteFirst) {
            self.write(site, commit);
        }
        self.push_next(state, worker, run, commit);
    }

    /// Writes the local ref, and then the record.
    pub(super) fn write(&self, site: &mut Site, commit: Chain) {
        site.local = commit;
        let is_pulse = commit.tip().is_some_and(|tip| tip.verb == Verb::Heartbeat);
        if !(is_pulse && self.rules.with(Change::PulseUnrecorded)) {
            site.settle(commit, self.rules);
        }
    }

    fn push_next(&self, state: &mut State, worker: usize, mut run: Run, commit: Chain) {
        if self.reach == Reach::Clone {
            return self.write_alone(state, worker, run, commit);
        }
        let site = self.places[worker].site;
        let log = (self.reach == Reach::Twins)
            .then(|| self.next_log(&mut state.sites[site], site))
            .flatten();
        let lease = state.sites[site].tracking;
        let lease = Remote {
            archive: if lease.claim.is_none() { lease.archive } else { Chain::NONE },
            ..lease
        };
        run.commit = commit;
        run.tries += 1;
        run.phase = Phase::Push(Push::Claim { commit, lease, log });
        state.workers[worker].run = Some(run);
    }

    fn offline(&self, state: &mut State, worker: usize, command: Command) {
        let Some(run) = state.workers[worker].run else { return };
        let site = self.places[worker].site;
        let view = state.sites[site].view(self.rules);
        let plain =
            if command == Command::ClaimOffline { Command::Claim } else { Command::Release };
        let verb = match self.verdict(plain, worker, view, Chain::NONE) {
            Verdict::Write(verb) => verb,
            Verdict::Renew | Verdict::Ended => {
                return self.finish(state, worker, run, Answer::Nothing);
            }
            Verdict::Refused => return self.finish(state, worker, run, Answer::Refused),
        };
        let claim = self.claim_of(state, worker, run, verb, view);
        let chain = view.then(Link { offline: true, ..next(view, claim, verb) });
        self.write(&mut state.sites[site], chain);
        let answer = if verb == Verb::Release {
            Answer::Released(chain)
        } else {
            Answer::Unconfirmed(chain)
        };
        self.finish(state, worker, run, answer);
    }

    pub(super) fn beat(&self, state: &mut State, worker: usize, due: bool) {
        let Some(run) = state.workers[worker].run else { return };
        let view = state.sites[self.places[worker].site].view(self.rules);
        match live(view).filter(|tip| self.owns(worker, tip.claim)) {
            None => self.finish(state, worker, run, Answer::Refused),
            Some(_) if due => self.renew(state, worker, run),
            Some(tip) => {
                let commit = view.then(next(view, tip.claim, Verb::Heartbeat));
                self.write(&mut state.sites[self.places[worker].site], commit);
                self.enter(state, commit, true);
                self.finish(state, worker, run, Answer::Nothing);
            }
        }
    }

    /// Publishes what this clone has and the remote has not.
    fn sync(&self, state: &mut State, worker: usize, run: Run, value: Chain) {
        let local = state.sites[self.places[worker].site].local;
        if local == value || local.is_none() || !local.descends_from(value) || run.tries == TRIES {
            return self.finish(state, worker, run, Answer::Nothing);
        }
        let is_unconfirmed =
            |tip: Link| local.beyond(value).any(|link| link.offline && link.claim == tip.claim);
        if local.tip().is_some_and(|tip| tip.verb != Verb::Confirm && is_unconfirmed(tip)) {
            self.renew(state, worker, run);
        } else {
            self.push_next(state, worker, run, local);
        }
    }

    /// Archives a claim that has ended, deletes its ref on the remote, then here. Between two
    /// pushes it looks.
    fn gc(&self, state: &mut State, worker: usize, mut run: Run, seen: Remote) {
        let site = &mut state.sites[self.places[worker].site];
        let ended = |chain: Chain| chain.tip().is_some_and(|tip| tip.ended);
        let delete_first = self.rules.with(Change::DeletedBeforeArchived);
        run.phase = if seen.claim.is_none() {
            if site.local == seen.archive && ended(seen.archive) {
                site.local = Chain::NONE;
            }
            return self.finish(state, worker, run, Answer::Nothing);
        } else if !ended(seen.claim) || site.local != seen.claim || run.tries == TRIES {
            return self.finish(state, worker, run, Answer::Nothing);
        } else if seen.archive == seen.claim || delete_first {
            Phase::Push(Push::Delete { lease: seen.claim })
        } else {
            Phase::Push(Push::Archive { commit: seen.claim, lease: seen.archive })
        };
        run.tries += 1;
        state.workers[worker].run = Some(run);
    }
}

/// The state after the tip of `view`.
fn next(view: Chain, claim: ClaimId, verb: Verb) -> Link {
    Link {
        claim,
        verb,
        ended: verb == Verb::Release,
        offline: false,
        revision: revision(view) + 1,
        imported: false,
    }
}

/// Whether the claim of `chain`'s tip is the one that is live in `value`.
fn stands(chain: Chain, value: Chain) -> bool {
    live(value).map(|tip| tip.claim) == chain.tip().map(|tip| tip.claim)
}
