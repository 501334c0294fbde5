//! Refs that are none of the bus's where those of the bus are, on the remote and here: each stops
//! at most itself.

use super::rig::{Fleet, Remote};
use super::server::Transport;
use crate::harness::{Ran, Repo};

/// What must work whatever one odd ref says of another task.
const OTHERS: [&[&str]; 14] = [
    &["session", "start"],
    &["claim", "O-1"],
    &["event", "log", "--event", "note", "--task", "O-1", "--summary", "x"],
    &["heartbeat", "O-1"],
    &["lock", "acquire", "lib/", "--objective", "x"],
    &["queue", "add", "y"],
    &["sync"],
    &["status"],
    &["queue", "list"],
    &["report", "--stdout"],
    &["watch", "--limit", "1"],
    &["validate"],
    &["gc", "--apply"],
    &["release", "O-1", "--status", "released"],
];

/// The objects that a ref may be at besides a claim: a commit, a tag, a tree and a blob.
fn objects(remote: &Remote) -> [(&'static str, String); 4] {
    let commit = remote.git(&["rev-parse", "main"]).trim().to_owned();
    let who = ["-c", "user.name=x", "-c", "user.email=x@y.invalid"];
    remote.git(&[&who[..], &["tag", "-f", "-a", "-m", "x", "odd", &commit]].concat());
    let tag = remote.git(&["rev-parse", "refs/tags/odd"]).trim().to_owned();
    let tree = remote.git(&["rev-parse", "main^{tree}"]).trim().to_owned();
    let blob = remote.git(&["rev-parse", "main:_bus/config.toml"]).trim().to_owned();
    [("commit", commit), ("tag", tag), ("tree", tree), ("blob", blob)]
}

/// Runs everything that an odd ref must not stop, but for commands whose first words are in `but`.
fn others_work(fleet: &Fleet, but: &[&str], odd: &str) {
    for command in OTHERS.iter().filter(|command| !but.contains(&command[0])) {
        let ran = fleet.by(0, "a", command).run();
        assert_eq!(ran.status, Some(0), "{odd}: {}", ran.transcript);
    }
}

fn doctor_says(fleet: &Fleet, name: &str) {
    let found = fleet.by(0, "a", &["doctor"]).exits(1);
    assert!(
        found.stdout.contains(name) && found.stdout.contains("odd-ref"),
        "{name}: {}",
        found.transcript
    );
}

fn says_who_can_remove(ran: &Ran, name: &str) {
    let said = &ran.stderr;
    assert!(
        said.contains(name) && said.contains("`git push --delete`"),
        "{name}: {}",
        ran.transcript
    );
    assert!(
        !said.contains(&format!("--delete origin {name}"))
            && !said.contains(&format!("--delete {name}")),
        "{said}"
    );
}

#[test]
fn what_git_cannot_have_beside_a_ref_of_the_bus_is_moved_aside_and_named() {
    let fleet = Fleet::new(Transport::File, 1);
    let [(_, commit), ..] = objects(&fleet.remote);
    for name in ["claims/X-1/Y", "locks/x", "queue/a/b"] {
        fleet.remote.git(&["update-ref", &format!("refs/bus/{name}"), &commit]);
    }
    fleet.by(0, "a", &["sync"]).ok();
    doctor_says(&fleet, "refs/bus/locks/x");
    doctor_says(&fleet, "refs/bus/claims/X-1/Y");
    for (command, name) in [
        (&["lock", "acquire", "src/", "--objective", "x"][..], "refs/bus/locks/x"),
        (&["claim", "X-1"], "refs/bus/claims/X-1/Y"),
        (&["queue", "add", "z"], "refs/bus/queue/a/b"),
    ] {
        says_who_can_remove(&fleet.by(0, "a", command).ok(), name);
        assert_eq!(fleet.remote.at(name), "", "{name}");
    }
    assert_eq!(fleet.remote.at(&format!("refs/bus/odd/{commit}")), commit, "nothing is lost");
    others_work(&fleet, &[], "what is kept aside");
    doctor_says(&fleet, "refs/bus/odd/");
}

#[test]
fn a_ref_in_the_place_of_the_folder_of_all_claims_is_moved_aside() {
    let fleet = Fleet::new(Transport::File, 1);
    let [(_, commit), ..] = objects(&fleet.remote);
    fleet.remote.git(&["update-ref", "refs/bus/claims", &commit]);
    says_who_can_remove(&fleet.by(0, "a", &["claim", "X-1"]).ok(), "refs/bus/claims");
    fleet.assert_agreed("X-1");
}

#[test]
fn where_refs_of_the_bus_are_branches_a_branch_in_the_way_stays() {
    let remote = Remote::new(Transport::File);
    let fleet = Fleet::founded(remote, 1, &["--prefix", "refs/heads/bus/"]);
    let [(_, commit), ..] = objects(&fleet.remote);
    fleet.remote.git(&["update-ref", "refs/heads/bus/locks/fix", &commit]);
    let ran = fleet.by(0, "a", &["lock", "acquire", "src/", "--objective", "x"]).exits(5);
    says_who_can_remove(&ran, "refs/heads/bus/locks/fix");
    assert_eq!(fleet.remote.at("refs/heads/bus/locks/fix"), commit);
    others_work(&fleet, &["lock"], "refs/heads/bus/locks/fix");
    doctor_says(&fleet, "refs/heads/bus/locks/fix");
}

#[test]
fn a_claim_that_is_none_stops_only_its_task() {
    let fleet = Fleet::new(Transport::File, 1);
    for (kind, object) in objects(&fleet.remote) {
        let task = format!("X-{}", kind.to_ascii_uppercase());
        let name = format!("refs/bus/claims/{task}");
        fleet.remote.git(&["update-ref", &name, &object]);
        others_work(&fleet, &["session", "report", "watch", "queue", "lock", "gc"], kind);
        doctor_says(&fleet, &name);
        // A commit may be the claim of a newer version; nothing else can be anybody's.
        let claim = fleet.by(0, "a", &["claim", &task]).run();
        assert_eq!(
            claim.status,
            Some(if kind == "commit" { 5 } else { 0 }),
            "{}",
            claim.transcript
        );
        says_who_can_remove(&claim, &name);
        if kind == "commit" {
            fleet.remote.git(&["update-ref", "-d", &name]);
        }
    }
    fleet.by(0, "a", &["sync"]).ok();
}

#[test]
fn a_claim_whose_earlier_state_the_remote_has_lost_stops_only_its_task() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(1, "b", &["claim", "J-1"]).ok();
    fleet.by(1, "b", &["heartbeat", "J-1"]).ok();
    fleet.by(1, "b", &["release", "J-1", "--status", "released"]).ok();
    let first = fleet.remote.git(&["rev-parse", "refs/bus/claims/J-1~1"]).trim().to_owned();
    let path = fleet.remote.path(&format!("objects/{}/{}", &first[..2], &first[2..]));
    assert!(path.exists(), "{}", path.display());
    std::fs::remove_file(path).unwrap();
    others_work(&fleet, &[], "J-1");
    let synced = fleet.by(0, "a", &["sync"]).ok();
    assert!(synced.stderr.contains("refs/bus/claims/J-1"), "{}", synced.transcript);
    doctor_says(&fleet, "refs/bus/claims/J-1");
    let claim = fleet.by(0, "a", &["claim", "J-1"]).exits(5);
    says_who_can_remove(&claim, "refs/bus/claims/J-1");
}

#[test]
fn a_table_of_leases_or_numbers_that_is_none_stops_only_these() {
    let fleet = Fleet::new(Transport::File, 1);
    let [(_, commit), .., (_, blob)] = objects(&fleet.remote);
    for (name, object, but) in [("locks", &commit, "lock"), ("queue", &commit, "queue")] {
        let name = format!("refs/bus/{name}");
        fleet.remote.git(&["update-ref", &name, object]);
        others_work(&fleet, &[but, "session", "report", "watch"], &name);
        doctor_says(&fleet, &name);
        let stopped: &[&str] = if but == "lock" {
            &["lock", "acquire", "a", "--objective", "x"]
        } else {
            &["queue", "add", "x"]
        };
        says_who_can_remove(&fleet.by(0, "a", stopped).exits(5), &name);
        fleet.remote.git(&["update-ref", &name, &blob]);
        says_who_can_remove(&fleet.by(0, "a", stopped).ok(), &name);
    }
}

#[test]
fn an_archive_that_is_none_stops_no_claim_and_the_remote_gets_a_sound_one() {
    let fleet = Fleet::new(Transport::File, 2);
    fleet.by(0, "a", &["claim", "D-1"]).ok();
    fleet.by(0, "a", &["release", "D-1"]).ok();
    fleet.by(0, "a", &["gc", "--apply"]).ok();
    fleet.by(1, "b", &["sync"]).ok();
    for (kind, object) in objects(&fleet.remote) {
        fleet.remote.git(&["update-ref", "refs/bus/archive", &object]);
        let task = format!("X-{kind}");
        says_who_can_remove(&fleet.by(1, "b", &["claim", &task]).ok(), "refs/bus/archive");
        fleet.by(1, "b", &["claim", "D-1"]).fails(3, "task-finished");
        fleet.by(1, "b", &["sync"]).ok();
        assert_eq!(
            fleet.remote.git(&["log", "--format=%an", "-1", "refs/bus/archive"]).trim(),
            "a",
            "{kind}"
        );
    }
    others_work(&fleet, &[], "an archive that came back");
}

#[test]
fn an_odd_ref_of_the_clone_stops_nothing() {
    let fleet = Fleet::new(Transport::File, 1);
    let repo = &fleet.clones[0];
    let commit = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
    for root in ["refs/bus", "refs/bus-remote/origin"] {
        for name in ["claims/O-1/Y", "locks/x", "queue/x", "archive/x", "nobody"] {
            let name = format!("{root}/{name}");
            // The bus has a ref of that name by now, beside which git itself makes no other.
            if repo.try_git_in(&repo.root(), &["update-ref", &name, &commit]).status.success() {
                doctor_says(&fleet, &name);
                others_work(&fleet, &["session", "report", "watch"], &name);
            }
        }
    }
    fleet.by(0, "a", &["doctor", "--fix"]).ok();
}

/// Writes `text` where refs of the clone would be, below each of the roots.
fn assert_nothing_stops(kind: &str, text: impl Fn(&Repo) -> String) {
    let fleet = Fleet::new(Transport::File, 1);
    let text = text(&fleet.clones[0]);
    others_work(&fleet, &[], "before");
    for root in ["refs/bus", "refs/bus-remote/origin"] {
        for name in ["claims/O-1", "locks", "queue", "archive"] {
            fleet.clones[0].write(&format!(".git/{root}/{name}"), &text);
        }
        others_work(
            &fleet,
            &["session", "report", "watch", "status", "gc"],
            &format!("{root}: {kind}"),
        );
    }
    fleet.by(0, "a", &["doctor", "--fix"]).ok();
}

#[test]
fn a_symbolic_ref_of_the_clone_stops_nothing() {
    assert_nothing_stops("symref", |_| "ref: refs/heads/main\n".to_owned());
}

#[test]
fn a_ref_of_the_clone_to_what_is_not_there_stops_nothing() {
    assert_nothing_stops("missing", |_| "1234567890123456789012345678901234567890\n".to_owned());
}

#[test]
fn a_ref_of_the_clone_to_a_tree_stops_nothing() {
    assert_nothing_stops("tree", |repo| repo.git(&["rev-parse", "HEAD^{tree}"]));
}

#[test]
fn an_empty_ref_of_the_clone_stops_nothing() {
    assert_nothing_stops("empty", |_| String::new());
}

#[test]
fn without_a_fleet_an_odd_ref_stops_nothing_either() {
    let repo = Repo::new();
    repo.commit_all("bus");
    let commit = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
    for name in ["claims/X-1/Y", "claims/X-2", "locks/x", "queue/x", "archive/x"] {
        repo.git(&["update-ref", &format!("refs/bus/{name}"), &commit]);
    }
    let found = repo.by("a", &["doctor"]).exits(1);
    assert!(found.stdout.contains("refs/bus/locks/x"), "{}", found.transcript);
    for command in OTHERS.iter().filter(|command| command[0] != "sync") {
        repo.by("a", command).ok();
    }
    repo.by("a", &["claim", "X-1"]).ok();
    repo.by("a", &["claim", "X-2"]).exits(5);
}
