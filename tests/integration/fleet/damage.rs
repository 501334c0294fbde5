//! Refs that a power loss, a mirror or a hand has destroyed, here or on the remote: nobody's claim
//! is lost by it.

use super::rig::{Fleet, Remote};
use super::server::Transport;
use crate::harness::Repo;

fn fleet() -> Fleet {
    Fleet::new(Transport::File, 2)
}

#[test]
fn a_chain_that_was_made_anew_here_is_not_written_over_the_remotes() {
    for by_hand in [false, true] {
        let fleet = fleet();
        let repo = &fleet.clones[0];
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.by(0, "a", &["release", "T-1", "--status", "released"]).ok();
        fleet.by(1, "b", &["claim", "T-1"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        if by_hand {
            repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
            // A ref that is gone frees nothing.
            fleet.by(0, "a", &["claim", "T-1", "--offline"]).fails(3, "claim-held");
        } else {
            repo.write(".git/refs/bus/claims/T-1", "");
            fleet
                .by(0, "a", &["event", "log", "--event", "note", "--task", "T-1", "--summary", "x"])
                .ok();
        }
        let before = fleet.remote.at("refs/bus/claims/T-1");
        fleet.by(0, "a", &["sync"]).ok();
        assert_eq!(fleet.remote.at("refs/bus/claims/T-1"), before, "by hand: {by_hand}");
        fleet.by(1, "b", &["heartbeat", "T-1"]).ok();
        fleet.assert_agreed("T-1");
    }
}

#[test]
fn a_remote_that_has_lost_its_archive_gets_it_back() {
    let fleet = fleet();
    fleet.remote.git(&["update-ref", "-d", "refs/bus/archive"]);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.remote.git(&["update-ref", "-d", "refs/bus/archive"]);
    fleet.by(1, "b", &["sync"]).ok();
    assert!(fleet.remote.refs().contains("refs/bus/archive"), "{}", fleet.remote.refs());
}

#[test]
fn a_ref_that_comes_to_life_after_its_task_was_put_away_is_void() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet.by(1, "b", &["sync"]).ok();
    // What a push that was under way for long would bring: a claim that knows nothing of the one
    // that was archived.
    let rival = fleet.clones[1]
        .git(&["log", "-1", "--format=%B", "refs/bus/claims/T-1"])
        .replace("\"a\"", "\"late\"");
    fleet.by(0, "a", &["release", "T-1"]).ok();
    fleet.by(0, "boss", &["gc", "--apply"]).ok();
    let author = ["-c", "user.name=late", "-c", "user.email=late@bus.invalid"];
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let late =
        fleet.remote.git(&[&author[..], &["commit-tree", tree, "-m", rival.trim_end()]].concat());
    fleet.remote.git(&["update-ref", "refs/bus/claims/T-1", late.trim()]);
    fleet.by(1, "b", &["claim", "T-1"]).fails(3, "task-finished");
    fleet.by(1, "b", &["claim", "T-1", "--reopen"]).ok();
    fleet.assert_agreed("T-1");
    assert_eq!(fleet.clones[0].tip("T-1")["agent_id"], "b");
}

#[test]
fn doctor_makes_a_ref_anew_that_a_prune_took() {
    let fleet = fleet();
    let repo = &fleet.clones[0];
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    let before = repo.git(&["rev-parse", "refs/bus/claims/T-1"]);
    repo.git(&["update-ref", "-d", "refs/bus/claims/T-1"]);
    let found = fleet.by(0, "a", &["doctor"]).exits(1);
    assert!(found.stdout.contains("refs/bus/claims/T-1"), "{}", found.transcript);
    fleet.by(0, "a", &["doctor", "--fix"]).ok();
    assert_eq!(repo.git(&["rev-parse", "refs/bus/claims/T-1"]), before);
}

#[test]
fn doctor_warns_of_what_would_take_the_refs_again() {
    let fleet = fleet();
    fleet.clones[0].git(&["config", "--add", "remote.origin.fetch", "+refs/*:refs/*"]);
    let found = fleet.by(0, "a", &["doctor"]).exits(1);
    assert!(found.stdout.contains("+refs/*:refs/*"), "{}", found.transcript);
}

#[test]
fn doctor_clears_away_the_file_of_a_claim_that_was_not_the_first() {
    for more in [&[][..], &["--tracked"]] {
        let fleet = Fleet::founded(Remote::new(Transport::File), 2, more);
        fleet.by(1, "b", &["claim", "T-1", "--offline"]).ok();
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.by(1, "b", &["sync"]).ok();
        // The record has followed by itself.
        fleet.by(1, "b", &["doctor"]).exits(i32::from(!more.is_empty()));
        fleet.by(1, "b", &["doctor", "--fix"]).ok();
        let record = fleet.clones[1].read(".git/bus/log/_bus/claims/T-1.json");
        assert!(record.contains("\"agent_id\": \"a\""), "{record}");
        assert!(more.is_empty() || !fleet.clones[1].path("_bus/claims/T-1.json").exists());
        fleet.by(1, "b", &["heartbeat", "T-1"]).fails(8, "claim-lost");
    }
}

#[test]
fn another_remote_is_not_made_the_fleets() {
    let fleet = fleet();
    let fork = Repo::bare_of_bus();
    let url = format!("file://{}", fork.path(".git").display());
    fleet.clones[0].git(&["remote", "add", "fork", &url]);
    let before = fleet.clones[0].state();
    fleet.by(0, "a", &["init", "--remote", "fork"]).fails(7, "other-fleet");
    fleet.by(0, "a", &["sync", "--remote", "fork"]).fails(7, "other-fleet");
    assert_eq!(fleet.clones[0].state(), before);
    assert!(!fork.git(&["for-each-ref"]).contains("refs/bus/"));
}

#[test]
fn a_password_in_the_remotes_address_is_not_shown() {
    let fleet = fleet();
    let other = Repo::bare_of_bus();
    let url = format!("file://user:s3cret@localhost{}", other.path(".git").display());
    fleet.clones[0].git(&["remote", "set-url", "origin", &url]);
    let error = fleet.by(0, "a", &["claim", "T-1"]).exits(7);
    assert!(!error.stderr.contains("s3cret"), "{}", error.transcript);
    let error = fleet.by(0, "a", &["claim", "T-1", "--json"]).exits(7);
    assert!(!error.stdout.contains("s3cret"), "{}", error.transcript);
}

#[cfg(debug_assertions)]
#[test]
fn what_is_released_while_a_sync_confirms_it_stays_released() {
    let fleet = fleet();
    let flag = fleet.clones[0].beside("flag");
    fleet.by(0, "a", &["claim", "T-1", "--offline"]).ok();
    let pause = [("BUS_PAUSE_AT", "claims-pushed"), ("BUS_PAUSE_FILE", flag.to_str().unwrap())];
    let sync = pause
        .iter()
        .fold(fleet.by(0, "a", &["sync"]), |bus, (name, value)| bus.env(name, value))
        .start();
    super::rig::until(|| flag.exists());
    fleet.by(0, "a", &["release", "T-1", "--status", "released", "--offline"]).ok();
    std::fs::remove_file(&flag).unwrap();
    let ran = crate::harness::Ran::of(sync);
    assert_eq!(ran.status, Some(0), "{}", ran.transcript);
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(1, "b", &["claim", "T-1"]).ok();
}
