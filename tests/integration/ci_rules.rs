//! Each rule that needs refs, through `ci/validate.sh` as a job runs it: a clone of one commit,
//! without a branch, that has nothing of the fleet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agent_bus::validate::{LooksAt, Rule};
use serde_json::json;

use super::harness::{Ran, Repo};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ci/validate.sh");
const CLAIM: &str = "_bus/claims/QUEUE-001.json";

/// The rules whose verdict depends on refs that a job does not have by itself, each with the test
/// that proves that the script brings them.
const NEEDS_REFS: [(Rule, &str); 12] = [
    (Rule::HandoverForged, "a_takeover_by_hand_is_forged_if_the_remotes_chain_is_anothers"),
    (Rule::HandoverUnproved, "a_takeover_is_unproved_if_the_remote_has_no_chain"),
    (Rule::DuplicateClaim, "a_second_owner_on_another_branch_of_the_remote_is_seen"),
    (Rule::LeaseOverlap, "an_old_lease_on_another_branch_of_the_remote_is_seen"),
    (Rule::PathUnleased, "a_lease_that_the_policy_wants_is_looked_for_on_the_remote"),
    (Rule::PathLeased, "validate_fleet::leases_come_from_the_remotes_table"),
    (Rule::UnclaimedBranch, "validate_fleet::a_branch_is_judged_by_the_claim_that_the_remote_has"),
    (Rule::ClaimLost, "validate_fleet::a_branch_is_judged_by_the_claim_that_the_remote_has"),
    (Rule::NotJudged, "validate_fleet::a_claim_that_is_required_is_one_that_was_looked_for"),
    (
        Rule::Tampering,
        "ci_batches::a_batch_that_no_branch_of_its_agent_has_is_tampering_in_a_job_too",
    ),
    (Rule::ChainBroken, "an_audit_finds_a_chain_that_is_broken"),
    (
        Rule::LogRewritten,
        "validate_fleet::an_audit_reads_all_refs_and_what_landings_say_of_the_logs",
    ),
];

/// A clone with a bare remote, and a tracked bus that belongs to a fleet.
struct Served(Repo);

impl Served {
    fn new(policy: &str) -> Self {
        let repo = Repo::bare_of_bus();
        let remote = repo.beside("remote.git");
        let init = ["init", "--quiet", "--bare", "--initial-branch=main"];
        repo.git(&[&init[..], &[remote.to_str().unwrap()]].concat());
        repo.git(&["remote", "add", "origin", &format!("file://{}", remote.display())]);
        repo.bus(&["init", "--tracked", "--remote", "origin"]).ok();
        // The section is there already; without a change, this replaces nothing.
        let config = repo.read("_bus/config.toml");
        repo.write("_bus/config.toml", config.replace("[locks]\n", policy));
        repo.commit_all("bus");
        repo.git(&["push", "--quiet", "origin", "main"]);
        Self(repo)
    }

    fn remote(&self) -> PathBuf {
        self.0.beside("remote.git")
    }

    /// A new branch, from where HEAD is.
    fn branch(&self, name: &str) {
        self.0.git(&["switch", "--quiet", "--create", name]);
    }

    /// Commits all, and pushes the branch.
    fn push(&self, branch: &str) {
        self.0.commit_all(branch);
        self.0.git(&["push", "--quiet", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
    }

    /// What the script says of `branch` in a job of its own.
    fn judge(&self, branch: &str, arguments: &[&str], refs: &str) -> Ran {
        let job = self.0.beside("job");
        let _ = fs::remove_dir_all(&job);
        let url = format!("file://{}", self.remote().display());
        self.0.git(&["init", "--quiet", job.to_str().unwrap()]);
        let git = |arguments: &[&str]| self.0.git_in(&job, arguments);
        git(&["remote", "add", "origin", &url]);
        git(&["fetch", "--quiet", "--no-tags", "--depth=1", "origin", branch]);
        git(&["checkout", "--quiet", "--detach", "FETCH_HEAD"]);
        let run = self.0.other("sh", &[&[SCRIPT], arguments].concat()).within(&job);
        let run = run.env("BUS", env!("CARGO_BIN_EXE_bus")).env("BUS_REFS", refs);
        run.env("CI_COMMIT_BRANCH", branch).run()
    }

    /// The rules that a change of `branch` since `main` breaks.
    fn rules(&self, branch: &str, refs: &str) -> BTreeSet<String> {
        named(&self.judge(branch, &["origin/main", "--format", "json"], refs))
    }
}

fn named(ran: &Ran) -> BTreeSet<String> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{}", ran.transcript));
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

/// `main` has the live claim of codex-1; codex-2's branch names codex-2 in its file, as a lawful
/// takeover writes it.
fn taken_over_by_hand() -> Served {
    let served = Served::new("");
    let repo = &served.0;
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    repo.commit_all("claim");
    repo.git(&["push", "--quiet", "origin", "main"]);
    served.branch("agent/codex-2/queue-001");
    let claim = repo.read(CLAIM);
    let id = claim.split("\"claim_id\": \"").nth(1).unwrap().split('"').next().unwrap();
    let past = json!([{"agent_id": "codex-1", "at": "2026-03-01T12:00:00Z", "claim_id": id, "ended": "reclaimed"}]);
    let revision = "\"revision\": 1";
    assert!(claim.contains(revision), "{claim}");
    let stolen = claim
        .replace("codex-1", "codex-2")
        .replace(id, "of-my-own")
        .replace(revision, "\"revision\": 2")
        .replace("\"origin\"", &format!("\"lineage\": {past},\n  \"origin\""));
    repo.write(CLAIM, stolen);
    served.push("agent/codex-2/queue-001");
    served
}

#[test]
fn a_takeover_by_hand_is_forged_if_the_remotes_chain_is_anothers() {
    let served = taken_over_by_hand();
    let rules = served.rules("agent/codex-2/queue-001", "");
    assert!(rules.contains("handover-forged"), "{rules:?}");
    // The same takeover by `bus` is in the chain.
    let repo = &served.0;
    repo.git(&["reset", "--quiet", "--hard", "main"]);
    repo.by("codex-2", &["reclaim", "QUEUE-001", "--force", "--note", "gone"]).ok();
    served.push("agent/codex-2/queue-001");
    assert_eq!(served.rules("agent/codex-2/queue-001", ""), set(&[]));
}

#[test]
fn a_takeover_is_unproved_if_the_remote_has_no_chain() {
    let served = taken_over_by_hand();
    let remote = served.remote();
    served.0.git_in(&remote, &["update-ref", "-d", "refs/bus/claims/QUEUE-001"]);
    let rules = served.rules("agent/codex-2/queue-001", "");
    assert!(rules.contains("handover-unproved"), "{rules:?}");
    assert!(!rules.contains("handover-forged"), "{rules:?}");
}

#[test]
fn a_second_owner_on_another_branch_of_the_remote_is_seen() {
    let served = Served::new("");
    let repo = &served.0;
    let file = |agent: &str, status: &str| {
        let mut claim = json!({
            "agent_id": agent, "branch": format!("agent/{agent}/t-9"), "claim_id": format!("c-{agent}"),
            "claimed_at": "2026-03-01T10:00:00Z", "revision": 1, "status": status, "task_id": "T-9",
        });
        if status != "active" {
            claim["released_at"] = json!("2026-03-01T11:00:00Z");
        }
        format!("{}\n", serde_json::to_string_pretty(&claim).unwrap())
    };
    let branch = |agent: &str, status: &str| {
        repo.git(&["switch", "--quiet", "--force-create", &format!("agent/{agent}/t-9"), "main"]);
        repo.write("_bus/claims/T-9.json", file(agent, status));
        served.push(&format!("agent/{agent}/t-9"));
    };
    branch("codex-1", "active");
    branch("codex-2", "active");
    let rules = served.rules("agent/codex-2/t-9", "agent/*");
    assert!(rules.contains("duplicate-claim"), "{rules:?}");
    branch("codex-1", "released");
    let rules = served.rules("agent/codex-2/t-9", "agent/*");
    assert!(!rules.contains("duplicate-claim"), "{rules:?}");
}

#[test]
fn an_old_lease_on_another_branch_of_the_remote_is_seen() {
    let served = Served::new("");
    let repo = &served.0;
    let branch = |agent: &str, scope: &str| {
        repo.git(&["switch", "--quiet", "--force-create", &format!("agent/{agent}/x"), "main"]);
        let id = format!("L-{agent}");
        let lease = json!({
            "expires_at": "2026-03-01T12:50:00Z", "heartbeat": "2026-03-01T12:00:00Z",
            "lock_id": id, "mode": "exclusive", "objective": "x", "owner": agent, "revision": 1,
            "scope": [scope], "start_time": "2026-03-01T12:00:00Z",
        });
        let text = format!("{}\n", serde_json::to_string_pretty(&lease).unwrap());
        repo.write(&format!("_bus/locks/{id}.json"), text);
        served.push(&format!("agent/{agent}/x"));
    };
    branch("codex-1", "src/**");
    branch("codex-2", "src/lib.rs");
    let rules = served.rules("agent/codex-2/x", "agent/*");
    assert!(rules.contains("lease-overlap"), "{rules:?}");
    branch("codex-1", "docs/**");
    let rules = served.rules("agent/codex-2/x", "agent/*");
    assert!(!rules.contains("lease-overlap"), "{rules:?}");
}

#[test]
fn a_lease_that_the_policy_wants_is_looked_for_on_the_remote() {
    let served = Served::new("[locks]\nrequire = \"all\"\n");
    let repo = &served.0;
    let branch = "agent/codex-1/queue-001";
    served.branch(branch);
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    repo.write("src/app.rs", "fn main() {}\n");
    served.push(branch);
    let rules = served.rules(branch, "");
    assert!(rules.contains("path-unleased"), "{rules:?}");
    repo.by("codex-1", &["lock", "acquire", "src/**", "--objective", "the app"]).ok();
    let rules = served.rules(branch, "");
    assert!(!rules.contains("path-unleased"), "{rules:?}");
}

#[test]
fn an_audit_finds_a_chain_that_is_broken() {
    let served = Served::new("");
    let (repo, remote) = (&served.0, served.remote());
    repo.by("codex-1", &["claim", "QUEUE-001"]).ok();
    let audit = || served.judge("main", &["--fleet", "--format", "json"], "");
    assert_eq!(named(&audit()), set(&[]));
    let tip = repo.git_in(&remote, &["rev-parse", "refs/bus/claims/QUEUE-001"]);
    let broken = ["-c", "user.name=x", "-c", "user.email=x@x", "commit-tree"];
    let tree = repo.git_in(&remote, &["rev-parse", "refs/bus/claims/QUEUE-001^{tree}"]);
    let next = [&broken[..], &[tree.trim(), "-p", tip.trim(), "-m", "claim\n\nno claim"]].concat();
    let next = repo.git_in(&remote, &next);
    repo.git_in(&remote, &["update-ref", "refs/bus/claims/QUEUE-001", next.trim()]);
    assert_eq!(named(&audit()), set(&["chain-broken"]));
}

#[test]
fn each_rule_that_needs_refs_has_a_test_through_the_script() {
    let known: BTreeSet<&str> = NEEDS_REFS.iter().map(|(rule, _)| rule.name()).collect();
    for rule in Rule::all().filter(|rule| rule.looks_at() == LooksAt::Fleet) {
        assert!(known.contains(rule.name()), "{} needs the fleet's refs", rule.name());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    for (rule, test) in NEEDS_REFS {
        let (file, name) = test.split_once("::").unwrap_or(("ci_rules", test));
        let text = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {name}()")), "{}: there is no {test}", rule.name());
    }
}
