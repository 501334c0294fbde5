//! A likely slip is not accepted in silence: guessed commands, forgotten values, ids of trackers,
//! paths that mean something else than their words.

use std::fs::File;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::harness::{Ran, Repo};

/// A command whose standard input is `text`.
fn fed(repo: &Repo, arguments: &[&str], text: &str) -> Ran {
    let path = repo.beside("input");
    std::fs::write(&path, text).unwrap();
    let mut command =
        super::harness::alone(env!("CARGO_BIN_EXE_bus"), &repo.root(), &repo.beside("home"));
    command.args(arguments).args(["--agent", "a", "--json"]).stdin(File::open(path).unwrap());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    Ran::of(command.spawn().unwrap())
}

#[test]
fn a_wrong_guess_gets_the_command_that_does_what_is_meant() {
    let repo = Repo::new();
    for (guess, command) in [
        ("unclaim T-1", "bus release TASK --status released"),
        ("done T-1", "bus release TASK"),
        ("complete", "bus release TASK"),
        ("finish", "bus release TASK"),
        ("ready", "bus queue ready"),
        ("next", "bus claim --next"),
        ("list", "bus status"),
        ("log x", "bus event log"),
        ("send b hi", "bus message send"),
        ("unlock", "bus lock release"),
        ("queue next", "bus claim --next"),
        ("lock unlock", "bus lock release"),
        ("event write", "bus event log"),
        ("--agent queue next", "bus claim --next"),
        ("UNCLAIM", "bus release TASK --status released"),
    ] {
        let words: Vec<&str> = guess.split(' ').collect();
        let error = repo.bus(&words).fails(2, "usage");
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.contains(&format!("`{command}`")), "{guess}: {hint}");
        let text = repo.bus(&words).exits(2).says(&format!("`{command}`"));
        assert!(!text.stderr.contains("reclaim"), "{guess}: {}", text.stderr);
    }
    // A take-over is suggested only to who began to type it.
    assert!(!repo.bus(&["claime"]).exits(2).stderr.contains("'reclaim'"));
    repo.bus(&["recliam"]).exits(2).says("'reclaim'");
}

#[test]
fn a_text_may_come_from_standard_input_or_a_file_and_may_begin_with_a_dash() {
    let repo = Repo::new();
    let list = "- the lexer\n- the parser";
    let event =
        fed(&repo, &["event", "log", "--event", "note", "--summary", "-"], &format!("{list}\n"));
    assert_eq!(event.json()["event"]["summary"], list);
    let claim = fed(&repo, &["claim", "T-1", "--notes", "-"], "two\nlines\n");
    assert_eq!(claim.json()["claim"]["notes"], "two\nlines");
    let message =
        fed(&repo, &["message", "send", "--to", "b", "--summary", "s", "--note", "-"], "more");
    assert_eq!(message.json()["message"]["note"], "more");
    let log = |summary: &[&str]| {
        let mut words = vec!["event", "log", "--event", "note"];
        words.extend_from_slice(summary);
        repo.by("a", &words)
    };
    repo.write("summary.txt", list);
    let json =
        |summary: &[&str]| log(summary).arg("--json").ok().json()["event"]["summary"].clone();
    assert_eq!(json(&["--summary-file", "summary.txt"]), list);
    for text in ["- a list", "-5 %", "--no-verify is bad", "-1"] {
        assert_eq!(json(&["--summary", text]), text);
        assert_eq!(json(&[&format!("--summary={text}")]), text);
    }
    // A forgotten value.
    for text in ["--json", "-q", "--task"] {
        let error = log(&["--summary", text]).fails(2, "usage");
        assert!(error["message"].as_str().unwrap().contains("looks like an option"), "{error}");
    }
    log(&["--summary-file", "none.txt"]).fails(9, "system");
    repo.by("a", &["session", "start"]).ok();
    repo.by("a", &["session", "end", "--summary-file", "summary.txt"]).ok();
}

#[test]
fn standard_input_that_gives_no_text_is_a_usage_error_and_nothing_is_logged() {
    let repo = Repo::new();
    let before = repo.log_lines();
    for (text, why) in [("", "is empty"), ("\n \n", "is empty"), (&"x".repeat(70_000), "bytes")] {
        let ran = fed(&repo, &["event", "log", "--event", "note", "--summary", "-"], text);
        assert_eq!(ran.status, Some(2), "{}", ran.stdout);
        assert!(ran.json()["error"]["message"].as_str().unwrap().contains(why), "{}", ran.stdout);
    }
    let twice = ["message", "send", "--to", "b", "--summary", "-", "--note", "-"];
    let ran = fed(&repo, &twice, "x");
    assert_eq!((ran.status, &ran.json()["error"]["code"]), (Some(2), &json!("usage")));
    assert_eq!(repo.log_lines(), before);
}

#[test]
fn an_id_that_is_none_comes_with_one_that_would_do() {
    let repo = Repo::new();
    for (id, instead) in [
        ("#123", Some("123")),
        ("feature/login", Some("feature-login")),
        ("fix the parser!", Some("fix-the-parser")),
        ("../x", Some("x")),
        ("ünï", Some("n")),
        ("//", None),
    ] {
        let error = repo.by("a", &["claim", id]).fails(2, "bad-id");
        let message = error["message"].as_str().unwrap();
        match instead {
            Some(instead) => {
                assert!(message.contains(&format!("; `{instead}` would do")), "{message}")
            }
            None => assert!(!message.contains("would do"), "{message}"),
        }
    }
    let error = repo.bus(&["claim", "T-1"]).env("BUS_AGENT", "Claude Code").fails(2, "usage");
    assert!(error["message"].as_str().unwrap().contains("`Claude-Code` would do"), "{error}");
}

/// What a lease on `pattern` holds and how many files it matches.
fn held(repo: &Repo, pattern: &str) -> (Value, Value) {
    let words = ["lock", "acquire", pattern, "--objective", "o", "--json"];
    let answer = repo.by("a", &words).ok().json();
    repo.by("a", &["lock", "release", "--all"]).ok();
    (answer["lease"]["scope"].clone(), answer["matches"].clone())
}

#[test]
fn a_lease_is_on_the_file_that_is_meant() {
    let repo = Repo::new();
    for name in ["src/a.rs", "src/b.rs", "AGENTS.md", "a[1].rs"] {
        repo.write(name, "x");
    }
    symlink("src", repo.path("lib")).unwrap();
    symlink("AGENTS.md", repo.path("CLAUDE.md")).unwrap();
    repo.commit_all("files");
    let other = repo.worktree("other");
    let inner = repo.path("trees/inner");
    repo.git(&["worktree", "add", "--quiet", "-b", "inner", inner.to_str().unwrap()]);
    let root = repo.root().display().to_string();
    let linked = repo.beside("linked");
    symlink(repo.root(), &linked).unwrap();
    let (linked, other) = (linked.display(), other.display());
    for (typed, scope, matches) in [
        (format!("{root}/src/a.rs"), json!(["src/a.rs"]), 1),
        (format!("{root}/src/**"), json!(["src/**"]), 2),
        (format!("{other}/src/*.rs"), json!(["src/*.rs"]), 2),
        (format!("{linked}/src/"), json!(["src/"]), 2),
        (format!("{root}/a[1].rs"), json!(["a[1].rs"]), 0),
        ("trees/inner/src/a.rs".to_owned(), json!(["src/a.rs"]), 1),
        ("lib/a.rs".to_owned(), json!(["src/a.rs"]), 1),
        ("lib/*.rs".to_owned(), json!(["src/*.rs"]), 2),
        ("CLAUDE.md".to_owned(), json!(["CLAUDE.md", "AGENTS.md"]), 2),
        ("/src/a.rs".to_owned(), json!(["src/a.rs"]), 1),
        ("./src/a.rs".to_owned(), json!(["src/a.rs"]), 1),
        ("src/new.rs".to_owned(), json!(["src/new.rs"]), 0),
    ] {
        let (found, count) = held(&repo, &typed);
        assert_eq!((found, count), (scope, json!(matches)), "{typed}");
    }
    // As well with a task.
    let words = ["claim", "T-1", "--lock", "lib/a.rs", "--json"];
    let answer = repo.by("a", &words).ok().json();
    assert_eq!(
        (&answer["lock"]["lease"]["scope"], &answer["lock"]["matches"]),
        (&json!(["src/a.rs"]), &json!(1))
    );
}

#[test]
fn a_lease_on_what_is_in_no_worktree_is_refused() {
    let repo = Repo::new();
    symlink("/etc", repo.path("system")).unwrap();
    for typed in ["/etc/passwd", "/etc/**", "~/x", "~", "system/passwd", "system/*"] {
        let words = ["lock", "acquire", typed, "--objective", "o"];
        repo.by("a", &words).fails(2, "usage");
    }
    assert_eq!(repo.bus(&["lock", "list", "--json"]).ok().json()["leases"], json!([]));
}

#[test]
fn a_pattern_without_a_file_is_said_with_what_was_meant_most_likely() {
    let repo = Repo::new();
    repo.write("src/a.rs", "x");
    repo.write("src/untracked/b.rs", "x");
    repo.git(&["add", "src/a.rs"]);
    let acquire = |folder: &str, pattern: &str| {
        let words = ["lock", "acquire", pattern, "--objective", "o"];
        let ran = repo.by("a", &words).within(&repo.path(folder)).ok();
        repo.by("a", &["lock", "release", "--all"]).ok();
        ran
    };
    acquire("", "src/a.rs, src/b.rs").says("matches no file now; it is one pattern");
    acquire("src", "a.rs").says("`a.rs` matches no file now; `src/a.rs` is there");
    acquire("", "sr/**").says("`sr/**` matches no file now");
    for pattern in ["src/**", "src/untracked/", "**/*.rs", "{src,lib}/a.rs"] {
        let said = acquire("", pattern).stderr;
        assert!(!said.contains("matches no file"), "{pattern}: {said}");
    }
}

#[test]
fn a_claim_of_what_looks_like_a_task_of_the_queue_and_is_none_is_refused() {
    let repo = Repo::new();
    for title in ["read the syntax", "the lexer", "tests"] {
        repo.by("boss", &["queue", "add", title]).ok();
    }
    for (typed, hint) in [
        ("QUEUE-099", "bus claim QUEUE-099 --new"),
        ("99", "bus claim 99 --new"),
        ("QUEUE002", "the queue has `bus claim QUEUE-002`"),
        ("q-3", "the queue has `bus claim QUEUE-003`"),
        ("next", "`bus claim --next`"),
        ("READY", "`bus claim --next`"),
        ("002-the-lexer", "the queue has `bus claim QUEUE-002`"),
        ("the-lexer", "the queue has `bus claim QUEUE-002`"),
    ] {
        let error = repo.by("a", &["claim", typed]).fails(4, "no-task");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{typed}: {error}");
    }
    let numbers = repo.by("boss", &["queue", "add", "more", "--json"]).ok().json();
    assert_eq!(numbers["task_id"], "QUEUE-004", "a slip takes no number");
    // What is like none of them is a task of another kind; so is what somebody insists on.
    for typed in [&["T-9"][..], &["GH-2"], &["next", "--new"], &["QUEUE-077", "--new"]] {
        repo.by("a", &[&["claim"], typed].concat()).ok();
    }
    // A claim or an assignment says that it is a task.
    repo.by("a", &["claim", "QUEUE-077"]).ok();
    repo.by("boss", &["assign", "QUEUE-088", "--engineer", "b"]).ok();
    repo.by("b", &["claim", "QUEUE-088"]).ok();
    // Without a queue nothing looks like one of it.
    let repo = Repo::new();
    repo.by("a", &["claim", "QUEUE-099"]).ok();
    repo.by("a", &["claim", "next"]).ok();
}

#[test]
fn the_queue_of_the_target_counts_as_well() {
    let repo = Repo::new();
    let before = repo.worktree("before");
    repo.by("boss", &["queue", "add", "the lexer"]).ok();
    repo.commit_all("queue");
    // The worktree with the file goes to a branch without it.
    repo.git(&["checkout", "--quiet", "-b", "elsewhere", "HEAD~1"]);
    for folder in [repo.root(), before] {
        repo.by("a", &["claim", "QUEUE-044"]).within(&folder).fails(4, "no-task");
    }
    repo.by("a", &["claim", "1"]).ok();
    assert_eq!(repo.claim("QUEUE-001")["agent_id"], "a");
}

#[test]
fn a_number_alone_is_a_task_of_the_queue_unless_a_claim_has_that_id() {
    let repo = Repo::new();
    for title in ["one", "two", "three"] {
        repo.by("boss", &["queue", "add", title]).ok();
    }
    repo.by("a", &["claim", "3"]).ok().says("the task is spelled `QUEUE-003`");
    assert_eq!(repo.claim("QUEUE-003")["agent_id"], "a");
    let event = ["event", "log", "--event", "status", "--task", "03", "--summary", "s", "--json"];
    assert_eq!(repo.by("a", &event).ok().json()["event"]["task_id"], "QUEUE-003");
    repo.by("a", &["message", "send", "--task", "3", "--summary", "m"]).ok();
    let listed = repo.bus(&["message", "list", "--task", "3", "--json"]).ok();
    assert_eq!(listed.ndjson().len(), 1);
    repo.by("b", &["reclaim", "3", "--note", "x"]).fails(3, "claim-alive");
    repo.by("boss", &["assign", "2", "--engineer", "b"]).ok();
    repo.by("a", &["claim", "2"]).fails(3, "assigned-elsewhere");
    repo.by("a", &["heartbeat", "3"]).ok();
    repo.by("a", &["release", "3"]).ok();
    repo.bus(&["wait", "3", "--until", "done", "--timeout", "1s"]).ok();
    // A claim has that very id.
    repo.by("a", &["claim", "1", "--branch", "agent/a/x", "--new"]).ok();
    assert_eq!(repo.claim("QUEUE-001")["agent_id"], "a");
    let bare = Repo::new();
    bare.by("a", &["claim", "1"]).ok();
    bare.by("boss", &["queue", "add", "one"]).ok();
    bare.by("a", &["release", "1"]).ok();
    assert_eq!(bare.claim("1")["status"], "done");
}

#[test]
fn a_release_names_the_files_that_are_in_no_commit() {
    let repo = Repo::new();
    let release = || {
        repo.by("a", &["claim", "T-1", "--reopen"]).ok();
        repo.by("a", &["release", "T-1"]).ok().stderr
    };
    repo.by("a", &["claim", "T-1"]).ok();
    // The bus's own files are no work, and what git ignores is none.
    repo.by("a", &["queue", "add", "one"]).ok();
    repo.write(".gitignore", repo.read(".gitignore") + "target/\n");
    repo.git(&["commit", "--quiet", "--all", "--message", "ignore"]);
    repo.write("target/x", "x");
    assert!(!release().contains("not committed"));
    repo.write("src/a", "x");
    assert!(release().contains("warning: 1 file is not committed: `src/a`"), "{}", release());
    repo.git(&["add", "src/a"]);
    repo.write("src/b c", "x");
    assert!(release().contains("2 files are not committed: `src/a`, `src/b c`"), "{}", release());
    for name in ["c", "d", "e", "f"] {
        repo.write(name, "x");
    }
    assert!(release().contains("6 files are not committed"), "{}", release());
    repo.commit_all("all");
    assert!(!release().contains("not committed"));
    // Who pauses goes on.
    repo.write("src/a", "changed");
    repo.by("a", &["claim", "T-1", "--reopen"]).ok();
    let paused = repo.by("a", &["release", "T-1", "--status", "paused"]).ok();
    assert!(!paused.stderr.contains("not committed"));
}
