//! Clones that race for a task: one owner, whoever is killed, and everybody is told who it is.

use std::collections::BTreeSet;
use std::process::Child;

use super::rig::{Fleet, until};
use super::server::Transport;
use crate::harness::{Ran, rounds, some_of};

/// Who takes part: a clone, and an agent there.
type Contender = (usize, String);

/// `each` agents in each clone.
fn contenders(fleet: &Fleet, each: usize) -> Vec<Contender> {
    let of_clone = |clone| (0..each).map(move |number| (clone, format!("agent-{clone}-{number}")));
    (0..fleet.clones.len()).flat_map(of_clone).collect()
}

/// All claim `task` at once.
fn race(fleet: &Fleet, contenders: &[Contender], task: &str) -> Vec<Ran> {
    let start = |(clone, agent): &Contender| fleet.by(*clone, agent, &["claim", task]).start();
    let children: Vec<Child> = contenders.iter().map(start).collect();
    children.into_iter().map(Ran::of).collect()
}

fn assert_one_winner(fleet: &Fleet, contenders: &[Contender], task: &str, ran: &[Ran]) {
    let winners: Vec<&str> = contenders
        .iter()
        .zip(ran)
        .filter(|(_, ran)| ran.status == Some(0))
        .map(|((_, agent), _)| agent.as_str())
        .collect();
    let [winner] = winners[..] else {
        let all: Vec<&str> = ran.iter().map(|ran| ran.transcript.as_str()).collect();
        panic!("{task}: {winners:?}\n{}", all.join("\n"))
    };
    for ((_, agent), ran) in contenders.iter().zip(ran).filter(|((_, agent), _)| agent != winner) {
        assert_eq!(ran.status, Some(3), "{agent}: {}", ran.transcript);
        let named =
            [format!("is claimed by {winner} on"), format!("is alive: {winner} works on it")];
        assert!(
            named.iter().any(|words| ran.stderr.contains(words)),
            "{agent}: {}",
            ran.transcript
        );
    }
    fleet.assert_agreed(task);
    let owners: Vec<_> =
        fleet.clones.iter().map(|clone| clone.tip(task)["agent_id"].clone()).collect();
    assert!(owners.iter().all(|owner| owner == winner), "{task}: {owners:?}, not {winner}");
}

#[test]
fn of_eight_clones_exactly_one_gets_the_task() {
    let fleet = Fleet::new(Transport::File, 8);
    let contenders = contenders(&fleet, 1);
    for round in 0..rounds(1, 4) {
        let task = format!("ROUND-{round}");
        assert_one_winner(&fleet, &contenders, &task, &race(&fleet, &contenders, &task));
    }
}

#[test]
fn of_four_clones_exactly_one_gets_the_task_over_the_network() {
    for transport in some_of([Transport::Daemon, Transport::Http], 2, 1) {
        let fleet = Fleet::new(transport, 4);
        let contenders = contenders(&fleet, 1);
        for round in 0..rounds(1, 2) {
            let task = format!("ROUND-{round}");
            assert_one_winner(&fleet, &contenders, &task, &race(&fleet, &contenders, &task));
        }
    }
}

#[test]
fn of_two_processes_in_each_of_four_clones_exactly_one_gets_the_task() {
    let fleet = Fleet::new(Transport::File, 4);
    let contenders = contenders(&fleet, 2);
    for round in 0..3 {
        let task = format!("ROUND-{round}");
        assert_one_winner(&fleet, &contenders, &task, &race(&fleet, &contenders, &task));
    }
}

#[test]
fn a_task_that_was_given_back_is_raced_for_again() {
    let fleet = Fleet::new(Transport::File, 4);
    fleet.by(0, "first", &["claim", "T-1"]).ok();
    fleet.by(0, "first", &["release", "T-1", "--status", "released"]).ok();
    let contenders = contenders(&fleet, 1);
    assert_one_winner(&fleet, &contenders, "T-1", &race(&fleet, &contenders, "T-1"));
    let log = fleet.remote.git(&["log", "--format=%s", "refs/bus/claims/T-1"]);
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn of_all_that_take_over_a_task_at_once_one_gets_it() {
    let fleet = Fleet::new(Transport::File, 4);
    fleet.by(0, "first", &["claim", "T-1", "--status", "paused"]).ok();
    let contenders = contenders(&fleet, 1);
    let start = |(clone, agent): &Contender| {
        fleet.by(*clone, agent, &["reclaim", "T-1", "--note", "it lies about"]).start()
    };
    let children: Vec<Child> = contenders.iter().map(start).collect();
    let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
    assert_one_winner(&fleet, &contenders, "T-1", &ran);
    fleet.by(0, "first", &["heartbeat", "T-1"]).fails(8, "claim-lost");
}

/// Whoever is killed: no two owners, and whoever runs its command again is told what is so.
fn assert_sound_after_a_kill(fleet: &Fleet, contenders: &[Contender], task: &str) {
    let again: Vec<Ran> = contenders
        .iter()
        .map(|(clone, agent)| fleet.by(*clone, agent, &["claim", task]).run())
        .collect();
    assert_one_winner(fleet, contenders, task, &again);
}

#[test]
fn a_contender_that_is_killed_leaves_no_second_owner() {
    let fleet = Fleet::new(Transport::File, 4);
    let contenders = contenders(&fleet, 1);
    for round in some_of(0..6, 3, 1) {
        let task = format!("ROUND-{round}");
        let start = |(clone, agent): &Contender| fleet.by(*clone, agent, &["claim", &task]).start();
        let mut children: Vec<Child> = contenders.iter().map(start).collect();
        // Each round a bit later: by then it has read, written, pushed, looked or settled.
        std::thread::sleep(std::time::Duration::from_millis(12 * round));
        children[0].kill().unwrap();
        let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
        let won = ran.iter().filter(|ran| ran.status == Some(0)).count();
        assert!(won <= 1, "{task}");
        assert_sound_after_a_kill(&fleet, &contenders, &task);
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_contender_that_dies_at_any_step_leaves_no_second_owner() {
    let fleet = Fleet::new(Transport::File, 2);
    let contenders = contenders(&fleet, 1);
    let steps = ["pushed", "looked", "adopted", "line-appended", "event-settled", "file-settled"];
    for (number, step) in some_of(steps.into_iter().enumerate(), 2, 1) {
        let task = format!("STEP-{number}");
        let died = fleet.by(0, &contenders[0].1, &["claim", &task]).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached: {}", died.transcript);
        fleet.by(1, &contenders[1].1, &["claim", &task]).fails(3, "claim-held");
        assert_sound_after_a_kill(&fleet, &contenders, &task);
        let record =
            fleet.clones[0].read(&format!(".git/bus/log/_bus/events/{}.jsonl", contenders[0].1));
        let events = record.lines().filter(|line| line.contains(&task)).count();
        assert_eq!(events, 1, "{step}: its event is logged once");
    }
}

#[test]
fn a_claim_that_is_killed_while_the_remote_thinks_is_found_by_its_rerun() {
    for transport in Transport::some(0) {
        let fleet = Fleet::new(transport, 2);
        fleet.remote.delays();
        let mut killed = fleet.by(0, "a", &["claim", "T-1"]).start();
        fleet.remote.wait_for_push();
        killed.kill().unwrap();
        killed.wait().unwrap();
        fleet.remote.go_on();
        // git was not killed: its push goes on, and nobody waits for it.
        until(|| !fleet.remote.at("refs/bus/claims/T-1").is_empty());
        fleet.by(1, "b", &["claim", "T-1"]).fails(3, "claim-held");
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.assert_agreed("T-1");
    }
}

#[test]
fn of_all_that_ask_for_the_next_task_each_gets_another_one() {
    let fleet = Fleet::new(Transport::File, 4);
    for title in ["one", "two", "three"] {
        fleet.by(0, "boss", &["queue", "add", title]).ok();
    }
    fleet.clones[0].commit_all("queue");
    fleet.clones[0].git(&["push", "--quiet", "origin", "main"]);
    fleet.clones[1..].iter().for_each(|clone| drop(clone.git(&["pull", "--quiet"])));
    let next = |clone: usize| {
        fleet.by(clone, &format!("a{clone}"), &["claim", "--next", "--json"]).start()
    };
    let children: Vec<Child> = (0..4).map(next).collect();
    let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
    let got = ran.iter().filter(|ran| ran.status == Some(0));
    let tasks: BTreeSet<String> =
        got.map(|ran| ran.json()["claim"]["task_id"].as_str().unwrap().to_owned()).collect();
    let statuses: Vec<_> = ran.iter().map(|ran| ran.status).collect();
    assert_eq!(tasks.len(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == Some(4)).count(), 1, "{statuses:?}");
    tasks.iter().for_each(|task| fleet.assert_agreed(task));
}

#[test]
fn many_tasks_are_claimed_by_many_clones_at_once() {
    let fleet = Fleet::new(Transport::File, 4);
    let claim = |number: usize| {
        fleet.by(number % 4, &format!("a{number}"), &["claim", &format!("T-{number}")]).start()
    };
    let children: Vec<Child> = (0..12).map(claim).collect();
    for ran in children.into_iter().map(Ran::of) {
        assert_eq!(ran.status, Some(0), "{}", ran.transcript);
    }
    assert_eq!(fleet.remote.refs().matches("refs/bus/claims/").count(), 12);
}
