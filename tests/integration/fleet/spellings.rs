//! Version 0.1 took `QUEUE-7` and `QUEUE-007` for two tasks: what its clones have pushed is read as
//! one task's.

use super::rig::Fleet;
use super::server::Transport;

const OLD: &str = "refs/bus/claims/QUEUE-7";
const USUAL: &str = "refs/bus/claims/QUEUE-007";

/// git's empty tree, which every state of a chain names.
const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

fn fleet() -> Fleet {
    Fleet::new(Transport::File, 2)
}

/// What a clone of version 0.1 pushes of `QUEUE-7` by `old`; returns the commit.
fn pushes(fleet: &Fleet, status: &str, revision: u64, claimed_at: &str) -> String {
    let end = if status == "active" { "" } else { r#","released_at":"2026-03-01T11:00:00Z""# };
    let claim = format!(
        r#"{{"agent_id":"old","branch":"agent/old/queue-7","claim_id":"old-1","claimed_at":"{claimed_at}","origin":"0123456789ab","revision":{revision},"status":"{status}","task_id":"QUEUE-7"{end}}}"#
    );
    let message = format!("claim QUEUE-7 by old\n\n{claim}\n");
    let parent = fleet.remote.at(OLD);
    let parents: Vec<&str> = if parent.is_empty() { vec![] } else { vec!["-p", &parent] };
    let who = [
        "-c",
        "user.name=old",
        "-c",
        "user.email=old@bus.invalid",
        "commit-tree",
        EMPTY,
        "-m",
        &message,
    ];
    let commit = fleet.remote.git(&[&who[..], &parents].concat()).trim().to_owned();
    fleet.remote.git(&["update-ref", OLD, &commit]);
    commit
}

/// What the remote has kept of what gave way.
fn kept(fleet: &Fleet) -> String {
    fleet.remote.at("refs/bus/lost")
}

const EARLY: &str = "2026-03-01T10:00:00Z";
const LATE: &str = "2026-03-01T13:00:00Z";

#[test]
fn a_live_claim_under_an_old_spelling_holds_the_task() {
    let fleet = fleet();
    let old = pushes(&fleet, "active", 1, EARLY);
    for task in ["QUEUE-007", "queue-7", "QUEUE-0007"] {
        assert_eq!(fleet.by(0, "a", &["claim", task]).fails(3, "claim-held")["owner"], "old");
    }
    fleet.by(1, "b", &["sync"]).ok();
    let status = fleet.by(1, "b", &["status", "--json"]).ok().json();
    assert_eq!(
        (&status["claims"][0]["agent_id"], &status["claims"][1]),
        (&"old".into(), &serde_json::Value::Null)
    );
    fleet.by(1, "b", &["claim", "QUEUE-007", "--offline"]).fails(3, "claim-held");
    // Version 0.1 sees its own spelling alone, so nobody who only looks takes that away.
    assert_eq!((fleet.remote.at(OLD), fleet.remote.at(USUAL)), (old, String::new()));
    pushes(&fleet, "active", 2, EARLY);
    fleet.by(0, "a", &["claim", "QUEUE-007"]).fails(3, "claim-held");
}

#[test]
fn what_is_written_goes_to_the_usual_ref_and_the_other_goes() {
    let fleet = fleet();
    fleet.by(0, "a", &["sync"]).ok();
    let old = pushes(&fleet, "released", 2, EARLY);
    fleet.by(0, "a", &["claim", "QUEUE-7"]).ok();
    assert_eq!(fleet.remote.at(OLD), "");
    assert!(
        fleet.remote.git(&["rev-list", USUAL]).contains(&old),
        "it goes on from what was there"
    );
    fleet.assert_agreed("QUEUE-007");
    // A clone of 0.1 tells a remote that has forgotten its ref of it again: that takes nothing
    // back.
    fleet.remote.git(&["update-ref", OLD, &old]);
    fleet.by(1, "b", &["claim", "QUEUE-007"]).fails(3, "claim-held");
    fleet.by(0, "a", &["release", "QUEUE-007"]).ok();
    fleet.by(1, "b", &["claim", "QUEUE-007"]).fails(3, "task-finished");
    fleet.by(1, "b", &["sync"]).ok();
    assert_eq!((fleet.remote.at(OLD), kept(&fleet)), (String::new(), String::new()));
}

#[test]
fn a_claim_that_was_taken_over_stays_so_whatever_an_old_clone_says_of_it() {
    let fleet = fleet();
    pushes(&fleet, "active", 1, EARLY);
    fleet.by(0, "a", &["reclaim", "QUEUE-007", "--note", "x", "--force"]).ok();
    let owner =
        |agent| fleet.by(1, agent, &["claim", "QUEUE-007"]).fails(3, "claim-held")["owner"].clone();
    assert_eq!(owner("b"), "a");
    pushes(&fleet, "active", 9, EARLY);
    assert_eq!(owner("b"), "a");
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(0, "a", &["heartbeat", "QUEUE-007"]).ok();
    assert_eq!((owner("b"), fleet.remote.at(OLD)), ("a".into(), String::new()));
}

#[test]
fn of_two_live_claims_the_older_stands_and_the_other_owner_is_told() {
    for command in [&["heartbeat", "QUEUE-007"][..], &["sync"]] {
        let fleet = fleet();
        fleet.by(0, "a", &["claim", "QUEUE-007"]).ok();
        let second = fleet.remote.at(USUAL);
        pushes(&fleet, "active", 1, EARLY);
        let ran = fleet.by(0, "a", command).run();
        assert_eq!(ran.status, Some(if command == ["sync"] { 0 } else { 8 }), "{}", ran.transcript);
        assert!(!ran.stderr.contains("went back"), "{}", ran.transcript);
        fleet.by(0, "a", &["release", "QUEUE-007"]).fails(8, "claim-lost");
        let lost = fleet.by(0, "a", &["heartbeat", "QUEUE-007"]).fails(8, "claim-lost");
        assert_eq!(lost["owner"], "old");
        assert!(lost["message"].as_str().unwrap().contains("claimed it first"), "{lost}");
        assert_eq!(
            fleet.by(1, "b", &["claim", "QUEUE-007"]).fails(3, "claim-held")["owner"],
            "old"
        );
        // Who goes on from the older one keeps what gave way.
        fleet.by(1, "b", &["reclaim", "QUEUE-007", "--note", "x", "--force"]).ok();
        assert_eq!(fleet.remote.at(OLD), "");
        assert!(
            fleet.remote.git(&["rev-list", &kept(&fleet)]).contains(&second),
            "{command:?}: it is lost"
        );
        fleet.by(0, "a", &["heartbeat", "QUEUE-007"]).fails(8, "claim-lost");
        fleet.assert_agreed("QUEUE-007");
    }
}

#[test]
fn a_younger_claim_under_an_old_spelling_gives_way() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "QUEUE-007"]).ok();
    let younger = pushes(&fleet, "active", 1, LATE);
    assert_eq!(fleet.by(1, "b", &["claim", "QUEUE-7"]).fails(3, "claim-held")["owner"], "a");
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(0, "a", &["release", "QUEUE-7"]).ok();
    assert_eq!((fleet.remote.at(OLD), kept(&fleet)), (String::new(), younger));
    fleet.assert_agreed("QUEUE-007");
}

#[test]
fn doctor_makes_one_ref_of_both_and_the_audit_refuses_two() {
    for status in ["active", "done"] {
        let fleet = fleet();
        let old = pushes(&fleet, status, 1, EARLY);
        fleet.remote.hook("pre-receive", "exit 1\n");
        fleet.by(0, "a", &["sync"]).run();
        fleet.remote.without_hook("pre-receive");
        let found = fleet.by(0, "a", &["doctor"]).exits(1);
        assert!(found.stdout.contains("two-spellings"), "{}", found.transcript);
        let judged = fleet.by(0, "a", &["validate", "--fleet"]).exits(1);
        assert!(judged.stdout.contains("claims/QUEUE-7"), "{}", judged.transcript);
        // It also finds that git's clock is ahead of the one of the tests.
        let fixed = fleet.by(0, "a", &["doctor", "--fix"]).run();
        assert!(fixed.stdout.contains("fixed two-spellings"), "{}", fixed.transcript);
        assert_eq!((fleet.remote.at(OLD), fleet.remote.at(USUAL)), (String::new(), old));
        fleet.by(0, "a", &["validate", "--fleet"]).ok();
        fleet.assert_agreed("QUEUE-007");
    }
}

/// A commit of the remote on `tree`, by `old`.
fn commit(fleet: &Fleet, tree: &str, parent: &str, message: &str) -> String {
    let who = ["-c", "user.name=old", "-c", "user.email=old@bus.invalid", "commit-tree", tree];
    let parents: &[&str] = if parent.is_empty() { &[] } else { &["-p", parent] };
    fleet.remote.git(&[&who[..], parents, &["-m", message]].concat()).trim().to_owned()
}

#[test]
fn a_lease_that_names_its_task_by_an_old_spelling_lives_with_the_claim() {
    let fleet = fleet();
    pushes(&fleet, "active", 1, EARLY);
    let lease = r#"{"claim_id":"old-1","expires_at":"2026-03-01T23:50:00Z","heartbeat":"2026-03-01T12:00:00Z","lock_id":"L-0000001","mode":"exclusive","objective":"x","origin":"0123456789ab","owner":"old","revision":1,"scope":["src/**"],"start_time":"2026-03-01T12:00:00Z","task_id":"QUEUE-7"}"#;
    let table = format!(r#"{{"changed":[],"leases":[{lease}],"revision":1}}"#);
    let tip = commit(&fleet, EMPTY, "", &format!("acquire\n\n{table}\n"));
    fleet.remote.git(&["update-ref", "refs/bus/locks", &tip]);
    let acquire = ["lock", "acquire", "src/x", "--objective", "y"];
    assert_eq!(fleet.by(0, "a", &acquire).fails(3, "lock-held")["owner"], "old");
    pushes(&fleet, "released", 2, EARLY);
    fleet.by(0, "a", &acquire).ok();
}

#[test]
fn a_task_that_was_archived_under_an_old_spelling_is_finished() {
    let fleet = fleet();
    pushes(&fleet, "active", 1, EARLY);
    let done = pushes(&fleet, "done", 2, EARLY);
    let clone = &fleet.clones[0];
    let entry = |text: String| {
        std::fs::write(clone.beside("entry"), format!("{text}\n")).unwrap();
        let entry = std::fs::File::open(clone.beside("entry")).unwrap();
        let remote = fleet.remote.path("");
        let mktree = ["--git-dir", remote.to_str().unwrap(), "mktree", "--missing"];
        clone.git_answers(&mktree, entry).trim().to_owned()
    };
    std::fs::write(clone.beside("name"), "QUEUE-7").unwrap();
    let name = clone.git(&["hash-object", clone.beside("name").to_str().unwrap()]);
    let inner = entry(format!("160000 commit {done}\tQUEUE-7"));
    let outer = entry(format!("040000 tree {inner}\t{}", &name[..2]));
    let before = fleet.remote.at("refs/bus/archive");
    let parents = ["-p", before.as_str(), "-p", done.as_str()];
    let who = ["-c", "user.name=bus", "-c", "user.email=bus@bus.invalid", "commit-tree", &outer];
    let archive = fleet.remote.git(&[&who[..], &parents, &["-m", "archive"]].concat());
    fleet.remote.git(&["update-ref", "refs/bus/archive", archive.trim()]);
    fleet.remote.git(&["update-ref", "-d", OLD]);
    for task in ["QUEUE-7", "QUEUE-007", "queue-0007"] {
        let error = fleet.by(0, "a", &["claim", task]).fails(3, "task-finished");
        assert_eq!(error["owner"], "old", "{task}");
    }
}

#[test]
fn a_claim_that_comes_with_another_spelling_is_taken_back_and_gives_way_if_that_is_refused() {
    for is_refused in [false, true] {
        let fleet = fleet();
        let old = pushes(&fleet, "active", 1, EARLY);
        fleet.remote.git(&["update-ref", "-d", OLD]);
        // The other one comes right after the push, before anybody looks again.
        fleet.remote.hook(
            "post-receive",
            &format!("while read -r was is name; do case $name in {USUAL}) git update-ref {OLD} {old};; esac; done\n"),
        );
        if is_refused {
            let zeros = "0".repeat(40);
            fleet.remote.hook("update", &format!("[ \"$3\" != {zeros} ] || exit 1\n"));
        }
        let error = fleet.by(0, "a", &["claim", "QUEUE-007"]).fails(3, "claim-held");
        assert_eq!(error["owner"], "old", "{is_refused}");
        assert_eq!(fleet.remote.at(OLD), old, "{is_refused}");
        assert_eq!(!fleet.remote.at(USUAL).is_empty(), is_refused);
        fleet.remote.without_hook("post-receive");
        let error = fleet.by(1, "b", &["claim", "QUEUE-007"]).fails(3, "claim-held");
        assert_eq!(error["owner"], "old", "{is_refused}");
        // It was never a's: nobody said so.
        fleet.by(0, "a", &["release", "QUEUE-007"]).fails(3, "claim-held");
    }
}
