//! What `bus validate` compares with in GitHub Actions, if nobody names a base.

use serde_json::Value;

use super::harness::{Ran, Repo};
use super::sound_bus::older_bus;

fn id(repo: &Repo, revision: &str) -> String {
    repo.git(&["rev-parse", revision]).trim().to_owned()
}

/// A bus with a `main`, which `origin/main` is at, and a branch of codex-2's that has left it.
fn branched() -> Repo {
    let repo = older_bus();
    repo.by("codex-1", &["event", "log", "--event", "note", "--summary", "one"]).ok();
    repo.commit_all("one");
    repo.git(&["switch", "--quiet", "--create", "agent/codex-2/x"]);
    repo.by("codex-2", &["event", "log", "--event", "note", "--summary", "two"]).ok();
    repo.commit_all("two");
    repo.git(&["switch", "--quiet", "main"]);
    repo.by("codex-1", &["event", "log", "--event", "note", "--summary", "three"]).ok();
    repo.commit_all("three");
    repo.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    repo
}

fn validate(repo: &Repo, variables: &[(&str, &str)]) -> Ran {
    let run = repo.bus(&["validate", "--json"]).env("GITHUB_ACTIONS", "true");
    variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
}

fn merge_bases(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    report["merge_bases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|base| Value::as_str(base).unwrap().to_owned())
        .collect()
}

#[test]
fn a_pull_request_is_judged_by_what_github_merged_it_into() {
    let repo = branched();
    repo.git(&["switch", "--quiet", "--detach", "main"]);
    repo.git(&["merge", "--quiet", "--no-edit", "agent/codex-2/x"]);
    let (head, main) = (id(&repo, "HEAD"), id(&repo, "main"));
    for event in [&[][..], &[("GITHUB_EVENT_NAME", "pull_request"), ("GITHUB_SHA", &head)]] {
        let ran = validate(&repo, &[event, &[("GITHUB_HEAD_REF", "agent/codex-2/x")]].concat());
        assert_eq!(
            (ran.status, merge_bases(&ran)),
            (Some(0), vec![main.clone()]),
            "{}",
            ran.transcript
        );
        assert_eq!(ran.json()["branch"], "agent/codex-2/x");
    }
}

#[test]
fn a_merge_of_ones_own_hides_nothing() {
    let repo = branched();
    let left = id(&repo, "main~1");
    repo.git(&["switch", "--quiet", "agent/codex-2/x"]);
    let log = repo.read("_bus/events/codex-1.jsonl");
    repo.write("_bus/events/codex-1.jsonl", log.replace("one", "eins"));
    repo.commit_all("rewritten");
    let evil = [
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_SHA", &"1".repeat(40)),
        ("GITHUB_BASE_REF", "main"),
    ];
    let ran = validate(&repo, &evil);
    assert_eq!((ran.status, merge_bases(&ran)), (Some(1), vec![left]), "{}", ran.transcript);
    repo.git(&["merge", "--quiet", "--no-edit", "--strategy-option=ours", "main"]);
    for event in [&evil[..], &[("GITHUB_EVENT_NAME", "push"), ("GITHUB_SHA", &id(&repo, "HEAD"))]] {
        let ran = validate(&repo, event);
        assert_eq!(
            (ran.status, merge_bases(&ran)),
            (Some(1), vec![id(&repo, "main")]),
            "{}",
            ran.transcript
        );
    }
}

#[test]
fn on_the_default_branch_itself_everything_is_judged_or_what_a_merge_brought() {
    let repo = branched();
    repo.write("_bus/claims/QUEUE-009.json", "{");
    repo.commit_all("broken");
    repo.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_HEAD_REF", "")];
    let ran = validate(&repo, &push);
    assert_eq!((ran.status, merge_bases(&ran).len()), (Some(1), 0), "{}", ran.transcript);
    repo.git(&["merge", "--quiet", "--no-edit", "agent/codex-2/x"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    let ran = validate(&repo, &push);
    assert_eq!(
        (ran.status, merge_bases(&ran)),
        (Some(0), vec![id(&repo, "main~1")]),
        "{}",
        ran.transcript
    );
    assert_eq!(
        repo.bus(&["validate", "--base", ""]).env("GITHUB_ACTIONS", "true").run().status,
        Some(1)
    );
}
