//! `ci/validate.sh` brings the branches that prove whose the batches of a change are: a CI job has
//! none of them.

use std::fs;
use std::path::PathBuf;

use super::harness::{Ran, Repo};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/validate.sh");

/// A repository that serves `agent/b/t-1`, which goes on from `agent/a/t-1`, and a branch of an
/// agent that has no batch there.
fn served() -> Repo {
    let repo = Repo::tracked();
    repo.git(&["branch", "agent/c/x"]);
    for (agent, status) in [("a", "released"), ("b", "done")] {
        repo.git(&["switch", "--quiet", "-c", &format!("agent/{agent}/t-1")]);
        repo.by(agent, &["claim", "T-1"]).ok();
        repo.by(agent, &["message", "send", "--to", "c", "--summary", "half of it"]).ok();
        repo.by(agent, &["release", "T-1", "--status", status]).ok();
        repo.commit_all(agent);
    }
    repo
}

/// What the script says in a job that has `agent/b/t-1` alone, and which branches it has then.
fn judged(repo: &Repo, how: &[&str]) -> (Ran, Vec<String>) {
    let job: PathBuf = repo.beside("job");
    let _ = fs::remove_dir_all(&job);
    let url = format!("file://{}", repo.root().display());
    let clone = ["clone", "--quiet", "--no-tags", "--single-branch", "--branch", "agent/b/t-1"];
    repo.git(&[&clone[..], how, &[&url, job.to_str().unwrap()]].concat());
    let ran =
        repo.other(SCRIPT, &["main"]).env("BUS", env!("CARGO_BIN_EXE_bus")).within(&job).run();
    let names = repo.git_in(
        &job,
        &["for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin/agent"],
    );
    (ran, names.lines().map(str::to_owned).collect())
}

#[test]
fn the_branches_of_the_agents_whose_batches_a_change_has_are_fetched_and_no_others() {
    let repo = served();
    for how in [&[][..], &["--depth=1"]] {
        let (ran, names) = judged(&repo, how);
        assert_eq!(ran.status, Some(0), "{how:?}: {}", ran.transcript);
        assert!(names.contains(&"agent/a/t-1".to_owned()), "{how:?}: {names:?}");
        assert!(!names.contains(&"agent/c/x".to_owned()), "{how:?}: {names:?}");
    }
}

#[test]
fn a_batch_that_no_branch_of_its_agent_has_is_tampering_in_a_job_too() {
    let repo = served();
    repo.git(&["branch", "--quiet", "-D", "agent/a/t-1"]);
    let (ran, _) = judged(&repo, &[]);
    assert_eq!(ran.status, Some(1), "{}", ran.transcript);
    assert!(ran.stdout.contains("tampering") && ran.stdout.contains("/a@"), "{}", ran.transcript);
}
