//! Life and death of claims: computed when read, by a clock that the tests set.

use serde_json::json;

use super::harness::{Kept, NOON, Repo, record};

const LATER: &str = "2026-03-01T19:00:00Z";

#[test]
fn a_silent_owner_is_stale_and_a_present_one_is_not() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("b", &["reclaim", "T-1", "--note", "x"])
        .at("2026-03-01T18:00:00Z")
        .fails(3, "claim-alive");
    let error = repo.by("b", &["claim", "T-1"]).at(LATER).fails(3, "claim-held");
    assert_eq!(error["reclaimable"], "stale");
    assert!(error["hint"].as_str().unwrap().contains("bus reclaim T-1 --note"));
    // Any command of the owner is a heartbeat, a read with its identity, too.
    repo.by("a", &["status"]).at("2026-03-01T18:30:00Z").ok();
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).at(LATER).fails(3, "claim-alive");
    let stale = "2026-03-02T01:00:00Z";
    let taken =
        repo.by("b", &["reclaim", "T-1", "--note", "silent", "--json"]).at(stale).ok().json();
    assert_eq!(taken["outcome"], "reclaimed");
    assert_eq!(
        taken["claim"]["lineage"][0],
        json!({"claim_id": taken["previous"]["claim_id"], "agent_id": "a", "origin": taken["previous"]["origin"], "by": "b", "ended": "reclaimed", "at": stale, "note": "silent"})
    );
    let again =
        repo.by("b", &["reclaim", "T-1", "--note", "silent", "--json"]).at(stale).ok().json();
    assert_eq!(again["outcome"], "unchanged", "run again, it finds its own work");
}

#[test]
fn an_event_of_the_owner_in_the_logs_end_is_a_sign_of_life() {
    let recorded = record("events/other.jsonl");
    let file = "_bus/events/other.jsonl";
    for (kept, place) in
        [(Kept::Untracked, recorded.as_str()), (Kept::Tracked, file), (Kept::Older, file)]
    {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let event = |ts: &str| {
            format!(r#"{{"agent_id":"a","event":"note","summary":"by another tool","ts":"{ts}"}}"#)
                + "\n"
        };
        repo.write(place, event("2026-03-05T00:00:00Z"));
        let status = || repo.bus(&["status", "--json"]).at(LATER).ok().json()["claims"][0].clone();
        assert_eq!(status()["state"], "stale", "{kept:?}: the future is no sign");
        repo.write(place, event("2026-03-01T18:00:00Z"));
        let claim = status();
        let expected = (&json!("active"), &json!("2026-03-01T18:00:00Z"));
        assert_eq!((&claim["state"], &claim["last_seen"]), expected, "{kept:?}");
    }
}

#[test]
fn a_claim_with_a_time_to_live_expires_unless_it_is_renewed() {
    Kept::ALL.into_iter().for_each(expires_unless_it_is_renewed);
}

fn expires_unless_it_is_renewed(kept: Kept) {
    let repo = Repo::keeping(kept);
    repo.by("a", &["claim", "T-1", "--ttl", "10m"]).ok();
    assert_eq!(repo.claim("T-1")["expires_at"], "2026-03-01T12:10:00Z");
    let before = repo.read("_bus/claims/T-1.json");
    repo.by("a", &["heartbeat", "T-1"]).at("2026-03-01T12:09:00Z").ok();
    if kept != Kept::Untracked {
        assert_eq!(
            repo.read("_bus/claims/T-1.json"),
            before,
            "{kept:?}: a heartbeat writes no file of the branch"
        );
    }
    assert_eq!(repo.claim("T-1"), repo.tip("T-1"), "but the record's");
    assert_eq!(repo.log_lines().len(), 1, "and no event");
    let tip = repo.tip("T-1");
    assert_eq!((&tip["revision"], &tip["expires_at"]), (&json!(2), &json!("2026-03-01T12:19:00Z")));
    repo.by("b", &["reclaim", "T-1", "--note", "x"])
        .at("2026-03-01T12:19:00Z")
        .fails(3, "claim-alive");
    let error = repo.by("b", &["claim", "T-1"]).at("2026-03-01T12:19:01Z").fails(3, "claim-held");
    assert_eq!(error["reclaimable"], "expired");
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).at("2026-03-01T12:19:01Z").ok();
    repo.by("a", &["heartbeat", "T-1"]).at("2026-03-01T12:20:00Z").fails(8, "claim-lost");
}

#[test]
fn commands_that_name_the_task_renew_it_when_that_is_due() {
    let repo = Repo::tracked();
    repo.by("a", &["claim", "T-1", "--ttl", "40m"]).ok();
    let file = repo.read("_bus/claims/T-1.json");
    let log = ["event", "log", "--event", "note", "--task", "T-1", "--summary", "x"];
    repo.by("a", &log).at("2026-03-01T12:10:00Z").ok();
    assert_eq!(repo.history("T-1").len(), 1, "not due within a quarter of the time to live");
    repo.by("b", &log).at("2026-03-01T12:11:00Z").ok();
    assert_eq!(repo.history("T-1").len(), 1, "only the owner renews");
    repo.by("a", &log).at("2026-03-01T12:11:00Z").ok();
    assert_eq!(repo.history("T-1")[0], "heartbeat T-1 by a");
    repo.by("a", &["claim", "T-1"]).at("2026-03-01T12:22:00Z").ok();
    assert_eq!(repo.history("T-1").len(), 3);
    assert_eq!(repo.tip("T-1")["expires_at"], "2026-03-01T13:02:00Z");
    assert_eq!(repo.claim("T-1"), repo.tip("T-1"));
    assert_eq!(repo.read("_bus/claims/T-1.json"), file, "the branch's file stays");
    repo.by("a", &["claim", "T-1"]).at("2026-03-01T12:23:00Z").ok();
    assert_eq!(
        (repo.history("T-1").len(), repo.log_lines().len()),
        (3, 4),
        "nothing is settled twice"
    );
}

#[test]
fn a_paused_claim_may_be_taken_over_at_once_and_a_live_one_by_force() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "paused"]).ok();
    assert_eq!(repo.by("b", &["claim", "T-1"]).fails(3, "claim-held")["reclaimable"], "paused");
    repo.by("b", &["reclaim", "T-1", "--note", "urgent"]).ok();
    repo.by("c", &["reclaim", "T-1", "--note", "no"]).fails(3, "claim-alive");
    repo.by("c", &["reclaim", "T-1", "--note", "must", "--force"]).ok();
    repo.by("b", &["release", "T-1"]).fails(8, "claim-lost");
    let lost = repo.by("a", &["release", "T-1"]).fails(8, "claim-lost");
    assert_eq!(
        (&lost["lost_to"], &lost["note"], &lost["owner"]),
        (&json!("b"), &json!("urgent"), &json!("c"))
    );
    repo.by("c", &["reclaim", "T-1"]).exits(2);
}

#[test]
fn a_claim_of_another_clone_is_given_up_only_after_this_one_has_waited_as_long() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1", "--ttl", "10m"]).ok();
        repo.commit_all("claim");
        let clone = repo.beside("clone");
        repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
        let reclaim = ["reclaim", "T-1", "--note", "x"];
        repo.by("b", &reclaim).within(&clone).at(LATER).fails(3, "claim-alive");
        repo.by("b", &reclaim).within(&clone).at("2026-03-01T19:09:59Z").fails(3, "claim-alive");
        repo.by("b", &reclaim).within(&clone).at("2026-03-01T19:10:00Z").ok();
        let history = repo.git_in(&clone, &["log", "--format=%s", "refs/bus/claims/T-1"]);
        assert_eq!(history, "reclaim T-1 by b\nimport T-1 by b\n", "{kept:?}");
    }
}

#[test]
fn a_copied_clone_is_another_clone() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let copy = repo.beside("copy");
    assert!(
        std::process::Command::new("cp")
            .arg("-r")
            .args([repo.root(), copy.clone()])
            .status()
            .unwrap()
            .success()
    );
    repo.by("a", &["claim", "T-1"]).within(&copy).fails(3, "claim-held-elsewhere");
    repo.by("a", &["claim", "T-1"]).ok();
    let moved =
        repo.by("a", &["claim", "T-1", "--here", "--json"]).within(&copy).at(NOON).ok().json();
    assert_ne!(moved["claim"]["origin"], moved["previous"]["origin"]);
}

#[test]
fn a_clock_that_is_set_back_takes_no_claim_away() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).at("2026-03-01T12:00:01Z").ok();
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).at(NOON).fails(3, "claim-alive");
}

#[test]
fn a_heartbeat_that_cannot_be_given_does_not_take_the_event_back() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.write(".git/refs/bus/claims/T-1.lock", "");
    let log = ["event", "log", "--event", "status", "--task", "T-1", "--summary", "x"];
    repo.by("a", &log).at("2026-03-01T14:00:00Z").ok().says("heartbeat could not be given");
    assert_eq!(repo.log_lines().len(), 2);
}

#[test]
fn ones_own_name_elsewhere_cannot_be_released_by_force() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--force", "--note", "x"])
        .within(&other)
        .fails(3, "claim-held-elsewhere");
}

#[cfg(debug_assertions)]
#[test]
fn a_clock_that_somebody_has_set_makes_nobody_silent() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["lock", "acquire", "src/**", "--objective", "x"]).ok();
    let lock = repo.bus(&["lock", "list", "--json"]).ok().json()["leases"][0]["lock_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let late = "2026-03-02T12:00:00Z";
    for words in
        [&["reclaim", "T-1", "--note", "x"][..], &["lock", "reclaim", &lock, "--note", "x"]]
    {
        for off in ["2026-03-01T12:00:00Z", "2026-03-02T11:54:59Z", "2026-03-02T12:05:01Z"] {
            let error = repo.by("b", words).at(late).env("BUS_REAL_NOW", off).fails(2, "usage");
            assert!(
                error["message"].as_str().unwrap().starts_with("BUS_NOW is ")
                    && error["hint"].as_str().unwrap().contains("--force")
            );
        }
    }
    repo.by("b", &["reclaim", "T-1", "--note", "x"])
        .at(late)
        .env("BUS_REAL_NOW", "2026-03-02T12:05:00Z")
        .ok();
    repo.by("b", &["lock", "reclaim", &lock, "--note", "x", "--force"])
        .at(late)
        .env("BUS_REAL_NOW", "2026-03-01T12:00:00Z")
        .ok();
    // A claim of one's own is no matter of clocks.
    repo.by("b", &["reclaim", "T-1", "--note", "x"])
        .at(late)
        .env("BUS_REAL_NOW", "2026-03-01T12:00:00Z")
        .ok();
}

#[test]
fn what_a_clock_that_is_ahead_has_written_is_no_heartbeat() {
    let repo = Repo::new();
    let far = "2026-04-01T12:00:00Z";
    repo.by("fast", &["claim", "T-1"]).at(far).ok();
    let acquire = ["lock", "acquire", "src/**", "--objective", "o", "--ttl", "30d"];
    repo.by("fast", &acquire).at(far).ok();
    repo.by("fast", &["claim", "T-2", "--ttl", "1h"]).at(far).ok();
    // A few minutes are how clocks are.
    repo.by("near", &["claim", "T-3"]).at("2026-03-01T12:04:00Z").ok();
    // As if the owner were on another machine.
    std::fs::remove_dir_all(repo.path(".git/bus/presence")).unwrap();
    let claim = |task: &str, now: &str| {
        let claims = repo.bus(&["status", "--json"]).at(now).ok().json()["claims"].clone();
        let found = claims.as_array().unwrap().iter().find(|claim| claim["task_id"] == task);
        found.unwrap().clone()
    };
    let first = claim("T-1", NOON);
    assert_eq!(
        (&first["state"], &first["last_seen"], &first["clock_ahead"]),
        (&json!("active"), &json!(NOON), &json!(31 * 86_400)),
        "this clone sees it for the first time"
    );
    assert_eq!(claim("T-3", NOON).get("clock_ahead"), None);
    let shown = repo.bus(&["status"]).ok().stdout;
    assert!(shown.contains("clock ahead by 31 d"), "{shown}");
    repo.by("b", &["reclaim", "T-1", "--note", "x"]).fails(3, "claim-alive");
    repo.by("b", &["claim", "T-1"]).exits(3).says("its owner's clock is ahead by 31 d");
    let doctor = repo.bus(&["doctor", "--json"]).exits(1).json();
    let found: Vec<_> = doctor["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["name"] == "clock-ahead")
        .map(|finding| finding["place"].clone())
        .collect();
    assert_eq!(found, ["refs/bus/claims/T-1", "refs/bus/claims/T-2"]);
    // By this clone's clock it is silent for too long, and its time to live is over.
    assert_eq!(claim("T-2", "2026-03-01T13:00:01Z")["state"], "expired");
    assert_eq!(claim("T-1", LATER)["state"], "stale");
    repo.by("b", &["reclaim", "T-1", "--note", "silent"]).at(LATER).ok();
    let lease = &repo.bus(&["lock", "list", "--json"]).at(LATER).ok().json()["leases"][0];
    assert_eq!(
        (&lease["state"], &lease["clock_ahead"]),
        (&json!("stale"), &json!(31 * 86_400 - 7 * 3_600))
    );
    // A heartbeat by a clock that goes right makes it alive again.
    repo.by("fast", &["heartbeat", "T-2"]).at(LATER).ok();
    assert_eq!(claim("T-2", LATER)["state"], "active");
}
