//! `ci/validate.sh` and the binary together, against a bare remote that has the refs of a fleet;
//! and the audit of what stands there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Bus, Ran, Repo};
use super::stub::Stub;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/validate.sh");
const WORKFLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/github/bus.yml");
const BRANCH: &str = "agent/codex-1/queue-001";
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const IGNORED: &str = "/*\n!/.gitignore\n!/README.md\n!/config.toml\n!/meta/\n";
const POLICY: &str =
    "[records]\ntracked = false\n[fleet]\nremote = \"origin\"\nid = \"0123456789ab\"\n";

/// A clone with a bare remote, which has `main`, with an untracked bus, and a branch of codex-1's.
struct Forge {
    repo: Repo,
}

impl Forge {
    fn new(more: &str) -> Self {
        let repo = Repo::bare_of_bus();
        repo.write("_bus/README.md", "A bus.\n");
        repo.write("_bus/.gitignore", IGNORED);
        repo.write("_bus/config.toml", format!("{POLICY}{more}"));
        repo.write("ci/validate.sh", fs::read(SCRIPT).unwrap());
        repo.commit_all("bus");
        repo.git(&["switch", "--quiet", "--create", BRANCH]);
        repo.write("src/app.rs", "fn main() {}\n");
        repo.commit_all("work");
        repo.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            Self::remote(&repo).to_str().unwrap(),
        ]);
        repo.git(&[
            "remote",
            "add",
            "origin",
            &format!("file://{}", Self::remote(&repo).display()),
        ]);
        repo.git(&["push", "--quiet", "origin", "main", BRANCH]);
        let forge = Self { repo };
        forge.put("refs/bus/fleet", &forge.commit(None, "bus", "fleet 0123456789ab"));
        forge
    }

    fn remote(repo: &Repo) -> PathBuf {
        repo.beside("remote.git")
    }

    /// Runs git in the remote.
    fn git(&self, arguments: &[&str]) -> String {
        self.repo.git_in(&Self::remote(&self.repo), arguments).trim().to_owned()
    }

    fn put(&self, name: &str, id: &str) {
        self.git(&["update-ref", name, id]);
    }

    /// A commit of the remote on the empty tree.
    fn commit(&self, parent: Option<&str>, author: &str, message: &str) -> String {
        let author = [format!("user.name={author}"), format!("user.email={author}@bus.invalid")];
        let mut arguments =
            vec!["-c", &author[0], "-c", &author[1], "commit-tree", EMPTY_TREE, "-m", message];
        arguments.extend(parent.map(|parent| ["-p", parent]).into_iter().flatten());
        self.git(&arguments)
    }

    /// Adds states to the chain of QUEUE-001, each by its owner; returns the tip.
    fn claim(&self, states: &[Value]) -> String {
        let mut tip: Option<String> = None;
        for state in states {
            let author = state["agent_id"].as_str().unwrap();
            tip = Some(self.commit(tip.as_deref(), author, &format!("claim QUEUE-001\n\n{state}")));
        }
        let tip = tip.unwrap();
        self.put("refs/bus/claims/QUEUE-001", &tip);
        tip
    }

    /// What a CI job checks out: one commit without history.
    fn job(&self, name: &str) -> PathBuf {
        let folder = self.repo.beside("job");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let git = |arguments: &[&str]| self.repo.git_in(&folder, arguments);
        git(&["init", "--quiet"]);
        git(&[
            "remote",
            "add",
            "origin",
            &format!("file://{}", Self::remote(&self.repo).display()),
        ]);
        git(&["fetch", "--quiet", "--no-tags", "--depth=1", "origin", name]);
        git(&["checkout", "--quiet", "--detach", "FETCH_HEAD"]);
        folder
    }

    /// Judges the branch as CI does.
    fn judge(&self) -> Bus<'_> {
        let job = self.job(BRANCH);
        self.script(&job, &["origin/main", "--format", "json"]).env("GITHUB_HEAD_REF", BRANCH)
    }

    fn script(&self, job: &Path, arguments: &[&str]) -> Bus<'_> {
        let run = self
            .repo
            .other("sh", &[&[SCRIPT], arguments].concat())
            .within(job)
            .env("BUS", env!("CARGO_BIN_EXE_bus"));
        run.env("GITHUB_ACTIONS", "true")
    }
}

fn state(agent: &str, id: &str, revision: u64, more: &Value) -> Value {
    let mut state = json!({
        "agent_id": agent,
        "branch": format!("agent/{agent}/queue-001"),
        "claim_id": id,
        "claimed_at": "2026-03-01T10:00:00Z",
        "revision": revision,
        "status": "active",
        "task_id": "QUEUE-001",
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    state
}

fn taken_over() -> [Value; 2] {
    let past = json!({"agent_id": "codex-1", "at": "2026-03-01T11:00:00Z", "by": "codex-2", "claim_id": "c1", "ended": "reclaimed"});
    [state("codex-1", "c1", 1, &json!({})), state("codex-2", "c2", 2, &json!({"lineage": [past]}))]
}

/// The rules that are broken, each with its severity.
fn found(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let findings =
        report["findings"].as_array().unwrap_or_else(|| panic!("{}", ran.transcript)).iter();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    findings
        .map(|finding| {
            format!(
                "{} {} {}",
                text(finding, "severity"),
                text(finding, "rule"),
                text(finding, "path")
            )
        })
        .collect()
}

#[test]
fn a_branch_is_judged_by_the_claim_that_the_remote_has() {
    let forge = Forge::new("");
    let place = format!("refs/heads/{BRANCH}");
    assert_eq!(found(&forge.judge().ok()), [format!("warning unclaimed-branch {place}")]);
    forge.claim(&[state("codex-1", "c1", 1, &json!({}))]);
    let ran = forge.judge().ok();
    assert_eq!(
        (found(&ran).len(), ran.json()["fleet"].as_str().unwrap()),
        (0, "read"),
        "{}",
        ran.transcript
    );
    forge.claim(&taken_over());
    assert_eq!(found(&forge.judge().exits(1)), [format!("error claim-lost {place}")]);
}

#[test]
fn a_claim_that_is_required_is_one_that_was_looked_for() {
    let forge = Forge::new("[ci]\nclaims = \"required\"\n");
    let place = format!("refs/heads/{BRANCH}");
    assert_eq!(found(&forge.judge().exits(1)), [format!("error unclaimed-branch {place}")]);
    forge.claim(&[state("codex-1", "c1", 1, &json!({}))]);
    forge.judge().ok();
    let job = forge.job(BRANCH);
    forge.repo.git_in(
        &job,
        &["fetch", "--quiet", "--depth=2", "origin", BRANCH, "main:refs/remotes/origin/main"],
    );
    forge.repo.git_in(&job, &["remote", "set-url", "origin", "file:///nothing/there"]);
    let run = forge
        .script(&job, &["origin/main", "--format", "json"])
        .env("GITHUB_HEAD_REF", BRANCH)
        .exits(1);
    assert_eq!(found(&run), [format!("error not-judged {place}")]);
    assert_eq!(run.json()["fleet"], "unread");
}

#[test]
fn a_claim_that_was_archived_is_fetched_by_its_name_in_the_archive() {
    let forge = Forge::new("[ci]\nclaims = \"required\"\n");
    let done = json!({"status": "done", "released_at": "2026-03-01T11:00:00Z"});
    let tip =
        forge.claim(&[state("codex-1", "c1", 1, &json!({})), state("codex-1", "c1", 2, &done)]);
    let folder = forge.repo.beside("name");
    fs::write(&folder, "QUEUE-001").unwrap();
    let hash = forge.git(&["hash-object", folder.to_str().unwrap()]);
    let tree = |entry: &str| {
        fs::write(&folder, format!("{entry}\n")).unwrap();
        let done = forge.repo.git_answers(
            &["--git-dir", Forge::remote(&forge.repo).to_str().unwrap(), "mktree", "--missing"],
            fs::File::open(&folder).unwrap(),
        );
        done.trim().to_owned()
    };
    let inner = tree(&format!("160000 commit {tip}\tQUEUE-001"));
    let outer = tree(&format!("040000 tree {inner}\t{}", &hash[..2]));
    let archive = forge.git(&[
        "-c",
        "user.name=bus",
        "-c",
        "user.email=bus@bus.invalid",
        "commit-tree",
        &outer,
        "-p",
        &tip,
        "-m",
        "archive",
    ]);
    forge.put("refs/bus/archive", &archive);
    forge.git(&["update-ref", "-d", "refs/bus/claims/QUEUE-001"]);
    forge.judge().ok();
}

#[test]
fn leases_come_from_the_remotes_table() {
    let forge = Forge::new("");
    forge.claim(&[state("codex-1", "c1", 1, &json!({}))]);
    let lease = json!({
        "expires_at": "2026-03-01T12:50:00Z", "heartbeat": "2026-03-01T12:00:00Z", "lock_id": "L-0000001", "mode": "exclusive",
        "objective": "x", "owner": "codex-2", "revision": 1, "scope": ["src/**"], "start_time": "2026-03-01T12:00:00Z",
    });
    let table = json!({"changed": [], "leases": [lease], "revision": 1});
    forge.put("refs/bus/locks", &forge.commit(None, "codex-2", &format!("acquire\n\n{table}")));
    assert_eq!(found(&forge.judge().exits(1)), ["error path-leased src/app.rs"]);
}

#[test]
fn a_branch_of_a_fork_is_judged_as_nobodys_with_and_without_the_script() {
    let forge = Forge::new("[ci]\nclaims = \"required\"\n");
    let event = forge.repo.beside("event.json");
    let pull = json!({"pull_request": {"head": {"repo": {"full_name": "stranger/repo"}}, "base": {"repo": {"full_name": "owner/repo"}}}});
    // GitHub puts the head first.
    let base = pull["pull_request"]["base"].to_string();
    let head = pull["pull_request"]["head"].to_string();
    fs::write(&event, format!("{{\"pull_request\":{{\"head\":{head},\"base\":{base}}}}}")).unwrap();
    let as_pull = |run: Bus<'_>, path: &Path| {
        let run = run
            .env("GITHUB_EVENT_NAME", "pull_request")
            .env("GITHUB_SHA", &"0".repeat(40))
            .env("GITHUB_REPOSITORY", "owner/repo");
        run.env("GITHUB_EVENT_PATH", path.to_str().unwrap()).ok()
    };
    let ran = as_pull(forge.judge(), &event);
    assert_eq!((found(&ran).len(), &ran.json()["branch"]), (0, &Value::Null), "{}", ran.transcript);
    let job = forge.repo.beside("job");
    let direct = || {
        let run = forge.repo.bus(&["validate", "--base", "origin/main", "--json"]).within(&job);
        run.env("GITHUB_ACTIONS", "true")
            .env("GITHUB_HEAD_REF", BRANCH)
            .env("GITHUB_EVENT_PATH", event.to_str().unwrap())
    };
    assert_eq!(found(&direct().ok()).len(), 0);
    fs::write(&event, pull.to_string().replace("stranger", "owner")).unwrap();
    assert_eq!(found(&direct().exits(1)).len(), 1, "nothing was fetched of the fleet");
}

#[test]
fn a_pull_request_that_changes_the_script_is_judged_by_that_of_its_base() {
    let forge = Forge::new("[ci]\nclaims = \"required\"\n");
    forge.repo.write("ci/validate.sh", "touch pwned\nexit 0\n");
    forge.repo.commit_all("evil");
    forge.repo.git(&["push", "--quiet", "origin", BRANCH]);
    let workflow = fs::read_to_string(WORKFLOW).unwrap();
    let step = workflow.split("      - name: Validate\n").nth(1).unwrap();
    let lines = step
        .split("        run: |\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("          "));
    let run: Vec<&str> = lines.map(str::trim_start).collect();
    let job = forge.job(BRANCH);
    let base = forge.git(&["rev-parse", "main"]);
    let stub = Stub::new(&forge.repo).without_bus();
    let command =
        stub.run("sh", &job, &["-e", "-c", &run.join("\n")]).env("BUS", env!("CARGO_BIN_EXE_bus"));
    let command = command
        .env("RUNNER_TEMP", forge.repo.beside("home").to_str().unwrap())
        .env("BUS_BASE_SHA", &base);
    let ran = command
        .env("BUS_BASE", "origin/main")
        .env("GITHUB_HEAD_REF", BRANCH)
        .env("GITHUB_ACTIONS", "true")
        .exits(1);
    assert!(
        ran.stdout.contains("::error file=refs/heads/agent/codex-1/queue-001"),
        "{}",
        ran.transcript
    );
    assert!(!job.join("pwned").exists());
}

#[test]
fn an_audit_reads_all_refs_and_what_landings_say_of_the_logs() {
    let forge = Forge::new("");
    forge.claim(&taken_over());
    let log = forge.commit(None, "k1", "log");
    let next = forge.commit(Some(&log), "k1", "log");
    forge.put("refs/bus/log/k1", &next);
    let land = |commit: &str| {
        forge.repo.git(&["switch", "--quiet", "main"]);
        forge.repo.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            &format!("land\n\nBus-Task: QUEUE-001\nBus-Log: k1={commit}"),
        ]);
        forge.repo.git(&["push", "--quiet", "origin", "main"]);
    };
    land(&log);
    let audit = || {
        let job = forge.job("main");
        forge.script(&job, &["--fleet", "--format", "json"])
    };
    let ran = audit().ok();
    assert_eq!((found(&ran).len(), &ran.json()["files"]), (0, &json!(2)), "{}", ran.transcript);
    // The log was set back, and then removed.
    land(&next);
    forge.put("refs/bus/log/k1", &log);
    assert_eq!(found(&audit().exits(1)), ["error log-rewritten refs/bus/log/k1"]);
    forge.git(&["update-ref", "-d", "refs/bus/log/k1"]);
    assert_eq!(found(&audit().exits(1)), ["error log-rewritten refs/bus/log/k1"; 2]);
}

#[test]
fn an_audit_without_refs_says_so_and_passes_nothing() {
    let repo = Repo::bare_of_bus();
    let error = repo.bus(&["validate", "--fleet"]).fails(4, "no-fleet");
    assert!(error["hint"].as_str().unwrap().contains("git fetch origin"), "{error}");
    repo.bus(&["validate", "--fleet", "--base", "main"]).exits(2);
}

#[test]
fn copies_that_git_ignores_are_in_no_change() {
    let repo = Repo::bare_of_bus();
    repo.write("_bus/config.toml", "[records]\ntracked = false\n");
    repo.write("_bus/.gitignore", IGNORED);
    repo.commit_all("bus");
    // Not even a torn one matters, since nobody reads it.
    repo.write("_bus/claims/QUEUE-001.json", "{");
    repo.write("_bus/events/codex-1.jsonl", "{\"agent_id\":");
    for base in [&[][..], &["--base", "main"]] {
        let ran = repo.bus(&[&["validate", "--strict", "--json"], base].concat()).ok();
        assert_eq!(ran.json()["records"], "untracked");
        ran.says("only work files were judged");
    }
    // Once git has it, it is in the next commit.
    repo.git(&["add", "--force", "_bus/claims/QUEUE-001.json"]);
    for base in [&[][..], &["--base", "main"]] {
        let ran = repo.bus(&[&["validate", "--json"], base].concat()).exits(1);
        assert_eq!(found(&ran), ["error tracked-record _bus/claims/QUEUE-001.json"]);
    }
    let ran = repo.bus(&["validate"]).exits(1);
    assert!(ran.stdout.contains("git rm --cached"), "{}", ran.transcript);
    repo.git(&["rm", "--quiet", "--cached", "_bus/claims/QUEUE-001.json"]);
    repo.bus(&["validate"]).ok();
}

#[test]
fn an_agents_clone_judges_its_branch_by_what_its_claim_fetched() {
    let repo = Repo::new();
    let remote = Forge::remote(&repo);
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", remote.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", &format!("file://{}", remote.display())]);
    repo.bus(&["init", "--remote", "origin"]).ok();
    repo.commit_all("fleet");
    repo.git(&["push", "--quiet", "origin", "main"]);
    repo.git(&["fetch", "--quiet", "origin"]);
    repo.git(&["switch", "--quiet", "--create", BRANCH]);
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    assert_eq!(repo.git(&["for-each-ref", "refs/bus-remote/origin/fleet"]), "");
    let validate = ["validate", "--base", "origin/main"];
    let ran = repo.bus(&validate).ok();
    assert!(!ran.stdout.contains("[not-judged]"), "{}", ran.stdout);
    // What is of another fleet proves nothing.
    let root = repo.git(&["commit-tree", EMPTY_TREE, "-m", "fleet ba9876543210"]);
    repo.git(&["update-ref", "refs/bus-remote/origin/fleet", root.trim()]);
    let ran = repo.bus(&validate).ok();
    assert!(ran.stdout.contains("[not-judged]"), "{}", ran.stdout);
}
