//! Many processes at once: exactly one owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use super::harness::{Ran, Repo};

/// Starts one claim by each of 64 agents, spread over `places`, and waits for all.
fn storm(repo: &Repo, task: &str, places: &[PathBuf]) -> Vec<Ran> {
    let claim = |agent: usize| {
        repo.by(&format!("agent{agent}"), &["claim", task])
            .within(&places[agent % places.len()])
            .start()
    };
    let children: Vec<Child> = (0..64).map(claim).collect();
    children.into_iter().map(Ran::of).collect()
}

fn assert_one_winner(repo: &Repo, task: &str, ran: &[Ran]) {
    let winners: Vec<usize> =
        (0..ran.len()).filter(|agent| ran[*agent].status == Some(0)).collect();
    assert_eq!(winners.len(), 1, "{task}: {winners:?}");
    let winner = format!("agent{}", winners[0]);
    for (agent, ran) in ran.iter().enumerate().filter(|(agent, _)| *agent != winners[0]) {
        assert_eq!(ran.status, Some(3), "agent{agent}: {}", ran.transcript);
        assert!(ran.stderr.contains(&format!("is claimed by {winner} on")), "{}", ran.transcript);
    }
    assert_eq!(repo.tip(task)["agent_id"], winner);
    assert_eq!(repo.history(task).len(), 1);
}

#[test]
fn of_64_processes_in_one_worktree_exactly_one_gets_the_task() {
    let repo = Repo::new();
    for round in 0..4 {
        let task = format!("ROUND-{round}");
        assert_one_winner(&repo, &task, &storm(&repo, &task, &[repo.root()]));
    }
    assert_eq!(repo.log_lines().len(), 4);
}

#[test]
fn of_64_processes_in_eight_worktrees_exactly_one_gets_the_task() {
    let repo = Repo::new();
    let mut places: Vec<PathBuf> =
        (0..7).map(|number| repo.worktree(&format!("wt{number}"))).collect();
    places.push(repo.root());
    for round in 0..3 {
        let task = format!("ROUND-{round}");
        let ran = storm(&repo, &task, &places);
        assert_one_winner(&repo, &task, &ran);
        let holds = |place: &&PathBuf| place.join(format!("_bus/claims/{task}.json")).exists();
        assert_eq!(
            places.iter().filter(holds).count(),
            1,
            "only the winner's worktree has the file"
        );
    }
}

/// Starts a claim that stands still once its commit is written, just before the ref moves.
fn paused(repo: &Repo, agent: &str, flag: &Path) -> Child {
    let child = repo
        .by(agent, &["claim", "T-1"])
        .env("BUS_PAUSE_AT", "object-written")
        .env("BUS_PAUSE_FILE", flag.to_str().unwrap());
    let child = child.start();
    while !flag.exists() {
        std::thread::yield_now();
    }
    child
}

#[cfg(debug_assertions)]
#[test]
fn the_lock_keeps_everybody_else_out_and_names_its_holder() {
    let repo = Repo::new();
    let flag = repo.beside("flag");
    let holder = paused(&repo, "a", &flag);
    for command in [
        vec!["claim", "T-1"],
        vec!["claim", "T-2"],
        vec!["event", "log", "--event", "note", "--summary", "x"],
    ] {
        let mut command = command;
        command.extend(["--lock-timeout", "30ms"]);
        let error = repo.by("b", &command).fails(6, "lock-timeout");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("`bus claim` (process {})", holder.id())), "{message}");
    }
    fs::remove_file(&flag).unwrap();
    assert_eq!(Ran::of(holder).status, Some(0));
    repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
}

#[cfg(debug_assertions)]
#[test]
fn a_ref_that_moves_without_the_lock_makes_the_claim_decide_again() {
    let repo = Repo::new();
    repo.by("other", &["claim", "T-2"]).ok();
    let rival =
        repo.git(&["log", "-1", "--format=%b", "refs/bus/claims/T-2"]).replace("T-2", "T-1");
    let message = format!("claim T-1 by other\n\n{rival}");
    let tree = repo.git(&["log", "-1", "--format=%T", "refs/bus/claims/T-2"]);
    let rival = repo.git(&["commit-tree", "-m", message.trim_end(), tree.trim()]);
    let flag = repo.beside("flag");
    let claim = paused(&repo, "a", &flag);
    repo.git(&["update-ref", "refs/bus/claims/T-1", rival.trim(), ""]);
    fs::remove_file(&flag).unwrap();
    let ran = Ran::of(claim);
    assert_eq!(ran.status, Some(3), "{}", ran.transcript);
    assert!(ran.stderr.contains("is claimed by other"), "{}", ran.transcript);
    assert_eq!(repo.git(&["rev-parse", "refs/bus/claims/T-1"]), rival);
}

#[test]
fn many_agents_take_and_give_back_and_nobody_ever_takes_what_is_held() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    let places = [repo.root(), other];
    std::thread::scope(|scope| {
        for agent in 0..6_usize {
            let (repo, places) = (&repo, &places);
            scope.spawn(move || {
                let name = format!("agent{agent}");
                for _ in 0..12 {
                    let place = &places[agent % 2];
                    let claimed = repo.by(&name, &["claim", "T-1"]).within(place).run();
                    if claimed.status == Some(0) {
                        repo.by(&name, &["release", "T-1", "--status", "released"])
                            .within(place)
                            .ok();
                    } else {
                        assert_eq!(claimed.status, Some(3), "{}", claimed.transcript);
                    }
                }
            });
        }
    });
    let mut owner: Option<String> = None;
    for subject in repo.history("T-1").iter().rev() {
        let words: Vec<&str> = subject.split(' ').collect();
        match (words[0], &owner) {
            ("claim", None) => owner = Some(words[3].to_owned()),
            ("release", Some(held)) if held == words[3] => owner = None,
            other => panic!("{subject} while {other:?}"),
        }
    }
}
