//! The remote: what a push does there, at once or late, and what may be seen there.

use super::chain::{Chain, Link, Verb};
use super::decide::{People, Reach};
use super::fleet::{Command, Fault, Flight, Phase, Push, Remote, State, Witness, live, revision};
use super::rules::{Change, Rules};

impl People {
    /// Whether the client sends the push: it compares all leases with what the remote advertises.
    pub(super) fn is_sent(&self, remote: Remote, push: Push) -> bool {
        self.lease_holds(remote, push)
            && self.archive_lease_holds(remote, push)
            && self.log_lease_holds(remote, push)
    }

    /// What the server compares, too.
    fn lease_holds(&self, remote: Remote, push: Push) -> bool {
        match push {
            Push::Claim { lease, log, .. } => {
                let is_next = remote.claim == lease.claim || self.rules.with(Change::NoLease);
                is_next && (remote.log == lease.log || log.is_none_or(|log| log == lease.log))
            }
            Push::Archive { lease, .. } => remote.archive == lease,
            Push::Delete { lease } => {
                remote.claim == lease || self.rules.with(Change::DeletedWithoutLease)
            }
        }
    }

    /// Whether the log is as it was seen, also if it stays as it is: then git sends no command for
    /// it.
    fn log_lease_holds(&self, remote: Remote, push: Push) -> bool {
        !matches!(push, Push::Claim { lease, log: Some(_), .. } if remote.log != lease.log)
    }

    fn archive_lease_holds(&self, remote: Remote, push: Push) -> bool {
        let Push::Claim { lease, .. } = push else { return true };
        let unleased = self.rules.with(Change::EmptyLease) || self.rules.with(Change::NoLease);
        !lease.claim.is_none() || remote.archive == lease.archive || unleased
    }

    /// A push arrives. Returns whether it took effect.
    pub(super) fn push(&self, state: &mut State, push: Push) -> bool {
        let before = state.remote;
        let archive =
            !self.rules.with(Change::ServerChecksArchive) || self.archive_lease_holds(before, push);
        if !archive || !self.lease_holds(before, push) {
            return false;
        }
        match push {
            Push::Claim { commit, log, .. } => {
                state.remote = Remote { claim: commit, log: log.unwrap_or(before.log), ..before };
            }
            Push::Archive { commit, .. } => state.remote.archive = commit,
            Push::Delete { .. } => state.remote.claim = Chain::NONE,
        }
        self.check_change(state, before.value(self.rules), push);
        self.witness(state);
        true
    }

    /// Whether what a push brought is lawful.
    fn check_change(&self, state: &mut State, before: Chain, push: Push) {
        let value = state.remote.value(self.rules);
        if !value.descends_from(before) {
            state.blame(Fault::Forked);
        }
        let Push::Claim { commit, .. } = push else { return };
        self.check_states(state, commit);
        if value != before && revision(value) <= revision(before) {
            state.blame(Fault::Shrank);
        }
    }

    /// Whether each state of a chain may follow the one before it.
    fn check_states(&self, state: &mut State, commit: Chain) {
        for (earlier, link) in commit.links().zip(commit.links().skip(1)) {
            let handover = matches!(link.verb, Verb::Reclaim | Verb::Move) || earlier.ended;
            if link.claim != earlier.claim && !handover {
                state.blame(Fault::Unlawful);
            }
            if link.revision <= earlier.revision {
                state.blame(Fault::Shrank);
            }
        }
    }

    /// Enters in the list of a clone that is alone what `chain` has beyond it; if its last state
    /// `is_new`, that in any case. What was written, and neither answered nor gone on from, is not
    /// in it.
    pub(super) fn enter(&self, state: &mut State, chain: Chain, is_new: bool) {
        if self.reach != Reach::Clone {
            return;
        }
        let list = state.remote.claim;
        let (old, last) = (revision(list), chain.tip().filter(|_| is_new));
        let missing = chain
            .plain()
            .links()
            .filter(|link| link.revision > old || Some(*link) == last.map(plain));
        state.remote.claim = missing.fold(list, Chain::then);
        self.check_states(state, state.remote.claim);
        self.witness(state);
    }

    /// Notes for all that run what the remote says now.
    pub(super) fn witness(&self, state: &mut State) {
        let value = state.remote.value(self.rules);
        let real = Self { rules: Rules(&[]), ..self.at(state) };
        for worker in 0..3 {
            let Some(run) = &mut state.workers[worker].run else { continue };
            if !run.command.takes() && run.command != Command::Release {
                continue;
            }
            real.see(&mut run.witness, worker, value);
        }
    }

    /// Notes for a worker that `value` was the remote's.
    pub(super) fn see(&self, witness: &mut Witness, worker: usize, value: Chain) {
        let mine = self.holds(worker, value);
        witness.mine |= mine;
        witness.not_mine |= !mine;
        witness.others |= !mine && live(value).is_some();
    }

    /// The push is sent, and its answer never arrives: it takes effect at some time, or at none.
    pub(super) fn push_unanswered(&self, state: &mut State, worker: usize) {
        let Some(mut run) = state.workers[worker].run else { return };
        let Phase::Push(push) = run.phase else { return };
        if self.is_sent(state.remote, push) {
            state.flights.push(Flight {
                push,
                sender: worker,
                begun_since: [false; 3],
                overtaken: false,
            });
        }
        run.phase = Phase::Look;
        state.workers[worker].run = (!self.rules.with(Change::AnswerTrusted)).then_some(run);
    }

    /// Whether a push that nobody waits for would take effect now.
    pub(super) fn can_land(&self, state: &State, flight: Flight) -> bool {
        self.lease_holds(state.remote, flight.push)
    }

    /// A push that nobody waits for takes effect.
    pub(super) fn land(&self, state: &mut State, flight: usize) {
        let flight = state.flights.remove(flight);
        let releases = matches!(flight.push, Push::Claim { commit, .. } if commit.tip().is_some_and(|tip| tip.ended));
        if self.push(state, flight.push) && releases && flight.overtaken {
            state.blame(Fault::EndedBehind);
        }
    }
}

fn plain(link: Link) -> Link {
    Link { imported: false, ..link }
}
