//! A clone that is alone: what is decided under the lock is so, and no remote is asked.

use super::answers::Answer;
use super::chain::{Chain, Verb};
use super::decide::People;
use super::fleet::{Command, Run, State};

impl People {
    /// Does a command, or the next step of `gc`.
    pub(super) fn step_alone(&self, state: &mut State, worker: usize, run: Run) {
        match run.command {
            Command::Beat => self.beat(state, worker, false),
            Command::Gc => self.gc_alone(state, worker, run),
            Command::Sync => self.finish(state, worker, run, Answer::Nothing),
            _ => self.decide(state, worker, run, true),
        }
    }

    /// Writes the next state of the claim, which settles it.
    pub(super) fn write_alone(&self, state: &mut State, worker: usize, run: Run, commit: Chain) {
        self.write(&mut state.sites[self.places[worker].site], commit);
        self.enter(state, commit, true);
        let is_release = commit.tip().is_some_and(|tip| tip.verb == Verb::Release);
        let answer = if is_release { Answer::Released(commit) } else { Answer::Owner(commit) };
        self.finish(state, worker, run, answer);
    }

    /// Archives a claim that has ended, then removes its ref.
    fn gc_alone(&self, state: &mut State, worker: usize, run: Run) {
        let site = &mut state.sites[self.places[worker].site];
        if !site.local.tip().is_some_and(|tip| tip.ended) {
            return self.finish(state, worker, run, Answer::Nothing);
        }
        if site.tracking.archive != site.local {
            site.tracking.archive = site.local;
            return;
        }
        site.local = Chain::NONE;
        self.finish(state, worker, run, Answer::Nothing);
    }
}
