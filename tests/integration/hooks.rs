//! The hooks of `bus init --hooks`: put in, chained, run by git, and taken out again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use super::harness::Repo;
use super::stub::Stub;

/// The hooks that are put in, in their order.
const HOOKS: [&str; 5] =
    ["pre-commit", "pre-merge-commit", "pre-applypatch", "prepare-commit-msg", "pre-push"];

const PRE_COMMIT: &str = include_str!("../../ci/pre-commit");
const PRE_PUSH: &str = include_str!("../../ci/pre-push");

/// Writes a hook of the user's own.
fn hook(repo: &Repo, name: &str, text: &str) {
    repo.write(&format!(".git/hooks/{name}"), text);
    fs::set_permissions(
        repo.path(&format!(".git/hooks/{name}")),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
}

fn mode(repo: &Repo, path: &str) -> u32 {
    fs::metadata(repo.path(path)).unwrap().permissions().mode() & 0o777
}

/// What stands in the hooks' folder: names, modes, bytes.
const NOTHING_TO_DO: &str =
    "records: untracked (as this clone has it)\nnothing to do: the bus is laid out\n";

fn hooks(repo: &Repo) -> Vec<(String, u32, Vec<u8>)> {
    let entries = fs::read_dir(repo.path(".git/hooks")).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries
        .map(|entry| {
            let mode = fs::symlink_metadata(entry.path()).unwrap().permissions().mode();
            (
                entry.file_name().into_string().unwrap(),
                mode,
                fs::read(entry.path()).unwrap_or_default(),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn init_puts_both_hooks_in_once_and_deinit_takes_them_out() {
    let repo = Repo::bare_of_bus();
    let before = hooks(&repo);
    let printed = repo.bus(&["init", "--hooks"]).ok().stdout;
    for (name, text) in [("pre-commit", PRE_COMMIT), ("pre-push", PRE_PUSH)] {
        let path = format!(".git/hooks/{name}");
        assert!(printed.contains(&format!("wrote {path}\n")), "{printed}");
        assert_eq!((repo.read(&path).as_str(), mode(&repo, &path) & 0o700), (text, 0o700));
    }
    assert!(printed.contains("wrote _bus/config.toml\n"), "{printed}");
    let laid = hooks(&repo);
    assert_eq!(repo.bus(&["init", "--hooks"]).ok().stdout, NOTHING_TO_DO);
    assert_eq!(hooks(&repo), laid);
    let printed = repo.bus(&["deinit"]).ok().stdout;
    assert!(
        printed.contains("took out .git/hooks/pre-commit\n")
            && printed.contains("took out .git/hooks/pre-push\n")
    );
    assert_eq!(hooks(&repo), before);
    repo.bus(&["init", "--hooks", "--agents-md"]).exits(2);
}

#[test]
fn hooks_come_to_a_bus_that_stands_and_an_older_one_is_replaced() {
    let repo = Repo::new();
    assert!(hooks(&repo).iter().all(|(name, ..)| name.ends_with(".sample")));
    let written = |path: &str| json!({"path": path, "lines": []});
    let document = repo.bus(&["init", "--hooks", "--json"]).ok().json();
    assert_eq!(
        document["written"],
        json!(HOOKS.map(|name| written(&format!(".git/hooks/{name}"))))
    );
    let laid = hooks(&repo);
    hook(&repo, "pre-commit", "#!/bin/sh\n# bus: hook pre-commit, of another version\n");
    fs::set_permissions(repo.path(".git/hooks/pre-push"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let document = repo.bus(&["init", "--hooks", "--json"]).ok().json();
    assert_eq!(document["written"].as_array().unwrap().len(), 2, "{document}");
    assert_eq!(hooks(&repo), laid);
}

#[test]
fn a_hook_that_stands_is_kept_aside_and_comes_back_with_every_byte_and_its_mode() {
    let repo = Repo::new();
    hook(&repo, "pre-commit", "#!/bin/sh\nexit 7");
    fs::set_permissions(repo.path(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o710))
        .unwrap();
    let before = hooks(&repo);
    let printed = repo.bus(&["init", "--hooks"]).ok().stdout;
    assert!(
        printed.contains(
            "moved what stood there to .git/hooks/pre-commit.before-bus: it runs first\n"
        ),
        "{printed}"
    );
    assert_eq!(repo.read(".git/hooks/pre-commit"), PRE_COMMIT);
    assert_eq!(repo.read(".git/hooks/pre-commit.before-bus"), "#!/bin/sh\nexit 7");
    assert_eq!(repo.bus(&["init", "--hooks"]).ok().stdout, NOTHING_TO_DO);
    let taken = repo.bus(&["deinit", "--json"]).ok().json();
    assert_eq!(taken["restored"], json!([".git/hooks/pre-commit"]));
    assert_eq!(hooks(&repo), before);
}

#[test]
fn a_linked_worktree_has_the_same_hooks_as_the_main_one() {
    let repo = Repo::new();
    let other = repo.worktree("wt");
    repo.bus(&["init", "--hooks"]).within(&other).ok();
    assert_eq!(repo.read(".git/hooks/pre-commit"), PRE_COMMIT);
    let stub = Stub::new(&repo);
    stub.git(&other, &["commit", "--allow-empty", "--message=x"]).ok();
    let here = other.display();
    let calls = [
        format!("check --staged --quiet in {here}"),
        format!("validate --quiet --base refs/heads/main in {here}"),
    ];
    assert_eq!(stub.calls(), calls);
    repo.bus(&["deinit"]).within(&other).ok();
    assert!(!repo.path(".git/hooks/pre-commit").exists());
}

#[test]
fn a_hook_that_was_edited_stays_and_is_listed() {
    let repo = Repo::new();
    hook(&repo, "pre-push", "#!/bin/sh\n");
    repo.bus(&["init", "--hooks"]).ok();
    hook(&repo, "pre-push", &format!("{PRE_PUSH}echo mine\n"));
    let edited = hooks(&repo);
    let printed = repo.bus(&["deinit"]).ok().stdout;
    for kept in ["pre-push", "pre-push.before-bus"] {
        assert!(printed.contains(&format!("kept .git/hooks/{kept}\n")), "{printed}");
    }
    let is_whole = |name: &str| name != "pre-push" && HOOKS.contains(&name);
    let rest: Vec<_> = edited.into_iter().filter(|(name, ..)| !is_whole(name)).collect();
    assert_eq!(hooks(&repo), rest);
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_is_changed() {
    let refused = |prepare: &dyn Fn(&Repo), status: i32, code: &str| {
        let repo = Repo::bare_of_bus();
        prepare(&repo);
        let before = (hooks(&repo), repo.state());
        let error = repo.bus(&["init", "--hooks"]).fails(status, code);
        assert_eq!((hooks(&repo), repo.state()), before, "{error}");
        repo.bus(&["init"]).ok();
        repo.bus(&["deinit"]).ok();
        assert_eq!(hooks(&repo), before.0, "deinit leaves alone what is not its own");
        error
    };
    let link = |name: &'static str| {
        move |repo: &Repo| {
            hook(repo, "pre-push", "#!/bin/sh\n");
            repo.write("mine", "#!/bin/sh\n");
            symlink("../../mine", repo.path(name)).unwrap();
        }
    };
    refused(&link(".git/hooks/pre-commit"), 5, "not-a-regular-file");
    refused(&link(".git/hooks/pre-push.before-bus"), 5, "not-a-regular-file");
    let elsewhere = refused(
        &|repo| drop(repo.git(&["config", "core.hooksPath", ".husky"])),
        3,
        "hooks-elsewhere",
    );
    assert!(elsewhere["folder"].as_str().unwrap().ends_with("/main/.husky"), "{elsewhere}");
    refused(
        &|repo| drop(repo.git(&["config", "--global", "core.hooksPath", "~/hooks"])),
        3,
        "hooks-elsewhere",
    );
}

#[test]
fn a_hook_manager_beside_ours_is_left_alone_and_named() {
    let repo = Repo::new();
    hook(&repo, "pre-push", "#!/bin/sh\n# a manager\n");
    hook(&repo, "pre-push.before-bus", "#!/bin/sh\n# mine\n");
    let before = hooks(&repo);
    let ran = repo.bus(&["init", "--hooks"]).ok();
    let ran = ran.says("`.git/hooks/pre-push` is another tool's").says("bus check --staged");
    assert!(!ran.stdout.contains("pre-push"), "{}", ran.stdout);
    assert_eq!(repo.read(".git/hooks/pre-push"), "#!/bin/sh\n# a manager\n");
    assert_eq!(repo.read(".git/hooks/pre-commit"), PRE_COMMIT, "the others are put in");
    repo.bus(&["deinit"]).ok();
    assert_eq!(hooks(&repo), before);
}

#[test]
fn a_hook_that_pre_commit_has_moved_and_runs_is_in_order() {
    let repo = Repo::new();
    hook(&repo, "pre-commit", "#!/bin/sh\nexit 0\n");
    repo.bus(&["init", "--hooks"]).ok();
    let name = |end: &str| repo.path(&format!(".git/hooks/pre-commit{end}"));
    fs::rename(name(""), name(".legacy")).unwrap();
    hook(&repo, "pre-commit", "#!/bin/sh\n# hook-impl\n");
    let ran = repo.bus(&["init", "--hooks"]).ok();
    assert!(!ran.stderr.contains("another tool"), "{}", ran.transcript);
    assert_eq!(repo.read(".git/hooks/pre-commit"), "#!/bin/sh\n# hook-impl\n");
    // One of an older version is brought up to date where it is.
    hook(&repo, "pre-commit.legacy", "#!/bin/sh\n# bus: hook of an older version\n");
    repo.bus(&["init", "--hooks"]).ok();
    assert_eq!(repo.read(".git/hooks/pre-commit.legacy"), PRE_COMMIT);
    repo.bus(&["deinit"]).ok();
    assert!(!name(".legacy").exists() && name("").exists());
}

#[test]
fn doctor_finds_hooks_that_do_not_run_any_more() {
    let found = |repo: &Repo| {
        let answer = repo.bus(&["doctor", "--json"]).run().json();
        let findings = answer["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["name"] == "silent-hook")
            .map(|finding| format!("{} {}", finding["place"].as_str().unwrap(), finding["message"]))
            .collect::<Vec<_>>()
    };
    let repo = Repo::new();
    assert_eq!(found(&repo), [""; 0], "nobody asked for hooks");
    hook(&repo, "pre-commit", "#!/bin/sh\n");
    assert_eq!(found(&repo), [""; 0], "none of them is of bus");
    repo.bus(&["init", "--hooks"]).ok();
    repo.bus(&["doctor"]).ok();
    let name = |end: &str| repo.path(&format!(".git/hooks/pre-commit{end}"));
    // husky
    repo.git(&["config", "core.hooksPath", ".husky/_"]);
    assert!(found(&repo)[0].contains("/.husky/_"), "{:?}", found(&repo));
    repo.git(&["config", "--unset", "core.hooksPath"]);
    // lefthook
    fs::rename(name(""), name(".old")).unwrap();
    hook(&repo, "pre-commit", "#!/bin/sh\n# lefthook\n");
    assert!(found(&repo)[0].contains("renamed to `pre-commit.old`"), "{:?}", found(&repo));
    hook(&repo, "pre-commit", "#!/bin/sh\nbus check --staged\n");
    assert_eq!(found(&repo), [""; 0], "it calls bus itself");
    // One is gone, and one is no program.
    fs::remove_file(repo.path(".git/hooks/pre-push")).unwrap();
    let path = repo.path(".git/hooks/prepare-commit-msg");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let silent = found(&repo);
    assert!(
        silent[0].contains("prepare-commit-msg") && silent[0].contains("no program"),
        "{silent:?}"
    );
    assert!(silent[1].contains("pre-push") && silent[1].contains("not there"), "{silent:?}");
    repo.bus(&["init", "--hooks"]).ok();
    assert_eq!(found(&repo), [""; 0]);
}

#[test]
fn a_hooks_path_that_names_gits_own_folder_is_none() {
    let repo = Repo::new();
    repo.git(&["config", "core.hooksPath", repo.path(".git/hooks").to_str().unwrap()]);
    repo.bus(&["init", "--hooks"]).ok();
    assert_eq!(repo.read(".git/hooks/pre-commit"), PRE_COMMIT);
}

#[test]
fn a_run_that_was_killed_between_two_renames_is_finished_by_the_next() {
    let repo = Repo::new();
    hook(&repo, "pre-commit", "#!/bin/sh\n# mine\n");
    let before = hooks(&repo);
    repo.bus(&["init", "--hooks"]).env("BUS_CRASH_AT", "file-written-aside").run();
    assert!(
        repo.path(".git/hooks/pre-commit.before-bus").exists()
            && !repo.path(".git/hooks/pre-commit").exists()
    );
    repo.bus(&["init", "--hooks"]).ok();
    assert_eq!(repo.read(".git/hooks/pre-commit"), PRE_COMMIT);
    repo.bus(&["deinit"]).ok();
    assert_eq!(hooks(&repo), before);
}
