//! A change of owner as `bus` itself makes it passes the validator, and what it says to do next
//! works as it is typed.

use std::fs;

use super::harness::{Ran, Repo};
use super::sound_bus::older_bus;

const CLAIM: &str = "_bus/claims/QUEUE-001.json";

/// A bus whose `main` has codex-1's live claim, and a branch of codex-2's that is checked out.
fn claimed() -> Repo {
    let repo = older_bus();
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    repo.commit_all("claim");
    repo.git(&["switch", "--quiet", "--create", "agent/codex-2/queue-001"]);
    repo
}

/// The rules that are broken, and the whole report.
fn rules(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_lawful_way_to_another_owner_passes() {
    let ways: [&[(&str, &[&str])]; 4] = [
        &[("codex-2", &["reclaim", "QUEUE-001", "--force", "--note", "codex-1 is gone"])],
        &[
            ("codex-1", &["release", "QUEUE-001", "--status", "released"]),
            ("codex-2", &["claim", "QUEUE-001"]),
        ],
        &[("codex-1", &["release", "QUEUE-001"]), ("codex-2", &["claim", "QUEUE-001", "--reopen"])],
        &[
            ("codex-1", &["release", "QUEUE-001", "--status", "paused"]),
            ("codex-2", &["reclaim", "QUEUE-001", "--note", "it is paused"]),
            ("codex-2", &["release", "QUEUE-001"]),
        ],
    ];
    for way in ways {
        let repo = claimed();
        way.iter().for_each(|(agent, arguments)| drop(repo.by(agent, arguments).ok()));
        // What codex-1 has written is on its own branch, too; here only codex-2's own changes are
        // judged.
        let log = repo.path("_bus/events/codex-1.jsonl");
        let events = fs::read_to_string(&log).unwrap();
        fs::write(&log, format!("{}\n", events.lines().next().unwrap())).unwrap();
        let ran = repo.bus(&["validate", "--base", "main", "--strict", "--json"]).ok();
        assert_eq!(rules(&ran), [""; 0], "{}", ran.transcript);
    }
}

#[test]
fn in_a_clone_a_takeover_is_unproved_until_the_history_of_claims_is_fetched_as_the_report_says() {
    let repo = claimed();
    repo.by("codex-2", &["reclaim", "QUEUE-001", "--force", "--note", "codex-1 is gone"]).ok();
    repo.commit_all("takeover");
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    let validate = || repo.bus(&["validate", "--base", "origin/main", "--json"]).within(&clone);

    let ran = validate().ok();
    assert_eq!(rules(&ran), ["handover-unproved"], "{}", ran.transcript);
    let fix = ran.json()["findings"][0]["mend"].as_str().unwrap().to_owned();
    let command = fix.split('`').nth(1).unwrap();
    repo.other("sh", &["-c", command]).within(&clone).ok();
    assert_eq!(rules(&validate().ok()), [""; 0]);

    let claim = fs::read_to_string(clone.join(CLAIM)).unwrap();
    fs::write(clone.join(CLAIM), claim.replace("codex-1 is gone", "codex-1 agreed")).unwrap();
    assert_eq!(rules(&validate().exits(1)), ["handover-forged"]);
}

#[test]
fn a_history_of_which_the_older_states_are_not_here_refutes_nothing() {
    let repo = claimed();
    repo.by("codex-2", &["reclaim", "QUEUE-001", "--force", "--note", "codex-1 is gone"]).ok();
    repo.commit_all("takeover");
    // The ref goes on, and the file does not.
    repo.by("codex-2", &["heartbeat", "QUEUE-001"]).at("2026-03-01T18:00:00Z").ok();
    let clone = repo.beside("clone");
    repo.git(&[
        "clone",
        "--quiet",
        &format!("file://{}", repo.root().display()),
        clone.to_str().unwrap(),
    ]);
    let validate =
        || rules(&repo.bus(&["validate", "--base", "origin/main", "--json"]).within(&clone).ok());
    let fetch = |depth: &str| {
        let refspec = "+refs/bus/claims/*:refs/bus-remote/origin/claims/*";
        repo.git_in(&clone, &["fetch", "--quiet", depth, "origin", refspec]);
    };
    fetch("--depth=1");
    assert_eq!(validate(), ["handover-unproved"]);
    fetch("--unshallow");
    assert_eq!(validate(), [""; 0]);
}

#[test]
fn a_takeover_that_was_written_by_hand_is_refused_with_and_without_its_lineage() {
    let repo = claimed();
    let claim = repo.read(CLAIM);
    let id = claim.split("\"claim_id\": \"").nth(1).unwrap().split('"').next().unwrap();
    let stolen = claim.replace("codex-1", "codex-2");
    repo.write(CLAIM, &stolen);
    assert_eq!(
        rules(&repo.bus(&["validate", "--base", "main", "--json"]).exits(1)),
        ["duplicate-claim"]
    );
    let past = format!(
        "[{{\"agent_id\":\"codex-1\",\"at\":\"2026-03-01T12:00:00Z\",\"claim_id\":\"{id}\",\"ended\":\"reclaimed\"}}]"
    );
    repo.write(
        CLAIM,
        stolen
            .replace(id, "of-my-own")
            .replace("\"origin\"", &format!("\"lineage\": {past},\n  \"origin\"")),
    );
    assert_eq!(
        rules(&repo.bus(&["validate", "--base", "main", "--json"]).exits(1)),
        ["handover-forged", "claim-rollback"]
    );
}
