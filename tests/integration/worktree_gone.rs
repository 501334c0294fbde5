//! Whatever becomes of a worktree, what was acknowledged there is not lost: records are where git
//! never looks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::harness::{Kept, Repo, some_of};

/// What this clone knows, as its readers show it from the main worktree.
#[derive(Debug, PartialEq)]
struct Known {
    events: Vec<Value>,
    messages: Vec<Value>,
    unread: Value,
    claims: Vec<(Value, Value, Value)>,
    assigned: Vec<Value>,
    leases: Vec<Value>,
}

fn known(repo: &Repo) -> Known {
    let status = repo.bus(&["status", "--long", "--json"]).ok();
    assert_eq!(status.stderr, "");
    let status = status.json();
    let list = |value: &Value| value.as_array().unwrap().clone();
    Known {
        events: repo.bus(&["event", "list", "--json"]).ok().ndjson(),
        messages: repo.bus(&["message", "list", "--json"]).ok().ndjson(),
        unread: repo.by("boss", &["inbox", "--json"]).ok().json(),
        claims: list(&status["claims"])
            .iter()
            .map(|claim| {
                (claim["task_id"].clone(), claim["agent_id"].clone(), claim["status"].clone())
            })
            .collect(),
        assigned: list(&status["waiting"]),
        leases: list(&repo.bus(&["lock", "list", "--json"]).ok().json()["leases"])
            .iter()
            .map(|lease| lease["scope"].clone())
            .collect(),
    }
}

/// A repository whose linked worktree has done one of everything, nothing of which is committed.
fn used(kept: Kept) -> (Repo, PathBuf) {
    let repo = Repo::keeping(kept);
    let linked = repo.worktree("linked");
    let by = |agent: &str, words: &str| {
        repo.by(agent, &words.split(' ').collect::<Vec<_>>()).within(&linked).ok();
    };
    by("a", "claim T-1 --lock src/**");
    by("a", "event log --event status --task T-1 --summary one");
    by("a", "message send --to boss --summary hello");
    by("a", "message send --task T-1 --summary there");
    by("boss", "assign T-2 --engineer b --note soon");
    by("b", "claim T-3");
    by("b", "release T-3");
    by("a", "lock acquire docs/ --objective x");
    (repo, linked)
}

/// Owners go on, and nobody else gets what is theirs.
fn goes_on(repo: &Repo, there: Option<&Path>, why: &str) {
    repo.by("c", &["claim", "T-1"]).fails(3, "claim-held");
    repo.by("c", &["claim", "T-2"]).fails(3, "assigned-elsewhere");
    repo.by("c", &["claim", "T-3"]).fails(3, "task-finished");
    repo.by("c", &["lock", "acquire", "src/x", "--objective", "y"]).fails(3, "lock-held");
    match there {
        Some(folder) => drop(repo.by("a", &["release", "T-1"]).within(folder).ok()),
        None => {
            repo.by("a", &["claim", "T-1", "--here"]).ok();
            repo.by("a", &["release", "T-1"]).ok();
        }
    }
    let events = repo.bus(&["event", "list", "--json"]).ok().ndjson();
    let told = events
        .iter()
        .filter(|event| event["task_id"] == "T-1" && event["event"] == "release")
        .count();
    assert_eq!(told, 1, "{why}");
}

#[test]
fn a_removed_worktree_takes_nothing_with_it() {
    for kept in Kept::ALL {
        let (repo, linked) = used(kept);
        let before = known(&repo);
        assert_eq!(
            (before.events.len(), before.messages.len(), before.claims.len()),
            (6, 3, 2),
            "{kept:?}"
        );
        repo.git(&["worktree", "remove", "--force", linked.to_str().unwrap()]);
        repo.git(&["branch", "--quiet", "-D", "linked"]);
        assert_eq!(known(&repo), before, "{kept:?}");
        goes_on(&repo, None, &format!("{kept:?}"));
    }
}

#[test]
fn a_worktree_that_is_moved_goes_on_at_its_new_place() {
    for kept in Kept::ALL {
        let (repo, linked) = used(kept);
        let before = known(&repo);
        let moved = repo.beside("moved");
        repo.git(&["worktree", "move", linked.to_str().unwrap(), moved.to_str().unwrap()]);
        assert_eq!(known(&repo), before, "{kept:?}");
        goes_on(&repo, Some(&moved), &format!("{kept:?}"));
    }
}

#[test]
fn cleaning_stashing_and_resetting_take_nothing_away() {
    let ways: [&[&[&str]]; 5] = [
        &[&["clean", "--quiet", "-fdx"]],
        &[&["stash", "--quiet", "--include-untracked"], &["stash", "drop", "--quiet"]],
        &[&["add", "--all"], &["reset", "--quiet", "--hard"]],
        &[
            &["add", "--all"],
            &["commit", "--quiet", "--allow-empty", "-m", "x"],
            &["reset", "--quiet", "--hard", "HEAD^"],
        ],
        &[&["rm", "-rq", "_bus"], &["commit", "--quiet", "-m", "x"], &["clean", "--quiet", "-fdx"]],
    ];
    for kept in Kept::ALL {
        for way in some_of(ways, 3, kept as usize) {
            let (repo, linked) = used(kept);
            let before = known(&repo);
            for command in way {
                // Without anything to stash there is nothing to drop.
                repo.try_git_in(&linked, command);
            }
            assert_eq!(known(&repo), before, "{kept:?}, {way:?}");
            goes_on(&repo, Some(&linked), &format!("{kept:?}, {way:?}"));
        }
    }
}

#[test]
fn a_folder_that_is_simply_deleted_takes_nothing_away() {
    for kept in Kept::ALL {
        let (repo, linked) = used(kept);
        let before = known(&repo);
        fs::remove_dir_all(&linked).unwrap();
        assert_eq!(known(&repo), before, "{kept:?}");
        repo.git(&["worktree", "prune"]);
        assert_eq!(known(&repo), before, "{kept:?}");
        goes_on(&repo, None, &format!("{kept:?}"));
    }
}

#[test]
fn what_was_only_in_a_worktrees_files_is_kept_once_anything_was_written() {
    for kept in Kept::IN_BRANCHES {
        let repo = Repo::keeping(kept);
        let linked = repo.worktree("linked");
        let put = |path: &str, text: &str| {
            fs::create_dir_all(linked.join(path).parent().unwrap()).unwrap();
            fs::write(linked.join(path), text).unwrap();
        };
        // By a tool that writes files alone, before this clone has imported anything.
        fs::remove_dir_all(repo.path(".git/bus")).unwrap_or_default();
        put(
            "_bus/events/z.jsonl",
            "{\"agent_id\":\"z\",\"event\":\"note\",\"summary\":\"e\",\"ts\":\"2026-03-01T11:00:00Z\"}\n",
        );
        put(
            "_bus/messages/agent-boss.jsonl",
            "{\"from\":\"z\",\"summary\":\"m\",\"to\":\"boss\",\"ts\":\"2026-03-01T11:00:00Z\",\"type\":\"note\"}\n",
        );
        put(
            "_bus/claims/T-7.json",
            r#"{"task_id":"T-7","agent_id":"z","branch":"agent/z/t-7","status":"active","claimed_at":"2026-03-01T11:00:00Z"}"#,
        );
        put(
            "_bus/assignments/T-8.json",
            r#"{"task_id":"T-8","engineer":"z","manager":"boss","assigned_at":"2026-03-01T11:00:00Z"}"#,
        );
        repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
        let before = known(&repo);
        assert_eq!(
            (before.events.len(), before.messages.len(), before.claims.len()),
            (2, 1, 1),
            "{kept:?}"
        );
        repo.git(&["worktree", "remove", "--force", linked.to_str().unwrap()]);
        assert_eq!(known(&repo), before, "{kept:?}");
        repo.by("a", &["claim", "T-7"]).fails(3, "claim-held");
        repo.by("a", &["claim", "T-8"]).fails(3, "assigned-elsewhere");
    }
}
