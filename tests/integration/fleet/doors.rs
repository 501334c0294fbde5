//! Side doors to a fleet: settings that change where a remote is, several remotes, other spellings
//! of a task.

use super::rig::{Fleet, Remote};
use super::server::Transport;
use crate::harness::Repo;

/// A repository with a bus, whose only remote serves no fleet, and which has learned that.
fn alone() -> (Repo, Remote) {
    let (repo, empty) = (Repo::new(), Remote::new(Transport::File));
    repo.git(&["remote", "add", "mine", &empty.url()]);
    repo.by("b", &["claim", "OWN-1"]).ok();
    (repo, empty)
}

/// A fleet in which a holds T-1.
fn fleet() -> Fleet {
    let fleet = Fleet::new(Transport::File, 1);
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    fleet
}

#[test]
fn that_there_is_no_fleet_counts_only_as_long_as_the_remotes_are_where_they_were() {
    let fleet = fleet();
    let url = fleet.remote.url();
    let (instead, pushed) = (format!("url.{url}.insteadOf"), format!("url.{url}.pushInsteadOf"));
    for change in [
        &["remote", "add", "other", &url][..],
        &["remote", "set-url", "mine", &url],
        &["remote", "set-url", "--push", "mine", &url],
        &["config", "remote.pushed.pushurl", &url],
        &["config", &instead, "EMPTY"],
        &["config", &pushed, "EMPTY"],
    ] {
        let (repo, empty) = alone();
        let empty = empty.url();
        let change: Vec<&str> = change
            .iter()
            .map(|word| if *word == "EMPTY" { empty.as_str() } else { word })
            .collect();
        repo.git(&change);
        let error = repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
        assert_eq!(error["owner"], "a", "{change:?}");
    }
}

#[test]
fn of_several_remotes_that_which_serves_the_fleet_of_the_policy_counts() {
    let (fleet, stranger) = (fleet(), Fleet::new(Transport::File, 1));
    let clone = Repo::clone_of(&fleet.remote.url());
    // The stranger's comes first.
    clone.git(&["remote", "remove", "origin"]);
    clone.git(&["remote", "add", "fork", &stranger.remote.url()]);
    clone.git(&["remote", "add", "upstream", &fleet.remote.url()]);
    clone.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    clone.by("b", &["claim", "T-2"]).ok();
    assert!(!fleet.remote.at("refs/bus/claims/T-2").is_empty());
    assert_eq!(stranger.remote.at("refs/bus/claims/T-2"), "");
}

#[test]
fn a_remote_that_is_silent_is_no_answer_whatever_is_asked() {
    let fleet = fleet();
    let commands: [&[&str]; 8] = [
        &["wait", "T-1", "--until", "free", "--timeout", "1s"],
        &["claim", "T-1"],
        &["claim", "T-2"],
        &["claim", "--next"],
        &["release", "T-1"],
        &["lock", "acquire", "src/**", "--objective", "x"],
        &["queue", "add", "x"],
        &["sync"],
    ];
    for (name, url) in [("origin", "file:///nowhere/x"), ("second", "file:///nowhere/y")] {
        let clone = Repo::clone_of(&fleet.remote.url());
        clone.git(&["checkout", "--quiet", "-b", "old", "main~1"]);
        let change = if name == "origin" {
            vec!["remote", "set-url", name, url]
        } else {
            vec!["remote", "remove", "origin"]
        };
        clone.git(&change);
        if name != "origin" {
            clone.git(&["remote", "add", name, url]);
            clone.git(&["remote", "add", "third", &fleet.remote.url()]);
        }
        for command in commands {
            clone.by("b", command).exits(7);
        }
        let told = clone.by("b", &["session", "start"]).ok();
        assert!(!told.stdout.contains("has no fleet"), "{}", told.transcript);
        assert_eq!(clone.git(&["for-each-ref", "refs/bus/claims"]), "");
    }
}

#[test]
fn of_remotes_with_different_fleets_none_is_joined_unless_the_policy_or_a_person_says_which() {
    let (fleet, stranger) = (fleet(), Fleet::new(Transport::File, 1));
    for first in [&stranger, &fleet] {
        let clone = Repo::clone_of(&fleet.remote.url());
        // A branch from before the fleet was founded.
        clone.git(&["checkout", "--quiet", "-b", "old", "main~1"]);
        clone.git(&["remote", "remove", "origin"]);
        let second = if std::ptr::eq(first, &stranger) { &fleet } else { &stranger };
        clone.git(&["remote", "add", "one", &first.remote.url()]);
        clone.git(&["remote", "add", "two", &second.remote.url()]);
        let error = clone.by("b", &["claim", "T-2"]).fails(7, "other-fleet");
        assert!(error["message"].as_str().unwrap().contains("`one` and `two`"), "{error}");
        assert_eq!(error["remotes"], serde_json::json!(["one", "two"]));
        assert_eq!(clone.git(&["for-each-ref", "refs/bus/fleet", "refs/bus/claims"]), "");
        let mine = if std::ptr::eq(first, &fleet) { "one" } else { "two" };
        clone.bus(&["init", "--remote", mine]).ok();
        clone.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    }
}

#[test]
fn the_doctor_says_that_the_fleets_remote_has_another_name_now() {
    let fleet = fleet();
    let clone = Repo::clone_of(&fleet.remote.url());
    clone.by("b", &["claim", "T-2"]).ok();
    clone.git(&["remote", "rename", "origin", "upstream"]);
    clone.git(&["remote", "add", "fork", &Fleet::new(Transport::File, 1).remote.url()]);
    clone.by("b", &["claim", "T-3"]).exits(7);
    let findings = clone.bus(&["doctor", "--json"]).exits(1).json();
    let of_remote = findings["findings"].as_array().unwrap().iter();
    let found: Vec<_> = of_remote.filter(|found| found["name"] == "fleet-remote").collect();
    assert_eq!(found.len(), 1, "{findings}");
    assert!(found[0].to_string().contains("bus sync --remote"), "{findings}");
    clone.bus(&["sync", "--remote", "upstream"]).ok();
    clone.by("b", &["claim", "T-3"]).ok();
}

#[test]
fn a_remote_that_was_renamed_serves_the_fleet_under_its_new_name() {
    let fleet = fleet();
    let clone = Repo::clone_of(&fleet.remote.url());
    clone.by("b", &["claim", "T-2"]).ok();
    clone.git(&["remote", "rename", "origin", "upstream"]);
    clone.by("b", &["claim", "T-1"]).fails(3, "claim-held");
    clone.by("b", &["claim", "T-3"]).ok();
    clone.by("b", &["release", "T-2"]).ok();
    clone.by("b", &["sync"]).ok();
    fleet.by(0, "a", &["claim", "T-3"]).fails(3, "claim-held");
    fleet.by(0, "a", &["claim", "T-2"]).fails(3, "task-finished");
    // Another one under the only name that is left is none of this fleet.
    let stranger = Fleet::new(Transport::File, 1);
    clone.git(&["remote", "set-url", "upstream", &stranger.remote.url()]);
    clone.by("b", &["claim", "T-4"]).fails(7, "other-fleet");
}

#[test]
fn a_clone_of_one_branch_without_history_is_in_the_fleet_whatever_it_does_first() {
    let fleet = fleet();
    let founder = &fleet.clones[0];
    founder.git(&["push", "--quiet", "origin", "main~1:refs/heads/old"]);
    fleet.by(0, "a", &["lock", "acquire", "src/**", "--objective", "x"]).ok();
    fleet.by(0, "a", &["queue", "add", "x"]).ok();
    let numbered = || {
        let clone = founder.beside("narrow");
        let _ = std::fs::remove_dir_all(&clone);
        let narrow =
            ["clone", "--quiet", "--depth=1", "--single-branch", "--branch=old", "--no-tags"];
        founder.git(&[&narrow[..], &[&fleet.remote.url(), clone.to_str().unwrap()]].concat());
        clone
    };
    for (command, status) in [
        (&["lock", "acquire", "src/x", "--objective", "x"][..], 3),
        (&["release", "T-1"], 3),
        (&["claim", "T-1"], 3),
        (&["queue", "add", "y"], 0),
    ] {
        let clone = numbered();
        let ran = founder.by("b", command).within(&clone).exits(status);
        assert!(!ran.stdout.contains("QUEUE-001"), "{}", ran.transcript);
    }
}

#[test]
fn a_number_of_any_width_has_one_owner() {
    let fleet = Fleet::new(Transport::File, 2);
    for number in ["7", "1000000000", "18446744073709551616"] {
        fleet.by(0, "a", &["claim", &format!("QUEUE-{number}")]).ok();
        for (clone, other) in
            [(0, format!("queue-0{number}")), (1, format!("Queue-0000000000000{number}"))]
        {
            fleet.by(clone, "b", &["claim", &other]).fails(3, "claim-held");
        }
    }
}

#[test]
fn what_a_branch_says_of_the_fleet_joins_nothing_in_any_worktree() {
    let fleet = fleet();
    let clone = Repo::clone_of(&fleet.remote.url());
    let policy = clone.read("_bus/config.toml");
    let id = policy.split("\nid = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let stranger = Fleet::new(Transport::File, 1);
    for (branch, forged) in [
        // Other refs of the same remote, another remote, another fleet.
        (
            "prefix",
            policy.replace(
                &format!("id = \"{id}\""),
                &format!("id = \"{id}\"\nprefix = \"refs/heads/bus/\""),
            ),
        ),
        ("remote", policy.replace("remote = \"origin\"", "remote = \"fork\"")),
        ("id", policy.replace(&id, &"0".repeat(id.len()))),
    ] {
        assert_ne!(forged, policy, "{branch}");
        let clone = Repo::clone_of(&fleet.remote.url());
        clone.git(&["remote", "add", "fork", &stranger.remote.url()]);
        let worktree = clone.worktree(branch);
        std::fs::write(worktree.join("_bus/config.toml"), &forged).unwrap();
        clone.bus(&["status"]).within(&worktree).run();
        clone.bus(&["session", "start", "--agent", "b"]).within(&worktree).run();
        clone.by("b", &["claim", "T-1"]).within(&worktree).run();
        let error = clone.by("b", &["claim", "T-1"]).fails(3, "claim-held");
        assert_eq!(error["owner"], "a", "{branch}");
        clone.by("b", &["claim", &format!("OWN-{branch}")]).ok();
        assert!(
            !fleet.remote.at(&format!("refs/bus/claims/OWN-{}", branch.to_uppercase())).is_empty(),
            "{branch}"
        );
        assert!(
            !clone.git(&["for-each-ref", "refs/bus-remote"]).contains("fork/claims"),
            "{branch}"
        );
    }
    let refs = fleet.remote.refs() + &stranger.remote.refs();
    assert!(!refs.contains("refs/heads/bus/"), "{refs}");
    assert_eq!(stranger.remote.at("refs/bus/claims/T-1"), "");
}

#[test]
fn a_note_that_an_older_version_took_from_a_branch_is_found_and_dropped() {
    let fleet = fleet();
    for change in ["\"id\": \"85875954731ed8aa\"", "\"prefix\": \"refs/heads/bus/\""] {
        let clone = Repo::clone_of(&fleet.remote.url());
        let id = clone.read("_bus/config.toml").split("\nid = \"").nth(1).unwrap()[..16].to_owned();
        let (key, _) = change.split_once(':').unwrap();
        let right = format!(
            "{{\n  \"id\": \"{id}\",\n  \"prefix\": \"refs/bus/\",\n  \"remote\": \"origin\"\n}}\n"
        );
        let forged = right.lines().map(|line| {
            if line.trim().starts_with(key) {
                format!("  {change},\n")
            } else {
                format!("{line}\n")
            }
        });
        clone.write(".git/bus/fleet", forged.collect::<String>());
        clone.by("b", &["claim", "T-1"]).fails(5, "fleet-contradiction");
        let found = clone.bus(&["doctor"]).exits(1);
        assert!(found.stdout.contains("fleet"), "{}", found.transcript);
        clone.bus(&["doctor", "--fix"]).ok();
        assert_eq!(
            clone.by("b", &["claim", "T-1"]).fails(3, "claim-held")["owner"],
            "a",
            "{change}"
        );
    }
}
