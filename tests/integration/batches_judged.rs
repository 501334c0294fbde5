//! Batches of other agents in a change: one that a branch of its agent has is that agent's, and
//! nothing else puts words in its mouth.

use std::fs;

use super::harness::{Ran, Repo};

/// `a` has worked on T-1, on its branch, and given it back; `b` goes on from there, on a branch of
/// its own.
fn handed_on() -> Repo {
    let repo = Repo::tracked();
    repo.git(&["switch", "--quiet", "-c", "agent/a/t-1"]);
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["message", "send", "--to", "b", "--summary", "half of it"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.commit_all("half");
    repo.git(&["switch", "--quiet", "-c", "agent/b/t-1"]);
    repo.by("b", &["claim", "T-1"]).ok();
    repo.by("b", &["release", "T-1"]).ok();
    repo.commit_all("whole");
    repo
}

fn judged(repo: &Repo) -> Ran {
    repo.bus(&["validate", "--base", "main"]).run()
}

fn is_sound(repo: &Repo, why: &str) {
    let ran = judged(repo);
    assert_eq!(ran.status, Some(0), "{why}: {}", ran.transcript);
}

fn is_tampering(repo: &Repo, why: &str) {
    let ran = judged(repo);
    assert_eq!(ran.status, Some(1), "{why}: {}", ran.transcript);
    assert!(
        ran.stdout.contains("tampering") && ran.stdout.contains("_bus/events/a@"),
        "{why}: {}",
        ran.transcript
    );
}

/// The first batch of events of `a`.
fn batch(repo: &Repo) -> String {
    let mut names: Vec<String> = fs::read_dir(repo.path("_bus/events"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("a@"))
        .collect();
    names.sort();
    format!("_bus/events/{}", names[0])
}

#[test]
fn a_batch_of_another_agent_is_accepted_if_a_branch_of_that_agent_has_it() {
    let repo = handed_on();
    is_sound(&repo, "the branch is here");
    let tip = repo.git(&["rev-parse", "agent/a/t-1"]).trim().to_owned();
    repo.git(&["branch", "--quiet", "-D", "agent/a/t-1"]);
    is_tampering(&repo, "no branch has it");
    for (name, proves) in [
        ("refs/remotes/origin/agent/a/t-1", true),
        ("refs/remotes/fork/agent/a/other", true),
        ("refs/remotes/origin/x/agent/a/t-1", false),
        ("refs/remotes/origin/agent/ab/t-1", false),
        ("refs/heads/x/agent/a/t-1", false),
        ("refs/heads/agent/b/a", false),
        ("refs/tags/agent/a/t-1", false),
        ("refs/heads/agent/a/again", true),
    ] {
        repo.git(&["update-ref", name, &tip]);
        if proves {
            is_sound(&repo, name)
        } else {
            is_tampering(&repo, name)
        }
        repo.git(&["update-ref", "-d", name]);
    }
    repo.git(&["update-ref", "refs/remotes/origin/agent/a/t-1", "main"]);
    is_tampering(&repo, "the branch has it no more");
}

#[test]
fn nobody_puts_words_into_a_batch_of_another_agent() {
    let repo = handed_on();
    let file = batch(&repo);
    let text = repo.read(&file);
    let forged = text
        .lines()
        .last()
        .unwrap()
        .replace("\"summary\":\"", "\"summary\":\"not ")
        .replace("\"id\":\"0", "\"id\":\"f");
    repo.write(&file, format!("{text}{forged}\n"));
    is_tampering(&repo, "a line more in its batch");
    repo.write(&file, &text);
    is_sound(&repo, "as it was");
    repo.write("_bus/events/a@0123456789ab.jsonl", format!("{forged}\n"));
    is_tampering(&repo, "a batch that its branch has not");
    repo.commit_all("forged");
    is_tampering(&repo, "committed");
    // Under another name it is not the batch that the branch has.
    repo.write("_bus/events/a@0123456789ab.jsonl", &text);
    is_tampering(&repo, "its words again, in a batch of ours");
}

#[test]
fn a_line_that_two_batches_have_is_read_once_and_is_no_finding() {
    let repo = Repo::tracked();
    repo.git(&["switch", "--quiet", "-c", "agent/a/t-1"]);
    repo.by("a", &["event", "log", "--event", "note", "--summary", "once"]).ok();
    repo.by("a", &["message", "send", "--to", "b", "--summary", "once"]).ok();
    repo.by("a", &["export"]).ok();
    for folder in ["events", "messages"] {
        let entry =
            fs::read_dir(repo.path(&format!("_bus/{folder}"))).unwrap().next().unwrap().unwrap();
        fs::copy(entry.path(), entry.path().with_file_name("a@0123456789ab.jsonl")).unwrap();
    }
    is_sound(&repo, "beside each other");
    repo.commit_all("twice");
    is_sound(&repo, "committed");
    // In a clone, nothing but the batches has them.
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
    for kind in ["event", "message"] {
        let listed = repo.bus(&[kind, "list", "--json"]).within(&clone).ok();
        assert_eq!(listed.stdout.matches("\"summary\":\"once\"").count(), 1, "{}", listed.stdout);
    }
}

#[test]
fn what_was_cleaned_away_before_a_commit_is_in_the_next_batch_wherever_head_is() {
    let ways: [&[&[&str]]; 4] = [
        // Committed without it, then cleaned; or the other way round.
        &[&["commit", "--quiet", "--allow-empty", "-m", "x"], &["clean", "--quiet", "-fd"]],
        &[&["clean", "--quiet", "-fd"], &["commit", "--quiet", "--allow-empty", "-m", "x"]],
        &[&["switch", "--quiet", "-c", "other", "HEAD~1"], &["clean", "--quiet", "-fd"]],
        &[&["add", "--all"], &["reset", "--quiet", "--hard", "HEAD~1"]],
    ];
    for (number, way) in ways.into_iter().enumerate() {
        for exports_between in [false, true] {
            let repo = Repo::tracked();
            repo.git(&["commit", "--quiet", "--allow-empty", "-m", "one"]);
            let note = |summary: &str| {
                repo.by("a", &["event", "log", "--event", "note", "--summary", summary]).ok();
                repo.by("a", &["export"]).ok();
            };
            note("first");
            for step in way {
                repo.git(step);
                if exports_between {
                    note("between");
                }
            }
            if exports_between {
                repo.git(&["clean", "--quiet", "-fd"]);
            }
            note("last");
            let all: String = fs::read_dir(repo.path("_bus/events"))
                .unwrap()
                .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
                .collect();
            for summary in ["first", "last"] {
                assert_eq!(
                    all.matches(&format!("\"{summary}\"")).count(),
                    1,
                    "{number}, {exports_between}: {summary}: {all}"
                );
            }
        }
    }
}
