//! `bus show`, and commands without the name of a task or with the beginning of a lease's id.

use serde_json::{Value, json};

use super::harness::Repo;
use super::locks::acquire;

fn shown(repo: &Repo, task: &[&str]) -> Value {
    repo.by("a", &[&["show"], task, &["--json"]].concat()).ok().json()
}

#[test]
fn one_page_says_what_is_known_of_a_task() {
    let repo = Repo::new();
    repo.by("boss", &["queue", "add", "the lexer", "--goal", "tokens"]).ok();
    repo.by("boss", &["assign", "QUEUE-001", "--engineer", "a"]).ok();
    repo.commit_all("queue");
    repo.git(&["switch", "--quiet", "--create", "agent/a/lexer"]);
    let plan = ["plan", "new", "lexer", "--task", "1", "--summary", "s", "--step", "S1:Test"];
    repo.by("a", &plan).ok();
    repo.by("a", &["claim", "1", "--notes", "slowly"]).ok();
    repo.by("a", &["lock", "acquire", "src/**", "--objective", "o", "--task", "1"]).ok();
    repo.write("src/lexer.rs", "x");
    repo.commit_all("lexer");
    for summary in ["first", "second", "third", "fourth"] {
        let event = ["event", "log", "--event", "note", "--task", "1", "--summary", summary];
        repo.by("a", &event).ok();
    }
    let task = shown(&repo, &["1"]);
    assert_eq!(task["task_id"], "QUEUE-001");
    assert_eq!(
        (&task["item"]["title"], &task["item"]["state"]),
        (&json!("the lexer"), &json!("claimed"))
    );
    assert_eq!(
        (&task["claim"]["agent_id"], &task["claim"]["state"]),
        (&json!("a"), &json!("active"))
    );
    assert_eq!(
        (&task["claim"]["seen"]["ahead"], &task["claim"]["seen"]["landed"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(task["assignment"]["engineer"], "a");
    assert_eq!(task["plan"]["progress"], json!({"done": 0, "total": 1}));
    assert_eq!(task["locks"][0]["scope"], json!(["src/**"]));
    let words: Vec<&Value> =
        task["events"].as_array().unwrap().iter().map(|event| &event["summary"]).collect();
    assert_eq!(words, ["second", "third", "fourth"], "the last words, without bookkeeping");
    let page = repo.by("a", &["show"]).ok().stdout;
    for line in [
        "QUEUE-001: the lexer",
        "state: claimed by a",
        "branch: agent/a/lexer (ahead 1, pushed no remote, landed no)",
        "notes: slowly",
        "assigned to: a",
        "(queued, 0/1 done), _plans/",
        "lease: L-",
        "file: queue/001-the-lexer.md",
        "last words:",
    ] {
        assert!(page.contains(line), "no {line:?} in\n{page}");
    }
    // The older name is the same command.
    let older = repo.by("a", &["queue", "show", "1", "--json"]).ok().json();
    assert_eq!(older["item"], task["item"]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "agent/a/lexer"]);
    repo.by("a", &["release"]).ok();
    let task = shown(&repo, &["1"]);
    assert_eq!(
        (&task["claim"]["state"], &task["claim"]["seen"]["landed"]),
        (&json!("landed"), &json!("merged"))
    );
}

#[test]
fn a_task_that_the_queue_does_not_have_is_shown_and_an_unknown_one_is_not_found() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let task = shown(&repo, &["t-1"]);
    assert_eq!((&task["task_id"], &task["item"]), (&json!("T-1"), &Value::Null));
    repo.by("a", &["show", "T-2"]).fails(4, "no-task");
    repo.by("a", &["message", "send", "--task", "T-3", "--summary", "s"]).ok();
    repo.by("a", &["event", "log", "--event", "note", "--task", "T-3", "--summary", "s"]).ok();
    assert_eq!(shown(&repo, &["T-3"])["claim"], Value::Null);
}

#[test]
fn without_a_name_the_task_held_in_this_worktree_is_meant() {
    let repo = Repo::new();
    let other = repo.worktree("other");
    repo.by("a", &["release"]).fails(4, "claim-not-held");
    repo.by("a", &["claim", "T-1"]).within(&other).ok();
    for command in [&["show"][..], &["heartbeat"], &["release"]] {
        let error = repo.by("a", command).fails(3, "claim-held-elsewhere");
        assert!(error["message"].as_str().unwrap().contains("other"), "{error}");
        repo.by("b", command).fails(4, "claim-not-held");
    }
    repo.by("a", &["claim", "T-2"]).ok();
    repo.by("a", &["heartbeat"]).ok();
    assert_eq!(shown(&repo, &[])["task_id"], "T-2");
    repo.by("a", &["claim", "T-3"]).ok();
    for command in [&["show"][..], &["heartbeat"], &["release"]] {
        let error = repo.by("a", command).fails(2, "usage");
        assert!(
            error["message"].as_str().unwrap().contains("T-2, T-3")
                || error["message"].as_str().unwrap().contains("T-3, T-2"),
            "{error}"
        );
    }
    repo.by("a", &["release", "T-3"]).ok();
    repo.by("a", &["release"]).ok();
    assert_eq!(repo.claim("T-2")["status"], "done");
    assert_eq!(repo.claim("T-1")["status"], "active", "the other worktree's goes on");
}

#[test]
fn the_beginning_of_a_leases_id_is_enough_if_it_is_one_leases() {
    let repo = Repo::new();
    let (first, second) = (acquire(&repo, "a", &["x"]), acquire(&repo, "b", &["y"]));
    let end = |id: &str| {
        let other = if id == first { &second } else { &first };
        (3..=id.len())
            .map(|end| &id[..end])
            .find(|start| !other.starts_with(*start))
            .unwrap()
            .to_owned()
    };
    let error = repo.by("a", &["lock", "show", "L"]).fails(2, "usage");
    assert!(error["message"].as_str().unwrap().contains(&second), "{error}");
    let lease = |id: &str| {
        repo.bus(&["lock", "show", id, "--json"]).ok().json()["lease"]["lock_id"].clone()
    };
    assert_eq!(lease(&end(&first)), first.as_str());
    assert_eq!(lease(&end(&second)[2..]), second.as_str());
    assert_eq!(lease(&end(&first).to_ascii_uppercase()), first.as_str());
    repo.by("a", &["lock", "renew", &end(&first)]).ok();
    repo.by("a", &["lock", "reclaim", &end(&second), "--note", "x", "--force"]).ok();
    repo.by("a", &["lock", "release", &end(&first)]).ok();
    repo.by("a", &["lock", "show", "L-zzzzzzz"]).fails(4, "no-lock");
}
