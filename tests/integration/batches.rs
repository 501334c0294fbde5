//! Batches: what a tracked bus has of the log in branches. No two branches append to one file, and
//! none that is in a commit changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::dice::Dice;
use super::harness::{Repo, record};

fn note(repo: &Repo, folder: &Path, agent: &str, summary: &str) {
    repo.by(agent, &["event", "log", "--event", "note", "--summary", summary]).within(folder).ok();
}

fn export(repo: &Repo, folder: &Path, agent: &str) -> Vec<String> {
    let files = repo.by(agent, &["export", "--json"]).within(folder).ok().json()["files"].clone();
    files.as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect()
}

/// The lines of the batches of `agent` in a worktree, each as often as it is there.
fn lines(folder: &Path, agent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for stream in ["events", "messages"] {
        let files = fs::read_dir(folder.join("_bus").join(stream))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap());
        for file in files
            .filter(|file| file.file_name().to_str().unwrap().starts_with(&format!("{agent}@")))
        {
            lines.extend(fs::read_to_string(file.path()).unwrap().lines().map(str::to_owned));
        }
    }
    lines.sort();
    lines
}

/// What the record has of `agent`.
fn recorded(repo: &Repo, agent: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        repo.read(&record(&format!("events/{agent}.jsonl"))).lines().map(str::to_owned).collect();
    let channels = fs::read_dir(repo.path(&record("messages")))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap());
    for channel in channels {
        let text = fs::read_to_string(channel.path()).unwrap();
        lines.extend(
            text.lines()
                .filter(|line| line.contains(&format!("\"from\":\"{agent}\"")))
                .map(str::to_owned),
        );
    }
    lines.sort();
    lines
}

#[test]
fn a_batch_has_the_lines_of_one_agent_and_takes_more_until_head_moves() {
    let repo = Repo::tracked();
    let root = repo.root();
    note(&repo, &root, "a", "one");
    note(&repo, &root, "b", "another's");
    repo.by("a", &["message", "send", "--to", "b", "--summary", "hello"]).ok();
    let files = export(&repo, &root, "a");
    let batch =
        files[0].strip_prefix("_bus/events/a@").unwrap().strip_suffix(".jsonl").unwrap().to_owned();
    assert!(
        batch.len() == 12
            && batch.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()),
        "{batch}"
    );
    assert_eq!(
        files,
        [format!("_bus/events/a@{batch}.jsonl"), format!("_bus/messages/a@{batch}.jsonl")]
    );
    assert_eq!(lines(&root, "a"), recorded(&repo, "a"));
    assert_eq!(lines(&root, "b"), [""; 0]);
    assert_eq!(export(&repo, &root, "a"), [""; 0], "nothing new");
    note(&repo, &root, "a", "two");
    assert_eq!(export(&repo, &root, "a"), files[..1], "the same file takes it");
    repo.commit_all("one");
    note(&repo, &root, "a", "three");
    let next = export(&repo, &root, "a");
    assert!(next.len() == 1 && !files.contains(&next[0]), "{next:?}");
    assert_eq!((lines(&root, "a"), lines(&root, "a").len()), (recorded(&repo, "a"), 4));
}

#[test]
fn release_and_the_end_of_a_session_write_them() {
    let repo = Repo::tracked();
    repo.by("a", &["claim", "T-1"]).ok();
    note(&repo, &repo.root(), "a", "x");
    assert_eq!(lines(&repo.root(), "a"), [""; 0]);
    repo.by("a", &["release", "T-1"]).ok();
    assert_eq!(
        (lines(&repo.root(), "a").len(), lines(&repo.root(), "a")),
        (3, recorded(&repo, "a"))
    );
    repo.by("a", &["session", "start", "--no-fetch"]).ok();
    repo.by("a", &["session", "end"]).ok();
    assert_eq!(
        (lines(&repo.root(), "a").len(), lines(&repo.root(), "a")),
        (5, recorded(&repo, "a"))
    );
    for repo in [Repo::new(), Repo::older()] {
        note(&repo, &repo.root(), "a", "x");
        repo.by("a", &["export"]).ok().says(
            "only a bus that `bus init --tracked` has made keeps records in files of branches",
        );
        assert_eq!(lines(&repo.root(), "a"), [""; 0]);
    }
}

#[test]
fn a_batch_that_is_gone_before_a_commit_is_written_again() {
    let repo = Repo::tracked();
    let root = repo.root();
    note(&repo, &root, "a", "one");
    export(&repo, &root, "a");
    repo.commit_all("one");
    for (round, way) in
        [&["clean", "--quiet", "-fdx"][..], &["stash", "--quiet", "--include-untracked"]]
            .into_iter()
            .enumerate()
    {
        let committed = lines(&root, "a");
        note(&repo, &root, "a", &format!("round {round}"));
        repo.by("a", &["message", "send", "--to", "b", "--summary", "hello"]).ok();
        let before = export(&repo, &root, "a");
        assert_eq!(before.len(), 2);
        repo.git(way);
        assert_eq!(lines(&root, "a"), committed, "{way:?}");
        note(&repo, &root, "a", "and more");
        export(&repo, &root, "a");
        let lines = lines(&root, "a");
        assert_eq!(lines, recorded(&repo, "a"), "{way:?}: each line once");
        // One of the two files is enough to be missed.
        fs::remove_file(root.join(export_file(&root, "messages"))).unwrap();
        export(&repo, &root, "a");
        let mut again = self::lines(&root, "a");
        again.dedup();
        assert_eq!(again, lines, "{way:?}");
        repo.git(&["clean", "--quiet", "-fdx"]);
        export(&repo, &root, "a");
        repo.commit_all("round");
        assert_eq!(self::lines(&root, "a"), recorded(&repo, "a"), "{way:?}");
        repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
        export(&repo, &root, "a");
        repo.commit_all("rest");
    }
}

/// A file of a stream that no commit has.
fn export_file(root: &Path, stream: &str) -> String {
    let mut command = std::process::Command::new("git");
    let done = command
        .current_dir(root)
        .args(["ls-files", "--others", &format!("_bus/{stream}")])
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap().lines().next().unwrap().to_owned()
}

#[cfg(debug_assertions)]
#[test]
fn a_crash_doubles_nothing_and_loses_nothing() {
    let stage = || {
        let repo = Repo::tracked();
        for round in ["one", "two"] {
            note(&repo, &repo.root(), "a", round);
            repo.by("a", &["message", "send", "--to", "b", "--summary", round]).ok();
        }
        repo
    };
    // Into a new batch, and into one that is there.
    for has_batch in [false, true] {
        let stage = || {
            let repo = stage();
            if has_batch {
                export(&repo, &repo.root(), "a");
                note(&repo, &repo.root(), "a", "three");
                repo.by("a", &["message", "send", "--to", "b", "--summary", "three"]).ok();
            }
            repo
        };
        let steps = stage().by("a", &["export"]).steps();
        assert!(
            ["line-appended", "line-appended@2", "batch-written"]
                .iter()
                .all(|step| steps.iter().any(|known| known == step)),
            "{steps:?}"
        );
        for step in &steps {
            for commits in [false, true] {
                let repo = stage();
                let root = repo.root();
                assert_eq!(
                    repo.by("a", &["export"]).env("BUS_CRASH_AT", step).run().status,
                    None,
                    "{step}"
                );
                if commits {
                    repo.commit_all("what the crash left");
                }
                note(&repo, &root, "a", "after");
                export(&repo, &root, "a");
                let why = format!(
                    "after a crash at {step} of {steps:?}, with a commit: {commits}, into a batch: {has_batch}"
                );
                assert_eq!(lines(&root, "a"), recorded(&repo, "a"), "{why}");
                let left = walkdir::WalkDir::new(root.join("_bus")).into_iter().map(Result::unwrap);
                assert!(
                    left.into_iter().all(|entry| !entry
                        .file_name()
                        .to_str()
                        .unwrap()
                        .ends_with(".tmp")),
                    "{why}"
                );
                repo.commit_all("rest");
                never_changes(&repo);
            }
        }
    }
}

/// Asserts that each batch says the same in all commits that have it, and that it is one agent's.
fn never_changes(repo: &Repo) {
    let mut blobs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for commit in repo.git(&["rev-list", "--all", "--", "_bus"]).lines() {
        for line in repo.git(&["ls-tree", "-r", commit, "_bus/events", "_bus/messages"]).lines() {
            let (about, path) = line.split_once('\t').unwrap();
            blobs.entry(path.to_owned()).or_default().insert(about.to_owned());
        }
    }
    assert!(blobs.keys().any(|path| path.contains('@')), "{blobs:?}");
    for (path, blobs) in blobs.iter().filter(|(path, _)| path.contains('@')) {
        assert_eq!(blobs.len(), 1, "{path} was changed");
    }
}

#[test]
fn no_two_branches_of_one_agent_conflict() {
    let repo = Repo::tracked();
    let root = repo.root();
    let linked = repo.worktree("linked");
    for branch in ["x", "y", "z"] {
        repo.git(&["switch", "--quiet", "--create", branch, "main"]);
        note(&repo, &root, "a", &format!("on {branch}"));
        repo.by("a", &["message", "send", "--to", "b", "--summary", branch]).ok();
        export(&repo, &root, "a");
        repo.commit_all(branch);
        note(&repo, &linked, "a", &format!("beside {branch}"));
        export(&repo, &linked, "a");
        repo.commit_all_in(&linked, branch);
        repo.by("a", &["claim", branch]).ok();
        repo.by("a", &["release", branch]).ok();
        repo.commit_all("task");
    }
    let branches = ["x", "y", "z", "linked"];
    for (index, one) in branches.iter().enumerate() {
        for other in &branches[index + 1..] {
            repo.git(&["merge-tree", "--write-tree", one, other]);
        }
    }
    never_changes(&repo);
    repo.git(&["switch", "--quiet", "main"]);
    for branch in branches {
        repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge", branch]);
    }
    assert_eq!(lines(&root, "a"), recorded(&repo, "a"), "merged, they are the record");
    repo.git(&["worktree", "remove", "--force", linked.to_str().unwrap()]);
    // A clone of the target shows the same, and where it has it from.
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", root.to_str().unwrap(), clone.to_str().unwrap()]);
    let shown = |folder: &Path| {
        let list = |what: &str| repo.bus(&[what, "list", "--json"]).within(folder).ok().ndjson();
        let mut shown = [list("event"), list("message")].concat();
        let mut places: BTreeSet<String> = BTreeSet::new();
        for line in &mut shown {
            let place = line.as_object_mut().unwrap().remove("worktree");
            places.extend(place.map(|place| place.as_str().unwrap().to_owned()));
        }
        let mut shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
        shown.sort();
        (shown, places)
    };
    let (here, there) = (shown(&root), shown(&clone));
    assert_eq!(here.0, there.0);
    assert_eq!((here.1, there.1), (BTreeSet::new(), BTreeSet::from([clone.display().to_string()])));
}

#[test]
fn whatever_is_done_with_branches_nothing_conflicts_and_no_batch_changes() {
    for seed in 1..4 {
        let mut dice = Dice::new(seed);
        let repo = Repo::tracked();
        let root = repo.root();
        let branches = ["main", "x", "y"];
        ["x", "y"].iter().for_each(|branch| drop(repo.git(&["branch", branch])));
        for turn in 0..30 {
            match dice.below(7) {
                0 => note(&repo, &root, "a", &format!("{turn}")),
                1 => drop(
                    repo.by("a", &["message", "send", "--to", "b", "--summary", &turn.to_string()])
                        .ok(),
                ),
                2 | 3 => drop(export(&repo, &root, "a")),
                4 => repo.commit_all("work"),
                5 => drop(repo.git(&["switch", "--quiet", dice.pick::<&str>(&branches)])),
                _ => {
                    repo.commit_all("before a merge");
                    repo.git(&["merge", "--quiet", "--no-edit", dice.pick::<&str>(&branches)]);
                }
            }
        }
        repo.commit_all("rest");
        for branch in branches {
            repo.git(&["merge", "--quiet", "--no-edit", branch]);
        }
        export(&repo, &root, "a");
        repo.commit_all("all");
        never_changes(&repo);
        let mut lines = lines(&root, "a");
        lines.dedup();
        assert_eq!(lines, recorded(&repo, "a"), "seed {seed}");
    }
}

#[test]
fn lines_that_came_with_a_branch_are_shown_with_their_worktree() {
    let repo = Repo::tracked();
    let root = repo.root();
    note(&repo, &root, "a", "own");
    // Somebody else's batches, merged into two worktrees.
    let event = r#"{"agent_id":"b","event":"note","summary":"theirs","ts":"2026-03-01T11:00:00Z"}"#;
    let message =
        r#"{"from":"b","summary":"hello","to":"a","ts":"2026-03-01T11:00:01Z","type":"note"}"#;
    repo.write("_bus/events/b@aaaaaaaaaaaa.jsonl", format!("{event}\n"));
    repo.write("_bus/messages/b@aaaaaaaaaaaa.jsonl", format!("{message}\n"));
    repo.commit_all("theirs");
    let other = repo.worktree("wt");
    let first = [&root, &other].into_iter().map(|root| root.display().to_string()).min().unwrap();
    for folder in [&root, &other] {
        let listed = repo.bus(&["event", "list", "--json"]).within(folder).ok().ndjson();
        let of = |summary: &str| {
            listed.iter().find(|event| event["summary"] == summary).unwrap()["worktree"].clone()
        };
        assert_eq!((of("theirs"), of("own")), (first.clone().into(), serde_json::Value::Null));
        let shown = repo.bus(&["event", "list"]).within(folder).ok().stdout;
        assert!(
            shown.contains(&format!(":: theirs :: worktree={first}\n"))
                && shown.contains(":: own\n"),
            "{shown}"
        );
        let inbox = repo.by("a", &["inbox", "--json"]).within(folder).ok().json();
        assert_eq!(inbox["messages"][0]["worktree"], first.as_str(), "{inbox}");
    }
    // Another clone's log says it, too: then it is that clone's.
    repo.write(".git/bus/clones/1a2b/_bus/events/b.jsonl", format!("{event}\n"));
    let listed = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    let theirs = listed.iter().find(|event| event["summary"] == "theirs").unwrap();
    assert_eq!((&theirs["clone"], &theirs["worktree"]), (&"1a2b".into(), &serde_json::Value::Null));
    // In an older bus all lines are files of branches.
    let older = Repo::older();
    older.write("_bus/events/events.jsonl", format!("{event}\n"));
    let shown = older.bus(&["event", "list"]).ok().stdout;
    assert!(shown.ends_with(":: theirs\n"), "{shown}");
}
