//! Moving over from a bus that version 0.1 wrote (docs/design.md, section 1.3). The fixture is what
//! its binary left behind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Repo, record};

/// The clone that the fixture was made in.
const CLONE: &str = "df106c85b9dd";

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/older/used").join(file)
}

/// The repository of the fixture, and its linked worktree.
fn used() -> (Repo, PathBuf) {
    let repo = Repo::bare_of_bus();
    repo.git_reads(
        &["fast-import", "--quiet", "--force"],
        fs::File::open(fixture("refs.fast-export")).unwrap(),
    );
    repo.git(&["reset", "--quiet", "--hard", "main"]);
    let side = repo.beside("side");
    repo.git(&["worktree", "add", "--quiet", side.to_str().unwrap(), "side"]);
    repo.lay("older/used/main", "");
    repo.lay("older/used/side", "../side");
    repo.lay("older/used/git", ".git");
    // It goes on at the place where it is now.
    let common = fs::canonicalize(repo.path(".git")).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&common).unwrap());
    let host = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
    let place = json!({"clone_id": CLONE, "host": String::from_utf8(host).unwrap().trim(), "inode": inode, "path": common});
    repo.write(".git/bus/clone-id", format!("{place}\n"));
    (repo, side)
}

/// What the readers of 0.1 showed of it.
fn shown_by_01(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(fixture("shown").join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(repo: &Repo, folder: &Path) -> Vec<Value> {
    repo.bus(&["event", "list", "--json"]).within(folder).ok().ndjson()
}

fn messages(repo: &Repo, folder: &Path) -> Vec<Value> {
    repo.bus(&["message", "list", "--json"]).within(folder).ok().ndjson()
}

/// Tasks, owners and states.
fn claims(repo: &Repo, folder: &Path) -> Vec<Value> {
    let status = repo.bus(&["status", "--json"]).within(folder).ok().json();
    let claims = status["claims"].as_array().unwrap().iter();
    let mut claims: Vec<Value> =
        claims.map(|claim| json!([claim["task_id"], claim["agent_id"], claim["status"]])).collect();
    claims.sort_by_key(ToString::to_string);
    claims
}

fn expected_claims() -> Vec<Value> {
    let claims = [
        ("T-1", "a", "active"),
        ("T-3", "b", "active"),
        ("T-4", "a", "done"),
        ("T-6", "c", "paused"),
    ];
    claims.map(|(task, agent, status)| json!([task, agent, status])).into()
}

/// Asserts that readers in `folder` show all that 0.1 has ever acknowledged.
fn shows_all(repo: &Repo, folder: &Path, why: &str) {
    assert_eq!(events(repo, folder), shown_by_01("events.jsonl"), "{why}");
    assert_eq!(messages(repo, folder), shown_by_01("messages.jsonl"), "{why}");
    assert_eq!(claims(repo, folder), expected_claims(), "{why}");
    let inbox = repo.by("boss", &["inbox", "--json"]).within(folder).ok().json();
    assert_eq!(inbox["unread"], 2, "{why}");
    for (task, engineer) in [("T-2", "b"), ("T-5", "a")] {
        let error = repo.by("x", &["claim", task]).within(folder).fails(3, "assigned-elsewhere");
        assert_eq!(error["engineer"], engineer, "{why}");
    }
}

/// A write that changes nothing of what is shown.
fn first_write(repo: &Repo, folder: &Path) {
    repo.by("boss", &["inbox", "--mark-read", "--limit", "1", "--agent", "nobody"])
        .within(folder)
        .ok();
    repo.by("x", &["claim", "T-1"]).within(folder).fails(3, "claim-held");
    assert!(repo.path(".git/bus/log/imported.json").exists());
}

#[test]
fn readers_need_no_step_and_write_nothing() {
    let (repo, side) = used();
    let before = repo.state();
    for folder in [repo.root(), side] {
        let ran = repo.bus(&["status"]).within(&folder).ok();
        assert_eq!(ran.stderr, "");
        // What only the journals have comes with the first write.
        let shown = events(&repo, &folder);
        let only_there = ["taken along by git", "while git held the tree"];
        let expected = shown_by_01("events.jsonl").into_iter();
        let expected: Vec<Value> = expected
            .filter(|event| !only_there.contains(&event["summary"].as_str().unwrap()))
            .collect();
        assert_eq!(shown, expected);
        assert_eq!(claims(&repo, &folder), expected_claims());
        repo.bus(&["validate"]).within(&folder).ok();
        let report = repo.by("boss", &["report", "--json"]).within(&folder).ok().json();
        assert_eq!(report["counts"]["active"], 2);
        repo.bus(&["doctor"]).within(&folder).ok();
    }
    assert_eq!(repo.state(), before);
    assert!(!repo.path(".git/bus/log").exists() && !repo.path(".git/bus/records").exists());
}

#[test]
fn the_first_write_imports_and_then_nothing_depends_on_worktrees_and_journals() {
    let (repo, side) = used();
    first_write(&repo, &repo.root());
    for folder in [&repo.root(), &side] {
        shows_all(&repo, folder, "imported");
    }
    let before = repo.state();
    first_write(&repo, &side);
    assert_eq!(repo.state(), before, "it is done once");
    fs::remove_dir_all(repo.path(".git/bus/journal")).unwrap();
    repo.git(&["worktree", "remove", "--force", side.to_str().unwrap()]);
    repo.git(&["checkout", "--quiet", "--force", "main~1"]);
    repo.git(&["clean", "--quiet", "-fdx"]);
    shows_all(&repo, &repo.root(), "worktree, journals and files are gone");
    // Owners go on. What stands in no file of this branch is not free either.
    repo.by("x", &["claim", "T-6"]).fails(3, "claim-held");
    repo.by("x", &["claim", "T-4"]).fails(3, "task-finished");
    repo.by("a", &["release", "T-1"]).ok();
    repo.by("b", &["claim", "T-3", "--here"]).ok();
    repo.git(&["update-ref", "-d", "refs/bus/claims/T-3"]);
    repo.git(&["update-ref", "-d", "refs/bus/claims/T-6"]);
    repo.by("x", &["claim", "T-3"]).fails(3, "claim-held");
    repo.by("x", &["claim", "T-6"]).fails(3, "claim-held");
    assert_eq!(
        repo.bus(&["doctor", "--json"]).run().json()["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|found| found["name"] != "missing-ref" && found["name"] != "place-gone")
            .count(),
        0
    );
}

#[test]
fn the_clones_own_lines_join_its_record_and_those_of_branches_do_not() {
    let (repo, _) = used();
    first_write(&repo, &repo.root());
    let own: Vec<String> = repo.log_lines();
    // The journals have what this clone wrote.
    for summary in ["taken along by git", "while git held the tree"] {
        assert_eq!(
            own.iter().filter(|line| line.contains(summary)).count(),
            1,
            "{summary}: {own:?}"
        );
    }
    let imported =
        |place: &str, file: &str| repo.read(&format!(".git/bus/log/imported/{place}/_bus/{file}"));
    assert_eq!(
        imported("worktrees/side", "assignments/T-5.json"),
        fs::read_to_string(fixture("side/_bus/assignments/T-5.json")).unwrap()
    );
    for line in own {
        assert!(!imported("main", "events/a.jsonl").contains(&line), "each line is kept once");
    }
}

#[test]
fn an_older_bus_goes_on_for_readers_of_01() {
    let (repo, side) = used();
    first_write(&repo, &repo.root());
    let at = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let lines = |folder: &Path, file: &str| at(folder, file).lines().count();
    let (log, channel) = ("_bus/events/a.jsonl", "_bus/messages/agent-boss.jsonl");
    let before = (lines(&repo.root(), log), lines(&repo.root(), channel));
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "new"]).ok();
    repo.by("a", &["message", "send", "--to", "boss", "--summary", "new"]).ok();
    assert_eq!(
        (lines(&repo.root(), log), lines(&repo.root(), channel)),
        (before.0 + 1, before.1 + 1)
    );
    assert!(at(&repo.root(), log).lines().last().unwrap().contains("\"new\""));
    repo.by("a", &["release", "T-1", "--notes", "x"]).ok();
    assert_eq!(at(&repo.root(), "_bus/claims/T-1.json"), repo.read(&record("claims/T-1.json")));
    repo.by("boss", &["assign", "T-2", "--engineer", "c"]).within(&side).ok();
    assert_eq!(at(&side, "_bus/assignments/T-2.json"), repo.read(&record("assignments/T-2.json")));
    assert!(
        !fs::read_dir(repo.path("_bus/events")).unwrap().any(|entry| entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .contains('@'))
    );
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
}

#[test]
fn what_01_writes_later_is_imported_as_well() {
    let (repo, side) = used();
    first_write(&repo, &repo.root());
    let line = |summary: &str| {
        format!(
            "{{\"agent_id\":\"b\",\"event\":\"note\",\"id\":\"{summary}\",\"summary\":\"{summary}\",\"ts\":\"2026-03-01T11:00:00Z\"}}\n"
        )
    };
    // As 0.1 does it: into the file and into the journal, of which git has taken the one away
    // again.
    let journal = ".git/bus/journal/worktrees/side/recent/events/b.jsonl";
    repo.write(journal, repo.read(journal) + &line("later"));
    fs::write(side.join("_bus/events/b.jsonl"), line("elsewhere")).unwrap();
    repo.by("x", &["claim", "T-1"]).fails(3, "claim-held");
    repo.git(&["worktree", "remove", "--force", side.to_str().unwrap()]);
    let shown = events(&repo, &repo.root());
    for summary in ["later", "elsewhere"] {
        assert_eq!(
            shown.iter().filter(|event| event["summary"] == summary).count(),
            1,
            "{summary}"
        );
    }
    assert_eq!(shown.len(), shown_by_01("events.jsonl").len() + 2);
}

#[cfg(debug_assertions)]
#[test]
fn a_crash_while_importing_doubles_and_loses_nothing() {
    let steps = {
        let (repo, _) = used();
        repo.by("x", &["event", "log", "--event", "note", "--summary", "x"]).steps()
    };
    assert!(steps.iter().any(|step| step == "imported") && steps.len() > 10, "{steps:?}");
    let last = steps.iter().position(|step| step == "imported").unwrap();
    for step in &steps[..=last] {
        let (repo, _) = used();
        let died = repo
            .by("x", &["event", "log", "--event", "note", "--summary", "x"])
            .env("BUS_CRASH_AT", step)
            .run();
        assert_eq!(died.status, None, "{step}: {}", died.transcript);
        first_write(&repo, &repo.root());
        shows_all(&repo, &repo.root(), step);
        let mut lines = repo.log_lines();
        let imported = walkdir::WalkDir::new(repo.path(".git/bus/log/imported"))
            .into_iter()
            .map(Result::unwrap);
        let logs =
            imported.filter(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"));
        lines.extend(logs.flat_map(|log| {
            fs::read_to_string(log.path()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        }));
        lines.retain(|line| line.contains("\"event\""));
        let count = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), count, "each line is kept once, after a crash at {step}");
    }
}

/// The fixture, moved over, with what `init` laid out committed.
fn moved() -> (Repo, PathBuf) {
    let (repo, side) = used();
    let printed = repo.bus(&["init", "--untracked"]).ok();
    let printed = printed.says(
        "update `bus` in CI before you push this: version 0.1 refuses a policy with [records]",
    );
    assert!(
        printed
            .says("records that are committed stay and are still read")
            .stdout
            .contains("records: untracked (as you asked)")
    );
    repo.commit_all("untracked");
    (repo, side)
}

#[test]
fn init_untracked_moves_over_and_committed_records_are_frozen() {
    let (repo, side) = moved();
    let changed = repo.git(&["show", "--name-only", "--format=", "HEAD", "--", "_bus"]);
    let laid = ["_bus/.gitignore", "_bus/README.md", "_bus/config.toml"];
    assert_eq!(changed.lines().collect::<Vec<_>>(), laid, "no record file is changed or taken out");
    for folder in [&repo.root(), &side] {
        shows_all(&repo, folder, "moved");
    }
    // New records change no file that git knows.
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "new"]).ok();
    repo.by("a", &["message", "send", "--to", "boss", "--summary", "new"]).ok();
    repo.by("boss", &["assign", "T-2", "--engineer", "c"]).ok();
    repo.by("a", &["release", "T-1"]).ok();
    repo.by("d", &["claim", "T-9"]).ok();
    assert_eq!(repo.status_of(&repo.root()), "");
    assert!(repo.path("_bus/claims/T-9.json").exists(), "a copy that git ignores");
    // What is frozen is read from where it was imported, whatever the files say now.
    let (all, claims) = (events(&repo, &repo.root()), claims(&repo, &repo.root()));
    assert_eq!(all.len(), shown_by_01("events.jsonl").len() + 4);
    for file in [
        "_bus/events/a.jsonl",
        "_bus/messages/agent-boss.jsonl",
        "_bus/claims/T-4.json",
        "_bus/assignments/T-2.json",
    ] {
        repo.write(file, "{\n");
    }
    fs::remove_file(repo.path("_bus/claims/T-1.json")).unwrap();
    let ran = repo.bus(&["event", "list", "--json"]).ok();
    assert_eq!((ran.ndjson(), ran.stderr.as_str()), (all, ""));
    assert_eq!(self::claims(&repo, &repo.root()), claims);
    repo.by("x", &["claim", "T-2"]).fails(3, "assigned-elsewhere");
    repo.git(&["checkout", "--quiet", "--", "_bus"]);
    repo.bus(&["doctor"]).ok();
}

#[test]
fn once_no_branch_changes_them_committed_records_can_go() {
    let (repo, side) = moved();
    let advice = |ran: super::harness::Ran| format!("{}{}", ran.stdout, ran.stderr);
    assert!(advice(repo.bus(&["doctor"]).ok()).contains("`side`"), "a branch changes them");
    repo.git(&["worktree", "remove", "--force", side.to_str().unwrap()]);
    repo.git(&["branch", "--quiet", "-D", "side"]);
    // The owners of two claims worked in the worktree that is gone.
    let said = advice(repo.bus(&["doctor"]).exits(1));
    let line = said
        .split('`')
        .find(|text| text.starts_with("git rm -r --cached "))
        .unwrap_or_else(|| panic!("{said}"));
    repo.git(&line.split(' ').skip(1).collect::<Vec<_>>());
    repo.commit_all("records go");
    assert_eq!(
        repo.git(&["ls-files", "_bus"]),
        "_bus/.gitignore\n_bus/README.md\n_bus/config.toml\n"
    );
    shows_all(&repo, &repo.root(), "committed records are gone");
}

/// A clone of the fixture after it has moved over, whose branch says what no target has said.
fn clone_with_a_hostile_branch(repo: &Repo) -> PathBuf {
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
    repo.git_in(&clone, &["switch", "--quiet", "--create", "agent/z/x"]);
    let put = |file: &str, text: &str| {
        let path = clone.join(file);
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, if file.ends_with(".jsonl") { before + text } else { text.to_owned() })
            .unwrap();
    };
    put(
        "_bus/events/a.jsonl",
        "{\"agent_id\":\"a\",\"event\":\"note\",\"summary\":\"forged\",\"ts\":\"2026-03-01T10:20:00Z\"}\n",
    );
    put(
        "_bus/messages/agent-boss.jsonl",
        "{\"from\":\"a\",\"summary\":\"forged\",\"to\":\"boss\",\"ts\":\"2026-03-01T10:20:00Z\",\"type\":\"note\"}\n",
    );
    let claim = fs::read_to_string(clone.join("_bus/claims/T-1.json")).unwrap();
    put(
        "_bus/claims/T-1.json",
        &claim
            .replace("\"agent_id\": \"a\"", "\"agent_id\": \"z\"")
            .replace("\"revision\": 1", "\"revision\": 7"),
    );
    put(
        "_bus/assignments/T-2.json",
        "{\"assigned_at\":\"2026-03-01T10:21:00Z\",\"engineer\":\"z\",\"manager\":\"z\",\"task_id\":\"T-2\"}\n",
    );
    repo.commit_all_in(&clone, "forged");
    clone
}

#[test]
fn a_fresh_clone_reads_and_imports_the_targets_commit_and_not_its_branch() {
    let (repo, _) = moved();
    for writes_first in [false, true] {
        let clone = clone_with_a_hostile_branch(&repo);
        if writes_first {
            repo.by("y", &["event", "log", "--event", "note", "--summary", "mine"])
                .within(&clone)
                .ok();
            assert!(clone.join(".git/bus/log/imported/target/_bus/events/a.jsonl").exists());
        }
        // Before that, and after the branch that had it is gone.
        for round in 0..2 {
            let shown: Vec<Value> = events(&repo, &clone)
                .into_iter()
                .filter(|event| event["agent_id"] != "y")
                .collect();
            let summaries: Vec<&str> =
                shown.iter().map(|event| event["summary"].as_str().unwrap()).collect();
            assert!(
                summaries.contains(&"committed") && !summaries.contains(&"forged"),
                "{round}: {summaries:?}"
            );
            let inbox = repo.by("boss", &["inbox", "--json"]).within(&clone).ok().json();
            assert_eq!(
                (&inbox["unread"], &inbox["messages"][0]["summary"]),
                (&json!(1), &json!("committed")),
                "{round}"
            );
            assert_eq!(
                claims(&repo, &clone),
                [json!(["T-1", "a", "active"]), json!(["T-4", "a", "done"])],
                "{round}"
            );
            let error = repo.by("x", &["claim", "T-1"]).within(&clone).fails(3, "claim-held");
            assert_eq!(error["owner"], "a");
            assert_eq!(
                repo.by("z", &["claim", "T-2"]).within(&clone).fails(3, "assigned-elsewhere")["engineer"],
                "b"
            );
            repo.by("x", &["claim", "T-4"]).within(&clone).fails(3, "task-finished");
        }
        fs::remove_dir_all(clone).unwrap();
    }
}

#[test]
fn leases_of_01_are_imported_once_from_the_targets_commit() {
    let (repo, _) = moved();
    let clone = clone_with_a_hostile_branch(&repo);
    let leases = || {
        repo.bus(&["lock", "list", "--json"]).within(&clone).ok().json()["leases"]
            .as_array()
            .unwrap()
            .len()
    };
    let take =
        |path: &str| repo.by("x", &["lock", "acquire", path, "--objective", "y"]).within(&clone);
    let lease = fs::read_dir(clone.join("_bus/locks")).unwrap().next().unwrap().unwrap().path();
    let forged =
        fs::read_to_string(&lease).unwrap().replace("src/**", "docs/**").replace("L-", "L-z");
    fs::write(clone.join("_bus/locks/L-zzzzzzz.json"), forged).unwrap();
    fs::remove_file(&lease).unwrap();
    assert_eq!(leases(), 1);
    take("src/x").fails(3, "lock-held");
    take("docs/x").ok();
    assert_eq!(leases(), 2, "nobody reads the folder after that");
    assert!(!clone.join("_bus/locks").join(lease.file_name().unwrap()).exists());
}

#[test]
fn init_tracked_is_the_way_back() {
    let (repo, side) = moved();
    repo.by(
        "a",
        &["event", "log", "--event", "status", "--task", "T-1", "--summary", "while untracked"],
    )
    .ok();
    let (all, said, owned) =
        (events(&repo, &repo.root()), messages(&repo, &repo.root()), claims(&repo, &repo.root()));
    let printed = repo.bus(&["init", "--tracked"]).ok().stdout;
    assert!(printed.contains("records: tracked (as you asked)"), "{printed}");
    assert!(!repo.path("_bus/.gitignore").exists());
    assert!(repo.read("_bus/config.toml").contains("\ntracked = true\n"));
    let unchanged = || {
        (events(&repo, &repo.root()), messages(&repo, &repo.root()), claims(&repo, &repo.root()))
    };
    assert_eq!(unchanged(), (all.clone(), said.clone(), owned.clone()));
    repo.by("a", &["export"]).ok();
    repo.commit_all("tracked");
    assert_eq!(unchanged(), (all.clone(), said, owned));
    // A clone of the branch has what its agent exported.
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
    let mut there = events(&repo, &clone);
    // They came with a branch, which is shown.
    there.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("worktree")));
    let own = all.iter().filter(|event| event["agent_id"] == "a");
    assert_eq!(own.clone().count(), 8);
    own.for_each(|event| {
        assert_eq!(there.iter().filter(|known| *known == event).count(), 1, "{event}")
    });
    repo.by("a", &["release", "T-1"]).ok();
    assert_eq!(
        repo.read("_bus/claims/T-1.json"),
        repo.read(&record("claims/T-1.json")),
        "files of the branch follow again"
    );
    assert!(
        fs::read_dir(repo.path("_bus/events")).unwrap().any(|entry| entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("a@"))
    );
    repo.by("b", &["release", "T-3"]).within(&side).ok();
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
    // And forth once more.
    repo.commit_all("work");
    repo.bus(&["init", "--untracked"]).ok();
    repo.commit_all("untracked again");
    repo.by("d", &["claim", "T-9"]).ok();
    assert_eq!(repo.status_of(&repo.root()), "");
    assert_eq!(events(&repo, &repo.root()).len(), all.len() + 3 + 1);
}

#[test]
fn init_tracked_moves_over_as_well() {
    let (repo, side) = used();
    repo.bus(&["init", "--tracked"]).ok().says("update `bus` in CI before you push this");
    let attributes = repo.read(".gitattributes");
    assert!(
        attributes.contains("_bus/**/*.jsonl text eol=lf\n") && !attributes.contains("merge=union"),
        "{attributes}"
    );
    repo.commit_all("tracked");
    for folder in [&repo.root(), &side] {
        shows_all(&repo, folder, "moved");
    }
    // From now on lines come in batches, and no file of 0.1's log grows.
    let log = repo.read("_bus/events/a.jsonl");
    repo.by("a", &["event", "log", "--event", "status", "--task", "T-1", "--summary", "new"]).ok();
    repo.by("a", &["release", "T-1"]).ok();
    assert_eq!(repo.read("_bus/events/a.jsonl"), log);
    assert!(repo.status_of(&repo.root()).contains("?? _bus/events/a@"));
    repo.bus(&["validate"]).ok();
    repo.bus(&["doctor"]).ok();
}
