//! Where records are kept belongs to the clone (docs/design.md, section 1.2): a branch that says
//! otherwise changes nothing.

use std::fs;

use super::harness::{Kept, Repo};

/// The policy as another bus would have it.
fn policy(repo: &Repo, says: &str) -> String {
    let policy = repo.read("_bus/config.toml");
    match says {
        "nothing" => policy
            .replace("tracked = true", "# x")
            .replace("tracked = false", "# x")
            .replace("[records]", "# x"),
        tracked => policy
            .replace("tracked = true", "tracked = x")
            .replace("tracked = false", "tracked = x")
            .replace("= x", &format!("= {tracked}")),
    }
}

/// What the note of the clone says.
fn noted(repo: &Repo) -> String {
    repo.read(".git/bus/records").split_whitespace().next().unwrap_or_default().to_owned()
}

#[test]
fn a_branch_that_says_otherwise_changes_nothing_and_is_reported_once() {
    for (kept, mode, says, other) in [
        (Kept::Untracked, "untracked", "true", "tracked"),
        (Kept::Tracked, "tracked", "false", "untracked"),
    ] {
        let repo = Repo::keeping(kept);
        let linked = repo.worktree("linked");
        assert_eq!(noted(&repo), mode);
        repo.git(&["switch", "--quiet", "--create", "agent/z/x"]);
        repo.write("_bus/config.toml", policy(&repo, says));
        repo.commit_all("policy");
        // Readers say nothing of it, and read as before.
        assert_eq!(repo.bus(&["status"]).ok().stderr, "");
        let warning = format!(
            "this branch's policy says that records are {other}, but this clone keeps them {mode}: only `bus init --{other}` changes that"
        );
        repo.by("a", &["claim", "T-1"]).ok().says(&warning);
        for command in [
            &["event", "log", "--event", "note", "--summary", "x"][..],
            &["claim", "T-1"],
            &["session", "start"],
        ] {
            let ran = repo.by("a", command).ok();
            assert!(!ran.stderr.contains("records"), "{}", ran.transcript);
        }
        assert_eq!(noted(&repo), mode);
        assert_eq!(
            repo.status_of(&repo.root()).contains("_bus/claims/T-1.json"),
            kept == Kept::Tracked,
            "{kept:?}"
        );
        let exported = repo.by("a", &["export", "--json"]).ok().json();
        assert_eq!(
            (&exported["mode"], exported["files"].as_array().unwrap().is_empty()),
            (&mode.into(), kept == Kept::Untracked)
        );
        repo.by("b", &["claim", "T-1"]).within(&linked).fails(3, "claim-held");
        // A file that would be a record in the other mode.
        repo.write(
            "_bus/assignments/T-2.json",
            r#"{"task_id":"T-2","engineer":"z","manager":"z","assigned_at":"2026-03-01T12:00:00Z"}"#,
        );
        let ran = repo.by("b", &["claim", "T-2"]).within(&linked).run();
        assert_eq!(
            ran.status,
            Some(if kept == Kept::Tracked { 3 } else { 0 }),
            "{kept:?}: {}",
            ran.transcript
        );
    }
}

#[test]
fn a_branch_of_an_older_bus_changes_nothing_and_is_nothing_to_report() {
    for (kept, mode) in [(Kept::Untracked, "untracked"), (Kept::Tracked, "tracked")] {
        let repo = Repo::keeping(kept);
        repo.git(&["switch", "--quiet", "--create", "agent/z/x"]);
        repo.write("_bus/config.toml", policy(&repo, "nothing"));
        repo.commit_all("policy");
        let ran = repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
        assert_eq!(ran.stderr, "");
        repo.by("a", &["message", "send", "--to", "a", "--summary", "x"]).ok();
        assert_eq!(
            (noted(&repo), repo.status_of(&repo.root())),
            (mode.to_owned(), String::new()),
            "no line goes to files of 0.1"
        );
    }
}

#[test]
fn in_a_fresh_clone_the_targets_policy_counts_and_not_that_of_its_branch() {
    for (kept, mode, says) in [
        (Kept::Untracked, "untracked", "true"),
        (Kept::Tracked, "tracked", "false"),
        (Kept::Older, "", "false"),
        (Kept::Older, "", "true"),
    ] {
        let repo = Repo::keeping(kept);
        repo.git(&["switch", "--quiet", "--create", "agent/z/x"]);
        let text = policy(&repo, says);
        repo.write(
            "_bus/config.toml",
            if kept == Kept::Older {
                format!("{text}\n[records]\ntracked = {says}\n")
            } else {
                text
            },
        );
        repo.commit_all("policy");
        repo.git(&["switch", "--quiet", "main"]);
        let clone = repo.beside("clone");
        repo.git(&["clone", "--quiet", repo.root().to_str().unwrap(), clone.to_str().unwrap()]);
        repo.git_in(&clone, &["switch", "--quiet", "agent/z/x"]);
        // A record of the branch, which counts if files of branches do.
        fs::create_dir_all(clone.join("_bus/assignments")).unwrap();
        let assignment = r#"{"task_id":"T-1","engineer":"z","manager":"z","assigned_at":"2026-03-01T12:00:00Z"}"#;
        fs::write(clone.join("_bus/assignments/T-1.json"), assignment).unwrap();
        for round in ["at first", "again"] {
            let exported = repo.by("a", &["export", "--json"]).within(&clone).ok().json();
            assert_eq!(
                exported["mode"],
                if kept == Kept::Older { "older" } else { mode },
                "{kept:?}, {says}, {round}"
            );
            let ran = repo.by("a", &["claim", "T-1"]).within(&clone).run();
            assert_eq!(
                ran.status,
                Some(if kept == Kept::Untracked { 0 } else { 3 }),
                "{kept:?}, {round}: {}",
                ran.transcript
            );
            let noted = fs::read_to_string(clone.join(".git/bus/records")).unwrap_or_default();
            assert_eq!(
                noted.split_whitespace().next().unwrap_or_default(),
                mode,
                "{kept:?}, {says}, {round}"
            );
        }
        fs::remove_dir_all(clone).unwrap();
    }
}

#[test]
fn only_init_changes_it() {
    let repo = Repo::new();
    repo.write("_bus/config.toml", policy(&repo, "true"));
    repo.bus(&["init"]).ok();
    assert_eq!(noted(&repo), "untracked");
    assert!(
        repo.read("_bus/config.toml").contains("tracked = false"),
        "the policy follows the clone"
    );
    for (option, mode) in
        [("--tracked", "tracked"), ("--tracked", "tracked"), ("--untracked", "untracked")]
    {
        let document = repo.bus(&["init", option, "--json"]).ok().json();
        assert_eq!(document["records"]["mode"], mode);
        assert_eq!(noted(&repo), mode);
        assert_eq!(repo.read("_bus/config.toml").matches("[records]").count(), 1);
        assert_eq!(repo.path("_bus/.gitignore").exists(), mode == "untracked");
    }
    repo.bus(&["init", "--tracked", "--untracked"]).exits(2);
}

#[test]
fn a_note_that_cannot_be_read_is_as_none() {
    let repo = Repo::new();
    for text in ["", "rubbish\n", "\0\0\0\0"] {
        repo.write(".git/bus/records", text);
        assert_eq!(repo.by("a", &["export", "--json"]).ok().json()["mode"], "untracked");
        repo.by("a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
        assert_eq!(noted(&repo), "untracked");
    }
}
