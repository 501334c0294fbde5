//! Laying a bus out, and taking it out again.

use std::fs;

use serde_json::json;

use super::harness::{Kept, Repo};

#[test]
fn init_prints_every_file_and_line_and_changes_nothing_the_second_time() {
    for (option, mode) in
        [(None, "untracked"), (Some("--untracked"), "untracked"), (Some("--tracked"), "tracked")]
    {
        let repo = Repo::bare_of_bus();
        let init = [&["init"][..], option.as_slice()].concat();
        let ran =
            repo.bus(&init).ok().says("then add a task, `bus queue add TITLE`, and take a task");
        let printed = ran.stdout;
        for path in repo.status_of(&repo.root()).lines().map(|line| line[3..].trim()) {
            assert!(printed.contains(path), "{path} is not in\n{printed}");
        }
        let why = if option.is_some() {
            "as you asked"
        } else {
            "a new bus keeps its records out of the branches"
        };
        assert!(printed.contains(&format!("records: {mode} ({why}")), "{printed}");
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
        let is_tracked = mode == "tracked";
        assert!(repo.read("_bus/config.toml").contains("\n[records]\n"), "{option:?}");
        assert!(
            repo.read("_bus/config.toml").contains(&format!("\ntracked = {is_tracked}\n")),
            "{option:?}"
        );
        let ignore =
            if is_tracked { "" } else { "/*\n!/.gitignore\n!/README.md\n!/config.toml\n!/meta/\n" };
        assert_eq!(repo.read("_bus/.gitignore"), ignore);
        assert_eq!(
            repo.read(".gitattributes").contains("_bus/**/*.jsonl text eol=lf\n"),
            is_tracked
        );
        assert!(!repo.read(".gitattributes").contains("merge=union"), "a forge does not heed it");
        repo.write("AGENT_MANIFEST.json", "{}");
        assert!(!repo.status_of(&repo.root()).contains("AGENT_MANIFEST"));
        let before = repo.state();
        for again in [&["init"][..], &init] {
            let stdout = repo.bus(again).ok().stdout;
            assert!(stdout.starts_with(&format!("records: {mode} (")), "{stdout}");
            assert!(stdout.ends_with("nothing to do: the bus is laid out\n"), "{stdout}");
            assert_eq!(repo.state(), before);
        }
        let document = repo.bus(&["init", "--json"]).ok().json();
        assert_eq!(
            (&document["written"], &document["records"]["mode"]),
            (&json!([]), &json!(mode))
        );
    }
}

#[test]
fn init_in_a_repository_that_has_tasks_asks_for_none() {
    let repo = Repo::bare_of_bus();
    repo.write("queue/001-x.md", "# Task: X\n");
    repo.bus(&["init"])
        .ok()
        .says("commit these files; then take a task: `bus claim --next --agent YOUR-ID`");
}

#[test]
fn init_overwrites_nothing_and_deinit_restores_every_byte() {
    let texts =
        ["", "target\n", "target", "a\r\nb\r\n", "_bus/**/*.jsonl text eol=lf merge=union\n"];
    for (text, option) in
        texts.into_iter().flat_map(|text| [(text, "--untracked"), (text, "--tracked")])
    {
        let repo = Repo::bare_of_bus();
        repo.write(".gitignore", text);
        repo.write(".gitattributes", text);
        repo.write("_report/mine.md", "mine");
        fs::create_dir(repo.path("queue")).unwrap();
        let (before, config) = (tree(&repo), repo.read(".git/config"));
        repo.bus(&["init", option]).ok();
        assert_ne!(tree(&repo), before);
        repo.bus(&["deinit"]).ok();
        assert_eq!(tree(&repo), before, "{text:?}, {option}");
        assert_eq!(repo.read(".git/config"), config);
        assert!(
            repo.path("queue").exists()
                && !repo.path("_plans").exists()
                && !repo.path("_bus").exists()
        );
    }
    for (option, tracked) in [("--untracked", "false"), ("--tracked", "true")] {
        let repo = Repo::bare_of_bus();
        repo.write("_bus/config.toml", "# mine\n");
        repo.bus(&["init"]).ok();
        assert_eq!(repo.read("_bus/config.toml"), "# mine\n", "an older bus stays one");
        repo.bus(&["init", option]).ok();
        let config = repo.read("_bus/config.toml");
        assert!(
            config.starts_with("# mine\n\n[records]\n")
                && config.ends_with(&format!("\ntracked = {tracked}\n")),
            "{config}"
        );
        let printed = repo.bus(&["deinit"]).ok().stdout;
        assert!(printed.contains("took out [records] in _bus/config.toml\n"), "{printed}");
        assert!(printed.contains("kept _bus/config.toml\n"), "{printed}");
        assert_eq!(repo.read("_bus/config.toml"), "# mine\n");
    }
}

/// All files of the main worktree, and the refs.
fn tree(repo: &Repo) -> String {
    repo.state()
        .lines()
        .filter(|line| !line.contains("/.git/bus/log/"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn deinit_refuses_while_a_claim_is_live_and_lists_what_stays() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1"]).ok();
        let before = repo.state();
        for more in [&[][..], &["--purge"], &["--purge", "--yes"]] {
            let error = repo.bus(&[&["deinit"], more].concat()).fails(3, "bus-in-use");
            assert!(error["message"].as_str().unwrap().contains("T-1"), "{error}");
        }
        assert_eq!(repo.state(), before);
        repo.by("a", &["release", "T-1"]).ok();
        let printed = repo.bus(&["deinit"]).ok().stdout;
        let in_branch = ["_bus/claims/T-1.json", "_bus/events/a"];
        for item in ["refs/bus/claims/T-1", ".git/bus/log"]
            .iter()
            .chain(if kept == Kept::Untracked { &[][..] } else { &in_branch })
        {
            assert!(printed.contains(&format!("kept {item}")), "{kept:?}: {item}\n{printed}");
        }
        // Copies go with the bus, records do not.
        assert_eq!(repo.path("_bus").exists(), kept != Kept::Untracked, "{printed}");
        assert_eq!((repo.log_lines().len(), repo.claim("T-1")), (2, repo.tip("T-1")), "{kept:?}");
        // The bus comes back, with all that was said.
        repo.bus(&["init"]).ok();
        assert_eq!(repo.bus(&["event", "list"]).ok().stdout.lines().count(), 2);
        repo.by("b", &["claim", "T-1"]).fails(3, "task-finished");
    }
}

#[test]
fn deinit_purges_all_that_is_the_clones_if_it_is_told_so() {
    for kept in Kept::ALL {
        let repo = Repo::keeping(kept);
        repo.by("a", &["claim", "T-1", "--lock", "src/"]).ok();
        repo.by("a", &["message", "send", "--to", "b", "--summary", "x"]).ok();
        repo.by("a", &["queue", "add", "x"]).ok();
        repo.by("a", &["release", "T-1"]).ok();
        repo.by("a", &["lock", "acquire", "x", "--objective", "x"]).ok();
        repo.bus(&["deinit", "--purge", "--yes"]).fails(3, "bus-in-use");
        repo.by("a", &["lock", "release"]).ok();
        repo.bus(&["deinit", "--yes"]).fails(2, "usage");
        repo.bus(&["deinit", "--purge", "--purge-remote"]).exits(2);
        let refs = repo.git(&["for-each-ref", "--format=%(refname)", "refs/bus"]);
        assert!(refs.lines().count() >= 3, "{refs}");
        let folder = fs::canonicalize(repo.path(".git/bus")).unwrap().display().to_string();
        let items: Vec<&str> = refs.lines().chain([folder.as_str()]).collect();
        let listed = repo.bus(&["deinit", "--purge"]).ok().says("`--purge --yes` does it").stdout;
        assert!(
            items.iter().all(|item| listed.contains(&format!("would remove {item}\n"))),
            "{items:?}\n{listed}"
        );
        assert_eq!(
            repo.git(&["for-each-ref", "--format=%(refname)", "refs/bus"]),
            refs,
            "nothing is removed"
        );
        assert!(repo.path(".git/bus/log/_bus/events/a.jsonl").exists());
        let removed = repo.bus(&["deinit", "--purge", "--yes", "--json"]).ok().json();
        assert_eq!(
            (&removed["purged"]["done"], &removed["purged"]["items"]),
            (&json!(true), &json!(items)),
            "{kept:?}"
        );
        assert_eq!(repo.git(&["for-each-ref", "refs/bus"]), "");
        assert!(!repo.path(".git/bus").exists(), "{kept:?}");
        repo.bus(&["deinit", "--purge", "--yes"]).ok();
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
    assert!(
        block.starts_with("## ")
            && block.contains("bus claim")
            && block.split_whitespace().count() < 450
    );
    assert_eq!(repo.state(), before);
}

#[test]
fn a_bad_policy_stops_writers_and_not_readers() {
    let repo = Repo::new();
    repo.write("_bus/config.toml", "[claims]\nstale_aftr = \"1h\"\n");
    let error = repo.by("a", &["claim", "T-1"]).fails(5, "malformed-config");
    assert_eq!(error["line"], 2);
    repo.bus(&["status"]).ok().says("the defaults are used instead");
    repo.write("_bus/config.toml", "[claims]\nttl = \"1h\"\nstale_after = \"30m\"\n");
    repo.by("a", &["claim", "T-1"]).ok();
    assert_eq!(repo.claim("T-1")["expires_at"], "2026-03-01T13:00:00Z");
    assert_eq!(
        repo.bus(&["status", "--json"]).at("2026-03-01T12:31:00Z").ok().json()["claims"][0]["state"],
        "stale"
    );
}

#[test]
fn what_is_no_usable_repository_gets_one_clear_error() {
    let repo = Repo::bare_of_bus();
    let made = |name: &str, arguments: &[&str]| {
        repo.git_in(
            repo.root().parent().unwrap(),
            &[&["init", "--quiet"], arguments, &[name]].concat(),
        );
        repo.beside(name)
    };
    let plain = repo.beside("plain");
    fs::create_dir(&plain).unwrap();
    repo.bus(&["status"]).within(&plain).fails(4, "no-repository");
    repo.bus(&["status"]).within(&made("bare", &["--bare"])).fails(4, "no-repository");
    for (name, arguments, cause) in [
        ("reftable", "--ref-format=reftable", "reftable"),
        ("sha256", "--object-format=sha256", "sha256"),
    ] {
        let error = repo
            .bus(&["init"])
            .within(&made(name, &[arguments]))
            .fails(4, "unsupported-repository");
        assert!(error["message"].as_str().unwrap().contains(cause), "{error}");
    }
    let dead = repo.path("dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join(".git"), "gitdir: /nowhere\n").unwrap();
    repo.bus(&["init"]).within(&dead).fails(9, "system");
    assert!(!repo.path("_bus").exists(), "the repository around it is not taken instead");
}

#[test]
fn the_repository_is_found_by_folder_alone() {
    let repo = Repo::new();
    let elsewhere = repo.beside("elsewhere");
    repo.git_in(repo.root().parent().unwrap(), &["init", "--quiet", "elsewhere"]);
    repo.by("a", &["claim", "T-1"])
        .env("GIT_DIR", elsewhere.join(".git").to_str().unwrap())
        .env("GIT_INDEX_FILE", "x")
        .ok();
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
