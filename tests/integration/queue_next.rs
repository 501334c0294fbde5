//! `bus claim --next`: each ready task to exactly one process.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

use super::harness::{Ran, Repo, record};

/// A bus with this many tasks in its queue.
fn queue_of(tasks: usize) -> Repo {
    let repo = Repo::new();
    (1..=tasks).for_each(|number| repo.write(&format!("queue/{number:03}-x.md"), "# Task: x\n"));
    repo
}

/// Runs 32 processes at once on 20 tasks; each task must be claimed once.
fn storm(agent: impl Fn(usize) -> String, worktrees: usize) {
    let repo = queue_of(20);
    let places: Vec<PathBuf> = (0..worktrees)
        .map(|number| repo.worktree(&format!("wt{number}")))
        .chain([repo.root()])
        .collect();
    let start = |number: usize| {
        repo.by(&agent(number), &["claim", "--next", "--json"])
            .within(&places[number % places.len()])
            .start()
    };
    let children: Vec<Child> = (0..32).map(start).collect();
    let ran: Vec<Ran> = children.into_iter().map(Ran::of).collect();
    let claimed = ran.iter().filter(|ran| ran.status == Some(0)).map(|ran| ran.json());
    let tasks: Vec<String> =
        claimed.map(|answer| answer["claim"]["task_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((tasks.len(), tasks.iter().collect::<BTreeSet<_>>().len()), (20, 20), "{tasks:?}");
    for ran in ran.iter().filter(|ran| ran.status != Some(0)) {
        assert_eq!(
            (ran.status, &ran.json()["error"]["code"]),
            (Some(4), &"nothing-ready".into()),
            "{}",
            ran.transcript
        );
    }
    for number in 1..=20 {
        assert_eq!(repo.history(&format!("QUEUE-{number:03}")).len(), 1);
    }
    assert_eq!(fs::read_dir(repo.path(".git/bus/next")).unwrap().count(), 0);
}

#[test]
fn of_32_agents_on_20_tasks_each_gets_another_and_12_get_none() {
    storm(|number| format!("agent{number}"), 0);
}

#[test]
fn of_32_processes_of_one_agent_on_20_tasks_each_gets_another_and_12_get_none() {
    storm(|_| "agent".to_owned(), 0);
}

#[test]
fn of_32_processes_in_four_worktrees_each_gets_another_task_and_12_get_none() {
    storm(|number| format!("agent{}", number % 3), 3);
}

#[test]
fn the_next_task_is_the_best_one_with_its_plan_and_all_that_was_asked_for() {
    let repo = queue_of(2);
    repo.write("queue/003-x.md", "# Task: x\nPriority: high\nPlan: p-1\n");
    repo.write("queue/004-x.md", "# Task: x\nPriority: high\nPlan: p-1\n");
    let ran = repo
        .by("a", &["claim", "--next", "--notes", "n", "--ttl", "2h"])
        .ok()
        .says("`bus show QUEUE-003`");
    assert!(
        ran.stdout.starts_with("claimed QUEUE-003 as a on agent/a/queue-003 (active, expires"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        (&repo.claim("QUEUE-003")["plan_id"], &repo.claim("QUEUE-003")["notes"]),
        (&"p-1".into(), &"n".into())
    );
    repo.by("a", &["claim", "--next", "--plan", "p-2"]).ok();
    assert_eq!(repo.claim("QUEUE-004")["plan_id"], "p-2");
    repo.by("a", &["claim", "--next", "--branch", "main"]).fails(2, "usage");
    repo.by("b", &["claim", "--next"]).ok();
    repo.by("b", &["release", "QUEUE-001", "--status", "released"]).ok();
    let answer = repo.by("a", &["claim", "--next", "--json"]).ok().json();
    assert_eq!(
        (&answer["outcome"], &answer["previous"]["agent_id"]),
        (&"claimed".into(), &"b".into())
    );
}

#[test]
fn nothing_ready_is_exit_4_and_says_why() {
    let repo = queue_of(1);
    repo.write("queue/002-x.md", "# Task: x\nAfter: QUEUE-001\n");
    repo.by("a", &["claim", "--next"]).ok();
    let error = repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    assert_eq!(error["message"], "nothing is ready: 1 blocked, 1 claimed");
    repo.by("a", &["release", "QUEUE-001"]).ok();
    repo.by("a", &["claim", "--next"]).ok();
    assert_eq!(repo.tip("QUEUE-002")["status"], "active");
    let error = repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    assert_eq!(error["message"], "nothing is ready: 1 claimed, 1 done");
    let empty = Repo::new();
    let error = empty.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    assert_eq!(error["message"], "nothing is ready: the queue is empty");
}

#[test]
fn next_goes_with_no_task_and_not_with_what_names_one() {
    let repo = queue_of(1);
    for words in [
        &["T-1", "--next"][..],
        &["--task", "T-1", "--next"],
        &["--next", "--here"],
        &["--next", "--reopen"],
        &[],
    ] {
        repo.by("a", &[&["claim"], words].concat()).fails(2, "usage");
    }
    repo.bus(&["claim", "--next"]).fails(2, "no-identity");
}

#[test]
fn what_is_meant_for_somebody_else_is_left_out_unless_that_is_overridden() {
    let repo = queue_of(2);
    repo.by("boss", &["assign", "QUEUE-001", "--engineer", "b"]).ok();
    repo.by("a", &["claim", "--next"]).ok();
    assert_eq!(repo.tip("QUEUE-002")["agent_id"], "a");
    repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
    repo.by("a", &["claim", "--next", "--allow-unassigned"]).ok();
    assert_eq!(repo.tip("QUEUE-001")["agent_id"], "a");
}

#[test]
fn a_task_that_cannot_be_claimed_does_not_stand_before_the_others() {
    let repo = queue_of(3);
    repo.write(&record("claims/QUEUE-001.json"), "{");
    repo.write("queue/002-x.md", "# Task: x\nAfter: ../x\n");
    repo.by("a", &["claim", "--next"]).ok();
    assert_eq!(repo.tip("QUEUE-003")["agent_id"], "a");
}

#[cfg(debug_assertions)]
#[test]
fn what_was_ready_and_is_taken_meanwhile_is_passed_over() {
    let repo = queue_of(3);
    repo.write("queue/002-x.md", "# Task: x\nAfter: T-1\n");
    repo.by("b", &["claim", "T-1"]).ok();
    repo.by("b", &["release", "T-1"]).ok();
    let flag = repo.beside("flag");
    let next = repo.by("a", &["claim", "--next"]).env("BUS_PAUSE_AT", "queue-seen");
    let next = next.env("BUS_PAUSE_FILE", flag.to_str().unwrap()).start();
    while !flag.exists() {
        std::thread::yield_now();
    }
    // The best one is claimed, and what the second one waits for is not done any more.
    repo.by("b", &["claim", "QUEUE-001"]).ok();
    repo.by("b", &["claim", "T-1"]).ok();
    fs::remove_file(&flag).unwrap();
    let ran = Ran::of(next);
    assert!(ran.stdout.starts_with("claimed QUEUE-003 as a"), "{}", ran.transcript);
}

#[cfg(debug_assertions)]
#[test]
fn a_next_that_died_is_finished_by_the_same_and_takes_no_second_task() {
    let warm = || {
        let repo = queue_of(3);
        repo.by("a", &["event", "log", "--event", "note", "--summary", "warm"]).ok();
        repo
    };
    let steps = warm().by("a", &["claim", "--next"]).steps();
    assert!(
        ["next-noted", "ref-written", "line-appended"]
            .iter()
            .all(|step| steps.iter().any(|known| known == step)),
        "{steps:?}"
    );
    for step in &steps {
        let repo = warm();
        let died = repo.by("a", &["claim", "--next"]).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached");
        let ran = repo.by("a", &["claim", "--next"]).ok();
        assert_eq!(ran.stdout, "claimed QUEUE-001 as a on agent/a/queue-001 (active)\n", "{step}");
        assert_eq!((repo.history("QUEUE-001").len(), repo.log_lines().len()), (1, 2), "{step}");
        assert_eq!(repo.claim("QUEUE-001"), repo.tip("QUEUE-001"), "{step}");
        let ran = repo.by("a", &["claim", "--next"]).ok();
        assert!(ran.stdout.starts_with("claimed QUEUE-002"), "{step}: {}", ran.stdout);
        repo.bus(&["doctor"]).ok();
    }
    // Whoever has settled it by name has had the answer.
    for words in [
        &["claim", "QUEUE-001"][..],
        &["release", "QUEUE-001", "--status", "paused"],
        &["heartbeat", "QUEUE-001"],
    ] {
        let repo = queue_of(3);
        repo.by("a", &["claim", "--next"]).env("BUS_CRASH_AT", "ref-written").run();
        repo.by("a", words).ok();
        assert!(
            repo.by("a", &["claim", "--next"]).ok().stdout.starts_with("claimed QUEUE-002"),
            "{words:?}"
        );
    }
    // Another agent, or the same one elsewhere, does not get it.
    let repo = queue_of(3);
    let wt = repo.worktree("wt");
    repo.by("a", &["claim", "--next"]).env("BUS_CRASH_AT", "ref-written").run();
    assert!(
        repo.by("a", &["claim", "--next"]).within(&wt).ok().stdout.starts_with("claimed QUEUE-002")
    );
    assert!(repo.by("b", &["claim", "--next"]).ok().stdout.starts_with("claimed QUEUE-003"));
    // What was taken over since is not given back.
    repo.by("b", &["reclaim", "QUEUE-001", "--note", "x", "--force"]).ok();
    repo.by("a", &["claim", "--next"]).fails(4, "nothing-ready");
}

#[test]
fn one_that_waits_gets_a_task_as_soon_as_it_is_ready() {
    let repo = queue_of(1);
    repo.write("queue/002-x.md", "# Task: x\nAfter: QUEUE-001\n");
    repo.by("b", &["claim", "--next"]).ok();
    let error =
        repo.by("a", &["claim", "--next", "--wait", "--timeout", "30ms"]).fails(6, "wait-timeout");
    assert!(
        error["message"].as_str().unwrap().contains("nothing is ready: 1 blocked, 1 claimed"),
        "{error}"
    );
    let waiting = repo.by("a", &["claim", "--next", "--wait", "--timeout", "1m"]).start();
    repo.by("b", &["release", "QUEUE-001"]).ok();
    let ran = Ran::of(waiting);
    assert!(ran.stdout.starts_with("claimed QUEUE-002 as a"), "{}", ran.transcript);
}

#[test]
fn what_items_wait_for_is_bounded_in_sum_and_only_the_ones_beyond_are_unreadable() {
    let repo = Repo::new();
    let after: Vec<String> = (1..1000).map(|number| format!("QUEUE-{number:03}")).collect();
    for number in 2..80 {
        repo.write(
            &format!("queue/{number:03}-t.md"),
            format!("# Task: t\nAfter: {}\n", after.join(", ")),
        );
    }
    repo.write("queue/001-first.md", "# Task: first\n");
    repo.write("queue/090-last.md", "# Task: last\n");
    let list = repo.by("a", &["queue", "list", "--json"]).ok().json();
    let states: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "unreadable").count(), 27, "{states:?}");
    repo.by("a", &["claim", "--next"]).ok();
    repo.by("b", &["claim", "--next"]).ok();
}

#[test]
fn long_files_of_the_queue_are_read_up_to_a_sum_and_keep_no_short_one_back() {
    let repo = Repo::new();
    let long = format!("# Task: long\n\n{}\n", "words and more words\n".repeat(49_000));
    for number in 1..=70 {
        repo.write(&format!("queue/{number:03}-long.md"), &long);
    }
    repo.write("queue/100-short.md", "# Task: short\nPriority: critical\n");
    let list = repo.by("a", &["queue", "list", "--json"]).ok().json();
    let of = |state: &str| {
        let tasks = list["items"].as_array().unwrap().iter();
        tasks.filter(|task| task["state"] == state).count()
    };
    assert_eq!(of("ready"), 67, "{list}");
    assert!(list.to_string().contains("more than 64 MiB in all"), "{list}");
    let claimed = repo.by("a", &["claim", "--next", "--json"]).ok().json();
    assert_eq!(claimed["claim"]["task_id"], "QUEUE-100");
}
