//! A task and its paths, taken and given back in one step.

use serde_json::json;

use super::harness::Repo;
use super::locks::{acquire, kinds, live, subjects};

#[test]
fn a_task_and_its_paths_come_and_go_together() {
    let repo = Repo::new();
    let ran = repo
        .by("a", &["claim", "T-1", "--lock", "src/**", "docs/", "--notes", "the lexer", "--json"])
        .ok()
        .json();
    let lease = &ran["lock"]["lease"];
    assert_eq!(
        (&ran["outcome"], &lease["scope"]),
        (&json!("claimed"), &json!(["src/**", "docs/"]))
    );
    assert_eq!((&lease["task_id"], &lease["claim_id"]), (&json!("T-1"), &ran["claim"]["claim_id"]));
    assert_eq!(lease["objective"], "the lexer");
    repo.by("b", &["lock", "acquire", "src/x", "--objective", "y"]).fails(3, "lock-held");
    let before = repo.state();
    let again = repo.by("a", &["claim", "t-1", "--lock", "src/**", "docs/", "--json"]).ok().json();
    assert_eq!(
        (&again["outcome"], &again["lock"]["outcome"]),
        (&json!("unchanged"), &json!("unchanged"))
    );
    assert_eq!(repo.state(), before);
    repo.by("a", &["release", "T-1"]).ok();
    assert!(live(&repo).is_empty());
    acquire(&repo, "b", &["src/x"]);
    // The log is ordered by time, then id: at a fixed clock only the set is certain.
    let mut kinds = kinds(&repo);
    kinds.sort();
    assert_eq!(kinds, ["claim", "lock", "lock", "release", "unlock"]);
    repo.bus(&["doctor"]).ok();
}

#[test]
fn both_or_none() {
    let repo = Repo::new();
    acquire(&repo, "b", &["docs/"]);
    repo.by("b", &["claim", "T-2"]).ok();
    let before = repo.state();
    repo.by("a", &["claim", "T-1", "--lock", "src/**", "docs/x"]).fails(3, "lock-held");
    repo.by("a", &["claim", "T-2", "--lock", "src/**"]).fails(3, "claim-held");
    repo.by("a", &["claim", "T-1", "--lock", "["]).fails(2, "usage");
    repo.by("a", &["claim", "--next", "--lock", "src/**"]).fails(2, "usage");
    assert_eq!(repo.state(), before);
}

#[test]
fn who_takes_over_a_task_frees_its_paths_at_once_and_the_owner_is_told() {
    let repo = Repo::new();
    let ran = repo.by("a", &["claim", "T-1", "--lock", "src/**", "--json"]).ok().json();
    let id = ran["lock"]["lease"]["lock_id"].as_str().unwrap().to_owned();
    repo.by("b", &["reclaim", "T-1", "--note", "a is gone", "--force"]).ok();
    assert!(live(&repo).is_empty());
    let error = repo.by("a", &["lock", "renew", &id]).fails(8, "lock-lost");
    assert_eq!((&error["lost_to"], &error["note"]), (&json!("b"), &json!("a is gone")));
    acquire(&repo, "c", &["src/x"]);
}

#[test]
fn a_claim_that_ended_without_its_paths_frees_them_all_the_same() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
    let tip = repo.git(&["rev-parse", "refs/bus/locks"]);
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    // As if the process had died before the table was written.
    repo.git(&["update-ref", "refs/bus/locks", tip.trim()]);
    assert!(live(&repo).is_empty(), "void is what its claim does not stand for");
    let id = acquire(&repo, "b", &["src/x"]);
    let last = subjects(&repo).pop().unwrap();
    assert!(last.starts_with(&format!("acquire {id} L-")), "what is void is swept: {last}");
    // The same claim again is another claim, and the old paths do not come back with it.
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(live(&repo).len(), 1);
}

#[test]
fn paths_live_on_with_a_task_that_is_paused_and_a_heartbeat_renews_them() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--lock", "src/**"]).ok();
    repo.by("a", &["release", "T-1", "--status", "paused"]).ok();
    assert_eq!(live(&repo).len(), 1);
    repo.by("a", &["heartbeat", "T-1"]).at("2026-03-01T12:40:00Z").ok();
    assert_eq!(live(&repo)[0]["expires_at"], "2026-03-01T13:30:00Z");
    // The paths alone may be given back.
    repo.by("a", &["lock", "release"]).ok();
    assert_eq!((live(&repo).len(), repo.tip("T-1")["status"].clone()), (0, json!("paused")));
}

#[test]
fn a_lease_for_a_task_that_one_holds_ends_with_its_claim() {
    let repo = Repo::new();
    let acquire = |agent: &str, path: &str| {
        let words = ["lock", "acquire", path, "--task", "T-1", "--objective", "o", "--json"];
        let answer = repo.by(agent, &words).ok().json();
        answer["lease"]["lock_id"].as_str().unwrap().to_owned()
    };
    // Before the claim, and by somebody else, it lives by itself.
    let before = acquire("a", "before/**");
    repo.by("a", &["claim", "T-1"]).ok();
    let (own, others) = (acquire("a", "src/**"), acquire("b", "docs/**"));
    repo.by("a", &["release", "T-1"]).ok().says(&format!("the lease {own} on src/** has ended"));
    let leases = repo.bus(&["lock", "list", "--json"]).ok().json()["leases"].clone();
    let mut live: Vec<&str> =
        leases.as_array().unwrap().iter().map(|lease| lease["lock_id"].as_str().unwrap()).collect();
    let mut expected = [before.as_str(), &others];
    live.sort_unstable();
    expected.sort_unstable();
    assert_eq!(live, expected);
    // A take-over ends it, too.
    repo.by("a", &["claim", "T-1", "--reopen"]).ok();
    acquire("a", "src/**");
    repo.by("c", &["reclaim", "T-1", "--note", "x", "--force"]).ok();
    repo.by("c", &["lock", "acquire", "src/a", "--objective", "o"]).ok();
}
