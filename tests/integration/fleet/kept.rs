//! A clone's own log outlives what becomes of its disk and of the remote: it is read back,
//! published again, or left to a twin.

use std::fs;

use serde_json::Value;

use super::rig::Fleet;
use super::server::Transport;

fn fleet() -> Fleet {
    Fleet::new(Transport::File, 2)
}

fn note(fleet: &Fleet, clone: usize, summary: &str) {
    fleet.by(clone, "a", &["event", "log", "--event", "note", "--summary", summary]).ok();
}

fn summaries(fleet: &Fleet, clone: usize) -> Vec<String> {
    let events = fleet.by(clone, "a", &["event", "list", "--json"]).ok().ndjson();
    events.iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
}

/// The id by which a clone goes now.
pub(super) fn id_of(fleet: &Fleet, clone: usize) -> String {
    let text = fleet.clones[clone].read(".git/bus/clone-id");
    let entry: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    entry["clone_id"].as_str().unwrap().to_owned()
}

/// The name of its log.
fn log_of(fleet: &Fleet, clone: usize) -> String {
    format!("refs/bus/log/{}", id_of(fleet, clone))
}

fn rewritten(fleet: &Fleet, clone: usize) -> Vec<String> {
    let status = fleet.by(clone, "a", &["status", "--json"]).ok().json();
    status["rewritten_logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|log| log["clone"].as_str().unwrap().to_owned())
        .collect()
}

/// Puts a commit of somebody's, with the tree of `tree`, in the place of a log on the remote.
fn force(fleet: &Fleet, name: &str, tree: &str) {
    let author = ["-c", "user.name=x", "-c", "user.email=x@example.invalid"];
    let tree = format!("{tree}^{{tree}}");
    let forced = fleet.remote.git(&[&author[..], &["commit-tree", &tree, "-m", "forced"]].concat());
    fleet.remote.git(&["update-ref", name, forced.trim()]);
}

#[test]
fn a_record_that_was_lost_comes_back_from_the_own_log() {
    for also_the_ref in [false, true] {
        let fleet = fleet();
        note(&fleet, 0, "first");
        fleet.by(0, "a", &["message", "send", "--to", "a", "--summary", "to myself"]).ok();
        fleet.by(0, "boss", &["assign", "T-1", "--engineer", "a"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        fs::remove_dir_all(fleet.clones[0].path(".git/bus/log")).unwrap();
        if also_the_ref {
            fleet.clones[0].git(&["update-ref", "-d", &log_of(&fleet, 0)]);
            fs::remove_dir_all(fleet.clones[0].path(".git/bus/exchange")).unwrap();
        }
        note(&fleet, 0, "second");
        fleet.by(0, "a", &["sync"]).ok().says("they are back");
        let mut all = summaries(&fleet, 0);
        all.sort();
        assert_eq!(all, ["first", "second"]);
        assert_eq!(
            fleet.by(0, "a", &["inbox", "--json"]).ok().json()["messages"][0]["summary"],
            "to myself"
        );
        fleet.by(0, "c", &["claim", "T-1"]).fails(3, "assigned-elsewhere");
        fleet.by(1, "b", &["sync"]).ok();
        assert_eq!(summaries(&fleet, 1).len(), 2, "and nobody has it twice");
        let silent = fleet.by(0, "a", &["sync"]).ok();
        assert!(!silent.stderr.contains("back"), "{}", silent.transcript);
    }
}

#[test]
fn a_log_that_was_rewritten_is_reported_until_it_is_accepted_and_no_line_is_lost() {
    let fleet = fleet();
    note(&fleet, 0, "first");
    fleet.by(0, "a", &["sync"]).ok();
    note(&fleet, 0, "second");
    fleet.by(0, "a", &["sync"]).ok();
    fleet.by(1, "b", &["sync"]).ok();
    let (name, id) = (log_of(&fleet, 0), id_of(&fleet, 0));
    force(&fleet, &name, &format!("{name}~1"));
    let synced = fleet.by(1, "b", &["sync", "--json"]).ok().says("log-rewritten").json();
    assert_eq!(synced["rewritten_logs"][0]["code"], "log-rewritten");
    assert_eq!(summaries(&fleet, 1), ["first", "second"]);
    for _ in 0..2 {
        assert_eq!(rewritten(&fleet, 1), std::slice::from_ref(&id));
        fleet
            .by(1, "b", &["status"])
            .ok()
            .says("log-rewritten")
            .says(&format!("bus doctor --accept-log {id}"));
        let found = fleet.by(1, "b", &["doctor", "--json"]).exits(1).json();
        assert_eq!(
            (&found["findings"][0]["name"], &found["findings"][0]["place"]),
            (&"log-rewritten".into(), &Value::from(id.as_str()))
        );
        fleet.by(1, "b", &["doctor", "--fix"]).exits(1);
        fleet.by(1, "b", &["sync"]).ok().says("log-rewritten");
    }
    let accepted = fleet.by(1, "b", &["doctor", "--accept-log", &id, "--json"]).ok().json();
    assert_eq!(accepted["accepted"], true);
    fleet.by(1, "b", &["doctor"]).ok();
    let silent = fleet.by(1, "b", &["sync"]).ok();
    assert!(!silent.stderr.contains("log-rewritten"), "{}", silent.transcript);
    assert_eq!(rewritten(&fleet, 1), Vec::<String>::new());
}

#[test]
fn a_clone_whose_log_was_rewritten_publishes_it_again_with_what_was_put_in_its_place_as_second_parent()
 {
    for with_claim in [false, true] {
        let fleet = fleet();
        note(&fleet, 0, "first");
        fleet.by(0, "a", &["sync"]).ok();
        note(&fleet, 0, "second");
        fleet.by(0, "a", &["sync"]).ok();
        let name = log_of(&fleet, 0);
        let before = fleet.remote.at(&name);
        force(&fleet, &name, &format!("{name}~1"));
        let forced = fleet.remote.at(&name);
        note(&fleet, 0, "third");
        let command = if with_claim { vec!["claim", "T-1"] } else { vec!["sync"] };
        fleet.by(0, "a", &command).ok();
        let merge = fleet.remote.git(&["rev-list", "--merges", "--parents", "-1", &name]);
        let parents: Vec<&str> = merge.split_whitespace().skip(1).collect();
        assert_eq!(parents.len(), 2, "{merge}");
        assert_eq!(parents[1], forced, "the remote's is the second parent");
        assert!(fleet.remote.git(&["rev-list", parents[0]]).contains(&before), "{merge}");
        assert_eq!(rewritten(&fleet, 0), [id_of(&fleet, 0)], "with a claim: {with_claim}");
        fleet.by(1, "b", &["sync"]).ok();
        assert_eq!(summaries(&fleet, 1)[..3], ["first", "second", "third"]);
        assert_eq!(summaries(&fleet, 0)[..3], ["first", "second", "third"]);
    }
}

#[test]
fn a_server_that_was_set_back_gets_what_it_lacks_and_that_is_reported() {
    let fleet = fleet();
    note(&fleet, 0, "first");
    fleet.by(0, "a", &["sync"]).ok();
    let (name, old) = (log_of(&fleet, 0), fleet.remote.at(&log_of(&fleet, 0)));
    note(&fleet, 0, "second");
    fleet.by(0, "a", &["sync"]).ok();
    let new = fleet.remote.at(&name);
    fleet.by(1, "b", &["sync"]).ok();
    fleet.remote.git(&["update-ref", &name, &old]);
    for clone in [1, 0] {
        fleet.by(clone, "b", &["sync"]).ok().says("log-rewritten");
    }
    assert_eq!(fleet.remote.at(&name), new);
    assert_eq!(summaries(&fleet, 1), ["first", "second"]);
}

/// Sets the private folder of the first clone, which keeps its path and its inode, back to how it
/// was when `save` was called.
struct Backup(std::path::PathBuf);

impl Backup {
    fn save(fleet: &Fleet) -> Self {
        let place = fleet.clones[0].beside("backup");
        copy(&fleet.clones[0].path(".git"), &place);
        Self(place)
    }

    fn restore(&self, fleet: &Fleet) {
        let git = fleet.clones[0].path(".git");
        for entry in fs::read_dir(&git).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap()
            } else {
                fs::remove_file(path).unwrap()
            }
        }
        copy(&self.0, &git);
    }
}

pub(super) fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

#[test]
fn a_clone_whose_id_somebody_else_goes_on_with_takes_a_new_one() {
    for command in [&["claim", "T-3"][..], &["sync"]] {
        let fleet = fleet();
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        let backup = Backup::save(&fleet);
        fleet.by(0, "a", &["claim", "T-2"]).ok();
        fleet.by(0, "a", &["sync"]).ok();
        let old = id_of(&fleet, 0);
        let theirs = fleet.remote.at(&log_of(&fleet, 0));
        backup.restore(&fleet);
        note(&fleet, 0, "of the twin");
        let ran =
            fleet.by(0, "a", command).ok().says(&format!("goes on with this clone's id {old}"));
        let new = id_of(&fleet, 0);
        assert!(old != new && ran.stderr.contains(&new), "{}", ran.transcript);
        assert_eq!(
            fleet.remote.at(&format!("refs/bus/log/{old}")),
            theirs,
            "the other one's log is left alone"
        );
        fleet.by(0, "a", &["sync"]).ok();
        fleet.by(0, "a", &["claim", "T-1"]).fails(3, "claim-held-elsewhere");
        fleet.by(0, "a", &["claim", "T-1", "--here"]).ok();
        fleet.assert_agreed("T-1");
        fleet.by(1, "b", &["sync"]).ok();
        for clone in [0, 1] {
            let all = summaries(&fleet, clone);
            assert!(all.contains(&"of the twin".to_owned()), "{all:?}");
            assert_eq!(
                all.iter().filter(|summary| *summary == "claimed").count(),
                if command[0] == "claim" { 3 } else { 2 }
            );
        }
        assert_eq!(rewritten(&fleet, 1), Vec::<String>::new());
        let silent = fleet.by(0, "a", &["sync"]).ok();
        assert!(!silent.stderr.contains("goes on with"), "{}", silent.transcript);
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_clone_that_dies_at_any_step_of_publishing_keeps_its_id() {
    for (step, command) in [
        ("log-written", &["sync"][..]),
        ("log-published", &["sync"]),
        ("claims-pushed", &["sync"]),
        ("pushed", &["claim", "T-2"]),
        ("own-log-adopted", &["sync"]),
    ] {
        let fleet = fleet();
        note(&fleet, 0, "first");
        fleet.by(0, "a", &["claim", "T-1"]).ok();
        note(&fleet, 0, "second");
        let id = id_of(&fleet, 0);
        if step == "own-log-adopted" {
            let path = super::rig::path_with_git(
                &fleet.clones[0],
                "case \" $* \" in *' push '*) \"$git\" \"$@\"; exit 128;; esac\nexec \"$git\" \"$@\"\n",
            );
            fleet
                .by(0, "a", &["message", "send", "--to", "b", "--summary", "x"])
                .env("PATH", &path)
                .ok();
        }
        let died = fleet.by(0, "a", command).env("BUS_CRASH_AT", step).run();
        assert_eq!(died.status, None, "{step} is never reached: {}", died.transcript);
        fleet.clones[0].git(&["update-ref", "-d", &log_of(&fleet, 0)]);
        note(&fleet, 0, "third");
        fleet.by(0, "a", &["sync"]).ok();
        assert_eq!(id_of(&fleet, 0), id, "{step}");
        fleet.by(1, "b", &["sync"]).ok();
        let all = summaries(&fleet, 1);
        for summary in ["first", "second", "third"] {
            assert_eq!(all.iter().filter(|known| *known == summary).count(), 1, "{step}: {all:?}");
        }
        assert_eq!(rewritten(&fleet, 1), Vec::<String>::new(), "{step}");
    }
}

#[test]
fn a_copied_folder_gets_an_id_of_its_own() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    let old = id_of(&fleet, 0);
    let place = fleet.clones[0].beside("copy");
    copy(&fleet.clones[0].root(), &place);
    fleet.by(0, "a", &["claim", "T-1"]).within(&place).fails(3, "claim-held-elsewhere");
    fleet.by(0, "a", &["claim", "T-2"]).within(&place).ok();
    assert_eq!(fleet.clones[0].tip("T-1")["origin"], old);
    fleet.by(0, "a", &["heartbeat", "T-1"]).ok();
    assert_eq!(id_of(&fleet, 0), old);
}

#[test]
fn a_host_with_another_name_is_the_same_clone() {
    let fleet = fleet();
    fleet.by(0, "a", &["claim", "T-1"]).ok();
    let place = ".git/bus/clone-id";
    let text = fleet.clones[0].read(place);
    let mut entry: Value = serde_json::from_str(text.trim()).unwrap();
    entry["host"] = "another".into();
    fleet.clones[0].write(place, format!("{entry}\n"));
    fleet.by(0, "a", &["heartbeat", "T-1"]).ok();
    fleet.by(0, "a", &["release", "T-1"]).ok();
    fleet.by(0, "a", &["doctor"]).ok();
}
