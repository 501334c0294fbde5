//! The live feed, and commands that wait: real watchers beside real writers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::harness::{Bus, Kept, Repo, record};

/// How long something may take before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

fn note<'a>(repo: &'a Repo, agent: &str, summary: &str) -> Bus<'a> {
    repo.by(agent, &["event", "log", "--event", "note", "--summary", summary])
}

/// A line of the log that another tool wrote.
fn foreign(summary: &str) -> String {
    format!(
        "{{\"agent_id\":\"z\",\"event\":\"note\",\"summary\":\"{summary}\",\"ts\":\"2026-03-01T11:59:00Z\"}}\n"
    )
}

/// A `bus watch --follow --json` that runs.
pub(crate) struct Watcher {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watcher {
    /// Starts it in the main worktree; it shows nothing of what stands in the log already.
    pub(crate) fn start(repo: &Repo, more: &[&str]) -> Self {
        Self::of(repo.by("w", &[&["watch", "--follow", "--json", "--limit", "1"], more].concat()))
    }

    fn of(command: Bus<'_>) -> Self {
        let mut child = command.start();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)))
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits until it has shown an event.
    pub(crate) fn expect(&mut self, summary: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.seen.iter().any(|seen| seen == summary) {
            let left = end.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{summary}: {error}: {:?}", self.seen));
            self.take(&line);
        }
    }

    fn take(&mut self, line: &str) {
        let event: Value = serde_json::from_str(line).unwrap();
        self.seen.push(event["summary"].as_str().unwrap().to_owned());
    }

    /// Ends it as `Ctrl-C` does. All that it has shown, and its stderr.
    pub(crate) fn end(self) -> (Vec<String>, String) {
        let (status, seen, stderr) = self.end_at_any_time();
        assert_eq!(status, Some(0), "{stderr}");
        (seen, stderr)
    }

    /// Ends it, perhaps before it has begun: then the signal has ended it.
    fn end_at_any_time(mut self) -> (Option<i32>, Vec<String>, String) {
        // A signal that comes while its handler is being set is nobody's; people press the key
        // again, too.
        let ended = loop {
            interrupt(&self.child);
            let patience = Instant::now() + Duration::from_millis(200);
            let mut ended = self.child.try_wait().unwrap();
            while ended.is_none() && Instant::now() < patience {
                std::thread::yield_now();
                ended = self.child.try_wait().unwrap();
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        let status = ended.code();
        while let Ok(line) = self.lines.recv() {
            self.take(&line);
        }
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status, self.seen, stderr)
    }

    /// Ends it; it must have shown each of these once, in this order, and nothing else.
    fn has_shown(self, expected: &[&str]) {
        assert_eq!(self.end().0, expected);
    }
}

fn interrupt(child: &Child) {
    // It may have ended already.
    let _ = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

#[test]
fn the_latest_events_come_first_as_they_are_asked_for() {
    let repo = Repo::new();
    for (hours, agent) in [(1, "a"), (20, "b"), (40, "a"), (41, "b"), (42, "a")] {
        let now = format!("2026-03-0{}T{:02}:00:00Z", 1 + hours / 24, hours % 24);
        note(&repo, agent, &format!("h{hours}")).at(&now).ok();
    }
    let watch = |more: &[&str]| {
        let ran = repo.bus(&[&["watch", "--json"], more].concat()).at("2026-03-02T18:00:00Z").ok();
        ran.ndjson()
            .iter()
            .map(|event| event["summary"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(watch(&[]), "h20 h40 h41 h42");
    assert_eq!(watch(&["--limit", "2"]), "h41 h42");
    assert_eq!(watch(&["--window-hours", "2"]), "h40 h41 h42");
    assert_eq!(watch(&["--window-hours", "0"]), "h1 h20 h40 h41 h42");
    assert_eq!(watch(&["--since", "2026-03-01", "--limit", "99"]), "h1 h20 h40 h41 h42");
    assert_eq!(watch(&["--since", "2026-03-01", "--limit", "0"]), "");
    assert_eq!(watch(&["--agent", "a", "--limit", "1"]), "h42");
    repo.bus(&["watch", "--since", "2h", "--window-hours", "3"]).exits(2);
    let plain = repo.bus(&["watch", "--limit", "1"]).at("2026-03-02T18:00:00Z").ok().stdout;
    assert_eq!(plain, "2026-03-02T18:00:00Z :: a :: note :: task=- :: h42\n");
}

#[test]
fn whatever_becomes_of_the_files_each_event_is_shown_once() {
    whatever_becomes_of(Kept::Untracked, &record(""));
    whatever_becomes_of(Kept::Older, "_bus/");
}

/// Of files that count, below `below`.
fn whatever_becomes_of(kept: Kept, below: &str) {
    let repo = Repo::keeping(kept);
    note(&repo, "a", "old").ok();
    let events = format!("{below}events");
    let log = repo.path(&events).join("a.jsonl");
    let mut watcher = Watcher::start(&repo, &[]);
    watcher.expect("old");
    note(&repo, "a", "appended").ok();
    watcher.expect("appended");
    let (first, second) = (foreign("in pieces"), foreign("in one"));
    append(&repo.path(&events).join("z.jsonl"), &first[..30]);
    append(&repo.path(&events).join("y.jsonl"), &second);
    watcher.expect("in one");
    append(&repo.path(&events).join("z.jsonl"), &first[30..]);
    watcher.expect("in pieces");
    // Replaced by rename, with a line that somebody merged into its middle.
    let lines = fs::read_to_string(&log).unwrap();
    let (one, rest) = lines.split_at(lines.find('\n').unwrap() + 1);
    fs::write(repo.path("aside"), format!("{one}{}{rest}", foreign("merged"))).unwrap();
    fs::rename(repo.path("aside"), &log).unwrap();
    watcher.expect("merged");
    // Written anew in place.
    fs::write(&log, fs::read_to_string(&log).unwrap() + &foreign("rewritten")).unwrap();
    watcher.expect("rewritten");
    // Removed and made again, first the file, then its folder.
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    fs::write(&log, text + &foreign("made again")).unwrap();
    watcher.expect("made again");
    fs::rename(repo.path(&events), repo.path(&format!("{below}gone"))).unwrap();
    note(&repo, "b", "in a new folder").ok();
    watcher.expect("in a new folder");
    fs::remove_dir_all(repo.path(below)).unwrap();
    (kept == Kept::Older).then(|| repo.git(&["checkout", "--quiet", "--", "_bus"]));
    note(&repo, "c", "in a new bus").ok();
    watcher.expect("in a new bus");
    watcher.has_shown(&[
        "old",
        "appended",
        "in one",
        "in pieces",
        "merged",
        "rewritten",
        "made again",
        "in a new folder",
        "in a new bus",
    ]);
}

#[test]
fn branches_and_worktrees_may_come_and_go() {
    Kept::ALL.into_iter().for_each(may_come_and_go);
}

fn may_come_and_go(kept: Kept) {
    let repo = Repo::keeping(kept);
    note(&repo, "a", "base").ok();
    repo.commit_all("base");
    let side = repo.worktree("side");
    let mut watcher = Watcher::start(&repo, &[]);
    watcher.expect("base");
    note(&repo, "b", "on the side").within(&side).ok();
    watcher.expect("on the side");
    repo.commit_all_in(&side, "side");
    note(&repo, "a", "on main").ok();
    watcher.expect("on main");
    repo.commit_all("main");
    repo.git(&["merge", "--quiet", "-m", "merged", "side"]);
    repo.git(&["checkout", "--quiet", "-b", "older", "HEAD~2"]);
    note(&repo, "a", "on an older commit").ok();
    watcher.expect("on an older commit");
    let late = repo.worktree("late");
    note(&repo, "d", "in a late worktree").within(&late).ok();
    watcher.expect("in a late worktree");
    repo.git(&["worktree", "remove", "--force", side.to_str().unwrap()]);
    note(&repo, "a", "last").ok();
    watcher.expect("last");
    watcher.has_shown(&[
        "base",
        "on the side",
        "on main",
        "on an older commit",
        "in a late worktree",
        "last",
    ]);
}

#[test]
fn what_is_no_event_is_named_and_skipped() {
    let repo = Repo::new();
    note(&repo, "a", "one").ok();
    let mut watcher = Watcher::start(&repo, &[]);
    watcher.expect("one");
    let log = record("events/a.jsonl");
    append(&repo.path(&log), &format!("rubbish\n\n{}\n", "x".repeat(200_000)));
    note(&repo, "a", "two").ok();
    watcher.expect("two");
    let (seen, stderr) = watcher.end();
    assert_eq!(seen, ["one", "two"]);
    for what in
        [format!("`{log}` line 2: "), format!("`{log}` line 4: it is longer than 65536 bytes")]
    {
        assert_eq!(stderr.matches(&what).count(), 1, "{stderr}");
    }
}

#[test]
fn filters_hold_for_what_comes_too() {
    let repo = Repo::new();
    let mut watcher = Watcher::start(&repo, &["--event", "review", "--task", "t-1"]);
    repo.by(
        "a",
        &["event", "log", "--event", "review", "--task", "T-2", "--summary", "another task"],
    )
    .ok();
    repo.by(
        "a",
        &["event", "log", "--event", "note", "--task", "T-1", "--summary", "another sort"],
    )
    .ok();
    repo.by("a", &["event", "log", "--event", "review", "--task", "T-1", "--summary", "wanted"])
        .ok();
    watcher.expect("wanted");
    watcher.has_shown(&["wanted"]);
}

#[cfg(target_os = "linux")]
#[test]
fn more_notifications_than_the_system_keeps_lose_no_event() {
    let repo = Repo::new();
    let paths = ["events/y.jsonl", "events/z.jsonl"].map(|path| repo.path(&record(path)));
    paths.iter().for_each(|path| append(path, ""));
    note(&repo, "a", "first").ok();
    let mut watcher = Watcher::start(&repo, &[]);
    watcher.expect("first");
    let pid = watcher.child.id().to_string();
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-STOP");
    // Two files in turn, so that the system cannot fold notifications; its queue holds 16,384 of
    // them (inotify(7)).
    let mut files = paths.map(|path| fs::File::options().append(true).open(path).unwrap());
    for number in 0..20_000 {
        files[number % 2].write_all(foreign(&format!("e{number}")).as_bytes()).unwrap();
    }
    signal("-CONT");
    note(&repo, "a", "last").ok();
    watcher.expect("last");
    let (seen, _) = watcher.end();
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (20_002, 20_002));
}

#[cfg(target_os = "linux")]
#[test]
fn without_notifications_it_says_so_once_and_looks_by_itself() {
    let repo = Repo::new();
    note(&repo, "a", "one").ok();
    // A user namespace of its own may have no inotify; if there are no such namespaces, there is
    // nothing to try.
    let available = Command::new("unshare")
        .args(["-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances"])
        .status();
    if !available.is_ok_and(|status| status.success()) {
        return;
    }
    let script = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$0\" watch --follow --json";
    let mut watcher =
        Watcher::of(repo.other("unshare", &["-Ur", "sh", "-c", script, env!("CARGO_BIN_EXE_bus")]));
    watcher.expect("one");
    for summary in ["two", "three"] {
        note(&repo, "a", summary).ok();
        watcher.expect(summary);
    }
    let (seen, stderr) = watcher.end();
    assert_eq!(seen, ["one", "two", "three"]);
    assert_eq!(stderr.matches("the system sends no notifications").count(), 1, "{stderr}");
}

#[cfg(unix)]
#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let repo = Repo::new();
    note(&repo, "a", "one").ok();
    let mut child = repo.by("w", &["watch", "--follow"]).start();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.ends_with(":: one\n"), "{line}");
    drop(stdout);
    // No event is needed for it to notice.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn a_cursor_shows_each_event_once_after_any_gap() {
    let repo = Repo::new();
    let read = || -> Vec<String> {
        let events =
            repo.by("w", &["watch", "--json", "--cursor", "Mine", "--limit", "1"]).ok().ndjson();
        events.iter().map(|event| event["summary"].as_str().unwrap().to_owned()).collect()
    };
    note(&repo, "a", "before").ok();
    note(&repo, "a", "one").at("2026-03-01T12:00:01Z").ok();
    if cfg!(target_os = "linux") {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        repo.by("w", &["watch", "--cursor", "mine"]).stdout(full).exits(9);
    }
    assert_eq!(read(), ["one"], "the first time, the latest; a failure does not count");
    assert!(read().is_empty());
    note(&repo, "a", "two").ok();
    repo.commit_all("main");
    let side = repo.worktree("side");
    note(&repo, "a", "three").within(&side).ok();
    repo.commit_all_in(&side, "side");
    note(&repo, "a", "four").at("2026-03-01T12:00:02Z").ok();
    repo.commit_all("main");
    repo.git(&["merge", "--quiet", "-m", "merged", "side"]);
    repo.git(&["worktree", "remove", "--force", side.to_str().unwrap()]);
    append(&repo.path(&record("events/a.jsonl")), "rubbish\n");
    assert_eq!(
        read().into_iter().collect::<BTreeSet<_>>(),
        ["four", "three", "two"].map(str::to_owned).into()
    );
    // What a killed watcher left unfinished is nothing.
    append(&repo.path(".git/bus/cursors/mine"), "torn");
    note(&repo, "a", "five").ok();
    let ran = repo.by("w", &["watch", "--json", "--cursor", "mine"]).ok();
    assert_eq!((ran.ndjson().len(), ran.stderr.as_str()), (1, ""), "a bad line is named once, too");
    let watcher = Watcher::start(&repo, &["--cursor", "mine"]);
    note(&repo, "a", "six").ok();
    let mut watcher = watcher;
    watcher.expect("six");
    repo.by("w", &["watch", "--cursor", "MINE"]).fails(3, "cursor-in-use");
    watcher.has_shown(&["six"]);
    repo.by("w", &["watch", "--cursor", "../x"]).exits(2);
    // What clashes is said once; a damaged cursor skips nothing.
    append(&repo.path(&record("events/z.jsonl")), &foreign("a").replace("{", "{\"id\":\"1\","));
    append(&repo.path(&record("events/z.jsonl")), &foreign("b").replace("{", "{\"id\":\"1\","));
    let ran = repo.by("w", &["watch", "--json", "--cursor", "mine"]).ok().says("the same id `1`");
    assert_eq!(ran.ndjson().len(), 1);
    let again = repo.by("w", &["watch", "--json", "--cursor", "mine"]).ok();
    assert_eq!((again.stdout, again.stderr), (String::new(), String::new()));
    repo.write(".git/bus/cursors/mine", "damaged");
    assert_eq!(read().len(), 8);
    assert!(read().is_empty());
}

#[cfg(unix)]
#[test]
fn a_folder_that_becomes_a_link_is_nobodys_log_any_more() {
    for (kept, events) in
        [(Kept::Untracked, record("events")), (Kept::Older, "_bus/events".to_owned())]
    {
        let repo = Repo::keeping(kept);
        let events = repo.path(&events);
        note(&repo, "a", "one").ok();
        let mut watcher = Watcher::start(&repo, &[]);
        watcher.expect("one");
        let outside = repo.beside("outside");
        append(&outside.join("a.jsonl"), &foreign("from outside"));
        fs::remove_dir_all(&events).unwrap();
        std::os::unix::fs::symlink(&outside, &events).unwrap();
        append(&outside.join("a.jsonl"), &foreign("from outside, later"));
        fs::remove_file(&events).unwrap();
        note(&repo, "b", "two").ok();
        watcher.expect("two");
        watcher.has_shown(&["one", "two"]);
    }
}

/// Everything that a watcher on a cursor shows while it is ended and started again, each second or
/// so.
fn restarted(repo: &Repo, stop: &dyn Fn() -> bool, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let over = stop();
        let mut watcher = Watcher::start(repo, &["--cursor", "restarted"]);
        if over && !seen.iter().any(|summary| summary == last) {
            watcher.expect(last);
        } else if !over {
            std::thread::sleep(Duration::from_millis(700));
        }
        let (status, more, stderr) = watcher.end_at_any_time();
        assert!(matches!(status, Some(0) | None), "{stderr}");
        assert!(
            status.is_some() || more.is_empty(),
            "a watcher that shows something catches its signals: {more:?}"
        );
        seen.extend(more);
        if over {
            return seen;
        }
    }
}

#[test]
fn watchers_show_each_acknowledged_event_once_while_git_and_editors_replace_the_files() {
    Kept::ALL.into_iter().for_each(each_once_while_files_are_replaced);
}

fn each_once_while_files_are_replaced(kept: Kept) {
    const EVENTS: usize = 20;
    let repo = Repo::keeping(kept);
    let side = repo.worktree("side");
    note(&repo, "w", "first").ok();
    repo.commit_all("log");
    let mut watchers =
        [Watcher::start(&repo, &[]), Watcher::start(&repo, &["--window-hours", "0"])];
    watchers.iter_mut().for_each(|watcher| watcher.expect("first"));
    repo.by("w", &["watch", "--cursor", "restarted", "--limit", "1"]).ok();
    let places = [repo.root(), side.clone()];
    let written = std::sync::atomic::AtomicUsize::new(0);
    let over = || written.load(std::sync::atomic::Ordering::SeqCst) == 4;
    let shown_by_restarted = std::thread::scope(|scope| {
        for writer in 0..4 {
            let (repo, place, written) = (&repo, &places[writer % 2], &written);
            scope.spawn(move || {
                for number in 0..EVENTS {
                    note(repo, &format!("w{writer}"), &format!("{writer}-{number}"))
                        .within(place)
                        .ok();
                }
                written.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        let restarted = scope.spawn(|| restarted(&repo, &over, "last"));
        let mut turn = 0;
        while !over() {
            turn += 1;
            // Each may refuse, which is git's own answer.
            let (place, other) =
                if turn % 2 == 0 { (&places[0], "side") } else { (&places[1], "main") };
            repo.try_git_in(place, &["add", "--all", "_bus"]);
            repo.try_git_in(place, &["commit", "--quiet", "--message", "log"]);
            repo.try_git_in(place, &["merge", "--quiet", "--no-edit", other]);
            replace_a_log(place, turn);
        }
        note(&repo, "w", "last").ok();
        restarted.join().unwrap()
    });
    watchers.iter_mut().for_each(|watcher| watcher.expect("last"));
    let all = || {
        (0..4)
            .flat_map(|writer| (0..EVENTS).map(move |number| format!("{writer}-{number}")))
            .chain(["last".to_owned()])
    };
    let expected: BTreeMap<String, usize> = all().map(|summary| (summary, 1)).collect();
    let shown = watchers.into_iter().map(|watcher| watcher.end().0).chain([shown_by_restarted]);
    for seen in shown {
        let mut counts = BTreeMap::new();
        seen.into_iter()
            .filter(|summary| summary != "first")
            .for_each(|summary| *counts.entry(summary).or_insert(0) += 1);
        assert_eq!(counts, expected);
    }
}

/// Replaces a log that nobody writes to, as an editor does.
fn replace_a_log(place: &Path, turn: usize) {
    let log: PathBuf = place.join("_bus/events/w.jsonl");
    let Ok(text) = fs::read(&log) else { return };
    let aside = place.join(format!("aside-{turn}"));
    fs::write(&aside, text).unwrap();
    fs::rename(aside, log).unwrap();
}

/// A command line of the guide, run by a shell that has `bus` on its path, in a process group of
/// its own.
#[cfg(unix)]
fn guide_line(repo: &Repo, beginning: &str) -> Child {
    use std::os::unix::process::CommandExt;
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/watching-and-waiting.md");
    let guide = fs::read_to_string(guide).unwrap();
    let line = guide
        .lines()
        .find_map(|line| line.strip_prefix("$ ").filter(|line| line.starts_with(beginning)))
        .unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_bus")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .current_dir(repo.root())
        .env("PATH", path)
        .env("BUS_AGENT", "w")
        .process_group(0)
        .spawn()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn pipes_and_conditions_do_what_hooks_would_as_the_guide_says() {
    let repo = Repo::new();
    repo.by("a", &["claim", "QUEUE-001"]).ok();
    let mut waits = guide_line(&repo, "bus wait QUEUE-001 --until done --timeout 2h");
    let mut loops = guide_line(&repo, "bus watch --follow --json |");
    repo.by("a", &["release", "QUEUE-001"]).without("BUS_NOW").ok();
    assert!(waits.wait().unwrap().success());
    assert_eq!(repo.read("news.txt"), "QUEUE-001 is done\n");
    let end = Instant::now() + PATIENCE;
    while !repo.read("seen.jsonl").contains("\"summary\":\"done\"") {
        assert!(Instant::now() < end, "{}", repo.read("seen.jsonl"));
        std::thread::yield_now();
    }
    let group = format!("-{}", loops.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    loops.wait().unwrap();
}

#[test]
fn a_state_of_a_task_is_waited_for() {
    let repo = Repo::new();
    let wait = |until: &str| repo.by("w", &["wait", "--task", "T-1", "--until", until, "--json"]);
    assert!(wait("free").ok().json()["claim"].is_null(), "a state that holds already");
    let waits: Vec<(&str, Child)> =
        ["claimed", "released", "ended", "done"].map(|until| (until, wait(until).start())).into();
    repo.by("a", &["claim", "T-1"]).ok();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("a", &["claim", "T-1"]).ok();
    let again = wait("free").start();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    repo.by("b", &["claim", "T-1"]).ok();
    repo.by("b", &["release", "T-1"]).ok();
    let states: BTreeMap<&str, &[&str]> = [
        ("claimed", &["active"][..]),
        ("released", &["released"][..]),
        ("ended", &["released", "done"][..]),
        ("done", &["done"][..]),
    ]
    .into();
    for (until, child) in waits {
        let ran = super::harness::Ran::of(child);
        // One that came too late for what passed quickly is told that it will not come back.
        match ran.status {
            Some(0) => assert!(
                states[until].contains(&ran.json()["state"].as_str().unwrap()),
                "{until}: {}",
                ran.transcript
            ),
            status => assert_eq!(
                (status, &ran.json()["error"]["code"]),
                (Some(1), &Value::from("cannot-hold")),
                "{until}"
            ),
        }
    }
    let ended = super::harness::Ran::of(again);
    assert!(matches!(ended.status, Some(0 | 1)), "{}", ended.transcript);
    repo.by("w", &["wait", "--task", "T-1", "--until", "free"]).fails(1, "cannot-hold");
    let error = repo
        .by("w", &["wait", "--task", "T-2", "--until", "claimed", "--timeout", "20ms"])
        .fails(6, "wait-timeout");
    assert!(error["message"].as_str().unwrap().contains("never claimed"), "{error}");
}

#[test]
fn a_claim_that_becomes_stale_by_time_alone_is_noticed() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--ttl", "1h"]).ok();
    let wait = ["wait", "--task", "T-1", "--until", "stale", "--timeout", "50ms"];
    repo.by("w", &wait).at("2026-03-01T12:59:00Z").fails(6, "wait-timeout");
    repo.by("w", &wait).at("2026-03-01T13:00:01Z").ok();
    // With the real clock: it passes by itself.
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1", "--ttl", "1s"]).without("BUS_NOW").ok();
    repo.by("w", &["wait", "--task", "T-1", "--until", "stale"]).without("BUS_NOW").ok();
}

#[test]
fn an_event_is_waited_for_from_now_on() {
    let repo = Repo::new();
    repo.by("b", &["event", "log", "--event", "review", "--task", "T-1", "--summary", "old"]).ok();
    let child = repo
        .by("w", &["wait", "--event", "review", "--task", "T-1", "--agent", "b", "--json"])
        .start();
    let logged = std::sync::atomic::AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            // It may not have begun to wait yet, so the event is logged until one is seen.
            while !logged.load(std::sync::atomic::Ordering::SeqCst) {
                repo.by(
                    "c",
                    &[
                        "event",
                        "log",
                        "--event",
                        "review",
                        "--task",
                        "T-1",
                        "--summary",
                        "another's",
                    ],
                )
                .ok();
                repo.by(
                    "b",
                    &["event", "log", "--event", "review", "--task", "T-1", "--summary", "new"],
                )
                .ok();
            }
        });
        let ran = super::harness::Ran::of(child);
        logged.store(true, std::sync::atomic::Ordering::SeqCst);
        ran
    });
    assert_eq!(
        (ran.status, &ran.json()["event"]["summary"]),
        (Some(0), &Value::from("new")),
        "{}",
        ran.transcript
    );
    repo.by("w", &["wait", "--event", "review", "--timeout", "20ms"]).fails(6, "wait-timeout");
    let since =
        repo.by("w", &["wait", "--event", "review", "--since", "2026-03-01", "--json"]).ok().json();
    assert_eq!(since["event"]["summary"], "old", "one that was logged since then is it, too");
}

#[test]
fn who_waits_for_nothing_is_told_of_all_that_can_be_waited_for() {
    let repo = Repo::new();
    for (words, what) in [
        (&["--timeout", "1s"][..], "what to wait for"),
        (&["T-1"], "what `T-1` shall be"),
        (&["--until", "done"], "which task shall be done"),
    ] {
        let error = repo.by("w", &[&["wait"], words].concat()).fails(2, "usage");
        let (message, hint) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
        assert!(message.ends_with(what), "{error}");
        assert!(
            ["TASK --until STATE", "--event NAME", "--message"]
                .iter()
                .all(|way| hint.contains(way)),
            "{error}"
        );
    }
}

#[test]
fn whose_claim_it_is_may_matter() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let wait = |agent: &str| {
        repo.bus(&["wait", "T-1", "--until", "claimed", "--timeout", "20ms", "--agent", agent])
    };
    wait("A").ok();
    let error = wait("b").fails(6, "wait-timeout");
    assert_eq!(
        (&error["owner"], &error["state"], &error["task_id"]),
        (&"a".into(), &"active".into(), &"T-1".into())
    );
    repo.by("a", &["claim", "T-1", "--status", "paused"]).ok();
    let error =
        repo.by("b", &["claim", "T-1", "--wait", "--timeout", "20ms"]).fails(6, "wait-timeout");
    assert!(error["hint"].as_str().unwrap().contains("bus reclaim T-1"), "{error}");
}

#[test]
fn of_many_claims_that_wait_each_gets_its_turn() {
    let repo = Repo::new();
    repo.by("a", &["claim", "T-1"]).ok();
    let waiting: Vec<Child> = (0..8)
        .map(|number| repo.by(&format!("w{number}"), &["claim", "T-1", "--wait", "--json"]).start())
        .collect();
    repo.by("a", &["release", "T-1", "--status", "released"]).ok();
    let mut owners = BTreeSet::new();
    while owners.len() < 8 {
        repo.by("x", &["wait", "--task", "T-1", "--until", "claimed"]).ok();
        let owner = repo.tip("T-1")["agent_id"].as_str().unwrap().to_owned();
        // Only who owns it can give it back.
        repo.by(&owner, &["release", "T-1", "--status", "released"]).ok();
        assert!(owners.insert(owner), "{owners:?}");
    }
    for child in waiting {
        let ran = super::harness::Ran::of(child);
        assert_eq!(
            (ran.status, &ran.json()["outcome"]),
            (Some(0), &Value::from("claimed")),
            "{}",
            ran.transcript
        );
    }
    repo.by("a", &["claim", "T-1"]).ok();
    let error =
        repo.by("b", &["claim", "T-1", "--wait", "--timeout", "20ms"]).fails(6, "wait-timeout");
    assert!(error["message"].as_str().unwrap().contains("claimed by a"), "{error}");
    let waits = repo.by("b", &["claim", "T-1", "--wait", "--json"]).start();
    repo.by("a", &["release", "T-1"]).ok();
    let ran = super::harness::Ran::of(waits);
    assert_eq!(
        (ran.status, &ran.json()["error"]["code"]),
        (Some(3), &Value::from("task-finished")),
        "{}",
        ran.transcript
    );
    repo.by("b", &["claim", "T-1", "--timeout", "1s"]).exits(2);
}
