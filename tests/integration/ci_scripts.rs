//! `ci/validate.sh` as CI jobs run it: which base it picks, how far it deepens a clone, and what it
//! hands on.

use std::fs;
use std::path::{Path, PathBuf};

use super::harness::{Bus, Repo};
use super::stub::Stub;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/validate.sh");

/// A repository with commits `m1` to `m9` on `main`, which it serves, and a pull request that left
/// at `m5`: `p1` to `p3` on `agent/a/x`, merged into `m9` as `refs/pull/1/merge`.
fn served() -> Repo {
    let repo = Repo::bare_of_bus();
    let commit = |name: String| {
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", &name]);
        repo.git(&["tag", &name]);
    };
    (1..=5).for_each(|number| commit(format!("m{number}")));
    repo.git(&["checkout", "--quiet", "-b", "agent/a/x"]);
    (1..=3).for_each(|number| commit(format!("p{number}")));
    repo.git(&["checkout", "--quiet", "main"]);
    (6..=9).for_each(|number| commit(format!("m{number}")));
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.git(&["merge", "--quiet", "--no-edit", "agent/a/x"]);
    repo.git(&["update-ref", "refs/pull/1/merge", "HEAD"]);
    repo.git(&["checkout", "--quiet", "main"]);
    repo
}

/// The id of a commit in the served repository.
fn id(repo: &Repo, name: &str) -> String {
    repo.git(&["rev-parse", name]).trim().to_owned()
}

/// What a CI service checks out: one commit without history, over the network's protocol.
fn checkout(repo: &Repo, name: &str) -> PathBuf {
    let folder = repo.beside("job");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    repo.git_in(&folder, &["init", "--quiet"]);
    repo.git_in(
        &folder,
        &["remote", "add", "origin", &format!("file://{}", repo.root().display())],
    );
    repo.git_in(
        &folder,
        &["fetch", "--quiet", "--no-tags", "--depth=1", "origin", &id(repo, name)],
    );
    repo.git_in(&folder, &["checkout", "--quiet", "--detach", "FETCH_HEAD"]);
    folder
}

/// Whether the clone has a commit of the served repository.
fn has(repo: &Repo, folder: &Path, name: &str) -> bool {
    repo.try_git_in(folder, &["cat-file", "-e", &id(repo, name)]).status.success()
}

fn validate<'a>(stub: &Stub<'a>, folder: &Path, arguments: &[&str]) -> Bus<'a> {
    stub.run(SCRIPT, folder, arguments)
}

/// The variables that GitHub sets in a job for the pull request.
fn pull_request<'a>(repo: &Repo, job: Bus<'a>, sha: &str) -> Bus<'a> {
    job.env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_SHA", &id(repo, sha))
        .env("GITHUB_BASE_REF", "main")
}

/// The one call of the stub, without the folder.
fn call(stub: &Stub) -> String {
    let calls = stub.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    calls[0].rsplit_once(" in ").unwrap().0.to_owned()
}

#[test]
fn a_pull_request_is_judged_against_what_github_merged_it_into() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "refs/pull/1/merge");
    pull_request(&repo, validate(&stub, &job, &[]), "refs/pull/1/merge").ok();
    assert_eq!(call(&stub), format!("validate --base {}", id(&repo, "m9")));
    assert!(has(&repo, &job, "m9") && has(&repo, &job, "p3"));
    assert!(
        !has(&repo, &job, "m8") && !has(&repo, &job, "p2"),
        "it is deepened by one commit, no more"
    );
    assert_eq!(repo.git_in(&job, &["for-each-ref"]), "", "no branch is fetched");
}

#[test]
fn a_pull_request_whose_own_head_is_checked_out_is_judged_from_where_it_left() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "p3");
    pull_request(&repo, validate(&stub, &job, &[]), "refs/pull/1/merge").ok();
    assert_eq!(call(&stub), "validate --base refs/remotes/origin/main");
    let parted = repo.git_in(&job, &["merge-base", "refs/remotes/origin/main", "HEAD"]);
    assert_eq!(parted.trim(), id(&repo, "m5"));
    assert_eq!(
        repo.git_in(&job, &["for-each-ref", "--format=%(refname)"]),
        "refs/remotes/origin/main\n"
    );
    // One's own merge is no merge of GitHub's: its first parent may be anything.
    let job = checkout(&repo, "refs/pull/1/merge");
    pull_request(&repo, validate(&stub, &job, &[]), "m9").ok();
    assert_eq!(call(&stub), "validate --base refs/remotes/origin/main");
}

#[test]
fn a_push_is_judged_against_what_the_branch_was_at() {
    let repo = served();
    let stub = Stub::new(&repo);
    for event in ["push", "merge_group"] {
        let job = checkout(&repo, "m9");
        let before = id(&repo, "m5");
        validate(&stub, &job, &[]).env("GITHUB_EVENT_NAME", event).env("BUS_BEFORE", &before).ok();
        assert_eq!(call(&stub), format!("validate --base {before}"));
        assert_eq!(repo.git_in(&job, &["merge-base", &before, "HEAD"]).trim(), before);
        assert!(!has(&repo, &job, "m1~1"), "some more are fetched at a time, but not all");
    }
    // A forced push: what was there is no ancestor.
    let job = checkout(&repo, "m9");
    validate(&stub, &job, &[])
        .env("GITHUB_EVENT_NAME", "push")
        .env("BUS_BEFORE", &id(&repo, "p3"))
        .ok();
    assert_eq!(call(&stub), format!("validate --base {}", id(&repo, "p3")));
    assert_eq!(
        repo.git_in(&job, &["merge-base", "HEAD", &id(&repo, "p3")]).trim(),
        id(&repo, "m5")
    );
}

#[test]
fn a_push_that_has_nothing_before_it_is_judged_without_history_and_says_so() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "m9");
    for before in ["0".repeat(40), "1".repeat(40)] {
        let ran = validate(&stub, &job, &[])
            .env("GITHUB_EVENT_NAME", "push")
            .env("BUS_BEFORE", &before)
            .ok();
        ran.says("everything is judged, and no history");
        assert_eq!(call(&stub), "validate --base=");
    }
    repo.git_in(&job, &["fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
    repo.git_in(&job, &["remote", "set-head", "origin", "main"]);
    // What is the default branch itself has nothing before it; what is beside it has.
    validate(&stub, &job, &[]).ok();
    assert_eq!(call(&stub), "validate --base=");
    repo.git_in(&job, &["checkout", "--quiet", "origin/agent/a/x"]);
    validate(&stub, &job, &[]).ok();
    assert_eq!(call(&stub), "validate --base refs/remotes/origin/HEAD");
}

#[test]
fn a_base_that_was_promised_and_is_gone_is_left_to_bus_to_refuse() {
    let repo = served();
    let stub = Stub::new(&repo);
    let gone = "1".repeat(40);
    let job = checkout(&repo, "m9");
    stub.ends_with(4);
    validate(&stub, &job, &[&gone]).exits(4).says("have no commit in common");
    assert_eq!(call(&stub), format!("validate --base {gone}"));
    validate(&stub, &job, &[])
        .env("GITHUB_EVENT_NAME", "merge_group")
        .env("BUS_BEFORE", &gone)
        .exits(4);
    assert_eq!(call(&stub), format!("validate --base {gone}"));
    pull_request(&repo, validate(&stub, &job, &[]), "m8").env("GITHUB_BASE_REF", "gone").exits(4);
    assert_eq!(call(&stub), "validate --base refs/remotes/origin/gone");
}

#[test]
fn a_merge_request_of_gitlab_is_judged_from_where_gitlab_says_it_left() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "p3");
    let base = id(&repo, "m5");
    let gitlab = || {
        let job = validate(&stub, &job, &[]).env("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base);
        job.env("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "agent/a/x")
    };
    gitlab().ok();
    assert_eq!(call(&stub), format!("validate --branch=agent/a/x --base {base}"));
    assert!(has(&repo, &job, "m5") && !has(&repo, &job, "m9"));
    gitlab().env("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main").ok();
    assert_eq!(
        call(&stub),
        "validate --branch=agent/a/x --base refs/remotes/origin/main",
        "who holds a task there counts, too"
    );
    gitlab().env("BUS_BASE", "agent/a/x").ok();
    assert_eq!(call(&stub), "validate --branch=agent/a/x --base refs/remotes/origin/agent/a/x");
    let job = checkout(&repo, "m9");
    validate(&stub, &job, &[])
        .env("CI_COMMIT_BEFORE_SHA", &base)
        .env("CI_COMMIT_BRANCH", "main")
        .ok();
    assert_eq!(call(&stub), format!("validate --branch=main --base {base}"));
}

#[test]
fn a_base_that_is_named_wins_and_a_server_that_hands_out_no_commits_by_name_is_no_obstacle() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "m9");
    let named = validate(&stub, &job, &[&id(&repo, "m2"), "--strict"]).env("BUS_BASE", "main");
    let named = pull_request(&repo, named, "m9");
    // The older protocol asks for branches only.
    named
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "protocol.version")
        .env("GIT_CONFIG_VALUE_0", "0")
        .ok();
    assert_eq!(call(&stub), format!("validate --base {} --strict", id(&repo, "m2")));
    assert!(has(&repo, &job, "m2"));
    validate(&stub, &job, &["HEAD~1", "--format", "json"]).ok();
    assert_eq!(call(&stub), "validate --base HEAD~1 --format json");
    validate(&stub, &job, &["--strict"]).env("BUS_BASE", "origin/agent/a/x").ok();
    assert_eq!(call(&stub), "validate --base refs/remotes/origin/agent/a/x --strict");
    validate(&stub, &job, &[]).env("BUS_BASE", "--output=x").exits(2);
    assert!(stub.calls().is_empty());
}

#[test]
fn branches_that_the_check_needs_are_fetched_and_no_others() {
    let repo = served();
    repo.git(&["branch", "agent/b/y"]);
    repo.git(&["branch", "feature"]);
    repo.git(&["update-ref", "refs/bus/claims/T-1", "m1"]);
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "m9");
    validate(&stub, &job, &["HEAD"]).env("BUS_REFS", "agent/*/x agent/b/y").ok();
    assert_eq!(
        call(&stub),
        "validate --base HEAD --refs=refs/remotes/origin/agent/b/y --refs=refs/remotes/origin/agent/*/x"
    );
    assert_eq!(
        refs(&repo, &job),
        ["refs/remotes/origin/agent/a/x", "refs/remotes/origin/agent/b/y"]
    );
    assert!(!has(&repo, &job, "p2"), "of the branches only the tips");
    validate(&stub, &job, &["HEAD"])
        .env("BUS_REFS", "gone")
        .exits(7)
        .says("cannot fetch the branches gone");
    assert!(stub.calls().is_empty());
    validate(&stub, &job, &["HEAD"]).env("BUS_REFS", "gone/*").ok();
    assert_eq!(call(&stub), "validate --base HEAD --refs=refs/remotes/origin/gone/*");
}

/// The refs of a clone.
fn refs(repo: &Repo, folder: &Path) -> Vec<String> {
    repo.git_in(folder, &["for-each-ref", "--format=%(refname)"])
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A chain of `states` commits at a ref of the served repository.
fn chain(repo: &Repo, name: &str, states: usize) {
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let mut tip = repo.git(&["commit-tree", tree, "-m", name]).trim().to_owned();
    for state in 1..states {
        tip = repo
            .git(&["commit-tree", tree, "-p", &tip, "-m", &format!("{name} {state}")])
            .trim()
            .to_owned();
    }
    repo.git(&["update-ref", name, &tip]);
}

#[test]
fn of_the_fleets_refs_only_those_of_the_branchs_tasks_are_fetched() {
    for (prefix, number) in [("refs/bus", 5), ("refs/heads/bus", 1)] {
        let repo = served();
        for name in ["X", "QUEUE-001", "QUEUE-7", "Y-2", "OTHER"] {
            chain(&repo, &format!("{prefix}/claims/{name}"), 3);
        }
        ["fleet", "locks", "log/k1"]
            .iter()
            .for_each(|name| chain(&repo, &format!("{prefix}/{name}"), 3));
        let stub = Stub::new(&repo);
        let cases: [(&str, &[&str]); 5] = [
            ("agent/a/x", &["claims/X", "fleet", "locks"]),
            ("agent/a/queue-001-fix/more", &["claims/QUEUE-001", "fleet", "locks"]),
            ("agent/a/queue-007", &["claims/QUEUE-7", "fleet", "locks"]),
            ("agent/a/new", &["fleet", "locks"]),
            ("topic", &[]),
        ];
        let job = checkout(&repo, "p3");
        for (branch, expected) in cases.into_iter().take(number) {
            refs(&repo, &job)
                .iter()
                .for_each(|name| drop(repo.git_in(&job, &["update-ref", "-d", name])));
            validate(&stub, &job, &["HEAD~1"]).env("GITHUB_HEAD_REF", branch).ok();
            assert!(call(&stub).starts_with("validate --base HEAD~1"));
            let expected: Vec<String> =
                expected.iter().map(|name| format!("refs/bus-remote/origin/{name}")).collect();
            assert_eq!(refs(&repo, &job), expected, "{branch}");
            for name in expected {
                let states = repo.git_in(&job, &["rev-list", "--count", &name]);
                assert_eq!(
                    states.trim(),
                    if name.contains("claims") { "3" } else { "1" },
                    "{name}"
                );
            }
        }
        // The branch that the options name counts, whatever the service calls the one that it
        // tries.
        for option in [&["--branch=agent/a/x"][..], &["--branch", "agent/a/x"], &["--branch="]] {
            refs(&repo, &job)
                .iter()
                .for_each(|name| drop(repo.git_in(&job, &["update-ref", "-d", name])));
            validate(&stub, &job, &[&["HEAD~1"], option].concat())
                .env("GITHUB_HEAD_REF", "agent/a/y-2")
                .ok();
            let fetched = refs(&repo, &job)
                .iter()
                .filter(|name| name.contains("/claims/"))
                .cloned()
                .collect::<Vec<_>>();
            let expected: &[&str] =
                if option == ["--branch="] { &[] } else { &["refs/bus-remote/origin/claims/X"] };
            assert_eq!(fetched, expected, "{option:?}");
            call(&stub);
        }
    }
}

#[test]
fn tasks_whose_reports_or_claim_files_are_changed_are_fetched_too() {
    let repo = served();
    ["X", "Y-2", "Z-3", "OTHER"]
        .iter()
        .for_each(|name| chain(&repo, &format!("refs/bus/claims/{name}"), 1));
    repo.git(&["checkout", "--quiet", "agent/a/x"]);
    repo.write("_report/agent/a/y-2/tests.log", "x");
    repo.write("_report/agent/b/OTHER/tests.log", "x");
    repo.write("_bus/claims/z-3.json", "{}");
    repo.write("_bus/claims/$(touch pwned).json", "{}");
    repo.commit_all("p4");
    repo.git(&["tag", "p4"]);
    let stub = Stub::new(&repo);
    for (branch, expected) in [("agent/a/x", &["X", "Y-2", "Z-3"][..]), ("topic", &["Z-3"])] {
        let job = checkout(&repo, "p4");
        validate(&stub, &job, &[&id(&repo, "p3")]).env("GITHUB_HEAD_REF", branch).ok();
        let fetched = refs(&repo, &job);
        assert_eq!(
            fetched,
            expected
                .iter()
                .map(|task| format!("refs/bus-remote/origin/claims/{task}"))
                .collect::<Vec<_>>()
        );
        assert!(!job.join("pwned").exists());
    }
}

#[test]
fn a_policy_that_wants_leases_gets_those_that_were_given_back_as_well() {
    let repo = served();
    chain(&repo, "refs/bus/locks", 3);
    repo.git(&["checkout", "--quiet", "agent/a/x"]);
    repo.write("_bus/config.toml", "[locks]\nrequire = \"hotspots\"\n");
    repo.commit_all("policy");
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "agent/a/x");
    validate(&stub, &job, &["HEAD"]).env("GITHUB_HEAD_REF", "agent/a/x").ok();
    assert_eq!(
        repo.git_in(&job, &["rev-list", "--count", "refs/bus-remote/origin/locks"]).trim(),
        "3"
    );
}

#[test]
fn a_remote_that_does_not_answer_is_said_and_is_not_taken_for_one_without_a_fleet() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "p3");
    repo.git_in(&job, &["fetch", "--quiet", "--deepen=1", "origin", &id(&repo, "p3")]);
    repo.git_in(&job, &["remote", "set-url", "origin", "file:///nothing/there"]);
    validate(&stub, &job, &["HEAD~1"]).env("GITHUB_HEAD_REF", "agent/a/x").ok();
    assert_eq!(
        call(&stub),
        "validate --unread=origin does not say what the fleet has --base HEAD~1"
    );
    validate(&stub, &job, &["HEAD~1"]).env("GITHUB_HEAD_REF", "topic").ok();
    assert_eq!(call(&stub), "validate --base HEAD~1");
    validate(&stub, &job, &["--fleet"]).exits(7).says("origin does not say");
    assert!(stub.calls().is_empty());
}

#[test]
fn a_branch_of_a_fork_is_nobodys() {
    let repo = served();
    chain(&repo, "refs/bus/claims/X", 1);
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "p3");
    let event = repo.beside("event.json");
    let run = |text: &str| {
        fs::write(&event, text).unwrap();
        let job = pull_request(&repo, validate(&stub, &job, &["HEAD~1"]), "p3")
            .env("GITHUB_HEAD_REF", "agent/a/x");
        job.env("GITHUB_REPOSITORY", "owner/repo")
            .env("GITHUB_EVENT_PATH", event.to_str().unwrap())
            .ok();
        call(&stub)
    };
    let pull = |head: &str, title: &str| {
        serde_json::json!({"number": 1, "pull_request": {"title": title, "head": {"label": "x", "repo": {"id": 1, "full_name": head}},
            "z_base": 1, "base": {"repo": {"full_name": "owner/repo"}}}, "repository": {"full_name": "owner/repo"}})
    };
    // Keys are sorted here, and GitHub puts `head` before `base`.
    let text = |pull: &serde_json::Value, is_pretty: bool| {
        let print = |value: &serde_json::Value| {
            if is_pretty {
                serde_json::to_string_pretty(value)
            } else {
                serde_json::to_string(value)
            }
        };
        let (request, space) = (&pull["pull_request"], if is_pretty { " " } else { "" });
        let part = |name: &str| format!("\"{name}\":{space}{}", print(&request[name]).unwrap());
        format!(
            "{{\"pull_request\":{space}{{{},{},{}}}}}",
            part("title"),
            part("head"),
            part("base")
        )
    };
    let title = "\"head\":{\"full_name\":\"owner/repo\",\n\"head\": {";
    for is_pretty in [true, false] {
        assert_eq!(run(&text(&pull("owner/repo", title), is_pretty)), "validate --base HEAD~1");
        assert_eq!(refs(&repo, &job), ["refs/bus-remote/origin/claims/X"]);
        repo.git_in(&job, &["update-ref", "-d", "refs/bus-remote/origin/claims/X"]);
        assert_eq!(
            run(&text(&pull("stranger/repo", title), is_pretty)),
            "validate --branch= --base HEAD~1"
        );
        let mut gone = pull("", title);
        gone["pull_request"]["head"]["repo"] = serde_json::Value::Null;
        assert_eq!(run(&text(&gone, is_pretty)), "validate --branch= --base HEAD~1");
        assert_eq!(refs(&repo, &job), [""; 0], "of a fork's branch nothing is fetched");
    }
    let gitlab =
        validate(&stub, &job, &["HEAD~1"]).env("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "agent/a/x");
    gitlab
        .env("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "2")
        .env("CI_MERGE_REQUEST_PROJECT_ID", "1")
        .ok();
    assert_eq!(call(&stub), "validate --branch= --base HEAD~1");
}

#[test]
fn an_audit_has_all_refs_and_all_history_and_a_bus_without_a_fleet_needs_none() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "m9");
    validate(&stub, &job, &["--fleet"]).ok().says("there is no fleet to audit");
    fs::create_dir(job.join("_bus")).unwrap();
    fs::write(job.join("_bus/config.toml"), "[fleet]\n").unwrap();
    validate(&stub, &job, &["--fleet"]).exits(7).says("origin has none of its refs");
    assert!(stub.calls().is_empty());
    ["claims/X", "log/k1", "fleet"]
        .iter()
        .for_each(|name| chain(&repo, &format!("refs/bus/{name}"), 2));
    validate(&stub, &job, &["--fleet", "--strict"]).ok();
    assert_eq!(call(&stub), "validate --fleet --strict");
    let expected =
        ["claims/X", "fleet", "log/k1"].map(|name| format!("refs/bus-remote/origin/{name}"));
    assert!(expected.iter().all(|name| refs(&repo, &job).contains(name)));
    assert!(has(&repo, &job, "m1"));
}

#[test]
fn a_whole_clone_stays_whole() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = repo.beside("whole");
    repo.git(&["clone", "--quiet", "--no-tags", ".", job.to_str().unwrap()]);
    validate(&stub, &job, &[]).env("BUS_REFS", "agent/*").ok();
    assert_eq!(call(&stub), "validate --base= --refs=refs/remotes/origin/agent/*");
    assert_eq!(repo.git_in(&job, &["rev-parse", "--is-shallow-repository"]), "false\n");
}

#[test]
fn names_that_a_fork_chose_are_only_ever_names() {
    let repo = served();
    let stub = Stub::new(&repo);
    let job = checkout(&repo, "m9");
    let name = "agent/$(touch${IFS}pwned)/touch;touch pwned;`touch pwned`\" --skip '*' &";
    for variable in [
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "GITHUB_HEAD_REF",
        "BUS_BASE",
        "BUS_BEFORE",
        "GITHUB_BASE_REF",
    ] {
        let run =
            pull_request(&repo, validate(&stub, &job, &["HEAD"]), "m9").env(variable, name).ok();
        assert!(!run.stderr.contains("not found"), "{}", run.transcript);
        let expected = if variable.starts_with("CI_") {
            format!("validate --branch={name} --base HEAD")
        } else {
            "validate --base HEAD".into()
        };
        assert_eq!(call(&stub), expected);
    }
    for event in ["pull_request", "push", "merge_group", name] {
        let run =
            validate(&stub, &job, &[]).env("GITHUB_EVENT_NAME", event).env("BUS_BEFORE", name);
        run.env("GITHUB_BASE_REF", name).env("BUS_REFS", "").run();
        assert!(call(&stub).starts_with("validate"));
    }
    assert!(!job.join("pwned").exists());
}

#[test]
fn the_status_is_that_of_bus_wherever_it_comes_from() {
    let repo = served();
    let job = checkout(&repo, "m9");
    let stub = Stub::new(&repo);
    for status in [0, 1, 2, 4] {
        stub.ends_with(status);
        validate(&stub, &job, &["HEAD"]).exits(status);
    }
    assert_eq!(stub.calls().len(), 4);
    let other = stub.program("other", "echo \"other $* in $PWD\" >> \"$STUB_CALLS\"; exit 3\n");
    validate(&stub, &job, &["HEAD"]).env("BUS", other.to_str().unwrap()).exits(3);
    assert_eq!(call(&stub), "other validate --base HEAD");
    validate(&stub, &job, &["HEAD"])
        .env("BUS", "/nothing/there")
        .exits(127)
        .says("BUS names no program");
    let stub = stub.without_bus();
    stub.program("cargo", "echo \"cargo $* in $PWD\" >> \"$STUB_CALLS\"; exit \"$STUB_STATUS\"\n");
    stub.ends_with(0);
    validate(&stub, &job, &["HEAD"]).ok();
    let calls = stub.calls();
    assert!(
        calls[0].starts_with("cargo build --release --locked --manifest-path ")
            && calls[1].contains(" -- validate --base HEAD")
    );
    stub.ends_with(101);
    validate(&stub, &job, &["HEAD"]).exits(101);
    assert_eq!(stub.calls().len(), 1, "what was not built is not run");
    // Elsewhere nothing is built, and nothing is installed.
    fs::copy(SCRIPT, job.join("validate.sh")).unwrap();
    let copied = job.join("validate.sh");
    stub.run(copied.to_str().unwrap(), &job, &["HEAD"])
        .exits(127)
        .says("cargo install agent-bus --locked");
    assert!(stub.calls().is_empty());
}

#[test]
fn where_there_is_no_commit_bus_says_what_is_wrong() {
    let repo = Repo::bare_of_bus();
    let stub = Stub::new(&repo);
    let plain = repo.beside("plain");
    fs::create_dir(&plain).unwrap();
    stub.ends_with(4);
    validate(&stub, &plain, &["--strict"]).exits(4);
    assert_eq!(call(&stub), "validate --strict");
}

#[test]
fn each_service_says_in_its_own_words_which_branch_it_tries_and_what_that_is_for() {
    let repo = served();
    let stub = Stub::new(&repo);
    let base = "--base refs/remotes/origin/main";
    let (pull, push) = (
        format!("validate --branch=agent/a/x {base}"),
        "validate --branch=agent/a/x --base HEAD~1".to_owned(),
    );
    let fork = format!("validate --branch= {base}");
    let nobody = "validate --base HEAD~1".to_owned();
    for (variables, called) in [
        ("BUILDKITE_BRANCH=agent/a/x", &push),
        (
            "BUILDKITE_BRANCH=agent/a/x BUILDKITE_PULL_REQUEST=7 BUILDKITE_PULL_REQUEST_BASE_BRANCH=main BUILDKITE_REPO=git@x.org:o/r.git BUILDKITE_PULL_REQUEST_REPO=https://x.org/o/r",
            &pull,
        ),
        (
            "BUILDKITE_BRANCH=me:agent/a/x BUILDKITE_PULL_REQUEST=7 BUILDKITE_PULL_REQUEST_BASE_BRANCH=main BUILDKITE_REPO=git@x.org:o/r.git BUILDKITE_PULL_REQUEST_REPO=git://x.org/me/r.git",
            &fork,
        ),
        ("CIRCLE_BRANCH=agent/a/x", &push),
        ("BUILD_SOURCEBRANCH=refs/heads/agent/a/x", &push),
        (
            "SYSTEM_PULLREQUEST_SOURCEBRANCH=refs/heads/agent/a/x SYSTEM_PULLREQUEST_TARGETBRANCH=refs/heads/main SYSTEM_PULLREQUEST_ISFORK=False BUILD_SOURCEBRANCH=refs/pull/7/merge",
            &pull,
        ),
        (
            "SYSTEM_PULLREQUEST_SOURCEBRANCH=refs/heads/agent/a/x SYSTEM_PULLREQUEST_TARGETBRANCH=refs/heads/main SYSTEM_PULLREQUEST_ISFORK=True",
            &fork,
        ),
        ("BRANCH_NAME=PR-7 CHANGE_BRANCH=agent/a/x CHANGE_TARGET=main", &pull),
        ("BRANCH_NAME=PR-7 CHANGE_BRANCH=agent/a/x CHANGE_TARGET=main CHANGE_FORK=me", &fork),
        ("BRANCH_NAME=agent/a/x", &push),
        ("JENKINS_URL=https://x.org GIT_BRANCH=origin/agent/a/x", &push),
        ("JENKINS_URL=https://x.org GIT_BRANCH=upstream/agent/a/x", &push),
        ("JENKINS_URL=https://x.org GIT_BRANCH=detached", &nobody),
        ("JENKINS_URL=https://x.org BRANCH_NAME=agent/a/x TAG_NAME=agent/a/x", &nobody),
        ("JENKINS_URL=https://x.org BRANCH_NAME=PR-7 CHANGE_ID=7", &nobody),
        ("BUILDKITE_BRANCH=agent/a/x BUILDKITE_TAG=agent/a/x", &nobody),
        ("BITBUCKET_BRANCH=agent/a/x", &push),
        ("BITBUCKET_BRANCH=agent/a/x BITBUCKET_PR_DESTINATION_BRANCH=main", &pull),
        ("CI_COMMIT_BRANCH=agent/a/x", &push),
        ("GITHUB_REF_TYPE=branch GITHUB_REF_NAME=agent/a/x GITHUB_EVENT_NAME=push", &push),
    ] {
        let job = checkout(&repo, "p3");
        let arguments: &[&str] = if called.ends_with("HEAD~1") { &["HEAD~1"] } else { &[] };
        let run = variables.split(' ').filter_map(|variable| variable.split_once('='));
        run.fold(validate(&stub, &job, arguments), |run, (name, value)| run.env(name, value)).ok();
        assert_eq!(call(&stub), *called, "{variables}");
    }
    // A fork of CircleCI's has no branch here that it is for, and a tag no branch at all.
    for (name, value, called) in [
        ("CIRCLE_PR_REPONAME", "r", "validate --branch= --base HEAD~1"),
        ("GITHUB_REF_TYPE", "tag", "validate --base HEAD~1"),
    ] {
        let job = checkout(&repo, "p3");
        validate(&stub, &job, &["HEAD~1"])
            .env("CIRCLE_BRANCH", if value == "r" { "pull/7" } else { "" })
            .env(name, value)
            .ok();
        assert_eq!(call(&stub), called);
    }
}

#[test]
fn the_fleets_refs_are_where_the_policy_of_the_base_says() {
    let refs_of = |policy: &str| {
        let repo = served();
        repo.git(&["checkout", "--quiet", "agent/a/x"]);
        repo.write("_bus/config.toml", policy);
        repo.commit_all("policy");
        repo.git(&["tag", "policy"]);
        // The change says otherwise.
        repo.write("_bus/config.toml", "[fleet]\nprefix = \"refs/heads/bus/\"\n");
        repo.commit_all("change");
        repo.git(&["tag", "change"]);
        chain(&repo, "refs/bus/fleet", 1);
        chain(&repo, "refs/heads/bus/claims/X", 1);
        let stub = Stub::new(&repo);
        let job = checkout(&repo, "change");
        validate(&stub, &job, &[&id(&repo, "policy")]).env("GITHUB_HEAD_REF", "agent/a/x").ok();
        refs(&repo, &job)
    };
    let (fleet, claim) = ("refs/bus-remote/origin/fleet", "refs/bus-remote/origin/claims/X");
    assert_eq!(
        refs_of("[fleet]\n# The fleet.\nremote = \"origin\"\n[ci]\nprefix = \"refs/heads/bus/\"\n"),
        [fleet]
    );
    assert_eq!(refs_of("[fleet]\nprefix = \"refs/heads/bus/\"\n"), [claim]);
    assert_eq!(refs_of("[fleet]\nprefix = 'refs/heads/bus/'\n"), [claim]);
    assert_eq!(refs_of("[fleet]\nprefix = \"refs/heads/busy/\"\n"), [fleet]);
}
