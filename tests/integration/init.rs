//! Laying a bus out, and taking it out again.

use std::fs;

use serde_json::json;

use super::harness::Repo;

#[test]
fn init_prints_every_file_and_line_and_changes_nothing_the_second_time() {
    let repo = Repo::bare_of_bus();
    let printed = repo.bus(&["init"]).ok().says("then say what is to be done, `bus queue add TITLE`, and take a task").stdout;
    let made = repo.git(&["status", "--short", "--untracked-files=all"]);
    for path in made.lines().map(|line| line[3..].trim()) {
        assert!(printed.contains(path), "{path} is not in\n{printed}");
    }
    for path in [
        "_bus/config.toml",
        "_bus/README.md",
        "_plans/.gitkeep",
        "queue/.gitkeep",
        "_report/.gitkeep",
        ".gitattributes",
        ".gitignore",
    ] {
        assert!(repo.path(path).exists(), "{path}");
    }
    assert!(repo.read(".gitattributes").contains("_bus/**/*.jsonl text eol=lf merge=union\n"));
    repo.write("AGENT_MANIFEST.json", "{}");
    assert!(!repo.git(&["status", "--short", "--untracked-files=all"]).contains("AGENT_MANIFEST"));
    let before = repo.state();
    assert_eq!(repo.bus(&["init"]).ok().stdout, "nothing to do: the bus is laid out\n");
    assert_eq!(repo.state(), before);
    assert_eq!(repo.bus(&["init", "--json"]).ok().json()["written"], json!([]));
}

#[test]
fn init_in_a_repository_that_has_tasks_asks_for_none() {
    let repo = Repo::bare_of_bus();
    repo.write("queue/001-x.md", "# Task: X\n");
    repo.bus(&["init"]).ok().says("commit these files; then take a task: `bus claim --next --agent YOUR-ID`");
}

#[test]
fn init_overwrites_nothing_and_deinit_restores_every_byte() {
    for text in ["", "target\n", "target", "a\r\nb\r\n", "_bus/**/*.jsonl text eol=lf merge=union\n"] {
        let repo = Repo::bare_of_bus();
        repo.write(".gitignore", text);
        repo.write(".gitattributes", text);
        repo.write("_report/mine.md", "mine");
        fs::create_dir(repo.path("queue")).unwrap();
        let (before, config) = (repo.state(), repo.read(".git/config"));
        repo.bus(&["init"]).ok();
        assert_ne!(repo.state(), before);
        repo.bus(&["deinit"]).ok();
        assert_eq!(repo.state(), before, "{text:?}");
        assert_eq!(repo.read(".git/config"), config);
        assert!(repo.path("queue").exists() && !repo.path("_plans").exists() && !repo.path("_bus").exists());
    }
    let repo = Repo::bare_of_bus();
    repo.write("_bus/config.toml", "# mine\n");
    repo.bus(&["init"]).ok();
    assert_eq!(repo.read("_bus/config.toml"), "# mine\n");
    assert!(repo.bus(&["deinit"]).ok().stdout.contains("kept _bus/config.toml"));
    assert_eq!(repo.read("_bus/config.toml"), "# mine\n");
}

#[test]
fn deinit_refuses_while_a_claim_is_live_and_lists_what_stays() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let before = repo.state();
    repo.bus(&["deinit"]).fails(3, "bus-in-use");
    assert_eq!(repo.state(), before);
    repo.by("a", &["release", "T-1"]).ok();
    let kept = repo.bus(&["deinit"]).ok().stdout;
    for item in ["_bus/claims/T-1.json", "_bus/events/a.jsonl", "refs/bus/claims/T-1"] {
        assert!(kept.contains(&format!("kept {item}")), "{kept}");
    }
}

#[test]
fn init_works_from_a_subfolder_and_in_a_linked_worktree() {
    let repo = Repo::bare_of_bus();
    let other = repo.worktree("wt");
    fs::create_dir(other.join("sub")).unwrap();
    repo.bus(&["init"]).within(&other.join("sub")).ok();
    assert!(other.join("_bus/config.toml").exists() && !repo.path("_bus").exists());
    repo.bus(&["status"]).ok();
}

#[test]
fn the_block_for_agents_goes_to_stdout_and_nothing_is_written() {
    let repo = Repo::bare_of_bus();
    let before = repo.state();
    let block = repo.bus(&["init", "--agents-md"]).ok().stdout;
    assert!(block.starts_with("## ") && block.contains("bus claim") && block.split_whitespace().count() < 400);
    assert_eq!(repo.state(), before);
}

#[test]
fn a_bad_policy_stops_writers_and_not_readers() {
    let repo = Repo::new();
    repo.write("_bus/config.toml", "[claims]\nstale_aftr = \"1h\"\n");
    let error = repo.by("a", &["claim", "T-1"]).fails(5, "malformed-config");
    assert_eq!(error["line"], 2);
    repo.bus(&["status"]).ok().says("the defaults stand in");
    repo.write("_bus/config.toml", "[claims]\nttl = \"1h\"\nstale_after = \"30m\"\n");
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["expires_at"], "2026-03-01T13:00:00Z");
    assert_eq!(repo.bus(&["status", "--json"]).at("2026-03-01T12:31:00Z").ok().json()["claims"][0]["state"], "stale");
}

#[test]
fn what_is_no_usable_repository_gets_one_clear_error() {
    let repo = Repo::bare_of_bus();
    let made = |name: &str, arguments: &[&str]| {
        repo.git_in(repo.root().parent().unwrap(), &[&["init", "--quiet"], arguments, &[name]].concat());
        repo.beside(name)
    };
    let plain = repo.beside("plain");
    fs::create_dir(&plain).unwrap();
    repo.bus(&["status"]).within(&plain).fails(4, "no-repository");
    repo.bus(&["status"]).within(&made("bare", &["--bare"])).fails(4, "no-repository");
    for (name, arguments, cause) in
        [("reftable", "--ref-format=reftable", "reftable"), ("sha256", "--object-format=sha256", "sha256")]
    {
        let error = repo.bus(&["init"]).within(&made(name, &[arguments])).fails(4, "unsupported-repository");
        assert!(error["message"].as_str().unwrap().contains(cause), "{error}");
    }
    let dead = repo.path("dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join(".git"), "gitdir: /nowhere\n").unwrap();
    repo.bus(&["init"]).within(&dead).fails(4, "no-repository");
    assert!(!repo.path("_bus").exists(), "the repository around it is not taken instead");
}

#[test]
fn the_repository_is_found_by_folder_alone() {
    let repo = Repo::new();
    let elsewhere = repo.beside("elsewhere");
    repo.git_in(repo.root().parent().unwrap(), &["init", "--quiet", "elsewhere"]);
    repo.by("a", &["claim", "T-1"]).env("GIT_DIR", elsewhere.join(".git").to_str().unwrap()).env("GIT_INDEX_FILE", "x").ok();
    assert_eq!(repo.claim("T-1")["agent_id"], "a");
    let root = repo.root();
    repo.by("a", &["-C", root.to_str().unwrap(), "claim", "T-2"]).within(&elsewhere).ok();
    assert_eq!(repo.claim("T-2")["agent_id"], "a");
}

#[test]
fn a_bare_clone_with_worktrees_has_a_bus_in_each() {
    let repo = Repo::new();
    let bare = repo.beside("bare.git");
    repo.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let (one, two) = (repo.beside("one"), repo.beside("two"));
    repo.git_in(&bare, &["worktree", "add", "--quiet", "-b", "one", one.to_str().unwrap()]);
    repo.git_in(&bare, &["worktree", "add", "--quiet", "-b", "two", two.to_str().unwrap()]);
    repo.by("a", &["claim", "T-1"]).within(&one).ok();
    repo.by("b", &["claim", "T-1"]).within(&two).fails(3, "claim-held");
}
